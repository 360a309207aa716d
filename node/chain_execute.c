/* chain_execute.c: the verdict on a proposed block, and its commit (see chain.h).
 *
 *      encoded --> decode --> consensus header --> Ethereum header, the part known beforehand --> senders
 *              --> sb_exec_block on the head's state --> root --> Ethereum header, the outcome --> executed
 *
 * Cheap checks come before dear ones. The expected header is made from the parent and the execution alone; the proposed one is then
 * compared with it field by field, so that a field which nobody thought of cannot slip through: what is not free must be equal. Free
 * are only extraData (bounded by its decoder) and, within the consensus header, the time. */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/chain_impl.h"

/* What a commit encodes: consensus block, commit, receipts, inferences. */
#define SCRATCH_BUFFERS 4

struct sb_chain_executed {
    struct sb_chain_block_object *object; /* owned; everything below lives in its arena */
    sb_bytes encoded;
    struct sb_consensus_block consensus;
    sb_hash consensus_id;
    sb_hash mix_hash; /* by the randomness proof */
    struct sb_block_result result;
    struct sb_store_pending *pending; /* owned until the commit takes it */
    const struct sb_validator_change
        *changes; /* of the validator set, in force two heights later */
    size_t change_count;
    bool is_decoded; /* consensus can be read */
    bool is_forged;  /* the outcome is not what the header promises */
};

bool sb_chain_err_is_invalid(sb_err err)
{
    static const sb_err failures[] = {SB_OK,          SB_E_NOMEM,     SB_E_IO,      SB_E_BUSY,
                                      SB_E_TIMEOUT,   SB_E_CANCELLED, SB_E_CORRUPT, SB_E_INTERNAL,
                                      SB_E_NOT_FOUND, SB_E_UNKNOWN};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if (err == failures[i]) {
            return false;
        }
    }
    return true;
}

static sb_err differs(struct sb_diag *diag, const char *what)
{
    return sb_fail(diag, SB_E_ARG, "%s is not what this block must have", what);
}

/* ---- Ethereum header ---- */

#define SAME(field) (memcmp(&got->field, &want->field, sizeof got->field) == 0)

/* first_difference: name of the first field outside the outcome of execution that differs; NULL when all agree. */
static const char *first_difference(const struct sb_header *got, const struct sb_header *want)
{
    return got->field_count != want->field_count ? "number of header fields"
           : !SAME(parent_hash)                  ? "parentHash"
           : !SAME(uncles_hash)                  ? "sha3Uncles"
           : !SAME(coinbase)                     ? "miner"
           : !SAME(difficulty)                   ? "difficulty"
           : !SAME(number)                       ? "number"
           : !SAME(gas_limit)                    ? "gasLimit"
           : !SAME(timestamp)                    ? "timestamp"
           : !SAME(mix_hash)                     ? "mixHash"
           : !SAME(nonce)                        ? "nonce"
           : !SAME(base_fee)                     ? "baseFeePerGas"
           : !SAME(withdrawals_root)             ? "withdrawalsRoot"
           : !SAME(blob_gas_used)                ? "blobGasUsed"
           : !SAME(excess_blob_gas)              ? "excessBlobGas"
           : !SAME(parent_beacon_root)           ? "parentBeaconBlockRoot"
           : !SAME(requests_hash)                ? "requestsHash"
                                                 : NULL;
}

/* outcome_differences: names of the fields that execution yields and that differ, in one text. False when all agree. */
static bool outcome_differences(char *ret_names, size_t size, const struct sb_header *got,
                                const struct sb_header *want, bool same_inferences)
{
    const char *names[] = {SAME(transactions_root) ? NULL : "transactionsRoot",
                           SAME(gas_used) ? NULL : "gasUsed",
                           SAME(receipts_root) ? NULL : "receiptsRoot",
                           SAME(logs_bloom) ? NULL : "logsBloom",
                           SAME(state_root) ? NULL : "stateRoot",
                           same_inferences ? NULL : "extension root"};
    size_t len = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i] != NULL) {
            len += (size_t)snprintf(ret_names + len, size - len, "%s%s", len == 0 ? "" : ", ",
                                    names[i]);
        }
    }
    return len != 0;
}
#undef SAME

