/* broadcast.h: two operands brought to one shape, for the operators of two operands. Private to vm/tensor.
 *
 *     a [4, 1, 3], b [5, 1] -> y [4, 5, 3]          a row: the elements along the last dimension; a stride of 0 repeats an element or row
 *
 * Rules of shapes: docs/spec/numerics.md 6. */
#ifndef SB_VM_TENSOR_BROADCAST_H
#define SB_VM_TENSOR_BROADCAST_H

#include "vm/tensor/op.h"

/* sb_broadcast_infer: the output has the shape that a and b broadcast to. */
sb_err sb_broadcast_infer(const struct sb_check *c) SB_MUST_USE;

/* sb_broadcast_cost: ELEMENTWISE for each element of y, ROW for each row of each operand. */
void sb_broadcast_cost(const struct sb_check *c);

/* sb_broadcast_run: y = fn(a, b), block by block: a and b are int32 lanes without their zero points, at most SB_BROADCAST_BLOCK of them;
 * fn leaves elements of y with its zero point. Operands and y are i8, u8, i16, u16 or i32. */
#define SB_BROADCAST_BLOCK 512u
typedef void (*sb_broadcast_fn)(int32_t *ret, const int32_t *a, const int32_t *b, size_t count,
                                const void *ctx);
void sb_broadcast_run(const struct sb_exec *x, sb_broadcast_fn fn, const void *ctx);

#endif
