/* ops_conv.c: CONV2D and CONV2D_FX: convolution over NHWC images with stride, padding, dilation and groups (depthwise: as many groups as
 * channels). Spec: docs/spec/numerics.md 5.2, 5.4.
 *
 *     for each block of output pixels:  point at the pixels under their windows, tap by tap     [KH * KW][pixels]
 *                                       multiply by the group's weights  [O/groups][KH * KW * C/groups], finish -> y
 *
 * A tap in the padding points at a pixel of zero points, which contributes nothing. Where the channels of a pixel are few, or the type is
 * i32, windows are gathered into rows instead. The workspace holds the pad pixel, the pointers and the rows (and the sums, for i32).
 * Depthwise layers (one input channel a group) gather whole pixels and use a kernel of their own: window | window centred in int16 |
 * weights by tap | sums. */
#include "vm/tensor/linear.h"
#include "vm/tensor/window.h"

struct conv {
    struct sb_window win;
    size_t groups;
    size_t out_channels;
    size_t taps;           /* KH * KW */
    size_t group_in;       /* channels of x in one group */
    size_t group_out;      /* channels of y in one group */
    size_t patch_elements; /* taps * group_in: length of a row */
    size_t pixels;         /* batch * out_h * out_w */
};

static struct conv conv_of(const int64_t *attrs, const struct sb_tensor *x,
                           const struct sb_tensor *w)
{
    struct conv v = {
        .win = sb_window_of(attrs, &sb_window_attrs_conv, &x->desc.shape, &w->desc.shape),
        .groups = (size_t)attrs[SB_ATTR_CONV_GROUPS],
        .out_channels = w->desc.shape.dims[0],
    };
    v.taps = (size_t)(v.win.h.kernel * v.win.w.kernel);
    v.group_in = v.win.channels / v.groups;
    v.group_out = v.out_channels / v.groups;
    v.patch_elements = v.taps * v.group_in;
    v.pixels = v.win.batch * (size_t)v.win.h.out * (size_t)v.win.w.out;
    return v;
}

static sb_err infer_shapes(const struct sb_check *c)
{
    struct sb_window win;
    SB_TRY(sb_check_rank(c, c->in[1], "input w", 4));
    const struct sb_shape *w = &c->in[1]->desc.shape;
    SB_TRY(sb_window_infer(&win, c, &sb_window_attrs_conv, w));
    SB_TRY(sb_check_attr(c, SB_ATTR_CONV_GROUPS, "GROUPS", 1, (int64_t)win.channels));
    size_t groups = (size_t)c->attrs[SB_ATTR_CONV_GROUPS];
    if (win.channels % groups != 0 || w->dims[0] % groups != 0 ||
        w->dims[3] != win.channels / groups) {
        return sb_fail(c->diag, SB_E_SHAPE,
                       "%zu groups do not divide %zu channels into %u and %u outputs", groups,
                       win.channels, w->dims[3], w->dims[0]);
    }
    if (win.h.out > SB_TENSOR_DIM_MAX || win.w.out > SB_TENSOR_DIM_MAX) {
        return sb_fail(c->diag, SB_E_LIMIT, "the output is larger than a tensor may be");
    }
    struct sb_shape want = {
        .rank = 4,
        .dims = {(uint32_t)win.batch, (uint32_t)win.h.out, (uint32_t)win.w.out, w->dims[0]}};
    return sb_check_shape(c, c->out, "output", &want);
}

static struct sb_linear linear_of(const struct sb_check *c)
{
    const struct sb_tensor *w = c->in[1];
    return (struct sb_linear){.out_count = w->desc.shape.dims[0],
                              .row_elements = w->count / w->desc.shape.dims[0]};
}

static bool is_depthwise(const struct conv *v)
{
    return v->group_in == 1 && v->groups > 1;
}

static void cost_gather(const struct sb_check *c, const struct conv *v)
{
    uint64_t taps = sat_mul_u64(v->pixels, v->taps);
    uint64_t pixel_bytes = v->win.channels * sb_dtype_bytes(c->in[0]->desc.dtype);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 sat_mul_u64(taps, is_depthwise(v) ? 1 : v->groups));
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(taps, pixel_bytes));
}

static size_t depthwise_workspace(const struct conv *v, enum sb_dtype dtype)
{
    size_t elements = v->taps * v->win.channels;
    return (size_t)(sb_align_up(elements * sb_dtype_bytes(dtype)) +
                    sb_align_up(elements * sizeof(int16_t)) +
                    sb_align_up(v->taps * v->out_channels * sizeof(int16_t))) +
           v->out_channels * sizeof(int32_t);
}