static sb_err check_header(const struct sb_chain *chain, const struct sb_chain_head *head,
                           const struct sb_chain_executed *x, struct sb_diag *diag)
{
    const struct sb_block *block = &x->object->pub.block;
    struct sb_header want =
        sb_chain_next_header(chain, head, x->consensus.header.time_ms, &x->mix_hash);
    const char *name = first_difference(&block->header, &want);
    if (name != NULL) {
        return differs(diag, name);
    }
    static const uint8_t empty_list[] = {0xc0};
    sb_bytes empty = sb_span(empty_list, sizeof empty_list);
    if (!sb_span_equal(block->raw_uncles, empty)) {
        return differs(diag, "list of uncles");
    }
    if (!block->has_withdrawals || !sb_span_equal(block->raw_withdrawals, empty)) {
        return differs(diag, "list of withdrawals");
    }
    return SB_OK;
}

/* ---- execution ---- */

static sb_err find_senders(struct sb_chain *chain, struct sb_chain_block_object *object,
                           struct sb_diag *diag)
{
    size_t count = object->pub.block.tx_count;
    sb_addr *senders = sb_arena_array(&object->arena, count, sizeof *senders);
    sb_hash *hashes = sb_arena_array(&object->arena, count, sizeof *hashes);
    if (senders == NULL || hashes == NULL) {
        return SB_E_NOMEM;
    }
    sb_keccak256_multi(hashes, object->pub.block.raw_txs, count);
    pthread_mutex_lock(&chain->lock);
    sb_chain_sender_hint_fn hint = chain->sender_hint;
    void *hint_ctx = chain->sender_hint_ctx;
    pthread_mutex_unlock(&chain->lock);
    for (size_t i = 0; i < count; i++) {
        if (hint != NULL && hint(hint_ctx, &hashes[i], &senders[i])) {
            continue;
        }
        if (sb_tx_sender(&senders[i], &object->pub.block.txs[i]) != SB_OK) {
            return sb_fail(diag, SB_E_ARG, "transaction %zu has no valid signature", i);
        }
    }
    object->pub.tx_hashes = hashes;
    object->pub.senders = senders;
    return SB_OK;
}

static sb_err run_block(struct sb_chain_executed *x, struct sb_chain *chain,
                        const struct sb_chain_head *head, struct sb_diag *diag)
{
    struct sb_chain_block_object *object = x->object;
    struct sb_block_env env = sb_chain_env(&object->pub.block.header);
    const struct sb_consensus_block *consensus = &x->consensus;
    const struct sb_chain_facts facts = {.height = consensus->header.height,
                                         .time_ms = consensus->header.time_ms,
                                         .proposer = consensus->header.proposer,
                                         .late = consensus->late_precommits,
                                         .late_count = consensus->late_precommit_count,
                                         .evidence = consensus->evidence,
                                         .evidence_count = consensus->evidence_count};
    const struct sb_system_input *system;
    struct sb_store_view *view;
    struct sb_arena arena; /* of the input: the object's lives longer than it has to */
    SB_TRY(sb_store_view_open(&view, chain->store, head->header.number));
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = sb_chain_system_input(&system, &arena, chain, &facts);
    if (err == SB_OK) {
        err = sb_exec_block(&x->result, &object->arena, sb_store_view_state(view), &chain->rules,
                            &env, chain->inference, &object->pub.block, object->pub.senders, system,
                            diag);
    }
    sb_arena_fini(&arena);
    sb_store_view_close(view);
    return err;
}

