/* eval_make.c: the float reference: tensors that are made from shapes and numbers, and what depends on values too much for a fixed shape
 * (only folded). See eval.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

sb_err sb_eval_shape(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t rank = x->rank;
    int64_t start = sb_graph_attr_int(e->node, "start", 0);
    int64_t end = sb_graph_attr_int(e->node, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < start ? start : end > rank ? rank : end;
    struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)(end - start)}};
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (int64_t i = start; i < end; i++) {
        e->out[0].data[i - start] = x->dims[i];
    }
    return SB_OK;
}

sb_err sb_eval_size(struct sb_eval *e)
{
    SB_TRY(sb_eval_alloc(e, 0, &(struct sb_shape){.rank = 0}));
    e->out[0].data[0] = (double)sb_array_count(e->in[0]);
    return SB_OK;
}

sb_err sb_eval_constant_of_shape(struct sb_eval *e)
{
    const struct sb_attr *value = sb_graph_attr(e->node, "value");
    int64_t dims[SB_EVAL_INTS_MAX];
    size_t rank = 0;
    SB_TRY(sb_eval_ints(dims, &rank, e, 0, "shape"));
    struct sb_shape shape = {.rank = (uint32_t)rank};
    if (rank > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "%zu dimensions", rank);
    }
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0 || dims[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "a dimension of %" PRId64, dims[i]);
        }
        shape.dims[i] = (uint32_t)dims[i];
    }
    bool given = value != NULL && value->kind == SB_ATTR_KIND_TENSOR;
    if (given && sb_array_count(&value->tensor) != 1) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "a value that is not one number");
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        e->out[0].data[i] = given ? value->tensor.data[0] : 0;
    }
    return SB_OK;
}

sb_err sb_eval_range(struct sb_eval *e)
{
    for (uint32_t i = 0; i < 3; i++) {
        if (sb_array_count(e->in[i]) != 1) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "an input that is not one number");
        }
    }
    double start = e->in[0]->data[0];
    double delta = e->in[2]->data[0];
    /* A delta of 0 is what the walk on zeros, which finds shapes, gives for one that is computed. */
    double count = delta == 0 ? 0 : fmax(0, ceil((e->in[1]->data[0] - start) / delta));
    if (!(count <= SB_TENSOR_DIM_MAX)) {
        return sb_graph_fail(e->diag, SB_E_LIMIT, e->node, "%g numbers", count);
    }
    SB_TRY(sb_eval_alloc(e, 0, &(struct sb_shape){.rank = 1, .dims = {(uint32_t)count}}));
    for (uint32_t i = 0; i < (uint32_t)count; i++) {
        e->out[0].data[i] = start + i * delta;
    }
    return SB_OK;
}

sb_err sb_eval_eye_like(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t k = sb_graph_attr_int(e->node, "k", 0);
    if (x->rank != 2) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the input is no matrix");
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    for (uint32_t i = 0; i < x->dims[0]; i++) {
        for (uint32_t j = 0; j < x->dims[1]; j++) {
            e->out[0].data[(uint64_t)i * x->dims[1] + j] = (int64_t)j - (int64_t)i == k ? 1 : 0;
        }
    }
    return SB_OK;
}

/* Compress and NonZero: how many elements they give depends on values, so they are folded or refused (sb_pass_check_folded). */
sb_err sb_eval_compress(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    bool whole = sb_graph_attr(e->node, "axis") == NULL;
    uint32_t axis = 0;
    struct sb_shape shape = {.rank = 1};
    uint64_t outer = 1;
    uint64_t size = sb_array_count(e->in[0]);
    uint64_t inner = 1;
    if (!whole) {
        SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 0), x->rank));
        shape = *x;
        size = x->dims[axis];
        for (uint32_t i = 0; i < x->rank; i++) {
            outer *= i < axis ? x->dims[i] : 1;
            inner *= i > axis ? x->dims[i] : 1;
        }
    }
    uint64_t conditions = sb_array_count(e->in[1]);
    conditions = conditions < size ? conditions : size;
    uint32_t kept = 0;
    for (uint64_t i = 0; i < conditions; i++) {
        kept += e->in[1]->data[i] != 0 ? 1 : 0;
    }
    shape.dims[axis] = kept;
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    double *to = e->out[0].data;
    for (uint64_t o = 0; o < outer; o++) {
        for (uint64_t i = 0; i < conditions; i++) {
            if (e->in[1]->data[i] != 0) {
                memcpy(to, e->in[0]->data + (o * size + i) * inner, inner * sizeof *to);
                to += inner;
            }
        }
    }
    return SB_OK;
}

sb_err sb_eval_non_zero(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    uint64_t count = sb_array_count(e->in[0]);
    uint32_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        found += e->in[0]->data[i] != 0 ? 1 : 0;
    }
    uint32_t rank = x->rank == 0 ? 1 : x->rank;
    SB_TRY(sb_eval_alloc(e, 0, &(struct sb_shape){.rank = 2, .dims = {rank, found}}));
    uint32_t column = 0;
    for (uint64_t n = 0; n < count; n++) {
        uint64_t rest = n;
        for (uint32_t i = x->rank; e->in[0]->data[n] != 0 && i-- > 0;) {
            e->out[0].data[(uint64_t)i * found + column] = (double)(rest % x->dims[i]);
            rest /= x->dims[i];
        }
        column += e->in[0]->data[n] != 0 ? 1 : 0;
    }
    return SB_OK;
}
