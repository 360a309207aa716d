/* test_hash.c: SHA-256 and RIPEMD-160 known answers, BLAKE2b's F against geth's vectors and against a whole BLAKE2b. */
#include "base/crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sodium.h>

#include "base/codec/hex.h"
#include "base/crypto/blake2f.h"
#include "base/crypto/sha256_portable.h"
#include "base/util/endian.h"
#include "tests/support/vectors.h"

static void hash_known_messages_give_known_hashes(void **state)
{
    (void)state;
    uint8_t expected[32], got[20];
    sb_hash hash = sb_sha256(sb_span_str("abc"));
    static const char k_sha[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_int_equal(sb_hex_decode(expected, 32, k_sha, 64), SB_OK);
    assert_memory_equal(hash.b, expected, 32);
    hash = sb_sha256(sb_span(NULL, 0));
    sb_hash portable = sb_sha256_portable(sb_span(NULL, 0));
    assert_memory_equal(hash.b, portable.b, 32);
    static const char k_rmd[] = "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc";
    assert_int_equal(sb_hex_decode(expected, 20, k_rmd, 40), SB_OK);
    sb_ripemd160(got, sb_span_str("abc"));
    assert_memory_equal(got, expected, 20);
}

static void load_words(uint64_t *ret, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret[i] = le_load64(bytes + 8 * i);
    }
}

static void blake2f_vectors_of_geth_agree(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("ethereum/precompiles.tar.zst",
                                   "geth-precompiles/precompiles/blake2F.json");
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        uint8_t in[213], expected[64], got[64];
        assert_int_equal(sb_vectors_hex(in, sizeof in, json_object_get(entry, "Input")), 213);
        assert_int_equal(sb_vectors_hex(expected, 64, json_object_get(entry, "Expected")), 64);
        uint64_t h[8], m[16], t[2];
        uint32_t rounds = be_load32(in);
        load_words(h, in + 4, 8);
        load_words(m, in + 68, 16);
        load_words(t, in + 196, 2);
        sb_blake2f(h, m, t, in[212] == 1, rounds);
        for (size_t k = 0; k < 8; k++) {
            le_store64(got + 8 * k, h[k]);
        }
        assert_memory_equal(got, expected, 64);
    }
    assert_true(json_array_size(root) >= 5);
    json_decref(root);
}

/* One block of BLAKE2b-512 is one F of twelve rounds. */
static void blake2f_of_one_block_is_blake2b(void **state)
{
    (void)state;
    uint8_t block[128] = "samebit", expected[64], got[64];
    assert_int_equal(crypto_generichash(expected, 64, block, 7, NULL, 0), 0);
    uint64_t h[8] = {
        0x6a09e667f3bcc908 ^ 0x01010040,
        0xbb67ae8584caa73b,
        0x3c6ef372fe94f82b,
        0xa54ff53a5f1d36f1,
        0x510e527fade682d1,
        0x9b05688c2b3e6c1f,
        0x1f83d9abfb41bd6b,
        0x5be0cd19137e2179,
    };
    uint64_t m[16];
    const uint64_t t[2] = {7, 0};
    load_words(m, block, 16);
    sb_blake2f(h, m, t, true, 12);
    for (size_t k = 0; k < 8; k++) {
        le_store64(got + 8 * k, h[k]);
    }
    assert_memory_equal(got, expected, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_known_messages_give_known_hashes),
        cmocka_unit_test(blake2f_vectors_of_geth_agree),
        cmocka_unit_test(blake2f_of_one_block_is_blake2b),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
