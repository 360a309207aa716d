/* db.h: RocksDB as the store needs it: families, point reads, ordered scans, snapshots and one synced batch at a time.
 *
 * The only door to rocksdb/c.h. Its error texts become sb_err: damage is SB_E_CORRUPT, everything else that fails is SB_E_IO.
 * All functions but open and close may be called from any thread; one batch or iterator belongs to one thread. */
#ifndef SB_STORAGE_DB_H
#define SB_STORAGE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/err.h"
#include "base/util/span.h"

enum sb_family {
#define SB_FAMILY(name, text, history) SB_FAMILY_##name,
#include "storage/families.def"
#undef SB_FAMILY
    SB_FAMILY_COUNT
};

struct sb_db;
struct sb_db_snapshot;
struct sb_db_batch;
struct sb_db_iter;

struct sb_db_options {
    size_t cache_bytes;
    bool create;
    bool read_only;
};

/* sb_db_open: errors and messages as sb_store_open has them. *ret_created: the database is new, and stays unfinished until
 * sb_db_created: if the process ends before that, the next open with `create` begins anew, one without finds none. */
sb_err sb_db_open(struct sb_db **ret_db, bool *ret_created, const char *dir,
                  const struct sb_db_options *options, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_db_created(const char *dir, struct sb_diag *diag) SB_MUST_USE;
/* sb_db_close: after a failed write it does nothing: the files stay open and locked until the process ends. */
void sb_db_close(struct sb_db *db);

/* A consistent version of all families; NULL when out of memory. */
struct sb_db_snapshot *sb_db_snapshot_new(struct sb_db *db);
void sb_db_snapshot_free(struct sb_db_snapshot *snapshot);

/* A value that was read, held in place: bytes stay valid until sb_db_value_free. handle NULL: the key is absent. */
struct sb_db_value {
    sb_bytes bytes;
    void *handle;
};
/* sb_db_get: value of a key; absence is not an error. snapshot NULL: the newest version. */
sb_err sb_db_get(struct sb_db_value *ret_value, struct sb_db *db,
                 const struct sb_db_snapshot *snapshot, enum sb_family family,
                 sb_bytes key) SB_MUST_USE;
void sb_db_value_free(struct sb_db_value *value);

/* Ordered scan of the keys that begin with `prefix`, from `start` on (which begins with it). Use:
 *     for (more = sb_db_iter_first(it, ...); more; more = sb_db_iter_next(it)) ...;  err = sb_db_iter_err(it) */
struct sb_db_iter *sb_db_iter_new(struct sb_db *db, const struct sb_db_snapshot *snapshot,
                                  enum sb_family family);
void sb_db_iter_free(struct sb_db_iter *iter);
/* The span prefix is borrowed until the next call of first. */
bool sb_db_iter_first(struct sb_db_iter *iter, sb_bytes prefix, sb_bytes start);
bool sb_db_iter_next(struct sb_db_iter *iter);
/* Valid until the iterator moves. */
sb_bytes sb_db_iter_key(const struct sb_db_iter *iter);
sb_bytes sb_db_iter_value(const struct sb_db_iter *iter);
/* sb_db_iter_err: SB_OK when the scan ended because there was no more. */
sb_err sb_db_iter_err(const struct sb_db_iter *iter) SB_MUST_USE;

struct sb_db_batch *sb_db_batch_new(struct sb_db *db);
void sb_db_batch_free(struct sb_db_batch *batch);
void sb_db_batch_put(struct sb_db_batch *batch, enum sb_family family, sb_bytes key,
                     sb_bytes value);
void sb_db_batch_delete(struct sb_db_batch *batch, enum sb_family family, sb_bytes key);
/* sb_db_batch_write: all of it or nothing, durable when it returns. After a failure the database takes no more writes. */
sb_err sb_db_batch_write(struct sb_db *db, struct sb_db_batch *batch,
                         struct sb_diag *diag) SB_MUST_USE;
/* sb_db_batch_write_lazily: all of it or nothing; durable with the next write that is. A crash may lose it and all that came after it. */
sb_err sb_db_batch_write_lazily(struct sb_db *db, struct sb_db_batch *batch,
                                struct sb_diag *diag) SB_MUST_USE;
/* sb_db_batch_delete_range: the keys of a family from start up to, not with, end. */
void sb_db_batch_delete_range(struct sb_db_batch *batch, enum sb_family family, sb_bytes start,
                              sb_bytes end);
/* sb_db_batch_delete_all: every key of a family. */
void sb_db_batch_delete_all(struct sb_db_batch *batch, enum sb_family family);
/* sb_db_delete_below: remove the keys of a family below `end`, all at once and not yet durable. */
sb_err sb_db_delete_below(struct sb_db *db, enum sb_family family, sb_bytes end) SB_MUST_USE;

/* sb_db_compact: rewrite the tables of a family up to `end` (empty: all), so that what was deleted leaves the disk. Takes long. */
void sb_db_compact(struct sb_db *db, enum sb_family family, sb_bytes end);

/* sb_db_flush: what is in memory goes to tables; sb_db_checkpoint: a durable copy of the database as it is now in a folder that does not
 * exist: hard links to tables, copies of the rest. Flush first and it is quick. */
sb_err sb_db_flush(struct sb_db *db, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_db_checkpoint(struct sb_db *db, const char *dir, struct sb_diag *diag) SB_MUST_USE;

/* Sums over all families. */
struct sb_db_sizes {
    uint64_t table_bytes, memtable_bytes, pending_compaction_bytes;
};
struct sb_db_sizes sb_db_sizes(const struct sb_db *db);

#endif
