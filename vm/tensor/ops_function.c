/* ops_function.c: EXP, SIGMOID, TANH, SOFTMAX. Spec: docs/spec/numerics.md 9; the functions themselves are in fxmath.c.
 *
 *     raw difference --q26 (MULT, SHIFT)--> a in Q26 --function, exp_sum (kernels)--> Q31 --OUT_SHIFT--> y */
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define BLOCK           256u
#define SOFTMAX_ROW_MAX ((uint32_t)1 << 20) /* then a row sums to at most 2^51 */
#define FUNCTION_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

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

static void run_function(const struct sb_exec *x, enum sb_function_kind kind)
{
    int32_t lanes[BLOCK];
    int32_t values[BLOCK];
    const struct sb_element_kernels *k = x->kernels->element;
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    struct sb_function f = {.kind = kind,
                            .mult = (uint32_t)x->attrs[SB_ATTR_FUNCTION_MULT],
                            .shift = (unsigned)x->attrs[SB_ATTR_FUNCTION_SHIFT],
                            .out_shift = (unsigned)x->attrs[SB_ATTR_FUNCTION_OUT_SHIFT],
                            .lo = (int32_t)yd->lo,
                            .hi = (int32_t)yd->hi};
    size_t total = (size_t)x->out_tensor->count;
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        k->load[xd->dtype](lanes, sb_element_at(x->in[0], xd->dtype, at), count,
                           xd->quant.zero_point);
        x->kernels->function(values, lanes, count, &f);
        k->store[yd->dtype](sb_element_at_mut(x->out, yd->dtype, at), values, count);
    }
}

static sb_err sigmoid_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = SB_FX_ONE_Q31});
    return SB_OK;
}

static void sigmoid_run(const struct sb_exec *x)
{
    run_function(x, SB_FUNCTION_SIGMOID);
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
    run_function(x, SB_FUNCTION_TANH);
}

const struct sb_op_code sb_op_tanh = {
    .infer = function_infer, .prove = tanh_prove, .cost = function_cost, .run = tanh_run};

static sb_err exp_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, (struct sb_interval){.lo = 0, .hi = (int64_t)1 << 62});
    return SB_OK;
}

static void exp_run(const struct sb_exec *x)
{
    run_function(x, SB_FUNCTION_EXP);
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
    uint64_t len = shape->dims[shape->rank - 1];
    sb_units_add(&c->node->units, SB_GAS_CLASS_SOFTMAX, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, 2 * (c->out->count / len));
    c->node->workspace_bytes = len * (sizeof(int32_t) + sizeof(uint32_t));
    return SB_OK;
}

static void softmax_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    uint32_t mult = (uint32_t)x->attrs[SB_ATTR_SOFTMAX_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_SOFTMAX_SHIFT];
    size_t len = xd->shape.dims[xd->shape.rank - 1];
    int32_t *lanes = x->workspace;
    uint32_t *e = (uint32_t *)x->workspace + len;
    for (size_t at = 0; at < x->out_tensor->count; at += len) {
        x->kernels->element->load[xd->dtype](lanes, sb_element_at(x->in[0], xd->dtype, at), len, 0);
        int32_t max = lanes[0];
        for (size_t i = 1; i < len; i++) {
            max = lanes[i] > max ? lanes[i] : max;
        }
        uint64_t sum = 0;
        x->kernels->exp_sum(e, &sum, lanes, len, max, mult, shift);
        x->kernels->softmax((uint16_t *)x->out + at, e, len, sum, (uint16_t)yd->lo,
                            (uint16_t)yd->hi);
    }
}

const struct sb_op_code sb_op_softmax = {
    .infer = softmax_infer, .prove = softmax_prove, .cost = softmax_cost, .run = softmax_run};
