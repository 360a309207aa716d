/* network.c: see network.h. */
#include "tests/sim/network.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

#define FULL_NODE_LINKS 4
#define CONNECT_MEAN_US 20000
#define PATH_BYTES_MAX  ((uint64_t)16 << 20)

static void adjacent(struct sim_network *net, uint32_t a, uint32_t b)
{
    net->is_adjacent[a][b] = true;
    net->is_adjacent[b][a] = true;
}

/* A full node, or a validator of a sparse network, knows a few others, one of them honest and lasting. */
static void connect_some(struct sim *sim, uint32_t node)
{
    struct sim_network *net = &sim->network;
    uint32_t validators = sim->config.validator_count;
    for (uint32_t k = 0; k < FULL_NODE_LINKS; k++) {
        uint32_t other = (uint32_t)sim_below(&net->random, validators);
        if (other != node) {
            adjacent(net, node, other);
        }
    }
    for (uint32_t other = 0; other < validators; other++) {
        if (other != node && !sim_config_is_faulty(&sim->config, other)) {
            adjacent(net, node, other);
            break;
        }
    }
}

void sim_network_init(struct sim *sim)
{
    struct sim_network *net = &sim->network;
    memset(net, 0, sizeof *net);
    net->random = sim_random_stream(sim->config.seed, 2);
    uint32_t last_honest = SIM_NODES_MAX;
    for (uint32_t a = 0; a < sim->config.node_count; a++) {
        bool is_full = a >= sim->config.validator_count;
        if (is_full || !sim->config.is_full_mesh) {
            connect_some(sim, a);
        } else {
            for (uint32_t b = 0; b < a; b++) {
                adjacent(net, a, b);
            }
        }
        /* a chain of lasting honest validators, so that a sparse network never falls apart */
        if (!is_full && !sim_config_is_faulty(&sim->config, a)) {
            if (last_honest != SIM_NODES_MAX) {
                adjacent(net, last_honest, a);
            }
            last_honest = a;
        }
    }
}

static bool is_cut(const struct sim_network *net, uint32_t from, uint32_t to)
{
    if (!net->is_partitioned || net->side[from] == net->side[to]) {
        return false;
    }
    return !net->is_one_way || net->side[from];
}

static uint64_t draw_delay(struct sim *sim)
{
    struct sim_network *net = &sim->network;
    const struct sim_network_config *c = &sim->config.network;
    uint64_t delay = c->delay_min_us;
    if (c->delay_mean_us != 0) {
        delay += sim_exponential(&net->random, c->delay_mean_us);
    }
    if (sim->phase == SIM_PHASE_HEALED && delay > SIM_HEALED_DELAY_US) {
        delay = SIM_HEALED_DELAY_US;
    }
    return delay;
}

/* fly: put a packet on its way; it arrives after a drawn delay. */
static void fly(struct sim *sim, uint32_t from, uint32_t to, enum sb_channel channel,
                sb_bytes message, uint64_t at_us)
{
    struct sim_network *net = &sim->network;
    struct sim_path *path = &net->path[from][to];
    struct sim_packet *packet = malloc(sizeof *packet + message.len);
    SB_ASSERT(packet != NULL);
    *packet = (struct sim_packet){.from = from,
                                  .to = to,
                                  .connection = net->connection[from][to],
                                  .channel = channel,
                                  .sent_us = at_us,
                                  .len = (uint32_t)message.len};
    sb_copy(packet->bytes, message.data, message.len);
    uint64_t arrival = at_us + draw_delay(sim);
    if (path->clogged_until_us > arrival) {
        arrival = path->clogged_until_us;
    }
    if (sim->config.network.keeps_order && arrival < path->last_arrival_us) {
        arrival = path->last_arrival_us;
    }
    if (arrival < path->last_arrival_us) {
        sim->counts.fault[SIM_FAULT_REORDERED]++;
    } else {
        path->last_arrival_us = arrival;
    }
    path->in_flight++;
    path->in_flight_bytes += message.len;
    sim_events_add(&sim->events,
                   &(struct sim_event){
                       .at_us = arrival, .kind = SIM_EVENT_DELIVER, .node = to, .packet = packet});
}

bool sim_network_send(struct sim *sim, uint32_t from, uint32_t to, enum sb_channel channel,
                      sb_bytes message, uint64_t at_us)
{
    struct sim_network *net = &sim->network;
    const struct sim_network_config *c = &sim->config.network;
    struct sim_path *path = &net->path[from][to];
    if (net->connection[from][to] == 0 || net->known[from][to] != net->connection[from][to]) {
        return false;
    }
    bool healed = sim->phase == SIM_PHASE_HEALED;
    uint32_t capacity = healed ? 4096 : c->capacity_packets;
    if (path->in_flight >= capacity || path->in_flight_bytes + message.len > PATH_BYTES_MAX) {
        sim->counts.fault[SIM_FAULT_FULL]++;
        return false;
    }
    sim->counts.messages++;
    sim->counts.message_bytes += message.len;
    if (is_cut(net, from, to) ||
        (sim->scenario != NULL && !sim_scenario_passes(sim, to, channel, message))) {
        sim->counts.fault[SIM_FAULT_CUT]++;
        return true;
    }
    if (!healed && sim_chance(&net->random, c->loss_per_mille)) {
        sim->counts.fault[SIM_FAULT_LOST]++;
        return true;
    }
    fly(sim, from, to, channel, message, at_us);
    if (!healed && sim_chance(&net->random, c->duplicate_per_mille)) {
        sim->counts.fault[SIM_FAULT_DUPLICATED]++;
        fly(sim, from, to, channel, message, at_us);
    }
    return true;
}

