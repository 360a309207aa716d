/* snapshot.c: the folder of snapshots and their counted stores; see snapshot.h.
 *
 * A snapshot comes and goes by renaming: "<height>.tmp" is nothing to anybody. RocksDB makes its checkpoints under such a name itself. */
#include "storage/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec/rlp.h"
#include "storage/store_internal.h"

#define PATH_BYTES_MAX  4096
#define TEMPORARY       ".tmp"
#define CACHE_BYTES     ((size_t)8 << 20)
#define FOLDER_NAME_MAX 24

struct sb_snapshot {
    atomic_uint refs;
    uint64_t height;
    struct sb_store *store;
};

struct sb_snapshots {
    char dir[PATH_BYTES_MAX - 2 * FOLDER_NAME_MAX];
    struct sb_store_identity identity;
    size_t keep;
    pthread_mutex_t lock;                           /* guards list */
    struct sb_snapshot *list[SB_SNAPSHOTS_MAX + 1]; /* newest first; each counted once */
    size_t count;
};

/* ---- one snapshot ---- */

void sb_snapshot_unref(struct sb_snapshot *snapshot)
{
    if (snapshot != NULL && atomic_fetch_sub(&snapshot->refs, 1) == 1) {
        sb_store_close(snapshot->store);
        free(snapshot);
    }
}

struct sb_store *sb_snapshot_store(const struct sb_snapshot *snapshot)
{
    return snapshot->store;
}

static void path_of(char ret[PATH_BYTES_MAX], const struct sb_snapshots *snapshots, uint64_t height,
                    const char *suffix)
{
    (void)snprintf(ret, PATH_BYTES_MAX, "%s/%012" PRIu64 "%s", snapshots->dir, height, suffix);
}

static sb_err snapshot_open(struct sb_snapshot **ret_snapshot, const struct sb_snapshots *snapshots,
                            uint64_t height, struct sb_diag *diag)
{
    char path[PATH_BYTES_MAX];
    path_of(path, snapshots, height, "");
    struct sb_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        return SB_E_NOMEM;
    }
    atomic_init(&snapshot->refs, 1);
    snapshot->height = height;
    const struct sb_store_options options = {
        .cache_bytes = CACHE_BYTES, .history_blocks = 1, .read_only = true};
    sb_err err = sb_store_open(&snapshot->store, path, &snapshots->identity, &options, diag);
    if (err == SB_OK) {
        struct sb_store_head head = sb_store_head(snapshot->store);
        if (!head.exists || head.number != height) {
            err = sb_fail(diag, SB_E_CORRUPT, "%s holds another height than its name says", path);
        }
    }
    if (err != SB_OK) {
        sb_snapshot_unref(snapshot);
        return err;
    }
    *ret_snapshot = snapshot;
    return SB_OK;
}

/* ---- the folder ---- */

static sb_err folder_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    return (fd < 0 || close(fd) == 0) && done ? SB_OK : SB_E_IO;
}

/* folder_remove: a folder without folders in it. */
static sb_err folder_remove(const char *path)
{
    DIR *entries = opendir(path);
    if (entries == NULL) {
        return errno == ENOENT ? SB_OK : SB_E_IO;
    }
    const struct dirent *entry;
    sb_err err = SB_OK;
    while (err == SB_OK && (entry = readdir(entries)) != NULL) {
        bool is_dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_dots && unlinkat(dirfd(entries), entry->d_name, 0) != 0) {
            err = SB_E_IO;
        }
    }
    (void)closedir(entries);
    return err == SB_OK && rmdir(path) == 0 ? SB_OK : SB_E_IO;
}

/* files_drop: of a snapshot: first it loses its name. */
static sb_err files_drop(const struct sb_snapshots *snapshots, uint64_t height)
{
    char path[PATH_BYTES_MAX], temporary[PATH_BYTES_MAX];
    path_of(path, snapshots, height, "");
    path_of(temporary, snapshots, height, TEMPORARY);
    SB_TRY(folder_remove(temporary));
    if (rename(path, temporary) != 0) {
        return SB_E_IO;
    }
    return folder_remove(temporary);
}

/* name_height: the height that a folder's name says; false for any other name. */
static bool name_height(uint64_t *ret_height, const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < 12 || digits > 19 || name[digits] != '\0') {
        return false;
    }
    *ret_height = strtoull(name, NULL, 10);
    return true;
}

static bool is_temporary(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits >= 12 && digits < FOLDER_NAME_MAX && strcmp(name + digits, TEMPORARY) == 0;
}

