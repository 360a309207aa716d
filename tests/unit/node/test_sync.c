/* test_sync.c: block sync: which blocks are asked of whom, and what becomes of those who promise and do not deliver. */
#include "node/sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/random.h"

#define ACTIONS_MAX 64

static struct sb_sync *sync_with(size_t peers, uint64_t head)
{
    struct sb_sync_options options = {.open_max = 20, .bytes_max = 1 << 20, .answer_ms = 1000};
    struct sb_sync *sync = sb_sync_new(&options);
    assert_non_null(sync);
    for (sb_peer p = 1; p <= peers; p++) {
        sb_sync_peer_up(sync, p);
        assert_true(sb_sync_peer_status(sync, p, head, 1));
    }
    sb_sync_mode(sync, SB_SYNC_FULL);
    return sync;
}

static enum sb_sync_answer answer(struct sb_sync *sync, sb_peer peer, uint64_t height, size_t bytes)
{
    static uint8_t block[1 << 20];
    struct sb_commit_sig sig = {.flag = SB_COMMIT_BLOCK, .signature = {.len = 64}};
    struct sb_commit commit = {.height = height, .sigs = &sig, .sig_count = 1};
    enum sb_sync_answer ret;
    block[0] = (uint8_t)height;
    assert_true(bytes <= sizeof block);
    assert_int_equal(sb_sync_block(&ret, sync, peer, sb_span(block, bytes), &commit), SB_OK);
    return ret;
}

/* commit_ready: work off all blocks that are next; returns the new head. */
static uint64_t commit_ready(struct sb_sync *sync, uint64_t head)
{
    struct sb_sync_ready ready;
    while (sb_sync_ready(&ready, sync)) {
        assert_int_equal(ready.height, head + 1);
        assert_int_equal(ready.commit.height, head + 1);
        assert_int_equal(ready.encoded.data[0], (uint8_t)(head + 1));
        sb_sync_head(sync, ++head);
    }
    return head;
}

static size_t requests_of(const struct sb_sync_action *actions, size_t count, sb_peer peer)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += actions[i].type == SB_SYNC_REQUEST && actions[i].peer == peer ? 1 : 0;
    }
    return n;
}

static void requests_are_spread_over_the_peers_and_bounded(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(3, 1000);
    struct sb_sync_action actions[2 * ACTIONS_MAX];
    size_t n = sb_sync_poll(sync, actions, 2 * ACTIONS_MAX, 0);
    assert_int_equal(n, 60);
    for (sb_peer p = 1; p <= 3; p++) {
        assert_int_equal(requests_of(actions, n, p), 20);
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(actions[i].height, i + 1);
    }
    assert_int_equal(sb_sync_poll(sync, actions, 2 * ACTIONS_MAX, 500), 0);
    assert_int_equal(sb_sync_open_requests(sync), 60);
    sb_sync_free(sync);
}

static void single_mode_asks_for_the_next_block_of_one_peer(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(3, 1000);
    struct sb_sync_action actions[ACTIONS_MAX];
    sb_sync_mode(sync, SB_SYNC_SINGLE);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 0), 1);
    assert_int_equal(actions[0].height, 1);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 1), 0);
    sb_sync_free(sync);
}

/* Beside consensus a late answer costs no strike: another peer is asked, later with each attempt. */
static void single_mode_asks_others_in_turn_for_ever(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(2, 1000);
    struct sb_sync_action actions[ACTIONS_MAX];
    sb_sync_mode(sync, SB_SYNC_SINGLE);
    sb_peer last = 0;
    size_t requests = 0;
    for (uint64_t now = 0; now < 100000; now += 100) {
        size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, now);
        for (size_t i = 0; i < n; i++) {
            if (actions[i].type == SB_SYNC_REQUEST) {
                assert_int_not_equal(actions[i].peer, last);
                last = actions[i].peer;
                requests++;
            }
        }
        assert_int_equal(sb_sync_target(sync), 1000);
    }
    assert_in_range(requests, 50, 110);
    sb_sync_free(sync);
}

static void strikes_are_forgiven_slowly(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 2000);
    struct sb_sync_action actions[ACTIONS_MAX];
    uint64_t now = 0;
    for (; sb_sync_target(sync) != 0; now += 100) {
        (void)sb_sync_poll(sync, actions, ACTIONS_MAX, now);
    }
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, now + 20000), 0);
    assert_true(sb_sync_poll(sync, actions, ACTIONS_MAX, now + 31000) > 0);
    assert_int_equal(sb_sync_target(sync), 2000);
    sb_sync_free(sync);
}

