/* query_trace.c: transactions and calls executed again under a tracer (debug_trace*).
 *
 *     past transaction:  parent's state --> block's system calls --> transactions before it --> the traced one
 *
 * Re-execution of a decided block cannot be refused; if it is, the database is damaged. */
#include "node/tracer.h"

/* A block being executed again. */
struct replay {
    struct sb_backend *backend;
    struct sb_arena *arena;
    struct sb_rpc_failure *failure;
    const atomic_bool *stop;
    const struct sb_rpc_trace_config *config;
    struct sb_json *out;
    const struct sb_tracer *hooks; /* NULL: those of config */
    const struct sb_rpc_block *block;
    struct sb_backend_state parent;
    struct sb_block_env env;
    struct sb_executor *x;
};

static sb_err replay_open(struct replay *r)
{
    const struct sb_header *header = &r->block->block.header;
    if (header->number == 0) {
        return sb_backend_fail(r->failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                               "genesis is not traceable");
    }
    const struct sb_rpc_block_ref parent = {.by = SB_RPC_BY_HASH, .hash = header->parent_hash};
    SB_TRY(sb_backend_state_open(&r->parent, r->backend, &parent, r->failure));
    r->env = sb_chain_env(header);
    r->x = sb_executor_new(r->parent.at, sb_chain_rules(r->backend->chain), &r->env,
                           sb_chain_inference(r->backend->chain));
    if (r->x == NULL) {
        sb_backend_state_close(r->backend, &r->parent);
        return SB_E_NOMEM;
    }
    sb_executor_set_call(r->x);
    sb_executor_set_stop(r->x, r->stop);
    return SB_OK;
}

static void replay_close(struct replay *r)
{
    sb_executor_free(r->x);
    sb_backend_state_close(r->backend, &r->parent);
}

static sb_err run_tx(struct sb_tx_result *ret_result, struct replay *r, size_t index)
{
    SB_TRY(sb_executor_tx(ret_result, r->x, &r->block->block.txs[index], &r->block->senders[index],
                          NULL));
    if (atomic_load(r->stop)) {
        return SB_E_TIMEOUT;
    }
    return ret_result->reject == SB_TX_ACCEPTED ? SB_OK : SB_E_CORRUPT;
}

static sb_err trace_one(struct replay *r, size_t index)
{
    struct sb_tx_tracer tracer;
    struct sb_tx_result result;
    sb_tx_tracer_begin(&tracer, r->arena, r->out, r->config, r->backend->options.trace_steps_max,
                       sb_executor_state(r->x), &r->env.coinbase, &r->block->block.txs[index],
                       &r->block->senders[index]);
    const struct sb_tracer hooks = sb_tx_tracer_hooks(&tracer);
    sb_executor_set_tracer(r->x, &hooks);
    sb_err err = run_tx(&result, r, index);
    sb_executor_set_tracer(r->x, NULL);
    if (err == SB_OK) {
        err = sb_tx_tracer_end(&tracer, &result, r->failure);
    }
    sb_tx_tracer_fini(&tracer);
    return err;
}

/* replay_to: up to the transaction before `index`; the caller runs that one. */
static sb_err replay_to(struct replay *r, size_t index)
{
    struct sb_tx_result ignored;
    SB_TRY(sb_executor_begin(r->x));
    for (size_t i = 0; i < index; i++) {
        SB_TRY(run_tx(&ignored, r, i));
    }
    return SB_OK;
}

static sb_err run_hooked(struct replay *r, size_t index)
{
    struct sb_tx_result ignored;
    if (r->hooks == NULL) {
        return trace_one(r, index);
    }
    sb_executor_set_tracer(r->x, r->hooks);
    sb_err err = run_tx(&ignored, r, index);
    sb_executor_set_tracer(r->x, NULL);
    return err;
}

static sb_err replay_all(struct replay *r)
{
    SB_TRY(sb_executor_begin(r->x));
    sb_json_array_begin(r->out);
    for (size_t i = 0; i < r->block->block.tx_count; i++) {
        sb_json_object_begin(r->out);
        sb_json_key(r->out, "txHash");
        sb_json_hash(r->out, &r->block->tx_hashes[i]);
        sb_json_key(r->out, "result");
        SB_TRY(trace_one(r, i));
        sb_json_object_end(r->out);
    }
    sb_json_array_end(r->out);
    return SB_OK;
}

