/* rotations.c: the validator sets of the heights that are known, and what must hold of them.
 *
 *     height H decided by the first honest node  ---> its rotation of H + 2 is the one that all others must come to
 *     by each later one                          ---> the same rotation, the same stake
 *
 * Checked of each: its turns follow the rules (priorities.h); its members and powers are those of the stake; it is not empty; nobody
 * in it is in jail, nor was ever convicted (but for the last one left); who was convicted is Byzantine. If it leaves a third of the power or more
 * to the faulty, then by jail alone (what proposers do is drawn within the bound), and the run ends: nothing is promised any more. */
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/check.h"
#include "tests/sim/core_value.h"
#include "tests/sim/priorities.h"
#include "tests/sim/sim.h"

#define ROUNDS_CACHED 64
#define ACCUSED_MAX   64
#define CORE_STREAM   UINT64_C(0x57a6e)

struct height {
    struct sb_rotation *rotation;    /* owned; NULL: not known yet */
    uint64_t stake;                  /* stake_model_hash after the height two before */
    uint8_t member[SIM_NODES_MAX];   /* node of each index */
    int8_t index_of[SIM_NODES_MAX];  /* -1: not in the set */
    uint8_t proposer[ROUNDS_CACHED]; /* index + 1; 0: not computed */
};

struct sim_rotations {
    struct height heights[SIM_HEIGHTS_MAX];
    uint64_t known;                   /* heights [1, known] are made */
    struct sim_priorities priorities; /* of height `known` */
    uint32_t convicted;               /* nodes */
    uint64_t jailings, slashes;       /* counted */
    /* with the core alone */
    struct sim_staking *staking; /* owned; NULL: none */
    struct sim_random random;
    uint32_t present;  /* in the newest commit */
    int32_t rounds[2]; /* of the newest commit, and the one before */
    struct stake_offence accused[ACCUSED_MAX];
    size_t accused_count;
};

static void fill(const struct sim *sim, struct height *height)
{
    memset(height->index_of, -1, sizeof height->index_of);
    for (uint32_t i = 0; i < height->rotation->set.count; i++) {
        for (uint32_t node = 0; node < sim->config.node_count; node++) {
            if (sb_addr_equal(&sim->nodes[node].key.address,
                              &height->rotation->validators[i].address)) {
                height->member[i] = (uint8_t)node;
                height->index_of[node] = (int8_t)i;
            }
        }
    }
}

/* add: the next height that is not known yet begins with a copy of this rotation. */
static struct height *add(struct sim_rotations *rotations, const struct sb_rotation *rotation)
{
    struct height *next = &rotations->heights[++rotations->known];
    next->rotation = malloc(sizeof *next->rotation);
    SB_ASSERT(rotations->known < SIM_HEIGHTS_MAX && next->rotation != NULL);
    sb_rotation_copy(next->rotation, rotation);
    return next;
}

/* ---- genesis ---- */

static void add_first(const struct sim *sim, struct sim_rotations *rotations)
{
    struct sb_validator validators[SIM_NODES_MAX];
    memset(validators, 0, sizeof validators);
    size_t count = 0;
    for (uint32_t i = 0; i < sim->config.node_count; i++) {
        if (sim->config.power[i] != 0) {
            validators[count++] = (struct sb_validator){.key = sim->nodes[i].key.pubkey,
                                                        .power = sim->config.power[i]};
        }
    }
    struct sb_validator_set set;
    sb_err err = sb_validator_set_make(&set, validators, count, NULL);
    SB_ASSERT(err == SB_OK);
    struct height *first = &rotations->heights[1];
    first->rotation = malloc(sizeof *first->rotation);
    SB_ASSERT(first->rotation != NULL);
    sb_rotation_init(first->rotation, &set);
    fill(sim, first);
    rotations->known = 1;
    sim_priorities_init(&rotations->priorities, &set);
    SB_ASSERT(sim_priorities_are(&rotations->priorities, first->rotation));
    struct height *second = add(rotations, first->rotation);
    sb_rotation_advance(second->rotation, 1);
    fill(sim, second);
    sim_priorities_next(&rotations->priorities, &set);
}

struct sim_rotations *sim_rotations_new(const struct sim *sim)
{
    struct sim_rotations *rotations = calloc(1, sizeof *rotations);
    SB_ASSERT(rotations != NULL);
    add_first(sim, rotations);
    rotations->staking = sim->config.is_core_only ? sim_staking_new(sim) : NULL;
    rotations->random = sim_random_stream(sim->config.seed, CORE_STREAM);
    return rotations;
}

void sim_rotations_free(struct sim_rotations *rotations)
{
    for (uint64_t h = 1; h <= rotations->known; h++) {
        free(rotations->heights[h].rotation);
    }
    free(rotations->staking);
    free(rotations);
}

