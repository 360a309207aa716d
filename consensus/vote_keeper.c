/* vote_keeper.c: see vote_keeper.h.
 *
 * A struct full_round is a place for one round, a tally for each type; its arrays are slices of three pools, one entry a validator. `far` holds the votes of
 * rounds beyond. A vote goes to the full round of its number if there is one, else to a new one if its round may have one, else to
 * `far` when it lies ahead. When the present round moves, what it reaches of `far` is counted into full rounds. */
#include "consensus/vote_keeper.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "consensus/mutant.h"

#define TYPES      2
#define FAR_ROUNDS 2

struct full_round {
    bool is_used;
    int32_t round;
    struct sb_vote_tally tally[TYPES];
};

/* A validator's votes of its highest rounds beyond the full ones, higher round first; -1: none. */
struct far_votes {
    int32_t round[FAR_ROUNDS];
    struct sb_vote votes[FAR_ROUNDS][TYPES];
    bool is_reported[FAR_ROUNDS][TYPES];
    uint32_t named; /* rounds that it has named there in this height */
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
        struct sb_vote_tally *tally = &keeper->rounds[i / TYPES].tally[i % TYPES];
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
        keeper->far[i].named = 0;
        for (size_t k = 0; k < FAR_ROUNDS; k++) {
            keeper->far[i].round[k] = -1;
        }
    }
}

/* ---- power ---- */

static bool is_skip(const struct sb_vote_keeper *keeper, int64_t power)
{
    if (SB_BFT_MUTANT(skip_inclusive)) {
        return 3 * power >= keeper->set->total_power;
    }
    if (SB_BFT_MUTANT(skip_at_quorum)) {
        return sb_vote_quorum(keeper->set, power);
    }
    return sb_power_is_third(power, keeper->set->total_power);
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

static const struct sb_vote_tally *find_tally(const struct sb_vote_keeper *keeper,
                                              enum sb_vote_type type, int32_t round)
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
        sb_vote_tally_reset(&place->tally[type], keeper->set->count);
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

static void note_commit(struct sb_vote_keeper *keeper, const struct sb_vote_tally *tally)
{
    keeper->has_commit =
        keeper->has_commit || (tally->type == SB_VOTE_PRECOMMIT && tally->has_block);
}

/* voted_in: validator index has shown a vote in this round. */
static bool voted_in(const struct sb_vote_keeper *keeper, const struct full_round *place,
                     size_t index, int32_t round)
{
    if (place != NULL) {
        bool prevoted = sb_vote_is(&place->tally[SB_VOTE_PREVOTE - 1].votes[index]);
        bool precommitted = sb_vote_is(&place->tally[SB_VOTE_PRECOMMIT - 1].votes[index]);
        if (SB_BFT_MUTANT(skip_by_prevotes)) {
            return prevoted;
        }
        return prevoted || precommitted;
    }
    for (size_t k = 0; k < FAR_ROUNDS; k++) {
        if (keeper->far[index].round[k] == round) {
            return !SB_BFT_MUTANT(skip_by_prevotes) ||
                   sb_vote_is(&keeper->far[index].votes[k][SB_VOTE_PREVOTE - 1]);
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
            power += keeper->set->validators[i].power;
        }
    }
    if (is_skip(keeper, power)) {
        keeper->skip = round;
    }
}

static enum sb_vote_taken add_full(struct sb_vote_keeper *keeper, struct full_round *place,
                                   const struct sb_vote *vote, struct sb_evidence *ret_evidence)
{
    struct sb_vote_tally *tally = &place->tally[vote->type - 1];
    enum sb_vote_taken taken = sb_vote_tally_add(tally, keeper->set, vote, ret_evidence);
    note_commit(keeper, tally);
    return taken;
}

/* far_place: where in `far` a vote of this round of a validator goes, made if the round is among its highest; -1: nowhere. */
static int far_place(struct far_votes *far, int32_t round)
{
    for (int k = 0; k < FAR_ROUNDS; k++) {
        if (far->round[k] == round) {
            return k;
        }
    }
    if (far->named == SB_VOTE_FAR_ROUNDS_MAX) {
        return -1;
    }
    for (int k = 0; k < FAR_ROUNDS; k++) {
        if (round < far->round[k]) {
            continue;
        }
        far->named++;
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
    if (sb_vote_is(held)) {
        return sb_vote_compare(ret_evidence, &far->is_reported[k][vote->type - 1], held, vote);
    }
    *held = *vote;
    return SB_VOTE_COUNTED;
}

static bool is_of_set(const struct sb_vote_keeper *keeper, const struct sb_vote *vote)
{
    return (vote->type == SB_VOTE_PREVOTE || vote->type == SB_VOTE_PRECOMMIT) && vote->round >= 0 &&
           vote->validator_index < keeper->set->count && sb_vote_is(vote) &&
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
                struct sb_vote_tally *tally = &place->tally[type];
                if (sb_vote_is(&far->votes[k][type]) && !sb_vote_is(&tally->votes[i])) {
                    struct sb_evidence none; /* the place is empty: nothing to conflict with */
                    tally->is_reported[i] = far->is_reported[k][type];
                    (void)add_full(keeper, place, &far->votes[k][type], &none);
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
    if (!sb_vote_is_certificate(keeper->set, certificate)) {
        return false;
    }
    int32_t round = certificate->commit.round;
    struct full_round *place = open_for_certificate(keeper, round);
    if (place == NULL) {
        return false;
    }
    take_far(keeper);
    struct sb_vote_tally *tally = &place->tally[certificate->type - 1];
    bool is_news = sb_vote_tally_take(tally, keeper->set, certificate, ret_evidence, evidence_max,
                                      ret_evidence_count);
    note_commit(keeper, tally);
    look_for_skip(keeper, round);
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
    const struct sb_vote_tally *tally = find_tally(keeper, type, round);
    return tally != NULL && (tally->has_block || sb_vote_quorum(keeper->set, tally->any));
}

bool sb_vote_keeper_has_nil_quorum(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                   int32_t round)
{
    const struct sb_vote_tally *tally = find_tally(keeper, type, round);
    return tally != NULL && sb_vote_quorum(keeper->set, tally->nil);
}

const sb_hash *sb_vote_keeper_block(const struct sb_vote_keeper *keeper, enum sb_vote_type type,
                                    int32_t round)
{
    const struct sb_vote_tally *tally = find_tally(keeper, type, round);
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
    const struct sb_vote_tally *tally = find_tally(keeper, type, round);
    if (tally != NULL) {
        const struct sb_vote *vote = &tally->votes[validator_index];
        return sb_vote_is(vote) ? vote : NULL;
    }
    const struct far_votes *far = &keeper->far[validator_index];
    for (size_t k = 0; k < FAR_ROUNDS; k++) {
        const struct sb_vote *vote = &far->votes[k][type - 1];
        if (round >= 0 && far->round[k] == round && sb_vote_is(vote)) {
            return vote;
        }
    }
    return NULL;
}

bool sb_vote_keeper_certificate(struct sb_commit *ret_commit, const struct sb_vote_keeper *keeper,
                                enum sb_vote_type type, uint64_t height, int32_t round)
{
    const struct sb_vote_tally *tally = find_tally(keeper, type, round);
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
