/* query.c: the site of a query, one execution on it, eth_call, and the words of failures (see query.h).
 *
 * As in geth, a call runs in the environment of the block that it names, on the state after that block. */
#include "node/query.h"

#include <stdio.h>

#include "base/codec/abi.h"
#include "base/codec/hex.h"
#include "vm/evm/opcodes.h"
#include "vm/precompile/precompile.h"

#define ADDR_TEXT_BYTES SB_HEX_TEXT_BYTES(sizeof(sb_addr))
#define U256_TEXT_BYTES 80

/* ---- words ---- */

/* decimal: the number as geth prints big integers. */
static const char *decimal(char text[U256_TEXT_BYTES], const sb_u256 *value)
{
    const sb_u256 ten = sb_u256_from_u64(10);
    sb_u256 rest = *value;
    size_t at = U256_TEXT_BYTES - 1;
    text[at] = '\0';
    do {
        sb_u256 digit;
        sb_u256_divmod(&rest, &digit, &rest, &ten);
        text[--at] = (char)('0' + digit.w[0]);
    } while (!sb_u256_is_zero(&rest));
    return &text[at];
}

/* What the sender must have: all gas at the highest price, and the value. 2^256 - 1 when it passes that. */
static sb_u256 wanted_balance(const struct sb_query_tx *call)
{
    sb_u256 wanted;
    if (sb_u256_mul_u64(&wanted, &call->tx.max_fee, call->tx.gas_limit) ||
        sb_u256_add_carry(&wanted, &wanted, &call->tx.value)) {
        memset(&wanted, 0xff, sizeof wanted);
    }
    return wanted;
}

void sb_query_refusal(char *text, size_t text_bytes, struct sb_executor *x,
                      const struct sb_rules *rules, const struct sb_block_env *env,
                      const struct sb_query_tx *call, enum sb_tx_reject reject)
{
    const char *why = sb_tx_reject_text(reject);
    struct sb_overlay *state = sb_executor_state(x);
    const struct sb_intrinsic_gas need = sb_tx_intrinsic_gas(rules, &call->tx);
    char from[ADDR_TEXT_BYTES];
    char one[U256_TEXT_BYTES];
    char two[U256_TEXT_BYTES];
    (void)sb_hex_format(from, sb_span(call->from.b, sizeof call->from.b));
    if (reject == SB_TX_REJECT_FUNDS) {
        sb_u256 have = sb_overlay_balance(state, &call->from);
        sb_u256 want = wanted_balance(call);
        (void)snprintf(text, text_bytes, "%s: address %s have %s want %s", why, from,
                       decimal(one, &have), decimal(two, &want));
    } else if (reject == SB_TX_REJECT_NONCE_TOO_LOW || reject == SB_TX_REJECT_NONCE_TOO_HIGH) {
        (void)snprintf(text, text_bytes, "%s: address %s, tx: %llu state: %llu", why, from,
                       (unsigned long long)call->tx.nonce,
                       (unsigned long long)sb_overlay_nonce(state, &call->from));
    } else if (reject == SB_TX_REJECT_NONCE_MAX) {
        (void)snprintf(text, text_bytes, "%s: address %s, nonce: %llu", why, from,
                       (unsigned long long)call->tx.nonce);
    } else if (reject == SB_TX_REJECT_INTRINSIC_GAS || reject == SB_TX_REJECT_FLOOR_GAS) {
        (void)snprintf(
            text, text_bytes, "%s: have %llu, want %llu", why,
            (unsigned long long)call->tx.gas_limit,
            (unsigned long long)(reject == SB_TX_REJECT_FLOOR_GAS ? need.floor : need.gas));
    } else if (reject == SB_TX_REJECT_FEE_BELOW_BASE) {
        (void)snprintf(text, text_bytes, "%s: address %s, maxFeePerGas: %s, baseFee: %s", why, from,
                       decimal(one, &call->tx.max_fee), decimal(two, &env->base_fee));
    } else if (reject == SB_TX_REJECT_TIP_ABOVE_FEE) {
        (void)snprintf(text, text_bytes,
                       "%s: address %s, maxPriorityFeePerGas: %s, maxFeePerGas: %s", why, from,
                       decimal(one, &call->tx.max_priority_fee), decimal(two, &call->tx.max_fee));
    } else if (reject == SB_TX_REJECT_INITCODE_SIZE) {
        (void)snprintf(text, text_bytes, "%s: code size %zu limit %llu", why, call->tx.data.len,
                       (unsigned long long)rules->initcode_bytes_max);
    } else if (reject == SB_TX_REJECT_SENDER_NOT_EOA) {
        (void)snprintf(text, text_bytes, "%s: address %s, len(code): %zu", why, from,
                       sb_overlay_code(state, &call->from).len);
    } else {
        (void)snprintf(text, text_bytes, "%s", why);
    }
}

