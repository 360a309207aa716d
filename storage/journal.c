/* journal.c: appends, rotation and the guard of the signing journal; see journal.h. Opening: journal_load.c.
 *
 *     journal/00000001.wal    journal/00000002.wal          the highest number takes the appends, the others are closed and whole
 *
 *     file    header | record | record | ...
 *     header  "SBJRNAL\n" (8) | version 2 (4) | number of the file (8) | genesis hash (32) | public key (32) | checksum (8)
 *     record  "SBRC" (4) | checksum (8) | payload length (4) | type (1) | height (8) | durable (8) | payload
 *
 *     type 1   signed: payload = round (4) | step (1) | signature (64) | sign bytes
 *          2   end of height: the height is in the database
 *          3   mark: written after each sync, says how far the file was durable then
 *          4   floor: payload = round (4) | step (1) | hash of the sign bytes (32): an imported history; not in files of version 1
 *          5   rollback: payload = last height (8): the database was at this height and goes back to the record's; version 2
 *          16+ input of the caller
 *
 * Integers are little-endian. Checksums are XXH3; a record's covers what follows it and is seeded with file number and offset, so a
 * record is valid in one place only. `durable` is how many bytes of the file were known to be on disk when the record was appended:
 * it tells a torn tail (a bad place that was never synced: cut off, a copy kept as NNNNNNNN.torn-OFFSET-N) from damage (a bad place
 * that a later record calls durable: SB_E_CORRUPT). Nothing can tell a torn tail from a file that somebody cut; hence the database's
 * head is compared with the journal at start.
 *
 * A new file is made whole and durable at once; it begins with the highest end of height, a rollback that is not over (type 5, until an
 * end of height of its last height follows), the floor and the last signed record, so that the old files may go. After any failed write or sync every call fails: the node must stop. */
#include "storage/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/journal_impl.h"

#define SEQUENCE_MAX 99999999
#define HEIGHTS_KEPT 1 /* heights below the last ended one whose records stay */
#define CARRY_BYTES_MAX                                                                            \
    (SB_JOURNAL_HEADER_BYTES + 4 * SB_JOURNAL_RECORD_HEADER_BYTES + SB_JOURNAL_SIGNED_BYTES_MIN +  \
     SB_JOURNAL_SIGN_BYTES_MAX + SB_JOURNAL_FLOOR_BYTES + SB_JOURNAL_ROLLBACK_BYTES)

void sb_journal_file_name(char ret[SB_JOURNAL_NAME_BYTES], uint64_t sequence, const char *suffix)
{
    (void)snprintf(ret, SB_JOURNAL_NAME_BYTES, "%08" PRIu64 "%s", sequence, suffix);
}

struct sb_journal_file *sb_journal_last_file(const struct sb_journal *journal)
{
    return &journal->files[journal->file_count - 1];
}

/* array_room: room for one more element; false when out of memory. */
static bool array_room(void **items, size_t *capacity, size_t count, size_t elem_bytes)
{
    if (count < *capacity) {
        return true;
    }
    size_t grown = *capacity == 0 ? 8 : 2 * *capacity;
    void *memory = realloc(*items, grown * elem_bytes);
    if (memory == NULL) {
        return false;
    }
    *items = memory;
    *capacity = grown;
    return true;
}

sb_err sb_journal_file_add(struct sb_journal *journal, uint64_t sequence)
{
    void *items = journal->files;
    if (!array_room(&items, &journal->file_capacity, journal->file_count, sizeof *journal->files)) {
        return SB_E_NOMEM;
    }
    journal->files = items;
    journal->files[journal->file_count++] = (struct sb_journal_file){.sequence = sequence};
    return SB_OK;
}

/* ---- signatures in memory ---- */

sb_err sb_journal_made_add(struct sb_journal *journal, const struct sb_journal_place *place,
                           const uint8_t signature[64], sb_bytes sign_bytes)
{
    void *items = journal->made;
    uint8_t *copy = malloc(sign_bytes.len + 1);
    if (copy == NULL ||
        !array_room(&items, &journal->made_capacity, journal->made_count, sizeof *journal->made)) {
        free(copy);
        return SB_E_NOMEM;
    }
    journal->made = items;
    struct sb_journal_made *added = &journal->made[journal->made_count++];
    *added =
        (struct sb_journal_made){.place = *place, .sign_bytes = copy, .sign_len = sign_bytes.len};
    memcpy(added->signature, signature, 64);
    sb_copy(copy, sign_bytes.data, sign_bytes.len);
    return SB_OK;
}

