/* ops_resample.c: RESAMPLE: weighted sums of a few elements along one axis (resizing, interpolation). Spec: docs/spec/numerics.md 7.3.
 *
 *     y[o, n, i] = finish(round_shr(sum_t weight[n, t] * (x[o, index[n, t], i] - x.zp), SHIFT))
 *
 * Where the axis is not among the last dimensions, whole rows of `inner` elements are added up; else element by element. */
#include "base/util/assert.h"
#include "vm/tensor/axis.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define RESAMPLE_DTYPES                                                                            \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))
#define BLOCK 256u /* sums at work */

static sb_err resample_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_RESAMPLE_X];
    const struct sb_tensor *index = c->in[SB_IN_RESAMPLE_INDEX];
    const struct sb_tensor *weight = c->in[SB_IN_RESAMPLE_WEIGHT];
    struct sb_axis a;
    SB_TRY(sb_check_dtype(c, x, "input x", RESAMPLE_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", RESAMPLE_DTYPES));
    SB_TRY(sb_axis_infer(&a, c, x, SB_ATTR_RESAMPLE_AXIS));
    SB_TRY(sb_check_attr(c, SB_ATTR_RESAMPLE_SHIFT, "SHIFT", 0, 62));
    SB_TRY(sb_check_const(c, index, "input index"));
    SB_TRY(sb_check_rank(c, index, "input index", 2));
    SB_TRY(sb_axis_check_index(c, index, (int64_t)a.size));
    SB_TRY(sb_check_const_range(c, index, "input index", 0, INT32_MAX));
    SB_TRY(sb_check_const(c, weight, "input weight"));
    SB_TRY(sb_check_dtype(c, weight, "input weight", SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_shape(c, weight, "input weight", &index->desc.shape));
    struct sb_shape want = x->desc.shape;
    want.dims[a.axis] = index->desc.shape.dims[0];
    return sb_check_shape(c, c->out, "output", &want);
}

/* As sums of products of linear layers: every partial sum lies between those of the negative and of the positive terms. */
static sb_err resample_prove(const struct sb_check *c)
{
    const struct sb_tensor *weight = c->in[SB_IN_RESAMPLE_WEIGHT];
    const int32_t *w = weight->data;
    uint32_t taps = weight->desc.shape.dims[1];
    struct sb_interval x =
        sb_interval_hull(sb_interval_of(c->in[SB_IN_RESAMPLE_X]), (struct sb_interval){0, 0});
    struct sb_interval all = {0, 0};
    for (uint32_t n = 0; n < weight->desc.shape.dims[0]; n++, w += taps) {
        struct sb_interval sum = {0, 0};
        for (uint32_t t = 0; t < taps; t++) {
            sum = sb_interval_add(sum, sb_interval_scale(x, w[t]));
        }
        all = n == 0 ? sum : sb_interval_hull(all, sum);
    }
    unsigned shift = (unsigned)c->attrs[SB_ATTR_RESAMPLE_SHIFT];
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(all, shift), "a weighted sum"));
    sb_prove_clamped(c, sb_interval_round_shr(all, shift));
    return SB_OK;
}

static sb_err resample_cost(const struct sb_check *c)
{
    const struct sb_shape *taps = &c->in[SB_IN_RESAMPLE_INDEX]->desc.shape;
    struct sb_axis a = sb_axis_of(&c->out->desc.shape, (uint32_t)c->attrs[SB_ATTR_RESAMPLE_AXIS]);
    sb_units_add(&c->node->units, SB_GAS_CLASS_FX_MAC,
                 sat_mul_u64(c->out->count, (uint64_t)4 * taps->dims[1]));
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 a.inner == 1
                     ? a.outer
                     : sat_mul_u64(a.outer * a.size, taps->dims[1] * (a.inner / BLOCK + 1)));
    sb_axis_miss_units(c, c->in[SB_IN_RESAMPLE_X]->bytes / a.outer,
                       sat_mul_u64(a.outer, c->in[SB_IN_RESAMPLE_INDEX]->count));
    return SB_OK;
}

/* sum[i] += w * (x[i] - zero point) */
#define ADD_SCALED(type)                                                                           \
    static void add_##type(int64_t *sum, const void *from, size_t count, int64_t w, int64_t zp)    \
    {                                                                                              \
        const type *x = from;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            sum[i] += w * (x[i] - zp);                                                             \
        }                                                                                          \
    }                                                                                              \
    /* The axis is the last dimension: sum[n] = sum_t w[n][t] * (x[index[n][t]] - zero point). */  \
    static void dot_##type(int64_t *sum, const void *from, const int32_t *index, const int32_t *w, \
                           size_t count, size_t taps, int64_t zp)                                  \
    {                                                                                              \
        const type *x = from;                                                                      \
        for (size_t n = 0; n < count; n++) {                                                       \
            int64_t s = 0;                                                                         \
            for (size_t t = 0; t < taps; t++, index++, w++) {                                      \
                s += *w * (x[*index] - zp);                                                        \
            }                                                                                      \
            sum[n] = s;                                                                            \
        }                                                                                          \
    }
