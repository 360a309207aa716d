/* test_staking.c: real chains whose sets come from the staking contracts: joins, leaves, power that moves, absence, evidence; across
 * restarts and rollbacks, and followed by a node that was not there. */
#include <pthread.h>

#include "node/backend.h"
#include "node/pending.h"
#include "tests/unit/node/stakes_fixture.h"

static int setup(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    stakes_genesis(&s.n);
    net_open(&s.n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_fini(&s.n);
    return 0;
}

/* ---- what the chain says ---- */

/* power_at: of a key in the set of a height; 0 when it is not in it. */
static int64_t power_at(struct net *n, uint64_t height, size_t key)
{
    struct sb_validator_set set;
    fixture_check(&n->f, sb_chain_validators_at(&set, &n->f.arena, n->f.chain, height));
    int index = sb_validator_set_find(&set, &n->addrs[key]);
    return index < 0 ? 0 : set.validators[index].power;
}

static size_t set_count_at(uint64_t height)
{
    struct sb_validator_set set;
    fixture_check(&s.n.f, sb_chain_validators_at(&set, &s.n.f.arena, s.n.f.chain, height));
    return set.count;
}

struct info {
    uint64_t counted, missed, jailed, tombstoned;
};

/* view: what a view of a contract answers after the head, in the arena. */
static sb_bytes view(uint16_t contract, sb_bytes input)
{
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    const sb_addr to = sb_system_addr(contract);
    struct sb_chain_view state;
    struct sb_evm_result result;
    assert_int_equal(sb_chain_view_open(&state, s.n.f.chain, &latest), SB_OK);
    const struct sb_block_env env = sb_chain_env(&state.block->block.header);
    struct sb_executor *x = sb_executor_new(state.state, sb_chain_rules(s.n.f.chain), &env, NULL);
    assert_non_null(x);
    assert_int_equal(sb_executor_system_call(&result, x, &to, input, GAS, NULL, NULL), SB_OK);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    const uint8_t *copy = sb_arena_dup(&s.n.f.arena, result.output);
    assert_non_null(copy);
    sb_executor_free(x);
    sb_chain_view_close(s.n.f.chain, &state);
    return sb_span(copy, result.output.len);
}

/* signing_info: what Slashing tells of an account's validator. */
static struct info signing_info(int account)
{
    const sb_addr operator_addr = account_addr(account);
    struct sb_abi_writer w;
    struct info info;
    uint8_t memory[64];
    struct sb_buf input = sb_buf_over(memory, sizeof memory);
    sb_abi_put_selector(&input, sb_abi_selector("signingInfo(address)"));
    sb_abi_begin(&w, &input, 1);
    sb_abi_put_addr(&w, &operator_addr);
    sb_abi_end(&w);
    sb_bytes output = view(SB_SLASHING_ADDR_LOW, sb_buf_bytes(&input));
    assert_int_equal(sb_abi_read_u64(&info.counted, output, 2), SB_OK);
    assert_int_equal(sb_abi_read_u64(&info.missed, output, 3), SB_OK);
    assert_int_equal(sb_abi_read_u64(&info.jailed, output, 6), SB_OK);
    assert_int_equal(sb_abi_read_u64(&info.tombstoned, output, 7), SB_OK);
    return info;
}

/* burnt: stake that slashes have taken, in thousandths of a coin. */
static uint64_t burnt(void)
{
    uint8_t input[4];
    sb_u256 wei;
    be_store32(input, sb_abi_selector("totals()"));
    assert_int_equal(
        sb_abi_read_u256(&wei, view(SB_STAKING_ADDR_LOW, sb_span(input, sizeof input)), 2), SB_OK);
    return wei.w[0] / (COIN / 1000);
}

static sb_hash state_root(struct net *n)
{
    return sb_chain_head(n->f.chain).header.state_root;
}

/* ---- joining, leaving, moving ---- */

static void quiet_chain_keeps_its_set_and_makes_coins(void **state)
{
    (void)state;
    struct sb_account distribution;
    const sb_addr addr = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    steps(5);
    for (uint64_t height = 1; height <= 7; height++) {
        assert_int_equal(set_count_at(height), NET_VALIDATORS);
        for (size_t i = 0; i < NET_VALIDATORS; i++) {
            assert_int_equal(power_at(&s.n, height, i), 10 + i);
        }
    }
    assert_int_equal(sb_chain_account(&distribution, s.n.f.chain, &addr), SB_OK);
    assert_false(sb_u256_is_zero(&distribution.balance));
    const struct sb_chain_head head = sb_chain_head(s.n.f.chain);
    assert_true(sb_addr_equal(&head.header.coinbase, &addr));
    assert_true(sb_chain_system_counters(s.n.f.chain).last_gas > 0);
    assert_int_equal(signing_info(1).counted, 3); /* heights 1 to 3 */
    assert_int_equal(signing_info(1).missed, 0);
}

static void newcomer_validates_two_blocks_later_and_proposes(void **state)
{
    (void)state;
    step();
    uint64_t height = join();
    assert_int_equal(power_at(&s.n, height + 1, JOINER), 0);
    assert_int_equal(power_at(&s.n, height + 2, JOINER), 20);
    size_t proposed = 0;
    for (size_t i = 0; i < 20; i++) {
        step();
        struct sb_consensus_block block = net_decode(&s.n, s.blocks[head_number()]);
        bool is_its = sb_addr_equal(&block.header.proposer, &s.n.addrs[JOINER]);
        assert_true(!is_its || head_number() >= height + 2);
        proposed += is_its;
    }
    assert_true(proposed >= 4); /* 20 of 66 of the power */
    assert_int_equal(signing_info(JOINER).missed, 0);
}

static void delegation_moves_power_and_its_end_takes_it_back(void **state)
{
    (void)state;
    step();
    uint64_t height = call_staking(3, 30, "delegate(address)", &s.n.f.addrs[1], NULL);
    step();
    assert_int_equal(power_at(&s.n, height + 1, 1), 11);
    assert_int_equal(power_at(&s.n, height + 2, 1), 41);
    const sb_u256 coin = sb_u256_from_u64(COIN);
    sb_u256 shares;
    assert_false(sb_u256_mul_u64(&shares, &coin, 30));
    height = call_staking(3, 0, "undelegate(address,uint256)", &s.n.f.addrs[1], &shares);
    step();
    assert_int_equal(power_at(&s.n, height + 1, 1), 41);
    assert_int_equal(power_at(&s.n, height + 2, 1), 11);
}

static void validator_without_its_own_stake_leaves(void **state)
{
    (void)state;
    const sb_u256 coin = sb_u256_from_u64(COIN);
    sb_u256 shares;
    step();
    (void)join();
    steps(3);
    assert_false(sb_u256_mul_u64(&shares, &coin, 20));
    const sb_addr newcomer = account_addr(JOINER);
    uint64_t height = call_staking(JOINER, 0, "undelegate(address,uint256)", &newcomer, &shares);
    steps(3);
    assert_int_equal(power_at(&s.n, height + 1, JOINER), 20);
    assert_int_equal(power_at(&s.n, height + 2, JOINER), 0);
    assert_int_equal(set_count_at(height + 2), NET_VALIDATORS);
}

/* ---- absence ---- */

static void absent_validator_is_jailed_and_comes_back(void **state)
{
    (void)state;
    const sb_addr slashing = sb_system_addr(SB_SLASHING_ADDR_LOW);
    uint8_t unjail[4];
    steps(2);
    s.n.is_silent[0] = true; /* power 10 of 46: the others are a quorum */
    uint64_t height = 0;
    while (power_at(&s.n, head_number() + 2, 0) != 0) {
        step();
        height = head_number();
        assert_true(height < 4 * WINDOW);
    }
    assert_int_equal(signing_info(0).jailed, 1);
    assert_int_equal(signing_info(0).tombstoned, 0);
    assert_true(height >= WINDOW + 2); /* judged once the window is full */
    steps(2);
    assert_int_equal(set_count_at(head_number()), NET_VALIDATORS - 1);
    s.n.is_silent[0] = false;
    s.n.f.now_ms += (uint64_t)JAIL_SECONDS * 1000;
    be_store32(unjail, sb_abi_selector("unjail()"));
    height = send(0, &slashing, 0, sb_span(unjail, sizeof unjail));
    assert_int_equal(power_at(&s.n, height + 2, 0), 9); /* a hundredth of 10 coins is gone */
    assert_int_equal(signing_info(0).jailed, 0);
    steps(2 * WINDOW);
    assert_int_equal(power_at(&s.n, head_number() + 2, 0), 9);
}

static void precommit_that_comes_late_counts_as_presence(void **state)
{
    (void)state;
    static struct sb_vote late;
    steps(2);
    s.n.is_silent[0] = true;
    for (size_t i = 0; i < 3 * WINDOW; i++) {
        struct sb_validator_set set;
        uint64_t height = head_number() - 1; /* two below the block to come */
        struct sb_consensus_block block = net_decode(&s.n, s.blocks[height]);
        const sb_hash id = sb_consensus_block_id(&block.header);
        fixture_check(&s.n.f, sb_chain_validators_at(&set, &s.n.f.arena, s.n.f.chain, height));
        if (height > 2) { /* before, it signed in time */
            late = net_vote(&s.n, &set, 0, SB_VOTE_PRECOMMIT, height, 0, &id);
            s.n.late = &late;
            s.n.late_count = 1;
        }
        step();
    }
    assert_int_equal(power_at(&s.n, head_number() + 2, 0), 10);
    assert_int_equal(signing_info(0).missed, 0);
}

/* ---- evidence ---- */

static void add_evidence(uint64_t height, int32_t round)
{
    struct sb_validator_set set;
    struct sb_evidence evidence;
    sb_hash a = {{1}}, b = {{2}};
    fixture_check(&s.n.f, sb_chain_validators_at(&set, &s.n.f.arena, s.n.f.chain, height));
    struct sb_vote x = net_vote(&s.n, &set, 2, SB_VOTE_PRECOMMIT, height, round, &a);
    struct sb_vote y = net_vote(&s.n, &set, 2, SB_VOTE_PRECOMMIT, height, round, &b);
    assert_int_equal(sb_evidence_make(&evidence, &x, &y), SB_OK);
    fixture_check(&s.n.f, s.n.table->evidence_add(s.n.table->ctx, &evidence, &s.n.f.diag));
}

static void evidence_slashes_and_tombstones_once(void **state)
{
    (void)state;
    steps(3);
    add_evidence(2, 0);
    step();
    uint64_t height = head_number();
    struct sb_consensus_block block = net_decode(&s.n, s.blocks[height]);
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(power_at(&s.n, height + 1, 2), 12);
    assert_int_equal(power_at(&s.n, height + 2, 2), 0);
    assert_int_equal(signing_info(2).tombstoned, 1);
    assert_int_equal(burnt(), 600); /* a twentieth of 12 coins */
    add_evidence(3, 0);
    add_evidence(3, 1);
    step();
    block = net_decode(&s.n, s.blocks[head_number()]);
    assert_int_equal(block.evidence_count, 2);
    assert_int_equal(signing_info(2).tombstoned, 1);
    assert_int_equal(burnt(), 600);
    steps(3);
    assert_int_equal(set_count_at(head_number()), NET_VALIDATORS - 1);
}

/* ---- restarts, rollbacks, followers ---- */

/* eventful: a life with all of it. */
static void eventful(void)
{
    step();
    (void)join();
    (void)call_staking(3, 5, "delegate(address)", &s.n.f.addrs[1], NULL);
    add_evidence(2, 0);
    step();
    s.n.is_silent[0] = true;
    steps(WINDOW + 8);
}

static void restart_in_between_changes_nothing(void **state)
{
    (void)state;
    step();
    uint64_t height = join();
    net_close(&s.n);
    net_open(&s.n); /* the set of height + 2 is known, not yet in force */
    assert_int_equal(power_at(&s.n, height + 2, JOINER), 20);
    step();
    net_close(&s.n);
    net_open(&s.n);
    steps(4);
    assert_int_equal(power_at(&s.n, head_number(), JOINER), 20);
}

static void undo(uint64_t blocks)
{
    net_close(&s.n);
    struct sb_store *store;
    struct sb_chain_domain domain;
    assert_int_equal(sb_genesis_domain(&domain, &s.n.f.genesis), SB_OK);
    const struct sb_store_identity identity = {.genesis_hash = domain.genesis_hash,
                                               .chain_id = domain.chain_id};
    const struct sb_store_options options = {.create = false};
    fixture_check(&s.n.f, sb_store_open(&store, s.n.f.db_dir, &identity, &options, &s.n.f.diag));
    for (uint64_t i = 0; i < blocks; i++) {
        fixture_check(&s.n.f, sb_store_rollback(store, &s.n.f.diag));
    }
    sb_store_close(store);
    net_open(&s.n);
}

static void rollback_over_set_changes_and_again_gives_the_same(void **state)
{
    (void)state;
    eventful();
    uint64_t top = head_number();
    sb_hash root = state_root(&s.n);
    for (uint64_t back = 1; back < top - 1; back += 3) {
        undo(back);
        assert_int_equal(head_number(), top - back);
        for (uint64_t height = top - back + 1; height <= top; height++) {
            net_accept(&s.n, s.blocks[height]);
            assert_memory_equal(&s.n.last_commit.block_id, &s.commits[height].block_id, 32);
        }
        sb_hash again = state_root(&s.n);
        assert_memory_equal(&again, &root, 32);
    }
}

static void follower_comes_to_the_same_sets_by_the_blocks_alone(void **state)
{
    (void)state;
    static struct net follower;
    const struct sb_verifier verifier = sb_verifier_ed25519();
    eventful();
    stakes_genesis(&follower);
    net_open(&follower);
    for (uint64_t height = 1; height <= head_number(); height++) {
        struct sb_application_verdict verdict;
        struct sb_application_block *block = NULL;
        /* as block sync does: the commit by the set that the follower has, then the block */
        fixture_check(&follower.f,
                      sb_commit_verify(&s.commits[height], height, &s.commits[height].block_id,
                                       &sb_chain_rotation(follower.f.chain, height)->set,
                                       sb_chain_domain(follower.f.chain), &verifier,
                                       &follower.f.diag));
        fixture_check(&follower.f, follower.table->process(follower.table->ctx, s.blocks[height],
                                                           &verdict, &block, &follower.f.diag));
        assert_true(verdict.valid);
        fixture_check(&follower.f,
                      follower.table->commit_take(follower.table->ctx, block, &s.commits[height],
                                                  &follower.f.diag));
    }
    sb_hash mine = state_root(&follower), theirs = state_root(&s.n);
    assert_memory_equal(&mine, &theirs, 32);
    for (size_t key = 0; key <= JOINER; key++) {
        assert_int_equal(power_at(&follower, head_number() + 2, key),
                         power_at(&s.n, head_number() + 2, key));
    }
    assert_int_equal(power_at(&s.n, head_number() + 2, JOINER), 20);
    assert_int_equal(power_at(&s.n, head_number() + 2, 0), 0); /* jailed */
    assert_int_equal(power_at(&s.n, head_number() + 2, 2), 0); /* tombstoned */
    net_fini(&follower);
}

/* ---- RPC ---- */

static uint64_t now_ms(void *ctx)
{
    (void)ctx;
    return s.n.f.now_ms + 500;
}

/* balance_at: of Distribution. */
static sb_u256 balance_at(const struct sb_rpc_backend *table, enum sb_rpc_tag tag)
{
    const struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_TAG, .tag = tag};
    const sb_addr distribution = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    struct sb_rpc_failure failure = {.code = 0};
    const struct sb_state_view *view;
    struct sb_account account;
    void *handle;
    bool exists;
    assert_int_equal(table->state(table->ctx, &ref, &view, &handle, &failure), SB_OK);
    assert_int_equal(view->account(view->ctx, &distribution, &account, &exists), SB_OK);
    table->state_release(table->ctx, handle);
    return account.balance;
}

