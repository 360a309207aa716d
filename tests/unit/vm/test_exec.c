/* test_exec.c: transactions and blocks on a small state in memory: who is refused, what gas costs, delegations, system calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/secp256k1.h"
#include "tests/support/memory_state.h"
#include "vm/exec/exec.h"

#define CHAIN_ID  1337u
#define BASE_FEE  7u
#define BLOCK_GAS 30000000u
#define ETHER     UINT64_C(1000000000000000000)

static const sb_addr k_sender = {{0xaa, [19] = 0x01}};
static const sb_addr k_target = {{0xbb, [19] = 0x02}};
static const sb_addr k_other = {{0xdd, [19] = 0x04}};
static const sb_addr k_coinbase = {{0xcc, [19] = 0x03}};
static const sb_addr k_history = {{0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb,
                                   0x7a, 0x02, 0x33, 0x5b, 0x17, 0x53, 0x20, 0x00, 0x29, 0x35}};
static const sb_addr k_beacon_roots = {{0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80,
                                        0x7e, 0xf1, 0x31, 0x9f, 0xb7, 0xb8, 0xbb,
                                        0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02}};

/* A state, rules, a block environment, and the executor over them. */
struct world {
    struct sb_memory_state *state;
    struct sb_state_view view;
    struct sb_rules rules;
    struct sb_block_env env;
    struct sb_executor *x;
};

static void world_init(struct world *w, enum sb_profile profile, enum sb_revision revision)
{
    *w = (struct world){.state = sb_memory_state_new()};
    w->rules = sb_rules_make(profile, revision, CHAIN_ID);
    w->env = (struct sb_block_env){.number = 5,
                                   .timestamp = 1000,
                                   .gas_limit = BLOCK_GAS,
                                   .coinbase = k_coinbase,
                                   .blob_base_fee = sb_u256_from_u64(1)};
    if (revision >= SB_REV_LONDON) {
        w->env.base_fee = sb_u256_from_u64(BASE_FEE);
    }
    sb_u256 ether = sb_u256_from_u64(ETHER);
    sb_memory_state_set_account(w->state, &k_sender, 0, &ether, sb_span(NULL, 0));
}

static void world_start(struct world *w)
{
    w->view = sb_memory_state_view(w->state);
    w->x = sb_executor_new(&w->view, &w->rules, &w->env, NULL);
    assert_non_null(w->x);
}

static void world_fini(struct world *w)
{
    sb_executor_free(w->x);
    sb_memory_state_free(w->state);
}

static void set_code(struct world *w, const sb_addr *addr, const uint8_t *code, size_t len)
{
    sb_u256 zero = sb_u256_zero();
    sb_memory_state_set_account(w->state, addr, 1, &zero, sb_span(code, len));
}

static void set_slot(struct world *w, const sb_addr *addr, uint8_t slot, uint64_t value)
{
    sb_hash key = {{[31] = slot}};
    sb_u256 number = sb_u256_from_u64(value);
    sb_memory_state_set_slot(w->state, addr, &key, &number);
}

static sb_u256 slot_of(struct world *w, const sb_addr *addr, uint8_t slot)
{
    sb_hash key = {{[31] = slot}};
    return sb_overlay_slot(sb_executor_state(w->x), addr, &key);
}

static struct sb_tx plain_tx(void)
{
    return (struct sb_tx){.type = SB_TX_FEE_MARKET,
                          .has_chain_id = true,
                          .chain_id = CHAIN_ID,
                          .gas_limit = 100000,
                          .max_fee = sb_u256_from_u64(100),
                          .max_priority_fee = sb_u256_from_u64(2),
                          .to = k_target};
}

static struct sb_tx legacy_tx(void)
{
    struct sb_tx tx = plain_tx();
    tx.type = SB_TX_LEGACY;
    tx.has_chain_id = false;
    tx.max_priority_fee = tx.max_fee;
    return tx;
}

static struct sb_tx_result run_relaxed(struct world *w, const struct sb_tx *tx,
                                       const struct sb_exec_relax *relax)
{
    struct sb_tx_result result;
    assert_int_equal(sb_executor_tx(&result, w->x, tx, &k_sender, relax), SB_OK);
    return result;
}

static struct sb_tx_result run(struct world *w, const struct sb_tx *tx)
{
    return run_relaxed(w, tx, NULL);
}

static uint64_t balance_of(struct world *w, const sb_addr *addr)
{
    sb_u256 balance = sb_overlay_balance(sb_executor_state(w->x), addr);
    assert_true(sb_u256_fits_u64(&balance));
    return balance.w[0];
}

/* ---------------------------------------------------------------- validity */

static const uint8_t k_many_zeros[49153];
static const sb_hash k_blob_hashes[7] = {{{1}}, {{1}}, {{1}}, {{1}}, {{1}}, {{1}}, {{1}}};
static const sb_hash k_bad_blob_hash = {{2}};
static const struct sb_authorization k_any_authorization;

