/* passes_choice.c: expansions of choices and reductions: operators of many inputs into those of two, bounds that are computed, one-hot, and
 * reductions made of others. See passes_impl.h. */
#include <math.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

static sb_err pair(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a, uint32_t b)
{
    return sb_expand_node(output, x, op, (uint32_t[]){a, b}, 2, NULL, 0);
}

static sb_err scalar(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem, double v)
{
    struct sb_shape shape = {.rank = 0};
    return sb_expand_const(ret, x, elem, &shape, &v);
}

/* The new value that stands for the node's result: itself, or one of its own if more is to come. */
static uint32_t result(const struct sb_expansion *x, bool last)
{
    return last ? x->origin->outputs[0] : SB_NO_VALUE;
}

/* Max, Min, Sum and Mean of many: two at a time. */
static sb_err expand_many(struct sb_expansion *x, const char *op)
{
    const struct sb_graph_node *n = x->origin;
    bool mean = n->op->id == SB_ONNX_MEAN;
    uint32_t sum = n->inputs[0];
    for (uint32_t i = 1; i < n->input_count; i++) {
        uint32_t next = result(x, !mean && i + 1 == n->input_count);
        SB_TRY(pair(&next, x, op, sum, n->inputs[i]));
        sum = next;
    }
    uint32_t y = n->outputs[0];
    if (mean && n->input_count > 1) {
        uint32_t share = 0;
        SB_TRY(scalar(&share, x, SB_ELEM_FLOAT, 1.0 / n->input_count));
        return pair(&y, x, "Mul", sum, share);
    }
    return n->input_count > 1 ? SB_OK : sb_expand_node(&y, x, "Identity", &sum, 1, NULL, 0);
}

/* Max and Min with one constant number are bounds, which melt into the operator before them. */
static sb_err expand_bound(struct sb_expansion *x, uint32_t value, uint32_t bound)
{
    bool lower = x->origin->op->id == SB_ONNX_MAX;
    uint32_t in[3] = {value, lower ? bound : SB_NO_VALUE, lower ? SB_NO_VALUE : bound};
    uint32_t y = x->origin->outputs[0];
    return sb_expand_node(&y, x, "Clip", in, lower ? 2 : 3, NULL, 0);
}

static bool is_bound(const struct sb_expansion *x, uint32_t bound, uint32_t other)
{
    const struct sb_value *b = &x->graph->values[bound];
    const struct sb_value *v = &x->graph->values[other];
    return b->is_const && !v->is_const && sb_array_count(&b->array) == 1 &&
           b->array.shape.rank <= v->array.shape.rank && isfinite(b->array.data[0]);
}

static sb_err expand_extreme(bool *expanded, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    *expanded = true;
    for (uint32_t i = 0; n->input_count == 2 && i < 2; i++) {
        if (is_bound(x, n->inputs[1 - i], n->inputs[i])) {
            return expand_bound(x, n->inputs[i], n->inputs[1 - i]);
        }
    }
    *expanded = n->input_count != 2;
    return *expanded ? expand_many(x, n->op->name) : SB_OK;
}

/* Clip by computed bounds, or by bounds of more than one number. */
static sb_err expand_clip(bool *expanded, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    double lo = 0;
    double hi = 0;
    *expanded = n->op->id == SB_ONNX_CLIP && !sb_clip_bounds(&lo, &hi, x->graph, n);
    if (!*expanded) {
        return SB_OK;
    }
    uint32_t max = n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE;
    uint32_t y = n->inputs[0];
    if (n->inputs[1] != SB_NO_VALUE) {
        uint32_t above = result(x, max == SB_NO_VALUE);
        SB_TRY(pair(&above, x, "Max", y, n->inputs[1]));
        y = above;
    }
    uint32_t out = n->outputs[0];
    return max != SB_NO_VALUE ? pair(&out, x, "Min", y, max) : SB_OK;
}

/* 0, 1, .. along one axis of a tensor of this rank, moved by an offset. */
static sb_err count_up(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem, uint32_t rank,
                       uint32_t axis, uint32_t count, double offset)
{
    struct sb_shape shape = {.rank = rank};
    for (uint32_t i = 0; i < rank; i++) {
        shape.dims[i] = i == axis ? count : 1;
    }
    SB_TRY(sb_expand_const(ret, x, elem, &shape, NULL));
    for (uint32_t i = 0; i < count; i++) {
        x->graph->values[*ret].array.data[i] = i + offset;
    }
    return SB_OK;
}

