/* eval_reduce.c: the float reference: reductions, ArgMax and ArgMin, TopK, CumSum. See eval.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

/* axes: input 1, or NULL. */
static sb_err reduced_bits(uint32_t *ret, const struct sb_graph_node *node,
                           const struct sb_shape *x, const struct sb_array *axes,
                           struct sb_diag *diag)
{
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, node, "axes");
    uint32_t bits = 0;
    count = ints == NULL && axes != NULL ? (size_t)sb_array_count(axes) : count;
    if (count == 0) {
        bool none = sb_graph_attr_int(node, "noop_with_empty_axes", 0) != 0;
        *ret = none ? 0 : (1u << x->rank) - 1;
        return SB_OK;
    }
    for (size_t i = 0; i < count; i++) {
        SB_ASSERT(ints != NULL || axes != NULL);
        double axis = ints != NULL ? (double)ints[i] : axes->data[i];
        axis = axis < 0 ? axis + x->rank : axis;
        if (!(axis >= 0 && axis < x->rank)) {
            return sb_graph_fail(diag, SB_E_RANGE, node, "axis %g of %u dimensions", axis, x->rank);
        }
        bits |= 1u << (uint32_t)axis;
    }
    *ret = bits;
    return SB_OK;
}

sb_err sb_eval_reduced(uint32_t *ret, const struct sb_graph *graph,
                       const struct sb_graph_node *node, const struct sb_shape *x,
                       struct sb_diag *diag)
{
    const struct sb_value *axes = sb_graph_input(graph, node, 1);
    if (axes != NULL && !axes->is_const) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "axes that are not constants");
    }
    return reduced_bits(ret, node, x, axes != NULL ? &axes->array : NULL, diag);
}

/* ---- reductions ---- */

/* What an element adds, and how; ReduceLogSumExp takes two walks, the first for the greatest element. */
static double start_of(enum sb_onnx_op_id op)
{
    switch ((int)op) {
    case SB_ONNX_REDUCE_PROD:
        return 1;
    case SB_ONNX_REDUCE_MAX:
    case SB_ONNX_REDUCE_LOG_SUM_EXP:
        return -INFINITY;
    case SB_ONNX_REDUCE_MIN:
        return INFINITY;
    default:
        return 0;
    }
}

static double joined(enum sb_onnx_op_id op, double acc, double x)
{
    switch ((int)op) {
    case SB_ONNX_REDUCE_L1:
        return acc + fabs(x);
    case SB_ONNX_REDUCE_L2:
    case SB_ONNX_REDUCE_SUM_SQUARE:
        return acc + x * x;
    case SB_ONNX_REDUCE_PROD:
        return acc * x;
    case SB_ONNX_REDUCE_MAX:
    case SB_ONNX_REDUCE_LOG_SUM_EXP:
        return fmax(acc, x);
    case SB_ONNX_REDUCE_MIN:
        return fmin(acc, x);
    default:
        return acc + x;
    }
}

static double ended(enum sb_onnx_op_id op, double acc, uint64_t n)
{
    switch ((int)op) {
    case SB_ONNX_REDUCE_MEAN:
        return acc / (double)n;
    case SB_ONNX_REDUCE_L2:
        return sqrt(acc);
    case SB_ONNX_REDUCE_LOG_SUM:
        return log(acc);
    default:
        return acc;
    }
}

/* The element of the result that element `at` of x belongs to. */
static uint64_t result_at(const struct sb_shape *x, uint32_t bits, uint64_t at)
{
    uint64_t index = 0;
    uint64_t stride = 1;
    for (uint32_t i = x->rank; i-- > 0;) {
        if ((bits >> i & 1) == 0) {
            index += at % x->dims[i] * stride;
            stride *= x->dims[i];
        }
        at /= x->dims[i];
    }
    return index;
}

static sb_err log_sum_exp(struct sb_eval *e, uint32_t bits)
{
    const struct sb_array *x = e->in[0];
    uint64_t results = sb_array_count(&e->out[0]);
    double *sums = sb_arena_zalloc(e->memory, (results + 1) * sizeof *sums);
    if (sums == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
    }
    for (uint64_t i = 0; i < sb_array_count(x); i++) {
        uint64_t r = result_at(&x->shape, bits, i);
        sums[r] += exp(x->data[i] - e->out[0].data[r]);
    }
    for (uint64_t r = 0; r < results; r++) {
        e->out[0].data[r] += log(sums[r]);
    }
    return SB_OK;
}

