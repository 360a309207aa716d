/* params_call.c: the call object, state and block overrides, trace options and simulations. */
#include "base/codec/hex.h"
#include "rpc/params.h"

/* Reads an optional member: sets *has and calls the reader when it is there. */
#define OPTIONAL(reader, ret, has, object, name)                                                   \
    do {                                                                                           \
        struct sb_rpc_value optional_value_ = sb_rpc_member((object), (name));                     \
        if (sb_rpc_present(optional_value_)) {                                                     \
            SB_TRY(reader(ctx, (ret), optional_value_));                                           \
            (has) = true;                                                                          \
        }                                                                                          \
    } while (0)

static sb_err want_object(struct sb_rpc_ctx *ctx, struct sb_rpc_value value, const char *what)
{
    return json_is_object(value.json) ? SB_OK
                                      : sb_rpc_bad_param(ctx, value, "want an object: %s", what);
}

/* An array of at most count_max elements. */
static sb_err want_array(struct sb_rpc_ctx *ctx, size_t *ret_count, struct sb_rpc_value value,
                         size_t count_max)
{
    if (!json_is_array(value.json)) {
        return sb_rpc_bad_param(ctx, value, "want an array");
    }
    size_t count = json_array_size(value.json);
    if (count > count_max) {
        return sb_rpc_bad_param(ctx, value, "%zu elements, at most %zu are allowed", count,
                                count_max);
    }
    *ret_count = count;
    return SB_OK;
}

static struct sb_rpc_value element(struct sb_rpc_value list, size_t i)
{
    list.json = json_array_get(list.json, i);
    return list;
}

static sb_err read_hashes(struct sb_rpc_ctx *ctx, const sb_hash **ret, size_t *ret_count,
                          struct sb_rpc_value value)
{
    size_t count = 0;
    SB_TRY(want_array(ctx, &count, value, SB_RPC_LIST_MAX));
    sb_hash *list = sb_arena_array(ctx->arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_rpc_read_hash(ctx, &list[i], element(value, i)));
    }
    *ret = list;
    *ret_count = count;
    return SB_OK;
}

static sb_err read_access_list(struct sb_rpc_ctx *ctx, struct sb_rpc_call *call,
                               struct sb_rpc_value value)
{
    size_t count = 0;
    SB_TRY(want_array(ctx, &count, value, SB_RPC_LIST_MAX));
    struct sb_access_entry *list = sb_arena_array(ctx->arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value entry = element(value, i);
        SB_TRY(want_object(ctx, entry, "{address, storageKeys}"));
        SB_TRY(sb_rpc_read_addr(ctx, &list[i].addr, sb_rpc_member(entry, "address")));
        SB_TRY(read_hashes(ctx, &list[i].keys, &list[i].key_count,
                           sb_rpc_member(entry, "storageKeys")));
    }
    call->access_list = list;
    call->access_count = count;
    return SB_OK;
}

static sb_err read_authorization(struct sb_rpc_ctx *ctx, struct sb_authorization *ret,
                                 struct sb_rpc_value value)
{
    uint64_t parity = 0;
    struct sb_rpc_value y_parity = sb_rpc_member(value, "yParity");
    SB_TRY(want_object(ctx, value, "{chainId, address, nonce, yParity, r, s}"));
    SB_TRY(sb_rpc_read_u256(ctx, &ret->chain_id, sb_rpc_member(value, "chainId")));
    SB_TRY(sb_rpc_read_addr(ctx, &ret->addr, sb_rpc_member(value, "address")));
    SB_TRY(sb_rpc_read_u64(ctx, &ret->nonce, sb_rpc_member(value, "nonce")));
    SB_TRY(sb_rpc_read_u64(ctx, &parity,
                           sb_rpc_present(y_parity) ? y_parity : sb_rpc_member(value, "v")));
    if (parity > UINT8_MAX) {
        return sb_rpc_bad_param(ctx, y_parity, "want 0x0 or 0x1");
    }
    ret->y_parity = (uint8_t)parity;
    SB_TRY(sb_rpc_read_u256(ctx, &ret->r, sb_rpc_member(value, "r")));
    return sb_rpc_read_u256(ctx, &ret->s, sb_rpc_member(value, "s"));
}

