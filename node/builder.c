/* builder.c: see builder.h.
 *
 * What a build gathers: the raw bytes of the picked transactions, borrowed from the pool (the picker holds the references
 * until the block is encoded), and their receipts, encoded one behind the other. */
#include "node/builder.h"

#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/checked.h"
#include "node/chain_impl.h"

/* The cheapest transaction: with less gas left than this, nothing fits. */
#define TX_GAS_MIN 21000

/* Room for both headers and the lists' own headers, beside transactions, commit, precommits and evidence. */
#define HEADERS_BYTES_MAX 4096

static const uint8_t empty_list[] = {0xc0};

struct build {
    struct sb_arena *arena;
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    const struct sb_builder_options *options;
    const struct sb_application_draft *draft;
    const struct sb_chain_head *head;
    const struct sb_vote *late; /* in the arena */
    size_t late_count;
    const struct sb_evidence *evidence; /* in the arena */
    size_t evidence_count;
    size_t consensus_bytes; /* what all but the transactions takes in the encoded block, at most */
    struct sb_executor *x;
    struct sb_header header;
    sb_bytes *raw_txs;       /* borrowed from the pool's entries */
    sb_bytes *receipt_items; /* lengths while receipts grow; pointers are set at the end */
    size_t tx_count, tx_capacity;
    size_t tx_bytes;
    struct sb_buf receipts;
};

/* ---- picking and executing ---- */

static bool time_is_up(const struct sb_builder_options *options, uint64_t started_ms)
{
    uint64_t max = options->build_ms_max != 0 ? options->build_ms_max : SB_BUILDER_TIME_MS_DEFAULT;
    return options->monotonic_ms != NULL &&
           options->monotonic_ms(options->monotonic_ctx) - started_ms >= max;
}

static sb_err reserve(struct build *b)
{
    if (b->tx_count < b->tx_capacity) {
        return SB_OK;
    }
    size_t capacity = b->tx_capacity == 0 ? 64 : b->tx_capacity * 2;
    sb_bytes *raw_txs = sb_arena_array(b->arena, capacity, sizeof *raw_txs);
    sb_bytes *receipt_items = sb_arena_array(b->arena, capacity, sizeof *receipt_items);
    if (raw_txs == NULL || receipt_items == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(raw_txs, b->raw_txs, b->tx_count * sizeof *raw_txs);
    sb_copy(receipt_items, b->receipt_items, b->tx_count * sizeof *receipt_items);
    b->raw_txs = raw_txs;
    b->receipt_items = receipt_items;
    b->tx_capacity = capacity;
    return SB_OK;
}

static sb_err take(struct build *b, const struct sb_pool_tx *tx, const struct sb_tx_result *result)
{
    struct sb_receipt receipt = {.type = tx->tx.type,
                                 .success = result->status == SB_EVM_SUCCESS,
                                 .cumulative_gas = sb_executor_gas_used(b->x),
                                 .logs = result->logs,
                                 .log_count = result->log_count};
    for (size_t i = 0; i < result->log_count; i++) {
        sb_bloom_add_log(&receipt.bloom, &result->logs[i]);
    }
    sb_bloom_merge(&b->header.logs_bloom, &receipt.bloom);
    size_t start = b->receipts.len;
    sb_receipt_encode(&b->receipts, &receipt);
    SB_TRY(sb_buf_err(&b->receipts));
    SB_TRY(reserve(b));
    SB_TRY(sb_executor_keep_inferences(b->x, result, &tx->hash));
    b->raw_txs[b->tx_count] = tx->raw;
    b->receipt_items[b->tx_count] = (sb_bytes){.data = NULL, .len = b->receipts.len - start};
    b->tx_count++;
    b->tx_bytes += tx->raw.len + SB_RLP_HEADER_BYTES_MAX;
    return SB_OK;
}

/* try_next: execute the picker's best transaction and take it, or leave it (and its sender) out. */
static sb_err try_next(struct build *b, struct sb_mempool_picker *picker,
                       const struct sb_pool_tx *tx)
{
    uint64_t gas_left = b->header.gas_limit - sb_executor_gas_used(b->x);
    if (tx->tx.gas_limit > gas_left ||
        b->tx_bytes + tx->raw.len + SB_RLP_HEADER_BYTES_MAX + b->consensus_bytes >
            b->head->params.block_bytes_max) {
        sb_mempool_picker_skip(picker); /* it may fit the next block */
        return SB_OK;
    }
    struct sb_tx_result result;
    SB_TRY(sb_executor_tx(&result, b->x, &tx->tx, &tx->sender, NULL));
    if (result.reject != SB_TX_ACCEPTED) {
        sb_mempool_drop(b->mempool, &tx->hash);
        sb_mempool_picker_skip(picker);
        return SB_OK;
    }
    SB_TRY(take(b, tx, &result));
    sb_mempool_picker_next(picker);
    return SB_OK;
}

static sb_err fill(struct build *b, struct sb_mempool_picker *picker)
{
    const struct sb_builder_options *o = b->options;
    uint64_t started_ms = o->monotonic_ms != NULL ? o->monotonic_ms(o->monotonic_ctx) : 0;
    SB_TRY(sb_executor_begin(b->x));
    for (;;) {
        const struct sb_pool_tx *tx = sb_mempool_picker_peek(picker);
        uint64_t gas_left = b->header.gas_limit - sb_executor_gas_used(b->x);
        if (tx == NULL || gas_left < TX_GAS_MIN || time_is_up(o, started_ms)) {
            return SB_OK;
        }
        SB_TRY(try_next(b, picker, tx));
    }
}

/* ---- precommits and evidence ---- */

static sb_err encoded_bytes(size_t *ret_bytes, const struct sb_commit *commit,
                            const struct sb_vote *vote)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    if (commit != NULL) {
        sb_commit_encode(&buf, commit);
    } else {
        sb_vote_encode(&buf, vote);
    }
    *ret_bytes = buf.len;
    sb_err err = sb_buf_err(&buf);
    sb_buf_fini(&buf);
    return err;
}

