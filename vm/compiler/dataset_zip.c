/* dataset_zip.c: see dataset_zip.h. */
#include "vm/compiler/dataset_zip.h"

#include <stdlib.h>

#define ZLIB_CONST /* inputs are const */
#include <zlib.h>

#include "base/util/endian.h"
#include "vm/compiler/dataset.h"

#define END_BYTES      22u
#define CENTRAL_BYTES  46u
#define LOCAL_BYTES    30u
#define END_MAGIC      0x06054b50u
#define CENTRAL_MAGIC  0x02014b50u
#define LOCAL_MAGIC    0x04034b50u
#define STORED         0
#define DEFLATED       8
#define FLAG_ENCRYPTED 1u

/* The end record stands at the end, before a comment of at most 65,535 bytes. */
static const uint8_t *find_end(sb_bytes file)
{
    for (size_t back = END_BYTES; back <= file.len && back <= END_BYTES + 65535; back++) {
        const uint8_t *at = file.data + file.len - back;
        if (le_load32(at) == END_MAGIC && le_load16(at + 20) == back - END_BYTES) {
            return at;
        }
    }
    return NULL;
}

static sb_err read_central(struct sb_zip_member *ret, size_t *at, sb_bytes file,
                           struct sb_diag *diag)
{
    if (*at > file.len || file.len - *at < CENTRAL_BYTES ||
        le_load32(file.data + *at) != CENTRAL_MAGIC) {
        return sb_fail(diag, SB_E_TRUNCATED, "the archive's directory is cut or damaged");
    }
    const uint8_t *p = file.data + *at;
    size_t name_len = le_load16(p + 28);
    size_t extra = (size_t)le_load16(p + 30) + le_load16(p + 32);
    if (file.len - *at - CENTRAL_BYTES < name_len + extra) {
        return sb_fail(diag, SB_E_TRUNCATED, "the archive's directory is cut");
    }
    struct sb_zip_member m = {
        .method = le_load16(p + 10),
        .crc32 = le_load32(p + 16),
        .packed_bytes = le_load32(p + 20),
        .bytes = le_load32(p + 24),
        .offset = le_load32(p + 42),
    };
    size_t kept = name_len < SB_ZIP_NAME_BYTES - 1 ? name_len : SB_ZIP_NAME_BYTES - 1;
    memcpy(m.name, p + CENTRAL_BYTES, kept);
    if ((le_load16(p + 8) & FLAG_ENCRYPTED) != 0 || m.bytes == UINT32_MAX ||
        (m.method != STORED && m.method != DEFLATED)) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "'%s' is encrypted, zip64 or packed by method %u; save with numpy.savez",
                       m.name, m.method);
    }
    *at += CENTRAL_BYTES + name_len + extra;
    *ret = m;
    return SB_OK;
}

sb_err sb_zip_list(struct sb_zip_member *ret_members, uint32_t *ret_count, sb_bytes file,
                   struct sb_diag *diag)
{
    const uint8_t *end = find_end(file);
    if (end == NULL) {
        return sb_fail(diag, SB_E_TRUNCATED, "the archive has no end record: it is cut");
    }
    uint32_t count = le_load16(end + 10);
    size_t at = le_load32(end + 16);
    if (count > SB_ZIP_MEMBERS_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the archive has %u members, at most %d", count,
                       SB_ZIP_MEMBERS_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        SB_TRY(read_central(&ret_members[i], &at, file, diag));
    }
    *ret_count = count;
    return SB_OK;
}

static sb_err inflate_member(uint8_t *data, const struct sb_zip_member *m, const uint8_t *packed,
                             struct sb_diag *diag)
{
    z_stream z = {.next_in = packed, .avail_in = m->packed_bytes, .avail_out = m->bytes};
    z.next_out = data;
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for zlib");
    }
    int status = inflate(&z, Z_FINISH);
    bool whole = status == Z_STREAM_END && z.avail_out == 0;
    (void)inflateEnd(&z);
    return whole ? SB_OK : sb_fail(diag, SB_E_CORRUPT, "'%s' does not unpack", m->name);
}

sb_err sb_zip_read(uint8_t **ret_data, size_t *ret_len, sb_bytes file,
                   const struct sb_zip_member *m, struct sb_diag *diag)
{
    if (m->offset > file.len || file.len - m->offset < LOCAL_BYTES ||
        le_load32(file.data + m->offset) != LOCAL_MAGIC) {
        return sb_fail(diag, SB_E_CORRUPT, "'%s' is not where the directory says", m->name);
    }
    const uint8_t *local = file.data + m->offset;
    size_t start = LOCAL_BYTES + (size_t)le_load16(local + 26) + le_load16(local + 28);
    if (start > file.len - m->offset || m->packed_bytes > file.len - m->offset - start ||
        (m->method == STORED && m->packed_bytes != m->bytes)) {
        return sb_fail(diag, SB_E_TRUNCATED, "'%s' is cut", m->name);
    }
    if (m->bytes > 2 * SB_DATASET_FILE_BYTES_MAX ||
        m->bytes / 1100 > m->packed_bytes) { /* deflate packs at most 1032 to 1 */
        return sb_fail(diag, SB_E_LIMIT, "'%s' would unpack to %u bytes", m->name, m->bytes);
    }
    uint8_t *data = malloc((size_t)m->bytes + 1);
    if (data == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for '%s'", m->name);
    }
    sb_err err = SB_OK;
    if (m->method == STORED) {
        memcpy(data, local + start, m->bytes);
    } else {
        err = inflate_member(data, m, local + start, diag);
    }
    if (err == SB_OK && crc32(0, data, m->bytes) != m->crc32) {
        err = sb_fail(diag, SB_E_CHECKSUM, "'%s' does not match its checksum", m->name);
    }
    if (err != SB_OK) {
        free(data);
        return err;
    }
    *ret_data = data;
    *ret_len = m->bytes;
    return SB_OK;
}
