/* gossip_push.c: what goes out: each message is encoded once and sent to every peer that can use it and lacks it; see replica_impl.h.
 *
 * A peer can use what belongs to the heights head + 1 and head + 2 of its own (it keeps the latter until it is there), and precommits
 * of its two last heights. What was sent counts as held: the transport loses nothing while the connection lasts; after that, or in a
 * simulator, the peer says what it has and asks for the rest. */
#include "base/crypto/keccak.h"
#include "node/replica_impl.h"

sb_bytes sb_gossip_write(struct sb_replica *replica, const struct sb_message *message)
{
    sb_buf_reset(&replica->out);
    sb_message_encode(&replica->out, message);
    return sb_buf_err(&replica->out) == SB_OK ? sb_buf_bytes(&replica->out) : sb_span(NULL, 0);
}

bool sb_gossip_send(struct sb_replica *replica, struct gossip_peer *peer, enum sb_channel channel,
                    sb_bytes raw)
{
    const struct sb_replica_host *host = &replica->options.host;
    if (raw.len != 0 && host->send(host->ctx, peer->id, channel, raw)) {
        return true;
    }
    peer->is_stuck = true;
    replica->tick_soon = true;
    return false;
}

bool sb_gossip_send_message(struct sb_replica *replica, struct gossip_peer *peer,
                            const struct sb_message *message)
{
    return sb_gossip_send(replica, peer, sb_message_channel(message->kind),
                          sb_gossip_write(replica, message));
}

/* can_use: a message of this height means something to the peer. */
static bool can_use(const struct gossip_peer *peer, uint64_t height)
{
    return peer != NULL && peer->has_status && height > peer->status.head &&
           height <= peer->status.head + 2;
}

static bool can_use_vote(const struct gossip_peer *peer, const struct sb_vote *vote)
{
    if (can_use(peer, vote->height)) {
        return true;
    }
    return peer != NULL && peer->has_status && vote->type == SB_VOTE_PRECOMMIT &&
           vote->height <= peer->status.head && vote->height + 1 >= peer->status.head;
}

/* ---- votes ---- */

static sb_bytes write_vote(struct sb_replica *replica, const struct sb_vote *vote)
{
    struct sb_message message = {.kind = SB_MESSAGE_VOTE, .as.vote = *vote};
    return sb_gossip_write(replica, &message);
}

static bool send_vote(struct sb_replica *replica, struct gossip_peer *peer,
                      const struct sb_vote *vote, sb_bytes raw)
{
    if (!sb_gossip_send(replica, peer, SB_CHANNEL_VOTE, raw)) {
        return false;
    }
    sb_gossip_mark_vote(peer, vote);
    return true;
}

void sb_gossip_push_vote(struct sb_replica *replica, const struct sb_vote *vote, sb_bytes raw)
{
    if (replica->peer_count == 0) {
        return;
    }
    bool is_own = raw.len == 0;
    raw = is_own ? write_vote(replica, vote) : raw;
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (can_use_vote(peer, vote) && !sb_gossip_has_vote(peer, vote) &&
            (is_own || !sb_bits_get(&peer->off.votes, vote->validator_index))) {
            (void)send_vote(replica, peer, vote, raw);
        }
    }
}

bool sb_gossip_send_vote(struct sb_replica *replica, struct gossip_peer *peer,
                         const struct sb_vote *vote)
{
    if (sb_gossip_has_vote(peer, vote)) {
        return true;
    }
    replica->status.resent_messages++;
    return send_vote(replica, peer, vote, write_vote(replica, vote));
}

/* ---- proposals ---- */

static sb_bytes write_proposal(struct sb_replica *replica, const struct sb_proposal *proposal)
{
    struct sb_message message = {.kind = SB_MESSAGE_PROPOSAL, .as.proposal = *proposal};
    return sb_gossip_write(replica, &message);
}

