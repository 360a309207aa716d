/* application.c: see application.h. */
#include "tests/sim/application.h"

#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "tests/sim/adversary.h"
#include "tests/sim/check.h"
#include "tests/sim/sim.h"
#include "tests/support/stub_application.h"

#define TRANSACTION_BYTES 24
#define TRANSACTIONS_MAX  256 /* that are looked at in a block */
#define ACTIONS_MAX       16  /* of them, for this height */
#define EVIDENCE_MAX      64

bool sim_application_refuses(const struct sim_node *node, const sb_hash *block_id)
{
    uint32_t per_mille = node->sim->config.invalid_per_mille;
    return per_mille != 0 && sim_mix(le_load64(block_id->b + 8)) % 1000 < per_mille;
}

static bool refuse(void *ctx, uint64_t height, const sb_hash *block_id)
{
    (void)height;
    return sim_application_refuses(ctx, block_id);
}

static bool forge(void *ctx, uint64_t height)
{
    (void)height;
    struct sim_node *node = ctx;
    return node->adversary != NULL && sim_adversary_forges(node);
}

static void executing(void *ctx, uint64_t height)
{
    (void)height;
    struct sim_node *node = ctx;
    sim_node_spends(node, node->sim->config.faults.execute_us);
}

/* who_is: nodes of the indexes in the set of a height whose bit is set. */
static uint32_t who_is(const struct sim_staking *staking, uint64_t height, uint32_t indexes)
{
    uint32_t nodes = 0;
    for (uint8_t i = 0; i < staking->member_count[height % 5]; i++) {
        nodes |= (indexes >> i & 1) << staking->members[height % 5][i];
    }
    return nodes;
}

static uint8_t node_of(const struct sim *sim, const sb_addr *address)
{
    uint8_t node = 0;
    while (node < sim->config.node_count &&
           !sb_addr_equal(&sim->nodes[node].key.address, address)) {
        node++;
    }
    return node;
}

/* changes: what the block makes of the stake. */
static size_t changes(void *ctx, const struct sb_consensus_block *block,
                      struct sb_validator_change *ret, size_t max)
{
    const struct sim_node *node = ctx;
    struct sim_staking *staking = node->application.staking;
    const uint64_t height = block->header.height;
    struct stake_action actions[ACTIONS_MAX];
    struct stake_offence evidence[EVIDENCE_MAX];
    sb_bytes transactions[TRANSACTIONS_MAX];
    if (staking == NULL) {
        return 0;
    }
    struct sim_staking_block in = {.height = height,
                                   .time_ms = block->header.time_ms,
                                   .actions = actions,
                                   .evidence = evidence};
    const size_t count =
        stub_application_transactions(transactions, TRANSACTIONS_MAX, block->payload);
    for (size_t i = 0; i < count && in.action_count < ACTIONS_MAX; i++) {
        in.action_count +=
            sim_staking_decode(&actions[in.action_count], transactions[i], height) ? 1 : 0;
    }
    uint32_t present = 0, late = 0;
    for (size_t i = 0; i < block->last_commit.sig_count; i++) {
        present |= block->last_commit.sigs[i].flag != SB_COMMIT_ABSENT ? UINT32_C(1) << i : 0;
    }
    for (size_t i = 0; i < block->late_precommit_count; i++) {
        late |= UINT32_C(1) << block->late_precommits[i].validator_index;
    }
    in.present = height >= 2 ? who_is(staking, height - 1, present) : 0;
    in.late = height >= 3 ? who_is(staking, height - 2, late) : 0;
    for (; in.evidence_count < block->evidence_count && in.evidence_count < EVIDENCE_MAX;
         in.evidence_count++) {
        const struct sb_vote *vote = &block->evidence[in.evidence_count].a;
        evidence[in.evidence_count] = (struct stake_offence){
            .who = node_of(node->sim, &vote->validator_address), .height = vote->height};
    }
    return sim_staking_end(staking, &in) ? sim_staking_changes(node->sim, staking, height, ret, max)
                                         : 0;
}

