/* bft_impl.h: what the core holds, for its own files: bft.c (inputs) and bft_rules.c (rules).
 *
 *      bft.c         judge an input, note it, journal it
 *        v
 *      bft_rules.c   votes x proposals x verdicts x step  ->  inputs of the round machine, until none is left
 *        v                                                    or a signature is awaited
 *      round.c       lines 11-67
 *        v
 *      bft_rules.c   outputs of the round machine  ->  effects */
#ifndef SB_CONSENSUS_BFT_IMPL_H
#define SB_CONSENSUS_BFT_IMPL_H

#include "consensus/proposal_keeper.h"
#include "consensus/round.h"
#include "consensus/vote_keeper.h"

/* What happened in the present round: "for the first time" of lines 34, 36 and 47, and whether a value is awaited. */
struct bft_round_flags {
    bool fired_34, fired_36, fired_47;
    bool awaits_value;
};

struct sb_bft {
    struct sb_bft_config config;
    size_t validators_max;
    const struct sb_validator_set *set; /* NULL before the first height */
    struct sb_bft_timeliness timeliness;
    int own_index; /* -1: we follow */
    struct sb_round_state state;
    struct bft_round_flags flags;
    struct sb_vote_keeper *votes;
    struct sb_proposal_keeper proposals;
    bool awaits_signature;
    struct sb_bft_message awaited;
    struct sb_commit_sig *decided_sigs; /* what DECIDE shows */
};

/* bft_emit: append an effect, zeroed but for its type. */
struct sb_bft_effect *bft_emit(struct sb_bft_effects *out, enum sb_bft_effect_type type);

/* bft_give: hand an input to the round machine and turn what it puts out into effects. */
void bft_give(struct sb_bft *core, struct sb_bft_effects *out, const struct sb_round_input *input);

/* bft_run_rules: give the round machine what holds now, and ask about blocks, until nothing is left to do or a signature is awaited.
 * vote_came: the input of this step was a vote or a certificate, which decides between line 34 and line 36 (see bft_rules.c). */
void bft_run_rules(struct sb_bft *core, struct sb_bft_effects *out, bool vote_came);

#endif
