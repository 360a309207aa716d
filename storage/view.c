/* view.c: views of the state at one block, and proofs against its root.
 *
 * A view counts the version that was newest when it was opened and reads it at its own block. Code and blobs are held in place for
 * the life of the view, in a list by hash, so that repeated reads give the same span without a copy. */
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "storage/store_internal.h"

#define HELD_BUCKETS        64
#define BLOCK_HASH_DISTANCE 256

/* A code or blob that was handed out. */
struct held {
    struct held *next;
    enum sb_family family;
    sb_hash hash;
    struct sb_state_value value;
};

struct sb_store_view {
    struct sb_state_view state;
    struct sb_version *version;
    struct sb_state_at at;
    struct held *held[HELD_BUCKETS];
};

static sb_err flat_account_get(struct sb_flat_account *ret_account, bool *ret_exists,
                               const struct sb_state_at *at, const sb_hash *hash)
{
    struct sb_flat_account account = {.storage_root = sb_hash_empty_trie,
                                      .code_hash = sb_hash_keccak_empty};
    struct sb_state_value value;
    SB_TRY(sb_state_get(&value, at, SB_FAMILY_ACCOUNT, sb_span(hash->b, 32)));
    sb_err err = value.found ? sb_flat_account_decode(&account, value.bytes) : SB_OK;
    sb_db_value_free(&value.holder);
    SB_TRY(err);
    *ret_account = account;
    *ret_exists = value.found;
    return SB_OK;
}

static struct sb_account account_of(const struct sb_flat_account *flat)
{
    return (struct sb_account){.nonce = flat->nonce,
                               .balance = flat->balance,
                               .code_hash = flat->code_hash,
                               .has_storage =
                                   !sb_hash_equal(&flat->storage_root, &sb_hash_empty_trie)};
}

static sb_err view_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    const struct sb_store_view *view = ctx;
    sb_hash hash = sb_keccak256(sb_span(addr->b, sizeof addr->b));
    struct sb_flat_account flat;
    SB_TRY(flat_account_get(&flat, ret_exists, &view->at, &hash));
    *ret_account = account_of(&flat);
    return SB_OK;
}

static sb_err slot_get(sb_u256 *ret_value, const struct sb_state_at *at, const sb_hash *account,
                       const sb_hash *slot)
{
    uint8_t key[64];
    memcpy(key, account->b, 32);
    memcpy(key + 32, slot->b, 32);
    struct sb_state_value value;
    SB_TRY(sb_state_get(&value, at, SB_FAMILY_SLOT, sb_span(key, sizeof key)));
    sb_u256 number = sb_u256_zero();
    sb_err err = value.found ? sb_flat_slot_decode(&number, value.bytes) : SB_OK;
    sb_db_value_free(&value.holder);
    SB_TRY(err);
    *ret_value = number;
    return SB_OK;
}

static sb_err view_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    const struct sb_store_view *view = ctx;
    const sb_bytes messages[2] = {sb_span(addr->b, sizeof addr->b), sb_span(key->b, sizeof key->b)};
    sb_hash hashes[2];
    sb_keccak256_multi(hashes, messages, 2);
    return slot_get(ret_value, &view->at, &hashes[0], &hashes[1]);
}

/* held_get: a code or blob, read once and kept. *ret_data NULL when absent. */
static sb_err held_get(sb_bytes *ret_data, struct sb_store_view *view, enum sb_family family,
                       const sb_hash *hash)
{
    struct held **bucket = &view->held[hash->b[0] % HELD_BUCKETS];
    for (struct held *held = *bucket; held != NULL; held = held->next) {
        if (held->family == family && sb_hash_equal(&held->hash, hash)) {
            *ret_data = held->value.bytes;
            return SB_OK;
        }
    }
    struct sb_state_value value;
    SB_TRY(sb_state_get(&value, &view->at, family, sb_span(hash->b, 32)));
    if (!value.found) {
        sb_db_value_free(&value.holder);
        *ret_data = sb_span(NULL, 0);
        return SB_OK;
    }
    struct held *held = malloc(sizeof *held);
    if (held == NULL) {
        sb_db_value_free(&value.holder);
        return SB_E_NOMEM;
    }
    *held = (struct held){.next = *bucket, .family = family, .hash = *hash, .value = value};
    *bucket = held;
    *ret_data = value.bytes;
    return SB_OK;
}

static sb_err view_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    if (sb_hash_equal(code_hash, &sb_hash_keccak_empty)) {
        *ret_code = sb_span(NULL, 0);
        return SB_OK;
    }
    SB_TRY(held_get(ret_code, ctx, SB_FAMILY_CODE, code_hash));
    return ret_code->data == NULL ? SB_E_CORRUPT : SB_OK;
}

static sb_err view_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    return held_get(ret_data, ctx, SB_FAMILY_BLOB, id);
}

