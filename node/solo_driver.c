/* solo_driver.c: see solo_driver.h.
 *
 * Inputs wait in a short queue: an effect that asks a question (SIGN, GET_VALUE, VALIDATE) is answered by pushing an input, and the
 * queue is worked off until it is empty. While the journal is replayed nothing is asked and nothing leaves: a question stays `open`
 * until the journal's next records answer it; what is still open at the end is asked for real.
 *
 * Journal records: SB_RECORD_BLOCK (the bytes of a consensus block, before the VALUE that names it) and SB_RECORD_INPUT (see bft.h). */
#include "node/solo_driver.h"

#include <stdlib.h>

#include "base/crypto/ed25519.h"
#include "base/util/assert.h"

enum record_type { SB_RECORD_INPUT = 16, SB_RECORD_BLOCK = 17 };

#define QUEUE_MAX   8
#define TIMER_KINDS 3
/* A block, what it was built from, and its receipts. */
#define BUILD_ARENA_BYTES_MAX ((size_t)1024 * 1024 * 1024)

struct timer {
    bool is_set;
    uint64_t height;
    int32_t round;
    uint64_t delay_ms;
};

/* Questions of the core that replay has not answered. */
struct open_questions {
    bool sign, get_value, validate, decide;
    struct sb_bft_message to_sign;
    struct timer timers[TIMER_KINDS];
};

struct sb_solo {
    struct sb_solo_options options;
    struct sb_chain *chain;
    struct sb_journal *journal;
    struct sb_bft *core;
    sb_addr own_address;
    sb_err failed;

    struct sb_bft_input queue[QUEUE_MAX];
    size_t queue_count;

    /* the block of this height: bytes, and what execution made of them */
    struct sb_arena block_arena;
    bool has_block;
    bool is_prepared; /* built before the height began: the answer to its first GET_VALUE */
    struct sb_bft_value value;
    sb_bytes block_bytes;
    size_t block_tx_count;
    struct sb_chain_executed *executed;

    bool is_replaying;
    struct open_questions open;
    struct sb_commit decided;
    struct sb_commit_sig decided_sigs[SB_VALIDATORS_MAX];
};

static void push(struct sb_solo *driver, const struct sb_bft_input *input)
{
    SB_ASSERT(driver->queue_count < QUEUE_MAX);
    driver->queue[driver->queue_count++] = *input;
}

static struct sb_bft_input new_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

/* ---- the block in hand ---- */

static void forget_block(struct sb_solo *driver)
{
    sb_chain_executed_free(driver->chain, driver->executed);
    driver->executed = NULL;
    driver->has_block = false;
    driver->is_prepared = false;
    sb_arena_reset(&driver->block_arena);
}

/* hold_block: keep the encoded block (in block_arena) as the one that is proposed. */
static sb_err hold_block(struct sb_solo *driver, sb_bytes encoded, const sb_hash *block_id)
{
    SB_TRY(sb_parts_root(&driver->value.parts_root, encoded));
    driver->value.block_id = *block_id;
    driver->value.block_bytes = (uint32_t)encoded.len;
    driver->block_bytes = encoded;
    driver->has_block = true;
    return SB_OK;
}

static sb_err last_commit_of(struct sb_commit *ret_commit, struct sb_solo *driver, uint64_t number)
{
    if (number == 0) {
        *ret_commit = (struct sb_commit){.height = 0};
        return SB_OK;
    }
    sb_bytes raw;
    SB_TRY(sb_store_commit_of(&raw, &driver->block_arena, sb_chain_store(driver->chain), number));
    return sb_commit_decode(ret_commit, &driver->block_arena, raw, NULL) == SB_OK ? SB_OK
                                                                                  : SB_E_CORRUPT;
}

static sb_err build_block(struct sb_solo *driver, struct sb_diag *diag)
{
    const struct sb_solo_options *o = &driver->options;
    forget_block(driver);
    struct sb_chain_head head = sb_chain_head(driver->chain);
    uint64_t now = o->host.now_ms(o->host.ctx);
    uint64_t time_ms = now > head.time_ms ? now : head.time_ms + 1;
    struct sb_builder_options options = {.monotonic_ms = o->monotonic_ms,
                                         .monotonic_ctx = o->monotonic_ctx};
    struct sb_application_draft draft = {
        .height = head.header.number + 1, .time_ms = time_ms, .proposer = driver->own_address};
    sb_err err = last_commit_of(&draft.last_commit, driver, head.header.number);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the commit of block %llu cannot be read: %s",
                       (unsigned long long)head.header.number, sb_err_text(err));
    }
    struct sb_built_block built;
    SB_TRY(sb_builder_build(&built, &driver->block_arena, driver->chain, o->mempool, &options,
                            &draft, diag));
    driver->block_tx_count = built.tx_count;
    return hold_block(driver, built.encoded, &built.block_id);
}

