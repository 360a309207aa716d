/* gas.h: the prices that are not an instruction's constant part (Yellow Paper, appendix G; EIPs named). Gas is int64. */
#ifndef SB_VM_EVM_GAS_H
#define SB_VM_EVM_GAS_H

#include <stdint.h>

#include "base/num/u256.h"
#include "vm/exec/rules.h"

#define GAS_MEMORY_WORD              3
#define GAS_MEMORY_QUADRATIC_DIVISOR 512
#define GAS_COPY_WORD                3
#define GAS_KECCAK_WORD              6
#define GAS_INITCODE_WORD            2 /* EIP-3860 */
#define GAS_LOG_BYTE                 8
#define GAS_EXP_BYTE_FRONTIER        10
#define GAS_EXP_BYTE                 50 /* EIP-160 */
#define GAS_CALL_VALUE               9000
#define GAS_CALL_STIPEND             2300
#define GAS_NEW_ACCOUNT              25000
#define GAS_CODE_BYTE                200
#define GAS_WARM_ACCESS              100 /* EIP-2929 */
#define GAS_COLD_ACCOUNT             2600
#define GAS_COLD_SLOT                2100
#define GAS_REFUND_SELFDESTRUCT      24000 /* until EIP-3529 */
#define GAS_SSTORE_SENTRY            2300  /* EIP-2200 */

/* SSTORE by revision. is_net: EIP-1283 / EIP-2200 look at the original value too. */
struct sstore_gas {
    bool is_net;
    int16_t noop;  /* nothing changes, or the slot is dirty already */
    int16_t set;   /* zero to non-zero */
    int16_t reset; /* other first change */
    int16_t clear_refund;
};

static inline struct sstore_gas sstore_gas_of(enum sb_revision revision)
{
    if (revision >= SB_REV_LONDON) { /* EIP-3529 */
        return (struct sstore_gas){true, 100, 20000, 2900, 4800};
    }
    if (revision >= SB_REV_BERLIN) { /* EIP-2929 */
        return (struct sstore_gas){true, 100, 20000, 2900, 15000};
    }
    if (revision >= SB_REV_ISTANBUL) { /* EIP-2200, EIP-1884 */
        return (struct sstore_gas){true, 800, 20000, 5000, 15000};
    }
    if (revision == SB_REV_CONSTANTINOPLE) { /* EIP-1283, which Petersburg takes back */
        return (struct sstore_gas){true, 200, 20000, 5000, 15000};
    }
    return (struct sstore_gas){false, 5000, 20000, 5000, 15000};
}

/* memory_gas: total price of a memory of that many words. words <= 2^31, so it fits. */
static inline int64_t memory_gas(uint64_t words)
{
    return (int64_t)(words * GAS_MEMORY_WORD + words * words / GAS_MEMORY_QUADRATIC_DIVISOR);
}

/* all_but_one_64th: what a caller may hand on at most (EIP-150). */
static inline int64_t all_but_one_64th(int64_t gas)
{
    return gas - gas / 64;
}

/* words_of: 32-byte words that hold len bytes. */
static inline uint64_t words_of(uint64_t len)
{
    return len / 32 + (len % 32 != 0);
}

/* exp_gas: the dynamic part of EXP. */
static inline int64_t exp_gas(enum sb_revision revision, const sb_u256 *exponent)
{
    int64_t byte_gas = revision >= SB_REV_SPURIOUS_DRAGON ? GAS_EXP_BYTE : GAS_EXP_BYTE_FRONTIER;
    return byte_gas * (int64_t)sb_u256_byte_len(exponent);
}

/* What an SSTORE costs (without cold access) and gives back, from the slot's original, current and new value. */
struct sstore_price {
    int64_t gas, refund;
};
struct sstore_price sstore_price(const struct sstore_gas *table, const sb_u256 *original,
                                 const sb_u256 *current, const sb_u256 *value);

#endif
