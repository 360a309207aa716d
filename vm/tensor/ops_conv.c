/* ops_conv.c: CONV2D and CONV2D_FX: convolution over NHWC images with stride, padding, dilation and groups (depthwise: as many groups as
 * channels). Spec: docs/spec/numerics.md 5.2, 5.4.
 *
 *     for each block of output pixels:  point at the pixels under their windows, tap by tap     [KH * KW][pixels]
 *                                       multiply by the group's weights  [O/groups][KH * KW * C/groups], finish -> y
 *
 * A tap in the padding points at a pixel of zero points, which contributes nothing. Where the channels of a pixel are few, or the type is
 * i32, windows are gathered into rows instead. The workspace holds the pad pixel, the pointers and the rows (and the sums, for i32).
 * Depthwise layers (one input channel a group) have a kernel of their own, which takes a row of output pixels. */
#include "vm/tensor/kernels/pack.h"
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
    bool whole_pixels = is_depthwise(v) && c->in[0]->desc.dtype != SB_DTYPE_I32;
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 sat_mul_u64(taps, whole_pixels ? 1 : v->groups));
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(taps, pixel_bytes));
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

struct depthwise_place {
    const void **taps; /* [taps] */
    size_t *steps;     /* [taps] */
    uint8_t *pad;      /* a pixel of zero points */
    size_t bytes;      /* all of it */
};

static struct depthwise_place depthwise_place_of(const struct conv *v, enum sb_dtype dtype,
                                                 void *workspace)
{
    size_t list_bytes = (size_t)sb_align_up(v->taps * POINTER_BYTES);
    struct depthwise_place at;
    at.pad = (uint8_t *)workspace + 2 * list_bytes;
    at.taps = workspace;
    at.steps = (size_t *)(void *)((uint8_t *)workspace + list_bytes);
    at.bytes = 2 * list_bytes + (size_t)sb_align_up(v->win.channels * sb_dtype_bytes(dtype)) +
               SB_DEPTHWISE_PAD_BYTES;
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
        /* several outputs of a channel go one by one */
        sb_units_add(&c->node->units, SB_GAS_CLASS_DEPTHWISE_MAC,
                     sat_mul_u64(c->out->count, sat_mul_u64(v.taps, v.group_out == 1 ? 1 : 6)));
        sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
        c->node->workspace_bytes = depthwise_place_of(&v, c->in[0]->desc.dtype, NULL).bytes;
    } else {
        sb_linear_cost(
            c, (struct sb_gemm_dims){.m = v.pixels, .n = v.group_out, .k = v.patch_elements},
            v.groups);
        c->node->workspace_bytes = place_of(&v, c->in[0]->desc.dtype, NULL).bytes;
    }
    cost_gather(c, &v);
    return SB_OK;
}

/* ---- depthwise ---- */

static struct sb_depthwise depthwise_of(const struct conv *v, const struct sb_tensor *const *in,
                                        const struct sb_tensor *out)
{
    const struct sb_tensor_desc *y = &out->desc;
    return (struct sb_depthwise){
        .taps = v->taps,
        .channels = v->win.channels,
        .multiplier = v->group_out,
        .y_stride = v->out_channels,
        .x_zero_point = in[SB_IN_LINEAR_X]->desc.quant.zero_point,
        .w = in[SB_IN_LINEAR_W]->data,
        .bias = in[SB_IN_LINEAR_BIAS]->data,
        .mult = in[SB_IN_LINEAR_MULT]->data,
        .shift = in[SB_IN_LINEAR_SHIFT]->data,
        .y = {.dtype = y->dtype, .zero_point = y->quant.zero_point, .lo = y->lo, .hi = y->hi},
    };
}

static const struct sb_packed *depthwise_prepare(const struct sb_prepare *p, const struct conv *v)
{
    enum sb_dtype dtype = p->in[0]->desc.dtype;
    struct sb_depthwise a = depthwise_of(v, (const struct sb_tensor *const *)p->in, p->out);
    if (!sb_pack_depthwise_wanted(p->level, a.multiplier)) {
        return NULL;
    }
    struct sb_packed *packed = sb_arena_alloc(p->memory, sizeof *packed);
    void *memory =
        sb_linear_alloc(p->memory, sb_pack_depthwise_bytes(p->level, dtype, a.channels, a.taps));
    if (packed == NULL || memory == NULL) {
        return NULL;
    }
    sb_pack_depthwise(packed, memory, &a, dtype, p->level);
    return packed;
}

