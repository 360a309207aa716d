/* switch.c: who is connected: see p2p_impl.h.
 *
 *      accept --rate of the address, half-open cap--> handshake --> admit --> WELCOME | GOODBYE
 *      tick (100 ms): timeouts, persistent peers, outbound target, feelers, seeds
 *
 * Spec: docs/spec/p2p.md 4.1, 6, 7, 8. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/p2p_impl.h"

#define BACKLOG      128
#define PAUSE_US_MAX UINT64_C(30000000)
#define STEADY_US                                                                                  \
    UINT64_C(10000000) /* a connection of this age begins with the first pause again */
#define FEELER_US          UINT64_C(120000000)
#define PICK_US            UINT64_C(1000000)
#define BOOK_LEAST         8 /* with fewer addresses than this the seeds are asked */
#define DUPLICATE_PING_MS  2000
#define ACCEPT_RATES_BELOW 4 /* places that one address may have in the table */

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

static bool is_connected_to(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = p2p->slots[i];
        if (c != NULL && c->state != SB_CONN_CLOSING && c->purpose != SB_PURPOSE_INBOUND &&
            sb_endpoint_equal(&c->endpoint, endpoint)) {
            return true;
        }
    }
    return false;
}

/* ---- bans ---- */

static void address_key(uint8_t ret[SB_BAN_KEY_BYTES], const struct sb_endpoint *endpoint)
{
    memset(ret, 0, SB_BAN_KEY_BYTES);
    memcpy(ret, "address", 7);
    be_store64(ret + 8, sb_endpoint_host_number(endpoint));
}

static bool address_is_spared(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    return p2p->options.allow_local && sb_endpoint_is_local(endpoint);
}

static bool address_is_banned(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    uint8_t key[SB_BAN_KEY_BYTES];
    address_key(key, endpoint);
    return !address_is_spared(p2p, endpoint) && sb_bans_has(&p2p->bans, key, p2p->now_us);
}

/* Ban a node that is known, or its address, or both. */
static uint64_t ban(struct sb_conn *conn, const uint8_t *id, const uint8_t *address)
{
    struct sb_p2p *p2p = conn->p2p;
    uint64_t seconds = 0;
    if (id != NULL) {
        seconds = sb_bans_add(&p2p->bans, id, p2p->now_us);
        sb_scores_forget(&p2p->scores, id);
    }
    if (address != NULL) {
        uint64_t of_address = sb_bans_add(&p2p->bans, address, p2p->now_us);
        seconds = seconds > of_address ? seconds : of_address;
        sb_scores_forget(&p2p->scores, address);
    }
    if (seconds > 0) {
        atomic_fetch_add(&p2p->totals.bans, 1);
    }
    return seconds;
}

/* The connection is over its points. A persistent peer is only disconnected. */
static void disgrace(struct sb_conn *conn, const uint8_t *id, const uint8_t *address,
                     const char *why)
{
    struct sb_p2p *p2p = conn->p2p;
    uint64_t seconds = conn->info.is_persistent ? 0 : ban(conn, id, address);
    if (conn->info.is_persistent) {
        sb_scores_forget(&p2p->scores, id);
    }
    sb_log(p2p->options.log, SB_LOG_WARN, "p2p", "a peer misbehaved too much",
           SB_LOG_STR("remote", conn->info.remote), SB_LOG_STR("reason", why),
           SB_LOG_U64("banned_s", seconds), SB_LOG_END);
    sb_conn_end(conn, SB_GOODBYE_MISBEHAVED);
}

