/* driver_peers.c: what peers send: placed, checked against set and proposer, verified, and handed to the core; see driver.h.
 *
 *      place      of this height? of one to come (EARLY)? of one that is over (LATE)?
 *      repeat     held already: no signature is checked
 *      signature  under the key of the validator that the set or the rotation names
 *
 * The cheap checks come first: what a peer sends in masses is refused before it costs a signature. */
#include "base/codec/rlp.h"
#include "node/driver_impl.h"

static uint64_t head_height(const struct sb_driver *driver)
{
    return driver->app->head(driver->app->ctx).height;
}

/* place: EARLY or LATE for a height other than the one in work; NEW for that one. */
static enum sb_driver_taken place(const struct sb_driver *driver, uint64_t height)
{
    uint64_t head = head_height(driver);
    if (height <= head) {
        return SB_TAKEN_LATE;
    }
    return height == head + 1 && driver->is_started ? SB_TAKEN_NEW : SB_TAKEN_EARLY;
}

static sb_err feed(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                   const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct sb_driver_outcome outcome;
    sb_err err = sb_driver_step(driver, input, &outcome, diag);
    err = err == SB_OK ? sb_driver_run_queue(driver, diag) : err;
    SB_TRY(sb_driver_leave(driver, err, diag));
    *ret_taken = outcome.is_evidence ? SB_TAKEN_CONFLICT
                 : outcome.changed   ? SB_TAKEN_NEW
                                     : SB_TAKEN_KNOWN;
    return SB_OK;
}

/* ---- proposals ---- */

/* names_other_bytes: the block of this id is here, and its bytes are not those that the proposal signed: whoever lacks the block could never
 * put it together, and a lock on such a proposal would be proposed again with its false root. */
static bool names_other_bytes(struct sb_driver *driver, const struct sb_proposal *proposal)
{
    const struct sb_held_block *block = sb_driver_block_find(driver, &proposal->block_id);
    sb_hash root;
    return block != NULL && (block->len != proposal->block_bytes ||
                             sb_parts_root(&root, sb_span(block->bytes, block->len)) != SB_OK ||
                             !sb_hash_equal(&root, &proposal->parts_root));
}

sb_err sb_driver_proposal(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                          const struct sb_proposal *proposal, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    const struct sb_application *app = driver->app;
    struct sb_bft_status status = sb_bft_status(driver->core);
    *ret_taken = place(driver, proposal->height);
    if (*ret_taken != SB_TAKEN_NEW) {
        return SB_OK;
    }
    if (driver->is_deciding) {
        *ret_taken = SB_TAKEN_LATE;
        return SB_OK;
    }
    if (proposal->round < 0 || proposal->pol_round < -1 || proposal->pol_round >= proposal->round ||
        proposal->block_bytes == 0 || proposal->block_bytes > app->head(app->ctx).block_bytes_max) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    if (proposal->round - 1 > status.round) {
        *ret_taken = SB_TAKEN_EARLY;
        return SB_OK;
    }
    if (sb_bft_proposal(driver->core, proposal->round) != NULL) {
        *ret_taken = SB_TAKEN_KNOWN;
        return SB_OK;
    }
    const struct sb_rotation *rotation = app->rotation(app->ctx, proposal->height);
    uint32_t index = sb_rotation_proposer(rotation, proposal->round);
    if (sb_proposal_verify(proposal, &rotation->validators[index].key, app->domain(app->ctx),
                           &driver->options.verifier, NULL) != SB_OK) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    if (names_other_bytes(driver, proposal)) {
        *ret_taken = SB_TAKEN_KNOWN; /* the proposer's fault: who passed it on may lack the block */
        return SB_OK;
    }
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_PROPOSAL);
    input.as.proposal.message = *proposal;
    input.as.proposal.received_ms = driver->options.host.now_ms(driver->options.host.ctx);
    return feed(ret_taken, driver, &input, diag);
}

/* ---- votes ---- */

static bool vote_is_valid(const struct sb_driver *driver, const struct sb_vote *vote,
                          const struct sb_rotation *rotation)
{
    return sb_vote_verify(vote, &rotation->set, driver->app->domain(driver->app->ctx),
                          &driver->options.verifier, NULL) == SB_OK;
}

