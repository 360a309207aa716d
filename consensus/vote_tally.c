/* vote_tally.c: see vote_tally.h. */
#include "consensus/vote_tally.h"

#include "consensus/mutant.h"

bool sb_vote_quorum(const struct sb_validator_set *set, int64_t power)
{
    if (SB_BFT_MUTANT(quorum_inclusive)) {
        return 3 * power >= 2 * set->total_power;
    }
    return sb_power_is_quorum(power, set->total_power);
}

void sb_vote_tally_reset(struct sb_vote_tally *tally, size_t count)
{
    tally->any = 0;
    tally->nil = 0;
    tally->has_block = false;
    for (size_t i = 0; i < count; i++) {
        tally->votes[i].signature.len = 0;
        tally->is_reported[i] = false;
    }
}

/* ---- counting ---- */

/* power_for: of all whose counted vote is for this block. */
static int64_t power_for(const struct sb_vote_tally *tally, const struct sb_validator_set *set,
                         const sb_hash *block)
{
    int64_t power = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct sb_vote *vote = &tally->votes[i];
        if (sb_vote_is(vote) && sb_hash_equal(&vote->block_id, block)) {
            power += set->validators[i].power;
        }
    }
    return power;
}

/* fill_entry: what validator index contributes to the certificate. A block's signature that is there already stays: it may have come in
 * a certificate, beside another vote. */
static void fill_entry(struct sb_vote_tally *tally, size_t index)
{
    struct sb_commit_sig *entry = &tally->sigs[index];
    const struct sb_vote *vote = &tally->votes[index];
    if (entry->flag == SB_COMMIT_BLOCK || !sb_vote_is(vote)) {
        return;
    }
    bool is_for_block = sb_hash_equal(&vote->block_id, &tally->block);
    if (is_for_block || sb_vote_is_nil(vote)) {
        entry->flag = is_for_block ? SB_COMMIT_BLOCK : SB_COMMIT_NIL;
        entry->signature = vote->signature;
    }
}

static void begin_certificate(struct sb_vote_tally *tally, size_t count, const sb_hash *block)
{
    tally->has_block = true;
    tally->block = *block;
    memset(tally->sigs, 0, count * sizeof tally->sigs[0]);
    for (size_t i = 0; i < count; i++) {
        fill_entry(tally, i);
    }
}

/* look_for_quorum: after a vote for this block was counted; extra power is only ever given by a mutant. */
static void look_for_quorum(struct sb_vote_tally *tally, const struct sb_validator_set *set,
                            const sb_hash *block, int64_t extra)
{
    if (tally->has_block || sb_hash_is_zero(block)) {
        return;
    }
    int64_t power = power_for(tally, set, block) + extra;
    if (SB_BFT_MUTANT(nil_counts_for_value)) {
        power += tally->nil;
    }
    if (sb_vote_quorum(set, power)) {
        begin_certificate(tally, set->count, block);
    }
}

static void count_vote(struct sb_vote_tally *tally, const struct sb_validator_set *set,
                       const struct sb_vote *vote)
{
    size_t index = vote->validator_index;
    int64_t power = set->validators[index].power;
    tally->votes[index] = *vote;
    tally->any += power;
    if (sb_vote_is_nil(vote)) {
        tally->nil += power;
    }
    look_for_quorum(tally, set, &vote->block_id, 0);
    if (tally->has_block) {
        fill_entry(tally, index);
    }
}

enum sb_vote_taken sb_vote_compare(struct sb_evidence *ret_evidence, bool *is_reported,
                                   const struct sb_vote *held, const struct sb_vote *vote)
{
    if (sb_hash_equal(&held->block_id, &vote->block_id)) {
        return SB_VOTE_KNOWN;
    }
    if (*is_reported || SB_BFT_MUTANT(evidence_dropped)) {
        return SB_VOTE_CONFLICTS;
    }
    if (sb_evidence_make(ret_evidence, held, vote) != SB_OK) {
        return SB_VOTE_REFUSED; /* they differ in more than the block: never so for votes that were verified */
    }
    *is_reported = true;
    return SB_VOTE_EVIDENCE;
}

enum sb_vote_taken sb_vote_tally_add(struct sb_vote_tally *tally,
                                     const struct sb_validator_set *set, const struct sb_vote *vote,
                                     struct sb_evidence *ret_evidence)
{
    size_t index = vote->validator_index;
    if (!sb_vote_is(&tally->votes[index])) {
        count_vote(tally, set, vote);
        return SB_VOTE_COUNTED;
    }
    enum sb_vote_taken taken =
        sb_vote_compare(ret_evidence, &tally->is_reported[index], &tally->votes[index], vote);
    if (SB_BFT_MUTANT(second_vote_counted) && taken != SB_VOTE_KNOWN) {
        look_for_quorum(tally, set, &vote->block_id, set->validators[index].power);
    }
    return taken;
}

/* ---- certificates ---- */

/* entry_vote: the vote that an entry of a certificate stands for; false: none, or one for nil, which proves nothing. */
static bool entry_vote(struct sb_vote *ret_vote, const struct sb_validator_set *set,
                       const struct sb_bft_certificate *certificate, size_t index)
{
    const struct sb_commit *commit = &certificate->commit;
    if (commit->sigs[index].flag != SB_COMMIT_BLOCK || commit->sigs[index].signature.len == 0) {
        return false;
    }
    *ret_vote = sb_commit_vote(commit, set, index);
    ret_vote->type = certificate->type;
    return true;
}

bool sb_vote_is_certificate(const struct sb_validator_set *set,
                            const struct sb_bft_certificate *certificate)
{
    const struct sb_commit *commit = &certificate->commit;
    if ((certificate->type != SB_VOTE_PREVOTE && certificate->type != SB_VOTE_PRECOMMIT) ||
        commit->round < 0 || commit->sig_count != set->count ||
        sb_hash_is_zero(&commit->block_id)) {
        return false;
    }
    int64_t power = 0;
    struct sb_vote vote;
    for (size_t i = 0; i < commit->sig_count; i++) {
        power += entry_vote(&vote, set, certificate, i) ? set->validators[i].power : 0;
    }
    return sb_vote_quorum(set, power);
}

bool sb_vote_tally_take(struct sb_vote_tally *tally, const struct sb_validator_set *set,
                        const struct sb_bft_certificate *certificate,
                        struct sb_evidence *ret_evidence, size_t evidence_max,
                        size_t *ret_evidence_count)
{
    const struct sb_commit *commit = &certificate->commit;
    bool is_news = !tally->has_block;
    if (is_news) {
        begin_certificate(tally, set->count, &commit->block_id);
    }
    bool is_same_block = sb_hash_equal(&tally->block, &commit->block_id);
    size_t evidence_count = 0;
    for (size_t i = 0; i < commit->sig_count; i++) {
        struct sb_vote vote;
        if (!entry_vote(&vote, set, certificate, i)) {
            continue;
        }
        if (is_same_block && tally->sigs[i].flag != SB_COMMIT_BLOCK) {
            tally->sigs[i] = commit->sigs[i];
            is_news = true;
        }
        if (!sb_vote_is(&tally->votes[i])) {
            count_vote(tally, set, &vote);
            is_news = true;
        } else if (evidence_count < evidence_max &&
                   sb_vote_compare(&ret_evidence[evidence_count], &tally->is_reported[i],
                                   &tally->votes[i], &vote) == SB_VOTE_EVIDENCE) {
            evidence_count++;
            is_news = true;
        }
    }
    *ret_evidence_count = evidence_count;
    return is_news;
}
