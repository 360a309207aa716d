/* vote.c: votes and proposals: sign bytes, wire form, verification; see consensus.h. Spec: docs/spec/consensus-block.md, section 4. */
#include <inttypes.h>

#include "base/codec/rlp.h"
#include "base/types/consensus.h"
#include "base/types/consensus_parts.h"
#include "base/types/field.h"
#include "base/util/assert.h"

#define VOTE_DOMAIN     "samebit/vote"
#define PROPOSAL_DOMAIN "samebit/proposal"

/* ---- sign bytes ---- */

static size_t begin_sign_bytes(struct sb_buf *out, const char *message,
                               const struct sb_chain_domain *domain)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_bytes(out, sb_span_str(message));
    sb_rlp_put_u64(out, domain->chain_id);
    sb_rlp_put_hash(out, &domain->genesis_hash);
    return list;
}

static size_t end_sign_bytes(struct sb_buf *out, size_t list)
{
    sb_rlp_put_bytes(out, sb_span(NULL, 0)); /* extension */
    sb_rlp_list_end(out, list);
    SB_ASSERT(!out->failed);
    return out->len;
}

/* A nil id is the empty string. */
static void put_block_id(struct sb_buf *out, const sb_hash *id)
{
    sb_rlp_put_bytes(out, sb_span(id->b, sb_hash_is_zero(id) ? 0 : sizeof id->b));
}

size_t sb_vote_sign_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                          const struct sb_vote *vote)
{
    struct sb_buf out = sb_buf_over(ret, SB_SIGN_BYTES_MAX);
    size_t list = begin_sign_bytes(&out, VOTE_DOMAIN, domain);
    sb_rlp_put_u64(&out, (uint64_t)vote->type);
    sb_rlp_put_u64(&out, vote->height);
    sb_rlp_put_u64(&out, (uint64_t)vote->round);
    put_block_id(&out, &vote->block_id);
    return end_sign_bytes(&out, list);
}

size_t sb_proposal_sign_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                              const struct sb_proposal *proposal)
{
    struct sb_buf out = sb_buf_over(ret, SB_SIGN_BYTES_MAX);
    size_t list = begin_sign_bytes(&out, PROPOSAL_DOMAIN, domain);
    sb_rlp_put_u64(&out, proposal->height);
    sb_rlp_put_u64(&out, (uint64_t)proposal->round);
    sb_rlp_put_u64(&out, (uint64_t)((int64_t)proposal->pol_round + 1));
    sb_rlp_put_hash(&out, &proposal->block_id);
    sb_rlp_put_hash(&out, &proposal->parts_root);
    sb_rlp_put_u64(&out, proposal->block_bytes);
    return end_sign_bytes(&out, list);
}

/* ---- parts of several forms (consensus_parts.h) ---- */

sb_err sb_consensus_read_height(uint64_t *ret, struct sb_rlp *in)
{
    uint64_t height;
    SB_TRY(sb_rlp_read_u64(&height, in));
    if (height == 0) {
        return SB_E_RANGE;
    }
    *ret = height;
    return SB_OK;
}

sb_err sb_consensus_read_round(int32_t *ret, struct sb_rlp *in)
{
    uint64_t round;
    SB_TRY(sb_rlp_read_u64(&round, in));
    if (round > SB_ROUND_MAX) {
        return SB_E_RANGE;
    }
    *ret = (int32_t)round;
    return SB_OK;
}

sb_err sb_consensus_read_id(sb_hash *ret, struct sb_rlp *in)
{
    sb_hash id;
    SB_TRY(sb_rlp_read_hash(&id, in));
    if (sb_hash_is_zero(&id)) {
        return SB_E_NON_CANONICAL;
    }
    *ret = id;
    return SB_OK;
}

static sb_err read_id_or_nil(sb_hash *ret, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_peek(&item, in));
    if (item.kind == SB_RLP_STRING && item.payload.len == 0) {
        *ret = (sb_hash){.b = {0}};
        return sb_rlp_read_item(&item, in);
    }
    return sb_consensus_read_id(ret, in);
}

sb_err sb_consensus_read_signature(struct sb_signature *ret, struct sb_rlp *in)
{
    sb_bytes bytes;
    SB_TRY(sb_rlp_read_bytes(&bytes, in, SB_SIGNATURE_BYTES_MAX));
    *ret = (struct sb_signature){.len = (uint8_t)bytes.len};
    sb_copy(ret->bytes, bytes.data, bytes.len);
    return SB_OK;
}

static sb_err read_signature_given(struct sb_signature *ret, struct sb_rlp *in)
{
    struct sb_signature signature;
    SB_TRY(sb_consensus_read_signature(&signature, in));
    if (signature.len == 0) {
        return SB_E_SHAPE;
    }
    *ret = signature;
    return SB_OK;
}

/* ---- votes ---- */

void sb_vote_encode(struct sb_buf *out, const struct sb_vote *vote)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, (uint64_t)vote->type);
    sb_rlp_put_u64(out, vote->height);
    sb_rlp_put_u64(out, (uint64_t)vote->round);
    put_block_id(out, &vote->block_id);
    sb_rlp_put_u64(out, vote->validator_index);
    sb_rlp_put_addr(out, &vote->validator_address);
    sb_rlp_put_bytes(out, sb_span(vote->signature.bytes, vote->signature.len));
    sb_rlp_list_end(out, list);
}

