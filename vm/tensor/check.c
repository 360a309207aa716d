/* check.c: what the operators' verification functions share: type and shape tests with their messages, and interval arithmetic.
 *
 * Intervals are 128 bits wide: the largest value formed is a product of three factors below 2^33, 2^33 and 2^31, or a sum of 2^28
 * products of two 32-bit numbers, so no interval operation can overflow. */
#include <inttypes.h>

#include "base/util/assert.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

sb_err sb_check_dtype(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                      uint32_t dtype_bits)
{
    if ((dtype_bits >> t->desc.dtype & 1) == 0) {
        return sb_fail(c->diag, SB_E_TYPE,
                       "%s '%s' has type %s, which the operator does not take there", what, t->name,
                       sb_dtype_name(t->desc.dtype));
    }
    return SB_OK;
}

sb_err sb_check_const(const struct sb_check *c, const struct sb_tensor *t, const char *what)
{
    if (t->desc.kind != SB_TENSOR_CONST) {
        return sb_fail(c->diag, SB_E_TYPE, "%s '%s' must be a constant of the file", what, t->name);
    }
    return SB_OK;
}

sb_err sb_check_rank(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                     uint32_t rank)
{
    if (t->desc.shape.rank != rank) {
        return sb_fail(c->diag, SB_E_SHAPE, "%s '%s' has rank %" PRIu32 " instead of %" PRIu32,
                       what, t->name, t->desc.shape.rank, rank);
    }
    return SB_OK;
}

sb_err sb_check_shape(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                      const struct sb_shape *want)
{
    const struct sb_shape *have = &t->desc.shape;
    if (have->rank != want->rank) {
        return sb_check_rank(c, t, what, want->rank);
    }
    for (uint32_t i = 0; i < want->rank; i++) {
        if (have->dims[i] != want->dims[i]) {
            return sb_fail(c->diag, SB_E_SHAPE,
                           "%s '%s': dimension %" PRIu32 " is %" PRIu32 " instead of %" PRIu32,
                           what, t->name, i, have->dims[i], want->dims[i]);
        }
    }
    return SB_OK;
}

sb_err sb_check_vector(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                       enum sb_dtype dtype, uint64_t count)
{
    SB_TRY(sb_check_const(c, t, what));
    SB_TRY(sb_check_dtype(c, t, what, 1u << dtype));
    SB_TRY(sb_check_rank(c, t, what, 1));
    if (t->desc.shape.dims[0] != count) {
        return sb_fail(c->diag, SB_E_SHAPE, "%s '%s' has %" PRIu32 " elements instead of %" PRIu64,
                       what, t->name, t->desc.shape.dims[0], count);
    }
    return SB_OK;
}

sb_err sb_check_const_range(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                            int64_t lo, int64_t hi)
{
    if (t->desc.lo < lo || t->desc.hi > hi) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "%s '%s' holds values in [%" PRId64 ", %" PRId64 "]; allowed is [%" PRId64
                       ", %" PRId64 "]",
                       what, t->name, t->desc.lo, t->desc.hi, lo, hi);
    }
    return SB_OK;
}

sb_err sb_check_attr(const struct sb_check *c, uint32_t index, const char *name, int64_t lo,
                     int64_t hi)
{
    SB_ASSERT(index < c->node->attr_count);
    if (c->attrs[index] < lo || c->attrs[index] > hi) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "attribute %s is %" PRId64 "; allowed is %" PRId64 " .. %" PRId64, name,
                       c->attrs[index], lo, hi);
    }
    return SB_OK;
}

sb_err sb_check_same_quant(const struct sb_check *c, const struct sb_tensor *t, const char *what)
{
    if (t->desc.dtype != c->out->desc.dtype ||
        t->desc.quant.zero_point != c->out->desc.quant.zero_point) {
        return sb_fail(c->diag, SB_E_TYPE, "%s '%s' and the output differ in type or zero point",
                       what, t->name);
    }
    return SB_OK;
}

