/* round.c: see round.h. One function for each group of lines of the paper. */
#include "consensus/round.h"

#include "base/util/assert.h"
#include "consensus/mutant.h"

typedef struct sb_round_output output;

static const output nothing = {.type = SB_ROUND_OUT_NONE};

void sb_round_init(struct sb_round_state *ret_state, uint64_t height)
{
    memset(ret_state, 0, sizeof *ret_state);
    ret_state->height = height;
    ret_state->round = -1;
    ret_state->step = SB_ROUND_UNSTARTED;
    ret_state->locked.round = -1;
    ret_state->valid.round = -1;
}

static output schedule(const struct sb_round_state *state, enum sb_bft_timeout timeout)
{
    return (output){
        .type = SB_ROUND_OUT_SCHEDULE_TIMEOUT, .round = state->round, .timeout = timeout};
}

/* vote: for a value, or nil when it is NULL. */
static output vote(const struct sb_round_state *state, enum sb_vote_type type,
                   const struct sb_bft_value *value)
{
    output out = {.type = SB_ROUND_OUT_VOTE, .round = state->round, .vote_type = type};
    if (value != NULL) {
        out.value = *value;
    }
    return out;
}

static output prevote(struct sb_round_state *state, const struct sb_bft_value *value)
{
    state->step = SB_ROUND_PREVOTE;
    return vote(state, SB_VOTE_PREVOTE, value);
}

static output precommit(struct sb_round_state *state, const struct sb_bft_value *value)
{
    state->step = SB_ROUND_PRECOMMIT;
    return vote(state, SB_VOTE_PRECOMMIT, value);
}

static output leave_for(struct sb_round_state *state, int32_t round)
{
    state->step = SB_ROUND_UNSTARTED;
    return (output){.type = SB_ROUND_OUT_NEW_ROUND, .round = round};
}

/* Lines 11-21. The proposer sets the timer too: its getValue() may never answer. */
static output new_round(struct sb_round_state *state, const struct sb_round_input *input)
{
    if (state->step != SB_ROUND_UNSTARTED || input->round <= state->round) {
        return nothing;
    }
    state->round = input->round;
    state->step = SB_ROUND_PROPOSE;
    if (SB_BFT_MUTANT(lock_lost_in_new_round)) {
        state->locked.round = -1;
    }
    if (!input->is_proposer) {
        return schedule(state, SB_BFT_TIMEOUT_PROPOSE);
    }
    if (state->valid.round >= 0 && !SB_BFT_MUTANT(repropose_dropped)) {
        return (output){.type = SB_ROUND_OUT_PROPOSAL,
                        .round = state->round,
                        .pol_round = state->valid.round,
                        .value = state->valid.value};
    }
    return (output){.type = SB_ROUND_OUT_GET_VALUE_AND_SCHEDULE_TIMEOUT,
                    .round = state->round,
                    .timeout = SB_BFT_TIMEOUT_PROPOSE};
}

static output propose_value(const struct sb_round_state *state, const struct sb_round_input *input)
{
    if (state->step != SB_ROUND_PROPOSE) {
        return nothing;
    }
    return (output){.type = SB_ROUND_OUT_PROPOSAL,
                    .round = state->round,
                    .pol_round = -1,
                    .value = input->value};
}

static bool is_locked_on(const struct sb_round_state *state, const struct sb_bft_value *value)
{
    return state->locked.round >= 0 &&
           sb_hash_equal(&state->locked.value.block_id, &value->block_id);
}

/* Lines 22-27. */
static output proposal(struct sb_round_state *state, const struct sb_round_input *input)
{
    if (state->step != SB_ROUND_PROPOSE) {
        return nothing;
    }
    bool is_free = state->locked.round < 0 || is_locked_on(state, &input->value) ||
                   SB_BFT_MUTANT(lock_ignored);
    return prevote(state, is_free ? &input->value : NULL);
}

/* Lines 28-33. */
static output proposal_and_polka_previous(struct sb_round_state *state,
                                          const struct sb_round_input *input)
{
    if (state->step != SB_ROUND_PROPOSE || input->round >= state->round) {
        return nothing;
    }
    bool is_free = state->locked.round <= input->round || is_locked_on(state, &input->value);
    if (SB_BFT_MUTANT(lock_round_unchecked)) {
        is_free = true;
    }
    if (SB_BFT_MUTANT(lock_ignored)) {
        is_free = true;
    }
    return prevote(state, is_free ? &input->value : NULL);
}