/* ---- effects ---- */

static sb_err journal_input(struct sb_solo *driver, const struct sb_bft_input *input)
{
    uint64_t height = sb_bft_status(driver->core).height;
    if (input->type == SB_BFT_IN_VALUE) {
        SB_TRY(sb_journal_append(driver->journal, SB_RECORD_BLOCK, height, driver->block_bytes));
    }
    struct sb_buf buf;
    sb_buf_init(&buf, (size_t)64 * 1024);
    sb_bft_input_encode(&buf, input);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_journal_append(driver->journal, SB_RECORD_INPUT, height, sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

static struct sb_journal_place place_of(const struct sb_bft_message *message)
{
    if (message->is_proposal) {
        return (struct sb_journal_place){.height = message->as.proposal.height,
                                         .round = (uint32_t)message->as.proposal.round,
                                         .step = SB_JOURNAL_PROPOSAL};
    }
    return (struct sb_journal_place){.height = message->as.vote.height,
                                     .round = (uint32_t)message->as.vote.round,
                                     .step = message->as.vote.type == SB_VOTE_PREVOTE
                                                 ? SB_JOURNAL_PREVOTE
                                                 : SB_JOURNAL_PRECOMMIT};
}

/* sign: through the guard, and durable before the signature is used. */
static sb_err sign(struct sb_solo *driver, const struct sb_bft_message *message,
                   struct sb_diag *diag)
{
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    const struct sb_chain_domain *domain = sb_chain_domain(driver->chain);
    size_t len = message->is_proposal ? sb_proposal_sign_bytes(bytes, domain, &message->as.proposal)
                                      : sb_vote_sign_bytes(bytes, domain, &message->as.vote);
    struct sb_journal_place place = place_of(message);
    uint8_t signature[SB_ED25519_SIGNATURE_BYTES];
    sb_err err = sb_journal_may_sign(signature, driver->journal, &place, sb_span(bytes, len), diag);
    if (err == SB_OK) {
        sb_ed25519_sign(signature, driver->options.secret, sb_span(bytes, len));
        err = sb_journal_signed(driver->journal, &place, sb_span(bytes, len), signature);
        if (err != SB_OK) {
            return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
        }
    } else if (err != SB_E_EXISTS) {
        return err;
    }
    struct sb_bft_input input = new_input(SB_BFT_IN_SIGNED);
    input.as.signed_message = *message;
    struct sb_signature *slot = message->is_proposal
                                    ? &input.as.signed_message.as.proposal.signature
                                    : &input.as.signed_message.as.vote.signature;
    slot->len = sizeof signature;
    memcpy(slot->bytes, signature, sizeof signature);
    push(driver, &input);
    return SB_OK;
}

static sb_err get_value(struct sb_solo *driver, struct sb_diag *diag)
{
    if (!driver->is_prepared) {
        SB_TRY(build_block(driver, diag));
    }
    driver->is_prepared = false;
    struct sb_bft_status status = sb_bft_status(driver->core);
    struct sb_bft_input input = new_input(SB_BFT_IN_VALUE);
    input.as.value.height = status.height;
    input.as.value.round = status.round;
    input.as.value.value = driver->value;
    push(driver, &input);
    return SB_OK;
}

/* execute_block: *ret_valid is the verdict; other results are failures of the node. */
static sb_err execute_block(bool *ret_valid, struct sb_solo *driver, struct sb_diag *diag)
{
    struct sb_diag why = {.text = ""};
    sb_chain_executed_free(driver->chain, driver->executed);
    driver->executed = NULL;
    sb_err err = sb_chain_execute(&driver->executed, driver->chain, driver->block_bytes, &why);
    if (err != SB_OK && !sb_chain_err_is_invalid(err)) {
        return sb_fail(diag, err, "%s", why.text);
    }
    if (err != SB_OK) {
        sb_log(driver->options.log, SB_LOG_ERROR, "consensus", "proposed block is invalid",
               SB_LOG_U64("height", sb_bft_status(driver->core).height),
               SB_LOG_STR("reason", why.text), SB_LOG_END);
    }
    *ret_valid = err == SB_OK;
    return SB_OK;
}

static sb_err validate(struct sb_solo *driver, struct sb_diag *diag)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VALIDITY);
    input.as.validity.height = sb_bft_status(driver->core).height;
    input.as.validity.block_id = driver->value.block_id;
    SB_TRY(execute_block(&input.as.validity.valid, driver, diag));
    if (input.as.validity.valid) { /* its time does not matter: our own block counts as timely */
        input.as.validity.proposer = driver->own_address;
    }
    push(driver, &input);
    return SB_OK;
}

