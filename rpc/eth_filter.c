/* eth_filter.c: logs, polled filters and subscriptions. */
#include <stdlib.h>

#include "base/codec/hex.h"
#include "rpc/access.h"
#include "rpc/session.h"

#define BLOCK_HASHES_MAX 1024 /* of one poll of a block filter; the rest comes with the next */
#define PENDING_MAX      4096

/* ---- eth_getLogs ---- */

/* Blocks that a filter covers, now. */
static sb_err log_range(struct sb_rpc_ctx *ctx, uint64_t *ret_first, uint64_t *ret_last,
                        const struct sb_rpc_log_filter *filter)
{
    uint64_t head = sb_rpc_head_number(ctx);
    uint64_t first = sb_rpc_resolve_number(ctx, &filter->from);
    uint64_t last = sb_rpc_resolve_number(ctx, &filter->to);
    if (filter->has_from && filter->has_to && first > last) {
        return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_INVALID_PARAMS,
                           "invalid block range params: fromBlock %llu is above toBlock %llu",
                           (unsigned long long)first, (unsigned long long)last);
    }
    SB_TRY(sb_rpc_need_kept(ctx, first));
    *ret_first = first;
    *ret_last = last < head ? last : head;
    return SB_OK;
}

static sb_err write_logs_of_hash(struct sb_rpc_ctx *ctx, const struct sb_rpc_log_filter *filter)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH, .hash = filter->block_hash};
    sb_err err = sb_rpc_block_get(ctx, &block, &ref);
    if (err == SB_E_NOT_FOUND) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "unknown block");
    }
    SB_TRY(err);
    sb_json_array_begin(ctx->out);
    if (block->receipts != NULL) {
        (void)sb_rpc_write_block_logs(ctx->out, filter, block, SIZE_MAX);
    }
    sb_json_array_end(ctx->out);
    sb_rpc_block_put(ctx, block);
    return SB_OK;
}

static sb_err write_all_logs(struct sb_rpc_ctx *ctx, const struct sb_rpc_log_filter *filter)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if (filter->has_block_hash) {
        return write_logs_of_hash(ctx, filter);
    }
    SB_TRY(log_range(ctx, &first, &last, filter));
    return sb_rpc_write_logs(ctx, filter, first, last);
}

sb_err sb_rpc_do_eth_getLogs(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_log_filter filter;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_log_filter(ctx, &filter, sb_rpc_arg(ctx, 0)));
    return write_all_logs(ctx, &filter);
}

/* ---- polled filters ---- */

static void write_id(struct sb_rpc_ctx *ctx, const sb_rpc_filter_id *id)
{
    sb_json_hex(ctx->out, sb_span(id->b, sizeof id->b));
}

/* An id of any text: one that cannot be ours is all zero, which is nobody's. */
static sb_err read_id(struct sb_rpc_ctx *ctx, sb_rpc_filter_id *ret_id)
{
    const char *text = NULL;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_text(ctx, &text, sb_rpc_arg(ctx, 0)));
    if (sb_hex_parse(ret_id->b, sizeof ret_id->b, text, strlen(text)) != SB_OK) {
        memset(ret_id->b, 0, sizeof ret_id->b);
    }
    return SB_OK;
}

static sb_err add_filter_take(struct sb_rpc_ctx *ctx, enum sb_rpc_filter_kind kind,
                              struct sb_rpc_log_filter *criteria)
{
    sb_rpc_filter_id id;
    sb_err err = sb_rpc_filters_add_take(ctx->services->filters, &id, kind, criteria,
                                         sb_rpc_head_number(ctx), ctx->now_ms);
    if (err == SB_E_LIMIT) {
        return sb_rpc_fail(ctx, err, SB_RPC_LIMIT,
                           "too many filters: remove some, or wait until unused ones expire");
    }
    SB_TRY(err);
    write_id(ctx, &id);
    return SB_OK;
}

