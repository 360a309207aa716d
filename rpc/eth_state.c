/* eth_state.c: accounts, code, storage and proofs at a block. */
#include "base/codec/hex.h"
#include "rpc/access.h"

#define SLOTS_MAX 1024 /* of one eth_getStorageValues */

/* An account at the block that argument `block_arg` names. The state stays open for more reads; the caller puts it back. */
static sb_err open_account(struct sb_rpc_ctx *ctx, struct sb_rpc_state *ret_state,
                           struct sb_account *ret_account, sb_addr *ret_addr, unsigned block_arg)
{
    struct sb_rpc_block_ref ref;
    struct sb_rpc_state state;
    bool exists = false;
    SB_TRY(sb_rpc_args(ctx, block_arg, block_arg + 1));
    SB_TRY(sb_rpc_read_addr(ctx, ret_addr, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, block_arg)));
    SB_TRY(sb_rpc_state_get(ctx, &state, &ref));
    sb_err err = state.view->account(state.view->ctx, ret_addr, ret_account, &exists);
    if (err != SB_OK) {
        sb_rpc_state_put(ctx, state);
        return err;
    }
    *ret_state = state;
    return SB_OK;
}

sb_err sb_rpc_do_eth_getBalance(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_state state;
    struct sb_account account;
    sb_addr addr;
    SB_TRY(open_account(ctx, &state, &account, &addr, 1));
    sb_json_quantity_u256(ctx->out, &account.balance);
    sb_rpc_state_put(ctx, state);
    return SB_OK;
}

/* For the pending block the pool counts on from the nonce of the newest state. */
sb_err sb_rpc_do_eth_getTransactionCount(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_state state;
    struct sb_rpc_block_ref ref;
    struct sb_account account;
    sb_addr addr;
    bool exists = false;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_addr(ctx, &addr, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 1)));
    bool pending = ref.by == SB_RPC_BY_TAG && ref.tag == SB_RPC_PENDING;
    ref.tag = pending ? SB_RPC_LATEST : ref.tag;
    SB_TRY(sb_rpc_state_get(ctx, &state, &ref));
    sb_err err = state.view->account(state.view->ctx, &addr, &account, &exists);
    sb_rpc_state_put(ctx, state);
    SB_TRY(err);
    sb_json_quantity_u64(ctx->out, pending ? backend->pool_nonce(backend->ctx, &addr, account.nonce)
                                           : account.nonce);
    return SB_OK;
}

sb_err sb_rpc_do_eth_getCode(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_state state;
    struct sb_account account;
    sb_bytes code;
    sb_addr addr;
    SB_TRY(open_account(ctx, &state, &account, &addr, 1));
    sb_err err = state.view->code(state.view->ctx, &account.code_hash, &code);
    if (err == SB_OK) {
        sb_json_hex(ctx->out, code);
    }
    sb_rpc_state_put(ctx, state);
    return err;
}

static sb_err write_slot(struct sb_rpc_ctx *ctx, struct sb_rpc_state state, const sb_addr *addr,
                         const sb_hash *key)
{
    sb_u256 value;
    uint8_t word[32];
    SB_TRY(state.view->storage(state.view->ctx, addr, key, &value));
    sb_u256_store_be(word, &value);
    sb_json_hex(ctx->out, sb_span(word, sizeof word));
    return SB_OK;
}

sb_err sb_rpc_do_eth_getStorageAt(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_state state;
    struct sb_account account;
    sb_addr addr;
    sb_hash key;
    SB_TRY(sb_rpc_args(ctx, 2, 3));
    SB_TRY(sb_rpc_read_addr(ctx, &addr, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_slot_key(ctx, &key, sb_rpc_arg(ctx, 1)));
    SB_TRY(open_account(ctx, &state, &account, &addr, 2));
    sb_err err = write_slot(ctx, state, &addr, &key);
    sb_rpc_state_put(ctx, state);
    return err;
}

/* ---- eth_getStorageValues: {address: [key, ...]} -> {address: [value, ...]} ---- */

static sb_err write_account_slots(struct sb_rpc_ctx *ctx, struct sb_rpc_state state,
                                  const char *name, struct sb_rpc_value keys, size_t *slots_left)
{
    sb_addr addr;
    if (sb_hex_parse(addr.b, sizeof addr.b, name, strlen(name)) != SB_OK) {
        return sb_rpc_bad_param(ctx, keys, "key \"%.80s\" is not an address", name);
    }
    size_t count = json_array_size(keys.json);
    if (!json_is_array(keys.json) || count == 0) {
        return sb_rpc_bad_param(ctx, keys, "want an array of storage keys for each address");
    }
    if (count > *slots_left) {
        return sb_rpc_bad_param(ctx, keys, "too many slots, at most %d", SLOTS_MAX);
    }
    *slots_left -= count;
    sb_json_key(ctx->out, name);
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value one = {
            .json = json_array_get(keys.json, i), .arg = keys.arg, .field = keys.field};
        sb_hash key;
        SB_TRY(sb_rpc_read_slot_key(ctx, &key, one));
        SB_TRY(write_slot(ctx, state, &addr, &key));
    }
    sb_json_array_end(ctx->out);
    return SB_OK;
}

