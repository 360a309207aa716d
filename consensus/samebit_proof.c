/* samebit_proof.c: samebit_proof.h over inference_proof.h. */
#include "consensus/samebit_proof.h"

#include "consensus/inference_proof.h"

#define PROVEN                  0
#define NOT_PROVEN              1
#define NO_TRUST                2
#define NO_MEMORY               3

#define LIGHT_BLOCK_ARENA_BYTES ((size_t)1 << 20)

static sb_hash hash_of(const uint8_t bytes[32])
{
    sb_hash hash;
    memcpy(hash.b, bytes, sizeof hash.b);
    return hash;
}

/* trust_earlier: what an earlier block vouches for, if it is the one that the caller trusts. */
static sb_err trust_earlier(struct sb_light_trust *ret, struct sb_arena *arena,
                            const struct samebit_trust *trust)
{
    struct sb_light_block_parts parts;
    SB_TRY(sb_light_block_decode(&parts, arena,
                                 sb_span(trust->light_block, trust->light_block_bytes), NULL));
    sb_hash id = sb_consensus_block_id(&parts.header);
    sb_hash next = sb_validator_set_hash(&parts.next_validators);
    if (memcmp(id.b, trust->hash, sizeof id.b) != 0 ||
        !sb_hash_equal(&next, &parts.header.next_validators_hash)) {
        return SB_E_ARG;
    }
    *ret = (struct sb_light_trust){.height = parts.header.height,
                                   .time = parts.header.time_ms,
                                   .last_hash = parts.header.last_block_id,
                                   .next_validators_hash = next,
                                   .next_validators = parts.next_validators};
    return SB_OK;
}

static void show(struct samebit_inference *ret, const struct sb_inference_verdict *v)
{
    ret->height = v->header.height;
    ret->time_ms = v->header.time_ms;
    ret->index = v->record.index;
    memcpy(ret->block_id, v->block_id.b, 32);
    memcpy(ret->block_hash, v->header.payload_hash.b, 32);
    memcpy(ret->tx_hash, v->record.tx_hash.b, 32);
    memcpy(ret->caller, v->record.caller.b, 20);
    memcpy(ret->model_id, v->record.model_id.b, 32);
    memcpy(ret->input_hash, v->record.input_hash.b, 32);
    memcpy(ret->output_hash, v->record.output_hash.b, 32);
}

static int judge(struct samebit_inference *ret_inference, const char **ret_reason,
                 const struct sb_inference_trust *trust, sb_bytes proof)
{
    struct sb_inference_verdict verdict;
    if (sb_inference_proof_verify(&verdict, trust, proof) != SB_OK) {
        *ret_reason = sb_err_text(SB_E_NOMEM);
        return NO_MEMORY;
    }
    *ret_reason = verdict.reason == SB_INFERENCE_LIGHT ? sb_light_reason_text(verdict.light_reason)
                                                       : sb_inference_reason_text(verdict.reason);
    if (verdict.reason != SB_INFERENCE_NONE) {
        return NOT_PROVEN;
    }
    show(ret_inference, &verdict);
    return PROVEN;
}

int samebit_inference_verify(struct samebit_inference *ret_inference, const char **ret_reason,
                             const struct samebit_trust *trust, const uint8_t *proof,
                             size_t proof_bytes)
{
    const char *ignored;
    const char **reason = ret_reason != NULL ? ret_reason : &ignored;
    const sb_hash hash = hash_of(trust->hash);
    struct sb_light_trust earlier;
    struct sb_inference_trust inner = {
        .chain = {.domain = {.chain_id = trust->chain_id,
                             .genesis_hash = hash_of(trust->genesis_hash)},
                  .verifier = sb_verifier_ed25519()},
        .block_id = trust->kind == SAMEBIT_TRUST_BLOCK ? &hash : NULL,
        .validators_hash = trust->kind == SAMEBIT_TRUST_SET ? &hash : NULL,
        .block = trust->kind == SAMEBIT_TRUST_EARLIER ? &earlier : NULL,
        .options = {.trusting_period = trust->trusting_period_ms,
                    .clock_drift = trust->clock_drift_ms,
                    .trust_numerator = 1,
                    .trust_denominator = 3},
        .now_ms = trust->now_ms};
    struct sb_arena arena;
    sb_arena_init(&arena, LIGHT_BLOCK_ARENA_BYTES);
    sb_err err = inner.block_id != NULL || inner.validators_hash != NULL ? SB_OK
                 : inner.block == NULL || trust->trusting_period_ms == 0
                     ? SB_E_ARG
                     : trust_earlier(&earlier, &arena, trust);
    int result = err == SB_E_NOMEM ? NO_MEMORY : NO_TRUST;
    if (err == SB_OK) {
        result = judge(ret_inference, reason, &inner, sb_span(proof, proof_bytes));
    } else {
        *reason = err == SB_E_NOMEM ? sb_err_text(err) : "what the caller trusts is malformed";
    }
    sb_arena_fini(&arena);
    return result;
}
