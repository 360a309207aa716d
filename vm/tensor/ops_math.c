/* ops_math.c: INTERPOLATE_FX, LN, SQRT, DIV. Spec: docs/spec/numerics.md 8.3, 9.6 - 9.8; ln and the square root are in fxmath.c.
 *
 * Elements are processed in blocks that are widened to int64, computed and narrowed again. */
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define BLOCK 256u
#define READ_DTYPES                                                                                \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32))
#define WRITE_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

static sb_err unary_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", READ_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", WRITE_DTYPES));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

typedef void (*map_fn)(int64_t *values, size_t count, const struct sb_exec *x);

/* values: elements without their zero point, replaced by results without theirs. */
static void run_unary(const struct sb_exec *x, map_fn fn)
{
    int64_t values[BLOCK];
    const struct sb_tensor_desc *xd = &x->in_tensor[0]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    size_t total = (size_t)x->out_tensor->count;
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        sb_widen(values, sb_element_at(x->in[0], xd->dtype, at), xd->dtype, count);
        for (size_t i = 0; i < count; i++) {
            values[i] -= xd->quant.zero_point;
        }
        fn(values, count, x);
        for (size_t i = 0; i < count; i++) {
            values[i] = sb_finish(values[i], yd->quant.zero_point, yd->lo, yd->hi);
        }
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, count);
    }
}

/* ---- INTERPOLATE_FX ---- */

#define CUBIC      4u  /* coefficients of a piece */
#define POSITION_Q 24u /* fraction bits of the position inside a piece */
#define PIECES_MAX 4096u
#define SLOPE_MAX  ((int64_t)1 << 29) /* times an excess below 2^33: below 2^62 */

static sb_err interpolate_fx_infer(const struct sb_check *c)
{
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    SB_TRY(unary_infer(c));
    SB_TRY(sb_check_const(c, table, "input table"));
    SB_TRY(sb_check_dtype(c, table, "input table", SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_rank(c, table, "input table", 2));
    if (table->desc.shape.dims[1] != CUBIC || table->desc.shape.dims[0] > PIECES_MAX) {
        return sb_fail(c->diag, SB_E_SHAPE, "input table '%s' is not [1 .. %u, %u]", table->name,
                       PIECES_MAX, CUBIC);
    }
    SB_TRY(sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_FIRST, "FIRST", INT32_MIN, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_STEP, "STEP", 0, 31));
    SB_TRY(sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_SLOPE_LO, "SLOPE_LO", -SLOPE_MAX, SLOPE_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_SLOPE_HI, "SLOPE_HI", -SLOPE_MAX, SLOPE_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_SLOPE_SHIFT, "SLOPE_SHIFT", 0, 62));
    return sb_check_attr(c, SB_ATTR_INTERPOLATE_FX_OUT_SHIFT, "OUT_SHIFT", 0, 31);
}

