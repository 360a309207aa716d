/* passes_window.c: sb_expand_window: convolutions and pools that are made of those the engine has: over images of two dimensions, with padding
 * below the window, pools without dilation. See passes_impl.h.
 *
 *     1-D                     height 1
 *     3-D convolution         the planes of a window become channels
 *     3-D pool                a pool over height and width, then one over depth: both folds are separable
 *     dilated pool            the elements of each window side by side, then a pool whose stride is its kernel
 *     transposed convolution  one convolution that makes the stride^2 outputs around each input as channels, laid out as an image */
#include <math.h>
#include <string.h>

#include "vm/compiler/eval.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

#define AXES SB_EVAL_WINDOW_AXES

/* ---- helpers ---- */

static sb_err keep_ints(struct sb_attr *ret, struct sb_expansion *x, const char *name,
                        const int64_t *ints, size_t count)
{
    const int64_t *kept = (const int64_t *)(const void *)sb_arena_dup(
        x->graph->memory, sb_span(ints, count * sizeof *ints));
    *ret = sb_attr_ints(name, kept, count);
    return kept != NULL ? SB_OK : sb_pass_nomem(x->diag);
}

static const struct sb_shape *shape_of(const struct sb_expansion *x, uint32_t value)
{
    return &x->graph->values[value].array.shape;
}

static sb_err transpose(uint32_t *output, struct sb_expansion *x, uint32_t from,
                        const int64_t *perm, size_t rank)
{
    struct sb_attr attr;
    SB_TRY(keep_ints(&attr, x, "perm", perm, rank));
    return sb_expand_node(output, x, "Transpose", &from, 1, &attr, 1);
}

/* Zeros (negative: elements cut off) around dimensions 2 .. of an image. *output: the image itself where there are none. */
static sb_err pad_image(uint32_t *output, struct sb_expansion *x, uint32_t from, uint32_t rank,
                        const int64_t before[AXES], const int64_t after[AXES])
{
    int64_t pads[2 * SB_TENSOR_RANK_MAX] = {0};
    uint32_t in[2] = {from};
    bool any = false;
    for (uint32_t i = 0; i < rank; i++) {
        pads[2 + i] = before[AXES - rank + i];
        pads[4 + rank + i] = after[AXES - rank + i];
        any = any || pads[2 + i] != 0 || pads[4 + rank + i] != 0;
    }
    *output = any ? SB_NO_VALUE : from;
    if (!any) {
        return SB_OK;
    }
    SB_TRY(sb_expand_ints(&in[1], x, pads, 2 * (size_t)(rank + 2)));
    return sb_expand_node(output, x, "Pad", in, 2, NULL, 0);
}

/* A convolution or pool over two dimensions. */
struct plane_window {
    int64_t kernel[2];
    int64_t stride[2];
    int64_t dilation[2];
    int64_t pads[4];
    int64_t group; /* convolutions */
};

static sb_err window_node(uint32_t *output, struct sb_expansion *x, const char *op,
                          const uint32_t *in, uint32_t in_count, const struct plane_window *w)
{
    struct sb_attr attrs[4];
    bool conv = op[0] == 'C';
    SB_TRY(keep_ints(&attrs[0], x, "strides", w->stride, 2));
    SB_TRY(keep_ints(&attrs[1], x, "pads", w->pads, 4));
    SB_TRY(keep_ints(&attrs[2], x, conv ? "dilations" : "kernel_shape",
                     conv ? w->dilation : w->kernel, 2));
    attrs[3] = sb_attr_int("group", w->group);
    return sb_expand_node(output, x, op, in, in_count, attrs, conv ? 4 : 3);
}

/* ---- convolutions ---- */

static bool pads_fit(const struct sb_eval_window *w)
{
    for (size_t i = 0; i < AXES; i++) {
        int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (w->pad_before[i] >= extent || w->pad_after[i] + w->beyond[i] >= extent) {
            return false;
        }
    }
    return true;
}

static struct plane_window plane_of(const struct sb_eval_window *w, int64_t group)
{
    return (struct plane_window){
        .kernel = {w->kernel[1], w->kernel[2]},
        .stride = {w->stride[1], w->stride[2]},
        .dilation = {w->dilation[1], w->dilation[2]},
        .pads = {w->pad_before[1], w->pad_before[2], w->pad_after[1] + w->beyond[1],
                 w->pad_after[2] + w->beyond[2]},
        .group = group,
    };
}

/* [N, C, L] and [O, I, K] with a height of 1. */
static sb_err conv_of_line(struct sb_expansion *x, const struct sb_eval_window *w, int64_t group)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape from = *shape_of(x, n->inputs[0]);
    const struct sb_shape weights = *shape_of(x, n->inputs[1]);
    const struct sb_shape to = *shape_of(x, n->outputs[0]);
    struct plane_window p = plane_of(w, group);
    uint32_t in[3] = {SB_NO_VALUE, SB_NO_VALUE, n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE};
    uint32_t y = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(
        &in[0], x, n->inputs[0],
        &(struct sb_shape){.rank = 4, .dims = {from.dims[0], from.dims[1], 1, from.dims[2]}}));
    SB_TRY(sb_expand_reshape(
        &in[1], x, n->inputs[1],
        &(struct sb_shape){.rank = 4,
                           .dims = {weights.dims[0], weights.dims[1], 1, weights.dims[2]}}));
    SB_TRY(window_node(&y, x, "Conv", in, in[2] == SB_NO_VALUE ? 2 : 3, &p));
    return sb_expand_reshape(&n->outputs[0], x, y, &to);
}

