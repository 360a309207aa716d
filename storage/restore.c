/* restore.c: the frontier of a restore, and what an answer adds to the database; see restore.h.
 *
 *     family default   "restore goal"      number (8) | block hash (32) | state root (32)
 *                      "restore progress"  accounts, slots, codes, blobs, bytes, open requests (8 each)
 *                      0x01 | order (1) | hash (32, not for accounts) | 64 - nibbles (1) | path, one byte a nibble
 *                                          nibbles of the parent's path (1; 255: none) | reference by which the parent names it
 *
 * order: 1 code, 2 blob, 3 storage, 4 accounts; so the first keys are those that must be worked off first for the frontier to stay small.
 *
 * A branch that comes as a NODE is written with leaf mask 0. When the answer for one of its children turns out to be a single leaf, that
 * answer's batch sets the bit. So the record is the one that a commit would have left as soon as all its children are here.
 *
 * Each answer is one batch; batches are written in order without a sync, and a crash loses some of the last ones. The batch of finish is
 * synced, and takes all before it with it. */
#include "storage/restore.h"

#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/types/block.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define ORDER_CODE     1
#define ORDER_BLOB     2
#define ORDER_STORAGE  3
#define ORDER_ACCOUNTS 4
#define NO_PARENT      255
#define GOAL_BYTES     72
#define PROGRESS_BYTES 48
#define KEY_BYTES_MAX  (3 + 32 + SB_NIBBLES_MAX)
#define OPEN_BYTES_MAX 34
#define CACHE_BYTES    ((size_t)32 << 20)
#define SCRATCH_BYTES  ((size_t)64 << 20)
#define WHOLE          ((uint64_t)1 << 40) /* the account trie, of which open requests are parts */

struct sb_restore {
    struct sb_store *store;
    struct sb_restore_goal goal;
    struct sb_arena arena; /* of one answer */
    struct sb_restore_progress progress;
    uint64_t accounts_open; /* parts of WHOLE */
    uint8_t low
        [KEY_BYTES_MAX]; /* no open request has a lower key: a scan need not pass those that are gone */
    size_t low_len;
    size_t out_count;
    struct sb_subtree_request out[SB_RESTORE_OUT_MAX];
};

/* A change that is being written. */
struct step {
    struct sb_restore *restore;
    struct sb_db_batch *batch;
    struct sb_restore_progress progress;
    uint64_t accounts_open;
};

/* ---- keys ---- */

static uint8_t order_of(enum sb_subtree_kind kind)
{
    switch (kind) {
    case SB_SUBTREE_CODE:
        return ORDER_CODE;
    case SB_SUBTREE_BLOB:
        return ORDER_BLOB;
    case SB_SUBTREE_STORAGE:
        return ORDER_STORAGE;
    case SB_SUBTREE_ACCOUNTS:
        break;
    }
    return ORDER_ACCOUNTS;
}

static size_t key_make(uint8_t ret[KEY_BYTES_MAX], const struct sb_subtree_request *request)
{
    uint8_t *at = ret;
    *at++ = (uint8_t)SB_META_FRONTIER[0];
    *at++ = order_of(request->kind);
    if (request->kind != SB_SUBTREE_ACCOUNTS) {
        memcpy(at, request->hash.b, 32);
        at += 32;
    }
    *at++ = (uint8_t)(SB_NIBBLES_MAX - request->path.count);
    sb_copy(at, request->path.at, request->path.count);
    return (size_t)(at - ret) + request->path.count;
}

static sb_err key_read(struct sb_subtree_request *ret_request, sb_bytes key)
{
    static const enum sb_subtree_kind kinds[] = {0, SB_SUBTREE_CODE, SB_SUBTREE_BLOB,
                                                 SB_SUBTREE_STORAGE, SB_SUBTREE_ACCOUNTS};
    struct sb_subtree_request request = {.path.count = 0};
    if (key.len < 3 || key.data[1] < ORDER_CODE || key.data[1] > ORDER_ACCOUNTS) {
        return SB_E_CORRUPT;
    }
    request.kind = kinds[key.data[1]];
    size_t hash_len = request.kind != SB_SUBTREE_ACCOUNTS ? 32 : 0;
    if (key.len < 3 + hash_len) {
        return SB_E_CORRUPT;
    }
    sb_copy(request.hash.b, key.data + 2, hash_len);
    sb_bytes path = sb_span_slice(key, 3 + hash_len, SIZE_MAX);
    if (!sb_nibbles_add(&request.path, path.data, path.len) ||
        key.data[2 + hash_len] != SB_NIBBLES_MAX - request.path.count) {
        return SB_E_CORRUPT;
    }
    *ret_request = request;
    return SB_OK;
}

