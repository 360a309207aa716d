/* query_simulate.c: chains of blocks that never were (eth_simulateV1 of execution-apis).
 *
 *      base block --> block --> block --> ...        one executor: each block sees what the ones before have done
 *                       |  overrides, system calls, calls
 *                       +--> receipts, roots, header --> JSON with "calls"
 *
 * Gaps in the numbers are filled with empty blocks. Nobody votes on such blocks, so they end without system calls (vm/exec/system.h). Without validation any nonce passes and fees may be nothing. Roots of the state are
 * computed for simulations on the head; on an older or the pending block, whose trie cannot be extended, stateRoot is zero. */

#include "node/query_simulate.h"

#define BLOCKS_MAX        256
#define SECONDS_PER_BLOCK 12
#define RECEIPT_BYTES_MAX ((size_t)1 << 28)

/* Codes of execution-apis. */
enum simulate_code {
    CODE_NONCE_TOO_LOW = -38010,
    CODE_NONCE_TOO_HIGH = -38011,
    CODE_FEE_TOO_LOW = -38012,
    CODE_INTRINSIC_GAS = -38013,
    CODE_FUNDS = -38014,
    CODE_BLOCK_GAS = -38015,
    CODE_NUMBER_ORDER = -38020,
    CODE_TIME_ORDER = -38021,
    CODE_NOT_EOA = -38024,
    CODE_INITCODE_SIZE = -38025,
    CODE_TOO_MANY_BLOCKS = -38026,
};

static int code_of(enum sb_tx_reject reject)
{
    static const struct {
        enum sb_tx_reject reject;
        int code;
    } codes[] = {
        {SB_TX_REJECT_NONCE_TOO_LOW, CODE_NONCE_TOO_LOW},
        {SB_TX_REJECT_NONCE_TOO_HIGH, CODE_NONCE_TOO_HIGH},
        {SB_TX_REJECT_FEE_BELOW_BASE, CODE_FEE_TOO_LOW},
        {SB_TX_REJECT_INTRINSIC_GAS, CODE_INTRINSIC_GAS},
        {SB_TX_REJECT_FLOOR_GAS, CODE_INTRINSIC_GAS},
        {SB_TX_REJECT_FUNDS, CODE_FUNDS},
        {SB_TX_REJECT_BLOCK_GAS, CODE_BLOCK_GAS},
        {SB_TX_REJECT_SENDER_NOT_EOA, CODE_NOT_EOA},
        {SB_TX_REJECT_INITCODE_SIZE, CODE_INITCODE_SIZE},
        {SB_TX_REJECT_TIP_ABOVE_FEE, SB_RPC_INVALID_PARAMS},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].reject == reject) {
            return codes[i].code;
        }
    }
    return SB_RPC_INTERNAL;
}

/* ---- the plan: numbers and times ---- */

/* plan_one: fill the gap before a block, then place the block. */
static sb_err plan_one(struct sb_simulator *s, const struct sb_rpc_simulate_block *wanted,
                       uint64_t *number, uint64_t *time)
{
    static const struct sb_rpc_simulate_block nothing = {.call_count = 0};
    const struct sb_rpc_block_override *o = &wanted->block_override;
    uint64_t first = s->base.number;
    uint64_t target = o->has_number ? o->number : *number + 1;
    if (target <= *number) {
        return sb_backend_fail(s->failure, SB_E_ARG, CODE_NUMBER_ORDER,
                               "block numbers must be in order: %llu <= %llu",
                               (unsigned long long)target, (unsigned long long)*number);
    }
    if (target - first > BLOCKS_MAX) {
        return sb_backend_fail(s->failure, SB_E_LIMIT, CODE_TOO_MANY_BLOCKS, "too many blocks");
    }
    while (*number + 1 < target) {
        *number += 1;
        *time += SECONDS_PER_BLOCK;
        s->plan[s->plan_count++] = (struct sb_simulate_plan){&nothing, *number, *time};
    }
    uint64_t at = o->has_time ? o->time : *time + SECONDS_PER_BLOCK;
    if (at <= *time) {
        return sb_backend_fail(s->failure, SB_E_ARG, CODE_TIME_ORDER,
                               "block timestamps must be in order: %llu <= %llu",
                               (unsigned long long)at, (unsigned long long)*time);
    }
    *number = target;
    *time = at;
    s->plan[s->plan_count++] = (struct sb_simulate_plan){wanted, target, at};
    return SB_OK;
}