/* The planes that each output plane reads are laid side by side and become channels: [N * OD, C * KD, H, W]. */
static sb_err conv_of_volume(struct sb_expansion *x, const struct sb_eval_window *w, int64_t group)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape from = *shape_of(x, n->inputs[0]);
    const uint32_t *wd = shape_of(x, n->inputs[1])->dims;
    const struct sb_shape weights = {.rank = 4, .dims = {wd[0], wd[1] * wd[2], wd[3], wd[4]}};
    uint32_t od = (uint32_t)w->out[0];
    uint32_t kd = (uint32_t)w->kernel[0];
    struct plane_window p = plane_of(w, group);
    struct sb_shape list = {.rank = 2, .dims = {od, kd}};
    uint32_t gather[2] = {SB_NO_VALUE};
    SB_TRY(pad_image(&gather[0], x, n->inputs[0], 3, (int64_t[AXES]){w->pad_before[0], 0, 0},
                     (int64_t[AXES]){w->pad_after[0], 0, 0}));
    SB_TRY(sb_expand_const(&gather[1], x, SB_ELEM_INT64, &list, NULL));
    for (uint32_t i = 0; i < od * kd; i++) {
        x->graph->values[gather[1]].array.data[i] =
            (double)(i / kd * w->stride[0] + i % kd * w->dilation[0]);
    }
    struct sb_attr axis = sb_attr_int("axis", 2);
    uint32_t planes = SB_NO_VALUE;
    uint32_t turned = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&planes, x, "Gather", gather, 2, &axis, 1));
    SB_TRY(transpose(&turned, x, planes, (int64_t[]){0, 2, 1, 3, 4, 5}, 6));
    uint32_t in[3] = {SB_NO_VALUE, SB_NO_VALUE, n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE};
    SB_TRY(sb_expand_reshape(&in[0], x, turned,
                             &(struct sb_shape){.rank = 4,
                                                .dims = {from.dims[0] * od, from.dims[1] * kd,
                                                         from.dims[3], from.dims[4]}}));
    SB_TRY(sb_expand_reshape(&in[1], x, n->inputs[1], &weights));
    uint32_t y = SB_NO_VALUE;
    uint32_t stack = SB_NO_VALUE;
    SB_TRY(window_node(&y, x, "Conv", in, in[2] == SB_NO_VALUE ? 2 : 3, &p));
    SB_TRY(
        sb_expand_reshape(&stack, x, y,
                          &(struct sb_shape){.rank = 5,
                                             .dims = {from.dims[0], od, wd[0], (uint32_t)w->out[1],
                                                      (uint32_t)w->out[2]}}));
    return transpose(&n->outputs[0], x, stack, (int64_t[]){0, 2, 1, 3, 4}, 5);
}

static sb_err expand_conv(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *weights = shape_of(x, n->inputs[1]);
    int64_t kernel[SB_TENSOR_RANK_MAX] = {0};
    int64_t group = sb_graph_attr_int(n, "group", 1);
    struct sb_eval_window w;
    for (uint32_t i = 2; i < weights->rank; i++) {
        kernel[i - 2] = weights->dims[i];
    }
    SB_TRY(sb_eval_window(&w, n, shape_of(x, n->inputs[0]), kernel, x->diag));
    *ret_done = true;
    if (w.rank == 1) {
        return conv_of_line(x, &w, group);
    }
    if (w.rank == 3) {
        return conv_of_volume(x, &w, group);
    }
    *ret_done = !pads_fit(&w);
    if (*ret_done) {
        uint32_t in[3] = {SB_NO_VALUE, n->inputs[1],
                          n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE};
        struct plane_window p = plane_of(&w, group);
        memset(p.pads, 0, sizeof p.pads);
        SB_TRY(pad_image(&in[0], x, n->inputs[0], 2, w.pad_before, w.pad_after));
        return window_node(&n->outputs[0], x, "Conv", in, in[2] == SB_NO_VALUE ? 2 : 3, &p);
    }
    return SB_OK;
}

/* ---- transposed convolution ---- */

/* One axis: output q * stride + r gets x[q + e] * w[k] for each k with e = (r + pad - k * dilation) / stride whole. */
struct phases {
    int64_t first;  /* smallest e */
    int64_t length; /* of the kernel over e */
    int64_t count;  /* of q */
};

static bool tap_offset(int64_t *ret, const struct sb_eval_window *w, size_t axis, int64_t r,
                       int64_t k)
{
    int64_t at = r + w->pad_before[axis] - k * w->dilation[axis];
    int64_t s = w->stride[axis];
    *ret = at / s;
    return at % s == 0;
}

static struct phases phases_of(const struct sb_eval_window *w, size_t axis)
{
    int64_t lo = INT64_MAX;
    int64_t hi = INT64_MIN;
    for (int64_t r = 0; r < w->stride[axis]; r++) {
        for (int64_t k = 0; k < w->kernel[axis]; k++) {
            int64_t e = 0;
            if (tap_offset(&e, w, axis, r, k)) {
                lo = e < lo ? e : lo;
                hi = e > hi ? e : hi;
            }
        }
    }
    return (struct phases){.first = lo,
                           .length = hi - lo + 1,
                           .count = (w->out[axis] + w->stride[axis] - 1) / w->stride[axis]};
}

