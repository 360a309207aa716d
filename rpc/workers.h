/* workers.h: the pool of threads behind the loop: jobs in, finished jobs back on the loop thread.
 *
 *     loop: submit --> [ reads ] [ slow ] --> worker: run --> [ finished ] --uv_async--> loop: done
 *
 * Two queues with one bound. Slow jobs never occupy the last worker, so that a read does not wait behind an endless call. The pool
 * owns no job: a job is embedded in its request and freed by its done function, which always runs, on the loop thread. */
#ifndef SB_RPC_WORKERS_H
#define SB_RPC_WORKERS_H

#include "base/util/arena.h"
#include "rpc/dispatch.h"

/* Memory that one request may use in a worker, beside its answer. */
#define SB_RPC_WORKER_ARENA_BYTES_MAX ((size_t)512 * 1024 * 1024)

struct sb_rpc_job {
    struct sb_rpc_job *next;
    bool slow;
    struct sb_rpc_watch watch;
    void (*run)(struct sb_rpc_job *job,
                struct sb_arena *arena);  /* on a worker; skipped when the pool stops first */
    void (*done)(struct sb_rpc_job *job); /* on the loop thread */
};

struct sb_rpc_pool;

/* sb_rpc_pool_new: start the threads. on_finished is called on a worker when sb_rpc_pool_collect has something to do. */
sb_err sb_rpc_pool_new(struct sb_rpc_pool **ret_pool, unsigned worker_count, unsigned queue_max,
                       void (*on_finished)(void *ctx), void *ctx) SB_MUST_USE;
/* sb_rpc_pool_submit: SB_E_BUSY when the queue is full; the job is then untouched. */
sb_err sb_rpc_pool_submit(struct sb_rpc_pool *pool, struct sb_rpc_job *job) SB_MUST_USE;
/* sb_rpc_pool_check: stop jobs that are over their deadline. Returns true while any job runs or waits. */
bool sb_rpc_pool_check(struct sb_rpc_pool *pool, uint64_t now_ns);
/* sb_rpc_pool_collect: call done of all finished jobs. */
void sb_rpc_pool_collect(struct sb_rpc_pool *pool);
size_t sb_rpc_pool_waiting(struct sb_rpc_pool *pool);
/* sb_rpc_pool_free: cancel everything, join the threads, collect, free. NULL is allowed. */
void sb_rpc_pool_free(struct sb_rpc_pool *pool);

#endif
