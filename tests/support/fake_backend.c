/* fake_backend.c: see fake_backend.h. */
#include "tests/support/fake_backend.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/abi.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "rpc/format.h"
#include "tests/support/memory_state.h"

#define POOL_MAX   64
#define BASE_FEE   1000000000
#define GAS_LIMIT  30000000
#define BLOCK_TIME 1700000000

struct fake_backend {
    struct sb_arena arena;
    struct sb_buf bufs[FAKE_HEAD + 1]; /* encoded blocks */
    struct sb_rpc_block blocks[FAKE_HEAD + 1];
    struct sb_memory_state *memory;
    struct sb_state_view view;
    sb_addr sender, contract;
    uint8_t secret[32];
    pthread_mutex_t lock; /* below */
    struct sb_rpc_pool_tx pool[POOL_MAX];
    size_t pool_count;
    atomic_int running;
    _Atomic enum sb_rpc_condition condition;
    atomic_uint_least64_t oldest;
};

#define MUST(expr) SB_ASSERT((expr) == SB_OK)

/* ---- the chain ---- */

static struct sb_tx plain_tx(uint64_t nonce, enum sb_tx_type type)
{
    return (struct sb_tx){.type = type,
                          .has_chain_id = true,
                          .chain_id = FAKE_CHAIN_ID,
                          .nonce = nonce,
                          .gas_limit = 100000,
                          .max_fee = sb_u256_from_u64(3000000000),
                          .max_priority_fee =
                              sb_u256_from_u64(type >= SB_TX_FEE_MARKET ? 1000000 : 3000000000)};
}

/* Signs and encodes; the bytes live in the arena. */
static sb_bytes finish_tx(struct fake_backend *fake, struct sb_tx *tx)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_TX_BYTES_MAX);
    MUST(sb_tx_sign(tx, fake->secret));
    sb_tx_encode(&buf, tx);
    MUST(sb_buf_err(&buf));
    uint8_t *copy = sb_arena_dup(&fake->arena, sb_buf_bytes(&buf));
    SB_ASSERT(copy != NULL);
    sb_bytes raw = sb_span(copy, buf.len);
    sb_buf_fini(&buf);
    return raw;
}

static sb_hash topic(uint8_t byte)
{
    sb_hash hash;
    memset(hash.b, byte, sizeof hash.b);
    return hash;
}

static struct sb_log log_of(struct fake_backend *fake, uint8_t first, uint8_t second)
{
    static const uint8_t data[32] = {[31] = 42};
    return (struct sb_log){.addr = fake->contract,
                           .topics = {topic(first), topic(second)},
                           .topic_count = 2,
                           .data = sb_span(data, sizeof data)};
}

/* Puts logs into the receipt and sets its bloom. */
static void set_logs(struct fake_backend *fake, struct sb_receipt *receipt,
                     const struct sb_log *logs, size_t count)
{
    struct sb_log *copy = sb_arena_array(&fake->arena, count, sizeof *copy);
    SB_ASSERT(copy != NULL);
    sb_copy(copy, logs, count * sizeof *copy);
    receipt->logs = copy;
    receipt->log_count = count;
    for (size_t i = 0; i < count; i++) {
        sb_bloom_add_log(&receipt->bloom, &copy[i]);
    }
}

static sb_hash receipts_root(const struct sb_receipt *receipts, size_t count)
{
    struct sb_buf bufs[4];
    sb_bytes raw[4];
    sb_hash root;
    SB_ASSERT(count <= 4);
    for (size_t i = 0; i < count; i++) {
        sb_buf_init(&bufs[i], 1 << 20);
        sb_receipt_encode(&bufs[i], &receipts[i]);
        raw[i] = sb_buf_bytes(&bufs[i]);
    }
    MUST(sb_ordered_root(&root, raw, count));
    for (size_t i = 0; i < count; i++) {
        sb_buf_fini(&bufs[i]);
    }
    return root;
}

