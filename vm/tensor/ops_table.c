/* ops_table.c: TABLE and INTERPOLATE: functions of one element by lookup. Spec: docs/spec/numerics.md 8. */
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define TABLE_ENTRIES       256u
#define INTERPOLATE_ENTRIES 513u
#define TABLE_DTYPES                                                                               \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32))

static sb_err table_infer(const struct sb_check *c)
{
    const struct sb_tensor *table = c->in[SB_IN_TABLE_TABLE];
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_TABLE_X], "input x", SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8)));
    SB_TRY(sb_check_dtype(c, c->out, "output", TABLE_DTYPES));
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

/* The table with its entries limited to the range of y; the table itself where they are already. */
static const void *limited_table(int64_t *room, const struct sb_exec *x)
{
    const struct sb_tensor *table = x->in_tensor[SB_IN_TABLE_TABLE];
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    if (table->lo >= yd->lo && table->hi <= yd->hi) {
        return x->in[SB_IN_TABLE_TABLE];
    }
    x->kernels->element->clamp[yd->dtype](room, x->in[SB_IN_TABLE_TABLE], TABLE_ENTRIES, yd->lo,
                                          yd->hi);
    return room;
}

static void table_run(const struct sb_exec *x)
{
    int64_t room[TABLE_ENTRIES];
    const struct sb_element_kernels *k = x->kernels->element;
    const uint8_t *from = x->in[SB_IN_TABLE_X];
    const void *table = limited_table(room, x);
    uint8_t flip = x->in_tensor[SB_IN_TABLE_X]->desc.dtype == SB_DTYPE_I8 ? 0x80 : 0;
    size_t count = (size_t)x->out_tensor->count;
    switch (sb_dtype_bytes(x->out_tensor->desc.dtype)) {
    case 1:
        k->lookup8(x->out, from, table, count, flip);
        return;
    case 2:
        k->lookup16(x->out, from, table, count, flip);
        return;
    default:
        k->lookup32(x->out, from, table, count, flip);
        return;
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

static void interpolate_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    x->kernels->element->interpolate(x->out, x->in[SB_IN_TABLE_X], x->in[SB_IN_TABLE_TABLE],
                                     (size_t)x->out_tensor->count, (int16_t)yd->lo,
                                     (int16_t)yd->hi);
}

/* Two neighbours are looked up and weighed. */
static sb_err interpolate_cost(const struct sb_check *c)
{
    SB_TRY(table_cost(c));
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, c->out->count);
    return SB_OK;
}

const struct sb_op_code sb_op_interpolate = {
    .infer = interpolate_infer,
    .prove = interpolate_prove,
    .cost = interpolate_cost,
    .run = interpolate_run,
};
