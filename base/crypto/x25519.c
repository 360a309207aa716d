/* x25519.c: see x25519.h. libsodium's crypto_scalarmult itself refuses a result of zero. */
#include "base/crypto/x25519.h"

#include <sodium.h>

void sb_x25519_public(uint8_t ret[SB_X25519_BYTES], const uint8_t secret[SB_X25519_BYTES])
{
    (void)crypto_scalarmult_base(ret, secret);
}

bool sb_x25519(uint8_t ret[SB_X25519_BYTES], const uint8_t secret[SB_X25519_BYTES],
               const uint8_t public_key[SB_X25519_BYTES])
{
    return crypto_scalarmult(ret, secret, public_key) == 0;
}
