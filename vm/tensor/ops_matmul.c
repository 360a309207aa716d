/* ops_matmul.c: BATCH_MATMUL: products of stacks of matrices, both computed. Spec: docs/spec/numerics.md 5.5.
 *
 *     b [.., K, N] --packed, zero point removed--> [N][K]        a, a row at a time --> [K]        dot products --> S
 *
 * Three forms of the same sums: 16-bit operands into 32 bits where the bound allows it, 16-bit operands into 64 bits, 32-bit operands into
 * 64 bits. Probabilities (u16) on the left are taken as p - 2^15, and 2^15 times the column's sum of b is added. b is packed once for all the batches that share it one after the other (grouped queries). */
#include <string.h>

#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define OPERAND_DTYPES                                                                             \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32))
#define WRITE_DTYPES (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32))
#define PACK_BLOCK   256u
/* Of the packed b: beyond, each row of a brings it from memory anew, which takes longer than the narrow sums. */
#define STREAMED_BYTES (UINT64_C(1) << 20)

enum form { FORM_NARROW, FORM_MIDDLE, FORM_WIDE };

struct geometry {
    size_t m, n, k;
    uint32_t batch_rank;
    size_t batch_dims[SB_TENSOR_RANK_MAX];
    size_t stride[2]
                 [SB_TENSOR_RANK_MAX]; /* elements to the next batch of each operand; 0 repeats */
};

#define U16_OFFSET 32768

static struct sb_interval sum_of(struct sb_interval a, const struct sb_tensor *b, uint64_t k)
{
    struct sb_interval p = sb_interval_mul(a, sb_interval_of(b));
    p = sb_interval_hull(p, (struct sb_interval){0, 0});
    return (struct sb_interval){.lo = p.lo * (int64_t)k, .hi = p.hi * (int64_t)k};
}

static bool is_short(const struct sb_tensor *t)
{
    enum sb_dtype d = t->desc.dtype;
    return d == SB_DTYPE_I8 || d == SB_DTYPE_U8 || d == SB_DTYPE_I16;
}

static bool has_offset(const struct sb_tensor *a, const struct sb_tensor *b)
{
    return a->desc.dtype == SB_DTYPE_U16 && is_short(b);
}

static enum form form_of(const struct sb_tensor *a, const struct sb_tensor *b, uint64_t k)
{
    struct sb_interval left = sb_interval_of(a);
    if (has_offset(a, b)) {
        left = (struct sb_interval){.lo = left.lo - U16_OFFSET, .hi = left.hi - U16_OFFSET};
    } else if (!is_short(a) || !is_short(b)) {
        return FORM_WIDE;
    }
    struct sb_interval s = sum_of(left, b, k);
    return s.lo >= INT32_MIN && s.hi <= INT32_MAX ? FORM_NARROW : FORM_MIDDLE;
}

static uint32_t dim_from_end(const struct sb_shape *shape, uint32_t i)
{
    return i < shape->rank ? shape->dims[shape->rank - 1 - i] : 1;
}

/* y's shape from those of a and b; false if they do not fit. */
static bool product_shape(struct sb_shape *ret, const struct sb_shape *a, const struct sb_shape *b,
                          bool transposed)
{
    struct sb_shape y = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (uint32_t i = 2; i < y.rank; i++) {
        uint32_t da = dim_from_end(a, i);
        uint32_t db = dim_from_end(b, i);
        if (da != db && da != 1 && db != 1) {
            return false;
        }
        y.dims[y.rank - 1 - i] = da > db ? da : db;
    }
    y.dims[y.rank - 2] = dim_from_end(a, 1);
    y.dims[y.rank - 1] = dim_from_end(b, transposed ? 1 : 0);
    *ret = y;
    return dim_from_end(a, 0) == dim_from_end(b, transposed ? 0 : 1);
}

