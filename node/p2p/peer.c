/* peer.c: one connection: see p2p_impl.h.
 *
 *      on_read -> sb_link_room/received -> process: sb_link_next ... -> callbacks.message, CONTROL, PEX
 *      service -> sb_conn_flush (peer_send.c)
 *
 * Reading stops while the receiver has no room or the peer is over a rate, so TCP holds the peer back. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/p2p_impl.h"

#define UNSENT_BYTES_MAX (128 * 1024)
/* Read in one go; then the other connections have their turn. */
#define TURN_BYTES_MAX ((size_t)64 * 1024)
#define WASTE_PAUSE_US UINT64_C(1000000)
/* A receiver that has no room for so many times the time after which a silent peer is dead: the connection is of no use. */
#define BLOCKED_DEADS_MAX 4

static void process(struct sb_conn *conn);

/* ---- life ---- */

static struct sb_conn **free_slot(struct sb_p2p *p2p)
{
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        if (p2p->slots[i] == NULL) {
            return &p2p->slots[i];
        }
    }
    return NULL;
}

struct sb_conn *sb_conn_new(struct sb_p2p *p2p, enum sb_conn_purpose purpose)
{
    struct sb_conn **slot = free_slot(p2p);
    struct sb_conn *conn = slot != NULL ? calloc(1, sizeof *conn) : NULL;
    if (conn == NULL || uv_tcp_init(&p2p->loop, &conn->tcp) != 0) {
        free(conn);
        return NULL;
    }
    conn->p2p = p2p;
    conn->number = (++p2p->generation << SB_P2P_SLOT_BITS) | (uint64_t)(slot - p2p->slots);
    conn->purpose = purpose;
    conn->state = SB_CONN_CONNECTING;
    conn->begun_us = conn->heard_us = p2p->now_us;
    conn->send_ready_us = UINT64_MAX;
    conn->rtt_us_min = UINT32_MAX;
    conn->tcp.data = conn;
    conn->connect.data = conn;
    conn->write.data = conn;
    atomic_store(&conn->score_left, SB_SCORE_POINTS_MAX);
    sb_send_queue_init(&conn->queue, p2p->options.queue_bytes_max, p2p->now_us);
    (void)pthread_mutex_lock(&p2p->lock);
    *slot = conn;
    (void)pthread_mutex_unlock(&p2p->lock);
    return conn;
}

