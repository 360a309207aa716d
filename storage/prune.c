/* prune.c: dropping old blocks (sb_store_prune).
 *
 *     hdr body rcpt send cons cmit ...    keyed by height: one range of each
 *     numb txix                       keyed by hashes: those of the blocks that go, which their headers and bodies tell
 *
 * A step of some blocks is one batch with the new oldest block, so after any crash the indexes fit the blocks that are there. Deleted is
 * not yet free: at the end the tables are rewritten, beside whatever else goes on. */
#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define STEP_BLOCKS    256
#define BODY_BYTES_MAX ((size_t)1 << 30)

static const enum sb_family by_number[] = {
    SB_FAMILY_HEADER,    SB_FAMILY_BODY,   SB_FAMILY_RECEIPTS,  SB_FAMILY_SENDERS,
    SB_FAMILY_CONSENSUS, SB_FAMILY_COMMIT, SB_FAMILY_INFERENCES};
#define BY_NUMBER_COUNT (sizeof by_number / sizeof by_number[0])

/* places_drop: the index entries of one block's transactions. */
static sb_err places_drop(struct sb_db_batch *batch, sb_bytes body)
{
    struct sb_rlp in = sb_rlp_open(body), lists, txs;
    if (sb_rlp_read_list(&lists, &in) != SB_OK || sb_rlp_read_list(&txs, &lists) != SB_OK) {
        return SB_E_CORRUPT;
    }
    while (!sb_rlp_done(&txs)) {
        struct sb_rlp_item item;
        if (sb_rlp_read_item(&item, &txs) != SB_OK) {
            return SB_E_CORRUPT;
        }
        sb_hash hash = sb_keccak256(item.kind == SB_RLP_STRING ? item.payload : item.raw);
        sb_db_batch_delete(batch, SB_FAMILY_TX_PLACE, sb_span(hash.b, sizeof hash.b));
    }
    return SB_OK;
}

static sb_err indexes_drop(struct sb_db_batch *batch, struct sb_store *store,
                           struct sb_arena *arena, uint64_t number)
{
    struct sb_header_record record;
    sb_err err = sb_header_record_get(&record, store->db, NULL, number);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_OK : err; /* never here */
    }
    sb_db_batch_delete(batch, SB_FAMILY_NUMBER, sb_span(record.block_hash.b, 32));
    sb_db_value_free(&record.holder);
    sb_bytes body;
    sb_arena_reset(arena);
    err = sb_store_body(&body, arena, store, number);
    if (err == SB_E_NOT_FOUND) {
        return SB_OK; /* a header without its block */
    }
    return err == SB_OK ? places_drop(batch, body) : err;
}

/* first_header: the lowest header that is here. */
static sb_err first_header(uint64_t *ret_number, struct sb_store *store)
{
    struct sb_db_iter *iter = sb_db_iter_new(store->db, NULL, SB_FAMILY_HEADER);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    bool found = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0));
    sb_err err = sb_db_iter_err(iter);
    if (err == SB_OK) {
        err = found && sb_db_iter_key(iter).len == 8 ? SB_OK : SB_E_CORRUPT;
    }
    if (err == SB_OK) {
        *ret_number = be_load64(sb_db_iter_key(iter).data);
    }
    sb_db_iter_free(iter);
    return err;
}

/* step: drop the blocks from first up to, not with, end. */
static sb_err step(struct sb_store *store, struct sb_arena *arena, uint64_t first, uint64_t end,
                   struct sb_diag *diag)
{
    uint8_t key[8];
    struct sb_db_batch *batch = sb_db_batch_new(store->db);
    if (batch == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = SB_OK;
    for (uint64_t number = first; err == SB_OK && number < end; number++) {
        err = indexes_drop(batch, store, arena, number);
    }
    be_store64(key, end);
    for (size_t i = 0; i < BY_NUMBER_COUNT; i++) {
        sb_db_batch_delete_range(batch, by_number[i], sb_span("", 0), sb_span(key, sizeof key));
    }
    sb_oldest_put(batch, end);
    (void)pthread_mutex_lock(&store->writer);
    if (err == SB_OK && store->failed) {
        err = sb_fail(diag, SB_E_IO, "an earlier write failed: the process must stop");
    } else if (err == SB_OK) {
        err = sb_db_batch_write(store->db, batch, diag);
        store->failed = err != SB_OK;
    }
    if (err == SB_OK) {
        atomic_store(&store->oldest, end);
    }
    (void)pthread_mutex_unlock(&store->writer);
    sb_db_batch_free(batch);
    return err;
}

/* newest_renew: the newest version as it is, but of now: what it was made from keeps what was deleted alive. */
static sb_err newest_renew(struct sb_store *store)
{
    (void)pthread_mutex_lock(&store->writer);
    struct sb_version *base = sb_store_newest(store);
    struct sb_version *version =
        sb_version_new(store->db, &base->head, base->blocks, base->block_count);
    if (version != NULL) {
        sb_store_publish_take(store, version);
    }
    sb_version_unref(base);
    (void)pthread_mutex_unlock(&store->writer);
    return version != NULL ? SB_OK : SB_E_NOMEM;
}

static void compact(struct sb_store *store, uint64_t oldest)
{
    uint8_t key[8];
    be_store64(key, oldest);
    for (size_t i = 0; i < BY_NUMBER_COUNT; i++) {
        sb_db_compact(store->db, by_number[i], sb_span(key, sizeof key));
    }
    sb_db_compact(store->db, SB_FAMILY_NUMBER, sb_span(NULL, 0));
    sb_db_compact(store->db, SB_FAMILY_TX_PLACE, sb_span(NULL, 0));
}

sb_err sb_store_prune(struct sb_store *store, uint64_t oldest, struct sb_diag *diag)
{
    struct sb_store_head head = sb_store_head(store);
    uint64_t first;
    if (store->read_only) {
        return sb_fail(diag, SB_E_ARG, "the database was opened for reading only");
    }
    if (!head.exists || oldest > head.number || head.number - oldest < store->history_blocks) {
        return sb_fail(diag, SB_E_ARG, "block %llu is too new to be the oldest one",
                       (unsigned long long)oldest);
    }
    if (oldest <= sb_store_oldest(store)) {
        return SB_OK;
    }
    struct sb_arena arena;
    sb_arena_init(&arena, BODY_BYTES_MAX);
    sb_err err = first_header(&first, store);
    for (; err == SB_OK && first < oldest; first += STEP_BLOCKS) {
        uint64_t end = oldest - first > STEP_BLOCKS ? first + STEP_BLOCKS : oldest;
        err = step(store, &arena, first, end, diag);
    }
    sb_arena_fini(&arena);
    if (err == SB_OK) {
        err = newest_renew(store);
    }
    if (err == SB_OK) {
        compact(store, oldest);
    }
    return err;
}
