/* query_inference.c: what those ask who check the chain from outside: light blocks, inferences and their proofs.
 *
 *     transaction --index--> block --records--> those of this transaction --> path;  call data and answer: by running the block again
 *
 * Records and light blocks are kept for every block; call data and answers only as long as the state before the block is. */
#include "base/crypto/keccak.h"
#include "consensus/inference_proof.h"
#include "node/backend_impl.h"
#include "node/query.h"

/* ---- light blocks ---- */

static sb_err copy_out(sb_bytes *ret_bytes, struct sb_arena *arena, struct sb_buf *buf)
{
    sb_err err = sb_buf_err(buf);
    const uint8_t *copy = err == SB_OK ? sb_arena_dup(arena, sb_buf_bytes(buf)) : NULL;
    if (copy != NULL) {
        *ret_bytes = sb_span(copy, buf->len);
    } else {
        err = err == SB_OK ? SB_E_NOMEM : err;
    }
    sb_buf_fini(buf);
    return err;
}

static struct sb_rpc_light_block show(const struct sb_light_block_parts *parts)
{
    return (struct sb_rpc_light_block){.header = parts->header,
                                       .id = sb_consensus_block_id(&parts->header),
                                       .commit = parts->commit,
                                       .validators = parts->validators,
                                       .next_validators = parts->next_validators};
}

sb_err sb_query_light_block(void *ctx, struct sb_arena *arena, uint64_t number,
                            struct sb_rpc_light_block *ret_block)
{
    const struct sb_backend *b = ctx;
    struct sb_light_block_parts parts;
    struct sb_buf buf;
    SB_TRY(sb_chain_light_block(&parts, arena, b->chain, number));
    struct sb_rpc_light_block block = show(&parts);
    sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_light_block_encode(&buf, &parts);
    SB_TRY(copy_out(&block.encoded, arena, &buf));
    *ret_block = block;
    return SB_OK;
}

/* ---- inferences ---- */

/* All records of a transaction's block, and which of them are its own. */
struct found {
    uint64_t number;
    const struct sb_inference_record *records;
    size_t count;
    uint32_t first;
    size_t own_count;
};

static sb_err find(struct found *ret_found, struct sb_arena *arena, const struct sb_backend *b,
                   const sb_hash *tx_hash)
{
    struct found found = {.count = 0};
    uint32_t tx_index;
    SB_TRY(sb_chain_tx_place(&found.number, &tx_index, b->chain, tx_hash));
    SB_TRY(sb_chain_inferences(&found.records, &found.count, arena, b->chain, found.number));
    while (found.first < found.count &&
           !sb_hash_equal(&found.records[found.first].tx_hash, tx_hash)) {
        found.first++;
    }
    while (found.first + found.own_count < found.count &&
           sb_hash_equal(&found.records[found.first + found.own_count].tx_hash, tx_hash)) {
        found.own_count++;
    }
    *ret_found = found;
    return SB_OK;
}

sb_err sb_query_inferences(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                           struct sb_rpc_inferences *ret_inferences)
{
    struct found found;
    SB_TRY(find(&found, arena, ctx, tx_hash));
    *ret_inferences = (struct sb_rpc_inferences){
        .number = found.number,
        .first = found.first,
        .records = found.own_count != 0 ? found.records + found.first : NULL,
        .count = found.own_count};
    return SB_OK;
}

/* ---- call data and answer ---- */

/* A call with the hashes of the record, looked for while the transaction runs again. */
struct search {
    const struct sb_inference_record *record;
    struct sb_arena *arena;
    bool is_open; /* inside of a call with this input */
    bool found;
    sb_bytes input, output;
};

static const sb_addr k_inference = {{[18] = 0x5b, [19] = 0x01}};

static void on_enter(void *ctx, const struct sb_message *message, int depth)
{
    struct search *s = ctx;
    (void)depth;
    s->is_open = false;
    if (s->found || !sb_addr_equal(&message->code_addr, &k_inference) ||
        !sb_addr_equal(&message->sender, &s->record->caller)) {
        return;
    }
    sb_hash hash = sb_keccak256(message->input);
    s->is_open = sb_hash_equal(&hash, &s->record->input_hash);
    s->input = message->input;
}

static void on_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                     int depth)
{
    struct search *s = ctx;
    (void)gas_used;
    (void)depth;
    if (!s->is_open || status != SB_EVM_SUCCESS) {
        return;
    }
    s->is_open = false;
    sb_hash hash = sb_keccak256(output);
    if (!sb_hash_equal(&hash, &s->record->output_hash)) {
        return;
    }
    const uint8_t *input = sb_arena_dup(s->arena, s->input);
    const uint8_t *answer = sb_arena_dup(s->arena, output);
    if (input != NULL && answer != NULL) {
        s->input.data = input;
        s->output = sb_span(answer, output.len);
        s->found = true;
    }
}

/* find_data: what cannot be had is left out: the proof holds without it. */
static sb_err find_data(struct sb_rpc_inference_proof *proof, struct sb_arena *arena,
                        struct sb_backend *b, const atomic_bool *stop)
{
    struct search search = {.record = &proof->record, .arena = arena};
    const struct sb_tracer hooks = {.ctx = &search, .enter = on_enter, .leave = on_leave};
    struct sb_rpc_failure ignored = {.code = 0};
    sb_err err = sb_query_replay_tx(b, arena, &proof->record.tx_hash, &hooks, stop, &ignored);
    if (err == SB_E_TIMEOUT || err == SB_E_NOMEM) {
        return err;
    }
    proof->has_data = err == SB_OK && search.found;
    if (proof->has_data) {
        proof->input = search.input;
        proof->output = search.output;
    }
    return SB_OK;
}

sb_err sb_query_inference_proof(void *ctx, struct sb_arena *arena, const sb_hash *tx_hash,
                                uint64_t index, const atomic_bool *stop,
                                struct sb_rpc_inference_proof *ret_proof)
{
    struct sb_backend *b = ctx;
    struct found found;
    struct sb_inference_proof proof;
    struct sb_buf buf;
    SB_TRY(find(&found, arena, b, tx_hash));
    if (index >= found.own_count) {
        return SB_E_NOT_FOUND;
    }
    uint32_t place = found.first + (uint32_t)index;
    SB_TRY(sb_chain_light_block(&proof.block, arena, b->chain, found.number));
    proof.record = found.records[place];
    SB_TRY(sb_inference_prove(&proof.path, arena, found.records, found.count, place));
    struct sb_rpc_inference_proof answer = {
        .block = show(&proof.block), .record = proof.record, .path = proof.path};
    sb_buf_init(&buf, SB_INFERENCE_PROOF_BYTES_MAX);
    sb_inference_proof_encode(&buf, &proof);
    SB_TRY(copy_out(&answer.encoded, arena, &buf));
    sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_light_block_encode(&buf, &proof.block);
    SB_TRY(copy_out(&answer.block.encoded, arena, &buf));
    SB_TRY(find_data(&answer, arena, b, stop));
    *ret_proof = answer;
    return SB_OK;
}
