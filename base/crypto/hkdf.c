/* hkdf.c: see hkdf.h.
 *
 *     PRK = HMAC(salt, input);  T(0) = "";  T(i) = HMAC(PRK, T(i-1) || info || i);  output = T(1) || T(2) || ... */
#include "base/crypto/hkdf.h"

#include <sodium.h>

#define BLOCK_BYTES crypto_auth_hmacsha256_BYTES

bool sb_hkdf_sha256(uint8_t *ret, size_t ret_len, sb_bytes salt, sb_bytes input, sb_bytes info)
{
    if (ret_len > SB_HKDF_BYTES_MAX) {
        return false;
    }
    uint8_t prk[BLOCK_BYTES];
    uint8_t block[BLOCK_BYTES];
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, salt.data, salt.len);
    (void)crypto_auth_hmacsha256_update(&state, input.data, input.len);
    (void)crypto_auth_hmacsha256_final(&state, prk);
    size_t block_len = 0; /* T(0) is empty */
    uint8_t counter = 1;
    for (size_t done = 0; done < ret_len; done += BLOCK_BYTES, counter++) {
        (void)crypto_auth_hmacsha256_init(&state, prk, sizeof prk);
        (void)crypto_auth_hmacsha256_update(&state, block, block_len);
        (void)crypto_auth_hmacsha256_update(&state, info.data, info.len);
        (void)crypto_auth_hmacsha256_update(&state, &counter, 1);
        (void)crypto_auth_hmacsha256_final(&state, block);
        block_len = sizeof block;
        sb_copy(ret + done, block, ret_len - done < BLOCK_BYTES ? ret_len - done : BLOCK_BYTES);
    }
    sodium_memzero(&state, sizeof state);
    sodium_memzero(prk, sizeof prk);
    sodium_memzero(block, sizeof block);
    return true;
}
