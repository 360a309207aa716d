/* runtime.c: see runtime.h.
 *
 *      uv_async wake  <-- a transaction became pending (any thread), stop
 *      uv_timer pace  --> time for the next block
 *      uv_timer t[3]  --> timeouts of the consensus core
 *
 * All of the driver runs on the loop's thread. Several wake-ups may come as one; so a wake-up only means: look again. */
#include "node/runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "base/util/assert.h"
#include "node/solo_driver.h"

#define TIMER_KINDS 3

struct consensus_timer {
    uv_timer_t handle;
    enum sb_bft_timeout kind;
    uint64_t height;
    int32_t round;
};

struct sb_node {
    struct sb_node_options options;
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    struct sb_solo *driver;

    bool has_loop;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t pace;
    struct consensus_timer timers[TIMER_KINDS];
    uint64_t last_block_ms; /* loop time */

    bool has_thread;
    uv_thread_t thread;
    atomic_bool stop;
    atomic_bool failed;
};

/* ---- clocks ---- */

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    uv_timeval64_t now;
    SB_ASSERT(uv_gettimeofday(&now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

static uint64_t monotonic_ms(void *ctx)
{
    (void)ctx;
    return uv_hrtime() / 1000000;
}

/* ---- the loop's thread ---- */

static void fail(struct sb_node *node, const struct sb_diag *diag)
{
    atomic_store(&node->failed, true);
    sb_log(node->options.log, SB_LOG_ERROR, "node", "the node cannot go on",
           SB_LOG_STR("reason", diag->text), SB_LOG_END);
    if (node->options.on_failed != NULL) {
        node->options.on_failed(node->options.on_failed_ctx, diag->text);
    }
    uv_stop(&node->loop);
}

/* The pace that was asked for, but never faster than the chain's parameters allow now. */
static uint64_t interval_ms(struct sb_node *node)
{
    uint64_t least = sb_chain_params(node->chain).min_block_interval_ms;
    return node->options.interval_ms > least ? node->options.interval_ms : least;
}

static void on_pace(uv_timer_t *handle);

static void schedule(struct sb_node *node, uint64_t delay_ms)
{
    SB_ASSERT(uv_timer_start(&node->pace, on_pace, delay_ms, 0) == 0);
}

/* make_block: one height, if the driver is free. A height that waits for a timeout goes on by itself. */
static void make_block(struct sb_node *node, bool allow_empty)
{
    struct sb_diag diag = {.text = ""};
    if (!sb_solo_is_idle(node->driver)) {
        return;
    }
    if (sb_solo_propose(node->driver, allow_empty, &diag) != SB_OK) {
        fail(node, &diag);
    }
}

static void look_for_transactions(struct sb_node *node)
{
    sb_u256 base_fee = sb_chain_next_base_fee(node->chain);
    if (sb_mempool_has_ready(node->mempool, &base_fee)) {
        make_block(node, false);
    }
}

static void on_pace(uv_timer_t *handle)
{
    struct sb_node *node = handle->data;
    if (atomic_load(&node->failed)) {
        return;
    }
    uint64_t begun = uv_now(&node->loop);
    make_block(node, true);
    uv_update_time(&node->loop);
    uint64_t used = uv_now(&node->loop) - begun;
    uint64_t interval = interval_ms(node);
    schedule(node, used < interval ? interval - used : 0);
}

static void on_wake(uv_async_t *handle)
{
    struct sb_node *node = handle->data;
    if (atomic_load(&node->stop)) {
        uv_stop(&node->loop);
        return;
    }
    if (node->options.pace == SB_NODE_PACE_INSTANT && !atomic_load(&node->failed)) {
        uint64_t before = sb_chain_head_number(node->chain);
        look_for_transactions(node);
        if (sb_chain_head_number(node->chain) != before) {
            (void)uv_async_send(&node->wake); /* what came meanwhile, or did not fit */
        }
    }
}

static void on_consensus_timer(uv_timer_t *handle)
{
    struct consensus_timer *timer = handle->data;
    struct sb_node *node = handle->loop->data;
    struct sb_diag diag = {.text = ""};
    if (atomic_load(&node->failed)) {
        return;
    }
    if (sb_solo_timeout(node->driver, timer->kind, timer->height, timer->round, &diag) != SB_OK) {
        fail(node, &diag);
        return;
    }
    (void)uv_async_send(&node->wake);
}

static void host_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                           uint64_t delay_ms)
{
    struct sb_node *node = ctx;
    struct consensus_timer *timer = &node->timers[kind];
    timer->kind = kind;
    timer->height = height;
    timer->round = round;
    SB_ASSERT(uv_timer_start(&timer->handle, on_consensus_timer, delay_ms, 0) == 0);
}

static void host_cancel_timers(void *ctx)
{
    struct sb_node *node = ctx;
    for (size_t i = 0; i < TIMER_KINDS; i++) {
        (void)uv_timer_stop(&node->timers[i].handle);
    }
}

static void loop_main(void *ctx)
{
    struct sb_node *node = ctx;
    (void)uv_run(&node->loop, UV_RUN_DEFAULT);
}

/* ---- life ---- */

static void on_pending(void *ctx, const struct sb_pool_tx *tx)
{
    struct sb_node *node = ctx;
    (void)tx;
    (void)uv_async_send(&node->wake);
}

static sb_err open_loop(struct sb_node *node, struct sb_diag *diag)
{
    if (uv_loop_init(&node->loop) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the event loop cannot be made");
    }
    node->has_loop = true;
    node->loop.data = node;
    bool ok = uv_async_init(&node->loop, &node->wake, on_wake) == 0 &&
              uv_timer_init(&node->loop, &node->pace) == 0;
    node->wake.data = node;
    node->pace.data = node;
    for (size_t i = 0; i < TIMER_KINDS; i++) {
        ok = ok && uv_timer_init(&node->loop, &node->timers[i].handle) == 0;
        node->timers[i].handle.data = &node->timers[i];
    }
    return ok ? SB_OK : sb_fail(diag, SB_E_INTERNAL, "the event loop cannot be made");
}

static sb_err open_chain(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    struct sb_chain_options chain_options = {.db_dir = o->db_dir,
                                             .genesis = o->genesis,
                                             .inference = o->inference,
                                             .log = o->log,
                                             .create = o->create,
                                             .store_cache_bytes = o->store_cache_bytes,
                                             .history_blocks = o->history_blocks};
    SB_TRY(sb_chain_open(&node->chain, &chain_options, diag));
    sb_err err = sb_mempool_new(&node->mempool, node->chain, &o->mempool);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "mempool: %s", sb_err_text(err));
}

