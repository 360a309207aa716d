/* version.c: counted versions, reads through history and snapshot, and the tries' readers; see version.h. */
#include "storage/version.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "storage/trie_cache.h"

struct sb_version *sb_version_new(struct sb_db *db, const struct sb_store_head *head,
                                  struct sb_history_block *const *blocks, size_t block_count)
{
    struct sb_version *version = malloc(sizeof *version + block_count * sizeof version->blocks[0]);
    if (version == NULL) {
        return NULL;
    }
    version->snapshot = sb_db_snapshot_new(db);
    if (version->snapshot == NULL) {
        free(version);
        return NULL;
    }
    atomic_init(&version->refs, 1);
    version->db = db;
    version->head = *head;
    version->block_count = block_count;
    for (size_t i = 0; i < block_count; i++) {
        version->blocks[i] = sb_history_block_ref(blocks[i]);
    }
    return version;
}

struct sb_version *sb_version_ref(struct sb_version *version)
{
    atomic_fetch_add(&version->refs, 1);
    return version;
}

void sb_version_unref(struct sb_version *version)
{
    if (version == NULL || atomic_fetch_sub(&version->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < version->block_count; i++) {
        sb_history_block_unref(version->blocks[i]);
    }
    sb_db_snapshot_free(version->snapshot);
    free(version);
}

/* blocks_after: index of the first block above at->number in version->blocks. */
static size_t blocks_after(const struct sb_state_at *at)
{
    uint64_t behind = at->version->head.number - at->number;
    SB_ASSERT(behind <= at->version->block_count);
    return at->version->block_count - (size_t)behind;
}

sb_err sb_state_get(struct sb_state_value *ret_value, const struct sb_state_at *at,
                    enum sb_family family, sb_bytes key)
{
    const struct sb_version *version = at->version;
    for (size_t i = blocks_after(at); i < version->block_count; i++) {
        struct sb_history_old old;
        SB_TRY(
            sb_history_find(&old, version->blocks[i], version->db, version->snapshot, family, key));
        if (old.recorded) {
            *ret_value = (struct sb_state_value){
                .found = old.existed, .bytes = old.bytes, .holder = old.holder};
            return SB_OK;
        }
    }
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, version->db, version->snapshot, family, key));
    *ret_value = (struct sb_state_value){
        .found = value.handle != NULL, .bytes = value.bytes, .holder = value};
    return SB_OK;
}

/* ---- leaves by prefix ---- */

struct leaf_search {
    const struct sb_state_at *at;
    enum sb_family family;
    struct sb_state_leaf *leaf;
    bool found;
};

/* leaf_try: take the key if the state has it. Ends a scan with SB_E_CANCELLED once one is found. */
static sb_err leaf_try(void *ctx, sb_bytes key)
{
    struct leaf_search *search = ctx;
    struct sb_state_value value;
    if (key.len > sizeof search->leaf->key) {
        return SB_E_CORRUPT;
    }
    SB_TRY(sb_state_get(&value, search->at, search->family, key));
    if (!value.found) {
        sb_db_value_free(&value.holder);
        return SB_OK;
    }
    memcpy(search->leaf->key, key.data, key.len);
    search->leaf->value = value;
    search->found = true;
    return SB_E_CANCELLED;
}

/* current_scan: try the keys that the snapshot has below prefix and path. */
static sb_err current_scan(struct leaf_search *search, struct sb_db_iter *iter, sb_bytes prefix,
                           const struct sb_nibbles *path)
{
    uint8_t start[64 + 1];
    size_t whole = path->count / 2, len = prefix.len + whole;
    SB_ASSERT(len < sizeof start);
    sb_copy(start, prefix.data, prefix.len);
    for (size_t i = 0; i < whole; i++) {
        start[prefix.len + i] = (uint8_t)(path->at[2 * i] << 4 | path->at[2 * i + 1]);
    }
    sb_bytes bound = sb_span(start, len);
    if ((path->count & 1) != 0) {
        start[len++] = (uint8_t)(path->at[path->count - 1] << 4);
    }
    bool more = sb_db_iter_first(iter, bound, sb_span(start, len));
    for (; more; more = sb_db_iter_next(iter)) {
        sb_bytes key = sb_db_iter_key(iter);
        if (!sb_nibbles_prefix_key(path, sb_span_slice(key, prefix.len, SIZE_MAX))) {
            return SB_OK;
        }
        SB_TRY(leaf_try(search, key));
    }
    return sb_db_iter_err(iter);
}

