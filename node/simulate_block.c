/* simulate_block.c: what a simulated block looks like from outside: logs of transfers, roots, hash, JSON (see query_simulate.h). */
#include "node/query_simulate.h"
#include "rpc/format.h"
#include "vm/evm/opcodes.h"

#define LOGS_MAX        1000000
#define ROOT_ITEMS_MAX  200000
#define BLOCK_BYTES_MAX ((size_t)1 << 28)

/* execution-apis: VM errors of a call other than a revert. */
#define CODE_VM_ERROR (-32015)

/* ---- logs with transfers ---- */

/* keccak256("Transfer(address,address,uint256)") */
static const sb_hash k_transfer_topic = {{0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b,
                                          0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa,
                                          0x95, 0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16,
                                          0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef}};

void sb_transfer_log_init(struct sb_transfer_log *log, struct sb_arena *arena,
                          struct sb_overlay *state)
{
    memset(log, 0, sizeof *log);
    log->arena = arena;
    log->state = state;
}

void sb_transfer_log_begin(struct sb_transfer_log *log)
{
    log->logs = NULL; /* what was taken stays with its call */
    log->capacity = 0;
    log->count = 0;
    log->failed = false;
}

static void add_log(struct sb_transfer_log *t, const struct sb_log *log)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity == 0 ? 16 : t->capacity * 2;
        struct sb_log *grown =
            capacity <= LOGS_MAX ? sb_arena_array(t->arena, capacity, sizeof *grown) : NULL;
        if (grown == NULL) {
            t->failed = true;
            return;
        }
        sb_copy(grown, t->logs, t->count * sizeof *grown);
        t->logs = grown;
        t->capacity = capacity;
    }
    const uint8_t *data = sb_arena_dup(t->arena, log->data);
    if (data == NULL) {
        t->failed = true;
        return;
    }
    t->logs[t->count] = *log;
    t->logs[t->count++].data.data = data;
}

static sb_hash topic_of(const sb_addr *addr)
{
    sb_hash topic = {.b = {0}};
    memcpy(topic.b + sizeof topic.b - sizeof addr->b, addr->b, sizeof addr->b);
    return topic;
}

static void add_transfer(struct sb_transfer_log *t, const sb_addr *from, const sb_addr *to,
                         const sb_u256 *value)
{
    uint8_t word[32];
    if (sb_u256_is_zero(value)) {
        return;
    }
    struct sb_log log = {.topics = {k_transfer_topic, topic_of(from), topic_of(to)},
                         .topic_count = 3,
                         .data = sb_span(word, sizeof word)};
    memset(log.addr.b, 0xee, sizeof log.addr.b);
    sb_u256_store_be(word, value);
    add_log(t, &log);
}

static void on_enter(void *ctx, const struct sb_message *message, int depth)
{
    struct sb_transfer_log *t = ctx;
    t->marks[depth] = t->count;
    if (message->kind == SB_CALL || message->kind == SB_CREATE || message->kind == SB_CREATE2) {
        add_transfer(t, &message->sender, &message->recipient, &message->value);
    }
}

static void on_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                     int depth)
{
    struct sb_transfer_log *t = ctx;
    (void)gas_used;
    (void)output;
    if (status != SB_EVM_SUCCESS) {
        t->count = t->marks[depth];
    }
}

static void on_log(void *ctx, const struct sb_log *log, int depth)
{
    (void)depth;
    add_log(ctx, log);
}

static void on_step(void *ctx, const struct sb_trace_step *step)
{
    struct sb_transfer_log *t = ctx;
    if (step->opcode != SB_OP_SELFDESTRUCT || step->error != SB_EVM_SUCCESS) {
        return;
    }
    uint8_t word[32];
    sb_addr heir;
    sb_u256_store_be(word, &step->stack[step->stack_count - 1]);
    memcpy(heir.b, word + sizeof word - sizeof heir.b, sizeof heir.b);
    sb_u256 balance = sb_overlay_balance(t->state, step->address);
    add_transfer(t, step->address, &heir, &balance);
}

struct sb_tracer sb_transfer_log_tracer(struct sb_transfer_log *log)
{
    return (struct sb_tracer){
        .ctx = log, .step = on_step, .enter = on_enter, .leave = on_leave, .log = on_log};
}

