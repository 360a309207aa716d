/* test_stack_trie.c: base/crypto/stack_trie.h against a naive recursive trie, and against the public TrieTests. */
#include "base/crypto/stack_trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/block.h"
#include "tests/support/conformance.h"
#include "tests/support/random.h"

#define PAIRS_MAX     600
#define KEY_BYTES_MAX 64

struct pair {
    uint8_t key[KEY_BYTES_MAX];
    size_t key_len;
    uint8_t value[140];
    size_t value_len;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    size_t shorter = x->key_len < y->key_len ? x->key_len : y->key_len;
    int order = memcmp(x->key, y->key, shorter);
    return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static uint8_t nibble_of(const struct pair *p, size_t i)
{
    return i % 2 == 0 ? p->key[i / 2] >> 4 : p->key[i / 2] & 15;
}

/* ---- the reference: the definition of the trie, recursively over the whole set (Yellow Paper, appendix D) ---- */

static void put_reference(struct sb_buf *out, const struct pair *pairs, size_t count, size_t depth);

static void put_path(struct sb_buf *out, const struct pair *p, size_t from, size_t to, bool is_leaf)
{
    uint8_t bytes[KEY_BYTES_MAX + 1] = {0};
    size_t count = to - from;
    size_t at = 0;
    uint8_t flag = (uint8_t)((is_leaf ? 2 : 0) + (count % 2));
    if (count % 2 == 1) {
        bytes[at++] = (uint8_t)(flag << 4 | nibble_of(p, from++));
    } else {
        bytes[at++] = (uint8_t)(flag << 4);
    }
    for (; from < to; from += 2) {
        bytes[at++] = (uint8_t)(nibble_of(p, from) << 4 | nibble_of(p, from + 1));
    }
    sb_rlp_put_bytes(out, sb_span(bytes, at));
}

/* The node of pairs that agree in their first `depth` nibbles. */
static void put_node(struct sb_buf *out, const struct pair *pairs, size_t count, size_t depth)
{
    size_t list = sb_rlp_list_begin(out);
    const struct pair *first = &pairs[0];
    if (count == 1) {
        put_path(out, first, depth, 2 * first->key_len, true);
        sb_rlp_put_bytes(out, sb_span(first->value, first->value_len));
        sb_rlp_list_end(out, list);
        return;
    }
    size_t shared = depth;
    const struct pair *last = &pairs[count - 1];
    while (shared < 2 * first->key_len && nibble_of(first, shared) == nibble_of(last, shared)) {
        shared++;
    }
    if (shared > depth) {
        put_path(out, first, depth, shared, false);
        put_reference(out, pairs, count, shared);
        sb_rlp_list_end(out, list);
        return;
    }
    bool has_value = 2 * first->key_len == depth;
    size_t at = has_value ? 1 : 0;
    for (uint8_t nibble = 0; nibble < 16; nibble++) {
        size_t begin = at;
        while (at < count && nibble_of(&pairs[at], depth) == nibble) {
            at++;
        }
        if (at == begin) {
            sb_rlp_put_bytes(out, sb_span(NULL, 0));
        } else {
            put_reference(out, pairs + begin, at - begin, depth + 1);
        }
    }
    sb_rlp_put_bytes(out, has_value ? sb_span(first->value, first->value_len) : sb_span(NULL, 0));
    sb_rlp_list_end(out, list);
}

static void put_reference(struct sb_buf *out, const struct pair *pairs, size_t count, size_t depth)
{
    struct sb_buf node;
    sb_buf_init(&node, 1 << 16);
    put_node(&node, pairs, count, depth);
    assert_false(node.failed);
    if (node.len < 32) {
        sb_rlp_put_raw(out, sb_buf_bytes(&node));
    } else {
        sb_hash hash = sb_keccak256(sb_buf_bytes(&node));
        sb_rlp_put_hash(out, &hash);
    }
    sb_buf_fini(&node);
}

static sb_hash naive_root(const struct pair *pairs, size_t count)
{
    if (count == 0) {
        return sb_hash_empty_trie;
    }
    struct sb_buf node;
    sb_buf_init(&node, 1 << 16);
    put_node(&node, pairs, count, 0);
    assert_false(node.failed);
    sb_hash root = sb_keccak256(sb_buf_bytes(&node));
    sb_buf_fini(&node);
    return root;
}

/* ---- tests ---- */

static sb_hash stack_root(struct sb_stack_trie *trie, const struct pair *pairs, size_t count)
{
    sb_hash root;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sb_stack_trie_add(trie, sb_span(pairs[i].key, pairs[i].key_len),
                                           sb_span(pairs[i].value, pairs[i].value_len)),
                         SB_OK);
    }
    assert_int_equal(sb_stack_trie_root(&root, trie), SB_OK);
    return root;
}

