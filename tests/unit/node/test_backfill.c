/* test_backfill.c: a node that began at a snapshot, or pruned, gets the old headers that evidence may be about while it follows the chain;
 * what it says of a block is never other than what a node says that has them all. */
#include "node/backfill.h"

#include <time.h>

#include "node/chain_impl.h"
#include "tests/unit/node/sync_fixture.h"
#include "tests/unit/node/validators_fixture.h"

#define SNAPSHOT      420
#define BLOCKS        425
#define PUNISHED      5 /* evidence of this height is in an early block */
#define ANSWER_COUNT  100
#define LIAR          1
#define SILENT        2
#define EMPTY         3
#define HONEST        4
#define PATIENCE      20000 /* milliseconds */
#define AGE_BLOCKS    300
#define PRUNED_OLDEST 400

static struct net n; /* the chain that has everything */

static struct {
    char snapshots_dir[64], dir[64];
    struct sb_snapshots *snapshots;
    struct sb_snap_source source;
    /* of the backfill */
    struct sb_backfill *backfill;
    atomic_size_t allowed, answered; /* answers that honest peers give */
    atomic_bool liar_reported, other_reported;
} w;

/* ---- the chain ---- */

static struct sb_evidence evidence_at(size_t key, uint64_t height)
{
    struct sb_validator_set set;
    struct sb_evidence evidence;
    sb_hash a = {{0}}, b = {{1}};
    fixture_check(&n.f, sb_chain_validators_at(&set, &n.f.arena, n.f.chain, height));
    struct sb_vote x = net_vote(&n, &set, key, SB_VOTE_PREVOTE, height, 0, &a);
    struct sb_vote y = net_vote(&n, &set, key, SB_VOTE_PREVOTE, height, 0, &b);
    assert_int_equal(sb_evidence_make(&evidence, &x, &y), SB_OK);
    return evidence;
}

static void punish(size_t key, uint64_t height)
{
    struct sb_evidence evidence = evidence_at(key, height);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
}

/* block_with: the next block of the whole chain, with this evidence whatever it thinks of it. */
static sb_bytes block_with(const struct sb_evidence *evidence)
{
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    block.evidence = evidence;
    block.evidence_count = 1;
    return net_encode(&n, &block);
}

/* changes: a validator joins, one changes its power, one leaves; and all the time something moves. */
static sb_err changes(void *ctx, struct sb_arena *arena, uint64_t height,
                      const struct sb_block_result *result,
                      const struct sb_validator_change **ret_changes, size_t *ret_count)
{
    (void)ctx;
    (void)result;
    struct sb_validator_change *list = sb_arena_array(arena, 1, sizeof *list);
    assert_non_null(list);
    *ret_changes = list;
    *ret_count = 1;
    if (height == 40) {
        list[0] = (struct sb_validator_change){.key = n.keys[4], .power = 12};
    } else if (height == 150) {
        list[0] = (struct sb_validator_change){.key = n.keys[0], .power = 0};
    } else if (height % 37 == 0 || height == 99 || height == 199) {
        list[0] = (struct sb_validator_change){.key = n.keys[1], .power = 10 + (int64_t)height};
    } else {
        *ret_count = 0;
    }
    return SB_OK;
}

/* open_all: the whole chain of BLOCKS, with a snapshot. */
static void open_all(uint64_t age_blocks, bool has_changes)
{
    memset(&w, 0, sizeof w);
    net_init(&n);
    if (age_blocks != 0) {
        n.f.genesis.params.evidence_age_blocks_max = age_blocks;
        n.f.genesis.params.evidence_age_ms_max = 1;
    }
    net_open(&n);
    if (has_changes) {
        sb_chain_set_update_source(n.f.chain, changes, NULL);
    }
    (void)snprintf(w.snapshots_dir, sizeof w.snapshots_dir, "%.31s/snapshots", n.f.dir);
    (void)snprintf(w.dir, sizeof w.dir, "%.31s/other", n.f.dir);
    const struct sb_store_identity identity = {
        .genesis_hash = sb_chain_domain(n.f.chain)->genesis_hash, .chain_id = FIXTURE_CHAIN_ID};
    assert_int_equal(sb_snapshots_open(&w.snapshots, w.snapshots_dir, &identity, 1, &n.f.diag),
                     SB_OK);
    w.source = (struct sb_snap_source){.chain = n.f.chain, .snapshots = w.snapshots};
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        uint64_t taken;
        if (number == PUNISHED + 3) {
            punish(1, PUNISHED);
        }
        (void)net_step(&n);
        if (number == SNAPSHOT) {
            fixture_check(
                &n.f, sb_snapshots_take(&taken, w.snapshots, sb_chain_store(n.f.chain), &n.f.diag));
        }
    }
}

