/* test_replica.c: replicas joined in memory: a network in good and bad conditions; see tests/support/replica_net.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/replica_net.h"

/* ---- good conditions ---- */

static void four_replicas_with_delay_decide_in_three_hops(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 1, .delay_ms = 25};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 5, 5000));
    uint64_t begun = net->now_ms;
    assert_true(replica_net_run_to(net, 45, 10000));
    uint64_t taken = net->now_ms - begun;
    printf(
        "# 40 blocks in %llu ms: %llu.%02llu round trips a block, %llu messages and %llu bytes a "
        "block\n",
        (unsigned long long)taken, (unsigned long long)(taken / 40 / 50),
        (unsigned long long)(taken * 100 / 40 / 50 % 100),
        (unsigned long long)(net->nodes[0].sent_count / replica_net_height(net, 0)),
        (unsigned long long)(net->nodes[0].sent_bytes / replica_net_height(net, 0)));
    /* proposal, prevote, precommit: three hops, and nothing between the blocks */
    assert_true(taken <= (uint64_t)40 * 3 * 25);
    for (size_t i = 0; i < 4; i++) {
        struct sb_replica_status s = sb_replica_status(net->nodes[i].replica);
        assert_int_equal(s.driver.rounds, 0);
        assert_true(s.last_proposal_to_decision_ms <= 75);
        assert_true(s.is_validator);
        assert_false(s.is_syncing);
        assert_int_equal(s.peer_count, 3);
    }
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void blocks_of_many_parts_reach_seven_replicas(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 7, .validators = 5, .seed = 2, .delay_ms = 10, .padding_bytes = 300000};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 20, 10000));
    for (size_t i = 0; i < 7; i++) {
        struct sb_replica_status s = sb_replica_status(net->nodes[i].replica);
        assert_int_equal(s.driver.rounds, 0);
        assert_int_equal(s.is_validator, i < 5);
    }
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void interval_of_a_second_gives_a_block_a_second(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 3, .delay_ms = 30, .interval_ms = 1000};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 3, 20000));
    uint64_t begun = net->now_ms;
    assert_true(replica_net_run_to(net, 23, 60000));
    uint64_t taken = net->now_ms - begun;
    assert_in_range(taken, 19500, 20500);
    replica_net_free(net);
}

static void sole_validator_in_instant_pace_makes_blocks_for_transactions_only(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 1, .seed = 4, .interval_ms = 1000, .pace = SB_PACE_INSTANT};
    struct replica_net *net = replica_net_new(&options);
    struct sb_diag diag;
    replica_net_start_all(net);
    replica_net_run(net, 10000);
    assert_int_equal(replica_net_height(net, 0), 0);
    assert_true(stub_application_add(net->nodes[0].app, sb_span_str("a")));
    assert_int_equal(sb_replica_wake(net->nodes[0].replica, &diag), SB_OK);
    assert_int_equal(replica_net_height(net, 0), 1);
    replica_net_run(net, 10000);
    assert_int_equal(replica_net_height(net, 0), 1);
    replica_net_free(net);
}

static void sole_validator_in_steady_pace_yields_between_blocks(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 1, .seed = 5, .interval_ms = 500};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    replica_net_run(net, 10000);
    assert_in_range(replica_net_height(net, 0), 18, 21);
    replica_net_free(net);
}

static void halt_height_stops_every_replica_there(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 6, .delay_ms = 5, .halt_height = 7};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    replica_net_run(net, 5000);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(replica_net_height(net, i), 7);
        assert_true(net->nodes[i].is_halted);
        assert_true(sb_replica_status(net->nodes[i].replica).is_halted);
    }
    replica_net_free(net);
}

static void unknown_version_halts_before_its_height(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 7, .delay_ms = 5, .unknown_version_from = 9};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    replica_net_run(net, 5000);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(replica_net_height(net, i), 8);
        assert_true(net->nodes[i].is_halted);
    }
    replica_net_free(net);
}

/* ---- passing on ---- */

