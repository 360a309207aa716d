/* bls12_381.h: the pairing curve BLS12-381 as EIP-2537 speaks of it: sums, sums of products, pairings.
 *
 *     G1   y^2 = x^3 + 4             over Fp      x (64 bytes) | y (64)
 *     G2   y^2 = x^3 + 4 (1 + u)     over Fp2     x: real part (64) | u part (64) | y: real part (64) | u part (64)
 *     all numbers big-endian, 16 zero bytes and 48 of a number below p; all zeros is the point at infinity
 *
 * Allocates nothing; not constant time, as all inputs are public. */
#ifndef SB_BASE_CRYPTO_PAIRING_BLS12_381_H
#define SB_BASE_CRYPTO_PAIRING_BLS12_381_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_BLS_G1_BYTES     128
#define SB_BLS_G2_BYTES     256
#define SB_BLS_SCALAR_BYTES 32
#define SB_BLS_PAIR_BYTES   384 /* a point of G1, then one of G2 */

/* sb_bls_g1_add, sb_bls_g2_add: *ret = a + b. False if either is not a point of the curve; the subgroup is not asked for. */
bool sb_bls_g1_add(uint8_t ret[SB_BLS_G1_BYTES], const uint8_t a[SB_BLS_G1_BYTES],
                   const uint8_t b[SB_BLS_G1_BYTES]);
bool sb_bls_g2_add(uint8_t ret[SB_BLS_G2_BYTES], const uint8_t a[SB_BLS_G2_BYTES],
                   const uint8_t b[SB_BLS_G2_BYTES]);

/* sb_bls_g1_msm, sb_bls_g2_msm: *ret = sum of scalar * point over term_count terms, each a point and then any 256-bit scalar.
 * False if a point is not in the subgroup of order r. */
bool sb_bls_g1_msm(uint8_t ret[SB_BLS_G1_BYTES], const uint8_t *terms, size_t term_count);
bool sb_bls_g2_msm(uint8_t ret[SB_BLS_G2_BYTES], const uint8_t *terms, size_t term_count);

/* sb_bls_pairing: whether the product of e(P, Q) over pair_count pairs is one; it is for no pairs. False if a point is not in the
 * subgroup of order r of its curve; *ret_is_one is then unchanged. */
bool sb_bls_pairing(bool *ret_is_one, const uint8_t *pairs, size_t pair_count);

#endif
