/* eval_nn.c: the float reference: convolutions, pools, matrix products, normalisation, softmax. Images are NCHW. See eval.h. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

/* ---- windows ---- */

static sb_err read_pair(int64_t ret[2], const struct sb_graph_node *node, const char *name,
                        int64_t absent, struct sb_diag *diag)
{
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, node, name);
    for (size_t i = 0; i < 2; i++) {
        ret[i] = count > i ? ints[i] : absent;
        if ((count != 0 && count != 2) || ret[i] < 1 || ret[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                                 "attribute '%s' is not two numbers of at least 1 (images only)",
                                 name);
        }
    }
    return SB_OK;
}

/* Padding from `pads`, or from auto_pad and the sizes. */
static sb_err read_padding(struct sb_eval_window *w, const struct sb_graph_node *node,
                           struct sb_diag *diag)
{
    const char *mode = sb_graph_attr_string(node, "auto_pad", "NOTSET");
    size_t count = 0;
    const int64_t *pads = sb_graph_attr_ints(&count, node, "pads");
    if (count != 0 && count != 4) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "attribute 'pads' is not four numbers");
    }
    for (size_t i = 0; i < 2; i++) {
        int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0) {
            int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
            int64_t total = (out - 1) * w->stride[i] + extent - w->in[i];
            total = total < 0 ? 0 : total;
            w->pad_before[i] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
            w->pad_after[i] = total - w->pad_before[i];
        } else if (strcmp(mode, "VALID") == 0) {
            w->pad_before[i] = 0;
            w->pad_after[i] = 0;
        } else {
            w->pad_before[i] = count != 0 ? pads[i] : 0;
            w->pad_after[i] = count != 0 ? pads[i + 2] : 0;
        }
        if (w->pad_before[i] < 0 || w->pad_after[i] < 0 || w->pad_before[i] >= extent ||
            w->pad_after[i] >= extent) {
            return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                                 "padding of %" PRId64 " and %" PRId64
                                 " around a window of %" PRId64 "; it must be below the window",
                                 w->pad_before[i], w->pad_after[i], extent);
        }
    }
    return SB_OK;
}

sb_err sb_eval_window(struct sb_eval_window *ret, const struct sb_graph_node *node,
                      const struct sb_shape *x, const int64_t kernel[2], struct sb_diag *diag)
{
    struct sb_eval_window w = {.kernel = {kernel[0], kernel[1]}};
    if (x->rank != 4) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "the input has %u dimensions; only images [N, C, H, W] are supported",
                             x->rank);
    }
    SB_TRY(read_pair(w.stride, node, "strides", 1, diag));
    SB_TRY(read_pair(w.dilation, node, "dilations", 1, diag));
    w.in[0] = x->dims[2];
    w.in[1] = x->dims[3];
    SB_TRY(read_padding(&w, node, diag));
    for (size_t i = 0; i < 2; i++) {
        int64_t room =
            w.in[i] + w.pad_before[i] + w.pad_after[i] - ((w.kernel[i] - 1) * w.dilation[i] + 1);
        if (room < 0) {
            return sb_graph_fail(diag, SB_E_SHAPE, node, "the window is larger than the image");
        }
        if (sb_graph_attr_int(node, "ceil_mode", 0) != 0 && room % w.stride[i] != 0) {
            return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                                 "ceil_mode that adds windows beyond the padding; use pads");
        }
        w.out[i] = room / w.stride[i] + 1;
    }
    *ret = w;
    return SB_OK;
}

/* ---- convolution ---- */

/* One output element: sum over the group's channels and the taps inside the image. */
static double conv_element(const struct sb_eval_window *w, const double *image,
                           const double *weights, uint64_t channels, int64_t oy, int64_t ox)
{
    double sum = 0;
    int64_t y0 = oy * w->stride[0] - w->pad_before[0];
    int64_t x0 = ox * w->stride[1] - w->pad_before[1];
    for (uint64_t c = 0; c < channels; c++) {
        for (int64_t ky = 0; ky < w->kernel[0]; ky++, weights += w->kernel[1]) {
            int64_t y = y0 + ky * w->dilation[0];
            if (y < 0 || y >= w->in[0]) {
                continue;
            }
            const double *row = image + ((int64_t)c * w->in[0] + y) * w->in[1];
            for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
                int64_t x = x0 + kx * w->dilation[1];
                sum += x >= 0 && x < w->in[1] ? weights[kx] * row[x] : 0;
            }
        }
    }
    return sum;
}

