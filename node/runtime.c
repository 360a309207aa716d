/* runtime.c: see runtime.h.
 *
 *      uv_async wake      <-- the inbox is no longer empty, a transaction became pending, stop
 *      uv_timer timers[]  --> sb_replica_timer; one set for now has its turn at the next wake, after what lies in the inbox
 *
 * All of the replica runs on the loop's thread. Several wake-ups may come as one; so a wake-up only means: look again. What lies in the
 * inbox is handed on for at most DRAIN_MS at a time, so that timers are not late when much comes. */
#include "node/runtime.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "base/util/assert.h"
#include "node/backfill.h"
#include "node/inbox.h"
#include "node/lookahead.h"
#include "node/remote_signer.h"
#include "node/snap_server.h"
#include "node/verify_cache.h"

#define DRAIN_MS 20
#define NS_IN_MS 1000000

struct node_timer {
    uv_timer_t handle;
    struct sb_node *node;
};

struct sb_node {
    struct sb_node_options options;
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    struct sb_chain_app *app;
    struct sb_disk_meter *meter; /* of the journal's disk */
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_remote_signer *remote;  /* NULL: the key is here */
    struct sb_pubkey key;             /* of the validator */
    struct sb_verify_cache *verified; /* signatures that chain and replica need not check again */
    struct sb_replica *replica;
    struct sb_inbox *inbox;
    struct sb_tx_gossip *txs; /* NULL without peers, as p2p */
    struct sb_p2p *p2p;
    struct sb_snap_server *snapshots; /* NULL: none are wanted */
    struct sb_backfill *backfill;     /* NULL without peers */
    struct sb_lookahead *lookahead;   /* NULL: not wanted */
    struct sb_metrics *metrics;

    bool has_loop;
    uv_loop_t loop;
    uv_async_t wake;
    struct node_timer timers[SB_REPLICA_TIMER_COUNT];
    bool due[SB_REPLICA_TIMER_COUNT]; /* set for now: their turn is at the next wake-up */
    struct sb_inbox_item *taken;      /* out of the inbox, not yet handed on */

    bool has_thread;
    uv_thread_t thread;
    atomic_bool stop, failed, has_work;
    atomic_uint_least64_t transactions;

    pthread_mutex_t lock; /* of what follows */
    struct sb_replica_status status;
    struct sb_buf evidence; /* struct sb_evidence, submitted and not yet taken */
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
    return uv_hrtime() / NS_IN_MS;
}

/* ---- the loop's thread ---- */

static void fail(struct sb_node *node, const struct sb_diag *diag)
{
    atomic_store(&node->failed, true);
    sb_metrics_failed(node->metrics, diag->text);
    sb_log(node->options.log, SB_LOG_ERROR, "node", "the node cannot go on",
           SB_LOG_STR("reason", diag->text), SB_LOG_END);
    if (node->options.on_failed != NULL) {
        node->options.on_failed(node->options.ctx, diag->text);
    }
    uv_stop(&node->loop);
}

/* settle: after each thing that happened: show where the node stands; stop when it failed. */
static void settle(struct sb_node *node, sb_err err, const struct sb_diag *diag)
{
    struct sb_replica_status status = sb_replica_status(node->replica);
    (void)pthread_mutex_lock(&node->lock);
    node->status = status;
    (void)pthread_mutex_unlock(&node->lock);
    sb_metrics_observe(node->metrics, node->replica);
    if (err != SB_OK) {
        fail(node, diag);
    }
}

static sb_err hand_on(struct sb_node *node, const struct sb_inbox_item *item, struct sb_diag *diag)
{
    switch (item->kind) {
    case SB_INBOX_PEER_UP:
        return sb_replica_peer_up(node->replica, item->peer, diag);
    case SB_INBOX_PEER_DOWN:
        return sb_replica_peer_down(node->replica, item->peer, diag);
    case SB_INBOX_MESSAGE:
        return sb_replica_receive(node->replica, item->peer, item->channel,
                                  sb_span(item->bytes, item->len), diag);
    }
    SB_UNREACHABLE();
}

/* drain: hand on what lies in the inbox; comes back soon when that takes long. */
static sb_err drain(struct sb_node *node, struct sb_diag *diag)
{
    uint64_t end_ms = monotonic_ms(NULL) + DRAIN_MS;
    sb_err err = SB_OK;
    while (err == SB_OK) {
        if (node->taken == NULL) {
            node->taken = sb_inbox_take(node->inbox);
        }
        if (node->taken == NULL) {
            return SB_OK;
        }
        if (monotonic_ms(NULL) >= end_ms) {
            (void)uv_async_send(&node->wake);
            return SB_OK;
        }
        struct sb_inbox_item *item = node->taken;
        node->taken = item->next;
        err = hand_on(node, item, diag);
        sb_inbox_done_take(node->inbox, item);
    }
    return err;
}

