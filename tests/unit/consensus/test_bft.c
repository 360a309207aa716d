/* test_bft.c: the core among other validators, rule by rule (named by the lines of the paper, arXiv 1807.04938), and what
 * docs/spec/consensus.md adds to them. */
#include "tests/support/mutant.h"
#include "tests/unit/consensus/bft_bench.h"

static struct bench b;

/* into_round: others have moved on to this round: two of them vote there. Whoever voted is heard in prevotes for nil. */
static void into_round(int32_t round)
{
    size_t first = b.own == 0 ? 1 : 0;
    size_t second = b.own == 1 || first == 1 ? 2 : 1;
    prevote(&b, first, round, nil);
    prevote(&b, second, round, nil);
    assert_int_equal(sb_bft_status(b.core).round, round);
}

/* lock_on: the core, validator 3, locks block in round 0. */
static void lock_on(char block)
{
    propose_valid(&b, 0, block, -1);
    prevote(&b, 0, 0, block);
    prevote(&b, 1, 0, block);
    assert_true(locked_on(&b, 0, block));
}

/* by_precommit_timeout: the present round ends with nothing. */
static void by_precommit_timeout(int32_t round)
{
    precommit(&b, 0, round, nil);
    precommit(&b, 1, round, nil);
    precommit(&b, 2, round, nil);
    timeout(&b, SB_BFT_TIMEOUT_PRECOMMIT, 1, round);
    assert_int_equal(sb_bft_status(b.core).round, round + 1);
}

/* ---- lines 11 to 21 ---- */

static void line11_others_wait_for_the_proposer(void **state)
{
    (void)state;
    bench_init(&b, 3);
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PROPOSE, 0));
    assert_null(find_effect(&b, SB_BFT_GET_VALUE));
    bench_fini(&b);
}

static void line14_proposer_asks_for_a_value_and_sets_the_timer(void **state)
{
    (void)state;
    bench_init(&b, 0);
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PROPOSE, 0));
    assert_non_null(find_effect(&b, SB_BFT_GET_VALUE));
    value(&b, 'a');
    assert_true(b.effects[1].type == SB_BFT_SIGN && b.effects[1].as.message.is_proposal);
    assert_int_equal(b.effects[1].as.message.as.proposal.pol_round, -1);
    assert_non_null(find_effect(&b, SB_BFT_BROADCAST));
    assert_int_equal(the_effect(&b, SB_BFT_VALIDATE)->as.validate.round, 0);
    bench_fini(&b);
}

static void line16_valid_value_is_proposed_again(void **state)
{
    (void)state;
    bench_init(&b, 1);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 2, 0, 'a');
    assert_true(valid_is(&b, 0, 'a'));
    precommit(&b, 0, 0, nil);
    precommit(&b, 2, 0, nil);
    timeout(&b, SB_BFT_TIMEOUT_PRECOMMIT, 1, 0);
    const struct sb_bft_effect *sign = the_effect(&b, SB_BFT_SIGN);
    assert_true(sign->as.message.is_proposal);
    sb_hash a = id_of('a');
    assert_true(sb_hash_equal(&sign->as.message.as.proposal.block_id, &a));
    assert_int_equal(sign->as.message.as.proposal.round, 1);
    assert_int_equal(sign->as.message.as.proposal.pol_round, 0);
    assert_int_equal(sign->as.message.as.proposal.block_bytes, 100);
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PROPOSE, 1));
    assert_null(find_effect(&b, SB_BFT_VALIDATE)); /* it is known to be valid */
    assert_true(prevoted(&b, 1, 'a'));
    bench_fini(&b);
}

/* ---- lines 22 to 27 ---- */

static void line22_valid_proposal_is_prevoted(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    assert_int_equal(the_effect(&b, SB_BFT_VALIDATE)->as.validate.round, 0);
    assert_null(find_effect(&b, SB_BFT_SIGN));
    verdict(&b, 'a', true, 0);
    assert_true(prevoted(&b, 0, 'a'));
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    bench_fini(&b);
}

static void line22_early_proposal_waits_for_its_round(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 1, 'a', -1);
    assert_true(is_at(&b, 0, SB_BFT_PROPOSE));
    prevote(&b, 0, 1, 'a');
    prevote(&b, 1, 1, 'a');
    assert_true(prevoted(&b, 1, 'a'));
    assert_true(precommitted(&b, 1, 'a'));
    bench_fini(&b);
}

static void line23_lock_on_another_block_prevotes_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    by_precommit_timeout(0);
    propose_valid(&b, 1, 'b', -1);
    assert_true(prevoted(&b, 1, nil));
    assert_true(locked_on(&b, 0, 'a'));
    bench_fini(&b);
}

static void line23_lock_on_the_same_block_prevotes_it(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    by_precommit_timeout(0);
    by_precommit_timeout(1);
    by_precommit_timeout(
        2); /* validator 0 proposes round 4 too, so the block names the right proposer */
    into_round(4);
    propose(&b, 4, 'a', -1);
    assert_true(prevoted(&b, 4, 'a'));
    bench_fini(&b);
}

