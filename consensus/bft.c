/* bft.c: the round machine of one height, and the votes of one validator (see bft.h).
 *
 *      START_HEIGHT -> start_round(0) -> PROPOSE --prevote--> PREVOTE --precommit--> PRECOMMIT --quorum--> DECIDED
 *                          ^                                                             |
 *                          +------------------- timeout precommit, round + 1 ------------+
 *
 * Every step does three things: judge whether the input means anything here and now; note it; run the rules of the paper until none
 * fires. `fired` flags are the paper's "for the first time". Votes are kept as sums of power of the present round: with one validator
 * no vote of another round can arrive. */
#include "consensus/bft.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/checked.h"

/* Power behind the votes of one type in the present round. */
struct tally {
    int64_t any;
    int64_t nil;
    int64_t value; /* for value_id, the only block that our one voter can have voted for */
    sb_hash value_id;
};

enum verdict { VERDICT_UNKNOWN, VERDICT_VALID, VERDICT_INVALID };

/* A block that a lock or a polka stands for; round -1: none. */
struct held_value {
    int32_t round;
    struct sb_bft_value value;
};

struct round_state {
    bool value_asked;
    bool has_proposal;
    struct sb_proposal proposal;
    enum verdict verdict; /* on the proposal's block */
    struct tally prevotes;
    struct tally precommits;
    bool fired_34, fired_36, fired_47;
};

struct sb_bft {
    struct sb_bft_config config;
    const struct sb_validator_set *set;
    uint32_t own_index;
    int64_t own_power;
    uint64_t height;
    int32_t round;
    enum sb_bft_step_name step;
    struct held_value locked;
    struct held_value valid;
    struct round_state now;
    bool awaits_signature;
    struct sb_bft_message awaited;
    struct sb_commit_sig commit_sig; /* the signature that DECIDE shows */
};

struct sb_bft_timeouts sb_bft_timeouts_default(void)
{
    return (struct sb_bft_timeouts){
        .propose_ms = 3000, .prevote_ms = 1000, .precommit_ms = 1000, .delta_ms = 500};
}

struct sb_bft *sb_bft_new(const struct sb_bft_config *config)
{
    struct sb_bft *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return NULL;
    }
    core->config = *config;
    core->step = SB_BFT_DECIDED;
    core->locked.round = -1;
    core->valid.round = -1;
    return core;
}

void sb_bft_free(struct sb_bft *core)
{
    free(core);
}

struct sb_bft_status sb_bft_status(const struct sb_bft *core)
{
    return (struct sb_bft_status){.height = core->height,
                                  .round = core->round,
                                  .step = core->step,
                                  .locked_round = core->locked.round,
                                  .valid_round = core->valid.round};
}

/* ---- effects ---- */

static struct sb_bft_effect *emit(struct sb_bft_effects *out, enum sb_bft_effect_type type)
{
    SB_ASSERT(out->count < SB_BFT_EFFECTS_MAX);
    struct sb_bft_effect *effect = &out->list[out->count++];
    memset(effect, 0, sizeof *effect);
    effect->type = type;
    return effect;
}

static uint64_t timeout_ms(const struct sb_bft_timeouts *t, enum sb_bft_timeout kind, int32_t round)
{
    uint64_t base = kind == SB_BFT_TIMEOUT_PROPOSE   ? t->propose_ms
                    : kind == SB_BFT_TIMEOUT_PREVOTE ? t->prevote_ms
                                                     : t->precommit_ms;
    return sat_add_u64(base, sat_mul_u64(t->delta_ms, (uint64_t)round));
}

static void set_timer(struct sb_bft *core, struct sb_bft_effects *out, enum sb_bft_timeout kind)
{
    struct sb_bft_effect *effect = emit(out, SB_BFT_SET_TIMER);
    effect->as.timer.kind = kind;
    effect->as.timer.height = core->height;
    effect->as.timer.round = core->round;
    effect->as.timer.delay_ms = timeout_ms(&core->config.timeouts, kind, core->round);
}

static void sign(struct sb_bft *core, struct sb_bft_effects *out,
                 const struct sb_bft_message *message)
{
    SB_ASSERT(!core->awaits_signature);
    core->awaits_signature = true;
    core->awaited = *message;
    emit(out, SB_BFT_SIGN)->as.message = *message;
}

static void sign_proposal(struct sb_bft *core, struct sb_bft_effects *out,
                          const struct sb_bft_value *value, int32_t pol_round)
{
    struct sb_bft_message message;
    memset(&message, 0, sizeof message);
    message.is_proposal = true;
    message.as.proposal.height = core->height;
    message.as.proposal.round = core->round;
    message.as.proposal.pol_round = pol_round;
    message.as.proposal.block_id = value->block_id;
    message.as.proposal.parts_root = value->parts_root;
    message.as.proposal.block_bytes = value->block_bytes;
    sign(core, out, &message);
}

