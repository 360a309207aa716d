/* ops_reduce.c: REDUCE, ARG_MAX and CUM_SUM along one axis; TOP_K along the last. Spec: docs/spec/numerics.md 14 (9.5 for ARG_MAX).
 *
 *     x [outer, n, inner]     the axis has n elements; those of one result are `inner` elements apart
 *
 * With inner = 1 a result is a sum over neighbours; else whole runs of `inner` elements are added to a block of accumulators, so that
 * memory is read in order either way. Sums are in 64 bits and proven not to overflow in any order: each term's interval contains 0. */
#include <string.h>

#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define BLOCK       256u
#define DIVISOR_MAX ((int64_t)1 << 24)
#define DIVIDED_MAX ((int64_t)1 << 60) /* DIVISOR * 2^SHIFT */
#define NUMBER_DTYPES                                                                              \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32) | SB_DTYPE_BIT(I64))
#define ALL_DTYPES (NUMBER_DTYPES | SB_DTYPE_BIT(BOOL))

#define LOOPS(name)                                                                                \
    {                                                                                              \
        [SB_DTYPE_I8] = name##_i8, [SB_DTYPE_U8] = name##_u8, [SB_DTYPE_I16] = name##_i16,         \
        [SB_DTYPE_U16] = name##_u16, [SB_DTYPE_I32] = name##_i32, [SB_DTYPE_I64] = name##_i64,     \
        [SB_DTYPE_BOOL] = name##_u8                                                                \
    }
#define FOR_EACH_TYPE(define)                                                                      \
    define(i8, int8_t) define(u8, uint8_t) define(i16, int16_t) define(u16, uint16_t)              \
        define(i32, int32_t) define(i64, int64_t)

struct axis {
    size_t outer;
    size_t n;
    size_t inner;
};

static struct axis axis_of(const struct sb_shape *shape, int64_t at)
{
    struct axis a = {.outer = 1, .n = shape->dims[at], .inner = 1};
    for (uint32_t i = 0; i < shape->rank; i++) {
        a.outer *= i < at ? shape->dims[i] : 1;
        a.inner *= i > at ? shape->dims[i] : 1;
    }
    return a;
}

/* The attribute AXIS names a dimension of x. */
static sb_err check_axis(const struct sb_check *c, uint32_t attr)
{
    uint32_t rank = c->in[0]->desc.shape.rank;
    if (rank == 0) {
        return sb_fail(c->diag, SB_E_SHAPE, "input x '%s' is a scalar and has no axis",
                       c->in[0]->name);
    }
    return sb_check_attr(c, attr, "AXIS", 0, (int64_t)rank - 1);
}

/* The output has the shape of x without the axis. */
static sb_err check_without_axis(const struct sb_check *c, int64_t axis)
{
    struct sb_shape want = c->in[0]->desc.shape;
    for (uint32_t i = (uint32_t)axis; i + 1 < want.rank; i++) {
        want.dims[i] = want.dims[i + 1];
    }
    want.dims[--want.rank] = 0;
    return sb_check_shape(c, c->out, "output", &want);
}

static void axis_cost(const struct sb_check *c, struct axis a, enum sb_gas_class gas_class,
                      uint64_t units)
{
    uint64_t runs = a.inner == 1 ? 2 * a.outer : a.outer * a.n;
    sb_units_add(&c->node->units, gas_class, units);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, runs);
}

/* ---- REDUCE ---- */

