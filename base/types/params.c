/* params.c: defaults, bounds and hash of the consensus parameters; see params.h. */
#include "base/types/params.h"

#include <inttypes.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"

enum {
#define SB_PARAM(field, json_name, default_value, min, max, text) PARAM_##field,
#include "base/types/params.def"
#undef SB_PARAM
    PARAM_COUNT
};

/* A list header, and a header and eight bytes for each number. */
#define PARAMS_BYTES_MAX (SB_RLP_HEADER_BYTES_MAX + PARAM_COUNT * 9)

struct sb_params sb_params_default(void)
{
    return (struct sb_params){
#define SB_PARAM(field, json_name, default_value, min, max, text) .field = (default_value),
#include "base/types/params.def"
#undef SB_PARAM
    };
}

static sb_err check_one(const char *json_name, uint64_t value, uint64_t min, uint64_t max,
                        struct sb_diag *diag)
{
    if (value < min || value > max) {
        return sb_fail(diag, SB_E_RANGE,
                       "%s is %" PRIu64 ", it must lie in %" PRIu64 " to %" PRIu64, json_name,
                       value, min, max);
    }
    return SB_OK;
}

sb_err sb_params_check(const struct sb_params *params, struct sb_diag *diag)
{
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    SB_TRY(check_one(json_name, params->field, min, max, diag));
#include "base/types/params.def"
#undef SB_PARAM
    return SB_OK;
}

sb_hash sb_params_hash(const struct sb_params *params)
{
    uint8_t memory[PARAMS_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    size_t list = sb_rlp_list_begin(&buf);
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    sb_rlp_put_u64(&buf, params->field);
#include "base/types/params.def"
#undef SB_PARAM
    sb_rlp_list_end(&buf, list);
    SB_ASSERT(!buf.failed);
    return sb_keccak256(sb_buf_bytes(&buf));
}

bool sb_params_old_by_blocks(const struct sb_params *params, uint64_t offence_height,
                             uint64_t height)
{
    return height - offence_height > params->evidence_age_blocks_max ||
           offence_height < params->evidence_height_min;
}

bool sb_params_old_by_time(const struct sb_params *params, uint64_t offence_ms, uint64_t time_ms)
{
    return time_ms - offence_ms > params->evidence_age_ms_max ||
           offence_ms < params->evidence_time_min_ms;
}