/* late_is_allowed: the block may carry this precommit behind `last`: see check_late_precommits in chain_consensus.c. */
static bool late_is_allowed(const struct build *b, const struct sb_commit *carried,
                            const struct sb_vote *vote, const struct sb_vote *last)
{
    struct sb_chain *chain = b->chain;
    uint64_t height = b->draft->height - 2;
    return vote->type == SB_VOTE_PRECOMMIT && vote->height == height &&
           (last == NULL || vote->validator_index > last->validator_index) &&
           sb_chain_precommit_is_late(carried, vote->validator_index) &&
           sb_vote_verify(vote, &sb_chain_rotation(chain, height)->set, &chain->domain,
                          &chain->verifier, NULL) == SB_OK;
}

/* take_late: those of the draft's late precommits that the block may carry and that fit. */
static sb_err take_late(struct build *b, size_t bytes_max)
{
    const struct sb_application_draft *draft = b->draft;
    struct sb_commit carried;
    if (draft->late_precommit_count == 0 || draft->height < 3) {
        return SB_OK;
    }
    SB_TRY(sb_chain_carried_commit(&carried, b->arena, b->chain, NULL));
    struct sb_vote *late = sb_arena_array(b->arena, SB_VALIDATORS_MAX, sizeof *late);
    if (late == NULL) {
        return SB_E_NOMEM;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < draft->late_precommit_count && b->late_count < SB_VALIDATORS_MAX; i++) {
        const struct sb_vote *vote = &draft->late_precommits[i];
        const struct sb_vote *last = b->late_count == 0 ? NULL : &late[b->late_count - 1];
        size_t vote_bytes;
        SB_TRY(encoded_bytes(&vote_bytes, NULL, vote));
        if (vote_bytes <= bytes_max - bytes && late_is_allowed(b, &carried, vote, last)) {
            late[b->late_count++] = *vote;
            bytes += vote_bytes;
        }
    }
    b->late = late;
    b->consensus_bytes += bytes;
    return SB_OK;
}

