/* secp256k1.h: account signatures: ECDSA over secp256k1 by libsecp256k1. Part of sb_crypto.
 *
 * Signatures are 64 bytes r || s, big-endian, and a recovery id 0..3 (bit 0: y of R is odd; bit 1: x of R is r + n). Signing is
 * deterministic (RFC 6979) with s in the lower half. What may be recovered is the EVM's rule: r and s in [1, n-1], s of either
 * half; the lower-half rule of transactions is asked with sb_secp256k1_is_low_s.
 * Verification and recovery need no state. Work with secrets needs a context, which is blinded against side channels; after its
 * creation it is read-only, so threads may share it. */
#ifndef SB_BASE_CRYPTO_SECP256K1_H
#define SB_BASE_CRYPTO_SECP256K1_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

#define SB_SECP256K1_SECRET_BYTES    32
#define SB_SECP256K1_PUBLIC_BYTES    64 /* x || y, without the 0x04 prefix */
#define SB_SECP256K1_SIGNATURE_BYTES 64

struct sb_secp256k1_signature {
    uint8_t rs[SB_SECP256K1_SIGNATURE_BYTES];
    uint8_t recovery_id;
};

struct sb_secp256k1;

/* sb_secp256k1_new: context for work with secrets, owned by the caller. seed: 32 random bytes for blinding, or NULL for none (tests;
 * the results are the same). NULL when out of memory. */
struct sb_secp256k1 *sb_secp256k1_new(const uint8_t seed[32]);
void sb_secp256k1_free(struct sb_secp256k1 *ctx);

/* sb_secp256k1_public_key: point of a secret. SB_E_RANGE for secrets that are 0 or not below the group order. */
sb_err sb_secp256k1_public_key(uint8_t ret_public[SB_SECP256K1_PUBLIC_BYTES],
                               const struct sb_secp256k1 *ctx,
                               const uint8_t secret[SB_SECP256K1_SECRET_BYTES]) SB_MUST_USE;
/* sb_secp256k1_address: last 20 bytes of keccak256 of the public key. sb_secp256k1_secret_address: of a secret's; SB_E_RANGE as above. */
sb_addr sb_secp256k1_address(const uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES]);
sb_err sb_secp256k1_secret_address(sb_addr *ret, const struct sb_secp256k1 *ctx,
                                   const uint8_t secret[SB_SECP256K1_SECRET_BYTES]) SB_MUST_USE;

/* sb_secp256k1_sign: signature of a 32-byte hash. SB_E_RANGE for a bad secret. */
sb_err sb_secp256k1_sign(struct sb_secp256k1_signature *ret, const struct sb_secp256k1 *ctx,
                         const uint8_t secret[SB_SECP256K1_SECRET_BYTES],
                         const sb_hash *hash) SB_MUST_USE;

/* sb_secp256k1_verify: rs is a signature of hash by public_key; s of either half is accepted. False also for bytes that are no point. */
bool sb_secp256k1_verify(const uint8_t rs[SB_SECP256K1_SIGNATURE_BYTES], const sb_hash *hash,
                         const uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES]);

/* sb_secp256k1_recover, sb_secp256k1_recover_address: who signed hash. SB_E_SIGNATURE when nobody can have (r or s out of range, r no
 * x of a point, recovery id over 3, or the point at infinity). */
sb_err sb_secp256k1_recover(uint8_t ret_public[SB_SECP256K1_PUBLIC_BYTES],
                            const struct sb_secp256k1_signature *signature,
                            const sb_hash *hash) SB_MUST_USE;
sb_err sb_secp256k1_recover_address(sb_addr *ret, const struct sb_secp256k1_signature *signature,
                                    const sb_hash *hash) SB_MUST_USE;

/* sb_secp256k1_is_low_s: s <= n/2 (EIP-2). */
bool sb_secp256k1_is_low_s(const uint8_t rs[SB_SECP256K1_SIGNATURE_BYTES]);

#endif
