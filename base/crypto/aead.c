/* aead.c: see aead.h. */
#include "base/crypto/aead.h"

#include <sodium.h>

#include "base/util/assert.h"

SB_STATIC_ASSERT(crypto_aead_chacha20poly1305_ietf_KEYBYTES == SB_AEAD_KEY_BYTES, "key size");
SB_STATIC_ASSERT(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == SB_AEAD_NONCE_BYTES, "nonce size");
SB_STATIC_ASSERT(crypto_aead_chacha20poly1305_ietf_ABYTES == SB_AEAD_TAG_BYTES, "tag size");

void sb_aead_seal(uint8_t *ret, const uint8_t key[SB_AEAD_KEY_BYTES],
                  const uint8_t nonce[SB_AEAD_NONCE_BYTES], sb_bytes ad, sb_bytes plain)
{
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(ret, NULL, plain.data, plain.len, ad.data,
                                                    ad.len, NULL, nonce, key);
}

bool sb_aead_open(uint8_t *ret, const uint8_t key[SB_AEAD_KEY_BYTES],
                  const uint8_t nonce[SB_AEAD_NONCE_BYTES], sb_bytes ad, sb_bytes sealed)
{
    return sealed.len >= SB_AEAD_TAG_BYTES &&
           crypto_aead_chacha20poly1305_ietf_decrypt(ret, NULL, NULL, sealed.data, sealed.len,
                                                     ad.data, ad.len, nonce, key) == 0;
}
