/* trace_round.c: traces of kind "round-sm": each event of the model goes to the round machine as it is; output and whole state are
 * compared after it.
 *
 * Two names differ: the model's SkipRoundOutput is our NEW_ROUND; its NewRoundProposerCInput is our NEW with is_proposer. The model
 * calls the step before the first round NoStep and that between rounds UnstartedStep: both are UNSTARTED here. Given a polka of the
 * present round with its proposal in step propose, the model prevotes as for the proposal alone: it is given as that. After the decision
 * the model still sets precommit timers: they mean nothing. */
#include <stdio.h>

#include "tests/bfttrace/trace.h"

/* How an event of the model is written: its name, ours, and where its arguments go. */
enum argument {
    NO_ARGUMENT,
    ROUND,
    VALUE,
    ROUND_AND_VALUE,
    VALUE_AND_ROUND,
    NAME,
    HEIGHT_AND_ROUND
};

static const struct {
    const char *name;
    enum sb_round_input_type type;
    enum argument argument;
} events[] = {
    {"NewRoundCInput", SB_ROUND_NEW, ROUND},
    {"NewRoundProposerCInput", SB_ROUND_NEW, ROUND},
    {"ProposeValueCInput", SB_ROUND_PROPOSE_VALUE, NAME},
    {"ProposalCInput", SB_ROUND_PROPOSAL, ROUND_AND_VALUE},
    {"ProposalInvalidCInput", SB_ROUND_INVALID_PROPOSAL, NO_ARGUMENT},
    {"ProposalAndPolkaPreviousAndValidCInput", SB_ROUND_PROPOSAL_AND_POLKA_PREVIOUS,
     VALUE_AND_ROUND},
    {"ProposalAndPolkaAndInvalidCInput", SB_ROUND_INVALID_PROPOSAL_AND_POLKA_PREVIOUS, VALUE},
    {"PolkaAnyCInput", SB_ROUND_POLKA_ANY, NO_ARGUMENT},
    {"PolkaNilCInput", SB_ROUND_POLKA_NIL, NO_ARGUMENT},
    {"ProposalAndPolkaAndValidCInput", SB_ROUND_PROPOSAL_AND_POLKA_CURRENT, VALUE},
    {"PrecommitAnyCInput", SB_ROUND_PRECOMMIT_ANY, NO_ARGUMENT},
    {"ProposalAndCommitAndValidCInput", SB_ROUND_PROPOSAL_AND_PRECOMMIT_VALUE, ROUND_AND_VALUE},
    {"RoundSkipCInput", SB_ROUND_SKIP, ROUND},
    {"TimeoutProposeCInput", SB_ROUND_TIMEOUT_PROPOSE, HEIGHT_AND_ROUND},
    {"TimeoutPrevoteCInput", SB_ROUND_TIMEOUT_PREVOTE, HEIGHT_AND_ROUND},
    {"TimeoutPrecommitCInput", SB_ROUND_TIMEOUT_PRECOMMIT, HEIGHT_AND_ROUND},
};

static int32_t round_at(const json_t *list, size_t at)
{
    return (int32_t)json_integer_value(json_array_get(list, at));
}

/* name_at: a value stands bare or as ["Val", name]. */
static struct sb_bft_value value_from(const json_t *value)
{
    const char *name = json_is_string(value) ? json_string_value(value) : value_name(value);
    return (struct sb_bft_value){.block_id = value_id(name)};
}

static bool event_of(struct sb_round_input *ret, const json_t *event)
{
    const char *name = variant_name(event);
    const json_t *argument = variant_argument(event);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (strcmp(events[i].name, name) != 0) {
            continue;
        }
        *ret = (struct sb_round_input){.type = events[i].type,
                                       .is_proposer = strcmp(name, "NewRoundProposerCInput") == 0};
        switch (events[i].argument) {
        case NO_ARGUMENT:
            break;
        case ROUND:
            ret->round = (int32_t)json_integer_value(argument);
            break;
        case VALUE:
        case NAME:
            ret->value = value_from(argument);
            break;
        case ROUND_AND_VALUE:
            ret->round = round_at(argument, 0);
            ret->value = value_from(json_array_get(argument, 1));
            break;
        case VALUE_AND_ROUND:
            ret->value = value_from(json_array_get(argument, 0));
            ret->round = round_at(argument, 1);
            break;
        case HEIGHT_AND_ROUND:
            ret->height = (uint64_t)round_at(argument, 0) + 1;
            ret->round = round_at(argument, 1);
            break;
        }
        return true;
    }
    return false;
}

static bool is_timeout(const char *name, enum sb_bft_timeout kind)
{
    static const char *const names[] = {"ProposeTimeout", "PrevoteTimeout", "PrecommitTimeout"};
    return name != NULL && strcmp(name, names[kind]) == 0;
}

static bool is_proposal(const struct sb_round_output *out, const json_t *proposal)
{
    sb_hash id = value_id(text_of(proposal, "proposal"));
    return out->round == number_of(proposal, "round") &&
           out->pol_round == number_of(proposal, "validRound") &&
           sb_hash_equal(&out->value.block_id, &id);
}