/* Weights [C, O / group, KH, KW] as [O * stride^2, C / group, ..]: channel (o * stride + ry) * stride + rx. */
static sb_err phase_weights(uint32_t *ret, struct sb_expansion *x, const struct sb_eval_window *w,
                            const struct phases *py, const struct phases *px, int64_t group)
{
    const struct sb_value *old = &x->graph->values[x->origin->inputs[1]];
    const uint32_t *d = old->array.shape.dims;
    uint32_t per_group = d[0] / (uint32_t)group;
    uint32_t phase_count = (uint32_t)(w->stride[1] * w->stride[2]);
    struct sb_shape shape = {.rank = 4,
                             .dims = {d[1] * (uint32_t)group * phase_count, per_group,
                                      (uint32_t)py->length, (uint32_t)px->length}};
    const double *from = old->array.data;
    enum sb_elem elem = old->elem;
    SB_TRY(sb_expand_const(ret, x, elem, &shape, NULL));
    double *to = x->graph->values[*ret].array.data;
    for (uint32_t c = 0; c < d[0]; c++) {
        for (uint32_t o = 0; o < d[1]; o++) {
            uint32_t channel = c / per_group * d[1] + o;
            for (uint32_t k = 0; k < d[2] * d[3]; k++, from++) {
                for (uint32_t r = 0; r < phase_count; r++) {
                    int64_t ey = 0;
                    int64_t ex = 0;
                    if (tap_offset(&ey, w, 1, r / w->stride[2], k / d[3]) &&
                        tap_offset(&ex, w, 2, r % w->stride[2], k % d[3])) {
                        int64_t row =
                            (int64_t)(channel * phase_count + r) * per_group + c % per_group;
                        row = row * py->length + ey - py->first;
                        to[row * px->length + ex - px->first] += *from;
                    }
                }
            }
        }
    }
    return SB_OK;
}

static sb_err phase_bias(uint32_t *ret, struct sb_expansion *x, uint32_t phase_count)
{
    const struct sb_value *old = sb_graph_input(x->graph, x->origin, 2);
    *ret = SB_NO_VALUE;
    if (old == NULL) {
        return SB_OK;
    }
    if (!old->is_const) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, x->origin, "a bias that is computed");
    }
    const double *from = old->array.data;
    uint32_t count = (uint32_t)sb_array_count(&old->array) * phase_count;
    SB_TRY(
        sb_expand_const(ret, x, old->elem, &(struct sb_shape){.rank = 1, .dims = {count}}, NULL));
    for (uint32_t i = 0; i < count; i++) {
        x->graph->values[*ret].array.data[i] = from[i / phase_count];
    }
    return SB_OK;
}

/* [N, O * sy * sx, QH, QW] to the image [N, O, OH, OW]. */
static sb_err lay_out(uint32_t *output, struct sb_expansion *x, uint32_t from,
                      const struct sb_eval_window *w, const struct phases *py,
                      const struct phases *px, uint32_t batch, uint32_t outputs)
{
    uint32_t sy = (uint32_t)w->stride[1];
    uint32_t sx = (uint32_t)w->stride[2];
    uint32_t qh = (uint32_t)py->count;
    uint32_t qw = (uint32_t)px->count;
    uint32_t split = SB_NO_VALUE;
    uint32_t turned = SB_NO_VALUE;
    uint32_t image = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(
        &split, x, from, &(struct sb_shape){.rank = 6, .dims = {batch, outputs, sy, sx, qh, qw}}));
    SB_TRY(transpose(&turned, x, split, (int64_t[]){0, 1, 4, 2, 5, 3}, 6));
    SB_TRY(sb_expand_reshape(
        &image, x, turned,
        &(struct sb_shape){.rank = 4, .dims = {batch, outputs, qh * sy, qw * sx}}));
    return sb_expand_slice(output, x, image, (int64_t[]){0, 0}, (int64_t[]){w->out[1], w->out[2]},
                           (int64_t[]){2, 3}, 2);
}

/* A transposed convolution over [N, C, H, W]. */
static sb_err transposed_plane(struct sb_expansion *x, const struct sb_eval_window *w)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape from = *shape_of(x, n->inputs[0]);
    int64_t group = sb_graph_attr_int(n, "group", 1);
    uint32_t outputs = shape_of(x, n->inputs[1])->dims[1] * (uint32_t)group;
    uint32_t phase_count = (uint32_t)(w->stride[1] * w->stride[2]);
    struct phases p[2] = {phases_of(w, 1), phases_of(w, 2)};
    struct plane_window plane = {.stride = {1, 1}, .dilation = {1, 1}, .group = group};
    int64_t before[AXES] = {0};
    int64_t after[AXES] = {0};
    uint32_t in[3] = {SB_NO_VALUE};
    for (size_t i = 0; i < 2; i++) {
        before[1 + i] = -p[i].first;
        after[1 + i] = p[i].count - w->in[1 + i] - before[1 + i] + p[i].length - 1;
    }
    SB_TRY(pad_image(&in[0], x, n->inputs[0], 2, before, after));
    SB_TRY(phase_weights(&in[1], x, w, &p[0], &p[1], group));
    SB_TRY(phase_bias(&in[2], x, phase_count));
    uint32_t y = SB_NO_VALUE;
    SB_TRY(window_node(&y, x, "Conv", in, in[2] == SB_NO_VALUE ? 2 : 3, &plane));
    return lay_out(&n->outputs[0], x, y, w, &p[0], &p[1], from.dims[0], outputs);
}

