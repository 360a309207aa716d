/* ops_pool.c: MAX_POOL and AVG_POOL over NHWC images. Spec: docs/spec/numerics.md 7. */
#include "base/util/assert.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/round.h"
#include "vm/tensor/window.h"

#define POOL_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

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

/* Folds a window into per-channel values in the workspace: their maximum, or their sum. */
static void fold_window(const struct sb_exec *x, const struct sb_window *w, size_t image,
                        struct span_on_axis rows, struct span_on_axis columns, bool take_max)
{
    int64_t *folded = x->workspace;
    int64_t *pixel = folded + w->channels;
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    for (size_t i = 0; i < w->channels; i++) {
        folded[i] = take_max ? INT64_MIN : 0;
    }
    for (size_t y = rows.first; y < rows.end; y++) {
        for (size_t column = columns.first; column < columns.end; column++) {
            size_t at = ((image * (size_t)w->h.in + y) * (size_t)w->w.in + column) * w->channels;
            sb_widen(pixel, sb_element_at(x->in[0], dtype, at), dtype, w->channels);
            for (size_t i = 0; i < w->channels; i++) {
                folded[i] =
                    take_max ? (pixel[i] > folded[i] ? pixel[i] : folded[i]) : folded[i] + pixel[i];
            }
        }
    }
}

static void store_pixel(const struct sb_exec *x, const struct sb_window *w, size_t out_pixel)
{
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    sb_narrow(sb_element_at_mut(x->out, dtype, out_pixel * w->channels), dtype, x->workspace,
              w->channels);
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

static void max_window(const struct sb_exec *x, const struct sb_window *w, size_t image,
                       struct span_on_axis rows, struct span_on_axis columns, size_t out_pixel)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    int64_t *folded = x->workspace;
    fold_window(x, w, image, rows, columns, true);
    for (size_t i = 0; i < w->channels; i++) {
        folded[i] = sb_clamp_i64(folded[i], d->lo, d->hi);
    }
    store_pixel(x, w, out_pixel);
}

static void max_pool_run(const struct sb_exec *x)
{
    each_window(x, max_window);
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

static void avg_window(const struct sb_exec *x, const struct sb_window *w, size_t image,
                       struct span_on_axis rows, struct span_on_axis columns, size_t out_pixel)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    int64_t inside = (int64_t)((rows.end - rows.first) * (columns.end - columns.first));
    int64_t zero_points = inside * x->in_tensor[0]->desc.quant.zero_point;
    int64_t n = x->attrs[SB_ATTR_AVG_POOL_INCLUDE_PAD] != 0 ? w->h.kernel * w->w.kernel : inside;
    int64_t divisor = n << x->attrs[SB_ATTR_AVG_POOL_SHIFT];
    int64_t *folded = x->workspace;
    fold_window(x, w, image, rows, columns, false);
    for (size_t i = 0; i < w->channels; i++) {
        int64_t mean =
            sb_round_div((folded[i] - zero_points) * x->attrs[SB_ATTR_AVG_POOL_MULT], divisor);
        folded[i] = sb_clamp_i64(mean + d->quant.zero_point, d->lo, d->hi);
    }
    store_pixel(x, w, out_pixel);
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
