/* predeploys.c: accounts of the system contracts for a new genesis; see predeploys.h. */
#include "node/predeploys.h"

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/predeploys_code.h"

#define PARAM_COUNT   (sizeof(struct sb_params) / sizeof(uint64_t))
#define ACCOUNT_COUNT 2

static sb_addr system_addr(uint16_t low)
{
    sb_addr addr = {{0}};
    be_store16(addr.b + sizeof addr.b - sizeof low, low);
    return addr;
}

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
    SB_STATIC_ASSERT(sizeof values / sizeof values[0] == PARAM_COUNT,
                     "params.def fills struct sb_params");
    SB_STATIC_ASSERT(PARAM_COUNT == SB_PARAMS_SLOT_DEPOSIT,
                     "Params.sol has the slots of params.def");
    size_t count = 0;
    for (size_t i = 0; i < PARAM_COUNT; i++) {
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
    return count;
}

sb_err sb_predeploys_add(struct sb_genesis *genesis, struct sb_arena *arena,
                         const struct sb_predeploy_options *options, struct sb_diag *diag)
{
    struct sb_slot_diff *slots = sb_arena_array(arena, PARAM_COUNT + 2, sizeof *slots);
    struct sb_genesis_account *merged =
        sb_arena_array(arena, genesis->account_count + ACCOUNT_COUNT, sizeof *merged);
    if (slots == NULL || merged == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for the system contracts");
    }
    size_t slot_count = params_slots(slots, &genesis->params, options);
    const struct sb_genesis_account added[ACCOUNT_COUNT] = {
        {.addr = system_addr(SB_PARAMS_ADDR_LOW),
         .origin = SB_ORIGIN_PREDEPLOY,
         .nonce = 1,
         .code = sb_span(sb_predeploy_code_Params, sb_predeploy_code_Params_len),
         .slots = slots,
         .slot_count = slot_count},
        {.addr = system_addr(SB_REGISTRY_ADDR_LOW),
         .origin = SB_ORIGIN_PREDEPLOY,
         .nonce = 1,
         .code = sb_span(sb_predeploy_code_ModelRegistry, sb_predeploy_code_ModelRegistry_len)},
    };
    size_t count = 0;
    size_t at = 0;
    for (size_t i = 0; i < ACCOUNT_COUNT; i++) {
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
