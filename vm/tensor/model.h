/* model.h: a parsed and verified model: immutable, content-addressed, safe to share between threads.
 *
 *     bytes --parse--> tensors, nodes, constants --verify--> proven ranges, shapes, memory plan, gas units --> struct sb_model
 *
 * sb_model_load is total: any byte string gives a model or a named error, in time linear in its length. What it accepts can be run
 * on any input inside the declared ranges without any overflow, allocation or failure. Format: docs/spec/model-format.md; meaning
 * of the operators: docs/spec/numerics.md. */
#ifndef SB_VM_TENSOR_MODEL_H
#define SB_VM_TENSOR_MODEL_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"
#include "vm/tensor/cost.h"
#include "vm/tensor/tensor.h"

struct sb_model;

/* sb_model_load: parse and verify a model file; the bytes are copied, the caller keeps its own.
 * Returns 0, or with a message in diag (may be NULL) that names the node, operator or tensor:
 * SB_E_SYNTAX (no model file), SB_E_VERSION, SB_E_TRUNCATED, SB_E_TRAILING, SB_E_NON_CANONICAL, SB_E_LIMIT, SB_E_UNSUPPORTED (operator
 * or version outside the list), SB_E_TYPE, SB_E_SHAPE, SB_E_RANGE (attribute or interval: an accumulator could overflow), SB_E_NOMEM. */
sb_err sb_model_load(struct sb_model **ret_model, sb_bytes file, struct sb_diag *diag) SB_MUST_USE;

/* sb_model_prepare: choose the kernels that runs of the model use (NULL: the C reference) and arrange its weights for them. Before
 * the first run and before the model is shared; a second call replaces the first; changes no result. Cannot fail: weights for
 * which memory is short stay as they are. Without it runs use the C reference. */
struct sb_kernels;
void sb_model_prepare(struct sb_model *model, const struct sb_kernels *kernels);

/* sb_model_free: give the memory back; NULL is allowed. */
void sb_model_free(struct sb_model *model);

/* sb_model_memory_bytes: what the model takes, for whoever keeps many. */
size_t sb_model_memory_bytes(const struct sb_model *model);

/* sb_model_sha256: sha2-256 of the file's bytes. It is the model's id on chain for files up to 1 MiB (CIDv1, codec raw); the id of a
 * longer file is its UnixFS root (base/codec/cid.h), which the caller computes. Valid as long as the model. */
const sb_hash *sb_model_sha256(const struct sb_model *model);

/* One input or output as a caller sees it. */
struct sb_model_io {
    const char *name; /* printable ASCII, terminated; valid as long as the model */
    struct sb_tensor_desc desc;
    uint64_t element_count;
    uint64_t bytes; /* element_count * size of the type */
};

/* How often the model uses an operator version. */
struct sb_model_op_use {
    uint16_t op_id;
    uint16_t op_version;
    uint32_t node_count;
};

/* What a registry stores and a person wants to know. All pointers are valid as long as the model. */
struct sb_model_info {
    const char *name;
    uint64_t file_bytes;
    uint64_t const_bytes; /* constant data, without padding */
    uint64_t arena_bytes; /* scratch of one run: sb_model_run needs this many bytes */
    uint32_t tensor_count;
    uint32_t node_count;
    uint32_t input_count;
    uint32_t output_count;
    const struct sb_model_io *inputs;
    const struct sb_model_io *outputs;
    uint64_t input_bytes;  /* sum over the inputs: raw inputs laid end to end, in order */
    uint64_t output_bytes; /* sum over the outputs */
    uint32_t op_use_count;
    const struct sb_model_op_use *op_uses; /* ascending by (id, version) */
    struct sb_units units;                 /* work of one run by gas class */
};

/* sb_model_info: the description; valid as long as the model. */
const struct sb_model_info *sb_model_info(const struct sb_model *model);

/* sb_model_encode: write the model back as a file into ret_file (appended). The bytes equal those that were loaded.
 * Returns 0, SB_E_LIMIT if the buffer refused. */
struct sb_buf;
sb_err sb_model_encode(struct sb_buf *ret_file, const struct sb_model *model) SB_MUST_USE;

/* The graph, for `model inspect` and tools: tensors by index, nodes in order of execution. */
struct sb_model_node {
    const char *name;
    uint16_t op_id;
    uint16_t op_version;
    const char *op_name;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t attr_count;
    const uint32_t *inputs;  /* tensor indices */
    const uint32_t *outputs; /* tensor indices */
    const int64_t *attrs;
    struct sb_units units; /* work of this node */
};
/* sb_model_node: node index < node_count. sb_model_tensor, sb_model_tensor_name: tensor index < tensor_count. */
struct sb_model_node sb_model_node(const struct sb_model *model, uint32_t index);
const struct sb_tensor_desc *sb_model_tensor(const struct sb_model *model, uint32_t index);
const char *sb_model_tensor_name(const struct sb_model *model, uint32_t index);
/* sb_model_tensor_range: the interval proven for a tensor's elements; inside [desc.lo, desc.hi]. */
void sb_model_tensor_range(int64_t *ret_lo, int64_t *ret_hi, const struct sb_model *model,
                           uint32_t index);

#endif
