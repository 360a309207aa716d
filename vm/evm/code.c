/* code.c: analysis of code and its cache; see code.h. */
#include "vm/evm/code.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/evm/opcodes.h"

static struct sb_code **place_of(struct sb_code_cache *cache, const sb_hash *hash)
{
    return &cache->places[le_load32(hash->b) & (SB_CODE_CACHE_PLACES - 1)];
}

struct sb_code *sb_code_find(struct sb_code_cache *cache, const sb_hash *hash)
{
    struct sb_code *code = *place_of(cache, hash);
    if (code == NULL || !sb_hash_equal(&code->hash, hash)) {
        return NULL;
    }
    code->users++;
    return code;
}

static void mark_jumpdests(struct sb_code *code)
{
    for (size_t pc = 0; pc < code->len; pc++) {
        uint8_t op = code->bytes[pc];
        if (op == SB_OP_JUMPDEST) {
            code->jumpdests[pc / 8] = (uint8_t)(code->jumpdests[pc / 8] | 1u << (pc % 8));
        } else if (op >= SB_OP_PUSH1 && op <= SB_OP_PUSH32) {
            pc += (size_t)(op - SB_OP_PUSH1) + 1;
        }
    }
}

struct sb_code *sb_code_prepare(struct sb_code_cache *cache, const sb_hash *hash, sb_bytes bytes)
{
    struct sb_code *code = NULL;
    size_t padded = bytes.len + SB_CODE_PADDING_BYTES;
    size_t bitmap = bytes.len / 8 + 1;
    if (bytes.len > SIZE_MAX / 4) {
        return NULL;
    }
    code = calloc(1, sizeof *code + padded + bitmap);
    if (code == NULL) {
        return NULL;
    }
    code->len = bytes.len;
    code->users = 1;
    code->jumpdests = code->bytes + padded;
    sb_copy(code->bytes, bytes.data, bytes.len);
    mark_jumpdests(code);
    if (hash == NULL || bytes.len > SB_CODE_CACHED_BYTES_MAX) {
        return code;
    }
    struct sb_code **place = place_of(cache, hash);
    if (*place == NULL || (*place)->users == 0) {
        free(*place);
        *place = code;
        code->hash = *hash;
        code->is_cached = true;
    }
    return code;
}

void sb_code_release(struct sb_code *code)
{
    SB_ASSERT(code->users > 0);
    code->users--;
    if (code->users == 0 && !code->is_cached) {
        free(code);
    }
}

void sb_code_cache_fini(struct sb_code_cache *cache)
{
    for (size_t i = 0; i < SB_CODE_CACHE_PLACES; i++) {
        free(cache->places[i]);
        cache->places[i] = NULL;
    }
}
