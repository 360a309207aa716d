/* fuzz_rotation.c: stored rotations: whatever decodes encodes to the same bytes, and advances without a fault. */
#include "base/util/assert.h"
#include "consensus/proposer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_rotation rotation;
    if (sb_rotation_decode(&rotation, sb_span(data, size), NULL) == SB_OK) {
        struct sb_buf buf;
        sb_buf_init(&buf, 1 << 20);
        sb_rotation_encode(&buf, &rotation);
        SB_ASSERT(sb_buf_err(&buf) == SB_OK);
        SB_ASSERT(sb_span_equal(sb_buf_bytes(&buf), sb_span(data, size)));
        sb_buf_fini(&buf);
        sb_rotation_advance(&rotation, 3);
        SB_ASSERT(sb_rotation_proposer(&rotation, 2) < rotation.set.count);
    }
    return 0;
}