static sb_err replay_tx(struct replay *r, const sb_hash *tx_hash)
{
    struct sb_chain *chain = r->backend->chain;
    uint64_t number;
    uint32_t index;
    SB_TRY(sb_chain_tx_place(&number, &index, chain, tx_hash));
    SB_TRY(sb_chain_block_number(&r->block, chain, number));
    sb_err err = index < r->block->block.tx_count ? replay_open(r) : SB_E_CORRUPT;
    if (err == SB_OK) {
        err = replay_to(r, index);
        err = err == SB_OK ? run_hooked(r, index) : err;
        replay_close(r);
    }
    sb_chain_block_release(chain, r->block);
    return err;
}

sb_err sb_query_trace_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                         const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure)
{
    struct replay r = {.backend = ctx,
                       .arena = arena,
                       .failure = failure,
                       .stop = stop,
                       .config = config,
                       .out = out};
    return replay_tx(&r, tx_hash);
}

sb_err sb_query_replay_tx(struct sb_backend *backend, struct sb_arena *arena,
                          const sb_hash *tx_hash, const struct sb_tracer *hooks,
                          const atomic_bool *stop, struct sb_rpc_failure *failure)
{
    struct replay r = {
        .backend = backend, .arena = arena, .failure = failure, .stop = stop, .hooks = hooks};
    return replay_tx(&r, tx_hash);
}

sb_err sb_query_trace_block(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                            const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                            struct sb_json *out, struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct replay r = {.backend = b,
                       .arena = arena,
                       .failure = failure,
                       .stop = stop,
                       .config = config,
                       .out = out};
    if (ref->by == SB_RPC_BY_TAG && ref->tag == SB_RPC_PENDING) {
        return sb_backend_fail(failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                               "tracing on top of pending is not supported");
    }
    SB_TRY(sb_chain_block(&r.block, b->chain, ref));
    sb_err err = replay_open(&r);
    if (err == SB_OK) {
        err = replay_all(&r);
        replay_close(&r);
    }
    sb_chain_block_release(b->chain, r.block);
    return err;
}

/* ---- calls ---- */

static sb_err trace_call_on(struct sb_query_site *site, struct sb_arena *arena,
                            struct sb_executor *x, const struct sb_query_tx *call,
                            const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                            struct sb_json *out, struct sb_rpc_failure *failure)
{
    struct sb_tx_tracer tracer;
    struct sb_query_outcome outcome;
    sb_query_state_override(sb_executor_state(x), site->overrides, site->override_count);
    sb_tx_tracer_begin(&tracer, arena, out, config, site->backend->options.trace_steps_max,
                       sb_executor_state(x), &site->env.coinbase, &call->tx, &call->from);
    const struct sb_tracer hooks = sb_tx_tracer_hooks(&tracer);
    sb_executor_set_tracer(x, &hooks);
    sb_executor_set_call(x);
    sb_executor_set_stop(x, stop);
    sb_err err = sb_executor_tx(&outcome.result, x, &call->tx, &call->from, &call->relax);
    if (err == SB_OK && outcome.result.reject != SB_TX_ACCEPTED) {
        sb_query_refusal(outcome.refusal, sizeof outcome.refusal, x, &site->rules, &site->env, call,
                         outcome.result.reject);
        err = sb_query_fail_refused(failure, &outcome, call);
    } else if (err == SB_OK && atomic_load(stop)) {
        err = SB_E_TIMEOUT;
    } else if (err == SB_OK) {
        err = sb_tx_tracer_end(&tracer, &outcome.result, failure);
    }
    sb_tx_tracer_fini(&tracer);
    return err;
}

sb_err sb_query_trace_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                           const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                           struct sb_json *out, struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct sb_query_site site;
    SB_TRY(sb_query_site_open(&site, arena, b, query, failure));
    const struct sb_query_tx call =
        sb_query_tx_of(&site.rules, &query->call, b->options.call_gas_max);
    struct sb_executor *x =
        sb_executor_new(site.state.at, &site.rules, &site.env, sb_chain_inference(b->chain));
    sb_err err = SB_E_NOMEM;
    if (x != NULL) {
        err = trace_call_on(&site, arena, x, &call, config, stop, out, failure);
        sb_executor_free(x);
    }
    sb_query_site_close(&site);
    return err;
}
