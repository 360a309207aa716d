/* ecvrf.h: a verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381). Part of sb_crypto.
 *
 *      secret, alpha --prove--> pi (80 bytes)        public key, alpha, pi --verify--> beta (64 bytes), or no
 *
 * For a key and an alpha there is one beta, and nobody can tell it before pi is known. Consensus-critical: verification accepts what
 * section 5.3 of the RFC accepts with validate_key, except that public key and Gamma must lie in the prime-order subgroup, where every
 * key of RFC 8032 and every proof of section 5.1 has them, and that c and s are not 0, which no proof has that anybody can make. So one
 * rule decides, and pi has one form (s < L, canonical points). docs/spec/randomness.md.
 *
 * A key that proves may sign with Ed25519, too, but never a message of exactly 32 bytes: its nonce would be that of a proof whose H is
 * this message. All that a validator's key signs is longer. */
#ifndef SB_BASE_CRYPTO_ECVRF_H
#define SB_BASE_CRYPTO_ECVRF_H

#include <stdbool.h>

#include "base/crypto/ed25519.h"

#define SB_ECVRF_PROOF_BYTES 80 /* Gamma (32) || c (16) || s (32) */
#define SB_ECVRF_HASH_BYTES  64

/* sb_ecvrf_prove: the proof for alpha under an ed25519 secret (seed || public key). Time depends on the public values alone.
 * false: no point was found for alpha in 256 tries, or the public key is not the seed's (cannot happen with a generated key). */
bool sb_ecvrf_prove(uint8_t ret_proof[SB_ECVRF_PROOF_BYTES],
                    const uint8_t secret[SB_ED25519_SECRET_BYTES], sb_bytes alpha);
/* sb_ecvrf_verify: whether the proof is valid; then *ret_hash is beta. */
bool sb_ecvrf_verify(uint8_t ret_hash[SB_ECVRF_HASH_BYTES],
                     const uint8_t public_key[SB_ED25519_PUBLIC_BYTES], sb_bytes alpha,
                     const uint8_t proof[SB_ECVRF_PROOF_BYTES]);

#endif
