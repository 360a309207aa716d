/* test_abi.c: the examples of the ABI specification, round trips, hostile offsets, revert data. */
#include "base/codec/abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/hex.h"

static void assert_hex(const struct sb_buf *buf, const char *expected)
{
    char *text = malloc(2 * buf->len + 1);
    assert_int_equal(sb_buf_err(buf), SB_OK);
    sb_hex_encode(text, sb_buf_bytes(buf));
    text[2 * buf->len] = '\0';
    assert_string_equal(text, expected);
    free(text);
}

#define W(digits) "00000000000000000000000000000000000000000000000000000000" digits

static void abi_selectors_are_known(void **state)
{
    (void)state;
    assert_int_equal(sb_abi_selector("transfer(address,uint256)"), 0xa9059cbb);
    assert_int_equal(sb_abi_selector("Error(string)"), 0x08c379a0);
    assert_int_equal(sb_abi_selector("Panic(uint256)"), 0x4e487b71);
}

/* Specification: sam(bytes,bool,uint256[]) with "dave", true and [1,2,3]. */
static void abi_example_sam_is_written_and_read(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_abi_writer w, items;
    sb_buf_init(&buf, 4096);
    sb_abi_put_selector(&buf, sb_abi_selector("sam(bytes,bool,uint256[])"));
    sb_abi_begin(&w, &buf, 3);
    sb_abi_put_bytes(&w, sb_span_str("dave"));
    sb_abi_put_bool(&w, true);
    sb_abi_put_array(&items, &w, 3, 1);
    for (uint64_t i = 1; i <= 3; i++) {
        sb_abi_put_u64(&items, i);
    }
    sb_abi_end(&items);
    sb_abi_end(&w);
    assert_hex(
        &buf,
        "a5643bf2" W("00000060") W("00000001") W("000000a0")
            W("00000004") "6461766500000000000000000000000000000000000000000000000000000000" W(
                "00000003") W("00000001") W("00000002") W("00000003"));
    uint32_t selector;
    sb_bytes tuple, name, list;
    bool flag;
    size_t count;
    uint64_t value;
    assert_int_equal(sb_abi_read_call(&selector, &tuple, sb_buf_bytes(&buf)), SB_OK);
    assert_int_equal(selector, 0xa5643bf2);
    assert_int_equal(sb_abi_read_bytes(&name, tuple, 0, 3), SB_E_LIMIT);
    assert_int_equal(sb_abi_read_bytes(&name, tuple, 0, 4), SB_OK);
    assert_true(sb_span_equal(name, sb_span_str("dave")));
    assert_int_equal(sb_abi_read_bool(&flag, tuple, 1), SB_OK);
    assert_true(flag);
    assert_int_equal(sb_abi_read_array(&list, &count, tuple, 2, 1, 2), SB_E_LIMIT);
    assert_int_equal(sb_abi_read_array(&list, &count, tuple, 2, 1, 3), SB_OK);
    assert_int_equal(count, 3);
    assert_int_equal(sb_abi_read_u64(&value, list, 2), SB_OK);
    assert_int_equal(value, 3);
    assert_int_equal(sb_abi_read_u64(&value, list, 3), SB_E_TRUNCATED);
    assert_int_equal(sb_abi_read_array(&list, &count, tuple, 2, 2, 3), SB_E_TRUNCATED);
    sb_buf_fini(&buf);
}

/* Specification: g(uint256[][],string[]) with [[1,2],[3]] and ["one","two","three"]: dynamic values inside dynamic values. */
static void abi_nested_arrays_are_written_and_read(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_abi_writer w, outer, inner;
    sb_buf_init(&buf, 4096);
    sb_abi_begin(&w, &buf, 2);
    sb_abi_put_array(&outer, &w, 2, 1);
    sb_abi_put_array(&inner, &outer, 2, 1);
    sb_abi_put_u64(&inner, 1);
    sb_abi_put_u64(&inner, 2);
    sb_abi_end(&inner);
    sb_abi_put_array(&inner, &outer, 1, 1);
    sb_abi_put_u64(&inner, 3);
    sb_abi_end(&inner);
    sb_abi_end(&outer);
    sb_abi_put_array(&outer, &w, 3, 1);
    sb_abi_put_bytes(&outer, sb_span_str("one"));
    sb_abi_put_bytes(&outer, sb_span_str("two"));
    sb_abi_put_bytes(&outer, sb_span_str("three"));
    sb_abi_end(&outer);
    sb_abi_end(&w);
    assert_hex(
        &buf,
        W("00000040") W("00000140") W("00000002") W("00000040") W("000000a0") W("00000002")
            W("00000001") W("00000002") W("00000001") W("00000003") W("00000003") W("00000060") W(
                "000000a0") W("000000e0")
                W("00000003") "6f6e650000000000000000000000000000000000000000000000000000000000" W(
                    "00000003") "74776f000000000000000000000000000000000000000000000000000000000"
                                "0" W("00000005") "746872656500000000000000000000000000000000000000"
                                                  "0000000000000000");
    sb_bytes lists, list, text;
    size_t count;
    uint64_t value;
    assert_int_equal(sb_abi_read_array(&lists, &count, sb_buf_bytes(&buf), 0, 1, 10), SB_OK);
    assert_int_equal(sb_abi_read_array(&list, &count, lists, 1, 1, 10), SB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sb_abi_read_u64(&value, list, 0), SB_OK);
    assert_int_equal(value, 3);
    assert_int_equal(sb_abi_read_array(&lists, &count, sb_buf_bytes(&buf), 1, 1, 10), SB_OK);
    assert_int_equal(sb_abi_read_bytes(&text, lists, 2, 10), SB_OK);
    assert_true(sb_span_equal(text, sb_span_str("three")));
    sb_buf_fini(&buf);
}

