/* test_bls12_381.c: laws of the groups and of the pairing on random multiples. The published vectors, with the points that must be refused,
 * are in test_precompile.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "base/crypto/pairing/bls12_381.h"
#include "base/num/u256.h"
#include "tests/support/random.h"

#define G1   SB_BLS_G1_BYTES
#define G2   SB_BLS_G2_BYTES
#define PAIR SB_BLS_PAIR_BYTES

static const sb_u256 k_order = {
    {0xffffffff00000001, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48}};

/* The generator of G1, and of G2. */
static const char k_p[] =
    "0x0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a1"
    "4e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f4"
    "81e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946"
    "c5e7e1";
static const char k_q[] =
    "0x00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4"
    "510b647ae3d1770bac0326a805bbefd48056c8c121bdb80000000000000000000000000000000013e02b"
    "6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d"
    "042b7e000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3"
    "a76d429a695160d12c923ac9cc3baca289e193548608b828010000000000000000000000000000000006"
    "06c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa907"
    "5ff05f79be";

static sb_u256 random_scalar(struct sb_random *random)
{
    sb_u256 k;
    for (int i = 0; i < 4; i++) {
        k.w[i] = sb_random_u64(random);
    }
    return k;
}

static void times_p(uint8_t ret[G1], const sb_u256 *k)
{
    uint8_t term[G1 + SB_BLS_SCALAR_BYTES];
    assert_int_equal(sb_hex_parse(term, G1, k_p, strlen(k_p)), SB_OK);
    sb_u256_store_be(term + G1, k);
    assert_true(sb_bls_g1_msm(ret, term, 1));
}

static void times_q(uint8_t ret[G2], const sb_u256 *k)
{
    uint8_t term[G2 + SB_BLS_SCALAR_BYTES];
    assert_int_equal(sb_hex_parse(term, G2, k_q, strlen(k_q)), SB_OK);
    sb_u256_store_be(term + G2, k);
    assert_true(sb_bls_g2_msm(ret, term, 1));
}

static void groups_random_multiples_obey_their_laws(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("groups_random_multiples_obey_their_laws");
    for (int i = 0; i < 20; i++) {
        sb_u256 a = random_scalar(&random), b = random_scalar(&random);
        a = sb_u256_mod(&a, &k_order);
        sb_u256 total = sb_u256_addmod(&a, &b, &k_order);
        uint8_t p[G2], q[G2], sum[G2], expected[G2];
        times_p(p, &a);
        times_p(q, &b);
        assert_true(sb_bls_g1_add(sum, p, q));
        times_p(expected, &total);
        assert_memory_equal(sum, expected, G1);
        times_q(p, &a);
        times_q(q, &b);
        assert_true(sb_bls_g2_add(sum, p, q));
        times_q(expected, &total);
        assert_memory_equal(sum, expected, G2);
    }
}

/* e(a P, b Q) e(-a b P, Q) = 1, and ten pairs cross a batch. */
static void pairing_is_linear_on_both_sides(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("pairing_is_linear_on_both_sides");
    static const sb_u256 one = {{1, 0, 0, 0}};
    uint8_t pairs[10 * PAIR];
    for (size_t i = 0; i < 10; i += 2) {
        sb_u256 a = random_scalar(&random), b = random_scalar(&random);
        a = sb_u256_mod(&a, &k_order);
        sb_u256 product = sb_u256_mulmod(&a, &b, &k_order);
        product = sb_u256_sub(&k_order, &product);
        times_p(pairs + i * PAIR, &a);
        times_q(pairs + i * PAIR + G1, &b);
        times_p(pairs + (i + 1) * PAIR, &product);
        times_q(pairs + (i + 1) * PAIR + G1, &one);
        bool is_one = false;
        assert_true(sb_bls_pairing(&is_one, pairs, i + 2));
        assert_true(is_one);
        assert_true(sb_bls_pairing(&is_one, pairs, i + 1));
        assert_false(is_one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_random_multiples_obey_their_laws),
        cmocka_unit_test(pairing_is_linear_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
