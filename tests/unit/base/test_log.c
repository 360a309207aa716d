/* test_log.c: forms, levels, cutting and safety of log lines. */
#include "base/util/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

static int64_t fixed_clock(void *ctx)
{
    return *(const int64_t *)ctx;
}

struct capture {
    FILE *sink;
    char *text;
    size_t len;
};

static void capture_start(struct capture *c)
{
    c->sink = open_memstream(&c->text, &c->len);
    assert_non_null(c->sink);
}

static void capture_end(struct capture *c, const char *expected)
{
    assert_int_equal(fclose(c->sink), 0);
    if (expected != NULL) {
        assert_string_equal(c->text, expected);
    }
}

static void log_logfmt_line_has_time_level_area_and_fields(void **state)
{
    (void)state;
    struct capture c = {0};
    capture_start(&c);
    int64_t now_ms = INT64_C(1769860800123);
    struct sb_logger log;
    sb_log_init(&log, c.sink, SB_LOG_FORM_LOGFMT, SB_LOG_INFO, false, fixed_clock, &now_ms);
    const uint8_t id[] = {0xab, 0x01};
    sb_log(&log, SB_LOG_INFO, "rpc", "server is up", SB_LOG_U64("port", 8545),
           SB_LOG_STR("host", "a b"), SB_LOG_STR("bare", "x:1"), SB_LOG_I64("delta", -1),
           SB_LOG_BOOL("tls", false), SB_LOG_HEX("id", id, 2), SB_LOG_ERR("err", SB_E_BUSY),
           SB_LOG_END);
    sb_log(&log, SB_LOG_DEBUG, "rpc", "not written", SB_LOG_END);
    capture_end(&c, "2026-01-31T12:00:00.123Z INFO  rpc: server is up port=8545 host=\"a b\" "
                    "bare=x:1 delta=-1 tls=false "
                    "id=0xab01 err=\"too busy, try again\"\n");
    free(c.text);
}

static void log_json_line_parses_whatever_the_text(void **state)
{
    (void)state;
    struct capture c = {0};
    capture_start(&c);
    int64_t now_ms = -1;
    struct sb_logger log;
    sb_log_init(&log, c.sink, SB_LOG_FORM_JSON, SB_LOG_TRACE, true, fixed_clock, &now_ms);
    sb_log(&log, SB_LOG_TRACE, "p2p", "bad \"peer\"\n\xff",
           SB_LOG_STR("agent", "\x1b[2J\nlevel=error"), SB_LOG_END);
    capture_end(
        &c,
        "{\"ts\":\"1969-12-31T23:59:59.999Z\",\"level\":\"trace\",\"area\":\"p2p\","
        "\"msg\":\"bad \\\"peer\\\"\\n\xef\xbf\xbd\",\"agent\":\"\\u001b[2J\\nlevel=error\"}\n");
    json_t *parsed = json_loads(c.text, 0, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    free(c.text);
}

static void log_long_values_are_cut_and_the_line_stays_whole(void **state)
{
    (void)state;
    struct capture c = {0};
    capture_start(&c);
    struct sb_logger log;
    sb_log_init(&log, c.sink, SB_LOG_FORM_JSON, SB_LOG_INFO, false, NULL, NULL);
    char *big = malloc(100001);
    memset(big, '\n', 100000);
    big[100000] = '\0';
    sb_log(&log, SB_LOG_INFO, "x", big, SB_LOG_STR("a", big), SB_LOG_STR("b", big),
           SB_LOG_STR("c", big), SB_LOG_STR("d", big), SB_LOG_STR("e", big), SB_LOG_END);
    memset(big, '\x01', 100000);
    sb_log(&log, SB_LOG_INFO, "x", big, SB_LOG_STR("a", big), SB_LOG_HEX("b", big, 100000),
           SB_LOG_END);
    capture_end(&c, NULL);
    free(big);
    char *second = strchr(c.text, '\n') + 1;
    assert_true((size_t)(second - c.text) <= SB_LOG_LINE_BYTES_MAX);
    assert_true(strlen(second) <= SB_LOG_LINE_BYTES_MAX);
    for (char *line = c.text; line != NULL; line = line == c.text ? second : NULL) {
        json_t *parsed = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
    }
    free(c.text);
}

static void log_colour_only_when_asked_and_never_in_json(void **state)
{
    (void)state;
    struct capture c = {0};
    struct sb_logger log;
    capture_start(&c);
    sb_log_init(&log, c.sink, SB_LOG_FORM_LOGFMT, SB_LOG_INFO, true, NULL, NULL);
    sb_log(&log, SB_LOG_ERROR, "db", "stopped", SB_LOG_END);
    capture_end(&c, "\x1b[31mERROR\x1b[0m db: stopped\n");
    free(c.text);
    capture_start(&c);
    sb_log_init(&log, c.sink, SB_LOG_FORM_JSON, SB_LOG_INFO, true, NULL, NULL);
    sb_log(&log, SB_LOG_WARN, "db", "slow", SB_LOG_END);
    capture_end(&c, "{\"level\":\"warn\",\"area\":\"db\",\"msg\":\"slow\"}\n");
    free(c.text);
}

static int touched(int *count)
{
    *count += 1;
    return *count;
}

static void log_disabled_levels_cost_no_evaluation(void **state)
{
    (void)state;
    int count = 0;
    struct sb_logger log = {.level = SB_LOG_WARN};
    struct sb_logger *none = NULL;
    sb_log(&log, SB_LOG_INFO, "x", "y", SB_LOG_I64("n", touched(&count)), SB_LOG_END);
    sb_log(none, SB_LOG_ERROR, "x", "y", SB_LOG_I64("n", touched(&count)), SB_LOG_END);
    assert_int_equal(count, 0);
    enum sb_log_level level;
    assert_int_equal(sb_log_level_parse(&level, "debug"), SB_OK);
    assert_int_equal(level, SB_LOG_DEBUG);
    assert_string_equal(sb_log_level_name(level), "debug");
    assert_int_equal(sb_log_level_parse(&level, "loud"), SB_E_ARG);
}

#define THREAD_COUNT 4
#define LINE_COUNT   500

static void *write_many(void *arg)
{
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        sb_log((const struct sb_logger *)arg, SB_LOG_INFO, "t", "line", SB_LOG_U64("i", i),
               SB_LOG_END);
    }
    return NULL;
}

static void log_lines_of_threads_never_mix(void **state)
{
    (void)state;
    struct capture c = {0};
    capture_start(&c);
    struct sb_logger log;
    sb_log_init(&log, c.sink, SB_LOG_FORM_JSON, SB_LOG_INFO, false, NULL, NULL);
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &log), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    capture_end(&c, NULL);
    size_t line_count = 0;
    for (const char *line = c.text; *line != '\0'; line = strchr(line, '\n') + 1) {
        json_t *parsed = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
        line_count++;
    }
    assert_int_equal(line_count, THREAD_COUNT * LINE_COUNT);
    free(c.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_logfmt_line_has_time_level_area_and_fields),
        cmocka_unit_test(log_json_line_parses_whatever_the_text),
        cmocka_unit_test(log_long_values_are_cut_and_the_line_stays_whole),
        cmocka_unit_test(log_colour_only_when_asked_and_never_in_json),
        cmocka_unit_test(log_disabled_levels_cost_no_evaluation),
        cmocka_unit_test(log_lines_of_threads_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
