/* ops_elementwise.c: ADD, MUL (with broadcasting), CLAMP, RESCALE, TABLE, INTERPOLATE. Spec: docs/spec/numerics.md 6 and 8.
 *
 * Elements are processed in blocks that are widened to int64, computed and narrowed again; each loop in between is one formula of the
 * specification. */
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define BLOCK         256u

#define NARROW_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))

/* ---- two operands ---- */

/* Rows along the last dimension; a stride of 0 repeats an operand's only element or row. */
struct broadcast {
    struct sb_shape shape; /* of the output, rank at least 1 */
    size_t stride[2][SB_TENSOR_RANK_MAX];
    size_t row;
    size_t row_count;
};

static bool broadcast_shape(struct sb_shape *ret, const struct sb_shape *a,
                            const struct sb_shape *b)
{
    struct sb_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (uint32_t i = 0; i < out.rank; i++) {
        uint32_t da = i + a->rank < out.rank ? 1 : a->dims[i + a->rank - out.rank];
        uint32_t db = i + b->rank < out.rank ? 1 : b->dims[i + b->rank - out.rank];
        if (da != db && da != 1 && db != 1) {
            return false;
        }
        out.dims[i] = da > db ? da : db;
    }
    *ret = out;
    return true;
}

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

static struct broadcast broadcast_of(const struct sb_tensor *a, const struct sb_tensor *b,
                                     const struct sb_tensor *y)
{
    struct broadcast r = {.shape = y->desc.shape};
    if (sb_shape_equal(&a->desc.shape, &b->desc.shape)) {
        r.shape = (struct sb_shape){.rank = 1, .dims = {(uint32_t)y->count}};
        r.stride[0][0] = y->count == 1 ? 0 : 1;
        r.stride[1][0] = r.stride[0][0];
    } else {
        set_strides(r.stride[0], &a->desc.shape, r.shape.rank);
        set_strides(r.stride[1], &b->desc.shape, r.shape.rank);
    }
    r.row = r.shape.dims[r.shape.rank - 1];
    r.row_count = (size_t)y->count / r.row;
    return r;
}

/* First element of an operand's row. */
static size_t row_start(const struct broadcast *r, int operand, size_t row)
{
    size_t at = 0;
    for (uint32_t i = r->shape.rank - 1; i-- > 0;) {
        at += row % r->shape.dims[i] * r->stride[operand][i];
        row /= r->shape.dims[i];
    }
    return at;
}

/* count values without zero point from element `at` of an operand; step 0 repeats one element. */
static void fetch(int64_t *ret, const struct sb_exec *x, int operand, size_t at, size_t step,
                  size_t count)
{
    const struct sb_tensor_desc *d = &x->in_tensor[operand]->desc;
    sb_widen(ret, sb_element_at(x->in[operand], d->dtype, at), d->dtype, step == 0 ? 1 : count);
    for (size_t i = 0; i < count; i++) {
        ret[i] = step == 0 && i > 0 ? ret[0] : ret[i] - d->quant.zero_point;
    }
}

static void finish(const struct sb_exec *x, int64_t *values, size_t at, size_t count)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    for (size_t i = 0; i < count; i++) {
        values[i] = sb_clamp_i64(values[i] + d->quant.zero_point, d->lo, d->hi);
    }
    sb_narrow(sb_element_at_mut(x->out, d->dtype, at), d->dtype, values, count);
}

typedef void (*combine_fn)(int64_t *ret, const int64_t *a, const int64_t *b, size_t count,
                           const int64_t *attrs);

static void run_binary(const struct sb_exec *x, combine_fn combine)
{
    int64_t a[BLOCK];
    int64_t b[BLOCK];
    int64_t y[BLOCK];
    struct broadcast r = broadcast_of(x->in_tensor[0], x->in_tensor[1], x->out_tensor);
    uint32_t last = r.shape.rank - 1;
    for (size_t row = 0; row < r.row_count; row++) {
        size_t a_at = row_start(&r, 0, row);
        size_t b_at = row_start(&r, 1, row);
        for (size_t i = 0; i < r.row; i += BLOCK) {
            size_t count = r.row - i < BLOCK ? r.row - i : BLOCK;
            fetch(a, x, 0, a_at + i * r.stride[0][last], r.stride[0][last], count);
            fetch(b, x, 1, b_at + i * r.stride[1][last], r.stride[1][last], count);
            combine(y, a, b, count, x->attrs);
            finish(x, y, row * r.row + i, count);
        }
    }
}

