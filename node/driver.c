/* driver.c: steps of the core and what they cause; see driver.h.
 *
 * Inputs wait in a short queue: an effect that asks a question (SIGN, GET_VALUE, VALIDATE) is answered by pushing an input, and the
 * queue is worked off until it is empty. A signature goes before all others: the core takes nothing else while it waits for one. */
#include "node/driver.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "node/driver_impl.h"

/* A block, what it was built from, and the last one with its commit. */
#define ARENA_BYTES_MAX   ((size_t)1024 * 1024 * 1024)
#define UNTIMELY_PAUSE_MS 60000

struct sb_bft_input sb_driver_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

void sb_driver_push(struct sb_driver *driver, const struct sb_bft_input *input)
{
    if (input->type == SB_BFT_IN_SIGNED) {
        SB_ASSERT(!driver->has_signed);
        driver->has_signed = true;
        driver->signed_answer = *input;
        return;
    }
    SB_ASSERT(driver->queue_count < SB_DRIVER_QUEUE_MAX);
    driver->queue[driver->queue_count++] = *input;
}

sb_err sb_driver_journal_fail(sb_err err, struct sb_diag *diag)
{
    return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
}

/* ---- failures are final ---- */

sb_err sb_driver_enter(struct sb_driver *driver, struct sb_diag *diag)
{
    return driver->failed == SB_OK ? SB_OK
                                   : sb_fail(diag, driver->failed, "%s", driver->failure.text);
}

sb_err sb_driver_leave(struct sb_driver *driver, sb_err err, struct sb_diag *diag)
{
    if (err != SB_OK && driver->failed == SB_OK) {
        driver->failed = err;
        (void)sb_fail(&driver->failure, err, "%s",
                      diag != NULL && diag->text[0] != 0 ? diag->text : sb_err_text(err));
    }
    return err;
}

/* ---- signing ---- */

/* named_block: the block that a message names; NULL for nil. */
static const sb_hash *named_block(const struct sb_bft_message *message)
{
    const sb_hash *id =
        message->is_proposal ? &message->as.proposal.block_id : &message->as.vote.block_id;
    return sb_hash_is_zero(id) ? NULL : id;
}

/* journal_before_signing: the bytes of what is signed, and, for a signer that syncs another journal, everything up to here. */
static sb_err journal_before_signing(struct sb_driver *driver, const struct sb_bft_message *message)
{
    const sb_hash *id = named_block(message);
    struct sb_held_block *block = id != NULL ? sb_driver_block_find(driver, id) : NULL;
    if (block != NULL) {
        block->is_voted = true;
        SB_TRY(sb_driver_block_journal(driver, sb_signing_place(message).height, block));
    }
    return driver->options.signer.keeps_journal ? sb_journal_sync(driver->journal) : SB_OK;
}

void sb_driver_note_refusal(struct sb_driver *driver, const struct sb_bft_message *message)
{
    if (driver->options.signer.keeps_journal && !message->is_proposal) {
        driver->is_owed = true;
        driver->owed = message->as.vote;
    }
}

/* ask_signer: a signer with a journal of its own cannot know up to where ours forbids to sign. */
static sb_err ask_signer(struct sb_signature *ret_signature, struct sb_driver *driver,
                         const struct sb_bft_message *message, struct sb_diag *why)
{
    const struct sb_signer *signer = &driver->options.signer;
    if (signer->keeps_journal) {
        struct sb_journal_place place = sb_signing_place(message);
        uint8_t none[64];
        sb_err err = sb_journal_may_sign(none, driver->journal, &place, sb_span(NULL, 0), why);
        if (err != SB_OK) {
            return err == SB_E_ARG ? SB_E_REFUSED : err;
        }
    }
    return signer->sign(signer->ctx, ret_signature, message, driver->app->domain(driver->app->ctx),
                        why);
}

