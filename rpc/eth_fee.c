/* eth_fee.c: prices: what the next block costs and what past blocks cost.
 *
 * Rewards are the tips that transactions paid, at percentiles of the block's gas: sorted by tip, the tip of the transaction in which the
 * running sum of gas passes gasUsed * p / 100. All in integers; ratios are printed as decimal fractions by long division. */
#include <stdio.h>
#include <stdlib.h>

#include "base/util/checked.h"
#include "rpc/access.h"

#define HISTORY_MAX     1024
#define PERCENTILES_MAX 100
#define MILLIONTHS      1000000
#define FRACTION_DIGITS 18

sb_err sb_rpc_do_eth_gasPrice(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_u256 base = backend->next_base_fee(backend->ctx);
    sb_u256 tip = backend->suggested_tip(backend->ctx);
    sb_u256 price = sb_u256_add(&base, &tip);
    sb_json_quantity_u256(ctx->out, &price);
    return SB_OK;
}

sb_err sb_rpc_do_eth_maxPriorityFeePerGas(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_u256 tip = backend->suggested_tip(backend->ctx);
    sb_json_quantity_u256(ctx->out, &tip);
    return SB_OK;
}

sb_err sb_rpc_do_eth_baseFee(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_u256 fee = backend->next_base_fee(backend->ctx);
    sb_json_quantity_u256(ctx->out, &fee);
    return SB_OK;
}

sb_err sb_rpc_do_eth_blobBaseFee(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    SB_TRY(sb_rpc_args(ctx, 0, 0));
    sb_u256 fee = backend->blob_base_fee(backend->ctx, sb_rpc_head_number(ctx) + 1);
    sb_json_quantity_u256(ctx->out, &fee);
    return SB_OK;
}

/* ---- eth_feeHistory ---- */

/* What one block adds to the answer. */
struct fee_row {
    sb_u256 base_fee;
    uint64_t gas_used, gas_limit, blob_gas_used;
    sb_u256 *rewards; /* [percentile_count] */
};

struct fee_history {
    uint64_t oldest;
    size_t count;
    uint32_t percentiles[PERCENTILES_MAX]; /* in millionths of a percent */
    size_t percentile_count;
    struct fee_row *rows;
};

struct paid_tip {
    sb_u256 tip;
    uint64_t gas;
};

static int by_tip(const void *a, const void *b)
{
    const struct paid_tip *x = a;
    const struct paid_tip *y = b;
    return sb_u256_cmp(&x->tip, &y->tip);
}

/* The parser keeps fractions as double: this is the one place where such a number enters, and it leaves as an integer. */
static bool read_percentile(uint32_t *ret, const json_t *json)
{
    if (!json_is_number(json) || json_number_value(json) < 0 || json_number_value(json) > 100) {
        return false;
    }
    *ret = (uint32_t)(json_number_value(json) * MILLIONTHS);
    return true;
}

static sb_err read_percentiles(struct sb_rpc_ctx *ctx, struct fee_history *history,
                               struct sb_rpc_value list)
{
    if (!sb_rpc_present(list)) {
        return SB_OK;
    }
    if (!json_is_array(list.json)) {
        return sb_rpc_bad_param(ctx, list, "want an array of percentiles");
    }
    history->percentile_count = json_array_size(list.json);
    if (history->percentile_count > PERCENTILES_MAX) {
        return sb_rpc_bad_param(ctx, list, "invalid reward percentile: over the query limit %d",
                                PERCENTILES_MAX);
    }
    for (size_t i = 0; i < history->percentile_count; i++) {
        if (!read_percentile(&history->percentiles[i], json_array_get(list.json, i))) {
            return sb_rpc_bad_param(
                ctx, list, "invalid reward percentile: #%zu is not a number from 0 to 100", i);
        }
        if (i > 0 && history->percentiles[i] <= history->percentiles[i - 1]) {
            return sb_rpc_bad_param(ctx, list, "invalid reward percentile: #%zu is not above #%zu",
                                    i, i - 1);
        }
    }
    return SB_OK;
}

