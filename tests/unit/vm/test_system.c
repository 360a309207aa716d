/* test_system.c: the calls at the end of a block, against small contracts made by hand: what they are told, and what becomes of each
 * answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/abi.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "tests/support/memory_state.h"
#include "vm/exec/exec.h"

#define CHAIN_ID       1337u
#define CODE_BYTES_MAX 40000
#define MEMBER_BYTES   ((size_t)2 * SB_ABI_WORD_BYTES)

static const uint16_t k_lows[SB_SYSTEM_CALL_COUNT] = {SB_DISTRIBUTION_ADDR_LOW,
                                                      SB_SLASHING_ADDR_LOW, SB_STAKING_ADDR_LOW};
static const sb_addr k_proposer = {{0xb0, [19] = 0x0b}};
static const sb_addr k_system_caller = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};

struct world {
    struct sb_memory_state *state;
    struct sb_state_view view;
    struct sb_rules rules;
    struct sb_block_env env;
    struct sb_executor *x;
    struct sb_arena arena;
    struct sb_system_input input;
    struct sb_system_outcome outcome;
};

static struct world w;

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.state = sb_memory_state_new();
    w.rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, CHAIN_ID);
    w.env = (struct sb_block_env){.number = 5, .timestamp = 1000, .gas_limit = 30000000};
    w.input = (struct sb_system_input){
        .time_ms = 1000123, .proposer = k_proposer, .rotation_hash = {.b = {0xab, 0xcd}}};
    sb_arena_init(&w.arena, (size_t)1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_executor_free(w.x);
    sb_memory_state_free(w.state);
    sb_arena_fini(&w.arena);
    return 0;
}

/* ---- contracts ---- */

static void set_code(enum sb_system_call which, sb_bytes code)
{
    const sb_addr addr = sb_system_addr(k_lows[which]);
    sb_u256 zero = sb_u256_zero();
    sb_memory_state_set_account(w.state, &addr, 1, &zero, code);
}

/* set_answer: a contract that notes keccak256(calldata) in slot 0, the caller in slot 1, the gas it began with in slot 2, then ends
 * with `end` (RETURN or REVERT) and these bytes. */
static void set_answer(enum sb_system_call which, uint8_t end, sb_bytes answer)
{
    static uint8_t code[CODE_BYTES_MAX];
    static const uint8_t notes[] = {
        0x5a, 0x60, 0x02, 0x55,       /* GAS PUSH1 2 SSTORE */
        0x36, 0x5f, 0x5f, 0x37,       /* CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY */
        0x36, 0x5f, 0x20, 0x5f, 0x55, /* CALLDATASIZE PUSH0 KECCAK256 PUSH0 SSTORE */
        0x33, 0x60, 0x01, 0x55,       /* CALLER PUSH1 1 SSTORE */
    };
    uint8_t tail[] = {0x61, 0, 0, 0x61, 0, 0, 0x5f, 0x39, 0x61, 0, 0, 0x5f, end};
    be_store16(tail + 1, (uint16_t)answer.len);
    be_store16(tail + 4, (uint16_t)(sizeof notes + sizeof tail));
    be_store16(tail + 9, (uint16_t)answer.len);
    assert_true(sizeof notes + sizeof tail + answer.len <= sizeof code);
    memcpy(code, notes, sizeof notes);
    memcpy(code + sizeof notes, tail, sizeof tail);
    sb_copy(code + sizeof notes + sizeof tail, answer.data, answer.len);
    set_code(which, sb_span(code, sizeof notes + sizeof tail + answer.len));
}

#define RETURN 0xf3
#define REVERT 0xfd

static void set_minted(uint64_t wei)
{
    uint8_t word[32] = {0};
    be_store64(word + 24, wei);
    set_answer(SB_SYSTEM_DISTRIBUTION, RETURN, sb_span(word, sizeof word));
}

/* Contracts that answer as they should, with nothing to say. */
static void set_quiet(void)
{
    static const uint8_t nobody[64] = {[31] = 32};
    set_minted(0);
    set_answer(SB_SYSTEM_SLASHING, RETURN, sb_span(NULL, 0));
    set_answer(SB_SYSTEM_STAKING, RETURN, sb_span(nobody, sizeof nobody));
}

