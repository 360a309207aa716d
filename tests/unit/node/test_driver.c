/* test_driver.c: drivers over a chain without an EVM: alone, four together, crashed at every place, refused, lied to, and far behind. */
#include "tests/unit/node/driver_net.h"

static struct net *net;

static int setup(void **state)
{
    (void)state;
    net = calloc(1, sizeof *net);
    return net == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    net_fini(net);
    free(net);
    return 0;
}

static void check(const struct net_node *node, sb_err err)
{
    if (err != SB_OK) {
        fail_msg("node %zu: %s: %s", node->index, sb_err_text(err), node->diag.text);
    }
}

static void run(uint64_t target)
{
    bool done = net_run(net, target);
    for (size_t i = 0; i < net->count; i++) {
        check(&net->nodes[i], net->nodes[i].failed);
    }
    assert_true(done);
    net_check_agreement(net);
}

static const struct sb_commit_sig *stored_sigs(const struct net_node *node, uint64_t height,
                                               struct sb_arena *arena, struct sb_commit *commit)
{
    sb_bytes encoded;
    assert_int_equal(node->table.block(node->app, arena, height, &encoded, commit), SB_OK);
    return commit->sigs;
}

/* places_up_to: how many of the places where the node has signed lie at this height or below. */
static size_t places_up_to(const struct net_node *node, uint64_t height)
{
    size_t count = 0;
    for (size_t i = 0; i < node->signed_count; i++) {
        count += node->signed_places[i].place.height <= height;
    }
    return count;
}

/* ---- heights ---- */

static void driver_alone_commits_one_block_after_another(void **state)
{
    (void)state;
    net_init(net, 1, 1);
    struct net_node *node = &net->nodes[0];
    run(5);
    assert_int_equal(stub_application_height(node->app), 5);
    assert_int_equal(node->commits_heard, 5);
    assert_int_equal(stub_application_executed(node->app), 5); /* each block once */
    assert_int_equal(sb_driver_counters(node->driver).rounds, 0);
    assert_true(sb_driver_counters(node->driver).syncs >= 15);
    assert_true(sb_driver_is_idle(node->driver));
    sb_hash id = stub_application_block_id(node->app, 5);
    assert_true(sb_driver_block_bytes(node->driver, &id).len != 0);
}

static void driver_alone_starts_only_when_there_is_work(void **state)
{
    (void)state;
    net_init(net, 1, 1);
    struct net_node *node = &net->nodes[0];
    bool started = true;
    check(node, sb_driver_start_if_work(&started, node->driver, &node->diag));
    assert_false(started);
    assert_true(sb_driver_is_idle(node->driver));
    assert_true(stub_application_add(node->app, sb_span_str("transaction")));
    check(node, sb_driver_start_if_work(&started, node->driver, &node->diag));
    assert_true(started);
    assert_int_equal(stub_application_height(node->app), 1);
    check(node, sb_driver_start_if_work(&started, node->driver, &node->diag));
    assert_false(started);
}

static void four_drivers_agree_on_blocks_of_several_parts(void **state)
{
    (void)state;
    net->padding_bytes = 200000;
    net_init(net, 4, 4);
    run(8);
    for (size_t i = 0; i < 4; i++) {
        struct sb_driver_counters counters = sb_driver_counters(net->nodes[i].driver);
        assert_int_equal(counters.rounds, 0);
        assert_int_equal(counters.invalid_blocks, 0);
        assert_int_equal(counters.untimely_blocks, 0);
        assert_int_equal(stub_application_executed(net->nodes[i].app), 8);
        /* A height: votes of three, a proposal, and our own precommit, met in the next block. A precommit that was checked as a vote is
         * not checked again in that block's last commit. */
        struct sb_verify_cache_counters checks = sb_verify_cache_counters(net->nodes[i].cache);
        assert_true(checks.misses <= 8 * 8);
        assert_true(checks.hits >= 7 * 2);
    }
}

static void driver_that_is_no_validator_follows_and_signs_nothing(void **state)
{
    (void)state;
    net_init(net, 5, 4);
    run(6);
    assert_int_equal(stub_application_height(net->nodes[4].app), 6);
    assert_int_equal(net->nodes[4].signed_count, 0);
}

static void validator_that_leaves_the_set_goes_on_as_a_full_node(void **state)
{
    (void)state;
    net->remove_at = 3;
    net_init(net, 4, 4);
    run(4);
    run(10);
    const struct net_node *left = &net->nodes[3];
    for (size_t i = 0; i < left->signed_count; i++) {
        assert_true(left->signed_places[i].place.height < 5);
    }
    assert_int_equal(stub_application_set(left->app, 4).count, 4);
    assert_int_equal(stub_application_set(left->app, 5).count, 3);
}

/* ---- bad blocks, refused signatures, silence ---- */

static void forged_block_gets_nil_and_the_next_round_decides(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    for (size_t i = 0; i < 4; i++) {
        net->nodes[i].forges = i == 1 || i == 2;
    }
    run(8);
    assert_true(sb_driver_counters(net->nodes[0].driver).invalid_blocks > 0);
    assert_true(sb_driver_counters(net->nodes[0].driver).rounds > 0);
}

/* ---- what the log says ---- */

static struct {
    struct sb_logger log;
    FILE *file;
    char *text;
    size_t len;
} spoken;

/* log_begin: keep what the nodes say that start from now on. */
static void log_begin(void)
{
    spoken.file = open_memstream(&spoken.text, &spoken.len);
    assert_non_null(spoken.file);
    sb_log_init(&spoken.log, spoken.file, SB_LOG_FORM_LOGFMT, SB_LOG_INFO, false, NULL, NULL);
    net_log = &spoken.log;
}