static void peers_that_all_forfeited_belief_are_forgiven_without_a_poll(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(3, 2000);
    struct sb_sync_action actions[ACTIONS_MAX];
    uint64_t now = 0;
    for (; sb_sync_target(sync) != 0; now += 100) {
        (void)sb_sync_poll(sync, actions, ACTIONS_MAX, now);
    }
    sb_sync_forgive(sync, now + 20000);
    assert_int_equal(sb_sync_target(sync), 0);
    sb_sync_forgive(sync, now + 31000);
    assert_int_equal(sb_sync_target(sync), 2000);
    sb_sync_free(sync);
}

static void blocks_in_any_order_come_out_in_height_order(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("sync order");
    struct sb_sync *sync = sync_with(4, 500);
    struct sb_sync_action open[SB_SYNC_WINDOW];
    size_t count = 0;
    uint64_t head = 0;
    while (head < 500) {
        count += sb_sync_poll(sync, open + count, SB_SYNC_WINDOW - count, 0);
        assert_true(count > 0);
        size_t i = sb_random_below(&random, count);
        assert_int_equal(answer(sync, open[i].peer, open[i].height, 100), SB_SYNC_TAKEN);
        open[i] = open[--count];
        head = commit_ready(sync, head);
    }
    assert_int_equal(sb_sync_poll(sync, open, SB_SYNC_WINDOW, 0), 0);
    assert_int_equal(sb_sync_held_bytes(sync), 0);
    sb_sync_free(sync);
}

/* ASA-2025-001: announce 2000, then 1000. */
static void peer_that_lowers_its_head_is_dropped(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 2000);
    struct sb_sync_action actions[ACTIONS_MAX];
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 0), 20);
    assert_false(sb_sync_peer_status(sync, 1, 1000, 1));
    assert_int_equal(sb_sync_target(sync), 0);
    assert_int_equal(sb_sync_open_requests(sync), 0);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 1), 0);
    sb_sync_free(sync);
}

/* The other half of it: a peer that announces and never delivers does not hold sync up for ever. */
static void peer_that_never_delivers_is_given_up(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 2000);
    struct sb_sync_action actions[ACTIONS_MAX];
    uint64_t now = 0;
    size_t slow = 0;
    for (; sb_sync_target(sync) != 0; now += 100) {
        size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, now);
        for (size_t i = 0; i < n; i++) {
            slow += actions[i].type == SB_SYNC_SLOW ? 1 : 0;
        }
        assert_true(now < 10000);
    }
    assert_int_equal(slow, SB_SYNC_STRIKES_MAX);
    sb_sync_free(sync);
}

/* Beside consensus another peer is asked soon; that is not yet the first one's fault. */
static void peer_that_is_not_the_quickest_is_not_slow(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 10);
    struct sb_sync_action actions[ACTIONS_MAX];
    sb_sync_mode(sync, SB_SYNC_SINGLE);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 0), 1);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 600), 1);
    assert_int_equal(actions[0].type, SB_SYNC_REQUEST);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 1590), 0);
    assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, 1600), 2);
    assert_int_equal(actions[0].type, SB_SYNC_SLOW);
    sb_sync_free(sync);
}

/* A peer that answers what is far ahead and keeps the next block back is found out by the time limit of that request. */
static void peer_that_keeps_the_next_block_back_is_struck(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 100);
    struct sb_sync_action actions[ACTIONS_MAX];
    size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(answer(sync, 1, actions[i].height, 100), SB_SYNC_TAKEN);
    }
    sb_sync_peer_up(sync, 2);
    assert_true(sb_sync_peer_status(sync, 2, 100, 1));
    n = sb_sync_poll(sync, actions, ACTIONS_MAX, 1100);
    assert_int_equal(actions[0].type, SB_SYNC_SLOW);
    assert_int_equal(actions[0].peer, 1);
    assert_int_equal(actions[1].type, SB_SYNC_REQUEST);
    assert_int_equal(actions[1].peer, 2);
    assert_int_equal(actions[1].height, 1);
    assert_int_equal(answer(sync, 2, 1, 100), SB_SYNC_TAKEN);
    assert_int_equal(commit_ready(sync, 0), 20);
    sb_sync_free(sync);
}

