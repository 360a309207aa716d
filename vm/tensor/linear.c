/* linear.c: see linear.h. The proof: with the zero point taken off, x lies in [xl, xh] and both ends are moved out to include 0, so
 * that each product's interval contains 0 and the interval of a row,
 *
 *     lo = P * xl + N * xh,   hi = P * xh + N * xl        P, N: sums of the row's positive and negative weights
 *
 * bounds not only the whole sum but the sum of any part of it: no order of adding can overflow. Where x can be zero anyway, this is
 * the exact range. docs/spec/numerics.md 4.2. */
#include "vm/tensor/linear.h"

#include "base/util/assert.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/round.h"

#define SUM_BLOCK ((uint64_t)1 << 20)

static sb_err prefix_channel(const struct sb_check *c, sb_err err, uint64_t channel)
{
    sb_diag_prefix(c->diag, "output channel %llu", (unsigned long long)channel);
    return err;
}

sb_err sb_linear_infer(const struct sb_check *c, uint64_t out_count)
{
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_LINEAR_X], "input x",
                          SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16)));
    SB_TRY(sb_check_const(c, c->in[SB_IN_LINEAR_W], "input w"));
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_LINEAR_W], "input w", SB_DTYPE_BIT(I8)));
    SB_TRY(sb_check_const_range(c, c->in[SB_IN_LINEAR_W], "input w", -127, 127));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_LINEAR_BIAS], "input bias", SB_DTYPE_I32, out_count));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_LINEAR_MULT], "input mult", SB_DTYPE_I32, out_count));
    SB_TRY(sb_check_const_range(c, c->in[SB_IN_LINEAR_MULT], "input mult", (int64_t)1 << 30,
                                INT32_MAX));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_LINEAR_SHIFT], "input shift", SB_DTYPE_U8, out_count));
    SB_TRY(sb_check_const_range(c, c->in[SB_IN_LINEAR_SHIFT], "input shift", 1, 62));
    return sb_check_dtype(c, c->out, "output",
                          SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) |
                              SB_DTYPE_BIT(I32));
}

sb_err sb_linear_fx_infer(const struct sb_check *c, uint64_t out_count, uint32_t shift_attr)
{
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_FX_X], "input x", SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_const(c, c->in[SB_IN_FX_W], "input w"));
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_FX_W], "input w", SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_vector(c, c->in[SB_IN_FX_BIAS], "input bias", SB_DTYPE_I64, out_count));
    SB_TRY(sb_check_attr(c, shift_attr, "SHIFT", 0, 62));
    return sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I32));
}

/* The range of sum + bias, and of every part of it. */
struct row_range {
    struct sb_interval whole;
    struct sb_interval partial;
};

static struct row_range range_of_row(const struct sb_tensor *x, sb_i128 positive, sb_i128 negative,
                                     int64_t bias)
{
    struct sb_interval v = sb_interval_hull(sb_interval_of(x), (struct sb_interval){0, 0});
    struct sb_interval sum = {.lo = positive * v.lo + negative * v.hi,
                              .hi = positive * v.hi + negative * v.lo};
    struct sb_interval b = {.lo = bias, .hi = bias};
    return (struct row_range){
        .whole = sb_interval_add(sum, b),
        .partial = sb_interval_add(sum, sb_interval_hull(b, (struct sb_interval){0, 0})),
    };
}

struct sign_sums {
    int64_t positive;
    int64_t negative;
};

/* Sums of the positive and of the negative weights of a row, in blocks whose sums fit int32. */
static struct sign_sums sign_sums_of(const int8_t *w, uint64_t count)
{
    struct sign_sums s = {0, 0};
    for (uint64_t first = 0; first < count; first += SUM_BLOCK) {
        uint64_t end = count - first < SUM_BLOCK ? count : first + SUM_BLOCK;
        int32_t positive = 0;
        int32_t negative = 0;
        for (uint64_t i = first; i < end; i++) {
            positive += w[i] > 0 ? w[i] : 0;
            negative += w[i] < 0 ? w[i] : 0;
        }
        s.positive += positive;
        s.negative += negative;
    }
    return s;
}

