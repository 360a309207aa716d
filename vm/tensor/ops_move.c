/* ops_move.c: operators that move elements to computed places: VIEW, TAKE, TAKE_ALONG, GATHER_ND. Spec: docs/spec/numerics.md 10.
 *
 *     outer | axis | inner        elements of a tensor around one axis: number = (o * axis_size + a) * inner + i
 *
 * They never clamp: the verifier demands that what is moved lies in the output's declared range. Indices are i32, proven inside
 * [-size, size - 1]; negative ones count from the end. */
#include "base/util/assert.h"
#include "vm/tensor/axis.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

static sb_err move_prove(const struct sb_check *c)
{
    return sb_prove_moved(c, (struct sb_interval){.lo = c->in[0]->lo, .hi = c->in[0]->hi});
}

/* ---- VIEW ---- */

#define MIDDLE_BYTES (UINT64_C(1) << 20)
#define FAR_BYTES    (UINT64_C(1) << 24)

/* y as rows of one stride in x, neighbouring dimensions joined where they go on in the same step. */
struct view {
    uint32_t rank; /* at least 1; the last dimension is the row */
    size_t dim[SB_TENSOR_RANK_MAX];
    int64_t stride[SB_TENSOR_RANK_MAX]; /* elements of x */
};

static struct view view_of(const struct sb_shape *y, const int64_t *attrs)
{
    struct view v = {.rank = 1, .dim = {1}};
    for (uint32_t i = y->rank; i-- > 0;) {
        int64_t stride = attrs[SB_ATTR_VIEW_STRIDE + i];
        uint32_t last = v.rank - 1; /* dimensions are collected from the last to the first */
        if (y->dims[i] == 1) {
            continue;
        }
        if (v.dim[last] == 1) {
            v.dim[last] = y->dims[i];
            v.stride[last] = stride;
        } else if (stride == v.stride[last] * (int64_t)v.dim[last]) {
            v.dim[last] *= y->dims[i];
        } else {
            v.dim[v.rank] = y->dims[i];
            v.stride[v.rank++] = stride;
        }
    }
    for (uint32_t a = 0, b = v.rank - 1; a < b; a++, b--) {
        size_t dim = v.dim[a];
        int64_t stride = v.stride[a];
        v.dim[a] = v.dim[b];
        v.stride[a] = v.stride[b];
        v.dim[b] = dim;
        v.stride[b] = stride;
    }
    return v;
}

static sb_err view_infer(const struct sb_check *c)
{
    const struct sb_shape *y = &c->out->desc.shape;
    int64_t count = (int64_t)c->in[0]->count;
    SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    SB_TRY(sb_check_attr(c, SB_ATTR_VIEW_OFFSET, "OFFSET", 0, count - 1));
    int64_t lo = c->attrs[SB_ATTR_VIEW_OFFSET];
    int64_t hi = lo;
    for (uint32_t i = 0; i < SB_TENSOR_RANK_MAX; i++) {
        int64_t max = i < y->rank ? (int64_t)SB_TENSOR_ELEMENTS_MAX : 0;
        SB_TRY(sb_check_attr(c, SB_ATTR_VIEW_STRIDE + i, "STRIDE", -max, max));
        int64_t reach =
            i < y->rank ? (y->dims[i] - INT64_C(1)) * c->attrs[SB_ATTR_VIEW_STRIDE + i] : 0;
        lo += reach < 0 ? reach : 0;
        hi += reach > 0 ? reach : 0;
    }
    if (lo < 0 || hi >= count) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "the view reaches elements %lld to %lld of x '%s', which has %lld",
                       (long long)lo, (long long)hi, c->in[0]->name, (long long)count);
    }
    return SB_OK;
}

static sb_err view_cost(const struct sb_check *c)
{
    struct view v = view_of(&c->out->desc.shape, c->attrs);
    int64_t stride = v.stride[v.rank - 1];
    size_t row = v.dim[v.rank - 1];
    bool in_order = stride == 0 || stride == 1 || row == 1;
    sb_units_add(&c->node->units, in_order ? SB_GAS_CLASS_COPY_BYTE : SB_GAS_CLASS_GATHER_BYTE,
                 c->out->bytes);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, c->out->count / row);
    /* Far strides leave the cache line with each element: half a row in a middle cache, a miss beyond. */
    uint64_t step = (uint64_t)(stride < 0 ? -stride : stride) * sb_dtype_bytes(c->out->desc.dtype);
    if (!in_order && step >= SB_CACHE_LINE_BYTES && c->in[0]->bytes > MIDDLE_BYTES) {
        bool far = c->in[0]->bytes > FAR_BYTES;
        sb_units_add(&c->node->units, far ? SB_GAS_CLASS_MISS : SB_GAS_CLASS_ROW,
                     far ? c->out->count : c->out->count / 2);
    }
    return SB_OK;
}

