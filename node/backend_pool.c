/* backend_pool.c: the pool as the RPC sees it (see rpc/backend.h). */
#include "node/backend_impl.h"

/* Refusals of the transaction itself carry the pool's words; failures of the node stay what they are. */
sb_err sb_backend_submit(void *ctx, sb_bytes raw, sb_hash *ret_hash, struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct sb_diag diag = {.text = ""};
    sb_hash hash;
    sb_err err = sb_mempool_add(b->mempool, raw, &hash, &diag);
    if (err == SB_OK) {
        *ret_hash = hash;
        return SB_OK;
    }
    if (!sb_chain_err_is_invalid(err)) {
        return err;
    }
    return sb_backend_fail(failure, err, SB_RPC_SERVER_ERROR, "%s",
                           diag.text[0] != '\0' ? diag.text : sb_err_text(err));
}

/* copy_tx: into the arena of the request, decoded from its own copy of the bytes. */
static sb_err copy_tx(struct sb_rpc_pool_tx *ret, struct sb_arena *arena,
                      const struct sb_pool_tx *tx, bool queued)
{
    uint8_t *raw = sb_arena_dup(arena, tx->raw);
    if (raw == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_rpc_pool_tx copy = {
        .raw = sb_span(raw, tx->raw.len), .hash = tx->hash, .sender = tx->sender, .queued = queued};
    SB_TRY(sb_tx_decode(&copy.tx, arena, copy.raw, NULL));
    *ret = copy;
    return SB_OK;
}

sb_err sb_backend_pool_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                          struct sb_rpc_pool_tx *ret_tx)
{
    struct sb_backend *b = ctx;
    const struct sb_pool_tx *tx;
    bool queued;
    SB_TRY(sb_mempool_get(&tx, &queued, b->mempool, tx_hash));
    sb_err err = copy_tx(ret_tx, arena, tx, queued);
    sb_pool_tx_release(tx);
    return err;
}

uint64_t sb_backend_pool_nonce(void *ctx, const sb_addr *sender, uint64_t state_nonce)
{
    return sb_mempool_nonce(((struct sb_backend *)ctx)->mempool, sender, state_nonce);
}

struct sb_rpc_pool_status sb_backend_pool_status(void *ctx)
{
    struct sb_mempool_status status = sb_mempool_status(((struct sb_backend *)ctx)->mempool);
    return (struct sb_rpc_pool_status){.pending = status.pending, .queued = status.queued};
}

sb_err sb_backend_pool_content(void *ctx, struct sb_arena *arena, const sb_addr *sender,
                               const struct sb_rpc_pool_tx **ret_txs, size_t *ret_count)
{
    struct sb_backend *b = ctx;
    const struct sb_mempool_entry *entries;
    size_t count;
    SB_TRY(sb_mempool_content(&entries, &count, arena, b->mempool, sender));
    struct sb_rpc_pool_tx *txs = sb_arena_array(arena, count, sizeof *txs);
    sb_err err = txs != NULL ? SB_OK : SB_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (err == SB_OK) {
            err = copy_tx(&txs[i], arena, entries[i].tx, entries[i].queued);
        }
        sb_pool_tx_release(entries[i].tx);
    }
    SB_TRY(err);
    *ret_txs = txs;
    *ret_count = count;
    return SB_OK;
}
