/* files.c: see files.h. */
#include "node/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES       ((size_t)64 * 1024)
#define OPEN_DIRS_MAX    16
#define FILES_OPEN_LEAST 1024

sb_err sb_path_join(char ret[SB_PATH_BYTES], const char *dir, const char *name,
                    struct sb_diag *diag)
{
    int len = snprintf(ret, SB_PATH_BYTES, "%s/%s", dir, name);
    if (len < 0 || len >= SB_PATH_BYTES) {
        return sb_fail(diag, SB_E_LIMIT, "the path %.64s... is too long", dir);
    }
    return SB_OK;
}

static sb_err fail_errno(struct sb_diag *diag, const char *what, const char *path)
{
    sb_err err = errno == ENOENT ? SB_E_NOT_FOUND : errno == EEXIST ? SB_E_EXISTS : SB_E_IO;
    return sb_fail(diag, err, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* ---- files ---- */

static sb_err read_all(struct sb_buf *out, int fd, const char *path, struct sb_diag *diag)
{
    static _Thread_local uint8_t chunk[READ_BYTES];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(diag, "read", path);
        }
        if (got == 0) {
            return SB_OK;
        }
        sb_buf_add(out, chunk, (size_t)got);
        if (sb_buf_err(out) != SB_OK) {
            return sb_fail(diag, SB_E_LIMIT, "%s: larger than %zu bytes", path, out->limit_bytes);
        }
    }
}

sb_err sb_file_read(struct sb_buf *out, const char *path, struct sb_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(diag, "open", path);
    }
    sb_err err = read_all(out, fd, path, diag);
    (void)close(fd);
    return err;
}

static bool write_all(int fd, sb_bytes content)
{
    size_t at = 0;
    while (at < content.len) {
        ssize_t put = write(fd, content.data + at, content.len - at);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        at += put > 0 ? (size_t)put : 0;
    }
    return fsync(fd) == 0;
}

static bool sync_parent(const char *path)
{
    char parent[SB_PATH_BYTES];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        (void)snprintf(parent, sizeof parent, ".");
    } else {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool ok = fsync(fd) == 0;
    (void)close(fd);
    return ok;
}

sb_err sb_file_replace(const char *path, sb_bytes content, mode_t mode, struct sb_diag *diag)
{
    char temporary[SB_PATH_BYTES];
    int len = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof temporary) {
        return sb_fail(diag, SB_E_LIMIT, "the path %.64s... is too long", path);
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        return fail_errno(diag, "write", temporary);
    }
    bool ok = write_all(fd, content);
    ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0 && sync_parent(path);
    if (!ok) {
        sb_err err = fail_errno(diag, "write", path);
        (void)unlink(temporary);
        return err;
    }
    return SB_OK;
}

bool sb_file_exists(const char *path)
{
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* ---- directories ---- */

sb_err sb_dir_make(const char *path, mode_t mode, struct sb_diag *diag)
{
    char part[SB_PATH_BYTES];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part) {
        return sb_fail(diag, SB_E_LIMIT, "the path of the directory is empty or too long");
    }
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/') {
            continue;
        }
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            return fail_errno(diag, "make the directory", part);
        }
        part[i] = '/';
    }
    struct stat st;
    if (mkdir(path, mode) != 0 &&
        (errno != EEXIST || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
        return fail_errno(diag, "make the directory", path);
    }
    return SB_OK;
}

sb_err sb_dir_check_only(const char *path, const char *name, struct sb_diag *diag)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? SB_OK : fail_errno(diag, "open", path);
    }
    bool empty = true;
    for (const struct dirent *entry = readdir(dir); entry != NULL && empty; entry = readdir(dir)) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                (name != NULL && strcmp(entry->d_name, name) == 0);
    }
    (void)closedir(dir);
    return empty
               ? SB_OK
               : sb_fail(diag, SB_E_EXISTS,
                         "%s has something in it already; give an empty or a new directory", path);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *place)
{
    (void)st;
    (void)flag;
    (void)place;
    return remove(path);
}

sb_err sb_dir_remove(const char *path, struct sb_diag *diag)
{
    if (nftw(path, remove_entry, OPEN_DIRS_MAX, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return fail_errno(diag, "remove", path);
    }
    return SB_OK;
}

/* ---- limits ---- */

uint64_t sb_files_open_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return FILES_OPEN_LEAST;
    }
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}