/* Rows of windows, row_bytes apart: pixels first .. first + count - 1, `channels` channels of x from `channel` on. */
static void gather_block(void *ret_rows, const struct conv *v, const struct sb_exec *x,
                         size_t first, size_t count, size_t channel, size_t channels,
                         size_t row_bytes)
{
    const struct sb_tensor_desc *d = &x->in_tensor[0]->desc;
    size_t size = sb_dtype_bytes(d->dtype);
    int64_t zero_point = d->quant.zero_point;
    uint8_t pad[8];
    sb_narrow(pad, d->dtype, &zero_point, 1);
    struct sb_window_piece piece = {
        .pixel_bytes = v->win.channels * size,
        .piece_offset = channel * size,
        .piece_bytes = channels * size,
        .pad = pad,
        .elem_bytes = size,
    };
    size_t out_w = (size_t)v->win.w.out;
    size_t out_h = (size_t)v->win.h.out;
    uint8_t *row = ret_rows;
    for (size_t p = first; p < first + count; p++, row += row_bytes) {
        sb_window_gather(row, &v->win, x->in[0], p / (out_w * out_h), p / out_w % out_h, p % out_w,
                         &piece);
    }
}

/* ---- where things lie in the workspace ---- */

struct place {
    const void **x; /* [taps][SB_PRODUCT_ROWS_MAX] */
    uint8_t *pad;   /* a pixel of zero points */
    uint8_t *rows;  /* [SB_PRODUCT_ROWS_MAX][row_bytes] */
    size_t row_bytes;
    size_t bytes; /* all of it */
};

#define POINTER_BYTES ((size_t)8) /* on every machine: the workspace is part of the model's facts */

/* Runs shorter than this cost more than their copying. */
#define PIECE_BYTES_LEAST ((size_t)16)

static bool gathers(const struct conv *v, enum sb_dtype dtype)
{
    size_t piece_bytes = v->group_in * sb_dtype_bytes(dtype);
    return v->taps > 1 && (piece_bytes % 4 != 0 || piece_bytes < PIECE_BYTES_LEAST);
}

static struct place place_of(const struct conv *v, enum sb_dtype dtype, void *workspace)
{
    size_t size = sb_dtype_bytes(dtype);
    struct place at = {.row_bytes = (v->patch_elements * size + 3) / 4 * 4};
    size_t pad_bytes = (size_t)sb_align_up(v->group_in * size);
    size_t pointer_bytes = (size_t)sb_align_up((gathers(v, dtype) ? 1 : v->taps) *
                                               SB_PRODUCT_ROWS_MAX * POINTER_BYTES);
    at.pad = workspace;
    at.x = (const void **)(void *)(at.pad + pad_bytes);
    at.rows = at.pad + pad_bytes + pointer_bytes;
    at.bytes =
        pad_bytes + pointer_bytes + (gathers(v, dtype) ? SB_PRODUCT_ROWS_MAX * at.row_bytes : 0);
    return at;
}

static sb_err conv2d_infer(const struct sb_check *c)
{
    SB_TRY(infer_shapes(c));
    return sb_linear_infer(c, c->in[1]->desc.shape.dims[0]);
}

static sb_err conv2d_prove(const struct sb_check *c)
{
    return sb_linear_prove(c, linear_of(c));
}

static sb_err conv2d_cost(const struct sb_check *c)
{
    struct conv v = conv_of(c->attrs, c->in[0], c->in[1]);
    if (is_depthwise(&v)) {
        sb_units_add(&c->node->units, SB_GAS_CLASS_DEPTHWISE_MAC,
                     sat_mul_u64(c->out->count, v.taps));
        sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
        c->node->workspace_bytes = depthwise_workspace(&v, c->in[0]->desc.dtype);
    } else {
        sb_linear_cost(
            c, (struct sb_gemm_dims){.m = v.pixels, .n = v.group_out, .k = v.patch_elements},
            v.groups);
        c->node->workspace_bytes = place_of(&v, c->in[0]->desc.dtype, NULL).bytes;
    }
    cost_gather(c, &v);
    return SB_OK;
}

