/* fuzz_subtree.c: requests and answers of a state sync: what decodes encodes to the same bytes, what is taken is what the reference names. */
#include "base/util/assert.h"
#include "storage/subtree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(sb_bytes raw)
{
    struct sb_subtree_request decoded;
    uint8_t memory[SB_SUBTREE_REQUEST_BYTES_MAX];
    if (sb_subtree_request_decode(&decoded, raw) == SB_OK) {
        struct sb_buf out = sb_buf_over(memory, sizeof memory);
        sb_subtree_request_encode(&out, &decoded);
        SB_ASSERT(sb_buf_err(&out) == SB_OK && sb_span_equal(sb_buf_bytes(&out), raw));
    }
}

/* The first byte says what is asked for: kind, and how long the path is. Against a made-up reference every answer must be refused. */
static void answer(uint8_t choice, sb_bytes raw)
{
    struct sb_subtree_request asked = {
        .kind = (enum sb_subtree_kind)(SB_SUBTREE_ACCOUNTS + choice % 4)};
    struct sb_trie_ref ref = {.len = 32, .bytes = {1, 2, 3}};
    struct sb_subtree subtree;
    struct sb_arena arena;
    struct sb_diag diag;
    if (asked.kind == SB_SUBTREE_ACCOUNTS || asked.kind == SB_SUBTREE_STORAGE) {
        asked.path.count = (uint8_t)(choice >> 2);
    }
    sb_arena_init(&arena, (size_t)1 << 24);
    sb_err err = sb_subtree_check(&subtree, &arena, &asked, &ref, raw, &diag);
    SB_ASSERT(err == SB_E_REFUSED || err == SB_E_NOMEM);
    sb_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_bytes raw = sb_span(data, size);
    request(raw);
    if (size > 0) {
        answer(data[0], sb_span_slice(raw, 1, SIZE_MAX));
    }
    return 0;
}