/* log_end: how many lines had this text; the nodes are gone. */
static size_t log_end(const char *text)
{
    size_t count = 0;
    net_fini(net);
    memset(net, 0, sizeof *net);
    net_log = NULL;
    (void)fclose(spoken.file);
    for (const char *at = spoken.text; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(spoken.text);
    return count;
}

static void untimely_block_gets_nil_and_is_told_of(void **state)
{
    (void)state;
    log_begin();
    net_init(net, 4, 4);
    run(1);
    /* The proposer's clock is far behind: its blocks come long after their time. */
    for (size_t i = 0; i < 4; i++) {
        net->nodes[i].is_off = false;
    }
    uint64_t before = net->now_ms;
    for (size_t i = 0; i < 4; i++) {
        struct net_node *node = &net->nodes[i];
        check(node, sb_driver_start_height(node->driver, &node->diag));
    }
    net->now_ms = before + 60000;
    net_deliver(net);
    run(3);
    uint64_t untimely = 0;
    for (size_t i = 0; i < 4; i++) {
        untimely += sb_driver_counters(net->nodes[i].driver).untimely_blocks;
    }
    assert_int_equal(untimely, 3); /* all but the proposer */
    assert_int_equal(log_end("the time of a block does not fit this clock"), 3);
}

static void refused_signature_keeps_the_validator_silent_and_the_chain_going(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    net->nodes[2].refuses = true;
    run(6);
    assert_int_equal(net->nodes[2].signed_count, 0);
    assert_true(sb_driver_counters(net->nodes[2].driver).refused_signatures > 0);
    net->nodes[2].refuses = false;
    run(10);
    assert_true(net->nodes[2].signed_count > 0);
}

/* A proposer whose signer gives no proof of randomness, or what is none, proposes nothing; the others' rounds decide. */
static void proposer_without_a_proof_proposes_nothing_in_that_round(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[2];
    node->refuses_proofs = true;
    run(6);
    node->refuses_proofs = false;
    node->bends_proofs = true;
    run(12);
    node->bends_proofs = false;
    struct sb_driver_counters counters = sb_driver_counters(node->driver);
    assert_in_range(counters.refused_proofs, 2, 6);
    assert_int_equal(counters.rounds, counters.refused_proofs); /* each of them cost one round */
    for (size_t i = 0; i < node->signed_count; i++) {
        assert_int_not_equal(node->signed_places[i].place.step, SB_JOURNAL_PROPOSAL);
    }
    assert_true(node->signed_count > 12); /* it votes as ever */
    run(16);
    assert_int_equal(sb_driver_counters(node->driver).refused_proofs, counters.refused_proofs);
}

/* Alone, nobody else can go on: the height begins, its rounds ask again, and what was waiting is in the block of the first answer. */
static void sole_validator_without_a_proof_asks_again_each_round(void **state)
{
    (void)state;
    net_init(net, 1, 1);
    struct net_node *node = &net->nodes[0];
    bool started = false;
    node->refuses_proofs = true;
    assert_true(stub_application_add(node->app, sb_span_str("transaction")));
    check(node, sb_driver_start_if_work(&started, node->driver, &node->diag));
    assert_true(started);
    for (int i = 0; i < 20; i++) {
        net_turn(net, 1);
    }
    assert_int_equal(stub_application_height(node->app), 0);
    assert_true(sb_driver_counters(node->driver).refused_proofs > 2);
    net_node_crash(node, MEMORY_LOSS_NONE);
    assert_true(stub_application_add(node->app, sb_span_str("transaction")));
    check(node, net_node_start(node));
    node->refuses_proofs = false;
    run(1);
    check(node, sb_driver_start_if_work(&started, node->driver, &node->diag));
    assert_false(started); /* the transaction is in */
}

/* A signer that was away for one vote, of a height that needs that vote: alone, or with one of four validators gone. */
static void vote_that_a_signer_owes_comes_when_it_is_back(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        size_t count = way % 2 == 0 ? 1 : 4;
        for (size_t i = 0; i < count; i++) {
            net->nodes[i].has_remote = true;
        }
        net_init(net, count, count);
        run(2);
        struct net_node *node = &net->nodes[0];
        net->nodes[3].is_off = count == 4;
        node->refuses = true;
        assert_false(net_run(net, 3));
        node->refuses = false;
        assert_false(net_run(net, 3)); /* nothing moves by itself */
        if (way >= 2) {
            net_node_crash(node, MEMORY_LOSS_NONE);
            check(node, net_node_start(node));
        }
        assert_true(sb_driver_owes_vote(node->driver));
        check(node, sb_driver_sign_owed(node->driver, &node->diag));
        assert_false(sb_driver_owes_vote(node->driver));
        run(5);
        if (way < 3) {
            net_fini(net);
            memset(net, 0, sizeof *net);
        }
    }
}

static void imported_history_is_a_refusal_until_the_chain_has_passed_it(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[1];
    const struct sb_journal_history history = {
        .place = {.height = 3, .round = 1, .step = SB_JOURNAL_PREVOTE}};
    bool raised;
    check(node, sb_journal_import(&raised, node->journal, &history, &node->diag));
    run(6);
    assert_true(node->signed_count > 0);
    for (size_t i = 0; i < node->signed_count; i++) {
        assert_true(node->signed_places[i].place.height > 3);
    }
    assert_true(sb_driver_counters(node->driver).refused_signatures > 0);
}

/* With no other validator, nobody decides a height that an imported history or a resync has closed: the log says what to do, once. */
static void only_validator_that_may_not_sign_says_what_to_do(void **state)
{
    (void)state;
    for (size_t validators = 1; validators <= 2; validators++) {
        log_begin();
        net_init(net, validators, validators);
        struct net_node *node = &net->nodes[0];
        const struct sb_journal_history history = {
            .place = {.height = 3, .round = SB_ROUND_MAX, .step = SB_JOURNAL_PRECOMMIT}};
        bool raised;
        run(2);
        check(node, sb_journal_import(&raised, node->journal, &history, &node->diag));
        assert_false(net_run(net, 3));
        assert_true(sb_driver_counters(node->driver).refused_signatures > 0);
        assert_int_equal(log_end("(--persistent-peers), or restore the newest database"),
                         validators == 1 ? 1 : 0);
    }
}

/* ---- votes that are late, conflict, or are no votes ---- */

static struct sb_vote make_vote(const struct net_node *node, enum sb_vote_type type,
                                uint64_t height, int32_t round, const sb_hash *block_id)
{
    struct sb_validator_set set = stub_application_set(node->app, height);
    struct sb_vote vote = {.type = type, .height = height, .round = round};
    if (block_id != NULL) {
        vote.block_id = *block_id;
    }
    vote.validator_address = sb_pubkey_address(&node->key);
    vote.validator_index = (uint32_t)sb_validator_set_find(&set, &vote.validator_address);
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(bytes, node->table.domain(node->app), &vote);
    vote.signature.len = 64;
    sb_ed25519_sign(vote.signature.bytes, node->secret, sb_span(bytes, len));
    return vote;
}

static enum sb_driver_taken hand_vote(struct net_node *node, const struct sb_vote *vote)
{
    enum sb_driver_taken taken;
    check(node, sb_driver_vote(&taken, node->driver, vote, &node->diag));
    return taken;
}

