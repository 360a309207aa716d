/* journal_impl.h: the state of an open journal, shared by journal.c (appends, guard) and journal_load.c (opening, recovery). */
#ifndef SB_STORAGE_JOURNAL_IMPL_H
#define SB_STORAGE_JOURNAL_IMPL_H

#include "storage/journal.h"
#include "storage/journal_format.h"

#define SB_JOURNAL_ROTATE_BYTES ((uint64_t)10 << 20)
#define SB_JOURNAL_FILE_BYTES_MAX                                                                  \
    (SB_JOURNAL_ROTATE_BYTES + SB_JOURNAL_PAYLOAD_BYTES_MAX + SB_JOURNAL_RECORD_HEADER_BYTES)

struct sb_journal_file {
    uint64_t sequence;
    uint64_t max_height; /* of its caller's and signed records */
};

/* A signature that was made, in memory. */
struct sb_journal_made {
    struct sb_journal_place place;
    uint8_t signature[64];
    uint8_t *sign_bytes; /* owned */
    size_t sign_len;
};

struct sb_journal {
    struct sb_journal_disk disk; /* closed with the journal */
    struct sb_journal_identity identity;
    uint64_t size; /* of the last file */
    uint64_t durable;
    bool unsynced; /* a record other than a mark was appended since the last sync */
    bool failed;
    uint64_t sync_count;
    uint64_t end_height;                       /* the highest; 0: none yet */
    uint64_t rolled_back_from, rolled_back_to; /* 0: the database is where it was */

    struct sb_journal_file *files; /* ascending, without gaps; never empty once open */
    size_t file_count;
    size_t file_capacity;

    struct sb_journal_made *made; /* ascending by place: all of the kept heights, and the last */
    size_t made_count;
    size_t made_capacity;

    bool has_floor; /* a history was imported: nothing is signed up to its height */
    struct sb_journal_history floor;
};

void sb_journal_file_name(char ret[SB_JOURNAL_NAME_BYTES], uint64_t sequence, const char *suffix);
struct sb_journal_file *sb_journal_last_file(const struct sb_journal *journal);
sb_err sb_journal_file_add(struct sb_journal *journal, uint64_t sequence) SB_MUST_USE;
/* sb_journal_file_start: make file `sequence`, whole and durable, and append to it from now on. A failure leaves the journal failed. */
sb_err sb_journal_file_start(struct sb_journal *journal, uint64_t sequence,
                             struct sb_diag *diag) SB_MUST_USE;

/* sb_journal_note_rollback: the database went back; one that went back before, from a later block, may not be there again.
 * sb_journal_note_end: this height is in the database. */
void sb_journal_note_rollback(struct sb_journal *journal,
                              const struct sb_journal_rollback *rollback);
void sb_journal_note_end(struct sb_journal *journal, uint64_t height);

const struct sb_journal_made *sb_journal_made_find(const struct sb_journal *journal,
                                                   const struct sb_journal_place *place);
bool sb_journal_made_is(const struct sb_journal_made *made, sb_bytes sign_bytes);
sb_err sb_journal_made_add(struct sb_journal *journal, const struct sb_journal_place *place,
                           const uint8_t signature[64], sb_bytes sign_bytes) SB_MUST_USE;
/* sb_journal_made_drop: forget those of heights that nobody asks for any more; the last one stays. */
void sb_journal_made_drop(struct sb_journal *journal);

#endif
