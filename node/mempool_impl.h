/* mempool_impl.h: the set behind the pool, shared by mempool.c (rules), mempool_set.c (structure) and mempool_query.c (questions).
 *
 *      by hash:     bucket -> entry -> entry
 *      by sender:   bucket -> account -> account          account: entries ascending by nonce; the first `pending` of them follow the
 *      accounts[]:  all accounts, no order                account's nonce without a gap
 *
 * Invariants, whenever the lock is free: an account has at least one entry; no entry's nonce is below its account's; the sum of costs
 * is total_cost and does not pass balance; nonce and balance are those of the head that the pool has last seen. Buckets are chosen
 * with a random seed, so that nobody can aim at one. */
#ifndef SB_NODE_MEMPOOL_IMPL_H
#define SB_NODE_MEMPOOL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/mempool.h"

struct sb_mempool_account;

/* A transaction with its place in the pool. pub comes first: the pointer handed out is the pointer to the entry. */
struct sb_pool_entry {
    struct sb_pool_tx pub;
    atomic_size_t refs;
    struct sb_arena arena; /* raw bytes and decoded lists */
    /* under the lock, while in the pool: */
    struct sb_mempool_account *account;
    struct sb_pool_entry *bucket_next;
    bool is_announced; /* subscribers know it */
};

struct sb_mempool_account {
    sb_addr addr;
    uint64_t nonce; /* of the state */
    sb_u256 balance;
    bool is_delegated;   /* code is an EIP-7702 designator */
    bool has_other_code; /* a contract, which may send nothing (EIP-3607) */
    sb_u256 total_cost;
    struct sb_pool_entry **entries;
    size_t count, capacity;
    size_t pending;
    size_t place; /* in accounts[] */
    struct sb_mempool_account *bucket_next;
};

struct sb_mempool_subscriber {
    sb_mempool_tx_fn fn;
    void *ctx;
};

struct sb_mempool {
    struct sb_chain *chain;
    struct sb_mempool_options options;
    uint64_t seed;
    size_t bucket_mask;

    pthread_mutex_t lock;
    struct sb_pool_entry **by_hash;
    struct sb_mempool_account **by_sender;
    struct sb_mempool_account **accounts;
    uint64_t refused_count, evicted_count; /* as in sb_mempool_status */
    size_t account_count, account_capacity;
    size_t count, bytes;
    uint64_t arrivals;
    uint64_t generation; /* heads seen */
    sb_u256 next_base_fee;
    struct sb_mempool_subscriber subscribers[SB_MEMPOOL_SUBSCRIBERS_MAX];
    size_t subscriber_count;
};

/* Transactions that became pending, with a reference each, to be told to the subscribers after the lock is released. */
struct sb_mempool_news {
    struct sb_pool_entry **entries;
    size_t count, capacity;
};

void sb_pool_entry_retain(struct sb_pool_entry *entry);

/* All below: under the lock. */
struct sb_pool_entry *sb_mempool_find_tx(struct sb_mempool *pool, const sb_hash *hash);
struct sb_mempool_account *sb_mempool_find_account(struct sb_mempool *pool, const sb_addr *addr);
/* sb_mempool_account_add: an account without entries, to be given one at once. NULL when out of memory. */
struct sb_mempool_account *sb_mempool_account_add(struct sb_mempool *pool, const sb_addr *addr);
/* sb_mempool_account_drop_if_empty: forget an account that has no entry left. */
void sb_mempool_account_drop_if_empty(struct sb_mempool *pool, struct sb_mempool_account *account);
/* sb_mempool_account_find: place of the entry with this nonce, or where it would stand; *ret_found says which. */
size_t sb_mempool_account_find(const struct sb_mempool_account *account, uint64_t nonce,
                               bool *ret_found);
/* sb_mempool_insert: put an entry (its reference is taken over) at its nonce, which must be free. SB_E_NOMEM leaves all as it was. */
sb_err sb_mempool_insert(struct sb_mempool *pool, struct sb_mempool_account *account,
                         struct sb_pool_entry *entry) SB_MUST_USE;
/* sb_mempool_remove: take entry number `place` out and give its reference back. The account may be empty afterwards. */
void sb_mempool_remove(struct sb_mempool *pool, struct sb_mempool_account *account, size_t place);
/* sb_mempool_promote: recount what is pending; entries that became so for the first time are added to news. */
void sb_mempool_promote(struct sb_mempool_account *account, struct sb_mempool_news *news);
/* sb_mempool_worst: the entry to give up first: last of its account, queued before pending, then lowest tip, then latest arrival;
 * entries of `spared` are left alone. NULL when there is none. */
struct sb_pool_entry *sb_mempool_worst(struct sb_mempool *pool,
                                       const struct sb_mempool_account *spared);

/* sb_mempool_tip: effective tip at a base fee: min(max_priority_fee, max_fee - base_fee). False when max_fee is below base_fee. */
bool sb_mempool_tip(sb_u256 *ret_tip, const struct sb_tx *tx, const sb_u256 *base_fee);

#endif
