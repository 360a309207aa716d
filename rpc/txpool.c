/* txpool.c: what waits in the pool, by sender and nonce; senders are keys with EIP-55 check sums, as geth prints them. */
#include <stdio.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "rpc/access.h"

sb_err sb_rpc_do_txpool_status(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    struct sb_rpc_pool_status status = backend->pool_status(backend->ctx);
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "pending");
    sb_json_quantity_u64(ctx->out, status.pending);
    sb_json_key(ctx->out, "queued");
    sb_json_quantity_u64(ctx->out, status.queued);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

/* EIP-55: a digit is upper case where the hash of the lower-case digits has a nibble of 8 or more. */
static void checksum_address(char ret[SB_HEX_TEXT_BYTES(20)], const sb_addr *addr)
{
    (void)sb_hex_format(ret, sb_span(addr->b, sizeof addr->b));
    sb_hash hash = sb_keccak256(sb_span(ret + 2, 40));
    for (size_t i = 0; i < 40; i++) {
        int nibble = hash.b[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
        if (nibble >= 8 && ret[i + 2] >= 'a') {
            ret[i + 2] = (char)(ret[i + 2] - 'a' + 'A');
        }
    }
}

typedef void (*write_fn)(struct sb_json *out, const struct sb_rpc_pool_tx *tx);

static void write_full(struct sb_json *out, const struct sb_rpc_pool_tx *tx)
{
    struct sb_rpc_tx_place nowhere = {.block_hash = NULL};
    sb_rpc_write_tx(out, &tx->tx, &tx->hash, &tx->sender, &nowhere);
}

/* "0xto: value wei + gas gas x price wei" */
static void write_short(struct sb_json *out, const struct sb_rpc_pool_tx *tx)
{
    char to[SB_HEX_TEXT_BYTES(20)] = "contract creation";
    char value[SB_U256_DECIMAL_BYTES];
    char price[SB_U256_DECIMAL_BYTES];
    char text[sizeof to + sizeof value + sizeof price + 64];
    if (!tx->tx.is_create) {
        checksum_address(to, &tx->tx.to);
    }
    sb_u256_format_decimal(value, &tx->tx.value);
    sb_u256_format_decimal(price, &tx->tx.max_fee);
    (void)snprintf(text, sizeof text, "%s: %s wei + %llu gas \xc3\x97 %s wei", to, value,
                   (unsigned long long)tx->tx.gas_limit, price);
    sb_json_str(out, text);
}

static void write_one(struct sb_json *out, const struct sb_rpc_pool_tx *tx, write_fn write)
{
    char nonce[24];
    (void)snprintf(nonce, sizeof nonce, "%llu", (unsigned long long)tx->tx.nonce);
    sb_json_key(out, nonce);
    write(out, tx);
}

/* {sender: {nonce: transaction}} of those that are queued or not; txs are ordered by sender. */
static void write_by_sender(struct sb_json *out, const struct sb_rpc_pool_tx *txs, size_t count,
                            bool queued, write_fn write)
{
    const sb_addr *sender = NULL;
    sb_json_object_begin(out);
    for (size_t i = 0; i < count; i++) {
        if (txs[i].queued != queued) {
            continue;
        }
        if (sender == NULL || !sb_addr_equal(sender, &txs[i].sender)) {
            char key[SB_HEX_TEXT_BYTES(20)];
            if (sender != NULL) {
                sb_json_object_end(out);
            }
            sender = &txs[i].sender;
            checksum_address(key, sender);
            sb_json_key(out, key);
            sb_json_object_begin(out);
        }
        write_one(out, &txs[i], write);
    }
    if (sender != NULL) {
        sb_json_object_end(out);
    }
    sb_json_object_end(out);
}

static sb_err write_pool(struct sb_rpc_ctx *ctx, write_fn write)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    const struct sb_rpc_pool_tx *txs = NULL;
    size_t count = 0;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    SB_TRY(backend->pool_content(backend->ctx, ctx->arena, NULL, &txs, &count));
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "pending");
    write_by_sender(ctx->out, txs, count, false, write);
    sb_json_key(ctx->out, "queued");
    write_by_sender(ctx->out, txs, count, true, write);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_txpool_content(struct sb_rpc_ctx *ctx)
{
    return write_pool(ctx, write_full);
}

sb_err sb_rpc_do_txpool_inspect(struct sb_rpc_ctx *ctx)
{
    return write_pool(ctx, write_short);
}

static void write_flat(struct sb_json *out, const struct sb_rpc_pool_tx *txs, size_t count,
                       bool queued)
{
    sb_json_object_begin(out);
    for (size_t i = 0; i < count; i++) {
        if (txs[i].queued == queued) {
            write_one(out, &txs[i], write_full);
        }
    }
    sb_json_object_end(out);
}

sb_err sb_rpc_do_txpool_contentFrom(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    const struct sb_rpc_pool_tx *txs = NULL;
    size_t count = 0;
    sb_addr sender;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_addr(ctx, &sender, sb_rpc_arg(ctx, 0)));
    SB_TRY(backend->pool_content(backend->ctx, ctx->arena, &sender, &txs, &count));
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "pending");
    write_flat(ctx->out, txs, count, false);
    sb_json_key(ctx->out, "queued");
    write_flat(ctx->out, txs, count, true);
    sb_json_object_end(ctx->out);
    return SB_OK;
}
