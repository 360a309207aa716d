/* test_fxmath.c: exp, sigmoid, tanh, ln and the square root at their edges, and the properties that docs/spec/numerics.md 9 promises. Their values elsewhere are
 * compared with the model in Python by test_cases.c. */
#include "vm/tensor/fxmath.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vm/tensor/round.h"

#define Q26_ONE ((uint32_t)1 << 26)
#define LN2_Q26 46516319u /* floor(ln 2 * 2^26) */

static void exp_at_its_edges_gives_the_specified_values(void **state)
{
    (void)state;
    assert_int_equal(sb_fx_exp_neg(0), SB_FX_ONE_Q31);
    assert_int_equal(sb_fx_exp_neg(Q26_ONE), 790015142);
    assert_int_equal(sb_fx_exp_neg(31 * LN2_Q26 + 64), 1); /* 2^-31 in Q31 */
    assert_int_equal(sb_fx_exp_neg(32 * LN2_Q26 + 64),
                     0); /* half a unit would round up; from here on it is 0 */
    assert_int_equal(sb_fx_exp_neg(UINT32_MAX), 0);
    assert_int_equal(sb_fx_exp_pos(0).mantissa, SB_FX_ONE_Q31);
    assert_int_equal(sb_fx_exp_pos(0).exponent, 0);
    assert_int_equal(sb_fx_exp_pos(UINT32_MAX).exponent, 93);
}

static void exp_of_growing_argument_never_increases(void **state)
{
    (void)state;
    int64_t before = sb_fx_exp_neg(0);
    for (uint32_t a = 1; a < 3 * Q26_ONE; a += 61) {
        int64_t now = sb_fx_exp_neg(a);
        assert_true(now <= before);
        before = now;
    }
    for (uint32_t k = 1; k < 32; k++) { /* every argument around the joints of the pieces */
        before = sb_fx_exp_neg(k * LN2_Q26 - 2000);
        for (uint32_t a = k * LN2_Q26 - 1999; a < k * LN2_Q26 + 2000; a++) {
            int64_t now = sb_fx_exp_neg(a);
            assert_true(now <= before);
            before = now;
        }
    }
}

/* The two signs are inverse to each other: e^a * e^-a is 1 within the stated errors. */
static void exp_of_both_signs_multiplies_to_one(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 8 * Q26_ONE; a += 1234577) {
        struct sb_fx_scaled up = sb_fx_exp_pos(a);
        int64_t down = sb_fx_exp_neg(a);
        int64_t product = sb_shr_i64(up.mantissa * down, 31) << up.exponent; /* Q31 */
        int64_t error = product - SB_FX_ONE_Q31;
        int64_t limit = (int64_t)512 << up.exponent;
        assert_true(error >= -limit && error <= limit);
    }
}

static void sigmoid_and_tanh_are_symmetric_and_bounded(void **state)
{
    (void)state;
    assert_int_equal(sb_fx_sigmoid(0, 0), (int64_t)1 << 30);
    assert_int_equal(sb_fx_sigmoid(0, 1), (int64_t)1 << 30);
    assert_int_equal(sb_fx_sigmoid(UINT32_MAX, 0), SB_FX_ONE_Q31 - 1);
    assert_int_equal(sb_fx_sigmoid(UINT32_MAX, 1), 0);
    assert_int_equal(sb_fx_tanh(0, 0), 0);
    assert_int_equal(sb_fx_tanh(UINT32_MAX, 0), SB_FX_ONE_Q31 - 1);
    assert_int_equal(sb_fx_tanh(UINT32_MAX, 1), -(SB_FX_ONE_Q31 - 1));
    for (uint32_t a = 0; a < 40 * Q26_ONE; a += 3456789) {
        int64_t sum = sb_fx_sigmoid(a, 0) + sb_fx_sigmoid(a, 1);
        assert_true(sum >= SB_FX_ONE_Q31 - 1 && sum <= SB_FX_ONE_Q31);
        assert_int_equal(sb_fx_tanh(a, 0), -sb_fx_tanh(a, 1));
    }
}

static void rounding_of_the_specified_examples_is_half_up(void **state)
{
    (void)state;
    assert_int_equal(sb_round_shr(5, 1), 3);
    assert_int_equal(sb_round_shr(-5, 1), -2);
    assert_int_equal(sb_round_shr(-6, 2), -1);
    assert_int_equal(sb_round_shr(-7, 0), -7);
    assert_int_equal(sb_round_div(7, 2), 4);
    assert_int_equal(sb_round_div(-7, 2), -3);
    assert_int_equal(sb_round_div(-8, 3), -3);
    assert_int_equal(sb_requantise(7984, 1583594044, 40, 0, INT32_MIN, INT32_MAX), 11);
    assert_int_equal(sb_requantise(INT32_MIN, INT32_MAX, 1, 0, INT32_MIN, INT32_MAX), INT32_MIN);
    assert_int_equal(sb_requantise(INT32_MAX, INT32_MAX, 62, 5, -128, 127), 6);
}

static void ln_at_its_edges_gives_the_specified_values(void **state)
{
    (void)state;
    assert_int_equal(sb_fx_ln(1), 0);
    assert_int_equal(sb_fx_ln(2), 1488522236);
    assert_int_equal(sb_fx_ln(10), 4944763834);
    assert_int_equal(sb_fx_ln(UINT64_C(1) << 62), 62 * INT64_C(1488522236));
}

/* It may fall by less than the slack that the verifier allows for, and ln(a * 2) is ln a + ln 2. */
static void ln_of_growing_argument_falls_by_less_than_its_slack(void **state)
{
    (void)state;
    int64_t top = 0;
    for (uint64_t v = 1; v < (UINT64_C(1) << 62); v += 1 + v / 97) {
        int64_t now = sb_fx_ln(v);
        assert_true(now > top - SB_FX_LN_SLACK);
        assert_true(llabs(sb_fx_ln(2 * v) - now - 1488522236) <= SB_FX_LN_SLACK);
        top = now > top ? now : top;
    }
}

static void square_root_is_the_exact_floor(void **state)
{
    (void)state;
    for (uint64_t r = 0; r < UINT64_C(3037000499); r += 1 + r / 1000) {
        assert_int_equal(sb_fx_isqrt(r * r), r);
        assert_int_equal(sb_fx_isqrt(r * r + 2 * r), r);
        assert_int_equal(sb_fx_isqrt((r + 1) * (r + 1)), r + 1);
    }
    assert_int_equal(sb_fx_isqrt(INT64_MAX), 3037000499);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_at_its_edges_gives_the_specified_values),
        cmocka_unit_test(exp_of_growing_argument_never_increases),
        cmocka_unit_test(exp_of_both_signs_multiplies_to_one),
        cmocka_unit_test(sigmoid_and_tanh_are_symmetric_and_bounded),
        cmocka_unit_test(rounding_of_the_specified_examples_is_half_up),
        cmocka_unit_test(ln_at_its_edges_gives_the_specified_values),
        cmocka_unit_test(ln_of_growing_argument_falls_by_less_than_its_slack),
        cmocka_unit_test(square_root_is_the_exact_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
