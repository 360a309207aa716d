/* backend.h: the questions that the RPC may ask of the node. rpc owns this table, node fills it.
 *
 *      HTTP, WebSocket --> server --> methods --> struct sb_rpc_backend --> node: chain, pool, queries
 *
 * Threads: every function may be called from any thread of the server and is thread-safe. Those marked FAST only look at memory and
 * may run on the server's loop; all others run in its worker pool. Failure for the client travels in struct sb_rpc_failure with its
 * JSON-RPC code; SB_E_NOT_FOUND means "null". Facts, chain, state, pool_tx and pool_nonce are required; any other function may be
 * NULL, and the methods that need it (methods.def) then do not exist. Nothing here knows about JSON parsing; the few answers that are
 * large trees (traces, simulations) are written by the node straight into the JSON writer. */
#ifndef SB_RPC_BACKEND_H
#define SB_RPC_BACKEND_H

#include <stdatomic.h>

#include "base/codec/json_writer.h"
#include "base/types/block.h"
#include "base/types/consensus.h"
#include "base/types/inference_record.h"
#include "base/types/state.h"
#include "rpc/metrics.h"

/* JSON-RPC and Ethereum error codes. */
enum sb_rpc_code {
    SB_RPC_PARSE_ERROR = -32700,
    SB_RPC_INVALID_REQUEST = -32600,
    SB_RPC_METHOD_NOT_FOUND = -32601,
    SB_RPC_INVALID_PARAMS = -32602,
    SB_RPC_INTERNAL = -32603,
    SB_RPC_SERVER_ERROR = -32000, /* geth's default: refused transactions, limits */
    SB_RPC_NOT_FOUND = -32001,
    SB_RPC_TX_REJECTED = -32003,
    SB_RPC_LIMIT = -32005,
    SB_RPC_REVERTED = 3,
    SB_RPC_PRUNED = 4444, /* history that this node does not keep (EIP-4444) */
};

/* Why a request failed, as the client will see it. data is owned by the arena of the request. */
struct sb_rpc_failure {
    int code;
    char message[SB_DIAG_TEXT_BYTES];
    bool has_data;
    sb_bytes data; /* shown as 0x hex */
};

enum sb_rpc_tag { SB_RPC_LATEST, SB_RPC_PENDING, SB_RPC_EARLIEST, SB_RPC_SAFE, SB_RPC_FINALIZED };

/* A block named by a client (EIP-1898). */
struct sb_rpc_block_ref {
    enum { SB_RPC_BY_TAG, SB_RPC_BY_NUMBER, SB_RPC_BY_HASH } by;
    enum sb_rpc_tag tag;
    uint64_t number;
    sb_hash hash;
};

/* One block with everything that answers need; immutable, reference-counted by the node. */
struct sb_rpc_block {
    struct sb_block block;
    sb_hash hash;
    size_t size_bytes; /* of the block's RLP */
    const sb_hash *tx_hashes;
    const sb_addr *senders;
    const struct sb_receipt *receipts; /* NULL for the pending block */
    bool is_pending;
};

/* A transaction in the pool; raw and tx are copied into the arena of the request. */
struct sb_rpc_pool_tx {
    struct sb_tx tx;
    sb_bytes raw;
    sb_hash hash;
    sb_addr sender;
    bool queued; /* waits for a nonce before it */
};

/* The transaction object of eth_call and its relatives. Absent fields are zero and their has_ flag false. */
struct sb_rpc_call {
    bool has_from, has_to, has_gas, has_gas_price, has_max_fee, has_max_priority_fee, has_nonce,
        has_chain_id;
    bool has_access_list, has_authorizations, has_blob_hashes, has_max_fee_per_blob_gas;
    sb_addr from, to;
    uint64_t gas, nonce, chain_id;
    sb_u256 gas_price, max_fee, max_priority_fee, value, max_fee_per_blob_gas;
    sb_bytes data;
    const struct sb_access_entry *access_list;
    size_t access_count;
    const struct sb_authorization *authorizations;
    size_t authorization_count;
    const sb_hash *blob_hashes;
    size_t blob_hash_count;
};

struct sb_rpc_account_override {
    sb_addr addr;
    bool has_balance, has_nonce, has_code, has_state, has_move_precompile_to;
    sb_u256 balance;
    uint64_t nonce;
    sb_bytes code;
    const struct sb_slot_diff *state; /* has_state: replaces all storage */
    size_t state_count;
    const struct sb_slot_diff *state_diff; /* changes single slots */
    size_t state_diff_count;
    sb_addr move_precompile_to;
};

