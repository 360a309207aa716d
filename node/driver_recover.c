/* driver_recover.c: what the driver writes to its journal, and how it finds its place again; see driver.h.
 *
 *      SB_DRIVER_RECORD_INPUT   an input of the core (bft.h), appended before its effects
 *      SB_DRIVER_RECORD_BLOCK   an encoded consensus block, before the first own signature that names it
 *
 * Replay feeds the inputs of height head + 1 to the core and carries nothing out: a question stays open until a later record answers
 * it. What is open at the end is asked by sb_driver_resume. After a rollback of the database there are records of later heights too:
 * each such height is replayed when it is its turn, instead of being begun anew, so that no lock and no vote is forgotten. A BLOCK
 * before the START_HEIGHT of its height was built in advance.
 *
 *      heights     1 ... head | head + 1 ............ ended | begun
 *      database    here       | lost
 *      journal     (dropped)  | perhaps some records        | the height in work: all of its records
 *
 * A database that ends before the journal has lost blocks: deleted, or an older copy put back. The driver refuses to start, unless it is
 * told to get them again (may_resync). Then the journal notes a rollback from `ended`, so that the records are replayed as after any
 * rollback, and a floor, so that nothing new is signed up to `ended`: what the records of those heights do not say is not known. In
 * `begun` it goes on where the journal stood. */
#include "node/driver_impl.h"

#define INPUT_BYTES_MAX ((size_t)64 * 1024)

