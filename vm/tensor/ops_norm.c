/* ops_norm.c: NORM, LOG_SUM_EXP, MASKED_SOFTMAX: what works along the last axis beyond SOFTMAX. Spec: docs/spec/numerics.md 9.9 - 9.11.
 *
 * NORM, with D the row's length, x without zero point, s = sum x, q = sum x^2:
 *
 *     d = D * x - s          D * (x - mean)               v = D * q - s^2 + eps          D^2 * variance
 *     d, v --scaled by powers of two--> u in 31 bits, r = isqrt in [2^30, 2^31) --> t = u * (2^61 / r) >> 30 */
#include "base/util/checked.h"
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define ROW_MAX       ((uint32_t)1 << 20)
#define SUM_DTYPES    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))
#define LN_2_31       INT64_C(46144189316) /* 31 * round(ln 2 * 2^31) */
#define CAUSAL_OFFSET ((int64_t)1 << 24)
#define INVERSE_NUM   ((int64_t)1 << 61)

static sb_err row_length(const struct sb_check *c, uint32_t *ret_len)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    if (shape->rank == 0 || shape->dims[shape->rank - 1] > ROW_MAX) {
        return sb_fail(c->diag, shape->rank == 0 ? SB_E_SHAPE : SB_E_LIMIT,
                       "input x '%s' has no last axis, or one longer than %u", c->in[0]->name,
                       ROW_MAX);
    }
    *ret_len = shape->dims[shape->rank - 1];
    return SB_OK;
}

static size_t row_of(const struct sb_exec *x)
{
    const struct sb_shape *shape = &x->in_tensor[0]->desc.shape;
    return shape->dims[shape->rank - 1];
}

/* ---- exponentials of a row ---- */

/* As in SOFTMAX: a distance of raw elements in Q26, at most 2^32 - 1. */
static uint32_t to_q26(uint64_t distance, uint64_t mult, unsigned shift)
{
    uint64_t half = shift == 0 ? 0 : (uint64_t)1 << (shift - 1);
    uint64_t a = (distance * mult + half) >> shift;
    return a > UINT32_MAX ? UINT32_MAX : (uint32_t)a;
}

static sb_err exp_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", SUM_DTYPES));
    SB_TRY(sb_check_attr(c, SB_ATTR_SOFTMAX_MULT, "MULT", 1, INT32_MAX));
    return sb_check_attr(c, SB_ATTR_SOFTMAX_SHIFT, "SHIFT", 0, 62);
}

static sb_err exp_cost(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    sb_units_add(&c->node->units, SB_GAS_CLASS_SOFTMAX, c->in[0]->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 2 * (c->in[0]->count / shape->dims[shape->rank - 1]));
    c->node->workspace_bytes = 2 * (uint64_t)shape->dims[shape->rank - 1] * sizeof(int64_t);
    return SB_OK;
}

static sb_err log_sum_exp_infer(const struct sb_check *c)
{
    uint32_t len = 0;
    SB_TRY(exp_infer(c));
    SB_TRY(row_length(c, &len));
    SB_TRY(sb_check_attr(c, SB_ATTR_LOG_SUM_EXP_MULT_MAX, "MULT_MAX", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_LOG_SUM_EXP_MULT_LN, "MULT_LN", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_LOG_SUM_EXP_OUT_SHIFT, "OUT_SHIFT", 0, 62));
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32)));
    struct sb_shape want = c->in[0]->desc.shape;
    want.dims[--want.rank] = 0;
    return sb_check_shape(c, c->out, "output", &want);
}

/* The sum of a row is in [2^31, len * 2^31], so that its logarithm less that of 2^31 is not negative. */
static sb_err log_sum_exp_prove(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    uint64_t len = shape->dims[shape->rank - 1];
    unsigned shift = (unsigned)c->attrs[SB_ATTR_LOG_SUM_EXP_OUT_SHIFT];
    struct sb_interval ln = {.lo = 0, .hi = sb_fx_ln(len << 31) - LN_2_31 + SB_FX_LN_SLACK};
    struct sb_interval max =
        sb_interval_scale(sb_interval_of(c->in[0]), c->attrs[SB_ATTR_LOG_SUM_EXP_MULT_MAX]);
    ln = sb_interval_scale(ln, c->attrs[SB_ATTR_LOG_SUM_EXP_MULT_LN]);
    SB_TRY(sb_check_fits_i64(c, ln, "the scaled logarithm"));
    struct sb_interval v = sb_interval_add(max, ln);
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value before the shift"));
    sb_prove_clamped(c, sb_interval_round_shr(v, shift));
    return SB_OK;
}

