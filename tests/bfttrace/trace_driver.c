/* trace_driver.c: traces of kind "driver": a core for each validator of the model, driven by the inputs of the trace.
 *
 *      external input of v      ->  sb_bft_step, until the core is quiet     ->  outputs of the core, in words
 *      that and the small steps     (StepChange, Pending, NoInput)           ->  outputs of the model, in words
 *
 * Both sequences must be equal when the model is quiet too, and then the states. How the model's world is put before the core:
 *   - The model hands a node its own messages from outside. So SIGN is recorded as an output and answered by a refusal, after which the
 *     core neither holds nor counts its own message; it comes later as the model says.
 *   - A verdict is given at once, from the value's name, but not before the proposal that brings the value.
 *   - Proposals not signed by their round's proposer never reach a core: the host would refuse them.
 *   - A certificate that is no quorum for a block comes as single votes.
 *   - A node that begins a height with messages waiting is given them by the model without a trace of it: see preload().
 *
 * Each node is replayed by itself: what reaches it is in the trace.
 *
 * Differences that are forgiven, each for its reason:
 *   - After a decision the model goes on at that height, sets timers and may even enter another round: it means nothing.
 *   - When the model enters step prevote and holds the round's proposal, it looks for a polka of that and forgets line 34; the timer may
 *     follow with a later vote or never. Ours is set at once. So a prevote timer of ours need not be the model's now.
 *   - The model's precommit timer is set again for another step of the same round: ours is set once (line 48, "for the first time").
 *   - Proposing its valid value again the model sets no propose timer; ours does.
 *   - Two ways part, both right, and the node's later steps are left out: when a timer of the model overtakes its own small steps (a
 *     rule that holds already, which our core has followed at once), and when the model enters step prevote with a polka for nil and
 *     the round's proposal there, and forgets line 44 as it does line 34.
 *   - The model proposes a value even when it comes after the propose timeout, and the step is over; ours does not. */
#include <stdarg.h>
#include <stdio.h>

#include "base/util/assert.h"
#include "tests/bfttrace/trace.h"

#define WORD_BYTES   96
#define WORDS_MAX    512
#define MESSAGES_MAX 512
#define VALUES_MAX   64

/* Outputs that were not compared yet, in order. */
struct words {
    char list[WORDS_MAX][WORD_BYTES];
    size_t count;
};

struct node {
    struct sb_bft *core;
    bool is_begun; /* its present height was begun */
    long height;   /* of the model; -1 before the first */
    struct words ours;
    struct words models;
    char timers_set[WORDS_MAX][WORD_BYTES]; /* prevote and precommit timers of ours, ever */
    size_t timers_count;
    bool is_overtaken;  /* a timer came before small steps of the model that were due */
    bool is_left;       /* its later steps are left out */
    bool is_over;       /* both have decided the present height */
    const json_t *last; /* its last step */
    size_t last_index;
    sb_hash known[VALUES_MAX]; /* blocks that a proposal brought, at this height */
    size_t known_count;
    sb_hash asked[VALUES_MAX]; /* verdicts that are due */
    size_t asked_count;
};

/* One node of one trace on its way. */
struct driver {
    struct trace *trace;
    const char *who;
    struct node node;
    const char *values[VALUES_MAX]; /* names of all values met */
    size_t value_count;
    const json_t *sent[MESSAGES_MAX]; /* votes that the model's nodes have sent */
    size_t sent_count;
    const struct trace_guess *guess;
};

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    SB_ASSERT(words->count < WORDS_MAX);
    va_list list;
    va_start(list, format);
    (void)vsnprintf(words->list[words->count++], WORD_BYTES, format, list);
    va_end(list);
}

static void drop_word(struct words *words, size_t at)
{
    words->count--;
    memmove(words->list[at], words->list[at + 1], (words->count - at) * WORD_BYTES);
}

static const char *name_of(const struct driver *driver, const sb_hash *id)
{
    for (size_t i = 0; i < driver->value_count; i++) {
        sb_hash other = value_id(driver->values[i]);
        if (sb_hash_equal(&other, id)) {
            return driver->values[i];
        }
    }
    return sb_hash_is_zero(id) ? "nil" : "unknown";
}