sb_err sb_state_find_leaf(struct sb_state_leaf *ret_leaf, const struct sb_state_at *at,
                          enum sb_family family, sb_bytes prefix, const struct sb_nibbles *path)
{
    const struct sb_version *version = at->version;
    struct leaf_search search = {.at = at, .family = family, .leaf = ret_leaf, .found = false};
    struct sb_db_iter *iter = sb_db_iter_new(version->db, version->snapshot, family);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = current_scan(&search, iter, prefix, path);
    sb_db_iter_free(iter);
    /* A key that was deleted since stands in the history only. */
    for (size_t i = blocks_after(at); err == SB_OK && i < version->block_count; i++) {
        err = sb_history_scan(version->blocks[i], version->db, version->snapshot, family, prefix,
                              path, leaf_try, &search);
    }
    if (search.found) {
        return SB_OK;
    }
    return err == SB_OK ? SB_E_CORRUPT : err;
}

/* ---- tries ---- */

size_t sb_trie_key(uint8_t ret[SB_TRIE_KEY_BYTES_MAX], const uint8_t *account,
                   const struct sb_nibbles *path)
{
    size_t len = account != NULL ? 32 : 0;
    sb_copy(ret, account, len);
    sb_copy(ret + len, path->at, path->count);
    return len + path->count;
}

static sb_err trie_read_record(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_record)
{
    struct sb_state_trie *trie = ctx;
    uint8_t bytes[SB_TRIE_KEY_BYTES_MAX];
    sb_bytes key =
        sb_span(bytes, sb_trie_key(bytes, trie->is_storage ? trie->account : NULL, path));
    enum sb_family family = trie->is_storage ? SB_FAMILY_SLOT_TRIE : SB_FAMILY_ACCOUNT_TRIE;
    if (trie->cache != NULL &&
        sb_trie_cache_get(trie->record, ret_record, trie->cache, family, key)) {
        return SB_OK;
    }
    sb_db_value_free(&trie->held.holder);
    SB_TRY(sb_state_get(&trie->held, &trie->at, family, key));
    if (trie->held.found && trie->held.bytes.len > SB_TRIE_RECORD_BYTES_MAX) {
        return SB_E_CORRUPT;
    }
    if (trie->cache != NULL && trie->held.found) {
        sb_trie_cache_put(trie->cache, family, key, trie->held.bytes);
    }
    *ret_record = trie->held.found ? trie->held.bytes : sb_span(NULL, 0);
    return SB_OK;
}

static sb_err trie_read_leaf(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_key,
                             sb_bytes *ret_value)
{
    struct sb_state_trie *trie = ctx;
    sb_bytes prefix = sb_span(trie->account, trie->is_storage ? 32 : 0);
    enum sb_family family = trie->is_storage ? SB_FAMILY_SLOT : SB_FAMILY_ACCOUNT;
    sb_db_value_free(&trie->leaf.value.holder);
    SB_TRY(sb_state_find_leaf(&trie->leaf, &trie->at, family, prefix, path));
    size_t len;
    if (trie->is_storage) {
        SB_TRY(sb_flat_slot_leaf(trie->leaf_value, &len, trie->leaf.value.bytes));
    } else {
        struct sb_flat_account account;
        SB_TRY(sb_flat_account_decode(&account, trie->leaf.value.bytes));
        len = sb_flat_account_leaf(trie->leaf_value, &account);
    }
    *ret_key = sb_span(trie->leaf.key + prefix.len, 32);
    *ret_value = sb_span(trie->leaf_value, len);
    return SB_OK;
}

void sb_state_trie_init(struct sb_state_trie *trie, const struct sb_state_at *at,
                        const sb_hash *account, struct sb_trie_cache *cache)
{
    memset(trie, 0, sizeof *trie);
    trie->at = *at;
    trie->is_storage = account != NULL;
    if (account != NULL) {
        memcpy(trie->account, account->b, 32);
    }
    trie->cache = cache;
}

void sb_state_trie_fini(struct sb_state_trie *trie)
{
    sb_db_value_free(&trie->held.holder);
    sb_db_value_free(&trie->leaf.value.holder);
}

struct sb_trie_reader sb_state_trie_reader(struct sb_state_trie *trie)
{
    return (struct sb_trie_reader){.ctx = trie, .record = trie_read_record, .leaf = trie_read_leaf};
}
