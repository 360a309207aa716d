/* pending.c: from a state diff to the changed keys and the next root, in memory (sb_store_root).
 *
 *     for each account:  slots --> slot changes --> storage trie --> storage root --> account record
 *     all accounts:      account records --> account trie --> state root
 *
 * Every change carries the key's old value: the commit writes the new one, the block's diff the old one. When an account is gone or
 * begins anew, its storage trie is built from nothing, and then whatever the database still holds below the account and was not
 * just written is removed; both run in key order, so that is one merge. */
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "storage/store_internal.h"

#define PENDING_BYTES_MAX ((size_t)2 << 30)
#define SCRATCH_BYTES_MAX ((size_t)2 << 30)

struct root_job {
    struct sb_store *store;
    struct sb_store_pending *pending;
    struct sb_state_at at;
    struct sb_arena scratch;
};

static sb_err bytes_keep(sb_bytes *ret, struct sb_arena *arena, sb_bytes bytes)
{
    *ret = sb_span(NULL, 0);
    if (bytes.data != NULL) {
        uint8_t *copy = sb_arena_dup(arena, bytes);
        if (copy == NULL) {
            return SB_E_NOMEM;
        }
        *ret = sb_span(copy, bytes.len);
    }
    return SB_OK;
}

static sb_err change_add(struct root_job *job, enum sb_family family, sb_bytes key,
                         sb_bytes new_value, sb_bytes old_value)
{
    struct sb_store_pending *pending = job->pending;
    struct sb_change *change = sb_arena_zalloc(&pending->arena, sizeof *change);
    if (change == NULL) {
        return SB_E_NOMEM;
    }
    change->family = family;
    SB_TRY(bytes_keep(&change->key, &pending->arena, key));
    SB_TRY(bytes_keep(&change->new_value, &pending->arena, new_value));
    SB_TRY(bytes_keep(&change->old_value, &pending->arena, old_value));
    if (pending->last == NULL) {
        pending->first = change;
    } else {
        pending->last->next = change;
    }
    pending->last = change;
    return SB_OK;
}

/* changes_after: the first change that was added after `mark` (NULL: the first of all). */
static struct sb_change *changes_after(const struct root_job *job, const struct sb_change *mark)
{
    return mark == NULL ? job->pending->first : mark->next;
}

/* ---- tries ---- */

struct record_sink {
    struct root_job *job;
    const sb_hash *account; /* NULL for the account trie */
    bool anew;              /* the trie was begun anew: what it replaces must be looked up */
};

static sb_err record_write(void *ctx, const struct sb_nibbles *path, sb_bytes new_record,
                           sb_bytes old_record)
{
    const struct record_sink *sink = ctx;
    enum sb_family family = sink->account != NULL ? SB_FAMILY_SLOT_TRIE : SB_FAMILY_ACCOUNT_TRIE;
    uint8_t bytes[SB_TRIE_KEY_BYTES_MAX];
    sb_bytes key =
        sb_span(bytes, sb_trie_key(bytes, sink->account != NULL ? sink->account->b : NULL, path));
    struct sb_state_value old = {.found = false};
    if (sink->anew) {
        SB_TRY(sb_state_get(&old, &sink->job->at, family, key));
        old_record = old.found ? old.bytes : sb_span(NULL, 0);
    }
    sb_bytes removed = sb_span(NULL, 0);
    sb_err err = change_add(sink->job, family, key, new_record.len != 0 ? new_record : removed,
                            old_record.len != 0 ? old_record : removed);
    sb_db_value_free(&old.holder);
    return err;
}

