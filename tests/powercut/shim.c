/* shim.c: a power cut, simulated: preloaded under a program, it knows at each moment what of its files is surely on disk.
 *
 *     LD_PRELOAD=libpowercut.so POWERCUT_DIR=data POWERCUT_IMAGE=image POWERCUT_AFTER=300 POWERCUT_SEED=7 program
 *
 *     program --write, fsync, rename ...--> shim --> the real file system
 *                                             |
 *                     per file: bytes synced, and writes since          per folder: names synced, and changes since
 *                                             |
 *                     at the 300th such call (or after SIGUSR1): POWERCUT_IMAGE is written as the disk might look after the
 *                     power failed at this instant, and the process ends with status 77
 *
 * The model, harsh on purpose: a write counts only after fsync, fdatasync or O_SYNC of that file; of what came after, each file keeps
 * nothing, all, or a random part, each write possibly torn at any byte and in any order (a later one may survive an earlier one). A
 * name (create, rename, unlink) counts only after fsync of its folder; of later changes a random prefix or a random part survives.
 * A rename is atomic. New folders are durable at once. fsync of a file that is new does not make its name durable unless
 * POWERCUT_NAMES=1, which is what the common journaling file systems do.
 *
 * Covered: open*, creat, write*, pwrite*, (f)truncate, fallocate, f(data)sync, sync_file_range (promises nothing), rename*, unlink*,
 * close. Not covered: mmap, stdio (a file written by fopen comes out missing), hard links, symbolic links, dup. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CRASH_STATUS 77
#define FDS_MAX      65536
#define FOLDERS_MAX  1024

/* ---- state ---- */

/* One change of a file's bytes that is not synced. data NULL: the size was set to offset. */
struct change {
    uint64_t offset;
    size_t len;
    uint8_t *data;
};

struct file {
    uint8_t *bytes; /* synced */
    size_t len;
    struct change *changes;
    size_t change_count, change_capacity;
};

struct name {
    char *path; /* below POWERCUT_DIR */
    struct file *file;
};

struct names {
    struct name *items;
    size_t count, capacity;
};

/* One change of names that is not synced. file NULL: `path` goes away. from: it goes away in the same instant. */
struct name_change {
    char *path;
    char *from;
    struct file *file;
};

static struct {
    bool active;
    char dir[PATH_MAX];
    size_t dir_len;
    const char *image;
    uint64_t after, count, random;
    bool names_with_files;
    volatile sig_atomic_t asked;
    struct names now, synced;
    struct name_change *changes;
    size_t change_count, change_capacity;
    struct file *files[FDS_MAX]; /* by descriptor */
    char *folders[FDS_MAX];      /* by descriptor: path below the folder, "" for itself */
} cut;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_truncate)(const char *, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_close)(int);

static void die(const char *what)
{
    (void)dprintf(2, "powercut: %s: %s\n", what, strerror(errno));
    _exit(78);
}

static void *grow(void *items, size_t *capacity, size_t count, size_t elem_bytes)
{
    if (count == *capacity) {
        *capacity = *capacity == 0 ? 16 : 2 * *capacity;
        items = realloc(items, *capacity * elem_bytes);
        if (items == NULL) {
            die("memory");
        }
    }
    return items;
}

static uint64_t random_below(uint64_t bound)
{
    cut.random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = cut.random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

/* ---- names ---- */

static struct name *name_find(struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].path, path) == 0) {
            return &names->items[i];
        }
    }
    return NULL;
}

static void name_set(struct names *names, const char *path, struct file *file)
{
    struct name *name = name_find(names, path);
    if (file == NULL) {
        if (name != NULL) {
            free(name->path);
            *name = names->items[--names->count];
        }
    } else if (name != NULL) {
        name->file = file;
    } else {
        names->items = grow(names->items, &names->capacity, names->count, sizeof *names->items);
        names->items[names->count++] = (struct name){.path = strdup(path), .file = file};
    }
}

static void name_apply(struct names *names, const struct name_change *change)
{
    if (change->from != NULL) {
        name_set(names, change->from, NULL);
    }
    name_set(names, change->path, change->file);
}

