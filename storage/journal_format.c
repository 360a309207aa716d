/* journal_format.c: encoding, checking and scanning of journal bytes. Pure: no files here. */
#include "storage/journal_format.h"

#include <xxhash.h>

#include "base/util/endian.h"

#define FORMAT_VERSION     2
#define FORMAT_VERSION_MIN 1           /* without floors */
#define RECORD_MAGIC       0x43524253u /* "SBRC" */

static const char file_magic[8] = {'S', 'B', 'J', 'R', 'N', 'A', 'L', '\n'};

/* ---- header: magic (8) | version (4) | sequence (8) | genesis hash (32) | public key (32) | checksum (8) ---- */

void sb_journal_header_encode(uint8_t ret[SB_JOURNAL_HEADER_BYTES], uint64_t sequence,
                              const struct sb_journal_identity *identity)
{
    memcpy(ret, file_magic, 8);
    le_store32(ret + 8, FORMAT_VERSION);
    le_store64(ret + 12, sequence);
    memcpy(ret + 20, identity->genesis_hash.b, 32);
    memcpy(ret + 52, identity->public_key, 32);
    le_store64(ret + 84, XXH3_64bits(ret, 84));
}

sb_err sb_journal_header_check(sb_bytes file, uint64_t sequence,
                               const struct sb_journal_identity *identity, struct sb_diag *diag)
{
    if (file.len >= 12 && memcmp(file.data, file_magic, 8) == 0 &&
        le_load32(file.data + 8) > FORMAT_VERSION) {
        return sb_fail(diag, SB_E_VERSION,
                       "format %u is newer than this program knows (%u): use the newer program",
                       le_load32(file.data + 8), FORMAT_VERSION);
    }
    if (file.len < SB_JOURNAL_HEADER_BYTES || memcmp(file.data, file_magic, 8) != 0 ||
        le_load32(file.data + 8) < FORMAT_VERSION_MIN ||
        le_load64(file.data + 84) != XXH3_64bits(file.data, 84) ||
        le_load64(file.data + 12) != sequence) {
        return sb_fail(diag, SB_E_CORRUPT, "the header is damaged");
    }
    if (memcmp(file.data + 20, identity->genesis_hash.b, 32) != 0) {
        return sb_fail(diag, SB_E_ARG, "it belongs to another chain (its genesis hash differs)");
    }
    if (memcmp(file.data + 52, identity->public_key, 32) != 0) {
        return sb_fail(diag, SB_E_ARG, "it belongs to another validator key");
    }
    return SB_OK;
}

/* ---- records: magic (4) | checksum (8) | length (4) | type (1) | height (8) | durable (8) | payload ---- */

/* record_checksum: of the header from its length on, then the payload. The seed is the place: a record is not valid anywhere else. */
static uint64_t record_checksum(const uint8_t header[SB_JOURNAL_RECORD_HEADER_BYTES],
                                sb_bytes payload, uint64_t sequence, uint64_t offset)
{
    uint64_t seed = XXH3_64bits_withSeed(header + 12, SB_JOURNAL_RECORD_HEADER_BYTES - 12,
                                         sequence << 40 ^ offset);
    return XXH3_64bits_withSeed(payload.data, payload.len, seed);
}

void sb_journal_record_header(uint8_t ret[SB_JOURNAL_RECORD_HEADER_BYTES], uint64_t sequence,
                              uint64_t offset, const struct sb_journal_record *record)
{
    le_store32(ret, RECORD_MAGIC);
    le_store32(ret + 12, (uint32_t)record->payload.len);
    ret[16] = record->type;
    le_store64(ret + 17, record->height);
    le_store64(ret + 25, record->durable);
    le_store64(ret + 4, record_checksum(ret, record->payload, sequence, offset));
}

