/* switch.c: who is connected: see p2p_impl.h.
 *
 *      accept --rate of the address, half-open cap--> handshake --> admit --> WELCOME | GOODBYE
 *      tick (100 ms): timeouts, then what is to be dialled (dial.c) and asked (pex.c)
 *
 * Spec: docs/spec/p2p.md 4.1, 8. */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "node/p2p/p2p_impl.h"

#define BACKLOG            128
#define DUPLICATE_PING_MS  2000
#define ACCEPT_RATES_BELOW 4 /* places that one address may have in the table */
/* A connection of this age begins with the first pause again. */
#define STEADY_US UINT64_C(10000000)

/* ---- ids ---- */

static bool has_id(const struct sb_node_id *ids, size_t count, const uint8_t id[32])
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(ids[i].b, id, SB_P2P_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

bool sb_switch_is_private(const struct sb_p2p *p2p, const uint8_t id[SB_P2P_NODE_ID_BYTES])
{
    return has_id(p2p->private_ids, p2p->options.private_count, id);
}

static struct sb_target *persistent_of(struct sb_p2p *p2p, const uint8_t id[SB_P2P_NODE_ID_BYTES])
{
    for (size_t i = 0; i < p2p->target_count; i++) {
        struct sb_target *t = &p2p->targets[i];
        if (!t->is_seed && t->address.has_id &&
            memcmp(t->address.id, id, SB_P2P_NODE_ID_BYTES) == 0) {
            return t;
        }
    }
    return NULL;
}

struct sb_conn *sb_switch_find(const struct sb_p2p *p2p, const uint8_t id[SB_P2P_NODE_ID_BYTES],
                               const struct sb_conn *but)
{
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        struct sb_conn *c = p2p->slots[i];
        if (c != NULL && c != but && (c->state == SB_CONN_GREETING || c->state == SB_CONN_UP) &&
            memcmp(c->info.node_id, id, SB_P2P_NODE_ID_BYTES) == 0) {
            return c;
        }
    }
    return NULL;
}

/* ---- accept ---- */

/* Whether an address may make one more connection now. The table is small and keyed by the address: who shares a place with another
 * shares its rate, at worst. */
static bool accept_rate_allows(struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    uint64_t host = sb_endpoint_host_number(endpoint);
    uint64_t mixed = (host ^ p2p->salt) * UINT64_C(0x9e3779b97f4a7c15);
    struct sb_accept_rate *set =
        &p2p->accept_rates[(mixed >> 32) % (SB_ACCEPT_RATES / ACCEPT_RATES_BELOW) *
                           ACCEPT_RATES_BELOW];
    struct sb_accept_rate *place = &set[0];
    for (size_t i = 0; i < ACCEPT_RATES_BELOW; i++) {
        if (set[i].host == host) {
            place = &set[i];
            break;
        }
        if (set[i].bucket.at_us < place->bucket.at_us) {
            place = &set[i];
        }
    }
    if (place->host != host) {
        uint32_t rate = p2p->options.accepts_per_s_per_ip;
        *place = (struct sb_accept_rate){.host = host,
                                         .bucket = sb_token_bucket_full(rate, rate, p2p->now_us)};
    }
    if (!sb_token_bucket_ready(&place->bucket, p2p->now_us)) {
        return false;
    }
    sb_token_bucket_take(&place->bucket, 1);
    return true;
}

static bool is_half_open(const struct sb_conn *c)
{
    return c != NULL && c->purpose == SB_PURPOSE_INBOUND &&
           (c->state == SB_CONN_HANDSHAKE || c->state == SB_CONN_GREETING);
}

static size_t half_open_of(const struct sb_p2p *p2p, uint64_t host)
{
    size_t count = 0;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = p2p->slots[i];
        count += is_half_open(c) && sb_endpoint_host_number(&c->endpoint) == host ? 1 : 0;
    }
    return count;
}

/* half_open_room: room for one more handshake. When all places are taken, the address that has most of them gives its oldest one,
 * unless the newcomer is of that very address. */