static void log_block(const struct sb_solo *driver)
{
    const struct sb_rpc_block *block;
    if (!sb_log_enabled(driver->options.log, SB_LOG_INFO) ||
        sb_chain_block_number(&block, driver->chain, driver->decided.height) != SB_OK) {
        return;
    }
    sb_log(driver->options.log, SB_LOG_INFO, "consensus", "block",
           SB_LOG_U64("number", block->block.header.number),
           SB_LOG_HEX("hash", block->hash.b, sizeof block->hash.b),
           SB_LOG_U64("txs", block->block.tx_count),
           SB_LOG_U64("gas", block->block.header.gas_used),
           SB_LOG_U64("round", (uint64_t)driver->decided.round), SB_LOG_END);
    sb_chain_block_release(driver->chain, block);
}

static sb_err commit(struct sb_solo *driver, struct sb_diag *diag)
{
    if (driver->executed == NULL) { /* the verdict came from the journal */
        bool valid;
        SB_TRY(execute_block(&valid, driver, diag));
        if (!valid) {
            return sb_fail(diag, SB_E_CORRUPT,
                           "the journal decided block %llu, which does not execute now: its result "
                           "depends on more than the chain",
                           (unsigned long long)driver->decided.height);
        }
    }
    struct sb_chain_executed *executed = driver->executed;
    driver->executed = NULL;
    SB_TRY(sb_chain_commit_take(driver->chain, executed, &driver->decided, diag));
    sb_err err = sb_journal_end_height(driver->journal, driver->decided.height);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
    }
    log_block(driver);
    forget_block(driver);
    return SB_OK;
}

static void note_decision(struct sb_solo *driver, const struct sb_commit *decided)
{
    SB_ASSERT(decided->sig_count <= SB_VALIDATORS_MAX);
    memcpy(driver->decided_sigs, decided->sigs, decided->sig_count * sizeof decided->sigs[0]);
    driver->decided = *decided;
    driver->decided.sigs = driver->decided_sigs;
}

static bool is_block_in_hand(const struct sb_solo *driver, const sb_hash *block_id)
{
    return driver->has_block && sb_hash_equal(&driver->value.block_id, block_id);
}

static sb_err no_such_block(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_CORRUPT, "the bytes of the proposed block are not in the journal");
}

/* carry_out: one effect, for real. */
static sb_err carry_out(struct sb_solo *driver, const struct sb_bft_effect *effect,
                        const struct sb_bft_input *input, struct sb_diag *diag)
{
    const struct sb_solo_host *host = &driver->options.host;
    switch (effect->type) {
    case SB_BFT_JOURNAL: {
        sb_err err = journal_input(driver, input);
        return err == SB_OK
                   ? SB_OK
                   : sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
    }
    case SB_BFT_SIGN:
        return sign(driver, &effect->as.message, diag);
    case SB_BFT_BROADCAST:
        return SB_OK; /* a set of one has nobody to tell */
    case SB_BFT_SET_TIMER:
        host->set_timer(host->ctx, effect->as.timer.kind, effect->as.timer.height,
                        effect->as.timer.round, effect->as.timer.delay_ms);
        return SB_OK;
    case SB_BFT_CANCEL_TIMERS:
        host->cancel_timers(host->ctx);
        return SB_OK;
    case SB_BFT_GET_VALUE:
        return get_value(driver, diag);
    case SB_BFT_VALIDATE:
        return is_block_in_hand(driver, &effect->as.validate.block_id) ? validate(driver, diag)
                                                                       : no_such_block(diag);
    case SB_BFT_DECIDE:
        if (!is_block_in_hand(driver, &effect->as.decide.block_id)) {
            return no_such_block(diag);
        }
        note_decision(driver, &effect->as.decide);
        return commit(driver, diag);
    case SB_BFT_EVIDENCE:
    case SB_BFT_FETCH:
        return SB_OK; /* need others */
    }
    SB_UNREACHABLE();
}

