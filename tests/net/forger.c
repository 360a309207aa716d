/* forger.c: a node that lies when it proposes: linked in front of the real builder, it flips one bit of the state root of every block
 * that it builds and puts the rest in order, so that only execution shows the lie.
 *
 * The program is samebit itself, with this file and the linker's --wrap=sb_builder_build; the product holds none of it. */
#include "node/builder.h"

#include "base/types/block.h"

sb_err __real_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag);
sb_err __wrap_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag);

/* keep: what a buffer holds, in the arena. */
static sb_bytes keep(struct sb_arena *arena, const struct sb_buf *buf)
{
    return sb_span(sb_arena_dup(arena, sb_buf_bytes(buf)), buf->len);
}

sb_err __wrap_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag)
{
    struct sb_consensus_block block;
    struct sb_block eth;
    struct sb_buf buf;
    SB_TRY(__real_sb_builder_build(ret_block, arena, chain, mempool, options, draft, diag));
    SB_TRY(sb_consensus_block_decode(&block, arena, ret_block->encoded, diag));
    SB_TRY(sb_block_decode(&eth, arena, block.payload, diag));
    eth.header.state_root.b[31] ^= 1;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_block_encode(&buf, &eth);
    block.payload = keep(arena, &buf);
    block.header.payload_hash = sb_header_hash(&eth.header);
    sb_buf_reset(&buf);
    sb_consensus_block_encode(&buf, &block);
    ret_block->encoded = keep(arena, &buf);
    ret_block->block_id = sb_consensus_block_id(&block.header);
    sb_buf_fini(&buf);
    return SB_OK;
}
