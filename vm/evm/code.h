/* code.h: code prepared for execution, and the cache of it.
 *
 *     bytes      [ code ............. | 33 x 0x00 ]     so that a PUSH at the end reads zeros and running off the end is STOP
 *     jumpdests  one bit for each byte: a JUMPDEST that is not push data
 *
 * Preparing is one pass, but a warm call costs 100 gas and may lead to 24 KiB of code: prepared code is found again by its hash, and the
 * least recently used goes only when the cache is full. It is large enough that a transaction of 2^24 gas cannot pay for the cold
 * accesses (2,600 each) that would fill it. Code that a frame is running stays. */
#ifndef SB_VM_EVM_CODE_H
#define SB_VM_EVM_CODE_H

#include "base/types/hash.h"
#include "base/util/span.h"
#include "vm/state/table.h"

#define SB_CODE_PADDING_BYTES   33
#define SB_CODE_CACHE_PLACES    4096 /* power of two */
#define SB_CODE_CACHE_BYTES_MAX ((size_t)192 << 20)

struct sb_code {
    sb_hash hash; /* meaningful if is_cached; and so are the links */
    struct sb_code *next_in_place;
    struct sb_code *newer, *older; /* by last use */
    size_t len;                    /* without padding */
    size_t allocated_bytes;
    uint32_t users;
    bool is_cached;
    uint8_t *jumpdests; /* inside this allocation */
    uint8_t bytes[];
};

struct sb_code_cache {
    struct sb_code *places[SB_CODE_CACHE_PLACES]; /* owned */
    struct sb_code *newest, *oldest;
    size_t bytes;
    struct sb_table_key key;
};

/* sb_code_cache_init: empty. sb_code_cache_fini: give the memory back; no code is in use. */
void sb_code_cache_init(struct sb_code_cache *cache);
void sb_code_cache_fini(struct sb_code_cache *cache);
/* sb_code_find: the prepared code with this hash, now used once more; NULL if it is not cached. */
struct sb_code *sb_code_find(struct sb_code_cache *cache, const sb_hash *hash);
/* sb_code_prepare: analyse the code bytes. hash NULL (initcode): not cached. NULL when out of memory. Give back by release. */
struct sb_code *sb_code_prepare(struct sb_code_cache *cache, const sb_hash *hash, sb_bytes bytes);
void sb_code_release(struct sb_code *code);

/* Delegations of accounts to code (EIP-7702): the code 0xef0100 || address. sb_code_delegate: whether code is one; the address goes to
 * *ret_delegate (may be NULL). */
#define SB_DELEGATION_BYTES 23
bool sb_code_delegate(sb_addr *ret_delegate, sb_bytes code);
void sb_code_delegation_make(uint8_t ret_code[SB_DELEGATION_BYTES], const sb_addr *delegate);

static inline bool sb_code_is_jumpdest(const struct sb_code *code, uint64_t pc)
{
    return pc < code->len && (code->jumpdests[pc / 8] >> (pc % 8) & 1) != 0;
}

#endif