/* Called with the lock held: the slot may be another connection's at once. */
static void forget_dirty(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    for (size_t i = 0; conn->is_dirty && i < p2p->dirty_count; i++) {
        if (p2p->dirty[i] == (conn->number & (SB_P2P_SLOTS - 1))) {
            p2p->dirty[i] = p2p->dirty[--p2p->dirty_count];
            conn->is_dirty = false;
        }
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct sb_conn *conn = handle->data;
    struct sb_p2p *p2p = conn->p2p;
    sb_link_free(conn->link);
    (void)pthread_mutex_lock(&p2p->lock);
    forget_dirty(conn);
    p2p->slots[conn->number & (SB_P2P_SLOTS - 1)] = NULL;
    sb_send_queue_fini(&conn->queue);
    (void)pthread_mutex_unlock(&p2p->lock);
    free(conn);
}

void sb_conn_close(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    bool was_up = conn->in_list;
    sb_switch_gone(conn);
    conn->state = SB_CONN_CLOSING;
    p2p->partial_bytes -= conn->partial_bytes; /* at once, so that nobody else pays for them */
    conn->partial_bytes = 0;
    (void)pthread_mutex_lock(&p2p->lock);
    p2p->listed_count -= conn->is_listed ? 1 : 0;
    conn->is_listed = false;
    (void)pthread_mutex_unlock(&p2p->lock);
    if (was_up && p2p->options.callbacks.peer_down != NULL) {
        p2p->options.callbacks.peer_down(p2p->options.callbacks.ctx, conn->number);
    }
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* ---- bytes in ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct sb_conn *conn = handle->data;
    size_t room = 0;
    (void)suggested;
    uint8_t *at = sb_link_room(conn->link, &room);
    *ret = uv_buf_init((char *)at, (unsigned)(room < TURN_BYTES_MAX ? room : TURN_BYTES_MAX));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct sb_conn *conn = stream->data;
    (void)buf;
    if (got == 0 || conn->state == SB_CONN_CLOSING) {
        return;
    }
    conn->p2p->now_us = uv_hrtime() / 1000;
    if (got < 0) {
        sb_conn_close(conn);
        return;
    }
    atomic_fetch_add_explicit(&conn->received_bytes, (uint64_t)got, memory_order_relaxed);
    atomic_fetch_add_explicit(&conn->p2p->totals.received_bytes, (uint64_t)got,
                              memory_order_relaxed);
    sb_link_received(conn->link, (size_t)got);
    conn->turn_bytes += (size_t)got;
    if (conn->turn_bytes >= TURN_BYTES_MAX) {
        conn->resting = true;
        sb_conn_mark(conn);
    }
    process(conn);
}

/* Read exactly while there is somebody to read for. */
static void set_reading(struct sb_conn *conn)
{
    bool wanted = !conn->blocked && conn->throttled_until_us == 0 && !conn->resting;
    if (conn->state == SB_CONN_CLOSING || wanted == conn->reading) {
        return;
    }
    conn->reading = wanted;
    if (!wanted) {
        (void)uv_read_stop((uv_stream_t *)&conn->tcp);
        return;
    }
    conn->heard_us = conn->p2p->now_us; /* what was silent was this side */
    if (conn->pong_by_us != 0) {
        conn->pong_by_us = conn->heard_us + (uint64_t)conn->p2p->options.dead_ms * 1000;
    }
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        sb_conn_close(conn);
    }
}

static void come_up(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    conn->state = SB_CONN_UP;
    conn->up_us = p2p->now_us;
    conn->in_list = true;
    p2p->half_open -= conn->purpose == SB_PURPOSE_INBOUND ? 1 : 0;
    (void)pthread_mutex_lock(&p2p->lock);
    conn->is_listed = true;
    p2p->listed_count++;
    (void)pthread_mutex_unlock(&p2p->lock);
    char id[2 * SB_P2P_NODE_ID_BYTES + 1] = {0};
    sb_hex_encode(id, sb_span(conn->info.node_id, sizeof conn->info.node_id));
    conn->is_told = conn->info.is_outbound || conn->info.is_persistent || sb_p2p_may_log(p2p);
    if (conn->is_told) { /* strangers that come and go do not fill the log */
        sb_log(p2p->options.log, SB_LOG_INFO, "p2p", "a peer is connected", SB_LOG_STR("id", id),
               SB_LOG_STR("remote", conn->info.remote), SB_LOG_STR("agent", conn->info.agent),
               SB_LOG_BOOL("outbound", conn->info.is_outbound), SB_LOG_END);
    }
    if (p2p->options.callbacks.peer_up != NULL) {
        p2p->options.callbacks.peer_up(p2p->options.callbacks.ctx, &conn->info);
    }
    sb_pex_up(conn);
}

static void take_pong(struct sb_conn *conn, uint64_t nonce)
{
    if (conn->ping_nonce == 0 || nonce != conn->ping_nonce) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "a pong that was not asked for");
        return;
    }
    conn->ping_nonce = 0;
    conn->pong_by_us = 0;
    uint64_t took_us = conn->p2p->now_us - conn->pinged_us;
    atomic_store(&conn->rtt_ms, (unsigned)(took_us / 1000));
    conn->rtt_us_min = took_us < conn->rtt_us_min ? (uint32_t)took_us : conn->rtt_us_min;
}

