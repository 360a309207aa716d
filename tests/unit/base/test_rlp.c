/* test_rlp.c: RLP against ethereum/tests, round trips of random trees, and every way of being wrong. */
#include "base/codec/rlp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

#define ARCHIVE "ethereum/basics.tar.zst"
#define FOLDER  "ethereum-tests/RLPTests/"

static struct sb_rlp open_hex(uint8_t *storage, size_t capacity, const char *digits)
{
    size_t len = strlen(digits) / 2;
    assert_true(len <= capacity);
    assert_int_equal(sb_hex_decode(storage, len, digits, strlen(digits)), SB_OK);
    return sb_rlp_open(sb_span(storage, len));
}

/* Encode a JSON value of rlptest.json: text is a string of bytes, "#..." a decimal number, lists are lists. Recursive: test data. */
static void put_json(struct sb_buf *buf, const json_t *value)
{
    if (json_is_array(value)) {
        size_t list = sb_rlp_list_begin(buf);
        for (size_t i = 0; i < json_array_size(value); i++) {
            put_json(buf, json_array_get(value, i));
        }
        sb_rlp_list_end(buf, list);
        return;
    }
    if (json_is_integer(value)) {
        sb_rlp_put_u64(buf, (uint64_t)json_integer_value(value));
        return;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    sb_u256 number;
    if (len > 0 && text[0] == '#' && sb_u256_parse_decimal(&number, text + 1, len - 1)) {
        sb_rlp_put_u256(buf, &number);
    } else if (len > 0 && text[0] == '#') {
        /* The one number of 257 bits, 2^256: not an integer here, but its bytes are a string. */
        uint8_t bytes[33] = {1};
        sb_rlp_put_bytes(buf, sb_span(bytes, sizeof bytes));
    } else {
        sb_rlp_put_bytes(buf, sb_span(text, len));
    }
}

static void rlp_public_vectors_encode_and_check(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load(ARCHIVE, FOLDER "rlptest.json");
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        uint8_t expected[4096];
        size_t len = sb_vectors_hex(expected, sizeof expected, json_object_get(entry, "out"));
        struct sb_buf buf;
        sb_buf_init(&buf, sizeof expected);
        put_json(&buf, json_object_get(entry, "in"));
        assert_int_equal(sb_buf_err(&buf), SB_OK);
        assert_int_equal(buf.len, len);
        assert_memory_equal(buf.data, expected, len);
        assert_int_equal(sb_rlp_check(sb_span(expected, len)), SB_OK);
        sb_buf_fini(&buf);
    }
    assert_true(json_object_size(root) >= 28);
    json_decref(root);
}

static void rlp_public_invalid_vectors_are_refused(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load(ARCHIVE, FOLDER "invalidRLPTest.json");
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        uint8_t bytes[4096];
        size_t len = sb_vectors_hex(bytes, sizeof bytes, json_object_get(entry, "out"));
        assert_int_not_equal(sb_rlp_check(sb_span(bytes, len)), SB_OK);
    }
    assert_true(json_object_size(root) >= 20);
    json_decref(root);
}

struct wrong {
    const char *digits;
    sb_err expected;
};

