/* ops_pool.c: MAX_POOL and AVG_POOL over NHWC images. Spec: docs/spec/numerics.md 7. */
#include "base/util/assert.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/round.h"
#include "vm/tensor/window.h"

#define CLAMP_BLOCK_BYTES 1024u

#define POOL_DTYPES       (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

static sb_err pool_infer(struct sb_window *ret, const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", POOL_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", POOL_DTYPES));
    SB_TRY(sb_window_infer(ret, c, &sb_window_attrs_pool, NULL));
    if (ret->h.out > SB_TENSOR_DIM_MAX || ret->w.out > SB_TENSOR_DIM_MAX) {
        return sb_fail(c->diag, SB_E_LIMIT, "the output is larger than a tensor may be");
    }
    struct sb_shape want = c->in[0]->desc.shape;
    want.dims[1] = (uint32_t)ret->h.out;
    want.dims[2] = (uint32_t)ret->w.out;
    return sb_check_shape(c, c->out, "output", &want);
}

static struct sb_window window_of(const int64_t *attrs, const struct sb_tensor *x)
{
    return sb_window_of(attrs, &sb_window_attrs_pool, &x->desc.shape, NULL);
}

/* The part of a window that lies in the image, on one axis: pixels [first, end). Never empty (window.h). */
struct span_on_axis {
    size_t first;
    size_t end;
};

static struct span_on_axis clip(const struct sb_window_axis *a, size_t out)
{
    int64_t first = sb_window_tap(a, out, 0);
    int64_t end = first + a->kernel;
    struct span_on_axis s = {.first = (size_t)(first < 0 ? 0 : first),
                             .end = (size_t)(end > a->in ? a->in : end)};
    return s;
}

typedef void (*window_fn)(const struct sb_exec *x, const struct sb_window *w, size_t image,
                          struct span_on_axis rows, struct span_on_axis columns, size_t out_pixel);

static void each_window(const struct sb_exec *x, window_fn fn)
{
    struct sb_window w = window_of(x->attrs, x->in_tensor[0]);
    size_t out_pixel = 0;
    for (size_t b = 0; b < w.batch; b++) {
        for (size_t oy = 0; oy < (size_t)w.h.out; oy++) {
            for (size_t ox = 0; ox < (size_t)w.w.out; ox++) {
                fn(x, &w, b, clip(&w.h, oy), clip(&w.w, ox), out_pixel++);
            }
        }
    }
}

/* The channels of a pixel of x. */
static const void *pixel_at(const struct sb_exec *x, const struct sb_window *w, size_t image,
                            size_t y, size_t column)
{
    size_t at = ((image * (size_t)w->h.in + y) * (size_t)w->w.in + column) * w->channels;
    return sb_element_at(x->in[0], x->in_tensor[0]->desc.dtype, at);
}

static sb_err pool_cost(const struct sb_check *c)
{
    struct sb_window w = window_of(c->attrs, c->in[0]);
    uint64_t taps = (uint64_t)(w.h.kernel < w.h.in ? w.h.kernel : w.h.in) *
                    (uint64_t)(w.w.kernel < w.w.in ? w.w.kernel : w.w.in);
    sb_units_add(&c->node->units, SB_GAS_CLASS_POOL_TAP, sat_mul_u64(c->out->count, taps));
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 sat_mul_u64(c->out->count / w.channels, taps + 1));
    c->node->workspace_bytes = 2 * w.channels * sizeof(int64_t);
    return SB_OK;
}

static sb_err max_pool_infer(const struct sb_check *c)
{
    struct sb_window w;
    SB_TRY(pool_infer(&w, c));
    return sb_check_same_quant(c, c->in[0], "input x");
}

static sb_err max_pool_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, sb_interval_of(c->in[0]));
    return SB_OK;
}

/* The maxima are formed where they belong: y has the type of x. */
static void max_window(const struct sb_exec *x, const struct sb_window *w, size_t image,
                       struct span_on_axis rows, struct span_on_axis columns, size_t out_pixel)
{
    const struct sb_element_kernels *k = x->kernels->element;
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    void *y = sb_element_at_mut(x->out, d->dtype, out_pixel * w->channels);
    memcpy(y, pixel_at(x, w, image, rows.first, columns.first),
           w->channels * sb_dtype_bytes(d->dtype));
    for (size_t row = rows.first; row < rows.end; row++) {
        size_t first = row == rows.first ? columns.first + 1 : columns.first;
        for (size_t column = first; column < columns.end; column++) {
            k->pool_max[d->dtype](y, pixel_at(x, w, image, row, column), w->channels);
        }
    }
}

/* A range narrower than x needs a pass of its own; kernels do not work in place, so blocks are copied out. */
static void clamp_output(const struct sb_exec *x)
{
    _Alignas(8) uint8_t block[CLAMP_BLOCK_BYTES];
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    size_t size = sb_dtype_bytes(d->dtype);
    for (size_t at = 0; at < x->out_tensor->bytes; at += sizeof block) {
        uint8_t *y = (uint8_t *)x->out + at;
        size_t left = (size_t)x->out_tensor->bytes - at;
        size_t bytes = left < sizeof block ? left : sizeof block;
        memcpy(block, y, bytes);
        x->kernels->element->clamp[d->dtype](y, block, bytes / size, d->lo, d->hi);
    }
}

static void max_pool_run(const struct sb_exec *x)
{
    const struct sb_tensor *t = x->in_tensor[0];
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    each_window(x, max_window);
    if (t->lo < d->lo || t->hi > d->hi) {
        clamp_output(x);
    }
}