/* votes_off: node 3 decides with the others, but nobody hears its votes. */
static void late_precommits_fill_the_next_commit_and_the_one_after(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    net->nodes[3].mutes_votes = true;
    net->nodes[3].is_off = true; /* hears nothing: it would decide height 1 otherwise */
    run(1);
    sb_hash id = stub_application_block_id(net->nodes[0].app, 1);
    struct sb_vote late = make_vote(&net->nodes[3], SB_VOTE_PRECOMMIT, 1, 0, &id);
    struct sb_arena arena;
    struct sb_commit commit;
    sb_arena_init(&arena, 1 << 24);
    const struct sb_commit_sig *sigs = stored_sigs(&net->nodes[0], 1, &arena, &commit);
    assert_int_equal(sigs[late.validator_index].flag, SB_COMMIT_ABSENT);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hand_vote(&net->nodes[i], &late), SB_TAKEN_NEW);
        assert_int_equal(hand_vote(&net->nodes[i], &late), SB_TAKEN_KNOWN);
        assert_int_equal(sb_driver_counters(net->nodes[i].driver).late_votes, 1);
    }
    net->nodes[3].is_off = false;
    run(2);
    struct sb_consensus_block block;
    sb_bytes encoded;
    assert_int_equal(net->nodes[0].table.block(net->nodes[0].app, &arena, 2, &encoded, &commit),
                     SB_OK);
    assert_int_equal(sb_consensus_block_decode(&block, &arena, encoded, NULL), SB_OK);
    assert_int_equal(block.last_commit.sigs[late.validator_index].flag, SB_COMMIT_BLOCK);
    assert_int_equal(block.late_precommit_count, 0);

    /* One height later than that: it goes into the block after the next. */
    net->nodes[3].is_off = true;
    run(3);
    run(4);
    id = stub_application_block_id(net->nodes[0].app, 3);
    late = make_vote(&net->nodes[3], SB_VOTE_PRECOMMIT, 3, 0, &id);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hand_vote(&net->nodes[i], &late), SB_TAKEN_NEW);
        assert_int_equal(hand_vote(&net->nodes[i], &late), SB_TAKEN_KNOWN);
    }
    run(5);
    assert_int_equal(net->nodes[0].table.block(net->nodes[0].app, &arena, 5, &encoded, &commit),
                     SB_OK);
    assert_int_equal(sb_consensus_block_decode(&block, &arena, encoded, NULL), SB_OK);
    assert_int_equal(block.late_precommit_count, 1);
    assert_int_equal(block.late_precommits[0].validator_index, late.validator_index);
    late = make_vote(&net->nodes[3], SB_VOTE_PRECOMMIT, 2, 0, &id);
    assert_int_equal(hand_vote(&net->nodes[0], &late), SB_TAKEN_LATE); /* too old by now */
    sb_arena_fini(&arena);
}

static void second_vote_becomes_evidence_in_a_block(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    run(2);
    for (size_t i = 0; i < 4; i++) {
        check(&net->nodes[i], sb_driver_start_height(net->nodes[i].driver, &net->nodes[i].diag));
    }
    sb_hash x = {{1}}, y = {{2}};
    struct sb_vote first = make_vote(&net->nodes[3], SB_VOTE_PREVOTE, 3, 5, &x);
    struct sb_vote second = make_vote(&net->nodes[3], SB_VOTE_PREVOTE, 3, 5, &y);
    struct sb_vote wrong = second;
    wrong.signature.bytes[3] ^= 1;
    assert_int_equal(hand_vote(&net->nodes[0], &first), SB_TAKEN_NEW);
    assert_int_equal(hand_vote(&net->nodes[0], &first), SB_TAKEN_KNOWN);
    assert_int_equal(hand_vote(&net->nodes[0], &wrong), SB_TAKEN_INVALID);
    assert_int_equal(hand_vote(&net->nodes[0], &second), SB_TAKEN_CONFLICT);
    assert_int_equal(sb_driver_counters(net->nodes[0].driver).conflicting_votes, 1);
    run(9);
    struct sb_arena arena;
    size_t pieces = 0;
    sb_arena_init(&arena, 1 << 24);
    for (uint64_t height = 4; height <= 9; height++) {
        struct sb_commit commit;
        struct sb_consensus_block block;
        sb_bytes encoded;
        assert_int_equal(
            net->nodes[2].table.block(net->nodes[2].app, &arena, height, &encoded, &commit), SB_OK);
        assert_int_equal(sb_consensus_block_decode(&block, &arena, encoded, NULL), SB_OK);
        pieces += block.evidence_count;
    }
    assert_int_equal(pieces, 1);
    sb_arena_fini(&arena);
}

static void second_vote_with_the_own_key_is_an_error(void **state)
{
    (void)state;
    log_begin();
    net_init(net, 4, 4);
    run(2);
    struct net_node *node = &net->nodes[3];
    check(node, sb_driver_start_height(node->driver, &node->diag));
    sb_hash x = {{1}}, y = {{2}};
    struct sb_vote first = make_vote(node, SB_VOTE_PREVOTE, 3, 5, &x);
    struct sb_vote second = make_vote(node, SB_VOTE_PREVOTE, 3, 5, &y);
    assert_int_equal(hand_vote(node, &first), SB_TAKEN_NEW);
    assert_int_equal(hand_vote(node, &second), SB_TAKEN_CONFLICT);
    assert_int_equal(log_end("another process signs with the key of this validator"), 1);
}

