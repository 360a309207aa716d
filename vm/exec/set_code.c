/* set_code.c: authorization tuples become delegations; see set_code.h and EIP-7702, "Behavior", steps 1 to 9. */
#include "vm/exec/set_code.h"

#include "vm/evm/code.h"

/* PER_EMPTY_ACCOUNT_COST was charged with the intrinsic gas; an account that exists needs only PER_AUTH_BASE_COST. */
#define REFUND_EXISTING_ACCOUNT (25000 - 12500)

/* Steps 1 to 6: whether the tuple counts, and for whom. */
static bool authorization_valid(sb_addr *ret_authority, struct sb_overlay *state,
                                const struct sb_rules *rules,
                                const struct sb_authorization *authorization)
{
    sb_u256 chain_id = sb_u256_from_u64(rules->chain_id);
    if (!sb_u256_is_zero(&authorization->chain_id) &&
        !sb_u256_equal(&authorization->chain_id, &chain_id)) {
        return false;
    }
    if (authorization->nonce == UINT64_MAX) {
        return false;
    }
    sb_addr authority;
    sb_err err = sb_authorization_authority(&authority, authorization);
    if (err != SB_OK) {
        if (err != SB_E_SIGNATURE) {
            sb_overlay_fail(state, err); /* no memory, say: not the tuple's fault */
        }
        return false;
    }
    (void)sb_overlay_warm_addr(state, &authority);
    sb_bytes code = sb_overlay_code(state, &authority);
    if (code.len != 0 && !sb_code_delegate(NULL, code)) {
        return false;
    }
    if (sb_overlay_nonce(state, &authority) != authorization->nonce) {
        return false;
    }
    *ret_authority = authority;
    return true;
}

/* Steps 7 to 9. */
static void authorization_apply(struct sb_overlay *state, const sb_addr *authority,
                                const struct sb_authorization *authorization)
{
    if (sb_overlay_exists(state, authority)) {
        sb_overlay_refund_add(state, REFUND_EXISTING_ACCOUNT);
    }
    uint8_t code[SB_DELEGATION_BYTES];
    sb_code_delegation_make(code, &authorization->addr);
    bool clears = sb_addr_is_zero(&authorization->addr);
    sb_overlay_code_set(state, authority, sb_span(code, clears ? 0 : sizeof code));
    sb_overlay_nonce_set(state, authority, authorization->nonce + 1);
}

void sb_set_code_apply(struct sb_overlay *state, const struct sb_rules *rules,
                       const struct sb_tx *tx)
{
    for (size_t i = 0; i < tx->authorization_count; i++) {
        sb_addr authority;
        if (authorization_valid(&authority, state, rules, &tx->authorizations[i])) {
            authorization_apply(state, &authority, &tx->authorizations[i]);
        }
    }
}
