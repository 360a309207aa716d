/* chain.c: opening a chain, its head, views of its state (see chain.h). */
#include "node/chain.h"

#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/chain_impl.h"
#include "node/staking_genesis.h"

/* ---- opening ---- */

/* write_genesis: block 0 with its state, in an empty database. */
static sb_err write_genesis(struct sb_chain *chain, struct sb_diag *diag)
{
    struct sb_arena arena;
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    struct sb_buf raw;
    sb_buf_init(&raw, (size_t)64 * 1024);
    static const uint8_t empty_body[] = {0xc3, 0xc0, 0xc0, 0xc0};

    struct sb_state_diff diff;
    struct sb_header header;
    sb_hash root;
    struct sb_record_list records = {.arena = &arena};
    struct sb_store_pending *pending = NULL;
    sb_err err = sb_genesis_diff(&diff, &arena, chain->genesis);
    if (err == SB_OK) {
        err = sb_chain_sets_begin(chain, &records);
    }
    if (err == SB_OK) {
        err = sb_genesis_header(&header, chain->genesis);
    }
    if (err == SB_OK) {
        err = sb_store_root(&root, &pending, chain->store, &diff);
    }
    if (err == SB_OK && !sb_hash_equal(&root, &header.state_root)) {
        sb_store_pending_free(pending);
        err = sb_fail(diag, SB_E_INTERNAL,
                      "the state root of genesis differs between the database and the reference");
    } else if (err == SB_OK) {
        sb_header_encode(&raw, &header);
        struct sb_store_block block = {.number = 0,
                                       .block_hash = chain->domain.genesis_hash,
                                       .state_root = root,
                                       .header = sb_buf_bytes(&raw),
                                       .body = sb_span(empty_body, sizeof empty_body),
                                       .records = records.items,
                                       .record_count = records.count};
        SB_ASSERT(sb_buf_err(&raw) == SB_OK);
        err = sb_store_commit_take(chain->store, pending, &block, diag);
    }
    sb_buf_fini(&raw);
    sb_arena_fini(&arena);
    return err;
}

void sb_chain_set_head(struct sb_chain *chain, struct sb_chain_block_object *object,
                       const sb_hash *consensus_id, uint64_t time_ms, uint64_t version,
                       const struct sb_params *params)
{
    const struct sb_header *header = &object->pub.block.header;
    struct sb_chain_head head = {
        .header = *header,
        .block_hash = object->pub.hash,
        .consensus_id = *consensus_id,
        .time_ms = time_ms,
        .version = version,
        .next_base_fee = sb_base_fee_next(header->gas_limit, header->gas_used, &header->base_fee),
        .params = *params,
        .params_hash = sb_params_hash(params)};
    pthread_mutex_lock(&chain->lock);
    struct sb_chain_block_object *old = chain->head_block;
    chain->head = head;
    chain->head_block = object;
    if (old != NULL) {
        sb_chain_cache_put(&chain->cache, old);
    }
    pthread_mutex_unlock(&chain->lock);
    if (old != NULL) {
        sb_chain_block_release(chain, &old->pub);
    }
}

/* load_head: the stored head becomes the head in memory, after its consensus block was checked. */
static sb_err load_head(struct sb_chain *chain, struct sb_diag *diag)
{
    struct sb_store_head stored = sb_store_head(chain->store);
    struct sb_chain_block_object *object;
    struct sb_params params;
    SB_TRY(sb_chain_load_params(&params, chain, stored.number, diag));
    sb_err err = sb_chain_object_load(&object, chain, stored.number);
    if (err != SB_OK) {
        return sb_fail(diag, err, "block %llu cannot be read from the database: %s",
                       (unsigned long long)stored.number, sb_err_text(err));
    }
    if (stored.number == 0) {
        sb_hash read = sb_params_hash(&params);
        sb_hash told = sb_params_hash(&chain->genesis->params);
        if (!sb_hash_equal(&read, &told)) {
            sb_chain_block_release(chain, &object->pub);
            return sb_fail(
                diag, SB_E_ARG,
                "genesis: samebit.params and the storage of the Params contract disagree");
        }
        sb_chain_set_head(chain, object, &chain->domain.genesis_hash,
                          chain->genesis->timestamp * 1000, SB_CONSENSUS_VERSION_FIRST, &params);
        return SB_OK;
    }
    struct sb_consensus_header consensus;
    err = sb_chain_checked_consensus_header(&consensus, chain, stored.number, diag);
    if (err != SB_OK) {
        sb_chain_block_release(chain, &object->pub);
        return err;
    }
    sb_hash id = sb_consensus_block_id(&consensus);
    sb_chain_set_head(chain, object, &id, consensus.time_ms, consensus.version, &params);
    return SB_OK;
}

