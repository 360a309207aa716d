/* metrics_dump.c: samebit_consensusState: what the core holds of the present height, asked of the loop, and the peers.
 *
 *      {"consensus": {"height": 12, "round": 1, "step": "prevote", ..., "proposer": "0x...",
 *          "rounds": [{"round": 0, "proposal": null, "prevotes": {"bits": "xn_x", "power": 30, "total": 40}, "precommits": {...}}, ...],
 *          "counters": {...}},
 *       "fresh": true, "peers": [...]}
 *
 * bits: one character a validator, in the order of the set: x voted for a block, n for nil, _ no vote held. */
#include <time.h>

#include "base/codec/hex.h"
#include "node/metrics_impl.h"

#define ROUNDS_SHOWN 4 /* the present one, the next, and the two before */
#define WAIT_NS      500000000
#define NS_IN_S      1000000000

static const char *const step_names[] = {
    [SB_BFT_PROPOSE] = "propose",
    [SB_BFT_PREVOTE] = "prevote",
    [SB_BFT_PRECOMMIT] = "precommit",
    [SB_BFT_DECIDED] = "decided",
};

static void put_number(struct sb_json *out, const char *name, int64_t value)
{
    sb_json_key(out, name);
    sb_json_i64(out, value);
}

static void put_bool(struct sb_json *out, const char *name, bool value)
{
    sb_json_key(out, name);
    sb_json_bool(out, value);
}

static void put_text(struct sb_json *out, const char *name, const char *text)
{
    sb_json_key(out, name);
    sb_json_str(out, text);
}

/* put_id: a block id; null for none. */
static void put_id(struct sb_json *out, const char *name, const sb_hash *id)
{
    sb_json_key(out, name);
    if (sb_hash_is_zero(id)) {
        sb_json_null(out);
    } else {
        sb_json_hash(out, id);
    }
}

static void put_votes(struct sb_json *out, const char *name, const struct sb_bft *core,
                      enum sb_vote_type type, int32_t round, const struct sb_validator_set *set)
{
    char bits[SB_VALIDATORS_MAX];
    int64_t power = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct sb_vote *vote = sb_bft_vote(core, type, round, i);
        bits[i] = vote == NULL ? '_' : sb_vote_is_nil(vote) ? 'n' : 'x';
        power += vote != NULL ? set->validators[i].power : 0;
    }
    sb_json_key(out, name);
    sb_json_object_begin(out);
    sb_json_key(out, "bits");
    sb_json_string(out, bits, set->count);
    put_number(out, "power", power);
    put_number(out, "total", set->total_power);
    sb_json_object_end(out);
}