static void as_is(struct sb_tx *tx)
{
    (void)tx;
}
static void nonce_one(struct sb_tx *tx)
{
    tx->nonce = 1;
}
static void nonce_max(struct sb_tx *tx)
{
    tx->nonce = UINT64_MAX;
}
static void other_chain(struct sb_tx *tx)
{
    tx->chain_id = CHAIN_ID + 1;
}
static void gas_short(struct sb_tx *tx)
{
    tx->gas_limit = 20999;
}
static void gas_exact(struct sb_tx *tx)
{
    tx->gas_limit = 21000;
}
static void gas_over_cap(struct sb_tx *tx)
{
    tx->gas_limit = (1u << 24) + 1;
}
static void gas_over_block(struct sb_tx *tx)
{
    tx->gas_limit = BLOCK_GAS + 1;
}
static void gas_over_int64(struct sb_tx *tx)
{
    tx->gas_limit = (uint64_t)INT64_MAX + 1;
}
static void fee_low(struct sb_tx *tx)
{
    tx->max_fee = sb_u256_from_u64(BASE_FEE - 1);
    tx->max_priority_fee = sb_u256_zero();
}
static void tip_high(struct sb_tx *tx)
{
    tx->max_priority_fee = sb_u256_from_u64(101);
}
static void fee_huge(struct sb_tx *tx)
{
    tx->max_fee = (sb_u256){.w = {0, 0, 0, 1}};
}
static void fee_product_overflows(struct sb_tx *tx)
{
    tx->max_fee = (sb_u256){.w = {0, 0, 0, UINT64_MAX}};
}
static void value_all(struct sb_tx *tx)
{
    tx->value = sb_u256_from_u64(ETHER);
}
static void initcode_long(struct sb_tx *tx)
{
    tx->is_create = true;
    tx->data = sb_span(k_many_zeros, sizeof k_many_zeros);
    tx->gas_limit = 10000000;
}
static void initcode_at_limit(struct sb_tx *tx)
{
    initcode_long(tx);
    tx->data.len--;
}
static void floor_short(struct sb_tx *tx)
{
    tx->data =
        sb_span(k_blob_hashes, sizeof k_blob_hashes); /* 7 ones, 217 zeros: floor 21000 + 2450 */
    tx->gas_limit = 23449;
}
static void floor_exact(struct sb_tx *tx)
{
    floor_short(tx);
    tx->gas_limit = 23450;
}
static void blob(struct sb_tx *tx)
{
    tx->type = SB_TX_BLOB;
    tx->blob_hashes = k_blob_hashes;
    tx->blob_hash_count = 6;
    tx->max_fee_per_blob_gas = sb_u256_from_u64(1);
}
static void blob_empty(struct sb_tx *tx)
{
    blob(tx);
    tx->blob_hash_count = 0;
}
static void blob_seven(struct sb_tx *tx)
{
    blob(tx);
    tx->blob_hash_count = 7;
}
static void blob_version(struct sb_tx *tx)
{
    blob(tx);
    tx->blob_hashes = &k_bad_blob_hash;
    tx->blob_hash_count = 1;
}
static void blob_create(struct sb_tx *tx)
{
    blob(tx);
    tx->is_create = true;
}
static void blob_fee_low(struct sb_tx *tx)
{
    blob(tx);
    tx->max_fee_per_blob_gas = sb_u256_zero();
}
static void type_access_list(struct sb_tx *tx)
{
    tx->type = SB_TX_ACCESS_LIST;
}
static void type_legacy_protected(struct sb_tx *tx)
{
    tx->type = SB_TX_LEGACY;
    tx->max_priority_fee = tx->max_fee;
}
static void type_legacy_plain(struct sb_tx *tx)
{
    type_legacy_protected(tx);
    tx->has_chain_id = false;
}
static void set_code_one(struct sb_tx *tx)
{
    tx->type = SB_TX_SET_CODE;
    tx->authorizations = &k_any_authorization;
    tx->authorization_count = 1;
}
static void set_code_empty(struct sb_tx *tx)
{
    tx->type = SB_TX_SET_CODE;
}
static void set_code_create(struct sb_tx *tx)
{
    set_code_one(tx);
    tx->is_create = true;
}
static void set_code_gas_short(struct sb_tx *tx)
{
    set_code_one(tx);
    tx->gas_limit = 45999;
}

#define ETHEREUM SB_PROFILE_ETHEREUM
#define SAMEBIT  SB_PROFILE_SAMEBIT