static void depthwise_run(const struct sb_exec *x, const struct conv *v)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[SB_IN_LINEAR_X]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    size_t elements = v->taps * v->win.channels;
    uint8_t *window = x->workspace;
    int16_t *centred =
        (int16_t *)(void *)(window + sb_align_up(elements * sb_dtype_bytes(xd->dtype)));
    int16_t *weights =
        (int16_t *)(void *)((uint8_t *)centred + sb_align_up(elements * sizeof *centred));
    int32_t *acc = (int32_t *)(void *)((uint8_t *)weights +
                                       sb_align_up(v->taps * v->out_channels * sizeof *weights));
    struct sb_depthwise_dims d = {
        .taps = v->taps, .channels = v->win.channels, .multiplier = v->group_out};
    struct sb_requantise_params q = {
        .dtype = yd->dtype, .zero_point = yd->quant.zero_point, .lo = yd->lo, .hi = yd->hi};
    for (size_t i = 0; i < v->taps * v->out_channels; i++) {
        weights[i % v->taps * v->out_channels + i / v->taps] =
            ((const int8_t *)x->in[SB_IN_LINEAR_W])[i];
    }
    for (size_t p = 0; p < v->pixels; p++) {
        gather_block(window, v, x, p, 1, 0, v->win.channels, 0);
        sb_centre(centred, window, xd->dtype, xd->quant.zero_point, elements);
        x->kernels->depthwise(acc, centred, weights, x->in[SB_IN_LINEAR_BIAS], d);
        x->kernels->requantise(sb_element_at_mut(x->out, yd->dtype, p * v->out_channels), acc,
                               x->in[SB_IN_LINEAR_MULT], x->in[SB_IN_LINEAR_SHIFT], 1,
                               v->out_channels, v->out_channels, &q);
    }
}

static const void *conv2d_prepare(const struct sb_prepare *p)
{
    struct conv v = conv_of(p->attrs, p->in[0], p->in[1]);
    return is_depthwise(&v) ? NULL : sb_linear_prepare(p, v.groups, v.group_out, v.patch_elements);
}

/* Output pixels from (b, oy, ox) on in one row of y: `count` of them. */
struct segment {
    size_t b;
    size_t oy;
    size_t ox;
    size_t count;
};

/* Pointers of one tap of a segment, whose row of x is y: each at its pixel or, left and right of the image, at the pad. */
static void point_tap(const void **ret_x, const struct sb_window *w, const uint8_t *row,
                      size_t pixel_bytes, const void *pad, const struct segment *s, size_t kx)
{
    int64_t stride = w->w.stride;
    int64_t column = sb_window_tap(&w->w, s->ox, kx);
    size_t i = 0;
    for (; i < s->count && column < 0; i++, column += stride) {
        ret_x[i] = pad;
    }
    for (; i < s->count && column < w->w.in; i++, column += stride) {
        ret_x[i] = row + (size_t)column * pixel_bytes;
    }
    for (; i < s->count; i++) {
        ret_x[i] = pad;
    }
}

/* Pointers of all taps of a segment; ret_x is where tap 0 of its first pixel goes, taps are `step` apart. */
static void point_segment(const void **ret_x, size_t step, const struct conv *v,
                          const uint8_t *image, size_t size, const void *pad,
                          const struct segment *s)
{
    const struct sb_window *w = &v->win;
    size_t pixel_bytes = w->channels * size;
    for (size_t ky = 0; ky < (size_t)w->h.kernel; ky++) {
        int64_t y = sb_window_tap(&w->h, s->oy, ky);
        for (size_t kx = 0; kx < (size_t)w->w.kernel; kx++, ret_x += step) {
            if (y < 0 || y >= w->h.in) {
                for (size_t i = 0; i < s->count; i++) {
                    ret_x[i] = pad;
                }
                continue;
            }
            const uint8_t *row =
                image + (s->b * (size_t)w->h.in + (size_t)y) * (size_t)w->w.in * pixel_bytes;
            point_tap(ret_x, w, row, pixel_bytes, pad, s, kx);
        }
    }
}

/* Pointers of `count` output pixels from number first on; image begins at the first channel that is meant. */
static void point_block(const void **ret_x, const struct conv *v, const uint8_t *image, size_t size,
                        const void *pad, size_t first, size_t count)
{
    size_t out_w = (size_t)v->win.w.out;
    size_t out_h = (size_t)v->win.h.out;
    for (size_t i = 0; i < count;) {
        size_t p = first + i;
        struct segment s = {.b = p / (out_w * out_h), .oy = p / out_w % out_h, .ox = p % out_w};
        s.count = out_w - s.ox < count - i ? out_w - s.ox : count - i;
        point_segment(ret_x + i, count, v, image, size, pad, &s);
        i += s.count;
    }
}

static void fill_pad(uint8_t *ret_pad, const struct conv *v, const struct sb_tensor_desc *d)
{
    int64_t zero_point = d->quant.zero_point;
    for (size_t c = 0; c < v->group_in; c++) {
        sb_narrow(sb_element_at_mut(ret_pad, d->dtype, c), d->dtype, &zero_point, 1);
    }
}