void sb_journal_made_drop(struct sb_journal *journal)
{
    size_t gone = 0;
    while (gone + 1 < journal->made_count &&
           journal->made[gone].place.height + HEIGHTS_KEPT < journal->end_height) {
        free(journal->made[gone].sign_bytes);
        gone++;
    }
    if (gone != 0) {
        journal->made_count -= gone;
        memmove(journal->made, journal->made + gone, journal->made_count * sizeof *journal->made);
    }
}

const struct sb_journal_made *sb_journal_made_find(const struct sb_journal *journal,
                                                   const struct sb_journal_place *place)
{
    for (size_t i = journal->made_count; i-- > 0;) {
        if (sb_journal_place_compare(&journal->made[i].place, place) == 0) {
            return &journal->made[i];
        }
    }
    return NULL;
}

bool sb_journal_made_is(const struct sb_journal_made *made, sb_bytes sign_bytes)
{
    return sb_span_equal(sb_span(made->sign_bytes, made->sign_len), sign_bytes);
}

static const struct sb_journal_made *last_made(const struct sb_journal *journal)
{
    return journal->made_count != 0 ? &journal->made[journal->made_count - 1] : NULL;
}

/* floor_counts: the imported history is above everything that was signed here. */
static bool floor_counts(const struct sb_journal *journal)
{
    const struct sb_journal_made *last = last_made(journal);
    return journal->has_floor &&
           (last == NULL || sb_journal_place_compare(&journal->floor.place, &last->place) > 0);
}

/* ---- writing ---- */

static sb_err record_append(struct sb_journal *journal, uint8_t type, uint64_t height,
                            sb_bytes payload)
{
    if (journal->failed) {
        return SB_E_IO;
    }
    struct sb_journal_file *file = sb_journal_last_file(journal);
    const struct sb_journal_record record = {
        .type = type, .height = height, .durable = journal->durable, .payload = payload};
    uint8_t header[SB_JOURNAL_RECORD_HEADER_BYTES];
    char name[SB_JOURNAL_NAME_BYTES];
    sb_journal_record_header(header, file->sequence, journal->size, &record);
    sb_journal_file_name(name, file->sequence, ".wal");
    if (journal->disk.append(journal->disk.ctx, name, sb_span(header, sizeof header), payload,
                             NULL) != SB_OK) {
        journal->failed = true;
        return SB_E_IO;
    }
    journal->size += sizeof header + payload.len;
    if (type != SB_JOURNAL_MARK) {
        journal->unsynced = true;
        if (type != SB_JOURNAL_END_HEIGHT && type != SB_JOURNAL_ROLLBACK &&
            height > file->max_height) {
            file->max_height = height;
        }
    }
    return SB_OK;
}

static sb_err file_sync(struct sb_journal *journal)
{
    char name[SB_JOURNAL_NAME_BYTES];
    sb_journal_file_name(name, sb_journal_last_file(journal)->sequence, ".wal");
    journal->sync_count++;
    return journal->disk.sync(journal->disk.ctx, name, NULL);
}

sb_err sb_journal_sync(struct sb_journal *journal)
{
    if (journal->failed) {
        return SB_E_IO;
    }
    if (!journal->unsynced) {
        return SB_OK;
    }
    if (file_sync(journal) != SB_OK) {
        journal->failed = true;
        return SB_E_IO;
    }
    journal->unsynced = false;
    journal->durable = journal->size;
    return record_append(journal, SB_JOURNAL_MARK, 0, sb_span(NULL, 0));
}

uint64_t sb_journal_sync_count(const struct sb_journal *journal)
{
    return journal->sync_count;
}

/* signed_payload: into a fresh buffer that the caller frees; NULL when out of memory. */
static uint8_t *signed_payload(size_t *ret_len, const struct sb_journal_place *place,
                               sb_bytes sign_bytes, const uint8_t signature[64])
{
    uint8_t *payload = malloc(SB_JOURNAL_SIGNED_BYTES_MIN + sign_bytes.len);
    if (payload != NULL) {
        le_store32(payload, place->round);
        payload[4] = (uint8_t)place->step;
        memcpy(payload + 5, signature, 64);
        sb_copy(payload + SB_JOURNAL_SIGNED_BYTES_MIN, sign_bytes.data, sign_bytes.len);
        *ret_len = SB_JOURNAL_SIGNED_BYTES_MIN + sign_bytes.len;
    }
    return payload;
}

/* ---- new files ---- */

