/* operation.c: how the node is: pages for monitors (operation.h) and the methods that show the same and more. */
#include "rpc/operation.h"

#include "rpc/access.h"
#include "rpc/members.h"

static const char *const conditions[] = {
    [SB_RPC_READY] = "ready",           [SB_RPC_CATCHING_UP] = "catching up",
    [SB_RPC_ALONE] = "alone",           [SB_RPC_STANDING] = "standing still",
    [SB_RPC_NOT_VOTING] = "not voting", [SB_RPC_HALTED] = "halted",
    [SB_RPC_FAILED] = "failed",
};

static void put_bool(struct sb_json *out, const char *name, bool value)
{
    sb_json_key(out, name);
    sb_json_bool(out, value);
}

static void put_number(struct sb_json *out, const char *name, uint64_t value)
{
    sb_json_key(out, name);
    sb_json_u64(out, value);
}

/* Without a node that knows, the server itself is all that there is: it is ready. */
static struct sb_rpc_health health_of(const struct sb_rpc_services *services)
{
    const struct sb_rpc_backend *backend = &services->backend;
    if (backend->health == NULL) {
        uint64_t head = backend->head_number(backend->ctx);
        return (struct sb_rpc_health){.height = head, .best_height = head, .is_listening = true};
    }
    return backend->health(backend->ctx);
}

static uint64_t block_age_ms(const struct sb_rpc_health *health)
{
    return health->now_ms > health->last_block_ms ? health->now_ms - health->last_block_ms : 0;
}

/* ---- pages ---- */

bool sb_rpc_page_ready(const struct sb_rpc_services *services, struct sb_buf *out)
{
    struct sb_rpc_health health = health_of(services);
    struct sb_json json;
    sb_json_init(&json, out);
    sb_json_object_begin(&json);
    put_bool(&json, "ready", health.condition == SB_RPC_READY);
    put_text(&json, "status", conditions[health.condition]);
    if (health.reason[0] != '\0') {
        put_text(&json, "reason", health.reason);
    }
    put_number(&json, "height", health.height);
    put_number(&json, "bestHeight", health.best_height);
    put_number(&json, "lastBlockAgeMs", block_age_ms(&health));
    put_number(&json, "peers", health.peer_count);
    put_bool(&json, "validator", health.is_validator);
    put_bool(&json, "voting", health.is_voting);
    sb_json_object_end(&json);
    sb_buf_add_byte(out, '\n');
    return health.condition == SB_RPC_READY;
}

bool sb_rpc_page_metrics(const struct sb_rpc_services *services, struct sb_arena *arena,
                         const struct sb_rpc_counters *counters, struct sb_buf *out)
{
    const struct sb_rpc_backend *backend = &services->backend;
    if (backend->metrics == NULL) {
        return false;
    }
    struct sb_rpc_metrics metrics = {.head_number = 0};
    backend->metrics(backend->ctx, arena, &metrics);
    metrics.rpc_requests_total = counters->requests;
    metrics.rpc_errors_total = counters->errors;
    metrics.rpc_rejected_total = counters->rejected;
    metrics.rpc_connections = counters->connections;
    metrics.rpc_sessions = counters->sessions;
    metrics.rpc_sessions_dropped_total = counters->sessions_dropped;
    metrics.rpc_jobs_waiting = counters->jobs_waiting;
    sb_rpc_metrics_render(out, &metrics);
    return true;
}

/* ---- methods ---- */

/* false, or what geth gives while it fetches blocks. */
sb_err sb_rpc_do_eth_syncing(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    struct sb_rpc_health health = health_of(ctx->services);
    if (health.condition != SB_RPC_CATCHING_UP || health.best_height <= health.height) {
        sb_json_bool(ctx->out, false);
        return SB_OK;
    }
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "startingBlock", health.sync_begun_at);
    put_quantity(ctx->out, "currentBlock", health.height);
    put_quantity(ctx->out, "highestBlock", health.best_height);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_net_listening(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_bool(ctx->out, health_of(ctx->services).is_listening);
    return SB_OK;
}

