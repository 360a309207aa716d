/* scalar.h: 256-bit scalars as signed digits, for the products of curve points. Private to base/crypto/pairing. */
#ifndef SB_BASE_CRYPTO_PAIRING_SCALAR_H
#define SB_BASE_CRYPTO_PAIRING_SCALAR_H

#include <string.h>

#include "base/num/u256.h"

/* A digit of the width-5 form is 0 or odd, from -15 to 15; any five neighbours hold at most one that is not 0. */
#define SCALAR_DIGITS     257
#define SCALAR_TABLE_SIZE 8 /* the odd multiples 1, 3, ..., 15 */

/* Digits of k, k = sum of digits[i] 2^i; returns how many are used (0 for 0). The carry out of bit 255 is kept apart, so any word will do. */
static inline int scalar_digits(int8_t digits[SCALAR_DIGITS], const sb_u256 *k)
{
    int used = 0;
    int carry = 0;
    memset(digits, 0, SCALAR_DIGITS);
    for (int i = 0; i < SCALAR_DIGITS;) {
        int limb = i / 64, shift = i % 64;
        uint64_t bits = limb < 4 ? k->w[limb] >> shift : 0;
        if (shift > 59 && limb < 3) {
            bits |= k->w[limb + 1] << (64 - shift);
        }
        if ((int)(bits & 1) == carry) {
            i++; /* the bit and the carry make 0, and the carry goes on or was none */
            continue;
        }
        int window = (int)(bits & 31) + carry;
        carry = window > 16;
        digits[i] = (int8_t)(window - 32 * carry);
        used = i + 1;
        i += 5;
    }
    return used;
}

#endif