sb_err sb_transfer_log_take(const struct sb_log **ret_logs, size_t *ret_count,
                            struct sb_transfer_log *log)
{
    if (log->failed) {
        return SB_E_NOMEM;
    }
    *ret_logs = log->logs;
    *ret_count = log->count;
    return SB_OK;
}

/* ---- roots and hash ---- */

/* keep: what buf holds, in the arena; buf is empty again. */
static sb_err keep(sb_bytes *ret, struct sb_arena *arena, struct sb_buf *buf)
{
    SB_TRY(sb_buf_err(buf));
    const uint8_t *copy = sb_arena_dup(arena, sb_buf_bytes(buf));
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret = sb_span(copy, buf->len);
    sb_buf_reset(buf);
    return SB_OK;
}

static struct sb_receipt receipt_of(const struct sb_simulated_call *done, uint64_t cumulative_gas)
{
    struct sb_receipt receipt = {.type = done->call.tx.type,
                                 .success = done->result.status == SB_EVM_SUCCESS,
                                 .cumulative_gas = cumulative_gas,
                                 .logs = done->result.logs,
                                 .log_count = done->result.log_count};
    for (size_t i = 0; i < receipt.log_count; i++) {
        sb_bloom_add_log(&receipt.bloom, &receipt.logs[i]);
    }
    return receipt;
}

sb_err sb_simulated_block_roots(struct sb_header *header, struct sb_simulated_block *block,
                                struct sb_arena *arena, struct sb_buf *buf)
{
    size_t count = block->call_count;
    sb_bytes *raw_txs = sb_arena_array(arena, count, sizeof *raw_txs);
    sb_bytes *raw_receipts = sb_arena_array(arena, count, sizeof *raw_receipts);
    if (raw_txs == NULL || raw_receipts == NULL) {
        return SB_E_NOMEM;
    }
    uint64_t cumulative_gas = 0;
    for (size_t i = 0; i < count; i++) {
        cumulative_gas += block->calls[i].result.gas_used;
        struct sb_receipt receipt = receipt_of(&block->calls[i], cumulative_gas);
        sb_bloom_merge(&header->logs_bloom, &receipt.bloom);
        sb_receipt_encode(buf, &receipt);
        SB_TRY(keep(&raw_receipts[i], arena, buf));
        sb_tx_encode(buf, &block->calls[i].call.tx);
        SB_TRY(keep(&raw_txs[i], arena, buf));
    }
    block->raw_txs = raw_txs;
    SB_TRY(sb_ordered_root(&header->transactions_root, raw_txs, count));
    return sb_ordered_root(&header->receipts_root, raw_receipts, count);
}

/* pay_for_root: the store computes roots while commits wait, so what all blocks of a simulation may hash is bounded. */
static sb_err pay_for_root(struct sb_simulator *s, const struct sb_state_diff *diff)
{
    size_t items = diff->account_count;
    for (size_t i = 0; i < diff->account_count; i++) {
        items += diff->accounts[i].slot_count;
    }
    s->root_items += items;
    if (s->root_items > ROOT_ITEMS_MAX) {
        return sb_backend_fail(s->failure, SB_E_LIMIT, SB_RPC_LIMIT,
                               "the blocks change too much state: their roots together may cover "
                               "%d accounts and slots",
                               ROOT_ITEMS_MAX);
    }
    return SB_OK;
}

sb_err sb_simulator_state_root(sb_hash *ret_root, struct sb_simulator *s)
{
    struct sb_store *store = sb_chain_store(s->backend->chain);
    struct sb_state_diff diff;
    struct sb_store_pending *pending;
    sb_hash root;
    *ret_root = (sb_hash){.b = {0}};
    if (s->state.pending != NULL || sb_store_head(store).number != s->base.number) {
        return SB_OK;
    }
    SB_TRY(sb_overlay_diff(&diff, sb_executor_state(s->x), s->arena));
    SB_TRY(pay_for_root(s, &diff));
    SB_TRY(sb_store_root(&root, &pending, store, &diff));
    sb_store_pending_free(pending);
    if (sb_store_head(store).number == s->base.number) { /* no block came in between */
        *ret_root = root;
    }
    return SB_OK;
}

static size_t encoded_bytes(const struct sb_block *block)
{
    struct sb_buf buf;
    sb_buf_init(&buf, BLOCK_BYTES_MAX);
    sb_block_encode(&buf, block);
    size_t len = buf.len;
    sb_buf_fini(&buf);
    return len;
}

