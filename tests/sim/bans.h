/* bans.h: offences that nodes count against their peers, and bans: see bans.c. */
#ifndef SB_TESTS_SIM_BANS_H
#define SB_TESTS_SIM_BANS_H

#include "node/p2p/score.h"
#include "tests/sim/config.h"

struct sim;

struct sim_standing_of {
    struct sb_score score;
    uint64_t banned_until_us;
};

struct sim_bans {
    struct sim_standing_of of[SIM_NODES_MAX]
                             [SIM_NODES_MAX]; /* what the first holds against the second */
};

/* sim_bans_count: `node` counts an offence of `other`. It is a violation when an honest node bans an honest one. */
void sim_bans_count(struct sim *sim, uint32_t node, uint32_t other, enum sb_offence offence,
                    const char *why);
/* sim_bans_part: one of the two has banned the other: they are not connected. */
bool sim_bans_part(const struct sim *sim, uint32_t a, uint32_t b);
/* sim_bans_forget: the node has crashed. */
void sim_bans_forget(struct sim *sim, uint32_t node);

#endif