static void rlp_wrong_input_names_its_error(void **state)
{
    (void)state;
    static const struct wrong k_wrong[] = {
        {"", SB_E_TRUNCATED},
        {"81", SB_E_TRUNCATED},
        {"8100", SB_E_NON_CANONICAL},
        {"817f", SB_E_NON_CANONICAL},
        {"b8", SB_E_TRUNCATED},
        {"b800", SB_E_NON_CANONICAL},
        {"b837", SB_E_NON_CANONICAL},
        {"b838", SB_E_TRUNCATED},
        {"b90038", SB_E_NON_CANONICAL},
        {"c1", SB_E_TRUNCATED},
        {"f837", SB_E_NON_CANONICAL},
        {"ffffffffffffffffff", SB_E_TRUNCATED},
        {"bfffffffffffffffff", SB_E_TRUNCATED},
        {"8080", SB_E_TRAILING},
        {"c18100", SB_E_TRUNCATED},
        {"c28100", SB_E_NON_CANONICAL},
        {"c2c180", SB_OK},
        {"c2c281", SB_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof k_wrong / sizeof k_wrong[0]; i++) {
        uint8_t bytes[64];
        struct sb_rlp in = open_hex(bytes, sizeof bytes, k_wrong[i].digits);
        assert_int_equal(sb_rlp_check(sb_span(in.at, (size_t)(in.end - in.at))),
                         k_wrong[i].expected);
    }
}

static void rlp_integers_are_strict(void **state)
{
    (void)state;
    uint8_t bytes[64];
    uint64_t u64 = 9;
    sb_u256 u256;
    bool flag = true;
    struct sb_rlp in = open_hex(bytes, sizeof bytes, "80");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_OK);
    assert_int_equal(u64, 0);
    in = open_hex(bytes, sizeof bytes, "00");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_E_NON_CANONICAL);
    assert_false(sb_rlp_done(&in));
    in = open_hex(bytes, sizeof bytes, "820001");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_E_NON_CANONICAL);
    in = open_hex(bytes, sizeof bytes, "88ffffffffffffffff");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_OK);
    assert_true(u64 == UINT64_MAX);
    in = open_hex(bytes, sizeof bytes, "89010000000000000000");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_E_RANGE);
    assert_int_equal(sb_rlp_read_u256(&u256, &in), SB_OK);
    assert_int_equal(u256.w[1], 1);
    in = open_hex(bytes, sizeof bytes, "c0");
    assert_int_equal(sb_rlp_read_u64(&u64, &in), SB_E_TYPE);
    in = open_hex(bytes, sizeof bytes, "02");
    assert_int_equal(sb_rlp_read_bool(&flag, &in), SB_E_RANGE);
    assert_false(sb_rlp_done(&in));
    in = open_hex(bytes, sizeof bytes, "8001");
    assert_int_equal(sb_rlp_read_bool(&flag, &in), SB_OK);
    assert_false(flag);
    assert_int_equal(sb_rlp_read_bool(&flag, &in), SB_OK);
    assert_true(flag);
    assert_int_equal(sb_rlp_end(&in), SB_OK);
}

static void rlp_fixed_and_bounded_strings_keep_the_cursor_on_failure(void **state)
{
    (void)state;
    uint8_t bytes[64];
    uint8_t out[3] = {9, 9, 9};
    sb_bytes span;
    sb_hash hash;
    struct sb_rlp in = open_hex(bytes, sizeof bytes, "8201ff");
    assert_int_equal(sb_rlp_read_fixed(out, &in, 3), SB_E_SHAPE);
    assert_int_equal(sb_rlp_read_bytes(&span, &in, 1), SB_E_LIMIT);
    assert_int_equal(sb_rlp_read_hash(&hash, &in), SB_E_SHAPE);
    assert_int_equal(sb_rlp_end(&in), SB_E_TRAILING);
    assert_int_equal(out[0], 9);
    assert_int_equal(sb_rlp_read_fixed(out, &in, 2), SB_OK);
    assert_int_equal(out[1], 0xff);
    assert_int_equal(sb_rlp_end(&in), SB_OK);
    in = open_hex(bytes, sizeof bytes, "c3010203");
    struct sb_rlp list;
    size_t count;
    assert_int_equal(sb_rlp_read_list(&list, &in), SB_OK);
    assert_int_equal(sb_rlp_count(&count, &list, 2), SB_E_LIMIT);
    assert_int_equal(sb_rlp_count(&count, &list, 3), SB_OK);
    assert_int_equal(count, 3);
}

static void rlp_depth_is_bounded(void **state)
{
    (void)state;
    struct sb_buf buf;
    size_t marks[SB_RLP_DEPTH_MAX + 1];
    for (size_t depth = SB_RLP_DEPTH_MAX; depth <= SB_RLP_DEPTH_MAX + 1; depth++) {
        sb_buf_init(&buf, 4096);
        for (size_t i = 0; i < depth; i++) {
            marks[i] = sb_rlp_list_begin(&buf);
        }
        for (size_t i = depth; i-- > 0;) {
            sb_rlp_list_end(&buf, marks[i]);
        }
        assert_int_equal(sb_rlp_check(sb_buf_bytes(&buf)),
                         depth > SB_RLP_DEPTH_MAX ? SB_E_LIMIT : SB_OK);
        sb_buf_fini(&buf);
    }
}

