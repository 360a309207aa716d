/* test_modexp.c: modular powers: geth's vectors, and the EVM's rules for 0 and 1. */
#include "base/crypto/modexp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util/endian.h"
#include "tests/support/vectors.h"

#define INPUT_BYTES_MAX 16384

static void modexp_vectors_of_geth_agree(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("ethereum/precompiles.tar.zst",
                                   "geth-precompiles/precompiles/modexp_eip2565.json");
    static uint8_t in[INPUT_BYTES_MAX], expected[INPUT_BYTES_MAX], got[INPUT_BYTES_MAX];
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        memset(in, 0, sizeof in);
        (void)sb_vectors_hex(in, sizeof in, json_object_get(entry, "Input"));
        size_t expected_len =
            sb_vectors_hex(expected, sizeof expected, json_object_get(entry, "Expected"));
        size_t base_len = be_load64(in + 24), exponent_len = be_load64(in + 56),
               modulus_len = be_load64(in + 88);
        assert_true(96 + base_len + exponent_len + modulus_len <= sizeof in);
        const uint8_t *base = in + 96;
        assert_int_equal(sb_modexp(got, sb_span(base, base_len),
                                   sb_span(base + base_len, exponent_len),
                                   sb_span(base + base_len + exponent_len, modulus_len)),
                         SB_OK);
        assert_int_equal(modulus_len, expected_len);
        assert_memory_equal(got, expected, expected_len);
    }
    assert_true(json_array_size(root) > 10);
    json_decref(root);
}

static void modexp_edges_follow_the_evm(void **state)
{
    (void)state;
    uint8_t got[4];
    const uint8_t zeros[3] = {0, 0, 0}, one[3] = {0, 0, 1}, ten[1] = {10}, three[2] = {0, 3};
    memset(got, 9, 4);
    assert_int_equal(sb_modexp(got, sb_span(ten, 1), sb_span(ten, 1), sb_span(zeros, 3)), SB_OK);
    assert_memory_equal(got, zeros, 3);
    assert_int_equal(got[3], 9);
    assert_int_equal(sb_modexp(got, sb_span(ten, 1), sb_span(NULL, 0), sb_span(one, 3)), SB_OK);
    assert_memory_equal(got, zeros, 3);
    assert_int_equal(sb_modexp(got, sb_span(NULL, 0), sb_span(NULL, 0), sb_span(ten, 1)), SB_OK);
    assert_int_equal(got[0], 1);
    assert_int_equal(sb_modexp(got, sb_span(NULL, 0), sb_span(three, 2), sb_span(ten, 1)), SB_OK);
    assert_int_equal(got[0], 0);
    assert_int_equal(sb_modexp(got, sb_span(three, 2), sb_span(three, 2), sb_span(ten, 1)), SB_OK);
    assert_int_equal(got[0], 7);
    assert_int_equal(sb_modexp(got, sb_span(ten, 1), sb_span(ten, 1), sb_span(NULL, 0)), SB_OK);
    assert_int_equal(sb_modexp(got, sb_span(ten, SB_MODEXP_OPERAND_BYTES_MAX + 1), sb_span(ten, 1),
                               sb_span(ten, 1)),
                     SB_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modexp_vectors_of_geth_agree),
        cmocka_unit_test(modexp_edges_follow_the_evm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
