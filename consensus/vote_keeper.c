/* vote_keeper.c: see vote_keeper.h.
 *
 * A struct full_round is a place for one round; its arrays are slices of three pools, one entry a validator. `far` holds the votes of
 * rounds beyond. A vote goes to the full round of its number if there is one, else to a new one if its round may have one, else to
 * `far` when it lies ahead. When the present round moves, what it reaches of `far` is counted into full rounds. */
#include "consensus/vote_keeper.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "consensus/mutant.h"

#define TYPES      2
#define FAR_ROUNDS 2

/* Votes of one type in one round. */
struct tally {
    enum sb_vote_type type;
    struct sb_vote *votes; /* [set count]; empty signature: no vote */
    bool *is_reported;     /* [set count]: evidence was given */
    int64_t any;           /* power of all voters */
    int64_t nil;
    bool has_block; /* a quorum voted for `block`; sigs are its certificate */
    sb_hash block;
    struct sb_commit_sig *sigs; /* [set count] */
};

struct full_round {
    bool is_used;
    int32_t round;
    struct tally tally[TYPES];
};

/* A validator's votes of its highest rounds beyond the full ones, higher round first; -1: none. */
struct far_votes {
    int32_t round[FAR_ROUNDS];
    struct sb_vote votes[FAR_ROUNDS][TYPES];
    bool is_reported[FAR_ROUNDS][TYPES];
};

struct sb_vote_keeper {
    const struct sb_validator_set *set;
    size_t validators_max;
    int32_t present;
    int32_t skip;
    int32_t pins[SB_VOTE_PINS_MAX];
    size_t pin_count;
    bool has_commit; /* some round has a quorum of precommits for a block */
    struct full_round rounds[SB_VOTE_ROUNDS_MAX];
    struct far_votes *far;
    struct sb_vote *vote_pool;
    struct sb_commit_sig *sig_pool;
    bool *reported_pool;
};

/* ---- life ---- */

static void free_pools(struct sb_vote_keeper *keeper)
{
    free(keeper->far);
    free(keeper->vote_pool);
    free(keeper->sig_pool);
    free(keeper->reported_pool);
}

struct sb_vote_keeper *sb_vote_keeper_new(size_t validators_max)
{
    SB_ASSERT(validators_max >= 1 && validators_max <= SB_VALIDATORS_MAX);
    struct sb_vote_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL) {
        return NULL;
    }
    size_t tallies = (size_t)SB_VOTE_ROUNDS_MAX * TYPES;
    keeper->validators_max = validators_max;
    keeper->far = calloc(validators_max, sizeof keeper->far[0]);
    keeper->vote_pool = calloc(tallies * validators_max, sizeof keeper->vote_pool[0]);
    keeper->sig_pool = calloc(tallies * validators_max, sizeof keeper->sig_pool[0]);
    keeper->reported_pool = calloc(tallies * validators_max, sizeof keeper->reported_pool[0]);
    if (keeper->far == NULL || keeper->vote_pool == NULL || keeper->sig_pool == NULL ||
        keeper->reported_pool == NULL) {
        sb_vote_keeper_free(keeper);
        return NULL;
    }
    for (size_t i = 0; i < tallies; i++) {
        struct tally *tally = &keeper->rounds[i / TYPES].tally[i % TYPES];
        tally->type = i % TYPES == 0 ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT;
        tally->votes = keeper->vote_pool + i * validators_max;
        tally->sigs = keeper->sig_pool + i * validators_max;
        tally->is_reported = keeper->reported_pool + i * validators_max;
    }
    return keeper;
}

void sb_vote_keeper_free(struct sb_vote_keeper *keeper)
{
    if (keeper != NULL) {
        free_pools(keeper);
        free(keeper);
    }
}

void sb_vote_keeper_reset(struct sb_vote_keeper *keeper, const struct sb_validator_set *set)
{
    SB_ASSERT(set->count >= 1 && set->count <= keeper->validators_max);
    keeper->set = set;
    keeper->present = 0;
    keeper->skip = -1;
    keeper->pin_count = 0;
    keeper->has_commit = false;
    for (size_t i = 0; i < SB_VOTE_ROUNDS_MAX; i++) {
        keeper->rounds[i].is_used = false;
    }
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = 0; k < FAR_ROUNDS; k++) {
            keeper->far[i].round[k] = -1;
        }
    }
}