/* on where the index, or the index from the end, is the place along the new axis. */
static sb_err expand_one_hot(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *index = &x->graph->values[n->inputs[0]];
    const struct sb_value *depth = &x->graph->values[n->inputs[1]];
    const struct sb_value *values = &x->graph->values[n->inputs[2]];
    uint32_t rank = index->array.shape.rank + 1;
    int64_t axis = sb_graph_attr_int(n, "axis", -1);
    axis = axis < 0 ? axis + rank : axis;
    if (!depth->is_const || !values->is_const) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                             "a depth or values that are not constants");
    }
    uint32_t count = (uint32_t)depth->array.data[0];
    uint32_t axes = 0;
    uint32_t place = 0;
    uint32_t from_end = 0;
    uint32_t flags[3] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    uint32_t wide = SB_NO_VALUE;
    uint32_t off_on[2];
    SB_TRY(sb_expand_ints(&axes, x, &axis, 1));
    SB_TRY(pair(&wide, x, "Unsqueeze", n->inputs[0], axes));
    SB_TRY(count_up(&place, x, index->elem, rank, (uint32_t)axis, count, 0));
    SB_TRY(count_up(&from_end, x, index->elem, rank, (uint32_t)axis, count, -(double)count));
    SB_TRY(pair(&flags[0], x, "Equal", wide, place));
    SB_TRY(pair(&flags[1], x, "Equal", wide, from_end));
    SB_TRY(pair(&flags[2], x, "Or", flags[0], flags[1]));
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(scalar(&off_on[i], x, values->elem, values->array.data[i]));
    }
    uint32_t y = n->outputs[0];
    return sb_expand_node(&y, x, "Where", (uint32_t[]){flags[2], off_on[1], off_on[0]}, 3, NULL, 0);
}

/* 1 where the place along the axis is that of the first greatest element. */
static sb_err expand_hardmax(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    bool flat = n->opset < 13;
    int64_t axis = sb_graph_attr_int(n, "axis", flat ? 1 : -1);
    axis = axis < 0 ? axis + shape->rank : axis;
    uint32_t y = n->outputs[0];
    uint32_t in = n->inputs[0];
    uint32_t rank = shape->rank;
    uint32_t count = shape->dims[axis];
    uint32_t best = SB_NO_VALUE;
    uint32_t place = 0;
    uint32_t flag = SB_NO_VALUE;
    uint32_t one = SB_NO_VALUE;
    uint32_t back = 0;
    if (flat && axis + 1 != (int64_t)rank) { /* all from the axis on is one row */
        int64_t rows[2] = {1, 1};
        int64_t whole[SB_TENSOR_RANK_MAX];
        uint32_t table = 0;
        uint32_t flattened = SB_NO_VALUE;
        for (uint32_t i = 0; i < rank; i++) {
            rows[i < axis ? 0 : 1] *= shape->dims[i];
            whole[i] = shape->dims[i];
        }
        SB_TRY(sb_expand_ints(&table, x, rows, 2));
        SB_TRY(sb_expand_ints(&back, x, whole, rank));
        SB_TRY(pair(&flattened, x, "Reshape", in, table));
        in = flattened;
        count = (uint32_t)rows[1];
        axis = 1;
        rank = 2;
    }
    bool reshaped = in != n->inputs[0];
    struct sb_attr keep[] = {sb_attr_int("axis", axis), sb_attr_int("keepdims", 1)};
    struct sb_attr to[] = {sb_attr_int("to", SB_ELEM_FLOAT)};
    SB_TRY(sb_expand_node(&best, x, "ArgMax", &in, 1, keep, 2));
    SB_TRY(count_up(&place, x, SB_ELEM_INT64, rank, (uint32_t)axis, count, 0));
    SB_TRY(pair(&flag, x, "Equal", best, place));
    one = reshaped ? one : y;
    SB_TRY(sb_expand_node(&one, x, "Cast", &flag, 1, to, 1));
    return reshaped ? pair(&y, x, "Reshape", one, back) : SB_OK;
}

/* ---- reductions ---- */

/* Another reduction over the same axes, then a function of its result. */
static sb_err expand_after(struct sb_expansion *x, const char *reduction, const char *function)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t sum = SB_NO_VALUE;
    uint32_t y = n->outputs[0];
    SB_TRY(sb_expand_node(&sum, x, reduction, n->inputs, n->input_count, n->attrs, n->attr_count));
    return sb_expand_node(&y, x, function, &sum, 1, NULL, 0);
}