/* Makes block `number` of signed transactions and their receipts. */
static void make_block(struct fake_backend *fake, uint64_t number, const sb_bytes *raw,
                       size_t count, struct sb_receipt *receipts)
{
    static const uint8_t empty_list = 0xc0;
    struct sb_rpc_block *block = &fake->blocks[number];
    struct sb_header h = {.field_count = SB_HEADER_FIELDS_PRAGUE,
                          .uncles_hash = sb_hash_empty_list,
                          .state_root = sb_hash_empty_trie,
                          .number = number,
                          .gas_limit = GAS_LIMIT,
                          .timestamp = BLOCK_TIME + number,
                          .base_fee = sb_u256_from_u64(BASE_FEE),
                          .withdrawals_root = sb_hash_empty_trie,
                          .requests_hash = sb_hash_sha256_empty};
    if (number > 0) {
        h.parent_hash = fake->blocks[number - 1].hash;
    }
    h.gas_used = count == 0 ? 0 : receipts[count - 1].cumulative_gas;
    for (size_t i = 0; i < count; i++) {
        sb_bloom_merge(&h.logs_bloom, &receipts[i].bloom);
    }
    MUST(sb_ordered_root(&h.transactions_root, raw, count));
    h.receipts_root = receipts_root(receipts, count);
    struct sb_block form = {.header = h,
                            .raw_txs = raw,
                            .tx_count = count,
                            .raw_uncles = sb_span(&empty_list, 1),
                            .has_withdrawals = true,
                            .raw_withdrawals = sb_span(&empty_list, 1)};
    sb_buf_init(&fake->bufs[number], 1 << 20);
    sb_block_encode(&fake->bufs[number], &form);
    MUST(sb_block_decode(&block->block, &fake->arena, sb_buf_bytes(&fake->bufs[number]), NULL));
    block->hash = sb_header_hash(&block->block.header);
    block->size_bytes = fake->bufs[number].len;
    sb_hash *hashes = sb_arena_array(&fake->arena, count, sizeof *hashes);
    sb_addr *senders = sb_arena_array(&fake->arena, count, sizeof *senders);
    struct sb_receipt *kept = sb_arena_array(&fake->arena, count, sizeof *kept);
    SB_ASSERT(hashes != NULL && senders != NULL && kept != NULL);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = sb_tx_hash(raw[i]);
        senders[i] = fake->sender;
        kept[i] = receipts[i];
    }
    block->tx_hashes = hashes;
    block->senders = senders;
    block->receipts = kept;
}

static void make_chain(struct fake_backend *fake)
{
    static const uint8_t code[] = {0x60, 0x00, 0x60, 0x00, 0xf3};
    struct sb_tx transfer = plain_tx(0, SB_TX_LEGACY);
    struct sb_tx create = plain_tx(1, SB_TX_LEGACY);
    struct sb_tx call = plain_tx(2, SB_TX_FEE_MARKET);
    sb_hash key = topic(0);
    struct sb_access_entry access = {.keys = &key, .key_count = 1};
    struct sb_receipt first[2] = {{.type = SB_TX_LEGACY, .success = true, .cumulative_gas = 21000},
                                  {.type = SB_TX_LEGACY, .success = true, .cumulative_gas = 81000}};
    struct sb_receipt second[1] = {
        {.type = SB_TX_FEE_MARKET, .success = true, .cumulative_gas = 30000}};
    transfer.to.b[19] = 0x11;
    transfer.value = sb_u256_from_u64(12345);
    create.is_create = true;
    create.data = sb_span(code, sizeof code);
    sb_bytes raw[2] = {finish_tx(fake, &transfer), finish_tx(fake, &create)};
    MUST(sb_tx_sender(&fake->sender, &transfer));
    fake->contract = sb_rpc_create_address(&fake->sender, 1);
    set_logs(fake, &first[1], (struct sb_log[]){log_of(fake, 0xaa, 0x01), log_of(fake, 0xbb, 0x02)},
             2);
    set_logs(fake, &second[0], (struct sb_log[]){log_of(fake, 0xaa, 0x03)}, 1);
    call.to = fake->contract;
    access.addr = fake->contract;
    call.access_list = &access;
    call.access_count = 1;
    sb_bytes raw_call = finish_tx(fake, &call);
    make_block(fake, 0, NULL, 0, NULL);
    make_block(fake, 1, raw, 2, first);
    make_block(fake, 2, &raw_call, 1, second);
}

static void make_state(struct fake_backend *fake)
{
    static const uint8_t code[] = {0x60, 0x2a, 0x60, 0x00, 0x52};
    sb_u256 rich = sb_u256_from_u64(1000000000000000000);
    sb_u256 one = sb_u256_from_u64(1);
    sb_u256 word = sb_u256_from_u64(0x2a);
    sb_hash key = {.b = {0}};
    fake->memory = sb_memory_state_new();
    sb_memory_state_set_account(fake->memory, &fake->sender, 3, &rich, sb_span(NULL, 0));
    sb_memory_state_set_account(fake->memory, &fake->contract, 1, &one, sb_span(code, sizeof code));
    sb_memory_state_set_slot(fake->memory, &fake->contract, &key, &word);
    fake->view = sb_memory_state_view(fake->memory);
}

