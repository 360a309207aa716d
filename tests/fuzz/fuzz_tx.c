/* fuzz_tx.c: any transaction that decodes encodes to the same bytes; recovering its sender is total. */
#include <stdint.h>
#include <stdlib.h>

#include "base/types/tx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    struct sb_buf out;
    struct sb_tx value;
    sb_arena_init(&arena, (size_t)1 << 26);
    sb_buf_init(&out, SIZE_MAX);
    if (sb_tx_decode(&value, &arena, sb_span(data, size), NULL) == SB_OK) {
        sb_tx_encode(&out, &value);
        if (!sb_span_equal(sb_buf_bytes(&out), sb_span(data, size))) {
            abort();
        }
        sb_addr sender;
        (void)!sb_tx_sender(&sender, &value);
        for (size_t i = 0; i < value.authorization_count; i++) {
            (void)!sb_authorization_authority(&sender, &value.authorizations[i]);
        }
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
    return 0;
}