/* Sorts, drops repeated keys and compares the two roots. */
static void check_same_root(struct sb_stack_trie *trie, struct pair *pairs, size_t count)
{
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_pairs(&pairs[kept - 1], &pairs[i]) != 0) {
            pairs[kept++] = pairs[i];
        }
    }
    sb_hash got = stack_root(trie, pairs, kept);
    sb_hash want = naive_root(pairs, kept);
    assert_memory_equal(got.b, want.b, sizeof got.b);
}

static struct pair random_pair(struct sb_random *rng, size_t key_len, uint8_t alphabet,
                               size_t value_max)
{
    struct pair p = {.key_len = key_len};
    for (size_t i = 0; i < key_len; i++) {
        p.key[i] = (uint8_t)(sb_random_u64(rng) % alphabet * (256 / alphabet));
    }
    p.value_len = 1 + sb_random_u64(rng) % value_max;
    for (size_t i = 0; i < p.value_len; i++) {
        p.value[i] = (uint8_t)sb_random_u64(rng);
    }
    return p;
}

static void trie_of_random_keys_equals_the_naive_trie(void **state)
{
    (void)state;
    static struct pair pairs[PAIRS_MAX];
    static const size_t key_lens[] = {1, 2, 3, 20, 32, 64};
    struct sb_stack_trie *trie = sb_stack_trie_new();
    assert_non_null(trie);
    struct sb_random rng = sb_random_init(__func__);
    for (int round = 0; round < 120; round++) {
        size_t count = sb_random_u64(&rng) % (round < 100 ? 40 : PAIRS_MAX);
        size_t key_len = key_lens[sb_random_u64(&rng) % 6];
        uint8_t alphabet = (uint8_t)(1u << (1 + sb_random_u64(&rng) % 7));
        for (size_t i = 0; i < count; i++) {
            pairs[i] = random_pair(&rng, key_len, alphabet, round % 3 == 0 ? 4 : 140);
        }
        check_same_root(trie, pairs, count);
    }
    sb_stack_trie_free(trie);
}

static void trie_of_keys_that_differ_late_equals_the_naive_trie(void **state)
{
    (void)state;
    static struct pair pairs[PAIRS_MAX];
    struct sb_stack_trie *trie = sb_stack_trie_new();
    struct sb_random rng = sb_random_init(__func__);
    /* every key leaves a common trunk at its own nibble: as many open branches as there are nibbles */
    size_t count = 0;
    for (size_t i = 0; i < KEY_BYTES_MAX; i++) {
        for (uint8_t twig = 1; twig <= 2; twig++) {
            pairs[count] = random_pair(&rng, KEY_BYTES_MAX, 2, 3);
            memset(pairs[count].key, 0x55, sizeof pairs[count].key);
            pairs[count].key[i] ^= (uint8_t)(twig == 1 ? 0x30 : 0x0a);
            count++;
        }
    }
    check_same_root(trie, pairs, count);
    /* pairs of neighbours under a long shared prefix */
    for (size_t i = 0; i < 200; i++) {
        pairs[i] = random_pair(&rng, 32, 128, 2);
        memset(pairs[i].key, 0xee, 30 - i % 3);
    }
    check_same_root(trie, pairs, 200);
    sb_stack_trie_free(trie);
}

static void trie_of_keys_that_are_prefixes_equals_the_naive_trie(void **state)
{
    (void)state;
    static struct pair pairs[PAIRS_MAX];
    struct sb_stack_trie *trie = sb_stack_trie_new();
    struct sb_random rng = sb_random_init(__func__);
    for (int round = 0; round < 200; round++) {
        size_t count = 1 + sb_random_u64(&rng) % 60;
        for (size_t i = 0; i < count; i++) {
            pairs[i] = random_pair(&rng, 1 + sb_random_u64(&rng) % 5, 2, 60);
        }
        check_same_root(trie, pairs, count);
    }
    sb_stack_trie_free(trie);
}

static void trie_add_of_bad_input_is_refused(void **state)
{
    (void)state;
    uint8_t key[KEY_BYTES_MAX + 1] = {5};
    sb_bytes value = sb_span_str("v");
    struct sb_stack_trie *trie = sb_stack_trie_new();
    sb_hash root;
    assert_int_equal(sb_stack_trie_root(&root, trie), SB_OK);
    assert_memory_equal(root.b, sb_hash_empty_trie.b, sizeof root.b);
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, sizeof key), value), SB_E_LIMIT);
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, 2), sb_span(NULL, 0)), SB_E_ARG);
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, 2), value), SB_OK);
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, 2), value), SB_E_ARG);
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, 1), value), SB_E_ARG);
    key[0] = 4;
    assert_int_equal(sb_stack_trie_add(trie, sb_span(key, 2), value), SB_E_ARG);
    sb_stack_trie_free(trie);
}