static bool send_proposal(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_proposal *proposal, sb_bytes raw)
{
    if (!sb_gossip_send(replica, peer, SB_CHANNEL_PROPOSAL, raw)) {
        return false;
    }
    sb_gossip_mark_proposal(peer, proposal->height, proposal->round, true);
    return true;
}

/* is_spared: it gets the blocks of this proposer sooner from others. */
static bool is_spared(const struct gossip_peer *peer, int proposer)
{
    return proposer >= 0 && sb_bits_get(&peer->off.blocks, (uint32_t)proposer);
}

void sb_gossip_push_proposal(struct sb_replica *replica, const struct sb_proposal *proposal,
                             int proposer, sb_bytes raw)
{
    if (replica->peer_count == 0) {
        return;
    }
    raw = raw.len != 0 ? raw : write_proposal(replica, proposal);
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (can_use(peer, proposal->height) && !is_spared(peer, proposer) &&
            !sb_gossip_has_proposal(peer, proposal->height, proposal->round)) {
            (void)send_proposal(replica, peer, proposal, raw);
        }
    }
}

bool sb_gossip_send_proposal(struct sb_replica *replica, struct gossip_peer *peer,
                             const struct sb_proposal *proposal)
{
    if (sb_gossip_has_proposal(peer, proposal->height, proposal->round)) {
        return true;
    }
    replica->status.resent_messages++;
    return send_proposal(replica, peer, proposal, write_proposal(replica, proposal));
}

/* ---- parts ---- */

static bool send_part(struct sb_replica *replica, struct gossip_peer *peer,
                      const struct sb_message_part *part, const sb_hash *block_id, sb_bytes raw)
{
    if (!sb_gossip_send(replica, peer, SB_CHANNEL_PART, raw)) {
        return false;
    }
    sb_gossip_mark_part(peer, part->height, block_id, part->proof.index);
    return true;
}

void sb_gossip_push_part(struct sb_replica *replica, const struct sb_message_part *part,
                         const sb_hash *block_id, int proposer, sb_bytes raw)
{
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (can_use(peer, part->height) && !is_spared(peer, proposer) &&
            !sb_gossip_has_part(peer, block_id, part->proof.index)) {
            (void)send_part(replica, peer, part, block_id, raw);
        }
    }
}

static struct sb_message part_of(const struct sb_proposal *proposal,
                                 const struct sb_part_tree *tree, sb_bytes block, uint32_t index)
{
    struct sb_message message = {.kind = SB_MESSAGE_PART};
    message.as.part = (struct sb_message_part){
        .height = proposal->height,
        .round = proposal->round,
        .proof = sb_part_tree_prove(tree, index),
        .bytes = sb_span_slice(block, index * SB_PART_BYTES, SB_PART_BYTES),
    };
    return message;
}

void sb_gossip_push_block(struct sb_replica *replica, const struct sb_proposal *proposal,
                          sb_bytes block)
{
    if (replica->peer_count == 0) {
        return;
    }
    const struct sb_part_tree *tree = sb_replica_tree(replica, &proposal->block_id, block);
    for (uint32_t index = 0; tree != NULL && index < tree->count; index++) {
        struct sb_message m = part_of(proposal, tree, block, index);
        sb_gossip_push_part(replica, &m.as.part, &proposal->block_id, -1,
                            sb_gossip_write(replica, &m));
    }
}

bool sb_gossip_send_block(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_proposal *proposal, sb_bytes block)
{
    const struct sb_part_tree *tree = sb_replica_tree(replica, &proposal->block_id, block);
    for (uint32_t index = 0; tree != NULL && index < tree->count; index++) {
        if (sb_gossip_has_part(peer, &proposal->block_id, index)) {
            continue;
        }
        struct sb_message m = part_of(proposal, tree, block, index);
        replica->status.resent_messages++;
        if (!send_part(replica, peer, &m.as.part, &proposal->block_id,
                       sb_gossip_write(replica, &m))) {
            return false;
        }
    }
    return true;
}

/* ---- status ---- */

