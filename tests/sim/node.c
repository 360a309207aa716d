/* node.c: a node's life: calls into its machine, and what the machine may do to the world. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/adversary.h"
#include "tests/sim/check.h"
#include "tests/sim/sim.h"

#define MEMORY_BYTES_MAX ((int64_t)96 << 20) /* of one replica, journal index and caches included */
#define LEAK_BYTES_MAX   4096
#define SLOW_SYNC_US     UINT64_C(100000)

static bool dies(void *ctx)
{
    return sim_node_dies(ctx);
}

static void synced(void *ctx)
{
    struct sim_node *node = ctx;
    const struct sim_fault_config *f = &node->sim->config.faults;
    uint64_t us = sim_exponential(&node->sim->node_random, f->sync_mean_us);
    if (node->sim->phase == SIM_PHASE_FAULTS &&
        sim_chance(&node->sim->node_random, f->slow_sync_per_mille)) {
        us += SLOW_SYNC_US + sim_exponential(&node->sim->node_random, SLOW_SYNC_US);
        node->sim->counts.fault[SIM_FAULT_SLOW_SYNC]++;
    }
    node->sim->counts.syncs++;
    sim_node_spends(node, us);
}

/* resize: what is on the disk is on no replica's account. */
static void *resize(void *memory, size_t bytes)
{
    struct sim_alloc *before = sim_alloc_enter(NULL);
    void *moved = NULL;
    if (bytes != 0) {
        moved = realloc(memory, bytes);
    } else {
        free(memory);
    }
    (void)sim_alloc_enter(before);
    return moved;
}

static uint64_t below(void *ctx, uint64_t bound)
{
    return sim_below(ctx, bound);
}

struct sim_key sim_key_of(const struct sim *sim, uint32_t node)
{
    return sim_key_make(sim_mix(sim->config.seed) + node);
}

void sim_node_init(struct sim_node *node, struct sim *sim, uint32_t index)
{
    memset(node, 0, sizeof *node);
    node->sim = sim;
    node->index = index;
    node->key = sim_key_of(sim, index);
    node->disk.dies = dies;
    node->disk.synced = synced;
    node->disk.resize = resize;
    node->disk.ctx = node;
    if (sim->config.faults.skew_max_ms != 0) {
        node->skew_ms =
            (int64_t)sim_below(&sim->node_random, 2 * sim->config.faults.skew_max_ms + 1) -
            (int64_t)sim->config.faults.skew_max_ms;
    }
    sim_application_init(&node->application, node);
    if (!sim_is_honest(sim, index)) {
        node->adversary = sim_adversary_new(node, sim->config.behaviours[index]);
    }
}

/* ---- calls into the machine ---- */

static void stop(struct sim_node *node)
{
    struct sim_alloc *before = sim_alloc_enter(&node->alloc);
    node->sim->machine->stop(node);
    (void)sim_alloc_enter(before);
    SB_ASSERT(node->machine == NULL);
    if (node->alloc.bytes > LEAK_BYTES_MAX) {
        sim_fail(node->sim, "node %u: %" PRId64 " bytes are left of a replica that was freed",
                 node->index, node->alloc.bytes);
    }
    node->alloc.bytes = 0;
    node->is_up = false;
}

/* fall: the crash itself: memory is gone, the disk keeps what it must. */
static void fall(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint64_t torn = node->disk.torn_count;
    node->is_dying = true; /* whatever stop does has no effect */
    stop(node);
    node->is_dying = false;
    node->crash_in = 0;
    sim_bans_forget(sim, node->index);
    memory_disk_crash(&node->disk, MEMORY_LOSS_PART,
                      (struct memory_chance){.below = below, .ctx = &sim->fault_random});
    sim->counts.fault[SIM_FAULT_TORN] += node->disk.torn_count - torn;
    for (uint32_t other = 0; other < sim->config.node_count; other++) {
        sim_network_disconnect(sim, node->index, other);
        sim->network.known[node->index][other] = 0;
    }
    if (node->is_down_for_ever) {
        return;
    }
    uint64_t after = sim_exponential(&sim->fault_random, sim->config.faults.restart_mean_us) + 1000;
    sim_events_add(&sim->events, &(struct sim_event){.at_us = sim->now_us + after,
                                                     .kind = SIM_EVENT_RESTART,
                                                     .node = node->index,
                                                     .generation = node->life});
}

static void enter(struct sim_node *node, struct sim_alloc **ret_before)
{
    node->lag_us = 0;
    *ret_before = sim_alloc_enter(&node->alloc);
}

static void leave(struct sim_node *node, struct sim_alloc *before, sb_err err,
                  const struct sb_diag *diag)
{
    struct sim *sim = node->sim;
    (void)sim_alloc_enter(before);
    node->busy_until_us = sim->now_us + node->lag_us;
    uint64_t held = node->alloc.bytes_max > 0 ? (uint64_t)node->alloc.bytes_max : 0;
    sim->counts.bytes_max = held > sim->counts.bytes_max ? held : sim->counts.bytes_max;
    if (node->alloc.bytes_max > MEMORY_BYTES_MAX) {
        sim_fail(sim, "node %u holds %" PRId64 " bytes", node->index, node->alloc.bytes_max);
    }
    if (node->is_dying) {
        sim_note(sim, node->index, "crashed inside a call");
        sim->counts.fault[SIM_FAULT_CRASH_INSIDE]++;
        fall(node);
        return;
    }
    if (err == SB_E_CORRUPT && !sim_is_honest(sim, node->index)) {
        /* its other self signed what this one's journal lacks, and the chain shows it: it must stop, and does */
        sim_note(sim, node->index, "stops for good: %s", diag->text);
        sim->counts.fault[SIM_FAULT_TWIN_FOUND]++;
        node->is_down_for_ever = true;
        fall(node);
        return;
    }
    if (err != SB_OK) {
        sim_fail(sim, "node %u failed: %s (%s)", node->index, diag->text, sb_err_text(err));
        return;
    }
    sim_check_standing(sim, node->index);
}