static void rpc_shows_operators_presence_and_the_end_of_the_pending_block(void **state)
{
    (void)state;
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    const struct sb_rpc_block_ref earliest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_EARLIEST};
    const struct sb_backend_options options = {
        .chain = s.n.f.chain, .mempool = s.n.f.mempool, .clock_ms = now_ms};
    struct sb_rpc_failure failure = {.code = 0};
    struct sb_backend *backend;
    struct sb_rpc_validators set;
    struct sb_rpc_signing_info info;
    s.n.is_silent[1] = true;
    steps(6);
    fixture_check(&s.n.f, sb_backend_new(&backend, &options, &s.n.f.diag));
    const struct sb_rpc_backend table = sb_backend_table(backend);

    assert_int_equal(table.validators(table.ctx, &s.n.f.arena, 7, &set), SB_OK);
    for (size_t i = 0; i < set.count; i++) {
        size_t key = net_key_of(&s.n, &set.validators[i].address);
        assert_true(set.validators[i].has_operator);
        assert_true(sb_addr_equal(&set.validators[i].operator_addr, &s.n.f.addrs[key]));
    }

    const sb_addr both[2] = {s.n.addrs[1], s.n.f.addrs[1]};
    for (size_t i = 0; i < 2; i++) { /* by its consensus address and by its operator */
        assert_int_equal(table.signing_info(table.ctx, &both[i], &latest, &info, &failure), SB_OK);
        assert_true(sb_addr_equal(&info.consensus_addr, &both[0]));
        assert_true(sb_addr_equal(&info.operator_addr, &both[1]));
        assert_int_equal(info.missed, 4); /* heights 1 to 4 are judged */
        assert_int_equal(info.window, WINDOW);
        assert_false(info.jailed);
        assert_int_equal(table.signing_info(table.ctx, &both[i], &earliest, &info, &failure),
                         SB_OK);
        assert_int_equal(info.counted, 0);
    }
    const sb_addr nobody = {{1}};
    assert_int_equal(table.signing_info(table.ctx, &nobody, &latest, &info, &failure),
                     SB_E_NOT_FOUND);

    const sb_u256 now = balance_at(&table, SB_RPC_LATEST);
    const sb_u256 then = balance_at(&table, SB_RPC_PENDING);
    assert_true(sb_u256_lt(&now, &then)); /* coins of half a second */
    sb_backend_free(backend);
}

