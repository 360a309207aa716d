/* check.c: see check.h. */
#include "tests/sim/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

#define BUCKETS  4096
#define PROPOSAL 0

struct decided {
    bool is_decided;
    sb_hash block_id, state;
};

struct sim_check {
    struct sim_signed *list; /* owned */
    uint32_t count, capacity;
    uint32_t bucket[BUCKETS];
    uint32_t of_height[SIM_HEIGHTS_MAX];
    struct decided decided[SIM_HEIGHTS_MAX];
    uint64_t acknowledged[SIM_NODES_MAX]; /* head of each node, over all its lives */
    /* the lock that an honest node's precommits show */
    struct {
        uint64_t height;
        int32_t round; /* -1: none */
        sb_hash block_id;
    } lock[SIM_NODES_MAX];
};

struct sim_check *sim_check_new(void)
{
    struct sim_check *check = calloc(1, sizeof *check);
    SB_ASSERT(check != NULL);
    return check;
}

void sim_check_free(struct sim_check *check)
{
    free(check->list);
    free(check);
}

/* ---- the table of everything that was signed ---- */

static uint32_t bucket_of(uint64_t height, int32_t round, uint8_t type, const sb_hash *id)
{
    return (uint32_t)(sim_mix(height * 64 + type + ((uint64_t)(uint32_t)round << 32) +
                              le_load64(id->b) * 31 + le_load64(id->b + 24)) %
                      BUCKETS);
}

static struct sim_signed *find(const struct sim_check *check, uint64_t height, int32_t round,
                               uint8_t type, const sb_hash *id)
{
    uint32_t at = check->bucket[bucket_of(height, round, type, id)];
    while (at != 0) {
        struct sim_signed *one = &check->list[at - 1];
        if (one->height == height && one->round == round && one->type == type &&
            sb_hash_equal(&one->block_id, id)) {
            return one;
        }
        at = one->next_in_bucket;
    }
    return NULL;
}

static struct sim_signed *find_or_add(struct sim_check *check, uint64_t height, int32_t round,
                                      uint8_t type, const sb_hash *id)
{
    struct sim_signed *found = find(check, height, round, type, id);
    if (found != NULL) {
        return found;
    }
    SB_ASSERT(height < SIM_HEIGHTS_MAX);
    if (check->count == check->capacity) {
        check->capacity = check->capacity == 0 ? 256 : 2 * check->capacity;
        struct sim_alloc *before = sim_alloc_enter(NULL);
        check->list = realloc(check->list, check->capacity * sizeof *check->list);
        (void)sim_alloc_enter(before);
        SB_ASSERT(check->list != NULL);
    }
    uint32_t *bucket = &check->bucket[bucket_of(height, round, type, id)];
    struct sim_signed *added = &check->list[check->count++];
    *added = (struct sim_signed){.height = height,
                                 .round = round,
                                 .type = type,
                                 .block_id = *id,
                                 .next_in_bucket = *bucket,
                                 .next_in_height = check->of_height[height]};
    *bucket = check->count;
    check->of_height[height] = check->count;
    return added;
}

const struct sim_signed *sim_check_each(const struct sim_check *check, uint64_t height,
                                        uint32_t *at)
{
    uint32_t index = *at == 0 ? (height < SIM_HEIGHTS_MAX ? check->of_height[height] : 0)
                              : check->list[*at - 1].next_in_height;
    *at = index;
    return index == 0 ? NULL : &check->list[index - 1];
}

static int64_t power_of(const struct sim *sim, uint64_t height, uint32_t nodes)
{
    const struct sb_rotation *rotation = sim_rotation(sim, height);
    int64_t power = 0;
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        power += (nodes >> sim_member(sim, height, i) & 1) != 0 ? rotation->validators[i].power : 0;
    }
    return power;
}

static bool is_quorum(const struct sim *sim, uint64_t height, uint32_t nodes)
{
    return sb_power_is_quorum(power_of(sim, height, nodes),
                              sim_rotation(sim, height)->set.total_power);
}

int64_t sim_check_power(const struct sim *sim, uint64_t height, int32_t round,
                        enum sb_vote_type type, const sb_hash *block_id)
{
    const struct sim_signed *one = find(sim->check, height, round, (uint8_t)type, block_id);
    return one == NULL ? 0 : power_of(sim, height, one->signers);
}

static bool has_polka(const struct sim *sim, uint64_t height, int32_t round, const sb_hash *id)
{
    const struct sim_signed *one = find(sim->check, height, round, SB_VOTE_PREVOTE, id);
    return one != NULL && is_quorum(sim, height, one->signers);
}

const sb_hash *sim_check_decided_id(const struct sim *sim, uint64_t height)
{
    const struct sim_check *check = sim->check;
    return height < SIM_HEIGHTS_MAX && check->decided[height].is_decided
               ? &check->decided[height].block_id
               : NULL;
}

