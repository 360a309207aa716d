/* stake_bench.h: words for the tests of the staking contracts: a chain of three validators, and what its accounts do in one line each.
 *
 * Account i is the operator of validator i; key i is its key. Accounts 0 to 2 are the validators of genesis with 300, 200 and 100
 * coins; account 0 is the governor. Windows and times are short. */
#ifndef SB_TESTS_UNIT_VM_STAKE_BENCH_H
#define SB_TESTS_UNIT_VM_STAKE_BENCH_H

#include "tests/support/stake_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec/abi.h"

#define ACCOUNTS    10
#define GENESIS     3
#define UNBONDING_S 100
#define WINDOW      10
#define JAIL_S      30

static struct sb_stake_chain *c;

static inline struct sb_stake_chain *chain_with(const uint64_t *params)
{
    static const uint64_t powers[GENESIS] = {300, 200, 100};
    const struct sb_stake_options options = {.validator_count = GENESIS,
                                             .powers = powers,
                                             .commission_bps = 1000,
                                             .account_count = ACCOUNTS,
                                             .coins = 10000,
                                             .params = params};
    return sb_stake_chain_new(&options);
}

static inline void short_params(uint64_t ret[SB_STAKING_PARAM_COUNT])
{
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        ret[i] = sb_staking_params[i].value;
    }
    ret[SB_STAKING_unbonding_seconds] = UNBONDING_S;
    ret[SB_STAKING_signed_window] = WINDOW;
    ret[SB_STAKING_downtime_jail_seconds] = JAIL_S;
}

/* At block 2: createValidator is possible from here on. */
static inline int stake_setup(void **state)
{
    (void)state;
    uint64_t params[SB_STAKING_PARAM_COUNT];
    short_params(params);
    c = chain_with(params);
    sb_stake_end(c, NULL, NULL, NULL, 0);
    return 0;
}

static inline int stake_teardown(void **state)
{
    (void)state;
    sb_stake_chain_free(c);
    return 0;
}

/* ---- numbers ---- */

static inline sb_u256 u(uint64_t value)
{
    return sb_u256_from_u64(value);
}
static inline sb_u256 coins(uint64_t value)
{
    return sb_stake_coins(value);
}
static inline sb_u256 of(size_t account)
{
    const sb_addr addr = sb_stake_account(account);
    return sb_stake_addr_word(&addr);
}
/* value * up / down, rounded down. */
static inline sb_u256 scaled(sb_u256 value, uint64_t up, uint64_t down)
{
    const sb_u256 divisor = u(down);
    assert_false(sb_u256_mul_u64(&value, &value, up));
    return sb_u256_div(&value, &divisor);
}
static inline void assert_u256(sb_u256 have, sb_u256 want)
{
    if (!sb_u256_equal(&have, &want)) {
        char a[SB_U256_DECIMAL_BYTES], b[SB_U256_DECIMAL_BYTES];
        sb_u256_format_decimal(a, &have);
        sb_u256_format_decimal(b, &want);
        fail_msg("have %s, want %s", a, b);
    }
}
static inline sb_u256 sum(sb_u256 a, sb_u256 b)
{
    return sb_u256_add(&a, &b);
}
static inline sb_u256 minus(sb_u256 a, sb_u256 b)
{
    return sb_u256_sub(&a, &b);
}

/* ---- outcomes ---- */

static inline void expect_ok(void)
{
    if (!c->ok) {
        fail_msg("refused with %08x",
                 c->output.len >= 4 ? sb_abi_read_revert(c->output).selector : 0);
    }
}
static inline void expect_error(const char *error)
{
    if (!sb_stake_reverted(c, error)) {
        fail_msg("%s, not %s: %08x", c->ok ? "done" : "refused otherwise", error,
                 c->output.len >= 4 ? sb_abi_read_revert(c->output).selector : 0);
    }
}
static inline void expect_event(const char *event)
{
    expect_ok();
    if (!sb_stake_emitted(c, event)) {
        fail_msg("no %s", event);
    }
}

/* ---- transactions ---- */

