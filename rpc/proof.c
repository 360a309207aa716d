/* proof.c: what is needed to check the chain from outside: commits, light blocks, inferences and their proofs, evidence. */
#include "rpc/access.h"
#include "rpc/members.h"

static void put_hash(struct sb_json *out, const char *name, const sb_hash *hash)
{
    sb_json_key(out, name);
    sb_json_hash(out, hash);
}

static void put_addr(struct sb_json *out, const char *name, const sb_addr *addr)
{
    sb_json_key(out, name);
    sb_json_addr(out, addr);
}

static void put_hex(struct sb_json *out, const char *name, sb_bytes bytes)
{
    sb_json_key(out, name);
    sb_json_hex(out, bytes);
}

/* ---- parts of a light block ---- */

static void write_header(struct sb_json *out, const struct sb_consensus_header *h,
                         const sb_hash *id)
{
    sb_json_object_begin(out);
    put_hash(out, "id", id);
    put_quantity(out, "version", h->version);
    put_quantity(out, "chainId", h->chain_id);
    put_quantity(out, "height", h->height);
    put_quantity(out, "timeMs", h->time_ms);
    put_hash(out, "lastBlockId", &h->last_block_id);
    put_hash(out, "validatorsHash", &h->validators_hash);
    put_hash(out, "nextValidatorsHash", &h->next_validators_hash);
    put_hash(out, "paramsHash", &h->params_hash);
    put_hash(out, "lastCommitHash", &h->last_commit_hash);
    put_hash(out, "latePrecommitsHash", &h->late_precommits_hash);
    put_hash(out, "evidenceHash", &h->evidence_hash);
    put_hash(out, "payloadHash", &h->payload_hash);
    put_addr(out, "proposer", &h->proposer);
    put_hex(out, "randomnessProof", sb_span(h->randomness_proof, h->randomness_proof_len));
    put_hash(out, "extensionRoot", &h->extension_root);
    sb_json_object_end(out);
}

static const char *flag_text(enum sb_commit_flag flag)
{
    return flag == SB_COMMIT_BLOCK ? "block" : flag == SB_COMMIT_NIL ? "nil" : "absent";
}