/* ---- signatures ---- */

static void check_signs_once(struct sim *sim, uint32_t node, const struct sim_signed *made)
{
    uint32_t at = 0;
    const struct sim_signed *other;
    while ((other = sim_check_each(sim->check, made->height, &at)) != NULL) {
        if (other != made && other->round == made->round && other->type == made->type &&
            (other->signers >> node & 1) != 0) {
            sim_fail(sim, "honest node %u signed two messages of type %u for height %llu round %d",
                     node, made->type, (unsigned long long)made->height, made->round);
        }
    }
}

/* check_prevote: lines 22-33: some proposal of this round for this block allows it. */
static void check_prevote(struct sim *sim, uint32_t node, const struct sb_vote *vote)
{
    const struct sim_check *check = sim->check;
    const struct sim_signed *proposal =
        find(check, vote->height, vote->round, PROPOSAL, &vote->block_id);
    uint32_t proposer = sim_member(sim, vote->height, sim_proposer(sim, vote->height, vote->round));
    if (proposal == NULL || (proposal->signers >> proposer & 1) == 0) {
        sim_fail(sim, "honest node %u prevoted at height %llu round %d without a proposal", node,
                 (unsigned long long)vote->height, vote->round);
        return;
    }
    int32_t locked_round = -1;
    bool is_locked_value = false;
    if (check->lock[node].height == vote->height) {
        locked_round = check->lock[node].round;
        is_locked_value = sb_hash_equal(&check->lock[node].block_id, &vote->block_id);
    }
    bool is_allowed = (proposal->pol_rounds & 1) != 0 && (locked_round == -1 || is_locked_value);
    for (int32_t pol = 0; pol < 63 && pol < vote->round && !is_allowed; pol++) {
        is_allowed = (proposal->pol_rounds >> (pol + 1) & 1) != 0 &&
                     (locked_round <= pol || is_locked_value) &&
                     has_polka(sim, vote->height, pol, &vote->block_id);
    }
    if (!is_allowed) {
        sim_fail(sim,
                 "honest node %u broke its lock of round %d or took a false proof of lock: prevote "
                 "at height %llu round %d",
                 node, locked_round, (unsigned long long)vote->height, vote->round);
    }
}

static void check_precommit(struct sim *sim, uint32_t node, const struct sb_vote *vote)
{
    if (!has_polka(sim, vote->height, vote->round, &vote->block_id)) {
        sim_fail(sim, "honest node %u precommitted at height %llu round %d without a polka", node,
                 (unsigned long long)vote->height, vote->round);
    }
    sim->check->lock[node].height = vote->height;
    sim->check->lock[node].round = vote->round;
    sim->check->lock[node].block_id = vote->block_id;
}

static void proposal_signed(struct sim *sim, uint32_t node, const struct sb_proposal *proposal)
{
    struct sim_signed *made =
        find_or_add(sim->check, proposal->height, proposal->round, PROPOSAL, &proposal->block_id);
    uint64_t pol = proposal->pol_round < 62 ? UINT64_C(1) << (proposal->pol_round + 1) : 0;
    if (sim_is_honest(sim, node)) {
        check_signs_once(sim, node, made);
        if ((made->signers >> node & 1) != 0 && (made->pol_rounds & pol) == 0) {
            sim_fail(sim, "honest node %u signed two proposals for height %llu round %d", node,
                     (unsigned long long)proposal->height, proposal->round);
        }
        if (proposal->pol_round >= 0 &&
            !has_polka(sim, proposal->height, proposal->pol_round, &proposal->block_id)) {
            sim_fail(sim, "honest node %u proposed with a proof of lock that does not exist", node);
        }
        uint32_t turn = sim_proposer(sim, proposal->height, proposal->round);
        if (sim_member(sim, proposal->height, turn) != node) {
            sim_fail(sim, "honest node %u proposed out of turn at height %llu round %d", node,
                     (unsigned long long)proposal->height, proposal->round);
        }
    }
    made->signers |= UINT32_C(1) << node;
    made->pol_rounds |= pol;
}

void sim_check_signed(struct sim *sim, uint32_t node, const struct sb_bft_message *message)
{
    sim->counts.signatures++;
    if (message->is_proposal) {
        proposal_signed(sim, node, &message->as.proposal);
        return;
    }
    const struct sb_vote *vote = &message->as.vote;
    struct sim_signed *made =
        find_or_add(sim->check, vote->height, vote->round, (uint8_t)vote->type, &vote->block_id);
    if (sim_is_honest(sim, node)) {
        bool is_new = (made->signers >> node & 1) == 0;
        check_signs_once(sim, node, made);
        made->signers |= UINT32_C(1) << node;
        if (is_new && !sb_vote_is_nil(vote)) {
            if (vote->type == SB_VOTE_PREVOTE) {
                check_prevote(sim, node, vote);
            } else {
                check_precommit(sim, node, vote);
            }
        }
        return;
    }
    made->signers |= UINT32_C(1) << node;
}