static void learn_value(struct driver *driver, const char *name)
{
    sb_hash id = value_id(name);
    if (name != NULL && strcmp(name_of(driver, &id), "unknown") == 0) {
        SB_ASSERT(driver->value_count < VALUES_MAX);
        driver->values[driver->value_count++] = name;
    }
}

/* ---- the core's host ---- */

/* proposer_of: the same at every height. */
static uint32_t proposer_of(const struct trace *trace, int32_t round)
{
    return trace->index_of[((size_t)round + 1) % trace->validator_count];
}

/* proposer_asked: the core asks as it enters a round. When the model skips more than one round, it asks for the round after the one that
 * it leaves. */
static uint32_t proposer_asked(void *ctx, uint64_t height, int32_t round)
{
    (void)height;
    const struct driver *driver = ctx;
    int32_t left = sb_bft_status(driver->node.core).round;
    return proposer_of(driver->trace, round > left + 1 ? left + 1 : round);
}

static bool has_id(const sb_hash *list, size_t count, const sb_hash *id)
{
    for (size_t i = 0; i < count; i++) {
        if (sb_hash_equal(&list[i], id)) {
            return true;
        }
    }
    return false;
}

static void add_id(sb_hash *list, size_t *count, const sb_hash *id)
{
    if (!has_id(list, *count, id)) {
        SB_ASSERT(*count < VALUES_MAX);
        list[(*count)++] = *id;
    }
}

static void say_signed(struct driver *driver, struct node *node,
                       const struct sb_bft_message *message)
{
    if (message->is_proposal) {
        const struct sb_proposal *proposal = &message->as.proposal;
        size_t last = node->ours.count;
        if (proposal->pol_round >= 0 && last > 0 &&
            strstr(node->ours.list[last - 1], "timer propose") != NULL) {
            node->ours.count--;
        }
        say(&node->ours, "proposal %d %s %d", proposal->round, name_of(driver, &proposal->block_id),
            proposal->pol_round);
        return;
    }
    const struct sb_vote *vote = &message->as.vote;
    say(&node->ours, "%s %d %s", vote->type == SB_VOTE_PREVOTE ? "prevote" : "precommit",
        vote->round, name_of(driver, &vote->block_id));
}

static void say_timer(struct node *node, const struct sb_bft_effect *effect)
{
    static const char *const kinds[] = {"propose", "prevote", "precommit"};
    say(&node->ours, "timer %s %d", kinds[effect->as.timer.kind], effect->as.timer.round);
    if (effect->as.timer.kind != SB_BFT_TIMEOUT_PROPOSE) {
        SB_ASSERT(node->timers_count < WORDS_MAX);
        memcpy(node->timers_set[node->timers_count++], node->ours.list[node->ours.count - 1],
               WORD_BYTES);
    }
}

/* note: an effect, as a word or as a question to answer. */
static void note(struct driver *driver, struct node *node, const struct sb_bft_effect *effect)
{
    switch (effect->type) {
    case SB_BFT_SIGN:
        say_signed(driver, node, &effect->as.message);
        break;
    case SB_BFT_SET_TIMER:
        say_timer(node, effect);
        break;
    case SB_BFT_GET_VALUE: /* its timer is part of the model's output */
        SB_ASSERT(node->ours.count > 0);
        node->ours.count--;
        say(&node->ours, "get value %d", effect->as.get_value.round);
        break;
    case SB_BFT_VALIDATE:
        add_id(node->asked, &node->asked_count, &effect->as.validate.block_id);
        break;
    case SB_BFT_DECIDE:
        say(&node->ours, "decided %d %s", effect->as.decide.round,
            name_of(driver, &effect->as.decide.block_id));
        break;
    case SB_BFT_JOURNAL:
    case SB_BFT_BROADCAST:
    case SB_BFT_CANCEL_TIMERS:
    case SB_BFT_EVIDENCE:
    case SB_BFT_FETCH:
        break;
    }
}

