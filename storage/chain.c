/* chain.c: the atomic commit of a block, and reads of blocks and indexes. Formats stand at the head of store.c. */
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define TX_PLACE_BYTES  12
#define VALUE_BYTES_MAX ((size_t)1 << 30)

/* ---- commit ---- */

static sb_err block_check(const struct sb_store *store, const struct sb_store_pending *pending,
                          const struct sb_store_block *block, struct sb_diag *diag)
{
    const struct sb_store_head *head = &pending->base->head;
    if (store->read_only) {
        return sb_fail(diag, SB_E_ARG, "the database was opened for reading only");
    }
    if (store->failed) {
        return sb_fail(diag, SB_E_IO, "an earlier write failed: the process must stop");
    }
    if (head->exists != store->newest->head.exists ||
        !sb_hash_equal(&head->block_hash, &store->newest->head.block_hash)) {
        return sb_fail(diag, SB_E_ARG, "block %llu was computed on an older head",
                       (unsigned long long)block->number);
    }
    if (head->exists && block->number != head->number + 1) {
        return sb_fail(diag, SB_E_ARG, "block %llu does not follow head %llu",
                       (unsigned long long)block->number, (unsigned long long)head->number);
    }
    sb_hash hash = sb_keccak256(block->header);
    if (!sb_hash_equal(&hash, &block->block_hash)) {
        return sb_fail(diag, SB_E_ARG, "block %llu: the header does not hash to the block hash",
                       (unsigned long long)block->number);
    }
    if (!sb_hash_equal(&pending->root, &block->state_root)) {
        return sb_fail(diag, SB_E_ARG, "block %llu: the state root is not the computed one",
                       (unsigned long long)block->number);
    }
    return SB_OK;
}

sb_err sb_header_put(struct sb_db_batch *batch, uint64_t number, const sb_hash *block_hash,
                     const sb_hash *state_root, sb_bytes header)
{
    uint8_t bytes[8];
    be_store64(bytes, number);
    sb_bytes key = sb_span(bytes, sizeof bytes);
    struct sb_buf buf;
    sb_buf_init(&buf, VALUE_BYTES_MAX);
    sb_buf_add(&buf, block_hash->b, 32);
    sb_buf_add(&buf, state_root->b, 32);
    sb_buf_add(&buf, header.data, header.len);
    sb_db_batch_put(batch, SB_FAMILY_HEADER, key, sb_buf_bytes(&buf));
    sb_db_batch_put(batch, SB_FAMILY_NUMBER, sb_span(block_hash->b, 32), key);
    sb_err err = sb_buf_err(&buf);
    sb_buf_fini(&buf);
    return err;
}

void sb_oldest_put(struct sb_db_batch *batch, uint64_t oldest)
{
    uint8_t number[8];
    be_store64(number, oldest);
    sb_db_batch_put(batch, SB_FAMILY_META, sb_span_str(SB_META_OLDEST),
                    sb_span(number, sizeof number));
}

static void receipts_put(struct sb_buf *out, const struct sb_store_block *block)
{
    uint8_t number[4];
    be_store32(number, (uint32_t)block->tx_count);
    sb_buf_add(out, number, sizeof number);
    for (size_t i = 0; i < block->tx_count; i++) {
        be_store32(number, (uint32_t)block->receipts[i].len);
        sb_buf_add(out, number, sizeof number);
        sb_buf_add(out, block->receipts[i].data, block->receipts[i].len);
    }
}

static void transactions_put(struct sb_db_batch *batch, const struct sb_store_block *block)
{
    for (size_t i = 0; i < block->tx_count; i++) {
        uint8_t place[TX_PLACE_BYTES];
        be_store64(place, block->number);
        be_store32(place + 8, (uint32_t)i);
        sb_db_batch_put(batch, SB_FAMILY_TX_PLACE, sb_span(block->tx_hashes[i].b, 32),
                        sb_span(place, sizeof place));
    }
}

