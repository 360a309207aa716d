/* db.c: the wrapper around RocksDB's C API; see db.h.
 *
 * Recovery mode is point-in-time: the write-ahead log is read up to its first damaged record, so a torn tail after a power cut costs
 * only what was never acknowledged, and all families end at the same batch. A batch that was acknowledged and yet lost (a lying
 * disk) shows as a head below the signing journal's, which the node checks. Blocks of table files carry RocksDB's own checksums.
 *
 * RocksDB does not sync its folder between making its first manifest and naming it in CURRENT, so a power cut may keep the second
 * and lose the first. Hence the file CREATING: it is durable before RocksDB makes anything and goes when all is durable; a folder
 * with it holds nothing that anybody was promised. The same may happen when a database is opened again: db_mend.c. */
#include "storage/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "base/util/assert.h"
#include "storage/db_mend.h"

#define WRITE_BUFFERS_BYTES ((size_t)64 << 20) /* memtables of all families together */
#define WAL_BYTES_MAX       ((uint64_t)128 << 20)
#define INFO_LOG_BYTES      ((size_t)4 << 20)
#define INFO_LOG_LEVEL      4 /* fatal only: see options_new */
#define BLOOM_BITS          10
#define BLOCK_BYTES         4096
#define PATH_BYTES_MAX      4096
#define CREATING            "CREATING"
/* Longest key of any family (storage/store.c): an account and a path. */
#define KEY_BYTES_MAX 96

static const char *const family_names[SB_FAMILY_COUNT] = {
#define SB_FAMILY(name, text, history) text,
#include "storage/families.def"
#undef SB_FAMILY
};

struct sb_db {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[SB_FAMILY_COUNT];
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read_newest;
    rocksdb_writeoptions_t *write_synced;
    rocksdb_writeoptions_t *write_lazily;
    bool broken; /* a write failed */
};

struct sb_db_snapshot {
    struct sb_db *db;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

struct sb_db_iter {
    rocksdb_iterator_t *it;
    sb_bytes prefix;
};

struct sb_db_batch {
    rocksdb_writebatch_t *batch;
    struct sb_db *db;
};

/* err_take: turn RocksDB's message (freed here) into a code and, when diag is given, a message. */
static sb_err err_take(char *text, struct sb_diag *diag)
{
    if (text == NULL) {
        return SB_OK;
    }
    sb_err err = strncmp(text, "Corruption", 10) == 0 ? SB_E_CORRUPT : SB_E_IO;
    err = sb_fail(diag, err, "database: %s", text);
    rocksdb_free(text);
    return err;
}

/* ---- opening ---- */

static rocksdb_options_t *options_new(rocksdb_cache_t *cache, bool create)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_format_version(table, 5);

    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_create_if_missing(options, create);
    rocksdb_options_set_create_missing_column_families(options, create);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
    rocksdb_options_set_db_write_buffer_size(options, WRITE_BUFFERS_BYTES);
    rocksdb_options_set_write_buffer_size(options, WRITE_BUFFERS_BYTES);
    rocksdb_options_set_arena_block_size(options, (size_t)128 << 10);
    rocksdb_options_set_max_total_wal_size(options, WAL_BYTES_MAX);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(options, rocksdb_zstd_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, -1);
    /* On a full disk its own log fails first, and a thread of RocksDB that writes to it again afterwards aborts the process (asserts
     * are on in Debian's build). What matters comes back as errors. */
    rocksdb_options_set_info_log_level(options, INFO_LOG_LEVEL);
    rocksdb_options_set_max_log_file_size(options, INFO_LOG_BYTES);
    rocksdb_options_set_keep_log_file_num(options, 4);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    return options;
}

static bool folder_has(const char *dir, const char *name)
{
    char path[PATH_BYTES_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    return len > 0 && (size_t)len < sizeof path && access(path, F_OK) == 0;
}

/* folder_sync: the names in a folder become durable. */
static bool folder_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    return (fd < 0 || close(fd) == 0) && done;
}

