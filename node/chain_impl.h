/* chain_impl.h: what the files of the chain share (chain*.c).
 *
 * Locks: `lock` guards head, head_block, the block cache and the subscribers; it is never held over I/O. `past_lock` is held by whoever
 * changes the records of blocks that are not here. Everything else is set by sb_chain_open and constant after it. */
#ifndef SB_NODE_CHAIN_IMPL_H
#define SB_NODE_CHAIN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/chain.h"
#include "node/evidence.h"
#include "node/record_list.h"

/* Most memory that one block's objects, state change and receipts may take. */
#define SB_CHAIN_BLOCK_ARENA_BYTES_MAX ((size_t)1024 * 1024 * 1024)
/* Decoded blocks kept beside the head, by memory. */
#define SB_CHAIN_CACHE_BYTES_MAX     ((size_t)64 * 1024 * 1024)
#define SB_CHAIN_CACHE_COUNT_DEFAULT 256
#define SB_CHAIN_CACHE_BUCKETS       256

/* A reference-counted block. pub comes first: the pointer handed out is the pointer to the object. */
struct sb_chain_block_object {
    struct sb_rpc_block pub;
    atomic_size_t refs;
    struct sb_arena arena; /* everything that pub points to */
    /* in the cache, under the chain's lock: */
    struct sb_chain_block_object *bucket_next;
    struct sb_chain_block_object *newer, *older; /* order of use */
};

struct sb_chain_cache {
    struct sb_chain_block_object *buckets[SB_CHAIN_CACHE_BUCKETS]; /* by number */
    struct sb_chain_block_object *newest, *oldest;
    size_t count, count_max;
    size_t bytes;
};

/* Rotations by height % SB_CHAIN_ROTATIONS: those from head - 1 to head + 2 answer, and the two that lie before them are still held by
 * whoever asked (chain_sets.c). The loop writes that of head + 3, which nobody may see yet, without the lock; the head moves under it. So
 * under the lock those that answer do not change, which needs a ring of more than four. */
#define SB_CHAIN_ROTATIONS 8

struct sb_chain_subscriber {
    sb_chain_head_fn fn;
    void *ctx;
};

struct sb_chain {
    const struct sb_genesis *genesis;
    struct sb_inference *inference;
    const struct sb_logger *log;
    bool read_only;
    bool has_staking; /* blocks end with system calls */
    atomic_uint_least64_t system_failures, system_gas;
    atomic_uint missing_told; /* bit i: the missing precompile i was named in the log */
    struct sb_chain_domain domain;
    struct sb_rules rules;
    struct sb_verifier verifier;
    struct sb_store *store;
    struct sb_evidence_pool *evidence;
    struct sb_rotation rotations[SB_CHAIN_ROTATIONS];
    sb_hash set_hashes[SB_CHAIN_ROTATIONS];      /* of rotations[i].set */
    sb_hash rotation_hashes[SB_CHAIN_ROTATIONS]; /* of the stored form of rotations[i] */
    sb_chain_update_fn update_source;
    void *update_ctx;

    pthread_mutex_t past_lock; /* of the records of blocks that are not here */

    pthread_mutex_t lock;
    struct sb_chain_head head;
    struct sb_chain_block_object *head_block;
    struct sb_chain_cache cache;
    struct sb_chain_subscriber subscribers[SB_CHAIN_SUBSCRIBERS_MAX];
    size_t subscriber_count;
    sb_chain_sender_hint_fn sender_hint;
    void *sender_hint_ctx;
};

/* sb_chain_object_new: an empty block object with one reference; NULL when out of memory. */
struct sb_chain_block_object *sb_chain_object_new(void);
/* sb_chain_object_load: read and decode a stored block. SB_E_NOT_FOUND, SB_E_CORRUPT, SB_E_IO, SB_E_NOMEM. */
sb_err sb_chain_object_load(struct sb_chain_block_object **ret_object, struct sb_chain *chain,
                            uint64_t number) SB_MUST_USE;

