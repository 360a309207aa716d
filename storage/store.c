/* store.c: opening and closing the database; its format.
 *
 *     sb_store --> newest version (snapshot + history of 128 blocks) <-- views
 *         |
 *         +-- one RocksDB, its column families listed in families.def:
 *
 *     family  key                          value
 *     ------  ---------------------------  ------------------------------------------------------------------
 *     default "format"                     version (4) | genesis hash (32) | chain id (8) | checksum (8)
 *             "head"                       number (8) | block hash (32) | state root (32) | checksum (8)
 *             "oldest"                     lowest block that is here whole (8); absent: the first one
 *             "restore goal" and others    only while a restore is not finished: see restore.c
 *     acct    keccak(address)              account record (flat.h)
 *     slot    keccak(address) keccak(slot) slot record (flat.h)
 *     atrie   path, one byte a nibble      trie record (trie_node.h)
 *     strie   keccak(address) path         trie record
 *     blob    sha2-256 of the content      content
 *     code    keccak of the code           code; never deleted
 *     hdr     number (8)                   block hash (32) | state root (32) | rlp(header)
 *     body    number                       rlp([transactions, uncles, withdrawals])
 *     rcpt    number                       count (4) | for each: length (4) | receipt in consensus form
 *     send    number                       senders, 20 bytes a transaction
 *     cons    number                       consensus block; absent for genesis
 *     cmit    number                       commit; absent for genesis
 *     numb    block hash                   number (8)
 *     txix    transaction hash             number (8) | index (4)
 *     diff    number (8) | chunk (4)       old values of the state keys and records that the block changed (history.h)
 *     recd    chosen by the node, 1 to 64  records of the node: validator sets, evidence (node/chain_sets.c, node/evidence.c)
 *     infr    number (8)                   rlp of the block's inference records; absent when it has none
 *
 * Integers are big-endian. Checksums are XXH3, for the two records that everything hangs on; table files and the write-ahead log
 * carry RocksDB's own, and the contents are bound by their hashes (sb_store_verify).
 *
 * Slot keys hold the whole keccak(address): cut to 20 bytes, two addresses with equal prefixes could be ground out in 2^80 hashes,
 * within reach, and would share slots without anybody noticing. RocksDB stores shared key prefixes once, so the 12 bytes cost
 * nearly nothing.
 *
 * Invariants: all that a block changes is one write batch; trie records are never behind the flat state; the state root in "head",
 * in the head's header and of the tries are one; diffs exist for exactly the newest history_blocks blocks (fewer after genesis). */
#include "storage/store.h"

#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define CACHE_BYTES_DEFAULT    ((size_t)64 << 20)
#define CACHE_BYTES_MIN        ((size_t)1 << 20)
#define HISTORY_BLOCKS_DEFAULT 128
#define HISTORY_BLOCKS_MAX     65536
#define FORMAT_RECORD_BYTES    52

/* ---- records ---- */

static void format_record_encode(uint8_t ret[FORMAT_RECORD_BYTES],
                                 const struct sb_store_identity *identity)
{
    be_store32(ret, SB_STORE_FORMAT_VERSION);
    memcpy(ret + 4, identity->genesis_hash.b, 32);
    be_store64(ret + 36, identity->chain_id);
    be_store64(ret + 44, XXH3_64bits(ret, 44));
}

/* format_check: of a stored record. The version is looked at first: a newer one may have any form behind it. */
static sb_err format_check(sb_bytes record, const struct sb_store_identity *identity,
                           const char *dir, struct sb_diag *diag)
{
    if (record.len >= 4 && be_load32(record.data) > SB_STORE_FORMAT_VERSION) {
        return sb_fail(diag, SB_E_VERSION,
                       "%s has format %u, this program knows up to %u: use the newer program", dir,
                       be_load32(record.data), SB_STORE_FORMAT_VERSION);
    }
    if (record.len >= 4 && be_load32(record.data) < SB_STORE_FORMAT_VERSION) {
        return sb_fail(diag, SB_E_VERSION,
                       "%s has format %u, this program needs %u: sync again into an empty folder",
                       dir, be_load32(record.data), SB_STORE_FORMAT_VERSION);
    }
    if (record.len != FORMAT_RECORD_BYTES || be_load32(record.data) != SB_STORE_FORMAT_VERSION ||
        be_load64(record.data + 44) != XXH3_64bits(record.data, 44)) {
        return sb_fail(diag, SB_E_CORRUPT,
                       "%s: the format record is damaged (restore a copy or sync again)", dir);
    }
    uint64_t chain_id = be_load64(record.data + 36);
    if (memcmp(record.data + 4, identity->genesis_hash.b, 32) != 0 ||
        chain_id != identity->chain_id) {
        char stored[SB_HEX_TEXT_BYTES(32)], asked[SB_HEX_TEXT_BYTES(32)];
        return sb_fail(
            diag, SB_E_ARG,
            "%s belongs to chain %llu with genesis %s, not to chain %llu with genesis %s: "
            "use another data directory or the right genesis file",
            dir, (unsigned long long)chain_id, sb_hex_format(stored, sb_span(record.data + 4, 32)),
            (unsigned long long)identity->chain_id,
            sb_hex_format(asked, sb_span(identity->genesis_hash.b, 32)));
    }
    return SB_OK;
}