sb_err sb_driver_journal_input(struct sb_driver *driver, const struct sb_bft_input *input)
{
    uint64_t height = sb_bft_status(driver->core).height;
    if (input->type == SB_BFT_IN_VALUE) {
        struct sb_held_block *block = sb_driver_block_find(driver, &input->as.value.value.block_id);
        SB_TRY(block != NULL ? sb_driver_block_journal(driver, height, block) : SB_E_INTERNAL);
    }
    struct sb_buf buf;
    sb_buf_init(&buf, INPUT_BYTES_MAX);
    sb_bft_input_encode(&buf, input);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err =
            sb_journal_append(driver->journal, SB_DRIVER_RECORD_INPUT, height, sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

/* ---- replay ---- */

struct replay {
    struct sb_driver *driver;
    uint64_t next_height;
    uint64_t record_count; /* of that height */
    bool is_ahead;         /* there are records of later heights */
    struct sb_diag *diag;
};

static sb_err replay_block(struct sb_driver *driver, sb_bytes payload, struct sb_diag *diag)
{
    sb_hash id;
    struct sb_held_block *block;
    if (sb_driver_block_id(&id, payload) != SB_OK) {
        return sb_fail(diag, SB_E_CORRUPT, "a block in it cannot be read");
    }
    SB_TRY(sb_driver_block_hold(&block, driver, &id, payload, diag));
    block->is_journaled = true;
    if (!driver->is_started) {
        driver->is_prepared = true;
        driver->prepared_id = id;
    }
    return SB_OK;
}

static void close_signed(struct sb_driver *driver, const struct sb_bft_message *answer)
{
    bool is_refused = answer->is_proposal ? answer->as.proposal.signature.len == 0
                                          : answer->as.vote.signature.len == 0;
    driver->is_owed = driver->is_owed && is_refused;
    const struct sb_signer *signer = &driver->options.signer;
    if (is_refused) {
        sb_driver_note_refusal(driver, &driver->to_sign);
    } else if (signer->recall != NULL) {
        struct sb_journal_place place = sb_signing_place(answer);
        signer->recall(signer->ctx, &place);
    }
}

static void close_answered(struct sb_driver *driver, const struct sb_bft_input *input)
{
    switch (input->type) {
    case SB_BFT_IN_SIGNED:
        driver->open_sign = false;
        close_signed(driver, &input->as.signed_message);
        break;
    case SB_BFT_IN_VALUE:
        driver->open_value = false;
        driver->is_prepared = false;
        break;
    case SB_BFT_IN_VALIDITY:
        sb_driver_answered(driver, &input->as.validity.block_id);
        break;
    case SB_BFT_IN_START_HEIGHT:
    case SB_BFT_IN_PROPOSAL:
    case SB_BFT_IN_VOTE:
    case SB_BFT_IN_TIMEOUT:
    case SB_BFT_IN_CERTIFICATE:
        break;
    }
}

static sb_err replay_input(struct sb_driver *driver, sb_bytes payload, struct sb_diag *diag)
{
    struct sb_bft_input input;
    sb_arena_reset(&driver->arena);
    SB_TRY(sb_bft_input_decode(&input, &driver->arena, payload, diag));
    if (input.type == SB_BFT_IN_START_HEIGHT) {
        struct sb_bft_input fresh;
        SB_TRY(sb_driver_start_input(&fresh, driver, diag));
        input.as.start.set = fresh.as.start.set;
        driver->is_started = true;
    }
    if (!driver->is_started) {
        return SB_OK; /* of a height whose first records are gone: the file that began it was dropped */
    }
    close_answered(driver, &input);
    struct sb_driver_outcome outcome;
    return sb_driver_step(driver, &input, &outcome, diag);
}

static sb_err replay_record(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    struct replay *replay = ctx;
    if (height > replay->next_height) { /* its turn comes when the blocks before it are back */
        replay->is_ahead = true;
        return SB_OK;
    }
    replay->record_count++;
    if (type == SB_DRIVER_RECORD_BLOCK) {
        return replay_block(replay->driver, payload, replay->diag);
    }
    if (type != SB_DRIVER_RECORD_INPUT) {
        return sb_fail(replay->diag, SB_E_VERSION, "journal record of unknown type %u",
                       (unsigned)type);
    }
    return replay_input(replay->driver, payload, replay->diag);
}

/* ---- is the journal whole? ---- */

static sb_err check_place(const struct sb_driver *driver, const struct sb_journal_place *signed_at,
                          struct sb_diag *diag)
{
    struct sb_journal_place last = {.height = 0};
    (void)sb_journal_last_signed(&last, driver->journal);
    bool is_later = last.height > signed_at->height ||
                    (last.height == signed_at->height &&
                     (last.round > signed_at->round ||
                      (last.round == signed_at->round && last.step >= signed_at->step)));
    if (is_later) {
        return SB_OK;
    }
    return sb_fail(diag, SB_E_CORRUPT,
                   "the journal ends at height %llu, but the chain holds our signature of "
                   "height %llu, round %lu: signatures were lost, or the key signs elsewhere, too; "
                   "restore the newest journal and do not vote with this key without it",
                   (unsigned long long)last.height, (unsigned long long)signed_at->height,
                   (unsigned long)signed_at->round);
}

sb_err sb_driver_check_commit(const struct sb_driver *driver, const struct sb_commit *commit,
                              struct sb_diag *diag)
{
    const struct sb_rotation *rotation =
        commit->height != 0 ? driver->app->rotation(driver->app->ctx, commit->height) : NULL;
    int own = rotation != NULL ? sb_validator_set_find(&rotation->set, &driver->own_address) : -1;
    if (own < 0 || (size_t)own >= commit->sig_count || commit->sigs[own].flag == SB_COMMIT_ABSENT) {
        return SB_OK;
    }
    const struct sb_journal_place place = {
        .height = commit->height, .round = (uint32_t)commit->round, .step = SB_JOURNAL_PRECOMMIT};
    return check_place(driver, &place, diag);
}

/* check_journal_is_whole: a commit with our precommit exists only after the precommit was synced, so a journal that ends before it has
 * lost signatures: cut, or an older copy put back. What else was signed then, nobody knows. */
static sb_err check_journal_is_whole(struct sb_driver *driver, struct sb_diag *diag)
{
    uint64_t head = driver->app->head(driver->app->ctx).height;
    if (driver->options.signer.keeps_journal || head == 0) {
        return SB_OK;
    }
    sb_bytes encoded;
    struct sb_commit commit;
    struct sb_consensus_block block;
    sb_arena_reset(&driver->arena);
    sb_err err = driver->app->block(driver->app->ctx, &driver->arena, head, &encoded, &commit);
    if (err == SB_E_NOT_FOUND) {
        return SB_OK; /* pruned */
    }
    err = err == SB_OK ? sb_consensus_block_decode(&block, &driver->arena, encoded, diag) : err;
    if (err != SB_OK) {
        return sb_fail(diag, SB_E_CORRUPT, "block %llu cannot be read: %s",
                       (unsigned long long)head, sb_err_text(err));
    }
    SB_TRY(sb_driver_check_commit(driver, &commit, diag));
    SB_TRY(sb_driver_check_commit(driver, &block.last_commit, diag));
    if (sb_addr_equal(&block.header.proposer, &driver->own_address)) {
        const struct sb_journal_place place = {.height = head, .step = SB_JOURNAL_PROPOSAL};
        return check_place(driver, &place, diag);
    }
    return SB_OK;
}

/* ---- is the database whole? ---- */

static sb_err note_height(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    uint64_t *highest = ctx;
    (void)type;
    (void)payload;
    *highest = height > *highest ? height : *highest;
    return SB_OK;
}

/* is_sole: no other validator can decide this height. */
static bool is_sole(const struct sb_driver *driver, uint64_t height)
{
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, height);
    return rotation != NULL && rotation->set.count == 1 &&
           sb_validator_set_find(&rotation->set, &driver->own_address) == 0;
}

void sb_driver_tell_if_stuck(struct sb_driver *driver, uint64_t height)
{
    uint8_t none[64];
    const struct sb_journal_place last = {
        .height = height, .round = SB_ROUND_MAX, .step = SB_JOURNAL_PRECOMMIT};
    bool is_closed =
        sb_journal_may_sign(none, driver->journal, &last, sb_span(NULL, 0), NULL) == SB_E_ARG;
    if (!is_closed || height == driver->stuck_height || !is_sole(driver, height)) {
        return;
    }
    driver->stuck_height = height;
    sb_log(
        driver->options.log, SB_LOG_ERROR, "consensus",
        "no block can follow here: the chain's only validator must not sign again what it signed "
        "before; connect a node that holds the block (--persistent-peers), or restore the newest "
        "database and journal",
        SB_LOG_U64("height", height), SB_LOG_END);
}

/* refuse_lost: what to do depends on whether others have the blocks. */
static sb_err refuse_lost(const struct sb_driver *driver, uint64_t head, uint64_t ended,
                          struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_CORRUPT,
                   "the journal says that block %llu was committed, but the database ends at block "
                   "%llu: committed blocks were lost; restore the newest database%s",
                   (unsigned long long)ended, (unsigned long long)head,
                   is_sole(driver, head + 1)
                       ? ": this validator is the only one, so that no other can be expected to "
                         "hold its blocks (if one does, it can be asked: --resync)"
                       : ", or get the blocks again from peers: start once with --resync");
}

