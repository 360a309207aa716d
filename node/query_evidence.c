/* query_evidence.c: what a block carries against validators; and samebit_submitEvidence: from a block of another history to pieces of
 * evidence (docs/spec/light-client.md, section 7).
 *
 *     conflicting light block   header, precommits       history contradicts the header: each precommit is a lunatic's
 *                               precommits of round r    \   same validator, same round, another block:
 *     this chain's commits      precommits of round r    /   two votes that conflict
 *       (the node's own, and the one that the next block carries)
 *
 * Only single signatures count here, so nothing of the light block has to be believed: neither its sets nor that it was final. */
#include "base/util/assert.h"
#include "consensus/light_block.h"
#include "node/backend_impl.h"
#include "node/chain_impl.h"
#include "node/query.h"

#define COMMITS_MAX 2

/* What is known of the height in question. */
struct height {
    struct sb_light_block_parts other;
    sb_hash other_id;
    bool is_lunatic;
    uint64_t common_height;
    struct sb_validator_set common; /* set of the common height */
    bool is_here;                   /* this chain has a block of that height: */
    struct sb_light_block_parts own;
    struct sb_commit commits[COMMITS_MAX]; /* of this chain's block */
    size_t commit_count;
};

/* ---- what a block carries ---- */

sb_err sb_query_block_votes(void *ctx, struct sb_arena *arena, uint64_t number,
                            struct sb_rpc_block_votes *ret_votes)
{
    const struct sb_backend *b = ctx;
    struct sb_consensus_block block;
    if (number == 0 || number > sb_chain_head_number(b->chain)) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(sb_chain_load_consensus(&block, arena, b->chain, number, NULL));
    *ret_votes = (struct sb_rpc_block_votes){.height = number,
                                             .id = sb_consensus_block_id(&block.header),
                                             .evidence = block.evidence,
                                             .evidence_count = block.evidence_count,
                                             .late_precommits = block.late_precommits,
                                             .late_precommit_count = block.late_precommit_count};
    return SB_OK;
}

/* ---- what a light block proves ---- */

static sb_err refuse(struct sb_rpc_failure *failure, const char *text)
{
    return sb_backend_fail(failure, SB_E_REFUSED, SB_RPC_SERVER_ERROR, "%s", text);
}

static sb_err load_other(struct height *h, struct sb_arena *arena, struct sb_chain *chain,
                         sb_bytes encoded, struct sb_rpc_failure *failure)
{
    struct sb_diag why = {.text = ""};
    sb_err err = sb_light_block_decode(&h->other, arena, encoded, &why);
    if (err != SB_OK) {
        return err == SB_E_NOMEM ? err : refuse(failure, why.text);
    }
    const struct sb_consensus_header *header = &h->other.header;
    if (header->chain_id != sb_chain_domain(chain)->chain_id) {
        return refuse(failure, "the light block is of another chain");
    }
    h->other_id = sb_consensus_block_id(header);
    if (!sb_hash_equal(&h->other.commit.block_id, &h->other_id) ||
        h->other.commit.height != header->height ||
        h->other.commit.sig_count != h->other.validators.count) {
        return refuse(failure, "the light block's commit is not for its header");
    }
    return SB_OK;
}

/* load_own: this chain's block of the height, if there is one, and all commits of it. */
static sb_err load_own(struct height *h, struct sb_arena *arena, struct sb_chain *chain,
                       struct sb_rpc_failure *failure)
{
    uint64_t height = h->other.header.height;
    sb_err err = sb_chain_light_block(&h->own, arena, chain, height);
    h->is_here = err == SB_OK;
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_OK : err;
    }
    sb_hash own_id = sb_consensus_block_id(&h->own.header);
    if (sb_hash_equal(&own_id, &h->other_id)) {
        return refuse(failure, "the light block is this chain's own");
    }
    h->commits[h->commit_count++] = h->own.commit;
    struct sb_commit carried;
    err = sb_chain_carried_commit_of(&carried, arena, chain, height);
    if (err == SB_OK) {
        h->commits[h->commit_count++] = carried;
    }
    return err == SB_E_NOT_FOUND ? SB_OK : err;
}

/* judge_history: may the header alone convict, and which set answers for it. */
static sb_err judge_history(struct height *h, struct sb_arena *arena, struct sb_chain *chain,
                            struct sb_rpc_failure *failure)
{
    struct sb_chain_head head = sb_chain_head(chain);
    const struct sb_consensus_header *header = &h->other.header;
    enum sb_lunatic verdict;
    sb_err err = sb_chain_judge_lunatic(&verdict, chain, &head, header);
    if (err != SB_OK && err != SB_E_NOT_FOUND) {
        return err;
    }
    h->is_lunatic = err == SB_OK && verdict == SB_LUNATIC_YES;
    if (!h->is_here && !h->is_lunatic) {
        return refuse(failure, "this chain has no block of that height");
    }
    uint64_t top = header->height < head.header.number ? header->height : head.header.number;
    h->common_height = h->common_height == 0 ? top : h->common_height;
    if (h->common_height > top) {
        return refuse(failure, "the common height is above the light block or the head");
    }
    err = h->common_height == 0
              ? SB_E_NOT_FOUND
              : sb_chain_validators_at(&h->common, arena, chain, h->common_height);
    return err == SB_E_NOT_FOUND ? refuse(failure, "this chain has no block of the common height")
                                 : err;
}