/* A piece stays within c0 +- (|c1| + |c2| + |c3| + 3); beyond the ends the slopes add at most 2^62. */
static sb_err interpolate_fx_prove(const struct sb_check *c)
{
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    const int32_t *k = table->data;
    struct sb_interval all = {.lo = INT64_MAX, .hi = INT64_MIN};
    for (uint32_t i = 0; i < table->desc.shape.dims[0]; i++, k += CUBIC) {
        int64_t bend = 3;
        for (uint32_t j = 1; j < CUBIC; j++) {
            bend += k[j] < 0 ? -(int64_t)k[j] : k[j];
        }
        all = sb_interval_hull(all, (struct sb_interval){.lo = k[0] - bend, .hi = k[0] + bend});
    }
    struct sb_interval x = sb_interval_of(c->in[0]);
    sb_i128 first = c->attrs[SB_ATTR_INTERPOLATE_FX_FIRST];
    sb_i128 last =
        first + ((sb_i128)table->desc.shape.dims[0] << c->attrs[SB_ATTR_INTERPOLATE_FX_STEP]) - 1;
    unsigned shift = (unsigned)c->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_SHIFT];
    struct sb_interval excess = {0, 0};
    if (x.lo < first) {
        struct sb_interval v = {.lo = x.lo - first, .hi = 0};
        excess = sb_interval_hull(excess,
                                  sb_interval_scale(v, c->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_LO]));
    }
    if (x.hi > last) {
        struct sb_interval v = {.lo = 0, .hi = x.hi - last};
        excess = sb_interval_hull(excess,
                                  sb_interval_scale(v, c->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_HI]));
    }
    SB_TRY(sb_check_fits_i64(c, excess, "the value beyond the table"));
    excess.lo = sb_shr_i64((int64_t)excess.lo, shift);
    excess.hi = sb_shr_i64((int64_t)excess.hi, shift);
    all = sb_interval_add(all, excess);
    unsigned out_shift = (unsigned)c->attrs[SB_ATTR_INTERPOLATE_FX_OUT_SHIFT];
    SB_TRY(
        sb_check_fits_i64(c, sb_interval_with_half(all, out_shift), "the value before the shift"));
    sb_prove_clamped(c, sb_interval_round_shr(all, out_shift));
    return SB_OK;
}

static sb_err interpolate_fx_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, sat_mul_u64(c->out->count, 12));
    return SB_OK;
}

static void interpolate_fx_values(int64_t *values, size_t count, const struct sb_exec *x)
{
    const int32_t *table = x->in[SB_IN_TABLE_TABLE];
    int64_t pieces = x->in_tensor[SB_IN_TABLE_TABLE]->desc.shape.dims[0];
    int64_t first = x->attrs[SB_ATTR_INTERPOLATE_FX_FIRST];
    unsigned step = (unsigned)x->attrs[SB_ATTR_INTERPOLATE_FX_STEP];
    int64_t slope_lo = x->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_LO];
    int64_t slope_hi = x->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_HI];
    unsigned slope_shift = (unsigned)x->attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_SHIFT];
    unsigned out_shift = (unsigned)x->attrs[SB_ATTR_INTERPOLATE_FX_OUT_SHIFT];
    int64_t last = (pieces << step) - 1;
    int64_t mask = ((int64_t)1 << step) - 1;
    unsigned up = step < POSITION_Q ? POSITION_Q - step : 0;
    unsigned down = step > POSITION_Q ? step - POSITION_Q : 0;
    for (size_t i = 0; i < count; i++) {
        int64_t v = values[i] - first;
        int64_t d = sb_clamp_i64(v, 0, last);
        const int32_t *k = table + (size_t)(d >> step) * CUBIC;
        int64_t t = ((d & mask) << up) >> down;
        int64_t p = k[2] + sb_shr_i64(k[3] * t, POSITION_Q);
        p = k[1] + sb_shr_i64(p * t, POSITION_Q);
        p = k[0] + sb_shr_i64(p * t, POSITION_Q);
        int64_t excess = v - d;
        p += sb_shr_i64(excess * (excess < 0 ? slope_lo : slope_hi), slope_shift);
        values[i] = sb_round_shr(p, out_shift);
    }
}

static void interpolate_fx_run(const struct sb_exec *x)
{
    run_unary(x, interpolate_fx_values);
}

const struct sb_op_code sb_op_interpolate_fx = {.infer = interpolate_fx_infer,
                                                .prove = interpolate_fx_prove,
                                                .cost = interpolate_fx_cost,
                                                .run = interpolate_fx_run};

/* ---- LN ---- */

static sb_err ln_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_LN_MULT, "MULT", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_LN_OFFSET, "OFFSET", -((int64_t)1 << 62), (int64_t)1 << 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_LN_SHIFT, "SHIFT", 0, 62));
    return unary_infer(c);
}

static int64_t ln_of(int64_t v)
{
    return sb_fx_ln((uint64_t)(v < 1 ? 1 : v));
}