static sb_err open_store(struct sb_chain *chain, const struct sb_chain_options *options,
                         struct sb_diag *diag)
{
    struct sb_store_identity identity = {.genesis_hash = chain->domain.genesis_hash,
                                         .chain_id = chain->domain.chain_id};
    struct sb_store_options store_options = {.cache_bytes = options->store_cache_bytes,
                                             .history_blocks = options->history_blocks,
                                             .create = options->create,
                                             .read_only = options->read_only};
    SB_TRY(sb_store_open(&chain->store, options->db_dir, &identity, &store_options, diag));
    if (!sb_store_head(chain->store).exists) {
        if (options->read_only) {
            return sb_fail(diag, SB_E_NOT_FOUND, "the database in %s holds no block",
                           options->db_dir);
        }
        SB_TRY(write_genesis(chain, diag));
    }
    SB_TRY(sb_chain_sets_load(chain, sb_store_head(chain->store).number, diag));
    SB_TRY(load_head(chain, diag));
    return sb_evidence_pool_new(&chain->evidence, chain, diag);
}

sb_err sb_chain_open(struct sb_chain **ret_chain, const struct sb_chain_options *options,
                     struct sb_diag *diag)
{
    const struct sb_genesis *genesis = options->genesis;
    if (!genesis->is_samebit) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "the genesis has no \"samebit\" object, so there are no validators");
    }
    SB_TRY(sb_genesis_check(genesis, diag));
    struct sb_chain *chain = calloc(1, sizeof *chain);
    if (chain == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    chain->genesis = genesis;
    chain->inference = options->inference;
    chain->log = options->log;
    chain->read_only = options->read_only;
    chain->verifier = options->verifier.verify != NULL ? options->verifier : sb_verifier_ed25519();
    chain->has_staking = sb_genesis_has_staking(genesis);
    sb_chain_set_update_source(chain, NULL, NULL);
    chain->rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, genesis->config.chain_id);
    sb_chain_cache_init(&chain->cache, options->block_cache_count != 0
                                           ? options->block_cache_count
                                           : SB_CHAIN_CACHE_COUNT_DEFAULT);
    SB_ASSERT(pthread_mutex_init(&chain->lock, NULL) == 0);
    SB_ASSERT(pthread_mutex_init(&chain->past_lock, NULL) == 0);
    sb_err err = sb_genesis_domain(&chain->domain, genesis);
    if (err == SB_OK) {
        err = open_store(chain, options, diag);
    } else {
        (void)sb_fail(diag, err, "genesis: %s", sb_err_text(err));
    }
    if (err != SB_OK) {
        sb_chain_close(chain);
        return err;
    }
    *ret_chain = chain;
    return SB_OK;
}

void sb_chain_close(struct sb_chain *chain)
{
    if (chain == NULL) {
        return;
    }
    sb_evidence_pool_free(chain->evidence);
    sb_chain_cache_fini(&chain->cache);
    if (chain->head_block != NULL) {
        sb_chain_block_release(chain, &chain->head_block->pub);
    }
    if (chain->store != NULL) {
        sb_store_close(chain->store);
    }
    pthread_mutex_destroy(&chain->lock);
    pthread_mutex_destroy(&chain->past_lock);
    free(chain);
}

/* ---- facts ---- */

const struct sb_genesis *sb_chain_genesis(const struct sb_chain *chain)
{
    return chain->genesis;
}

const struct sb_chain_domain *sb_chain_domain(const struct sb_chain *chain)
{
    return &chain->domain;
}

const struct sb_rules *sb_chain_rules(const struct sb_chain *chain)
{
    return &chain->rules;
}

struct sb_inference *sb_chain_inference(const struct sb_chain *chain)
{
    return chain->inference;
}

struct sb_store *sb_chain_store(const struct sb_chain *chain)
{
    return chain->store;
}

struct sb_evidence_pool *sb_chain_evidence(struct sb_chain *chain)
{
    return chain->evidence;
}

/* ---- head ---- */

struct sb_chain_head sb_chain_head(struct sb_chain *chain)
{
    pthread_mutex_lock(&chain->lock);
    struct sb_chain_head head = chain->head;
    pthread_mutex_unlock(&chain->lock);
    return head;
}

uint64_t sb_chain_head_number(struct sb_chain *chain)
{
    pthread_mutex_lock(&chain->lock);
    uint64_t number = chain->head.header.number;
    pthread_mutex_unlock(&chain->lock);
    return number;
}

sb_u256 sb_chain_next_base_fee(struct sb_chain *chain)
{
    pthread_mutex_lock(&chain->lock);
    sb_u256 fee = chain->head.next_base_fee;
    pthread_mutex_unlock(&chain->lock);
    return fee;
}

struct sb_params sb_chain_params(struct sb_chain *chain)
{
    pthread_mutex_lock(&chain->lock);
    struct sb_params params = chain->head.params;
    pthread_mutex_unlock(&chain->lock);
    return params;
}

sb_err sb_chain_tx_place(uint64_t *ret_number, uint32_t *ret_index, struct sb_chain *chain,
                         const sb_hash *tx_hash)
{
    uint64_t number;
    uint32_t index;
    SB_TRY(sb_store_tx_place(&number, &index, chain->store, tx_hash));
    if (number > sb_chain_head_number(chain)) {
        return SB_E_NOT_FOUND; /* stored a moment ago, not yet announced */
    }
    *ret_number = number;
    *ret_index = index;
    return SB_OK;
}

