/* chain_evidence.c: which evidence a block may carry. Rules: docs/spec/consensus-block.md, section 6.
 *
 *      lowest height that is known                                                                    head    next block
 *      |                        common height (set)                  h: its header                      |        |
 *      |.............................|.................................|.................................|        |
 *                                                                                                     its time   its set
 *
 *      lunatic of height h <= head:    the header against the one that the chain has at h
 *      lunatic of height h > head:     its time against the head's: a successor of the head would be later
 *
 * All of it is known to whoever knows the common height: nodes that prune, or that began at a snapshot, have headers, sets and evidence
 * without a gap from some height on (sb_chain_past), and leave undecided what speaks of a lower one. */
#include <inttypes.h>

#include "base/util/assert.h"
#include "node/chain_impl.h"

/* ---- age ---- */

sb_err sb_chain_evidence_age(enum sb_chain_evidence_age *ret_age, struct sb_chain *chain,
                             const struct sb_params *params, uint64_t offence_height,
                             uint64_t height, uint64_t time_ms)
{
    bool is_old = sb_params_old_by_blocks(params, offence_height, height);
    if (!is_old && offence_height >= sb_chain_oldest(chain)) {
        *ret_age = SB_EVIDENCE_FRESH;
        return SB_OK;
    }
    uint64_t offence_ms, known_ms;
    sb_err err = sb_chain_time(&offence_ms, chain, offence_height);
    if (err == SB_OK) {
        bool is_expired = is_old && sb_params_old_by_time(params, offence_ms, time_ms);
        *ret_age = is_expired ? SB_EVIDENCE_EXPIRED : SB_EVIDENCE_FRESH;
        return SB_OK;
    }
    if (err != SB_E_NOT_FOUND) {
        return err;
    }
    err = sb_chain_time_after(&known_ms, chain, offence_height);
    if (err == SB_E_NOT_FOUND) { /* another thread is pruning, and has just dropped that height */
        *ret_age = SB_EVIDENCE_UNKNOWN;
        return SB_OK;
    }
    SB_TRY(err);
    bool is_surely_expired =
        is_old && time_ms > known_ms && sb_params_old_by_time(params, known_ms, time_ms);
    *ret_age = is_surely_expired ? SB_EVIDENCE_EXPIRED : SB_EVIDENCE_UNKNOWN;
    return SB_OK;
}

sb_err sb_chain_evidence_expired(bool *ret_expired, struct sb_chain *chain,
                                 const struct sb_params *params, uint64_t offence_height,
                                 uint64_t height, uint64_t time_ms)
{
    enum sb_chain_evidence_age age;
    SB_TRY(sb_chain_evidence_age(&age, chain, params, offence_height, height, time_ms));
    *ret_expired = age != SB_EVIDENCE_FRESH;
    return SB_OK;
}

/* ---- lunatics ---- */

/* against_own: a header of a height that the chain has. */
static sb_err against_own(enum sb_lunatic *ret_verdict, struct sb_arena *arena,
                          struct sb_chain *chain, const struct sb_consensus_header *header)
{
    struct sb_chain_past own;
    SB_TRY(sb_chain_past(&own, arena, chain, header->height));
    *ret_verdict = sb_consensus_header_contradiction(&own.header, header) != NULL ? SB_LUNATIC_YES
                                                                                  : SB_LUNATIC_NO;
    return SB_OK;
}

/* against_head: a header above the head. Who signs it has seen the block below it, which is the head or comes after it, and so is no
 * earlier. That the set is another than the one known last spares whoever follows a branch of the chain. */
static sb_err against_head(enum sb_lunatic *ret_verdict, struct sb_arena *arena,
                           struct sb_chain *chain, const struct sb_chain_head *head,
                           const struct sb_consensus_header *header)
{
    struct sb_validator_set set;
    *ret_verdict = SB_LUNATIC_UNKNOWN;
    if (header->time_ms > head->time_ms) {
        return SB_OK;
    }
    SB_TRY(sb_chain_stored_set(&set, arena, chain, head->header.number + 1));
    sb_hash hash = sb_validator_set_hash(&set);
    if (!sb_hash_equal(&hash, &header->validators_hash)) {
        *ret_verdict = SB_LUNATIC_YES;
    }
    return SB_OK;
}