struct sb_rpc_block_override {
    bool has_number, has_time, has_gas_limit, has_fee_recipient, has_prev_randao, has_base_fee,
        has_blob_base_fee;
    uint64_t number, time, gas_limit;
    sb_addr fee_recipient;
    sb_hash prev_randao;
    sb_u256 base_fee, blob_base_fee;
};

/* What to run on which state. */
struct sb_rpc_query {
    struct sb_rpc_block_ref block;
    struct sb_rpc_call call;
    const struct sb_rpc_account_override *overrides;
    size_t override_count;
    struct sb_rpc_block_override block_override;
};

struct sb_rpc_access_list {
    const struct sb_access_entry *entries;
    size_t count;
    uint64_t gas_used;
    char error[128]; /* execution failed: why; empty otherwise */
};

struct sb_rpc_simulate_block {
    struct sb_rpc_block_override block_override;
    const struct sb_rpc_account_override *overrides;
    size_t override_count;
    const struct sb_rpc_call *calls;
    size_t call_count;
};

/* eth_simulateV1. */
struct sb_rpc_simulation {
    struct sb_rpc_block_ref block;
    const struct sb_rpc_simulate_block *blocks;
    size_t block_count;
    bool trace_transfers, validation, return_full_transactions;
};

enum sb_rpc_tracer { SB_RPC_TRACER_STRUCT_LOGS, SB_RPC_TRACER_CALL, SB_RPC_TRACER_PRESTATE };

struct sb_rpc_trace_config {
    enum sb_rpc_tracer tracer;
    bool disable_stack, disable_storage, enable_memory, enable_return_data;
    bool only_top_call, with_log; /* callTracer */
    bool diff_mode;               /* prestateTracer */
    uint64_t step_limit;          /* 0: the server's default */
};

struct sb_rpc_pool_status {
    uint64_t pending, queued;
};

struct sb_rpc_proof_slot {
    sb_hash key;
    sb_u256 value;
    const sb_bytes *nodes;
    size_t node_count;
};
struct sb_rpc_proof {
    struct sb_account account;
    sb_hash storage_root;
    const sb_bytes *nodes;
    size_t node_count;
    const struct sb_rpc_proof_slot *slots;
    size_t slot_count;
};

/* A registered model, for samebit_listModels and samebit_getModel. Memory in the arena of the request. */
struct sb_rpc_tensor_info {
    const char *name;
    const char *dtype; /* "i8", "i16", "i32", ... */
    const uint64_t *shape;
    size_t rank;
    int64_t lo, hi; /* declared range of raw elements */
};
struct sb_rpc_model {
    sb_hash id;
    const char *cid; /* text form */
    sb_addr owner;
    uint64_t size_bytes;
    bool active;
    const char *name;    /* metadata of the registry; "" when none */
    const char *licence; /* the same */
    const struct sb_rpc_tensor_info *inputs;
    size_t input_count;
    const struct sb_rpc_tensor_info *outputs;
    size_t output_count;
    uint64_t
        gas_warm; /* of one inference, without what its data costs: call data, hashing, conversion */
    uint64_t gas_cold; /* with the first-touch load charge */
    uint64_t arena_bytes;
    uint64_t verifier_version;
};

/* How the node is. What is not known is zero. */
enum sb_rpc_condition {
    SB_RPC_READY,
    SB_RPC_CATCHING_UP, /* fetching blocks from peers, or about to learn whether it must */
    SB_RPC_ALONE,       /* no peer is connected, and the chain is not made here alone */
    SB_RPC_STANDING,    /* no block was committed for longer than it may take */
    SB_RPC_NOT_VOTING,  /* a validator that has not voted for some heights */
    SB_RPC_HALTED,      /* at its halt height, or before a version that it does not know */
    SB_RPC_FAILED,      /* stopped by itself */
};
struct sb_rpc_health {
    enum sb_rpc_condition condition;
    char reason[256]; /* a clause, empty when ready */
    uint64_t height;
    uint64_t best_height;   /* highest that a peer announced; height when none is higher */
    uint64_t sync_begun_at; /* while catching up */
    uint64_t last_block_ms; /* Unix time of the newest block */
    uint64_t now_ms;        /* Unix time of this answer */
    uint64_t peer_count;
    bool is_validator, is_voting, is_listening;
    char node_id[65]; /* of the peer network, hexadecimal; empty without one */
};

/* A set of validators with the priorities that choose proposers. Memory in the arena of the request. */
struct sb_rpc_validator {
    sb_addr address;
    sb_bytes public_key;
    uint8_t key_type;
    uint64_t power;
    bool has_operator; /* the chain knows who owns its stake: */
    sb_addr operator_addr;
};