static void line26_invalid_proposal_prevotes_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    verdict(&b, 'a', false, 0);
    assert_true(prevoted(&b, 0, nil));
    bench_fini(&b);
}

static void line22_block_of_another_proposer_prevotes_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    verdict(&b, 'a', true, 1);
    assert_true(prevoted(&b, 0, nil));
    bench_fini(&b);
}

/* prevotes_at: what a proposal that came at this time, in this round, is prevoted. */
static bool prevotes_at(uint64_t received_ms, int32_t round)
{
    bench_init(&b, 3);
    if (round > 0) {
        into_round(round);
    }
    b.received_ms = received_ms;
    propose_valid(&b, round, 'a', -1);
    bool result = prevoted(&b, round, 'a');
    assert_true(result || prevoted(&b, round, nil));
    bench_fini(&b);
    return result;
}

static void line22_timely_edges(void **state)
{
    (void)state;
    /* precision 500, delay 1000: [time - 500, time + 1500] in round 0 */
    assert_true(prevotes_at(BENCH_TIME_MS - 500, 0));
    assert_false(prevotes_at(BENCH_TIME_MS - 501, 0));
    assert_true(prevotes_at(BENCH_TIME_MS + 1500, 0));
    assert_false(prevotes_at(BENCH_TIME_MS + 1501, 0));
    /* the delay grows by a tenth a round, in whole milliseconds: 1000, 1100, 1210, 1331 */
    assert_true(prevotes_at(BENCH_TIME_MS + 1600, 1));
    assert_false(prevotes_at(BENCH_TIME_MS + 1601, 1));
    assert_true(prevotes_at(BENCH_TIME_MS + 1710, 2));
    assert_false(prevotes_at(BENCH_TIME_MS + 1711, 2));
    /* the lower edge does not move */
    assert_false(prevotes_at(BENCH_TIME_MS - 501, 2));
}

static void line22_message_delay_stops_at_a_day(void **state)
{
    (void)state;
    uint64_t latest = BENCH_TIME_MS + UINT64_C(24) * 3600 * 1000 + 500;
    assert_true(prevotes_at(latest, 1000000));
    assert_false(prevotes_at(latest + 1, 1000000));
    assert_false(prevotes_at(UINT64_MAX, 1000000));
}

static void line22_own_block_counts_as_timely(void **state)
{
    (void)state;
    bench_init(&b, 0);
    value(&b, 'a');
    struct sb_bft_input input = bench_input(SB_BFT_IN_VALIDITY);
    input.as.validity.height = 1;
    input.as.validity.block_id = id_of('a');
    input.as.validity.valid = true;
    input.as.validity.time_ms = SB_TIME_MS_MAX;
    input.as.validity.proposer = b.set.validators[b.index_of[0]].address;
    bench_feed(&b, &input);
    assert_true(prevoted(&b, 0, 'a'));
    bench_fini(&b);
}

/* ---- lines 28 to 33 ---- */

static void line28_polka_of_earlier_round_is_followed(void **state)
{
    (void)state;
    bench_init(&b, 3);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'a');
    prevote(&b, 2, 0, 'a');
    into_round(1);
    propose_valid(&b, 1, 'a', 0);
    assert_true(prevoted(&b, 1, 'a'));
    bench_fini(&b);
}

static void line28_waits_for_the_polka(void **state)
{
    (void)state;
    bench_init(&b, 3);
    into_round(1);
    propose_valid(&b, 1, 'a', 0);
    assert_true(is_at(&b, 1, SB_BFT_PROPOSE));
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'b');
    prevote(&b, 2, 0, 'a');
    assert_true(is_at(&b, 1, SB_BFT_PROPOSE)); /* a quorum, but not for it */
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    assert_true(prevoted(&b, 1, 'a'));
    bench_fini(&b);
}

static void line28_time_and_proposer_do_not_matter(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    into_round(1);
    b.received_ms = BENCH_TIME_MS + 1000000;
    propose(&b, 1, 'a', 0);
    verdict(&b, 'a', true, 0);
    assert_true(prevoted(&b, 1, 'a'));
    bench_fini(&b);
}

static void line29_newer_polka_overrides_the_lock(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    by_precommit_timeout(0);
    certificate(&b, SB_VOTE_PREVOTE, 1, 'b', 7);
    into_round(2);
    propose_valid(&b, 2, 'b', 1);
    assert_true(prevoted(&b, 2, 'b'));
    assert_true(locked_on(&b, 0, 'a')); /* a prevote moves no lock */
    bench_fini(&b);
}

static void line32_older_polka_does_not_override_the_lock(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PREVOTE, 0, 'b', 7);
    into_round(1);
    propose_valid(&b, 1, 'a', -1);
    certificate(&b, SB_VOTE_PREVOTE, 1, 'a', 7);
    assert_true(locked_on(&b, 1, 'a'));
    into_round(2);
    propose_valid(&b, 2, 'b', 0);
    assert_true(prevoted(&b, 2, nil));
    bench_fini(&b);
}