/* sign_vote: vote for block_id, or nil when it is NULL. */
static void sign_vote(struct sb_bft *core, struct sb_bft_effects *out, enum sb_vote_type type,
                      const sb_hash *block_id)
{
    struct sb_bft_message message;
    memset(&message, 0, sizeof message);
    message.as.vote.type = type;
    message.as.vote.height = core->height;
    message.as.vote.round = core->round;
    if (block_id != NULL) {
        message.as.vote.block_id = *block_id;
    }
    message.as.vote.validator_index = core->own_index;
    message.as.vote.validator_address = core->config.own_address;
    sign(core, out, &message);
}

/* ---- rules ---- */

static bool is_quorum(const struct sb_bft *core, int64_t power)
{
    return sb_power_is_quorum(power, core->set->total_power);
}

/* Lines 11-21. With one validator the proposer of each round is the node itself. */
static void start_round(struct sb_bft *core, struct sb_bft_effects *out, int32_t round)
{
    core->round = round;
    core->step = SB_BFT_PROPOSE;
    memset(&core->now, 0, sizeof core->now);
    set_timer(core, out, SB_BFT_TIMEOUT_PROPOSE);
    if (core->valid.round >= 0) {
        sign_proposal(core, out, &core->valid.value, core->valid.round);
        return;
    }
    core->now.value_asked = true;
    struct sb_bft_effect *effect = emit(out, SB_BFT_GET_VALUE);
    effect->as.get_value.height = core->height;
    effect->as.get_value.round = round;
}

static void prevote(struct sb_bft *core, struct sb_bft_effects *out, const sb_hash *block_id)
{
    core->step = SB_BFT_PREVOTE;
    sign_vote(core, out, SB_VOTE_PREVOTE, block_id);
}

static void precommit(struct sb_bft *core, struct sb_bft_effects *out, const sb_hash *block_id)
{
    core->step = SB_BFT_PRECOMMIT;
    sign_vote(core, out, SB_VOTE_PRECOMMIT, block_id);
}

/* Lines 22-33: may we prevote the block of this proposal? */
static bool may_prevote(const struct sb_bft *core, const struct sb_proposal *proposal)
{
    if (core->now.verdict != VERDICT_VALID) {
        return false;
    }
    bool is_locked_value =
        core->locked.round >= 0 && sb_hash_equal(&core->locked.value.block_id, &proposal->block_id);
    if (proposal->pol_round < 0) {
        return core->locked.round < 0 || is_locked_value;
    }
    bool polka_seen = core->valid.round == proposal->pol_round &&
                      sb_hash_equal(&core->valid.value.block_id, &proposal->block_id);
    return polka_seen && (core->locked.round <= proposal->pol_round || is_locked_value);
}

static void rule_22_28(struct sb_bft *core, struct sb_bft_effects *out)
{
    const struct round_state *now = &core->now;
    if (core->step != SB_BFT_PROPOSE || !now->has_proposal || now->verdict == VERDICT_UNKNOWN) {
        return;
    }
    prevote(core, out, may_prevote(core, &now->proposal) ? &now->proposal.block_id : NULL);
}

/* Lines 34-46: what a quorum of prevotes brings about. */
static void rules_34_46(struct sb_bft *core, struct sb_bft_effects *out)
{
    struct round_state *now = &core->now;
    if (core->step == SB_BFT_PREVOTE && !now->fired_34 && is_quorum(core, now->prevotes.any)) {
        now->fired_34 = true;
        set_timer(core, out, SB_BFT_TIMEOUT_PREVOTE);
    }
    bool polka = is_quorum(core, now->prevotes.value) && now->has_proposal &&
                 now->verdict == VERDICT_VALID &&
                 sb_hash_equal(&now->prevotes.value_id, &now->proposal.block_id);
    if (polka && !now->fired_36 && core->step >= SB_BFT_PREVOTE) {
        now->fired_36 = true;
        core->valid = (struct held_value){
            .round = core->round,
            .value = {.block_id = now->proposal.block_id,
                      .parts_root = now->proposal.parts_root,
                      .block_bytes = now->proposal.block_bytes},
        };
        if (core->step == SB_BFT_PREVOTE) {
            core->locked = core->valid;
            precommit(core, out, &now->proposal.block_id);
        }
        return;
    }
    if (core->step == SB_BFT_PREVOTE && is_quorum(core, now->prevotes.nil)) {
        precommit(core, out, NULL);
    }
}

