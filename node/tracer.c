/* tracer.c: choosing among the tracers, and their bounds (see tracer.h). */
#include "node/tracer.h"

#define TABLES_BYTES_MAX ((size_t)64 << 20)

sb_hash sb_trace_word_hash(const sb_u256 *word)
{
    sb_hash hash;
    sb_u256_store_be(hash.b, word);
    return hash;
}

sb_addr sb_trace_word_addr(const sb_u256 *word)
{
    sb_hash hash = sb_trace_word_hash(word);
    sb_addr addr;
    memcpy(addr.b, hash.b + sizeof hash.b - sizeof addr.b, sizeof addr.b);
    return addr;
}

void sb_tx_tracer_begin(struct sb_tx_tracer *t, struct sb_arena *arena, struct sb_json *out,
                        const struct sb_rpc_trace_config *config, uint64_t steps_max,
                        struct sb_overlay *state, const sb_addr *coinbase, const struct sb_tx *tx,
                        const sb_addr *sender)
{
    *t = (struct sb_tx_tracer){.config = config,
                               .arena = arena,
                               .out = out,
                               .state = state,
                               .coinbase = *coinbase,
                               .tx = tx,
                               .steps_max = steps_max,
                               .open = SIZE_MAX};
    sb_access_set_init(&t->touched, arena, TABLES_BYTES_MAX);
    sb_access_set_init(&t->created, arena, TABLES_BYTES_MAX);
    switch (config->tracer) {
    case SB_RPC_TRACER_STRUCT_LOGS:
        sb_step_log_begin(t);
        break;
    case SB_RPC_TRACER_PRESTATE:
        sb_prestate_begin(t, sender);
        break;
    case SB_RPC_TRACER_CALL:
        break;
    }
}

struct sb_tracer sb_tx_tracer_hooks(struct sb_tx_tracer *t)
{
    switch (t->config->tracer) {
    case SB_RPC_TRACER_CALL:
        return sb_call_tree_hooks(t);
    case SB_RPC_TRACER_PRESTATE:
        return sb_prestate_hooks(t);
    case SB_RPC_TRACER_STRUCT_LOGS:
        break;
    }
    return sb_step_log_hooks(t);
}

sb_err sb_tx_tracer_end(struct sb_tx_tracer *t, const struct sb_tx_result *result,
                        struct sb_rpc_failure *failure)
{
    if (t->over_limit || t->touched.failed || t->created.failed) {
        return sb_backend_fail(
            failure, SB_E_LIMIT, SB_RPC_LIMIT,
            "the trace is too big: this node records at most %llu steps of a "
            "transaction; ask for fewer with \"limit\", or for less of each with "
            "disableStack and disableStorage",
            (unsigned long long)t->steps_max);
    }
    switch (t->config->tracer) {
    case SB_RPC_TRACER_STRUCT_LOGS:
        sb_step_log_end(t, result);
        break;
    case SB_RPC_TRACER_CALL:
        sb_call_tree_end(t, result);
        break;
    case SB_RPC_TRACER_PRESTATE:
        sb_prestate_end(t);
        break;
    }
    if (sb_buf_err(t->out->buf) != SB_OK) {
        return sb_backend_fail(failure, SB_E_LIMIT, SB_RPC_LIMIT,
                               "the trace is larger than an answer may be");
    }
    return SB_OK;
}

void sb_tx_tracer_fini(struct sb_tx_tracer *t)
{
    sb_access_set_fini(&t->touched);
    sb_access_set_fini(&t->created);
}