/* ret_acc[i] = acc of x[i], x[stride + i], ..: n elements each. v: an element without zero point, acc: so far. */
#define DEFINE_REDUCE_LOOP(name, suffix, type, formula)                                            \
    static void name##_##suffix(int64_t *ret_acc, const void *x, size_t n, size_t stride,          \
                                size_t count, int64_t zero_point, unsigned pre)                    \
    {                                                                                              \
        const type *at = x;                                                                        \
        (void)pre;                                                                                 \
        if (stride == 1) {                                                                         \
            int64_t acc = ret_acc[0];                                                              \
            for (size_t i = 0; i < n; i++) {                                                       \
                int64_t v = at[i] - zero_point;                                                    \
                acc = formula;                                                                     \
            }                                                                                      \
            ret_acc[0] = acc;                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (size_t k = 0; k < n; k++, at += stride) {                                             \
            for (size_t i = 0; i < count; i++) {                                                   \
                int64_t v = at[i] - zero_point;                                                    \
                int64_t acc = ret_acc[i];                                                          \
                ret_acc[i] = formula;                                                              \
            }                                                                                      \
        }                                                                                          \
    }
/* Greatest and smallest elements: compared in their own type. */
#define DEFINE_EXTREME_LOOP(name, suffix, type, relation)                                          \
    static void name##_##suffix(int64_t *ret_acc, const void *x, size_t n, size_t stride,          \
                                size_t count, int64_t zero_point, unsigned pre)                    \
    {                                                                                              \
        const type *at = x;                                                                        \
        type best[BLOCK];                                                                          \
        (void)pre;                                                                                 \
        if (stride == 1) {                                                                         \
            type acc = at[0];                                                                      \
            for (size_t i = 1; i < n; i++) {                                                       \
                acc = at[i] relation acc ? at[i] : acc;                                            \
            }                                                                                      \
            ret_acc[0] = (int64_t)acc - zero_point;                                                \
            return;                                                                                \
        }                                                                                          \
        memcpy(best, at, count * sizeof *best);                                                    \
        for (size_t k = 1; k < n; k++) {                                                           \
            at += stride;                                                                          \
            for (size_t i = 0; i < count; i++) {                                                   \
                best[i] = at[i] relation best[i] ? at[i] : best[i];                                \
            }                                                                                      \
        }                                                                                          \
        for (size_t i = 0; i < count; i++) {                                                       \
            ret_acc[i] = (int64_t)best[i] - zero_point;                                            \
        }                                                                                          \
    }
#define DEFINE_REDUCE(suffix, type)                                                                \
    DEFINE_REDUCE_LOOP(sum, suffix, type, acc + v)                                                 \
    DEFINE_REDUCE_LOOP(sum_abs, suffix, type, acc + (v < 0 ? -v : v))                              \
    DEFINE_EXTREME_LOOP(max, suffix, type, >)                                                      \
    DEFINE_EXTREME_LOOP(min, suffix, type, <)                                                      \
    DEFINE_REDUCE_LOOP(sum_square, suffix, type, acc + sb_round_shr(v, pre) * sb_round_shr(v, pre))
FOR_EACH_TYPE(DEFINE_REDUCE)

typedef void (*reduce_fn)(int64_t *ret_acc, const void *x, size_t n, size_t stride, size_t count,
                          int64_t zero_point, unsigned pre);
static const reduce_fn k_reduce[SB_REDUCE_COUNT][SB_DTYPE_COUNT] = {
    [SB_REDUCE_SUM] = LOOPS(sum),
    [SB_REDUCE_SUM_ABS] = LOOPS(sum_abs),
    [SB_REDUCE_MAX] = LOOPS(max),
    [SB_REDUCE_MIN] = LOOPS(min),
    [SB_REDUCE_SUM_SQUARE] = LOOPS(sum_square),
};

static bool keeps_elements(const struct sb_check *c)
{
    int64_t kind = c->attrs[SB_ATTR_REDUCE_KIND];
    return kind == SB_REDUCE_MAX || kind == SB_REDUCE_MIN;
}

/* MAX and MIN have one form: elements go through the finish of the sums unchanged. */
static sb_err check_unused(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_PRE, "PRE", 0, 0));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_MULT, "MULT", 1, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_DIVISOR, "DIVISOR", 1, 1));
    return sb_check_attr(c, SB_ATTR_REDUCE_SHIFT, "SHIFT", 0, 0);
}

static sb_err reduce_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_KIND, "KIND", 0, SB_REDUCE_COUNT - 1));
    SB_TRY(check_axis(c, SB_ATTR_REDUCE_AXIS));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_PRE, "PRE", 0, 31));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_MULT, "MULT", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_DIVISOR, "DIVISOR", 1, DIVISOR_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_REDUCE_SHIFT, "SHIFT", 0, 60));
    if (c->attrs[SB_ATTR_REDUCE_DIVISOR] > DIVIDED_MAX >> c->attrs[SB_ATTR_REDUCE_SHIFT]) {
        return sb_fail(c->diag, SB_E_RANGE, "DIVISOR * 2^SHIFT is over 2^60");
    }
    if (keeps_elements(c)) {
        SB_TRY(sb_check_dtype(c, c->in[0], "input x", ALL_DTYPES));
        SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
        SB_TRY(check_unused(c));
    } else {
        bool squares = c->attrs[SB_ATTR_REDUCE_KIND] == SB_REDUCE_SUM_SQUARE;
        SB_TRY(sb_check_dtype(c, c->in[0], "input x",
                              squares ? NUMBER_DTYPES & ~SB_DTYPE_BIT(I64) : NUMBER_DTYPES));
        SB_TRY(sb_check_dtype(c, c->out, "output", NUMBER_DTYPES));
    }
    return check_without_axis(c, c->attrs[SB_ATTR_REDUCE_AXIS]);
}

