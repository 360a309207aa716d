/* query_access.c: what a call touches, as an access list (eth_createAccessList, EIP-2930).
 *
 *      list --> run with it --> touched --> the same? --yes--> answer
 *        ^                         |no
 *        +-------------------------+         the list changes the gas, and the gas may change the path
 *
 * As in geth, the list leaves out the addresses that are warm for nothing: sender, callee (or the contract to be made), precompiles and
 * authorities; their slots stay in. */
#include <stdio.h>

#include "node/access_set.h"
#include "node/query.h"
#include "rpc/format.h"
#include "vm/evm/opcodes.h"
#include "vm/precompile/precompile.h"

#define ROUNDS_MAX       16
#define TABLES_BYTES_MAX ((size_t)64 << 20)

struct touched {
    struct sb_access_set *set;
    const struct sb_access_set *excluded;
};

static sb_addr addr_of(const sb_u256 *word)
{
    uint8_t bytes[32];
    sb_addr addr;
    sb_u256_store_be(bytes, word);
    memcpy(addr.b, bytes + sizeof bytes - sizeof addr.b, sizeof addr.b);
    return addr;
}

static bool is_excluded(const struct sb_access_set *excluded, const sb_addr *addr)
{
    for (const struct sb_access_account *a = excluded->first; a != NULL; a = a->next) {
        if (sb_addr_equal(&a->addr, addr)) {
            return true;
        }
    }
    return false;
}

static void touch_addr(struct touched *t, const sb_addr *addr)
{
    if (!is_excluded(t->excluded, addr)) {
        (void)sb_access_set_account(t->set, addr, NULL);
    }
}

static void note_step(void *ctx, const struct sb_trace_step *step)
{
    struct touched *t = ctx;
    const sb_u256 *top = step->stack + step->stack_count;
    switch (step->opcode) {
    case SB_OP_SLOAD:
    case SB_OP_SSTORE:
        if (step->stack_count >= 1) {
            sb_hash key;
            sb_u256_store_be(key.b, &top[-1]);
            (void)sb_access_set_slot(t->set, step->address, &key, NULL);
        }
        break;
    case SB_OP_BALANCE:
    case SB_OP_EXTCODESIZE:
    case SB_OP_EXTCODECOPY:
    case SB_OP_EXTCODEHASH:
    case SB_OP_SELFDESTRUCT:
        if (step->stack_count >= 1) {
            sb_addr addr = addr_of(&top[-1]);
            touch_addr(t, &addr);
        }
        break;
    case SB_OP_CALL:
    case SB_OP_CALLCODE:
    case SB_OP_DELEGATECALL:
    case SB_OP_STATICCALL:
        if (step->stack_count >= 5) {
            sb_addr addr = addr_of(&top[-2]);
            touch_addr(t, &addr);
        }
        break;
    default:
        break;
    }
}

static void exclude_precompile(void *ctx, const sb_addr *addr)
{
    (void)sb_access_set_account(ctx, addr, NULL);
}

/* find_excluded: also the callee itself, which for a creation follows from the sender's nonce. */
static sb_err find_excluded(struct sb_access_set *excluded, const struct sb_query_site *site,
                            const struct sb_query_tx *call)
{
    sb_addr to = call->tx.to;
    if (call->tx.is_create) {
        struct sb_account account;
        bool exists;
        SB_TRY(site->state.at->account(site->state.at->ctx, &call->from, &account, &exists));
        to = sb_rpc_create_address(&call->from, account.nonce);
    }
    (void)sb_access_set_account(excluded, &call->from, NULL);
    (void)sb_access_set_account(excluded, &to, NULL);
    sb_precompile_each(&site->rules, exclude_precompile, excluded);
    for (size_t i = 0; i < call->tx.authorization_count; i++) {
        sb_addr authority;
        if (sb_authorization_authority(&authority, &call->tx.authorizations[i]) == SB_OK) {
            (void)sb_access_set_account(excluded, &authority, NULL);
        }
    }
    return excluded->failed ? SB_E_NOMEM : SB_OK;
}

