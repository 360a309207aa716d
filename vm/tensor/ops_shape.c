/* ops_shape.c: operators that only move elements: RESHAPE, CONCAT, PAD, GATHER. Spec: docs/spec/numerics.md 10.
 * TRANSPOSE has its own file.
 *
 * They never clamp: the verifier demands that what is moved lies in the output's declared range. */
#include "base/util/assert.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define CACHED_BYTES_MAX                                                                           \
    ((uint64_t)1 << 18) /* of a table, whose rows are then found in the cache */
#define GATHER_BLOCK 256u
#define AHEAD        16u /* rows fetched before they are copied */

static struct sb_interval raw_interval(const struct sb_tensor *t)
{
    return (struct sb_interval){.lo = t->lo, .hi = t->hi};
}

static sb_err move_prove(const struct sb_check *c)
{
    return sb_prove_moved(c, raw_interval(c->in[0]));
}

static sb_err copy_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    return SB_OK;
}

/* ---- RESHAPE ---- */

static sb_err reshape_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    if (c->in[0]->count != c->out->count) {
        return sb_fail(c->diag, SB_E_SHAPE, "x '%s' has %llu elements, the output %llu",
                       c->in[0]->name, (unsigned long long)c->in[0]->count,
                       (unsigned long long)c->out->count);
    }
    return SB_OK;
}

static void reshape_run(const struct sb_exec *x)
{
    memcpy(x->out, x->in[0], (size_t)x->out_tensor->bytes);
}

const struct sb_op_code sb_op_reshape = {
    .infer = reshape_infer, .prove = move_prove, .cost = copy_cost, .run = reshape_run};

/* ---- CONCAT ---- */

