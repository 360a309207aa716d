/* eval_window.c: the float reference: convolutions, transposed convolutions and pools over one to three dimensions, [N, C, (D,) (H,) W]. See
 * eval.h.
 *
 * All compute in three dimensions: those that the image lacks come first, with one element, one tap, stride 1. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

#define AXES SB_EVAL_WINDOW_AXES

/* ---- geometry ---- */

/* A list with one number for each dimension of the image, right-aligned in ret. */
static sb_err read_list(int64_t ret[AXES], const struct sb_graph_node *node, const char *name,
                        uint32_t rank, int64_t least, struct sb_diag *diag)
{
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, node, name);
    if (count != 0 && count != rank) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "attribute '%s' has %zu numbers, the image %u",
                             name, count, rank);
    }
    for (size_t i = 0; i < count; i++) {
        ret[AXES - rank + i] = ints[i];
        if (ints[i] < least || ints[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(diag, SB_E_RANGE, node, "%" PRId64 " in attribute '%s'", ints[i],
                                 name);
        }
    }
    return SB_OK;
}

static sb_err read_pads(struct sb_eval_window *w, const struct sb_graph_node *node,
                        struct sb_diag *diag)
{
    size_t count = 0;
    const int64_t *pads = sb_graph_attr_ints(&count, node, "pads");
    if (count != 0 && count != 2 * w->rank) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "%zu pads for an image of %u dimensions",
                             count, w->rank);
    }
    for (size_t i = 0; i < count / 2; i++) {
        size_t at = AXES - w->rank + i;
        w->pad_before[at] = pads[i];
        w->pad_after[at] = pads[i + w->rank];
        if (pads[i] < 0 || pads[i + w->rank] < 0 || pads[i] > SB_TENSOR_DIM_MAX ||
            pads[i + w->rank] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(diag, SB_E_RANGE, node, "pads of %" PRId64 " and %" PRId64,
                                 pads[i], pads[i + w->rank]);
        }
    }
    return SB_OK;
}

sb_err sb_eval_window(struct sb_eval_window *ret, const struct sb_graph_node *node,
                      const struct sb_shape *x, const int64_t *kernel, struct sb_diag *diag)
{
    struct sb_eval_window w = {.rank = x->rank - 2};
    if (x->rank < 3 || x->rank > 2 + AXES) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "the input has %u dimensions; images have 3 to 5: [N, C, (D,) (H,) W]",
                             x->rank);
    }
    for (size_t i = 0; i < AXES; i++) {
        bool given = i >= AXES - w.rank;
        w.in[i] = given ? x->dims[i + w.rank - 1] : 1;
        w.kernel[i] = given ? kernel[i + w.rank - AXES] : 1;
        w.stride[i] = 1;
        w.dilation[i] = 1;
    }
    SB_TRY(read_list(w.stride, node, "strides", w.rank, 1, diag));
    SB_TRY(read_list(w.dilation, node, "dilations", w.rank, 1, diag));
    SB_TRY(read_pads(&w, node, diag));
    const char *mode = sb_graph_attr_string(node, "auto_pad", "NOTSET");
    bool same = strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0;
    bool ceil_mode = sb_graph_attr_int(node, "ceil_mode", 0) != 0;
    for (size_t i = 0; i < AXES; i++) {
        int64_t extent = (w.kernel[i] - 1) * w.dilation[i] + 1;
        if (same) {
            int64_t out = (w.in[i] + w.stride[i] - 1) / w.stride[i];
            int64_t total = (out - 1) * w.stride[i] + extent - w.in[i];
            total = total < 0 ? 0 : total;
            w.pad_before[i] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
            w.pad_after[i] = total - w.pad_before[i];
        } else if (strcmp(mode, "VALID") == 0) {
            w.pad_before[i] = 0;
            w.pad_after[i] = 0;
        }
        int64_t room = w.in[i] + w.pad_before[i] + w.pad_after[i] - extent;
        if (room < 0) {
            return sb_graph_fail(diag, SB_E_SHAPE, node, "the window is larger than the image");
        }
        w.out[i] = room / w.stride[i] + 1;
        /* One more window, if it begins inside the image or the padding before it. */
        if (ceil_mode && room % w.stride[i] != 0 &&
            w.out[i] * w.stride[i] < w.in[i] + w.pad_before[i]) {
            w.beyond[i] = w.out[i] * w.stride[i] - room;
            w.out[i]++;
        }
    }
    *ret = w;
    return SB_OK;
}