static void abi_unclean_words_are_refused(void **state)
{
    (void)state;
    uint8_t tuple[64];
    sb_addr addr;
    bool flag;
    int64_t number;
    uint64_t value;
    memset(tuple, 0xff, sizeof tuple);
    assert_int_equal(sb_abi_read_addr(&addr, sb_span(tuple, 64), 0), SB_E_RANGE);
    assert_int_equal(sb_abi_read_bool(&flag, sb_span(tuple, 64), 0), SB_E_RANGE);
    assert_int_equal(sb_abi_read_u64(&value, sb_span(tuple, 64), 0), SB_E_RANGE);
    assert_int_equal(sb_abi_read_i64(&number, sb_span(tuple, 64), 0), SB_OK);
    assert_int_equal(number, -1);
    tuple[24] = 0x7f;
    assert_int_equal(sb_abi_read_i64(&number, sb_span(tuple, 64), 0), SB_E_RANGE);
    assert_int_equal(sb_abi_read_u64(&value, sb_span(tuple, 63), 1), SB_E_TRUNCATED);
    assert_int_equal(sb_abi_read_u64(&value, sb_span(tuple, 64), SIZE_MAX), SB_E_TRUNCATED);
}

static void abi_hostile_offsets_and_counts_are_refused(void **state)
{
    (void)state;
    uint8_t tuple[64] = {0};
    sb_bytes span;
    size_t count;
    static const uint64_t k_offsets[] = {33, 64, 65, UINT64_MAX, UINT64_MAX - 31};
    for (size_t i = 0; i < sizeof k_offsets / sizeof k_offsets[0]; i++) {
        sb_u256 offset = sb_u256_from_u64(k_offsets[i]);
        sb_u256_store_be(tuple, &offset);
        assert_int_equal(sb_abi_read_bytes(&span, sb_span(tuple, 64), 0, 100), SB_E_TRUNCATED);
    }
    sb_u256 offset = sb_u256_from_u64(32);
    sb_u256_store_be(tuple, &offset);
    assert_int_equal(sb_abi_read_bytes(&span, sb_span(tuple, 64), 0, 100), SB_OK);
    assert_int_equal(span.len, 0);
    memset(tuple + 32, 0xff, 32);
    assert_int_equal(sb_abi_read_bytes(&span, sb_span(tuple, 64), 0, 100), SB_E_TRUNCATED);
    memset(tuple + 32, 0, 24);
    assert_int_equal(sb_abi_read_array(&span, &count, sb_span(tuple, 64), 0, 1 << 20, SIZE_MAX),
                     SB_E_TRUNCATED);
}

static void abi_revert_data_is_told_apart(void **state)
{
    (void)state;
    struct sb_buf buf;
    sb_buf_init(&buf, 4096);
    sb_abi_put_error_string(&buf, "not enough");
    struct sb_abi_revert revert = sb_abi_read_revert(sb_buf_bytes(&buf));
    assert_int_equal(revert.kind, SB_ABI_REVERT_ERROR);
    assert_true(sb_span_equal(revert.message, sb_span_str("not enough")));
    revert = sb_abi_read_revert(sb_span(buf.data, buf.len - 32));
    assert_int_equal(revert.kind, SB_ABI_REVERT_OPAQUE);
    sb_buf_reset(&buf);
    sb_u256 args[2] = {sb_u256_from_u64(0x11), sb_u256_from_u64(5)};
    sb_abi_put_error(&buf, sb_abi_selector("Panic(uint256)"), args, 1);
    revert = sb_abi_read_revert(sb_buf_bytes(&buf));
    assert_int_equal(revert.kind, SB_ABI_REVERT_PANIC);
    assert_string_equal(sb_abi_panic_text(&revert.panic_code), "arithmetic underflow or overflow");
    sb_buf_reset(&buf);
    sb_abi_put_error(&buf, sb_abi_selector("BadInput(uint256,uint256)"), args, 2);
    revert = sb_abi_read_revert(sb_buf_bytes(&buf));
    assert_int_equal(revert.kind, SB_ABI_REVERT_CUSTOM);
    assert_int_equal(revert.selector, sb_abi_selector("BadInput(uint256,uint256)"));
    assert_int_equal(revert.args.len, 64);
    revert = sb_abi_read_revert(sb_span(NULL, 0));
    assert_int_equal(revert.kind, SB_ABI_REVERT_OPAQUE);
    sb_buf_fini(&buf);
}

static void abi_full_buffer_fails_quietly(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_abi_writer w;
    sb_buf_init(&buf, 40);
    sb_abi_begin(&w, &buf, 2);
    sb_abi_put_i64(&w, -1);
    sb_abi_put_bytes(&w, sb_span_str("x"));
    sb_abi_end(&w);
    assert_int_equal(sb_buf_err(&buf), SB_E_LIMIT);
    sb_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abi_selectors_are_known),
        cmocka_unit_test(abi_example_sam_is_written_and_read),
        cmocka_unit_test(abi_nested_arrays_are_written_and_read),
        cmocka_unit_test(abi_unclean_words_are_refused),
        cmocka_unit_test(abi_hostile_offsets_and_counts_are_refused),
        cmocka_unit_test(abi_revert_data_is_told_apart),
        cmocka_unit_test(abi_full_buffer_fails_quietly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
