/* store_internal.h: what the files of the store share: its struct, the pending change and the names of its keys. */
#ifndef SB_STORAGE_STORE_INTERNAL_H
#define SB_STORAGE_STORE_INTERNAL_H

#include <pthread.h>

#include "storage/store.h"
#include "storage/trie_cache.h"
#include "storage/version.h"

#define SB_STORE_FORMAT_VERSION 3

struct sb_store {
    struct sb_db *db;
    struct sb_store_identity identity;
    uint64_t history_blocks;
    bool read_only;

    pthread_mutex_t writer; /* held by root and commit: guards cache and failed */
    struct sb_trie_cache *cache;
    bool failed;                 /* a batch could not be written: no more commits */
    atomic_uint_fast64_t oldest; /* as the record has it */

    pthread_mutex_t lock; /* guards newest, for the moment of taking a count */
    struct sb_version *newest;
};

/* One key of the state that a block changes. Spans with data NULL: absent. */
struct sb_change {
    struct sb_change *next;
    enum sb_family family;
    sb_bytes key;
    sb_bytes new_value;
    sb_bytes old_value;
};

struct sb_store_pending {
    struct sb_arena arena;   /* holds the changes */
    struct sb_version *base; /* the version that they apply to; counted */
    struct sb_change *first;
    struct sb_change *last;
    sb_hash root;
};

/* sb_records_put: the changes of a block's records, in its batch; their old values go to its diff (NULL: the first block has none). */
sb_err sb_records_put(struct sb_db_batch *batch, struct sb_store *store,
                      const struct sb_store_record *records, size_t count,
                      struct sb_history_writer *diff) SB_MUST_USE;

/* sb_block_put: the block's own records, its indexes and the head; not the state, nor what the node keeps. */
sb_err sb_block_put(struct sb_db_batch *batch, const struct sb_store_block *block,
                    const struct sb_store_head *head) SB_MUST_USE;
/* sb_header_put: one header with its hash's index. */
sb_err sb_header_put(struct sb_db_batch *batch, uint64_t number, const sb_hash *block_hash,
                     const sb_hash *state_root, sb_bytes header) SB_MUST_USE;
/* sb_oldest_put: the record of the lowest block that is here whole. */
void sb_oldest_put(struct sb_db_batch *batch, uint64_t oldest);

/* sb_store_open_unfinished: sb_store_open for a restore: takes a database that is not finished. */
sb_err sb_store_open_unfinished(struct sb_store **ret_store, const char *dir,
                                const struct sb_store_identity *identity,
                                const struct sb_store_options *options,
                                struct sb_diag *diag) SB_MUST_USE;

/* sb_store_newest: the newest version, counted for the caller. */
struct sb_version *sb_store_newest(struct sb_store *store);
/* sb_store_publish_take: the version that new views get from now on. */
void sb_store_publish_take(struct sb_store *store, struct sb_version *version);

/* Keys of the family META. */
#define SB_META_FORMAT   "format"
#define SB_META_HEAD     "head"
#define SB_META_OLDEST   "oldest"
#define SB_META_GOAL     "restore goal"
#define SB_META_PROGRESS "restore progress"
#define SB_META_FRONTIER "\x01" /* then what restore.c says */

/* The head record: number (8) | block hash (32) | state root (32) | checksum of these (8). */
#define SB_HEAD_RECORD_BYTES 80
void sb_head_record_encode(uint8_t ret[SB_HEAD_RECORD_BYTES], const struct sb_store_head *head);

/* A header record: block hash (32) | state root (32) | rlp(header). */
#define SB_HEADER_RECORD_PREFIX 64
struct sb_header_record {
    sb_hash block_hash;
    sb_hash state_root;
    sb_bytes header; /* valid while holder is */
    struct sb_db_value holder;
};
/* sb_header_record_get: SB_E_NOT_FOUND; SB_E_CORRUPT when it is too short. Free with sb_db_value_free(&record.holder). */
sb_err sb_header_record_get(struct sb_header_record *ret_record, struct sb_db *db,
                            const struct sb_db_snapshot *snapshot, uint64_t number) SB_MUST_USE;

#endif