sb_err sb_block_put(struct sb_db_batch *batch, const struct sb_store_block *block,
                    const struct sb_store_head *head)
{
    uint8_t number[8], head_record[SB_HEAD_RECORD_BYTES];
    be_store64(number, block->number);
    sb_bytes key = sb_span(number, sizeof number);
    SB_TRY(
        sb_header_put(batch, block->number, &block->block_hash, &block->state_root, block->header));
    struct sb_buf buf;
    sb_buf_init(&buf, VALUE_BYTES_MAX);
    receipts_put(&buf, block);
    sb_db_batch_put(batch, SB_FAMILY_RECEIPTS, key, sb_buf_bytes(&buf));
    sb_err err = sb_buf_err(&buf);
    sb_buf_fini(&buf);
    sb_db_batch_put(batch, SB_FAMILY_BODY, key, block->body);
    sb_db_batch_put(batch, SB_FAMILY_SENDERS, key,
                    sb_span(block->senders, block->tx_count * sizeof(sb_addr)));
    if (block->consensus_block.len != 0) {
        sb_db_batch_put(batch, SB_FAMILY_CONSENSUS, key, block->consensus_block);
    }
    if (block->commit.len != 0) {
        sb_db_batch_put(batch, SB_FAMILY_COMMIT, key, block->commit);
    }
    if (block->inferences.len != 0) {
        sb_db_batch_put(batch, SB_FAMILY_INFERENCES, key, block->inferences);
    }
    transactions_put(batch, block);
    sb_head_record_encode(head_record, head);
    sb_db_batch_put(batch, SB_FAMILY_META, sb_span_str(SB_META_HEAD),
                    sb_span(head_record, sizeof head_record));
    return err;
}

static const bool family_in_history[SB_FAMILY_COUNT] = {
#define SB_FAMILY(name, text, history) [SB_FAMILY_##name] = history,
#include "storage/families.def"
#undef SB_FAMILY
};

/* state_put: the changed keys, and their old values as the block's diff when `diff` is not NULL. */
static sb_err state_put(struct sb_db_batch *batch, const struct sb_store_pending *pending,
                        struct sb_history_writer *diff)
{
    for (const struct sb_change *change = pending->first; change != NULL; change = change->next) {
        bool was = change->old_value.data != NULL, is = change->new_value.data != NULL;
        if (was == is && (!was || sb_span_equal(change->old_value, change->new_value))) {
            continue;
        }
        if (is) {
            sb_db_batch_put(batch, change->family, change->key, change->new_value);
        } else {
            sb_db_batch_delete(batch, change->family, change->key);
        }
        if (diff != NULL && family_in_history[change->family]) {
            SB_TRY(sb_history_writer_add(diff, change->family, change->key,
                                         was ? &change->old_value : NULL));
        }
    }
    return SB_OK;
}