sb_err sb_eval_conv(struct sb_eval *e)
{
    const struct sb_array *x = e->in[0];
    const struct sb_array *weights = e->in[1];
    const struct sb_array *bias = e->in[2];
    int64_t group = sb_graph_attr_int(e->node, "group", 1);
    struct sb_eval_window w;
    if (weights->shape.rank != 4 || x->shape.rank != 4) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "only convolutions over images [N, C, H, W] are supported");
    }
    const uint32_t *wd = weights->shape.dims;
    SB_TRY(sb_eval_window(&w, e->node, &x->shape, (int64_t[]){wd[2], wd[3]}, e->diag));
    if (group < 1 || group > x->shape.dims[1] || wd[0] % group != 0 ||
        x->shape.dims[1] != (uint64_t)wd[1] * (uint64_t)group || sb_array_count(weights) == 0 ||
        (bias != NULL && sb_array_count(bias) != wd[0])) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "weights of %u outputs and %u inputs in %" PRId64
                             " groups do not fit %u channels",
                             wd[0], wd[1], group, x->shape.dims[1]);
    }
    struct sb_shape shape = {
        .rank = 4, .dims = {x->shape.dims[0], wd[0], (uint32_t)w.out[0], (uint32_t)w.out[1]}};
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_work(e, sb_shape_count(&shape), (uint64_t)wd[1] * wd[2] * wd[3]));
    double *y = e->out[0].data;
    uint64_t per_group = wd[0] / (uint64_t)group;
    uint64_t plane = (uint64_t)w.in[0] * (uint64_t)w.in[1];
    uint64_t patch = (uint64_t)wd[1] * wd[2] * wd[3];
    for (uint64_t n = 0; n < shape.dims[0]; n++) {
        for (uint64_t o = 0; o < wd[0]; o++) {
            const double *image = x->data + (n * x->shape.dims[1] + o / per_group * wd[1]) * plane;
            for (int64_t oy = 0; oy < w.out[0]; oy++) {
                for (int64_t ox = 0; ox < w.out[1]; ox++) {
                    *y++ = conv_element(&w, image, weights->data + o * patch, wd[1], oy, ox) +
                           (bias != NULL ? bias->data[o] : 0);
                }
            }
        }
    }
    return SB_OK;
}

/* ---- pools ---- */

sb_err sb_eval_pool(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    enum sb_onnx_op_id op = e->node->op->id;
    bool global = op == SB_ONNX_GLOBAL_AVERAGE_POOL || op == SB_ONNX_GLOBAL_MAX_POOL;
    bool max = op == SB_ONNX_MAX_POOL || op == SB_ONNX_GLOBAL_MAX_POOL;
    bool count_pad = sb_graph_attr_int(e->node, "count_include_pad", 0) != 0;
    struct sb_eval_window w;
    int64_t kernel[2] = {0, 0};
    if (x->rank != 4 || sb_array_count(e->in[0]) == 0) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "only pools over images [N, C, H, W] are supported");
    }
    if (global) {
        kernel[0] = x->dims[2];
        kernel[1] = x->dims[3];
    } else {
        SB_TRY(read_pair(kernel, e->node, "kernel_shape", 0, e->diag));
    }
    SB_TRY(sb_eval_window(&w, e->node, x, kernel, e->diag));
    if (w.dilation[0] != 1 || w.dilation[1] != 1) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "dilated pools");
    }
    struct sb_shape shape = {
        .rank = 4, .dims = {x->dims[0], x->dims[1], (uint32_t)w.out[0], (uint32_t)w.out[1]}};
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_work(e, sb_shape_count(&shape), (uint64_t)(kernel[0] * kernel[1])));
    uint64_t plane = (uint64_t)w.out[0] * (uint64_t)w.out[1];
    uint64_t total = sb_shape_count(&shape);
    for (uint64_t i = 0; i < total; i++) {
        const double *image = e->in[0]->data + i / plane * (uint64_t)(w.in[0] * w.in[1]);
        int64_t y0 = (int64_t)(i % plane) / w.out[1] * w.stride[0] - w.pad_before[0];
        int64_t x0 = (int64_t)(i % plane) % w.out[1] * w.stride[1] - w.pad_before[1];
        double folded = max ? -DBL_MAX : 0;
        int64_t inside = 0;
        for (int64_t py = y0 < 0 ? 0 : y0; py < y0 + kernel[0] && py < w.in[0]; py++) {
            for (int64_t px = x0 < 0 ? 0 : x0; px < x0 + kernel[1] && px < w.in[1]; px++) {
                double v = image[py * w.in[1] + px];
                folded = max ? fmax(folded, v) : folded + v;
                inside++;
            }
        }
        double n = count_pad ? (double)(kernel[0] * kernel[1]) : (double)inside;
        e->out[0].data[i] = max ? folded : folded / n;
    }
    return SB_OK;
}

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
