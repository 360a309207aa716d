/* trace_guess.c: which votes waited for a node when it began its height, tried out.
 *
 * The model counts waiting votes without a trace of it (see preload in trace_driver.c). So a node whose outputs differ is replayed again
 * with votes preloaded that others had sent by then and that it is never given afterwards, in all combinations; then with one vote of a
 * faulty validator beside, which the model's network may have made up. The node passes if one combination explains all that it did. */
#include "tests/bfttrace/trace.h"

/* is_given: the trace hands this vote to the node after step `from`. */
static bool is_given(const struct trace *trace, const json_t *vote, const char *who, size_t from)
{
    for (size_t i = from; i < json_array_size(trace->steps); i++) {
        const json_t *step = json_array_get(trace->steps, i);
        const json_t *in = json_object_get(step, "in");
        if (strcmp(text_of(step, "v"), who) == 0 && strcmp(variant_name(in), "VoteDInput") == 0 &&
            json_equal(variant_argument(in), vote)) {
            return true;
        }
    }
    return false;
}

/* find_guesses: votes that others sent before the node began their height and that it is never given afterwards. */
static void find_guesses(struct trace_guess *guess, const struct trace *trace, const char *who)
{
    guess->count = 0;
    size_t start;
    json_t *begun;
    json_array_foreach(trace->steps, start, begun)
    {
        if (strcmp(text_of(begun, "v"), who) != 0 ||
            strcmp(variant_name(json_object_get(begun, "in")), "StartDInput") != 0) {
            continue;
        }
        for (size_t i = 0; i < start && guess->count < GUESSES_MAX; i++) {
            const json_t *out = json_object_get(json_array_get(trace->steps, i), "out");
            const json_t *vote = variant_argument(out);
            if (strcmp(variant_name(out), "VoteOutput") == 0 &&
                number_of(vote, "height") == number_of(json_object_get(begun, "cs"), "height") &&
                !is_given(trace, vote, who, start)) {
                guess->votes[guess->count++] = vote;
            }
        }
    }
}

static bool is_faulty(const struct trace *trace, const char *name)
{
    size_t index;
    json_t *step;
    json_array_foreach(trace->steps, index, step)
    {
        if (strcmp(text_of(step, "v"), name) == 0) {
            return false;
        }
    }
    return true;
}

/* replay_combinations: fewest votes first would read better, but any combination will do. */
static enum trace_result replay_combinations(struct trace *trace, size_t who,
                                             struct trace_guess *guess)
{
    enum trace_result result = TRACE_FAILED;
    for (uint32_t chosen = 0; result != TRACE_PASSED && chosen >> guess->count == 0; chosen++) {
        guess->chosen = chosen;
        result = trace_replay_node(trace, who, guess);
    }
    return result;
}

/* replay_faulty: the same with one vote beside that a faulty validator may have sent. */
static enum trace_result replay_faulty(struct trace *trace, size_t who, struct trace_guess *guess)
{
    static const char *const types[] = {"Prevote", "Precommit"};
    static const char *const values[] = {NULL, "red", "blue"};
    enum trace_result result = TRACE_FAILED;
    for (size_t i = 0; i < trace->validator_count; i++) {
        for (int kind = 0; is_faulty(trace, trace->names[i]) && kind < 2 * 3 * 4; kind++) {
            const char *value = values[kind / 2 % 3];
            json_t *vote =
                json_pack("{s:i,s:i,s:s,s:s,s:o}", "height", 0, "round", kind / 6, "srcAddress",
                          trace->names[i], "voteType", types[kind % 2], "valueId",
                          value == NULL ? json_string("Nil") : json_pack("[s,s]", "Val", value));
            guess->faulty = vote;
            result = replay_combinations(trace, who, guess);
            json_decref(vote);
            guess->faulty = NULL;
            if (result == TRACE_PASSED) {
                return result;
            }
        }
    }
    return result;
}

/* replay_all: with no guess, then with each. */
static enum trace_result replay_all(struct trace *trace, size_t who, struct trace_guess *guess)
{
    if (replay_combinations(trace, who, guess) == TRACE_PASSED) {
        return TRACE_PASSED;
    }
    return replay_faulty(trace, who, guess);
}

/* trace_driver: node by node, since what one receives is in the trace. A node is left early only if no guess explains all that it did.
 * The first reason is kept: without a guess it reads best. */
enum trace_result trace_driver(struct trace *trace)
{
    for (size_t who = 0; who < trace->validator_count; who++) {
        struct trace_guess guess = {.count = 0};
        char reason[TRACE_REASON_BYTES];
        if (trace_replay_node(trace, who, &guess) == TRACE_PASSED) {
            continue;
        }
        memcpy(reason, trace->reason, sizeof reason);
        find_guesses(&guess, trace, trace->names[who]);
        trace->notes->guessed_nodes++;
        if (replay_all(trace, who, &guess) == TRACE_PASSED) {
            continue;
        }
        guess.may_leave = true;
        if (replay_all(trace, who, &guess) != TRACE_PASSED) {
            memcpy(trace->reason, reason, sizeof reason);
            return TRACE_FAILED;
        }
    }
    return TRACE_PASSED;
}