/* The shape of the result: [N, channels, out..]. */
static struct sb_shape shape_of(const struct sb_eval_window *w, uint32_t batch, uint32_t channels)
{
    struct sb_shape shape = {.rank = w->rank + 2, .dims = {batch, channels}};
    for (uint32_t i = 0; i < w->rank; i++) {
        shape.dims[i + 2] = (uint32_t)w->out[AXES - w->rank + i];
    }
    return shape;
}

static uint64_t product(const int64_t v[AXES])
{
    return (uint64_t)v[0] * (uint64_t)v[1] * (uint64_t)v[2];
}

/* First element of window number n along each axis. */
static void window_start(int64_t ret[AXES], const struct sb_eval_window *w, uint64_t n)
{
    for (size_t i = AXES; i-- > 0;) {
        ret[i] = (int64_t)(n % (uint64_t)w->out[i]) * w->stride[i] - w->pad_before[i];
        n /= (uint64_t)w->out[i];
    }
}

static bool inside(const struct sb_eval_window *w, size_t axis, int64_t at)
{
    return at >= 0 && at < w->in[axis];
}

/* ---- convolution ---- */

/* One output element: sum over the group's channels and the taps inside the image. */
static double conv_element(const struct sb_eval_window *w, const double *image,
                           const double *weights, uint64_t channels, const int64_t start[AXES])
{
    double sum = 0;
    int64_t plane = w->in[1] * w->in[2];
    int64_t step = w->dilation[2]; /* taps first .. end - 1 of a row are inside the image */
    int64_t first = start[2] >= 0 ? 0 : (-start[2] + step - 1) / step;
    int64_t room = w->in[2] - start[2] <= 0 ? 0 : (w->in[2] - start[2] - 1) / step + 1;
    int64_t end = room < w->kernel[2] ? room : w->kernel[2];
    for (uint64_t c = 0; c < channels; c++, image += w->in[0] * plane) {
        for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
            int64_t z = start[0] + kd * w->dilation[0];
            for (int64_t ky = 0; ky < w->kernel[1]; ky++, weights += w->kernel[2]) {
                int64_t y = start[1] + ky * w->dilation[1];
                if (!inside(w, 0, z) || !inside(w, 1, y)) {
                    continue;
                }
                const double *row = image + z * plane + y * w->in[2];
                for (int64_t kx = first; kx < end; kx++) {
                    sum += weights[kx] * row[start[2] + kx * step];
                }
            }
        }
    }
    return sum;
}

/* Weights [O, I / group, K..] fit an input [N, I, ..]. */
static sb_err check_weights(const struct sb_eval *e, const struct sb_shape *x,
                            const struct sb_array *weights, const struct sb_array *bias,
                            bool transposed)
{
    const uint32_t *d = weights->shape.dims;
    int64_t group = sb_graph_attr_int(e->node, "group", 1);
    bool fits = weights->shape.rank == x->rank && x->rank >= 3 && group >= 1 &&
                group <= x->dims[1] && sb_array_count(weights) > 0;
    fits =
        fits && (transposed ? d[0] == x->dims[1] && d[0] % group == 0
                            : d[0] % group == 0 && x->dims[1] == (uint64_t)d[1] * (uint64_t)group);
    uint64_t outputs = !fits ? 0 : transposed ? (uint64_t)d[1] * (uint64_t)group : d[0];
    if (!fits || (bias != NULL && sb_array_count(bias) != outputs)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "the weights do not fit the %u channels of the input in %" PRId64
                             " groups",
                             x->rank < 2 ? 0 : x->dims[1], group);
    }
    return SB_OK;
}

