/* test_slashing.c: presence, jail, double signing, and what slashes do to stake that has left (docs/spec/staking.md, sections 5 and 7). */
#include "tests/unit/vm/stake_bench.h"

/* Blocks after which a validator that is never there has been absent in a whole window, and one more. */
#define TRIPS_AFTER (WINDOW + 1)

/* ---------------------------------------------------------------- absence */

/* Word of signingInfo: 2 counted, 3 missed, 4 window, 5 missedMax, 6 jailed, 7 tombstoned, 8 jailedUntil. */
static sb_u256 signing(size_t validator, size_t word)
{
    const sb_u256 operator= of(validator);
    return view(SB_SLASHING_ADDR_LOW, "signingInfo(address)", &operator, 1, word);
}

static void absence_in_a_whole_window_jails_and_slashes(void **state)
{
    (void)state;
    blocks_without(2, 1); /* block 2: no votes yet */
    assert_u256(signing(2, 2), u(0));
    blocks_without(2, WINDOW - 1);
    assert_false(is(2, JAILED));
    assert_u256(signing(2, 2), u(WINDOW - 1));
    assert_u256(signing(2, 3), u(WINDOW - 1));
    assert_u256(signing(2, 5), u(WINDOW / 2));
    const uint64_t now = c->env.timestamp, height = c->env.number;
    blocks_without(2, 1); /* the window is full, and more than half is missing */
    assert_true(is(2, JAILED));
    assert_false(is(2, LISTED));
    assert_int_equal(next_power(2), 0);
    assert_u256(validator_word(2, TOKENS), coins(99));
    assert_u256(validator_word(2, 17), u(now + JAIL_S));
    assert_u256(totals(2), coins(1));
    assert_u256(signing(2, 2), u(0)); /* it begins anew */
    const sb_u256 page[] = {of(2), u(0), u(10)};
    assert_u256(view(SB_STAKING_ADDR_LOW, "slashes(address,uint256,uint256)", page, 3, 1), u(1));
    assert_u256(sb_stake_word(c, 2), u(height - 2));
    assert_u256(sb_stake_word(c, 3), u(height));
    assert_u256(sb_stake_word(c, 5), u(100));
    /* It is in the votes of two more heights: no second punishment. */
    blocks_without(2, 2 * WINDOW);
    assert_u256(validator_word(2, 18), u(1));
}

static void absence_in_half_of_a_window_is_forgiven(void **state)
{
    (void)state;
    blocks(1);
    for (size_t i = 0; i < 6; i++) {
        blocks_without(2, WINDOW / 2);
        blocks(WINDOW / 2);
    }
    assert_false(is(2, JAILED));
    assert_u256(signing(2, 3), u(WINDOW / 2));
    blocks(5);
    blocks_without(2, WINDOW / 2 + 1); /* one more */
    assert_true(is(2, JAILED));
}

static void a_wider_window_judges_when_it_is_full(void **state)
{
    (void)state;
    blocks_without(2, 1 + 5);
    set_param(SB_STAKING_signed_window, 20);
    blocks_without(2, 14);
    assert_false(is(2, JAILED));
    blocks_without(2, 1);
    assert_true(is(2, JAILED));
}

static void absence_after_more_heights_than_a_word_holds_is_judged_at_once(void **state)
{
    (void)state;
    blocks(300);
    assert_u256(signing(2, 2), u(255));
    blocks_without(2, WINDOW / 2);
    assert_false(is(2, JAILED));
    blocks_without(2, 1);
    assert_true(is(2, JAILED));
}

static void a_narrower_window_judges_by_the_newest_heights(void **state)
{
    (void)state;
    set_param(SB_STAKING_signed_window, 100);
    blocks_without(2, 31);
    blocks(5);
    set_param(SB_STAKING_signed_window, 10);
    blocks_without(2, 1); /* 5 of the last 10 missed */
    assert_false(is(2, JAILED));
    blocks_without(2, 4);
    assert_false(is(2, JAILED)); /* as one was pushed out for each new one */
    blocks_without(2, 1);
    assert_true(is(2, JAILED));
}

static void unjail_after_its_time_brings_the_validator_back(void **state)
{
    (void)state;
    unjail(2);
    expect_error("NotJailed(address)");
    unjail(5);
    expect_error("UnknownValidator(address)");
    blocks_without(2, TRIPS_AFTER);
    enter(2);
    expect_error("IsJailed(address)");
    unjail(2);
    expect_error("StillJailed(uint64)");
    seconds_pass(JAIL_S);
    edit(2, sb_span_str(""), 1000, coins(99));
    undelegate(2, 2, u(2)); /* shares: worth 1 */
    unjail(2);
    expect_error("SelfStakeTooSmall(uint256,uint256)");
    delegate(2, 2, u(10));
    unjail(2);
    expect_event("JailChanged(address,bool,uint64)");
    assert_false(is(2, JAILED));
    blocks(1);
    assert_int_equal(next_power(2), 99);
    blocks(WINDOW * 2);
    assert_false(is(2, JAILED));
}

