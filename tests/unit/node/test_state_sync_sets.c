/* test_state_sync_sets.c: nodes that begin at a snapshot of each height of a life in which validators join, change their power, are slashed,
 * jailed and come back: whatever was under way between the block that changes the set and the height at which it holds, they go on with it
 * as all others do. */
#include "tests/unit/node/stakes_fixture.h"
#include "tests/unit/node/sync_fixture.h"

#define SNAPSHOTS_MAX 64

/* A snapshot of one height, alone in its folder. */
struct taken {
    uint64_t height;
    struct sb_snapshots *snapshots;
};

static struct taken taken[SNAPSHOTS_MAX];
static size_t taken_count;

static void take_snapshot(void *ctx, const struct sb_chain_event *event)
{
    char dir[64];
    struct taken *t = &taken[taken_count];
    const struct sb_store_identity identity = {
        .genesis_hash = sb_chain_domain(s.n.f.chain)->genesis_hash, .chain_id = FIXTURE_CHAIN_ID};
    (void)ctx;
    assert_true(taken_count++ < SNAPSHOTS_MAX);
    (void)snprintf(dir, sizeof dir, "%.31s/snapshots-%zu", s.n.f.dir, taken_count);
    fixture_check(&s.n.f, sb_snapshots_open(&t->snapshots, dir, &identity, 1, &s.n.f.diag));
    fixture_check(&s.n.f, sb_snapshots_take(&t->height, t->snapshots, sb_chain_store(s.n.f.chain),
                                            &s.n.f.diag));
    assert_int_equal(t->height, event->block->block.header.number);
}

static void offend(size_t key, uint64_t height)
{
    struct sb_validator_set set;
    struct sb_evidence evidence;
    sb_hash a = {{0}}, b = {{1}};
    fixture_check(&s.n.f, sb_chain_validators_at(&set, &s.n.f.arena, s.n.f.chain, height));
    struct sb_vote x = net_vote(&s.n, &set, key, SB_VOTE_PREVOTE, height, 0, &a);
    struct sb_vote y = net_vote(&s.n, &set, key, SB_VOTE_PREVOTE, height, 0, &b);
    assert_int_equal(sb_evidence_make(&evidence, &x, &y), SB_OK);
    fixture_check(&s.n.f, s.n.table->evidence_add(s.n.table->ctx, &evidence, &s.n.f.diag));
}

/* unjail: a validator that was absent comes back. */
static void unjail(int account)
{
    const sb_addr staking = sb_system_addr(SB_SLASHING_ADDR_LOW);
    struct sb_buf buf;
    sb_buf_init(&buf, 8);
    sb_abi_put_selector(&buf, sb_abi_selector("unjail()"));
    (void)send(account, &staking, 0, take(&buf));
}

/* live: a life in which the set changes in every way. */
static void live(void)
{
    steps(2);
    (void)join();
    (void)call_staking(3, 5, "delegate(address)", &s.n.f.addrs[1], NULL);
    steps(1);
    offend(2, 2);
    steps(3);
    s.n.is_silent[0] = true;
    steps(WINDOW + 4);
    s.n.is_silent[0] = false;
    s.n.f.now_ms += JAIL_SECONDS * 1000;
    unjail(0);
    steps(4);
}

static int64_t power_of(struct sb_chain *chain, uint64_t height, size_t key)
{
    struct sb_validator_set set;
    fixture_check(&s.n.f, sb_chain_validators_at(&set, &s.n.f.arena, chain, height));
    int index = sb_validator_set_find(&set, &s.n.addrs[key]);
    return index < 0 ? 0 : set.validators[index].power;
}

/* follow: commit by commit, as block sync does: each by the set that this node has for it. */
static void follow(struct sb_chain *chain)
{
    const struct sb_verifier verifier = sb_verifier_ed25519();
    for (uint64_t height = sb_chain_head_number(chain) + 1; height <= head_number(); height++) {
        struct sb_chain_executed *executed;
        const struct sb_commit *commit = &s.commits[height];
        fixture_check(&s.n.f, sb_commit_verify(commit, height, &commit->block_id,
                                               &sb_chain_rotation(chain, height)->set,
                                               sb_chain_domain(chain), &verifier, &s.n.f.diag));
        fixture_check(&s.n.f, sb_chain_execute(&executed, chain, s.blocks[height], &s.n.f.diag));
        fixture_check(&s.n.f, sb_chain_commit_take(chain, executed, commit, &s.n.f.diag));
    }
    struct sb_chain_head ours = sb_chain_head(chain), theirs = sb_chain_head(s.n.f.chain);
    assert_memory_equal(ours.header.state_root.b, theirs.header.state_root.b, 32);
    assert_memory_equal(ours.consensus_id.b, theirs.consensus_id.b, 32);
}

