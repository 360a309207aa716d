/* test_chain_app.c: the chain of several validators as an application: sets by height, commits, late precommits, evidence, versions. */
#include "tests/unit/node/validators_fixture.h"

static struct net n;

static int setup(void **state)
{
    (void)state;
    net_init(&n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_fini(&n);
    return 0;
}

static void net_reopen(void)
{
    net_close(&n);
    net_open(&n);
}

static void steps(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        net_step(&n);
    }
}

/* ---- the chain ---- */

static void chain_of_four_grows_and_gives_its_blocks_back(void **state)
{
    (void)state;
    net_open(&n);
    sb_bytes blocks[13];
    uint64_t proposals[NET_KEYS] = {0};
    for (uint64_t height = 1; height <= 12; height++) {
        memset(n.is_silent, 0, sizeof n.is_silent);
        n.is_silent[height % NET_VALIDATORS] = true;
        fixture_send(&n.f, 0, height - 1);
        blocks[height] = net_step(&n);
        struct sb_consensus_block block = net_decode(&n, blocks[height]);
        proposals[net_key_of(&n, &block.header.proposer)]++;
        assert_int_equal(net_head(&n).height, height);
        if (height % 5 == 0) {
            net_reopen();
        }
    }
    for (size_t i = 0; i < NET_VALIDATORS; i++) {
        assert_true(proposals[i] >= 2); /* powers are nearly equal */
    }
    assert_null(n.table->rotation(n.table->ctx, 10));
    assert_null(n.table->rotation(n.table->ctx, 15));
    assert_null(n.table->rotation(n.table->ctx, 0));
    for (uint64_t height = 1; height <= 12; height++) {
        sb_bytes encoded;
        struct sb_commit commit;
        assert_int_equal(n.table->block(n.table->ctx, &n.f.arena, height, &encoded, &commit),
                         SB_OK);
        assert_true(sb_span_equal(encoded, blocks[height]));
        assert_int_equal(commit.height, height);
        assert_int_equal(commit.sig_count, NET_VALIDATORS);
        fixture_check(&n.f, sb_chain_check_block(n.f.chain, height, &n.f.diag));
    }
    sb_bytes encoded;
    struct sb_commit commit;
    assert_int_equal(n.table->block(n.table->ctx, &n.f.arena, 13, &encoded, &commit),
                     SB_E_NOT_FOUND);
    assert_int_equal(n.table->block(n.table->ctx, &n.f.arena, 0, &encoded, &commit),
                     SB_E_NOT_FOUND);
}

static void rotation_stays_valid_while_the_head_moves_twice(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    const struct sb_rotation *held[2] = {n.table->rotation(n.table->ctx, 5),
                                         n.table->rotation(n.table->ctx, 8)};
    int64_t priorities[2][NET_VALIDATORS];
    uint32_t proposers[2] = {held[0]->proposer, held[1]->proposer};
    for (size_t i = 0; i < 2; i++) {
        memcpy(priorities[i], held[i]->priority, sizeof priorities[i]);
    }
    steps(2);
    assert_ptr_equal(n.table->rotation(n.table->ctx, 8), held[1]);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(held[i]->priority, priorities[i], sizeof priorities[i]);
        assert_int_equal(held[i]->proposer, proposers[i]);
    }
}

static void proposer_outside_of_the_set_is_invalid(void **state)
{
    (void)state;
    net_open(&n);
    steps(2);
    sb_bytes encoded = net_build(&n);
    struct sb_consensus_block block = net_decode(&n, encoded);
    block.header.proposer = n.addrs[NET_VALIDATORS];
    net_expect_invalid(&n, net_encode(&n, &block), "proposer");
    /* any of the set: which one the round has is the core's affair */
    net_accept(&n, net_build_by(&n, &n.addrs[0]));
    net_accept(&n, net_build_by(&n, &n.addrs[1]));
}

static sb_hash head_mix(void)
{
    return sb_chain_head(n.f.chain).header.mix_hash;
}

