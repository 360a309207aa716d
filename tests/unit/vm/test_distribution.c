/* test_distribution.c: new coins, fees, shares of a block's rewards, commission and claims (docs/spec/staking.md, section 6). */
#include "tests/unit/vm/stake_bench.h"

#define SUPPLY  (600 + 10000 * ACCOUNTS) /* coins of genesis */
#define YEAR_MS UINT64_C(31536000000)
#define BASE    UINT64_C(1000000000000000000)

/* supply * rate * ms / (10^18 * year), rate in bps */
static sb_u256 minted_in(uint64_t ms, uint64_t bps)
{
    return scaled(scaled(coins(SUPPLY), bps * ms, 10000), 1, YEAR_MS);
}

static sb_u256 distribution(const char *signature)
{
    return view(SB_DISTRIBUTION_ADDR_LOW, signature, NULL, 0, 0);
}
static sb_u256 pending(size_t who, size_t at)
{
    const sb_u256 words[] = {of(who), of(at)};
    return view(SB_DISTRIBUTION_ADDR_LOW, "pendingRewards(address,address)", words, 2, 0);
}
static sb_u256 commission(size_t validator)
{
    const sb_u256 operator= of(validator);
    return view(SB_DISTRIBUTION_ADDR_LOW, "pendingCommission(address)", &operator, 1, 0);
}
static sb_u256 accrued(size_t validator)
{
    const sb_u256 operator= of(validator);
    return view(SB_DISTRIBUTION_ADDR_LOW, "validatorRewards(address)", &operator, 1, 0);
}
static sb_u256 settled(size_t who)
{
    const sb_u256 me = of(who);
    return view(SB_DISTRIBUTION_ADDR_LOW, "settledRewards(address)", &me, 1, 0);
}
static void claim_commission(size_t who)
{
    const sb_addr me = sb_stake_account(who);
    sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL, "claimCommission()", NULL, 0);
}
static void spend(size_t who, size_t to, sb_u256 amount)
{
    const sb_addr me = sb_stake_account(who);
    const sb_u256 words[] = {of(to), amount};
    sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL, "spendPool(address,uint256)", words, 2);
}
/* Fees: what comes in without a call, as the coinbase's tips do. */
static void pay_fees(sb_u256 wei)
{
    const sb_addr addr = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    sb_overlay_balance_add(sb_executor_state(c->x), &addr, &wei);
}

static void a_second_makes_its_part_of_a_year(void **state)
{
    (void)state;
    const sb_u256 before = distribution("mintedTotal()");
    assert_u256(before, u(0)); /* block 1 makes nothing */
    blocks(1);
    assert_u256(c->outcome.minted, minted_in(1000, 800));
    assert_u256(distribution("mintedTotal()"), minted_in(1000, 800));
    assert_u256(distribution("genesisSupply()"), coins(SUPPLY));
    assert_u256(distribution("inflationRate()"), scaled(u(BASE), 800, 10000));
    const sb_addr addr = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    assert_u256(sb_stake_balance(c, &addr), minted_in(1000, 800));
}

static void a_pause_makes_a_minutes_coins_and_no_more(void **state)
{
    (void)state;
    c->block_ms = 60000;
    blocks(1);
    blocks(1);
    assert_u256(c->outcome.minted, minted_in(60000, 800));
    c->block_ms = 3600000;
    blocks(1);
    blocks(1);
    assert_u256(c->outcome.minted, minted_in(60000, 800));
}

static void each_year_makes_less_down_to_the_floor(void **state)
{
    (void)state;
    static const uint64_t keeps[] = {8500, 7225}; /* of 10000, after one year and two */
    for (size_t year = 1; year <= 2; year++) {
        seconds_pass(365 * 86400);
        blocks(1);
        const sb_u256 rate = scaled(scaled(u(BASE), 800, 10000), keeps[year - 1], 10000);
        assert_u256(distribution("inflationRate()"), rate);
    }
    seconds_pass(UINT64_C(20) * 365 * 86400);
    blocks(1);
    assert_u256(distribution("inflationRate()"), scaled(u(BASE), 150, 10000));
    set_param(SB_STAKING_inflation_decay_bps, 0);
    blocks(1);
    assert_u256(distribution("inflationRate()"), scaled(u(BASE), 800, 10000));
    seconds_pass(UINT64_C(5000) * 365 * 86400); /* any number of years is cheap */
    blocks(1);
    assert_true(c->outcome.calls[SB_SYSTEM_DISTRIBUTION].gas_used < 200000);
    set_param(SB_STAKING_inflation_bps, 0);
    set_param(SB_STAKING_inflation_floor_bps, 0);
    blocks(1);
    assert_u256(c->outcome.minted, u(0));
}

