/* test_trie.c: the incremental trie of storage/trie.h against the stack trie and a naive recursion, on hostile key sets.
 *
 * The store here is an array of leaves and an array of records. After each batch: the root equals both references, the records equal
 * those of a trie built at once, and the writer was told the right old records. */
#include "storage/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/stack_trie.h"
#include "tests/support/proof.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

#define LEAVES_MAX  600
#define RECORDS_MAX 4096
#define EMBED_MAX   40 /* random values: around the 32 bytes at which nodes stop being embedded */
#define VALUE_MAX   160
#define KEY_LEN     32

struct leaf {
    uint8_t key[KEY_LEN];
    uint8_t value[VALUE_MAX];
    size_t value_len;
};

struct record {
    struct sb_nibbles path;
    uint8_t bytes[SB_TRIE_RECORD_BYTES_MAX];
    size_t len;
};

struct world {
    struct leaf leaves[LEAVES_MAX]; /* ascending by key */
    size_t leaf_count;
    struct record records[RECORDS_MAX]; /* ascending by path */
    size_t record_count;
    sb_hash root;
    struct sb_arena arena;
};

/* ---- the world as reader and writer ---- */

static size_t leaf_place(const struct world *w, const uint8_t *key)
{
    size_t i = 0;
    while (i < w->leaf_count && memcmp(w->leaves[i].key, key, KEY_LEN) < 0) {
        i++;
    }
    return i;
}

static bool leaf_exists(const struct world *w, const uint8_t *key)
{
    size_t i = leaf_place(w, key);
    return i < w->leaf_count && memcmp(w->leaves[i].key, key, KEY_LEN) == 0;
}

static void leaf_set(struct world *w, const uint8_t *key, const uint8_t *value, size_t value_len)
{
    size_t i = leaf_place(w, key), behind = (w->leaf_count - i) * sizeof(struct leaf);
    bool exists = leaf_exists(w, key);
    if (value_len == 0) {
        if (exists) {
            memmove(&w->leaves[i], &w->leaves[i + 1], behind - sizeof(struct leaf));
            w->leaf_count--;
        }
        return;
    }
    if (!exists) {
        assert_true(w->leaf_count < LEAVES_MAX);
        memmove(&w->leaves[i + 1], &w->leaves[i], behind);
        w->leaf_count++;
    }
    memcpy(w->leaves[i].key, key, KEY_LEN);
    memcpy(w->leaves[i].value, value, value_len);
    w->leaves[i].value_len = value_len;
}

static int path_compare(const struct sb_nibbles *a, const struct sb_nibbles *b)
{
    int order = memcmp(a->at, b->at, a->count < b->count ? a->count : b->count);
    return order != 0 ? order : (int)a->count - (int)b->count;
}

