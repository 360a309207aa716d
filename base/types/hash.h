/* hash.h: the two fixed-size identifiers of the chain, a 32-byte hash and a 20-byte address. */
#ifndef SB_BASE_TYPES_HASH_H
#define SB_BASE_TYPES_HASH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct sb_hash {
    uint8_t b[32];
} sb_hash;

typedef struct sb_addr {
    uint8_t b[20];
} sb_addr;

static inline bool sb_hash_equal(const sb_hash *a, const sb_hash *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static inline bool sb_addr_equal(const sb_addr *a, const sb_addr *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static inline bool sb_hash_is_zero(const sb_hash *a)
{
    static const sb_hash zero;
    return sb_hash_equal(a, &zero);
}

static inline bool sb_addr_is_zero(const sb_addr *a)
{
    static const sb_addr zero;
    return sb_addr_equal(a, &zero);
}

/* Well-known hashes: keccak256(""), the root of the empty trie = keccak256(rlp("")), keccak256(rlp([])) = no uncles. */
extern const sb_hash sb_hash_keccak_empty;
extern const sb_hash sb_hash_empty_trie;
extern const sb_hash sb_hash_empty_list;
/* sha256(""), the requests hash of a block without requests (EIP-7685). */
extern const sb_hash sb_hash_sha256_empty;

#endif
