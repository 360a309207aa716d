/* signed_places.h: everything that a validator's journal says was signed, kept over many lives of the node.
 *
 *     journal/00000001.wal, 00000002.wal ...  --after each kill-->  (height, round, step) -> digest of the sign bytes, signature
 *
 * The rule under test: no place is ever signed with two different contents, in whatever file and in whatever life. Since the journal
 * refuses to go backwards, a place below the last one must be known already. Files are read as storage/journal.c describes them. */
#ifndef SB_TESTS_CRASH_SIGNED_PLACES_H
#define SB_TESTS_CRASH_SIGNED_PLACES_H

#include "storage/journal.h"

struct signed_place {
    struct sb_journal_place place;
    sb_hash digest; /* keccak256 of the sign bytes */
    uint8_t signature[64];
};

struct signed_places {
    struct signed_place *items; /* owned, ascending by place */
    size_t count, capacity;
    size_t twice_count; /* places that have two contents */
};

/* signed_places_read: add what the files of a journal folder say. SB_E_CORRUPT names the place that has two contents, or a damaged
 * file. The journal must not be in use. */
sb_err signed_places_read(struct signed_places *places, const char *dir,
                          struct sb_diag *diag) SB_MUST_USE;
/* signed_places_find: NULL when nothing was signed there. */
const struct signed_place *signed_places_find(const struct signed_places *places,
                                              const struct sb_journal_place *place);
void signed_places_fini(struct signed_places *places);

#endif