/* The attributes of a transposed convolution as they are once all is resolved: for one with a dimension more. */
static sb_err transposed_line(struct sb_expansion *x, const struct sb_eval_window *w)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape from = *shape_of(x, n->inputs[0]);
    const struct sb_shape weights = *shape_of(x, n->inputs[1]);
    const struct sb_shape to = *shape_of(x, n->outputs[0]);
    int64_t full = (w->in[2] - 1) * w->stride[2] + (w->kernel[2] - 1) * w->dilation[2] + 1;
    int64_t after = full - w->pad_before[2] - w->out[2]; /* negative: zeros after the image */
    struct sb_attr attrs[6];
    SB_TRY(keep_ints(&attrs[0], x, "strides", (int64_t[]){1, w->stride[2]}, 2));
    SB_TRY(keep_ints(&attrs[1], x, "dilations", (int64_t[]){1, w->dilation[2]}, 2));
    SB_TRY(keep_ints(&attrs[2], x, "pads",
                     (int64_t[]){0, w->pad_before[2], 0, after > 0 ? after : 0}, 4));
    SB_TRY(keep_ints(&attrs[3], x, "output_padding", (int64_t[]){0, after < 0 ? -after : 0}, 2));
    attrs[4] = sb_attr_int("group", sb_graph_attr_int(n, "group", 1));
    uint32_t in[3] = {SB_NO_VALUE, SB_NO_VALUE, n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE};
    uint32_t y = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(
        &in[0], x, n->inputs[0],
        &(struct sb_shape){.rank = 4, .dims = {from.dims[0], from.dims[1], 1, from.dims[2]}}));
    SB_TRY(sb_expand_reshape(
        &in[1], x, n->inputs[1],
        &(struct sb_shape){.rank = 4,
                           .dims = {weights.dims[0], weights.dims[1], 1, weights.dims[2]}}));
    SB_TRY(sb_expand_node(&y, x, "ConvTranspose", in, in[2] == SB_NO_VALUE ? 2 : 3, attrs, 5));
    return sb_expand_reshape(&n->outputs[0], x, y, &to);
}

/* stride - 1 zeros after each element along one dimension: [A, L, B] to [A, L * stride, B]. */
static sb_err spread_axis(uint32_t *value, struct sb_expansion *x, struct sb_shape *shape,
                          uint32_t axis, int64_t stride)
{
    if (stride == 1) {
        return SB_OK;
    }
    uint32_t outer = 1;
    uint32_t inner = 1;
    for (uint32_t i = 0; i < shape->rank; i++) {
        outer *= i < axis ? shape->dims[i] : 1;
        inner *= i > axis ? shape->dims[i] : 1;
    }
    uint32_t apart = SB_NO_VALUE;
    uint32_t in[2] = {SB_NO_VALUE};
    struct sb_shape cut = {.rank = 4, .dims = {outer, shape->dims[axis], 1, inner}};
    SB_TRY(sb_expand_reshape(&in[0], x, *value, &cut));
    SB_TRY(sb_expand_ints(&in[1], x, (int64_t[]){0, 0, 0, 0, 0, 0, stride - 1, 0}, 8));
    SB_TRY(sb_expand_node(&apart, x, "Pad", in, 2, NULL, 0));
    shape->dims[axis] *= (uint32_t)stride;
    *value = SB_NO_VALUE;
    return sb_expand_reshape(value, x, apart, shape);
}

/* A volume: zeros between the elements, then a convolution with the weights turned round. */
static sb_err transposed_volume(struct sb_expansion *x, const struct sb_eval_window *w)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *old = &x->graph->values[n->inputs[1]];
    const double *from = old->array.data;
    const uint32_t *d = old->array.shape.dims;
    uint32_t group = (uint32_t)sb_graph_attr_int(n, "group", 1);
    uint32_t per_group = d[0] / group;
    uint32_t taps = d[2] * d[3] * d[4];
    struct sb_shape shape = *shape_of(x, n->inputs[0]);
    struct sb_shape turned = {.rank = 5, .dims = {d[1] * group, per_group, d[2], d[3], d[4]}};
    uint32_t in[3] = {n->inputs[0], 0, n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE};
    int64_t before[AXES];
    int64_t after[AXES];
    SB_TRY(sb_expand_const(&in[1], x, old->elem, &turned, NULL));
    double *to = x->graph->values[in[1]].array.data;
    for (uint32_t i = 0; i < d[0] * d[1] * taps; i++) {
        uint32_t c = i / taps / d[1];
        uint32_t channel = c / per_group * d[1] + i / taps % d[1];
        to[(channel * per_group + c % per_group) * taps + (taps - 1 - i % taps)] = from[i];
    }
    for (uint32_t i = 0; i < AXES; i++) {
        int64_t reach = (w->kernel[i] - 1) * w->dilation[i];
        SB_TRY(spread_axis(&in[0], x, &shape, 2 + i, w->stride[i]));
        before[i] = reach - w->pad_before[i];
        after[i] = w->out[i] - 1 + reach + 1 - (int64_t)shape.dims[2 + i] - before[i];
    }
    uint32_t padded = SB_NO_VALUE;
    struct sb_attr attrs[2];
    SB_TRY(pad_image(&padded, x, in[0], AXES, before, after));
    in[0] = padded;
    SB_TRY(keep_ints(&attrs[0], x, "dilations", w->dilation, AXES));
    attrs[1] = sb_attr_int("group", group);
    return sb_expand_node(&n->outputs[0], x, "Conv", in, in[2] == SB_NO_VALUE ? 2 : 3, attrs, 2);
}

static sb_err expand_conv_transpose(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_eval_window w;
    if (!x->graph->values[n->inputs[1]].is_const) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                             "weights that are computed; only constant weights are supported");
    }
    SB_TRY(
        sb_eval_transposed(&w, n, shape_of(x, n->inputs[0]), shape_of(x, n->inputs[1]), x->diag));
    return w.rank == 1   ? transposed_line(x, &w)
           : w.rank == 2 ? transposed_plane(x, &w)
                         : transposed_volume(x, &w);
}