ADD_SCALED(int8_t)
ADD_SCALED(uint8_t)
ADD_SCALED(int16_t)
ADD_SCALED(int32_t)
#undef ADD_SCALED

typedef void (*add_fn)(int64_t *sum, const void *from, size_t count, int64_t w, int64_t zp);
typedef void (*dot_fn)(int64_t *sum, const void *from, const int32_t *index, const int32_t *w,
                       size_t count, size_t taps, int64_t zp);

/* What a run reads over and over. */
struct resample {
    const struct sb_tensor_desc *y;
    const int32_t *index;
    const int32_t *weight;
    size_t taps;
    size_t size; /* bytes of an element of x */
    int64_t zero_point;
    unsigned shift;
    add_fn add;
    dot_fn dot;
};

static struct resample resample_of(const struct sb_exec *x)
{
    const struct sb_tensor_desc *d = &x->in_tensor[SB_IN_RESAMPLE_X]->desc;
    struct resample r = {.y = &x->out_tensor->desc,
                         .index = x->in[SB_IN_RESAMPLE_INDEX],
                         .weight = x->in[SB_IN_RESAMPLE_WEIGHT],
                         .taps = x->in_tensor[SB_IN_RESAMPLE_INDEX]->desc.shape.dims[1],
                         .size = sb_dtype_bytes(d->dtype),
                         .zero_point = d->quant.zero_point,
                         .shift = (unsigned)x->attrs[SB_ATTR_RESAMPLE_SHIFT]};
    switch ((int)d->dtype) {
    case SB_DTYPE_I8:
        r.add = add_int8_t;
        r.dot = dot_int8_t;
        break;
    case SB_DTYPE_U8:
        r.add = add_uint8_t;
        r.dot = dot_uint8_t;
        break;
    case SB_DTYPE_I16:
        r.add = add_int16_t;
        r.dot = dot_int16_t;
        break;
    default:
        r.add = add_int32_t;
        r.dot = dot_int32_t;
        break;
    }
    return r;
}

static void finish(const struct resample *r, void *y, size_t at, int64_t *sum, size_t count)
{
    int32_t zero_point = r->y->quant.zero_point;
    for (size_t i = 0; i < count; i++) {
        sum[i] = sb_finish(sb_round_shr(sum[i], r->shift), zero_point, r->y->lo, r->y->hi);
    }
    sb_narrow(sb_element_at_mut(y, r->y->dtype, at), r->y->dtype, sum, count);
}

static void resample_run(const struct sb_exec *x)
{
    struct resample r = resample_of(x);
    const struct sb_shape *xs = &x->in_tensor[SB_IN_RESAMPLE_X]->desc.shape;
    struct sb_axis a = sb_axis_of(xs, (uint32_t)x->attrs[SB_ATTR_RESAMPLE_AXIS]);
    size_t out = r.y->shape.dims[a.axis];
    int64_t sum[BLOCK];
    const uint8_t *from = x->in[SB_IN_RESAMPLE_X];
    size_t at = 0;
    for (size_t o = 0; o < a.outer; o++, from += a.size * a.inner * r.size) {
        for (size_t n = 0; a.inner == 1 && n < out; n += BLOCK) {
            size_t count = out - n < BLOCK ? out - n : BLOCK;
            r.dot(sum, from, r.index + n * r.taps, r.weight + n * r.taps, count, r.taps,
                  r.zero_point);
            finish(&r, x->out, at + n, sum, count);
        }
        for (size_t n = 0; a.inner > 1 && n < out; n++) {
            for (size_t i = 0; i < a.inner; i += BLOCK) {
                size_t count = a.inner - i < BLOCK ? a.inner - i : BLOCK;
                memset(sum, 0, count * sizeof *sum);
                for (size_t t = 0; t < r.taps; t++) {
                    size_t row = (size_t)r.index[n * r.taps + t];
                    r.add(sum, from + (row * a.inner + i) * r.size, count, r.weight[n * r.taps + t],
                          r.zero_point);
                }
                finish(&r, x->out, at + n * a.inner + i, sum, count);
            }
        }
        at += out * a.inner;
    }
}

const struct sb_op_code sb_op_resample = {
    .infer = resample_infer, .prove = resample_prove, .cost = resample_cost, .run = resample_run};
