/* test_staking.c: Staking in our own VM: validators, delegators, what leaves, and the list of candidates (docs/spec/staking.md, sections
 * 3, 4 and 8). Slashes are in test_slashing.c, rewards in test_distribution.c. */
#include "tests/unit/vm/stake_bench.h"

#include "base/util/endian.h"

#define CANDIDATES 256

/* ---------------------------------------------------------------- genesis */

static void genesis_validators_stake_what_they_have(void **state)
{
    (void)state;
    assert_u256(totals(0), coins(600));
    assert_u256(validator_word(0, TOKENS), coins(300));
    assert_u256(shares_of(1, 1), coins(200));
    assert_true(is(2, LISTED) && is(2, ACTIVE));
    assert_u256(view(SB_STAKING_ADDR_LOW, "validatorCount()", NULL, 0, 0), u(3));
    /* block 1 told the set */
    assert_int_equal(next_power(0), 300);
    const struct sb_stake_set *set = sb_stake_set_at(c, 3);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->members[2].power, 100);
}

static void genesis_hash_and_rotation_hash_lie_in_the_first_slots(void **state)
{
    (void)state;
    const sb_addr staking_addr = sb_system_addr(SB_STAKING_ADDR_LOW);
    const sb_hash slots[] = {{{0}}, {{[31] = 1}}};
    sb_u256 rotation = sb_overlay_slot(sb_executor_state(c->x), &staking_addr, &slots[0]);
    sb_u256 genesis = sb_overlay_slot(sb_executor_state(c->x), &staking_addr, &slots[1]);
    assert_u256(view(SB_STAKING_ADDR_LOW, "rotationHash()", NULL, 0, 0), rotation);
    assert_u256(view(SB_STAKING_ADDR_LOW, "genesisHash()", NULL, 0, 0), genesis);
    assert_u256(sb_u256_shr(&rotation, 192), u(1)); /* of block 1 */
    assert_false(sb_u256_is_zero(&genesis));
}

/* ---------------------------------------------------------------- validators */

static void create_with_enough_stake_joins_the_set_two_blocks_later(void **state)
{
    (void)state;
    create(3, coins(150));
    expect_event("ValidatorCreated(address,address,bytes32)");
    expect_event("Delegated(address,address,uint256,uint256)");
    expect_event("Listed(address,bool)");
    assert_false(is(3, ACTIVE));
    const uint64_t height = c->env.number;
    blocks(1);
    assert_int_equal(next_power(3), 150);
    assert_true(is(3, ACTIVE));
    assert_int_equal(sb_stake_set_at(c, height + 1)->count, 3);
    assert_int_equal(sb_stake_set_at(c, height + 2)->count, 4);
    const sb_addr consensus = sb_stake_consensus(3);
    const sb_u256 id = sb_stake_addr_word(&consensus);
    assert_u256(view(SB_STAKING_ADDR_LOW, "operatorOf(address)", &id, 1, 0), of(3));
}

static void create_twice_is_refused(void **state)
{
    (void)state;
    create_with(0, 7, coins(10), 0, 0, 0, u(0));
    expect_error("OperatorTaken(address)");
    create_with(5, 0, coins(10), 0, 0, 0, u(0));
    expect_error("KeyTaken(bytes32)");
}

static void create_with_another_operators_proof_is_refused(void **state)
{
    (void)state;
    const sb_addr owner = sb_stake_account(3), thief = sb_stake_account(4);
    const sb_u256 self_min = u(0), wei = coins(10);
    const uint16_t commission[3] = {0, 0, 0};
    sb_bytes input = sb_stake_create_input(c, &owner, 3, commission, &self_min);
    sb_stake_send(c, &thief, SB_STAKING_ADDR_LOW, &wei, input);
    expect_error("BadProof()");
    sb_stake_send(c, &owner, SB_STAKING_ADDR_LOW, &wei, input);
    expect_ok();
}

