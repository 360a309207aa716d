/* test_block.c: headers, blocks, ordered roots and state roots on public data: every block of the blockchain tests and of the
 * rpc-compat chain decodes, encodes back to the same bytes, and has the hashes that the data states. */
#include "base/types/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/sha256_portable.h"
#include "base/types/state_root.h"
#include "tests/support/conformance.h"

#define ARENA_BYTES ((size_t)1 << 28)
#define ITEMS_MAX   4096

struct block_tests {
    struct sb_arena arena;
    unsigned passed, failed, refused, not_refused;
};

static bool same_hash(const sb_hash *a, const sb_hash *b)
{
    return sb_hash_equal(a, b);
}

/* The root of a list whose items are taken as their RLP (withdrawals). */
static bool list_root_is(sb_bytes list, const sb_hash *want)
{
    static sb_bytes items[ITEMS_MAX];
    struct sb_rlp in = sb_rlp_open(list);
    struct sb_rlp cursor;
    struct sb_rlp_item item;
    size_t count = 0;
    sb_hash root;
    if (sb_rlp_read_list(&cursor, &in) != SB_OK) {
        return false;
    }
    while (!sb_rlp_done(&cursor) && count < ITEMS_MAX) {
        if (sb_rlp_read_item(&item, &cursor) != SB_OK) {
            return false;
        }
        items[count++] = item.raw;
    }
    return sb_ordered_root(&root, items, count) == SB_OK && same_hash(&root, want);
}

/* What any valid block fulfils; NULL, or what is wrong. */
static const char *check_block(struct sb_arena *arena, sb_bytes raw, const char *hash_text)
{
    struct sb_block block;
    struct sb_diag diag = {.text = ""};
    static char reason[SB_DIAG_TEXT_BYTES];
    if (sb_block_decode(&block, arena, raw, &diag) != SB_OK) {
        (void)snprintf(reason, sizeof reason, "%s", diag.text);
        return reason;
    }
    struct sb_buf out;
    sb_buf_init(&out, SIZE_MAX);
    sb_block_encode(&out, &block);
    bool same = sb_span_equal(sb_buf_bytes(&out), raw);
    sb_buf_fini(&out);
    sb_hash hash = sb_header_hash(&block.header);
    sb_hash uncles = sb_keccak256(block.raw_uncles);
    sb_hash txs;
    if (!same) {
        return "encoding differs";
    }
    if (hash_text != NULL && !conformance_bytes_are(hash_text, hash.b, sizeof hash.b)) {
        return "hash differs";
    }
    if (!same_hash(&uncles, &block.header.uncles_hash)) {
        return "uncles hash differs";
    }
    if (sb_ordered_root(&txs, block.raw_txs, block.tx_count) != SB_OK ||
        !same_hash(&txs, &block.header.transactions_root)) {
        return "transactions root differs";
    }
    if (block.has_withdrawals &&
        !list_root_is(block.raw_withdrawals, &block.header.withdrawals_root)) {
        return "withdrawals root differs";
    }
    for (size_t i = 0; i < block.tx_count; i++) {
        sb_buf_init(&out, SIZE_MAX);
        sb_tx_encode(&out, &block.txs[i]);
        same = sb_span_equal(sb_buf_bytes(&out), block.raw_txs[i]);
        sb_buf_fini(&out);
        if (!same) {
            return "a transaction's encoding differs";
        }
    }
    return NULL;
}

static void note(struct block_tests *t, const char *file, const char *name, const char *reason)
{
    if (reason == NULL) {
        t->passed++;
    } else {
        t->failed++;
        print_error("FAIL %s::%s %s\n", file, name, reason);
    }
}

static sb_u256 number_of(struct sb_arena *arena, const char *text)
{
    sb_bytes bytes = conformance_bytes(arena, text);
    return sb_u256_load_be(bytes.data, bytes.len);
}

