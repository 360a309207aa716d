/* store.h: the node's database: one RocksDB with the state, the chain and its indexes.
 *
 *   sb_store_root(diff)   computes the next state root in memory        before the vote; nothing is written
 *   sb_store_commit(...)  block, receipts, indexes, state, trie, commit in ONE atomic batch, synced   after the decision
 *   sb_store_rollback     undoes the newest block, in one atomic batch
 *   sb_store_view         one immutable version of the state: the head or one of the last `history_blocks` blocks
 *
 * Invariants: what commit has acknowledged survives any crash; after a crash the database is exactly at the last acknowledged or
 * the last completed commit; the root recomputed from the flat state equals the head's header (sb_store_verify). One thread
 * commits; any number of threads read. The on-disk format and its version are described at the head of store.c. */
#ifndef SB_STORAGE_STORE_H
#define SB_STORAGE_STORE_H

#include "base/types/block.h"
#include "base/types/state.h"
#include "base/util/arena.h"

struct sb_store;

struct sb_store_options {
    size_t cache_bytes;      /* block cache and trie cache together; 0 takes 64 MiB */
    uint64_t history_blocks; /* how many older blocks answer state queries; 0 takes 128 */
    bool create;             /* make the database when the folder has none */
    bool read_only;
};

/* What a database belongs to: opening one of another chain is refused (SB_E_ARG) with both identities in the message. */
struct sb_store_identity {
    sb_hash genesis_hash;
    uint64_t chain_id;
};

struct sb_store_head {
    bool exists; /* false until genesis is committed */
    uint64_t number;
    sb_hash block_hash;
    sb_hash state_root;
};

/* sb_store_open: SB_E_NOT_FOUND (no database and create is false), SB_E_VERSION (newer format), SB_E_ARG (another chain),
 * SB_E_BUSY (another process has it), SB_E_CORRUPT (damaged), SB_E_IO; the message says which and what to do. */
sb_err sb_store_open(struct sb_store **ret_store, const char *dir,
                     const struct sb_store_identity *identity,
                     const struct sb_store_options *options, struct sb_diag *diag) SB_MUST_USE;
void sb_store_close(struct sb_store *store);
struct sb_store_head sb_store_head(struct sb_store *store);

/* ---- state ---- */

struct sb_store_view;

/* sb_store_view_open: the state after block `number`. SB_E_NOT_FOUND when it is above the head or older than the history.
 * The view stays valid, and the same, until it is closed, whatever is committed meanwhile. */
sb_err sb_store_view_open(struct sb_store_view **ret_view, struct sb_store *store,
                          uint64_t number) SB_MUST_USE;
const struct sb_state_view *sb_store_view_state(struct sb_store_view *view);
void sb_store_view_close(struct sb_store_view *view);

/* A Merkle proof as eth_getProof gives it (EIP-1186): RLP nodes from the root down; absence is proven too. */
struct sb_store_proof_slot {
    sb_hash key;
    sb_u256 value;
    const sb_bytes *nodes;
    size_t node_count;
};
struct sb_store_proof {
    bool exists;
    struct sb_account account;
    sb_hash storage_root;
    const sb_bytes *nodes;
    size_t node_count;
    const struct sb_store_proof_slot *slots; /* in the order asked */
    size_t slot_count;
};
/* sb_store_prove: proof of an account and slots against the state root of the view. Memory from the arena. */
sb_err sb_store_prove(struct sb_store_proof *ret_proof, struct sb_arena *arena,
                      struct sb_store_view *view, const sb_addr *addr, const sb_hash *keys,
                      size_t key_count) SB_MUST_USE;

/* The trie nodes and flat records that a diff changes, computed once and then either committed or dropped. */
struct sb_store_pending;
/* sb_store_root: apply diff to the head in memory. *ret_pending is owned by the caller until commit takes it. */
sb_err sb_store_root(sb_hash *ret_root, struct sb_store_pending **ret_pending,
                     struct sb_store *store, const struct sb_state_diff *diff) SB_MUST_USE;
void sb_store_pending_free(struct sb_store_pending *pending);

/* ---- records of the node ---- */

#define SB_STORE_RECORD_KEY_BYTES_MAX 64

/* A fact that the node keeps beside the chain under a key of its own choice. A record that a block changes goes back with it in a
 * rollback. value.data NULL: no record, that is, remove it. */
struct sb_store_record {
    sb_bytes key; /* 1 to SB_STORE_RECORD_KEY_BYTES_MAX bytes */
    sb_bytes value;
};

/* sb_store_record: the value of a key, in the arena. SB_E_NOT_FOUND. */
sb_err sb_store_record(sb_bytes *ret_value, struct sb_arena *arena, struct sb_store *store,
                       sb_bytes key) SB_MUST_USE;
/* sb_store_record_scan: visit the records whose keys begin with prefix, from `start` on (which begins with it), in ascending order.
 * visit clears *io_more to end the scan; it may also end it with an error of its own. */
sb_err sb_store_record_scan(struct sb_store *store, sb_bytes prefix, sb_bytes start,
                            sb_err (*visit)(void *ctx, const struct sb_store_record *record,
                                            bool *io_more),
                            void *ctx) SB_MUST_USE;
/* sb_store_record_write: change records apart from any block, in one synced batch. Failures as of sb_store_commit_take. */
sb_err sb_store_record_write(struct sb_store *store, const struct sb_store_record *records,
                             size_t count, struct sb_diag *diag) SB_MUST_USE;

