/* query_estimate.c: the least gas limit with which a call succeeds (eth_estimateGas).
 *
 *      highest limit allowed --> succeeds? --no--> why
 *          |  used before refund: nothing below can do
 *          v
 *      that figure itself --> succeeds? --yes--> exact
 *          |no: calls keep back 1/64 of the gas
 *          v
 *      bisection between the two, first at 64/63 of it
 *
 * geth bisects on success of the whole call alone. A contract that swallows the failure of an inner call then gets an estimate with which
 * that inner call fails, as happens to verifiers that call precompiles. Here a trial succeeds only if no more inner calls fail in it
 * than at the highest limit. Below a million gas the answer is exact, above within 1.5 %, as geth's.
 *
 * Staking. The end of each block makes rewards. What a call settles may be nothing in the state of the estimate, and something, in slots
 * that were zero, in the block that takes the transaction. So each settlement that the run at the highest limit came by, a call between
 * Staking and Distribution, adds what the dearest one can cost more: the answer is then an upper bound, not exact. */
#include "base/util/checked.h"
#include "node/query.h"
#include "vm/exec/system.h"

#define GAS_PLAIN_TRANSFER 21000
#define GAS_CALL_STIPEND   2300
#define EXACT_GAS_MAX      1000000
/* Of a settlement of rewards that came about since: four slots that were zero (22,100 each), one that was not (5,000), the arithmetic
 * (about 3,000), the 1/64 that calls on the way keep back, and some steps of validators that changed places meanwhile. */
#define SETTLEMENT_GAS 120000
/* Above: stop when (high - low) / high < 15 / 1000. */
#define TOLERANCE_PART  15
#define TOLERANCE_WHOLE 1000

struct estimate {
    struct sb_arena *arena;
    struct sb_query_site *site;
    struct sb_query_tx call;
    const atomic_bool *stop;
    uint64_t inner_failures_max; /* of the run at the highest limit */
};

/* What a run came by. */
struct seen {
    uint64_t inner_failures;
    uint64_t settlements; /* calls from Staking to Distribution, and back for a position */
};

static void count_settlement(void *ctx, const struct sb_message *message, int depth)
{
    struct seen *seen = ctx;
    const sb_addr staking = sb_system_addr(SB_STAKING_ADDR_LOW);
    const sb_addr distribution = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    (void)depth;
    bool is_between = (sb_addr_equal(&message->sender, &staking) &&
                       sb_addr_equal(&message->recipient, &distribution)) ||
                      (sb_addr_equal(&message->sender, &distribution) &&
                       sb_addr_equal(&message->recipient, &staking));
    seen->settlements += is_between ? 1 : 0;
}

static void count_failure(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                          int depth)
{
    struct seen *seen = ctx;
    (void)gas_used;
    (void)output;
    seen->inner_failures += depth > 1 && status != SB_EVM_SUCCESS ? 1 : 0;
}

/* run: with this limit; the outcome's output is only good until the next run but for the first. */
static sb_err run(struct sb_query_outcome *ret_outcome, struct seen *ret_seen, struct estimate *e,
                  uint64_t gas)
{
    *ret_seen = (struct seen){.settlements = 0};
    const struct sb_tracer tracer = {
        .ctx = ret_seen, .enter = count_settlement, .leave = count_failure};
    e->call.tx.gas_limit = gas;
    return sb_query_execute(ret_outcome, e->arena, e->site, &e->call, &tracer, e->stop);
}

/* suffices: a trial, which leaves nothing in the arena. */
static sb_err suffices(bool *ret_ok, struct estimate *e, uint64_t gas)
{
    struct sb_arena_mark mark = sb_arena_mark(e->arena);
    struct sb_query_outcome outcome;
    struct seen seen;
    SB_TRY(run(&outcome, &seen, e, gas));
    sb_arena_rewind(e->arena, mark);
    *ret_ok = outcome.result.reject == SB_TX_ACCEPTED && outcome.result.status == SB_EVM_SUCCESS &&
              seen.inner_failures <= e->inner_failures_max;
    return SB_OK;
}

static bool is_close(uint64_t low, uint64_t high)
{
    return high > EXACT_GAS_MAX &&
           sat_mul_u64(high - low, TOLERANCE_WHOLE) < sat_mul_u64(high, TOLERANCE_PART);
}

/* bisect: low does not suffice, high does. Time running out leaves a limit that is known to suffice. */
static sb_err bisect(uint64_t *ret_gas, struct estimate *e, uint64_t low, uint64_t high)
{
    uint64_t guess = sat_add_u64(low, GAS_CALL_STIPEND);
    guess = guess / 63 * 64 + 64;
    while (low + 1 < high && !is_close(low, high)) {
        uint64_t trial = guess > low && guess < high ? guess : low + (high - low) / 2;
        guess = 0;
        bool ok;
        sb_err err = suffices(&ok, e, trial);
        if (err == SB_E_TIMEOUT) {
            break;
        }
        SB_TRY(err);
        *(ok ? &high : &low) = trial;
    }
    *ret_gas = high;
    return SB_OK;
}