/* Lines 36-43: what has a polka becomes the valid value even when it comes too late to be precommitted. */
static output proposal_and_polka_current(struct sb_round_state *state,
                                         const struct sb_round_input *input)
{
    if (state->step != SB_ROUND_PREVOTE && state->step != SB_ROUND_PRECOMMIT) {
        return nothing;
    }
    const struct sb_round_value now = {.round = state->round, .value = input->value};
    bool is_late = state->step == SB_ROUND_PRECOMMIT;
    if (!SB_BFT_MUTANT(valid_value_dropped) &&
        !(is_late && SB_BFT_MUTANT(valid_value_not_in_precommit))) {
        state->valid = now;
    }
    if (is_late) {
        return nothing;
    }
    if (state->locked.round < 0 || !SB_BFT_MUTANT(lock_not_replaced)) {
        state->locked = now;
    }
    return precommit(state, &input->value);
}

/* Lines 44-46: the lock stays. */
static output polka_nil(struct sb_round_state *state)
{
    if (state->step != SB_ROUND_PREVOTE) {
        return nothing;
    }
    if (SB_BFT_MUTANT(nil_polka_unlocks)) {
        state->locked.round = -1;
    }
    return precommit(state, NULL);
}

/* Lines 49-54. */
static output decide(struct sb_round_state *state, const struct sb_round_input *input)
{
    if (state->step == SB_ROUND_COMMIT) {
        return nothing;
    }
    state->step = SB_ROUND_COMMIT;
    return (output){.type = SB_ROUND_OUT_DECISION, .round = input->round, .value = input->value};
}

/* Lines 57-67. A timer of another height, round or step is stale. */
static output timeout(struct sb_round_state *state, const struct sb_round_input *input)
{
    bool is_present = input->height == state->height && input->round == state->round;
    bool is_stale_taken = SB_BFT_MUTANT(stale_timer_taken);
    if (!is_present && !is_stale_taken) {
        return nothing;
    }
    if (input->type == SB_ROUND_TIMEOUT_PROPOSE && state->step == SB_ROUND_PROPOSE) {
        return prevote(state, NULL);
    }
    if (input->type == SB_ROUND_TIMEOUT_PREVOTE && state->step == SB_ROUND_PREVOTE) {
        return precommit(state, NULL);
    }
    if (input->type == SB_ROUND_TIMEOUT_PRECOMMIT && state->round < SB_ROUND_MAX) {
        return leave_for(state, state->round + 1);
    }
    return nothing;
}

struct sb_round_output sb_round_step(struct sb_round_state *state,
                                     const struct sb_round_input *input)
{
    if (state->step == SB_ROUND_COMMIT) {
        return nothing;
    }
    switch (input->type) {
    case SB_ROUND_NEW:
        return new_round(state, input);
    case SB_ROUND_PROPOSE_VALUE:
        return propose_value(state, input);
    case SB_ROUND_PROPOSAL:
        return proposal(state, input);
    case SB_ROUND_INVALID_PROPOSAL:
    case SB_ROUND_INVALID_PROPOSAL_AND_POLKA_PREVIOUS:
        return state->step == SB_ROUND_PROPOSE ? prevote(state, NULL) : nothing;
    case SB_ROUND_PROPOSAL_AND_POLKA_PREVIOUS:
        return proposal_and_polka_previous(state, input);
    case SB_ROUND_POLKA_ANY:
        return state->step == SB_ROUND_PREVOTE ? schedule(state, SB_BFT_TIMEOUT_PREVOTE) : nothing;
    case SB_ROUND_PROPOSAL_AND_POLKA_CURRENT:
        return proposal_and_polka_current(state, input);
    case SB_ROUND_POLKA_NIL:
        return polka_nil(state);
    case SB_ROUND_PRECOMMIT_ANY:
        return schedule(state, SB_BFT_TIMEOUT_PRECOMMIT);
    case SB_ROUND_PROPOSAL_AND_PRECOMMIT_VALUE:
        return decide(state, input);
    case SB_ROUND_SKIP:
        return input->round > state->round ? leave_for(state, input->round) : nothing;
    case SB_ROUND_TIMEOUT_PROPOSE:
    case SB_ROUND_TIMEOUT_PREVOTE:
    case SB_ROUND_TIMEOUT_PRECOMMIT:
        return timeout(state, input);
    }
    SB_UNREACHABLE();
}