/* next_answer: a verdict that can be given now. */
static bool next_answer(struct sb_bft_input *ret, struct driver *driver, struct node *node)
{
    for (size_t i = 0; i < node->asked_count; i++) {
        sb_hash id = node->asked[i];
        if (!has_id(node->known, node->known_count, &id)) {
            continue;
        }
        node->asked[i] = node->asked[--node->asked_count];
        memset(ret, 0, sizeof *ret);
        ret->type = SB_BFT_IN_VALIDITY;
        ret->as.validity.height = sb_bft_status(node->core).height;
        ret->as.validity.block_id = id;
        ret->as.validity.valid = strcmp(name_of(driver, &id), "invalid") != 0;
        return true;
    }
    return false;
}

/* give: an input and all that follows from it. */
static bool give(struct driver *driver, struct node *node, const struct sb_bft_input *first)
{
    static struct sb_bft_effects effects;
    struct sb_bft_input input = *first;
    for (;;) {
        if (sb_bft_step(node->core, &input, &effects, NULL) != SB_OK) {
            return false;
        }
        const struct sb_bft_effect *to_sign = NULL;
        for (size_t i = 0; i < effects.count; i++) {
            note(driver, node, &effects.list[i]);
            to_sign = effects.list[i].type == SB_BFT_SIGN ? &effects.list[i] : to_sign;
        }
        if (to_sign != NULL) {
            memset(&input, 0, sizeof input);
            input.type = SB_BFT_IN_SIGNED;
            input.as.signed_message = to_sign->as.message; /* unsigned: refused */
        } else if (!next_answer(&input, driver, node)) {
            return true;
        }
    }
}

static struct sb_bft_input new_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

static bool give_vote(struct driver *driver, struct node *node, const json_t *model_vote)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VOTE);
    learn_value(driver, value_name(json_object_get(model_vote, "valueId")));
    return !vote_of(&input.as.vote, driver->trace, model_vote) || give(driver, node, &input);
}

static bool give_proposal(struct driver *driver, struct node *node, const json_t *proposal)
{
    struct trace *trace = driver->trace;
    int who = trace_name(trace, text_of(proposal, "srcAddress"));
    struct sb_bft_input input = new_input(SB_BFT_IN_PROPOSAL);
    struct sb_proposal *message = &input.as.proposal.message;
    message->height = (uint64_t)number_of(proposal, "height") + 1;
    message->round = (int32_t)number_of(proposal, "round");
    message->pol_round = (int32_t)number_of(proposal, "validRound");
    message->block_id = value_id(text_of(proposal, "proposal"));
    message->block_bytes = 1;
    message->signature.len = 1;
    learn_value(driver, text_of(proposal, "proposal"));
    if (who < 0 || trace->index_of[who] != proposer_of(trace, message->round)) {
        return true;
    }
    add_id(node->known, &node->known_count, &message->block_id);
    if (!give(driver, node, &input)) {
        return false;
    }
    struct sb_bft_input answer;
    return !next_answer(&answer, driver, node) || give(driver, node, &answer);
}

static bool give_certificate(struct driver *driver, struct node *node, const json_t *votes)
{
    struct trace *trace = driver->trace;
    struct sb_commit_sig sigs[TRACE_VALIDATORS_MAX];
    struct sb_vote vote = {.round = 0};
    struct sb_vote first = {.round = -1};
    int64_t power = 0;
    bool is_one = true;
    size_t index;
    json_t *entry;
    memset(sigs, 0, sizeof sigs);
    json_array_foreach(votes, index, entry)
    {
        learn_value(driver, value_name(json_object_get(entry, "valueId")));
        if (!vote_of(&vote, trace, entry)) {
            continue;
        }
        first = index == 0 ? vote : first;
        is_one = is_one && vote.type == first.type && vote.round == first.round &&
                 sb_hash_equal(&vote.block_id, &first.block_id);
        sigs[vote.validator_index] =
            (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote.signature};
        power += trace->set.validators[vote.validator_index].power;
    }
    if (is_one && !sb_vote_is_nil(&first) && sb_power_is_quorum(power, trace->set.total_power)) {
        struct sb_bft_input input = new_input(SB_BFT_IN_CERTIFICATE);
        input.as.certificate.type = first.type;
        input.as.certificate.commit = (struct sb_commit){.height = first.height,
                                                         .round = first.round,
                                                         .block_id = first.block_id,
                                                         .sigs = sigs,
                                                         .sig_count = trace->set.count};
        return give(driver, node, &input);
    }
    json_array_foreach(votes, index, entry)
    {
        if (!give_vote(driver, node, entry)) {
            return false;
        }
    }
    return true;
}