/* A node that was named in the settings and turns us away is a matter for a person; the log says it once. */
static void take_goodbye(struct sb_conn *conn, uint8_t reason)
{
    struct sb_target *target = conn->target;
    bool is_news = target != NULL && !target->was_turned_away && conn->state == SB_CONN_GREETING &&
                   reason != SB_GOODBYE_DUPLICATE && reason != SB_GOODBYE_STOPPING;
    if (is_news) {
        target->was_turned_away = true;
    }
    sb_log(conn->p2p->options.log, is_news ? SB_LOG_WARN : SB_LOG_DEBUG, "p2p",
           is_news ? "a node turns us away; it is tried again and again" : "a peer says goodbye",
           SB_LOG_STR("remote", conn->info.remote), SB_LOG_STR("reason", sb_goodbye_text(reason)),
           SB_LOG_END);
    sb_conn_close(conn);
}

static void take_control(struct sb_conn *conn, sb_bytes message)
{
    struct sb_control control;
    if (sb_control_decode(&control, message) != SB_OK) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "a malformed control message");
        sb_conn_close(conn);
        return;
    }
    bool greeting = conn->state == SB_CONN_GREETING;
    if (control.type == SB_CONTROL_GOODBYE) {
        take_goodbye(conn, control.reason);
    } else if ((control.type == SB_CONTROL_WELCOME) != greeting) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "a control message out of place");
        sb_conn_close(conn);
    } else if (control.type == SB_CONTROL_WELCOME) {
        come_up(conn);
    } else if (control.type == SB_CONTROL_PING) {
        control.type = SB_CONTROL_PONG;
        sb_conn_control(conn, &control);
    } else {
        take_pong(conn, control.nonce);
    }
}

static void take_message(struct sb_conn *conn, const struct sb_link_event *event)
{
    struct sb_p2p *p2p = conn->p2p;
    conn->heard_us = p2p->now_us;
    atomic_fetch_add_explicit(&conn->channel_received[event->channel], event->message.len,
                              memory_order_relaxed);
    if (event->channel == SB_CHANNEL_CONTROL) {
        take_control(conn, event->message);
    } else if (conn->state != SB_CONN_UP) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "a message before the welcome");
        sb_conn_close(conn);
    } else if (event->channel == SB_CHANNEL_PEX) {
        sb_pex_message(conn, event->message);
    } else if (p2p->options.callbacks.message != NULL) {
        conn->blocked = !p2p->options.callbacks.message(p2p->options.callbacks.ctx, conn->number,
                                                        event->channel, event->message);
        conn->blocked_since_us = p2p->now_us;
    }
}

/* The link is of no more use: tell why, where a person can do something about it. */
static void link_failed(struct sb_conn *conn, const struct sb_diag *diag)
{
    struct sb_p2p *p2p = conn->p2p;
    const struct sb_hello *hello = sb_link_hello(conn->link);
    bool in_handshake = conn->state == SB_CONN_HANDSHAKE;
    bool is_own = hello != NULL && memcmp(hello->node_id, p2p->node_id, sizeof p2p->node_id) == 0;
    if (in_handshake) {
        atomic_fetch_add(&p2p->totals.handshake_failures, 1);
        sb_conn_flush(conn); /* our hello: the other side can say what did not fit, too */
    }
    if (is_own || (in_handshake && hello != NULL)) {
        sb_book_remove(p2p->book, &conn->endpoint);
    }
    if (conn->state != SB_CONN_CLOSING && sb_p2p_may_log(p2p)) {
        bool dialled = conn->purpose != SB_PURPOSE_INBOUND;
        enum sb_log_level level = is_own                     ? SB_LOG_DEBUG
                                  : dialled || hello != NULL ? SB_LOG_WARN
                                                             : SB_LOG_DEBUG;
        sb_log(p2p->options.log, level, "p2p",
               in_handshake ? "no connection: the handshake failed" : "a connection broke",
               SB_LOG_STR("remote", conn->info.remote), SB_LOG_STR("reason", diag->text),
               SB_LOG_END);
    }
    if (!in_handshake || hello == NULL) {
        sb_offence_count(conn, in_handshake ? SB_OFFENCE_SLOW : SB_OFFENCE_PROTOCOL, diag->text);
    }
    sb_conn_close(conn);
}