/* ---- state ---- */

sb_err sb_chain_view_open(struct sb_chain_view *ret_view, struct sb_chain *chain,
                          const struct sb_rpc_block_ref *ref)
{
    struct sb_chain_view view;
    SB_TRY(sb_chain_block(&view.block, chain, ref));
    sb_err err =
        sb_store_view_open(&view.store_view, chain->store, view.block->block.header.number);
    if (err != SB_OK) {
        sb_chain_block_release(chain, view.block);
        return err;
    }
    view.state = sb_store_view_state(view.store_view);
    *ret_view = view;
    return SB_OK;
}

void sb_chain_view_close(struct sb_chain *chain, struct sb_chain_view *view)
{
    sb_store_view_close(view->store_view);
    sb_chain_block_release(chain, view->block);
}

sb_err sb_chain_account(struct sb_account *ret_account, struct sb_chain *chain, const sb_addr *addr)
{
    struct sb_store_view *view;
    SB_TRY(sb_store_view_open(&view, chain->store, sb_chain_head_number(chain)));
    const struct sb_state_view *state = sb_store_view_state(view);
    bool exists;
    struct sb_account account;
    sb_err err = state->account(state->ctx, addr, &account, &exists);
    sb_store_view_close(view);
    if (err == SB_OK) {
        *ret_account = account;
    }
    return err;
}

/* ---- headers ---- */

struct sb_block_env sb_chain_env(const struct sb_header *header)
{
    struct sb_block_env env = {
        .number = header->number,
        .timestamp = header->timestamp,
        .gas_limit = header->gas_limit,
        .coinbase = header->coinbase,
        .base_fee = header->base_fee,
        .difficulty = header->difficulty,
        .prev_randao = header->mix_hash,
        .excess_blob_gas = header->excess_blob_gas,
        .has_parent_beacon_root = header->field_count >= SB_HEADER_FIELDS_CANCUN,
        .parent_beacon_root = header->parent_beacon_root,
    };
    struct sb_rules rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 0);
    env.blob_base_fee =
        sb_blob_base_fee(header->excess_blob_gas, rules.blob_base_fee_update_fraction);
    return env;
}

sb_hash sb_chain_pending_mix_hash(const struct sb_chain_head *head)
{
    return sb_randomness_mix(&head->header.mix_hash, sb_span(NULL, 0));
}

struct sb_header sb_chain_next_header(const struct sb_chain *chain,
                                      const struct sb_chain_head *head, uint64_t time_ms,
                                      const sb_hash *mix_hash)
{
    return (struct sb_header){
        .field_count = SB_HEADER_FIELDS_PRAGUE,
        .parent_hash = head->block_hash,
        .uncles_hash = sb_hash_empty_list,
        .coinbase = chain->genesis->fee_recipient,
        .transactions_root = sb_hash_empty_trie,
        .receipts_root = sb_hash_empty_trie,
        .number = head->header.number + 1,
        .gas_limit = head->params.gas_limit,
        .timestamp = time_ms / 1000,
        .mix_hash = *mix_hash,
        .base_fee = head->next_base_fee,
        .withdrawals_root = sb_hash_empty_trie,
        .parent_beacon_root = head->consensus_id,
        .requests_hash = sb_hash_sha256_empty,
    };
}

void sb_chain_log_missing_precompile(void *ctx, const sb_addr *addr)
{
    struct sb_chain *chain = ctx;
    unsigned bit = 1u << (addr->b[sizeof addr->b - 1] % 32);
    bool told = (atomic_fetch_or(&chain->missing_told, bit) & bit) != 0;
    sb_log(chain->log, told ? SB_LOG_DEBUG : SB_LOG_WARN, "vm",
           "a contract called a precompile that this version does not have; the call failed",
           SB_LOG_HEX("address", addr->b, sizeof addr->b), SB_LOG_END);
}

/* ---- subscribers ---- */

void sb_chain_set_sender_hint(struct sb_chain *chain, sb_chain_sender_hint_fn fn, void *ctx)
{
    pthread_mutex_lock(&chain->lock);
    chain->sender_hint = fn;
    chain->sender_hint_ctx = ctx;
    pthread_mutex_unlock(&chain->lock);
}

sb_err sb_chain_subscribe(struct sb_chain *chain, sb_chain_head_fn fn, void *ctx)
{
    sb_err err = SB_E_LIMIT;
    pthread_mutex_lock(&chain->lock);
    if (chain->subscriber_count < SB_CHAIN_SUBSCRIBERS_MAX) {
        chain->subscribers[chain->subscriber_count++] =
            (struct sb_chain_subscriber){.fn = fn, .ctx = ctx};
        err = SB_OK;
    }
    pthread_mutex_unlock(&chain->lock);
    return err;
}
