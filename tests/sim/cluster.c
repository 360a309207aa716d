/* cluster.c: one seed from its first event to its end; see sim.h.
 *
 * The liveness bound of the healed phase, for each height that is still to be decided: rounds 0 to R take their three timeouts each,
 *     R = highest round seen before + 2 * faulty validators + rounds until a timeout covers 4 slowest hops + 3
 * and a fixed part for restarts, resending and catching up (docs/simulator.md). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/adversary.h"
#include "tests/sim/check.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

#define HEALED_HEIGHTS  3
#define START_SPREAD_US UINT64_C(500000)
#define FIXED_US        UINT64_C(30000000)
#define EVENTS_MAX      UINT64_C(20000000)

void sim_fail(struct sim *sim, const char *fmt, ...)
{
    if (sim->has_failed) {
        return;
    }
    sim->has_failed = true;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(sim->violation, sizeof sim->violation, fmt, args);
    va_end(args);
    sim_note(sim, SIM_NODES_MAX, "VIOLATION: %.200s", sim->violation);
}

void sim_note(struct sim *sim, uint32_t node, const char *fmt, ...)
{
    if (sim->trace == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    sim_trace_note_add(sim->trace, sim->now_us, node, fmt, args);
    va_end(args);
}

/* ---- begin and end ---- */

static void begin(struct sim *sim)
{
    const struct sim_config *c = &sim->config;
    sim->machine = c->is_core_only ? &sim_machine_core : &sim_machine_replica;
    sim->fault_random = sim_random_stream(c->seed, 3);
    sim->node_random = sim_random_stream(c->seed, 4);
    sim->domain.chain_id = 1;
    memset(sim->domain.genesis_hash.b, 0x5b, sizeof sim->domain.genesis_hash.b);
    sim->check = sim_check_new();
    sim_events_init(&sim->events);
    sim_network_init(sim);
    for (uint32_t i = 0; i < c->node_count; i++) {
        sim_node_init(&sim->nodes[i], sim, i);
    }
    sim->rotations = sim_rotations_new(sim);
    for (uint32_t i = 0; i < c->node_count; i++) {
        sim_events_add(&sim->events,
                       &(struct sim_event){.at_us = sim_below(&sim->node_random, START_SPREAD_US),
                                           .kind = SIM_EVENT_RESTART,
                                           .node = i,
                                           .generation = 0});
    }
    sim_faults_begin(sim);
}

static void end(struct sim *sim)
{
    sim->counts.virtual_us = sim->now_us;
    struct sim_event event;
    while (sim_events_take(&event, &sim->events)) {
        free(event.packet);
    }
    for (uint32_t i = 0; i < sim->config.node_count; i++) {
        sim_node_fini(&sim->nodes[i]);
    }
    sim_events_fini(&sim->events);
    sim_rotations_free(sim->rotations);
    sim_check_free(sim->check);
}

/* ---- phases ---- */

static uint64_t live_head(const struct sim *sim)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < sim->config.node_count; i++) {
        if (!sim_config_is_faulty(&sim->config, i)) {
            uint64_t head = sim->nodes[i].standing.head;
            least = head < least ? head : least;
        }
    }
    return least;
}

static uint64_t round_us(const struct sim *sim, uint64_t round)
{
    const struct sb_bft_timeouts *t = &sim->config.timeouts;
    return 1000 * (t->propose_ms + t->prevote_ms + t->precommit_ms + 3 * round * t->delta_ms);
}

static uint64_t bound_us(const struct sim *sim)
{
    const struct sim_config *c = &sim->config;
    uint64_t faulty = 0;
    for (uint32_t i = 0; i < c->validator_count; i++) {
        faulty += sim_config_is_faulty(c, i) ? 1 : 0;
    }
    uint64_t hops_ms =
        4 * (SIM_HEALED_DELAY_US + c->faults.execute_us + c->faults.sync_mean_us) / 1000;
    uint64_t grow = hops_ms / c->timeouts.delta_ms;
    uint64_t rounds = (uint64_t)sim->best_round + 2 * faulty + grow + 3;
    uint64_t height_us = c->interval_ms * 1000 + 4 * c->resend_ms * 1000;
    for (uint64_t round = 0; round <= rounds; round++) {
        height_us += round_us(sim, round);
    }
    return FIXED_US + (sim->goal - live_head(sim)) * height_us;
}

static void heal(struct sim *sim)
{
    sim_faults_heal(sim);
    sim->goal = sim->best_head + HEALED_HEIGHTS;
    sim->goal = sim->goal > sim->config.heights ? sim->goal : sim->config.heights;
    sim->deadline_us = sim->now_us + bound_us(sim);
}