static const struct sb_slot_diff *storage_of(struct sb_arena *arena, json_t *storage,
                                             size_t *ret_count)
{
    struct sb_slot_diff *slots = sb_arena_array(arena, json_object_size(storage), sizeof *slots);
    assert_non_null(slots);
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach(storage, key, value)
    {
        sb_u256 slot = number_of(arena, key);
        sb_u256_store_be(slots[count].key.b, &slot);
        slots[count++].value = number_of(arena, json_string_value(value));
    }
    *ret_count = count;
    return slots;
}

static sb_hash root_of_state(struct sb_arena *arena, json_t *state)
{
    size_t capacity = json_object_size(state);
    struct sb_root_account *accounts = sb_arena_array(arena, capacity, sizeof *accounts);
    assert_non_null(accounts);
    size_t count = 0;
    const char *addr;
    json_t *account;
    json_object_foreach(state, addr, account)
    {
        struct sb_root_account *a = &accounts[count++];
        sb_bytes code =
            conformance_bytes(arena, json_string_value(json_object_get(account, "code")));
        sb_u256 nonce = number_of(arena, json_string_value(json_object_get(account, "nonce")));
        size_t slot_count;
        const struct sb_slot_diff *slots =
            storage_of(arena, json_object_get(account, "storage"), &slot_count);
        *a = (struct sb_root_account){.nonce = nonce.w[0], .code_hash = sb_keccak256(code)};
        a->balance = number_of(arena, json_string_value(json_object_get(account, "balance")));
        memcpy(a->addr.b, conformance_bytes(arena, addr).data, sizeof a->addr.b);
        assert_int_equal(sb_storage_root(&a->storage_root, slots, slot_count), SB_OK);
    }
    sb_hash root;
    assert_int_equal(sb_state_root(&root, accounts, count), SB_OK);
    return root;
}

static void run_block_case(struct block_tests *t, const char *file, const char *name, json_t *test)
{
    size_t i;
    json_t *entry;
    json_t *genesis = json_object_get(test, "genesisBlockHeader");
    sb_arena_reset(&t->arena);
    sb_hash root = root_of_state(&t->arena, json_object_get(test, "pre"));
    const char *want = json_string_value(json_object_get(genesis, "stateRoot"));
    note(t, file, name,
         conformance_bytes_are(want, root.b, sizeof root.b) ? NULL : "state root of pre differs");
    sb_bytes raw =
        conformance_bytes(&t->arena, json_string_value(json_object_get(test, "genesisRLP")));
    note(t, file, name,
         check_block(&t->arena, raw, json_string_value(json_object_get(genesis, "hash"))));
    json_array_foreach(json_object_get(test, "blocks"), i, entry)
    {
        raw = conformance_bytes(&t->arena, json_string_value(json_object_get(entry, "rlp")));
        const char *hash =
            json_string_value(json_object_get(json_object_get(entry, "blockHeader"), "hash"));
        if (json_object_get(entry, "expectException") == NULL) {
            note(t, file, name, check_block(&t->arena, raw, hash));
        } else if (check_block(&t->arena, raw, NULL) != NULL) {
            t->refused++;
        } else {
            t->not_refused++; /* well formed: for execution to refuse */
        }
    }
}

static void run_block_file(void *ctx, const char *file)
{
    json_t *root = conformance_load(file);
    const char *name;
    json_t *test;
    assert_non_null(root);
    json_object_foreach(root, name, test)
    {
        run_block_case(ctx, file, name, test);
    }
    json_decref(root);
}

