/* proposal_keeper.h: the proposals of one height, and what is known of the blocks that they and the certificates name.
 *
 *      round 0   1   4   5   6 = present   7                 block id          asked?   verdict   time, proposer
 *          [p] [p] [p] [p] [    p     ] [ p ]                [8f..]            yes      valid     ...
 *           lock                                             [03..]            yes      unknown
 *
 * One proposal a round: the first that came. At most SB_PROPOSALS_MAX are held: those of the present round and the next, of the pinned
 * rounds (lock, valid value), and of the others the highest. A verdict belongs to the block, not to the round: it holds wherever the
 * block is proposed again. No memory is taken. */
#ifndef SB_CONSENSUS_PROPOSAL_KEEPER_H
#define SB_CONSENSUS_PROPOSAL_KEEPER_H

#include "consensus/bft.h"

#define SB_PROPOSALS_MAX 12
/* Blocks of all proposals, of lock and valid value, and of certificates beside. */
#define SB_KNOWN_BLOCKS_MAX 20

struct sb_held_proposal {
    bool is_used;
    bool is_own;
    struct sb_proposal message;
    uint64_t received_ms;
};

enum sb_verdict { SB_VERDICT_UNKNOWN, SB_VERDICT_VALID, SB_VERDICT_INVALID };

struct sb_known_block {
    bool is_used;
    sb_hash id;
    uint64_t asked; /* its place among all questions: the oldest is forgotten first */
    enum sb_verdict verdict;
    uint64_t time_ms; /* when valid */
    sb_addr proposer; /* the same */
};

struct sb_proposal_keeper {
    int32_t present;
    int32_t pins[2]; /* rounds to hold; -1: none */
    uint64_t asked;  /* questions so far */
    struct sb_held_proposal proposals[SB_PROPOSALS_MAX];
    struct sb_known_block blocks[SB_KNOWN_BLOCKS_MAX];
};

/* sb_proposal_keeper_reset: forget everything; the present round is 0. */
void sb_proposal_keeper_reset(struct sb_proposal_keeper *keeper);
void sb_proposal_keeper_move(struct sb_proposal_keeper *keeper, int32_t present,
                             const int32_t pins[2]);

/* sb_proposal_keeper_add: hold a proposal. false: one of its round is held, its round is neither near nor recent, or its POL round is
 * none that it can have. */
bool sb_proposal_keeper_add(struct sb_proposal_keeper *keeper, const struct sb_proposal *proposal,
                            uint64_t received_ms, bool is_own);
/* sb_proposal_keeper_get: of a round; NULL when none is held. */
const struct sb_held_proposal *sb_proposal_keeper_get(const struct sb_proposal_keeper *keeper,
                                                      int32_t round);
/* sb_proposal_keeper_find: the first proposal held that names this block; NULL: none. */
const struct sb_held_proposal *sb_proposal_keeper_find(const struct sb_proposal_keeper *keeper,
                                                       const sb_hash *block_id);

/* sb_proposal_keeper_block: what is known of a block; NULL: nobody has asked about it. */
struct sb_known_block *sb_proposal_keeper_block(struct sb_proposal_keeper *keeper,
                                                const sb_hash *block_id);
/* sb_proposal_keeper_ask: note that a verdict on this block is asked for. The block asked about longest ago makes room for it, other
 * than the two to hold (NULL: none). */
void sb_proposal_keeper_ask(struct sb_proposal_keeper *keeper, const sb_hash *block_id,
                            const sb_hash *hold_a, const sb_hash *hold_b);

#endif