static void create_in_block_1_is_refused(void **state)
{
    (void)state;
    sb_stake_chain_free(c);
    c = chain_with(NULL);
    create(3, coins(10));
    expect_error("NotReady()");
    blocks(1);
    create(3, coins(10));
    expect_ok();
}

static void create_out_of_bounds_is_refused(void **state)
{
    (void)state;
    create_with(3, 3, coins(10), 0, 10001, 0, u(0));
    expect_error("CommissionTooHigh(uint256,uint256)");
    create_with(3, 3, coins(10), 501, 500, 0, u(0));
    expect_error("CommissionTooHigh(uint256,uint256)");
    create_with(3, 3, u(0), 0, 0, 0, u(0));
    expect_error("ZeroAmount()");
    create_with(3, 3, minus(coins(1), u(1)), 0, 0, 0, u(0)); /* the chain asks for a coin */
    expect_error("SelfStakeTooSmall(uint256,uint256)");
    create_with(3, 3, coins(4), 0, 0, 0, coins(5)); /* it asks for more itself */
    expect_error("SelfStakeTooSmall(uint256,uint256)");
}

static void edit_moves_the_commission_within_its_promise(void **state)
{
    (void)state;
    create(3, coins(10)); /* 10 %, at most 20 %, by 3 % a day */
    expect_ok();
    edit(3, sb_span_str("new"), 1100, u(0));
    expect_error("CommissionChangedLately(uint64)");
    edit(3, sb_span_str("new"), 1000, u(0)); /* the text alone */
    expect_event("ValidatorEdited(address)");
    seconds_pass(86400);
    edit(3, sb_span_str("new"), 1301, u(0));
    expect_error("CommissionChangeTooBig(uint256,uint256)");
    edit(3, sb_span_str("new"), 699, u(0));
    expect_error("CommissionChangeTooBig(uint256,uint256)");
    edit(3, sb_span_str("new"), 1300, u(0));
    expect_event("CommissionChanged(address,uint256)");
    for (size_t i = 0; i < 3; i++) {
        seconds_pass(86400);
        edit(3, sb_span_str("new"), (uint16_t)(1600 + 300 * i), u(0));
        if (i < 2 && 1600 + 300 * i <= 2000) {
            expect_ok();
        } else {
            expect_error("CommissionTooHigh(uint256,uint256)");
        }
    }
    assert_u256(validator_word(3, 9), u(1900));
}

static void edit_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const char text[65] = {0};
    edit(0, sb_span(text, sizeof text), 1000, coins(1));
    expect_error("TextTooLong()");
    edit(0, sb_span(text, sizeof text - 1), 1000, coins(1));
    expect_ok();
    edit(0, sb_span_str(""), 1000, coins(301));
    expect_error("SelfStakeTooSmall(uint256,uint256)");
    edit(0, sb_span_str(""), 1000, coins(300));
    expect_ok();
    edit(0, sb_span_str(""), 1000, coins(299));
    expect_error("SelfStakeMinLowered(uint256,uint256)");
    edit(5, sb_span_str(""), 1000, coins(1));
    expect_error("UnknownValidator(address)");
}

static void self_stake_below_its_least_takes_a_validator_off_the_list(void **state)
{
    (void)state;
    delegate(4, 2, coins(500));
    edit(2, sb_span_str(""), 1000, coins(80));
    undelegate(2, 2, coins(20));
    expect_ok();
    assert_true(is(2, LISTED));
    undelegate(2, 2, u(1));
    expect_event("Listed(address,bool)");
    assert_false(is(2, LISTED));
    blocks(1);
    assert_int_equal(next_power(2), 0);
    delegate(4, 2, coins(1)); /* not the operator's own */
    assert_false(is(2, LISTED));
    enter(2);
    expect_error("SelfStakeTooSmall(uint256,uint256)");
    delegate(2, 2, u(1));
    assert_true(is(2, LISTED));
    blocks(1);
    assert_int_equal(next_power(2), 581);
}

/* ---------------------------------------------------------------- delegators */