sb_err sb_rpc_do_eth_newFilter(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_log_filter filter;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_log_filter(ctx, &filter, sb_rpc_arg(ctx, 0)));
    if (filter.has_from && filter.has_to) {
        uint64_t first = 0;
        uint64_t last = 0;
        SB_TRY(log_range(ctx, &first, &last, &filter));
    }
    struct sb_rpc_log_filter *criteria = sb_rpc_log_filter_clone(&filter);
    return criteria != NULL ? add_filter_take(ctx, SB_RPC_FILTER_LOGS, criteria) : SB_E_NOMEM;
}

sb_err sb_rpc_do_eth_newBlockFilter(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    return add_filter_take(ctx, SB_RPC_FILTER_BLOCKS, NULL);
}

sb_err sb_rpc_do_eth_newPendingTransactionFilter(struct sb_rpc_ctx *ctx)
{
    SB_TRY(sb_rpc_args(ctx, 0, 1));
    return add_filter_take(ctx, SB_RPC_FILTER_PENDING, NULL);
}

sb_err sb_rpc_do_eth_uninstallFilter(struct sb_rpc_ctx *ctx)
{
    sb_rpc_filter_id id;
    SB_TRY(read_id(ctx, &id));
    sb_json_bool(ctx->out, sb_rpc_filters_remove(ctx->services->filters, &id));
    return SB_OK;
}

static sb_err write_new_blocks(struct sb_rpc_ctx *ctx, const sb_rpc_filter_id *id, uint64_t first)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    uint64_t head = sb_rpc_head_number(ctx);
    uint64_t end = head + 1 > first + BLOCK_HASHES_MAX ? first + BLOCK_HASHES_MAX : head + 1;
    sb_json_array_begin(ctx->out);
    for (uint64_t number = first; number < end; number++) {
        struct sb_header header;
        sb_hash hash;
        SB_TRY(sb_rpc_check_stop(ctx));
        SB_TRY(backend->block_header(backend->ctx, number, &header, &hash));
        sb_json_hash(ctx->out, &hash);
    }
    sb_json_array_end(ctx->out);
    sb_rpc_filters_advance(ctx->services->filters, id, end, 0);
    return SB_OK;
}

static sb_err write_new_pending(struct sb_rpc_ctx *ctx, const sb_rpc_filter_id *id, uint64_t first)
{
    uint64_t next = 0;
    sb_hash *hashes = sb_arena_array(ctx->arena, PENDING_MAX, sizeof *hashes);
    if (hashes == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = sb_rpc_pending_read(ctx->services->filters, hashes, &next, PENDING_MAX, first);
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < count; i++) {
        sb_json_hash(ctx->out, &hashes[i]);
    }
    sb_json_array_end(ctx->out);
    sb_rpc_filters_advance(ctx->services->filters, id, 0, next);
    return SB_OK;
}

/* Logs of the new blocks that the filter's own range covers. */
static sb_err write_new_logs(struct sb_rpc_ctx *ctx, const sb_rpc_filter_id *id,
                             const struct sb_rpc_log_filter *filter, uint64_t first)
{
    uint64_t head = sb_rpc_head_number(ctx);
    uint64_t last = head;
    uint64_t blocks_max = ctx->services->options.log_blocks_max;
    if (filter->has_to && filter->to.by == SB_RPC_BY_NUMBER && filter->to.number < last) {
        last = filter->to.number;
    }
    if (last >= first && last - first >= blocks_max) {
        last = first + blocks_max - 1;
    }
    uint64_t from =
        filter->has_from && filter->from.by == SB_RPC_BY_NUMBER && filter->from.number > first
            ? filter->from.number
            : first;
    SB_TRY(sb_rpc_write_logs(ctx, filter, from, last));
    sb_rpc_filters_advance(ctx->services->filters, id, last + 1, 0);
    return SB_OK;
}

/* The filter that argument 0 names; the caller frees ret_poll->criteria. */
static sb_err poll_filter(struct sb_rpc_ctx *ctx, sb_rpc_filter_id *ret_id,
                          struct sb_rpc_filter_poll *ret_poll)
{
    SB_TRY(read_id(ctx, ret_id));
    sb_err err = sb_rpc_filters_poll(ctx->services->filters, ret_poll, ret_id, ctx->now_ms);
    return err == SB_E_NOT_FOUND ? sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "filter not found")
                                 : err;
}