static void write_commit(struct sb_json *out, const struct sb_rpc_light_block *block)
{
    const struct sb_commit *commit = &block->commit;
    int64_t signed_power = 0;
    sb_json_object_begin(out);
    put_quantity(out, "height", commit->height);
    put_quantity(out, "round", (uint64_t)commit->round);
    put_hash(out, "blockId", &commit->block_id);
    put_hash(out, "blockHash", &block->header.payload_hash);
    put_quantity(out, "timeMs", block->header.time_ms);
    sb_json_key(out, "signatures");
    sb_json_array_begin(out);
    for (size_t i = 0; i < commit->sig_count && i < block->validators.count; i++) {
        const struct sb_commit_sig *sig = &commit->sigs[i];
        const struct sb_validator *v = &block->validators.validators[i];
        signed_power += sig->flag == SB_COMMIT_BLOCK ? v->power : 0;
        sb_json_object_begin(out);
        put_quantity(out, "index", i);
        put_addr(out, "address", &v->address);
        put_quantity(out, "power", (uint64_t)v->power);
        put_text(out, "flag", flag_text(sig->flag));
        put_hex(out, "signature", sb_span(sig->signature.bytes, sig->signature.len));
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
    put_quantity(out, "signedPower", (uint64_t)signed_power);
    put_quantity(out, "totalPower", (uint64_t)block->validators.total_power);
    sb_json_object_end(out);
}

static void write_set(struct sb_json *out, const struct sb_validator_set *set)
{
    sb_json_array_begin(out);
    for (size_t i = 0; i < set->count; i++) {
        const struct sb_validator *v = &set->validators[i];
        sb_json_object_begin(out);
        put_addr(out, "address", &v->address);
        put_hex(out, "publicKey", sb_span(v->key.bytes, v->key.len));
        put_quantity(out, "power", (uint64_t)v->power);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

/* read_decided_number: argument 0, a block by number or tag; none: the newest. */
static sb_err read_decided_number(struct sb_rpc_ctx *ctx, uint64_t *ret_number)
{
    struct sb_rpc_block_ref ref;
    SB_TRY(sb_rpc_args(ctx, 0, 1));
    SB_TRY(sb_rpc_read_block_number(ctx, &ref, sb_rpc_arg(ctx, 0)));
    uint64_t number = sb_rpc_resolve_number(ctx, &ref);
    if (number > sb_rpc_head_number(ctx) && ref.by == SB_RPC_BY_TAG) {
        number = sb_rpc_head_number(ctx); /* `pending` has no commit */
    }
    SB_TRY(sb_rpc_need_kept(ctx, number));
    *ret_number = number;
    return SB_OK;
}

static sb_err read_light_block(struct sb_rpc_ctx *ctx, struct sb_rpc_light_block *ret_block)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    uint64_t number;
    SB_TRY(read_decided_number(ctx, &number));
    return backend->light_block(backend->ctx, ctx->arena, number, ret_block);
}

sb_err sb_rpc_do_samebit_getCommit(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_light_block block;
    sb_err err = read_light_block(ctx, &block);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    write_commit(ctx->out, &block);
    return SB_OK;
}

sb_err sb_rpc_do_samebit_getLightBlock(struct sb_rpc_ctx *ctx)
{
    struct sb_rpc_light_block block;
    sb_err err = read_light_block(ctx, &block);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_hex(ctx->out, block.encoded);
    return SB_OK;
}

/* ---- inferences ---- */

static void write_record_members(struct sb_json *out, const struct sb_inference_record *record)
{
    put_hash(out, "transactionHash", &record->tx_hash);
    put_quantity(out, "index", record->index);
    put_addr(out, "caller", &record->caller);
    put_hash(out, "modelId", &record->model_id);
    put_hash(out, "inputHash", &record->input_hash);
    put_hash(out, "outputHash", &record->output_hash);
}

/* Argument: transaction hash. */
sb_err sb_rpc_do_samebit_getInferences(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_inferences found;
    sb_hash tx_hash;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_hash(ctx, &tx_hash, sb_rpc_arg(ctx, 0)));
    sb_err err = backend->inferences(backend->ctx, ctx->arena, &tx_hash, &found);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < found.count; i++) {
        sb_json_object_begin(ctx->out);
        put_quantity(ctx->out, "blockNumber", found.number);
        put_quantity(ctx->out, "blockIndex", found.first + i);
        write_record_members(ctx->out, &found.records[i]);
        sb_json_object_end(ctx->out);
    }
    sb_json_array_end(ctx->out);
    return SB_OK;
}

static void write_path(struct sb_json *out, const struct sb_inference_path *path)
{
    sb_json_object_begin(out);
    put_quantity(out, "index", path->index);
    put_quantity(out, "count", path->count);
    sb_json_key(out, "siblings");
    sb_json_array_begin(out);
    for (size_t i = 0; i < path->depth; i++) {
        sb_json_hash(out, &path->siblings[i]);
    }
    sb_json_array_end(out);
    sb_json_object_end(out);
}

static void write_proof(struct sb_json *out, const struct sb_rpc_inference_proof *proof)
{
    sb_json_object_begin(out);
    put_hex(out, "proof", proof->encoded);
    put_hex(out, "lightBlock", proof->block.encoded);
    sb_json_key(out, "header");
    write_header(out, &proof->block.header, &proof->block.id);
    sb_json_key(out, "commit");
    write_commit(out, &proof->block);
    sb_json_key(out, "validators");
    write_set(out, &proof->block.validators);
    sb_json_key(out, "nextValidators");
    write_set(out, &proof->block.next_validators);
    sb_json_key(out, "record");
    sb_json_object_begin(out);
    write_record_members(out, &proof->record);
    sb_json_object_end(out);
    sb_json_key(out, "path");
    write_path(out, &proof->path);
    if (proof->has_data) {
        put_hex(out, "input", proof->input);
        put_hex(out, "output", proof->output);
    }
    sb_json_object_end(out);
}

