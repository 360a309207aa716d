/* cluster_check.c: what must hold of each effect of an honest core (see cluster.h).
 *
 *   agreement     no two honest nodes decide differently at one height
 *   validity      what is decided is valid, and more than 2/3 have signed it
 *   signatures    at most one for each (height, round, step), which only grow
 *   line 22, 28   a prevote for a block: valid, timely and by the right proposer when fresh; never against a newer lock; POL seen
 *   line 36       a precommit for a block: its polka is held, and it is the lock now
 *   timers        grow with the round
 *   evidence      never against an honest node, and it shows two votes
 *
 * And of each core at rest:
 *
 *   lock          is that of its last precommit for a block; nothing else moves it
 *   lines 42, 43  a polka for the round's valid proposal is the valid value, in step precommit too
 *   line 55       f + 1 in a higher round are followed, and fewer are not */
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/consensus/cluster.h"

uint32_t cluster_proposer(void *ctx, uint64_t height, int32_t round)
{
    const struct cluster *cluster = ctx;
    return (uint32_t)((height + (uint64_t)round) % cluster->count);
}

const struct cluster_block *cluster_find_block(const struct cluster *cluster, const sb_hash *id)
{
    for (size_t i = cluster->block_count; i-- > 0;) {
        if (sb_hash_equal(&cluster->blocks[i].id, id)) {
            return &cluster->blocks[i];
        }
    }
    return NULL;
}

void cluster_fail(struct cluster *cluster, const char *format, ...)
{
    if (cluster->failure != NULL) {
        return; /* the first is the one that tells */
    }
    va_list list;
    va_start(list, format);
    (void)vsnprintf(cluster->failure_text, sizeof cluster->failure_text, format, list);
    va_end(list);
    cluster->failure = cluster->failure_text;
}

/* power_signed: of those who really signed the votes that a certificate shows. */
static int64_t power_signed(const struct cluster *cluster, enum sb_vote_type type,
                            const struct sb_commit *commit)
{
    int64_t power = 0;
    for (size_t who = 0; who < commit->sig_count; who++) {
        if (commit->sigs[who].flag != SB_COMMIT_BLOCK) {
            continue;
        }
        for (size_t i = cluster->signed_count; i-- > 0;) {
            const struct cluster_signed *vote = &cluster->signed_votes[i];
            if (vote->who == who && vote->type == type && vote->height == commit->height &&
                vote->round == commit->round && sb_hash_equal(&vote->block_id, &commit->block_id)) {
                power += cluster->set.validators[who].power;
                break;
            }
        }
    }
    return power;
}

static bool has_polka(struct cluster *cluster, const struct sb_bft *core, int32_t round,
                      const sb_hash *block_id)
{
    struct sb_bft_certificate polka;
    return sb_bft_certificate(&polka, core, SB_VOTE_PREVOTE, round) &&
           sb_hash_equal(&polka.commit.block_id, block_id) &&
           sb_power_is_quorum(power_signed(cluster, SB_VOTE_PREVOTE, &polka.commit),
                              cluster->set.total_power);
}

static bool is_timely(const struct cluster_node *node, const struct cluster_block *block,
                      int32_t round)
{
    uint64_t delay = 1000; /* as EVENT_START hands it in */
    for (int32_t i = 0; i < round && delay < 1000000; i++) {
        delay = delay * 11 / 10;
    }
    uint64_t received = node->received[round % 4].at_ms;
    return node->received[round % 4].round == round && block->time_ms <= received + 500 &&
           received <= block->time_ms + delay + 500;
}