/* ---- running ---- */

static void end_block(void)
{
    w.view = sb_memory_state_view(w.state);
    w.x = sb_executor_new(&w.view, &w.rules, &w.env, NULL);
    assert_non_null(w.x);
    assert_int_equal(sb_executor_begin(w.x), SB_OK);
    assert_int_equal(sb_executor_end(&w.outcome, &w.arena, w.x, &w.input), SB_OK);
}

static sb_u256 slot_of(enum sb_system_call which, uint8_t slot)
{
    const sb_addr addr = sb_system_addr(k_lows[which]);
    const sb_hash key = {{[31] = slot}};
    return sb_overlay_slot(sb_executor_state(w.x), &addr, &key);
}

static sb_u256 balance_of(enum sb_system_call which)
{
    const sb_addr addr = sb_system_addr(k_lows[which]);
    return sb_overlay_balance(sb_executor_state(w.x), &addr);
}

static void assert_slot_is(enum sb_system_call which, uint8_t slot, sb_bytes bytes)
{
    const sb_u256 want = sb_u256_load_be(bytes.data, bytes.len);
    const sb_u256 have = slot_of(which, slot);
    assert_true(sb_u256_equal(&want, &have));
}

static void assert_calls(bool distribution, bool slashing, bool staking)
{
    assert_true(w.outcome.ran);
    assert_int_equal(w.outcome.calls[SB_SYSTEM_DISTRIBUTION].ok, distribution);
    assert_int_equal(w.outcome.calls[SB_SYSTEM_SLASHING].ok, slashing);
    assert_int_equal(w.outcome.calls[SB_SYSTEM_STAKING].ok, staking);
}

/* assert_untouched: the call left no trace. */
static void assert_untouched(enum sb_system_call which)
{
    for (uint8_t slot = 0; slot < 3; slot++) {
        const sb_u256 value = slot_of(which, slot);
        assert_true(sb_u256_is_zero(&value));
    }
}

/* ---- what the contracts are told ---- */

static void chain_without_staking_ends_blocks_with_nothing(void **state)
{
    (void)state;
    set_minted(7);
    end_block();
    assert_false(w.outcome.ran);
    assert_untouched(SB_SYSTEM_DISTRIBUTION);
    assert_true(sb_u256_is_zero(&w.outcome.minted));
}

static void quiet_contracts_change_no_set_and_no_money(void **state)
{
    (void)state;
    set_quiet();
    end_block();
    assert_calls(true, true, true);
    assert_false(w.outcome.has_set);
    for (int i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        const sb_u256 balance = balance_of((enum sb_system_call)i);
        assert_true(sb_u256_is_zero(&balance));
        assert_slot_is((enum sb_system_call)i, 1, sb_span(k_system_caller.b, 20));
        const sb_u256 gas = slot_of((enum sb_system_call)i, 2);
        assert_int_equal(gas.w[0], SB_SYSTEM_CALL_GAS - 2);
        assert_true(w.outcome.calls[i].gas_used > 60000);
        assert_true(w.outcome.calls[i].gas_used < 80000);
    }
    assert_int_equal(sb_executor_gas_used(w.x), 0); /* none of it is the block's */
}

static void put_word(uint8_t *at, uint64_t value)
{
    memset(at, 0, 32);
    be_store64(at + 24, value);
}