static int newer_first(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* heights_read: the newest snapshots of the folder; what is temporary goes, and so do the ones that are too many. */
static sb_err heights_read(uint64_t ret_heights[SB_SNAPSHOTS_MAX], size_t *ret_count,
                           const struct sb_snapshots *snapshots)
{
    DIR *entries = opendir(snapshots->dir);
    if (entries == NULL) {
        return SB_E_IO;
    }
    uint64_t heights[SB_SNAPSHOTS_MAX + 1];
    size_t count = 0;
    sb_err err = SB_OK;
    const struct dirent *entry;
    while (err == SB_OK && (entry = readdir(entries)) != NULL) {
        char path[PATH_BYTES_MAX];
        if (snapshots->keep == 0 && is_temporary(entry->d_name)) {
            continue; /* a running node's */
        }
        if (is_temporary(entry->d_name)) {
            (void)snprintf(path, sizeof path, "%s/%.*s", snapshots->dir, FOLDER_NAME_MAX,
                           entry->d_name);
            err = folder_remove(path);
        } else if (name_height(&heights[count], entry->d_name)) {
            qsort(heights, ++count, sizeof heights[0], newer_first);
            if (snapshots->keep != 0 && count > snapshots->keep) {
                err = files_drop(snapshots, heights[--count]);
            }
            count = count > SB_SNAPSHOTS_MAX ? SB_SNAPSHOTS_MAX : count;
        }
    }
    (void)closedir(entries);
    memcpy(ret_heights, heights, count * sizeof heights[0]);
    *ret_count = count;
    return err;
}

sb_err sb_snapshots_open(struct sb_snapshots **ret_snapshots, const char *dir,
                         const struct sb_store_identity *identity, size_t keep,
                         struct sb_diag *diag)
{
    struct sb_snapshots *snapshots = calloc(1, sizeof *snapshots);
    if (snapshots == NULL) {
        return SB_E_NOMEM;
    }
    snapshots->identity = *identity;
    snapshots->keep = keep > SB_SNAPSHOTS_MAX ? SB_SNAPSHOTS_MAX : keep;
    (void)pthread_mutex_init(&snapshots->lock, NULL);
    int len = snprintf(snapshots->dir, sizeof snapshots->dir, "%s", dir);
    uint64_t heights[SB_SNAPSHOTS_MAX];
    size_t count = 0;
    sb_err err =
        len > 0 && (size_t)len < sizeof snapshots->dir && (mkdir(dir, 0755) == 0 || errno == EEXIST)
            ? heights_read(heights, &count, snapshots)
            : SB_E_IO;
    if (err != SB_OK) {
        sb_snapshots_close(snapshots);
        return sb_fail(diag, err, "%s: %s", dir, strerror(errno));
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_snapshot **slot = &snapshots->list[snapshots->count];
        if (snapshot_open(slot, snapshots, heights[i], diag) == SB_OK) {
            snapshots->count++;
        } else if (keep != 0) {
            (void)files_drop(snapshots, heights[i]); /* of no use, and another will come */
        }
    }
    *ret_snapshots = snapshots;
    return SB_OK;
}

void sb_snapshots_close(struct sb_snapshots *snapshots)
{
    if (snapshots == NULL) {
        return;
    }
    for (size_t i = 0; i < snapshots->count; i++) {
        sb_snapshot_unref(snapshots->list[i]);
    }
    (void)pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
}

/* ---- taking ---- */

/* list_put: the newest one comes; the one that is too many is given to the caller. */
static struct sb_snapshot *list_put(struct sb_snapshots *snapshots, struct sb_snapshot *snapshot)
{
    struct sb_snapshot *old = NULL;
    (void)pthread_mutex_lock(&snapshots->lock);
    memmove(snapshots->list + 1, snapshots->list, snapshots->count * sizeof snapshots->list[0]);
    snapshots->list[0] = snapshot;
    if (++snapshots->count > snapshots->keep) {
        old = snapshots->list[--snapshots->count];
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    return old;
}

sb_err sb_snapshots_prepare(struct sb_store *store, struct sb_diag *diag)
{
    return sb_db_flush(store->db, diag);
}

sb_err sb_snapshots_cut(uint64_t *ret_height, const struct sb_snapshots *snapshots,
                        struct sb_store *store, struct sb_diag *diag)
{
    char path[PATH_BYTES_MAX];
    (void)pthread_mutex_lock(&store->writer);
    struct sb_store_head head = sb_store_head(store);
    path_of(path, snapshots, head.number, "");
    sb_err err = SB_OK;
    if (store->failed || !head.exists) {
        err = sb_fail(diag, SB_E_IO, "the database has no sound head to take");
    } else if (access(path, F_OK) == 0) {
        err = sb_fail(diag, SB_E_EXISTS, "there is a snapshot of block %" PRIu64, head.number);
    } else {
        err = sb_db_checkpoint(store->db, path, diag);
    }
    (void)pthread_mutex_unlock(&store->writer);
    *ret_height = head.number;
    return err;
}

sb_err sb_snapshots_adopt(struct sb_snapshots *snapshots, uint64_t height, struct sb_diag *diag)
{
    struct sb_snapshot *snapshot;
    if (folder_sync(snapshots->dir) != SB_OK) {
        return sb_fail(diag, SB_E_IO, "%s: %s", snapshots->dir, strerror(errno));
    }
    SB_TRY(snapshot_open(&snapshot, snapshots, height, diag));
    struct sb_snapshot *old = list_put(snapshots, snapshot);
    sb_err err = SB_OK;
    if (old != NULL) {
        err = files_drop(snapshots, old->height);
        if (err != SB_OK) {
            err = sb_fail(diag, err, "snapshot %" PRIu64 " cannot be removed: %s", old->height,
                          strerror(errno));
        }
        sb_snapshot_unref(old);
    }
    return err;
}

sb_err sb_snapshots_take(uint64_t *ret_height, struct sb_snapshots *snapshots,
                         struct sb_store *store, struct sb_diag *diag)
{
    uint64_t height;
    SB_TRY(sb_snapshots_prepare(store, diag));
    SB_TRY(sb_snapshots_cut(&height, snapshots, store, diag));
    SB_TRY(sb_snapshots_adopt(snapshots, height, diag));
    *ret_height = height;
    return SB_OK;
}

size_t sb_snapshots_list(uint64_t ret_heights[SB_SNAPSHOTS_MAX], struct sb_snapshots *snapshots)
{
    (void)pthread_mutex_lock(&snapshots->lock);
    size_t count = snapshots->count;
    for (size_t i = 0; i < count; i++) {
        ret_heights[i] = snapshots->list[i]->height;
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    return count;
}

struct sb_snapshot *sb_snapshots_find(struct sb_snapshots *snapshots, uint64_t height)
{
    struct sb_snapshot *found = NULL;
    (void)pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; found == NULL && i < snapshots->count; i++) {
        if (snapshots->list[i]->height == height) {
            found = snapshots->list[i];
            atomic_fetch_add(&found->refs, 1);
        }
    }
    (void)pthread_mutex_unlock(&snapshots->lock);
    return found;
}

/* ---- answers ---- */

/* Keys below a place in a flat family, as a range of bytes. */
struct place {
    uint8_t start[64 + 1];
    size_t start_len; /* of the first key that may lie there */
    size_t bound_len; /* whole bytes that all keys share */
    size_t account_len;
};

static struct place place_of(const struct sb_subtree_request *request)
{
    const struct sb_nibbles *path = &request->path;
    struct place place = {.account_len = request->kind == SB_SUBTREE_STORAGE ? 32 : 0};
    size_t whole = path->count / 2;
    sb_copy(place.start, request->hash.b, place.account_len);
    for (size_t i = 0; i < whole; i++) {
        place.start[place.account_len + i] = (uint8_t)(path->at[2 * i] << 4 | path->at[2 * i + 1]);
    }
    place.bound_len = place.start_len = place.account_len + whole;
    if ((path->count & 1) != 0) {
        place.start[place.start_len++] = (uint8_t)(path->at[path->count - 1] << 4);
    }
    return place;
}

/* leaves_put: append all leaves of the place as an answer. SB_E_LIMIT: they are too many for one; SB_E_NOT_FOUND: there are none. */
static sb_err leaves_put(struct sb_buf *out, struct sb_db_iter *iter,
                         const struct sb_subtree_request *request, const struct place *place,
                         size_t leaves_bytes)
{
    struct sb_subtree_leaf *leaves = NULL;
    struct sb_arena arena;
    sb_arena_init(&arena, 8 * SB_SUBTREE_LEAVES_BYTES);
    size_t room = SB_SUBTREE_LEAVES_BYTES / 32, count = 0, bytes = 0;
    leaves = sb_arena_array(&arena, room, sizeof *leaves);
    sb_err err = leaves == NULL ? SB_E_NOMEM : SB_OK;
    bool more = err == SB_OK && sb_db_iter_first(iter, sb_span(place->start, place->bound_len),
                                                 sb_span(place->start, place->start_len));
    for (; more && err == SB_OK; more = sb_db_iter_next(iter)) {
        sb_bytes key = sb_span_slice(sb_db_iter_key(iter), place->account_len, SIZE_MAX);
        sb_bytes record = sb_db_iter_value(iter);
        if (!sb_nibbles_prefix_key(&request->path, key)) {
            break;
        }
        bytes += key.len + record.len;
        if (count != 0 && bytes > leaves_bytes) {
            err = SB_E_LIMIT;
            break;
        }
        const uint8_t *key_copy = sb_arena_dup(&arena, key);
        const uint8_t *record_copy = sb_arena_dup(&arena, record);
        if (key_copy == NULL || record_copy == NULL) {
            err = SB_E_NOMEM;
            break;
        }
        leaves[count++] = (struct sb_subtree_leaf){.key = sb_span(key_copy, key.len),
                                                   .record = sb_span(record_copy, record.len)};
    }
    if (err == SB_OK) {
        err = sb_db_iter_err(iter);
    }
    if (err == SB_OK && count == 0) {
        err = SB_E_NOT_FOUND;
    }
    if (err == SB_OK) {
        sb_subtree_answer_leaves(out, leaves, count);
    }
    sb_arena_fini(&arena);
    return err;
}

static sb_err node_put(struct sb_buf *out, const struct sb_version *version,
                       const struct sb_subtree_request *request)
{
    bool is_storage = request->kind == SB_SUBTREE_STORAGE;
    uint8_t bytes[SB_TRIE_KEY_BYTES_MAX];
    sb_bytes key =
        sb_span(bytes, sb_trie_key(bytes, is_storage ? request->hash.b : NULL, &request->path));
    struct sb_db_value value;
    struct sb_trie_node node;
    SB_TRY(sb_db_get(&value, version->db, version->snapshot,
                     is_storage ? SB_FAMILY_SLOT_TRIE : SB_FAMILY_ACCOUNT_TRIE, key));
    sb_err err = value.handle == NULL ? SB_E_NOT_FOUND : sb_trie_node_decode(&node, value.bytes);
    sb_db_value_free(&value);
    if (err == SB_OK) {
        sb_subtree_answer_node(out, &node);
    }
    return err;
}

static sb_err trie_put(struct sb_buf *out, const struct sb_version *version,
                       const struct sb_subtree_request *request, size_t leaves_bytes)
{
    bool is_storage = request->kind == SB_SUBTREE_STORAGE;
    const struct place place = place_of(request);
    struct sb_db_iter *iter = sb_db_iter_new(version->db, version->snapshot,
                                             is_storage ? SB_FAMILY_SLOT : SB_FAMILY_ACCOUNT);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = leaves_put(out, iter, request, &place, leaves_bytes);
    sb_db_iter_free(iter);
    return err == SB_E_LIMIT ? node_put(out, version, request) : err;
}

static sb_err content_put(struct sb_buf *out, const struct sb_version *version,
                          const struct sb_subtree_request *request)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, version->db, version->snapshot,
                     request->kind == SB_SUBTREE_CODE ? SB_FAMILY_CODE : SB_FAMILY_BLOB,
                     sb_span(request->hash.b, 32)));
    sb_err err = SB_OK;
    if (value.handle == NULL) {
        err = SB_E_NOT_FOUND;
    } else if (value.bytes.len > SB_SUBTREE_ANSWER_BYTES_MAX - 2 * SB_RLP_HEADER_BYTES_MAX) {
        err = SB_E_LIMIT;
    } else {
        sb_subtree_answer_content(out, value.bytes);
    }
    sb_db_value_free(&value);
    return err;
}