static void check_prevote(struct cluster *cluster, size_t who, const struct sb_vote *vote)
{
    const struct cluster_node *node = &cluster->nodes[who];
    const struct cluster_block *block = cluster_find_block(cluster, &vote->block_id);
    const struct sb_proposal *proposal = sb_bft_proposal(node->core, vote->round);
    struct sb_bft_status status = sb_bft_status(node->core);
    if (proposal == NULL || !sb_hash_equal(&proposal->block_id, &vote->block_id) || block == NULL ||
        !block->is_valid) {
        cluster_fail(cluster, "node %zu prevotes what is not a valid proposal", who);
        return;
    }
    bool is_locked_elsewhere =
        status.locked_round >= 0 && !sb_hash_equal(&status.locked_block, &vote->block_id);
    if (proposal->pol_round >= 0) {
        if (!has_polka(cluster, node->core, proposal->pol_round, &vote->block_id)) {
            cluster_fail(cluster, "line 28: node %zu prevotes without the polka of round %d", who,
                         proposal->pol_round);
        }
        if (is_locked_elsewhere && status.locked_round > proposal->pol_round) {
            cluster_fail(cluster, "line 29: node %zu prevotes against a newer lock", who);
        }
        return;
    }
    if (is_locked_elsewhere) {
        cluster_fail(cluster, "line 23: node %zu prevotes against its lock", who);
    }
    size_t proposer = cluster_proposer(cluster, vote->height, vote->round);
    if (!sb_addr_equal(&block->proposer, &cluster->set.validators[proposer].address)) {
        cluster_fail(cluster, "line 22: node %zu prevotes a block of another proposer", who);
    }
    if (proposer != who && !is_timely(node, block, vote->round)) {
        cluster_fail(cluster, "line 22: node %zu prevotes an untimely block", who);
    }
}

static void check_precommit(struct cluster *cluster, size_t who, const struct sb_vote *vote)
{
    const struct cluster_node *node = &cluster->nodes[who];
    struct sb_bft_status status = sb_bft_status(node->core);
    if (!has_polka(cluster, node->core, vote->round, &vote->block_id)) {
        cluster_fail(cluster, "line 36: node %zu precommits without a polka", who);
    }
    if (status.locked_round != vote->round || status.valid_round != vote->round ||
        !sb_hash_equal(&status.locked_block, &vote->block_id) ||
        !sb_hash_equal(&status.valid_block, &vote->block_id)) {
        cluster_fail(cluster, "lines 38 to 43: node %zu precommits what it has not locked", who);
    }
    cluster->nodes[who].lock_round = vote->round;
    cluster->nodes[who].lock_block = vote->block_id;
}

static void check_sign(struct cluster *cluster, size_t who, const struct sb_bft_message *message)
{
    struct cluster_node *node = &cluster->nodes[who];
    const struct sb_vote *vote = &message->as.vote;
    uint64_t height = message->is_proposal ? message->as.proposal.height : vote->height;
    int32_t round = message->is_proposal ? message->as.proposal.round : vote->round;
    int step = message->is_proposal ? 0 : (int)vote->type;
    bool grows =
        height > node->last_height ||
        (height == node->last_height &&
         (round > node->last_round || (round == node->last_round && step > node->last_step)));
    if (!grows) {
        cluster_fail(cluster, "node %zu signs twice or backwards", who);
    }
    node->last_height = height;
    node->last_round = round;
    node->last_step = step;
    struct sb_bft_status status = sb_bft_status(node->core);
    if (message->is_proposal) {
        const struct sb_proposal *proposal = &message->as.proposal;
        if (proposal->pol_round != status.valid_round ||
            (status.valid_round >= 0 && !sb_hash_equal(&proposal->block_id, &status.valid_block))) {
            cluster_fail(cluster, "line 16: node %zu does not propose its valid value", who);
        }
    } else if (!sb_vote_is_nil(vote) && vote->type == SB_VOTE_PREVOTE) {
        check_prevote(cluster, who, vote);
    } else if (!sb_vote_is_nil(vote)) {
        check_precommit(cluster, who, vote);
    }
}

static void check_decision(struct cluster *cluster, size_t who, const struct sb_commit *commit)
{
    const struct cluster_block *block = cluster_find_block(cluster, &commit->block_id);
    if (block == NULL || !block->is_valid || block->height != commit->height ||
        (block->told >> who & 1) == 0) {
        cluster_fail(cluster, "validity: node %zu decides what it does not know to be valid", who);
    }
    if (!sb_power_is_quorum(power_signed(cluster, SB_VOTE_PRECOMMIT, commit),
                            cluster->set.total_power)) {
        cluster_fail(cluster, "line 49: node %zu decides without a quorum", who);
    }
    for (size_t i = 0; i < cluster->count; i++) {
        const struct cluster_node *other = &cluster->nodes[i];
        if (!other->is_byzantine && other->decided >= commit->height &&
            !sb_hash_equal(&other->decisions[commit->height], &commit->block_id)) {
            cluster_fail(cluster, "agreement: nodes %zu and %zu decide differently at height %llu",
                         i, who, (unsigned long long)commit->height);
        }
    }
}