static void fill_pad(uint8_t *ret_pad, const struct sb_tensor_desc *d, size_t channels)
{
    int64_t zero_point = d->quant.zero_point;
    for (size_t c = 0; c < channels; c++) {
        sb_narrow(sb_element_at_mut(ret_pad, d->dtype, c), d->dtype, &zero_point, 1);
    }
}

/* A row of output pixels, or the part of it whose taps stay on one side of each edge. */
struct strip {
    size_t b;
    size_t oy;
    size_t ox;
    size_t count;
};

static void run_strip(const struct sb_exec *x, const struct conv *v,
                      const struct depthwise_place *at, struct sb_depthwise *a,
                      const struct strip *s)
{
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    const struct sb_window *w = &v->win;
    size_t pixel_bytes = w->channels * sb_dtype_bytes(dtype);
    size_t tap = 0;
    for (size_t ky = 0; ky < (size_t)w->h.kernel; ky++) {
        int64_t y = sb_window_tap(&w->h, s->oy, ky);
        for (size_t kx = 0; kx < (size_t)w->w.kernel; kx++, tap++) {
            int64_t column = sb_window_tap(&w->w, s->ox, kx);
            bool inside = y >= 0 && y < w->h.in && column >= 0 && column < w->w.in;
            size_t pixel =
                inside ? (s->b * (size_t)w->h.in + (size_t)y) * (size_t)w->w.in + (size_t)column
                       : 0;
            at->taps[tap] = inside ? (const uint8_t *)x->in[0] + pixel * pixel_bytes : at->pad;
            at->steps[tap] = inside ? (size_t)w->w.stride * pixel_bytes : 0;
        }
    }
    size_t first = (s->b * (size_t)w->h.out + s->oy) * (size_t)w->w.out + s->ox;
    void *out = sb_element_at_mut(x->out, a->y.dtype, first * v->out_channels);
    a->m = s->count;
    if (dtype == SB_DTYPE_I8) {
        x->kernels->depthwise_i8(out, at->taps, at->steps, a);
    } else if (dtype == SB_DTYPE_U8) {
        x->kernels->depthwise_u8(out, at->taps, at->steps, a);
    } else {
        x->kernels->depthwise_i16(out, at->taps, at->steps, a);
    }
}

/* Output columns whose windows lie inside the image: from *ret_first up to *ret_end; none if they are equal. */
static void inner_columns(size_t *ret_first, size_t *ret_end, const struct sb_window_axis *w)
{
    size_t first = 0;
    size_t end = (size_t)w->out;
    while (first < end && sb_window_tap(w, first, 0) < 0) {
        first++;
    }
    while (end > first && sb_window_tap(w, end - 1, (size_t)w->kernel - 1) >= w->in) {
        end--;
    }
    *ret_first = first;
    *ret_end = end;
}

static void depthwise_run(const struct sb_exec *x, const struct conv *v)
{
    const struct sb_tensor *in = x->in_tensor[0];
    struct depthwise_place at = depthwise_place_of(v, in->desc.dtype, x->workspace);
    struct sb_depthwise a = depthwise_of(v, x->in_tensor, x->out_tensor);
    size_t out_w = (size_t)v->win.w.out;
    size_t inner_first = 0;
    size_t inner_end = 0;
    a.packed = x->prepared;
    a.x_end = (const uint8_t *)x->in[0] + in->bytes;
    fill_pad(at.pad, &in->desc, v->win.channels);
    inner_columns(&inner_first, &inner_end, &v->win.w);
    for (size_t row = 0; row < v->win.batch * (size_t)v->win.h.out; row++) {
        struct strip s = {.b = row / (size_t)v->win.h.out, .oy = row % (size_t)v->win.h.out};
        for (s.ox = 0; s.ox < out_w; s.ox += s.count) {
            s.count = s.ox == inner_first && inner_first < inner_end ? inner_end - inner_first : 1;
            run_strip(x, v, &at, &a, &s);
        }
    }
}

/* ---- products ---- */

static const void *conv2d_prepare(const struct sb_prepare *p)
{
    struct conv v = conv_of(p->attrs, p->in[0], p->in[1]);
    return is_depthwise(&v) ? depthwise_prepare(p, &v)
                            : sb_linear_prepare(p, v.groups, v.group_out, v.patch_elements);
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
    fill_pad(at.pad, d, v.group_in);
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
