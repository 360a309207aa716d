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
 * BatchNormalization by constants become Add and Mul. Writers are not kept up to date. */
sb_err sb_pass_expand(struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

/* sb_pass_linear: bring MatMul, Gemm and Conv to one form and fold the Add and Mul by constants that follow them into them. */
sb_err sb_pass_linear(struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

#endif
