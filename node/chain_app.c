/* chain_app.c: see chain_app.h. */
#include "node/chain_app.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/evidence.h"

/* Invalid blocks that the log and the count remember, to tell each of them once. */
#define INVALID_KEPT 64

struct sb_application_block {
    struct sb_chain_executed *executed;
};

struct sb_chain_app {
    struct sb_application table;
    struct sb_chain_app_options options;
    sb_hash invalid[INVALID_KEPT]; /* hashes of encoded blocks, a ring */
    size_t invalid_next;
    sb_hash undecided; /* likewise of the last block that could not be judged */
    atomic_uint_least64_t processed_count, invalid_count, forged_count;
};

/* ---- facts ---- */

static struct sb_application_head app_head(void *ctx)
{
    const struct sb_chain_app *app = ctx;
    struct sb_chain_head head = sb_chain_head(app->options.chain);
    return (struct sb_application_head){
        .height = head.header.number,
        .block_id = head.consensus_id,
        .time_ms = head.time_ms,
        .randomness = head.header.mix_hash,
        .timeliness = {.precision_ms = head.params.time_precision_ms,
                       .message_delay_ms = head.params.message_delay_ms_max},
        .min_block_interval_ms = head.params.min_block_interval_ms,
        .block_bytes_max = head.params.block_bytes_max};
}

static const struct sb_chain_domain *app_domain(void *ctx)
{
    const struct sb_chain_app *app = ctx;
    return sb_chain_domain(app->options.chain);
}

static const struct sb_rotation *app_rotation(void *ctx, uint64_t height)
{
    const struct sb_chain_app *app = ctx;
    return sb_chain_rotation(app->options.chain, height);
}

static bool app_version_known(void *ctx, uint64_t height, char ret_reason[256])
{
    const struct sb_chain_app *app = ctx;
    struct sb_chain_head head = sb_chain_head(app->options.chain);
    uint64_t version = sb_chain_version_at(&head, height);
    if (version <= SB_CONSENSUS_VERSION) {
        return true;
    }
    (void)snprintf(ret_reason, 256,
                   "block %llu follows version %llu of the rules, and this program knows versions "
                   "up to %d: install a samebit that knows it and start again; the data directory "
                   "stays as it is",
                   (unsigned long long)height, (unsigned long long)version, SB_CONSENSUS_VERSION);
    return false;
}

/* ---- blocks to come ---- */

static sb_err app_prepare(void *ctx, struct sb_arena *arena,
                          const struct sb_application_draft *draft, sb_bytes *ret_encoded,
                          sb_hash *ret_block_id, bool *ret_has_transactions, struct sb_diag *diag)
{
    const struct sb_chain_app *app = ctx;
    const struct sb_chain_app_options *o = &app->options;
    struct sb_built_block built;
    SB_TRY(sb_builder_build(&built, arena, o->chain, o->mempool, &o->builder, draft, diag));
    *ret_encoded = built.encoded;
    *ret_block_id = built.block_id;
    *ret_has_transactions = built.tx_count != 0;
    return SB_OK;
}

/* is_first_time: the block was not refused a moment ago. */
static bool is_first_time(struct sb_chain_app *app, sb_bytes encoded)
{
    sb_hash hash = sb_keccak256(encoded);
    for (size_t i = 0; i < INVALID_KEPT; i++) {
        if (sb_hash_equal(&app->invalid[i], &hash)) {
            return false;
        }
    }
    app->invalid[app->invalid_next] = hash;
    app->invalid_next = (app->invalid_next + 1) % INVALID_KEPT;
    return true;
}

/* tell_undecided: once: a decided block that waits holds the node up, and is judged again and again. */
static void tell_undecided(struct sb_chain_app *app, sb_bytes encoded,
                           const struct sb_chain_verdict *verdict)
{
    sb_hash hash = sb_keccak256(encoded);
    if (!sb_hash_equal(&app->undecided, &hash)) {
        app->undecided = hash;
        sb_log(app->options.log, SB_LOG_INFO, "chain", "a block cannot be judged yet",
               SB_LOG_U64("height", sb_chain_head_number(app->options.chain) + 1),
               SB_LOG_STR("reason", verdict->reason), SB_LOG_END);
    }
}

/* tell_invalid: who proposed it, as far as the block can be read, and what is wrong with it. */
static void tell_invalid(struct sb_chain_app *app, sb_bytes encoded,
                         const struct sb_chain_verdict *verdict)
{
    if (!is_first_time(app, encoded)) {
        return;
    }
    atomic_fetch_add(&app->invalid_count, 1);
    atomic_fetch_add(&app->forged_count, verdict->is_forged ? 1 : 0);
    const sb_addr *proposer = &verdict->proposer;
    sb_log(app->options.log, SB_LOG_WARN, "chain",
           verdict->is_forged ? "a block was refused: it promises what its transactions do not give"
                              : "a block was refused",
           SB_LOG_U64("height", sb_chain_head_number(app->options.chain) + 1),
           SB_LOG_HEX("proposer", proposer->b, verdict->has_header ? sizeof proposer->b : 0),
           SB_LOG_STR("reason", verdict->reason), SB_LOG_END);
}