/* Lines 49-54 before 47-48: a decision makes the timer needless. */
static void rules_47_54(struct sb_bft *core, struct sb_bft_effects *out)
{
    struct round_state *now = &core->now;
    if (is_quorum(core, now->precommits.value) && now->has_proposal &&
        now->verdict == VERDICT_VALID &&
        sb_hash_equal(&now->precommits.value_id, &now->proposal.block_id)) {
        core->step = SB_BFT_DECIDED;
        emit(out, SB_BFT_CANCEL_TIMERS);
        struct sb_commit *commit = &emit(out, SB_BFT_DECIDE)->as.decide;
        commit->height = core->height;
        commit->round = core->round;
        commit->block_id = now->proposal.block_id;
        commit->sigs = &core->commit_sig;
        commit->sig_count = 1;
        return;
    }
    if (!now->fired_47 && is_quorum(core, now->precommits.any)) {
        now->fired_47 = true;
        set_timer(core, out, SB_BFT_TIMEOUT_PRECOMMIT);
    }
}

/* run_rules: each rule can ask for one signature, after which only SIGNED brings news: so one pass in the order of the steps is all. */
static void run_rules(struct sb_bft *core, struct sb_bft_effects *out)
{
    rule_22_28(core, out);
    if (!core->awaits_signature) {
        rules_34_46(core, out);
    }
    if (!core->awaits_signature) {
        rules_47_54(core, out);
    }
}

/* ---- inputs ---- */

static sb_err on_start_height(struct sb_bft *core, const struct sb_bft_input *input,
                              struct sb_bft_effects *out, struct sb_diag *diag)
{
    uint64_t height = input->as.start.height;
    const struct sb_validator_set *set = input->as.start.set;
    if (core->step != SB_BFT_DECIDED || height <= core->height) {
        return sb_fail(diag, SB_E_ARG, "height %llu cannot begin at height %llu",
                       (unsigned long long)height, (unsigned long long)core->height);
    }
    if (set->count != 1) {
        return sb_fail(
            diag, SB_E_UNSUPPORTED,
            "the validator set of height %llu has %zu members; this version runs one validator",
            (unsigned long long)height, set->count);
    }
    int index = sb_validator_set_find(set, &core->config.own_address);
    if (index < 0) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "the validator of height %llu has another key than this node; "
                       "this version runs only the validator itself",
                       (unsigned long long)height);
    }
    emit(out, SB_BFT_JOURNAL);
    core->set = set;
    core->own_index = (uint32_t)index;
    core->own_power = set->validators[index].power;
    core->height = height;
    core->locked.round = -1;
    core->valid.round = -1;
    start_round(core, out, 0);
    return SB_OK;
}

static sb_err on_value(struct sb_bft *core, const struct sb_bft_input *input,
                       struct sb_bft_effects *out)
{
    if (input->as.value.height != core->height || input->as.value.round != core->round ||
        core->step != SB_BFT_PROPOSE || !core->now.value_asked) {
        return SB_OK;
    }
    emit(out, SB_BFT_JOURNAL);
    core->now.value_asked = false;
    sign_proposal(core, out, &input->as.value.value, -1);
    return SB_OK;
}

static sb_err on_validity(struct sb_bft *core, const struct sb_bft_input *input,
                          struct sb_bft_effects *out)
{
    struct round_state *now = &core->now;
    if (input->as.validity.height != core->height || core->step == SB_BFT_DECIDED ||
        !now->has_proposal || now->verdict != VERDICT_UNKNOWN ||
        !sb_hash_equal(&input->as.validity.block_id, &now->proposal.block_id)) {
        return SB_OK;
    }
    emit(out, SB_BFT_JOURNAL);
    now->verdict = input->as.validity.valid ? VERDICT_VALID : VERDICT_INVALID;
    run_rules(core, out);
    return SB_OK;
}

/* Lines 57-67. */
static sb_err on_timeout(struct sb_bft *core, const struct sb_bft_input *input,
                         struct sb_bft_effects *out)
{
    if (input->as.timeout.height != core->height || input->as.timeout.round != core->round) {
        return SB_OK;
    }
    switch (input->as.timeout.kind) {
    case SB_BFT_TIMEOUT_PROPOSE:
        if (core->step == SB_BFT_PROPOSE) {
            emit(out, SB_BFT_JOURNAL);
            prevote(core, out, NULL);
        }
        break;
    case SB_BFT_TIMEOUT_PREVOTE:
        if (core->step == SB_BFT_PREVOTE && core->now.fired_34) {
            emit(out, SB_BFT_JOURNAL);
            precommit(core, out, NULL);
        }
        break;
    case SB_BFT_TIMEOUT_PRECOMMIT:
        if (core->step == SB_BFT_PRECOMMIT && core->now.fired_47 && core->round < SB_ROUND_MAX) {
            emit(out, SB_BFT_JOURNAL);
            start_round(core, out, core->round + 1);
        }
        break;
    }
    return SB_OK;
}

