/* lower_impl.h: what the files of the lowering share. Private. */
#ifndef SB_VM_COMPILER_LOWER_IMPL_H
#define SB_VM_COMPILER_LOWER_IMPL_H

#include <math.h>

#include "vm/compiler/lower.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/tensor/ops.h"

/* What the node being lowered writes: its value, or that of the last Relu or Clip that melts into it. */
struct sb_target {
    uint32_t value;
    double clip_lo; /* infinities where nothing clips */
    double clip_hi;
};

/* sb_lower_target: follow the Relus and Clips after output number `index`. They are marked as melted: the walk passes them by. */
struct sb_target sb_lower_target(struct sb_lowering *l, const struct sb_graph_node *node,
                                 uint32_t index);

/* sb_lower_format: the format of the target by precision, given scale and calibrated range, clipped. bound: greatest magnitude that the value
 * can have, for values without a range; INFINITY if not known. */
sb_err sb_lower_format(struct sb_format *ret, const struct sb_lowering *l,
                       const struct sb_target *target, const struct sb_graph_node *node,
                       double bound) SB_MUST_USE;
/* sb_lower_clip: narrow [lo, hi] of a format to the target's clip bounds. */
void sb_lower_clip(struct sb_format *format, const struct sb_target *target);

/* sb_lower_emit: a node and the tensor that it writes, named after the value. */
uint32_t sb_lower_emit(struct sb_lowering *l, uint32_t value, enum sb_op_id op,
                       const uint32_t *inputs, uint32_t input_count, const struct sb_format *format,
                       const struct sb_shape *shape, const int64_t *attrs);

/* sb_lower_set: the value is lowered. */
void sb_lower_set(struct sb_lowering *l, uint32_t value, const struct sb_lowered *lowered,
                  enum sb_op_id op);

/* sb_lower_get: how input number `index` of a node is held, brought to PLAIN or NHWC. Any other layout than FLAT can be asked for; ask for
 * FLAT to take what is there. Constants become tensors in `precision`'s type. */
sb_err sb_lower_get(struct sb_lowered *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                    uint32_t index, enum sb_layout layout) SB_MUST_USE;

/* sb_lower_get_as: as sb_lower_get, in a format: a constant is written in it, a computed value is rescaled to it. */
sb_err sb_lower_get_as(struct sb_lowered *ret, struct sb_lowering *l,
                       const struct sb_graph_node *node, uint32_t index, enum sb_layout layout,
                       const struct sb_format *format) SB_MUST_USE;

/* sb_lower_common_layout: the layout that all inputs can be brought to: NHWC if one of them is held so and the others can be, else PLAIN. */
enum sb_layout sb_lower_common_layout(const struct sb_lowering *l,
                                      const struct sb_graph_node *node);

/* sb_lower_convert: bring a tensor to another format with RESCALE. */
sb_err sb_lower_convert(struct sb_lowered *x, struct sb_lowering *l,
                        const struct sb_graph_node *node, uint32_t value,
                        const struct sb_format *format) SB_MUST_USE;

/* sb_lower_magnitude: the greatest |raw - zero point|. */
double sb_lower_magnitude(const struct sb_format *format);

/* sb_lower_axis: an ONNX axis as a dimension of the tensor that holds the value. */
uint32_t sb_lower_axis(const struct sb_lowered *x, uint32_t axis);

/* sb_lower_shape: an ONNX shape in a layout (NHWC permutes rank 4). */
struct sb_shape sb_lower_shape(const struct sb_shape *onnx, enum sb_layout layout);

/* sb_lower_indexed: the node reads an input as indices, which must lie in [lo, hi]. */
struct sb_indexed {
    uint32_t input;
    int64_t lo;
    int64_t hi;
};
bool sb_lower_indexed(struct sb_indexed *ret, const struct sb_graph *graph,
                      const struct sb_graph_node *node);

/* sb_lower_eval: the node as its reference function sees it: input 0 with its shape, other inputs if they are constants. */
struct sb_eval sb_lower_eval(struct sb_lowering *l, const struct sb_graph_node *node);

/* sb_lower_note: a sentence for the report. */
void sb_lower_note(struct sb_lowering *l, const char *fmt, ...) SB_PRINTF(2, 3);

/* The operators, by file. */
sb_err sb_lower_linear(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_trees(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_binary(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_clamp(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_pool(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_unary(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_softmax(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_arg_max(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_gather(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_reshape(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_transpose(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_concat(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_pad(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;

sb_err sb_lower_move(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_resize(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_scatter(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_tensor_scatter(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;

sb_err sb_lower_combine(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_compare(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_where(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_map(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_reduce(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_cum_sum(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_top_k(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_cast(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;

sb_err sb_lower_matmul(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_norm(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_log_sum_exp(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_masked_softmax(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_quantize(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
sb_err sb_lower_div(struct sb_lowering *l, const struct sb_graph_node *node) SB_MUST_USE;
/* sb_lower_cubics: a function of one number as a table of cubics: any type to the type that the precision gives. sb_lower_log, sb_lower_sqrt,
 * sb_lower_reciprocal: these by their operators. */
sb_err sb_lower_cubics(struct sb_lowering *l, const struct sb_graph_node *node,
                       const struct sb_target *target, const struct sb_lowered *x) SB_MUST_USE;
sb_err sb_lower_log(struct sb_lowering *l, const struct sb_graph_node *node,
                    const struct sb_target *target, const struct sb_lowered *x) SB_MUST_USE;
sb_err sb_lower_sqrt(struct sb_lowering *l, const struct sb_graph_node *node,
                     const struct sb_target *target, const struct sb_lowered *x) SB_MUST_USE;
sb_err sb_lower_reciprocal(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_target *target, const struct sb_lowered *x) SB_MUST_USE;

/* sb_lower_no_factor: an error: scales that no integers can join. */
sb_err sb_lower_no_factor(struct sb_lowering *l, const struct sb_graph_node *node);

/* sb_lower_tree_input: the format of an input that trees read: fixed point, fine enough to keep all thresholds of a feature apart. */
struct sb_format sb_lower_tree_input(const struct sb_lowering *l, uint32_t value);

/* Functions of trees and classifiers that other operators share: softmax, sigmoid and argmax of a tensor. */
sb_err sb_lower_softmax_of(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_target *target, const struct sb_lowered *x) SB_MUST_USE;
sb_err sb_lower_function_of(struct sb_lowering *l, const struct sb_graph_node *node,
                            const struct sb_target *target, const struct sb_lowered *x,
                            enum sb_op_id op) SB_MUST_USE;

#endif
