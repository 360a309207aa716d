/* driver_blocks.c: the blocks of the height in work: a few at a time, each executed once, one committed; see driver.h.
 *
 * A question of the core about a block (VALIDATE) waits in `questions` until the block's bytes are here. Bytes that are not the block
 * which their header names (verdict.malformed) answer nothing: other bytes of the same id may be valid. Nor does a block that cannot be
 * judged yet (verdict.undecided): to the core it is as if it were not here, and it is looked at again. */
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/driver_impl.h"

/* Rounds back from the present one that are looked through for a quorum of precommits. */
#define CERTIFIED_ROUNDS 16

sb_err sb_driver_block_id(sb_hash *ret_id, sb_bytes encoded)
{
    struct sb_rlp in = sb_rlp_open(encoded), fields;
    struct sb_rlp_item header;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_read_item(&header, &fields));
    *ret_id = sb_keccak256(header.raw);
    return SB_OK;
}

/* ---- holding ---- */

struct sb_held_block *sb_driver_block_find(struct sb_driver *driver, const sb_hash *block_id)
{
    for (size_t i = 0; i < SB_DRIVER_BLOCKS_MAX; i++) {
        struct sb_held_block *block = &driver->blocks[i];
        if (block->is_held && sb_hash_equal(&block->block_id, block_id)) {
            return block;
        }
    }
    return NULL;
}

static void free_executed(struct sb_driver *driver, struct sb_held_block *block)
{
    if (block->executed != NULL) {
        driver->app->block_free(driver->app->ctx, block->executed);
        block->executed = NULL;
    }
}

void sb_driver_block_drop(struct sb_driver *driver, struct sb_held_block *block)
{
    free_executed(driver, block);
    free(block->bytes);
    memset(block, 0, sizeof *block);
}

void sb_driver_blocks_forget(struct sb_driver *driver)
{
    for (size_t i = 0; i < SB_DRIVER_BLOCKS_MAX; i++) {
        struct sb_held_block *block = &driver->blocks[i];
        if (block->is_held &&
            !(driver->is_prepared && sb_hash_equal(&block->block_id, &driver->prepared_id))) {
            sb_driver_block_drop(driver, block);
        }
    }
    driver->question_count = 0;
    driver->is_certified = false;
}

static bool is_proposed(const struct sb_driver *driver, int32_t round, const sb_hash *block_id)
{
    const struct sb_proposal *proposal = round >= 0 ? sb_bft_proposal(driver->core, round) : NULL;
    return proposal != NULL && sb_hash_equal(&proposal->block_id, block_id);
}

static bool is_asked(const struct sb_driver *driver, const sb_hash *block_id)
{
    for (size_t i = 0; i < driver->question_count; i++) {
        if (sb_hash_equal(&driver->questions[i].block_id, block_id)) {
            return true;
        }
    }
    return false;
}

static bool is_final(const struct sb_driver *driver, const sb_hash *block_id)
{
    return (driver->is_certified && sb_hash_equal(&driver->certified_id, block_id)) ||
           (driver->is_deciding && sb_hash_equal(&driver->decided.block_id, block_id));
}

/* worth: what goes when room is short: the lowest, and of equals the oldest. */
static int worth(const struct sb_driver *driver, const struct sb_held_block *block)
{
    struct sb_bft_status status = sb_bft_status(driver->core);
    const sb_hash *id = &block->block_id;
    if (is_final(driver, id)) {
        return 4;
    }
    if (block->is_voted || sb_hash_equal(&status.locked_block, id) ||
        sb_hash_equal(&status.valid_block, id)) {
        return 3;
    }
    if (is_proposed(driver, status.round, id)) {
        return 2;
    }
    return is_asked(driver, id) ? 1 : 0;
}

static struct sb_held_block *make_room(struct sb_driver *driver)
{
    struct sb_held_block *least = NULL;
    int least_worth = 0;
    for (size_t i = 0; i < SB_DRIVER_BLOCKS_MAX; i++) {
        struct sb_held_block *block = &driver->blocks[i];
        if (!block->is_held) {
            return block;
        }
        int here = worth(driver, block);
        if (least == NULL || here < least_worth ||
            (here == least_worth && block->arrival < least->arrival)) {
            least = block;
            least_worth = here;
        }
    }
    sb_driver_block_drop(driver, least);
    return least;
}