static void inputs_are_laid_out_as_the_abi_says(void **state)
{
    (void)state;
    const struct sb_system_vote votes[2] = {
        {.validator = {{0x11, [19] = 0x12}}, .power = 0x0102030405060708, .present = true},
        {.validator = {{0x21, [19] = 0x22}}, .power = 3, .present = false}};
    const struct sb_system_evidence evidence[1] = {{.validator = votes[1].validator,
                                                    .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                                    .height = 77,
                                                    .time_ms = 99}};
    uint8_t words[2][32] = {{0x11, [19] = 0x12}, {0x21, [19] = 0x22, [27] = 3}};
    static const uint8_t power[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    memcpy(words[0] + 20, power, sizeof power);
    words[0][31] = 1;
    set_quiet();
    w.input.votes = votes;
    w.input.vote_count = 2;
    w.input.evidence = evidence;
    w.input.evidence_count = 1;
    end_block();

    uint8_t call[4 + 32 * 16] = {0};
    be_store32(call, sb_abi_selector("endBlock(uint64,address,bytes32[])"));
    put_word(call + 4, 1000123);
    memcpy(call + 4 + 32 + 12, k_proposer.b, 20);
    put_word(call + 4 + 64, 96);
    put_word(call + 4 + 96, 2);
    memcpy(call + 4 + 128, words, sizeof words);
    sb_hash hash = sb_keccak256(sb_span(call, 4 + 32 * 6));
    assert_slot_is(SB_SYSTEM_DISTRIBUTION, 0, sb_span(hash.b, 32));

    memset(call, 0, sizeof call);
    be_store32(call, sb_abi_selector("endBlock(bytes32[],(address,uint8,uint64,uint64)[])"));
    put_word(call + 4, 64);
    put_word(call + 4 + 32, 160);
    put_word(call + 4 + 64, 2);
    memcpy(call + 4 + 96, words, sizeof words);
    put_word(call + 4 + 160, 1);
    memcpy(call + 4 + 192 + 12, votes[1].validator.b, 20);
    put_word(call + 4 + 224, 1);
    put_word(call + 4 + 256, 77);
    put_word(call + 4 + 288, 99);
    hash = sb_keccak256(sb_span(call, 4 + 32 * 10));
    assert_slot_is(SB_SYSTEM_SLASHING, 0, sb_span(hash.b, 32));

    memset(call, 0, sizeof call);
    be_store32(call, sb_abi_selector("endBlock(bytes32)"));
    memcpy(call + 4, w.input.rotation_hash.b, 32);
    hash = sb_keccak256(sb_span(call, 4 + 32));
    assert_slot_is(SB_SYSTEM_STAKING, 0, sb_span(hash.b, 32));
}

static void largest_input_fits(void **state)
{
    (void)state;
    set_quiet();
    static const struct sb_system_vote k_votes[SB_VALIDATORS_MAX];
    static const struct sb_system_evidence k_evidence[SB_EVIDENCE_MAX];
    w.input.votes = k_votes;
    w.input.vote_count = SB_VALIDATORS_MAX;
    w.input.evidence = k_evidence;
    w.input.evidence_count = SB_EVIDENCE_MAX;
    end_block();
    assert_calls(true, true, true);
}

/* ---- failing calls ---- */

static void call_that_reverts_changes_nothing_and_the_others_run(void **state)
{
    (void)state;
    set_quiet();
    set_answer(SB_SYSTEM_SLASHING, REVERT, sb_span_str("no"));
    end_block();
    assert_calls(true, false, true);
    assert_untouched(SB_SYSTEM_SLASHING);
    assert_slot_is(SB_SYSTEM_STAKING, 1, sb_span(k_system_caller.b, 20));
}

static void call_that_runs_out_of_gas_changes_nothing(void **state)
{
    (void)state;
    /* slot 0 = 1, then round and round */
    static const uint8_t loop[] = {0x60, 0x01, 0x5f, 0x55, 0x5b, 0x60, 0x04, 0x56};
    set_quiet();
    set_code(SB_SYSTEM_DISTRIBUTION, sb_span(loop, sizeof loop));
    end_block();
    assert_calls(false, true, true);
    assert_int_equal(w.outcome.calls[SB_SYSTEM_DISTRIBUTION].gas_used, SB_SYSTEM_CALL_GAS);
    assert_untouched(SB_SYSTEM_DISTRIBUTION);
}

static void missing_distribution_is_a_failed_call(void **state)
{
    (void)state;
    set_quiet();
    set_code(SB_SYSTEM_DISTRIBUTION, sb_span(NULL, 0));
    end_block();
    assert_calls(false, true, true);
}

/* ---- minting ---- */

static void minted_coins_are_credited(void **state)
{
    (void)state;
    set_quiet();
    uint8_t word[32] = {[16] = 0x80, [31] = 5};
    set_answer(SB_SYSTEM_DISTRIBUTION, RETURN, sb_span(word, sizeof word));
    end_block();
    assert_calls(true, true, true);
    const sb_u256 want = sb_u256_load_be(word, sizeof word);
    const sb_u256 have = balance_of(SB_SYSTEM_DISTRIBUTION);
    assert_true(sb_u256_equal(&want, &have));
    assert_true(sb_u256_equal(&want, &w.outcome.minted));
}

static void too_many_coins_are_a_failed_call(void **state)
{
    (void)state;
    uint8_t word[32] = {[15] = 1};
    set_quiet();
    set_answer(SB_SYSTEM_DISTRIBUTION, RETURN, sb_span(word, sizeof word));
    end_block();
    assert_calls(false, true, true);
    assert_untouched(SB_SYSTEM_DISTRIBUTION);
    const sb_u256 balance = balance_of(SB_SYSTEM_DISTRIBUTION);
    assert_true(sb_u256_is_zero(&balance));
    assert_true(sb_u256_is_zero(&w.outcome.minted));
}

static void minted_of_another_length_is_a_failed_call(void **state)
{
    (void)state;
    static const uint8_t bytes[64] = {[31] = 1};
    static const size_t lens[] = {0, 31, 33, 64};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        set_quiet();
        set_answer(SB_SYSTEM_DISTRIBUTION, RETURN, sb_span(bytes, lens[i]));
        end_block();
        assert_calls(false, true, true);
        assert_untouched(SB_SYSTEM_DISTRIBUTION);
        teardown(NULL);
        setup(NULL);
    }
}

