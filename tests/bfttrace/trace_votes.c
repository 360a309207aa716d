/* trace_votes.c: traces of kind "votekeeper": each vote goes to the vote keeper; what the model would emit then is asked of it.
 *
 * Rules of the model: a skip first, if the vote's round is above the current one and f + 1 have voted there; else a quorum for the value
 * that the vote names (of nil precommits: "any"); else a quorum of any votes; each output once a round. The model looks at the
 * thresholds again for a repeated or conflicting vote too, with the value that it names; our keeper does not need that, so only this
 * file asks for it then. The model's current round may go back, ours not: only skips depend on it. */
#include <stdio.h>

#include "consensus/vote_keeper.h"
#include "tests/bfttrace/trace.h"

#define OUTPUTS_MAX  256
#define OUTPUT_BYTES 96

/* Outputs that were emitted. */
struct emitted {
    char list[OUTPUTS_MAX][OUTPUT_BYTES];
    size_t count;
};

static bool is_emitted(const struct emitted *emitted, const char *output)
{
    for (size_t i = 0; i < emitted->count; i++) {
        if (strcmp(emitted->list[i], output) == 0) {
            return true;
        }
    }
    return false;
}

/* candidate: what the keeper's state means for this vote; empty: nothing. */
static void candidate(char ret[OUTPUT_BYTES], const struct sb_vote_keeper *keeper,
                      const struct sb_vote *vote, const char *value, int32_t current)
{
    bool is_prevote = vote->type == SB_VOTE_PREVOTE;
    const sb_hash *block = sb_vote_keeper_block(keeper, vote->type, vote->round);
    ret[0] = '\0';
    if (vote->round > current && sb_vote_keeper_skip(keeper) == vote->round) {
        (void)snprintf(ret, OUTPUT_BYTES, "Skip %d", vote->round);
    } else if (value != NULL && block != NULL && sb_hash_equal(block, &vote->block_id)) {
        (void)snprintf(ret, OUTPUT_BYTES, "%s %d %s", is_prevote ? "PolkaValue" : "PrecommitValue",
                       vote->round, value);
    } else if (value == NULL && is_prevote &&
               sb_vote_keeper_has_nil_quorum(keeper, vote->type, vote->round)) {
        (void)snprintf(ret, OUTPUT_BYTES, "PolkaNil %d", vote->round);
    } else if (sb_vote_keeper_has_quorum(keeper, vote->type, vote->round)) {
        (void)snprintf(ret, OUTPUT_BYTES, "%s %d", is_prevote ? "PolkaAny" : "PrecommitAny",
                       vote->round);
    }
}

/* expected_output: the model's, in our words. */
static void expected_output(char ret[OUTPUT_BYTES], const json_t *out)
{
    char name[OUTPUT_BYTES];
    const json_t *argument = variant_argument(out);
    (void)snprintf(name, sizeof name, "%.60s", variant_name(out));
    char *end = strstr(name, "VKOutput");
    if (end != NULL) {
        *end = '\0';
    }
    if (strcmp(name, "No") == 0) {
        ret[0] = '\0';
    } else if (json_is_array(argument)) {
        const json_t *value = json_array_get(argument, 1);
        const char *text = json_is_string(value) ? json_string_value(value) : value_name(value);
        (void)snprintf(ret, OUTPUT_BYTES, "%.20s %d %.60s", name,
                       (int)json_integer_value(json_array_get(argument, 0)),
                       text != NULL ? text : "?");
    } else {
        (void)snprintf(ret, OUTPUT_BYTES, "%.20s %d", name, (int)json_integer_value(argument));
    }
}

static enum trace_result replay(struct trace *trace, struct sb_vote_keeper *keeper,
                                struct emitted *emitted)
{
    int32_t present = 0;
    size_t index;
    json_t *step;
    json_array_foreach(trace->steps, index, step)
    {
        const json_t *arguments = variant_argument(json_object_get(step, "wv"));
        char expected[OUTPUT_BYTES];
        char output[OUTPUT_BYTES] = "";
        expected_output(expected, json_object_get(step, "out"));
        if (arguments != NULL) {
            const json_t *model_vote = json_array_get(arguments, 0);
            int32_t current = (int32_t)json_integer_value(json_array_get(arguments, 2));
            struct sb_vote vote;
            struct sb_evidence evidence;
            if (!vote_of(&vote, trace, model_vote)) {
                return trace_fail(trace, index, "a vote of nobody");
            }
            if (current > present) {
                present = current;
                sb_vote_keeper_move(keeper, present, &present, 0);
            }
            if (sb_vote_keeper_add(keeper, &vote, &evidence) != SB_VOTE_COUNTED) {
                trace->notes->repeat_votes++;
            }
            candidate(output, keeper, &vote, value_name(json_object_get(model_vote, "valueId")),
                      current);
            if (is_emitted(emitted, output)) {
                output[0] = '\0';
            } else if (output[0] != '\0' && emitted->count < OUTPUTS_MAX) {
                memcpy(emitted->list[emitted->count++], output, sizeof output);
            }
        }
        if (strcmp(output, expected) != 0) {
            return trace_fail(trace, index, "output '%s', the model says '%s'", output, expected);
        }
        trace->notes->checked_steps++;
        trace->notes->compared_outputs++;
    }
    return TRACE_PASSED;
}

enum trace_result trace_votes(struct trace *trace)
{
    static struct emitted emitted;
    emitted.count = 0;
    struct sb_vote_keeper *keeper = sb_vote_keeper_new(TRACE_VALIDATORS_MAX);
    if (keeper == NULL) {
        return trace_fail(trace, 0, "out of memory");
    }
    sb_vote_keeper_reset(keeper, &trace->set);
    enum trace_result result = replay(trace, keeper, &emitted);
    sb_vote_keeper_free(keeper);
    return result;
}
