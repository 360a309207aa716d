/* test_cli_options.c: node/cli.h: reading options, numbers and seconds, and the nearest match. */
#include "node/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct values {
    bool flag;
    const char *text;
    uint64_t number;
    uint64_t ms;
    struct sb_texts texts;
    struct sb_operands operands;
    struct sb_diag diag;
};

static sb_err parse(struct values *v, int argc, const char *const *argv)
{
    memset(v, 0, sizeof *v);
    const struct sb_option options[] = {
        {"flag", SB_OPTION_FLAG, &v->flag, NULL, "", 0, 0},
        {"text", SB_OPTION_TEXT, &v->text, "T", "", 0, 0},
        {"number", SB_OPTION_U64, &v->number, "N", "", 2, 10},
        {"time", SB_OPTION_SECONDS, &v->ms, "S", "", 1, 5000},
        {"item", SB_OPTION_TEXTS, &v->texts, "I", "", 0, 0},
    };
    return sb_options_parse(&v->operands, options, sizeof options / sizeof options[0], argc,
                            (char **)(uintptr_t)argv, &v->diag);
}

#define PARSE(v, ...)                                                                              \
    parse(v, (int)(sizeof((const char *[]){"c", __VA_ARGS__}) / sizeof(char *)),                   \
          (const char *const[]){"c", __VA_ARGS__})

static void options_of_all_kinds_are_read(void **state)
{
    (void)state;
    struct values v;
    assert_int_equal(PARSE(&v, "a", "--flag", "--text=x=y", "--number", "10", "b", "--time", "0.25",
                           "--item", "1", "--item=2", "--", "--flag"),
                     SB_OK);
    assert_true(v.flag);
    assert_string_equal(v.text, "x=y");
    assert_int_equal(v.number, 10);
    assert_int_equal(v.ms, 250);
    assert_int_equal(v.texts.count, 2);
    assert_string_equal(v.texts.items[1], "2");
    assert_int_equal(v.operands.count, 3);
    assert_string_equal(v.operands.items[2], "--flag");
    assert_int_equal(PARSE(&v, "a", "--help"), SB_E_CANCELLED);
}

static void wrong_options_are_refused_by_name(void **state)
{
    (void)state;
    struct values v;
    assert_int_equal(PARSE(&v, "--nubmer", "3"), SB_E_ARG);
    assert_non_null(strstr(v.diag.text, "did you mean --number?"));
    assert_int_equal(PARSE(&v, "--zzz"), SB_E_ARG);
    assert_null(strstr(v.diag.text, "did you mean"));
    assert_int_equal(PARSE(&v, "--text"), SB_E_ARG);
    assert_non_null(strstr(v.diag.text, "--text needs a value"));
    assert_int_equal(PARSE(&v, "--flag=1"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--number", "1"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--number", "11"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--number", "0x3"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--number", "99999999999999999999"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--time", "5.001"), SB_E_ARG);
    assert_int_equal(PARSE(&v, "--time", "0"), SB_E_ARG);
}

static void seconds_are_read_to_the_millisecond(void **state)
{
    (void)state;
    uint64_t ms = 0;
    assert_int_equal(sb_milliseconds_parse(&ms, "2"), SB_OK);
    assert_int_equal(ms, 2000);
    assert_int_equal(sb_milliseconds_parse(&ms, "0.5"), SB_OK);
    assert_int_equal(ms, 500);
    assert_int_equal(sb_milliseconds_parse(&ms, "1.007"), SB_OK);
    assert_int_equal(ms, 1007);
    assert_int_equal(sb_milliseconds_parse(&ms, "1.0001"), SB_E_SYNTAX);
    assert_int_equal(sb_milliseconds_parse(&ms, "."), SB_E_SYNTAX);
    assert_int_equal(sb_milliseconds_parse(&ms, "1."), SB_E_SYNTAX);
    assert_int_equal(sb_milliseconds_parse(&ms, "-1"), SB_E_SYNTAX);
    assert_int_equal(sb_milliseconds_parse(&ms, "18446744073709551615"), SB_E_RANGE);
}

static void times_with_units_are_read_to_the_microsecond(void **state)
{
    (void)state;
    uint64_t us = 0;
    assert_int_equal(sb_microseconds_parse(&us, "25ms"), SB_OK);
    assert_int_equal(us, 25000);
    assert_int_equal(sb_microseconds_parse(&us, "0.025s"), SB_OK);
    assert_int_equal(us, 25000);
    assert_int_equal(sb_microseconds_parse(&us, "1.5ms"), SB_OK);
    assert_int_equal(us, 1500);
    assert_int_equal(sb_microseconds_parse(&us, "300us"), SB_OK);
    assert_int_equal(us, 300);
    assert_int_equal(sb_microseconds_parse(&us, "25"), SB_E_SYNTAX);
    assert_int_equal(sb_microseconds_parse(&us, "ms"), SB_E_SYNTAX);
    assert_int_equal(sb_microseconds_parse(&us, "-1ms"), SB_E_SYNTAX);
    assert_int_equal(sb_microseconds_parse(&us, "1.0001s"), SB_E_SYNTAX);
    assert_int_equal(sb_microseconds_parse(&us, "18446744073709551615s"), SB_E_RANGE);
}

static void shares_in_percent_are_read_as_millionths(void **state)
{
    (void)state;
    uint64_t ppm = 0;
    assert_int_equal(sb_percent_parse(&ppm, "1"), SB_OK);
    assert_int_equal(ppm, 10000);
    assert_int_equal(sb_percent_parse(&ppm, "0.25%"), SB_OK);
    assert_int_equal(ppm, 2500);
    assert_int_equal(sb_percent_parse(&ppm, "0.0001"), SB_OK);
    assert_int_equal(ppm, 1);
    assert_int_equal(sb_percent_parse(&ppm, "0.00001"), SB_E_SYNTAX);
    assert_int_equal(sb_percent_parse(&ppm, "%"), SB_E_SYNTAX);
}

static void nearest_name_is_found_or_none(void **state)
{
    (void)state;
    static const char *const k_names[] = {"dev", "init", "run", "verify", "version", "chain-id"};
    const size_t count = sizeof k_names / sizeof k_names[0];
    assert_string_equal(sb_nearest("dve", k_names, count), "dev");
    assert_string_equal(sb_nearest("verfiy", k_names, count), "verify");
    assert_string_equal(sb_nearest("versoin", k_names, count), "version");
    assert_string_equal(sb_nearest("chain", k_names, count), "chain-id");
    assert_string_equal(sb_nearest("inti", k_names, count), "init");
    assert_null(sb_nearest("wallet", k_names, count));
    assert_null(sb_nearest("", k_names, count));
    assert_null(sb_nearest("a-word-that-is-far-longer-than-any-option-could-be", k_names, count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_all_kinds_are_read),
        cmocka_unit_test(wrong_options_are_refused_by_name),
        cmocka_unit_test(seconds_are_read_to_the_millisecond),
        cmocka_unit_test(times_with_units_are_read_to_the_microsecond),
        cmocka_unit_test(shares_in_percent_are_read_as_millionths),
        cmocka_unit_test(nearest_name_is_found_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