const struct sb_op_code sb_op_max_pool = {
    .infer = max_pool_infer, .prove = max_pool_prove, .cost = pool_cost, .run = max_pool_run};

static sb_err avg_pool_infer(const struct sb_check *c)
{
    struct sb_window w;
    SB_TRY(pool_infer(&w, c));
    SB_TRY(sb_check_attr(c, SB_ATTR_AVG_POOL_INCLUDE_PAD, "INCLUDE_PAD", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_AVG_POOL_MULT, "MULT", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_AVG_POOL_SHIFT, "SHIFT", 0, 31));
    if (w.h.kernel * w.w.kernel > (int64_t)SB_TENSOR_ELEMENTS_MAX) {
        return sb_fail(c->diag, SB_E_LIMIT, "the window has more than 2^28 elements");
    }
    return SB_OK;
}

/* sum * MULT / (n * 2^SHIFT): the rounding division forms 2 * sum * MULT + n * 2^SHIFT. The quotient lies between the smallest and the
 * largest x * MULT / 2^SHIFT, and 0 where padding is counted, rounded outward. */
static sb_err avg_pool_prove(const struct sb_check *c)
{
    struct sb_window w = window_of(c->attrs, c->in[0]);
    int64_t mult = c->attrs[SB_ATTR_AVG_POOL_MULT];
    int64_t unit = (int64_t)1 << c->attrs[SB_ATTR_AVG_POOL_SHIFT];
    sb_i128 taps = (sb_i128)w.h.kernel * w.w.kernel;
    struct sb_interval x = sb_interval_hull(sb_interval_of(c->in[0]), (struct sb_interval){0, 0});
    struct sb_interval doubled = {.lo = x.lo * taps * mult * 2,
                                  .hi = x.hi * taps * mult * 2 + taps * unit};
    SB_TRY(sb_check_fits_i64(c, doubled, "twice the scaled sum"));
    int64_t lo = (int64_t)x.lo * mult;
    int64_t hi = (int64_t)x.hi * mult;
    sb_prove_clamped(
        c, (struct sb_interval){.lo = sb_floor_div(lo, unit), .hi = sb_floor_div(hi, unit) + 1});
    return SB_OK;
}

/* Per-channel sums of a window in the workspace. int32 holds them up to this many taps of 16 bits. */
#define I32_TAPS_MAX ((size_t)1 << 15)

static void sum_lanes(int32_t *ret_sums, const struct sb_exec *x, const struct sb_window *w,
                      size_t image, struct span_on_axis rows, struct span_on_axis columns)
{
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    memset(ret_sums, 0, w->channels * sizeof *ret_sums);
    for (size_t y = rows.first; y < rows.end; y++) {
        for (size_t column = columns.first; column < columns.end; column++) {
            x->kernels->element->pool_sum[dtype](ret_sums, pixel_at(x, w, image, y, column),
                                                 w->channels);
        }
    }
}

static void sum_wide(int64_t *ret_sums, int64_t *pixel, const struct sb_exec *x,
                     const struct sb_window *w, size_t image, struct span_on_axis rows,
                     struct span_on_axis columns)
{
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    memset(ret_sums, 0, w->channels * sizeof *ret_sums);
    for (size_t y = rows.first; y < rows.end; y++) {
        for (size_t column = columns.first; column < columns.end; column++) {
            sb_widen(pixel, pixel_at(x, w, image, y, column), dtype, w->channels);
            for (size_t i = 0; i < w->channels; i++) {
                ret_sums[i] += pixel[i];
            }
        }
    }
}

static void avg_window(const struct sb_exec *x, const struct sb_window *w, size_t image,
                       struct span_on_axis rows, struct span_on_axis columns, size_t out_pixel)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    size_t inside = (rows.end - rows.first) * (columns.end - columns.first);
    bool narrow = x->in_tensor[0]->desc.dtype != SB_DTYPE_I32 && inside <= I32_TAPS_MAX;
    int64_t zero_points = (int64_t)inside * x->in_tensor[0]->desc.quant.zero_point;
    int64_t n =
        x->attrs[SB_ATTR_AVG_POOL_INCLUDE_PAD] != 0 ? w->h.kernel * w->w.kernel : (int64_t)inside;
    int64_t divisor = n << x->attrs[SB_ATTR_AVG_POOL_SHIFT];
    int64_t mult = x->attrs[SB_ATTR_AVG_POOL_MULT];
    int64_t *sums = x->workspace;
    int32_t *lanes = (int32_t *)(sums + w->channels);
    if (narrow) {
        sum_lanes(lanes, x, w, image, rows, columns);
    } else {
        sum_wide(sums, sums + w->channels, x, w, image, rows, columns);
    }
    for (size_t i = 0; i < w->channels; i++) {
        int64_t sum = narrow ? lanes[i] : sums[i];
        int64_t mean = sb_round_div((sum - zero_points) * mult, divisor);
        sums[i] = sb_clamp_i64(mean + d->quant.zero_point, d->lo, d->hi);
    }
    sb_narrow(sb_element_at_mut(x->out, d->dtype, out_pixel * w->channels), d->dtype, sums,
              w->channels);
}

static void avg_pool_run(const struct sb_exec *x)
{
    each_window(x, avg_window);
}

static sb_err avg_pool_cost(const struct sb_check *c)
{
    SB_TRY(pool_cost(c));
    sb_units_add(&c->node->units, SB_GAS_CLASS_DIVIDE, c->out->count);
    return SB_OK;
}

const struct sb_op_code sb_op_avg_pool = {
    .infer = avg_pool_infer, .prove = avg_pool_prove, .cost = avg_pool_cost, .run = avg_pool_run};