static int64_t greatest(const int64_t *values, size_t count)
{
    int64_t max = values[0];
    for (size_t i = 1; i < count; i++) {
        max = values[i] > max ? values[i] : max;
    }
    return max;
}

static void log_sum_exp_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint64_t mult = (uint64_t)x->attrs[SB_ATTR_LOG_SUM_EXP_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_LOG_SUM_EXP_SHIFT];
    size_t len = row_of(x);
    int64_t *values = x->workspace;
    for (size_t row = 0; row < x->out_tensor->count; row++) {
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, row * len), xd->dtype, len);
        int64_t max = greatest(values, len);
        int64_t sum = 0;
        for (size_t i = 0; i < len; i++) {
            sum += sb_fx_exp_neg(to_q26((uint64_t)(max - values[i]), mult, shift));
        }
        int64_t ln = sb_fx_ln((uint64_t)sum) - LN_2_31;
        int64_t v = (max - xd->quant.zero_point) * x->attrs[SB_ATTR_LOG_SUM_EXP_MULT_MAX] +
                    (ln < 0 ? 0 : ln) * x->attrs[SB_ATTR_LOG_SUM_EXP_MULT_LN];
        v = sb_round_shr(v, (unsigned)x->attrs[SB_ATTR_LOG_SUM_EXP_OUT_SHIFT]);
        v = sb_clamp_i64(v + yd->quant.zero_point, yd->lo, yd->hi);
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, row), yd->dtype, &v, 1);
    }
}

const struct sb_op_code sb_op_log_sum_exp = {.infer = log_sum_exp_infer,
                                             .prove = log_sum_exp_prove,
                                             .cost = exp_cost,
                                             .run = log_sum_exp_run};

/* ---- MASKED_SOFTMAX ---- */

static sb_err masked_softmax_infer(const struct sb_check *c)
{
    uint32_t len = 0;
    const struct sb_shape *x = &c->in[0]->desc.shape;
    SB_TRY(exp_infer(c));
    SB_TRY(row_length(c, &len));
    SB_TRY(sb_check_attr(c, SB_ATTR_MASKED_SOFTMAX_CAUSAL, "CAUSAL", 0, 1));
    SB_TRY(
        sb_check_attr(c, SB_ATTR_MASKED_SOFTMAX_OFFSET, "OFFSET", -CAUSAL_OFFSET, CAUSAL_OFFSET));
    if (c->attrs[SB_ATTR_MASKED_SOFTMAX_CAUSAL] != 0 && x->rank < 2) {
        return sb_fail(c->diag, SB_E_SHAPE, "input x '%s' has no rows for CAUSAL", c->in[0]->name);
    }
    if (c->input_count > 1) {
        const struct sb_tensor *mask = c->in[SB_IN_MASKED_SOFTMAX_MASK];
        const struct sb_shape *m = &mask->desc.shape;
        SB_TRY(sb_check_dtype(c, mask, "input mask", SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(BOOL)));
        bool fits = m->rank <= x->rank;
        for (uint32_t i = 0; fits && i < m->rank; i++) {
            fits = m->dims[i] == 1 || m->dims[i] == x->dims[x->rank - m->rank + i];
        }
        if (!fits) {
            return sb_fail(c->diag, SB_E_SHAPE, "input mask '%s' does not broadcast to x",
                           mask->name);
        }
    }
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(U16)));
    return sb_check_shape(c, c->out, "output", x);
}

static sb_err masked_softmax_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = UINT16_MAX});
    return SB_OK;
}