#define COPY_STRIDED(type)                                                                         \
    static void copy_strided_##type(void *to, const void *from, size_t count, int64_t stride)      \
    {                                                                                              \
        type *y = to;                                                                              \
        const type *x = from;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = x[(int64_t)i * stride];                                                         \
        }                                                                                          \
    }
COPY_STRIDED(uint8_t)
COPY_STRIDED(uint16_t)
COPY_STRIDED(uint32_t)
COPY_STRIDED(uint64_t)
#undef COPY_STRIDED

/* A row that repeats one element: charged by the byte as a copy in order, so its stores must be as wide. */
#define FILL_ROW(type)                                                                             \
    static void fill_row_##type(void *to, const void *from, size_t count, int64_t stride)          \
    {                                                                                              \
        type *y = to;                                                                              \
        const type element = *(const type *)from;                                                  \
        (void)stride;                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = element;                                                                        \
        }                                                                                          \
    }
FILL_ROW(uint8_t)
FILL_ROW(uint16_t)
FILL_ROW(uint32_t)
FILL_ROW(uint64_t)
#undef FILL_ROW

typedef void (*copy_strided_fn)(void *to, const void *from, size_t count, int64_t stride);

static copy_strided_fn copy_strided_of(size_t size, int64_t stride)
{
    if (stride == 0) {
        return size == 1   ? fill_row_uint8_t
               : size == 2 ? fill_row_uint16_t
               : size == 4 ? fill_row_uint32_t
                           : fill_row_uint64_t;
    }
    return size == 1   ? copy_strided_uint8_t
           : size == 2 ? copy_strided_uint16_t
           : size == 4 ? copy_strided_uint32_t
                       : copy_strided_uint64_t;
}

static void view_run(const struct sb_exec *x)
{
    struct view v = view_of(&x->out_tensor->desc.shape, x->attrs);
    size_t size = sb_dtype_bytes(x->out_tensor->desc.dtype);
    size_t row = v.dim[v.rank - 1];
    int64_t stride = v.stride[v.rank - 1];
    copy_strided_fn copy = copy_strided_of(size, stride);
    const uint8_t *base = x->in[0];
    uint8_t *to = x->out;
    int64_t from = x->attrs[SB_ATTR_VIEW_OFFSET];
    size_t index[SB_TENSOR_RANK_MAX] = {0};
    for (size_t rows = (size_t)x->out_tensor->count / row; rows > 0; rows--, to += row * size) {
        if (stride == 1) {
            memcpy(to, base + (size_t)from * size, row * size);
        } else {
            copy(to, base + (size_t)from * size, row, stride);
        }
        for (uint32_t i = v.rank - 1; i-- > 0;) {
            from += v.stride[i];
            if (++index[i] < v.dim[i]) {
                break;
            }
            from -= v.stride[i] * (int64_t)v.dim[i];
            index[i] = 0;
        }
    }
}

const struct sb_op_code sb_op_view = {
    .infer = view_infer, .prove = move_prove, .cost = view_cost, .run = view_run};

/* ---- TAKE ---- */

static sb_err take_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_TAKE_X];
    const struct sb_shape *index = &c->in[SB_IN_TAKE_INDEX]->desc.shape;
    struct sb_axis a;
    SB_TRY(sb_check_same_quant(c, x, "input x"));
    SB_TRY(sb_axis_infer(&a, c, x, SB_ATTR_TAKE_AXIS));
    SB_TRY(sb_axis_check_index(c, c->in[SB_IN_TAKE_INDEX], (int64_t)a.size));
    if (x->desc.shape.rank - 1 + index->rank > SB_TENSOR_RANK_MAX) {
        return sb_fail(c->diag, SB_E_SHAPE, "the output has more than %u dimensions",
                       SB_TENSOR_RANK_MAX);
    }
    struct sb_shape want = {0};
    for (uint32_t i = 0; i < a.axis; i++) {
        want.dims[want.rank++] = x->desc.shape.dims[i];
    }
    for (uint32_t i = 0; i < index->rank; i++) {
        want.dims[want.rank++] = index->dims[i];
    }
    for (uint32_t i = a.axis + 1; i < x->desc.shape.rank; i++) {
        want.dims[want.rank++] = x->desc.shape.dims[i];
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err take_cost(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_TAKE_X];
    struct sb_axis a = sb_axis_of(&x->desc.shape, (uint32_t)c->attrs[SB_ATTR_TAKE_AXIS]);
    uint64_t rows = sat_mul_u64(a.outer, c->in[SB_IN_TAKE_INDEX]->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    sb_units_add(&c->node->units, a.inner == 1 ? SB_GAS_CLASS_TABLE : SB_GAS_CLASS_ROW, rows);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, a.outer);
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, c->in[SB_IN_TAKE_INDEX]->count);
    sb_axis_miss_units(c, x->bytes / a.outer,
                       rows); /* each place before the axis has its own part */
    c->node->workspace_bytes = c->in[SB_IN_TAKE_INDEX]->count * sizeof(uint32_t);
    return SB_OK;
}