static bool give_timeout(struct driver *driver, struct node *node, const char *kind)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_TIMEOUT);
    struct sb_bft_status status = sb_bft_status(node->core);
    input.as.timeout.kind = strcmp(kind, "ProposeTimeout") == 0   ? SB_BFT_TIMEOUT_PROPOSE
                            : strcmp(kind, "PrevoteTimeout") == 0 ? SB_BFT_TIMEOUT_PREVOTE
                                                                  : SB_BFT_TIMEOUT_PRECOMMIT;
    input.as.timeout.height = status.height;
    input.as.timeout.round = status.round;
    return give(driver, node, &input);
}

static bool give_value(struct driver *driver, struct node *node, const char *name)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VALUE);
    struct sb_bft_status status = sb_bft_status(node->core);
    learn_value(driver, name);
    input.as.value.height = status.height;
    input.as.value.round = status.round;
    input.as.value.value = (struct sb_bft_value){.block_id = value_id(name), .block_bytes = 1};
    return give(driver, node, &input);
}

/* ---- the beginning of a height ---- */

static bool start(struct driver *driver, struct node *node)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_START_HEIGHT);
    input.as.start.height = (uint64_t)node->height + 1;
    input.as.start.set = &driver->trace->set;
    return give(driver, node, &input);
}

/* explains: this vote, sent before, helps to explain that the node begins as it does: in a later round, or with a commit. */
static bool explains(const struct node *node, const json_t *vote, const json_t *event)
{
    if (number_of(vote, "height") != node->height) {
        return false;
    }
    if (strcmp(variant_name(event), "NewRoundCInput") == 0) {
        long round = (long)json_integer_value(variant_argument(event));
        return number_of(vote, "round") == round && sb_bft_status(node->core).round != round;
    }
    const json_t *commit = variant_argument(event);
    const char *value = value_name(json_object_get(vote, "valueId"));
    const char *wanted = json_string_value(json_array_get(commit, 1));
    return number_of(vote, "round") == json_integer_value(json_array_get(commit, 0)) &&
           value != NULL && wanted != NULL && strcmp(value, wanted) == 0 &&
           strcmp(text_of(vote, "voteType"), "Precommit") == 0;
}

static bool preload_vote(struct driver *driver, struct node *node, const json_t *vote)
{
    driver->trace->notes->preloaded_votes++;
    return give_vote(driver, node, vote);
}

/* preload: the model counts the votes that wait for a node into its vote keeper when the node begins a height, and shows it only by the
 * first step: PendingDInput of a new round or of a commit instead of StartDInput, or StartDInput and later thresholds that no vote of
 * the trace explains. Which votes waited is not in the trace. In the first case those are taken that were sent before and explain the
 * step, in the other those of the guess. */
static bool preload(struct driver *driver, struct node *node, const json_t *in)
{
    if (strcmp(variant_name(in), "StartDInput") != 0) {
        for (size_t i = 0; i < driver->sent_count; i++) {
            if (explains(node, driver->sent[i], variant_argument(in)) &&
                !preload_vote(driver, node, driver->sent[i])) {
                return false;
            }
        }
        return true;
    }
    const struct trace_guess *guess = driver->guess;
    for (size_t i = 0; i < guess->count; i++) {
        if ((guess->chosen >> i & 1) != 0 && number_of(guess->votes[i], "height") == node->height &&
            !preload_vote(driver, node, guess->votes[i])) {
            return false;
        }
    }
    return guess->faulty == NULL || number_of(guess->faulty, "height") != node->height ||
           preload_vote(driver, node, guess->faulty);
}

