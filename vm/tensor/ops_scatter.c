/* ops_scatter.c: operators that write some elements over a copy of x: SCATTER, SCATTER_ND, ROW_UPDATE. Spec: docs/spec/numerics.md 10.
 *
 * Updates are applied one after another in the order of the index, so that of several at one place the last one wins, and a sum is clamped
 * at each step. Indices are i32, proven inside [-size, size - 1]; negative ones count from the end. */
#include "base/util/assert.h"
#include "vm/tensor/axis.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define COMBINE_DTYPES                                                                             \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32))

/* ---- what happens at one place ---- */

struct combine {
    enum sb_scatter_mode mode;
    unsigned shift;
    int64_t zero_point;
    int64_t lo;
    int64_t hi;
};

static struct combine combine_of(const struct sb_tensor_desc *y, int64_t mode, int64_t shift)
{
    return (struct combine){.mode = (enum sb_scatter_mode)mode,
                            .shift = (unsigned)shift,
                            .zero_point = y->quant.zero_point,
                            .lo = y->lo,
                            .hi = y->hi};
}

static int64_t combined(const struct combine *k, int64_t old, int64_t update)
{
    switch (k->mode) {
    case SB_SCATTER_ADD:
        old += update - k->zero_point;
        break;
    case SB_SCATTER_MUL:
        old = sb_round_shr((old - k->zero_point) * (update - k->zero_point), k->shift) +
              k->zero_point;
        break;
    case SB_SCATTER_MAX:
        old = update > old ? update : old;
        break;
    case SB_SCATTER_MIN:
        old = update < old ? update : old;
        break;
    case SB_SCATTER_SET:
    default:
        old = update;
        break;
    }
    return sb_clamp_i64(old, k->lo, k->hi);
}

#define COMBINE_ROW(type)                                                                          \
    static void combine_##type(void *to, const void *from, size_t count, const struct combine *k)  \
    {                                                                                              \
        type *y = to;                                                                              \
        const type *u = from;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = (type)combined(k, y[i], u[i]);                                                  \
        }                                                                                          \
    }
COMBINE_ROW(int8_t)
COMBINE_ROW(uint8_t)
COMBINE_ROW(int16_t)
COMBINE_ROW(uint16_t)
COMBINE_ROW(int32_t)
#undef COMBINE_ROW

/* Writes count neighbouring updates over y. */
static void combine_row(void *y, const void *update, enum sb_dtype dtype, size_t count,
                        const struct combine *k)
{
    if (k->mode == SB_SCATTER_SET) {
        memcpy(y, update, count * sb_dtype_bytes(dtype));
        return;
    }
    switch ((int)dtype) {
    case SB_DTYPE_I8:
        combine_int8_t(y, update, count, k);
        return;
    case SB_DTYPE_U8:
        combine_uint8_t(y, update, count, k);
        return;
    case SB_DTYPE_I16:
        combine_int16_t(y, update, count, k);
        return;
    case SB_DTYPE_U16:
        combine_uint16_t(y, update, count, k);
        return;
    default:
        combine_int32_t(y, update, count, k);
        return;
    }
}

/* ---- common checks ---- */

static sb_err scatter_infer(const struct sb_check *c, uint32_t mode_attr)
{
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_SCATTER_X], "input x"));
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_SCATTER_UPDATES], "input updates"));
    SB_TRY(sb_check_shape(c, c->out, "output", &c->in[SB_IN_SCATTER_X]->desc.shape));
    SB_TRY(sb_check_attr(c, mode_attr, "MODE", SB_SCATTER_SET, SB_SCATTER_MIN));
    SB_TRY(sb_check_attr(c, mode_attr + 1, "SHIFT", 0,
                         c->attrs[mode_attr] == SB_SCATTER_MUL ? 62 : 0));
    return c->attrs[mode_attr] == SB_SCATTER_SET
               ? SB_OK
               : sb_check_dtype(c, c->out, "output", COMBINE_DTYPES);
}

