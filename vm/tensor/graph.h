/* graph.h: a model in memory, as parser, verifier, planner and operators share it. Private to vm/tensor.
 *
 *     sb_model
 *       memory ------------ arena that owns everything below
 *       tensors[tensor_count]   --- const: data points to elements in host byte order, 64-aligned
 *       nodes[node_count]       --- inputs and attrs point into two pools
 *
 * Order of filling: format.c (tensors, nodes, constants) -> verify.c (ranges, units, workspace) -> plan.c (arena_offset) -> model.c
 * (description) -> prepare.c (weights arranged for a CPU level). Nothing changes afterwards. */
#ifndef SB_VM_TENSOR_GRAPH_H
#define SB_VM_TENSOR_GRAPH_H

#include "base/util/arena.h"
#include "vm/tensor/model.h"

#define SB_TENSOR_ALIGN_BYTES ((size_t)64)

struct sb_op;

struct sb_tensor {
    struct sb_tensor_desc desc;
    const char *name;
    uint64_t count;        /* elements */
    uint64_t bytes;        /* count * element size */
    const void *data;      /* constants only, else NULL */
    uint64_t arena_offset; /* inputs and computed tensors: place in the scratch of a run */
    int64_t lo; /* proven: every element is in [lo, hi], itself inside [desc.lo, desc.hi] */
    int64_t hi;
    const int8_t *packed
        [2]; /* constants: arranged for x of one byte and of two, for whoever shares them; or NULL */
    bool ready; /* while verifying: has a value at this point of the order */
};

struct sb_node {
    const struct sb_op *op;
    const char *name;
    uint32_t input_count;
    uint32_t attr_count;
    uint32_t output;        /* tensor index */
    const uint32_t *inputs; /* [input_count] tensor indices */
    const int64_t *attrs;   /* [attr_count] */
    uint64_t workspace_bytes;
    const void *prepared; /* what the operator's prepare made; or NULL */
    struct sb_units units;
};

struct sb_model {
    struct sb_arena memory;
    struct sb_arena prepared; /* what prepare.c makes */
    struct sb_model_info info;
    sb_hash sha256;
    struct sb_tensor *tensors;
    struct sb_node *nodes;
    uint32_t *outputs;                /* [info.output_count] tensor indices */
    uint32_t *inputs;                 /* [info.input_count] tensor indices, ascending */
    uint64_t workspace_offset;        /* in the scratch, after the tensors */
    const struct sb_kernels *kernels; /* of sb_model_prepare; the C reference before */
    uint64_t plan_bytes; /* tensors and workspace; arena_bytes adds room for alignment */
};

/* sb_format_parse: fill name, tensors, nodes, inputs, outputs and constants of an empty model from a file (format.c). The model's
 * arena is initialised by the caller. Errors as sb_model_load. */
sb_err sb_format_parse(struct sb_model *model, sb_bytes file, struct sb_diag *diag) SB_MUST_USE;

/* sb_verify: order of nodes, types, shapes, attributes, proven ranges, units, workspace (verify.c). */
sb_err sb_verify(struct sb_model *model, struct sb_diag *diag) SB_MUST_USE;

/* sb_plan: a place in the scratch for each input and computed tensor, so that tensors alive at the same time never overlap (plan.c). */
sb_err sb_plan(struct sb_model *model, struct sb_diag *diag) SB_MUST_USE;

static inline uint64_t sb_align_up(uint64_t value)
{
    return (value + (SB_TENSOR_ALIGN_BYTES - 1)) & ~(uint64_t)(SB_TENSOR_ALIGN_BYTES - 1);
}

#endif
