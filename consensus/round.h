/* round.h: the round machine of one height: lines 11-67 of Tendermint as a pure function (arXiv 1807.04938; docs/spec/consensus.md).
 *
 *                    new round                proposal, or timeout            polka, or timeout
 *      UNSTARTED ----------------> PROPOSE ------------------------> PREVOTE ------------------> PRECOMMIT
 *          ^                          |                                 |                            |
 *          +--------------------------+------- skip, or timeout --------+----------------------------+
 *                                     +------- quorum of precommits (of any round) ------------------+----> COMMIT
 *
 * An input says that the condition of a rule holds: whoever counts votes and judges blocks (bft_rules.c) has seen to it. The machine
 * adds what depends on its own state: step, lock, valid value. At most one output comes of an input; an input that means nothing in
 * the present step changes nothing. */
#ifndef SB_CONSENSUS_ROUND_H
#define SB_CONSENSUS_ROUND_H

#include "consensus/bft.h"

enum sb_round_step {
    SB_ROUND_UNSTARTED,
    SB_ROUND_PROPOSE,
    SB_ROUND_PREVOTE,
    SB_ROUND_PRECOMMIT,
    SB_ROUND_COMMIT,
};

/* A value with the round that its lock or polka is of; -1: none, and the value means nothing. */
struct sb_round_value {
    int32_t round;
    struct sb_bft_value value;
};

struct sb_round_state {
    uint64_t height;
    int32_t round; /* -1 before the first */
    enum sb_round_step step;
    struct sb_round_value locked;
    struct sb_round_value valid;
};

enum sb_round_input_type {
    SB_ROUND_NEW,              /* lines 11-21, begin `round`; is_proposer: it is ours to propose */
    SB_ROUND_PROPOSE_VALUE,    /* line 18: getValue() has answered `value` */
    SB_ROUND_PROPOSAL,         /* line 22: proposal of `value`, valid, without POL round */
    SB_ROUND_INVALID_PROPOSAL, /* line 26: the present round's proposal is not valid */
    SB_ROUND_PROPOSAL_AND_POLKA_PREVIOUS, /* line 28: `round` is the POL round, its polka is seen */
    SB_ROUND_INVALID_PROPOSAL_AND_POLKA_PREVIOUS, /* line 32: the same, and the proposal is not valid */
    SB_ROUND_POLKA_ANY,                           /* line 34 */
    SB_ROUND_PROPOSAL_AND_POLKA_CURRENT,   /* line 36: polka for `value` in the present round */
    SB_ROUND_POLKA_NIL,                    /* line 44 */
    SB_ROUND_PRECOMMIT_ANY,                /* line 47 */
    SB_ROUND_PROPOSAL_AND_PRECOMMIT_VALUE, /* line 49: quorum for `value` in `round` */
    SB_ROUND_SKIP,                         /* line 55: f + 1 are in `round` */
    SB_ROUND_TIMEOUT_PROPOSE,              /* line 57, of (height, round) */
    SB_ROUND_TIMEOUT_PREVOTE,              /* line 61 */
    SB_ROUND_TIMEOUT_PRECOMMIT,            /* line 65 */
};

struct sb_round_input {
    enum sb_round_input_type type;
    bool is_proposer;
    uint64_t height; /* of timeouts */
    int32_t round;
    struct sb_bft_value value;
};

enum sb_round_output_type {
    SB_ROUND_OUT_NONE,
    SB_ROUND_OUT_NEW_ROUND, /* give SB_ROUND_NEW with `round` next */
    SB_ROUND_OUT_PROPOSAL,  /* propose `value`, POL round `pol_round` */
    SB_ROUND_OUT_VOTE,      /* vote_type; for value.block_id, nil when it is zero */
    SB_ROUND_OUT_SCHEDULE_TIMEOUT,
    SB_ROUND_OUT_GET_VALUE_AND_SCHEDULE_TIMEOUT,
    SB_ROUND_OUT_DECISION, /* `value` by the precommits of `round` */
};

struct sb_round_output {
    enum sb_round_output_type type;
    int32_t round;
    int32_t pol_round;
    enum sb_vote_type vote_type;
    enum sb_bft_timeout timeout;
    struct sb_bft_value value;
};

/* sb_round_init: before the first round of a height. */
void sb_round_init(struct sb_round_state *ret_state, uint64_t height);

/* sb_round_step: apply one input. The output's type is SB_ROUND_OUT_NONE when there is none. */
struct sb_round_output sb_round_step(struct sb_round_state *state,
                                     const struct sb_round_input *input);

#endif
