/* driver_late.c: precommits that come after their height is committed, and what a proposer makes of them; see driver.h.
 *
 *      height head      -> the last commit of the next block, made as full as it can be (precommits of the commit's own round)
 *      height head - 1  -> late precommits of the next block: of validators that the chain's commit of that height lacks
 *
 * The chain's commit of height head - 1 is the one inside of block head; the commit beside a stored block is this node's own. */
#include "node/driver_impl.h"

static struct sb_late_votes *late_of(struct sb_driver *driver, uint64_t height)
{
    struct sb_late_votes *late = &driver->late[height % 2];
    if (late->height != height) {
        memset(late, 0, sizeof *late);
        late->height = height;
    }
    return late;
}

void sb_driver_late_absorb(struct sb_driver *driver)
{
    struct sb_application_head head = driver->app->head(driver->app->ctx);
    struct sb_bft_status status = sb_bft_status(driver->core);
    const struct sb_rotation *rotation = driver->app->rotation(driver->app->ctx, head.height);
    if (head.height == 0 || status.height != head.height || rotation == NULL) {
        return;
    }
    struct sb_late_votes *late = late_of(driver, head.height);
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        const struct sb_vote *vote =
            sb_bft_vote(driver->core, SB_VOTE_PRECOMMIT, driver->decided.round, i);
        if (vote != NULL && vote->signature.len != 0) {
            late->votes[i] = *vote;
            late->has[i] = true;
        }
    }
}

sb_err sb_driver_late_add(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                          const struct sb_vote *vote, struct sb_diag *diag)
{
    struct sb_late_votes *late = late_of(driver, vote->height);
    struct sb_vote *held = &late->votes[vote->validator_index];
    driver->counters.late_votes++;
    if (!late->has[vote->validator_index]) {
        *held = *vote;
        late->has[vote->validator_index] = true;
        *ret_taken = SB_TAKEN_NEW;
        return SB_OK;
    }
    struct sb_evidence evidence;
    if (sb_evidence_make(&evidence, held, vote) == SB_OK) {
        driver->counters.conflicting_votes++;
        *ret_taken = SB_TAKEN_CONFLICT;
        return driver->app->evidence_add(driver->app->ctx, &evidence, diag);
    }
    *ret_taken = held->round == vote->round ? SB_TAKEN_KNOWN : SB_TAKEN_LATE;
    return SB_OK;
}

/* ---- drafts ---- */

/* fill_commit: the stored commit of head with what has come since. */
static sb_err fill_commit(struct sb_commit *commit, struct sb_driver *driver, struct sb_diag *diag)
{
    struct sb_commit_sig *sigs = sb_arena_array(&driver->arena, commit->sig_count, sizeof *sigs);
    if (sigs == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    const struct sb_late_votes *late = late_of(driver, commit->height);
    for (size_t i = 0; i < commit->sig_count; i++) {
        const struct sb_vote *vote = &late->votes[i];
        sigs[i] = commit->sigs[i];
        if (sigs[i].flag != SB_COMMIT_ABSENT || !late->has[i] || vote->round != commit->round) {
            continue;
        }
        if (sb_vote_is_nil(vote) || sb_hash_equal(&vote->block_id, &commit->block_id)) {
            sigs[i].flag = sb_vote_is_nil(vote) ? SB_COMMIT_NIL : SB_COMMIT_BLOCK;
            sigs[i].signature = vote->signature;
        }
    }
    commit->sigs = sigs;
    return SB_OK;
}

/* list_late: precommits of canonical's height by validators that it lacks. */
static sb_err list_late(struct sb_application_draft *draft, struct sb_driver *driver,
                        const struct sb_commit *canonical, struct sb_diag *diag)
{
    const struct sb_late_votes *late = late_of(driver, canonical->height);
    struct sb_vote *votes = sb_arena_array(&driver->arena, canonical->sig_count, sizeof *votes);
    if (votes == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    size_t count = 0;
    for (size_t i = 0; i < canonical->sig_count; i++) {
        if (canonical->sigs[i].flag == SB_COMMIT_ABSENT && late->has[i]) {
            votes[count++] = late->votes[i];
        }
    }
    draft->late_precommits = votes;
    draft->late_precommit_count = count;
    return SB_OK;
}

sb_err sb_driver_draft(struct sb_application_draft *ret_draft, struct sb_driver *driver,
                       struct sb_diag *diag)
{
    const struct sb_driver_host *host = &driver->options.host;
    struct sb_application_head head = driver->app->head(driver->app->ctx);
    uint64_t now = host->now_ms(host->ctx);
    struct sb_application_draft draft = {.height = head.height + 1,
                                         .time_ms = now > head.time_ms ? now : head.time_ms + 1,
                                         .proposer = driver->own_address};
    if (head.height != 0) {
        sb_bytes encoded;
        struct sb_consensus_block block;
        sb_err err = driver->app->block(driver->app->ctx, &driver->arena, head.height, &encoded,
                                        &draft.last_commit);
        if (err == SB_OK) {
            err = sb_consensus_block_decode(&block, &driver->arena, encoded, NULL) == SB_OK
                      ? SB_OK
                      : SB_E_CORRUPT;
        }
        if (err != SB_OK) {
            return sb_fail(diag, err, "block %llu cannot be read: %s",
                           (unsigned long long)head.height, sb_err_text(err));
        }
        SB_TRY(fill_commit(&draft.last_commit, driver, diag));
        if (head.height >= 2) {
            SB_TRY(list_late(&draft, driver, &block.last_commit, diag));
        }
    }
    *ret_draft = draft;
    return SB_OK;
}
