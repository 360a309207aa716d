/* machine_core.h: what the files of the core's small host share; see machine_core.c.
 *
 *      machine_core.c   journal, guard, effects, recovery
 *      core_take.c      messages that come in        core_gossip.c   messages that go out
 *      core_checks.c    what the core must have done with what it holds */
#ifndef SB_TESTS_SIM_MACHINE_CORE_H
#define SB_TESTS_SIM_MACHINE_CORE_H

#include "node/messages.h"
#include "tests/sim/sim.h"

#define TIMER_KINDS  3
#define TIMER_PACE   3
#define TIMER_RESEND 4
#define TIMER_FIRST  8 /* of the core: kind * TIMER_SLOTS + slot beyond it */
#define TIMER_SLOTS  16
#define TIMER_VALIDITY                                                                             \
    (TIMER_FIRST + TIMER_KINDS * TIMER_SLOTS) /* and the following: late verdicts */
#define VERDICTS_MAX 8
#define BLOCKS_SEEN                                                                                \
    256 /* valid blocks that the checks remember: one a round, and more than any seed needs */
#define ROUNDS_SEEN   64
#define QUEUE_MAX     32
#define SIGNED_MAX    512
#define MESSAGE_BYTES 32768
#define ARENA_BYTES   ((size_t)1 << 20)
#define CATCH_UP_HEIGHTS                                                                           \
    4 /* certificates that one status of a node that is behind is answered with */

struct sim_core_entry {
    struct sb_bft_input input;
    struct sb_commit_sig *sigs; /* owned; of a certificate */
};

struct sim_core_commit {
    struct sb_commit commit;
    struct sb_commit_sig *sigs; /* owned */
};

struct sim_core_disk {
    struct sim_core_commit commits[SIM_HEIGHTS_MAX];
    uint64_t head;
    sb_hash state;
    struct sim_core_entry *journal; /* owned; of height head + 1 */
    size_t count, durable, capacity;
    struct sb_bft_message signed_messages[SIGNED_MAX]; /* of height head + 1; durable at once */
    size_t signed_count;
};

struct sim_core_timer {
    bool is_set;
    uint64_t height;
    int32_t round;
    uint64_t delay_ms;
};

struct sim_core_machine {
    struct sb_bft *core;
    struct sim_core_timer timers[TIMER_KINDS][TIMER_SLOTS]; /* that may still run out */
    uint32_t timer_count[TIMER_KINDS];
    struct sb_bft_input queue[QUEUE_MAX];
    size_t queue_count;
    struct sb_arena arena; /* of the message in hand */
    uint8_t scratch[MESSAGE_BYTES];
    uint64_t peer_height[SIM_NODES_MAX];
    bool is_replaying;
    /* what replay leaves open */
    bool asks_sign, asks_value, asks_decide;
    struct sb_bft_message to_sign;
    int32_t value_round;
    struct sb_commit open_decision; /* borrowed from the core */
    struct sim_core_timer open_timers[TIMER_KINDS];
    sb_hash validate[VERDICTS_MAX];
    size_t validate_count;
    sb_hash late_verdicts[VERDICTS_MAX]; /* being executed */
    uint32_t late_verdict_count;
    /* for the checks: what the host knows beside the core */
    sb_hash found_valid[BLOCKS_SEEN];
    uint32_t found_valid_count;
    uint64_t received_ms[ROUNDS_SEEN]; /* of the proposal of each round; 0: none */
    uint64_t accused;                  /* bits of validators with evidence in this height */
};

static inline struct sim_core_machine *sim_core_machine_of(const struct sim_node *node)
{
    return node->machine;
}

static inline sb_err sim_core_died(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_IO, "the node has crashed");
}

/* ---- machine_core.c ---- */

/* sim_core_run: an input, and all that answers to its questions. */
sb_err sim_core_run(struct sim_node *node, const struct sb_bft_input *input, struct sb_diag *diag);

/* ---- core_take.c ---- */

/* sim_core_receive: as sim_machine.receive. */
sb_err sim_core_receive(struct sim_node *node, uint32_t from, uint64_t peer,
                        enum sb_channel channel, sb_bytes raw, struct sb_diag *diag);

/* ---- core_gossip.c ---- */

void sim_core_send_all(struct sim_node *node, const struct sb_message *message);
struct sb_message sim_core_wrap(const struct sb_bft_message *message);
void sim_core_send_status(struct sim_node *node, uint32_t to);
/* sim_core_resend: to every peer, what is held of the rounds that matter. */
void sim_core_resend(struct sim_node *node);
/* sim_core_help: a peer is behind: the certificates of the heights that it lacks. */
void sim_core_help(struct sim_node *node, uint32_t to, uint64_t head);

/* ---- core_checks.c: each fails the simulation ---- */

bool sim_core_was_found_valid(const struct sim_core_machine *m, const sb_hash *block_id);
/* sim_core_check_first_prevote: line 22: a block without a proof of lock is timely, and of the round's proposer. */
void sim_core_check_first_prevote(struct sim_node *node, const struct sb_vote *vote);
/* sim_core_check_lock: lines 38 and 39: a precommit for a block is asked for with the lock on it. */
void sim_core_check_lock(const struct sim_node *node, const struct sb_vote *vote);
/* sim_core_check_growth: timeouts grow with the round, or slow networks never decide. */
void sim_core_check_growth(struct sim_node *node, enum sb_bft_timeout kind,
                           const struct sim_core_timer *timer);
/* sim_core_check_skip: line 55, both ways: a vote of a later round. */
void sim_core_check_skip(struct sim_node *node, const struct sb_bft_status *before,
                         const struct sb_bft_input *input);
/* sim_core_check_valid_value: lines 36 to 43: a polka for the proposed block of the present round. */
void sim_core_check_valid_value(struct sim_node *node);

#endif