static void add_to_pool(struct fake_backend *fake, sb_bytes raw, bool queued)
{
    struct sb_rpc_pool_tx *entry = &fake->pool[fake->pool_count++];
    entry->raw = raw;
    MUST(sb_tx_decode(&entry->tx, &fake->arena, raw, NULL));
    entry->hash = sb_tx_hash(raw);
    entry->sender = fake->sender;
    entry->queued = queued;
}

struct fake_backend *fake_backend_new(void)
{
    struct fake_backend *fake = calloc(1, sizeof *fake);
    SB_ASSERT(fake != NULL && pthread_mutex_init(&fake->lock, NULL) == 0);
    sb_arena_init(&fake->arena, (size_t)64 << 20);
    memset(fake->secret, 0x46, sizeof fake->secret);
    make_chain(fake);
    make_state(fake);
    struct sb_tx pending = plain_tx(3, SB_TX_FEE_MARKET);
    struct sb_tx queued = plain_tx(9, SB_TX_LEGACY);
    add_to_pool(fake, finish_tx(fake, &pending), false);
    add_to_pool(fake, finish_tx(fake, &queued), true);
    return fake;
}

void fake_backend_free(struct fake_backend *fake)
{
    for (size_t i = 0; i <= FAKE_HEAD; i++) {
        sb_buf_fini(&fake->bufs[i]);
    }
    sb_memory_state_free(fake->memory);
    sb_arena_fini(&fake->arena);
    (void)pthread_mutex_destroy(&fake->lock);
    free(fake);
}

const struct sb_rpc_block *fake_backend_block(const struct fake_backend *fake, uint64_t number)
{
    return &fake->blocks[number];
}

int fake_backend_calls_running(const struct fake_backend *fake)
{
    return atomic_load(&fake->running);
}

sb_addr fake_backend_sender(const struct fake_backend *fake)
{
    return fake->sender;
}

sb_addr fake_backend_contract(const struct fake_backend *fake)
{
    return fake->contract;
}

/* ---- facts ---- */

static uint64_t get_chain_id(void *ctx)
{
    (void)ctx;
    return FAKE_CHAIN_ID;
}

static uint64_t get_head_number(void *ctx)
{
    (void)ctx;
    return FAKE_HEAD;
}

static sb_u256 get_next_base_fee(void *ctx)
{
    (void)ctx;
    return sb_u256_from_u64(875000000);
}

static sb_u256 get_tip(void *ctx)
{
    (void)ctx;
    return sb_u256_from_u64(1000000);
}