void sim_check_heard(struct sim *sim, const struct sb_vote *vote)
{
    if (vote->height >= SIM_HEIGHTS_MAX || vote->height == 0) {
        return;
    }
    if (!sim_rotation_is_known(sim, vote->height)) {
        return;
    }
    const struct sb_rotation *rotation = sim_rotation(sim, vote->height);
    struct sim_signed *one =
        find(sim->check, vote->height, vote->round, (uint8_t)vote->type, &vote->block_id);
    if (one != NULL && vote->validator_index < rotation->set.count) {
        uint32_t bit = UINT32_C(1) << sim_member(sim, vote->height, vote->validator_index);
        one->heard |= bit & one->signers;
    }
}

/* ---- decisions ---- */

static void check_certificate(struct sim *sim, uint32_t node, const struct sb_commit *commit)
{
    const struct sb_rotation *rotation = sim_rotation(sim, commit->height);
    struct sb_verifier verifier = sim_verifier();
    struct sb_diag diag = {.text = ""};
    if (sb_commit_verify(commit, commit->height, &commit->block_id, &rotation->set, &sim->domain,
                         &verifier, &diag) != SB_OK) {
        sim_fail(sim, "node %u decided height %llu by a false certificate: %s", node,
                 (unsigned long long)commit->height, diag.text);
        return;
    }
    uint32_t signers = 0;
    for (uint32_t i = 0; i < commit->sig_count; i++) {
        if (commit->sigs[i].flag == SB_COMMIT_BLOCK) {
            signers |= UINT32_C(1) << sim_member(sim, commit->height, i);
        }
    }
    struct sim_signed *votes =
        find(sim->check, commit->height, commit->round, SB_VOTE_PRECOMMIT, &commit->block_id);
    if (votes == NULL || (signers & ~votes->signers) != 0) {
        sim_fail(sim, "node %u decided height %llu by signatures that nobody made", node,
                 (unsigned long long)commit->height);
        return;
    }
    votes->heard |= signers;
}

static void check_proposed(struct sim *sim, uint32_t node, const struct sb_commit *commit)
{
    for (int32_t round = 0; round <= commit->round; round++) {
        const struct sim_signed *proposal =
            find(sim->check, commit->height, round, PROPOSAL, &commit->block_id);
        uint32_t turn = sim_proposer(sim, commit->height, round);
        if (proposal != NULL &&
            (proposal->signers >> sim_member(sim, commit->height, turn) & 1) != 0) {
            return;
        }
    }
    sim_fail(sim, "node %u decided a block at height %llu that no proposer proposed", node,
             (unsigned long long)commit->height);
}

void sim_check_decided(struct sim *sim, uint32_t node, const struct sb_commit *commit,
                       const struct sim_block_facts *facts)
{
    struct sim_check *check = sim->check;
    uint64_t height = commit->height;
    if (!sim_is_honest(sim, node)) {
        return;
    }
    SB_ASSERT(height < SIM_HEIGHTS_MAX);
    if (height != check->acknowledged[node] + 1) {
        sim_fail(sim, "node %u decided height %llu after %llu", node, (unsigned long long)height,
                 (unsigned long long)check->acknowledged[node]);
    }
    check->acknowledged[node] = height;
    sim->counts.decisions++;
    check_certificate(sim, node, commit);
    if (!facts->is_valid) {
        sim_fail(sim, "node %u decided an invalid block at height %llu", node,
                 (unsigned long long)height);
    }
    check_proposed(sim, node, commit);
    struct decided *decided = &check->decided[height];
    if (!decided->is_decided) {
        *decided = (struct decided){
            .is_decided = true, .block_id = commit->block_id, .state = facts->state};
        sim->counts.heights++;
        sim->counts.heights_faulty += sim->phase == SIM_PHASE_FAULTS ? 1 : 0;
    } else if (!sb_hash_equal(&decided->block_id, &commit->block_id)) {
        if (sim->config.is_over_third) {
            sim->has_forked = true;
            sim->counts.forks++;
            sim_accountability(sim, height);
        } else {
            sim_fail(sim, "fork: node %u decided another block at height %llu", node,
                     (unsigned long long)height);
        }
    } else if (!sb_hash_equal(&decided->state, &facts->state)) {
        sim_fail(sim, "node %u has another state after height %llu", node,
                 (unsigned long long)height);
    }
    if (!sim->has_failed && !sim->has_forked) {
        sim_rotations_decided(sim, node, commit, facts->app);
    }
    sim->best_head = height > sim->best_head ? height : sim->best_head;
}

