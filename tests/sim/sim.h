/* sim.h: the world of one seed: a whole cluster in one thread of virtual time.
 *
 *      config (drawn from the seed)
 *         |
 *      cluster.c   takes the next event, hands it to a node, checks, until the goal, a violation or the deadline
 *         |--- events.c    what happens next
 *         |--- network.c   packets: delay, loss, duplication, order, capacity, clogs, partitions, connections
 *         |--- faults.c    crashes, pauses, clock jumps, partitions, and their healing
 *         |--- node.c      a node's life: start, calls with a crash at any boundary, restart from what its disk kept
 *         |       |--- machine_core.c      the consensus core alone, with a small host    (--core-only)
 *         |       +--- machine_replica.c   sb_replica: driver, gossip, block sync, journal in memory, over application.c
 *         |--- adversary.c  what Byzantine validators send instead
 *         |--- bans.c     offences of peers, and who is not spoken to any more
 *         +--- check.c      every signature, every decision, every standing; accountability.c: who is to blame for a fork
 *
 * Two phases. Faults: as drawn, until the heights are decided or time is up. Healed (the paper's GST): the network is timely, who is
 * down for ever stays down, Byzantine validators go on; every live honest node must reach the goal in bounded time. */
#ifndef SB_TESTS_SIM_SIM_H
#define SB_TESTS_SIM_SIM_H

#include "consensus/proposer.h"
#include "node/p2p/channel.h"
#include "tests/sim/alloc.h"
#include "tests/sim/application.h"
#include "tests/sim/bans.h"
#include "tests/sim/config.h"
#include "tests/sim/events.h"
#include "tests/sim/keys.h"
#include "tests/sim/network.h"
#include "tests/sim/staking.h"
#include "tests/sim/trace.h"
#include "tests/support/memory_disk.h"

#define SIM_TIMERS_MAX      80
#define SIM_HEIGHTS_MAX     4096 /* of a run; far above its goal */
#define SIM_VIOLATION_BYTES 1024
#define SIM_EPOCH_MS        UINT64_C(1800000000000) /* wall clock at virtual time 0 */

struct sim;
struct sim_check;
struct sim_adversary;
struct sim_core_disk;

/* Where a node stands. */
struct sim_standing {
    uint64_t head; /* committed */
    struct sb_bft_status bft;
    bool is_syncing;
};

struct sim_node {
    struct sim *sim;
    uint32_t index;
    struct sim_key key;
    struct sim_adversary *adversary; /* NULL: honest */

    bool is_up;
    bool is_dying; /* it crashed inside a call: nothing that it does has an effect any more */
    bool is_down_for_ever;
    uint32_t crash_in; /* calls out of the machine until it crashes; 0: no crash is armed */
    uint64_t life;     /* starts so far */
    uint64_t started_us;
    uint64_t busy_until_us, paused_until_us;
    uint64_t lag_us; /* time spent within the present call */
    int64_t skew_ms; /* of the wall clock */
    uint64_t timer_generation[SIM_TIMERS_MAX];

    void *machine; /* of this life; NULL when down */
    struct sim_alloc alloc;
    /* what survives a crash */
    struct memory_disk disk;
    struct sim_application application;
    struct sim_core_disk *core_disk; /* of machine_core */

    /* of check.c */
    struct sim_standing standing; /* after the last call of this life */
};

/* What runs in the nodes. Calls that return an error mean that the node failed (or crashed: then is_dying). */
struct sim_machine {
    const char *name;
    sb_err (*start)(struct sim_node *node,
                    struct sb_diag *diag); /* recover from what the disk kept */
    void (*stop)(struct sim_node *node);   /* free; crashed or not */
    sb_err (*receive)(struct sim_node *node, uint32_t from, uint64_t peer, enum sb_channel channel,
                      sb_bytes message, struct sb_diag *diag);
    sb_err (*timer)(struct sim_node *node, uint32_t timer, struct sb_diag *diag);
    sb_err (*link)(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up,
                   struct sb_diag *diag);
    struct sim_standing (*standing)(const struct sim_node *node);
    void (*discard)(struct sim_node *node); /* free what survives crashes */
};

extern const struct sim_machine sim_machine_core;
extern const struct sim_machine sim_machine_replica;

/* Heights under faults that make a seed deep. */
#define SIM_HEIGHTS_DEEP 20

enum sim_phase { SIM_PHASE_FAULTS, SIM_PHASE_HEALED };

/* Counts of one seed; totals.h adds them up. */
struct sim_counts {
    uint64_t heights;        /* decided by the first honest node */
    uint64_t heights_faulty; /* of these, while there were faults */
    uint64_t
        deep; /* 1: at least SIM_HEIGHTS_DEEP of them; summed, the seeds that a campaign counts */
    uint64_t decisions; /* by all honest nodes */
    uint64_t rounds;    /* that honest nodes entered beyond round 0 */
    uint64_t events, messages, message_bytes;
    uint64_t virtual_us;
    uint64_t signatures, syncs, recoveries;
    uint64_t invalid_blocks; /* that honest nodes refused */
    uint64_t evidence;       /* pieces that honest nodes made */
    uint64_t synced_blocks;  /* that came by block sync */
    uint64_t waste;          /* light offences that honest nodes saw in one another */
    uint64_t bans;           /* of Byzantine nodes, by honest ones */
    uint64_t forks;          /* with a third or more Byzantine; each with its culprits found */
    uint64_t sets;           /* that differ from the last one, by staking */
    uint64_t joins, exits;   /* of members */
    uint64_t jailings, slashes, tombstones;
    uint64_t
        over_third;     /* 1: staking left a third or more to the faulty, and the run ended there */
    uint64_t bytes_max; /* most memory that one replica held */
    uint64_t recovery_ms_max; /* from the healing to the goal */
    uint64_t fault[SIM_FAULT_COUNT];
    uint64_t act[SIM_BYZANTINE_COUNT];
};