/* add_given: the list that the client brought, without what is excluded. */
static void add_given(struct touched *t, const struct sb_rpc_call *call)
{
    for (size_t i = 0; i < call->access_count; i++) {
        const struct sb_access_entry *entry = &call->access_list[i];
        touch_addr(t, &entry->addr);
        for (size_t j = 0; j < entry->key_count; j++) {
            (void)sb_access_set_slot(t->set, &entry->addr, &entry->keys[j], NULL);
        }
    }
}

static size_t slots_in(const struct sb_access_set *set)
{
    size_t count = 0;
    for (const struct sb_access_account *a = set->first; a != NULL; a = a->next) {
        count += a->slot_count;
    }
    return count;
}

/* rounds: until a run touches nothing that its list did not have. The set only grows, so that equal sizes mean equal sets. */
static sb_err rounds(struct sb_rpc_access_list *list, struct sb_arena *arena, struct touched *t,
                     const struct sb_query_site *site, struct sb_query_tx *call,
                     struct sb_query_outcome *outcome, const atomic_bool *stop)
{
    const struct sb_tracer tracer = {.ctx = t, .step = note_step};
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        size_t accounts = t->set->account_count;
        size_t slots = slots_in(t->set);
        SB_TRY(sb_access_set_list(&list->entries, &list->count, t->set, arena));
        call->tx.access_list = list->entries;
        call->tx.access_count = list->count;
        SB_TRY(sb_query_execute(outcome, arena, site, call, &tracer, stop));
        bool stable = t->set->account_count == accounts && slots_in(t->set) == slots;
        if (outcome->result.reject != SB_TX_ACCEPTED || stable) {
            return SB_OK;
        }
    }
    return SB_OK;
}

static sb_err find_list(struct sb_rpc_access_list *ret_list, struct sb_arena *arena,
                        struct touched *t, const struct sb_query_site *site,
                        struct sb_query_tx *call, const atomic_bool *stop,
                        struct sb_rpc_failure *failure)
{
    struct sb_rpc_access_list list = {.count = 0};
    struct sb_query_outcome outcome;
    SB_TRY(rounds(&list, arena, t, site, call, &outcome, stop));
    if (outcome.result.reject != SB_TX_ACCEPTED) {
        return sb_query_fail_refused(failure, &outcome, call);
    }
    list.gas_used = outcome.result.gas_used;
    if (outcome.result.status != SB_EVM_SUCCESS) {
        (void)snprintf(list.error, sizeof list.error, "%s",
                       sb_evm_status_text(outcome.result.status));
    }
    *ret_list = list;
    return SB_OK;
}

sb_err sb_query_access_list(void *ctx, struct sb_arena *arena, const struct sb_rpc_query *query,
                            const atomic_bool *stop, struct sb_rpc_access_list *ret_list,
                            struct sb_rpc_failure *failure)
{
    struct sb_backend *b = ctx;
    struct sb_query_site site;
    SB_TRY(sb_query_site_open(&site, arena, b, query, failure));
    struct sb_query_tx call = sb_query_tx_of(&site.rules, &query->call, b->options.call_gas_max);
    struct sb_access_set set;
    struct sb_access_set excluded;
    struct touched t = {.set = &set, .excluded = &excluded};
    sb_access_set_init(&set, arena, TABLES_BYTES_MAX);
    sb_access_set_init(&excluded, arena, TABLES_BYTES_MAX);
    sb_err err = find_excluded(&excluded, &site, &call);
    if (err == SB_OK) {
        add_given(&t, &query->call);
        err = find_list(ret_list, arena, &t, &site, &call, stop, failure);
    }
    sb_access_set_fini(&excluded);
    sb_access_set_fini(&set);
    sb_query_site_close(&site);
    return err;
}