/* note_open: one effect during replay. */
static void note_open(struct sb_solo *driver, const struct sb_bft_effect *effect)
{
    struct open_questions *open = &driver->open;
    switch (effect->type) {
    case SB_BFT_JOURNAL:
    case SB_BFT_BROADCAST:
        break;
    case SB_BFT_SIGN:
        open->sign = true;
        open->to_sign = effect->as.message;
        break;
    case SB_BFT_SET_TIMER:
        open->timers[effect->as.timer.kind] = (struct timer){.is_set = true,
                                                             .height = effect->as.timer.height,
                                                             .round = effect->as.timer.round,
                                                             .delay_ms = effect->as.timer.delay_ms};
        break;
    case SB_BFT_CANCEL_TIMERS:
        memset(open->timers, 0, sizeof open->timers);
        break;
    case SB_BFT_GET_VALUE:
        open->get_value = true;
        break;
    case SB_BFT_VALIDATE:
        open->validate = true;
        break;
    case SB_BFT_DECIDE:
        open->decide = true;
        note_decision(driver, &effect->as.decide);
        break;
    case SB_BFT_EVIDENCE:
    case SB_BFT_FETCH:
        break;
    }
}

/* ---- steps ---- */

static sb_err step(struct sb_solo *driver, const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct sb_bft_effects effects;
    SB_TRY(sb_bft_step(driver->core, input, &effects, diag));
    for (size_t i = 0; i < effects.count; i++) {
        if (driver->is_replaying) {
            note_open(driver, &effects.list[i]);
        } else {
            SB_TRY(carry_out(driver, &effects.list[i], input, diag));
        }
    }
    return SB_OK;
}

static sb_err run_queue(struct sb_solo *driver, struct sb_diag *diag)
{
    sb_err err = SB_OK;
    while (err == SB_OK && driver->queue_count != 0) {
        struct sb_bft_input input = driver->queue[0];
        driver->queue_count--;
        memmove(&driver->queue[0], &driver->queue[1],
                driver->queue_count * sizeof driver->queue[0]);
        err = step(driver, &input, diag);
    }
    driver->failed = err;
    return err;
}

bool sb_solo_is_idle(const struct sb_solo *driver)
{
    return driver->failed == SB_OK &&
           (sb_bft_status(driver->core).step == SB_BFT_DECIDED || driver->open.get_value);
}

static void set_open_timers(struct sb_solo *driver)
{
    const struct sb_solo_host *host = &driver->options.host;
    for (int kind = 0; kind < TIMER_KINDS; kind++) {
        struct timer *timer = &driver->open.timers[kind];
        if (timer->is_set) {
            host->set_timer(host->ctx, (enum sb_bft_timeout)kind, timer->height, timer->round,
                            timer->delay_ms);
        }
        timer->is_set = false;
    }
}

/* begin: the prepared block goes into a new height, or into the one that waits for it since the restart. */
static sb_err begin(struct sb_solo *driver, struct sb_diag *diag)
{
    if (driver->open.get_value) {
        driver->open.get_value = false;
        set_open_timers(driver);
        return get_value(driver, diag);
    }
    struct sb_bft_input input = new_input(SB_BFT_IN_START_HEIGHT);
    input.as.start.height = sb_chain_head_number(driver->chain) + 1;
    input.as.start.set = sb_chain_validators(driver->chain);
    push(driver, &input);
    return SB_OK;
}

sb_err sb_solo_propose(struct sb_solo *driver, bool allow_empty, struct sb_diag *diag)
{
    if (driver->failed != SB_OK) {
        return sb_fail(diag, driver->failed, "the driver has failed before");
    }
    SB_ASSERT(sb_solo_is_idle(driver));
    sb_err err = build_block(driver, diag);
    if (err == SB_OK && !allow_empty && driver->block_tx_count == 0) {
        forget_block(driver);
        return SB_OK;
    }
    if (err == SB_OK) {
        driver->is_prepared = true;
        err = begin(driver, diag);
    }
    if (err != SB_OK) {
        driver->failed = err;
        return err;
    }
    return run_queue(driver, diag);
}

