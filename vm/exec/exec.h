/* exec.h: transactions and blocks on a state view (Yellow Paper 6 and 11; EIPs 1559, 2930, 4788, 2935, 4844, 7623, 7702, 7825).
 *
 *   block:  begin (system calls) -> transaction ... transaction -> end (system calls, system.h) -> diff + receipts
 *
 * The builder and the validator use the same three steps; the validator only compares what comes out with the header. A transaction
 * that may not be in a block is refused with an enum sb_tx_reject and changes nothing; one that may, always yields a receipt. */
#ifndef SB_VM_EXEC_EXEC_H
#define SB_VM_EXEC_EXEC_H

#include "base/types/block.h"
#include "vm/evm/evm.h"
#include "vm/exec/system.h"

#define SB_BLOB_GAS UINT64_C(131072) /* EIP-4844 GAS_PER_BLOB */

enum sb_tx_reject {
    SB_TX_ACCEPTED = 0,
#define SB_TX_REJECT(name, text) SB_TX_REJECT_##name,
#include "vm/exec/tx_reject.def"
#undef SB_TX_REJECT
};

/* sb_tx_reject_text: geth's wording, which wallets match ("nonce too low", "insufficient funds for gas * price + value" ...). */
const char *sb_tx_reject_text(enum sb_tx_reject reject);

/* sb_tx_intrinsic_gas: gas before the first instruction, and the floor of EIP-7623 (0 before Prague). */
struct sb_intrinsic_gas {
    uint64_t gas;
    uint64_t floor;
};
struct sb_intrinsic_gas sb_tx_intrinsic_gas(const struct sb_rules *rules, const struct sb_tx *tx);

/* sb_tx_check_static: everything that can be judged without state (type allowed, chain id, fees, gas cap, intrinsic gas, blob rules). */
enum sb_tx_reject sb_tx_check_static(const struct sb_rules *rules, const struct sb_tx *tx);

/* How far a call that is not a real transaction is excused (eth_call, estimateGas, simulate). */
struct sb_exec_relax {
    bool skip_nonce;     /* any nonce */
    bool skip_eoa_check; /* sender may have code (EIP-3607) */
    /* max fee may be below the base fee; with max fee 0 nothing is paid and BASEFEE reads 0 */
    bool skip_base_fee;
    /* sender may lack the funds for gas, and pays none; the value must be there */
    bool skip_balance;
    bool skip_gas_cap; /* neither EIP-7825 nor the block's gas limit applies */
};

struct sb_tx_result {
    enum sb_tx_reject reject; /* SB_TX_ACCEPTED, or the rest is undefined */
    enum sb_evm_status status;
    uint64_t gas_used;     /* after refund and floor */
    uint64_t gas_refunded; /* what the refund gave back */
    /* gas used before the refund: the least limit under which the same path is paid */
    uint64_t gas_spent_max;
    sb_u256 effective_gas_price;
    sb_bytes output; /* return or revert data; valid until the next transaction on this executor */
    sb_addr created; /* contract address when tx->is_create */
    const struct sb_log *logs; /* valid until the next transaction */
    size_t log_count;
    const struct sb_inference_record *
        inferences; /* valid until the next transaction; without transaction hash. None unless the status is success */
    size_t inference_count;
};

/* An executor carries one block. Owned by the caller; single-threaded. */
struct sb_executor;

/* sb_executor_new: view, rules, env and inference are borrowed and must outlive it. NULL when out of memory. */
struct sb_executor *sb_executor_new(const struct sb_state_view *view, const struct sb_rules *rules,
                                    const struct sb_block_env *env, struct sb_inference *inference);
void sb_executor_free(struct sb_executor *x);
struct sb_overlay *sb_executor_state(struct sb_executor *x);
void sb_executor_set_tracer(struct sb_executor *x, const struct sb_tracer *tracer);
void sb_executor_set_stop(struct sb_executor *x, const atomic_bool *stop);
/* sb_executor_set_call: what it runs is for no block (eth_call and its like): its inferences are remembered apart from those of blocks. */
void sb_executor_set_call(struct sb_executor *x);
void sb_executor_set_missing_hook(struct sb_executor *x,
                                  void (*hook)(void *ctx, const sb_addr *addr), void *ctx);

/* sb_executor_begin: system calls of the block's start (EIP-4788, EIP-2935), with their own gas. Call exactly once, first. */
sb_err sb_executor_begin(struct sb_executor *x) SB_MUST_USE;

