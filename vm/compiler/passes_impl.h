/* passes_impl.h: what the files of the passes share. Private. */
#ifndef SB_VM_COMPILER_PASSES_IMPL_H
#define SB_VM_COMPILER_PASSES_IMPL_H

#include "vm/compiler/graph.h"

sb_err sb_pass_nomem(struct sb_diag *diag);

/* sb_pass_const: a new constant value of zeros. */
sb_err sb_pass_const(uint32_t *ret, struct sb_graph *graph, const char *name,
                     const struct sb_shape *shape, struct sb_diag *diag) SB_MUST_USE;

/* sb_pass_set_attrs: give a node these attributes instead of its own. */
sb_err sb_pass_set_attrs(struct sb_graph *graph, struct sb_graph_node *node,
                         const struct sb_attr *attrs, uint32_t count,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_pass_expand: Scaler, LinearRegressor and LinearClassifier become Add, Mul, Gemm, Softmax, Sigmoid, ArgMax and Gather; Sub, Div and
 * BatchNormalization by constants become Add and Mul; and so on, one step: what a node becomes may be expanded further by the next
 * call, when its shapes are known. *ret_changed: something was expanded. Writers are not kept up to date. */
sb_err sb_pass_expand(bool *ret_changed, struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

/* A node being expanded, and the list of nodes that the pass writes, in order of execution. */
struct sb_expansion {
    struct sb_graph *graph;
    struct sb_graph_node *nodes; /* [capacity] */
    uint32_t count;
    uint32_t capacity;
    const struct sb_graph_node *origin;
    struct sb_diag *diag;
};

/* sb_expand_node: append a node of the default domain (operator set SB_EXPAND_OPSET) or of domain samebit, named after the origin. inputs may hold SB_NO_VALUE for
 * an omitted one. *output SB_NO_VALUE makes a new value; else the node writes that one. attrs are copied, what they point to is not. */
#define SB_EXPAND_OPSET 18
sb_err sb_expand_node(uint32_t *output, struct sb_expansion *x, const char *op,
                      const uint32_t *inputs, uint32_t input_count, const struct sb_attr *attrs,
                      uint32_t attr_count) SB_MUST_USE;

/* sb_expand_value: a new computed value without a writer yet, with a name of its own. */
sb_err sb_expand_value(uint32_t *ret, struct sb_expansion *x) SB_MUST_USE;

/* sb_expand_const: a new constant; data NULL: zeros. sb_expand_ints: a list of int64, as shapes and axes are given. */
sb_err sb_expand_const(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem,
                       const struct sb_shape *shape, const double *data) SB_MUST_USE;
sb_err sb_expand_ints(uint32_t *ret, struct sb_expansion *x, const int64_t *ints,
                      size_t count) SB_MUST_USE;

/* sb_expand_slice, _reshape: by constants. */
sb_err sb_expand_slice(uint32_t *output, struct sb_expansion *x, uint32_t from,
                       const int64_t *starts, const int64_t *ends, const int64_t *axes,
                       size_t count) SB_MUST_USE;
sb_err sb_expand_reshape(uint32_t *output, struct sb_expansion *x, uint32_t from,
                         const struct sb_shape *shape) SB_MUST_USE;

/* The expansions, by file: *ret_done false if the node is none of theirs, or stays as it is. */
sb_err sb_expand_move(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;
sb_err sb_expand_choice(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;
sb_err sb_expand_classic(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;
sb_err sb_expand_window(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;
sb_err sb_expand_rnn(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;
sb_err sb_expand_quant(bool *ret_done, struct sb_expansion *x) SB_MUST_USE;

/* sb_attr_int, sb_attr_ints, sb_attr_string: attributes for sb_expand_node; what they point to must last as long as the graph (arena). */
static inline struct sb_attr sb_attr_int(const char *name, int64_t i)
{
    return (struct sb_attr){.name = name, .kind = SB_ATTR_KIND_INT, .i = i};
}

static inline struct sb_attr sb_attr_ints(const char *name, const int64_t *ints, size_t count)
{
    return (struct sb_attr){.name = name, .kind = SB_ATTR_KIND_INTS, .ints = ints, .count = count};
}

static inline struct sb_attr sb_attr_string(const char *name, const char *s)
{
    return (struct sb_attr){.name = name, .kind = SB_ATTR_KIND_STRING, .s = s};
}

/* sb_expand_unary, sb_expand_binary: nodes without attributes. sb_expand_scalar: a real constant of rank 0. */
sb_err sb_expand_unary(uint32_t *output, struct sb_expansion *x, const char *op,
                       uint32_t a) SB_MUST_USE;
sb_err sb_expand_binary(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a,
                        uint32_t b) SB_MUST_USE;
sb_err sb_expand_scalar(uint32_t *ret, struct sb_expansion *x, double value) SB_MUST_USE;
/* sb_expand_transpose: by a permutation of `rank` axes. */
sb_err sb_expand_transpose(uint32_t *output, struct sb_expansion *x, uint32_t a,
                           const uint32_t *perm, uint32_t rank) SB_MUST_USE;

/* Expansions by file; *changed false: the operator is not theirs, or is as simple as it gets. */
sb_err sb_expand_math(bool *changed,
                      struct sb_expansion *x) SB_MUST_USE; /* powers, softmax forms */
sb_err sb_expand_norm(bool *changed, struct sb_expansion *x) SB_MUST_USE;   /* normalisations */
sb_err sb_expand_matmul(bool *changed, struct sb_expansion *x) SB_MUST_USE; /* forms of products */
sb_err sb_expand_attention(bool *changed, struct sb_expansion *x) SB_MUST_USE;

/* sb_pass_fuse: bring patterns that exporters write out (norms, GELU, SiLU, attention) back to one operator. Shapes are known and writers up
 * to date; nodes that nobody reads any more stay, for the caller to drop. */
sb_err sb_pass_fuse(struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

/* sb_pass_linear: bring MatMul, Gemm and Conv to one form and fold the Add and Mul by constants that follow them into them. */
sb_err sb_pass_linear(struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

#endif
