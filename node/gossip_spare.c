/* gossip_spare.c: who need not be sent what others bring it sooner: per validator, one peer is kept as the source of its votes and one
 * as that of its blocks; the others, once they have brought the same later, are asked to spare us; see replica_impl.h.
 *
 *      author --> B --> us        the first that brings a message of a validator becomes its source
 *           \--> C --> us         C brings it later: told, when the height is over, to pass on nothing more of this validator
 *
 * So a message crosses each connection about once, as along the tree by which it spreads fastest (Plumtree, Leitao, Pereira, Rodrigues
 * 2007, with a tree for each author). A node always sends its own messages to everybody. When a source goes away, when the set changes
 * and when nothing moves for a while, everybody is asked for everything again: a peer that becomes a source and then withholds costs
 * one resend time, and none for long after. */
#include "node/replica_impl.h"

/* After a stall nobody is spared anything for so many resend times, and twice as many after each further one. */
#define HOLD_RESENDS       ((uint64_t)16)
#define HOLD_DOUBLINGS_MAX 6

void sb_spare_new(struct sb_replica *replica, uint16_t sources[SB_VALIDATORS_MAX],
                  uint32_t validator, const struct gossip_peer *peer)
{
    if (validator < SB_VALIDATORS_MAX && sources[validator] == 0 &&
        sb_replica_now(replica) >= replica->spare_after_ms) {
        sources[validator] = (uint16_t)(peer->index + 1);
    }
}

static bool is_settled_elsewhere(uint16_t source, const struct gossip_peer *peer)
{
    return source != 0 && source != peer->index + 1;
}

static void spare(struct gossip_peer *peer, struct sb_bits *bits, uint32_t validator)
{
    if (!sb_bits_get(bits, validator)) {
        sb_bits_set(bits, validator);
        peer->spare_changed = true;
    }
}

void sb_spare_repeated_vote(struct sb_replica *replica, uint32_t validator,
                            struct gossip_peer *peer)
{
    if (is_settled_elsewhere(replica->vote_source[validator], peer)) {
        spare(peer, &peer->spare.votes, validator);
    }
}

void sb_spare_repeated_part(struct sb_replica *replica, uint32_t validator,
                            struct gossip_peer *peer)
{
    if (is_settled_elsewhere(replica->block_source[validator], peer)) {
        spare(peer, &peer->spare.blocks, validator);
    }
}

static void tell(struct sb_replica *replica, struct gossip_peer *peer)
{
    struct sb_message m = {.kind = SB_MESSAGE_RELAY};
    m.as.relay = peer->spare;
    m.as.relay.votes.count = SB_VALIDATORS_MAX;
    m.as.relay.blocks.count = SB_VALIDATORS_MAX;
    peer->spare_changed = !sb_gossip_send_message(replica, peer, &m);
}

static void tell_changes(struct sb_replica *replica)
{
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        if (replica->peers[i] != NULL && replica->peers[i]->spare_changed) {
            tell(replica, replica->peers[i]);
        }
    }
}

static bool is_any(const struct sb_message_relay *relay)
{
    static const struct sb_message_relay none;
    return memcmp(relay->votes.words, none.votes.words, sizeof none.votes.words) != 0 ||
           memcmp(relay->blocks.words, none.blocks.words, sizeof none.blocks.words) != 0;
}

/* forget: ask everybody for everything again. */
static void forget(struct sb_replica *replica)
{
    memset(replica->vote_source, 0, sizeof replica->vote_source);
    memset(replica->block_source, 0, sizeof replica->block_source);
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (peer != NULL && is_any(&peer->spare)) {
            peer->spare = (struct sb_message_relay){.votes = {.count = 0}};
            peer->spare_changed = true;
        }
    }
    tell_changes(replica);
}

void sb_spare_stalled(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    if (now >= replica->spare_after_ms) {
        uint32_t doublings = replica->spare_stalls < HOLD_DOUBLINGS_MAX ? replica->spare_stalls++
                                                                        : HOLD_DOUBLINGS_MAX;
        replica->spare_after_ms = now + (HOLD_RESENDS << doublings) * sb_replica_resend_ms(replica);
    }
    forget(replica);
}

void sb_spare_peer_down(struct sb_replica *replica, const struct gossip_peer *peer)
{
    for (uint32_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        if (replica->vote_source[i] == peer->index + 1 ||
            replica->block_source[i] == peer->index + 1) {
            forget(replica);
            return;
        }
    }
}

/* set_has_changed: the next height's set is not the one that the sources belong to; from now on it is. */
static bool set_has_changed(struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    const struct sb_rotation *rotation = app->rotation(app->ctx, sb_replica_head(replica) + 1);
    if (rotation == NULL) {
        return false;
    }
    bool changed = rotation->set.count != replica->source_count;
    for (size_t i = 0; i < rotation->set.count; i++) {
        const sb_addr *address = &rotation->set.validators[i].address;
        changed = changed || !sb_addr_equal(address, &replica->source_addresses[i]);
        replica->source_addresses[i] = *address;
    }
    replica->source_count = rotation->set.count;
    return changed;
}

void sb_spare_committed(struct sb_replica *replica)
{
    if (set_has_changed(replica)) {
        forget(replica);
    } else {
        tell_changes(replica);
    }
}