void sim_node_start(struct sim_node *node)
{
    struct sim *sim = node->sim;
    SB_ASSERT(!node->is_up);
    node->life++;
    node->started_us = sim->now_us;
    node->busy_until_us = sim->now_us;
    memset(&node->standing, 0, sizeof node->standing);
    node->is_up = true;
    sim->counts.recoveries += node->life > 1 ? 1 : 0;
    sim_note(sim, node->index, node->life > 1 ? "starts again" : "starts");
    struct sb_diag diag = {.text = ""};
    struct sim_alloc *before;
    enter(node, &before);
    sb_err err = sim->machine->start(node, &diag);
    leave(node, before, err, &diag);
    for (uint32_t other = 0; node->is_up && other < sim->config.node_count; other++) {
        if (sim->nodes[other].is_up && other != node->index) {
            sim_network_connect(sim, node->index, other);
        }
    }
}

void sim_node_crash(struct sim_node *node)
{
    if (!node->is_up) {
        return;
    }
    sim_note(node->sim, node->index, "crashes");
    fall(node);
}

void sim_node_receive(struct sim_node *node, const struct sim_packet *packet)
{
    struct sim *sim = node->sim;
    struct sb_diag diag = {.text = ""};
    struct sim_alloc *before;
    sb_bytes message = sb_span(packet->bytes, packet->len);
    if (node->adversary != NULL) {
        sim_adversary_hears(node, packet);
    }
    if (sim->trace != NULL && sim->trace->keeps_arrows) {
        sim_trace_arrow_add(sim->trace, &(struct sim_arrow){.sent_us = packet->sent_us,
                                                            .arrived_us = sim->now_us,
                                                            .from = packet->from,
                                                            .to = packet->to,
                                                            .channel = packet->channel});
    }
    enter(node, &before);
    sb_err err =
        sim->machine->receive(node, packet->from, sim_peer_of(packet->connection, packet->from),
                              packet->channel, message, &diag);
    leave(node, before, err, &diag);
}

void sim_node_timer(struct sim_node *node, uint32_t timer)
{
    struct sb_diag diag = {.text = ""};
    struct sim_alloc *before;
    enter(node, &before);
    sb_err err = node->sim->machine->timer(node, timer, &diag);
    leave(node, before, err, &diag);
}

void sim_node_link(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up)
{
    struct sb_diag diag = {.text = ""};
    struct sim_alloc *before;
    node->sim->network.known[node->index][other] = is_up ? peer / 32 : 0;
    enter(node, &before);
    sb_err err = node->sim->machine->link(node, other, peer, is_up, &diag);
    leave(node, before, err, &diag);
}

void sim_node_fini(struct sim_node *node)
{
    if (node->is_up) {
        node->is_dying = true;
        stop(node);
    }
    if (node->adversary != NULL) {
        sim_adversary_free(node->adversary);
    }
    node->sim->machine->discard(node);
    sim_application_fini(&node->application);
    memory_disk_fini(&node->disk);
}

/* ---- calls out of it ---- */

bool sim_node_dies(struct sim_node *node)
{
    if (!node->is_dying && node->crash_in != 0 && --node->crash_in == 0) {
        node->is_dying = true;
    }
    return node->is_dying;
}

uint64_t sim_node_wall_ms(const struct sim_node *node)
{
    uint64_t ms = (node->sim->now_us + node->lag_us) / 1000;
    return (uint64_t)((int64_t)(SIM_EPOCH_MS + ms) + node->skew_ms);
}

uint64_t sim_node_monotonic_ms(const struct sim_node *node)
{
    return (node->sim->now_us + node->lag_us - node->started_us) / 1000;
}

void sim_node_set_timer(struct sim_node *node, uint32_t timer, uint64_t delay_ms)
{
    SB_ASSERT(timer < SIM_TIMERS_MAX);
    uint64_t generation = ++node->timer_generation[timer];
    sim_events_add(&node->sim->events,
                   &(struct sim_event){.at_us = node->sim->now_us + node->lag_us + delay_ms * 1000,
                                       .kind = SIM_EVENT_TIMER,
                                       .node = node->index,
                                       .detail = timer | (uint32_t)(node->life << 8),
                                       .generation = generation});
}

void sim_node_cancel_timer(struct sim_node *node, uint32_t timer)
{
    SB_ASSERT(timer < SIM_TIMERS_MAX);
    node->timer_generation[timer]++;
}

bool sim_node_send(struct sim_node *node, uint32_t to, enum sb_channel channel, sb_bytes message)
{
    struct sim_alloc *before = sim_alloc_enter(NULL);
    bool sent = false;
    if (!sim_node_dies(node)) {
        sent = node->adversary != NULL
                   ? sim_adversary_sends(node, to, channel, message)
                   : sim_network_send(node->sim, node->index, to, channel, message,
                                      node->sim->now_us + node->lag_us);
        (void)sim_node_dies(node);
    }
    (void)sim_alloc_enter(before);
    return sent;
}

void sim_node_spends(struct sim_node *node, uint64_t us)
{
    node->lag_us += us;
}
