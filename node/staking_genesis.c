/* staking_genesis.c: see staking_genesis.h.
 *
 * The VM reads the genesis through a view of its account list and runs the two calls as the system address; the diff that is left goes
 * back into the list. It may touch the four contracts alone. */
#include "node/staking_genesis.h"

#include <stdlib.h>

#include "base/codec/abi.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/query.h"
#include "vm/exec/exec.h"

/* More than the calls for 256 validators need. */
#define GENESIS_GAS     INT64_C(100000000000)
#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define WEI_PER_COIN    UINT64_C(1000000000000000000)
#define SUPPLY_BITS_MAX 128

/* ---- the genesis as a state ---- */

struct genesis_view {
    struct sb_genesis_account *accounts; /* ascending by address */
    size_t count;
    struct sb_state_view state;
};

static int compare_addr(const void *key, const void *item)
{
    return memcmp(key, ((const struct sb_genesis_account *)item)->addr.b, sizeof(sb_addr));
}

static struct sb_genesis_account *find(const struct genesis_view *v, const sb_addr *addr)
{
    return v->count == 0
               ? NULL
               : bsearch(addr->b, v->accounts, v->count, sizeof *v->accounts, compare_addr);
}

static sb_err read_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    const struct sb_genesis_account *a = find(ctx, addr);
    *ret_account = (struct sb_account){.code_hash = sb_hash_keccak_empty};
    *ret_exists = a != NULL;
    if (a != NULL) {
        *ret_account = (struct sb_account){.nonce = a->nonce,
                                           .balance = a->balance,
                                           .code_hash = sb_keccak256(a->code),
                                           .has_storage = a->slot_count != 0};
    }
    return SB_OK;
}

static int compare_slot(const void *key, const void *item)
{
    return memcmp(key, ((const struct sb_slot_diff *)item)->key.b, sizeof(sb_hash));
}

static sb_err read_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    const struct sb_genesis_account *a = find(ctx, addr);
    const struct sb_slot_diff *slot = NULL;
    if (a != NULL && a->slot_count != 0) {
        slot = bsearch(key->b, a->slots, a->slot_count, sizeof *slot, compare_slot);
    }
    *ret_value = slot != NULL ? slot->value : sb_u256_zero();
    return SB_OK;
}

static sb_err read_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    const struct genesis_view *v = ctx;
    for (size_t i = 0; i < v->count; i++) {
        sb_hash hash = sb_keccak256(v->accounts[i].code);
        if (v->accounts[i].code.len != 0 && sb_hash_equal(&hash, code_hash)) {
            *ret_code = v->accounts[i].code;
            return SB_OK;
        }
    }
    *ret_code = sb_span(NULL, 0);
    return sb_hash_equal(code_hash, &sb_hash_keccak_empty) ? SB_OK : SB_E_CORRUPT;
}

static sb_err read_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    (void)ctx;
    (void)id;
    *ret_data = sb_span(NULL, 0);
    return SB_OK;
}

static sb_err read_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    (void)ctx;
    (void)number;
    *ret_hash = (sb_hash){.b = {0}};
    return SB_OK;
}

