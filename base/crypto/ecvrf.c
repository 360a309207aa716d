/* ecvrf.c: RFC 9381, sections 5.1 to 5.5, over libsodium's points and scalars; see ecvrf.h.
 *
 *      H     = 8 * the first point among SHA-512(suite || 1 || Y || alpha || ctr || 0), ctr = 0, 1, ...      try and increment
 *      Gamma = x H                                    what is random
 *      c, s  : a proof that log_B(Y) = log_H(Gamma):  U = s B - c Y,  V = s H - c Gamma,  c = hash(Y, H, Gamma, U, V)
 *      beta  = SHA-512(suite || 3 || 8 Gamma || 0)
 *
 * Points are their 32-byte encodings. What libsodium checks, and we rely on: scalarmult_ed25519 refuses points that are not canonical,
 * of small order or outside of the prime-order subgroup, the scalar 0 and the result 0; core_ed25519_add only what is no point. */
#include "base/crypto/ecvrf.h"

#include <sodium.h>

#include "base/util/assert.h"

#define POINT_BYTES     32
#define SCALAR_BYTES    32
#define CHALLENGE_BYTES 16
#define TRIES_MAX       256

enum { SUITE = 3 };
enum domain { ENCODE_TO_CURVE = 1, CHALLENGE = 2, PROOF_TO_HASH = 3, BACK = 0 };

SB_STATIC_ASSERT(POINT_BYTES == crypto_core_ed25519_BYTES, "point size");
SB_STATIC_ASSERT(SCALAR_BYTES == crypto_core_ed25519_SCALARBYTES, "scalar size");
SB_STATIC_ASSERT(SB_ECVRF_PROOF_BYTES == POINT_BYTES + CHALLENGE_BYTES + SCALAR_BYTES,
                 "proof size");
SB_STATIC_ASSERT(SB_ECVRF_HASH_BYTES == crypto_hash_sha512_BYTES, "hash size");

static const uint8_t identity[POINT_BYTES] = {1};

static void hash_begin(crypto_hash_sha512_state *hash, enum domain domain)
{
    const uint8_t front[] = {SUITE, (uint8_t)domain};
    crypto_hash_sha512_init(hash);
    crypto_hash_sha512_update(hash, front, sizeof front);
}

static void hash_end(uint8_t ret[SB_ECVRF_HASH_BYTES], crypto_hash_sha512_state *hash)
{
    const uint8_t back = BACK;
    crypto_hash_sha512_update(hash, &back, 1);
    crypto_hash_sha512_final(hash, ret);
}

/* decode: string_to_point: false for what is no point, or one in another form than it would be written in. */
static bool decode(const uint8_t point[POINT_BYTES])
{
    uint8_t again[POINT_BYTES];
    return crypto_core_ed25519_add(again, point, identity) == 0 &&
           sodium_memcmp(again, point, POINT_BYTES) == 0;
}

/* clear_cofactor: 8 * point, which may be any on the curve. */
static bool clear_cofactor(uint8_t ret[POINT_BYTES], const uint8_t point[POINT_BYTES])
{
    uint8_t two[POINT_BYTES], four[POINT_BYTES];
    return crypto_core_ed25519_add(two, point, point) == 0 &&
           crypto_core_ed25519_add(four, two, two) == 0 &&
           crypto_core_ed25519_add(ret, four, four) == 0;
}

/* encode_to_curve: section 5.4.1.1, salted with the public key. */
static bool encode_to_curve(uint8_t ret_h[POINT_BYTES], const uint8_t public_key[POINT_BYTES],
                            sb_bytes alpha)
{
    crypto_hash_sha512_state front;
    hash_begin(&front, ENCODE_TO_CURVE);
    crypto_hash_sha512_update(&front, public_key, POINT_BYTES);
    crypto_hash_sha512_update(&front, alpha.data, alpha.len);
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        crypto_hash_sha512_state hash = front;
        uint8_t string[SB_ECVRF_HASH_BYTES];
        const uint8_t counter = (uint8_t)i;
        crypto_hash_sha512_update(&hash, &counter, 1);
        hash_end(string, &hash);
        if (decode(string) && clear_cofactor(ret_h, string) &&
            sodium_memcmp(ret_h, identity, POINT_BYTES) != 0) {
            return true;
        }
    }
    return false;
}

/* challenge: section 5.4.3. */
static void challenge(uint8_t ret_c[CHALLENGE_BYTES], const uint8_t *const points[5])
{
    crypto_hash_sha512_state hash;
    uint8_t string[SB_ECVRF_HASH_BYTES];
    hash_begin(&hash, CHALLENGE);
    for (size_t i = 0; i < 5; i++) {
        crypto_hash_sha512_update(&hash, points[i], POINT_BYTES);
    }
    hash_end(string, &hash);
    sb_copy(ret_c, string, CHALLENGE_BYTES);
}

/* ---- proving ---- */

