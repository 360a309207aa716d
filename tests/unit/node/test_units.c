/* test_units.c: node/units.h and node/real.h: addresses with checksum, amounts, real numbers. */
#include "node/units.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/real.h"

/* Examples of EIP-55. */
static const char *const k_checksummed[] = {
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};

static void addresses_of_eip_55_are_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof k_checksummed / sizeof k_checksummed[0]; i++) {
        sb_addr addr;
        char text[SB_ADDR_TEXT_BYTES];
        assert_int_equal(sb_addr_parse(&addr, k_checksummed[i], NULL), SB_OK);
        sb_addr_format(text, &addr);
        assert_string_equal(text, k_checksummed[i]);
    }
}

static void wrong_addresses_are_refused(void **state)
{
    (void)state;
    sb_addr addr;
    const char *lower = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
    const char *wrong_case = "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert_int_equal(sb_addr_parse(&addr, lower, NULL), SB_OK);
    assert_int_equal(sb_addr_parse(&addr, wrong_case, NULL), SB_E_CHECKSUM);
    assert_int_equal(sb_addr_parse(&addr, lower + 2, NULL), SB_E_SYNTAX);
    assert_int_equal(sb_addr_parse(&addr, "0x12", NULL), SB_E_SYNTAX);
    assert_int_equal(sb_addr_parse(&addr, "", NULL), SB_E_SYNTAX);
}

static void amounts_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wei, *back;
    } k_cases[] = {
        {"0", "0", "0"},
        {"1", "1000000000000000000", "1"},
        {"10000", "10000000000000000000000", "10000"},
        {"0.5", "500000000000000000", "0.5"},
        {"12.500", "12500000000000000000", "12.5"},
        {"0.000000000000000001", "1", "0.000000000000000001"},
        {"100.000000000000000010", "100000000000000000010", "100.00000000000000001"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        sb_u256 wei;
        char text[SB_UNITS_TEXT_BYTES];
        char digits[SB_U256_DECIMAL_BYTES];
        assert_int_equal(sb_units_parse(&wei, k_cases[i].text, SB_ETHER_DECIMALS, NULL), SB_OK);
        sb_u256_format_decimal(digits, &wei);
        assert_string_equal(digits, k_cases[i].wei);
        sb_units_format(text, &wei, SB_ETHER_DECIMALS);
        assert_string_equal(text, k_cases[i].back);
    }
}

static void wrong_amounts_are_refused(void **state)
{
    (void)state;
    static const char *const k_bad[] = {
        "", ".", "1.", ".5", "-1", "1e3", "0x1", "1 ", "0.0000000000000000001", "1.2.3"};
    sb_u256 wei;
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_equal(sb_units_parse(&wei, k_bad[i], SB_ETHER_DECIMALS, NULL), SB_E_SYNTAX);
    }
    const char *huge = "1000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(sb_units_parse(&wei, huge, SB_ETHER_DECIMALS, NULL), SB_E_RANGE);
}

static void allocations_are_read_with_their_address(void **state)
{
    (void)state;
    sb_addr addr;
    sb_u256 wei;
    const char *good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed=2.5";
    assert_int_equal(sb_alloc_parse(&addr, &wei, good, NULL), SB_OK);
    assert_int_equal(addr.b[0], 0x5a);
    assert_int_equal(wei.w[0], UINT64_C(2500000000000000000));
    assert_int_equal(sb_alloc_parse(&addr, &wei, "0x12=1", NULL), SB_E_SYNTAX);
    assert_int_equal(sb_alloc_parse(&addr, &wei, k_checksummed[0], NULL), SB_E_SYNTAX);
}

static void doubles_become_the_nearest_real_number(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } k_cases[] = {
        {0.0, "0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {0.5, "0.5"},
        {-17.25, "-17.25"},
        {0.1, "0.100000000000000006"}, /* the double next to 0.1 is 0.1000000000000000055... */
        {-0.1, "-0.100000000000000006"},
        {0x1p-60, "0.000000000000000001"}, /* 0.867e-18 */
        {0x1p-61, "0"},
        {-0x1p-61, "0"},
        {5e-19, "0.000000000000000001"},
        {1e-300, "0"},
        {0x1p100, "1267650600228229401496703205376"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        sb_u256 real;
        char text[SB_REAL_TEXT_BYTES];
        assert_int_equal(sb_real_from_double(&real, k_cases[i].x), SB_OK);
        sb_real_format(text, &real);
        assert_string_equal(text, k_cases[i].text);
    }
    sb_u256 real;
    assert_int_equal(sb_real_from_double(&real, 1e300), SB_E_RANGE);
    assert_int_equal(sb_real_from_double(&real, (double)INFINITY), SB_E_RANGE);
    assert_int_equal(sb_real_from_double(&real, (double)NAN), SB_E_RANGE);
    assert_int_equal(sb_real_from_double(&real, -2.5), SB_OK);
    assert_true(sb_real_to_double(&real) == -2.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_eip_55_are_read_and_written),
        cmocka_unit_test(wrong_addresses_are_refused),
        cmocka_unit_test(amounts_are_read_and_written),
        cmocka_unit_test(wrong_amounts_are_refused),
        cmocka_unit_test(allocations_are_read_with_their_address),
        cmocka_unit_test(doubles_become_the_nearest_real_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
