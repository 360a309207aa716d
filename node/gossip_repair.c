/* gossip_repair.c: after loss, after a partition, after a restart; see replica_impl.h.
 *
 *      asks:      votes of this round (both types), parts of its block, then a status that asks
 *      answers:   by what it said that it has: proposals, parts, votes of its round and of ours, certificates; or, when it is behind, the
 *                 certificate of the height that it works on
 *
 * A node asks when it connects, and when it has stood at one (height, round, step) for resend_ms; not all of its peers each time. What
 * it says of itself replaces what was known of it, so what was lost on the way is sent again. */
#include "node/replica_impl.h"

/* Peers asked at a time. */
#define ASKED_MAX 4
/* Rounds back from the present one that are looked through for certificates. */
#define CERTIFICATE_ROUNDS 16

/* ---- saying what is here ---- */

static void tell_votes(struct sb_replica *replica, struct gossip_peer *peer, enum sb_vote_type type,
                       int32_t round)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    const struct sb_application *app = replica->options.app;
    uint64_t height = sb_bft_status(core).height;
    const struct sb_rotation *rotation = app->rotation(app->ctx, height);
    if (rotation == NULL) {
        return;
    }
    struct sb_message m = {.kind = SB_MESSAGE_VOTES};
    m.as.votes = (struct sb_message_votes){.height = height, .round = round, .type = type};
    m.as.votes.bits.count = (uint32_t)rotation->set.count;
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        if (sb_bft_vote(core, type, round, i) != NULL) {
            sb_bits_set(&m.as.votes.bits, i);
        }
    }
    (void)sb_gossip_send_message(replica, peer, &m);
}

static void tell_parts(struct sb_replica *replica, struct gossip_peer *peer, int32_t round)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    const struct sb_proposal *proposal = sb_bft_proposal(core, round);
    struct sb_message m = {.kind = SB_MESSAGE_PARTS};
    m.as.parts = (struct sb_message_parts){.height = sb_bft_status(core).height, .round = round};
    if (proposal != NULL) {
        m.as.parts.bits = sb_assembly_have(replica, proposal);
    }
    (void)sb_gossip_send_message(replica, peer, &m);
}

void sb_gossip_ask(struct sb_replica *replica, struct gossip_peer *peer)
{
    if (sb_replica_is_begun(replica)) {
        struct sb_bft_status s = sb_bft_status(sb_driver_core(replica->driver));
        tell_votes(replica, peer, SB_VOTE_PREVOTE, s.round);
        tell_votes(replica, peer, SB_VOTE_PRECOMMIT, s.round);
        tell_parts(replica, peer, s.round);
    }
    sb_gossip_tell(replica, peer, true);
}

/* ---- hearing what a peer has ---- */

void sb_gossip_take_votes(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_message_votes *votes)
{
    const struct sb_application *app = replica->options.app;
    uint64_t head = sb_replica_head(replica);
    if (votes->height > head + 1 || votes->height + 1 < head) {
        return;
    }
    const struct sb_rotation *rotation = app->rotation(app->ctx, votes->height);
    if (rotation == NULL) {
        return;
    }
    if (votes->bits.count != rotation->set.count) {
        sb_replica_report(replica, peer, SB_OFFENCE_PROTOCOL,
                          "votes of another number of validators");
        return;
    }
    sb_gossip_set_votes(peer, votes);
}

void sb_gossip_take_parts(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_message_parts *parts)
{
    if (!sb_replica_is_begun(replica) || parts->height != sb_replica_head(replica) + 1) {
        return;
    }
    sb_gossip_mark_proposal(peer, parts->height, parts->round, parts->bits.count != 0);
    const struct sb_proposal *proposal =
        sb_bft_proposal(sb_driver_core(replica->driver), parts->round);
    if (proposal == NULL) {
        return;
    }
    struct sb_bits bits = parts->bits;
    if (bits.count == 0 || bits.count == sb_part_count(proposal->block_bytes)) {
        sb_gossip_set_parts(peer, parts->height, &proposal->block_id, &bits);
    }
}

/* ---- giving what a peer lacks ---- */

/* give_votes: *ret_sent: some were. false: its queue is full. */
static bool give_votes(bool *ret_sent, struct sb_replica *replica, struct gossip_peer *peer,
                       enum sb_vote_type type, int32_t round)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    for (uint32_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        const struct sb_vote *vote = sb_bft_vote(core, type, round, i);
        if (vote != NULL && !sb_gossip_has_vote(peer, vote)) {
            *ret_sent = true;
            if (!sb_gossip_send_vote(replica, peer, vote)) {
                return false;
            }
        }
    }
    return true;
}

static void give_certificate(struct sb_replica *replica, struct gossip_peer *peer,
                             enum sb_vote_type type, int32_t round)
{
    struct sb_message m = {.kind = SB_MESSAGE_CERTIFICATE};
    if (sb_bft_certificate(&m.as.certificate, sb_driver_core(replica->driver), type, round) &&
        !sb_hash_is_zero(&m.as.certificate.commit.block_id)) {
        replica->status.resent_messages++;
        (void)sb_gossip_send_message(replica, peer, &m);
    }
}