/* Strings of every length around the header's steps, alone and in a list. */
static void rlp_header_steps_round_trip(void **state)
{
    (void)state;
    static const size_t k_len[] = {0,   1,   2,   54,  55,    56,    57,
                                   254, 255, 256, 257, 65535, 65536, 65537};
    uint8_t *data = calloc(1, 70000);
    for (size_t i = 0; i < sizeof k_len / sizeof k_len[0]; i++) {
        struct sb_buf buf;
        sb_buf_init(&buf, 200000);
        size_t list = sb_rlp_list_begin(&buf);
        sb_rlp_put_bytes(&buf, sb_span(data, k_len[i]));
        sb_rlp_list_end(&buf, list);
        assert_int_equal(buf.len, sb_rlp_list_size(sb_rlp_size(sb_span(data, k_len[i]))));
        assert_int_equal(sb_rlp_check(sb_buf_bytes(&buf)), SB_OK);
        struct sb_rlp in = sb_rlp_open(sb_buf_bytes(&buf));
        struct sb_rlp items;
        sb_bytes back;
        assert_int_equal(sb_rlp_read_list(&items, &in), SB_OK);
        assert_int_equal(sb_rlp_read_bytes(&back, &items, SIZE_MAX), SB_OK);
        assert_int_equal(back.len, k_len[i]);
        assert_int_equal(sb_rlp_end(&items), SB_OK);
        /* Cut anywhere it must be refused. */
        for (size_t cut = 0; cut < buf.len; cut += 1 + buf.len / 50) {
            assert_int_not_equal(sb_rlp_check(sb_span(buf.data, cut)), SB_OK);
        }
        sb_buf_fini(&buf);
    }
    free(data);
}

/* Copies one item by reading it and writing it again; canonical input must come out equal. Recursive: depth is bounded by check. */
static void rewrite(struct sb_buf *buf, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    assert_int_equal(sb_rlp_read_item(&item, in), SB_OK);
    if (item.kind == SB_RLP_STRING) {
        sb_rlp_put_bytes(buf, item.payload);
        return;
    }
    size_t list = sb_rlp_list_begin(buf);
    struct sb_rlp items = sb_rlp_open(item.payload);
    while (!sb_rlp_done(&items)) {
        rewrite(buf, &items);
    }
    sb_rlp_list_end(buf, list);
}

static void rlp_what_is_accepted_has_one_encoding(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("rlp_what_is_accepted_has_one_encoding");
    static const uint8_t k_heads[] = {0x00, 0x7f, 0x80, 0x81, 0x82, 0xb7, 0xb8,
                                      0xc0, 0xc1, 0xc2, 0xc3, 0xc8, 0xf7, 0xf8};
    unsigned accepted = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[12];
        size_t len = 1 + sb_random_below(&random, sizeof bytes);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = k_heads[sb_random_below(&random, sizeof k_heads)];
        }
        if (sb_rlp_check(sb_span(bytes, len)) != SB_OK) {
            continue;
        }
        accepted++;
        struct sb_buf buf;
        sb_buf_init(&buf, 64);
        struct sb_rlp in = sb_rlp_open(sb_span(bytes, len));
        rewrite(&buf, &in);
        assert_int_equal(buf.len, len);
        assert_memory_equal(buf.data, bytes, len);
        sb_buf_fini(&buf);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rlp_public_vectors_encode_and_check),
        cmocka_unit_test(rlp_public_invalid_vectors_are_refused),
        cmocka_unit_test(rlp_wrong_input_names_its_error),
        cmocka_unit_test(rlp_integers_are_strict),
        cmocka_unit_test(rlp_fixed_and_bounded_strings_keep_the_cursor_on_failure),
        cmocka_unit_test(rlp_depth_is_bounded),
        cmocka_unit_test(rlp_header_steps_round_trip),
        cmocka_unit_test(rlp_what_is_accepted_has_one_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