static void check_timer(struct cluster *cluster, size_t who, const struct sb_bft_effect *effect)
{
    uint64_t base = effect->as.timer.kind == SB_BFT_TIMEOUT_PROPOSE ? 3000 : 1000;
    if (effect->as.timer.delay_ms != base + 500 * (uint64_t)effect->as.timer.round) {
        cluster_fail(cluster, "node %zu sets a timer that does not grow with the round", who);
    }
}

static void check_evidence(struct cluster *cluster, size_t who, const struct sb_evidence *evidence)
{
    cluster->evidence_count++;
    if (evidence->a.validator_index != cluster->byzantine ||
        sb_hash_equal(&evidence->a.block_id, &evidence->b.block_id) ||
        evidence->a.type != evidence->b.type || evidence->a.round != evidence->b.round) {
        cluster_fail(cluster, "node %zu has evidence against an honest node", who);
    }
}

void cluster_check_effect(struct cluster *cluster, size_t who, const struct sb_bft_effect *effect)
{
    switch (effect->type) {
    case SB_BFT_SIGN:
        check_sign(cluster, who, &effect->as.message);
        break;
    case SB_BFT_SET_TIMER:
        check_timer(cluster, who, effect);
        break;
    case SB_BFT_DECIDE:
        check_decision(cluster, who, &effect->as.decide);
        break;
    case SB_BFT_EVIDENCE:
        check_evidence(cluster, who, &effect->as.evidence);
        break;
    case SB_BFT_JOURNAL:
    case SB_BFT_BROADCAST:
    case SB_BFT_CANCEL_TIMERS:
    case SB_BFT_GET_VALUE:
    case SB_BFT_VALIDATE:
    case SB_BFT_FETCH:
        break;
    }
}

/* power_in: of the validators whose votes this core holds in a round. */
static int64_t power_in(const struct cluster *cluster, const struct sb_bft *core, int32_t round,
                        bool only_precommits)
{
    int64_t power = 0;
    for (uint32_t i = 0; i < cluster->count; i++) {
        bool has_voted = sb_bft_vote(core, SB_VOTE_PRECOMMIT, round, i) != NULL ||
                         (!only_precommits && sb_bft_vote(core, SB_VOTE_PREVOTE, round, i) != NULL);
        power += has_voted ? cluster->set.validators[i].power : 0;
    }
    return power;
}

static void check_rounds(struct cluster *cluster, size_t who, int32_t round)
{
    struct cluster_node *node = &cluster->nodes[who];
    int64_t total = cluster->set.total_power;
    for (int32_t ahead = 1; ahead <= 3; ahead++) {
        if (sb_power_is_third(power_in(cluster, node->core, round + ahead, false), total)) {
            cluster_fail(cluster, "line 55: node %zu does not follow f + 1 to round %d", who,
                         round + ahead);
        }
    }
    bool has_moved = round > node->round && round > 0;
    node->round = round;
    if (has_moved && !sb_power_is_third(power_in(cluster, node->core, round, false), total) &&
        !sb_power_is_quorum(power_in(cluster, node->core, round - 1, true), total)) {
        cluster_fail(cluster, "lines 55, 65: node %zu has no reason to be in round %d", who, round);
    }
}

static void check_values(struct cluster *cluster, size_t who, const struct sb_bft_status *status)
{
    const struct cluster_node *node = &cluster->nodes[who];
    if (status->locked_round != node->lock_round ||
        (status->locked_round >= 0 && !sb_hash_equal(&status->locked_block, &node->lock_block))) {
        cluster_fail(cluster, "the lock of node %zu is not that of its last precommit", who);
    }
    const struct sb_proposal *proposal = sb_bft_proposal(node->core, status->round);
    struct sb_bft_certificate polka;
    if (proposal == NULL || status->step == SB_BFT_PROPOSE ||
        !sb_bft_certificate(&polka, node->core, SB_VOTE_PREVOTE, status->round) ||
        !sb_hash_equal(&polka.commit.block_id, &proposal->block_id)) {
        return;
    }
    const struct cluster_block *block = cluster_find_block(cluster, &proposal->block_id);
    if (block != NULL && (block->told >> who & 1) != 0 && status->valid_round != status->round) {
        cluster_fail(cluster, "line 42: node %zu has a polka and no valid value of it", who);
    }
}

void cluster_check_rest(struct cluster *cluster, size_t who)
{
    struct sb_bft_status status = sb_bft_status(cluster->nodes[who].core);
    if (status.step != SB_BFT_DECIDED) {
        check_rounds(cluster, who, status.round);
        check_values(cluster, who, &status);
    }
}
