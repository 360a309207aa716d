/* test_rounds.c: the layers below the core by themselves: the round machine under any events, the vote keeper and the proposal keeper at
 * their bounds. What they do for the rules is in test_bft.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consensus/proposal_keeper.h"
#include "consensus/round.h"
#include "consensus/vote_keeper.h"
#include "tests/support/mutant.h"
#include "tests/support/random.h"

static sb_hash id_of(uint64_t number)
{
    sb_hash id;
    memset(id.b, 0xee, sizeof id.b);
    memcpy(id.b, &number, sizeof number);
    return id;
}

/* ---- round machine ---- */

static int order_of(enum sb_round_step step)
{
    return (int)step;
}

/* check_step: what must hold of any step of the machine. */
static void check_step(const struct sb_round_state *before, const struct sb_round_state *after,
                       const struct sb_round_input *input, const struct sb_round_output *output)
{
    assert_true(after->round >= before->round);
    if (after->round == before->round && after->step != SB_ROUND_UNSTARTED) {
        assert_true(order_of(after->step) >= order_of(before->step));
    }
    assert_true(after->locked.round >= before->locked.round);
    assert_true(after->valid.round >= before->valid.round);
    assert_true(after->locked.round <= after->valid.round);
    if (after->locked.round != before->locked.round) {
        assert_int_equal(input->type, SB_ROUND_PROPOSAL_AND_POLKA_CURRENT);
        assert_int_equal(output->vote_type, SB_VOTE_PRECOMMIT);
    }
    if (output->type == SB_ROUND_OUT_VOTE) {
        assert_true(after->step != before->step);
    }
    if (before->step == SB_ROUND_COMMIT) {
        assert_int_equal(output->type, SB_ROUND_OUT_NONE);
        assert_memory_equal(before, after, sizeof *before);
    }
}

static void round_random_events_keep_its_invariants(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("round_random_events_keep_its_invariants");
    for (int run = 0; run < 2000; run++) {
        struct sb_round_state machine;
        sb_round_init(&machine, 5);
        for (int i = 0; i < 60; i++) {
            struct sb_round_state before = machine;
            struct sb_round_input input = {
                .type = (enum sb_round_input_type)sb_random_below(
                    &random, (uint64_t)SB_ROUND_TIMEOUT_PRECOMMIT + 1),
                .is_proposer = sb_random_below(&random, 2) == 0,
                .height = 4 + sb_random_below(&random, 2),
                .round = machine.round + (int32_t)sb_random_below(&random, 4) - 1,
                .value = {.block_id = id_of(sb_random_below(&random, 3))},
            };
            if (input.type == SB_ROUND_PROPOSAL_AND_PRECOMMIT_VALUE && i < 50) {
                continue;
            }
            struct sb_round_output output = sb_round_step(&machine, &input);
            check_step(&before, &machine, &input, &output);
        }
    }
}

/* ---- vote keeper ---- */

static struct sb_validator validators[4];
static struct sb_validator_set set;

static struct sb_vote_keeper *new_keeper(void)
{
    uint8_t key[32] = {0};
    for (size_t i = 0; i < 4; i++) {
        key[0] = (uint8_t)(i + 1);
        validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = 1};
    }
    assert_int_equal(sb_validator_set_make(&set, validators, 4, NULL), SB_OK);
    struct sb_vote_keeper *keeper = sb_vote_keeper_new(4);
    assert_non_null(keeper);
    sb_vote_keeper_reset(keeper, &set);
    return keeper;
}

static enum sb_vote_taken add(struct sb_vote_keeper *keeper, enum sb_vote_type type, uint32_t who,
                              int32_t round, uint64_t block)
{
    struct sb_evidence evidence;
    struct sb_vote vote = {.type = type,
                           .height = 1,
                           .round = round,
                           .block_id = id_of(block),
                           .validator_index = who,
                           .validator_address = set.validators[who].address,
                           .signature = {.len = 1}};
    return sb_vote_keeper_add(keeper, &vote, &evidence);
}

