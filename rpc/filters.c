/* filters.c: an array of filters under one lock; see filters.h. */
#include "rpc/filters.h"

#include <stdlib.h>
#include <sys/random.h>
#include <uv.h>

struct filter {
    sb_rpc_filter_id id;
    enum sb_rpc_filter_kind kind;
    struct sb_rpc_log_filter *criteria; /* owned */
    uint64_t next_block;
    uint64_t next_pending;
    uint64_t polled_ms;
};

struct sb_rpc_filters {
    uv_mutex_t lock;
    uint64_t expiry_ms;
    size_t count, count_max;
    uint64_t pending_count; /* ever added */
    sb_hash pending[SB_RPC_PENDING_RING];
    struct filter list[];
};

sb_err sb_rpc_filters_new(struct sb_rpc_filters **ret_filters, uint32_t count_max,
                          uint32_t expiry_s)
{
    struct sb_rpc_filters *filters =
        calloc(1, sizeof *filters + count_max * sizeof filters->list[0]);
    if (filters == NULL) {
        return SB_E_NOMEM;
    }
    if (uv_mutex_init(&filters->lock) != 0) {
        free(filters);
        return SB_E_NOMEM;
    }
    filters->count_max = count_max;
    filters->expiry_ms = (uint64_t)expiry_s * 1000;
    *ret_filters = filters;
    return SB_OK;
}

void sb_rpc_filters_free(struct sb_rpc_filters *filters)
{
    if (filters == NULL) {
        return;
    }
    for (size_t i = 0; i < filters->count; i++) {
        free(filters->list[i].criteria);
    }
    uv_mutex_destroy(&filters->lock);
    free(filters);
}

static struct filter *find(struct sb_rpc_filters *filters, const sb_rpc_filter_id *id)
{
    for (size_t i = 0; i < filters->count; i++) {
        if (memcmp(filters->list[i].id.b, id->b, sizeof id->b) == 0) {
            return &filters->list[i];
        }
    }
    return NULL;
}

static void drop(struct sb_rpc_filters *filters, struct filter *filter)
{
    free(filter->criteria);
    *filter = filters->list[--filters->count];
}

sb_err sb_rpc_filters_add_take(struct sb_rpc_filters *filters, sb_rpc_filter_id *ret_id,
                               enum sb_rpc_filter_kind kind, struct sb_rpc_log_filter *criteria,
                               uint64_t head, uint64_t now_ms)
{
    sb_rpc_filter_id id;
    if (getrandom(id.b, sizeof id.b, 0) != (ssize_t)sizeof id.b) {
        free(criteria);
        return SB_E_IO;
    }
    uv_mutex_lock(&filters->lock);
    bool full = filters->count == filters->count_max;
    if (!full) {
        filters->list[filters->count++] = (struct filter){.id = id,
                                                          .kind = kind,
                                                          .criteria = criteria,
                                                          .next_block = head + 1,
                                                          .next_pending = filters->pending_count,
                                                          .polled_ms = now_ms};
    }
    uv_mutex_unlock(&filters->lock);
    if (full) {
        free(criteria);
        return SB_E_LIMIT;
    }
    *ret_id = id;
    return SB_OK;
}

bool sb_rpc_filters_remove(struct sb_rpc_filters *filters, const sb_rpc_filter_id *id)
{
    uv_mutex_lock(&filters->lock);
    struct filter *filter = find(filters, id);
    if (filter != NULL) {
        drop(filters, filter);
    }
    uv_mutex_unlock(&filters->lock);
    return filter != NULL;
}

sb_err sb_rpc_filters_poll(struct sb_rpc_filters *filters, struct sb_rpc_filter_poll *ret_poll,
                           const sb_rpc_filter_id *id, uint64_t now_ms)
{
    sb_err err = SB_E_NOT_FOUND;
    uv_mutex_lock(&filters->lock);
    struct filter *filter = find(filters, id);
    if (filter != NULL) {
        struct sb_rpc_log_filter *clone =
            filter->criteria != NULL ? sb_rpc_log_filter_clone(filter->criteria) : NULL;
        err = filter->criteria != NULL && clone == NULL ? SB_E_NOMEM : SB_OK;
        filter->polled_ms = now_ms;
        *ret_poll = (struct sb_rpc_filter_poll){.kind = filter->kind,
                                                .criteria = clone,
                                                .first_block = filter->next_block,
                                                .first_pending = filter->next_pending};
    }
    uv_mutex_unlock(&filters->lock);
    return err;
}

void sb_rpc_filters_advance(struct sb_rpc_filters *filters, const sb_rpc_filter_id *id,
                            uint64_t next_block, uint64_t next_pending)
{
    uv_mutex_lock(&filters->lock);
    struct filter *filter = find(filters, id);
    if (filter != NULL) {
        filter->next_block = next_block > filter->next_block ? next_block : filter->next_block;
        filter->next_pending =
            next_pending > filter->next_pending ? next_pending : filter->next_pending;
    }
    uv_mutex_unlock(&filters->lock);
}

void sb_rpc_filters_expire(struct sb_rpc_filters *filters, uint64_t now_ms)
{
    uv_mutex_lock(&filters->lock);
    for (size_t i = filters->count; i-- > 0;) {
        if (now_ms - filters->list[i].polled_ms > filters->expiry_ms) {
            drop(filters, &filters->list[i]);
        }
    }
    uv_mutex_unlock(&filters->lock);
}

void sb_rpc_pending_add(struct sb_rpc_filters *filters, const sb_hash *tx_hash)
{
    uv_mutex_lock(&filters->lock);
    filters->pending[filters->pending_count++ % SB_RPC_PENDING_RING] = *tx_hash;
    uv_mutex_unlock(&filters->lock);
}

size_t sb_rpc_pending_read(struct sb_rpc_filters *filters, sb_hash *ret_hashes, uint64_t *ret_next,
                           size_t capacity, uint64_t first)
{
    uv_mutex_lock(&filters->lock);
    uint64_t count = filters->pending_count;
    uint64_t oldest = count > SB_RPC_PENDING_RING ? count - SB_RPC_PENDING_RING : 0;
    uint64_t at = first > oldest ? first : oldest;
    size_t copied = 0;
    for (; at < count && copied < capacity; at++) {
        ret_hashes[copied++] = filters->pending[at % SB_RPC_PENDING_RING];
    }
    *ret_next = at;
    uv_mutex_unlock(&filters->lock);
    return copied;
}

uint64_t sb_rpc_pending_next(struct sb_rpc_filters *filters)
{
    uv_mutex_lock(&filters->lock);
    uint64_t next = filters->pending_count;
    uv_mutex_unlock(&filters->lock);
    return next;
}