static struct sb_chain *open_synced(const char *dir)
{
    struct sb_chain *chain;
    const struct sb_chain_options options = {.db_dir = dir, .genesis = &s.n.f.genesis};
    fixture_check(&s.n.f, sb_chain_open(&chain, &options, &s.n.f.diag));
    return chain;
}

/* begin_at: a node that begins at this snapshot, restarts at once, follows to the head and restarts again. */
static void begin_at(const struct taken *t)
{
    char dir[64];
    struct sb_state_sync_report report;
    const struct sb_snap_source source = {.chain = s.n.f.chain, .snapshots = t->snapshots};
    (void)snprintf(dir, sizeof dir, "%.31s/synced-%llu", s.n.f.dir, (unsigned long long)t->height);
    sync_from(&report, &s.n.f, &source, dir, 0, true);
    assert_int_equal(report.height, t->height);
    struct sb_chain *chain = open_synced(dir);
    struct sb_header genesis;
    sb_hash hash;
    /* BLOCKHASH can name block 0 up to height 256 */
    fixture_check(&s.n.f, sb_chain_header(&genesis, &hash, chain, 0));
    assert_memory_equal(hash.b, sb_chain_domain(s.n.f.chain)->genesis_hash.b, sizeof hash.b);
    follow(chain);
    struct sb_store_report stored;
    fixture_check(&s.n.f, sb_store_verify(&stored, sb_chain_store(chain), NULL, NULL, &s.n.f.diag));
    sb_chain_close(chain);
    chain = open_synced(dir);
    for (uint64_t height = 1; height <= head_number() + 2; height++) {
        struct sb_validator_set ours, theirs;
        fixture_check(&s.n.f, sb_chain_validators_at(&ours, &s.n.f.arena, chain, height));
        fixture_check(&s.n.f, sb_chain_validators_at(&theirs, &s.n.f.arena, s.n.f.chain, height));
        sb_hash a = sb_validator_set_hash(&ours), b = sb_validator_set_hash(&theirs);
        assert_memory_equal(a.b, b.b, sizeof a.b);
    }
    for (uint64_t height = head_number() + 1; height <= head_number() + 2; height++) {
        for (int32_t round = 0; round < 8; round++) {
            assert_int_equal(sb_rotation_proposer(sb_chain_rotation(chain, height), round),
                             sb_rotation_proposer(sb_chain_rotation(s.n.f.chain, height), round));
        }
    }
    sb_chain_close(chain);
}

static void node_at_any_height_of_changing_sets_goes_on_as_all_others(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    stakes_genesis(&s.n);
    net_open(&s.n);
    fixture_check(&s.n.f, sb_chain_subscribe(s.n.f.chain, take_snapshot, NULL));
    live();
    uint64_t top = head_number();
    assert_int_equal(power_of(s.n.f.chain, top, JOINER), 20);
    assert_int_equal(power_of(s.n.f.chain, 10, 0),
                     10); /* there, then jailed, then back: a little less */
    assert_in_range(power_of(s.n.f.chain, top + 2, 0), 1, 10);
    assert_int_equal(power_of(s.n.f.chain, top, 2), 0); /* tombstoned */
    assert_true(taken_count == top);
    for (size_t i = 0; i + 1 < taken_count; i++) { /* the last one has no next block */
        print_message("# snapshot of height %llu\n", (unsigned long long)taken[i].height);
        begin_at(&taken[i]);
    }
    for (size_t i = 0; i < taken_count; i++) {
        sb_snapshots_close(taken[i].snapshots);
    }
    net_fini(&s.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_at_any_height_of_changing_sets_goes_on_as_all_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