static void public_blocks_round_trip(void **state)
{
    (void)state;
    char folder[CONFORMANCE_PATH_BYTES];
    if (!conformance_folder(folder, "ethereum/eest-blockchain-dev")) {
        skip();
    }
    struct block_tests t = {.passed = 0};
    sb_arena_init(&t.arena, ARENA_BYTES);
    conformance_each_file(folder, ".json", run_block_file, &t);
    sb_arena_fini(&t.arena);
    print_message("# blocks and state roots: %u passed, %u failed; invalid blocks: %u refused, %u "
                  "left to execution\n",
                  t.passed, t.failed, t.refused, t.not_refused);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

static sb_bytes read_file(struct sb_arena *arena, const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long len = ftell(in);
    assert_true(len > 0);
    rewind(in);
    uint8_t *data = sb_arena_alloc(arena, (size_t)len);
    assert_int_equal(fread(data, 1, (size_t)len, in), len);
    (void)fclose(in);
    return sb_span(data, (size_t)len);
}

static void rpc_compat_chain_round_trips_and_is_linked(void **state)
{
    (void)state;
    char path[CONFORMANCE_PATH_BYTES];
    if (!conformance_folder(path, "ethereum/rpc-compat/rpc-compat/chain.rlp")) {
        skip();
    }
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES);
    struct sb_rlp in = sb_rlp_open(read_file(&arena, path));
    struct sb_rlp_item item;
    struct sb_block block;
    sb_hash last = {.b = {0}};
    size_t blocks = 0;
    size_t txs = 0;
    while (!sb_rlp_done(&in)) {
        assert_int_equal(sb_rlp_read_item(&item, &in), SB_OK);
        assert_null(check_block(&arena, item.raw, NULL));
        assert_int_equal(sb_block_decode(&block, &arena, item.raw, NULL), SB_OK);
        if (blocks > 0) {
            assert_memory_equal(block.header.parent_hash.b, last.b, sizeof last.b);
        }
        last = sb_header_hash(&block.header);
        blocks++;
        txs += block.tx_count;
    }
    sb_arena_fini(&arena);
    assert_int_equal(blocks, 54);
    assert_int_equal(txs, 249);
    assert_int_equal(last.b[0], 0xd2);
    assert_int_equal(last.b[1], 0x26);
    assert_int_equal(last.b[2], 0x37);
    assert_int_equal(last.b[3], 0x1d);
}

static void well_known_hashes_are_what_they_say(void **state)
{
    (void)state;
    static const uint8_t empty_string = 0x80;
    static const uint8_t empty_list = 0xc0;
    sb_hash hash = sb_keccak256(sb_span(NULL, 0));
    assert_memory_equal(hash.b, sb_hash_keccak_empty.b, sizeof hash.b);
    hash = sb_keccak256(sb_span(&empty_string, 1));
    assert_memory_equal(hash.b, sb_hash_empty_trie.b, sizeof hash.b);
    hash = sb_keccak256(sb_span(&empty_list, 1));
    assert_memory_equal(hash.b, sb_hash_empty_list.b, sizeof hash.b);
    hash = sb_sha256_portable(sb_span(NULL, 0));
    assert_memory_equal(hash.b, sb_hash_sha256_empty.b, sizeof hash.b);
}

static void header_of_every_length_round_trips_and_others_are_refused(void **state)
{
    (void)state;
    struct sb_header header = {
        .number = 7, .gas_limit = UINT64_MAX, .extra_data_len = SB_EXTRA_DATA_BYTES_MAX};
    memset(header.difficulty.w, 0xff, sizeof header.difficulty.w);
    memset(header.base_fee.w, 0xff, sizeof header.base_fee.w);
    header.gas_used = header.timestamp = header.number = header.blob_gas_used =
        header.excess_blob_gas = UINT64_MAX;
    for (unsigned fields = 0; fields < 25; fields++) {
        uint8_t memory[1024];
        struct sb_buf out = sb_buf_over(memory, sizeof memory);
        struct sb_header back;
        header.field_count = fields;
        sb_header_encode(&out, &header);
        assert_false(out.failed);
        sb_err err = sb_header_decode(&back, sb_buf_bytes(&out), NULL);
        /* an encoder asked for an odd count writes the next lower known one */
        assert_int_equal(err, SB_OK);
        assert_true(back.field_count <= fields || fields < SB_HEADER_FIELDS_FRONTIER);
        for (size_t cut = 0; cut < out.len; cut++) {
            assert_int_not_equal(sb_header_decode(&back, sb_span(memory, cut), NULL), SB_OK);
        }
    }
    assert_int_not_equal(sb_header_decode(&header, sb_span("\xc1\x80", 2), NULL), SB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_blocks_round_trip),
        cmocka_unit_test(rpc_compat_chain_round_trips_and_is_linked),
        cmocka_unit_test(well_known_hashes_are_what_they_say),
        cmocka_unit_test(header_of_every_length_round_trips_and_others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
