/* access.h: what handlers share: blocks and states by reference, with the failures that clients expect. */
#ifndef SB_RPC_ACCESS_H
#define SB_RPC_ACCESS_H

#include "rpc/format.h"
#include "rpc/params.h"

/* sb_rpc_block_get: a reference to the block, given back by sb_rpc_block_put. SB_E_NOT_FOUND without a failure: answer null; with one: a
 * number below the oldest block that is kept. */
sb_err sb_rpc_block_get(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block,
                        const struct sb_rpc_block_ref *ref) SB_MUST_USE;
void sb_rpc_block_put(struct sb_rpc_ctx *ctx, const struct sb_rpc_block *block);
/* sb_rpc_block_need: as sb_rpc_block_get, but an unknown block is the error "block ... not found". */
sb_err sb_rpc_block_need(struct sb_rpc_ctx *ctx, const struct sb_rpc_block **ret_block,
                         const struct sb_rpc_block_ref *ref) SB_MUST_USE;

/* sb_rpc_need_kept: SB_E_NOT_FOUND with the failure SB_RPC_PRUNED when blocks of this number are not kept. */
sb_err sb_rpc_need_kept(struct sb_rpc_ctx *ctx, uint64_t number) SB_MUST_USE;

/* A view of the state of one block. */
struct sb_rpc_state {
    const struct sb_state_view *view;
    void *handle;
};
sb_err sb_rpc_state_get(struct sb_rpc_ctx *ctx, struct sb_rpc_state *ret_state,
                        const struct sb_rpc_block_ref *ref) SB_MUST_USE;
void sb_rpc_state_put(struct sb_rpc_ctx *ctx, struct sb_rpc_state state);

/* sb_rpc_or_null: write null and return SB_OK when err is SB_E_NOT_FOUND and no failure was set; err otherwise. */
sb_err sb_rpc_or_null(struct sb_rpc_ctx *ctx, sb_err err) SB_MUST_USE;
/* sb_rpc_or_server_error: give a failure of the backend that came without a code the code -32000 and a message. */
sb_err sb_rpc_or_server_error(struct sb_rpc_ctx *ctx, sb_err err) SB_MUST_USE;

/* sb_rpc_head_number: the newest block. */
uint64_t sb_rpc_head_number(const struct sb_rpc_ctx *ctx);
/* sb_rpc_resolve_number: the number that a tag or number means; numbers are not limited to the head. */
uint64_t sb_rpc_resolve_number(const struct sb_rpc_ctx *ctx, const struct sb_rpc_block_ref *ref);

#endif
