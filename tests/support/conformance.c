/* conformance.c: walking unpacked public suites; see conformance.h. */
#include "tests/support/conformance.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/codec/hex.h"

bool conformance_folder(char ret[CONFORMANCE_PATH_BYTES], const char *name)
{
    const char *root = getenv("SAMEBIT_CONFORMANCE_UNPACKED");
    struct stat info;
    (void)snprintf(ret, CONFORMANCE_PATH_BYTES, "%s/%s", root != NULL ? root : "", name);
    if (root == NULL || stat(ret, &info) != 0) {
        (void)fprintf(stderr, "# skipped: %s is absent (scripts/unpack-conformance)\n", name);
        return false;
    }
    return true;
}

static int compare_entries(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

void conformance_each_file(const char *path, const char *suffix,
                           void (*fn)(void *ctx, const char *file), void *ctx)
{
    char *copy = strdup(path);
    char *paths[] = {copy, NULL};
    FTS *tree = copy != NULL ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, compare_entries) : NULL;
    if (tree != NULL) {
        for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
            if (entry->fts_info == FTS_F && ends_with(entry->fts_name, suffix)) {
                fn(ctx, entry->fts_path);
            }
        }
        (void)fts_close(tree);
    }
    free(copy);
}

json_t *conformance_load(const char *file)
{
    json_error_t error;
    json_t *root = json_load_file(file, 0, &error);
    if (root == NULL) {
        (void)fprintf(stderr, "FAIL %s %s\n", file, error.text);
    }
    return root;
}

sb_bytes conformance_bytes(struct sb_arena *arena, const char *text)
{
    if (text == NULL) {
        return sb_span(NULL, 0);
    }
    text += strncmp(text, "0x", 2) == 0 ? 2 : 0;
    size_t len = strlen(text) / 2;
    uint8_t *bytes = sb_arena_alloc(arena, len);
    if (bytes == NULL || sb_hex_decode(bytes, len, text, strlen(text)) != SB_OK) {
        return sb_span(NULL, 0);
    }
    return sb_span(bytes, len);
}

bool conformance_bytes_are(const char *text, const uint8_t *bytes, size_t len)
{
    if (text == NULL || strncmp(text, "0x", 2) != 0 || strlen(text) != 2 + 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t byte;
        if (sb_hex_decode(&byte, 1, text + 2 + 2 * i, 2) != SB_OK || byte != bytes[i]) {
            return false;
        }
    }
    return true;
}