/* part_of: how much of the account trie a request stands for. */
static uint64_t part_of(const struct sb_subtree_request *request)
{
    return request->kind == SB_SUBTREE_ACCOUNTS && request->path.count <= 10
               ? WHOLE >> (4 * request->path.count)
               : 0;
}

/* ---- steps ---- */

static sb_err step_begin(struct step *step, struct sb_restore *restore)
{
    *step = (struct step){.restore = restore,
                          .batch = sb_db_batch_new(restore->store->db),
                          .progress = restore->progress,
                          .accounts_open = restore->accounts_open};
    return step->batch == NULL ? SB_E_NOMEM : SB_OK;
}

/* step_end: write it, unless it failed. */
static sb_err step_end(struct step *step, sb_err err, struct sb_diag *diag)
{
    struct sb_restore *restore = step->restore;
    if (err == SB_OK) {
        const struct sb_restore_progress *p = &step->progress;
        uint8_t bytes[PROGRESS_BYTES];
        be_store64(bytes, p->account_count);
        be_store64(bytes + 8, p->slot_count);
        be_store64(bytes + 16, p->code_count);
        be_store64(bytes + 24, p->blob_count);
        be_store64(bytes + 32, p->bytes);
        be_store64(bytes + 40, p->open_count);
        sb_db_batch_put(step->batch, SB_FAMILY_META, sb_span_str(SB_META_PROGRESS),
                        sb_span(bytes, sizeof bytes));
        err = sb_db_batch_write_lazily(restore->store->db, step->batch, diag);
        restore->store->failed = err != SB_OK;
    }
    if (err == SB_OK) {
        restore->progress = step->progress;
        restore->accounts_open = step->accounts_open;
    }
    sb_db_batch_free(step->batch);
    return err;
}

/* low_take: an open request has this key. */
static void low_take(struct sb_restore *restore, sb_bytes key)
{
    size_t common = key.len < restore->low_len ? key.len : restore->low_len;
    int order = memcmp(key.data, restore->low, common);
    if (order < 0 || (order == 0 && key.len < restore->low_len)) {
        memcpy(restore->low, key.data, key.len);
        restore->low_len = key.len;
    }
}

static void request_open(struct step *step, const struct sb_subtree_request *request,
                         const struct sb_trie_ref *ref, uint8_t parent_count)
{
    uint8_t key[KEY_BYTES_MAX], value[OPEN_BYTES_MAX];
    size_t key_len = key_make(key, request);
    value[0] = parent_count;
    sb_copy(value + 1, ref->bytes, ref->len);
    sb_db_batch_put(step->batch, SB_FAMILY_META, sb_span(key, key_len),
                    sb_span(value, 1u + ref->len));
    low_take(step->restore, sb_span(key, key_len));
    step->progress.open_count++;
    step->accounts_open += part_of(request);
}

/* root_open: the request for a whole trie. */
static void root_open(struct step *step, enum sb_subtree_kind kind, const sb_hash *account,
                      const sb_hash *root)
{
    struct sb_subtree_request request = {.kind = kind};
    struct sb_trie_ref ref = {.len = 32};
    if (account != NULL) {
        request.hash = *account;
    }
    memcpy(ref.bytes, root->b, 32);
    request_open(step, &request, &ref, NO_PARENT);
}

/* content_open: the request for a code or a blob, unless it is here or asked for already. */
static sb_err content_open(struct step *step, enum sb_subtree_kind kind, const sb_hash *hash)
{
    struct sb_subtree_request request = {.kind = kind, .hash = *hash};
    struct sb_db *db = step->restore->store->db;
    uint8_t key[KEY_BYTES_MAX];
    struct sb_db_value here, open;
    SB_TRY(sb_db_get(&here, db, NULL, kind == SB_SUBTREE_CODE ? SB_FAMILY_CODE : SB_FAMILY_BLOB,
                     sb_span(hash->b, 32)));
    bool known = here.handle != NULL;
    sb_db_value_free(&here);
    if (!known) {
        SB_TRY(sb_db_get(&open, db, NULL, SB_FAMILY_META, sb_span(key, key_make(key, &request))));
        known = open.handle != NULL;
        sb_db_value_free(&open);
    }
    if (!known) {
        const struct sb_trie_ref none = {.len = 0};
        request_open(step, &request, &none, NO_PARENT);
    }
    return SB_OK;
}