/* ln sum e^x = m + ln sum e^(x - m) with the greatest m, so that nothing grows. */
static sb_err expand_log_sum_exp(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *out = &x->graph->values[n->outputs[0]];
    uint32_t bits = 0;
    SB_TRY(
        sb_eval_reduced(&bits, x->graph, n, &x->graph->values[n->inputs[0]].array.shape, x->diag));
    uint32_t rank = x->graph->values[n->inputs[0]].array.shape.rank;
    int64_t axes[SB_TENSOR_RANK_MAX];
    int64_t shape[SB_TENSOR_RANK_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < rank; i++) {
        axes[count] = i;
        count += bits >> i & 1;
    }
    for (uint32_t i = 0; i < out->array.shape.rank; i++) {
        shape[i] = out->array.shape.dims[i];
    }
    uint32_t list = 0;
    uint32_t dims = 0;
    uint32_t v[6] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    uint32_t y = n->outputs[0];
    SB_TRY(sb_expand_ints(&list, x, axes, count));
    SB_TRY(sb_expand_ints(&dims, x, shape, out->array.shape.rank));
    SB_TRY(pair(&v[0], x, "ReduceMax", n->inputs[0], list));
    SB_TRY(pair(&v[1], x, "Sub", n->inputs[0], v[0]));
    SB_TRY(sb_expand_node(&v[2], x, "Exp", &v[1], 1, NULL, 0));
    SB_TRY(pair(&v[3], x, "ReduceSum", v[2], list));
    SB_TRY(sb_expand_node(&v[4], x, "Log", &v[3], 1, NULL, 0));
    SB_TRY(pair(&v[5], x, "Add", v[4], v[0]));
    return pair(&y, x, "Reshape", v[5], dims);
}

#define PROD_MAX 4096 /* factors of ReduceProd */

static sb_err rows_between(uint32_t *output, struct sb_expansion *x, uint32_t from, int64_t start,
                           int64_t end)
{
    int64_t axis = 0;
    return sb_expand_slice(output, x, from, &start, &end, &axis, 1);
}

/* Products of halves until one is left; the axes come first, as one. */
static sb_err expand_prod(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    const struct sb_shape *out = &x->graph->values[n->outputs[0]].array.shape;
    int64_t perm[SB_TENSOR_RANK_MAX];
    int64_t rows[2] = {1, 1};
    int64_t dims[SB_TENSOR_RANK_MAX];
    uint32_t bits = 0;
    size_t at = 0;
    SB_TRY(sb_eval_reduced(&bits, x->graph, n, shape, x->diag));
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < shape->rank; i++) {
            if ((bits >> i & 1) == 1 - pass) {
                perm[at++] = i;
                rows[pass] *= shape->dims[i];
            }
        }
    }
    if (rows[0] > PROD_MAX) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n, "a product of more than %d factors",
                             PROD_MAX);
    }
    for (uint32_t i = 0; i < out->rank; i++) {
        dims[i] = out->dims[i];
    }
    int64_t *order =
        (int64_t *)(void *)sb_arena_dup(x->graph->memory, sb_span(perm, at * sizeof *perm));
    if (order == NULL) {
        return sb_pass_nomem(x->diag);
    }
    struct sb_attr attr = sb_attr_ints("perm", order, at);
    uint32_t list = 0;
    uint32_t moved = SB_NO_VALUE;
    uint32_t v = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&moved, x, "Transpose", n->inputs, 1, &attr, 1));
    SB_TRY(sb_expand_ints(&list, x, rows, 2));
    SB_TRY(pair(&v, x, "Reshape", moved, list));
    for (int64_t left = rows[0]; left > 1; left = left / 2 + left % 2) {
        uint32_t parts[3] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
        uint32_t product = SB_NO_VALUE;
        SB_TRY(rows_between(&parts[0], x, v, 0, left / 2));
        SB_TRY(rows_between(&parts[1], x, v, left / 2, left / 2 * 2));
        SB_TRY(pair(&product, x, "Mul", parts[0], parts[1]));
        if (left % 2 != 0) {
            struct sb_attr axis = sb_attr_int("axis", 0);
            uint32_t joined = SB_NO_VALUE;
            SB_TRY(rows_between(&parts[2], x, v, left - 1, left));
            SB_TRY(
                sb_expand_node(&joined, x, "Concat", (uint32_t[]){product, parts[2]}, 2, &axis, 1));
            product = joined;
        }
        v = product;
    }
    uint32_t y = n->outputs[0];
    SB_TRY(sb_expand_ints(&list, x, dims, out->rank));
    return pair(&y, x, "Reshape", v, list);
}

sb_err sb_expand_choice(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    *ret_done = true;
    switch ((int)n->op->id) {
    case SB_ONNX_MAX:
    case SB_ONNX_MIN:
        return expand_extreme(ret_done, x);
    case SB_ONNX_CLIP:
        return expand_clip(ret_done, x);
    case SB_ONNX_SUM:
    case SB_ONNX_MEAN:
        return expand_many(x, "Add");
    case SB_ONNX_ONE_HOT:
        return expand_one_hot(x);
    case SB_ONNX_HARDMAX:
        return expand_hardmax(x);
    case SB_ONNX_REDUCE_L2:
        return expand_after(x, "ReduceSumSquare", "Sqrt");
    case SB_ONNX_REDUCE_LOG_SUM:
        return expand_after(x, "ReduceSum", "Log");
    case SB_ONNX_REDUCE_LOG_SUM_EXP:
        return expand_log_sum_exp(x);
    case SB_ONNX_REDUCE_PROD:
        return expand_prod(x);
    default:
        *ret_done = false;
        return SB_OK;
    }
}