static uint64_t get_zero(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint64_t get_oldest_block(void *ctx)
{
    return atomic_load(&((struct fake_backend *)ctx)->oldest);
}

static sb_u256 get_blob_base_fee(void *ctx, uint64_t number)
{
    (void)ctx;
    (void)number;
    return sb_u256_from_u64(1);
}

static uint64_t get_blob_gas_limit(void *ctx, uint64_t number)
{
    (void)ctx;
    (void)number;
    return 0;
}

/* ---- chain and state ---- */

static sb_err find_block(void *ctx, const struct sb_rpc_block_ref *ref,
                         const struct sb_rpc_block **ret_block)
{
    struct fake_backend *fake = ctx;
    uint64_t number = ref->number;
    if (ref->by == SB_RPC_BY_TAG) {
        number = ref->tag == SB_RPC_EARLIEST ? atomic_load(&fake->oldest) : FAKE_HEAD;
    }
    for (uint64_t i = atomic_load(&fake->oldest); i <= FAKE_HEAD; i++) {
        const struct sb_rpc_block *block = &fake->blocks[i];
        if (ref->by == SB_RPC_BY_HASH ? sb_hash_equal(&block->hash, &ref->hash) : i == number) {
            *ret_block = block;
            return SB_OK;
        }
    }
    return SB_E_NOT_FOUND;
}

static void release_block(void *ctx, const struct sb_rpc_block *block)
{
    (void)ctx;
    (void)block;
}

static sb_err get_header(void *ctx, uint64_t number, struct sb_header *ret_header,
                         sb_hash *ret_hash)
{
    struct fake_backend *fake = ctx;
    if (number > FAKE_HEAD || number < atomic_load(&fake->oldest)) {
        return SB_E_NOT_FOUND;
    }
    *ret_header = fake->blocks[number].block.header;
    *ret_hash = fake->blocks[number].hash;
    return SB_OK;
}

static sb_err get_tx_place(void *ctx, const sb_hash *tx_hash, uint64_t *ret_number,
                           uint32_t *ret_index)
{
    struct fake_backend *fake = ctx;
    for (uint64_t n = 0; n <= FAKE_HEAD; n++) {
        for (uint32_t i = 0; i < fake->blocks[n].block.tx_count; i++) {
            if (sb_hash_equal(&fake->blocks[n].tx_hashes[i], tx_hash)) {
                *ret_number = n;
                *ret_index = i;
                return SB_OK;
            }
        }
    }
    return SB_E_NOT_FOUND;
}

static sb_err open_state(void *ctx, const struct sb_rpc_block_ref *ref,
                         const struct sb_state_view **ret_view, void **ret_handle,
                         struct sb_rpc_failure *failure)
{
    struct fake_backend *fake = ctx;
    const struct sb_rpc_block *block = NULL;
    (void)failure;
    if (find_block(ctx, ref, &block) != SB_OK) {
        return SB_E_NOT_FOUND;
    }
    *ret_view = &fake->view;
    *ret_handle = NULL;
    return SB_OK;
}

static void release_state(void *ctx, void *handle)
{
    (void)ctx;
    (void)handle;
}

static sb_err get_proof(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                        const sb_addr *addr, const sb_hash *keys, size_t key_count,
                        struct sb_rpc_proof *ret_proof, struct sb_rpc_failure *failure)
{
    static const uint8_t node[] = {0xc2, 0x80, 0x80};
    struct fake_backend *fake = ctx;
    bool exists = false;
    (void)ref;
    (void)failure;
    sb_bytes *nodes = sb_arena_alloc(arena, sizeof *nodes);
    struct sb_rpc_proof_slot *slots = sb_arena_zalloc(arena, key_count * sizeof *slots);
    if (nodes == NULL || slots == NULL) {
        return SB_E_NOMEM;
    }
    nodes[0] = sb_span(node, sizeof node);
    *ret_proof = (struct sb_rpc_proof){.storage_root = sb_hash_empty_trie,
                                       .nodes = nodes,
                                       .node_count = 1,
                                       .slots = slots,
                                       .slot_count = key_count};
    for (size_t i = 0; i < key_count; i++) {
        slots[i].key = keys[i];
        SB_TRY(fake->view.storage(fake->view.ctx, addr, &keys[i], &slots[i].value));
    }
    return fake->view.account(fake->view.ctx, addr, &ret_proof->account, &exists);
}

/* ---- pool ---- */

static sb_err fail_with(struct sb_rpc_failure *failure, sb_err err, int code, const char *message)
{
    failure->code = code;
    (void)snprintf(failure->message, sizeof failure->message, "%s", message);
    return err;
}

static sb_err submit(void *ctx, sb_bytes raw, sb_hash *ret_hash, struct sb_rpc_failure *failure)
{
    struct fake_backend *fake = ctx;
    struct sb_tx tx;
    struct sb_diag diag = {.text = ""};
    sb_err err = SB_OK;
    (void)pthread_mutex_lock(&fake->lock);
    uint8_t *copy = sb_arena_dup(&fake->arena, raw);
    SB_ASSERT(copy != NULL);
    if (sb_tx_decode(&tx, &fake->arena, sb_span(copy, raw.len), &diag) != SB_OK) {
        err = fail_with(failure, SB_E_ARG, SB_RPC_SERVER_ERROR, diag.text);
    } else if (tx.nonce < 3) {
        err = fail_with(failure, SB_E_ARG, SB_RPC_SERVER_ERROR,
                        "nonce too low: next nonce 3, tx nonce 0");
    } else if (fake->pool_count == POOL_MAX) {
        err = fail_with(failure, SB_E_LIMIT, SB_RPC_SERVER_ERROR, "txpool is full");
    } else {
        add_to_pool(fake, sb_span(copy, raw.len), false);
        *ret_hash = sb_tx_hash(raw);
    }
    (void)pthread_mutex_unlock(&fake->lock);
    return err;
}

static sb_err get_pool_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                          struct sb_rpc_pool_tx *ret_tx)
{
    struct fake_backend *fake = ctx;
    sb_err err = SB_E_NOT_FOUND;
    (void)arena; /* the fake's pool never shrinks */
    (void)pthread_mutex_lock(&fake->lock);
    for (size_t i = 0; i < fake->pool_count; i++) {
        if (sb_hash_equal(&fake->pool[i].hash, tx_hash)) {
            *ret_tx = fake->pool[i];
            err = SB_OK;
        }
    }
    (void)pthread_mutex_unlock(&fake->lock);
    return err;
}

