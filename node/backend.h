/* backend.h: the node's answers to the questions of the RPC server: fills struct sb_rpc_backend (rpc/backend.h).
 *
 *      rpc server --table--> backend --> chain (blocks, views, proofs)         backend.c
 *                               |------> pool, pending block and its state     backend_pool.c, pending.h
 *                               |------> calls, estimates, traces, models      query.h, query_*.c
 *
 *      chain: new head ----> suggested tip, sb_rpc_notify_head
 *      pool: new pending --> sb_rpc_notify_pending
 *
 * Threads: the table's functions may be called from any thread at once. Each execution has an executor of its own on a view of its own.
 * Bounds: gas, time (the server's stop flag), bytes of traces, blocks and calls of a simulation. */
#ifndef SB_NODE_BACKEND_H
#define SB_NODE_BACKEND_H

#include "node/chain.h"
#include "node/mempool.h"
#include "node/metrics.h"
#include "rpc/server.h"

struct sb_backend;

/* Zero in a limit means the default named beside it. */
struct sb_backend_options {
    struct sb_chain *chain;     /* borrowed */
    struct sb_mempool *mempool; /* borrowed */
    /* Unix time, for the pending block; NULL: the system's clock */
    uint64_t (*clock_ms)(void *ctx);
    void *clock_ctx;
    /* evidence: hand pieces that users submitted to the node's loop; SB_E_BUSY. NULL: nobody takes any. Any thread. */
    sb_err (*evidence)(void *ctx, const struct sb_evidence *list, size_t count);
    void *evidence_ctx;
    struct sb_metrics *metrics; /* borrowed; NULL: no pages and methods of operation */
    uint64_t history_blocks;    /* as given to the chain; 128 */
    /* gas of one call without a limit of its own, of an estimate, and of a whole simulation; 50,000,000 */
    uint64_t call_gas_max;
    uint64_t trace_steps_max; /* instructions in one trace; 1,000,000 */
};

/* sb_backend_new: subscribes to chain and pool, which must outlive the backend and, once it is freed, make no more blocks.
 * SB_E_NOMEM; SB_E_LIMIT when chain or pool have no room for a subscriber. */
sb_err sb_backend_new(struct sb_backend **ret_backend, const struct sb_backend_options *options,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_backend_free: the server has been stopped and the node makes no blocks any more. NULL is allowed. */
void sb_backend_free(struct sb_backend *backend);

/* sb_backend_table: the filled table; valid as long as the backend. */
struct sb_rpc_backend sb_backend_table(struct sb_backend *backend);

/* sb_backend_notify: from now on tell the server of new heads and pending transactions; NULL: tell nobody. Any thread; when it
 * returns, the former server is told nothing any more. */
void sb_backend_notify(struct sb_backend *backend, struct sb_rpc_server *server);

#endif