static size_t record_place(const struct world *w, const struct sb_nibbles *path)
{
    size_t low = 0, high = w->record_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (path_compare(&w->records[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static sb_bytes record_at(const struct world *w, const struct sb_nibbles *path)
{
    size_t i = record_place(w, path);
    bool found = i < w->record_count && path_compare(&w->records[i].path, path) == 0;
    return found ? sb_span(w->records[i].bytes, w->records[i].len) : sb_span(NULL, 0);
}

static sb_err read_record(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_record)
{
    *ret_record = record_at(ctx, path);
    return SB_OK;
}

static sb_err read_leaf(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_key,
                        sb_bytes *ret_value)
{
    const struct world *w = ctx;
    const struct leaf *found = NULL;
    for (size_t i = 0; i < w->leaf_count; i++) {
        if (sb_nibbles_prefix_key(path, sb_span(w->leaves[i].key, KEY_LEN))) {
            assert_null(found); /* only asked where one key lies */
            found = &w->leaves[i];
        }
    }
    if (found == NULL) {
        return SB_E_CORRUPT;
    }
    *ret_key = sb_span(found->key, KEY_LEN);
    *ret_value = sb_span(found->value, found->value_len);
    return SB_OK;
}

struct new_records {
    const struct world *world;
    struct world *to;
    struct sb_nibbles last;
    bool any;
};

static sb_err write_record(void *ctx, const struct sb_nibbles *path, sb_bytes new_record,
                           sb_bytes old_record)
{
    struct new_records *out = ctx;
    assert_true(!out->any || path_compare(&out->last, path) < 0);
    out->any = true;
    out->last = *path;
    sb_bytes before = record_at(out->world, path);
    assert_true(sb_span_equal(before, old_record));
    assert_false(sb_span_equal(new_record, old_record));
    struct world *w = out->to;
    size_t i = record_place(w, path), behind = (w->record_count - i) * sizeof(struct record);
    bool exists = before.len != 0;
    if (new_record.len == 0) {
        memmove(&w->records[i], &w->records[i + 1], behind - sizeof(struct record));
        w->record_count--;
        return SB_OK;
    }
    if (!exists) {
        assert_true(w->record_count < RECORDS_MAX);
        memmove(&w->records[i + 1], &w->records[i], behind);
        w->record_count++;
    }
    w->records[i].path = *path;
    memcpy(w->records[i].bytes, new_record.data, new_record.len);
    w->records[i].len = new_record.len;
    return SB_OK;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->root = sb_hash_empty_trie;
    sb_arena_init(&w->arena, (size_t)1 << 28);
    return w;
}

static void world_free(struct world *w)
{
    sb_arena_fini(&w->arena);
    free(w);
}

/* world_update: one batch; leaves and records follow. */
static void world_update(struct world *w, const struct leaf *changes, size_t count)
{
    struct sb_trie_update *updates = calloc(count + 1, sizeof *updates);
    struct world *next = malloc(sizeof *next);
    assert_non_null(updates);
    assert_non_null(next);
    for (size_t i = 0; i < count; i++) {
        updates[i] =
            (struct sb_trie_update){.key = sb_span(changes[i].key, KEY_LEN),
                                    .value = sb_span(changes[i].value, changes[i].value_len),
                                    .existed = leaf_exists(w, changes[i].key)};
    }
    memcpy(next, w, sizeof *next);
    const struct sb_trie_reader reader = {.ctx = w, .record = read_record, .leaf = read_leaf};
    struct new_records out = {.world = w, .to = next};
    const struct sb_trie_writer writer = {.ctx = &out, .record = write_record};
    assert_int_equal(
        sb_trie_update(&next->root, &w->arena, &reader, &writer, &w->root, updates, count), SB_OK);
    next->arena = w->arena;
    memcpy(w, next, sizeof *w);
    for (size_t i = 0; i < count; i++) {
        leaf_set(w, changes[i].key, changes[i].value, changes[i].value_len);
    }
    sb_arena_reset(&w->arena);
    free(next);
    free(updates);
}

/* ---- references ---- */

static sb_hash stack_root(const struct world *w)
{
    struct sb_stack_trie *trie = sb_stack_trie_new();
    assert_non_null(trie);
    for (size_t i = 0; i < w->leaf_count; i++) {
        assert_int_equal(sb_stack_trie_add(trie, sb_span(w->leaves[i].key, KEY_LEN),
                                           sb_span(w->leaves[i].value, w->leaves[i].value_len)),
                         SB_OK);
    }
    sb_hash root;
    assert_int_equal(sb_stack_trie_root(&root, trie), SB_OK);
    sb_stack_trie_free(trie);
    return root;
}

static void put_path(struct sb_buf *out, const uint8_t *key, size_t from, size_t to, bool leaf)
{
    uint8_t bytes[KEY_LEN + 1];
    size_t len = 0;
    uint8_t flag = leaf ? 0x20 : 0;
    if ((to - from) % 2 != 0) {
        bytes[len++] = (uint8_t)(flag | 0x10 | sb_key_nibble(key, from++));
    } else {
        bytes[len++] = flag;
    }
    for (size_t i = from; i < to; i += 2) {
        bytes[len++] = (uint8_t)(sb_key_nibble(key, i) << 4 | sb_key_nibble(key, i + 1));
    }
    sb_rlp_put_bytes(out, sb_span(bytes, len));
}

static void put_node(struct sb_buf *out, const struct leaf *leaves, size_t count, size_t depth);

static void put_ref(struct sb_buf *out, const struct leaf *leaves, size_t count, size_t depth)
{
    struct sb_buf node;
    sb_buf_init(&node, 4096);
    put_node(&node, leaves, count, depth);
    if (node.len < 32) {
        sb_buf_add(out, node.data, node.len);
    } else {
        sb_hash hash = sb_keccak256(sb_buf_bytes(&node));
        sb_rlp_put_hash(out, &hash);
    }
    sb_buf_fini(&node);
}

/* put_node: Yellow Paper, appendix D, c(I, i), word for word. Recursion is bounded by the 64 nibbles of a key. */
static void put_node(struct sb_buf *out, const struct leaf *leaves, size_t count, size_t depth)
{
    size_t list = sb_rlp_list_begin(out);
    if (count == 1) {
        put_path(out, leaves[0].key, depth, 2 * KEY_LEN, true);
        sb_rlp_put_bytes(out, sb_span(leaves[0].value, leaves[0].value_len));
        sb_rlp_list_end(out, list);
        return;
    }
    size_t fork = depth;
    while (sb_key_nibble(leaves[0].key, fork) == sb_key_nibble(leaves[count - 1].key, fork)) {
        fork++;
    }
    if (fork > depth) {
        put_path(out, leaves[0].key, depth, fork, false);
        put_ref(out, leaves, count, fork);
        sb_rlp_list_end(out, list);
        return;
    }
    for (uint8_t nibble = 0; nibble < 16; nibble++) {
        size_t from = 0;
        while (from < count && sb_key_nibble(leaves[from].key, depth) < nibble) {
            from++;
        }
        size_t to = from;
        while (to < count && sb_key_nibble(leaves[to].key, depth) == nibble) {
            to++;
        }
        if (to == from) {
            sb_buf_add_byte(out, 0x80);
        } else {
            put_ref(out, leaves + from, to - from, depth + 1);
        }
    }
    sb_buf_add_byte(out, 0x80);
    sb_rlp_list_end(out, list);
}

static sb_hash naive_root(const struct world *w)
{
    if (w->leaf_count == 0) {
        return sb_hash_empty_trie;
    }
    struct sb_buf node;
    sb_buf_init(&node, 4096);
    put_node(&node, w->leaves, w->leaf_count, 0);
    sb_hash root = sb_keccak256(sb_buf_bytes(&node));
    sb_buf_fini(&node);
    return root;
}

static void check_proof(struct world *w, const uint8_t *key)
{
    const struct sb_trie_reader reader = {.ctx = w, .record = read_record, .leaf = read_leaf};
    const sb_bytes *nodes;
    size_t count;
    assert_int_equal(
        sb_trie_prove(&nodes, &count, &w->arena, &reader, &w->root, sb_span(key, KEY_LEN)), SB_OK);
    sb_bytes value;
    enum proof_verdict verdict =
        proof_verify(&value, &w->root, sb_span(key, KEY_LEN), nodes, count);
    size_t i = leaf_place(w, key);
    if (leaf_exists(w, key)) {
        assert_int_equal(verdict, PROOF_PRESENT);
        assert_true(sb_span_equal(value, sb_span(w->leaves[i].value, w->leaves[i].value_len)));
    } else {
        assert_int_equal(verdict, PROOF_ABSENT);
    }
    sb_arena_reset(&w->arena);
}

/* check_world: root against both references, records against a trie made at once, proofs of what is there and what is not. */
static void check_world(struct world *w, struct sb_random *random)
{
    sb_hash stack = stack_root(w), naive = naive_root(w);
    assert_memory_equal(w->root.b, stack.b, 32);
    assert_memory_equal(w->root.b, naive.b, 32);
    struct world *fresh = world_new();
    world_update(fresh, w->leaves, w->leaf_count);
    assert_memory_equal(fresh->root.b, w->root.b, 32);
    assert_int_equal(fresh->record_count, w->record_count);
    for (size_t i = 0; i < w->record_count; i++) {
        assert_int_equal(path_compare(&fresh->records[i].path, &w->records[i].path), 0);
        assert_int_equal(fresh->records[i].len, w->records[i].len);
        assert_memory_equal(fresh->records[i].bytes, w->records[i].bytes, w->records[i].len);
    }
    world_free(fresh);
    for (size_t i = 0; i < 4 && w->leaf_count != 0; i++) {
        uint8_t key[KEY_LEN];
        memcpy(key, w->leaves[sb_random_below(random, w->leaf_count)].key, KEY_LEN);
        check_proof(w, key);
        size_t place = sb_random_below(random, KEY_LEN);
        key[place] = (uint8_t)(key[place] ^ (1u << sb_random_below(random, 8)));
        check_proof(w, key);
    }
}

/* ---- key sets ---- */

/* A key near an earlier one: equal for a random number of nibbles, so that splits and merges happen at every depth. */
static void hostile_key(uint8_t key[KEY_LEN], const struct world *w, struct sb_random *random)
{
    sb_random_fill(random, key, KEY_LEN);
    if (w->leaf_count != 0 && sb_random_below(random, 4) != 0) {
        size_t keep = sb_random_below(random, 2 * KEY_LEN);
        const uint8_t *near = w->leaves[sb_random_below(random, w->leaf_count)].key;
        memcpy(key, near, keep / 2);
        if (keep % 2 != 0) {
            key[keep / 2] = (uint8_t)((near[keep / 2] & 0xf0) | (key[keep / 2] & 15));
        }
    }
}

static bool batch_has(const struct leaf *changes, size_t count, const uint8_t *key)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(changes[i].key, key, KEY_LEN) == 0) {
            return true;
        }
    }
    return false;
}

static size_t random_batch(struct leaf *changes, const struct world *w, struct sb_random *random,
                           size_t most)
{
    size_t count = 0, wanted = 1 + sb_random_below(random, most);
    for (size_t tries = 0; count < wanted && tries < 4 * wanted; tries++) {
        struct leaf change;
        bool remove =
            w->leaf_count != 0 && sb_random_below(random, 100) < (w->leaf_count > 200 ? 70u : 40u);
        if (remove || (w->leaf_count != 0 && sb_random_below(random, 4) == 0)) {
            memcpy(change.key, w->leaves[sb_random_below(random, w->leaf_count)].key, KEY_LEN);
        } else {
            hostile_key(change.key, w, random);
        }
        sb_random_fill(random, change.value, EMBED_MAX);
        change.value_len = remove ? 0 : 1 + sb_random_below(random, EMBED_MAX);
        if (!batch_has(changes, count, change.key)) {
            changes[count++] = change;
        }
    }
    return count;
}

/* ---- tests ---- */

static void trie_empty_updates_keep_the_empty_root(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct leaf nothing = {.value_len = 0};
    world_update(w, &nothing, 1);
    assert_memory_equal(w->root.b, sb_hash_empty_trie.b, 32);
    assert_int_equal(w->record_count, 0);
    world_free(w);
}

static void trie_random_batches_agree_with_both_references(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    for (int round = 0; round < 8; round++) {
        struct world *w = world_new();
        for (int step = 0; step < 60; step++) {
            static struct leaf changes[64];
            size_t count = random_batch(changes, w, &random, round < 4 ? 6 : 60);
            world_update(w, changes, count);
            check_world(w, &random);
        }
        world_free(w);
    }
}

static void trie_order_and_split_do_not_change_the_root(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    for (int round = 0; round < 20; round++) {
        struct world *once = world_new(), *split = world_new();
        static struct leaf changes[120];
        size_t count = random_batch(changes, once, &random, 120);
        world_update(once, changes, count);
        for (size_t i = count; i > 1; i--) { /* shuffle */
            size_t j = sb_random_below(&random, i);
            struct leaf swap = changes[i - 1];
            changes[i - 1] = changes[j];
            changes[j] = swap;
        }
        for (size_t i = 0; i < count;) {
            size_t some = 1 + sb_random_below(&random, 9);
            some = some < count - i ? some : count - i;
            world_update(split, changes + i, some);
            i += some;
        }
        assert_memory_equal(once->root.b, split->root.b, 32);
        world_free(once);
        world_free(split);
    }
}

static void trie_insert_then_delete_gives_the_earlier_root(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct world *w = world_new();
    static struct leaf changes[100];
    size_t count = random_batch(changes, w, &random, 100);
    world_update(w, changes, count);
    for (int round = 0; round < 60; round++) {
        sb_hash before = w->root;
        struct leaf extra;
        do {
            hostile_key(extra.key, w, &random);
        } while (leaf_exists(w, extra.key));
        extra.value[0] = 1;
        extra.value_len = 1;
        world_update(w, &extra, 1);
        assert_memory_not_equal(w->root.b, before.b, 32);
        extra.value_len = 0;
        world_update(w, &extra, 1);
        assert_memory_equal(w->root.b, before.b, 32);
    }
    world_free(w);
}

/* Two keys that share `common` nibbles and a third one: branch -> extension -> leaf and back, for each length. */
static void trie_every_common_prefix_collapses_and_grows(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    for (size_t common = 0; common < 2 * KEY_LEN; common++) {
        struct world *w = world_new();
        struct leaf leaves[3] = {
            {.value_len = 1, .value = {5}}, {.value_len = 33}, {.value_len = 2, .value = {9, 9}}};
        sb_random_fill(&random, leaves[0].key, KEY_LEN);
        memcpy(leaves[1].key, leaves[0].key, KEY_LEN);
        leaves[1].key[common / 2] ^= common % 2 == 0 ? 0x10 : 0x01;
        memcpy(leaves[2].key, leaves[0].key, KEY_LEN);
        leaves[2].key[common / 4] ^= 0x22;
        for (size_t i = 0; i < 3; i++) {
            world_update(w, &leaves[i], 1);
            check_world(w, &random);
        }
        for (size_t i = 0; i < 3; i++) {
            struct leaf gone = leaves[(i + common) % 3];
            gone.value_len = 0;
            world_update(w, &gone, 1);
            check_world(w, &random);
        }
        assert_int_equal(w->record_count, 0);
        world_free(w);
    }
}

static void proof_any_bit_flip_fails(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct world *w = world_new();
    static struct leaf changes[40];
    size_t count = random_batch(changes, w, &random, 40);
    world_update(w, changes, count);
    const struct sb_trie_reader reader = {.ctx = w, .record = read_record, .leaf = read_leaf};
    sb_bytes key = sb_span(w->leaves[0].key, KEY_LEN), value;
    const sb_bytes *nodes;
    size_t node_count;
    assert_int_equal(sb_trie_prove(&nodes, &node_count, &w->arena, &reader, &w->root, key), SB_OK);
    assert_int_equal(proof_verify(&value, &w->root, key, nodes, node_count), PROOF_PRESENT);
    for (size_t i = 0; i < node_count; i++) {
        sb_bytes *mutant = sb_arena_array(&w->arena, node_count, sizeof *mutant);
        memcpy(mutant, nodes, node_count * sizeof *mutant);
        uint8_t *bytes = sb_arena_dup(&w->arena, nodes[i]);
        mutant[i].data = bytes;
        for (size_t bit = 0; bit < 8 * nodes[i].len; bit++) {
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
            assert_int_equal(proof_verify(&value, &w->root, key, mutant, node_count),
                             PROOF_INVALID);
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        }
    }
    world_free(w);
}

static void update_contradicting_existed_is_corrupt(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct leaf leaves[2] = {{.key = {1}, .value_len = 1, .value = {1}},
                             {.key = {2}, .value_len = 1, .value = {2}}};
    world_update(w, leaves, 2);
    const struct sb_trie_reader reader = {.ctx = w, .record = read_record, .leaf = read_leaf};
    struct new_records out = {.world = w, .to = w};
    const struct sb_trie_writer writer = {.ctx = &out, .record = write_record};
    uint8_t absent[KEY_LEN] = {3};
    struct sb_trie_update update = {
        .key = sb_span(absent, KEY_LEN), .value = sb_span("x", 1), .existed = true};
    sb_hash root;
    assert_int_equal(sb_trie_update(&root, &w->arena, &reader, &writer, &w->root, &update, 1),
                     SB_E_CORRUPT);
    update = (struct sb_trie_update){
        .key = sb_span(leaves[0].key, KEY_LEN), .value = sb_span("x", 1), .existed = false};
    assert_int_equal(sb_trie_update(&root, &w->arena, &reader, &writer, &w->root, &update, 1),
                     SB_E_CORRUPT);
    world_free(w);
}

static void record_decode_accepts_only_what_encode_gives(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct world *w = world_new();
    static struct leaf changes[100];
    world_update(w, changes, random_batch(changes, w, &random, 100));
    for (size_t i = 0; i < w->record_count; i++) {
        struct sb_trie_node node;
        uint8_t again[SB_TRIE_RECORD_BYTES_MAX];
        sb_bytes record = sb_span(w->records[i].bytes, w->records[i].len);
        assert_int_equal(sb_trie_node_decode(&node, record), SB_OK);
        assert_int_equal(sb_trie_node_encode(again, &node), record.len);
        assert_memory_equal(again, record.data, record.len);
        for (size_t len = 0; len < record.len; len++) {
            assert_int_equal(sb_trie_node_decode(&node, sb_span_slice(record, 0, len)),
                             SB_E_CORRUPT);
        }
    }
    world_free(w);
}

/* ---- ethereum/tests TrieTests ---- */

/* text_bytes: of a key or value: hexadecimal after 0x, else the characters. */
static size_t text_bytes(uint8_t ret[VALUE_MAX], const json_t *text)
{
    const char *chars = json_string_value(text);
    assert_non_null(chars);
    if (strncmp(chars, "0x", 2) == 0) {
        return sb_vectors_hex(ret, VALUE_MAX, text);
    }
    assert_true(strlen(chars) <= VALUE_MAX);
    memcpy(ret, chars, strlen(chars));
    return strlen(chars);
}

static void put_pair(struct world *w, const json_t *key_text, const json_t *value)
{
    uint8_t key[VALUE_MAX];
    struct leaf change = {.value_len = 0};
    sb_hash hash = sb_keccak256(sb_span(key, text_bytes(key, key_text)));
    memcpy(change.key, hash.b, KEY_LEN);
    if (!json_is_null(value)) {
        change.value_len = text_bytes(change.value, value);
    }
    world_update(w, &change, 1);
}

/* Only the suites whose keys are hashed: keys of the state never are prefixes of one another, and this trie refuses such. */
static void check_suite(const char *member, size_t expected_count)
{
    json_t *suite = sb_vectors_load("ethereum/basics.tar.zst", member), *test;
    const char *name;
    size_t count = 0;
    json_object_foreach(suite, name, test)
    {
        struct world *w = world_new();
        json_t *in = json_object_get(test, "in"), *value;
        const char *key;
        size_t index;
        if (json_is_array(in)) {
            json_array_foreach(in, index, value)
            {
                put_pair(w, json_array_get(value, 0), json_array_get(value, 1));
            }
        } else {
            json_object_foreach(in, key, value)
            {
                json_t *text = json_string(key);
                put_pair(w, text, value);
                json_decref(text);
            }
        }
        uint8_t root[32];
        assert_int_equal(sb_vectors_hex(root, sizeof root, json_object_get(test, "root")), 32);
        assert_memory_equal(w->root.b, root, 32);
        world_free(w);
        count++;
    }
    json_decref(suite);
    assert_int_equal(count, expected_count);
}

static void trie_public_secure_vectors_give_their_roots(void **state)
{
    (void)state;
    check_suite("ethereum-tests/TrieTests/trietest_secureTrie.json", 3);
    check_suite("ethereum-tests/TrieTests/trieanyorder_secureTrie.json", 7);
    check_suite("ethereum-tests/TrieTests/hex_encoded_securetrie_test.json", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trie_empty_updates_keep_the_empty_root),
        cmocka_unit_test(trie_every_common_prefix_collapses_and_grows),
        cmocka_unit_test(trie_random_batches_agree_with_both_references),
        cmocka_unit_test(trie_public_secure_vectors_give_their_roots),
        cmocka_unit_test(trie_order_and_split_do_not_change_the_root),
        cmocka_unit_test(trie_insert_then_delete_gives_the_earlier_root),
        cmocka_unit_test(proof_any_bit_flip_fails),
        cmocka_unit_test(update_contradicting_existed_is_corrupt),
        cmocka_unit_test(record_decode_accepts_only_what_encode_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
