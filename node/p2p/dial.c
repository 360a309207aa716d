/* dial.c: which nodes are dialled, and when: see p2p_impl.h.
 *
 *      persistent peers   always, again after 0.5 s, 1 s, 2 s ... 30 s
 *      seeds              while few addresses are known
 *      anchors, the book  until there are enough outbound peers, of distinct groups
 *      feelers            one each two minutes: does the address answer?
 *
 * Spec: docs/spec/p2p.md 6, 8. */
#include <sodium.h>

#include "node/p2p/p2p_impl.h"

#define PAUSE_US_MAX UINT64_C(30000000)
#define PICK_US      UINT64_C(1000000)
#define BOOK_LEAST   8 /* with fewer addresses than this the seeds are asked */

/* ---- one connection ---- */

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
    sb_conn_begin(conn, target != NULL && target->is_id_given ? target->address.id : NULL);
}

static bool dial(struct sb_p2p *p2p, enum sb_conn_purpose purpose, struct sb_target *target,
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

/* ---- nodes that settings name ---- */

void sb_dial_wait(struct sb_target *target)
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
    if (!dial(target->p2p, purpose, target, endpoint) && target->conn == NULL) {
        sb_dial_wait(target);
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
    sb_dial_wait(target);
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
        sb_dial_wait(target);
    }
}

/* ---- nodes of the book ---- */

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
        sb_offence_bans_address(p2p, &address->endpoint) ||
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
            (void)dial(p2p, SB_PURPOSE_OUTBOUND, NULL, anchor);
        }
    } else if (p2p->pick_us <= p2p->now_us) {
        if (sb_book_pick(&address, p2p->book, may_dial, p2p, sb_p2p_wall_s())) {
            (void)dial(p2p, SB_PURPOSE_OUTBOUND, NULL, &address.endpoint);
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
    p2p->feeler_us = p2p->now_us + SB_FEELER_US;
    if (sb_book_pick_feeler(&address, p2p->book, may_dial, p2p, sb_p2p_wall_s())) {
        (void)dial(p2p, SB_PURPOSE_FEELER, NULL, &address.endpoint);
    }
}

void sb_dial_tick(struct sb_p2p *p2p)
{
    tick_targets(p2p);
    tick_outbound(p2p);
    tick_feeler(p2p);
}
