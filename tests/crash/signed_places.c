/* signed_places.c: see signed_places.h. */
#include "tests/crash/signed_places.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/buf.h"
#include "storage/journal_format.h"

#define FILE_BYTES_MAX ((size_t)128 << 20)
#define READ_BYTES     8192
#define PATH_BYTES     1024

static sb_err read_file(struct sb_buf *out, const char *path, struct sb_diag *diag)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return sb_fail(diag, SB_E_IO, "%s cannot be read", path);
    }
    uint8_t bytes[READ_BYTES];
    size_t len;
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0) {
        sb_buf_add(out, bytes, len);
    }
    (void)fclose(file);
    return sb_buf_err(out);
}

const struct signed_place *signed_places_find(const struct signed_places *places,
                                              const struct sb_journal_place *place)
{
    size_t low = 0, high = places->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = sb_journal_place_compare(&places->items[middle].place, place);
        if (order == 0) {
            return &places->items[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static void append(struct signed_places *places, const struct signed_place *item)
{
    if (places->count == places->capacity) {
        places->capacity = places->capacity == 0 ? 1024 : 2 * places->capacity;
        places->items = realloc(places->items, places->capacity * sizeof *places->items);
        SB_ASSERT(places->items != NULL);
    }
    places->items[places->count++] = *item;
}

struct visit {
    struct signed_places *places;
    struct sb_diag *diag;
};

static sb_err visit_record(void *ctx, const struct sb_journal_record *record)
{
    struct visit *visit = ctx;
    struct signed_places *places = visit->places;
    if (record->type != SB_JOURNAL_SIGNED) {
        return SB_OK;
    }
    struct sb_journal_signature parsed;
    SB_TRY(sb_journal_signed_parse(&parsed, record));
    struct signed_place item = {.place = parsed.place, .digest = sb_keccak256(parsed.sign_bytes)};
    memcpy(item.signature, parsed.signature, sizeof item.signature);
    const struct signed_place *known = signed_places_find(places, &item.place);
    if (known == NULL &&
        (places->count == 0 ||
         sb_journal_place_compare(&places->items[places->count - 1].place, &item.place) < 0)) {
        append(places, &item);
        return SB_OK;
    }
    if (known != NULL && sb_hash_equal(&known->digest, &item.digest) &&
        memcmp(known->signature, item.signature, sizeof item.signature) == 0) {
        return SB_OK;
    }
    places->twice_count += known != NULL ? 1 : 0;
    return sb_fail(
        visit->diag, SB_E_CORRUPT, "height %" PRIu64 ", round %" PRIu32 ", step %d was %s",
        item.place.height, item.place.round, (int)item.place.step,
        known != NULL ? "signed twice with different contents" : "signed after a later place");
}

static int is_journal_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && strcmp(entry->d_name + len - 4, ".wal") == 0;
}

sb_err signed_places_read(struct signed_places *places, const char *dir, struct sb_diag *diag)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_journal_file, alphasort);
    sb_err err = count > 0 ? SB_OK : sb_fail(diag, SB_E_NOT_FOUND, "%s has no journal", dir);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        struct sb_buf file;
        struct visit visit = {.places = places, .diag = diag};
        size_t end;
        sb_buf_init(&file, FILE_BYTES_MAX);
        err = err == SB_OK ? read_file(&file, path, diag) : err;
        if (err == SB_OK) {
            diag->text[0] = '\0';
            err = sb_journal_scan(&end, sb_buf_bytes(&file), strtoull(entries[i]->d_name, NULL, 10),
                                  visit_record, &visit);
            if (err != SB_OK && diag->text[0] == '\0') {
                err = sb_fail(diag, err, "%s: %s", path, sb_err_text(err));
            }
        }
        sb_buf_fini(&file);
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return err;
}

void signed_places_fini(struct signed_places *places)
{
    free(places->items);
    *places = (struct signed_places){0};
}
