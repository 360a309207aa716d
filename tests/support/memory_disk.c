/* memory_disk.c: see memory_disk.h. */
#include "tests/support/memory_disk.h"

#include "base/util/assert.h"

#define FILE_BYTES_MAX ((size_t)128 << 20)

/* alive: false when the disk is dead or dies here. */
static bool alive(struct memory_disk *disk)
{
    if (!disk->is_dead && disk->dies != NULL && disk->dies(disk->ctx)) {
        disk->is_dead = true;
    }
    return !disk->is_dead;
}

static sb_err done(struct memory_disk *disk)
{
    return alive(disk) ? SB_OK : SB_E_CANCELLED;
}

static struct memory_file *find(struct memory_disk *disk, const char *name)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        if (strcmp(disk->files[i].name, name) == 0) {
            return &disk->files[i];
        }
    }
    return NULL;
}

static sb_err disk_list(void *ctx, sb_err (*visit)(void *visit_ctx, const char *name),
                        void *visit_ctx, struct sb_diag *diag)
{
    (void)diag;
    struct memory_disk *disk = ctx;
    for (size_t i = 0; i < disk->file_count; i++) {
        SB_TRY(visit(visit_ctx, disk->files[i].name));
    }
    return SB_OK;
}

static sb_err disk_read(void *ctx, const char *name, struct sb_buf *out, struct sb_diag *diag)
{
    const struct memory_file *file = find(ctx, name);
    if (file == NULL) {
        return sb_fail(diag, SB_E_IO, "%s: no such file", name);
    }
    sb_buf_add(out, file->content.data, file->content.len);
    return sb_buf_err(out);
}

static sb_err disk_create(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    if (find(disk, name) != NULL) {
        return sb_fail(diag, SB_E_EXISTS, "%s exists", name);
    }
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    SB_ASSERT(disk->file_count < MEMORY_DISK_FILES_MAX);
    struct memory_file *file = &disk->files[disk->file_count++];
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    sb_buf_init(&file->content, FILE_BYTES_MAX);
    sb_buf_add(&file->content, content.data, content.len);
    file->durable = content.len;
    return done(disk);
}

static sb_err disk_append(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                          struct sb_diag *diag)
{
    (void)diag;
    struct memory_disk *disk = ctx;
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    struct memory_file *file = find(disk, name);
    SB_ASSERT(file != NULL);
    sb_buf_add(&file->content, head.data, head.len);
    sb_buf_add(&file->content, tail.data, tail.len);
    SB_ASSERT(sb_buf_err(&file->content) == SB_OK);
    return done(disk);
}

static sb_err disk_sync(void *ctx, const char *name, struct sb_diag *diag)
{
    (void)diag;
    struct memory_disk *disk = ctx;
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    struct memory_file *file = find(disk, name);
    SB_ASSERT(file != NULL);
    file->durable = file->content.len;
    return done(disk);
}

static sb_err disk_truncate(void *ctx, const char *name, uint64_t size, struct sb_diag *diag)
{
    (void)diag;
    struct memory_disk *disk = ctx;
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    struct memory_file *file = find(disk, name);
    SB_ASSERT(file != NULL && size <= file->content.len);
    file->content.len = (size_t)size;
    file->durable = (size_t)size;
    return done(disk);
}

static sb_err disk_remove(void *ctx, const char *name, struct sb_diag *diag)
{
    (void)diag;
    struct memory_disk *disk = ctx;
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    struct memory_file *file = find(disk, name);
    SB_ASSERT(file != NULL);
    sb_buf_fini(&file->content);
    disk->file_count--;
    memmove(file, file + 1,
            (size_t)(&disk->files[disk->file_count] - file) * sizeof disk->files[0]);
    return done(disk);
}

static void disk_close(void *ctx)
{
    (void)ctx;
}

struct sb_journal_disk memory_disk_table(struct memory_disk *disk)
{
    return (struct sb_journal_disk){.ctx = disk,
                                    .place = "memory",
                                    .list = disk_list,
                                    .read = disk_read,
                                    .create = disk_create,
                                    .append = disk_append,
                                    .sync = disk_sync,
                                    .truncate = disk_truncate,
                                    .remove = disk_remove,
                                    .close = disk_close};
}

void memory_disk_crash(struct memory_disk *disk, enum memory_loss loss, struct sb_random *random)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        struct memory_file *file = &disk->files[i];
        size_t unsynced = file->content.len - file->durable;
        if (loss == MEMORY_LOSS_ALL) {
            file->content.len = file->durable;
        } else if (loss == MEMORY_LOSS_PART && unsynced != 0) {
            file->content.len = file->durable + sb_random_below(random, unsynced + 1);
            if (file->content.len > file->durable && sb_random_below(random, 2) == 0) {
                file->content.data[file->content.len - 1] ^= 0x55;
            }
        }
        file->durable = file->content.len;
    }
    disk->is_dead = false;
}

void memory_disk_copy(struct memory_disk *ret_disk, const struct memory_disk *disk)
{
    memset(ret_disk, 0, sizeof *ret_disk);
    for (size_t i = 0; i < disk->file_count; i++) {
        struct memory_file *file = &ret_disk->files[ret_disk->file_count++];
        memcpy(file->name, disk->files[i].name, sizeof file->name);
        sb_buf_init(&file->content, FILE_BYTES_MAX);
        sb_buf_add(&file->content, disk->files[i].content.data, disk->files[i].content.len);
        file->durable = disk->files[i].durable;
    }
}

void memory_disk_fini(struct memory_disk *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        sb_buf_fini(&disk->files[i].content);
    }
    memset(disk, 0, sizeof *disk);
}