static inline void staking(size_t from, const sb_u256 *wei, const char *signature,
                           const sb_u256 *words, size_t count)
{
    const sb_addr addr = sb_stake_account(from);
    sb_stake_call(c, &addr, SB_STAKING_ADDR_LOW, wei, signature, words, count);
}
static inline void create_with(size_t from, size_t key, sb_u256 wei, uint16_t bps, uint16_t max,
                               uint16_t change, sb_u256 self_min)
{
    const sb_addr addr = sb_stake_account(from);
    sb_stake_create(c, &addr, key, &wei, (uint16_t[3]){bps, max, change}, &self_min);
}
static inline void create(size_t from, sb_u256 wei)
{
    create_with(from, from, wei, 1000, 2000, 300, u(0));
}
static inline void delegate(size_t from, size_t to, sb_u256 wei)
{
    const sb_u256 operator= of(to);
    staking(from, &wei, "delegate(address)", &operator, 1);
}
static inline void undelegate(size_t who, size_t from, sb_u256 shares)
{
    const sb_u256 words[] = {of(from), shares};
    staking(who, NULL, "undelegate(address,uint256)", words, 2);
}
static inline void redelegate(size_t who, size_t from, size_t to, sb_u256 shares)
{
    const sb_u256 words[] = {of(from), of(to), shares};
    staking(who, NULL, "redelegate(address,address,uint256)", words, 3);
}
static inline void cancel(size_t who, uint64_t id)
{
    const sb_u256 word = u(id);
    staking(who, NULL, "cancelUnbonding(uint64)", &word, 1);
}
static inline void withdraw(size_t who, uint64_t max)
{
    const sb_u256 word = u(max);
    staking(who, NULL, "withdrawUnbonded(uint256)", &word, 1);
}
static inline void settle(size_t delegator, size_t at)
{
    const sb_u256 words[] = {of(delegator), of(at)};
    staking(9, NULL, "settle(address,address)", words, 2);
}
static inline void enter(size_t validator)
{
    const sb_u256 operator= of(validator);
    staking(9, NULL, "enter(address)", &operator, 1);
}
static inline void unjail(size_t validator)
{
    const sb_addr addr = sb_stake_account(validator);
    sb_stake_call(c, &addr, SB_SLASHING_ADDR_LOW, NULL, "unjail()", NULL, 0);
}
static inline void edit(size_t who, sb_bytes moniker, uint16_t bps, sb_u256 self_min)
{
    struct sb_abi_writer w, texts;
    const sb_addr addr = sb_stake_account(who);
    sb_buf_reset(&c->input);
    sb_abi_put_selector(
        &c->input, sb_abi_selector("editValidator((string,string,string,string),uint16,uint256)"));
    sb_abi_begin(&w, &c->input, 3);
    sb_abi_put_tuple(&texts, &w, 4);
    sb_abi_put_bytes(&texts, moniker);
    for (size_t i = 1; i < 4; i++) {
        sb_abi_put_bytes(&texts, sb_span(NULL, 0));
    }
    sb_abi_end(&texts);
    sb_abi_put_u64(&w, bps);
    sb_abi_put_u256(&w, &self_min);
    sb_abi_end(&w);
    sb_stake_send(c, &addr, SB_STAKING_ADDR_LOW, NULL, sb_buf_bytes(&c->input));
}
static inline void claim(size_t who, size_t at)
{
    struct sb_abi_writer w, items;
    const sb_addr addr = sb_stake_account(who), operator= sb_stake_account(at);
    sb_buf_reset(&c->input);
    sb_abi_put_selector(&c->input, sb_abi_selector("claimRewards(address[])"));
    sb_abi_begin(&w, &c->input, 1);
    sb_abi_put_array(&items, &w, 1, 1);
    sb_abi_put_addr(&items, &operator);
    sb_abi_end(&items);
    sb_abi_end(&w);
    sb_stake_send(c, &addr, SB_DISTRIBUTION_ADDR_LOW, NULL, sb_buf_bytes(&c->input));
}
static inline void set_param(enum sb_staking_param param, uint64_t value)
{
    const sb_addr governor = sb_stake_account(0);
    const sb_u256 words[] = {u(SB_STAKING_PARAM_SLOT + (uint64_t)param), u(value)};
    sb_stake_call(c, &governor, SB_STAKE_PARAMS, NULL, "set(uint256,uint256)", words, 2);
    expect_ok();
}