/* Arguments: transaction hash; which of its inferences, from 0 (0 when absent). */
sb_err sb_rpc_do_samebit_getInferenceProof(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_inference_proof proof;
    sb_hash tx_hash;
    uint64_t index = 0;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_hash(ctx, &tx_hash, sb_rpc_arg(ctx, 0)));
    if (sb_rpc_present(sb_rpc_arg(ctx, 1))) {
        SB_TRY(sb_rpc_read_count(ctx, &index, sb_rpc_arg(ctx, 1)));
    }
    sb_err err =
        backend->inference_proof(backend->ctx, ctx->arena, &tx_hash, index, ctx->stop, &proof);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    write_proof(ctx->out, &proof);
    return SB_OK;
}

/* ---- evidence ---- */

static void write_vote(struct sb_json *out, const struct sb_vote *vote)
{
    sb_json_object_begin(out);
    put_text(out, "type", vote->type == SB_VOTE_PREVOTE ? "prevote" : "precommit");
    put_quantity(out, "height", vote->height);
    put_quantity(out, "round", (uint64_t)vote->round);
    sb_json_key(out, "blockId");
    if (sb_vote_is_nil(vote)) {
        sb_json_null(out);
    } else {
        sb_json_hash(out, &vote->block_id);
    }
    put_quantity(out, "index", vote->validator_index);
    put_addr(out, "address", &vote->validator_address);
    put_hex(out, "signature", sb_span(vote->signature.bytes, vote->signature.len));
    sb_json_object_end(out);
}

static void write_votes(struct sb_json *out, const char *name, const struct sb_vote *votes,
                        size_t count)
{
    sb_json_key(out, name);
    sb_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        write_vote(out, &votes[i]);
    }
    sb_json_array_end(out);
}

static void write_evidence(struct sb_json *out, const struct sb_evidence *evidence)
{
    bool is_lunatic = evidence->kind == SB_EVIDENCE_LUNATIC;
    sb_json_object_begin(out);
    put_text(out, "kind", is_lunatic ? "lunatic" : "duplicateVote");
    put_addr(out, "address", &evidence->a.validator_address);
    put_quantity(out, "height", sb_evidence_height(evidence));
    if (is_lunatic) {
        write_votes(out, "votes", &evidence->a, 1);
        sb_json_key(out, "header");
        write_header(out, &evidence->header, &evidence->a.block_id);
    } else {
        const struct sb_vote votes[] = {evidence->a, evidence->b};
        write_votes(out, "votes", votes, 2);
    }
    sb_json_object_end(out);
}

/* Argument: a block by number or tag; none: the newest. */
sb_err sb_rpc_do_samebit_getEvidence(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_block_votes block;
    uint64_t number;
    SB_TRY(read_decided_number(ctx, &number));
    sb_err err = backend->block_votes(backend->ctx, ctx->arena, number, &block);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "height", block.height);
    put_hash(ctx->out, "blockId", &block.id);
    sb_json_key(ctx->out, "evidence");
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < block.evidence_count; i++) {
        write_evidence(ctx->out, &block.evidence[i]);
    }
    sb_json_array_end(ctx->out);
    write_votes(ctx->out, "latePrecommits", block.late_precommits, block.late_precommit_count);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

/* Arguments: an encoded light block that contradicts this chain; the height of a block that both histories have. */
sb_err sb_rpc_do_samebit_submitEvidence(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    sb_bytes encoded;
    uint64_t common_height = 0;
    size_t accepted;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_data(ctx, &encoded, sb_rpc_arg(ctx, 0)));
    if (sb_rpc_present(sb_rpc_arg(ctx, 1))) {
        SB_TRY(sb_rpc_read_count(ctx, &common_height, sb_rpc_arg(ctx, 1)));
    }
    SB_TRY(sb_rpc_or_server_error(ctx, backend->submit_evidence(backend->ctx, ctx->arena, encoded,
                                                                common_height, &accepted,
                                                                ctx->failure)));
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "accepted", accepted);
    sb_json_object_end(ctx->out);
    return SB_OK;
}
