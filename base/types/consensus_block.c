/* consensus_block.c: header, id, encoding and inner checks of a consensus block; see consensus.h.
 * Spec: docs/spec/consensus-block.md, section 1. */
#include <inttypes.h>

#include "base/crypto/keccak.h"
#include "base/types/block.h"
#include "base/types/consensus_parts.h"
#include "base/types/field.h"
#include "base/util/assert.h"

/* Every field at its longest, with room. */
#define HEADER_BYTES_MAX 768

/* ---- header ---- */

void sb_consensus_header_encode(struct sb_buf *out, const struct sb_consensus_header *h)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, h->version);
    sb_rlp_put_u64(out, h->chain_id);
    sb_rlp_put_u64(out, h->height);
    sb_rlp_put_u64(out, h->time_ms);
    sb_rlp_put_hash(out, &h->last_block_id);
    sb_rlp_put_hash(out, &h->validators_hash);
    sb_rlp_put_hash(out, &h->next_validators_hash);
    sb_rlp_put_hash(out, &h->params_hash);
    sb_rlp_put_hash(out, &h->last_commit_hash);
    sb_rlp_put_hash(out, &h->late_precommits_hash);
    sb_rlp_put_hash(out, &h->evidence_hash);
    sb_rlp_put_hash(out, &h->payload_hash);
    sb_rlp_put_addr(out, &h->proposer);
    sb_rlp_put_bytes(out, sb_span(h->randomness_proof, h->randomness_proof_len));
    sb_rlp_put_hash(out, &h->extension_root);
    sb_rlp_list_end(out, list);
}

static bool version_known(uint64_t version)
{
    return version >= SB_CONSENSUS_VERSION_FIRST && version <= SB_CONSENSUS_VERSION;
}

sb_err sb_consensus_read_header(struct sb_consensus_header *ret, struct sb_rlp *in,
                                struct sb_diag *diag)
{
    struct sb_rlp f;
    struct sb_consensus_header h = {.version = 0};
    sb_bytes proof;
    SB_FIELD("consensus header", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("consensus header", "version", sb_rlp_read_u64(&h.version, &f));
    if (!version_known(h.version)) {
        return sb_fail(diag, SB_E_VERSION,
                       "consensus header: version %" PRIu64 ", this program knows %d to %d",
                       h.version, SB_CONSENSUS_VERSION_FIRST, SB_CONSENSUS_VERSION);
    }
    SB_FIELD("consensus header", "chain id", sb_rlp_read_u64(&h.chain_id, &f));
    SB_FIELD("consensus header", "height", sb_consensus_read_height(&h.height, &f));
    SB_FIELD("consensus header", "time", sb_rlp_read_u64(&h.time_ms, &f));
    if (h.time_ms > SB_TIME_MS_MAX) {
        return sb_fail(diag, SB_E_RANGE,
                       "consensus header: time %" PRIu64 " ms is too far in the future", h.time_ms);
    }
    SB_FIELD("consensus header", "last block id", sb_rlp_read_hash(&h.last_block_id, &f));
    SB_FIELD("consensus header", "validators hash", sb_rlp_read_hash(&h.validators_hash, &f));
    SB_FIELD("consensus header", "next validators hash",
             sb_rlp_read_hash(&h.next_validators_hash, &f));
    SB_FIELD("consensus header", "params hash", sb_rlp_read_hash(&h.params_hash, &f));
    SB_FIELD("consensus header", "last commit hash", sb_rlp_read_hash(&h.last_commit_hash, &f));
    SB_FIELD("consensus header", "late precommits hash",
             sb_rlp_read_hash(&h.late_precommits_hash, &f));
    SB_FIELD("consensus header", "evidence hash", sb_rlp_read_hash(&h.evidence_hash, &f));
    SB_FIELD("consensus header", "payload hash", sb_rlp_read_hash(&h.payload_hash, &f));
    SB_FIELD("consensus header", "proposer", sb_rlp_read_addr(&h.proposer, &f));
    SB_FIELD("consensus header", "randomness proof",
             sb_rlp_read_bytes(&proof, &f, SB_RANDOMNESS_PROOF_BYTES_MAX));
    sb_copy(h.randomness_proof, proof.data, proof.len);
    h.randomness_proof_len = proof.len;
    SB_FIELD("consensus header", "extension root", sb_rlp_read_hash(&h.extension_root, &f));
    SB_FIELD("consensus header", "end", sb_rlp_end(&f));
    *ret = h;
    return SB_OK;
}

sb_err sb_consensus_header_decode(struct sb_consensus_header *ret_header, sb_bytes raw,
                                  struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_consensus_header header;
    SB_TRY(sb_consensus_read_header(&header, &in, diag));
    SB_FIELD("consensus header", "end", sb_rlp_end(&in));
    *ret_header = header;
    return SB_OK;
}

sb_hash sb_consensus_block_id(const struct sb_consensus_header *header)
{
    uint8_t memory[HEADER_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_consensus_header_encode(&buf, header);
    SB_ASSERT(!buf.failed);
    return sb_keccak256(sb_buf_bytes(&buf));
}

/* ---- lists of the body ---- */

static void put_votes(struct sb_buf *out, const struct sb_vote *votes, size_t count)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_vote_encode(out, &votes[i]);
    }
    sb_rlp_list_end(out, list);
}

