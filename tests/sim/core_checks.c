/* core_checks.c: what the core must have done with what it holds, and the host knows; see machine_core.h. */
#include "tests/sim/core_value.h"
#include "tests/sim/machine_core.h"

bool sim_core_was_found_valid(const struct sim_core_machine *m, const sb_hash *block_id)
{
    for (uint32_t i = 0; i < BLOCKS_SEEN; i++) {
        if (sb_hash_equal(&m->found_valid[i], block_id)) {
            return true;
        }
    }
    return false;
}

void sim_core_check_first_prevote(struct sim_node *node, const struct sb_vote *vote)
{
    const struct sim_core_machine *m = sim_core_machine_of(node);
    const struct sb_proposal *proposal = sb_bft_proposal(m->core, vote->round);
    if (vote->type != SB_VOTE_PREVOTE || sb_vote_is_nil(vote) || proposal == NULL ||
        proposal->pol_round >= 0) {
        return;
    }
    struct sim_core_value value = sim_core_value_of(&vote->block_id);
    uint32_t turn = sim_proposer(node->sim, vote->height, vote->round);
    if (value.proposer != sim_member(node->sim, vote->height, turn)) {
        sim_fail(node->sim, "node %u prevoted for a block of node %u, whose turn it is not",
                 node->index, value.proposer);
    }
    uint64_t received = vote->round < ROUNDS_SEEN ? m->received_ms[vote->round] : 0;
    const struct sb_bft_timeliness *t = &node->sim->config.timeliness;
    uint64_t delay = t->message_delay_ms;
    for (int32_t r = 0; r < vote->round; r++) {
        delay = delay * 11 / 10;
    }
    if (received != 0 && (received + t->precision_ms < value.time_ms ||
                          received > value.time_ms + delay + t->precision_ms)) {
        sim_fail(node->sim,
                 "node %u prevoted for a block that was not timely: height %llu round %d",
                 node->index, (unsigned long long)vote->height, vote->round);
    }
}

void sim_core_check_lock(const struct sim_node *node, const struct sb_vote *vote)
{
    const struct sb_bft_status now = sb_bft_status(sim_core_machine_of(node)->core);
    if (vote->type == SB_VOTE_PRECOMMIT && !sb_vote_is_nil(vote) &&
        (now.locked_round != vote->round || !sb_hash_equal(&now.locked_block, &vote->block_id))) {
        sim_fail(node->sim, "node %u precommits at height %llu round %d, locked on round %d",
                 node->index, (unsigned long long)vote->height, vote->round, now.locked_round);
    }
}

void sim_core_check_growth(struct sim_node *node, enum sb_bft_timeout kind,
                           const struct sim_core_timer *timer)
{
    const struct sb_bft_timeouts *t = &node->sim->config.timeouts;
    const uint64_t base[TIMER_KINDS] = {t->propose_ms, t->prevote_ms, t->precommit_ms};
    uint64_t expected = base[kind] + (uint64_t)timer->round * t->delta_ms;
    if (timer->delay_ms != expected) {
        sim_fail(node->sim, "node %u sets a timer of %llu ms in round %d, not %llu", node->index,
                 (unsigned long long)timer->delay_ms, timer->round, (unsigned long long)expected);
    }
}

/* ---- what the core must have done with what it holds ---- */

static int64_t held_power(const struct sim_node *node, int32_t round)
{
    const struct sb_bft *core = sim_core_machine_of(node)->core;
    const struct sb_rotation *rotation = sim_rotation(node->sim, sb_bft_status(core).height);
    int64_t power = 0;
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        bool is_heard = sb_bft_vote(core, SB_VOTE_PREVOTE, round, i) != NULL ||
                        sb_bft_vote(core, SB_VOTE_PRECOMMIT, round, i) != NULL;
        power += is_heard ? rotation->validators[i].power : 0;
    }
    return power;
}

void sim_core_check_skip(struct sim_node *node, const struct sb_bft_status *before,
                         const struct sb_bft_input *input)
{
    struct sb_bft_status now = sb_bft_status(sim_core_machine_of(node)->core);
    if (now.height != before->height || now.height == 0 || input->type != SB_BFT_IN_VOTE ||
        input->as.vote.round <= before->round || now.step == SB_BFT_DECIDED ||
        before->step == SB_BFT_DECIDED) {
        return;
    }
    int64_t total = sim_rotation(node->sim, now.height)->set.total_power;
    bool may = sb_power_is_third(held_power(node, input->as.vote.round), total);
    if (may && now.round < input->as.vote.round) {
        sim_fail(node->sim, "node %u stays in round %d of height %llu though a third is in %d",
                 node->index, now.round, (unsigned long long)now.height, input->as.vote.round);
    }
    if (now.round > before->round && !sb_power_is_third(held_power(node, now.round), total)) {
        sim_fail(node->sim, "node %u skipped to round %d of height %llu for less than a third",
                 node->index, now.round, (unsigned long long)now.height);
    }
}

void sim_core_check_valid_value(struct sim_node *node)
{
    const struct sim_core_machine *m = sim_core_machine_of(node);
    struct sb_bft_status now = sb_bft_status(m->core);
    struct sb_bft_certificate polka;
    if (now.height == 0 || (now.step != SB_BFT_PREVOTE && now.step != SB_BFT_PRECOMMIT)) {
        return;
    }
    const struct sb_proposal *proposal = sb_bft_proposal(m->core, now.round);
    if (proposal != NULL && now.valid_round != now.round &&
        sim_core_was_found_valid(m, &proposal->block_id) &&
        sb_bft_certificate(&polka, m->core, SB_VOTE_PREVOTE, now.round) &&
        sb_hash_equal(&polka.commit.block_id, &proposal->block_id)) {
        sim_fail(node->sim, "node %u holds a polka of round %d of height %llu and not its value",
                 node->index, now.round, (unsigned long long)now.height);
    }
}