sb_err sb_solo_timeout(struct sb_solo *driver, enum sb_bft_timeout kind, uint64_t height,
                       int32_t round, struct sb_diag *diag)
{
    if (driver->failed != SB_OK) {
        return sb_fail(diag, driver->failed, "the driver has failed before");
    }
    struct sb_bft_input input = new_input(SB_BFT_IN_TIMEOUT);
    input.as.timeout.kind = kind;
    input.as.timeout.height = height;
    input.as.timeout.round = round;
    push(driver, &input);
    return run_queue(driver, diag);
}

struct sb_bft_status sb_solo_status(const struct sb_solo *driver)
{
    return sb_bft_status(driver->core);
}

/* ---- recovery ---- */

static void close_answered(struct open_questions *open, enum sb_bft_input_type type)
{
    if (type == SB_BFT_IN_SIGNED) {
        open->sign = false;
    } else if (type == SB_BFT_IN_VALUE) {
        open->get_value = false;
    } else if (type == SB_BFT_IN_VALIDITY) {
        open->validate = false;
    }
}

struct replay {
    struct sb_solo *driver;
    uint64_t next_height;
    uint64_t record_count;
    struct sb_diag *diag;
};

static sb_err replay_block(struct sb_solo *driver, sb_bytes payload, struct sb_diag *diag)
{
    forget_block(driver);
    const uint8_t *copy = sb_arena_dup(&driver->block_arena, payload);
    if (copy == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_consensus_block block;
    sb_bytes encoded = sb_span(copy, payload.len);
    SB_TRY(sb_consensus_block_decode(&block, &driver->block_arena, encoded, diag));
    sb_hash id = sb_consensus_block_id(&block.header);
    return hold_block(driver, encoded, &id);
}

static sb_err replay_record(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    struct replay *replay = ctx;
    struct sb_solo *driver = replay->driver;
    replay->record_count++;
    if (height > replay->next_height) {
        return sb_fail(replay->diag, SB_E_CORRUPT,
                       "the journal has reached height %llu, but the database ends at block %llu: "
                       "committed blocks were lost; restore the database",
                       (unsigned long long)height, (unsigned long long)replay->next_height - 1);
    }
    if (type == SB_RECORD_BLOCK) {
        return replay_block(driver, payload, replay->diag);
    }
    if (type != SB_RECORD_INPUT) {
        return sb_fail(replay->diag, SB_E_VERSION, "journal record of unknown type %u",
                       (unsigned)type);
    }
    struct sb_bft_input input;
    SB_TRY(sb_bft_input_decode(&input, &driver->block_arena, payload, replay->diag));
    if (input.type == SB_BFT_IN_START_HEIGHT) {
        input.as.start.set = sb_chain_validators(driver->chain);
    }
    close_answered(&driver->open, input.type);
    return step(driver, &input, replay->diag);
}

/* ask_open: the questions that the journal left open are asked now. Only that for a block waits, with its timer, until the host says
 * that it is time for one (sb_solo_propose). */
static sb_err ask_open(struct sb_solo *driver, struct sb_diag *diag)
{
    struct open_questions *open = &driver->open;
    if (open->get_value) {
        return SB_OK;
    }
    set_open_timers(driver);
    if (open->sign) {
        SB_TRY(sign(driver, &open->to_sign, diag));
    }
    if (open->validate) {
        SB_TRY(driver->has_block ? validate(driver, diag) : no_such_block(diag));
    }
    if (open->decide) {
        SB_TRY(is_block_in_hand(driver, &driver->decided.block_id) ? commit(driver, diag)
                                                                   : no_such_block(diag));
    }
    return run_queue(driver, diag);
}

/* check_journal_is_whole: a block is committed only after its precommit was signed and synced, so a journal that ends before the head
 * has lost signatures: cut, or an older copy put back. What else was signed then, nobody knows. */
static sb_err check_journal_is_whole(const struct sb_solo *driver, struct sb_diag *diag)
{
    uint64_t head = sb_chain_head_number(driver->chain);
    struct sb_journal_place last = {.height = 0};
    (void)sb_journal_last_signed(&last, driver->journal);
    if (last.height >= head) {
        return SB_OK;
    }
    return sb_fail(diag, SB_E_CORRUPT,
                   "the journal ends at height %llu, but the database holds block %llu: signatures "
                   "were lost; restore the newest journal and do not vote with this key without it",
                   (unsigned long long)last.height, (unsigned long long)head);
}

static sb_err recover(struct sb_solo *driver, struct sb_diag *diag)
{
    SB_TRY(check_journal_is_whole(driver, diag));
    struct replay replay = {
        .driver = driver, .next_height = sb_chain_head_number(driver->chain) + 1, .diag = diag};
    driver->is_replaying = true;
    sb_err err = sb_journal_replay(driver->journal, replay.next_height, replay_record, &replay);
    driver->is_replaying = false;
    if (err != SB_OK) {
        sb_diag_prefix(diag, "journal");
        return err;
    }
    if (replay.record_count != 0) {
        sb_log(driver->options.log, SB_LOG_WARN, "consensus",
               "the journal is ahead of the database: running its height again",
               SB_LOG_U64("height", replay.next_height), SB_LOG_U64("records", replay.record_count),
               SB_LOG_END);
    }
    return ask_open(driver, diag);
}

/* ---- life ---- */

static sb_err open_journal(struct sb_solo *driver, struct sb_diag *diag)
{
    const struct sb_solo_options *o = &driver->options;
    struct sb_journal_identity identity;
    identity.genesis_hash = sb_chain_domain(driver->chain)->genesis_hash;
    memcpy(identity.public_key, o->secret + 32, sizeof identity.public_key);
    struct sb_journal_recovery found;
    SB_TRY(sb_journal_open_folder(&driver->journal, o->journal_dir, &identity, o->new_key, &found,
                                  diag));
    if (found.torn_bytes != 0) {
        sb_log(o->log, SB_LOG_WARN, "journal", "the end of the journal was torn and is cut off",
               SB_LOG_U64("bytes", found.torn_bytes), SB_LOG_END);
    }
    return SB_OK;
}

static sb_err check_validators(const struct sb_solo *driver, struct sb_diag *diag)
{
    const struct sb_validator_set *set = sb_chain_validators(driver->chain);
    if (set->count != 1) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "the genesis names %zu validators; this version runs one validator",
                       set->count);
    }
    if (!sb_addr_equal(&set->validators[0].address, &driver->own_address)) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "the validator key of this node is not the one that the genesis names; "
                       "this version runs only the validator itself");
    }
    return SB_OK;
}

