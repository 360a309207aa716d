/* fuzz_cid.c: any text and bytes through the CID readers; what is accepted must format to the same text. */
#include "base/codec/cid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_cid cid;
    char text[SB_CID_TEXT_LEN + 1];
    if (sb_cid_parse(&cid, (const char *)data, size) == SB_OK) {
        sb_cid_format(text, &cid);
        if (memcmp(text, data, SB_CID_TEXT_LEN) != 0) {
            abort();
        }
    }
    if (sb_cid_load(&cid, sb_span(data, size)) == SB_OK) {
        uint8_t bytes[SB_CID_BYTES];
        sb_cid_store(bytes, &cid);
        if (memcmp(bytes, data, SB_CID_BYTES) != 0) {
            abort();
        }
    }
    uint64_t value;
    size_t len;
    if (sb_varint_load(&value, &len, sb_span(data, size)) == SB_OK) {
        uint8_t bytes[SB_VARINT_BYTES_MAX];
        if (sb_varint_store(bytes, value) != len || memcmp(bytes, data, len) != 0) {
            abort();
        }
    }
    return 0;
}
