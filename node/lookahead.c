/* lookahead.c: see lookahead.h.
 *
 *      wait for news --> the head moved: drop the site, open one on the new head --> pass over the pool in the builder's order --> wait
 *
 * A pass is a snapshot of the pool, so there is at most one in PASS_MS, however fast transactions come. */
#include "node/lookahead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/util/assert.h"

#define PASS_MS  20
#define NICENESS 10
/* Transactions at one head; a block has room for few more, and these are the best. */
#define SEEN_MAX 1024

/* A transaction that was run at this head, whatever its price was then. */
struct seen {
    sb_addr sender;
    uint64_t nonce;
};

struct sb_lookahead {
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    bool has_thread;
    pthread_t thread;
    atomic_bool cancel; /* what runs is on a head of the past, or nobody waits for it any more */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool has_news, ends;
    struct sb_lookahead_stats stats;

    /* the thread's own */
    bool has_site;
    bool is_done; /* nothing more is run on this head */
    struct sb_chain_view view;
    struct sb_block_env env;
    sb_u256 base_fee;
    struct sb_executor *x;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
};

/* ---- what is heard ---- */

static void tell(struct sb_lookahead *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->has_news = true;
    (void)pthread_cond_signal(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
}

static void on_head(void *ctx, const struct sb_chain_event *event)
{
    (void)event;
    struct sb_lookahead *l = ctx;
    atomic_store(&l->cancel, true);
    tell(l);
}

static void on_pending(void *ctx, const struct sb_pool_tx *tx)
{
    (void)tx;
    tell(ctx);
}

/* ---- a head's state ---- */

static void close_site(struct sb_lookahead *l)
{
    if (l->has_site) {
        sb_executor_free(l->x);
        sb_chain_view_close(l->chain, &l->view);
        l->has_site = false;
    }
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* open_site: false when the head moved meanwhile, or the state cannot be had: there will be another head. */
static bool open_site(struct sb_lookahead *l)
{
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    struct sb_chain_head head = sb_chain_head(l->chain);
    if (sb_chain_view_open(&l->view, l->chain, &latest) != SB_OK) {
        return false;
    }
    uint64_t time_ms = wall_ms();
    sb_hash mix_hash = sb_chain_pending_mix_hash(&head);
    struct sb_header header = sb_chain_next_header(
        l->chain, &head, time_ms > head.time_ms ? time_ms : head.time_ms + 1, &mix_hash);
    l->env = sb_chain_env(&header);
    l->base_fee = header.base_fee;
    l->x = sb_executor_new(l->view.state, sb_chain_rules(l->chain), &l->env,
                           sb_chain_inference(l->chain));
    l->has_site = true;
    l->seen_count = 0;
    if (l->x == NULL || !sb_hash_equal(&l->view.block->hash, &head.block_hash)) {
        close_site(l);
        return false;
    }
    sb_executor_set_stop(l->x, &l->cancel);
    return sb_executor_begin(l->x) == SB_OK;
}

/* ---- a pass ---- */

static bool was_seen(struct sb_lookahead *l, const struct sb_pool_tx *tx)
{
    for (size_t i = l->seen_count; i-- > 0;) {
        if (l->seen[i].nonce == tx->tx.nonce && sb_addr_equal(&l->seen[i].sender, &tx->sender)) {
            return true;
        }
    }
    return false;
}

static void count(struct sb_lookahead *l, uint64_t gas)
{
    (void)pthread_mutex_lock(&l->lock);
    l->stats.heads += l->seen_count == 1;
    l->stats.transactions++;
    l->stats.gas += gas;
    l->stats.head_gas = sb_executor_gas_used(l->x);
    (void)pthread_mutex_unlock(&l->lock);
}

/* run_one: false when the site is good for nothing more. */
static bool run_one(struct sb_lookahead *l, struct sb_mempool_picker *picker,
                    const struct sb_pool_tx *tx)
{
    struct sb_tx_result result;
    l->seen[l->seen_count++] = (struct seen){.sender = tx->sender, .nonce = tx->tx.nonce};
    if (sb_executor_tx(&result, l->x, &tx->tx, &tx->sender, NULL) != SB_OK ||
        atomic_load(&l->cancel)) {
        return false;
    }
    if (result.reject != SB_TX_ACCEPTED) {
        sb_mempool_picker_skip(picker);
        return true;
    }
    count(l, result.gas_used);
    sb_mempool_picker_next(picker);
    return true;
}

/* pass: false when the site is good for nothing more. */
static bool pass(struct sb_lookahead *l)
{
    struct sb_mempool_picker *picker = sb_mempool_pick(l->mempool, &l->base_fee);
    const struct sb_pool_tx *tx;
    bool is_good = picker != NULL;
    while (is_good && (tx = sb_mempool_picker_peek(picker)) != NULL) {
        uint64_t gas_left = l->env.gas_limit - sb_executor_gas_used(l->x);
        if (was_seen(l, tx)) {
            sb_mempool_picker_next(picker);
        } else if (tx->tx.gas_limit > gas_left) {
            sb_mempool_picker_skip(picker);
        } else {
            is_good = l->seen_count < SEEN_MAX && run_one(l, picker, tx);
        }
        is_good = is_good && !atomic_load(&l->cancel);
    }
    sb_mempool_picker_free(picker);
    return is_good;
}

/* ---- the thread ---- */

/* wait: until there is news; false when the thread is to end. *ret_moved: the head has moved since the last time; what ran on it was
 * cancelled, and no more is from now on, unless the thread is to end. */
static bool wait(struct sb_lookahead *l, bool *ret_moved)
{
    (void)pthread_mutex_lock(&l->lock);
    while (!l->has_news && !l->ends) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    l->has_news = false;
    bool goes_on = !l->ends;
    *ret_moved = goes_on && atomic_exchange(&l->cancel, false);
    (void)pthread_mutex_unlock(&l->lock);
    return goes_on;
}

static void *look_ahead(void *ctx)
{
    struct sb_lookahead *l = ctx;
#ifdef __linux__
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread alone */
#endif
    bool has_moved;
    while (wait(l, &has_moved)) {
        if (has_moved) {
            close_site(l);
            l->is_done = false;
        }
        const sb_u256 base_fee = sb_chain_next_base_fee(l->chain);
        if (!l->is_done && sb_mempool_has_ready(l->mempool, &base_fee)) {
            l->is_done = (!l->has_site && !open_site(l)) || !pass(l);
        }
        const struct timespec pause = {.tv_nsec = PASS_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    close_site(l);
    return NULL;
}

/* ---- life ---- */

sb_err sb_lookahead_new(struct sb_lookahead **ret_lookahead, struct sb_chain *chain,
                        struct sb_mempool *mempool, struct sb_diag *diag)
{
    struct sb_lookahead *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    l->chain = chain;
    l->mempool = mempool;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->wake, NULL);
    *ret_lookahead = l;
    SB_TRY(sb_chain_subscribe(chain, on_head, l));
    SB_TRY(sb_mempool_subscribe(mempool, on_pending, l));
    l->has_thread = pthread_create(&l->thread, NULL, look_ahead, l) == 0;
    return l->has_thread ? SB_OK
                         : sb_fail(diag, SB_E_INTERNAL, "the look-ahead's thread cannot be made");
}

void sb_lookahead_stop(struct sb_lookahead *l)
{
    if (l == NULL || !l->has_thread) {
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->ends = true;
    atomic_store(&l->cancel, true);
    (void)pthread_cond_signal(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    l->has_thread = false;
}

void sb_lookahead_free(struct sb_lookahead *l)
{
    if (l == NULL) {
        return;
    }
    sb_lookahead_stop(l);
    (void)pthread_cond_destroy(&l->wake);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

struct sb_lookahead_stats sb_lookahead_stats(struct sb_lookahead *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct sb_lookahead_stats stats = l->stats;
    (void)pthread_mutex_unlock(&l->lock);
    return stats;
}