bool sb_query_revert_reason(char *text, size_t text_bytes, sb_bytes data)
{
    struct sb_abi_revert revert = sb_abi_read_revert(data);
    if (revert.kind == SB_ABI_REVERT_ERROR) {
        size_t len = revert.message.len < text_bytes - 1 ? revert.message.len : text_bytes - 1;
        sb_copy(text, revert.message.data, len);
        text[len] = '\0';
        return true;
    }
    if (revert.kind == SB_ABI_REVERT_PANIC) {
        (void)snprintf(text, text_bytes, "%s", sb_abi_panic_text(&revert.panic_code));
        return true;
    }
    return false;
}

void sb_query_revert_text(char *text, size_t text_bytes, sb_bytes data)
{
    char reason[SB_DIAG_TEXT_BYTES];
    if (sb_query_revert_reason(reason, sizeof reason, data)) {
        (void)snprintf(text, text_bytes, "execution reverted: %s", reason);
    } else {
        (void)snprintf(text, text_bytes, "execution reverted");
    }
}

void sb_query_opcode_text(char *text, size_t text_bytes, uint8_t opcode)
{
    if (opcode == SB_OP_INVALID) {
        (void)snprintf(text, text_bytes, "invalid opcode: INVALID");
    } else {
        (void)snprintf(text, text_bytes, "invalid opcode: opcode 0x%x not defined", opcode);
    }
}

sb_err sb_query_fail_refused(struct sb_rpc_failure *failure, const struct sb_query_outcome *outcome,
                             const struct sb_query_tx *call)
{
    return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR, "err: %s (supplied gas %llu)",
                           outcome->refusal, (unsigned long long)call->tx.gas_limit);
}

sb_err sb_query_fail_vm(struct sb_rpc_failure *failure, const struct sb_tx_result *result)
{
    if (result->status != SB_EVM_REVERT) {
        return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR, "%s",
                               sb_evm_status_text(result->status));
    }
    failure->code = SB_RPC_REVERTED;
    failure->has_data = true;
    failure->data = result->output;
    sb_query_revert_text(failure->message, sizeof failure->message, result->output);
    return SB_E_ARG;
}

/* ---- site ---- */

void sb_query_env_override(struct sb_block_env *env, const struct sb_rpc_block_override *o)
{
    env->number = o->has_number ? o->number : env->number;
    env->timestamp = o->has_time ? o->time : env->timestamp;
    env->gas_limit = o->has_gas_limit ? o->gas_limit : env->gas_limit;
    env->coinbase = o->has_fee_recipient ? o->fee_recipient : env->coinbase;
    env->prev_randao = o->has_prev_randao ? o->prev_randao : env->prev_randao;
    env->base_fee = o->has_base_fee ? o->base_fee : env->base_fee;
    env->blob_base_fee = o->has_blob_base_fee ? o->blob_base_fee : env->blob_base_fee;
}