sb_err sb_driver_block_hold(struct sb_held_block **ret_block, struct sb_driver *driver,
                            const sb_hash *block_id, sb_bytes encoded, struct sb_diag *diag)
{
    struct sb_held_block *block = sb_driver_block_find(driver, block_id);
    if (block != NULL) {
        *ret_block = block;
        return SB_OK;
    }
    uint8_t *copy = malloc(encoded.len + 1);
    if (copy == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for a block of %zu bytes", encoded.len);
    }
    sb_copy(copy, encoded.data, encoded.len);
    block = make_room(driver);
    *block = (struct sb_held_block){.is_held = true,
                                    .block_id = *block_id,
                                    .bytes = copy,
                                    .len = encoded.len,
                                    .arrival = driver->arrivals++};
    *ret_block = block;
    return SB_OK;
}

sb_err sb_driver_block_journal(struct sb_driver *driver, uint64_t height,
                               struct sb_held_block *block)
{
    if (!block->is_journaled) {
        SB_TRY(sb_journal_append(driver->journal, SB_DRIVER_RECORD_BLOCK, height,
                                 sb_span(block->bytes, block->len)));
        block->is_journaled = true;
    }
    return SB_OK;
}

/* sb_driver_block_wanted: proposed in a round near the present one, held by lock or polka, asked about, or decided. */
bool sb_driver_block_wanted(const struct sb_driver *driver, const sb_hash *block_id)
{
    struct sb_bft_status status = sb_bft_status(driver->core);
    if (is_final(driver, block_id) || is_asked(driver, block_id) ||
        sb_hash_equal(&status.locked_block, block_id) ||
        sb_hash_equal(&status.valid_block, block_id)) {
        return true;
    }
    return is_proposed(driver, status.round, block_id) ||
           (status.round < SB_ROUND_MAX && is_proposed(driver, status.round + 1, block_id));
}

/* ---- judging ---- */

static sb_err judge(struct sb_driver *driver, struct sb_held_block *block, struct sb_diag *diag)
{
    SB_TRY(driver->app->process(driver->app->ctx, sb_span(block->bytes, block->len),
                                &block->verdict, &block->executed, diag));
    if (block->verdict.undecided) {
        block->executed = NULL;
        driver->has_undecided = true;
        return SB_OK;
    }
    if (!block->verdict.valid) {
        block->executed = NULL;
    } else if (!sb_hash_equal(&block->verdict.block_id, &block->block_id)) {
        return sb_fail(diag, SB_E_INTERNAL, "the application judged another block than asked");
    }
    block->is_judged = true;
    if (!block->verdict.valid) {
        driver->counters.invalid_blocks++;
        sb_log(driver->options.log, SB_LOG_DEBUG, "consensus", "a block is invalid",
               SB_LOG_U64("height", sb_bft_status(driver->core).height),
               SB_LOG_HEX("id", block->block_id.b, sizeof block->block_id.b),
               SB_LOG_STR("reason", block->verdict.reason), SB_LOG_END);
    }
    return SB_OK;
}

sb_err sb_driver_block_settle(struct sb_driver *driver, const sb_hash *block_id,
                              struct sb_diag *diag)
{
    struct sb_held_block *block = sb_driver_block_find(driver, block_id);
    if (block == NULL || block->is_judged) {
        return SB_OK;
    }
    SB_TRY(judge(driver, block, diag));
    if (block->is_judged && !block->verdict.valid && block->verdict.malformed) {
        sb_driver_block_drop(driver, block);
    }
    return SB_OK;
}

static sb_err diverged(const sb_hash *block_id, const char *reason, struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_CORRUPT,
                   "more than two thirds decided block %02x%02x%02x%02x…, which is invalid here "
                   "(%s): this node differs from them and must not go on",
                   block_id->b[0], block_id->b[1], block_id->b[2], block_id->b[3], reason);
}