static bool half_open_room(struct sb_p2p *p2p, const struct sb_endpoint *newcomer)
{
    if (p2p->half_open < p2p->options.half_open_max) {
        return true;
    }
    struct sb_conn *victim = NULL;
    size_t most = half_open_of(p2p, sb_endpoint_host_number(newcomer));
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        struct sb_conn *c = p2p->slots[i];
        if (!is_half_open(c)) {
            continue;
        }
        size_t count = half_open_of(p2p, sb_endpoint_host_number(&c->endpoint));
        if (count > most || (victim != NULL && count == most && c->begun_us < victim->begun_us)) {
            victim = c;
            most = count;
        }
    }
    if (victim == NULL) {
        return false;
    }
    sb_conn_close(victim);
    return true;
}

static bool remote_endpoint(struct sb_endpoint *ret, const uv_tcp_t *tcp)
{
    struct sockaddr_storage address;
    int len = sizeof address;
    return uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &len) == 0 &&
           sb_endpoint_of(ret, (const struct sockaddr *)&address);
}

static void on_turned_away(uv_handle_t *handle)
{
    free(handle);
}

/* Take a connection for which there is no slot, and close it: left alone, it would block the listener for ever. */
static void turn_away(struct sb_p2p *p2p)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (tcp == NULL || uv_tcp_init(&p2p->loop, tcp) != 0) {
        free(tcp);
        return;
    }
    (void)uv_accept((uv_stream_t *)&p2p->listener, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, on_turned_away);
    atomic_fetch_add(&p2p->totals.refused, 1);
}

/* expects_somebody: settings name nodes that are always let in. One of them may stand behind an address that another node has got banned,
 * so who comes from there is first asked who it is. */
static bool expects_somebody(const struct sb_p2p *p2p)
{
    bool has_persistent = false;
    for (size_t i = 0; i < p2p->target_count; i++) {
        has_persistent |= !p2p->targets[i].is_seed && p2p->targets[i].address.has_id;
    }
    return has_persistent || p2p->options.unconditional_count > 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct sb_p2p *p2p = listener->data;
    p2p->now_us = uv_hrtime() / 1000;
    if (status != 0) {
        return;
    }
    struct sb_conn *conn = sb_conn_new(p2p, SB_PURPOSE_INBOUND);
    if (conn == NULL) {
        turn_away(p2p);
        return;
    }
    p2p->half_open++;
    bool ok = uv_accept(listener, (uv_stream_t *)&conn->tcp) == 0 &&
              remote_endpoint(&conn->endpoint, &conn->tcp);
    ok = ok && (!sb_offence_bans_address(p2p, &conn->endpoint) || expects_somebody(p2p)) &&
         accept_rate_allows(p2p, &conn->endpoint);
    p2p->half_open--; /* not to be counted against itself */
    ok = ok && half_open_room(p2p, &conn->endpoint);
    p2p->half_open++;
    if (!ok) {
        atomic_fetch_add(&p2p->totals.refused, 1);
        sb_conn_close(conn);
        return;
    }
    atomic_fetch_add(&p2p->totals.accepted, 1);
    sb_conn_begin(conn, NULL);
}

/* ---- admission ---- */

struct load {
    uint32_t inbound, of_host, of_subnet;
};

/* What inbound connections there are that limits count, besides this one. */
static struct load load_beside(const struct sb_conn *conn)
{
    struct load load = {0};
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = conn->p2p->slots[i];
        if (c == NULL || c == conn || c->purpose != SB_PURPOSE_INBOUND || c->is_free_of_limits ||
            (c->state != SB_CONN_GREETING && c->state != SB_CONN_UP)) {
            continue;
        }
        const struct sb_endpoint *a = &c->endpoint;
        const struct sb_endpoint *b = &conn->endpoint;
        load.inbound++;
        load.of_host += sb_endpoint_host_number(a) == sb_endpoint_host_number(b) ? 1 : 0;
        load.of_subnet += sb_endpoint_subnet(a) == sb_endpoint_subnet(b) ? 1 : 0;
    }
    return load;
}

/* eviction_group: of an address; for local ones, whose groups are single addresses with their port, the subnet. */
static uint64_t eviction_group(const struct sb_endpoint *endpoint)
{
    return sb_endpoint_is_local(endpoint) ? sb_endpoint_subnet(endpoint)
                                          : sb_endpoint_group(endpoint);
}

