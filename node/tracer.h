/* tracer.h: the observers behind debug_trace*: step logs, the tree of calls, the state before (and after). As geth's of these names.
 *
 *      begin --> executor runs one transaction, calling the hooks --> end: the JSON value is complete
 *
 * One object traces one transaction. What it gathers lives in the arena of the request. A trace that passes its bounds goes on without
 * recording, and its end fails with a message. */
#ifndef SB_NODE_TRACER_H
#define SB_NODE_TRACER_H

#include "node/access_set.h"
#include "node/query.h"

/* A frame of the call tracer. */
struct sb_traced_call {
    const char *type; /* "CALL", "CREATE2", "SELFDESTRUCT", ... */
    sb_addr from, to;
    bool has_value;
    sb_u256 value;
    int64_t gas, gas_used;
    sb_bytes input, output;
    enum sb_evm_status status;
    uint8_t fault_opcode; /* with SB_EVM_INVALID_OPCODE */
    size_t parent;        /* index; of the outermost: SIZE_MAX */
    struct sb_traced_log *first_log, *last_log;
    size_t call_count; /* direct ones so far */
};

struct sb_traced_log {
    struct sb_log log;
    size_t position; /* calls of the frame before it */
    struct sb_traced_log *next;
};

struct sb_tx_tracer {
    const struct sb_rpc_trace_config *config;
    struct sb_arena *arena;
    struct sb_json *out;
    struct sb_overlay *state;
    sb_addr coinbase;
    const struct sb_tx *tx;
    uint64_t steps_max;
    uint64_t steps;
    bool over_limit;
    /* step logs: slots with their present value; prestate: everything touched */
    struct sb_access_set touched;
    /* calls, in the order in which they began */
    struct sb_traced_call *calls;
    size_t call_count, call_capacity;
    size_t open; /* index of the innermost open call */
    uint8_t last_opcode;
    /* prestate: contracts that the transaction makes */
    struct sb_access_set created;
};

/* sb_tx_tracer_begin: ready for a transaction that executor state is about to run. */
void sb_tx_tracer_begin(struct sb_tx_tracer *t, struct sb_arena *arena, struct sb_json *out,
                        const struct sb_rpc_trace_config *config, uint64_t steps_max,
                        struct sb_overlay *state, const sb_addr *coinbase, const struct sb_tx *tx,
                        const sb_addr *sender);
struct sb_tracer sb_tx_tracer_hooks(struct sb_tx_tracer *t);
/* sb_tx_tracer_end: write (or complete) the value. SB_E_LIMIT with a failure when the trace is too big. */
sb_err sb_tx_tracer_end(struct sb_tx_tracer *t, const struct sb_tx_result *result,
                        struct sb_rpc_failure *failure) SB_MUST_USE;
/* sb_tx_tracer_fini: in every case after begin. */
void sb_tx_tracer_fini(struct sb_tx_tracer *t);

/* ---- the three kinds, for tracer.c ---- */

void sb_step_log_begin(struct sb_tx_tracer *t);
struct sb_tracer sb_step_log_hooks(struct sb_tx_tracer *t);
void sb_step_log_end(struct sb_tx_tracer *t, const struct sb_tx_result *result);

struct sb_tracer sb_call_tree_hooks(struct sb_tx_tracer *t);
void sb_call_tree_end(struct sb_tx_tracer *t, const struct sb_tx_result *result);

void sb_prestate_begin(struct sb_tx_tracer *t, const sb_addr *sender);
struct sb_tracer sb_prestate_hooks(struct sb_tx_tracer *t);
void sb_prestate_end(struct sb_tx_tracer *t);

/* sb_trace_word_addr: the address in the low 20 bytes of a word. */
sb_addr sb_trace_word_addr(const sb_u256 *word);
sb_hash sb_trace_word_hash(const sb_u256 *word);

#endif