void sb_gossip_tell(struct sb_replica *replica, struct gossip_peer *peer, bool asks)
{
    const struct sb_application *app = replica->options.app;
    struct sb_message message = {.kind = SB_MESSAGE_STATUS};
    struct sb_message_status *s = &message.as.status;
    s->head = sb_replica_head(replica);
    uint64_t oldest = app->oldest_block(app->ctx);
    s->oldest = oldest < 1 ? 1 : oldest > s->head + 1 ? s->head + 1 : oldest;
    s->sequence = ++replica->sequence;
    s->asks = asks;
    if (sb_replica_is_begun(replica)) {
        struct sb_bft_status bft = sb_bft_status(sb_driver_core(replica->driver));
        s->round = bft.round;
        s->step = (uint8_t)(1 + bft.step);
    }
    sb_bytes raw = sb_gossip_write(replica, &message);
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        if (replica->peers[i] != NULL && (peer == NULL || peer == replica->peers[i])) {
            (void)sb_gossip_send(replica, replica->peers[i], SB_CHANNEL_STATE, raw);
        }
    }
}

/* ---- evidence ---- */

struct evidence_known *sb_gossip_note_evidence(struct sb_replica *replica,
                                               const struct sb_evidence *evidence, bool *ret_is_new)
{
    uint8_t memory[2048];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_evidence_encode(&buf, evidence);
    sb_hash id = sb_keccak256(sb_buf_bytes(&buf));
    *ret_is_new = false;
    for (size_t i = 0; i < SB_EVIDENCE_KNOWN_MAX; i++) {
        if (sb_hash_equal(&replica->evidence[i].id, &id)) {
            return &replica->evidence[i];
        }
    }
    *ret_is_new = true;
    struct evidence_known *known =
        &replica->evidence[replica->evidence_next++ % SB_EVIDENCE_KNOWN_MAX];
    *known = (struct evidence_known){.id = id, .height = evidence->a.height};
    return known;
}

/* can_judge: peers that are behind do not know the set yet, and look only at late heights; nor the history that a lunatic contradicts. */
static bool can_judge(const struct sb_replica *replica, const struct gossip_peer *peer,
                      const struct sb_evidence *evidence)
{
    uint64_t height = evidence->a.height, head = sb_replica_head(replica);
    if (evidence->kind == SB_EVIDENCE_LUNATIC) {
        return peer->status.head >= (height < head ? height : head);
    }
    return height <= peer->status.head + 2;
}

static void push_evidence(struct sb_replica *replica, const struct sb_evidence *evidence)
{
    bool is_new;
    struct evidence_known *known = sb_gossip_note_evidence(replica, evidence, &is_new);
    struct sb_message message = {.kind = SB_MESSAGE_EVIDENCE, .as.evidence = *evidence};
    sb_bytes raw = sb_gossip_write(replica, &message);
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        if (peer == NULL || !peer->has_status || sb_bits_get(&known->sent, i) ||
            !can_judge(replica, peer, evidence)) {
            continue;
        }
        if (sb_gossip_send(replica, peer, SB_CHANNEL_EVIDENCE, raw)) {
            sb_bits_set(&known->sent, i);
        }
    }
}

sb_err sb_gossip_push_evidence(struct sb_replica *replica, struct sb_diag *diag)
{
    const struct sb_application *app = replica->options.app;
    const struct sb_evidence *list;
    size_t count;
    struct sb_arena_mark mark = sb_arena_mark(&replica->arena);
    sb_err err =
        app->evidence_pending(app->ctx, &replica->arena, SB_EVIDENCE_KNOWN_MAX / 2, &list, &count);
    if (err != SB_OK) {
        return sb_fail(diag, err, "pending evidence cannot be read: %s", sb_err_text(err));
    }
    for (size_t i = 0; i < count; i++) {
        push_evidence(replica, &list[i]);
    }
    sb_arena_rewind(&replica->arena, mark);
    return SB_OK;
}
