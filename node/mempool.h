/* mempool.h: transactions that wait for a block.
 *
 *      sender A   nonce 7   8   9  |  11          pending: nonces follow the account's without a gap
 *      sender B   nonce 0                         queued:  behind a gap
 *                 ^ next for the builder, by effective tip, then by arrival
 *
 * A transaction is one immutable, reference-counted object with its raw bytes, decoded form, hash and sender, so that nothing is
 * parsed, hashed or recovered twice on its way to the block. Admission follows geth's legacy pool, and refuses in geth's words, which
 * wallets and libraries match. Replacement of the same (sender, nonce) needs both fees 10 % higher. The funds of a sender must cover
 * all of its transactions in the pool. When the pool is full the cheapest transaction leaves, if the new one pays more.
 * An account whose code is an EIP-7702 delegation may have one transaction in the pool, with its next nonce: its funds can be moved
 * by others, and one is what can be lost.
 *
 * Threads: every function may be called from any thread. sb_mempool_add recovers the sender in the calling thread, before the lock:
 * call it from a worker, never from the node's loop. Bounds: count, bytes, transactions of one sender. */
#ifndef SB_NODE_MEMPOOL_H
#define SB_NODE_MEMPOOL_H

#include "node/chain.h"

struct sb_mempool;

struct sb_mempool_options {
    size_t count_max;      /* 0 takes 8192 */
    size_t bytes_max;      /* raw bytes; 0 takes 64 MiB */
    size_t per_sender_max; /* 0 takes 1024 */
};

/* A transaction in the pool. Immutable; release what was retained. */
struct sb_pool_tx {
    struct sb_tx tx; /* lists and data live as long as the object */
    sb_bytes raw;
    sb_hash hash;
    sb_addr sender;
    sb_u256 cost;     /* gas_limit * max_fee + value, the most that it can take from the sender */
    uint64_t arrival; /* counts admissions; breaks ties of price */
};

void sb_pool_tx_retain(const struct sb_pool_tx *tx);
void sb_pool_tx_release(const struct sb_pool_tx *tx);

/* sb_mempool_new: a pool on the head of a chain, which it follows from now on as a subscriber. chain must outlive it. */
sb_err sb_mempool_new(struct sb_mempool **ret_mempool, struct sb_chain *chain,
                      const struct sb_mempool_options *options) SB_MUST_USE;
void sb_mempool_free(struct sb_mempool *mempool);

/* sb_mempool_add: decode, check and admit a raw transaction (copied).
 * Returns SB_OK with *ret_hash; otherwise diag holds the message for the client:
 *   a decoding error, SB_E_SIGNATURE "invalid sender", SB_E_EXISTS "already known", SB_E_LIMIT "transaction underpriced" or "txpool is
 *   full" (a full pool), "account limit exceeded" or "in-flight transaction limit reached for delegated accounts", SB_E_ARG for all other refusals ("nonce too low: next nonce 5, tx nonce 3", "insufficient funds for
 *   gas * price + value: ...", "replacement transaction underpriced", "intrinsic gas too low: ...", ...); SB_E_IO and its like when the
 *   state could not be read. ret_hash is written too for SB_E_EXISTS. */
sb_err sb_mempool_add(struct sb_mempool *mempool, sb_bytes raw, sb_hash *ret_hash,
                      struct sb_diag *diag) SB_MUST_USE;

/* ---- questions ---- */

struct sb_mempool_status {
    size_t pending, queued;
    size_t bytes;
    uint64_t
        refused_count; /* transactions that were not admitted, known ones apart; since the start */
    uint64_t
        evicted_count; /* transactions that left a full pool for better ones; since the start */
};
struct sb_mempool_status sb_mempool_status(struct sb_mempool *mempool);

/* sb_mempool_nonce: the nonce that the sender's next transaction should have: state_nonce plus the pending ones that follow it. */
uint64_t sb_mempool_nonce(struct sb_mempool *mempool, const sb_addr *sender, uint64_t state_nonce);

/* sb_mempool_get: a transaction by hash as a counted reference; *ret_queued may be NULL. SB_E_NOT_FOUND. */
sb_err sb_mempool_get(const struct sb_pool_tx **ret_tx, bool *ret_queued,
                      struct sb_mempool *mempool, const sb_hash *hash) SB_MUST_USE;

/* sb_mempool_content: all transactions (sender NULL) or one sender's, by sender and nonce. The array lives in the arena; every entry
 * holds a reference that the caller releases. SB_E_NOMEM. */
struct sb_mempool_entry {
    const struct sb_pool_tx *tx;
    bool queued;
};
sb_err sb_mempool_content(const struct sb_mempool_entry **ret_entries, size_t *ret_count,
                          struct sb_arena *arena, struct sb_mempool *mempool,
                          const sb_addr *sender) SB_MUST_USE;

/* sb_mempool_has_ready: some pending transaction could be in a block with this base fee. */
bool sb_mempool_has_ready(struct sb_mempool *mempool, const sb_u256 *base_fee);

/* ---- for the builder ---- */

/* Pending transactions in the order in which a block takes them: highest effective tip first, ties by arrival, each sender's in order
 * of nonce. A picker is a snapshot: it holds references, no lock. */
struct sb_mempool_picker;
/* sb_mempool_pick: snapshot of what can pay base_fee. NULL when out of memory. */
struct sb_mempool_picker *sb_mempool_pick(struct sb_mempool *mempool, const sb_u256 *base_fee);
/* sb_mempool_picker_peek: the best transaction left, borrowed from the picker; NULL when there is none. */
const struct sb_pool_tx *sb_mempool_picker_peek(struct sb_mempool_picker *picker);
/* sb_mempool_picker_next: the one that peek showed is taken; its sender's next nonce comes into play. */
void sb_mempool_picker_next(struct sb_mempool_picker *picker);
/* sb_mempool_picker_skip: leave out the one that peek showed and all later ones of its sender. */
void sb_mempool_picker_skip(struct sb_mempool_picker *picker);
void sb_mempool_picker_free(struct sb_mempool_picker *picker);

/* sb_mempool_drop: forget a transaction that turned out not to be executable; later ones of its sender become queued. */
void sb_mempool_drop(struct sb_mempool *mempool, const sb_hash *hash);

/* ---- subscribers ---- */

/* Called for each transaction that became pending, in the thread that added it (or on the loop, when a gap closed), without any lock
 * held. tx is borrowed for the call. Must not block. */
typedef void (*sb_mempool_tx_fn)(void *ctx, const struct sb_pool_tx *tx);
#define SB_MEMPOOL_SUBSCRIBERS_MAX 8
sb_err sb_mempool_subscribe(struct sb_mempool *mempool, sb_mempool_tx_fn fn, void *ctx) SB_MUST_USE;

#endif