sb_err sb_consensus_read_vote(struct sb_vote *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f;
    struct sb_vote vote = {.height = 0};
    uint64_t type;
    uint64_t index;
    SB_FIELD("vote", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("vote", "type", sb_rlp_read_u64(&type, &f));
    if (type != SB_VOTE_PREVOTE && type != SB_VOTE_PRECOMMIT) {
        return sb_fail(diag, SB_E_TYPE, "vote: type %" PRIu64 " is neither prevote nor precommit",
                       type);
    }
    vote.type = (enum sb_vote_type)type;
    SB_FIELD("vote", "height", sb_consensus_read_height(&vote.height, &f));
    SB_FIELD("vote", "round", sb_consensus_read_round(&vote.round, &f));
    SB_FIELD("vote", "block id", read_id_or_nil(&vote.block_id, &f));
    SB_FIELD("vote", "validator index", sb_rlp_read_u64(&index, &f));
    if (index >= SB_VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_RANGE, "vote: validator index %" PRIu64 " is over %d", index,
                       SB_VALIDATORS_MAX - 1);
    }
    vote.validator_index = (uint32_t)index;
    SB_FIELD("vote", "validator address", sb_rlp_read_addr(&vote.validator_address, &f));
    SB_FIELD("vote", "signature", read_signature_given(&vote.signature, &f));
    SB_FIELD("vote", "end", sb_rlp_end(&f));
    *ret = vote;
    return SB_OK;
}

sb_err sb_vote_decode(struct sb_vote *ret_vote, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_vote vote;
    SB_TRY(sb_consensus_read_vote(&vote, &in, diag));
    SB_FIELD("vote", "end", sb_rlp_end(&in));
    *ret_vote = vote;
    return SB_OK;
}

sb_err sb_vote_verify(const struct sb_vote *vote, const struct sb_validator_set *set,
                      const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                      struct sb_diag *diag)
{
    if (vote->validator_index >= set->count) {
        return sb_fail(diag, SB_E_RANGE, "vote: validator %" PRIu32 " of a set of %zu",
                       vote->validator_index, set->count);
    }
    const struct sb_validator *v = &set->validators[vote->validator_index];
    if (!sb_addr_equal(&v->address, &vote->validator_address)) {
        return sb_fail(diag, SB_E_NOT_FOUND, "vote: validator %" PRIu32 " has another address",
                       vote->validator_index);
    }
    uint8_t message[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(message, domain, vote);
    if (!verifier->verify(verifier->ctx, &v->key, sb_span(message, len),
                          sb_span(vote->signature.bytes, vote->signature.len))) {
        return sb_fail(diag, SB_E_SIGNATURE,
                       "vote: the signature of validator %" PRIu32 " is invalid",
                       vote->validator_index);
    }
    return SB_OK;
}

/* ---- proposals ---- */

void sb_proposal_encode(struct sb_buf *out, const struct sb_proposal *proposal)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, proposal->height);
    sb_rlp_put_u64(out, (uint64_t)proposal->round);
    sb_rlp_put_u64(out, (uint64_t)((int64_t)proposal->pol_round + 1));
    sb_rlp_put_hash(out, &proposal->block_id);
    sb_rlp_put_hash(out, &proposal->parts_root);
    sb_rlp_put_u64(out, proposal->block_bytes);
    sb_rlp_put_bytes(out, sb_span(proposal->signature.bytes, proposal->signature.len));
    sb_rlp_list_end(out, list);
}

sb_err sb_proposal_decode(struct sb_proposal *ret_proposal, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    struct sb_proposal p = {.height = 0};
    int32_t pol_round_plus_one;
    uint64_t block_bytes;
    SB_FIELD("proposal", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("proposal", "end", sb_rlp_end(&in));
    SB_FIELD("proposal", "height", sb_consensus_read_height(&p.height, &f));
    SB_FIELD("proposal", "round", sb_consensus_read_round(&p.round, &f));
    SB_FIELD("proposal", "pol round", sb_consensus_read_round(&pol_round_plus_one, &f));
    p.pol_round = pol_round_plus_one - 1;
    if (p.pol_round >= p.round) {
        return sb_fail(diag, SB_E_RANGE,
                       "proposal: pol round %" PRId32 " is not below round %" PRId32, p.pol_round,
                       p.round);
    }
    SB_FIELD("proposal", "block id", sb_consensus_read_id(&p.block_id, &f));
    SB_FIELD("proposal", "parts root", sb_rlp_read_hash(&p.parts_root, &f));
    SB_FIELD("proposal", "block bytes", sb_rlp_read_u64(&block_bytes, &f));
    if (block_bytes == 0 || block_bytes > SB_CONSENSUS_BLOCK_BYTES_MAX) {
        return sb_fail(diag, SB_E_RANGE, "proposal: a block of %" PRIu64 " bytes", block_bytes);
    }
    p.block_bytes = (uint32_t)block_bytes;
    SB_FIELD("proposal", "signature", read_signature_given(&p.signature, &f));
    SB_FIELD("proposal", "end", sb_rlp_end(&f));
    *ret_proposal = p;
    return SB_OK;
}

sb_err sb_proposal_verify(const struct sb_proposal *proposal, const struct sb_pubkey *proposer,
                          const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                          struct sb_diag *diag)
{
    uint8_t message[SB_SIGN_BYTES_MAX];
    size_t len = sb_proposal_sign_bytes(message, domain, proposal);
    sb_bytes signature = sb_span(proposal->signature.bytes, proposal->signature.len);
    if (!verifier->verify(verifier->ctx, proposer, sb_span(message, len), signature)) {
        return sb_fail(diag, SB_E_SIGNATURE, "proposal: the signature is not the proposer's");
    }
    return SB_OK;
}