static bool is_vote(const struct sb_round_output *out, const json_t *vote)
{
    sb_hash id = value_id(value_name(json_object_get(vote, "valueId")));
    bool is_prevote = strcmp(text_of(vote, "voteType"), "Prevote") == 0;
    return out->round == number_of(vote, "round") &&
           is_prevote == (out->vote_type == SB_VOTE_PREVOTE) &&
           sb_hash_equal(&out->value.block_id, &id);
}

static bool is_output(const struct sb_round_output *out, const json_t *expected)
{
    const char *name = variant_name(expected);
    const json_t *argument = variant_argument(expected);
    switch (out->type) {
    case SB_ROUND_OUT_NONE:
        return strcmp(name, "NoConsensusOutput") == 0 || strcmp(name, "ErrorOutput") == 0;
    case SB_ROUND_OUT_NEW_ROUND:
        return strcmp(name, "SkipRoundOutput") == 0 && out->round == json_integer_value(argument);
    case SB_ROUND_OUT_PROPOSAL:
        return strcmp(name, "ProposalOutput") == 0 && is_proposal(out, argument);
    case SB_ROUND_OUT_VOTE:
        return strcmp(name, "VoteOutput") == 0 && is_vote(out, argument);
    case SB_ROUND_OUT_SCHEDULE_TIMEOUT:
        return strcmp(name, "TimeoutOutput") == 0 && out->round == round_at(argument, 0) &&
               is_timeout(json_string_value(json_array_get(argument, 1)), out->timeout);
    case SB_ROUND_OUT_GET_VALUE_AND_SCHEDULE_TIMEOUT:
        return strcmp(name, "GetValueAndScheduleTimeoutOutput") == 0 &&
               out->round == round_at(argument, 1) &&
               is_timeout(json_string_value(json_array_get(argument, 2)), out->timeout);
    case SB_ROUND_OUT_DECISION: {
        struct sb_bft_value value = value_from(json_array_get(argument, 1));
        return strcmp(name, "DecidedOutput") == 0 && out->round == round_at(argument, 0) &&
               sb_hash_equal(&out->value.block_id, &value.block_id);
    }
    }
    return false;
}

static bool is_held(const struct sb_round_value *held, const json_t *state, const char *round,
                    const char *value)
{
    sb_hash id = value_id(value_name(json_object_get(state, value)));
    return held->round == number_of(state, round) &&
           (held->round < 0 || sb_hash_equal(&held->value.block_id, &id));
}

static bool is_step(enum sb_round_step step, const char *name)
{
    static const char *const names[] = {"UnstartedStep", "ProposeStep", "PrevoteStep",
                                        "PrecommitStep", "CommitStep"};
    return strcmp(name, names[step]) == 0 ||
           (step == SB_ROUND_UNSTARTED && strcmp(name, "NoStep") == 0);
}

static bool is_state(const struct sb_round_state *state, const json_t *expected)
{
    return state->height == (uint64_t)number_of(expected, "height") + 1 &&
           state->round == number_of(expected, "round") &&
           is_step(state->step, text_of(expected, "step")) &&
           is_held(&state->locked, expected, "lockedRound", "lockedValue") &&
           is_held(&state->valid, expected, "validRound", "validValue");
}

enum trace_result trace_round(struct trace *trace)
{
    struct sb_round_state state;
    size_t index;
    json_t *step;
    json_array_foreach(trace->steps, index, step)
    {
        const json_t *event = json_object_get(step, "in");
        const json_t *expected = json_object_get(step, "cs");
        struct sb_round_output out = {.type = SB_ROUND_OUT_NONE};
        struct sb_round_input input;
        if (index == 0) {
            sb_round_init(&state, (uint64_t)number_of(expected, "height") + 1);
        }
        if (strcmp(variant_name(event), "NewHeightCInput") == 0) {
            sb_round_init(&state, (uint64_t)json_integer_value(variant_argument(event)) + 1);
        } else if (strcmp(variant_name(event), "NoConsensusInput") != 0) {
            if (!event_of(&input, event)) {
                return trace_fail(trace, index, "unknown event '%s'", variant_name(event));
            }
            if (input.type == SB_ROUND_PROPOSAL_AND_POLKA_CURRENT &&
                state.step == SB_ROUND_PROPOSE) {
                input.type = SB_ROUND_PROPOSAL;
            }
            out = sb_round_step(&state, &input);
        }
        bool is_idle_timer =
            state.step == SB_ROUND_COMMIT && out.type == SB_ROUND_OUT_NONE &&
            strcmp(variant_name(json_object_get(step, "out")), "TimeoutOutput") == 0;
        if (!is_idle_timer && !is_output(&out, json_object_get(step, "out"))) {
            return trace_fail(trace, index, "after %s: output %d, the model says %s",
                              variant_name(event), (int)out.type,
                              variant_name(json_object_get(step, "out")));
        }
        if (!is_state(&state, expected)) {
            return trace_fail(trace, index, "after %s: another state than the model's",
                              variant_name(event));
        }
        trace->notes->checked_steps++;
        trace->notes->compared_outputs++;
        trace->notes->compared_states++;
    }
    return TRACE_PASSED;
}
