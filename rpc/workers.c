/* workers.c: see workers.h. */
#include "rpc/workers.h"

#include <stdlib.h>

#define WORKERS_MAX 256

struct queue {
    struct sb_rpc_job *head, *tail;
};

struct worker {
    struct sb_rpc_pool *pool;
    uv_thread_t thread;
    struct sb_rpc_job *running; /* under the pool's lock */
};

struct sb_rpc_pool {
    uv_mutex_t lock;
    uv_cond_t work;
    struct queue reads, slow, finished; /* under lock */
    size_t waiting, running_slow;       /* under lock */
    bool stopping;                      /* under lock */
    unsigned queue_max, worker_count;
    void (*on_finished)(void *ctx);
    void *ctx;
    struct worker workers[];
};

static void push(struct queue *queue, struct sb_rpc_job *job)
{
    job->next = NULL;
    if (queue->tail != NULL) {
        queue->tail->next = job;
    } else {
        queue->head = job;
    }
    queue->tail = job;
}

static struct sb_rpc_job *pop(struct queue *queue)
{
    struct sb_rpc_job *job = queue->head;
    if (job != NULL) {
        queue->head = job->next;
        queue->tail = queue->head != NULL ? queue->tail : NULL;
    }
    return job;
}

/* The next job this pool may start now, under lock. */
static struct sb_rpc_job *take(struct sb_rpc_pool *pool)
{
    struct sb_rpc_job *job = pop(&pool->reads);
    if (job == NULL && pool->running_slow + 1 < pool->worker_count) {
        job = pop(&pool->slow);
    }
    if (job != NULL) {
        pool->waiting--;
        pool->running_slow += job->slow ? 1 : 0;
    }
    return job;
}

static void work(void *arg)
{
    struct worker *self = arg;
    struct sb_rpc_pool *pool = self->pool;
    struct sb_arena arena;
    sb_arena_init(&arena, SB_RPC_WORKER_ARENA_BYTES_MAX);
    uv_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        struct sb_rpc_job *job = take(pool);
        if (job == NULL) {
            uv_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        self->running = job;
        uv_mutex_unlock(&pool->lock);
        job->run(job, &arena);
        sb_arena_reset(&arena);
        uv_mutex_lock(&pool->lock);
        self->running = NULL;
        pool->running_slow -= job->slow ? 1 : 0;
        push(&pool->finished, job);
        if (job->slow) {
            uv_cond_signal(&pool->work);
        }
        pool->on_finished(pool->ctx);
    }
    uv_mutex_unlock(&pool->lock);
    sb_arena_fini(&arena);
}

sb_err sb_rpc_pool_new(struct sb_rpc_pool **ret_pool, unsigned worker_count, unsigned queue_max,
                       void (*on_finished)(void *ctx), void *ctx)
{
    if (worker_count < 2 || worker_count > WORKERS_MAX) {
        return SB_E_ARG;
    }
    struct sb_rpc_pool *pool = calloc(1, sizeof *pool + worker_count * sizeof pool->workers[0]);
    if (pool == NULL) {
        return SB_E_NOMEM;
    }
    pool->queue_max = queue_max;
    pool->on_finished = on_finished;
    pool->ctx = ctx;
    if (uv_mutex_init(&pool->lock) != 0) {
        free(pool);
        return SB_E_NOMEM;
    }
    if (uv_cond_init(&pool->work) != 0) {
        uv_mutex_destroy(&pool->lock);
        free(pool);
        return SB_E_NOMEM;
    }
    for (unsigned i = 0; i < worker_count; i++) {
        pool->workers[i].pool = pool;
        if (uv_thread_create(&pool->workers[i].thread, work, &pool->workers[i]) != 0) {
            sb_rpc_pool_free(pool);
            return SB_E_NOMEM;
        }
        uv_mutex_lock(&pool->lock);
        pool->worker_count++;
        uv_mutex_unlock(&pool->lock);
    }
    *ret_pool = pool;
    return SB_OK;
}

sb_err sb_rpc_pool_submit(struct sb_rpc_pool *pool, struct sb_rpc_job *job)
{
    uv_mutex_lock(&pool->lock);
    sb_err err = pool->waiting >= pool->queue_max || pool->stopping ? SB_E_BUSY : SB_OK;
    if (err == SB_OK) {
        push(job->slow ? &pool->slow : &pool->reads, job);
        pool->waiting++;
        uv_cond_signal(&pool->work);
    }
    uv_mutex_unlock(&pool->lock);
    return err;
}

bool sb_rpc_pool_check(struct sb_rpc_pool *pool, uint64_t now_ns)
{
    uv_mutex_lock(&pool->lock);
    bool busy = pool->waiting != 0;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        struct sb_rpc_job *job = pool->workers[i].running;
        if (job != NULL) {
            busy = true;
            sb_rpc_watch_check(&job->watch, now_ns);
        }
    }
    uv_mutex_unlock(&pool->lock);
    return busy;
}

void sb_rpc_pool_collect(struct sb_rpc_pool *pool)
{
    uv_mutex_lock(&pool->lock);
    struct sb_rpc_job *job = pool->finished.head;
    pool->finished = (struct queue){.head = NULL};
    uv_mutex_unlock(&pool->lock);
    while (job != NULL) {
        struct sb_rpc_job *next = job->next;
        job->done(job);
        job = next;
    }
}

size_t sb_rpc_pool_waiting(struct sb_rpc_pool *pool)
{
    uv_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    uv_mutex_unlock(&pool->lock);
    return waiting;
}

void sb_rpc_pool_free(struct sb_rpc_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    uv_mutex_lock(&pool->lock);
    pool->stopping = true;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        if (pool->workers[i].running != NULL) {
            sb_rpc_watch_cancel(&pool->workers[i].running->watch);
        }
    }
    for (struct sb_rpc_job *job;
         (job = pop(&pool->reads)) != NULL || (job = pop(&pool->slow)) != NULL;) {
        push(&pool->finished, job);
    }
    pool->waiting = 0;
    uv_cond_broadcast(&pool->work);
    uv_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->worker_count; i++) {
        (void)uv_thread_join(&pool->workers[i].thread);
    }
    sb_rpc_pool_collect(pool);
    uv_cond_destroy(&pool->work);
    uv_mutex_destroy(&pool->lock);
    free(pool);
}
