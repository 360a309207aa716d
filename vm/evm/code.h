/* code.h: code prepared for execution, and the cache of it.
 *
 *     bytes      [ code ............. | 33 x 0x00 ]     so that a PUSH at the end reads zeros and running off the end is STOP
 *     jumpdests  one bit for each byte: a JUMPDEST that is not push data
 *
 * Preparing is one pass. Prepared code is found again by its hash in a direct-mapped cache: a newcomer takes the place of whoever is
 * there, unless a frame is running that one; then the newcomer lives only as long as its own frame. So memory is bounded by
 * SB_CODE_CACHE_PLACES and the depth of calls. */
#ifndef SB_VM_EVM_CODE_H
#define SB_VM_EVM_CODE_H

#include "base/types/hash.h"
#include "base/util/span.h"

#define SB_CODE_PADDING_BYTES    33
#define SB_CODE_CACHE_PLACES     1024                /* power of two */
#define SB_CODE_CACHED_BYTES_MAX ((size_t)64 * 1024) /* longer code is not kept */

struct sb_code {
    sb_hash hash; /* meaningful if is_cached */
    size_t len;   /* without padding */
    uint32_t users;
    bool is_cached;
    uint8_t *jumpdests; /* inside this allocation */
    uint8_t bytes[];
};

struct sb_code_cache {
    struct sb_code *places[SB_CODE_CACHE_PLACES]; /* owned */
};

/* sb_code_find: the prepared code with this hash, now used once more; NULL if it is not cached. */
struct sb_code *sb_code_find(struct sb_code_cache *cache, const sb_hash *hash);
/* sb_code_prepare: analyse code. hash NULL (initcode) or no free place: not cached. NULL when out of memory. Give back by release. */
struct sb_code *sb_code_prepare(struct sb_code_cache *cache, const sb_hash *hash, sb_bytes code);
void sb_code_release(struct sb_code *code);
void sb_code_cache_fini(struct sb_code_cache *cache);

static inline bool sb_code_is_jumpdest(const struct sb_code *code, uint64_t pc)
{
    return pc < code->len && (code->jumpdests[pc / 8] >> (pc % 8) & 1) != 0;
}

#endif
