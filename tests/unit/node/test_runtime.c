/* test_runtime.c: a node with its own thread: blocks when transactions come, blocks by the clock, a clean stop. */
#include "tests/unit/node/chain_fixture.h"

#include "node/runtime.h"

static struct fixture f;
static struct sb_node *node;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.genesis.params.min_block_interval_ms = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_node_free(node);
    node = NULL;
    f.mempool = NULL;
    f.chain = NULL;
    fixture_fini(&f);
    return 0;
}

static void open_node(enum sb_node_pace pace, uint64_t interval_ms)
{
    struct sb_node_options options = {.db_dir = f.db_dir,
                                      .journal_dir = f.journal_dir,
                                      .genesis = &f.genesis,
                                      .create = !f.is_old,
                                      .new_key = !f.is_old,
                                      .pace = pace,
                                      .interval_ms = interval_ms};
    memcpy(options.validator_secret, f.validator_secret, sizeof options.validator_secret);
    fixture_check(&f, sb_node_new(&node, &options, &f.diag));
    f.is_old = true;
    f.chain = sb_node_chain(node);
    f.mempool = sb_node_mempool(node);
    fixture_check(&f, sb_node_start(node, &f.diag));
}

/* wait_for_nonce: until the head's state has this nonce; gives up after 20 s. */
static void wait_for_nonce(int account, uint64_t nonce)
{
    for (int i = 0; i < 20000; i++) {
        struct sb_account found;
        fixture_check(&f, sb_chain_account(&found, f.chain, &f.addrs[account]));
        if (found.nonce >= nonce) {
            return;
        }
        assert_false(sb_node_failed(node));
        (void)usleep(1000);
    }
    fail_msg("nonce %llu was not reached", (unsigned long long)nonce);
}

static void instant_makes_blocks_only_for_transactions(void **state)
{
    (void)state;
    open_node(SB_NODE_PACE_INSTANT, 0);
    (void)usleep(50000);
    assert_int_equal(sb_chain_head_number(f.chain), 0);
    for (uint64_t nonce = 0; nonce < 50; nonce++) {
        fixture_send(&f, 0, nonce);
        fixture_send(&f, 1, nonce);
    }
    wait_for_nonce(0, 50);
    wait_for_nonce(1, 50);
    uint64_t head = sb_chain_head_number(f.chain);
    assert_true(head >= 1 && head <= 100);
    (void)usleep(50000);
    assert_int_equal(sb_chain_head_number(f.chain), head);
    for (uint64_t number = 1; number <= head; number++) {
        const struct sb_rpc_block *block;
        fixture_check(&f, sb_chain_block_number(&block, f.chain, number));
        assert_true(block->block.tx_count > 0);
        sb_chain_block_release(f.chain, block);
        fixture_check(&f, sb_chain_check_block(f.chain, number, &f.diag));
    }
}

static void instant_one_transaction_after_another_gets_a_block_each(void **state)
{
    (void)state;
    open_node(SB_NODE_PACE_INSTANT, 0);
    for (uint64_t nonce = 0; nonce < 10; nonce++) {
        fixture_send(&f, 0, nonce);
        wait_for_nonce(0, nonce + 1);
    }
    assert_int_equal(sb_chain_head_number(f.chain), 10);
}

static void interval_makes_empty_blocks(void **state)
{
    (void)state;
    open_node(SB_NODE_PACE_INTERVAL, 10);
    for (int i = 0; i < 2000 && sb_chain_head_number(f.chain) < 5; i++) {
        (void)usleep(10000);
    }
    assert_true(sb_chain_head_number(f.chain) >= 5);
    fixture_send(&f, 0, 0);
    wait_for_nonce(0, 1);
}

static void stop_and_new_node_goes_on(void **state)
{
    (void)state;
    open_node(SB_NODE_PACE_INSTANT, 0);
    fixture_send(&f, 0, 0);
    wait_for_nonce(0, 1);
    sb_node_free(node);
    open_node(SB_NODE_PACE_INSTANT, 0);
    wait_for_nonce(0, 1);
    fixture_send(&f, 0, 1);
    wait_for_nonce(0, 2);
    assert_int_equal(sb_chain_head_number(f.chain), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(instant_makes_blocks_only_for_transactions),
        CASE(instant_one_transaction_after_another_gets_a_block_each),
        CASE(interval_makes_empty_blocks),
        CASE(stop_and_new_node_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
