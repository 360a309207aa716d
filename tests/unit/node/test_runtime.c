/* test_runtime.c: a node with its own thread: blocks when transactions come, blocks by the clock, a clean stop. */
#include "tests/unit/node/chain_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

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

static void open_node(enum sb_pace pace, uint64_t interval_ms)
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

/* wait_for_nonce: until the head's state has this nonce; gives up after 60 s. */
static void wait_for_nonce(int account, uint64_t nonce)
{
    for (int i = 0; i < 60000; i++) {
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
    open_node(SB_PACE_INSTANT, 0);
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
    open_node(SB_PACE_INSTANT, 0);
    for (uint64_t nonce = 0; nonce < 10; nonce++) {
        fixture_send(&f, 0, nonce);
        wait_for_nonce(0, nonce + 1);
    }
    assert_int_equal(sb_chain_head_number(f.chain), 10);
}

static void interval_makes_empty_blocks(void **state)
{
    (void)state;
    open_node(SB_PACE_STEADY, 10);
    for (int i = 0; i < 6000 && sb_chain_head_number(f.chain) < 5; i++) {
        (void)usleep(10000);
    }
    assert_true(sb_chain_head_number(f.chain) >= 5);
    fixture_send(&f, 0, 0);
    wait_for_nonce(0, 1);
}

/* Blocks without a pause leave the loop its turn: transactions are heard of, and the node stops when it is told to. */
static void no_interval_leaves_the_loop_its_turn(void **state)
{
    (void)state;
    open_node(SB_PACE_STEADY, 0);
    for (uint64_t nonce = 0; nonce < 3; nonce++) {
        fixture_send(&f, 0, nonce);
        wait_for_nonce(0, nonce + 1);
    }
    sb_node_free(node); /* waits for the loop's end */
    open_node(SB_PACE_STEADY, 0);
    wait_for_nonce(0, 3);
}

static void stop_and_new_node_goes_on(void **state)
{
    (void)state;
    open_node(SB_PACE_INSTANT, 0);
    fixture_send(&f, 0, 0);
    wait_for_nonce(0, 1);
    sb_node_free(node);
    open_node(SB_PACE_INSTANT, 0);
    wait_for_nonce(0, 1);
    fixture_send(&f, 0, 1);
    wait_for_nonce(0, 2);
    assert_int_equal(sb_chain_head_number(f.chain), 2);
}

/* ---- many threads ---- */

#define SENDERS        3
#define TXS_PER_SENDER 200

static sb_bytes signed_txs[SENDERS][TXS_PER_SENDER];
static atomic_bool readers_stop;
static atomic_uint refusals;

static void *send_all(void *ctx)
{
    const sb_bytes *raws = ctx;
    for (size_t i = 0; i < TXS_PER_SENDER; i++) {
        sb_hash hash;
        if (sb_mempool_add(f.mempool, raws[i], &hash, NULL) != SB_OK) {
            atomic_fetch_add(&refusals, 1);
        }
    }
    return NULL;
}

/* read_all: every question that an RPC thread asks, over and over. */
static void *read_all(void *ctx)
{
    (void)ctx;
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)64 * 1024 * 1024);
    while (!atomic_load(&readers_stop)) {
        struct sb_chain_head head = sb_chain_head(f.chain);
        struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_NUMBER, .number = head.header.number / 2};
        struct sb_chain_view view;
        if (sb_chain_view_open(&view, f.chain, &ref) == SB_OK) {
            struct sb_account account;
            bool exists;
            (void)view.state->account(view.state->ctx, &f.addrs[0], &account, &exists);
            sb_chain_view_close(f.chain, &view);
        }
        const struct sb_mempool_entry *entries;
        size_t count;
        if (sb_mempool_content(&entries, &count, &arena, f.mempool, NULL) == SB_OK) {
            for (size_t i = 0; i < count; i++) {
                sb_pool_tx_release(entries[i].tx);
            }
        }
        struct sb_mempool_picker *picker = sb_mempool_pick(f.mempool, &head.next_base_fee);
        sb_mempool_picker_free(picker);
        (void)sb_mempool_status(f.mempool);
        sb_arena_reset(&arena);
    }
    sb_arena_fini(&arena);
    return NULL;
}

static void threads_send_and_read_while_blocks_are_made(void **state)
{
    (void)state;
    for (int sender = 0; sender < SENDERS; sender++) {
        for (uint64_t nonce = 0; nonce < TXS_PER_SENDER; nonce++) {
            struct sb_tx tx = fixture_tx(&f, sender, nonce);
            signed_txs[sender][nonce] = fixture_sign(&f, &tx, sender);
        }
    }
    open_node(SB_PACE_INSTANT, 0);
    atomic_store(&readers_stop, false);
    atomic_store(&refusals, 0);
    pthread_t senders[SENDERS];
    pthread_t readers[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, NULL), 0);
    }
    for (size_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_create(&senders[i], NULL, send_all, signed_txs[i]), 0);
    }
    for (size_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i], NULL), 0);
    }
    for (int sender = 0; sender < SENDERS; sender++) {
        wait_for_nonce(sender, TXS_PER_SENDER);
    }
    atomic_store(&readers_stop, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&refusals), 0);
    /* the pool drops what is in a block after the head has moved */
    for (int i = 0; i < 60000 && sb_mempool_status(f.mempool).pending != 0; i++) {
        (void)usleep(1000);
    }
    assert_int_equal(sb_mempool_status(f.mempool).pending, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(instant_makes_blocks_only_for_transactions),
        CASE(instant_one_transaction_after_another_gets_a_block_each),
        CASE(interval_makes_empty_blocks),
        CASE(no_interval_leaves_the_loop_its_turn),
        CASE(stop_and_new_node_goes_on),
        CASE(threads_send_and_read_while_blocks_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