/* vote_of: the precommit of a validator of our set in a commit of either block; false: it is absent or its signature is false. */
static bool vote_of(struct sb_vote *ret_vote, const struct sb_chain *chain,
                    const struct sb_commit *commit, const struct sb_validator_set *commit_set,
                    const struct sb_validator_set *own_set, size_t index)
{
    int at = sb_validator_set_find(commit_set, &own_set->validators[index].address);
    if (at < 0 || (size_t)at >= commit->sig_count || commit->sigs[at].flag == SB_COMMIT_ABSENT) {
        return false;
    }
    struct sb_vote vote = sb_commit_vote(commit, commit_set, (size_t)at);
    struct sb_verifier verifier = sb_verifier_ed25519();
    vote.validator_index = (uint32_t)index;
    *ret_vote = vote;
    return sb_vote_verify(&vote, own_set, sb_chain_domain(chain), &verifier, NULL) == SB_OK;
}

/* find_double: the two votes of validator `index`, if it has cast two. */
static bool find_double(struct sb_evidence *ret_evidence, const struct sb_chain *chain,
                        const struct height *h, size_t index)
{
    const struct sb_validator_set *set = &h->own.validators;
    struct sb_vote theirs, ours;
    if (!vote_of(&theirs, chain, &h->other.commit, &h->other.validators, set, index)) {
        return false;
    }
    for (size_t i = 0; i < h->commit_count; i++) {
        if (h->commits[i].round == h->other.commit.round &&
            vote_of(&ours, chain, &h->commits[i], set, set, index) &&
            sb_evidence_make(ret_evidence, &theirs, &ours) == SB_OK) {
            return true;
        }
    }
    return false;
}

/* find_lunatic: the precommit of validator `index` of the common height's set, if it has cast one for the header. */
static bool find_lunatic(struct sb_evidence *ret_evidence, const struct sb_chain *chain,
                         const struct height *h, size_t index)
{
    struct sb_vote vote;
    return vote_of(&vote, chain, &h->other.commit, &h->other.validators, &h->common, index) &&
           sb_evidence_make_lunatic(ret_evidence, h->common_height, &vote, &h->other.header) ==
               SB_OK;
}

/* is_listed: a piece against this validator was found already. */
static bool is_listed(const struct sb_evidence *list, size_t count, const sb_addr *validator)
{
    for (size_t i = 0; i < count; i++) {
        if (sb_addr_equal(&list[i].a.validator_address, validator)) {
            return true;
        }
    }
    return false;
}

/* find_all: at most one piece against each validator; of a lunatic that which reaches the stake of the common height. */
static size_t find_all(struct sb_evidence *list, const struct sb_chain *chain,
                       const struct height *h)
{
    size_t found = 0;
    for (size_t i = 0; h->is_lunatic && i < h->common.count; i++) {
        found += find_lunatic(&list[found], chain, h, i) ? 1 : 0;
    }
    size_t lunatics = found;
    for (size_t i = 0; h->is_here && i < h->own.validators.count; i++) {
        if (!is_listed(list, lunatics, &h->own.validators.validators[i].address)) {
            found += find_double(&list[found], chain, h, i) ? 1 : 0;
        }
    }
    return found;
}

sb_err sb_query_submit_evidence(void *ctx, struct sb_arena *arena, sb_bytes encoded,
                                uint64_t common_height, size_t *ret_accepted,
                                struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct height h = {.common_height = common_height};
    SB_TRY(load_other(&h, arena, b->chain, encoded, failure));
    SB_TRY(load_own(&h, arena, b->chain, failure));
    SB_TRY(judge_history(&h, arena, b->chain, failure));
    struct sb_evidence *list = sb_arena_array(arena, (size_t)2 * SB_VALIDATORS_MAX, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    size_t found = find_all(list, b->chain, &h);
    if (found == 0) {
        return refuse(failure, h.is_lunatic ? "no validator of the common height signed the block"
                                            : "no validator is seen to have voted twice in one "
                                              "round, and history does not contradict the header");
    }
    SB_ASSERT(b->options.evidence != NULL);
    sb_err err = b->options.evidence(b->options.evidence_ctx, list, found);
    if (err != SB_OK) {
        return err == SB_E_BUSY ? refuse(failure, "too much evidence waits already") : err;
    }
    *ret_accepted = found;
    return SB_OK;
}