/* The randomness of a height is the proposer's alone: neither another's proof, nor one of another height, nor the time can change it. */
static void randomness_follows_from_proposer_and_the_one_before(void **state)
{
    (void)state;
    net_open(&n);
    steps(2);
    sb_hash before = head_mix();
    struct sb_consensus_block first = net_decode(&n, net_build_by(&n, &n.addrs[0]));
    struct sb_consensus_block later = net_decode(&n, net_build_by(&n, &n.addrs[0]));
    struct sb_consensus_block other = net_decode(&n, net_build_by(&n, &n.addrs[1]));
    assert_true(later.header.time_ms > first.header.time_ms);
    assert_memory_equal(first.header.randomness_proof, later.header.randomness_proof, 80);
    assert_memory_not_equal(first.header.randomness_proof, other.header.randomness_proof, 80);
    struct sb_consensus_block forged = first;
    memcpy(forged.header.randomness_proof, other.header.randomness_proof, 80);
    net_expect_invalid(&n, net_encode(&n, &forged), "randomness proof");

    net_accept(&n, net_encode(&n, &later));
    const struct sb_verifier verifier = sb_verifier_ed25519();
    const struct sb_randomness_input input = {.height = 3, .last = before};
    sb_hash mix, head = head_mix();
    fixture_check(&n.f, sb_randomness_verify(&mix, &input, &n.keys[0],
                                             sb_span(first.header.randomness_proof, 80),
                                             sb_chain_domain(n.f.chain), &verifier, &n.f.diag));
    assert_memory_equal(mix.b, head.b, 32);

    forged = net_decode(&n, net_build_by(&n, &n.addrs[0]));
    memcpy(forged.header.randomness_proof, first.header.randomness_proof, 80);
    net_expect_invalid(&n, net_encode(&n, &forged), "randomness proof"); /* of height 3 */
    fixture_check(&n.f, sb_chain_check_block(n.f.chain, 3, &n.f.diag));
}

/* The pending block has no proposer yet: it shows a value that no block will have. */
static void pending_block_shows_the_last_randomness_hashed(void **state)
{
    (void)state;
    net_open(&n);
    steps(2);
    const struct sb_rpc_block *pending;
    sb_hash last = head_mix(), want = sb_randomness_mix(&last, sb_span(NULL, 0));
    assert_int_equal(sb_builder_pending(&pending, n.f.chain, n.f.mempool, n.f.now_ms), SB_OK);
    assert_memory_equal(pending->block.header.mix_hash.b, want.b, 32);
    sb_chain_block_release(n.f.chain, pending);
}

static void last_commit_without_quorum_or_with_a_bad_signature_is_invalid(void **state)
{
    (void)state;
    net_open(&n);
    steps(3);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    struct sb_commit_sig sigs[NET_VALIDATORS];
    const struct sb_commit_sig *good = block.last_commit.sigs;
    block.last_commit.sigs = sigs;
    memcpy(sigs, good, sizeof sigs);
    sigs[3] = (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT};
    sb_bytes three_of_four = net_encode(&n, &block);
    sigs[2] = sigs[3];
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    memcpy(sigs, good, sizeof sigs);
    sigs[1].signature.bytes[3] ^= 1;
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    memcpy(sigs, good, sizeof sigs);
    sigs[1].signature = sigs[2].signature; /* another validator's */
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    memcpy(sigs, good, sizeof sigs);
    sigs[0].flag = SB_COMMIT_NIL; /* signed for the block, not for nil */
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    memcpy(sigs, good, sizeof sigs);
    block.last_commit.sig_count = 3;
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    block.last_commit.sig_count = NET_VALIDATORS;
    block.last_commit.round = 1;
    net_expect_invalid(&n, net_encode(&n, &block), "last commit");
    net_accept(&n, three_of_four);
}

/* ---- late precommits ---- */

/* late_vote: the precommit that a silent validator signed after all. */
static struct sb_vote late_vote(size_t key, uint64_t height, int32_t round, const sb_hash *id)
{
    return net_vote(&n, &sb_chain_rotation(n.f.chain, height)->set, key, SB_VOTE_PRECOMMIT, height,
                    round, id);
}

/* three_heights: a chain of 3 blocks whose commit of height 2 lacks validator 1; *ret_id is the block of height 2. */
static void three_heights(sb_hash *ret_id)
{
    net_open(&n);
    steps(1);
    n.is_silent[1] = true;
    steps(1);
    *ret_id = net_head(&n).block_id;
    n.is_silent[1] = false;
    steps(1);
}

