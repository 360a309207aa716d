/* messages.c: see messages.h. Spec: docs/spec/gossip.md, section 2. */
#include "node/messages.h"

#include <inttypes.h>

#include "base/codec/rlp.h"
#include "base/types/consensus_parts.h"
#include "base/types/field.h"
#include "base/util/assert.h"

enum sb_channel sb_message_channel(enum sb_message_kind kind)
{
    switch (kind) {
    case SB_MESSAGE_STATUS:
    case SB_MESSAGE_VOTES:
    case SB_MESSAGE_PARTS:
    case SB_MESSAGE_WANT:
    case SB_MESSAGE_RELAY:
        return SB_CHANNEL_STATE;
    case SB_MESSAGE_VOTE:
    case SB_MESSAGE_CERTIFICATE:
        return SB_CHANNEL_VOTE;
    case SB_MESSAGE_PROPOSAL:
        return SB_CHANNEL_PROPOSAL;
    case SB_MESSAGE_PART:
        return SB_CHANNEL_PART;
    case SB_MESSAGE_EVIDENCE:
        return SB_CHANNEL_EVIDENCE;
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_BLOCK:
    case SB_MESSAGE_SYNC_NO_BLOCK:
        return SB_CHANNEL_SYNC;
    }
    SB_UNREACHABLE();
}

/* ---- bits: [count, bytes], bit i in byte i / 8, lowest first ---- */

static void put_bits(struct sb_buf *out, const struct sb_bits *bits)
{
    uint8_t bytes[SB_BITS_MAX / 8];
    size_t len = (bits->count + 7) / 8;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(bits->words[i / 8] >> (i % 8 * 8));
    }
    sb_rlp_put_u64(out, bits->count);
    sb_rlp_put_bytes(out, sb_span(bytes, len));
}

static sb_err read_bits(struct sb_bits *ret, struct sb_rlp *in, uint32_t count_min,
                        uint32_t count_max)
{
    uint64_t count;
    sb_bytes bytes;
    struct sb_bits bits = {.count = 0};
    SB_TRY(sb_rlp_read_u64(&count, in));
    if (count < count_min || count > count_max) {
        return SB_E_RANGE;
    }
    SB_TRY(sb_rlp_read_bytes(&bytes, in, SB_BITS_MAX / 8));
    bits.count = (uint32_t)count;
    if (bytes.len != (bits.count + 7) / 8) {
        return SB_E_SHAPE;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        bits.words[i / 8] |= (uint64_t)bytes.data[i] << (i % 8 * 8);
    }
    if (bits.count % 8 != 0 && bytes.data[bytes.len - 1] >> (bits.count % 8) != 0) {
        return SB_E_NON_CANONICAL;
    }
    *ret = bits;
    return SB_OK;
}

/* ---- writing ---- */

static void put_status(struct sb_buf *out, const struct sb_message_status *status)
{
    sb_rlp_put_u64(out, status->sequence);
    sb_rlp_put_u64(out, status->head);
    sb_rlp_put_u64(out, status->oldest);
    sb_rlp_put_u64(out, (uint64_t)status->round);
    sb_rlp_put_u64(out, status->step);
    sb_rlp_put_bool(out, status->asks);
}

static void put_part(struct sb_buf *out, const struct sb_message_part *part)
{
    sb_rlp_put_u64(out, part->height);
    sb_rlp_put_u64(out, (uint64_t)part->round);
    sb_rlp_put_u64(out, part->proof.index);
    sb_rlp_put_u64(out, part->proof.count);
    size_t siblings = sb_rlp_list_begin(out);
    for (uint8_t i = 0; i < part->proof.depth; i++) {
        sb_rlp_put_hash(out, &part->proof.siblings[i]);
    }
    sb_rlp_list_end(out, siblings);
    sb_rlp_put_bytes(out, part->bytes);
}

static void put_fields(struct sb_buf *out, const struct sb_message *m)
{
    switch (m->kind) {
    case SB_MESSAGE_STATUS:
        put_status(out, &m->as.status);
        return;
    case SB_MESSAGE_VOTES:
        sb_rlp_put_u64(out, m->as.votes.height);
        sb_rlp_put_u64(out, (uint64_t)m->as.votes.round);
        sb_rlp_put_u64(out, (uint64_t)m->as.votes.type);
        put_bits(out, &m->as.votes.bits);
        return;
    case SB_MESSAGE_PARTS:
        sb_rlp_put_u64(out, m->as.parts.height);
        sb_rlp_put_u64(out, (uint64_t)m->as.parts.round);
        put_bits(out, &m->as.parts.bits);
        return;
    case SB_MESSAGE_WANT:
        sb_rlp_put_u64(out, m->as.want.height);
        sb_rlp_put_u64(out, (uint64_t)((int64_t)m->as.want.round + 1));
        sb_rlp_put_hash(out, &m->as.want.block_id);
        return;
    case SB_MESSAGE_RELAY:
        put_bits(out, &m->as.relay.votes);
        put_bits(out, &m->as.relay.blocks);
        return;
    case SB_MESSAGE_VOTE:
        sb_vote_encode(out, &m->as.vote);
        return;
    case SB_MESSAGE_CERTIFICATE:
        sb_rlp_put_u64(out, (uint64_t)m->as.certificate.type);
        sb_commit_encode(out, &m->as.certificate.commit);
        return;
    case SB_MESSAGE_PROPOSAL:
        sb_proposal_encode(out, &m->as.proposal);
        return;
    case SB_MESSAGE_PART:
        put_part(out, &m->as.part);
        return;
    case SB_MESSAGE_EVIDENCE:
        sb_evidence_encode(out, &m->as.evidence);
        return;
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_NO_BLOCK:
        sb_rlp_put_u64(out, m->as.sync_height);
        return;
    case SB_MESSAGE_SYNC_BLOCK:
        sb_rlp_put_u64(out, m->as.sync_block.height);
        sb_rlp_put_bytes(out, m->as.sync_block.encoded);
        sb_commit_encode(out, &m->as.sync_block.commit);
        return;
    }
    SB_UNREACHABLE();
}

