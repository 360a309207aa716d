/* ed25519.c: libsodium's crypto_sign, nothing added; see ed25519.h. */
#include "base/crypto/ed25519.h"

#include <sodium.h>

#include "base/util/assert.h"

SB_STATIC_ASSERT(SB_ED25519_SEED_BYTES == crypto_sign_SEEDBYTES, "seed size");
SB_STATIC_ASSERT(SB_ED25519_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "public key size");
SB_STATIC_ASSERT(SB_ED25519_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "secret key size");
SB_STATIC_ASSERT(SB_ED25519_SIGNATURE_BYTES == crypto_sign_BYTES, "signature size");

void sb_ed25519_keypair(uint8_t ret_public[SB_ED25519_PUBLIC_BYTES],
                        uint8_t ret_secret[SB_ED25519_SECRET_BYTES],
                        const uint8_t seed[SB_ED25519_SEED_BYTES])
{
    int status = crypto_sign_seed_keypair(ret_public, ret_secret, seed);
    SB_ASSERT(status == 0);
}

void sb_ed25519_sign(uint8_t ret[SB_ED25519_SIGNATURE_BYTES],
                     const uint8_t secret[SB_ED25519_SECRET_BYTES], sb_bytes message)
{
    int status = crypto_sign_detached(ret, NULL, message.data, message.len, secret);
    SB_ASSERT(status == 0);
}

bool sb_ed25519_verify(const uint8_t signature[SB_ED25519_SIGNATURE_BYTES], sb_bytes message,
                       const uint8_t public_key[SB_ED25519_PUBLIC_BYTES])
{
    return crypto_sign_verify_detached(signature, message.data, message.len, public_key) == 0;
}