/* One term of the sum, its end moved out to 0. */
static struct sb_interval term_of(const struct sb_check *c)
{
    struct sb_interval v = sb_interval_of(c->in[0]);
    v = sb_interval_hull(v, (struct sb_interval){.lo = 0, .hi = 0});
    sb_i128 top = -v.lo > v.hi ? -v.lo : v.hi;
    switch (c->attrs[SB_ATTR_REDUCE_KIND]) {
    case SB_REDUCE_SUM_ABS:
        return (struct sb_interval){.lo = 0, .hi = top};
    case SB_REDUCE_SUM_SQUARE:
        top = sb_round_shr((int64_t)top, (unsigned)c->attrs[SB_ATTR_REDUCE_PRE]);
        return (struct sb_interval){.lo = 0, .hi = top * top};
    default:
        return v;
    }
}

static sb_err reduce_prove(const struct sb_check *c)
{
    if (keeps_elements(c)) {
        sb_prove_clamped(c, sb_interval_of(c->in[0]));
        return SB_OK;
    }
    uint32_t n = c->in[0]->desc.shape.dims[c->attrs[SB_ATTR_REDUCE_AXIS]];
    struct sb_interval sum = sb_interval_scale(term_of(c), n);
    SB_TRY(sb_check_fits_i64(c, sum, "the sum"));
    int64_t divisor = c->attrs[SB_ATTR_REDUCE_DIVISOR] << c->attrs[SB_ATTR_REDUCE_SHIFT];
    sum = sb_interval_scale(sum, c->attrs[SB_ATTR_REDUCE_MULT]);
    struct sb_interval doubled = sb_interval_scale(sum, 2);
    doubled.hi += divisor;
    SB_TRY(sb_check_fits_i64(c, doubled, "twice the scaled sum"));
    sb_prove_clamped(c, (struct sb_interval){.lo = sb_round_div((int64_t)sum.lo, divisor),
                                             .hi = sb_round_div((int64_t)sum.hi, divisor)});
    return SB_OK;
}

static sb_err reduce_cost(const struct sb_check *c)
{
    struct axis a = axis_of(&c->in[0]->desc.shape, c->attrs[SB_ATTR_REDUCE_AXIS]);
    bool divides = c->attrs[SB_ATTR_REDUCE_DIVISOR] > 1;
    bool twice = c->in[0]->desc.dtype == SB_DTYPE_I64 ||
                 c->attrs[SB_ATTR_REDUCE_KIND] == SB_REDUCE_SUM_SQUARE;
    if (keeps_elements(c)) {
        axis_cost(c, a, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(c->in[0]->bytes, 3));
    } else {
        axis_cost(c, a, SB_GAS_CLASS_ELEMENTWISE, sat_mul_u64(c->in[0]->count, twice ? 2 : 1));
    }
    sb_units_add(&c->node->units, divides ? SB_GAS_CLASS_DIVIDE : SB_GAS_CLASS_REQUANTISE,
                 c->out->count);
    return SB_OK;
}

static void finish_sums(int64_t *acc, size_t count, const struct sb_exec *x)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    int64_t mult = x->attrs[SB_ATTR_REDUCE_MULT];
    int64_t divisor = x->attrs[SB_ATTR_REDUCE_DIVISOR];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_REDUCE_SHIFT];
    if (divisor == 1) {
        for (size_t i = 0; i < count; i++) {
            acc[i] = sb_round_shr(acc[i] * mult, shift);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            acc[i] = sb_round_div(acc[i] * mult, divisor << shift);
        }
    }
    for (size_t i = 0; i < count; i++) {
        acc[i] = sb_clamp_i64(acc[i] + d->quant.zero_point, d->lo, d->hi);
    }
}

