/* modexp.c: GMP's mpz_powm; see modexp.h. */
#include "base/crypto/modexp.h"

#include <gmp.h>
#include <string.h>

static void import_number(mpz_t ret, sb_bytes bytes)
{
    if (bytes.len != 0) {
        mpz_import(ret, bytes.len, 1, 1, 1, 0, bytes.data);
    }
}

sb_err sb_modexp(uint8_t *ret, sb_bytes base, sb_bytes exponent, sb_bytes modulus)
{
    if (base.len > SB_MODEXP_OPERAND_BYTES_MAX || exponent.len > SB_MODEXP_OPERAND_BYTES_MAX ||
        modulus.len > SB_MODEXP_OPERAND_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    if (modulus.len == 0) {
        return SB_OK;
    }
    mpz_t b, e, m, result;
    mpz_inits(b, e, m, result, NULL);
    import_number(b, base);
    import_number(e, exponent);
    import_number(m, modulus);
    if (mpz_sgn(m) != 0) {
        mpz_powm(result, b, e, m);
    }
    /* result < modulus, so it needs at most modulus.len bytes; zero is no byte at all. */
    size_t len = mpz_sgn(result) == 0 ? 0 : (mpz_sizeinbase(result, 2) + 7) / 8;
    memset(ret, 0, modulus.len - len);
    (void)mpz_export(ret + modulus.len - len, NULL, 1, 1, 1, 0, result);
    mpz_clears(b, e, m, result, NULL);
    return SB_OK;
}