bool sb_journal_record_parse(struct sb_journal_record *ret_record, sb_bytes file, uint64_t sequence,
                             size_t offset)
{
    sb_bytes rest = sb_span_slice(file, offset, SIZE_MAX);
    if (rest.len < SB_JOURNAL_RECORD_HEADER_BYTES || le_load32(rest.data) != RECORD_MAGIC) {
        return false;
    }
    size_t payload_len = le_load32(rest.data + 12);
    if (payload_len > SB_JOURNAL_PAYLOAD_BYTES_MAX ||
        payload_len > rest.len - SB_JOURNAL_RECORD_HEADER_BYTES) {
        return false;
    }
    sb_bytes payload = sb_span(rest.data + SB_JOURNAL_RECORD_HEADER_BYTES, payload_len);
    if (le_load64(rest.data + 4) != record_checksum(rest.data, payload, sequence, offset)) {
        return false;
    }
    ret_record->type = rest.data[16];
    ret_record->height = le_load64(rest.data + 17);
    ret_record->durable = le_load64(rest.data + 25);
    ret_record->payload = payload;
    return true;
}

/* durable_after: the most that any sound record behind a bad place claims to be durable. */
static uint64_t durable_after(sb_bytes file, uint64_t sequence, size_t bad)
{
    uint64_t durable = 0;
    for (size_t offset = bad + 1; offset + SB_JOURNAL_RECORD_HEADER_BYTES <= file.len; offset++) {
        struct sb_journal_record record;
        if (sb_journal_record_parse(&record, file, sequence, offset) && record.durable > durable) {
            durable = record.durable;
        }
    }
    return durable;
}

sb_err sb_journal_scan(size_t *ret_end, sb_bytes file, uint64_t sequence,
                       sb_err (*visit)(void *ctx, const struct sb_journal_record *record),
                       void *ctx)
{
    size_t offset = SB_JOURNAL_HEADER_BYTES;
    struct sb_journal_record record;
    while (sb_journal_record_parse(&record, file, sequence, offset)) {
        SB_TRY(visit(ctx, &record));
        offset += sb_journal_record_bytes(&record);
    }
    if (offset < file.len && durable_after(file, sequence, offset) > offset) {
        return SB_E_CORRUPT;
    }
    *ret_end = offset;
    return SB_OK;
}

/* ---- signatures ---- */

sb_err sb_journal_signed_parse(struct sb_journal_signature *ret,
                               const struct sb_journal_record *record)
{
    sb_bytes payload = record->payload;
    if (record->type != SB_JOURNAL_SIGNED || payload.len < SB_JOURNAL_SIGNED_BYTES_MIN ||
        payload.len > SB_JOURNAL_SIGNED_BYTES_MIN + SB_JOURNAL_SIGN_BYTES_MAX ||
        payload.data[4] < SB_JOURNAL_PROPOSAL || payload.data[4] > SB_JOURNAL_PRECOMMIT) {
        return SB_E_CORRUPT;
    }
    ret->place = (struct sb_journal_place){.height = record->height,
                                           .round = le_load32(payload.data),
                                           .step = (enum sb_journal_step)payload.data[4]};
    memcpy(ret->signature, payload.data + 5, 64);
    ret->sign_bytes = sb_span_slice(payload, SB_JOURNAL_SIGNED_BYTES_MIN, SIZE_MAX);
    return SB_OK;
}

sb_err sb_journal_floor_parse(struct sb_journal_history *ret,
                              const struct sb_journal_record *record)
{
    sb_bytes payload = record->payload;
    if (record->type != SB_JOURNAL_FLOOR || payload.len != SB_JOURNAL_FLOOR_BYTES) {
        return SB_E_CORRUPT;
    }
    const struct sb_journal_place place = {.height = record->height,
                                           .round = le_load32(payload.data),
                                           .step = (enum sb_journal_step)payload.data[4]};
    if (!sb_journal_place_is_valid(&place)) {
        return SB_E_CORRUPT;
    }
    ret->place = place;
    memcpy(ret->sign_bytes_hash.b, payload.data + 5, sizeof ret->sign_bytes_hash.b);
    return SB_OK;
}

/* ---- places ---- */

bool sb_journal_place_is_valid(const struct sb_journal_place *place)
{
    return place->step >= SB_JOURNAL_PROPOSAL && place->step <= SB_JOURNAL_PRECOMMIT;
}

int sb_journal_place_compare(const struct sb_journal_place *a, const struct sb_journal_place *b)
{
    if (a->height != b->height) {
        return a->height < b->height ? -1 : 1;
    }
    if (a->round != b->round) {
        return a->round < b->round ? -1 : 1;
    }
    return (int)a->step - (int)b->step;
}
