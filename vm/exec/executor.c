/* executor.c: one transaction after another on the overlay of a block (Yellow Paper 6; EIPs 1559, 2929, 3529, 3607, 3651, 4844, 7623).
 *
 *   check ---refused---> reason, nothing changed
 *     |
 *   buy gas: sender pays limit * price (+ blobs)      these stay whatever the code does
 *   raise nonce, apply delegations, warm addresses
 *     |
 *   sb_evm_run                                        undone by the interpreter if it fails
 *     |
 *   refund (at most 1/5), floor, rest to the sender, tip to the coinbase, base fee to nobody
 *
 * Invariant: money is neither made nor lost but for the burnt base fee and blob fee. */
#include <stdlib.h>

#include "base/util/assert.h"
#include "vm/evm/code.h"
#include "vm/exec/exec.h"
#include "vm/exec/set_code.h"
#include "vm/precompile/precompile.h"

#define STATE_BYTES_MAX         ((size_t)1 << 30) /* gas ends a block long before */

#define REFUND_QUOTIENT         2
#define REFUND_QUOTIENT_EIP3529 5

/* EIP-4788 and EIP-2935: who calls at a block's start, and whom. */
static const sb_addr k_system_addr = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};
static const sb_addr k_beacon_roots_addr = {{0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80,
                                             0x7e, 0xf1, 0x31, 0x9f, 0xb7, 0xb8, 0xbb,
                                             0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02}};
static const sb_addr k_history_addr = {{0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5,
                                        0x3a, 0x10, 0xcb, 0x7a, 0x02, 0x33, 0x5b,
                                        0x17, 0x53, 0x20, 0x00, 0x29, 0x35}};

struct sb_executor {
    const struct sb_rules *rules;
    const struct sb_block_env *env;
    struct sb_inference *inference;
    struct sb_overlay *state;
    struct sb_evm_memory *memory;
    const struct sb_tracer *tracer;
    const atomic_bool *stop;
    bool is_call;
    void (*on_missing)(void *ctx, const sb_addr *addr);
    void *on_missing_ctx;
    uint64_t gas_used;
    uint64_t blob_count;
    struct sb_buf inferences; /* struct sb_inference_record of the block */
    bool begun;
};

/* One transaction on its way. */
struct run {
    struct sb_executor *x;
    const struct sb_tx *tx;
    const sb_addr *sender;
    struct sb_exec_relax relax;
    struct sb_block_env env; /* as the code sees it */
    sb_u256 price;           /* effective, wei per gas */
    sb_u256 paid_price;      /* = price, or 0 when no gas is paid for */
    struct sb_intrinsic_gas intrinsic;
};

/* ---------------------------------------------------------------- life */

struct sb_executor *sb_executor_new(const struct sb_state_view *view, const struct sb_rules *rules,
                                    const struct sb_block_env *env, struct sb_inference *inference)
{
    struct sb_executor *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    x->rules = rules;
    x->env = env;
    x->inference = inference;
    sb_buf_init(&x->inferences, SB_INFERENCE_RECORDS_MAX * sizeof(struct sb_inference_record));
    x->state = sb_overlay_new(view, rules, STATE_BYTES_MAX);
    x->memory = sb_evm_memory_new();
    if (x->state == NULL || x->memory == NULL) {
        sb_executor_free(x);
        return NULL;
    }
    return x;
}

void sb_executor_free(struct sb_executor *x)
{
    if (x == NULL) {
        return;
    }
    sb_buf_fini(&x->inferences);
    sb_evm_memory_free(x->memory);
    sb_overlay_free(x->state);
    free(x);
}

struct sb_overlay *sb_executor_state(struct sb_executor *x)
{
    return x->state;
}

void sb_executor_set_tracer(struct sb_executor *x, const struct sb_tracer *tracer)
{
    x->tracer = tracer;
}

void sb_executor_set_stop(struct sb_executor *x, const atomic_bool *stop)
{
    x->stop = stop;
}

void sb_executor_set_call(struct sb_executor *x)
{
    x->is_call = true;
}

void sb_executor_set_missing_hook(struct sb_executor *x,
                                  void (*hook)(void *ctx, const sb_addr *addr), void *ctx)
{
    x->on_missing = hook;
    x->on_missing_ctx = ctx;
}

uint64_t sb_executor_gas_used(const struct sb_executor *x)
{
    return x->gas_used;
}

static struct sb_evm evm_of(const struct sb_executor *x, const struct sb_block_env *env,
                            const struct sb_tx_env *tx_env)
{
    return (struct sb_evm){.rules = x->rules,
                           .block = env,
                           .tx = tx_env,
                           .state = x->state,
                           .inference = x->inference,
                           .is_call = x->is_call,
                           .tracer = x->tracer,
                           .stop = x->stop,
                           .on_missing_precompile = x->on_missing,
                           .on_missing_ctx = x->on_missing_ctx};
}