static sb_err make_plan(struct sb_simulator *s)
{
    uint64_t number = s->base.number;
    uint64_t time = s->base.timestamp;
    s->plan = sb_arena_array(s->arena, BLOCKS_MAX, sizeof *s->plan);
    s->hashes = sb_arena_array(s->arena, BLOCKS_MAX, sizeof *s->hashes);
    if (s->plan == NULL || s->hashes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < s->request->block_count; i++) {
        SB_TRY(plan_one(s, &s->request->blocks[i], &number, &time));
    }
    return SB_OK;
}

/* ---- the view: hashes of simulated blocks ---- */

static sb_err read_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    const struct sb_simulator *s = ctx;
    if (number > s->base.number) {
        uint64_t index = number - s->base.number - 1;
        memset(ret_hash, 0, sizeof *ret_hash);
        if (index < s->done_count) {
            *ret_hash = s->hashes[index];
        }
        return SB_OK;
    }
    if (number == s->base.number) {
        *ret_hash = s->base_hash;
        return SB_OK;
    }
    return s->state.at->block_hash(s->state.at->ctx, number, ret_hash);
}

static sb_err read_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    const struct sb_simulator *s = ctx;
    return s->state.at->account(s->state.at->ctx, addr, ret_account, ret_exists);
}

static sb_err read_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    const struct sb_simulator *s = ctx;
    return s->state.at->storage(s->state.at->ctx, addr, key, ret_value);
}

static sb_err read_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    const struct sb_simulator *s = ctx;
    return s->state.at->code(s->state.at->ctx, code_hash, ret_code);
}

static sb_err read_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    const struct sb_simulator *s = ctx;
    return s->state.at->blob(s->state.at->ctx, id, ret_data);
}

/* ---- one call ---- */

/* gas_of: the limit of a call: what the block has left, unless named; never more than the whole simulation may still use. */
static sb_err gas_of(uint64_t *ret_gas, struct sb_simulator *s, const struct sb_rpc_call *call)
{
    uint64_t used = sb_executor_gas_used(s->x);
    uint64_t gas = call->has_gas ? call->gas : s->env.gas_limit - used;
    if (gas > s->env.gas_limit - used) {
        return sb_backend_fail(s->failure, SB_E_ARG, CODE_BLOCK_GAS,
                               "block gas limit reached: %llu >= %llu", (unsigned long long)used,
                               (unsigned long long)s->env.gas_limit);
    }
    *ret_gas = gas < s->gas_left ? gas : s->gas_left;
    return SB_OK;
}

static struct sb_query_tx tx_of(struct sb_simulator *s, const struct sb_rpc_call *call,
                                uint64_t gas)
{
    struct sb_query_tx q = sb_query_tx_of(&s->rules, call, gas);
    q.tx.gas_limit = gas;
    q.tx.nonce =
        call->has_nonce ? call->nonce : sb_overlay_nonce(sb_executor_state(s->x), &call->from);
    if (s->request->validation) {
        q.relax.skip_nonce = false;
        q.relax.skip_base_fee = false;
    }
    return q;
}