/* ---- standing ---- */

static int compare_standing(const struct sim_standing *a, const struct sim_standing *b)
{
    if (a->head != b->head) {
        return a->head < b->head ? -1 : 1;
    }
    if (a->bft.height != b->bft.height) {
        return a->bft.height < b->bft.height ? -1 : 1;
    }
    if (a->bft.round != b->bft.round) {
        return a->bft.round < b->bft.round ? -1 : 1;
    }
    return (int)a->bft.step - (int)b->bft.step;
}

/* check_round: what allows an honest node to be in this round. */
static void check_round(struct sim *sim, uint32_t node, uint64_t height, int32_t round)
{
    uint32_t precommitted = 0, here = 0, at = 0;
    const struct sim_signed *one;
    while ((one = sim_check_each(sim->check, height, &at)) != NULL) {
        precommitted |=
            one->round == round - 1 && one->type == SB_VOTE_PRECOMMIT ? one->signers : 0;
        here |= one->round == round ? one->signers : 0;
    }
    int64_t total = sim_rotation(sim, height)->set.total_power;
    if (!is_quorum(sim, height, precommitted) &&
        !sb_power_is_third(power_of(sim, height, here), total)) {
        sim_fail(sim, "node %u entered round %d of height %llu without cause", node, round,
                 (unsigned long long)height);
    }
}

void sim_check_standing(struct sim *sim, uint32_t index)
{
    struct sim_node *node = &sim->nodes[index];
    struct sim_standing now = sim->machine->standing(node);
    struct sim_standing *last = &node->standing;
    if (compare_standing(&now, last) < 0) {
        sim_fail(sim, "node %u went back: height %llu round %d step %d after %llu/%d/%d", index,
                 (unsigned long long)now.bft.height, now.bft.round, (int)now.bft.step,
                 (unsigned long long)last->bft.height, last->bft.round, (int)last->bft.step);
    }
    bool is_new_round = now.bft.round > 0 &&
                        (now.bft.height != last->bft.height || now.bft.round != last->bft.round);
    if (is_new_round && sim_is_honest(sim, index)) {
        sim->counts.rounds++;
        sim->best_round = now.bft.round > sim->best_round ? now.bft.round : sim->best_round;
        check_round(sim, index, now.bft.height, now.bft.round);
    }
    if (sim->scenario != NULL && now.bft.height != last->bft.height) {
        sim_scenario_reached(sim, index, now.bft.height);
    }
    if (is_new_round || now.bft.height != last->bft.height) {
        sim_note(sim, index, "h %llu r %d", (unsigned long long)now.bft.height, now.bft.round);
    }
    *last = now;
}

void sim_check_restarted(struct sim *sim, uint32_t node, uint64_t head, const sb_hash *state)
{
    const struct sim_check *check = sim->check;
    if (!sim_is_honest(sim, node)) {
        return;
    }
    if (head != check->acknowledged[node]) {
        sim_fail(sim, "node %u committed height %llu and came back with %llu", node,
                 (unsigned long long)check->acknowledged[node], (unsigned long long)head);
        return;
    }
    if (head != 0 && check->decided[head].is_decided &&
        !sb_hash_equal(&check->decided[head].state, state) && !sim->config.is_over_third) {
        sim_fail(sim, "node %u came back with another state at height %llu", node,
                 (unsigned long long)head);
    }
}

void sim_check_evidence(struct sim *sim, uint32_t node, const struct sb_evidence *evidence)
{
    sim->counts.evidence++;
    struct sb_verifier verifier = sim_verifier();
    struct sb_diag diag = {.text = ""};
    uint64_t height = evidence->a.height;
    if (sb_evidence_verify(evidence, &sim_rotation(sim, height)->set, &sim->domain, &verifier,
                           &diag) != SB_OK) {
        sim_fail(sim, "node %u holds false evidence: %s", node, diag.text);
    } else if (sim_is_honest(sim, sim_member(sim, height, evidence->a.validator_index))) {
        sim_fail(sim, "node %u holds evidence against honest validator %u of height %llu", node,
                 evidence->a.validator_index, (unsigned long long)height);
    } else {
        sim_rotations_accused(sim, sim_member(sim, height, evidence->a.validator_index), height);
    }
}

void sim_check_offence(struct sim *sim, uint32_t node, uint32_t other, enum sb_offence offence,
                       const char *why)
{
    if (!sim_is_honest(sim, node) || !sim_is_honest(sim, other)) {
        return;
    }
    if (offence >= SB_OFFENCE_PROTOCOL) {
        sim_fail(sim, "honest node %u accuses honest node %u: %s", node, other, why);
    } else {
        sim->counts.waste += 1;
    }
}