void sb_query_state_override(struct sb_overlay *state,
                             const struct sb_rpc_account_override *overrides, size_t count)
{
    sb_overlay_tx_begin(state);
    for (size_t i = 0; i < count; i++) {
        const struct sb_rpc_account_override *o = &overrides[i];
        if (o->has_nonce) {
            sb_overlay_nonce_set(state, &o->addr, o->nonce);
        }
        if (o->has_code) {
            sb_overlay_code_set(state, &o->addr, o->code);
        }
        if (o->has_balance) {
            sb_overlay_balance_set(state, &o->addr, &o->balance);
        }
        if (o->has_state) {
            sb_overlay_storage_clear(state, &o->addr);
            for (size_t j = 0; j < o->state_count; j++) {
                sb_overlay_slot_set(state, &o->addr, &o->state[j].key, &o->state[j].value);
            }
        }
        for (size_t j = 0; j < o->state_diff_count; j++) {
            sb_overlay_slot_set(state, &o->addr, &o->state_diff[j].key, &o->state_diff[j].value);
        }
    }
    sb_overlay_tx_end(state);
}

/* moves_one: the entries that one override adds; list has room for two. */
static sb_err moves_one(struct sb_precompile_moves *moves, const struct sb_rules *rules,
                        const struct sb_rpc_account_override *o, struct sb_rpc_failure *failure)
{
    struct sb_rules before = *rules;
    before.moves = moves;
    bool is_precompile = sb_precompile_find(&before, &o->addr) != NULL;
    char text[ADDR_TEXT_BYTES];
    if (o->has_move_precompile_to) {
        if (!is_precompile) {
            return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                                   "account %s is not a precompile",
                                   sb_hex_format(text, sb_span(o->addr.b, sizeof o->addr.b)));
        }
        sb_addr from = o->addr;
        for (size_t i = moves->count; i > 0; i--) { /* it may have been moved there itself */
            if (sb_addr_equal(&moves->list[i - 1].at, &o->addr)) {
                from = moves->list[i - 1].from;
                break;
            }
        }
        moves->list[moves->count++] =
            (struct sb_precompile_move){.at = o->move_precompile_to, .from = from};
    }
    if (is_precompile) {
        moves->list[moves->count++] = (struct sb_precompile_move){.at = o->addr, .is_plain = true};
    }
    return SB_OK;
}