static sb_err open_driver(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    struct sb_solo_options options = {.chain = node->chain,
                                      .mempool = node->mempool,
                                      .journal_dir = o->journal_dir,
                                      .new_key = o->new_key,
                                      .timeouts = sb_bft_timeouts_default(),
                                      .monotonic_ms = monotonic_ms,
                                      .host = {.ctx = node,
                                               .now_ms = wall_ms,
                                               .set_timer = host_set_timer,
                                               .cancel_timers = host_cancel_timers},
                                      .log = o->log};
    memcpy(options.secret, o->validator_secret, sizeof options.secret);
    sb_err err = sb_solo_new(&node->driver, &options, diag);
    explicit_bzero(options.secret, sizeof options.secret);
    return err;
}

static sb_err open_all(struct sb_node *node, struct sb_diag *diag)
{
    SB_TRY(open_chain(node, diag));
    SB_TRY(open_loop(node, diag));
    SB_TRY(open_driver(node, diag));
    return sb_mempool_subscribe(node->mempool, on_pending, node);
}

sb_err sb_node_new(struct sb_node **ret_node, const struct sb_node_options *options,
                   struct sb_diag *diag)
{
    struct sb_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    node->options = *options;
    atomic_init(&node->stop, false);
    atomic_init(&node->failed, false);
    sb_err err = open_all(node, diag);
    explicit_bzero(node->options.validator_secret, sizeof node->options.validator_secret);
    if (err != SB_OK) {
        sb_node_free(node);
        return err;
    }
    *ret_node = node;
    return SB_OK;
}

sb_err sb_node_start(struct sb_node *node, struct sb_diag *diag)
{
    SB_ASSERT(!node->has_thread);
    if (node->options.pace == SB_NODE_PACE_INTERVAL) {
        schedule(node, interval_ms(node));
    }
    (void)uv_async_send(&node->wake);
    if (uv_thread_create(&node->thread, loop_main, node) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the node's thread cannot be made");
    }
    node->has_thread = true;
    return SB_OK;
}

void sb_node_stop(struct sb_node *node)
{
    if (!node->has_thread) {
        return;
    }
    atomic_store(&node->stop, true);
    (void)uv_async_send(&node->wake);
    (void)uv_thread_join(&node->thread);
    node->has_thread = false;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void sb_node_free(struct sb_node *node)
{
    if (node == NULL) {
        return;
    }
    sb_node_stop(node);
    sb_solo_free(node->driver);
    if (node->has_loop) {
        uv_walk(&node->loop, close_handle, NULL);
        (void)uv_run(&node->loop, UV_RUN_DEFAULT);
        SB_ASSERT(uv_loop_close(&node->loop) == 0);
    }
    sb_mempool_free(node->mempool);
    sb_chain_close(node->chain);
    free(node);
}

struct sb_chain *sb_node_chain(struct sb_node *node)
{
    return node->chain;
}

struct sb_mempool *sb_node_mempool(struct sb_node *node)
{
    return node->mempool;
}

bool sb_node_failed(struct sb_node *node)
{
    return atomic_load(&node->failed);
}