static void put_evidence(struct sb_buf *out, const struct sb_evidence *evidence, size_t count)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_evidence_encode(out, &evidence[i]);
    }
    sb_rlp_list_end(out, list);
}

sb_err sb_late_precommits_hash(sb_hash *ret_hash, const struct sb_vote *votes, size_t count)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    put_votes(&buf, votes, count);
    return sb_consensus_hash_of(ret_hash, &buf);
}

sb_err sb_evidence_list_hash(sb_hash *ret_hash, const struct sb_evidence *evidence, size_t count)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    put_evidence(&buf, evidence, count);
    return sb_consensus_hash_of(ret_hash, &buf);
}

static sb_err read_late_precommits(struct sb_consensus_block *block, struct sb_arena *arena,
                                   struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp items;
    size_t count;
    SB_FIELD("consensus block", "late precommits", sb_rlp_read_list(&items, in));
    SB_FIELD("consensus block", "late precommits", sb_rlp_count(&count, &items, SB_VALIDATORS_MAX));
    struct sb_vote *votes = sb_arena_array(arena, count, sizeof *votes);
    if (votes == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu late precommits", count);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_consensus_read_vote(&votes[i], &items, diag));
    }
    block->late_precommits = votes;
    block->late_precommit_count = count;
    return SB_OK;
}

static sb_err read_evidence_list(struct sb_consensus_block *block, struct sb_arena *arena,
                                 struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp items;
    size_t count;
    SB_FIELD("consensus block", "evidence", sb_rlp_read_list(&items, in));
    SB_FIELD("consensus block", "evidence", sb_rlp_count(&count, &items, SB_EVIDENCE_MAX));
    struct sb_evidence *evidence = sb_arena_array(arena, count, sizeof *evidence);
    if (evidence == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu pieces of evidence", count);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_consensus_read_evidence(&evidence[i], &items, diag));
    }
    block->evidence = evidence;
    block->evidence_count = count;
    return SB_OK;
}

/* ---- block ---- */

void sb_consensus_block_encode(struct sb_buf *out, const struct sb_consensus_block *block)
{
    size_t list = sb_rlp_list_begin(out);
    sb_consensus_header_encode(out, &block->header);
    sb_commit_encode(out, &block->last_commit);
    put_votes(out, block->late_precommits, block->late_precommit_count);
    put_evidence(out, block->evidence, block->evidence_count);
    sb_rlp_put_raw(out, block->payload);
    sb_rlp_list_end(out, list);
}

sb_err sb_consensus_block_decode(struct sb_consensus_block *ret_block, struct sb_arena *arena,
                                 sb_bytes raw, struct sb_diag *diag)
{
    if (raw.len > SB_CONSENSUS_BLOCK_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "consensus block of %zu bytes, at most %zu are allowed",
                       raw.len, SB_CONSENSUS_BLOCK_BYTES_MAX);
    }
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    struct sb_rlp_item payload;
    struct sb_consensus_block block = {.late_precommit_count = 0};
    SB_FIELD("consensus block", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("consensus block", "end", sb_rlp_end(&in));
    SB_TRY(sb_consensus_read_header(&block.header, &f, diag));
    SB_TRY(sb_consensus_read_commit(&block.last_commit, arena, &f, diag));
    SB_TRY(read_late_precommits(&block, arena, &f, diag));
    SB_TRY(read_evidence_list(&block, arena, &f, diag));
    SB_FIELD("consensus block", "payload", sb_rlp_read_item(&payload, &f));
    if (payload.kind != SB_RLP_LIST) {
        return sb_fail(diag, SB_E_TYPE, "consensus block: the payload is not a list");
    }
    SB_FIELD("consensus block", "end", sb_rlp_end(&f));
    block.payload = payload.raw;
    *ret_block = block;
    return SB_OK;
}

