/* p256.c: ECDSA over secp256r1: nettle multiplies points, GMP does the rest; see p256.h.
 *
 *   u1 = hash / s, u2 = r / s mod n;   R = u1 * G + u2 * Q;   valid if R is not infinity and x(R) mod n = r         (FIPS 186-5, 6.4.2)
 *
 * nettle's ecdsa_verify is not used: its addition of points has no case for equal ones, so it refuses valid signatures with
 * u1 * G = u2 * Q ("point duplication" in Wycheproof's vectors). The addition here is complete. The same gap could open inside one of
 * nettle's multiplications for a scalar made for it; what comes out then is (0, 0), for a projective Z of zero stays zero, and that is
 * no point of the curve. Such a product is computed again as the sum of two, split where nobody can steer it. */
#include "base/crypto/p256.h"

#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>

#include "base/crypto/hash.h"
#include "base/util/assert.h"

#define FIELD_PRIME "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
#define GROUP_ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

#define SPLITS_MAX  16 /* the first suffices but for a chance of about 2^-200 */

struct point {
    mpz_t x, y;
    bool infinity;
};

/* Numbers of one verification. */
struct work {
    mpz_t prime, order;
    mpz_t slope, t, u; /* scratch of point_add */
    struct ecc_scalar scalar;
    struct ecc_point product;
};

static void import_number(mpz_t ret, const uint8_t bytes[32])
{
    mpz_import(ret, 32, 1, 1, 1, 0, bytes);
}

static void point_init(struct point *p)
{
    mpz_inits(p->x, p->y, NULL);
    p->infinity = true;
}

static void point_clear(struct point *p)
{
    mpz_clears(p->x, p->y, NULL);
}

static void work_init(struct work *w)
{
    mpz_init_set_str(w->prime, FIELD_PRIME, 16);
    mpz_init_set_str(w->order, GROUP_ORDER, 16);
    mpz_inits(w->slope, w->t, w->u, NULL);
    ecc_scalar_init(&w->scalar, nettle_get_secp_256r1());
    ecc_point_init(&w->product, nettle_get_secp_256r1());
}

static void work_clear(struct work *w)
{
    mpz_clears(w->prime, w->order, w->slope, w->t, w->u, NULL);
    ecc_scalar_clear(&w->scalar);
    ecc_point_clear(&w->product);
}

/* sum += addend, for any two points: slope (y2-y1)/(x2-x1), or (3x^2-3)/2y for equal ones. */
static void point_add(struct work *w, struct point *sum, const struct point *addend)
{
    if (addend->infinity) {
        return;
    }
    if (sum->infinity) {
        mpz_set(sum->x, addend->x);
        mpz_set(sum->y, addend->y);
        sum->infinity = false;
        return;
    }
    if (mpz_cmp(sum->x, addend->x) != 0) {
        mpz_sub(w->t, addend->y, sum->y);
        mpz_sub(w->u, addend->x, sum->x);
    } else if (mpz_cmp(sum->y, addend->y) == 0 && mpz_sgn(sum->y) != 0) {
        mpz_mul(w->t, sum->x, sum->x);
        mpz_sub_ui(w->t, w->t, 1);
        mpz_mul_ui(w->t, w->t, 3);
        mpz_mul_2exp(w->u, sum->y, 1);
    } else {
        sum->infinity = true; /* opposite points */
        return;
    }
    mpz_mod(w->u, w->u, w->prime);
    int invertible = mpz_invert(w->u, w->u, w->prime);
    SB_ASSERT(invertible != 0);
    mpz_mul(w->slope, w->t, w->u);
    mpz_mod(w->slope, w->slope, w->prime);

    mpz_mul(w->t, w->slope, w->slope);
    mpz_sub(w->t, w->t, sum->x);
    mpz_sub(w->t, w->t, addend->x);
    mpz_mod(w->t, w->t, w->prime); /* x3 */
    mpz_sub(w->u, sum->x, w->t);
    mpz_mul(w->u, w->u, w->slope);
    mpz_sub(w->u, w->u, sum->y);
    mpz_mod(sum->y, w->u, w->prime);
    mpz_set(sum->x, w->t);
}

