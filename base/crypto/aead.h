/* aead.h: authenticated encryption of peer connections: ChaCha20-Poly1305 (RFC 8439) by libsodium. Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_AEAD_H
#define SB_BASE_CRYPTO_AEAD_H

#include <stdbool.h>

#include "base/util/span.h"

#define SB_AEAD_KEY_BYTES   32
#define SB_AEAD_NONCE_BYTES 12
#define SB_AEAD_TAG_BYTES   16

/* sb_aead_seal: encrypt plain into ret, plain.len + SB_AEAD_TAG_BYTES bytes; ret may be where plain is. A nonce must never be used twice
 * with one key. ad: associated data, authenticated too. */
void sb_aead_seal(uint8_t *ret, const uint8_t key[SB_AEAD_KEY_BYTES],
                  const uint8_t nonce[SB_AEAD_NONCE_BYTES], sb_bytes ad, sb_bytes plain);
/* sb_aead_open: decrypt into ret, sealed.len - SB_AEAD_TAG_BYTES bytes; ret may be where sealed is. false when sealed is shorter than a tag
 * or the tag does not match: nothing of the plain text is then given out. */
bool sb_aead_open(uint8_t *ret, const uint8_t key[SB_AEAD_KEY_BYTES],
                  const uint8_t nonce[SB_AEAD_NONCE_BYTES], sb_bytes ad, sb_bytes sealed);

#endif
