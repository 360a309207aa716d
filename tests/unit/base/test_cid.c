/* test_cid.c: content identifiers against vectors made by IPFS tools (profile unixfs-v1-2025), SHA-256, varints. */
#include "base/codec/cid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nettle/sha2.h>

#include "tests/support/random.h"

/* The file of the vectors: a linear congruential generator, byte i from its upper half. */
struct generator {
    uint32_t x;
};

static void generate(struct generator *g, uint8_t *ret, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g->x = g->x * 1103515245u + 12345u;
        ret[i] = (uint8_t)(g->x >> 16);
    }
}

struct vector {
    size_t size;
    const char *cid;
};

static const struct vector k_vectors[] = {
    {0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
    {11, "bafkreifnsxzik4p75s5wxgo2y7w24ael5stec6gcbo5y2cbtpxcn3nmoz4"},
    {262144, "bafkreifystqgug5z6myhn45jr6skxoe3mtdoshssgfvv6otctnc7wuaaia"},
    {262145, "bafkreidtozu6zqyn7k7a67gevjjqs6pennlo243dpf3rkvsm7f2l55wuuy"},
    {1048576, "bafkreib5xlbpsquvpy3f3zqlimlk3jdbebvxex4uizcwxsc35ei7wvbm5a"},
    {3145733, "bafybeigsu4vy2fdta3k5i3smaudn72a3c53qlsua2lfvlqg2xrxtzy2suu"},
    {50000000, "bafybeibo2rpkqgumyjhq37qq7ub6snqczsi7l4vrftygfy4alslqy62lye"},
};

static void cid_of_files_equals_the_tools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof k_vectors / sizeof k_vectors[0]; i++) {
        size_t size = k_vectors[i].size;
        uint8_t *file = malloc(size + 1);
        struct generator g = {.x = 1};
        generate(&g, file, size);
        sb_cid cid, back;
        assert_int_equal(sb_cid_of(&cid, sb_span(file, size)), SB_OK);
        char text[SB_CID_TEXT_LEN + 1];
        sb_cid_format(text, &cid);
        assert_string_equal(text, k_vectors[i].cid);
        assert_int_equal(sb_cid_parse(&back, text, strlen(text)), SB_OK);
        assert_int_equal(back.codec, cid.codec);
        assert_true(sb_hash_equal(&back.digest, &cid.digest));
        free(file);
    }
}

static void count_nodes(void *ctx, const sb_cid *cid, sb_bytes block)
{
    sb_hash digest = sb_sha256_portable(block);
    assert_true(sb_hash_equal(&digest, &cid->digest));
    assert_int_equal(cid->codec, SB_CID_DAG_PB);
    *(size_t *)ctx += 1;
}

/* Pieces of any size give the same root, and the builder can be used again. */
static void cid_builder_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("cid_builder_does_not_depend_on_the_pieces");
    size_t node_count = 0;
    struct sb_cid_builder *builder = sb_cid_builder_new(count_nodes, &node_count);
    assert_non_null(builder);
    uint8_t *piece = malloc(400000);
    for (int round = 0; round < 2; round++) {
        struct generator g = {.x = 1};
        for (size_t left = 3145733; left > 0;) {
            size_t step = 1 + sb_random_below(&random, left < 400000 ? left : 400000);
            generate(&g, piece, step);
            assert_int_equal(sb_cid_builder_add(builder, sb_span(piece, step)), SB_OK);
            left -= step;
        }
        sb_cid cid = sb_cid_builder_root(builder);
        char text[SB_CID_TEXT_LEN + 1];
        sb_cid_format(text, &cid);
        assert_string_equal(text, "bafybeigsu4vy2fdta3k5i3smaudn72a3c53qlsua2lfvlqg2xrxtzy2suu");
    }
    assert_int_equal(node_count, 2);
    free(piece);
    sb_cid_builder_free(builder);
}

static void cid_wrong_text_is_refused(void **state)
{
    (void)state;
    const char *good = k_vectors[1].cid;
    char text[SB_CID_TEXT_LEN + 1];
    sb_cid cid;
    memcpy(text, good, sizeof text);
    assert_int_equal(sb_cid_parse(&cid, text, SB_CID_TEXT_LEN - 1), SB_E_SHAPE);
    assert_int_equal(sb_cid_parse(&cid, "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", 46),
                     SB_E_SHAPE);
    text[0] = 'B';
    assert_int_equal(sb_cid_parse(&cid, text, SB_CID_TEXT_LEN), SB_E_SYNTAX);
    text[0] = 'b';
    text[20] = '1';
    assert_int_equal(sb_cid_parse(&cid, text, SB_CID_TEXT_LEN), SB_E_SYNTAX);
    text[20] = good[20];
    text[SB_CID_TEXT_LEN - 1] =
        (char)(text[SB_CID_TEXT_LEN - 1] + 1); /* '4' to '5': a bit in the padding */
    assert_int_equal(sb_cid_parse(&cid, text, SB_CID_TEXT_LEN), SB_E_NON_CANONICAL);
    text[SB_CID_TEXT_LEN - 1] = good[SB_CID_TEXT_LEN - 1];
    text[2] = 'b'; /* another version or codec */
    assert_int_equal(sb_cid_parse(&cid, text, SB_CID_TEXT_LEN), SB_E_UNSUPPORTED);
}

static void varint_round_trips_and_has_one_form(void **state)
{
    (void)state;
    uint8_t bytes[SB_VARINT_BYTES_MAX];
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            uint64_t back;
            size_t back_len;
            size_t len = sb_varint_store(bytes, value);
            assert_int_equal(sb_varint_load(&back, &back_len, sb_span(bytes, len)), SB_OK);
            assert_true(back == value && back_len == len);
            assert_int_equal(sb_varint_load(&back, &back_len, sb_span(bytes, len - 1)),
                             SB_E_TRUNCATED);
        }
    }
    uint64_t value;
    size_t len;
    assert_int_equal(sb_varint_load(&value, &len, sb_span("\x80\x00", 2)), SB_E_NON_CANONICAL);
    assert_int_equal(
        sb_varint_load(&value, &len, sb_span("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10)),
        SB_E_RANGE);
}

static void sha256_portable_equals_nettle_at_all_lengths(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("sha256_portable_equals_nettle_at_all_lengths");
    uint8_t message[300];
    sb_random_fill(&random, message, sizeof message);
    for (size_t len = 0; len <= sizeof message; len++) {
        struct sha256_ctx ctx;
        uint8_t expected[32];
        sha256_init(&ctx);
        sha256_update(&ctx, len, message);
        sha256_digest(&ctx, 32, expected);
        sb_hash one_shot = sb_sha256_portable(sb_span(message, len));
        assert_memory_equal(one_shot.b, expected, 32);
        struct sb_sha256_portable s;
        sb_sha256_portable_init(&s);
        for (size_t at = 0; at < len;) {
            size_t step = 1 + sb_random_below(&random, len - at);
            sb_sha256_portable_update(&s, sb_span(message + at, step));
            at += step;
        }
        sb_hash pieces = sb_sha256_portable_final(&s);
        assert_memory_equal(pieces.b, expected, 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cid_of_files_equals_the_tools),
        cmocka_unit_test(cid_builder_does_not_depend_on_the_pieces),
        cmocka_unit_test(cid_wrong_text_is_refused),
        cmocka_unit_test(varint_round_trips_and_has_one_form),
        cmocka_unit_test(sha256_portable_equals_nettle_at_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