static void close_all(void)
{
    sb_snapshots_close(w.snapshots);
    net_fini(&n);
}

/* ---- answers ---- */

/* answer_to: the encoded answer to an encoded question. */
static void answer_to(struct sb_buf *ret, sb_bytes raw, sb_peer peer)
{
    struct sb_snap_message question;
    struct sb_buf content;
    assert_int_equal(sb_snap_message_decode(&question, raw), SB_OK);
    sb_buf_init(&content, SB_SNAP_CONTENT_BYTES_MAX);
    bool found = peer != EMPTY && sb_snap_answer(&content, &w.source, &question) == SB_OK;
    if (found && question.what == SB_SNAP_PAST) {
        sync_shorten(&content, ANSWER_COUNT);
    }
    if (peer == LIAR) {
        content.data[content.len / 2] ^= 1;
    }
    struct sb_snap_message answer = {.is_answer = true, .id = question.id, .found = found};
    if (found) {
        answer.bytes = sb_buf_bytes(&content);
    }
    sb_snap_message_encode(ret, &answer);
    sb_buf_fini(&content);
}

/* ---- the state sync ---- */

static struct sb_chain *open_other(void)
{
    struct sb_chain *chain;
    const struct sb_chain_options options = {
        .db_dir = w.dir, .genesis = &n.f.genesis, .history_blocks = 8};
    fixture_check(&n.f, sb_chain_open(&chain, &options, &n.f.diag));
    return chain;
}

/* begin_at_snapshot: a node that has what a state sync leaves to begin with. */
static struct sb_chain *begin_at_snapshot(void)
{
    struct sb_state_sync_report report;
    sync_from(&report, &n.f, &w.source, w.dir, ANSWER_COUNT, true);
    assert_int_equal(report.height, SNAPSHOT);
    assert_int_equal(report.past_count, 300); /* 256 and what came with them */
    return open_other();
}

/* ---- the backfill ---- */

static bool fill_send(void *ctx, sb_peer peer, sb_bytes message)
{
    struct sb_buf out;
    struct sb_snap_message answer;
    (void)ctx;
    if (peer == SILENT) {
        return true;
    }
    if (peer == HONEST && atomic_load(&w.answered) >= atomic_load(&w.allowed)) {
        return false; /* its queue is full */
    }
    sb_buf_init(&out, 2 * SB_SNAP_CONTENT_BYTES_MAX);
    answer_to(&out, message, peer);
    assert_int_equal(sb_snap_message_decode(&answer, sb_buf_bytes(&out)), SB_OK);
    sb_backfill_answer(w.backfill, peer, &answer);
    sb_buf_fini(&out);
    if (peer == HONEST) {
        atomic_fetch_add(&w.answered, 1);
    }
    return true;
}

static void fill_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)why;
    if (peer == LIAR && offence == SB_OFFENCE_FATAL) {
        atomic_store(&w.liar_reported, true);
    } else {
        atomic_store(&w.other_reported, true);
    }
}

static void fill_begin(struct sb_chain *chain, sb_peer first, sb_peer last)
{
    const struct sb_backfill_options options = {.chain = chain,
                                                .send = fill_send,
                                                .report = fill_report,
                                                .answer_ms = 50,
                                                .rest_ms = 2,
                                                .look_ms = 2};
    fixture_check(&n.f, sb_backfill_new(&w.backfill, &options, &n.f.diag));
    for (sb_peer peer = first; peer <= last; peer++) {
        sb_backfill_peer_up(w.backfill, peer);
    }
    fixture_check(&n.f, sb_backfill_start(w.backfill, &n.f.diag));
}

static bool is_whole(struct sb_chain *chain, uint64_t *ret_lowest)
{
    bool whole;
    fixture_check(&n.f, sb_chain_past_is_whole(&whole, ret_lowest, chain));
    return whole;
}

/* fill_until: the lowest known height is this one or lower, or the past is whole (height 0). */
static uint64_t fill_until(struct sb_chain *chain, uint64_t height)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t lowest;
    for (int i = 0; i < PATIENCE; i++) {
        if (is_whole(chain, &lowest) || lowest <= height) {
            return lowest;
        }
        (void)nanosleep(&pause, NULL);
    }
    fail_msg("the past stays at %llu", (unsigned long long)lowest);
    return 0;
}

static void fill_end(void)
{
    sb_backfill_free(w.backfill);
    w.backfill = NULL;
}

/* ---- what the other node says ---- */