sb_err sb_driver_sign(struct sb_driver *driver, const struct sb_bft_message *message,
                      struct sb_diag *diag)
{
    sb_err err = journal_before_signing(driver, message);
    if (err != SB_OK) {
        return sb_driver_journal_fail(err, diag);
    }
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_SIGNED);
    input.as.signed_message = *message;
    struct sb_signature *slot = message->is_proposal
                                    ? &input.as.signed_message.as.proposal.signature
                                    : &input.as.signed_message.as.vote.signature;
    struct sb_diag why = {.text = ""};
    err = ask_signer(slot, driver, message, &why);
    if (err == SB_E_REFUSED) {
        struct sb_journal_place place = sb_signing_place(message);
        memset(slot, 0, sizeof *slot);
        driver->counters.refused_signatures++;
        sb_driver_note_refusal(driver, message);
        sb_driver_tell_if_stuck(driver, place.height);
        sb_log(driver->options.log, SB_LOG_WARN, "consensus", "the signer refused",
               SB_LOG_U64("height", place.height), SB_LOG_U64("round", place.round),
               SB_LOG_U64("step", (uint64_t)place.step), SB_LOG_STR("reason", why.text),
               SB_LOG_END);
    } else if (err != SB_OK) {
        return sb_fail(diag, err, "%s", why.text);
    } else {
        driver->is_owed = false; /* it lies before this place now */
    }
    sb_driver_push(driver, &input);
    return SB_OK;
}

bool sb_driver_owes_vote(const struct sb_driver *driver)
{
    return driver->is_owed && driver->is_started && !driver->is_deciding;
}

/* sign_owed: the core has gone on without the vote, so it comes back as any validator's vote does. */
static sb_err sign_owed(struct sb_driver *driver, struct sb_diag *diag)
{
    const struct sb_driver_host *host = &driver->options.host;
    struct sb_bft_message message = {.as.vote = driver->owed};
    struct sb_driver_outcome outcome;
    struct sb_diag why = {.text = ""};
    sb_err err = journal_before_signing(driver, &message);
    if (err != SB_OK) {
        return sb_driver_journal_fail(err, diag);
    }
    err = ask_signer(&message.as.vote.signature, driver, &message, &why);
    if (err != SB_OK) {
        return err == SB_E_REFUSED ? SB_OK : sb_fail(diag, err, "%s", why.text);
    }
    driver->is_owed = false;
    host->send(host->ctx, &message, sb_span(NULL, 0));
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_VOTE);
    input.as.vote = message.as.vote;
    SB_TRY(sb_driver_step(driver, &input, &outcome, diag));
    return sb_driver_run_queue(driver, diag);
}

sb_err sb_driver_sign_owed(struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    return sb_driver_owes_vote(driver) ? sb_driver_leave(driver, sign_owed(driver, diag), diag)
                                       : SB_OK;
}

/* ---- proposing ---- */

/* prove: the randomness of head + 1, asked of the signer. *ret_is_proven false: it gave none. The verifier remembers what it accepts, so
 * building and judging the block do not verify it again. */
static sb_err prove(bool *ret_is_proven, struct sb_application_draft *draft,
                    struct sb_driver *driver, struct sb_diag *diag)
{
    const struct sb_signer *signer = &driver->options.signer;
    const struct sb_chain_domain *domain = driver->app->domain(driver->app->ctx);
    const struct sb_randomness_input input = {
        .height = draft->height, .last = driver->app->head(driver->app->ctx).randomness};
    struct sb_diag why = {.text = ""};
    sb_hash mix;
    sb_err err = signer->prove(signer->ctx, draft->randomness_proof, &input, domain, &why);
    if (err == SB_OK) {
        sb_bytes proof = sb_span(draft->randomness_proof, sizeof draft->randomness_proof);
        err = sb_randomness_verify(&mix, &input, &driver->options.own_key, proof, domain,
                                   &driver->options.verifier, &why);
        err = err == SB_OK ? SB_OK : SB_E_REFUSED; /* no proof, whatever the signer calls it */
    }
    if (err != SB_OK && err != SB_E_REFUSED) {
        return sb_fail(diag, err, "%s", why.text);
    }
    if (err == SB_E_REFUSED) {
        driver->counters.refused_proofs++;
        sb_log(driver->options.log, SB_LOG_WARN, "consensus",
               "nothing is proposed: the signer gave no proof of randomness",
               SB_LOG_U64("height", draft->height), SB_LOG_STR("reason", why.text), SB_LOG_END);
    }
    *ret_is_proven = err == SB_OK;
    return SB_OK;
}