/* take_consensus: everything in the block but headers and transactions; it goes before the transactions. */
static sb_err take_consensus(struct build *b)
{
    const struct sb_params *params = &b->head->params;
    size_t share = (size_t)params->block_bytes_max / 4;
    size_t evidence_max =
        params->evidence_bytes_max < share ? (size_t)params->evidence_bytes_max : share;
    size_t bytes;
    SB_TRY(encoded_bytes(&bytes, &b->draft->last_commit, NULL));
    b->consensus_bytes = HEADERS_BYTES_MAX + bytes;
    SB_TRY(take_late(b, share));
    SB_TRY(sb_evidence_pool_pick(&b->evidence, &b->evidence_count, &bytes,
                                 sb_chain_evidence(b->chain), b->arena, b->draft->height,
                                 b->draft->time_ms, evidence_max));
    b->consensus_bytes += bytes;
    return SB_OK;
}

/* ---- closing the block ---- */

/* end_block: the system calls, as a validator makes them. */
static sb_err end_block(struct build *b)
{
    const struct sb_chain_facts facts = {.height = b->draft->height,
                                         .time_ms = b->draft->time_ms,
                                         .proposer = b->draft->proposer,
                                         .late = b->late,
                                         .late_count = b->late_count,
                                         .evidence = b->evidence,
                                         .evidence_count = b->evidence_count};
    const struct sb_system_input *system;
    struct sb_system_outcome outcome;
    SB_TRY(sb_chain_system_input(&system, b->arena, b->chain, &facts));
    return system != NULL ? sb_executor_end(&outcome, b->arena, b->x, system) : SB_OK;
}

static sb_err finish_header(struct build *b)
{
    size_t at = 0;
    for (size_t i = 0; i < b->tx_count; i++) { /* the buffer has come to rest */
        b->receipt_items[i].data = b->receipts.data + at;
        at += b->receipt_items[i].len;
    }
    b->header.gas_used = sb_executor_gas_used(b->x);
    SB_TRY(sb_ordered_root(&b->header.receipts_root, b->receipt_items, b->tx_count));
    SB_TRY(sb_ordered_root(&b->header.transactions_root, b->raw_txs, b->tx_count));
    struct sb_state_diff diff;
    struct sb_store_pending *pending;
    SB_TRY(sb_overlay_diff(&diff, sb_executor_state(b->x), b->arena));
    SB_TRY(sb_store_root(&b->header.state_root, &pending, sb_chain_store(b->chain), &diff));
    sb_store_pending_free(pending);
    return SB_OK;
}

static sb_err encode_payload(sb_bytes *ret_payload, const struct build *b)
{
    struct sb_block block = {.header = b->header,
                             .raw_txs = b->raw_txs,
                             .tx_count = b->tx_count,
                             .raw_uncles = sb_span(empty_list, sizeof empty_list),
                             .has_withdrawals = true,
                             .raw_withdrawals = sb_span(empty_list, sizeof empty_list)};
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_block_encode(&buf, &block);
    sb_err err = sb_buf_err(&buf);
    const uint8_t *copy = err == SB_OK ? sb_arena_dup(b->arena, sb_buf_bytes(&buf)) : NULL;
    if (err == SB_OK && copy == NULL) {
        err = SB_E_NOMEM;
    }
    if (err == SB_OK) {
        *ret_payload = sb_span(copy, buf.len);
    }
    sb_buf_fini(&buf);
    return err;
}