static void kernel_of(int64_t ret[AXES], const struct sb_shape *weights)
{
    for (uint32_t i = 2; i < weights->rank && i < 2 + AXES; i++) {
        ret[i - 2] = weights->dims[i];
    }
}

static sb_err conv_of(struct sb_array *ret, struct sb_eval *e, const struct sb_array *x,
                      const struct sb_array *weights, const struct sb_array *bias)
{
    struct sb_eval_window w;
    int64_t kernel[AXES] = {1, 1, 1};
    SB_TRY(check_weights(e, &x->shape, weights, bias, false));
    kernel_of(kernel, &weights->shape);
    SB_TRY(sb_eval_window(&w, e->node, &x->shape, kernel, e->diag));
    uint64_t group = (uint64_t)sb_graph_attr_int(e->node, "group", 1);
    const uint32_t *wd = weights->shape.dims;
    struct sb_shape shape = shape_of(&w, x->shape.dims[0], wd[0]);
    uint64_t patch = wd[1] * product(w.kernel);
    uint64_t plane = product(w.in);
    uint64_t outputs = product(w.out);
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_work(e, sb_shape_count(&shape), patch));
    double *y = e->out[0].data;
    for (uint64_t n = 0; n < shape.dims[0]; n++) {
        for (uint64_t o = 0; o < wd[0]; o++) {
            uint64_t first = o / (wd[0] / group) * wd[1];
            const double *image = x->data + (n * x->shape.dims[1] + first) * plane;
            for (uint64_t i = 0; i < outputs; i++) {
                int64_t start[AXES];
                window_start(start, &w, i);
                *y++ = conv_element(&w, image, weights->data + o * patch, wd[1], start) +
                       (bias != NULL ? bias->data[o] : 0);
            }
        }
    }
    *ret = e->out[0];
    return SB_OK;
}

sb_err sb_eval_conv(struct sb_eval *e)
{
    struct sb_array y;
    return conv_of(&y, e, e->in[0], e->in[1], e->in[2]);
}

/* ---- integer convolutions ---- */

/* x minus its zero point, which is one number or one for each index of dimension 0. */
static sb_err without_zero_point(struct sb_array *ret, struct sb_eval *e, const struct sb_array *x,
                                 const struct sb_array *zero_point)
{
    uint64_t count = sb_array_count(x);
    uint64_t zeros = zero_point != NULL ? sb_array_count(zero_point) : 1;
    *ret = *x;
    ret->data = sb_arena_array(e->memory, count, sizeof *ret->data);
    if (ret->data == NULL || zeros == 0 || (zeros != 1 && zeros != x->shape.dims[0])) {
        return sb_graph_fail(e->diag, ret->data == NULL ? SB_E_NOMEM : SB_E_SHAPE, e->node,
                             "a zero point does not fit, or memory ran out");
    }
    for (uint64_t i = 0; i < count; i++) {
        double zero =
            zero_point == NULL ? 0 : zero_point->data[zeros == 1 ? 0 : i / (count / zeros)];
        ret->data[i] = x->data[i] - zero;
    }
    return SB_OK;
}

sb_err sb_eval_conv_integer(struct sb_eval *e)
{
    struct sb_array x;
    struct sb_array w;
    struct sb_array y;
    SB_TRY(without_zero_point(&x, e, e->in[0], e->in[2]));
    SB_TRY(without_zero_point(&w, e, e->in[1], e->in[3]));
    return conv_of(&y, e, &x, &w, NULL);
}