static void keeper_holds_the_highest_rounds_and_the_pinned(void **state)
{
    (void)state;
    struct sb_vote_keeper *keeper = new_keeper();
    int32_t pins[] = {2, -1, 4};
    for (int32_t round = 0; round < 100; round++) {
        sb_vote_keeper_reset(keeper, &set);
        sb_vote_keeper_move(keeper, round, pins, 3);
        for (int32_t past = 0; past <= round + 1; past++) {
            (void)add(keeper, SB_VOTE_PREVOTE, 0, past, 1);
        }
        unsigned held = 0;
        for (int32_t past = 0; past <= round + 1; past++) {
            held += sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, past, 0) != NULL;
        }
        unsigned all = (unsigned)round + 2;
        assert_int_equal(held, all < SB_VOTE_ROUNDS_MAX ? all : SB_VOTE_ROUNDS_MAX);
        for (int32_t kept = 2; kept <= 4 && round >= 4; kept += 2) {
            assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, kept, 0));
        }
        assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, round, 0));
        assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, round + 1, 0));
    }
    sb_vote_keeper_free(keeper);
}

static void keeper_never_gives_up_a_commit(void **state)
{
    (void)state;
    struct sb_vote_keeper *keeper = new_keeper();
    int32_t rounds[SB_VOTE_ROUNDS_MAX];
    for (uint32_t who = 0; who < 3; who++) {
        assert_int_equal(add(keeper, SB_VOTE_PRECOMMIT, who, 0, 9), SB_VOTE_COUNTED);
    }
    for (int32_t round = 1; round < 100; round++) {
        sb_vote_keeper_move(keeper, round, rounds, 0);
        assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, round, 1), SB_VOTE_COUNTED);
    }
    assert_int_equal(sb_vote_keeper_commits(keeper, rounds), 1);
    assert_int_equal(rounds[0], 0);
    struct sb_commit commit;
    assert_true(sb_vote_keeper_certificate(&commit, keeper, SB_VOTE_PRECOMMIT, 1, 0));
    assert_int_equal(add(keeper, SB_VOTE_PRECOMMIT, 3, 0, 9), SB_VOTE_COUNTED);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 3, 40, 9), SB_VOTE_REFUSED);
    sb_vote_keeper_free(keeper);
}

static void keeper_far_votes_are_two_rounds_of_each(void **state)
{
    (void)state;
    struct sb_vote_keeper *keeper = new_keeper();
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 10, 1), SB_VOTE_COUNTED);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 10, 1), SB_VOTE_KNOWN);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 10, 2), SB_VOTE_EVIDENCE);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 10, 3), SB_VOTE_CONFLICTS);
    assert_int_equal(add(keeper, SB_VOTE_PRECOMMIT, 0, 12, 1), SB_VOTE_COUNTED);
    assert_int_equal(add(keeper, SB_VOTE_PRECOMMIT, 0, 11, 1), SB_VOTE_COUNTED); /* 10 goes */
    assert_null(sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, 10, 0));
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 10, 1), SB_VOTE_REFUSED);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 11, 1), SB_VOTE_COUNTED);
    int32_t none = -1;
    sb_vote_keeper_move(keeper, 10, &none, 1); /* 11 is the next round now */
    assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PREVOTE, 11, 0));
    assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PRECOMMIT, 11, 0));
    assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PRECOMMIT, 12, 0));
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 50, 1), SB_VOTE_COUNTED);
    assert_non_null(sb_vote_keeper_vote(keeper, SB_VOTE_PRECOMMIT, 12, 0));
    sb_vote_keeper_free(keeper);
}

static void keeper_refuses_a_flood_of_far_rounds(void **state)
{
    (void)state;
    struct sb_vote_keeper *keeper = new_keeper();
    int counted = 0;
    for (int32_t round = 2; round < 5000; round++) {
        counted += add(keeper, SB_VOTE_PREVOTE, 0, round, 1) == SB_VOTE_COUNTED;
        counted += add(keeper, SB_VOTE_PRECOMMIT, 0, round, 1) == SB_VOTE_COUNTED;
    }
    assert_int_equal(counted, 2 * SB_VOTE_FAR_ROUNDS_MAX);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 1, 1),
                     SB_VOTE_COUNTED); /* near ones are not */
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 1, 5000, 1), SB_VOTE_COUNTED);
    sb_vote_keeper_reset(keeper, &set);
    assert_int_equal(add(keeper, SB_VOTE_PREVOTE, 0, 5000, 1), SB_VOTE_COUNTED);
    sb_vote_keeper_free(keeper);
}