static void the_last_validator_is_slashed_and_stays(void **state)
{
    (void)state;
    blocks(1);
    block_with_evidence(0, c->env.number - 1);
    block_with_evidence(1, c->env.number - 1);
    assert_int_equal(next_power(2), 100);
    block_with_evidence(2, c->env.number - 1);
    assert_true(is(2, TOMBSTONED));
    assert_true(is(2, LISTED));
    assert_int_equal(next_power(2), 95);
    blocks(5);
    assert_int_equal(sb_stake_set_at(c, c->env.number + 1)->count, 1);
    create(3, coins(7));
    expect_ok();
    blocks(1);
    assert_int_equal(next_power(2), 0);
    assert_int_equal(next_power(3), 7);
}

static void the_last_validator_in_jail_may_come_out(void **state)
{
    (void)state;
    blocks(1);
    block_with_evidence(0, c->env.number - 1);
    block_with_evidence(1, c->env.number - 1);
    blocks_without(2, 3 * WINDOW);
    assert_true(is(2, JAILED));
    assert_int_equal(next_power(2), 99);
    assert_u256(validator_word(2, 18), u(1)); /* in jail it is not judged again */
    seconds_pass(JAIL_S);
    unjail(2);
    expect_ok();
    create(3, coins(7));
    blocks(1);
    assert_int_equal(next_power(2), 99); /* it lingers no more */
    assert_int_equal(next_power(3), 7);
}

/* ---------------------------------------------------------------- double signing */

static void double_signing_slashes_once_and_for_ever(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    block_with_evidence(0, c->env.number - 1);
    assert_true(is(0, TOMBSTONED));
    assert_int_equal(next_power(0), 0);
    assert_u256(validator_word(0, TOKENS), coins(380));
    assert_u256(worth_of(3, 0), coins(95)); /* with its delegators */
    assert_u256(totals(2), coins(20));
    block_with_evidence(0, c->env.number - 3);
    assert_u256(validator_word(0, TOKENS), coins(380));
    assert_u256(view(SB_SLASHING_ADDR_LOW, "evidenceCount()", NULL, 0, 0), u(1));
    const sb_u256 page[] = {u(0), u(10)};
    const sb_addr consensus = sb_stake_consensus(0);
    assert_u256(view(SB_SLASHING_ADDR_LOW, "evidence(uint256,uint256)", page, 2, 2),
                sb_stake_addr_word(&consensus));
    seconds_pass(1000000);
    unjail(0);
    expect_error("Tombstoned(address)");
    enter(0);
    expect_error("Tombstoned(address)");
    delegate(3, 0, coins(1));
    expect_error("Tombstoned(address)");
    delegate(4, 1, coins(1));
    redelegate(4, 1, 0, coins(1));
    expect_error("Tombstoned(address)");
    redelegate(3, 0, 1, coins(50)); /* what is left may go */
    expect_ok();
    undelegate(3, 0, coins(50));
    expect_ok();
    seconds_pass(UNBONDING_S);
    withdraw(3, 1);
    assert_u256(sb_stake_word(c, 0), scaled(coins(50), 95, 100));
}

static void evidence_against_nobody_changes_nothing(void **state)
{
    (void)state;
    blocks(3);
    block_with_evidence(8, c->env.number - 1);
    assert_u256(totals(2), u(0));
    assert_u256(view(SB_SLASHING_ADDR_LOW, "evidenceCount()", NULL, 0, 0), u(0));
}

static void evidence_of_many_validators_in_one_block_is_all_punished(void **state)
{
    (void)state;
    static struct sb_system_evidence evidence[SB_EVIDENCE_MAX];
    blocks(3);
    for (size_t i = 0; i < SB_EVIDENCE_MAX; i++) {
        evidence[i] = (struct sb_system_evidence){.validator = sb_stake_consensus(i % 5),
                                                  .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                                  .height = c->env.number - 1};
    }
    sb_stake_end(c, NULL, NULL, evidence, SB_EVIDENCE_MAX);
    expect_calls();
    assert_true(is(0, TOMBSTONED) && is(1, TOMBSTONED) && is(2, TOMBSTONED));
    assert_u256(totals(2), coins(30));
    assert_int_equal(sb_stake_set_at(c, c->env.number + 1)->count, 1);
}