/* Presence and punishment of a validator, as Slashing tells them. */
struct sb_rpc_signing_info {
    sb_addr operator_addr, consensus_addr;
    uint64_t counted; /* heights counted since it began or was last jailed */
    uint64_t missed;  /* of the last `window` of them */
    uint64_t window, missed_max;
    bool jailed, tombstoned;
    uint64_t jailed_until; /* Unix time, seconds */
};

struct sb_rpc_validators {
    uint64_t height; /* that they decide */
    uint64_t total_power;
    sb_hash hash;
    const struct sb_rpc_validator *validators;
    size_t count;
};

/* A block as those see it who check the chain from outside (docs/spec/light-client.md). Lists in the arena of the request. */
struct sb_rpc_light_block {
    struct sb_consensus_header header;
    sb_hash id;
    struct sb_commit commit;
    struct sb_validator_set validators, next_validators;
    sb_bytes encoded;
};

/* What a block says about validators beside its transactions. Lists in the arena of the request. */
struct sb_rpc_block_votes {
    uint64_t height;
    sb_hash id;
    const struct sb_evidence *evidence;
    size_t evidence_count;
    const struct sb_vote *late_precommits;
    size_t late_precommit_count;
};

/* The inferences of a transaction, in order. */
struct sb_rpc_inferences {
    uint64_t number; /* of the block */
    uint32_t first;  /* index in the block of the first record */
    const struct sb_inference_record *records;
    size_t count;
};

/* Proof of one inference (docs/spec/inference-proof.md). */
struct sb_rpc_inference_proof {
    struct sb_rpc_light_block block;
    struct sb_inference_record record;
    struct sb_inference_path path;
    sb_bytes encoded;
    bool has_data; /* the block could be run again: call data and return data of the call */
    sb_bytes input, output;
};

struct sb_rpc_backend {
    void *ctx;

    /* ---- facts (FAST) ---- */
    uint64_t (*chain_id)(void *ctx);
    uint64_t (*head_number)(void *ctx);
    sb_u256 (*next_base_fee)(void *ctx);
    sb_u256 (*suggested_tip)(void *ctx);
    uint64_t (*peer_count)(void *ctx);
    /* blob_base_fee: wei per blob gas of block `number` (head + 1: the next one); zero before Cancun. */
    sb_u256 (*blob_base_fee)(void *ctx, uint64_t number);
    /* blob_gas_limit: most blob gas of block `number`; zero before Cancun and where blob transactions are invalid. */
    uint64_t (*blob_gas_limit)(void *ctx, uint64_t number);
    /* oldest_state: the oldest block whose state can still be read. */
    uint64_t (*oldest_state)(void *ctx);
    /* oldest_block: the lowest block that is here; older ones were pruned, or never here. NULL: all are. */
    uint64_t (*oldest_block)(void *ctx);
    /* config: the value of eth_config (EIP-7910). */
    sb_err (*config)(void *ctx, struct sb_json *out);

    /* ---- operation ---- */
    /* health: for /readyz, eth_syncing, net_listening and samebit_status (FAST). */
    struct sb_rpc_health (*health)(void *ctx);
    /* metrics: every field but the server's own (rpc_*); lists in the arena (FAST). */
    void (*metrics)(void *ctx, struct sb_arena *arena, struct sb_rpc_metrics *ret);
    /* validators: the set that decides, or decided, this height: 1 to head + 2. SB_E_NOT_FOUND: null. */
    sb_err (*validators)(void *ctx, struct sb_arena *arena, uint64_t height,
                         struct sb_rpc_validators *ret_validators);
    /* signing_info: of a validator by its operator or consensus address, after a block. SB_E_NOT_FOUND: null. */
    sb_err (*signing_info)(void *ctx, const sb_addr *addr, const struct sb_rpc_block_ref *ref,
                           struct sb_rpc_signing_info *ret_info, struct sb_rpc_failure *failure);
    /* light_block: of block `number`, 1 to head. inferences, inference_proof: of a transaction in a block; `index` counts them from 0.
     * SB_E_NOT_FOUND: null. */
    sb_err (*light_block)(void *ctx, struct sb_arena *arena, uint64_t number,
                          struct sb_rpc_light_block *ret_block);
    sb_err (*inferences)(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                         struct sb_rpc_inferences *ret_inferences);
    sb_err (*inference_proof)(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                              uint64_t index, const atomic_bool *stop,
                              struct sb_rpc_inference_proof *ret_proof);
    /* block_votes: of block `number`, 1 to head. SB_E_NOT_FOUND: null. */
    sb_err (*block_votes)(void *ctx, struct sb_arena *arena, uint64_t number,
                          struct sb_rpc_block_votes *ret_votes);
    /* submit_evidence: what an encoded light block of another history proves against validators; how many pieces were taken.
     * common_height: of a block that both histories have; 0: as high as can be. */
    sb_err (*submit_evidence)(void *ctx, struct sb_arena *arena, sb_bytes encoded,
                              uint64_t common_height, size_t *ret_accepted,
                              struct sb_rpc_failure *failure);
    /* consensus_state: writes the value of samebit_consensusState. */
    sb_err (*consensus_state)(void *ctx, struct sb_json *out);

