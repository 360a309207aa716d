/* rotations.c: the validator sets of all heights. They follow from the configuration alone, so every node shares them; a node is
 * asked only for heights that its own application would know. */
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/sim.h"

#define ROUNDS_CACHED 64

struct height {
    struct sb_rotation *rotation;    /* owned; NULL until asked for */
    uint8_t member[SIM_NODES_MAX];   /* node of each index */
    int8_t index_of[SIM_NODES_MAX];  /* -1: not in the set */
    uint8_t proposer[ROUNDS_CACHED]; /* index + 1; 0: not computed */
};

struct sim_rotations {
    struct height heights[SIM_HEIGHTS_MAX];
    uint64_t known; /* heights [1, known] are made */
};

static void fill(const struct sim *sim, struct height *height)
{
    memset(height->index_of, -1, sizeof height->index_of);
    for (uint32_t i = 0; i < height->rotation->set.count; i++) {
        for (uint32_t node = 0; node < sim->config.validator_count; node++) {
            if (sb_addr_equal(&sim->nodes[node].key.address,
                              &height->rotation->validators[i].address)) {
                height->member[i] = (uint8_t)node;
                height->index_of[node] = (int8_t)i;
            }
        }
    }
}

static struct sb_rotation *rotation_new(void)
{
    struct sb_rotation *rotation = malloc(sizeof *rotation);
    SB_ASSERT(rotation != NULL);
    return rotation;
}

static void make_first(const struct sim *sim, struct height *height)
{
    struct sb_validator validators[SIM_NODES_MAX];
    memset(validators, 0, sizeof validators);
    size_t count = 0;
    for (uint32_t i = 0; i < sim->config.validator_count; i++) {
        if (sim->config.power[i] != 0) {
            validators[count++] = (struct sb_validator){.key = sim->nodes[i].key.pubkey,
                                                        .power = sim->config.power[i]};
        }
    }
    struct sb_validator_set set;
    sb_err err = sb_validator_set_make(&set, validators, count, NULL);
    SB_ASSERT(err == SB_OK);
    height->rotation = rotation_new();
    sb_rotation_init(height->rotation, &set);
}

/* make_next: the changes of height H are in force at H + 2. */
static void make_next(const struct sim *sim, struct height *next, const struct height *last,
                      uint64_t number)
{
    next->rotation = rotation_new();
    sb_rotation_copy(next->rotation, last->rotation);
    for (uint32_t k = 0; k < sim->config.change_count; k++) {
        const struct sim_set_change *change = &sim->config.changes[k];
        if (change->height + 2 == number) {
            struct sb_validator_change one = {.key = sim->nodes[change->validator].key.pubkey,
                                              .power = change->power};
            struct sb_diag diag = {.text = ""};
            sb_err err = sb_rotation_update(next->rotation, &one, 1, &diag);
            SB_ASSERT(err == SB_OK);
        }
    }
    sb_rotation_advance(next->rotation, 1);
}

struct sim_rotations *sim_rotations_new(const struct sim *sim)
{
    struct sim_rotations *rotations = calloc(1, sizeof *rotations);
    SB_ASSERT(rotations != NULL);
    make_first(sim, &rotations->heights[1]);
    fill(sim, &rotations->heights[1]);
    rotations->known = 1;
    return rotations;
}

void sim_rotations_free(struct sim_rotations *rotations)
{
    for (uint64_t h = 1; h <= rotations->known; h++) {
        free(rotations->heights[h].rotation);
    }
    free(rotations);
}

static struct height *height_at(const struct sim *sim, uint64_t number)
{
    struct sim_rotations *rotations = sim->rotations;
    SB_ASSERT(number >= 1 && number < SIM_HEIGHTS_MAX);
    struct sim_alloc *before = sim_alloc_enter(NULL);
    while (rotations->known < number) {
        struct height *last = &rotations->heights[rotations->known];
        make_next(sim, last + 1, last, rotations->known + 1);
        fill(sim, last + 1);
        rotations->known++;
    }
    (void)sim_alloc_enter(before);
    return &rotations->heights[number];
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
