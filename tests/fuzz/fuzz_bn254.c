/* fuzz_bn254.c: any bytes as points, scalars and pairs. Sums of what is accepted are points, do not depend on the order and agree with
 * products; a pairing of accepted pairs gives the same answer twice. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/pairing/bn254.h"

#define G1 SB_BN254_G1_BYTES

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Points that follow from the bytes: random bytes are hardly ever on the curve. */
static void sums(const uint8_t *data)
{
    static const uint8_t generator[G1] = {[31] = 1, [63] = 2};
    uint8_t a[G1], b[G1], sum[G1], swapped[G1];
    check(sb_bn254_mul(a, generator, data) && sb_bn254_mul(b, generator, data + 32));
    check(sb_bn254_add(sum, a, b) && sb_bn254_add(swapped, b, a));
    check(memcmp(sum, swapped, G1) == 0);
    static const uint8_t two[SB_BN254_SCALAR_BYTES] = {[31] = 2};
    check(sb_bn254_add(sum, a, a) && sb_bn254_mul(swapped, a, two));
    check(memcmp(sum, swapped, G1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sum[G1];
    bool first, second;
    if (size >= 2 * G1) {
        if (sb_bn254_add(sum, data, data + G1)) {
            check(sb_bn254_add(sum, sum, data));
        }
        if (sb_bn254_mul(sum, data, data + G1)) {
            check(sb_bn254_mul(sum, sum, data));
        }
        sums(data);
    }
    size_t count = size / SB_BN254_PAIR_BYTES;
    if (sb_bn254_pairing(&first, data, count)) {
        check(sb_bn254_pairing(&second, data, count) && first == second);
        check(count != 0 || first);
    }
    return 0;
}
