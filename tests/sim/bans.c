/* bans.c: what honest nodes hold against their peers, and the bans that follow, as node/p2p/offence.c has them.
 *
 *      report --> score of (node, peer), a point forgiven each 10 s --at 100--> honest peer: a violation
 *                                                                               Byzantine:   the connection ends, for an hour
 *
 * A seed whose configuration honours no bans only counts, so that Byzantine nodes are heard to the end. Scores and bans are in memory:
 * a crash forgets them. Spec: docs/spec/p2p.md 7. */
#include "tests/sim/bans.h"

#include "tests/sim/sim.h"

#define BAN_US UINT64_C(3600000000)

void sim_bans_count(struct sim *sim, uint32_t node, uint32_t other, enum sb_offence offence,
                    const char *why)
{
    struct sim_standing_of *s = &sim->bans.of[node][other];
    if (!sim_is_honest(sim, node) || !sb_score_add(&s->score, (uint32_t)offence, sim->now_us)) {
        return;
    }
    s->score = (struct sb_score){.at_us = sim->now_us};
    if (sim_is_honest(sim, other)) {
        sim_fail(sim, "honest node %u bans honest node %u: %s", node, other, why);
        return;
    }
    sim->counts.bans++;
    if (sim->config.honours_bans) {
        s->banned_until_us = sim->now_us + BAN_US;
        sim_note(sim, node, "bans node %u", other);
        sim_network_disconnect(sim, node, other);
    }
}

bool sim_bans_part(const struct sim *sim, uint32_t a, uint32_t b)
{
    return sim->now_us < sim->bans.of[a][b].banned_until_us ||
           sim->now_us < sim->bans.of[b][a].banned_until_us;
}

void sim_bans_forget(struct sim *sim, uint32_t node)
{
    memset(sim->bans.of[node], 0, sizeof sim->bans.of[node]);
}