/* propose_always: a set of one has one proposer. */
static uint32_t propose_always(void *ctx, uint64_t height, int32_t round)
{
    (void)ctx;
    (void)height;
    (void)round;
    return 0;
}

static sb_err start(struct sb_solo *driver, struct sb_diag *diag)
{
    struct sb_pubkey key = sb_pubkey_ed25519(driver->options.secret + 32);
    driver->own_address = sb_pubkey_address(&key);
    SB_TRY(check_validators(driver, diag));
    struct sb_bft_config config = {.own_address = driver->own_address,
                                   .timeouts = driver->options.timeouts,
                                   .validators_max = 1,
                                   .proposer = propose_always};
    driver->core = sb_bft_new(&config);
    if (driver->core == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    SB_TRY(open_journal(driver, diag));
    return recover(driver, diag);
}

sb_err sb_solo_new(struct sb_solo **ret_driver, const struct sb_solo_options *options,
                   struct sb_diag *diag)
{
    struct sb_solo *driver = calloc(1, sizeof *driver);
    if (driver == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    driver->options = *options;
    driver->chain = options->chain;
    sb_arena_init(&driver->block_arena, BUILD_ARENA_BYTES_MAX);
    sb_err err = start(driver, diag);
    if (err != SB_OK) {
        sb_solo_free(driver);
        return err;
    }
    *ret_driver = driver;
    return SB_OK;
}

void sb_solo_free(struct sb_solo *driver)
{
    if (driver == NULL) {
        return;
    }
    forget_block(driver);
    sb_arena_fini(&driver->block_arena);
    sb_journal_close(driver->journal);
    sb_bft_free(driver->core);
    explicit_bzero(driver->options.secret, sizeof driver->options.secret);
    free(driver);
}