static sb_err make_consensus_block(struct sb_consensus_block *ret_block, const struct build *b,
                                   sb_bytes payload)
{
    const struct sb_application_draft *draft = b->draft;
    struct sb_consensus_block block = {
        .header = {.version = sb_chain_version_at(b->head, draft->height),
                   .chain_id = sb_chain_domain(b->chain)->chain_id,
                   .height = draft->height,
                   .time_ms = draft->time_ms,
                   .last_block_id = b->head->consensus_id,
                   .validators_hash = *sb_chain_set_hash(b->chain, draft->height),
                   .next_validators_hash = *sb_chain_set_hash(b->chain, draft->height + 1),
                   .params_hash = b->head->params_hash,
                   .payload_hash = sb_header_hash(&b->header),
                   .proposer = draft->proposer,
                   .randomness_proof_len = SB_RANDOMNESS_PROOF_BYTES},
        .last_commit = draft->last_commit,
        .late_precommits = b->late,
        .late_precommit_count = b->late_count,
        .evidence = b->evidence,
        .evidence_count = b->evidence_count,
        .payload = payload};
    struct sb_consensus_header *h = &block.header;
    size_t inference_count;
    const struct sb_inference_record *inferences = sb_executor_inferences(b->x, &inference_count);
    SB_TRY(sb_inference_root(&h->extension_root, b->arena, inferences, inference_count));
    memcpy(h->randomness_proof, draft->randomness_proof, SB_RANDOMNESS_PROOF_BYTES);
    SB_TRY(sb_commit_hash(&h->last_commit_hash, &block.last_commit));
    SB_TRY(sb_late_precommits_hash(&h->late_precommits_hash, b->late, b->late_count));
    SB_TRY(sb_evidence_list_hash(&h->evidence_hash, b->evidence, b->evidence_count));
    *ret_block = block;
    return SB_OK;
}

static sb_err encode_block(struct sb_built_block *ret_block, const struct build *b,
                           const struct sb_consensus_block *block)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_consensus_block_encode(&buf, block);
    sb_err err = sb_buf_err(&buf);
    const uint8_t *copy = err == SB_OK ? sb_arena_dup(b->arena, sb_buf_bytes(&buf)) : NULL;
    if (err == SB_OK && copy == NULL) {
        err = SB_E_NOMEM;
    }
    if (err == SB_OK) {
        *ret_block = (struct sb_built_block){.encoded = sb_span(copy, buf.len),
                                             .block_id = sb_consensus_block_id(&block->header),
                                             .tx_count = b->tx_count,
                                             .gas_used = b->header.gas_used};
    }
    sb_buf_fini(&buf);
    return err;
}

static sb_err run(struct sb_built_block *ret_block, struct build *b)
{
    SB_TRY(take_consensus(b));
    struct sb_mempool_picker *picker = sb_mempool_pick(b->mempool, &b->header.base_fee);
    if (picker == NULL) {
        return SB_E_NOMEM;
    }
    sb_bytes payload;
    sb_err err = fill(b, picker);
    if (err == SB_OK) {
        err = end_block(b);
    }
    if (err == SB_OK) {
        err = finish_header(b);
    }
    if (err == SB_OK) {
        err = encode_payload(&payload, b);
    }
    sb_mempool_picker_free(picker); /* raw_txs end here */
    struct sb_consensus_block block;
    if (err == SB_OK) {
        err = make_consensus_block(&block, b, payload);
    }
    return err == SB_OK ? encode_block(ret_block, b, &block) : err;
}

sb_err sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                        struct sb_chain *chain, struct sb_mempool *mempool,
                        const struct sb_builder_options *options,
                        const struct sb_application_draft *draft, struct sb_diag *diag)
{
    struct sb_chain_head head = sb_chain_head(chain);
    SB_ASSERT(draft->time_ms > head.time_ms);
    SB_ASSERT(draft->height == head.header.number + 1);
    sb_hash mix_hash;
    SB_TRY(sb_chain_mix_hash(&mix_hash, chain, &head, &draft->proposer,
                             sb_span(draft->randomness_proof, sizeof draft->randomness_proof),
                             diag));
    struct build b = {.arena = arena,
                      .chain = chain,
                      .mempool = mempool,
                      .options = options,
                      .draft = draft,
                      .head = &head,
                      .header = sb_chain_next_header(chain, &head, draft->time_ms, &mix_hash)};
    struct sb_block_env env = sb_chain_env(&b.header);
    struct sb_store_view *view;
    sb_err err = sb_store_view_open(&view, sb_chain_store(chain), head.header.number);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the head's state cannot be read: %s", sb_err_text(err));
    }
    sb_buf_init(&b.receipts, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    b.x = sb_executor_new(sb_store_view_state(view), sb_chain_rules(chain), &env,
                          sb_chain_inference(chain));
    if (b.x == NULL) {
        err = SB_E_NOMEM;
    } else {
        sb_executor_set_missing_hook(b.x, sb_chain_log_missing_precompile, chain);
        err = run(ret_block, &b);
        sb_executor_free(b.x);
    }
    sb_buf_fini(&b.receipts);
    sb_store_view_close(view);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the next block cannot be built: %s", sb_err_text(err));
    }
    return SB_OK;
}

