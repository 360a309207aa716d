/* mempool_query.c: questions to the pool, and the picker of the builder (see mempool.h). */
#include <stdlib.h>

#include "base/util/assert.h"
#include "node/mempool_impl.h"

struct sb_mempool_status sb_mempool_status(struct sb_mempool *mempool)
{
    struct sb_mempool_status status = {.pending = 0};
    pthread_mutex_lock(&mempool->lock);
    for (size_t i = 0; i < mempool->account_count; i++) {
        status.pending += mempool->accounts[i]->pending;
    }
    status.queued = mempool->count - status.pending;
    status.bytes = mempool->bytes;
    status.refused_count = mempool->refused_count;
    status.evicted_count = mempool->evicted_count;
    pthread_mutex_unlock(&mempool->lock);
    return status;
}

uint64_t sb_mempool_nonce(struct sb_mempool *mempool, const sb_addr *sender, uint64_t state_nonce)
{
    pthread_mutex_lock(&mempool->lock);
    const struct sb_mempool_account *account = sb_mempool_find_account(mempool, sender);
    uint64_t next = account != NULL ? account->nonce + account->pending : state_nonce;
    pthread_mutex_unlock(&mempool->lock);
    return next > state_nonce ? next : state_nonce;
}

sb_err sb_mempool_get(const struct sb_pool_tx **ret_tx, bool *ret_queued,
                      struct sb_mempool *mempool, const sb_hash *hash)
{
    pthread_mutex_lock(&mempool->lock);
    struct sb_pool_entry *entry = sb_mempool_find_tx(mempool, hash);
    if (entry != NULL) {
        sb_pool_entry_retain(entry);
        *ret_tx = &entry->pub;
        if (ret_queued != NULL) {
            *ret_queued = entry->pub.tx.nonce >= entry->account->nonce + entry->account->pending;
        }
    }
    pthread_mutex_unlock(&mempool->lock);
    return entry != NULL ? SB_OK : SB_E_NOT_FOUND;
}

/* ---- content ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct sb_pool_tx *x = ((const struct sb_mempool_entry *)a)->tx;
    const struct sb_pool_tx *y = ((const struct sb_mempool_entry *)b)->tx;
    int order = memcmp(x->sender.b, y->sender.b, sizeof x->sender.b);
    if (order != 0) {
        return order;
    }
    return x->tx.nonce < y->tx.nonce ? -1 : x->tx.nonce > y->tx.nonce ? 1 : 0;
}

static void list_account(struct sb_mempool_entry *list, size_t *count,
                         const struct sb_mempool_account *account)
{
    for (size_t i = 0; i < account->count; i++) {
        sb_pool_entry_retain(account->entries[i]);
        list[(*count)++] = (struct sb_mempool_entry){.tx = &account->entries[i]->pub,
                                                     .queued = i >= account->pending};
    }
}

sb_err sb_mempool_content(const struct sb_mempool_entry **ret_entries, size_t *ret_count,
                          struct sb_arena *arena, struct sb_mempool *mempool, const sb_addr *sender)
{
    size_t count = 0;
    pthread_mutex_lock(&mempool->lock);
    const struct sb_mempool_account *only =
        sender != NULL ? sb_mempool_find_account(mempool, sender) : NULL;
    size_t wanted = sender == NULL ? mempool->count : only != NULL ? only->count : 0;
    struct sb_mempool_entry *list = sb_arena_array(arena, wanted, sizeof *list);
    if (list != NULL && only != NULL) {
        list_account(list, &count, only);
    } else if (list != NULL && sender == NULL) {
        for (size_t i = 0; i < mempool->account_count; i++) {
            list_account(list, &count, mempool->accounts[i]);
        }
    }
    pthread_mutex_unlock(&mempool->lock);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    SB_ASSERT(count == wanted);
    qsort(list, count, sizeof *list, compare_entries);
    *ret_entries = list;
    *ret_count = count;
    return SB_OK;
}

bool sb_mempool_has_ready(struct sb_mempool *mempool, const sb_u256 *base_fee)
{
    bool ready = false;
    pthread_mutex_lock(&mempool->lock);
    for (size_t i = 0; i < mempool->account_count && !ready; i++) {
        const struct sb_mempool_account *account = mempool->accounts[i];
        ready =
            account->pending != 0 && !sb_u256_lt(&account->entries[0]->pub.tx.max_fee, base_fee);
    }
    pthread_mutex_unlock(&mempool->lock);
    return ready;
}

/* ---- picker: a heap of runs, one for each sender ---- */