static bool nobody_is_there(void *ctx, const sb_addr *consensus)
{
    (void)ctx;
    (void)consensus;
    return false;
}

/* All of 256 go to jail in one block that brings evidence against all of them: what fits is punished, and the call does not fail. */
static void the_worst_block_ends_within_its_gas(void **state)
{
    (void)state;
    static uint64_t powers[SB_VALIDATORS_MAX];
    static struct sb_system_evidence evidence[SB_VALIDATORS_MAX];
    uint64_t params[SB_STAKING_PARAM_COUNT];
    short_params(params);
    params[SB_STAKING_validators_max] = SB_VALIDATORS_MAX;
    for (size_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        powers[i] = 1000 - i;
        evidence[i] = (struct sb_system_evidence){
            .validator = sb_stake_consensus(i), .kind = SB_EVIDENCE_DUPLICATE_VOTE, .height = 5};
    }
    const struct sb_stake_options options = {.validator_count = SB_VALIDATORS_MAX,
                                             .powers = powers,
                                             .account_count = SB_VALIDATORS_MAX,
                                             .coins = 10,
                                             .params = params};
    sb_stake_chain_free(c);
    c = sb_stake_chain_new(&options);
    for (size_t i = 0; i < TRIPS_AFTER; i++) {
        sb_stake_end(c, nobody_is_there, NULL, NULL, 0);
        expect_calls();
    }
    assert_u256(validator_word(0, 18), u(0));
    sb_stake_end(c, nobody_is_there, NULL, evidence, SB_VALIDATORS_MAX);
    expect_calls();
    const struct sb_stake_set *set = sb_stake_set_at(c, c->env.number + 1);
    assert_int_equal(set->count, 1);
    const sb_u256 convicted = view(SB_SLASHING_ADDR_LOW, "evidenceCount()", NULL, 0, 0);
    print_message("%llu convicted after 256 went to jail, %llu gas\n",
                  (unsigned long long)convicted.w[0],
                  (unsigned long long)c->outcome.calls[SB_SYSTEM_SLASHING].gas_used);
    assert_true(convicted.w[0] >= 100);
}

/* ---------------------------------------------------------------- what had left */

/* Stake that leaves in block x is in the power up to height x + 1, the last one it answers for. */
static void an_unbonding_answers_for_the_height_after_it_and_no_later_one(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    undelegate(3, 0, coins(40)); /* exits 1 and 2, a block apart */
    const uint64_t x = c->env.number;
    blocks(1);
    undelegate(3, 0, coins(40));
    blocks(3);
    block_with_evidence(0, x + 2); /* the first was out by then */
    assert_u256(exit_word(3, 0, 3), coins(40));
    assert_u256(exit_word(3, 1, 3), coins(38));
    assert_u256(exit_word(3, 1, 2), coins(40));
    const sb_u256 before = wallet(3), burnt = totals(2);
    seconds_pass(UNBONDING_S);
    withdraw(3, 10);
    assert_u256(wallet(3), sum(before, coins(78)));
    assert_u256(totals(2), sum(burnt, coins(2)));
    assert_u256(totals(1), u(0));
}

static void an_unbonding_after_the_slash_does_not_bear_it_again(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    block_with_evidence(0, c->env.number - 1);
    undelegate(3, 0, coins(100)); /* shares, worth 95 */
    assert_u256(exit_word(3, 0, 2), coins(95));
    assert_u256(exit_word(3, 0, 3), coins(95));
}

static void an_unbonding_that_was_complete_is_not_slashed(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    undelegate(3, 0, coins(100));
    const uint64_t x = c->env.number;
    seconds_pass(UNBONDING_S); /* the block at hand is that of its completion */
    block_with_evidence(0, x);
    assert_u256(exit_word(3, 0, 3), coins(100));
}

static void an_unbonding_in_its_last_second_is_slashed(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    undelegate(3, 0, coins(100));
    const uint64_t x = c->env.number;
    seconds_pass(UNBONDING_S - 1);
    block_with_evidence(0, x);
    assert_u256(exit_word(3, 0, 3), coins(95));
    withdraw(3, 10);
    expect_ok();
    assert_u256(sb_stake_word(c, 0), coins(95));
}