/* data_of: a call of Staking with one or two operators and an amount of coins as shares; 0 coins: none. */
static sb_bytes data_of(const char *signature, const sb_addr *const *operators, size_t count,
                        uint64_t coins)
{
    const sb_u256 coin = sb_u256_from_u64(COIN);
    sb_u256 shares;
    struct sb_abi_writer w;
    struct sb_buf buf;
    assert_false(sb_u256_mul_u64(&shares, &coin, coins));
    sb_buf_init(&buf, 256);
    sb_abi_put_selector(&buf, sb_abi_selector(signature));
    sb_abi_begin(&w, &buf, count + (coins != 0 ? 1 : 0));
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_addr(&w, operators[i]);
    }
    if (coins != 0) {
        sb_abi_put_u256(&w, &shares);
    }
    sb_abi_end(&w);
    return take(&buf);
}

/* Nothing is accrued in block 1; what is by the time of the transaction is settled with the gas of an estimate of before. */
static void estimate_has_gas_for_rewards_that_come_before_the_block(void **state)
{
    (void)state;
    const sb_addr staking = sb_system_addr(SB_STAKING_ADDR_LOW);
    const sb_addr *const a = &s.n.f.addrs[1], *const b = &s.n.f.addrs[2];
    const struct {
        int account;
        uint64_t coins;
        sb_bytes data;
    } calls[] = {
        {3, 1, data_of("delegate(address)", &a, 1, 0)},
        {0, 0, data_of("redelegate(address,address,uint256)", (const sb_addr *[]){a, b}, 2, 1)},
        {3, 0, data_of("undelegate(address,uint256)", &a, 1, 1)},
    };
    for (int account = 0; account <= 3; account += 3) { /* all positions in block 1 */
        for (int i = 0; i < 2; i++) {
            struct sb_tx tx = fixture_tx(&s.n.f, account, s.nonces[account]++);
            tx.to = staking;
            tx.value = sb_u256_from_u64(COIN);
            tx.gas_limit = GAS;
            tx.data = data_of("delegate(address)", i == 0 ? &a : &b, 1, 0);
            fixture_check(&s.n.f, fixture_add(&s.n.f, &tx, account, NULL));
        }
    }
    step();
    const struct sb_backend_options options = {
        .chain = s.n.f.chain, .mempool = s.n.f.mempool, .clock_ms = now_ms};
    struct sb_backend *backend;
    fixture_check(&s.n.f, sb_backend_new(&backend, &options, &s.n.f.diag));
    const struct sb_rpc_backend table = sb_backend_table(backend);
    uint64_t gas[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        struct sb_rpc_query query = {.block = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST},
                                     .call = {.has_from = true,
                                              .has_to = true,
                                              .from = s.n.f.addrs[calls[i].account],
                                              .to = staking,
                                              .data = calls[i].data}};
        struct sb_rpc_failure failure = {.code = 0};
        atomic_bool stop = false;
        query.call.value = sb_u256_from_u64(calls[i].coins * COIN);
        assert_int_equal(
            table.estimate_gas(table.ctx, &s.n.f.arena, &query, &stop, &gas[i], &failure), SB_OK);
    }
    steps(5);
    for (size_t i = 0; i < 3; i++) {
        (void)send_with(gas[i], calls[i].account, &staking, calls[i].coins, calls[i].data);
    }
    sb_backend_free(backend); /* it hears of new heads */
}