void sim_application_init(struct sim_application *app, struct sim_node *node)
{
    const struct sim_config *c = &node->sim->config;
    app->node = node;
    app->stub = NULL;
    app->staking = NULL;
    if (c->is_core_only) {
        return;
    }
    struct sb_validator validators[SIM_NODES_MAX];
    memset(validators, 0, sizeof validators);
    size_t count = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        if (c->power[i] != 0) {
            validators[count++] =
                (struct sb_validator){.key = sim_key_of(node->sim, i).pubkey, .power = c->power[i]};
        }
    }
    struct sim_random random = sim_random_stream(c->seed, 100 + node->index);
    struct stub_application_options options = {.domain = node->sim->domain,
                                               .genesis_time_ms = SIM_EPOCH_MS - 60000,
                                               .validators = validators,
                                               .validator_count = count,
                                               .timeliness = c->timeliness,
                                               .min_block_interval_ms = c->interval_ms,
                                               .padding_bytes =
                                                   (size_t)sim_below(&random, c->block_bytes_max),
                                               .verifier = sim_verifier(),
                                               .hooks = {.ctx = node,
                                                         .refuse = refuse,
                                                         .forge = forge,
                                                         .executing = executing,
                                                         .changes = changes}};
    app->stub = stub_application_new(&options);
    SB_ASSERT(app->stub != NULL);
    app->table = stub_application_table(app->stub);
    app->staking = sim_staking_new(node->sim);
}

void sim_application_fini(struct sim_application *app)
{
    if (app->stub != NULL) {
        stub_application_free(app->stub);
    }
    free(app->staking);
}

/* ---- the table: the stub's functions, outside of the node's memory account ---- */

static struct sb_application_head head(void *ctx)
{
    const struct sim_application *app = ctx;
    return app->table.head(app->table.ctx);
}

static const struct sb_chain_domain *domain(void *ctx)
{
    const struct sim_application *app = ctx;
    return app->table.domain(app->table.ctx);
}

static const struct sb_rotation *rotation(void *ctx, uint64_t height)
{
    const struct sim_application *app = ctx;
    return app->table.rotation(app->table.ctx, height);
}

static bool version_known(void *ctx, uint64_t height, char ret_reason[256])
{
    const struct sim_application *app = ctx;
    return app->table.version_known(app->table.ctx, height, ret_reason);
}

/* add_staking: transactions for this block alone; in a later one they do nothing. */
static void add_staking(struct sim_application *app, const struct sb_application_draft *draft)
{
    struct sim *sim = app->node->sim;
    struct stake_action actions[SIM_STAKING_ACTIONS_MAX];
    if (app->staking == NULL) {
        return;
    }
    const size_t count =
        sim_staking_draw(sim, app->staking, draft->time_ms, &sim->node_random, actions);
    for (size_t i = 0; i < count; i++) {
        uint8_t transaction[SIM_STAKING_TX_BYTES];
        sim_staking_encode(transaction, &actions[i], draft->height);
        (void)stub_application_add(app->stub, sb_span(transaction, sizeof transaction));
    }
}

static sb_err prepare(void *ctx, struct sb_arena *arena, const struct sb_application_draft *draft,
                      sb_bytes *ret_encoded, sb_hash *ret_block_id, bool *ret_has_transactions,
                      struct sb_diag *diag)
{
    struct sim_application *app = ctx;
    uint8_t transaction[TRANSACTION_BYTES];
    le_store64(transaction, draft->height);
    le_store64(transaction + 8, app->node->index);
    le_store64(transaction + 16, sim_random_u64(&app->node->sim->node_random));
    struct sim_alloc *before = sim_alloc_enter(NULL);
    (void)stub_application_add(app->stub, sb_span(transaction, sizeof transaction));
    add_staking(app, draft);
    (void)sim_alloc_enter(before);
    sb_err err = app->table.prepare(app->table.ctx, arena, draft, ret_encoded, ret_block_id,
                                    ret_has_transactions, diag);
    if (err == SB_OK && app->node->adversary != NULL) {
        before = sim_alloc_enter(NULL);
        sim_adversary_prepares(app->node, arena, draft, ret_encoded, ret_block_id);
        (void)sim_alloc_enter(before);
    }
    return err;
}