sb_err sb_rpc_do_eth_getFilterChanges(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_filter_poll poll;
    sb_rpc_filter_id id;
    sb_err err = SB_OK;
    SB_TRY(poll_filter(ctx, &id, &poll));
    switch (poll.kind) {
    case SB_RPC_FILTER_LOGS:
        err = write_new_logs(ctx, &id, poll.criteria, poll.first_block);
        break;
    case SB_RPC_FILTER_BLOCKS:
        err = write_new_blocks(ctx, &id, poll.first_block);
        break;
    case SB_RPC_FILTER_PENDING:
        err = write_new_pending(ctx, &id, poll.first_pending);
        break;
    }
    free(poll.criteria);
    return err;
}

sb_err sb_rpc_do_eth_getFilterLogs(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_filter_poll poll;
    sb_rpc_filter_id id;
    SB_TRY(poll_filter(ctx, &id, &poll));
    sb_err err = poll.kind == SB_RPC_FILTER_LOGS
                     ? write_all_logs(ctx, poll.criteria)
                     : sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_SERVER_ERROR,
                                   "filter not found: it is not one of logs");
    free(poll.criteria);
    return err;
}

/* ---- subscriptions ---- */

static sb_err read_subscription(struct sb_rpc_ctx *ctx, enum sb_rpc_subscription_kind *ret_kind,
                                struct sb_rpc_log_filter **ret_criteria)
{
    const char *name = NULL;
    struct sb_rpc_value option = sb_rpc_arg(ctx, 1);
    *ret_criteria = NULL;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_text(ctx, &name, sb_rpc_arg(ctx, 0)));
    if (strcmp(name, "newHeads") == 0) {
        *ret_kind = SB_RPC_SUB_HEADS;
        return SB_OK;
    }
    if (strcmp(name, "newPendingTransactions") == 0) {
        bool full = false;
        if (sb_rpc_present(option)) {
            SB_TRY(sb_rpc_read_bool(ctx, &full, option));
        }
        *ret_kind = full ? SB_RPC_SUB_PENDING_FULL : SB_RPC_SUB_PENDING;
        return SB_OK;
    }
    if (strcmp(name, "logs") != 0) {
        return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_METHOD_NOT_FOUND,
                           "no \"%.40s\" subscription in eth namespace", name);
    }
    struct sb_rpc_log_filter filter = {.has_block_hash = false};
    if (sb_rpc_present(option)) {
        SB_TRY(sb_rpc_read_log_filter(ctx, &filter, option));
    }
    *ret_kind = SB_RPC_SUB_LOGS;
    *ret_criteria = sb_rpc_log_filter_clone(&filter);
    return *ret_criteria != NULL ? SB_OK : SB_E_NOMEM;
}

sb_err sb_rpc_do_eth_subscribe(struct sb_rpc_ctx *ctx)
{
    enum sb_rpc_subscription_kind kind;
    struct sb_rpc_log_filter *criteria = NULL;
    sb_rpc_filter_id id;
    if (ctx->session == NULL) {
        return sb_rpc_fail(ctx, SB_E_UNSUPPORTED, SB_RPC_METHOD_NOT_FOUND,
                           "notifications not supported: subscribe over WebSocket");
    }
    SB_TRY(read_subscription(ctx, &kind, &criteria));
    sb_err err = sb_rpc_session_subscribe_take(ctx->session, &id, kind, criteria);
    if (err == SB_E_LIMIT) {
        return sb_rpc_fail(ctx, err, SB_RPC_LIMIT, "too many subscriptions on this connection");
    }
    SB_TRY(err);
    write_id(ctx, &id);
    return SB_OK;
}

sb_err sb_rpc_do_eth_unsubscribe(struct sb_rpc_ctx *ctx)
{
    sb_rpc_filter_id id;
    SB_TRY(read_id(ctx, &id));
    sb_json_bool(ctx->out, ctx->session != NULL && sb_rpc_session_unsubscribe(ctx->session, &id));
    return SB_OK;
}
