/* x25519.h: key agreement of peers: X25519 (RFC 7748) by libsodium. Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_X25519_H
#define SB_BASE_CRYPTO_X25519_H

#include <stdbool.h>
#include <stdint.h>

#define SB_X25519_BYTES 32

/* sb_x25519_public: the public key of a secret (any 32 bytes; clamped inside). */
void sb_x25519_public(uint8_t ret[SB_X25519_BYTES], const uint8_t secret[SB_X25519_BYTES]);
/* sb_x25519: the shared secret of an own secret and a peer's public key, any 32 bytes. false for a public key of small order, whose
 * shared secret would be zero: ret is then worthless and the peer must be refused. */
bool sb_x25519(uint8_t ret[SB_X25519_BYTES], const uint8_t secret[SB_X25519_BYTES],
               const uint8_t public_key[SB_X25519_BYTES]);

#endif
