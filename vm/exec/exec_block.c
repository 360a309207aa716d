/* exec_block.c: a whole block as a validator runs it: system calls, transactions, system calls, then diff, receipts, bloom and the two roots.
 *
 * Everything that leaves is copied into the caller's arena, so that the executor can go. */
#include "base/crypto/keccak.h"
#include "vm/exec/exec.h"

/* Gas keeps logs far below this: 8 gas a byte and 375 a log. */
#define RECEIPTS_BYTES_MAX ((size_t)1 << 30)

static bool copy_bytes(sb_bytes *bytes, struct sb_arena *arena)
{
    uint8_t *copy = sb_arena_dup(arena, *bytes);
    *bytes = sb_span(copy, bytes->len);
    return copy != NULL;
}

static sb_err copy_logs(struct sb_tx_result *result, struct sb_arena *arena)
{
    struct sb_log *logs = sb_arena_array(arena, result->log_count, sizeof *logs);
    if (logs == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < result->log_count; i++) {
        logs[i] = result->logs[i];
        if (!copy_bytes(&logs[i].data, arena)) {
            return SB_E_NOMEM;
        }
    }
    result->logs = logs;
    return SB_OK;
}

static struct sb_receipt make_receipt(const struct sb_tx *tx, const struct sb_tx_result *result,
                                      uint64_t cumulative_gas)
{
    struct sb_receipt receipt = {.type = tx->type,
                                 .success = result->status == SB_EVM_SUCCESS,
                                 .cumulative_gas = cumulative_gas,
                                 .logs = result->logs,
                                 .log_count = result->log_count};
    for (size_t i = 0; i < receipt.log_count; i++) {
        sb_bloom_add_log(&receipt.bloom, &receipt.logs[i]);
    }
    return receipt;
}

static sb_err keep_inferences(struct sb_executor *x, struct sb_tx_result *result, sb_bytes raw_tx)
{
    if (result->inference_count == 0) {
        return SB_OK;
    }
    sb_hash tx_hash = sb_keccak256(raw_tx);
    SB_TRY(sb_executor_keep_inferences(x, result, &tx_hash));
    result->inferences = NULL; /* the block has them */
    return SB_OK;
}

static sb_err take_inferences(struct sb_block_result *result, struct sb_arena *arena,
                              const struct sb_executor *x)
{
    const struct sb_inference_record *records = sb_executor_inferences(x, &result->inference_count);
    size_t count = result->inference_count;
    uint8_t *copy = sb_arena_dup(arena, sb_span(records, count * sizeof *records));
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    result->inferences = (const void *)copy;
    return sb_inference_root(&result->inference_root, arena, result->inferences, count);
}

static sb_err run_transactions(struct sb_block_result *block_result, struct sb_arena *arena,
                               struct sb_executor *x, const struct sb_block *block,
                               const sb_addr *senders, struct sb_diag *diag)
{
    struct sb_tx_result *results = sb_arena_array(arena, block->tx_count, sizeof *results);
    struct sb_receipt *receipts = sb_arena_array(arena, block->tx_count, sizeof *receipts);
    if (results == NULL || receipts == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < block->tx_count; i++) {
        SB_TRY(sb_executor_tx(&results[i], x, &block->txs[i], &senders[i], NULL));
        if (results[i].reject != SB_TX_ACCEPTED) {
            return sb_fail(diag, SB_E_ARG, "transaction %zu: %s", i,
                           sb_tx_reject_text(results[i].reject));
        }
        SB_TRY(copy_logs(&results[i], arena));
        if (!copy_bytes(&results[i].output, arena)) {
            return SB_E_NOMEM;
        }
        SB_TRY(keep_inferences(x, &results[i], block->raw_txs[i]));
        receipts[i] = make_receipt(&block->txs[i], &results[i], sb_executor_gas_used(x));
        sb_bloom_merge(&block_result->bloom, &receipts[i].bloom);
    }
    block_result->results = results;
    block_result->receipts = receipts;
    block_result->tx_count = block->tx_count;
    block_result->gas_used = sb_executor_gas_used(x);
    return SB_OK;
}

