/* keccak.h: Keccak-256 with the original 0x01 padding, the hash of Ethereum (Yellow Paper; FIPS 202 uses 0x06 instead).
 *
 * One-shot, incremental and multi-message forms give the same bytes. sb_keccak256_multi is the door for the 4-way and 8-way SIMD
 * kernels: callers that have several messages (trie levels) hand them over together. */
#ifndef SB_BASE_CRYPTO_KECCAK_H
#define SB_BASE_CRYPTO_KECCAK_H

#include "base/types/hash.h"
#include "base/util/span.h"

#define SB_KECCAK256_RATE_BYTES 136

struct sb_keccak {
    uint64_t state[25];
    size_t absorbed; /* bytes of the current block, < SB_KECCAK256_RATE_BYTES */
};

/* sb_keccak256: hash of one message. */
sb_hash sb_keccak256(sb_bytes message);

/* sb_keccak256_multi: ret[i] = keccak256(messages[i]) for i < count. */
void sb_keccak256_multi(sb_hash *ret, const sb_bytes *messages, size_t count);

/* Incremental form; final leaves the state unusable until the next init. */
void sb_keccak_init(struct sb_keccak *k);
void sb_keccak_update(struct sb_keccak *k, sb_bytes part);
sb_hash sb_keccak_final(struct sb_keccak *k);

#endif
