/* faults.c: what happens to nodes and to the network while there are faults, and the healing.
 *
 * Each kind of fault is a chain of events: one happens, the next is drawn an exponential time later. */
#include <string.h>

#include "tests/sim/sim.h"

#define CALLS_TO_CRASH_MAX 24

enum chain {
    CHAIN_CRASH,
    CHAIN_PAUSE,
    CHAIN_SKEW,
    CHAIN_PARTITION,
    CHAIN_CLOG,
    CHAIN_DISCONNECT,
    CHAIN_COUNT
};

static uint64_t every_of(const struct sim *sim, enum chain chain)
{
    const struct sim_config *c = &sim->config;
    switch (chain) {
    case CHAIN_CRASH:
        return c->faults.crash_every_us;
    case CHAIN_PAUSE:
        return c->faults.pause_every_us;
    case CHAIN_SKEW:
        return c->faults.skew_every_us;
    case CHAIN_PARTITION:
        return c->network.partition_every_us;
    case CHAIN_CLOG:
        return c->network.clog_every_us;
    case CHAIN_DISCONNECT:
        return c->network.disconnect_every_us;
    case CHAIN_COUNT:
        break;
    }
    return 0;
}

static void plan_next(struct sim *sim, enum chain chain)
{
    uint64_t every = every_of(sim, chain);
    if (every == 0) {
        return;
    }
    uint64_t after = sim_exponential(&sim->fault_random, every) + 1;
    sim_events_add(&sim->events, &(struct sim_event){.at_us = sim->now_us + after,
                                                     .kind = SIM_EVENT_FAULT,
                                                     .detail = (uint32_t)chain});
}

void sim_faults_begin(struct sim *sim)
{
    for (int chain = 0; chain < CHAIN_COUNT; chain++) {
        plan_next(sim, (enum chain)chain);
    }
}

static struct sim_node *any_node(struct sim *sim)
{
    return &sim->nodes[sim_below(&sim->fault_random, sim->config.node_count)];
}

/* crash: at once, or armed to strike at one of the next calls that the node makes. */
static void crash(struct sim *sim)
{
    struct sim_node *node = any_node(sim);
    if (!node->is_up) {
        return;
    }
    if (sim_chance(&sim->fault_random, 300)) {
        sim->counts.fault[SIM_FAULT_CRASH]++;
        sim_node_crash(node);
    } else {
        node->crash_in = (uint32_t)sim_between(&sim->fault_random, 1, CALLS_TO_CRASH_MAX);
    }
}

static void pause_node(struct sim *sim)
{
    struct sim_node *node = any_node(sim);
    uint64_t lasts = sim_exponential(&sim->fault_random, sim->config.faults.pause_mean_us);
    node->paused_until_us = sim->now_us + lasts;
    sim->counts.fault[SIM_FAULT_PAUSE]++;
    sim_note(sim, node->index, "stands still for %llu ms", (unsigned long long)lasts / 1000);
}

static void skew(struct sim *sim)
{
    struct sim_node *node = any_node(sim);
    uint64_t most = sim->config.faults.skew_max_ms;
    node->skew_ms = (int64_t)sim_below(&sim->fault_random, 2 * most + 1) - (int64_t)most;
    sim->counts.fault[SIM_FAULT_SKEW]++;
    sim_note(sim, node->index, "clock is now %lld ms off", (long long)node->skew_ms);
}

static void disconnect(struct sim *sim)
{
    uint32_t a = any_node(sim)->index, b = any_node(sim)->index;
    if (sim->network.connection[a][b] != 0) {
        sim->counts.fault[SIM_FAULT_DISCONNECT]++;
        sim_note(sim, a, "connection to node %u breaks", b);
        sim_network_disconnect(sim, a, b);
    }
}

/* reconnect_all: nodes dial again those that they know. */
static void reconnect_all(struct sim *sim)
{
    for (uint32_t a = 0; a < sim->config.node_count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            if (sim->nodes[a].is_up && sim->nodes[b].is_up) {
                sim_network_connect(sim, a, b);
            }
        }
    }
}

void sim_faults_due(struct sim *sim, uint32_t fault)
{
    if (sim->phase == SIM_PHASE_HEALED) {
        return;
    }
    switch ((enum chain)fault) {
    case CHAIN_CRASH:
        crash(sim);
        break;
    case CHAIN_PAUSE:
        pause_node(sim);
        break;
    case CHAIN_SKEW:
        skew(sim);
        break;
    case CHAIN_PARTITION:
        if (!sim->network.is_partitioned) {
            sim_network_partition(sim);
        }
        break;
    case CHAIN_CLOG:
        sim_network_clog(sim);
        break;
    case CHAIN_DISCONNECT:
        reconnect_all(sim);
        disconnect(sim);
        break;
    case CHAIN_COUNT:
        break;
    }
    plan_next(sim, (enum chain)fault);
}

void sim_faults_heal(struct sim *sim)
{
    sim->phase = SIM_PHASE_HEALED;
    sim->healed_us = sim->now_us;
    sim_note(sim, SIM_NODES_MAX, "the network heals: faults end");
    sim_network_heal(sim);
    uint64_t precision = sim->config.timeliness.precision_ms / 2;
    for (uint32_t i = 0; i < sim->config.node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->crash_in = 0;
        node->paused_until_us = sim->now_us;
        if (node->skew_ms > (int64_t)precision || -node->skew_ms > (int64_t)precision) {
            node->skew_ms = 0;
        }
        for (uint32_t k = 0; k < sim->config.node_count; k++) {
            sim->network.path[i][k].clogged_until_us = 0;
        }
        if (sim->config.dies[i]) {
            node->is_down_for_ever = true;
            sim->counts.fault[SIM_FAULT_DOWN_FOR_EVER]++;
            sim_node_crash(node);
        } else if (!node->is_up && !node->is_down_for_ever) {
            sim_node_start(node);
        }
    }
    reconnect_all(sim);
}
