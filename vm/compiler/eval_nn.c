/* eval_nn.c: the float reference: matrix products, normalisation, softmax. Images are NCHW. See eval.h. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

/* ---- matrix products ---- */

/* y[m][n] += sum_k a[m][k] * b[k][n], with strides. */
struct product {
    uint64_t m, n, k;
    const double *a;
    uint64_t a_row, a_column;
    const double *b;
    uint64_t b_row, b_column;
};

static void multiply(double *y, const struct product *p, double alpha)
{
    for (uint64_t i = 0; i < p->m; i++) {
        for (uint64_t j = 0; j < p->n; j++) {
            double sum = 0;
            for (uint64_t k = 0; k < p->k; k++) {
                sum += p->a[i * p->a_row + k * p->a_column] * p->b[k * p->b_row + j * p->b_column];
            }
            y[i * p->n + j] += alpha * sum;
        }
    }
}

sb_err sb_eval_gemm(struct sb_eval *e)
{
    const struct sb_shape *a = &e->in[0]->shape;
    const struct sb_shape *b = &e->in[1]->shape;
    bool ta = sb_graph_attr_int(e->node, "transA", 0) != 0;
    bool tb = sb_graph_attr_int(e->node, "transB", 0) != 0;
    double beta = sb_graph_attr_float(e->node, "beta", 1);
    uint32_t inner =
        a->rank > 0 ? a->dims[ta ? 0 : a->rank - 1] : 0; /* rows of any leading shape */
    if (a->rank < 1 || (ta && a->rank != 2) || b->rank != 2 || inner != b->dims[tb ? 1 : 0]) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the matrices do not fit");
    }
    struct product p = {
        .m = ta           ? a->dims[1]
             : inner == 0 ? 0
                          : sb_array_count(e->in[0]) / inner,
        .n = b->dims[tb ? 0 : 1],
        .k = inner,
        .a = e->in[0]->data,
        .a_row = ta ? 1 : inner,
        .a_column = ta ? a->dims[1] : 1,
        .b = e->in[1]->data,
        .b_row = tb ? 1 : b->dims[1],
        .b_column = tb ? b->dims[1] : 1,
    };
    struct sb_shape shape = {.rank = 2, .dims = {(uint32_t)p.m}};
    shape = ta ? shape : *a;
    shape.dims[shape.rank - 1] = (uint32_t)p.n;
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_work(e, sb_shape_count(&shape), p.k));
    const struct sb_array *c = e->in[2];
    uint64_t rows = c == NULL || c->shape.rank < 2 ? 1 : c->shape.dims[0];
    uint64_t columns = c == NULL || c->shape.rank < 1 ? 1 : c->shape.dims[c->shape.rank - 1];
    if (c != NULL &&
        (c->shape.rank > 2 || (rows != 1 && rows != p.m) || (columns != 1 && columns != p.n))) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the bias does not fit the result");
    }
    for (uint64_t i = 0; i < p.m * p.n; i++) {
        uint64_t row = rows == 1 ? 0 : i / p.n;
        uint64_t column = columns == 1 ? 0 : i % p.n;
        e->out[0].data[i] = c != NULL ? beta * c->data[row * columns + column] : 0;
    }
    multiply(e->out[0].data, &p, sb_graph_attr_float(e->node, "alpha", 1));
    return SB_OK;
}

/* ---- normalisation, softmax ---- */

sb_err sb_eval_batch_normalization(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    double epsilon = sb_graph_attr_float(e->node, "epsilon", 1e-5);
    if (x->rank < 2 || sb_graph_attr_int(e->node, "training_mode", 0) != 0) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "training mode, or an input without channels");
    }
    for (uint32_t i = 1; i < 5; i++) {
        if (sb_array_count(e->in[i]) != x->dims[1]) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                                 "input %u has not one element for each of %u channels", i,
                                 x->dims[1]);
        }
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t count = sb_array_count(e->in[0]);
    uint64_t inner = count == 0 ? 1 : count / x->dims[0] / x->dims[1];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t c = i / inner % x->dims[1];
        double variance = e->in[4]->data[c] + epsilon;
        if (!(variance > 0)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a variance is not positive");
        }
        e->out[0].data[i] =
            (e->in[0]->data[i] - e->in[3]->data[c]) / sqrt(variance) * e->in[1]->data[c] +
            e->in[2]->data[c];
    }
    return SB_OK;
}

