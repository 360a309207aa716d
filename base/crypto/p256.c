/* p256.c: the verification equation over nettle's point products; see p256.h.
 *
 *     w = 1/s    P1 = (h w) G    P2 = (r w) Y    valid when x(P1 + P2) mod n = r
 *
 * nettle's own ecdsa_verify (3.8) refuses valid signatures for which P1 = P2: its addition cannot double. Whoever chooses hash and
 * key can make such a signature, and a chain may not depend on the version of a library; so the two products are taken from nettle,
 * and the addition is done here, with all its cases. nettle's ecc_point_set refuses coordinates not below p and points off the curve,
 * so also (0, 0). Spec: FIPS 186-4, 6.4; SEC 1, 2.2.1. */
#include "base/crypto/p256.h"

#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>

#include "base/util/assert.h"

static const uint8_t k_prime[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};
static const uint8_t k_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* All numbers of one verification. */
struct work {
    mpz_t p, n, r, s, u1, u2, x1, y1, x2, y2, t;
    struct ecc_scalar scalar;
    struct ecc_point key;
    struct ecc_point product;
};

static void import_number(mpz_t ret, const uint8_t bytes[32])
{
    mpz_import(ret, 32, 1, 1, 1, 0, bytes);
}

static void work_init(struct work *w)
{
    mpz_inits(w->p, w->n, w->r, w->s, w->u1, w->u2, w->x1, w->y1, w->x2, w->y2, w->t, NULL);
    ecc_scalar_init(&w->scalar, nettle_get_secp_256r1());
    ecc_point_init(&w->key, nettle_get_secp_256r1());
    ecc_point_init(&w->product, nettle_get_secp_256r1());
    import_number(w->p, k_prime);
    import_number(w->n, k_order);
}

static void work_fini(struct work *w)
{
    ecc_point_clear(&w->product);
    ecc_point_clear(&w->key);
    ecc_scalar_clear(&w->scalar);
    mpz_clears(w->p, w->n, w->r, w->s, w->u1, w->u2, w->x1, w->y1, w->x2, w->y2, w->t, NULL);
}

/* factor * G, or factor * key when point is not NULL, for a factor in [1, n-1]. */
static void multiply(mpz_t ret_x, mpz_t ret_y, struct work *w, const struct ecc_point *point,
                     const mpz_t factor)
{
    int in_range = ecc_scalar_set(&w->scalar, factor);
    SB_ASSERT(in_range == 1);
    if (point != NULL) {
        ecc_point_mul(&w->product, &w->scalar, point);
    } else {
        ecc_point_mul_g(&w->product, &w->scalar);
    }
    ecc_point_get(&w->product, ret_x, ret_y);
}

/* ret_x = x(P1 + P2) for P1 = (x1, y1), P2 = (x2, y2), both not infinity; false when the sum is. Uses t, x1, y1 as scratch. */
static bool add_points(mpz_t ret_x, struct work *w)
{
    if (mpz_cmp(w->x1, w->x2) == 0) {
        if (mpz_cmp(w->y1, w->y2) != 0) {
            return false;
        }
        /* P1 = P2 = u1 G, so the sum is (2 u1) G; n is an odd prime, so 2 u1 is not 0 modulo n. */
        mpz_mul_2exp(w->t, w->u1, 1);
        mpz_mod(w->t, w->t, w->n);
        multiply(ret_x, w->y1, w, NULL, w->t);
        return true;
    }
    /* x3 = ((y2 - y1) / (x2 - x1))^2 - x1 - x2 */
    mpz_sub(w->t, w->x2, w->x1);
    int invertible = mpz_invert(w->t, w->t, w->p);
    SB_ASSERT(invertible != 0);
    mpz_sub(w->y1, w->y2, w->y1);
    mpz_mul(w->t, w->t, w->y1);
    mpz_mod(w->t, w->t, w->p);
    mpz_mul(w->t, w->t, w->t);
    mpz_sub(w->t, w->t, w->x1);
    mpz_sub(w->t, w->t, w->x2);
    mpz_mod(ret_x, w->t, w->p);
    return true;
}

/* The equation, for r and s in range and a key on the curve. */
static bool equation_holds(struct work *w, const uint8_t hash[32])
{
    import_number(w->u1, hash);
    int invertible = mpz_invert(w->t, w->s, w->n);
    SB_ASSERT(invertible != 0);
    mpz_mul(w->u1, w->u1, w->t);
    mpz_mod(w->u1, w->u1, w->n);
    mpz_mul(w->u2, w->r, w->t);
    mpz_mod(w->u2, w->u2, w->n);
    multiply(w->x2, w->y2, w, &w->key, w->u2);
    if (mpz_sgn(w->u1) != 0) {
        multiply(w->x1, w->y1, w, NULL, w->u1);
        if (!add_points(w->x2, w)) {
            return false;
        }
    }
    mpz_mod(w->x2, w->x2, w->n);
    return mpz_cmp(w->x2, w->r) == 0;
}

bool sb_p256_verify(const uint8_t hash[32], const uint8_t r[32], const uint8_t s[32],
                    const uint8_t x[32], const uint8_t y[32])
{
    struct work w;
    work_init(&w);
    import_number(w.r, r);
    import_number(w.s, s);
    import_number(w.x1, x);
    import_number(w.y1, y);
    bool valid = mpz_sgn(w.r) > 0 && mpz_cmp(w.r, w.n) < 0 && mpz_sgn(w.s) > 0 &&
                 mpz_cmp(w.s, w.n) < 0 && ecc_point_set(&w.key, w.x1, w.y1) == 1 &&
                 equation_holds(&w, hash);
    work_fini(&w);
    return valid;
}
