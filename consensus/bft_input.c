/* bft_input.c: inputs of the core as the journal keeps them (see bft.h).
 *
 *      START_HEIGHT  [1, height, precision ms, message delay ms]
 *      PROPOSAL      [2, proposal, received ms]
 *      VOTE          [3, vote]
 *      TIMEOUT       [4, kind, height, round]
 *      VALUE         [5, height, round, block id, parts root, block bytes]
 *      VALIDITY      [6, height, block id, 1, time ms, proposer]  or  [6, height, block id, 0]
 *      SIGNED        [7, 1, is proposal, proposal or vote]        or, refused,  [7, 0, step, height, round]
 *      CERTIFICATE   [8, type, commit]
 *
 * proposal, vote and commit are the forms of base/types/consensus.h; step is 0 for a proposal, else the type of the vote. All is RLP. */
#include "base/codec/rlp.h"
#include "consensus/bft.h"

#define STEP_PROPOSAL 0

/* ---- writing ---- */

static void put_signed(struct sb_buf *out, const struct sb_bft_message *message)
{
    const struct sb_proposal *proposal = &message->as.proposal;
    const struct sb_vote *vote = &message->as.vote;
    const struct sb_signature *signature =
        message->is_proposal ? &proposal->signature : &vote->signature;
    bool is_refused = signature->len == 0;
    sb_rlp_put_bool(out, !is_refused);
    if (is_refused) {
        sb_rlp_put_u64(out, message->is_proposal ? STEP_PROPOSAL : (uint64_t)vote->type);
        sb_rlp_put_u64(out, message->is_proposal ? proposal->height : vote->height);
        sb_rlp_put_u64(out, (uint64_t)(message->is_proposal ? proposal->round : vote->round));
        return;
    }
    sb_rlp_put_bool(out, message->is_proposal);
    if (message->is_proposal) {
        sb_proposal_encode(out, proposal);
    } else {
        sb_vote_encode(out, vote);
    }
}

static void put_validity(struct sb_buf *out, const struct sb_bft_input *input)
{
    sb_rlp_put_u64(out, input->as.validity.height);
    sb_rlp_put_hash(out, &input->as.validity.block_id);
    sb_rlp_put_bool(out, input->as.validity.valid);
    if (input->as.validity.valid) {
        sb_rlp_put_u64(out, input->as.validity.time_ms);
        sb_rlp_put_addr(out, &input->as.validity.proposer);
    }
}

void sb_bft_input_encode(struct sb_buf *out, const struct sb_bft_input *input)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, (uint64_t)input->type);
    switch (input->type) {
    case SB_BFT_IN_START_HEIGHT:
        sb_rlp_put_u64(out, input->as.start.height);
        sb_rlp_put_u64(out, input->as.start.timeliness.precision_ms);
        sb_rlp_put_u64(out, input->as.start.timeliness.message_delay_ms);
        break;
    case SB_BFT_IN_PROPOSAL:
        sb_proposal_encode(out, &input->as.proposal.message);
        sb_rlp_put_u64(out, input->as.proposal.received_ms);
        break;
    case SB_BFT_IN_VOTE:
        sb_vote_encode(out, &input->as.vote);
        break;
    case SB_BFT_IN_TIMEOUT:
        sb_rlp_put_u64(out, (uint64_t)input->as.timeout.kind);
        sb_rlp_put_u64(out, input->as.timeout.height);
        sb_rlp_put_u64(out, (uint64_t)input->as.timeout.round);
        break;
    case SB_BFT_IN_VALUE:
        sb_rlp_put_u64(out, input->as.value.height);
        sb_rlp_put_u64(out, (uint64_t)input->as.value.round);
        sb_rlp_put_hash(out, &input->as.value.value.block_id);
        sb_rlp_put_hash(out, &input->as.value.value.parts_root);
        sb_rlp_put_u64(out, input->as.value.value.block_bytes);
        break;
    case SB_BFT_IN_VALIDITY:
        put_validity(out, input);
        break;
    case SB_BFT_IN_SIGNED:
        put_signed(out, &input->as.signed_message);
        break;
    case SB_BFT_IN_CERTIFICATE:
        sb_rlp_put_u64(out, (uint64_t)input->as.certificate.type);
        sb_commit_encode(out, &input->as.certificate.commit);
        break;
    }
    sb_rlp_list_end(out, list);
}

