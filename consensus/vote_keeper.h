/* vote_keeper.h: the votes of one height, counted (docs/spec/consensus.md, sections 3, 6 and 8).
 *
 *      round   0     3     4     5     6 = present   7     8 ...                      1,000,000
 *            [full][full][full][full][   full    ][full]  [each validator's votes of its two highest rounds]
 *             lock
 *
 * Full rounds hold one prevote and one precommit of each validator: the first that came stands; another one from the same validator
 * for the same place is evidence and not counted. At most SB_VOTE_ROUNDS_MAX rounds are held in full: the present one, the next, the
 * pinned ones (lock, valid value, polka of a proposal), any with a quorum of precommits, and of the others the highest. Beyond the
 * next round only two rounds a validator are kept, so votes for huge rounds cost no more memory than any others; and after
 * SB_VOTE_FAR_ROUNDS_MAX of them its votes there are refused, so the journal does not grow without end either.
 *
 * A quorum of votes for one block stays one, and is kept with its signatures as a certificate: it may come whole, as the sum of single
 * votes, or both. Power is summed in integers: a quorum is 3w > 2P, f + 1 is 3w > P.
 *
 * Pure and deterministic; memory is taken once, in sb_vote_keeper_new. Signatures are the caller's to check. */
#ifndef SB_CONSENSUS_VOTE_KEEPER_H
#define SB_CONSENSUS_VOTE_KEEPER_H

#include "consensus/vote_tally.h"

#define SB_VOTE_ROUNDS_MAX 12
#define SB_VOTE_PINS_MAX   4
/* Rounds beyond the next that one validator may name in a height. An honest one does not come near: it would take it hours. */
#define SB_VOTE_FAR_ROUNDS_MAX 1024

struct sb_vote_keeper;

/* sb_vote_keeper_new: room for sets of so many validators. NULL when out of memory. */
struct sb_vote_keeper *sb_vote_keeper_new(size_t validators_max);
void sb_vote_keeper_free(struct sb_vote_keeper *keeper);

/* sb_vote_keeper_reset: forget everything; votes of this set follow, the present round is 0. The set is borrowed and fits. */
void sb_vote_keeper_reset(struct sb_vote_keeper *keeper, const struct sb_validator_set *set);
/* sb_vote_keeper_move: the present round (never lower than before) and up to SB_VOTE_PINS_MAX rounds to hold; -1 among them is nothing. */
void sb_vote_keeper_move(struct sb_vote_keeper *keeper, int32_t present, const int32_t *pins,
                         size_t pin_count);

/* sb_vote_keeper_add: count a vote. ret_evidence is written for SB_VOTE_EVIDENCE only. */
enum sb_vote_taken sb_vote_keeper_add(struct sb_vote_keeper *keeper, const struct sb_vote *vote,
                                      struct sb_evidence *ret_evidence);
/* sb_vote_keeper_add_certificate: take a certificate and the votes in it. true when something is new. Evidence that comes to light is
 * written to ret_evidence, at most evidence_max pieces; what has no room comes to light again later. */
bool sb_vote_keeper_add_certificate(struct sb_vote_keeper *keeper,
                                    const struct sb_bft_certificate *certificate,
                                    struct sb_evidence *ret_evidence, size_t evidence_max,
                                    size_t *ret_evidence_count);

/* sb_vote_keeper_has_quorum: votes of any kind; _has_nil_quorum: votes for nil. */
bool sb_vote_keeper_has_quorum(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                               int32_t round);
bool sb_vote_keeper_has_nil_quorum(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                   int32_t round);
/* sb_vote_keeper_block: the block that has a quorum in this round; NULL when none has. */
const sb_hash *sb_vote_keeper_block(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                    int32_t round);
/* sb_vote_keeper_skip: the highest round above the present one in which f + 1 have voted; -1: none. */
int32_t sb_vote_keeper_skip(const struct sb_vote_keeper *keeper);

/* sb_vote_keeper_commits: the rounds in which a block has a quorum of precommits, ascending; returns how many. */
size_t sb_vote_keeper_commits(const struct sb_vote_keeper *keeper,
                              int32_t ret_rounds[SB_VOTE_ROUNDS_MAX]);
/* sb_vote_keeper_vote: the vote that counts; NULL when none is held. Valid until the next change. */
const struct sb_vote *sb_vote_keeper_vote(const struct sb_vote_keeper *keeper,
                                          enum sb_vote_type type, int32_t round,
                                          uint32_t validator_index);
/* sb_vote_keeper_certificate: the quorum for a block with all signatures held for it; false when there is none. sigs: borrowed, valid
 * until the next change. */
bool sb_vote_keeper_certificate(struct sb_commit *ret_commit, const struct sb_vote_keeper *keeper,
                                enum sb_vote_type type, uint64_t height, int32_t round);

#endif