static void delegate_moves_power(void **state)
{
    (void)state;
    delegate(3, 0, sum(coins(5), u(7)));
    expect_event("Delegated(address,address,uint256,uint256)");
    assert_u256(shares_of(3, 0), sum(coins(5), u(7)));
    assert_u256(worth_of(3, 0), sum(coins(5), u(7)));
    blocks(1);
    assert_int_equal(next_power(0), 305);
    const sb_u256 me = of(3);
    assert_u256(view(SB_STAKING_ADDR_LOW, "delegationCount(address)", &me, 1, 0), u(1));
}

static void delegate_what_cannot_be_is_refused(void **state)
{
    (void)state;
    delegate(3, 8, coins(1));
    expect_error("UnknownValidator(address)");
    delegate(3, 0, u(0));
    expect_error("ZeroAmount()");
}

static void delegate_beyond_what_powers_can_count_is_refused(void **state)
{
    (void)state;
    const uint64_t power = 1, rich = UINT64_C(2000000000000000000);
    const struct sb_stake_options options = {
        .validator_count = 1, .powers = &power, .account_count = 1, .coins = rich};
    sb_stake_chain_free(c);
    c = sb_stake_chain_new(&options);
    const sb_u256 rest = minus(coins((uint64_t)SB_TOTAL_POWER_MAX), coins(1));
    delegate(0, 0, sum(rest, u(1)));
    expect_error("StakeLimit(uint256,uint256)");
    delegate(0, 0, rest);
    expect_ok();
    blocks(1);
    assert_int_equal(next_power(0), SB_TOTAL_POWER_MAX);
}

static void undelegate_pays_on_time_and_not_before(void **state)
{
    (void)state;
    delegate(3, 0, coins(50));
    const sb_u256 before = wallet(3);
    undelegate(3, 0, coins(20));
    expect_event("Undelegated(address,address,uint64,uint256,uint256,uint64)");
    assert_u256(sb_stake_word(c, 0), u(1));
    assert_u256(sb_stake_word(c, 1), u(c->env.timestamp + UNBONDING_S));
    assert_u256(totals(1), coins(20));
    blocks(1);
    assert_int_equal(next_power(0), 330);
    seconds_pass(UNBONDING_S - 2);
    withdraw(3, 10);
    expect_error("ZeroAmount()");
    blocks(1);
    withdraw(3, 10);
    expect_event("Unbonded(address,address,uint64,uint256,uint256)");
    assert_u256(sb_stake_word(c, 0), coins(20));
    assert_u256(wallet(3), sum(before, coins(20)));
    withdraw(3, 10);
    expect_error("ZeroAmount()");
    assert_u256(totals(1), u(0));
}

static void undelegate_what_is_not_there_is_refused(void **state)
{
    (void)state;
    delegate(3, 0, coins(1));
    undelegate(3, 0, sum(coins(1), u(1)));
    expect_error("NotEnoughShares(uint256,uint256)");
    undelegate(3, 0, u(0));
    expect_error("ZeroAmount()");
    undelegate(4, 0, u(1));
    expect_error("NotEnoughShares(uint256,uint256)");
    for (int i = 0; i < 7; i++) {
        undelegate(3, 0, u(1));
        expect_ok();
    }
    undelegate(3, 0, u(1));
    expect_error("TooManyEntries(uint256)");
    undelegate(0, 0, u(1)); /* the limit is each delegator's own */
    expect_ok();
}

static void withdraw_takes_as_many_as_it_is_told(void **state)
{
    (void)state;
    delegate(3, 0, coins(9));
    for (int i = 0; i < 5; i++) {
        undelegate(3, 0, coins(1));
    }
    const sb_u256 me = of(3);
    seconds_pass(UNBONDING_S);
    withdraw(3, 2);
    assert_u256(sb_stake_word(c, 0), coins(2));
    assert_u256(view(SB_STAKING_ADDR_LOW, "unbondingCount(address)", &me, 1, 0), u(3));
    withdraw(3, 0);
    expect_error("ZeroAmount()");
    withdraw(3, UINT64_MAX);
    assert_u256(sb_stake_word(c, 0), coins(3));
}