/* trie_apply: new root of the account trie (account NULL) or of a storage trie, and its record changes. */
static sb_err trie_apply(sb_hash *io_root, struct root_job *job, const sb_hash *account, bool anew,
                         const struct sb_trie_update *updates, size_t update_count)
{
    struct sb_state_trie *trie = sb_arena_alloc(&job->scratch, sizeof *trie);
    if (trie == NULL) {
        return SB_E_NOMEM;
    }
    sb_state_trie_init(trie, &job->at, account, job->store->cache);
    struct record_sink sink = {.job = job, .account = account, .anew = anew};
    struct sb_trie_reader reader = sb_state_trie_reader(trie);
    const struct sb_trie_writer writer = {.ctx = &sink, .record = record_write};
    sb_err err = sb_trie_update(io_root, &job->scratch, &reader, &writer,
                                anew ? &sb_hash_empty_trie : io_root, updates, update_count);
    sb_state_trie_fini(trie);
    return err;
}

/* ---- storage of one account ---- */

struct hashed_slot {
    sb_hash hash;
    const struct sb_slot_diff *diff;
};

static int hashed_slot_compare(const void *a, const void *b)
{
    const struct hashed_slot *left = a, *right = b;
    return memcmp(left->hash.b, right->hash.b, 32);
}

/* hashes_of: keccak256 of count keys of key_len bytes, `stride` apart, all at once. */
static sb_hash *hashes_of(struct root_job *job, const void *first, size_t key_len, size_t stride,
                          size_t count)
{
    sb_hash *hashes = sb_arena_array(&job->scratch, count, sizeof *hashes);
    sb_bytes *messages = sb_arena_array(&job->scratch, count, sizeof *messages);
    if (hashes == NULL || messages == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        messages[i] = sb_span((const uint8_t *)first + i * stride, key_len);
    }
    sb_keccak256_multi(hashes, messages, count);
    return hashes;
}

/* slot_apply: record the change of one slot and make its trie update; *ret_update.key.data NULL when nothing changes. */
static sb_err slot_apply(struct sb_trie_update *ret_update, struct root_job *job,
                         const sb_hash *account, bool anew, const struct hashed_slot *slot)
{
    uint8_t key[64], record[SB_FLAT_SLOT_BYTES_MAX];
    memcpy(key, account->b, 32);
    memcpy(key + 32, slot->hash.b, 32);
    size_t record_len = sb_flat_slot_encode(record, &slot->diff->value);
    sb_bytes new_value = sb_span(record_len != 0 ? record : NULL, record_len);
    *ret_update = (struct sb_trie_update){.existed = false};
    if (anew && record_len == 0) {
        return SB_OK; /* family_clear removes what is there */
    }
    struct sb_state_value old;
    SB_TRY(sb_state_get(&old, &job->at, SB_FAMILY_SLOT, sb_span(key, sizeof key)));
    sb_bytes old_value = old.found ? old.bytes : sb_span(NULL, 0);
    sb_err err = SB_OK;
    if (anew || !sb_span_equal(new_value, old_value)) {
        uint8_t *leaf = sb_arena_alloc(&job->scratch, SB_FLAT_SLOT_BYTES_MAX);
        ret_update->key = sb_span(slot->hash.b, 32);
        ret_update->existed = old.found && !anew;
        err = leaf == NULL ? SB_E_NOMEM : SB_OK;
        if (err == SB_OK && record_len != 0) {
            size_t leaf_len;
            err = sb_flat_slot_leaf(leaf, &leaf_len, new_value);
            ret_update->value = sb_span(leaf, err == SB_OK ? leaf_len : 0);
        }
        if (err == SB_OK) {
            err = change_add(job, SB_FAMILY_SLOT, sb_span(key, sizeof key), new_value, old_value);
        }
    }
    sb_db_value_free(&old.holder);
    return err;
}