static uint64_t duplicates(const struct replica_net *net)
{
    uint64_t n = 0;
    for (size_t i = 0; i < net->options.nodes; i++) {
        if (net->nodes[i].is_running) {
            struct sb_replica_status s = sb_replica_status(net->nodes[i].replica);
            n += s.duplicate_votes + s.duplicate_parts;
        }
    }
    return n;
}

static void messages_cross_a_full_mesh_once_when_it_has_settled(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 7, .seed = 20, .delay_ms = 10, .padding_bytes = 150000};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 20, 10000));
    uint64_t settled = duplicates(net);
    assert_true(replica_net_run_to(net, 60, 10000));
    printf("# %llu messages came twice in 20 blocks, %llu in the next 40\n",
           (unsigned long long)settled, (unsigned long long)(duplicates(net) - settled));
    assert_true(duplicates(net) - settled < 40);
    replica_net_free(net);
}

/* ring: each node is joined to the next one only, and nobody to all. */
static struct replica_net *ring(uint64_t seed)
{
    struct replica_net_options options = {
        .nodes = 7, .seed = seed, .delay_ms = 10, .padding_bytes = 150000};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    for (size_t a = 0; a < 7; a++) {
        for (size_t b = 0; b < a; b++) {
            if (a - b != 1 && a - b != 6) {
                replica_net_disconnect(net, a, b);
            }
        }
    }
    return net;
}