/* One block of output pixels of one group. */
static void run_block(const struct sb_exec *x, const struct conv *v, const struct place *at,
                      struct sb_product *a, size_t first, size_t group)
{
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    size_t size = sb_dtype_bytes(dtype);
    if (a->pieces == 1 && v->taps > 1) {
        gather_block(at->rows, v, x, first, a->m, group * v->group_in, v->group_in, at->row_bytes);
        for (size_t i = 0; i < a->m; i++) {
            at->x[i] = at->rows + i * at->row_bytes;
        }
    } else {
        const uint8_t *image = (const uint8_t *)x->in[0] + group * v->group_in * size;
        point_block(at->x, v, image, size, at->pad, first, a->m);
    }
    sb_linear_run(x, a, group, at->x, first * v->out_channels + group * v->group_out);
}

static void conv2d_run(const struct sb_exec *x)
{
    struct conv v = conv_of(x->attrs, x->in_tensor[0], x->in_tensor[1]);
    if (is_depthwise(&v)) {
        depthwise_run(x, &v);
        return;
    }
    const struct sb_tensor_desc *d = &x->in_tensor[0]->desc;
    struct place at = place_of(&v, d->dtype, x->workspace);
    fill_pad(at.pad, &v, d);
    for (size_t g = 0; g < v.groups; g++) {
        struct sb_product a =
            sb_linear_product(x->in_tensor, x->out_tensor, g, v.group_out, v.patch_elements);
        a.y_stride = v.out_channels;
        if (!gathers(&v, d->dtype)) {
            a.pieces = v.taps;
            a.piece_elements = v.group_in;
        } else if (x->prepared != NULL) {
            a.piece_elements = at.row_bytes / sb_dtype_bytes(d->dtype);
        }
        for (size_t p = 0; p < v.pixels; p += a.m) {
            a.m = v.pixels - p < SB_PRODUCT_ROWS_MAX ? v.pixels - p : SB_PRODUCT_ROWS_MAX;
            run_block(x, &v, &at, &a, p, g);
        }
    }
}

const struct sb_op_code sb_op_conv2d = {.infer = conv2d_infer,
                                        .prove = conv2d_prove,
                                        .cost = conv2d_cost,
                                        .run = conv2d_run,
                                        .prepare = conv2d_prepare};

/* Bytes of the gathered rows, rounded up so that the sums after them are aligned. */
static size_t fx_rows_bytes(const struct conv *v)
{
    return (size_t)sb_align_up((uint64_t)SB_LINEAR_FX_ROWS_MAX * v->patch_elements *
                               sizeof(int32_t));
}

static sb_err conv2d_fx_infer(const struct sb_check *c)
{
    SB_TRY(infer_shapes(c));
    return sb_linear_fx_infer(c, c->in[1]->desc.shape.dims[0], SB_ATTR_CONV_FX_SHIFT);
}

static sb_err conv2d_fx_prove(const struct sb_check *c)
{
    return sb_linear_fx_prove(c, linear_of(c), SB_ATTR_CONV_FX_SHIFT);
}

static sb_err conv2d_fx_cost(const struct sb_check *c)
{
    struct conv v = conv_of(c->attrs, c->in[0], c->in[1]);
    sb_linear_fx_cost(
        c, (struct sb_gemm_dims){.m = v.pixels, .n = v.group_out, .k = v.patch_elements}, v.groups);
    cost_gather(c, &v);
    c->node->workspace_bytes =
        fx_rows_bytes(&v) + SB_LINEAR_FX_ROWS_MAX * v.group_out * sizeof(int64_t);
    return SB_OK;
}

static void conv2d_fx_run(const struct sb_exec *x)
{
    struct conv v = conv_of(x->attrs, x->in_tensor[0], x->in_tensor[1]);
    int64_t *acc = (int64_t *)(void *)((uint8_t *)x->workspace + fx_rows_bytes(&v));
    for (size_t p = 0; p < v.pixels; p += SB_LINEAR_FX_ROWS_MAX) {
        size_t count = v.pixels - p < SB_LINEAR_FX_ROWS_MAX ? v.pixels - p : SB_LINEAR_FX_ROWS_MAX;
        for (size_t g = 0; g < v.groups; g++) {
            gather_block(x->workspace, &v, x, p, count, g * v.group_in, v.group_in,
                         v.patch_elements * sizeof(int32_t));
            struct sb_linear_fx_rows r = {
                .exec = x,
                .d = {.m = count, .n = v.group_out, .k = v.patch_elements},
                .first_out = g * v.group_out,
                .y_stride = v.out_channels,
                .shift = (unsigned)x->attrs[SB_ATTR_CONV_FX_SHIFT],
            };
            sb_linear_fx_run(&r, x->workspace, p * v.out_channels + r.first_out, acc);
        }
    }
}

const struct sb_op_code sb_op_conv2d_fx = {
    .infer = conv2d_fx_infer,
    .prove = conv2d_fx_prove,
    .cost = conv2d_fx_cost,
    .run = conv2d_fx_run,
};
