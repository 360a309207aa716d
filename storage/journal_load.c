/* journal_load.c: opening a journal: which files there are, what they hold, where a torn tail begins; see journal.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util/endian.h"
#include "storage/journal_impl.h"

#define TORN_COPIES_MAX 100

/* ---- files ---- */

static int sequence_compare(const void *a, const void *b)
{
    const struct sb_journal_file *left = a, *right = b;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* name_parse: NNNNNNNN.wal gives the number, everything else 0. */
static uint64_t name_parse(const char *name)
{
    uint64_t sequence = 0;
    for (size_t i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        sequence = 10 * sequence + (uint64_t)(name[i] - '0');
    }
    return strcmp(name + 8, ".wal") == 0 ? sequence : 0;
}

static sb_err note_file(void *ctx, const char *name)
{
    uint64_t sequence = name_parse(name);
    return sequence != 0 ? sb_journal_file_add(ctx, sequence) : SB_OK;
}

static sb_err files_list(struct sb_journal *journal, struct sb_diag *diag)
{
    SB_TRY(journal->disk.list(journal->disk.ctx, note_file, journal, diag));
    if (journal->file_count == 0) {
        return SB_OK;
    }
    qsort(journal->files, journal->file_count, sizeof *journal->files, sequence_compare);
    for (size_t i = 1; i < journal->file_count; i++) {
        if (journal->files[i].sequence != journal->files[i - 1].sequence + 1) {
            return sb_fail(diag, SB_E_CORRUPT,
                           "%s: file %08" PRIu64 ".wal is missing: do not vote with this key",
                           journal->disk.place, journal->files[i - 1].sequence + 1);
        }
    }
    return SB_OK;
}

/* file_read: *bytes is freed by the caller in every case. */
static sb_err file_read(struct sb_buf *bytes, const struct sb_journal *journal, uint64_t sequence,
                        struct sb_diag *diag)
{
    char name[SB_JOURNAL_NAME_BYTES];
    sb_journal_file_name(name, sequence, ".wal");
    sb_buf_init(bytes, SB_JOURNAL_FILE_BYTES_MAX);
    sb_err err = journal->disk.read(journal->disk.ctx, name, bytes, diag);
    return err == SB_E_LIMIT ? SB_E_CORRUPT : err;
}

/* ---- records ---- */

struct load {
    struct sb_journal *journal;
    struct sb_journal_recovery *recovery;
};

/* signed_load: a signed record met while opening. The same one may stand in two files; two for one place may not. */
static sb_err signed_load(struct sb_journal *journal, const struct sb_journal_record *record)
{
    struct sb_journal_signature parsed;
    SB_TRY(sb_journal_signed_parse(&parsed, record));
    const struct sb_journal_made *same = sb_journal_made_find(journal, &parsed.place);
    if (same != NULL) {
        return sb_journal_made_is(same, parsed.sign_bytes) ? SB_OK : SB_E_CORRUPT;
    }
    if (journal->made_count != 0 &&
        sb_journal_place_compare(&journal->made[journal->made_count - 1].place, &parsed.place) >
            0) {
        return SB_E_CORRUPT;
    }
    return sb_journal_made_add(journal, &parsed.place, parsed.signature, parsed.sign_bytes);
}

static sb_err floor_load(struct sb_journal *journal, const struct sb_journal_record *record)
{
    struct sb_journal_history parsed;
    SB_TRY(sb_journal_floor_parse(&parsed, record));
    if (!journal->has_floor || sb_journal_place_compare(&parsed.place, &journal->floor.place) > 0) {
        journal->floor = parsed;
    }
    journal->has_floor = true;
    return SB_OK;
}

static sb_err load_record(void *ctx, const struct sb_journal_record *record)
{
    struct load *load = ctx;
    struct sb_journal *journal = load->journal;
    if (record->type == SB_JOURNAL_MARK) {
        return SB_OK;
    }
    load->recovery->record_count++;
    if (record->type == SB_JOURNAL_END_HEIGHT) {
        sb_journal_note_end(journal, record->height);
        return SB_OK;
    }
    if (record->type == SB_JOURNAL_FLOOR) {
        return floor_load(journal, record);
    }
    if (record->type == SB_JOURNAL_ROLLBACK) {
        if (record->payload.len != SB_JOURNAL_ROLLBACK_BYTES) {
            return SB_E_CORRUPT;
        }
        const struct sb_journal_rollback rollback = {.from = le_load64(record->payload.data),
                                                     .to = record->height};
        sb_journal_note_rollback(journal, &rollback);
        return SB_OK;
    }
    struct sb_journal_file *file = sb_journal_last_file(journal);
    file->max_height = record->height > file->max_height ? record->height : file->max_height;
    if (record->type == SB_JOURNAL_SIGNED) {
        return signed_load(journal, record);
    }
    return record->type >= SB_JOURNAL_CALLER ? SB_OK : SB_E_CORRUPT;
}

/* ---- the last file's end ---- */

/* torn_keep: copy the cut part beside the file, for whoever wants to know what happened. */
static sb_err torn_keep(const struct sb_journal *journal, sb_bytes torn, size_t offset,
                        struct sb_diag *diag)
{
    for (int i = 0; i < TORN_COPIES_MAX; i++) {
        char suffix[SB_JOURNAL_NAME_BYTES - 8], name[SB_JOURNAL_NAME_BYTES];
        (void)snprintf(suffix, sizeof suffix, ".torn-%zu-%d", offset, i);
        sb_journal_file_name(name, sb_journal_last_file(journal)->sequence, suffix);
        sb_err err = journal->disk.create(journal->disk.ctx, name, torn, diag);
        if (err != SB_E_EXISTS) {
            return err;
        }
    }
    return SB_OK; /* so many copies from one place tell enough */
}

/* last_open: take the last file for appending, without its torn tail. Whatever was read may never have been synced: from here on it
 * counts, so the truncation makes it durable even where nothing is cut. */
static sb_err last_open(struct sb_journal *journal, sb_bytes file, size_t end, struct sb_diag *diag)
{
    char name[SB_JOURNAL_NAME_BYTES];
    sb_journal_file_name(name, sb_journal_last_file(journal)->sequence, ".wal");
    if (end < file.len) {
        SB_TRY(torn_keep(journal, sb_span_slice(file, end, SIZE_MAX), end, diag));
    }
    SB_TRY(journal->disk.truncate(journal->disk.ctx, name, end, diag));
    journal->size = end;
    journal->durable = end;
    return SB_OK;
}

static sb_err file_scan(struct sb_journal *journal, sb_bytes file, bool is_last,
                        struct sb_journal_recovery *recovery, struct sb_diag *diag)
{
    uint64_t sequence = sb_journal_last_file(journal)->sequence;
    struct load load = {.journal = journal, .recovery = recovery};
    size_t end = 0;
    sb_err err = sb_journal_header_check(file, sequence, &journal->identity, diag);
    if (err == SB_OK) {
        err = sb_journal_scan(&end, file, sequence, load_record, &load);
        if (err == SB_E_CORRUPT || (err == SB_OK && end < file.len && !is_last)) {
            err = sb_fail(
                diag, SB_E_CORRUPT,
                "damaged in the middle: do not vote with this key before you know what it signed");
        }
    }
    if (err != SB_OK) {
        sb_diag_prefix(diag, "%s/%08" PRIu64 ".wal", journal->disk.place, sequence);
        return err;
    }
    if (is_last) {
        recovery->torn_bytes = file.len - end;
        err = last_open(journal, file, end, diag);
    }
    return err;
}

static sb_err file_load(struct sb_journal *journal, size_t index,
                        struct sb_journal_recovery *recovery, struct sb_diag *diag)
{
    size_t file_count = journal->file_count;
    struct sb_buf bytes;
    sb_err err = file_read(&bytes, journal, journal->files[index].sequence, diag);
    if (err == SB_OK) {
        journal->file_count = index + 1; /* records read belong to this file */
        err = file_scan(journal, sb_buf_bytes(&bytes), index + 1 == file_count, recovery, diag);
        journal->file_count = file_count;
    }
    sb_buf_fini(&bytes);
    return err;
}

/* ---- opening ---- */

static sb_err journal_fill(struct sb_journal *journal, bool create_new,
                           struct sb_journal_recovery *recovery, struct sb_diag *diag)
{
    SB_TRY(files_list(journal, diag));
    if (create_new) {
        if (journal->file_count != 0) {
            return sb_fail(diag, SB_E_EXISTS,
                           "%s holds a journal already: a new key needs a folder of its own",
                           journal->disk.place);
        }
        recovery->created = true;
        return sb_journal_file_start(journal, 1, diag);
    }
    if (journal->file_count == 0) {
        return sb_fail(
            diag, SB_E_NOT_FOUND,
            "%s holds no journal: a validator key is never used without its own, restore it",
            journal->disk.place);
    }
    for (size_t i = 0; i < journal->file_count; i++) {
        SB_TRY(file_load(journal, i, recovery, diag));
    }
    sb_journal_made_drop(journal);
    return SB_OK;
}

sb_err sb_journal_open(struct sb_journal **ret_journal, const struct sb_journal_disk *disk,
                       const struct sb_journal_identity *identity, bool create_new,
                       struct sb_journal_recovery *ret_recovery, struct sb_diag *diag)
{
    struct sb_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        disk->close(disk->ctx);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    journal->disk = *disk;
    journal->identity = *identity;
    struct sb_journal_recovery recovery = {.created = false};
    sb_err err = journal_fill(journal, create_new, &recovery, diag);
    if (err != SB_OK) {
        journal->failed = true; /* nothing is to be synced on the way out */
        sb_journal_close(journal);
        return err;
    }
    *ret_recovery = recovery;
    *ret_journal = journal;
    return SB_OK;
}

sb_err sb_journal_open_folder(struct sb_journal **ret_journal, const char *dir,
                              const struct sb_journal_identity *identity, bool create_new,
                              struct sb_journal_recovery *ret_recovery, struct sb_diag *diag)
{
    struct sb_journal_disk disk;
    SB_TRY(sb_journal_disk_folder(&disk, dir, create_new, diag));
    return sb_journal_open(ret_journal, &disk, identity, create_new, ret_recovery, diag);
}

/* ---- replay ---- */

struct replay {
    uint64_t height;
    sb_err (*visit)(void *ctx, uint8_t type, uint64_t height, sb_bytes payload);
    void *ctx;
};

static sb_err replay_record(void *ctx, const struct sb_journal_record *record)
{
    const struct replay *replay = ctx;
    if (record->type < SB_JOURNAL_CALLER || record->height < replay->height) {
        return SB_OK;
    }
    return replay->visit(replay->ctx, record->type, record->height, record->payload);
}

sb_err sb_journal_replay(struct sb_journal *journal, uint64_t height,
                         sb_err (*visit)(void *ctx, uint8_t type, uint64_t height,
                                         sb_bytes payload),
                         void *ctx)
{
    struct replay replay = {.height = height, .visit = visit, .ctx = ctx};
    sb_err err = SB_OK;
    for (size_t i = 0; err == SB_OK && i < journal->file_count; i++) {
        if (journal->files[i].max_height < height) {
            continue;
        }
        struct sb_buf bytes;
        err = file_read(&bytes, journal, journal->files[i].sequence, NULL);
        if (err == SB_OK) {
            size_t end;
            err = sb_journal_scan(&end, sb_buf_bytes(&bytes), journal->files[i].sequence,
                                  replay_record, &replay);
        }
        sb_buf_fini(&bytes);
    }
    return err;
}
