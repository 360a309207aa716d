/* cost.h: what a run costs: units of work by gas class, and the rates that turn them into gas.
 *
 * Units follow from the file alone and are stored at registration; the rates are those in force at the height of the call. A rate
 * is micro-gas per unit, 1 gas being 10 ns of the reference floor (one core, AVX2 level; gas.def says each class's figure), so
 *
 *     gas = ceil( sum over classes of units * rate / 10^6 )
 *
 * Gas is charged before the work and before any memo lookup. */
#ifndef SB_VM_TENSOR_COST_H
#define SB_VM_TENSOR_COST_H

#include <stdint.h>

enum sb_gas_class {
#define SB_GAS_CLASS(name, micro_gas, unit) SB_GAS_CLASS_##name,
#include "vm/tensor/gas.def"
#undef SB_GAS_CLASS
    SB_GAS_CLASS_COUNT
};

struct sb_units {
    uint64_t count[SB_GAS_CLASS_COUNT]; /* saturates at UINT64_MAX */
};

struct sb_rates {
    uint64_t micro_gas[SB_GAS_CLASS_COUNT]; /* per unit */
};

/* sb_rates_genesis: the rates of gas.def. Static. */
const struct sb_rates *sb_rates_genesis(void);
/* sb_gas_class_name: "DENSE_MAC", ...; sb_gas_class_unit: what one unit is, for reports. Static. */
const char *sb_gas_class_name(enum sb_gas_class gas_class);
const char *sb_gas_class_unit(enum sb_gas_class gas_class);

void sb_units_add(struct sb_units *units, enum sb_gas_class gas_class, uint64_t count);

/* sb_cost_gas: gas of one run; saturates at INT64_MAX, so that a comparison with a gas limit is always right. */
uint64_t sb_cost_gas(const struct sb_units *units, const struct sb_rates *rates);

/* sb_cost_cold_gas: the charge at a model's first touch in a transaction, for reading file_bytes and preparing the model. */
uint64_t sb_cost_cold_gas(uint64_t file_bytes, const struct sb_rates *rates);

#endif