/* ---- power ---- */

static bool is_quorum(const struct sb_vote_keeper *keeper, int64_t power)
{
    if (SB_BFT_MUTANT(quorum_inclusive)) {
        return 3 * power >= 2 * keeper->set->total_power;
    }
    return sb_power_is_quorum(power, keeper->set->total_power);
}

static bool is_skip(const struct sb_vote_keeper *keeper, int64_t power)
{
    if (SB_BFT_MUTANT(skip_inclusive)) {
        return 3 * power >= keeper->set->total_power;
    }
    if (SB_BFT_MUTANT(skip_at_quorum)) {
        return is_quorum(keeper, power);
    }
    return sb_power_is_third(power, keeper->set->total_power);
}

static int64_t power_of(const struct sb_vote_keeper *keeper, size_t index)
{
    return keeper->set->validators[index].power;
}

static bool is_vote(const struct sb_vote *vote)
{
    return vote->signature.len != 0;
}

/* power_for: of all whose counted vote is for this block. */
static int64_t power_for(const struct sb_vote_keeper *keeper, const struct tally *tally,
                         const sb_hash *block)
{
    int64_t power = 0;
    for (size_t i = 0; i < keeper->set->count; i++) {
        const struct sb_vote *vote = &tally->votes[i];
        if (is_vote(vote) && sb_hash_equal(&vote->block_id, block)) {
            power += power_of(keeper, i);
        }
    }
    return power;
}

/* ---- rounds ---- */

/* find: the place of a round in keeper->rounds; -1: it is not held in full. */
static int find(const struct sb_vote_keeper *keeper, int32_t round)
{
    for (int i = 0; i < SB_VOTE_ROUNDS_MAX; i++) {
        if (keeper->rounds[i].is_used && keeper->rounds[i].round == round) {
            return i;
        }
    }
    return -1;
}

static const struct tally *find_tally(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                      int32_t round)
{
    int at = find(keeper, round);
    return at >= 0 ? &keeper->rounds[at].tally[type - 1] : NULL;
}

static bool is_pinned(const struct sb_vote_keeper *keeper, int32_t round)
{
    for (size_t i = 0; i < keeper->pin_count; i++) {
        if (keeper->pins[i] == round) {
            return true;
        }
    }
    return false;
}

/* is_kept: this round is held whatever else comes. */
static bool is_kept(const struct sb_vote_keeper *keeper, const struct full_round *place)
{
    return place->round >= keeper->present || place->tally[SB_VOTE_PRECOMMIT - 1].has_block ||
           is_pinned(keeper, place->round);
}

/* find_room: an unused place, else that of the lowest round that need not be kept and is below `under`; NULL: none. */
static struct full_round *find_room(struct sb_vote_keeper *keeper, int32_t under)
{
    struct full_round *lowest = NULL;
    for (size_t i = 0; i < SB_VOTE_ROUNDS_MAX; i++) {
        struct full_round *place = &keeper->rounds[i];
        if (!place->is_used) {
            return place;
        }
        if (!is_kept(keeper, place) && place->round < under &&
            (lowest == NULL || place->round < lowest->round)) {
            lowest = place;
        }
    }
    return lowest;
}

static struct full_round *begin_round(struct sb_vote_keeper *keeper, struct full_round *place,
                                      int32_t round)
{
    if (place == NULL) {
        return NULL;
    }
    place->is_used = true;
    place->round = round;
    for (size_t type = 0; type < TYPES; type++) {
        struct tally *tally = &place->tally[type];
        tally->any = 0;
        tally->nil = 0;
        tally->has_block = false;
        for (size_t i = 0; i < keeper->set->count; i++) {
            tally->votes[i].signature.len = 0;
            tally->is_reported[i] = false;
        }
    }
    return place;
}

/* open_round: the full round of this number, made if there may be one. A pinned one pushes out any that is not, an older one only
 * those that are older still. */
