/* config.h: what a seed draws for its cluster, in the ranges that TigerBeetle's simulator draws from (docs/simulator.md).
 *
 * Times are virtual microseconds unless a name says otherwise. */
#ifndef SB_TESTS_SIM_CONFIG_H
#define SB_TESTS_SIM_CONFIG_H

#include <stdio.h>

#include "base/types/staking_params.h"
#include "consensus/bft.h"
#include "tests/sim/random.h"

#define SIM_NODES_MAX      24 /* 20 validators, 4 full nodes */
#define SIM_VALIDATORS_MAX 20

enum sim_byzantine {
#define SIM_BYZANTINE(name, text, what) SIM_BYZANTINE_##name,
#include "tests/sim/byzantine.def"
#undef SIM_BYZANTINE
    SIM_BYZANTINE_COUNT
};

enum sim_fault {
#define SIM_FAULT(name, text, what) SIM_FAULT_##name,
#include "tests/sim/faults.def"
#undef SIM_FAULT
    SIM_FAULT_COUNT
};

const char *sim_byzantine_name(enum sim_byzantine kind);
const char *sim_fault_name(enum sim_fault kind);

enum sim_partition_mode {
    SIM_PARTITION_NONE,
    SIM_PARTITION_UNIFORM_SIZE, /* a size is drawn, then who */
    SIM_PARTITION_UNIFORM,      /* each node draws its side */
    SIM_PARTITION_ISOLATE_ONE,
};

/* What the network does to packets. */
struct sim_network_config {
    uint64_t delay_min_us,
        delay_mean_us; /* one way: the minimum plus an exponential of this mean */
    uint32_t loss_per_mille, duplicate_per_mille;
    bool keeps_order; /* of the packets of one path, as a TCP connection does */
    uint32_t capacity_packets;
    uint64_t clog_every_us, clog_mean_us; /* 0: never */
    enum sim_partition_mode partition_mode;
    uint32_t one_way_per_mille;
    uint64_t partition_every_us, partition_mean_us; /* 0: never */
    uint64_t disconnect_every_us;                   /* 0: never */
};

/* What happens to nodes; `every` is the mean time between two such events in the whole cluster, 0 for never. */
struct sim_fault_config {
    uint64_t crash_every_us, restart_mean_us;
    uint64_t pause_every_us, pause_mean_us;
    uint64_t skew_max_ms;   /* of wall clocks, either way */
    uint64_t skew_every_us; /* a clock jumps to another skew */
    uint64_t sync_mean_us;  /* of an fsync */
    uint32_t slow_sync_per_mille;
    uint64_t execute_us; /* of a block */
};

/* Who validates (tests/sim/staking.h). Without it the set of genesis is that of all heights. */
struct sim_staking_config {
    bool is_on;
    uint32_t busy_per_mille; /* blocks whose proposer puts staking transactions into them */
    bool comes_back_only;    /* of these, nothing but unjail */
    struct sb_staking_params params;
};

struct sim_config {
    uint64_t seed;
    bool is_core_only;
    uint32_t validator_count;     /* nodes [0, validator_count) may be faulty */
    uint32_t node_count;          /* the rest are full nodes */
    int64_t power[SIM_NODES_MAX]; /* at genesis, in coins; 0: a full node, which may join later */
    uint32_t behaviours[SIM_NODES_MAX]; /* bits of enum sim_byzantine; 0: honest */
    bool dies[SIM_NODES_MAX];           /* crashes at the healing and stays down for ever */
    bool is_over_third;                 /* Byzantine power of a third or more: forks may happen */
    bool is_full_mesh;
    bool honours_bans; /* else offences are only counted */
    struct sim_staking_config staking;
    struct sb_bft_timeouts timeouts;
    struct sb_bft_timeliness timeliness;
    uint64_t interval_ms, resend_ms;
    uint32_t block_bytes_max; /* of a payload */
    uint32_t invalid_per_mille;
    uint64_t heights;     /* to decide while there are faults */
    uint64_t time_max_us; /* of the phase with faults; then the network heals in any case */
    struct sim_network_config network;
    struct sim_fault_config faults;
};

/* sim_config_draw: the cluster of a seed. heights 0: draws. */
void sim_config_draw(struct sim_config *ret, uint64_t seed, bool is_core_only, uint64_t heights);
/* sim_config_print: the cluster in words, for a trace. */
void sim_config_print(FILE *out, const struct sim_config *config);
/* sim_config_calm: four honest validators of equal power, no faults: where scenarios and tests begin. */
void sim_config_calm(struct sim_config *ret, bool is_core_only, uint32_t validators);
/* sim_config_is_faulty: Byzantine, or down for ever. */
static inline bool sim_config_is_faulty(const struct sim_config *config, uint32_t node)
{
    return config->behaviours[node] != 0 || config->dies[node];
}

#endif