static void messages_out_of_place_are_told_apart(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    run(3);
    struct net_node *node = &net->nodes[0];
    sb_hash id = {{9}};
    enum sb_driver_taken taken;
    struct sb_vote vote = make_vote(&net->nodes[1], SB_VOTE_PREVOTE, 4, 0, &id);
    assert_int_equal(hand_vote(node, &vote), SB_TAKEN_EARLY); /* idle: height 4 has not begun */
    vote = make_vote(&net->nodes[1], SB_VOTE_PREVOTE, 3, 0, &id);
    assert_int_equal(hand_vote(node, &vote), SB_TAKEN_LATE);
    check(node, sb_driver_start_height(node->driver, &node->diag));
    vote = make_vote(&net->nodes[1], SB_VOTE_PREVOTE, 5, 0, &id);
    assert_int_equal(hand_vote(node, &vote), SB_TAKEN_EARLY);
    vote = make_vote(&net->nodes[1], SB_VOTE_PREVOTE, 4, 0, &id);
    vote.validator_index ^= 1;
    assert_int_equal(hand_vote(node, &vote), SB_TAKEN_INVALID);
    vote.validator_index = 200;
    assert_int_equal(hand_vote(node, &vote), SB_TAKEN_INVALID);

    struct sb_proposal proposal = {.height = 4, .round = 2, .pol_round = -1, .block_bytes = 10};
    proposal.block_id = id;
    proposal.signature.len = 64;
    check(node, sb_driver_proposal(&taken, node->driver, &proposal, &node->diag));
    assert_int_equal(taken, SB_TAKEN_EARLY); /* round 0: round 2 is not near */
    proposal.round = 1;
    check(node, sb_driver_proposal(&taken, node->driver, &proposal, &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID); /* not the proposer's signature */
    proposal.pol_round = 1;
    check(node, sb_driver_proposal(&taken, node->driver, &proposal, &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID);
    proposal.height = 3;
    check(node, sb_driver_proposal(&taken, node->driver, &proposal, &node->diag));
    assert_int_equal(taken, SB_TAKEN_LATE);
    check(node, sb_driver_block(&taken, node->driver, &id, sb_span_str("x"), &node->diag));
    assert_int_equal(taken, SB_TAKEN_EARLY); /* nobody proposed it */
}

/* ---- certificates and sync ---- */

struct stored {
    struct sb_arena arena;
    sb_bytes encoded;
    struct sb_commit commit;
};

static struct stored load(const struct net_node *node, uint64_t height)
{
    struct stored stored;
    sb_arena_init(&stored.arena, 1 << 26);
    assert_int_equal(
        node->table.block(node->app, &stored.arena, height, &stored.encoded, &stored.commit),
        SB_OK);
    return stored;
}

static enum sb_driver_taken hand_sync(struct net_node *node, sb_bytes encoded,
                                      const struct sb_commit *commit)
{
    enum sb_driver_taken taken;
    check(node, sb_driver_sync_block(&taken, node->driver, encoded, commit, &node->diag));
    return taken;
}

static void node_that_was_away_syncs_and_then_votes(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    net->nodes[3].is_off = true;
    run(5);
    assert_int_equal(stub_application_height(net->nodes[3].app), 0);
    net->nodes[3].is_off = false;
    run(5);
    assert_int_equal(net->nodes[3].signed_count, 0); /* never at a height that sync may commit */
    run(9);
    assert_true(net->nodes[3].signed_count > 0);
}

static void height_in_work_is_decided_by_its_block_and_commit(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_off = true;
    run(2);
    check(node, sb_driver_start_height(node->driver, &node->diag)); /* height 1 */
    size_t fetched = node->fetches;
    struct stored one = load(&net->nodes[0], 1), two = load(&net->nodes[0], 2);
    assert_int_equal(hand_sync(node, two.encoded, &two.commit), SB_TAKEN_EARLY);
    assert_int_equal(hand_sync(node, one.encoded, &two.commit), SB_TAKEN_INVALID);
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_NEW);
    assert_int_equal(stub_application_height(node->app), 1);
    assert_true(sb_driver_is_idle(node->driver));
    assert_int_equal(node->fetches, fetched);
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_LATE);
    assert_int_equal(hand_sync(node, two.encoded, &two.commit), SB_TAKEN_NEW);
    sb_arena_fini(&one.arena);
    sb_arena_fini(&two.arena);
    node->is_off = false;
    run(4);
}

/* signed_block: the node has signed something that names a block. */
static bool signed_block(const struct net_node *node)
{
    for (size_t i = 0; i < node->signed_count; i++) {
        if (node->signed_places[i].place.step != SB_JOURNAL_PROPOSAL &&
            !sb_hash_is_zero(&node->signed_places[i].block_id)) {
            return true;
        }
    }
    return false;
}

static void undecided_block_gets_no_vote_and_is_committed_once_it_can_be_judged(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_undecided = true;
    for (int turn = 0; turn < 200 && net_height(net) < 1; turn++) {
        net_turn(net, 1);
    }
    net_deliver(net);
    assert_int_equal(net_height(net), 1); /* the other three decide */
    assert_int_equal(stub_application_height(node->app), 0);
    assert_false(signed_block(node));
    check(node, sb_driver_look_again(node->driver, &node->diag));
    assert_int_equal(stub_application_height(node->app), 0);
    assert_int_equal(node->failed, SB_OK);
    node->is_undecided = false;
    check(node, sb_driver_look_again(node->driver, &node->diag));
    assert_int_equal(stub_application_height(node->app), 1);
    run(4);
    assert_true(signed_block(node));
}

static void height_that_half_cannot_judge_goes_on_when_they_can(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    net->nodes[2].is_undecided = net->nodes[3].is_undecided = true;
    for (int turn = 0; turn < 300; turn++) {
        net_turn(net, 1);
    }
    assert_int_equal(net_height(net), 0); /* rounds go by: nobody votes for what it cannot judge */
    assert_true(sb_bft_status(sb_driver_core(net->nodes[3].driver)).round > 1);
    assert_false(signed_block(&net->nodes[2]) || signed_block(&net->nodes[3]));
    net->nodes[2].is_undecided = net->nodes[3].is_undecided = false;
    run(3);
}

static void undecided_block_of_sync_is_taken_later(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_off = true;
    run(2);
    struct stored one = load(&net->nodes[0], 1), two = load(&net->nodes[0], 2);
    node->is_undecided = true;
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_UNDECIDED);
    node->is_undecided = false;
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_NEW);
    node->is_undecided = true;
    check(node, sb_driver_start_height(node->driver, &node->diag)); /* height 2, in work */
    assert_int_equal(hand_sync(node, two.encoded, &two.commit), SB_TAKEN_UNDECIDED);
    assert_int_equal(hand_sync(node, two.encoded, &two.commit), SB_TAKEN_UNDECIDED);
    assert_int_equal(stub_application_height(node->app), 1);
    node->is_undecided = false;
    check(node, sb_driver_look_again(node->driver, &node->diag));
    assert_int_equal(stub_application_height(node->app), 2);
    sb_arena_fini(&one.arena);
    sb_arena_fini(&two.arena);
    node->is_off = false;
    run(4);
}

