/* test_metrics.c: the text of /metrics: every line of metrics.def once, numbers, seconds, histograms, labels. */
#include "rpc/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* render: the page as text; to be freed. */
static char *render(const struct sb_rpc_metrics *metrics)
{
    struct sb_buf out;
    sb_buf_init(&out, (size_t)1 << 20);
    sb_rpc_metrics_render(&out, metrics);
    sb_buf_add_byte(&out, '\0');
    assert_int_equal(sb_buf_err(&out), SB_OK);
    return (char *)out.data;
}

static void has(const char *page, const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(page, whole) == NULL) {
        fail_msg("no line: %s", line);
    }
}

static size_t count_of(const char *page, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(page, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static void page_has_each_metric_once_with_help_and_type(void **state)
{
    static const char *const names[] = {
#define SB_METRIC(kind, name, help) #name,
#include "rpc/metrics.def"
#undef SB_METRIC
    };
    static const struct sb_rpc_metrics metrics;
    (void)state;
    char *page = render(&metrics);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "# HELP samebit_%s ", names[i]);
        assert_int_equal(count_of(page, text), 1);
        (void)snprintf(text, sizeof text, "# TYPE samebit_%s ", names[i]);
        assert_int_equal(count_of(page, text), 1);
    }
    assert_int_equal(count_of(page, "p2p_peer_"), 0); /* no peers, no family */
    free(page);
}

static void numbers_and_seconds_are_written_exactly(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *want;
    } rows[] = {
        {0, "samebit_consensus_quorum_prevote_delay 0"},
        {1, "samebit_consensus_quorum_prevote_delay 0.000001"},
        {100, "samebit_consensus_quorum_prevote_delay 0.0001"},
        {1000000, "samebit_consensus_quorum_prevote_delay 1"},
        {20500000, "samebit_consensus_quorum_prevote_delay 20.5"},
    };
    struct sb_rpc_metrics metrics = {.head_number = UINT64_MAX, .version = "1.2.3"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metrics.consensus_quorum_prevote_delay = rows[i].us;
        char *page = render(&metrics);
        has(page, rows[i].want);
        has(page, "samebit_head_number 18446744073709551615");
        has(page, "samebit_build_info{version=\"1.2.3\"} 1");
        has(page, "# TYPE samebit_consensus_quorum_prevote_delay gauge");
        has(page, "# TYPE samebit_wal_bytes counter");
        free(page);
    }
}

static void histogram_buckets_add_up(void **state)
{
    (void)state;
    struct sb_rpc_metrics metrics = {.head_number = 0};
    static const uint64_t values[] = {0, 100, 101, 5000000, 30000000, 30000001};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        sb_rpc_histogram_add(&metrics.fsync_seconds, values[i]);
    }
    char *page = render(&metrics);
    has(page, "# TYPE samebit_fsync_seconds histogram");
    has(page, "samebit_fsync_seconds_bucket{le=\"0.0001\"} 2");
    has(page, "samebit_fsync_seconds_bucket{le=\"0.00025\"} 3");
    has(page, "samebit_fsync_seconds_bucket{le=\"2.5\"} 3");
    has(page, "samebit_fsync_seconds_bucket{le=\"5\"} 4");
    has(page, "samebit_fsync_seconds_bucket{le=\"30\"} 5");
    has(page, "samebit_fsync_seconds_bucket{le=\"+Inf\"} 6");
    has(page, "samebit_fsync_seconds_sum 65.000202");
    has(page, "samebit_fsync_seconds_count 6");
    free(page);
}

static void steps_and_peers_have_labels(void **state)
{
    (void)state;
    static const char *const channels[] = {"VOTE", "PART"};
    static const uint64_t sent[] = {10, 20};
    static const uint64_t received[] = {30, 40};
    static const struct sb_rpc_peer_metrics peers[] = {
        {.id = "ab12", .sent = sent, .received = received, .queued_bytes = 5}};
    struct sb_rpc_metrics metrics = {
        .peers = peers, .peer_count = 1, .channel_names = channels, .channel_count = 2};
    sb_rpc_histogram_add(&metrics.consensus_step_duration_seconds[SB_RPC_STEP_PREVOTE], 30000);
    char *page = render(&metrics);
    has(page, "samebit_consensus_step_duration_seconds_bucket{step=\"Prevote\",le=\"0.025\"} 0");
    has(page, "samebit_consensus_step_duration_seconds_bucket{step=\"Prevote\",le=\"0.05\"} 1");
    has(page, "samebit_consensus_step_duration_seconds_sum{step=\"Prevote\"} 0.03");
    has(page, "samebit_consensus_step_duration_seconds_count{step=\"Propose\"} 0");
    has(page, "samebit_p2p_peer_send_bytes_total{peer_id=\"ab12\",chID=\"VOTE\"} 10");
    has(page, "samebit_p2p_peer_receive_bytes_total{peer_id=\"ab12\",chID=\"PART\"} 40");
    has(page, "samebit_p2p_peer_pending_send_bytes{peer_id=\"ab12\"} 5");
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_has_each_metric_once_with_help_and_type),
        cmocka_unit_test(numbers_and_seconds_are_written_exactly),
        cmocka_unit_test(histogram_buckets_add_up),
        cmocka_unit_test(steps_and_peers_have_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