static void name_change(const char *path, const char *from, struct file *file)
{
    cut.changes = grow(cut.changes, &cut.change_capacity, cut.change_count, sizeof *cut.changes);
    struct name_change *change = &cut.changes[cut.change_count++];
    *change = (struct name_change){
        .path = strdup(path), .from = from != NULL ? strdup(from) : NULL, .file = file};
    name_apply(&cut.now, change);
}

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    const char *rest = path;
    if (len != 0) {
        if (strncmp(path, folder, len) != 0 || path[len] != '/') {
            return false;
        }
        rest = path + len + 1;
    }
    return strchr(rest, '/') == NULL;
}

/* names_sync: changes in a folder (file NULL), or the creation of one file, become durable. */
static void names_sync(const char *folder, const struct file *file)
{
    size_t kept = 0;
    for (size_t i = 0; i < cut.change_count; i++) {
        struct name_change *change = &cut.changes[i];
        bool sync = file != NULL ? change->file == file : is_in_folder(change->path, folder);
        if (sync) {
            name_apply(&cut.synced, change);
        } else {
            cut.changes[kept++] = *change;
        }
    }
    cut.change_count = kept;
}

/* ---- files ---- */

static void file_resize(struct file *file, size_t len)
{
    if (len > file->len) {
        file->bytes = realloc(file->bytes, len);
        if (file->bytes == NULL) {
            die("memory");
        }
        memset(file->bytes + file->len, 0, len - file->len);
    }
    file->len = len;
}

static void file_apply(struct file *file, const struct change *change, size_t from, size_t to)
{
    if (change->data == NULL) {
        file_resize(file, (size_t)change->offset);
    } else if (to > from) {
        size_t end = (size_t)change->offset + to;
        if (end > file->len) {
            file_resize(file, end);
        }
        memcpy(file->bytes + change->offset + from, change->data + from, to - from);
    }
}

static void file_change(struct file *file, uint64_t offset, const void *data, size_t len)
{
    file->changes =
        grow(file->changes, &file->change_capacity, file->change_count, sizeof *file->changes);
    uint8_t *copy = NULL;
    if (data != NULL) {
        copy = malloc(len + 1);
        if (copy == NULL) {
            die("memory");
        }
        memcpy(copy, data, len);
    }
    file->changes[file->change_count++] =
        (struct change){.offset = offset, .len = len, .data = copy};
}

static void file_sync(struct file *file)
{
    for (size_t i = 0; i < file->change_count; i++) {
        file_apply(file, &file->changes[i], 0, file->changes[i].len);
        free(file->changes[i].data);
    }
    file->change_count = 0;
    if (cut.names_with_files) {
        names_sync("", file);
    }
}

/* file_lose: what a power cut makes of the changes since the last sync. */
static void file_lose(struct file *file)
{
    uint64_t mode = random_below(3); /* nothing, all, or a part */
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        if (mode == 0 || (mode == 2 && random_below(2) == 0)) {
            continue;
        }
        size_t from = 0, to = change->len;
        if (mode == 2 && change->data != NULL && change->len != 0 && random_below(3) == 0) {
            size_t tear = (size_t)random_below(change->len + 1);
            if (random_below(2) == 0) {
                from = tear;
            } else {
                to = tear;
            }
        }
        file_apply(file, change, from, to);
    }
    file->change_count = 0;
}

/* ---- the cut ---- */