static void ring_of_replicas_passes_everything_on(void **state)
{
    (void)state;
    struct replica_net *net = ring(21);
    assert_true(replica_net_run_to(net, 30, 60000));
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(sb_replica_status(net->nodes[i].replica).driver.rounds, 0);
    }
    uint64_t settled = duplicates(net);
    uint64_t begun = net->now_ms;
    assert_true(replica_net_run_to(net, 60, 60000));
    /* three hops to the far side and one of it for the next proposer, each of three messages */
    assert_true(net->now_ms - begun <= (uint64_t)30 * 3 * 3 * 10 + 300);
    assert_true(duplicates(net) - settled < 30 * 14);
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* Whoever got messages through a node that dies, or through a link that is silently cut, gets them from the other side. */
static void ring_that_breaks_goes_on_the_other_way(void **state)
{
    (void)state;
    struct replica_net *net = ring(22);
    assert_true(replica_net_run_to(net, 20, 60000));
    replica_net_crash(net, 3);
    assert_true(replica_net_run_to(net, 40, 120000));
    replica_net_start(net, 3);
    assert_true(replica_net_run_to(net, 50, 60000));
    replica_net_free(net);
    net = ring(23);
    assert_true(replica_net_run_to(net, 20, 60000));
    replica_net_cut(net, 5, 6, true);
    uint64_t begun = net->now_ms;
    assert_true(replica_net_run_to(net, 40, 120000));
    printf("# 20 blocks in %llu ms after a link of the ring was cut\n",
           (unsigned long long)(net->now_ms - begun));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* ---- bad conditions ---- */

static void chain_advances_with_one_of_four_down(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 8, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    assert_true(replica_net_run_to(net, 10, 60000));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void lossy_network(size_t nodes, uint64_t seed, size_t padding, uint32_t loss)
{
    struct replica_net_options options = {
        .nodes = nodes, .seed = seed, .delay_ms = 20, .padding_bytes = padding};
    struct replica_net *net = replica_net_new(&options);
    replica_net_all_links(net, 60, loss, 100, true);
    replica_net_start_all(net);
    bool ok = replica_net_run_to(net, 20, 300000);
    printf("# %zu nodes, %u per mille lost: %llu ms for %llu blocks\n", nodes, loss,
           (unsigned long long)net->now_ms, (unsigned long long)replica_net_height(net, 0));
    assert_true(ok);
    for (size_t i = 0; i < nodes; i++) {
        for (size_t j = 0; j < nodes; j++) {
            assert_true(net->nodes[i].offences[j] < 100);
        }
    }
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void loss_repetition_and_reordering_delay_but_do_not_stop(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 106; seed++) {
        lossy_network(4, seed, 0, 100);
    }
    lossy_network(7, 110, 0, 100);
    lossy_network(4, 111, 300000, 50);
    lossy_network(4, 112, 0, 300);
}

static void partition_of_two_and_two_halts_and_heals(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 9, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 10, 10000));
    for (size_t a = 0; a < 2; a++) {
        for (size_t b = 2; b < 4; b++) {
            replica_net_cut(net, a, b, true);
        }
    }
    replica_net_run(net, 30000);
    uint64_t highest = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t h = replica_net_height(net, i);
        highest = h > highest ? h : highest;
    }
    replica_net_run(net, 30000);
    for (size_t i = 0; i < 4; i++) {
        assert_true(replica_net_height(net, i) <= highest);
    }
    for (size_t a = 0; a < 2; a++) {
        for (size_t b = 2; b < 4; b++) {
            replica_net_cut(net, a, b, false);
        }
    }
    uint64_t healed = net->now_ms;
    assert_true(replica_net_run_to(net, highest + 5, 60000));
    printf("# five blocks %llu ms after the partition healed\n",
           (unsigned long long)(net->now_ms - healed));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void late_joiner_catches_up_by_sync_and_takes_part(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 10, .delay_ms = 10, .interval_ms = 200, .padding_bytes = 100000};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    assert_true(replica_net_run_to(net, 30, 300000));
    uint64_t before = replica_net_height(net, 0);
    replica_net_start(net, 3);
    replica_net_run(net, 500);
    assert_true(replica_net_height(net, 3) > 5);
    assert_true(replica_net_run_to(net, before + 20, 60000));
    struct sb_replica_status s = sb_replica_status(net->nodes[3].replica);
    assert_false(s.is_syncing);
    assert_true(s.bft.height + 1 >= before + 20);
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* A node that was cut off while a height was begun: peers go on for many heights without it. */
static void cut_off_replica_follows_after_it_is_back(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 11, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 5, 10000));
    for (size_t i = 0; i < 3; i++) {
        replica_net_cut(net, i, 3, true);
    }
    replica_net_run(net, 20000);
    uint64_t there = replica_net_height(net, 0);
    assert_true(there > replica_net_height(net, 3) + 3);
    for (size_t i = 0; i < 3; i++) {
        replica_net_cut(net, i, 3, false);
    }
    replica_net_run(net, 20000);
    assert_true(replica_net_height(net, 3) + 3 > replica_net_height(net, 0));
    struct sb_replica_status s = sb_replica_status(net->nodes[3].replica);
    assert_false(s.is_syncing);
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void crashed_replicas_come_back_from_their_journals(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 12, .delay_ms = 7};
    struct replica_net *net = replica_net_new(&options);
    struct sb_random random = {.state = 77};
    replica_net_start_all(net);
    for (int turn = 0; turn < 30; turn++) {
        size_t node = sb_random_below(&random, 4);
        replica_net_run(net, sb_random_below(&random, 400));
        replica_net_crash(net, node);
        replica_net_run(net, sb_random_below(&random, 3000));
        replica_net_start(net, node);
    }
    uint64_t top = replica_net_height(net, 0);
    assert_true(top > 10);
    assert_true(replica_net_run_to(net, top + 10, 60000));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void all_crashed_at_once_go_on_together(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 13, .delay_ms = 7};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    for (int turn = 0; turn < 5; turn++) {
        replica_net_run(net, 1003);
        for (size_t i = 0; i < 4; i++) {
            replica_net_crash(net, i);
        }
        replica_net_start_all(net);
    }
    uint64_t top = replica_net_height(net, 0);
    assert_true(replica_net_run_to(net, top + 10, 60000));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* Full send queues: what did not fit is sent later. */
static void full_queues_delay_but_do_not_stop(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 14, .delay_ms = 10, .padding_bytes = 1000000};
    struct replica_net *net = replica_net_new(&options);
    for (size_t i = 0; i < 4; i++) {
        net->nodes[i].queue_limit = 8;
    }
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 10, 120000));
    assert_true(net->nodes[0].send_refusals > 0);
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* ---- late precommits ---- */

