/* mempool.c: the rules of admission, and the pool's way along the chain (see mempool.h). */
#include "node/mempool.h"

#include <stdlib.h>
#include <uv.h>

#include "base/util/assert.h"
#include "node/mempool_impl.h"

#define COUNT_MAX_DEFAULT      8192
#define BYTES_MAX_DEFAULT      ((size_t)64 * 1024 * 1024)
#define PER_SENDER_MAX_DEFAULT 1024
/* Decoded lists take a small multiple of the encoding, which is bounded by SB_TX_BYTES_MAX. */
#define ENTRY_ARENA_BYTES_MAX (SB_TX_BYTES_MAX * 16)

/* ---- subscribers ---- */

static void tell_news(struct sb_mempool *pool, struct sb_mempool_news *news)
{
    struct sb_mempool_subscriber list[SB_MEMPOOL_SUBSCRIBERS_MAX];
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->subscriber_count;
    memcpy(list, pool->subscribers, count * sizeof list[0]);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < news->count; i++) {
        for (size_t k = 0; k < count; k++) {
            list[k].fn(list[k].ctx, &news->entries[i]->pub);
        }
        sb_pool_tx_release(&news->entries[i]->pub);
    }
    free(news->entries);
}

sb_err sb_mempool_subscribe(struct sb_mempool *mempool, sb_mempool_tx_fn fn, void *ctx)
{
    sb_err err = SB_E_LIMIT;
    pthread_mutex_lock(&mempool->lock);
    if (mempool->subscriber_count < SB_MEMPOOL_SUBSCRIBERS_MAX) {
        mempool->subscribers[mempool->subscriber_count++] =
            (struct sb_mempool_subscriber){.fn = fn, .ctx = ctx};
        err = SB_OK;
    }
    pthread_mutex_unlock(&mempool->lock);
    return err;
}

/* ---- following the chain ---- */

static void drop_below_nonce(struct sb_mempool *pool, struct sb_mempool_account *account)
{
    while (account->count != 0 && account->entries[0]->pub.tx.nonce < account->nonce) {
        sb_mempool_remove(pool, account, 0);
    }
    account->pending = 0;
}

static void drop_unfunded(struct sb_mempool *pool, struct sb_mempool_account *account)
{
    while (account->count != 0 && sb_u256_lt(&account->balance, &account->total_cost)) {
        sb_mempool_remove(pool, account, account->count - 1);
    }
}

static void note_code(struct sb_mempool_account *account, const sb_hash *code_hash, sb_bytes code)
{
    bool has_code = !sb_hash_equal(code_hash, &sb_hash_keccak_empty);
    account->is_delegated = has_code && code.len == 23 && code.data[0] == 0xef &&
                            code.data[1] == 0x01 && code.data[2] == 0x00;
    account->has_other_code = has_code && !account->is_delegated;
}

/* follow_account: an account of the pool takes on what the block made of it. */
static void follow_account(struct sb_mempool *pool, const struct sb_account_diff *change,
                           struct sb_mempool_news *news)
{
    struct sb_mempool_account *account = sb_mempool_find_account(pool, &change->addr);
    if (account == NULL) {
        return;
    }
    account->nonce = change->nonce;
    account->balance = change->balance;
    if (change->code_changed) {
        note_code(account, &change->code_hash, change->code);
    }
    drop_below_nonce(pool, account);
    drop_unfunded(pool, account);
    sb_mempool_promote(account, news);
    sb_mempool_account_drop_if_empty(pool, account);
}

static void on_head(void *ctx, const struct sb_chain_event *event)
{
    struct sb_mempool *pool = ctx;
    struct sb_mempool_news news = {.entries = NULL};
    pthread_mutex_lock(&pool->lock);
    pool->generation++;
    pool->next_base_fee = event->next_base_fee;
    for (size_t i = 0; i < event->diff->account_count; i++) {
        follow_account(pool, &event->diff->accounts[i], &news);
    }
    pthread_mutex_unlock(&pool->lock);
    tell_news(pool, &news);
}

static bool sender_hint(void *ctx, const sb_hash *tx_hash, sb_addr *ret_sender)
{
    struct sb_mempool *pool = ctx;
    pthread_mutex_lock(&pool->lock);
    const struct sb_pool_entry *entry = sb_mempool_find_tx(pool, tx_hash);
    if (entry != NULL) {
        *ret_sender = entry->pub.sender;
    }
    pthread_mutex_unlock(&pool->lock);
    return entry != NULL;
}