#define TAKE_ELEMENTS(type)                                                                        \
    static void take_##type(void *to, const void *from, const uint32_t *index, size_t count)       \
    {                                                                                              \
        type *y = to;                                                                              \
        const type *x = from;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = x[index[i]];                                                                    \
        }                                                                                          \
    }
TAKE_ELEMENTS(uint8_t)
TAKE_ELEMENTS(uint16_t)
TAKE_ELEMENTS(uint32_t)
TAKE_ELEMENTS(uint64_t)
#undef TAKE_ELEMENTS

static void take_elements(void *to, const void *from, const uint32_t *index, size_t count,
                          size_t size)
{
    switch (size) {
    case 1:
        take_uint8_t(to, from, index, count);
        return;
    case 2:
        take_uint16_t(to, from, index, count);
        return;
    case 4:
        take_uint32_t(to, from, index, count);
        return;
    default:
        take_uint64_t(to, from, index, count);
        return;
    }
}

static void take_run(const struct sb_exec *x)
{
    const struct sb_tensor *t = x->in_tensor[SB_IN_TAKE_X];
    struct sb_axis a = sb_axis_of(&t->desc.shape, (uint32_t)x->attrs[SB_ATTR_TAKE_AXIS]);
    size_t count = (size_t)x->in_tensor[SB_IN_TAKE_INDEX]->count;
    size_t size = sb_dtype_bytes(t->desc.dtype);
    const int32_t *index = x->in[SB_IN_TAKE_INDEX];
    uint32_t *place = x->workspace;
    for (size_t i = 0; i < count; i++) {
        place[i] = (uint32_t)sb_axis_index(index[i], a.size);
    }
    const uint8_t *from = x->in[SB_IN_TAKE_X];
    uint8_t *to = x->out;
    size_t row_bytes = a.inner * size;
    for (size_t o = 0; o < a.outer; o++, from += a.size * row_bytes) {
        if (a.inner == 1) {
            take_elements(to, from, place, count, size);
            to += count * size;
            continue;
        }
        for (size_t i = 0; i < count; i++, to += row_bytes) {
            memcpy(to, from + place[i] * row_bytes, row_bytes);
        }
    }
}

const struct sb_op_code sb_op_take = {.infer = take_infer,
                                      .prove = move_prove,
                                      .cost = take_cost,
                                      .run = take_run,
                                      .reads_few = true};

/* ---- TAKE_ALONG ---- */

static sb_err take_along_infer(const struct sb_check *c)
{
    const struct sb_tensor *x = c->in[SB_IN_TAKE_X];
    const struct sb_tensor *index = c->in[SB_IN_TAKE_INDEX];
    struct sb_axis a;
    SB_TRY(sb_check_same_quant(c, x, "input x"));
    SB_TRY(sb_axis_infer(&a, c, x, SB_ATTR_TAKE_AXIS));
    SB_TRY(sb_axis_check_index(c, index, (int64_t)a.size));
    SB_TRY(sb_axis_check_along(c, x, index, a.axis));
    return sb_check_shape(c, c->out, "output", &index->desc.shape);
}

static sb_err take_along_cost(const struct sb_check *c)
{
    uint32_t rank = c->out->desc.shape.rank;
    sb_units_add(&c->node->units, SB_GAS_CLASS_GATHER_BYTE, c->out->bytes);
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW,
                 c->out->count / c->out->desc.shape.dims[rank - 1]);
    struct sb_axis a =
        sb_axis_of(&c->in[SB_IN_TAKE_X]->desc.shape, (uint32_t)c->attrs[SB_ATTR_TAKE_AXIS]);
    sb_axis_miss_units(c, c->in[SB_IN_TAKE_X]->bytes / a.outer, c->out->count);
    return SB_OK;
}

/* One row of y: element i comes from x[i * step + index * axis_step]. */
struct along {
    size_t count;
    size_t size; /* of the axis */
    size_t step;
    size_t axis_step;
};

#define TAKE_ROW(type)                                                                             \
    static void take_row_##type(void *to, const void *from, const int32_t *index,                  \
                                const struct along *r)                                             \
    {                                                                                              \
        type *y = to;                                                                              \
        const type *x = from;                                                                      \
        for (size_t i = 0; i < r->count; i++) {                                                    \
            y[i] = x[i * r->step + sb_axis_index(index[i], r->size) * r->axis_step];               \
        }                                                                                          \
    }
TAKE_ROW(uint8_t)
TAKE_ROW(uint16_t)
TAKE_ROW(uint32_t)
TAKE_ROW(uint64_t)
#undef TAKE_ROW

