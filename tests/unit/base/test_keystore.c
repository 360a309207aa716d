/* test_keystore.c: keystores of other programs open, our own lock and unlock, and costs are bounded. */
#include "base/crypto/keystore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vectors.h"

static uint64_t number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static struct sb_keystore from_json(const json_t *crypto)
{
    const json_t *params = json_object_get(crypto, "kdfparams");
    struct sb_keystore ks = {.kdf = SB_KEYSTORE_PBKDF2};
    if (strcmp(json_string_value(json_object_get(crypto, "kdf")), "scrypt") == 0) {
        ks.kdf = SB_KEYSTORE_SCRYPT;
        ks.scrypt_n = number(params, "n");
        ks.scrypt_r = (uint32_t)number(params, "r");
        ks.scrypt_p = (uint32_t)number(params, "p");
    } else {
        ks.pbkdf2_iteration_count = (uint32_t)number(params, "c");
    }
    ks.salt_len = sb_vectors_hex(ks.salt, sizeof ks.salt, json_object_get(params, "salt"));
    assert_int_equal(
        sb_vectors_hex(ks.iv, 16, json_object_get(json_object_get(crypto, "cipherparams"), "iv")),
        16);
    assert_int_equal(sb_vectors_hex(ks.ciphertext, 32, json_object_get(crypto, "ciphertext")), 32);
    assert_int_equal(sb_vectors_hex(ks.mac.b, 32, json_object_get(crypto, "mac")), 32);
    return ks;
}

static void keystore_public_vectors_open(void **state)
{
    (void)state;
    json_t *root =
        sb_vectors_load("ethereum/basics.tar.zst", "ethereum-tests/KeyStoreTests/basic_tests.json");
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        const json_t *json = json_object_get(entry, "json");
        struct sb_keystore ks = from_json(json_object_get(json, "crypto"));
        uint8_t secret[32], expected[32];
        assert_int_equal(sb_vectors_hex(expected, 32, json_object_get(entry, "priv")), 32);
        sb_bytes password = sb_span_str(json_string_value(json_object_get(entry, "password")));
        assert_int_equal(sb_keystore_unlock(secret, &ks, password), SB_OK);
        assert_memory_equal(secret, expected, 32);
    }
    assert_int_equal(json_object_size(root), 5);
    json_decref(root);
}

static void keystore_unlocks_what_it_locked_with_that_password_alone(void **state)
{
    (void)state;
    const uint8_t iv[16] = {1, 2, 3};
    const uint8_t secret[32] = {4, 5, 6};
    uint8_t back[32] = {0};
    const uint8_t untouched[32] = {0};
    struct sb_keystore ks = {.kdf = SB_KEYSTORE_SCRYPT,
                             .scrypt_n = 1024,
                             .scrypt_r = 8,
                             .scrypt_p = 1,
                             .salt = {7},
                             .salt_len = 32};
    assert_int_equal(sb_keystore_lock(&ks, secret, sb_span_str("secret"), iv), SB_OK);
    assert_int_equal(sb_keystore_unlock(back, &ks, sb_span_str("Secret")), SB_E_PASSWORD);
    assert_memory_equal(back, untouched, 32);
    assert_int_equal(sb_keystore_unlock(back, &ks, sb_span_str("secret")), SB_OK);
    assert_memory_equal(back, secret, 32);
    ks.ciphertext[0] ^= 1;
    assert_int_equal(sb_keystore_unlock(back, &ks, sb_span_str("secret")), SB_E_PASSWORD);
}

static void keystore_excessive_costs_are_refused_before_the_work(void **state)
{
    (void)state;
    uint8_t secret[32];
    static const struct sb_keystore k_bad[] = {
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 0, .scrypt_r = 8, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 1, .scrypt_r = 8, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 1000, .scrypt_r = 8, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = UINT64_C(1) << 63, .scrypt_r = 8, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 1 << 20, .scrypt_r = 8, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 1 << 18, .scrypt_r = 8, .scrypt_p = 1024},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 2, .scrypt_r = UINT32_MAX, .scrypt_p = UINT32_MAX},
        {.kdf = SB_KEYSTORE_SCRYPT, .scrypt_n = 2, .scrypt_r = 0, .scrypt_p = 1},
        {.kdf = SB_KEYSTORE_PBKDF2, .pbkdf2_iteration_count = 0},
        {.kdf = SB_KEYSTORE_PBKDF2, .pbkdf2_iteration_count = UINT32_MAX},
        {.kdf = SB_KEYSTORE_PBKDF2,
         .pbkdf2_iteration_count = 1,
         .salt_len = SB_KEYSTORE_SALT_BYTES_MAX + 1},
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_equal(sb_keystore_unlock(secret, &k_bad[i], sb_span_str("x")), SB_E_RANGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keystore_public_vectors_open),
        cmocka_unit_test(keystore_unlocks_what_it_locked_with_that_password_alone),
        cmocka_unit_test(keystore_excessive_costs_are_refused_before_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