/* folder_clear: remove what an unfinished creation left, all but the marker. Without a marker there must be nothing: files that this
 * program did not leave unfinished are never removed. */
static sb_err folder_clear(int dir_fd, DIR *dir, bool unfinished)
{
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, CREATING) == 0) {
            continue;
        }
        if (!unfinished) {
            return SB_E_EXISTS;
        }
        if (unlinkat(dir_fd, entry->d_name, 0) != 0) {
            return SB_E_IO;
        }
    }
    return fsync(dir_fd) == 0 ? SB_OK : SB_E_IO;
}

/* folder_begin: an empty folder with the marker, durable. */
static sb_err folder_begin(const char *dir, struct sb_diag *diag)
{
    char parent[PATH_BYTES_MAX];
    int len = snprintf(parent, sizeof parent, "%s/..", dir);
    bool unfinished = folder_has(dir, CREATING);
    bool made = len > 0 && (size_t)len < sizeof parent &&
                (mkdir(dir, 0755) == 0 || errno == EEXIST) && folder_sync(parent);
    DIR *entries = made ? opendir(dir) : NULL;
    if (entries == NULL) {
        return sb_fail(diag, SB_E_IO, "%s: %s", dir, strerror(errno));
    }
    int dir_fd = dirfd(entries);
    sb_err err = folder_clear(dir_fd, entries, unfinished);
    if (err == SB_OK) {
        int fd = openat(dir_fd, CREATING, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        bool durable = fd >= 0 && fsync(fd) == 0 && fsync(dir_fd) == 0;
        err = fd >= 0 && close(fd) == 0 && durable ? SB_OK : SB_E_IO;
    }
    if (err == SB_E_EXISTS) {
        err = sb_fail(diag, SB_E_CORRUPT,
                      "%s holds files, but no database (CURRENT is missing): restore a copy, or "
                      "use another folder",
                      dir);
    } else if (err != SB_OK) {
        err = sb_fail(diag, SB_E_IO, "%s: %s", dir, strerror(errno));
    }
    (void)closedir(entries);
    return err;
}

sb_err sb_db_created(const char *dir, struct sb_diag *diag)
{
    char path[PATH_BYTES_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", dir, CREATING);
    /* Twice: first everything that RocksDB named is durable, then the marker goes. */
    if (len <= 0 || (size_t)len >= sizeof path || !folder_sync(dir) || unlink(path) != 0 ||
        !folder_sync(dir)) {
        return sb_fail(diag, SB_E_IO, "%s: %s", dir, strerror(errno));
    }
    return SB_OK;
}

/* families_check: a family that this program does not know means a newer format. */
static sb_err families_check(const char *dir, const rocksdb_options_t *options,
                             struct sb_diag *diag)
{
    char *text = NULL;
    size_t count = 0;
    char **names = rocksdb_list_column_families(options, dir, &count, &text);
    if (text != NULL) {
        rocksdb_list_column_families_destroy(names, count); /* given even then */
        (void)err_take(text, diag);
        sb_diag_prefix(diag, "%s is damaged (restore a copy or sync again)", dir);
        return SB_E_CORRUPT;
    }
    sb_err err = SB_OK;
    for (size_t i = 0; i < count && err == SB_OK; i++) {
        size_t known = 0;
        while (known < SB_FAMILY_COUNT && strcmp(names[i], family_names[known]) != 0) {
            known++;
        }
        if (known == SB_FAMILY_COUNT) {
            err = sb_fail(
                diag, SB_E_VERSION,
                "%s has a part \"%s\" that this program does not know: use the newer program", dir,
                names[i]);
        }
    }
    rocksdb_list_column_families_destroy(names, count);
    return err;
}

static sb_err open_error(char *text, const char *dir, struct sb_diag *diag)
{
    bool locked = strstr(text, "lock ") != NULL && strstr(text, "LOCK") != NULL;
    sb_err err = err_take(text, diag);
    if (locked) {
        return sb_fail(diag, SB_E_BUSY, "%s is in use by another process: stop it first", dir);
    }
    /* A table or log that is gone reads as an input error; to the user it is damage too. */
    if (err == SB_E_CORRUPT || (diag != NULL && strstr(diag->text, "No such file") != NULL)) {
        sb_diag_prefix(diag, "%s is damaged (restore a copy or sync again)", dir);
        return SB_E_CORRUPT;
    }
    sb_diag_prefix(diag, "%s cannot be opened", dir);
    return err;
}

static sb_err handles_open(struct sb_db *db, const char *dir, bool read_only, struct sb_diag *diag)
{
    const rocksdb_options_t *options[SB_FAMILY_COUNT];
    for (size_t i = 0; i < SB_FAMILY_COUNT; i++) {
        options[i] = db->options;
    }
    char *text = NULL;
    if (read_only) {
        db->db = rocksdb_open_for_read_only_column_families(
            db->options, dir, SB_FAMILY_COUNT, family_names, options, db->families, 0, &text);
    } else {
        db->db = rocksdb_open_column_families(db->options, dir, SB_FAMILY_COUNT, family_names,
                                              options, db->families, &text);
    }
    return text == NULL ? SB_OK : open_error(text, dir, diag);
}

sb_err sb_db_open(struct sb_db **ret_db, bool *ret_created, const char *dir,
                  const struct sb_db_options *options, struct sb_diag *diag)
{
    bool exists = folder_has(dir, "CURRENT") && !folder_has(dir, CREATING);
    if (!exists && (!options->create || options->read_only)) {
        return sb_fail(diag, SB_E_NOT_FOUND, "%s holds no database", dir);
    }
    struct sb_db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return SB_E_NOMEM;
    }
    db->cache = rocksdb_cache_create_lru(options->cache_bytes);
    db->options = options_new(db->cache, !exists);
    db->read_newest = rocksdb_readoptions_create();
    db->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db->write_synced, 1);
    db->write_lazily = rocksdb_writeoptions_create();
    sb_err err = exists ? sb_db_mend(dir, options->read_only, diag) : folder_begin(dir, diag);
    if (err == SB_OK && exists) {
        err = families_check(dir, db->options, diag);
    }
    if (err == SB_OK) {
        err = handles_open(db, dir, options->read_only, diag);
    }
    if (err != SB_OK) {
        sb_db_close(db);
        return err;
    }
    *ret_created = !exists;
    *ret_db = db;
    return SB_OK;
}

