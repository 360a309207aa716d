/* bls12_381.c: the precompiles of BLS12-381, addresses 0x0b to 0x0f (EIP-2537).
 *
 *                 input                                    output              gas
 *     G1ADD       point 128 | point 128                    point 128           375
 *     G1MSM       k times point 128 | scalar 32            point 128           12,000 k discount(k) / 1000
 *     G2ADD       point 256 | point 256                    point 256           600
 *     G2MSM       k times point 256 | scalar 32            point 256           22,500 k discount(k) / 1000
 *     PAIRING     k times point 128 | point 256            word 1 or 0         37,700 + 32,600 k
 *
 * An input of any other length fails, none at all too, as do numbers not below p, points off their curve and, but for the sums, points
 * outside their subgroup. */
#include "base/crypto/pairing/bls12_381.h"
#include "base/util/checked.h"
#include "vm/precompile/functions.h"

#define GAS_G1_ADD       375u
#define GAS_G2_ADD       600u
#define GAS_G1_MUL       12000u
#define GAS_G2_MUL       22500u
#define GAS_PAIRING      37700u
#define GAS_PAIRING_PAIR 32600u
#define DISCOUNT_COUNT   128
#define DISCOUNT_UNIT    1000u

#define G1_TERM_BYTES    (SB_BLS_G1_BYTES + SB_BLS_SCALAR_BYTES)
#define G2_TERM_BYTES    (SB_BLS_G2_BYTES + SB_BLS_SCALAR_BYTES)

/* Of k terms, at [k - 1], in thousandths; more than 128 pay as 128. */
static const uint16_t k_g1_discount[DISCOUNT_COUNT] = {
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665,
    661,  658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615,
    613,  611, 609, 608, 606, 604, 603, 601, 599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585,
    584,  582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563,
    562,  561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545,
    544,  543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529,
    528,  528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519};
static const uint16_t k_g2_discount[DISCOUNT_COUNT] = {
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699,
    693,  688,  683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629,
    627,  624,  622, 620, 618, 615, 613, 611, 609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592,
    590,  589,  587, 586, 584, 583, 582, 580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567,
    566,  565,  563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548,
    547,  546,  545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533,
    532,  532,  531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524};

/* UINT64_MAX / 1000, more gas than there is, when it does not fit. */
static uint64_t price_of_msm(uint64_t count, uint64_t unit, const uint16_t *discount)
{
    size_t index = count < DISCOUNT_COUNT ? (size_t)count : DISCOUNT_COUNT;
    return sat_mul_u64(sat_mul_u64(count, unit), discount[index - 1]) / DISCOUNT_UNIT;
}

/* Success with these bytes, or failure where there are none to give. */
static sb_err output(struct sb_precompile_result *ret_result, const struct sb_precompile_call *call,
                     bool is_valid, sb_bytes bytes)
{
    if (!is_valid) {
        return sb_precompile_fail(ret_result, call);
    }
    uint8_t *copy = sb_arena_dup(call->arena, bytes);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    ret_result->output = sb_span(copy, bytes.len);
    return SB_OK;
}

sb_err sb_precompile_bls_g1_add(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    uint8_t sum[SB_BLS_G1_BYTES];
    sb_bytes in = call->message->input;
    if (!sb_precompile_pay(ret_result, call, GAS_G1_ADD)) {
        return SB_OK;
    }
    bool is_valid =
        in.len == 2 * SB_BLS_G1_BYTES && sb_bls_g1_add(sum, in.data, in.data + SB_BLS_G1_BYTES);
    return output(ret_result, call, is_valid, sb_span(sum, sizeof sum));
}

sb_err sb_precompile_bls_g2_add(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    uint8_t sum[SB_BLS_G2_BYTES];
    sb_bytes in = call->message->input;
    if (!sb_precompile_pay(ret_result, call, GAS_G2_ADD)) {
        return SB_OK;
    }
    bool is_valid =
        in.len == 2 * SB_BLS_G2_BYTES && sb_bls_g2_add(sum, in.data, in.data + SB_BLS_G2_BYTES);
    return output(ret_result, call, is_valid, sb_span(sum, sizeof sum));
}

sb_err sb_precompile_bls_g1_msm(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    uint8_t sum[SB_BLS_G1_BYTES];
    sb_bytes in = call->message->input;
    size_t count = in.len / G1_TERM_BYTES;
    if (count == 0 || in.len % G1_TERM_BYTES != 0) {
        return sb_precompile_fail(ret_result, call);
    }
    if (!sb_precompile_pay(ret_result, call, price_of_msm(count, GAS_G1_MUL, k_g1_discount))) {
        return SB_OK;
    }
    bool is_valid = sb_bls_g1_msm(sum, in.data, count);
    return output(ret_result, call, is_valid, sb_span(sum, sizeof sum));
}

sb_err sb_precompile_bls_g2_msm(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    uint8_t sum[SB_BLS_G2_BYTES];
    sb_bytes in = call->message->input;
    size_t count = in.len / G2_TERM_BYTES;
    if (count == 0 || in.len % G2_TERM_BYTES != 0) {
        return sb_precompile_fail(ret_result, call);
    }
    if (!sb_precompile_pay(ret_result, call, price_of_msm(count, GAS_G2_MUL, k_g2_discount))) {
        return SB_OK;
    }
    bool is_valid = sb_bls_g2_msm(sum, in.data, count);
    return output(ret_result, call, is_valid, sb_span(sum, sizeof sum));
}

sb_err sb_precompile_bls_pairing(struct sb_precompile_result *ret_result,
                                 const struct sb_precompile_call *call)
{
    static const uint8_t words[2][32] = {{0}, {[31] = 1}};
    sb_bytes in = call->message->input;
    size_t count = in.len / SB_BLS_PAIR_BYTES;
    bool is_one;
    if (count == 0 || in.len % SB_BLS_PAIR_BYTES != 0) {
        return sb_precompile_fail(ret_result, call);
    }
    if (!sb_precompile_pay(ret_result, call, GAS_PAIRING + (uint64_t)GAS_PAIRING_PAIR * count)) {
        return SB_OK;
    }
    if (!sb_bls_pairing(&is_one, in.data, count)) {
        return sb_precompile_fail(ret_result, call);
    }
    ret_result->output = sb_span(words[is_one], sizeof words[is_one]);
    return SB_OK;
}