static void carry_record(struct sb_buf *out, uint64_t sequence, uint8_t type, uint64_t height,
                         sb_bytes payload)
{
    const struct sb_journal_record record = {.type = type, .height = height, .payload = payload};
    uint8_t header[SB_JOURNAL_RECORD_HEADER_BYTES];
    sb_journal_record_header(header, sequence, out->len, &record);
    sb_buf_add(out, header, sizeof header);
    sb_buf_add(out, payload.data, payload.len);
}

/* carry: what a new file takes over from the old ones, behind its header. */
static sb_err carry(struct sb_buf *out, const struct sb_journal *journal, uint64_t sequence)
{
    uint8_t header[SB_JOURNAL_HEADER_BYTES];
    sb_journal_header_encode(header, sequence, &journal->identity);
    sb_buf_add(out, header, sizeof header);
    if (journal->end_height != 0) {
        carry_record(out, sequence, SB_JOURNAL_END_HEIGHT, journal->end_height, sb_span(NULL, 0));
    }
    if (journal->rolled_back_from != 0) {
        uint8_t payload[SB_JOURNAL_ROLLBACK_BYTES];
        le_store64(payload, journal->rolled_back_from);
        carry_record(out, sequence, SB_JOURNAL_ROLLBACK, journal->rolled_back_to,
                     sb_span(payload, sizeof payload));
    }
    if (journal->has_floor) {
        uint8_t payload[SB_JOURNAL_FLOOR_BYTES];
        le_store32(payload, journal->floor.place.round);
        payload[4] = (uint8_t)journal->floor.place.step;
        memcpy(payload + 5, journal->floor.sign_bytes_hash.b, 32);
        carry_record(out, sequence, SB_JOURNAL_FLOOR, journal->floor.place.height,
                     sb_span(payload, sizeof payload));
    }
    const struct sb_journal_made *last = last_made(journal);
    if (last != NULL) {
        size_t len;
        uint8_t *payload = signed_payload(
            &len, &last->place, sb_span(last->sign_bytes, last->sign_len), last->signature);
        if (payload == NULL) {
            return SB_E_NOMEM;
        }
        carry_record(out, sequence, SB_JOURNAL_SIGNED, last->place.height, sb_span(payload, len));
        free(payload);
    }
    return sb_buf_err(out);
}

sb_err sb_journal_file_start(struct sb_journal *journal, uint64_t sequence, struct sb_diag *diag)
{
    char name[SB_JOURNAL_NAME_BYTES];
    struct sb_buf content;
    sb_journal_file_name(name, sequence, ".wal");
    sb_buf_init(&content, CARRY_BYTES_MAX);
    sb_err err = carry(&content, journal, sequence);
    if (err == SB_OK) {
        journal->sync_count++;
        err = journal->disk.create(journal->disk.ctx, name, sb_buf_bytes(&content), diag);
    }
    err = err == SB_OK ? sb_journal_file_add(journal, sequence) : err;
    if (err == SB_OK) {
        const struct sb_journal_made *last = last_made(journal);
        sb_journal_last_file(journal)->max_height = last != NULL ? last->place.height : 0;
        journal->size = content.len;
        journal->durable = content.len;
        journal->unsynced = false;
    }
    journal->failed = journal->failed || err != SB_OK;
    sb_buf_fini(&content);
    return err;
}

/* files_drop: remove the oldest files while all that they hold is below the heights to keep. One at a time: were two lost out of order
 * by a crash, a gap would read as damage. */
static sb_err files_drop(struct sb_journal *journal)
{
    size_t gone = 0;
    sb_err err = SB_OK;
    while (err == SB_OK && gone + 1 < journal->file_count &&
           journal->files[gone].max_height + HEIGHTS_KEPT < journal->end_height) {
        char name[SB_JOURNAL_NAME_BYTES];
        sb_journal_file_name(name, journal->files[gone].sequence, ".wal");
        err = journal->disk.remove(journal->disk.ctx, name, NULL);
        gone += err == SB_OK ? 1 : 0;
    }
    journal->file_count -= gone;
    memmove(journal->files, journal->files + gone, journal->file_count * sizeof *journal->files);
    return err;
}

static sb_err rotate(struct sb_journal *journal)
{
    uint64_t sequence = sb_journal_last_file(journal)->sequence + 1;
    if (sequence > SEQUENCE_MAX) {
        return SB_E_LIMIT;
    }
    SB_TRY(sb_journal_sync(journal));
    if (file_sync(journal) !=
        SB_OK) { /* the mark too: only the last file may end in a torn record */
        journal->failed = true;
        return SB_E_IO;
    }
    SB_TRY(sb_journal_file_start(journal, sequence, NULL));
    sb_err err = files_drop(journal);
    journal->failed = err != SB_OK;
    return err;
}