/* ---------------------------------------------------------------- checks against the state */

/* gas_limit * max_fee + blobs * max blob fee + value; false if it passes 2^256 - 1. */
static bool max_cost(sb_u256 *ret_cost, const struct sb_tx *tx, bool with_gas)
{
    sb_u256 cost = tx->value;
    if (with_gas) {
        sb_u256 part;
        if (sb_u256_mul_u64(&part, &tx->max_fee, tx->gas_limit) ||
            sb_u256_add_carry(&cost, &cost, &part)) {
            return false;
        }
        uint64_t blob_gas = (uint64_t)tx->blob_hash_count * SB_BLOB_GAS;
        if (sb_u256_mul_u64(&part, &tx->max_fee_per_blob_gas, blob_gas) ||
            sb_u256_add_carry(&cost, &cost, &part)) {
            return false;
        }
    }
    *ret_cost = cost;
    return true;
}

static enum sb_tx_reject check_fees(const struct run *run)
{
    const struct sb_executor *x = run->x;
    const struct sb_tx *tx = run->tx;
    if (!run->relax.skip_base_fee && sb_u256_lt(&tx->max_fee, &x->env->base_fee)) {
        return SB_TX_REJECT_FEE_BELOW_BASE;
    }
    if (tx->type == SB_TX_BLOB) {
        if (sb_u256_lt(&tx->max_fee_per_blob_gas, &x->env->blob_base_fee)) {
            return SB_TX_REJECT_BLOB_FEE;
        }
        if (x->blob_count + tx->blob_hash_count > x->rules->blobs_per_block_max) {
            return SB_TX_REJECT_BLOB_COUNT;
        }
    }
    return SB_TX_ACCEPTED;
}

static enum sb_tx_reject check_sender(const struct run *run)
{
    struct sb_overlay *state = run->x->state;
    if (!run->relax.skip_nonce) {
        uint64_t nonce = sb_overlay_nonce(state, run->sender);
        if (run->tx->nonce != nonce) {
            return run->tx->nonce < nonce ? SB_TX_REJECT_NONCE_TOO_LOW
                                          : SB_TX_REJECT_NONCE_TOO_HIGH;
        }
    }
    if (!run->relax.skip_eoa_check) {
        sb_bytes code = sb_overlay_code(state, run->sender);
        bool delegated = run->x->rules->revision >= SB_REV_PRAGUE && sb_code_delegate(NULL, code);
        if (code.len != 0 && !delegated) {
            return SB_TX_REJECT_SENDER_NOT_EOA;
        }
    }
    sb_u256 cost;
    sb_u256 balance = sb_overlay_balance(state, run->sender);
    if (!max_cost(&cost, run->tx, !run->relax.skip_balance) || sb_u256_lt(&balance, &cost)) {
        return SB_TX_REJECT_FUNDS;
    }
    return SB_TX_ACCEPTED;
}

static enum sb_tx_reject check(const struct run *run)
{
    struct sb_rules rules = *run->x->rules;
    if (run->relax.skip_gas_cap) {
        rules.tx_gas_max = UINT64_MAX;
    }
    enum sb_tx_reject reject = sb_tx_check_static(&rules, run->tx);
    if (reject != SB_TX_ACCEPTED) {
        return reject;
    }
    uint64_t room = sat_sub_u64(run->x->env->gas_limit, run->x->gas_used);
    if (!run->relax.skip_gas_cap && run->tx->gas_limit > room) {
        return SB_TX_REJECT_BLOCK_GAS;
    }
    reject = check_fees(run);
    return reject != SB_TX_ACCEPTED ? reject : check_sender(run);
}

/* ---------------------------------------------------------------- before the code */

static void warm_precompile(void *ctx, const sb_addr *addr)
{
    (void)sb_overlay_warm_addr(ctx, addr);
}

/* What is warm from the start: EIP-2929, EIP-3651. The delegate of a delegated callee the interpreter warms (EIP-7702). */
static void warm_start(struct sb_executor *x, const sb_addr *sender, const sb_addr *to)
{
    if (x->rules->revision < SB_REV_BERLIN) {
        return;
    }
    sb_precompile_each(x->rules, warm_precompile, x->state);
    (void)sb_overlay_warm_addr(x->state, sender);
    if (x->rules->revision >= SB_REV_SHANGHAI) {
        (void)sb_overlay_warm_addr(x->state, &x->env->coinbase);
    }
    if (to != NULL) {
        (void)sb_overlay_warm_addr(x->state, to);
    }
}

static void warm_access_list(struct sb_overlay *state, const struct sb_tx *tx)
{
    for (size_t i = 0; i < tx->access_count; i++) {
        const struct sb_access_entry *entry = &tx->access_list[i];
        (void)sb_overlay_warm_addr(state, &entry->addr);
        for (size_t j = 0; j < entry->key_count; j++) {
            (void)sb_overlay_warm_slot(state, &entry->addr, &entry->keys[j]);
        }
    }
}

