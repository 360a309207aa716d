/* bft.c: inputs of the core (see bft.h, bft_impl.h).
 *
 * Each input is judged: does it mean anything here and now? If so it is journaled, noted, and the rules run. */
#include "consensus/bft.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "consensus/bft_impl.h"

/* Evidence that one certificate may bring; what is left over comes to light with the next. */
#define EVIDENCE_OF_CERTIFICATE_MAX 4

struct sb_bft_timeouts sb_bft_timeouts_default(void)
{
    return (struct sb_bft_timeouts){
        .propose_ms = 3000, .prevote_ms = 1000, .precommit_ms = 1000, .delta_ms = 500};
}

struct sb_bft *sb_bft_new(const struct sb_bft_config *config)
{
    SB_ASSERT(config->proposer != NULL && config->validators_max <= SB_VALIDATORS_MAX);
    struct sb_bft *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return NULL;
    }
    core->config = *config;
    core->validators_max = config->validators_max != 0 ? config->validators_max : SB_VALIDATORS_MAX;
    core->own_index = -1;
    sb_round_init(&core->state, 0);
    core->state.step = SB_ROUND_COMMIT;
    sb_proposal_keeper_reset(&core->proposals);
    core->votes = sb_vote_keeper_new(core->validators_max);
    core->decided_sigs = calloc(core->validators_max, sizeof core->decided_sigs[0]);
    if (core->votes == NULL || core->decided_sigs == NULL) {
        sb_bft_free(core);
        return NULL;
    }
    return core;
}

void sb_bft_free(struct sb_bft *core)
{
    if (core != NULL) {
        sb_vote_keeper_free(core->votes);
        free(core->decided_sigs);
        free(core);
    }
}

/* ---- what it holds ---- */

static enum sb_bft_step_name step_name(enum sb_round_step step)
{
    switch (step) {
    case SB_ROUND_UNSTARTED:
    case SB_ROUND_PROPOSE:
        return SB_BFT_PROPOSE;
    case SB_ROUND_PREVOTE:
        return SB_BFT_PREVOTE;
    case SB_ROUND_PRECOMMIT:
        return SB_BFT_PRECOMMIT;
    case SB_ROUND_COMMIT:
        return SB_BFT_DECIDED;
    }
    SB_UNREACHABLE();
}

struct sb_bft_status sb_bft_status(const struct sb_bft *core)
{
    const struct sb_round_state *state = &core->state;
    struct sb_bft_status status = {.height = state->height,
                                   .round = state->round < 0 ? 0 : state->round,
                                   .step = step_name(state->step),
                                   .locked_round = state->locked.round,
                                   .valid_round = state->valid.round};
    if (state->locked.round >= 0) {
        status.locked_block = state->locked.value.block_id;
    }
    if (state->valid.round >= 0) {
        status.valid_block = state->valid.value.block_id;
    }
    return status;
}

const struct sb_vote *sb_bft_vote(const struct sb_bft *core, enum sb_vote_type type, int32_t round,
                                  uint32_t validator_index)
{
    return core->set != NULL ? sb_vote_keeper_vote(core->votes, type, round, validator_index)
                             : NULL;
}

const struct sb_proposal *sb_bft_proposal(const struct sb_bft *core, int32_t round)
{
    const struct sb_held_proposal *held = sb_proposal_keeper_get(&core->proposals, round);
    return held != NULL ? &held->message : NULL;
}

bool sb_bft_certificate(struct sb_bft_certificate *ret_certificate, const struct sb_bft *core,
                        enum sb_vote_type type, int32_t round)
{
    struct sb_commit commit;
    if (core->set == NULL ||
        !sb_vote_keeper_certificate(&commit, core->votes, type, core->state.height, round)) {
        return false;
    }
    *ret_certificate = (struct sb_bft_certificate){.type = type, .commit = commit};
    return true;
}

/* ---- inputs ---- */

static bool is_decided(const struct sb_bft *core)
{
    return core->state.step == SB_ROUND_COMMIT;
}

static sb_err on_start_height(struct sb_bft *core, const struct sb_bft_input *input,
                              struct sb_bft_effects *out, struct sb_diag *diag)
{
    uint64_t height = input->as.start.height;
    const struct sb_validator_set *set = input->as.start.set;
    if (!is_decided(core) || height <= core->state.height) {
        return sb_fail(diag, SB_E_ARG, "height %llu cannot begin at height %llu",
                       (unsigned long long)height, (unsigned long long)core->state.height);
    }
    if (set->count == 0 || set->count > core->validators_max) {
        return sb_fail(diag, SB_E_ARG, "a set of %zu validators: there is room for %zu", set->count,
                       core->validators_max);
    }
    bft_emit(out, SB_BFT_JOURNAL);
    core->set = set;
    core->timeliness = input->as.start.timeliness;
    core->own_index = sb_validator_set_find(set, &core->config.own_address);
    sb_vote_keeper_reset(core->votes, set);
    sb_proposal_keeper_reset(&core->proposals);
    sb_round_init(&core->state, height);
    struct sb_round_input begin = {.type = SB_ROUND_SKIP, .round = 0};
    bft_give(core, out, &begin);
    return SB_OK;
}