/* prove_with: section 5.1, from step 3 on. hashed: SHA-512(seed), x clamped in its first half. */
static bool prove_with(uint8_t ret_proof[SB_ECVRF_PROOF_BYTES], const uint8_t hashed[64],
                       uint8_t k[SCALAR_BYTES], uint8_t cx[SCALAR_BYTES],
                       const uint8_t public_key[POINT_BYTES], sb_bytes alpha)
{
    uint8_t y[POINT_BYTES], h[POINT_BYTES], gamma[POINT_BYTES], u[POINT_BYTES], v[POINT_BYTES];
    uint8_t c[SCALAR_BYTES] = {0}, wide[64];
    if (crypto_scalarmult_ed25519_base_noclamp(y, hashed) != 0 ||
        sodium_memcmp(y, public_key, POINT_BYTES) != 0 || !encode_to_curve(h, y, alpha) ||
        crypto_scalarmult_ed25519_noclamp(gamma, hashed, h) != 0) {
        return false;
    }
    crypto_hash_sha512_state nonce; /* section 5.4.2.2 */
    crypto_hash_sha512_init(&nonce);
    crypto_hash_sha512_update(&nonce, hashed + 32, 32);
    crypto_hash_sha512_update(&nonce, h, sizeof h);
    crypto_hash_sha512_final(&nonce, wide);
    crypto_core_ed25519_scalar_reduce(k, wide);
    sodium_memzero(&nonce, sizeof nonce);
    sodium_memzero(wide, sizeof wide);
    if (crypto_scalarmult_ed25519_base_noclamp(u, k) != 0 ||
        crypto_scalarmult_ed25519_noclamp(v, k, h) != 0) {
        return false;
    }
    challenge(c, (const uint8_t *const[]){y, h, gamma, u, v});
    crypto_core_ed25519_scalar_mul(cx, c, hashed);
    sb_copy(ret_proof, gamma, POINT_BYTES);
    sb_copy(ret_proof + POINT_BYTES, c, CHALLENGE_BYTES);
    crypto_core_ed25519_scalar_add(ret_proof + POINT_BYTES + CHALLENGE_BYTES, k, cx);
    return true;
}

bool sb_ecvrf_prove(uint8_t ret_proof[SB_ECVRF_PROOF_BYTES],
                    const uint8_t secret[SB_ED25519_SECRET_BYTES], sb_bytes alpha)
{
    uint8_t hashed[64], k[SCALAR_BYTES], cx[SCALAR_BYTES], proof[SB_ECVRF_PROOF_BYTES];
    crypto_hash_sha512(hashed, secret, SB_ED25519_SEED_BYTES);
    hashed[0] &= 0xf8;
    hashed[31] = (uint8_t)((hashed[31] & 0x7f) | 0x40);
    bool is_made = prove_with(proof, hashed, k, cx, secret + SB_ED25519_SEED_BYTES, alpha);
    sodium_memzero(hashed, sizeof hashed);
    sodium_memzero(k, sizeof k);
    sodium_memzero(cx, sizeof cx);
    if (is_made) {
        sb_copy(ret_proof, proof, sizeof proof);
    }
    return is_made;
}

/* ---- verifying ---- */

/* is_reduced: the scalar is below the group's order L = 2^252 + 27742317777372353535851937790883648493. */
static bool is_reduced(const uint8_t scalar[SCALAR_BYTES])
{
    uint8_t wide[64] = {0}, reduced[SCALAR_BYTES];
    sb_copy(wide, scalar, SCALAR_BYTES);
    crypto_core_ed25519_scalar_reduce(reduced, wide);
    return sodium_memcmp(reduced, scalar, SCALAR_BYTES) == 0;
}

bool sb_ecvrf_verify(uint8_t ret_hash[SB_ECVRF_HASH_BYTES],
                     const uint8_t public_key[SB_ED25519_PUBLIC_BYTES], sb_bytes alpha,
                     const uint8_t proof[SB_ECVRF_PROOF_BYTES])
{
    const uint8_t *gamma = proof, *told = proof + POINT_BYTES, *s = told + CHALLENGE_BYTES;
    uint8_t c[SCALAR_BYTES] = {0}, again[CHALLENGE_BYTES];
    uint8_t h[POINT_BYTES], s_b[POINT_BYTES], c_y[POINT_BYTES], s_h[POINT_BYTES];
    uint8_t c_gamma[POINT_BYTES], u[POINT_BYTES], v[POINT_BYTES], clear[POINT_BYTES];
    sb_copy(c, told, CHALLENGE_BYTES);
    if (!is_reduced(s) || crypto_scalarmult_ed25519_noclamp(c_y, c, public_key) != 0 ||
        crypto_scalarmult_ed25519_noclamp(c_gamma, c, gamma) != 0 ||
        !encode_to_curve(h, public_key, alpha) ||
        crypto_scalarmult_ed25519_base_noclamp(s_b, s) != 0 ||
        crypto_scalarmult_ed25519_noclamp(s_h, s, h) != 0 ||
        crypto_core_ed25519_sub(u, s_b, c_y) != 0 ||
        crypto_core_ed25519_sub(v, s_h, c_gamma) != 0) {
        return false;
    }
    challenge(again, (const uint8_t *const[]){public_key, h, gamma, u, v});
    if (sodium_memcmp(again, told, CHALLENGE_BYTES) != 0 || !clear_cofactor(clear, gamma)) {
        return false;
    }
    crypto_hash_sha512_state hash;
    hash_begin(&hash, PROOF_TO_HASH);
    crypto_hash_sha512_update(&hash, clear, sizeof clear);
    hash_end(ret_hash, &hash);
    return true;
}