/* names_validator: index and address agree; the cheap part of sb_vote_verify. */
static bool names_validator(const struct sb_vote *vote, const struct sb_rotation *rotation)
{
    return vote->validator_index < rotation->set.count &&
           sb_addr_equal(&rotation->set.validators[vote->validator_index].address,
                         &vote->validator_address);
}

/* late_vote: of height head or head - 1, which the core has left. */
static sb_err late_vote(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                        const struct sb_vote *vote, struct sb_diag *diag)
{
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, vote->height);
    const struct sb_late_votes *late = &driver->late[vote->height % 2];
    *ret_taken = SB_TAKEN_LATE;
    if (vote->type != SB_VOTE_PRECOMMIT || vote->height + 1 < head_height(driver) ||
        vote->height == 0 || rotation == NULL) {
        return SB_OK;
    }
    if (!names_validator(vote, rotation)) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    const struct sb_vote *held = &late->votes[vote->validator_index];
    if (late->height == vote->height && late->has[vote->validator_index] &&
        held->round == vote->round && sb_hash_equal(&held->block_id, &vote->block_id)) {
        *ret_taken = SB_TAKEN_KNOWN;
        return SB_OK;
    }
    if (!vote_is_valid(driver, vote, rotation)) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    return sb_driver_leave(driver, sb_driver_late_add(ret_taken, driver, vote, diag), diag);
}

/* check_quorum: with this precommit, or these, more than two thirds may have decided a block that is invalid here. */
static sb_err check_quorum(struct sb_driver *driver, enum sb_vote_type type, int32_t round,
                           const sb_hash *block_id, struct sb_diag *diag)
{
    struct sb_bft_certificate quorum;
    const struct sb_held_block *block = sb_driver_block_find(driver, block_id);
    if (type != SB_VOTE_PRECOMMIT || block == NULL || !block->is_judged || block->verdict.valid ||
        !sb_bft_certificate(&quorum, driver->core, SB_VOTE_PRECOMMIT, round) ||
        !sb_hash_equal(&quorum.commit.block_id, block_id)) {
        return SB_OK;
    }
    return sb_driver_leave(driver, sb_driver_check_final(driver, block_id, diag), diag);
}

sb_err sb_driver_vote(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                      const struct sb_vote *vote, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    uint64_t head = head_height(driver);
    struct sb_bft_status status = sb_bft_status(driver->core);
    bool is_after = vote->height == head && status.height == head && head != 0 &&
                    !driver->is_started; /* decided and committed: the core still listens */
    *ret_taken = place(driver, vote->height);
    if (*ret_taken == SB_TAKEN_EARLY) {
        return SB_OK;
    }
    if (*ret_taken == SB_TAKEN_LATE && !is_after) {
        return late_vote(ret_taken, driver, vote, diag);
    }
    if (is_after && vote->type != SB_VOTE_PRECOMMIT) {
        return SB_OK;
    }
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, vote->height);
    if (!names_validator(vote, rotation) || vote->round < 0) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    const struct sb_vote *held =
        sb_bft_vote(driver->core, vote->type, vote->round, vote->validator_index);
    if (held != NULL && sb_hash_equal(&held->block_id, &vote->block_id)) {
        *ret_taken = SB_TAKEN_KNOWN;
        return SB_OK;
    }
    if (!vote_is_valid(driver, vote, rotation)) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    driver->counters.late_votes += is_after ? 1 : 0;
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_VOTE);
    input.as.vote = *vote;
    SB_TRY(feed(ret_taken, driver, &input, diag));
    SB_TRY(check_quorum(driver, vote->type, vote->round, &vote->block_id, diag));
    if (*ret_taken == SB_TAKEN_KNOWN && held == NULL &&
        sb_bft_vote(driver->core, vote->type, vote->round, vote->validator_index) != NULL) {
        *ret_taken = SB_TAKEN_NEW; /* after the decision the core records votes without an effect */
    }
    return SB_OK;
}

/* ---- certificates ---- */