static bool give_round(struct sb_replica *replica, struct gossip_peer *peer, int32_t round)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    const struct sb_proposal *held = sb_bft_proposal(core, round);
    static const enum sb_vote_type k_types[] = {SB_VOTE_PREVOTE, SB_VOTE_PRECOMMIT};
    if (held != NULL) {
        struct sb_proposal proposal = *held;
        sb_bytes block = sb_driver_block_bytes(replica->driver, &proposal.block_id);
        if (!sb_gossip_send_proposal(replica, peer, &proposal) ||
            (block.len != 0 && !sb_gossip_send_block(replica, peer, &proposal, block))) {
            return false;
        }
        if (proposal.pol_round >= 0) {
            give_certificate(replica, peer, SB_VOTE_PREVOTE, proposal.pol_round);
        }
    }
    for (size_t t = 0; t < 2; t++) {
        bool sent = false;
        if (!give_votes(&sent, replica, peer, k_types[t], round)) {
            return false;
        }
        /* It has a vote of everybody that we have one of, and yet it asks: it may hold the other one of a validator that voted twice. */
        if (!sent) {
            give_certificate(replica, peer, k_types[t], round);
        }
    }
    return true;
}

/* give_height: a peer that works on the same height. */
static void give_height(struct sb_replica *replica, struct gossip_peer *peer)
{
    struct sb_bft_status s = sb_bft_status(sb_driver_core(replica->driver));
    int32_t first = s.round > CERTIFICATE_ROUNDS ? s.round - CERTIFICATE_ROUNDS : 0;
    for (int32_t round = first; round <= s.round; round++) {
        if (round != s.round && round != peer->status.round) {
            give_certificate(replica, peer, SB_VOTE_PRECOMMIT, round);
        }
    }
    if (s.valid_round >= 0 && s.valid_round != s.round) {
        give_certificate(replica, peer, SB_VOTE_PREVOTE, s.valid_round);
    }
    if (give_round(replica, peer, s.round) && peer->status.round != s.round) {
        (void)give_round(replica, peer, peer->status.round);
    }
}

/* give_commit: a peer that still works on our head: what decided it. Its block it asks for itself, if it lacks it. */
static void give_commit(struct sb_replica *replica, struct gossip_peer *peer)
{
    const struct sb_application *app = replica->options.app;
    struct sb_message m = {.kind = SB_MESSAGE_CERTIFICATE};
    m.as.certificate.type = SB_VOTE_PRECOMMIT;
    sb_bytes encoded;
    struct sb_arena_mark mark = sb_arena_mark(&replica->arena);
    if (app->block(app->ctx, &replica->arena, sb_replica_head(replica), &encoded,
                   &m.as.certificate.commit) == SB_OK) {
        replica->status.resent_messages++;
        (void)sb_gossip_send_message(replica, peer, &m);
    }
    sb_arena_rewind(&replica->arena, mark);
}

static void give(struct sb_replica *replica, struct gossip_peer *peer)
{
    uint64_t head = sb_replica_head(replica);
    if (!sb_budget_take(&peer->answers, sb_budget_answers, 1, sb_replica_now(replica))) {
        return;
    }
    sb_gossip_tell(replica, peer, false);
    if (peer->status.head == head && sb_replica_is_begun(replica)) {
        give_height(replica, peer);
    } else if (head > 0 && peer->status.head + 1 == head && peer->status.step != 0) {
        give_commit(replica, peer);
    }
}

void sb_gossip_take_status(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_message_status *status)
{
    if (peer->has_status && status->sequence <= peer->status.sequence) {
        return; /* overtaken on the way */
    }
    bool is_first = !peer->has_status;
    if (!sb_sync_peer_status(replica->sync, peer->id, status->head, status->oldest)) {
        sb_replica_report(replica, peer, SB_OFFENCE_FATAL, "lowers its height");
        return;
    }
    peer->status = *status;
    peer->has_status = true;
    replica->evidence_due = replica->evidence_due || is_first;
    if (status->asks && replica->mode != MODE_HALTED) {
        give(replica, peer);
    }
}

/* ---- the tick ---- */

static bool has_moved(struct sb_replica *replica)
{
    struct sb_bft_status now = sb_bft_status(sb_driver_core(replica->driver));
    const struct sb_bft_status *last = &replica->moved_status;
    uint64_t head = sb_replica_head(replica);
    bool moved = head != replica->moved_head || now.height != last->height ||
                 now.round != last->round || now.step != last->step;
    replica->moved_status = now;
    replica->moved_head = head;
    return moved;
}

void sb_gossip_ask_some(struct sb_replica *replica)
{
    uint32_t asked = 0;
    for (uint32_t n = 0; n < replica->peer_end && asked < ASKED_MAX; n++) {
        struct gossip_peer *peer = replica->peers[replica->asked_next++ % replica->peer_end];
        if (peer != NULL) {
            sb_gossip_ask(replica, peer);
            asked++;
        }
    }
}

/* unstick: send what a full queue kept back. */
static void unstick(struct sb_replica *replica)
{
    sb_replica_serve(replica);
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (peer == NULL) {
            continue;
        }
        if (peer->is_stuck) {
            peer->is_stuck = false;
            if (peer->has_status && peer->status.head == sb_replica_head(replica) &&
                sb_replica_is_begun(replica)) {
                struct sb_bft_status s = sb_bft_status(sb_driver_core(replica->driver));
                (void)give_round(replica, peer, s.round);
            }
        }
    }
}

void sb_gossip_repair_tick(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t resend = sb_replica_resend_ms(replica);
    unstick(replica);
    if (has_moved(replica)) {
        replica->moved_ms = now;
    }
    if (sb_replica_is_begun(replica) && now - replica->moved_ms >= resend &&
        now - replica->asked_ms >= resend) {
        replica->asked_ms = now;
        sb_spare_stalled(replica);
        sb_gossip_ask_some(replica);
    } else if (now - replica->told_ms >= 5 * resend) {
        replica->told_ms = now;
        sb_gossip_tell(replica, NULL, false); /* in case that the last one was lost */
    }
}
