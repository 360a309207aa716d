/* chain.h: the chain as the node sees it: owner of the database and of the head.
 *
 *      node loop:  sb_chain_execute (verify a proposed block) --> sb_chain_commit_take --> new head --> subscribers
 *      any thread: sb_chain_head, sb_chain_block*, sb_chain_view_open ...
 *
 *      +-------------------- struct sb_chain --------------------+
 *      | store (RocksDB)   head block (ref)   cache of blocks    |      blocks are immutable and reference-counted:
 *      | genesis, rules    subscribers                           |      whoever got one releases it
 *      +---------------------------------------------------------+
 *
 * Header rules are those of docs/spec/consensus-block.md. The chain runs profile samebit. Threads: one thread executes and commits (the node's
 * loop); all functions that are not marked LOOP may be called from any thread and lock inside, for moments only. What the head says is
 * durable: it moves after the batch is synced. */
#ifndef SB_NODE_CHAIN_H
#define SB_NODE_CHAIN_H

#include "base/types/consensus.h"
#include "base/types/genesis.h"
#include "base/util/log.h"
#include "consensus/light_block.h"
#include "consensus/proposer.h"
#include "rpc/backend.h"
#include "storage/store.h"
#include "vm/exec/exec.h"

/* Room in an encoded block that no transaction may count on: headers, and the commit of the largest set. */
#define SB_CHAIN_BLOCK_OVERHEAD_BYTES 32768

struct sb_chain;
struct sb_record_list;

struct sb_chain_options {
    const char *db_dir;
    const struct sb_genesis
        *genesis; /* borrowed for the life of the chain; protocol accounts added */
    struct sb_inference *inference; /* borrowed, may be NULL; handed to every execution */
    const struct sb_logger *log;    /* borrowed, may be NULL */
    bool create;                    /* begin a chain when the folder has no database */
    bool read_only;                 /* no execution, no commit (verify, export) */
    size_t store_cache_bytes;       /* 0: the store's default */
    uint64_t history_blocks;        /* 0: the store's default, 128 */
    size_t block_cache_count;       /* decoded blocks kept; 0 takes 256 */
    struct sb_verifier
        verifier; /* of consensus signatures; verify NULL: the chain's rule, without a cache */
};

/* sb_chain_open: open the database; with `create`, write the genesis block into an empty one. Checks the last consensus block: its
 * id, payload hash and commit signatures against the stored block (sb_chain_check_block).
 * SB_E_UNSUPPORTED for a genesis without the "samebit" object; SB_E_CORRUPT when the stored head does not check; else the errors of
 * sb_store_open and sb_genesis_check. */
