/* test_json_writer.c: structure, escapes and numbers of base/codec/json_writer.h, read back by jansson. */
#include "base/codec/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/random.h"

static void assert_text(const struct sb_buf *buf, const char *expected)
{
    assert_int_equal(sb_buf_err(buf), SB_OK);
    assert_int_equal(buf->len, strlen(expected));
    assert_memory_equal(buf->data, expected, buf->len);
}

static void json_all_kinds_nest_with_commas(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_json json;
    sb_buf_init(&buf, 4096);
    sb_json_init(&json, &buf);
    assert_false(sb_json_done(&json));
    const uint8_t bytes[] = {0x00, 0xff};
    const sb_u256 wide = {.w = {0, 1, 0, 0}};
    sb_json_object_begin(&json);
    sb_json_key(&json, "a");
    sb_json_array_begin(&json);
    sb_json_null(&json);
    sb_json_bool(&json, true);
    sb_json_object_begin(&json);
    sb_json_object_end(&json);
    sb_json_array_begin(&json);
    sb_json_array_end(&json);
    sb_json_u64(&json, UINT64_MAX);
    sb_json_i64(&json, INT64_MIN);
    sb_json_array_end(&json);
    sb_json_key(&json, "b");
    sb_json_hex(&json, sb_span(bytes, 2));
    sb_json_key(&json, "c");
    sb_json_quantity_u64(&json, 26);
    sb_json_key(&json, "d");
    sb_json_quantity_u256(&json, &wide);
    sb_json_key(&json, "e");
    sb_json_raw(&json, sb_span_str("1.50"));
    sb_json_key(&json, "f");
    sb_json_hex(&json, sb_span(NULL, 0));
    assert_false(sb_json_done(&json));
    sb_json_object_end(&json);
    assert_true(sb_json_done(&json));
    assert_text(&buf, "{\"a\":[null,true,{},[],18446744073709551615,-9223372036854775808],\"b\":"
                      "\"0x00ff\",\"c\":\"0x1a\","
                      "\"d\":\"0x10000000000000000\",\"e\":1.50,\"f\":\"0x\"}");
    sb_buf_fini(&buf);
}

static void json_hash_and_address_have_their_lengths(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_json json;
    sb_buf_init(&buf, 4096);
    sb_json_init(&json, &buf);
    sb_hash hash = {.b = {0xab}};
    sb_addr addr = {.b = {[19] = 0x01}};
    sb_json_array_begin(&json);
    sb_json_hash(&json, &hash);
    sb_json_addr(&json, &addr);
    sb_json_array_end(&json);
    assert_text(&buf, "[\"0xab00000000000000000000000000000000000000000000000000000000000000\","
                      "\"0x0000000000000000000000000000000000000001\"]");
    sb_buf_fini(&buf);
}

static void json_hostile_text_is_escaped(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_json json;
    sb_buf_init(&buf, 4096);
    sb_json_init(&json, &buf);
    static const char k_text[] =
        "\"\\\n\r\t\x01\x7f\xc2\x9b[31m \xc3\xa9 \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\xaf \xff";
    sb_json_string(&json, k_text, sizeof k_text); /* with its NUL */
    assert_text(
        &buf,
        "\"\\\"\\\\\\n\\r\\t\\u0001\\u007f\\u009b[31m \xc3\xa9 \xf0\x9f\x98\x80 "
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\\u0000\"");
    sb_buf_fini(&buf);
}

static void json_random_bytes_make_strings_that_parse(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("json_random_bytes_make_strings_that_parse");
    for (int i = 0; i < 5000; i++) {
        uint8_t text[24];
        size_t len = sb_random_below(&random, sizeof text + 1);
        sb_random_fill(&random, text, len);
        /* Many lead and continuation bytes, so that valid and nearly valid sequences occur. */
        for (size_t k = 0; k < len; k++) {
            text[k] = sb_random_below(&random, 2) ? (uint8_t)(0xc0 + text[k] % 0x38)
                                                  : (uint8_t)(0x80 + text[k] % 0x80);
        }
        struct sb_buf buf;
        struct sb_json json;
        sb_buf_init(&buf, 4096);
        sb_json_init(&json, &buf);
        sb_json_array_begin(&json);
        sb_json_string(&json, (const char *)text, len);
        sb_json_array_end(&json);
        json_t *parsed = json_loadb((const char *)buf.data, buf.len, JSON_ALLOW_NUL, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
        sb_buf_fini(&buf);
    }
}

static void json_full_buffer_fails_once_and_for_all(void **state)
{
    (void)state;
    struct sb_buf buf;
    struct sb_json json;
    sb_buf_init(&buf, 8);
    sb_json_init(&json, &buf);
    sb_json_array_begin(&json);
    sb_json_str(&json, "long enough to fail");
    sb_json_u64(&json, 1);
    sb_json_array_end(&json);
    assert_int_equal(sb_buf_err(&buf), SB_E_LIMIT);
    assert_true(buf.len <= 8);
    sb_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_all_kinds_nest_with_commas),
        cmocka_unit_test(json_hash_and_address_have_their_lengths),
        cmocka_unit_test(json_hostile_text_is_escaped),
        cmocka_unit_test(json_random_bytes_make_strings_that_parse),
        cmocka_unit_test(json_full_buffer_fails_once_and_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
