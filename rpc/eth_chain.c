/* eth_chain.c: the chain and its blocks. */
#include "base/codec/rlp.h"
#include "rpc/access.h"

sb_err sb_rpc_do_eth_chainId(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_quantity_u64(ctx->out, backend->chain_id(backend->ctx));
    return SB_OK;
}

sb_err sb_rpc_do_eth_blockNumber(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_quantity_u64(ctx->out, sb_rpc_head_number(ctx));
    return SB_OK;
}

sb_err sb_rpc_do_eth_accounts(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_array_begin(ctx->out);
    sb_json_array_end(ctx->out);
    return SB_OK;
}

static void put_range(struct sb_json *out, const char *name, uint64_t oldest)
{
    sb_json_key(out, name);
    sb_json_object_begin(out);
    sb_json_key(out, "disabled");
    sb_json_bool(out, false);
    sb_json_key(out, "oldestBlock");
    sb_json_quantity_u64(out, oldest);
    sb_json_object_end(out);
}

sb_err sb_rpc_do_eth_capabilities(struct sb_rpc_ctx *ctx)
{
    static const char *const kept[] = {"tx", "logs", "receipts", "blocks"};
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_header header;
    sb_hash hash;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    SB_TRY(backend->block_header(backend->ctx, sb_rpc_head_number(ctx), &header, &hash));
    uint64_t oldest_state = backend->oldest_state(backend->ctx);
    uint64_t oldest = backend->oldest_block != NULL ? backend->oldest_block(backend->ctx) : 0;
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "head");
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "number");
    sb_json_quantity_u64(ctx->out, header.number);
    sb_json_key(ctx->out, "hash");
    sb_json_hash(ctx->out, &hash);
    sb_json_object_end(ctx->out);
    put_range(ctx->out, "state", oldest_state);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        put_range(ctx->out, kept[i], oldest);
    }
    put_range(ctx->out, "stateproofs", oldest_state);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_eth_config(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    return backend->config(backend->ctx, ctx->out);
}

/* ---- blocks ---- */

static sb_err read_hash_ref(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret_ref)
{
    ret_ref->by = SB_RPC_BY_HASH;
    return sb_rpc_read_hash(ctx, &ret_ref->hash, sb_rpc_arg(ctx, 0));
}

static sb_err write_block(struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_value full = sb_rpc_arg(ctx, 1);
    bool full_txs = false;
    if (sb_rpc_present(full)) {
        SB_TRY(sb_rpc_read_bool(ctx, &full_txs, full));
    }
    sb_err err = sb_rpc_block_get(ctx, &block, ref);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_rpc_write_block(ctx->out, block, full_txs);
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

sb_err sb_rpc_do_eth_getBlockByNumber(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    return write_block(ctx, &ref);
}

sb_err sb_rpc_do_eth_getBlockByHash(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(read_hash_ref(ctx, &ref));
    return write_block(ctx, &ref);
}

/* What is counted in a block. */
typedef size_t (*count_fn)(const struct sb_rpc_block *block);

static size_t count_txs(const struct sb_rpc_block *block)
{
    return block->block.tx_count;
}

static size_t count_uncles(const struct sb_rpc_block *block)
{
    struct sb_rlp in = sb_rlp_open(block->block.raw_uncles);
    struct sb_rlp list;
    size_t count = 0;
    if (block->block.raw_uncles.len == 0 || sb_rlp_read_list(&list, &in) != SB_OK ||
        sb_rlp_count(&count, &list, 2) != SB_OK) {
        return 0;
    }
    return count;
}

static sb_err write_count(struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref,
                          count_fn count)
{
    const struct sb_rpc_block *block = NULL;
    sb_err err = sb_rpc_block_get(ctx, &block, ref);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_quantity_u64(ctx->out, count(block));
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

static sb_err count_by_number(struct sb_rpc_ctx *ctx, count_fn count)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    return write_count(ctx, &ref, count);
}

static sb_err count_by_hash(struct sb_rpc_ctx *ctx, count_fn count)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(read_hash_ref(ctx, &ref));
    return write_count(ctx, &ref, count);
}

sb_err sb_rpc_do_eth_getBlockTransactionCountByNumber(struct sb_rpc_ctx *ctx)
{
    return count_by_number(ctx, count_txs);
}

sb_err sb_rpc_do_eth_getBlockTransactionCountByHash(struct sb_rpc_ctx *ctx)
{
    return count_by_hash(ctx, count_txs);
}

sb_err sb_rpc_do_eth_getUncleCountByBlockNumber(struct sb_rpc_ctx *ctx)
{
    return count_by_number(ctx, count_uncles);
}

sb_err sb_rpc_do_eth_getUncleCountByBlockHash(struct sb_rpc_ctx *ctx)
{
    return count_by_hash(ctx, count_uncles);
}

sb_err sb_rpc_do_eth_getBlockReceipts(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_block_ref(ctx, &ref, sb_rpc_arg(ctx, 0)));
    sb_err err = sb_rpc_block_get(ctx, &block, &ref);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < block->block.tx_count && block->receipts != NULL; i++) {
        sb_rpc_write_receipt(ctx->out, block, i);
    }
    sb_json_array_end(ctx->out);
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}