/* Tips of the block's transactions, ascending. */
static sb_err sort_tips(struct sb_rpc_ctx *ctx, struct paid_tip **ret_tips,
                        const struct sb_rpc_block *block)
{
    struct paid_tip *tips = sb_arena_array(ctx->arena, block->block.tx_count, sizeof *tips);
    if (tips == NULL) {
        return SB_E_NOMEM;
    }
    uint64_t before = 0;
    for (size_t i = 0; i < block->block.tx_count; i++) {
        sb_u256 price =
            sb_tx_effective_gas_price(&block->block.txs[i], &block->block.header.base_fee);
        tips[i].tip = sb_u256_sub(&price, &block->block.header.base_fee);
        tips[i].gas = block->receipts[i].cumulative_gas - before;
        before = block->receipts[i].cumulative_gas;
    }
    qsort(tips, block->block.tx_count, sizeof *tips, by_tip);
    *ret_tips = tips;
    return SB_OK;
}

static sb_err fill_rewards(struct sb_rpc_ctx *ctx, struct fee_row *row,
                           const struct fee_history *history, const sb_hash *hash)
{
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH, .hash = *hash};
    struct paid_tip *tips = NULL;
    row->rewards = sb_arena_zalloc(ctx->arena, history->percentile_count * sizeof *row->rewards);
    if (row->rewards == NULL) {
        return SB_E_NOMEM;
    }
    if (row->gas_used == 0) {
        return SB_OK;
    }
    SB_TRY(sb_rpc_block_get(ctx, &block, &ref));
    sb_err err = block->receipts != NULL && block->block.tx_count != 0
                     ? sort_tips(ctx, &tips, block)
                     : SB_OK;
    size_t at = 0;
    uint64_t sum = tips != NULL ? tips[0].gas : 0;
    for (size_t i = 0; i < history->percentile_count && tips != NULL; i++) {
        uint64_t threshold =
            (uint64_t)((sb_u128)row->gas_used * history->percentiles[i] / 100 / MILLIONTHS);
        while (sum < threshold && at + 1 < block->block.tx_count) {
            sum += tips[++at].gas;
        }
        row->rewards[i] = tips[at].tip;
    }
    sb_rpc_block_put(ctx, block);
    return err;
}

static sb_err fill_rows(struct sb_rpc_ctx *ctx, struct fee_history *history)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    history->rows = sb_arena_zalloc(ctx->arena, (history->count + 1) * sizeof *history->rows);
    if (history->rows == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i <= history->count; i++) {
        struct fee_row *row = &history->rows[i];
        struct sb_header header;
        sb_hash hash;
        SB_TRY(sb_rpc_check_stop(ctx));
        sb_err err = backend->block_header(backend->ctx, history->oldest + i, &header, &hash);
        if (i == history->count && err == SB_E_NOT_FOUND) {
            row->base_fee = backend->next_base_fee(backend->ctx);
            return SB_OK;
        }
        SB_TRY(err);
        row->base_fee =
            header.field_count >= SB_HEADER_FIELDS_LONDON ? header.base_fee : sb_u256_zero();
        row->gas_used = header.gas_used;
        row->gas_limit = header.gas_limit;
        row->blob_gas_used =
            header.field_count >= SB_HEADER_FIELDS_CANCUN ? header.blob_gas_used : 0;
        if (i < history->count && history->percentile_count != 0) {
            SB_TRY(fill_rewards(ctx, row, history, &hash));
        }
    }
    return SB_OK;
}

/* used / limit as a decimal number. */
static void put_ratio(struct sb_json *out, uint64_t used, uint64_t limit)
{
    char text[32];
    uint64_t whole = limit == 0 ? 0 : used / limit;
    sb_u128 rest = limit == 0 ? 0 : used % limit;
    int len = snprintf(text, sizeof text - FRACTION_DIGITS - 2, "%u", (unsigned)(whole & 0xffff));
    if (rest != 0) {
        text[len++] = '.';
    }
    for (int i = 0; i < FRACTION_DIGITS && rest != 0; i++) {
        rest *= 10;
        text[len++] = (char)('0' + (int)(rest / limit));
        rest %= limit;
    }
    sb_json_raw(out, sb_span(text, (size_t)len));
}

