/* fuzz_journal.c: journal files: any bytes give records or a named error, and records written behind sound ones are found again.
 *
 * The input is taken as a file as it is, then as a list of payloads to be written: those records are sound but for one damaged byte,
 * so the search behind a bad place runs, too. */
#include <stdlib.h>

#include "base/util/assert.h"
#include "storage/journal_format.h"

#define RECORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    size_t records;
    size_t bytes;
};

static sb_err visit(void *ctx, const struct sb_journal_record *record)
{
    struct tally *tally = ctx;
    struct sb_journal_signature signature;
    tally->records++;
    tally->bytes += sb_journal_record_bytes(record);
    struct sb_journal_history floor;
    if (record->type == SB_JOURNAL_FLOOR) {
        return sb_journal_floor_parse(&floor, record);
    }
    return record->type == SB_JOURNAL_SIGNED ? sb_journal_signed_parse(&signature, record) : SB_OK;
}

static void file_check(sb_bytes file)
{
    static const struct sb_journal_identity identity;
    struct sb_diag diag;
    struct tally tally = {.records = 0};
    size_t end = 0;
    (void)!sb_journal_header_check(file, 1, &identity, &diag);
    if (file.len >= SB_JOURNAL_HEADER_BYTES &&
        sb_journal_scan(&end, file, 1, visit, &tally) == SB_OK) {
        SB_ASSERT(end == SB_JOURNAL_HEADER_BYTES + tally.bytes && end <= file.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    file_check(sb_span(data, size));
    size_t room = SB_JOURNAL_HEADER_BYTES + RECORDS_MAX * SB_JOURNAL_RECORD_HEADER_BYTES + size;
    uint8_t *file = calloc(1, room);
    SB_ASSERT(file != NULL);
    size_t at = SB_JOURNAL_HEADER_BYTES, taken = 0;
    for (size_t i = 0; i < RECORDS_MAX && taken < size; i++) {
        size_t len = data[taken] % 80;
        len = len < size - taken ? len : size - taken;
        const struct sb_journal_record record = {.type = data[taken] & 31,
                                                 .height = i,
                                                 .durable = i % 3 == 0 ? at : 0,
                                                 .payload = sb_span(data + taken, len)};
        sb_journal_record_header(file + at, 1, at, &record);
        sb_copy(file + at + SB_JOURNAL_RECORD_HEADER_BYTES, data + taken, len);
        at += sb_journal_record_bytes(&record);
        taken += len + 1;
    }
    file_check(sb_span(file, at));
    if (size != 0) {
        file[data[size - 1] * at / 256] ^= (uint8_t)(1 + data[0]);
    }
    file_check(sb_span(file, at));
    free(file);
    return 0;
}