/* An interval's end as text for messages: it may need 128 bits. */
static int64_t saturated(sb_i128 v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

static sb_err check_fits(const struct sb_check *c, struct sb_interval v, const char *what,
                         int64_t lo, int64_t hi, int bits)
{
    if (v.lo < lo || v.hi > hi) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "%s can reach [%" PRId64 ", %" PRId64 "] and overflow %d bits", what,
                       saturated(v.lo), saturated(v.hi), bits);
    }
    return SB_OK;
}

sb_err sb_check_fits_i32(const struct sb_check *c, struct sb_interval v, const char *what)
{
    return check_fits(c, v, what, INT32_MIN, INT32_MAX, 32);
}

sb_err sb_check_fits_i64(const struct sb_check *c, struct sb_interval v, const char *what)
{
    return check_fits(c, v, what, INT64_MIN, INT64_MAX, 64);
}

void sb_prove_clamped(const struct sb_check *c, struct sb_interval value)
{
    const struct sb_tensor_desc *d = &c->out->desc;
    sb_i128 lo = value.lo + d->quant.zero_point;
    sb_i128 hi = value.hi + d->quant.zero_point;
    c->out->lo = lo < d->lo ? d->lo : lo > d->hi ? d->hi : (int64_t)lo;
    c->out->hi = hi < d->lo ? d->lo : hi > d->hi ? d->hi : (int64_t)hi;
}

sb_err sb_prove_moved(const struct sb_check *c, struct sb_interval value)
{
    const struct sb_tensor_desc *d = &c->out->desc;
    if (value.lo < d->lo || value.hi > d->hi) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "elements moved are in [%" PRId64 ", %" PRId64
                       "], the output's range is [%" PRId64 ", %" PRId64 "]",
                       saturated(value.lo), saturated(value.hi), d->lo, d->hi);
    }
    c->out->lo = (int64_t)value.lo;
    c->out->hi = (int64_t)value.hi;
    return SB_OK;
}

struct sb_interval sb_interval_of(const struct sb_tensor *t)
{
    return (struct sb_interval){.lo = (sb_i128)t->lo - t->desc.quant.zero_point,
                                .hi = (sb_i128)t->hi - t->desc.quant.zero_point};
}

struct sb_interval sb_interval_add(struct sb_interval a, struct sb_interval b)
{
    return (struct sb_interval){.lo = a.lo + b.lo, .hi = a.hi + b.hi};
}

struct sb_interval sb_interval_hull(struct sb_interval a, struct sb_interval b)
{
    return (struct sb_interval){.lo = a.lo < b.lo ? a.lo : b.lo, .hi = a.hi > b.hi ? a.hi : b.hi};
}

struct sb_interval sb_interval_mul(struct sb_interval a, struct sb_interval b)
{
    sb_i128 p = a.lo * b.lo;
    sb_i128 q = a.lo * b.hi;
    struct sb_interval left = {.lo = p < q ? p : q, .hi = p < q ? q : p};
    p = a.hi * b.lo;
    q = a.hi * b.hi;
    struct sb_interval right = {.lo = p < q ? p : q, .hi = p < q ? q : p};
    return sb_interval_hull(left, right);
}

struct sb_interval sb_interval_scale(struct sb_interval a, int64_t factor)
{
    return sb_interval_mul(a, (struct sb_interval){.lo = factor, .hi = factor});
}

struct sb_interval sb_interval_with_half(struct sb_interval a, unsigned shift)
{
    return (struct sb_interval){.lo = a.lo,
                                .hi = a.hi + (shift == 0 ? 0 : (sb_i128)1 << (shift - 1))};
}

struct sb_interval sb_interval_round_shr(struct sb_interval a, unsigned shift)
{
    SB_ASSERT(a.lo >= INT64_MIN && sb_interval_with_half(a, shift).hi <= INT64_MAX);
    return (struct sb_interval){.lo = sb_round_shr((int64_t)a.lo, shift),
                                .hi = sb_round_shr((int64_t)a.hi, shift)};
}
