/* mempool_set.c: the set of transactions by hash, sender and nonce (see mempool_impl.h). All under the pool's lock. */
#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/mempool_impl.h"

void sb_pool_entry_retain(struct sb_pool_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

void sb_pool_tx_retain(const struct sb_pool_tx *tx)
{
    sb_pool_entry_retain((struct sb_pool_entry *)(uintptr_t)tx); /* pub is the first member */
}

void sb_pool_tx_release(const struct sb_pool_tx *tx)
{
    if (tx == NULL) {
        return;
    }
    struct sb_pool_entry *entry =
        (struct sb_pool_entry *)(uintptr_t)tx; /* pub is the first member */
    size_t before = atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel);
    SB_ASSERT(before > 0);
    if (before == 1) {
        sb_arena_fini(&entry->arena);
        free(entry);
    }
}

/* bucket: by the first eight bytes, which for hashes and addresses look random but can be chosen; the seed cannot be known. */
static size_t bucket(const struct sb_mempool *pool, const uint8_t *bytes)
{
    uint64_t mixed = (be_load64(bytes) ^ pool->seed) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & pool->bucket_mask;
}

struct sb_pool_entry *sb_mempool_find_tx(struct sb_mempool *pool, const sb_hash *hash)
{
    struct sb_pool_entry *entry = pool->by_hash[bucket(pool, hash->b)];
    while (entry != NULL && !sb_hash_equal(&entry->pub.hash, hash)) {
        entry = entry->bucket_next;
    }
    return entry;
}

struct sb_mempool_account *sb_mempool_find_account(struct sb_mempool *pool, const sb_addr *addr)
{
    struct sb_mempool_account *account = pool->by_sender[bucket(pool, addr->b)];
    while (account != NULL && !sb_addr_equal(&account->addr, addr)) {
        account = account->bucket_next;
    }
    return account;
}

/* grow: make room for one more pointer in an array of `count`. */
static bool grow(void **array, size_t *capacity, size_t count)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *bigger = realloc(*array, wanted * sizeof(void *));
    if (bigger == NULL) {
        return false;
    }
    *array = bigger;
    *capacity = wanted;
    return true;
}

static bool grow_accounts(struct sb_mempool *pool)
{
    void *array = pool->accounts;
    bool ok = grow(&array, &pool->account_capacity, pool->account_count);
    pool->accounts = array;
    return ok;
}

static bool grow_entries(struct sb_mempool_account *account)
{
    void *array = account->entries;
    bool ok = grow(&array, &account->capacity, account->count);
    account->entries = array;
    return ok;
}

struct sb_mempool_account *sb_mempool_account_add(struct sb_mempool *pool, const sb_addr *addr)
{
    struct sb_mempool_account *account = calloc(1, sizeof *account);
    if (account == NULL || !grow_accounts(pool)) {
        free(account);
        return NULL;
    }
    account->addr = *addr;
    account->place = pool->account_count;
    pool->accounts[pool->account_count++] = account;
    struct sb_mempool_account **head = &pool->by_sender[bucket(pool, addr->b)];
    account->bucket_next = *head;
    *head = account;
    return account;
}

void sb_mempool_account_drop_if_empty(struct sb_mempool *pool, struct sb_mempool_account *account)
{
    if (account->count != 0) {
        return;
    }
    struct sb_mempool_account **link = &pool->by_sender[bucket(pool, account->addr.b)];
    while (*link != account) {
        link = &(*link)->bucket_next;
    }
    *link = account->bucket_next;
    struct sb_mempool_account *last = pool->accounts[--pool->account_count];
    pool->accounts[account->place] = last;
    last->place = account->place;
    free(account->entries);
    free(account);
}

size_t sb_mempool_account_find(const struct sb_mempool_account *account, uint64_t nonce,
                               bool *ret_found)
{
    size_t low = 0;
    size_t high = account->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (account->entries[middle]->pub.tx.nonce < nonce) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = low < account->count && account->entries[low]->pub.tx.nonce == nonce;
    return low;
}

