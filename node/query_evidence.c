/* query_evidence.c: samebit_submitEvidence: from another block of a height to pieces of evidence (docs/spec/light-client.md, section 7).
 *
 *     conflicting light block   precommits of round r    \   same validator, same round, another block:
 *     this chain's commits      precommits of round r    /   two votes that conflict
 *       (the node's own, and the one that the next block carries)
 *
 * Only single signatures count here, so nothing of the light block has to be believed: neither its sets nor that it was final. */
#include "base/util/assert.h"
#include "consensus/light_block.h"
#include "node/backend_impl.h"
#include "node/query.h"

#define COMMITS_MAX 2

/* What is known of the height in question. */
struct height {
    struct sb_light_block_parts own;
    struct sb_commit commits[COMMITS_MAX]; /* of this chain's block */
    size_t commit_count;
    struct sb_light_block_parts other;
};

static sb_err refuse(struct sb_rpc_failure *failure, const char *text)
{
    return sb_backend_fail(failure, SB_E_REFUSED, SB_RPC_SERVER_ERROR, "%s", text);
}

/* load: both blocks of the height, and all commits of our own. */
static sb_err load(struct height *ret, struct sb_arena *arena, struct sb_chain *chain,
                   sb_bytes encoded, struct sb_rpc_failure *failure)
{
    struct sb_diag why = {.text = ""};
    sb_err err = sb_light_block_decode(&ret->other, arena, encoded, &why);
    if (err != SB_OK) {
        return err == SB_E_NOMEM ? err : refuse(failure, why.text);
    }
    const struct sb_consensus_header *header = &ret->other.header;
    if (header->chain_id != sb_chain_domain(chain)->chain_id) {
        return refuse(failure, "the light block is of another chain");
    }
    err = sb_chain_light_block(&ret->own, arena, chain, header->height);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? refuse(failure, "this chain has no block of that height")
                                     : err;
    }
    sb_hash own_id = sb_consensus_block_id(&ret->own.header);
    sb_hash other_id = sb_consensus_block_id(header);
    if (sb_hash_equal(&own_id, &other_id)) {
        return refuse(failure, "the light block is this chain's own");
    }
    if (!sb_hash_equal(&ret->other.commit.block_id, &other_id) ||
        ret->other.commit.height != header->height ||
        ret->other.commit.sig_count != ret->other.validators.count) {
        return refuse(failure, "the light block's commit is not for its header");
    }
    ret->commits[0] = ret->own.commit;
    ret->commit_count = 1;
    struct sb_commit carried;
    err = sb_chain_carried_commit_of(&carried, arena, chain, header->height);
    if (err == SB_OK) {
        ret->commits[ret->commit_count++] = carried;
    }
    return err == SB_E_NOT_FOUND ? SB_OK : err;
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

sb_err sb_query_submit_evidence(void *ctx, struct sb_arena *arena, sb_bytes encoded,
                                size_t *ret_accepted, struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct height h = {.commit_count = 0};
    SB_TRY(load(&h, arena, b->chain, encoded, failure));
    size_t count = h.own.validators.count;
    struct sb_evidence *list = sb_arena_array(arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += find_double(&list[found], b->chain, &h, i) ? 1 : 0;
    }
    if (found == 0) {
        return refuse(failure, "no validator is seen to have voted twice in one round");
    }
    SB_ASSERT(b->options.evidence != NULL);
    sb_err err = b->options.evidence(b->options.evidence_ctx, list, found);
    if (err != SB_OK) {
        return err == SB_E_BUSY ? refuse(failure, "too much evidence waits already") : err;
    }
    *ret_accepted = found;
    return SB_OK;
}