static void late_precommit_that_the_commit_lacks_goes_into_the_block(void **state)
{
    (void)state;
    sb_hash id, nil = {{0}};
    three_heights(&id);
    struct sb_vote votes[4] = {late_vote(1, 2, 0, &id), late_vote(1, 2, 0, &id),
                               late_vote(2, 2, 0, &id), late_vote(1, 3, 0, &id)};
    n.late =
        votes; /* the second repeats the first, the third is in the commit, the fourth of another height */
    n.late_count = 4;
    sb_bytes encoded = net_build(&n);
    struct sb_consensus_block block = net_decode(&n, encoded);
    assert_int_equal(block.late_precommit_count, 1);
    assert_memory_equal(&block.late_precommits[0].validator_address, &n.addrs[1], sizeof(sb_addr));
    votes[0] = late_vote(1, 2, 7, &nil); /* of any round, for anything */
    block.late_precommits = votes;
    net_accept(&n, net_encode(&n, &block));
    fixture_check(&n.f, sb_chain_check_block(n.f.chain, 4, &n.f.diag));
}

static void late_precommit_that_is_false_or_not_late_is_invalid(void **state)
{
    (void)state;
    sb_hash id;
    three_heights(&id);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    struct sb_vote votes[2] = {late_vote(2, 2, 0, &id)};
    block.late_precommits = votes;
    block.late_precommit_count = 1;
    net_expect_invalid(&n, net_encode(&n, &block), "has one already");
    struct sb_vote genuine = late_vote(1, 2, 0, &id);
    votes[0] = genuine;
    votes[0].signature.bytes[0] ^= 1;
    net_expect_invalid(&n, net_encode(&n, &block), "late precommit");
    votes[0] = genuine;
    votes[0].validator_address = n.addrs[2];
    net_expect_invalid(&n, net_encode(&n, &block), "late precommit");
    votes[0] = genuine;
    votes[0].validator_index = 200; /* outside of the set */
    net_expect_invalid(&n, net_encode(&n, &block), "late precommit");
    votes[0] = late_vote(1, 3, 0, &id);
    net_expect_invalid(&n, net_encode(&n, &block), "late vote");
    votes[0] = genuine;
    votes[1] = genuine;
    block.late_precommit_count = 2;
    net_expect_invalid(&n, net_encode(&n, &block), "out of order");
    block.late_precommit_count = 1;
    net_accept(&n, net_encode(&n, &block));
}

/* ---- changes of the set ---- */

/* The blocks that change something, and how. */
struct plan {
    uint64_t height;
    struct sb_validator_change changes[NET_KEYS];
    size_t count;
};

static sb_err planned_changes(void *ctx, struct sb_arena *arena, uint64_t height,
                              const struct sb_block_result *result,
                              const struct sb_validator_change **ret_changes, size_t *ret_count)
{
    (void)arena;
    (void)result;
    const struct plan *plan = ctx;
    for (; plan->height != 0; plan++) {
        if (plan->height == height) {
            *ret_changes = plan->changes;
            *ret_count = plan->count;
        }
    }
    return SB_OK;
}

static struct sb_validator_change change(size_t key, int64_t power)
{
    return (struct sb_validator_change){.key = n.keys[key], .power = power};
}

static bool is_member(uint64_t height, size_t key)
{
    struct sb_validator_set set;
    fixture_check(&n.f, sb_chain_validators_at(&set, &n.f.arena, n.f.chain, height));
    return sb_validator_set_find(&set, &n.addrs[key]) >= 0;
}

static void set_changes_two_heights_after_the_block(void **state)
{
    (void)state;
    struct plan plan[] = {{.height = 3, .changes = {change(4, 25), change(0, 0)}, .count = 2},
                          {.height = 6, .changes = {change(1, 0)}, .count = 1},
                          {.height = 7, .changes = {change(1, 5), change(4, 26)}, .count = 2},
                          {.height = 0}};
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, planned_changes, plan);
    for (uint64_t height = 1; height <= 12; height++) {
        struct sb_consensus_block block = net_decode(&n, net_step(&n));
        const struct sb_rotation *here = n.table->rotation(n.table->ctx, height);
        const struct sb_rotation *next = n.table->rotation(n.table->ctx, height + 1);
        sb_hash hash = sb_validator_set_hash(&here->set);
        assert_memory_equal(&hash, &block.header.validators_hash, 32);
        hash = sb_validator_set_hash(&next->set);
        assert_memory_equal(&hash, &block.header.next_validators_hash, 32);
        if (height == 4 || height == 8) { /* between a change and its effect */
            net_reopen();
            sb_chain_set_update_source(n.f.chain, planned_changes, plan);
        }
    }
    static const struct {
        uint64_t height;
        const char *members;
    } expected[] = {{1, "11110"}, {4, "11110"}, {5, "01111"}, {7, "01111"},
                    {8, "00111"}, {9, "01111"}, {14, "01111"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (size_t key = 0; key < 5; key++) {
            assert_int_equal(is_member(expected[i].height, key), expected[i].members[key] == '1');
        }
    }
    struct sb_validator_set set;
    assert_int_equal(sb_chain_validators_at(&set, &n.f.arena, n.f.chain, 15), SB_E_NOT_FOUND);
    assert_int_equal(sb_chain_validators_at(&set, &n.f.arena, n.f.chain, 0), SB_E_NOT_FOUND);
    for (uint64_t height = 1; height <= 12; height++) { /* each by the set of its height */
        fixture_check(&n.f, sb_chain_check_block(n.f.chain, height, &n.f.diag));
    }
}