/* make_room: disconnect an inbound peer that has earned its place less than all others; false when none has. */
static bool make_room(struct sb_p2p *p2p)
{
    size_t count = 0;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        struct sb_conn *c = p2p->slots[i];
        if (c == NULL || c->purpose != SB_PURPOSE_INBOUND || c->is_free_of_limits ||
            c->state != SB_CONN_UP) {
            continue;
        }
        p2p->evict[count++] = (struct sb_evict_peer){
            .peer = c->number,
            .group = eviction_group(&c->endpoint),
            .up_us = c->up_us,
            .consensus_us = atomic_load(&c->used_us[SB_USE_CONSENSUS]),
            .tx_us = atomic_load(&c->used_us[SB_USE_TX]),
            .rtt_us = c->rtt_us_min,
        };
    }
    sb_peer victim = sb_evict_choose(p2p->evict, count, p2p->salt);
    if (victim == 0) {
        return false;
    }
    struct sb_conn *conn = p2p->slots[victim & (SB_P2P_SLOTS - 1)];
    sb_log(p2p->options.log, SB_LOG_DEBUG, "p2p", "a peer makes room for another",
           SB_LOG_STR("remote", conn->info.remote), SB_LOG_END);
    atomic_fetch_add(&p2p->totals.evicted, 1);
    sb_conn_end(conn, SB_GOODBYE_FULL);
    return true;
}

/* full_by: the setting that leaves no room for a connection; NULL when there is room, or has been made. */
static const char *full_by(const struct sb_conn *conn)
{
    const struct sb_p2p_options *o = &conn->p2p->options;
    if (conn->purpose != SB_PURPOSE_INBOUND || conn->is_free_of_limits) {
        return NULL;
    }
    struct load load = load_beside(conn);
    bool is_own = sb_offence_spares(conn->p2p, &conn->endpoint);
    if (!is_own && (load.of_host >= o->per_ip_max || load.of_subnet >= o->per_subnet_max)) {
        return load.of_host >= o->per_ip_max ? "p2pPerIpMax" : "p2pPerSubnetMax";
    }
    return load.inbound >= o->inbound_max && !make_room(conn->p2p) ? "p2pInboundMax" : NULL;
}

/* duplicate_wins: whether `conn` stays and not `other`, a connection to the same node (docs/spec/p2p.md 4.1). */
static bool duplicate_wins(const struct sb_conn *conn, const struct sb_conn *other)
{
    bool outbound = conn->purpose != SB_PURPOSE_INBOUND;
    if (outbound == (other->purpose != SB_PURPOSE_INBOUND)) {
        return false;
    }
    bool own_is_smaller = memcmp(conn->p2p->node_id, conn->info.node_id, SB_P2P_NODE_ID_BYTES) < 0;
    return outbound == own_is_smaller;
}

/* note_answerer: a setting without an id stands for whoever answers at its address: for this node, until another one does. */
static void note_answerer(struct sb_target *target, const uint8_t id[SB_P2P_NODE_ID_BYTES])
{
    struct sb_p2p *p2p = target->p2p;
    if (target->address.has_id && memcmp(target->address.id, id, SB_P2P_NODE_ID_BYTES) != 0) {
        char text[2 * SB_P2P_NODE_ID_BYTES + 1] = {0};
        sb_hex_encode(text, sb_span(id, SB_P2P_NODE_ID_BYTES));
        sb_log(p2p->options.log, SB_LOG_WARN, "p2p",
               "another node answers than before; name its id in the setting if only one is meant",
               SB_LOG_STR("address", target->address.host),
               SB_LOG_U64("port", target->address.port), SB_LOG_STR("id", text), SB_LOG_END);
    }
    target->address.has_id = true;
    memcpy(target->address.id, id, SB_P2P_NODE_ID_BYTES);
}