static void keeper_skips_to_the_highest_round_of_a_third(void **state)
{
    (void)state;
    struct sb_vote_keeper *keeper = new_keeper();
    int32_t none = -1;
    assert_int_equal(sb_vote_keeper_skip(keeper), -1);
    (void)add(keeper, SB_VOTE_PREVOTE, 0, 5, 1);
    (void)add(keeper, SB_VOTE_PRECOMMIT, 1, 5, 2);
    assert_int_equal(sb_vote_keeper_skip(keeper), 5);
    (void)add(keeper, SB_VOTE_PREVOTE, 0, 3, 1);
    (void)add(keeper, SB_VOTE_PREVOTE, 1, 3, 1);
    assert_int_equal(sb_vote_keeper_skip(keeper), 5);
    (void)add(keeper, SB_VOTE_PREVOTE, 2, 9, 1);
    (void)add(keeper, SB_VOTE_PREVOTE, 3, 9, 1);
    assert_int_equal(sb_vote_keeper_skip(keeper), 9);
    sb_vote_keeper_move(keeper, 9, &none, 1);
    assert_int_equal(sb_vote_keeper_skip(keeper), -1);
    sb_vote_keeper_free(keeper);
}

/* ---- proposal keeper ---- */

static bool hold(struct sb_proposal_keeper *keeper, int32_t round)
{
    struct sb_proposal proposal = {
        .height = 1, .round = round, .pol_round = -1, .block_id = id_of((uint64_t)round + 1)};
    return sb_proposal_keeper_add(keeper, &proposal, 0, false);
}

static void proposals_of_old_rounds_make_room(void **state)
{
    (void)state;
    static struct sb_proposal_keeper keeper;
    int32_t pins[2] = {1, 3};
    sb_proposal_keeper_reset(&keeper);
    for (int32_t round = 0; round < 50; round++) {
        sb_proposal_keeper_move(&keeper, round, pins);
        assert_true(hold(&keeper, round));
        assert_false(hold(&keeper, round));
        assert_false(hold(&keeper, round + 2));
    }
    assert_non_null(sb_proposal_keeper_get(&keeper, 1));
    assert_non_null(sb_proposal_keeper_get(&keeper, 3));
    assert_null(sb_proposal_keeper_get(&keeper, 2));
    assert_non_null(sb_proposal_keeper_get(&keeper, 49));
    assert_false(hold(&keeper, 10)); /* older than all that are held */
    sb_hash id = id_of(50);
    assert_int_equal(sb_proposal_keeper_find(&keeper, &id)->message.round, 49);
}

static void verdicts_asked_for_long_ago_make_room(void **state)
{
    (void)state;
    static struct sb_proposal_keeper keeper;
    sb_proposal_keeper_reset(&keeper);
    sb_hash locked = id_of(0);
    for (uint64_t i = 0; i < 100; i++) {
        sb_hash id = id_of(i);
        assert_null(sb_proposal_keeper_block(&keeper, &id));
        sb_proposal_keeper_ask(&keeper, &id, &locked, NULL);
        assert_non_null(sb_proposal_keeper_block(&keeper, &id));
    }
    assert_non_null(sb_proposal_keeper_block(&keeper, &locked));
    sb_hash old = id_of(99 - SB_KNOWN_BLOCKS_MAX);
    assert_null(sb_proposal_keeper_block(&keeper, &old));
}

int main(void)
{
    mutant_from_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_random_events_keep_its_invariants),
        cmocka_unit_test(keeper_holds_the_highest_rounds_and_the_pinned),
        cmocka_unit_test(keeper_never_gives_up_a_commit),
        cmocka_unit_test(keeper_far_votes_are_two_rounds_of_each),
        cmocka_unit_test(keeper_refuses_a_flood_of_far_rounds),
        cmocka_unit_test(keeper_skips_to_the_highest_round_of_a_third),
        cmocka_unit_test(proposals_of_old_rounds_make_room),
        cmocka_unit_test(verdicts_asked_for_long_ago_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
