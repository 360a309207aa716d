/* metrics_watch.c: what the loop shows: steps and rounds as they pass, blocks as they come; see metrics.h. */
#include <uv.h>

#include "node/metrics_impl.h"

/* ---- steps and rounds ---- */

static enum sb_rpc_step step_of(enum sb_bft_step_name step)
{
    switch (step) {
    case SB_BFT_PROPOSE:
        return SB_RPC_STEP_PROPOSE;
    case SB_BFT_PREVOTE:
        return SB_RPC_STEP_PREVOTE;
    case SB_BFT_PRECOMMIT:
        return SB_RPC_STEP_PRECOMMIT;
    case SB_BFT_DECIDED:
        break;
    }
    return SB_RPC_STEP_NEW_HEIGHT;
}

/* note_progress: durations of what has ended since the observation before. Under the lock. */
static void note_progress(struct sb_metrics *m, const struct sb_bft_status *now)
{
    const struct sb_bft_status *last = &m->last;
    uint64_t now_us = sb_metrics_monotonic_us();
    bool is_same_round = now->height == last->height && now->round == last->round;
    if (is_same_round && now->step == last->step) {
        return;
    }
    bool is_known = m->step_begun_us != 0 && last->height != 0;
    if (is_known) {
        sb_rpc_histogram_add(&m->seen.consensus_step_duration_seconds[step_of(last->step)],
                             now_us - m->step_begun_us);
    }
    bool was_decided = last->step == SB_BFT_DECIDED;
    bool ends_round = !is_same_round || now->step == SB_BFT_DECIDED;
    if (is_known && ends_round && !was_decided) {
        sb_rpc_histogram_add(&m->seen.consensus_round_duration_seconds, now_us - m->round_begun_us);
    }
    if (!is_same_round) {
        m->round_begun_us = now_us;
    }
    /* a valid value of this round is a quorum of prevotes for it */
    if (now->valid_round == now->round && m->quorum_height != now->height) {
        m->quorum_height = now->height;
        m->quorum_ms = sb_metrics_wall_ms();
    }
    m->step_begun_us = now_us;
    m->last = *now;
}

/* has_voted: this node's validator has a vote in the present round. */
static bool has_voted(const struct sb_metrics *m, const struct sb_replica *replica,
                      const struct sb_bft_status *bft)
{
    const struct sb_rotation *rotation = sb_chain_rotation(m->options.chain, bft->height);
    int index =
        rotation != NULL ? sb_validator_set_find(&rotation->set, &m->options.validator) : -1;
    if (index < 0) {
        return false;
    }
    const struct sb_bft *core = sb_replica_core(replica);
    return sb_bft_vote(core, SB_VOTE_PREVOTE, bft->round, (uint32_t)index) != NULL ||
           sb_bft_vote(core, SB_VOTE_PRECOMMIT, bft->round, (uint32_t)index) != NULL;
}

void sb_metrics_observe(struct sb_metrics *metrics, const struct sb_replica *replica)
{
    struct sb_replica_status status = sb_replica_status(replica);
    (void)pthread_mutex_lock(&metrics->lock);
    metrics->status = status;
    metrics->has_observed = true;
    note_progress(metrics, &status.bft);
    bool is_silent_by_right = !status.is_validator || status.is_syncing;
    if (is_silent_by_right) {
        metrics->voted_height = status.head;
    } else if (status.bft.height > metrics->voted_height &&
               has_voted(metrics, replica, &status.bft)) {
        metrics->voted_height = status.bft.height;
    }
    if (metrics->dumps_made != metrics->dumps_asked) {
        sb_metrics_make_dump(metrics, replica);
        metrics->dumps_made = metrics->dumps_asked;
        (void)pthread_cond_broadcast(&metrics->looked);
    }
    (void)pthread_mutex_unlock(&metrics->lock);
}

/* ---- blocks ---- */

/* What a head says of validators, gathered before the lock is taken. */
struct head_facts {
    uint64_t time_ms;
    size_t missing, byzantine;
    int64_t missing_power, byzantine_power;
    bool has_own;        /* this node's validator was in the set judged for presence */
    bool own_is_present; /* and took part */
    uint64_t judged_height;
};