static sb_err batch_matmul_infer(const struct sb_check *c)
{
    const struct sb_shape *a = &c->in[0]->desc.shape;
    const struct sb_shape *b = &c->in[1]->desc.shape;
    struct sb_shape want;
    SB_TRY(sb_check_dtype(c, c->in[0], "input a", OPERAND_DTYPES));
    SB_TRY(sb_check_dtype(c, c->in[1], "input b", OPERAND_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", WRITE_DTYPES));
    SB_TRY(sb_check_attr(c, SB_ATTR_BATCH_MATMUL_TRANSPOSE_B, "TRANSPOSE_B", 0, 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_BATCH_MATMUL_PRE_SHIFT, "PRE_SHIFT", 0, 62));
    SB_TRY(sb_check_attr(c, SB_ATTR_BATCH_MATMUL_MULT, "MULT", 1, INT32_MAX));
    SB_TRY(sb_check_attr(c, SB_ATTR_BATCH_MATMUL_SHIFT, "SHIFT", 0, 62));
    if (a->rank < 2 || b->rank < 2 ||
        !product_shape(&want, a, b, c->attrs[SB_ATTR_BATCH_MATMUL_TRANSPOSE_B] != 0)) {
        return sb_fail(c->diag, SB_E_SHAPE, "the matrices a '%s' and b '%s' do not fit",
                       c->in[0]->name, c->in[1]->name);
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err batch_matmul_prove(const struct sb_check *c)
{
    unsigned pre = (unsigned)c->attrs[SB_ATTR_BATCH_MATMUL_PRE_SHIFT];
    unsigned shift = (unsigned)c->attrs[SB_ATTR_BATCH_MATMUL_SHIFT];
    struct sb_interval s =
        sum_of(sb_interval_of(c->in[0]), c->in[1], dim_from_end(&c->in[0]->desc.shape, 0));
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(s, pre), "the sum of products"));
    struct sb_interval v =
        sb_interval_scale(sb_interval_round_shr(s, pre), c->attrs[SB_ATTR_BATCH_MATMUL_MULT]);
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(v, shift), "the value before the shift"));
    sb_prove_clamped(c, sb_interval_round_shr(v, shift));
    return SB_OK;
}

static struct geometry geometry_of(const struct sb_tensor *a, const struct sb_tensor *b,
                                   const struct sb_tensor *y)
{
    const struct sb_shape *shape[2] = {&a->desc.shape, &b->desc.shape};
    struct geometry g = {
        .m = dim_from_end(&y->desc.shape, 1),
        .n = dim_from_end(&y->desc.shape, 0),
        .k = dim_from_end(&a->desc.shape, 0),
        .batch_rank = y->desc.shape.rank - 2,
    };
    for (uint32_t o = 0; o < 2; o++) {
        size_t step = (size_t)dim_from_end(shape[o], 0) * dim_from_end(shape[o], 1);
        for (uint32_t i = 0; i < g.batch_rank; i++) {
            uint32_t dim = dim_from_end(shape[o], i + 2);
            g.batch_dims[g.batch_rank - 1 - i] = dim_from_end(&y->desc.shape, i + 2);
            g.stride[o][g.batch_rank - 1 - i] = dim == 1 ? 0 : step;
            step *= dim;
        }
    }
    return g;
}

static size_t align64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static uint64_t padded(uint64_t value, uint64_t tile)
{
    return (value + tile - 1) / tile * tile;
}

static sb_err batch_matmul_cost(const struct sb_check *c)
{
    struct sb_units *units = &c->node->units;
    struct geometry g = geometry_of(c->in[0], c->in[1], c->out);
    uint64_t batches = c->out->count / (g.m * g.n);
    uint64_t macs = sat_mul_u64(sat_mul_u64(batches * padded(g.m, g.m < 4 ? 1 : 4), padded(g.n, 4)),
                                padded(g.k, 16));
    enum form form = form_of(c->in[0], c->in[1], g.k);
    size_t element = form == FORM_WIDE ? sizeof(int32_t) : sizeof(int16_t);
    bool transposed = c->attrs[SB_ATTR_BATCH_MATMUL_TRANSPOSE_B] != 0;
    enum sb_gas_class mac = form == FORM_WIDE     ? SB_GAS_CLASS_FX_MAC
                            : form == FORM_MIDDLE ? SB_GAS_CLASS_I64_MAC
                            : g.m < 4             ? SB_GAS_CLASS_GEMV_MAC
                                                  : SB_GAS_CLASS_WIDE_MAC;
    sb_units_add(units, mac, form == FORM_WIDE ? sat_mul_u64(macs, 4) : macs);
    sb_units_add(units, transposed ? SB_GAS_CLASS_COPY_BYTE : SB_GAS_CLASS_GATHER_BYTE,
                 sat_mul_u64(batches, g.n * g.k * element));
    sb_units_add(units, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(batches, g.m * g.k * element));
    sb_units_add(units, SB_GAS_CLASS_ROW, sat_mul_u64(batches, g.m + (transposed ? g.n : g.k) + 1));
    sb_units_add(units, SB_GAS_CLASS_REQUANTISE, sat_mul_u64(c->out->count, 3));
    if (has_offset(c->in[0], c->in[1])) {
        sb_units_add(units, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(batches, g.n * g.k * element));
    }
    if (form == FORM_NARROW && g.n * g.k * element > STREAMED_BYTES) {
        sb_units_add(units, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(macs, element));
    }
    c->node->workspace_bytes =
        align64(g.n * g.k * element) + align64(g.k * element) + 2 * align64(g.n * sizeof(int64_t));
    return SB_OK;
}