/* sb_executor_next: go on with a child block on what the executor has done so far, as simulations do; the caller has changed the env
 * (and the rules) that it lent. sb_executor_begin comes next. */
void sb_executor_next(struct sb_executor *x);

/* sb_executor_tx: run one transaction. sender must be the recovered one (or, with relax, any). relax may be NULL.
 * Returns SB_OK with *ret_result filled, or a failure of the environment, after which the executor is only good for freeing. */
sb_err sb_executor_tx(struct sb_tx_result *ret_result, struct sb_executor *x,
                      const struct sb_tx *tx, const sb_addr *sender,
                      const struct sb_exec_relax *relax) SB_MUST_USE;

/* sb_executor_gas_used: sum over the accepted transactions of the block so far. */
uint64_t sb_executor_gas_used(const struct sb_executor *x);

/* sb_executor_keep_inferences: the block has this transaction, and so its inferences. Right after sb_executor_tx. SB_E_NOMEM.
 * sb_executor_inferences: what the block has so far, in order; valid until the next call of either. */
sb_err sb_executor_keep_inferences(struct sb_executor *x, const struct sb_tx_result *result,
                                   const sb_hash *tx_hash) SB_MUST_USE;
const struct sb_inference_record *sb_executor_inferences(const struct sb_executor *x,
                                                         size_t *ret_count);

/* What looks at the output of a system call that succeeded, before its changes stand: false undoes them. It may change the state, too. */
typedef bool (*sb_system_accept_fn)(void *ctx, struct sb_overlay *state, sb_bytes output);

/* sb_executor_system_call: call `to` as the system address with its own gas; the outcome is data. accept may be NULL; an output that
 * it refuses makes the status SB_EVM_REVERT. */
sb_err sb_executor_system_call(struct sb_evm_result *ret_result, struct sb_executor *x,
                               const sb_addr *to, sb_bytes input, int64_t gas,
                               sb_system_accept_fn accept, void *accept_ctx) SB_MUST_USE;

/* A whole block, as a validator runs it. */
struct sb_block_result {
    struct sb_state_diff diff;
    const struct sb_receipt *receipts; /* tx_count of them */
    const struct sb_tx_result
        *results; /* per transaction; output and logs copied into the arena, inferences below */
    size_t tx_count;
    uint64_t gas_used;
    sb_bloom bloom;
    sb_hash receipts_root;
    sb_hash transactions_root;
    struct sb_system_outcome system;              /* of the calls at the end */
    const struct sb_inference_record *inferences; /* of all transactions, in order */
    size_t inference_count;
    sb_hash inference_root; /* extension_root of the consensus header */
};

/* sb_exec_block: run all transactions of a block. senders[i] belongs to block->txs[i]. system: what consensus tells of the block, for the
 * calls at its end; NULL: there are none.
 * SB_OK with *ret_result in the arena (its code and blob bytes too); SB_E_ARG, with a message, when a transaction is refused or gas
 * passes the limit: the block is invalid; other codes: environment. */
sb_err sb_exec_block(struct sb_block_result *ret_result, struct sb_arena *arena,
                     const struct sb_state_view *view, const struct sb_rules *rules,
                     const struct sb_block_env *env, struct sb_inference *inference,
                     const struct sb_block *block, const sb_addr *senders,
                     const struct sb_system_input *system, struct sb_diag *diag) SB_MUST_USE;

/* sb_executor_block: the same on an executor that the caller has made, and has given its hooks; no other call may come before. */
sb_err sb_executor_block(struct sb_block_result *ret_result, struct sb_arena *arena,
                         struct sb_executor *x, const struct sb_block *block,
                         const sb_addr *senders, const struct sb_system_input *system,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_base_fee_next: EIP-1559 base fee of the child of a block. */
sb_u256 sb_base_fee_next(uint64_t parent_gas_limit, uint64_t parent_gas_used,
                         const sb_u256 *parent_base_fee);
/* sb_blob_base_fee: EIP-4844 fake_exponential(1, excess, fraction). */
sb_u256 sb_blob_base_fee(uint64_t excess_blob_gas, uint64_t update_fraction);
/* sb_excess_blob_gas_next: excess blob gas of the child of a block (EIP-4844; from Osaka on with the reserve price of EIP-7918). The
 * rules are the child's; the parent's fields are zero when it is older than Cancun. */
uint64_t sb_excess_blob_gas_next(const struct sb_rules *rules, uint64_t parent_excess,
                                 uint64_t parent_blob_gas_used, const sb_u256 *parent_base_fee);

#endif
