/* scenario.c: the fixed scenarios; see scenario.h. In all of them height 3 is the one that is disturbed; four validators of equal power
 * take turns, so the proposers of rounds 0 to 3 of a height are all of them. */
#include "tests/sim/scenario.h"

#include <string.h>

#include "node/messages.h"
#include "tests/sim/check.h"
#include "tests/sim/sim.h"

#define HEIGHT      3
#define ARENA_BYTES ((size_t)16 << 20)
#define ONE(kind)   (UINT32_C(1) << (kind))

/* ---- what a message is about ---- */

struct about {
    uint64_t height;
    int32_t round;
    uint32_t kind;
    uint32_t by; /* node */
};

static uint32_t turn(const struct sim *sim, uint64_t height, int32_t round)
{
    return sim_member(sim, height, sim_proposer(sim, height, round));
}

static bool about_vote(struct about *ret, const struct sim *sim, const struct sb_vote *vote)
{
    if (!sim_rotation_is_known(sim, vote->height)) {
        return false;
    }
    *ret = (struct about){.height = vote->height,
                          .round = vote->round,
                          .kind =
                              vote->type == SB_VOTE_PREVOTE ? SIM_KIND_PREVOTE : SIM_KIND_PRECOMMIT,
                          .by = sim_member(sim, vote->height, vote->validator_index)};
    return true;
}

static bool about_proposal(struct about *ret, const struct sim *sim, uint64_t height, int32_t round)
{
    if (!sim_rotation_is_known(sim, height)) {
        return false;
    }
    *ret = (struct about){.height = height,
                          .round = round,
                          .kind = SIM_KIND_PROPOSAL,
                          .by = turn(sim, height, round)};
    return true;
}

/* message_about: false for messages that no rule can name. A certificate is about its votes, by all. */
static bool message_about(struct about *ret, const struct sim *sim, const struct sb_message *m)
{
    switch (m->kind) {
    case SB_MESSAGE_VOTE:
        return about_vote(ret, sim, &m->as.vote);
    case SB_MESSAGE_PROPOSAL:
        return about_proposal(ret, sim, m->as.proposal.height, m->as.proposal.round);
    case SB_MESSAGE_PART:
        return about_proposal(ret, sim, m->as.part.height, m->as.part.round);
    case SB_MESSAGE_SYNC_BLOCK:
        return m->as.sync_block.commit.sig_count == 0 &&
               about_proposal(ret, sim, m->as.sync_block.height, 0);
    case SB_MESSAGE_CERTIFICATE:
        *ret =
            (struct about){.height = m->as.certificate.commit.height,
                           .round = m->as.certificate.commit.round,
                           .kind = m->as.certificate.type == SB_VOTE_PREVOTE ? SIM_KIND_PREVOTE
                                                                             : SIM_KIND_PRECOMMIT,
                           .by = SIM_NODES_MAX};
        return true;
    case SB_MESSAGE_STATUS:
    case SB_MESSAGE_VOTES:
    case SB_MESSAGE_PARTS:
    case SB_MESSAGE_WANT:
    case SB_MESSAGE_EVIDENCE:
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_NO_BLOCK:
    case SB_MESSAGE_RELAY:
        break;
    }
    return false;
}

static bool is_role(const struct sim *sim, uint64_t height, int32_t role, uint32_t node)
{
    if (role == SIM_ROLE_ALL || node == SIM_NODES_MAX) {
        return true;
    }
    return role >= 0 ? turn(sim, height, role) == node : turn(sim, height, -2 - role) != node;
}