/* ---- opening ---- */

static sb_err goal_read(struct sb_restore_goal *ret_goal, struct sb_store *store)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_GOAL)));
    sb_err err = value.handle == NULL            ? SB_E_NOT_FOUND
                 : value.bytes.len != GOAL_BYTES ? SB_E_CORRUPT
                                                 : SB_OK;
    if (err == SB_OK) {
        ret_goal->number = be_load64(value.bytes.data);
        memcpy(ret_goal->block_hash.b, value.bytes.data + 8, 32);
        memcpy(ret_goal->state_root.b, value.bytes.data + 40, 32);
    }
    sb_db_value_free(&value);
    return err;
}

/* begin_anew: nothing but the goal and its root's request. clear: something may be there. */
static sb_err begin_anew(struct sb_restore *restore, bool clear, struct sb_diag *diag)
{
    uint8_t goal[GOAL_BYTES];
    struct step step;
    restore->progress = (struct sb_restore_progress){.account_count = 0};
    restore->accounts_open = 0;
    SB_TRY(step_begin(&step, restore));
    for (int family = SB_FAMILY_META + 1; clear && family < SB_FAMILY_COUNT; family++) {
        sb_db_batch_delete_all(step.batch, (enum sb_family)family);
    }
    sb_db_batch_delete_range(step.batch, SB_FAMILY_META, sb_span("\x01", 1), sb_span("\x02", 1));
    be_store64(goal, restore->goal.number);
    memcpy(goal + 8, restore->goal.block_hash.b, 32);
    memcpy(goal + 40, restore->goal.state_root.b, 32);
    sb_db_batch_put(step.batch, SB_FAMILY_META, sb_span_str(SB_META_GOAL),
                    sb_span(goal, sizeof goal));
    if (!sb_hash_equal(&restore->goal.state_root, &sb_hash_empty_trie)) {
        root_open(&step, SB_SUBTREE_ACCOUNTS, NULL, &restore->goal.state_root);
    }
    return step_end(&step, SB_OK, diag);
}

/* go_on: read the progress, and how much of the account trie is open. */
static sb_err go_on(struct sb_restore *restore)
{
    struct sb_db_value value;
    SB_TRY(
        sb_db_get(&value, restore->store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_PROGRESS)));
    bool sound = value.handle != NULL && value.bytes.len == PROGRESS_BYTES;
    if (sound) {
        const uint8_t *at = value.bytes.data;
        restore->progress = (struct sb_restore_progress){.account_count = be_load64(at),
                                                         .slot_count = be_load64(at + 8),
                                                         .code_count = be_load64(at + 16),
                                                         .blob_count = be_load64(at + 24),
                                                         .bytes = be_load64(at + 32),
                                                         .open_count = be_load64(at + 40)};
    }
    sb_db_value_free(&value);
    struct sb_db_iter *iter = sb_db_iter_new(restore->store->db, NULL, SB_FAMILY_META);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_bytes all = sb_span_str(SB_META_FRONTIER);
    sb_err err = sound ? SB_OK : SB_E_CORRUPT;
    uint64_t open = 0;
    for (bool more = sb_db_iter_first(iter, all, all); more && err == SB_OK;
         more = sb_db_iter_next(iter)) {
        struct sb_subtree_request request;
        err = sb_db_iter_key(iter).len <= KEY_BYTES_MAX ? key_read(&request, sb_db_iter_key(iter))
                                                        : SB_E_CORRUPT;
        restore->accounts_open += err == SB_OK ? part_of(&request) : 0;
        open++;
    }
    err = err == SB_OK ? sb_db_iter_err(iter) : err;
    sb_db_iter_free(iter);
    return err == SB_OK && open != restore->progress.open_count ? SB_E_CORRUPT : err;
}

static bool goal_equal(const struct sb_restore_goal *a, const struct sb_restore_goal *b)
{
    return a->number == b->number && sb_hash_equal(&a->block_hash, &b->block_hash) &&
           sb_hash_equal(&a->state_root, &b->state_root);
}

