/* proposal_keeper.c: see proposal_keeper.h. Tables are small: each search goes through all of one. */
#include "consensus/proposal_keeper.h"

#include "base/util/assert.h"

void sb_proposal_keeper_reset(struct sb_proposal_keeper *keeper)
{
    memset(keeper, 0, sizeof *keeper);
    keeper->pins[0] = keeper->pins[1] = -1;
}

void sb_proposal_keeper_move(struct sb_proposal_keeper *keeper, int32_t present,
                             const int32_t pins[2])
{
    keeper->present = present;
    keeper->pins[0] = pins[0];
    keeper->pins[1] = pins[1];
}

/* ---- proposals ---- */

const struct sb_held_proposal *sb_proposal_keeper_get(const struct sb_proposal_keeper *keeper,
                                                      int32_t round)
{
    for (size_t i = 0; i < SB_PROPOSALS_MAX; i++) {
        const struct sb_held_proposal *held = &keeper->proposals[i];
        if (held->is_used && held->message.round == round) {
            return held;
        }
    }
    return NULL;
}

const struct sb_held_proposal *sb_proposal_keeper_find(const struct sb_proposal_keeper *keeper,
                                                       const sb_hash *block_id)
{
    for (size_t i = 0; i < SB_PROPOSALS_MAX; i++) {
        const struct sb_held_proposal *held = &keeper->proposals[i];
        if (held->is_used && sb_hash_equal(&held->message.block_id, block_id)) {
            return held;
        }
    }
    return NULL;
}

static bool is_kept(const struct sb_proposal_keeper *keeper, int32_t round)
{
    return round >= keeper->present || round == keeper->pins[0] || round == keeper->pins[1];
}

/* find_room: an unused place, else that of the lowest round below `under` that need not be kept; NULL: none. */
static struct sb_held_proposal *find_room(struct sb_proposal_keeper *keeper, int32_t under)
{
    struct sb_held_proposal *lowest = NULL;
    for (size_t i = 0; i < SB_PROPOSALS_MAX; i++) {
        struct sb_held_proposal *held = &keeper->proposals[i];
        if (!held->is_used) {
            return held;
        }
        int32_t round = held->message.round;
        if (!is_kept(keeper, round) && round < under &&
            (lowest == NULL || round < lowest->message.round)) {
            lowest = held;
        }
    }
    return lowest;
}

bool sb_proposal_keeper_add(struct sb_proposal_keeper *keeper, const struct sb_proposal *proposal,
                            uint64_t received_ms, bool is_own)
{
    int32_t round = proposal->round;
    bool is_far = round > keeper->present && round - 1 > keeper->present;
    if (round < 0 || is_far || proposal->pol_round < -1 || proposal->pol_round >= round ||
        sb_hash_is_zero(&proposal->block_id) || sb_proposal_keeper_get(keeper, round) != NULL) {
        return false;
    }
    struct sb_held_proposal *place = find_room(keeper, is_kept(keeper, round) ? INT32_MAX : round);
    if (place == NULL) {
        return false;
    }
    *place = (struct sb_held_proposal){
        .is_used = true, .is_own = is_own, .message = *proposal, .received_ms = received_ms};
    return true;
}

/* ---- blocks ---- */

struct sb_known_block *sb_proposal_keeper_block(struct sb_proposal_keeper *keeper,
                                                const sb_hash *block_id)
{
    for (size_t i = 0; i < SB_KNOWN_BLOCKS_MAX; i++) {
        struct sb_known_block *block = &keeper->blocks[i];
        if (block->is_used && sb_hash_equal(&block->id, block_id)) {
            return block;
        }
    }
    return NULL;
}

static bool is_hold(const struct sb_known_block *block, const sb_hash *hold)
{
    return hold != NULL && sb_hash_equal(&block->id, hold);
}

void sb_proposal_keeper_ask(struct sb_proposal_keeper *keeper, const sb_hash *block_id,
                            const sb_hash *hold_a, const sb_hash *hold_b)
{
    struct sb_known_block *place = NULL;
    for (size_t i = 0; i < SB_KNOWN_BLOCKS_MAX; i++) {
        struct sb_known_block *block = &keeper->blocks[i];
        if (!block->is_used) {
            place = block;
            break;
        }
        if (!is_hold(block, hold_a) && !is_hold(block, hold_b) &&
            (place == NULL || block->asked < place->asked)) {
            place = block;
        }
    }
    SB_ASSERT(place != NULL);
    *place = (struct sb_known_block){.is_used = true, .id = *block_id, .asked = ++keeper->asked};
}