static void cancel_gives_the_stake_back_to_its_validator(void **state)
{
    (void)state;
    delegate(3, 0, coins(50));
    undelegate(3, 0, coins(20));
    cancel(4, 1);
    expect_error("UnknownUnbonding(uint64)");
    cancel(3, 2);
    expect_error("UnknownUnbonding(uint64)");
    cancel(3, 1);
    expect_event("UnbondingCancelled(address,address,uint64,uint256,uint256)");
    assert_u256(shares_of(3, 0), coins(50));
    assert_u256(totals(1), u(0));
    cancel(3, 1);
    expect_error("UnknownUnbonding(uint64)");
    undelegate(3, 0, coins(1));
    seconds_pass(UNBONDING_S);
    cancel(3, 2);
    expect_error("UnbondingComplete(uint64)");
}

static void redelegate_moves_stake_at_once(void **state)
{
    (void)state;
    delegate(3, 0, coins(50));
    redelegate(3, 0, 1, coins(20));
    expect_event("Redelegated(address,address,address,uint256,uint256,uint256,uint64)");
    assert_u256(shares_of(3, 0), coins(30));
    assert_u256(shares_of(3, 1), coins(20));
    assert_u256(delegation(3, 1, 3), coins(20));
    blocks(1);
    assert_int_equal(next_power(0), 330);
    assert_int_equal(next_power(1), 220);
}

static void redelegate_again_before_it_is_complete_is_refused(void **state)
{
    (void)state;
    delegate(3, 0, coins(50));
    delegate(3, 1, coins(5));
    redelegate(3, 0, 1, coins(20));
    redelegate(3, 1, 2, sum(coins(5), u(1)));
    expect_error("InTransit(uint256,uint256)");
    redelegate(3, 1, 2, coins(5)); /* what was there before may go */
    expect_ok();
    redelegate(3, 0, 0, coins(1));
    expect_error("SameValidator()");
    redelegate(3, 0, 1, u(0));
    expect_error("ZeroAmount()");
    redelegate(3, 0, 1, coins(31));
    expect_error("NotEnoughShares(uint256,uint256)");
    for (int i = 0; i < 6; i++) {
        redelegate(3, 0, 1, coins(1));
        expect_ok();
    }
    redelegate(3, 0, 1, coins(1));
    expect_error("TooManyEntries(uint256)");
    seconds_pass(UNBONDING_S);
    redelegate(3, 1, 2, coins(26)); /* complete: nothing holds it */
    expect_ok();
}

static void undelegate_of_moved_stake_leaves_in_parts(void **state)
{
    (void)state;
    delegate(3, 0, coins(50));
    delegate(3, 1, coins(5));
    redelegate(3, 0, 1, coins(20));
    redelegate(3, 0, 1, coins(10));
    undelegate(3, 1, coins(27)); /* 5 of its own, 20 and 2 that came from validator 0 */
    expect_ok();
    assert_u256(exit_word(3, 0, 2), coins(5));
    assert_u256(exit_word(3, 0, 6), u(0));
    assert_u256(exit_word(3, 1, 2), coins(20));
    assert_u256(exit_word(3, 1, 6), of(0));
    assert_u256(exit_word(3, 2, 2), coins(2));
    assert_u256(delegation(3, 1, 3), coins(8));
    cancel(3, 2); /* in transit again, by its first completion */
    assert_u256(delegation(3, 1, 3), coins(28));
    redelegate(3, 1, 2, u(1));
    expect_error("InTransit(uint256,uint256)");
}

