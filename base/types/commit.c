/* commit.c: commits: wire form and verification; see consensus.h. Spec: docs/spec/consensus-block.md, section 5. */
#include <inttypes.h>

#include "base/crypto/keccak.h"
#include "base/types/consensus_parts.h"
#include "base/types/field.h"

/* ---- commits: form ---- */

void sb_commit_encode(struct sb_buf *out, const struct sb_commit *commit)
{
    size_t list = sb_rlp_list_begin(out);
    if (commit->sig_count > 0) {
        sb_rlp_put_u64(out, commit->height);
        sb_rlp_put_u64(out, (uint64_t)commit->round);
        sb_rlp_put_hash(out, &commit->block_id);
        size_t sigs = sb_rlp_list_begin(out);
        for (size_t i = 0; i < commit->sig_count; i++) {
            const struct sb_signature *signature = &commit->sigs[i].signature;
            size_t entry = sb_rlp_list_begin(out);
            sb_rlp_put_u64(out, (uint64_t)commit->sigs[i].flag);
            sb_rlp_put_bytes(out, sb_span(signature->bytes, signature->len));
            sb_rlp_list_end(out, entry);
        }
        sb_rlp_list_end(out, sigs);
    }
    sb_rlp_list_end(out, list);
}

/* An absent entry has no signature, the others have one. */
static sb_err read_sig(struct sb_commit_sig *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f;
    uint64_t flag;
    struct sb_commit_sig sig = {.flag = SB_COMMIT_ABSENT};
    SB_FIELD("commit", "entry", sb_rlp_read_list(&f, in));
    SB_FIELD("commit", "flag", sb_rlp_read_u64(&flag, &f));
    SB_FIELD("commit", "signature", sb_consensus_read_signature(&sig.signature, &f));
    SB_FIELD("commit", "end of entry", sb_rlp_end(&f));
    if (flag > SB_COMMIT_NIL) {
        return sb_fail(diag, SB_E_RANGE, "commit: flag %" PRIu64 " is not known", flag);
    }
    sig.flag = (enum sb_commit_flag)flag;
    if ((sig.flag == SB_COMMIT_ABSENT) != (sig.signature.len == 0)) {
        return sb_fail(diag, SB_E_SHAPE, "commit: flag %" PRIu64 " with a signature of %u bytes",
                       flag, (unsigned)sig.signature.len);
    }
    *ret = sig;
    return SB_OK;
}

static sb_err read_sigs(struct sb_commit *commit, struct sb_arena *arena, struct sb_rlp *in,
                        struct sb_diag *diag)
{
    struct sb_rlp items;
    size_t count;
    SB_FIELD("commit", "entries", sb_rlp_read_list(&items, in));
    SB_FIELD("commit", "entries", sb_rlp_count(&count, &items, SB_VALIDATORS_MAX));
    if (count == 0) {
        return sb_fail(diag, SB_E_SHAPE, "commit: no entries");
    }
    struct sb_commit_sig *sigs = sb_arena_array(arena, count, sizeof *sigs);
    if (sigs == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu commit entries", count);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_sig(&sigs[i], &items, diag));
    }
    commit->sigs = sigs;
    commit->sig_count = count;
    return SB_OK;
}

sb_err sb_consensus_read_commit(struct sb_commit *ret, struct sb_arena *arena, struct sb_rlp *in,
                                struct sb_diag *diag)
{
    struct sb_rlp f;
    struct sb_commit commit = {.height = 0};
    SB_FIELD("commit", "list", sb_rlp_read_list(&f, in));
    if (!sb_rlp_done(&f)) { /* the empty list is the commit of height 0 */
        SB_FIELD("commit", "height", sb_consensus_read_height(&commit.height, &f));
        SB_FIELD("commit", "round", sb_consensus_read_round(&commit.round, &f));
        SB_FIELD("commit", "block id", sb_consensus_read_id(&commit.block_id, &f));
        SB_TRY(read_sigs(&commit, arena, &f, diag));
        SB_FIELD("commit", "end", sb_rlp_end(&f));
    }
    *ret = commit;
    return SB_OK;
}

sb_err sb_commit_decode(struct sb_commit *ret_commit, struct sb_arena *arena, sb_bytes raw,
                        struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_commit commit;
    SB_TRY(sb_consensus_read_commit(&commit, arena, &in, diag));
    SB_FIELD("commit", "end", sb_rlp_end(&in));
    *ret_commit = commit;
    return SB_OK;
}

sb_err sb_consensus_hash_of(sb_hash *ret_hash, struct sb_buf *buf)
{
    bool failed = buf->failed;
    if (!failed) {
        *ret_hash = sb_keccak256(sb_buf_bytes(buf));
    }
    sb_buf_fini(buf);
    return failed ? SB_E_NOMEM : SB_OK;
}

sb_err sb_commit_hash(sb_hash *ret_hash, const struct sb_commit *commit)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_commit_encode(&buf, commit);
    return sb_consensus_hash_of(ret_hash, &buf);
}

/* ---- commits: verification ---- */

struct sb_vote sb_commit_vote(const struct sb_commit *commit, const struct sb_validator_set *set,
                              size_t index)
{
    const struct sb_commit_sig *sig = &commit->sigs[index];
    struct sb_vote vote = {
        .type = SB_VOTE_PRECOMMIT,
        .height = commit->height,
        .round = commit->round,
        .validator_index = (uint32_t)index,
        .validator_address = set->validators[index].address,
        .signature = sig->signature,
    };
    if (sig->flag == SB_COMMIT_BLOCK) {
        vote.block_id = commit->block_id;
    }
    return vote;
}

sb_err sb_commit_verify(const struct sb_commit *commit, uint64_t height, const sb_hash *block_id,
                        const struct sb_validator_set *set, const struct sb_chain_domain *domain,
                        const struct sb_verifier *verifier, struct sb_diag *diag)
{
    if (commit->height != height || !sb_hash_equal(&commit->block_id, block_id) ||
        sb_hash_is_zero(block_id)) {
        return sb_fail(diag, SB_E_ARG,
                       "commit of height %" PRIu64 " is not for the block of height %" PRIu64,
                       commit->height, height);
    }
    if (commit->sig_count != set->count) {
        return sb_fail(diag, SB_E_SHAPE, "commit of %zu entries for %zu validators",
                       commit->sig_count, set->count);
    }
    int64_t power = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (commit->sigs[i].flag == SB_COMMIT_ABSENT) {
            continue;
        }
        struct sb_vote vote = sb_commit_vote(commit, set, i);
        sb_err err = sb_vote_verify(&vote, set, domain, verifier, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "commit of height %" PRIu64, height);
            return err;
        }
        power += commit->sigs[i].flag == SB_COMMIT_BLOCK ? set->validators[i].power : 0;
    }
    if (!sb_power_is_quorum(power, set->total_power)) {
        return sb_fail(diag, SB_E_RANGE,
                       "commit of height %" PRIu64 ": power %" PRId64 " of %" PRId64
                       " is not over two thirds",
                       height, power, set->total_power);
    }
    return SB_OK;
}
