/* dataset_zip.h: members of a zip archive in memory, as numpy writes them. Private to the data sets.
 * Spec: PKWARE APPNOTE 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end record). Stored and deflated members; no encryption,
 * no zip64 beyond local extra fields, one disk. */
#ifndef SB_VM_COMPILER_DATASET_ZIP_H
#define SB_VM_COMPILER_DATASET_ZIP_H

#include <stdint.h>

#include "base/util/err.h"
#include "base/util/span.h"

#define SB_ZIP_MEMBERS_MAX 16
#define SB_ZIP_NAME_BYTES  64

struct sb_zip_member {
    char name[SB_ZIP_NAME_BYTES]; /* cut if longer */
    uint16_t method;              /* 0 stored, 8 deflated */
    uint32_t crc32;
    uint32_t packed_bytes;
    uint32_t bytes;
    uint32_t offset; /* of the local header */
};

/* sb_zip_list: members [SB_ZIP_MEMBERS_MAX] from the central directory; more are an error. */
sb_err sb_zip_list(struct sb_zip_member *ret_members, uint32_t *ret_count, sb_bytes file,
                   struct sb_diag *diag) SB_MUST_USE;

/* sb_zip_read: the bytes of a member, checked against its CRC; the caller frees them. A member may not be larger than the data set limit. */
sb_err sb_zip_read(uint8_t **ret_data, size_t *ret_len, sb_bytes file,
                   const struct sb_zip_member *member, struct sb_diag *diag) SB_MUST_USE;

#endif