    /* ---- chain ---- */
    /* block: the reference is released with block_release. head is FAST, others read the database. SB_E_NOT_FOUND: null. */
    sb_err (*block)(void *ctx, const struct sb_rpc_block_ref *ref,
                    const struct sb_rpc_block **ret_block);
    void (*block_release)(void *ctx, const struct sb_rpc_block *block);
    /* block_header: only the header, cheaper, for log filters by bloom and fee history. */
    sb_err (*block_header)(void *ctx, uint64_t number, struct sb_header *ret_header,
                           sb_hash *ret_hash);
    sb_err (*tx_place)(void *ctx, const sb_hash *tx_hash, uint64_t *ret_number,
                       uint32_t *ret_index);

    /* ---- state ---- */
    /* state: a view of the block's state; release it with state_release. SB_E_NOT_FOUND: unknown block (failure says
     * "header not found") or older than the history ("missing trie node: state is not available ..."). */
    sb_err (*state)(void *ctx, const struct sb_rpc_block_ref *ref,
                    const struct sb_state_view **ret_view, void **ret_handle,
                    struct sb_rpc_failure *failure);
    void (*state_release)(void *ctx, void *handle);
    sb_err (*proof)(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                    const sb_addr *addr, const sb_hash *keys, size_t key_count,
                    struct sb_rpc_proof *ret_proof, struct sb_rpc_failure *failure);

    /* ---- pool ---- */
    /* submit: decode, check and accept a raw transaction; returns once it is in the pool (or refused, with geth's wording). */
    sb_err (*submit)(void *ctx, sb_bytes raw, sb_hash *ret_hash, struct sb_rpc_failure *failure);
    sb_err (*pool_tx)(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                      struct sb_rpc_pool_tx *ret_tx);
    uint64_t (*pool_nonce)(void *ctx, const sb_addr *sender,
                           uint64_t state_nonce); /* FAST: next nonce with pending ones counted */
    struct sb_rpc_pool_status (*pool_status)(void *ctx); /* FAST */
    /* pool_content: all transactions (sender NULL) or one sender's, ordered by sender and nonce. */
    sb_err (*pool_content)(void *ctx, struct sb_arena *arena, const sb_addr *sender,
                           const struct sb_rpc_pool_tx **ret_txs, size_t *ret_count);

    /* ---- execution; stop is set when the time limit passes or the client is gone ---- */
    /* call: *ret_gas_used is written in every case, failure included; it is what a batch pays for. */
    sb_err (*call)(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                   const atomic_bool *stop, sb_bytes *ret_output, uint64_t *ret_gas_used,
                   struct sb_rpc_failure *failure);
    sb_err (*estimate_gas)(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                           const atomic_bool *stop, uint64_t *ret_gas,
                           struct sb_rpc_failure *failure);
    sb_err (*access_list)(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                          const atomic_bool *stop, struct sb_rpc_access_list *ret_list,
                          struct sb_rpc_failure *failure);
    sb_err (*simulate)(void *ctx, struct sb_arena *arena,
                       const struct sb_rpc_simulation *simulation, const atomic_bool *stop,
                       struct sb_json *out, struct sb_rpc_failure *failure);
    /* trace_tx / trace_call write the value of "result"; trace_block writes the array of {txHash, result}. */
    sb_err (*trace_tx)(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                       const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                       struct sb_json *out, struct sb_rpc_failure *failure);
    sb_err (*trace_call)(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                         const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure);
    sb_err (*trace_block)(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                          const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                          struct sb_json *out, struct sb_rpc_failure *failure);

    /* ---- models ---- */
    /* models: registered models (each says whether it is active) from index `offset`, at most `limit`. Long files show no tensors in
     * a list. */
    sb_err (*models)(void *ctx, struct sb_arena *arena, uint64_t offset, uint64_t limit,
                     const struct sb_rpc_model **ret_models, size_t *ret_count,
                     uint64_t *ret_total);
    sb_err (*model)(void *ctx, struct sb_arena *arena, const sb_hash *id,
                    struct sb_rpc_model *ret_model);
};

#endif