/* diff_put: changes of state and records with their diff; *ret_block is the diff's index, NULL for the first block. */
static sb_err diff_put(struct sb_history_block **ret_block, struct sb_store *store,
                       struct sb_db_batch *batch, const struct sb_store_pending *pending,
                       const struct sb_store_block *block)
{
    *ret_block = NULL;
    if (!pending->base->head.exists) {
        SB_TRY(state_put(batch, pending, NULL));
        return sb_records_put(batch, store, block->records, block->record_count, NULL);
    }
    struct sb_history_writer *diff = sb_history_writer_new(batch, block->number);
    if (diff == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = state_put(batch, pending, diff);
    if (err == SB_OK) {
        err = sb_records_put(batch, store, block->records, block->record_count, diff);
    }
    if (err != SB_OK) {
        sb_history_writer_free(diff);
        return err;
    }
    return sb_history_writer_finish_take(ret_block, diff);
}

/* version_follow: the version after `base`, with one diff more and the oldest dropped when there are too many. */
static struct sb_version *version_follow(struct sb_store *store, struct sb_version *base,
                                         const struct sb_store_head *head,
                                         struct sb_history_block *newest)
{
    struct sb_history_block **blocks =
        calloc(base->block_count + 1, sizeof(struct sb_history_block *));
    if (blocks == NULL) {
        return NULL;
    }
    size_t skip = base->block_count >= store->history_blocks
                      ? base->block_count - (size_t)store->history_blocks + 1
                      : 0;
    size_t count = 0;
    for (size_t i = skip; newest != NULL && i < base->block_count; i++) {
        blocks[count++] = base->blocks[i];
    }
    if (newest != NULL) {
        blocks[count++] = newest;
    }
    struct sb_version *version = sb_version_new(store->db, head, blocks, count);
    free(blocks);
    return version;
}

static void cache_follow(struct sb_trie_cache *cache, const struct sb_store_pending *pending)
{
    for (const struct sb_change *change = pending->first; change != NULL; change = change->next) {
        if (change->family != SB_FAMILY_ACCOUNT_TRIE && change->family != SB_FAMILY_SLOT_TRIE) {
            continue;
        }
        if (change->new_value.data != NULL) {
            sb_trie_cache_put(cache, change->family, change->key, change->new_value);
        } else {
            sb_trie_cache_remove(cache, change->family, change->key);
        }
    }
}

static sb_err batch_commit(struct sb_store *store, struct sb_db_batch *batch,
                           struct sb_store_pending *pending, const struct sb_store_block *block,
                           struct sb_diag *diag)
{
    struct sb_version *base = pending->base;
    const struct sb_store_head head = {.exists = true,
                                       .number = block->number,
                                       .block_hash = block->block_hash,
                                       .state_root = block->state_root};
    struct sb_history_block *newest;
    SB_TRY(diff_put(&newest, store, batch, pending, block));
    sb_err err = sb_block_put(batch, block, &head);
    if (newest != NULL && base->block_count >= store->history_blocks) {
        for (size_t i = 0; i <= base->block_count - store->history_blocks; i++) {
            sb_history_drop(batch, base->blocks[i]);
        }
    }
    if (err == SB_OK) {
        err = sb_db_batch_write(store->db, batch, diag);
        store->failed = err != SB_OK;
        err = err == SB_OK ? SB_OK : SB_E_IO;
    }
    if (err == SB_OK) {
        cache_follow(store->cache, pending);
        struct sb_version *version = version_follow(store, base, &head, newest);
        if (version == NULL) {
            /* The block is on disk but cannot be shown: going on would commit on a head that is not the newest. */
            store->failed = true;
            err = SB_E_IO;
        } else {
            sb_store_publish_take(store, version);
        }
    }
    sb_history_block_unref(newest);
    return err;
}

sb_err sb_store_commit_take(struct sb_store *store, struct sb_store_pending *pending,
                            const struct sb_store_block *block, struct sb_diag *diag)
{
    (void)pthread_mutex_lock(&store->writer);
    sb_err err = block_check(store, pending, block, diag);
    if (err == SB_OK) {
        struct sb_db_batch *batch = sb_db_batch_new(store->db);
        err = batch == NULL ? SB_E_NOMEM : batch_commit(store, batch, pending, block, diag);
        sb_db_batch_free(batch);
    }
    (void)pthread_mutex_unlock(&store->writer);
    sb_store_pending_free(pending);
    return err;
}

/* ---- reads ---- */

/* value_copy: the value of a key in the arena. SB_E_NOT_FOUND. */
static sb_err value_copy(sb_bytes *ret_value, struct sb_arena *arena, struct sb_store *store,
                         enum sb_family family, sb_bytes key)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, family, key));
    if (value.handle == NULL) {
        return SB_E_NOT_FOUND;
    }
    uint8_t *copy = sb_arena_dup(arena, value.bytes);
    size_t len = value.bytes.len;
    sb_db_value_free(&value);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret_value = sb_span(copy, len);
    return SB_OK;
}

static sb_err value_by_number(sb_bytes *ret_value, struct sb_arena *arena, struct sb_store *store,
                              enum sb_family family, uint64_t number)
{
    uint8_t key[8];
    be_store64(key, number);
    return value_copy(ret_value, arena, store, family, sb_span(key, sizeof key));
}

sb_err sb_store_number_by_hash(uint64_t *ret_number, struct sb_store *store,
                               const sb_hash *block_hash)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_NUMBER, sb_span(block_hash->b, 32)));
    sb_err err = value.handle == NULL   ? SB_E_NOT_FOUND
                 : value.bytes.len != 8 ? SB_E_CORRUPT
                                        : SB_OK;
    if (err == SB_OK) {
        *ret_number = be_load64(value.bytes.data);
    }
    sb_db_value_free(&value);
    return err;
}

