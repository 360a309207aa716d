/* backend.c: life, facts, blocks and states of the RPC's backend (see backend.h).
 *
 * The suggested tip follows geth: of the last blocks that had transactions the three lowest tips each, and of all these the 60th
 * percentile; 1 gwei while there are none. It is worked out when a block comes, so that the question costs nothing. */
#include "node/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/util/assert.h"
#include "base/util/checked.h"
#include "node/backend_impl.h"
#include "node/query.h"

#define CALL_GAS_DEFAULT    50000000
#define TRACE_STEPS_DEFAULT 1000000
#define HISTORY_DEFAULT     128
#define TIP_DEFAULT         1000000000 /* wei */
#define TIP_MAX             UINT64_C(500000000000)
#define TIP_IGNORED         2 /* below: says nothing about a market */
#define TIP_PERCENTILE      60

sb_err sb_backend_fail(struct sb_rpc_failure *failure, sb_err err, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(failure->message, sizeof failure->message, fmt, args);
    va_end(args);
    failure->code = code;
    return err;
}

/* ---- suggested tip ---- */

static int compare_tips(const void *a, const void *b)
{
    return sb_u256_cmp(a, b);
}

/* lowest_tips: insertion into the few kept ones, ascending. */
static struct sb_block_tips lowest_tips(const struct sb_rpc_block *block)
{
    struct sb_block_tips low = {.count = 0};
    const sb_u256 *base_fee = &block->block.header.base_fee;
    for (size_t i = 0; i < block->block.tx_count; i++) {
        sb_u256 price = sb_tx_effective_gas_price(&block->block.txs[i], base_fee);
        sb_u256 tip = sb_u256_sub(&price, base_fee);
        size_t at = low.count;
        while (at > 0 && sb_u256_lt(&tip, &low.tips[at - 1])) {
            at--;
        }
        if (at == SB_BACKEND_TIPS_EACH || sb_u256_sat_u64(&tip) < TIP_IGNORED) {
            continue;
        }
        size_t kept = low.count < SB_BACKEND_TIPS_EACH ? low.count : SB_BACKEND_TIPS_EACH - 1;
        memmove(&low.tips[at + 1], &low.tips[at], (kept - at) * sizeof low.tips[0]);
        low.tips[at] = tip;
        low.count = kept + 1;
    }
    return low;
}

/* note_tips: under the lock. */
static void note_tips(struct sb_backend *b, const struct sb_block_tips *tips)
{
    if (tips->count == 0) {
        return;
    }
    b->blocks[b->block_next] = *tips;
    b->block_next = (b->block_next + 1) % SB_BACKEND_TIP_BLOCKS;
    sb_u256 all[SB_BACKEND_TIP_BLOCKS * SB_BACKEND_TIPS_EACH];
    size_t count = 0;
    for (size_t i = 0; i < SB_BACKEND_TIP_BLOCKS; i++) {
        for (size_t j = 0; j < b->blocks[i].count; j++) {
            all[count++] = b->blocks[i].tips[j];
        }
    }
    qsort(all, count, sizeof all[0], compare_tips);
    sb_u256 tip = all[(count - 1) * TIP_PERCENTILE / 100];
    sb_u256 max = sb_u256_from_u64(TIP_MAX);
    b->suggested_tip = sb_u256_lt(&max, &tip) ? max : tip;
}

/* ---- news ---- */

static void on_head(void *ctx, const struct sb_chain_event *event)
{
    struct sb_backend *b = ctx;
    struct sb_block_tips tips = lowest_tips(event->block);
    pthread_mutex_lock(&b->lock);
    note_tips(b, &tips);
    struct sb_pending *stale = b->pending;
    b->pending = NULL;
    pthread_mutex_unlock(&b->lock);
    sb_pending_release(stale);
    pthread_mutex_lock(&b->notify_lock);
    if (b->server != NULL) {
        sb_rpc_notify_head(b->server, event->block);
    }
    pthread_mutex_unlock(&b->notify_lock);
}

