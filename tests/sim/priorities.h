/* priorities.h: whose turn it is, told once more: the rules of docs/spec/validators.md in 128-bit integers, without a line of
 * consensus/proposer.c, so that the simulator can check the rotations that nodes compute from sets that come and go. */
#ifndef SB_TESTS_SIM_PRIORITIES_H
#define SB_TESTS_SIM_PRIORITIES_H

#include "base/util/checked.h"
#include "consensus/proposer.h"
#include "tests/sim/config.h"

struct sim_priorities {
    size_t count;
    size_t proposer; /* index */
    struct sim_priority {
        sb_addr address;
        int64_t power;
        sb_i128 priority;
    } of[SIM_NODES_MAX]; /* in the order of sets */
};

/* sim_priorities_init: of a first set. */
void sim_priorities_init(struct sim_priorities *ret, const struct sb_validator_set *set);
/* sim_priorities_next: those of the next height, which has this set. */
void sim_priorities_next(struct sim_priorities *p, const struct sb_validator_set *set);
/* sim_priorities_are: whether a rotation has the same members, powers, priorities and proposer. */
bool sim_priorities_are(const struct sim_priorities *p, const struct sb_rotation *rotation);

#endif
