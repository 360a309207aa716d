/* debug.c: encoded forms of what the chain holds, and traces, which the node writes itself. */
#include "rpc/access.h"

/* ---- encoded forms ---- */

static sb_err block_of_arg(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 0)));
    return sb_rpc_block_need(ctx, ret_block, &ref);
}

/* Shows the buffer as hex and frees it. */
static sb_err write_buf_take(struct sb_rpc_ctx *ctx, struct sb_buf *buf)
{
    sb_err err = sb_buf_err(buf);
    if (err == SB_OK) {
        sb_json_hex(ctx->out, sb_buf_bytes(buf));
    }
    sb_buf_fini(buf);
    return err;
}

sb_err sb_rpc_do_debug_getRawBlock(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_buf buf;
    SB_TRY(block_of_arg(ctx, &block));
    sb_buf_init(&buf, ctx->services->options.response_bytes_max);
    sb_block_encode(&buf, &block->block);
    sb_rpc_block_put(ctx, block);
    return write_buf_take(ctx, &buf);
}

sb_err sb_rpc_do_debug_getRawHeader(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_buf buf;
    SB_TRY(block_of_arg(ctx, &block));
    sb_buf_init(&buf, 4096);
    sb_header_encode(&buf, &block->block.header);
    sb_rpc_block_put(ctx, block);
    return write_buf_take(ctx, &buf);
}

sb_err sb_rpc_do_debug_getRawReceipts(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_buf buf;
    SB_TRY(block_of_arg(ctx, &block));
    sb_err err = SB_OK;
    sb_buf_init(&buf, ctx->services->options.response_bytes_max);
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < block->block.tx_count && block->receipts != NULL && err == SB_OK; i++) {
        sb_buf_reset(&buf);
        sb_receipt_encode(&buf, &block->receipts[i]);
        err = sb_buf_err(&buf);
        sb_json_hex(ctx->out, sb_buf_bytes(&buf));
    }
    sb_json_array_end(ctx->out);
    sb_buf_fini(&buf);
    sb_rpc_block_put(ctx, block);
    return err;
}

static sb_err write_raw_mined(struct sb_rpc_ctx *ctx, const sb_hash *hash)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_NUMBER};
    uint32_t index = 0;
    SB_TRY(backend->tx_place(backend->ctx, hash, &ref.number, &index));
    SB_TRY(sb_rpc_block_get(ctx, &block, &ref));
    bool ok = index < block->block.tx_count;
    if (ok) {
        sb_json_hex(ctx->out, block->block.raw_txs[index]);
    }
    sb_rpc_block_put(ctx, block);
    return ok ? SB_OK : SB_E_CORRUPT;
}

sb_err sb_rpc_do_debug_getRawTransaction(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_pool_tx tx;
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_hash(ctx, &hash, sb_rpc_arg(ctx, 0)));
    sb_err err = write_raw_mined(ctx, &hash);
    if (err != SB_E_NOT_FOUND) {
        return err;
    }
    err = backend->pool_tx(backend->ctx, ctx->arena, &hash, &tx);
    if (err == SB_OK) {
        sb_json_hex(ctx->out, tx.raw);
    } else if (err == SB_E_NOT_FOUND) {
        sb_json_hex(ctx->out, sb_span(NULL, 0));
        err = SB_OK;
    }
    return err;
}

/* ---- traces ---- */

sb_err sb_rpc_do_debug_traceTransaction(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_trace_config config;
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_hash(ctx, &hash, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_trace_config(ctx, &config, sb_rpc_arg(ctx, 1)));
    sb_err err = backend->trace_tx(backend->ctx, ctx->arena, &hash, &config, ctx->stop, ctx->out,
                                   ctx->failure);
    if (err == SB_E_NOT_FOUND && ctx->failure->code == 0) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "transaction not found");
    }
    return sb_rpc_or_server_error(ctx, err);
}

sb_err sb_rpc_do_debug_traceCall(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_query query = {.override_count = 0};
    struct sb_rpc_trace_config config;
    struct sb_rpc_value options = sb_rpc_arg(ctx, 2);
    SB_TRY(sb_rpc_args(ctx, 1, 3));
    SB_TRY(sb_rpc_read_call(ctx, &query.call, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &query.block, sb_rpc_arg(ctx, 1)));
    SB_TRY(sb_rpc_read_trace_config(ctx, &config, options));
    SB_TRY(sb_rpc_read_overrides(ctx, &query.overrides, &query.override_count,
                                 sb_rpc_member(options, "stateOverrides")));
    SB_TRY(sb_rpc_read_block_override(ctx, &query.block_override,
                                      sb_rpc_member(options, "blockOverrides")));
    uint64_t gas_max = ctx->services->options.call_gas_max;
    query.call.gas = query.call.has_gas && query.call.gas < gas_max ? query.call.gas : gas_max;
    query.call.has_gas = true;
    sb_err err = backend->trace_call(backend->ctx, ctx->arena, &query, &config, ctx->stop, ctx->out,
                                     ctx->failure);
    if (err == SB_E_NOT_FOUND && ctx->failure->code == 0) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "header not found");
    }
    return sb_rpc_or_server_error(ctx, err);
}

static sb_err trace_block(struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_trace_config config;
    SB_TRY(sb_rpc_read_trace_config(ctx, &config, sb_rpc_arg(ctx, 1)));
    SB_TRY(sb_rpc_block_need(ctx, &block, ref));
    bool is_genesis = block->block.header.number == 0;
    sb_rpc_block_put(ctx, block);
    if (is_genesis) {
        return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_SERVER_ERROR, "genesis is not traceable");
    }
    return sb_rpc_or_server_error(ctx, backend->trace_block(backend->ctx, ctx->arena, ref, &config,
                                                            ctx->stop, ctx->out, ctx->failure));
}

sb_err sb_rpc_do_debug_traceBlockByNumber(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    return trace_block(ctx, &ref);
}

sb_err sb_rpc_do_debug_traceBlockByHash(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH};
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_hash(ctx, &ref.hash, sb_rpc_arg(ctx, 0)));
    return trace_block(ctx, &ref);
}