static void on_pending(void *ctx, const struct sb_pool_tx *tx)
{
    struct sb_backend *b = ctx;
    atomic_fetch_add(&b->pool_revision, 1);
    pthread_mutex_lock(&b->notify_lock);
    if (b->server != NULL) {
        sb_rpc_notify_pending(b->server, &tx->hash);
    }
    pthread_mutex_unlock(&b->notify_lock);
}

void sb_backend_notify(struct sb_backend *backend, struct sb_rpc_server *server)
{
    pthread_mutex_lock(&backend->notify_lock);
    backend->server = server;
    pthread_mutex_unlock(&backend->notify_lock);
}

/* ---- life ---- */

static uint64_t system_ms(void *ctx)
{
    (void)ctx;
    uv_timeval64_t now;
    SB_ASSERT(uv_gettimeofday(&now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

sb_err sb_backend_new(struct sb_backend **ret_backend, const struct sb_backend_options *options,
                      struct sb_diag *diag)
{
    struct sb_backend *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    b->options = *options;
    b->chain = options->chain;
    b->mempool = options->mempool;
    struct sb_backend_options *o = &b->options;
    o->clock_ms = o->clock_ms != NULL ? o->clock_ms : system_ms;
    o->history_blocks = o->history_blocks != 0 ? o->history_blocks : HISTORY_DEFAULT;
    o->call_gas_max = o->call_gas_max != 0 ? o->call_gas_max : CALL_GAS_DEFAULT;
    o->trace_steps_max = o->trace_steps_max != 0 ? o->trace_steps_max : TRACE_STEPS_DEFAULT;
    b->suggested_tip = sb_u256_from_u64(TIP_DEFAULT);
    SB_ASSERT(pthread_mutex_init(&b->lock, NULL) == 0);
    SB_ASSERT(pthread_mutex_init(&b->notify_lock, NULL) == 0);
    sb_err err = sb_chain_subscribe(b->chain, on_head, b);
    if (err == SB_OK) {
        err = sb_mempool_subscribe(b->mempool, on_pending, b);
    }
    if (err != SB_OK) {
        sb_backend_free(b);
        return sb_fail(diag, err, "the RPC cannot follow the chain: %s", sb_err_text(err));
    }
    *ret_backend = b;
    return SB_OK;
}

void sb_backend_free(struct sb_backend *backend)
{
    if (backend == NULL) {
        return;
    }
    sb_pending_release(backend->pending);
    pthread_mutex_destroy(&backend->notify_lock);
    pthread_mutex_destroy(&backend->lock);
    free(backend);
}

/* ---- facts ---- */

static uint64_t get_chain_id(void *ctx)
{
    return sb_chain_rules(((struct sb_backend *)ctx)->chain)->chain_id;
}

static uint64_t get_head_number(void *ctx)
{
    return sb_chain_head_number(((struct sb_backend *)ctx)->chain);
}

static sb_u256 get_next_base_fee(void *ctx)
{
    return sb_chain_next_base_fee(((struct sb_backend *)ctx)->chain);
}

static sb_u256 get_suggested_tip(void *ctx)
{
    struct sb_backend *b = ctx;
    pthread_mutex_lock(&b->lock);
    sb_u256 tip = b->suggested_tip;
    pthread_mutex_unlock(&b->lock);
    return tip;
}

/* A node without a network has no peers. */
static uint64_t get_peer_count(void *ctx)
{
    const struct sb_backend *b = ctx;
    return b->options.metrics != NULL ? sb_metrics_health(b->options.metrics).peer_count : 0;
}

/* ---- operation ---- */

static struct sb_rpc_health get_health(void *ctx)
{
    const struct sb_backend *b = ctx;
    return sb_metrics_health(b->options.metrics);
}

static void get_metrics(void *ctx, struct sb_arena *arena, struct sb_rpc_metrics *ret)
{
    const struct sb_backend *b = ctx;
    sb_metrics_gather(b->options.metrics, arena, ret);
}

static sb_err get_consensus_state(void *ctx, struct sb_json *out)
{
    const struct sb_backend *b = ctx;
    return sb_metrics_consensus_state(b->options.metrics, out);
}

static sb_err get_validators(void *ctx, struct sb_arena *arena, uint64_t height,
                             struct sb_rpc_validators *ret_validators)
{
    const struct sb_backend *b = ctx;
    struct sb_validator_set set;
    SB_TRY(sb_chain_validators_at(&set, arena, b->chain, height));
    struct sb_rpc_validator *list = sb_arena_array(arena, set.count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < set.count; i++) {
        const struct sb_validator *v = &set.validators[i];
        list[i] = (struct sb_rpc_validator){.address = v->address,
                                            .public_key = sb_span(v->key.bytes, v->key.len),
                                            .key_type = v->key.type,
                                            .power = (uint64_t)v->power};
    }
    sb_query_operators(ctx, list, set.count);
    *ret_validators = (struct sb_rpc_validators){.height = height,
                                                 .total_power = (uint64_t)set.total_power,
                                                 .hash = sb_validator_set_hash(&set),
                                                 .validators = list,
                                                 .count = set.count};
    return SB_OK;
}

/* Blob transactions are invalid on this chain: the excess stays 0 and the fee at its least. */
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

static uint64_t get_oldest_block(void *ctx)
{
    const struct sb_backend *b = ctx;
    return sb_store_oldest(sb_chain_store(b->chain));
}

static uint64_t get_oldest_state(void *ctx)
{
    const struct sb_backend *b = ctx;
    uint64_t oldest = sat_sub_u64(sb_chain_head_number(b->chain), b->options.history_blocks);
    uint64_t block =
        get_oldest_block(ctx); /* the state of a snapshot, or of genesis, is the first */
    return oldest > block ? oldest : block;
}

/* ---- blocks ---- */

static bool is_pending(const struct sb_rpc_block_ref *ref)
{
    return ref->by == SB_RPC_BY_TAG && ref->tag == SB_RPC_PENDING;
}

sb_err sb_backend_pending(struct sb_pending **ret_pending, struct sb_backend *backend)
{
    uint64_t now_ms = backend->options.clock_ms(backend->options.clock_ctx);
    uint64_t revision = atomic_load(&backend->pool_revision);
    struct sb_chain_head head = sb_chain_head(backend->chain);
    pthread_mutex_lock(&backend->lock);
    struct sb_pending *p = backend->pending;
    bool fresh = p != NULL && p->pool_revision == revision &&
                 sb_hash_equal(&p->block->block.header.parent_hash, &head.block_hash) &&
                 p->block->block.header.timestamp >= now_ms / 1000;
    if (fresh) {
        sb_pending_retain(p);
    }
    pthread_mutex_unlock(&backend->lock);
    if (!fresh) {
        SB_TRY(sb_pending_new(&p, backend->chain, backend->mempool, now_ms));
        p->pool_revision = revision;
        sb_pending_retain(p); /* the cache's reference */
        pthread_mutex_lock(&backend->lock);
        struct sb_pending *stale = backend->pending;
        backend->pending = p;
        pthread_mutex_unlock(&backend->lock);
        sb_pending_release(stale);
    }
    *ret_pending = p;
    return SB_OK;
}

static sb_err get_block(void *ctx, const struct sb_rpc_block_ref *ref,
                        const struct sb_rpc_block **ret_block)
{
    struct sb_backend *b = ctx;
    if (!is_pending(ref)) {
        return sb_chain_block(ret_block, b->chain, ref);
    }
    struct sb_pending *pending;
    SB_TRY(sb_backend_pending(&pending, b));
    sb_chain_block_retain(pending->block);
    *ret_block = pending->block;
    sb_pending_release(pending);
    return SB_OK;
}

static void release_block(void *ctx, const struct sb_rpc_block *block)
{
    sb_chain_block_release(((struct sb_backend *)ctx)->chain, block);
}

static sb_err get_header(void *ctx, uint64_t number, struct sb_header *ret_header,
                         sb_hash *ret_hash)
{
    return sb_chain_header(ret_header, ret_hash, ((struct sb_backend *)ctx)->chain, number);
}

static sb_err get_tx_place(void *ctx, const sb_hash *tx_hash, uint64_t *ret_number,
                           uint32_t *ret_index)
{
    return sb_chain_tx_place(ret_number, ret_index, ((struct sb_backend *)ctx)->chain, tx_hash);
}

/* ---- states ---- */

/* why_no_state: the reference names no block, or one whose state is gone. */
static sb_err why_no_state(struct sb_backend *b, const struct sb_rpc_block_ref *ref,
                           struct sb_rpc_failure *failure)
{
    uint64_t number;
    struct sb_header header;
    sb_hash hash;
    bool is_block = sb_chain_resolve(&number, b->chain, ref) == SB_OK;
    uint64_t oldest = sb_store_oldest(sb_chain_store(b->chain));
    if (is_block && number < oldest) {
        return sb_backend_fail(failure, SB_E_NOT_FOUND, SB_RPC_PRUNED,
                               "pruned history unavailable: blocks below %llu are not kept by this "
                               "node",
                               (unsigned long long)oldest);
    }
    if (!is_block || sb_chain_header(&header, &hash, b->chain, number) != SB_OK) {
        return sb_backend_fail(failure, SB_E_NOT_FOUND, SB_RPC_SERVER_ERROR, "header not found");
    }
    char root[2 * sizeof(sb_hash) + 1];
    for (size_t i = 0; i < sizeof header.state_root.b; i++) {
        (void)snprintf(&root[2 * i], 3, "%02x", header.state_root.b[i]);
    }
    return sb_backend_fail(failure, SB_E_NOT_FOUND, SB_RPC_SERVER_ERROR,
                           "missing trie node %s (path ) state 0x%s is not available: block %llu "
                           "is older than the last %llu blocks, whose state this node keeps",
                           root, root, (unsigned long long)number,
                           (unsigned long long)b->options.history_blocks);
}

sb_err sb_backend_state_open(struct sb_backend_state *ret_state, struct sb_backend *backend,
                             const struct sb_rpc_block_ref *ref, struct sb_rpc_failure *failure)
{
    struct sb_backend_state *s = ret_state;
    struct sb_rpc_block_ref at = *ref;
    *s = (struct sb_backend_state){.pending = NULL};
    if (is_pending(ref)) {
        SB_TRY(sb_backend_pending(&s->pending, backend));
        at = (struct sb_rpc_block_ref){.by = SB_RPC_BY_HASH,
                                       .hash = s->pending->block->block.header.parent_hash};
    }
    sb_err err = sb_chain_view_open(&s->view, backend->chain, &at);
    if (err != SB_OK) {
        sb_pending_release(s->pending);
        return err == SB_E_NOT_FOUND ? why_no_state(backend, &at, failure) : err;
    }
    s->at = s->view.state;
    s->block = s->view.block;
    if (s->pending != NULL) {
        sb_pending_view_init(&s->layered, s->view.state, s->pending);
        s->at = &s->layered.state;
        s->block = s->pending->block;
    }
    return SB_OK;
}

void sb_backend_state_close(struct sb_backend *backend, struct sb_backend_state *state)
{
    sb_chain_view_close(backend->chain, &state->view);
    sb_pending_release(state->pending);
}

static sb_err open_state(void *ctx, const struct sb_rpc_block_ref *ref,
                         const struct sb_state_view **ret_view, void **ret_handle,
                         struct sb_rpc_failure *failure)
{
    struct sb_backend_state *s = malloc(sizeof *s);
    if (s == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = sb_backend_state_open(s, ctx, ref, failure);
    if (err != SB_OK) {
        free(s);
        return err;
    }
    *ret_view = s->at;
    *ret_handle = s;
    return SB_OK;
}

static void release_state(void *ctx, void *handle)
{
    sb_backend_state_close(ctx, handle);
    free(handle);
}

/* Proofs exist for decided blocks; `pending` is answered for the block before it. */
static sb_err get_proof(void *ctx, struct sb_arena *arena, const struct sb_rpc_block_ref *ref,
                        const sb_addr *addr, const sb_hash *keys, size_t key_count,
                        struct sb_rpc_proof *ret_proof, struct sb_rpc_failure *failure)
{
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    struct sb_backend_state state;
    struct sb_store_proof proof;
    SB_TRY(sb_backend_state_open(&state, ctx, is_pending(ref) ? &latest : ref, failure));
    sb_err err = sb_store_prove(&proof, arena, state.view.store_view, addr, keys, key_count);
    sb_backend_state_close(ctx, &state);
    SB_TRY(err);
    struct sb_rpc_proof_slot *slots = sb_arena_array(arena, key_count, sizeof *slots);
    if (slots == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < proof.slot_count; i++) {
        slots[i] = (struct sb_rpc_proof_slot){.key = proof.slots[i].key,
                                              .value = proof.slots[i].value,
                                              .nodes = proof.slots[i].nodes,
                                              .node_count = proof.slots[i].node_count};
    }
    *ret_proof = (struct sb_rpc_proof){.account = proof.account,
                                       .storage_root = proof.storage_root,
                                       .nodes = proof.nodes,
                                       .node_count = proof.node_count,
                                       .slots = slots,
                                       .slot_count = proof.slot_count};
    return SB_OK;
}

struct sb_rpc_backend sb_backend_table(struct sb_backend *backend)
{
    bool is_watched = backend->options.metrics != NULL;
    return (struct sb_rpc_backend){
        .ctx = backend,
        .chain_id = get_chain_id,
        .head_number = get_head_number,
        .next_base_fee = get_next_base_fee,
        .suggested_tip = get_suggested_tip,
        .peer_count = get_peer_count,
        .blob_base_fee = get_blob_base_fee,
        .blob_gas_limit = get_blob_gas_limit,
        .oldest_state = get_oldest_state,
        .oldest_block = get_oldest_block,
        .config = sb_query_config,
        .health = is_watched ? get_health : NULL,
        .metrics = is_watched ? get_metrics : NULL,
        .validators = get_validators,
        .signing_info = sb_query_signing_info,
        .light_block = sb_query_light_block,
        .inferences = sb_query_inferences,
        .inference_proof = sb_query_inference_proof,
        .block_votes = sb_query_block_votes,
        .submit_evidence = backend->options.evidence != NULL ? sb_query_submit_evidence : NULL,
        .consensus_state = is_watched ? get_consensus_state : NULL,
        .block = get_block,
        .block_release = release_block,
        .block_header = get_header,
        .tx_place = get_tx_place,
        .state = open_state,
        .state_release = release_state,
        .proof = get_proof,
        .submit = sb_backend_submit,
        .pool_tx = sb_backend_pool_tx,
        .pool_nonce = sb_backend_pool_nonce,
        .pool_status = sb_backend_pool_status,
        .pool_content = sb_backend_pool_content,
        .call = sb_query_call,
        .estimate_gas = sb_query_estimate_gas,
        .access_list = sb_query_access_list,
        .simulate = sb_query_simulate,
        .trace_tx = sb_query_trace_tx,
        .trace_call = sb_query_trace_call,
        .trace_block = sb_query_trace_block,
        .models = sb_query_models,
        .model = sb_query_model,
    };
}