static void a_block_without_votes_pays_into_the_pool(void **state)
{
    (void)state;
    pay_fees(u(12345)); /* in block 2 */
    blocks(1);
    assert_u256(distribution("pool()"), sum(minted_in(1000, 800), u(12345)));
    assert_u256(distribution("accounted()"), distribution("pool()"));
}

static void rewards_go_to_the_proposer_first_and_then_by_power(void **state)
{
    (void)state;
    blocks(1);
    const sb_u256 pool = distribution("pool()");
    pay_fees(u(777777));
    blocks(1);
    const sb_u256 pot = sum(minted_in(1000, 800), u(777777));
    const sb_u256 bonus = scaled(pot, 400, 10000), rest = minus(pot, bonus);
    assert_u256(accrued(0), sum(bonus, scaled(rest, 300, 600)));
    assert_u256(accrued(1), scaled(rest, 200, 600));
    assert_u256(accrued(2), scaled(rest, 100, 600));
    sb_u256 given = sum(accrued(0), sum(accrued(1), accrued(2)));
    assert_u256(distribution("pool()"), sum(pool, minus(pot, given)));
}

static void the_part_of_the_absent_goes_to_the_pool(void **state)
{
    (void)state;
    blocks(1);
    const sb_u256 pool = distribution("pool()");
    blocks_without(1, 1);
    const sb_u256 pot = c->outcome.minted, rest = minus(pot, scaled(pot, 400, 10000));
    assert_u256(accrued(1), u(0));
    assert_u256(accrued(2), scaled(rest, 100, 600)); /* no more than with everybody there */
    const sb_u256 given = sum(accrued(0), accrued(2));
    assert_u256(distribution("pool()"), sum(pool, minus(pot, given)));
}

static void delegators_share_what_commission_leaves(void **state)
{
    (void)state;
    delegate(
        3, 2,
        coins(
            300)); /* three quarters of validator 2; in force at height 4, voted for from block 6 on */
    blocks(10);
    const sb_u256 all = accrued(2), own = scaled(all, 1000, 10000);
    assert_u256(commission(2), own);
    const sb_u256 left = minus(all, own), slack = u(400);
    const sb_u256 theirs = pending(3, 2), mine = pending(2, 2);
    assert_true(sb_u256_cmp(&theirs, &(sb_u256){{0}}) > 0);
    const sb_u256 lost = minus(left, sum(theirs, mine));
    assert_true(sb_u256_cmp(&lost, &slack) < 0);
    const sb_u256 three_quarters = scaled(left, 3, 4);
    const sb_u256 off = minus(three_quarters, theirs);
    assert_true(sb_u256_cmp(&off, &slack) < 0);
    const sb_u256 before = wallet(3);
    claim(3, 2);
    expect_event("RewardsClaimed(address,uint256)");
    assert_u256(sb_stake_word(c, 0), theirs);
    assert_u256(wallet(3), sum(before, theirs));
    claim(3, 2);
    expect_error("NothingToClaim()");
    blocks(1);
    const sb_u256 of_one_block = pending(3, 2), part = scaled(theirs, 1, 5);
    assert_true(sb_u256_lt(&of_one_block, &part)); /* those of ten were paid */
    claim(3, 2);
    assert_u256(sb_stake_word(c, 0), of_one_block);
    const sb_u256 mine_now = pending(2, 2);
    assert_true(sb_u256_lt(&mine, &mine_now)); /* the other's claim took nothing */
    const sb_u256 wallet_before = wallet(2), own_now = commission(2);
    claim_commission(2);
    expect_event("CommissionClaimed(address,uint256)");
    assert_u256(wallet(2), sum(wallet_before, own_now));
    claim_commission(2);
    expect_error("NothingToClaim()");
    claim_commission(7);
    expect_error("UnknownValidator(address)");
    claim(3, 7);
    expect_error("UnknownValidator(address)");
}

static void who_comes_later_earns_nothing_of_before(void **state)
{
    (void)state;
    blocks(5);
    delegate(3, 0, coins(9000));
    assert_u256(pending(3, 0), u(0));
    undelegate(3, 0, shares_of(3, 0));
    assert_u256(settled(3), u(0));
    delegate(3, 0, coins(1));
    assert_u256(pending(3, 0), u(0));
}

static void who_leaves_keeps_what_it_earned(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(10);
    const sb_u256 earned = pending(3, 0);
    undelegate(3, 0, coins(100));
    assert_u256(settled(3), earned);
    assert_u256(pending(3, 0), u(0));
    blocks(5);
    assert_u256(pending(3, 0), u(0));
    claim(3, 0);
    assert_u256(sb_stake_word(c, 0), earned);
}