void sb_chain_cache_init(struct sb_chain_cache *cache, size_t count_max);
void sb_chain_cache_fini(struct sb_chain_cache *cache);
/* sb_chain_cache_find, _put: under the lock; find adds no reference, put takes one. */
struct sb_chain_block_object *sb_chain_cache_find(struct sb_chain_cache *cache, uint64_t number);
void sb_chain_cache_put(struct sb_chain_cache *cache, struct sb_chain_block_object *object);

/* sb_chain_join_block: rlp([header] ++ items of body), the whole Ethereum block, in the arena. SB_E_CORRUPT when body is no list. */
sb_err sb_chain_join_block(sb_bytes *ret_raw, struct sb_arena *arena, sb_bytes header,
                           sb_bytes body) SB_MUST_USE;

/* sb_chain_checked_consensus_header: the consensus header of stored block `number` > 0, after all of sb_chain_check_block held. */
sb_err sb_chain_checked_consensus_header(struct sb_consensus_header *ret_header,
                                         struct sb_chain *chain, uint64_t number,
                                         struct sb_diag *diag) SB_MUST_USE;

/* sb_chain_load_consensus: the stored consensus block `number` > 0, its payload left empty. */
sb_err sb_chain_load_consensus(struct sb_consensus_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, uint64_t number,
                               struct sb_diag *diag) SB_MUST_USE;

/* sb_chain_check_consensus: every field of a proposed block's consensus header and the lists of its body, on the head; an invalid block
 * is SB_E_ARG or another error that sb_chain_err_is_invalid. *ret_mix_hash: what its Ethereum header must have as mixHash. LOOP. */
