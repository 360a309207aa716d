/* chain_params.c: the consensus parameters of the block to come, read from the Params contract; see docs/spec/params.md.
 *
 * This is the one place where the node reads a Solidity layout for consensus: slots 0, 1, 2 ... of 0x5b10 in the order of params.def,
 * and the two that say where evidence ends. */
#include "base/util/endian.h"
#include "node/chain_impl.h"
#include "node/predeploys.h"

static sb_addr params_addr(void)
{
    sb_addr addr = {{0}};
    be_store16(addr.b + sizeof addr.b - sizeof(uint16_t), SB_PARAMS_ADDR_LOW);
    return addr;
}

static sb_err read_slot(uint64_t *ret_value, const struct sb_state_view *view, uint64_t slot)
{
    sb_addr addr = params_addr();
    sb_hash key = {{0}};
    sb_u256 value;
    be_store64(key.b + sizeof key.b - sizeof slot, slot);
    SB_TRY(view->storage(view->ctx, &addr, &key, &value));
    *ret_value = sb_u256_sat_u64(&value);
    return SB_OK;
}

static sb_err read_params(struct sb_params *ret_params, const struct sb_state_view *view)
{
    uint64_t slot = 0;
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    SB_TRY(read_slot(&ret_params->field, view, slot++));
#include "base/types/params.def"
#undef SB_PARAM
    SB_TRY(read_slot(&ret_params->evidence_height_min, view, SB_PARAMS_SLOT_EVIDENCE_HEIGHT_MIN));
    return read_slot(&ret_params->evidence_time_min_ms, view, SB_PARAMS_SLOT_EVIDENCE_TIME_MIN_MS);
}

sb_err sb_chain_load_params(struct sb_params *ret_params, struct sb_chain *chain, uint64_t number,
                            struct sb_diag *diag)
{
    struct sb_store_view *store_view;
    struct sb_account account;
    bool exists = false;
    struct sb_params params = chain->genesis->params;
    sb_addr addr = params_addr();
    sb_err err = sb_store_view_open(&store_view, chain->store, number);
    if (err == SB_OK) {
        const struct sb_state_view *view = sb_store_view_state(store_view);
        err = view->account(view->ctx, &addr, &account, &exists);
        if (err == SB_OK && exists) {
            err = read_params(&params, view);
        }
        sb_store_view_close(store_view);
    }
    if (err != SB_OK) {
        return sb_fail(diag, err, "the parameters after block %llu cannot be read: %s",
                       (unsigned long long)number, sb_err_text(err));
    }
    if (sb_params_check(&params, diag) != SB_OK) {
        sb_diag_prefix(diag, "Params contract after block %llu", (unsigned long long)number);
        return SB_E_CORRUPT;
    }
    *ret_params = params;
    return SB_OK;
}

bool sb_chain_diff_has_params(const struct sb_state_diff *diff)
{
    sb_addr addr = params_addr();
    for (size_t i = 0; i < diff->account_count; i++) {
        if (sb_addr_equal(&diff->accounts[i].addr, &addr)) {
            return true;
        }
    }
    return false;
}

uint64_t sb_chain_version_at(const struct sb_chain_head *head, uint64_t height)
{
    const struct sb_params *p = &head->params;
    bool is_planned = p->upgrade_version > head->version && height >= p->upgrade_height;
    return is_planned ? p->upgrade_version : head->version;
}