/* drain_evidence: what users submitted. A piece that proves nothing after all is dropped. */
static sb_err drain_evidence(struct sb_node *node, struct sb_diag *diag)
{
    struct sb_buf taken;
    (void)pthread_mutex_lock(&node->lock);
    taken = node->evidence;
    sb_buf_init(&node->evidence, taken.limit_bytes);
    (void)pthread_mutex_unlock(&node->lock);
    const struct sb_evidence *list = (const void *)taken.data;
    size_t count = taken.len / sizeof *list;
    sb_err err = SB_OK;
    for (size_t i = 0; i < count && err == SB_OK; i++) {
        err = sb_replica_evidence(node->replica, &list[i], diag);
        err = err == SB_E_REFUSED ? SB_OK : err;
    }
    sb_buf_fini(&taken);
    return err;
}

/* run_due: each timer that was set for now, once. */
static sb_err run_due(struct sb_node *node, struct sb_diag *diag)
{
    sb_err err = SB_OK;
    for (int id = 0; id < SB_REPLICA_TIMER_COUNT && err == SB_OK; id++) {
        if (node->due[id]) {
            node->due[id] = false;
            err = sb_replica_timer(node->replica, (enum sb_replica_timer)id, diag);
        }
    }
    return err;
}

static void on_wake(uv_async_t *handle)
{
    struct sb_node *node = handle->data;
    struct sb_diag diag = {.text = ""};
    if (atomic_load(&node->stop)) {
        uv_stop(&node->loop);
        return;
    }
    if (atomic_load(&node->failed)) {
        return;
    }
    sb_err err = drain(node, &diag);
    if (err == SB_OK) {
        err = drain_evidence(node, &diag);
    }
    if (err == SB_OK && atomic_exchange(&node->has_work, false)) {
        err = sb_replica_wake(node->replica, &diag);
    }
    if (err == SB_OK) {
        err = run_due(node, &diag);
    }
    settle(node, err, &diag);
}

static void on_timer(uv_timer_t *handle)
{
    struct node_timer *timer = handle->data;
    struct sb_node *node = timer->node;
    struct sb_diag diag = {.text = ""};
    if (atomic_load(&node->failed)) {
        return;
    }
    sb_err err =
        sb_replica_timer(node->replica, (enum sb_replica_timer)(timer - node->timers), &diag);
    settle(node, err, &diag);
}

static void loop_main(void *ctx)
{
    struct sb_node *node = ctx;
    (void)uv_run(&node->loop, UV_RUN_DEFAULT);
}

/* ---- what the replica wants ---- */

static void host_set_timer(void *ctx, enum sb_replica_timer id, uint64_t delay_ms)
{
    struct sb_node *node = ctx;
    node->due[id] = delay_ms == 0;
    if (delay_ms == 0) { /* uv would run it before it looks at anything else, again and again */
        (void)uv_timer_stop(&node->timers[id].handle);
        (void)uv_async_send(&node->wake);
        return;
    }
    uv_update_time(&node->loop); /* the loop's own idea of now may be as old as the work in hand */
    SB_ASSERT(uv_timer_start(&node->timers[id].handle, on_timer, delay_ms, 0) == 0);
}

static void host_cancel_timer(void *ctx, enum sb_replica_timer id)
{
    struct sb_node *node = ctx;
    node->due[id] = false;
    (void)uv_timer_stop(&node->timers[id].handle);
}

static bool host_send(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct sb_node *node = ctx;
    return sb_p2p_send(node->p2p, peer, channel, message);
}

static void host_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    struct sb_node *node = ctx;
    sb_p2p_report(node->p2p, peer, offence, why);
}

static void host_useful(void *ctx, sb_peer peer)
{
    struct sb_node *node = ctx;
    sb_p2p_useful(node->p2p, peer, SB_USE_CONSENSUS);
}

static void tx_useful(void *ctx, sb_peer peer)
{
    struct sb_node *node = ctx;
    sb_p2p_useful(node->p2p, peer, SB_USE_TX);
}