/* build: a block for head + 1, held; *ret_block NULL: the signer gives no proof of randomness now. */
static sb_err build(struct sb_held_block **ret_block, bool *ret_has_transactions,
                    struct sb_driver *driver, struct sb_diag *diag)
{
    struct sb_application_draft draft;
    sb_bytes encoded;
    sb_hash block_id;
    bool is_proven;
    sb_arena_reset(&driver->arena);
    SB_TRY(sb_driver_draft(&draft, driver, diag));
    SB_TRY(prove(&is_proven, &draft, driver, diag));
    if (!is_proven) {
        *ret_block = NULL;
        return SB_OK;
    }
    SB_TRY(driver->app->prepare(driver->app->ctx, &driver->arena, &draft, &encoded, &block_id,
                                ret_has_transactions, diag));
    return sb_driver_block_hold(ret_block, driver, &block_id, encoded, diag);
}

sb_err sb_driver_get_value(struct sb_driver *driver, struct sb_diag *diag)
{
    struct sb_held_block *block =
        driver->is_prepared ? sb_driver_block_find(driver, &driver->prepared_id) : NULL;
    bool has_transactions;
    driver->is_prepared = false;
    if (block == NULL) {
        SB_TRY(build(&block, &has_transactions, driver, diag));
    }
    if (block == NULL) {
        return SB_OK; /* the round goes on by its timeout */
    }
    struct sb_bft_status status = sb_bft_status(driver->core);
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_VALUE);
    input.as.value.height = status.height;
    input.as.value.round = status.round;
    input.as.value.value.block_id = block->block_id;
    input.as.value.value.block_bytes = (uint32_t)block->len;
    SB_TRY(sb_parts_root(&input.as.value.value.parts_root, sb_span(block->bytes, block->len)));
    sb_driver_push(driver, &input);
    return SB_OK;
}

/* ---- effects ---- */

static void broadcast(struct sb_driver *driver, const struct sb_bft_message *message)
{
    const struct sb_driver_host *host = &driver->options.host;
    struct sb_held_block *block =
        message->is_proposal ? sb_driver_block_find(driver, &message->as.proposal.block_id) : NULL;
    host->send(host->ctx, message,
               block != NULL ? sb_span(block->bytes, block->len) : sb_span(NULL, 0));
}

static void fetch(struct sb_driver *driver, const struct sb_bft_effect *effect)
{
    const struct sb_driver_host *host = &driver->options.host;
    driver->is_certified = true;
    driver->certified_id = effect->as.fetch.block_id;
    if (sb_driver_block_find(driver, &effect->as.fetch.block_id) == NULL) {
        host->fetch(host->ctx, effect->as.fetch.height, effect->as.fetch.round,
                    &effect->as.fetch.block_id);
    }
}

sb_err sb_driver_evidence(struct sb_driver *driver, const struct sb_evidence *evidence,
                          struct sb_diag *diag)
{
    if (sb_addr_equal(&evidence->a.validator_address, &driver->own_address)) {
        sb_log(driver->options.log, SB_LOG_ERROR, "consensus",
               "another process signs with the key of this validator: stop one of the two now",
               SB_LOG_U64("height", evidence->a.height), SB_LOG_END);
    }
    return driver->app->evidence_add(driver->app->ctx, evidence, diag);
}

static sb_err conflict(struct sb_driver *driver, const struct sb_evidence *found,
                       struct sb_diag *diag)
{
    driver->counters.conflicting_votes++;
    sb_log(
        driver->options.log, SB_LOG_WARN, "consensus", "a validator voted twice",
        SB_LOG_U64("height", found->a.height), SB_LOG_U64("round", (uint64_t)found->a.round),
        SB_LOG_HEX("validator", found->a.validator_address.b, sizeof found->a.validator_address.b),
        SB_LOG_END);
    return sb_driver_evidence(driver, found, diag);
}

