/* history.h: what the state was some blocks ago: reverse diffs in the database, and an index of them in memory.
 *
 *     diff of block N  =  for each state key that N changed: its value before N        family "diff", written in N's own batch
 *
 *     key at block n   =  the value that the first of blocks n+1, n+2, ... head recorded for it, else the value at the head
 *
 * The index of a block is a sorted array of 16 bytes a key: a lookup is a binary search in each block between, then one read of the
 * chunk that the key lies in. Ranks of accounts and slots keep the order of the keys' first bytes, so that keys which are gone by
 * now can still be found by prefix (proofs of absence need them).
 *
 *     diff key    block (8, big-endian) | chunk (4, big-endian)
 *     diff value  entries: family (1) | key length (1) | old length + 1, 0 when the key was absent (4) | key | old value
 *
 * Indexes are immutable and counted: versions and views share them. */
#ifndef SB_STORAGE_HISTORY_H
#define SB_STORAGE_HISTORY_H

#include "base/util/buf.h"
#include "storage/db.h"
#include "storage/trie_node.h"

struct sb_history_block;

struct sb_history_block *sb_history_block_ref(struct sb_history_block *block);
void sb_history_block_unref(struct sb_history_block *block);
uint64_t sb_history_block_number(const struct sb_history_block *block);

/* ---- writing the diff of one block ---- */

struct sb_history_writer;
/* sb_history_writer_new: NULL when out of memory. Chunks go to the batch as they fill. */
struct sb_history_writer *sb_history_writer_new(struct sb_db_batch *batch, uint64_t number);
/* sb_history_writer_add: the key's value before the block; old NULL: it was absent. Each key once. */
sb_err sb_history_writer_add(struct sb_history_writer *writer, enum sb_family family, sb_bytes key,
                             const sb_bytes *old) SB_MUST_USE;
/* sb_history_writer_finish_take: write the last chunk and give the index; frees the writer in every case. */
sb_err sb_history_writer_finish_take(struct sb_history_block **ret_block,
                                     struct sb_history_writer *writer) SB_MUST_USE;
void sb_history_writer_free(struct sb_history_writer *writer);

/* sb_history_load: the index of a stored block. SB_E_NOT_FOUND when it has no diff, SB_E_CORRUPT when that cannot be read. */
sb_err sb_history_load(struct sb_history_block **ret_block, struct sb_db *db,
                       uint64_t number) SB_MUST_USE;
/* sb_history_drop: delete the diff of a block within a batch. */
void sb_history_drop(struct sb_db_batch *batch, const struct sb_history_block *block);
/* sb_history_key: the first diff key of a block. */
void sb_history_key(uint8_t ret[12], uint64_t number);

/* sb_history_visit: every key that the block changed, with its value before; old NULL: it was absent. Spans are valid during the visit. */
sb_err sb_history_visit(const struct sb_history_block *block, struct sb_db *db,
                        sb_err (*visit)(void *ctx, enum sb_family family, sb_bytes key,
                                        const sb_bytes *old),
                        void *ctx) SB_MUST_USE;

/* ---- reading ---- */

struct sb_history_old {
    bool recorded; /* the block changed this key */
    bool existed;  /* ... and before, it was there, with this value: */
    sb_bytes bytes;
    struct sb_db_value holder; /* keeps bytes valid; free with sb_db_value_free */
};
sb_err sb_history_find(struct sb_history_old *ret_old, const struct sb_history_block *block,
                       struct sb_db *db, const struct sb_db_snapshot *snapshot,
                       enum sb_family family, sb_bytes key) SB_MUST_USE;

/* sb_history_scan: visit each key of the family (ACCOUNT or SLOT) that the block changed and that begins with `prefix` (0 or 32
 * bytes) followed by `path`. visit may end the scan with an error of its own. */
sb_err sb_history_scan(const struct sb_history_block *block, struct sb_db *db,
                       const struct sb_db_snapshot *snapshot, enum sb_family family,
                       sb_bytes prefix, const struct sb_nibbles *path,
                       sb_err (*visit)(void *ctx, sb_bytes key), void *ctx) SB_MUST_USE;

#endif