sb_err sb_query_moves_add(struct sb_precompile_moves *moves, struct sb_arena *arena,
                          const struct sb_rules *rules,
                          const struct sb_rpc_account_override *overrides, size_t count,
                          struct sb_rpc_failure *failure)
{
    if (count == 0) {
        return SB_OK;
    }
    struct sb_precompile_move *list = sb_arena_array(arena, moves->count + 2 * count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(list, moves->list, moves->count * sizeof *list);
    moves->list = list;
    for (size_t i = 0; i < count; i++) {
        SB_TRY(moves_one(moves, rules, &overrides[i], failure));
    }
    return SB_OK;
}

sb_err sb_query_site_open(struct sb_query_site *ret_site, struct sb_arena *arena,
                          struct sb_backend *backend, const struct sb_rpc_query *query,
                          struct sb_rpc_failure *failure)
{
    struct sb_query_site *s = ret_site;
    *s = (struct sb_query_site){.backend = backend,
                                .rules = *sb_chain_rules(backend->chain),
                                .overrides = query->overrides,
                                .override_count = query->override_count};
    SB_TRY(sb_query_moves_add(&s->moves, arena, &s->rules, query->overrides, query->override_count,
                              failure));
    s->rules.moves = &s->moves;
    SB_TRY(sb_backend_state_open(&s->state, backend, &query->block, failure));
    s->env = sb_chain_env(&s->state.block->block.header);
    sb_query_env_override(&s->env, &query->block_override);
    return SB_OK;
}

void sb_query_site_close(struct sb_query_site *site)
{
    sb_backend_state_close(site->backend, &site->state);
}

static const struct sb_rpc_account_override *find_override(const struct sb_query_site *site,
                                                           const sb_addr *addr)
{
    for (size_t i = site->override_count; i > 0; i--) {
        if (sb_addr_equal(&site->overrides[i - 1].addr, addr)) {
            return &site->overrides[i - 1];
        }
    }
    return NULL;
}

sb_err sb_query_balance(sb_u256 *ret_balance, const struct sb_query_site *site, const sb_addr *addr)
{
    const struct sb_rpc_account_override *o = find_override(site, addr);
    struct sb_account account;
    bool exists;
    SB_TRY(site->state.at->account(site->state.at->ctx, addr, &account, &exists));
    *ret_balance = o != NULL && o->has_balance ? o->balance : account.balance;
    return SB_OK;
}

sb_err sb_query_has_no_code(bool *ret_none, const struct sb_query_site *site, const sb_addr *addr)
{
    const struct sb_rpc_account_override *o = find_override(site, addr);
    struct sb_account account;
    bool exists;
    SB_TRY(site->state.at->account(site->state.at->ctx, addr, &account, &exists));
    *ret_none = o != NULL && o->has_code ? o->code.len == 0
                                         : sb_hash_equal(&account.code_hash, &sb_hash_keccak_empty);
    return SB_OK;
}

/* ---- one call ---- */

static enum sb_tx_type type_of(const struct sb_rpc_call *call)
{
    return call->has_authorizations ? SB_TX_SET_CODE
           : call->has_blob_hashes  ? SB_TX_BLOB
                                    : SB_TX_FEE_MARKET;
}

struct sb_query_tx sb_query_tx_of(const struct sb_rules *rules, const struct sb_rpc_call *call,
                                  uint64_t gas_default)
{
    struct sb_query_tx q = {
        .tx = {.type = type_of(call),
               .has_chain_id = true,
               .chain_id = rules->chain_id,
               .gas_limit = call->has_gas ? call->gas : gas_default,
               .max_fee = call->has_gas_price ? call->gas_price : call->max_fee,
               .max_priority_fee = call->has_gas_price ? call->gas_price : call->max_priority_fee,
               .is_create = !call->has_to,
               .to = call->to,
               .value = call->value,
               .data = call->data,
               .access_list = call->access_list,
               .access_count = call->access_count,
               .max_fee_per_blob_gas = call->max_fee_per_blob_gas,
               .blob_hashes = call->blob_hashes,
               .blob_hash_count = call->blob_hash_count,
               .authorizations = call->authorizations,
               .authorization_count = call->authorization_count},
        .from = call->from,
        .relax = {.skip_nonce = true, .skip_eoa_check = true, .skip_gas_cap = true}};
    q.relax.skip_base_fee =
        sb_u256_is_zero(&q.tx.max_fee) && sb_u256_is_zero(&q.tx.max_priority_fee);
    return q;
}

static sb_err execute_on(struct sb_query_outcome *outcome, struct sb_arena *arena,
                         struct sb_executor *x, const struct sb_query_site *site,
                         const struct sb_query_tx *call)
{
    struct sb_overlay *state = sb_executor_state(x);
    sb_query_state_override(state, site->overrides, site->override_count);
    SB_TRY(sb_overlay_err(state));
    SB_TRY(sb_executor_tx(&outcome->result, x, &call->tx, &call->from, &call->relax));
    outcome->refusal[0] = '\0';
    if (outcome->result.reject != SB_TX_ACCEPTED) {
        sb_query_refusal(outcome->refusal, sizeof outcome->refusal, x, &site->rules, &site->env,
                         call, outcome->result.reject);
        return sb_overlay_err(state);
    }
    const uint8_t *output = sb_arena_dup(arena, outcome->result.output);
    if (output == NULL) {
        return SB_E_NOMEM;
    }
    outcome->result.output.data = output;
    outcome->result.logs = NULL;
    outcome->result.log_count = 0;
    return SB_OK;
}

sb_err sb_query_execute(struct sb_query_outcome *ret_outcome, struct sb_arena *arena,
                        const struct sb_query_site *site, const struct sb_query_tx *call,
                        const struct sb_tracer *tracer, const atomic_bool *stop)
{
    struct sb_executor *x = sb_executor_new(site->state.at, &site->rules, &site->env,
                                            sb_chain_inference(site->backend->chain));
    if (x == NULL) {
        return SB_E_NOMEM;
    }
    sb_executor_set_call(x);
    sb_executor_set_stop(x, stop);
    sb_executor_set_tracer(x, tracer);
    sb_executor_set_missing_hook(x, sb_chain_log_missing_precompile, site->backend->chain);
    struct sb_query_outcome outcome;
    sb_err err = execute_on(&outcome, arena, x, site, call);
    sb_executor_free(x);
    SB_TRY(err);
    if (outcome.result.reject == SB_TX_ACCEPTED &&
        (outcome.result.status == SB_EVM_STOPPED || atomic_load(stop))) {
        return SB_E_TIMEOUT;
    }
    *ret_outcome = outcome;
    return SB_OK;
}

/* ---- eth_call ---- */

/* The last instruction of the outermost frame: why it could not be run. */
struct fault {
    uint8_t opcode;
    size_t stack_count;
};

static void note_fault(void *ctx, const struct sb_trace_step *step)
{
    struct fault *fault = ctx;
    if (step->depth == 1) {
        *fault = (struct fault){.opcode = step->opcode, .stack_count = step->stack_count};
    }
}

/* explain: failures whose words name the instruction are found by running the call once more. */
static sb_err explain(struct sb_rpc_failure *failure, struct sb_arena *arena,
                      const struct sb_query_site *site, const struct sb_query_tx *call,
                      const struct sb_tx_result *result, const atomic_bool *stop)
{
    sb_err err = sb_query_fail_vm(failure, result);
    if (result->status != SB_EVM_INVALID_OPCODE && result->status != SB_EVM_STACK_UNDERFLOW) {
        return err;
    }
    struct fault fault = {.opcode = 0};
    const struct sb_tracer tracer = {.ctx = &fault, .step = note_fault};
    struct sb_query_outcome again;
    SB_TRY(sb_query_execute(&again, arena, site, call, &tracer, stop));
    if (result->status == SB_EVM_INVALID_OPCODE) {
        sb_query_opcode_text(failure->message, sizeof failure->message, fault.opcode);
    } else {
        (void)snprintf(failure->message, sizeof failure->message, "stack underflow (%zu <=> %u)",
                       fault.stack_count, sb_opcode_stack_in(fault.opcode));
    }
    return err;
}

sb_err sb_query_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                     const atomic_bool *stop, sb_bytes *ret_output, uint64_t *ret_gas_used,
                     struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct sb_query_site site;
    *ret_gas_used = 0;
    SB_TRY(sb_query_site_open(&site, arena, b, query, failure));
    const struct sb_query_tx call =
        sb_query_tx_of(&site.rules, &query->call, b->options.call_gas_max);
    struct sb_query_outcome outcome;
    sb_err err = sb_query_execute(&outcome, arena, &site, &call, NULL, stop);
    if (err != SB_OK) {
        *ret_gas_used = err == SB_E_TIMEOUT ? call.tx.gas_limit : 0;
    } else if (outcome.result.reject != SB_TX_ACCEPTED) {
        err = sb_query_fail_refused(failure, &outcome, &call);
    } else {
        *ret_gas_used = outcome.result.gas_used;
        if (outcome.result.status == SB_EVM_SUCCESS) {
            *ret_output = outcome.result.output;
        } else {
            err = explain(failure, arena, &site, &call, &outcome.result, stop);
        }
    }
    sb_query_site_close(&site);
    return err;
}