bool sim_network_arrive(struct sim *sim, const struct sim_packet *packet)
{
    struct sim_network *net = &sim->network;
    if (packet->connection != net->connection[packet->from][packet->to]) {
        return false;
    }
    struct sim_path *path = &net->path[packet->from][packet->to];
    SB_ASSERT(path->in_flight != 0);
    path->in_flight--;
    path->in_flight_bytes -= packet->len;
    return true;
}

static void tell(struct sim *sim, uint32_t node, uint32_t other, uint64_t connection, bool is_up)
{
    uint64_t delay = sim_exponential(&sim->network.random, CONNECT_MEAN_US);
    sim_events_add(&sim->events, &(struct sim_event){.at_us = sim->now_us + delay,
                                                     .kind = SIM_EVENT_LINK,
                                                     .node = node,
                                                     .detail = other * 2 + (is_up ? 1 : 0),
                                                     .generation = connection});
}

void sim_network_connect(struct sim *sim, uint32_t a, uint32_t b)
{
    struct sim_network *net = &sim->network;
    if (!net->is_adjacent[a][b] || net->connection[a][b] != 0 || sim_bans_part(sim, a, b)) {
        return;
    }
    uint64_t connection = ++net->connections;
    net->connection[a][b] = connection;
    net->connection[b][a] = connection;
    net->path[a][b] = (struct sim_path){.clogged_until_us = net->path[a][b].clogged_until_us};
    net->path[b][a] = (struct sim_path){.clogged_until_us = net->path[b][a].clogged_until_us};
    tell(sim, a, b, connection, true);
    tell(sim, b, a, connection, true);
}

void sim_network_disconnect(struct sim *sim, uint32_t a, uint32_t b)
{
    struct sim_network *net = &sim->network;
    uint64_t connection = net->connection[a][b];
    if (connection == 0) {
        return;
    }
    net->connection[a][b] = 0;
    net->connection[b][a] = 0;
    tell(sim, a, b, connection, false);
    tell(sim, b, a, connection, false);
}

void sim_network_partition(struct sim *sim)
{
    struct sim_network *net = &sim->network;
    const struct sim_network_config *c = &sim->config.network;
    uint32_t count = sim->config.node_count;
    memset(net->side, 0, sizeof net->side);
    if (c->partition_mode == SIM_PARTITION_ISOLATE_ONE) {
        net->side[sim_below(&net->random, count)] = true;
    } else if (c->partition_mode == SIM_PARTITION_UNIFORM) {
        for (uint32_t i = 0; i < count; i++) {
            net->side[i] = sim_chance(&net->random, 500);
        }
    } else {
        for (uint64_t size = sim_between(&net->random, 1, count - 1); size > 0; size--) {
            net->side[sim_below(&net->random, count)] = true;
        }
    }
    net->is_partitioned = true;
    net->is_one_way = sim_chance(&net->random, c->one_way_per_mille);
    sim->counts.fault[net->is_one_way ? SIM_FAULT_ONE_WAY : SIM_FAULT_PARTITION]++;
    net->partition++;
    uint64_t lasts = sim_exponential(&net->random, c->partition_mean_us);
    sim_events_add(&sim->events, &(struct sim_event){.at_us = sim->now_us + lasts,
                                                     .kind = SIM_EVENT_HEAL,
                                                     .generation = net->partition});
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        bits |= (net->side[i] ? UINT32_C(1) : 0) << i;
    }
    sim_note(sim, SIM_NODES_MAX, "partition %s sides 0x%x for %llu ms",
             net->is_one_way ? "one way" : "both ways", bits, (unsigned long long)lasts / 1000);
}

void sim_network_heal(struct sim *sim)
{
    if (sim->network.is_partitioned) {
        sim_note(sim, SIM_NODES_MAX, "the partition heals");
    }
    sim->network.is_partitioned = false;
}

void sim_network_clog(struct sim *sim)
{
    struct sim_network *net = &sim->network;
    uint32_t from = (uint32_t)sim_below(&net->random, sim->config.node_count);
    uint32_t to = (uint32_t)sim_below(&net->random, sim->config.node_count);
    uint64_t lasts = sim_exponential(&net->random, sim->config.network.clog_mean_us);
    net->path[from][to].clogged_until_us = sim->now_us + lasts;
    sim->counts.fault[SIM_FAULT_CLOG]++;
    sim_note(sim, from, "path to node %u is clogged for %llu ms", to,
             (unsigned long long)lasts / 1000);
}