static void on_proposal(struct sb_bft *core, const struct sb_bft_input *input,
                        struct sb_bft_effects *out)
{
    const struct sb_proposal *proposal = &input->as.proposal.message;
    if (is_decided(core) || proposal->height != core->state.height ||
        !sb_proposal_keeper_add(&core->proposals, proposal, input->as.proposal.received_ms,
                                false)) {
        return;
    }
    bft_emit(out, SB_BFT_JOURNAL);
    bft_run_rules(core, out, false);
}

static void emit_evidence(struct sb_bft_effects *out, const struct sb_evidence *evidence)
{
    bft_emit(out, SB_BFT_EVIDENCE)->as.evidence = *evidence;
}

/* on_vote: after the decision votes are only recorded, and nothing depends on them but what peers may ask for: no journal. */
static void on_vote(struct sb_bft *core, const struct sb_bft_input *input,
                    struct sb_bft_effects *out)
{
    struct sb_evidence evidence;
    if (input->as.vote.height != core->state.height) {
        return;
    }
    enum sb_vote_taken taken = sb_vote_keeper_add(core->votes, &input->as.vote, &evidence);
    if (taken != SB_VOTE_COUNTED && taken != SB_VOTE_EVIDENCE) {
        return;
    }
    if (!is_decided(core)) {
        bft_emit(out, SB_BFT_JOURNAL);
    }
    if (taken == SB_VOTE_EVIDENCE) {
        emit_evidence(out, &evidence);
    }
    bft_run_rules(core, out, true);
}

static void on_certificate(struct sb_bft *core, const struct sb_bft_input *input,
                           struct sb_bft_effects *out)
{
    struct sb_evidence evidence[EVIDENCE_OF_CERTIFICATE_MAX];
    size_t evidence_count;
    if (input->as.certificate.commit.height != core->state.height ||
        !sb_vote_keeper_add_certificate(core->votes, &input->as.certificate, evidence,
                                        EVIDENCE_OF_CERTIFICATE_MAX, &evidence_count)) {
        return;
    }
    if (!is_decided(core)) {
        bft_emit(out, SB_BFT_JOURNAL);
    }
    for (size_t i = 0; i < evidence_count; i++) {
        emit_evidence(out, &evidence[i]);
    }
    bft_run_rules(core, out, true);
}

/* on_timeout: lines 57-67. A stale one is not journaled, so the round machine is asked on a copy first. */
static void on_timeout(struct sb_bft *core, const struct sb_bft_input *input,
                       struct sb_bft_effects *out)
{
    static const enum sb_round_input_type types[] = {
        [SB_BFT_TIMEOUT_PROPOSE] = SB_ROUND_TIMEOUT_PROPOSE,
        [SB_BFT_TIMEOUT_PREVOTE] = SB_ROUND_TIMEOUT_PREVOTE,
        [SB_BFT_TIMEOUT_PRECOMMIT] = SB_ROUND_TIMEOUT_PRECOMMIT,
    };
    struct sb_round_input timeout = {.type = types[input->as.timeout.kind],
                                     .height = input->as.timeout.height,
                                     .round = input->as.timeout.round};
    struct sb_round_state copy = core->state;
    if (sb_round_step(&copy, &timeout).type == SB_ROUND_OUT_NONE) {
        return;
    }
    bft_emit(out, SB_BFT_JOURNAL);
    bft_give(core, out, &timeout);
    bft_run_rules(core, out, false);
}

static void on_value(struct sb_bft *core, const struct sb_bft_input *input,
                     struct sb_bft_effects *out)
{
    if (input->as.value.height != core->state.height ||
        input->as.value.round != core->state.round || core->state.step != SB_ROUND_PROPOSE ||
        !core->flags.awaits_value) {
        return;
    }
    bft_emit(out, SB_BFT_JOURNAL);
    core->flags.awaits_value = false;
    struct sb_round_input propose = {
        .type = SB_ROUND_PROPOSE_VALUE, .round = core->state.round, .value = input->as.value.value};
    bft_give(core, out, &propose);
    bft_run_rules(core, out, false);
}

