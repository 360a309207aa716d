/* fuzz_tx_message.c: a message of transactions that is read to its end is written again to the same bytes; each of its transactions that
 * decodes encodes to the bytes that it came as. */
#include <stdint.h>
#include <stdlib.h>

#include "base/types/tx.h"
#include "node/tx_message.h"

#define TX_ARENA_BYTES ((size_t)1 << 26)

static void check_tx(sb_bytes raw)
{
    struct sb_arena arena;
    struct sb_tx tx;
    struct sb_buf out;
    sb_arena_init(&arena, TX_ARENA_BYTES);
    sb_buf_init(&out, SIZE_MAX);
    if (sb_tx_decode(&tx, &arena, raw, NULL) == SB_OK) {
        sb_tx_encode(&out, &tx);
        if (!sb_span_equal(sb_buf_bytes(&out), raw)) {
            abort();
        }
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_tx_message message;
    struct sb_buf out;
    sb_bytes raw, whole = sb_span(data, size);
    bool has_one = true;
    if (sb_tx_message_open(&message, whole) != SB_OK) {
        return 0;
    }
    sb_buf_init(&out, SIZE_MAX);
    size_t mark = sb_tx_message_begin(&out);
    sb_err err = SB_OK;
    while (err == SB_OK && has_one) {
        err = sb_tx_message_next(&has_one, &raw, &message);
        if (err == SB_OK && has_one) {
            check_tx(raw);
            sb_tx_message_put(&out, raw);
        }
    }
    if (err == SB_OK &&
        (sb_tx_message_end(&out, mark) != SB_OK || !sb_span_equal(sb_buf_bytes(&out), whole))) {
        abort();
    }
    sb_buf_fini(&out);
    return 0;
}
