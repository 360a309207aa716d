/* axis.c: see axis.h. */
#include "vm/tensor/axis.h"

#include <inttypes.h>

#define NEAR_BYTES                                                                                 \
    (UINT64_C(256)                                                                                 \
     << 10) /* what stays in the second cache, where a place taken at random costs no more than a row */

struct sb_axis sb_axis_of(const struct sb_shape *shape, uint32_t axis)
{
    struct sb_axis a = {.axis = axis, .outer = 1, .size = shape->dims[axis], .inner = 1};
    for (uint32_t i = 0; i < shape->rank; i++) {
        a.outer *= i < axis ? shape->dims[i] : 1;
        a.inner *= i > axis ? shape->dims[i] : 1;
    }
    return a;
}

sb_err sb_axis_infer(struct sb_axis *ret, const struct sb_check *c, const struct sb_tensor *x,
                     uint32_t attr)
{
    if (x->desc.shape.rank == 0) {
        return sb_fail(c->diag, SB_E_SHAPE, "'%s' is a scalar and has no axis", x->name);
    }
    SB_TRY(sb_check_attr(c, attr, "AXIS", 0, (int64_t)x->desc.shape.rank - 1));
    *ret = sb_axis_of(&x->desc.shape, (uint32_t)c->attrs[attr]);
    return SB_OK;
}

sb_err sb_axis_check_index(const struct sb_check *c, const struct sb_tensor *index, int64_t size)
{
    SB_TRY(sb_check_dtype(c, index, "input index", SB_DTYPE_BIT(I32)));
    if (index->lo < -size || index->hi >= size) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "indices '%s' are in [%" PRId64 ", %" PRId64 "], not proven inside a "
                       "dimension of %" PRId64,
                       index->name, index->lo, index->hi, size);
    }
    return SB_OK;
}

sb_err sb_axis_check_along(const struct sb_check *c, const struct sb_tensor *x,
                           const struct sb_tensor *index, uint32_t axis)
{
    SB_TRY(sb_check_rank(c, index, "input index", x->desc.shape.rank));
    for (uint32_t i = 0; i < x->desc.shape.rank; i++) {
        if (i != axis && index->desc.shape.dims[i] > x->desc.shape.dims[i]) {
            return sb_fail(c->diag, SB_E_SHAPE, "'%s' is longer than '%s' along dimension %" PRIu32,
                           index->name, x->name, i);
        }
    }
    return SB_OK;
}

size_t sb_axis_row_start(const struct sb_shape *x, const struct sb_shape *index, uint32_t axis,
                         size_t row)
{
    size_t at = 0;
    size_t stride = x->dims[x->rank - 1];
    for (uint32_t i = x->rank - 1; i-- > 0;) {
        at += i == axis ? 0 : row % index->dims[i] * stride;
        row /= index->dims[i];
        stride *= x->dims[i];
    }
    return at;
}

void sb_axis_miss_units(const struct sb_check *c, uint64_t reach_bytes, uint64_t places)
{
    if (reach_bytes > NEAR_BYTES) {
        sb_units_add(&c->node->units, SB_GAS_CLASS_MISS, places);
    }
}

struct sb_nd sb_nd_of(const struct sb_shape *x, const struct sb_shape *index, uint32_t batch_rank)
{
    struct sb_nd nd = {.batch_rank = batch_rank,
                       .depth = index->dims[index->rank - 1],
                       .batches = 1,
                       .rows = 1,
                       .batch_rows = 1,
                       .inner = 1};
    for (uint32_t i = 0; i + 1 < index->rank; i++) {
        nd.batches *= i < batch_rank ? index->dims[i] : 1;
        nd.rows *= i < batch_rank ? 1 : index->dims[i];
    }
    for (uint32_t i = batch_rank; i < x->rank; i++) {
        if (i < batch_rank + nd.depth) {
            nd.dim[i - batch_rank] = x->dims[i];
            nd.batch_rows *= x->dims[i];
        } else {
            nd.inner *= x->dims[i];
        }
    }
    return nd;
}

/* Constants: each index inside its own dimension. */
static sb_err check_lists(const struct sb_check *c, const struct sb_tensor *index,
                          const struct sb_nd *nd)
{
    const int32_t *elements = index->data;
    for (uint64_t i = 0; i < index->count; i++) {
        int64_t size = (int64_t)nd->dim[i % nd->depth];
        if (elements[i] < -size || elements[i] >= size) {
            return sb_fail(c->diag, SB_E_RANGE,
                           "index %" PRId32 " of '%s' is outside a dimension of %" PRId64,
                           elements[i], index->name, size);
        }
    }
    return SB_OK;
}

sb_err sb_nd_infer(struct sb_nd *ret, const struct sb_check *c, const struct sb_tensor *x,
                   const struct sb_tensor *index, uint32_t batch_rank)
{
    const struct sb_shape *xs = &x->desc.shape;
    const struct sb_shape *is = &index->desc.shape;
    SB_TRY(sb_check_dtype(c, index, "input index", SB_DTYPE_BIT(I32)));
    uint32_t depth = is->rank == 0 ? 0 : is->dims[is->rank - 1];
    if (depth == 0 || is->rank <= batch_rank || depth > SB_TENSOR_RANK_MAX ||
        batch_rank + depth > xs->rank) {
        return sb_fail(c->diag, SB_E_SHAPE, "lists of %" PRIu32 " indices do not fit '%s'", depth,
                       x->name);
    }
    for (uint32_t i = 0; i < batch_rank; i++) {
        if (is->dims[i] != xs->dims[i]) {
            return sb_fail(c->diag, SB_E_SHAPE, "'%s' and '%s' differ in dimension %" PRIu32,
                           index->name, x->name, i);
        }
    }
    struct sb_nd nd = sb_nd_of(xs, is, batch_rank);
    if (index->data != NULL) {
        SB_TRY(check_lists(c, index, &nd));
    } else {
        for (uint32_t k = 0; k < nd.depth; k++) {
            SB_TRY(sb_axis_check_index(c, index, (int64_t)nd.dim[k]));
        }
    }
    *ret = nd;
    return SB_OK;
}
