/* test_params.c: a change of the Params contract moves the chain's parameters from the next block on, and survives a restart. */
#include "node/chain_impl.h"
#include "node/predeploys.h"
#include "tests/unit/node/chain_fixture.h"

#include "base/codec/abi.h"

#define NEW_GAS_LIMIT UINT64_C(40000000)
#define LIFE_BLOCKS   120

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

/* ---- the age of evidence ---- */

static enum sb_chain_evidence_age age_of(struct fixture *f, uint64_t height)
{
    struct sb_chain_head head = sb_chain_head(f->chain);
    enum sb_chain_evidence_age age = SB_EVIDENCE_UNKNOWN;
    fixture_check(f, sb_chain_evidence_age(&age, f->chain, &head.params, height,
                                           head.header.number + 1, head.time_ms + 1));
    return age;
}

static bool has_expired(struct fixture *f, uint64_t height)
{
    return age_of(f, height) == SB_EVIDENCE_EXPIRED;
}

/* follow: the newest block of one node on another. */
static void follow(struct fixture *to, struct fixture *from)
{
    struct sb_chain_executed *executed;
    struct sb_commit commit;
    sb_bytes encoded;
    fixture_check(from, sb_chain_encoded(&encoded, &commit, &from->arena, from->chain,
                                         sb_chain_head_number(from->chain)));
    fixture_check(to, sb_chain_execute(&executed, to->chain, encoded, &to->diag));
    fixture_check(to, sb_chain_commit_take(to->chain, executed, &commit, &to->diag));
}

static void open_with_evidence_age(struct fixture *f, uint64_t blocks, uint64_t ms)
{
    fixture_init(f);
    f->history_blocks = 1;
    f->genesis.params.evidence_age_blocks_max = blocks;
    f->genesis.params.evidence_age_ms_max = ms;
    struct sb_predeploy_options options = {.governor = f->addrs[0],
                                           .deposit_per_byte = SB_DEPOSIT_PER_BYTE_DEFAULT};
    fixture_check(f, sb_predeploys_add(&f->genesis, &f->arena, &options, &f->diag));
    fixture_open(f);
}

/* A governor who changes both ages at random: what has expired once stays so, on a node that has all blocks and on one that keeps of the
 * expired ones the newest alone. Neither is ever in doubt. */
static void evidence_that_expired_stays_so_whatever_the_governor_sets(void **state)
{
    (void)state;
    static struct fixture whole, pruned;
    static const uint64_t seed = 20261123;
    bool expired[LIFE_BLOCKS + 2] = {false};
    uint64_t random = seed, nonce = 0, revivable = 0;
    print_message("seed %llu, fixed in this test\n", (unsigned long long)seed);
    open_with_evidence_age(&whole, 10, 10000);
    open_with_evidence_age(&pruned, 10, 10000);
    for (uint64_t number = 1; number <= LIFE_BLOCKS; number++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t index = 4 + (random >> 40) % 2, age = 1 + (random >> 45) % 40;
        if ((random >> 33) % 4 == 0) {
            set_param(&whole, 0, nonce++, index, index == 4 ? age : age * 1000);
            assert_true(last_tx_succeeded(&whole));
        } else {
            fixture_propose(&whole);
        }
        follow(&pruned, &whole);
        uint64_t oldest = 1;
        struct sb_params params = sb_chain_params(whole.chain);
        for (uint64_t height = 1; height <= number; height++) {
            bool now = has_expired(&whole, height);
            assert_int_equal(age_of(&pruned, height), age_of(&whole, height));
            assert_true(now || !expired[height]);
            revivable += now && number + 1 - height <= params.evidence_age_blocks_max;
            expired[height] = now;
            oldest = now ? height : oldest;
        }
        if (oldest > sb_chain_oldest(pruned.chain)) {
            fixture_check(&pruned, sb_store_prune(pruned.chain->store, oldest, &pruned.diag));
        }
    }
    assert_true(nonce > 20 && revivable > 100); /* without the floors these would have come back */
    fixture_fini(&whole);
    fixture_fini(&pruned);
}

static void raised_age_of_evidence_grows_with_the_chain(void **state)
{
    (void)state;
    static struct fixture f;
    open_with_evidence_age(&f, 3, 1);
    for (int i = 0; i < 9; i++) {
        fixture_propose(&f);
    }
    set_param(&f, 0, 0, 4, 100); /* in block 10, in which height 7 was the oldest that counted */
    assert_true(last_tx_succeeded(&f));
    assert_int_equal(sb_chain_params(f.chain).evidence_height_min, 7);
    for (int i = 0; i < 20; i++) {
        assert_true(has_expired(&f, 6));
        assert_false(has_expired(&f, 7));
        fixture_propose(&f);
    }
    set_param(&f, 0, 1, 4, 5);
    assert_int_equal(sb_chain_params(f.chain).evidence_height_min, 7);
    assert_true(has_expired(&f, 26));
    assert_false(has_expired(&f, 27));
    fixture_close(&f);
    fixture_open(&f);
    assert_int_equal(sb_chain_params(f.chain).evidence_height_min, 7);
    fixture_fini(&f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(params_set_by_the_governor_hold_from_the_next_block),
        CASE(params_set_by_others_or_out_of_bounds_stay),
        CASE(upgrade_that_the_governor_plans_begins_at_its_height),
        cmocka_unit_test(evidence_that_expired_stays_so_whatever_the_governor_sets),
        cmocka_unit_test(raised_age_of_evidence_grows_with_the_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