sb_err sb_store_header(sb_bytes *ret_header, struct sb_arena *arena, struct sb_store *store,
                       uint64_t number)
{
    struct sb_header_record record;
    SB_TRY(sb_header_record_get(&record, store->db, NULL, number));
    uint8_t *copy = sb_arena_dup(arena, record.header);
    size_t len = record.header.len;
    sb_db_value_free(&record.holder);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret_header = sb_span(copy, len);
    return SB_OK;
}

sb_err sb_store_body(sb_bytes *ret_body, struct sb_arena *arena, struct sb_store *store,
                     uint64_t number)
{
    return value_by_number(ret_body, arena, store, SB_FAMILY_BODY, number);
}

/* receipts_split: spans of the receipts in a stored value, which they borrow from. */
static sb_err receipts_split(const sb_bytes **ret_receipts, size_t *ret_count,
                             struct sb_arena *arena, sb_bytes value)
{
    if (value.len < 4) {
        return SB_E_CORRUPT;
    }
    size_t count = be_load32(value.data), offset = 4;
    if (count > (value.len - 4) / 4) {
        return SB_E_CORRUPT;
    }
    sb_bytes *receipts = sb_arena_array(arena, count, sizeof *receipts);
    if (receipts == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (value.len - offset < 4) {
            return SB_E_CORRUPT;
        }
        size_t len = be_load32(value.data + offset);
        offset += 4;
        if (len > value.len - offset) {
            return SB_E_CORRUPT;
        }
        receipts[i] = sb_span(value.data + offset, len);
        offset += len;
    }
    if (offset != value.len) {
        return SB_E_CORRUPT;
    }
    *ret_receipts = receipts;
    *ret_count = count;
    return SB_OK;
}

sb_err sb_store_receipts(const sb_bytes **ret_receipts, size_t *ret_count, struct sb_arena *arena,
                         struct sb_store *store, uint64_t number)
{
    sb_bytes value;
    SB_TRY(value_by_number(&value, arena, store, SB_FAMILY_RECEIPTS, number));
    return receipts_split(ret_receipts, ret_count, arena, value);
}

sb_err sb_store_senders(const sb_addr **ret_senders, size_t *ret_count, struct sb_arena *arena,
                        struct sb_store *store, uint64_t number)
{
    sb_bytes value;
    SB_TRY(value_by_number(&value, arena, store, SB_FAMILY_SENDERS, number));
    if (value.len % sizeof(sb_addr) != 0) {
        return SB_E_CORRUPT;
    }
    *ret_senders = (const sb_addr *)value.data;
    *ret_count = value.len / sizeof(sb_addr);
    return SB_OK;
}

sb_err sb_store_tx_place(uint64_t *ret_number, uint32_t *ret_index, struct sb_store *store,
                         const sb_hash *tx_hash)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_TX_PLACE, sb_span(tx_hash->b, 32)));
    sb_err err = value.handle == NULL                ? SB_E_NOT_FOUND
                 : value.bytes.len != TX_PLACE_BYTES ? SB_E_CORRUPT
                                                     : SB_OK;
    if (err == SB_OK) {
        *ret_number = be_load64(value.bytes.data);
        *ret_index = be_load32(value.bytes.data + 8);
    }
    sb_db_value_free(&value);
    return err;
}

sb_err sb_store_consensus_block(sb_bytes *ret_block, struct sb_arena *arena, struct sb_store *store,
                                uint64_t number)
{
    return value_by_number(ret_block, arena, store, SB_FAMILY_CONSENSUS, number);
}

sb_err sb_store_commit_of(sb_bytes *ret_commit, struct sb_arena *arena, struct sb_store *store,
                          uint64_t number)
{
    return value_by_number(ret_commit, arena, store, SB_FAMILY_COMMIT, number);
}

sb_err sb_store_inferences(sb_bytes *ret_inferences, struct sb_arena *arena, struct sb_store *store,
                           uint64_t number)
{
    return value_by_number(ret_inferences, arena, store, SB_FAMILY_INFERENCES, number);
}
