/* net_web3.c: the network's and the program's identity. */
#include <stdio.h>

#include "base/crypto/keccak.h"
#include "rpc/access.h"

sb_err sb_rpc_do_net_version(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    char text[24];
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)backend->chain_id(backend->ctx));
    sb_json_str(ctx->out, text);
    return SB_OK;
}

sb_err sb_rpc_do_net_peerCount(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_quantity_u64(ctx->out, backend->peer_count(backend->ctx));
    return SB_OK;
}

sb_err sb_rpc_do_web3_clientVersion(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_str(ctx->out, ctx->services->options.client_version);
    return SB_OK;
}

sb_err sb_rpc_do_web3_sha3(struct sb_rpc_ctx *ctx)
{
    sb_bytes data;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_data(ctx, &data, sb_rpc_arg(ctx, 0)));
    sb_hash hash = sb_keccak256(data);
    sb_json_hash(ctx->out, &hash);
    return SB_OK;
}

sb_err sb_rpc_do_rpc_modules(struct sb_rpc_ctx *ctx)
{
    static const char *const modules[] = {"debug",   "eth",    "net", "rpc",
                                          "samebit", "txpool", "web3"};
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_json_object_begin(ctx->out);
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        sb_json_key(ctx->out, modules[i]);
        sb_json_str(ctx->out, "1.0");
    }
    sb_json_object_end(ctx->out);
    return SB_OK;
}