static void line32_invalid_proposal_with_polka_prevotes_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    into_round(1);
    propose(&b, 1, 'a', 0);
    verdict(&b, 'a', false, 0);
    assert_true(prevoted(&b, 1, nil));
    bench_fini(&b);
}

static void line28_impossible_pol_round_is_refused(void **state)
{
    (void)state;
    bench_init(&b, 3);
    static const int32_t wrong[] = {-2, 0, 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        propose(&b, 0, 'a', wrong[i]);
        assert_int_equal(b.effect_count, 0);
        assert_null(sb_bft_proposal(b.core, 0));
    }
    propose(&b, 0, 'a', -1);
    assert_non_null(sb_bft_proposal(b.core, 0));
    bench_fini(&b);
}

/* ---- lines 34 to 48 ---- */

static void line34_quorum_of_any_prevotes_sets_the_timer_once(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'b');
    assert_false(set_timer(&b, SB_BFT_TIMEOUT_PREVOTE, 0));
    prevote(&b, 1, 0, nil);
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PREVOTE, 0));
    prevote(&b, 2, 0, nil);
    assert_false(set_timer(&b, SB_BFT_TIMEOUT_PREVOTE, 0));
    bench_fini(&b);
}

static void line34_waits_for_step_prevote(void **state)
{
    (void)state;
    bench_init(&b, 3);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'b');
    prevote(&b, 2, 0, nil);
    assert_false(set_timer(&b, SB_BFT_TIMEOUT_PREVOTE, 0));
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    assert_true(prevoted(&b, 0, nil));
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PREVOTE, 0));
    bench_fini(&b);
}

static void line34_timer_comes_before_the_precommit(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'a');
    assert_int_equal(b.effects[0].type, SB_BFT_JOURNAL);
    assert_int_equal(b.effects[1].type, SB_BFT_SET_TIMER);
    assert_int_equal(b.effects[2].type, SB_BFT_SIGN);
    bench_fini(&b);
}

static void line36_polka_locks_and_precommits(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    assert_int_equal(sb_bft_status(b.core).locked_round, -1);
    prevote(&b, 1, 0, 'a');
    assert_true(precommitted(&b, 0, 'a'));
    assert_true(locked_on(&b, 0, 'a') && valid_is(&b, 0, 'a'));
    bench_fini(&b);
}

static void line36_waits_for_proposal_and_verdict(void **state)
{
    (void)state;
    bench_init(&b, 3);
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'a');
    prevote(&b, 2, 0, 'a');
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    propose(&b, 0, 'a', -1);
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    verdict(&b, 'a', true, 0);
    assert_true(precommitted(&b, 0, 'a'));
    bench_fini(&b);
}

static void line36_untimely_block_with_a_polka_is_precommitted(void **state)
{
    (void)state;
    bench_init(&b, 3);
    b.received_ms = BENCH_TIME_MS + 10000;
    propose_valid(&b, 0, 'a', -1);
    assert_true(prevoted(&b, 0, nil));
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    assert_true(precommitted(&b, 0, 'a'));
    bench_fini(&b);
}

static void line36_prevotes_for_other_blocks_lock_nothing(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'b');
    prevote(&b, 2, 0, nil);
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    assert_int_equal(sb_bft_status(b.core).locked_round, -1);
    bench_fini(&b);
}

static void line38_later_polka_replaces_the_lock(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    by_precommit_timeout(0);
    propose_valid(&b, 1, 'b', -1);
    certificate(&b, SB_VOTE_PREVOTE, 1, 'b', 7);
    assert_true(precommitted(&b, 1, 'b'));
    assert_true(locked_on(&b, 1, 'b') && valid_is(&b, 1, 'b'));
    bench_fini(&b);
}

static void line42_late_polka_sets_the_valid_value_without_a_lock(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, nil);
    timeout(&b, SB_BFT_TIMEOUT_PREVOTE, 1, 0);
    assert_true(precommitted(&b, 0, nil));
    prevote(&b, 2, 0, 'a');
    assert_true(valid_is(&b, 0, 'a'));
    assert_int_equal(sb_bft_status(b.core).locked_round, -1);
    assert_null(find_effect(&b, SB_BFT_SIGN));
    bench_fini(&b);
}

static void line44_nil_polka_precommits_nil_and_keeps_the_lock(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    by_precommit_timeout(0);
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 1);
    prevote(&b, 0, 1, nil);
    prevote(&b, 1, 1, nil);
    assert_true(precommitted(&b, 1, nil));
    assert_true(locked_on(&b, 0, 'a') && valid_is(&b, 0, 'a'));
    bench_fini(&b);
}