/* ---- the pending block ---- */

/* choose_pending: references to the transactions that would fit by their gas limits. */
static size_t choose_pending(const struct sb_pool_tx **chosen, size_t chosen_max,
                             struct sb_mempool_picker *picker, uint64_t gas_limit)
{
    uint64_t gas = 0;
    size_t bytes = 0;
    size_t count = 0;
    for (;;) {
        const struct sb_pool_tx *tx = sb_mempool_picker_peek(picker);
        if (tx == NULL || count == chosen_max) {
            return count;
        }
        if (tx->tx.gas_limit > gas_limit - gas ||
            bytes + tx->raw.len + SB_RLP_HEADER_BYTES_MAX + HEADERS_BYTES_MAX >
                SB_CONSENSUS_BLOCK_BYTES_MAX) {
            sb_mempool_picker_skip(picker);
            continue;
        }
        gas += tx->tx.gas_limit;
        bytes += tx->raw.len + SB_RLP_HEADER_BYTES_MAX;
        chosen[count++] = tx;
        sb_mempool_picker_next(picker);
    }
}

/* fill_pending: lay the block out in the object's arena as if it had been stored. */
static sb_err fill_pending(struct sb_chain_block_object *object, const struct sb_header *header,
                           const struct sb_pool_tx **chosen, size_t count)
{
    struct sb_arena *arena = &object->arena;
    sb_bytes *raw_txs = sb_arena_array(arena, count, sizeof *raw_txs);
    sb_hash *hashes = sb_arena_array(arena, count, sizeof *hashes);
    sb_addr *senders = sb_arena_array(arena, count, sizeof *senders);
    if (raw_txs == NULL || hashes == NULL || senders == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        raw_txs[i] = chosen[i]->raw;
        hashes[i] = chosen[i]->hash;
        senders[i] = chosen[i]->sender;
    }
    struct build b = {.arena = arena, .header = *header, .raw_txs = raw_txs, .tx_count = count};
    SB_TRY(sb_ordered_root(&b.header.transactions_root, raw_txs, count));
    sb_bytes payload;
    SB_TRY(encode_payload(&payload, &b));
    SB_TRY(sb_block_decode(&object->pub.block, arena, payload, NULL));
    object->pub.hash = sb_header_hash(&b.header);
    object->pub.size_bytes = payload.len;
    object->pub.tx_hashes = hashes;
    object->pub.senders = senders;
    object->pub.is_pending = true;
    return SB_OK;
}

sb_err sb_builder_pending(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                          struct sb_mempool *mempool, uint64_t time_ms)
{
    struct sb_chain_head head = sb_chain_head(chain);
    uint64_t next_ms = time_ms > head.time_ms ? time_ms : head.time_ms + 1;
    sb_hash mix_hash = sb_chain_pending_mix_hash(&head);
    struct sb_header header = sb_chain_next_header(chain, &head, next_ms, &mix_hash);
    size_t chosen_max = (size_t)(header.gas_limit / TX_GAS_MIN);
    struct sb_mempool_picker *picker = sb_mempool_pick(mempool, &header.base_fee);
    const struct sb_pool_tx **chosen = calloc(chosen_max + 1, sizeof *chosen);
    struct sb_chain_block_object *object = sb_chain_object_new();
    sb_err err = SB_E_NOMEM;
    if (picker != NULL && chosen != NULL && object != NULL) {
        size_t count = choose_pending(chosen, chosen_max, picker, header.gas_limit);
        err = fill_pending(object, &header, chosen, count);
    }
    sb_mempool_picker_free(picker);
    free(chosen);
    if (err != SB_OK) {
        sb_chain_block_release(chain, object != NULL ? &object->pub : NULL);
        return err;
    }
    *ret_block = &object->pub;
    return SB_OK;
}