void sb_head_record_encode(uint8_t ret[SB_HEAD_RECORD_BYTES], const struct sb_store_head *head)
{
    be_store64(ret, head->number);
    memcpy(ret + 8, head->block_hash.b, 32);
    memcpy(ret + 40, head->state_root.b, 32);
    be_store64(ret + 72, XXH3_64bits(ret, 72));
}

sb_err sb_header_record_get(struct sb_header_record *ret_record, struct sb_db *db,
                            const struct sb_db_snapshot *snapshot, uint64_t number)
{
    uint8_t key[8];
    be_store64(key, number);
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, db, snapshot, SB_FAMILY_HEADER, sb_span(key, sizeof key)));
    if (value.handle == NULL) {
        return SB_E_NOT_FOUND;
    }
    if (value.bytes.len <= SB_HEADER_RECORD_PREFIX) {
        sb_db_value_free(&value);
        return SB_E_CORRUPT;
    }
    memcpy(ret_record->block_hash.b, value.bytes.data, 32);
    memcpy(ret_record->state_root.b, value.bytes.data + 32, 32);
    ret_record->header = sb_span_slice(value.bytes, SB_HEADER_RECORD_PREFIX, SIZE_MAX);
    ret_record->holder = value;
    return SB_OK;
}

/* ---- opening ---- */

static sb_err format_write(struct sb_store *store, struct sb_diag *diag)
{
    uint8_t record[FORMAT_RECORD_BYTES];
    format_record_encode(record, &store->identity);
    struct sb_db_batch *batch = sb_db_batch_new(store->db);
    if (batch == NULL) {
        return SB_E_NOMEM;
    }
    sb_db_batch_put(batch, SB_FAMILY_META, sb_span_str(SB_META_FORMAT),
                    sb_span(record, sizeof record));
    sb_err err = sb_db_batch_write(store->db, batch, diag);
    sb_db_batch_free(batch);
    return err;
}

/* format_open: the format record is the first write of a new database; in any other it must be there and fit. */
static sb_err format_open(struct sb_store *store, const char *dir, bool created,
                          struct sb_diag *diag)
{
    if (created) {
        SB_TRY(format_write(store, diag));
        return sb_db_created(dir, diag);
    }
    struct sb_db_value format;
    SB_TRY(sb_db_get(&format, store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_FORMAT)));
    sb_err err = format_check(format.bytes, &store->identity, dir, diag);
    sb_db_value_free(&format);
    return err;
}

static sb_err head_read(struct sb_store_head *ret_head, struct sb_store *store, const char *dir,
                        struct sb_diag *diag)
{
    struct sb_store_head head = {.exists = false, .state_root = sb_hash_empty_trie};
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_HEAD)));
    if (value.handle != NULL) {
        sb_bytes bytes = value.bytes;
        bool sound = bytes.len == SB_HEAD_RECORD_BYTES &&
                     be_load64(bytes.data + 72) == XXH3_64bits(bytes.data, 72);
        if (sound) {
            head.exists = true;
            head.number = be_load64(bytes.data);
            memcpy(head.block_hash.b, bytes.data + 8, 32);
            memcpy(head.state_root.b, bytes.data + 40, 32);
        }
        sb_db_value_free(&value);
        if (!sound) {
            return sb_fail(diag, SB_E_CORRUPT,
                           "%s: the head record is damaged (restore a copy or sync again)", dir);
        }
    }
    *ret_head = head;
    return SB_OK;
}

