/* test_params.c: a change of the Params contract moves the chain's parameters from the next block on, and survives a restart. */
#include "node/predeploys.h"
#include "tests/unit/node/chain_fixture.h"

#include "base/codec/abi.h"

#define NEW_GAS_LIMIT UINT64_C(40000000)

static int setup(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    struct sb_predeploy_options options = {.governor = f.addrs[0],
                                           .deposit_per_byte = SB_DEPOSIT_PER_BYTE_DEFAULT};
    fixture_check(&f, sb_predeploys_add(&f.genesis, &f.arena, &options, &f.diag));
    fixture_open(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_fini(f);
    return 0;
}

/* A call of Params with two numbers by an account, in a block of its own. */
static void call_params(struct fixture *f, const char *signature, int account, uint64_t nonce,
                        uint64_t first, uint64_t second)
{
    struct sb_buf data;
    struct sb_abi_writer w;
    sb_buf_init(&data, 256);
    sb_abi_put_selector(&data, sb_abi_selector(signature));
    sb_abi_begin(&w, &data, 2);
    sb_abi_put_u64(&w, first);
    sb_abi_put_u64(&w, second);
    sb_abi_end(&w);
    struct sb_tx tx = fixture_tx(f, account, nonce);
    tx.to = (sb_addr){{[18] = 0x5b, [19] = 0x10}};
    tx.value = sb_u256_zero();
    tx.gas_limit = 120000;
    tx.data = sb_span(sb_arena_dup(&f->arena, sb_buf_bytes(&data)), data.len);
    sb_buf_fini(&data);
    sb_hash hash;
    fixture_check(f, fixture_add(f, &tx, account, &hash));
    fixture_propose(f);
}

static void set_param(struct fixture *f, int account, uint64_t nonce, uint64_t index,
                      uint64_t value)
{
    call_params(f, "set(uint256,uint256)", account, nonce, index, value);
}

static bool last_tx_succeeded(struct fixture *f)
{
    const struct sb_rpc_block *block;
    fixture_check(f, sb_chain_block_number(&block, f->chain, sb_chain_head_number(f->chain)));
    assert_int_equal(block->block.tx_count, 1);
    bool success = block->receipts[0].success;
    sb_chain_block_release(f->chain, block);
    return success;
}

static void params_set_by_the_governor_hold_from_the_next_block(void **state)
{
    struct fixture *f = *state;
    uint64_t before = sb_chain_params(f->chain).gas_limit;
    assert_int_equal(before, f->genesis.params.gas_limit);
    set_param(f, 0, 0, 0, NEW_GAS_LIMIT);
    assert_true(last_tx_succeeded(f));
    assert_int_equal(sb_chain_head(f->chain).header.gas_limit, before);
    assert_int_equal(sb_chain_params(f->chain).gas_limit, NEW_GAS_LIMIT);
    fixture_propose(f);
    assert_int_equal(sb_chain_head(f->chain).header.gas_limit, NEW_GAS_LIMIT);

    fixture_close(f);
    fixture_open(f);
    assert_int_equal(sb_chain_params(f->chain).gas_limit, NEW_GAS_LIMIT);
    fixture_propose(f);
    assert_int_equal(sb_chain_head(f->chain).header.gas_limit, NEW_GAS_LIMIT);
}

static void params_set_by_others_or_out_of_bounds_stay(void **state)
{
    struct fixture *f = *state;
    uint64_t before = sb_chain_params(f->chain).gas_limit;
    set_param(f, 1, 0, 0, NEW_GAS_LIMIT);
    assert_false(last_tx_succeeded(f));
    set_param(f, 0, 0, 0, 1);
    assert_false(last_tx_succeeded(f));
    assert_int_equal(sb_chain_params(f->chain).gas_limit, before);
}

static void upgrade_that_the_governor_plans_begins_at_its_height(void **state)
{
    struct fixture *f = *state;
    static const char plan[] = "planUpgrade(uint256,uint256)";
    uint64_t next = SB_CONSENSUS_VERSION + 1;
    set_param(f, 0, 0, 11, next); /* alone it would begin at once */
    assert_false(last_tx_succeeded(f));
    set_param(f, 0, 1, 12, 7);
    assert_false(last_tx_succeeded(f));
    call_params(f, plan, 1, 0, next, 7); /* not the governor */
    assert_false(last_tx_succeeded(f));
    call_params(f, plan, 0, 2, next, 4); /* the height of this very block */
    assert_false(last_tx_succeeded(f));
    assert_int_equal(sb_chain_params(f->chain).upgrade_version, SB_CONSENSUS_VERSION_FIRST);
    call_params(f, plan, 0, 3, next, 7);
    assert_true(last_tx_succeeded(f));
    struct sb_chain_head head = sb_chain_head(f->chain);
    assert_int_equal(head.header.number, 5);
    assert_int_equal(sb_chain_version_at(&head, 6), SB_CONSENSUS_VERSION_FIRST);
    assert_int_equal(sb_chain_version_at(&head, 7), next);
    call_params(f, plan, 0, 4, SB_CONSENSUS_VERSION_FIRST, 7); /* called off in the last block */
    assert_true(last_tx_succeeded(f));
    fixture_propose(f);
    head = sb_chain_head(f->chain);
    assert_int_equal(head.header.number, 7);
    assert_int_equal(head.version, SB_CONSENSUS_VERSION_FIRST);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(params_set_by_the_governor_hold_from_the_next_block),
        CASE(params_set_by_others_or_out_of_bounds_stay),
        CASE(upgrade_that_the_governor_plans_begins_at_its_height),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
