/* journal_folder.c: the journal's file operations over a folder of a file system; see journal_disk.h.
 *
 *     create     NAME.tmp: write, fsync -> rename to NAME -> fsync of the folder       a file with a torn head does not occur
 *     append     writev on a descriptor that stays open, O_APPEND
 *     sync       fdatasync
 *
 * The folder is locked (flock) while it is open. What a crash left of a create, NAME.tmp, is removed when the folder is opened. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storage/journal_disk.h"

#define PATH_BYTES 4096

struct folder {
    char dir[PATH_BYTES];
    int dir_fd;  /* locked */
    int file_fd; /* of `file`, for appending; -1: none open */
    char file[SB_JOURNAL_NAME_BYTES];
};

static sb_err io_fail(struct sb_diag *diag, const struct folder *folder, const char *name)
{
    return sb_fail(diag, SB_E_IO, "%s/%s: %s", folder->dir, name, strerror(errno));
}

static sb_err write_all(int fd, sb_bytes head, sb_bytes body)
{
    while (head.len + body.len != 0) {
        struct iovec parts[2];
        union {
            const uint8_t *in;
            uint8_t *out; /* iovec is shared with reading and knows no const */
        } head_at = {.in = head.data}, body_at = {.in = body.data};
        parts[0] = (struct iovec){.iov_base = head_at.out, .iov_len = head.len};
        parts[1] = (struct iovec){.iov_base = body_at.out, .iov_len = body.len};
        ssize_t wrote = writev(fd, parts, 2);
        if (wrote < 0) {
            if (errno == EINTR) {
                continue;
            }
            return SB_E_IO;
        }
        size_t of_head = (size_t)wrote < head.len ? (size_t)wrote : head.len;
        head = sb_span_slice(head, of_head, SIZE_MAX);
        body = sb_span_slice(body, (size_t)wrote - of_head, SIZE_MAX);
    }
    return SB_OK;
}

/* ---- the file that takes the appends ---- */

static void file_close(struct folder *folder)
{
    if (folder->file_fd >= 0) {
        (void)close(folder->file_fd);
    }
    folder->file_fd = -1;
}

