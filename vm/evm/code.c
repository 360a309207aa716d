/* code.c: analysis of code and its cache; see code.h. */
#include "vm/evm/code.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/evm/opcodes.h"

void sb_code_cache_init(struct sb_code_cache *cache)
{
    memset(cache, 0, sizeof *cache);
    /* Where the system put us is as good a secret as any: it only picks places. */
    cache->key = sb_table_key_make((uint64_t)(uintptr_t)cache);
}

void sb_code_cache_fini(struct sb_code_cache *cache)
{
    while (cache->oldest != NULL) {
        struct sb_code *code = cache->oldest;
        cache->oldest = code->newer;
        free(code);
    }
    sb_code_cache_init(cache);
}

static struct sb_code **place_of(struct sb_code_cache *cache, const sb_hash *hash)
{
    return &cache->places[sb_table_hash_hash(&cache->key, hash) & (SB_CODE_CACHE_PLACES - 1)];
}

static void unlink_use(struct sb_code_cache *cache, struct sb_code *code)
{
    *(code->newer != NULL ? &code->newer->older : &cache->newest) = code->older;
    *(code->older != NULL ? &code->older->newer : &cache->oldest) = code->newer;
}

static void link_newest(struct sb_code_cache *cache, struct sb_code *code)
{
    code->newer = NULL;
    code->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = code;
    cache->newest = code;
}

static void evict(struct sb_code_cache *cache, struct sb_code *code)
{
    struct sb_code **at = place_of(cache, &code->hash);
    while (*at != code) {
        at = &(*at)->next_in_place;
    }
    *at = code->next_in_place;
    unlink_use(cache, code);
    cache->bytes -= code->allocated_bytes;
    free(code);
}

/* Keep newly prepared code, and let go of the least recently used that nobody runs until all fits. */
static void keep(struct sb_code_cache *cache, struct sb_code *fresh, const sb_hash *hash)
{
    struct sb_code **place = place_of(cache, hash);
    fresh->hash = *hash;
    fresh->is_cached = true;
    fresh->next_in_place = *place;
    *place = fresh;
    link_newest(cache, fresh);
    cache->bytes += fresh->allocated_bytes;
    struct sb_code *code = cache->oldest;
    while (code != NULL && cache->bytes > SB_CODE_CACHE_BYTES_MAX) {
        struct sb_code *newer = code->newer;
        if (code->users == 0) {
            evict(cache, code);
        }
        code = newer;
    }
}

struct sb_code *sb_code_find(struct sb_code_cache *cache, const sb_hash *hash)
{
    struct sb_code *code = *place_of(cache, hash);
    while (code != NULL && !sb_hash_equal(&code->hash, hash)) {
        code = code->next_in_place;
    }
    if (code != NULL) {
        code->users++;
        unlink_use(cache, code);
        link_newest(cache, code);
    }
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
    size_t padded = bytes.len + SB_CODE_PADDING_BYTES;
    size_t bitmap = bytes.len / 8 + 1;
    if (bytes.len > SIZE_MAX / 4) {
        return NULL;
    }
    size_t allocated = sizeof(struct sb_code) + padded + bitmap;
    struct sb_code *code = calloc(1, allocated);
    if (code == NULL) {
        return NULL;
    }
    code->allocated_bytes = allocated;
    code->len = bytes.len;
    code->users = 1;
    code->jumpdests = code->bytes + padded;
    sb_copy(code->bytes, bytes.data, bytes.len);
    mark_jumpdests(code);
    if (hash != NULL) {
        keep(cache, code, hash);
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

static const uint8_t k_delegation_prefix[3] = {0xef, 0x01, 0x00};

bool sb_code_delegate(sb_addr *ret_delegate, sb_bytes code)
{
    if (code.len != SB_DELEGATION_BYTES ||
        memcmp(code.data, k_delegation_prefix, sizeof k_delegation_prefix) != 0) {
        return false;
    }
    if (ret_delegate != NULL) {
        memcpy(ret_delegate->b, code.data + sizeof k_delegation_prefix, sizeof ret_delegate->b);
    }
    return true;
}

void sb_code_delegation_make(uint8_t ret_code[SB_DELEGATION_BYTES], const sb_addr *delegate)
{
    memcpy(ret_code, k_delegation_prefix, sizeof k_delegation_prefix);
    memcpy(ret_code + sizeof k_delegation_prefix, delegate->b, sizeof delegate->b);
}