void sb_message_encode(struct sb_buf *out, const struct sb_message *message)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, (uint64_t)message->kind);
    put_fields(out, message);
    sb_rlp_list_end(out, list);
}

/* ---- reading ---- */

static sb_err read_status(struct sb_message_status *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    struct sb_message_status s = {.head = 0};
    uint64_t step;
    SB_FIELD("status", "sequence", sb_rlp_read_u64(&s.sequence, f));
    SB_FIELD("status", "head", sb_rlp_read_u64(&s.head, f));
    SB_FIELD("status", "oldest", sb_consensus_read_height(&s.oldest, f));
    SB_FIELD("status", "round", sb_consensus_read_round(&s.round, f));
    SB_FIELD("status", "step", sb_rlp_read_u64(&step, f));
    SB_FIELD("status", "asks", sb_rlp_read_bool(&s.asks, f));
    if (s.head > SB_MESSAGE_HEIGHT_MAX || s.oldest > s.head + 1) {
        return sb_fail(diag, SB_E_RANGE, "status: blocks %" PRIu64 " to %" PRIu64, s.oldest,
                       s.head);
    }
    if (step > 1 + SB_BFT_DECIDED || (step == 0 && s.round != 0)) {
        return sb_fail(diag, SB_E_RANGE, "status: step %" PRIu64 " of round %" PRId32, step,
                       s.round);
    }
    s.step = (uint8_t)step;
    *ret = s;
    return SB_OK;
}

static sb_err read_vote_type(enum sb_vote_type *ret, struct sb_rlp *f)
{
    uint64_t type;
    SB_TRY(sb_rlp_read_u64(&type, f));
    if (type != SB_VOTE_PREVOTE && type != SB_VOTE_PRECOMMIT) {
        return SB_E_TYPE;
    }
    *ret = (enum sb_vote_type)type;
    return SB_OK;
}

static sb_err read_votes(struct sb_message_votes *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("votes", "height", sb_consensus_read_height(&ret->height, f));
    SB_FIELD("votes", "round", sb_consensus_read_round(&ret->round, f));
    SB_FIELD("votes", "type", read_vote_type(&ret->type, f));
    SB_FIELD("votes", "bits", read_bits(&ret->bits, f, 1, SB_VALIDATORS_MAX));
    return SB_OK;
}

static sb_err read_parts(struct sb_message_parts *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("parts", "height", sb_consensus_read_height(&ret->height, f));
    SB_FIELD("parts", "round", sb_consensus_read_round(&ret->round, f));
    SB_FIELD("parts", "bits", read_bits(&ret->bits, f, 0, SB_PARTS_MAX));
    return SB_OK;
}

static sb_err read_want(struct sb_message_want *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    int32_t round_plus_one;
    SB_FIELD("want", "height", sb_consensus_read_height(&ret->height, f));
    SB_FIELD("want", "round", sb_consensus_read_round(&round_plus_one, f));
    SB_FIELD("want", "block id", sb_consensus_read_id(&ret->block_id, f));
    ret->round = round_plus_one - 1;
    return SB_OK;
}

static sb_err read_relay(struct sb_message_relay *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("relay", "votes", read_bits(&ret->votes, f, 0, SB_VALIDATORS_MAX));
    SB_FIELD("relay", "blocks", read_bits(&ret->blocks, f, 0, SB_VALIDATORS_MAX));
    return SB_OK;
}

static sb_err read_certificate(struct sb_bft_certificate *ret, struct sb_arena *arena,
                               struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("certificate", "type", read_vote_type(&ret->type, f));
    SB_TRY(sb_consensus_read_commit(&ret->commit, arena, f, diag));
    if (ret->commit.sig_count == 0) {
        return sb_fail(diag, SB_E_SHAPE, "certificate: no entries");
    }
    return SB_OK;
}

static sb_err read_proposal(struct sb_proposal *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    struct sb_rlp_item item;
    SB_FIELD("proposal", "list", sb_rlp_read_item(&item, f));
    return sb_proposal_decode(ret, item.raw, diag);
}

