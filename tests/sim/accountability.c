/* accountability.c: who is to blame for a fork.
 *
 * Two decisions of one height mean that more than a third of the power broke the rules (paper, section 2.3 of the accountability
 * notes of Tendermint): either they voted twice at one place, or they forgot a lock:
 *
 *     equivocation   two votes of one type in one round for different blocks
 *     amnesia        precommit for v in round r, then prevote for another v' in r' > r, though no round in [r, r') had a polka for v'
 *
 * Only votes that some honest node has heard count: this is what its log would show. */
#include "tests/sim/check.h"
#include "tests/sim/sim.h"

static int64_t power_of(const struct sim *sim, uint64_t height, uint32_t nodes)
{
    const struct sb_rotation *rotation = sim_rotation(sim, height);
    int64_t power = 0;
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        power += (nodes >> sim_member(sim, height, i) & 1) != 0 ? rotation->validators[i].power : 0;
    }
    return power;
}

static uint32_t equivocators(const struct sim *sim, uint64_t height)
{
    uint32_t guilty = 0, at_a = 0;
    const struct sim_signed *a, *b;
    while ((a = sim_check_each(sim->check, height, &at_a)) != NULL) {
        uint32_t at_b = at_a;
        while (a->type != 0 && (b = sim_check_each(sim->check, height, &at_b)) != NULL) {
            guilty |= a->type == b->type && a->round == b->round ? a->heard & b->heard : 0;
        }
    }
    return guilty;
}

/* is_justified: a polka for the block of `later` in [from, later->round). */
static bool is_justified(const struct sim *sim, const struct sim_signed *later, int32_t from)
{
    uint32_t at = 0;
    const struct sim_signed *one;
    int64_t total = sim_rotation(sim, later->height)->set.total_power;
    while ((one = sim_check_each(sim->check, later->height, &at)) != NULL) {
        if (one->type == SB_VOTE_PREVOTE && one->round >= from && one->round < later->round &&
            sb_hash_equal(&one->block_id, &later->block_id) &&
            sb_power_is_quorum(power_of(sim, later->height, one->signers), total)) {
            return true;
        }
    }
    return false;
}

static uint32_t amnesiacs(const struct sim *sim, uint64_t height)
{
    uint32_t guilty = 0, at_a = 0;
    const struct sim_signed *lock, *later;
    while ((lock = sim_check_each(sim->check, height, &at_a)) != NULL) {
        if (lock->type != SB_VOTE_PRECOMMIT || sb_hash_is_zero(&lock->block_id)) {
            continue;
        }
        uint32_t at_b = 0;
        while ((later = sim_check_each(sim->check, height, &at_b)) != NULL) {
            uint32_t both = lock->heard & later->heard;
            if (later->type == SB_VOTE_PREVOTE && later->round > lock->round && both != 0 &&
                !sb_hash_is_zero(&later->block_id) &&
                !sb_hash_equal(&later->block_id, &lock->block_id) &&
                !is_justified(sim, later, lock->round)) {
                guilty |= both;
            }
        }
    }
    return guilty;
}

void sim_accountability(struct sim *sim, uint64_t height)
{
    uint32_t guilty = equivocators(sim, height) | amnesiacs(sim, height);
    for (uint32_t i = 0; i < sim->config.node_count; i++) {
        if ((guilty >> i & 1) != 0 && sim_is_honest(sim, i)) {
            sim_fail(sim, "fork at height %llu: honest node %u stands accused",
                     (unsigned long long)height, i);
            return;
        }
    }
    int64_t total = sim_rotation(sim, height)->set.total_power;
    if (!sb_power_is_third(power_of(sim, height, guilty), total)) {
        sim_fail(sim, "fork at height %llu: only power %lld of %lld can be blamed (nodes 0x%x)",
                 (unsigned long long)height, (long long)power_of(sim, height, guilty),
                 (long long)total, guilty);
    }
}
