/* lookahead.h: the transactions that the next block would take, run before it, so that their inferences are known when it comes.
 *
 *      pool: a transaction became pending --+
 *                                           +--> one thread of low priority: executor on the head's state --> memo of results, warm caches
 *      chain: the head moved ---------------+         cancelled and begun again with each head
 *
 * What it computes is thrown away, but for the memo, and a memo changes no result and no gas: blocks are the same with it and without
 * (DESIGN section 4). Its work is bounded: transactions are taken as the builder takes them, so they can pay; at each head they may use one
 * block's gas together, and each (sender, nonce) is run once. Whoever sends what never gets into a block costs no more than that.
 *
 * The thread holds a view of the head's state, so it must be freed before the pool and the chain. */
#ifndef SB_NODE_LOOKAHEAD_H
#define SB_NODE_LOOKAHEAD_H

#include "node/mempool.h"

struct sb_lookahead;

/* sb_lookahead_new: subscribe and start the thread. Both are borrowed. SB_E_NOMEM; SB_E_LIMIT (too many subscribers) and SB_E_INTERNAL (no
 * thread), with which *ret_lookahead is set all the same, since a subscription may stand. */
sb_err sb_lookahead_new(struct sb_lookahead **ret_lookahead, struct sb_chain *chain,
                        struct sb_mempool *mempool, struct sb_diag *diag) SB_MUST_USE;
/* sb_lookahead_stop: end the thread; what runs is cancelled. The subscriptions stay and do nothing. May be called more than once; NULL is
 * allowed, here and in free. */
void sb_lookahead_stop(struct sb_lookahead *lookahead);
/* sb_lookahead_free: neither chain nor pool may call any more. */
void sb_lookahead_free(struct sb_lookahead *lookahead);

struct sb_lookahead_stats {
    uint64_t heads;        /* states that something was run on */
    uint64_t transactions; /* run to their end */
    uint64_t gas;          /* that they used */
    uint64_t head_gas;     /* of it, at the newest of these heads */
};
/* sb_lookahead_stats: any thread. */
struct sb_lookahead_stats sb_lookahead_stats(struct sb_lookahead *lookahead);

#endif
