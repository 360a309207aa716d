/* staking_params.c: defaults, names and bounds of the numbers of staking; see staking_params.h. */
#include "base/types/staking_params.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/util/assert.h"

struct row {
    const char *json_name;
    size_t offset; /* in struct sb_staking_params */
    uint64_t min, max;
};

static const struct row k_rows[] = {
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text)                          \
    {json_name, offsetof(struct sb_staking_params, field), min, max},
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
};
SB_STATIC_ASSERT(sizeof k_rows / sizeof k_rows[0] == SB_STAKING_PARAMS_COUNT,
                 "staking_params.def fills struct sb_staking_params");

struct sb_staking_params sb_staking_params_default(void)
{
    return (struct sb_staking_params){
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text) .field = (default_value),
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
    };
}

sb_err sb_staking_params_set(struct sb_staking_params *params, const char *json_name,
                             uint64_t value, struct sb_diag *diag)
{
    for (size_t i = 0; i < SB_STAKING_PARAMS_COUNT; i++) {
        const struct row *row = &k_rows[i];
        if (strcmp(row->json_name, json_name) != 0) {
            continue;
        }
        if (value < row->min || value > row->max) {
            return sb_fail(diag, SB_E_RANGE,
                           "%s is %" PRIu64 ", it must lie in %" PRIu64 " to %" PRIu64, json_name,
                           value, row->min, row->max);
        }
        memcpy((uint8_t *)params + row->offset, &value, sizeof value);
        return SB_OK;
    }
    return sb_fail(diag, SB_E_NOT_FOUND, "\"%.40s\" is no parameter of staking", json_name);
}

void sb_staking_params_list(uint64_t ret_values[SB_STAKING_PARAMS_COUNT],
                            const struct sb_staking_params *params)
{
    for (size_t i = 0; i < SB_STAKING_PARAMS_COUNT; i++) {
        memcpy(&ret_values[i], (const uint8_t *)params + k_rows[i].offset, sizeof ret_values[i]);
    }
}