static bool is_first_step(const struct node *node, const json_t *step)
{
    const json_t *in = json_object_get(step, "in");
    const char *event = variant_name(variant_argument(in));
    if (number_of(json_object_get(step, "cs"), "height") == node->height && node->is_begun) {
        return false;
    }
    return strcmp(variant_name(in), "StartDInput") == 0 || strcmp(event, "NewRoundCInput") == 0 ||
           strcmp(event, "ProposalAndCommitAndValidCInput") == 0;
}

static bool begin(struct driver *driver, struct node *node, const json_t *step)
{
    node->height = number_of(json_object_get(step, "cs"), "height");
    node->is_begun = true;
    node->is_over = false;
    node->known_count = 0;
    node->asked_count = 0;
    node->timers_count = 0;
    const json_t *in = json_object_get(step, "in");
    bool is_plain = strcmp(variant_name(in), "StartDInput") == 0;
    if (!start(driver, node) || !preload(driver, node, in)) {
        return false;
    }
    if (!is_plain) { /* the model goes straight to the round that it begins in */
        bool is_round = strcmp(text_of(json_object_get(step, "cs"), "step"), "NoStep") != 0;
        node->ours.count = 0;
        if (is_round) {
            say(&node->ours, "timer propose %d", sb_bft_status(node->core).round);
        }
    }
    return true;
}

/* ---- the model's side ---- */

static void say_model(struct driver *driver, struct node *node, const json_t *step)
{
    const json_t *out = json_object_get(step, "out");
    const char *name = variant_name(out);
    const json_t *argument = variant_argument(out);
    const char *at = text_of(json_object_get(step, "cs"), "step");
    int first = (int)json_integer_value(json_array_get(argument, 0));
    if (strcmp(at, "NoStep") == 0) {
        return; /* before the height began, or not begun by this */
    }
    if (strcmp(name, "VoteOutput") == 0) {
        const char *value = value_name(json_object_get(argument, "valueId"));
        bool is_prevote = strcmp(text_of(argument, "voteType"), "Prevote") == 0;
        say(&node->models, "%s %ld %s", is_prevote ? "prevote" : "precommit",
            number_of(argument, "round"), value != NULL ? value : "nil");
    } else if (strcmp(name, "ProposalOutput") == 0 && strcmp(at, "ProposeStep") != 0) {
        driver->trace->notes->late_values++;
    } else if (strcmp(name, "ProposalOutput") == 0) {
        say(&node->models, "proposal %ld %s %ld", number_of(argument, "round"),
            text_of(argument, "proposal"), number_of(argument, "validRound"));
    } else if (strcmp(name, "TimeoutOutput") == 0 && strcmp(at, "CommitStep") != 0) {
        const char *kind = json_string_value(json_array_get(argument, 1));
        say(&node->models, "timer %s %d",
            strcmp(kind, "ProposeTimeout") == 0   ? "propose"
            : strcmp(kind, "PrevoteTimeout") == 0 ? "prevote"
                                                  : "precommit",
            first);
    } else if (strcmp(name, "GetValueAndScheduleTimeoutOutput") == 0) {
        say(&node->models, "get value %d", (int)json_integer_value(json_array_get(argument, 1)));
    } else if (strcmp(name, "DecidedOutput") == 0) {
        const char *value = json_string_value(json_array_get(argument, 1));
        say(&node->models, "decided %d %s", first, value != NULL ? value : "?");
    }
}

/* ---- comparison ---- */

