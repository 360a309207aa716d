/* temp_dir.c: see temp_dir.h. */
#include "tests/support/temp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util/assert.h"

#define OPEN_FOLDERS 16

void temp_dir_make(char ret[TEMP_DIR_PATH_BYTES])
{
    const char *base = getenv("TMPDIR");
    int len =
        snprintf(ret, TEMP_DIR_PATH_BYTES, "%s/samebit-test-XXXXXX", base != NULL ? base : "/tmp");
    SB_ASSERT(len > 0 && len < TEMP_DIR_PATH_BYTES);
    SB_ASSERT(mkdtemp(ret) != NULL);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void temp_dir_remove(const char *path)
{
    (void)nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

/* nftw takes no context. */
static const char *copy_from, *copy_to;

static void file_copy(const char *to, const char *from)
{
    char bytes[8192];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    SB_ASSERT(in != NULL && out != NULL);
    size_t len;
    while ((len = fread(bytes, 1, sizeof bytes, in)) > 0) {
        SB_ASSERT(fwrite(bytes, 1, len, out) == len);
    }
    SB_ASSERT(fclose(out) == 0);
    (void)fclose(in);
}

static int copy_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)place;
    char to[2 * TEMP_DIR_PATH_BYTES];
    int len = snprintf(to, sizeof to, "%s%s", copy_to, path + strlen(copy_from));
    SB_ASSERT(len > 0 && (size_t)len < sizeof to);
    if (kind == FTW_D) {
        (void)mkdir(to, 0755);
    } else if (kind == FTW_F) {
        file_copy(to, path);
    }
    return 0;
}

void temp_dir_copy(const char *to, const char *from)
{
    copy_from = from;
    copy_to = to;
    (void)nftw(from, copy_one, OPEN_FOLDERS, FTW_PHYS);
}
