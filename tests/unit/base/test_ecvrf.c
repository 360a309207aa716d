/* test_ecvrf.c: the examples of RFC 9381, appendix B.3, with all their steps; and that a proof bends to nothing.
 *
 * Two derivations that share no code with the module: the steps of a proof are found again from what is public and the secret scalar
 * (H = Gamma / x, k = s - c x), and `rfc_accepts` verifies by adding points only, without looking at subgroups. */
#include "base/crypto/ecvrf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/codec/hex.h"
#include "tests/support/random.h"

static const uint8_t identity[32] = {1};

static void hex(uint8_t *ret, size_t len, const char *text)
{
    assert_int_equal(sb_hex_decode(ret, len, text, strlen(text)), SB_OK);
}

/* ---- a second way, by additions ---- */

/* multiply: scalar * point by doubling and adding, for any point. */
static void multiply(uint8_t ret[32], const uint8_t *scalar, size_t scalar_bytes,
                     const uint8_t point[32])
{
    uint8_t sum[32];
    memcpy(sum, identity, 32);
    for (size_t bit = scalar_bytes * 8; bit-- > 0;) {
        assert_int_equal(crypto_core_ed25519_add(sum, sum, sum), 0);
        if ((scalar[bit / 8] >> (bit % 8) & 1) != 0) {
            assert_int_equal(crypto_core_ed25519_add(sum, sum, point), 0);
        }
    }
    memcpy(ret, sum, 32);
}

/* point_of_try: 8 * what SHA-512(3, 1, key, alpha, counter, 0) begins with; false when that is no point. */
static bool point_of_try(uint8_t ret[32], const uint8_t key[32], sb_bytes alpha, uint8_t counter)
{
    uint8_t text[2 + 32 + 64 + 2] = {3, 1}, hash[64];
    memcpy(text + 2, key, 32);
    sb_copy(text + 34, alpha.data, alpha.len);
    text[34 + alpha.len] = counter;
    crypto_hash_sha512(hash, text, 36 + alpha.len);
    return crypto_core_ed25519_add(ret, hash, identity) == 0 && memcmp(ret, hash, 32) == 0 &&
           (multiply(ret, (const uint8_t[]){8}, 1, hash), true);
}

static void challenge(uint8_t ret[16], const uint8_t key[32], const uint8_t h[32],
                      const uint8_t gamma[32], const uint8_t u[32], const uint8_t v[32])
{
    uint8_t text[2 + 5 * 32 + 1] = {3, 2}, hash[64];
    memcpy(text + 2, key, 32);
    memcpy(text + 34, h, 32);
    memcpy(text + 66, gamma, 32);
    memcpy(text + 98, u, 32);
    memcpy(text + 130, v, 32);
    crypto_hash_sha512(hash, text, sizeof text);
    memcpy(ret, hash, 16);
}

/* rfc_accepts: section 5.3 to the letter, but for the range of s: U = s B - c Y, V = s H - c Gamma, any points. */
static bool rfc_accepts(const uint8_t key[32], sb_bytes alpha, const uint8_t proof[80])
{
    uint8_t one[32] = {1}, base[32], h[32], left[32], right[32], u[32], v[32], again[16];
    uint8_t counter = 0;
    assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(base, one), 0);
    while (!point_of_try(h, key, alpha, counter)) {
        counter++;
    }
    if (crypto_core_ed25519_add(left, proof, identity) != 0) {
        return false;
    }
    multiply(left, proof + 48, 32, base);
    multiply(right, proof + 32, 16, key);
    assert_int_equal(crypto_core_ed25519_sub(u, left, right), 0);
    multiply(left, proof + 48, 32, h);
    multiply(right, proof + 32, 16, proof);
    assert_int_equal(crypto_core_ed25519_sub(v, left, right), 0);
    challenge(again, key, h, proof, u, v);
    return memcmp(again, proof + 32, 16) == 0;
}

/* ---- the RFC's examples ---- */

struct example {
    const char *sk, *pk, *alpha, *x;
    uint8_t ctr;
    const char *h, *k_string, *u, *v, *pi, *beta;
};