static sb_err file_open(struct folder *folder, const char *name, struct sb_diag *diag)
{
    if (folder->file_fd >= 0 && strcmp(folder->file, name) == 0) {
        return SB_OK;
    }
    file_close(folder);
    size_t len = strlen(name);
    if (len >= sizeof folder->file) {
        return sb_fail(diag, SB_E_ARG, "%s/%s: the name is too long", folder->dir, name);
    }
    folder->file_fd = openat(folder->dir_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (folder->file_fd < 0) {
        return io_fail(diag, folder, name);
    }
    memcpy(folder->file, name, len + 1);
    return SB_OK;
}

static sb_err folder_append(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                            struct sb_diag *diag)
{
    struct folder *folder = ctx;
    SB_TRY(file_open(folder, name, diag));
    return write_all(folder->file_fd, head, tail) == SB_OK ? SB_OK : io_fail(diag, folder, name);
}

static sb_err folder_sync(void *ctx, const char *name, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    SB_TRY(file_open(folder, name, diag));
    return fdatasync(folder->file_fd) == 0 ? SB_OK : io_fail(diag, folder, name);
}

static sb_err folder_truncate(void *ctx, const char *name, uint64_t size, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    SB_TRY(file_open(folder, name, diag));
    struct stat info;
    if (fstat(folder->file_fd, &info) != 0) {
        return io_fail(diag, folder, name);
    }
    if ((uint64_t)info.st_size < size) {
        return sb_fail(diag, SB_E_ARG, "%s/%s is shorter than that", folder->dir, name);
    }
    if (((uint64_t)info.st_size > size && ftruncate(folder->file_fd, (off_t)size) != 0) ||
        fsync(folder->file_fd) != 0 || fsync(folder->dir_fd) != 0) {
        return io_fail(diag, folder, name);
    }
    return SB_OK;
}

/* ---- whole files ---- */

static sb_err folder_read(void *ctx, const char *name, struct sb_buf *out, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    int fd = openat(folder->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return io_fail(diag, folder, name);
    }
    struct stat info;
    sb_err err = fstat(fd, &info) != 0 ? io_fail(diag, folder, name) : SB_OK;
    size_t size = err == SB_OK ? (size_t)info.st_size : 0;
    size_t begin = out->len, got = 0;
    uint8_t *data = size != 0 ? sb_buf_grow(out, size) : NULL;
    if (err == SB_OK && size != 0 && data == NULL) {
        err = sb_fail(diag, SB_E_LIMIT, "%s/%s is longer than a journal can be", folder->dir, name);
    }
    while (err == SB_OK && got < size) {
        ssize_t more = read(fd, data + got, size - got);
        if (more > 0) {
            got += (size_t)more;
        } else if (more == 0) {
            break;
        } else if (errno != EINTR) {
            err = io_fail(diag, folder, name);
        }
    }
    (void)close(fd);
    if (data != NULL) {
        out->len = begin + got;
    }
    return err;
}

static sb_err content_write(struct folder *folder, const char *temporary, sb_bytes content)
{
    int fd =
        openat(folder->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return SB_E_IO;
    }
    sb_err err = write_all(fd, content, sb_span(NULL, 0));
    err = err == SB_OK && fsync(fd) != 0 ? SB_E_IO : err;
    (void)close(fd);
    return err;
}

static sb_err folder_create(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    if (faccessat(folder->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return sb_fail(diag, SB_E_EXISTS, "%s/%s exists already", folder->dir, name);
    }
    char temporary[SB_JOURNAL_NAME_BYTES + 8];
    int len = snprintf(temporary, sizeof temporary, "%s.tmp", name);
    if (len < 0 || (size_t)len >= sizeof temporary) {
        return sb_fail(diag, SB_E_ARG, "%s/%s: the name is too long", folder->dir, name);
    }
    if (content_write(folder, temporary, content) != SB_OK ||
        renameat(folder->dir_fd, temporary, folder->dir_fd, name) != 0 ||
        fsync(folder->dir_fd) != 0) {
        return io_fail(diag, folder, name);
    }
    return SB_OK;
}

static sb_err folder_remove(void *ctx, const char *name, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    if (strcmp(folder->file, name) == 0) {
        file_close(folder);
    }
    if (unlinkat(folder->dir_fd, name, 0) != 0 || fsync(folder->dir_fd) != 0) {
        return io_fail(diag, folder, name);
    }
    return SB_OK;
}

static sb_err folder_list(void *ctx, sb_err (*visit)(void *visit_ctx, const char *name),
                          void *visit_ctx, struct sb_diag *diag)
{
    struct folder *folder = ctx;
    DIR *dir = opendir(folder->dir);
    if (dir == NULL) {
        return io_fail(diag, folder, "");
    }
    sb_err err = SB_OK;
    const struct dirent *entry;
    while (err == SB_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            err = visit(visit_ctx, entry->d_name);
        }
    }
    (void)closedir(dir);
    return err;
}

/* ---- life ---- */

static void folder_close(void *ctx)
{
    struct folder *folder = ctx;
    file_close(folder);
    if (folder->dir_fd >= 0) {
        (void)close(folder->dir_fd);
    }
    free(folder);
}

/* remove_unfinished: NNNNNNNN*.tmp, which a crash in the middle of a create leaves. */
static sb_err remove_unfinished(void *ctx, const char *name)
{
    const struct folder *folder = ctx;
    size_t len = strlen(name);
    if (strspn(name, "0123456789") == 8 && len >= 12 && strcmp(name + len - 4, ".tmp") == 0) {
        (void)unlinkat(folder->dir_fd, name, 0);
    }
    return SB_OK;
}

static sb_err folder_open(struct folder *folder, bool create, struct sb_diag *diag)
{
    if (create && mkdir(folder->dir, 0700) != 0 && errno != EEXIST) {
        return io_fail(diag, folder, "");
    }
    folder->dir_fd = open(folder->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->dir_fd < 0 && errno == ENOENT) {
        return sb_fail(
            diag, SB_E_NOT_FOUND,
            "%s does not exist: a validator key is never used without its journal, restore it",
            folder->dir);
    }
    if (folder->dir_fd < 0) {
        return io_fail(diag, folder, "");
    }
    if (flock(folder->dir_fd, LOCK_EX | LOCK_NB) != 0) {
        return sb_fail(diag, SB_E_BUSY,
                       "%s is in use by another process: two must never sign with one key",
                       folder->dir);
    }
    return folder_list(folder, remove_unfinished, folder, diag);
}

sb_err sb_journal_disk_folder(struct sb_journal_disk *ret_disk, const char *dir, bool create,
                              struct sb_diag *diag)
{
    size_t dir_len = strlen(dir);
    if (dir_len == 0 || dir_len >= PATH_BYTES - SB_JOURNAL_NAME_BYTES) {
        return sb_fail(diag, SB_E_ARG, "the journal's path is too long or empty");
    }
    struct folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "%s: out of memory", dir);
    }
    memcpy(folder->dir, dir, dir_len + 1);
    folder->dir_fd = -1;
    folder->file_fd = -1;
    sb_err err = folder_open(folder, create, diag);
    if (err != SB_OK) {
        folder_close(folder);
        return err;
    }
    *ret_disk = (struct sb_journal_disk){.ctx = folder,
                                         .place = folder->dir,
                                         .list = folder_list,
                                         .read = folder_read,
                                         .create = folder_create,
                                         .append = folder_append,
                                         .sync = folder_sync,
                                         .truncate = folder_truncate,
                                         .remove = folder_remove,
                                         .close = folder_close};
    return SB_OK;
}