static sb_err binary_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input a", NARROW_DTYPES | SB_DTYPE_BIT(U16)));
    SB_TRY(sb_check_dtype(c, c->in[1], "input b", NARROW_DTYPES | SB_DTYPE_BIT(U16)));
    SB_TRY(sb_check_dtype(c, c->out, "output", NARROW_DTYPES));
    struct sb_shape want;
    if (!broadcast_shape(&want, &c->in[0]->desc.shape, &c->in[1]->desc.shape)) {
        return sb_fail(c->diag, SB_E_SHAPE, "the shapes of a '%s' and b '%s' do not broadcast",
                       c->in[0]->name, c->in[1]->name);
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err binary_cost(const struct sb_check *c)
{
    struct broadcast r = broadcast_of(c->in[0], c->in[1], c->out);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ELEMENTWISE, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, sat_mul_u64(r.row_count, 2));
    return SB_OK;
}

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

static void add_values(int64_t *ret, const int64_t *a, const int64_t *b, size_t count,
                       const int64_t *attrs)
{
    int64_t mult_a = attrs[SB_ATTR_ADD_MULT_A];
    int64_t mult_b = attrs[SB_ATTR_ADD_MULT_B];
    unsigned shift = (unsigned)attrs[SB_ATTR_ADD_SHIFT];
    for (size_t i = 0; i < count; i++) {
        ret[i] = sb_round_shr(a[i] * mult_a + b[i] * mult_b, shift);
    }
}

static void add_run(const struct sb_exec *x)
{
    run_binary(x, add_values);
}

const struct sb_op_code sb_op_add = {
    .infer = add_infer, .prove = add_prove, .cost = binary_cost, .run = add_run};

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

static void mul_values(int64_t *ret, const int64_t *a, const int64_t *b, size_t count,
                       const int64_t *attrs)
{
    int64_t mult = attrs[SB_ATTR_MUL_MULT];
    unsigned shift = (unsigned)attrs[SB_ATTR_MUL_SHIFT];
    for (size_t i = 0; i < count; i++) {
        ret[i] = sb_round_shr(a[i] * b[i] * mult, shift);
    }
}

static void mul_run(const struct sb_exec *x)
{
    run_binary(x, mul_values);
}

const struct sb_op_code sb_op_mul = {
    .infer = mul_infer, .prove = mul_prove, .cost = binary_cost, .run = mul_run};

/* ---- one operand ---- */

typedef void (*map_fn)(int64_t *values, size_t count, const struct sb_exec *x);

/* values: elements with their zero point; fn leaves results without zero point. */
static void run_unary(const struct sb_exec *x, map_fn fn)
{
    int64_t values[BLOCK];
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    size_t total = (size_t)x->out_tensor->count;
    for (size_t i = 0; i < total; i += BLOCK) {
        size_t count = total - i < BLOCK ? total - i : BLOCK;
        sb_widen(values, sb_element_at(x->in[0], dtype, i), dtype, count);
        fn(values, count, x);
        finish(x, values, i, count);
    }
}

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

static void drop_zero_point(int64_t *values, size_t count, const struct sb_exec *x)
{
    int64_t zero_point = x->in_tensor[0]->desc.quant.zero_point;
    for (size_t i = 0; i < count; i++) {
        values[i] -= zero_point;
    }
}

static void clamp_run(const struct sb_exec *x)
{
    run_unary(x, drop_zero_point);
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
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
    return SB_OK;
}

static void rescale_values(int64_t *values, size_t count, const struct sb_exec *x)
{
    int64_t mult = x->attrs[SB_ATTR_RESCALE_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_RESCALE_SHIFT];
    drop_zero_point(values, count, x);
    for (size_t i = 0; i < count; i++) {
        values[i] = sb_round_shr(values[i] * mult, shift);
    }
}

