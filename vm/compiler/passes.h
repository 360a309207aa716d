/* passes.h: rewriting a loaded graph until only operators are left that lowering knows, without changing what it computes.
 *
 *     fix the batch -> infer shapes, fold constants -> drop identities, take QDQ scales -> fuse patterns -> expand what is made of others
 *                   -> bring linear layers to one form -> fold scalings and biases into them -> drop what nobody reads
 *
 * After the passes each Conv has constant weights [O, I/groups, KH, KW] and bias [O]; each Gemm constant weights [N, K] (transB 1, alpha and
 * beta 1) and bias [N]; Sub, Div and BatchNormalization by constants have become Add and Mul; every value has a shape. */
#ifndef SB_VM_COMPILER_PASSES_H
#define SB_VM_COMPILER_PASSES_H

#include "vm/compiler/graph.h"

/* sb_passes_fix_dims: give free dimensions of inputs the sizes of a list "NAME=SIZE,NAME=SIZE"; NULL: an empty list. SB_E_ARG if it is
 * malformed or names no free dimension. */
sb_err sb_passes_fix_dims(struct sb_graph *graph, const char *dims,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_passes_fix_batch: give free dimensions of inputs a value: the first is the batch, others are an error. Also finds the element types
 * of computed values (sb_passes_elems). */
sb_err sb_passes_fix_batch(struct sb_graph *graph, uint32_t batch,
                           struct sb_diag *diag) SB_MUST_USE;

/* sb_passes_elems: element types of computed values, from those of inputs and constants: one pass in the order of execution. */
void sb_passes_elems(struct sb_graph *graph);

/* sb_passes_first_shape_input: the first input from which on an operator's inputs say what shape its output has, so that they must be
 * constants; UINT32_MAX if none does. */
uint32_t sb_passes_first_shape_input(const struct sb_graph_node *node);

/* sb_passes_run: all passes, on a graph whose batch is fixed. Errors name the node. */
sb_err sb_passes_run(struct sb_graph *graph, struct sb_diag *diag) SB_MUST_USE;

#endif
