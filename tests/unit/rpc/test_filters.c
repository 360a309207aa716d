/* test_filters.c: matching of logs, copies of filters, and the registry of polled filters (rpc/logs.h, rpc/filters.h). */
#include "rpc/filters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sb_hash topic(uint8_t byte)
{
    sb_hash hash;
    memset(hash.b, byte, sizeof hash.b);
    return hash;
}

static struct sb_log log_with(uint8_t addr, size_t topic_count)
{
    struct sb_log log = {.addr = {.b = {addr}},
                         .topics = {topic(1), topic(2), topic(3), topic(4)},
                         .topic_count = topic_count};
    return log;
}

static void log_match_follows_address_and_topic_positions(void **state)
{
    sb_addr addrs[] = {{.b = {7}}, {.b = {8}}};
    sb_hash ones[] = {topic(9), topic(1)};
    sb_hash three = topic(3);
    struct sb_log log = log_with(7, 3);
    struct sb_rpc_log_filter any = {.has_from = false};
    struct sb_rpc_log_filter by_addr = {.addrs = addrs, .addr_count = 2};
    struct sb_rpc_log_filter first = {.topics = {{.options = ones, .count = 2}}, .topic_count = 1};
    struct sb_rpc_log_filter third = {
        .topics = {{.count = 0}, {.count = 0}, {.options = &three, .count = 1}}, .topic_count = 3};
    struct sb_rpc_log_filter four = {.topic_count = 4};
    struct sb_log other = log_with(9, 3);
    (void)state;
    assert_true(sb_rpc_log_matches(&any, &log));
    assert_true(sb_rpc_log_matches(&by_addr, &log));
    assert_false(sb_rpc_log_matches(&by_addr, &other));
    assert_true(sb_rpc_log_matches(&first, &log));
    ones[1] = topic(2);
    assert_false(sb_rpc_log_matches(&first, &log));
    assert_true(sb_rpc_log_matches(&third, &log));
    log.topic_count = 2;
    assert_false(sb_rpc_log_matches(&third, &log));
    assert_false(sb_rpc_log_matches(&four, &log));
}

static void bloom_never_hides_a_matching_block(void **state)
{
    sb_bloom bloom = {.b = {0}};
    sb_addr addr = {.b = {7}};
    sb_addr absent = {.b = {200}};
    sb_hash one = topic(1);
    struct sb_log log = log_with(7, 2);
    struct sb_rpc_log_filter filter = {.addrs = &addr,
                                       .addr_count = 1,
                                       .topics = {{.options = &one, .count = 1}},
                                       .topic_count = 1};
    (void)state;
    assert_false(sb_rpc_bloom_matches(&filter, &bloom));
    sb_bloom_add_log(&bloom, &log);
    assert_true(sb_rpc_bloom_matches(&filter, &bloom));
    filter.addrs = &absent;
    assert_false(sb_rpc_bloom_matches(&filter, &bloom));
}

static void clone_owns_its_lists(void **state)
{
    sb_addr addrs[] = {{.b = {7}}, {.b = {8}}};
    sb_hash hashes[] = {topic(9), topic(1)};
    struct sb_rpc_log_filter filter = {
        .addrs = addrs,
        .addr_count = 2,
        .topics = {{.options = hashes, .count = 1}, {.count = 0}, {.options = hashes, .count = 2}},
        .topic_count = 3};
    (void)state;
    struct sb_rpc_log_filter *clone = sb_rpc_log_filter_clone(&filter);
    assert_non_null(clone);
    memset(addrs, 0, sizeof addrs);
    memset(hashes, 0, sizeof hashes);
    assert_int_equal(clone->addrs[1].b[0], 8);
    assert_int_equal(clone->topics[0].options[0].b[5], 9);
    assert_int_equal(clone->topics[2].options[1].b[31], 1);
    assert_int_equal(clone->topics[1].count, 0);
    free(clone);
}

static void filters_are_bounded_polled_and_expire(void **state)
{
    struct sb_rpc_filters *filters = NULL;
    struct sb_rpc_filter_poll poll;
    sb_rpc_filter_id ids[2];
    sb_rpc_filter_id third;
    struct sb_rpc_log_filter criteria = {.topic_count = 2};
    (void)state;
    assert_int_equal(sb_rpc_filters_new(&filters, 2, 10), SB_OK);
    assert_int_equal(sb_rpc_filters_add_take(filters, &ids[0], SB_RPC_FILTER_BLOCKS, NULL, 5, 0),
                     SB_OK);
    assert_int_equal(sb_rpc_filters_add_take(filters, &ids[1], SB_RPC_FILTER_LOGS,
                                             sb_rpc_log_filter_clone(&criteria), 5, 0),
                     SB_OK);
    assert_int_equal(sb_rpc_filters_add_take(filters, &third, SB_RPC_FILTER_LOGS,
                                             sb_rpc_log_filter_clone(&criteria), 5, 0),
                     SB_E_LIMIT);
    assert_int_equal(sb_rpc_filters_poll(filters, &poll, &ids[1], 9000), SB_OK);
    assert_int_equal(poll.first_block, 6);
    assert_int_equal(poll.criteria->topic_count, 2);
    free(poll.criteria);
    sb_rpc_filters_advance(filters, &ids[1], 9, 0);
    sb_rpc_filters_advance(filters, &ids[1], 7, 0);
    sb_rpc_filters_expire(filters, 11000); /* the first was never polled */
    assert_int_equal(sb_rpc_filters_poll(filters, &poll, &ids[0], 11000), SB_E_NOT_FOUND);
    assert_int_equal(sb_rpc_filters_poll(filters, &poll, &ids[1], 11000), SB_OK);
    assert_int_equal(poll.first_block, 9);
    free(poll.criteria);
    assert_true(sb_rpc_filters_remove(filters, &ids[1]));
    assert_false(sb_rpc_filters_remove(filters, &ids[1]));
    sb_rpc_filters_free(filters);
}

static void pending_ring_forgets_the_oldest(void **state)
{
    struct sb_rpc_filters *filters = NULL;
    sb_hash got[4];
    uint64_t next = 0;
    (void)state;
    assert_int_equal(sb_rpc_filters_new(&filters, 2, 10), SB_OK);
    for (uint32_t i = 0; i < SB_RPC_PENDING_RING + 10; i++) {
        sb_hash hash = {.b = {(uint8_t)i, (uint8_t)(i >> 8)}};
        sb_rpc_pending_add(filters, &hash);
    }
    assert_int_equal(sb_rpc_pending_next(filters), SB_RPC_PENDING_RING + 10);
    assert_int_equal(sb_rpc_pending_read(filters, got, &next, 4, 0), 4);
    assert_int_equal(got[0].b[0], 10);
    assert_int_equal(next, 14);
    assert_int_equal(sb_rpc_pending_read(filters, got, &next, 4, SB_RPC_PENDING_RING + 9), 1);
    assert_int_equal(sb_rpc_pending_read(filters, got, &next, 4, next), 0);
    sb_rpc_filters_free(filters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_match_follows_address_and_topic_positions),
        cmocka_unit_test(bloom_never_hides_a_matching_block),
        cmocka_unit_test(clone_owns_its_lists),
        cmocka_unit_test(filters_are_bounded_polled_and_expire),
        cmocka_unit_test(pending_ring_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