/* Elements that no update reaches are those of x. Sums and products of 32-bit elements stay below 2^63 with the half of any shift. */
static sb_err scatter_prove(const struct sb_check *c, uint32_t mode_attr)
{
    const struct sb_tensor *x = c->in[SB_IN_SCATTER_X];
    const struct sb_tensor *u = c->in[SB_IN_SCATTER_UPDATES];
    struct sb_interval xi = {.lo = x->lo, .hi = x->hi};
    struct sb_interval ui = {.lo = u->lo, .hi = u->hi};
    SB_TRY(sb_prove_moved(c, xi));
    switch (c->attrs[mode_attr]) {
    case SB_SCATTER_SET:
        return sb_prove_moved(c, sb_interval_hull(xi, ui));
    case SB_SCATTER_MAX:
    case SB_SCATTER_MIN:
        c->out->lo = ui.lo < xi.lo ? sb_clamp_i64(u->lo, c->out->desc.lo, c->out->desc.hi) : x->lo;
        c->out->hi = ui.hi > xi.hi ? sb_clamp_i64(u->hi, c->out->desc.lo, c->out->desc.hi) : x->hi;
        return SB_OK;
    case SB_SCATTER_MUL: {
        struct sb_interval all = sb_interval_of(c->out);
        all.lo = (sb_i128)c->out->desc.lo - c->out->desc.quant.zero_point;
        all.hi = (sb_i128)c->out->desc.hi - c->out->desc.quant.zero_point;
        struct sb_interval product = sb_interval_mul(all, sb_interval_of(u));
        SB_TRY(sb_check_fits_i64(
            c, sb_interval_with_half(product, (unsigned)c->attrs[mode_attr + 1]), "a product"));
        break;
    }
    default:
        break;
    }
    c->out->lo = c->out->desc.lo;
    c->out->hi = c->out->desc.hi;
    return SB_OK;
}

static void scatter_units(const struct sb_check *c, uint64_t places, uint32_t mode_attr)
{
    const struct sb_tensor *u = c->in[SB_IN_SCATTER_UPDATES];
    bool set = c->attrs[mode_attr] == SB_SCATTER_SET;
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, places);
    sb_units_add(&c->node->units, set ? SB_GAS_CLASS_COPY_BYTE : SB_GAS_CLASS_REQUANTISE,
                 set ? u->bytes : u->count);
    sb_axis_miss_units(c, c->out->bytes, places);
}

/* ---- SCATTER ---- */

static sb_err scatter_axis_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_SCATTER_X];
    const struct sb_tensor *index = c->in[SB_IN_SCATTER_INDEX];
    struct sb_axis a;
    SB_TRY(scatter_infer(c, SB_ATTR_SCATTER_MODE));
    SB_TRY(sb_axis_infer(&a, c, x, SB_ATTR_SCATTER_AXIS));
    SB_TRY(sb_axis_check_index(c, index, (int64_t)a.size));
    SB_TRY(sb_axis_check_along(c, x, index, a.axis));
    return sb_check_shape(c, c->in[SB_IN_SCATTER_UPDATES], "input updates", &index->desc.shape);
}

static sb_err scatter_axis_prove(const struct sb_check *c)
{
    return scatter_prove(c, SB_ATTR_SCATTER_MODE);
}

static sb_err scatter_axis_cost(const struct sb_check *c)
{
    scatter_units(c, c->in[SB_IN_SCATTER_INDEX]->count, SB_ATTR_SCATTER_MODE);
    return SB_OK;
}

static void scatter_axis_run(const struct sb_exec *x)
{
    const struct sb_shape *xs = &x->out_tensor->desc.shape;
    const struct sb_shape *is = &x->in_tensor[SB_IN_SCATTER_INDEX]->desc.shape;
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    size_t size = sb_dtype_bytes(dtype);
    uint32_t axis = (uint32_t)x->attrs[SB_ATTR_SCATTER_AXIS];
    size_t step = axis + 1 == xs->rank ? 0 : 1;
    size_t axis_step = sb_axis_of(xs, axis).inner;
    size_t row = is->dims[is->rank - 1];
    struct combine k = combine_of(&x->out_tensor->desc, x->attrs[SB_ATTR_SCATTER_MODE],
                                  x->attrs[SB_ATTR_SCATTER_SHIFT]);
    const int32_t *index = x->in[SB_IN_SCATTER_INDEX];
    const uint8_t *update = x->in[SB_IN_SCATTER_UPDATES];
    size_t rows = (size_t)x->in_tensor[SB_IN_SCATTER_INDEX]->count / row;
    memcpy(x->out, x->in[SB_IN_SCATTER_X], (size_t)x->out_tensor->bytes);
    for (size_t n = 0; n < rows; n++) {
        uint8_t *y = (uint8_t *)x->out + sb_axis_row_start(xs, is, axis, n) * size;
        for (size_t i = 0; i < row; i++, index++, update += size) {
            size_t at = i * step + sb_axis_index(*index, xs->dims[axis]) * axis_step;
            combine_row(y + at * size, update, dtype, 1, &k);
        }
    }
}