static void fill_info(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    const struct sb_hello *hello = sb_link_hello(conn->link);
    struct sb_p2p_peer_info *info = &conn->info;
    SB_ASSERT(hello != NULL);
    info->peer = conn->number;
    memcpy(info->node_id, hello->node_id, sizeof info->node_id);
    struct sb_target *target = conn->target;
    if (target != NULL && !target->is_id_given) {
        note_answerer(target, hello->node_id);
    }
    info->is_outbound = conn->purpose != SB_PURPOSE_INBOUND;
    info->is_persistent = persistent_of(p2p, info->node_id) != NULL;
    info->is_private = sb_switch_is_private(p2p, info->node_id);
    (void)snprintf(info->listen, sizeof info->listen, "%s", hello->listen);
    (void)snprintf(info->agent, sizeof info->agent, "%s", hello->agent);
    atomic_store(&conn->score_left, sb_scores_left(&p2p->scores, info->node_id, p2p->now_us));
    conn->is_free_of_limits =
        info->is_persistent ||
        has_id(p2p->unconditional_ids, p2p->options.unconditional_count, info->node_id);
}

static void book_good(struct sb_conn *conn)
{
    struct sb_pex_address address = {.endpoint = conn->endpoint};
    memcpy(address.node_id, conn->info.node_id, sizeof address.node_id);
    if (!conn->info.is_private) {
        sb_book_good(conn->p2p->book, &address, sb_p2p_wall_s());
    }
}

static void refuse(struct sb_conn *conn, enum sb_goodbye reason)
{
    atomic_fetch_add(&conn->p2p->totals.refused, 1);
    sb_log(conn->p2p->options.log, SB_LOG_DEBUG, "p2p", "a peer is not admitted",
           SB_LOG_STR("remote", conn->info.remote), SB_LOG_U64("reason", (uint64_t)reason),
           SB_LOG_END);
    sb_conn_end(conn, reason);
}

/* refuse_full: tell which setting it was: an operator's own nodes may be meant. */
static void refuse_full(struct sb_conn *conn, const char *setting)
{
    if (sb_p2p_may_log(conn->p2p)) {
        char id[2 * SB_P2P_NODE_ID_BYTES + 1] = {0};
        sb_hex_encode(id, sb_span(conn->info.node_id, sizeof conn->info.node_id));
        sb_log(conn->p2p->options.log, SB_LOG_INFO, "p2p", "no room for a peer",
               SB_LOG_STR("id", id), SB_LOG_STR("remote", conn->info.remote),
               SB_LOG_STR("limit", setting), SB_LOG_END);
    }
    refuse(conn, SB_GOODBYE_FULL);
}

void sb_switch_admit(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    fill_info(conn);
    if (conn->info.is_outbound) {
        book_good(conn);
    }
    if (conn->purpose == SB_PURPOSE_FEELER) {
        sb_conn_end(conn, SB_GOODBYE_FEELER);
        return;
    }
    bool is_banned =
        (!conn->info.is_persistent && sb_bans_has(&p2p->bans, conn->info.node_id, p2p->now_us)) ||
        (!conn->info.is_outbound && !conn->is_free_of_limits &&
         sb_offence_bans_address(p2p, &conn->endpoint));
    if (is_banned) {
        refuse(conn, SB_GOODBYE_BANNED);
        return;
    }
    struct sb_conn *other = sb_switch_find(p2p, conn->info.node_id, conn);
    if (other != NULL && !duplicate_wins(conn, other)) {
        sb_conn_ping(other, DUPLICATE_PING_MS);
        refuse(conn, SB_GOODBYE_DUPLICATE);
        return;
    }
    const char *limit = full_by(conn);
    if (limit != NULL) {
        refuse_full(conn, limit);
        return;
    }
    if (other != NULL) {
        sb_conn_end(other, SB_GOODBYE_DUPLICATE);
    }
    conn->state = SB_CONN_GREETING;
    const struct sb_control welcome = {.type = SB_CONTROL_WELCOME};
    sb_conn_control(conn, &welcome);
}