/* A delegator with code that calls withdrawUnbonded again whenever it is paid. */
static void withdraw_into_a_contract_that_calls_back_pays_once(void **state)
{
    (void)state;
    uint8_t code[] = {0x63, 0,    0,    0,    0,    0x60, 0xe0, 0x1b, 0x5f, 0x52,
                      0x61, 0x03, 0xe8, 0x60, 0x04, 0x52, 0x5f, 0x5f, 0x60, 0x24,
                      0x5f, 0x5f, 0x61, 0x5b, 0x12, 0x5a, 0xf1, 0x00};
    const sb_addr self = sb_stake_account(3);
    be_store32(code + 1, sb_abi_selector("withdrawUnbonded(uint256)"));
    delegate(3, 0, coins(10));
    undelegate(3, 0, coins(2));
    undelegate(3, 0, coins(3));
    sb_overlay_code_set(sb_executor_state(c->x), &self, sb_span(code, sizeof code));
    seconds_pass(UNBONDING_S);
    const sb_u256 before = wallet(3);
    withdraw(3, 1);
    expect_ok();
    const sb_u256 got = minus(wallet(3), before), two = coins(2), three = coins(3);
    assert_true(sb_u256_equal(&got, &two) || sb_u256_equal(&got, &three));
    withdraw(3, 10);
    assert_u256(wallet(3), sum(before, coins(5)));
}

/* ---------------------------------------------------------------- the list */

static void the_last_candidate_stays_until_another_comes(void **state)
{
    (void)state;
    undelegate(2, 2, coins(100));
    undelegate(1, 1, coins(200));
    blocks(1);
    assert_int_equal(next_power(0), 300);
    assert_int_equal(next_power(1), 0);
    undelegate(0, 0, coins(300)); /* all of it: it stays with the least power */
    expect_ok();
    blocks(3);
    assert_int_equal(next_power(0), 1);
    assert_true(is(0, LISTED));
    create(3, coins(5));
    expect_ok();
    assert_false(is(0, LISTED));
    blocks(1);
    assert_int_equal(next_power(0), 0);
    assert_int_equal(next_power(3), 5);
}

static void fewer_places_make_the_set_smaller_at_once(void **state)
{
    (void)state;
    set_param(SB_STAKING_validators_max, 2);
    blocks(1);
    assert_int_equal(next_power(2), 0);
    assert_true(is(2, LISTED));
    assert_false(is(2, ACTIVE));
    delegate(3, 2, coins(101)); /* 201: above validator 1 */
    blocks(1);
    assert_int_equal(next_power(2), 201);
    assert_int_equal(next_power(1), 0);
    set_param(SB_STAKING_validators_max, 100);
    blocks(1);
    assert_int_equal(next_power(1), 200);
    blocks(1);
    assert_false(c->outcome.has_set); /* nothing changed */
}

static void equal_power_is_ranked_by_address(void **state)
{
    (void)state;
    delegate(3, 1, coins(100));
    set_param(SB_STAKING_validators_max, 1);
    blocks(1);
    const sb_addr a = sb_stake_consensus(0), b = sb_stake_consensus(1);
    assert_int_equal(next_power(memcmp(a.b, b.b, sizeof a.b) < 0 ? 0 : 1), 300);
}

/* 256 candidates: number i has 10 + i coins. */
static void full_list(void)
{
    static uint64_t powers[CANDIDATES];
    uint64_t params[SB_STAKING_PARAM_COUNT];
    short_params(params);
    for (size_t i = 0; i < CANDIDATES; i++) {
        powers[i] = 10 + i;
    }
    const struct sb_stake_options options = {.validator_count = CANDIDATES,
                                             .powers = powers,
                                             .account_count = CANDIDATES + 4,
                                             .coins = 10000,
                                             .params = params};
    sb_stake_chain_free(c);
    c = sb_stake_chain_new(&options);
    blocks(1);
}

static void a_full_list_lets_the_stronger_in(void **state)
{
    (void)state;
    full_list();
    create(CANDIDATES, coins(10)); /* as strong as the weakest */
    expect_ok();
    assert_false(is(CANDIDATES, LISTED));
    enter(CANDIDATES);
    expect_error("TooWeak(uint256,uint256)");
    delegate(0, CANDIDATES, coins(1));
    assert_true(is(CANDIDATES, LISTED));
    assert_false(is(0, LISTED)); /* pushed out */
    enter(0);
    expect_error("TooWeak(uint256,uint256)");
    undelegate(1, 1, coins(1)); /* 10 coins: the weakest */
    delegate(0, 0, coins(1));   /* 11: in its place */
    assert_true(is(0, LISTED));
    assert_false(is(1, LISTED));
    enter(0);
    expect_error("AlreadyListed(address)");
    blocks(1);
    assert_int_equal(sb_stake_set_at(c, c->env.number + 1)->count, 100);
    assert_int_equal(next_power(255), 265);
    assert_int_equal(next_power(155), 0);
}

