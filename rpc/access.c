/* access.c: see access.h. */
#include "rpc/access.h"

#include <stdio.h>

#include "base/codec/hex.h"

sb_err sb_rpc_block_get(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block,
                        const struct sb_rpc_block_ref *ref)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    sb_err err = backend->block(backend->ctx, ref, ret_block);
    if (err == SB_E_NOT_FOUND && ref->by == SB_RPC_BY_NUMBER) {
        SB_TRY(sb_rpc_need_kept(ctx, ref->number));
    }
    return err;
}

/* oldest_block: the lowest that is here. */
static uint64_t oldest_block(const struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    return backend->oldest_block != NULL ? backend->oldest_block(backend->ctx) : 0;
}

sb_err sb_rpc_need_kept(struct sb_rpc_ctx *ctx, uint64_t number)
{
    uint64_t oldest = oldest_block(ctx);
    if (number >= oldest) {
        return SB_OK;
    }
    return sb_rpc_fail(ctx, SB_E_NOT_FOUND, SB_RPC_PRUNED,
                       "pruned history unavailable: blocks below %llu are not kept by this node: "
                       "ask from there on, or another node",
                       (unsigned long long)oldest);
}

void sb_rpc_block_put(struct sb_rpc_ctx *ctx, const struct sb_rpc_block *block)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    backend->block_release(backend->ctx, block);
}

sb_err sb_rpc_block_need(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block,
                         const struct sb_rpc_block_ref *ref)
{
    sb_err err = sb_rpc_block_get(ctx, ret_block, ref);
    if (err != SB_E_NOT_FOUND || ctx->failure->code != 0) {
        return err;
    }
    if (ref->by == SB_RPC_BY_HASH) {
        char text[SB_HEX_TEXT_BYTES(32)];
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "block %s not found",
                           sb_hex_format(text, sb_span(ref->hash.b, 32)));
    }
    return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "block #%llu not found",
                       (unsigned long long)sb_rpc_resolve_number(ctx, ref));
}

sb_err sb_rpc_state_get(struct sb_rpc_ctx *ctx, struct sb_rpc_state *ret_state,
                        const struct sb_rpc_block_ref *ref)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    sb_err err =
        backend->state(backend->ctx, ref, &ret_state->view, &ret_state->handle, ctx->failure);
    if (err == SB_E_NOT_FOUND && ctx->failure->code == 0) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "header not found");
    }
    return err;
}

void sb_rpc_state_put(struct sb_rpc_ctx *ctx, struct sb_rpc_state state)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    backend->state_release(backend->ctx, state.handle);
}

sb_err sb_rpc_or_null(struct sb_rpc_ctx *ctx, sb_err err)
{
    if (err == SB_E_NOT_FOUND && ctx->failure->code == 0) {
        sb_json_null(ctx->out);
        return SB_OK;
    }
    return err;
}

sb_err sb_rpc_or_server_error(struct sb_rpc_ctx *ctx, sb_err err)
{
    if (err != SB_OK && ctx->failure->code == 0 && err != SB_E_TIMEOUT && err != SB_E_CANCELLED) {
        ctx->failure->code = SB_RPC_SERVER_ERROR;
        if (ctx->failure->message[0] == '\0') {
            (void)snprintf(ctx->failure->message, sizeof ctx->failure->message, "%s",
                           sb_err_text(err));
        }
    }
    return err;
}

uint64_t sb_rpc_head_number(const struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    return backend->head_number(backend->ctx);
}

uint64_t sb_rpc_resolve_number(const struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref)
{
    if (ref->by == SB_RPC_BY_NUMBER) {
        return ref->number;
    }
    return ref->tag == SB_RPC_EARLIEST ? oldest_block(ctx) : sb_rpc_head_number(ctx);
}