void sb_switch_offend(struct sb_conn *conn, uint32_t points, const char *why)
{
    struct sb_p2p *p2p = conn->p2p;
    uint8_t address_bytes[SB_BAN_KEY_BYTES];
    const uint8_t *id = conn->info.peer != 0 ? conn->info.node_id : NULL;
    const uint8_t *address = NULL;
    bool is_over = false;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    if (!conn->info.is_persistent && !address_is_spared(p2p, &conn->endpoint)) {
        address_key(address_bytes, &conn->endpoint);
        address = address_bytes;
        is_over =
            sb_score_add(sb_scores_of(&p2p->scores, address, p2p->now_us), points, p2p->now_us);
    }
    if (id != NULL) {
        struct sb_score *score = sb_scores_of(&p2p->scores, id, p2p->now_us);
        is_over = sb_score_add(score, points, p2p->now_us) || is_over;
        atomic_store(&conn->score_left, sb_score_left(score, p2p->now_us));
    }
    if (sb_p2p_may_log(p2p)) {
        sb_log(p2p->options.log, SB_LOG_DEBUG, "p2p", "a peer misbehaves",
               SB_LOG_STR("remote", conn->info.remote), SB_LOG_U64("points", points),
               SB_LOG_STR("reason", why), SB_LOG_END);
    }
    if (is_over) {
        disgrace(conn, id, address, why);
    }
}

/* ---- accept ---- */

/* Whether an address may make one more connection now. The table is small and keyed by the address: who shares a place with another
 * shares its rate, at worst. */
static bool accept_rate_allows(struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    uint64_t host = sb_endpoint_host_number(endpoint);
    uint64_t mixed = (host ^ be_load64(p2p->static_secret)) * UINT64_C(0x9e3779b97f4a7c15);
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
    ok = ok && !address_is_banned(p2p, &conn->endpoint) && accept_rate_allows(p2p, &conn->endpoint);
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

/* ---- dial ---- */

static void on_connect(uv_connect_t *request, int status)
{
    struct sb_conn *conn = request->data;
    struct sb_p2p *p2p = conn->p2p;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    p2p->now_us = uv_hrtime() / 1000;
    if (status != 0) {
        struct sb_target *target = conn->target;
        if (target != NULL && !target->was_told) {
            target->was_told = true;
            sb_log(p2p->options.log, SB_LOG_WARN, "p2p",
                   "a node cannot be reached; it is tried again and again",
                   SB_LOG_STR("address", target->address.host),
                   SB_LOG_U64("port", target->address.port),
                   SB_LOG_STR("reason", uv_strerror(status)), SB_LOG_END);
        }
        sb_conn_close(conn);
        return;
    }
    const struct sb_target *target = conn->target;
    sb_conn_begin(conn, target != NULL && target->address.has_id ? target->address.id : NULL);
}

bool sb_switch_dial(struct sb_p2p *p2p, enum sb_conn_purpose purpose, struct sb_target *target,
                    const struct sb_endpoint *endpoint)
{
    struct sockaddr_storage address;
    struct sb_conn *conn = sb_conn_new(p2p, purpose);
    if (conn == NULL) {
        return false;
    }
    conn->endpoint = *endpoint;
    conn->target = target;
    if (target != NULL) {
        target->conn = conn;
    }
    (void)sb_endpoint_format(conn->info.remote, endpoint);
    (void)sb_endpoint_socket(&address, endpoint);
    atomic_fetch_add(&p2p->totals.dialled, 1);
    sb_book_attempt(p2p->book, endpoint, sb_p2p_wall_s());
    if (uv_tcp_connect(&conn->connect, &conn->tcp, (const struct sockaddr *)&address, on_connect) !=
        0) {
        sb_conn_close(conn);
        return false;
    }
    return true;
}

static void target_wait(struct sb_target *target)
{
    struct sb_p2p *p2p = target->p2p;
    uint64_t first = (uint64_t)p2p->options.reconnect_ms * 1000;
    target->pause_us = target->pause_us == 0 ? first : 2 * target->pause_us;
    target->pause_us = target->pause_us < PAUSE_US_MAX ? target->pause_us : PAUSE_US_MAX;
    /* up to a quarter more, so that two nodes do not dial each other in step for ever */
    target->next_us =
        p2p->now_us + target->pause_us + randombytes_uniform((uint32_t)(target->pause_us / 4) + 1);
}

static void target_dial(struct sb_target *target, const struct sb_endpoint *endpoint)
{
    enum sb_conn_purpose purpose = target->is_seed ? SB_PURPOSE_SEED : SB_PURPOSE_PERSISTENT;
    if (!sb_switch_dial(target->p2p, purpose, target, endpoint) && target->conn == NULL) {
        target_wait(target);
    }
}

/* One of the addresses that a name has, another one each time. */
static bool choose_resolved(struct sb_endpoint *ret, struct sb_target *target,
                            const struct addrinfo *found)
{
    size_t count = 0;
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        count++;
    }
    const struct addrinfo *chosen = found;
    for (size_t i = count > 0 ? target->resolved++ % count : 0; i > 0; i--) {
        chosen = chosen->ai_next;
    }
    if (chosen == NULL || !sb_endpoint_of(ret, chosen->ai_addr)) {
        return false;
    }
    ret->port = target->address.port;
    return true;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct sb_target *target = request->data;
    struct sb_p2p *p2p = target->p2p;
    struct sb_endpoint endpoint;
    bool ok = status == 0 && choose_resolved(&endpoint, target, found);
    uv_freeaddrinfo(found);
    target->is_resolving = false;
    p2p->now_us = uv_hrtime() / 1000;
    if (p2p->closing) {
        return;
    }
    if (ok) {
        target_dial(target, &endpoint);
        return;
    }
    if (!target->was_told) {
        target->was_told = true;
        sb_log(p2p->options.log, SB_LOG_WARN, "p2p", "a node's name cannot be found",
               SB_LOG_STR("name", target->address.host),
               SB_LOG_STR("reason", status != 0 ? uv_strerror(status) : "no address"), SB_LOG_END);
    }
    target_wait(target);
}