/* ---- reading ---- */

static sb_err read_round(int32_t *ret, struct sb_rlp *in)
{
    uint64_t round;
    SB_TRY(sb_rlp_read_u64(&round, in));
    if (round > SB_ROUND_MAX) {
        return SB_E_RANGE;
    }
    *ret = (int32_t)round;
    return SB_OK;
}

static sb_err read_vote_type(enum sb_vote_type *ret, struct sb_rlp *in)
{
    uint64_t type;
    SB_TRY(sb_rlp_read_u64(&type, in));
    if (type != SB_VOTE_PREVOTE && type != SB_VOTE_PRECOMMIT) {
        return SB_E_RANGE;
    }
    *ret = (enum sb_vote_type)type;
    return SB_OK;
}

static sb_err read_start(struct sb_bft_input *input, struct sb_rlp *in)
{
    SB_TRY(sb_rlp_read_u64(&input->as.start.height, in));
    SB_TRY(sb_rlp_read_u64(&input->as.start.timeliness.precision_ms, in));
    return sb_rlp_read_u64(&input->as.start.timeliness.message_delay_ms, in);
}

static sb_err read_timeout(struct sb_bft_input *input, struct sb_rlp *in)
{
    uint64_t kind;
    SB_TRY(sb_rlp_read_u64(&kind, in));
    if (kind > SB_BFT_TIMEOUT_PRECOMMIT) {
        return SB_E_RANGE;
    }
    input->as.timeout.kind = (enum sb_bft_timeout)kind;
    SB_TRY(sb_rlp_read_u64(&input->as.timeout.height, in));
    return read_round(&input->as.timeout.round, in);
}

static sb_err read_value(struct sb_bft_input *input, struct sb_rlp *in)
{
    SB_TRY(sb_rlp_read_u64(&input->as.value.height, in));
    SB_TRY(read_round(&input->as.value.round, in));
    SB_TRY(sb_rlp_read_hash(&input->as.value.value.block_id, in));
    SB_TRY(sb_rlp_read_hash(&input->as.value.value.parts_root, in));
    uint64_t block_bytes;
    SB_TRY(sb_rlp_read_u64(&block_bytes, in));
    if (block_bytes > SB_CONSENSUS_BLOCK_BYTES_MAX) {
        return SB_E_RANGE;
    }
    input->as.value.value.block_bytes = (uint32_t)block_bytes;
    return SB_OK;
}

static sb_err read_validity(struct sb_bft_input *input, struct sb_rlp *in)
{
    SB_TRY(sb_rlp_read_u64(&input->as.validity.height, in));
    SB_TRY(sb_rlp_read_hash(&input->as.validity.block_id, in));
    SB_TRY(sb_rlp_read_bool(&input->as.validity.valid, in));
    if (!input->as.validity.valid) {
        return SB_OK;
    }
    SB_TRY(sb_rlp_read_u64(&input->as.validity.time_ms, in));
    return sb_rlp_read_addr(&input->as.validity.proposer, in);
}

static sb_err read_proposal(struct sb_proposal *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_read_item(&item, in));
    return sb_proposal_decode(ret, item.raw, diag);
}

static sb_err read_received_proposal(struct sb_bft_input *input, struct sb_rlp *in,
                                     struct sb_diag *diag)
{
    SB_TRY(read_proposal(&input->as.proposal.message, in, diag));
    return sb_rlp_read_u64(&input->as.proposal.received_ms, in);
}

