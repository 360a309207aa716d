/* test_hex.c: strictness and round trips of base/codec/hex.h. */
#include "base/codec/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static sb_err parse_u64(uint64_t *ret, const char *text)
{
    return sb_hex_parse_u64(ret, text, strlen(text));
}

static void hex_format_then_parse_gives_the_bytes_back(void **state)
{
    (void)state;
    uint8_t bytes[256], back[256];
    char text[SB_HEX_TEXT_BYTES(256)];
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    sb_hex_format(text, sb_span(bytes, 256));
    assert_int_equal(strlen(text), 2 + 512);
    size_t len = 0;
    assert_int_equal(sb_hex_parse_data(back, &len, 256, text, strlen(text)), SB_OK);
    assert_int_equal(len, 256);
    assert_memory_equal(back, bytes, 256);
    assert_int_equal(sb_hex_parse_data(back, &len, 255, text, strlen(text)), SB_E_LIMIT);
    assert_int_equal(sb_hex_parse_data(back, &len, 256, "0x", 2), SB_OK);
    assert_int_equal(len, 0);
}

static void hex_upper_case_digits_are_read(void **state)
{
    (void)state;
    uint8_t bytes[2];
    assert_int_equal(sb_hex_decode(bytes, 2, "aBCd", 4), SB_OK);
    assert_int_equal(bytes[0], 0xab);
    assert_int_equal(bytes[1], 0xcd);
}

static void hex_malformed_data_is_refused_and_nothing_written(void **state)
{
    (void)state;
    uint8_t bytes[2] = {7, 7};
    size_t len = 99;
    assert_int_equal(sb_hex_parse(bytes, 2, "abcd", 4), SB_E_SYNTAX);
    assert_int_equal(sb_hex_parse(bytes, 2, "0Xabcd", 6), SB_E_SYNTAX);
    assert_int_equal(sb_hex_parse(bytes, 2, "0xabc", 5), SB_E_SHAPE);
    assert_int_equal(sb_hex_parse(bytes, 2, "0xabcdef", 8), SB_E_SHAPE);
    assert_int_equal(sb_hex_parse(bytes, 2, "0xab g", 6), SB_E_SYNTAX);
    assert_int_equal(sb_hex_parse_data(bytes, &len, 2, "0xa", 3), SB_E_SHAPE);
    assert_int_equal(sb_hex_parse_data(bytes, &len, 2, "", 0), SB_E_SYNTAX);
    assert_int_equal(bytes[0], 7);
    assert_int_equal(bytes[1], 7);
    assert_int_equal(len, 99);
}

static void quantity_canonical_forms_are_read(void **state)
{
    (void)state;
    uint64_t value = 1;
    assert_int_equal(parse_u64(&value, "0x0"), SB_OK);
    assert_int_equal(value, 0);
    assert_int_equal(parse_u64(&value, "0x1A"), SB_OK);
    assert_int_equal(value, 26);
    assert_int_equal(parse_u64(&value, "0xffffffffffffffff"), SB_OK);
    assert_true(value == UINT64_MAX);
}

static void quantity_other_forms_are_refused(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_int_equal(parse_u64(&value, ""), SB_E_SYNTAX);
    assert_int_equal(parse_u64(&value, "0x"), SB_E_SYNTAX);
    assert_int_equal(parse_u64(&value, "1a"), SB_E_SYNTAX);
    assert_int_equal(parse_u64(&value, "0x00"), SB_E_NON_CANONICAL);
    assert_int_equal(parse_u64(&value, "0x01"), SB_E_NON_CANONICAL);
    assert_int_equal(parse_u64(&value, "0x1 "), SB_E_SYNTAX);
    assert_int_equal(parse_u64(&value, "0x-1"), SB_E_SYNTAX);
    assert_int_equal(parse_u64(&value, "0x10000000000000000"), SB_E_RANGE);
    assert_int_equal(value, 5);
}

static void quantity_u256_round_trips_at_each_bit(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 256; bit++) {
        sb_u256 one = sb_u256_from_u64(1);
        sb_u256 value = sb_u256_shl(&one, bit);
        sb_u256 back;
        char text[SB_HEX_U256_BYTES];
        size_t len = sb_hex_format_u256(text, &value);
        assert_int_equal(len, 2 + bit / 4 + 1);
        assert_int_equal(strlen(text), len);
        assert_int_equal(sb_hex_parse_u256(&back, text, len), SB_OK);
        assert_true(sb_u256_equal(&back, &value));
        if (bit < 64) {
            char short_text[SB_HEX_U64_BYTES];
            assert_int_equal(sb_hex_format_u64(short_text, value.w[0]), len);
            assert_string_equal(short_text, text);
        }
    }
    char too_long[2 + 65] = "0x";
    memset(too_long + 2, 'f', 65);
    sb_u256 value;
    assert_int_equal(sb_hex_parse_u256(&value, too_long, 2 + 64), SB_OK);
    assert_int_equal(sb_hex_parse_u256(&value, too_long, 2 + 65), SB_E_RANGE);
    char zero[SB_HEX_U64_BYTES];
    assert_int_equal(sb_hex_format_u64(zero, 0), 3);
    assert_string_equal(zero, "0x0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_format_then_parse_gives_the_bytes_back),
        cmocka_unit_test(hex_upper_case_digits_are_read),
        cmocka_unit_test(hex_malformed_data_is_refused_and_nothing_written),
        cmocka_unit_test(quantity_canonical_forms_are_read),
        cmocka_unit_test(quantity_other_forms_are_refused),
        cmocka_unit_test(quantity_u256_round_trips_at_each_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