/* make_room: the memory of half-received messages is bounded over all peers: somebody pays. */
static void make_room(struct sb_p2p *p2p)
{
    size_t count = 0;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = p2p->slots[i];
        if (c != NULL && c->state != SB_CONN_CLOSING && c->partial_bytes > 0) {
            p2p->holders[count++] =
                (struct sb_evict_holder){.peer = c->number,
                                         .bytes = c->partial_bytes,
                                         .since_us = sb_link_partial_since_us(c->link),
                                         .is_named = c->is_free_of_limits};
        }
    }
    sb_peer victim = sb_evict_holder(p2p->holders, count);
    SB_ASSERT(victim != 0);
    atomic_fetch_add(&p2p->totals.overloaded, 1);
    sb_conn_end(p2p->slots[victim & (SB_P2P_SLOTS - 1)], SB_GOODBYE_OVERLOADED);
}

static void count_partial(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    size_t bytes = sb_link_partial_bytes(conn->link);
    p2p->partial_bytes += bytes - conn->partial_bytes;
    conn->partial_bytes = bytes;
    if (p2p->partial_bytes > SB_P2P_PARTIAL_BYTES_MAX) {
        make_room(p2p);
    }
}

static void throttle(struct sb_conn *conn, uint64_t until_us)
{
    conn->throttled_until_us = until_us;
    if (conn->waste_counted_us + WASTE_PAUSE_US <= conn->p2p->now_us) {
        conn->waste_counted_us = conn->p2p->now_us;
        sb_offence_count(conn, SB_OFFENCE_WASTE, "more than a rate allows");
    }
}

static void process(struct sb_conn *conn)
{
    struct sb_diag diag = {.text = ""};
    bool wants = false;
    while (!wants && conn->state != SB_CONN_CLOSING && !conn->blocked &&
           conn->throttled_until_us == 0) {
        struct sb_link_event event;
        if (sb_link_next(&event, conn->link, conn->p2p->now_us, &diag) != SB_OK) {
            link_failed(conn, &diag);
            return;
        }
        switch (event.kind) {
        case SB_LINK_WANT:
            wants = true;
            break;
        case SB_LINK_UP:
            conn->heard_us = conn->p2p->now_us;
            sb_conn_flush(conn); /* message 3, before what follows it */
            if (conn->state != SB_CONN_CLOSING) {
                sb_switch_admit(conn);
            }
            break;
        case SB_LINK_MESSAGE:
            take_message(conn, &event);
            break;
        case SB_LINK_WAIT:
            throttle(conn, event.wait_until_us);
            break;
        }
    }
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    count_partial(conn);
    sb_conn_flush(conn);
    set_reading(conn);
}

/* Small messages leave at once; what the system holds unsent stays small, so that the order of the queue means something. */
static void tune_socket(struct sb_conn *conn)
{
    uv_os_fd_t fd;
    const int unsent_bytes = UNSENT_BYTES_MAX;
    (void)uv_tcp_nodelay(&conn->tcp, 1);
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
    }
}

void sb_conn_begin(struct sb_conn *conn, const uint8_t *expected_id)
{
    struct sb_p2p *p2p = conn->p2p;
    uint8_t ephemeral[SB_NOISE_KEY_BYTES];
    struct sb_diag diag = {.text = ""};
    randombytes_buf(ephemeral, sizeof ephemeral);
    bool inbound = conn->purpose == SB_PURPOSE_INBOUND;
    const struct sb_link_options options = {.role =
                                                inbound ? SB_NOISE_RESPONDER : SB_NOISE_INITIATOR,
                                            .node_secret = p2p->options.node_secret,
                                            .static_secret = p2p->static_secret,
                                            .ephemeral_secret = ephemeral,
                                            .expected_id = expected_id,
                                            .domain = p2p->options.domain,
                                            .listen = p2p->listen,
                                            .agent = p2p->agent};
    conn->state = SB_CONN_HANDSHAKE;
    conn->begun_us = conn->heard_us = p2p->now_us;
    (void)sb_endpoint_format(conn->info.remote, &conn->endpoint);
    tune_socket(conn);
    sb_err err = sb_link_new(&conn->link, &options, p2p->now_us, &diag);
    sodium_memzero(ephemeral, sizeof ephemeral);
    if (err != SB_OK) {
        sb_conn_close(conn);
        return;
    }
    sb_conn_flush(conn);
    set_reading(conn);
}

