/* test_members.c: four real chains and drivers together: votes that come late, a validator that votes twice, one that leaves and one
 * that joins and never speaks. */
#include "tests/unit/node/members_fixture.h"

#define LATE_HEIGHT   3
#define DOUBLE_VOTER  1
#define LEAVING       3
#define JOINING       4
#define CHANGE_HEIGHT 2

static struct sb_consensus_block block_at(size_t member, uint64_t height)
{
    struct net *n = &sides[member].n;
    sb_bytes encoded;
    struct sb_commit commit;
    assert_int_equal(n->table->block(n->table->ctx, &n->f.arena, height, &encoded, &commit), SB_OK);
    return net_decode(n, encoded);
}

/* check_agreement: every chain has the same blocks, each with a sound commit. */
static void check_agreement(uint64_t height)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(members[i].failed, SB_OK);
        assert_int_equal(net_head(&sides[i].n).height, height);
        for (uint64_t h = 1; h <= height; h++) {
            struct sb_consensus_block mine = block_at(i, h), first = block_at(0, h);
            sb_hash a = sb_consensus_block_id(&mine.header);
            sb_hash b = sb_consensus_block_id(&first.header);
            assert_memory_equal(&a, &b, 32);
            fixture_check(&sides[i].n.f,
                          sb_chain_check_block(sides[i].n.f.chain, h, &sides[i].n.f.diag));
        }
    }
}

/* ---- late precommits ---- */

static size_t late_member;

static bool is_late(const struct packet *packet)
{
    const struct sb_vote *vote = &packet->message.as.vote;
    return !packet->message.is_proposal && vote->type == SB_VOTE_PRECOMMIT &&
           vote->height == LATE_HEIGHT &&
           sb_addr_equal(&vote->validator_address, &sides[0].n.addrs[late_member]);
}

static void precommit_that_comes_late_is_in_the_block_after_the_next(void **state)
{
    (void)state;
    run_height();
    run_height();
    /* not the proposer of the next block: it would put its own precommit into the commit */
    const struct sb_rotation *rotation = sb_chain_rotation(sides[0].n.f.chain, LATE_HEIGHT + 1);
    uint32_t proposer = sb_rotation_proposer(rotation, 0);
    late_member = (net_key_of(&sides[0].n, &rotation->validators[proposer].address) + 1) % MEMBERS;
    int index = sb_validator_set_find(&rotation->set, &sides[0].n.addrs[late_member]);
    holds = is_late;
    run_height();
    run_height();
    assert_int_equal(held_count, MEMBERS - 1);
    holds = NULL;
    release_held();
    deliver_all();
    run_height();
    struct sb_consensus_block next = block_at(1, LATE_HEIGHT + 1);
    struct sb_consensus_block after = block_at(1, LATE_HEIGHT + 2);
    assert_int_equal(next.last_commit.sigs[index].flag, SB_COMMIT_ABSENT);
    assert_int_equal(after.late_precommit_count, 1);
    assert_memory_equal(&after.late_precommits[0].validator_address, &sides[0].n.addrs[late_member],
                        sizeof(sb_addr));
    assert_int_equal(after.late_precommits[0].height, LATE_HEIGHT);
    check_agreement(LATE_HEIGHT + 2);
}

/* ---- evidence ---- */

/* vote_twice: a prevote for a block that nobody knows, from a validator that also votes as it should. */
static void vote_twice(uint64_t height)
{
    struct net *n = &sides[DOUBLE_VOTER].n;
    const sb_hash other = {{0xee}};
    struct sb_vote vote = net_vote(n, &sb_chain_rotation(n->f.chain, height)->set, DOUBLE_VOTER,
                                   SB_VOTE_PREVOTE, height, 0, &other);
    const struct sb_bft_message message = {.as.vote = vote};
    member_send(&members[DOUBLE_VOTER], &message, sb_span("", 0));
}

static void double_vote_is_committed_once_and_by_all(void **state)
{
    (void)state;
    run_height();
    vote_twice(2);
    for (uint64_t height = 2; height <= 6; height++) {
        run_height();
    }
    size_t found = 0;
    for (uint64_t height = 1; height <= 6; height++) {
        struct sb_consensus_block block = block_at(0, height);
        for (size_t i = 0; i < block.evidence_count; i++) {
            assert_int_equal(block.evidence[i].a.height, 2);
            assert_memory_equal(&block.evidence[i].a.validator_address,
                                &sides[0].n.addrs[DOUBLE_VOTER], sizeof(sb_addr));
            found++;
        }
    }
    assert_int_equal(found, 1);
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(sb_evidence_pool_count(sb_chain_evidence(sides[i].n.f.chain)), 0);
    }
    check_agreement(6);
}

/* ---- the set ---- */

static sb_err one_leaves_one_joins(void *ctx, struct sb_arena *arena, uint64_t height,
                                   const struct sb_block_result *result,
                                   const struct sb_validator_change **ret_changes,
                                   size_t *ret_count)
{
    (void)result;
    const struct net *n = ctx;
    struct sb_validator_change *changes = sb_arena_array(arena, 2, sizeof *changes);
    if (changes == NULL) {
        return SB_E_NOMEM;
    }
    changes[0] = (struct sb_validator_change){.key = n->keys[LEAVING], .power = 0};
    changes[1] = (struct sb_validator_change){.key = n->keys[JOINING], .power = 5};
    *ret_changes = changes;
    *ret_count = height == CHANGE_HEIGHT ? 2 : 0;
    return SB_OK;
}

static void set_changes_while_the_chain_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        sb_chain_set_update_source(sides[i].n.f.chain, one_leaves_one_joins, &sides[i].n);
    }
    for (uint64_t height = 1; height <= 14; height++) {
        run_height();
    }
    check_agreement(14); /* the one that left follows */
    uint64_t silent_rounds = 0;
    for (uint64_t height = 1; height <= 14; height++) {
        struct sb_validator_set set;
        fixture_check(&sides[0].n.f, sb_chain_validators_at(&set, &sides[0].n.f.arena,
                                                            sides[0].n.f.chain, height));
        bool is_new = height >= CHANGE_HEIGHT + 2;
        assert_int_equal(sb_validator_set_find(&set, &sides[0].n.addrs[LEAVING]) >= 0, !is_new);
        assert_int_equal(sb_validator_set_find(&set, &sides[0].n.addrs[JOINING]) >= 0, is_new);
        struct sb_consensus_block next = block_at(0, height < 14 ? height + 1 : height);
        silent_rounds += (uint64_t)next.last_commit.round;
    }
    assert_true(silent_rounds >= 1); /* the turn of the one that never speaks came, and passed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(precommit_that_comes_late_is_in_the_block_after_the_next,
                                        members_setup, members_teardown),
        cmocka_unit_test_setup_teardown(double_vote_is_committed_once_and_by_all, members_setup,
                                        members_teardown),
        cmocka_unit_test_setup_teardown(set_changes_while_the_chain_goes_on, members_setup,
                                        members_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
