/* staking_params.h: the numbers of staking, rewards and slashing that a new chain begins with (docs/spec/staking.md, section 2).
 *
 * The list is staking_params.def. Genesis writes them into slots of Params; from then on only contracts read them. */
#ifndef SB_BASE_TYPES_STAKING_PARAMS_H
#define SB_BASE_TYPES_STAKING_PARAMS_H

#include <stdint.h>

#include "base/util/err.h"

/* Slot of Params that holds the first of them; the others follow in the order of the list. */
#define SB_STAKING_PARAMS_SLOT 15

struct sb_staking_params {
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text) uint64_t field;
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
};

#define SB_STAKING_PARAMS_COUNT (sizeof(struct sb_staking_params) / sizeof(uint64_t))

/* sb_staking_params_default: the defaults of staking_params.def. */
struct sb_staking_params sb_staking_params_default(void);

/* sb_staking_params_set: change the one of this JSON name ("unbondingSeconds"). SB_E_NOT_FOUND for another name, SB_E_RANGE for a value out
 * of its bounds, both with a message that names them. */
sb_err sb_staking_params_set(struct sb_staking_params *params, const char *json_name,
                             uint64_t value, struct sb_diag *diag) SB_MUST_USE;

/* sb_staking_params_list: the values in the order of the list. */
void sb_staking_params_list(uint64_t ret_values[SB_STAKING_PARAMS_COUNT],
                            const struct sb_staking_params *params);

#endif