/* carry_out: one effect, for real. */
static sb_err carry_out(struct sb_driver *driver, const struct sb_bft_effect *effect,
                        const struct sb_bft_input *input, struct sb_diag *diag)
{
    const struct sb_driver_host *host = &driver->options.host;
    switch (effect->type) {
    case SB_BFT_JOURNAL: {
        sb_err err = sb_driver_journal_input(driver, input);
        return err == SB_OK ? SB_OK : sb_driver_journal_fail(err, diag);
    }
    case SB_BFT_SIGN:
        return sb_driver_sign(driver, &effect->as.message, diag);
    case SB_BFT_BROADCAST:
        broadcast(driver, &effect->as.message);
        return SB_OK;
    case SB_BFT_SET_TIMER:
        host->set_timer(host->ctx, effect->as.timer.kind, effect->as.timer.height,
                        effect->as.timer.round, effect->as.timer.delay_ms);
        return SB_OK;
    case SB_BFT_CANCEL_TIMERS:
        host->cancel_timers(host->ctx);
        return SB_OK;
    case SB_BFT_GET_VALUE:
        return sb_driver_get_value(driver, diag);
    case SB_BFT_VALIDATE:
        return sb_driver_ask(driver, &effect->as.validate.block_id, effect->as.validate.round,
                             diag);
    case SB_BFT_DECIDE:
        sb_driver_note_decision(driver, &effect->as.decide);
        return sb_driver_commit(driver, diag);
    case SB_BFT_EVIDENCE:
        return conflict(driver, &effect->as.evidence, diag);
    case SB_BFT_FETCH:
        fetch(driver, effect);
        return SB_OK;
    }
    SB_UNREACHABLE();
}

/* note_open: one effect during replay. */
static sb_err note_open(struct sb_driver *driver, const struct sb_bft_effect *effect,
                        struct sb_diag *diag)
{
    switch (effect->type) {
    case SB_BFT_JOURNAL:
    case SB_BFT_BROADCAST:
        return SB_OK;
    case SB_BFT_SIGN:
        driver->open_sign = true;
        driver->to_sign = effect->as.message;
        return SB_OK;
    case SB_BFT_SET_TIMER:
        driver->timers[effect->as.timer.kind] =
            (struct sb_driver_timer){.is_set = true,
                                     .height = effect->as.timer.height,
                                     .round = effect->as.timer.round,
                                     .delay_ms = effect->as.timer.delay_ms};
        return SB_OK;
    case SB_BFT_CANCEL_TIMERS:
        memset(driver->timers, 0, sizeof driver->timers);
        return SB_OK;
    case SB_BFT_GET_VALUE:
        driver->open_value = true;
        driver->value_round = effect->as.get_value.round;
        return SB_OK;
    case SB_BFT_VALIDATE:
        return sb_driver_ask(driver, &effect->as.validate.block_id, effect->as.validate.round,
                             diag);
    case SB_BFT_DECIDE:
        sb_driver_note_decision(driver, &effect->as.decide);
        return SB_OK;
    case SB_BFT_EVIDENCE: /* it may not have reached the application: what is known is ignored there */
        return driver->app->evidence_add(driver->app->ctx, &effect->as.evidence, diag);
    case SB_BFT_FETCH:
        driver->is_certified = true;
        driver->certified_id = effect->as.fetch.block_id;
        return SB_OK;
    }
    SB_UNREACHABLE();
}

/* ---- steps ---- */

static void count_rounds(struct sb_driver *driver)
{
    int32_t round = sb_bft_status(driver->core).round;
    if (round > driver->round) {
        driver->counters.rounds += (uint64_t)(round - driver->round);
    }
    driver->round = round;
}