static void a_slash_does_not_take_rewards(void **state)
{
    (void)state;
    delegate(3, 0, coins(100));
    blocks(10);
    const sb_u256 earned = pending(3, 0);
    block_with_evidence(0, c->env.number - 1);
    const sb_u256 now = pending(3, 0);
    assert_true(sb_u256_cmp(&now, &earned) > 0); /* with the block's own */
    claim(3, 0);
    assert_u256(sb_stake_word(c, 0), now);
}

static void a_changed_commission_holds_for_later_rewards_alone(void **state)
{
    (void)state;
    seconds_pass(86400);
    blocks(10);
    const sb_u256 own = commission(2), mine = pending(2, 2);
    edit(2, sb_span_str(""), 1100, coins(1));
    expect_ok();
    assert_u256(commission(2), own);
    assert_u256(sum(settled(2), pending(2, 2)), mine);
    const sb_u256 all_before = accrued(2);
    blocks(1);
    const sb_u256 more = minus(accrued(2), all_before);
    const sb_u256 grown = minus(commission(2), own), want = scaled(more, 1100, 10000), one = u(1);
    const sb_u256 off = sb_u256_lt(&grown, &want) ? minus(want, grown) : minus(grown, want);
    assert_true(sb_u256_cmp(&off, &one) <= 0);
}

static void a_validator_without_delegators_earns_for_the_pool(void **state)
{
    (void)state;
    undelegate(2, 2, coins(100)); /* it is in two more sets */
    blocks(2);
    const sb_u256 pool = distribution("pool()"), all = accrued(2);
    assert_false(sb_u256_is_zero(&all));
    delegate(2, 2, coins(5));
    const sb_u256 own = scaled(all, 1000, 10000);
    assert_u256(distribution("pool()"), sum(pool, minus(all, own)));
    assert_u256(commission(2), own);
    assert_u256(pending(2, 2), u(0));
}

static void the_governor_spends_the_pool(void **state)
{
    (void)state;
    blocks(2);
    const sb_u256 pool = distribution("pool()"), before = wallet(5);
    spend(1, 5, u(1));
    expect_error("NotGovernor()");
    spend(0, 5, sum(pool, u(1)));
    expect_error("PoolTooSmall(uint256,uint256)");
    spend(0, 5, minus(pool, u(3)));
    expect_event("PoolSpent(address,uint256)");
    assert_u256(distribution("pool()"), u(3));
    assert_u256(wallet(5), sum(before, minus(pool, u(3))));
}

static void what_is_the_chains_own_is_refused_to_others(void **state)
{
    (void)state;
    const sb_addr me = sb_stake_account(0);
    const sb_u256 end[] = {u(1), u(0), u(96), u(0)}, sync[] = {of(0), of(0), u(1), u(1), u(1)},
                  one = u(1);
    sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL, "endBlock(uint64,address,bytes32[])", end,
                  4);
    expect_error("NotSystem()");
    sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL, "genesis(uint256)", &one, 1);
    expect_error("NotSystem()");
    sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL,
                  "sync(address,address,uint256,uint256,uint256)", sync, 5);
    expect_error("NotStaking()");
}

/* A donation of more coins than there can be must not stop the block's end. */
static void fees_beyond_measure_do_not_stop_a_block(void **state)
{
    (void)state;
    blocks(1);
    sb_u256 much = u(1);
    much = sb_u256_shl(&much, 250);
    pay_fees(much);
    blocks(3);
    claim(0, 0);
    expect_ok();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, stake_setup, stake_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_second_makes_its_part_of_a_year),
        CASE(a_pause_makes_a_minutes_coins_and_no_more),
        CASE(each_year_makes_less_down_to_the_floor),
        CASE(a_block_without_votes_pays_into_the_pool),
        CASE(rewards_go_to_the_proposer_first_and_then_by_power),
        CASE(the_part_of_the_absent_goes_to_the_pool),
        CASE(delegators_share_what_commission_leaves),
        CASE(who_comes_later_earns_nothing_of_before),
        CASE(who_leaves_keeps_what_it_earned),
        CASE(a_slash_does_not_take_rewards),
        CASE(a_changed_commission_holds_for_later_rewards_alone),
        CASE(a_validator_without_delegators_earns_for_the_pool),
        CASE(the_governor_spends_the_pool),
        CASE(what_is_the_chains_own_is_refused_to_others),
        CASE(fees_beyond_measure_do_not_stop_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