/* Keeps a database that is not closed reachable, so that leak checkers do not take it for a mistake. */
static struct sb_db *volatile abandoned;

void sb_db_close(struct sb_db *db)
{
    if (db->broken) {
        /* RocksDB (asserts are on in Debian's) aborts when a log whose write failed is closed. The process is to end anyway, and what
         * its memory holds must not be written any more: leave all as it is. */
        abandoned = db;
        return;
    }
    if (db->db != NULL) {
        for (size_t i = 0; i < SB_FAMILY_COUNT; i++) {
            rocksdb_column_family_handle_destroy(db->families[i]);
        }
        rocksdb_close(db->db);
    }
    rocksdb_writeoptions_destroy(db->write_synced);
    rocksdb_writeoptions_destroy(db->write_lazily);
    rocksdb_readoptions_destroy(db->read_newest);
    rocksdb_options_destroy(db->options);
    rocksdb_cache_destroy(db->cache);
    free(db);
}

/* ---- reading ---- */

struct sb_db_snapshot *sb_db_snapshot_new(struct sb_db *db)
{
    struct sb_db_snapshot *snapshot = malloc(sizeof *snapshot);
    if (snapshot != NULL) {
        snapshot->db = db;
        snapshot->snapshot = rocksdb_create_snapshot(db->db);
        snapshot->read = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(snapshot->read, snapshot->snapshot);
    }
    return snapshot;
}

