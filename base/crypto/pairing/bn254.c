/* bn254.c: the curve BN254 out of the templates of this folder; see bn254.h.
 *
 *     x = 4965661367192848881, p = 36 x^4 + 36 x^3 + 24 x^2 + 6 x + 1, r = 36 x^4 + 36 x^3 + 18 x^2 + 6 x + 1
 *     xi = 9 + u; the twist is of type D: (x, y) on it stands for (x w^2, y w^3) on the curve over Fp12
 *
 * Optimal ate pairing: F. Vercauteren, "Optimal Pairings". G1 is the whole curve. Membership in G2: Y. El Housni, A. Guillevic,
 * T. Piellard, "Co-factor Clearing and Subgroup Membership Testing on Pairing-Friendly Curves". Hard part of the final exponentiation:
 * M. Scott and others, "On the Final Exponentiation for Calculating Pairings on Ordinary Elliptic Curves". */
#include "base/crypto/pairing/bn254.h"

#define FP_LIMBS        4
#define FP_MODULUS_BITS 254
#define TWIST_IS_D      1

/* The order of these includes is that of elements.inc, not of the alphabet. */
/* clang-format off */
#include "base/crypto/pairing/elements.inc"
#include "base/crypto/pairing/bn254_constants.inc"
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

#define BN_X 0x44e992b44a6909f1u

/* a (9 + u) = 9 c0 - c1 + (9 c1 + c0) u. */
static void fp2_mul_xi(struct fp2 *ret, const struct fp2 *a)
{
    struct fp2 eight, in = *a;
    fp2_double(&eight, a);
    fp2_double(&eight, &eight);
    fp2_double(&eight, &eight);
    fp2_add(&eight, &eight, &in);
    fp_sub(&ret->c0, &eight.c0, &in.c1);
    fp_add(&ret->c1, &eight.c1, &in.c0);
}

#include "base/crypto/pairing/tower.inc"

#define LINE_MUL(f, l) fp12_mul_034(f, f, &(l)->y_factor, &(l)->x_factor, &(l)->constant)
#include "base/crypto/pairing/miller.inc"

/* 6 x + 2 in non-adjacent form, lowest digit first. */
static const int8_t k_loop[] = {0,  0,  0,  1, 0,  1, 0,  -1, 0,  0, -1, 0, 0,  0,  1, 0, 0,
                                -1, 0,  -1, 0, 0,  0, 1,  0,  -1, 0, 0,  0, 0,  -1, 0, 0, 1,
                                0,  -1, 0,  0, 1,  0, 0,  0,  0,  0, -1, 0, 0,  -1, 0, 1, 0,
                                -1, 0,  0,  0, -1, 0, -1, 0,  0,  0, 1,  0, -1, 0,  1};

/* --- points --- */

static bool g1_load(struct g1_affine *ret, const uint8_t *bytes)
{
    if (!fp_load(&ret->x, bytes) || !fp_load(&ret->y, bytes + FP_BYTES)) {
        return false;
    }
    ret->infinite = fp_is_zero(&ret->x) && fp_is_zero(&ret->y);
    return g1_is_on_curve(ret, &k_g1_b);
}

static void g1_store(uint8_t *ret, const struct g1_point *a)
{
    struct g1_affine affine;
    g1_to_affine(&affine, a);
    fp_store(ret, &affine.x);
    fp_store(ret + FP_BYTES, &affine.y);
}

/* The power p of a point of the twist, taken on the curve over Fp12: conjugates times xi^((p - 1) / 3) and xi^((p - 1) / 2). */
static void g2_frobenius(struct g2_affine *ret, const struct g2_affine *a)
{
    fp2_conjugate(&ret->x, &a->x);
    fp2_mul(&ret->x, &ret->x, &k_frobenius[2]);
    fp2_conjugate(&ret->y, &a->y);
    fp2_mul(&ret->y, &ret->y, &k_frobenius[3]);
    ret->infinite = a->infinite;
}

static void g2_point_frobenius(struct g2_point *ret, const struct g2_point *a)
{
    fp2_conjugate(&ret->x, &a->x);
    fp2_mul(&ret->x, &ret->x, &k_frobenius[2]);
    fp2_conjugate(&ret->y, &a->y);
    fp2_mul(&ret->y, &ret->y, &k_frobenius[3]);
    fp2_conjugate(&ret->z, &a->z);
}

/* (x + 1) Q + psi(x Q) + psi^2(x Q) = psi^3(2 x Q), psi the Frobenius above. */
static bool g2_is_in_subgroup(const struct g2_affine *q)
{
    struct g2_point left, right, power;
    g2_from_affine(&left, q);
    g2_mul_sparse(&power, &left, BN_X);
    g2_add_affine(&left, &power, q);
    g2_double(&right, &power);
    g2_point_frobenius(&power, &power);
    g2_add(&left, &left, &power);
    g2_point_frobenius(&power, &power);
    g2_add(&left, &left, &power);
    for (int i = 0; i < 3; i++) {
        g2_point_frobenius(&right, &right);
    }
    return g2_equal(&left, &right);
}