/* check_outcome: what execution gave against what the header promises. */
static sb_err check_outcome(struct sb_chain_executed *x, struct sb_chain *chain,
                            struct sb_diag *diag)
{
    const struct sb_block_result *result = &x->result;
    const struct sb_header *got = &x->object->pub.block.header;
    struct sb_header want = *got;
    char names[80];
    want.transactions_root = result->transactions_root;
    want.receipts_root = result->receipts_root;
    want.gas_used = result->gas_used;
    want.logs_bloom = result->bloom;
    SB_TRY(sb_store_root(&want.state_root, &x->pending, chain->store, &result->diff));
    bool same_inferences =
        sb_hash_equal(&x->consensus.header.extension_root, &result->inference_root);
    if (!outcome_differences(names, sizeof names, got, &want, same_inferences)) {
        return SB_OK;
    }
    x->is_forged = true;
    return sb_fail(diag, SB_E_ARG, "the header promises another %s than the transactions give",
                   names);
}

static sb_err execute(struct sb_chain_executed *x, struct sb_chain *chain, sb_bytes encoded,
                      struct sb_diag *diag)
{
    struct sb_chain_block_object *object = x->object;
    struct sb_chain_head head = sb_chain_head(chain);
    if (encoded.len > head.params.block_bytes_max) {
        return sb_fail(diag, SB_E_ARG, "the block has %zu bytes, over the maximum of %llu",
                       encoded.len, (unsigned long long)head.params.block_bytes_max);
    }
    const uint8_t *copy = sb_arena_dup(&object->arena, encoded);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    x->encoded = sb_span(copy, encoded.len);
    SB_TRY(sb_consensus_block_decode(&x->consensus, &object->arena, x->encoded, diag));
    x->is_decoded = true;
    SB_TRY(
        sb_chain_check_consensus(&x->mix_hash, chain, &head, &x->consensus, &object->arena, diag));
    x->consensus_id = sb_consensus_block_id(&x->consensus.header);
    SB_TRY(sb_block_decode(&object->pub.block, &object->arena, x->consensus.payload, diag));
    object->pub.hash = x->consensus.header.payload_hash;
    object->pub.size_bytes = x->consensus.payload.len;
    SB_TRY(check_header(chain, &head, x, diag));
    SB_TRY(find_senders(chain, object, diag));
    SB_TRY(run_block(x, chain, &head, diag));
    object->pub.receipts = x->result.receipts;
    SB_TRY(check_outcome(x, chain, diag));
    return chain->update_source(chain->update_ctx, &object->arena, x->consensus.header.height,
                                &x->result, &x->changes, &x->change_count);
}

/* is_bound: header and body belong together; what the header says may be wrong all the same. */
static bool is_bound(struct sb_chain_executed *x)
{
    static const uint8_t empty_list[] = {0xc0};
    sb_bytes empty = sb_span(empty_list, sizeof empty_list);
    struct sb_block block;
    sb_hash root;
    return x->is_decoded && sb_consensus_block_check(&x->consensus, NULL) == SB_OK &&
           sb_block_decode(&block, &x->object->arena, x->consensus.payload, NULL) == SB_OK &&
           sb_ordered_root(&root, block.raw_txs, block.tx_count) == SB_OK &&
           sb_hash_equal(&root, &block.header.transactions_root) &&
           sb_span_equal(block.raw_uncles, empty) && block.has_withdrawals &&
           sb_span_equal(block.raw_withdrawals, empty);
}

static struct sb_chain_executed *executed_new(void)
{
    struct sb_chain_executed *x = calloc(1, sizeof *x);
    if (x != NULL) {
        x->object = sb_chain_object_new();
    }
    if (x != NULL && x->object == NULL) {
        free(x);
        return NULL;
    }
    return x;
}