struct run {
    struct sb_pool_entry **at, **end; /* in picker->entries; at < end while in the heap */
    sb_u256 tip;                      /* of *at */
};

struct sb_mempool_picker {
    sb_u256 base_fee;
    struct sb_pool_entry **entries; /* all that were retained */
    size_t entry_count;
    struct run *heap; /* heap[0] is the best */
    size_t run_count;
};

static bool is_better(const struct run *a, const struct run *b)
{
    int order = sb_u256_cmp(&a->tip, &b->tip);
    return order != 0 ? order > 0 : (*a->at)->pub.arrival < (*b->at)->pub.arrival;
}

static void sift_down(struct sb_mempool_picker *picker, size_t place)
{
    struct run *heap = picker->heap;
    for (;;) {
        size_t best = place;
        for (size_t child = 2 * place + 1; child <= 2 * place + 2; child++) {
            if (child < picker->run_count && is_better(&heap[child], &heap[best])) {
                best = child;
            }
        }
        if (best == place) {
            return;
        }
        struct run moved = heap[place];
        heap[place] = heap[best];
        heap[best] = moved;
        place = best;
    }
}

/* open_run: begin the run of an account if its first transaction can pay. */
static void open_run(struct sb_mempool_picker *picker, const struct sb_mempool_account *account)
{
    sb_u256 tip;
    if (account->pending == 0 ||
        !sb_mempool_tip(&tip, &account->entries[0]->pub.tx, &picker->base_fee)) {
        return;
    }
    struct sb_pool_entry **first = &picker->entries[picker->entry_count];
    for (size_t i = 0; i < account->pending; i++) {
        sb_pool_entry_retain(account->entries[i]);
        picker->entries[picker->entry_count++] = account->entries[i];
    }
    picker->heap[picker->run_count++] =
        (struct run){.at = first, .end = &picker->entries[picker->entry_count], .tip = tip};
}

struct sb_mempool_picker *sb_mempool_pick(struct sb_mempool *mempool, const sb_u256 *base_fee)
{
    struct sb_mempool_picker *picker = calloc(1, sizeof *picker);
    if (picker == NULL) {
        return NULL;
    }
    picker->base_fee = *base_fee;
    pthread_mutex_lock(&mempool->lock);
    picker->entries = calloc(mempool->count + 1, sizeof(struct sb_pool_entry *));
    picker->heap = calloc(mempool->account_count + 1, sizeof *picker->heap);
    bool ok = picker->entries != NULL && picker->heap != NULL;
    for (size_t i = 0; ok && i < mempool->account_count; i++) {
        open_run(picker, mempool->accounts[i]);
    }
    pthread_mutex_unlock(&mempool->lock);
    if (!ok) {
        sb_mempool_picker_free(picker);
        return NULL;
    }
    for (size_t i = picker->run_count / 2; i-- > 0;) {
        sift_down(picker, i);
    }
    return picker;
}

const struct sb_pool_tx *sb_mempool_picker_peek(struct sb_mempool_picker *picker)
{
    return picker->run_count != 0 ? &(*picker->heap[0].at)->pub : NULL;
}

void sb_mempool_picker_skip(struct sb_mempool_picker *picker)
{
    SB_ASSERT(picker->run_count != 0);
    picker->heap[0] = picker->heap[--picker->run_count];
    sift_down(picker, 0);
}

void sb_mempool_picker_next(struct sb_mempool_picker *picker)
{
    SB_ASSERT(picker->run_count != 0);
    struct run *run = &picker->heap[0];
    run->at++;
    if (run->at == run->end || !sb_mempool_tip(&run->tip, &(*run->at)->pub.tx, &picker->base_fee)) {
        sb_mempool_picker_skip(picker);
        return;
    }
    sift_down(picker, 0);
}

void sb_mempool_picker_free(struct sb_mempool_picker *picker)
{
    if (picker == NULL) {
        return;
    }
    SB_ASSERT(picker->entries != NULL || picker->entry_count == 0);
    for (size_t i = 0; i < picker->entry_count; i++) {
        sb_pool_tx_release(&picker->entries[i]->pub);
    }
    free(picker->entries);
    free(picker->heap);
    free(picker);
}
