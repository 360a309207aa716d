/* eval_shape.c: the float reference: operators that only move elements, or speak of shapes. See eval.h. */
#include <inttypes.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

static sb_err copy_as(struct sb_eval *e, const struct sb_shape *shape)
{
    uint64_t count = sb_array_count(e->in[0]);
    SB_TRY(sb_eval_alloc(e, 0, shape));
    if (sb_shape_count(shape) != count) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "%" PRIu64 " elements do not fill a shape of %" PRIu64, count,
                             sb_shape_count(shape));
    }
    memcpy(e->out[0].data, e->in[0]->data, count * sizeof(double));
    return SB_OK;
}

sb_err sb_eval_constant(struct sb_eval *e)
{
    const struct sb_attr *value = sb_graph_attr(e->node, "value");
    if (value != NULL && value->kind == SB_ATTR_KIND_TENSOR) {
        e->out[0] = value->tensor;
        return SB_OK;
    }
    for (uint32_t i = 0; i < e->node->attr_count; i++) {
        const struct sb_attr *a = &e->node->attrs[i];
        bool list = a->kind == SB_ATTR_KIND_FLOATS || a->kind == SB_ATTR_KIND_INTS;
        if (!list && a->kind != SB_ATTR_KIND_FLOAT && a->kind != SB_ATTR_KIND_INT) {
            continue;
        }
        struct sb_shape shape = {.rank = list ? 1 : 0, .dims = {list ? (uint32_t)a->count : 0}};
        SB_TRY(sb_eval_alloc(e, 0, &shape));
        for (size_t j = 0; j < (list ? a->count : 1); j++) {
            e->out[0].data[j] = a->kind == SB_ATTR_KIND_FLOATS ? a->floats[j]
                                : a->kind == SB_ATTR_KIND_INTS ? (double)a->ints[j]
                                : a->kind == SB_ATTR_KIND_INT  ? (double)a->i
                                                               : a->f;
        }
        return SB_OK;
    }
    return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "a constant that is not numeric");
}

sb_err sb_eval_flatten(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t axis = sb_graph_attr_int(e->node, "axis", 1);
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis > (int64_t)x->rank) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "axis %" PRId64, axis);
    }
    struct sb_shape shape = {.rank = 2, .dims = {1, 1}};
    for (uint32_t i = 0; i < x->rank; i++) {
        shape.dims[i < axis ? 0 : 1] *= x->dims[i];
    }
    return copy_as(e, &shape);
}

sb_err sb_eval_reshape(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_array *want = e->in[1];
    bool allow_zero = sb_graph_attr_int(e->node, "allowzero", 0) != 0;
    uint64_t rank = sb_array_count(want);
    struct sb_shape shape = {.rank = (uint32_t)rank};
    uint64_t known = 1;
    int64_t free_at = -1;
    if (rank > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "%" PRIu64 " dimensions", rank);
    }
    for (uint32_t i = 0; i < rank; i++) {
        double dim = want->data[i];
        if (dim == -1 && free_at < 0) {
            free_at = i;
            continue;
        }
        if (dim == 0 && !allow_zero && i < x->rank) {
            dim = x->dims[i];
        }
        if (!(dim >= 0 && dim <= SB_TENSOR_DIM_MAX)) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "a dimension of %g", dim);
        }
        shape.dims[i] = (uint32_t)dim;
        known *= shape.dims[i];
        if (known > SB_TENSOR_ELEMENTS_MAX) {
            return sb_graph_fail(e->diag, SB_E_LIMIT, e->node, "more than 2^28 elements");
        }
    }
    if (free_at >= 0) {
        shape.dims[free_at] = known == 0 ? 0 : (uint32_t)(sb_array_count(e->in[0]) / known);
    }
    return copy_as(e, &shape);
}

/* The axes of Squeeze and Unsqueeze, as bits: an attribute before operator set 13, an input since. */
static sb_err axes_bits(uint32_t *ret, bool *ret_given, struct sb_eval *e, uint32_t rank)
{
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, e->node, "axes");
    bool from_input = ints == NULL && e->in[1] != NULL;
    count = from_input ? (size_t)sb_array_count(e->in[1]) : count;
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        SB_ASSERT(from_input || ints != NULL); /* else count is 0 */
        double axis = from_input ? e->in[1]->data[i] : (double)ints[i];
        uint32_t at = 0;
        if (!(axis >= -(double)rank && axis < (double)rank)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "axis %g of %u", axis, rank);
        }
        SB_TRY(sb_eval_axis(&at, e, (int64_t)axis, rank));
        bits |= 1u << at;
    }
    *ret = bits;
    *ret_given = ints != NULL || from_input;
    return SB_OK;
}

sb_err sb_eval_squeeze(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    uint32_t bits = 0;
    bool given = false;
    struct sb_shape shape = {0};
    SB_TRY(axes_bits(&bits, &given, e, x->rank));
    for (uint32_t i = 0; i < x->rank; i++) {
        bool drop = given ? (bits >> i & 1) != 0 : x->dims[i] == 1;
        if (drop && x->dims[i] != 1) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "dimension %u is %u, not 1", i,
                                 x->dims[i]);
        }
        if (!drop) {
            shape.dims[shape.rank++] = x->dims[i];
        }
    }
    return copy_as(e, &shape);
}