/* Prices of a transaction that passed the checks: nothing here can overflow. */
static void set_prices(struct run *run)
{
    const struct sb_tx *tx = run->tx;
    run->env = *run->x->env;
    if (sb_u256_lt(&tx->max_fee, &run->env.base_fee)) {
        run->price = tx->max_fee; /* only with skip_base_fee */
    } else {
        run->price = sb_tx_effective_gas_price(tx, &run->env.base_fee);
    }
    if (run->relax.skip_base_fee && sb_u256_is_zero(&tx->max_fee)) {
        run->env.base_fee = sb_u256_zero(); /* code may rely on GASPRICE >= BASEFEE */
    }
    run->paid_price = run->relax.skip_balance ? sb_u256_zero() : run->price;
}

static sb_u256 gas_cost(const struct run *run, uint64_t gas)
{
    sb_u256 cost;
    bool overflow = sb_u256_mul_u64(&cost, &run->paid_price, gas);
    SB_ASSERT(!overflow);
    return cost;
}

static void buy_gas(const struct run *run)
{
    sb_u256 cost = gas_cost(run, run->tx->gas_limit);
    if (run->tx->type == SB_TX_BLOB && !run->relax.skip_balance) {
        sb_u256 blobs;
        bool overflow = sb_u256_mul_u64(&blobs, &run->env.blob_base_fee,
                                        (uint64_t)run->tx->blob_hash_count * SB_BLOB_GAS) ||
                        sb_u256_add_carry(&cost, &cost, &blobs);
        SB_ASSERT(!overflow);
    }
    sb_overlay_balance_sub(run->x->state, run->sender, &cost);
}

/* ---------------------------------------------------------------- the code and after */

static sb_err run_message(struct sb_evm_result *ret_result, const struct run *run)
{
    const struct sb_tx *tx = run->tx;
    const struct sb_tx_env tx_env = {.origin = *run->sender,
                                     .gas_price = run->price,
                                     .blob_hashes = tx->blob_hashes,
                                     .blob_hash_count = tx->blob_hash_count};
    const struct sb_evm evm = evm_of(run->x, &run->env, &tx_env);
    struct sb_message message = {.kind = tx->is_create ? SB_CREATE : SB_CALL,
                                 .gas = (int64_t)(tx->gas_limit - run->intrinsic.gas),
                                 .sender = *run->sender,
                                 .value = tx->value,
                                 .input = tx->data};
    if (!tx->is_create) {
        message.recipient = tx->to;
        message.code_addr = tx->to;
    }
    return sb_evm_run(ret_result, &evm, run->x->memory, &message);
}

/* Gas used, the sender's change and the coinbase's tip. */
static void settle(struct sb_tx_result *result, const struct run *run, int64_t gas_left)
{
    struct sb_overlay *state = run->x->state;
    uint64_t limit = run->tx->gas_limit;
    uint64_t spent = limit - (uint64_t)gas_left;
    uint64_t quotient =
        run->x->rules->revision >= SB_REV_LONDON ? REFUND_QUOTIENT_EIP3529 : REFUND_QUOTIENT;
    int64_t counter = sb_overlay_refund(state);
    uint64_t refund = counter > 0 ? (uint64_t)counter : 0;
    refund = refund < spent / quotient ? refund : spent / quotient;
    uint64_t used = spent - refund;
    uint64_t floor = run->intrinsic.floor;

    result->gas_refunded = refund;
    result->gas_used = used > floor ? used : floor;
    result->gas_spent_max = spent > floor ? spent : floor;

    sb_u256 change = gas_cost(run, limit - result->gas_used);
    sb_overlay_balance_add(state, run->sender, &change);

    sb_u256 tip_price = sb_u256_zero();
    if (!sb_u256_lt(&run->paid_price, &run->env.base_fee)) {
        tip_price = sb_u256_sub(&run->paid_price, &run->env.base_fee);
    }
    sb_u256 tip;
    bool overflow = sb_u256_mul_u64(&tip, &tip_price, result->gas_used);
    SB_ASSERT(!overflow);
    sb_overlay_balance_add(state, &run->env.coinbase, &tip);
}

