/* staking.h: the staking of a simulated chain: tests/support/stake_model.h, fed with what blocks carry.
 *
 *     block of height H:   transactions ----> actions                           sim_staking_end ----> the set of H + 2
 *                          last commit  ----> who was present at H - 1
 *                          late precommits -> who was present at H - 2 after all
 *                          evidence     ----> who signed twice
 *
 * Each replica has its own, computed from its own blocks; check.c compares them. With the core alone there is one for all, for blocks
 * say nothing there: it takes the first certificate, the precommits that were signed, and the evidence that honest cores have found.
 *
 * Accounts are nodes: node i may run validator i, and delegate to the others. What proposers put into their blocks is drawn so that the
 * faulty stay below a third and four members are left; what absence and offences make of it is not foreseen: sim_rotations_decided. */
#ifndef SB_TESTS_SIM_STAKING_H
#define SB_TESTS_SIM_STAKING_H

#include "base/types/consensus.h"
#include "base/util/span.h"
#include "consensus/proposer.h"
#include "tests/sim/random.h"
#include "tests/support/stake_model.h"

#define SIM_STAKING_ACTIONS_MAX 4  /* of a block, drawn */
#define SIM_STAKING_TX_BYTES    44 /* no other transaction has that length */

struct sim;

struct sim_staking {
    struct stake_model model, scratch; /* the scratch means nothing between calls */
    uint8_t members[5][STAKE_MODEL_MAX], member_count[5]; /* of the heights H - 2 to H + 2 */
    uint32_t present; /* nodes that the newest block's commit has, of the height before it */
};

/* What a block says, nodes as bits. */
struct sim_staking_block {
    uint64_t height, time_ms;
    const struct stake_action *actions;
    size_t action_count;
    uint32_t present, late;
    const struct stake_offence *evidence;
    size_t evidence_count;
};

/* sim_staking_new: at genesis. NULL when the chain has no staking. Ends with free. */
struct sim_staking *sim_staking_new(const struct sim *sim);
/* sim_staking_end: a block is committed. true: model.set is new, in force two heights later. */
bool sim_staking_end(struct sim_staking *s, const struct sim_staking_block *block);
/* sim_staking_draw: actions for the next block of a chain that stands there; how many. */
size_t sim_staking_draw(const struct sim *sim, struct sim_staking *s, uint64_t time_ms,
                        struct sim_random *random,
                        struct stake_action ret[SIM_STAKING_ACTIONS_MAX]);

/* sim_staking_encode, _decode: an action as a transaction of one height: a block of another height does nothing by it. */
void sim_staking_encode(uint8_t ret[SIM_STAKING_TX_BYTES], const struct stake_action *action,
                        uint64_t height);
bool sim_staking_decode(struct stake_action *ret, sb_bytes transaction, uint64_t height);

/* sim_staking_changes: from the set of height + 1 to the one that was returned for height + 2. */
size_t sim_staking_changes(const struct sim *sim, const struct sim_staking *s, uint64_t height,
                           struct sb_validator_change *ret, size_t max);

#endif