static void host_halted(void *ctx, const char *reason)
{
    struct sb_node *node = ctx;
    if (node->metrics != NULL) { /* it may halt while the node opens */
        sb_metrics_halted(node->metrics, reason);
    }
    if (node->options.on_halted != NULL) {
        node->options.on_halted(node->options.ctx, reason);
    }
}

/* ---- what happens elsewhere; any thread ---- */

static void wake_loop(void *ctx)
{
    struct sb_node *node = ctx;
    (void)uv_async_send(&node->wake);
}

static void on_pending(void *ctx, const struct sb_pool_tx *tx)
{
    struct sb_node *node = ctx;
    (void)tx;
    if (node->options.pace == SB_PACE_INSTANT) { /* else the pace decides */
        atomic_store(&node->has_work, true);
        wake_loop(node);
    }
}

static void on_head(void *ctx, const struct sb_chain_event *event)
{
    struct sb_node *node = ctx;
    (void)atomic_fetch_add(&node->transactions, event->block->block.tx_count);
}

/* ---- the peer network's thread ---- */

static void on_peer_up(void *ctx, const struct sb_p2p_peer_info *info)
{
    struct sb_node *node = ctx;
    (void)sb_inbox_put(node->inbox, SB_INBOX_PEER_UP, info->peer, SB_CHANNEL_CONTROL,
                       sb_span(NULL, 0));
    sb_tx_gossip_peer_up(node->txs, info->peer);
    sb_backfill_peer_up(node->backfill, info->peer);
}

static void on_peer_down(void *ctx, sb_peer peer)
{
    struct sb_node *node = ctx;
    (void)sb_inbox_put(node->inbox, SB_INBOX_PEER_DOWN, peer, SB_CHANNEL_CONTROL, sb_span(NULL, 0));
    sb_tx_gossip_peer_down(node->txs, peer);
    sb_backfill_peer_down(node->backfill, peer);
    if (node->snapshots != NULL) {
        sb_snap_server_peer_down(node->snapshots, peer);
    }
}

static void on_snapshot_message(struct sb_node *node, sb_peer peer, sb_bytes raw)
{
    struct sb_snap_message message;
    if (sb_snap_message_decode(&message, raw) != SB_OK) {
        host_report(node, peer, SB_OFFENCE_PROTOCOL, "neither question nor answer about snapshots");
    } else if (message.is_answer) {
        sb_backfill_answer(node->backfill, peer, &message);
    } else if (node->snapshots != NULL) {
        sb_snap_server_receive(node->snapshots, peer, raw);
    }
}

static bool on_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct sb_node *node = ctx;
    if (channel == SB_CHANNEL_SNAPSHOT) {
        on_snapshot_message(node, peer, message);
        return true;
    }
    return channel == SB_CHANNEL_TX
               ? sb_tx_gossip_receive(node->txs, peer, message)
               : sb_inbox_put(node->inbox, SB_INBOX_MESSAGE, peer, channel, message);
}

static void resume_peer(void *ctx, sb_peer peer)
{
    struct sb_node *node = ctx;
    sb_p2p_resume(node->p2p, peer);
}

static bool send_tx(void *ctx, sb_peer peer, sb_bytes message)
{
    return host_send(ctx, peer, SB_CHANNEL_TX, message);
}

/* ---- opening ---- */

