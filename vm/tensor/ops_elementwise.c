/* ops_elementwise.c: ADD, MUL (with broadcasting), CLAMP, RESCALE. Spec: docs/spec/numerics.md 6.
 *
 * The loops are kernels on int32 lanes (kernels/element.h); here it is decided, from the ranges that the verifier proved, how wide the
 * sum before the shift must be. */
#include "vm/tensor/broadcast.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/round.h"

#define BLOCK         SB_BROADCAST_BLOCK

#define NARROW_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

/* Greatest |x - zero point|, below 2^32 for types of 32 bits or fewer. */
static uint64_t magnitude(const struct sb_tensor *t)
{
    int64_t lo = t->lo - t->desc.quant.zero_point;
    int64_t hi = t->hi - t->desc.quant.zero_point;
    uint64_t below = lo < 0 ? (uint64_t)-lo : (uint64_t)lo;
    uint64_t above = hi < 0 ? (uint64_t)-hi : (uint64_t)hi;
    return below > above ? below : above;
}

static uint64_t magnitude_of(int64_t v)
{
    return v < 0 ? (uint64_t)-v : (uint64_t)v;
}

/* sum: a bound of the magnitude before the shift, which the verifier has shown to fit int64 with its half. */
static enum sb_reach reach_of(uint64_t sum, unsigned shift)
{
    uint64_t half = shift == 0 ? 0 : (uint64_t)1 << (shift - 1);
    if (sat_add_u64(sum, half) <= INT32_MAX) {
        return SB_REACH_I32;
    }
    return sat_add_u64(sum, half) >> shift < INT32_MAX ? SB_REACH_DOWN : SB_REACH_I64;
}

static struct sb_affine affine_of(const struct sb_exec *x, unsigned shift, uint64_t sum)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    return (struct sb_affine){.shift = shift,
                              .reach = reach_of(sum, shift),
                              .zero_point = d->quant.zero_point,
                              .lo = (int32_t)d->lo,
                              .hi = (int32_t)d->hi};
}

/* ---- two operands ---- */

static sb_err binary_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input a", NARROW_DTYPES | SB_DTYPE_BIT(U16)));
    SB_TRY(sb_check_dtype(c, c->in[1], "input b", NARROW_DTYPES | SB_DTYPE_BIT(U16)));
    SB_TRY(sb_check_dtype(c, c->out, "output", NARROW_DTYPES));
    return sb_broadcast_infer(c);
}

struct binary {
    const struct sb_element_kernels *kernels;
    struct sb_affine affine;
};

/* (v + half) >> shift with v and every value formed on the way proven to fit int64. */
static sb_err prove_shifted(const struct sb_check *c, struct sb_interval v, unsigned shift)
{
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value before the shift"));
    sb_prove_clamped(c, sb_interval_round_shr(v, shift));
    return SB_OK;
}

static sb_err add_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_ADD_MULT_A, "MULT_A", -((int64_t)1 << 30), (int64_t)1 << 30));
    SB_TRY(sb_check_attr(c, SB_ATTR_ADD_MULT_B, "MULT_B", -((int64_t)1 << 30), (int64_t)1 << 30));
    SB_TRY(sb_check_attr(c, SB_ATTR_ADD_SHIFT, "SHIFT", 0, 62));
    return binary_infer(c);
}

static sb_err add_prove(const struct sb_check *c)
{
    struct sb_interval a =
        sb_interval_scale(sb_interval_of(c->in[0]), c->attrs[SB_ATTR_ADD_MULT_A]);
    struct sb_interval b =
        sb_interval_scale(sb_interval_of(c->in[1]), c->attrs[SB_ATTR_ADD_MULT_B]);
    return prove_shifted(c, sb_interval_add(a, b), (unsigned)c->attrs[SB_ATTR_ADD_SHIFT]);
}

static void add_block(int32_t *ret, const int32_t *a, const int32_t *b, size_t count,
                      const void *ctx)
{
    const struct binary *op = ctx;
    op->kernels->add(ret, a, b, count, &op->affine);
}

static sb_err add_cost(const struct sb_check *c)
{
    sb_broadcast_cost(c);
    return SB_OK;
}

static void add_run(const struct sb_exec *x)
{
    int64_t mult_a = x->attrs[SB_ATTR_ADD_MULT_A];
    int64_t mult_b = x->attrs[SB_ATTR_ADD_MULT_B];
    uint64_t sum = sat_add_u64(sat_mul_u64(magnitude(x->in_tensor[0]), magnitude_of(mult_a)),
                               sat_mul_u64(magnitude(x->in_tensor[1]), magnitude_of(mult_b)));
    struct binary op = {.kernels = x->kernels->element,
                        .affine = affine_of(x, (unsigned)x->attrs[SB_ATTR_ADD_SHIFT], sum)};
    op.affine.mult_a = (int32_t)mult_a;
    op.affine.mult_b = (int32_t)mult_b;
    sb_broadcast_run(x, add_block, &op);
}

const struct sb_op_code sb_op_add = {
    .infer = add_infer, .prove = add_prove, .cost = add_cost, .run = add_run};

static sb_err mul_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_MUL_MULT, "MULT", -INT32_MAX, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_MUL_SHIFT, "SHIFT", 0, 62));
    return binary_infer(c);
}

static sb_err mul_prove(const struct sb_check *c)
{
    struct sb_interval product =
        sb_interval_mul(sb_interval_of(c->in[0]), sb_interval_of(c->in[1]));
    SB_TRY(sb_check_fits_i64(c, product, "the product"));
    return prove_shifted(c, sb_interval_scale(product, c->attrs[SB_ATTR_MUL_MULT]),
                         (unsigned)c->attrs[SB_ATTR_MUL_SHIFT]);
}

