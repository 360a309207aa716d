/* test_secp256k1.c: account addresses and recovery against ethereum/tests and geth's vectors, and the ranges of r, s and v. */
#include "base/crypto/secp256k1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/num/u256.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

static const uint8_t k_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
};

static void secp256k1_addresses_of_secrets_equal_the_vectors(void **state)
{
    (void)state;
    json_t *root =
        sb_vectors_load("ethereum/basics.tar.zst", "ethereum-tests/BasicTests/keyaddrtest.json");
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    assert_non_null(ctx);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        uint8_t secret[32], addr[20];
        assert_int_equal(sb_vectors_hex(secret, 32, json_object_get(entry, "key")), 32);
        assert_int_equal(sb_vectors_hex(addr, 20, json_object_get(entry, "addr")), 20);
        sb_addr got;
        assert_int_equal(sb_secp256k1_secret_address(&got, ctx, secret), SB_OK);
        assert_memory_equal(got.b, addr, 20);
    }
    assert_true(json_array_size(root) > 0);
    sb_secp256k1_free(ctx);
    json_decref(root);
}

static void secp256k1_ecrecover_vectors_of_geth_agree(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("ethereum/precompiles.tar.zst",
                                   "geth-precompiles/precompiles/ecRecover.json");
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        uint8_t input[256] = {0}, expected[32];
        (void)sb_vectors_hex(input, sizeof input, json_object_get(entry, "Input"));
        size_t expected_len =
            sb_vectors_hex(expected, sizeof expected, json_object_get(entry, "Expected"));
        sb_u256 v = sb_u256_load_be(input + 32, 32);
        struct sb_secp256k1_signature signature;
        sb_hash hash;
        sb_addr addr;
        memcpy(hash.b, input, 32);
        memcpy(signature.rs, input + 64, 64);
        bool v_fits = sb_u256_fits_u64(&v) && (v.w[0] == 27 || v.w[0] == 28);
        signature.recovery_id = v_fits ? (uint8_t)(v.w[0] - 27) : 4;
        sb_err err = sb_secp256k1_recover_address(&addr, &signature, &hash);
        assert_int_equal(err, expected_len == 0 ? SB_E_SIGNATURE : SB_OK);
        if (err == SB_OK) {
            assert_memory_equal(addr.b, expected + 12, 20);
        }
    }
    json_decref(root);
}

static void secp256k1_signatures_verify_and_recover_and_are_low(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("secp256k1_signatures_verify_and_recover_and_are_low");
    uint8_t seed[32];
    sb_random_fill(&random, seed, sizeof seed);
    struct sb_secp256k1 *plain = sb_secp256k1_new(NULL);
    struct sb_secp256k1 *blinded = sb_secp256k1_new(seed);
    sb_u256 order = sb_u256_load_be(k_order, 32);
    for (int i = 0; i < 50; i++) {
        uint8_t secret[32], public_key[64], recovered[64];
        sb_hash hash;
        struct sb_secp256k1_signature signature, again;
        sb_random_fill(&random, secret, sizeof secret);
        sb_random_fill(&random, hash.b, sizeof hash.b);
        assert_int_equal(sb_secp256k1_public_key(public_key, plain, secret), SB_OK);
        assert_int_equal(sb_secp256k1_sign(&signature, plain, secret, &hash), SB_OK);
        assert_int_equal(sb_secp256k1_sign(&again, blinded, secret, &hash), SB_OK);
        assert_memory_equal(signature.rs, again.rs, 64);
        assert_true(sb_secp256k1_is_low_s(signature.rs));
        assert_true(sb_secp256k1_verify(signature.rs, &hash, public_key));
        assert_int_equal(sb_secp256k1_recover(recovered, &signature, &hash), SB_OK);
        assert_memory_equal(recovered, public_key, 64);
        /* The mirror image: s' = n - s with the other parity. */
        sb_u256 s = sb_u256_load_be(signature.rs + 32, 32);
        s = sb_u256_sub(&order, &s);
        sb_u256_store_be(again.rs + 32, &s);
        again.recovery_id ^= 1;
        assert_false(sb_secp256k1_is_low_s(again.rs));
        assert_true(sb_secp256k1_verify(again.rs, &hash, public_key));
        assert_int_equal(sb_secp256k1_recover(recovered, &again, &hash), SB_OK);
        assert_memory_equal(recovered, public_key, 64);
        hash.b[0] ^= 1;
        assert_false(sb_secp256k1_verify(signature.rs, &hash, public_key));
    }
    sb_secp256k1_free(plain);
    sb_secp256k1_free(blinded);
}

static void secp256k1_numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    uint8_t zero[32] = {0}, public_key[64];
    sb_hash hash = {.b = {1}};
    struct sb_secp256k1_signature good, bad;
    assert_int_equal(sb_secp256k1_public_key(public_key, ctx, zero), SB_E_RANGE);
    assert_int_equal(sb_secp256k1_public_key(public_key, ctx, k_order), SB_E_RANGE);
    assert_int_equal(sb_secp256k1_sign(&good, ctx, k_order, &hash), SB_E_RANGE);
    uint8_t one[32] = {[31] = 1};
    assert_int_equal(sb_secp256k1_sign(&good, ctx, one, &hash), SB_OK);
    for (size_t part = 0; part < 2; part++) {
        bad = good;
        memcpy(bad.rs + 32 * part, zero, 32);
        assert_int_equal(sb_secp256k1_recover(public_key, &bad, &hash), SB_E_SIGNATURE);
        memcpy(bad.rs + 32 * part, k_order, 32);
        assert_int_equal(sb_secp256k1_recover(public_key, &bad, &hash), SB_E_SIGNATURE);
        memset(public_key, 0, sizeof public_key);
        assert_false(sb_secp256k1_verify(bad.rs, &hash, public_key));
    }
    for (unsigned id = 2; id < 256; id += 127) {
        bad = good;
        bad.recovery_id = (uint8_t)id;
        assert_int_equal(sb_secp256k1_recover(public_key, &bad, &hash), SB_E_SIGNATURE);
    }
    sb_secp256k1_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secp256k1_addresses_of_secrets_equal_the_vectors),
        cmocka_unit_test(secp256k1_ecrecover_vectors_of_geth_agree),
        cmocka_unit_test(secp256k1_signatures_verify_and_recover_and_are_low),
        cmocka_unit_test(secp256k1_numbers_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