sb_err sb_restore_pending(struct sb_restore_goal *ret_goal, const char *dir,
                          const struct sb_store_identity *identity, struct sb_diag *diag)
{
    struct sb_store *store;
    const struct sb_store_options options = {.history_blocks = 1, .read_only = true};
    SB_TRY(sb_store_open_unfinished(&store, dir, identity, &options, diag));
    sb_err err = goal_read(ret_goal, store);
    if (err == SB_E_NOT_FOUND && sb_store_head(store).exists) {
        err = sb_fail(diag, SB_E_EXISTS, "%s holds a database already", dir);
    }
    sb_store_close(store);
    return err;
}

static sb_err restore_begin(struct sb_restore *restore, struct sb_diag *diag)
{
    struct sb_restore_goal pending;
    sb_err err = goal_read(&pending, restore->store);
    if (err == SB_E_NOT_FOUND) {
        return begin_anew(restore, false, diag);
    }
    if (err == SB_OK && goal_equal(&pending, &restore->goal)) {
        err = go_on(restore);
        return err == SB_E_CORRUPT ? begin_anew(restore, true, diag) : err;
    }
    return err == SB_OK || err == SB_E_CORRUPT ? begin_anew(restore, true, diag) : err;
}

sb_err sb_restore_open(struct sb_restore **ret_restore, const char *dir,
                       const struct sb_store_identity *identity, const struct sb_restore_goal *goal,
                       struct sb_diag *diag)
{
    struct sb_restore *restore = calloc(1, sizeof *restore);
    if (restore == NULL) {
        return SB_E_NOMEM;
    }
    restore->goal = *goal;
    restore->low[0] = (uint8_t)SB_META_FRONTIER[0];
    restore->low_len = 1;
    sb_arena_init(&restore->arena, SCRATCH_BYTES);
    const struct sb_store_options options = {
        .cache_bytes = CACHE_BYTES, .history_blocks = 1, .create = true};
    sb_err err = sb_store_open_unfinished(&restore->store, dir, identity, &options, diag);
    if (err == SB_OK && sb_store_head(restore->store).exists) {
        err = sb_fail(diag, SB_E_EXISTS, "%s holds a database already", dir);
    }
    if (err == SB_OK) {
        err = restore_begin(restore, diag);
    }
    if (err != SB_OK) {
        sb_restore_close(restore);
        return err;
    }
    *ret_restore = restore;
    return SB_OK;
}

void sb_restore_close(struct sb_restore *restore)
{
    if (restore != NULL) {
        sb_store_close(restore->store);
        sb_arena_fini(&restore->arena);
        free(restore);
    }
}

struct sb_store *sb_restore_store(struct sb_restore *restore)
{
    return restore->store;
}

/* ---- requests ---- */

static size_t out_find(const struct sb_restore *restore, const struct sb_subtree_request *request)
{
    size_t i = 0;
    while (i < restore->out_count && !sb_subtree_request_equal(&restore->out[i], request)) {
        i++;
    }
    return i;
}

sb_err sb_restore_next(struct sb_subtree_request *ret_requests, size_t *ret_count,
                       struct sb_restore *restore, size_t max)
{
    struct sb_db_iter *iter = sb_db_iter_new(restore->store->db, NULL, SB_FAMILY_META);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    uint8_t low[KEY_BYTES_MAX];
    sb_bytes all = sb_span_str(SB_META_FRONTIER), start = sb_span(low, restore->low_len);
    size_t count = 0;
    sb_err err = SB_OK;
    memcpy(low, restore->low, restore->low_len);
    bool more = sb_db_iter_first(iter, all, start);
    if (more) {
        restore->low_len = sb_db_iter_key(iter).len;
        memcpy(restore->low, sb_db_iter_key(iter).data, restore->low_len);
    }
    for (; more && err == SB_OK && count < max && restore->out_count < SB_RESTORE_OUT_MAX;
         more = sb_db_iter_next(iter)) {
        struct sb_subtree_request request;
        err = key_read(&request, sb_db_iter_key(iter));
        if (err == SB_OK && out_find(restore, &request) == restore->out_count) {
            restore->out[restore->out_count++] = request;
            ret_requests[count++] = request;
        }
    }
    err = err == SB_OK ? sb_db_iter_err(iter) : err;
    sb_db_iter_free(iter);
    *ret_count = count;
    return err;
}

