/* trace.h: what the parts of bfttrace share: one trace of the Quint models in, a verdict out.
 *
 *      bfttrace.c        files, lines, counts
 *        +-- trace_guess.c    kind "driver": node by node
 *        |     +-- trace_driver.c               -> sb_bft_step
 *        +-- trace_round.c    kind "round-sm"    -> sb_round_step
 *        +-- trace_votes.c    kind "votekeeper"  -> sb_vote_keeper_add
 *
 * Validators, values and heights of a model become ours like this: validator i of the sorted names has the key and signature byte i + 1
 * and the weight as power; a value becomes the hash of its name; height h becomes h + 1, since ours begin at 1. */
#ifndef SB_TESTS_BFTTRACE_TRACE_H
#define SB_TESTS_BFTTRACE_TRACE_H

#include <jansson.h>

#include "consensus/bft.h"
#include "consensus/round.h"

#define TRACE_VALIDATORS_MAX 16
#define TRACE_REASON_BYTES   512

enum trace_result { TRACE_PASSED, TRACE_FAILED, TRACE_SKIPPED };

/* Counts of what the adapter forgave, by kind; printed with -v. */
struct trace_notes {
    unsigned long checked_steps, compared_outputs, compared_states;
    unsigned long late_prevote_timers, late_values, repeat_votes, preloaded_votes, guessed_nodes,
        left_nodes;
};

struct trace {
    json_t *steps;
    bool is_verbose;
    struct trace_notes *notes;
    size_t validator_count;
    const char *names[TRACE_VALIDATORS_MAX]; /* sorted as text, the models' order */
    uint32_t index_of[TRACE_VALIDATORS_MAX]; /* place of name i in the set */
    struct sb_validator validators[TRACE_VALIDATORS_MAX];
    struct sb_validator_set set;
    char reason[TRACE_REASON_BYTES]; /* why it failed or was skipped */
};

/* trace_open: validators of a trace. false: it has none that can be used, with a reason. */
bool trace_open(struct trace *trace, json_t *vals);
/* trace_name: which of the names; -1: none of them. */
int trace_name(const struct trace *trace, const char *name);
/* trace_fail: step and text go into the reason. Returns TRACE_FAILED. */
enum trace_result trace_fail(struct trace *trace, size_t step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Variants of the models: "Name" or ["Name", argument]. */
const char *variant_name(const json_t *variant);
json_t *variant_argument(const json_t *variant);
const char *text_of(const json_t *object, const char *key);
long number_of(const json_t *object, const char *key);
/* value_name: of ["Val", "red"], "red"; of "Nil", NULL. */
const char *value_name(const json_t *value);
/* value_id: the block that stands for a value; zero for NULL. */
sb_hash value_id(const char *name);
/* vote_of: a vote of the model, with a signature of its validator. false: it names no validator of the set. */
bool vote_of(struct sb_vote *ret, const struct trace *trace, const json_t *vote);

/* Votes whose preloading is tried in all combinations. */
#define GUESSES_MAX 10

/* Votes that may have waited for a node when it began a height, and which of them are taken to have. */
struct trace_guess {
    const json_t *votes[GUESSES_MAX];
    size_t count;
    uint32_t chosen;      /* bit i: votes[i] */
    const json_t *faulty; /* one more, of a validator that is no node of the model; NULL: none */
    bool may_leave;       /* the node may be left where its way and the model's part, both right */
};

/* trace_replay_node: the steps of one node, under one guess. */
enum trace_result trace_replay_node(struct trace *trace, size_t who,
                                    const struct trace_guess *guess);

enum trace_result trace_driver(struct trace *trace);
enum trace_result trace_round(struct trace *trace);
enum trace_result trace_votes(struct trace *trace);

#endif
