/* proposer.h: who proposes: weighted round-robin by priorities, and changes of the validator set (docs/spec/validators.md).
 *
 *      set of height H, priorities ---- advance(1) ----> set of H + 1 ---- update(changes), advance(1) ----> set of H + 2 ...
 *                   |
 *                   +-- round r: a copy, advanced r times
 *
 * The rules are those of CometBFT's types/validator_set.go, integer for integer, since validators of other chains know them:
 *     window 2, P = total power
 *     advance(k): rescale so that max - min <= 2P (ceiling division, truncating quotients); centre on the floor of the average; then k
 *     times: every priority += power, the highest (ties: the smaller address) proposes and pays P.
 * All sums saturate or are proven to fit: P <= SB_TOTAL_POWER_MAX = INT64_MAX / 8. After each operation the priorities' sum is in [0, n).
 *
 * Priorities are computed from genesis on, kept beside the set by storage, and never taken from a peer. */
#ifndef SB_CONSENSUS_PROPOSER_H
#define SB_CONSENSUS_PROPOSER_H

#include "base/types/consensus.h"

/* A validator set with its priorities at round 0 of one height. Copied freely; set.validators points into `validators`, so copy with
 * sb_rotation_copy. About 34 KiB. */
struct sb_rotation {
    struct sb_validator_set set;
    struct sb_validator validators[SB_VALIDATORS_MAX];
    int64_t priority[SB_VALIDATORS_MAX]; /* of validators[i] */
    uint32_t proposer;                   /* index: chosen by the last advance */
};

/* One change of the set: power 0 removes. */
struct sb_validator_change {
    struct sb_pubkey key;
    int64_t power;
};

/* sb_rotation_init: the rotation of a first set (genesis): all validators new, then advanced once. set as from sb_validator_set_make. */
void sb_rotation_init(struct sb_rotation *ret_rotation, const struct sb_validator_set *set);
void sb_rotation_copy(struct sb_rotation *ret_rotation, const struct sb_rotation *rotation);
/* sb_rotation_advance: k >= 1 elections. */
void sb_rotation_advance(struct sb_rotation *rotation, uint32_t k);
/* sb_rotation_proposer: index of the proposer of a round >= 0, the rotation standing at round 0. Costs round * count: rounds that a
 * peer names are bounded by the caller. */
uint32_t sb_rotation_proposer(const struct sb_rotation *rotation, int32_t round);

/* sb_rotation_update: apply changes, all or nothing; without advancing: proposer stays the validator that it was, or becomes the one of
 * highest priority if that one was removed. No changes: nothing happens.
 * A new validator begins at -(T + T / 8), T = total after the updates and before the removals; a changed one keeps its priority.
 * Returns SB_OK; SB_E_EXISTS for the same key twice, SB_E_RANGE for a power < 0, over the maximum or a total over it, SB_E_NOT_FOUND
 * for the removal of an unknown validator, SB_E_SHAPE for a result without validators or with too many, SB_E_TYPE for a key of another
 * type. On failure nothing changes. */
sb_err sb_rotation_update(struct sb_rotation *rotation, const struct sb_validator_change *changes,
                          size_t count, struct sb_diag *diag) SB_MUST_USE;

/* sb_rotation_encode, _decode: rlp([set, [zig-zag priorities...], proposer]), as stored; strict, encode(decode(b)) = b. Refused, besides
 * malformed bytes, are priorities that no computation gives: SB_E_RANGE beyond 3 * SB_TOTAL_POWER_MAX or a sum outside [0, n). */
void sb_rotation_encode(struct sb_buf *out, const struct sb_rotation *rotation);
sb_err sb_rotation_decode(struct sb_rotation *ret_rotation, sb_bytes raw,
                          struct sb_diag *diag) SB_MUST_USE;

#endif
