/* fuzz_exec.c: a transaction that runs arbitrary code, under every revision, against what must always hold.
 *
 *   input: | revision | flags | bytes: the callee's code and the calldata, or the initcode |
 *
 * Invariants: gas used is between the intrinsic gas and the limit; money is neither made nor lost but for the burnt base fee (and what
 * SELFDESTRUCT burns); a second run gives the same status, gas, output and state root. */
#include "base/util/assert.h"
#include "tests/support/memory_state.h"
#include "vm/exec/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GAS_LIMIT    200000u
#define BASE_FEE     7u
#define FLAG_CREATE  1u
#define FLAG_VALUE   2u
#define SELFDESTRUCT 0xff

static const sb_addr k_sender = {{0xaa, [19] = 0x01}};
static const sb_addr k_target = {{[18] = 0x12, [19] = 0x34}}; /* PUSH2 reaches it */
static const sb_addr k_coinbase = {{0xcc, [19] = 0x03}};

struct outcome {
    struct sb_tx_result result;
    sb_hash state_root;
    sb_u256 money;
    uint8_t output[1024];
    size_t output_len;
};

static sb_u256 total(const struct sb_memory_state *state)
{
    sb_u256 sum = sb_u256_zero();
    for (size_t i = 0; i < sb_memory_state_account_count(state); i++) {
        sb_addr addr;
        struct sb_account account;
        sb_bytes code;
        size_t slots;
        sb_memory_state_account_at(state, i, &addr, &account, &code, &slots);
        sum = sb_u256_add(&sum, &account.balance);
    }
    return sum;
}

static void prepare(struct sb_memory_state *state, sb_bytes code)
{
    sb_u256 rich = sb_u256_from_u64(UINT64_C(1) << 60);
    sb_u256 some = sb_u256_from_u64(1000);
    sb_hash key = {{[31] = 1}};
    sb_memory_state_reset(state);
    sb_memory_state_set_account(state, &k_sender, 3, &rich, sb_span(NULL, 0));
    sb_memory_state_set_account(state, &k_target, 1, &some, code);
    sb_memory_state_set_slot(state, &k_target, &key, &some);
}

static void run_once(struct outcome *ret, struct sb_memory_state *state,
                     const struct sb_rules *rules, const struct sb_tx *tx)
{
    struct sb_block_env env = {
        .number = 300, .timestamp = 9, .gas_limit = 2 * GAS_LIMIT, .coinbase = k_coinbase};
    if (rules->revision >= SB_REV_LONDON) {
        env.base_fee = sb_u256_from_u64(BASE_FEE);
    }
    struct sb_state_view view = sb_memory_state_view(state);
    struct sb_executor *x = sb_executor_new(&view, rules, &env, NULL);
    SB_ASSERT(x != NULL);
    sb_err err = sb_executor_tx(&ret->result, x, tx, &k_sender, NULL);
    SB_ASSERT(err == SB_OK);
    ret->output_len =
        ret->result.output.len < sizeof ret->output ? ret->result.output.len : sizeof ret->output;
    sb_copy(ret->output, ret->result.output.data, ret->output_len);
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)1 << 24);
    struct sb_state_diff diff;
    err = sb_overlay_diff(&diff, sb_executor_state(x), &arena);
    SB_ASSERT(err == SB_OK);
    sb_memory_state_apply(state, &diff);
    sb_arena_fini(&arena);
    sb_executor_free(x);
    ret->state_root = sb_memory_state_root(state);
    ret->money = total(state);
}

static void check_money(const struct outcome *o, const sb_u256 *before,
                        const struct sb_rules *rules, bool may_burn)
{
    sb_u256 burnt =
        sb_u256_from_u64(rules->revision >= SB_REV_LONDON ? o->result.gas_used * BASE_FEE : 0);
    sb_u256 after = sb_u256_add(&o->money, &burnt);
    SB_ASSERT(may_burn ? sb_u256_cmp(&after, before) <= 0 : sb_u256_equal(&after, before));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    enum sb_revision revision = (enum sb_revision)(data[0] % SB_REV_COUNT);
    enum sb_profile profile = data[0] & 0x80 ? SB_PROFILE_SAMEBIT : SB_PROFILE_ETHEREUM;
    struct sb_rules rules = sb_rules_make(profile, revision, 1);
    sb_bytes code = sb_span(data + 2, size - 2);
    const struct sb_tx tx = {.type = SB_TX_LEGACY,
                             .nonce = 3,
                             .gas_limit = GAS_LIMIT,
                             .max_fee = sb_u256_from_u64(10),
                             .max_priority_fee = sb_u256_from_u64(10),
                             .is_create = (data[1] & FLAG_CREATE) != 0,
                             .to = k_target,
                             .value = sb_u256_from_u64(data[1] & FLAG_VALUE ? 5 : 0),
                             .data = code};
    struct sb_memory_state *state = sb_memory_state_new();
    static struct outcome first, second;
    prepare(state, code);
    sb_u256 before = total(state);
    run_once(&first, state, &rules, &tx);
    if (first.result.reject == SB_TX_ACCEPTED) {
        struct sb_intrinsic_gas need = sb_tx_intrinsic_gas(&rules, &tx);
        SB_ASSERT(first.result.gas_used <= GAS_LIMIT && first.result.gas_spent_max >= need.gas);
        check_money(&first, &before, &rules, memchr(code.data, SELFDESTRUCT, code.len) != NULL);
    } else {
        SB_ASSERT(sb_u256_equal(&first.money, &before));
    }
    prepare(state, code);
    run_once(&second, state, &rules, &tx);
    SB_ASSERT(first.result.reject == second.result.reject &&
              first.result.status == second.result.status &&
              first.result.gas_used == second.result.gas_used &&
              sb_hash_equal(&first.state_root, &second.state_root) &&
              sb_span_equal(sb_span(first.output, first.output_len),
                            sb_span(second.output, second.output_len)));
    sb_memory_state_free(state);
    return 0;
}