static void reduce_run(const struct sb_exec *x)
{
    int64_t acc[BLOCK];
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    struct axis a = axis_of(&xd->shape, x->attrs[SB_ATTR_REDUCE_AXIS]);
    reduce_fn fn = k_reduce[x->attrs[SB_ATTR_REDUCE_KIND]][xd->dtype];
    unsigned pre = (unsigned)x->attrs[SB_ATTR_REDUCE_PRE];
    for (size_t o = 0; o < a.outer; o++) {
        for (size_t i = 0; i < a.inner; i += BLOCK) {
            size_t count = a.inner - i < BLOCK ? a.inner - i : BLOCK;
            size_t at = o * a.n * a.inner + i;
            memset(acc, 0, count * sizeof *acc);
            fn(acc, sb_element_at(x->in[0], xd->dtype, at), a.n, a.inner, count,
               xd->quant.zero_point, pre);
            finish_sums(acc, count, x);
            sb_narrow(sb_element_at_mut(x->out, yd->dtype, o * a.inner + i), yd->dtype, acc, count);
        }
    }
}

const struct sb_op_code sb_op_reduce = {
    .infer = reduce_infer, .prove = reduce_prove, .cost = reduce_cost, .run = reduce_run};

/* ---- ARG_MAX ---- */

static sb_err arg_max_infer(const struct sb_check *c)
{
    SB_TRY(check_axis(c, SB_ATTR_ARG_MAX_AXIS));
    SB_TRY(sb_check_attr(c, SB_ATTR_ARG_MAX_SELECT_LAST, "SELECT_LAST", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_ARG_MAX_SMALLEST, "SMALLEST", 0, 1));
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", ALL_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I32)));
    return check_without_axis(c, c->attrs[SB_ATTR_ARG_MAX_AXIS]);
}

static sb_err arg_max_prove(const struct sb_check *c)
{
    uint32_t n = c->in[0]->desc.shape.dims[c->attrs[SB_ATTR_ARG_MAX_AXIS]];
    return sb_prove_moved(c, (struct sb_interval){.lo = 0, .hi = (int64_t)n - 1});
}

static sb_err arg_max_cost(const struct sb_check *c)
{
    struct axis a = axis_of(&c->in[0]->desc.shape, c->attrs[SB_ATTR_ARG_MAX_AXIS]);
    axis_cost(c, a, SB_GAS_CLASS_ELEMENTWISE, sat_mul_u64(c->in[0]->count, a.inner == 1 ? 4 : 1));
    return SB_OK;
}

/* ret_best[i] = the index k of the greatest of x[k * stride + i], k < n. flip -1 makes it the smallest: -1 ^ v turns the order around. */
#define DEFINE_ARG_MAX(suffix, type)                                                               \
    static void arg_max_##suffix(int32_t *ret_best, const void *x, size_t n, size_t stride,        \
                                 size_t count, int64_t flip, bool last)                            \
    {                                                                                              \
        const type *at = x;                                                                        \
        type best[BLOCK];                                                                          \
        for (size_t i = 0; i < count; i++) {                                                       \
            best[i] = (type)(at[i] ^ (type)flip);                                                  \
            ret_best[i] = 0;                                                                       \
        }                                                                                          \
        for (size_t k = 1; k < n; k++) {                                                           \
            at += stride;                                                                          \
            for (size_t i = 0; i < count; i++) {                                                   \
                type v = (type)(at[i] ^ (type)flip);                                               \
                bool better = last ? v >= best[i] : v > best[i];                                   \
                best[i] = better ? v : best[i];                                                    \
                ret_best[i] = better ? (int32_t)k : ret_best[i];                                   \
            }                                                                                      \
        }                                                                                          \
    }
FOR_EACH_TYPE(DEFINE_ARG_MAX)

typedef void (*arg_max_fn)(int32_t *ret_best, const void *x, size_t n, size_t stride, size_t count,
                           int64_t flip, bool last);
static const arg_max_fn k_arg_max[SB_DTYPE_COUNT] = LOOPS(arg_max);

