/* eth_tx.c: transactions: looking them up and submitting them. */
#include "rpc/access.h"

/* The block that holds a transaction, and its index. SB_E_NOT_FOUND when it is in no block. */
static sb_err find_mined(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block,
                         uint32_t *ret_index, const sb_hash *hash)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_NUMBER};
    uint32_t index = 0;
    const struct sb_rpc_block *block = NULL;
    SB_TRY(backend->tx_place(backend->ctx, hash, &ref.number, &index));
    SB_TRY(sb_rpc_block_get(ctx, &block, &ref));
    if (index >= block->block.tx_count) {
        sb_rpc_block_put(ctx, block);
        return SB_E_CORRUPT;
    }
    *ret_block = block;
    *ret_index = index;
    return SB_OK;
}

static sb_err write_mined(struct sb_rpc_ctx *ctx, const sb_hash *hash)
{
    const struct sb_rpc_block *block = NULL;
    uint32_t index = 0;
    SB_TRY(find_mined(ctx, &block, &index, hash));
    sb_rpc_write_block_tx(ctx->out, block, index);
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

static sb_err write_pooled(struct sb_rpc_ctx *ctx, const sb_hash *hash)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_pool_tx tx;
    struct sb_rpc_tx_place nowhere = {.block_hash = NULL};
    SB_TRY(backend->pool_tx(backend->ctx, ctx->arena, hash, &tx));
    sb_rpc_write_tx(ctx->out, &tx.tx, &tx.hash, &tx.sender, &nowhere);
    return SB_OK;
}

sb_err sb_rpc_do_eth_getTransactionByHash(struct sb_rpc_ctx *ctx)
{
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_hash(ctx, &hash, sb_rpc_arg(ctx, 0)));
    sb_err err = write_mined(ctx, &hash);
    if (err == SB_E_NOT_FOUND) {
        err = write_pooled(ctx, &hash);
    }
    if (err == SB_E_NOT_FOUND) {
        err = write_mined(
            ctx, &hash); /* it may have moved from the pool to a block between the two looks */
    }
    return sb_rpc_or_null(ctx, err);
}

sb_err sb_rpc_do_eth_getTransactionReceipt(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_block *block = NULL;
    uint32_t index = 0;
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_hash(ctx, &hash, sb_rpc_arg(ctx, 0)));
    sb_err err = find_mined(ctx, &block, &index, &hash);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    if (block->receipts == NULL) {
        sb_json_null(ctx->out);
    } else {
        sb_rpc_write_receipt(ctx->out, block, index);
    }
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

static sb_err write_at(struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref)
{
    const struct sb_rpc_block *block = NULL;
    uint64_t index = 0;
    SB_TRY(sb_rpc_read_u64(ctx, &index, sb_rpc_arg(ctx, 1)));
    sb_err err = sb_rpc_block_get(ctx, &block, ref);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    if (index < block->block.tx_count) {
        sb_rpc_write_block_tx(ctx->out, block, index);
    } else {
        sb_json_null(ctx->out);
    }
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

sb_err sb_rpc_do_eth_getTransactionByBlockHashAndIndex(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH};
    SB_TRY(sb_rpc_args(ctx, 2, 2));
    SB_TRY(sb_rpc_read_hash(ctx, &ref.hash, sb_rpc_arg(ctx, 0)));
    return write_at(ctx, &ref);
}

sb_err sb_rpc_do_eth_getTransactionByBlockNumberAndIndex(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 2, 2));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    return write_at(ctx, &ref);
}

sb_err sb_rpc_do_eth_sendRawTransaction(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    sb_bytes raw;
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_data(ctx, &raw, sb_rpc_arg(ctx, 0)));
    if (raw.len > SB_TX_BYTES_MAX) {
        return sb_rpc_fail(ctx, SB_E_LIMIT, SB_RPC_SERVER_ERROR,
                           "oversized data: transaction size %zu, limit %zu", raw.len,
                           SB_TX_BYTES_MAX);
    }
    SB_TRY(sb_rpc_or_server_error(ctx, backend->submit(backend->ctx, raw, &hash, ctx->failure)));
    sb_json_hash(ctx->out, &hash);
    return SB_OK;
}
