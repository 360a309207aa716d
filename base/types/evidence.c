/* evidence.c: proofs against a validator: wire form, order, verification; see consensus.h. Spec: docs/spec/consensus-block.md, section 6.
 *
 *     kind 1   [1, vote_a, vote_b]                          two votes of one step for different blocks
 *     kind 2   [2, common_height, precommit, header]        a precommit for a header that history contradicts
 *
 * Here is what holds without knowing the chain. That the header of kind 2 contradicts its history, the chain has to say. */
#include <inttypes.h>

#include "base/types/consensus_parts.h"
#include "base/types/field.h"
#include "base/util/endian.h"

/* ---- making ---- */

static int compare_ids(const struct sb_vote *a, const struct sb_vote *b)
{
    return memcmp(a->block_id.b, b->block_id.b, sizeof a->block_id.b);
}

static bool conflict(const struct sb_vote *a, const struct sb_vote *b)
{
    return a->type == b->type && a->height == b->height && a->round == b->round &&
           a->validator_index == b->validator_index &&
           sb_addr_equal(&a->validator_address, &b->validator_address) && compare_ids(a, b) != 0;
}

sb_err sb_evidence_make(struct sb_evidence *ret_evidence, const struct sb_vote *x,
                        const struct sb_vote *y)
{
    if (!conflict(x, y)) {
        return SB_E_ARG;
    }
    bool x_first = compare_ids(x, y) < 0;
    *ret_evidence = (struct sb_evidence){
        .kind = SB_EVIDENCE_DUPLICATE_VOTE, .a = x_first ? *x : *y, .b = x_first ? *y : *x};
    return SB_OK;
}

/* is_for: the vote is a precommit for this header. */
static bool is_for(const struct sb_vote *vote, const struct sb_consensus_header *header)
{
    sb_hash id = sb_consensus_block_id(header);
    return vote->type == SB_VOTE_PRECOMMIT && vote->height == header->height &&
           sb_hash_equal(&vote->block_id, &id);
}

sb_err sb_evidence_make_lunatic(struct sb_evidence *ret_evidence, uint64_t common_height,
                                const struct sb_vote *vote,
                                const struct sb_consensus_header *header)
{
    if (common_height == 0 || common_height > header->height || !is_for(vote, header)) {
        return SB_E_ARG;
    }
    *ret_evidence = (struct sb_evidence){
        .kind = SB_EVIDENCE_LUNATIC, .a = *vote, .common_height = common_height, .header = *header};
    return SB_OK;
}

/* ---- what it is about ---- */

uint64_t sb_evidence_height(const struct sb_evidence *evidence)
{
    return evidence->kind == SB_EVIDENCE_LUNATIC ? evidence->common_height : evidence->a.height;
}

void sb_evidence_offence(uint8_t ret[SB_OFFENCE_BYTES], const struct sb_evidence *evidence)
{
    const struct sb_vote *vote = &evidence->a;
    memset(ret, 0, SB_OFFENCE_BYTES);
    if (evidence->kind != SB_EVIDENCE_LUNATIC) {
        be_store64(ret, vote->height);
        be_store32(ret + 8, (uint32_t)vote->round);
        ret[12] = (uint8_t)vote->type;
    }
    memcpy(ret + 13, vote->validator_address.b, sizeof vote->validator_address.b);
}

const char *sb_consensus_header_contradiction(const struct sb_consensus_header *a,
                                              const struct sb_consensus_header *b)
{
    return a->version != b->version                                   ? "version"
           : !sb_hash_equal(&a->validators_hash, &b->validators_hash) ? "validators hash"
           : !sb_hash_equal(&a->next_validators_hash, &b->next_validators_hash)
               ? "next validators hash"
           : !sb_hash_equal(&a->params_hash, &b->params_hash) ? "params hash"
                                                              : NULL;
}

/* ---- verification ---- */