static void certificate_asks_for_the_block_and_the_block_decides(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_off = true;
    run(1);
    check(node, sb_driver_start_height(node->driver, &node->diag));
    struct stored one = load(&net->nodes[0], 1);
    struct sb_bft_certificate certificate = {.type = SB_VOTE_PRECOMMIT, .commit = one.commit};
    enum sb_driver_taken taken;
    struct sb_commit_sig *weak = calloc(one.commit.sig_count, sizeof *weak);
    assert_non_null(weak);
    memcpy(weak, one.commit.sigs, one.commit.sig_count * sizeof *weak);
    for (size_t i = 0; i < one.commit.sig_count; i++) {
        if (weak[i].flag == SB_COMMIT_BLOCK) {
            weak[i] = (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT};
            break;
        }
    }
    certificate.commit.sigs = weak;
    check(node, sb_driver_certificate(&taken, node->driver, &certificate, &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID); /* two of four are no quorum */
    certificate.commit.sigs = one.commit.sigs;
    certificate.type = SB_VOTE_PREVOTE;
    check(node, sb_driver_certificate(&taken, node->driver, &certificate, &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID); /* precommits are no polka */
    certificate.type = SB_VOTE_PRECOMMIT;
    check(node, sb_driver_certificate(&taken, node->driver, &certificate, &node->diag));
    assert_int_equal(taken, SB_TAKEN_NEW);
    assert_int_equal(node->fetches, 1);
    check(node, sb_driver_certificate(&taken, node->driver, &certificate, &node->diag));
    assert_int_equal(taken, SB_TAKEN_KNOWN);
    uint8_t *wrong = malloc(one.encoded.len);
    assert_non_null(wrong);
    memcpy(wrong, one.encoded.data, one.encoded.len);
    wrong[one.encoded.len - 40] ^= 1; /* in the payload: the header, and so the id, stays */
    check(node, sb_driver_block(&taken, node->driver, &one.commit.block_id,
                                sb_span(wrong, one.encoded.len), &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID);
    assert_int_equal(stub_application_height(node->app), 0);
    check(node,
          sb_driver_block(&taken, node->driver, &one.commit.block_id, one.encoded, &node->diag));
    assert_int_equal(taken, SB_TAKEN_NEW);
    assert_int_equal(stub_application_height(node->app), 1);
    free(wrong);
    free(weak);
    sb_arena_fini(&one.arena);
}

/* make_proposal: of height 1, signed by whoever proposes in that round. */
static struct sb_proposal make_proposal(const struct net_node *node, int32_t round,
                                        const struct sb_proposal *like)
{
    const struct sb_rotation *rotation = node->table.rotation(node->app, 1);
    uint32_t index = sb_rotation_proposer(rotation, round);
    struct sb_proposal proposal = *like;
    proposal.height = 1;
    proposal.round = round;
    proposal.pol_round = -1;
    for (size_t i = 0; i < net->count; i++) {
        if (sb_pubkey_equal(&net->nodes[i].key, &rotation->validators[index].key)) {
            uint8_t bytes[SB_SIGN_BYTES_MAX];
            size_t len = sb_proposal_sign_bytes(bytes, node->table.domain(node->app), &proposal);
            proposal.signature.len = 64;
            sb_ed25519_sign(proposal.signature.bytes, net->nodes[i].secret, sb_span(bytes, len));
        }
    }
    return proposal;
}

/* two_alone: the proposer of height 1 and one other node, which has its block; they cannot decide. Returns the other. */
static struct net_node *two_alone(uint64_t late_ms)
{
    struct net_node *proposer = NULL, *other = NULL;
    net_init(net, 4, 4);
    const struct sb_rotation *rotation = net->nodes[0].table.rotation(net->nodes[0].app, 1);
    uint32_t index = sb_rotation_proposer(rotation, 0);
    for (size_t i = 0; i < 4; i++) {
        struct net_node *node = &net->nodes[i];
        if (sb_pubkey_equal(&node->key, &rotation->validators[index].key)) {
            proposer = node;
        } else {
            node->is_off = other != NULL;
            other = other != NULL ? other : node;
        }
    }
    check(proposer, sb_driver_start_height(proposer->driver, &proposer->diag));
    check(other, sb_driver_start_height(other->driver, &other->diag));
    net->now_ms += late_ms;
    net_deliver(net);
    assert_non_null(sb_bft_proposal(sb_driver_core(other->driver), 0));
    return other;
}

static void proposal_of_a_held_block_under_another_root_is_not_taken(void **state)
{
    (void)state;
    struct net_node *node = two_alone(0);
    const struct sb_bft *core = sb_driver_core(node->driver);
    struct sb_proposal real = *sb_bft_proposal(core, 0);
    struct sb_proposal other = real;
    enum sb_driver_taken taken;
    assert_true(sb_driver_block_bytes(node->driver, &real.block_id).len != 0);
    other.parts_root.b[3] ^= 1;
    other = make_proposal(node, 1, &other);
    check(node, sb_driver_proposal(&taken, node->driver, &other, &node->diag));
    assert_int_equal(taken, SB_TAKEN_KNOWN);
    other = real;
    other.block_bytes++;
    other = make_proposal(node, 1, &other);
    check(node, sb_driver_proposal(&taken, node->driver, &other, &node->diag));
    assert_int_equal(taken, SB_TAKEN_KNOWN);
    assert_null(sb_bft_proposal(core, 1));
    other = make_proposal(node, 1, &real);
    check(node, sb_driver_proposal(&taken, node->driver, &other, &node->diag));
    assert_int_equal(taken, SB_TAKEN_NEW);
}

/* The verdict is in the journal, the block is not, since no signature named it: other bytes of its id are looked at all the same. */
static void bytes_that_come_after_their_verdict_are_judged(void **state)
{
    (void)state;
    struct net_node *node = two_alone(60000); /* valid, untimely: nil */
    struct sb_proposal real = *sb_bft_proposal(sb_driver_core(node->driver), 0);
    sb_bytes held = sb_driver_block_bytes(node->driver, &real.block_id);
    enum sb_driver_taken taken;
    uint8_t *bytes = malloc(held.len);
    assert_non_null(bytes);
    memcpy(bytes, held.data, held.len);
    net_node_crash(node, MEMORY_LOSS_NONE);
    check(node, net_node_start(node));
    assert_non_null(sb_bft_proposal(sb_driver_core(node->driver), 0));
    assert_int_equal(sb_driver_block_bytes(node->driver, &real.block_id).len, 0);
    bytes[real.block_bytes - 1] ^= 1;
    check(node, sb_driver_block(&taken, node->driver, &real.block_id,
                                sb_span(bytes, real.block_bytes), &node->diag));
    assert_int_equal(taken, SB_TAKEN_INVALID);
    bytes[real.block_bytes - 1] ^= 1;
    check(node, sb_driver_block(&taken, node->driver, &real.block_id,
                                sb_span(bytes, real.block_bytes), &node->diag));
    assert_int_equal(taken, SB_TAKEN_NEW);
    free(bytes);
}

/* The block was asked about in round 0 and got its quorum in round 1. */
static void quorum_of_a_later_round_asks_for_the_block_too(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    enum sb_driver_taken taken;
    struct sb_proposal proposal = {.block_id = {{9}}, .parts_root = {{8}}, .block_bytes = 1000};
    check(node, sb_driver_start_height(node->driver, &node->diag));
    for (int32_t round = 0; round < 2; round++) {
        if (sb_bft_proposal(sb_driver_core(node->driver), round) == NULL) {
            proposal = make_proposal(node, round, &proposal);
            check(node, sb_driver_proposal(&taken, node->driver, &proposal, &node->diag));
        }
    }
    for (size_t i = 0; i < 3; i++) {
        struct sb_vote vote =
            make_vote(&net->nodes[i], SB_VOTE_PRECOMMIT, 1, 1, &proposal.block_id);
        assert_int_equal(hand_vote(node, &vote), SB_TAKEN_NEW);
    }
    assert_int_equal(node->fetches, 1);
}

static void sync_refuses_wrong_bytes_and_stops_where_results_differ(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_off = true;
    run(2);
    struct stored one = load(&net->nodes[0], 1);
    uint8_t *wrong = malloc(one.encoded.len);
    assert_non_null(wrong);
    for (size_t at = 0; at < one.encoded.len; at++) {
        memcpy(wrong, one.encoded.data, one.encoded.len);
        wrong[at] ^= 4;
        assert_int_not_equal(hand_sync(node, sb_span(wrong, one.encoded.len), &one.commit),
                             SB_TAKEN_NEW);
    }
    assert_int_equal(stub_application_height(node->app), 0);
    node->refuses_blocks = true;
    enum sb_driver_taken taken;
    for (int i = 0; i < 3; i++) {
        struct sb_diag diag = {.text = ""};
        assert_int_equal(
            sb_driver_sync_block(&taken, node->driver, one.encoded, &one.commit, &diag),
            SB_E_CORRUPT);
        assert_non_null(strstr(diag.text, "must not go on")); /* the same answer for ever */
    }
    assert_false(sb_driver_is_idle(node->driver));
    assert_int_equal(sb_driver_start_height(node->driver, &node->diag), SB_E_CORRUPT);
    free(wrong);
    sb_arena_fini(&one.arena);
}

/* More than a third of the power is dishonest: whoever brings the other block of the two has done nothing wrong. */
static void second_decided_block_of_a_round_accuses_nobody(void **state)
{
    (void)state;
    log_begin();
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[3];
    node->is_off = true;
    run(2);
    struct stored one = load(&net->nodes[0], 1);
    check(node, sb_driver_start_height(node->driver, &node->diag)); /* height 1 */
    const sb_hash other = {{0xaa}};
    for (int i = 0; i < 3; i++) {
        struct sb_vote vote =
            make_vote(&net->nodes[i], SB_VOTE_PRECOMMIT, 1, one.commit.round, &other);
        assert_int_equal(hand_vote(node, &vote), SB_TAKEN_NEW);
    }
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_UNDECIDED);
    assert_int_equal(hand_sync(node, one.encoded, &one.commit), SB_TAKEN_UNDECIDED);
    assert_int_equal(stub_application_height(node->app), 0);
    sb_arena_fini(&one.arena);
    assert_int_equal(log_end("this chain is forked"), 1);
}

/* ---- crashes ---- */

/* restart: a new life, which may end once more in the middle of its recovery. */
static void restart(struct net_node *node, enum memory_loss loss, uint64_t dies_at)
{
    net_node_crash(node, loss);
    node->dies_at = dies_at;
    sb_err err = net_node_start(node);
    if (node->is_dead) {
        net_node_crash(node, loss);
        err = net_node_start(node);
    }
    node->dies_at = 0;
    check(node, err);
}

/* crash_everywhere: for each place of height 2: a fresh net, whose node 0 dies there; then it recovers, and all go on to height 4. */
static void crash_everywhere(size_t nodes, enum memory_loss loss, bool has_remote)
{
    uint64_t at = 0;
    bool died = true;
    while (died) {
        net->nodes[0].has_remote = has_remote;
        net_init(net, nodes, nodes);
        struct net_node *node = &net->nodes[0];
        net->random.state = ++at;
        run(1);
        node->dies_at = at;
        (void)net_run(net, 2);
        died = node->is_dead;
        if (died) {
            restart(node, loss, at % 3 == 0 ? 1 + sb_random_below(&net->random, 6) : 0);
        }
        node->dies_at = 0;
        run(4);
        for (size_t i = 0; i < nodes; i++) {
            assert_int_equal(sb_driver_counters(net->nodes[i].driver).conflicting_votes, 0);
        }
        if (died) {
            net_fini(net);
            memset(net, 0, sizeof *net);
        }
    }
    printf("# %u places\n", (unsigned)at - 1);
    assert_true(at > 30);
}

static void crash_at_every_place_alone_loses_and_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(1, MEMORY_LOSS_NONE, false);
}

static void power_cut_at_every_place_alone_loses_and_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(1, MEMORY_LOSS_ALL, false);
}