void sb_restore_give_back(struct sb_restore *restore, const struct sb_subtree_request *request)
{
    size_t i = out_find(restore, request);
    if (i < restore->out_count) {
        restore->out[i] = restore->out[--restore->out_count];
    }
}

bool sb_restore_is_complete(const struct sb_restore *restore)
{
    return restore->progress.open_count == 0;
}

struct sb_restore_progress sb_restore_progress(const struct sb_restore *restore)
{
    struct sb_restore_progress progress = restore->progress;
    uint64_t open = restore->accounts_open < WHOLE ? restore->accounts_open : WHOLE;
    progress.permille = (uint32_t)(1000 - open * 1000 / WHOLE);
    return progress;
}

/* ---- answers ---- */

static void record_put(struct step *step, const struct sb_subtree_request *request,
                       const struct sb_nibbles *path, sb_bytes record)
{
    bool is_storage = request->kind == SB_SUBTREE_STORAGE;
    uint8_t key[SB_TRIE_KEY_BYTES_MAX];
    sb_db_batch_put(step->batch, is_storage ? SB_FAMILY_SLOT_TRIE : SB_FAMILY_ACCOUNT_TRIE,
                    sb_span(key, sb_trie_key(key, is_storage ? request->hash.b : NULL, path)),
                    record);
}

/* node_take: the branch's record, and a request for each child. */
static void node_take(struct step *step, const struct sb_subtree_request *request,
                      const struct sb_trie_node *node)
{
    uint8_t record[SB_TRIE_RECORD_BYTES_MAX];
    record_put(step, request, &request->path, sb_span(record, sb_trie_node_encode(record, node)));
    struct sb_subtree_request child = *request;
    bool fits = sb_nibbles_add(&child.path, node->ext.at, node->ext.count);
    for (uint8_t i = 0; i < 16; i++) {
        if ((node->child_mask >> i & 1) != 0) {
            struct sb_subtree_request below = child;
            fits = fits && sb_nibbles_add(&below.path, &i, 1);
            SB_ASSERT(fits); /* sb_subtree_check saw to it */
            request_open(step, &below, &node->refs[i], request->path.count);
        }
    }
}

/* leaf_mark: the parent learns that this child is a leaf. */
static sb_err leaf_mark(struct step *step, const struct sb_subtree_request *request,
                        uint8_t parent_count)
{
    if (parent_count == NO_PARENT) {
        return SB_OK;
    }
    if (parent_count >= request->path.count) {
        return SB_E_CORRUPT;
    }
    bool is_storage = request->kind == SB_SUBTREE_STORAGE;
    struct sb_nibbles path = request->path;
    unsigned nibble = path.at[path.count - 1];
    path.count = parent_count;
    uint8_t key[SB_TRIE_KEY_BYTES_MAX], record[SB_TRIE_RECORD_BYTES_MAX];
    struct sb_db_value value;
    struct sb_trie_node node;
    SB_TRY(sb_db_get(&value, step->restore->store->db, NULL,
                     is_storage ? SB_FAMILY_SLOT_TRIE : SB_FAMILY_ACCOUNT_TRIE,
                     sb_span(key, sb_trie_key(key, is_storage ? request->hash.b : NULL, &path))));
    sb_err err = sb_trie_node_decode(&node, value.bytes);
    sb_db_value_free(&value);
    SB_TRY(err);
    node.leaf_mask = (uint16_t)(node.leaf_mask | 1u << nibble);
    record_put(step, request, &path, sb_span(record, sb_trie_node_encode(record, &node)));
    return SB_OK;
}

static sb_err account_take(struct step *step, const struct sb_subtree_leaf *leaf)
{
    struct sb_flat_account account;
    sb_hash hash;
    SB_TRY(sb_flat_account_decode(&account, leaf->record));
    memcpy(hash.b, leaf->key.data, 32);
    sb_db_batch_put(step->batch, SB_FAMILY_ACCOUNT, leaf->key, leaf->record);
    step->progress.account_count++;
    if (!sb_hash_equal(&account.storage_root, &sb_hash_empty_trie)) {
        root_open(step, SB_SUBTREE_STORAGE, &hash, &account.storage_root);
    }
    return SB_OK;
}