sb_err sb_linear_prove(const struct sb_check *c, struct sb_linear l)
{
    const int8_t *w = c->in[SB_IN_LINEAR_W]->data;
    const int32_t *bias = c->in[SB_IN_LINEAR_BIAS]->data;
    const int32_t *mult = c->in[SB_IN_LINEAR_MULT]->data;
    const uint8_t *shift = c->in[SB_IN_LINEAR_SHIFT]->data;
    struct sb_interval all = {0, 0};
    for (uint64_t o = 0; o < l.out_count; o++) {
        struct sign_sums sums = sign_sums_of(w + o * l.row_elements, l.row_elements);
        struct row_range r =
            range_of_row(c->in[SB_IN_LINEAR_X], sums.positive, sums.negative, bias[o]);
        sb_err err = sb_check_fits_i32(c, r.partial, "the accumulator");
        if (err != SB_OK) {
            return prefix_channel(c, err, o);
        }
        struct sb_interval y = sb_interval_round_shr(sb_interval_scale(r.whole, mult[o]), shift[o]);
        all = o == 0 ? y : sb_interval_hull(all, y);
    }
    sb_prove_clamped(c, all);
    return SB_OK;
}

sb_err sb_linear_fx_prove(const struct sb_check *c, struct sb_linear l, uint32_t shift_attr)
{
    const int32_t *w = c->in[SB_IN_FX_W]->data;
    const int64_t *bias = c->in[SB_IN_FX_BIAS]->data;
    unsigned shift = (unsigned)c->attrs[shift_attr];
    struct sb_interval all = {0, 0};
    for (uint64_t o = 0; o < l.out_count; o++) {
        int64_t positive = 0; /* at most 2^28 terms below 2^31 */
        int64_t negative = 0;
        for (uint64_t i = 0; i < l.row_elements; i++) {
            int64_t weight = w[o * l.row_elements + i];
            positive += weight > 0 ? weight : 0;
            negative += weight < 0 ? weight : 0;
        }
        struct row_range r = range_of_row(c->in[SB_IN_FX_X], positive, negative, bias[o]);
        sb_err err =
            sb_check_fits_i64(c, sb_interval_with_half(r.partial, shift), "the accumulator");
        if (err != SB_OK) {
            return prefix_channel(c, err, o);
        }
        struct sb_interval y = sb_interval_round_shr(r.whole, shift);
        all = o == 0 ? y : sb_interval_hull(all, y);
    }
    sb_prove_clamped(c, all);
    return SB_OK;
}

static uint64_t padded(uint64_t value, uint64_t tile)
{
    return (value + tile - 1) / tile * tile;
}

void sb_linear_units(struct sb_units *units, struct sb_gemm_dims d, uint64_t groups, bool wide)
{
    bool few_rows = d.m < 4;
    enum sb_gas_class mac = wide       ? SB_GAS_CLASS_WIDE_MAC
                            : few_rows ? SB_GAS_CLASS_GEMV_MAC
                                       : SB_GAS_CLASS_DENSE_MAC;
    uint64_t rows = few_rows ? d.m : padded(d.m, 4);
    uint64_t macs =
        sat_mul_u64(sat_mul_u64(sat_mul_u64(rows, padded(d.n, 16)), padded(d.k, 4)), groups);
    sb_units_add(units, mac, macs);
    sb_units_add(units, SB_GAS_CLASS_ROW, sat_mul_u64(4, sat_mul_u64(d.m, groups)));
}

void sb_linear_cost(const struct sb_check *c, struct sb_gemm_dims d, uint64_t groups)
{
    bool wide = c->in[SB_IN_LINEAR_X]->desc.dtype == SB_DTYPE_I16;
    sb_linear_units(&c->node->units, d, groups, wide);
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
}

void sb_linear_fx_cost(const struct sb_check *c, struct sb_gemm_dims d, uint64_t groups)
{
    uint64_t macs = sat_mul_u64(sat_mul_u64(sat_mul_u64(d.m, d.n), padded(d.k, 4)), groups);
    sb_units_add(&c->node->units, SB_GAS_CLASS_FX_MAC, macs);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, sat_mul_u64(d.m, groups));
    /* a sum of 64 bits takes as long to finish as three of 32 */
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, sat_mul_u64(c->out->count, 3));
}

struct sb_product sb_linear_product(const struct sb_tensor *const *in, const struct sb_tensor *out,
                                    size_t group, size_t n, size_t k)
{
    const struct sb_tensor_desc *y = &out->desc;
    return (struct sb_product){
        .n = n,
        .pieces = 1,
        .piece_elements = k,
        .x_zero_point = in[SB_IN_LINEAR_X]->desc.quant.zero_point,
        .w = (const int8_t *)in[SB_IN_LINEAR_W]->data + group * n * k,
        .bias = (const int32_t *)in[SB_IN_LINEAR_BIAS]->data + group * n,
        .mult = (const int32_t *)in[SB_IN_LINEAR_MULT]->data + group * n,
        .shift = (const uint8_t *)in[SB_IN_LINEAR_SHIFT]->data + group * n,
        .y = {.dtype = y->dtype, .zero_point = y->quant.zero_point, .lo = y->lo, .hi = y->hi},
    };
}

