/* test_abi_text.c: node/abi_text.h and node/artifact.h: signatures, arguments and results as text, events and revert reasons. */
#include "node/abi_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "base/util/endian.h"
#include "node/artifact.h"

#define WORD_0  "0000000000000000000000000000000000000000000000000000000000000000"
#define WORD_1  "0000000000000000000000000000000000000000000000000000000000000001"
#define WORD_2  "0000000000000000000000000000000000000000000000000000000000000002"
#define WORD_20 "0000000000000000000000000000000000000000000000000000000000000020"
#define WORD_40 "0000000000000000000000000000000000000000000000000000000000000040"

static void encoded_as(const char *signature, const char *const *texts, size_t count,
                       const char *expected_hex)
{
    struct sb_abi_item item;
    struct sb_buf out;
    uint8_t expected[1024];
    size_t len = strlen(expected_hex) / 2;
    assert_true(len <= sizeof expected);
    assert_int_equal(sb_hex_decode(expected, len, expected_hex, 2 * len), SB_OK);
    assert_int_equal(sb_abi_item_parse(&item, signature, NULL), SB_OK);
    sb_buf_init(&out, sizeof expected);
    assert_int_equal(sb_abi_encode_texts(&out, item.inputs, item.input_count, texts, count, NULL),
                     SB_OK);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, expected, len);
    sb_buf_fini(&out);
}

static void refused(const char *type, const char *text, sb_err expected)
{
    struct sb_abi_param param = {.indexed = false};
    struct sb_diag diag = {.text = ""};
    struct sb_buf out;
    assert_int_equal(sb_abi_type_parse(&param.type, type, strlen(type), NULL), SB_OK);
    sb_buf_init(&out, 4096);
    assert_int_equal(sb_abi_encode_texts(&out, &param, 1, &text, 1, &diag), expected);
    assert_non_null(strstr(diag.text, "argument 1"));
    assert_non_null(strstr(diag.text, type));
    sb_buf_fini(&out);
}

static void signatures_have_the_known_selectors(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        uint32_t selector;
        size_t outputs;
    } k_cases[] = {
        {"transfer(address,uint256)(bool)", 0xa9059cbb, 1},
        {"transfer( address to, uint amount )", 0xa9059cbb, 0},
        {"balanceOf(address)(uint256)", 0x70a08231, 1},
        {"supportsInterface(bytes4)(bool)", 0x01ffc9a7, 1},
        {"name()(string)", 0x06fdde03, 1},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct sb_abi_item item;
        assert_int_equal(sb_abi_item_parse(&item, k_cases[i].signature, NULL), SB_OK);
        sb_hash topic = sb_abi_item_topic(&item);
        assert_int_equal(be_load32(topic.b), k_cases[i].selector);
        assert_int_equal(item.output_count, k_cases[i].outputs);
    }
}

static void wrong_signatures_are_refused(void **state)
{
    (void)state;
    static const char *const k_bad[] = {
        "",         "f",           "(uint256)",  "f(",           "f(uint256",        "f(uint7)",
        "f(uint)x", "f(uint264)",  "f(bytes33)", "f(bytes0)",    "f(uint[)",         "f(uint[0])",
        "f(tuple)", "f(uint[][])", "f((uint))",  "f(uint256,)x", "f(uint)(int)(int)"};
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct sb_abi_item item;
        struct sb_diag diag = {.text = ""};
        assert_int_not_equal(sb_abi_item_parse(&item, k_bad[i], &diag), SB_OK);
        assert_true(diag.text[0] != '\0');
    }
}

