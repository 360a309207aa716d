/* vote_tally.h: votes of one type in one round, counted, with the certificate that they grow into.
 *
 *      votes   [0: a] [1: -] [2: b] [3: a] [4: nil]      one a validator, the first that came
 *      any     power of 0, 2, 3, 4                        nil    power of 4
 *      block   a, once a quorum has voted for it, or a certificate of it has come
 *      sigs    [0: BLOCK] [1: ABSENT] [2: ABSENT, or BLOCK from the certificate] [3: BLOCK] [4: NIL]
 *
 * The arrays are the keeper's (vote_keeper.c), as long as the set. */
#ifndef SB_CONSENSUS_VOTE_TALLY_H
#define SB_CONSENSUS_VOTE_TALLY_H

#include "consensus/bft.h"

enum sb_vote_taken {
    SB_VOTE_COUNTED,
    SB_VOTE_KNOWN,     /* the same vote is held */
    SB_VOTE_EVIDENCE,  /* it conflicts with the one held: evidence, given for the first time */
    SB_VOTE_CONFLICTS, /* the same, and evidence was given before */
    SB_VOTE_REFUSED,   /* not of this set, or of a round that is not held */
};

struct sb_vote_tally {
    enum sb_vote_type type;
    struct sb_vote *votes; /* empty signature: no vote */
    bool *is_reported;     /* evidence was given against this validator here */
    int64_t any;           /* power of all voters */
    int64_t nil;
    bool has_block; /* a quorum voted for `block`; sigs are its certificate */
    sb_hash block;
    struct sb_commit_sig *sigs;
};

/* sb_vote_is: a place for a vote holds one. */
static inline bool sb_vote_is(const struct sb_vote *vote)
{
    return vote->signature.len != 0;
}

/* sb_vote_quorum: 3w > 2P, with the mutants of that rule. */
bool sb_vote_quorum(const struct sb_validator_set *set, int64_t power);

/* sb_vote_tally_reset: no votes; type and arrays stay. */
void sb_vote_tally_reset(struct sb_vote_tally *tally, size_t count);

/* sb_vote_compare: what a second vote for the place of `held` is. ret_evidence and *is_reported are set for SB_VOTE_EVIDENCE. */
enum sb_vote_taken sb_vote_compare(struct sb_evidence *ret_evidence, bool *is_reported,
                                   const struct sb_vote *held, const struct sb_vote *vote);
/* sb_vote_tally_add: a vote of this type and round by a validator of the set. */
enum sb_vote_taken sb_vote_tally_add(struct sb_vote_tally *tally,
                                     const struct sb_validator_set *set, const struct sb_vote *vote,
                                     struct sb_evidence *ret_evidence);

/* sb_vote_is_certificate: it has the form of the set, and its entries for the block are a quorum. */
bool sb_vote_is_certificate(const struct sb_validator_set *set,
                            const struct sb_bft_certificate *certificate);
/* sb_vote_tally_take: what a certificate of this type and round brings: its block, unless another has a quorum already, its signatures,
 * its votes where none are held. Evidence that comes to light is written to ret_evidence, at most evidence_max pieces. true when
 * something was new. */
bool sb_vote_tally_take(struct sb_vote_tally *tally, const struct sb_validator_set *set,
                        const struct sb_bft_certificate *certificate,
                        struct sb_evidence *ret_evidence, size_t evidence_max,
                        size_t *ret_evidence_count);

#endif