void sb_journal_close(struct sb_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (!journal->failed && sb_journal_sync(journal) == SB_OK) {
        /* the mark too: then even the last record cannot be damaged unnoticed */
        (void)file_sync(journal);
    }
    journal->disk.close(journal->disk.ctx);
    for (size_t i = 0; i < journal->made_count; i++) {
        free(journal->made[i].sign_bytes);
    }
    free(journal->made);
    free(journal->files);
    free(journal);
}

/* ---- appends ---- */

/* rotate_when_full: before a record that belongs to no signature. */
static sb_err rotate_when_full(struct sb_journal *journal)
{
    return !journal->failed && journal->size >= SB_JOURNAL_ROTATE_BYTES ? rotate(journal) : SB_OK;
}

sb_err sb_journal_append(struct sb_journal *journal, uint8_t type, uint64_t height,
                         sb_bytes payload)
{
    if (type < SB_JOURNAL_CALLER) {
        return SB_E_ARG;
    }
    if (payload.len > SB_JOURNAL_PAYLOAD_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    SB_TRY(rotate_when_full(journal));
    return record_append(journal, type, height, payload);
}

sb_err sb_journal_end_height(struct sb_journal *journal, uint64_t height)
{
    SB_TRY(rotate_when_full(journal));
    SB_TRY(record_append(journal, SB_JOURNAL_END_HEIGHT, height, sb_span(NULL, 0)));
    sb_journal_note_end(journal, height);
    sb_journal_made_drop(journal);
    return SB_OK;
}

void sb_journal_note_end(struct sb_journal *journal, uint64_t height)
{
    journal->end_height = height > journal->end_height ? height : journal->end_height;
    if (height >= journal->rolled_back_from) {
        journal->rolled_back_from = 0; /* the database is there again */
    }
}

uint64_t sb_journal_last_ended(const struct sb_journal *journal)
{
    return journal->end_height;
}

sb_err sb_journal_rollback(struct sb_journal *journal, const struct sb_journal_rollback *rollback,
                           struct sb_diag *diag)
{
    uint8_t payload[SB_JOURNAL_ROLLBACK_BYTES];
    le_store64(payload, rollback->from);
    /* Into a new file, as a floor: a program that does not know the record must refuse the file. */
    sb_err err = journal->failed ? SB_E_IO : rotate(journal);
    if (err == SB_OK) {
        err = record_append(journal, SB_JOURNAL_ROLLBACK, rollback->to,
                            sb_span(payload, sizeof payload));
    }
    err = err == SB_OK ? sb_journal_sync(journal) : err;
    if (err != SB_OK) {
        return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
    }
    sb_journal_note_rollback(journal, rollback);
    return SB_OK;
}

void sb_journal_note_rollback(struct sb_journal *journal,
                              const struct sb_journal_rollback *rollback)
{
    journal->rolled_back_to = rollback->to;
    if (rollback->from > journal->rolled_back_from) {
        journal->rolled_back_from = rollback->from;
    }
}

uint64_t sb_journal_rolled_back_from(const struct sb_journal *journal)
{
    return journal->rolled_back_from;
}

/* ---- the guard ---- */

static sb_err refuse_earlier(const struct sb_journal_place *place,
                             const struct sb_journal_place *last, struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_ARG,
                   "height %" PRIu64 ", round %" PRIu32
                   ", step %d lies before the last signed place, height %" PRIu64 ", round %" PRIu32
                   ", step %d",
                   place->height, place->round, (int)place->step, last->height, last->round,
                   (int)last->step);
}

