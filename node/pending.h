/* pending.h: the block that would come next, with the state after it, for the tag `pending`.
 *
 *      head's view <-- diff of the pending transactions: sb_pending_view reads the diff first, then the head
 *
 * A snapshot is immutable and reference-counted; many threads read it at once, each over a view of the head of its own. */
#ifndef SB_NODE_PENDING_H
#define SB_NODE_PENDING_H

#include <stdatomic.h>

#include "node/builder.h"

struct sb_pending {
    atomic_size_t refs;
    struct sb_chain *chain;
    const struct sb_rpc_block *block; /* number is the parent's + 1; receipts NULL */
    struct sb_state_diff diff;        /* what the block's transactions change; borrows from x */
    uint64_t pool_revision;           /* noted by the maker, for comparing */
    /* kept for what diff borrows; nobody runs them any more */
    struct sb_arena arena;
    struct sb_block_env env;
    struct sb_executor *x;
    bool has_parent;
    struct sb_chain_view parent;
};

/* sb_pending_new: execute what the pool would give to the next block. Transactions that turn out not to be executable have no effect
 * on the state. SB_E_NOMEM, SB_E_IO, SB_E_CORRUPT. */
sb_err sb_pending_new(struct sb_pending **ret_pending, struct sb_chain *chain,
                      struct sb_mempool *mempool, uint64_t time_ms) SB_MUST_USE;
void sb_pending_retain(struct sb_pending *pending);
void sb_pending_release(struct sb_pending *pending); /* NULL is allowed */

/* A read view of a pending state; used by one thread at a time. */
struct sb_pending_view {
    struct sb_state_view state; /* the view; its ctx points to this struct, which must not move */
    const struct sb_state_view *parent;
    const struct sb_state_diff *diff;
};
/* sb_pending_view_init: parent is a view of the block before; both are borrowed. */
void sb_pending_view_init(struct sb_pending_view *view, const struct sb_state_view *parent,
                          const struct sb_pending *pending);

#endif