static void ordered_root_for_each_count_equals_the_naive_trie(void **state)
{
    (void)state;
    static struct pair pairs[PAIRS_MAX];
    static struct pair sorted[PAIRS_MAX];
    sb_bytes items[PAIRS_MAX];
    struct sb_random rng = sb_random_init(__func__);
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        pairs[i] = random_pair(&rng, 1, 2, 140);
        struct sb_buf key = sb_buf_over(pairs[i].key, sizeof pairs[i].key);
        sb_rlp_put_u64(&key, i);
        pairs[i].key_len = key.len;
        items[i] = sb_span(pairs[i].value, pairs[i].value_len);
    }
    static const size_t counts[] = {0, 1, 2, 127, 128, 129, 256, 257, PAIRS_MAX};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        sb_hash got;
        assert_int_equal(sb_ordered_root(&got, items, counts[c]), SB_OK);
        memcpy(sorted, pairs, counts[c] * sizeof *pairs);
        qsort(sorted, counts[c], sizeof *sorted, compare_pairs);
        sb_hash want = naive_root(sorted, counts[c]);
        assert_memory_equal(got.b, want.b, sizeof got.b);
    }
}

/* ---- public vectors ---- */

struct trie_tests {
    struct sb_arena arena;
    bool hash_keys;
    unsigned passed, failed;
};

static sb_bytes text_or_hex(struct sb_arena *arena, const char *text)
{
    return strncmp(text, "0x", 2) == 0 ? conformance_bytes(arena, text) : sb_span_str(text);
}

/* apply: one step of a test: set a key, or remove it with a null value. */
static void apply(struct trie_tests *t, struct pair *pairs, size_t *count, const char *key_text,
                  const json_t *value)
{
    sb_bytes key = text_or_hex(&t->arena, key_text);
    sb_hash hashed = sb_keccak256(key);
    key = t->hash_keys ? sb_span(hashed.b, sizeof hashed.b) : key;
    struct pair p = {.key_len = key.len};
    memcpy(p.key, key.data, key.len);
    if (!json_is_null(value)) {
        sb_bytes bytes = text_or_hex(&t->arena, json_string_value(value));
        p.value_len = bytes.len;
        memcpy(p.value, bytes.data, bytes.len);
    }
    size_t at = 0;
    while (at < *count && compare_pairs(&pairs[at], &p) != 0) {
        at++;
    }
    if (p.value_len == 0) {
        if (at < *count) {
            pairs[at] = pairs[--*count];
        }
        return;
    }
    assert_true(at < PAIRS_MAX);
    pairs[at] = p;
    *count += at == *count ? 1 : 0;
}

static void run_trie_case(struct trie_tests *t, const char *file, const char *name, json_t *test)
{
    static struct pair pairs[PAIRS_MAX];
    size_t count = 0;
    json_t *in = json_object_get(test, "in");
    size_t i;
    json_t *step;
    const char *key;
    json_array_foreach(in, i, step)
    {
        apply(t, pairs, &count, json_string_value(json_array_get(step, 0)),
              json_array_get(step, 1));
    }
    json_object_foreach(in, key, step)
    {
        apply(t, pairs, &count, key, step);
    }
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    struct sb_stack_trie *trie = sb_stack_trie_new();
    sb_hash root = stack_root(trie, pairs, count);
    sb_stack_trie_free(trie);
    if (conformance_bytes_are(json_string_value(json_object_get(test, "root")), root.b,
                              sizeof root.b)) {
        t->passed++;
    } else {
        t->failed++;
        print_error("FAIL %s::%s\n", file, name);
    }
}

static void run_trie_file(void *ctx, const char *file)
{
    struct trie_tests *t = ctx;
    json_t *root = conformance_load(file);
    const char *name;
    json_t *test;
    assert_non_null(root);
    /* the format marks files with hashed keys by their name */
    t->hash_keys = strstr(file, "secure") != NULL;
    json_object_foreach(root, name, test)
    {
        if (json_object_get(test, "root") !=
            NULL) { /* the others are about the order of keys, which a stack trie is given */
            run_trie_case(t, file, name, test);
        }
    }
    json_decref(root);
}

static void public_trie_tests_pass(void **state)
{
    (void)state;
    char folder[CONFORMANCE_PATH_BYTES];
    if (!conformance_folder(folder, "ethereum/basics/ethereum-tests/TrieTests")) {
        skip();
    }
    struct trie_tests t = {.passed = 0};
    sb_arena_init(&t.arena, 1 << 24);
    conformance_each_file(folder, ".json", run_trie_file, &t);
    sb_arena_fini(&t.arena);
    print_message("# TrieTests: %u passed, %u failed\n", t.passed, t.failed);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trie_of_random_keys_equals_the_naive_trie),
        cmocka_unit_test(trie_of_keys_that_differ_late_equals_the_naive_trie),
        cmocka_unit_test(trie_of_keys_that_are_prefixes_equals_the_naive_trie),
        cmocka_unit_test(trie_add_of_bad_input_is_refused),
        cmocka_unit_test(ordered_root_for_each_count_equals_the_naive_trie),
        cmocka_unit_test(public_trie_tests_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
