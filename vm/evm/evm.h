/* evm.h: the interpreter: run one message call or creation on an overlay (Yellow Paper 9; EIPs up to Osaka).
 *
 *     exec ---- sb_evm_run(message) ----> frame 0 --CALL--> frame 1 --CALL--> ...          one C loop, frames on a heap stack
 *                                            |                 |
 *                                         overlay          precompile table
 *
 * Calls do not recurse in C: a CALL or CREATE pushes a frame and the same loop goes on, 1,024 deep. An outcome is data
 * (enum sb_evm_status); an sb_err is a failure of the environment. Gas is int64: a transaction cannot carry more than 2^63 - 1. */
#ifndef SB_VM_EVM_EVM_H
#define SB_VM_EVM_EVM_H

#include <stdatomic.h>

#include "vm/exec/rules.h"
#include "vm/state/overlay.h"

#define SB_EVM_DEPTH_MAX 1024
#define SB_EVM_STACK_MAX 1024

/* The block as contracts see it. */
struct sb_block_env {
    uint64_t number;
    uint64_t timestamp; /* seconds */
    uint64_t gas_limit;
    sb_addr coinbase;
    sb_u256 base_fee;    /* wei per gas */
    sb_u256 difficulty;  /* before Paris */
    sb_hash prev_randao; /* from Paris on */
    uint64_t excess_blob_gas;
    sb_u256 blob_base_fee; /* wei per blob gas */
    bool has_parent_beacon_root;
    sb_hash parent_beacon_root;
};

struct sb_tx_env {
    sb_addr origin;
    sb_u256 gas_price; /* effective, wei per gas */
    const sb_hash *blob_hashes;
    size_t blob_hash_count;
};

enum sb_call_kind { SB_CALL, SB_CALLCODE, SB_DELEGATECALL, SB_STATICCALL, SB_CREATE, SB_CREATE2 };

struct sb_message {
    enum sb_call_kind kind;
    bool is_static;
    int64_t gas;
    sb_addr sender;
    sb_addr
        recipient; /* whose storage and balance; for creations the new address, filled by the interpreter */
    sb_addr code_addr; /* whose code runs */
    sb_u256 value;
    sb_bytes input; /* calldata, or initcode for creations */
    sb_hash salt;   /* SB_CREATE2 */
};

enum sb_evm_status {
    SB_EVM_SUCCESS,
    SB_EVM_REVERT,
    SB_EVM_OUT_OF_GAS,
    SB_EVM_INVALID_OPCODE,
    SB_EVM_STACK_UNDERFLOW,
    SB_EVM_STACK_OVERFLOW,
    SB_EVM_BAD_JUMP,
    SB_EVM_STATIC_VIOLATION,
    SB_EVM_RETURN_DATA_BOUNDS,
    SB_EVM_CALL_DEPTH,
    SB_EVM_INSUFFICIENT_BALANCE,
    SB_EVM_NONCE_OVERFLOW,
    SB_EVM_ADDRESS_COLLISION,
    SB_EVM_CODE_TOO_LARGE,
    SB_EVM_INITCODE_TOO_LARGE,
    SB_EVM_INVALID_CODE, /* EIP-3541: deployed code starts with 0xef */
    SB_EVM_PRECOMPILE_FAILURE,
    SB_EVM_PRECOMPILE_MISSING, /* this build lacks it: the frame fails loudly rather than answer wrongly */
    SB_EVM_STOPPED,            /* the caller's stop flag was set (time limit of eth_call) */
};

/* sb_evm_status_text: wording of geth's VM errors ("out of gas", "invalid opcode", "execution reverted" ...). Static. */
const char *sb_evm_status_text(enum sb_evm_status status);

struct sb_trace_step {
    uint64_t pc;
    uint8_t opcode;
    int64_t gas; /* left, before the instruction */
    int64_t gas_cost;
    int depth; /* 1 for the outermost frame */
    const sb_u256 *stack;
    size_t stack_count;
    sb_bytes memory;
    sb_bytes return_data;
    int64_t refund;
    const sb_addr *address;   /* executing account */
    enum sb_evm_status error; /* why the instruction is about to fail, if it is known already */
};

/* Observer of an execution; every function may be NULL. Pointers are valid during the call only. */
struct sb_tracer {
    void *ctx;
    /* step: before each instruction. stack[0] is the bottom. gas_cost is the whole price, memory and cold access included; as in
     * geth that of a CALL contains the gas handed to the callee (not the stipend), that of a CREATE does not. */
    void (*step)(void *ctx, const struct sb_trace_step *step);
    /* enter / leave: a frame (also of a precompile) begins and ends. */
    void (*enter)(void *ctx, const struct sb_message *message, int depth);
    void (*leave)(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                  int depth);
    void (*log)(void *ctx, const struct sb_log *log, int depth);
};

struct
    sb_inference; /* vm/precompile/inference.h: model cache, memo, scratch; NULL in profile ethereum */

/* Everything that one transaction's execution needs; the caller fills it and keeps it alive. */
struct sb_evm {
    const struct sb_rules *rules;
    const struct sb_block_env *block;
    const struct sb_tx_env *tx;
    struct sb_overlay *state;
    struct sb_inference *inference;
    bool is_call;                   /* for no block: its inferences are remembered apart */
    const struct sb_tracer *tracer; /* may be NULL */
    const atomic_bool *stop; /* may be NULL; polled at calls, jumps and in long precompiles */
    void (*on_missing_precompile)(void *ctx,
                                  const sb_addr *addr); /* may be NULL: the node logs it */
    void *on_missing_ctx;
};

struct sb_evm_result {
    enum sb_evm_status status;
    int64_t gas_left; /* zero unless success or revert */
    sb_bytes
        output; /* return data or revert data; valid until the next run on the same struct sb_evm_memory */
    sb_addr created; /* for creations: the address, whether they succeeded or not */
};

/* Reused frame memory (stacks, memories, code analyses). One per thread; owned by the caller. */
struct sb_evm_memory;
struct sb_evm_memory *sb_evm_memory_new(void);
void sb_evm_memory_free(struct sb_evm_memory *memory);

/* sb_evm_run: execute a message to its end, value transfer and, for creations, nonce increment of the sender included, as the
 * callee of a CALL or CREATE would be. The outermost frame of a transaction enters here too.
 * Returns SB_OK with *ret_result filled (whatever the outcome), or the overlay's sticky error. */
sb_err sb_evm_run(struct sb_evm_result *ret_result, const struct sb_evm *evm,
                  struct sb_evm_memory *memory, const struct sb_message *message) SB_MUST_USE;

#endif
