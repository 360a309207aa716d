/* convert.c: real numbers (SD59x18: a 256-bit two's complement integer, 18 decimals) to raw elements and back. Spec:
 * docs/spec/numerics.md 2.2.
 *
 *     raw = round(x / 10^18 * 2^shift / mult) + zero_point          x: the 256-bit word as an integer
 *     x   = round((raw - zero_point) * mult * 10^18 / 2^shift)
 *
 * Clamping before rounding is the same as after it, because the ends of the range are themselves raw elements. The clamp here is done
 * first and coarsely, on |x| < 2^155, so that every product below fits 256 bits. */
#include "base/util/assert.h"
#include "vm/tensor/round.h"
#include "vm/tensor/run.h"

#define SD59X18_ONE UINT64_C(1000000000000000000)

/* |value| and its sign. */
struct signed_magnitude {
    sb_u256 magnitude;
    bool negative;
};

/* floor(n / d) of a signed numerator: away from zero for negatives with a remainder. */
static struct signed_magnitude floor_div(struct signed_magnitude n, const sb_u256 *d)
{
    struct signed_magnitude q = {.negative = n.negative};
    sb_u256 remainder;
    sb_u256_divmod(&q.magnitude, &remainder, &n.magnitude, d);
    if (n.negative && !sb_u256_is_zero(&remainder)) {
        sb_u256 one = sb_u256_from_u64(1);
        q.magnitude = sb_u256_add(&q.magnitude, &one);
    }
    return q;
}

/* a + b with b >= 0. */
static struct signed_magnitude add_positive(struct signed_magnitude a, const sb_u256 *b)
{
    if (!a.negative) {
        return (struct signed_magnitude){.magnitude = sb_u256_add(&a.magnitude, b)};
    }
    bool crosses = !sb_u256_lt(b, &a.magnitude);
    return (struct signed_magnitude){
        .magnitude = crosses ? sb_u256_sub(b, &a.magnitude) : sb_u256_sub(&a.magnitude, b),
        .negative = !crosses,
    };
}

static struct signed_magnitude split(const sb_u256 *word)
{
    bool negative = sb_u256_is_negative(word);
    return (struct signed_magnitude){.magnitude = negative ? sb_u256_neg(word) : *word,
                                     .negative = negative};
}

int64_t sb_input_from_real(const struct sb_tensor_desc *input, const sb_u256 *real)
{
    struct signed_magnitude x = split(real);
    /* The greatest magnitude that a range can hold: (2^63 + 2^31) * 2^31 * 10^18 < 2^155. */
    if (sb_u256_bit_len(&x.magnitude) > 155) {
        return x.negative ? input->lo : input->hi;
    }
    /* floor((x * 2^(shift+1) + mult * 10^18) / (2 * mult * 10^18)); at most 155 + 63 bits. Without the half for floor. */
    sb_u256 mult = sb_u256_from_u64(input->quant.scale_mult);
    sb_u256 half;
    (void)sb_u256_mul_u64(&half, &mult, SD59X18_ONE);
    sb_u256 divisor = sb_u256_shl(&half, 1);
    struct signed_magnitude n = {
        .magnitude = sb_u256_shl(&x.magnitude, (uint64_t)input->quant.scale_shift + 1),
        .negative = x.negative,
    };
    if (input->rounding == SB_ROUND_NEAREST) {
        n = add_positive(n, &half);
    }
    struct signed_magnitude q = floor_div(n, &divisor);
    if (sb_u256_bit_len(&q.magnitude) > 64) {
        return q.negative ? input->lo : input->hi;
    }
    sb_i128 raw = q.negative ? -(sb_i128)q.magnitude.w[0] : (sb_i128)q.magnitude.w[0];
    raw += input->quant.zero_point;
    return raw < input->lo ? input->lo : raw > input->hi ? input->hi : (int64_t)raw;
}

sb_u256 sb_output_to_real(const struct sb_tensor_desc *output, int64_t raw)
{
    sb_i128 value = (sb_i128)raw - output->quant.zero_point;
    sb_u128 magnitude = value < 0 ? (sb_u128)-value : (sb_u128)value;
    struct signed_magnitude n = {
        .magnitude = {.w = {(uint64_t)magnitude, (uint64_t)(magnitude >> 64), 0, 0}},
        .negative = value < 0};
    (void)sb_u256_mul_u64(&n.magnitude, &n.magnitude, output->quant.scale_mult);
    (void)sb_u256_mul_u64(&n.magnitude, &n.magnitude, SD59X18_ONE);
    sb_u256 one = sb_u256_from_u64(1);
    sb_u256 divisor = sb_u256_shl(&one, output->quant.scale_shift);
    if (output->quant.scale_shift > 0) {
        sb_u256 half = sb_u256_shl(&one, (uint64_t)output->quant.scale_shift - 1);
        n = add_positive(n, &half);
    }
    struct signed_magnitude q = floor_div(n, &divisor);
    return q.negative ? sb_u256_neg(&q.magnitude) : q.magnitude;
}