/* is_present: the precommit of a validator for a height is in the chain: in the next block's commit, or late in the one after. */
static bool is_present(const struct replica_net *net, uint64_t height, uint32_t index)
{
    struct sb_arena arena;
    struct sb_consensus_block block;
    struct sb_commit commit;
    sb_bytes raw;
    const struct sb_application *app = &net->nodes[0].table;
    bool found = false;
    sb_arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(app->block(app->ctx, &arena, height + 1, &raw, &commit), SB_OK);
    assert_int_equal(sb_consensus_block_decode(&block, &arena, raw, NULL), SB_OK);
    found = block.last_commit.sigs[index].flag != SB_COMMIT_ABSENT;
    assert_int_equal(app->block(app->ctx, &arena, height + 2, &raw, &commit), SB_OK);
    assert_int_equal(sb_consensus_block_decode(&block, &arena, raw, NULL), SB_OK);
    for (size_t i = 0; i < block.late_precommit_count; i++) {
        found = found || block.late_precommits[i].validator_index == index;
    }
    sb_arena_fini(&arena);
    return found;
}

static void validator_slower_by_100_ms_is_never_missing(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 15, .delay_ms = 10, .interval_ms = 200};
    struct replica_net *net = replica_net_new(&options);
    for (size_t i = 0; i < 3; i++) {
        net->links[3][i].delay_ms = 110;
    }
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 62, 60000));
    struct sb_validator_set set = stub_application_set(net->nodes[0].app, 1);
    sb_addr slow = sb_pubkey_address(&net->nodes[3].key);
    int index = sb_validator_set_find(&set, &slow);
    assert_true(index >= 0);
    for (uint64_t h = 2; h <= 60; h++) {
        assert_true(is_present(net, h, (uint32_t)index));
    }
    replica_net_free(net);
}

static void same_seed_gives_the_same_run(void **state)
{
    (void)state;
    uint64_t counts[2], bytes[2];
    for (int i = 0; i < 2; i++) {
        struct replica_net_options options = {.nodes = 4, .seed = 16, .delay_ms = 15};
        struct replica_net *net = replica_net_new(&options);
        replica_net_all_links(net, 50, 100, 50, true);
        replica_net_start_all(net);
        replica_net_run(net, 20000);
        counts[i] = net->nodes[2].sent_count;
        bytes[i] = net->nodes[2].sent_bytes;
        replica_net_free(net);
    }
    assert_int_equal(counts[0], counts[1]);
    assert_int_equal(bytes[0], bytes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_replicas_with_delay_decide_in_three_hops),
        cmocka_unit_test(blocks_of_many_parts_reach_seven_replicas),
        cmocka_unit_test(interval_of_a_second_gives_a_block_a_second),
        cmocka_unit_test(sole_validator_in_instant_pace_makes_blocks_for_transactions_only),
        cmocka_unit_test(sole_validator_in_steady_pace_yields_between_blocks),
        cmocka_unit_test(halt_height_stops_every_replica_there),
        cmocka_unit_test(unknown_version_halts_before_its_height),
        cmocka_unit_test(messages_cross_a_full_mesh_once_when_it_has_settled),
        cmocka_unit_test(ring_of_replicas_passes_everything_on),
        cmocka_unit_test(ring_that_breaks_goes_on_the_other_way),
        cmocka_unit_test(chain_advances_with_one_of_four_down),
        cmocka_unit_test(loss_repetition_and_reordering_delay_but_do_not_stop),
        cmocka_unit_test(partition_of_two_and_two_halts_and_heals),
        cmocka_unit_test(late_joiner_catches_up_by_sync_and_takes_part),
        cmocka_unit_test(cut_off_replica_follows_after_it_is_back),
        cmocka_unit_test(crashed_replicas_come_back_from_their_journals),
        cmocka_unit_test(all_crashed_at_once_go_on_together),
        cmocka_unit_test(full_queues_delay_but_do_not_stop),
        cmocka_unit_test(validator_slower_by_100_ms_is_never_missing),
        cmocka_unit_test(same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests_name("node/replica", tests, NULL, NULL);
}