static const struct example examples[] = {
    {/* Example 16 */
     "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f", 0,
     "91bbed02a99461df1ad4c6564a5f5d829d0b90cfc7903e7a5797bd658abf3318",
     "7100f3d9eadb6dc4743b029736ff283f5be494128df128df2817106f345b8594"
     "b6d6da2d6fb0b4c0257eb337675d96eab49cf39e66cc2c9547c2bf8b2a6afae4",
     "aef27c725be964c6a9bf4c45ca8e35df258c1878b838f37d9975523f09034071",
     "5016572f71466c646c119443455d6cb9b952f07d060ec8286d678615d55f954f",
     "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f"
     "479d9727d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
     "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff"
     "66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae"},
    {/* Example 17 */
     "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "68bd9ed75882d52815a97585caf4790a7f6c6b3b7f821c5e259a24b02e502e51", 1,
     "5b659fc3d4e9263fd9a4ed1d022d75eaacc20df5e09f9ea937502396598dc551",
     "42589bbf0c485c3c91c1621bb4bfe04aed7be76ee48f9b00793b2342acb9c167"
     "cab856f9f9d4febc311330c20b0a8afd3743d05433e8be8d32522ecdc16cc5ce",
     "1dcb0a4821a2c48bf53548228b7f170962988f6d12f5439f31987ef41f034ab3",
     "fd03c0bf498c752161bae4719105a074630a2aa5f200ff7b3995f7bfb1513423",
     "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c"
     "92a465301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
     "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb"
     "5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031"},
    {/* Example 18 */
     "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "909a8b755ed902849023a55b15c23d11ba4d7f4ec5c2f51b1325a181991ea95c", 0,
     "bf4339376f5542811de615e3313d2b36f6f53c0acfebb482159711201192576a",
     "38b868c335ccda94a088428cbf3ec8bc7955bfaffe1f3bd2aa2c59fc31a0febc"
     "59d0e1af3715773ce11b3bbdd7aba8e3505d4b9de6f7e4a96e67e0d6bb6d6c3a",
     "2bae73e15a64042fcebf062abe7e432b2eca6744f3e8265bc38e009cd577ecd5",
     "88cba1cb0d4f9b649d9a86026b69de076724a93a65c349c988954f0961c5d506",
     "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f"
     "9ea3c0e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
     "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45"
     "2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f"},
};
#define EXAMPLE_COUNT (sizeof examples / sizeof examples[0])

struct parsed {
    uint8_t secret[64], key[32], alpha_bytes[8], proof[80], beta[64];
    sb_bytes alpha;
};

static void parse(struct parsed *ret, const struct example *e)
{
    uint8_t seed[32], key[32];
    size_t len = strlen(e->alpha) / 2;
    hex(seed, 32, e->sk);
    hex(key, 32, e->pk);
    hex(ret->alpha_bytes, len, e->alpha);
    hex(ret->proof, 80, e->pi);
    hex(ret->beta, 64, e->beta);
    ret->alpha = sb_span(ret->alpha_bytes, len);
    sb_ed25519_keypair(ret->key, ret->secret, seed);
    assert_memory_equal(ret->key, key, 32);
}

static void ecvrf_rfc_9381_examples_give_proof_and_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        struct parsed p;
        uint8_t proof[80], beta[64];
        parse(&p, &examples[i]);
        assert_true(sb_ecvrf_prove(proof, p.secret, p.alpha));
        assert_memory_equal(proof, p.proof, 80);
        assert_true(sb_ecvrf_verify(beta, p.key, p.alpha, p.proof));
        assert_memory_equal(beta, p.beta, 64);
        assert_true(rfc_accepts(p.key, p.alpha, p.proof));
    }
}

