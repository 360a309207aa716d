/* modexp.h: base ^ exponent mod modulus on numbers of any length by GMP, with the EVM's rules (EIP-198). Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_MODEXP_H
#define SB_BASE_CRYPTO_MODEXP_H

#include "base/util/err.h"
#include "base/util/span.h"

/* Longest operand; gas stops a call long before. */
#define SB_MODEXP_OPERAND_BYTES_MAX ((size_t)1 << 26)

/* sb_modexp: result, big-endian, padded to modulus.len bytes. Operands are big-endian and may be empty (zero) or have leading zeros.
 * A modulus of zero gives zero, of one gives zero; x^0 = 1 mod m, 0^0 included. SB_E_LIMIT for an operand over the bound.
 * The time is bounded by nothing here: the caller charges for it first. */
sb_err sb_modexp(uint8_t *ret, sb_bytes base, sb_bytes exponent, sb_bytes modulus) SB_MUST_USE;

#endif
