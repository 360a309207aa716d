/* rows.h: two or three operands broadcast to one shape and visited row by row, in their own type. Private to vm/tensor.
 *
 *     a [4, 1, 3], b [5, 1] -> y [4, 5, 3]         rows run along the last dimension; neighbouring dimensions that all operands walk
 *                                                  through alike are merged first, so equal shapes are one row
 *
 * An operand that repeats one element along the row is spread into a buffer, so that functions of rows see plain arrays only.
 * Rules of shapes: docs/spec/numerics.md 6. */
#ifndef SB_VM_TENSOR_ROWS_H
#define SB_VM_TENSOR_ROWS_H

#include "vm/tensor/op.h"

#define SB_ROWS_OPERANDS_MAX 3u
#define SB_ROWS_BLOCK                                                                              \
    256u /* elements that a function is given at once, if an operand repeats an element */

/* sb_rows_infer: the output has the shape that all inputs of the node broadcast to. */
sb_err sb_rows_infer(const struct sb_check *c) SB_MUST_USE;

/* sb_rows_cost: `units` of the class, ROW for each row of each operand. */
void sb_rows_cost(const struct sb_check *c, enum sb_gas_class gas_class, uint64_t units);

/* sb_rows_run: y[i] = fn(in[0][i], in[1][i], ..), a row or a block of it at a time. */
typedef void (*sb_row_fn)(void *ret_y, const void *const *in, size_t count);
void sb_rows_run(const struct sb_exec *x, sb_row_fn fn);

#endif