/* A row of a softmax: what it is made of, and what is left out. */
struct softmax_row {
    const double *x;
    const double *mask; /* 0 leaves an element out; NULL: none */
    uint64_t count;
    uint64_t step;
    bool log;
};

static void softmax_row(double *y, const struct softmax_row *r)
{
    double top = -DBL_MAX;
    double sum = 0;
    for (uint64_t i = 0; i < r->count; i++) {
        bool in = r->mask == NULL || r->mask[i] != 0;
        top = in ? fmax(top, r->x[i * r->step]) : top;
    }
    for (uint64_t i = 0; i < r->count; i++) {
        bool in = r->mask == NULL || r->mask[i] != 0;
        y[i * r->step] = in ? exp(r->x[i * r->step] - top) : 0;
        sum += y[i * r->step];
    }
    for (uint64_t i = 0; i < r->count; i++) {
        double *p = &y[i * r->step];
        *p = r->log ? r->x[i * r->step] - top - log(sum) : sum > 0 ? *p / sum : 0;
    }
}

/* Before operator set 13 the axis splits the tensor into rows; since then it is the one dimension that is normalised. */
sb_err sb_eval_softmax(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    bool rows = e->node->opset < 13;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", rows ? 1 : -1), x->rank));
    SB_TRY(sb_eval_alloc(e, 0, x));
    struct softmax_row row = {
        .count = x->dims[axis], .step = 1, .log = e->node->op->id == SB_ONNX_LOG_SOFTMAX};
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        row.step *= rows ? 1 : x->dims[i];
        row.count *= rows ? x->dims[i] : 1;
    }
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t at = 0; row.count != 0 && at < count; at += row.count * row.step) {
        for (uint64_t i = 0; i < row.step; i++) {
            row.x = e->in[0]->data + at + i;
            softmax_row(e->out[0].data + at + i, &row);
        }
    }
    return SB_OK;
}

/* MaskedSoftmax: over the last axis, by a mask and by the order of rows and columns. */
sb_err sb_eval_masked_softmax(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    bool causal = sb_graph_attr_int(e->node, "causal", 0) != 0;
    int64_t offset = sb_graph_attr_int(e->node, "offset", 0);
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint32_t columns = x->dims[x->rank - 1];
    uint32_t rows = x->rank > 1 ? x->dims[x->rank - 2] : 1;
    double *mask = sb_arena_array(e->memory, columns, sizeof *mask);
    if (mask == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a mask");
    }
    struct softmax_row row = {.mask = mask, .count = columns, .step = 1};
    for (uint64_t at = 0; at < sb_array_count(e->in[0]); at += columns) {
        int64_t last = (int64_t)(at / columns % rows) + offset;
        for (uint32_t j = 0; j < columns; j++) {
            bool in = e->in[1] == NULL || sb_eval_operand(e, 1, x, at + j) != 0;
            mask[j] = in && (!causal || j <= last) ? 1 : 0;
        }
        row.x = e->in[0]->data + at;
        softmax_row(e->out[0].data + at, &row);
    }
    return SB_OK;
}

sb_err sb_eval_log_sum_exp(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    uint32_t len = shape.dims[shape.rank - 1];
    shape.dims[shape.rank - 1] = 1;
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t row = 0; row < sb_shape_count(&shape); row++) {
        const double *x = e->in[0]->data + row * len;
        double top = -INFINITY;
        double sum = 0;
        for (uint32_t i = 0; i < len; i++) {
            top = fmax(top, x[i]);
        }
        for (uint32_t i = 0; i < len; i++) {
            sum += exp(x[i] - top);
        }
        e->out[0].data[row] = top + log(sum);
    }
    return SB_OK;
}
