/* fees.c: the two fees that a block derives from its parent: base fee (EIP-1559) and blob base fee (EIP-4844, EIP-7918). */
#include "base/util/checked.h"
#include "vm/exec/exec.h"

#define BASE_FEE_CHANGE_DENOMINATOR 8u
#define GAS_ELASTICITY              2u
#define BLOB_BASE_COST              8192u /* EIP-7918 */

static const sb_u256 k_u256_max = {.w = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

/* base * part / whole, at most 2^256 - 1. */
static sb_u256 scale(const sb_u256 *base, uint64_t part, uint64_t whole)
{
    sb_u256 product;
    if (sb_u256_mul_u64(&product, base, part)) {
        return k_u256_max;
    }
    sb_u256 divisor = sb_u256_from_u64(whole);
    return sb_u256_div(&product, &divisor);
}

sb_u256 sb_base_fee_next(uint64_t parent_gas_limit, uint64_t parent_gas_used,
                         const sb_u256 *parent_base_fee)
{
    uint64_t target = parent_gas_limit / GAS_ELASTICITY;
    const sb_u256 denominator = sb_u256_from_u64(BASE_FEE_CHANGE_DENOMINATOR);
    if (parent_gas_used == target || target == 0) {
        return *parent_base_fee;
    }
    if (parent_gas_used < target) {
        sb_u256 delta = scale(parent_base_fee, target - parent_gas_used, target);
        delta = sb_u256_div(&delta, &denominator);
        return sb_u256_sub(parent_base_fee, &delta);
    }
    sb_u256 delta = scale(parent_base_fee, parent_gas_used - target, target);
    delta = sb_u256_div(&delta, &denominator);
    if (sb_u256_is_zero(&delta)) {
        delta = sb_u256_from_u64(1);
    }
    sb_u256 next;
    return sb_u256_add_carry(&next, parent_base_fee, &delta) ? k_u256_max : next;
}

/* e^(excess / fraction) by its Taylor series in integers, exactly as EIP-4844's fake_exponential(1, excess, fraction) writes it. A
 * value over 2^256 - 1 is that. The terms fall once i passes excess / fraction, and a sum below 2^256 keeps that under 178, so the
 * loop ends after some hundred rounds. */
sb_u256 sb_blob_base_fee(uint64_t excess_blob_gas, uint64_t update_fraction)
{
    if (update_fraction == 0) {
        return sb_u256_from_u64(1);
    }
    const sb_u256 fraction = sb_u256_from_u64(update_fraction);
    sb_u256 sum = sb_u256_zero();
    sb_u256 term = fraction;
    for (uint64_t i = 1; !sb_u256_is_zero(&term); i++) {
        sb_u256 divisor;
        if (sb_u256_add_carry(&sum, &sum, &term) ||
            sb_u256_mul_u64(&term, &term, excess_blob_gas) ||
            sb_u256_mul_u64(&divisor, &fraction, i)) {
            return k_u256_max;
        }
        term = sb_u256_div(&term, &divisor);
    }
    return sb_u256_div(&sum, &fraction);
}

/* EIP-7918: while blobs cost less than the execution gas that one is worth, the excess does not fall below what was used. */
static bool below_reserve_price(const struct sb_rules *rules, uint64_t excess,
                                const sb_u256 *base_fee)
{
    sb_u256 blob_fee = sb_blob_base_fee(excess, rules->blob_base_fee_update_fraction);
    sb_u256 blob_price;
    sb_u256 reserve;
    if (sb_u256_mul_u64(&blob_price, &blob_fee, SB_BLOB_GAS)) {
        return false;
    }
    return sb_u256_mul_u64(&reserve, base_fee, BLOB_BASE_COST) || sb_u256_lt(&blob_price, &reserve);
}

uint64_t sb_excess_blob_gas_next(const struct sb_rules *rules, uint64_t parent_excess,
                                 uint64_t parent_blob_gas_used, const sb_u256 *parent_base_fee)
{
    uint64_t target = rules->blobs_per_block_target * SB_BLOB_GAS;
    uint64_t sum = sat_add_u64(parent_excess, parent_blob_gas_used);
    if (sum < target) {
        return 0;
    }
    if (rules->revision >= SB_REV_OSAKA &&
        below_reserve_price(rules, parent_excess, parent_base_fee)) {
        uint64_t max = rules->blobs_per_block_max;
        uint64_t share = sat_mul_u64(parent_blob_gas_used, max - rules->blobs_per_block_target);
        return sat_add_u64(parent_excess, share / max);
    }
    return sum - target;
}