static void absence_slashes_who_left_at_the_last_moment(void **state)
{
    (void)state;
    delegate(3, 2, coins(40));
    blocks_without(2, TRIPS_AFTER - 5);
    undelegate(3, 2, coins(10)); /* block x, punished in x + 4 for x + 2 */
    blocks_without(2, 1);
    undelegate(3, 2, coins(10)); /* in x + 3 for x + 1 */
    blocks_without(2, 4);
    assert_true(is(2, JAILED));
    assert_u256(exit_word(3, 0, 3), coins(10));
    assert_u256(exit_word(3, 1, 3), scaled(coins(10), 99, 100));
}

static void cancel_after_a_slash_gives_back_what_is_left(void **state)
{
    (void)state;
    delegate(3, 2, coins(40));
    blocks_without(2, TRIPS_AFTER - 1);
    undelegate(3, 2, coins(10));
    blocks_without(2, 1);
    assert_true(is(2, JAILED));
    const sb_u256 burnt = totals(2);
    cancel(3, 1);
    expect_ok();
    assert_u256(sb_stake_word(c, 0), coins(10)); /* 9.9 coins at 0.99 a share */
    assert_u256(totals(2), sum(burnt, scaled(coins(10), 1, 100)));
}

/* ---------------------------------------------------------------- redelegations */

static void redelegating_away_after_the_offence_does_not_escape(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    const uint64_t offence = c->env.number;
    redelegate(3, 0, 1, coins(60));
    blocks(2);
    block_with_evidence(0, offence);
    assert_u256(shares_of(3, 1), coins(57));
    assert_u256(worth_of(3, 0), coins(38));
    const sb_u256 bonded = totals(0), burnt = totals(2);
    settle(3, 1);
    expect_event("RedelegationSlashed(address,address,address,uint256,uint256)");
    assert_u256(totals(0), minus(bonded, coins(3)));
    assert_u256(totals(2), sum(burnt, coins(3)));
    assert_u256(shares_of(3, 1), coins(57));
    assert_u256(worth_of(1, 1), coins(200)); /* the others at validator 1 lose nothing */
    settle(3, 1);                            /* once */
    assert_u256(totals(2), sum(burnt, coins(3)));
    blocks(1);
    assert_int_equal(next_power(1), 257);
}

static void redelegating_before_the_offence_is_not_slashed(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    redelegate(3, 0, 1, coins(60));
    const uint64_t x = c->env.number;
    blocks(4);
    block_with_evidence(0, x + 2);
    assert_u256(shares_of(3, 1), coins(60));
    settle(3, 1);
    assert_u256(shares_of(3, 1), coins(60));
}

static void redelegating_and_leaving_bears_both_risks(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    redelegate(3, 0, 1, coins(60));
    blocks(1);
    undelegate(3, 1, coins(60));
    const uint64_t height = c->env.number;
    blocks(2);
    block_with_evidence(0, height - 1);
    assert_u256(exit_word(3, 0, 3), coins(57));
    block_with_evidence(1, height);
    assert_u256(exit_word(3, 0, 3), scaled(coins(57), 95, 100));
    seconds_pass(UNBONDING_S);
    const sb_u256 before = wallet(3);
    withdraw(3, 1);
    assert_u256(wallet(3), sum(before, scaled(coins(57), 95, 100)));
}

/* With a shorter unbonding time than when it moved, stake that leaves is still not paid out before its first validator's slashes. */
static void shorter_unbonding_does_not_let_redelegated_stake_escape(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    const uint64_t offence = c->env.number;
    redelegate(3, 0, 1, coins(60));
    set_param(SB_STAKING_unbonding_seconds, UNBONDING_S / 10);
    undelegate(3, 1, coins(60));
    expect_ok();
    seconds_pass(UNBONDING_S / 2);
    withdraw(3, 1);
    expect_error("ZeroAmount()"); /* nothing can be paid out yet */
    block_with_evidence(0, offence);
    assert_u256(exit_word(3, 0, 3), coins(57));
    seconds_pass(UNBONDING_S);
    const sb_u256 before = wallet(3);
    withdraw(3, 1);
    assert_u256(wallet(3), sum(before, coins(57)));
}

static void redelegating_leaving_and_cancelling_does_not_escape(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    const uint64_t offence = c->env.number;
    redelegate(3, 0, 1, coins(60));
    undelegate(3, 1, coins(60));
    cancel(3, 1);
    expect_ok();
    blocks(1);
    block_with_evidence(0, offence);
    assert_u256(shares_of(3, 1), coins(57));
    undelegate(3, 1, coins(60));
    expect_error("NotEnoughShares(uint256,uint256)");
    undelegate(3, 1, coins(57));
    expect_ok();
    assert_u256(exit_word(3, 0, 3), coins(57));
}