void sb_db_snapshot_free(struct sb_db_snapshot *snapshot)
{
    if (snapshot != NULL) {
        rocksdb_readoptions_destroy(snapshot->read);
        rocksdb_release_snapshot(snapshot->db->db, snapshot->snapshot);
        free(snapshot);
    }
}

sb_err sb_db_get(struct sb_db_value *ret_value, struct sb_db *db,
                 const struct sb_db_snapshot *snapshot, enum sb_family family, sb_bytes key)
{
    char *text = NULL;
    const rocksdb_readoptions_t *read = snapshot != NULL ? snapshot->read : db->read_newest;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(db->db, read, db->families[family],
                                                           (const char *)key.data, key.len, &text);
    SB_TRY(err_take(text, NULL));
    *ret_value = (struct sb_db_value){.bytes = {NULL, 0}, .handle = slice};
    if (slice != NULL) {
        size_t len;
        const char *data = rocksdb_pinnableslice_value(slice, &len);
        ret_value->bytes = sb_span(data, len);
    }
    return SB_OK;
}

void sb_db_value_free(struct sb_db_value *value)
{
    if (value->handle != NULL) {
        rocksdb_pinnableslice_destroy(value->handle);
    }
    *value = (struct sb_db_value){.bytes = {NULL, 0}, .handle = NULL};
}

struct sb_db_iter *sb_db_iter_new(struct sb_db *db, const struct sb_db_snapshot *snapshot,
                                  enum sb_family family)
{
    struct sb_db_iter *iter = calloc(1, sizeof *iter);
    if (iter != NULL) {
        iter->it = rocksdb_create_iterator_cf(
            db->db, snapshot != NULL ? snapshot->read : db->read_newest, db->families[family]);
    }
    return iter;
}

void sb_db_iter_free(struct sb_db_iter *iter)
{
    if (iter != NULL) {
        rocksdb_iter_destroy(iter->it);
        free(iter);
    }
}

static bool iter_inside(const struct sb_db_iter *iter)
{
    if (!rocksdb_iter_valid(iter->it)) {
        return false;
    }
    sb_bytes key = sb_db_iter_key(iter);
    return key.len >= iter->prefix.len &&
           (iter->prefix.len == 0 || memcmp(key.data, iter->prefix.data, iter->prefix.len) == 0);
}

bool sb_db_iter_first(struct sb_db_iter *iter, sb_bytes prefix, sb_bytes start)
{
    iter->prefix = prefix;
    rocksdb_iter_seek(iter->it, (const char *)start.data, start.len);
    return iter_inside(iter);
}

bool sb_db_iter_next(struct sb_db_iter *iter)
{
    rocksdb_iter_next(iter->it);
    return iter_inside(iter);
}

sb_bytes sb_db_iter_key(const struct sb_db_iter *iter)
{
    size_t len;
    const char *data = rocksdb_iter_key(iter->it, &len);
    return sb_span(data, len);
}

sb_bytes sb_db_iter_value(const struct sb_db_iter *iter)
{
    size_t len;
    const char *data = rocksdb_iter_value(iter->it, &len);
    return sb_span(data, len);
}

sb_err sb_db_iter_err(const struct sb_db_iter *iter)
{
    char *text = NULL;
    rocksdb_iter_get_error(iter->it, &text);
    return err_take(text, NULL);
}

/* ---- writing ---- */

struct sb_db_batch *sb_db_batch_new(struct sb_db *db)
{
    struct sb_db_batch *batch = malloc(sizeof *batch);
    if (batch != NULL) {
        batch->batch = rocksdb_writebatch_create();
        batch->db = db;
    }
    return batch;
}

void sb_db_batch_free(struct sb_db_batch *batch)
{
    if (batch != NULL) {
        rocksdb_writebatch_destroy(batch->batch);
        free(batch);
    }
}