static void arguments_are_encoded_as_solidity_does(void **state)
{
    (void)state;
    encoded_as("f(uint8,bool)", (const char *const[]){"1", "true"}, 2, WORD_1 WORD_1);
    encoded_as("f(int256)", (const char *const[]){"-1"}, 1,
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
    encoded_as("f(int256)", (const char *const[]){"-1.5e18"}, 1,
               "ffffffffffffffffffffffffffffffffffffffffffffffffeb2eedf284ea0000");
    encoded_as("f(bytes4)", (const char *const[]){"0x01ffc9a7"}, 1,
               "01ffc9a700000000000000000000000000000000000000000000000000000000");
    encoded_as("f(bytes)", (const char *const[]){"0x00ff"}, 1,
               WORD_20 WORD_2 "00ff000000000000000000000000000000000000000000000000000000000000");
    encoded_as("f(uint256[])", (const char *const[]){"[1, 2]"}, 1, WORD_20 WORD_2 WORD_1 WORD_2);
    encoded_as("f(uint256[])", (const char *const[]){"[]"}, 1, WORD_20 WORD_0);
    encoded_as("f(uint256[2],bool)", (const char *const[]){"[1,2]", "false"}, 2,
               WORD_1 WORD_2 WORD_0);
    encoded_as("f(string[])", (const char *const[]){"[a]"}, 1,
               WORD_20 WORD_1 WORD_20 WORD_1
               "6100000000000000000000000000000000000000000000000000000000000000");
    encoded_as("f(string,uint256)", (const char *const[]){"", "2"}, 2, WORD_40 WORD_2 WORD_0);
}

static void arguments_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    refused("uint8", "256", SB_E_RANGE);
    refused("uint8", "-1", SB_E_RANGE);
    refused("int8", "128", SB_E_RANGE);
    refused("int8", "-129", SB_E_RANGE);
    refused("uint256", "", SB_E_SYNTAX);
    refused("uint256", "1.5", SB_E_SYNTAX);
    refused("uint256", "1.25e1", SB_E_SYNTAX);
    refused("uint256", "1e78", SB_E_RANGE);
    refused("uint256", "0x1" WORD_0, SB_E_RANGE);
    refused("bool", "1", SB_E_SYNTAX);
    refused("address", "0x12", SB_E_SHAPE);
    refused("bytes", "0x123", SB_E_SHAPE);
    refused("bytes2", "0x123456", SB_E_SHAPE);
    refused("uint256[2]", "[1]", SB_E_SHAPE);
    refused("uint256[]", "1,2", SB_E_SYNTAX);
    refused("uint256[]", "[1,,2]", SB_E_SYNTAX);
}

static void values_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *type, *text;
    } k_cases[] = {
        {"uint256",
         "115792089237316195423570985008687907853269984665640564039457584007913129639935"},
        {"int256",
         "-57896044618658097711785492504343953926634992332820282019728792003956564819968"},
        {"int8", "-128"},
        {"bool", "true"},
        {"address", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"},
        {"bytes3", "0x00ff10"},
        {"bytes", "0x"},
        {"bytes", "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011"},
        {"string", "hello, world"},
        {"uint16[]", "[1,2,65535]"},
        {"int8[3]", "[-1,0,1]"},
        {"bytes[]", "[0x,0x01,0x0203]"},
        {"string[2]", "[a,bc]"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct sb_abi_param param = {.name = "x"};
        struct sb_buf data;
        struct sb_buf text;
        sb_buf_init(&data, 4096);
        sb_buf_init(&text, 4096);
        assert_int_equal(
            sb_abi_type_parse(&param.type, k_cases[i].type, strlen(k_cases[i].type), NULL), SB_OK);
        assert_int_equal(sb_abi_encode_texts(&data, &param, 1, &k_cases[i].text, 1, NULL), SB_OK);
        assert_int_equal(sb_abi_format_params(&text, &param, 1, sb_buf_bytes(&data)), SB_OK);
        sb_buf_add_byte(&text, 0);
        assert_memory_equal(text.data, "x: ", 3);
        assert_string_equal((const char *)text.data + 3, k_cases[i].text);
        /* cut short it is refused, never read past its end */
        for (size_t len = 0; len + 32 < data.len; len += 32) {
            assert_int_not_equal(sb_abi_format(&text, &param.type, sb_span(data.data, len), 0),
                                 SB_OK);
        }
        sb_buf_fini(&data);
        sb_buf_fini(&text);
    }
}

static const char k_artifact[] =
    "{\"abi\":[{\"type\":\"constructor\",\"inputs\":[{\"type\":\"bytes32\",\"name\":\"model\"}]},"
    "{\"type\":\"function\",\"name\":\"look\",\"inputs\":[{\"type\":\"bytes\",\"name\":\"image\"}],"
    "\"outputs\":[{\"type\":\"uint8\",\"name\":\"digit\"}]},"
    "{\"type\":\"event\",\"name\":\"Read\",\"inputs\":[{\"type\":\"uint256\",\"name\":\"n\","
    "\"indexed\":"
    "true},{\"type\":\"string\",\"name\":\"s\",\"indexed\":true},{\"type\":\"int256\",\"name\":"
    "\"score\","
    "\"indexed\":false}]},"
    "{\"type\":\"error\",\"name\":\"Mine\",\"inputs\":[{\"type\":\"uint256\",\"name\":\"length\"}]}"
    "],"
    "\"bytecode\":\"0x6001\"}";

static void artifact_names_functions_events_and_errors(void **state)
{
    (void)state;
    struct sb_artifact artifact;
    struct sb_abi_item item;
    struct sb_diag diag = {.text = ""};
    struct sb_buf out;
    sb_buf_init(&out, 4096);
    assert_int_equal(sb_artifact_parse(&artifact, sb_span_str(k_artifact), &diag), SB_OK);
    assert_int_equal(sb_artifact_function(&item, &artifact, "look", &diag), SB_OK);
    assert_string_equal(item.outputs[0].name, "digit");
    assert_int_equal(sb_artifact_function(&item, &artifact, "look(bytes)", &diag), SB_OK);
    assert_int_equal(sb_artifact_function(&item, &artifact, "look(bytes)(uint8,int256)", &diag),
                     SB_OK);
    assert_int_equal(sb_artifact_function(&item, &artifact, "look(uint8)", &diag), SB_E_NOT_FOUND);
    assert_int_equal(sb_artifact_function(&item, &artifact, "look(bytes", &diag), SB_E_SYNTAX);
    assert_int_equal(sb_artifact_function(&item, &artifact, "loko", &diag), SB_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "did you mean look?"));
    assert_int_equal(sb_artifact_bytecode(&out, &artifact, &diag), SB_OK);
    assert_int_equal(out.len, 2);
    assert_int_equal(sb_artifact_constructor(&item, &artifact, &diag), SB_OK);
    assert_int_equal(item.input_count, 1);

    struct sb_abi_item event;
    char topic[SB_HEX_TEXT_BYTES(32)];
    assert_int_equal(sb_abi_item_parse(&event, "Read(uint256,string,int256)", NULL), SB_OK);
    sb_hash hash = sb_abi_item_topic(&event);
    json_t *log = json_pack("{s:[s,s,s], s:s}", "topics", sb_hex_format(topic, sb_span(hash.b, 32)),
                            "0x" WORD_2, "0x" WORD_1, "data", "0x" WORD_20);
    sb_buf_reset(&out);
    sb_artifact_format_log(&out, &artifact, log);
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data, "Read(n: 2, s: 0x" WORD_1 ", score: 32)");
    sb_buf_reset(&out);
    sb_artifact_format_log(&out, NULL, log);
    sb_buf_add_byte(&out, 0);
    assert_non_null(strstr((const char *)out.data, "log topics"));
    json_decref(log);
    sb_artifact_fini(&artifact);
    sb_buf_fini(&out);
}