/* The mask beside x: bytes to the next index of each axis; 0 repeats. */
static void mask_strides(size_t ret_stride[SB_TENSOR_RANK_MAX], const struct sb_exec *x)
{
    uint32_t rank = x->in_tensor[0]->desc.shape.rank;
    const struct sb_shape *m = &x->in_tensor[SB_IN_MASKED_SOFTMAX_MASK]->desc.shape;
    size_t step = 1;
    for (uint32_t i = rank; i-- > 0;) {
        uint32_t dim = i + m->rank < rank ? 1 : m->dims[i + m->rank - rank];
        ret_stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

/* values become probabilities; mask NULL: none. count: of the row, of which the first `open` are not in the future. */
static void masked_row(int64_t *values, int64_t *e, const struct sb_exec *x, const uint8_t *mask,
                       size_t mask_step, size_t count, size_t open)
{
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint64_t mult = (uint64_t)x->attrs[SB_ATTR_MASKED_SOFTMAX_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_MASKED_SOFTMAX_SHIFT];
    int64_t max = INT64_MIN;
    int64_t sum = 0;
    for (size_t i = 0; i < open; i++) {
        bool in = mask == NULL || mask[i * mask_step] != 0;
        max = in && values[i] > max ? values[i] : max;
    }
    for (size_t i = 0; i < open; i++) {
        bool in = mask == NULL || mask[i * mask_step] != 0;
        e[i] = in ? sb_fx_exp_neg(to_q26((uint64_t)(max - values[i]), mult, shift)) : 0;
        sum += e[i];
    }
    int64_t divisor = sum == 0 ? 1 : sum;
    for (size_t i = 0; i < count; i++) {
        int64_t p = i < open ? (e[i] * 65536 + sum / 2) / divisor : 0;
        values[i] = sb_clamp_i64(p < UINT16_MAX ? p : UINT16_MAX, yd->lo, yd->hi);
    }
}

static void masked_softmax_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const uint8_t *mask = x->input_count > 1 ? x->in[SB_IN_MASKED_SOFTMAX_MASK] : NULL;
    bool causal = x->attrs[SB_ATTR_MASKED_SOFTMAX_CAUSAL] != 0;
    size_t len = row_of(x);
    size_t stride[SB_TENSOR_RANK_MAX] = {0};
    size_t index[SB_TENSOR_RANK_MAX] = {0};
    size_t mask_at = 0;
    uint32_t outer = xd->shape.rank - 1;
    int64_t *values = x->workspace;
    if (mask != NULL) {
        mask_strides(stride, x);
    }
    for (size_t at = 0; at < x->out_tensor->count; at += len) {
        int64_t open = (int64_t)len;
        if (causal) {
            open = (int64_t)index[outer - 1] + x->attrs[SB_ATTR_MASKED_SOFTMAX_OFFSET] + 1;
            open = sb_clamp_i64(open, 0, (int64_t)len);
        }
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, len);
        masked_row(values, values + len, x, mask == NULL ? NULL : mask + mask_at, stride[outer],
                   len, (size_t)open);
        sb_narrow((uint16_t *)x->out + at, SB_DTYPE_U16, values, len);
        for (uint32_t i = outer; i-- > 0;) {
            mask_at += stride[i];
            if (++index[i] < xd->shape.dims[i]) {
                break;
            }
            mask_at -= stride[i] * index[i];
            index[i] = 0;
        }
    }
}

const struct sb_op_code sb_op_masked_softmax = {.infer = masked_softmax_infer,
                                                .prove = masked_softmax_prove,
                                                .cost = exp_cost,
                                                .run = masked_softmax_run};

/* ---- NORM ---- */

/* ceil(log2(d)). */
static unsigned log2_ceil(uint32_t d)
{
    return d <= 1 ? 0 : 32 - (unsigned)__builtin_clz(d - 1);
}

/* Fraction bits of t: |t| <= sqrt(D), so that t and u stay below 2^31. */
static unsigned norm_fraction(uint32_t d)
{
    return 30 - (log2_ceil(d) + 1) / 2;
}

static sb_err norm_infer(const struct sb_check *c)
{
    uint32_t len = 0;
    uint32_t dtypes = SUM_DTYPES | SB_DTYPE_BIT(U8);
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_NORM_X], "input x", dtypes));
    SB_TRY(sb_check_dtype(c, c->out, "output", dtypes));
    SB_TRY(row_length(c, &len));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_NORM_W], "input w", SB_DTYPE_I32, len));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_NORM_B], "input b", SB_DTYPE_I64, len));
    SB_TRY(sb_check_attr(c, SB_ATTR_NORM_CENTRE, "CENTRE", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_NORM_EPS, "EPS", 0, (int64_t)1 << 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_NORM_EPS_SHIFT, "EPS_SHIFT", 0, 40));
    SB_TRY(sb_check_attr(c, SB_ATTR_NORM_SHIFT, "SHIFT", 0, 62));
    return sb_check_shape(c, c->out, "output", &c->in[SB_IN_NORM_X]->desc.shape);
}

