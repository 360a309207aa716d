/* signer_wire.c: see signer_wire.h. */
#include "node/signer_wire.h"

#include <string.h>

#include "base/codec/rlp.h"
#include "base/util/endian.h"

#define LENGTH_BYTES 4
enum what { PREVOTE = 1, PRECOMMIT = 2, PROPOSAL = 3 };

/* ---- writing ---- */

static void put_id(struct sb_buf *out, const sb_hash *id)
{
    sb_rlp_put_bytes(out, sb_hash_is_zero(id) ? sb_span(NULL, 0) : sb_span(id->b, sizeof id->b));
}

static void put_what(struct sb_buf *out, const struct sb_bft_message *what)
{
    const struct sb_proposal *proposal = &what->as.proposal;
    const struct sb_vote *vote = &what->as.vote;
    if (!what->is_proposal) {
        sb_rlp_put_u64(out, vote->type == SB_VOTE_PREVOTE ? PREVOTE : PRECOMMIT);
        sb_rlp_put_u64(out, vote->height);
        sb_rlp_put_u64(out, (uint64_t)vote->round);
        put_id(out, &vote->block_id);
        return;
    }
    sb_rlp_put_u64(out, PROPOSAL);
    sb_rlp_put_u64(out, proposal->height);
    sb_rlp_put_u64(out, (uint64_t)proposal->round);
    put_id(out, &proposal->block_id);
    sb_rlp_put_u64(out, (uint64_t)((int64_t)proposal->pol_round + 1));
    sb_rlp_put_hash(out, &proposal->parts_root);
    sb_rlp_put_u64(out, proposal->block_bytes);
}

static void put_reason(struct sb_buf *out, const char *reason)
{
    char text[SB_SIGNER_REASON_BYTES_MAX];
    size_t len = strnlen(reason, sizeof text - 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)(reason[i] >= ' ' && reason[i] <= '~' ? reason[i] : '?');
    }
    sb_rlp_put_bytes(out, sb_span(text, len));
}

static void put_fields(struct sb_buf *out, const struct sb_signer_message *m)
{
    switch (m->kind) {
    case SB_SIGNER_HELLO:
        sb_rlp_put_u64(out, m->as.hello.version);
        sb_rlp_put_u64(out, m->as.hello.domain.chain_id);
        sb_rlp_put_hash(out, &m->as.hello.domain.genesis_hash);
        break;
    case SB_SIGNER_WELCOME:
        sb_rlp_put_u64(out, m->as.welcome.version);
        sb_rlp_put_bytes(out, sb_span(m->as.welcome.key.bytes, m->as.welcome.key.len));
        break;
    case SB_SIGNER_SIGN:
        sb_rlp_put_u64(out, m->as.sign.number);
        sb_rlp_put_u64(out, m->as.sign.known);
        put_what(out, &m->as.sign.what);
        break;
    case SB_SIGNER_SIGNED:
        sb_rlp_put_u64(out, m->as.answer.number);
        sb_rlp_put_bytes(out, sb_span(m->as.answer.signature.bytes, m->as.answer.signature.len));
        break;
    case SB_SIGNER_REFUSED:
        sb_rlp_put_u64(out, m->as.refused.number);
        put_reason(out, m->as.refused.reason);
        break;
    case SB_SIGNER_PROVE:
        sb_rlp_put_u64(out, m->as.prove.number);
        sb_rlp_put_u64(out, m->as.prove.what.height);
        sb_rlp_put_hash(out, &m->as.prove.what.last);
        break;
    case SB_SIGNER_PROVED:
        sb_rlp_put_u64(out, m->as.proved.number);
        sb_rlp_put_bytes(out, sb_span(m->as.proved.proof, sizeof m->as.proved.proof));
        break;
    }
}

void sb_signer_message_encode(struct sb_buf *out, const struct sb_signer_message *message)
{
    uint8_t memory[SB_SIGNER_FRAME_BYTES_MAX], length[LENGTH_BYTES];
    struct sb_buf content = sb_buf_over(memory, sizeof memory);
    size_t list = sb_rlp_list_begin(&content);
    sb_rlp_put_u64(&content, message->kind);
    put_fields(&content, message);
    sb_rlp_list_end(&content, list);
    out->failed = out->failed || content.failed;
    be_store32(length, (uint32_t)content.len);
    sb_buf_add(out, length, sizeof length);
    sb_buf_add(out, content.data, content.len);
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

/* read_id: a hash, or nothing for nil; 32 zero bytes are not a form of nil. */
static sb_err read_id(sb_hash *ret, struct sb_rlp *in)
{
    sb_bytes bytes;
    SB_TRY(sb_rlp_read_bytes(&bytes, in, sizeof ret->b));
    memset(ret, 0, sizeof *ret);
    if (bytes.len == 0) {
        return SB_OK;
    }
    if (bytes.len != sizeof ret->b) {
        return SB_E_SHAPE;
    }
    memcpy(ret->b, bytes.data, sizeof ret->b);
    return sb_hash_is_zero(ret) ? SB_E_NON_CANONICAL : SB_OK;
}

static sb_err read_proposal(struct sb_proposal *ret, struct sb_rlp *in)
{
    uint64_t pol, bytes;
    SB_TRY(sb_rlp_read_u64(&pol, in));
    SB_TRY(sb_rlp_read_hash(&ret->parts_root, in));
    SB_TRY(sb_rlp_read_u64(&bytes, in));
    if (pol > (uint64_t)ret->round || bytes == 0 || bytes > SB_CONSENSUS_BLOCK_BYTES_MAX ||
        sb_hash_is_zero(&ret->block_id)) {
        return SB_E_RANGE;
    }
    ret->pol_round = (int32_t)pol - 1;
    ret->block_bytes = (uint32_t)bytes;
    return SB_OK;
}

static sb_err read_what(struct sb_bft_message *ret, struct sb_rlp *in)
{
    uint64_t what, height;
    int32_t round;
    sb_hash id;
    SB_TRY(sb_rlp_read_u64(&what, in));
    SB_TRY(sb_rlp_read_u64(&height, in));
    SB_TRY(read_round(&round, in));
    SB_TRY(read_id(&id, in));
    if (what < PREVOTE || what > PROPOSAL || height == 0) {
        return SB_E_RANGE;
    }
    ret->is_proposal = what == PROPOSAL;
    if (ret->is_proposal) {
        ret->as.proposal.height = height;
        ret->as.proposal.round = round;
        ret->as.proposal.block_id = id;
        return read_proposal(&ret->as.proposal, in);
    }
    ret->as.vote.type = what == PREVOTE ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT;
    ret->as.vote.height = height;
    ret->as.vote.round = round;
    ret->as.vote.block_id = id;
    return SB_OK;
}

static sb_err read_known(uint64_t *ret, struct sb_rlp *in)
{
    uint64_t known;
    SB_TRY(sb_rlp_read_u64(&known, in));
    if (known != 0 && (known % 4 == 0 || known / 4 > SB_ROUND_MAX)) {
        return SB_E_RANGE;
    }
    *ret = known;
    return SB_OK;
}

static sb_err read_reason(char ret[SB_SIGNER_REASON_BYTES_MAX], struct sb_rlp *in)
{
    sb_bytes text;
    SB_TRY(sb_rlp_read_bytes(&text, in, SB_SIGNER_REASON_BYTES_MAX - 1));
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~') {
            return SB_E_RANGE;
        }
    }
    sb_copy(ret, text.data, text.len);
    ret[text.len] = '\0';
    return SB_OK;
}