sb_err sb_mempool_insert(struct sb_mempool *pool, struct sb_mempool_account *account,
                         struct sb_pool_entry *entry)
{
    bool found;
    size_t place = sb_mempool_account_find(account, entry->pub.tx.nonce, &found);
    SB_ASSERT(!found);
    if (!grow_entries(account)) {
        return SB_E_NOMEM;
    }
    memmove(&account->entries[place + 1], &account->entries[place],
            (account->count - place) * sizeof account->entries[0]);
    account->entries[place] = entry;
    account->count++;
    if (place < account->pending) {
        account->pending = place;
    }
    account->total_cost = sb_u256_add(&account->total_cost, &entry->pub.cost);
    entry->account = account;
    struct sb_pool_entry **head = &pool->by_hash[bucket(pool, entry->pub.hash.b)];
    entry->bucket_next = *head;
    *head = entry;
    pool->count++;
    pool->bytes += entry->pub.raw.len;
    return SB_OK;
}

void sb_mempool_remove(struct sb_mempool *pool, struct sb_mempool_account *account, size_t place)
{
    struct sb_pool_entry *entry = account->entries[place];
    struct sb_pool_entry **link = &pool->by_hash[bucket(pool, entry->pub.hash.b)];
    while (*link != entry) {
        link = &(*link)->bucket_next;
    }
    *link = entry->bucket_next;
    account->count--;
    memmove(&account->entries[place], &account->entries[place + 1],
            (account->count - place) * sizeof account->entries[0]);
    if (place < account->pending) {
        account->pending = place;
    }
    account->total_cost = sb_u256_sub(&account->total_cost, &entry->pub.cost);
    pool->count--;
    pool->bytes -= entry->pub.raw.len;
    entry->account = NULL;
    sb_pool_tx_release(&entry->pub);
}

static void news_add(struct sb_mempool_news *news, struct sb_pool_entry *entry)
{
    void *array = news->entries;
    bool ok = grow(&array, &news->capacity, news->count);
    news->entries = array;
    if (ok) { /* without memory the subscribers miss it; the pool itself does not depend on them */
        sb_pool_entry_retain(entry);
        news->entries[news->count++] = entry;
    }
}

void sb_mempool_promote(struct sb_mempool_account *account, struct sb_mempool_news *news)
{
    while (account->pending < account->count &&
           account->entries[account->pending]->pub.tx.nonce == account->nonce + account->pending) {
        struct sb_pool_entry *entry = account->entries[account->pending++];
        if (!entry->is_announced) {
            entry->is_announced = true;
            news_add(news, entry);
        }
    }
}

bool sb_mempool_tip(sb_u256 *ret_tip, const struct sb_tx *tx, const sb_u256 *base_fee)
{
    if (sb_u256_lt(&tx->max_fee, base_fee)) {
        return false;
    }
    sb_u256 room = sb_u256_sub(&tx->max_fee, base_fee);
    *ret_tip = sb_u256_lt(&tx->max_priority_fee, &room) ? tx->max_priority_fee : room;
    return true;
}

/* is_worse: give up a before b. Both are the last of their accounts. */
static bool is_worse(const struct sb_mempool *pool, const struct sb_pool_entry *a,
                     const struct sb_pool_entry *b)
{
    bool a_queued = a->account->pending < a->account->count;
    bool b_queued = b->account->pending < b->account->count;
    if (a_queued != b_queued) {
        return a_queued;
    }
    sb_u256 a_tip;
    sb_u256 b_tip;
    bool a_pays = sb_mempool_tip(&a_tip, &a->pub.tx, &pool->next_base_fee);
    bool b_pays = sb_mempool_tip(&b_tip, &b->pub.tx, &pool->next_base_fee);
    if (a_pays != b_pays) {
        return b_pays;
    }
    int order =
        a_pays ? sb_u256_cmp(&a_tip, &b_tip) : sb_u256_cmp(&a->pub.tx.max_fee, &b->pub.tx.max_fee);
    return order != 0 ? order < 0 : a->pub.arrival > b->pub.arrival;
}

struct sb_pool_entry *sb_mempool_worst(struct sb_mempool *pool,
                                       const struct sb_mempool_account *spared)
{
    struct sb_pool_entry *worst = NULL;
    for (size_t i = 0; i < pool->account_count; i++) {
        struct sb_mempool_account *account = pool->accounts[i];
        if (account == spared || account->count == 0) {
            continue;
        }
        struct sb_pool_entry *last = account->entries[account->count - 1];
        if (worst == NULL || is_worse(pool, last, worst)) {
            worst = last;
        }
    }
    return worst;
}
