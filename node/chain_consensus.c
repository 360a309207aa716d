/* chain_consensus.c: what a proposed block says about consensus: its header, the commit of the block before, late precommits, evidence.
 * Rules: docs/spec/consensus-block.md, sections 1 and 5; evidence: chain_evidence.c.
 *
 *      height - 2               height - 1              height
 *                               mixHash                 randomness proof: of it and the height, by the proposer
 *      late precommits: their   last commit: quorum     header: who, when, hashes of sets and parameters
 *      set, absent in the       of this set             evidence: any height below, its own set
 *      commit that height - 1
 *      carried
 *
 * Cheap checks come before signatures. */
#include <inttypes.h>

#include "base/codec/rlp.h"
#include "base/util/assert.h"
#include "node/chain_impl.h"

static sb_err differs(struct sb_diag *diag, const char *what)
{
    return sb_fail(diag, SB_E_ARG, "%s is not what this block must have", what);
}

/* verdict: a check that failed for what the block says, whatever its code; failures of the node keep theirs. */
static sb_err verdict(sb_err err)
{
    return err == SB_OK || err == SB_E_NOMEM ? err : SB_E_ARG;
}

/* ---- header ---- */

static sb_err check_header(struct sb_chain *chain, const struct sb_chain_head *head,
                           const struct sb_consensus_header *h, struct sb_diag *diag)
{
    uint64_t height = head->header.number + 1;
    uint64_t version = sb_chain_version_at(head, height);
    if (h->version != version) {
        return sb_fail(diag, SB_E_ARG,
                       "version %" PRIu64 " is not what this block must have: %" PRIu64, h->version,
                       version);
    }
    const char *name =
        h->chain_id != chain->domain.chain_id                                   ? "chain id"
        : h->height != height                                                   ? "height"
        : h->time_ms <= head->time_ms                                           ? "time_ms"
        : !sb_hash_equal(&h->last_block_id, &head->consensus_id)                ? "last block id"
        : !sb_hash_equal(&h->validators_hash, sb_chain_set_hash(chain, height)) ? "validators hash"
        : !sb_hash_equal(&h->next_validators_hash, sb_chain_set_hash(chain, height + 1))
            ? "next validators hash"
        : !sb_hash_equal(&h->params_hash, &head->params_hash) ? "params hash"
                                                              : NULL;
    return name == NULL ? SB_OK : differs(diag, name);
}

/* ---- randomness ---- */

sb_err sb_chain_mix_hash(sb_hash *ret_mix_hash, struct sb_chain *chain,
                         const struct sb_chain_head *head, const sb_addr *proposer, sb_bytes proof,
                         struct sb_diag *diag)
{
    const struct sb_validator_set *set = sb_chain_validators(chain);
    const struct sb_randomness_input input = {.height = head->header.number + 1,
                                              .last = head->header.mix_hash};
    int index = sb_validator_set_find(set, proposer);
    if (index < 0) {
        return differs(diag, "proposer: it is not in the set, and so the block");
    }
    return verdict(sb_randomness_verify(ret_mix_hash, &input, &set->validators[index].key, proof,
                                        &chain->domain, &chain->verifier, diag));
}

/* ---- commit of the block before ---- */

static sb_err check_last_commit(struct sb_chain *chain, const struct sb_chain_head *head,
                                const struct sb_consensus_block *block, struct sb_diag *diag)
{
    if (head->header.number == 0) {
        const struct sb_commit *none = &block->last_commit;
        return none->height == 0 && none->round == 0 && none->sig_count == 0 &&
                       sb_hash_is_zero(&none->block_id)
                   ? SB_OK
                   : differs(diag, "last commit of the first block");
    }
    sb_err err = sb_commit_verify(&block->last_commit, head->header.number, &head->consensus_id,
                                  &sb_chain_rotation(chain, head->header.number)->set,
                                  &chain->domain, &chain->verifier, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "last commit");
    }
    return verdict(err);
}

/* ---- late precommits ---- */

bool sb_chain_precommit_is_late(const struct sb_commit *carried, uint32_t validator_index)
{
    return validator_index < carried->sig_count &&
           carried->sigs[validator_index].flag == SB_COMMIT_ABSENT;
}

sb_err sb_chain_carried_commit(struct sb_commit *ret_commit, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_diag *diag)
{
    struct sb_consensus_block block;
    SB_TRY(sb_chain_load_consensus(&block, arena, chain, sb_chain_head_number(chain), diag));
    *ret_commit = block.last_commit;
    return SB_OK;
}

/* check_late_precommits: order, type and height were checked with the block's form (sb_consensus_block_check). */
static sb_err check_late_precommits(struct sb_chain *chain, const struct sb_chain_head *head,
                                    const struct sb_consensus_block *block, struct sb_arena *arena,
                                    struct sb_diag *diag)
{
    if (block->late_precommit_count == 0) {
        return SB_OK;
    }
    if (head->header.number < 2) {
        return differs(diag, "list of late precommits");
    }
    struct sb_commit carried;
    SB_TRY(sb_chain_carried_commit(&carried, arena, chain, diag));
    const struct sb_validator_set *set = &sb_chain_rotation(chain, head->header.number - 1)->set;
    for (size_t i = 0; i < block->late_precommit_count; i++) {
        const struct sb_vote *vote = &block->late_precommits[i];
        if (!sb_chain_precommit_is_late(&carried, vote->validator_index)) {
            return sb_fail(diag, SB_E_ARG,
                           "late precommit of validator %u: its commit has one already",
                           vote->validator_index);
        }
        sb_err err = sb_vote_verify(vote, set, &chain->domain, &chain->verifier, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "late precommit of validator %u", vote->validator_index);
            return verdict(err);
        }
    }
    return SB_OK;
}

sb_err sb_chain_check_consensus(sb_hash *ret_mix_hash, struct sb_chain *chain,
                                const struct sb_chain_head *head,
                                const struct sb_consensus_block *block, struct sb_arena *arena,
                                struct sb_diag *diag)
{
    SB_TRY(sb_consensus_block_check(block, diag));
    SB_TRY(check_header(chain, head, &block->header, diag));
    SB_TRY(sb_chain_mix_hash(
        ret_mix_hash, chain, head, &block->header.proposer,
        sb_span(block->header.randomness_proof, block->header.randomness_proof_len), diag));
    SB_TRY(check_last_commit(chain, head, block, diag));
    SB_TRY(check_late_precommits(chain, head, block, arena, diag));
    return sb_chain_check_evidence(chain, head, block, diag);
}