static bool is_set_before(const struct node *node, const char *word)
{
    for (size_t i = 0; i < node->timers_count; i++) {
        if (strcmp(node->timers_set[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* forgive: drop the first word of either side if it may differ. */
static bool forgive(struct driver *driver, struct node *node)
{
    if (node->models.count > 0 && is_set_before(node, node->models.list[0])) {
        drop_word(&node->models, 0);
        return true;
    }
    if (node->ours.count > 0 && strncmp(node->ours.list[0], "timer prevote", 13) == 0) {
        driver->trace->notes->late_prevote_timers++;
        drop_word(&node->ours, 0);
        return true;
    }
    return false;
}

/* leave: a difference after which both go different ways that are right; false: it is none of those. */
static bool leave(struct driver *driver, struct node *node, bool is_quiet)
{
    const char *input = variant_name(json_object_get(node->last, "in"));
    const char *first = node->ours.count > 0 ? node->ours.list[0] : "";
    size_t len = strlen(first);
    bool is_nil = strncmp(first, "precommit ", 10) == 0 && strcmp(first + len - 4, " nil") == 0;
    bool forgets_44 =
        is_quiet && is_nil && node->models.count == 0 && strcmp(input, "StepChangeDInput") == 0;
    if (!driver->guess->may_leave || (!node->is_overtaken && !forgets_44)) {
        return false;
    }
    node->is_left = true;
    driver->trace->notes->left_nodes++;
    return true;
}

static enum trace_result compare_words(struct driver *driver, struct node *node, bool is_quiet)
{
    struct words *ours = &node->ours;
    struct words *models = &node->models;
    while (ours->count > 0 || models->count > 0) {
        if (ours->count > 0 && models->count > 0 && strcmp(ours->list[0], models->list[0]) == 0) {
            drop_word(ours, 0);
            drop_word(models, 0);
            driver->trace->notes->compared_outputs++;
        } else if (!(is_quiet || (ours->count > 0 && models->count > 0)) ||
                   !forgive(driver, node)) {
            break;
        }
    }
    if ((ours->count == 0 && models->count == 0) || (!is_quiet && models->count == 0)) {
        return TRACE_PASSED;
    }
    if (leave(driver, node, is_quiet)) {
        return TRACE_PASSED;
    }
    return trace_fail(driver->trace, node->last_index, "%s after %s: '%s', the model says '%s'",
                      text_of(node->last, "v"), variant_name(json_object_get(node->last, "in")),
                      ours->count > 0 ? ours->list[0] : "nothing",
                      models->count > 0 ? models->list[0] : "nothing");
}

static bool is_held(int32_t round, const sb_hash *block, const json_t *state, const char *round_key,
                    const char *value_key)
{
    sb_hash id = value_id(value_name(json_object_get(state, value_key)));
    return round == number_of(state, round_key) && (round < 0 || sb_hash_equal(block, &id));
}

static bool is_state(const struct node *node, const json_t *state)
{
    static const char *const steps[] = {"ProposeStep", "PrevoteStep", "PrecommitStep",
                                        "CommitStep"};
    struct sb_bft_status status = sb_bft_status(node->core);
    bool is_decided = status.step == SB_BFT_DECIDED;
    return status.height == (uint64_t)number_of(state, "height") + 1 &&
           (status.round == number_of(state, "round") ||
            (is_decided && number_of(state, "round") < 0)) && /* decided as its height began */
           strcmp(steps[status.step], text_of(state, "step")) == 0 &&
           is_held(status.locked_round, &status.locked_block, state, "lockedRound",
                   "lockedValue") &&
           is_held(status.valid_round, &status.valid_block, state, "validRound", "validValue");
}

/* settle: compare what one external input brought on both sides. */
static enum trace_result settle(struct driver *driver, struct node *node)
{
    if (node->last == NULL || node->is_left || node->is_over) {
        return TRACE_PASSED;
    }
    const json_t *state = json_object_get(node->last, "cs");
    bool is_begun = strcmp(text_of(state, "step"), "NoStep") != 0;
    bool is_quiet = is_begun && json_array_size(json_object_get(node->last, "pend")) == 0 &&
                    strcmp(text_of(node->last, "psc"), "NoStep") == 0;
    bool is_decided = strcmp(text_of(state, "step"), "CommitStep") == 0;
    enum trace_result result = compare_words(driver, node, is_quiet || is_decided);
    if (result != TRACE_PASSED || node->is_left || !(is_quiet || is_decided)) {
        return result;
    }
    driver->trace->notes->compared_states++;
    node->is_over = is_decided && sb_bft_status(node->core).step == SB_BFT_DECIDED;
    if (is_state(node, state) || leave(driver, node, is_quiet)) {
        return TRACE_PASSED;
    }
    struct sb_bft_status status = sb_bft_status(node->core);
    return trace_fail(driver->trace, node->last_index,
                      "%s: state round %d step %d lock %d valid %d, the model has %ld %s %ld %ld",
                      text_of(node->last, "v"), status.round, (int)status.step, status.locked_round,
                      status.valid_round, number_of(state, "round"), text_of(state, "step"),
                      number_of(state, "lockedRound"), number_of(state, "validRound"));
}

/* ---- steps ---- */

static bool is_small_step(const char *input)
{
    return strcmp(input, "StepChangeDInput") == 0 || strcmp(input, "PendingDInput") == 0 ||
           strcmp(input, "NoDInput") == 0;
}

static bool give_external(struct driver *driver, struct node *node, const json_t *in)
{
    const char *name = variant_name(in);
    const json_t *argument = variant_argument(in);
    if (strcmp(name, "VoteDInput") == 0) {
        return give_vote(driver, node, argument);
    }
    if (strcmp(name, "ProposalDInput") == 0) {
        return give_proposal(driver, node, argument);
    }
    if (strcmp(name, "CertificateDInput") == 0) {
        return give_certificate(driver, node, argument);
    }
    if (strcmp(name, "TimeoutDInput") == 0) {
        return give_timeout(driver, node, json_string_value(argument));
    }
    if (strcmp(name, "ProposeValueDInput") == 0) {
        return give_value(driver, node, json_string_value(argument));
    }
    return false;
}

/* take: a step of the node itself. */
static enum trace_result take(struct driver *driver, size_t index, const json_t *step)
{
    struct node *node = &driver->node;
    if (node->is_left) {
        return TRACE_PASSED;
    }
    const json_t *in = json_object_get(step, "in");
    bool is_first = is_first_step(node, step);
    bool is_external = !is_small_step(variant_name(in));
    if (is_first || is_external) {
        enum trace_result result = settle(driver, node);
        if (result != TRACE_PASSED || node->is_left) {
            return result;
        }
        node->is_overtaken =
            node->is_overtaken ||
            (strcmp(variant_name(in), "TimeoutDInput") == 0 && node->last != NULL &&
             (json_array_size(json_object_get(node->last, "pend")) != 0 ||
              strcmp(text_of(node->last, "psc"), "NoStep") != 0));
    }
    if (node->is_over && !is_first) {
        return TRACE_PASSED;
    }
    bool is_taken = is_first      ? begin(driver, node, step)
                    : is_external ? give_external(driver, node, in)
                                  : true;
    if (!is_taken) {
        return trace_fail(driver->trace, index, "the core refused %s of %s", variant_name(in),
                          driver->who);
    }
    say_model(driver, node, step);
    node->last = step;
    node->last_index = index;
    driver->trace->notes->checked_steps++;
    return TRACE_PASSED;
}

static enum trace_result run(struct driver *driver)
{
    size_t index;
    json_t *step;
    json_array_foreach(driver->trace->steps, index, step)
    {
        enum trace_result result = TRACE_PASSED;
        if (strcmp(text_of(step, "v"), driver->who) == 0) {
            result = take(driver, index, step);
        }
        if (result != TRACE_PASSED) {
            return result;
        }
        const json_t *out = json_object_get(step, "out");
        if (strcmp(variant_name(out), "VoteOutput") == 0) {
            SB_ASSERT(driver->sent_count < MESSAGES_MAX);
            driver->sent[driver->sent_count++] = variant_argument(out);
        }
    }
    return settle(driver, &driver->node);
}

enum trace_result trace_replay_node(struct trace *trace, size_t who,
                                    const struct trace_guess *guess)
{
    static struct driver driver;
    memset(&driver, 0, sizeof driver);
    driver.trace = trace;
    driver.who = trace->names[who];
    driver.guess = guess;
    struct sb_bft_config config = {
        .own_address = trace->set.validators[trace->index_of[who]].address,
        .timeouts = sb_bft_timeouts_default(),
        .validators_max = TRACE_VALIDATORS_MAX,
        .proposer = proposer_asked,
        .proposer_ctx = &driver,
        .anonymous_blocks = true,
    };
    driver.node.height = -1;
    driver.node.core = sb_bft_new(&config);
    SB_ASSERT(driver.node.core != NULL);
    enum trace_result result = run(&driver);
    sb_bft_free(driver.node.core);
    return result;
}
