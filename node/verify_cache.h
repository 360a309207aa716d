/* verify_cache.h: the rules of signatures and of proofs of randomness, remembering what they have accepted, so that a precommit which
 * was checked as a vote is not checked again in a commit or a certificate, nor the proof of a block in each round that proposes it.
 *
 *      keccak256(len || message || key type || key || signature)  ->  a table of 4 places a row, oldest out
 *      the same of alpha and proof                                ->  beta: a ring of some places
 *
 * Only what is valid is remembered, so an answer never differs from the rule inside. One cache serves driver and chain (one thread). */
#ifndef SB_NODE_VERIFY_CACHE_H
#define SB_NODE_VERIFY_CACHE_H

#include "base/types/consensus.h"

/* Room for the votes of the largest set over a few rounds of two heights. */
#define SB_VERIFY_CACHE_ENTRIES 4096

struct sb_verify_cache;

struct sb_verify_cache_counters {
    uint64_t hits;
    uint64_t misses;
    uint64_t randomness_hits;
    uint64_t randomness_misses;
};

/* sb_verify_cache_new: entries is rounded up to a power of two, at least 4. NULL when out of memory. Owned by the caller. */
struct sb_verify_cache *sb_verify_cache_new(const struct sb_verifier *inner, size_t entries);
void sb_verify_cache_free(struct sb_verify_cache *cache);
/* sb_verify_cache_verifier: the table; valid while the cache is. */
struct sb_verifier sb_verify_cache_verifier(struct sb_verify_cache *cache);
struct sb_verify_cache_counters sb_verify_cache_counters(const struct sb_verify_cache *cache);

#endif