sb_err sb_executor_tx(struct sb_tx_result *ret_result, struct sb_executor *x,
                      const struct sb_tx *tx, const sb_addr *sender,
                      const struct sb_exec_relax *relax)
{
    struct run run = {.x = x, .tx = tx, .sender = sender};
    if (relax != NULL) {
        run.relax = *relax;
    }
    enum sb_tx_reject reject = check(&run);
    SB_TRY(sb_overlay_err(x->state));
    if (reject != SB_TX_ACCEPTED) {
        *ret_result = (struct sb_tx_result){.reject = reject};
        return SB_OK;
    }
    set_prices(&run);
    run.intrinsic = sb_tx_intrinsic_gas(x->rules, tx);

    sb_overlay_tx_begin(x->state);
    buy_gas(&run);
    if (!tx->is_create) {
        /* a creation raises the nonce in the interpreter, as CREATE does */
        sb_overlay_nonce_set(x->state, sender, sb_overlay_nonce(x->state, sender) + 1);
    }
    sb_set_code_apply(x->state, x->rules, tx);
    warm_start(x, sender, tx->is_create ? NULL : &tx->to);
    warm_access_list(x->state, tx);

    struct sb_evm_result evm_result;
    SB_TRY(run_message(&evm_result, &run));
    struct sb_tx_result result = {.reject = SB_TX_ACCEPTED,
                                  .status = evm_result.status,
                                  .effective_gas_price = run.price,
                                  .output = evm_result.output,
                                  .created = evm_result.created};
    settle(&result, &run, evm_result.gas_left);
    sb_overlay_tx_end(x->state);
    SB_TRY(sb_overlay_err(x->state));

    result.logs = sb_overlay_logs(x->state, &result.log_count);
    result.inferences = sb_overlay_inferences(x->state, &result.inference_count);
    x->gas_used += result.gas_used;
    x->blob_count += tx->blob_hash_count;
    *ret_result = result;
    return SB_OK;
}

/* ---------------------------------------------------------------- inferences */

sb_err sb_executor_keep_inferences(struct sb_executor *x, const struct sb_tx_result *result,
                                   const sb_hash *tx_hash)
{
    for (size_t i = 0; i < result->inference_count; i++) {
        struct sb_inference_record record = result->inferences[i];
        record.tx_hash = *tx_hash;
        record.index = (uint32_t)i;
        sb_buf_add(&x->inferences, &record, sizeof record);
    }
    return sb_buf_err(&x->inferences);
}

const struct sb_inference_record *sb_executor_inferences(const struct sb_executor *x,
                                                         size_t *ret_count)
{
    const void *records = x->inferences.data;
    *ret_count = x->inferences.len / sizeof(struct sb_inference_record);
    return records;
}

/* ---------------------------------------------------------------- system calls */

sb_err sb_executor_system_call(struct sb_evm_result *ret_result, struct sb_executor *x,
                               const sb_addr *to, sb_bytes input, int64_t gas,
                               sb_system_accept_fn accept, void *accept_ctx)
{
    sb_overlay_tx_begin(x->state);
    sb_checkpoint start = sb_overlay_checkpoint(x->state);
    warm_start(x, &k_system_addr, to);
    const struct sb_tx_env tx_env = {.origin = k_system_addr};
    const struct sb_evm evm = evm_of(x, x->env, &tx_env);
    const struct sb_message message = {.kind = SB_CALL,
                                       .gas = gas,
                                       .sender = k_system_addr,
                                       .recipient = *to,
                                       .code_addr = *to,
                                       .input = input};
    SB_TRY(sb_evm_run(ret_result, &evm, x->memory, &message));
    if (accept != NULL && ret_result->status == SB_EVM_SUCCESS &&
        !accept(accept_ctx, x->state, ret_result->output)) {
        sb_overlay_rollback(x->state, start);
        ret_result->status = SB_EVM_REVERT;
    }
    sb_overlay_tx_end(x->state);
    return sb_overlay_err(x->state);
}

/* A contract that records a hash at each block's start; without its code the chain goes on without it. */
static sb_err record(struct sb_executor *x, const sb_addr *to, const sb_hash *hash)
{
    if (sb_overlay_code(x->state, to).len == 0) {
        return sb_overlay_err(x->state);
    }
    struct sb_evm_result ignored; /* the outcome does not make a block invalid */
    return sb_executor_system_call(&ignored, x, to, sb_span(hash->b, sizeof hash->b),
                                   SB_SYSTEM_CALL_GAS, NULL, NULL);
}

sb_err sb_executor_begin(struct sb_executor *x)
{
    SB_ASSERT(!x->begun);
    x->begun = true;
    if (x->rules->revision >= SB_REV_CANCUN && x->env->has_parent_beacon_root) {
        SB_TRY(record(x, &k_beacon_roots_addr, &x->env->parent_beacon_root));
    }
    if (x->rules->revision >= SB_REV_PRAGUE && x->env->number > 0) {
        sb_hash parent = sb_overlay_block_hash(x->state, x->env->number - 1);
        SB_TRY(record(x, &k_history_addr, &parent));
    }
    return sb_overlay_err(x->state);
}

void sb_executor_next(struct sb_executor *x)
{
    x->gas_used = 0;
    x->blob_count = 0;
    sb_buf_reset(&x->inferences);
    x->begun = false;
}