/* family_clear: remove all keys below the account that are not among `kept`, changes of this family in ascending order. */
static sb_err family_clear(struct root_job *job, enum sb_family family, const sb_hash *account,
                           const struct sb_change *kept)
{
    const struct sb_version *version = job->at.version;
    struct sb_db_iter *iter = sb_db_iter_new(version->db, version->snapshot, family);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_bytes prefix = sb_span(account->b, 32);
    sb_err err = SB_OK;
    for (bool more = sb_db_iter_first(iter, prefix, prefix); more && err == SB_OK;
         more = sb_db_iter_next(iter)) {
        sb_bytes key = sb_db_iter_key(iter);
        int order = 1;
        while (kept != NULL && kept->family == family && order > 0) {
            size_t common = key.len < kept->key.len ? key.len : kept->key.len;
            order = memcmp(key.data, kept->key.data, common);
            order = order != 0 ? order : (key.len > kept->key.len) - (key.len < kept->key.len);
            kept = order > 0 ? kept->next : kept;
        }
        if (order != 0) {
            err = change_add(job, family, key, sb_span(NULL, 0), sb_db_iter_value(iter));
        }
    }
    if (err == SB_OK) {
        err = sb_db_iter_err(iter);
    }
    sb_db_iter_free(iter);
    return err;
}

/* storage_apply: slots of one account, its storage trie and root. anew: older storage is dropped. */
static sb_err storage_apply(sb_hash *io_root, struct root_job *job, const sb_hash *account,
                            bool anew, const struct sb_account_diff *diff)
{
    size_t count = diff->exists ? diff->slot_count : 0, update_count = 0;
    struct hashed_slot *slots = sb_arena_array(&job->scratch, count, sizeof *slots);
    struct sb_trie_update *updates = sb_arena_array(&job->scratch, count, sizeof *updates);
    const sb_hash *hashes = hashes_of(job, count != 0 ? diff->slots[0].key.b : NULL, 32,
                                      sizeof(struct sb_slot_diff), count);
    if (slots == NULL || updates == NULL || hashes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        slots[i] = (struct hashed_slot){.hash = hashes[i], .diff = &diff->slots[i]};
    }
    qsort(slots, count, sizeof *slots, hashed_slot_compare);
    const struct sb_change *before_slots = job->pending->last;
    for (size_t i = 0; i < count; i++) {
        SB_TRY(slot_apply(&updates[update_count], job, account, anew, &slots[i]));
        update_count += updates[update_count].key.data != NULL ? 1 : 0;
    }
    const struct sb_change *before_records = job->pending->last;
    if (anew || update_count != 0) {
        SB_TRY(trie_apply(io_root, job, account, anew, updates, update_count));
    }
    if (anew) {
        SB_TRY(family_clear(job, SB_FAMILY_SLOT, account, changes_after(job, before_slots)));
        SB_TRY(family_clear(job, SB_FAMILY_SLOT_TRIE, account, changes_after(job, before_records)));
    }
    return SB_OK;
}

/* ---- accounts and blobs ---- */

static sb_err account_write(struct sb_trie_update *ret_update, struct root_job *job,
                            const sb_hash *account, const struct sb_account_diff *diff,
                            const sb_hash *storage_root, const struct sb_state_value *old)
{
    uint8_t record[SB_FLAT_ACCOUNT_BYTES_MAX];
    sb_bytes new_value = sb_span(NULL, 0), leaf_value = sb_span(NULL, 0);
    if (diff->exists) {
        const struct sb_flat_account flat = {.nonce = diff->nonce,
                                             .balance = diff->balance,
                                             .storage_root = *storage_root,
                                             .code_hash = diff->code_hash};
        new_value = sb_span(record, sb_flat_account_encode(record, &flat));
        uint8_t *leaf = sb_arena_alloc(&job->scratch, SB_FLAT_ACCOUNT_BYTES_MAX);
        if (leaf == NULL) {
            return SB_E_NOMEM;
        }
        leaf_value = sb_span(leaf, sb_flat_account_leaf(leaf, &flat));
    }
    sb_bytes old_value = old->found ? old->bytes : sb_span(NULL, 0);
    *ret_update = (struct sb_trie_update){.existed = old->found};
    if (sb_span_equal(new_value, old_value)) {
        return SB_OK;
    }
    ret_update->key = sb_span(account->b, 32);
    ret_update->value = leaf_value;
    return change_add(job, SB_FAMILY_ACCOUNT, ret_update->key, new_value, old_value);
}