/* ---- pools ---- */

/* A pool being rewritten: its input so far, and the window that is left to do. */
struct pool {
    uint32_t value;
    struct sb_shape shape;
    struct sb_eval_window w;
    bool max;
};

/* The elements of each window side by side along one axis. For a maximum, a tap outside is replaced by one inside, which changes nothing. */
static sb_err gather_windows(struct pool *p, struct sb_expansion *x, size_t axis)
{
    struct sb_eval_window *w = &p->w;
    uint32_t dim = (uint32_t)(axis + p->shape.rank - AXES);
    uint32_t count = (uint32_t)(w->out[axis] * w->kernel[axis]);
    uint32_t in[2] = {p->value};
    SB_TRY(sb_expand_const(&in[1], x, SB_ELEM_INT64, &(struct sb_shape){.rank = 1, .dims = {count}},
                           NULL));
    double *index = x->graph->values[in[1]].array.data;
    for (int64_t o = 0; o < w->out[axis]; o++) {
        int64_t start = o * w->stride[axis] - w->pad_before[axis];
        int64_t first = start;
        while (first < 0) {
            first += w->dilation[axis];
        }
        for (int64_t k = 0; k < w->kernel[axis]; k++) {
            int64_t at = start + k * w->dilation[axis];
            *index++ = (double)(at < 0 || at >= w->in[axis] ? first : at);
        }
    }
    struct sb_attr attr = sb_attr_int("axis", dim);
    p->value = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&p->value, x, "Gather", in, 2, &attr, 1));
    p->shape.dims[dim] = count;
    w->in[axis] = count;
    w->stride[axis] = w->kernel[axis];
    w->dilation[axis] = 1;
    w->pad_before[axis] = 0;
    w->pad_after[axis] = 0;
    w->beyond[axis] = 0;
    return SB_OK;
}

/* The pool over images of any rank, by pools over two dimensions. */
static sb_err pool_planes(uint32_t *output, struct sb_expansion *x, const struct pool *p)
{
    const struct sb_eval_window *w = &p->w;
    const char *op = p->max ? "MaxPool" : "AveragePool";
    const uint32_t *d = p->shape.dims;
    struct plane_window plane = plane_of(w, 1);
    uint32_t h = (uint32_t)w->out[1];
    uint32_t columns = (uint32_t)w->out[2];
    uint32_t image = SB_NO_VALUE;
    uint32_t y = SB_NO_VALUE;
    uint32_t depth = p->shape.rank == 5 ? d[2] : 1;
    struct sb_shape four = {.rank = 4,
                            .dims = {d[0], d[1] * depth, (uint32_t)w->in[1], (uint32_t)w->in[2]}};
    SB_TRY(sb_expand_reshape(&image, x, p->value, &four));
    SB_TRY(window_node(&y, x, op, &image, 1, &plane));
    if (p->shape.rank == 5) {
        struct plane_window column = {
            .kernel = {w->kernel[0], 1},
            .stride = {w->stride[0], 1},
            .pads = {w->pad_before[0], 0, w->pad_after[0] + w->beyond[0], 0}};
        uint32_t planes = SB_NO_VALUE;
        uint32_t folded = SB_NO_VALUE;
        struct sb_shape flat = {.rank = 4, .dims = {d[0], d[1], d[2], h * columns}};
        SB_TRY(sb_expand_reshape(&planes, x, y, &flat));
        SB_TRY(window_node(&folded, x, op, &planes, 1, &column));
        y = folded;
    }
    return sb_expand_reshape(output, x, y, shape_of(x, x->origin->outputs[0]));
}

/* How the mean over the padded window differs from the mean that is wanted: taps / those that count, for each window. */
static sb_err mean_factors(uint32_t *ret, struct sb_expansion *x, const struct sb_eval_window *w,
                           bool count_pad)
{
    struct sb_shape shape = {.rank = w->rank + 2, .dims = {1, 1}};
    for (uint32_t i = 0; i < w->rank; i++) {
        shape.dims[2 + i] = (uint32_t)w->out[AXES - w->rank + i];
    }
    SB_TRY(sb_expand_const(ret, x, SB_ELEM_FLOAT, &shape, NULL));
    double *factor = x->graph->values[*ret].array.data;
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t n = 0; n < count; n++) {
        uint64_t rest = n;
        factor[n] = 1;
        for (size_t i = AXES; i-- > 0;) {
            int64_t start = (int64_t)(rest % (uint64_t)w->out[i]) * w->stride[i] - w->pad_before[i];
            int64_t end = w->in[i] + (count_pad ? w->pad_after[i] : 0);
            int64_t counted = 0;
            for (int64_t k = 0; k < w->kernel[i]; k++) {
                int64_t at = start + k * w->dilation[i];
                counted += (at >= 0 || count_pad) && at < end ? 1 : 0;
            }
            factor[n] *= (double)w->kernel[i] / (double)counted;
            rest /= (uint64_t)w->out[i];
        }
    }
    return SB_OK;
}