static void torn_journal_at_every_place_alone_loses_and_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(1, MEMORY_LOSS_PART, false);
}

static void crash_at_every_place_among_four_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(4, MEMORY_LOSS_NONE, false);
}

static void torn_journal_at_every_place_among_four_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(4, MEMORY_LOSS_PART, false);
}

static void power_cut_with_a_remote_signer_signs_nothing_twice(void **state)
{
    (void)state;
    crash_everywhere(4, MEMORY_LOSS_ALL, true);
}

static void node_with_a_remote_signer_may_lose_its_journal(void **state)
{
    (void)state;
    net->nodes[0].has_remote = true;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    run(3);
    check(node, sb_driver_start_height(node->driver, &node->diag)); /* in the middle of height 4 */
    net_deliver(net);
    net_node_stop(node);
    memory_disk_fini(&node->disk);
    node->disk.dies = net_dies;
    node->disk.ctx = node;
    check(node, net_node_start(node));
    run(7);
    assert_int_equal(sb_driver_counters(net->nodes[1].driver).conflicting_votes, 0);
}

static void remote_signer_is_told_what_its_node_remembers(void **state)
{
    (void)state;
    net->nodes[0].has_remote = true;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    run(3);
    for (size_t i = 1; i < net->count; i++) {
        net->nodes[i].is_off = true; /* so that height 4 stays in work */
    }
    for (int i = 0; i < 100 && places_up_to(node, 4) == places_up_to(node, 3); i++) {
        net_turn(net, 4);
    }
    net_node_crash(node, MEMORY_LOSS_NONE);
    for (size_t i = 1; i < net->count; i++) {
        net->nodes[i].is_off = false;
    }
    check(node, net_node_start(node));
    const struct sb_journal_place *last = &node->signed_places[node->signed_count - 1].place;
    assert_int_equal(node->recalled.height, 4);
    assert_int_equal(node->recalled.round, last->round);
    assert_int_equal(node->recalled.step, last->step);
    run(6);
}