/* judge_presence: of height - 2, whose late precommits have now had their chance. */
static void judge_presence(struct sb_metrics *m, struct head_facts *f,
                           const struct sb_consensus_block *block)
{
    struct sb_metrics_presence *p = &m->before;
    struct sb_validator_set set;
    if (p->height == 0 || p->height + 2 != block->header.height ||
        sb_chain_validators_at(&set, &m->arena, m->options.chain, p->height) != SB_OK ||
        set.count != p->count) {
        return;
    }
    for (size_t i = 0; i < block->late_precommit_count; i++) {
        p->present[block->late_precommits[i].validator_index] = true;
    }
    f->judged_height = p->height;
    for (size_t i = 0; i < set.count; i++) {
        f->missing += p->present[i] ? 0 : 1;
        f->missing_power += p->present[i] ? 0 : set.validators[i].power;
        if (m->options.has_validator &&
            sb_addr_equal(&set.validators[i].address, &m->options.validator)) {
            f->has_own = true;
            f->own_is_present = p->present[i];
        }
    }
}

static void note_evidence(struct sb_metrics *m, struct head_facts *f,
                          const struct sb_consensus_block *block)
{
    for (size_t i = 0; i < block->evidence_count; i++) {
        const struct sb_vote *vote = &block->evidence[i].a;
        struct sb_validator_set set;
        f->byzantine++;
        if (sb_chain_validators_at(&set, &m->arena, m->options.chain,
                                   sb_evidence_height(&block->evidence[i])) == SB_OK &&
            vote->validator_index < set.count) {
            f->byzantine_power += set.validators[vote->validator_index].power;
        }
    }
}

int64_t sb_metrics_read_set(struct sb_validator_set *ret_set, struct sb_metrics *m, uint64_t height)
{
    if (sb_chain_validators_at(ret_set, &m->arena, m->options.chain, height) != SB_OK) {
        return 0;
    }
    int own = sb_validator_set_find(ret_set, &m->options.validator);
    return m->options.has_validator && own >= 0 ? ret_set->validators[own].power : 0;
}

/* read_head: what the stored consensus block says. A block that cannot be read shows elsewhere; here it only leaves zeros. */
static struct head_facts read_head(struct sb_metrics *m, uint64_t height)
{
    struct head_facts facts = {.time_ms = 0};
    struct sb_consensus_block block;
    sb_bytes raw;
    if (height == 0 ||
        sb_store_consensus_block(&raw, &m->arena, sb_chain_store(m->options.chain), height) !=
            SB_OK ||
        sb_consensus_block_decode(&block, &m->arena, raw, NULL) != SB_OK) {
        return facts;
    }
    facts.time_ms = block.header.time_ms;
    judge_presence(m, &facts, &block);
    note_evidence(m, &facts, &block);
    m->before.height = block.last_commit.height;
    m->before.count = block.last_commit.sig_count;
    for (size_t i = 0; i < block.last_commit.sig_count; i++) {
        m->before.present[i] = block.last_commit.sigs[i].flag != SB_COMMIT_ABSENT;
    }
    return facts;
}

void sb_metrics_on_head(void *ctx, const struct sb_chain_event *event)
{
    struct sb_metrics *m = ctx;
    const struct sb_rpc_block *block = event->block;
    uint64_t height = block->block.header.number;
    sb_arena_reset(&m->arena);
    struct head_facts f = read_head(m, height);
    struct sb_validator_set next = {.count = 0};
    int64_t own_power = sb_metrics_read_set(&next, m, height + 1);
    (void)pthread_mutex_lock(&m->lock);
    struct sb_rpc_metrics *s = &m->seen;
    m->head_seen_us = sb_metrics_monotonic_us();
    if (s->head_time_ms != 0 && f.time_ms > s->head_time_ms) {
        sb_rpc_histogram_add(&s->consensus_block_interval_seconds,
                             (f.time_ms - s->head_time_ms) * 1000);
    }
    if (m->quorum_height == height) {
        s->consensus_quorum_prevote_delay =
            m->quorum_ms > f.time_ms ? (m->quorum_ms - f.time_ms) * 1000 : 0;
    }
    s->head_time_ms = f.time_ms;
    s->consensus_num_txs = block->block.tx_count;
    s->consensus_total_txs += block->block.tx_count;
    s->consensus_block_size_bytes = block->size_bytes;
    s->consensus_validators = next.count;
    s->consensus_validators_power = (uint64_t)next.total_power;
    s->consensus_validator_power = (uint64_t)own_power;
    s->consensus_missing_validators = f.missing;
    s->consensus_missing_validators_power = (uint64_t)f.missing_power;
    s->consensus_byzantine_validators = f.byzantine;
    s->consensus_byzantine_validators_power = (uint64_t)f.byzantine_power;
    if (f.has_own && f.own_is_present) {
        s->consensus_validator_last_signed_height = f.judged_height;
    } else if (f.has_own) {
        s->consensus_validator_missed_blocks++;
    }
    (void)pthread_mutex_unlock(&m->lock);
}