sb_err sb_rpc_do_samebit_status(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    struct sb_rpc_health health = health_of(ctx->services);
    sb_json_object_begin(ctx->out);
    put_text(ctx->out, "clientVersion", ctx->services->options.client_version);
    put_quantity(ctx->out, "chainId", backend->chain_id(backend->ctx));
    put_text(ctx->out, "status", conditions[health.condition]);
    put_text(ctx->out, "reason", health.reason);
    put_quantity(ctx->out, "height", health.height);
    put_quantity(ctx->out, "bestHeight", health.best_height);
    put_bool(ctx->out, "syncing", health.condition == SB_RPC_CATCHING_UP);
    put_quantity(ctx->out, "lastBlockTimeMs", health.last_block_ms);
    put_quantity(ctx->out, "lastBlockAgeMs", block_age_ms(&health));
    put_quantity(ctx->out, "peers", health.peer_count);
    put_bool(ctx->out, "validator", health.is_validator);
    put_bool(ctx->out, "voting", health.is_voting);
    put_text(ctx->out, "nodeId", health.node_id);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

/* Argument: a block by number or tag: the set that decides it; none and `pending`: the block to come. Numbers reach two further than the
 * head. */
sb_err sb_rpc_do_samebit_getValidators(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_block_ref ref;
    struct sb_rpc_validators set;
    SB_TRY(sb_rpc_args(ctx, 0, 1));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    uint64_t height = sb_rpc_resolve_number(ctx, &ref);
    if (!sb_rpc_present(sb_rpc_arg(ctx, 0)) ||
        (ref.by == SB_RPC_BY_TAG && ref.tag == SB_RPC_PENDING)) {
        height = sb_rpc_head_number(ctx) + 1;
    }
    sb_err err = backend->validators(backend->ctx, ctx->arena, height, &set);
    if (err == SB_E_NOT_FOUND) {
        SB_TRY(sb_rpc_need_kept(ctx, height));
    }
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "height", set.height);
    sb_json_key(ctx->out, "hash");
    sb_json_hash(ctx->out, &set.hash);
    put_quantity(ctx->out, "totalPower", set.total_power);
    sb_json_key(ctx->out, "validators");
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < set.count; i++) {
        const struct sb_rpc_validator *v = &set.validators[i];
        sb_json_object_begin(ctx->out);
        put_quantity(ctx->out, "index", i);
        sb_json_key(ctx->out, "address");
        sb_json_addr(ctx->out, &v->address);
        put_text(ctx->out, "keyType", v->key_type == 1 ? "ed25519" : "unknown");
        sb_json_key(ctx->out, "publicKey");
        sb_json_hex(ctx->out, v->public_key);
        put_quantity(ctx->out, "power", v->power);
        if (v->has_operator) {
            sb_json_key(ctx->out, "operator");
            sb_json_addr(ctx->out, &v->operator_addr);
        }
        sb_json_object_end(ctx->out);
    }
    sb_json_array_end(ctx->out);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

/* Arguments: address of the operator or of the consensus key; block (latest). */
sb_err sb_rpc_do_samebit_getSigningInfo(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_signing_info info;
    struct sb_rpc_block_ref ref;
    sb_addr addr;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_addr(ctx, &addr, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 1)));
    sb_err err = backend->signing_info(backend->ctx, &addr, &ref, &info, ctx->failure);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "operator");
    sb_json_addr(ctx->out, &info.operator_addr);
    sb_json_key(ctx->out, "address");
    sb_json_addr(ctx->out, &info.consensus_addr);
    put_quantity(ctx->out, "missedBlocks", info.missed);
    put_quantity(ctx->out, "countedBlocks", info.counted);
    put_quantity(ctx->out, "window", info.window);
    put_quantity(ctx->out, "missedBlocksMax", info.missed_max);
    put_bool(ctx->out, "jailed", info.jailed);
    put_quantity(ctx->out, "jailedUntil", info.jailed_until);
    put_bool(ctx->out, "tombstoned", info.tombstoned);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_samebit_consensusState(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    return sb_rpc_or_server_error(ctx, backend->consensus_state(backend->ctx, ctx->out));
}