/* untimely: count a block whose time does not fit our clock; at most once a minute, tell who may have to set it. */
static void untimely(struct sb_driver *driver, const sb_addr *proposer, uint64_t time_ms)
{
    const struct sb_driver_host *host = &driver->options.host;
    uint64_t now = host->now_ms(host->ctx);
    driver->counters.untimely_blocks++;
    if (driver->is_replaying ||
        (driver->untimely_told_ms != 0 && now - driver->untimely_told_ms < UNTIMELY_PAUSE_MS)) {
        return;
    }
    driver->untimely_told_ms = now;
    sb_log(
        driver->options.log, SB_LOG_WARN, "consensus",
        "the time of a block does not fit this clock: a clock is wrong, or the block was very late",
        SB_LOG_U64("height", sb_bft_status(driver->core).height),
        SB_LOG_HEX("proposer", proposer->b, sizeof proposer->b),
        SB_LOG_I64("block_ahead_ms", (int64_t)time_ms - (int64_t)now), SB_LOG_END);
}

/* judge_untimely: a valid block of the round's own proposer that we may not prevote although no lock stands against it. */
static void judge_untimely(struct sb_driver *driver, const struct sb_bft_input *input,
                           const struct sb_bft_effect *effect)
{
    struct sb_bft_status status = sb_bft_status(driver->core);
    if (effect->type != SB_BFT_SIGN || effect->as.message.is_proposal ||
        effect->as.message.as.vote.type != SB_VOTE_PREVOTE ||
        !sb_vote_is_nil(&effect->as.message.as.vote) || status.locked_round >= 0 ||
        input->type != SB_BFT_IN_VALIDITY || !input->as.validity.valid) {
        return;
    }
    const struct sb_proposal *proposal = sb_bft_proposal(driver->core, status.round);
    if (proposal == NULL || proposal->pol_round >= 0 ||
        !sb_hash_equal(&proposal->block_id, &input->as.validity.block_id)) {
        return;
    }
    uint32_t index = sb_rotation_proposer(&driver->rotation, status.round);
    if (sb_addr_equal(&driver->rotation.validators[index].address, &input->as.validity.proposer)) {
        untimely(driver, &input->as.validity.proposer, input->as.validity.time_ms);
    }
}

sb_err sb_driver_step(struct sb_driver *driver, const struct sb_bft_input *input,
                      struct sb_driver_outcome *ret_outcome, struct sb_diag *diag)
{
    struct sb_bft_effects effects;
    *ret_outcome = (struct sb_driver_outcome){.changed = false};
    SB_TRY(sb_bft_step(driver->core, input, &effects, diag));
    ret_outcome->changed = effects.count != 0;
    count_rounds(driver);
    for (size_t i = 0; i < effects.count; i++) {
        const struct sb_bft_effect *effect = &effects.list[i];
        ret_outcome->is_evidence = ret_outcome->is_evidence || effect->type == SB_BFT_EVIDENCE;
        if (driver->is_replaying) {
            SB_TRY(note_open(driver, effect, diag));
        } else {
            judge_untimely(driver, input, effect);
            SB_TRY(carry_out(driver, effect, input, diag));
        }
    }
    return SB_OK;
}

sb_err sb_driver_run_queue(struct sb_driver *driver, struct sb_diag *diag)
{
    while (driver->has_signed || driver->queue_count != 0) {
        struct sb_bft_input input;
        struct sb_driver_outcome outcome;
        if (driver->has_signed) {
            input = driver->signed_answer;
            driver->has_signed = false;
        } else {
            input = driver->queue[0];
            driver->queue_count--;
            memmove(&driver->queue[0], &driver->queue[1],
                    driver->queue_count * sizeof driver->queue[0]);
        }
        SB_TRY(sb_driver_step(driver, &input, &outcome, diag));
    }
    sb_driver_fetch_certified(driver);
    return SB_OK;
}

/* ---- heights ---- */

bool sb_driver_is_idle(const struct sb_driver *driver)
{
    return driver->failed == SB_OK && !driver->is_started;
}

static sb_err check_version(const struct sb_driver *driver, struct sb_diag *diag)
{
    char reason[256] = "";
    uint64_t height = driver->app->head(driver->app->ctx).height + 1;
    return driver->app->version_known(driver->app->ctx, height, reason)
               ? SB_OK
               : sb_fail(diag, SB_E_VERSION, "%s", reason);
}