static void a_full_list_notices_that_its_weakest_became_weaker(void **state)
{
    (void)state;
    full_list();
    create(CANDIDATES, coins(11));     /* in the place of 0 */
    create(CANDIDATES + 1, coins(11)); /* no stronger than the weakest, which now has 11 */
    enter(CANDIDATES + 1);
    expect_error("TooWeak(uint256,uint256)");
    undelegate(5, 5, coins(5)); /* 10 */
    enter(CANDIDATES + 1);
    expect_ok();
    assert_false(is(5, LISTED));
}

static void enter_brings_back_who_was_pushed_out(void **state)
{
    (void)state;
    full_list();
    create(CANDIDATES, coins(50)); /* pushes out 0, which has 10 */
    assert_false(is(0, LISTED));
    undelegate(CANDIDATES, CANDIDATES, coins(50));
    assert_false(is(CANDIDATES, LISTED)); /* a place is free */
    enter(0);
    expect_event("Listed(address,bool)");
    assert_true(is(0, LISTED));
    const sb_u256 page[] = {u(250), u(100)};
    assert_u256(view(SB_STAKING_ADDR_LOW, "candidates(uint256,uint256)", page, 2, 1), u(6));
    assert_u256(view(SB_STAKING_ADDR_LOW, "validators(uint256,uint256)", page, 2, 1), u(7));
}

/* ---------------------------------------------------------------- views */

static void views_give_pages(void **state)
{
    (void)state;
    delegate(3, 0, coins(10));
    delegate(3, 1, coins(20));
    redelegate(3, 0, 2, coins(4));
    undelegate(3, 1, coins(1));
    const sb_u256 me = of(3), page[] = {me, u(1), u(10)}, past[] = {me, u(9), u(10)};
    assert_u256(view(SB_STAKING_ADDR_LOW, "delegationCount(address)", &me, 1, 0), u(3));
    assert_u256(view(SB_STAKING_ADDR_LOW, "delegations(address,uint256,uint256)", page, 3, 1),
                u(2));
    assert_u256(sb_stake_word(c, 2), of(1));
    assert_u256(sb_stake_word(c, 3), coins(19));
    assert_u256(view(SB_STAKING_ADDR_LOW, "delegations(address,uint256,uint256)", past, 3, 1),
                u(0));
    assert_u256(view(SB_STAKING_ADDR_LOW, "unbondings(address,uint256,uint256)", past, 3, 1), u(0));
    const sb_u256 pair[] = {me, of(2)};
    assert_u256(view(SB_STAKING_ADDR_LOW, "redelegations(address,address)", pair, 2, 1), u(1));
    assert_u256(sb_stake_word(c, 2), of(0));
    assert_u256(sb_stake_word(c, 3), of(2));
    assert_u256(sb_stake_word(c, 4), coins(4));
    assert_u256(view(SB_STAKING_ADDR_LOW, "params()", NULL, 0, 0), u(UNBONDING_S));
    assert_u256(sb_stake_word(c, 2), coins(1));
    const sb_u256 unknown = of(7);
    sb_stake_view(c, SB_STAKING_ADDR_LOW, "validator(address)", &unknown, 1);
    expect_error("UnknownValidator(address)");
    assert_u256(view(SB_STAKING_ADDR_LOW, "proofMessage(address)", &me, 1, 1), u(21 + 8 + 32 + 20));
}

/* ---------------------------------------------------------------- who may call */

