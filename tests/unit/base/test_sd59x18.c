/* test_sd59x18.c: base/num/sd59x18.h against vectors from Python's decimal module (tests/tools/sd_vectors.py). */
#include "base/num/sd59x18.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sb_u256 parse(const char *text)
{
    bool negative = text[0] == '-';
    sb_u256 value;
    text += negative ? 1 : 0;
    assert_true(sb_u256_parse_decimal(&value, text, strlen(text)));
    return negative ? sb_u256_neg(&value) : value;
}

static sb_err apply(sb_u256 *ret, const char *name, const sb_u256 *x, const sb_u256 *y)
{
    static const struct {
        const char *name;
        sb_err (*unary)(sb_u256 *ret, const sb_u256 *x);
        sb_err (*binary)(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y);
        sb_u256 (*total)(const sb_u256 *x);
    } table[] = {
        {"mul", NULL, sb_sd_mul, NULL},         {"div", NULL, sb_sd_div, NULL},
        {"pow", NULL, sb_sd_pow, NULL},         {"sqrt", sb_sd_sqrt, NULL, NULL},
        {"exp", sb_sd_exp, NULL, NULL},         {"exp2", sb_sd_exp2, NULL, NULL},
        {"ln", sb_sd_ln, NULL, NULL},           {"log2", sb_sd_log2, NULL, NULL},
        {"sigmoid", NULL, NULL, sb_sd_sigmoid}, {"tanh", NULL, NULL, sb_sd_tanh},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) == 0) {
            if (table[i].total != NULL) {
                *ret = table[i].total(x);
                return SB_OK;
            }
            return table[i].unary != NULL ? table[i].unary(ret, x) : table[i].binary(ret, x, y);
        }
    }
    fail_msg("unknown function %s", name);
    return SB_E_ARG;
}

/* |got - want| <= 1 + |want| / 2^91: the stated error, with |y| below 2^9 for pow; exact for mul, div, sqrt. */
static bool is_close(const char *name, const sb_u256 *got, const sb_u256 *want)
{
    sb_u256 diff = sb_u256_slt(got, want) ? sb_u256_sub(want, got) : sb_u256_sub(got, want);
    if (strcmp(name, "mul") == 0 || strcmp(name, "div") == 0 || strcmp(name, "sqrt") == 0) {
        return sb_u256_is_zero(&diff);
    }
    sb_u256 size = sb_u256_is_negative(want) ? sb_u256_neg(want) : *want;
    sb_u256 bound = sb_u256_shr(&size, 91);
    sb_u256 one = sb_u256_from_u64(1);
    bound = sb_u256_add(&bound, &one);
    return !sb_u256_lt(&bound, &diff);
}

static void sd_vectors_agree_within_the_stated_error(void **state)
{
    (void)state;
    char path[1024];
    char line[1024];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/sd59x18.txt",
                   getenv("SAMEBIT_SOURCE_ROOT"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char name[16];
        char x_text[100];
        char y_text[100];
        char want_text[100];
        assert_int_equal(sscanf(line, "%15s %99s %99s %99s", name, x_text, y_text, want_text), 4);
        sb_u256 x = parse(x_text);
        sb_u256 y = parse(y_text);
        sb_u256 got = sb_u256_zero();
        sb_err err = apply(&got, name, &x, &y);
        if (strcmp(want_text, "range") == 0) {
            if (err != SB_E_RANGE) {
                fail_msg("%s: should be out of range", line);
            }
        } else {
            sb_u256 want = parse(want_text);
            char text[SB_U256_DECIMAL_BYTES];
            sb_u256_format_decimal(text, &got);
            if (err != SB_OK || !is_close(name, &got, &want)) {
                fail_msg("%s got %s (%s)", line, text, sb_err_text(err));
            }
        }
        count++;
    }
    (void)fclose(file);
    assert_true(count > 500);
}

static void sd_exact_points_are_exact(void **state)
{
    (void)state;
    sb_u256 one = sb_u256_from_u64(SB_SD_ONE);
    sb_u256 zero = sb_u256_zero();
    sb_u256 half = sb_u256_from_u64(SB_SD_ONE / 2);
    sb_u256 eight = sb_u256_from_u64(8 * SB_SD_ONE);
    sb_u256 three = sb_u256_from_u64(3 * SB_SD_ONE);
    sb_u256 got;
    assert_int_equal(sb_sd_exp(&got, &zero), SB_OK);
    assert_true(sb_u256_equal(&got, &one));
    assert_int_equal(sb_sd_exp2(&got, &three), SB_OK);
    assert_true(sb_u256_equal(&got, &eight));
    assert_int_equal(sb_sd_log2(&got, &eight), SB_OK);
    assert_true(sb_u256_equal(&got, &three));
    assert_int_equal(sb_sd_ln(&got, &one), SB_OK);
    assert_true(sb_u256_is_zero(&got));
    got = sb_sd_sigmoid(&zero);
    assert_true(sb_u256_equal(&got, &half));
    got = sb_sd_tanh(&zero);
    assert_true(sb_u256_is_zero(&got));
}

static void sd_isqrt_is_the_floor_of_the_root(void **state)
{
    (void)state;
    sb_u256 max = sb_u256_not(&(sb_u256){{0}});
    sb_u256 root = sb_sd_isqrt(&max);
    assert_true(root.w[0] == UINT64_MAX && root.w[1] == UINT64_MAX && root.w[2] == 0);
    for (uint64_t i = 0; i < 70000; i++) {
        sb_u256 a = sb_u256_from_u64(i);
        uint64_t r = sb_sd_isqrt(&a).w[0];
        assert_true(r * r <= i && (r + 1) * (r + 1) > i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sd_vectors_agree_within_the_stated_error),
        cmocka_unit_test(sd_exact_points_are_exact),
        cmocka_unit_test(sd_isqrt_is_the_floor_of_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