static void set_changes_that_cannot_be_made_change_nothing(void **state)
{
    (void)state;
    struct plan plan[] = {
        {.height = 2,
         .changes = {change(0, 0), change(1, 0), change(2, 0), change(3, 0)},
         .count = 4},                                                          /* nobody left */
        {.height = 3, .changes = {change(4, 7), change(4, 8)}, .count = 2},    /* twice */
        {.height = 4, .changes = {change(4, 7), change(5, 0)}, .count = 2},    /* unknown */
        {.height = 5, .changes = {change(4, 7), change(0, -1)}, .count = 2},   /* negative */
        {.height = 6, .changes = {change(4, SB_TOTAL_POWER_MAX)}, .count = 1}, /* too much */
        {.height = 0}};
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, planned_changes, plan);
    sb_hash before = sb_validator_set_hash(sb_chain_validators(n.f.chain));
    steps(9);
    sb_hash after = sb_validator_set_hash(sb_chain_validators(n.f.chain));
    assert_memory_equal(&before, &after, 32);
}

static void block_that_names_another_set_is_invalid(void **state)
{
    (void)state;
    struct plan plan[] = {{.height = 2, .changes = {change(4, 25)}, .count = 1}, {.height = 0}};
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, planned_changes, plan);
    steps(2);
    struct sb_consensus_block genuine = net_decode(&n, net_build(&n)), block = genuine;
    assert_memory_not_equal(&genuine.header.validators_hash, &genuine.header.next_validators_hash,
                            32);
    block.header.next_validators_hash = genuine.header.validators_hash;
    net_expect_invalid(&n, net_encode(&n, &block), "next validators hash");
    block = genuine;
    block.header.validators_hash = genuine.header.next_validators_hash;
    net_expect_invalid(&n, net_encode(&n, &block), "validators hash");
    block.header.proposer = n.addrs[4]; /* of the next height */
    net_expect_invalid(&n, net_encode(&n, &block), "validators hash");
    block = genuine;
    block.header.proposer = n.addrs[4];
    net_expect_invalid(&n, net_encode(&n, &block), "proposer");
    net_accept(&n, net_encode(&n, &genuine));
}

/* ---- evidence ---- */

static struct sb_evidence evidence_of(size_t key, uint64_t height, int32_t round,
                                      const struct sb_validator_set *set)
{
    sb_hash a = {{0}}, b = {{1}};
    struct sb_vote x = net_vote(&n, set, key, SB_VOTE_PREVOTE, height, round, &a);
    struct sb_vote y = net_vote(&n, set, key, SB_VOTE_PREVOTE, height, round, &b);
    struct sb_evidence evidence;
    assert_int_equal(sb_evidence_make(&evidence, &x, &y), SB_OK);
    return evidence;
}

static struct sb_evidence evidence_at(size_t key, uint64_t height, int32_t round)
{
    struct sb_validator_set set;
    fixture_check(&n.f, sb_chain_validators_at(&set, &n.f.arena, n.f.chain, height));
    return evidence_of(key, height, round, &set);
}

static sb_err add(const struct sb_evidence *evidence)
{
    return n.table->evidence_add(n.table->ctx, evidence, &n.f.diag);
}

static size_t pending_count(void)
{
    const struct sb_evidence *list;
    size_t count;
    assert_int_equal(
        n.table->evidence_pending(n.table->ctx, &n.f.arena, SB_EVIDENCE_POOL_MAX, &list, &count),
        SB_OK);
    return count;
}