/* ---- what must hold between header and body ---- */

static sb_err differs(struct sb_diag *diag, const struct sb_consensus_header *h, const char *what)
{
    return sb_fail(diag, SB_E_ARG, "consensus block %" PRIu64 ": %s", h->height, what);
}

static sb_err check_hashes(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &block->header;
    sb_hash hash;
    SB_TRY(sb_commit_hash(&hash, &block->last_commit));
    if (!sb_hash_equal(&hash, &h->last_commit_hash)) {
        return differs(diag, h, "last commit and its hash differ");
    }
    SB_TRY(sb_late_precommits_hash(&hash, block->late_precommits, block->late_precommit_count));
    if (!sb_hash_equal(&hash, &h->late_precommits_hash)) {
        return differs(diag, h, "late precommits and their hash differ");
    }
    SB_TRY(sb_evidence_list_hash(&hash, block->evidence, block->evidence_count));
    if (!sb_hash_equal(&hash, &h->evidence_hash)) {
        return differs(diag, h, "evidence and its hash differ");
    }
    return SB_OK;
}

static sb_err check_last_commit(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &block->header;
    const struct sb_commit *commit = &block->last_commit;
    if (commit->height != h->height - 1) {
        return differs(diag, h, "the last commit is not of the height before");
    }
    if (h->height > 1 && !sb_hash_equal(&commit->block_id, &h->last_block_id)) {
        return differs(diag, h, "the last commit is not for the last block");
    }
    return SB_OK;
}

static sb_err check_late_precommits(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &block->header;
    for (size_t i = 0; i < block->late_precommit_count; i++) {
        const struct sb_vote *vote = &block->late_precommits[i];
        if (vote->type != SB_VOTE_PRECOMMIT || vote->height + 2 != h->height) {
            return differs(diag, h, "a late vote is not a precommit of two heights before");
        }
        if (i > 0 && block->late_precommits[i - 1].validator_index >= vote->validator_index) {
            return differs(diag, h, "late precommits are out of order");
        }
    }
    return SB_OK;
}

/* check_evidence_list: ascending by offence, so that each stands there once. */
static sb_err check_evidence_list(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &block->header;
    uint8_t last[SB_OFFENCE_BYTES] = {0};
    for (size_t i = 0; i < block->evidence_count; i++) {
        const struct sb_evidence *piece = &block->evidence[i];
        uint8_t offence[SB_OFFENCE_BYTES];
        if (sb_evidence_height(piece) >= h->height) {
            return differs(diag, h, "evidence is not of an earlier height");
        }
        if (piece->kind == SB_EVIDENCE_LUNATIC && piece->header.version > h->version) {
            return differs(diag, h, "evidence has a header of a version to come");
        }
        sb_evidence_offence(offence, piece);
        if (i > 0 && memcmp(last, offence, sizeof last) >= 0) {
            return differs(diag, h, "evidence is out of order");
        }
        memcpy(last, offence, sizeof last);
    }
    return SB_OK;
}

static sb_err check_payload(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &block->header;
    struct sb_rlp in = sb_rlp_open(block->payload);
    struct sb_rlp f;
    struct sb_rlp_item item;
    struct sb_header eth;
    SB_FIELD("payload", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("payload", "header", sb_rlp_read_item(&item, &f));
    sb_hash hash = sb_keccak256(item.raw);
    if (!sb_hash_equal(&hash, &h->payload_hash)) {
        return differs(diag, h, "payload and its hash differ");
    }
    SB_TRY(sb_header_decode(&eth, item.raw, diag));
    if (eth.field_count != SB_HEADER_FIELDS_PRAGUE) {
        return differs(diag, h, "the payload's header is not of the current form");
    }
    if (eth.number != h->height) {
        return differs(diag, h, "the payload has another number");
    }
    if (eth.timestamp != h->time_ms / 1000) {
        return differs(diag, h, "the payload has another time");
    }
    if (!sb_hash_equal(&eth.parent_beacon_root, &h->last_block_id)) {
        return differs(diag, h, "the payload's parentBeaconBlockRoot is not the last block's id");
    }
    return SB_OK;
}

sb_err sb_consensus_block_check(const struct sb_consensus_block *block, struct sb_diag *diag)
{
    if (!version_known(block->header.version) || block->header.height == 0) {
        return differs(diag, &block->header, "version or height is not possible");
    }
    SB_TRY(check_hashes(block, diag));
    SB_TRY(check_last_commit(block, diag));
    SB_TRY(check_late_precommits(block, diag));
    SB_TRY(check_evidence_list(block, diag));
    return check_payload(block, diag);
}