static struct full_round *open_round(struct sb_vote_keeper *keeper, int32_t round)
{
    int at = find(keeper, round);
    if (at >= 0) {
        return &keeper->rounds[at];
    }
    bool is_near = round == keeper->present || round - 1 == keeper->present;
    if (round > keeper->present && !is_near) {
        return NULL;
    }
    bool is_wanted = is_near || is_pinned(keeper, round);
    return begin_round(keeper, find_room(keeper, is_wanted ? INT32_MAX : round), round);
}

/* ---- counting ---- */

/* fill_entry: what validator index contributes to the certificate of the tally. A block's signature that is there already stays: it may
 * have come in a certificate, beside another vote. */
static void fill_entry(struct tally *tally, size_t index)
{
    struct sb_commit_sig *entry = &tally->sigs[index];
    const struct sb_vote *vote = &tally->votes[index];
    if (entry->flag == SB_COMMIT_BLOCK || !is_vote(vote)) {
        return;
    }
    bool is_for_block = sb_hash_equal(&vote->block_id, &tally->block);
    if (is_for_block || sb_vote_is_nil(vote)) {
        entry->flag = is_for_block ? SB_COMMIT_BLOCK : SB_COMMIT_NIL;
        entry->signature = vote->signature;
    }
}

static void begin_certificate(struct sb_vote_keeper *keeper, struct tally *tally,
                              const sb_hash *block)
{
    tally->has_block = true;
    keeper->has_commit = keeper->has_commit || tally->type == SB_VOTE_PRECOMMIT;
    tally->block = *block;
    memset(tally->sigs, 0, keeper->set->count * sizeof tally->sigs[0]);
    for (size_t i = 0; i < keeper->set->count; i++) {
        fill_entry(tally, i);
    }
}

/* look_for_quorum: after a vote for this block was counted; extra power is only ever given by a mutant. */
static void look_for_quorum(struct sb_vote_keeper *keeper, struct tally *tally,
                            const sb_hash *block, int64_t extra)
{
    if (tally->has_block || sb_hash_is_zero(block)) {
        return;
    }
    int64_t power = power_for(keeper, tally, block) + extra;
    if (SB_BFT_MUTANT(nil_counts_for_value)) {
        power += tally->nil;
    }
    if (is_quorum(keeper, power)) {
        begin_certificate(keeper, tally, block);
    }
}

static void count_vote(struct sb_vote_keeper *keeper, struct tally *tally,
                       const struct sb_vote *vote)
{
    size_t index = vote->validator_index;
    int64_t power = power_of(keeper, index);
    tally->votes[index] = *vote;
    tally->any += power;
    if (sb_vote_is_nil(vote)) {
        tally->nil += power;
    }
    look_for_quorum(keeper, tally, &vote->block_id, 0);
    if (tally->has_block) {
        fill_entry(tally, index);
    }
}

/* voted_in: validator index has shown a vote in this round. */
static bool voted_in(const struct sb_vote_keeper *keeper, const struct full_round *place,
                     size_t index, int32_t round)
{
    if (place != NULL) {
        bool prevoted = is_vote(&place->tally[SB_VOTE_PREVOTE - 1].votes[index]);
        bool precommitted = is_vote(&place->tally[SB_VOTE_PRECOMMIT - 1].votes[index]);
        if (SB_BFT_MUTANT(skip_by_prevotes)) {
            return prevoted;
        }
        return prevoted || precommitted;
    }
    for (size_t k = 0; k < FAR_ROUNDS; k++) {
        if (keeper->far[index].round[k] == round) {
            return !SB_BFT_MUTANT(skip_by_prevotes) ||
                   is_vote(&keeper->far[index].votes[k][SB_VOTE_PREVOTE - 1]);
        }
    }
    return false;
}