void sb_db_batch_put(struct sb_db_batch *batch, enum sb_family family, sb_bytes key, sb_bytes value)
{
    rocksdb_writebatch_put_cf(batch->batch, batch->db->families[family], (const char *)key.data,
                              key.len, (const char *)value.data, value.len);
}

void sb_db_batch_delete(struct sb_db_batch *batch, enum sb_family family, sb_bytes key)
{
    rocksdb_writebatch_delete_cf(batch->batch, batch->db->families[family], (const char *)key.data,
                                 key.len);
}

void sb_db_batch_delete_range(struct sb_db_batch *batch, enum sb_family family, sb_bytes start,
                              sb_bytes end)
{
    rocksdb_writebatch_delete_range_cf(batch->batch, batch->db->families[family],
                                       (const char *)start.data, start.len, (const char *)end.data,
                                       end.len);
}

void sb_db_batch_delete_all(struct sb_db_batch *batch, enum sb_family family)
{
    uint8_t end[KEY_BYTES_MAX + 1];
    memset(end, 0xff, sizeof end);
    sb_db_batch_delete_range(batch, family, sb_span("", 0), sb_span(end, sizeof end));
}

static sb_err batch_write(struct sb_db *db, const rocksdb_writeoptions_t *options,
                          struct sb_db_batch *batch, struct sb_diag *diag)
{
    char *text = NULL;
    rocksdb_write(db->db, options, batch->batch, &text);
    db->broken = text != NULL;
    return err_take(text, diag);
}

sb_err sb_db_batch_write(struct sb_db *db, struct sb_db_batch *batch, struct sb_diag *diag)
{
    return batch_write(db, db->write_synced, batch, diag);
}

sb_err sb_db_batch_write_lazily(struct sb_db *db, struct sb_db_batch *batch, struct sb_diag *diag)
{
    return batch_write(db, db->write_lazily, batch, diag);
}

sb_err sb_db_delete_below(struct sb_db *db, enum sb_family family, sb_bytes end)
{
    char *text = NULL;
    rocksdb_delete_range_cf(db->db, db->write_lazily, db->families[family], "", 0,
                            (const char *)end.data, end.len, &text);
    return err_take(text, NULL);
}

void sb_db_compact(struct sb_db *db, enum sb_family family, sb_bytes end)
{
    rocksdb_compact_range_cf(db->db, db->families[family], NULL, 0, (const char *)end.data,
                             end.len);
}

sb_err sb_db_flush(struct sb_db *db, struct sb_diag *diag)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    sb_err err = SB_OK;
    for (size_t i = 0; err == SB_OK && i < SB_FAMILY_COUNT; i++) {
        char *text = NULL;
        rocksdb_flush_cf(db->db, options, db->families[i], &text);
        err = err_take(text, diag);
    }
    rocksdb_flushoptions_destroy(options);
    return err;
}

sb_err sb_db_checkpoint(struct sb_db *db, const char *dir, struct sb_diag *diag)
{
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db->db, &text);
    if (checkpoint == NULL) {
        return err_take(text, diag);
    }
    rocksdb_checkpoint_create(checkpoint, dir, UINT64_MAX, &text); /* the log is copied */
    rocksdb_checkpoint_object_destroy(checkpoint);
    return err_take(text, diag);
}

/* sum_of: a property of RocksDB over all families; one that it does not know counts as 0. */
static uint64_t sum_of(const struct sb_db *db, const char *property)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SB_FAMILY_COUNT; i++) {
        uint64_t value = 0;
        if (rocksdb_property_int_cf(db->db, db->families[i], property, &value) == 0) {
            sum += value;
        }
    }
    return sum;
}

struct sb_db_sizes sb_db_sizes(const struct sb_db *db)
{
    return (struct sb_db_sizes){
        .table_bytes = sum_of(db, "rocksdb.total-sst-files-size"),
        .memtable_bytes = sum_of(db, "rocksdb.cur-size-all-mem-tables"),
        .pending_compaction_bytes = sum_of(db, "rocksdb.estimate-pending-compaction-bytes"),
    };
}