bool sim_scenario_passes(struct sim *sim, uint32_t to, enum sb_channel channel, sb_bytes message)
{
    struct sb_arena arena;
    struct sb_message m;
    struct about about;
    sb_arena_init(&arena, ARENA_BYTES);
    bool is_about = sb_message_decode(&m, &arena, channel, message, NULL) == SB_OK &&
                    message_about(&about, sim, &m);
    sb_arena_fini(&arena);
    for (size_t i = 0; is_about && i < SIM_RULES_MAX; i++) {
        const struct sim_rule *rule = &sim->scenario->rules[i];
        if (rule->height != about.height || rule->round != about.round ||
            (rule->kinds & about.kind) == 0 || !is_role(sim, rule->height, rule->by, about.by) ||
            !is_role(sim, rule->height, rule->to, to)) {
            continue;
        }
        if (sim->rule_begun_us[i] == 0) {
            sim->rule_begun_us[i] = sim->now_us;
        }
        if (rule->for_ms == 0 || sim->now_us - sim->rule_begun_us[i] < rule->for_ms * 1000) {
            return false;
        }
    }
    return true;
}

void sim_scenario_reached(struct sim *sim, uint32_t node, uint64_t height)
{
    for (size_t i = 0; i < SIM_CRASHES_MAX; i++) {
        const struct sim_scenario_crash *crash = &sim->scenario->crashes[i];
        if (crash->height == height && crash->node == node && (sim->crashes_done & ONE(i)) == 0) {
            sim->crashes_done |= ONE(i);
            sim->nodes[node].crash_in = crash->calls;
        }
    }
}

/* ---- what they prove ---- */

static const struct sim_signed *signed_in(const struct sim *sim, int32_t round, uint8_t type,
                                          uint32_t by)
{
    uint32_t at = 0;
    const struct sim_signed *one;
    while ((one = sim_check_each(sim->check, HEIGHT, &at)) != NULL) {
        if (one->round == round && one->type == type && (one->signers >> by & 1) != 0) {
            return one;
        }
    }
    return NULL;
}

static bool is_decided(const struct sim *sim, const struct sim_signed *proposed)
{
    const sb_hash *id = sim_check_decided_id(sim, HEIGHT);
    return id != NULL && proposed != NULL && sb_hash_equal(id, &proposed->block_id);
}

static const char *forged_refused(const struct sim *sim)
{
    return sim->counts.act[SIM_BYZANTINE_FORGED_INFERENCE] == 0 ? "nothing was forged"
           : sim->counts.rounds == 0 ? "no round was lost to a forged block"
                                     : NULL;
}

static const char *reproposed(const struct sim *sim)
{
    const struct sim_signed *first = signed_in(sim, 0, 0, turn(sim, HEIGHT, 0));
    const struct sim_signed *second = signed_in(sim, 1, 0, turn(sim, HEIGHT, 1));
    if (first == NULL || second == NULL || !sb_hash_equal(&first->block_id, &second->block_id)) {
        return "round 1 did not propose the block of round 0 again";
    }
    return (second->pol_rounds & 2) == 0 ? "its proof of lock is not of round 0"
           : !is_decided(sim, second)    ? "the locked block was not decided"
                                         : NULL;
}

static const char *lock_held(const struct sim *sim)
{
    uint32_t locked = turn(sim, HEIGHT, 0);
    const struct sim_signed *lock = signed_in(sim, 0, SB_VOTE_PRECOMMIT, locked);
    const struct sim_signed *next = signed_in(sim, 1, SB_VOTE_PREVOTE, locked);
    if (lock == NULL || sb_hash_is_zero(&lock->block_id)) {
        return "nobody was locked in round 0";
    }
    if (next == NULL || !sb_hash_is_zero(&next->block_id)) {
        return "the locked validator did not prevote for nil in round 1";
    }
    return is_decided(sim, lock) ? "the lock was not replaced" : NULL;
}

static const char *late_polka_kept(const struct sim *sim)
{
    uint32_t nil_first = turn(sim, HEIGHT, 1);
    const struct sim_signed *precommit = signed_in(sim, 0, SB_VOTE_PRECOMMIT, nil_first);
    return precommit == NULL || !sb_hash_is_zero(&precommit->block_id)
               ? "the next proposer did not precommit nil in round 0"
               : reproposed(sim);
}