static void ecvrf_rfc_9381_examples_take_the_same_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        const struct example *e = &examples[i];
        struct parsed p;
        uint8_t want[64], x[32], wide[64] = {0}, inverse[32], h[32], k[32], point[32];
        uint8_t c[32] = {0}, cx[32];
        parse(&p, e);
        crypto_hash_sha512(wide, p.secret, 32);
        memcpy(x, wide, 32);
        x[0] &= 248;
        x[31] = (uint8_t)((x[31] & 127) | 64);
        hex(want, 32, e->x);
        assert_memory_equal(x, want, 32);

        memset(wide, 0, sizeof wide); /* H = Gamma / x */
        memcpy(wide, x, 32);
        crypto_core_ed25519_scalar_reduce(x, wide);
        assert_int_equal(crypto_core_ed25519_scalar_invert(inverse, x), 0);
        assert_int_equal(crypto_scalarmult_ed25519_noclamp(h, inverse, p.proof), 0);
        hex(want, 32, e->h);
        assert_memory_equal(h, want, 32);
        for (uint8_t counter = 0; counter <= e->ctr; counter++) {
            bool is_point = point_of_try(point, p.key, p.alpha, counter);
            assert_int_equal(is_point, counter == e->ctr);
        }
        assert_memory_equal(point, h, 32);

        memcpy(c, p.proof + 32, 16); /* k = s - c x */
        crypto_core_ed25519_scalar_mul(cx, c, x);
        crypto_core_ed25519_scalar_sub(k, p.proof + 48, cx);
        hex(wide, 64, e->k_string);
        crypto_core_ed25519_scalar_reduce(want, wide);
        assert_memory_equal(k, want, 32);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(point, k), 0);
        hex(want, 32, e->u);
        assert_memory_equal(point, want, 32);
        assert_int_equal(crypto_scalarmult_ed25519_noclamp(point, k, h), 0);
        hex(want, 32, e->v);
        assert_memory_equal(point, want, 32);
    }
}

/* ---- what is refused ---- */

static void ecvrf_each_bit_of_proof_alpha_and_key_matters(void **state)
{
    (void)state;
    for (size_t i = 1; i < EXAMPLE_COUNT; i++) {
        struct parsed p;
        uint8_t beta[64];
        parse(&p, &examples[i]);
        struct {
            uint8_t *bytes;
            size_t len;
        } parts[] = {{p.proof, 80}, {p.alpha_bytes, p.alpha.len}, {p.key, 32}};
        for (size_t k = 0; k < 3; k++) {
            for (size_t bit = 0; bit < parts[k].len * 8; bit++) {
                parts[k].bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                assert_false(sb_ecvrf_verify(beta, p.key, p.alpha, p.proof));
                parts[k].bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            }
        }
        assert_true(sb_ecvrf_verify(beta, p.key, p.alpha, p.proof));
        assert_false(
            sb_ecvrf_verify(beta, p.key, sb_span(p.alpha_bytes, p.alpha.len - 1), p.proof));
    }
}

static void ecvrf_random_proofs_verify_by_both_ways_and_differ(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("ecvrf");
    uint8_t last[64] = {0};
    for (int i = 0; i < 20; i++) {
        uint8_t seed[32], key[32], secret[64], alpha_bytes[64], proof[80], again[80], beta[64];
        sb_random_fill(&random, seed, sizeof seed);
        sb_random_fill(&random, alpha_bytes, sizeof alpha_bytes);
        sb_bytes alpha = sb_span(alpha_bytes, (size_t)sb_random_below(&random, 65));
        sb_ed25519_keypair(key, secret, seed);
        assert_true(sb_ecvrf_prove(proof, secret, alpha));
        assert_true(sb_ecvrf_prove(again, secret, alpha));
        assert_memory_equal(proof, again, sizeof proof);
        assert_true(sb_ecvrf_verify(beta, key, alpha, proof));
        assert_true(rfc_accepts(key, alpha, proof));
        assert_memory_not_equal(beta, last, sizeof last);
        memcpy(last, beta, sizeof last);
    }
}

static void ecvrf_scalar_not_reduced_is_refused(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    struct parsed p;
    uint8_t beta[64];
    parse(&p, &examples[0]);
    for (int times = 1; times <= 14; times++) { /* s + 15 L is over 2^256 */
        sodium_add(p.proof + 48, order, 32);
        assert_false(sb_ecvrf_verify(beta, p.key, p.alpha, p.proof));
        assert_true(rfc_accepts(p.key, p.alpha, p.proof)); /* s is the only thing wrong with it */
    }
}