/* judge: NULL: valid; else why not. */
static const char *judge(struct sb_chain *chain, sb_bytes encoded, bool *ret_undecided)
{
    static char reason[SB_DIAG_TEXT_BYTES];
    struct sb_chain_executed *executed;
    struct sb_chain_verdict verdict;
    fixture_check(&n.f, sb_chain_judge(&executed, &verdict, chain, encoded, &n.f.diag));
    *ret_undecided = verdict.is_undecided;
    if (verdict.is_valid) {
        sb_chain_executed_free(chain, executed);
        return NULL;
    }
    memcpy(reason, verdict.reason, sizeof reason);
    return reason;
}

/* assert_alike: both nodes say the same of a block; the other one may leave it open when `may_wait`. True: it waits. */
static bool assert_alike(struct sb_chain *chain, sb_bytes encoded, bool may_wait)
{
    bool is_open;
    char right[SB_DIAG_TEXT_BYTES] = "";
    const char *reason = judge(n.f.chain, encoded, &is_open);
    assert_false(is_open);
    (void)snprintf(right, sizeof right, "%s", reason != NULL ? reason : "valid");
    reason = judge(chain, encoded, &is_open);
    if (is_open) {
        assert_true(may_wait);
        return true;
    }
    assert_string_equal(reason != NULL ? reason : "valid", right);
    return false;
}

static void follow(struct sb_chain *chain)
{
    for (uint64_t number = sb_chain_head_number(chain) + 1; number <= net_head(&n).height;
         number++) {
        struct sb_chain_executed *executed;
        struct sb_commit commit;
        sb_bytes encoded;
        fixture_check(&n.f, sb_chain_encoded(&encoded, &commit, &n.f.arena, n.f.chain, number));
        fixture_check(&n.f, sb_chain_execute(&executed, chain, encoded, &n.f.diag));
        fixture_check(&n.f, sb_chain_commit_take(chain, executed, &commit, &n.f.diag));
    }
    struct sb_chain_head ours = sb_chain_head(chain), theirs = sb_chain_head(n.f.chain);
    assert_memory_equal(ours.consensus_id.b, theirs.consensus_id.b, 32);
    assert_memory_equal(ours.header.state_root.b, theirs.header.state_root.b, 32);
}

/* assert_same_past: header, evidence and set of each height from the lowest on are right. */
static void assert_same_past(struct sb_chain *chain, uint64_t lowest)
{
    for (uint64_t height = lowest; height <= net_head(&n).height; height++) {
        struct sb_arena_mark mark = sb_arena_mark(&n.f.arena);
        struct sb_chain_past ours, theirs;
        struct sb_validator_set our_set, their_set;
        fixture_check(&n.f, sb_chain_past(&ours, &n.f.arena, chain, height));
        fixture_check(&n.f, sb_chain_past(&theirs, &n.f.arena, n.f.chain, height));
        sb_hash a = sb_consensus_block_id(&ours.header), b = sb_consensus_block_id(&theirs.header);
        assert_memory_equal(a.b, b.b, sizeof a.b);
        assert_true(sb_span_equal(ours.evidence, theirs.evidence));
        fixture_check(&n.f, sb_chain_validators_at(&our_set, &n.f.arena, chain, height));
        fixture_check(&n.f, sb_chain_validators_at(&their_set, &n.f.arena, n.f.chain, height));
        a = sb_validator_set_hash(&our_set);
        b = sb_validator_set_hash(&their_set);
        assert_memory_equal(a.b, b.b, sizeof a.b);
        sb_arena_rewind(&n.f.arena, mark);
    }
}

/* ---- tests ---- */

static void node_at_a_snapshot_follows_while_blocks_with_older_evidence_wait(void **state)
{
    (void)state;
    open_all(0, false);
    struct sb_chain *chain = begin_at_snapshot();
    uint64_t lowest;
    assert_false(is_whole(chain, &lowest));
    assert_int_equal(lowest, SNAPSHOT - 300);
    follow(chain); /* at the head, with nothing of the rest */
    assert_int_equal(sb_chain_head_number(chain), BLOCKS);

    struct sb_evidence known = evidence_at(2, SNAPSHOT - 100), unknown = evidence_at(2, 30),
                       punished = evidence_at(1, PUNISHED), older = evidence_at(3, PUNISHED),
                       false_one = unknown;
    false_one.b.signature.bytes[0] ^= 1;
    fill_begin(chain, HONEST, HONEST);
    assert_false(assert_alike(chain, block_with(&known), false));
    assert_true(assert_alike(chain, block_with(&unknown), true));
    assert_true(assert_alike(chain, block_with(&punished), true));
    assert_true(assert_alike(chain, block_with(&false_one), true));

    atomic_store(&w.allowed, 1);
    assert_int_equal(fill_until(chain, 20), 20);
    assert_false(assert_alike(chain, block_with(&unknown), false));
    assert_false(assert_alike(chain, block_with(&false_one), false));
    assert_true(assert_alike(chain, block_with(&older), true));
    assert_true(assert_alike(chain, block_with(&punished), true));
    follow(chain);

    atomic_store(&w.allowed, 100);
    assert_int_equal(fill_until(chain, 0), 1);
    assert_false(assert_alike(chain, block_with(&older), false));
    assert_false(assert_alike(chain, block_with(&punished), false));
    punish(3, PUNISHED);
    (void)net_step(&n);
    follow(chain);
    assert_false(assert_alike(chain, block_with(&older), false)); /* punished by now */
    fill_end();
    assert_same_past(chain, 1);
    assert_false(atomic_load(&w.other_reported));
    sb_chain_close(chain);
    close_all();
}