/* ---- life ---- */

sb_err sb_mempool_new(struct sb_mempool **ret_mempool, struct sb_chain *chain,
                      const struct sb_mempool_options *options)
{
    struct sb_mempool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return SB_E_NOMEM;
    }
    SB_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    pool->chain = chain;
    pool->options = *options;
    struct sb_mempool_options *o = &pool->options;
    o->count_max = o->count_max != 0 ? o->count_max : COUNT_MAX_DEFAULT;
    o->bytes_max = o->bytes_max != 0 ? o->bytes_max : BYTES_MAX_DEFAULT;
    o->per_sender_max = o->per_sender_max != 0 ? o->per_sender_max : PER_SENDER_MAX_DEFAULT;
    size_t buckets = 64;
    while (buckets < o->count_max) {
        buckets *= 2;
    }
    pool->bucket_mask = buckets - 1;
    pool->by_hash = calloc(buckets, sizeof *pool->by_hash);
    pool->by_sender = calloc(buckets, sizeof *pool->by_sender);
    pool->next_base_fee = sb_chain_next_base_fee(chain);
    sb_err err = pool->by_hash != NULL && pool->by_sender != NULL ? SB_OK : SB_E_NOMEM;
    if (err == SB_OK && uv_random(NULL, NULL, &pool->seed, sizeof pool->seed, 0, NULL) != 0) {
        err = SB_E_INTERNAL;
    }
    if (err == SB_OK) {
        err = sb_chain_subscribe(chain, on_head, pool);
    }
    if (err != SB_OK) {
        free(pool->by_hash);
        free(pool->by_sender);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
        return err;
    }
    sb_chain_set_sender_hint(chain, sender_hint, pool);
    *ret_mempool = pool;
    return SB_OK;
}

void sb_mempool_free(struct sb_mempool *mempool)
{
    if (mempool == NULL) {
        return;
    }
    sb_chain_set_sender_hint(mempool->chain, NULL, NULL);
    while (mempool->account_count != 0) {
        struct sb_mempool_account *account = mempool->accounts[mempool->account_count - 1];
        while (account->count != 0) {
            sb_mempool_remove(mempool, account, account->count - 1);
        }
        sb_mempool_account_drop_if_empty(mempool, account);
    }
    free(mempool->accounts);
    free(mempool->by_hash);
    free(mempool->by_sender);
    pthread_mutex_destroy(&mempool->lock);
    free(mempool);
}

/* ---- admission: what can be judged without the state ---- */

static sb_err refuse(struct sb_diag *diag, enum sb_tx_reject reject, const char *detail)
{
    return sb_fail(diag, SB_E_ARG, "%s%s", sb_tx_reject_text(reject), detail);
}

static sb_err check_static(const struct sb_mempool *pool, const struct sb_tx *tx,
                           struct sb_diag *diag)
{
    const struct sb_rules *rules = sb_chain_rules(pool->chain);
    if (tx->type == SB_TX_BLOB) {
        return refuse(diag, SB_TX_REJECT_TYPE, "");
    }
    enum sb_tx_reject reject = sb_tx_check_static(rules, tx);
    char detail[96] = "";
    if (reject == SB_TX_REJECT_INTRINSIC_GAS) {
        (void)snprintf(detail, sizeof detail, ": gas %llu, minimum needed %llu",
                       (unsigned long long)tx->gas_limit,
                       (unsigned long long)sb_tx_intrinsic_gas(rules, tx).gas);
    } else if (reject == SB_TX_REJECT_TX_GAS_CAP) {
        (void)snprintf(detail, sizeof detail, " (cap: %llu, tx: %llu)",
                       (unsigned long long)rules->tx_gas_max, (unsigned long long)tx->gas_limit);
    } else if (reject == SB_TX_REJECT_CHAIN_ID) {
        (void)snprintf(detail, sizeof detail, ": have %llu want %llu",
                       (unsigned long long)tx->chain_id, (unsigned long long)rules->chain_id);
    }
    if (reject != SB_TX_ACCEPTED) {
        return refuse(diag, reject, detail);
    }
    if (tx->gas_limit > sb_chain_params(pool->chain).gas_limit) {
        return sb_fail(diag, SB_E_ARG, "exceeds block gas limit");
    }
    return SB_OK;
}