const struct sb_op_code sb_op_scatter = {.infer = scatter_axis_infer,
                                         .prove = scatter_axis_prove,
                                         .cost = scatter_axis_cost,
                                         .run = scatter_axis_run};

/* ---- SCATTER_ND ---- */

static sb_err scatter_nd_infer(const struct sb_check *c)
{
    const struct sb_shape *x = &c->in[SB_IN_SCATTER_X]->desc.shape;
    const struct sb_shape *index = &c->in[SB_IN_SCATTER_INDEX]->desc.shape;
    struct sb_nd nd;
    SB_TRY(scatter_infer(c, SB_ATTR_SCATTER_ND_MODE));
    SB_TRY(sb_nd_infer(&nd, c, c->in[SB_IN_SCATTER_X], c->in[SB_IN_SCATTER_INDEX], 0));
    struct sb_shape want = {.rank = index->rank - 1};
    if (want.rank + (x->rank - nd.depth) > SB_TENSOR_RANK_MAX) {
        return sb_fail(c->diag, SB_E_SHAPE, "the updates have more than %u dimensions",
                       SB_TENSOR_RANK_MAX);
    }
    for (uint32_t i = 0; i < want.rank; i++) {
        want.dims[i] = index->dims[i];
    }
    for (uint32_t i = nd.depth; i < x->rank; i++) {
        want.dims[want.rank++] = x->dims[i];
    }
    return sb_check_shape(c, c->in[SB_IN_SCATTER_UPDATES], "input updates", &want);
}

static sb_err scatter_nd_prove(const struct sb_check *c)
{
    return scatter_prove(c, SB_ATTR_SCATTER_ND_MODE);
}

static sb_err scatter_nd_cost(const struct sb_check *c)
{
    const struct sb_tensor *index = c->in[SB_IN_SCATTER_INDEX];
    scatter_units(c, index->count / index->desc.shape.dims[index->desc.shape.rank - 1],
                  SB_ATTR_SCATTER_ND_MODE);
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, index->count);
    return SB_OK;
}

static void scatter_nd_run(const struct sb_exec *x)
{
    struct sb_nd nd =
        sb_nd_of(&x->out_tensor->desc.shape, &x->in_tensor[SB_IN_SCATTER_INDEX]->desc.shape, 0);
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    size_t row_bytes = nd.inner * sb_dtype_bytes(dtype);
    struct combine k = combine_of(&x->out_tensor->desc, x->attrs[SB_ATTR_SCATTER_ND_MODE],
                                  x->attrs[SB_ATTR_SCATTER_ND_SHIFT]);
    const int32_t *index = x->in[SB_IN_SCATTER_INDEX];
    const uint8_t *update = x->in[SB_IN_SCATTER_UPDATES];
    memcpy(x->out, x->in[SB_IN_SCATTER_X], (size_t)x->out_tensor->bytes);
    for (size_t i = 0; i < nd.rows; i++, index += nd.depth, update += row_bytes) {
        combine_row((uint8_t *)x->out + sb_nd_row(&nd, index) * row_bytes, update, dtype, nd.inner,
                    &k);
    }
}

const struct sb_op_code sb_op_scatter_nd = {.infer = scatter_nd_infer,
                                            .prove = scatter_nd_prove,
                                            .cost = scatter_nd_cost,
                                            .run = scatter_nd_run};

/* ---- ROW_UPDATE ---- */