static sb_err concat_infer(const struct sb_check *c)
{
    const struct sb_shape *first = &c->in[0]->desc.shape;
    if (first->rank == 0) {
        return sb_fail(c->diag, SB_E_SHAPE, "scalars cannot be concatenated");
    }
    SB_TRY(sb_check_attr(c, SB_ATTR_CONCAT_AXIS, "AXIS", 0, (int64_t)first->rank - 1));
    uint32_t axis = (uint32_t)c->attrs[SB_ATTR_CONCAT_AXIS];
    struct sb_shape want = *first;
    want.dims[axis] = 0;
    for (uint32_t i = 0; i < c->input_count; i++) {
        SB_TRY(sb_check_same_quant(c, c->in[i], "an input"));
        struct sb_shape like = *first;
        if (axis < c->in[i]->desc.shape.rank) {
            like.dims[axis] = c->in[i]->desc.shape.dims[axis];
        }
        SB_TRY(sb_check_shape(c, c->in[i], "an input", &like));
        want.dims[axis] += like.dims[axis]; /* at most 16 * 2^24 */
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err concat_prove(const struct sb_check *c)
{
    struct sb_interval all = raw_interval(c->in[0]);
    for (uint32_t i = 1; i < c->input_count; i++) {
        all = sb_interval_hull(all, raw_interval(c->in[i]));
    }
    return sb_prove_moved(c, all);
}

/* Rows before the axis; what one input contributes to a row is contiguous. */
static size_t rows_before(const struct sb_shape *shape, uint32_t axis)
{
    size_t rows = 1;
    for (uint32_t i = 0; i < axis; i++) {
        rows *= shape->dims[i];
    }
    return rows;
}

static sb_err concat_cost(const struct sb_check *c)
{
    SB_TRY(copy_cost(c));
    size_t rows = rows_before(&c->out->desc.shape, (uint32_t)c->attrs[SB_ATTR_CONCAT_AXIS]);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 (sat_mul_u64(rows, c->input_count) + 1) / 2); /* two copies of a run for one */
    return SB_OK;
}

static void concat_run(const struct sb_exec *x)
{
    size_t rows = rows_before(&x->out_tensor->desc.shape, (uint32_t)x->attrs[SB_ATTR_CONCAT_AXIS]);
    size_t y_row_bytes = (size_t)x->out_tensor->bytes / rows;
    size_t at = 0;
    for (uint32_t i = 0; i < x->input_count; i++) {
        size_t row_bytes = (size_t)x->in_tensor[i]->bytes / rows;
        for (size_t row = 0; row < rows; row++) {
            memcpy((uint8_t *)x->out + row * y_row_bytes + at,
                   (const uint8_t *)x->in[i] + row * row_bytes, row_bytes);
        }
        at += row_bytes;
    }
}

const struct sb_op_code sb_op_concat = {
    .infer = concat_infer, .prove = concat_prove, .cost = concat_cost, .run = concat_run};

/* ---- PAD ---- */

static sb_err pad_infer(const struct sb_check *c)
{
    struct sb_shape want = c->in[0]->desc.shape;
    SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    for (uint32_t i = 0; i < SB_TENSOR_RANK_MAX; i++) {
        int64_t max = i < want.rank ? SB_TENSOR_DIM_MAX : 0;
        SB_TRY(sb_check_attr(c, SB_ATTR_PAD_BEFORE + i, "BEFORE", 0, max));
        SB_TRY(sb_check_attr(c, SB_ATTR_PAD_AFTER + i, "AFTER", 0, max));
        if (i < want.rank) {
            want.dims[i] +=
                (uint32_t)(c->attrs[SB_ATTR_PAD_BEFORE + i] + c->attrs[SB_ATTR_PAD_AFTER + i]);
        }
    }
    SB_TRY(sb_check_attr(c, SB_ATTR_PAD_VALUE, "VALUE", c->out->desc.lo, c->out->desc.hi));
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err pad_prove(const struct sb_check *c)
{
    struct sb_interval value = {.lo = c->attrs[SB_ATTR_PAD_VALUE],
                                .hi = c->attrs[SB_ATTR_PAD_VALUE]};
    return sb_prove_moved(c, sb_interval_hull(raw_interval(c->in[0]), value));
}

static sb_err pad_cost(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    uint64_t rows = shape->rank == 0 ? 1 : c->in[0]->count / shape->dims[shape->rank - 1];
    SB_TRY(copy_cost(c));
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, (rows + 1) / 2);
    return SB_OK;
}

static void fill(uint8_t *y, size_t bytes, enum sb_dtype dtype, int64_t value)
{
    size_t filled = sb_dtype_bytes(dtype);
    sb_narrow(y, dtype, &value, 1);
    while (filled < bytes) {
        size_t more = filled < bytes - filled ? filled : bytes - filled;
        memcpy(y + filled, y, more);
        filled += more;
    }
}

/* Rows of x run along its last dimension; `at` is the element of y where the next one goes, index its place in the outer dimensions. */
struct pad_cursor {
    size_t at;
    uint32_t index[SB_TENSOR_RANK_MAX];
    size_t stride[SB_TENSOR_RANK_MAX]; /* of y */
};

static struct pad_cursor pad_start(const struct sb_exec *x)
{
    const struct sb_shape *ys = &x->out_tensor->desc.shape;
    struct pad_cursor c = {.at = 0};
    size_t stride = 1;
    for (uint32_t i = ys->rank; i-- > 0;) {
        c.stride[i] = stride;
        c.at += (size_t)x->attrs[SB_ATTR_PAD_BEFORE + i] * stride;
        stride *= ys->dims[i];
    }
    return c;
}

static void pad_next(struct pad_cursor *c, const struct sb_shape *xs)
{
    for (uint32_t i = xs->rank - 1; i-- > 0;) {
        c->at += c->stride[i];
        if (++c->index[i] < xs->dims[i]) {
            return;
        }
        c->at -= c->stride[i] * xs->dims[i];
        c->index[i] = 0;
    }
}

static void pad_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    const struct sb_shape *xs = &x->in_tensor[0]->desc.shape;
    size_t size = sb_dtype_bytes(yd->dtype);
    uint8_t *y = x->out;
    fill(y, (size_t)x->out_tensor->bytes, yd->dtype, x->attrs[SB_ATTR_PAD_VALUE]);
    if (xs->rank == 0) {
        memcpy(y, x->in[0], size);
        return;
    }
    size_t row_bytes = xs->dims[xs->rank - 1] * size;
    size_t rows = (size_t)x->in_tensor[0]->bytes / row_bytes;
    struct pad_cursor c = pad_start(x);
    for (size_t row = 0; row < rows; row++, pad_next(&c, xs)) {
        memcpy(y + c.at * size, (const uint8_t *)x->in[0] + row * row_bytes, row_bytes);
    }
}