static atomic_bool reader_stops;
static atomic_uint reader_made;

/* read_pending: as RPC threads do. Returns NULL, or the first error that is none of a head which has moved. */
static void *read_pending(void *ctx)
{
    static sb_err wrong;
    (void)ctx;
    wrong = SB_OK;
    while (!atomic_load(&reader_stops)) {
        struct sb_pending *pending = NULL;
        sb_err err = sb_pending_new(&pending, s.n.f.chain, s.n.f.mempool, now_ms(NULL));
        wrong = err != SB_OK && err != SB_E_BUSY && wrong == SB_OK ? err : wrong;
        if (err == SB_OK) {
            sb_pending_release(pending);
            atomic_fetch_add(&reader_made, 1);
        }
    }
    return wrong != SB_OK ? &wrong : NULL;
}

/* The ring of validator sets goes on below a thread that makes a pending block: ThreadSanitizer says whether it looks at it unguarded. */
static void pending_block_is_made_beside_blocks_that_are_committed(void **state)
{
    (void)state;
    pthread_t thread;
    void *wrong = NULL;
    atomic_store(&reader_stops, false);
    atomic_store(&reader_made, 0);
    steps(2);
    assert_int_equal(pthread_create(&thread, NULL, read_pending, NULL), 0);
    steps(BLOCKS_MAX - 8);
    for (int i = 0; i < 60000 && atomic_load(&reader_made) == 0; i++) {
        (void)usleep(1000);
    }
    atomic_store(&reader_stops, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    assert_true(atomic_load(&reader_made) > 0);
}

/* ---- genesis ---- */

static void genesis_with_staking_and_another_fee_recipient_is_refused(void **state)
{
    (void)state;
    struct sb_genesis genesis = s.n.f.genesis;
    fixture_check(&s.n.f, sb_genesis_check(&genesis, &s.n.f.diag));
    genesis.fee_recipient = genesis.coinbase = s.n.f.addrs[0];
    assert_int_equal(sb_genesis_check(&genesis, &s.n.f.diag), SB_E_ARG);
    assert_non_null(strstr(s.n.f.diag.text, "feeRecipient"));
}

static void genesis_with_staking_and_too_many_coins_is_refused(void **state)
{
    (void)state;
    struct sb_genesis genesis = s.n.f.genesis;
    struct sb_genesis_account *accounts =
        sb_arena_array(&s.n.f.arena, genesis.account_count, sizeof *accounts);
    assert_non_null(accounts);
    memcpy(accounts, genesis.accounts, genesis.account_count * sizeof *accounts);
    accounts[genesis.account_count - 1].balance = (sb_u256){.w = {0, 0, 1, 0}};
    genesis.accounts = accounts;
    assert_int_equal(sb_genesis_check(&genesis, &s.n.f.diag), SB_E_RANGE);
}

/* expect_no_genesis: of validators of 11 and 10 coins, with this owner and commission of the second and this least stake. */
static void expect_no_genesis(int second_owner, uint16_t commission_bps, uint64_t least_coins)
{
    static struct net other;
    static struct sb_genesis_operator operators[2];
    net_init(&other);
    for (size_t i = 0; i < 2; i++) {
        operators[i] = (struct sb_genesis_operator){
            .power = 10 + (1 - i), .addr = other.f.addrs[i == 0 ? 0 : second_owner]};
        memcpy(operators[i].key, other.keys[i].bytes, sizeof operators[i].key);
    }
    operators[1].commission_bps = commission_bps;
    struct sb_predeploy_options options = {
        .operators = operators, .operator_count = 2, .staking = sb_staking_params_default()};
    options.staking.self_stake_min_coins = least_coins;
    assert_int_equal(sb_predeploys_add(&other.f.genesis, &other.f.arena, &options, &other.f.diag),
                     SB_E_ARG);
    assert_non_null(strstr(other.f.diag.text, "Staking.genesis: execution reverted"));
    fixture_remove_dir(other.f.dir);
    sb_arena_fini(&other.f.arena);
}

static void validators_that_staking_refuses_make_no_genesis(void **state)
{
    (void)state;
    expect_no_genesis(0, 0, 1); /* one operator for two keys */
    expect_no_genesis(1, 10001, 1);
    expect_no_genesis(1, 10000, 11); /* the second could not be on the list */
}

/* ---- failures ---- */

static void failing_contract_is_told_and_the_chain_goes_on(void **state)
{
    (void)state;
    static const uint8_t invalid[] = {0xfe};
    net_fini(&s.n);
    memset(&s, 0, sizeof s);
    stakes_genesis(&s.n);
    const sb_addr slashing = sb_system_addr(SB_SLASHING_ADDR_LOW);
    struct sb_genesis *g = &s.n.f.genesis;
    struct sb_genesis_account *accounts =
        sb_arena_array(&s.n.f.arena, g->account_count, sizeof *accounts);
    assert_non_null(accounts);
    memcpy(accounts, g->accounts, g->account_count * sizeof *accounts);
    for (size_t i = 0; i < g->account_count; i++) {
        if (sb_addr_equal(&accounts[i].addr, &slashing)) {
            accounts[i].code = sb_span(invalid, sizeof invalid);
        }
    }
    g->accounts = accounts;
    net_open(&s.n);
    for (uint64_t i = 1; i <= 4; i++) {
        (void)net_step(&s.n);
        assert_int_equal(sb_chain_system_counters(s.n.f.chain).failures, i);
    }
    assert_int_equal(power_at(&s.n, 6, 2), 12);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(quiet_chain_keeps_its_set_and_makes_coins),
        CASE(newcomer_validates_two_blocks_later_and_proposes),
        CASE(delegation_moves_power_and_its_end_takes_it_back),
        CASE(validator_without_its_own_stake_leaves),
        CASE(absent_validator_is_jailed_and_comes_back),
        CASE(precommit_that_comes_late_counts_as_presence),
        CASE(evidence_slashes_and_tombstones_once),
        CASE(restart_in_between_changes_nothing),
        CASE(rollback_over_set_changes_and_again_gives_the_same),
        CASE(follower_comes_to_the_same_sets_by_the_blocks_alone),
        CASE(rpc_shows_operators_presence_and_the_end_of_the_pending_block),
        CASE(estimate_has_gas_for_rewards_that_come_before_the_block),
        CASE(pending_block_is_made_beside_blocks_that_are_committed),
        CASE(genesis_with_staking_and_another_fee_recipient_is_refused),
        CASE(genesis_with_staking_and_too_many_coins_is_refused),
        CASE(validators_that_staking_refuses_make_no_genesis),
        CASE(failing_contract_is_told_and_the_chain_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
