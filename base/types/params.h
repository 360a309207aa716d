/* params.h: the consensus parameters: numbers that every node must share and that a chain may choose (docs/spec/params.md).
 *
 * Genesis sets them; the Params contract may move them later. The list is params.def. */
#ifndef SB_BASE_TYPES_PARAMS_H
#define SB_BASE_TYPES_PARAMS_H

#include "base/types/hash.h"
#include "base/util/err.h"

struct sb_params {
#define SB_PARAM(field, json_name, default_value, min, max, text) uint64_t field;
#include "base/types/params.def"
#undef SB_PARAM
    /* No parameters, and not in params_hash: what was too old for evidence when its age was changed stays too old. 0 in genesis. */
    uint64_t evidence_height_min;
    uint64_t evidence_time_min_ms;
};

/* Slots of the Params contract that hold these two; the parameters are in slots 0, 1, 2 ... */
#define SB_PARAMS_SLOT_EVIDENCE_HEIGHT_MIN  64
#define SB_PARAMS_SLOT_EVIDENCE_TIME_MIN_MS 65

/* sb_params_default: the defaults of params.def. */
struct sb_params sb_params_default(void);

/* sb_params_check: every value lies within its [min, max]; else SB_E_RANGE, naming the parameter and its bounds. */
sb_err sb_params_check(const struct sb_params *params, struct sb_diag *diag) SB_MUST_USE;

/* sb_params_hash: keccak256(rlp([each value in the order of params.def])), the params_hash of a consensus header. */
sb_hash sb_params_hash(const struct sb_params *params);

/* sb_params_old_by_blocks, _by_time: too old for evidence in a block of this height, this time; offences are not above it. What is both
 * has expired, and stays so in all later blocks, whatever the parameters become. */
bool sb_params_old_by_blocks(const struct sb_params *params, uint64_t offence_height,
                             uint64_t height);
bool sb_params_old_by_time(const struct sb_params *params, uint64_t offence_ms, uint64_t time_ms);

#endif
