/* fuzz_bft_input.c: journaled consensus inputs: whatever decodes encodes to the same bytes. */
#include "base/util/assert.h"
#include "consensus/bft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 20);
    struct sb_bft_input input;
    if (sb_bft_input_decode(&input, &arena, sb_span(data, size), NULL) == SB_OK) {
        struct sb_buf buf;
        sb_buf_init(&buf, 1 << 20);
        sb_bft_input_encode(&buf, &input);
        SB_ASSERT(sb_buf_err(&buf) == SB_OK);
        SB_ASSERT(sb_span_equal(sb_buf_bytes(&buf), sb_span(data, size)));
        sb_buf_fini(&buf);
    }
    sb_arena_fini(&arena);
    return 0;
}