static void target_connect(struct sb_target *target)
{
    struct sb_endpoint endpoint;
    if (sb_endpoint_parse(&endpoint, target->address.host, target->address.port)) {
        target_dial(target, &endpoint);
        return;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    target->request.data = target;
    target->is_resolving = uv_getaddrinfo(&target->p2p->loop, &target->request, on_resolved,
                                          target->address.host, NULL, &hints) == 0;
    if (!target->is_resolving) {
        target_wait(target);
    }
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

static bool has_room(const struct sb_conn *conn)
{
    const struct sb_p2p_options *o = &conn->p2p->options;
    if (conn->purpose != SB_PURPOSE_INBOUND || conn->is_free_of_limits) {
        return true;
    }
    struct load load = load_beside(conn);
    return load.inbound < o->inbound_max && load.of_host < o->per_ip_max &&
           load.of_subnet < o->per_subnet_max;
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

static void fill_info(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    const struct sb_hello *hello = sb_link_hello(conn->link);
    struct sb_p2p_peer_info *info = &conn->info;
    SB_ASSERT(hello != NULL);
    info->peer = conn->number;
    memcpy(info->node_id, hello->node_id, sizeof info->node_id);
    struct sb_target *target = conn->target;
    if (target != NULL && !target->address.has_id) {
        target->address.has_id = true; /* from now on the address stands for this node */
        memcpy(target->address.id, hello->node_id, sizeof target->address.id);
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
    if (!conn->info.is_persistent && sb_bans_has(&p2p->bans, conn->info.node_id, p2p->now_us)) {
        refuse(conn, SB_GOODBYE_BANNED);
        return;
    }
    struct sb_conn *other = sb_switch_find(p2p, conn->info.node_id, conn);
    if (other != NULL && !duplicate_wins(conn, other)) {
        sb_conn_ping(other, DUPLICATE_PING_MS);
        refuse(conn, SB_GOODBYE_DUPLICATE);
        return;
    }
    if (!has_room(conn)) {
        refuse(conn, SB_GOODBYE_FULL);
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
    if (conn->in_list) {
        sb_log(p2p->options.log, SB_LOG_INFO, "p2p", "a peer is gone",
               SB_LOG_STR("remote", conn->info.remote), SB_LOG_U64("peer", conn->number),
               SB_LOG_END);
    }
    /* A persistent peer that came to us is dialled again when its connection ends, too. */
    struct sb_target *again =
        target != NULL ? target : (reached ? persistent_of(p2p, conn->info.node_id) : NULL);
    if (again != NULL) {
        if (conn->in_list && conn->up_us + STEADY_US <= p2p->now_us) {
            again->pause_us = 0;
        }
        again->was_told = again->was_told && !conn->in_list;
        again->conn = again->conn == conn ? NULL : again->conn;
        target_wait(again);
    }
}

/* ---- the tick ---- */

static void tick_targets(struct sb_p2p *p2p)
{
    bool lonely = sb_book_count(p2p->book) < BOOK_LEAST;
    for (size_t i = 0; i < p2p->target_count; i++) {
        struct sb_target *t = &p2p->targets[i];
        bool idle = t->conn == NULL && !t->is_resolving && t->next_us <= p2p->now_us;
        if (!idle || (t->is_seed && !lonely)) {
            continue;
        }
        if (t->address.has_id && (sb_switch_find(p2p, t->address.id, NULL) != NULL ||
                                  memcmp(t->address.id, p2p->node_id, sizeof p2p->node_id) == 0)) {
            continue; /* connected from the other side, or ourselves */
        }
        target_connect(t);
    }
}

static uint32_t outbound_count(const struct sb_p2p *p2p)
{
    uint32_t count = 0;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = p2p->slots[i];
        count += c != NULL && c->purpose == SB_PURPOSE_OUTBOUND && c->state != SB_CONN_CLOSING;
    }
    return count;
}

/* may_dial: neither this node, nor one that is connected, banned or named by a setting, nor of a group that outbound peers have. */
static bool may_dial(void *ctx, const struct sb_pex_address *address)
{
    const struct sb_p2p *p2p = ctx;
    if (memcmp(address->node_id, p2p->node_id, sizeof p2p->node_id) == 0 ||
        address_is_banned(p2p, &address->endpoint) ||
        sb_bans_has(&p2p->bans, address->node_id, p2p->now_us) ||
        sb_switch_find(p2p, address->node_id, NULL) != NULL ||
        is_connected_to(p2p, &address->endpoint)) {
        return false;
    }
    uint64_t group = sb_endpoint_group(&address->endpoint);
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        const struct sb_conn *c = p2p->slots[i];
        if (c != NULL && c->purpose == SB_PURPOSE_OUTBOUND && c->state != SB_CONN_CLOSING &&
            sb_endpoint_group(&c->endpoint) == group) {
            return false;
        }
    }
    return true;
}

static void tick_outbound(struct sb_p2p *p2p)
{
    struct sb_pex_address address;
    if (!p2p->options.pex || outbound_count(p2p) >= p2p->options.outbound_max) {
        return;
    }
    if (p2p->anchor_count > 0) {
        const struct sb_endpoint *anchor = &p2p->anchors[--p2p->anchor_count];
        if (!is_connected_to(p2p, anchor)) {
            (void)sb_switch_dial(p2p, SB_PURPOSE_OUTBOUND, NULL, anchor);
        }
    } else if (p2p->pick_us <= p2p->now_us) {
        if (sb_book_pick(&address, p2p->book, may_dial, p2p, sb_p2p_wall_s())) {
            (void)sb_switch_dial(p2p, SB_PURPOSE_OUTBOUND, NULL, &address.endpoint);
        } else {
            p2p->pick_us = p2p->now_us + PICK_US;
        }
    }
}

static void tick_feeler(struct sb_p2p *p2p)
{
    struct sb_pex_address address;
    if (!p2p->options.pex || p2p->feeler_us > p2p->now_us) {
        return;
    }
    p2p->feeler_us = p2p->now_us + FEELER_US;
    if (sb_book_pick_feeler(&address, p2p->book, may_dial, p2p, sb_p2p_wall_s())) {
        (void)sb_switch_dial(p2p, SB_PURPOSE_FEELER, NULL, &address.endpoint);
    }
}

void sb_switch_tick(struct sb_p2p *p2p)
{
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        if (p2p->slots[i] != NULL) {
            sb_conn_tick(p2p->slots[i]);
        }
    }
    tick_targets(p2p);
    tick_outbound(p2p);
    tick_feeler(p2p);
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
    p2p->feeler_us = p2p->now_us + FEELER_US;
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