static const struct {
    const char *name;
    enum sb_profile profile;
    enum sb_revision revision;
    void (*change)(struct sb_tx *tx);
    enum sb_tx_reject expected;
} k_validity[] = {
    {"as is", ETHEREUM, SB_REV_OSAKA, as_is, SB_TX_ACCEPTED},
    {"as is, ours", SAMEBIT, SB_REV_OSAKA, as_is, SB_TX_ACCEPTED},
    {"nonce high", ETHEREUM, SB_REV_OSAKA, nonce_one, SB_TX_REJECT_NONCE_TOO_HIGH},
    {"nonce max", ETHEREUM, SB_REV_OSAKA, nonce_max, SB_TX_REJECT_NONCE_MAX},
    {"other chain", ETHEREUM, SB_REV_OSAKA, other_chain, SB_TX_REJECT_CHAIN_ID},
    {"gas short", ETHEREUM, SB_REV_OSAKA, gas_short, SB_TX_REJECT_INTRINSIC_GAS},
    {"gas exact", ETHEREUM, SB_REV_OSAKA, gas_exact, SB_TX_ACCEPTED},
    {"gas over cap", ETHEREUM, SB_REV_OSAKA, gas_over_cap, SB_TX_REJECT_TX_GAS_CAP},
    {"no cap yet", ETHEREUM, SB_REV_PRAGUE, gas_over_cap, SB_TX_ACCEPTED},
    {"gas over block", ETHEREUM, SB_REV_PRAGUE, gas_over_block, SB_TX_REJECT_BLOCK_GAS},
    {"gas over int64", ETHEREUM, SB_REV_PRAGUE, gas_over_int64, SB_TX_REJECT_GAS_UINT_OVERFLOW},
    {"fee below base", ETHEREUM, SB_REV_OSAKA, fee_low, SB_TX_REJECT_FEE_BELOW_BASE},
    {"tip above fee", ETHEREUM, SB_REV_OSAKA, tip_high, SB_TX_REJECT_TIP_ABOVE_FEE},
    {"fee unpayable", ETHEREUM, SB_REV_OSAKA, fee_huge, SB_TX_REJECT_FUNDS},
    {"fee product", ETHEREUM, SB_REV_OSAKA, fee_product_overflows, SB_TX_REJECT_FUNDS},
    {"value and gas", ETHEREUM, SB_REV_OSAKA, value_all, SB_TX_REJECT_FUNDS},
    {"initcode long", ETHEREUM, SB_REV_SHANGHAI, initcode_long, SB_TX_REJECT_INITCODE_SIZE},
    {"initcode at limit", ETHEREUM, SB_REV_SHANGHAI, initcode_at_limit, SB_TX_ACCEPTED},
    {"no initcode limit yet", ETHEREUM, SB_REV_LONDON, initcode_long, SB_TX_ACCEPTED},
    {"floor short", ETHEREUM, SB_REV_PRAGUE, floor_short, SB_TX_REJECT_FLOOR_GAS},
    {"floor exact", ETHEREUM, SB_REV_PRAGUE, floor_exact, SB_TX_ACCEPTED},
    {"no floor yet", ETHEREUM, SB_REV_CANCUN, floor_short, SB_TX_ACCEPTED},
    {"blob", ETHEREUM, SB_REV_CANCUN, blob, SB_TX_ACCEPTED},
    {"blob before Cancun", ETHEREUM, SB_REV_SHANGHAI, blob, SB_TX_REJECT_TYPE},
    {"blob, ours", SAMEBIT, SB_REV_OSAKA, blob, SB_TX_REJECT_TYPE},
    {"no blobs", ETHEREUM, SB_REV_CANCUN, blob_empty, SB_TX_REJECT_BLOB_EMPTY},
    {"seven blobs, Cancun", ETHEREUM, SB_REV_CANCUN, blob_seven, SB_TX_REJECT_BLOB_COUNT},
    {"seven blobs, Prague", ETHEREUM, SB_REV_PRAGUE, blob_seven, SB_TX_ACCEPTED},
    {"seven blobs, Osaka", ETHEREUM, SB_REV_OSAKA, blob_seven, SB_TX_REJECT_BLOB_COUNT},
    {"blob version", ETHEREUM, SB_REV_CANCUN, blob_version, SB_TX_REJECT_BLOB_VERSION},
    {"blob create", ETHEREUM, SB_REV_CANCUN, blob_create, SB_TX_REJECT_BLOB_CREATE},
    {"blob fee", ETHEREUM, SB_REV_CANCUN, blob_fee_low, SB_TX_REJECT_BLOB_FEE},
    {"type 1, Istanbul", ETHEREUM, SB_REV_ISTANBUL, type_access_list, SB_TX_REJECT_TYPE},
    {"type 2, Berlin", ETHEREUM, SB_REV_BERLIN, as_is, SB_TX_REJECT_TYPE},
    {"type 4, Cancun", ETHEREUM, SB_REV_CANCUN, set_code_one, SB_TX_REJECT_TYPE},
    {"type 0, EIP-155", ETHEREUM, SB_REV_SPURIOUS_DRAGON, type_legacy_protected, SB_TX_ACCEPTED},
    {"type 0, before", ETHEREUM, SB_REV_HOMESTEAD, type_legacy_protected, SB_TX_REJECT_CHAIN_ID},
    {"type 0, unprotected", ETHEREUM, SB_REV_OSAKA, type_legacy_plain, SB_TX_ACCEPTED},
    {"set code", ETHEREUM, SB_REV_PRAGUE, set_code_one, SB_TX_ACCEPTED},
    {"set code, none", ETHEREUM, SB_REV_PRAGUE, set_code_empty, SB_TX_REJECT_SETCODE_EMPTY},
    {"set code, create", ETHEREUM, SB_REV_PRAGUE, set_code_create, SB_TX_REJECT_SETCODE_CREATE},
    {"set code, gas", ETHEREUM, SB_REV_PRAGUE, set_code_gas_short, SB_TX_REJECT_INTRINSIC_GAS},
};

static void tx_of_each_form_is_accepted_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof k_validity / sizeof k_validity[0]; i++) {
        struct world w;
        world_init(&w, k_validity[i].profile, k_validity[i].revision);
        world_start(&w);
        struct sb_tx tx = plain_tx();
        k_validity[i].change(&tx);
        struct sb_tx_result result = run(&w, &tx);
        if (result.reject != k_validity[i].expected) {
            fail_msg("%s: expected \"%s\", have \"%s\"", k_validity[i].name,
                     sb_tx_reject_text(k_validity[i].expected), sb_tx_reject_text(result.reject));
        }
        if (result.reject != SB_TX_ACCEPTED) { /* nothing changed */
            struct sb_arena arena;
            sb_arena_init(&arena, 1 << 20);
            struct sb_state_diff diff;
            assert_int_equal(sb_overlay_diff(&diff, sb_executor_state(w.x), &arena), SB_OK);
            assert_int_equal(diff.account_count, 0);
            sb_arena_fini(&arena);
        }
        world_fini(&w);
    }
}

static void sender_with_code_is_refused_unless_delegated(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x00};
    static const uint8_t delegation[23] = {0xef, 0x01, 0x00, 0xbb};
    sb_u256 ether = sb_u256_from_u64(ETHER);
    struct sb_tx tx = plain_tx();

    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    sb_memory_state_set_account(w.state, &k_sender, 0, &ether, sb_span(code, sizeof code));
    world_start(&w);
    assert_int_equal(run(&w, &tx).reject, SB_TX_REJECT_SENDER_NOT_EOA);
    const struct sb_exec_relax relax = {.skip_eoa_check = true};
    assert_int_equal(run_relaxed(&w, &tx, &relax).reject, SB_TX_ACCEPTED);
    world_fini(&w);

    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    sb_memory_state_set_account(w.state, &k_sender, 0, &ether,
                                sb_span(delegation, sizeof delegation));
    world_start(&w);
    assert_int_equal(run(&w, &tx).reject, SB_TX_ACCEPTED);
    world_fini(&w);
}