/* look_for_skip: line 55, after a vote of this round was counted: each validator once, whatever it voted. */
static void look_for_skip(struct sb_vote_keeper *keeper, int32_t round)
{
    if (round <= keeper->present || round <= keeper->skip) {
        return;
    }
    int at = find(keeper, round);
    const struct full_round *place = at >= 0 ? &keeper->rounds[at] : NULL;
    int64_t power = 0;
    for (size_t i = 0; i < keeper->set->count; i++) {
        if (voted_in(keeper, place, i, round)) {
            power += power_of(keeper, i);
        }
    }
    if (is_skip(keeper, power)) {
        keeper->skip = round;
    }
}

/* compare: what a second vote of the same place is. */
static enum sb_vote_taken compare(struct sb_evidence *ret_evidence, bool *is_reported,
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

static enum sb_vote_taken add_full(struct sb_vote_keeper *keeper, struct full_round *place,
                                   const struct sb_vote *vote, struct sb_evidence *ret_evidence)
{
    struct tally *tally = &place->tally[vote->type - 1];
    size_t index = vote->validator_index;
    if (is_vote(&tally->votes[index])) {
        enum sb_vote_taken taken =
            compare(ret_evidence, &tally->is_reported[index], &tally->votes[index], vote);
        if (SB_BFT_MUTANT(second_vote_counted) && taken != SB_VOTE_KNOWN) {
            look_for_quorum(keeper, tally, &vote->block_id, power_of(keeper, index));
        }
        return taken;
    }
    count_vote(keeper, tally, vote);
    return SB_VOTE_COUNTED;
}

/* far_place: where in `far` a vote of this round of a validator goes, made if the round is among its highest; -1: nowhere. */
static int far_place(struct far_votes *far, int32_t round)
{
    for (int k = 0; k < FAR_ROUNDS; k++) {
        if (far->round[k] == round) {
            return k;
        }
    }
    for (int k = 0; k < FAR_ROUNDS; k++) {
        if (round < far->round[k]) {
            continue;
        }
        for (int down = FAR_ROUNDS - 1; down > k; down--) {
            far->round[down] = far->round[down - 1];
            memcpy(far->votes[down], far->votes[down - 1], sizeof far->votes[down]);
            memcpy(far->is_reported[down], far->is_reported[down - 1],
                   sizeof far->is_reported[down]);
        }
        far->round[k] = round;
        memset(far->votes[k], 0, sizeof far->votes[k]);
        memset(far->is_reported[k], 0, sizeof far->is_reported[k]);
        return k;
    }
    return -1;
}

static enum sb_vote_taken add_far(struct sb_vote_keeper *keeper, const struct sb_vote *vote,
                                  struct sb_evidence *ret_evidence)
{
    struct far_votes *far = &keeper->far[vote->validator_index];
    int k = far_place(far, vote->round);
    if (k < 0) {
        return SB_VOTE_REFUSED;
    }
    struct sb_vote *held = &far->votes[k][vote->type - 1];
    if (is_vote(held)) {
        return compare(ret_evidence, &far->is_reported[k][vote->type - 1], held, vote);
    }
    *held = *vote;
    return SB_VOTE_COUNTED;
}

static bool is_of_set(const struct sb_vote_keeper *keeper, const struct sb_vote *vote)
{
    return (vote->type == SB_VOTE_PREVOTE || vote->type == SB_VOTE_PRECOMMIT) && vote->round >= 0 &&
           vote->validator_index < keeper->set->count && is_vote(vote) &&
           sb_addr_equal(&keeper->set->validators[vote->validator_index].address,
                         &vote->validator_address);
}

enum sb_vote_taken sb_vote_keeper_add(struct sb_vote_keeper *keeper, const struct sb_vote *vote,
                                      struct sb_evidence *ret_evidence)
{
    if (!is_of_set(keeper, vote)) {
        return SB_VOTE_REFUSED;
    }
    enum sb_vote_taken taken = SB_VOTE_REFUSED;
    struct full_round *place = open_round(keeper, vote->round);
    if (place != NULL) {
        taken = add_full(keeper, place, vote, ret_evidence);
    } else if (vote->round > keeper->present) {
        taken = add_far(keeper, vote, ret_evidence);
    }
    if (taken == SB_VOTE_COUNTED) {
        look_for_skip(keeper, vote->round);
    }
    return taken;
}

/* ---- certificates ---- */

/* entry_vote: the vote that an entry of a certificate stands for; false: none, or one for nil, which proves nothing. */
static bool entry_vote(struct sb_vote *ret_vote, const struct sb_vote_keeper *keeper,
                       const struct sb_bft_certificate *certificate, size_t index)
{
    const struct sb_commit *commit = &certificate->commit;
    if (commit->sigs[index].flag != SB_COMMIT_BLOCK || commit->sigs[index].signature.len == 0) {
        return false;
    }
    *ret_vote = sb_commit_vote(commit, keeper->set, index);
    ret_vote->type = certificate->type;
    return true;
}

static bool is_certificate(const struct sb_vote_keeper *keeper,
                           const struct sb_bft_certificate *certificate)
{
    const struct sb_commit *commit = &certificate->commit;
    if ((certificate->type != SB_VOTE_PREVOTE && certificate->type != SB_VOTE_PRECOMMIT) ||
        commit->round < 0 || commit->sig_count != keeper->set->count ||
        sb_hash_is_zero(&commit->block_id)) {
        return false;
    }
    int64_t power = 0;
    struct sb_vote vote;
    for (size_t i = 0; i < commit->sig_count; i++) {
        if (entry_vote(&vote, keeper, certificate, i)) {
            power += power_of(keeper, i);
        }
    }
    return is_quorum(keeper, power);
}

/* open_for_certificate: a quorum has earned its place, at the cost of any round that need not be kept. What is in `far` of this round
 * comes along. */
static struct full_round *open_for_certificate(struct sb_vote_keeper *keeper, int32_t round)
{
    int at = find(keeper, round);
    return at >= 0 ? &keeper->rounds[at] : begin_round(keeper, find_room(keeper, INT32_MAX), round);
}

/* take_far: count what `far` holds of rounds that are held in full now. */
static void take_far(struct sb_vote_keeper *keeper)
{
    for (size_t i = 0; i < keeper->set->count; i++) {
        struct far_votes *far = &keeper->far[i];
        for (size_t k = 0; k < FAR_ROUNDS; k++) {
            struct full_round *place =
                far->round[k] >= 0 ? open_round(keeper, far->round[k]) : NULL;
            for (size_t type = 0; place != NULL && type < TYPES; type++) {
                struct tally *tally = &place->tally[type];
                if (is_vote(&far->votes[k][type]) && !is_vote(&tally->votes[i])) {
                    tally->is_reported[i] = far->is_reported[k][type];
                    count_vote(keeper, tally, &far->votes[k][type]);
                }
            }
            if (place != NULL || far->round[k] <= keeper->present) {
                far->round[k] = -1;
            }
        }
        if (far->round[0] < 0 && far->round[1] >= 0) { /* the higher round stands first */
            far->round[0] = far->round[1];
            memcpy(far->votes[0], far->votes[1], sizeof far->votes[0]);
            memcpy(far->is_reported[0], far->is_reported[1], sizeof far->is_reported[0]);
            far->round[1] = -1;
        }
    }
}

bool sb_vote_keeper_add_certificate(struct sb_vote_keeper *keeper,
                                    const struct sb_bft_certificate *certificate,
                                    struct sb_evidence *ret_evidence, size_t evidence_max,
                                    size_t *ret_evidence_count)
{
    *ret_evidence_count = 0;
    if (!is_certificate(keeper, certificate)) {
        return false;
    }
    const struct sb_commit *commit = &certificate->commit;
    struct full_round *place = open_for_certificate(keeper, commit->round);
    if (place == NULL) {
        return false;
    }
    take_far(keeper);
    struct tally *tally = &place->tally[certificate->type - 1];
    bool is_news = !tally->has_block;
    if (is_news) {
        begin_certificate(keeper, tally, &commit->block_id);
    }
    bool is_same_block = sb_hash_equal(&tally->block, &commit->block_id);
    size_t evidence_count = 0;
    for (size_t i = 0; i < commit->sig_count; i++) {
        struct sb_vote vote;
        if (!entry_vote(&vote, keeper, certificate, i)) {
            continue;
        }
        if (is_same_block && tally->sigs[i].flag != SB_COMMIT_BLOCK) {
            tally->sigs[i] = commit->sigs[i];
            is_news = true;
        }
        bool *is_reported = &tally->is_reported[i];
        if (!is_vote(&tally->votes[i])) {
            count_vote(keeper, tally, &vote);
            is_news = true;
        } else if (evidence_count < evidence_max &&
                   compare(&ret_evidence[evidence_count], is_reported, &tally->votes[i], &vote) ==
                       SB_VOTE_EVIDENCE) {
            evidence_count++;
            is_news = true;
        }
    }
    look_for_skip(keeper, commit->round);
    *ret_evidence_count = evidence_count;
    return is_news;
}

/* ---- the present round ---- */

void sb_vote_keeper_move(struct sb_vote_keeper *keeper, int32_t present, const int32_t *pins,
                         size_t pin_count)
{
    SB_ASSERT(present >= keeper->present && pin_count <= SB_VOTE_PINS_MAX);
    bool has_moved = present != keeper->present;
    keeper->present = present;
    keeper->pin_count = pin_count;
    memcpy(keeper->pins, pins, pin_count * sizeof pins[0]);
    if (keeper->skip <= present) {
        keeper->skip = -1;
    }
    if (has_moved) {
        take_far(keeper);
    }
}

/* ---- questions ---- */

bool sb_vote_keeper_has_quorum(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                               int32_t round)
{
    const struct tally *tally = find_tally(keeper, type, round);
    return tally != NULL && (tally->has_block || is_quorum(keeper, tally->any));
}

bool sb_vote_keeper_has_nil_quorum(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                   int32_t round)
{
    const struct tally *tally = find_tally(keeper, type, round);
    return tally != NULL && is_quorum(keeper, tally->nil);
}

const sb_hash *sb_vote_keeper_block(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                    int32_t round)
{
    const struct tally *tally = find_tally(keeper, type, round);
    return tally != NULL && tally->has_block ? &tally->block : NULL;
}

int32_t sb_vote_keeper_skip(const struct sb_vote_keeper *keeper)
{
    return keeper->skip;
}

size_t sb_vote_keeper_commits(const struct sb_vote_keeper *keeper,
                              int32_t ret_rounds[SB_VOTE_ROUNDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; keeper->has_commit && i < SB_VOTE_ROUNDS_MAX; i++) {
        const struct full_round *place = &keeper->rounds[i];
        if (!place->is_used || !place->tally[SB_VOTE_PRECOMMIT - 1].has_block) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && ret_rounds[at - 1] > place->round; at--) {
            ret_rounds[at] = ret_rounds[at - 1];
        }
        ret_rounds[at] = place->round;
    }
    return count;
}

