/* test_inference_record.c: records of inferences: form, root, paths; and that a change of any single bit is refused. */
#include "base/types/inference_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/keccak.h"
#include "base/types/merkle.h"
#include "base/util/endian.h"
#include "tests/support/random.h"

#define RECORDS_MAX 300

static struct sb_arena g_arena;
static struct sb_inference_record g_records[RECORDS_MAX];

static int make_records(void **state)
{
    (void)state;
    struct sb_random rng = sb_random_init(__func__);
    sb_arena_init(&g_arena, (size_t)1 << 20);
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        struct sb_inference_record *r = &g_records[i];
        sb_random_fill(&rng, r->tx_hash.b, sizeof r->tx_hash.b);
        sb_random_fill(&rng, r->caller.b, sizeof r->caller.b);
        sb_random_fill(&rng, r->model_id.b, sizeof r->model_id.b);
        sb_random_fill(&rng, r->input_hash.b, sizeof r->input_hash.b);
        sb_random_fill(&rng, r->output_hash.b, sizeof r->output_hash.b);
        r->index = (uint32_t)i * 13981; /* up to four bytes */
    }
    return 0;
}

static int drop_records(void **state)
{
    (void)state;
    sb_arena_fini(&g_arena);
    return 0;
}

static void record_encodes_and_decodes_to_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        uint8_t memory[SB_INFERENCE_RECORD_BYTES_MAX];
        struct sb_buf buf = sb_buf_over(memory, sizeof memory);
        struct sb_inference_record back;
        sb_inference_record_encode(&buf, &g_records[i]);
        assert_int_equal(sb_buf_err(&buf), SB_OK);
        assert_int_equal(sb_inference_record_decode(&back, sb_buf_bytes(&buf), NULL), SB_OK);
        assert_int_equal(back.index, g_records[i].index);
        assert_memory_equal(back.tx_hash.b, g_records[i].tx_hash.b, 32);
        assert_memory_equal(back.caller.b, g_records[i].caller.b, 20);
        assert_memory_equal(back.model_id.b, g_records[i].model_id.b, 32);
        assert_memory_equal(back.input_hash.b, g_records[i].input_hash.b, 32);
        assert_memory_equal(back.output_hash.b, g_records[i].output_hash.b, 32);
    }
}

static void record_of_another_form_is_refused(void **state)
{
    (void)state;
    uint8_t memory[SB_INFERENCE_RECORD_BYTES_MAX + 1] = {0};
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    struct sb_inference_record back;
    sb_inference_record_encode(&buf, &g_records[3]);
    for (size_t len = 0; len < buf.len; len++) {
        assert_int_not_equal(sb_inference_record_decode(&back, sb_span(memory, len), NULL), SB_OK);
    }
    assert_int_equal(sb_inference_record_decode(&back, sb_span(memory, buf.len + 1), NULL),
                     SB_E_TRAILING);
    struct sb_inference_record far = g_records[3];
    far.index = SB_INFERENCE_RECORDS_MAX;
    struct sb_diag diag = {.text = ""};
    sb_buf_reset(&buf);
    sb_inference_record_encode(&buf, &far);
    assert_int_equal(sb_inference_record_decode(&back, sb_buf_bytes(&buf), &diag), SB_E_RANGE);
    assert_string_equal(diag.text, "inference record: index 4194304 is out of range");
}

/* The definition of RFC 6962, section 2.1, read literally. */
static sb_hash tree_of(size_t first, size_t count)
{
    if (count == 1) {
        uint8_t memory[SB_INFERENCE_RECORD_BYTES_MAX];
        struct sb_buf buf = sb_buf_over(memory, sizeof memory);
        sb_inference_record_encode(&buf, &g_records[first]);
        return sb_merkle_leaf(sb_buf_bytes(&buf));
    }
    size_t split = 1;
    while (2 * split < count) {
        split *= 2;
    }
    sb_hash left = tree_of(first, split);
    sb_hash right = tree_of(first + split, count - split);
    uint8_t node[65] = {1};
    memcpy(node + 1, left.b, 32);
    memcpy(node + 33, right.b, 32);
    return sb_keccak256(sb_span(node, sizeof node));
}

static sb_hash root_of(size_t count)
{
    sb_hash root;
    assert_int_equal(sb_inference_root(&root, &g_arena, g_records, count), SB_OK);
    return root;
}

