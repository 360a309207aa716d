/* ops_conv.c: CONV2D and CONV2D_FX: convolution over NHWC images with stride, padding, dilation and groups (depthwise: as many groups as
 * channels). Spec: docs/spec/numerics.md 5.2, 5.4.
 *
 *     for each block of output pixels:  gather their windows into rows   [pixels][KH * KW * C/groups]
 *                                       multiply by the group's weights  [O/groups][KH * KW * C/groups]  -> sums -> y
 *
 * A window in the padding reads the zero point, which contributes nothing. The workspace holds the rows, then the sums. Depthwise layers
 * (one input channel a group) gather whole pixels instead and use a kernel of their own: window | window centred in int16 | weights by
 * tap | sums. */
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

/* Bytes of the gathered rows, rounded up so that the sums after them are aligned. */
static size_t rows_bytes(const struct conv *v, enum sb_dtype dtype)
{
    return (size_t)sb_align_up((uint64_t)SB_LINEAR_BLOCK_ROWS * v->patch_elements *
                               sb_dtype_bytes(dtype));
}

static void set_workspace(const struct sb_check *c, const struct conv *v, size_t sum_bytes)
{
    c->node->workspace_bytes =
        rows_bytes(v, c->in[0]->desc.dtype) + SB_LINEAR_BLOCK_ROWS * v->group_out * sum_bytes;
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

/* Rows of windows: pixels first .. first + count - 1, `channels` channels of x from `channel` on. */
static void gather_block(void *ret_rows, const struct conv *v, const struct sb_exec *x,
                         size_t first, size_t count, size_t channel, size_t channels)
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
    for (size_t p = first; p < first + count; p++, row += v->taps * piece.piece_bytes) {
        sb_window_gather(row, &v->win, x->in[0], p / (out_w * out_h), p / out_w % out_h, p % out_w,
                         &piece);
    }
}

static struct sb_linear_rows rows_of(const struct sb_exec *x, const struct conv *v, size_t pixels,
                                     size_t g)
{
    return (struct sb_linear_rows){
        .exec = x,
        .d = {.m = pixels, .n = v->group_out, .k = v->patch_elements},
        .first_out = g * v->group_out,
        .y_stride = v->out_channels,
    };
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
        set_workspace(c, &v, sizeof(int32_t));
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
        gather_block(window, v, x, p, 1, 0, v->win.channels);
        sb_centre(centred, window, xd->dtype, xd->quant.zero_point, elements);
        x->kernels->depthwise(acc, centred, weights, x->in[SB_IN_LINEAR_BIAS], d);
        x->kernels->requantise(sb_element_at_mut(x->out, yd->dtype, p * v->out_channels), acc,
                               x->in[SB_IN_LINEAR_MULT], x->in[SB_IN_LINEAR_SHIFT], 1,
                               v->out_channels, v->out_channels, &q);
    }
}

static void conv2d_run(const struct sb_exec *x)
{
    struct conv v = conv_of(x->attrs, x->in_tensor[0], x->in_tensor[1]);
    if (is_depthwise(&v)) {
        depthwise_run(x, &v);
        return;
    }
    int32_t *acc =
        (int32_t *)(void *)((uint8_t *)x->workspace + rows_bytes(&v, x->in_tensor[0]->desc.dtype));
    for (size_t p = 0; p < v.pixels; p += SB_LINEAR_BLOCK_ROWS) {
        size_t count = v.pixels - p < SB_LINEAR_BLOCK_ROWS ? v.pixels - p : SB_LINEAR_BLOCK_ROWS;
        for (size_t g = 0; g < v.groups; g++) {
            gather_block(x->workspace, &v, x, p, count, g * v.group_in, v.group_in);
            struct sb_linear_rows r = rows_of(x, &v, count, g);
            sb_linear_run(&r, x->workspace, p * v.out_channels + r.first_out, acc);
        }
    }
}

const struct sb_op_code sb_op_conv2d = {
    .infer = conv2d_infer, .prove = conv2d_prove, .cost = conv2d_cost, .run = conv2d_run};

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
    set_workspace(c, &v, sizeof(int64_t));
    return SB_OK;
}

static void conv2d_fx_run(const struct sb_exec *x)
{
    struct conv v = conv_of(x->attrs, x->in_tensor[0], x->in_tensor[1]);
    int64_t *acc = (int64_t *)(void *)((uint8_t *)x->workspace + rows_bytes(&v, SB_DTYPE_I32));
    for (size_t p = 0; p < v.pixels; p += SB_LINEAR_BLOCK_ROWS) {
        size_t count = v.pixels - p < SB_LINEAR_BLOCK_ROWS ? v.pixels - p : SB_LINEAR_BLOCK_ROWS;
        for (size_t g = 0; g < v.groups; g++) {
            gather_block(x->workspace, &v, x, p, count, g * v.group_in, v.group_in);
            struct sb_linear_rows r = rows_of(x, &v, count, g);
            r.fx_shift = (unsigned)x->attrs[SB_ATTR_CONV_FX_SHIFT];
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