/* ---- with the core alone: the chain that blocks do not tell of ---- */

void sim_rotations_accused(struct sim *sim, uint32_t node, uint64_t height)
{
    struct sim_rotations *rotations = sim->rotations;
    if (rotations->staking == NULL || rotations->accused_count == ACCUSED_MAX) {
        return;
    }
    rotations->accused[rotations->accused_count++] =
        (struct stake_offence){.who = (uint8_t)node, .height = height};
}

static uint32_t signers_of(const struct sim *sim, uint64_t height, int32_t round)
{
    uint32_t nodes = 0, at = 0;
    const struct sim_signed *one;
    while ((one = sim_check_each(sim->check, height, &at)) != NULL) {
        nodes |= one->type == SB_VOTE_PRECOMMIT && one->round == round ? one->signers : 0;
    }
    return nodes;
}

/* make_next: what the decided block does to the stake, and the rotation that comes of it; `rotation` is that of the height before. */
static void make_next(struct sim *sim, struct sb_rotation *rotation, const struct sb_commit *commit)
{
    struct sim_rotations *rotations = sim->rotations;
    struct sim_staking *staking = rotations->staking;
    const uint64_t height = commit->height;
    if (staking != NULL) {
        struct stake_action actions[SIM_STAKING_ACTIONS_MAX];
        struct sb_validator_change changes[2 * SIM_NODES_MAX];
        const uint64_t time_ms = sim_core_value_of(&commit->block_id).time_ms;
        struct sim_staking_block block = {
            .height = height,
            .time_ms = time_ms,
            .actions = actions,
            .action_count = sim_staking_draw(sim, staking, time_ms, &rotations->random, actions),
            .present = rotations->present,
            .late = height >= 3 ? signers_of(sim, height - 2, rotations->rounds[1]) : 0,
            .evidence = rotations->accused,
            .evidence_count = rotations->accused_count};
        if (sim_staking_end(staking, &block)) {
            const size_t count =
                sim_staking_changes(sim, staking, height, changes, 2 * (size_t)SIM_NODES_MAX);
            sb_err err = sb_rotation_update(rotation, changes, count, NULL);
            SB_ASSERT(err == SB_OK);
        }
        rotations->accused_count = 0;
        rotations->present = 0;
        for (uint32_t i = 0; i < commit->sig_count; i++) {
            rotations->present |= commit->sigs[i].flag != SB_COMMIT_ABSENT
                                      ? UINT32_C(1) << sim_member(sim, height, i)
                                      : 0;
        }
        rotations->rounds[1] = rotations->rounds[0];
        rotations->rounds[0] = commit->round;
    }
    sb_rotation_advance(rotation, 1);
}

/* ---- checks ---- */

/* check_stake: the set is what the stake says, and of the stake what must be. */
static void check_stake(struct sim *sim, const struct sim_staking *staking,
                        const struct height *height)
{
    struct sim_rotations *rotations = sim->rotations;
    const struct stake_model *m = &staking->model;
    bool is_same = height->rotation->set.count == m->set_count && m->set_count != 0;
    for (uint8_t i = 0; is_same && i < m->set_count; i++) {
        const struct stake_pool *p = &m->pools[m->set[i].who];
        is_same = height->member[i] == m->set[i].who &&
                  height->rotation->validators[i].power == m->set[i].power;
        if (m->set_count > 1 && p->jailed) {
            sim_fail(sim, "node %u is in jail and in the set of height %llu", m->set[i].who,
                     (unsigned long long)rotations->known);
        }
    }
    if (!is_same) {
        sim_fail(sim, "the set of height %llu is not what the stake says",
                 (unsigned long long)rotations->known);
    }
    for (uint32_t node = 0; node < sim->config.node_count; node++) {
        const bool is_convicted = m->pools[node].tombstoned;
        const bool was_convicted = (rotations->convicted >> node & 1) != 0;
        if ((is_convicted && sim_is_honest(sim, node)) || (was_convicted && !is_convicted) ||
            (is_convicted && height->index_of[node] >= 0 && m->set_count > 1)) {
            sim_fail(sim, "node %u is convicted, honest, or in the set of height %llu again", node,
                     (unsigned long long)rotations->known);
        }
        rotations->convicted |= is_convicted ? UINT32_C(1) << node : 0;
        sim->counts.tombstones += is_convicted && !was_convicted ? 1 : 0;
    }
    sim->counts.jailings += m->jailings - rotations->jailings;
    sim->counts.slashes += m->record_count - rotations->slashes;
    rotations->jailings = m->jailings;
    rotations->slashes = m->record_count;
}