/* ---- chain ---- */

/* Everything about one block that becomes durable together. All spans are borrowed for the call. */
struct sb_store_block {
    uint64_t number;
    sb_hash block_hash;
    sb_hash state_root;
    sb_bytes header;          /* rlp(header) */
    sb_bytes body;            /* rlp([transactions, uncles, withdrawals]) */
    const sb_bytes *receipts; /* consensus form, one for each transaction */
    const sb_hash *tx_hashes;
    const sb_addr *senders;
    size_t tx_count;
    sb_bytes consensus_block; /* consensus header and body without the payload; empty for genesis */
    sb_bytes commit;          /* signatures that decided it; empty for genesis */
    sb_bytes inferences;      /* rlp of its inference records; empty when it has none */
    const struct sb_store_record *records; /* that it changes, each key once */
    size_t record_count;
};

/* sb_store_commit: one synced batch. block->number must be head + 1 (or the genesis number on an empty store). Takes pending in
 * every case. On failure nothing is visible; SB_E_IO after a failed sync means the process must stop (its state is unknown). */
sb_err sb_store_commit_take(struct sb_store *store, struct sb_store_pending *pending,
                            const struct sb_store_block *block, struct sb_diag *diag) SB_MUST_USE;

/* sb_store_rollback: make the block before the head the head again: state, tries, records, receipts and indexes as they were, in one
 * synced batch. Code stays, since nothing ever deletes it. Open views stay what they are.
 * SB_E_NOT_FOUND: the head is the first block, or its diff is not kept; SB_E_ARG: read only; else as sb_store_commit_take. */
sb_err sb_store_rollback(struct sb_store *store, struct sb_diag *diag) SB_MUST_USE;
/* sb_store_rollback_max: how many blocks can be undone, one after the other. */
uint64_t sb_store_rollback_max(struct sb_store *store);

/* sb_store_oldest: the lowest block that is here whole: 0, or more when older ones were pruned or never here (restore.h). Of blocks below
 * it there are headers at most, never in gaps. */
uint64_t sb_store_oldest(struct sb_store *store);
/* sb_store_prune: drop the blocks below `oldest` with their receipts, indexes, commits and headers; their room on disk is given back before
 * it returns. May run beside commits, in another thread than they. Blocks of the kept history (options.history_blocks) and the head stay:
 * SB_E_ARG when oldest is above that. A crash leaves some of them dropped. */
sb_err sb_store_prune(struct sb_store *store, uint64_t oldest, struct sb_diag *diag) SB_MUST_USE;

/* Reads. Results are copied into the arena. SB_E_NOT_FOUND when there is no such thing. */
sb_err sb_store_number_by_hash(uint64_t *ret_number, struct sb_store *store,
                               const sb_hash *block_hash) SB_MUST_USE;
sb_err sb_store_header(sb_bytes *ret_header, struct sb_arena *arena, struct sb_store *store,
                       uint64_t number) SB_MUST_USE;
sb_err sb_store_body(sb_bytes *ret_body, struct sb_arena *arena, struct sb_store *store,
                     uint64_t number) SB_MUST_USE;
sb_err sb_store_receipts(const sb_bytes **ret_receipts, size_t *ret_count, struct sb_arena *arena,
                         struct sb_store *store, uint64_t number) SB_MUST_USE;
sb_err sb_store_senders(const sb_addr **ret_senders, size_t *ret_count, struct sb_arena *arena,
                        struct sb_store *store, uint64_t number) SB_MUST_USE;
sb_err sb_store_tx_place(uint64_t *ret_number, uint32_t *ret_index, struct sb_store *store,
                         const sb_hash *tx_hash) SB_MUST_USE;
sb_err sb_store_consensus_block(sb_bytes *ret_block, struct sb_arena *arena, struct sb_store *store,
                                uint64_t number) SB_MUST_USE;
sb_err sb_store_commit_of(sb_bytes *ret_commit, struct sb_arena *arena, struct sb_store *store,
                          uint64_t number) SB_MUST_USE;
/* sb_store_inferences: SB_E_NOT_FOUND for a block that has none. */
sb_err sb_store_inferences(sb_bytes *ret_inferences, struct sb_arena *arena, struct sb_store *store,
                           uint64_t number) SB_MUST_USE;

/* ---- sizes ---- */

struct sb_store_stats {
    uint64_t table_bytes;              /* of the table files */
    uint64_t memtable_bytes;           /* not yet in files (the log has them) */
    uint64_t pending_compaction_bytes; /* that compaction has yet to rewrite */
};
/* sb_store_stats: of the database's own books; no I/O. Any thread. */
struct sb_store_stats sb_store_stats(const struct sb_store *store);

/* ---- checks ---- */

struct sb_store_report {
    uint64_t account_count, slot_count, code_count, blob_count, block_count;
    sb_hash rebuilt_root; /* from the flat state */
};
/* sb_store_verify: rebuild the state root from the flat state by a sorted scan, compare it with the trie and the head's header;
 * check every stored hash (headers' chain, code, blobs, transaction and receipt roots). progress may be NULL (done, of total steps).
 * SB_E_CORRUPT with the first difference. */
sb_err sb_store_verify(struct sb_store_report *ret_report, struct sb_store *store,
                       void (*progress)(void *ctx, const char *what, uint64_t done), void *ctx,
                       struct sb_diag *diag) SB_MUST_USE;

#endif
