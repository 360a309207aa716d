/* blake2f.c: BLAKE2F, address 9: the compression function of BLAKE2b (EIP-152).
 *
 *   input, exactly 213 bytes: | rounds 4, big-endian | h 64 | m 128 | t 16 | final flag 1 |      words are little-endian
 *   output: the new h, 64 bytes;  gas: 1 a round */
#include "base/crypto/blake2f.h"
#include "base/util/endian.h"
#include "vm/precompile/functions.h"

#define INPUT_BYTES  213
#define H_OFFSET     4
#define M_OFFSET     68
#define T_OFFSET     196
#define FLAG_OFFSET  212
#define OUTPUT_BYTES 64

static void load_words(uint64_t *ret, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret[i] = le_load64(bytes + 8 * i);
    }
}

sb_err sb_precompile_blake2f(struct sb_precompile_result *ret_result,
                             const struct sb_precompile_call *call)
{
    sb_bytes input = call->message->input;
    if (input.len != INPUT_BYTES || input.data[FLAG_OFFSET] > 1) {
        return sb_precompile_fail(ret_result, call);
    }
    uint32_t rounds = be_load32(input.data);
    if (!sb_precompile_pay(ret_result, call, rounds)) {
        return SB_OK;
    }
    uint64_t h[8];
    uint64_t m[16];
    uint64_t t[2];
    load_words(h, input.data + H_OFFSET, 8);
    load_words(m, input.data + M_OFFSET, 16);
    load_words(t, input.data + T_OFFSET, 2);
    sb_blake2f(h, m, t, input.data[FLAG_OFFSET] == 1, rounds);

    uint8_t *output = sb_arena_alloc(call->arena, OUTPUT_BYTES);
    if (output == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < 8; i++) {
        le_store64(output + 8 * i, h[i]);
    }
    ret_result->output = sb_span(output, OUTPUT_BYTES);
    return SB_OK;
}
