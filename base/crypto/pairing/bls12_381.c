/* bls12_381.c: the curve BLS12-381 out of the templates of this folder; see bls12_381.h.
 *
 *     x = -0xd201000000010000, r = x^4 - x^2 + 1, p = (x - 1)^2 r / 3 + x
 *     xi = 1 + u; the twist is of type M: (x, y) on it stands for (x / w^2, y / w^3) on the curve over Fp12
 *
 * Membership: M. Scott, "A Note on Group Membership Tests for G1, G2 and GT on BLS Pairing-Friendly Curves". Final exponentiation:
 * D. Hayashida, K. Hayasaka, T. Teruya, "Efficient Final Exponentiation via Cyclotomic Structure for Pairings over Families of Elliptic
 * Curves" (the cube of the pairing, which is one where the pairing is). */
#include "base/crypto/pairing/bls12_381.h"

#define FP_LIMBS        6
#define FP_MODULUS_BITS 381
#define TWIST_IS_D      0

/* The order of these includes is that of elements.inc, not of the alphabet. */
/* clang-format off */
#include "base/crypto/pairing/elements.inc"
#include "base/crypto/pairing/bls12_381_constants.inc"
#include "base/crypto/pairing/field.inc"
#include "base/crypto/pairing/quadratic.inc"
/* clang-format on */

#define G(name) g1_##name
#define F(name) fp_##name
#define F_TYPE  struct fp
#include "base/crypto/pairing/group.inc"

#define G(name) g2_##name
#define F(name) fp2_##name
#define F_TYPE  struct fp2
#include "base/crypto/pairing/group.inc"

#define BLS_X_ABS   0xd201000000010000u
#define ENCODED     64 /* bytes of an encoded number */
#define ENCODED_PAD (ENCODED - FP_BYTES)

/* a (1 + u) = c0 - c1 + (c0 + c1) u. */
static void fp2_mul_xi(struct fp2 *ret, const struct fp2 *a)
{
    struct fp sum;
    fp_add(&sum, &a->c0, &a->c1);
    fp_sub(&ret->c0, &a->c0, &a->c1);
    ret->c1 = sum;
}

#include "base/crypto/pairing/tower.inc"

#define LINE_MUL(f, l) fp12_mul_014(f, f, &(l)->constant, &(l)->x_factor, &(l)->y_factor)
#include "base/crypto/pairing/miller.inc"

/* |x| in binary, lowest digit first. */
static const int8_t k_loop[64] = {[16] = 1, [48] = 1, [57] = 1, [60] = 1, [62] = 1, [63] = 1};

/* --- points --- */

static bool number_load(struct fp *ret, const uint8_t *bytes)
{
    static const uint8_t zeros[ENCODED_PAD];
    return memcmp(bytes, zeros, ENCODED_PAD) == 0 && fp_load(ret, bytes + ENCODED_PAD);
}

static void number_store(uint8_t *ret, const struct fp *a)
{
    memset(ret, 0, ENCODED_PAD);
    fp_store(ret + ENCODED_PAD, a);
}

static bool g1_load(struct g1_affine *ret, const uint8_t *bytes)
{
    if (!number_load(&ret->x, bytes) || !number_load(&ret->y, bytes + ENCODED)) {
        return false;
    }
    ret->infinite = fp_is_zero(&ret->x) && fp_is_zero(&ret->y);
    return g1_is_on_curve(ret, &k_g1_b);
}

static void g1_store(uint8_t *ret, const struct g1_point *a)
{
    struct g1_affine affine;
    g1_to_affine(&affine, a);
    number_store(ret, &affine.x);
    number_store(ret + ENCODED, &affine.y);
}

static bool g2_load(struct g2_affine *ret, const uint8_t *bytes)
{
    if (!number_load(&ret->x.c0, bytes) || !number_load(&ret->x.c1, bytes + ENCODED) ||
        !number_load(&ret->y.c0, bytes + 2 * ENCODED) ||
        !number_load(&ret->y.c1, bytes + 3 * ENCODED)) {
        return false;
    }
    ret->infinite = fp2_is_zero(&ret->x) && fp2_is_zero(&ret->y);
    return g2_is_on_curve(ret, &k_twist_b);
}

static void g2_store(uint8_t *ret, const struct g2_point *a)
{
    struct g2_affine affine;
    g2_to_affine(&affine, a);
    number_store(ret, &affine.x.c0);
    number_store(ret + ENCODED, &affine.x.c1);
    number_store(ret + 2 * ENCODED, &affine.y.c0);
    number_store(ret + 3 * ENCODED, &affine.y.c1);
}

/* (beta x, y) = -x^2 P. */
static bool g1_is_in_subgroup(const struct g1_affine *a)
{
    struct g1_point image, power;
    g1_from_affine(&image, a);
    g1_mul_sparse(&power, &image, BLS_X_ABS);
    g1_mul_sparse(&power, &power, BLS_X_ABS);
    g1_neg(&power, &power);
    fp_mul(&image.x, &image.x, &k_beta);
    return g1_equal(&image, &power);
}

/* psi(Q) = x Q, psi the power p on the curve over Fp12. */
static bool g2_is_in_subgroup(const struct g2_affine *a)
{
    struct g2_point image, power;
    g2_from_affine(&image, a);
    g2_mul_sparse(&power, &image, BLS_X_ABS);
    g2_neg(&power, &power);
    fp2_conjugate(&image.x, &image.x);
    fp2_mul(&image.x, &image.x, &k_psi_x);
    fp2_conjugate(&image.y, &image.y);
    fp2_mul(&image.y, &image.y, &k_psi_y);
    return g2_equal(&image, &power);
}