static void arg_max_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *d = &x->in_tensor[0]->desc;
    struct axis a = axis_of(&d->shape, x->attrs[SB_ATTR_ARG_MAX_AXIS]);
    bool last = x->attrs[SB_ATTR_ARG_MAX_SELECT_LAST] != 0;
    int64_t flip = x->attrs[SB_ATTR_ARG_MAX_SMALLEST] != 0 ? -1 : 0;
    for (size_t o = 0; o < a.outer; o++) {
        for (size_t i = 0; i < a.inner; i += BLOCK) {
            size_t count = a.inner - i < BLOCK ? a.inner - i : BLOCK;
            k_arg_max[d->dtype]((int32_t *)x->out + o * a.inner + i,
                                sb_element_at(x->in[0], d->dtype, o * a.n * a.inner + i), a.n,
                                a.inner, count, flip, last);
        }
    }
}

const struct sb_op_code sb_op_arg_max = {
    .infer = arg_max_infer, .prove = arg_max_prove, .cost = arg_max_cost, .run = arg_max_run};

/* ---- CUM_SUM ---- */

static sb_err cum_sum_infer(const struct sb_check *c)
{
    SB_TRY(check_axis(c, SB_ATTR_CUM_SUM_AXIS));
    SB_TRY(sb_check_attr(c, SB_ATTR_CUM_SUM_EXCLUSIVE, "EXCLUSIVE", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_CUM_SUM_REVERSE, "REVERSE", 0, 1));
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", NUMBER_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", NUMBER_DTYPES));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err cum_sum_prove(const struct sb_check *c)
{
    const struct sb_interval zero = {0, 0};
    uint32_t n = c->in[0]->desc.shape.dims[c->attrs[SB_ATTR_CUM_SUM_AXIS]];
    struct sb_interval sum = sb_interval_scale(sb_interval_hull(sb_interval_of(c->in[0]), zero), n);
    int32_t zero_point = c->out->desc.quant.zero_point;
    SB_TRY(sb_check_fits_i64(c, sum, "the sum"));
    SB_TRY(sb_check_fits_i64(
        c, sb_interval_add(sum, (struct sb_interval){.lo = zero_point, .hi = zero_point}),
        "the sum with the zero point"));
    sb_prove_clamped(c, sum);
    return SB_OK;
}

static sb_err cum_sum_cost(const struct sb_check *c)
{
    struct axis a = axis_of(&c->in[0]->desc.shape, c->attrs[SB_ATTR_CUM_SUM_AXIS]);
    uint64_t blocks = a.outer * a.n * ((a.inner + BLOCK - 1) / BLOCK);
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, sat_mul_u64(c->out->count, 4));
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, sat_mul_u64(blocks, 2));
    return SB_OK;
}

/* One run of `inner` elements: y = sums so far (EXCLUSIVE) or with x. */
static void cum_sum_step(const struct sb_exec *x, int64_t *acc, size_t at, size_t count)
{
    int64_t values[BLOCK];
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    bool exclusive = x->attrs[SB_ATTR_CUM_SUM_EXCLUSIVE] != 0;
    sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, count);
    for (size_t i = 0; i < count; i++) {
        int64_t before = acc[i];
        acc[i] += values[i] - xd->quant.zero_point;
        values[i] =
            sb_clamp_i64((exclusive ? before : acc[i]) + yd->quant.zero_point, yd->lo, yd->hi);
    }
    sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, count);
}

static void cum_sum_run(const struct sb_exec *x)
{
    int64_t acc[BLOCK];
    struct axis a = axis_of(&x->in_tensor[0]->desc.shape, x->attrs[SB_ATTR_CUM_SUM_AXIS]);
    bool reverse = x->attrs[SB_ATTR_CUM_SUM_REVERSE] != 0;
    for (size_t o = 0; o < a.outer; o++) {
        for (size_t i = 0; i < a.inner; i += BLOCK) {
            size_t count = a.inner - i < BLOCK ? a.inner - i : BLOCK;
            memset(acc, 0, count * sizeof *acc);
            for (size_t k = 0; k < a.n; k++) {
                size_t row = reverse ? a.n - 1 - k : k;
                cum_sum_step(x, acc, (o * a.n + row) * a.inner + i, count);
            }
        }
    }
}

const struct sb_op_code sb_op_cum_sum = {
    .infer = cum_sum_infer, .prove = cum_sum_prove, .cost = cum_sum_cost, .run = cum_sum_run};

/* ---- TOP_K ---- */

struct candidate {
    int64_t value; /* turned around if the smallest are sought */
    int64_t index;
};