/* The others decide what this node calls invalid: it must stop, whichever way it learns of it. */
static void node_that_differs_from_two_thirds_stops(void **state)
{
    (void)state;
    for (int by_certificate = 0; by_certificate < 2; by_certificate++) {
        net_init(net, 4, 4);
        struct net_node *node = &net->nodes[3];
        enum sb_driver_taken taken;
        node->refuses_blocks = true;
        for (size_t i = 0; i < 4; i++) {
            check(&net->nodes[i],
                  sb_driver_start_height(net->nodes[i].driver, &net->nodes[i].diag));
        }
        while (by_certificate != 0 && net->queue_count != 0) { /* precommits do not reach it */
            struct net_message *m = &net->queue[net->queue_head];
            bool is_kept_away = m->to == 3 && !m->message.is_proposal &&
                                m->message.as.vote.type == SB_VOTE_PRECOMMIT;
            if (is_kept_away) {
                free(m->block);
                net->queue_head = (net->queue_head + 1) % NET_MESSAGES_MAX;
                net->queue_count--;
                continue;
            }
            struct net_message taken_out = *m;
            net->queue_head = (net->queue_head + 1) % NET_MESSAGES_MAX;
            net->queue_count--;
            (void)net_hand(&net->nodes[taken_out.to], &taken_out);
            free(taken_out.block);
        }
        net_deliver(net);
        assert_int_equal(stub_application_height(net->nodes[0].app), 1);
        if (by_certificate != 0) {
            check(node, node->failed);
            struct stored one = load(&net->nodes[0], 1);
            const struct sb_bft_certificate certificate = {.type = SB_VOTE_PRECOMMIT,
                                                           .commit = one.commit};
            node->failed = sb_driver_certificate(&taken, node->driver, &certificate, &node->diag);
            sb_arena_fini(&one.arena);
        }
        assert_int_equal(node->failed, SB_E_CORRUPT);
        assert_non_null(strstr(node->diag.text, "must not go on"));
        if (by_certificate == 0) {
            net_fini(net);
            memset(net, 0, sizeof *net);
        }
    }
}

static void older_journal_is_refused(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    struct memory_disk old;
    run(2);
    memory_disk_copy(&old, &node->disk);
    run(4);
    net_node_stop(node);
    memory_disk_fini(&node->disk);
    node->disk = old;
    node->disk.dies = net_dies;
    node->disk.ctx = node;
    assert_int_equal(net_node_start(node), SB_E_CORRUPT);
    assert_non_null(strstr(node->diag.text, "signatures were lost"));
}

/* Journal and database were put back together: what sync brings shows what is missing. */
static void older_journal_beside_an_older_database_is_found_by_sync(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    run(4);
    net_node_stop(node);
    memory_disk_fini(&node->disk);
    stub_application_free(node->app);
    memset(&node->disk, 0, sizeof node->disk);
    net_node_init(net, 0);
    check(node, net_node_start(node)); /* both empty, with the old key */
    assert_false(net_run(net, 5) && node->failed == SB_OK);
    assert_int_equal(node->failed, SB_E_CORRUPT);
    assert_non_null(strstr(node->diag.text, "signatures were lost"));
}

static void journal_of_a_full_node_may_be_old(void **state)
{
    (void)state;
    net_init(net, 5, 4);
    struct net_node *node = &net->nodes[4];
    struct memory_disk old;
    memory_disk_copy(&old, &node->disk);
    run(4);
    net_node_stop(node);
    memory_disk_fini(&node->disk);
    node->disk = old;
    node->disk.dies = net_dies;
    node->disk.ctx = node;
    check(node, net_node_start(node));
    run(6);
}

/* ---- a database that was lost, or is an older copy ---- */

static void lose_database(struct net_node *node)
{
    net_node_stop(node);
    stub_application_free(node->app);
    net_node_init(node->net, node->index);
}

static void lost_database_of_a_sole_validator_is_refused(void **state)
{
    (void)state;
    net_init(net, 1, 1);
    struct net_node *node = &net->nodes[0];
    run(3);
    lose_database(node);
    assert_int_equal(net_node_start(node), SB_E_CORRUPT);
    assert_non_null(strstr(node->diag.text, "committed blocks were lost"));
    assert_non_null(strstr(node->diag.text, "restore the newest database"));
    assert_non_null(strstr(node->diag.text, "is the only one"));
}

static sb_err note_lowest(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    uint64_t *lowest = ctx;
    (void)type;
    (void)payload;
    *lowest = height < *lowest ? height : *lowest;
    return SB_OK;
}

static void lose_nothing_and_go_on(struct net_node *node, uint64_t height, size_t places)
{
    assert_int_equal(places_up_to(node, height), places); /* nothing new up to there */
    run(height + 4);
    assert_true(places_up_to(node, height + 4) >= places + 3);
    assert_int_equal(sb_driver_counters(node->driver).refused_signatures, 0);
    for (size_t i = 1; i < net->count; i++) {
        assert_int_equal(sb_driver_counters(net->nodes[i].driver).conflicting_votes, 0);
    }
    net_node_stop(node);
    check(node, net_node_start(node)); /* the journal knows that it is over */
    assert_int_equal(sb_journal_rolled_back_from(node->journal), 0);
    run(height + 6);
}

/* come_back: node 0, whose database was lost, is refused first, then fetches its blocks and votes as before. */
static void come_back(uint64_t height)
{
    struct net_node *node = &net->nodes[0];
    assert_int_equal(net_node_start(node), SB_E_CORRUPT);
    assert_non_null(strstr(node->diag.text, "committed blocks were lost"));
    assert_non_null(strstr(node->diag.text, "--resync"));
    net_node_stop(node);
    size_t before = places_up_to(node, height);
    node->may_resync = true;
    check(node, net_node_start(node));
    run(height + 1);
    node->may_resync = false;
    lose_nothing_and_go_on(node, height, before);
}