/* ---- packing: elements without zero point as int16 or int32 ---- */

static void load_row(void *ret, bool wide, const struct sb_tensor_desc *d, const void *from,
                     size_t count)
{
    int64_t values[PACK_BLOCK];
    if (!wide && d->dtype == SB_DTYPE_U16) {
        const uint16_t *u16 = from;
        int16_t *to = ret;
        for (size_t i = 0; i < count; i++) {
            to[i] = (int16_t)(u16[i] - U16_OFFSET);
        }
    } else if (!wide) {
        sb_centre(ret, from, d->dtype, d->quant.zero_point, count);
    } else if (d->dtype == SB_DTYPE_I32) {
        memcpy(ret, from, count * sizeof(int32_t));
    } else {
        int32_t *to = ret;
        for (size_t at = 0; at < count; at += PACK_BLOCK) {
            size_t block = count - at < PACK_BLOCK ? count - at : PACK_BLOCK;
            sb_widen(values, sb_element_at(from, d->dtype, at), d->dtype, block);
            for (size_t i = 0; i < block; i++) {
                to[at + i] = (int32_t)(values[i] - d->quant.zero_point);
            }
        }
    }
}

/* A row of b [K, N] into column `k` of the packed [N][K]. */
static void scatter_row(void *packed, bool wide, const struct sb_tensor_desc *d, const void *from,
                        const struct geometry *g, size_t k)
{
    int32_t wides[PACK_BLOCK];
    int16_t shorts[PACK_BLOCK];
    for (size_t at = 0; at < g->n; at += PACK_BLOCK) {
        size_t block = g->n - at < PACK_BLOCK ? g->n - at : PACK_BLOCK;
        load_row(wide ? (void *)wides : (void *)shorts, wide, d, sb_element_at(from, d->dtype, at),
                 block);
        for (size_t i = 0; i < block; i++) {
            if (wide) {
                ((int32_t *)packed)[(at + i) * g->k + k] = wides[i];
            } else {
                ((int16_t *)packed)[(at + i) * g->k + k] = shorts[i];
            }
        }
    }
}

static void pack_b(void *packed, const struct sb_exec *x, const struct geometry *g, bool wide,
                   size_t b_at)
{
    const struct sb_tensor_desc *d = &x->in_tensor[1]->desc;
    const void *b = sb_element_at(x->in[1], d->dtype, b_at);
    if (x->attrs[SB_ATTR_BATCH_MATMUL_TRANSPOSE_B] != 0) {
        load_row(packed, wide, d, b, g->n * g->k);
        return;
    }
    for (size_t k = 0; k < g->k; k++) {
        scatter_row(packed, wide, d, sb_element_at(b, d->dtype, k * g->n), g, k);
    }
}

/* ---- sums: ret_s[n] = sum over k of a[k] * b[n][k] ---- */

static void sums_narrow(int64_t *ret_s, const int16_t *a, const int16_t *b, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++, b += k) {
        int32_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += a[i] * b[i];
        }
        ret_s[j] = sum;
    }
}