static sb_err process(void *ctx, sb_bytes encoded, struct sb_application_verdict *ret_verdict,
                      struct sb_application_block **ret_block, struct sb_diag *diag)
{
    const struct sim_application *app = ctx;
    struct sim_alloc *before = sim_alloc_enter(NULL);
    sb_err err = app->table.process(app->table.ctx, encoded, ret_verdict, ret_block, diag);
    (void)sim_alloc_enter(before);
    if (err == SB_OK && !ret_verdict->valid && app->node->adversary == NULL) {
        app->node->sim->counts.invalid_blocks++;
    }
    return err;
}

static void block_free(void *ctx, struct sb_application_block *block)
{
    const struct sim_application *app = ctx;
    struct sim_alloc *before = sim_alloc_enter(NULL);
    app->table.block_free(app->table.ctx, block);
    (void)sim_alloc_enter(before);
}

static sb_err died(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_IO, "the node has crashed");
}

static sb_err commit_take(void *ctx, struct sb_application_block *block,
                          const struct sb_commit *commit, struct sb_diag *diag)
{
    struct sim_application *app = ctx;
    struct sim_node *node = app->node;
    if (sim_node_dies(node)) {
        block_free(app, block);
        return died(diag);
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    sb_err err = app->table.commit_take(app->table.ctx, block, commit, diag);
    if (err == SB_OK) {
        struct sim_block_facts facts = {.app = app,
                                        .is_valid =
                                            !sim_application_refuses(node, &commit->block_id),
                                        .state = stub_application_state(app->stub, commit->height)};
        sim_check_decided(node->sim, node->index, commit, &facts);
        node->sim->counts.synced_blocks += node->standing.is_syncing ? 1 : 0;
    }
    (void)sim_alloc_enter(before);
    return err == SB_OK && sim_node_dies(node) ? died(diag) : err;
}

static sb_err block(void *ctx, struct sb_arena *arena, uint64_t height, sb_bytes *ret_encoded,
                    struct sb_commit *ret_commit)
{
    const struct sim_application *app = ctx;
    return app->table.block(app->table.ctx, arena, height, ret_encoded, ret_commit);
}

static uint64_t oldest_block(void *ctx)
{
    const struct sim_application *app = ctx;
    return app->table.oldest_block(app->table.ctx);
}

static sb_err evidence_add(void *ctx, const struct sb_evidence *evidence, struct sb_diag *diag)
{
    const struct sim_application *app = ctx;
    const struct sim *sim = app->node->sim;
    if (evidence->a.height > stub_application_height(app->stub) + 1 ||
        !sim_rotation_is_known(sim, evidence->a.height)) {
        return SB_OK; /* ignored */
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    struct sb_verifier verifier = sim_verifier();
    sb_err err = sb_evidence_verify(evidence, &sim_rotation(sim, evidence->a.height)->set,
                                    &sim->domain, &verifier, diag) == SB_OK
                     ? SB_OK
                     : SB_E_REFUSED;
    if (err == SB_OK) {
        sim_check_evidence(app->node->sim, app->node->index, evidence);
        err = app->table.evidence_add(app->table.ctx, evidence, diag);
    }
    (void)sim_alloc_enter(before);
    return err;
}

static sb_err evidence_pending(void *ctx, struct sb_arena *arena, size_t max,
                               const struct sb_evidence **ret_list, size_t *ret_count)
{
    const struct sim_application *app = ctx;
    return app->table.evidence_pending(app->table.ctx, arena, max, ret_list, ret_count);
}

struct sb_application sim_application_table(struct sim_application *app)
{
    return (struct sb_application){.ctx = app,
                                   .head = head,
                                   .domain = domain,
                                   .rotation = rotation,
                                   .version_known = version_known,
                                   .prepare = prepare,
                                   .process = process,
                                   .block_free = block_free,
                                   .commit_take = commit_take,
                                   .block = block,
                                   .oldest_block = oldest_block,
                                   .evidence_add = evidence_add,
                                   .evidence_pending = evidence_pending};
}