static void lost_database_comes_back_from_peers_without_a_second_signature(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    run(5);
    lose_database(&net->nodes[0]);
    come_back(5);
}

static void lost_database_comes_back_when_the_journal_keeps_its_last_heights_only(void **state)
{
    (void)state;
    net->padding_bytes = (size_t)1 << 20; /* so that journals rotate */
    net_init(net, 4, 4);
    run(25);
    uint64_t lowest = UINT64_MAX;
    assert_int_equal(sb_journal_replay(net->nodes[0].journal, 0, note_lowest, &lowest), SB_OK);
    assert_true(lowest > 1);
    lose_database(&net->nodes[0]);
    come_back(25);
}

static void older_database_beside_a_newer_journal_comes_back(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    struct memory_disk newer;
    run(8);
    lose_database(node);
    memory_disk_copy(&newer, &node->disk);
    node->may_resync = true;
    check(node, net_node_start(node));
    while (stub_application_height(node->app) < 4) {
        assert_true(net_sync(net, node));
    }
    net_node_stop(node);
    memory_disk_fini(&node->disk);
    node->disk = newer; /* which never heard of a resync */
    node->may_resync = false;
    come_back(8);
}

static void resync_that_was_begun_goes_on_without_being_told_again(void **state)
{
    (void)state;
    net_init(net, 4, 4);
    struct net_node *node = &net->nodes[0];
    run(8);
    lose_database(node);
    node->may_resync = true;
    check(node, net_node_start(node));
    node->may_resync = false;
    for (uint64_t height = 2; height <= 6; height += 2) {
        while (stub_application_height(node->app) < height) {
            assert_true(net_sync(net, node));
        }
        net_node_crash(node, MEMORY_LOSS_ALL);
        check(node, net_node_start(node));
    }
    run(10);
    lose_database(node); /* and the next loss is a new one */
    come_back(10);
}

/* Node 0 dies at each place of height 4, and its database is gone. */
static void database_lost_at_every_place_signs_nothing_twice(void **state)
{
    (void)state;
    uint64_t at = 0;
    bool died = true;
    while (died) {
        net_init(net, 4, 4);
        struct net_node *node = &net->nodes[0];
        run(3);
        node->dies_at = ++at;
        (void)net_run(net, 4);
        died = node->is_dead;
        net_node_crash(node, at % 2 == 0 ? MEMORY_LOSS_ALL : MEMORY_LOSS_NONE);
        stub_application_free(node->app);
        net_node_init(net, 0);
        node->may_resync = true;
        check(node, net_node_start(node));
        run(7);
        for (size_t i = 1; i < net->count; i++) {
            assert_int_equal(sb_driver_counters(net->nodes[i].driver).conflicting_votes, 0);
        }
        if (died) {
            net_fini(net);
            memset(net, 0, sizeof *net);
        }
    }
    assert_true(at > 30);
}

static void lost_database_with_a_remote_signer_comes_back(void **state)
{
    (void)state;
    net->nodes[0].has_remote = true;
    net_init(net, 4, 4);
    run(5);
    lose_database(&net->nodes[0]);
    come_back(5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(driver_alone_commits_one_block_after_another),
        CASE(driver_alone_starts_only_when_there_is_work),
        CASE(four_drivers_agree_on_blocks_of_several_parts),
        CASE(driver_that_is_no_validator_follows_and_signs_nothing),
        CASE(validator_that_leaves_the_set_goes_on_as_a_full_node),
        CASE(forged_block_gets_nil_and_the_next_round_decides),
        CASE(untimely_block_gets_nil_and_is_told_of),
        CASE(refused_signature_keeps_the_validator_silent_and_the_chain_going),
        CASE(proposer_without_a_proof_proposes_nothing_in_that_round),
        CASE(sole_validator_without_a_proof_asks_again_each_round),
        CASE(vote_that_a_signer_owes_comes_when_it_is_back),
        CASE(imported_history_is_a_refusal_until_the_chain_has_passed_it),
        CASE(only_validator_that_may_not_sign_says_what_to_do),
        CASE(late_precommits_fill_the_next_commit_and_the_one_after),
        CASE(second_vote_becomes_evidence_in_a_block),
        CASE(second_vote_with_the_own_key_is_an_error),
        CASE(messages_out_of_place_are_told_apart),
        CASE(node_that_was_away_syncs_and_then_votes),
        CASE(height_in_work_is_decided_by_its_block_and_commit),
        CASE(undecided_block_gets_no_vote_and_is_committed_once_it_can_be_judged),
        CASE(height_that_half_cannot_judge_goes_on_when_they_can),
        CASE(undecided_block_of_sync_is_taken_later),
        CASE(certificate_asks_for_the_block_and_the_block_decides),
        CASE(proposal_of_a_held_block_under_another_root_is_not_taken),
        CASE(bytes_that_come_after_their_verdict_are_judged),
        CASE(quorum_of_a_later_round_asks_for_the_block_too),
        CASE(sync_refuses_wrong_bytes_and_stops_where_results_differ),
        CASE(second_decided_block_of_a_round_accuses_nobody),
        CASE(crash_at_every_place_alone_loses_and_signs_nothing_twice),
        CASE(power_cut_at_every_place_alone_loses_and_signs_nothing_twice),
        CASE(torn_journal_at_every_place_alone_loses_and_signs_nothing_twice),
        CASE(crash_at_every_place_among_four_signs_nothing_twice),
        CASE(torn_journal_at_every_place_among_four_signs_nothing_twice),
        CASE(power_cut_with_a_remote_signer_signs_nothing_twice),
        CASE(node_with_a_remote_signer_may_lose_its_journal),
        CASE(remote_signer_is_told_what_its_node_remembers),
        CASE(node_that_differs_from_two_thirds_stops),
        CASE(older_journal_is_refused),
        CASE(older_journal_beside_an_older_database_is_found_by_sync),
        CASE(journal_of_a_full_node_may_be_old),
        CASE(lost_database_of_a_sole_validator_is_refused),
        CASE(lost_database_comes_back_from_peers_without_a_second_signature),
        CASE(lost_database_comes_back_when_the_journal_keeps_its_last_heights_only),
        CASE(older_database_beside_a_newer_journal_comes_back),
        CASE(resync_that_was_begun_goes_on_without_being_told_again),
        CASE(database_lost_at_every_place_signs_nothing_twice),
        CASE(lost_database_with_a_remote_signer_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