/* The proof has exactly the siblings that its index and count ask for, so each part has one encoding. */
static sb_err read_proof(struct sb_part_proof *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    uint64_t index, count;
    struct sb_rlp siblings;
    struct sb_part_proof proof = {.index = 0};
    SB_FIELD("part", "index", sb_rlp_read_u64(&index, f));
    SB_FIELD("part", "count", sb_rlp_read_u64(&count, f));
    if (count > SB_PARTS_MAX || index >= count) {
        return sb_fail(diag, SB_E_RANGE, "part: %" PRIu64 " of %" PRIu64, index, count);
    }
    proof.index = (uint32_t)index;
    proof.count = (uint32_t)count;
    SB_FIELD("part", "siblings", sb_rlp_read_list(&siblings, f));
    uint32_t place = proof.index;
    for (uint32_t width = proof.count; width > 1; width = width / 2 + width % 2) {
        if ((place ^ 1) < width) {
            SB_FIELD("part", "sibling", sb_rlp_read_hash(&proof.siblings[proof.depth], &siblings));
            proof.depth++;
        }
        place /= 2;
    }
    SB_FIELD("part", "siblings", sb_rlp_end(&siblings));
    *ret = proof;
    return SB_OK;
}

static sb_err read_part(struct sb_message_part *ret, struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("part", "height", sb_consensus_read_height(&ret->height, f));
    SB_FIELD("part", "round", sb_consensus_read_round(&ret->round, f));
    SB_TRY(read_proof(&ret->proof, f, diag));
    SB_FIELD("part", "bytes", sb_rlp_read_bytes(&ret->bytes, f, SB_PART_BYTES));
    if (ret->bytes.len == 0) {
        return sb_fail(diag, SB_E_SHAPE, "part: no bytes");
    }
    return SB_OK;
}

static sb_err read_sync_block(struct sb_message_sync_block *ret, struct sb_arena *arena,
                              struct sb_rlp *f, struct sb_diag *diag)
{
    SB_FIELD("block", "height", sb_consensus_read_height(&ret->height, f));
    SB_FIELD("block", "bytes", sb_rlp_read_bytes(&ret->encoded, f, SB_CONSENSUS_BLOCK_BYTES_MAX));
    SB_TRY(sb_consensus_read_commit(&ret->commit, arena, f, diag));
    if (ret->encoded.len == 0) {
        return sb_fail(diag, SB_E_SHAPE, "block: no bytes");
    }
    if (ret->commit.sig_count != 0 && ret->commit.height != ret->height) {
        return sb_fail(diag, SB_E_RANGE, "block: of height %" PRIu64 " with the commit of %" PRIu64,
                       ret->height, ret->commit.height);
    }
    return SB_OK;
}

static sb_err read_fields(struct sb_message *m, struct sb_arena *arena, struct sb_rlp *f,
                          struct sb_diag *diag)
{
    switch (m->kind) {
    case SB_MESSAGE_STATUS:
        return read_status(&m->as.status, f, diag);
    case SB_MESSAGE_VOTES:
        return read_votes(&m->as.votes, f, diag);
    case SB_MESSAGE_PARTS:
        return read_parts(&m->as.parts, f, diag);
    case SB_MESSAGE_WANT:
        return read_want(&m->as.want, f, diag);
    case SB_MESSAGE_RELAY:
        return read_relay(&m->as.relay, f, diag);
    case SB_MESSAGE_VOTE:
        return sb_consensus_read_vote(&m->as.vote, f, diag);
    case SB_MESSAGE_CERTIFICATE:
        return read_certificate(&m->as.certificate, arena, f, diag);
    case SB_MESSAGE_PROPOSAL:
        return read_proposal(&m->as.proposal, f, diag);
    case SB_MESSAGE_PART:
        return read_part(&m->as.part, f, diag);
    case SB_MESSAGE_EVIDENCE:
        return sb_consensus_read_evidence(&m->as.evidence, f, diag);
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_NO_BLOCK:
        SB_FIELD("sync", "height", sb_consensus_read_height(&m->as.sync_height, f));
        return SB_OK;
    case SB_MESSAGE_SYNC_BLOCK:
        return read_sync_block(&m->as.sync_block, arena, f, diag);
    }
    SB_UNREACHABLE();
}

sb_err sb_message_decode(struct sb_message *ret_message, struct sb_arena *arena,
                         enum sb_channel channel, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    uint64_t kind;
    SB_FIELD("message", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("message", "end", sb_rlp_end(&in));
    SB_FIELD("message", "kind", sb_rlp_read_u64(&kind, &f));
    if (kind < SB_MESSAGE_STATUS || kind > SB_MESSAGE_RELAY ||
        sb_message_channel((enum sb_message_kind)kind) != channel) {
        return sb_fail(diag, SB_E_TYPE, "message: kind %" PRIu64 " on channel %d", kind,
                       (int)channel);
    }
    struct sb_message message;
    memset(&message, 0, sizeof message);
    message.kind = (enum sb_message_kind)kind;
    SB_TRY(read_fields(&message, arena, &f, diag));
    SB_FIELD("message", "end", sb_rlp_end(&f));
    *ret_message = message;
    return SB_OK;
}
