/* inference_proof.c: form and judgement of proofs of inferences; see inference_proof.h. Spec: docs/spec/inference-proof.md, section 3. */
#include "consensus/inference_proof.h"

#include "base/codec/rlp.h"
#include "base/types/field.h"
#include "base/util/assert.h"
#include "base/util/checked.h"

/* Two sets and a commit, decoded, at their largest. */
#define PROOF_ARENA_BYTES ((size_t)1 << 20)

/* ---- form ---- */

static void put_path(struct sb_buf *out, const struct sb_inference_path *path)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, path->index);
    sb_rlp_put_u64(out, path->count);
    size_t siblings = sb_rlp_list_begin(out);
    for (uint8_t i = 0; i < path->depth; i++) {
        sb_rlp_put_hash(out, &path->siblings[i]);
    }
    sb_rlp_list_end(out, siblings);
    sb_rlp_list_end(out, list);
}

void sb_inference_proof_encode(struct sb_buf *out, const struct sb_inference_proof *proof)
{
    size_t list = sb_rlp_list_begin(out);
    sb_light_block_encode(out, &proof->block);
    sb_inference_record_encode(out, &proof->record);
    put_path(out, &proof->path);
    sb_rlp_list_end(out, list);
}

static sb_err read_path(struct sb_inference_path *ret_path, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f, siblings;
    uint64_t index, count;
    size_t depth;
    struct sb_inference_path path = {.depth = 0};
    SB_FIELD("inference path", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("inference path", "index", sb_rlp_read_u64(&index, &f));
    SB_FIELD("inference path", "count", sb_rlp_read_u64(&count, &f));
    SB_FIELD("inference path", "siblings", sb_rlp_read_list(&siblings, &f));
    SB_FIELD("inference path", "end", sb_rlp_end(&f));
    SB_FIELD("inference path", "siblings",
             sb_rlp_count(&depth, &siblings, SB_INFERENCE_PROOF_DEPTH_MAX));
    if (index >= count || count > SB_INFERENCE_RECORDS_MAX) {
        return sb_fail(diag, SB_E_RANGE, "inference path: index or count is out of range");
    }
    for (size_t i = 0; i < depth; i++) {
        SB_FIELD("inference path", "sibling", sb_rlp_read_hash(&path.siblings[i], &siblings));
    }
    path.index = (uint32_t)index;
    path.count = (uint32_t)count;
    path.depth = (uint8_t)depth;
    *ret_path = path;
    return SB_OK;
}

sb_err sb_inference_proof_decode(struct sb_inference_proof *ret_proof, struct sb_arena *arena,
                                 sb_bytes raw, struct sb_diag *diag)
{
    if (raw.len > SB_INFERENCE_PROOF_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "inference proof of %zu bytes, at most %zu are allowed",
                       raw.len, SB_INFERENCE_PROOF_BYTES_MAX);
    }
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    struct sb_rlp_item block, record;
    struct sb_inference_proof proof;
    SB_FIELD("inference proof", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("inference proof", "end", sb_rlp_end(&in));
    SB_FIELD("inference proof", "light block", sb_rlp_read_item(&block, &f));
    SB_FIELD("inference proof", "record", sb_rlp_read_item(&record, &f));
    SB_TRY(read_path(&proof.path, &f, diag));
    SB_FIELD("inference proof", "end", sb_rlp_end(&f));
    SB_TRY(sb_inference_record_decode(&proof.record, record.raw, diag));
    SB_TRY(sb_light_block_decode(&proof.block, arena, block.raw, diag));
    *ret_proof = proof;
    return SB_OK;
}

sb_err sb_inference_proof_height(uint64_t *ret_height, sb_bytes raw)
{
    struct sb_arena arena;
    struct sb_inference_proof proof;
    sb_arena_init(&arena, PROOF_ARENA_BYTES);
    sb_err err = sb_inference_proof_decode(&proof, &arena, raw, NULL);
    if (err == SB_OK) {
        *ret_height = proof.block.header.height;
    }
    sb_arena_fini(&arena);
    return err;
}

/* ---- judgement ---- */

static struct sb_inference_verdict refused(enum sb_inference_reason reason,
                                           enum sb_light_reason light_reason)
{
    return (struct sb_inference_verdict){.reason = reason, .light_reason = light_reason};
}

/* judge_light: the block by the light client's rules. A trusted set stands for a block right below that announced it. */
static enum sb_light_reason judge_light(const struct sb_inference_trust *trust,
                                        const sb_hash *validators_hash,
                                        const struct sb_light_block *block)
{
    struct sb_light_codec codec = sb_light_codec_chain(&trust->chain);
    if (trust->block != NULL) {
        return sb_light_verify(&codec, &trust->options, trust->block, block, trust->now_ms).reason;
    }
    const struct sb_light_options options = {.trusting_period = UINT64_MAX,
                                             .clock_drift = 1,
                                             .trust_numerator = 1,
                                             .trust_denominator = 1};
    const struct sb_light_trust below = {.height = block->height - 1,
                                         .time = sat_sub_u64(block->time, 1),
                                         .next_validators_hash = *validators_hash};
    return sb_light_verify(&codec, &options, &below, block, block->time).reason;
}

static struct sb_inference_verdict judge(const struct sb_inference_trust *trust,
                                         const struct sb_inference_proof *proof)
{
    const struct sb_consensus_header *header = &proof->block.header;
    const struct sb_light_source source = {.header = header, .commit = &proof->block.commit};
    struct sb_light_sig sigs[SB_VALIDATORS_MAX];
    struct sb_light_block block;
    sb_err err = sb_light_block_make(&block, sigs, &trust->chain, &source, &proof->block.validators,
                                     &proof->block.next_validators, NULL);
    if (err != SB_OK) {
        return err == SB_E_SHAPE ? refused(SB_INFERENCE_LIGHT, SB_LIGHT_SIG_COUNT)
                                 : refused(SB_INFERENCE_CHAIN, SB_LIGHT_NONE);
    }
    sb_hash id = sb_consensus_block_id(header);
    if (trust->block_id != NULL && !sb_hash_equal(&id, trust->block_id)) {
        return refused(SB_INFERENCE_BLOCK, SB_LIGHT_NONE);
    }
    /* of a block that is trusted itself, the header is believed, and so the set that it names */
    const sb_hash *set =
        trust->block_id != NULL ? &header->validators_hash : trust->validators_hash;
    enum sb_light_reason light_reason = judge_light(trust, set, &block);
    if (light_reason != SB_LIGHT_NONE) {
        return refused(SB_INFERENCE_LIGHT, light_reason);
    }
    if (!sb_inference_path_check(&header->extension_root, &proof->record, &proof->path)) {
        return refused(SB_INFERENCE_PATH, SB_LIGHT_NONE);
    }
    return (struct sb_inference_verdict){
        .reason = SB_INFERENCE_NONE, .header = *header, .block_id = id, .record = proof->record};
}

sb_err sb_inference_proof_verify(struct sb_inference_verdict *ret_verdict,
                                 const struct sb_inference_trust *trust, sb_bytes proof)
{
    SB_ASSERT(
        (trust->block_id != NULL) + (trust->validators_hash != NULL) + (trust->block != NULL) == 1);
    struct sb_arena arena;
    struct sb_inference_proof decoded;
    sb_arena_init(&arena, PROOF_ARENA_BYTES);
    sb_err err = sb_inference_proof_decode(&decoded, &arena, proof, NULL);
    if (err == SB_OK) {
        *ret_verdict = judge(trust, &decoded);
    } else if (err != SB_E_NOMEM) {
        *ret_verdict = refused(SB_INFERENCE_FORM, SB_LIGHT_NONE);
        err = SB_OK;
    }
    sb_arena_fini(&arena);
    return err;
}

const char *sb_inference_reason_text(enum sb_inference_reason reason)
{
    static const char *const texts[] = {
#define SB_INFERENCE_REASON(name, text) [SB_INFERENCE_##name] = (text),
#include "consensus/inference_proof.def"
#undef SB_INFERENCE_REASON
    };
    return (unsigned)reason < SB_INFERENCE_REASON_COUNT ? texts[reason] : "unknown reason";
}
