/* query.h: execution for the RPC: calls, estimates, access lists, simulations, traces; and what the registry says of models.
 *
 *      query --> site (state at a block, environment, overrides) --> executor --> outcome --> answer in the request's arena
 *
 *      query.c            the site, one execution, eth_call, words of failures
 *      query_estimate.c   least sufficient gas                    query_access.c    access lists
 *      query_simulate.c   eth_simulateV1                          query_trace.c     debug_trace*; trace_*.c the tracers
 *      query_inference.c  light blocks, inferences, proofs  query_evidence.c  samebit_getEvidence, _submitEvidence
 *      query_models.c     samebit_* models                        query_config.c    eth_config
 *      query_staking.c    operators, signing info
 *
 * Each execution has an executor of its own, so that any number of threads may ask at once. Words and codes of failures are geth's,
 * which wallets and libraries match. */
#ifndef SB_NODE_QUERY_H
#define SB_NODE_QUERY_H

#include "node/backend_impl.h"

/* ---- functions of the table (rpc/backend.h) ---- */

sb_err sb_query_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                     const atomic_bool *stop, sb_bytes *ret_output, uint64_t *ret_gas_used,
                     struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_estimate_gas(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                             const atomic_bool *stop, uint64_t *ret_gas,
                             struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_access_list(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                            const atomic_bool *stop, struct sb_rpc_access_list *ret_list,
                            struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_simulate(void *ctx, struct sb_arena *arena,
                         const struct sb_rpc_simulation *simulation, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_light_block(void *ctx, struct sb_arena *arena, uint64_t number,
                            struct sb_rpc_light_block *ret_block) SB_MUST_USE;
sb_err sb_query_inferences(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                           struct sb_rpc_inferences *ret_inferences) SB_MUST_USE;
sb_err sb_query_inference_proof(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                                uint64_t index, const atomic_bool *stop,
                                struct sb_rpc_inference_proof *ret_proof) SB_MUST_USE;
sb_err sb_query_block_votes(void *ctx, struct sb_arena *arena, uint64_t number,
                            struct sb_rpc_block_votes *ret_votes) SB_MUST_USE;
sb_err sb_query_submit_evidence(void *ctx, struct sb_arena *arena, sb_bytes encoded,
                                uint64_t common_height, size_t *ret_accepted,
                                struct sb_rpc_failure *failure) SB_MUST_USE;
/* sb_query_replay_tx: run a past transaction again, after those before it in its block, under a tracer of the caller's. */
sb_err sb_query_replay_tx(struct sb_backend *backend, struct sb_arena *arena,
                          const sb_hash *tx_hash, const struct sb_tracer *hooks,
                          const atomic_bool *stop, struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_trace_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                         const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_trace_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                           const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                           struct sb_json *out, struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_trace_block(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                            const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                            struct sb_json *out, struct sb_rpc_failure *failure) SB_MUST_USE;
sb_err sb_query_models(void *ctx, struct sb_arena *arena, uint64_t offset, uint64_t limit,
                       const struct sb_rpc_model **ret_models, size_t *ret_count,
                       uint64_t *ret_total) SB_MUST_USE;
sb_err sb_query_model(void *ctx, struct sb_arena *arena, const sb_hash *id,
                      struct sb_rpc_model *ret_model) SB_MUST_USE;
sb_err sb_query_signing_info(void *ctx, const sb_addr *addr, const struct sb_rpc_block_ref *ref,
                             struct sb_rpc_signing_info *ret_info,
                             struct sb_rpc_failure *failure) SB_MUST_USE;
/* sb_query_operators: fill in the operators that Staking knows. */
void sb_query_operators(struct sb_backend *backend, struct sb_rpc_validator *validators,
                        size_t count);

sb_err sb_query_config(void *ctx, struct sb_json *out) SB_MUST_USE;

/* ---- the site of a query ---- */

/* A state and the block that code on it sees. Must not move between open and close. */
struct sb_query_site {
    struct sb_backend *backend;
    struct sb_backend_state state;
    struct sb_rules rules;
    struct sb_block_env env;
    const struct sb_rpc_account_override *overrides; /* borrowed */
    size_t override_count;
    struct sb_precompile_moves moves; /* in the arena of the request; rules point to it */
};

/* sb_query_site_open: the block's state and environment with the query's overrides. */
sb_err sb_query_site_open(struct sb_query_site *ret_site, struct sb_arena *arena,
                          struct sb_backend *backend, const struct sb_rpc_query *query,
                          struct sb_rpc_failure *failure) SB_MUST_USE;
void sb_query_site_close(struct sb_query_site *site);

/* sb_query_moves_add: what overrides do to the precompiles: one that is overridden is an ordinary account from then on, or acts at
 * another address. moves starts zeroed and may be added to again. -32000 when an account that is moved is no precompile. */
sb_err sb_query_moves_add(struct sb_precompile_moves *moves, struct sb_arena *arena,
                          const struct sb_rules *rules,
                          const struct sb_rpc_account_override *overrides, size_t count,
                          struct sb_rpc_failure *failure) SB_MUST_USE;
/* sb_query_env_override: change the environment as a block override asks. */
void sb_query_env_override(struct sb_block_env *env, const struct sb_rpc_block_override *o);
/* sb_query_state_override: change accounts; outside of a transaction. */
void sb_query_state_override(struct sb_overlay *state,
                             const struct sb_rpc_account_override *overrides, size_t count);

/* ---- one call ---- */

/* A call as a transaction that nobody signed. */
struct sb_query_tx {
    struct sb_tx tx;
    sb_addr from;
    struct sb_exec_relax relax;
};

/* sb_query_tx_of: any nonce, any sender, any gas; the base fee is waived when the call names no fee. */
struct sb_query_tx sb_query_tx_of(const struct sb_rules *rules, const struct sb_rpc_call *call,
                                  uint64_t gas_default);

struct sb_query_outcome {
    struct sb_tx_result result; /* output in the arena; no logs */
    char refusal[256];          /* why it may not be run, when result.reject says so */
};

/* sb_query_execute: run the call on the site's state in an executor of its own. tracer may be NULL.
 * SB_E_TIMEOUT when the stop flag ended it; failures of the environment. */
sb_err sb_query_execute(struct sb_query_outcome *ret_outcome, struct sb_arena *arena,
                        const struct sb_query_site *site, const struct sb_query_tx *call,
                        const struct sb_tracer *tracer, const atomic_bool *stop) SB_MUST_USE;

/* sb_query_balance, sb_query_has_no_code: of an account as the call will find it, overrides included. */
sb_err sb_query_balance(sb_u256 *ret_balance, const struct sb_query_site *site,
                        const sb_addr *addr) SB_MUST_USE;
sb_err sb_query_has_no_code(bool *ret_none, const struct sb_query_site *site,
                            const sb_addr *addr) SB_MUST_USE;

/* ---- words ---- */

/* sb_query_refusal: why the executor refused the call: "insufficient funds for gas * price + value: address 0x.. have 1 want 2". */
void sb_query_refusal(char *text, size_t text_bytes, struct sb_executor *x,
                      const struct sb_rules *rules, const struct sb_block_env *env,
                      const struct sb_query_tx *call, enum sb_tx_reject reject);
/* sb_query_revert_text: "execution reverted", with the reason when the data has one. */
void sb_query_revert_text(char *text, size_t text_bytes, sb_bytes data);
/* sb_query_revert_reason: only the reason; false when the data has none. */
bool sb_query_revert_reason(char *text, size_t text_bytes, sb_bytes data);
/* sb_query_opcode_text: "invalid opcode: INVALID", "invalid opcode: opcode 0xc not defined". */
void sb_query_opcode_text(char *text, size_t text_bytes, uint8_t opcode);
/* sb_query_fail_refused, sb_query_fail_vm: fill failure from an outcome and return its code. */
sb_err sb_query_fail_refused(struct sb_rpc_failure *failure, const struct sb_query_outcome *outcome,
                             const struct sb_query_tx *call);
sb_err sb_query_fail_vm(struct sb_rpc_failure *failure, const struct sb_tx_result *result);

#endif