static sb_err read_authorizations(struct sb_rpc_ctx *ctx, struct sb_rpc_call *call,
                                  struct sb_rpc_value value)
{
    size_t count = 0;
    SB_TRY(want_array(ctx, &count, value, SB_RPC_LIST_MAX));
    struct sb_authorization *list = sb_arena_array(ctx->arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_authorization(ctx, &list[i], element(value, i)));
    }
    call->authorizations = list;
    call->authorization_count = count;
    return SB_OK;
}

/* input and data mean the same; both are allowed only when equal. */
static sb_err read_input(struct sb_rpc_ctx *ctx, sb_bytes *ret, struct sb_rpc_value call)
{
    sb_bytes input = {.data = NULL, .len = 0};
    sb_bytes data = {.data = NULL, .len = 0};
    bool has_input = false;
    bool has_data = false;
    OPTIONAL(sb_rpc_read_data, &input, has_input, call, "input");
    OPTIONAL(sb_rpc_read_data, &data, has_data, call, "data");
    if (has_input && has_data && !sb_span_equal(input, data)) {
        return sb_rpc_bad_param(ctx, call,
                                "both \"data\" and \"input\" are set and not equal, use \"input\"");
    }
    *ret = has_input ? input : data;
    return SB_OK;
}

static sb_err check_fees(struct sb_rpc_ctx *ctx, const struct sb_rpc_call *call,
                         struct sb_rpc_value value)
{
    if (call->has_gas_price && (call->has_max_fee || call->has_max_priority_fee)) {
        return sb_rpc_bad_param(
            ctx, value, "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    }
    if (call->has_max_fee && call->has_max_priority_fee &&
        sb_u256_lt(&call->max_fee, &call->max_priority_fee)) {
        return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_SERVER_ERROR,
                           "max priority fee per gas higher than max fee per gas");
    }
    return SB_OK;
}

sb_err sb_rpc_read_call(struct sb_rpc_ctx *ctx, struct sb_rpc_call *ret, struct sb_rpc_value value)
{
    SB_TRY(want_object(ctx, value, "the transaction to run"));
    struct sb_rpc_call call = {.has_from = false};
    bool has_value = false;
    OPTIONAL(sb_rpc_read_addr, &call.from, call.has_from, value, "from");
    OPTIONAL(sb_rpc_read_addr, &call.to, call.has_to, value, "to");
    OPTIONAL(sb_rpc_read_u64, &call.gas, call.has_gas, value, "gas");
    OPTIONAL(sb_rpc_read_u256, &call.gas_price, call.has_gas_price, value, "gasPrice");
    OPTIONAL(sb_rpc_read_u256, &call.max_fee, call.has_max_fee, value, "maxFeePerGas");
    OPTIONAL(sb_rpc_read_u256, &call.max_priority_fee, call.has_max_priority_fee, value,
             "maxPriorityFeePerGas");
    OPTIONAL(sb_rpc_read_u256, &call.value, has_value, value, "value");
    OPTIONAL(sb_rpc_read_u64, &call.nonce, call.has_nonce, value, "nonce");
    OPTIONAL(sb_rpc_read_u64, &call.chain_id, call.has_chain_id, value, "chainId");
    OPTIONAL(sb_rpc_read_u256, &call.max_fee_per_blob_gas, call.has_max_fee_per_blob_gas, value,
             "maxFeePerBlobGas");
    SB_TRY(read_input(ctx, &call.data, value));
    struct sb_rpc_value access = sb_rpc_member(value, "accessList");
    struct sb_rpc_value authorizations = sb_rpc_member(value, "authorizationList");
    struct sb_rpc_value blobs = sb_rpc_member(value, "blobVersionedHashes");
    call.has_access_list = sb_rpc_present(access);
    call.has_authorizations = sb_rpc_present(authorizations);
    call.has_blob_hashes = sb_rpc_present(blobs);
    if (call.has_access_list) {
        SB_TRY(read_access_list(ctx, &call, access));
    }
    if (call.has_authorizations) {
        SB_TRY(read_authorizations(ctx, &call, authorizations));
    }
    if (call.has_blob_hashes) {
        SB_TRY(read_hashes(ctx, &call.blob_hashes, &call.blob_hash_count, blobs));
    }
    (void)has_value; /* absent means zero */
    SB_TRY(check_fees(ctx, &call, value));
    if (call.has_chain_id &&
        call.chain_id != ctx->services->backend.chain_id(ctx->services->backend.ctx)) {
        return sb_rpc_bad_param(ctx, value, "chainId does not match this chain's");
    }
    *ret = call;
    return SB_OK;
}

/* ---- overrides ---- */

static sb_err key_error(struct sb_rpc_ctx *ctx, struct sb_rpc_value object, const char *key,
                        const char *what)
{
    return sb_rpc_bad_param(ctx, object, "key \"%.80s\" is not %s", key, what);
}

static sb_err read_slots(struct sb_rpc_ctx *ctx, const struct sb_slot_diff **ret, size_t *ret_count,
                         struct sb_rpc_value value)
{
    SB_TRY(want_object(ctx, value, "slots"));
    size_t count = json_object_size(value.json);
    if (count > SB_RPC_OVERRIDES_MAX) {
        return sb_rpc_bad_param(ctx, value, "more than %d slots", SB_RPC_OVERRIDES_MAX);
    }
    struct sb_slot_diff *list = sb_arena_array(ctx->arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    size_t i = 0;
    for (void *at = sb_rpc_object_first(value); at != NULL;
         at = sb_rpc_object_next(value, at), i++) {
        const char *key = json_object_iter_key(at);
        struct sb_rpc_value slot = {
            .json = json_object_iter_value(at), .arg = value.arg, .field = value.field};
        sb_hash word;
        if (sb_hex_parse(list[i].key.b, sizeof list[i].key.b, key, strlen(key)) != SB_OK) {
            return key_error(ctx, value, key, "a storage key of 32 bytes");
        }
        SB_TRY(sb_rpc_read_hash(ctx, &word, slot));
        list[i].value = sb_u256_load_be(word.b, sizeof word.b);
    }
    *ret = list;
    *ret_count = count;
    return SB_OK;
}

static sb_err read_account_override(struct sb_rpc_ctx *ctx, struct sb_rpc_account_override *o,
                                    struct sb_rpc_value value)
{
    SB_TRY(want_object(ctx, value, "{balance, nonce, code, state, stateDiff}"));
    OPTIONAL(sb_rpc_read_u256, &o->balance, o->has_balance, value, "balance");
    OPTIONAL(sb_rpc_read_u64, &o->nonce, o->has_nonce, value, "nonce");
    OPTIONAL(sb_rpc_read_data, &o->code, o->has_code, value, "code");
    OPTIONAL(sb_rpc_read_addr, &o->move_precompile_to, o->has_move_precompile_to, value,
             "movePrecompileToAddress");
    struct sb_rpc_value state = sb_rpc_member(value, "state");
    struct sb_rpc_value diff = sb_rpc_member(value, "stateDiff");
    if (sb_rpc_present(state) && sb_rpc_present(diff)) {
        return sb_rpc_bad_param(ctx, value, "account has both 'state' and 'stateDiff'");
    }
    if (sb_rpc_present(state)) {
        SB_TRY(read_slots(ctx, &o->state, &o->state_count, state));
        o->has_state = true;
    }
    return sb_rpc_present(diff) ? read_slots(ctx, &o->state_diff, &o->state_diff_count, diff)
                                : SB_OK;
}

sb_err sb_rpc_read_overrides(struct sb_rpc_ctx *ctx, const struct sb_rpc_account_override **ret,
                             size_t *ret_count, struct sb_rpc_value value)
{
    *ret = NULL;
    *ret_count = 0;
    if (!sb_rpc_present(value)) {
        return SB_OK;
    }
    SB_TRY(want_object(ctx, value, "state overrides by address"));
    size_t count = json_object_size(value.json);
    if (count > SB_RPC_OVERRIDES_MAX) {
        return sb_rpc_bad_param(ctx, value, "more than %d accounts", SB_RPC_OVERRIDES_MAX);
    }
    struct sb_rpc_account_override *list = sb_arena_zalloc(ctx->arena, count * sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    size_t i = 0;
    for (void *at = sb_rpc_object_first(value); at != NULL;
         at = sb_rpc_object_next(value, at), i++) {
        const char *key = json_object_iter_key(at);
        if (sb_hex_parse(list[i].addr.b, sizeof list[i].addr.b, key, strlen(key)) != SB_OK) {
            return key_error(ctx, value, key, "an address");
        }
        struct sb_rpc_value account = {
            .json = json_object_iter_value(at), .arg = value.arg, .field = value.field};
        SB_TRY(read_account_override(ctx, &list[i], account));
    }
    *ret = list;
    *ret_count = count;
    return SB_OK;
}

sb_err sb_rpc_read_block_override(struct sb_rpc_ctx *ctx, struct sb_rpc_block_override *ret,
                                  struct sb_rpc_value value)
{
    struct sb_rpc_block_override o = {.has_number = false};
    if (sb_rpc_present(value)) {
        SB_TRY(want_object(ctx, value, "block overrides"));
        OPTIONAL(sb_rpc_read_u64, &o.number, o.has_number, value, "number");
        OPTIONAL(sb_rpc_read_u64, &o.time, o.has_time, value, "time");
        OPTIONAL(sb_rpc_read_u64, &o.gas_limit, o.has_gas_limit, value, "gasLimit");
        OPTIONAL(sb_rpc_read_addr, &o.fee_recipient, o.has_fee_recipient, value, "feeRecipient");
        OPTIONAL(sb_rpc_read_hash, &o.prev_randao, o.has_prev_randao, value, "prevRandao");
        OPTIONAL(sb_rpc_read_u256, &o.base_fee, o.has_base_fee, value, "baseFeePerGas");
        OPTIONAL(sb_rpc_read_u256, &o.blob_base_fee, o.has_blob_base_fee, value, "blobBaseFee");
    }
    *ret = o;
    return SB_OK;
}

sb_err sb_rpc_read_query(struct sb_rpc_ctx *ctx, struct sb_rpc_query *ret)
{
    SB_TRY(sb_rpc_args(ctx, 1, 4));
    SB_TRY(sb_rpc_read_call(ctx, &ret->call, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ret->block, sb_rpc_arg(ctx, 1)));
    SB_TRY(sb_rpc_read_overrides(ctx, &ret->overrides, &ret->override_count, sb_rpc_arg(ctx, 2)));
    return sb_rpc_read_block_override(ctx, &ret->block_override, sb_rpc_arg(ctx, 3));
}

/* ---- traces ---- */

static sb_err read_tracer(struct sb_rpc_ctx *ctx, enum sb_rpc_tracer *ret,
                          struct sb_rpc_value value)
{
    const char *name = "";
    if (sb_rpc_present(value)) {
        SB_TRY(sb_rpc_read_text(ctx, &name, value));
    }
    if (name[0] == '\0') {
        *ret = SB_RPC_TRACER_STRUCT_LOGS;
    } else if (strcmp(name, "callTracer") == 0) {
        *ret = SB_RPC_TRACER_CALL;
    } else if (strcmp(name, "prestateTracer") == 0) {
        *ret = SB_RPC_TRACER_PRESTATE;
    } else {
        return sb_rpc_bad_param(
            ctx, value,
            "unknown tracer \"%.40s\": callTracer, prestateTracer, or none for step logs", name);
    }
    return SB_OK;
}

sb_err sb_rpc_read_trace_config(struct sb_rpc_ctx *ctx, struct sb_rpc_trace_config *ret,
                                struct sb_rpc_value value)
{
    struct sb_rpc_trace_config c = {.tracer = SB_RPC_TRACER_STRUCT_LOGS};
    bool seen = false;
    if (sb_rpc_present(value)) {
        SB_TRY(want_object(ctx, value, "trace options"));
        SB_TRY(read_tracer(ctx, &c.tracer, sb_rpc_member(value, "tracer")));
        OPTIONAL(sb_rpc_read_bool, &c.disable_stack, seen, value, "disableStack");
        OPTIONAL(sb_rpc_read_bool, &c.disable_storage, seen, value, "disableStorage");
        OPTIONAL(sb_rpc_read_bool, &c.enable_memory, seen, value, "enableMemory");
        OPTIONAL(sb_rpc_read_bool, &c.enable_return_data, seen, value, "enableReturnData");
        OPTIONAL(sb_rpc_read_count, &c.step_limit, seen, value, "limit");
        struct sb_rpc_value inner = sb_rpc_member(value, "tracerConfig");
        if (sb_rpc_present(inner)) {
            SB_TRY(want_object(ctx, inner, "options of the tracer"));
            OPTIONAL(sb_rpc_read_bool, &c.only_top_call, seen, inner, "onlyTopCall");
            OPTIONAL(sb_rpc_read_bool, &c.with_log, seen, inner, "withLog");
            OPTIONAL(sb_rpc_read_bool, &c.diff_mode, seen, inner, "diffMode");
        }
    }
    (void)seen;
    *ret = c;
    return SB_OK;
}

/* ---- eth_simulateV1 ---- */

static sb_err read_simulate_block(struct sb_rpc_ctx *ctx, struct sb_rpc_simulate_block *ret,
                                  size_t *calls_left, struct sb_rpc_value value)
{
    SB_TRY(want_object(ctx, value, "{blockOverrides, stateOverrides, calls}"));
    SB_TRY(sb_rpc_read_block_override(ctx, &ret->block_override,
                                      sb_rpc_member(value, "blockOverrides")));
    SB_TRY(sb_rpc_read_overrides(ctx, &ret->overrides, &ret->override_count,
                                 sb_rpc_member(value, "stateOverrides")));
    struct sb_rpc_value calls = sb_rpc_member(value, "calls");
    size_t count = 0;
    if (sb_rpc_present(calls)) {
        SB_TRY(want_array(ctx, &count, calls, *calls_left));
    }
    struct sb_rpc_call *list = sb_arena_array(ctx->arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_rpc_read_call(ctx, &list[i], element(calls, i)));
    }
    *calls_left -= count;
    ret->calls = list;
    ret->call_count = count;
    return SB_OK;
}

sb_err sb_rpc_read_simulation(struct sb_rpc_ctx *ctx, struct sb_rpc_simulation *ret,
                              struct sb_rpc_value value)
{
    SB_TRY(want_object(ctx, value,
                       "{blockStateCalls, traceTransfers, validation, returnFullTransactions}"));
    struct sb_rpc_simulation s = {.block = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST}};
    struct sb_rpc_value blocks = sb_rpc_member(value, "blockStateCalls");
    bool seen = false;
    size_t calls_left = SB_RPC_SIMULATE_CALL_MAX;
    OPTIONAL(sb_rpc_read_bool, &s.trace_transfers, seen, value, "traceTransfers");
    OPTIONAL(sb_rpc_read_bool, &s.validation, seen, value, "validation");
    OPTIONAL(sb_rpc_read_bool, &s.return_full_transactions, seen, value, "returnFullTransactions");
    (void)seen;
    SB_TRY(want_array(ctx, &s.block_count, blocks, SIZE_MAX));
    if (s.block_count == 0) {
        return sb_rpc_bad_param(ctx, blocks, "empty input");
    }
    if (s.block_count > SB_RPC_SIMULATE_MAX) {
        return sb_rpc_fail(ctx, SB_E_LIMIT, -38026, "too many blocks: %zu, at most %d",
                           s.block_count, SB_RPC_SIMULATE_MAX);
    }
    struct sb_rpc_simulate_block *list = sb_arena_zalloc(ctx->arena, s.block_count * sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < s.block_count; i++) {
        SB_TRY(read_simulate_block(ctx, &list[i], &calls_left, element(blocks, i)));
    }
    s.blocks = list;
    *ret = s;
    return SB_OK;
}
