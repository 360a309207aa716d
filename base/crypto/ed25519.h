/* ed25519.h: validators' signatures: Ed25519 by libsodium. Part of sb_crypto.
 *
 * The rule of acceptance is consensus-critical and is exactly that of libsodium's crypto_sign_verify_detached: without cofactor; refused
 * are S >= L, non-canonical encodings of A, and A or R of small order. Nothing else in the project decides whether a signature is valid. */
#ifndef SB_BASE_CRYPTO_ED25519_H
#define SB_BASE_CRYPTO_ED25519_H

#include <stdbool.h>

#include "base/util/span.h"

#define SB_ED25519_SEED_BYTES      32
#define SB_ED25519_PUBLIC_BYTES    32
#define SB_ED25519_SECRET_BYTES    64 /* seed || public key */
#define SB_ED25519_SIGNATURE_BYTES 64

/* sb_ed25519_keypair: key pair of a seed (RFC 8032, 5.1.5). */
void sb_ed25519_keypair(uint8_t ret_public[SB_ED25519_PUBLIC_BYTES],
                        uint8_t ret_secret[SB_ED25519_SECRET_BYTES],
                        const uint8_t seed[SB_ED25519_SEED_BYTES]);
/* sb_ed25519_sign: detached, deterministic signature of the message. */
void sb_ed25519_sign(uint8_t ret[SB_ED25519_SIGNATURE_BYTES],
                     const uint8_t secret[SB_ED25519_SECRET_BYTES], sb_bytes message);
/* sb_ed25519_verify: signature of message by public_key, by the rule above. */
bool sb_ed25519_verify(const uint8_t signature[SB_ED25519_SIGNATURE_BYTES], sb_bytes message,
                       const uint8_t public_key[SB_ED25519_PUBLIC_BYTES]);

#endif
