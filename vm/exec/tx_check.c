/* tx_check.c: what can be judged about a transaction without state: its form, its intrinsic gas, its bounds.
 *
 *   intrinsic = 21000 [+ 32000 create] + data + access list + initcode words + authorizations      Yellow Paper 6.2, EIP-2, 2028,
 *   floor     = 21000 + 10 * (zero bytes + 4 * other bytes)                                         2930, 3860, 7702, 7623 */
#include "base/util/checked.h"
#include "vm/exec/exec.h"

#define GAS_TX                 21000u
#define GAS_TX_CREATE          32000u /* from Homestead on, EIP-2 */
#define GAS_DATA_ZERO          4u
#define GAS_DATA_OTHER         68u
#define GAS_DATA_OTHER_EIP2028 16u
#define GAS_ACCESS_ADDRESS     2400u
#define GAS_ACCESS_KEY         1900u
#define GAS_INITCODE_WORD      2u
#define GAS_AUTHORIZATION      25000u
#define GAS_FLOOR_TOKEN        10u
#define TOKENS_DATA_OTHER      4u

#define BLOB_HASH_VERSION      0x01 /* EIP-4844: first byte of a versioned hash, KZG */

const char *sb_tx_reject_text(enum sb_tx_reject reject)
{
    static const char *const texts[] = {
        "accepted",
#define SB_TX_REJECT(name, text) text,
#include "vm/exec/tx_reject.def"
#undef SB_TX_REJECT
    };
    size_t i = (size_t)reject;
    return i < sizeof texts / sizeof texts[0] ? texts[i] : "unknown reason";
}

static uint64_t zero_bytes(sb_bytes data)
{
    uint64_t count = 0;
    for (size_t i = 0; i < data.len; i++) {
        count += data.data[i] == 0;
    }
    return count;
}

struct sb_intrinsic_gas sb_tx_intrinsic_gas(const struct sb_rules *rules, const struct sb_tx *tx)
{
    uint64_t zeros = zero_bytes(tx->data);
    uint64_t others = tx->data.len - zeros;
    uint64_t other_gas =
        rules->revision >= SB_REV_ISTANBUL ? GAS_DATA_OTHER_EIP2028 : GAS_DATA_OTHER;

    uint64_t gas = GAS_TX + GAS_DATA_ZERO * zeros + other_gas * others;
    if (tx->is_create && rules->revision >= SB_REV_HOMESTEAD) {
        gas += GAS_TX_CREATE;
    }
    if (tx->is_create && rules->revision >= SB_REV_SHANGHAI) {
        gas += GAS_INITCODE_WORD * ((tx->data.len + 31) / 32);
    }
    for (size_t i = 0; i < tx->access_count; i++) {
        gas += GAS_ACCESS_ADDRESS + GAS_ACCESS_KEY * tx->access_list[i].key_count;
    }
    gas += GAS_AUTHORIZATION * tx->authorization_count;

    uint64_t floor = 0;
    if (rules->revision >= SB_REV_PRAGUE) {
        floor = GAS_TX + GAS_FLOOR_TOKEN * (zeros + TOKENS_DATA_OTHER * others);
    }
    return (struct sb_intrinsic_gas){.gas = gas, .floor = floor};
}

static bool type_allowed(const struct sb_rules *rules, enum sb_tx_type type)
{
    switch (type) {
    case SB_TX_LEGACY:
        return true;
    case SB_TX_ACCESS_LIST:
        return rules->revision >= SB_REV_BERLIN;
    case SB_TX_FEE_MARKET:
        return rules->revision >= SB_REV_LONDON;
    case SB_TX_BLOB:
        return rules->revision >= SB_REV_CANCUN && rules->profile == SB_PROFILE_ETHEREUM;
    case SB_TX_SET_CODE:
        return rules->revision >= SB_REV_PRAGUE;
    }
    return false;
}

static bool chain_id_fits(const struct sb_rules *rules, const struct sb_tx *tx)
{
    if (!tx->has_chain_id) {
        return true;
    }
    return tx->chain_id == rules->chain_id && rules->revision >= SB_REV_SPURIOUS_DRAGON;
}

static enum sb_tx_reject check_blobs(const struct sb_rules *rules, const struct sb_tx *tx)
{
    if (tx->is_create) {
        return SB_TX_REJECT_BLOB_CREATE;
    }
    if (tx->blob_hash_count == 0) {
        return SB_TX_REJECT_BLOB_EMPTY;
    }
    if (tx->blob_hash_count > rules->blobs_per_tx_max ||
        tx->blob_hash_count > rules->blobs_per_block_max) {
        return SB_TX_REJECT_BLOB_COUNT;
    }
    for (size_t i = 0; i < tx->blob_hash_count; i++) {
        if (tx->blob_hashes[i].b[0] != BLOB_HASH_VERSION) {
            return SB_TX_REJECT_BLOB_VERSION;
        }
    }
    return SB_TX_ACCEPTED;
}

static enum sb_tx_reject check_gas(const struct sb_rules *rules, const struct sb_tx *tx)
{
    if (tx->gas_limit > rules->tx_gas_max) {
        return SB_TX_REJECT_TX_GAS_CAP;
    }
    if (tx->gas_limit > INT64_MAX) {
        return SB_TX_REJECT_GAS_UINT_OVERFLOW;
    }
    struct sb_intrinsic_gas need = sb_tx_intrinsic_gas(rules, tx);
    if (tx->gas_limit < need.gas) {
        return SB_TX_REJECT_INTRINSIC_GAS;
    }
    return tx->gas_limit < need.floor ? SB_TX_REJECT_FLOOR_GAS : SB_TX_ACCEPTED;
}

enum sb_tx_reject sb_tx_check_static(const struct sb_rules *rules, const struct sb_tx *tx)
{
    if (!type_allowed(rules, tx->type)) {
        return SB_TX_REJECT_TYPE;
    }
    if (!chain_id_fits(rules, tx)) {
        return SB_TX_REJECT_CHAIN_ID;
    }
    if (tx->nonce == UINT64_MAX) {
        return SB_TX_REJECT_NONCE_MAX;
    }
    if (sb_u256_lt(&tx->max_fee, &tx->max_priority_fee)) {
        return SB_TX_REJECT_TIP_ABOVE_FEE;
    }
    if (tx->is_create && tx->data.len > rules->initcode_bytes_max) {
        return SB_TX_REJECT_INITCODE_SIZE;
    }
    if (tx->type == SB_TX_BLOB) {
        enum sb_tx_reject reject = check_blobs(rules, tx);
        if (reject != SB_TX_ACCEPTED) {
            return reject;
        }
    }
    if (tx->type == SB_TX_SET_CODE && tx->is_create) {
        return SB_TX_REJECT_SETCODE_CREATE;
    }
    if (tx->type == SB_TX_SET_CODE && tx->authorization_count == 0) {
        return SB_TX_REJECT_SETCODE_EMPTY;
    }
    return check_gas(rules, tx);
}