static void revert_reasons_are_told(void **state)
{
    (void)state;
    struct sb_artifact artifact;
    struct sb_buf data;
    struct sb_buf out;
    const sb_u256 one = sb_u256_from_u64(1);
    sb_buf_init(&data, 4096);
    sb_buf_init(&out, 4096);
    assert_int_equal(sb_artifact_parse(&artifact, sb_span_str(k_artifact), NULL), SB_OK);
    sb_abi_put_error(&data, sb_abi_selector("Mine(uint256)"), &one, 1);
    sb_artifact_format_revert(&out, &artifact, sb_buf_bytes(&data));
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data, "Mine(length: 1)");
    sb_buf_reset(&out);
    sb_artifact_format_revert(&out, NULL, sb_buf_bytes(&data));
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data,
                        "with the error 0xff7aacc4 and 32 more bytes, which is not known here; "
                        "--abi FILE names the contract's errors");
    sb_buf_reset(&out);
    sb_artifact_format_revert(&out, NULL, sb_span(NULL, 0));
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data, "without a reason");
    sb_buf_reset(&out);
    sb_buf_reset(&data);
    sb_abi_put_error(&data, sb_abi_selector("BadShape(uint256)"), &one, 1);
    sb_artifact_format_revert(&out, NULL, sb_buf_bytes(&data));
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data, "BadShape(1)");
    sb_buf_reset(&out);
    sb_buf_reset(&data);
    sb_abi_put_error_string(&data, "no\x1b[31mway");
    sb_artifact_format_revert(&out, NULL, sb_buf_bytes(&data));
    sb_buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.data, "no\\x1b[31mway");
    sb_artifact_fini(&artifact);
    sb_buf_fini(&data);
    sb_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_have_the_known_selectors),
        cmocka_unit_test(wrong_signatures_are_refused),
        cmocka_unit_test(arguments_are_encoded_as_solidity_does),
        cmocka_unit_test(arguments_that_do_not_fit_are_refused),
        cmocka_unit_test(values_are_written_as_they_are_read),
        cmocka_unit_test(artifact_names_functions_events_and_errors),
        cmocka_unit_test(revert_reasons_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
