/* test_ed25519.c: Wycheproof, and the edge cases on which libraries disagree (ed25519-speccheck): the rule is libsodium's. */
#include "base/crypto/ed25519.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vectors.h"

static void ed25519_wycheproof_verdicts_agree(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("consensus/wycheproof/ed25519_test.json", NULL);
    const json_t *groups = json_object_get(root, "testGroups");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        const json_t *tests = json_object_get(group, "tests");
        uint8_t key[32];
        assert_int_equal(
            sb_vectors_hex(key, 32, json_object_get(json_object_get(group, "publicKey"), "pk")),
            32);
        for (size_t k = 0; k < json_array_size(tests); k++) {
            const json_t *test = json_array_get(tests, k);
            uint8_t message[2048], signature[128];
            size_t len = sb_vectors_hex(message, sizeof message, json_object_get(test, "msg"));
            size_t signature_len =
                sb_vectors_hex(signature, sizeof signature, json_object_get(test, "sig"));
            bool valid = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
            /* Other lengths never reach the verifier: the type has 64 bytes. */
            bool got =
                signature_len == 64 && sb_ed25519_verify(signature, sb_span(message, len), key);
            assert_int_equal(got, valid);
            count++;
        }
    }
    assert_int_equal(count, 151);
    json_decref(root);
}

static void ed25519_speccheck_accepts_case_3_alone(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("consensus/ed25519-speccheck/cases.json", NULL);
    assert_int_equal(json_array_size(root), 12);
    for (size_t i = 0; i < 12; i++) {
        const json_t *entry = json_array_get(root, i);
        uint8_t message[64], key[32], signature[64];
        size_t len = sb_vectors_hex(message, sizeof message, json_object_get(entry, "message"));
        assert_int_equal(sb_vectors_hex(key, 32, json_object_get(entry, "pub_key")), 32);
        assert_int_equal(sb_vectors_hex(signature, 64, json_object_get(entry, "signature")), 64);
        assert_int_equal(sb_ed25519_verify(signature, sb_span(message, len), key), i == 3);
    }
    json_decref(root);
}

static void ed25519_own_signatures_verify_and_bend_to_nothing(void **state)
{
    (void)state;
    uint8_t seed[32] = {7}, key[32], secret[64], signature[64];
    sb_ed25519_keypair(key, secret, seed);
    sb_ed25519_sign(signature, secret, sb_span_str("vote"));
    assert_true(sb_ed25519_verify(signature, sb_span_str("vote"), key));
    assert_false(sb_ed25519_verify(signature, sb_span_str("veto"), key));
    for (size_t i = 0; i < 64; i++) {
        signature[i] ^= 1;
        assert_false(sb_ed25519_verify(signature, sb_span_str("vote"), key));
        signature[i] ^= 1;
    }
    sb_ed25519_sign(signature, secret, sb_span(NULL, 0));
    assert_true(sb_ed25519_verify(signature, sb_span(NULL, 0), key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_wycheproof_verdicts_agree),
        cmocka_unit_test(ed25519_speccheck_accepts_case_3_alone),
        cmocka_unit_test(ed25519_own_signatures_verify_and_bend_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
