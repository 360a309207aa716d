/* fuzz_evidence.c: any evidence that decodes encodes to the same bytes, is of a height, and a lunatic's names its header. */
#include <stdint.h>
#include <stdlib.h>

#include "base/types/consensus.h"

static bool names_header(const struct sb_evidence *evidence)
{
    if (evidence->kind != SB_EVIDENCE_LUNATIC) {
        return true;
    }
    sb_hash id = sb_consensus_block_id(&evidence->header);
    return sb_hash_equal(&id, &evidence->a.block_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    struct sb_buf out;
    struct sb_evidence value;
    sb_arena_init(&arena, (size_t)1 << 26);
    sb_buf_init(&out, SIZE_MAX);
    if (sb_evidence_decode(&value, sb_span(data, size), NULL) == SB_OK) {
        sb_evidence_encode(&out, &value);
        if (!sb_span_equal(sb_buf_bytes(&out), sb_span(data, size))) {
            abort();
        }
        if (sb_evidence_height(&value) == 0 || !names_header(&value)) {
            abort();
        }
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
    return 0;
}
