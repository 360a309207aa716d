/* test_bn254.c: laws of the groups and of the pairing on random multiples, and points that must be refused. The published vectors are in
 * test_precompile.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "base/crypto/pairing/bn254.h"
#include "base/num/u256.h"
#include "tests/support/random.h"

#define G1   SB_BN254_G1_BYTES
#define PAIR SB_BN254_PAIR_BYTES

static const sb_u256 k_order = {
    {0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029}};
static const sb_u256 k_modulus = {
    {0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029}};
static const uint8_t k_generator[G1] = {[31] = 1, [63] = 2};

/* Of G2: its generator, twice it, K_FACTOR times it; and a point of the twist outside G2. */
static const char k_q[] = "0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
                          "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
                          "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
                          "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa";
static const char k_twice_q[] = "0x203e205db4f19b37b60121b83a7333706db86431c6d835849957ed8c3928ad79"
                                "27dc7234fd11d3e8c36c59277c3e6f149d5cd3cfa9a62aee49f8130962b4b3b9"
                                "195e8aa5b7827463722b8c153931579d3505566b4edf48d498e185f0509de152"
                                "04bb53b8977e5f92a0bc372742c4830944a59b4fe6b1c0466e2a6dad122b5d2e";
static const char k_factor_q[] =
    "0x27f9a3f377d957f77d7f3e2e220ad214da3e725c4305bb915feefe9b1b6c0627"
    "24ef1e0a25f08d31c11802e072c2b56872fd892a094f4d8e5fc3b2ff4d3569fa"
    "03213011e992f02e2d5facdd8f952168c3fd69caffd19ccb8167b98dabb8a652"
    "09239dcaffab7e1cb8e58ff160723c9567c46b1a0faa01ed00b8102d0f37a8e6";
static const char k_outside[] = "0x0000000000000000000000000000000000000000000000000000000000000001"
                                "0000000000000000000000000000000000000000000000000000000000000002"
                                "2b76c179599bb92a963dac85546a005a777f7c13f6a7b75d5918b6b5808f5fde"
                                "101f7278419308b95099eca02dcee0c5381f4d26d1d62313f057167f064101ce";
static const sb_u256 k_factor = {{0x0fedcba987654321, 0x0123456789abcdef, 0, 0}};

static sb_u256 random_scalar(struct sb_random *random)
{
    sb_u256 k;
    for (int i = 0; i < 4; i++) {
        k.w[i] = sb_random_u64(random);
    }
    return k;
}

static void times(uint8_t ret[G1], const uint8_t point[G1], const sb_u256 *k)
{
    uint8_t scalar[SB_BN254_SCALAR_BYTES];
    sb_u256_store_be(scalar, k);
    assert_true(sb_bn254_mul(ret, point, scalar));
}

static void negate(uint8_t ret[G1], const uint8_t point[G1])
{
    sb_u256 y = sb_u256_load_be(point + 32, 32);
    if (!sb_u256_is_zero(&y)) {
        y = sb_u256_sub(&k_modulus, &y);
    }
    memmove(ret, point, 32);
    sb_u256_store_be(ret + 32, &y);
}

static void set_q(uint8_t *pair, const char *q)
{
    assert_int_equal(sb_hex_parse(pair + G1, PAIR - G1, q, strlen(q)), SB_OK);
}

static bool is_one(const uint8_t *pairs, size_t count)
{
    bool one = false;
    assert_true(sb_bn254_pairing(&one, pairs, count));
    return one;
}

static void group_random_multiples_obey_its_laws(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("group_random_multiples_obey_its_laws");
    for (int i = 0; i < 50; i++) {
        sb_u256 a = random_scalar(&random), b = random_scalar(&random);
        a = sb_u256_mod(&a, &k_order);
        uint8_t p[G1], q[G1], sum[G1], swapped[G1], expected[G1];
        times(p, k_generator, &a);
        times(q, k_generator, &b);
        assert_true(sb_bn254_add(sum, p, q));
        assert_true(sb_bn254_add(swapped, q, p));
        assert_memory_equal(sum, swapped, G1);
        sb_u256 total = sb_u256_addmod(&a, &b, &k_order);
        times(expected, k_generator, &total);
        assert_memory_equal(sum, expected, G1);
        sb_u256 product = sb_u256_mulmod(&a, &b, &k_order);
        times(expected, k_generator, &product);
        times(sum, p, &b);
        assert_memory_equal(sum, expected, G1);
    }
}

static void group_edges_double_cancel_and_stay(void **state)
{
    (void)state;
    static const uint8_t infinity[G1];
    uint8_t p[G1], minus[G1], sum[G1], twice[G1];
    sb_u256 two = sb_u256_from_u64(2), zero = sb_u256_zero(), all = sb_u256_not(&zero);
    times(p, k_generator, &all);
    assert_true(sb_bn254_add(sum, p, p));
    times(twice, p, &two);
    assert_memory_equal(sum, twice, G1);
    negate(minus, p);
    assert_true(sb_bn254_add(sum, p, minus));
    assert_memory_equal(sum, infinity, G1);
    assert_true(sb_bn254_add(sum, infinity, p));
    assert_memory_equal(sum, p, G1);
    assert_true(sb_bn254_add(sum, p, infinity));
    assert_memory_equal(sum, p, G1);
    times(sum, p, &zero);
    assert_memory_equal(sum, infinity, G1);
    times(sum, p, &k_order);
    assert_memory_equal(sum, infinity, G1);
    times(sum, infinity, &all);
    assert_memory_equal(sum, infinity, G1);
}