static uint64_t get_pool_nonce(void *ctx, const sb_addr *sender, uint64_t state_nonce)
{
    struct fake_backend *fake = ctx;
    return sb_addr_equal(sender, &fake->sender) ? state_nonce + 1 : state_nonce;
}

static struct sb_rpc_pool_status get_pool_status(void *ctx)
{
    (void)ctx;
    return (struct sb_rpc_pool_status){.pending = 1, .queued = 1};
}

static sb_err get_pool_content(void *ctx, struct sb_arena *arena, const sb_addr *sender,
                               const struct sb_rpc_pool_tx **ret_txs, size_t *ret_count)
{
    struct fake_backend *fake = ctx;
    (void)pthread_mutex_lock(&fake->lock);
    size_t count = sender == NULL || sb_addr_equal(sender, &fake->sender) ? fake->pool_count : 0;
    struct sb_rpc_pool_tx *copy = sb_arena_array(arena, count, sizeof *copy);
    if (copy != NULL) {
        sb_copy(copy, fake->pool, count * sizeof *copy);
        *ret_txs = copy;
        *ret_count = count;
    }
    (void)pthread_mutex_unlock(&fake->lock);
    return copy != NULL ? SB_OK : SB_E_NOMEM;
}

/* ---- execution ---- */

static sb_err run_endless(struct fake_backend *fake, const atomic_bool *stop)
{
    struct timespec pause = {.tv_nsec = 1000000};
    atomic_fetch_add(&fake->running, 1);
    while (!atomic_load(stop)) {
        (void)nanosleep(&pause, NULL);
    }
    atomic_fetch_sub(&fake->running, 1);
    return SB_E_CANCELLED;
}

static sb_err run_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                       const atomic_bool *stop, sb_bytes *ret_output, uint64_t *ret_gas_used,
                       struct sb_rpc_failure *failure)
{
    static const uint8_t endless[] = {0x5b, 0x60, 0x00, 0x56};
    sb_bytes input = query->call.data;
    (void)arena;
    *ret_gas_used = query->call.gas;
    if (sb_span_equal(input, sb_span(endless, sizeof endless))) {
        return run_endless(ctx, stop);
    }
    if (input.len != 0 && input.data[0] == 0xfd) {
        failure->has_data = true;
        failure->data = sb_span_slice(input, 1, input.len);
        return fail_with(failure, SB_E_ARG, SB_RPC_REVERTED, "execution reverted");
    }
    if (input.len != 0 && input.data[0] == 0xfe) {
        return fail_with(failure, SB_E_ARG, SB_RPC_SERVER_ERROR, "out of gas");
    }
    *ret_output = input;
    return SB_OK;
}

static sb_err estimate(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                       const atomic_bool *stop, uint64_t *ret_gas, struct sb_rpc_failure *failure)
{
    sb_bytes output;
    uint64_t used = 0;
    *ret_gas = 21000;
    return run_call(ctx, arena, query, stop, &output, &used, failure);
}

static sb_err make_access_list(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                               const atomic_bool *stop, struct sb_rpc_access_list *ret_list,
                               struct sb_rpc_failure *failure)
{
    (void)ctx;
    (void)arena;
    (void)stop;
    (void)failure;
    *ret_list = (struct sb_rpc_access_list){
        .entries = query->call.access_list, .count = query->call.access_count, .gas_used = 21000};
    return SB_OK;
}

static sb_err simulate(void *ctx, struct sb_arena *arena,
                       const struct sb_rpc_simulation *simulation, const atomic_bool *stop,
                       struct sb_json *out, struct sb_rpc_failure *failure)
{
    (void)ctx;
    (void)arena;
    (void)stop;
    (void)failure;
    sb_json_array_begin(out);
    for (size_t i = 0; i < simulation->block_count; i++) {
        sb_json_u64(out, simulation->blocks[i].call_count);
    }
    sb_json_array_end(out);
    return SB_OK;
}

static void write_trace(struct sb_json *out, const struct sb_rpc_trace_config *config)
{
    sb_json_object_begin(out);
    sb_json_key(out, "tracer");
    sb_json_u64(out, (uint64_t)config->tracer);
    sb_json_object_end(out);
}