static sb_err copy_result(struct sb_simulated_call *done, struct sb_simulator *s)
{
    struct sb_tx_result *r = &done->result;
    const uint8_t *output = sb_arena_dup(s->arena, r->output);
    struct sb_log *logs = sb_arena_array(s->arena, r->log_count, sizeof *logs);
    if (output == NULL || logs == NULL) {
        return SB_E_NOMEM;
    }
    r->output.data = output;
    for (size_t i = 0; i < r->log_count; i++) {
        logs[i] = r->logs[i];
        const uint8_t *data = sb_arena_dup(s->arena, logs[i].data);
        if (data == NULL) {
            return SB_E_NOMEM;
        }
        logs[i].data.data = data;
    }
    r->logs = logs;
    done->shown_logs = logs;
    done->shown_log_count = r->log_count;
    return s->request->trace_transfers
               ? sb_transfer_log_take(&done->shown_logs, &done->shown_log_count, &s->transfers)
               : SB_OK;
}

static sb_err run_call(struct sb_simulated_call *done, struct sb_simulator *s,
                       const struct sb_rpc_call *call)
{
    uint64_t gas = 0;
    SB_TRY(gas_of(&gas, s, call));
    done->call = tx_of(s, call, gas);
    struct sb_tx run = done->call.tx;
    if (done->call.relax.skip_nonce) {
        run.nonce = 0; /* it is not looked at, but the greatest one is invalid in itself */
    }
    sb_transfer_log_begin(&s->transfers);
    SB_TRY(sb_executor_tx(&done->result, s->x, &run, &done->call.from, &done->call.relax));
    enum sb_tx_reject reject = done->result.reject;
    if (reject != SB_TX_ACCEPTED) {
        char why[256];
        sb_query_refusal(why, sizeof why, s->x, &s->rules, &s->env, &done->call, reject);
        return sb_backend_fail(s->failure, SB_E_ARG, code_of(reject), "err: %s (supplied gas %llu)",
                               why, (unsigned long long)gas);
    }
    if (done->result.status == SB_EVM_STOPPED || atomic_load(s->stop)) {
        return SB_E_TIMEOUT;
    }
    s->gas_left -= done->result.gas_used < s->gas_left ? done->result.gas_used : s->gas_left;
    return copy_result(done, s);
}

/* ---- one block ---- */

/* enter_block: header and environment before the calls. */
static sb_err enter_block(struct sb_simulator *s, const struct sb_simulate_plan *plan)
{
    const struct sb_rpc_block_override *o = &plan->wanted->block_override;
    const struct sb_header *parent = &s->header;
    struct sb_header h = {.field_count = SB_HEADER_FIELDS_PRAGUE,
                          .parent_hash = s->parent_hash,
                          .uncles_hash = sb_hash_empty_list,
                          .coinbase = s->base.coinbase,
                          .number = plan->number,
                          .gas_limit = s->base.gas_limit,
                          .timestamp = plan->time,
                          .withdrawals_root = sb_hash_empty_trie,
                          .requests_hash = sb_hash_sha256_empty};
    h.coinbase = o->has_fee_recipient ? o->fee_recipient : h.coinbase;
    h.gas_limit = o->has_gas_limit ? o->gas_limit : h.gas_limit;
    if (o->has_prev_randao) {
        h.mix_hash = o->prev_randao;
    }
    if (o->has_base_fee) {
        h.base_fee = o->base_fee;
    } else if (s->request->validation) {
        h.base_fee = sb_base_fee_next(parent->gas_limit, parent->gas_used, &parent->base_fee);
    }
    s->header = h;
    s->env = sb_chain_env(&h);
    if (o->has_blob_base_fee) {
        s->env.blob_base_fee = o->blob_base_fee;
    }
    s->moves = (struct sb_precompile_moves){.count = 0};
    s->rules.moves = NULL;
    SB_TRY(sb_query_moves_add(&s->moves, s->arena, &s->rules, plan->wanted->overrides,
                              plan->wanted->override_count, s->failure));
    s->rules.moves = &s->moves;
    sb_query_state_override(sb_executor_state(s->x), plan->wanted->overrides,
                            plan->wanted->override_count);
    return sb_executor_begin(s->x);
}