static void on_validity(struct sb_bft *core, const struct sb_bft_input *input,
                        struct sb_bft_effects *out)
{
    if (input->as.validity.height != core->state.height || is_decided(core)) {
        return;
    }
    struct sb_known_block *block =
        sb_proposal_keeper_block(&core->proposals, &input->as.validity.block_id);
    if (block == NULL || block->verdict != SB_VERDICT_UNKNOWN) {
        return;
    }
    bft_emit(out, SB_BFT_JOURNAL);
    block->verdict = input->as.validity.valid ? SB_VERDICT_VALID : SB_VERDICT_INVALID;
    block->time_ms = input->as.validity.time_ms;
    block->proposer = input->as.validity.proposer;
    bft_run_rules(core, out, false);
}

/* ---- signatures ---- */

static const struct sb_signature *signature_of(const struct sb_bft_message *message)
{
    return message->is_proposal ? &message->as.proposal.signature : &message->as.vote.signature;
}

/* is_same_place: both are of one height, round and step. */
static bool is_same_place(const struct sb_bft_message *a, const struct sb_bft_message *b)
{
    if (a->is_proposal != b->is_proposal) {
        return false;
    }
    if (a->is_proposal) {
        return a->as.proposal.height == b->as.proposal.height &&
               a->as.proposal.round == b->as.proposal.round;
    }
    return a->as.vote.type == b->as.vote.type && a->as.vote.height == b->as.vote.height &&
           a->as.vote.round == b->as.vote.round;
}

/* is_same_message: but for the signature, given the same place. */
static bool is_same_message(const struct sb_bft_message *a, const struct sb_bft_message *b)
{
    if (a->is_proposal) {
        const struct sb_proposal *x = &a->as.proposal;
        const struct sb_proposal *y = &b->as.proposal;
        return x->pol_round == y->pol_round && sb_hash_equal(&x->block_id, &y->block_id) &&
               sb_hash_equal(&x->parts_root, &y->parts_root) && x->block_bytes == y->block_bytes;
    }
    const struct sb_vote *x = &a->as.vote;
    const struct sb_vote *y = &b->as.vote;
    return sb_hash_equal(&x->block_id, &y->block_id) && x->validator_index == y->validator_index &&
           sb_addr_equal(&x->validator_address, &y->validator_address);
}

static bool is_awaited(const struct sb_bft *core, const struct sb_bft_message *message)
{
    return core->awaits_signature && is_same_place(&core->awaited, message) &&
           (signature_of(message)->len == 0 || is_same_message(&core->awaited, message));
}

/* note_own: our own message counts from the moment it is signed. */
static void note_own(struct sb_bft *core, const struct sb_bft_message *message)
{
    struct sb_evidence evidence;
    if (message->is_proposal) {
        (void)sb_proposal_keeper_add(&core->proposals, &message->as.proposal, 0, true);
    } else {
        (void)sb_vote_keeper_add(core->votes, &message->as.vote, &evidence);
    }
}

static sb_err on_signed(struct sb_bft *core, const struct sb_bft_input *input,
                        struct sb_bft_effects *out, struct sb_diag *diag)
{
    const struct sb_bft_message *message = &input->as.signed_message;
    if (!is_awaited(core, message)) {
        return sb_fail(diag, SB_E_ARG, "a signature came that was not asked for");
    }
    bft_emit(out, SB_BFT_JOURNAL);
    core->awaits_signature = false;
    bool is_signed = signature_of(message)->len != 0;
    if (is_signed) {
        bft_emit(out, SB_BFT_BROADCAST)->as.message = *message;
        note_own(core, message);
    }
    bft_run_rules(core, out, is_signed && !message->is_proposal);
    return SB_OK;
}

sb_err sb_bft_step(struct sb_bft *core, const struct sb_bft_input *input,
                   struct sb_bft_effects *ret_effects, struct sb_diag *diag)
{
    ret_effects->count = 0;
    if (core->awaits_signature && input->type != SB_BFT_IN_SIGNED) {
        return sb_fail(diag, SB_E_BUSY, "a signature is awaited");
    }
    if (core->set == NULL && input->type != SB_BFT_IN_START_HEIGHT &&
        input->type != SB_BFT_IN_SIGNED) {
        return SB_OK; /* no height has begun: nothing means anything yet */
    }
    switch (input->type) {
    case SB_BFT_IN_START_HEIGHT:
        return on_start_height(core, input, ret_effects, diag);
    case SB_BFT_IN_PROPOSAL:
        on_proposal(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_VOTE:
        on_vote(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_CERTIFICATE:
        on_certificate(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_TIMEOUT:
        on_timeout(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_VALUE:
        on_value(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_VALIDITY:
        on_validity(core, input, ret_effects);
        return SB_OK;
    case SB_BFT_IN_SIGNED:
        return on_signed(core, input, ret_effects, diag);
    }
    return sb_fail(diag, SB_E_TYPE, "unknown input %d", (int)input->type);
}