static sb_err trace_tx(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                       const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                       struct sb_json *out, struct sb_rpc_failure *failure)
{
    uint64_t number = 0;
    uint32_t index = 0;
    (void)arena;
    (void)stop;
    (void)failure;
    SB_TRY(get_tx_place(ctx, tx_hash, &number, &index));
    write_trace(out, config);
    return SB_OK;
}

static sb_err trace_call(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                         const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                         struct sb_json *out, struct sb_rpc_failure *failure)
{
    sb_bytes output;
    uint64_t used = 0;
    SB_TRY(run_call(ctx, arena, query, stop, &output, &used, failure));
    write_trace(out, config);
    return SB_OK;
}

static sb_err trace_block(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                          const struct sb_rpc_trace_config *config, const atomic_bool *stop,
                          struct sb_json *out, struct sb_rpc_failure *failure)
{
    const struct sb_rpc_block *block = NULL;
    (void)arena;
    (void)stop;
    (void)failure;
    SB_TRY(find_block(ctx, ref, &block));
    sb_json_array_begin(out);
    for (size_t i = 0; i < block->block.tx_count; i++) {
        write_trace(out, config);
    }
    sb_json_array_end(out);
    return SB_OK;
}

/* ---- models ---- */

static struct sb_rpc_model the_model(void)
{
    static const uint64_t shape[] = {1, 64};
    static const struct sb_rpc_tensor_info input = {
        .name = "pixels", .dtype = "i8", .shape = shape, .rank = 2, .lo = -128, .hi = 127};
    return (struct sb_rpc_model){.id = topic(0x5b),
                                 .cid = "bafkrei",
                                 .size_bytes = 1234,
                                 .active = true,
                                 .name = "digits",
                                 .licence = "CC0-1.0",
                                 .inputs = &input,
                                 .input_count = 1,
                                 .outputs = &input,
                                 .output_count = 1,
                                 .gas_warm = 5000,
                                 .gas_cold = 7000};
}

static sb_err get_models(void *ctx, struct sb_arena *arena, uint64_t offset, uint64_t limit,
                         const struct sb_rpc_model **ret_models, size_t *ret_count,
                         uint64_t *ret_total)
{
    (void)ctx;
    struct sb_rpc_model *model = sb_arena_alloc(arena, sizeof *model);
    if (model == NULL) {
        return SB_E_NOMEM;
    }
    *model = the_model();
    *ret_models = model;
    *ret_count = offset == 0 && limit > 0 ? 1 : 0;
    *ret_total = 1;
    return SB_OK;
}

static sb_err get_model(void *ctx, struct sb_arena *arena, const sb_hash *id,
                        struct sb_rpc_model *ret_model)
{
    struct sb_rpc_model model = the_model();
    (void)ctx;
    (void)arena;
    if (!sb_hash_equal(id, &model.id)) {
        return SB_E_NOT_FOUND;
    }
    *ret_model = model;
    return SB_OK;
}

/* ---- operation ---- */

static struct sb_rpc_health get_health(void *ctx)
{
    struct fake_backend *fake = ctx;
    struct sb_rpc_health health = {.condition = atomic_load(&fake->condition),
                                   .height = FAKE_HEAD,
                                   .best_height = FAKE_HEAD,
                                   .last_block_ms = 1000000,
                                   .now_ms = 1000500,
                                   .peer_count = FAKE_PEERS,
                                   .is_validator = true,
                                   .is_listening = true,
                                   .node_id = "abcd"};
    health.is_voting = health.condition == SB_RPC_READY;
    if (health.condition == SB_RPC_CATCHING_UP) {
        health.sync_begun_at = 1;
        health.best_height = 9;
        (void)snprintf(health.reason, sizeof health.reason, "at block 2 of 9");
    }
    return health;
}

static void get_metrics(void *ctx, struct sb_arena *arena, struct sb_rpc_metrics *ret)
{
    (void)ctx;
    (void)arena;
    ret->head_number = FAKE_HEAD;
    ret->rpc_requests_total = 12345678; /* the server's own: it writes over this */
}