sb_err sb_store_answer(struct sb_buf *out, struct sb_store *store,
                       const struct sb_subtree_request *request, size_t leaves_bytes)
{
    bool is_content = request->kind == SB_SUBTREE_CODE || request->kind == SB_SUBTREE_BLOB;
    struct sb_version *version = sb_store_newest(store);
    if (leaves_bytes == 0 || leaves_bytes > SB_SUBTREE_LEAVES_BYTES) {
        leaves_bytes = SB_SUBTREE_LEAVES_BYTES;
    }
    sb_err err = is_content ? content_put(out, version, request)
                            : trie_put(out, version, request, leaves_bytes);
    sb_version_unref(version);
    return err == SB_OK ? sb_buf_err(out) : err;
}

sb_err sb_store_blob_ids(sb_hash *ret_ids, size_t *ret_count, struct sb_store *store,
                         const sb_hash *after, size_t max)
{
    struct sb_version *version = sb_store_newest(store);
    struct sb_db_iter *iter = sb_db_iter_new(version->db, version->snapshot, SB_FAMILY_BLOB);
    size_t count = 0;
    sb_err err = iter == NULL ? SB_E_NOMEM : SB_OK;
    if (err == SB_OK) {
        sb_bytes start = after != NULL ? sb_span(after->b, 32) : sb_span("", 0);
        bool more = sb_db_iter_first(iter, sb_span(NULL, 0), start);
        for (; more && count < max && err == SB_OK; more = sb_db_iter_next(iter)) {
            sb_bytes key = sb_db_iter_key(iter);
            if (key.len != 32) {
                err = SB_E_CORRUPT;
            } else if (after == NULL || memcmp(key.data, after->b, 32) != 0) {
                memcpy(ret_ids[count++].b, key.data, 32);
            }
        }
        err = err == SB_OK ? sb_db_iter_err(iter) : err;
    }
    sb_db_iter_free(iter);
    sb_version_unref(version);
    if (err == SB_OK) {
        *ret_count = count;
    }
    return err;
}