/* codes_open: requests for the codes of the accounts of one answer, each once. */
static sb_err codes_open(struct step *step, const struct sb_subtree *subtree)
{
    sb_hash *seen = sb_arena_array(&step->restore->arena, subtree->leaf_count, sizeof *seen);
    size_t seen_count = 0;
    if (seen == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < subtree->leaf_count; i++) {
        struct sb_flat_account account;
        SB_TRY(sb_flat_account_decode(&account, subtree->leaves[i].record));
        size_t k = 0;
        while (k < seen_count && !sb_hash_equal(&seen[k], &account.code_hash)) {
            k++;
        }
        if (k == seen_count && !sb_hash_equal(&account.code_hash, &sb_hash_keccak_empty)) {
            seen[seen_count++] = account.code_hash;
            SB_TRY(content_open(step, SB_SUBTREE_CODE, &account.code_hash));
        }
    }
    return SB_OK;
}

static sb_err leaves_take(struct step *step, const struct sb_subtree_request *request,
                          const struct sb_subtree *subtree, uint8_t parent_count)
{
    for (size_t i = 0; i < subtree->record_count; i++) {
        record_put(step, request, &subtree->records[i].path, subtree->records[i].bytes);
    }
    if (subtree->leaf_count == 1) {
        SB_TRY(leaf_mark(step, request, parent_count));
    }
    if (request->kind == SB_SUBTREE_ACCOUNTS) {
        for (size_t i = 0; i < subtree->leaf_count; i++) {
            SB_TRY(account_take(step, &subtree->leaves[i]));
        }
        return codes_open(step, subtree);
    }
    for (size_t i = 0; i < subtree->leaf_count; i++) {
        uint8_t key[64];
        memcpy(key, request->hash.b, 32);
        memcpy(key + 32, subtree->leaves[i].key.data, 32);
        sb_db_batch_put(step->batch, SB_FAMILY_SLOT, sb_span(key, sizeof key),
                        subtree->leaves[i].record);
    }
    step->progress.slot_count += subtree->leaf_count;
    return SB_OK;
}

static void content_take(struct step *step, const struct sb_subtree_request *request,
                         sb_bytes content)
{
    bool is_code = request->kind == SB_SUBTREE_CODE;
    sb_db_batch_put(step->batch, is_code ? SB_FAMILY_CODE : SB_FAMILY_BLOB,
                    sb_span(request->hash.b, 32), content);
    step->progress.code_count += is_code ? 1 : 0;
    step->progress.blob_count += is_code ? 0 : 1;
}

/* open_read: what the frontier says of a request. */
static sb_err open_read(struct sb_trie_ref *ret_ref, uint8_t *ret_parent,
                        const struct sb_restore *restore, sb_bytes key)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, restore->store->db, NULL, SB_FAMILY_META, key));
    sb_err err = value.handle == NULL                                       ? SB_E_NOT_FOUND
                 : value.bytes.len < 1 || value.bytes.len >= OPEN_BYTES_MAX ? SB_E_CORRUPT
                                                                            : SB_OK;
    if (err == SB_OK) {
        *ret_parent = value.bytes.data[0];
        ret_ref->len = (uint8_t)(value.bytes.len - 1);
        sb_copy(ret_ref->bytes, value.bytes.data + 1, ret_ref->len);
    }
    sb_db_value_free(&value);
    return err;
}

sb_err sb_restore_take(struct sb_restore *restore, const struct sb_subtree_request *request,
                       sb_bytes answer, struct sb_diag *diag)
{
    uint8_t bytes[KEY_BYTES_MAX], parent_count;
    sb_bytes key = sb_span(bytes, key_make(bytes, request));
    struct sb_trie_ref ref;
    struct sb_subtree subtree;
    struct step step;
    SB_TRY(open_read(&ref, &parent_count, restore, key));
    sb_arena_reset(&restore->arena);
    SB_TRY(sb_subtree_check(&subtree, &restore->arena, request, &ref, answer, diag));
    SB_TRY(step_begin(&step, restore));
    sb_err err = SB_OK;
    if (subtree.is_node) {
        node_take(&step, request, &subtree.node);
    } else if (subtree.leaf_count != 0) {
        err = leaves_take(&step, request, &subtree, parent_count);
    } else {
        content_take(&step, request, subtree.content);
    }
    sb_db_batch_delete(step.batch, SB_FAMILY_META, key);
    step.progress.open_count--;
    step.accounts_open -= part_of(request);
    step.progress.bytes += answer.len;
    SB_TRY(step_end(&step, err, diag));
    sb_restore_give_back(restore, request);
    return SB_OK;
}

