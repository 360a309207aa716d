/* fuzz_bls12_381.c: any bytes as points, scalars and pairs. Sums of what is accepted are points and do not depend on the order; a sum of
 * products stays in its subgroup; a pairing of accepted pairs gives the same answer twice. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/pairing/bls12_381.h"

#define G1 SB_BLS_G1_BYTES
#define G2 SB_BLS_G2_BYTES

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void sums(const uint8_t *data, size_t size)
{
    uint8_t sum[G2], swapped[G2];
    if (size >= 2 * G1 && sb_bls_g1_add(sum, data, data + G1)) {
        check(sb_bls_g1_add(swapped, data + G1, data) && memcmp(sum, swapped, G1) == 0);
        check(sb_bls_g1_add(sum, swapped, data));
    }
    if (size >= 2 * G2 && sb_bls_g2_add(sum, data, data + G2)) {
        check(sb_bls_g2_add(swapped, data + G2, data) && memcmp(sum, swapped, G2) == 0);
        check(sb_bls_g2_add(sum, swapped, data));
    }
}

static void products(const uint8_t *data, size_t size)
{
    uint8_t term[G2 + SB_BLS_SCALAR_BYTES] = {0}, again[G2];
    if (sb_bls_g1_msm(term, data, size / (G1 + SB_BLS_SCALAR_BYTES))) {
        term[G1 + SB_BLS_SCALAR_BYTES - 1] = 1;
        check(sb_bls_g1_msm(again, term, 1) && memcmp(again, term, G1) == 0);
    }
    memset(term, 0, sizeof term);
    if (sb_bls_g2_msm(term, data, size / (G2 + SB_BLS_SCALAR_BYTES))) {
        term[G2 + SB_BLS_SCALAR_BYTES - 1] = 1;
        check(sb_bls_g2_msm(again, term, 1) && memcmp(again, term, G2) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool first, second;
    size_t count = size / SB_BLS_PAIR_BYTES;
    sums(data, size);
    products(data, size);
    if (sb_bls_pairing(&first, data, count)) {
        check(sb_bls_pairing(&second, data, count) && first == second);
        check(count != 0 || first);
    }
    return 0;
}