static void evidence_goes_into_the_next_block_that_may_carry_it_and_is_committed(void **state)
{
    (void)state;
    net_open(&n);
    steps(4);
    struct sb_evidence old = evidence_at(2, 3, 0), now = evidence_at(1, 5, 1);
    assert_int_equal(add(&old), SB_OK);
    assert_int_equal(add(&now), SB_OK); /* of the height that is being decided */
    assert_int_equal(add(&old), SB_OK); /* known */
    assert_int_equal(pending_count(), 2);
    net_reopen(); /* kept */
    assert_int_equal(pending_count(), 2);
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(block.evidence[0].a.height, 3);
    assert_int_equal(pending_count(), 1);
    net_reopen();
    assert_int_equal(pending_count(), 1);
    block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(block.evidence[0].a.height, 5);
    assert_int_equal(pending_count(), 0);
    assert_int_equal(add(&old), SB_OK); /* met again: ignored */
    struct sb_evidence other_votes = evidence_at(2, 3, 0);
    other_votes.a.block_id.b[5] = 1; /* the same offence by other votes */
    assert_int_equal(add(&other_votes), SB_OK);
    assert_int_equal(pending_count(), 0);
    fixture_check(&n.f, sb_chain_check_block(n.f.chain, 5, &n.f.diag));
}

static void evidence_in_two_blocks_is_invalid_also_after_a_restart(void **state)
{
    (void)state;
    net_open(&n);
    steps(3);
    struct sb_evidence evidence = evidence_at(2, 3, 0);
    assert_int_equal(add(&evidence), SB_OK);
    steps(1);
    for (int i = 0; i < 2; i++) {
        struct sb_consensus_block block = net_decode(&n, net_build(&n));
        block.evidence = &evidence;
        block.evidence_count = 1;
        net_expect_invalid(&n, net_encode(&n, &block), "committed before");
        net_reopen();
    }
}

static void evidence_that_proves_nothing_is_refused(void **state)
{
    (void)state;
    net_open(&n);
    steps(3);
    struct sb_evidence genuine = evidence_at(2, 2, 0), e;
    e = genuine;
    e.b.signature.bytes[9] ^= 1;
    assert_int_equal(add(&e), SB_E_REFUSED);
    e = genuine;
    e.a.validator_address = e.b.validator_address = n.addrs[1];
    assert_int_equal(add(&e), SB_E_REFUSED);
    e = genuine;
    e.b = e.a; /* one vote is no conflict */
    assert_int_equal(add(&e), SB_E_REFUSED);
    e = genuine;
    e.a = genuine.b; /* not in order */
    e.b = genuine.a;
    assert_int_equal(add(&e), SB_E_REFUSED);
    e = genuine;
    e.a.validator_index = e.b.validator_index = 77;
    assert_int_equal(add(&e), SB_E_REFUSED);
    struct sb_validator_set set = *sb_chain_validators(n.f.chain);
    e = evidence_of(2, 9, 0, &set); /* of a height that is not here yet: ignored */
    assert_int_equal(add(&e), SB_OK);
    assert_int_equal(pending_count(), 0);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    e = genuine;
    e.b.signature.bytes[9] ^= 1;
    block.evidence = &e;
    block.evidence_count = 1;
    net_expect_invalid(&n, net_encode(&n, &block), "evidence");
    e = evidence_at(2, 4, 0); /* of the block's own height */
    net_expect_invalid(&n, net_encode(&n, &block), "earlier height");
    struct sb_evidence twice[2] = {genuine, genuine};
    block.evidence = twice;
    block.evidence_count = 2;
    net_expect_invalid(&n, net_encode(&n, &block), "out of order");
    block.evidence_count = 1;
    net_accept(&n, net_encode(&n, &block)); /* nobody need have told us of it before */
    assert_int_equal(add(&genuine), SB_OK);
    assert_int_equal(pending_count(), 0);
}