/* x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias (scale x_scale * w_scale). */
sb_err sb_eval_qlinear_conv(struct sb_eval *e)
{
    struct sb_array x;
    struct sb_array w;
    struct sb_array y;
    SB_TRY(without_zero_point(&x, e, e->in[0], e->in[2]));
    SB_TRY(without_zero_point(&w, e, e->in[3], e->in[5]));
    SB_TRY(conv_of(&y, e, &x, &w, e->in[8]));
    uint32_t outputs = y.shape.dims[1];
    uint64_t count = sb_array_count(&y);
    uint64_t plane = count / y.shape.dims[0] / outputs;
    uint64_t scales = sb_array_count(e->in[4]);
    if ((scales != 1 && scales != outputs) || sb_array_count(e->in[1]) != 1 ||
        sb_array_count(e->in[6]) != 1 || sb_array_count(e->in[7]) != 1) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "scales that do not fit");
    }
    bool is_signed = e->graph->values[e->node->inputs[7]].elem == SB_ELEM_INT8;
    for (uint64_t i = 0; i < count; i++) {
        double scale = e->in[4]->data[scales == 1 ? 0 : i / plane % outputs];
        double q = nearbyint(y.data[i] * (e->in[1]->data[0] * scale / e->in[6]->data[0])) +
                   e->in[7]->data[0];
        y.data[i] = fmin(is_signed ? 127 : 255, fmax(is_signed ? -128 : 0, q));
    }
    return SB_OK;
}

/* ---- transposed convolution ---- */

sb_err sb_eval_transposed(struct sb_eval_window *ret, const struct sb_graph_node *node,
                          const struct sb_shape *x, const struct sb_shape *weights,
                          struct sb_diag *diag)
{
    struct sb_eval_window w = {.rank = x->rank - 2};
    int64_t extra[AXES] = {0};
    int64_t wanted[AXES] = {0};
    int64_t kernel[AXES] = {1, 1, 1};
    if (x->rank < 3 || x->rank > 2 + AXES) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "an input of %u dimensions", x->rank);
    }
    kernel_of(kernel, weights);
    for (size_t i = 0; i < AXES; i++) {
        bool given = i >= AXES - w.rank;
        w.in[i] = given ? x->dims[i + w.rank - 1] : 1;
        w.kernel[i] = given ? kernel[i + w.rank - AXES] : 1;
        w.stride[i] = 1;
        w.dilation[i] = 1;
    }
    SB_TRY(read_list(w.stride, node, "strides", w.rank, 1, diag));
    SB_TRY(read_list(w.dilation, node, "dilations", w.rank, 1, diag));
    SB_TRY(read_list(extra, node, "output_padding", w.rank, 0, diag));
    SB_TRY(read_list(wanted, node, "output_shape", w.rank, 1, diag));
    SB_TRY(read_pads(&w, node, diag));
    const char *mode = sb_graph_attr_string(node, "auto_pad", "NOTSET");
    bool same = strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0;
    for (size_t i = 0; i < AXES; i++) {
        int64_t full =
            (w.in[i] - 1) * w.stride[i] + (w.kernel[i] - 1) * w.dilation[i] + 1 + extra[i];
        int64_t out = wanted[i] != 0 ? wanted[i] : same ? w.in[i] * w.stride[i] : 0;
        if (out != 0) {
            int64_t total = full > out ? full - out : 0;
            w.pad_before[i] =
                strcmp(mode, "SAME_UPPER") == 0 || !same ? total / 2 : total - total / 2;
            w.out[i] = out;
        } else {
            w.out[i] = full - w.pad_before[i] - w.pad_after[i];
        }
        if (w.out[i] < 1 || w.out[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(diag, SB_E_SHAPE, node, "a dimension of %" PRId64, w.out[i]);
        }
    }
    *ret = w;
    return SB_OK;
}