/* A mean over any window: zeros around the image, the mean of all taps, then the factors. */
static sb_err mean_pool(uint32_t output, struct sb_expansion *x, struct pool *p, bool count_pad)
{
    struct sb_eval_window *w = &p->w;
    int64_t after[AXES];
    uint32_t in[2] = {SB_NO_VALUE};
    SB_TRY(mean_factors(&in[1], x, w, count_pad));
    bool same = true;
    uint64_t count = sb_array_count(&x->graph->values[in[1]].array);
    for (uint64_t i = 0; i < count; i++) {
        same = same && x->graph->values[in[1]].array.data[i] == 1;
    }
    for (size_t i = 0; i < AXES; i++) {
        after[i] = w->pad_after[i] + w->beyond[i];
    }
    uint32_t padded = SB_NO_VALUE;
    SB_TRY(pad_image(&padded, x, p->value, w->rank, w->pad_before, after));
    p->value = padded;
    for (size_t i = 0; i < AXES; i++) {
        w->in[i] += w->pad_before[i] + after[i];
        p->shape.dims[i + p->shape.rank - AXES] =
            i >= AXES - w->rank ? (uint32_t)w->in[i] : p->shape.dims[i + p->shape.rank - AXES];
        w->pad_before[i] = 0;
        w->pad_after[i] = 0;
        w->beyond[i] = 0;
    }
    for (size_t i = 0; i < AXES; i++) {
        if (w->dilation[i] != 1) {
            SB_TRY(gather_windows(p, x, i));
        }
    }
    in[0] = same ? output : SB_NO_VALUE;
    SB_TRY(pool_planes(&in[0], x, p));
    return same ? SB_OK : sb_expand_node(&output, x, "Mul", in, 2, NULL, 0);
}

static sb_err max_pool(uint32_t output, struct sb_expansion *x, struct pool *p, bool all)
{
    for (size_t i = AXES - p->w.rank; i < AXES; i++) {
        bool far = p->w.pad_before[i] >= p->w.kernel[i] ||
                   p->w.pad_after[i] + p->w.beyond[i] >= p->w.kernel[i];
        if (all || p->w.dilation[i] != 1 || far) {
            SB_TRY(gather_windows(p, x, i));
        }
    }
    return pool_planes(&output, x, p);
}

/* Places of the maxima: the number of the tap that wins in each window, looked up in a table of places. */
static sb_err max_places(struct sb_expansion *x, struct pool p)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_eval_window w = p.w;
    const uint32_t *d = p.shape.dims;
    bool columns = sb_graph_attr_int(n, "storage_order", 0) != 0;
    uint32_t maps = d[0] * d[1];
    uint32_t taps = (uint32_t)(w.kernel[1] * w.kernel[2]);
    uint32_t windows = (uint32_t)(w.out[1] * w.out[2]);
    if (w.rank == 3) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n, "places of maxima in volumes");
    }
    uint32_t places = 0; /* the place of each element, moved as the image is */
    for (size_t i = AXES - w.rank; i < AXES; i++) {
        SB_TRY(gather_windows(&p, x, i));
    }
    const struct sb_shape cut = {.rank = 6,
                                 .dims = {d[0], d[1], (uint32_t)w.out[1], (uint32_t)w.kernel[1],
                                          (uint32_t)w.out[2], (uint32_t)w.kernel[2]}};
    uint32_t split = SB_NO_VALUE;
    uint32_t turned = SB_NO_VALUE;
    uint32_t rows = SB_NO_VALUE;
    uint32_t best = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(&split, x, p.value, &cut));
    SB_TRY(transpose(&turned, x, split, (int64_t[]){0, 1, 2, 4, 3, 5}, 6));
    SB_TRY(sb_expand_reshape(&rows, x, turned,
                             &(struct sb_shape){.rank = 3, .dims = {maps, windows, taps}}));
    struct sb_attr attrs[] = {sb_attr_int("axis", -1), sb_attr_int("keepdims", 0)};
    SB_TRY(sb_expand_node(&best, x, "ArgMax", &rows, 1, attrs, 2));
    uint32_t first = 0;
    uint32_t map_start = 0;
    SB_TRY(sb_expand_const(&first, x, SB_ELEM_INT64,
                           &(struct sb_shape){.rank = 2, .dims = {1, windows}}, NULL));
    SB_TRY(sb_expand_const(&map_start, x, SB_ELEM_INT64,
                           &(struct sb_shape){.rank = 2, .dims = {maps, 1}}, NULL));
    SB_TRY(sb_expand_const(&places, x, SB_ELEM_INT64,
                           &(struct sb_shape){.rank = 1, .dims = {windows * taps}}, NULL));
    for (uint32_t i = 0; i < windows * taps; i++) {
        uint32_t o = i / taps;
        int64_t at[2];
        for (size_t k = 0; k < 2; k++) {
            int64_t step = k == 0 ? o / w.out[2] : o % w.out[2];
            int64_t tap = k == 0 ? i % taps / w.kernel[2] : i % taps % w.kernel[2];
            int64_t start = step * w.stride[1 + k] - w.pad_before[1 + k];
            int64_t inside = start;
            while (inside < 0) {
                inside += w.dilation[1 + k];
            }
            at[k] = start + tap * w.dilation[1 + k];
            at[k] = at[k] < 0 || at[k] >= w.in[1 + k] ? inside : at[k];
        }
        x->graph->values[places].array.data[i] =
            (double)(columns ? at[1] * w.in[1] + at[0] : at[0] * w.in[2] + at[1]);
        x->graph->values[first].array.data[o] = (double)(o * taps);
    }
    for (uint32_t i = 0; i < maps; i++) {
        x->graph->values[map_start].array.data[i] = (double)(i * w.in[1] * w.in[2]);
    }
    uint32_t tap = SB_NO_VALUE;
    uint32_t place = SB_NO_VALUE;
    uint32_t number = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&tap, x, "Add", (uint32_t[]){best, first}, 2, NULL, 0));
    SB_TRY(sb_expand_node(&place, x, "Gather", (uint32_t[]){places, tap}, 2, NULL, 0));
    SB_TRY(sb_expand_node(&number, x, "Add", (uint32_t[]){place, map_start}, 2, NULL, 0));
    return sb_expand_reshape(&n->outputs[1], x, number, shape_of(x, n->outputs[1]));
}