static void what_is_the_chains_own_is_refused_to_others(void **state)
{
    (void)state;
    const sb_u256 words[5] = {u(0), u(0), u(0), u(0), u(0)};
    staking(0, NULL, "endBlock(bytes32)", words, 1);
    expect_error("NotSystem()");
    const sb_u256 none[] = {u(32), u(0)};
    staking(0, NULL, "genesis((address,bytes32,uint64,uint16,string)[])", none, 2);
    expect_error("NotSystem()");
    staking(0, NULL, "punish(address,uint64,uint16,uint64,bool)", words, 5);
    expect_error("NotSlashing()");
    staking(0, NULL, "release(address)", words, 1);
    expect_error("NotSlashing()");
    const sb_u256 coin = coins(1);
    staking(0, &coin, "unknown()", NULL, 0);
    assert_false(c->ok);
}

static void params_have_the_bounds_of_their_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        const struct sb_staking_bounds *b = &sb_staking_params[i];
        const sb_u256 index = u(SB_STAKING_PARAM_SLOT + i);
        assert_u256(view(SB_STAKE_PARAMS, "bounds(uint256)", &index, 1, 0), u(b->min));
        assert_u256(view(SB_STAKE_PARAMS, "bounds(uint256)", &index, 1, 1), u(b->max));
        assert_true(b->min <= b->value && b->value <= b->max);
        char getter[64];
        snprintf(getter, sizeof getter, "%s()", b->name);
        const sb_u256 set[] = {index, u(b->max)};
        const sb_addr governor = sb_stake_account(0);
        sb_stake_call(c, &governor, SB_STAKE_PARAMS, NULL, "set(uint256,uint256)", set, 2);
        expect_ok();
        assert_u256(view(SB_STAKE_PARAMS, getter, NULL, 0, 0), u(b->max));
    }
    const sb_u256 past = u(SB_STAKING_PARAM_SLOT + SB_STAKING_PARAM_COUNT), governor_slot = u(14);
    sb_stake_view(c, SB_STAKE_PARAMS, "bounds(uint256)", &past, 1);
    expect_error("UnknownParam(uint256)");
    sb_stake_view(c, SB_STAKE_PARAMS, "bounds(uint256)", &governor_slot, 1);
    expect_error("UnknownParam(uint256)");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, stake_setup, stake_teardown)
    const struct CMUnitTest tests[] = {
        CASE(genesis_validators_stake_what_they_have),
        CASE(genesis_hash_and_rotation_hash_lie_in_the_first_slots),
        CASE(create_with_enough_stake_joins_the_set_two_blocks_later),
        CASE(create_twice_is_refused),
        CASE(create_with_another_operators_proof_is_refused),
        CASE(create_in_block_1_is_refused),
        CASE(create_out_of_bounds_is_refused),
        CASE(edit_moves_the_commission_within_its_promise),
        CASE(edit_out_of_bounds_is_refused),
        CASE(self_stake_below_its_least_takes_a_validator_off_the_list),
        CASE(delegate_moves_power),
        CASE(delegate_what_cannot_be_is_refused),
        CASE(delegate_beyond_what_powers_can_count_is_refused),
        CASE(undelegate_pays_on_time_and_not_before),
        CASE(undelegate_what_is_not_there_is_refused),
        CASE(withdraw_takes_as_many_as_it_is_told),
        CASE(cancel_gives_the_stake_back_to_its_validator),
        CASE(redelegate_moves_stake_at_once),
        CASE(redelegate_again_before_it_is_complete_is_refused),
        CASE(undelegate_of_moved_stake_leaves_in_parts),
        CASE(withdraw_into_a_contract_that_calls_back_pays_once),
        CASE(the_last_candidate_stays_until_another_comes),
        CASE(fewer_places_make_the_set_smaller_at_once),
        CASE(equal_power_is_ranked_by_address),
        CASE(a_full_list_lets_the_stronger_in),
        CASE(a_full_list_notices_that_its_weakest_became_weaker),
        CASE(enter_brings_back_who_was_pushed_out),
        CASE(views_give_pages),
        CASE(what_is_the_chains_own_is_refused_to_others),
        CASE(params_have_the_bounds_of_their_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