static void group_small_multiples_are_repeated_sums(void **state)
{
    (void)state;
    uint8_t sum[G1] = {0}, product[G1];
    for (uint64_t i = 0; i < 70; i++) {
        sb_u256 k = sb_u256_from_u64(i);
        times(product, k_generator, &k);
        assert_memory_equal(sum, product, G1);
        assert_true(sb_bn254_add(sum, sum, k_generator));
    }
}

static void point_wrong_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t p[G1], ret[G1], scalar[SB_BN254_SCALAR_BYTES] = {1};
    sb_u256 one = sb_u256_from_u64(1);
    memcpy(p, k_generator, G1);
    p[63] = 3;
    assert_false(sb_bn254_mul(ret, p, scalar));
    assert_false(sb_bn254_add(ret, p, k_generator));
    assert_false(sb_bn254_add(ret, k_generator, p));
    sb_u256 x = sb_u256_add(&k_modulus, &one); /* the generator's x, but not below p */
    memcpy(p, k_generator, G1);
    sb_u256_store_be(p, &x);
    assert_false(sb_bn254_mul(ret, p, scalar));
    sb_u256_store_be(p, &k_modulus);
    memset(p + 32, 0, 32);
    assert_false(sb_bn254_mul(ret, p, scalar));
}

static void pairing_is_linear_on_both_sides(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("pairing_is_linear_on_both_sides");
    static const sb_u256 two = {{2, 0, 0, 0}};
    for (int i = 0; i < 6; i++) {
        uint8_t pairs[3 * PAIR];
        sb_u256 a = random_scalar(&random), b = random_scalar(&random);
        uint8_t sum[G1];
        for (size_t j = 0; j < 3; j++) {
            set_q(pairs + j * PAIR, k_q);
        }
        times(pairs, k_generator, &a);
        times(pairs + PAIR, k_generator, &b);
        assert_true(sb_bn254_add(sum, pairs, pairs + PAIR));
        negate(pairs + 2 * PAIR, sum);
        assert_true(is_one(pairs, 3));
        assert_false(is_one(pairs, 2));
        /* e(P, n Q) = e(n P, Q) */
        set_q(pairs, i % 2 == 0 ? k_twice_q : k_factor_q);
        times(pairs + PAIR, pairs, i % 2 == 0 ? &two : &k_factor);
        negate(pairs + PAIR, pairs + PAIR);
        assert_true(is_one(pairs, 2));
        negate(pairs + PAIR, pairs + PAIR);
        assert_false(is_one(pairs, 2));
    }
}

static void pairing_many_pairs_with_infinities_cross_batches(void **state)
{
    (void)state;
    uint8_t pairs[20 * PAIR] = {0};
    assert_true(is_one(pairs, 0));
    assert_true(is_one(pairs, 1));
    for (size_t i = 0; i < 20; i++) {
        sb_u256 k = sb_u256_from_u64(i + 1);
        uint8_t *pair = pairs + i * PAIR;
        if (i == 3) {
            memcpy(pair, k_generator, G1); /* (P, infinity) */
        } else if (i == 19) {
            k = sb_u256_from_u64(190 - 4); /* the sum of the others */
            times(pair, k_generator, &k);
            negate(pair, pair);
            set_q(pair, k_q);
        } else {
            times(pair, k_generator, &k);
            set_q(pair, k_q);
        }
    }
    assert_true(is_one(pairs, 20));
    assert_false(is_one(pairs, 19));
    assert_false(is_one(pairs, 8));
}

static void pairing_wrong_points_are_refused(void **state)
{
    (void)state;
    uint8_t pairs[2 * PAIR] = {0};
    bool one = true;
    set_q(pairs + PAIR, k_outside); /* beside infinity too */
    assert_false(sb_bn254_pairing(&one, pairs, 2));
    memcpy(pairs + PAIR, k_generator, G1);
    assert_false(sb_bn254_pairing(&one, pairs, 2));
    set_q(pairs + PAIR, k_q);
    assert_true(sb_bn254_pairing(&one, pairs, 2));
    pairs[PAIR + G1 + 127] ^= 1; /* off the twist */
    assert_false(sb_bn254_pairing(&one, pairs, 2));
    pairs[PAIR + G1 + 127] ^= 1;
    sb_u256_store_be(pairs + PAIR + G1, &k_modulus);
    assert_false(sb_bn254_pairing(&one, pairs, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_random_multiples_obey_its_laws),
        cmocka_unit_test(group_edges_double_cancel_and_stay),
        cmocka_unit_test(group_small_multiples_are_repeated_sums),
        cmocka_unit_test(point_wrong_bytes_are_refused),
        cmocka_unit_test(pairing_is_linear_on_both_sides),
        cmocka_unit_test(pairing_many_pairs_with_infinities_cross_batches),
        cmocka_unit_test(pairing_wrong_points_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