/* certificate_is_valid: every signature in it holds, and those for the block are a quorum. */
static bool certificate_is_valid(const struct sb_driver *driver,
                                 const struct sb_bft_certificate *certificate,
                                 const struct sb_rotation *rotation)
{
    const struct sb_commit *commit = &certificate->commit;
    int64_t power = 0;
    if (commit->sig_count != rotation->set.count || commit->round < 0 ||
        sb_hash_is_zero(&commit->block_id)) {
        return false;
    }
    for (size_t i = 0; i < commit->sig_count; i++) {
        if (commit->sigs[i].flag == SB_COMMIT_BLOCK) {
            power += rotation->set.validators[i].power;
        }
    }
    if (!sb_power_is_quorum(power, rotation->set.total_power)) {
        return false;
    }
    for (size_t i = 0; i < commit->sig_count; i++) {
        if (commit->sigs[i].flag == SB_COMMIT_ABSENT) {
            continue;
        }
        struct sb_vote vote = sb_commit_vote(commit, &rotation->set, i);
        vote.type = certificate->type;
        if (!vote_is_valid(driver, &vote, rotation)) {
            return false;
        }
    }
    return true;
}

sb_err sb_driver_certificate(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                             const struct sb_bft_certificate *certificate, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    const struct sb_commit *commit = &certificate->commit;
    struct sb_bft_certificate held;
    *ret_taken = place(driver, commit->height);
    if (*ret_taken != SB_TAKEN_NEW) {
        return SB_OK;
    }
    if (commit->round >= 0 &&
        sb_bft_certificate(&held, driver->core, certificate->type, commit->round)) {
        *ret_taken = SB_TAKEN_KNOWN;
        return SB_OK;
    }
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, commit->height);
    if ((certificate->type != SB_VOTE_PREVOTE && certificate->type != SB_VOTE_PRECOMMIT) ||
        !certificate_is_valid(driver, certificate, rotation)) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_CERTIFICATE);
    input.as.certificate = *certificate;
    SB_TRY(feed(ret_taken, driver, &input, diag));
    return check_quorum(driver, certificate->type, commit->round, &commit->block_id, diag);
}

/* ---- blocks ---- */

/* block_arrived: hold it, answer what waits for it. */
static sb_err block_arrived(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                            const sb_hash *block_id, sb_bytes encoded, struct sb_diag *diag)
{
    struct sb_held_block *block;
    SB_TRY(sb_driver_block_hold(&block, driver, block_id, encoded, diag));
    SB_TRY(sb_driver_answer_held(driver, diag));
    if (driver->is_deciding) {
        SB_TRY(sb_driver_commit(driver, diag));
    } else {
        SB_TRY(sb_driver_block_settle(driver, block_id, diag));
    }
    SB_TRY(sb_driver_run_queue(driver, diag));
    *ret_taken = sb_driver_block_find(driver, block_id) != NULL ? SB_TAKEN_NEW : SB_TAKEN_INVALID;
    return SB_OK;
}

sb_err sb_driver_block(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                       const sb_hash *block_id, sb_bytes encoded, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    sb_hash id;
    if (!driver->is_started) {
        *ret_taken = SB_TAKEN_LATE;
        return SB_OK;
    }
    if (sb_driver_block_find(driver, block_id) != NULL) {
        *ret_taken = SB_TAKEN_KNOWN;
        return SB_OK;
    }
    if (!sb_driver_block_wanted(driver, block_id)) {
        *ret_taken = SB_TAKEN_EARLY;
        return SB_OK;
    }
    if (encoded.len > SB_CONSENSUS_BLOCK_BYTES_MAX || sb_driver_block_id(&id, encoded) != SB_OK ||
        !sb_hash_equal(&id, block_id)) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    return sb_driver_leave(driver, block_arrived(ret_taken, driver, block_id, encoded, diag), diag);
}

/* ---- sync ---- */

/* sync_idle: execute and commit a block that a valid commit names. */
static sb_err sync_idle(enum sb_driver_taken *ret_taken, struct sb_driver *driver, sb_bytes encoded,
                        const struct sb_commit *commit, struct sb_diag *diag)
{
    const struct sb_application *app = driver->app;
    struct sb_application_verdict verdict;
    struct sb_application_block *executed = NULL;
    SB_TRY(app->process(app->ctx, encoded, &verdict, &executed, diag));
    if (verdict.undecided) {
        *ret_taken = SB_TAKEN_UNDECIDED;
        return SB_OK;
    }
    if (!verdict.valid && verdict.malformed) {
        *ret_taken = SB_TAKEN_INVALID;
        return SB_OK;
    }
    if (!verdict.valid) {
        return sb_fail(diag, SB_E_CORRUPT,
                       "block %llu was decided by more than two thirds and is invalid here (%s): "
                       "this node differs from them and must not go on",
                       (unsigned long long)commit->height, verdict.reason);
    }
    SB_TRY(app->commit_take(app->ctx, executed, commit, diag));
    *ret_taken = SB_TAKEN_NEW;
    return sb_driver_committed(driver, commit, diag);
}