static const char *recovered(const struct sim *sim)
{
    return sim->counts.recoveries < 4 ? "fewer than four restarts" : NULL;
}

static const char *accused(const struct sim *sim)
{
    return sim->counts.evidence == 0 ? "no evidence of the two votes" : NULL;
}

static const char *forgot(const struct sim *sim)
{
    return sim->counts.act[SIM_BYZANTINE_AMNESIAC] == 0 ? "nobody forgot a lock" : NULL;
}

static const char *forked(const struct sim *sim)
{
    return sim->has_forked ? NULL : "no fork came of it";
}

static const char *convicted(const struct sim *sim)
{
    const struct sb_rotation *last = sim_rotation(sim, sim->best_head + 2);
    return sim->counts.tombstones != 1 ? "the one that signed twice was not convicted"
           : last->set.count != 3      ? "it did not leave the set"
           : sim->counts.exits != 1    ? "it came back, or others left"
                                       : NULL;
}

static const char *joined(const struct sim *sim)
{
    return sim->counts.joins == 0 ? "no full node became a validator" : NULL;
}

static const char *jailed(const struct sim *sim)
{
    return sim->counts.jailings == 0     ? "nobody was jailed for absence"
           : sim->counts.exits == 0      ? "it did not leave the set"
           : sim->counts.joins == 0      ? "it did not come back"
           : sim->counts.tombstones != 0 ? "absence was taken for an offence"
                                         : NULL;
}

static const char *synced(const struct sim *sim)
{
    return sim->counts.synced_blocks == 0 ? "no block came by sync" : NULL;
}

/* ---- their clusters ---- */

static void calm(struct sim_config *config)
{
    config->heights = 6;
}

static void resend_fast(struct sim_config *config)
{
    config->heights = 6;
    config->resend_ms = 200;
}

static void forge_one(struct sim_config *config)
{
    config->heights = 12;
    config->behaviours[2] = ONE(SIM_BYZANTINE_FORGED_INFERENCE);
}

static void forget_one(struct sim_config *config)
{
    config->heights = 12;
    config->network.loss_per_mille = 250;
    config->network.delay_mean_us = 100000;
    config->timeouts = (struct sb_bft_timeouts){
        .propose_ms = 300, .prevote_ms = 100, .precommit_ms = 100, .delta_ms = 50};
    config->behaviours[1] = ONE(SIM_BYZANTINE_AMNESIAC);
}

static void vote_twice(struct sim_config *config)
{
    config->heights = 12;
    config->behaviours[1] = ONE(SIM_BYZANTINE_VOTE_EQUIVOCATOR);
}

static void stake(struct sim_config *config)
{
    config->staking.is_on = true;
    config->staking.params = sb_staking_params_default();
    for (uint32_t i = 0; i < config->validator_count; i++) {
        config->power[i] *= 100;
    }
}

static void stake_and_vote_twice(struct sim_config *config)
{
    vote_twice(config);
    stake(config);
}

static void stake_and_join(struct sim_config *config)
{
    stake(config);
    config->heights = 30;
    config->node_count += 3;
    config->staking.busy_per_mille = 500;
}

static void stake_and_be_away(struct sim_config *config)
{
    stake(config);
    config->heights = 60;
    config->faults.restart_mean_us = 30000000;
    config->staking.params.signed_window = 10;
    config->staking.params.signed_min_bps = 8000;
    config->staking.params.downtime_jail_seconds = 5;
    config->staking.busy_per_mille = 800;
    config->staking.comes_back_only = true;
}

static void conspire(struct sim_config *config)
{
    config->seed = 5;
    config->heights = 200;
    config->is_over_third = true;
    config->behaviours[0] =
        ONE(SIM_BYZANTINE_VOTE_EQUIVOCATOR) | ONE(SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR);
    config->behaviours[1] = config->behaviours[0];
}

static void restart_soon(struct sim_config *config)
{
    config->heights = 10;
    config->faults.restart_mean_us = 500000;
}

