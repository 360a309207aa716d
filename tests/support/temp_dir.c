/* temp_dir.c: see temp_dir.h. */
#include "tests/support/temp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The file that damage_one is looking for, counted down; 0: it was found. */
static size_t damage_countdown, damage_total;
static char damage_path[2 * TEMP_DIR_PATH_BYTES];
static off_t damage_size;

static int damage_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)place;
    if (kind == FTW_F && info->st_size != 0) {
        damage_total++;
        if (damage_countdown != 0 && --damage_countdown == 0) {
            damage_size = info->st_size;
            (void)snprintf(damage_path, sizeof damage_path, "%s", path);
        }
    }
    return 0;
}

void temp_dir_damage(const char *path, struct sb_random *random)
{
    damage_total = 0;
    damage_countdown = 0;
    (void)nftw(path, damage_one, OPEN_FOLDERS, FTW_PHYS);
    SB_ASSERT(damage_total != 0);
    damage_countdown = 1 + sb_random_below(random, damage_total);
    (void)nftw(path, damage_one, OPEN_FOLDERS, FTW_PHYS);
    FILE *file = fopen(damage_path, "r+b");
    SB_ASSERT(file != NULL);
    long at = (long)sb_random_below(random, (uint64_t)damage_size);
    switch (sb_random_below(random, 3)) {
    case 0: {
        (void)fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        (void)fseek(file, at, SEEK_SET);
        (void)fputc(byte ^ (1 << sb_random_below(random, 8)), file);
        break;
    }
    case 1:
        (void)fseek(file, at, SEEK_SET);
        for (int i = 0; i < 64 && at + i < damage_size; i++) {
            (void)fputc(0, file);
        }
        break;
    default:
        SB_ASSERT(ftruncate(fileno(file), at) == 0);
        break;
    }
    SB_ASSERT(fclose(file) == 0);
}