/* Adds an input element times the weights of an output channel to the places that it reaches. */
static void spread(double *y, const struct sb_eval_window *w, double x, const double *weights,
                   const int64_t at[AXES])
{
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        int64_t z = at[0] * w->stride[0] + kd * w->dilation[0] - w->pad_before[0];
        for (int64_t ky = 0; ky < w->kernel[1]; ky++, weights += w->kernel[2]) {
            int64_t row = at[1] * w->stride[1] + ky * w->dilation[1] - w->pad_before[1];
            if (z < 0 || z >= w->out[0] || row < 0 || row >= w->out[1]) {
                continue;
            }
            for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
                int64_t column = at[2] * w->stride[2] + kx * w->dilation[2] - w->pad_before[2];
                if (column >= 0 && column < w->out[2]) {
                    y[(z * w->out[1] + row) * w->out[2] + column] += x * weights[kx];
                }
            }
        }
    }
}

sb_err sb_eval_conv_transpose(struct sb_eval *e)
{
    const struct sb_array *x = e->in[0];
    const struct sb_array *weights = e->in[1];
    const struct sb_array *bias = e->in[2];
    struct sb_eval_window w;
    SB_TRY(check_weights(e, &x->shape, weights, bias, true));
    SB_TRY(sb_eval_transposed(&w, e->node, &x->shape, &weights->shape, e->diag));
    uint64_t group = (uint64_t)sb_graph_attr_int(e->node, "group", 1);
    uint64_t per_group = weights->shape.dims[1];
    uint64_t channels = x->shape.dims[1];
    struct sb_shape shape = shape_of(&w, x->shape.dims[0], (uint32_t)(per_group * group));
    uint64_t in_plane = product(w.in);
    uint64_t out_plane = product(w.out);
    uint64_t taps = product(w.kernel);
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    SB_TRY(sb_eval_work(e, sb_array_count(x), per_group * taps));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        e->out[0].data[i] = bias != NULL ? bias->data[i / out_plane % shape.dims[1]] : 0;
    }
    for (uint64_t i = 0; i < sb_array_count(x); i++) {
        uint64_t c = i / in_plane % channels;
        uint64_t n = i / in_plane / channels;
        uint64_t at = i % in_plane;
        int64_t place[AXES] = {(int64_t)(at / (uint64_t)(w.in[1] * w.in[2])),
                               (int64_t)(at / (uint64_t)w.in[2]) % w.in[1],
                               (int64_t)(at % (uint64_t)w.in[2])};
        for (uint64_t o = 0; o < per_group; o++) {
            uint64_t channel = c / (channels / group) * per_group + o;
            spread(e->out[0].data + (n * shape.dims[1] + channel) * out_plane, &w, x->data[i],
                   weights->data + (c * per_group + o) * taps, place);
        }
    }
    return SB_OK;
}

/* ---- pools ---- */

/* What a window holds. */
struct folded {
    double top;
    double sum;     /* of x, or of |x|^p */
    int64_t best;   /* place of the first greatest element in the image */
    int64_t taps;   /* inside the image */
    int64_t padded; /* inside the image or its declared padding */
};

static struct folded fold(const struct sb_eval_window *w, const double *image, uint64_t n,
                          double power)
{
    struct folded f = {.top = -DBL_MAX, .best = -1};
    int64_t start[AXES];
    window_start(start, w, n);
    for (int64_t k = 0; k < (int64_t)product(w->kernel); k++) {
        int64_t at[AXES] = {start[0] + k / (w->kernel[1] * w->kernel[2]) * w->dilation[0],
                            start[1] + k / w->kernel[2] % w->kernel[1] * w->dilation[1],
                            start[2] + k % w->kernel[2] * w->dilation[2]};
        bool in_image = true;
        bool in_padding = true;
        for (size_t i = 0; i < AXES; i++) {
            in_image = in_image && inside(w, i, at[i]);
            in_padding = in_padding && at[i] < w->in[i] + w->pad_after[i];
        }
        f.padded += in_padding ? 1 : 0;
        if (in_image) {
            int64_t place = (at[0] * w->in[1] + at[1]) * w->in[2] + at[2];
            double v = image[place];
            f.taps++;
            f.sum += power == 0 ? v : pow(fabs(v), power);
            f.best = v > f.top || f.best < 0 ? place : f.best;
            f.top = fmax(f.top, v);
        }
    }
    return f;
}