static void peer_down_or_without_the_block_sends_the_request_elsewhere(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(2, 10);
    struct sb_sync_action actions[ACTIONS_MAX];
    size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
    assert_int_equal(n, 10);
    assert_int_equal(sb_sync_no_block(sync, actions[0].peer, 1, 0), SB_SYNC_TAKEN);
    assert_int_equal(sb_sync_no_block(sync, actions[0].peer, 1, 0), SB_SYNC_UNASKED);
    n = sb_sync_poll(sync, actions, ACTIONS_MAX, 1);
    assert_true(n >= 1);
    assert_int_equal(requests_of(actions, n, 2), n);
    sb_sync_peer_down(sync, 2);
    assert_int_equal(sb_sync_open_requests(sync), 0);
    n = sb_sync_poll(sync, actions, ACTIONS_MAX, 5000);
    assert_int_equal(requests_of(actions, n, 1), 10);
    sb_sync_free(sync);
}

/* GHSA-hg58-rf2h-6rr7: a false block forfeits everything else of its sender, and is asked of others. */
static void sender_of_a_false_block_is_never_asked_again(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(2, 40);
    struct sb_sync_action actions[ACTIONS_MAX];
    struct sb_sync_ready ready;
    size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(answer(sync, actions[i].peer, actions[i].height, 100), SB_SYNC_TAKEN);
    }
    assert_true(sb_sync_ready(&ready, sync));
    sb_peer bad = ready.peer;
    sb_sync_refused(sync);
    assert_false(sb_sync_ready(&ready, sync));
    n = sb_sync_poll(sync, actions, ACTIONS_MAX, 1);
    assert_int_equal(n, 20);
    assert_int_equal(requests_of(actions, n, bad), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(answer(sync, actions[i].peer, actions[i].height, 100), SB_SYNC_TAKEN);
    }
    assert_int_equal(commit_ready(sync, 0), 40);
    sb_sync_free(sync);
}

static void blocks_over_the_byte_limit_wait_and_the_next_one_always_fits(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(3, 200);
    struct sb_sync_action actions[ACTIONS_MAX];
    uint64_t head = 0;
    for (int step = 0; head < 200; step++) {
        size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
        assert_true(step < 2000);
        for (size_t i = n; i-- > 0;) {
            assert_int_equal(answer(sync, actions[i].peer, actions[i].height, 300000),
                             SB_SYNC_TAKEN);
            assert_true(sb_sync_held_bytes(sync) <= (1 << 20) + 400000);
        }
        head = commit_ready(sync, head);
    }
    sb_sync_free(sync);
}

static void unasked_blocks_are_not_kept(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(2, 1000);
    struct sb_sync_action actions[ACTIONS_MAX];
    size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
    assert_true(n > 0);
    sb_peer other = actions[0].peer == 1 ? 2 : 1;
    assert_int_equal(answer(sync, other, 1, 100), SB_SYNC_UNASKED);
    assert_int_equal(answer(sync, 1, 900, 100), SB_SYNC_UNASKED);
    assert_int_equal(answer(sync, 9, 1, 100), SB_SYNC_UNASKED);
    assert_int_equal(answer(sync, actions[0].peer, 1, 100), SB_SYNC_TAKEN);
    assert_int_equal(answer(sync, actions[0].peer, 1, 100), SB_SYNC_UNASKED);
    sb_sync_unsent(sync, actions[1].peer, actions[1].height);
    assert_int_equal(answer(sync, actions[1].peer, actions[1].height, 100), SB_SYNC_UNASKED);
    sb_sync_head(sync, 700); /* by consensus: everything asked for is of no use any more */
    assert_int_equal(sb_sync_open_requests(sync), 0);
    assert_int_equal(sb_sync_held_bytes(sync), 0);
    sb_sync_free(sync);
}