static sb_err open_chain(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    const struct sb_verifier rule = sb_verifier_ed25519();
    node->verified = sb_verify_cache_new(&rule, SB_VERIFY_CACHE_ENTRIES);
    if (node->verified == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    const struct sb_chain_options chain_options = {.db_dir = o->db_dir,
                                                   .genesis = o->genesis,
                                                   .inference = o->inference,
                                                   .log = o->log,
                                                   .create = o->create || o->resync,
                                                   .store_cache_bytes = o->store_cache_bytes,
                                                   .history_blocks = o->history_blocks,
                                                   .verifier =
                                                       sb_verify_cache_verifier(node->verified)};
    if (o->resync && o->p2p == NULL) {
        return sb_fail(
            diag, SB_E_ARG,
            "--resync gets blocks from peers, and this node has none: restore the newest "
            "database");
    }
    sb_err err = sb_chain_open(&node->chain, &chain_options, diag);
    if (err == SB_E_NOT_FOUND) {
        return sb_fail(diag, err,
                       "%s holds no database: restore it, or start once with --resync, which makes "
                       "a new one and gets the blocks from peers",
                       o->db_dir);
    }
    SB_TRY(err);
    err = sb_mempool_new(&node->mempool, node->chain, &o->mempool);
    if (err != SB_OK) {
        return sb_fail(diag, err, "mempool: %s", sb_err_text(err));
    }
    const struct sb_chain_app_options app_options = {.chain = node->chain,
                                                     .mempool = node->mempool,
                                                     .builder = {.monotonic_ms = monotonic_ms},
                                                     .log = o->log};
    SB_TRY(sb_chain_app_new(&node->app, &app_options, diag));
    SB_TRY(sb_chain_subscribe(node->chain, on_head, node));
    return sb_mempool_subscribe(node->mempool, on_pending, node);
}

static sb_err open_loop(struct sb_node *node, struct sb_diag *diag)
{
    if (uv_loop_init(&node->loop) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the event loop cannot be made");
    }
    node->has_loop = true;
    bool ok = uv_async_init(&node->loop, &node->wake, on_wake) == 0;
    node->wake.data = node;
    for (size_t i = 0; i < SB_REPLICA_TIMER_COUNT; i++) {
        ok = ok && uv_timer_init(&node->loop, &node->timers[i].handle) == 0;
        node->timers[i].handle.data = &node->timers[i];
        node->timers[i].node = node;
    }
    return ok ? SB_OK : sb_fail(diag, SB_E_INTERNAL, "the event loop cannot be made");
}

/* open_key: the signer process, or the key that the options give. */
static sb_err open_key(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    if (o->signer_socket == NULL || o->signer_socket[0] == '\0') {
        memcpy(node->signer.secret, o->validator_secret, sizeof node->signer.secret);
        node->key = sb_pubkey_ed25519(o->validator_secret + 32);
        return SB_OK;
    }
    const struct sb_remote_signer_options options = {.path = o->signer_socket,
                                                     .timeout_ms = o->signer_timeout_ms,
                                                     .domain = *sb_chain_domain(node->chain)};
    SB_TRY(sb_remote_signer_new(&node->remote, &options, diag));
    node->key = sb_remote_signer_key(node->remote);
    return SB_OK;
}

/* open_metered: the journal in its folder, its operations timed. */
static sb_err open_metered(struct sb_node *node, bool create, struct sb_journal_recovery *ret_found,
                           struct sb_diag *diag)
{
    struct sb_journal_identity identity = {.genesis_hash =
                                               sb_chain_domain(node->chain)->genesis_hash};
    struct sb_journal_disk folder;
    memcpy(identity.public_key, node->key.bytes, sizeof identity.public_key);
    SB_TRY(sb_journal_disk_folder(&folder, node->options.journal_dir, create, diag));
    struct sb_journal_disk disk = sb_disk_meter_wrap_take(node->meter, &folder);
    return sb_journal_open(&node->journal, &disk, &identity, create, ret_found, diag);
}

static sb_err open_journal(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    struct sb_journal_recovery found;
    node->meter = sb_disk_meter_new();
    if (node->meter == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sb_err err = open_metered(node, o->new_key, &found, diag);
    if (err == SB_E_NOT_FOUND && node->remote != NULL) { /* the guard is with the signer */
        err = open_metered(node, true, &found, diag);
    }
    SB_TRY(err);
    if (found.torn_bytes != 0) {
        sb_log(o->log, SB_LOG_WARN, "journal", "the end of the journal was torn and is cut off",
               SB_LOG_U64("bytes", found.torn_bytes), SB_LOG_END);
    }
    node->signer.journal = node->journal;
    return SB_OK;
}

static sb_err open_replica(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    const struct sb_bft_timeouts *t = &o->timeouts;
    bool has_timeouts = t->propose_ms != 0 || t->prevote_ms != 0 || t->precommit_ms != 0;
    struct sb_replica_options options = {.app = sb_chain_app_table(node->app),
                                         .journal = node->journal,
                                         .signer = node->remote != NULL
                                                       ? sb_remote_signer_table(node->remote)
                                                       : sb_local_signer(&node->signer),
                                         .own_key = node->key,
                                         .verifier = sb_verify_cache_verifier(node->verified),
                                         .timeouts = has_timeouts ? *t : sb_bft_timeouts_default(),
                                         .may_resync = o->resync,
                                         .pace = o->pace,
                                         .interval_ms = o->interval_ms,
                                         .halt_height = o->halt_height,
                                         .host = {.ctx = node,
                                                  .wall_ms = wall_ms,
                                                  .monotonic_ms = monotonic_ms,
                                                  .set_timer = host_set_timer,
                                                  .cancel_timer = host_cancel_timer,
                                                  .send = host_send,
                                                  .report = host_report,
                                                  .useful = host_useful,
                                                  .halted = host_halted},
                                         .log = o->log};
    randombytes_buf(&options.seed, sizeof options.seed);
    SB_TRY(sb_replica_new(&node->replica, &options, diag));
    const struct sb_inbox_options inbox = {.ctx = node, .wake = wake_loop, .resume = resume_peer};
    node->inbox = sb_inbox_new(&inbox);
    return node->inbox != NULL ? SB_OK : sb_fail(diag, SB_E_NOMEM, "out of memory");
}

static sb_err open_network(struct sb_node *node, struct sb_diag *diag)
{
    if (node->options.p2p == NULL) {
        return SB_OK;
    }
    struct sb_tx_gossip_options txs = {.mempool = node->mempool,
                                       .ctx = node,
                                       .send = send_tx,
                                       .report = host_report,
                                       .useful = tx_useful,
                                       .resume = resume_peer};
    randombytes_buf(&txs.seed, sizeof txs.seed);
    SB_TRY(sb_tx_gossip_new(&node->txs, &txs, diag));
    struct sb_p2p_options options = *node->options.p2p;
    options.domain = *sb_chain_domain(node->chain);
    options.log = node->options.log;
    options.callbacks = (struct sb_p2p_callbacks){
        .ctx = node, .peer_up = on_peer_up, .peer_down = on_peer_down, .message = on_message};
    sb_err err = sb_p2p_new(&node->p2p, &options, diag);
    explicit_bzero(options.node_secret, sizeof options.node_secret);
    return err;
}

static bool send_snapshot(void *ctx, sb_peer peer, sb_bytes message)
{
    return host_send(ctx, peer, SB_CHANNEL_SNAPSHOT, message);
}

static sb_err open_snapshots(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    const struct sb_snap_server_options options = {.chain = node->chain,
                                                   .dir = o->snapshots_dir,
                                                   .interval = o->snapshot_interval,
                                                   .keep = (size_t)o->snapshot_keep,
                                                   .prune_blocks = o->prune_blocks,
                                                   .history_blocks = o->history_blocks,
                                                   .log = o->log,
                                                   .ctx = node,
                                                   .send = send_snapshot,
                                                   .report = host_report};
    const struct sb_backfill_options backfill = {.chain = node->chain,
                                                 .log = o->log,
                                                 .ctx = node,
                                                 .send = send_snapshot,
                                                 .report = host_report};
    bool wanted = o->snapshots_dir != NULL && (o->snapshot_interval != 0 || o->prune_blocks != 0);
    if (node->p2p != NULL) {
        SB_TRY(sb_backfill_new(&node->backfill, &backfill, diag));
    }
    return wanted ? sb_snap_server_new(&node->snapshots, &options, diag) : SB_OK;
}

static sb_err open_lookahead(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_node_options *o = &node->options;
    bool wanted = !o->no_look_ahead && o->pace == SB_PACE_STEADY && o->inference != NULL;
    return wanted ? sb_lookahead_new(&node->lookahead, node->chain, node->mempool, diag) : SB_OK;
}

static sb_err open_metrics(struct sb_node *node, struct sb_diag *diag)
{
    const struct sb_metrics_options options = {.chain = node->chain,
                                               .mempool = node->mempool,
                                               .inference = node->options.inference,
                                               .lookahead = node->lookahead,
                                               .app = node->app,
                                               .journal = node->meter,
                                               .stall_ms = node->options.stall_ms,
                                               .is_steady = node->options.pace == SB_PACE_STEADY,
                                               .has_validator = true,
                                               .validator = sb_pubkey_address(&node->key),
                                               .wake_ctx = node,
                                               .wake = wake_loop};
    SB_TRY(sb_metrics_new(&node->metrics, &options, diag));
    sb_metrics_set_network(node->metrics, node->p2p, node->txs);
    return SB_OK;
}

static sb_err open_all(struct sb_node *node, struct sb_diag *diag)
{
    SB_TRY(open_chain(node, diag));
    SB_TRY(open_loop(node, diag));
    SB_TRY(open_key(node, diag));
    SB_TRY(open_journal(node, diag));
    SB_TRY(open_replica(node, diag));
    SB_TRY(open_network(node, diag));
    SB_TRY(open_snapshots(node, diag));
    SB_TRY(open_lookahead(node, diag));
    SB_TRY(open_metrics(node, diag));
    SB_TRY(sb_replica_start(node->replica, diag));
    node->status = sb_replica_status(node->replica);
    sb_metrics_observe(node->metrics, node->replica);
    return SB_OK;
}

/* ---- life ---- */

sb_err sb_node_new(struct sb_node **ret_node, const struct sb_node_options *options,
                   struct sb_diag *diag)
{
    struct sb_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    node->options = *options;
    (void)pthread_mutex_init(&node->lock, NULL);
    sb_buf_init(&node->evidence, SB_NODE_EVIDENCE_MAX * sizeof(struct sb_evidence));
    sb_err err = open_all(node, diag);
    explicit_bzero(node->options.validator_secret, sizeof node->options.validator_secret);
    node->options.p2p = NULL;
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
    if (uv_thread_create(&node->thread, loop_main, node) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the node's thread cannot be made");
    }
    node->has_thread = true;
    if (node->snapshots != NULL) {
        SB_TRY(sb_snap_server_start(node->snapshots, diag));
    }
    if (node->p2p == NULL) {
        return SB_OK;
    }
    SB_TRY(sb_tx_gossip_start(node->txs, diag));
    SB_TRY(sb_backfill_start(node->backfill, diag));
    return sb_p2p_start(node->p2p, diag);
}

void sb_node_stop(struct sb_node *node)
{
    if (node->p2p != NULL) {
        sb_p2p_stop(node->p2p);
        sb_tx_gossip_stop(node->txs);
    }
    if (node->backfill != NULL) {
        sb_backfill_stop(node->backfill);
    }
    if (node->snapshots != NULL) {
        sb_snap_server_stop(node->snapshots);
    }
    if (node->has_thread) {
        atomic_store(&node->stop, true);
        (void)uv_async_send(&node->wake);
        (void)uv_thread_join(&node->thread);
        node->has_thread = false;
    }
    sb_lookahead_stop(node->lookahead);
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
    sb_replica_free(node->replica);
    if (node->journal != NULL) {
        sb_journal_close(node->journal);
    }
    sb_disk_meter_free(node->meter);
    sb_remote_signer_free(node->remote);
    explicit_bzero(node->signer.secret, sizeof node->signer.secret);
    sb_chain_app_free(node->app);
    while (node->taken != NULL) {
        struct sb_inbox_item *item = node->taken;
        node->taken = item->next;
        sb_inbox_done_take(node->inbox, item);
    }
    sb_tx_gossip_free(node->txs);
    sb_snap_server_free(node->snapshots);
    sb_backfill_free(node->backfill);
    sb_inbox_free(node->inbox);
    sb_p2p_free(node->p2p);
    if (node->has_loop) {
        uv_walk(&node->loop, close_handle, NULL);
        (void)uv_run(&node->loop, UV_RUN_DEFAULT);
        SB_ASSERT(uv_loop_close(&node->loop) == 0);
    }
    sb_metrics_free(node->metrics);
    sb_lookahead_free(node->lookahead);
    sb_mempool_free(node->mempool);
    sb_chain_close(node->chain);
    sb_verify_cache_free(node->verified);
    (void)pthread_mutex_destroy(&node->lock);
    sb_buf_fini(&node->evidence);
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

struct sb_p2p *sb_node_p2p(struct sb_node *node)
{
    return node->p2p;
}

struct sb_metrics *sb_node_metrics(struct sb_node *node)
{
    return node->metrics;
}

bool sb_node_failed(struct sb_node *node)
{
    return atomic_load(&node->failed);
}

sb_err sb_node_submit_evidence(struct sb_node *node, const struct sb_evidence *list, size_t count)
{
    (void)pthread_mutex_lock(&node->lock);
    sb_buf_add(&node->evidence, list, count * sizeof *list);
    sb_err err = sb_buf_err(&node->evidence);
    node->evidence.failed = false; /* what was there stays, and there may be room later */
    (void)pthread_mutex_unlock(&node->lock);
    if (err == SB_OK) {
        (void)uv_async_send(&node->wake);
    }
    return err == SB_E_LIMIT ? SB_E_BUSY : err;
}

struct sb_node_status sb_node_status(struct sb_node *node)
{
    struct sb_node_status status = {.app = sb_chain_app_counters(node->app),
                                    .transactions = atomic_load(&node->transactions)};
    (void)pthread_mutex_lock(&node->lock);
    status.replica = node->status;
    (void)pthread_mutex_unlock(&node->lock);
    if (node->p2p != NULL) {
        status.txs = sb_tx_gossip_counters(node->txs);
        status.peer_count = sb_p2p_peer_count(node->p2p);
    }
    return status;
}