/* (sum |x|^p)^(1/p): powers, their mean over the window with zeros around, times the taps, and the root. */
static sb_err lp_pool(struct sb_expansion *x, struct pool *p)
{
    const struct sb_graph_node *n = x->origin;
    int64_t power = sb_graph_attr_int(n, "p", 2);
    double taps = (double)(p->w.kernel[0] * p->w.kernel[1] * p->w.kernel[2]);
    double exponents[2] = {(double)power, 1 / (double)power};
    const struct sb_shape scalar = {.rank = 0};
    uint32_t factor = 0;
    uint32_t exponent[2];
    uint32_t magnitude = p->value;
    uint32_t powers = SB_NO_VALUE;
    SB_TRY(sb_expand_const(&factor, x, SB_ELEM_FLOAT, &scalar, &taps));
    SB_TRY(sb_expand_const(&exponent[0], x, SB_ELEM_FLOAT, &scalar, &exponents[0]));
    SB_TRY(sb_expand_const(&exponent[1], x, SB_ELEM_FLOAT, &scalar, &exponents[1]));
    if (power != 2) {
        magnitude = SB_NO_VALUE;
        SB_TRY(sb_expand_node(&magnitude, x, "Abs", &p->value, 1, NULL, 0));
        powers = power == 1 ? magnitude : powers;
    }
    if (power == 2) {
        SB_TRY(sb_expand_node(&powers, x, "Mul", (uint32_t[]){magnitude, magnitude}, 2, NULL, 0));
    } else if (power != 1) {
        SB_TRY(sb_expand_node(&powers, x, "Pow", (uint32_t[]){magnitude, exponent[0]}, 2, NULL, 0));
    }
    p->value = powers;
    uint32_t mean = SB_NO_VALUE;
    SB_TRY(sb_expand_value(&mean, x));
    for (size_t i = 0; i < AXES; i++) { /* what lies beyond counts as zeros too */
        p->w.pad_after[i] += p->w.beyond[i];
        p->w.beyond[i] = 0;
    }
    SB_TRY(mean_pool(mean, x, p, true));
    uint32_t sum = power == 1 ? n->outputs[0] : SB_NO_VALUE;
    SB_TRY(sb_expand_node(&sum, x, "Mul", (uint32_t[]){mean, factor}, 2, NULL, 0));
    if (power == 1) {
        return SB_OK;
    }
    return power == 2 ? sb_expand_node(&n->outputs[0], x, "Sqrt", &sum, 1, NULL, 0)
                      : sb_expand_node(&n->outputs[0], x, "Pow", (uint32_t[]){sum, exponent[1]}, 2,
                                       NULL, 0);
}

static sb_err expand_pool(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    enum sb_onnx_op_id op = n->op->id;
    bool count_pad = sb_graph_attr_int(n, "count_include_pad", 0) != 0;
    bool indices = n->output_count > 1 && n->outputs[1] != SB_NO_VALUE;
    struct pool p = {.value = n->inputs[0],
                     .shape = *shape_of(x, n->inputs[0]),
                     .max = op == SB_ONNX_MAX_POOL || op == SB_ONNX_GLOBAL_MAX_POOL};
    struct sb_eval_window *w = &p.w;
    SB_TRY(sb_eval_pool_window(w, n, &p.shape, x->diag));
    bool dilated = false;
    bool beyond = false;
    for (size_t i = 0; i < AXES; i++) {
        dilated = dilated || w->dilation[i] != 1;
        beyond = beyond || w->beyond[i] != 0;
    }
    *ret_done = true;
    if (op == SB_ONNX_LP_POOL || op == SB_ONNX_GLOBAL_LP_POOL) {
        return lp_pool(x, &p);
    }
    if (indices) {
        SB_TRY(max_places(x, p));
    }
    bool plain = w->rank == 2 && !dilated && pads_fit(w) && !(count_pad && beyond);
    if (plain && !indices) {
        *ret_done = false;
        return SB_OK;
    }
    if (n->outputs[0] == SB_NO_VALUE) {
        return SB_OK;
    }
    return p.max ? max_pool(n->outputs[0], x, &p, false)
                 : mean_pool(n->outputs[0], x, &p, count_pad);
}

/* ---- integer convolutions ---- */

/* A constant of whole numbers without its zero point, as int32. */
static sb_err whole_weights(uint32_t *ret, struct sb_expansion *x, uint32_t weights,
                            const struct sb_value *zero_point)
{
    const struct sb_value *old = &x->graph->values[weights];
    uint64_t zeros = zero_point != NULL ? sb_array_count(&zero_point->array) : 1;
    if (!old->is_const || (zero_point != NULL && !zero_point->is_const)) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, x->origin,
                             "weights that are computed; only constant weights are supported");
    }
    const struct sb_array from = old->array;
    uint64_t count = sb_array_count(&from);
    SB_TRY(sb_expand_const(ret, x, SB_ELEM_INT32, &from.shape, from.data));
    for (uint64_t i = 0; zero_point != NULL && i < count; i++) {
        x->graph->values[*ret].array.data[i] -=
            zero_point->array.data[zeros == 1 ? 0 : i / (count / zeros)];
    }
    return SB_OK;
}