static void mul_block(int32_t *ret, const int32_t *a, const int32_t *b, size_t count,
                      const void *ctx)
{
    const struct binary *op = ctx;
    op->kernels->mul(ret, a, b, count, &op->affine);
}

static uint64_t product_of(const struct sb_tensor *a, const struct sb_tensor *b)
{
    return sat_mul_u64(magnitude(a), magnitude(b));
}

/* A product beyond int32 that is scaled besides takes a 64-bit multiplication. */
static sb_err mul_cost(const struct sb_check *c)
{
    sb_broadcast_cost(c);
    if (product_of(c->in[0], c->in[1]) > INT32_MAX && c->attrs[SB_ATTR_MUL_MULT] != 1) {
        sb_units_add(&c->node->units, SB_GAS_CLASS_ELEMENTWISE, c->out->count);
    }
    return SB_OK;
}

static void mul_run(const struct sb_exec *x)
{
    int64_t mult = x->attrs[SB_ATTR_MUL_MULT];
    uint64_t product = product_of(x->in_tensor[0], x->in_tensor[1]);
    struct binary op = {.kernels = x->kernels->element,
                        .affine = affine_of(x, (unsigned)x->attrs[SB_ATTR_MUL_SHIFT],
                                            sat_mul_u64(product, magnitude_of(mult)))};
    op.affine.mult_a = (int32_t)mult;
    op.affine.product_fits = product <= INT32_MAX;
    sb_broadcast_run(x, mul_block, &op);
}

const struct sb_op_code sb_op_mul = {
    .infer = mul_infer, .prove = mul_prove, .cost = mul_cost, .run = mul_run};

/* ---- one operand ---- */

static sb_err clamp_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err clamp_prove(const struct sb_check *c)
{
    sb_prove_clamped(c, sb_interval_of(c->in[0]));
    return SB_OK;
}

static sb_err clamp_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    return SB_OK;
}

static void clamp_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    x->kernels->element->clamp[d->dtype](x->out, x->in[0], (size_t)x->out_tensor->count, d->lo,
                                         d->hi);
}

const struct sb_op_code sb_op_clamp = {
    .infer = clamp_infer, .prove = clamp_prove, .cost = clamp_cost, .run = clamp_run};

static sb_err rescale_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x",
                          NARROW_DTYPES | SB_DTYPE_BIT(U16) | SB_DTYPE_BIT(I64)));
    SB_TRY(
        sb_check_dtype(c, c->out, "output", NARROW_DTYPES | SB_DTYPE_BIT(U16) | SB_DTYPE_BIT(I64)));
    SB_TRY(sb_check_attr(c, SB_ATTR_RESCALE_MULT, "MULT", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_RESCALE_SHIFT, "SHIFT", 0, 62));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err rescale_prove(const struct sb_check *c)
{
    struct sb_interval v =
        sb_interval_scale(sb_interval_of(c->in[0]), c->attrs[SB_ATTR_RESCALE_MULT]);
    return prove_shifted(c, v, (unsigned)c->attrs[SB_ATTR_RESCALE_SHIFT]);
}

static sb_err rescale_cost(const struct sb_check *c)
{
    bool wide = c->in[0]->desc.dtype == SB_DTYPE_I64 || c->out->desc.dtype == SB_DTYPE_I64;
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE,
                 wide ? sat_mul_u64(c->out->count, 3) : c->out->count);
    return SB_OK;
}

/* Where an element does not fit an int32 lane: i64 to or from anything. */
static void rescale_wide(const struct sb_exec *x)
{
    int64_t values[BLOCK];
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    int64_t mult = x->attrs[SB_ATTR_RESCALE_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_RESCALE_SHIFT];
    size_t total = (size_t)x->out_tensor->count;
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, count);
        for (size_t i = 0; i < count; i++) {
            int64_t v = sb_round_shr((values[i] - xd->quant.zero_point) * mult, shift);
            values[i] = sb_finish(v, yd->quant.zero_point, yd->lo, yd->hi);
        }
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, count);
    }
}

static void rescale_lanes(const struct sb_exec *x)
{
    int32_t lanes[BLOCK];
    int32_t result[BLOCK];
    const struct sb_element_kernels *k = x->kernels->element;
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    int64_t mult = x->attrs[SB_ATTR_RESCALE_MULT];
    struct sb_affine p = affine_of(x, (unsigned)x->attrs[SB_ATTR_RESCALE_SHIFT],
                                   sat_mul_u64(magnitude(x->in_tensor[0]), magnitude_of(mult)));
    p.mult_a = (int32_t)mult;
    size_t total = (size_t)x->out_tensor->count;
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        k->load[xd->dtype](lanes, sb_element_at(x->in[0], xd->dtype, at), count,
                           xd->quant.zero_point);
        k->rescale(result, lanes, count, &p);
        k->store[dtype](sb_element_at_mut(x->out, dtype, at), result, count);
    }
}

static void rescale_run(const struct sb_exec *x)
{
    if (x->in_tensor[0]->desc.dtype == SB_DTYPE_I64 || x->out_tensor->desc.dtype == SB_DTYPE_I64) {
        rescale_wide(x);
    } else {
        rescale_lanes(x);
    }
}

const struct sb_op_code sb_op_rescale = {
    .infer = rescale_infer, .prove = rescale_prove, .cost = rescale_cost, .run = rescale_run};