static bool is_awaited(const struct sb_bft *core, const struct sb_bft_message *message)
{
    const struct sb_bft_message *awaited = &core->awaited;
    if (!core->awaits_signature || awaited->is_proposal != message->is_proposal) {
        return false;
    }
    if (message->is_proposal) {
        const struct sb_proposal *a = &awaited->as.proposal;
        const struct sb_proposal *b = &message->as.proposal;
        return a->height == b->height && a->round == b->round && a->pol_round == b->pol_round &&
               sb_hash_equal(&a->block_id, &b->block_id) &&
               sb_hash_equal(&a->parts_root, &b->parts_root) && a->block_bytes == b->block_bytes &&
               b->signature.len != 0;
    }
    const struct sb_vote *a = &awaited->as.vote;
    const struct sb_vote *b = &message->as.vote;
    return a->type == b->type && a->height == b->height && a->round == b->round &&
           sb_hash_equal(&a->block_id, &b->block_id) && a->validator_index == b->validator_index &&
           sb_addr_equal(&a->validator_address, &b->validator_address) && b->signature.len != 0;
}

static void count_vote(struct sb_bft *core, const struct sb_vote *vote)
{
    struct tally *tally =
        vote->type == SB_VOTE_PREVOTE ? &core->now.prevotes : &core->now.precommits;
    tally->any += core->own_power;
    if (sb_vote_is_nil(vote)) {
        tally->nil += core->own_power;
        return;
    }
    tally->value += core->own_power;
    tally->value_id = vote->block_id;
    if (vote->type == SB_VOTE_PRECOMMIT) {
        core->commit_sig =
            (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote->signature};
    }
}

static void note_own_proposal(struct sb_bft *core, struct sb_bft_effects *out,
                              const struct sb_proposal *proposal)
{
    struct round_state *now = &core->now;
    now->has_proposal = true;
    now->proposal = *proposal;
    if (core->valid.round >= 0 && sb_hash_equal(&core->valid.value.block_id, &proposal->block_id)) {
        now->verdict = VERDICT_VALID; /* it was executed when its polka came */
        return;
    }
    struct sb_bft_effect *effect = emit(out, SB_BFT_VALIDATE);
    effect->as.validate.height = core->height;
    effect->as.validate.block_id = proposal->block_id;
}

static sb_err on_signed(struct sb_bft *core, const struct sb_bft_input *input,
                        struct sb_bft_effects *out, struct sb_diag *diag)
{
    const struct sb_bft_message *message = &input->as.signed_message;
    if (!is_awaited(core, message)) {
        return sb_fail(diag, SB_E_ARG, "a signature came that was not asked for");
    }
    emit(out, SB_BFT_JOURNAL);
    core->awaits_signature = false;
    emit(out, SB_BFT_BROADCAST)->as.message = *message;
    if (message->is_proposal) {
        note_own_proposal(core, out, &message->as.proposal);
    } else {
        count_vote(core, &message->as.vote);
    }
    run_rules(core, out);
    return SB_OK;
}

static sb_err on_foreign(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_UNSUPPORTED,
                   "a message of another validator came; this version runs one validator");
}

sb_err sb_bft_step(struct sb_bft *core, const struct sb_bft_input *input,
                   struct sb_bft_effects *ret_effects, struct sb_diag *diag)
{
    ret_effects->count = 0;
    if (core->awaits_signature && input->type != SB_BFT_IN_SIGNED) {
        return sb_fail(diag, SB_E_BUSY, "a signature is awaited");
    }
    switch (input->type) {
    case SB_BFT_IN_START_HEIGHT:
        return on_start_height(core, input, ret_effects, diag);
    case SB_BFT_IN_PROPOSAL:
    case SB_BFT_IN_CERTIFICATE:
        return on_foreign(diag);
    case SB_BFT_IN_VOTE:
        if (sb_addr_equal(&input->as.vote.validator_address, &core->config.own_address)) {
            return SB_OK; /* an echo: our own votes count when they are signed */
        }
        return on_foreign(diag);
    case SB_BFT_IN_TIMEOUT:
        return on_timeout(core, input, ret_effects);
    case SB_BFT_IN_VALUE:
        return on_value(core, input, ret_effects);
    case SB_BFT_IN_VALIDITY:
        return on_validity(core, input, ret_effects);
    case SB_BFT_IN_SIGNED:
        return on_signed(core, input, ret_effects, diag);
    }
    return sb_fail(diag, SB_E_TYPE, "unknown input %d", (int)input->type);
}