sb_err sb_journal_may_sign(uint8_t ret_signature[64], struct sb_journal *journal,
                           const struct sb_journal_place *place, sb_bytes sign_bytes,
                           struct sb_diag *diag)
{
    if (journal->failed) {
        return sb_fail(diag, SB_E_IO, "the journal failed earlier: the node must stop");
    }
    if (!sb_journal_place_is_valid(place) || sign_bytes.len > SB_JOURNAL_SIGN_BYTES_MAX) {
        return sb_fail(diag, SB_E_ARG, "step %d or %zu bytes to sign are out of range",
                       (int)place->step, sign_bytes.len);
    }
    const struct sb_journal_made *here = sb_journal_made_find(journal, place);
    if (here != NULL && sb_journal_made_is(here, sign_bytes)) {
        memcpy(ret_signature, here->signature, 64);
        return SB_E_EXISTS;
    }
    if (here != NULL) {
        return sb_fail(diag, SB_E_ARG,
                       "other bytes were signed at height %" PRIu64 ", round %" PRIu32 ", step %d",
                       place->height, place->round, (int)place->step);
    }
    if (journal->has_floor && place->height <= journal->floor.place.height) {
        return sb_fail(diag, SB_E_ARG,
                       "height %" PRIu64
                       " is not signed: an imported history (or --resync) forbids "
                       "all up to height %" PRIu64,
                       place->height, journal->floor.place.height);
    }
    const struct sb_journal_made *last = last_made(journal);
    if (last != NULL && sb_journal_place_compare(place, &last->place) < 0) {
        return refuse_earlier(place, &last->place, diag);
    }
    return SB_OK;
}

sb_err sb_journal_signed(struct sb_journal *journal, const struct sb_journal_place *place,
                         sb_bytes sign_bytes, const uint8_t signature[64])
{
    uint8_t known[64];
    sb_err may = sb_journal_may_sign(known, journal, place, sign_bytes, NULL);
    if (may != SB_OK) {
        return may == SB_E_IO ? SB_E_IO : SB_E_ARG;
    }
    size_t len;
    uint8_t *payload = signed_payload(&len, place, sign_bytes, signature);
    if (payload == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = record_append(journal, SB_JOURNAL_SIGNED, place->height, sb_span(payload, len));
    free(payload);
    /* Into memory before the sync: whatever happens now, these bytes may be on disk. */
    if (err == SB_OK) {
        err = sb_journal_made_add(journal, place, signature, sign_bytes);
        journal->failed = journal->failed || err != SB_OK;
    }
    return err == SB_OK ? sb_journal_sync(journal) : err;
}

/* ---- the history ---- */

bool sb_journal_history(struct sb_journal_history *ret_history, const struct sb_journal *journal)
{
    if (floor_counts(journal)) {
        *ret_history = journal->floor;
        return true;
    }
    const struct sb_journal_made *last = last_made(journal);
    if (last == NULL) {
        return false;
    }
    ret_history->place = last->place;
    ret_history->sign_bytes_hash = sb_keccak256(sb_span(last->sign_bytes, last->sign_len));
    return true;
}

bool sb_journal_last_signed(struct sb_journal_place *ret_place, const struct sb_journal *journal)
{
    struct sb_journal_history history;
    if (!sb_journal_history(&history, journal)) {
        return false;
    }
    *ret_place = history.place;
    return true;
}

/* adds_nothing: of a history that is not later than the journal's own last place: it is of a height that is closed here, as the journal is
 * beyond it or an imported history forbids it; or it is this journal's own. Else somebody else signed in the height in which this
 * journal may still sign, with a lock that is not known here. */
static bool adds_nothing(const struct sb_journal *journal, const struct sb_journal_history *history,
                         const struct sb_journal_history *last)
{
    uint64_t height = history->place.height;
    bool is_own = sb_journal_place_compare(&history->place, &last->place) == 0 &&
                  sb_hash_equal(&history->sign_bytes_hash, &last->sign_bytes_hash);
    return height < last->place.height || is_own ||
           (journal->has_floor && height <= journal->floor.place.height);
}

sb_err sb_journal_import(bool *ret_raised, struct sb_journal *journal,
                         const struct sb_journal_history *history, struct sb_diag *diag)
{
    if (journal->failed) {
        return sb_fail(diag, SB_E_IO, "the journal failed earlier: nothing can be imported");
    }
    if (!sb_journal_place_is_valid(&history->place) || history->place.height == 0) {
        return sb_fail(diag, SB_E_ARG, "height 0 or step %d cannot have been signed",
                       (int)history->place.step);
    }
    struct sb_journal_history last;
    bool is_later = !sb_journal_history(&last, journal) ||
                    sb_journal_place_compare(&history->place, &last.place) > 0;
    if (!is_later && adds_nothing(journal, history, &last)) {
        *ret_raised = false;
        return SB_OK;
    }
    /* Into a new file: an older program knows no floors, and must refuse the file instead of overlooking one. */
    journal->has_floor = true;
    journal->floor = is_later ? *history : last;
    sb_err err = rotate(journal);
    if (err != SB_OK) {
        journal->failed = true;
        return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
    }
    *ret_raised = true;
    return SB_OK;
}