static sb_err receipts_root(sb_hash *ret_root, struct sb_arena *arena,
                            const struct sb_receipt *receipts, size_t count)
{
    struct sb_arena_mark mark = sb_arena_mark(arena);
    sb_bytes *items = sb_arena_array(arena, count, sizeof *items);
    struct sb_buf buf;
    sb_buf_init(&buf, RECEIPTS_BYTES_MAX);
    sb_err err = items != NULL ? SB_OK : SB_E_NOMEM;
    for (size_t i = 0; i < count && err == SB_OK; i++) {
        sb_buf_reset(&buf);
        sb_receipt_encode(&buf, &receipts[i]);
        err = sb_buf_err(&buf);
        items[i] = sb_buf_bytes(&buf);
        if (err == SB_OK && !copy_bytes(&items[i], arena)) {
            err = SB_E_NOMEM;
        }
    }
    sb_buf_fini(&buf);
    if (err == SB_OK) {
        err = sb_ordered_root(ret_root, items, count);
    }
    sb_arena_rewind(arena, mark);
    return err;
}

/* The overlay's diff borrows code and blobs from the overlay; these copies outlive it. */
static sb_err take_diff(struct sb_state_diff *ret_diff, struct sb_arena *arena,
                        struct sb_overlay *state)
{
    struct sb_state_diff diff;
    SB_TRY(sb_overlay_diff(&diff, state, arena));
    struct sb_account_diff *accounts = sb_arena_array(arena, diff.account_count, sizeof *accounts);
    struct sb_blob_diff *blobs = sb_arena_array(arena, diff.blob_count, sizeof *blobs);
    if (accounts == NULL || blobs == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < diff.account_count; i++) {
        accounts[i] = diff.accounts[i];
        if (accounts[i].code_changed && !copy_bytes(&accounts[i].code, arena)) {
            return SB_E_NOMEM;
        }
    }
    for (size_t i = 0; i < diff.blob_count; i++) {
        blobs[i] = diff.blobs[i];
        if (blobs[i].exists && !copy_bytes(&blobs[i].data, arena)) {
            return SB_E_NOMEM;
        }
    }
    diff.accounts = accounts;
    diff.blobs = blobs;
    *ret_diff = diff;
    return SB_OK;
}

sb_err sb_executor_block(struct sb_block_result *ret_result, struct sb_arena *arena,
                         struct sb_executor *x, const struct sb_block *block,
                         const sb_addr *senders, const struct sb_system_input *system,
                         struct sb_diag *diag)
{
    struct sb_block_result result = {.tx_count = 0};
    SB_TRY(sb_executor_begin(x));
    SB_TRY(run_transactions(&result, arena, x, block, senders, diag));
    SB_TRY(take_inferences(&result, arena, x));
    if (system != NULL) {
        SB_TRY(sb_executor_end(&result.system, arena, x, system));
    }
    SB_TRY(take_diff(&result.diff, arena, sb_executor_state(x)));
    SB_TRY(receipts_root(&result.receipts_root, arena, result.receipts, result.tx_count));
    SB_TRY(sb_ordered_root(&result.transactions_root, block->raw_txs, block->tx_count));
    *ret_result = result;
    return SB_OK;
}

sb_err sb_exec_block(struct sb_block_result *ret_result, struct sb_arena *arena,
                     const struct sb_state_view *view, const struct sb_rules *rules,
                     const struct sb_block_env *env, struct sb_inference *inference,
                     const struct sb_block *block, const sb_addr *senders,
                     const struct sb_system_input *system, struct sb_diag *diag)
{
    struct sb_executor *x = sb_executor_new(view, rules, env, inference);
    if (x == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = sb_executor_block(ret_result, arena, x, block, senders, system, diag);
    sb_executor_free(x);
    return err;
}