/* Place of an element in column-major order of the image. */
static int64_t column_major(const struct sb_eval_window *w, int64_t place)
{
    int64_t x = place % w->in[2];
    int64_t y = place / w->in[2] % w->in[1];
    int64_t z = place / w->in[2] / w->in[1];
    return (x * w->in[1] + y) * w->in[0] + z;
}

sb_err sb_eval_pool_window(struct sb_eval_window *ret, const struct sb_graph_node *node,
                           const struct sb_shape *x, struct sb_diag *diag)
{
    enum sb_onnx_op_id op = node->op->id;
    bool global = op == SB_ONNX_GLOBAL_AVERAGE_POOL || op == SB_ONNX_GLOBAL_MAX_POOL ||
                  op == SB_ONNX_GLOBAL_LP_POOL;
    size_t count = 0;
    const int64_t *kernel = sb_graph_attr_ints(&count, node, "kernel_shape");
    int64_t whole[SB_TENSOR_RANK_MAX] = {0};
    bool fits = x->rank >= 3 && x->rank <= 2 + AXES;
    for (uint32_t i = 2; fits && i < x->rank; i++) {
        whole[i - 2] = global ? x->dims[i] : i - 2 < count ? kernel[i - 2] : 0;
        fits = whole[i - 2] >= 1 && whole[i - 2] <= SB_TENSOR_DIM_MAX;
    }
    if (!fits || (!global && count != x->rank - 2)) {
        return sb_graph_fail(diag, SB_E_SHAPE, node,
                             "a kernel of %zu dimensions for an input of %u; images have 3 to 5",
                             count, x->rank);
    }
    return sb_eval_window(ret, node, x, whole, diag);
}

sb_err sb_eval_pool(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    enum sb_onnx_op_id op = e->node->op->id;
    bool max = op == SB_ONNX_MAX_POOL || op == SB_ONNX_GLOBAL_MAX_POOL;
    bool lp = op == SB_ONNX_LP_POOL || op == SB_ONNX_GLOBAL_LP_POOL;
    bool count_pad = sb_graph_attr_int(e->node, "count_include_pad", 0) != 0;
    bool columns = sb_graph_attr_int(e->node, "storage_order", 0) != 0;
    double power = lp ? (double)sb_graph_attr_int(e->node, "p", 2) : 0;
    struct sb_eval_window w;
    SB_TRY(sb_eval_pool_window(&w, e->node, x, e->diag));
    struct sb_shape shape = shape_of(&w, x->dims[0], x->dims[1]);
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    bool indices = e->node->output_count > 1 && e->node->outputs[1] != SB_NO_VALUE;
    if (indices) {
        SB_TRY(sb_eval_alloc(e, 1, &shape));
    }
    SB_TRY(sb_eval_work(e, sb_shape_count(&shape), product(w.kernel)));
    uint64_t plane = product(w.out);
    uint64_t in_plane = product(w.in);
    uint64_t total = sb_shape_count(&shape);
    for (uint64_t i = 0; i < total; i++) {
        struct folded f = fold(&w, e->in[0]->data + i / plane * in_plane, i % plane, power);
        if (f.taps == 0) {
            return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                                 "a window that holds padding alone");
        }
        e->out[0].data[i] = max  ? f.top
                            : lp ? pow(f.sum, 1 / power)
                                 : f.sum / (double)(count_pad ? f.padded : f.taps);
        if (indices) {
            int64_t place = columns ? column_major(&w, f.best) : f.best;
            e->out[1].data[i] = (double)(i / plane * in_plane) + (double)place;
        }
    }
    return SB_OK;
}

/* ---- PRelu ---- */

sb_err sb_eval_prelu(struct sb_eval *e)
{
    struct sb_shape shape;
    SB_TRY(sb_eval_broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        double x = sb_eval_operand(e, 0, &shape, i);
        e->out[0].data[i] = x >= 0 ? x : x * sb_eval_operand(e, 1, &shape, i);
    }
    return SB_OK;
}