/* cost_of: gas_limit * max_fee + value. */
static sb_err cost_of(sb_u256 *ret_cost, const struct sb_tx *tx, struct sb_diag *diag)
{
    sb_u256 cost;
    if (sb_u256_mul_u64(&cost, &tx->max_fee, tx->gas_limit) ||
        sb_u256_add_carry(&cost, &cost, &tx->value)) {
        return refuse(diag, SB_TX_REJECT_FUNDS, ": the cost does not fit 256 bits");
    }
    *ret_cost = cost;
    return SB_OK;
}

static struct sb_pool_entry *entry_new(void)
{
    struct sb_pool_entry *entry = calloc(1, sizeof *entry);
    if (entry != NULL) {
        atomic_init(&entry->refs, 1);
        sb_arena_init(&entry->arena, ENTRY_ARENA_BYTES_MAX);
    }
    return entry;
}

static sb_err fill_entry(struct sb_pool_entry *entry, const struct sb_mempool *pool, sb_bytes raw,
                         struct sb_diag *diag)
{
    uint64_t block_max = sb_chain_params(pool->chain).block_bytes_max;
    size_t max = SB_TX_BYTES_MAX;
    if (max > block_max - SB_CHAIN_BLOCK_OVERHEAD_BYTES) {
        max = (size_t)block_max - SB_CHAIN_BLOCK_OVERHEAD_BYTES;
    }
    if (raw.len > max) {
        return sb_fail(diag, SB_E_ARG, "oversized data: transaction size %zu, limit %zu", raw.len,
                       max);
    }
    const uint8_t *copy = sb_arena_dup(&entry->arena, raw);
    if (copy == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    entry->pub.raw = sb_span(copy, raw.len);
    SB_TRY(sb_tx_decode(&entry->pub.tx, &entry->arena, entry->pub.raw, diag));
    entry->pub.hash = sb_tx_hash(entry->pub.raw);
    SB_TRY(check_static(pool, &entry->pub.tx, diag));
    SB_TRY(cost_of(&entry->pub.cost, &entry->pub.tx, diag));
    if (sb_tx_sender(&entry->pub.sender, &entry->pub.tx) != SB_OK) {
        return sb_fail(diag, SB_E_SIGNATURE, "invalid sender");
    }
    return SB_OK;
}

/* ---- admission: against the state and the pool ---- */

/* read_account: the sender as the head's state has it. */
static sb_err read_account(struct sb_mempool_account *ret_account, struct sb_chain *chain,
                           const sb_addr *addr)
{
    struct sb_chain_view view;
    struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    SB_TRY(sb_chain_view_open(&view, chain, &latest));
    struct sb_account state;
    sb_bytes code = {.data = NULL, .len = 0};
    bool exists;
    sb_err err = view.state->account(view.state->ctx, addr, &state, &exists);
    if (err == SB_OK && !sb_hash_equal(&state.code_hash, &sb_hash_keccak_empty)) {
        err = view.state->code(view.state->ctx, &state.code_hash, &code);
    }
    if (err == SB_OK) {
        ret_account->nonce = state.nonce;
        ret_account->balance = state.balance;
        note_code(ret_account, &state.code_hash, code);
    }
    sb_chain_view_close(chain, &view);
    return err;
}

/* fee_bumped: new is above old by 10 % of it, rounded down as geth does, and by 1 at least. */
static bool fee_bumped(const sb_u256 *new_fee, const sb_u256 *old_fee)
{
    if (!sb_u256_lt(old_fee, new_fee)) {
        return false;
    }
    sb_u256 ten = sb_u256_from_u64(10);
    sb_u256 bump = sb_u256_div(old_fee, &ten);
    sb_u256 diff = sb_u256_sub(new_fee, old_fee);
    return !sb_u256_lt(&diff, &bump);
}

static sb_err check_funds(const struct sb_mempool_account *account,
                          const struct sb_pool_entry *entry, const struct sb_pool_entry *replaced,
                          struct sb_diag *diag)
{
    sb_u256 others = account->total_cost;
    if (replaced != NULL) {
        others = sb_u256_sub(&others, &replaced->pub.cost);
    }
    sb_u256 needed;
    bool overflow = sb_u256_add_carry(&needed, &others, &entry->pub.cost);
    if (!overflow && !sb_u256_lt(&account->balance, &needed)) {
        return SB_OK;
    }
    sb_u256 over = sb_u256_sub(&needed, &account->balance);
    char balance[SB_U256_DECIMAL_BYTES];
    char queued[SB_U256_DECIMAL_BYTES];
    char cost[SB_U256_DECIMAL_BYTES];
    char overshot[SB_U256_DECIMAL_BYTES];
    sb_u256_format_decimal(balance, &account->balance);
    sb_u256_format_decimal(queued, &others);
    sb_u256_format_decimal(cost, &entry->pub.cost);
    sb_u256_format_decimal(overshot, &over);
    const char *text = sb_tx_reject_text(SB_TX_REJECT_FUNDS);
    if (sb_u256_is_zero(&others)) {
        return sb_fail(diag, SB_E_ARG, "%s: balance %s, tx cost %s, overshot %s", text, balance,
                       cost, overshot);
    }
    return sb_fail(diag, SB_E_ARG, "%s: balance %s, queued cost %s, tx cost %s, overshot %s", text,
                   balance, queued, cost, overshot);
}

/* check_account: all rules between an entry and its sender. */
static sb_err check_account(const struct sb_mempool *pool, const struct sb_mempool_account *account,
                            const struct sb_pool_entry *entry, const struct sb_pool_entry *replaced,
                            struct sb_diag *diag)
{
    const struct sb_tx *tx = &entry->pub.tx;
    if (tx->nonce < account->nonce) {
        return sb_fail(diag, SB_E_ARG, "%s: next nonce %llu, tx nonce %llu",
                       sb_tx_reject_text(SB_TX_REJECT_NONCE_TOO_LOW),
                       (unsigned long long)account->nonce, (unsigned long long)tx->nonce);
    }
    if (account->has_other_code) {
        return refuse(diag, SB_TX_REJECT_SENDER_NOT_EOA, "");
    }
    if (replaced != NULL) {
        if (!fee_bumped(&tx->max_fee, &replaced->pub.tx.max_fee) ||
            !fee_bumped(&tx->max_priority_fee, &replaced->pub.tx.max_priority_fee)) {
            return sb_fail(diag, SB_E_ARG, "replacement transaction underpriced");
        }
    } else if (account->is_delegated && account->count != 0) {
        return sb_fail(diag, SB_E_LIMIT,
                       "in-flight transaction limit reached for delegated accounts");
    } else if (account->count >= pool->options.per_sender_max) {
        return sb_fail(diag, SB_E_LIMIT, "account limit exceeded");
    }
    if (account->is_delegated && tx->nonce != account->nonce) {
        return sb_fail(diag, SB_E_ARG, "gapped-nonce tx from delegated accounts");
    }
    return check_funds(account, entry, replaced, diag);
}

/* make_room: give up worse entries of other senders until the new one fits in place of the replaced one, if any. */
static sb_err make_room(struct sb_mempool *pool, const struct sb_mempool_account *account,
                        const struct sb_pool_entry *entry, const struct sb_pool_entry *replaced,
                        struct sb_diag *diag)
{
    const struct sb_tx *tx = &entry->pub.tx;
    size_t freed_count = replaced != NULL ? 1 : 0;
    size_t freed_bytes = replaced != NULL ? replaced->pub.raw.len : 0;
    while (pool->count + 1 - freed_count > pool->options.count_max ||
           pool->bytes + entry->pub.raw.len - freed_bytes > pool->options.bytes_max) {
        struct sb_pool_entry *worst = sb_mempool_worst(pool, account);
        if (worst == NULL) {
            return sb_fail(diag, SB_E_LIMIT, "txpool is full");
        }
        sb_u256 tip;
        sb_u256 worst_tip;
        bool pays = sb_mempool_tip(&tip, tx, &pool->next_base_fee);
        bool worst_pays = sb_mempool_tip(&worst_tip, &worst->pub.tx, &pool->next_base_fee);
        bool is_queued = worst->account->pending < worst->account->count;
        if (!pays || (worst_pays && !is_queued && !sb_u256_lt(&worst_tip, &tip))) {
            return sb_fail(diag, SB_E_LIMIT, "transaction underpriced");
        }
        struct sb_mempool_account *owner = worst->account;
        sb_mempool_remove(pool, owner, owner->count - 1);
        sb_mempool_account_drop_if_empty(pool, owner);
        pool->evicted_count++;
    }
    return SB_OK;
}

/* admit: under the lock, the account being there. Takes the entry's reference only on success. */
static sb_err admit(struct sb_mempool *pool, struct sb_mempool_account *account,
                    struct sb_pool_entry *entry, struct sb_mempool_news *news, struct sb_diag *diag)
{
    bool found;
    size_t place = sb_mempool_account_find(account, entry->pub.tx.nonce, &found);
    const struct sb_pool_entry *replaced = found ? account->entries[place] : NULL;
    SB_TRY(check_account(pool, account, entry, replaced, diag));
    SB_TRY(make_room(pool, account, entry, replaced, diag));
    if (replaced != NULL) {
        sb_mempool_remove(pool, account, place);
    }
    entry->pub.arrival = ++pool->arrivals;
    sb_err err = sb_mempool_insert(pool, account, entry);
    if (err != SB_OK) {
        return sb_fail(diag, err, "out of memory");
    }
    sb_mempool_promote(account, news);
    return SB_OK;
}

/* enter: find or make the account, then admit. SB_E_BUSY when the head moved since `known` was read at `generation`. */
static sb_err enter(struct sb_mempool *pool, struct sb_pool_entry *entry,
                    const struct sb_mempool_account *known, uint64_t generation,
                    struct sb_mempool_news *news, struct sb_diag *diag)
{
    if (sb_mempool_find_tx(pool, &entry->pub.hash) != NULL) {
        return sb_fail(diag, SB_E_EXISTS, "already known");
    }
    struct sb_mempool_account *account = sb_mempool_find_account(pool, &entry->pub.sender);
    if (account == NULL) {
        if (known == NULL || generation != pool->generation) {
            return SB_E_BUSY;
        }
        account = sb_mempool_account_add(pool, &entry->pub.sender);
        if (account == NULL) {
            return sb_fail(diag, SB_E_NOMEM, "out of memory");
        }
        account->nonce = known->nonce;
        account->balance = known->balance;
        account->is_delegated = known->is_delegated;
        account->has_other_code = known->has_other_code;
    }
    sb_err err = admit(pool, account, entry, news, diag);
    sb_mempool_account_drop_if_empty(pool, account);
    return err;
}

/* add_entry: with the sender's state read outside of the lock, again whenever a block came in between. */
static sb_err add_entry(struct sb_mempool *pool, struct sb_pool_entry *entry,
                        struct sb_mempool_news *news, struct sb_diag *diag)
{
    struct sb_mempool_account known = {.nonce = 0};
    bool is_known = false;
    uint64_t generation = 0;
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        sb_err err = enter(pool, entry, is_known ? &known : NULL, generation, news, diag);
        generation = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        if (err != SB_E_BUSY) {
            return err;
        }
        err = read_account(&known, pool->chain, &entry->pub.sender);
        if (err != SB_OK) {
            return sb_fail(diag, err, "the state cannot be read: %s", sb_err_text(err));
        }
        is_known = true;
    }
}