static sb_err read_vote(struct sb_vote *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_read_item(&item, in));
    return sb_vote_decode(ret, item.raw, diag);
}

/* read_refused: where the signer stayed silent. */
static sb_err read_refused(struct sb_bft_message *message, struct sb_rlp *in)
{
    uint64_t step;
    SB_TRY(sb_rlp_read_u64(&step, in));
    if (step > SB_VOTE_PRECOMMIT) {
        return SB_E_RANGE;
    }
    message->is_proposal = step == STEP_PROPOSAL;
    if (message->is_proposal) {
        SB_TRY(sb_rlp_read_u64(&message->as.proposal.height, in));
        return read_round(&message->as.proposal.round, in);
    }
    message->as.vote.type = (enum sb_vote_type)step;
    SB_TRY(sb_rlp_read_u64(&message->as.vote.height, in));
    return read_round(&message->as.vote.round, in);
}

static sb_err read_signed(struct sb_bft_message *message, struct sb_rlp *in, struct sb_diag *diag)
{
    bool has_signature;
    SB_TRY(sb_rlp_read_bool(&has_signature, in));
    if (!has_signature) {
        return read_refused(message, in);
    }
    SB_TRY(sb_rlp_read_bool(&message->is_proposal, in));
    return message->is_proposal ? read_proposal(&message->as.proposal, in, diag)
                                : read_vote(&message->as.vote, in, diag);
}

static sb_err read_certificate(struct sb_bft_certificate *ret, struct sb_arena *arena,
                               struct sb_rlp *in, struct sb_diag *diag)
{
    SB_TRY(read_vote_type(&ret->type, in));
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_read_item(&item, in));
    SB_TRY(sb_commit_decode(&ret->commit, arena, item.raw, diag));
    return ret->commit.height != 0 ? SB_OK : SB_E_RANGE;
}

static sb_err read_fields(struct sb_bft_input *input, struct sb_arena *arena, struct sb_rlp *in,
                          struct sb_diag *diag)
{
    switch (input->type) {
    case SB_BFT_IN_START_HEIGHT:
        return read_start(input, in);
    case SB_BFT_IN_PROPOSAL:
        return read_received_proposal(input, in, diag);
    case SB_BFT_IN_VOTE:
        return read_vote(&input->as.vote, in, diag);
    case SB_BFT_IN_TIMEOUT:
        return read_timeout(input, in);
    case SB_BFT_IN_VALUE:
        return read_value(input, in);
    case SB_BFT_IN_VALIDITY:
        return read_validity(input, in);
    case SB_BFT_IN_SIGNED:
        return read_signed(&input->as.signed_message, in, diag);
    case SB_BFT_IN_CERTIFICATE:
        return read_certificate(&input->as.certificate, arena, in, diag);
    }
    return SB_E_TYPE;
}

sb_err sb_bft_input_decode(struct sb_bft_input *ret_input, struct sb_arena *arena, sb_bytes raw,
                           struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp fields;
    uint64_t type = 0;
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    sb_err err = sb_rlp_read_list(&fields, &in);
    if (err == SB_OK) {
        err = sb_rlp_end(&in);
    }
    if (err == SB_OK) {
        err = sb_rlp_read_u64(&type, &fields);
    }
    if (err == SB_OK && (type < SB_BFT_IN_START_HEIGHT || type > SB_BFT_IN_CERTIFICATE)) {
        return sb_fail(diag, SB_E_TYPE, "consensus input of unknown type %llu",
                       (unsigned long long)type);
    }
    if (err == SB_OK) {
        input.type = (enum sb_bft_input_type)type;
        err = read_fields(&input, arena, &fields, diag);
    }
    if (err == SB_OK) {
        err = sb_rlp_end(&fields);
    }
    if (err != SB_OK) {
        return sb_fail(diag, err, "consensus input: %s", sb_err_text(err));
    }
    *ret_input = input;
    return SB_OK;
}