static void write_rewards(struct sb_json *out, const struct fee_history *history)
{
    sb_json_key(out, "reward");
    sb_json_array_begin(out);
    for (size_t i = 0; i < history->count; i++) {
        sb_json_array_begin(out);
        for (size_t p = 0; p < history->percentile_count; p++) {
            sb_json_quantity_u256(out, &history->rows[i].rewards[p]);
        }
        sb_json_array_end(out);
    }
    sb_json_array_end(out);
}

static void write_history(struct sb_rpc_ctx *ctx, const struct fee_history *history)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_json *out = ctx->out;
    sb_json_object_begin(out);
    sb_json_key(out, "oldestBlock");
    sb_json_quantity_u64(out, history->oldest);
    if (history->percentile_count != 0) {
        write_rewards(out, history);
    }
    sb_json_key(out, "baseFeePerGas");
    sb_json_array_begin(out);
    for (size_t i = 0; i <= history->count; i++) {
        sb_json_quantity_u256(out, &history->rows[i].base_fee);
    }
    sb_json_array_end(out);
    sb_json_key(out, "gasUsedRatio");
    sb_json_array_begin(out);
    for (size_t i = 0; i < history->count; i++) {
        put_ratio(out, history->rows[i].gas_used, history->rows[i].gas_limit);
    }
    sb_json_array_end(out);
    sb_json_key(out, "baseFeePerBlobGas");
    sb_json_array_begin(out);
    for (size_t i = 0; i <= history->count; i++) {
        sb_u256 fee = backend->blob_base_fee(backend->ctx, history->oldest + i);
        sb_json_quantity_u256(out, &fee);
    }
    sb_json_array_end(out);
    sb_json_key(out, "blobGasUsedRatio");
    sb_json_array_begin(out);
    for (size_t i = 0; i < history->count; i++) {
        put_ratio(out, history->rows[i].blob_gas_used,
                  backend->blob_gas_limit(backend->ctx, history->oldest + i));
    }
    sb_json_array_end(out);
    sb_json_object_end(out);
}

sb_err sb_rpc_do_eth_feeHistory(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct fee_history history = {.oldest = 0};
    struct sb_rpc_block_ref ref;
    uint64_t count = 0;
    SB_TRY(sb_rpc_args(ctx, 2, 3));
    SB_TRY(sb_rpc_read_count(ctx, &count, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 1)));
    SB_TRY(read_percentiles(ctx, &history, sb_rpc_arg(ctx, 2)));
    uint64_t head = sb_rpc_head_number(ctx);
    uint64_t last = sb_rpc_resolve_number(ctx, &ref);
    if (last > head) {
        return sb_rpc_fail(ctx, SB_E_RANGE, SB_RPC_SERVER_ERROR,
                           "request beyond head block: requested %llu, head %llu",
                           (unsigned long long)last, (unsigned long long)head);
    }
    count = count > HISTORY_MAX ? HISTORY_MAX : count;
    count = count > last + 1 ? last + 1 : count;
    if (count == 0) {
        sb_json_object_begin(ctx->out);
        sb_json_key(ctx->out, "oldestBlock");
        sb_json_quantity_u64(ctx->out, 0);
        sb_json_key(ctx->out, "gasUsedRatio");
        sb_json_array_begin(ctx->out);
        sb_json_array_end(ctx->out);
        sb_json_object_end(ctx->out);
        return SB_OK;
    }
    SB_TRY(sb_rpc_need_kept(ctx, last));
    uint64_t oldest = backend->oldest_block != NULL ? backend->oldest_block(backend->ctx) : 0;
    count = last >= oldest && count > last + 1 - oldest ? last + 1 - oldest : count;
    history.count = (size_t)count;
    history.oldest = last + 1 - count;
    SB_TRY(fill_rows(ctx, &history));
    write_history(ctx, &history);
    return SB_OK;
}