/* |t| < 2^31 whatever x is; w and b are known. */
static sb_err norm_prove(const struct sb_check *c)
{
    const struct sb_tensor *w = c->in[SB_IN_NORM_W];
    const int32_t *factor = w->data;
    const int64_t *term = c->in[SB_IN_NORM_B]->data;
    unsigned shift = (unsigned)c->attrs[SB_ATTR_NORM_SHIFT];
    struct sb_interval all = {0, 0};
    for (uint64_t i = 0; i < w->count; i++) {
        sb_i128 reach = (sb_i128)(factor[i] < 0 ? -(int64_t)factor[i] : factor[i]) << 31;
        struct sb_interval v = {.lo = term[i] - reach, .hi = term[i] + reach};
        SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value before the shift"));
        struct sb_interval y = sb_interval_round_shr(v, shift);
        all = i == 0 ? y : sb_interval_hull(all, y);
    }
    sb_prove_clamped(c, all);
    return SB_OK;
}

static sb_err norm_cost(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    uint64_t len = shape->dims[shape->rank - 1];
    sb_units_add(&c->node->units, SB_GAS_CLASS_NORM, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_DIVIDE, sat_mul_u64(c->out->count / len, 10));
    c->node->workspace_bytes = len * sizeof(int64_t);
    return SB_OK;
}

/* What a row is scaled by: u = d shifted by `up` (left, or right if negative), t = (u * inverse) >> 30. */
struct row_scale {
    int64_t sum;
    int64_t inverse;
    int up;
};

static unsigned bits_u128(sb_u128 v)
{
    uint64_t high = (uint64_t)(v >> 64);
    return high != 0 ? 128 - (unsigned)__builtin_clzll(high)
                     : 64 - (unsigned)__builtin_clzll((uint64_t)v | 1);
}

static struct row_scale row_scale_of(const int64_t *values, uint32_t len, const int64_t *attrs)
{
    struct row_scale r = {.sum = 0};
    uint64_t low = 0; /* of the sum of squares: 32 bits of each */
    uint64_t high = 0;
    for (uint32_t i = 0; i < len; i++) {
        uint64_t square = (uint64_t)(values[i] * values[i]);
        r.sum += values[i];
        low += (uint32_t)square;
        high += square >> 32;
    }
    r.sum = attrs[SB_ATTR_NORM_CENTRE] != 0 ? r.sum : 0;
    sb_u128 v = (((sb_u128)high << 32) + low) * len - (sb_u128)((sb_i128)r.sum * r.sum) +
                ((sb_u128)(uint64_t)attrs[SB_ATTR_NORM_EPS] << attrs[SB_ATTR_NORM_EPS_SHIFT]);
    v = v == 0 ? 1 : v;
    int even = (int)((bits_u128(v) + 1) & ~1u); /* v in [2^(even - 2), 2^even) */
    uint64_t scaled = even > 62 ? (uint64_t)(v >> (even - 62)) : (uint64_t)v << (62 - even);
    r.inverse = INVERSE_NUM / sb_fx_isqrt(scaled);
    r.up = (int)norm_fraction(len) - even / 2;
    return r;
}

static void norm_row(int64_t *values, uint32_t len, const struct sb_exec *x)
{
    const int32_t *w = x->in[SB_IN_NORM_W];
    const int64_t *b = x->in[SB_IN_NORM_B];
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    unsigned shift = (unsigned)x->attrs[SB_ATTR_NORM_SHIFT];
    int32_t zero_point = yd->quant.zero_point;
    struct row_scale r = row_scale_of(values, len, x->attrs);
    int64_t up = (int64_t)1 << (r.up > 0 ? r.up : 0);
    unsigned down = r.up < 0 ? (unsigned)-r.up : 0;
    for (uint32_t i = 0; i < len; i++) {
        int64_t u = sb_round_shr(((int64_t)len * values[i] - r.sum) * up, down);
        int64_t t = sb_round_shr(u * r.inverse, 30);
        int64_t y = sb_round_shr(t * w[i] + b[i], shift);
        values[i] = sb_finish(y, zero_point, yd->lo, yd->hi);
    }
}

static void norm_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[SB_IN_NORM_X]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint32_t len = (uint32_t)row_of(x);
    int64_t *values = x->workspace;
    for (size_t at = 0; at < x->out_tensor->count; at += len) {
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, len);
        for (uint32_t i = 0; i < len; i++) {
            values[i] -= xd->quant.zero_point;
        }
        norm_row(values, len, x);
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, len);
    }
}

const struct sb_op_code sb_op_norm = {
    .infer = norm_infer, .prove = norm_prove, .cost = norm_cost, .run = norm_run};
