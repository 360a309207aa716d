/* cost.c: rates and the sum of units times rates; see cost.h. */
#include "vm/tensor/cost.h"

#include "base/util/assert.h"
#include "base/util/checked.h"

#define MICRO_GAS_PER_GAS 1000000u

static const struct sb_rates k_rates_genesis = {
    .micro_gas =
        {
#define SB_GAS_CLASS(name, micro_gas_value, unit) [SB_GAS_CLASS_##name] = (micro_gas_value),
#include "vm/tensor/gas.def"
#undef SB_GAS_CLASS
        },
};

static const char *const k_names[SB_GAS_CLASS_COUNT] = {
#define SB_GAS_CLASS(name, micro_gas_value, unit) [SB_GAS_CLASS_##name] = #name,
#include "vm/tensor/gas.def"
#undef SB_GAS_CLASS
};

static const char *const k_units[SB_GAS_CLASS_COUNT] = {
#define SB_GAS_CLASS(name, micro_gas_value, unit) [SB_GAS_CLASS_##name] = (unit),
#include "vm/tensor/gas.def"
#undef SB_GAS_CLASS
};

const struct sb_rates *sb_rates_genesis(void)
{
    return &k_rates_genesis;
}

const char *sb_gas_class_name(enum sb_gas_class gas_class)
{
    SB_ASSERT((unsigned)gas_class < SB_GAS_CLASS_COUNT);
    return k_names[gas_class];
}

const char *sb_gas_class_unit(enum sb_gas_class gas_class)
{
    SB_ASSERT((unsigned)gas_class < SB_GAS_CLASS_COUNT);
    return k_units[gas_class];
}

void sb_units_add(struct sb_units *units, enum sb_gas_class gas_class, uint64_t count)
{
    units->count[gas_class] = sat_add_u64(units->count[gas_class], count);
}

static uint64_t gas_of(sb_u128 micro_gas)
{
    sb_u128 gas = (micro_gas + MICRO_GAS_PER_GAS - 1) / MICRO_GAS_PER_GAS;
    return gas > INT64_MAX ? INT64_MAX : (uint64_t)gas;
}

uint64_t sb_cost_gas(const struct sb_units *units, const struct sb_rates *rates)
{
    sb_u128 sum = 0;
    for (int i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        /* A sum of SB_GAS_CLASS_COUNT products of 64-bit numbers could pass 2^128, so each term stops where gas_of saturates anyway. */
        sb_u128 term = (sb_u128)units->count[i] * rates->micro_gas[i];
        sb_u128 term_max = (sb_u128)INT64_MAX * MICRO_GAS_PER_GAS;
        sum += term < term_max ? term : term_max;
    }
    return gas_of(sum);
}

uint64_t sb_cost_cold_gas(uint64_t file_bytes, const struct sb_rates *rates)
{
    struct sb_units units = {0};
    sb_units_add(&units, SB_GAS_CLASS_COLD_MODEL, 1);
    sb_units_add(&units, SB_GAS_CLASS_COLD_BYTE, file_bytes);
    return sb_cost_gas(&units, rates);
}