static sb_err app_process(void *ctx, sb_bytes encoded, struct sb_application_verdict *ret_verdict,
                          struct sb_application_block **ret_block, struct sb_diag *diag)
{
    struct sb_chain_app *app = ctx;
    struct sb_application_block *block = calloc(1, sizeof *block);
    if (block == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_chain_verdict verdict;
    sb_err err = sb_chain_judge(&block->executed, &verdict, app->options.chain, encoded, diag);
    if (err != SB_OK || !verdict.is_valid) {
        free(block);
        SB_TRY(err);
    }
    atomic_fetch_add(&app->processed_count, 1);
    struct sb_application_verdict told = {.valid = verdict.is_valid};
    if (verdict.is_valid) {
        const struct sb_consensus_header *header = sb_chain_executed_header(block->executed);
        told.block_id = *sb_chain_executed_id(block->executed);
        told.time_ms = header->time_ms;
        told.proposer = header->proposer;
        *ret_block = block;
    } else if (verdict.is_undecided) {
        told.undecided = true;
        (void)snprintf(told.reason, sizeof told.reason, "%.*s", (int)sizeof told.reason - 1,
                       verdict.reason);
        tell_undecided(app, encoded, &verdict);
    } else {
        told.malformed = !verdict.is_bound;
        (void)snprintf(told.reason, sizeof told.reason, "%.*s", (int)sizeof told.reason - 1,
                       verdict.reason);
        tell_invalid(app, encoded, &verdict);
    }
    *ret_verdict = told;
    return SB_OK;
}

static void app_block_free(void *ctx, struct sb_application_block *block)
{
    const struct sb_chain_app *app = ctx;
    if (block != NULL) {
        sb_chain_executed_free(app->options.chain, block->executed);
        free(block);
    }
}

static sb_err app_commit_take(void *ctx, struct sb_application_block *block,
                              const struct sb_commit *commit, struct sb_diag *diag)
{
    const struct sb_chain_app *app = ctx;
    struct sb_chain_executed *executed = block->executed;
    free(block);
    return sb_chain_commit_take(app->options.chain, executed, commit, diag);
}

/* ---- blocks that are there ---- */

static sb_err app_block(void *ctx, struct sb_arena *arena, uint64_t height, sb_bytes *ret_encoded,
                        struct sb_commit *ret_commit)
{
    const struct sb_chain_app *app = ctx;
    return sb_chain_encoded(ret_encoded, ret_commit, arena, app->options.chain, height);
}

static uint64_t app_oldest_block(void *ctx)
{
    const struct sb_chain_app *app = ctx;
    return sb_chain_oldest(app->options.chain);
}

/* ---- evidence ---- */

static sb_err app_evidence_add(void *ctx, const struct sb_evidence *evidence, struct sb_diag *diag)
{
    const struct sb_chain_app *app = ctx;
    return sb_evidence_pool_add(sb_chain_evidence(app->options.chain), evidence, diag);
}

static sb_err app_evidence_pending(void *ctx, struct sb_arena *arena, size_t max,
                                   const struct sb_evidence **ret_list, size_t *ret_count)
{
    const struct sb_chain_app *app = ctx;
    return sb_evidence_pool_list(ret_list, ret_count, sb_chain_evidence(app->options.chain), arena,
                                 max);
}

/* ---- life ---- */

sb_err sb_chain_app_new(struct sb_chain_app **ret_app, const struct sb_chain_app_options *options,
                        struct sb_diag *diag)
{
    struct sb_chain_app *app = calloc(1, sizeof *app);
    if (app == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    app->options = *options;
    app->table = (struct sb_application){
        .ctx = app,
        .head = app_head,
        .domain = app_domain,
        .rotation = app_rotation,
        .version_known = app_version_known,
        .prepare = app_prepare,
        .process = app_process,
        .block_free = app_block_free,
        .commit_take = app_commit_take,
        .block = app_block,
        .oldest_block = app_oldest_block,
        .evidence_add = app_evidence_add,
        .evidence_pending = app_evidence_pending,
    };
    *ret_app = app;
    return SB_OK;
}

void sb_chain_app_free(struct sb_chain_app *app)
{
    free(app);
}

const struct sb_application *sb_chain_app_table(const struct sb_chain_app *app)
{
    return &app->table;
}

struct sb_chain_app_counters sb_chain_app_counters(const struct sb_chain_app *app)
{
    return (struct sb_chain_app_counters){.processed_blocks = atomic_load(&app->processed_count),
                                          .invalid_blocks = atomic_load(&app->invalid_count),
                                          .forged_results = atomic_load(&app->forged_count)};
}