static bool g2_load(struct g2_affine *ret, const uint8_t *bytes)
{
    if (!fp_load(&ret->x.c1, bytes) || !fp_load(&ret->x.c0, bytes + FP_BYTES) ||
        !fp_load(&ret->y.c1, bytes + 2 * FP_BYTES) || !fp_load(&ret->y.c0, bytes + 3 * FP_BYTES)) {
        return false;
    }
    ret->infinite = fp2_is_zero(&ret->x) && fp2_is_zero(&ret->y);
    return ret->infinite || (g2_is_on_curve(ret, &k_twist_b) && g2_is_in_subgroup(ret));
}

/* --- the pairing --- */

/* The product of the Miller functions of a batch: the loop, then the lines through psi(Q) and -psi^2(Q). */
OUT_OF_LINE static void miller(struct miller_batch *batch)
{
    miller_loop(batch, k_loop, sizeof k_loop);
    for (size_t i = 0; i < batch->count; i++) {
        struct miller_pair *pair = &batch->pairs[i];
        struct g2_affine q;
        g2_frobenius(&q, &pair->q);
        miller_step_add(batch, pair, &q);
        g2_frobenius(&q, &q);
        fp2_neg(&q.y, &q.y);
        miller_step_add(batch, pair, &q);
    }
}

/* f^((p^12 - 1) / r): f^((p^6 - 1)(p^2 + 1)), then the power (p^4 - p^2 + 1) / r as the vectorial chain of Scott and others. */
OUT_OF_LINE static void final_exponentiation(struct fp12 *f)
{
    struct fp12 t0, t1, fx, fx2, fx3, y0, y2, y4, y6;
    fp12_inverse(&t0, f);
    fp12_conjugate(&t1, f);
    fp12_mul(&t1, &t1, &t0);
    fp12_frobenius_2(&t0, &t1);
    fp12_mul(f, &t1, &t0);

    fp12_pow_cyclotomic(&fx, f, BN_X);
    fp12_pow_cyclotomic(&fx2, &fx, BN_X);
    fp12_pow_cyclotomic(&fx3, &fx2, BN_X);
    fp12_frobenius(&y0, f);
    fp12_frobenius_2(&t0, f);
    fp12_mul(&y0, &y0, &t0);
    fp12_frobenius(&t0, &t0);
    fp12_mul(&y0, &y0, &t0); /* f^(p + p^2 + p^3) */
    fp12_frobenius_2(&y2, &fx2);
    fp12_frobenius(&y4, &fx2);
    fp12_mul(&y4, &y4, &fx);
    fp12_conjugate(&y4, &y4);
    fp12_frobenius(&y6, &fx3);
    fp12_mul(&y6, &y6, &fx3);
    fp12_conjugate(&y6, &y6);
    fp12_conjugate(&fx2, &fx2); /* y5 */
    fp12_frobenius(&fx, &fx);
    fp12_conjugate(&fx, &fx); /* y3 */

    fp12_sqr_cyclotomic(&t0, &y6);
    fp12_mul(&t0, &t0, &y4);
    fp12_mul(&t0, &t0, &fx2);
    fp12_mul(&t1, &fx, &fx2);
    fp12_mul(&t1, &t1, &t0);
    fp12_mul(&t0, &t0, &y2);
    fp12_sqr_cyclotomic(&t1, &t1);
    fp12_mul(&t1, &t1, &t0);
    fp12_sqr_cyclotomic(&t1, &t1);
    fp12_conjugate(f, f); /* y1 */
    fp12_mul(&t0, &t1, f);
    fp12_mul(&t1, &t1, &y0);
    fp12_sqr_cyclotomic(&t0, &t0);
    fp12_mul(f, &t0, &t1);
}

/* --- the three functions --- */

bool sb_bn254_add(uint8_t ret[SB_BN254_G1_BYTES], const uint8_t a[SB_BN254_G1_BYTES],
                  const uint8_t b[SB_BN254_G1_BYTES])
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

bool sb_bn254_mul(uint8_t ret[SB_BN254_G1_BYTES], const uint8_t a[SB_BN254_G1_BYTES],
                  const uint8_t scalar[SB_BN254_SCALAR_BYTES])
{
    struct g1_affine base;
    if (!g1_load(&base, a)) {
        return false;
    }
    sb_u256 k = sb_u256_load_be(scalar, SB_BN254_SCALAR_BYTES);
    struct g1_point product;
    g1_mul(&product, &base, &k);
    g1_store(ret, &product);
    return true;
}

bool sb_bn254_pairing(bool *ret_is_one, const uint8_t *pairs, size_t pair_count)
{
    struct miller_batch batch = {.count = 0};
    struct fp12 product;
    fp12_set_one(&product);
    for (size_t i = 0; i < pair_count; i++) {
        struct miller_pair *pair = &batch.pairs[batch.count];
        const uint8_t *bytes = pairs + i * SB_BN254_PAIR_BYTES;
        if (!g1_load(&pair->p, bytes) || !g2_load(&pair->q, bytes + SB_BN254_G1_BYTES)) {
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