/* An answer after its time limit is no fault of an honest peer: taken while the block is lacking, and else of no use. */
static void late_answers_are_no_fault(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(2, 10);
    struct sb_sync_action actions[ACTIONS_MAX];
    size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, 0);
    assert_int_equal(n, 10);
    sb_peer first = actions[0].peer, other = actions[1].peer;
    assert_int_not_equal(first, other);
    n = sb_sync_poll(sync, actions, ACTIONS_MAX, 5000);
    assert_int_equal(actions[0].type, SB_SYNC_SLOW);
    assert_int_equal(answer(sync, first, 1, 100), SB_SYNC_TAKEN); /* nobody else has brought it */
    assert_int_equal(commit_ready(sync, 0), 1);
    assert_int_equal(answer(sync, first, 1, 100), SB_SYNC_UNASKED); /* one question, one answer */
    sb_sync_head(sync, 10);                                         /* by consensus */
    for (uint64_t height = 3; height <= 9; height += 2) {
        assert_int_equal(answer(sync, first, height, 100), SB_SYNC_LATE);
        assert_int_equal(sb_sync_no_block(sync, other, height - 1, 6000), SB_SYNC_LATE);
    }
    assert_int_equal(sb_sync_target(sync), 10);
    assert_int_equal(sb_sync_held_bytes(sync), 0);
    sb_sync_free(sync);
}

/* A link so slow that no block comes within the first time limit: the first one that comes teaches how long blocks are. */
static void slow_link_syncs_all_the_same(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 30);
    struct sb_sync_action open[SB_SYNC_WINDOW];
    uint64_t due[SB_SYNC_WINDOW];
    size_t count = 0;
    uint64_t head = 0, link_ms = 0, now = 0;
    for (; head < 30; now += 100) {
        struct sb_sync_action actions[ACTIONS_MAX];
        size_t n = sb_sync_poll(sync, actions, ACTIONS_MAX, now);
        for (size_t i = 0; i < n; i++) {
            if (actions[i].type == SB_SYNC_REQUEST && count < SB_SYNC_WINDOW) {
                link_ms = (link_ms > now ? link_ms : now) +
                          1500; /* a block takes longer than the limit */
                due[count] = link_ms;
                open[count++] = actions[i];
            }
        }
        for (size_t i = 0; i < count;) {
            if (due[i] > now) {
                i++;
                continue;
            }
            assert_int_not_equal(answer(sync, 1, open[i].height, 150000), SB_SYNC_UNASKED);
            open[i] = open[--count];
            due[i] = due[count];
        }
        head = commit_ready(sync, head);
        assert_true(now < 600000);
    }
    sb_sync_free(sync);
}

/* Of each peer the last SB_SYNC_OWED_MAX questions are remembered, so memory is bounded whatever is never answered. */
static void questions_are_forgotten_when_there_are_too_many(void **state)
{
    (void)state;
    struct sb_sync *sync = sync_with(1, 1000000);
    struct sb_sync_action actions[ACTIONS_MAX];
    uint64_t head = 0;
    for (; head < 20 * (SB_SYNC_OWED_MAX / 20 + 1); head += 20) {
        assert_int_equal(sb_sync_poll(sync, actions, ACTIONS_MAX, head), 20);
        sb_sync_head(sync, head + 20);
    }
    assert_int_equal(answer(sync, 1, 1, 100), SB_SYNC_UNASKED);
    assert_int_equal(answer(sync, 1, head, 100), SB_SYNC_LATE);
    sb_sync_free(sync);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_spread_over_the_peers_and_bounded),
        cmocka_unit_test(single_mode_asks_for_the_next_block_of_one_peer),
        cmocka_unit_test(single_mode_asks_others_in_turn_for_ever),
        cmocka_unit_test(strikes_are_forgiven_slowly),
        cmocka_unit_test(peers_that_all_forfeited_belief_are_forgiven_without_a_poll),
        cmocka_unit_test(blocks_in_any_order_come_out_in_height_order),
        cmocka_unit_test(peer_that_lowers_its_head_is_dropped),
        cmocka_unit_test(peer_that_never_delivers_is_given_up),
        cmocka_unit_test(peer_that_is_not_the_quickest_is_not_slow),
        cmocka_unit_test(peer_that_keeps_the_next_block_back_is_struck),
        cmocka_unit_test(peer_down_or_without_the_block_sends_the_request_elsewhere),
        cmocka_unit_test(sender_of_a_false_block_is_never_asked_again),
        cmocka_unit_test(blocks_over_the_byte_limit_wait_and_the_next_one_always_fits),
        cmocka_unit_test(unasked_blocks_are_not_kept),
        cmocka_unit_test(late_answers_are_no_fault),
        cmocka_unit_test(slow_link_syncs_all_the_same),
        cmocka_unit_test(questions_are_forgotten_when_there_are_too_many),
    };
    return cmocka_run_group_tests_name("node/sync", tests, NULL, NULL);
}
