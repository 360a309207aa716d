/* memory_disk.c: see memory_disk.h. */
#include "tests/support/memory_disk.h"

#include <stdlib.h>

#include "base/util/assert.h"

#define KEPT_WHOLE_PER_MILLE 300
#define DAMAGED_PER_MILLE    500
#define ZEROS_PER_MILLE      500

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

/* find_alive: a file at the place before an operation on it. */
static sb_err find_alive(struct memory_file **ret_file, struct memory_disk *disk, const char *name,
                         struct sb_diag *diag)
{
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    struct memory_file *file = find(disk, name);
    if (file == NULL) {
        return sb_fail(diag, SB_E_NOT_FOUND, "%s: no such file", name);
    }
    *ret_file = file;
    return SB_OK;
}

/* ---- memory ---- */

static void *resize(const struct memory_disk *disk, void *memory, size_t bytes)
{
    void *moved = disk->resize != NULL ? disk->resize(memory, bytes) : realloc(memory, bytes);
    SB_ASSERT(moved != NULL);
    return moved;
}

static void drop(const struct memory_disk *disk, void *memory)
{
    if (disk->resize != NULL) {
        (void)disk->resize(memory, 0);
    } else {
        free(memory);
    }
}

static struct memory_file *file_new(struct memory_disk *disk, const char *name)
{
    if (disk->file_count == disk->file_capacity) {
        disk->file_capacity = 2 * disk->file_capacity + 4;
        disk->files = resize(disk, disk->files, disk->file_capacity * sizeof *disk->files);
    }
    struct memory_file *file = &disk->files[disk->file_count++];
    *file = (struct memory_file){.data = NULL};
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    return file;
}

static void file_add(const struct memory_disk *disk, struct memory_file *file, sb_bytes bytes)
{
    if (file->len + bytes.len > file->capacity) {
        file->capacity = 2 * (file->len + bytes.len) + 256;
        file->data = resize(disk, file->data, file->capacity);
    }
    sb_copy(file->data + file->len, bytes.data, bytes.len);
    file->len += bytes.len;
}

static void file_synced(struct memory_disk *disk, struct memory_file *file)
{
    file->durable = file->len;
    disk->sync_count++;
    if (disk->synced != NULL) {
        disk->synced(disk->ctx);
    }
}

/* ---- operations ---- */

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
        return sb_fail(diag, SB_E_NOT_FOUND, "%s: no such file", name);
    }
    sb_buf_add(out, file->data, file->len);
    return sb_buf_err(out);
}

static sb_err disk_create(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    if (!alive(disk)) {
        return SB_E_CANCELLED;
    }
    if (find(disk, name) != NULL) {
        return sb_fail(diag, SB_E_EXISTS, "%s exists", name);
    }
    struct memory_file *file = file_new(disk, name);
    file_add(disk, file, content);
    file_synced(disk, file);
    return done(disk);
}

static sb_err disk_append(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                          struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    struct memory_file *file;
    SB_TRY(find_alive(&file, disk, name, diag));
    file_add(disk, file, head);
    file_add(disk, file, tail);
    return done(disk);
}

static sb_err disk_sync(void *ctx, const char *name, struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    struct memory_file *file;
    SB_TRY(find_alive(&file, disk, name, diag));
    file_synced(disk, file);
    return done(disk);
}

static sb_err disk_truncate(void *ctx, const char *name, uint64_t size, struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    struct memory_file *file;
    SB_TRY(find_alive(&file, disk, name, diag));
    SB_ASSERT(size <= file->len);
    file->len = (size_t)size;
    file->durable = file->len;
    return done(disk);
}

static sb_err disk_remove(void *ctx, const char *name, struct sb_diag *diag)
{
    struct memory_disk *disk = ctx;
    struct memory_file *file;
    SB_TRY(find_alive(&file, disk, name, diag));
    drop(disk, file->data);
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

/* ---- crashes ---- */

static uint64_t below(void *ctx, uint64_t bound)
{
    return sb_random_below(ctx, bound);
}

struct memory_chance memory_chance_of(struct sb_random *random)
{
    return (struct memory_chance){.below = below, .ctx = random};
}

static uint64_t draw(struct memory_chance chance, uint64_t bound)
{
    return chance.below(chance.ctx, bound);
}

/* damage: a range of the last `kept` bytes never reached the disk. */
static void damage(struct memory_file *file, size_t kept, struct memory_chance chance)
{
    size_t from = (size_t)draw(chance, kept);
    size_t len = 1 + (size_t)draw(chance, kept - from);
    bool zeros = draw(chance, 1000) < ZEROS_PER_MILLE;
    for (size_t i = 0; i < len; i++) {
        file->data[file->durable + from + i] = zeros ? 0 : (uint8_t)draw(chance, 256);
    }
}

/* lose_part: true: what is left is damaged. */
static bool lose_part(struct memory_file *file, struct memory_chance chance)
{
    size_t loose = file->len - file->durable;
    if (loose == 0) {
        return false;
    }
    bool is_whole = draw(chance, 1000) < KEPT_WHOLE_PER_MILLE;
    size_t kept = is_whole ? loose : (size_t)draw(chance, loose + 1);
    bool is_damaged = kept != 0 && draw(chance, 1000) < DAMAGED_PER_MILLE;
    file->len = file->durable + kept;
    if (is_damaged) {
        damage(file, kept, chance);
    }
    return is_damaged;
}

void memory_disk_crash(struct memory_disk *disk, enum memory_loss loss, struct memory_chance chance)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        struct memory_file *file = &disk->files[i];
        if (loss == MEMORY_LOSS_ALL) {
            file->len = file->durable;
        } else if (loss == MEMORY_LOSS_PART) {
            disk->torn_count += lose_part(file, chance) ? 1 : 0;
        }
        file->durable = file->len; /* what survived has reached the disk */
    }
    disk->is_dead = false;
}

/* ---- copies ---- */

void memory_disk_copy(struct memory_disk *ret_disk, const struct memory_disk *disk)
{
    *ret_disk = (struct memory_disk){.resize = disk->resize};
    for (size_t i = 0; i < disk->file_count; i++) {
        const struct memory_file *from = &disk->files[i];
        struct memory_file *file = file_new(ret_disk, from->name);
        file_add(ret_disk, file, sb_span(from->data, from->len));
        file->durable = from->durable;
    }
}

void memory_disk_fini(struct memory_disk *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        drop(disk, disk->files[i].data);
    }
    drop(disk, disk->files);
    memset(disk, 0, sizeof *disk);
}