/* ---- blocks ---- */

static inline bool not_absent(void *ctx, const sb_addr *consensus)
{
    const sb_addr absent = sb_stake_consensus(*(const size_t *)ctx);
    return !sb_addr_equal(&absent, consensus);
}
static inline void expect_calls(void)
{
    for (size_t i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        assert_true(c->outcome.calls[i].ok);
    }
}
static inline void blocks(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sb_stake_end(c, NULL, NULL, NULL, 0);
        expect_calls();
    }
}
/* One validator of key `absent` is not there. */
static inline void blocks_without(size_t absent, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sb_stake_end(c, not_absent, &absent, NULL, 0);
        expect_calls();
    }
}
/* End a block with evidence that key `validator` signed twice at `height`. */
static inline void block_with_evidence(size_t validator, uint64_t height)
{
    const struct sb_system_evidence evidence = {.validator = sb_stake_consensus(validator),
                                                .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                                .height = height,
                                                .time_ms = c->time_ms};
    sb_stake_end(c, NULL, NULL, &evidence, 1);
    expect_calls();
}
static inline void seconds_pass(uint64_t seconds)
{
    c->block_ms = 1000 * seconds;
    blocks(1);
    c->block_ms = 1000;
}

/* ---- looking ---- */

static inline sb_u256 view(uint16_t to, const char *signature, const sb_u256 *words, size_t count,
                           size_t word)
{
    sb_stake_view(c, to, signature, words, count);
    expect_ok();
    return sb_stake_word(c, word);
}
/* word: 0 operator, 1 shares, 2 tokens, 3 shares in transit */
static inline sb_u256 delegation(size_t who, size_t at, size_t word)
{
    const sb_u256 words[] = {of(who), of(at)};
    return view(SB_STAKING_ADDR_LOW, "delegation(address,address)", words, 2, word);
}
static inline sb_u256 shares_of(size_t who, size_t at)
{
    return delegation(who, at, 1);
}
static inline sb_u256 worth_of(size_t who, size_t at)
{
    return delegation(who, at, 2);
}
/* Words of struct Validator: 4 tokens, 5 shares, 6 power, 13 listed, 14 active, 15 jailed, 16 tombstoned, 17 jailedUntil, 18 slashes. */
static inline sb_u256 validator_word(size_t validator, size_t word)
{
    const sb_u256 operator= of(validator);
    return view(SB_STAKING_ADDR_LOW, "validator(address)", &operator, 1, 1 + word);
}
static inline bool is(size_t validator, size_t word)
{
    const sb_u256 flag = validator_word(validator, word);
    return !sb_u256_is_zero(&flag);
}
#define TOKENS     4
#define LISTED     13
#define ACTIVE     14
#define JAILED     15
#define TOMBSTONED 16

/* Word of the unbonding in place `i`: 0 id, 1 operator, 2 amount, 3 payable, 4 height, 5 completion, 6 origin, 7 its completion. */
static inline sb_u256 exit_word(size_t who, size_t i, size_t word)
{
    const sb_u256 words[] = {of(who), u(i), u(1)};
    assert_u256(view(SB_STAKING_ADDR_LOW, "unbondings(address,uint256,uint256)", words, 3, 1),
                u(1));
    return sb_stake_word(c, 2 + word);
}
/* 0 bonded, 1 unbonding, 2 burnt */
static inline sb_u256 totals(size_t word)
{
    return view(SB_STAKING_ADDR_LOW, "totals()", NULL, 0, word);
}
static inline sb_u256 wallet(size_t account)
{
    const sb_addr addr = sb_stake_account(account);
    return sb_stake_balance(c, &addr);
}
/* Power of key `validator` in the set that the last end of a block decided on; 0 if it is not in it. */
static inline int64_t next_power(size_t validator)
{
    const struct sb_stake_set *set = sb_stake_set_at(c, c->env.number + 1);
    const sb_addr consensus = sb_stake_consensus(validator);
    for (size_t i = 0; i < set->count; i++) {
        if (sb_addr_equal(&set->members[i].consensus, &consensus)) {
            return set->members[i].power;
        }
    }
    return 0;
}

#endif