/* account_apply: everything below one account, and its trie update; *ret_update.key.data NULL when nothing changes. */
static sb_err account_apply(struct sb_trie_update *ret_update, struct root_job *job,
                            const sb_hash *account, const struct sb_account_diff *diff)
{
    struct sb_state_value old;
    SB_TRY(sb_state_get(&old, &job->at, SB_FAMILY_ACCOUNT, sb_span(account->b, 32)));
    struct sb_flat_account flat = {.storage_root = sb_hash_empty_trie};
    sb_err err = old.found ? sb_flat_account_decode(&flat, old.bytes) : SB_OK;
    bool had_storage = !sb_hash_equal(&flat.storage_root, &sb_hash_empty_trie);
    bool anew = had_storage && (!diff->exists || diff->storage_cleared);
    if (err == SB_OK && (anew || (diff->exists && diff->slot_count != 0))) {
        err = storage_apply(&flat.storage_root, job, account, anew, diff);
    }
    if (err == SB_OK && diff->code_changed && diff->code.len != 0) {
        err = change_add(job, SB_FAMILY_CODE, sb_span(diff->code_hash.b, 32), diff->code,
                         sb_span(NULL, 0));
    }
    if (err == SB_OK) {
        err = account_write(ret_update, job, account, diff, &flat.storage_root, &old);
    }
    sb_db_value_free(&old.holder);
    return err;
}

static sb_err blob_apply(struct root_job *job, const struct sb_blob_diff *diff)
{
    sb_bytes key = sb_span(diff->id.b, 32);
    struct sb_state_value old;
    SB_TRY(sb_state_get(&old, &job->at, SB_FAMILY_BLOB, key));
    sb_err err = SB_OK;
    if (old.found != diff->exists) { /* the content of an id never changes */
        err = change_add(job, SB_FAMILY_BLOB, key, diff->exists ? diff->data : sb_span(NULL, 0),
                         old.found ? old.bytes : sb_span(NULL, 0));
    }
    sb_db_value_free(&old.holder);
    return err;
}

static sb_err diff_apply(struct root_job *job, const struct sb_state_diff *diff)
{
    size_t count = diff->account_count, update_count = 0;
    struct sb_trie_update *updates = sb_arena_array(&job->scratch, count, sizeof *updates);
    const sb_hash *hashes = hashes_of(job, count != 0 ? diff->accounts[0].addr.b : NULL, 20,
                                      sizeof(struct sb_account_diff), count);
    if (updates == NULL || hashes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(account_apply(&updates[update_count], job, &hashes[i], &diff->accounts[i]));
        update_count += updates[update_count].key.data != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < diff->blob_count; i++) {
        SB_TRY(blob_apply(job, &diff->blobs[i]));
    }
    job->pending->root = job->at.version->head.state_root;
    return trie_apply(&job->pending->root, job, NULL, false, updates, update_count);
}

sb_err sb_store_root(sb_hash *ret_root, struct sb_store_pending **ret_pending,
                     struct sb_store *store, const struct sb_state_diff *diff)
{
    struct sb_store_pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL) {
        return SB_E_NOMEM;
    }
    sb_arena_init(&pending->arena, PENDING_BYTES_MAX);
    struct root_job job = {.store = store, .pending = pending};
    sb_arena_init(&job.scratch, SCRATCH_BYTES_MAX);
    (void)pthread_mutex_lock(&store->writer);
    pending->base = sb_store_newest(store);
    job.at = (struct sb_state_at){.version = pending->base, .number = pending->base->head.number};
    sb_err err = diff_apply(&job, diff);
    (void)pthread_mutex_unlock(&store->writer);
    sb_arena_fini(&job.scratch);
    if (err != SB_OK) {
        sb_store_pending_free(pending);
        return err;
    }
    *ret_root = pending->root;
    *ret_pending = pending;
    return SB_OK;
}

void sb_store_pending_free(struct sb_store_pending *pending)
{
    if (pending != NULL) {
        sb_version_unref(pending->base);
        sb_arena_fini(&pending->arena);
        free(pending);
    }
}