const struct sb_op_code sb_op_pad = {
    .infer = pad_infer, .prove = pad_prove, .cost = pad_cost, .run = pad_run};

/* ---- GATHER ---- */

static sb_err gather_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_GATHER_X];
    const struct sb_tensor *table = c->in[SB_IN_GATHER_TABLE];
    SB_TRY(
        sb_check_dtype(c, x, "input x", SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(U16) | SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_const(c, table, "input table"));
    SB_TRY(sb_check_same_quant(c, table, "input table"));
    struct sb_shape want = x->desc.shape;
    const struct sb_shape *rows = &table->desc.shape;
    if (rows->rank == 0 || x->desc.shape.rank + rows->rank - 1 > SB_TENSOR_RANK_MAX) {
        return sb_fail(c->diag, SB_E_SHAPE,
                       "the table '%s' is a scalar, or the output has more than %u dimensions",
                       table->name, SB_TENSOR_RANK_MAX);
    }
    for (uint32_t i = 1; i < rows->rank; i++) {
        want.dims[want.rank++] = rows->dims[i];
    }
    if (x->lo < 0 || x->hi >= rows->dims[0] || x->desc.quant.zero_point != 0) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "indices '%s' are not proven inside the %u rows of '%s'", x->name,
                       rows->dims[0], table->name);
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err gather_prove(const struct sb_check *c)
{
    return sb_prove_moved(c, raw_interval(c->in[SB_IN_GATHER_TABLE]));
}

static sb_err gather_cost(const struct sb_check *c)
{
    SB_TRY(copy_cost(c));
    sb_units_add(&c->node->units, SB_GAS_CLASS_WEIGHT_BYTE, c->out->bytes);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, (c->in[SB_IN_GATHER_X]->count + 1) / 2);
    if (c->in[SB_IN_GATHER_TABLE]->bytes > CACHED_BYTES_MAX) {
        sb_units_add(&c->node->units, SB_GAS_CLASS_MISS, c->in[SB_IN_GATHER_X]->count);
    }
    return SB_OK;
}

static void gather_run(const struct sb_exec *x)
{
    int64_t rows[GATHER_BLOCK];
    const struct sb_tensor *index = x->in_tensor[SB_IN_GATHER_X];
    const struct sb_tensor *table = x->in_tensor[SB_IN_GATHER_TABLE];
    const uint8_t *from = x->in[SB_IN_GATHER_TABLE];
    uint8_t *y = x->out;
    size_t row_bytes = (size_t)table->bytes / table->desc.shape.dims[0];
    for (size_t first = 0; first < index->count; first += GATHER_BLOCK) {
        size_t left = (size_t)index->count - first;
        size_t count = left < GATHER_BLOCK ? left : GATHER_BLOCK;
        sb_widen(rows, sb_element_at(x->in[SB_IN_GATHER_X], index->desc.dtype, first),
                 index->desc.dtype, count);
        for (size_t i = 0; i < count; i++, y += row_bytes) {
            __builtin_prefetch(from + (size_t)rows[i + AHEAD < count ? i + AHEAD : i] * row_bytes);
            memcpy(y, from + (size_t)rows[i] * row_bytes, row_bytes);
        }
    }
}

const struct sb_op_code sb_op_gather = {.infer = gather_infer,
                                        .prove = gather_prove,
                                        .cost = gather_cost,
                                        .run = gather_run,
                                        .reads_few = true};
