/* p2p.c: the peer network as other threads see it, and the life of its own thread: see p2p.h and p2p_impl.h.
 *
 *      sb_p2p_send: copy | lock | find the connection | put into its queue | mark it dirty | unlock --uv_async--> on_wake: service each dirty one
 *
 * The lock is held for a look-up or for the copy of a frame, never for input or output. */
#include "node/p2p/p2p.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util/assert.h"
#include "node/p2p/p2p_impl.h"

#define LIST_MAX    SB_P2P_PEERS_LIST_MAX
#define LOG_LINES_S 2
#define LOG_BURST   20

/* ---- clocks ---- */

uint64_t sb_p2p_wall_s(void)
{
    uv_timeval64_t now;
    SB_ASSERT(uv_gettimeofday(&now) == 0);
    return (uint64_t)now.tv_sec;
}

bool sb_p2p_may_log(struct sb_p2p *p2p)
{
    if (!sb_token_bucket_ready(&p2p->log_rate, p2p->now_us)) {
        return false;
    }
    sb_token_bucket_take(&p2p->log_rate, 1);
    return true;
}

/* ---- options ---- */

static void set_default(uint32_t *value, uint32_t standard)
{
    *value = *value == 0 ? standard : *value;
}

static void options_default(struct sb_p2p_options *o)
{
    set_default(&o->inbound_max, 50);
    set_default(&o->outbound_max, 10);
    set_default(&o->per_ip_max, 2);
    set_default(&o->per_subnet_max, 8);
    set_default(&o->half_open_max, 64);
    set_default(&o->accepts_per_s_per_ip, 10);
    set_default(&o->handshake_ms_max, 5000);
    set_default(&o->ping_ms, 10000);
    set_default(&o->dead_ms, 30000);
    set_default(&o->dial_ms_max, 3000);
    set_default(&o->reconnect_ms, 500);
    set_default(&o->ban_s, 3600);
    o->queue_bytes_max = o->queue_bytes_max == 0 ? (size_t)4 << 20 : o->queue_bytes_max;
}

static sb_err take_ids(struct sb_node_id **ret_ids, const char *const *texts, size_t count,
                       const char *key, struct sb_diag *diag)
{
    if (count > LIST_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "%s: more than %d ids", key, LIST_MAX);
    }
    *ret_ids = calloc(count + 1, sizeof **ret_ids);
    if (*ret_ids == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        sb_err err = sb_node_id_parse((*ret_ids)[i].b, texts[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", key);
            return err;
        }
    }
    return SB_OK;
}