static sb_err view_init(struct genesis_view *v, struct sb_arena *arena,
                        const struct sb_genesis *genesis)
{
    v->count = genesis->account_count;
    v->accounts = sb_arena_array(arena, v->count, sizeof *v->accounts);
    if (v->accounts == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(v->accounts, genesis->accounts, v->count * sizeof *v->accounts);
    v->state = (struct sb_state_view){.ctx = v,
                                      .account = read_account,
                                      .storage = read_storage,
                                      .code = read_code,
                                      .blob = read_blob,
                                      .block_hash = read_block_hash};
    return SB_OK;
}

bool sb_genesis_has_staking(const struct sb_genesis *genesis)
{
    const sb_addr addr = sb_system_addr(SB_STAKING_ADDR_LOW);
    for (size_t i = 0; i < genesis->account_count; i++) {
        if (sb_addr_equal(&genesis->accounts[i].addr, &addr)) {
            return genesis->accounts[i].code.len != 0;
        }
    }
    return false;
}

/* ---- money ---- */

static sb_err give_stake(struct genesis_view *v, const struct sb_genesis_operator *operators,
                         size_t count, struct sb_diag *diag)
{
    const sb_addr addr = sb_system_addr(SB_STAKING_ADDR_LOW);
    struct sb_genesis_account *staking = find(v, &addr);
    if (staking == NULL || staking->code.len == 0) {
        return sb_fail(diag, SB_E_NOT_FOUND, "the genesis has no code at Staking's address");
    }
    const sb_u256 coin = sb_u256_from_u64(WEI_PER_COIN);
    for (size_t i = 0; i < count; i++) {
        sb_u256 stake;
        if (sb_u256_mul_u64(&stake, &coin, operators[i].power) ||
            sb_u256_add_carry(&staking->balance, &staking->balance, &stake)) {
            return sb_fail(diag, SB_E_RANGE, "the validators have more coins than can be");
        }
    }
    return SB_OK;
}

static sb_err sum_supply(sb_u256 *ret_supply, const struct genesis_view *v, struct sb_diag *diag)
{
    sb_u256 supply = sb_u256_zero();
    for (size_t i = 0; i < v->count; i++) {
        if (sb_u256_add_carry(&supply, &supply, &v->accounts[i].balance) ||
            256 - sb_u256_clz(&supply) > SUPPLY_BITS_MAX) {
            return sb_fail(diag, SB_E_RANGE,
                           "all coins together reach 2^128 wei; a chain that makes new ones may "
                           "not begin with so many");
        }
    }
    *ret_supply = supply;
    return SB_OK;
}

/* ---- calls ---- */

static sb_err call(struct sb_executor *x, uint16_t addr_low, const struct sb_buf *input,
                   const char *name, struct sb_diag *diag)
{
    const sb_addr to = sb_system_addr(addr_low);
    struct sb_evm_result result;
    SB_TRY(sb_buf_err(input));
    SB_TRY(sb_executor_system_call(&result, x, &to, sb_buf_bytes(input), GENESIS_GAS, NULL, NULL));
    if (result.status == SB_EVM_SUCCESS) {
        return SB_OK;
    }
    char why[SB_DIAG_TEXT_BYTES / 2];
    sb_query_revert_text(why, sizeof why, result.output);
    return sb_fail(diag, SB_E_ARG, "%s: %s", name,
                   result.status == SB_EVM_REVERT ? why : sb_evm_status_text(result.status));
}

static void put_operator(struct sb_abi_writer *list, const struct sb_genesis_operator *o)
{
    struct sb_abi_writer w;
    sb_abi_put_tuple(&w, list, 5);
    sb_abi_put_addr(&w, &o->addr);
    sb_abi_put_word(&w, o->key);
    sb_abi_put_u64(&w, o->power);
    sb_abi_put_u64(&w, o->commission_bps);
    sb_abi_put_bytes(&w, sb_span_str(o->moniker));
    sb_abi_end(&w);
}

static sb_err call_staking(struct sb_executor *x, const struct sb_genesis_operator *operators,
                           size_t count, struct sb_diag *diag)
{
    struct sb_abi_writer w, list;
    struct sb_buf buf;
    sb_buf_init(&buf, INPUT_BYTES_MAX);
    sb_abi_put_selector(&buf, sb_abi_selector("genesis((address,bytes32,uint64,uint16,string)[])"));
    sb_abi_begin(&w, &buf, 1);
    sb_abi_put_array(&list, &w, count, 1);
    for (size_t i = 0; i < count; i++) {
        put_operator(&list, &operators[i]);
    }
    sb_abi_end(&list);
    sb_abi_end(&w);
    sb_err err = call(x, SB_STAKING_ADDR_LOW, &buf, "Staking.genesis", diag);
    sb_buf_fini(&buf);
    return err;
}

static sb_err call_distribution(struct sb_executor *x, const sb_u256 *supply, struct sb_diag *diag)
{
    struct sb_abi_writer w;
    struct sb_buf buf;
    sb_buf_init(&buf, INPUT_BYTES_MAX);
    sb_abi_put_selector(&buf, sb_abi_selector("genesis(uint256)"));
    sb_abi_begin(&w, &buf, 1);
    sb_abi_put_u256(&w, supply);
    sb_abi_end(&w);
    sb_err err = call(x, SB_DISTRIBUTION_ADDR_LOW, &buf, "Distribution.genesis", diag);
    sb_buf_fini(&buf);
    return err;
}

/* ---- what they wrote ---- */

static bool is_ours(const sb_addr *addr)
{
    static const uint16_t lows[] = {SB_STAKING_ADDR_LOW, SB_DISTRIBUTION_ADDR_LOW,
                                    SB_SLASHING_ADDR_LOW, SB_CHECKPOINTS_ADDR_LOW};
    for (size_t i = 0; i < sizeof lows / sizeof lows[0]; i++) {
        const sb_addr ours = sb_system_addr(lows[i]);
        if (sb_addr_equal(addr, &ours)) {
            return true;
        }
    }
    return false;
}

/* take_diff: the accounts' new storage. They had none before. */
static sb_err take_diff(struct genesis_view *v, struct sb_arena *arena,
                        const struct sb_state_diff *diff, struct sb_diag *diag)
{
    for (size_t i = 0; i < diff->account_count; i++) {
        const struct sb_account_diff *change = &diff->accounts[i];
        struct sb_genesis_account *account = find(v, &change->addr);
        if (account == NULL || !is_ours(&change->addr) || !change->exists || change->code_changed ||
            account->slot_count != 0) {
            return sb_fail(diag, SB_E_ARG,
                           "the staking contracts change more than their own storage");
        }
        struct sb_slot_diff *slots = sb_arena_array(arena, change->slot_count, sizeof *slots);
        if (slots == NULL) {
            return SB_E_NOMEM;
        }
        sb_copy(slots, change->slots, change->slot_count * sizeof *slots);
        account->slots = slots;
        account->slot_count = change->slot_count;
        account->nonce = change->nonce;
        account->balance = change->balance;
    }
    return SB_OK;
}

static sb_err run(struct genesis_view *v, struct sb_arena *arena, struct sb_executor *x,
                  const struct sb_genesis_operator *operators, size_t count, struct sb_diag *diag)
{
    struct sb_state_diff diff;
    sb_u256 supply;
    SB_TRY(sum_supply(&supply, v, diag));
    SB_TRY(call_staking(x, operators, count, diag));
    SB_TRY(call_distribution(x, &supply, diag));
    SB_TRY(sb_overlay_diff(&diff, sb_executor_state(x), arena));
    return take_diff(v, arena, &diff, diag);
}

sb_err sb_staking_genesis_run(struct sb_genesis *genesis, struct sb_arena *arena,
                              const struct sb_genesis_operator *operators, size_t count,
                              struct sb_diag *diag)
{
    struct genesis_view view;
    const struct sb_rules rules =
        sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, genesis->config.chain_id);
    const struct sb_block_env env = {.number = 0,
                                     .timestamp = genesis->timestamp,
                                     .gas_limit = genesis->gas_limit,
                                     .coinbase = genesis->fee_recipient};
    SB_TRY(view_init(&view, arena, genesis));
    SB_TRY(give_stake(&view, operators, count, diag));
    struct sb_executor *x = sb_executor_new(&view.state, &rules, &env, NULL);
    if (x == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sb_err err = run(&view, arena, x, operators, count, diag);
    sb_executor_free(x);
    SB_TRY(err);
    genesis->accounts = view.accounts;
    return SB_OK;
}