static sb_err write_storage_values(struct sb_rpc_ctx *ctx, struct sb_rpc_state state,
                                   struct sb_rpc_value wanted)
{
    size_t slots_left = SLOTS_MAX;
    sb_json_object_begin(ctx->out);
    for (void *at = sb_rpc_object_first(wanted); at != NULL; at = sb_rpc_object_next(wanted, at)) {
        struct sb_rpc_value keys = {
            .json = json_object_iter_value(at), .arg = wanted.arg, .field = wanted.field};
        SB_TRY(write_account_slots(ctx, state, json_object_iter_key(at), keys, &slots_left));
    }
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_eth_getStorageValues(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref;
    struct sb_rpc_state state;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    struct sb_rpc_value wanted = sb_rpc_arg(ctx, 0);
    if (!json_is_object(wanted.json) || json_object_size(wanted.json) == 0) {
        return sb_rpc_bad_param(ctx, wanted, "want an object of storage keys by address");
    }
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 1)));
    SB_TRY(sb_rpc_state_get(ctx, &state, &ref));
    sb_err err = write_storage_values(ctx, state, wanted);
    sb_rpc_state_put(ctx, state);
    return err;
}

/* ---- eth_getProof ---- */

static void put_nodes(struct sb_json *out, const char *name, const sb_bytes *nodes, size_t count)
{
    sb_json_key(out, name);
    sb_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_json_hex(out, nodes[i]);
    }
    sb_json_array_end(out);
}

/* Keys are shown as they were asked: a short key as a quantity, a whole word as 32 bytes. */
static void put_slot_key(struct sb_rpc_ctx *ctx, const struct sb_rpc_proof_slot *slot, size_t i)
{
    const char *asked = json_string_value(json_array_get(sb_rpc_arg(ctx, 1).json, i));
    if (asked != NULL && strlen(asked) == 66) {
        sb_json_hash(ctx->out, &slot->key);
    } else {
        sb_u256 key = sb_u256_load_be(slot->key.b, sizeof slot->key.b);
        sb_json_quantity_u256(ctx->out, &key);
    }
}

static void write_proof(struct sb_rpc_ctx *ctx, const sb_addr *addr,
                        const struct sb_rpc_proof *proof)
{
    struct sb_json *out = ctx->out;
    sb_json_object_begin(out);
    sb_json_key(out, "address");
    sb_json_addr(out, addr);
    put_nodes(out, "accountProof", proof->nodes, proof->node_count);
    sb_json_key(out, "balance");
    sb_json_quantity_u256(out, &proof->account.balance);
    sb_json_key(out, "codeHash");
    sb_json_hash(out, &proof->account.code_hash);
    sb_json_key(out, "nonce");
    sb_json_quantity_u64(out, proof->account.nonce);
    sb_json_key(out, "storageHash");
    sb_json_hash(out, &proof->storage_root);
    sb_json_key(out, "storageProof");
    sb_json_array_begin(out);
    for (size_t i = 0; i < proof->slot_count; i++) {
        sb_json_object_begin(out);
        sb_json_key(out, "key");
        put_slot_key(ctx, &proof->slots[i], i);
        sb_json_key(out, "value");
        sb_json_quantity_u256(out, &proof->slots[i].value);
        put_nodes(out, "proof", proof->slots[i].nodes, proof->slots[i].node_count);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
    sb_json_object_end(out);
}

sb_err sb_rpc_do_eth_getProof(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_block_ref ref;
    struct sb_rpc_proof proof;
    sb_addr addr;
    SB_TRY(sb_rpc_args(ctx, 2, 3));
    SB_TRY(sb_rpc_read_addr(ctx, &addr, sb_rpc_arg(ctx, 0)));
    struct sb_rpc_value list = sb_rpc_arg(ctx, 1);
    size_t count = json_array_size(list.json);
    if (!json_is_array(list.json) || count > SB_RPC_LIST_MAX) {
        return sb_rpc_bad_param(ctx, list, "want an array of at most %d storage keys",
                                SB_RPC_LIST_MAX);
    }
    sb_hash *keys = sb_arena_array(ctx->arena, count, sizeof *keys);
    if (keys == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value one = {
            .json = json_array_get(list.json, i), .arg = list.arg, .field = list.field};
        SB_TRY(sb_rpc_read_slot_key(ctx, &keys[i], one));
    }
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 2)));
    sb_err err =
        backend->proof(backend->ctx, ctx->arena, &ref, &addr, keys, count, &proof, ctx->failure);
    if (err == SB_E_NOT_FOUND && ctx->failure->code == 0) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "header not found");
    }
    SB_TRY(sb_rpc_or_server_error(ctx, err));
    write_proof(ctx, &addr, &proof);
    return SB_OK;
}