/* Block 2, with two validators of whom one signed; transaction 0x0404..04 in it ran two models. */
static sb_err get_light_block(void *ctx, struct sb_arena *arena, uint64_t number,
                              struct sb_rpc_light_block *ret_block)
{
    static const struct sb_validator validators[2] = {
        {.key = {.type = 1, .len = 1, .bytes = {0xaa}}, .power = 7, .address = {{1}}},
        {.key = {.type = 1, .len = 1, .bytes = {0xbb}}, .power = 5, .address = {{2}}}};
    static const struct sb_commit_sig sigs[2] = {
        {.flag = SB_COMMIT_BLOCK, .signature = {.len = 2, .bytes = {0xcc, 0xdd}}},
        {.flag = SB_COMMIT_ABSENT}};
    static const struct sb_validator_set set = {
        .validators = validators, .count = 2, .total_power = 12};
    (void)ctx;
    (void)arena;
    if (number != 2) {
        return SB_E_NOT_FOUND;
    }
    *ret_block = (struct sb_rpc_light_block){
        .header = {.version = 1, .height = 2, .time_ms = 999, .payload_hash = {{8}}},
        .id = {{9}},
        .commit = {.height = 2, .round = 1, .block_id = {{9}}, .sigs = sigs, .sig_count = 2},
        .validators = set,
        .next_validators = set,
        .encoded = sb_span("\x01\x02", 2)};
    return SB_OK;
}

static const struct sb_inference_record fake_inferences[2] = {
    {.tx_hash = {{4}}, .caller = {{5}}, .model_id = {{6}}},
    {.tx_hash = {{4}}, .index = 1, .caller = {{5}}, .model_id = {{7}}}};

static sb_err get_inferences(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                             struct sb_rpc_inferences *ret_inferences)
{
    (void)ctx;
    (void)arena;
    if (!sb_hash_equal(tx_hash, &fake_inferences[0].tx_hash)) {
        return SB_E_NOT_FOUND;
    }
    *ret_inferences =
        (struct sb_rpc_inferences){.number = 2, .first = 3, .records = fake_inferences, .count = 2};
    return SB_OK;
}

static sb_err get_inference_proof(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                                  uint64_t index, const atomic_bool *stop,
                                  struct sb_rpc_inference_proof *ret_proof)
{
    struct sb_rpc_inferences found;
    (void)stop;
    SB_TRY(get_inferences(ctx, arena, tx_hash, &found));
    if (index >= found.count) {
        return SB_E_NOT_FOUND;
    }
    *ret_proof = (struct sb_rpc_inference_proof){.record = found.records[index],
                                                 .path = {.index = found.first + (uint32_t)index,
                                                          .count = 6,
                                                          .depth = 1,
                                                          .siblings = {{{1}}}},
                                                 .encoded = sb_span("\x03", 1),
                                                 .has_data = index == 0,
                                                 .input = sb_span("\x0a", 1),
                                                 .output = sb_span("\x0b", 1)};
    return get_light_block(ctx, arena, 2, &ret_proof->block);
}

/* Takes as many pieces as the light block has bytes; none of an empty one. */
/* get_block_votes: a lunatic, a double vote and a late precommit for nil in block 2. */
static sb_err get_block_votes(void *ctx, struct sb_arena *arena, uint64_t number,
                              struct sb_rpc_block_votes *ret_votes)
{
    static const struct sb_vote late = {
        .type = SB_VOTE_PRECOMMIT, .height = 1, .validator_index = 3, .signature = {.len = 1}};
    static struct sb_evidence evidence[2];
    (void)ctx;
    (void)arena;
    if (number != 2) {
        return SB_E_NOT_FOUND;
    }
    const struct sb_vote vote = {.type = SB_VOTE_PREVOTE,
                                 .height = 1,
                                 .round = 4,
                                 .block_id = {{7}},
                                 .validator_address = {{6}}};
    evidence[0] = (struct sb_evidence){.kind = SB_EVIDENCE_LUNATIC,
                                       .a = {.type = SB_VOTE_PRECOMMIT,
                                             .height = 5,
                                             .block_id = {{8}},
                                             .validator_address = {{5}}},
                                       .common_height = 1,
                                       .header = {.version = 1, .height = 5}};
    evidence[1] = (struct sb_evidence){.kind = SB_EVIDENCE_DUPLICATE_VOTE, .a = vote, .b = vote};
    *ret_votes = (struct sb_rpc_block_votes){.height = 2,
                                             .id = {{9}},
                                             .evidence = evidence,
                                             .evidence_count = 2,
                                             .late_precommits = &late,
                                             .late_precommit_count = 1};
    return SB_OK;
}