static void line47_quorum_of_any_precommits_sets_the_timer_in_any_step_once(void **state)
{
    (void)state;
    bench_init(&b, 3);
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, nil);
    assert_false(set_timer(&b, SB_BFT_TIMEOUT_PRECOMMIT, 0));
    precommit(&b, 2, 0, 'b');
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PRECOMMIT, 0));
    assert_true(is_at(&b, 0, SB_BFT_PROPOSE));
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    assert_false(set_timer(&b, SB_BFT_TIMEOUT_PRECOMMIT, 0));
    bench_fini(&b);
}

/* ---- lines 49 to 54 ---- */

static void line49_precommits_decide(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    precommit(&b, 0, 0, 'a');
    assert_null(find_effect(&b, SB_BFT_DECIDE));
    precommit(&b, 1, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    assert_non_null(find_effect(&b, SB_BFT_CANCEL_TIMERS));
    const struct sb_commit *commit = &the_effect(&b, SB_BFT_DECIDE)->as.decide;
    assert_int_equal(commit->sig_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct sb_commit_sig *sig = &commit->sigs[b.index_of[i]];
        assert_int_equal(sig->flag, i == 2 ? SB_COMMIT_ABSENT : SB_COMMIT_BLOCK);
        assert_int_equal(sig->signature.len, i == 2 ? 0 : 1);
        assert_true(i == 2 || sig->signature.bytes[0] == i + 1);
    }
    bench_start(&b, 2);
    assert_true(is_at(&b, 0, SB_BFT_PROPOSE));
    assert_int_equal(sb_bft_status(b.core).locked_round, -1);
    assert_int_equal(sb_bft_status(b.core).valid_round, -1);
    bench_fini(&b);
}

static void line49_past_round_decides(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    into_round(5);
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    precommit(&b, 2, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    bench_fini(&b);
}

static void line49_future_round_decides(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 1, 'a', -1);
    certificate(&b, SB_VOTE_PRECOMMIT, 1, 'a', 7);
    assert_true(decided(&b, 1, 'a'));
    bench_fini(&b);
}

static void line49_far_future_round_decides_after_fetch(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PRECOMMIT, 1000, 'a', 7);
    assert_int_equal(the_effect(&b, SB_BFT_FETCH)->as.fetch.round, 1000);
    verdict(&b, 'a', true, 1000);
    assert_true(decided(&b, 1000, 'a'));
    bench_fini(&b);
}

static void line49_block_without_proposal_is_fetched_once(void **state)
{
    (void)state;
    bench_init(&b, 3);
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    precommit(&b, 2, 0, 'a');
    const struct sb_bft_effect *fetch = the_effect(&b, SB_BFT_FETCH);
    sb_hash a = id_of('a');
    assert_true(fetch->as.fetch.round == 0 && sb_hash_equal(&fetch->as.fetch.block_id, &a));
    assert_int_equal(the_effect(&b, SB_BFT_VALIDATE)->as.validate.round, -1);
    prevote(&b, 0, 0, 'a');
    assert_null(find_effect(&b, SB_BFT_FETCH));
    propose(&b, 0, 'a', -1);
    assert_null(find_effect(&b, SB_BFT_VALIDATE)); /* it was asked for already */
    verdict(&b, 'a', true, 0);
    assert_true(decided(&b, 0, 'a'));
    bench_fini(&b);
}

static void line49_invalid_block_is_not_decided(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    certificate(&b, SB_VOTE_PRECOMMIT, 0, 'a', 7);
    assert_null(find_effect(&b, SB_BFT_DECIDE));
    verdict(&b, 'a', false, 0);
    assert_null(find_effect(&b, SB_BFT_DECIDE));
    bench_fini(&b);
}

static void line49_nil_precommits_decide_nothing(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    precommit(&b, 0, 0, nil);
    precommit(&b, 1, 0, nil);
    precommit(&b, 2, 0, nil);
    assert_null(find_effect(&b, SB_BFT_DECIDE));
    bench_fini(&b);
}

/* ---- lines 55 and 56 ---- */

static void line55_third_of_another_round_is_followed(void **state)
{
    (void)state;
    bench_init(&b, 3);
    prevote(&b, 0, 1, 'a');
    precommit(&b, 0, 1, 'a'); /* the same validator again */
    assert_int_equal(sb_bft_status(b.core).round, 0);
    precommit(&b, 1, 1, nil); /* another type, another block */
    assert_true(is_at(&b, 1, SB_BFT_PROPOSE));
    assert_true(set_timer(&b, SB_BFT_TIMEOUT_PROPOSE, 1));
    bench_fini(&b);
}

static void line55_exact_third_is_not_enough(void **state)
{
    (void)state;
    static const int64_t powers[] = {1, 1, 1};
    bench_init_powers(&b, 2, 3, powers);
    bench_start(&b, 1);
    prevote(&b, 0, 1, nil);
    assert_int_equal(sb_bft_status(b.core).round, 0);
    prevote(&b, 1, 1, nil);
    assert_int_equal(sb_bft_status(b.core).round, 1);
    bench_fini(&b);
}

