/* backend_impl.h: what the files of the backend share (backend.c, backend_pool.c, query_*.c).
 *
 * Locks: `lock` guards everything below it, for moments only, except that `notify_lock` is held while the server is told something. */
#ifndef SB_NODE_BACKEND_IMPL_H
#define SB_NODE_BACKEND_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/backend.h"
#include "node/pending.h"

#define SB_BACKEND_TIP_BLOCKS 20 /* blocks that a suggestion looks at */
#define SB_BACKEND_TIPS_EACH  3  /* lowest tips taken of each */

/* Lowest tips of one block, for the suggestion. */
struct sb_block_tips {
    size_t count;
    sb_u256 tips[SB_BACKEND_TIPS_EACH];
};

struct sb_backend {
    struct sb_backend_options options; /* defaults filled in */
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    atomic_uint_fast64_t pool_revision; /* counts transactions that became pending */

    pthread_mutex_t lock;
    struct sb_block_tips blocks[SB_BACKEND_TIP_BLOCKS]; /* ring of blocks that had transactions */
    size_t block_next;
    sb_u256 suggested_tip;
    struct sb_pending *pending; /* newest, may be NULL */

    pthread_mutex_t notify_lock;
    struct sb_rpc_server *server; /* may be NULL */
};

/* The state that a question is asked of, and the block whose outcome it is. */
struct sb_backend_state {
    struct sb_chain_view view;      /* of the chain; of the head for the pending block */
    struct sb_pending *pending;     /* NULL but for the pending block */
    struct sb_pending_view layered; /* used with pending */
    const struct sb_state_view *at; /* what to read */
    const struct sb_rpc_block *block;
};

/* sb_backend_state_open: must be closed, and stays where it is. Fails with the words that clients expect: unknown block, state too old. */
sb_err sb_backend_state_open(struct sb_backend_state *ret_state, struct sb_backend *backend,
                             const struct sb_rpc_block_ref *ref,
                             struct sb_rpc_failure *failure) SB_MUST_USE;
void sb_backend_state_close(struct sb_backend *backend, struct sb_backend_state *state);

/* sb_backend_pending: the pending block with its state, made again when head, pool or second have changed. One reference more. */
sb_err sb_backend_pending(struct sb_pending **ret_pending, struct sb_backend *backend) SB_MUST_USE;

/* sb_backend_fail: fill failure and return err. */
sb_err sb_backend_fail(struct sb_rpc_failure *failure, sb_err err, int code, const char *fmt, ...)
    SB_PRINTF(4, 5);

/* Functions of the table that lie in backend_pool.c. */
sb_err sb_backend_submit(void *ctx, sb_bytes raw, sb_hash *ret_hash,
                         struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_backend_pool_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                          struct sb_rpc_pool_tx *ret_tx) SB_MUST_USE;
uint64_t sb_backend_pool_nonce(void *ctx, const sb_addr *sender, uint64_t state_nonce);
struct sb_rpc_pool_status sb_backend_pool_status(void *ctx);
sb_err sb_backend_pool_content(void *ctx, struct sb_arena *arena, const sb_addr *sender,
                               const struct sb_rpc_pool_tx **ret_txs,
                               size_t *ret_count) SB_MUST_USE;

#endif