sb_err sb_driver_check_final(struct sb_driver *driver, const sb_hash *block_id,
                             struct sb_diag *diag)
{
    struct sb_held_block *block = sb_driver_block_find(driver, block_id);
    if (block == NULL) {
        return SB_OK;
    }
    if (!block->is_judged) { /* the verdict came from the journal, or was not asked for */
        SB_TRY(judge(driver, block, diag));
    }
    return !block->is_judged || block->verdict.valid || block->verdict.malformed
               ? SB_OK
               : diverged(block_id, block->verdict.reason, diag);
}

static void question_remove(struct sb_driver *driver, size_t index)
{
    driver->question_count--;
    memmove(&driver->questions[index], &driver->questions[index + 1],
            (driver->question_count - index) * sizeof driver->questions[0]);
}

void sb_driver_answered(struct sb_driver *driver, const sb_hash *block_id)
{
    for (size_t i = driver->question_count; i-- > 0;) {
        if (sb_hash_equal(&driver->questions[i].block_id, block_id)) {
            question_remove(driver, i);
        }
    }
}

/* answer: push the verdict; *ret_done false: the bytes were no use, or cannot be judged yet: the question stays. */
static sb_err answer(bool *ret_done, struct sb_driver *driver, struct sb_held_block *block,
                     struct sb_diag *diag)
{
    *ret_done = true;
    if (!block->is_judged) {
        SB_TRY(judge(driver, block, diag));
    }
    if (!block->is_judged) {
        *ret_done = false;
        return SB_OK;
    }
    if (!block->verdict.valid && block->verdict.malformed) {
        sb_driver_block_drop(driver, block);
        *ret_done = false;
        return SB_OK;
    }
    if (!block->verdict.valid && is_final(driver, &block->block_id)) {
        return diverged(&block->block_id, block->verdict.reason, diag);
    }
    struct sb_bft_input input = sb_driver_input(SB_BFT_IN_VALIDITY);
    input.as.validity.height = sb_bft_status(driver->core).height;
    input.as.validity.block_id = block->block_id;
    input.as.validity.valid = block->verdict.valid;
    if (block->verdict.valid) {
        input.as.validity.time_ms = block->verdict.time_ms;
        input.as.validity.proposer = block->verdict.proposer;
    }
    sb_driver_push(driver, &input);
    return SB_OK;
}

sb_err sb_driver_answer_held(struct sb_driver *driver, struct sb_diag *diag)
{
    for (size_t i = 0; i < driver->question_count;) {
        struct sb_held_block *block = sb_driver_block_find(driver, &driver->questions[i].block_id);
        bool done = false;
        if (block != NULL) {
            SB_TRY(answer(&done, driver, block, diag));
        }
        if (done) {
            question_remove(driver, i);
        } else {
            i++;
        }
    }
    return SB_OK;
}

sb_err sb_driver_ask(struct sb_driver *driver, const sb_hash *block_id, int32_t round,
                     struct sb_diag *diag)
{
    if (!is_asked(driver, block_id)) {
        if (driver->question_count == SB_DRIVER_QUESTIONS_MAX) {
            question_remove(driver, 0); /* of the earliest round: it may stay without an answer */
        }
        driver->questions[driver->question_count++] =
            (struct sb_driver_question){.block_id = *block_id, .round = round};
    }
    return driver->is_replaying ? SB_OK : sb_driver_answer_held(driver, diag);
}

static sb_err look_again(struct sb_driver *driver, struct sb_diag *diag)
{
    driver->has_undecided = false;
    SB_TRY(sb_driver_answer_held(driver, diag));
    if (driver->is_deciding) {
        SB_TRY(sb_driver_commit(driver, diag));
    }
    return sb_driver_run_queue(driver, diag);
}

sb_err sb_driver_look_again(struct sb_driver *driver, struct sb_diag *diag)
{
    SB_TRY(sb_driver_enter(driver, diag));
    return driver->has_undecided && driver->is_started
               ? sb_driver_leave(driver, look_again(driver, diag), diag)
               : SB_OK;
}

