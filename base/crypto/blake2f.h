/* blake2f.h: the compression function F of BLAKE2b with any number of rounds (RFC 7693, 3.2; EIP-152). Plain C, part of sb_base. */
#ifndef SB_BASE_CRYPTO_BLAKE2F_H
#define SB_BASE_CRYPTO_BLAKE2F_H

#include <stdbool.h>
#include <stdint.h>

/* sb_blake2f: h = F(h, m, offset counter t, final flag) with so many rounds (BLAKE2b has 12). Words are numbers: the caller reads them
 * from little-endian bytes. */
void sb_blake2f(uint64_t h[8], const uint64_t m[16], const uint64_t t[2], bool is_final,
                uint32_t rounds);

#endif