/* ---- the set ---- */

/* A set as Staking answers it. */
static uint8_t answer[64 + (SB_VALIDATORS_MAX + 1) * 64];

/* write_set: distinct keys of descending power, 10 * count downwards. Returns the length. */
static size_t write_set(size_t count)
{
    memset(answer, 0, sizeof answer);
    put_word(answer, 32);
    put_word(answer + 32, count);
    for (size_t i = 0; i < count; i++) {
        answer[64 + i * 64] = 0xed;
        be_store16(answer + 64 + i * 64 + 30, (uint16_t)i);
        put_word(answer + 64 + i * 64 + 32, 10 * (count - i));
    }
    return 64 + count * 64;
}

static void end_with_set(size_t len)
{
    set_quiet();
    set_answer(SB_SYSTEM_STAKING, RETURN, sb_span(answer, len));
    end_block();
}

static void assert_set_refused(size_t len)
{
    end_with_set(len);
    assert_calls(true, true, false);
    assert_false(w.outcome.has_set);
    assert_untouched(SB_SYSTEM_STAKING);
    teardown(NULL);
    setup(NULL);
}

static void new_set_is_taken(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 4, SB_VALIDATORS_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        end_with_set(write_set(counts[i]));
        assert_calls(true, true, true);
        assert_true(w.outcome.has_set);
        assert_int_equal(w.outcome.set_count, counts[i]);
        for (size_t j = 0; j < counts[i]; j++) {
            assert_memory_equal(w.outcome.set[j].key, answer + 64 + 64 * j, 32);
            assert_int_equal(w.outcome.set[j].power, 10 * (counts[i] - j));
        }
        assert_slot_is(SB_SYSTEM_STAKING, 1, sb_span(k_system_caller.b, 20));
        teardown(NULL);
        setup(NULL);
    }
}

static void set_of_another_form_is_a_failed_call(void **state)
{
    (void)state;
    assert_set_refused(0);
    assert_set_refused(write_set(2) - 1);
    assert_set_refused(write_set(2) - 64);
    assert_set_refused(write_set(2) + 32);
    size_t len = write_set(2);
    put_word(answer, 64); /* the offset */
    assert_set_refused(len);
    len = write_set(2);
    put_word(answer + 32, 3); /* more members than there are */
    assert_set_refused(len);
    len = write_set(2);
    answer[32] = 1; /* 2^248 + 2 members */
    assert_set_refused(len);
    assert_set_refused(write_set(SB_VALIDATORS_MAX + 1));
}