sb_err sb_driver_start_input(struct sb_bft_input *ret_input, struct sb_driver *driver,
                             struct sb_diag *diag)
{
    struct sb_application_head head = driver->app->head(driver->app->ctx);
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, head.height + 1);
    if (rotation == NULL) {
        return sb_fail(diag, SB_E_CORRUPT, "the validator set of height %llu is not known",
                       (unsigned long long)head.height + 1);
    }
    sb_rotation_copy(&driver->rotation, rotation);
    *ret_input = sb_driver_input(SB_BFT_IN_START_HEIGHT);
    ret_input->as.start.height = head.height + 1;
    ret_input->as.start.set = &driver->rotation.set;
    ret_input->as.start.timeliness = head.timeliness;
    return SB_OK;
}

static sb_err start(struct sb_driver *driver, struct sb_diag *diag)
{
    struct sb_bft_input input;
    sb_driver_late_absorb(driver);
    SB_TRY(sb_driver_start_input(&input, driver, diag));
    sb_driver_blocks_forget(driver);
    driver->is_started = true;
    driver->round = 0;
    sb_driver_push(driver, &input);
    return sb_driver_run_queue(driver, diag);
}

static sb_err resume(struct sb_driver *driver, struct sb_diag *diag);

/* rerun: after a rollback, the next height goes on where the journal left it. *ret_ran false: the journal holds nothing of it. */
static sb_err rerun(bool *ret_ran, struct sb_driver *driver, struct sb_diag *diag)
{
    *ret_ran = false;
    if (!driver->is_rerun) {
        return SB_OK;
    }
    SB_TRY(sb_driver_rerun(driver, diag));
    if (!driver->is_started) {
        return SB_OK;
    }
    *ret_ran = true;
    return resume(driver, diag);
}

static sb_err start_or_rerun(struct sb_driver *driver, struct sb_diag *diag)
{
    bool has_run;
    SB_TRY(rerun(&has_run, driver, diag));
    return has_run ? SB_OK : start(driver, diag);
}

sb_err sb_driver_start_height(struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    SB_ASSERT(sb_driver_is_idle(driver));
    SB_TRY(check_version(driver, diag));
    return sb_driver_leave(driver, start_or_rerun(driver, diag), diag);
}

/* start_if_work: the block enters the journal before its height begins, so that a crash in between builds no second, empty one. Without
 * a proof of randomness there is no block to look into: the height begins, and its rounds ask the signer again. */
static sb_err start_if_work(bool *ret_started, struct sb_driver *driver, struct sb_diag *diag)
{
    struct sb_held_block *block;
    bool has_transactions;
    SB_TRY(rerun(ret_started, driver, diag));
    if (*ret_started) {
        return SB_OK;
    }
    sb_driver_late_absorb(driver);
    SB_TRY(build(&block, &has_transactions, driver, diag));
    if (block == NULL) {
        *ret_started = true;
        return start(driver, diag);
    }
    if (!has_transactions) {
        sb_driver_block_drop(driver, block);
        return SB_OK;
    }
    uint64_t height = driver->app->head(driver->app->ctx).height + 1;
    sb_err err = sb_driver_block_journal(driver, height, block);
    if (err != SB_OK) {
        return sb_driver_journal_fail(err, diag);
    }
    driver->is_prepared = true;
    driver->prepared_id = block->block_id;
    *ret_started = true;
    return start(driver, diag);
}

sb_err sb_driver_start_if_work(bool *ret_started, struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    SB_ASSERT(sb_driver_is_idle(driver));
    SB_TRY(check_version(driver, diag));
    bool started;
    SB_TRY(sb_driver_leave(driver, start_if_work(&started, driver, diag), diag));
    *ret_started = started;
    return SB_OK;
}

sb_err sb_driver_timeout(struct sb_driver *driver, enum sb_bft_timeout kind, uint64_t height,
                         int32_t round, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    if (!driver->is_started || driver->is_deciding) {
        return SB_OK;
    }
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_TIMEOUT);
    input.as.timeout.kind = kind;
    input.as.timeout.height = height;
    input.as.timeout.round = round;
    sb_driver_push(driver, &input);
    return sb_driver_leave(driver, sb_driver_run_queue(driver, diag), diag);
}

