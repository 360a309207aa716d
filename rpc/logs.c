/* logs.c: see logs.h. */
#include "rpc/logs.h"

#include <stdlib.h>

#include "rpc/format.h"
#include "rpc/method.h"

bool sb_rpc_log_matches(const struct sb_rpc_log_filter *filter, const struct sb_log *log)
{
    bool fits = filter->addr_count == 0;
    for (size_t i = 0; i < filter->addr_count && !fits; i++) {
        fits = sb_addr_equal(&filter->addrs[i], &log->addr);
    }
    if (!fits || filter->topic_count > log->topic_count) {
        return false;
    }
    for (size_t t = 0; t < filter->topic_count; t++) {
        const struct sb_rpc_topic_options *wanted = &filter->topics[t];
        fits = wanted->count == 0;
        for (size_t i = 0; i < wanted->count && !fits; i++) {
            fits = sb_hash_equal(&wanted->options[i], &log->topics[t]);
        }
        if (!fits) {
            return false;
        }
    }
    return true;
}

bool sb_rpc_bloom_matches(const struct sb_rpc_log_filter *filter, const sb_bloom *bloom)
{
    bool fits = filter->addr_count == 0;
    for (size_t i = 0; i < filter->addr_count && !fits; i++) {
        fits = sb_bloom_may_contain(bloom, sb_span(filter->addrs[i].b, sizeof filter->addrs[i].b));
    }
    for (size_t t = 0; t < filter->topic_count && fits; t++) {
        const struct sb_rpc_topic_options *wanted = &filter->topics[t];
        fits = wanted->count == 0;
        for (size_t i = 0; i < wanted->count && !fits; i++) {
            fits = sb_bloom_may_contain(bloom,
                                        sb_span(wanted->options[i].b, sizeof wanted->options[i].b));
        }
    }
    return fits;
}

size_t sb_rpc_write_block_logs(struct sb_json *out, const struct sb_rpc_log_filter *filter,
                               const struct sb_rpc_block *block, size_t count_max)
{
    size_t written = 0;
    uint32_t log_index = 0;
    for (size_t i = 0; i < block->block.tx_count; i++) {
        const struct sb_receipt *receipt = &block->receipts[i];
        for (size_t k = 0; k < receipt->log_count; k++, log_index++) {
            if (written == count_max || !sb_rpc_log_matches(filter, &receipt->logs[k])) {
                continue;
            }
            struct sb_rpc_log_place place = {.block_hash = &block->hash,
                                             .block_number = block->block.header.number,
                                             .timestamp = block->block.header.timestamp,
                                             .tx_hash = &block->tx_hashes[i],
                                             .tx_index = (uint32_t)i,
                                             .log_index = log_index};
            sb_rpc_write_log(out, &receipt->logs[k], &place);
            written++;
        }
    }
    return written;
}

/* Appends the logs of block `number` unless its bloom excludes them. *count is what the answer holds so far. */
static sb_err write_one(struct sb_rpc_ctx *ctx, size_t *count,
                        const struct sb_rpc_log_filter *filter, uint64_t number)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    size_t count_max = ctx->services->options.log_count_max;
    struct sb_header header;
    sb_hash hash;
    sb_err err = backend->block_header(backend->ctx, number, &header, &hash);
    if (err != SB_OK || !sb_rpc_bloom_matches(filter, &header.logs_bloom)) {
        return err == SB_E_NOT_FOUND ? SB_OK : err;
    }
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH, .hash = hash};
    err = backend->block(backend->ctx, &ref, &block);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_OK : err;
    }
    /* One more than allowed tells a full answer from one that is cut. */
    *count += block->receipts != NULL
                  ? sb_rpc_write_block_logs(ctx->out, filter, block, count_max - *count + 1)
                  : 0;
    backend->block_release(backend->ctx, block);
    if (*count > count_max) {
        return sb_rpc_fail(
            ctx, SB_E_LIMIT, SB_RPC_LIMIT,
            "query returned more than %zu results, narrow the block range or the filter",
            count_max);
    }
    return SB_OK;
}

sb_err sb_rpc_write_logs(struct sb_rpc_ctx *ctx, const struct sb_rpc_log_filter *filter,
                         uint64_t first, uint64_t last)
{
    uint64_t blocks_max = ctx->services->options.log_blocks_max;
    size_t count = 0;
    if (last >= first && last - first >= blocks_max) {
        return sb_rpc_fail(ctx, SB_E_LIMIT, SB_RPC_LIMIT, "block range is larger than %llu blocks",
                           (unsigned long long)blocks_max);
    }
    sb_json_array_begin(ctx->out);
    for (uint64_t number = first; number <= last; number++) {
        SB_TRY(sb_rpc_check_stop(ctx));
        SB_TRY(write_one(ctx, &count, filter, number));
    }
    sb_json_array_end(ctx->out);
    return SB_OK;
}

size_t sb_rpc_log_filter_bytes(const struct sb_rpc_log_filter *filter)
{
    size_t hash_count = 0;
    for (size_t t = 0; t < filter->topic_count; t++) {
        hash_count += filter->topics[t].count;
    }
    return hash_count * sizeof(sb_hash) + filter->addr_count * sizeof(sb_addr);
}

struct sb_rpc_log_filter *sb_rpc_log_filter_clone(const struct sb_rpc_log_filter *filter)
{
    struct sb_rpc_log_filter *clone = malloc(sizeof *clone + sb_rpc_log_filter_bytes(filter));
    if (clone == NULL) {
        return NULL;
    }
    *clone = *filter;
    sb_hash *hashes = (sb_hash *)(clone + 1); /* both kinds are byte arrays: no alignment to keep */
    for (size_t t = 0; t < filter->topic_count; t++) {
        sb_copy(hashes, filter->topics[t].options, filter->topics[t].count * sizeof(sb_hash));
        clone->topics[t].options = hashes;
        hashes += filter->topics[t].count;
    }
    sb_addr *addrs = (sb_addr *)hashes;
    sb_copy(addrs, filter->addrs, filter->addr_count * sizeof(sb_addr));
    clone->addrs = addrs;
    return clone;
}
