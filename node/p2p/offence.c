/* offence.c: what peers do wrong, counted against node and address, and bans: see p2p_impl.h and score.h.
 *
 *      sb_offence_count --> score of the address (unless it is spared), score of the node id --at 100--> ban of what ran out, goodbye
 *
 * Spec: docs/spec/p2p.md 7. */
#include "base/util/endian.h"
#include "node/p2p/p2p_impl.h"

static void address_key(uint8_t ret[SB_BAN_KEY_BYTES], const struct sb_endpoint *endpoint)
{
    memset(ret, 0, SB_BAN_KEY_BYTES);
    memcpy(ret, "address", 7);
    be_store64(ret + 8, sb_endpoint_host_number(endpoint));
}

bool sb_offence_spares(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    return p2p->options.allow_local && sb_endpoint_is_local(endpoint);
}

bool sb_offence_bans_address(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint)
{
    uint8_t key[SB_BAN_KEY_BYTES];
    address_key(key, endpoint);
    return !sb_offence_spares(p2p, endpoint) && sb_bans_has(&p2p->bans, key, p2p->now_us);
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

void sb_offence_count(struct sb_conn *conn, uint32_t points, const char *why)
{
    struct sb_p2p *p2p = conn->p2p;
    uint8_t address_bytes[SB_BAN_KEY_BYTES];
    const uint8_t *id = conn->info.peer != 0 ? conn->info.node_id : NULL;
    const uint8_t *address = NULL;
    bool is_over = false;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    if (!conn->info.is_persistent && !sb_offence_spares(p2p, &conn->endpoint)) {
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