static void block_gas_runs_out_refuses_the_next(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    w.env.gas_limit = 21000 + 99999;
    world_start(&w);
    struct sb_tx tx = plain_tx();
    assert_int_equal(run(&w, &tx).reject, SB_TX_ACCEPTED);
    assert_int_equal(sb_executor_gas_used(w.x), 21000);
    tx.nonce = 1;
    assert_int_equal(run(&w, &tx).reject, SB_TX_REJECT_BLOCK_GAS);
    tx.gas_limit = 99999;
    assert_int_equal(run(&w, &tx).reject, SB_TX_ACCEPTED);
    world_fini(&w);
}

static void blobs_over_the_block_are_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_ETHEREUM, SB_REV_OSAKA);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    blob(&tx);
    assert_int_equal(run(&w, &tx).reject, SB_TX_ACCEPTED);
    tx.nonce = 1;
    tx.blob_hash_count = 4;
    assert_int_equal(run(&w, &tx).reject, SB_TX_REJECT_BLOB_COUNT);
    tx.blob_hash_count = 3;
    assert_int_equal(run(&w, &tx).reject, SB_TX_ACCEPTED);
    world_fini(&w);
}

/* ---------------------------------------------------------------- money */

static void transfer_moves_value_tip_and_burns_the_base_fee(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.value = sb_u256_from_u64(12345);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(result.gas_used, 21000);
    assert_int_equal(result.effective_gas_price.w[0], BASE_FEE + 2);
    assert_int_equal(balance_of(&w, &k_target), 12345);
    assert_int_equal(balance_of(&w, &k_coinbase), 21000 * 2);
    assert_int_equal(balance_of(&w, &k_sender), ETHER - 12345 - 21000 * (BASE_FEE + 2));
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &k_sender), 1);
    world_fini(&w);
}

static void blob_fee_is_burnt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_ETHEREUM, SB_REV_CANCUN);
    w.env.blob_base_fee = sb_u256_from_u64(3);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    blob(&tx);
    tx.max_fee_per_blob_gas = sb_u256_from_u64(5);
    assert_int_equal(run(&w, &tx).gas_used, 21000);
    assert_int_equal(balance_of(&w, &k_sender),
                     ETHER - 21000 * (BASE_FEE + 2) - UINT64_C(6) * 131072 * 3);
    world_fini(&w);
}

static void failed_code_takes_all_gas_and_keeps_the_nonce(void **state)
{
    (void)state;
    static const uint8_t code[] = {0xfe};
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &k_target, code, sizeof code);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.value = sb_u256_from_u64(5);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_INVALID_OPCODE);
    assert_int_equal(result.gas_used, tx.gas_limit);
    assert_int_equal(balance_of(&w, &k_target), 0);
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &k_sender), 1);
    world_fini(&w);
}

static void revert_returns_data_and_the_rest_of_the_gas(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x60, 0x2a, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xfd};
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &k_target, code, sizeof code);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_REVERT);
    assert_int_equal(result.output.len, 32);
    assert_int_equal(result.output.data[31], 0x2a);
    assert_int_equal(result.gas_used, 21000 + 3 + 2 + 6 + 3 + 2);
    world_fini(&w);
}

/* ---------------------------------------------------------------- refunds and floor */

/* slots 0, 1, 2 = 0, with PUSH1 so that it runs on every revision */
static const uint8_t k_clear_three[] = {0x60, 0x00, 0x60, 0x00, 0x55, 0x60, 0x00, 0x60,
                                        0x01, 0x55, 0x60, 0x00, 0x60, 0x02, 0x55};

static void check_refund(enum sb_revision revision, size_t code_len, uint64_t spent,
                         uint64_t refund)
{
    struct world w;
    world_init(&w, SB_PROFILE_ETHEREUM, revision);
    set_code(&w, &k_target, k_clear_three, code_len);
    for (uint8_t slot = 0; slot < 3; slot++) {
        set_slot(&w, &k_target, slot, 1);
    }
    world_start(&w);
    struct sb_tx tx = legacy_tx();
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(result.gas_spent_max, spent);
    assert_int_equal(result.gas_refunded, refund);
    assert_int_equal(result.gas_used, spent - refund);
    world_fini(&w);
}

static void refund_is_capped_by_a_fifth_since_london(void **state)
{
    (void)state;
    check_refund(SB_REV_LONDON, 5, 21000 + 6 + 5000, 4800);
    check_refund(SB_REV_LONDON, 15, 21000 + 3 * 5006, (21000 + 3 * 5006) / 5);
    check_refund(SB_REV_OSAKA, 15, 21000 + 3 * 5006, (21000 + 3 * 5006) / 5);
}

static void refund_is_capped_by_a_half_before_london(void **state)
{
    (void)state;
    check_refund(SB_REV_HOMESTEAD, 5, 21000 + 6 + 5000, (21000 + 5006) / 2);
    check_refund(SB_REV_ISTANBUL, 15, 21000 + 3 * 5006, (21000 + 3 * 5006) / 2);
}

static void floor_is_paid_when_execution_costs_less(void **state)
{
    (void)state;
    uint8_t data[1000];
    memset(data, 1, sizeof data);
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.data = sb_span(data, sizeof data);
    struct sb_intrinsic_gas need = sb_tx_intrinsic_gas(&w.rules, &tx);
    assert_int_equal(need.gas, 21000 + 16 * 1000);
    assert_int_equal(need.floor, 21000 + 40 * 1000);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.gas_used, need.floor);
    assert_int_equal(result.gas_spent_max, need.floor);
    world_fini(&w);
}

