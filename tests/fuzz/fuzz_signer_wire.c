/* fuzz_signer_wire.c: any message between node and signer that decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "node/signer_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_signer_message message;
    sb_bytes frame;
    size_t used;
    sb_err err;
    (void)sb_signer_frame_take(&frame, &used, &err, sb_span(data, size));
    if (size <= SB_SIGNER_FRAME_BYTES_MAX &&
        sb_signer_message_decode(&message, sb_span(data, size), NULL) == SB_OK) {
        struct sb_buf out;
        sb_buf_init(&out, SIZE_MAX);
        sb_signer_message_encode(&out, &message);
        if (!sb_signer_frame_take(&frame, &used, &err, sb_buf_bytes(&out)) ||
            !sb_span_equal(frame, sb_span(data, size))) {
            abort();
        }
        sb_buf_fini(&out);
    }
    return 0;
}
