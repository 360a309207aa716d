/* scenario.h: named clusters whose faults are written down instead of drawn, each for one rule or one trouble.
 *
 * A scenario is a calm cluster (sim_config_calm) changed a little, with rules of which messages are lost, by what they say (so that
 * copies and repetitions are lost as well), and crashes at a height. It passes when all checks hold, the goal is reached, and what the
 * scenario is about has happened (`proves`). */
#ifndef SB_TESTS_SIM_SCENARIO_H
#define SB_TESTS_SIM_SCENARIO_H

#include "base/util/span.h"
#include "node/p2p/channel.h"
#include "tests/sim/config.h"

struct sim;

#define SIM_KIND_PROPOSAL  1u /* and its parts, and its block as a whole */
#define SIM_KIND_PREVOTE   2u
#define SIM_KIND_PRECOMMIT 4u

/* Who, as seen from a height: the proposer of one of its rounds, everybody but that one, or all. */
#define SIM_ROLE_ALL         (-1)
#define SIM_ROLE_PROPOSER(r) (r)
#define SIM_ROLE_ALL_BUT(r)  (-2 - (r))

/* Messages about (height, round) of these kinds, made by one role, that never reach another role. */
struct sim_rule {
    uint64_t height; /* 0: the list ends */
    int32_t round;
    uint32_t kinds;
    int32_t by, to;  /* roles */
    uint64_t for_ms; /* from the first that is lost; 0: for ever */
};

/* A node that crashes when it comes to a height: after so many calls. */
struct sim_scenario_crash {
    uint64_t height; /* 0: the list ends */
    uint32_t node, calls;
};

#define SIM_RULES_MAX   6
#define SIM_CRASHES_MAX 12

struct sim_scenario {
    const char *name, *text;
    bool needs_replica; /* says nothing of the core alone */
    void (*configure)(struct sim_config *config);
    struct sim_rule rules[SIM_RULES_MAX];
    struct sim_scenario_crash crashes[SIM_CRASHES_MAX];
    /* proves: NULL: what the scenario is about did happen; else what is missing. Asked before the cluster is taken down. */
    const char *(*proves)(const struct sim *sim);
};

extern const struct sim_scenario sim_scenarios[];
extern const size_t sim_scenario_count;

/* sim_scenario_passes: the rules let this message through. */
bool sim_scenario_passes(struct sim *sim, uint32_t to, enum sb_channel channel, sb_bytes message);
/* sim_scenario_reached: a node has come to a height. */
void sim_scenario_reached(struct sim *sim, uint32_t node, uint64_t height);

#endif
