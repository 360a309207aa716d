/* axis.h: places along one axis, or named by lists of indices: what the operators share that take and scatter elements. Private.
 *
 *     x [outer.., size, inner..]    element number = (o * size + a) * inner + i
 *     x [batch.., d_0 .. d_(k-1), inner..] with lists of k indices: row = (i_0 * d_1 + i_1) * d_2 + ...       docs/spec/numerics.md 10.7 */
#ifndef SB_VM_TENSOR_AXIS_H
#define SB_VM_TENSOR_AXIS_H

#include "vm/tensor/op.h"

#define SB_CACHE_LINE_BYTES 64u

struct sb_axis {
    uint32_t axis;
    size_t outer;
    size_t size;
    size_t inner;
};

struct sb_axis sb_axis_of(const struct sb_shape *shape, uint32_t axis);

/* sb_axis_infer: attribute number `attr` is an axis of x. */
sb_err sb_axis_infer(struct sb_axis *ret, const struct sb_check *c, const struct sb_tensor *x,
                     uint32_t attr) SB_MUST_USE;

/* sb_axis_check_index: an i32 tensor, proven inside [-size, size - 1]. */
sb_err sb_axis_check_index(const struct sb_check *c, const struct sb_tensor *index,
                           int64_t size) SB_MUST_USE;

/* sb_axis_check_along: index has the rank of x, at least 1, and is nowhere longer than x but along the axis. */
sb_err sb_axis_check_along(const struct sb_check *c, const struct sb_tensor *x,
                           const struct sb_tensor *index, uint32_t axis) SB_MUST_USE;

/* sb_axis_row_start: the element of x (index 0 along the axis) that belongs to the first one of row number `row` of an index shape. */
size_t sb_axis_row_start(const struct sb_shape *x, const struct sb_shape *index, uint32_t axis,
                         size_t row);

/* sb_axis_miss_units: charge for cache lines touched at places that data decides, anywhere in so many bytes, where these are more than a
 * near cache holds. */
void sb_axis_miss_units(const struct sb_check *c, uint64_t reach_bytes, uint64_t places);

/* sb_axis_index: a proven index, negative ones from the end. */
static inline size_t sb_axis_index(int32_t index, size_t size)
{
    return (size_t)((int64_t)index + (index < 0 ? (int64_t)size : 0));
}

/* Lists of indices. */
struct sb_nd {
    uint32_t batch_rank;
    uint32_t depth; /* indices in a list: k */
    size_t batches;
    size_t rows;       /* lists in a batch */
    size_t batch_rows; /* rows of x in a batch: d_0 * .. * d_(k-1) */
    size_t inner;      /* elements of a row */
    size_t dim[SB_TENSOR_RANK_MAX];
};

struct sb_nd sb_nd_of(const struct sb_shape *x, const struct sb_shape *index, uint32_t batch_rank);

/* sb_nd_infer: shapes fit, and every index lies inside the smallest dimension that it could mean, or, of a constant, inside its own. */
sb_err sb_nd_infer(struct sb_nd *ret, const struct sb_check *c, const struct sb_tensor *x,
                   const struct sb_tensor *index, uint32_t batch_rank) SB_MUST_USE;

/* sb_nd_row: the row that a list names. */
static inline size_t sb_nd_row(const struct sb_nd *nd, const int32_t *index)
{
    size_t row = 0;
    for (uint32_t k = 0; k < nd->depth; k++) {
        row = row * nd->dim[k] + sb_axis_index(index[k], nd->dim[k]);
    }
    return row;
}

#endif