/* head_check: the head's header is here and is the one that the head record names. */
static sb_err head_check(struct sb_store *store, const struct sb_store_head *head, const char *dir,
                         struct sb_diag *diag)
{
    struct sb_header_record record;
    sb_err err = sb_header_record_get(&record, store->db, NULL, head->number);
    if (err == SB_OK) {
        sb_hash hash = sb_keccak256(record.header);
        bool same = sb_hash_equal(&hash, &head->block_hash) &&
                    sb_hash_equal(&record.state_root, &head->state_root);
        sb_db_value_free(&record.holder);
        if (same) {
            return SB_OK;
        }
    }
    if (err == SB_E_IO) {
        return sb_fail(diag, err, "%s: header %llu cannot be read", dir,
                       (unsigned long long)head->number);
    }
    return sb_fail(diag, SB_E_CORRUPT,
                   "%s: header %llu, the head, is damaged (restore a copy or sync again)", dir,
                   (unsigned long long)head->number);
}

/* old_diffs_drop: diffs below `first`, left over from a longer history. */
static sb_err old_diffs_drop(struct sb_store *store, uint64_t first)
{
    uint8_t end[12];
    sb_history_key(end, first);
    struct sb_db_iter *iter = sb_db_iter_new(store->db, NULL, SB_FAMILY_DIFF);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    bool any = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)) &&
               memcmp(sb_db_iter_key(iter).data, end, 8) < 0;
    sb_err err = sb_db_iter_err(iter);
    sb_db_iter_free(iter);
    return err == SB_OK && any
               ? sb_db_delete_below(store->db, SB_FAMILY_DIFF, sb_span(end, sizeof end))
               : err;
}

/* newest_open: load the history behind the head and publish the first version. */
static sb_err newest_open(struct sb_store *store, const struct sb_store_head *head)
{
    size_t most = head->exists ? (size_t)store->history_blocks : 0, count = 0;
    struct sb_history_block **blocks = calloc(most + 1, sizeof(struct sb_history_block *));
    if (blocks == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = SB_OK;
    while (err == SB_OK && count < most && count < head->number) {
        /* Newest first, filled from the end, so that they stand in ascending order. */
        err = sb_history_load(&blocks[most - 1 - count], store->db, head->number - count);
        count += err == SB_OK ? 1 : 0;
    }
    if (err == SB_E_NOT_FOUND) {
        err = SB_OK;
    }
    if (err == SB_OK && !store->read_only && head->exists) {
        err = old_diffs_drop(store, head->number + 1 - count);
    }
    if (err == SB_OK) {
        store->newest = sb_version_new(store->db, head, blocks + (most - count), count);
        err = store->newest == NULL ? SB_E_NOMEM : SB_OK;
    }
    for (size_t i = 0; i < most; i++) {
        sb_history_block_unref(blocks[i]);
    }
    free(blocks);
    return err;
}

/* oldest_read: the lowest whole block; no record: all are here. */
static sb_err oldest_read(struct sb_store *store, const char *dir, struct sb_diag *diag)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_OLDEST)));
    bool sound = value.handle == NULL || value.bytes.len == 8;
    atomic_init(&store->oldest,
                sound && value.handle != NULL ? be_load64(value.bytes.data) : (uint64_t)0);
    sb_db_value_free(&value);
    return sound ? SB_OK
                 : sb_fail(diag, SB_E_CORRUPT,
                           "%s: the record of the oldest block is damaged (restore a copy or sync "
                           "again)",
                           dir);
}

/* unfinished_check: a restore that is not finished is no database. */
static sb_err unfinished_check(struct sb_store *store, const char *dir, struct sb_diag *diag)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_META, sb_span_str(SB_META_GOAL)));
    bool unfinished = value.handle != NULL;
    sb_db_value_free(&value);
    return !unfinished
               ? SB_OK
               : sb_fail(
                     diag, SB_E_BUSY,
                     "%s holds a state sync that is not finished: go on with it (--state-sync), "
                     "or remove the folder",
                     dir);
}

