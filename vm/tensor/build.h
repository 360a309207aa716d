/* build.h: writing a model file: the compiler's door to the format.
 *
 *     b = sb_build_new("digits");
 *     x = sb_build_input(b, "pixels", &desc);     w = sb_build_const(b, "w1", SB_DTYPE_I8, &shape, NULL, weights);  ...
 *     y = sb_build_tensor(b, "hidden", &desc);
 *     sb_build_node(b, "fc1", SB_OP_GEMM, 1, (uint32_t[]){x, w, bias, mult, shift}, 5, y, NULL, 0);
 *     sb_build_output(b, y);
 *     err = sb_build_finish(&file, b, &diag);     sb_build_free(b);
 *
 * Nodes are added in order of execution: a node's inputs exist before it. Failures (a limit, memory, a bad index) are sticky and
 * reported by sb_build_finish, which also loads the file it wrote: what it returns is an accepted model. */
#ifndef SB_VM_TENSOR_BUILD_H
#define SB_VM_TENSOR_BUILD_H

#include "base/util/buf.h"
#include "base/util/err.h"
#include "vm/tensor/ops.h"
#include "vm/tensor/tensor.h"

struct sb_build;

#define SB_BUILD_NONE UINT32_MAX /* index returned after a failure; passing it on is allowed */

/* sb_build_new: an empty model; NULL if memory is refused. Names are printable ASCII, at most SB_MODEL_NAME_BYTES_MAX bytes; other
 * bytes are replaced by '_' and longer names are cut. */
struct sb_build *sb_build_new(const char *model_name);
void sb_build_free(struct sb_build *build);

/* sb_build_input, sb_build_tensor: declare an input, or a tensor that a node will write. desc.kind is set by the function. For a
 * computed tensor [lo, hi] is the clamp of the node that writes it (for data movement: any range that holds; the type's own range
 * always does). Returns the tensor's index. */
uint32_t sb_build_input(struct sb_build *build, const char *name,
                        const struct sb_tensor_desc *desc);
uint32_t sb_build_tensor(struct sb_build *build, const char *name,
                         const struct sb_tensor_desc *desc);

/* sb_build_const: elements is an array of the C type of dtype (int8_t ... int64_t, bool as uint8_t) in host byte order; copied. quant NULL:
 * zero point 0, scale 1. lo and hi are found from the elements. */
uint32_t sb_build_const(struct sb_build *build, const char *name, enum sb_dtype dtype,
                        const struct sb_shape *shape, const struct sb_quant *quant,
                        const void *elements);

/* sb_build_node: add an operator (ops.h) that writes `output`. */
void sb_build_node(struct sb_build *build, const char *name, enum sb_op_id op_id,
                   uint16_t op_version, const uint32_t *inputs, uint32_t input_count,
                   uint32_t output, const int64_t *attrs, uint32_t attr_count);

/* sb_build_output: the tensor is an output of the model; outputs keep the order of the calls. */
void sb_build_output(struct sb_build *build, uint32_t tensor);

/* sb_build_desc: the description of a tensor that was added (for compilers that ask back); NULL for SB_BUILD_NONE. */
const struct sb_tensor_desc *sb_build_desc(const struct sb_build *build, uint32_t tensor);

/* sb_build_finish: append the file to ret_file and verify it. Returns 0, the first failure of the calls above, or what
 * sb_model_load says of the file. */
sb_err sb_build_finish(struct sb_buf *ret_file, const struct sb_build *build,
                       struct sb_diag *diag) SB_MUST_USE;

#endif
