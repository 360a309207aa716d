/* query_simulate.h: what the two files of eth_simulateV1 share: running blocks (query_simulate.c), and making headers, logs of transfers
 * and JSON of them (simulate_block.c). */
#ifndef SB_NODE_QUERY_SIMULATE_H
#define SB_NODE_QUERY_SIMULATE_H

#include "node/query.h"

/* ---- logs with transfers of ether (`traceTransfers`) ---- */

/* Logs of one transaction in order, transfers among them as ERC-20 Transfer events of 0xeeee...ee; a failed frame takes its own back. */
struct sb_transfer_log {
    struct sb_arena *arena;
    struct sb_overlay *state; /* for the balance that SELFDESTRUCT sends */
    struct sb_log *logs;
    size_t count, capacity;
    size_t marks[SB_EVM_DEPTH_MAX + 3]; /* count when the frame of this depth began */
    bool failed;
};

void sb_transfer_log_init(struct sb_transfer_log *log, struct sb_arena *arena,
                          struct sb_overlay *state);
void sb_transfer_log_begin(struct sb_transfer_log *log);
struct sb_tracer sb_transfer_log_tracer(struct sb_transfer_log *log);
/* sb_transfer_log_take: what has gathered since begin; in the arena. SB_E_NOMEM when something was lost. */
sb_err sb_transfer_log_take(const struct sb_log **ret_logs, size_t *ret_count,
                            struct sb_transfer_log *log) SB_MUST_USE;

/* ---- the simulation ---- */

struct sb_simulated_call {
    struct sb_query_tx call;
    struct sb_tx_result result;      /* logs and output in the arena */
    const struct sb_log *shown_logs; /* with transfers, if asked for */
    size_t shown_log_count;
};

struct sb_simulated_block {
    struct sb_simulated_call *calls;
    size_t call_count;
    struct sb_rpc_block pub; /* filled by finish */
    const sb_bytes *raw_txs;
};

struct sb_simulate_plan {
    const struct sb_rpc_simulate_block *wanted;
    uint64_t number;
    uint64_t time;
};

struct sb_simulator {
    struct sb_backend *backend;
    struct sb_arena *arena;
    const struct sb_rpc_simulation *request;
    const atomic_bool *stop;
    struct sb_rpc_failure *failure;
    struct sb_backend_state state; /* of the base block */
    struct sb_header base;
    sb_hash base_hash;
    struct sb_simulate_plan *plan;
    size_t plan_count;
    sb_hash *hashes; /* of the blocks done */
    size_t done_count;
    struct sb_state_view view; /* the base's state with the hashes of simulated blocks */
    /* the block in hand */
    struct sb_rules rules;
    struct sb_precompile_moves moves;
    struct sb_block_env env;
    struct sb_header header; /* of the block in hand, before it of its parent */
    sb_hash parent_hash;
    struct sb_executor *x;
    struct sb_transfer_log transfers;
    uint64_t gas_left; /* of the whole simulation */
    size_t root_items; /* accounts and slots in the roots so far */
};

/* sb_simulated_block_roots: transactions, receipts, bloom. buf is scratch. */
sb_err sb_simulated_block_roots(struct sb_header *header, struct sb_simulated_block *block,
                                struct sb_arena *arena, struct sb_buf *buf) SB_MUST_USE;
/* sb_simulator_state_root: of all that was done so far; zero when the base is not the head. */
sb_err sb_simulator_state_root(sb_hash *ret_root, struct sb_simulator *s) SB_MUST_USE;
/* sb_simulated_block_finish: hash and size; header is complete. */
sb_err sb_simulated_block_finish(struct sb_simulated_block *block, struct sb_arena *arena,
                                 const struct sb_header *header) SB_MUST_USE;
/* sb_simulated_block_write: the block object with "calls". */
void sb_simulated_block_write(struct sb_json *out, const struct sb_simulated_block *block,
                              bool full_txs);

#endif