sb_err sb_chain_judge_lunatic(enum sb_lunatic *ret_verdict, struct sb_chain *chain,
                              const struct sb_chain_head *head,
                              const struct sb_consensus_header *header)
{
    struct sb_arena arena;
    *ret_verdict = SB_LUNATIC_UNKNOWN;
    if (header->version > sb_chain_version_at(head, head->header.number + 1)) {
        return SB_OK; /* a program of this version could not read it */
    }
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = header->height <= head->header.number
                     ? against_own(ret_verdict, &arena, chain, header)
                     : against_head(ret_verdict, &arena, chain, head, header);
    sb_arena_fini(&arena);
    return err;
}

/* ---- the evidence of a block ---- */

/* check_signatures: form and signatures, under the set of its height. */
static sb_err check_signatures(struct sb_chain *chain, const struct sb_evidence *evidence,
                               struct sb_diag *diag)
{
    struct sb_arena arena;
    struct sb_validator_set set;
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = sb_chain_validators_at(&set, &arena, chain, sb_evidence_height(evidence));
    if (err == SB_OK) {
        err = sb_evidence_verify(evidence, &set, &chain->domain, &chain->verifier, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "evidence");
            err = err == SB_E_NOMEM ? err : SB_E_ARG;
        }
    }
    sb_arena_fini(&arena);
    return err;
}

/* check_age: asked before all else of a piece: what a height brings comes at once (backfill.h), so who knows it knows its punishments. */
static sb_err check_age(struct sb_chain *chain, const struct sb_chain_head *head,
                        const struct sb_consensus_header *h, uint64_t offence_height,
                        struct sb_diag *diag)
{
    enum sb_chain_evidence_age age;
    SB_TRY(
        sb_chain_evidence_age(&age, chain, &head->params, offence_height, h->height, h->time_ms));
    switch (age) {
    case SB_EVIDENCE_FRESH:
        return SB_OK;
    case SB_EVIDENCE_EXPIRED:
        return sb_fail(diag, SB_E_ARG, "evidence of height %" PRIu64 " is too old", offence_height);
    case SB_EVIDENCE_UNKNOWN:
        return sb_fail(diag, SB_E_UNKNOWN,
                       "it carries evidence of height %" PRIu64
                       ", whose header is not here yet: it is fetched from peers",
                       offence_height);
    }
    SB_UNREACHABLE();
}

static sb_err check_piece(struct sb_chain *chain, const struct sb_chain_head *head,
                          const struct sb_consensus_header *h, const struct sb_evidence *evidence,
                          struct sb_diag *diag)
{
    enum sb_lunatic verdict;
    bool committed;
    SB_TRY(check_age(chain, head, h, sb_evidence_height(evidence), diag));
    SB_TRY(sb_evidence_pool_is_committed(&committed, chain->evidence, evidence));
    if (committed) {
        return sb_fail(diag, SB_E_ARG, "evidence: its offence was committed before");
    }
    SB_TRY(check_signatures(chain, evidence, diag));
    if (evidence->kind != SB_EVIDENCE_LUNATIC) {
        return SB_OK;
    }
    SB_TRY(sb_chain_judge_lunatic(&verdict, chain, head, &evidence->header));
    return verdict == SB_LUNATIC_YES ? SB_OK
                                     : sb_fail(diag, SB_E_ARG,
                                               "evidence: the header of height %" PRIu64
                                               " does not contradict the chain's history",
                                               evidence->header.height);
}

sb_err sb_chain_check_evidence(struct sb_chain *chain, const struct sb_chain_head *head,
                               const struct sb_consensus_block *block, struct sb_diag *diag)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    for (size_t i = 0; i < block->evidence_count; i++) {
        sb_evidence_encode(&buf, &block->evidence[i]);
    }
    size_t bytes = buf.len;
    sb_err err = sb_buf_err(&buf);
    sb_buf_fini(&buf);
    SB_TRY(err);
    if (bytes > head->params.evidence_bytes_max) {
        return sb_fail(diag, SB_E_ARG, "the evidence has %zu bytes, over the maximum of %" PRIu64,
                       bytes, head->params.evidence_bytes_max);
    }
    for (size_t i = 0; i < block->evidence_count; i++) {
        SB_TRY(check_piece(chain, head, &block->header, &block->evidence[i], diag));
    }
    return SB_OK;
}