static void sums_middle(int64_t *ret_s, const int16_t *a, const int16_t *b, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++, b += k) {
        int64_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += a[i] * b[i];
        }
        ret_s[j] = sum;
    }
}

static void sums_wide(int64_t *ret_s, const int32_t *a, const int32_t *b, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++, b += k) {
        int64_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += (int64_t)a[i] * b[i];
        }
        ret_s[j] = sum;
    }
}

/* What the offset of a takes from each sum. */
static void set_lost(int64_t *ret_lost, const int16_t *b, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++, b += k) {
        int64_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += b[i];
        }
        ret_lost[j] = sum * U16_OFFSET;
    }
}

/* One row of y from its sums; lost NULL: nothing. */
static void finish_row(const struct sb_exec *x, int64_t *s, const int64_t *lost, size_t n,
                       size_t y_at)
{
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    unsigned pre = (unsigned)x->attrs[SB_ATTR_BATCH_MATMUL_PRE_SHIFT];
    int64_t mult = x->attrs[SB_ATTR_BATCH_MATMUL_MULT];
    unsigned shift = (unsigned)x->attrs[SB_ATTR_BATCH_MATMUL_SHIFT];
    for (size_t j = 0; lost != NULL && j < n; j++) {
        s[j] += lost[j];
    }
    for (size_t j = 0; j < n; j++) {
        int64_t v = sb_round_shr(sb_round_shr(s[j], pre) * mult, shift);
        s[j] = sb_finish(v, yd->quant.zero_point, yd->lo, yd->hi);
    }
    sb_narrow(sb_element_at_mut(x->out, yd->dtype, y_at), yd->dtype, s, n);
}

static void batch_matmul_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *ad = &x->in_tensor[0]->desc;
    struct geometry g = geometry_of(x->in_tensor[0], x->in_tensor[1], x->out_tensor);
    enum form form = form_of(x->in_tensor[0], x->in_tensor[1], g.k);
    bool wide = form == FORM_WIDE;
    size_t element = wide ? sizeof(int32_t) : sizeof(int16_t);
    uint8_t *packed = x->workspace;
    void *row = packed + align64(g.n * g.k * element);
    int64_t *s =
        (int64_t *)(void *)(packed + align64(g.n * g.k * element) + align64(g.k * element));
    int64_t *lost = has_offset(x->in_tensor[0], x->in_tensor[1])
                        ? (int64_t *)(void *)((uint8_t *)s + align64(g.n * sizeof *s))
                        : NULL;
    size_t index[SB_TENSOR_RANK_MAX] = {0};
    size_t at[2] = {0, 0};
    size_t packed_at = SIZE_MAX;
    for (size_t y_at = 0; y_at < x->out_tensor->count;) {
        if (at[1] != packed_at) {
            pack_b(packed, x, &g, wide, at[1]);
            packed_at = at[1];
            if (lost != NULL) {
                set_lost(lost, (const int16_t *)(const void *)packed, g.n, g.k);
            }
        }
        for (size_t m = 0; m < g.m; m++, y_at += g.n) {
            load_row(row, wide, ad, sb_element_at(x->in[0], ad->dtype, at[0] + m * g.k), g.k);
            if (wide) {
                sums_wide(s, row, (const int32_t *)(const void *)packed, g.n, g.k);
            } else if (form == FORM_MIDDLE) {
                sums_middle(s, row, (const int16_t *)(const void *)packed, g.n, g.k);
            } else {
                sums_narrow(s, row, (const int16_t *)(const void *)packed, g.n, g.k);
            }
            finish_row(x, s, lost, g.n, y_at);
        }
        for (uint32_t i = g.batch_rank; i-- > 0;) {
            at[0] += g.stride[0][i];
            at[1] += g.stride[1][i];
            if (++index[i] < g.batch_dims[i]) {
                break;
            }
            at[0] -= g.stride[0][i] * index[i];
            at[1] -= g.stride[1][i] * index[i];
            index[i] = 0;
        }
    }
}

const struct sb_op_code sb_op_batch_matmul = {.infer = batch_matmul_infer,
                                              .prove = batch_matmul_prove,
                                              .cost = batch_matmul_cost,
                                              .run = batch_matmul_run};