static void intrinsic_gas_follows_the_revision(void **state)
{
    (void)state;
    static const uint8_t data[33] = {1, 2, 3};
    static const sb_hash keys[2];
    static const struct sb_access_entry entries[2] = {{.keys = keys, .key_count = 2},
                                                      {.keys = NULL, .key_count = 0}};
    struct sb_tx tx = plain_tx();
    tx.is_create = true;
    tx.data = sb_span(data, sizeof data);
    static const struct {
        enum sb_revision revision;
        uint64_t gas;
    } rows[] = {
        {SB_REV_FRONTIER, 21000 + 30 * 4 + 3 * 68},
        {SB_REV_HOMESTEAD, 53000 + 30 * 4 + 3 * 68},
        {SB_REV_ISTANBUL, 53000 + 30 * 4 + 3 * 16},
        {SB_REV_SHANGHAI, 53000 + 30 * 4 + 3 * 16 + 2 * 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, rows[i].revision, 1);
        assert_int_equal(sb_tx_intrinsic_gas(&rules, &tx).gas, rows[i].gas);
    }
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, SB_REV_OSAKA, 1);
    tx = plain_tx();
    tx.access_list = entries;
    tx.access_count = 2;
    assert_int_equal(sb_tx_intrinsic_gas(&rules, &tx).gas, 21000 + 2 * 2400 + 2 * 1900);
}

/* ---------------------------------------------------------------- creation */

static void creation_gives_the_known_address(void **state)
{
    (void)state;
    static const sb_addr sender = {{0x6a, 0xc7, 0xea, 0x33, 0xf8, 0x83, 0x1e, 0xa9, 0xdc, 0xc5,
                                    0x33, 0x93, 0xaa, 0xa8, 0x8b, 0x25, 0xa7, 0x85, 0xdb, 0xf0}};
    static const sb_addr expected = {{0xcd, 0x23, 0x4a, 0x47, 0x1b, 0x72, 0xba, 0x2f, 0x1c, 0xcf,
                                      0x0a, 0x70, 0xfc, 0xab, 0xa6, 0x48, 0xa5, 0xee, 0xcd, 0x8d}};
    static const uint8_t initcode[] = {0x60, 0x01, 0x5f, 0xf3}; /* deploys one zero byte */
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    sb_u256 ether = sb_u256_from_u64(ETHER);
    sb_memory_state_set_account(w.state, &sender, 0, &ether, sb_span(NULL, 0));
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.is_create = true;
    tx.data = sb_span(initcode, sizeof initcode);
    struct sb_tx_result result;
    assert_int_equal(sb_executor_tx(&result, w.x, &tx, &sender, NULL), SB_OK);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_true(sb_addr_equal(&result.created, &expected));
    assert_int_equal(sb_overlay_code(sb_executor_state(w.x), &expected).len, 1);
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &sender), 1);
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &expected), 1);
    world_fini(&w);
}

static void creation_on_a_used_address_fails_and_keeps_the_nonce(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x00};
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.is_create = true;
    sb_addr created = run(&w, &tx).created;
    world_fini(&w);

    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &created, code, sizeof code);
    world_start(&w);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_ADDRESS_COLLISION);
    assert_int_equal(result.gas_used, tx.gas_limit);
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &k_sender), 1);
    world_fini(&w);
}

/* ---------------------------------------------------------------- delegations */

static const uint8_t k_secret[32] = {[31] = 7};

static sb_addr authority(void)
{
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    assert_non_null(ctx);
    sb_addr addr;
    assert_int_equal(sb_secp256k1_secret_address(&addr, ctx, k_secret), SB_OK);
    sb_secp256k1_free(ctx);
    return addr;
}

/* A tuple signed by k_secret: keccak256(0x05 || rlp([chain id, delegate, nonce])). */
static struct sb_authorization authorize(uint64_t chain_id, const sb_addr *delegate, uint64_t nonce)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 256);
    sb_buf_add_byte(&buf, 0x05);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u64(&buf, chain_id);
    sb_rlp_put_addr(&buf, delegate);
    sb_rlp_put_u64(&buf, nonce);
    sb_rlp_list_end(&buf, list);
    sb_hash hash = sb_keccak256(sb_buf_bytes(&buf));
    sb_buf_fini(&buf);

    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    assert_non_null(ctx);
    struct sb_secp256k1_signature signature;
    assert_int_equal(sb_secp256k1_sign(&signature, ctx, k_secret, &hash), SB_OK);
    sb_secp256k1_free(ctx);
    return (struct sb_authorization){.chain_id = sb_u256_from_u64(chain_id),
                                     .addr = *delegate,
                                     .nonce = nonce,
                                     .y_parity = signature.recovery_id,
                                     .r = sb_u256_load_be(signature.rs, 32),
                                     .s = sb_u256_load_be(signature.rs + 32, 32)};
}

static struct sb_tx set_code_tx(const struct sb_authorization *authorization)
{
    struct sb_tx tx = plain_tx();
    tx.type = SB_TX_SET_CODE;
    tx.authorizations = authorization;
    tx.authorization_count = 1;
    return tx;
}

static bool delegates_to(struct world *w, const sb_addr *addr, const sb_addr *delegate)
{
    sb_bytes code = sb_overlay_code(sb_executor_state(w->x), addr);
    static const uint8_t prefix[3] = {0xef, 0x01, 0x00};
    return code.len == 23 && memcmp(code.data, prefix, 3) == 0 &&
           memcmp(code.data + 3, delegate->b, 20) == 0;
}

static void authorization_of_a_new_account_delegates_without_refund(void **state)
{
    (void)state;
    sb_addr signer = authority();
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    world_start(&w);
    struct sb_authorization a = authorize(CHAIN_ID, &k_other, 0);
    struct sb_tx tx = set_code_tx(&a);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.gas_used, 21000 + 25000);
    assert_int_equal(result.gas_refunded, 0);
    assert_true(delegates_to(&w, &signer, &k_other));
    assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &signer), 1);
    world_fini(&w);
}