static void redelegated_stake_that_is_complete_is_not_slashed(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    const uint64_t offence = c->env.number;
    redelegate(3, 0, 1, coins(60));
    seconds_pass(UNBONDING_S);
    block_with_evidence(0, offence);
    assert_u256(shares_of(3, 1), coins(60));
    redelegate(3, 1, 2, coins(60));
    expect_ok();
}

static void a_slash_that_came_in_time_is_borne_after_completion_too(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(3);
    const uint64_t offence = c->env.number;
    redelegate(3, 0, 1, coins(60));
    blocks(1);
    block_with_evidence(0, offence);
    seconds_pass(10 * UNBONDING_S); /* nobody settled meanwhile */
    assert_u256(shares_of(3, 1), coins(57));
    redelegate(3, 1, 2, coins(57));
    expect_ok();
    assert_u256(shares_of(3, 1), u(0));
    assert_u256(totals(2), coins(15 + 2 + 3)); /* 5 % of 300, 40 and 60 */
}

/* ---------------------------------------------------------------- worn pools */

static void a_pool_that_lost_nearly_all_takes_no_new_stake(void **state)
{
    (void)state;
    set_param(SB_STAKING_slash_double_sign_bps, 10000);
    set_param(SB_STAKING_slash_downtime_bps, 1000);
    set_param(SB_STAKING_downtime_jail_seconds, 0);
    delegate(2, 2, coins(9000));
    size_t jails = 0;
    for (; jails < 53; jails++) { /* 0.9^53 is the first below 1/256 */
        delegate(3, 2, u(1000000));
        expect_ok();
        while (!is(2, JAILED)) {
            blocks_without(2, 1);
        }
        unjail(2);
        expect_ok();
    }
    delegate(3, 2, u(1000000));
    expect_error("PoolWorn(address)");
    undelegate(2, 2, coins(100));
    expect_ok();
    block_with_evidence(0, c->env.number - 1);
    assert_u256(validator_word(0, TOKENS), u(0));
    undelegate(0, 0, coins(300)); /* worth nothing */
    expect_error("ZeroAmount()");
}

static void only_the_chain_may_end_a_block(void **state)
{
    (void)state;
    const sb_addr me = sb_stake_account(0);
    const sb_u256 none[] = {u(64), u(96), u(0), u(0)};
    sb_stake_call(c, &me, SB_SLASHING_ADDR_LOW, NULL,
                  "endBlock(bytes32[],(address,uint8,uint64,uint64)[])", none, 4);
    expect_error("NotSystem()");
    const sb_u256 nobody = of(7);
    sb_stake_view(c, SB_SLASHING_ADDR_LOW, "signingInfo(address)", &nobody, 1);
    expect_error("UnknownValidator(address)");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, stake_setup, stake_teardown)
    const struct CMUnitTest tests[] = {
        CASE(absence_in_a_whole_window_jails_and_slashes),
        CASE(absence_in_half_of_a_window_is_forgiven),
        CASE(a_wider_window_judges_when_it_is_full),
        CASE(absence_after_more_heights_than_a_word_holds_is_judged_at_once),
        CASE(a_narrower_window_judges_by_the_newest_heights),
        CASE(unjail_after_its_time_brings_the_validator_back),
        CASE(the_last_validator_is_slashed_and_stays),
        CASE(the_last_validator_in_jail_may_come_out),
        CASE(double_signing_slashes_once_and_for_ever),
        CASE(evidence_against_nobody_changes_nothing),
        CASE(evidence_of_many_validators_in_one_block_is_all_punished),
        CASE(the_worst_block_ends_within_its_gas),
        CASE(an_unbonding_answers_for_the_height_after_it_and_no_later_one),
        CASE(an_unbonding_after_the_slash_does_not_bear_it_again),
        CASE(an_unbonding_that_was_complete_is_not_slashed),
        CASE(an_unbonding_in_its_last_second_is_slashed),
        CASE(absence_slashes_who_left_at_the_last_moment),
        CASE(cancel_after_a_slash_gives_back_what_is_left),
        CASE(redelegating_away_after_the_offence_does_not_escape),
        CASE(redelegating_before_the_offence_is_not_slashed),
        CASE(redelegating_and_leaving_bears_both_risks),
        CASE(shorter_unbonding_does_not_let_redelegated_stake_escape),
        CASE(redelegating_leaving_and_cancelling_does_not_escape),
        CASE(redelegated_stake_that_is_complete_is_not_slashed),
        CASE(a_slash_that_came_in_time_is_borne_after_completion_too),
        CASE(a_pool_that_lost_nearly_all_takes_no_new_stake),
        CASE(only_the_chain_may_end_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