/* submit_evidence: takes as many pieces as there are bytes, and the common height more. */
static sb_err submit_evidence(void *ctx, struct sb_arena *arena, sb_bytes encoded,
                              uint64_t common_height, size_t *ret_accepted,
                              struct sb_rpc_failure *failure)
{
    (void)ctx;
    (void)arena;
    if (encoded.len == 0) {
        failure->code = SB_RPC_SERVER_ERROR;
        (void)snprintf(failure->message, sizeof failure->message, "it proves nothing");
        return SB_E_REFUSED;
    }
    *ret_accepted = encoded.len + common_height;
    return SB_OK;
}

static sb_err get_validators(void *ctx, struct sb_arena *arena, uint64_t height,
                             struct sb_rpc_validators *ret_validators)
{
    static const uint8_t key[32] = {0xaa};
    static const struct sb_rpc_validator validators[2] = {
        {.address = {{1}}, .public_key = {key, sizeof key}, .key_type = 1, .power = 7},
        {.address = {{2}},
         .public_key = {key, sizeof key},
         .key_type = 2,
         .power = 5,
         .has_operator = true,
         .operator_addr = {{9}}},
    };
    (void)ctx;
    (void)arena;
    if (height == 0 || height > FAKE_HEAD + 2) {
        return SB_E_NOT_FOUND;
    }
    *ret_validators = (struct sb_rpc_validators){
        .height = height, .total_power = 12, .hash = {{3}}, .validators = validators, .count = 2};
    return SB_OK;
}

static sb_err get_signing_info(void *ctx, const sb_addr *addr, const struct sb_rpc_block_ref *ref,
                               struct sb_rpc_signing_info *ret_info, struct sb_rpc_failure *failure)
{
    (void)ctx;
    (void)ref;
    (void)failure;
    if (addr->b[0] != 9) {
        return SB_E_NOT_FOUND;
    }
    *ret_info = (struct sb_rpc_signing_info){.operator_addr = {{9}},
                                             .consensus_addr = {{2}},
                                             .counted = 20,
                                             .missed = 3,
                                             .window = 100,
                                             .missed_max = 50,
                                             .jailed = true,
                                             .jailed_until = 77};
    return SB_OK;
}

static sb_err get_consensus_state(void *ctx, struct sb_json *out)
{
    (void)ctx;
    sb_json_object_begin(out);
    sb_json_key(out, "round");
    sb_json_u64(out, 4);
    sb_json_object_end(out);
    return SB_OK;
}

static uint64_t get_peer_count(void *ctx)
{
    (void)ctx;
    return FAKE_PEERS;
}

void fake_backend_set_condition(struct fake_backend *fake, enum sb_rpc_condition condition)
{
    atomic_store(&fake->condition, condition);
}

void fake_backend_set_oldest(struct fake_backend *fake, uint64_t oldest)
{
    atomic_store(&fake->oldest, oldest);
}

struct sb_rpc_backend fake_backend_table(struct fake_backend *fake)
{
    return (struct sb_rpc_backend){.ctx = fake,
                                   .chain_id = get_chain_id,
                                   .head_number = get_head_number,
                                   .next_base_fee = get_next_base_fee,
                                   .suggested_tip = get_tip,
                                   .peer_count = get_peer_count,
                                   .blob_base_fee = get_blob_base_fee,
                                   .blob_gas_limit = get_blob_gas_limit,
                                   .oldest_state = get_zero,
                                   .oldest_block = get_oldest_block,
                                   .health = get_health,
                                   .metrics = get_metrics,
                                   .validators = get_validators,
                                   .signing_info = get_signing_info,
                                   .light_block = get_light_block,
                                   .inferences = get_inferences,
                                   .inference_proof = get_inference_proof,
                                   .block_votes = get_block_votes,
                                   .submit_evidence = submit_evidence,
                                   .consensus_state = get_consensus_state,
                                   .block = find_block,
                                   .block_release = release_block,
                                   .block_header = get_header,
                                   .tx_place = get_tx_place,
                                   .state = open_state,
                                   .state_release = release_state,
                                   .proof = get_proof,
                                   .submit = submit,
                                   .pool_tx = get_pool_tx,
                                   .pool_nonce = get_pool_nonce,
                                   .pool_status = get_pool_status,
                                   .pool_content = get_pool_content,
                                   .call = run_call,
                                   .estimate_gas = estimate,
                                   .access_list = make_access_list,
                                   .simulate = simulate,
                                   .trace_tx = trace_tx,
                                   .trace_call = trace_call,
                                   .trace_block = trace_block,
                                   .models = get_models,
                                   .model = get_model};
}