static sb_err read_randomness(struct sb_randomness_input *ret, struct sb_rlp *in)
{
    SB_TRY(sb_rlp_read_u64(&ret->height, in));
    SB_TRY(sb_rlp_read_hash(&ret->last, in));
    return ret->height != 0 ? SB_OK : SB_E_RANGE;
}

static sb_err read_fields(struct sb_signer_message *m, struct sb_rlp *in)
{
    uint8_t key[32];
    switch (m->kind) {
    case SB_SIGNER_HELLO:
        SB_TRY(sb_rlp_read_u64(&m->as.hello.version, in));
        SB_TRY(sb_rlp_read_u64(&m->as.hello.domain.chain_id, in));
        return sb_rlp_read_hash(&m->as.hello.domain.genesis_hash, in);
    case SB_SIGNER_WELCOME:
        SB_TRY(sb_rlp_read_u64(&m->as.welcome.version, in));
        SB_TRY(sb_rlp_read_fixed(key, in, sizeof key));
        m->as.welcome.key = sb_pubkey_ed25519(key);
        return SB_OK;
    case SB_SIGNER_SIGN:
        SB_TRY(sb_rlp_read_u64(&m->as.sign.number, in));
        SB_TRY(read_known(&m->as.sign.known, in));
        return read_what(&m->as.sign.what, in);
    case SB_SIGNER_SIGNED:
        SB_TRY(sb_rlp_read_u64(&m->as.answer.number, in));
        m->as.answer.signature.len = 64;
        return sb_rlp_read_fixed(m->as.answer.signature.bytes, in, 64);
    case SB_SIGNER_REFUSED:
        SB_TRY(sb_rlp_read_u64(&m->as.refused.number, in));
        return read_reason(m->as.refused.reason, in);
    case SB_SIGNER_PROVE:
        SB_TRY(sb_rlp_read_u64(&m->as.prove.number, in));
        return read_randomness(&m->as.prove.what, in);
    case SB_SIGNER_PROVED:
        SB_TRY(sb_rlp_read_u64(&m->as.proved.number, in));
        return sb_rlp_read_fixed(m->as.proved.proof, in, sizeof m->as.proved.proof);
    }
    return SB_E_TYPE;
}

sb_err sb_signer_message_decode(struct sb_signer_message *ret_message, sb_bytes raw,
                                struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw), fields;
    struct sb_signer_message message;
    uint64_t kind = 0;
    memset(&message, 0, sizeof message);
    sb_err err = sb_rlp_read_list(&fields, &in);
    err = err == SB_OK ? sb_rlp_end(&in) : err;
    err = err == SB_OK ? sb_rlp_read_u64(&kind, &fields) : err;
    if (err == SB_OK && (kind < SB_SIGNER_HELLO || kind > SB_SIGNER_PROVED)) {
        err = SB_E_TYPE;
    }
    if (err == SB_OK) {
        message.kind = (enum sb_signer_kind)kind;
        err = read_fields(&message, &fields);
    }
    err = err == SB_OK ? sb_rlp_end(&fields) : err;
    if (err != SB_OK) {
        return sb_fail(diag, err, "signer message: %s", sb_err_text(err));
    }
    *ret_message = message;
    return SB_OK;
}

bool sb_signer_frame_take(sb_bytes *ret_frame, size_t *ret_used, sb_err *ret_err, sb_bytes bytes)
{
    *ret_err = SB_OK;
    if (bytes.len < LENGTH_BYTES) {
        return false;
    }
    size_t len = be_load32(bytes.data);
    if (len > SB_SIGNER_FRAME_BYTES_MAX) {
        *ret_err = SB_E_LIMIT;
        return false;
    }
    if (bytes.len - LENGTH_BYTES < len) {
        return false;
    }
    *ret_frame = sb_span(bytes.data + LENGTH_BYTES, len);
    *ret_used = LENGTH_BYTES + len;
    return true;
}
