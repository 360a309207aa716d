/* fuzz_ecvrf.c: the first 32 bytes are a key, the next 80 a proof, the rest alpha. What verifies is canonical, gives one hash, and fails
 * with any other c; and a proof that the bytes' own key makes for that alpha verifies. */
#include <stdint.h>
#include <stdlib.h>

#include "base/crypto/ecvrf.h"

static void verify_given(const uint8_t *key, sb_bytes alpha, const uint8_t *given)
{
    uint8_t proof[SB_ECVRF_PROOF_BYTES], beta[SB_ECVRF_HASH_BYTES], again[SB_ECVRF_HASH_BYTES];
    memcpy(proof, given, sizeof proof);
    if (!sb_ecvrf_verify(beta, key, alpha, proof)) {
        return;
    }
    if (!sb_ecvrf_verify(again, key, alpha, proof) || memcmp(beta, again, sizeof beta) != 0 ||
        proof[79] > 0x10) {
        abort();
    }
    proof[32] ^= 1;
    if (sb_ecvrf_verify(again, key, alpha, proof)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t key[32], secret[64], proof[SB_ECVRF_PROOF_BYTES], beta[SB_ECVRF_HASH_BYTES];
    if (size < 112) {
        return 0;
    }
    sb_bytes alpha = sb_span(data + 112, size - 112);
    verify_given(data, alpha, data + 32);
    sb_ed25519_keypair(key, secret, data);
    if (!sb_ecvrf_prove(proof, secret, alpha) || !sb_ecvrf_verify(beta, key, alpha, proof)) {
        abort();
    }
    return 0;
}