/* resync: note in the journal that the database is behind, and that nothing new is to be signed up to block `ended`. */
static sb_err resync(struct sb_driver *driver, uint64_t head, uint64_t ended, struct sb_diag *diag)
{
    const struct sb_journal_history floor = {
        .place = {.height = ended, .round = SB_ROUND_MAX, .step = SB_JOURNAL_PRECOMMIT}};
    const struct sb_journal_rollback rollback = {.from = ended, .to = head};
    bool is_raised;
    SB_TRY(sb_journal_import(&is_raised, driver->journal, &floor, diag));
    SB_TRY(sb_journal_rollback(driver->journal, &rollback, diag));
    sb_log(driver->options.log, SB_LOG_WARN, "consensus",
           "blocks were lost: they are fetched again, and nothing new is signed before they are "
           "back",
           SB_LOG_U64("height", head), SB_LOG_U64("lost_to", ended), SB_LOG_END);
    return SB_OK;
}

/* check_database_is_whole: one block may be missing whose height the journal runs again by itself. */
static sb_err check_database_is_whole(struct sb_driver *driver, struct sb_diag *diag)
{
    uint64_t head = driver->app->head(driver->app->ctx).height;
    uint64_t begun = 0, ended = sb_journal_last_ended(driver->journal);
    sb_err err = sb_journal_replay(driver->journal, head + 2, note_height, &begun);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "journal");
        return err;
    }
    ended = begun != 0 && begun - 1 > ended ? begun - 1 : ended;
    bool is_lost = begun > head + 1 || ended > head + 1;
    if (!is_lost || sb_journal_rolled_back_from(driver->journal) >= ended) {
        return SB_OK;
    }
    return driver->options.may_resync ? resync(driver, head, ended, diag)
                                      : refuse_lost(driver, head, ended, diag);
}

/* ---- recovery ---- */

sb_err sb_driver_rerun(struct sb_driver *driver, struct sb_diag *diag)
{
    struct replay replay = {.driver = driver,
                            .next_height = driver->app->head(driver->app->ctx).height + 1,
                            .diag = diag};
    driver->is_replaying = true;
    sb_err err = sb_journal_replay(driver->journal, replay.next_height, replay_record, &replay);
    driver->is_replaying = false;
    driver->is_rerun = replay.is_ahead;
    if (err != SB_OK) {
        sb_diag_prefix(diag, "journal");
        return err;
    }
    if (!driver->is_started) {
        driver->is_prepared = false; /* a block that was built for a height that did not begin */
        sb_driver_blocks_forget(driver);
    }
    if (replay.record_count != 0) {
        sb_log(driver->options.log, SB_LOG_INFO, "consensus",
               "going on in a height that the journal holds",
               SB_LOG_U64("height", replay.next_height), SB_LOG_U64("records", replay.record_count),
               SB_LOG_END);
    }
    return SB_OK;
}

sb_err sb_driver_recover(struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(check_journal_is_whole(driver, diag));
    SB_TRY(check_database_is_whole(driver, diag));
    return sb_driver_rerun(driver, diag);
}