void *sb_linear_alloc(struct sb_arena *memory, size_t bytes)
{
    uint8_t *place = sb_arena_alloc(memory, bytes + SB_TENSOR_ALIGN_BYTES);
    size_t misfit = (uintptr_t)place % SB_TENSOR_ALIGN_BYTES;
    return place == NULL ? NULL : place + (SB_TENSOR_ALIGN_BYTES - misfit);
}

/* The weights of all groups, arranged once for all operators without groups that share them. */
static const int8_t *prepare_weights(const struct sb_prepare *p, size_t groups, size_t n, size_t k)
{
    struct sb_tensor *w = p->in[SB_IN_LINEAR_W];
    enum sb_dtype x_dtype = p->in[SB_IN_LINEAR_X]->desc.dtype;
    size_t kind = sb_dtype_bytes(x_dtype) - 1;
    size_t group_bytes = sb_pack_weight_bytes(n, k, x_dtype);
    if (groups == 1 && w->packed[kind] != NULL) {
        return w->packed[kind];
    }
    int8_t *packed = sb_linear_alloc(p->memory, groups * group_bytes);
    for (size_t g = 0; packed != NULL && g < groups; g++) {
        struct sb_product a =
            sb_linear_product((const struct sb_tensor *const *)p->in, p->out, g, n, k);
        sb_pack_weights(packed + g * group_bytes, &a, x_dtype);
    }
    w->packed[kind] = groups == 1 ? packed : NULL;
    return packed;
}

const struct sb_packed *sb_linear_prepare(const struct sb_prepare *p, size_t groups, size_t n,
                                          size_t k)
{
    enum sb_dtype x_dtype = p->in[SB_IN_LINEAR_X]->desc.dtype;
    if (!sb_pack_wanted(p->level, n)) {
        return NULL;
    }
    const int8_t *weights = prepare_weights(p, groups, n, k);
    struct sb_packed *packed = sb_arena_array(p->memory, groups, sizeof *packed);
    uint8_t *ends = sb_arena_array(p->memory, groups, sb_pack_end_bytes(n));
    if (weights == NULL || packed == NULL || ends == NULL) {
        return NULL;
    }
    for (size_t g = 0; g < groups; g++) {
        struct sb_product a =
            sb_linear_product((const struct sb_tensor *const *)p->in, p->out, g, n, k);
        sb_pack_ends(&packed[g], ends + g * sb_pack_end_bytes(n),
                     weights + g * sb_pack_weight_bytes(n, k, x_dtype), &a, x_dtype, p->level);
    }
    return packed;
}

void sb_linear_run(const struct sb_exec *e, struct sb_product *a, size_t group,
                   const void *const *x, size_t y_index)
{
    const struct sb_packed *packed = e->prepared;
    void *y = sb_element_at_mut(e->out, a->y.dtype, y_index);
    a->packed = packed != NULL ? &packed[group] : NULL;
    enum sb_dtype x_dtype = e->in_tensor[SB_IN_LINEAR_X]->desc.dtype;
    if (x_dtype == SB_DTYPE_I8) {
        e->kernels->product_i8(y, x, a);
    } else if (x_dtype == SB_DTYPE_U8) {
        e->kernels->product_u8(y, x, a);
    } else {
        e->kernels->product_i16(y, x, a);
    }
}

void sb_linear_fx_run(const struct sb_linear_fx_rows *r, const int32_t *x, size_t y_index,
                      int64_t *acc)
{
    const struct sb_exec *e = r->exec;
    const struct sb_tensor_desc *yd = &e->out_tensor->desc;
    const int32_t *w = (const int32_t *)e->in[SB_IN_FX_W] + r->first_out * r->d.k;
    const int64_t *bias = (const int64_t *)e->in[SB_IN_FX_BIAS] + r->first_out;
    int32_t *y = (int32_t *)e->out + y_index;
    e->kernels->gemm_fx(acc, x, w, bias, r->d);
    for (size_t m = 0; m < r->d.m; m++) {
        for (size_t n = 0; n < r->d.n; n++) {
            y[m * r->y_stride + n] =
                (int32_t)sb_clamp_i64(sb_round_shr(acc[m * r->d.n + n], r->shift), yd->lo, yd->hi);
        }
    }
}