static sb_err ln_prove(const struct sb_check *c)
{
    struct sb_interval x = sb_interval_of(c->in[0]);
    struct sb_interval v = {.lo = ln_of((int64_t)x.lo) - SB_FX_LN_SLACK,
                            .hi = ln_of((int64_t)x.hi) + SB_FX_LN_SLACK};
    int64_t offset = c->attrs[SB_ATTR_LN_OFFSET];
    unsigned shift = (unsigned)c->attrs[SB_ATTR_LN_SHIFT];
    v = sb_interval_scale(v, c->attrs[SB_ATTR_LN_MULT]);
    SB_TRY(sb_check_fits_i64(c, v, "the scaled logarithm"));
    v = sb_interval_add(v, (struct sb_interval){.lo = offset, .hi = offset});
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value before the shift"));
    sb_prove_clamped(c, sb_interval_round_shr(v, shift));
    return SB_OK;
}

static sb_err ln_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_FUNCTION, sat_mul_u64(c->out->count, 2));
    return SB_OK;
}

static void ln_values(int64_t *values, size_t count, const struct sb_exec *x)
{
    int64_t mult = x->attrs[SB_ATTR_LN_MULT];
    int64_t offset = x->attrs[SB_ATTR_LN_OFFSET];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_LN_SHIFT];
    for (size_t i = 0; i < count; i++) {
        values[i] = sb_round_shr(ln_of(values[i]) * mult + offset, shift);
    }
}

static void ln_run(const struct sb_exec *x)
{
    run_unary(x, ln_values);
}

const struct sb_op_code sb_op_ln = {
    .infer = ln_infer, .prove = ln_prove, .cost = ln_cost, .run = ln_run};

/* ---- SQRT ---- */

static sb_err sqrt_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_SQRT_MULT, "MULT", 1, (int64_t)1 << 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_SQRT_SHIFT, "SHIFT", 0, 62));
    return unary_infer(c);
}

static int64_t sqrt_of(int64_t v, int64_t mult, unsigned shift)
{
    return sb_fx_isqrt((uint64_t)sb_round_shr((v < 0 ? 0 : v) * mult, shift));
}

static sb_err sqrt_prove(const struct sb_check *c)
{
    struct sb_interval x = sb_interval_of(c->in[0]);
    int64_t mult = c->attrs[SB_ATTR_SQRT_MULT];
    unsigned shift = (unsigned)c->attrs[SB_ATTR_SQRT_SHIFT];
    struct sb_interval v = sb_interval_scale(
        (struct sb_interval){.lo = x.lo < 0 ? 0 : x.lo, .hi = x.hi < 0 ? 0 : x.hi}, mult);
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value under the root"));
    sb_prove_clamped(c, (struct sb_interval){.lo = sqrt_of((int64_t)x.lo, mult, shift),
                                             .hi = sqrt_of((int64_t)x.hi, mult, shift)});
    return SB_OK;
}

static sb_err sqrt_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_DIVIDE, sat_mul_u64(c->out->count, 3));
    return SB_OK;
}

static void sqrt_values(int64_t *values, size_t count, const struct sb_exec *x)
{
    int64_t mult = x->attrs[SB_ATTR_SQRT_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_SQRT_SHIFT];
    for (size_t i = 0; i < count; i++) {
        values[i] = sqrt_of(values[i], mult, shift);
    }
}

static void sqrt_run(const struct sb_exec *x)
{
    run_unary(x, sqrt_values);
}

const struct sb_op_code sb_op_sqrt = {
    .infer = sqrt_infer, .prove = sqrt_prove, .cost = sqrt_cost, .run = sqrt_run};

/* ---- DIV ---- */