/* not_decided: what to say of a block with a valid commit that did not decide the height in work. */
static enum sb_driver_taken not_decided(struct sb_driver *driver, const struct sb_commit *commit)
{
    const struct sb_held_block *block = sb_driver_block_find(driver, &commit->block_id);
    if (block == NULL || (block->is_judged && !block->verdict.valid)) {
        return SB_TAKEN_INVALID; /* the bytes were no use */
    }
    if (block->is_judged && driver->told_fork != commit->height) {
        driver->told_fork = commit->height;
        sb_log(driver->options.log, SB_LOG_ERROR, "consensus",
               "two blocks of one round have more than two thirds of the power each: at least a "
               "third of it is dishonest, and this chain is forked",
               SB_LOG_U64("height", commit->height), SB_LOG_I64("round", commit->round),
               SB_LOG_HEX("block", commit->block_id.b, sizeof commit->block_id.b), SB_LOG_END);
    }
    return SB_TAKEN_UNDECIDED;
}

/* sync_started: the height in work is decided by its certificate and block, through the core. */
static sb_err sync_started(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                           sb_bytes encoded, const struct sb_commit *commit, struct sb_diag *diag)
{
    uint64_t height = commit->height;
    driver->is_certified = true;
    driver->certified_id = commit->block_id;
    SB_TRY(block_arrived(ret_taken, driver, &commit->block_id, encoded, diag));
    if (driver->is_started && *ret_taken == SB_TAKEN_NEW) {
        struct sb_driver_outcome outcome;
        struct sb_bft_input input = sb_driver_input(SB_BFT_IN_CERTIFICATE);
        input.as.certificate.type = SB_VOTE_PRECOMMIT;
        input.as.certificate.commit = *commit;
        SB_TRY(sb_driver_step(driver, &input, &outcome, diag));
        SB_TRY(sb_driver_answer_held(driver, diag));
        SB_TRY(sb_driver_run_queue(driver, diag));
    }
    if (head_height(driver) < height) {
        SB_TRY(sb_driver_check_final(driver, &commit->block_id, diag));
        *ret_taken = not_decided(driver, commit);
    }
    return SB_OK;
}

/* header_height: of an encoded block. */
static sb_err header_height(uint64_t *ret_height, sb_bytes encoded)
{
    struct sb_rlp in = sb_rlp_open(encoded), fields;
    struct sb_rlp_item raw;
    struct sb_consensus_header header;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_read_item(&raw, &fields));
    SB_TRY(sb_consensus_header_decode(&header, raw.raw, NULL));
    *ret_height = header.height;
    return SB_OK;
}

sb_err sb_driver_sync_block(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                            sb_bytes encoded, const struct sb_commit *commit, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    const struct sb_application *app = driver->app;
    uint64_t next = head_height(driver) + 1, height;
    sb_hash id;
    char reason[256] = "";
    *ret_taken = SB_TAKEN_INVALID;
    if (encoded.len > SB_CONSENSUS_BLOCK_BYTES_MAX || header_height(&height, encoded) != SB_OK ||
        sb_driver_block_id(&id, encoded) != SB_OK) {
        return SB_OK;
    }
    if (height != next) {
        *ret_taken = height < next ? SB_TAKEN_LATE : SB_TAKEN_EARLY;
        return SB_OK;
    }
    const struct sb_rotation *rotation = app->rotation(app->ctx, height);
    if (commit->round < 0 ||
        sb_commit_verify(commit, height, &id, &rotation->set, app->domain(app->ctx),
                         &driver->options.verifier, NULL) != SB_OK) {
        return SB_OK;
    }
    if (!app->version_known(app->ctx, height, reason)) {
        return sb_fail(diag, SB_E_VERSION, "%s", reason);
    }
    if (!driver->options.signer.keeps_journal) {
        SB_TRY(sb_driver_leave(driver, sb_driver_check_commit(driver, commit, diag), diag));
    }
    sb_err err = driver->is_started ? sync_started(ret_taken, driver, encoded, commit, diag)
                                    : sync_idle(ret_taken, driver, encoded, commit, diag);
    return sb_driver_leave(driver, err, diag);
}