struct sim {
    struct sim_config config;
    const struct sim_machine *machine;
    uint64_t now_us;
    enum sim_phase phase;
    uint64_t healed_us;
    uint64_t deadline_us; /* of the healed phase */
    uint64_t goal;        /* height that each live honest node must reach */
    uint64_t best_head;   /* of honest nodes */
    int32_t best_round;   /* highest round that an honest node has been in */
    struct sim_events events;
    struct sim_network network;
    struct sim_bans bans;
    struct sim_node nodes[SIM_NODES_MAX];
    struct sb_chain_domain domain;
    struct sim_rotations *rotations;
    struct sim_random fault_random, node_random;
    struct sim_check *check;
    struct sim_trace *trace; /* NULL: none */
    struct sim_counts counts;
    uint64_t hash;                       /* of all events, in order */
    const struct sim_scenario *scenario; /* NULL: a drawn seed */
    uint64_t rule_begun_us[8]; /* of each rule of the scenario: when it first lost a message */
    uint32_t crashes_done;     /* bits: crashes of the scenario */
    const char *unproved;      /* at the end: what the scenario was to show and did not */
    bool has_failed, has_forked;
    bool
        is_unbound; /* a set to come leaves a third or more to the faulty: nothing is promised any more */
    char violation[SIM_VIOLATION_BYTES];
};

/* ---- cluster.c ---- */

/* sim_run: a whole seed. Returns false with sim->violation set when a check failed. The caller prepared config (and trace); counts,
 * hash and violation stay for it. */
bool sim_run(struct sim *sim);
/* sim_fail: a check has failed; the first one stands. */
void sim_fail(struct sim *sim, const char *fmt, ...) SB_PRINTF(2, 3);
void sim_note(struct sim *sim, uint32_t node, const char *fmt, ...) SB_PRINTF(3, 4);

/* sim_key_of: the key of a node; known before the node is made. */
struct sim_key sim_key_of(const struct sim *sim, uint32_t node);

static inline bool sim_is_honest(const struct sim *sim, uint32_t node)
{
    return sim->config.behaviours[node] == 0;
}

/* ---- node.c ---- */

void sim_node_init(struct sim_node *node, struct sim *sim, uint32_t index);
void sim_node_fini(struct sim_node *node);
void sim_node_start(struct sim_node *node);
/* sim_node_crash: between two events: lose what was not synced, schedule the restart. */
void sim_node_crash(struct sim_node *node);
/* sim_node_receive, _timer, _link: hand in an event; the node is up and not busy. */
void sim_node_receive(struct sim_node *node, const struct sim_packet *packet);
void sim_node_timer(struct sim_node *node, uint32_t timer);
void sim_node_link(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up);

/* For machines: what a call out of the node does. */
/* sim_node_dies: before and after each effect: has the node crashed? */
bool sim_node_dies(struct sim_node *node);
uint64_t sim_node_wall_ms(const struct sim_node *node);
uint64_t sim_node_monotonic_ms(const struct sim_node *node);
void sim_node_set_timer(struct sim_node *node, uint32_t timer, uint64_t delay_ms);
void sim_node_cancel_timer(struct sim_node *node, uint32_t timer);
/* sim_node_send: through the adversary if there is one. false: the path is full or the connection gone. */
bool sim_node_send(struct sim_node *node, uint32_t to, enum sb_channel channel, sb_bytes message);
/* sim_node_spends: time passes within the present call. */
void sim_node_spends(struct sim_node *node, uint64_t us);

/* ---- faults.c ---- */

void sim_faults_begin(struct sim *sim);
void sim_faults_due(struct sim *sim, uint32_t fault);
void sim_faults_heal(struct sim *sim);

/* ---- rotations.c: the validator sets of the heights that are known: those of the first honest node that decided them ---- */

struct sim_rotations *sim_rotations_new(const struct sim *sim);
void sim_rotations_free(struct sim_rotations *rotations);
/* sim_rotations_decided: an honest node has decided this block of the chain: the set of height + 2 is made, or compared. app: of that node,
 * after the block; NULL with the core alone. */
void sim_rotations_decided(struct sim *sim, uint32_t node, const struct sb_commit *commit,
                           const struct sim_application *app);
/* sim_rotations_accused: with the core alone: evidence against this node, for the next block. */
void sim_rotations_accused(struct sim *sim, uint32_t node, uint64_t height);
/* sim_rotation_is_known: the others ask only for such heights, at most the newest decided one + 2. */
bool sim_rotation_is_known(const struct sim *sim, uint64_t height);
const struct sb_rotation *sim_rotation(const struct sim *sim, uint64_t height);
/* sim_proposer: index in the set of `height`. */
uint32_t sim_proposer(const struct sim *sim, uint64_t height, int32_t round);
/* sim_member: node of index `validator` in the set of `height`. */
uint32_t sim_member(const struct sim *sim, uint64_t height, uint32_t validator);
/* sim_member_of: index of a node in that set; -1 when it is not in it. */
int sim_member_of(const struct sim *sim, uint64_t height, uint32_t node);

#endif
