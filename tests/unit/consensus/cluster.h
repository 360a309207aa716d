/* cluster.h: a few cores in one thread of virtual time, over a network that delays, loses, repeats and reorders, with one Byzantine
 * validator that the test plays (equivocates, proposes nonsense).
 *
 *      events by time:  message arrives, timer, value, verdict, next height, resending, an act of the Byzantine validator
 *                                   |
 *      node i: core  <--- input ----+      effects ---> checks of cluster_check.c, then new events
 *
 * Before CLUSTER_GST_MS anything may be lost; after it messages arrive within CLUSTER_DELAY_MS, and the honest validators must decide
 * all heights within CLUSTER_END_MS. Checked at each step: see cluster_check.c. One seed gives all randomness. */
#ifndef SB_TESTS_UNIT_CONSENSUS_CLUSTER_H
#define SB_TESTS_UNIT_CONSENSUS_CLUSTER_H

#include "consensus/bft.h"
#include "tests/support/random.h"

#define CLUSTER_NODES_MAX  7
#define CLUSTER_HEIGHTS    4
#define CLUSTER_BLOCKS_MAX 4096
#define CLUSTER_SIGNED_MAX 65536
#define CLUSTER_EVENTS_MAX 32768
#define CLUSTER_GST_MS     UINT64_C(40000)
#define CLUSTER_END_MS     UINT64_C(600000)
#define CLUSTER_DELAY_MS   100

/* A block that somebody has made up. */
struct cluster_block {
    sb_hash id;
    uint64_t height;
    bool is_valid;
    uint64_t time_ms;
    sb_addr proposer;
    uint32_t told; /* bit i: node i was told that it is valid */
};

enum cluster_event_type {
    EVENT_PROPOSAL,
    EVENT_VOTE,
    EVENT_CERTIFICATE,
    EVENT_TIMER,
    EVENT_VALUE,
    EVENT_VERDICT,
    EVENT_START,
    EVENT_RESEND,
    EVENT_BYZANTINE,
};

struct cluster_event {
    enum cluster_event_type type;
    size_t node; /* whom it happens to */
    uint64_t height;
    int32_t round;
    enum sb_bft_timeout timeout;
    sb_hash block_id;
    union {
        struct sb_proposal proposal;
        struct sb_vote vote;
    } as;
    enum sb_vote_type certificate_type;
    struct sb_commit_sig sigs[CLUSTER_NODES_MAX];
};

/* A place in the heap of events: earliest first, then in the order of scheduling. */
struct cluster_place {
    uint64_t at_ms;
    uint64_t number;
    uint32_t event;
};

struct cluster_signed {
    size_t who;
    enum sb_vote_type type;
    uint64_t height;
    int32_t round;
    sb_hash block_id;
};

struct cluster_node {
    struct sb_bft *core;
    bool is_byzantine;
    uint64_t decided;                       /* heights */
    sb_hash decisions[CLUSTER_HEIGHTS + 1]; /* by height */
    int32_t decided_rounds[CLUSTER_HEIGHTS + 1];
    struct sb_commit_sig commits[CLUSTER_HEIGHTS + 1][CLUSTER_NODES_MAX];
    /* when the fresh proposal of a round came first, at round mod 4 */
    struct {
        int32_t round;
        uint64_t at_ms;
    } received[4];
    int last_step; /* of the last signature: height, round, step grow */
    int32_t last_round;
    uint64_t last_height;
    int32_t lock_round; /* as its precommits say; -1: none */
    sb_hash lock_block;
    int32_t round; /* where it was after its last step */
};

struct cluster {
    /* watch: sees each step of each honest core; may be NULL. */
    void (*watch)(void *ctx, struct cluster *cluster, size_t who, const struct sb_bft_input *input,
                  const struct sb_bft_effects *effects);
    void *watch_ctx;
    struct sb_random random;
    uint64_t now_ms;
    size_t count;
    size_t byzantine; /* count: none */
    struct sb_validator validators[CLUSTER_NODES_MAX];
    struct sb_validator_set set;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    size_t block_count;
    size_t signed_count;
    size_t free_count;
    size_t heap_count;
    uint64_t scheduled;
    uint64_t byzantine_height; /* where it has acted last */
    int32_t byzantine_round;
    unsigned evidence_count;
    int32_t round_highest;
    const char *failure; /* NULL: none */
    char failure_text[256];
    /* tables; what the counts above do not cover means nothing */
    struct cluster_block blocks[CLUSTER_BLOCKS_MAX];
    struct cluster_signed signed_votes[CLUSTER_SIGNED_MAX];
    struct cluster_event events[CLUSTER_EVENTS_MAX];
    uint32_t free_events[CLUSTER_EVENTS_MAX];
    struct cluster_place heap[CLUSTER_EVENTS_MAX];
};

/* cluster_run: one seed; watch is set, or NULL. false: failure_text says what was violated. */
bool cluster_run(struct cluster *cluster, uint64_t seed);

/* ---- cluster_check.c ---- */

uint32_t cluster_proposer(void *ctx, uint64_t height, int32_t round);
const struct cluster_block *cluster_find_block(const struct cluster *cluster, const sb_hash *id);
__attribute__((format(printf, 2, 3))) void cluster_fail(struct cluster *cluster, const char *format,
                                                        ...);
/* cluster_check_effect: what an honest node is about to do is right. */
void cluster_check_effect(struct cluster *cluster, size_t who, const struct sb_bft_effect *effect);
/* cluster_check_rest: a node that has nothing more to do stands where the rules want it. */
void cluster_check_rest(struct cluster *cluster, size_t who);

#endif