/* The encodings of the points of small order; the last six are not canonical. */
static const char *const small_order[] = {
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

static void ecvrf_points_of_small_order_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small_order / sizeof small_order[0]; i++) {
        struct parsed p;
        uint8_t point[32], beta[64];
        hex(point, 32, small_order[i]);
        parse(&p, &examples[1]);
        assert_false(sb_ecvrf_verify(beta, point, p.alpha, p.proof));
        memcpy(p.proof, point, 32);
        assert_false(sb_ecvrf_verify(beta, p.key, p.alpha, p.proof));
    }
}

/* prove_with_torsion: a proof whose Gamma is x H + torsion, for a key of the secret scalar x: the torsion vanishes from V when its order
 * divides c, so nonces are tried until it does. */
static void prove_with_torsion(uint8_t ret_proof[80], const uint8_t x[32], const uint8_t key[32],
                               sb_bytes alpha, const uint8_t torsion[32])
{
    uint8_t h[32], counter = 0, u[32], v[32], cx[32], c[32] = {0}, nonce[32] = {0};
    while (!point_of_try(h, key, alpha, counter)) {
        counter++;
    }
    assert_int_equal(crypto_scalarmult_ed25519_noclamp(ret_proof, x, h), 0);
    assert_int_equal(crypto_core_ed25519_add(ret_proof, ret_proof, torsion), 0);
    do {
        nonce[0]++;
        assert_int_not_equal(nonce[0], 0);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(u, nonce), 0);
        assert_int_equal(crypto_scalarmult_ed25519_noclamp(v, nonce, h), 0);
        challenge(c, key, h, ret_proof, u, v);
    } while (c[0] % 8 != 0);
    crypto_core_ed25519_scalar_mul(cx, c, x);
    memcpy(ret_proof + 32, c, 16);
    crypto_core_ed25519_scalar_add(ret_proof + 48, nonce, cx);
}

static void ecvrf_gamma_or_key_with_torsion_is_refused(void **state)
{
    (void)state;
    const sb_bytes alpha = sb_span_str("alpha");
    uint8_t x[32] = {9, 8, 7, 6, 5, 4, 3, 2, 1}, key[32], twisted[32], torsion[32], proof[80];
    uint8_t beta[64];
    assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(key, x), 0);
    prove_with_torsion(proof, x, key, alpha, identity);
    assert_true(rfc_accepts(key, alpha, proof));
    assert_true(sb_ecvrf_verify(beta, key, alpha, proof));
    for (size_t i = 1; i < 8; i++) {
        hex(torsion, 32, small_order[i]);
        prove_with_torsion(proof, x, key, alpha, torsion);
        assert_true(rfc_accepts(key, alpha, proof));
        assert_false(sb_ecvrf_verify(beta, key, alpha, proof));
        assert_int_equal(crypto_core_ed25519_add(twisted, key, torsion), 0);
        prove_with_torsion(proof, x, twisted, alpha, identity);
        assert_true(rfc_accepts(twisted, alpha, proof));
        assert_false(sb_ecvrf_verify(beta, twisted, alpha, proof));
    }
}

static void ecvrf_secret_whose_halves_disagree_proves_nothing(void **state)
{
    (void)state;
    struct parsed p;
    uint8_t proof[80];
    parse(&p, &examples[0]);
    p.secret[40] ^= 1;
    assert_false(sb_ecvrf_prove(proof, p.secret, p.alpha));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecvrf_rfc_9381_examples_give_proof_and_hash),
        cmocka_unit_test(ecvrf_rfc_9381_examples_take_the_same_steps),
        cmocka_unit_test(ecvrf_each_bit_of_proof_alpha_and_key_matters),
        cmocka_unit_test(ecvrf_random_proofs_verify_by_both_ways_and_differ),
        cmocka_unit_test(ecvrf_scalar_not_reduced_is_refused),
        cmocka_unit_test(ecvrf_points_of_small_order_are_refused),
        cmocka_unit_test(ecvrf_gamma_or_key_with_torsion_is_refused),
        cmocka_unit_test(ecvrf_secret_whose_halves_disagree_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