static sb_err check_form(const struct sb_evidence *evidence, struct sb_diag *diag)
{
    if (evidence->kind == SB_EVIDENCE_LUNATIC) {
        if (evidence->common_height == 0 || evidence->common_height > evidence->header.height) {
            return sb_fail(diag, SB_E_RANGE,
                           "evidence: common height %" PRIu64 " with a header of height %" PRIu64,
                           evidence->common_height, evidence->header.height);
        }
        return is_for(&evidence->a, &evidence->header)
                   ? SB_OK
                   : sb_fail(diag, SB_E_ARG, "evidence: the vote is no precommit for the header");
    }
    if (evidence->kind != SB_EVIDENCE_DUPLICATE_VOTE) {
        return sb_fail(diag, SB_E_TYPE, "evidence: kind %d is not known", (int)evidence->kind);
    }
    if (!conflict(&evidence->a, &evidence->b)) {
        return sb_fail(diag, SB_E_ARG, "evidence: the two votes do not conflict");
    }
    if (compare_ids(&evidence->a, &evidence->b) > 0) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "evidence: the two votes are in the wrong order");
    }
    return SB_OK;
}

sb_err sb_evidence_verify(const struct sb_evidence *evidence, const struct sb_validator_set *set,
                          const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                          struct sb_diag *diag)
{
    SB_TRY(check_form(evidence, diag));
    SB_TRY(sb_vote_verify(&evidence->a, set, domain, verifier, diag));
    return evidence->kind == SB_EVIDENCE_LUNATIC
               ? SB_OK
               : sb_vote_verify(&evidence->b, set, domain, verifier, diag);
}

/* ---- wire form ---- */

void sb_evidence_encode(struct sb_buf *out, const struct sb_evidence *evidence)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, (uint64_t)evidence->kind);
    if (evidence->kind == SB_EVIDENCE_LUNATIC) {
        sb_rlp_put_u64(out, evidence->common_height);
        sb_vote_encode(out, &evidence->a);
        sb_consensus_header_encode(out, &evidence->header);
    } else {
        sb_vote_encode(out, &evidence->a);
        sb_vote_encode(out, &evidence->b);
    }
    sb_rlp_list_end(out, list);
}

static sb_err read_fields(struct sb_evidence *e, struct sb_rlp *f, struct sb_diag *diag)
{
    uint64_t kind;
    SB_FIELD("evidence", "kind", sb_rlp_read_u64(&kind, f));
    switch (kind) {
    case SB_EVIDENCE_DUPLICATE_VOTE:
        e->kind = SB_EVIDENCE_DUPLICATE_VOTE;
        SB_TRY(sb_consensus_read_vote(&e->a, f, diag));
        return sb_consensus_read_vote(&e->b, f, diag);
    case SB_EVIDENCE_LUNATIC:
        e->kind = SB_EVIDENCE_LUNATIC;
        SB_FIELD("evidence", "common height", sb_consensus_read_height(&e->common_height, f));
        SB_TRY(sb_consensus_read_vote(&e->a, f, diag));
        return sb_consensus_read_header(&e->header, f, diag);
    default:
        return sb_fail(diag, SB_E_TYPE, "evidence: kind %" PRIu64 " is not known", kind);
    }
}

sb_err sb_consensus_read_evidence(struct sb_evidence *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f;
    struct sb_evidence evidence = {.kind = SB_EVIDENCE_LUNATIC};
    SB_FIELD("evidence", "list", sb_rlp_read_list(&f, in));
    SB_TRY(read_fields(&evidence, &f, diag));
    SB_FIELD("evidence", "end", sb_rlp_end(&f));
    SB_TRY(check_form(&evidence, diag));
    *ret = evidence;
    return SB_OK;
}

sb_err sb_evidence_decode(struct sb_evidence *ret_evidence, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_evidence evidence;
    SB_TRY(sb_consensus_read_evidence(&evidence, &in, diag));
    SB_FIELD("evidence", "end", sb_rlp_end(&in));
    *ret_evidence = evidence;
    return SB_OK;
}