static void evidence_expires_by_blocks_and_time_together(void **state)
{
    (void)state;
    n.f.genesis.params.evidence_age_blocks_max = 4;
    n.f.genesis.params.evidence_age_ms_max = 20000;
    net_open(&n);
    steps(2);
    struct sb_evidence first = evidence_at(1, 1, 0), second = evidence_at(2, 2, 0);
    steps(8); /* old by blocks, not by time */
    assert_int_equal(add(&first), SB_OK);
    assert_int_equal(pending_count(), 1);
    n.f.now_ms += 11000; /* height 11 will be 21 s after height 1, and 20 s after height 2 */
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    assert_int_equal(block.header.height, 11);
    assert_int_equal(block.evidence_count, 0);
    struct sb_evidence list[1] = {first};
    block.evidence = list;
    block.evidence_count = 1;
    net_expect_invalid(&n, net_encode(&n, &block), "too old");
    list[0] = second;
    net_accept(&n, net_encode(&n, &block));
    assert_int_equal(pending_count(), 0); /* expired with this block */
    assert_int_equal(add(&first), SB_OK);
    assert_int_equal(pending_count(), 0);
    net_reopen();
    assert_int_equal(pending_count(), 0);
}

static void evidence_against_a_removed_validator_is_still_good(void **state)
{
    (void)state;
    struct plan plan[] = {{.height = 2, .changes = {change(0, 0)}, .count = 1}, {.height = 0}};
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, planned_changes, plan);
    steps(6);
    assert_false(is_member(5, 0));
    struct sb_validator_set set = *sb_chain_validators(n.f.chain);
    struct sb_evidence evidence = evidence_at(0, 3, 0);
    assert_int_equal(add(&evidence), SB_OK);
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(add(&evidence), SB_OK);
    assert_int_equal(pending_count(), 0);
    /* after it left, its signatures mean nothing */
    evidence = evidence_at(1, 6, 0);
    evidence.a.validator_address = evidence.b.validator_address = n.addrs[0];
    assert_int_equal(add(&evidence), SB_E_REFUSED);
    assert_int_equal(set.count, 3);
}

static void evidence_is_bounded_by_validator_and_by_block(void **state)
{
    (void)state;
    struct sb_buf one;
    n.f.genesis.params.evidence_bytes_max = 2000;
    net_open(&n);
    steps(3);
    for (int32_t round = 0; round < 40; round++) {
        struct sb_evidence evidence = evidence_at(1, 3, round);
        assert_int_equal(add(&evidence), SB_OK);
    }
    assert_int_equal(pending_count(), SB_EVIDENCE_POOL_OFFENCES_MAX);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    sb_buf_init(&one, 4096);
    sb_evidence_encode(&one, &block.evidence[0]);
    size_t fit = 2000 / one.len;
    assert_in_range(block.evidence_count, 2, fit);
    struct sb_evidence many[16];
    for (int32_t round = 0; round < 16; round++) {
        many[round] = evidence_at(1, 3, round);
    }
    block.evidence = many;
    block.evidence_count = fit + 2;
    net_expect_invalid(&n, net_encode(&n, &block), "over the maximum");
    sb_buf_fini(&one);
    size_t before = pending_count();
    net_step(&n);
    assert_in_range(pending_count(), before - fit, before - 2);
}

/* ---- versions ---- */

static void version_that_is_planned_and_unknown_stops_before_its_height(void **state)
{
    (void)state;
    n.f.genesis.params.upgrade_version = SB_CONSENSUS_VERSION + 1;
    n.f.genesis.params.upgrade_height = 4;
    net_open(&n);
    char reason[256] = "";
    for (uint64_t height = 1; height < 4; height++) {
        assert_true(n.table->version_known(n.table->ctx, height, reason));
    }
    assert_false(n.table->version_known(n.table->ctx, 4, reason));
    assert_non_null(strstr(reason, "block 4 follows version"));
    assert_non_null(strstr(reason, "install"));
    steps(2);
    assert_true(n.table->version_known(n.table->ctx, 3, reason));
    assert_false(n.table->version_known(n.table->ctx, 4, reason));
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    assert_int_equal(block.header.version, SB_CONSENSUS_VERSION_FIRST);
    block.header.version++;
    net_expect_invalid(&n, net_encode(&n, &block), "version");
    block.header.version--;
    net_accept(&n, net_encode(&n, &block));
}