/* highest_limit: what the client, the chain, the sender's funds and this node allow. */
static sb_err highest_limit(uint64_t *ret_gas, const struct estimate *e,
                            const struct sb_rpc_query *query, struct sb_rpc_failure *failure)
{
    const struct sb_backend_options *options = &e->site->backend->options;
    const struct sb_tx *tx = &e->call.tx;
    uint64_t gas = e->site->env.gas_limit;
    if (query->call.has_gas && query->call.gas >= GAS_PLAIN_TRANSFER) {
        gas = query->call.gas;
    }
    gas = gas < e->site->rules.tx_gas_max ? gas : e->site->rules.tx_gas_max;
    gas = gas < options->call_gas_max ? gas : options->call_gas_max;
    if (!sb_u256_is_zero(&tx->max_fee)) {
        sb_u256 balance;
        SB_TRY(sb_query_balance(&balance, e->site, &e->call.from));
        if (sb_u256_lt(&balance, &tx->value)) {
            return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                                   "insufficient funds for transfer");
        }
        balance = sb_u256_sub(&balance, &tx->value);
        sb_u256 affordable = sb_u256_div(&balance, &tx->max_fee);
        uint64_t most = sb_u256_sat_u64(&affordable);
        gas = gas < most ? gas : most;
    }
    *ret_gas = gas;
    return SB_OK;
}

/* fail_highest: even the highest limit does not do. */
static sb_err fail_highest(struct sb_rpc_failure *failure, const struct estimate *e,
                           const struct sb_query_outcome *outcome)
{
    const struct sb_tx_result *result = &outcome->result;
    bool lacks_gas = result->reject == SB_TX_REJECT_INTRINSIC_GAS ||
                     result->reject == SB_TX_REJECT_FLOOR_GAS ||
                     (result->reject == SB_TX_ACCEPTED && result->status == SB_EVM_OUT_OF_GAS);
    if (lacks_gas) {
        return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                               "gas required exceeds allowance (%llu)",
                               (unsigned long long)e->call.tx.gas_limit);
    }
    return result->reject != SB_TX_ACCEPTED ? sb_query_fail_refused(failure, outcome, &e->call)
                                            : sb_query_fail_vm(failure, result);
}

static sb_err is_plain_transfer(bool *ret_plain, const struct estimate *e)
{
    const struct sb_tx *tx = &e->call.tx;
    *ret_plain = false;
    return tx->is_create || tx->data.len != 0 || tx->authorization_count != 0
               ? SB_OK
               : sb_query_has_no_code(ret_plain, e->site, &tx->to);
}

static sb_err estimate(uint64_t *ret_gas, struct estimate *e, const struct sb_rpc_query *query,
                       struct sb_rpc_failure *failure)
{
    uint64_t highest = 0;
    bool plain;
    bool ok = false;
    SB_TRY(highest_limit(&highest, e, query, failure));
    SB_TRY(is_plain_transfer(&plain, e));
    if (plain && highest >= GAS_PLAIN_TRANSFER) {
        SB_TRY(suffices(&ok, e, GAS_PLAIN_TRANSFER));
        if (ok) {
            *ret_gas = GAS_PLAIN_TRANSFER;
            return SB_OK;
        }
    }
    struct sb_query_outcome outcome;
    struct seen seen;
    SB_TRY(run(&outcome, &seen, e, highest));
    if (outcome.result.reject != SB_TX_ACCEPTED || outcome.result.status != SB_EVM_SUCCESS) {
        return fail_highest(failure, e, &outcome);
    }
    e->inner_failures_max = seen.inner_failures;
    uint64_t gas = outcome.result.gas_spent_max;
    if (gas < highest) {
        SB_TRY(suffices(&ok, e, gas));
        if (!ok) {
            SB_TRY(bisect(&gas, e, gas, highest));
        }
    }
    gas = sat_add_u64(gas, sat_mul_u64(seen.settlements, SETTLEMENT_GAS));
    *ret_gas = gas < highest ? gas : highest;
    return SB_OK;
}

sb_err sb_query_estimate_gas(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                             const atomic_bool *stop, uint64_t *ret_gas,
                             struct sb_rpc_failure *failure)
{
    struct sb_query_site site;
    SB_TRY(sb_query_site_open(&site, arena, ctx, query, failure));
    struct estimate e = {.arena = arena,
                         .site = &site,
                         .call = sb_query_tx_of(&site.rules, &query->call, 0),
                         .stop = stop,
                         .inner_failures_max = UINT64_MAX};
    sb_err err = estimate(ret_gas, &e, query, failure);
    sb_query_site_close(&site);
    return err;
}