/* ---- life ---- */

/* proposer: asked of the core's height alone. */
static uint32_t proposer(void *ctx, uint64_t height, int32_t round)
{
    const struct sb_driver *driver = ctx;
    SB_ASSERT(height == sb_bft_status(driver->core).height);
    return sb_rotation_proposer(&driver->rotation, round);
}

sb_err sb_driver_new(struct sb_driver **ret_driver, const struct sb_driver_options *options,
                     struct sb_diag *diag)
{
    struct sb_driver *driver = calloc(1, sizeof *driver);
    if (driver == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    driver->options = *options;
    driver->app = options->app;
    driver->journal = options->journal;
    driver->own_address = sb_pubkey_address(&options->own_key);
    sb_arena_init(&driver->arena, ARENA_BYTES_MAX);
    const struct sb_bft_config config = {.own_address = driver->own_address,
                                         .timeouts = options->timeouts,
                                         .proposer = proposer,
                                         .proposer_ctx = driver};
    driver->core = sb_bft_new(&config);
    sb_err err = driver->core != NULL ? sb_driver_recover(driver, diag)
                                      : sb_fail(diag, SB_E_NOMEM, "out of memory");
    if (err != SB_OK) {
        sb_driver_free(driver);
        return err;
    }
    *ret_driver = driver;
    return SB_OK;
}

void sb_driver_free(struct sb_driver *driver)
{
    if (driver == NULL) {
        return;
    }
    driver->is_prepared = false;
    sb_driver_blocks_forget(driver);
    sb_arena_fini(&driver->arena);
    sb_bft_free(driver->core);
    free(driver);
}

static void set_open_timers(struct sb_driver *driver)
{
    const struct sb_driver_host *host = &driver->options.host;
    for (int kind = 0; kind < SB_DRIVER_TIMER_KINDS; kind++) {
        struct sb_driver_timer *timer = &driver->timers[kind];
        if (timer->is_set) {
            host->set_timer(host->ctx, (enum sb_bft_timeout)kind, timer->height, timer->round,
                            timer->delay_ms);
        }
        timer->is_set = false;
    }
}

static sb_err resume(struct sb_driver *driver, struct sb_diag *diag)
{
    const struct sb_driver_host *host = &driver->options.host;
    struct sb_bft_status status = sb_bft_status(driver->core);
    set_open_timers(driver);
    if (driver->open_sign) {
        driver->open_sign = false;
        SB_TRY(sb_driver_sign(driver, &driver->to_sign, diag));
    }
    if (driver->open_value && driver->value_round == status.round &&
        status.step == SB_BFT_PROPOSE) {
        SB_TRY(sb_driver_get_value(driver, diag));
    }
    driver->open_value = false;
    SB_TRY(sb_driver_answer_held(driver, diag));
    if (driver->is_deciding) {
        SB_TRY(sb_driver_commit(driver, diag));
    } else if (driver->is_certified &&
               sb_driver_block_find(driver, &driver->certified_id) == NULL) {
        host->fetch(host->ctx, status.height, status.round, &driver->certified_id);
    }
    return sb_driver_run_queue(driver, diag);
}

sb_err sb_driver_resume(struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    return driver->is_started ? sb_driver_leave(driver, resume(driver, diag), diag) : SB_OK;
}

/* ---- status ---- */

const struct sb_bft *sb_driver_core(const struct sb_driver *driver)
{
    return driver->core;
}

sb_bytes sb_driver_block_bytes(const struct sb_driver *driver, const sb_hash *block_id)
{
    for (size_t i = 0; i < SB_DRIVER_BLOCKS_MAX; i++) {
        const struct sb_held_block *block = &driver->blocks[i];
        if (block->is_held && sb_hash_equal(&block->block_id, block_id)) {
            return sb_span(block->bytes, block->len);
        }
    }
    return sb_span(NULL, 0);
}

struct sb_driver_counters sb_driver_counters(const struct sb_driver *driver)
{
    struct sb_driver_counters counters = driver->counters;
    counters.syncs = sb_journal_sync_count(driver->journal);
    return counters;
}
