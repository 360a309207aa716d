/* test_p256.c: P256VERIFY against geth's vectors (which hold Wycheproof's), and the rare cases of the equation built on purpose. */
#include "base/crypto/p256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <string.h>

#include "tests/support/vectors.h"

static void p256_vectors_of_geth_agree(void **state)
{
    (void)state;
    json_t *root = sb_vectors_load("ethereum/precompiles.tar.zst",
                                   "geth-precompiles/precompiles/p256Verify.json");
    assert_true(json_array_size(root) > 700);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        uint8_t in[512], expected[32];
        size_t len = sb_vectors_hex(in, sizeof in, json_object_get(entry, "Input"));
        bool valid =
            sb_vectors_hex(expected, sizeof expected, json_object_get(entry, "Expected")) == 32;
        bool got = len == 160 && sb_p256_verify(in, in + 32, in + 64, in + 96, in + 128);
        assert_int_equal(got, valid);
    }
    json_decref(root);
}

/* A signature equation with chosen parts: R = k G, u1 = h / s, u2 = r / s, Y = d G. */
struct made {
    mpz_t n, k, d, r, s, h, x, y;
    struct ecc_scalar scalar;
    struct ecc_point point;
};

static void point_of(struct made *m, mpz_t ret_x, mpz_t ret_y, const mpz_t factor)
{
    assert_int_equal(ecc_scalar_set(&m->scalar, factor), 1);
    ecc_point_mul_g(&m->point, &m->scalar);
    ecc_point_get(&m->point, ret_x, ret_y);
}

static void made_init(struct made *m)
{
    mpz_inits(m->n, m->k, m->d, m->r, m->s, m->h, m->x, m->y, NULL);
    mpz_set_str(m->n, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16);
    mpz_set_str(m->k, "123456789abcdef123456789abcdef", 16);
    mpz_set_str(m->d, "fedcba9876543210", 16);
    ecc_scalar_init(&m->scalar, nettle_get_secp_256r1());
    ecc_point_init(&m->point, nettle_get_secp_256r1());
    point_of(m, m->r, m->y, m->k);
    mpz_mod(m->r, m->r, m->n);
    point_of(m, m->x, m->y, m->d);
}

static void made_fini(struct made *m)
{
    ecc_scalar_clear(&m->scalar);
    ecc_point_clear(&m->point);
    mpz_clears(m->n, m->k, m->d, m->r, m->s, m->h, m->x, m->y, NULL);
}

static void store(uint8_t ret[32], const mpz_t value)
{
    size_t len = (mpz_sizeinbase(value, 2) + 7) / 8;
    memset(ret, 0, 32);
    mpz_export(ret + 32 - len, NULL, 1, 1, 1, 0, value);
}

static bool verify(const struct made *m)
{
    uint8_t h[32], r[32], s[32], x[32], y[32];
    store(h, m->h);
    store(r, m->r);
    store(s, m->s);
    store(x, m->x);
    store(y, m->y);
    return sb_p256_verify(h, r, s, x, y);
}

/* s = (h + r d) / k: valid for any h, here for those that are zero modulo n. */
static void p256_hash_of_zero_or_of_the_order_verifies(void **state)
{
    (void)state;
    struct made m;
    made_init(&m);
    mpz_t t;
    mpz_init(t);
    mpz_invert(t, m.k, m.n);
    mpz_mul(m.s, m.r, m.d);
    mpz_mul(m.s, m.s, t);
    mpz_mod(m.s, m.s, m.n);
    mpz_set_ui(m.h, 0);
    assert_true(verify(&m));
    mpz_set(m.h, m.n);
    assert_true(verify(&m));
    mpz_add_ui(m.h, m.n, 1);
    assert_false(verify(&m));
    mpz_clear(t);
    made_fini(&m);
}

/* u1 G = u2 Y: the sum is a doubling. u1 = k / 2, u2 = u1 / d, s = r / u2, h = u1 s. */
static void p256_equal_addends_verify_and_opposite_ones_do_not(void **state)
{
    (void)state;
    struct made m;
    made_init(&m);
    mpz_t u1, u2, t;
    mpz_inits(u1, u2, t, NULL);
    mpz_set_ui(t, 2);
    mpz_invert(t, t, m.n);
    mpz_mul(u1, m.k, t);
    mpz_mod(u1, u1, m.n);
    mpz_invert(t, m.d, m.n);
    mpz_mul(u2, u1, t);
    mpz_mod(u2, u2, m.n);
    mpz_invert(t, u2, m.n);
    mpz_mul(m.s, m.r, t);
    mpz_mod(m.s, m.s, m.n);
    mpz_mul(m.h, u1, m.s);
    mpz_mod(m.h, m.h, m.n);
    assert_true(verify(&m));
    /* h -> -h turns u1 G into -u2 Y: the sum is the point at infinity. */
    mpz_sub(m.h, m.n, m.h);
    assert_false(verify(&m));
    mpz_clears(u1, u2, t, NULL);
    made_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p256_vectors_of_geth_agree),
        cmocka_unit_test(p256_hash_of_zero_or_of_the_order_verifies),
        cmocka_unit_test(p256_equal_addends_verify_and_opposite_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
