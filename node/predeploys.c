/* predeploys.c: accounts of the system contracts for a new genesis; see predeploys.h. */
#include "node/predeploys.h"

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/predeploys_code.h"

#include "vm/exec/system.h"

#define SLOT_COUNT_MAX (SB_STAKING_PARAMS_SLOT + SB_STAKING_PARAMS_COUNT)

static struct sb_slot_diff slot(uint64_t number, sb_u256 value)
{
    struct sb_slot_diff s = {.value = value};
    be_store64(s.key.b + 24, number);
    return s;
}

/* Params' slots, ascending; a value of zero is an absent slot. Returns how many. */
static size_t params_slots(struct sb_slot_diff *ret_slots, const struct sb_params *params,
                           const struct sb_predeploy_options *options)
{
    const uint64_t values[] = {
#define SB_PARAM(field, json_name, default_value, min, max, text) params->field,
#include "base/types/params.def"
#undef SB_PARAM
    };
    const size_t value_count = sizeof values / sizeof values[0];
    SB_STATIC_ASSERT(sizeof values / sizeof values[0] == SB_PARAMS_SLOT_DEPOSIT,
                     "Params.sol has the slots of params.def");
    SB_STATIC_ASSERT(SLOT_COUNT_MAX <= SB_PARAMS_SLOT_EVIDENCE_HEIGHT_MIN,
                     "the numbers of staking end below the floors of evidence");
    size_t count = 0;
    for (size_t i = 0; i < value_count; i++) {
        if (values[i] != 0) {
            ret_slots[count++] = slot(i, sb_u256_from_u64(values[i]));
        }
    }
    if (options->deposit_per_byte != 0) {
        ret_slots[count++] =
            slot(SB_PARAMS_SLOT_DEPOSIT, sb_u256_from_u64(options->deposit_per_byte));
    }
    if (!sb_addr_is_zero(&options->governor)) {
        ret_slots[count++] = slot(SB_PARAMS_SLOT_GOVERNOR,
                                  sb_u256_load_be(options->governor.b, sizeof options->governor.b));
    }
    if (options->operators != NULL) {
        uint64_t staking[SB_STAKING_PARAMS_COUNT];
        sb_staking_params_list(staking, &options->staking);
        for (size_t i = 0; i < SB_STAKING_PARAMS_COUNT; i++) {
            if (staking[i] != 0) {
                ret_slots[count++] = slot(SB_STAKING_PARAMS_SLOT + i, sb_u256_from_u64(staking[i]));
            }
        }
    }
    return count;
}

/* merge: the genesis' accounts and these, both ascending by address. */
static sb_err merge(struct sb_genesis *genesis, struct sb_arena *arena,
                    const struct sb_genesis_account *added, size_t added_count,
                    struct sb_diag *diag)
{
    struct sb_genesis_account *merged =
        sb_arena_array(arena, genesis->account_count + added_count, sizeof *merged);
    if (merged == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for the system contracts");
    }
    size_t count = 0;
    size_t at = 0;
    for (size_t i = 0; i < added_count; i++) {
        while (at < genesis->account_count &&
               memcmp(genesis->accounts[at].addr.b, added[i].addr.b, sizeof added[i].addr.b) < 0) {
            merged[count++] = genesis->accounts[at++];
        }
        if (at < genesis->account_count &&
            sb_addr_equal(&genesis->accounts[at].addr, &added[i].addr)) {
            return sb_fail(diag, SB_E_EXISTS, "the genesis has an account at 0x…%02x%02x already",
                           added[i].addr.b[18], added[i].addr.b[19]);
        }
        merged[count++] = added[i];
    }
    while (at < genesis->account_count) {
        merged[count++] = genesis->accounts[at++];
    }
    genesis->accounts = merged;
    genesis->account_count = count;
    return SB_OK;
}

sb_err sb_predeploys_add(struct sb_genesis *genesis, struct sb_arena *arena,
                         const struct sb_predeploy_options *options, struct sb_diag *diag)
{
#define CONTRACT(low, name)                                                                        \
    {                                                                                              \
        .addr = sb_system_addr(low), .origin = SB_ORIGIN_PREDEPLOY, .nonce = 1,                    \
        .code = sb_span(sb_predeploy_code_##name, sb_predeploy_code_##name##_len)                  \
    }
    struct sb_genesis_account added[] = {
        CONTRACT(SB_PARAMS_ADDR_LOW, Params),     CONTRACT(SB_REGISTRY_ADDR_LOW, ModelRegistry),
        CONTRACT(SB_STAKING_ADDR_LOW, Staking),   CONTRACT(SB_DISTRIBUTION_ADDR_LOW, Distribution),
        CONTRACT(SB_SLASHING_ADDR_LOW, Slashing), CONTRACT(SB_CHECKPOINTS_ADDR_LOW, Checkpoints),
    };
#undef CONTRACT
    enum { ALL = sizeof added / sizeof added[0], WITHOUT_STAKING = 2 };
    struct sb_slot_diff *slots = sb_arena_array(arena, SLOT_COUNT_MAX, sizeof *slots);
    if (slots == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for the system contracts");
    }
    added[0].slots = slots;
    added[0].slot_count = params_slots(slots, &genesis->params, options);
    if (options->operators == NULL) {
        return merge(genesis, arena, added, WITHOUT_STAKING, diag);
    }
    SB_TRY(merge(genesis, arena, added, ALL, diag));
    genesis->fee_recipient = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    genesis->coinbase = genesis->fee_recipient;
    return sb_staking_genesis_run(genesis, arena, options->operators, options->operator_count,
                                  diag);
}