static sb_err take_targets(struct sb_p2p *p2p, const char *const *texts, size_t count, bool seeds,
                           struct sb_diag *diag)
{
    for (size_t i = 0; i < count; i++) {
        struct sb_target *target = &p2p->targets[p2p->target_count];
        sb_err err = sb_node_address_parse(&target->address, texts[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", seeds ? "seeds" : "persistentPeers");
            return err;
        }
        target->p2p = p2p;
        target->is_seed = seeds;
        target->is_id_given = target->address.has_id;
        p2p->target_count++;
    }
    return SB_OK;
}

static sb_err take_texts(struct sb_p2p *p2p, struct sb_diag *diag)
{
    struct sb_p2p_options *o = &p2p->options;
    const char *agent = o->agent != NULL ? o->agent : "samebit";
    (void)snprintf(p2p->agent, sizeof p2p->agent, "%s", agent);
    if (o->persistent_count > LIST_MAX || o->seed_count > LIST_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "more than %d persistent peers or seeds", LIST_MAX);
    }
    p2p->targets = calloc(o->persistent_count + o->seed_count + 1, sizeof *p2p->targets);
    if (p2p->targets == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    SB_TRY(take_targets(p2p, o->persistent_peers, o->persistent_count, false, diag));
    SB_TRY(take_targets(p2p, o->seeds, o->seed_count, true, diag));
    SB_TRY(take_ids(&p2p->private_ids, o->private_ids, o->private_count, "privatePeerIds", diag));
    SB_TRY(take_ids(&p2p->unconditional_ids, o->unconditional_ids, o->unconditional_count,
                    "unconditionalPeerIds", diag));
    if (o->address_book != NULL && (p2p->book_path = strdup(o->address_book)) == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    return SB_OK;
}

/* What others are told: the external address, or the address that the socket is bound to. */
static sb_err take_listen_text(struct sb_p2p *p2p, struct sb_diag *diag)
{
    const struct sb_p2p_options *o = &p2p->options;
    struct sb_node_address said;
    if (o->external_address != NULL && o->external_address[0] != '\0') {
        sb_err err = sb_node_address_parse(&said, o->external_address, diag);
        if (err != SB_OK || said.has_id) {
            return sb_fail(diag, SB_E_SYNTAX, "p2pExternalAddress: \"%.80s\" is not HOST:PORT",
                           o->external_address);
        }
        (void)snprintf(p2p->listen, sizeof p2p->listen, "%s", o->external_address);
    } else if (p2p->is_listening) {
        bool v6 = strchr(o->listen_host, ':') != NULL;
        (void)snprintf(p2p->listen, sizeof p2p->listen, v6 ? "[%s]:%u" : "%s:%u", o->listen_host,
                       (unsigned)p2p->port);
    }
    return SB_OK;
}

/* The texts of the options belong to the caller and may go away after new. */
static void forget_texts(struct sb_p2p_options *o)
{
    o->agent = o->listen_host = o->external_address = o->address_book = NULL;
    o->persistent_peers = o->seeds = o->private_ids = o->unconditional_ids = NULL;
}

/* ---- the thread ---- */

static void on_wake(uv_async_t *handle)
{
    struct sb_p2p *p2p = handle->data;
    static _Thread_local uint32_t dirty[SB_P2P_SLOTS];
    p2p->now_us = uv_hrtime() / 1000;
    (void)pthread_mutex_lock(&p2p->lock);
    size_t count = p2p->dirty_count;
    sb_copy(dirty, p2p->dirty, count * sizeof dirty[0]);
    p2p->dirty_count = 0;
    for (size_t i = 0; i < count; i++) {
        p2p->slots[dirty[i]]->is_dirty = false;
    }
    bool stop = p2p->stop;
    (void)pthread_mutex_unlock(&p2p->lock);
    for (size_t i = 0; i < count; i++) {
        sb_conn_service(p2p->slots[dirty[i]]);
    }
    if (stop && !p2p->closing) {
        sb_pex_save_now(p2p);
        sb_switch_close(p2p);
    }
}

static void on_tick(uv_timer_t *handle)
{
    struct sb_p2p *p2p = handle->data;
    p2p->now_us = uv_hrtime() / 1000;
    sb_switch_tick(p2p);
}

static void thread_main(void *ctx)
{
    struct sb_p2p *p2p = ctx;
    (void)uv_run(&p2p->loop, UV_RUN_DEFAULT);
}

/* ---- life ---- */

static sb_err open_loop(struct sb_p2p *p2p, struct sb_diag *diag)
{
    if (uv_loop_init(&p2p->loop) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the event loop of the peer network cannot be made");
    }
    p2p->has_loop = true;
    bool ok = uv_async_init(&p2p->loop, &p2p->wake, on_wake) == 0 &&
              uv_timer_init(&p2p->loop, &p2p->tick) == 0;
    SB_ASSERT(ok); /* both only write to memory and to a descriptor that the loop has */
    p2p->wake.data = p2p;
    p2p->tick.data = p2p;
    return SB_OK;
}

static sb_err open_all(struct sb_p2p *p2p, struct sb_diag *diag)
{
    uint8_t key[SB_BOOK_KEY_BYTES];
    randombytes_buf(key, sizeof key);
    randombytes_buf(p2p->static_secret, sizeof p2p->static_secret);
    randombytes_buf(&p2p->salt, sizeof p2p->salt);
    SB_TRY(take_texts(p2p, diag));
    SB_TRY(sb_book_new(&p2p->book, key, p2p->options.allow_local));
    SB_TRY(open_loop(p2p, diag));
    SB_TRY(sb_switch_open(p2p, diag));
    return take_listen_text(p2p, diag);
}

sb_err sb_p2p_new(struct sb_p2p **ret_p2p, const struct sb_p2p_options *options,
                  struct sb_diag *diag)
{
    struct sb_p2p *p2p = calloc(1, sizeof *p2p);
    if (p2p == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    p2p->options = *options;
    options_default(&p2p->options);
    memcpy(p2p->node_id, options->node_secret + SB_ED25519_SEED_BYTES, sizeof p2p->node_id);
    SB_ASSERT(pthread_mutex_init(&p2p->lock, NULL) == 0);
    p2p->now_us = uv_hrtime() / 1000;
    p2p->log_rate = sb_token_bucket_full(LOG_LINES_S, LOG_BURST, p2p->now_us);
    sb_bans_init(&p2p->bans, p2p->options.ban_s);
    sb_buf_init(&p2p->save_bytes, SB_BOOK_FILE_BYTES_MAX);
    sb_err err = open_all(p2p, diag);
    forget_texts(&p2p->options);
    if (err != SB_OK) {
        sb_p2p_free(p2p);
        return err;
    }
    *ret_p2p = p2p;
    return SB_OK;
}

sb_err sb_p2p_start(struct sb_p2p *p2p, struct sb_diag *diag)
{
    SB_ASSERT(!p2p->has_thread && !p2p->closing);
    sb_pex_open_book(p2p);
    sb_switch_begin(p2p);
    if (uv_timer_start(&p2p->tick, on_tick, 0, SB_P2P_TICK_MS) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the clock of the peer network cannot be started");
    }
    (void)pthread_mutex_lock(&p2p->lock);
    p2p->running = true;
    (void)pthread_mutex_unlock(&p2p->lock);
    if (uv_thread_create(&p2p->thread, thread_main, p2p) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the thread of the peer network cannot be made");
    }
    p2p->has_thread = true;
    return SB_OK;
}

void sb_p2p_stop(struct sb_p2p *p2p)
{
    if (!p2p->has_thread) {
        return;
    }
    (void)pthread_mutex_lock(&p2p->lock);
    p2p->running = false;
    p2p->stop = true;
    (void)uv_async_send(&p2p->wake);
    (void)pthread_mutex_unlock(&p2p->lock);
    (void)uv_thread_join(&p2p->thread);
    p2p->has_thread = false;
}

void sb_p2p_free(struct sb_p2p *p2p)
{
    if (p2p == NULL) {
        return;
    }
    sb_p2p_stop(p2p);
    if (p2p->has_loop) {
        if (!p2p->closing) {
            sb_switch_close(p2p);
        }
        (void)uv_run(&p2p->loop, UV_RUN_DEFAULT);
        SB_ASSERT(uv_loop_close(&p2p->loop) == 0);
    }
    sb_buf_fini(&p2p->save_bytes);
    sb_book_free(p2p->book);
    free(p2p->targets);
    free(p2p->private_ids);
    free(p2p->unconditional_ids);
    free(p2p->book_path);
    (void)pthread_mutex_destroy(&p2p->lock);
    sodium_memzero(&p2p->options.node_secret, sizeof p2p->options.node_secret);
    sodium_memzero(p2p->static_secret, sizeof p2p->static_secret);
    free(p2p);
}

uint16_t sb_p2p_port(const struct sb_p2p *p2p)
{
    return p2p->port;
}

const uint8_t *sb_p2p_node_id(const struct sb_p2p *p2p)
{
    return p2p->node_id;
}

/* ---- any thread ---- */

/* find_listed: the connection of a peer that is up; the lock is held. */
static struct sb_conn *find_listed(struct sb_p2p *p2p, sb_peer peer)
{
    struct sb_conn *conn = p2p->slots[peer & (SB_P2P_SLOTS - 1)];
    return conn != NULL && conn->number == peer && conn->is_listed ? conn : NULL;
}

/* mark: the p2p thread has something to do for a connection; the lock is held. */
static void mark(struct sb_p2p *p2p, struct sb_conn *conn)
{
    if (!conn->is_dirty && p2p->running) {
        conn->is_dirty = true;
        p2p->dirty[p2p->dirty_count++] = (uint32_t)(conn->number & (SB_P2P_SLOTS - 1));
        (void)uv_async_send(&p2p->wake);
    }
}

bool sb_p2p_send(struct sb_p2p *p2p, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    bool queued = false;
    SB_ASSERT((unsigned)channel < SB_CHANNEL_COUNT);
    struct sb_send_item *item = sb_send_item_new(channel, message);
    (void)pthread_mutex_lock(&p2p->lock);
    struct sb_conn *conn = find_listed(p2p, peer);
    if (conn != NULL) {
        uint64_t before = conn->queue.dropped;
        enum sb_push_result result = sb_send_queue_push_take(&conn->queue, channel, item);
        item = NULL;
        queued = result == SB_PUSH_QUEUED;
        conn->overflow |= result == SB_PUSH_OVERFLOW;
        atomic_fetch_add_explicit(&p2p->totals.dropped, conn->queue.dropped - before,
                                  memory_order_relaxed);
        mark(p2p, conn);
    }
    (void)pthread_mutex_unlock(&p2p->lock);
    sb_send_item_free(item);
    return queued;
}

void sb_p2p_report(struct sb_p2p *p2p, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)pthread_mutex_lock(&p2p->lock);
    struct sb_conn *conn = find_listed(p2p, peer);
    if (conn != NULL) {
        uint32_t room = SB_SCORE_POINTS_MAX - conn->reported;
        conn->reported += (uint32_t)offence < room ? (uint32_t)offence : room;
        (void)snprintf(conn->why, sizeof conn->why, "%s", why);
        mark(p2p, conn);
    }
    (void)pthread_mutex_unlock(&p2p->lock);
}

void sb_p2p_useful(struct sb_p2p *p2p, sb_peer peer, enum sb_use use)
{
    (void)pthread_mutex_lock(&p2p->lock);
    struct sb_conn *conn = find_listed(p2p, peer);
    if (conn != NULL) {
        atomic_store_explicit(&conn->used_us[use], uv_hrtime() / 1000, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&p2p->lock);
}

void sb_p2p_resume(struct sb_p2p *p2p, sb_peer peer)
{
    (void)pthread_mutex_lock(&p2p->lock);
    struct sb_conn *conn = find_listed(p2p, peer);
    if (conn != NULL) {
        conn->resume = true;
        mark(p2p, conn);
    }
    (void)pthread_mutex_unlock(&p2p->lock);
}

size_t sb_p2p_peer_count(struct sb_p2p *p2p)
{
    (void)pthread_mutex_lock(&p2p->lock);
    size_t count = p2p->listed_count;
    (void)pthread_mutex_unlock(&p2p->lock);
    return count;
}

static void fill_status(struct sb_p2p_peer_status *ret, struct sb_conn *conn)
{
    ret->info = conn->info;
    ret->sent_bytes = atomic_load_explicit(&conn->sent_bytes, memory_order_relaxed);
    ret->received_bytes = atomic_load_explicit(&conn->received_bytes, memory_order_relaxed);
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        ret->channel_sent_bytes[i] =
            atomic_load_explicit(&conn->channel_sent[i], memory_order_relaxed);
        ret->channel_received_bytes[i] =
            atomic_load_explicit(&conn->channel_received[i], memory_order_relaxed);
    }
    ret->queued_bytes = conn->queue.bytes;
    ret->score = atomic_load(&conn->score_left);
    ret->rtt_ms = atomic_load(&conn->rtt_ms);
}

size_t sb_p2p_peers(struct sb_p2p *p2p, struct sb_p2p_peer_status *ret_peers, size_t max)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&p2p->lock);
    for (size_t i = 0; i < SB_P2P_SLOTS && count < max; i++) {
        struct sb_conn *conn = p2p->slots[i];
        if (conn != NULL && conn->is_listed) {
            fill_status(&ret_peers[count++], conn);
        }
    }
    (void)pthread_mutex_unlock(&p2p->lock);
    return count;
}

struct sb_p2p_totals sb_p2p_totals(struct sb_p2p *p2p)
{
    return (struct sb_p2p_totals){.accepted = atomic_load(&p2p->totals.accepted),
                                  .refused = atomic_load(&p2p->totals.refused),
                                  .dialled = atomic_load(&p2p->totals.dialled),
                                  .dial_failures = atomic_load(&p2p->totals.dial_failures),
                                  .handshake_failures =
                                      atomic_load(&p2p->totals.handshake_failures),
                                  .bans = atomic_load(&p2p->totals.bans),
                                  .evicted = atomic_load(&p2p->totals.evicted),
                                  .overloaded = atomic_load(&p2p->totals.overloaded),
                                  .dropped_messages = atomic_load(&p2p->totals.dropped),
                                  .sent_bytes = atomic_load(&p2p->totals.sent_bytes),
                                  .received_bytes = atomic_load(&p2p->totals.received_bytes),
                                  .known_addresses = atomic_load(&p2p->totals.known_addresses)};
}