/* An operand beside the output: elements to the next index of each output dimension; 0 repeats. */
static void set_strides(size_t ret_stride[SB_TENSOR_RANK_MAX], const struct sb_shape *operand,
                        uint32_t rank)
{
    size_t step = 1;
    for (uint32_t i = rank; i-- > 0;) {
        uint32_t dim = i + operand->rank < rank ? 1 : operand->dims[i + operand->rank - rank];
        ret_stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

static sb_err check_broadcast(const struct sb_check *c)
{
    const struct sb_shape *a = &c->in[0]->desc.shape;
    const struct sb_shape *b = &c->in[1]->desc.shape;
    struct sb_shape want = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (uint32_t i = 0; i < want.rank; i++) {
        uint32_t da = i + a->rank < want.rank ? 1 : a->dims[i + a->rank - want.rank];
        uint32_t db = i + b->rank < want.rank ? 1 : b->dims[i + b->rank - want.rank];
        if (da != db && da != 1 && db != 1) {
            return sb_fail(c->diag, SB_E_SHAPE, "the shapes of a '%s' and b '%s' do not broadcast",
                           c->in[0]->name, c->in[1]->name);
        }
        want.dims[i] = da > db ? da : db;
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err div_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input a", READ_DTYPES));
    SB_TRY(sb_check_dtype(c, c->in[1], "input b", READ_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", WRITE_DTYPES));
    SB_TRY(sb_check_attr(c, SB_ATTR_DIV_MULT, "MULT", 1, (int64_t)1 << 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_DIV_SHIFT, "SHIFT", 0, 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_DIV_MIN, "MIN", 0, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_DIV_ROUNDING, "ROUNDING", 0, SB_DIV_FLOOR));
    return check_broadcast(c);
}

/* |b| as the operator uses it. */
static int64_t divisor_of(int64_t b, int64_t min)
{
    int64_t magnitude = b < 0 ? -b : b;
    return magnitude < min ? min : magnitude;
}

static int64_t quotient_of(int64_t n, int64_t d, int64_t rounding)
{
    return rounding == SB_DIV_TRUNCATE ? n / d
           : rounding == SB_DIV_FLOOR  ? sb_floor_div(n, d)
                                       : sb_round_div(n, d);
}

/* The greatest quotient has the greatest numerator over the least divisor; its sign is free where b's is. */
static sb_err div_prove(const struct sb_check *c)
{
    struct sb_interval a = sb_interval_of(c->in[0]);
    struct sb_interval b = sb_interval_of(c->in[1]);
    int64_t min = c->attrs[SB_ATTR_DIV_MIN];
    unsigned shift = (unsigned)c->attrs[SB_ATTR_DIV_SHIFT];
    if (min == 0 && b.lo <= 0 && b.hi >= 0) {
        return sb_fail(c->diag, SB_E_RANGE, "the divisor '%s' can be 0 and MIN is 0",
                       c->in[1]->name);
    }
    sb_i128 reach = a.hi > -a.lo ? a.hi : -a.lo;
    struct sb_interval n = sb_interval_scale((struct sb_interval){.lo = -reach, .hi = reach},
                                             c->attrs[SB_ATTR_DIV_MULT]);
    int64_t far_lo = divisor_of((int64_t)b.lo, min);
    int64_t far_hi = divisor_of((int64_t)b.hi, min);
    sb_i128 most = (sb_i128)(far_lo > far_hi ? far_lo : far_hi) << shift;
    struct sb_interval doubled = {.lo = 2 * n.lo - most, .hi = 2 * n.hi + 2 * most};
    SB_TRY(sb_check_fits_i64(c, doubled, "the operands of the division"));
    int64_t near = b.lo > 0 ? far_lo : b.hi < 0 ? far_hi : divisor_of(0, min);
    int64_t most_y = sb_floor_div((int64_t)n.hi, near << shift) + 1;
    struct sb_interval y = {.lo = -most_y, .hi = most_y};
    y.lo = b.lo > 0 && a.lo >= 0 ? 0 : y.lo;
    sb_prove_clamped(c, y);
    return SB_OK;
}

static sb_err div_cost(const struct sb_check *c)
{
    const struct sb_shape *y = &c->out->desc.shape;
    uint64_t row = y->rank == 0 ? 1 : y->dims[y->rank - 1];
    sb_units_add(&c->node->units, SB_GAS_CLASS_DIVIDE, sat_mul_u64(c->out->count, 2));
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, sat_mul_u64(c->out->count / row, 2));
    return SB_OK;
}

/* values: dividends without their zero point, replaced by quotients. */
static void divide(int64_t *values, const int64_t *b, size_t b_step, size_t count,
                   const int64_t *attrs)
{
    int64_t mult = attrs[SB_ATTR_DIV_MULT];
    unsigned shift = (unsigned)attrs[SB_ATTR_DIV_SHIFT];
    int64_t min = attrs[SB_ATTR_DIV_MIN];
    int64_t rounding = attrs[SB_ATTR_DIV_ROUNDING];
    for (size_t i = 0; i < count; i++) {
        int64_t d = b[i * b_step];
        int64_t n = (d < 0 ? -values[i] : values[i]) * mult;
        values[i] = quotient_of(n, divisor_of(d, min) << shift, rounding);
    }
}

/* count elements of an operand from `at` on, without zero point; one element if step is 0. */
static void fetch(int64_t *ret, const struct sb_exec *x, uint32_t operand, size_t at, size_t count)
{
    const struct sb_tensor_desc *d = &x->in_tensor[operand]->desc;
    sb_widen(ret, sb_element_at(x->in[operand], d->dtype, at), d->dtype, count);
    for (size_t i = 0; i < count; i++) {
        ret[i] -= d->quant.zero_point;
    }
}

/* One row of y. */
static void div_row(const struct sb_exec *x, size_t y_at, const size_t at[2], const size_t step[2],
                    size_t len)
{
    int64_t values[BLOCK];
    int64_t b[BLOCK];
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    for (size_t i = 0; i < len; i += BLOCK) {
        size_t count = len - i < BLOCK ? len - i : BLOCK;
        fetch(values, x, 0, at[0] + i * step[0], step[0] == 0 ? 1 : count);
        fetch(b, x, 1, at[1] + i * step[1], step[1] == 0 ? 1 : count);
        for (size_t j = 1; step[0] == 0 && j < count; j++) {
            values[j] = values[0];
        }
        divide(values, b, step[1], count, x->attrs);
        for (size_t j = 0; j < count; j++) {
            values[j] = sb_clamp_i64(values[j] + yd->quant.zero_point, yd->lo, yd->hi);
        }
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, y_at + i), yd->dtype, values, count);
    }
}

static void div_run(const struct sb_exec *x)
{
    const struct sb_shape *y = &x->out_tensor->desc.shape;
    size_t stride[2][SB_TENSOR_RANK_MAX] = {{0}};
    size_t index[SB_TENSOR_RANK_MAX] = {0};
    size_t at[2] = {0, 0};
    uint32_t outer = y->rank == 0 ? 0 : y->rank - 1;
    size_t len = y->rank == 0 ? 1 : y->dims[outer];
    set_strides(stride[0], &x->in_tensor[0]->desc.shape, y->rank);
    set_strides(stride[1], &x->in_tensor[1]->desc.shape, y->rank);
    for (size_t y_at = 0; y_at < x->out_tensor->count; y_at += len) {
        div_row(x, y_at, at, (size_t[]){stride[0][outer], stride[1][outer]}, len);
        for (uint32_t i = outer; i-- > 0;) {
            at[0] += stride[0][i];
            at[1] += stride[1][i];
            if (++index[i] < y->dims[i]) {
                break;
            }
            at[0] -= stride[0][i] * index[i];
            at[1] -= stride[1][i] * index[i];
            index[i] = 0;
        }
    }
}

const struct sb_op_code sb_op_div = {
    .infer = div_infer, .prove = div_prove, .cost = div_cost, .run = div_run};
