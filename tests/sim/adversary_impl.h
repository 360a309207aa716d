/* adversary_impl.h: what the files of the adversary share; see adversary.h.
 *
 *      adversary.c          what it hears and knows, its votes, states and bitmaps
 *      adversary_blocks.c   its proposals and blocks        adversary_acts.c   what it does unasked */
#ifndef SB_TESTS_SIM_ADVERSARY_IMPL_H
#define SB_TESTS_SIM_ADVERSARY_IMPL_H

#include "node/messages.h"
#include "tests/sim/adversary.h"
#include "tests/sim/sim.h"

#define RING        64
#define IDS_MAX     64
#define MESSAGE_MAX ((size_t)256 * 1024)
#define ARENA_BYTES ((size_t)16 << 20)
#define ACT_MEAN_US UINT64_C(400000)
#define FLOOD_VOTES 12
#define SECOND_MAX  4 /* second blocks that are kept */

/* A block id that was proposed: what an equivocator may vote for. */
struct sim_known {
    uint64_t height;
    int32_t round;
    sb_hash id, parts_root;
    uint32_t block_bytes;
};

/* The other block of a round in which two are proposed. */
struct sim_second {
    uint64_t height;
    sb_hash first_id, id;
    uint8_t *encoded; /* owned; NULL with the core alone */
    size_t len;
};

struct sim_adversary {
    struct sim_node *node;
    uint32_t behaviours;
    struct sim_random random;
    struct sb_arena arena;
    struct sim_known known[IDS_MAX];
    uint64_t known_count;
    struct sim_packet *ring[RING]; /* owned copies of what it heard */
    uint64_t ring_count;
    struct sim_second seconds[SECOND_MAX];
    uint64_t second_count;
    uint32_t deaf_to; /* peers that a silent one never talks to */
    bool is_mute;     /* talks to nobody */
    uint8_t *scratch; /* owned */
};

static inline bool sim_adversary_has(const struct sim_adversary *a, enum sim_byzantine kind)
{
    return (a->behaviours >> kind & 1) != 0;
}

static inline void sim_adversary_act(struct sim_adversary *a, enum sim_byzantine kind)
{
    a->node->sim->counts.act[kind]++;
}

/* ---- adversary.c ---- */

/* sim_adversary_plan: the moment of its next act. */
void sim_adversary_plan(struct sim_node *node);
/* sim_adversary_send_raw: through its own lateness and garbling. send_message: the same, encoded. */
bool sim_adversary_send_raw(struct sim_adversary *a, uint32_t to, enum sb_channel channel,
                            sb_bytes raw);
bool sim_adversary_send_message(struct sim_adversary *a, uint32_t to,
                                const struct sb_message *message);
void sim_adversary_sign_vote(struct sim_adversary *a, struct sb_vote *vote);
void sim_adversary_sign_proposal(struct sim_adversary *a, struct sb_proposal *proposal);
/* sim_adversary_is_other_side: peers that are shown the second of two messages; the same for all adversaries of a cluster. */
bool sim_adversary_is_other_side(const struct sim_adversary *a, uint64_t height, uint32_t peer);
/* sim_adversary_learn: remember the block of a proposal. take_parts: what proposals of this block said of its bytes. */
void sim_adversary_learn(struct sim_adversary *a, const struct sb_proposal *proposal);
void sim_adversary_take_parts(const struct sim_adversary *a, struct sb_proposal *proposal);

/* ---- adversary_blocks.c: the replica sends; what leaves is the adversary's choice ---- */

bool sim_adversary_sends_proposal(struct sim_adversary *a, uint32_t to, struct sb_message *message);
bool sim_adversary_sends_part(struct sim_adversary *a, uint32_t to, struct sb_message *message);

#endif
