/* test_p2p_evict.c: which inbound peer makes room: floods displace themselves, and who has earned its place keeps it. */
#include "node/p2p/evict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/random.h"

#define KEY    UINT64_C(0x123456789abcdef)
#define PLACES 50

static struct sb_evict_peer peer_of(sb_peer peer, uint64_t group, uint64_t up_us)
{
    return (struct sb_evict_peer){
        .peer = peer, .group = group, .up_us = up_us, .rtt_us = UINT32_MAX};
}

/* Newcomers of one network take place after place: those that were there before stay, whatever their number. */
static void flood_of_one_group_displaces_itself(void **state)
{
    (void)state;
    struct sb_evict_peer peers[PLACES], scratch[PLACES];
    size_t honest = 20;
    for (size_t i = 0; i < PLACES; i++) {
        bool is_honest = i < honest;
        peers[i] = peer_of(i + 1, is_honest ? 100 + i : 7, 1000 + i);
    }
    for (sb_peer next = PLACES + 1; next < 2000; next++) {
        memcpy(scratch, peers, sizeof peers);
        sb_peer victim = sb_evict_choose(scratch, PLACES, KEY);
        assert_true(victim > honest);
        for (size_t i = 0; i < PLACES; i++) {
            peers[i] = peers[i].peer == victim ? peer_of(next, 7, 1000 + next) : peers[i];
        }
    }
}

/* A flood from as many networks as it likes: who is near, or useful, or old stays. */
static void flood_of_many_groups_leaves_who_has_earned_it(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("evict");
    struct sb_evict_peer peers[PLACES], scratch[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        peers[i] = peer_of(i + 1, 1000 + i, 1000 + i);
    }
    for (size_t i = 40; i < 44; i++) {
        peers[i].rtt_us = 200;
    }
    for (size_t i = 44; i < 48; i++) {
        peers[i].consensus_us = 5000;
    }
    peers[48].tx_us = peers[49].tx_us = 5000;
    for (sb_peer next = PLACES + 1; next < 5000; next++) {
        memcpy(scratch, peers, sizeof peers);
        sb_peer victim = sb_evict_choose(scratch, PLACES, KEY);
        assert_true(victim != 0 && !(victim > 40 && victim <= PLACES));
        for (size_t i = 0; i < PLACES; i++) {
            if (peers[i].peer == victim) {
                peers[i] = peer_of(next, sb_random_below(&random, 1 << 30), 1000 + next);
                peers[i].rtt_us = 1000 + (uint32_t)sb_random_below(&random, 1000);
            }
        }
    }
    size_t old = 0;
    for (size_t i = 0; i < 40; i++) {
        old += peers[i].peer <= 40;
    }
    assert_true(old >= 10); /* the longest connected half */
}

static void few_peers_are_all_protected(void **state)
{
    (void)state;
    struct sb_evict_peer peers[8];
    for (size_t count = 0; count <= 8; count++) {
        for (size_t i = 0; i < count; i++) {
            peers[i] = peer_of(i + 1, i, i);
        }
        assert_int_equal(sb_evict_choose(peers, count, KEY), 0);
    }
}

static void choice_does_not_depend_on_the_order(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("evict order");
    for (size_t round = 0; round < 200; round++) {
        struct sb_evict_peer peers[60], scratch[60];
        size_t count = 10 + sb_random_below(&random, 51);
        for (size_t i = 0; i < count; i++) {
            peers[i] = peer_of(i + 1, sb_random_below(&random, 6), sb_random_below(&random, 4));
            peers[i].consensus_us = sb_random_below(&random, 3);
            peers[i].tx_us = sb_random_below(&random, 3);
            peers[i].rtt_us = (uint32_t)sb_random_below(&random, 3);
        }
        memcpy(scratch, peers, sizeof peers);
        sb_peer first = sb_evict_choose(scratch, count, round);
        for (size_t again = 0; again < 5; again++) {
            for (size_t i = count - 1; i > 0; i--) {
                size_t j = sb_random_below(&random, i + 1);
                struct sb_evict_peer swap = peers[i];
                peers[i] = peers[j];
                peers[j] = swap;
            }
            memcpy(scratch, peers, sizeof peers);
            assert_int_equal(sb_evict_choose(scratch, count, round), first);
        }
    }
}

/* Twelve that began the largest message and went silent, one that sends on: it never pays. */
static void silent_holders_pay_before_one_that_goes_on(void **state)
{
    (void)state;
    struct sb_evict_holder holders[13];
    for (size_t i = 0; i < 12; i++) {
        holders[i] =
            (struct sb_evict_holder){.peer = i + 1, .bytes = 10000000 + i, .since_us = 1000 + i};
    }
    holders[12] = (struct sb_evict_holder){.peer = 13, .bytes = 10500000, .since_us = 2000};
    for (size_t count = 13; count > 1; count--) {
        sb_peer victim = sb_evict_holder(holders, count);
        assert_int_not_equal(victim, 13);
        for (size_t i = 0; i < count; i++) {
            if (holders[i].peer == victim) {
                memmove(&holders[i], &holders[i + 1], (count - i - 1) * sizeof holders[0]);
                break;
            }
        }
    }
}

static void small_and_named_holders_are_spared(void **state)
{
    (void)state;
    const struct sb_evict_holder holders[] = {
        {.peer = 1, .bytes = 1000, .since_us = 1}, /* old, but little */
        {.peer = 2, .bytes = 10000000, .since_us = 5, .is_named = true},
        {.peer = 3, .bytes = 10000000, .since_us = 9},
        {.peer = 4,
         .bytes = 30000,
         .since_us = UINT64_MAX}, /* only what is kept for the next one */
    };
    assert_int_equal(sb_evict_holder(holders, 4), 3);
    assert_int_equal(sb_evict_holder(holders, 2), 2); /* there is no other */
    assert_int_equal(sb_evict_holder(holders, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_of_one_group_displaces_itself),
        cmocka_unit_test(flood_of_many_groups_leaves_who_has_earned_it),
        cmocka_unit_test(few_peers_are_all_protected),
        cmocka_unit_test(silent_holders_pay_before_one_that_goes_on),
        cmocka_unit_test(small_and_named_holders_are_spared),
        cmocka_unit_test(choice_does_not_depend_on_the_order),
    };
    return cmocka_run_group_tests_name("node/p2p/evict", tests, NULL, NULL);
}