/* In a program of one version there is nothing to begin; one built with a higher SB_CONSENSUS_VERSION changes over. */
static void version_that_is_planned_and_known_begins_at_its_height(void **state)
{
    (void)state;
    n.f.genesis.params.upgrade_version = SB_CONSENSUS_VERSION;
    n.f.genesis.params.upgrade_height = 4;
    net_open(&n);
    for (uint64_t height = 1; height <= 7; height++) {
        char reason[256];
        assert_true(n.table->version_known(n.table->ctx, height, reason));
        struct sb_consensus_block block = net_decode(&n, net_step(&n));
        assert_int_equal(block.header.version,
                         height < 4 ? SB_CONSENSUS_VERSION_FIRST : SB_CONSENSUS_VERSION);
        net_reopen();
    }
}

/* ---- refusals ---- */

static void refused_block_is_counted_once(void **state)
{
    (void)state;
    net_open(&n);
    steps(2);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    sb_bytes genuine = net_encode(&n, &block);
    block.header.params_hash.b[0] ^= 1;
    sb_bytes forged = net_encode(&n, &block);
    net_expect_invalid(&n, forged, "params hash");
    net_expect_invalid(&n, forged, "params hash");
    net_expect_invalid(&n, sb_span(genuine.data, genuine.len - 1), "");
    struct sb_chain_app_counters counters = sb_chain_app_counters(n.app);
    assert_int_equal(counters.invalid_blocks, 2);
    assert_int_equal(counters.forged_results, 0);
    assert_int_equal(counters.processed_blocks, 5);
    net_accept(&n, genuine);
}

/* Bytes with the id of a valid block that are not that block: malformed, so that whoever sent them is at fault and not the block. A
 * block that names its own, wrong content is not. */
static void changed_body_is_malformed_and_a_false_header_is_not(void **state)
{
    (void)state;
    net_open(&n);
    steps(2);
    fixture_send(&n.f, 0, 0);
    struct sb_application_verdict verdict;
    struct sb_application_block *executed = NULL;
    sb_bytes genuine = net_build(&n);
    struct sb_consensus_block block = net_decode(&n, genuine);
    sb_hash id = sb_consensus_block_id(&block.header);
    uint8_t *changed = sb_arena_dup(&n.f.arena, genuine);
    assert_non_null(changed);
    size_t same_id = 0;
    for (size_t at = 0; at < genuine.len; at++) {
        changed[at] ^= 1;
        fixture_check(&n.f, n.table->process(n.table->ctx, sb_span(changed, genuine.len), &verdict,
                                             &executed, &n.f.diag));
        if (verdict.valid) { /* free for the proposer to choose: another block */
            assert_false(sb_hash_equal(&verdict.block_id, &id));
            n.table->block_free(n.table->ctx, executed);
        } else if (at + block.payload.len >= genuine.len) {
            assert_true(verdict.malformed);
            same_id++;
        }
        changed[at] ^= 1;
    }
    assert_true(same_id > 500);
    block.header.params_hash.b[0] ^= 1;
    fixture_check(&n.f, n.table->process(n.table->ctx, net_encode(&n, &block), &verdict, &executed,
                                         &n.f.diag));
    assert_false(verdict.valid);
    assert_false(verdict.malformed);
    net_accept(&n, genuine);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(chain_of_four_grows_and_gives_its_blocks_back),
        CASE(rotation_stays_valid_while_the_head_moves_twice),
        CASE(proposer_outside_of_the_set_is_invalid),
        CASE(randomness_follows_from_proposer_and_the_one_before),
        CASE(pending_block_shows_the_last_randomness_hashed),
        CASE(last_commit_without_quorum_or_with_a_bad_signature_is_invalid),
        CASE(late_precommit_that_the_commit_lacks_goes_into_the_block),
        CASE(late_precommit_that_is_false_or_not_late_is_invalid),
        CASE(set_changes_two_heights_after_the_block),
        CASE(set_changes_that_cannot_be_made_change_nothing),
        CASE(block_that_names_another_set_is_invalid),
        CASE(evidence_goes_into_the_next_block_that_may_carry_it_and_is_committed),
        CASE(evidence_in_two_blocks_is_invalid_also_after_a_restart),
        CASE(evidence_that_proves_nothing_is_refused),
        CASE(evidence_expires_by_blocks_and_time_together),
        CASE(evidence_against_a_removed_validator_is_still_good),
        CASE(evidence_is_bounded_by_validator_and_by_block),
        CASE(version_that_is_planned_and_unknown_stops_before_its_height),
        CASE(version_that_is_planned_and_known_begins_at_its_height),
        CASE(refused_block_is_counted_once),
        CASE(changed_body_is_malformed_and_a_false_header_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
