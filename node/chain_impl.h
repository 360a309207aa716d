/* chain_impl.h: what the files of the chain share (chain.c, chain_blocks.c, chain_execute.c, chain_check.c).
 *
 * Locks: `lock` guards head, head_block, the block cache and the subscribers; it is never held over I/O. Everything else is set by
 * sb_chain_open and constant after it. */
#ifndef SB_NODE_CHAIN_IMPL_H
#define SB_NODE_CHAIN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/chain.h"

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

struct sb_chain_subscriber {
    sb_chain_head_fn fn;
    void *ctx;
};

struct sb_chain {
    const struct sb_genesis *genesis;
    struct sb_inference *inference;
    const struct sb_logger *log;
    bool read_only;
    atomic_uint missing_told; /* bit i: the missing precompile i was named in the log */
    struct sb_chain_domain domain;
    struct sb_rules rules;
    struct sb_verifier verifier;
    sb_hash validators_hash;
    struct sb_store *store;

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

/* sb_chain_set_head: make object (one reference is taken over) with its consensus facts and the parameters that follow it the head. */
void sb_chain_set_head(struct sb_chain *chain, struct sb_chain_block_object *object,
                       const sb_hash *consensus_id, uint64_t time_ms,
                       const struct sb_params *params);

/* sb_chain_load_params: the parameters that hold after the stored block `number`. SB_E_CORRUPT when the Params contract holds a value out
 * of bounds, which its code does not let anybody write; else the errors of the store. */
sb_err sb_chain_load_params(struct sb_params *ret_params, struct sb_chain *chain, uint64_t number,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_diff_has_params: the diff changes the Params contract. */
bool sb_chain_diff_has_params(const struct sb_state_diff *diff);

#endif