static void authorization_of_an_existing_account_is_refunded(void **state)
{
    (void)state;
    sb_addr signer = authority();
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    sb_u256 one = sb_u256_from_u64(1);
    sb_memory_state_set_account(w.state, &signer, 4, &one, sb_span(NULL, 0));
    world_start(&w);
    struct sb_authorization a = authorize(0, &k_other, 4); /* chain id 0: any chain */
    struct sb_tx tx = set_code_tx(&a);
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.gas_refunded, 46000 / 5); /* 12500, capped */
    assert_int_equal(result.gas_used, 46000 - 46000 / 5);
    assert_true(delegates_to(&w, &signer, &k_other));
    world_fini(&w);
}

static void invalid_authorization_is_skipped(void **state)
{
    (void)state;
    static const uint8_t contract[] = {0x00};
    sb_addr signer = authority();
    struct sb_authorization invalid[] = {
        authorize(CHAIN_ID + 1, &k_other, 0), /* another chain */
        authorize(CHAIN_ID, &k_other, 1),     /* another nonce */
        authorize(CHAIN_ID, &k_other, 0),     /* s is zero */
        authorize(CHAIN_ID, &k_other, 0),     /* the account has code */
    };
    invalid[2].s = sb_u256_zero();
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
        if (i == 3) {
            sb_u256 zero = sb_u256_zero();
            sb_memory_state_set_account(w.state, &signer, 0, &zero,
                                        sb_span(contract, sizeof contract));
        }
        world_start(&w);
        struct sb_tx tx = set_code_tx(&invalid[i]);
        struct sb_tx_result result = run(&w, &tx);
        assert_int_equal(result.status, SB_EVM_SUCCESS);
        assert_int_equal(result.gas_used, 46000);
        assert_false(delegates_to(&w, &signer, &k_other));
        assert_int_equal(sb_overlay_nonce(sb_executor_state(w.x), &signer), 0);
        world_fini(&w);
    }
}

static void authorization_to_zero_clears_the_delegation(void **state)
{
    (void)state;
    static const uint8_t delegation[23] = {0xef, 0x01, 0x00, 0xbb};
    static const sb_addr zero_addr;
    sb_addr signer = authority();
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    sb_u256 zero = sb_u256_zero();
    sb_memory_state_set_account(w.state, &signer, 2, &zero, sb_span(delegation, sizeof delegation));
    world_start(&w);
    struct sb_authorization a = authorize(CHAIN_ID, &zero_addr, 2);
    struct sb_tx tx = set_code_tx(&a);
    assert_int_equal(run(&w, &tx).status, SB_EVM_SUCCESS);
    assert_int_equal(sb_overlay_code(sb_executor_state(w.x), &signer).len, 0);
    sb_hash hash = sb_overlay_code_hash(sb_executor_state(w.x), &signer);
    assert_true(sb_hash_equal(&hash, &sb_hash_keccak_empty));
    world_fini(&w);
}

static void call_of_a_delegated_account_runs_the_target_in_its_storage(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x60, 0x2a, 0x5f, 0x55,
                                   0x5f, 0x5f, 0xfd}; /* slot 0 = 42, revert */
    sb_addr signer = authority();
    for (size_t len = 4; len <= 7; len += 3) {
        struct world w;
        world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
        set_code(&w, &k_other, code, len);
        world_start(&w);
        struct sb_authorization a = authorize(CHAIN_ID, &k_other, 0);
        struct sb_tx tx = set_code_tx(&a);
        tx.to = signer;
        bool reverts = len == 7;
        struct sb_tx_result result = run(&w, &tx);
        assert_int_equal(result.status, reverts ? SB_EVM_REVERT : SB_EVM_SUCCESS);
        assert_int_equal(result.gas_used, 46000 + 3 + 2 + 22100 + (reverts ? 4 : 0));
        assert_int_equal(slot_of(&w, &signer, 0).w[0], reverts ? 0 : 42);
        assert_int_equal(slot_of(&w, &k_other, 0).w[0], 0);
        assert_true(delegates_to(&w, &signer, &k_other)); /* survives the revert */
        world_fini(&w);
    }
}

/* ---------------------------------------------------------------- calls that are no transactions */

static void relaxed_call_needs_neither_nonce_nor_funds_nor_fee(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x48, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3}; /* returns BASEFEE */
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &k_target, code, sizeof code);
    world_start(&w);
    struct sb_tx tx = plain_tx();
    tx.nonce = 77;
    tx.gas_limit = 50000000;
    const struct sb_exec_relax all = {.skip_nonce = true,
                                      .skip_eoa_check = true,
                                      .skip_base_fee = true,
                                      .skip_balance = true,
                                      .skip_gas_cap = true};
    struct sb_tx_result result;
    assert_int_equal(sb_executor_tx(&result, w.x, &tx, &k_other, &all), SB_OK);
    assert_int_equal(result.reject, SB_TX_ACCEPTED);
    assert_int_equal(result.output.data[31], BASE_FEE);
    assert_int_equal(balance_of(&w, &k_coinbase), 0);

    tx.max_fee = tx.max_priority_fee = sb_u256_zero();
    assert_int_equal(sb_executor_tx(&result, w.x, &tx, &k_other, &all), SB_OK);
    assert_int_equal(result.output.data[31], 0);
    tx.value = sb_u256_from_u64(1); /* value must be there all the same */
    assert_int_equal(sb_executor_tx(&result, w.x, &tx, &k_other, &all), SB_OK);
    assert_int_equal(result.reject, SB_TX_REJECT_FUNDS);
    world_fini(&w);
}

static void note_missing(void *ctx, const sb_addr *addr)
{
    *(sb_addr *)ctx = *addr;
}

static void call_of_a_missing_precompile_fails_loudly(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    world_start(&w);
    sb_addr noted = {{0}};
    sb_executor_set_missing_hook(w.x, note_missing, &noted);
    struct sb_tx tx = plain_tx();
    tx.to = (sb_addr){{[19] = 0x0a}};
    struct sb_tx_result result = run(&w, &tx);
    assert_int_equal(result.status, SB_EVM_PRECOMPILE_MISSING);
    assert_int_equal(result.gas_used, tx.gas_limit);
    assert_true(sb_addr_equal(&noted, &tx.to));
    world_fini(&w);
}