/* certified_in: the round in which a block has a quorum of precommits, looked for from the round of its question on; -1: none. */
static int32_t certified_in(const struct sb_driver *driver,
                            const struct sb_driver_question *question)
{
    struct sb_bft_certificate certificate;
    int32_t present = sb_bft_status(driver->core).round;
    int32_t last = question->round > present ? question->round : present;
    int32_t count =
        last - question->round < CERTIFIED_ROUNDS ? last - question->round : CERTIFIED_ROUNDS;
    for (int32_t round = last - count; count >= 0; round += count > 0 ? 1 : 0, count--) {
        if (sb_bft_certificate(&certificate, driver->core, SB_VOTE_PRECOMMIT, round) &&
            sb_hash_equal(&certificate.commit.block_id, &question->block_id)) {
            return round;
        }
    }
    return -1;
}

void sb_driver_fetch_certified(struct sb_driver *driver)
{
    const struct sb_driver_host *host = &driver->options.host;
    for (size_t i = 0; i < driver->question_count; i++) {
        struct sb_driver_question *question = &driver->questions[i];
        if (question->is_fetched || question->round < 0 ||
            sb_driver_block_find(driver, &question->block_id) != NULL) {
            continue;
        }
        int32_t round = certified_in(driver, question);
        if (round < 0) {
            continue;
        }
        question->is_fetched = true;
        driver->is_certified = true;
        driver->certified_id = question->block_id;
        host->fetch(host->ctx, sb_bft_status(driver->core).height, round, &question->block_id);
    }
}

/* ---- committing ---- */

void sb_driver_note_decision(struct sb_driver *driver, const struct sb_commit *decided)
{
    SB_ASSERT(decided->sig_count <= SB_VALIDATORS_MAX);
    memcpy(driver->decided_sigs, decided->sigs, decided->sig_count * sizeof decided->sigs[0]);
    driver->decided = *decided;
    driver->decided.sigs = driver->decided_sigs;
    driver->is_deciding = true;
}

static void log_block(const struct sb_driver *driver, const struct sb_commit *commit)
{
    size_t signers = 0;
    for (size_t i = 0; i < commit->sig_count; i++) {
        signers += commit->sigs[i].flag == SB_COMMIT_BLOCK ? 1 : 0;
    }
    sb_log(driver->options.log, SB_LOG_INFO, "consensus", "block",
           SB_LOG_U64("number", commit->height),
           SB_LOG_HEX("id", commit->block_id.b, sizeof commit->block_id.b),
           SB_LOG_U64("round", (uint64_t)commit->round), SB_LOG_U64("signers", signers),
           SB_LOG_END);
}

sb_err sb_driver_committed(struct sb_driver *driver, const struct sb_commit *commit,
                           struct sb_diag *diag)
{
    sb_err err = sb_journal_end_height(driver->journal, commit->height);
    if (err != SB_OK) {
        return sb_driver_journal_fail(err, diag);
    }
    struct sb_late_votes *late = &driver->late[commit->height % 2];
    memset(late, 0, sizeof *late);
    late->height = commit->height;
    log_block(driver, commit);
    driver->options.host.committed(driver->options.host.ctx, commit);
    return SB_OK;
}

sb_err sb_driver_commit(struct sb_driver *driver, struct sb_diag *diag)
{
    const struct sb_driver_host *host = &driver->options.host;
    const struct sb_commit *decided = &driver->decided;
    struct sb_held_block *block = sb_driver_block_find(driver, &decided->block_id);
    if (block != NULL && block->executed == NULL) { /* the verdict came from the journal */
        SB_TRY(judge(driver, block, diag));
        if (!block->is_judged) {
            return SB_OK;
        }
        if (!block->verdict.valid && block->verdict.malformed) {
            sb_driver_block_drop(driver, block);
            block = NULL;
        } else if (!block->verdict.valid) {
            return diverged(&decided->block_id, block->verdict.reason, diag);
        }
    }
    if (block == NULL) {
        host->fetch(host->ctx, decided->height, decided->round, &decided->block_id);
        return SB_OK;
    }
    struct sb_application_block *executed = block->executed;
    block->executed = NULL;
    for (size_t i = 0; i < SB_DRIVER_BLOCKS_MAX; i++) {
        free_executed(driver, &driver->blocks[i]);
    }
    SB_TRY(driver->app->commit_take(driver->app->ctx, executed, decided, diag));
    driver->is_started = false;
    driver->is_deciding = false;
    driver->is_certified = false;
    driver->is_owed = false;
    driver->question_count = 0;
    return sb_driver_committed(driver, decided, diag);
}
