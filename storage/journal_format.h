/* journal_format.h: the bytes of a journal file, apart from the files themselves. The format stands at the head of journal.c. */
#ifndef SB_STORAGE_JOURNAL_FORMAT_H
#define SB_STORAGE_JOURNAL_FORMAT_H

#include "storage/journal.h"

#define SB_JOURNAL_HEADER_BYTES        92
#define SB_JOURNAL_RECORD_HEADER_BYTES 33
#define SB_JOURNAL_PAYLOAD_BYTES_MAX   ((size_t)64 << 20)

/* Record types below SB_JOURNAL_CALLER belong to the journal. */
enum {
    SB_JOURNAL_SIGNED = 1,
    SB_JOURNAL_END_HEIGHT = 2,
    SB_JOURNAL_MARK = 3,
    SB_JOURNAL_FLOOR = 4,    /* since version 2 */
    SB_JOURNAL_ROLLBACK = 5, /* the same */
    SB_JOURNAL_CALLER = 16,
};

struct sb_journal_record {
    uint8_t type;
    uint64_t height;
    uint64_t
        durable; /* bytes of the file that were known to be durable when the record was appended */
    sb_bytes payload;
};

void sb_journal_header_encode(uint8_t ret[SB_JOURNAL_HEADER_BYTES], uint64_t sequence,
                              const struct sb_journal_identity *identity);
/* sb_journal_header_check: SB_E_VERSION, SB_E_ARG (another key or genesis), SB_E_CORRUPT; diag says which. */
sb_err sb_journal_header_check(sb_bytes file, uint64_t sequence,
                               const struct sb_journal_identity *identity,
                               struct sb_diag *diag) SB_MUST_USE;

/* sb_journal_record_header: the bytes in front of the payload of a record at `offset` of file `sequence`. */
void sb_journal_record_header(uint8_t ret[SB_JOURNAL_RECORD_HEADER_BYTES], uint64_t sequence,
                              uint64_t offset, const struct sb_journal_record *record);
/* sb_journal_record_parse: the record at offset; false unless it is whole and its checksum holds. payload points into the file. */
bool sb_journal_record_parse(struct sb_journal_record *ret_record, sb_bytes file, uint64_t sequence,
                             size_t offset);
static inline size_t sb_journal_record_bytes(const struct sb_journal_record *record)
{
    return SB_JOURNAL_RECORD_HEADER_BYTES + record->payload.len;
}

/* sb_journal_scan: visit the sound records of a file from behind its header on. *ret_end: where they end. A file that goes on after
 * that has a torn tail, unless a later record says that the bad place was durable: SB_E_CORRUPT. visit may stop with an error. */
sb_err sb_journal_scan(size_t *ret_end, sb_bytes file, uint64_t sequence,
                       sb_err (*visit)(void *ctx, const struct sb_journal_record *record),
                       void *ctx) SB_MUST_USE;

/* A signed record's payload: round (4) | step (1) | signature (64) | sign bytes. */
#define SB_JOURNAL_SIGNED_BYTES_MIN 69
#define SB_JOURNAL_SIGN_BYTES_MAX   ((size_t)64 << 10)
struct sb_journal_signature {
    struct sb_journal_place place;
    uint8_t signature[64];
    sb_bytes sign_bytes;
};
/* sb_journal_signed_parse: SB_E_CORRUPT when it is none. Spans point into the record. */
sb_err sb_journal_signed_parse(struct sb_journal_signature *ret,
                               const struct sb_journal_record *record) SB_MUST_USE;

/* A rollback's payload: the height from which (8); its height is that to which the database goes back. */
#define SB_JOURNAL_ROLLBACK_BYTES 8

/* A floor's payload: round (4) | step (1) | hash of the sign bytes (32); its height is the record's. */
#define SB_JOURNAL_FLOOR_BYTES 37
/* sb_journal_floor_parse: SB_E_CORRUPT when it is none. */
sb_err sb_journal_floor_parse(struct sb_journal_history *ret,
                              const struct sb_journal_record *record) SB_MUST_USE;

/* sb_journal_place_is_valid: its step is one of the three. */
bool sb_journal_place_is_valid(const struct sb_journal_place *place);
/* sb_journal_place_compare: below 0, 0 or above 0: by height, then round, then step. */
int sb_journal_place_compare(const struct sb_journal_place *a, const struct sb_journal_place *b);

#endif