static void set_that_no_chain_could_have_is_a_failed_call(void **state)
{
    (void)state;
    size_t len = write_set(2);
    put_word(answer + 64 + 96, 0); /* no power */
    assert_set_refused(len);
    len = write_set(2);
    put_word(answer + 64 + 32, SB_TOTAL_POWER_MAX - 9); /* with 10 more it is over the maximum */
    assert_set_refused(len);
    len = write_set(2);
    answer[64 + 32] = 0x80; /* beyond 64 bits */
    assert_set_refused(len);
    len = write_set(2);
    memcpy(answer + 64 + 64, answer + 64, 32); /* the same key twice */
    assert_set_refused(len);
    len = write_set(2);
    put_word(answer + 64 + 96, 21); /* ascending power */
    assert_set_refused(len);
}

static void set_of_equal_powers_is_in_order_of_addresses(void **state)
{
    (void)state;
    size_t len = write_set(2);
    put_word(answer + 64 + 32, 10);
    struct sb_pubkey a = sb_pubkey_ed25519(answer + 64), b = sb_pubkey_ed25519(answer + 128);
    const sb_addr address_a = sb_pubkey_address(&a), address_b = sb_pubkey_address(&b);
    if (memcmp(address_a.b, address_b.b, 20) > 0) {
        memcpy(answer + 64, b.bytes, 32);
        memcpy(answer + 128, a.bytes, 32);
    }
    end_with_set(len);
    assert_calls(true, true, true);
    teardown(NULL);
    setup(NULL);
    uint8_t key[32];
    memcpy(key, answer + 64, 32);
    memcpy(answer + 64, answer + 128, 32);
    memcpy(answer + 128, key, 32);
    assert_set_refused(len);
}

/* ---- a whole block ---- */

static void block_carries_the_outcome_and_its_changes(void **state)
{
    (void)state;
    set_quiet();
    set_minted(9);
    set_answer(SB_SYSTEM_STAKING, RETURN, sb_span(answer, write_set(3)));
    w.view = sb_memory_state_view(w.state);
    const struct sb_block block = {.tx_count = 0};
    struct sb_block_result result;
    assert_int_equal(sb_exec_block(&result, &w.arena, &w.view, &w.rules, &w.env, NULL, &block, NULL,
                                   &w.input, NULL),
                     SB_OK);
    assert_true(result.system.ran);
    assert_true(result.system.has_set);
    assert_int_equal(result.system.set_count, 3);
    assert_int_equal(result.gas_used, 0);
    assert_int_equal(result.diff.account_count, 3);
    const sb_addr distribution = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    bool found = false;
    for (size_t i = 0; i < result.diff.account_count; i++) {
        if (sb_addr_equal(&result.diff.accounts[i].addr, &distribution)) {
            assert_int_equal(result.diff.accounts[i].balance.w[0], 9);
            found = true;
        }
    }
    assert_true(found);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(chain_without_staking_ends_blocks_with_nothing),
        CASE(quiet_contracts_change_no_set_and_no_money),
        CASE(inputs_are_laid_out_as_the_abi_says),
        CASE(largest_input_fits),
        CASE(call_that_reverts_changes_nothing_and_the_others_run),
        CASE(call_that_runs_out_of_gas_changes_nothing),
        CASE(missing_distribution_is_a_failed_call),
        CASE(minted_coins_are_credited),
        CASE(too_many_coins_are_a_failed_call),
        CASE(minted_of_another_length_is_a_failed_call),
        CASE(new_set_is_taken),
        CASE(set_of_another_form_is_a_failed_call),
        CASE(set_that_no_chain_could_have_is_a_failed_call),
        CASE(set_of_equal_powers_is_in_order_of_addresses),
        CASE(block_carries_the_outcome_and_its_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