typedef void (*take_row_fn)(void *to, const void *from, const int32_t *index,
                            const struct along *r);

static void take_along_run(const struct sb_exec *x)
{
    const struct sb_shape *xs = &x->in_tensor[SB_IN_TAKE_X]->desc.shape;
    const struct sb_shape *ys = &x->out_tensor->desc.shape;
    size_t size = sb_dtype_bytes(x->out_tensor->desc.dtype);
    uint32_t axis = (uint32_t)x->attrs[SB_ATTR_TAKE_AXIS];
    size_t row = ys->dims[ys->rank - 1];
    struct along r = {.count = row,
                      .size = xs->dims[axis],
                      .step = axis + 1 == xs->rank ? 0 : 1,
                      .axis_step = sb_axis_of(xs, axis).inner};
    take_row_fn take = size == 1   ? take_row_uint8_t
                       : size == 2 ? take_row_uint16_t
                       : size == 4 ? take_row_uint32_t
                                   : take_row_uint64_t;
    const int32_t *index = x->in[SB_IN_TAKE_INDEX];
    uint8_t *to = x->out;
    size_t rows = (size_t)x->out_tensor->count / row;
    for (size_t n = 0; n < rows; n++, index += row, to += row * size) {
        size_t from = sb_axis_row_start(xs, ys, axis, n);
        take(to, (const uint8_t *)x->in[SB_IN_TAKE_X] + from * size, index, &r);
    }
}

const struct sb_op_code sb_op_take_along = {.infer = take_along_infer,
                                            .prove = move_prove,
                                            .cost = take_along_cost,
                                            .run = take_along_run,
                                            .reads_few = true};

/* ---- GATHER_ND ---- */

static sb_err gather_nd_infer(const struct sb_check *c)
{
    const struct sb_shape *x = &c->in[SB_IN_TAKE_X]->desc.shape;
    const struct sb_shape *index = &c->in[SB_IN_TAKE_INDEX]->desc.shape;
    struct sb_nd nd;
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_TAKE_X], "input x"));
    SB_TRY(sb_check_attr(c, SB_ATTR_GATHER_ND_BATCH, "BATCH", 0, SB_TENSOR_RANK_MAX));
    SB_TRY(sb_nd_infer(&nd, c, c->in[SB_IN_TAKE_X], c->in[SB_IN_TAKE_INDEX],
                       (uint32_t)c->attrs[SB_ATTR_GATHER_ND_BATCH]));
    struct sb_shape want = {.rank = index->rank - 1};
    if (want.rank + (x->rank - nd.batch_rank - nd.depth) > SB_TENSOR_RANK_MAX) {
        return sb_fail(c->diag, SB_E_SHAPE, "the output has more than %u dimensions",
                       SB_TENSOR_RANK_MAX);
    }
    for (uint32_t i = 0; i < want.rank; i++) {
        want.dims[i] = index->dims[i];
    }
    for (uint32_t i = nd.batch_rank + nd.depth; i < x->rank; i++) {
        want.dims[want.rank++] = x->dims[i];
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err gather_nd_cost(const struct sb_check *c)
{
    const struct sb_tensor *index = c->in[SB_IN_TAKE_INDEX];
    uint32_t depth = index->desc.shape.dims[index->desc.shape.rank - 1];
    sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, index->count / depth);
    sb_units_add(&c->node->units, SB_GAS_CLASS_TABLE, index->count);
    sb_axis_miss_units(c, c->in[SB_IN_TAKE_X]->bytes, index->count / depth);
    return SB_OK;
}

static void gather_nd_run(const struct sb_exec *x)
{
    const struct sb_tensor *t = x->in_tensor[SB_IN_TAKE_X];
    struct sb_nd nd = sb_nd_of(&t->desc.shape, &x->in_tensor[SB_IN_TAKE_INDEX]->desc.shape,
                               (uint32_t)x->attrs[SB_ATTR_GATHER_ND_BATCH]);
    size_t row_bytes = nd.inner * sb_dtype_bytes(t->desc.dtype);
    const int32_t *index = x->in[SB_IN_TAKE_INDEX];
    uint8_t *to = x->out;
    for (size_t b = 0; b < nd.batches; b++) {
        const uint8_t *from = (const uint8_t *)x->in[SB_IN_TAKE_X] + b * nd.batch_rows * row_bytes;
        for (size_t i = 0; i < nd.rows; i++, index += nd.depth, to += row_bytes) {
            memcpy(to, from + sb_nd_row(&nd, index) * row_bytes, row_bytes);
        }
    }
}

const struct sb_op_code sb_op_gather_nd = {.infer = gather_nd_infer,
                                           .prove = move_prove,
                                           .cost = gather_nd_cost,
                                           .run = gather_nd_run,
                                           .reads_few = true};