sb_err sb_eval_reduce(struct sb_eval *e)
{
    const struct sb_array *x = e->in[0];
    enum sb_onnx_op_id op = e->node->op->id;
    enum sb_elem elem = e->graph->values[e->node->inputs[0]].elem;
    bool keep = sb_graph_attr_int(e->node, "keepdims", 1) != 0;
    uint32_t bits = 0;
    struct sb_shape shape = {.rank = 0};
    uint64_t n = 1;
    SB_TRY(reduced_bits(&bits, e->node, &x->shape, e->in[1], e->diag));
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        bool reduced = (bits >> i & 1) != 0;
        n *= reduced ? x->shape.dims[i] : 1;
        if (!reduced || keep) {
            shape.dims[shape.rank++] = reduced ? 1 : x->shape.dims[i];
        }
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    double *y = e->out[0].data;
    uint64_t results = sb_shape_count(&shape);
    for (uint64_t r = 0; r < results; r++) {
        y[r] = start_of(op);
    }
    for (uint64_t i = 0; i < sb_array_count(x); i++) {
        uint64_t r = result_at(&x->shape, bits, i);
        y[r] = joined(op, y[r], x->data[i]);
        y[r] = sb_elem_is_integer(elem) ? sb_eval_wrap(elem, sb_eval_int(y[r])) : y[r];
    }
    for (uint64_t r = 0; r < results; r++) {
        y[r] = ended(op, y[r], n);
    }
    return op == SB_ONNX_REDUCE_LOG_SUM_EXP ? log_sum_exp(e, bits) : SB_OK;
}

/* ---- places ---- */

sb_err sb_eval_arg_max(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    bool keep = sb_graph_attr_int(e->node, "keepdims", 1) != 0;
    bool last = sb_graph_attr_int(e->node, "select_last_index", 0) != 0;
    double sign = e->node->op->id == SB_ONNX_ARG_MIN ? -1 : 1;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 0), x->rank));
    struct sb_shape shape = {0};
    uint64_t step = 1;
    for (uint32_t i = 0; i < x->rank; i++) {
        step *= i > axis ? x->dims[i] : 1;
        if (i != axis || keep) {
            shape.dims[shape.rank++] = i == axis ? 1 : x->dims[i];
        }
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t len = x->dims[axis];
    for (uint64_t i = 0; len != 0 && i < sb_shape_count(&shape); i++) {
        const double *row = e->in[0]->data + i / step * len * step + i % step;
        uint64_t best = 0;
        for (uint64_t j = 1; j < len; j++) {
            double here = sign * row[j * step];
            double there = sign * row[best * step];
            best = here > there || (last && here == there) ? j : best;
        }
        e->out[0].data[i] = (double)best;
    }
    return SB_OK;
}

struct ranked {
    double key; /* ascending */
    uint64_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index ? 1 : 0;
}

sb_err sb_eval_top_k(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    double sign = sb_graph_attr_int(e->node, "largest", 1) != 0 ? -1 : 1;
    uint32_t axis = 0;
    uint64_t step = 1;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", -1), x->rank));
    double k = e->in[1] == NULL                ? (double)sb_graph_attr_int(e->node, "k", 0)
               : sb_array_count(e->in[1]) == 1 ? e->in[1]->data[0]
                                               : 0;
    uint64_t len = x->dims[axis];
    if (!(k >= 1 && k <= (double)len)) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "the first %g of %" PRIu64, k, len);
    }
    struct sb_shape shape = *x;
    shape.dims[axis] = (uint32_t)k;
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        step *= x->dims[i];
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_alloc(e, 1, &shape));
    struct ranked *row = sb_arena_array(e->memory, len, sizeof *row);
    if (row == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
    }
    for (uint64_t r = 0; r < sb_array_count(e->in[0]) / len; r++) {
        const double *from = e->in[0]->data + r / step * len * step + r % step;
        for (uint64_t j = 0; j < len; j++) {
            row[j] = (struct ranked){.key = sign * from[j * step], .index = j};
        }
        qsort(row, len, sizeof *row, compare_ranked);
        for (uint64_t j = 0; j < shape.dims[axis]; j++) {
            uint64_t to = r / step * shape.dims[axis] * step + j * step + r % step;
            e->out[0].data[to] = sign * row[j].key;
            e->out[1].data[to] = (double)row[j].index;
        }
    }
    return SB_OK;
}

sb_err sb_eval_cum_sum(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    enum sb_elem elem = e->graph->values[e->node->inputs[0]].elem;
    bool exclusive = sb_graph_attr_int(e->node, "exclusive", 0) != 0;
    bool reverse = sb_graph_attr_int(e->node, "reverse", 0) != 0;
    uint32_t axis = 0;
    uint64_t step = 1;
    if (sb_array_count(e->in[1]) != 1) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "an axis that is not one number");
    }
    SB_TRY(sb_eval_axis(&axis, e, sb_eval_int(e->in[1]->data[0]), x->rank));
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        step *= x->dims[i];
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t len = x->dims[axis];
    for (uint64_t r = 0; len != 0 && r < sb_array_count(e->in[0]) / len; r++) {
        uint64_t start = r / step * len * step + r % step;
        double sum = 0;
        for (uint64_t j = 0; j < len; j++) {
            uint64_t at = start + (reverse ? len - 1 - j : j) * step;
            double before = sum;
            sum += e->in[0]->data[at];
            sum = sb_elem_is_integer(elem) ? sb_eval_wrap(elem, sb_eval_int(sum)) : sum;
            e->out[0].data[at] = exclusive ? before : sum;
        }
    }
    return SB_OK;
}