static sb_err row_update_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_SCATTER_X];
    const struct sb_tensor *index = c->in[SB_IN_SCATTER_INDEX];
    const struct sb_shape *u = &c->in[SB_IN_SCATTER_UPDATES]->desc.shape;
    struct sb_axis a;
    SB_TRY(sb_check_same_quant(c, x, "input x"));
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_SCATTER_UPDATES], "input updates"));
    SB_TRY(sb_check_shape(c, c->out, "output", &x->desc.shape));
    SB_TRY(sb_axis_infer(&a, c, x, SB_ATTR_ROW_UPDATE_AXIS));
    SB_TRY(sb_check_attr(c, SB_ATTR_ROW_UPDATE_CIRCULAR, "CIRCULAR", 0, 1));
    SB_TRY(sb_check_rank(c, c->in[SB_IN_SCATTER_UPDATES], "input updates", x->desc.shape.rank));
    struct sb_shape want = x->desc.shape;
    want.dims[a.axis] = u->dims[a.axis];
    SB_TRY(sb_check_shape(c, c->in[SB_IN_SCATTER_UPDATES], "input updates", &want));
    SB_TRY(sb_check_dtype(c, index, "input index", SB_DTYPE_BIT(I32)));
    struct sb_shape batch = {.rank = 1, .dims = {x->desc.shape.dims[0]}};
    SB_TRY(sb_check_shape(c, index, "input index", &batch));
    int64_t room = (int64_t)a.size - (int64_t)u->dims[a.axis];
    int64_t last = c->attrs[SB_ATTR_ROW_UPDATE_CIRCULAR] != 0 ? (int64_t)a.size - 1 : room;
    if (a.axis == 0 || room < 0 || index->lo < 0 || index->hi > last) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "%lld rows at '%s' are not proven inside the %lld of '%s'",
                       (long long)u->dims[a.axis], index->name, (long long)a.size, x->name);
    }
    return SB_OK;
}

static sb_err row_update_prove(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_SCATTER_X];
    const struct sb_tensor *u = c->in[SB_IN_SCATTER_UPDATES];
    return sb_prove_moved(c, sb_interval_hull((struct sb_interval){.lo = x->lo, .hi = x->hi},
                                              (struct sb_interval){.lo = u->lo, .hi = u->hi}));
}

static sb_err row_update_cost(const struct sb_check *c)
{
    const struct sb_tensor *u = c->in[SB_IN_SCATTER_UPDATES];
    struct sb_axis a = sb_axis_of(&u->desc.shape, (uint32_t)c->attrs[SB_ATTR_ROW_UPDATE_AXIS]);
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, sat_add_u64(c->out->bytes, u->bytes));
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, 2 * (uint64_t)a.outer);
    return SB_OK;
}

/* The rows of one place before the axis go in one piece, or in two where they pass the end. */
static void row_update_run(const struct sb_exec *x)
{
    uint32_t axis = (uint32_t)x->attrs[SB_ATTR_ROW_UPDATE_AXIS];
    struct sb_axis a = sb_axis_of(&x->out_tensor->desc.shape, axis);
    size_t rows = x->in_tensor[SB_IN_SCATTER_UPDATES]->desc.shape.dims[axis];
    size_t row_bytes = a.inner * sb_dtype_bytes(x->out_tensor->desc.dtype);
    size_t per_batch = a.outer / x->out_tensor->desc.shape.dims[0];
    const int32_t *index = x->in[SB_IN_SCATTER_INDEX];
    const uint8_t *from = x->in[SB_IN_SCATTER_UPDATES];
    uint8_t *to = x->out;
    memcpy(x->out, x->in[SB_IN_SCATTER_X], (size_t)x->out_tensor->bytes);
    for (size_t o = 0; o < a.outer; o++, from += rows * row_bytes, to += a.size * row_bytes) {
        size_t first = (size_t)index[o / per_batch];
        size_t straight = a.size - first < rows ? a.size - first : rows;
        memcpy(to + first * row_bytes, from, straight * row_bytes);
        memcpy(to, from + straight * row_bytes, (rows - straight) * row_bytes);
    }
}

const struct sb_op_code sb_op_row_update = {.infer = row_update_infer,
                                            .prove = row_update_prove,
                                            .cost = row_update_cost,
                                            .run = row_update_run};