/* ---- time, and other threads ---- */

void sb_conn_ping(struct sb_conn *conn, uint64_t within_ms)
{
    struct sb_p2p *p2p = conn->p2p;
    if (conn->ping_nonce == 0) {
        do {
            randombytes_buf(&conn->ping_nonce, sizeof conn->ping_nonce);
        } while (conn->ping_nonce == 0);
        conn->pinged_us = p2p->now_us;
        const struct sb_control ping = {.type = SB_CONTROL_PING, .nonce = conn->ping_nonce};
        sb_conn_control(conn, &ping);
    }
    uint64_t by = p2p->now_us + within_ms * 1000;
    conn->pong_by_us = conn->pong_by_us == 0 || by < conn->pong_by_us ? by : conn->pong_by_us;
}

void sb_conn_service(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    char why[SB_P2P_WHY_BYTES];
    (void)pthread_mutex_lock(&p2p->lock);
    bool overflow = conn->overflow;
    bool resume = conn->resume;
    uint32_t reported = conn->reported;
    memcpy(why, conn->why, sizeof why);
    conn->overflow = conn->resume = false;
    conn->reported = 0;
    (void)pthread_mutex_unlock(&p2p->lock);
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    if (reported > 0) {
        sb_offence_count(conn, reported, why);
    }
    if (overflow) {
        sb_conn_end(conn, SB_GOODBYE_OVERLOADED);
    }
    sb_conn_flush(conn);
    if (conn->resting) {
        conn->resting = false;
        conn->turn_bytes = 0;
        set_reading(conn);
    }
    if (resume && conn->blocked && conn->state != SB_CONN_CLOSING) {
        conn->blocked = false;
        process(conn);
    }
}

/* Up and not held back by this side: is it alive? */
static void tick_life(struct sb_conn *conn)
{
    const struct sb_p2p_options *o = &conn->p2p->options;
    uint64_t now = conn->p2p->now_us;
    uint64_t dead_us = (uint64_t)o->dead_ms * 1000;
    bool deaf = conn->blocked || conn->throttled_until_us != 0;
    bool stuck = conn->blocked && conn->blocked_since_us + BLOCKED_DEADS_MAX * dead_us < now;
    bool silent = !deaf && conn->heard_us + dead_us < now;
    bool overdue = !deaf && conn->pong_by_us != 0 && conn->pong_by_us < now;
    if (silent || overdue) {
        sb_conn_end(conn, SB_GOODBYE_SILENT);
    } else if (stuck || (conn->writing && conn->writing_since_us + dead_us < now)) {
        sb_conn_end(conn, SB_GOODBYE_OVERLOADED);
    } else if (conn->pinged_us + (uint64_t)o->ping_ms * 1000 < now && !deaf) {
        sb_conn_ping(conn, o->dead_ms);
    }
}

void sb_conn_tick(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    const struct sb_p2p_options *o = &p2p->options;
    uint64_t now = p2p->now_us;
    uint64_t age_ms = (now - conn->begun_us) / 1000;
    if (conn->throttled_until_us != 0 && conn->throttled_until_us <= now &&
        conn->state != SB_CONN_CLOSING) {
        conn->throttled_until_us = 0;
        process(conn);
    }
    switch (conn->state) {
    case SB_CONN_CONNECTING:
        if (age_ms > o->dial_ms_max) {
            sb_conn_close(conn);
        }
        break;
    case SB_CONN_HANDSHAKE:
    case SB_CONN_GREETING:
        if (age_ms > o->handshake_ms_max) {
            sb_conn_end(conn, SB_GOODBYE_SILENT);
        }
        break;
    case SB_CONN_UP:
        tick_life(conn);
        if (conn->state == SB_CONN_UP && conn->send_ready_us <= now) {
            sb_conn_flush(conn);
        }
        break;
    case SB_CONN_CLOSING:
        break;
    }
}