static void backfill_goes_on_after_a_restart(void **state)
{
    (void)state;
    open_all(0, false);
    struct sb_chain *chain = begin_at_snapshot();
    uint64_t lowest;
    atomic_store(&w.allowed, 1);
    fill_begin(chain, HONEST, HONEST);
    assert_int_equal(fill_until(chain, 20), 20);
    fill_end();
    sb_chain_close(chain);
    chain = open_other();
    assert_false(is_whole(chain, &lowest));
    assert_int_equal(lowest, 20);
    atomic_store(&w.allowed, 100);
    fill_begin(chain, HONEST, HONEST);
    assert_int_equal(fill_until(chain, 0), 1);
    fill_end();
    follow(chain);
    assert_same_past(chain, 1);
    sb_chain_close(chain);
    close_all();
}

static void backfill_ends_where_evidence_has_expired(void **state)
{
    (void)state;
    open_all(AGE_BLOCKS, false);
    struct sb_chain *chain = begin_at_snapshot();
    struct sb_evidence fresh = evidence_at(2, BLOCKS + 1 - AGE_BLOCKS),
                       expired = evidence_at(2, BLOCKS - AGE_BLOCKS), unknown = evidence_at(2, 30);
    atomic_store(&w.allowed, 100);
    follow(chain);
    fill_begin(chain, HONEST, HONEST);
    uint64_t lowest = fill_until(chain, 0);
    fill_end();
    assert_in_range(lowest, 2, BLOCKS - AGE_BLOCKS);
    assert_false(assert_alike(chain, block_with(&fresh), false));
    assert_false(assert_alike(chain, block_with(&expired), false));
    assert_false(assert_alike(chain, block_with(&unknown), false));
    assert_same_past(chain, lowest);
    sb_chain_close(chain);
    close_all();
}

/* A node that pruned while evidence expired soon, and then the parameters grew: what it dropped must not have expired for it alone. */
static void pruned_node_gets_again_what_it_needs_among_liars(void **state)
{
    (void)state;
    open_all(0, true);
    struct sb_chain *chain;
    const struct sb_chain_options options = {
        .db_dir = w.dir, .genesis = &n.f.genesis, .create = true, .history_blocks = 8};
    fixture_check(&n.f, sb_chain_open(&chain, &options, &n.f.diag));
    sb_chain_set_update_source(chain, changes, NULL);
    follow(chain);
    fixture_check(&n.f, sb_store_prune(sb_chain_store(chain), PRUNED_OLDEST, &n.f.diag));
    uint64_t lowest;
    assert_false(is_whole(chain, &lowest));
    assert_int_equal(lowest, PRUNED_OLDEST);
    struct sb_evidence unknown = evidence_at(2, 30);
    assert_true(assert_alike(chain, block_with(&unknown), true));
    atomic_store(&w.allowed, 100);
    fill_begin(chain, LIAR, HONEST);
    assert_int_equal(fill_until(chain, 0), 1);
    fill_end();
    assert_true(atomic_load(&w.liar_reported));
    assert_false(atomic_load(&w.other_reported));
    assert_false(assert_alike(chain, block_with(&unknown), false));
    assert_same_past(chain, 1);
    fixture_check(&n.f, sb_chain_past_drop(chain, &n.f.diag)); /* as pruning does */
    assert_false(is_whole(chain, &lowest));
    assert_int_equal(lowest, PRUNED_OLDEST);
    sb_chain_close(chain);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_at_a_snapshot_follows_while_blocks_with_older_evidence_wait),
        cmocka_unit_test(backfill_goes_on_after_a_restart),
        cmocka_unit_test(backfill_ends_where_evidence_has_expired),
        cmocka_unit_test(pruned_node_gets_again_what_it_needs_among_liars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