static sb_err store_fill(struct sb_store *store, const char *dir,
                         const struct sb_store_options *options, bool unfinished,
                         struct sb_diag *diag)
{
    size_t cache_bytes = options->cache_bytes == 0 ? CACHE_BYTES_DEFAULT : options->cache_bytes;
    cache_bytes = cache_bytes < CACHE_BYTES_MIN ? CACHE_BYTES_MIN : cache_bytes;
    const struct sb_db_options db_options = {
        .cache_bytes = cache_bytes / 2, .create = options->create, .read_only = options->read_only};
    bool created;
    SB_TRY(sb_db_open(&store->db, &created, dir, &db_options, diag));
    store->cache = sb_trie_cache_new(cache_bytes / 2);
    if (store->cache == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(format_open(store, dir, created, diag));
    SB_TRY(oldest_read(store, dir, diag));
    if (!unfinished) {
        SB_TRY(unfinished_check(store, dir, diag));
    }
    struct sb_store_head head;
    SB_TRY(head_read(&head, store, dir, diag));
    if (head.exists) {
        SB_TRY(head_check(store, &head, dir, diag));
    }
    sb_err err = newest_open(store, &head);
    return err == SB_OK
               ? SB_OK
               : sb_fail(diag, err, "%s: the history cannot be read: %s", dir, sb_err_text(err));
}

static sb_err open_as(struct sb_store **ret_store, const char *dir,
                      const struct sb_store_identity *identity,
                      const struct sb_store_options *options, bool unfinished, struct sb_diag *diag)
{
    if (options->history_blocks > HISTORY_BLOCKS_MAX) {
        return sb_fail(diag, SB_E_ARG, "a history of %llu blocks is over the limit of %d",
                       (unsigned long long)options->history_blocks, HISTORY_BLOCKS_MAX);
    }
    struct sb_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "%s: out of memory", dir);
    }
    store->identity = *identity;
    store->history_blocks =
        options->history_blocks == 0 ? HISTORY_BLOCKS_DEFAULT : options->history_blocks;
    store->read_only = options->read_only;
    (void)pthread_mutex_init(&store->writer, NULL);
    (void)pthread_mutex_init(&store->lock, NULL);
    sb_err err = store_fill(store, dir, options, unfinished, diag);
    if (err != SB_OK) {
        sb_store_close(store);
        return err;
    }
    *ret_store = store;
    return SB_OK;
}

sb_err sb_store_open(struct sb_store **ret_store, const char *dir,
                     const struct sb_store_identity *identity,
                     const struct sb_store_options *options, struct sb_diag *diag)
{
    return open_as(ret_store, dir, identity, options, false, diag);
}

sb_err sb_store_open_unfinished(struct sb_store **ret_store, const char *dir,
                                const struct sb_store_identity *identity,
                                const struct sb_store_options *options, struct sb_diag *diag)
{
    return open_as(ret_store, dir, identity, options, true, diag);
}

void sb_store_close(struct sb_store *store)
{
    if (store == NULL) {
        return;
    }
    sb_version_unref(store->newest);
    sb_trie_cache_free(store->cache);
    if (store->db != NULL) {
        sb_db_close(store->db);
    }
    (void)pthread_mutex_destroy(&store->writer);
    (void)pthread_mutex_destroy(&store->lock);
    free(store);
}

struct sb_version *sb_store_newest(struct sb_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    struct sb_version *version = sb_version_ref(store->newest);
    (void)pthread_mutex_unlock(&store->lock);
    return version;
}

void sb_store_publish_take(struct sb_store *store, struct sb_version *version)
{
    (void)pthread_mutex_lock(&store->lock);
    struct sb_version *old = store->newest;
    store->newest = version;
    (void)pthread_mutex_unlock(&store->lock);
    sb_version_unref(old);
}

uint64_t sb_store_oldest(struct sb_store *store)
{
    return atomic_load(&store->oldest);
}

struct sb_store_head sb_store_head(struct sb_store *store)
{
    struct sb_version *version = sb_store_newest(store);
    struct sb_store_head head = version->head;
    sb_version_unref(version);
    return head;
}

struct sb_store_stats sb_store_stats(const struct sb_store *store)
{
    struct sb_db_sizes sizes = sb_db_sizes(store->db);
    return (struct sb_store_stats){.table_bytes = sizes.table_bytes,
                                   .memtable_bytes = sizes.memtable_bytes,
                                   .pending_compaction_bytes = sizes.pending_compaction_bytes};
}