static void line55_past_rounds_are_not_returned_to(void **state)
{
    (void)state;
    bench_init(&b, 3);
    into_round(3);
    prevote(&b, 0, 2, nil);
    prevote(&b, 1, 2, nil);
    prevote(&b, 2, 2, nil);
    assert_int_equal(sb_bft_status(b.core).round, 3);
    bench_fini(&b);
}

static void line55_two_highest_rounds_of_each_are_kept(void **state)
{
    (void)state;
    bench_init(&b, 3);
    precommit(&b, 0, 8, nil); /* validator 0 went from round 8 to 9, validator 1 is in 8 */
    prevote(&b, 0, 9, nil);
    assert_int_equal(sb_bft_status(b.core).round, 0);
    prevote(&b, 1, 8, nil);
    assert_int_equal(sb_bft_status(b.core).round, 8);
    assert_non_null(sb_bft_vote(b.core, SB_VOTE_PRECOMMIT, 8, b.index_of[0]));
    assert_non_null(sb_bft_vote(b.core, SB_VOTE_PREVOTE, 9, b.index_of[0]));
    bench_fini(&b);
}

static void line55_votes_for_huge_rounds_displace_nobody_elses(void **state)
{
    (void)state;
    bench_init(&b, 3);
    for (int32_t round = 2; round < 5000; round++) {
        prevote(&b, 0, round * 400000, nil);
        precommit(&b, 0, round * 400000, 'a');
    }
    assert_int_equal(sb_bft_status(b.core).round, 0);
    prevote(&b, 1, 7, nil);
    prevote(&b, 2, 7, nil);
    assert_int_equal(sb_bft_status(b.core).round, 7);
    prevote(&b, 1, INT32_MAX, nil);
    prevote(&b, 2, INT32_MAX, nil);
    assert_int_equal(sb_bft_status(b.core).round, INT32_MAX);
    timeout(&b, SB_BFT_TIMEOUT_PRECOMMIT, 1, INT32_MAX); /* there is no round after it */
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

/* ---- lines 57 to 67 ---- */

static void line57_propose_timeout_prevotes_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    assert_true(prevoted(&b, 0, nil));
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void line57_value_after_the_timeout_is_stale(void **state)
{
    (void)state;
    bench_init(&b, 0);
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    value(&b, 'a');
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void line61_prevote_timeout_precommits_nil(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    timeout(&b, SB_BFT_TIMEOUT_PREVOTE, 1, 0);
    assert_true(precommitted(&b, 0, nil));
    timeout(&b, SB_BFT_TIMEOUT_PREVOTE, 1, 0);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void line65_precommit_timeout_begins_the_next_round(void **state)
{
    (void)state;
    bench_init(&b, 3);
    by_precommit_timeout(0);
    assert_true(is_at(&b, 1, SB_BFT_PROPOSE));
    assert_int_equal(the_effect(&b, SB_BFT_SET_TIMER)->as.timer.delay_ms, 3500);
    timeout(&b, SB_BFT_TIMEOUT_PRECOMMIT, 1, 0);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void lines57to65_timers_of_other_rounds_and_heights_are_stale(void **state)
{
    (void)state;
    bench_init(&b, 3);
    into_round(2);
    for (int kind = 0; kind < 3; kind++) {
        timeout(&b, (enum sb_bft_timeout)kind, 1, 1);
        assert_int_equal(b.effect_count, 0);
        timeout(&b, (enum sb_bft_timeout)kind, 1, 3);
        assert_int_equal(b.effect_count, 0);
        timeout(&b, (enum sb_bft_timeout)kind, 2, 2);
        assert_int_equal(b.effect_count, 0);
    }
    bench_fini(&b);
}

static void timeouts_grow_and_saturate(void **state)
{
    (void)state;
    bench_init(&b, 3);
    into_round(INT32_MAX);
    assert_int_equal(the_effect(&b, SB_BFT_SET_TIMER)->as.timer.delay_ms,
                     3000 + UINT64_C(500) * INT32_MAX);
    bench_fini(&b);
}

/* ---- certificates ---- */

static void certificate_counts_where_votes_were_counted_otherwise(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'b'); /* validator 0 votes for both */
    prevote(&b, 1, 0, 'a');
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    assert_true(precommitted(&b, 0, 'a'));
    const struct sb_bft_effect *evidence = the_effect(&b, SB_BFT_EVIDENCE);
    assert_int_equal(evidence->as.evidence.a.validator_index, b.index_of[0]);
    struct sb_bft_certificate held;
    assert_true(sb_bft_certificate(&held, b.core, SB_VOTE_PREVOTE, 0));
    assert_int_equal(held.commit.sigs[b.index_of[0]].flag, SB_COMMIT_BLOCK);
    bench_fini(&b);
}

static void certificate_without_quorum_is_nothing(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PRECOMMIT, 0, 'a', 3);
    assert_int_equal(b.effect_count, 0);
    certificate(&b, SB_VOTE_PRECOMMIT, 0, nil, 7);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void certificate_known_changes_nothing(void **state)
{
    (void)state;
    bench_init(&b, 3);
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    assert_int_equal(b.effects[0].type, SB_BFT_JOURNAL);
    certificate(&b, SB_VOTE_PREVOTE, 0, 'a', 7);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void certificate_of_single_votes_is_given(void **state)
{
    (void)state;
    bench_init(&b, 3);
    struct sb_bft_certificate held;
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, nil);
    assert_false(sb_bft_certificate(&held, b.core, SB_VOTE_PRECOMMIT, 0));
    precommit(&b, 2, 0, 'a');
    certificate(&b, SB_VOTE_PRECOMMIT, 0, 'a', 13); /* 0, 2, 3 */
    assert_true(sb_bft_certificate(&held, b.core, SB_VOTE_PRECOMMIT, 0));
    assert_int_equal(held.type, SB_VOTE_PRECOMMIT);
    assert_int_equal(held.commit.sig_count, 4);
    assert_int_equal(held.commit.sigs[b.index_of[1]].flag, SB_COMMIT_NIL);
    assert_int_equal(held.commit.sigs[b.index_of[2]].flag, SB_COMMIT_BLOCK);
    bench_fini(&b);
}

static void decided_commit_grows_without_effects(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    struct sb_commit commit = the_effect(&b, SB_BFT_DECIDE)->as.decide;
    precommit(&b, 2, 0, 'a');
    assert_int_equal(b.effect_count, 0);
    struct sb_bft_certificate held;
    assert_true(sb_bft_certificate(&held, b.core, SB_VOTE_PRECOMMIT, 0));
    assert_int_equal(held.commit.sigs[b.index_of[2]].flag, SB_COMMIT_BLOCK);
    assert_int_equal(commit.sigs[b.index_of[2]].flag, SB_COMMIT_ABSENT); /* as it was decided */
    timeout(&b, SB_BFT_TIMEOUT_PRECOMMIT, 1, 0);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

/* ---- evidence ---- */

static void evidence_is_given_once_and_the_first_vote_stands(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'b');
    prevote(&b, 0, 0, 'a');
    const struct sb_bft_effect *effect = the_effect(&b, SB_BFT_EVIDENCE);
    sb_hash first = id_of('a');
    assert_true(sb_hash_equal(&effect->as.evidence.a.block_id, &first)); /* in canonical order */
    prevote(&b, 0, 0, 'a');
    assert_int_equal(b.effect_count, 0);
    prevote(&b, 0, 0, nil);
    assert_int_equal(b.effect_count, 0);
    prevote(&b, 1, 0, 'a'); /* with our own: two votes for it, not three */
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    sb_hash held = id_of('b');
    assert_true(
        sb_hash_equal(&sb_bft_vote(b.core, SB_VOTE_PREVOTE, 0, b.index_of[0])->block_id, &held));
    bench_fini(&b);
}

static void evidence_second_vote_completes_no_quorum(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'b');
    prevote(&b, 1, 0, 'a');
    prevote(&b, 0, 0, 'a'); /* with ours it would be the third for it */
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    bench_fini(&b);
}

static void evidence_of_far_rounds_is_given(void **state)
{
    (void)state;
    bench_init(&b, 3);
    prevote(&b, 0, 100, 'a');
    prevote(&b, 0, 100, 'b');
    assert_non_null(find_effect(&b, SB_BFT_EVIDENCE));
    prevote(&b, 0, 100, 'c');
    assert_int_equal(b.effect_count, 0);
    prevote(&b, 1, 100, 'a'); /* the round is entered: evidence was given for it */
    prevote(&b, 0, 100, 'b');
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void evidence_after_the_decision_is_the_only_effect(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    precommit(&b, 1, 0, nil);
    assert_int_equal(b.effect_count, 1);
    assert_int_equal(b.effects[0].type, SB_BFT_EVIDENCE);
    bench_fini(&b);
}

/* ---- other rules ---- */

static void proposal_second_of_a_round_is_ignored(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    propose(&b, 0, 'b', -1);
    assert_int_equal(b.effect_count, 0);
    propose(&b, 2, 'b', -1); /* beyond the next round */
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void verdict_holds_for_every_round_of_its_block(void **state)
{
    (void)state;
    bench_init(&b, 3);
    propose(&b, 0, 'a', -1);
    verdict(&b, 'a', false, 0);
    verdict(&b, 'a', true, 0); /* the first stands */
    assert_int_equal(b.effect_count, 0);
    into_round(1);
    propose(&b, 1, 'a', -1);
    assert_null(find_effect(&b, SB_BFT_VALIDATE));
    assert_true(prevoted(&b, 1, nil));
    bench_fini(&b);
}

static void signature_refused_is_silence(void **state)
{
    (void)state;
    bench_init(&b, 3);
    b.refuses = true;
    propose_valid(&b, 0, 'a', -1);
    assert_null(find_effect(&b, SB_BFT_BROADCAST));
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    assert_null(sb_bft_vote(b.core, SB_VOTE_PREVOTE, 0, b.index_of[3]));
    prevote(&b, 0, 0, 'a');
    prevote(&b, 1, 0, 'a');
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE)); /* ours is not counted */
    prevote(&b, 2, 0, 'a');
    assert_true(is_at(&b, 0, SB_BFT_PRECOMMIT));
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    precommit(&b, 2, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    bench_fini(&b);
}

static void follower_decides_and_never_signs(void **state)
{
    (void)state;
    bench_init(&b, -1);
    propose_valid(&b, 0, 'a', -1);
    assert_null(find_effect(&b, SB_BFT_SIGN));
    timeout(&b, SB_BFT_TIMEOUT_PREVOTE, 1, 0);
    assert_null(find_effect(&b, SB_BFT_SIGN));
    precommit(&b, 0, 0, 'a');
    precommit(&b, 1, 0, 'a');
    precommit(&b, 2, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    bench_fini(&b);
}

static void power_weighs_votes(void **state)
{
    (void)state;
    static const int64_t powers[] = {1, 1, 1, 7};
    bench_init_powers(&b, 0, 4, powers);
    bench_start(&b, 1);
    timeout(&b, SB_BFT_TIMEOUT_PROPOSE, 1, 0);
    prevote(&b, 1, 0, nil);
    prevote(&b, 2, 0, nil); /* three of four, but 3 of 10 */
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    prevote(&b, 3, 0, nil);
    assert_true(precommitted(&b, 0, nil));
    prevote(&b, 3, 9, nil); /* 7 of 10 */
    assert_int_equal(sb_bft_status(b.core).round, 9);
    bench_fini(&b);
}

static void exact_two_thirds_are_no_quorum(void **state)
{
    (void)state;
    static const int64_t powers[] = {1, 1, 1};
    bench_init_powers(&b, 2, 3, powers);
    bench_start(&b, 1);
    propose_valid(&b, 0, 'a', -1);
    prevote(&b, 0, 0, 'a');
    assert_true(is_at(&b, 0, SB_BFT_PREVOTE));
    prevote(&b, 1, 0, 'a');
    assert_true(precommitted(&b, 0, 'a'));
    bench_fini(&b);
}

static void messages_of_other_heights_and_sets_mean_nothing(void **state)
{
    (void)state;
    bench_init(&b, 3);
    struct sb_bft_input input = bench_input(SB_BFT_IN_VOTE);
    input.as.vote = bench_vote(&b, SB_VOTE_PREVOTE, 0, 0, 'a');
    input.as.vote.height = 2;
    bench_feed(&b, &input);
    assert_int_equal(b.effect_count, 0);
    input.as.vote.height = 1;
    input.as.vote.validator_index = b.index_of[1]; /* address and index disagree */
    bench_feed(&b, &input);
    assert_int_equal(b.effect_count, 0);
    input.as.vote.validator_index = 200;
    bench_feed(&b, &input);
    assert_int_equal(b.effect_count, 0);
    bench_fini(&b);
}

static void start_set_without_room_is_refused(void **state)
{
    (void)state;
    bench_init(&b, 3);
    static struct sb_validator many[BENCH_VALIDATORS_MAX + 1];
    struct sb_validator_set set = {.validators = many, .count = BENCH_VALIDATORS_MAX + 1};
    struct sb_bft_input input = bench_input(SB_BFT_IN_START_HEIGHT);
    static struct sb_bft_effects effects;
    certificate(&b, SB_VOTE_PRECOMMIT, 0, 'a', 7);
    verdict(&b, 'a', true, 0);
    input.as.start.height = 2;
    input.as.start.set = &set;
    assert_int_equal(sb_bft_step(b.core, &input, &effects, NULL), SB_E_ARG);
    assert_int_equal(effects.count, 0);
    bench_start(&b, 2);
    assert_int_equal(sb_bft_status(b.core).height, 2);
    bench_fini(&b);
}

static void old_rounds_make_room_but_lock_and_commit_stay(void **state)
{
    (void)state;
    bench_init(&b, 3);
    lock_on('a');
    precommit(&b, 0, 0, 'a');
    for (int32_t round = 1; round < 60; round++) {
        into_round(round);
    }
    assert_non_null(sb_bft_vote(b.core, SB_VOTE_PREVOTE, 0, b.index_of[0])); /* the lock's polka */
    assert_non_null(sb_bft_proposal(b.core, 0));
    assert_null(sb_bft_vote(b.core, SB_VOTE_PREVOTE, 3, b.index_of[0]));
    assert_non_null(sb_bft_vote(b.core, SB_VOTE_PREVOTE, 58, b.index_of[0]));
    precommit(&b, 1, 0, 'a');
    assert_true(decided(&b, 0, 'a'));
    bench_fini(&b);
}

int main(void)
{
    mutant_from_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line11_others_wait_for_the_proposer),
        cmocka_unit_test(line14_proposer_asks_for_a_value_and_sets_the_timer),
        cmocka_unit_test(line16_valid_value_is_proposed_again),
        cmocka_unit_test(line22_valid_proposal_is_prevoted),
        cmocka_unit_test(line22_early_proposal_waits_for_its_round),
        cmocka_unit_test(line23_lock_on_another_block_prevotes_nil),
        cmocka_unit_test(line23_lock_on_the_same_block_prevotes_it),
        cmocka_unit_test(line26_invalid_proposal_prevotes_nil),
        cmocka_unit_test(line22_block_of_another_proposer_prevotes_nil),
        cmocka_unit_test(line22_timely_edges),
        cmocka_unit_test(line22_message_delay_stops_at_a_day),
        cmocka_unit_test(line22_own_block_counts_as_timely),
        cmocka_unit_test(line28_polka_of_earlier_round_is_followed),
        cmocka_unit_test(line28_waits_for_the_polka),
        cmocka_unit_test(line28_time_and_proposer_do_not_matter),
        cmocka_unit_test(line29_newer_polka_overrides_the_lock),
        cmocka_unit_test(line32_older_polka_does_not_override_the_lock),
        cmocka_unit_test(line32_invalid_proposal_with_polka_prevotes_nil),
        cmocka_unit_test(line28_impossible_pol_round_is_refused),
        cmocka_unit_test(line34_quorum_of_any_prevotes_sets_the_timer_once),
        cmocka_unit_test(line34_waits_for_step_prevote),
        cmocka_unit_test(line34_timer_comes_before_the_precommit),
        cmocka_unit_test(line36_polka_locks_and_precommits),
        cmocka_unit_test(line36_waits_for_proposal_and_verdict),
        cmocka_unit_test(line36_untimely_block_with_a_polka_is_precommitted),
        cmocka_unit_test(line36_prevotes_for_other_blocks_lock_nothing),
        cmocka_unit_test(line38_later_polka_replaces_the_lock),
        cmocka_unit_test(line42_late_polka_sets_the_valid_value_without_a_lock),
        cmocka_unit_test(line44_nil_polka_precommits_nil_and_keeps_the_lock),
        cmocka_unit_test(line47_quorum_of_any_precommits_sets_the_timer_in_any_step_once),
        cmocka_unit_test(line49_precommits_decide),
        cmocka_unit_test(line49_past_round_decides),
        cmocka_unit_test(line49_future_round_decides),
        cmocka_unit_test(line49_far_future_round_decides_after_fetch),
        cmocka_unit_test(line49_block_without_proposal_is_fetched_once),
        cmocka_unit_test(line49_invalid_block_is_not_decided),
        cmocka_unit_test(line49_nil_precommits_decide_nothing),
        cmocka_unit_test(line55_third_of_another_round_is_followed),
        cmocka_unit_test(line55_exact_third_is_not_enough),
        cmocka_unit_test(line55_past_rounds_are_not_returned_to),
        cmocka_unit_test(line55_two_highest_rounds_of_each_are_kept),
        cmocka_unit_test(line55_votes_for_huge_rounds_displace_nobody_elses),
        cmocka_unit_test(line57_propose_timeout_prevotes_nil),
        cmocka_unit_test(line57_value_after_the_timeout_is_stale),
        cmocka_unit_test(line61_prevote_timeout_precommits_nil),
        cmocka_unit_test(line65_precommit_timeout_begins_the_next_round),
        cmocka_unit_test(lines57to65_timers_of_other_rounds_and_heights_are_stale),
        cmocka_unit_test(timeouts_grow_and_saturate),
        cmocka_unit_test(certificate_counts_where_votes_were_counted_otherwise),
        cmocka_unit_test(certificate_without_quorum_is_nothing),
        cmocka_unit_test(certificate_known_changes_nothing),
        cmocka_unit_test(certificate_of_single_votes_is_given),
        cmocka_unit_test(decided_commit_grows_without_effects),
        cmocka_unit_test(evidence_is_given_once_and_the_first_vote_stands),
        cmocka_unit_test(evidence_second_vote_completes_no_quorum),
        cmocka_unit_test(evidence_of_far_rounds_is_given),
        cmocka_unit_test(evidence_after_the_decision_is_the_only_effect),
        cmocka_unit_test(proposal_second_of_a_round_is_ignored),
        cmocka_unit_test(verdict_holds_for_every_round_of_its_block),
        cmocka_unit_test(signature_refused_is_silence),
        cmocka_unit_test(follower_decides_and_never_signs),
        cmocka_unit_test(power_weighs_votes),
        cmocka_unit_test(exact_two_thirds_are_no_quorum),
        cmocka_unit_test(messages_of_other_heights_and_sets_mean_nothing),
        cmocka_unit_test(start_set_without_room_is_refused),
        cmocka_unit_test(old_rounds_make_room_but_lock_and_commit_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