sb_err sb_chain_judge(struct sb_chain_executed **ret_executed, struct sb_chain_verdict *ret_verdict,
                      struct sb_chain *chain, sb_bytes encoded, struct sb_diag *diag)
{
    SB_ASSERT(!chain->read_only);
    struct sb_chain_executed *x = executed_new();
    if (x == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_diag why = {.text = ""};
    sb_err err = execute(x, chain, encoded, &why);
    const char *text = why.text[0] != '\0' ? why.text : sb_err_text(err);
    struct sb_chain_verdict verdict = {.is_valid = err == SB_OK,
                                       .is_undecided = err == SB_E_UNKNOWN,
                                       .is_forged = x->is_forged,
                                       .has_header = x->is_decoded,
                                       .proposer = x->consensus.header.proposer};
    if (err != SB_OK) {
        (void)snprintf(verdict.reason, sizeof verdict.reason, "%s", text);
        verdict.is_bound = is_bound(x);
        sb_chain_executed_free(chain, x);
        if (!verdict.is_undecided && !sb_chain_err_is_invalid(err)) {
            return sb_fail(diag, err, "%s", verdict.reason);
        }
    } else {
        *ret_executed = x;
    }
    *ret_verdict = verdict;
    return SB_OK;
}

sb_err sb_chain_execute(struct sb_chain_executed **ret_executed, struct sb_chain *chain,
                        sb_bytes encoded, struct sb_diag *diag)
{
    struct sb_chain_verdict verdict;
    SB_TRY(sb_chain_judge(ret_executed, &verdict, chain, encoded, diag));
    return verdict.is_valid ? SB_OK
                            : sb_fail(diag, verdict.is_undecided ? SB_E_UNKNOWN : SB_E_ARG, "%s",
                                      verdict.reason);
}

const sb_hash *sb_chain_executed_id(const struct sb_chain_executed *executed)
{
    return &executed->consensus_id;
}

const struct sb_consensus_header *sb_chain_executed_header(const struct sb_chain_executed *executed)
{
    return &executed->consensus.header;
}

void sb_chain_executed_free(struct sb_chain *chain, struct sb_chain_executed *executed)
{
    if (executed == NULL) {
        return;
    }
    if (executed->pending != NULL) {
        sb_store_pending_free(executed->pending);
    }
    if (executed->object != NULL) {
        sb_chain_block_release(chain, &executed->object->pub);
    }
    free(executed);
}

/* ---- commit ---- */

/* split_payload: the stored parts of an Ethereum block: rlp(header), and rlp of the list of all that follows. */
static sb_err split_payload(sb_bytes *ret_header, sb_bytes *ret_body, struct sb_arena *arena,
                            sb_bytes payload)
{
    struct sb_rlp in = sb_rlp_open(payload);
    struct sb_rlp items;
    struct sb_rlp_item header;
    SB_TRY(sb_rlp_read_list(&items, &in));
    SB_TRY(sb_rlp_read_item(&header, &items));
    size_t rest = (size_t)(items.end - items.at);
    uint8_t list[SB_RLP_HEADER_BYTES_MAX];
    size_t list_len = sb_rlp_header(list, SB_RLP_LIST, rest);
    uint8_t *body = sb_arena_alloc(arena, list_len + rest);
    if (body == NULL) {
        return SB_E_NOMEM;
    }
    memcpy(body, list, list_len);
    sb_copy(body + list_len, items.at, rest);
    *ret_header = header.raw;
    *ret_body = sb_span(body, list_len + rest);
    return SB_OK;
}

static sb_err encode_receipts(const sb_bytes **ret_receipts, struct sb_buf *buf,
                              struct sb_arena *arena, const struct sb_block_result *result)
{
    sb_bytes *receipts = sb_arena_array(arena, result->tx_count, sizeof *receipts);
    if (receipts == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < result->tx_count; i++) {
        size_t start = buf->len;
        sb_receipt_encode(buf, &result->receipts[i]);
        receipts[i] = (sb_bytes){.data = NULL, .len = buf->len - start};
    }
    SB_TRY(sb_buf_err(buf));
    size_t at = 0;
    for (size_t i = 0; i < result->tx_count; i++) { /* the buffer has come to rest */
        receipts[i].data = buf->data + at;
        at += receipts[i].len;
    }
    *ret_receipts = receipts;
    return SB_OK;
}

/* store_executed: the one batch. The consensus block is stored with an empty payload, since header and body are stored beside it. */
static sb_err store_executed(struct sb_chain *chain, struct sb_chain_executed *x,
                             const struct sb_commit *commit, struct sb_buf *scratch,
                             struct sb_diag *diag)
{
    struct sb_arena *arena = &x->object->arena;
    const struct sb_rpc_block *pub = &x->object->pub;
    static const uint8_t empty_list[] = {0xc0};
    struct sb_consensus_block bare = x->consensus;
    bare.payload = sb_span(empty_list, sizeof empty_list);
    sb_consensus_block_encode(&scratch[0], &bare);
    sb_commit_encode(&scratch[1], commit);
    SB_TRY(sb_buf_err(&scratch[0]));
    SB_TRY(sb_buf_err(&scratch[1]));
    struct sb_store_block block = {.number = pub->block.header.number,
                                   .block_hash = pub->hash,
                                   .state_root = pub->block.header.state_root,
                                   .tx_hashes = pub->tx_hashes,
                                   .senders = pub->senders,
                                   .tx_count = pub->block.tx_count,
                                   .consensus_block = sb_buf_bytes(&scratch[0]),
                                   .commit = sb_buf_bytes(&scratch[1])};
    SB_TRY(split_payload(&block.header, &block.body, arena, x->consensus.payload));
    SB_TRY(encode_receipts(&block.receipts, &scratch[2], arena, &x->result));
    if (x->result.inference_count != 0) {
        sb_inference_list_encode(&scratch[3], x->result.inferences, x->result.inference_count);
        SB_TRY(sb_buf_err(&scratch[3]));
        block.inferences = sb_buf_bytes(&scratch[3]);
    }
    struct sb_params params = sb_chain_params(chain);
    struct sb_record_list records = {.arena = arena};
    SB_TRY(sb_chain_sets_follow(chain, &records, block.number, x->changes, x->change_count));
    SB_TRY(sb_evidence_pool_prepare_commit(&records, chain->evidence, &x->consensus, &params));
    block.records = records.items;
    block.record_count = records.count;
    struct sb_store_pending *pending = x->pending;
    x->pending = NULL;
    SB_TRY(sb_store_commit_take(chain->store, pending, &block, diag));
    sb_evidence_pool_committed(chain->evidence);
    return SB_OK;
}

static void announce(struct sb_chain *chain, const struct sb_chain_executed *x)
{
    struct sb_chain_event event = {.block = &x->object->pub,
                                   .diff = &x->result.diff,
                                   .next_base_fee = sb_chain_next_base_fee(chain)};
    pthread_mutex_lock(&chain->lock);
    struct sb_chain_subscriber list[SB_CHAIN_SUBSCRIBERS_MAX];
    size_t count = chain->subscriber_count;
    memcpy(list, chain->subscribers, count * sizeof list[0]);
    pthread_mutex_unlock(&chain->lock);
    for (size_t i = 0; i < count; i++) {
        list[i].fn(list[i].ctx, &event);
    }
}

sb_err sb_chain_commit_take(struct sb_chain *chain, struct sb_chain_executed *executed,
                            const struct sb_commit *commit, struct sb_diag *diag)
{
    SB_ASSERT(sb_hash_equal(&commit->block_id, &executed->consensus_id));
    struct sb_buf scratch[SCRATCH_BUFFERS];
    for (size_t i = 0; i < SCRATCH_BUFFERS; i++) {
        sb_buf_init(&scratch[i], SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    }
    struct sb_params params = sb_chain_params(chain);
    sb_err err = store_executed(chain, executed, commit, scratch, diag);
    for (size_t i = 0; i < SCRATCH_BUFFERS; i++) {
        sb_buf_fini(&scratch[i]);
    }
    if (err == SB_OK && sb_chain_diff_has_params(&executed->result.diff)) {
        err = sb_chain_load_params(&params, chain, executed->object->pub.block.header.number, diag);
    }
    if (err == SB_OK) {
        sb_chain_note_system(chain, executed->consensus.header.height, &executed->result.system);
        sb_chain_block_retain(&executed->object->pub); /* the head's reference */
        sb_chain_set_head(chain, executed->object, &executed->consensus_id,
                          executed->consensus.header.time_ms, executed->consensus.header.version,
                          &params);
        announce(chain, executed);
    }
    sb_chain_executed_free(chain, executed);
    return err;
}