sb_err sb_chain_open(struct sb_chain **ret_chain, const struct sb_chain_options *options,
                     struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_close: every block and view must have been released. */
void sb_chain_close(struct sb_chain *chain);

/* ---- facts, fixed for the life of the chain ---- */

const struct sb_genesis *sb_chain_genesis(const struct sb_chain *chain);
const struct sb_chain_domain *sb_chain_domain(const struct sb_chain *chain);
const struct sb_rules *sb_chain_rules(const struct sb_chain *chain);
struct sb_inference *sb_chain_inference(const struct sb_chain *chain);
struct sb_store *sb_chain_store(const struct sb_chain *chain);

/* ---- validators ---- */

/* sb_chain_rotation: set and priorities of a height in [head - 1, head + 2], valid until the head has moved twice; NULL outside of it, or
 * below 1. For the loop's thread alone: sb_chain_rotation_read (chain_impl.h) gives others a copy. */
const struct sb_rotation *sb_chain_rotation(struct sb_chain *chain, uint64_t height);
/* sb_chain_validators: the set that decides the block to come. Life as above. */
const struct sb_validator_set *sb_chain_validators(struct sb_chain *chain);
/* sb_chain_validators_at: the set of any height from 1 to head + 2, in the arena. SB_E_NOT_FOUND outside, and
 * where sb_chain_past knows nothing. */
sb_err sb_chain_validators_at(struct sb_validator_set *ret_set, struct sb_arena *arena,
                              struct sb_chain *chain, uint64_t height) SB_MUST_USE;

/* sb_chain_rotation_key: of the record that holds the rotation of a height (proposer.h), as long as it is kept. */
#define SB_CHAIN_ROTATION_KEY_BYTES 9
void sb_chain_rotation_key(uint8_t ret[SB_CHAIN_ROTATION_KEY_BYTES], uint64_t height);
/* sb_chain_set_key: of the record that says from a height on which set holds. */
void sb_chain_set_key(uint8_t ret[SB_CHAIN_ROTATION_KEY_BYTES], uint64_t height);

/* What a block changes in the validator set, told from its execution alone: the same answer on every node, every time. The list may
 * live in the arena. */
typedef sb_err (*sb_chain_update_fn)(void *ctx, struct sb_arena *arena, uint64_t height,
                                     const struct sb_block_result *result,
                                     const struct sb_validator_change **ret_changes,
                                     size_t *ret_count);
/* sb_chain_set_update_source: where sets change from: what Staking answers at the end of a block (vm/exec/system.h), unless a test names
 * another source; NULL goes back to it. Changes of block H are in force at H + 2. A list that sb_rotation_update refuses changes nothing,
 * on every node alike, and is logged. A chain without Staking keeps its set. */
void sb_chain_set_update_source(struct sb_chain *chain, sb_chain_update_fn fn, void *ctx);

/* The system calls of committed blocks (docs/spec/staking.md). Any thread. */
struct sb_chain_system_counters {
    uint64_t failures; /* calls that failed since the start */
    uint64_t last_gas; /* of the newest block's calls together */
};
struct sb_chain_system_counters sb_chain_system_counters(struct sb_chain *chain);

/* ---- head ---- */

struct sb_chain_head {
    struct sb_header header;
    sb_hash block_hash;
    sb_hash consensus_id;    /* id of the consensus block; at height 0 the genesis hash */
    uint64_t time_ms;        /* of the consensus header; at height 0 timestamp * 1000 */
    uint64_t version;        /* of the consensus header; at height 0 the first, 1 */
    sb_u256 next_base_fee;   /* of the block to come */
    struct sb_params params; /* in force for the block to come */
    sb_hash params_hash;
};

struct sb_chain_head sb_chain_head(struct sb_chain *chain);
uint64_t sb_chain_head_number(struct sb_chain *chain);
sb_u256 sb_chain_next_base_fee(struct sb_chain *chain);
/* sb_chain_params: the parameters in force for the block to come: what the Params contract (0x5b10) holds after the head, or, in a
 * chain without it, those of genesis (docs/spec/params.md). */
struct sb_params sb_chain_params(struct sb_chain *chain);

/* sb_chain_version_at: version of the consensus header of a height above the head, as the parameters in force have it planned. */
uint64_t sb_chain_version_at(const struct sb_chain_head *head, uint64_t height);

/* ---- blocks ---- */

/* sb_chain_block: a block by number, hash or tag, as a counted reference to be given back with sb_chain_block_release. latest, safe
 * and finalized are the head; earliest is the lowest block that is here: genesis unless blocks were pruned or never here. SB_E_NOT_FOUND: no such block; SB_E_ARG: the tag `pending`, which the chain does not
 * know (see builder.h). The head and cached blocks need no I/O. */
sb_err sb_chain_block(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                      const struct sb_rpc_block_ref *ref) SB_MUST_USE;
sb_err sb_chain_block_number(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                             uint64_t number) SB_MUST_USE;
void sb_chain_block_release(struct sb_chain *chain, const struct sb_rpc_block *block);
/* sb_chain_resolve: the number that a reference means, without loading the block. Errors as sb_chain_block. */
sb_err sb_chain_resolve(uint64_t *ret_number, struct sb_chain *chain,
                        const struct sb_rpc_block_ref *ref) SB_MUST_USE;
/* sb_chain_header: header and hash only. */
sb_err sb_chain_header(struct sb_header *ret_header, sb_hash *ret_hash, struct sb_chain *chain,
                       uint64_t number) SB_MUST_USE;
sb_err sb_chain_tx_place(uint64_t *ret_number, uint32_t *ret_index, struct sb_chain *chain,
                         const sb_hash *tx_hash) SB_MUST_USE;

/* ---- state ---- */

/* The state after a block, with that block. Used by one thread at a time. */
struct sb_chain_view {
    struct sb_store_view *store_view;
    const struct sb_state_view *state;
    const struct sb_rpc_block *block; /* whose outcome the state is */
};

/* sb_chain_view_open: SB_E_NOT_FOUND for an unknown block or one older than the history. Everything in it lives until close. */
sb_err sb_chain_view_open(struct sb_chain_view *ret_view, struct sb_chain *chain,
                          const struct sb_rpc_block_ref *ref) SB_MUST_USE;
void sb_chain_view_close(struct sb_chain *chain, struct sb_chain_view *view);
/* sb_chain_account: one account of the head's state. */
sb_err sb_chain_account(struct sb_account *ret_account, struct sb_chain *chain,
                        const sb_addr *addr) SB_MUST_USE;

/* ---- headers and their block environment ---- */

/* sb_chain_env: the block environment of a header of this chain (also to trace or to call on it). */
struct sb_block_env sb_chain_env(const struct sb_header *header);
/* sb_chain_next_header: every field of the child of `head` that does not depend on its transactions; the roots, bloom and gas_used
 * are those of an empty block, state_root is zero, extra_data is empty. time_ms > head->time_ms. mix_hash: of sb_chain_mix_hash, or,
 * for a block that nobody has proposed, sb_chain_pending_mix_hash. */
struct sb_header sb_chain_next_header(const struct sb_chain *chain,
                                      const struct sb_chain_head *head, uint64_t time_ms,
                                      const sb_hash *mix_hash);
/* sb_chain_mix_hash: mixHash of the child of `head` that this validator proposes with this proof. SB_E_ARG: it is not the validator's
 * proof, or no validator of that height. LOOP. */
sb_err sb_chain_mix_hash(sb_hash *ret_mix_hash, struct sb_chain *chain,
                         const struct sb_chain_head *head, const sb_addr *proposer, sb_bytes proof,
                         struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_pending_mix_hash: what the tag `pending` shows, since no key can be asked: the last mixHash, hashed. */
sb_hash sb_chain_pending_mix_hash(const struct sb_chain_head *head);

/* sb_chain_log_missing_precompile: hook for sb_executor_set_missing_hook, ctx is the chain: a contract called a precompile that this
 * program does not have, so its frame failed. A warning the first time for each address, then at level debug, since anybody can make
 * such calls. Any thread. */
void sb_chain_log_missing_precompile(void *ctx, const sb_addr *addr);

/* ---- verification and commit (LOOP) ---- */

/* A consensus block that was executed on the head, with all that its commit needs. */
struct sb_chain_executed;

struct sb_evidence_pool;
/* sb_chain_evidence: what was caught and waits for a block (evidence.h). LOOP. */
struct sb_evidence_pool *sb_chain_evidence(struct sb_chain *chain);

/* What the chain's history says about another header. */
enum sb_lunatic {
    SB_LUNATIC_NO,      /* it could have been decided: nobody can be blamed for having signed it */
    SB_LUNATIC_UNKNOWN, /* it is above the head, or of a version to come: not yet */
    SB_LUNATIC_YES,     /* whoever followed the rules never signed it */
};
/* sb_chain_judge_lunatic: of a header of this chain id, for a block on `head`. SB_E_NOT_FOUND: nothing is known of its height any more.
 * Any thread. */
sb_err sb_chain_judge_lunatic(enum sb_lunatic *ret_verdict, struct sb_chain *chain,
                              const struct sb_chain_head *head,
                              const struct sb_consensus_header *header) SB_MUST_USE;

/* sb_chain_encoded: the stored block `number` > 0 as it was proposed, byte for byte, with the commit that decided it, in the arena. Any
 * thread. SB_E_NOT_FOUND above the head. */
sb_err sb_chain_encoded(sb_bytes *ret_encoded, struct sb_commit *ret_commit, struct sb_arena *arena,
                        struct sb_chain *chain, uint64_t number) SB_MUST_USE;
/* sb_chain_time: time_ms of a height from 0 to the head. SB_E_NOT_FOUND: this node does not know that height (sb_chain_past). */
sb_err sb_chain_time(uint64_t *ret_time_ms, struct sb_chain *chain, uint64_t number) SB_MUST_USE;

/* sb_chain_oldest: the lowest block from 1 on that is here whole. More than 1 in a node that prunes or that began at a snapshot: of the
 * blocks below it such a node knows what evidence needs (sb_chain_past), as far back as evidence can reach, or is getting it (backfill.h). */
uint64_t sb_chain_oldest(struct sb_chain *chain);

/* What is kept of a height for the judgement of evidence. */
struct sb_chain_past {
    struct sb_consensus_header header;
    sb_bytes evidence; /* rlp of the list that its block carries */
};
/* sb_chain_past: of a height from 1 to the head, in the arena. SB_E_NOT_FOUND. Any thread. */
sb_err sb_chain_past(struct sb_chain_past *ret_past, struct sb_arena *arena, struct sb_chain *chain,
                     uint64_t number) SB_MUST_USE;
/* sb_chain_past_lowest: down to this height, from the head on, sb_chain_past misses none. Any thread. */
sb_err sb_chain_past_lowest(uint64_t *ret_height, struct sb_chain *chain) SB_MUST_USE;
/* sb_chain_past_is_whole: no block to come can carry evidence, not expired under the parameters in force, of a height that is not known. If
 * not, *ret_lowest is where to go on downwards. Any thread. */
sb_err sb_chain_past_is_whole(bool *ret_whole, uint64_t *ret_lowest,
                              struct sb_chain *chain) SB_MUST_USE;
/* sb_chain_past_extend: write records of heights below `lowest`, which is sb_chain_past_lowest. SB_E_CONFLICT: it is not any more. */
sb_err sb_chain_past_extend(struct sb_chain *chain, uint64_t lowest,
                            const struct sb_record_list *records, struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_past_drop: forget what is known of blocks that are not here. */
sb_err sb_chain_past_drop(struct sb_chain *chain, struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_past_put: the record of a height whose block will never be here. */
sb_err sb_chain_past_put(struct sb_record_list *records, uint64_t number,
                         const struct sb_chain_past *past) SB_MUST_USE;

/* sb_chain_execute: decode an encoded consensus block, check every field of both headers, recover senders, execute, compare the state
 * root, receipts root, transactions root, bloom and gas used. LOOP.
 * In:  encoded is copied.
 * Returns SB_OK with *ret_executed, owned by the caller; SB_E_ARG, with a message, when the block is invalid; SB_E_UNKNOWN when it cannot be
 * judged yet;
 * SB_E_IO, SB_E_CORRUPT, SB_E_NOMEM or SB_E_INTERNAL when the node itself failed and no verdict exists. */
sb_err sb_chain_execute(struct sb_chain_executed **ret_executed, struct sb_chain *chain,
                        sb_bytes encoded, struct sb_diag *diag) SB_MUST_USE;
void sb_chain_executed_free(struct sb_chain *chain, struct sb_chain_executed *executed);

/* What execution says about a proposed block. */
struct sb_chain_verdict {
    bool is_valid;
    bool
        is_undecided; /* neither valid nor invalid: its evidence speaks of a height that is not known yet */
    bool is_forged; /* invalid, since its roots, bloom or gas are not what its transactions give */
    bool
        is_bound; /* invalid, and these bytes are the ones that its headers name: no others of the same block id are valid */
    bool has_header; /* the consensus header could be read: */
    sb_addr proposer;
    char reason[SB_DIAG_TEXT_BYTES]; /* when invalid: what differs */
};
/* sb_chain_judge: sb_chain_execute with the verdict apart: SB_OK and *ret_executed when it is valid; SB_OK without it when it is not, or not yet;
 * other results are failures of the node. LOOP. */
sb_err sb_chain_judge(struct sb_chain_executed **ret_executed, struct sb_chain_verdict *ret_verdict,
                      struct sb_chain *chain, sb_bytes encoded, struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_err_is_invalid: the code of sb_chain_execute is a verdict on the block and not a failure of the node. */
bool sb_chain_err_is_invalid(sb_err err);

/* sb_chain_commit_take: make an executed block the head, with the signatures that decided it, in one synced batch; tell the subscribers.
 * Takes executed in every case. On failure the node must stop. LOOP. */
sb_err sb_chain_commit_take(struct sb_chain *chain, struct sb_chain_executed *executed,
                            const struct sb_commit *commit, struct sb_diag *diag) SB_MUST_USE;

/* sb_chain_executed_*: what was executed; valid as long as it is. */
const sb_hash *sb_chain_executed_id(const struct sb_chain_executed *executed);
const struct sb_consensus_header *
sb_chain_executed_header(const struct sb_chain_executed *executed);

/* sb_chain_check_block: the stored block `number`: the consensus block decodes, its payload hash is the stored header's hash, its
 * fields fit that header, its set hashes are those of the stored sets, its extension root that of the stored inferences, and the stored
 * commit is for it with more than 2/3 of the power of its height's set in valid signatures. SB_E_CORRUPT names what differs. */
sb_err sb_chain_check_block(struct sb_chain *chain, uint64_t number,
                            struct sb_diag *diag) SB_MUST_USE;

/* sb_chain_inferences: the records of the stored block `number`, in the arena; none where it has none. SB_E_CORRUPT. */
sb_err sb_chain_inferences(const struct sb_inference_record **ret_records, size_t *ret_count,
                           struct sb_arena *arena, struct sb_chain *chain,
                           uint64_t number) SB_MUST_USE;

/* sb_chain_light_block: the stored block `number` > 0 as those see it who check the chain from outside, in the arena, with the commit
 * that this node keeps. SB_E_NOT_FOUND above the head, and for genesis. */
sb_err sb_chain_light_block(struct sb_light_block_parts *ret_parts, struct sb_arena *arena,
                            struct sb_chain *chain, uint64_t number) SB_MUST_USE;

/* sb_chain_carried_commit_of: the commit of block `number` that the block after it carries. SB_E_NOT_FOUND while there is none. */
sb_err sb_chain_carried_commit_of(struct sb_commit *ret_commit, struct sb_arena *arena,
                                  struct sb_chain *chain, uint64_t number) SB_MUST_USE;

/* sb_chain_set_sender_hint: where execution may look up the sender of a transaction before it recovers one (the pool has most of
 * them). The hint answers true only with the sender that this very encoding recovers to. */
typedef bool (*sb_chain_sender_hint_fn)(void *ctx, const sb_hash *tx_hash, sb_addr *ret_sender);
void sb_chain_set_sender_hint(struct sb_chain *chain, sb_chain_sender_hint_fn fn, void *ctx);

/* ---- subscribers ---- */

/* What a new head brings, on the loop's thread, after it is durable and visible. diff is valid during the call; a subscriber that
 * keeps the block takes a reference with sb_chain_block_retain. Must not block. */
struct sb_chain_event {
    const struct sb_rpc_block *block;
    const struct sb_state_diff *diff;
    sb_u256 next_base_fee;
};
typedef void (*sb_chain_head_fn)(void *ctx, const struct sb_chain_event *event);

#define SB_CHAIN_SUBSCRIBERS_MAX 16
/* sb_chain_subscribe: SB_E_LIMIT past the maximum. Subscribers are called in the order in which they came, and stay. */
sb_err sb_chain_subscribe(struct sb_chain *chain, sb_chain_head_fn fn, void *ctx) SB_MUST_USE;
void sb_chain_block_retain(const struct sb_rpc_block *block);

#endif
