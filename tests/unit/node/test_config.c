/* test_config.c: node/config.h: defaults, files, flags, and an error that names the key for each wrong one. */
#include "node/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_error(const char *text, sb_err expected, const char *key)
{
    static struct sb_config config;
    static struct sb_config before;
    struct sb_diag diag = {.text = ""};
    sb_config_default(&config);
    before = config;
    assert_int_equal(sb_config_parse(&config, sb_span_str(text), &diag), expected);
    assert_non_null(strstr(diag.text, key));
    assert_memory_equal(&config, &before, sizeof config);
}

static void file_with_some_keys_changes_only_those(void **state)
{
    (void)state;
    static struct sb_config config;
    struct sb_diag diag = {.text = ""};
    const char *text = "{\"port\": 9545, \"host\": \"0.0.0.0\", \"instantBlocks\": true}";
    sb_config_default(&config);
    assert_int_equal(config.port, 8545);
    assert_string_equal(config.host, "127.0.0.1");
    assert_false(config.instant_blocks);
    assert_int_equal(sb_config_parse(&config, sb_span_str(text), &diag), SB_OK);
    assert_int_equal(config.port, 9545);
    assert_string_equal(config.host, "0.0.0.0");
    assert_true(config.instant_blocks);
    assert_int_equal(config.cache_mib, 64);
    assert_string_equal(config.log_level, "info");
}

static void wrong_file_is_refused_with_its_key(void **state)
{
    (void)state;
    expect_error("", SB_E_SYNTAX, "line 1");
    expect_error("{\"port\": 1", SB_E_SYNTAX, "line 1");
    expect_error("[]", SB_E_TYPE, "object");
    expect_error("{\"port\": 1, \"port\": 2}", SB_E_SYNTAX, "port");
    expect_error("{\"prot\": 1}", SB_E_UNSUPPORTED, "did you mean port?");
    expect_error("{\"nonsense\": 1}", SB_E_UNSUPPORTED, "nonsense");
    expect_error("{\"port\": 65536}", SB_E_RANGE, "port");
    expect_error("{\"port\": -1}", SB_E_TYPE, "port");
    expect_error("{\"port\": \"8545\"}", SB_E_TYPE, "port");
    expect_error("{\"port\": 1.5}", SB_E_TYPE, "port");
    expect_error("{\"host\": 1}", SB_E_TYPE, "host");
    expect_error("{\"instantBlocks\": 1}", SB_E_TYPE, "instantBlocks");
    expect_error("{\"logLevel\": \"loud\"}", SB_E_RANGE, "logLevel");
    expect_error("{\"logFormat\": \"xml\"}", SB_E_RANGE, "logFormat");
    /* a good key does not save a bad one */
    expect_error("{\"port\": 1, \"cacheMiB\": 0}", SB_E_RANGE, "cacheMiB");
}

static void text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[SB_CONFIG_TEXT_BYTES + 32] = "{\"host\": \"";
    memset(text + strlen(text), 'h', SB_CONFIG_TEXT_BYTES);
    memcpy(text + sizeof text - 3, "\"}", 3);
    memset(text + 10, 'h', sizeof text - 13);
    expect_error(text, SB_E_RANGE, "host");
}

static void emitted_settings_are_read_back_equal(void **state)
{
    (void)state;
    static struct sb_config config;
    static struct sb_config back;
    struct sb_diag diag = {.text = ""};
    struct sb_buf text;
    sb_config_default(&config);
    config.port = 1;
    config.instant_blocks = true;
    memcpy(config.cors_origin, "a\"b", 4);
    memset(config.persistent_peers, 'x', SB_CONFIG_LIST_BYTES - 1);
    sb_config_default(&back);
    sb_buf_init(&text, SB_CONFIG_FILE_BYTES_MAX);
    sb_config_emit(&text, &config);
    assert_int_equal(sb_config_parse(&back, sb_buf_bytes(&text), &diag), SB_OK);
    assert_memory_equal(&config, &back, sizeof config);
    sb_buf_fini(&text);
}

static void list_is_split_at_its_commas(void **state)
{
    (void)state;
    static struct sb_config_items items;
    struct sb_diag diag = {.text = ""};
    assert_int_equal(sb_config_list_split(&items, "", "seeds", &diag), SB_OK);
    assert_int_equal(items.count, 0);
    assert_int_equal(sb_config_list_split(&items, " a@h:1 ,b@h:2,c", "seeds", &diag), SB_OK);
    assert_int_equal(items.count, 3);
    assert_string_equal(items.items[0], "a@h:1");
    assert_string_equal(items.items[1], "b@h:2");
    assert_string_equal(items.items[2], "c");
    assert_int_equal(sb_config_list_split(&items, "a,,b", "seeds", &diag), SB_E_RANGE);
    assert_int_equal(sb_config_list_split(&items, "a,", "seeds", &diag), SB_E_RANGE);
    assert_non_null(strstr(diag.text, "seeds"));
    static char many[2 * SB_CONFIG_LIST_ITEMS_MAX + 2];
    for (size_t i = 0; i <= SB_CONFIG_LIST_ITEMS_MAX; i++) {
        many[2 * i] = 'a';
        many[2 * i + 1] = i < SB_CONFIG_LIST_ITEMS_MAX ? ',' : '\0';
    }
    assert_int_equal(sb_config_list_split(&items, many, "seeds", &diag), SB_E_RANGE);
}

static sb_err apply(struct sb_config *config, int argc, const char *const *argv,
                    struct sb_diag *diag)
{
    struct sb_config_flags flags;
    struct sb_option options[SB_CONFIG_COUNT];
    struct sb_operands operands;
    sb_config_flags_init(&flags);
    sb_config_options(options, &flags);
    sb_config_default(config);
    SB_TRY(sb_options_parse(&operands, options, SB_CONFIG_COUNT, argc, (char **)(uintptr_t)argv,
                            diag));
    return sb_config_apply(config, &flags, diag);
}

static void flags_are_laid_over_the_settings(void **state)
{
    (void)state;
    static struct sb_config config;
    struct sb_diag diag = {.text = ""};
    const char *const good[] = {"run", "--port", "0", "--log-format=json", "--instant"};
    assert_int_equal(apply(&config, 5, good, &diag), SB_OK);
    assert_int_equal(config.port, 0);
    assert_string_equal(config.log_format, "json");
    assert_true(config.instant_blocks);
    assert_int_equal(config.cache_mib, 64);
    const char *const bad_number[] = {"run", "--port", "70000"};
    assert_int_equal(apply(&config, 3, bad_number, &diag), SB_E_ARG);
    assert_non_null(strstr(diag.text, "--port"));
    const char *const bad_level[] = {"run", "--log-level", "loud"};
    assert_int_equal(apply(&config, 3, bad_level, &diag), SB_E_RANGE);
    assert_non_null(strstr(diag.text, "--log-level"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_with_some_keys_changes_only_those),
        cmocka_unit_test(wrong_file_is_refused_with_its_key),
        cmocka_unit_test(text_that_is_too_long_is_refused),
        cmocka_unit_test(emitted_settings_are_read_back_equal),
        cmocka_unit_test(list_is_split_at_its_commas),
        cmocka_unit_test(flags_are_laid_over_the_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