const struct sb_vote *sb_vote_keeper_vote(const struct sb_vote_keeper *keeper,
                                          enum sb_vote_type type, int32_t round,
                                          uint32_t validator_index)
{
    if (validator_index >= keeper->set->count) {
        return NULL;
    }
    const struct tally *tally = find_tally(keeper, type, round);
    if (tally != NULL) {
        const struct sb_vote *vote = &tally->votes[validator_index];
        return is_vote(vote) ? vote : NULL;
    }
    const struct far_votes *far = &keeper->far[validator_index];
    for (size_t k = 0; k < FAR_ROUNDS; k++) {
        const struct sb_vote *vote = &far->votes[k][type - 1];
        if (round >= 0 && far->round[k] == round && is_vote(vote)) {
            return vote;
        }
    }
    return NULL;
}

bool sb_vote_keeper_certificate(struct sb_commit *ret_commit, const struct sb_vote_keeper *keeper,
                                enum sb_vote_type type, uint64_t height, int32_t round)
{
    const struct tally *tally = find_tally(keeper, type, round);
    if (tally == NULL || !tally->has_block) {
        return false;
    }
    *ret_commit = (struct sb_commit){.height = height,
                                     .round = round,
                                     .block_id = tally->block,
                                     .sigs = tally->sigs,
                                     .sig_count = keeper->set->count};
    return true;
}