void sb_switch_gone(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    struct sb_target *target = conn->target;
    bool reached = conn->state == SB_CONN_GREETING || conn->state == SB_CONN_UP;
    if (conn->purpose == SB_PURPOSE_INBOUND && conn->state != SB_CONN_UP) {
        p2p->half_open--;
    }
    if (conn->purpose != SB_PURPOSE_INBOUND && !reached && !conn->info.is_outbound) {
        atomic_fetch_add(&p2p->totals.dial_failures, 1);
        sb_book_fail(p2p->book, &conn->endpoint, sb_p2p_wall_s());
    }
    if (conn->is_told) {
        char id[2 * SB_P2P_NODE_ID_BYTES + 1] = {0};
        sb_hex_encode(id, sb_span(conn->info.node_id, sizeof conn->info.node_id));
        sb_log(p2p->options.log, SB_LOG_INFO, "p2p", "a peer is gone", SB_LOG_STR("id", id),
               SB_LOG_STR("remote", conn->info.remote), SB_LOG_END);
    }
    /* A persistent peer that came to us is dialled again when its connection ends, too. */
    struct sb_target *again =
        target != NULL ? target : (reached ? persistent_of(p2p, conn->info.node_id) : NULL);
    if (again != NULL) {
        if (conn->in_list && conn->up_us + STEADY_US <= p2p->now_us) {
            again->pause_us = 0;
        }
        again->was_told = again->was_told && !conn->in_list;
        again->was_turned_away = again->was_turned_away && !conn->in_list;
        again->conn = again->conn == conn ? NULL : again->conn;
        sb_dial_wait(again);
    }
}

/* ---- the tick ---- */

void sb_switch_tick(struct sb_p2p *p2p)
{
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        if (p2p->slots[i] != NULL) {
            sb_conn_tick(p2p->slots[i]);
        }
    }
    sb_dial_tick(p2p);
    sb_pex_tick(p2p);
}

/* ---- life ---- */

static sb_err listen_address(struct sockaddr_storage *ret, struct sb_p2p *p2p, struct sb_diag *diag)
{
    const char *host = p2p->options.listen_host;
    struct sb_endpoint endpoint;
    if (!sb_endpoint_parse(&endpoint, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                           p2p->options.listen_port)) {
        return sb_fail(
            diag, SB_E_ARG,
            "p2pHost: \"%.64s\" is not a numeric address; 0.0.0.0 is all of this machine", host);
    }
    (void)sb_endpoint_socket(ret, &endpoint);
    return SB_OK;
}

sb_err sb_switch_open(struct sb_p2p *p2p, struct sb_diag *diag)
{
    struct sockaddr_storage address;
    struct sb_endpoint bound;
    int len = sizeof address;
    if (p2p->options.listen_host == NULL) {
        return SB_OK;
    }
    SB_TRY(listen_address(&address, p2p, diag));
    if (uv_tcp_init(&p2p->loop, &p2p->listener) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the socket of the peer network cannot be made");
    }
    p2p->is_listening = true;
    p2p->listener.data = p2p;
    int status = uv_tcp_bind(&p2p->listener, (const struct sockaddr *)&address, 0);
    status =
        status == 0 ? uv_listen((uv_stream_t *)&p2p->listener, BACKLOG, on_connection) : status;
    if (status != 0) {
        return sb_fail(diag, SB_E_IO,
                       "the peer network cannot listen on %s port %u: %s; give another --p2p-port",
                       p2p->options.listen_host, (unsigned)p2p->options.listen_port,
                       uv_strerror(status));
    }
    if (uv_tcp_getsockname(&p2p->listener, (struct sockaddr *)&address, &len) != 0 ||
        !sb_endpoint_of(&bound, (const struct sockaddr *)&address)) {
        return sb_fail(diag, SB_E_INTERNAL, "the port of the peer network is not known");
    }
    p2p->port = bound.port;
    return SB_OK;
}

void sb_switch_begin(struct sb_p2p *p2p)
{
    struct sb_pex_address anchors[SB_BOOK_ANCHORS_MAX];
    p2p->anchor_count = sb_book_anchors(anchors, p2p->book);
    for (size_t i = 0; i < p2p->anchor_count; i++) {
        p2p->anchors[i] = anchors[i].endpoint;
    }
    p2p->feeler_us = p2p->now_us + SB_FEELER_US;
}

void sb_switch_close(struct sb_p2p *p2p)
{
    p2p->closing = true;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        if (p2p->slots[i] != NULL) {
            sb_conn_end(p2p->slots[i], SB_GOODBYE_STOPPING);
        }
    }
    if (p2p->is_listening) {
        uv_close((uv_handle_t *)&p2p->listener, NULL);
        p2p->is_listening = false;
    }
    uv_timer_stop(&p2p->tick);
    uv_close((uv_handle_t *)&p2p->tick, NULL);
    uv_close((uv_handle_t *)&p2p->wake, NULL);
}
