/* core_value.h: blocks of the simulator's core-only mode: a block is nothing but its id, which says all that matters of it. */
#ifndef SB_TESTS_SIM_CORE_VALUE_H
#define SB_TESTS_SIM_CORE_VALUE_H

#include "base/types/hash.h"

struct sim_core_value {
    bool is_valid;
    uint32_t proposer; /* node */
    uint64_t height;
    uint64_t time_ms;
    uint64_t random;
};

sb_hash sim_core_value_make(const struct sim_core_value *value);
struct sim_core_value sim_core_value_of(const sb_hash *id);

#endif