/* ---------------------------------------------------------------- blocks */

static const uint8_t k_store_input[] = {0x5f, 0x35, 0x5f, 0x55}; /* slot 0 = calldata word 0 */

static void begin_records_parent_hash_and_beacon_root(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &k_history, k_store_input, sizeof k_store_input);
    set_code(&w, &k_beacon_roots, k_store_input, sizeof k_store_input);
    sb_hash parent = {{[31] = 0x11}};
    sb_memory_state_set_block_hash(w.state, 4, &parent);
    w.env.has_parent_beacon_root = true;
    w.env.parent_beacon_root = (sb_hash){{[31] = 0x22}};
    world_start(&w);
    assert_int_equal(sb_executor_begin(w.x), SB_OK);
    assert_int_equal(slot_of(&w, &k_history, 0).w[0], 0x11);
    assert_int_equal(slot_of(&w, &k_beacon_roots, 0).w[0], 0x22);
    assert_int_equal(sb_executor_gas_used(w.x), 0);
    static const sb_addr system = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}};
    assert_false(sb_overlay_exists(sb_executor_state(w.x), &system));
    world_fini(&w);
}

static void begin_without_the_contracts_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    w.env.has_parent_beacon_root = true;
    world_start(&w);
    assert_int_equal(sb_executor_begin(w.x), SB_OK);
    assert_false(sb_overlay_exists(sb_executor_state(w.x), &k_history));
    assert_false(sb_overlay_exists(sb_executor_state(w.x), &k_beacon_roots));
    world_fini(&w);
}

/* LOG1 with topic 9 and no data; slot 0 = 42 */
static const uint8_t k_log_and_store[] = {0x60, 0x09, 0x5f, 0x5f, 0xa1, 0x60, 0x2a, 0x5f, 0x55};

static void block_gives_diff_receipts_and_roots(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    set_code(&w, &k_target, k_log_and_store, sizeof k_log_and_store);
    w.view = sb_memory_state_view(w.state);
    struct sb_tx txs[2] = {plain_tx(), plain_tx()};
    txs[1].nonce = 1;
    txs[1].to = k_other;
    txs[1].value = sb_u256_from_u64(9);
    const sb_addr senders[2] = {k_sender, k_sender};
    const sb_bytes raw[2] = {sb_span_str("first"), sb_span_str("second")};
    const struct sb_block block = {.txs = txs, .raw_txs = raw, .tx_count = 2};
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)1 << 24);
    struct sb_block_result result;
    struct sb_diag diag;
    assert_int_equal(sb_exec_block(&result, &arena, &w.view, &w.rules, &w.env, NULL, &block,
                                   senders, NULL, &diag),
                     SB_OK);

    const uint64_t first = 21000 + 3 + 2 + 2 + 375 + 375 + 3 + 2 + 22100;
    assert_int_equal(result.tx_count, 2);
    assert_int_equal(result.gas_used, first + 21000);
    assert_int_equal(result.receipts[0].cumulative_gas, first);
    assert_int_equal(result.receipts[1].cumulative_gas, first + 21000);
    assert_true(result.receipts[0].success);
    assert_int_equal(result.receipts[0].log_count, 1);
    assert_int_equal(result.receipts[0].logs[0].topics[0].b[31], 9);
    assert_true(sb_bloom_may_contain(&result.bloom, sb_span(k_target.b, sizeof k_target.b)));
    sb_hash root;
    assert_int_equal(sb_ordered_root(&root, raw, 2), SB_OK);
    assert_true(sb_hash_equal(&root, &result.transactions_root));

    struct sb_buf buf[2];
    sb_bytes encoded[2];
    for (size_t i = 0; i < 2; i++) {
        sb_buf_init(&buf[i], 4096);
        sb_receipt_encode(&buf[i], &result.receipts[i]);
        encoded[i] = sb_buf_bytes(&buf[i]);
    }
    assert_int_equal(sb_ordered_root(&root, encoded, 2), SB_OK);
    assert_true(sb_hash_equal(&root, &result.receipts_root));
    sb_buf_fini(&buf[0]);
    sb_buf_fini(&buf[1]);

    /* sender, target, other and coinbase differ; applied, they are the new state */
    assert_int_equal(result.diff.account_count, 4);
    sb_memory_state_apply(w.state, &result.diff);
    world_start(&w);
    assert_int_equal(slot_of(&w, &k_target, 0).w[0], 42);
    assert_int_equal(balance_of(&w, &k_other), 9);
    assert_int_equal(balance_of(&w, &k_coinbase), 2 * result.gas_used);
    sb_arena_fini(&arena);
    world_fini(&w);
}

static void block_with_a_refused_transaction_is_invalid(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    w.view = sb_memory_state_view(w.state);
    struct sb_tx txs[2] = {plain_tx(), plain_tx()}; /* the same nonce twice */
    const sb_addr senders[2] = {k_sender, k_sender};
    const sb_bytes raw[2] = {sb_span_str("first"), sb_span_str("second")};
    const struct sb_block block = {.txs = txs, .raw_txs = raw, .tx_count = 2};
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)1 << 24);
    struct sb_block_result result;
    struct sb_diag diag;
    assert_int_equal(sb_exec_block(&result, &arena, &w.view, &w.rules, &w.env, NULL, &block,
                                   senders, NULL, &diag),
                     SB_E_ARG);
    assert_string_equal(diag.text, "transaction 1: nonce too low");
    sb_arena_fini(&arena);
    world_fini(&w);
}

