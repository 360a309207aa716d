/* check.h: what must hold in every simulated cluster, looked at after each step.
 *
 *   signed     one message for a place (height, round, step) in all lives of an honest node; a prevote for a block has its proposal
 *              and obeys the lock (lines 22-33); a precommit for a block has its polka (line 36)
 *   decided    the same block everywhere (agreement); valid by the application, proposed by the proposer of a round (validity); more
 *              than two thirds of distinct valid signatures; the next height of that node
 *   sets       each node computes the same stake, set and turns from the blocks; nobody who was convicted comes back (rotations.c)
 *   standing   (head, height, round, step) never goes back within a life; a round is entered by a quorum of precommits of the round
 *              before or by messages of more than a third (lines 55, 65); what was acknowledged is there after a restart
 *   evidence   never names an honest node; an honest node never accuses another of a wrong message
 *
 * It knows more than any node does: all signatures, whoever made them. */
#ifndef SB_TESTS_SIM_CHECK_H
#define SB_TESTS_SIM_CHECK_H

#include "consensus/bft.h"
#include "node/p2p/channel.h"

struct sim;
struct sim_check;
struct sim_application;

/* What a decided block is, by the application. */
struct sim_block_facts {
    bool is_valid;
    sb_hash state;                     /* after it */
    const struct sim_application *app; /* after it; NULL with the core alone */
};

struct sim_check *sim_check_new(void);
void sim_check_free(struct sim_check *check);

/* sim_check_signed: a signature was made, by an honest node or an adversary. */
void sim_check_signed(struct sim *sim, uint32_t node, const struct sb_bft_message *message);
/* sim_check_heard: a vote has reached an honest node: it is in its log. */
void sim_check_heard(struct sim *sim, const struct sb_vote *vote);
void sim_check_decided(struct sim *sim, uint32_t node, const struct sb_commit *commit,
                       const struct sim_block_facts *facts);
void sim_check_standing(struct sim *sim, uint32_t node);
/* sim_check_restarted: after recovery: `state` is what the node's head says now. */
void sim_check_restarted(struct sim *sim, uint32_t node, uint64_t head, const sb_hash *state);
/* sim_check_offence: `node` accuses `other` of a wrong message. */
void sim_check_offence(struct sim *sim, uint32_t node, uint32_t other, enum sb_offence offence,
                       const char *why);
void sim_check_evidence(struct sim *sim, uint32_t node, const struct sb_evidence *evidence);

/* sim_check_power: power that signed this vote, each validator once. */
int64_t sim_check_power(const struct sim *sim, uint64_t height, int32_t round,
                        enum sb_vote_type type, const sb_hash *block_id);
/* sim_check_decided_id: the block decided at a height; NULL: none yet. */
const sb_hash *sim_check_decided_id(const struct sim *sim, uint64_t height);

/* ---- accountability.c ---- */

/* One thing that validators signed: who, and whose votes honest nodes have seen. Bits are nodes. */
struct sim_signed {
    uint64_t height;
    int32_t round;
    uint8_t type; /* 0 proposal, else enum sb_vote_type */
    sb_hash block_id;
    uint64_t pol_rounds; /* of proposals: bit r + 1 */
    uint32_t signers, heard;
    uint32_t next_in_bucket, next_in_height; /* index + 1; 0 ends */
};

/* sim_check_each: all of one height; start with 0, ends with NULL. */
const struct sim_signed *sim_check_each(const struct sim_check *check, uint64_t height,
                                        uint32_t *at);
/* sim_accountability: a fork at this height: culprits (equivocation, amnesia) from what honest nodes have heard. Fails the run unless
 * they hold more than a third and none is honest. */
void sim_accountability(struct sim *sim, uint64_t height);

#endif
