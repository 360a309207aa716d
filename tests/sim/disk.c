/* disk.c: see disk.h. */
#include "tests/sim/disk.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/util/assert.h"
#include "tests/sim/alloc.h"

static struct sim_disk_file *file_find(struct sim_disk *disk, const char *name)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        if (strcmp(disk->files[i].name, name) == 0) {
            return &disk->files[i];
        }
    }
    return NULL;
}

static sb_err missing(struct sb_diag *diag, const char *name)
{
    return sb_fail(diag, SB_E_NOT_FOUND, "there is no file %s", name);
}

static sb_err dead(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_IO, "the node has crashed");
}

static void file_add(struct sim_disk_file *file, sb_bytes bytes)
{
    struct sim_alloc *before = sim_alloc_enter(NULL);
    if (file->len + bytes.len > file->capacity) {
        file->capacity = 2 * (file->len + bytes.len) + 256;
        file->data = realloc(file->data, file->capacity);
        SB_ASSERT(file->data != NULL);
    }
    sb_copy(file->data + file->len, bytes.data, bytes.len);
    file->len += bytes.len;
    (void)sim_alloc_enter(before);
}

static sb_err disk_list(void *ctx, sb_err (*visit)(void *visit_ctx, const char *name),
                        void *visit_ctx, struct sb_diag *diag)
{
    (void)diag;
    struct sim_disk *disk = ctx;
    for (size_t i = 0; i < disk->file_count; i++) {
        SB_TRY(visit(visit_ctx, disk->files[i].name));
    }
    return SB_OK;
}

static sb_err disk_read(void *ctx, const char *name, struct sb_buf *out, struct sb_diag *diag)
{
    const struct sim_disk_file *file = file_find(ctx, name);
    if (file == NULL) {
        return missing(diag, name);
    }
    sb_buf_add(out, file->data, file->len);
    return sb_buf_err(out);
}

static sb_err disk_create(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag)
{
    struct sim_disk *disk = ctx;
    if (disk->dies(disk->ctx)) {
        return dead(diag);
    }
    if (file_find(disk, name) != NULL) {
        return sb_fail(diag, SB_E_EXISTS, "file %s exists", name);
    }
    SB_ASSERT(disk->file_count < SIM_DISK_FILES_MAX);
    struct sim_disk_file *file = &disk->files[disk->file_count++];
    *file = (struct sim_disk_file){.data = NULL};
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    file_add(file, content);
    file->durable = file->len;
    disk->syncs++;
    disk->synced(disk->ctx);
    return disk->dies(disk->ctx) ? dead(diag) : SB_OK;
}

static sb_err disk_append(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                          struct sb_diag *diag)
{
    struct sim_disk *disk = ctx;
    if (disk->dies(disk->ctx)) {
        return dead(diag);
    }
    struct sim_disk_file *file = file_find(disk, name);
    if (file == NULL) {
        return missing(diag, name);
    }
    file_add(file, head);
    file_add(file, tail);
    return disk->dies(disk->ctx) ? dead(diag) : SB_OK;
}

static sb_err disk_sync(void *ctx, const char *name, struct sb_diag *diag)
{
    struct sim_disk *disk = ctx;
    if (disk->dies(disk->ctx)) {
        return dead(diag);
    }
    struct sim_disk_file *file = file_find(disk, name);
    if (file == NULL) {
        return missing(diag, name);
    }
    file->durable = file->len;
    disk->syncs++;
    disk->synced(disk->ctx);
    return disk->dies(disk->ctx) ? dead(diag) : SB_OK;
}

static sb_err disk_truncate(void *ctx, const char *name, uint64_t size, struct sb_diag *diag)
{
    struct sim_disk *disk = ctx;
    if (disk->dies(disk->ctx)) {
        return dead(diag);
    }
    struct sim_disk_file *file = file_find(disk, name);
    if (file == NULL) {
        return missing(diag, name);
    }
    if (size > file->len) {
        return sb_fail(diag, SB_E_RANGE, "file %s is shorter", name);
    }
    file->len = (size_t)size;
    file->durable = file->len;
    return disk->dies(disk->ctx) ? dead(diag) : SB_OK;
}

static sb_err disk_remove(void *ctx, const char *name, struct sb_diag *diag)
{
    struct sim_disk *disk = ctx;
    if (disk->dies(disk->ctx)) {
        return dead(diag);
    }
    struct sim_disk_file *file = file_find(disk, name);
    if (file == NULL) {
        return missing(diag, name);
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    free(file->data);
    (void)sim_alloc_enter(before);
    *file = disk->files[--disk->file_count];
    return disk->dies(disk->ctx) ? dead(diag) : SB_OK;
}

static void disk_close(void *ctx)
{
    (void)ctx;
}

struct sb_journal_disk sim_disk_table(struct sim_disk *disk)
{
    return (struct sb_journal_disk){.ctx = disk,
                                    .place = "disk",
                                    .list = disk_list,
                                    .read = disk_read,
                                    .create = disk_create,
                                    .append = disk_append,
                                    .sync = disk_sync,
                                    .truncate = disk_truncate,
                                    .remove = disk_remove,
                                    .close = disk_close};
}

void sim_disk_crash(struct sim_disk *disk, struct sim_random *random)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        struct sim_disk_file *file = &disk->files[i];
        if (file->len == file->durable) {
            continue;
        }
        size_t loose = file->len - file->durable;
        size_t kept = sim_chance(random, 300) ? loose : (size_t)sim_below(random, loose + 1);
        disk->lost_bytes += loose - kept;
        file->len = file->durable + kept;
        if (kept != 0 && sim_chance(random, 500)) { /* blocks that never reached the disk */
            size_t from = (size_t)sim_below(random, kept);
            size_t len = (size_t)sim_between(random, 1, kept - from);
            bool zeros = sim_chance(random, 500);
            for (size_t k = 0; k < len; k++) {
                file->data[file->durable + from + k] = zeros ? 0 : (uint8_t)sim_random_u64(random);
            }
            disk->torn_files++;
        }
        /* what survived the crash has reached the disk */
        file->durable = file->len;
    }
}

void sim_disk_fini(struct sim_disk *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        free(disk->files[i].data);
    }
    disk->file_count = 0;
}