sb_err sb_chain_check_consensus(sb_hash *ret_mix_hash, struct sb_chain *chain,
                                const struct sb_chain_head *head,
                                const struct sb_consensus_block *block, struct sb_arena *arena,
                                struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_carried_commit: the commit of head - 1 as the head carries it: what late precommits of the next block add to. */
sb_err sb_chain_carried_commit(struct sb_commit *ret_commit, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_precommit_is_late: the commit lacks this validator. */
bool sb_chain_precommit_is_late(const struct sb_commit *carried, uint32_t validator_index);

/* ---- evidence (chain_evidence.c) ---- */

/* sb_chain_check_evidence: what a proposed block carries, on the head; its order and heights were checked with the block's form. SB_E_ARG:
 * it must not carry that. SB_E_UNKNOWN: of a height that is not known here. LOOP. */
sb_err sb_chain_check_evidence(struct sb_chain *chain, const struct sb_chain_head *head,
                               const struct sb_consensus_block *block,
                               struct sb_diag *diag) SB_MUST_USE;
enum sb_chain_evidence_age {
    SB_EVIDENCE_FRESH,
    SB_EVIDENCE_EXPIRED, /* too old, by blocks and by time */
    SB_EVIDENCE_UNKNOWN, /* of a height that is not known here, and that need not have expired */
};
/* sb_chain_evidence_age: of an offence, in a block of this height and time: never another answer than a node gives that knows all heights,
 * unless it is UNKNOWN (docs/spec/state-sync.md, section 5). */
sb_err sb_chain_evidence_age(enum sb_chain_evidence_age *ret_age, struct sb_chain *chain,
                             const struct sb_params *params, uint64_t offence_height,
                             uint64_t height, uint64_t time_ms) SB_MUST_USE;
/* sb_chain_evidence_expired: it is not fresh: for what a node keeps and proposes, where it need not go along with others. */
sb_err sb_chain_evidence_expired(bool *ret_expired, struct sb_chain *chain,
                                 const struct sb_params *params, uint64_t offence_height,
                                 uint64_t height, uint64_t time_ms) SB_MUST_USE;

/* sb_chain_time_after: time_ms of the lowest known height that is not below this one: no height below it has a later time. */
sb_err sb_chain_time_after(uint64_t *ret_time_ms, struct sb_chain *chain,
                           uint64_t height) SB_MUST_USE;

/* ---- sets (chain_sets.c) ---- */

/* sb_chain_sets_begin: the sets of heights 1 and 2 of a new chain, and their records. */
sb_err sb_chain_sets_begin(struct sb_chain *chain, struct sb_record_list *records) SB_MUST_USE;
/* sb_chain_sets_load: the sets around a stored head. SB_E_CORRUPT when they are missing or contradict each other. */
sb_err sb_chain_sets_load(struct sb_chain *chain, uint64_t head, struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_sets_follow: the set of height + 2, from the changes of block height = head + 1, and its records. It answers once the head
 * has moved. */
sb_err sb_chain_sets_follow(struct sb_chain *chain, struct sb_record_list *records, uint64_t height,
                            const struct sb_validator_change *changes,
                            size_t change_count) SB_MUST_USE;
/* sb_chain_stored_set: the set of a height as its record has it, whatever the head is; heights beyond head + 2 give the newest. SB_E_NOT_FOUND
 * below the lowest known height. */
sb_err sb_chain_stored_set(struct sb_validator_set *ret_set, struct sb_arena *arena,
                           struct sb_chain *chain, uint64_t height) SB_MUST_USE;
/* sb_chain_set_in: the same from a database alone. */
sb_err sb_chain_set_in(struct sb_validator_set *ret_set, struct sb_arena *arena,
                       struct sb_store *store, uint64_t height) SB_MUST_USE;
/* sb_chain_set_hash: hash of the set of a height in [head - 1, head + 2]. */
const sb_hash *sb_chain_set_hash(struct sb_chain *chain, uint64_t height);

/* ---- system calls (chain_system.c) ---- */

/* What of a block the system contracts are told, as it is proposed, built or shown as pending. Borrowed. */
struct sb_chain_facts {
    uint64_t height, time_ms;
    sb_addr proposer;
    const struct sb_vote *late; /* checked */
    size_t late_count;
    const struct sb_evidence *evidence; /* checked */
    size_t evidence_count;
};
/* What any thread may know of a rotation: a copy. */
struct sb_chain_rotation_copy {
    struct sb_validator_set set; /* in the arena */
    sb_hash hash;                /* of its stored form */
    sb_addr proposer;            /* of round 0 */
};
/* sb_chain_rotation_read: of a height in [head - 1, head + 2]. SB_E_NOT_FOUND outside of it, or below 1; SB_E_NOMEM. */
sb_err sb_chain_rotation_read(struct sb_chain_rotation_copy *ret_copy, struct sb_arena *arena,
                              struct sb_chain *chain, uint64_t height) SB_MUST_USE;
/* sb_chain_system_input: the input of the calls at the end of a block of height head + 1, in the arena; NULL in a chain without Staking.
 * From another thread than the loop's, SB_E_BUSY when the head has moved on. */
sb_err sb_chain_system_input(const struct sb_system_input **ret_input, struct sb_arena *arena,
                             struct sb_chain *chain,
                             const struct sb_chain_facts *facts) SB_MUST_USE;
/* sb_chain_outcome_changes: what leads from the set of height + 1 to the one that Staking wants; ctx is the chain (sb_chain_update_fn). */
sb_err sb_chain_outcome_changes(void *ctx, struct sb_arena *arena, uint64_t height,
                                const struct sb_block_result *result,
                                const struct sb_validator_change **ret_changes,
                                size_t *ret_count) SB_MUST_USE;
/* sb_chain_note_system: count and tell what failed at the end of a committed block. */
void sb_chain_note_system(struct sb_chain *chain, uint64_t height,
                          const struct sb_system_outcome *outcome);

/* sb_chain_set_head: make object (one reference is taken over) with its consensus facts and the parameters that follow it the head. */
void sb_chain_set_head(struct sb_chain *chain, struct sb_chain_block_object *object,
                       const sb_hash *consensus_id, uint64_t time_ms, uint64_t version,
                       const struct sb_params *params);

/* sb_chain_load_params: the parameters that hold after the stored block `number`. SB_E_CORRUPT when the Params contract holds a value out
 * of bounds, which its code does not let anybody write; else the errors of the store. */
sb_err sb_chain_load_params(struct sb_params *ret_params, struct sb_chain *chain, uint64_t number,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_diff_has_params: the diff changes the Params contract. */
bool sb_chain_diff_has_params(const struct sb_state_diff *diff);

#endif