/* ret = number * base (NULL: the generator), 0 < number < n; false if nettle's formulas fell into their gap. */
static bool multiply_once(struct work *w, struct point *ret, const mpz_t number,
                          const struct ecc_point *base)
{
    int in_range = ecc_scalar_set(&w->scalar, number);
    SB_ASSERT(in_range != 0);
    if (base != NULL) {
        ecc_point_mul(&w->product, &w->scalar, base);
    } else {
        ecc_point_mul_g(&w->product, &w->scalar);
    }
    ecc_point_get(&w->product, ret->x, ret->y);
    ret->infinity = false;
    return mpz_sgn(ret->x) != 0 || mpz_sgn(ret->y) != 0;
}

/* number = part + rest with a part that is a hash of number and round; false if one of the two is zero. */
static bool split(struct work *w, mpz_t ret_part, mpz_t ret_rest, const mpz_t number, uint8_t round)
{
    uint8_t bytes[33] = {round};
    size_t len = 0;
    (void)mpz_export(bytes + 1, &len, 1, 1, 1, 0, number);
    sb_hash hash = sb_sha256(sb_span(bytes, sizeof bytes));
    import_number(ret_part, hash.b);
    mpz_mod(ret_part, ret_part, w->order);
    mpz_sub(ret_rest, number, ret_part);
    mpz_mod(ret_rest, ret_rest, w->order);
    return mpz_sgn(ret_part) != 0 && mpz_sgn(ret_rest) != 0;
}

/* sum += number * base, 0 <= number < n. */
static void multiply_add(struct work *w, struct point *sum, const mpz_t number,
                         const struct ecc_point *base)
{
    if (mpz_sgn(number) == 0) {
        return;
    }
    struct point first, second;
    mpz_t part, rest;
    point_init(&first);
    point_init(&second);
    mpz_inits(part, rest, NULL);
    bool done = multiply_once(w, &first, number, base);
    for (uint8_t round = 0; !done; round++) {
        SB_ASSERT(round < SPLITS_MAX);
        done = split(w, part, rest, number, round) && multiply_once(w, &first, part, base) &&
               multiply_once(w, &second, rest, base);
    }
    point_add(w, &first, &second);
    point_add(w, sum, &first);
    mpz_clears(part, rest, NULL);
    point_clear(&first);
    point_clear(&second);
}

/* The equation, for r and s in [1, n-1]. */
static bool equation_holds(struct work *w, const uint8_t hash[32], const mpz_t r, const mpz_t s,
                           const struct ecc_point *key)
{
    mpz_t inverse, factor;
    mpz_inits(inverse, factor, NULL);
    struct point sum;
    point_init(&sum);
    int invertible = mpz_invert(inverse, s, w->order);
    SB_ASSERT(invertible != 0);
    import_number(factor, hash);
    mpz_mul(factor, factor, inverse);
    mpz_mod(factor, factor, w->order);
    multiply_add(w, &sum, factor, NULL);
    mpz_mul(factor, r, inverse);
    mpz_mod(factor, factor, w->order);
    multiply_add(w, &sum, factor, key);
    mpz_mod(sum.x, sum.x, w->order);
    bool holds = !sum.infinity && mpz_cmp(sum.x, r) == 0;
    point_clear(&sum);
    mpz_clears(inverse, factor, NULL);
    return holds;
}

static bool in_group(const struct work *w, const mpz_t number)
{
    return mpz_sgn(number) > 0 && mpz_cmp(number, w->order) < 0;
}

bool sb_p256_verify(const uint8_t hash[32], const uint8_t r[32], const uint8_t s[32],
                    const uint8_t x[32], const uint8_t y[32])
{
    struct work w;
    struct ecc_point key;
    mpz_t key_x, key_y, number_r, number_s;
    work_init(&w);
    ecc_point_init(&key, nettle_get_secp_256r1());
    mpz_inits(key_x, key_y, number_r, number_s, NULL);
    import_number(key_x, x);
    import_number(key_y, y);
    import_number(number_r, r);
    import_number(number_s, s);
    /* nettle refuses coordinates not below p and points off the curve, so also (0, 0) */
    bool valid = in_group(&w, number_r) && in_group(&w, number_s) &&
                 ecc_point_set(&key, key_x, key_y) == 1 &&
                 equation_holds(&w, hash, number_r, number_s, &key);
    mpz_clears(key_x, key_y, number_r, number_s, NULL);
    ecc_point_clear(&key);
    work_clear(&w);
    return valid;
}
