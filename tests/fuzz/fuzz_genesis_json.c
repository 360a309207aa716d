/* fuzz_genesis_json.c: any genesis.json that is accepted has a hash, and what is written from it is accepted with the same hash. */
#include <stdint.h>
#include <stdlib.h>

#include "node/genesis_json.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_arena arena;
    struct sb_genesis genesis;
    struct sb_diag diag = {.text = ""};
    sb_arena_init(&arena, (size_t)1 << 26);
    if (sb_genesis_parse(&genesis, &arena, sb_span(data, size), &diag) != SB_OK) {
        require(diag.text[0] != '\0');
    } else if (genesis.config.chain_id <= INT64_MAX) {
        struct sb_genesis back;
        struct sb_buf out;
        sb_hash first;
        sb_hash second;
        sb_buf_init(&out, SB_GENESIS_JSON_BYTES_MAX);
        sb_genesis_emit(&out, &genesis);
        require(sb_genesis_parse(&back, &arena, sb_buf_bytes(&out), &diag) == SB_OK);
        require(sb_genesis_hash(&first, &genesis) == SB_OK &&
                sb_genesis_hash(&second, &back) == SB_OK);
        require(sb_hash_equal(&first, &second));
        sb_buf_fini(&out);
    }
    sb_arena_fini(&arena);
    return 0;
}