static void put_rounds(struct sb_json *out, const struct sb_bft *core, int32_t present,
                       const struct sb_validator_set *set)
{
    static const sb_hash none;
    int64_t first = (int64_t)present - (ROUNDS_SHOWN - 2);
    sb_json_key(out, "rounds");
    sb_json_array_begin(out);
    for (int64_t round = first < 0 ? 0 : first; round <= (int64_t)present + 1; round++) {
        if (round > SB_ROUND_MAX) {
            break;
        }
        const struct sb_proposal *proposal = sb_bft_proposal(core, (int32_t)round);
        sb_json_object_begin(out);
        put_number(out, "round", round);
        put_id(out, "proposal", proposal != NULL ? &proposal->block_id : &none);
        put_votes(out, "prevotes", core, SB_VOTE_PREVOTE, (int32_t)round, set);
        put_votes(out, "precommits", core, SB_VOTE_PRECOMMIT, (int32_t)round, set);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

static void put_counters(struct sb_json *out, const struct sb_replica_status *s)
{
    sb_json_key(out, "counters");
    sb_json_object_begin(out);
    put_number(out, "extraRounds", (int64_t)s->driver.rounds);
    put_number(out, "invalidProposals", (int64_t)s->driver.invalid_blocks);
    put_number(out, "untimelyProposals", (int64_t)s->driver.untimely_blocks);
    put_number(out, "conflictingVotes", (int64_t)s->driver.conflicting_votes);
    put_number(out, "refusedSignatures", (int64_t)s->driver.refused_signatures);
    put_number(out, "refusedProofs", (int64_t)s->driver.refused_proofs);
    put_number(out, "lateVotes", (int64_t)s->driver.late_votes);
    put_number(out, "duplicateVotes", (int64_t)s->duplicate_votes);
    put_number(out, "duplicateParts", (int64_t)s->duplicate_parts);
    put_number(out, "resentMessages", (int64_t)s->resent_messages);
    sb_json_object_end(out);
}

void sb_metrics_make_dump(struct sb_metrics *metrics, const struct sb_replica *replica)
{
    const struct sb_replica_status *s = &metrics->status;
    const struct sb_bft *core = sb_replica_core(replica);
    struct sb_json json;
    sb_buf_reset(&metrics->dump);
    sb_json_init(&json, &metrics->dump);
    sb_json_object_begin(&json);
    put_number(&json, "height", (int64_t)s->bft.height);
    put_number(&json, "round", s->bft.round);
    put_text(&json, "step", step_names[s->bft.step]);
    put_number(&json, "lockedRound", s->bft.locked_round);
    put_id(&json, "lockedBlock", &s->bft.locked_block);
    put_number(&json, "validRound", s->bft.valid_round);
    put_id(&json, "validBlock", &s->bft.valid_block);
    put_number(&json, "head", (int64_t)s->head);
    put_number(&json, "bestHeight", (int64_t)s->best_height);
    put_bool(&json, "syncing", s->is_syncing);
    put_bool(&json, "validator", s->is_validator);
    put_bool(&json, "halted", s->is_halted);
    const struct sb_rotation *rotation = sb_chain_rotation(metrics->options.chain, s->bft.height);
    if (rotation != NULL) {
        uint32_t proposer = sb_rotation_proposer(rotation, s->bft.round);
        sb_json_key(&json, "proposer");
        sb_json_addr(&json, &rotation->validators[proposer].address);
        put_rounds(&json, core, s->bft.round, &rotation->set);
    }
    put_counters(&json, s);
    sb_json_object_end(&json);
}

/* put_peers: asked of the peer network by the caller's own thread. */
static void put_peers(struct sb_metrics *metrics, struct sb_arena *arena, struct sb_json *out)
{
    struct sb_p2p_peer_status *peers =
        metrics->p2p != NULL ? sb_arena_array(arena, SB_P2P_PEERS_LIST_MAX, sizeof *peers) : NULL;
    size_t count = peers != NULL ? sb_p2p_peers(metrics->p2p, peers, SB_P2P_PEERS_LIST_MAX) : 0;
    sb_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        const struct sb_p2p_peer_status *p = &peers[i];
        sb_json_object_begin(out);
        char id[2 * SB_P2P_NODE_ID_BYTES + 1] = {0};
        sb_hex_encode(id, sb_span(p->info.node_id, sizeof p->info.node_id));
        put_text(out, "id", id); /* as in ID@HOST:PORT */
        put_text(out, "remote", p->info.remote);
        put_text(out, "agent", p->info.agent);
        put_bool(out, "outbound", p->info.is_outbound);
        put_bool(out, "persistent", p->info.is_persistent);
        put_number(out, "sentBytes", (int64_t)p->sent_bytes);
        put_number(out, "receivedBytes", (int64_t)p->received_bytes);
        put_number(out, "queuedBytes", (int64_t)p->queued_bytes);
        put_number(out, "score", p->score);
        put_number(out, "rttMs", p->rtt_ms);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

/* wait_for_loop: ask for a dump and wait until the loop has made it, or the time is over. Under the lock. */
static void wait_for_loop(struct sb_metrics *metrics)
{
    struct timespec until;
    uint64_t wanted = ++metrics->dumps_asked;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    until.tv_sec += until.tv_nsec / NS_IN_S;
    until.tv_nsec %= NS_IN_S;
    metrics->options.wake(metrics->options.wake_ctx);
    while (metrics->dumps_made < wanted &&
           pthread_cond_timedwait(&metrics->looked, &metrics->lock, &until) == 0) {
    }
}

sb_err sb_metrics_consensus_state(struct sb_metrics *metrics, struct sb_json *out)
{
    struct sb_arena arena;
    sb_json_object_begin(out);
    sb_json_key(out, "consensus");
    (void)pthread_mutex_lock(&metrics->lock);
    if (metrics->options.wake != NULL) {
        wait_for_loop(metrics);
    }
    bool is_fresh = metrics->dumps_made == metrics->dumps_asked;
    if (metrics->dump.len > 0) {
        sb_json_raw(out, sb_buf_bytes(&metrics->dump));
    } else {
        sb_json_null(out);
    }
    (void)pthread_mutex_unlock(&metrics->lock);
    put_bool(out, "fresh", is_fresh);
    sb_json_key(out, "peers");
    sb_arena_init(&arena, (size_t)1 << 20);
    put_peers(metrics, &arena, out);
    sb_arena_fini(&arena);
    sb_json_object_end(out);
    return SB_OK;
}