sb_err sb_simulated_block_finish(struct sb_simulated_block *block, struct sb_arena *arena,
                                 const struct sb_header *header)
{
    static const uint8_t empty_list[] = {0xc0};
    size_t count = block->call_count;
    struct sb_tx *txs = sb_arena_array(arena, count, sizeof *txs);
    sb_hash *hashes = sb_arena_array(arena, count, sizeof *hashes);
    sb_addr *senders = sb_arena_array(arena, count, sizeof *senders);
    if (txs == NULL || hashes == NULL || senders == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        txs[i] = block->calls[i].call.tx;
        hashes[i] = sb_tx_hash(block->raw_txs[i]);
        senders[i] = block->calls[i].call.from;
    }
    struct sb_rpc_block *pub = &block->pub;
    pub->block = (struct sb_block){.header = *header,
                                   .raw_txs = block->raw_txs,
                                   .txs = txs,
                                   .tx_count = count,
                                   .raw_uncles = sb_span(empty_list, sizeof empty_list),
                                   .has_withdrawals = true,
                                   .raw_withdrawals = sb_span(empty_list, sizeof empty_list)};
    pub->hash = sb_header_hash(header);
    pub->size_bytes = encoded_bytes(&pub->block);
    pub->tx_hashes = hashes;
    pub->senders = senders;
    return SB_OK;
}

/* ---- JSON ---- */

static void write_logs(struct sb_json *out, const struct sb_simulated_block *block, size_t index,
                       uint32_t *log_index)
{
    const struct sb_simulated_call *done = &block->calls[index];
    const struct sb_header *header = &block->pub.block.header;
    sb_json_key(out, "logs");
    sb_json_array_begin(out);
    for (size_t i = 0; i < done->shown_log_count; i++) {
        const struct sb_rpc_log_place place = {.block_hash = &block->pub.hash,
                                               .block_number = header->number,
                                               .timestamp = header->timestamp,
                                               .tx_hash = &block->pub.tx_hashes[index],
                                               .tx_index = (uint32_t)index,
                                               .log_index = (*log_index)++};
        sb_rpc_write_log(out, &done->shown_logs[i], &place);
    }
    sb_json_array_end(out);
}

static void write_error(struct sb_json *out, const struct sb_tx_result *result)
{
    bool reverted = result->status == SB_EVM_REVERT;
    char text[SB_DIAG_TEXT_BYTES];
    sb_query_revert_text(text, sizeof text, result->output);
    sb_json_key(out, "error");
    sb_json_object_begin(out);
    sb_json_key(out, "message");
    sb_json_str(out, reverted ? text : sb_evm_status_text(result->status));
    sb_json_key(out, "code");
    sb_json_i64(out, reverted ? SB_RPC_REVERTED : CODE_VM_ERROR);
    if (reverted) {
        sb_json_key(out, "data");
        sb_json_hex(out, result->output);
    }
    sb_json_object_end(out);
}

static void write_call(struct sb_json *out, const struct sb_simulated_block *block, size_t index,
                       uint32_t *log_index)
{
    const struct sb_tx_result *result = &block->calls[index].result;
    bool ok = result->status == SB_EVM_SUCCESS;
    sb_json_object_begin(out);
    sb_json_key(out, "returnData");
    sb_json_hex(out, ok ? result->output : sb_span(NULL, 0));
    write_logs(out, block, index, log_index);
    sb_json_key(out, "gasUsed");
    sb_json_quantity_u64(out, result->gas_used);
    sb_json_key(out, "maxUsedGas");
    sb_json_quantity_u64(out, result->gas_spent_max);
    sb_json_key(out, "status");
    sb_json_quantity_u64(out, ok ? 1 : 0);
    if (!ok) {
        write_error(out, result);
    }
    sb_json_object_end(out);
}

void sb_simulated_block_write(struct sb_json *out, const struct sb_simulated_block *block,
                              bool full_txs)
{
    uint32_t log_index = 0;
    sb_json_object_begin(out);
    sb_rpc_write_block_members(out, &block->pub, full_txs);
    sb_json_key(out, "calls");
    sb_json_array_begin(out);
    for (size_t i = 0; i < block->call_count; i++) {
        write_call(out, block, i, &log_index);
    }
    sb_json_array_end(out);
    sb_json_object_end(out);
}
