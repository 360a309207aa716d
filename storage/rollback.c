/* rollback.c: undo the newest block (sb_store_rollback).
 *
 *     diff of the head  --> old values of state keys, trie records and node records
 *     body of the head  --> its transactions, whose index entries go
 *     header before it  --> the head record
 *
 * All of it is one synced batch, so a crash leaves the old head or the new one. The block's own diff goes too; what was older than the
 * history when it was committed stays dropped, so the history is one block shorter until a block comes again. */
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define BODY_BYTES_MAX ((size_t)1 << 30)

struct undo {
    struct sb_store *store;
    struct sb_db_batch *batch;
};

static sb_err value_undo(void *ctx, enum sb_family family, sb_bytes key, const sb_bytes *old)
{
    struct undo *undo = ctx;
    if (old != NULL) {
        sb_db_batch_put(undo->batch, family, key, *old);
    } else {
        sb_db_batch_delete(undo->batch, family, key);
    }
    return SB_OK;
}

/* cache_undo: the trie cache follows, after the batch was written. */
static sb_err cache_undo(void *ctx, enum sb_family family, sb_bytes key, const sb_bytes *old)
{
    struct undo *undo = ctx;
    (void)old; /* read again when it is needed */
    if (family == SB_FAMILY_ACCOUNT_TRIE || family == SB_FAMILY_SLOT_TRIE) {
        sb_trie_cache_remove(undo->store->cache, family, key);
    }
    return SB_OK;
}

/* places_undo: the index entries of the block's transactions. */
static sb_err places_undo(struct undo *undo, uint64_t number)
{
    struct sb_arena arena;
    sb_arena_init(&arena, BODY_BYTES_MAX);
    sb_bytes body;
    sb_err err = sb_store_body(&body, &arena, undo->store, number);
    struct sb_rlp in, lists, txs;
    if (err == SB_OK) {
        in = sb_rlp_open(body);
        err = sb_rlp_read_list(&lists, &in) == SB_OK && sb_rlp_read_list(&txs, &lists) == SB_OK
                  ? SB_OK
                  : SB_E_CORRUPT;
    }
    while (err == SB_OK && !sb_rlp_done(&txs)) {
        struct sb_rlp_item item;
        if (sb_rlp_read_item(&item, &txs) != SB_OK) {
            err = SB_E_CORRUPT;
            break;
        }
        sb_hash hash = sb_keccak256(item.kind == SB_RLP_STRING ? item.payload : item.raw);
        sb_db_batch_delete(undo->batch, SB_FAMILY_TX_PLACE, sb_span(hash.b, sizeof hash.b));
    }
    sb_arena_fini(&arena);
    return err;
}

static sb_err block_undo(struct undo *undo, const struct sb_store_head *head,
                         const struct sb_store_head *before, const struct sb_history_block *diff)
{
    static const enum sb_family by_number[] = {
        SB_FAMILY_HEADER,    SB_FAMILY_BODY,   SB_FAMILY_RECEIPTS,  SB_FAMILY_SENDERS,
        SB_FAMILY_CONSENSUS, SB_FAMILY_COMMIT, SB_FAMILY_INFERENCES};
    uint8_t number[8], head_record[SB_HEAD_RECORD_BYTES];
    SB_TRY(places_undo(undo, head->number));
    SB_TRY(sb_history_visit(diff, undo->store->db, value_undo, undo));
    be_store64(number, head->number);
    for (size_t i = 0; i < sizeof by_number / sizeof by_number[0]; i++) {
        sb_db_batch_delete(undo->batch, by_number[i], sb_span(number, sizeof number));
    }
    sb_db_batch_delete(undo->batch, SB_FAMILY_NUMBER, sb_span(head->block_hash.b, 32));
    sb_history_drop(undo->batch, diff);
    sb_head_record_encode(head_record, before);
    sb_db_batch_put(undo->batch, SB_FAMILY_META, sb_span_str(SB_META_HEAD),
                    sb_span(head_record, sizeof head_record));
    return SB_OK;
}

static sb_err rollback(struct undo *undo, struct sb_version *base, struct sb_diag *diag)
{
    struct sb_store *store = undo->store;
    const struct sb_store_head *head = &base->head;
    const struct sb_history_block *diff = base->blocks[base->block_count - 1];
    struct sb_header_record record;
    SB_TRY(sb_header_record_get(&record, store->db, NULL, head->number - 1));
    const struct sb_store_head before = {.exists = true,
                                         .number = head->number - 1,
                                         .block_hash = record.block_hash,
                                         .state_root = record.state_root};
    sb_db_value_free(&record.holder);
    SB_TRY(block_undo(undo, head, &before, diff));
    /* the cache first: the chunks that name its keys are gone afterwards, and an entry too few does no harm */
    SB_TRY(sb_history_visit(diff, store->db, cache_undo, undo));
    sb_err err = sb_db_batch_write(store->db, undo->batch, diag);
    struct sb_version *version =
        err == SB_OK ? sb_version_new(store->db, &before, base->blocks, base->block_count - 1)
                     : NULL;
    store->failed = version == NULL;
    if (version == NULL) {
        return SB_E_IO;
    }
    sb_store_publish_take(store, version);
    return SB_OK;
}

sb_err sb_store_rollback(struct sb_store *store, struct sb_diag *diag)
{
    (void)pthread_mutex_lock(&store->writer);
    struct sb_version *base = sb_store_newest(store);
    sb_err err = SB_E_NOMEM;
    if (store->read_only) {
        err = sb_fail(diag, SB_E_ARG, "the database was opened for reading only");
    } else if (store->failed) {
        err = sb_fail(diag, SB_E_IO, "an earlier write failed: the process must stop");
    } else if (!base->head.exists || base->head.number == 0 || base->block_count == 0) {
        err = sb_fail(diag, SB_E_NOT_FOUND,
                      "block %llu cannot be undone: the database keeps no older state",
                      (unsigned long long)base->head.number);
    } else {
        struct undo undo = {.store = store, .batch = sb_db_batch_new(store->db)};
        uint64_t number = base->head.number;
        if (undo.batch != NULL) {
            struct sb_diag why = {.text = ""};
            err = rollback(&undo, base, &why);
            if (err != SB_OK) {
                (void)sb_fail(diag, err, "block %llu cannot be undone: %s",
                              (unsigned long long)number,
                              why.text[0] != '\0' ? why.text : sb_err_text(err));
            }
        }
        sb_db_batch_free(undo.batch);
    }
    sb_version_unref(base);
    (void)pthread_mutex_unlock(&store->writer);
    return err;
}

uint64_t sb_store_rollback_max(struct sb_store *store)
{
    struct sb_version *version = sb_store_newest(store);
    uint64_t count = version->head.exists ? version->block_count : 0;
    sb_version_unref(version);
    return count;
}
