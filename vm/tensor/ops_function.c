/* ops_function.c: EXP, SIGMOID, TANH, SOFTMAX. Spec: docs/spec/numerics.md 9; the functions themselves are in fxmath.c.
 *
 *     raw difference --to_q26 (MULT, SHIFT)--> a in Q26 --fxmath--> Q31 --OUT_SHIFT--> y */
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define BLOCK           256u
#define SOFTMAX_ROW_MAX ((uint32_t)1 << 20) /* then a row sums to at most 2^51 */
#define FUNCTION_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

/* A distance of raw elements (0 .. 2^32 - 1) in Q26, at most 2^32 - 1 (about 64). The product and the half stay below 2^64. */
static uint32_t to_q26(uint64_t distance, uint64_t mult, unsigned shift)
{
    uint64_t half = shift == 0 ? 0 : (uint64_t)1 << (shift - 1);
    uint64_t a = (distance * mult + half) >> shift;
    return a > UINT32_MAX ? UINT32_MAX : (uint32_t)a;
}

static sb_err to_q26_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", FUNCTION_DTYPES));
    SB_TRY(sb_check_attr(c, SB_ATTR_FUNCTION_MULT, "MULT", 1, INT32_MAX));
    return sb_check_attr(c, SB_ATTR_FUNCTION_SHIFT, "SHIFT", 0, 62);
}

/* ---- element by element ---- */

static sb_err function_infer(const struct sb_check *c)
{
    SB_TRY(to_q26_infer(c));
    SB_TRY(sb_check_attr(c, SB_ATTR_FUNCTION_OUT_SHIFT, "OUT_SHIFT", 0, 31));
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32)));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err function_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_FUNCTION, c->out->count);
    return SB_OK;
}

typedef int64_t (*function_fn)(uint32_t a, int negative);

static void run_function(const struct sb_exec *x, function_fn fn)
{
    int64_t values[BLOCK];
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint64_t mult = (uint64_t)x->attrs[SB_ATTR_FUNCTION_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_FUNCTION_SHIFT];
    unsigned out_shift = (unsigned)x->attrs[SB_ATTR_FUNCTION_OUT_SHIFT];
    size_t total = (size_t)x->out_tensor->count;
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, count);
        for (size_t i = 0; i < count; i++) {
            int64_t v = values[i] - xd->quant.zero_point;
            uint32_t a = to_q26(v < 0 ? (uint64_t)-v : (uint64_t)v, mult, shift);
            values[i] = sb_clamp_i64(sb_round_shr(fn(a, v < 0), out_shift), yd->lo, yd->hi);
        }
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, count);
    }
}

static sb_err sigmoid_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = SB_FX_ONE_Q31});
    return SB_OK;
}

static void sigmoid_run(const struct sb_exec *x)
{
    run_function(x, sb_fx_sigmoid);
}

const struct sb_op_code sb_op_sigmoid = {
    .infer = function_infer, .prove = sigmoid_prove, .cost = function_cost, .run = sigmoid_run};

static sb_err tanh_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = -SB_FX_ONE_Q31, .hi = SB_FX_ONE_Q31});
    return SB_OK;
}

static void tanh_run(const struct sb_exec *x)
{
    run_function(x, sb_fx_tanh);
}

const struct sb_op_code sb_op_tanh = {
    .infer = function_infer, .prove = tanh_prove, .cost = function_cost, .run = tanh_run};

/* Values of 2^62 and more stand for "too large": they leave the type of y after any OUT_SHIFT but 31, where 2^31 does. */
static int64_t exp_value(uint32_t a, int negative)
{
    if (negative) {
        return sb_fx_exp_neg(a);
    }
    struct sb_fx_scaled e = sb_fx_exp_pos(a);
    return e.exponent > 31 ? (int64_t)1 << 62 : e.mantissa << e.exponent;
}

static sb_err exp_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = (int64_t)1 << 62});
    return SB_OK;
}

static void exp_run(const struct sb_exec *x)
{
    run_function(x, exp_value);
}

const struct sb_op_code sb_op_exp = {
    .infer = function_infer, .prove = exp_prove, .cost = function_cost, .run = exp_run};

/* ---- along the last axis ---- */

static sb_err last_axis(const struct sb_check *c, uint32_t *ret_len)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    if (shape->rank == 0) {
        return sb_fail(c->diag, SB_E_SHAPE, "input x '%s' is a scalar and has no last axis",
                       c->in[0]->name);
    }
    *ret_len = shape->dims[shape->rank - 1];
    return SB_OK;
}

static sb_err softmax_infer(const struct sb_check *c)
{
    uint32_t len = 0;
    SB_TRY(to_q26_infer(c));
    SB_TRY(last_axis(c, &len));
    if (len > SOFTMAX_ROW_MAX) {
        return sb_fail(c->diag, SB_E_LIMIT, "rows of %u elements, the limit is %u", len,
                       SOFTMAX_ROW_MAX);
    }
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(U16)));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err softmax_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = UINT16_MAX});
    return SB_OK;
}

static sb_err softmax_cost(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    sb_units_add(&c->node->units, SB_GAS_CLASS_SOFTMAX, c->out->count);
    c->node->workspace_bytes = 2 * (uint64_t)shape->dims[shape->rank - 1] * sizeof(int64_t);
    return SB_OK;
}

/* p_i = min(floor((e_i * 2^16 + floor(S / 2)) / S), 65535). e_i <= 2^31, so the numerator is below 2^47 + 2^50. */
static void softmax_row(int64_t *values, int64_t *e, size_t count, const struct sb_exec *x)
{
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint64_t mult = (uint64_t)x->attrs[SB_ATTR_SOFTMAX_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_SOFTMAX_SHIFT];
    int64_t max = values[0];
    for (size_t i = 1; i < count; i++) {
        max = values[i] > max ? values[i] : max;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        e[i] = sb_fx_exp_neg(to_q26((uint64_t)(max - values[i]), mult, shift));
        sum += e[i];
    }
    for (size_t i = 0; i < count; i++) {
        int64_t p = (e[i] * 65536 + sum / 2) / sum;
        values[i] = sb_clamp_i64(p < UINT16_MAX ? p : UINT16_MAX, yd->lo, yd->hi);
    }
}

static void softmax_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    size_t len = xd->shape.dims[xd->shape.rank - 1];
    int64_t *values = x->workspace;
    for (size_t at = 0; at < x->out_tensor->count; at += len) {
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, len);
        softmax_row(values, values + len, len, x);
        sb_narrow((uint16_t *)x->out + at, SB_DTYPE_U16, values, len);
    }
}

const struct sb_op_code sb_op_softmax = {
    .infer = softmax_infer, .prove = softmax_prove, .cost = softmax_cost, .run = softmax_run};