static sb_err view_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    const struct sb_store_view *view = ctx;
    memset(ret_hash, 0, sizeof *ret_hash);
    /* The block being executed is at.number + 1. */
    if (!view->version->head.exists || number > view->at.number ||
        view->at.number - number >= BLOCK_HASH_DISTANCE) {
        return SB_OK;
    }
    struct sb_header_record record;
    sb_err err = sb_header_record_get(&record, view->version->db, view->version->snapshot, number);
    if (err == SB_E_NOT_FOUND) {
        return SB_OK; /* below the first block of the store */
    }
    SB_TRY(err);
    *ret_hash = record.block_hash;
    sb_db_value_free(&record.holder);
    return SB_OK;
}

sb_err sb_store_view_open(struct sb_store_view **ret_view, struct sb_store *store, uint64_t number)
{
    struct sb_version *version = sb_store_newest(store);
    const struct sb_store_head *head = &version->head;
    if (!head->exists || number > head->number || head->number - number > version->block_count) {
        sb_version_unref(version);
        return SB_E_NOT_FOUND;
    }
    struct sb_store_view *view = calloc(1, sizeof *view);
    if (view == NULL) {
        sb_version_unref(version);
        return SB_E_NOMEM;
    }
    view->version = version;
    view->at = (struct sb_state_at){.version = version, .number = number};
    view->state = (struct sb_state_view){.ctx = view,
                                         .account = view_account,
                                         .storage = view_storage,
                                         .code = view_code,
                                         .blob = view_blob,
                                         .block_hash = view_block_hash};
    *ret_view = view;
    return SB_OK;
}

const struct sb_state_view *sb_store_view_state(struct sb_store_view *view)
{
    return &view->state;
}

void sb_store_view_close(struct sb_store_view *view)
{
    if (view == NULL) {
        return;
    }
    for (size_t i = 0; i < HELD_BUCKETS; i++) {
        while (view->held[i] != NULL) {
            struct held *held = view->held[i];
            view->held[i] = held->next;
            sb_db_value_free(&held->value.holder);
            free(held);
        }
    }
    sb_version_unref(view->version);
    free(view);
}

/* ---- proofs ---- */

static sb_err root_at(sb_hash *ret_root, const struct sb_store_view *view)
{
    struct sb_header_record record;
    sb_err err =
        sb_header_record_get(&record, view->version->db, view->version->snapshot, view->at.number);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_E_CORRUPT : err;
    }
    *ret_root = record.state_root;
    sb_db_value_free(&record.holder);
    return SB_OK;
}

/* trie_prove: proof of `key` in the account trie (account NULL) or in a storage trie. */
static sb_err trie_prove(const sb_bytes **ret_nodes, size_t *ret_count, struct sb_arena *arena,
                         const struct sb_state_at *at, const sb_hash *account, const sb_hash *root,
                         const sb_hash *key)
{
    struct sb_state_trie *trie = sb_arena_alloc(arena, sizeof *trie);
    if (trie == NULL) {
        return SB_E_NOMEM;
    }
    sb_state_trie_init(trie, at, account, NULL);
    struct sb_trie_reader reader = sb_state_trie_reader(trie);
    sb_err err = sb_trie_prove(ret_nodes, ret_count, arena, &reader, root, sb_span(key->b, 32));
    sb_state_trie_fini(trie);
    return err;
}

static sb_err slots_prove(struct sb_store_proof_slot *slots, struct sb_arena *arena,
                          const struct sb_state_at *at, const sb_hash *account,
                          const sb_hash *storage_root, const sb_hash *keys, size_t key_count)
{
    for (size_t i = 0; i < key_count; i++) {
        struct sb_store_proof_slot *slot = &slots[i];
        sb_hash hash = sb_keccak256(sb_span(keys[i].b, 32));
        slot->key = keys[i];
        SB_TRY(slot_get(&slot->value, at, account, &hash));
        SB_TRY(
            trie_prove(&slot->nodes, &slot->node_count, arena, at, account, storage_root, &hash));
    }
    return SB_OK;
}

sb_err sb_store_prove(struct sb_store_proof *ret_proof, struct sb_arena *arena,
                      struct sb_store_view *view, const sb_addr *addr, const sb_hash *keys,
                      size_t key_count)
{
    sb_hash account = sb_keccak256(sb_span(addr->b, sizeof addr->b));
    sb_hash root;
    SB_TRY(root_at(&root, view));
    struct sb_flat_account flat;
    struct sb_store_proof proof = {.slot_count = key_count};
    SB_TRY(flat_account_get(&flat, &proof.exists, &view->at, &account));
    proof.account = account_of(&flat);
    proof.storage_root = flat.storage_root;
    SB_TRY(trie_prove(&proof.nodes, &proof.node_count, arena, &view->at, NULL, &root, &account));
    struct sb_store_proof_slot *slots = sb_arena_array(arena, key_count, sizeof *slots);
    if (slots == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(slots_prove(slots, arena, &view->at, &account, &flat.storage_root, keys, key_count));
    proof.slots = slots;
    *ret_proof = proof;
    return SB_OK;
}