static void empty_block_has_the_empty_roots(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, SB_PROFILE_SAMEBIT, SB_REV_OSAKA);
    w.view = sb_memory_state_view(w.state);
    const struct sb_block block = {.tx_count = 0};
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)1 << 20);
    struct sb_block_result result;
    assert_int_equal(
        sb_exec_block(&result, &arena, &w.view, &w.rules, &w.env, NULL, &block, NULL, NULL, NULL),
        SB_OK);
    assert_true(sb_hash_equal(&result.receipts_root, &sb_hash_empty_trie));
    assert_true(sb_hash_equal(&result.transactions_root, &sb_hash_empty_trie));
    assert_int_equal(result.diff.account_count, 0);
    sb_arena_fini(&arena);
    world_fini(&w);
}

/* ---------------------------------------------------------------- fees of the next block */

static void base_fee_moves_by_at_most_an_eighth(void **state)
{
    (void)state;
    static const struct {
        uint64_t used;
        uint64_t fee;
        uint64_t expected;
    } rows[] = {
        {15000000, 1000000000, 1000000000},
        {30000000, 1000000000, 1125000000},
        {0, 1000000000, 875000000},
        {15000001, 7, 8}, /* at least one up */
        {14999999, 7, 7},
        {0, 7, 7},
        {0, 8, 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sb_u256 fee = sb_u256_from_u64(rows[i].fee);
        sb_u256 next = sb_base_fee_next(BLOCK_GAS, rows[i].used, &fee);
        assert_true(sb_u256_fits_u64(&next));
        assert_int_equal(next.w[0], rows[i].expected);
    }
}

static void blob_base_fee_follows_the_exponential(void **state)
{
    (void)state;
    static const struct {
        uint64_t excess;
        uint64_t fraction;
        uint64_t expected;
    } rows[] = {
        {0, 3338477, 1},       {2314057, 3338477, 1},
        {2314058, 3338477, 2}, {10 * 1024 * 1024, 3338477, 23},
        {0, 5007716, 1},       {10 * 1024 * 1024, 5007716, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sb_u256 fee = sb_blob_base_fee(rows[i].excess, rows[i].fraction);
        assert_true(sb_u256_fits_u64(&fee));
        assert_int_equal(fee.w[0], rows[i].expected);
    }
    sb_u256 fee = sb_blob_base_fee(UINT64_MAX, 3338477);
    assert_int_equal(sb_u256_bit_len(&fee), 256);
}

static void excess_blob_gas_follows_target_and_reserve_price(void **state)
{
    (void)state;
    static const struct {
        enum sb_revision revision;
        uint64_t excess_blobs;
        uint64_t used_blobs;
        uint64_t base_fee;
        uint64_t expected; /* blob gas */
    } rows[] = {
        {SB_REV_CANCUN, 0, 0, 7, 0},
        {SB_REV_CANCUN, 0, 3, 7, 0},
        {SB_REV_CANCUN, 0, 4, 7, SB_BLOB_GAS},
        {SB_REV_CANCUN, 5, 1, 7, 3 * SB_BLOB_GAS},
        {SB_REV_PRAGUE, 5, 4, 7, 3 * SB_BLOB_GAS},
        {SB_REV_OSAKA, 0, 6, 16, 0}, /* 2^13 * 16 = 2^17 * 1: not below the reserve price */
        {SB_REV_OSAKA, 0, 6, 17, 2 * SB_BLOB_GAS},
        {SB_REV_OSAKA, 0, 5, 17, 0}, /* below the target there is no excess */
        {SB_REV_OSAKA, 10, 9, 1000000000, 13 * SB_BLOB_GAS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, rows[i].revision, 1);
        sb_u256 base_fee = sb_u256_from_u64(rows[i].base_fee);
        uint64_t next = sb_excess_blob_gas_next(&rules, rows[i].excess_blobs * SB_BLOB_GAS,
                                                rows[i].used_blobs * SB_BLOB_GAS, &base_fee);
        assert_int_equal(next, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tx_of_each_form_is_accepted_or_refused),
        cmocka_unit_test(sender_with_code_is_refused_unless_delegated),
        cmocka_unit_test(block_gas_runs_out_refuses_the_next),
        cmocka_unit_test(blobs_over_the_block_are_refused),
        cmocka_unit_test(transfer_moves_value_tip_and_burns_the_base_fee),
        cmocka_unit_test(blob_fee_is_burnt),
        cmocka_unit_test(failed_code_takes_all_gas_and_keeps_the_nonce),
        cmocka_unit_test(revert_returns_data_and_the_rest_of_the_gas),
        cmocka_unit_test(refund_is_capped_by_a_fifth_since_london),
        cmocka_unit_test(refund_is_capped_by_a_half_before_london),
        cmocka_unit_test(floor_is_paid_when_execution_costs_less),
        cmocka_unit_test(intrinsic_gas_follows_the_revision),
        cmocka_unit_test(creation_gives_the_known_address),
        cmocka_unit_test(creation_on_a_used_address_fails_and_keeps_the_nonce),
        cmocka_unit_test(authorization_of_a_new_account_delegates_without_refund),
        cmocka_unit_test(authorization_of_an_existing_account_is_refunded),
        cmocka_unit_test(invalid_authorization_is_skipped),
        cmocka_unit_test(authorization_to_zero_clears_the_delegation),
        cmocka_unit_test(call_of_a_delegated_account_runs_the_target_in_its_storage),
        cmocka_unit_test(relaxed_call_needs_neither_nonce_nor_funds_nor_fee),
        cmocka_unit_test(call_of_a_missing_precompile_fails_loudly),
        cmocka_unit_test(begin_records_parent_hash_and_beacon_root),
        cmocka_unit_test(begin_without_the_contracts_changes_nothing),
        cmocka_unit_test(block_gives_diff_receipts_and_roots),
        cmocka_unit_test(block_with_a_refused_transaction_is_invalid),
        cmocka_unit_test(empty_block_has_the_empty_roots),
        cmocka_unit_test(base_fee_moves_by_at_most_an_eighth),
        cmocka_unit_test(blob_base_fee_follows_the_exponential),
        cmocka_unit_test(excess_blob_gas_follows_target_and_reserve_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
