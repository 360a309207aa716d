/* bn254.h: the pairing curve of Ethereum's first proofs (alt_bn128, BN254): sums, products and pairings of EIP-196 and EIP-197.
 *
 *     G1   y^2 = x^3 + 3           over Fp             x (32 bytes) | y (32)
 *     G2   y^2 = x^3 + 3 / (9 + u) over Fp2            x: u part (32) | real part (32) | y: u part (32) | real part (32)
 *     all numbers big-endian and below p; all zeros is the point at infinity
 *
 * Allocates nothing; not constant time, as all inputs are public. */
#ifndef SB_BASE_CRYPTO_PAIRING_BN254_H
#define SB_BASE_CRYPTO_PAIRING_BN254_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_BN254_G1_BYTES     64
#define SB_BN254_SCALAR_BYTES 32
#define SB_BN254_PAIR_BYTES   192 /* a point of G1, then one of G2 */

/* sb_bn254_add: *ret = a + b. False if either is not a point of the curve. */
bool sb_bn254_add(uint8_t ret[SB_BN254_G1_BYTES], const uint8_t a[SB_BN254_G1_BYTES],
                  const uint8_t b[SB_BN254_G1_BYTES]);

/* sb_bn254_mul: *ret = scalar * a; any 256-bit scalar. False if a is not a point of the curve. */
bool sb_bn254_mul(uint8_t ret[SB_BN254_G1_BYTES], const uint8_t a[SB_BN254_G1_BYTES],
                  const uint8_t scalar[SB_BN254_SCALAR_BYTES]);

/* sb_bn254_pairing: whether the product of e(P, Q) over pair_count pairs, SB_BN254_PAIR_BYTES each, is one; it is for no pairs.
 * False if a P is not on its curve or a Q not in the subgroup of order r of its curve; *ret_is_one is then unchanged. */
bool sb_bn254_pairing(bool *ret_is_one, const uint8_t *pairs, size_t pair_count);

#endif