static void count_refusal(struct sb_mempool *mempool, sb_err err)
{
    if (err != SB_E_EXISTS) {
        pthread_mutex_lock(&mempool->lock);
        mempool->refused_count++;
        pthread_mutex_unlock(&mempool->lock);
    }
}

sb_err sb_mempool_add(struct sb_mempool *mempool, sb_bytes raw, sb_hash *ret_hash,
                      struct sb_diag *diag)
{
    struct sb_pool_entry *entry = entry_new();
    if (entry == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_mempool_news news = {.entries = NULL};
    sb_err err = fill_entry(entry, mempool, raw, diag);
    sb_hash hash = entry->pub.hash;
    if (err == SB_OK) {
        err = add_entry(mempool, entry, &news, diag);
    }
    if (err == SB_OK || err == SB_E_EXISTS) {
        *ret_hash = hash;
    }
    if (err != SB_OK) {
        sb_pool_tx_release(&entry->pub);
        count_refusal(mempool, err);
    }
    tell_news(mempool, &news);
    return err;
}

void sb_mempool_drop(struct sb_mempool *mempool, const sb_hash *hash)
{
    pthread_mutex_lock(&mempool->lock);
    struct sb_pool_entry *entry = sb_mempool_find_tx(mempool, hash);
    if (entry != NULL) {
        struct sb_mempool_account *account = entry->account;
        bool found;
        size_t place = sb_mempool_account_find(account, entry->pub.tx.nonce, &found);
        SB_ASSERT(found);
        sb_mempool_remove(mempool, account, place);
        sb_mempool_account_drop_if_empty(mempool, account);
    }
    pthread_mutex_unlock(&mempool->lock);
}