/* The node's own attributes on a Conv of whole numbers: in [3] = x, weights, bias. */
static sb_err whole_conv(uint32_t *output, struct sb_expansion *x, uint32_t weights_input,
                         uint32_t zero_input, uint32_t bias)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *x_zero = sb_graph_input(x->graph, n, 2);
    struct sb_attr to = sb_attr_int("to", SB_ELEM_INT32);
    uint32_t in[3] = {SB_NO_VALUE, SB_NO_VALUE, bias};
    if (x_zero != NULL && (!x_zero->is_const || sb_array_count(&x_zero->array) != 1)) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                             "a zero point of the input that is no single constant");
    }
    double minus = x_zero != NULL ? -x_zero->array.data[0] : 0;
    uint32_t wide = SB_NO_VALUE;
    uint32_t zero = 0;
    SB_TRY(sb_expand_node(&wide, x, "Cast", n->inputs, 1, &to, 1));
    SB_TRY(sb_expand_const(&zero, x, SB_ELEM_INT32, &(struct sb_shape){.rank = 0}, &minus));
    SB_TRY(sb_expand_node(&in[0], x, "Add", (uint32_t[]){wide, zero}, 2, NULL, 0));
    SB_TRY(whole_weights(&in[1], x, n->inputs[weights_input],
                         sb_graph_input(x->graph, n, zero_input)));
    return sb_expand_node(output, x, "Conv", in, bias == SB_NO_VALUE ? 2 : 3, n->attrs,
                          n->attr_count);
}

/* The sum of whole products times x_scale * w_scale / y_scale, quantised. */
static sb_err expand_qlinear_conv(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t rank = shape_of(x, n->outputs[0])->rank;
    double one = 1;
    for (uint32_t i = 1; i < 8; i++) {
        const struct sb_value *v = sb_graph_input(x->graph, n, i);
        if (v == NULL || !v->is_const) {
            return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                                 "scales, zero points or weights that are not constant");
        }
    }
    const struct sb_array w_scale = x->graph->values[n->inputs[4]].array;
    double ratio =
        x->graph->values[n->inputs[1]].array.data[0] / x->graph->values[n->inputs[6]].array.data[0];
    uint32_t scales = (uint32_t)sb_array_count(&w_scale);
    struct sb_shape shape = {.rank = rank - 1, .dims = {scales}};
    for (uint32_t i = 1; i < shape.rank; i++) {
        shape.dims[i] = 1;
    }
    uint32_t sum = SB_NO_VALUE;
    uint32_t real = SB_NO_VALUE;
    uint32_t factor = 0;
    uint32_t unit = 0;
    uint32_t scaled = SB_NO_VALUE;
    struct sb_attr to = sb_attr_int("to", SB_ELEM_FLOAT);
    SB_TRY(whole_conv(&sum, x, 3, 5, n->input_count > 8 ? n->inputs[8] : SB_NO_VALUE));
    SB_TRY(sb_expand_node(&real, x, "Cast", &sum, 1, &to, 1));
    SB_TRY(sb_expand_const(&factor, x, SB_ELEM_FLOAT, &shape, w_scale.data));
    for (uint32_t i = 0; i < scales; i++) {
        x->graph->values[factor].array.data[i] *= ratio;
    }
    SB_TRY(sb_expand_node(&scaled, x, "Mul", (uint32_t[]){real, factor}, 2, NULL, 0));
    SB_TRY(sb_expand_const(&unit, x, SB_ELEM_FLOAT, &(struct sb_shape){.rank = 0}, &one));
    return sb_expand_node(&n->outputs[0], x, "QuantizeLinear",
                          (uint32_t[]){scaled, unit, n->inputs[7]}, 3, NULL, 0);
}

/* ---- PRelu ---- */

/* max(x, 0) + slope * min(x, 0) */
static sb_err expand_prelu(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    double zero = 0;
    uint32_t bound = 0;
    uint32_t positive = SB_NO_VALUE;
    uint32_t negative = SB_NO_VALUE;
    uint32_t sloped = SB_NO_VALUE;
    SB_TRY(sb_expand_const(&bound, x, SB_ELEM_FLOAT, &(struct sb_shape){.rank = 0}, &zero));
    SB_TRY(sb_expand_node(&positive, x, "Relu", n->inputs, 1, NULL, 0));
    SB_TRY(sb_expand_node(&negative, x, "Clip", (uint32_t[]){n->inputs[0], SB_NO_VALUE, bound}, 3,
                          NULL, 0));
    SB_TRY(sb_expand_node(&sloped, x, "Mul", (uint32_t[]){negative, n->inputs[1]}, 2, NULL, 0));
    return sb_expand_node(&n->outputs[0], x, "Add", (uint32_t[]){positive, sloped}, 2, NULL, 0);
}

sb_err sb_expand_window(bool *ret_done, struct sb_expansion *x)
{
    *ret_done = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_CONV:
        return expand_conv(ret_done, x);
    case SB_ONNX_CONV_TRANSPOSE:
        return expand_conv_transpose(x);
    case SB_ONNX_CONV_INTEGER:
        return whole_conv(&x->origin->outputs[0], x, 1, 3, SB_NO_VALUE);
    case SB_ONNX_Q_LINEAR_CONV:
        return expand_qlinear_conv(x);
    case SB_ONNX_AVERAGE_POOL:
    case SB_ONNX_MAX_POOL:
    case SB_ONNX_LP_POOL:
    case SB_ONNX_GLOBAL_AVERAGE_POOL:
    case SB_ONNX_GLOBAL_LP_POOL:
    case SB_ONNX_GLOBAL_MAX_POOL:
        return expand_pool(ret_done, x);
    case SB_ONNX_P_RELU:
        return expand_prelu(x);
    default:
        *ret_done = false;
        return SB_OK;
    }
}