sb_err sb_eval_unsqueeze(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, e->node, "axes");
    count = ints == NULL && e->in[1] != NULL ? (size_t)sb_array_count(e->in[1]) : count;
    uint32_t bits = 0;
    bool given = false;
    if (count + x->rank > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "more than %u dimensions",
                             SB_TENSOR_RANK_MAX);
    }
    struct sb_shape shape = {.rank = x->rank + (uint32_t)count};
    SB_TRY(axes_bits(&bits, &given, e, shape.rank));
    uint32_t from = 0;
    for (uint32_t i = 0; i < shape.rank; i++) {
        bool added = (bits >> i & 1) != 0;
        if (!added && from == x->rank) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "an axis is named twice");
        }
        shape.dims[i] = added ? 1 : x->dims[from++];
    }
    return copy_as(e, &shape);
}

sb_err sb_eval_transpose(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    size_t count = 0;
    const int64_t *perm = sb_graph_attr_ints(&count, e->node, "perm");
    struct sb_shape shape = {.rank = x->rank};
    uint64_t x_stride[SB_TENSOR_RANK_MAX] = {0};
    uint64_t stride[SB_TENSOR_RANK_MAX] = {0};
    uint64_t step = 1;
    for (uint32_t i = x->rank; i-- > 0;) {
        x_stride[i] = step;
        step *= x->dims[i];
    }
    uint32_t seen = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        int64_t from = perm == NULL ? (int64_t)(x->rank - 1 - i) : i < count ? perm[i] : -1;
        if (from < 0 || from >= (int64_t)x->rank || count > x->rank) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "perm does not fit %u dimensions",
                                 x->rank);
        }
        seen |= 1u << from;
        shape.dims[i] = x->dims[from];
        stride[i] = x_stride[from];
    }
    if (seen != (1u << x->rank) - 1) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "perm names a dimension twice");
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t total = sb_shape_count(&shape);
    for (uint64_t at = 0; at < total; at++) {
        uint64_t rest = at;
        uint64_t from = 0;
        for (uint32_t i = shape.rank; i-- > 0;) {
            from += rest % shape.dims[i] * stride[i];
            rest /= shape.dims[i];
        }
        e->out[0].data[at] = e->in[0]->data[from];
    }
    return SB_OK;
}

sb_err sb_eval_concat(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 0), shape.rank));
    shape.dims[axis] = 0;
    for (uint32_t i = 0; i < e->node->input_count; i++) {
        if (e->in[i] == NULL || e->in[i]->shape.rank != shape.rank) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "input %u has another rank", i);
        }
        for (uint32_t d = 0; d < shape.rank; d++) {
            if (d != axis && e->in[i]->shape.dims[d] != shape.dims[d]) {
                return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "input %u does not fit", i);
            }
        }
        shape.dims[axis] += e->in[i]->shape.dims[axis];
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t outer = 1;
    uint64_t inner = 1;
    for (uint32_t d = 0; d < shape.rank; d++) {
        outer *= d < axis ? shape.dims[d] : 1;
        inner *= d > axis ? shape.dims[d] : 1;
    }
    double *to = e->out[0].data;
    for (uint64_t o = 0; o < outer; o++) {
        for (uint32_t i = 0; i < e->node->input_count; i++) {
            uint64_t piece = e->in[i]->shape.dims[axis] * inner;
            memcpy(to, e->in[i]->data + o * piece, piece * sizeof *to);
            to += piece;
        }
    }
    return SB_OK;
}

sb_err sb_eval_gather(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *indices = &e->in[1]->shape;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 0), x->rank));
    if (x->rank - 1 + indices->rank > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "too many dimensions");
    }
    struct sb_shape shape = {0};
    uint64_t outer = 1;
    uint64_t inner = 1;
    for (uint32_t i = 0; i < axis; i++) {
        shape.dims[shape.rank++] = x->dims[i];
        outer *= x->dims[i];
    }
    for (uint32_t i = 0; i < indices->rank; i++) {
        shape.dims[shape.rank++] = indices->dims[i];
    }
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        shape.dims[shape.rank++] = x->dims[i];
        inner *= x->dims[i];
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t rows = sb_array_count(e->in[1]);
    for (uint64_t o = 0; o < outer; o++) {
        for (uint64_t r = 0; r < rows; r++) {
            double index = e->in[1]->data[r] + (e->in[1]->data[r] < 0 ? x->dims[axis] : 0);
            if (!(index >= 0 && index < x->dims[axis])) {
                return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "index %g of %u", index,
                                     x->dims[axis]);
            }
            memcpy(e->out[0].data + (o * rows + r) * inner,
                   e->in[0]->data + (o * x->dims[axis] + (uint64_t)index) * inner,
                   inner * sizeof(double));
        }
    }
    return SB_OK;
}
