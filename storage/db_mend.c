/* db_mend.c: see db_mend.h.
 *
 *     RocksDB's open:   write MANIFEST-7, fsync it;   rename a new CURRENT, "MANIFEST-7", over the old one;   fsync the folder;   unlink MANIFEST-3
 *     power cut before the folder's fsync: the rename may survive and the name MANIFEST-7 may not
 *
 * In that state MANIFEST-3 is there, since it is unlinked only after the folder was synced, and so are the log and table files that it
 * needs, since they go after it. Nothing was acknowledged on the ground of MANIFEST-7, since open had not returned. So CURRENT names
 * the older manifest again, and the next open does its work anew. A database that lost its manifest in another way has no older one:
 * it stays damaged. */
#include "storage/db_mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CURRENT_BYTES_MAX 64
#define PREFIX            "MANIFEST-"
/* A name that RocksDB takes for a temporary file of its own and removes. */
#define TEMPORARY "000000.dbtmp"

/* manifest_number: of "MANIFEST-NNNNNN"; false for any other name. */
static bool manifest_number(uint64_t *ret_number, const char *name)
{
    uint64_t number = 0;
    size_t prefix = strlen(PREFIX), digits = strlen(name) > prefix ? strlen(name) - prefix : 0;
    if (strncmp(name, PREFIX, prefix) != 0 || digits == 0 || digits > 18) {
        return false;
    }
    for (const char *at = name + prefix; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(*at - '0');
    }
    *ret_number = number;
    return true;
}

/* current_read: the number in CURRENT; false when it cannot be read or is not of the known form. */
static bool current_read(uint64_t *ret_number, int dir_fd)
{
    char text[CURRENT_BYTES_MAX];
    int fd = openat(dir_fd, "CURRENT", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len < 1 || len == (ssize_t)sizeof text || text[len - 1] != '\n') {
        return false;
    }
    text[len - 1] = '\0';
    return manifest_number(ret_number, text);
}

/* older_manifest: the highest number below `number`; false when there is none, or when `number` itself is there. */
static bool older_manifest(uint64_t *ret_number, DIR *dir, uint64_t number)
{
    bool found = false;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        uint64_t other;
        if (!manifest_number(&other, entry->d_name)) {
            continue;
        }
        if (other == number) {
            return false;
        }
        if (other < number && (!found || other > *ret_number)) {
            *ret_number = other;
            found = true;
        }
    }
    return found;
}

static bool current_write(int dir_fd, uint64_t number)
{
    char text[CURRENT_BYTES_MAX];
    int len = snprintf(text, sizeof text, PREFIX "%06" PRIu64 "\n", number);
    int fd = openat(dir_fd, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return false;
    }
    bool written = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
    return close(fd) == 0 && written && renameat(dir_fd, TEMPORARY, dir_fd, "CURRENT") == 0 &&
           fsync(dir_fd) == 0;
}

sb_err sb_db_mend(const char *dir, bool read_only, struct sb_diag *diag)
{
    uint64_t named = 0, older = 0;
    sb_err err = SB_OK;
    DIR *entries = opendir(dir);
    if (entries == NULL) {
        return SB_OK;
    }
    if (current_read(&named, dirfd(entries)) && older_manifest(&older, entries, named)) {
        if (read_only) {
            err = sb_fail(diag, SB_E_CORRUPT,
                          "%s: the power failed while it was being opened: start the node on it "
                          "once, which mends it",
                          dir);
        } else if (!current_write(dirfd(entries), older)) {
            err = sb_fail(diag, SB_E_IO, "%s/CURRENT: %s", dir, strerror(errno));
        }
    }
    (void)closedir(entries);
    return err;
}
