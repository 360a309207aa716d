/* fuzz_messages.c: any message between replicas that decodes encodes to the same bytes. The first byte names the channel. */
#include <stdint.h>
#include <stdlib.h>

#include "node/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    struct sb_buf out;
    struct sb_message message;
    if (size == 0) {
        return 0;
    }
    enum sb_channel channel = (enum sb_channel)(data[0] % SB_CHANNEL_COUNT);
    sb_bytes raw = sb_span(data + 1, size - 1);
    sb_arena_init(&arena, (size_t)1 << 20);
    sb_buf_init(&out, SIZE_MAX);
    if (sb_message_decode(&message, &arena, channel, raw, NULL) == SB_OK) {
        sb_message_encode(&out, &message);
        if (!sb_span_equal(sb_buf_bytes(&out), raw)) {
            abort();
        }
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
    return 0;
}
