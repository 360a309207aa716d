/* fuzz_inference_proof.c: any inference proof that decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "consensus/inference_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    struct sb_buf out;
    struct sb_inference_proof value;
    sb_arena_init(&arena, (size_t)1 << 26);
    sb_buf_init(&out, SIZE_MAX);
    if (sb_inference_proof_decode(&value, &arena, sb_span(data, size), NULL) == SB_OK) {
        sb_inference_proof_encode(&out, &value);
        if (!sb_span_equal(sb_buf_bytes(&out), sb_span(data, size))) {
            abort();
        }
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
    return 0;
}