static void rescale_run(const struct sb_exec *x)
{
    run_unary(x, rescale_values);
}

const struct sb_op_code sb_op_rescale = {
    .infer = rescale_infer, .prove = rescale_prove, .cost = rescale_cost, .run = rescale_run};

/* ---- tables ---- */

#define TABLE_ENTRIES       256u
#define INTERPOLATE_ENTRIES 513u

static sb_err table_infer(const struct sb_check *c)
{
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_TABLE_X], "input x", SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8)));
    SB_TRY(sb_check_dtype(c, c->out, "output", NARROW_DTYPES | SB_DTYPE_BIT(U16)));
    SB_TRY(sb_check_vector(c, table, "input table", c->out->desc.dtype, TABLE_ENTRIES));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

/* The range of the entries that x can reach. */
static sb_err table_prove(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_TABLE_X];
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    int64_t entries[TABLE_ENTRIES];
    sb_widen(entries, table->data, table->desc.dtype, TABLE_ENTRIES);
    int64_t min = sb_dtype_min(x->desc.dtype);
    struct sb_interval v = {.lo = entries[x->lo - min], .hi = entries[x->lo - min]};
    for (int64_t i = x->lo - min; i <= x->hi - min; i++) {
        v = sb_interval_hull(v, (struct sb_interval){.lo = entries[i], .hi = entries[i]});
    }
    int32_t zero_point = c->out->desc.quant.zero_point;
    sb_prove_clamped(c, (struct sb_interval){.lo = v.lo - zero_point, .hi = v.hi - zero_point});
    return SB_OK;
}

static sb_err table_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE,
                 c->out->count + c->in[SB_IN_TABLE_TABLE]->count);
    return SB_OK;
}

static void table_run(const struct sb_exec *x)
{
    int64_t entries[TABLE_ENTRIES];
    int64_t values[BLOCK];
    enum sb_dtype dtype = x->in_tensor[SB_IN_TABLE_X]->desc.dtype;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    int64_t min = sb_dtype_min(dtype);
    size_t total = (size_t)x->out_tensor->count;
    sb_widen(entries, x->in[SB_IN_TABLE_TABLE], yd->dtype, TABLE_ENTRIES);
    for (size_t i = 0; i < TABLE_ENTRIES; i++) {
        entries[i] = sb_clamp_i64(entries[i], yd->lo, yd->hi);
    }
    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;
        sb_widen(values, sb_element_at(x->in[SB_IN_TABLE_X], dtype, at), dtype, count);
        for (size_t i = 0; i < count; i++) {
            values[i] = entries[values[i] - min];
        }
        sb_narrow(sb_element_at_mut(x->out, yd->dtype, at), yd->dtype, values, count);
    }
}

const struct sb_op_code sb_op_table = {
    .infer = table_infer, .prove = table_prove, .cost = table_cost, .run = table_run};

static sb_err interpolate_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_TABLE_X], "input x", SB_DTYPE_BIT(I16)));
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I16)));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_TABLE_TABLE], "input table", SB_DTYPE_I16,
                           INTERPOLATE_ENTRIES));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

/* A point between two entries is between them in value. */
static sb_err interpolate_prove(const struct sb_check *c)
{
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    sb_prove_clamped(c, (struct sb_interval){.lo = table->lo, .hi = table->hi});
    return SB_OK;
}

static void interpolate_values(int64_t *values, size_t count, const struct sb_exec *x)
{
    const int16_t *table = x->in[SB_IN_TABLE_TABLE];
    for (size_t i = 0; i < count; i++) {
        uint32_t u = (uint32_t)(values[i] - INT16_MIN);
        uint32_t entry = u >> 7;
        int64_t weight = u & 127;
        values[i] = sb_round_shr(table[entry] * (128 - weight) + table[entry + 1] * weight, 7);
    }
}

static void interpolate_run(const struct sb_exec *x)
{
    run_unary(x, interpolate_values);
}

const struct sb_op_code sb_op_interpolate = {
    .infer = interpolate_infer,
    .prove = interpolate_prove,
    .cost = table_cost,
    .run = interpolate_run,
};
