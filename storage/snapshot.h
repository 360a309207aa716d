/* snapshot.h: states that stay as they were, for others to copy: RocksDB checkpoints beside the database.
 *
 *      <folder>/000000012000/      the database as it was after block 12000: hard links to its table files, so cheap to take, and
 *      <folder>/000000014000/      nearly free to keep as long as the tables are shared
 *      <folder>/000000016000.tmp/  one that is not finished, or that is going; removed at the next start
 *
 * Each is opened for reading only and answers the requests of subtree.h. Only the newest `keep` stay. A snapshot that somebody holds
 * (sb_snapshot_ref) stays open until it is given back; its files go at once, its open tables with it.
 *
 * Threads: taking belongs to one thread at a time; everything else may be called from any. */
#ifndef SB_STORAGE_SNAPSHOT_H
#define SB_STORAGE_SNAPSHOT_H

#include "storage/store.h"
#include "storage/subtree.h"

#define SB_SNAPSHOTS_MAX 16

struct sb_snapshot;
struct sb_snapshots;

/* sb_snapshots_open: the snapshots in a folder (made when it is not there), newest `keep` (1 to SB_SNAPSHOTS_MAX; 0: look
 * only, beside a node that runs: nothing is made or removed, and nothing may be taken). What is unfinished or
 * damaged there is removed, with a line in diag when it is damaged. SB_E_IO, SB_E_NOMEM. */
sb_err sb_snapshots_open(struct sb_snapshots **ret_snapshots, const char *dir,
                         const struct sb_store_identity *identity, size_t keep,
                         struct sb_diag *diag) SB_MUST_USE;
void sb_snapshots_close(struct sb_snapshots *snapshots);

/* sb_snapshots_take: one of the store's head; no block is committed meanwhile. SB_E_EXISTS when there is one of that height. Durable when
 * it returns; older ones than `keep` go. *ret_height: of what was taken. */
sb_err sb_snapshots_take(uint64_t *ret_height, struct sb_snapshots *snapshots,
                         struct sb_store *store, struct sb_diag *diag) SB_MUST_USE;
/* The same in three steps, for a node that cannot wait: prepare, in any thread, some blocks before; cut, right after the commit of the height,
 * which is quick then; adopt, in any thread: from then on it is listed, and too old ones go. */
sb_err sb_snapshots_prepare(struct sb_store *store, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_snapshots_cut(uint64_t *ret_height, const struct sb_snapshots *snapshots,
                        struct sb_store *store, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_snapshots_adopt(struct sb_snapshots *snapshots, uint64_t height,
                          struct sb_diag *diag) SB_MUST_USE;
/* sb_snapshots_list: heights, newest first; returns how many. */
size_t sb_snapshots_list(uint64_t ret_heights[SB_SNAPSHOTS_MAX], struct sb_snapshots *snapshots);
/* sb_snapshots_find: the snapshot of a height, counted for the caller; NULL when there is none. */
struct sb_snapshot *sb_snapshots_find(struct sb_snapshots *snapshots, uint64_t height);
void sb_snapshot_unref(struct sb_snapshot *snapshot);

/* sb_snapshot_store: its database, for reading: head, blocks, records. Valid as long as the snapshot. */
struct sb_store *sb_snapshot_store(const struct sb_snapshot *snapshot);

/* sb_store_answer: append the answer to a request, from the state at the store's head: leaves when keys and records below the place take at
 * most leaves_bytes (up to SB_SUBTREE_LEAVES_BYTES; 0 takes that), else the node. SB_E_NOT_FOUND: there is nothing at that place;
 * SB_E_LIMIT: a content is longer than an answer may be; SB_E_CORRUPT, SB_E_IO, SB_E_NOMEM. */
sb_err sb_store_answer(struct sb_buf *out, struct sb_store *store,
                       const struct sb_subtree_request *request, size_t leaves_bytes) SB_MUST_USE;
/* sb_store_blob_ids: at most max ids of blobs at the head, above `after` (NULL: from the first), ascending. */
sb_err sb_store_blob_ids(sb_hash *ret_ids, size_t *ret_count, struct sb_store *store,
                         const sb_hash *after, size_t max) SB_MUST_USE;

#endif