static void restart_late(struct sim_config *config)
{
    config->heights = 40;
    config->faults.restart_mean_us = 8000000;
}

const struct sim_scenario sim_scenarios[] = {
    {.name = "line26",
     .text = "a block whose result is forged gets nil, and the round moves on",
     .configure = forge_one,
     .proves = forged_refused},
    {.name = "line28",
     .text =
         "a polka, but too few precommits: round 1 proposes the block again with its proof of lock",
     .configure = calm,
     .rules = {{HEIGHT, 0, SIM_KIND_PROPOSAL, SIM_ROLE_ALL, SIM_ROLE_PROPOSER(3), 0},
               {HEIGHT, 0, SIM_KIND_PRECOMMIT, SIM_ROLE_PROPOSER(2), SIM_ROLE_ALL, 0},
               {HEIGHT, 0, SIM_KIND_PRECOMMIT, SIM_ROLE_ALL, SIM_ROLE_PROPOSER(2), 0}},
     .proves = reproposed},
    {.name = "line32",
     .text =
         "one validator alone sees the polka: it holds its lock in round 1, until a later polka "
         "replaces it",
     .configure = calm,
     .rules = {{HEIGHT, 0, SIM_KIND_PROPOSAL, SIM_ROLE_ALL, SIM_ROLE_PROPOSER(3), 0},
               {HEIGHT, 0, SIM_KIND_PREVOTE, SIM_ROLE_PROPOSER(0), SIM_ROLE_ALL_BUT(0), 0}},
     .proves = lock_held},
    {.name = "line42",
     .text = "the polka comes after the precommit for nil: its block is proposed again",
     .configure = resend_fast,
     .rules = {{HEIGHT, 0, SIM_KIND_PROPOSAL, SIM_ROLE_ALL, SIM_ROLE_PROPOSER(2), 0},
               {HEIGHT, 0, SIM_KIND_PREVOTE, SIM_ROLE_PROPOSER(3), SIM_ROLE_ALL, 4150}},
     .proves = late_polka_kept},
    {.name = "wal-torn",
     .text = "every node crashes several times inside a call, with what was not synced torn",
     .configure = restart_soon,
     .crashes =
         {{2, 0, 3}, {3, 1, 4}, {4, 2, 5}, {5, 3, 6}, {6, 0, 7}, {7, 1, 8}, {8, 2, 9}, {9, 3, 10}},
     .proves = recovered},
    {.name = "power-cut",
     .text = "all nodes crash in one height, just before they commit or after",
     .configure = restart_soon,
     .crashes = {{4, 0, 12}, {4, 1, 14}, {4, 2, 16}, {4, 3, 18}},
     .proves = recovered},
    {.name = "amnesia",
     .text = "one of four forgets its locks: no fork",
     .configure = forget_one,
     .proves = forgot},
    {.name = "equivocation",
     .text = "one of four votes twice: no fork, and evidence",
     .configure = vote_twice,
     .proves = accused},
    {.name = "conspiracy",
     .text = "two of four equivocate together: the fork names them",
     .configure = conspire,
     .proves = forked},
    {.name = "convicted",
     .text = "one of four votes twice: its stake is slashed, and it is out of the set for good",
     .configure = stake_and_vote_twice,
     .proves = convicted},
    {.name = "newcomers",
     .text = "full nodes stake, and validate",
     .configure = stake_and_join,
     .proves = joined},
    {.name = "jail",
     .text = "a validator that is away is jailed, and unjails when it is back",
     .configure = stake_and_be_away,
     .crashes = {{4, 3, 2}},
     .proves = jailed},
    {.name = "late-node",
     .text = "a node that was away comes back by block sync",
     .needs_replica = true,
     .configure = restart_late,
     .crashes = {{4, 3, 2}},
     .proves = synced},
};
const size_t sim_scenario_count = sizeof sim_scenarios / sizeof sim_scenarios[0];