/* --- the pairing --- */

OUT_OF_LINE static void miller(struct miller_batch *batch)
{
    miller_loop(batch, k_loop, sizeof k_loop);
    fp12_conjugate(&batch->f, &batch->f); /* x is negative */
}

/* a^x. */
static void fp12_pow_x(struct fp12 *ret, const struct fp12 *a)
{
    fp12_pow_cyclotomic(ret, a, BLS_X_ABS);
    fp12_conjugate(ret, ret);
}

/* f^(3 (p^12 - 1) / r): f^((p^6 - 1)(p^2 + 1)), then the power (x - 1)^2 (x + p)(x^2 + p^2 - 1) + 3. */
OUT_OF_LINE static void final_exponentiation(struct fp12 *f)
{
    struct fp12 t, y, minus;
    fp12_inverse(&t, f);
    fp12_conjugate(&y, f);
    fp12_mul(&y, &y, &t);
    fp12_frobenius_2(&t, &y);
    fp12_mul(f, &y, &t);

    y = *f;
    for (int i = 0; i < 2; i++) {
        fp12_conjugate(&minus, &y);
        fp12_pow_x(&y, &y);
        fp12_mul(&y, &y, &minus);
    }
    fp12_frobenius(&t, &y);
    fp12_pow_x(&y, &y);
    fp12_mul(&y, &y, &t);
    fp12_conjugate(&minus, &y);
    fp12_frobenius_2(&t, &y);
    fp12_mul(&t, &t, &minus);
    fp12_pow_x(&y, &y);
    fp12_pow_x(&y, &y);
    fp12_mul(&y, &y, &t);
    fp12_sqr_cyclotomic(&t, f);
    fp12_mul(&t, &t, f);
    fp12_mul(f, &t, &y);
}

/* --- the functions --- */

bool sb_bls_g1_add(uint8_t ret[SB_BLS_G1_BYTES], const uint8_t a[SB_BLS_G1_BYTES],
                   const uint8_t b[SB_BLS_G1_BYTES])
{
    struct g1_affine left, right;
    if (!g1_load(&left, a) || !g1_load(&right, b)) {
        return false;
    }
    struct g1_point sum;
    g1_from_affine(&sum, &left);
    g1_add_affine(&sum, &sum, &right);
    g1_store(ret, &sum);
    return true;
}

bool sb_bls_g2_add(uint8_t ret[SB_BLS_G2_BYTES], const uint8_t a[SB_BLS_G2_BYTES],
                   const uint8_t b[SB_BLS_G2_BYTES])
{
    struct g2_affine left, right;
    if (!g2_load(&left, a) || !g2_load(&right, b)) {
        return false;
    }
    struct g2_point sum;
    g2_from_affine(&sum, &left);
    g2_add_affine(&sum, &sum, &right);
    g2_store(ret, &sum);
    return true;
}

bool sb_bls_g1_msm(uint8_t ret[SB_BLS_G1_BYTES], const uint8_t *terms, size_t term_count)
{
    struct g1_point sum, product;
    g1_set_infinite(&sum);
    for (size_t i = 0; i < term_count; i++) {
        const uint8_t *term = terms + i * (SB_BLS_G1_BYTES + SB_BLS_SCALAR_BYTES);
        struct g1_affine point;
        if (!g1_load(&point, term) || !g1_is_in_subgroup(&point)) {
            return false;
        }
        sb_u256 k = sb_u256_load_be(term + SB_BLS_G1_BYTES, SB_BLS_SCALAR_BYTES);
        g1_mul(&product, &point, &k);
        g1_add(&sum, &sum, &product);
    }
    g1_store(ret, &sum);
    return true;
}

bool sb_bls_g2_msm(uint8_t ret[SB_BLS_G2_BYTES], const uint8_t *terms, size_t term_count)
{
    struct g2_point sum, product;
    g2_set_infinite(&sum);
    for (size_t i = 0; i < term_count; i++) {
        const uint8_t *term = terms + i * (SB_BLS_G2_BYTES + SB_BLS_SCALAR_BYTES);
        struct g2_affine point;
        if (!g2_load(&point, term) || !g2_is_in_subgroup(&point)) {
            return false;
        }
        sb_u256 k = sb_u256_load_be(term + SB_BLS_G2_BYTES, SB_BLS_SCALAR_BYTES);
        g2_mul(&product, &point, &k);
        g2_add(&sum, &sum, &product);
    }
    g2_store(ret, &sum);
    return true;
}

bool sb_bls_pairing(bool *ret_is_one, const uint8_t *pairs, size_t pair_count)
{
    struct miller_batch batch = {.count = 0};
    struct fp12 product;
    fp12_set_one(&product);
    for (size_t i = 0; i < pair_count; i++) {
        struct miller_pair *pair = &batch.pairs[batch.count];
        const uint8_t *bytes = pairs + i * SB_BLS_PAIR_BYTES;
        if (!g1_load(&pair->p, bytes) || !g1_is_in_subgroup(&pair->p) ||
            !g2_load(&pair->q, bytes + SB_BLS_G1_BYTES) || !g2_is_in_subgroup(&pair->q)) {
            return false;
        }
        batch.count += !pair->p.infinite && !pair->q.infinite; /* a pair with infinity is one */
        if (batch.count == MILLER_BATCH || (i + 1 == pair_count && batch.count > 0)) {
            miller(&batch);
            fp12_mul(&product, &product, &batch.f);
            batch.count = 0;
        }
    }
    final_exponentiation(&product);
    *ret_is_one = fp12_is_one(&product);
    return true;
}