sb_err sb_restore_want_blobs(struct sb_restore *restore, const sb_hash *ids, size_t count)
{
    struct step step;
    SB_TRY(step_begin(&step, restore));
    sb_err err = SB_OK;
    for (size_t i = 0; err == SB_OK && i < count; i++) {
        bool again = i != 0 && sb_hash_equal(&ids[i], &ids[i - 1]);
        err = again ? SB_OK : content_open(&step, SB_SUBTREE_BLOB, &ids[i]);
    }
    return step_end(&step, err, NULL);
}

sb_err sb_restore_slots(struct sb_restore *restore, const sb_hash *account,
                        sb_err (*visit)(void *ctx, const sb_hash *slot, const sb_u256 *value),
                        void *ctx)
{
    struct sb_db_iter *iter = sb_db_iter_new(restore->store->db, NULL, SB_FAMILY_SLOT);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_bytes prefix = sb_span(account->b, 32);
    sb_err err = SB_OK;
    for (bool more = sb_db_iter_first(iter, prefix, prefix); more && err == SB_OK;
         more = sb_db_iter_next(iter)) {
        sb_hash slot;
        sb_u256 value;
        sb_bytes key = sb_db_iter_key(iter);
        err = key.len == 64 ? sb_flat_slot_decode(&value, sb_db_iter_value(iter)) : SB_E_CORRUPT;
        if (err == SB_OK) {
            memcpy(slot.b, key.data + 32, 32);
            err = visit(ctx, &slot, &value);
        }
    }
    err = err == SB_OK ? sb_db_iter_err(iter) : err;
    sb_db_iter_free(iter);
    return err;
}

sb_err sb_restore_slot(sb_u256 *ret_value, struct sb_restore *restore, const sb_hash *account,
                       const sb_hash *slot)
{
    uint8_t key[64];
    struct sb_db_value value;
    memcpy(key, account->b, 32);
    memcpy(key + 32, slot->b, 32);
    SB_TRY(sb_db_get(&value, restore->store->db, NULL, SB_FAMILY_SLOT, sb_span(key, sizeof key)));
    sb_err err = SB_OK;
    *ret_value = sb_u256_zero();
    if (value.handle != NULL) {
        err = sb_flat_slot_decode(ret_value, value.bytes);
    }
    sb_db_value_free(&value);
    return err;
}

/* ---- the end ---- */

sb_err sb_restore_header(struct sb_restore *restore, uint64_t number, sb_bytes header,
                         struct sb_diag *diag)
{
    struct sb_header decoded;
    struct step step;
    SB_TRY(sb_header_decode(&decoded, header, diag));
    sb_hash hash = sb_keccak256(header);
    SB_TRY(step_begin(&step, restore));
    return step_end(&step, sb_header_put(step.batch, number, &hash, &decoded.state_root, header),
                    diag);
}

sb_err sb_restore_finish(struct sb_restore *restore, const struct sb_store_block *block,
                         struct sb_diag *diag)
{
    const struct sb_restore_goal goal = {
        .number = block->number, .block_hash = block->block_hash, .state_root = block->state_root};
    const struct sb_store_head head = {.exists = true,
                                       .number = goal.number,
                                       .block_hash = goal.block_hash,
                                       .state_root = goal.state_root};
    struct sb_store *store = restore->store;
    if (!sb_restore_is_complete(restore) || !goal_equal(&goal, &restore->goal)) {
        return sb_fail(diag, SB_E_ARG, "the restore is not complete, or of another block");
    }
    struct sb_db_batch *batch = sb_db_batch_new(store->db);
    if (batch == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = sb_block_put(batch, block, &head);
    if (err == SB_OK) {
        err = sb_records_put(batch, store, block->records, block->record_count, NULL);
    }
    if (err == SB_OK) {
        sb_oldest_put(batch, goal.number);
        sb_db_batch_delete(batch, SB_FAMILY_META, sb_span_str(SB_META_GOAL));
        sb_db_batch_delete(batch, SB_FAMILY_META, sb_span_str(SB_META_PROGRESS));
        err = sb_db_batch_write(store->db, batch, diag);
        store->failed = err != SB_OK;
    }
    sb_db_batch_free(batch);
    return err;
}