static void image_write(const struct name *name)
{
    char path[2 * PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", cut.image, name->path);
    for (char *slash = strchr(path + strlen(cut.image) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    int fd = real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t done = 0;
    while (fd >= 0 && done < name->file->len) {
        ssize_t wrote = real_write(fd, name->file->bytes + done, name->file->len - done);
        if (wrote <= 0) {
            die(path);
        }
        done += (size_t)wrote;
    }
    if (fd < 0 || real_close(fd) != 0) {
        die(path);
    }
}

static void power_cut(void)
{
    uint64_t mode = random_below(2);
    size_t prefix = (size_t)random_below(cut.change_count + 1);
    for (size_t i = 0; i < cut.change_count; i++) {
        if (mode == 0 ? i < prefix : random_below(2) == 0) {
            name_apply(&cut.synced, &cut.changes[i]);
        }
    }
    (void)mkdir(cut.image, 0755);
    for (size_t i = 0; i < cut.synced.count; i++) {
        file_lose(cut.synced.items[i].file);
        image_write(&cut.synced.items[i]);
    }
    _exit(CRASH_STATUS);
}

/* tick: one call more that changes or syncs something. */
static void tick(void)
{
    cut.count++;
    if (cut.asked != 0 || (cut.after != 0 && cut.count >= cut.after)) {
        power_cut();
    }
}

/* ---- paths and descriptors ---- */

/* below: path relative to POWERCUT_DIR of a name in the folder at; false when it lies outside. */
static bool below(char ret[PATH_MAX], int at, const char *path)
{
    static char full[2 * PATH_MAX], folder[PATH_MAX]; /* the lock is held */
    if (path[0] == '/') {
        (void)snprintf(full, sizeof full, "%s", path);
    } else {
        char link[64];
        (void)snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d",
                       at);
        ssize_t len = readlink(link, folder, sizeof folder - 1);
        if (len < 0) {
            return false;
        }
        folder[len] = 0;
        (void)snprintf(full, sizeof full, "%s/%s", folder, path);
    }
    char *last = strrchr(full, '/');
    static char base[PATH_MAX];
    if (realpath(full, folder) == NULL) { /* not there: then its folder is */
        (void)snprintf(base, sizeof base, "%s", last + 1);
        *last = 0;
        if (realpath(full[0] != 0 ? full : "/", folder) == NULL) {
            return false;
        }
        size_t len = strlen(folder);
        if (len + strlen(base) + 2 > sizeof folder) {
            return false;
        }
        folder[len] = '/';
        memcpy(folder + len + 1, base, strlen(base) + 1);
    }
    if (strncmp(folder, cut.dir, cut.dir_len) != 0 ||
        (folder[cut.dir_len] != 0 && folder[cut.dir_len] != '/')) {
        return false;
    }
    (void)snprintf(ret, PATH_MAX, "%s", folder[cut.dir_len] == 0 ? "" : folder + cut.dir_len + 1);
    return true;
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? cut.files[fd] : NULL;
}

/* opened: remember what a descriptor stands for. existed: the name was there before the call. */
static void opened(int fd, const char *path, int flags)
{
    struct stat info;
    if (fd >= FDS_MAX || fstat(fd, &info) != 0) {
        return;
    }
    cut.files[fd] = NULL;
    free(cut.folders[fd]);
    cut.folders[fd] = NULL;
    if (S_ISDIR(info.st_mode)) {
        cut.folders[fd] = strdup(path);
        return;
    }
    struct name *name = name_find(&cut.now, path);
    if (name == NULL) {
        struct file *file = calloc(1, sizeof *file);
        if (file == NULL) {
            die("memory");
        }
        name_change(path, NULL, file);
        cut.files[fd] = file;
        tick();
        return;
    }
    cut.files[fd] = name->file;
    if ((flags & O_TRUNC) != 0) {
        file_change(name->file, 0, NULL, 0);
        tick();
    }
}

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    char relative[PATH_MAX];
    if (!cut.active) {
        return real_openat(at, path, flags, mode);
    }
    (void)pthread_mutex_lock(&lock);
    int fd = real_openat(at, path, flags, mode);
    int saved = errno;
    if (fd >= 0 && below(relative, at, path)) {
        opened(fd, relative, flags);
    }
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

/* wrote: record a write that the system took; it ended where the descriptor stands, or began at offset. */
static void wrote(struct file *file, int fd, const struct iovec *parts, int count, ssize_t done,
                  off_t offset)
{
    int saved = errno;
    if (done > 0) {
        uint64_t at = (uint64_t)(offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - done);
        size_t left = (size_t)done;
        for (int i = 0; i < count && left != 0; i++) {
            size_t len = parts[i].iov_len < left ? parts[i].iov_len : left;
            file_change(file, at, parts[i].iov_base, len);
            at += len;
            left -= len;
        }
        if ((fcntl(fd, F_GETFL) & (O_SYNC | O_DSYNC)) != 0) {
            file_sync(file);
        }
        tick();
    }
    errno = saved;
}

static ssize_t write_any(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (!cut.active || file_of(fd) == NULL) {
        return offset >= 0 ? real_pwritev(fd, parts, count, offset) : real_writev(fd, parts, count);
    }
    (void)pthread_mutex_lock(&lock);
    ssize_t done =
        offset >= 0 ? real_pwritev(fd, parts, count, offset) : real_writev(fd, parts, count);
    wrote(file_of(fd), fd, parts, count, done, offset);
    (void)pthread_mutex_unlock(&lock);
    return done;
}

/* folder_known: a descriptor that opendir made is a folder, too. */
static void folder_known(int fd)
{
    char relative[PATH_MAX];
    struct stat info;
    if (cut.files[fd] == NULL && cut.folders[fd] == NULL && fstat(fd, &info) == 0 &&
        S_ISDIR(info.st_mode) && below(relative, fd, ".")) {
        cut.folders[fd] = strdup(relative);
    }
}

static int sync_any(int fd, int (*real)(int))
{
    if (!cut.active || fd < 0 || fd >= FDS_MAX) {
        return real(fd);
    }
    (void)pthread_mutex_lock(&lock);
    folder_known(fd);
    bool tracked = cut.files[fd] != NULL || cut.folders[fd] != NULL;
    if (tracked) {
        tick(); /* a cut during the sync: nothing of it is promised yet */
    }
    int result = real(fd);
    if (result == 0 && cut.files[fd] != NULL) {
        file_sync(cut.files[fd]);
    } else if (result == 0 && tracked) {
        names_sync(cut.folders[fd], NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

static void resized(struct file *file, uint64_t size)
{
    if (cut.active && file != NULL) {
        file_change(file, size, NULL, 0);
        tick();
    }
}

/* ---- what the program calls ---- */

static mode_t mode_arg(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPEN_BODY(at)                                                                              \
    va_list args;                                                                                  \
    va_start(args, flags);                                                                         \
    mode_t mode = mode_arg(flags, args);                                                           \
    va_end(args);                                                                                  \
    return open_any(at, path, flags, mode);

int open(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD)
}

int open64(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD)
}

int openat(int at, const char *path, int flags, ...)
{
    OPEN_BODY(at)
}

int openat64(int at, const char *path, int flags, ...)
{
    OPEN_BODY(at)
}

/* What calls without a mode become under _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

int __openat_2(int at, const char *path, int flags)
{
    return open_any(at, path, flags, 0);
}

int __openat64_2(int at, const char *path, int flags)
{
    return open_any(at, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
    return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (!cut.active || file_of(fd) == NULL) {
        return real_write(fd, data, len);
    }
    struct iovec part = {.iov_len = len};
    memcpy(&part.iov_base, &data, sizeof data);
    return write_any(fd, &part, 1, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (!cut.active || file_of(fd) == NULL) {
        return real_pwrite(fd, data, len, offset);
    }
    struct iovec part = {.iov_len = len};
    memcpy(&part.iov_base, &data, sizeof data);
    return write_any(fd, &part, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    return pwrite(fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_any(fd, parts, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_any(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_any(fd, parts, count, offset);
}

int fsync(int fd)
{
    return sync_any(fd, real_fsync);
}

int fdatasync(int fd)
{
    return sync_any(fd, real_fdatasync);
}

int ftruncate(int fd, off_t len)
{
    (void)pthread_mutex_lock(&lock);
    int result = real_ftruncate(fd, len);
    if (result == 0) {
        resized(file_of(fd), (uint64_t)len);
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int truncate(const char *path, off_t len)
{
    char relative[PATH_MAX];
    (void)pthread_mutex_lock(&lock);
    int result = real_truncate(path, len);
    if (result == 0 && cut.active && below(relative, AT_FDCWD, path)) {
        const struct name *name = name_find(&cut.now, relative);
        resized(name != NULL ? name->file : NULL, (uint64_t)len);
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    (void)pthread_mutex_lock(&lock);
    int result = real_fallocate(fd, mode, offset, len);
    struct stat info;
    if (result == 0 && mode == 0 && file_of(fd) != NULL && fstat(fd, &info) == 0) {
        resized(file_of(fd), (uint64_t)info.st_size);
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int fallocate64(int fd, int mode, off_t offset, off_t len)
{
    return fallocate(fd, mode, offset, len);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    char from_path[PATH_MAX], to_path[PATH_MAX];
    (void)pthread_mutex_lock(&lock);
    bool known = cut.active && below(from_path, from_at, from) && below(to_path, to_at, to);
    int result = real_renameat(from_at, from, to_at, to);
    const struct name *name = result == 0 && known ? name_find(&cut.now, from_path) : NULL;
    if (name != NULL) {
        name_change(to_path, from_path, name->file);
        tick();
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int at, const char *path, int flags)
{
    char relative[PATH_MAX];
    (void)pthread_mutex_lock(&lock);
    bool known = cut.active && (flags & AT_REMOVEDIR) == 0 && below(relative, at, path);
    int result = real_unlinkat(at, path, flags);
    if (result == 0 && known && name_find(&cut.now, relative) != NULL) {
        name_change(relative, NULL, NULL);
        tick();
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int close(int fd)
{
    (void)pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS_MAX) {
        cut.files[fd] = NULL;
        free(cut.folders[fd]);
        cut.folders[fd] = NULL;
    }
    int result = real_close(fd);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

/* ---- start ---- */

static void on_signal(int number)
{
    (void)number;
    cut.asked = 1;
}

/* scan: what lies in the folder at the start is durable. Folders are taken from a list, so there is no recursion. */
static void scan(void)
{
    char *folders[FOLDERS_MAX];
    size_t count = 0;
    folders[count++] = strdup("");
    while (count != 0) {
        static char full[2 * PATH_MAX];
        char *folder = folders[--count];
        (void)snprintf(full, sizeof full, "%s/%s", cut.dir, folder);
        DIR *dir = opendir(full);
        const struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            char path[PATH_MAX];
            struct stat info;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
                continue;
            }
            (void)snprintf(path, sizeof path, "%s%s%s", folder, folder[0] != 0 ? "/" : "",
                           entry->d_name);
            (void)snprintf(full, sizeof full, "%s/%s", cut.dir, path);
            if (lstat(full, &info) != 0) {
                continue;
            }
            if (S_ISDIR(info.st_mode) && count < FOLDERS_MAX) {
                folders[count++] = strdup(path);
            } else if (S_ISREG(info.st_mode)) {
                struct file *file = calloc(1, sizeof *file);
                if (file == NULL) {
                    die("memory");
                }
                file_resize(file, (size_t)info.st_size);
                int fd = real_open(full, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || read(fd, file->bytes, file->len) != (ssize_t)file->len) {
                    die(full);
                }
                (void)real_close(fd);
                name_set(&cut.now, path, file);
                name_set(&cut.synced, path, file);
            }
        }
        if (dir != NULL) {
            (void)closedir(dir);
        }
        free(folder);
    }
}

#define REAL(name)                                                                                 \
    do {                                                                                           \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                    \
        memcpy(&real_##name, &symbol, sizeof symbol);                                              \
    } while (0)

__attribute__((constructor)) static void start(void)
{
    REAL(open);
    REAL(openat);
    REAL(write);
    REAL(pwrite);
    REAL(writev);
    REAL(pwritev);
    REAL(fsync);
    REAL(fdatasync);
    REAL(ftruncate);
    REAL(truncate);
    REAL(fallocate);
    REAL(renameat);
    REAL(unlinkat);
    REAL(close);
    const char *dir = getenv("POWERCUT_DIR"), *after = getenv("POWERCUT_AFTER"),
               *seed = getenv("POWERCUT_SEED");
    cut.image = getenv("POWERCUT_IMAGE");
    if (dir == NULL || cut.image == NULL || realpath(dir, cut.dir) == NULL) {
        return;
    }
    cut.dir_len = strlen(cut.dir);
    cut.after = after != NULL ? strtoull(after, NULL, 10) : 0;
    cut.random = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    cut.names_with_files = getenv("POWERCUT_NAMES") != NULL;
    scan();
    (void)signal(SIGUSR1, on_signal);
    cut.active = true;
}