/* count: who came and who went; and whether the faulty stay below a third. */
static void count(struct sim *sim, const struct height *height, const struct height *last)
{
    uint64_t joins = 0, exits = 0;
    int64_t faulty = 0;
    for (uint32_t node = 0; node < sim->config.node_count; node++) {
        const int index = height->index_of[node];
        joins += index >= 0 && last->index_of[node] < 0 ? 1 : 0;
        exits += index < 0 && last->index_of[node] >= 0 ? 1 : 0;
        if (index >= 0 && sim_config_is_faulty(&sim->config, node)) {
            faulty += height->rotation->validators[index].power;
        }
    }
    const struct sb_validator_set *set = &height->rotation->set;
    bool is_new = set->count != last->rotation->set.count || joins != 0;
    for (size_t i = 0; !is_new && i < set->count; i++) {
        is_new = set->validators[i].power != last->rotation->validators[i].power;
    }
    sim->counts.sets += is_new ? 1 : 0;
    sim->counts.joins += joins;
    sim->counts.exits += exits;
    if (!sim->config.is_over_third && 3 * faulty >= set->total_power) {
        sim->is_unbound = true;
        sim->counts.over_third = 1;
        sim_note(sim, SIM_NODES_MAX, "a third or more of height %llu is faulty: the end",
                 (unsigned long long)sim->rotations->known);
    }
}

static bool is_same_rotation(const struct sb_rotation *a, const struct sb_rotation *b)
{
    bool is_same = a->set.count == b->set.count && a->proposer == b->proposer;
    for (size_t i = 0; is_same && i < a->set.count; i++) {
        is_same = a->priority[i] == b->priority[i] &&
                  a->validators[i].power == b->validators[i].power &&
                  sb_addr_equal(&a->validators[i].address, &b->validators[i].address);
    }
    return is_same;
}

void sim_rotations_decided(struct sim *sim, uint32_t node, const struct sb_commit *commit,
                           const struct sim_application *app)
{
    struct sim_rotations *rotations = sim->rotations;
    const uint64_t next = commit->height + 2;
    const struct sim_staking *staking = app != NULL ? app->staking : rotations->staking;
    const struct sb_rotation *own = app != NULL ? app->table.rotation(app->table.ctx, next) : NULL;
    SB_ASSERT(next <= rotations->known + 1);
    if (next <= rotations->known) {
        const struct height *known = &rotations->heights[next];
        if (own != NULL &&
            (!is_same_rotation(known->rotation, own) ||
             (staking != NULL && stake_model_hash(&staking->model) != known->stake))) {
            sim_fail(sim, "node %u has another set, turn or stake for height %llu", node,
                     (unsigned long long)next);
        }
        return;
    }
    struct height *height =
        add(rotations, own != NULL ? own : rotations->heights[rotations->known].rotation);
    if (own == NULL) {
        make_next(sim, height->rotation, commit);
    }
    fill(sim, height);
    sim_priorities_next(&rotations->priorities, &height->rotation->set);
    if (!sim_priorities_are(&rotations->priorities, height->rotation)) {
        sim_fail(sim, "the turns of height %llu do not follow the rules", (unsigned long long)next);
    }
    if (staking != NULL) {
        height->stake = stake_model_hash(&staking->model);
        check_stake(sim, staking, height);
    }
    count(sim, height, height - 1);
}

/* ---- questions ---- */

bool sim_rotation_is_known(const struct sim *sim, uint64_t height)
{
    return height >= 1 && height <= sim->rotations->known;
}

static struct height *height_at(const struct sim *sim, uint64_t height)
{
    SB_ASSERT(sim_rotation_is_known(sim, height));
    return &sim->rotations->heights[height];
}

const struct sb_rotation *sim_rotation(const struct sim *sim, uint64_t height)
{
    return height_at(sim, height)->rotation;
}

uint32_t sim_proposer(const struct sim *sim, uint64_t height, int32_t round)
{
    struct height *at = height_at(sim, height);
    SB_ASSERT(round >= 0);
    if (round >= ROUNDS_CACHED) {
        return sb_rotation_proposer(at->rotation, round);
    }
    if (at->proposer[round] == 0) {
        at->proposer[round] = (uint8_t)(sb_rotation_proposer(at->rotation, round) + 1);
    }
    return at->proposer[round] - 1u;
}

uint32_t sim_member(const struct sim *sim, uint64_t height, uint32_t validator)
{
    const struct height *at = height_at(sim, height);
    SB_ASSERT(validator < at->rotation->set.count);
    return at->member[validator];
}

int sim_member_of(const struct sim *sim, uint64_t height, uint32_t node)
{
    return height_at(sim, height)->index_of[node];
}
