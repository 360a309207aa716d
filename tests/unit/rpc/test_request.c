/* test_request.c: the JSON scanner and the envelope of requests (rpc/json_scan.h, rpc/request.h). */
#include "rpc/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct sb_rpc_request_limits g_limits = {
    .json = {.depth_max = 32, .value_count_max = 1000}, .batch_count_max = 10};

static sb_err check(const char *text, size_t len)
{
    struct sb_diag diag = {.text = ""};
    return sb_rpc_json_check(sb_span(text, len), &g_limits.json, &diag);
}

static void json_check_valid_texts_are_accepted(void **state)
{
    static const char *const good[] = {
        "0",
        "-0",
        "1.5e+10",
        "[]",
        "{}",
        " [1, 2 ,\t3]\r\n",
        "\"\"",
        "\"\\u00e9\\n\\/\"",
        "true",
        "{\"a\":{\"b\":[null,false,{}]}}",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "1E5",
        "-12.0",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(check(good[i], strlen(good[i])), SB_OK);
    }
}

static void json_check_broken_texts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "hello",
        "tru",
        "nul",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[",
        "{",
        "]",
        "}",
        "[}",
        "{]",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\n\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "1 2",
        "{} {}",
        "[]x",
        "\"a\" ,",
        "NaN",
        "Infinity",
        "'a'",
        "[1]]",
        "{\"a\":1}}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        ",",
        ":",
        "\xef\xbb\xbf{}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (check(bad[i], strlen(bad[i])) != SB_E_SYNTAX) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_int_equal(check("{}\0", 3), SB_E_SYNTAX);
    assert_int_equal(check("\"a\0b\"", 5), SB_E_SYNTAX);
}

static void json_check_depth_and_count_are_bounded(void **state)
{
    static char deep[100000];
    (void)state;
    memset(deep, '[', sizeof deep);
    assert_int_equal(check(deep, sizeof deep), SB_E_LIMIT);
    assert_int_equal(check(deep, 32), SB_E_SYNTAX); /* as deep as allowed, but open */
    assert_int_equal(check(deep, 33), SB_E_LIMIT);
    for (size_t i = 0; i + 1 < sizeof deep; i += 2) {
        deep[i] = i == 0 ? '[' : '1';
        deep[i + 1] = i == 0 ? '0' : ',';
    }
    deep[2] = ',';
    assert_int_equal(check(deep, sizeof deep), SB_E_SYNTAX);
    deep[2] = ' ';
    deep[3] = ',';
    assert_int_equal(check(deep, sizeof deep), SB_E_LIMIT);
}

static struct sb_rpc_request open_one(const char *text)
{
    struct sb_rpc_body body;
    struct sb_rpc_failure failure;
    struct sb_rpc_request request;
    assert_true(sb_rpc_body_open(&body, &failure, sb_span_str(text), &g_limits));
    assert_false(body.is_batch);
    assert_true(sb_rpc_body_next(&body, &request));
    return request;
}

static void assert_span(sb_bytes span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.data, text, span.len);
}

static void request_members_are_found_in_any_order(void **state)
{
    (void)state;
    struct sb_rpc_request request = open_one(" { \"params\" : [ {\"method\":\"no\"}, \"]}\" ] , "
                                             "\"id\" : \"x\\\"y\" ,\"method\":\"eth_call\","
                                             "\"extra\":{\"id\":5},\"jsonrpc\":\"2.0\"} ");
    assert_int_equal(request.problem_code, 0);
    assert_span(request.id, "\"x\\\"y\"");
    assert_span(request.method, "eth_call");
    assert_span(request.params, "[ {\"method\":\"no\"}, \"]}\" ]");
    assert_false(request.is_notification);
}

static void request_ids_keep_their_source_text(void **state)
{
    static const char *const ids[] = {
        "1", "-5", "1.5", "1e400", "18446744073709551616", "null", "\"\\u00e9\\n\""};
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"m\"}",
                       ids[i]);
        struct sb_rpc_request request = open_one(text);
        assert_span(request.id, ids[i]);
        assert_int_equal(request.problem_code, 0);
        assert_false(request.is_notification);
    }
}

static void request_without_id_is_a_notification(void **state)
{
    (void)state;
    assert_true(open_one("{\"jsonrpc\":\"2.0\",\"method\":\"m\"}").is_notification);
    /* What is no request at all is answered, with id null. */
    assert_false(open_one("{\"jsonrpc\":\"2.0\"}").is_notification);
}

static void request_problems_have_the_right_code(void **state)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"5", SB_RPC_INVALID_REQUEST},
        {"\"x\"", SB_RPC_INVALID_REQUEST},
        {"{}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":7}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"id\":7,\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"m\"}", SB_RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":5}", SB_RPC_INVALID_PARAMS},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":1}}",
         SB_RPC_INVALID_PARAMS},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{ }}", 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (open_one(rows[i].text).problem_code != rows[i].code) {
            fail_msg("%s: got %d, want %d", rows[i].text, open_one(rows[i].text).problem_code,
                     rows[i].code);
        }
    }
}

static void batch_is_counted_and_bounded(void **state)
{
    struct sb_rpc_body body;
    struct sb_rpc_failure failure;
    struct sb_rpc_request request;
    (void)state;
    assert_true(sb_rpc_body_open(
        &body, &failure, sb_span_str("[1, {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"m\"} ,[]]"),
        &g_limits));
    assert_true(body.is_batch);
    assert_int_equal(body.count, 3);
    assert_true(sb_rpc_body_next(&body, &request));
    assert_int_equal(request.problem_code, SB_RPC_INVALID_REQUEST);
    assert_true(sb_rpc_body_next(&body, &request));
    assert_span(request.id, "2");
    assert_true(sb_rpc_body_next(&body, &request));
    assert_int_equal(request.problem_code, SB_RPC_INVALID_REQUEST);
    assert_false(sb_rpc_body_next(&body, &request));
    assert_false(sb_rpc_body_open(&body, &failure, sb_span_str(" [ ] "), &g_limits));
    assert_int_equal(failure.code, SB_RPC_INVALID_REQUEST);
    assert_false(
        sb_rpc_body_open(&body, &failure, sb_span_str("[1,2,3,4,5,6,7,8,9,10,11]"), &g_limits));
    assert_int_equal(failure.code, SB_RPC_LIMIT);
    assert_false(sb_rpc_body_open(&body, &failure, sb_span_str("{"), &g_limits));
    assert_int_equal(failure.code, SB_RPC_PARSE_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_check_valid_texts_are_accepted),
        cmocka_unit_test(json_check_broken_texts_are_refused),
        cmocka_unit_test(json_check_depth_and_count_are_bounded),
        cmocka_unit_test(request_members_are_found_in_any_order),
        cmocka_unit_test(request_ids_keep_their_source_text),
        cmocka_unit_test(request_without_id_is_a_notification),
        cmocka_unit_test(request_problems_have_the_right_code),
        cmocka_unit_test(batch_is_counted_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