/* leave_block: roots and hash. */
static sb_err leave_block(struct sb_simulator *s, struct sb_simulated_block *b)
{
    struct sb_buf buf;
    sb_buf_init(&buf, RECEIPT_BYTES_MAX);
    sb_err err = sb_simulated_block_roots(&s->header, b, s->arena, &buf);
    sb_buf_fini(&buf);
    SB_TRY(err);
    s->header.gas_used = sb_executor_gas_used(s->x);
    SB_TRY(sb_simulator_state_root(&s->header.state_root, s));
    SB_TRY(sb_simulated_block_finish(b, s->arena, &s->header));
    s->parent_hash = b->pub.hash;
    s->hashes[s->done_count++] = b->pub.hash;
    return SB_OK;
}

static sb_err run_block(struct sb_simulated_block *b, struct sb_simulator *s,
                        const struct sb_simulate_plan *plan)
{
    size_t count = plan->wanted->call_count;
    *b = (struct sb_simulated_block){.call_count = count};
    b->calls = sb_arena_zalloc(s->arena, count * sizeof *b->calls);
    if (b->calls == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(enter_block(s, plan));
    for (size_t i = 0; i < count; i++) {
        SB_TRY(run_call(&b->calls[i], s, &plan->wanted->calls[i]));
    }
    SB_TRY(leave_block(s, b));
    sb_executor_next(s->x);
    return atomic_load(s->stop) ? SB_E_TIMEOUT : SB_OK;
}

static sb_err run_blocks(struct sb_simulator *s, struct sb_json *out)
{
    SB_TRY(make_plan(s));
    sb_json_array_begin(out);
    for (size_t i = 0; i < s->plan_count; i++) {
        struct sb_simulated_block block;
        SB_TRY(run_block(&block, s, &s->plan[i]));
        sb_simulated_block_write(out, &block, s->request->return_full_transactions);
        SB_TRY(sb_buf_err(out->buf));
    }
    sb_json_array_end(out);
    return SB_OK;
}

static sb_err simulate(struct sb_simulator *s, struct sb_json *out)
{
    s->base = s->state.block->block.header;
    s->base_hash = s->state.block->hash;
    s->header = s->base;
    s->parent_hash = s->base_hash;
    s->view = (struct sb_state_view){.ctx = s,
                                     .account = read_account,
                                     .storage = read_storage,
                                     .code = read_code,
                                     .blob = read_blob,
                                     .block_hash = read_block_hash};
    s->x = sb_executor_new(&s->view, &s->rules, &s->env, sb_chain_inference(s->backend->chain));
    if (s->x == NULL) {
        return SB_E_NOMEM;
    }
    sb_executor_set_call(s->x);
    sb_executor_set_stop(s->x, s->stop);
    sb_transfer_log_init(&s->transfers, s->arena, sb_executor_state(s->x));
    const struct sb_tracer tracer = sb_transfer_log_tracer(&s->transfers);
    if (s->request->trace_transfers) {
        sb_executor_set_tracer(s->x, &tracer);
    }
    sb_err err = run_blocks(s, out);
    sb_executor_free(s->x);
    return err;
}

sb_err sb_query_simulate(void *ctx, struct sb_arena *arena,
                         const struct sb_rpc_simulation *simulation, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct sb_simulator *s = sb_arena_zalloc(arena, sizeof *s);
    if (s == NULL) {
        return SB_E_NOMEM;
    }
    s->backend = b;
    s->arena = arena;
    s->request = simulation;
    s->stop = stop;
    s->failure = failure;
    s->rules = *sb_chain_rules(b->chain);
    s->gas_left = b->options.call_gas_max;
    SB_TRY(sb_backend_state_open(&s->state, b, &simulation->block, failure));
    sb_err err = simulate(s, out);
    sb_backend_state_close(b, &s->state);
    return err;
}
