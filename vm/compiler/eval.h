/* eval.h: the float reference: each operator as ONNX defines it, in double. It calibrates, folds constants, finds shapes, and is what the
 * integer model is measured against.
 *
 * Sums are taken in double and results are not rounded to float32, so it differs from a float32 runtime by about 1e-6 relative. Tree
 * thresholds and inputs of type float are float32 values, so every comparison is the same. */
#ifndef SB_VM_COMPILER_EVAL_H
#define SB_VM_COMPILER_EVAL_H

#include "vm/compiler/graph.h"
#include "vm/tensor/ops.h"

/* A node being evaluated. */
struct sb_eval {
    const struct sb_graph *graph;
    const struct sb_graph_node *node;
    const struct sb_array *in[SB_GRAPH_OPERANDS_MAX]; /* NULL: omitted */
    struct sb_array
        *out; /* [output_count]; the function sets shape and data of those it computes */
    struct sb_arena *memory;
    struct sb_diag *diag;
};

typedef sb_err (*sb_eval_fn)(struct sb_eval *e);

/* sb_eval_alloc: give output number `index` this shape and memory for it. Returns 0, SB_E_LIMIT or SB_E_NOMEM. */
sb_err sb_eval_alloc(struct sb_eval *e, uint32_t index, const struct sb_shape *shape) SB_MUST_USE;

/* sb_eval_work: refuse a node of more than 2^38 multiply-adds (an hour of work). count: results; each: multiply-adds for one. */
sb_err sb_eval_work(const struct sb_eval *e, uint64_t count, uint64_t each) SB_MUST_USE;

/* sb_eval_node: evaluate one node: arrays [value_count] hold its inputs (data NULL: not computed) and receive its outputs. */
sb_err sb_eval_node(struct sb_array *arrays, const struct sb_graph *graph, uint32_t node,
                    struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

/* sb_eval_graph: evaluate all nodes. arrays [value_count] come with the inputs filled; constants and results are filled in; memory is where
 * results live. */
sb_err sb_eval_graph(struct sb_array *arrays, const struct sb_graph *graph, struct sb_arena *memory,
                     struct sb_diag *diag) SB_MUST_USE;

/* sb_eval_inputs: let arrays [value_count] of the inputs point into x, which holds them end to end; x is borrowed. */
void sb_eval_inputs(struct sb_array *arrays, const struct sb_graph *graph, double *x);

/* sb_eval_axis: an ONNX axis, negative from the end, as an index below rank. SB_E_RANGE if outside. */
sb_err sb_eval_axis(uint32_t *ret, const struct sb_eval *e, int64_t axis,
                    uint32_t rank) SB_MUST_USE;

/* sb_eval_broadcast: the shape that the two inputs broadcast to. sb_eval_operand: the element of input `index` that belongs to element `at`
 * of that shape. */
sb_err sb_eval_broadcast(struct sb_shape *ret, struct sb_eval *e) SB_MUST_USE;
double sb_eval_operand(const struct sb_eval *e, uint32_t index, const struct sb_shape *shape,
                       uint64_t at);

/* sb_eval_int: the integer that a double holds, brought into +-2^62. sb_eval_wrap: an integer modulo 2^bits of its ONNX type. */
int64_t sb_eval_int(double v);
double sb_eval_wrap(enum sb_elem elem, int64_t v);

/* sb_eval_choose: the float reference of elementwise operators on integers and bools, of comparisons, and of Max, Min, Mod, Sum and Mean. */
sb_err sb_eval_choose(struct sb_eval *e);

/* sb_eval_reduced: the dimensions that a Reduce operator sums over, as bits. Errors name the node. */
sb_err sb_eval_reduced(uint32_t *ret, const struct sb_graph *graph,
                       const struct sb_graph_node *node, const struct sb_shape *x,
                       struct sb_diag *diag) SB_MUST_USE;

/* sb_eval_whole: a double that stands for an integer, brought into +-2^62. */
int64_t sb_eval_whole(double v);

/* sb_eval_ints: a short list of integers: an attribute, or, where the node lacks it, an input; *ret_count 0 if there is neither. */
#define SB_EVAL_INTS_MAX 64u
sb_err sb_eval_ints(int64_t ret[SB_EVAL_INTS_MAX], size_t *ret_count, const struct sb_eval *e,
                    uint32_t input, const char *attr) SB_MUST_USE;

/* sb_eval_split_sizes: of Split: the size of each output along *ret_axis. */
sb_err sb_eval_split_sizes(int64_t ret[SB_GRAPH_OPERANDS_MAX], uint32_t *ret_axis,
                           const struct sb_eval *e) SB_MUST_USE;

/* sb_eval_pads: of Pad: elements before each dimension, then, from index rank on, after it; negative ones are cut off. */
sb_err sb_eval_pads(int64_t ret[2 * SB_TENSOR_RANK_MAX], const struct sb_eval *e,
                    uint32_t rank) SB_MUST_USE;

/* sb_eval_scatter_mode: the attribute `reduction` of the scatters; false if it is not known. */
bool sb_eval_scatter_mode(enum sb_scatter_mode *ret, const struct sb_graph_node *node);

/* sb_eval_window: geometry of a pooling or convolution window over an image [N, C, (D,) (H,) W], from the node's attributes. Always three
 * axes; those that the image lacks come first, with one element. out counts the windows that ceil_mode adds; they reach `beyond` elements
 * past the padding. kernel: one number for each dimension of the image. sb_eval_pool_window: the same for a pool, global or not. */
#define SB_EVAL_WINDOW_AXES 3
struct sb_eval_window {
    uint32_t rank; /* of the image: 1 .. 3 */
    int64_t kernel[SB_EVAL_WINDOW_AXES], stride[SB_EVAL_WINDOW_AXES], dilation[SB_EVAL_WINDOW_AXES];
    int64_t pad_before[SB_EVAL_WINDOW_AXES], pad_after[SB_EVAL_WINDOW_AXES];
    int64_t in[SB_EVAL_WINDOW_AXES], out[SB_EVAL_WINDOW_AXES], beyond[SB_EVAL_WINDOW_AXES];
};
sb_err sb_eval_window(struct sb_eval_window *ret, const struct sb_graph_node *node,
                      const struct sb_shape *x, const int64_t *kernel,
                      struct sb_diag *diag) SB_MUST_USE;
sb_err sb_eval_pool_window(struct sb_eval_window *ret, const struct sb_graph_node *node,
                           const struct sb_shape *x, struct sb_diag *diag) SB_MUST_USE;
/* sb_eval_transposed: of a ConvTranspose: y[i * stride + k * dilation - pad_before] gets x[i] * w[k]; pad_after is not used. */
sb_err sb_eval_transposed(struct sb_eval_window *ret, const struct sb_graph_node *node,
                          const struct sb_shape *x, const struct sb_shape *weights,
                          struct sb_diag *diag) SB_MUST_USE;

/* The function of an elementwise operator of one input (Sigmoid, LeakyRelu, ...), for tables; false if the node is not one. */
bool sb_eval_unary_of(double *ret, const struct sb_graph_node *node, double x);

/* sb_clip_bounds: bounds of Relu and Clip (attributes or constant inputs); infinities where there is none. False if the node is neither, or
 * its bounds are not constant. */
bool sb_clip_bounds(double *ret_lo, double *ret_hi, const struct sb_graph *graph,
                    const struct sb_graph_node *node);

#endif
