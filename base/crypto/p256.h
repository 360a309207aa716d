/* p256.h: ECDSA verification over NIST P-256 on nettle's curve, as P256VERIFY wants it (EIP-7951). Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_P256_H
#define SB_BASE_CRYPTO_P256_H

#include <stdbool.h>
#include <stdint.h>

/* sb_p256_verify: (r, s) is a signature of the 32-byte hash by the public key (x, y); all numbers 32 bytes big-endian. False when r or
 * s is not in [1, n-1], x or y not below p, (x, y) not on the curve or (0, 0), or the equation does not hold. s of either half is
 * accepted. Not constant time: all inputs are public. */
bool sb_p256_verify(const uint8_t hash[32], const uint8_t r[32], const uint8_t s[32],
                    const uint8_t x[32], const uint8_t y[32]);

#endif