static sb_err top_k_infer(const struct sb_check *c)
{
    struct sb_shape want = c->in[0]->desc.shape;
    if (want.rank == 0) {
        return sb_fail(c->diag, SB_E_SHAPE, "input x '%s' is a scalar", c->in[0]->name);
    }
    SB_TRY(sb_check_attr(c, SB_ATTR_TOP_K_K, "K", 1, want.dims[want.rank - 1]));
    SB_TRY(sb_check_attr(c, SB_ATTR_TOP_K_SMALLEST, "SMALLEST", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_TOP_K_INDICES, "INDICES", 0, 1));
    want.dims[want.rank - 1] = (uint32_t)c->attrs[SB_ATTR_TOP_K_K];
    if (c->attrs[SB_ATTR_TOP_K_INDICES] != 0) {
        SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I32)));
    } else {
        SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err top_k_prove(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    struct sb_interval v = {.lo = c->in[0]->lo, .hi = c->in[0]->hi};
    if (c->attrs[SB_ATTR_TOP_K_INDICES] != 0) {
        v = (struct sb_interval){.lo = 0, .hi = (int64_t)shape->dims[shape->rank - 1] - 1};
    }
    return sb_prove_moved(c, v);
}

/* Each element may sift down the heap; then the heap is emptied. */
static sb_err top_k_cost(const struct sb_check *c)
{
    uint64_t k = (uint64_t)c->attrs[SB_ATTR_TOP_K_K];
    uint64_t levels = 1;
    while (k >> levels != 0) {
        levels++;
    }
    uint64_t steps = sat_mul_u64(c->in[0]->count + c->out->count, levels);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, steps);
    c->node->workspace_bytes = k * sizeof(struct candidate);
    return SB_OK;
}

/* a belongs before b: greater, or equal and earlier. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->value > b->value || (a->value == b->value && a->index < b->index);
}

/* Restore the heap, whose root is the last of all, below node `at`. */
static void sift(struct candidate *heap, size_t count, size_t at)
{
    struct candidate moved = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && before(&heap[child], &heap[child + 1]) ? 1 : 0;
        if (!before(&moved, &heap[child])) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The k best of a row, in order. */
static void top_k_row(struct candidate *heap, size_t k, const struct sb_exec *x, size_t row,
                      size_t n)
{
    int64_t values[BLOCK];
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    int64_t flip = x->attrs[SB_ATTR_TOP_K_SMALLEST] != 0 ? -1 : 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t count = n - at < BLOCK ? n - at : BLOCK;
        sb_widen(values, sb_element_at(x->in[0], dtype, row * n + at), dtype, count);
        for (size_t i = 0; i < count; i++) {
            struct candidate c = {.value = values[i] ^ flip, .index = (int64_t)(at + i)};
            if (at + i < k) {
                heap[at + i] = c;
                for (size_t parent = k / 2; at + i + 1 == k && parent-- > 0;) {
                    sift(heap, k, parent);
                }
            } else if (c.value > heap[0].value) {
                heap[0] = c;
                sift(heap, k, 0);
            }
        }
    }
    for (size_t left = k; left > 1;) {
        struct candidate worst = heap[0];
        left--;
        heap[0] = heap[left];
        heap[left] = worst;
        sift(heap, left, 0);
    }
}

static void top_k_run(const struct sb_exec *x)
{
    const struct sb_shape *shape = &x->in_tensor[0]->desc.shape;
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    struct candidate *heap = x->workspace;
    bool indices = x->attrs[SB_ATTR_TOP_K_INDICES] != 0;
    int64_t flip = x->attrs[SB_ATTR_TOP_K_SMALLEST] != 0 ? -1 : 0;
    size_t k = (size_t)x->attrs[SB_ATTR_TOP_K_K];
    size_t n = shape->dims[shape->rank - 1];
    for (size_t row = 0; row < x->in_tensor[0]->count / n; row++) {
        top_k_row(heap, k, x, row, n);
        for (size_t i = 0; i < k; i++) {
            int64_t v = indices ? heap[i].index : heap[i].value ^ flip;
            sb_narrow(sb_element_at_mut(x->out, dtype, row * k + i), dtype, &v, 1);
        }
    }
}

const struct sb_op_code sb_op_top_k = {
    .infer = top_k_infer, .prove = top_k_prove, .cost = top_k_cost, .run = top_k_run};