static void root_is_that_of_rfc6962_with_the_count(void **state)
{
    (void)state;
    sb_hash none = root_of(0);
    assert_true(sb_hash_is_zero(&none));
    for (size_t count = 1; count <= RECORDS_MAX; count += count < 70 ? 1 : 46) {
        sb_hash tree = tree_of(0, count);
        uint8_t message[37] = {2};
        be_store32(message + 1, (uint32_t)count);
        memcpy(message + 5, tree.b, 32);
        sb_hash want = sb_keccak256(sb_span(message, sizeof message));
        sb_hash got = root_of(count);
        assert_memory_equal(got.b, want.b, sizeof got.b);
    }
}

static void path_of_every_record_leads_to_the_root(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 67; count++) {
        sb_hash root = root_of(count);
        for (uint32_t i = 0; i < count; i++) {
            struct sb_inference_path path;
            assert_int_equal(sb_inference_prove(&path, &g_arena, g_records, count, i), SB_OK);
            assert_true(sb_inference_path_check(&root, &g_records[i], &path));
            assert_false(sb_inference_path_check(&root, &g_records[i + 1], &path));
        }
    }
    struct sb_inference_path path;
    assert_int_equal(sb_inference_prove(&path, &g_arena, g_records, 5, 5), SB_E_RANGE);
    assert_int_equal(sb_inference_prove(&path, &g_arena, g_records, 0, 0), SB_E_RANGE);
}

/* Flip every bit of `bytes`, which is part of what is checked. */
static void assert_no_bit_is_free(const sb_hash *root, const struct sb_inference_record *record,
                                  const struct sb_inference_path *path, void *bytes, size_t len)
{
    uint8_t *at = bytes;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        at[bit / 8] = (uint8_t)(at[bit / 8] ^ 1u << bit % 8);
        if (sb_inference_path_check(root, record, path)) {
            fail_msg("bit %zu of %zu bytes is free: record %u of %u", bit, len, path->index,
                     path->count);
        }
        at[bit / 8] = (uint8_t)(at[bit / 8] ^ 1u << bit % 8);
    }
    assert_true(sb_inference_path_check(root, record, path));
}

static void any_single_bit_changed_is_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 5, 7, 8, 13, 64, 65, 300};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t step = counts[c] > 20 ? 63 : 1;
        for (uint32_t i = 0; i < counts[c]; i += step) {
            sb_hash root = root_of(counts[c]);
            struct sb_inference_record record = g_records[i];
            struct sb_inference_path path;
            assert_int_equal(sb_inference_prove(&path, &g_arena, g_records, counts[c], i), SB_OK);
            assert_no_bit_is_free(&root, &record, &path, root.b, sizeof root.b);
            assert_no_bit_is_free(&root, &record, &path, record.tx_hash.b, 32);
            assert_no_bit_is_free(&root, &record, &path, &record.index, sizeof record.index);
            assert_no_bit_is_free(&root, &record, &path, record.caller.b, 20);
            assert_no_bit_is_free(&root, &record, &path, record.model_id.b, 32);
            assert_no_bit_is_free(&root, &record, &path, record.input_hash.b, 32);
            assert_no_bit_is_free(&root, &record, &path, record.output_hash.b, 32);
            assert_no_bit_is_free(&root, &record, &path, &path.index, sizeof path.index);
            assert_no_bit_is_free(&root, &record, &path, &path.count, sizeof path.count);
            assert_no_bit_is_free(&root, &record, &path, &path.depth, sizeof path.depth);
            assert_no_bit_is_free(&root, &record, &path, path.siblings,
                                  path.depth * sizeof path.siblings[0]);
        }
    }
}

static void scratch_goes_back_and_its_want_is_told(void **state)
{
    (void)state;
    struct sb_arena tiny;
    struct sb_inference_path path;
    sb_hash root;
    size_t before = g_arena.total_bytes;
    for (size_t i = 0; i < 100; i++) {
        (void)root_of(RECORDS_MAX);
    }
    assert_int_equal(g_arena.total_bytes, before);
    sb_arena_init(&tiny, 64);
    assert_int_equal(sb_inference_root(&root, &tiny, g_records, RECORDS_MAX), SB_E_NOMEM);
    assert_int_equal(sb_inference_prove(&path, &tiny, g_records, RECORDS_MAX, 1), SB_E_NOMEM);
    sb_arena_fini(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_encodes_and_decodes_to_itself),
        cmocka_unit_test(record_of_another_form_is_refused),
        cmocka_unit_test(root_is_that_of_rfc6962_with_the_count),
        cmocka_unit_test(path_of_every_record_leads_to_the_root),
        cmocka_unit_test(any_single_bit_changed_is_refused),
        cmocka_unit_test(scratch_goes_back_and_its_want_is_told),
    };
    return cmocka_run_group_tests(tests, make_records, drop_records);
}