static void report_stuck(struct sim *sim)
{
    char text[SIM_VIOLATION_BYTES / 2];
    size_t at = 0;
    for (uint32_t i = 0; i < sim->config.node_count && at + 64 < sizeof text; i++) {
        const struct sim_standing *s = &sim->nodes[i].standing;
        int wrote = snprintf(text + at, sizeof text - at, " %u%s:%llu/%d/%d", i,
                             sim_is_honest(sim, i) ? (sim->nodes[i].is_up ? "" : "down") : "byz",
                             (unsigned long long)s->bft.height, s->bft.round, (int)s->bft.step);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    sim_fail(
        sim,
        "no progress: goal %llu not reached %llu ms after the healing (node:height/round/step%s)",
        (unsigned long long)sim->goal, (unsigned long long)(sim->now_us - sim->healed_us) / 1000,
        text);
}

/* is_over: the run has come to its end, good or bad. */
static bool is_over(struct sim *sim)
{
    if (sim->has_failed || sim->has_forked || sim->is_unbound) {
        return true;
    }
    if (sim->phase == SIM_PHASE_FAULTS) {
        if (sim->best_head >= sim->config.heights || sim->now_us >= sim->config.time_max_us) {
            if (sim->config.is_over_third) {
                return true; /* nothing is promised */
            }
            heal(sim);
        }
        return false;
    }
    if (live_head(sim) >= sim->goal) {
        uint64_t took = (sim->now_us - sim->healed_us) / 1000;
        sim->counts.recovery_ms_max = took;
        return true;
    }
    if (sim->now_us > sim->deadline_us || sim->best_head + HEALED_HEIGHTS >= SIM_HEIGHTS_MAX) {
        report_stuck(sim);
    }
    return false;
}

/* ---- events ---- */

static void mix(struct sim *sim, const struct sim_event *event)
{
    uint64_t word = event->at_us * 31 + (uint64_t)event->kind * 7 + event->node;
    word ^= event->generation << 17 ^ (uint64_t)event->detail << 40;
    if (event->packet != NULL) {
        const struct sim_packet *packet = event->packet;
        word ^= packet->len * UINT64_C(0x9e3779b97f4a7c15);
        for (uint32_t i = 0; i + 8 <= packet->len && i < 256; i += 8) {
            uint64_t part;
            memcpy(&part, packet->bytes + i, sizeof part);
            word = sim_mix(word ^ part);
        }
    }
    sim->hash = sim_mix(sim->hash ^ word);
}

/* is_deferred: the node is busy or stands still: the event comes again when it is not. */
static bool is_deferred(struct sim *sim, const struct sim_node *node, const struct sim_event *event)
{
    uint64_t until =
        node->busy_until_us > node->paused_until_us ? node->busy_until_us : node->paused_until_us;
    if (until <= sim->now_us) {
        return false;
    }
    sim_events_defer(&sim->events, event, until);
    return true;
}

static void deliver(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    struct sim_packet *packet = event->packet;
    const struct sim_network *net = &sim->network;
    bool is_valid = node->is_up && packet->connection == net->connection[packet->from][packet->to];
    if (is_valid && is_deferred(sim, node, event)) {
        return;
    }
    if (is_valid && net->known[packet->to][packet->from] != packet->connection) {
        struct sim_event again = *event; /* the connection is young: this end has not heard of it */
        again.at_us = sim->now_us + 1000;
        sim_events_add(&sim->events, &again);
        return;
    }
    if (is_valid && sim_network_arrive(sim, packet)) {
        sim_node_receive(node, packet);
    }
    free(packet);
}

static void timer(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    uint32_t id = event->detail & 0xff;
    bool is_valid = node->is_up &&
                    (uint32_t)(node->life << 8) == (event->detail & ~UINT32_C(0xff)) &&
                    node->timer_generation[id] == event->generation;
    if (is_valid && !is_deferred(sim, node, event)) {
        sim_node_timer(node, id);
    }
}

static void link_changes(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    uint32_t other = event->detail / 2;
    bool is_up = event->detail % 2 == 1;
    uint64_t current = is_up ? sim->network.connection[event->node][other]
                             : sim->network.known[event->node][other];
    if (!node->is_up || current != event->generation || is_deferred(sim, node, event)) {
        return;
    }
    uint64_t before = sim->network.known[event->node][other];
    if (is_up &&
        before != 0) { /* the new connection was faster than the word of the old one's end */
        sim_node_link(node, other, sim_peer_of(before, other), false);
    }
    if (node->is_up) {
        sim_node_link(node, other, sim_peer_of(event->generation, other), is_up);
    }
    if (!is_up && node->is_up && sim->nodes[other].is_up) {
        sim_network_connect(sim, event->node, other);
    }
}

static void happen(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    switch (event->kind) {
    case SIM_EVENT_DELIVER:
        deliver(sim, event);
        break;
    case SIM_EVENT_TIMER:
        timer(sim, event);
        break;
    case SIM_EVENT_LINK:
        link_changes(sim, event);
        break;
    case SIM_EVENT_FAULT:
        sim_faults_due(sim, event->detail);
        break;
    case SIM_EVENT_RESTART:
        if (!node->is_up && !node->is_down_for_ever && node->life == event->generation) {
            sim_node_start(node);
        }
        break;
    case SIM_EVENT_HEAL:
        if (sim->network.partition == event->generation) {
            sim_network_heal(sim);
        }
        break;
    case SIM_EVENT_ACT:
        if (node->is_up) {
            sim_adversary_acts(node);
        } else {
            sim_adversary_waits(node);
        }
        break;
    }
}

bool sim_run(struct sim *sim)
{
    begin(sim);
    struct sim_event event;
    while (!is_over(sim)) {
        if (!sim_events_take(&event, &sim->events)) {
            sim_fail(sim, "nothing is left to happen");
            break;
        }
        SB_ASSERT(event.at_us >= sim->now_us);
        sim->now_us = event.at_us;
        mix(sim, &event);
        if (++sim->counts.events > EVENTS_MAX) {
            sim_fail(sim, "more than %" PRIu64 " events", EVENTS_MAX);
            free(event.packet);
            break;
        }
        happen(sim, &event);
    }
    if (sim->scenario != NULL && !sim->has_failed) {
        sim->unproved = sim->scenario->proves(sim);
    }
    sim->counts.deep = sim->counts.heights_faulty >= SIM_HEIGHTS_DEEP ? 1 : 0;
    end(sim);
    return !sim->has_failed;
}
