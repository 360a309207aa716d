/* test_snap_server.c: what a node that takes snapshots and prunes still has. */
#include "node/snap_server.h"

#include <time.h>

#include "node/chain_impl.h"
#include "node/snap_message.h"
#include "tests/unit/node/chain_fixture.h"

#define AGE_BLOCKS 260
#define INTERVAL   100
#define BLOCKS     520
#define HISTORY    128 /* the chain's default */
#define HASHES     256 /* what BLOCKHASH can name */

#define DEAF       1 /* a peer that does not read */
#define READER     2

static struct fixture f;

static bool no_send(void *ctx, sb_peer peer, sb_bytes message)
{
    (void)ctx;
    (void)peer;
    (void)message;
    return true;
}

static void no_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)peer;
    (void)offence;
    (void)why;
}

/* open: a chain that forgets evidence soon, and a server that keeps no more than it has to. */
static struct sb_snap_server *open(uint64_t age_blocks, uint64_t interval)
{
    char dir[64];
    struct sb_snap_server *server;
    fixture_init(&f);
    f.genesis.params.evidence_age_blocks_max = age_blocks;
    f.genesis.params.evidence_age_ms_max = 1;
    fixture_open(&f);
    (void)snprintf(dir, sizeof dir, "%.31s/snapshots", f.dir);
    const struct sb_snap_server_options options = {.chain = f.chain,
                                                   .dir = dir,
                                                   .interval = interval,
                                                   .keep = 2,
                                                   .prune_blocks = 1,
                                                   .history_blocks = HISTORY,
                                                   .send = no_send,
                                                   .report = no_report};
    fixture_check(&f, sb_snap_server_new(&server, &options, &f.diag));
    fixture_check(&f, sb_snap_server_start(server, &f.diag));
    return server;
}

/* wait_for_oldest: the worker has pruned at least so far. */
static void wait_for_oldest(uint64_t height)
{
    static const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 6000 && sb_chain_oldest(f.chain) < height; i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_true(sb_chain_oldest(f.chain) >= height);
    for (int i = 0; i < 20; i++) { /* should it go on, it does so now */
        (void)nanosleep(&pause, NULL);
    }
}

static void assert_past_is_here(uint64_t height)
{
    struct sb_chain_past past;
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 24);
    assert_int_equal(sb_chain_past(&past, &arena, f.chain, height), SB_OK);
    sb_arena_fini(&arena);
}

/* A newcomer at snapshot S asks for the headers below it, down to the first whose evidence has expired at S. */
static void prune_keeps_what_newcomers_at_the_oldest_snapshot_ask_for(void **state)
{
    (void)state;
    struct sb_snap_server *server = open(AGE_BLOCKS, INTERVAL);
    for (int i = 0; i < BLOCKS; i++) {
        fixture_propose(&f);
    }
    uint64_t oldest_snapshot = BLOCKS / INTERVAL * INTERVAL - INTERVAL;
    wait_for_oldest(oldest_snapshot - AGE_BLOCKS - 16);
    assert_past_is_here(oldest_snapshot - AGE_BLOCKS - 1);
    sb_snap_server_free(server);
    for (uint64_t height = sb_chain_oldest(f.chain); height <= BLOCKS; height++) {
        fixture_check(&f, sb_chain_check_block(f.chain, height, &f.diag)); /* as `verify` does */
    }
    fixture_fini(&f);
}

static void prune_keeps_the_hashes_that_blocks_can_name(void **state)
{
    (void)state;
    struct sb_snap_server *server = open(1, 0);
    for (int i = 0; i < BLOCKS; i++) {
        fixture_propose(&f);
    }
    wait_for_oldest(BLOCKS - HASHES - HISTORY - 32);
    struct sb_header header;
    sb_hash hash;
    assert_int_equal(sb_chain_header(&header, &hash, f.chain, BLOCKS - HISTORY - HASHES), SB_OK);
    /* Whatever the parameters become: what is not known any more has expired, instead of counting and then stopping the node. */
    struct sb_params params = sb_chain_params(f.chain);
    struct sb_chain_head head = sb_chain_head(f.chain);
    static const uint64_t offences[] = {5, BLOCKS - 5, BLOCKS + 1};
    params.evidence_age_blocks_max = 10 * BLOCKS;
    for (size_t i = 0; i < 3; i++) {
        bool expired = false;
        assert_int_equal(sb_chain_evidence_expired(&expired, f.chain, &params, offences[i],
                                                   BLOCKS + 1, head.time_ms),
                         SB_OK);
        assert_int_equal(expired, i == 0);
    }
    sb_snap_server_free(server);
    fixture_fini(&f);
}

/* ---- a peer that does not read ---- */

static struct {
    atomic_bool reads; /* the deaf one does, by now */
    atomic_size_t refused, to_deaf, to_reader, offences;
    atomic_size_t refused_meanwhile; /* before the reader had all of its answers */
} heard;

static bool hear(void *ctx, sb_peer peer, sb_bytes message)
{
    struct sb_snap_message answer;
    (void)ctx;
    assert_int_equal(sb_snap_message_decode(&answer, message), SB_OK);
    assert_true(answer.is_answer && answer.found);
    if (peer == READER) {
        assert_int_equal(answer.id, atomic_fetch_add(&heard.to_reader, 1)); /* in their order */
        return true;
    }
    if (!atomic_load(&heard.reads)) {
        atomic_fetch_add(&heard.refused, 1);
        if (atomic_load(&heard.to_reader) < SB_SNAP_QUEUE_MAX) {
            atomic_fetch_add(&heard.refused_meanwhile, 1);
        }
        return false;
    }
    atomic_fetch_add(&heard.to_deaf, 1);
    return true;
}

static void count_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)why;
    assert_int_equal(peer, DEAF);
    assert_int_equal(offence, SB_OFFENCE_WASTE);
    atomic_fetch_add(&heard.offences, 1);
}

static void ask(struct sb_snap_server *server, sb_peer peer, uint32_t id)
{
    struct sb_buf out;
    const struct sb_snap_message question = {.id = id, .what = SB_SNAP_LIST};
    sb_buf_init(&out, 256);
    sb_snap_message_encode(&out, &question);
    sb_snap_server_receive(server, peer, sb_buf_bytes(&out));
    sb_buf_fini(&out);
}

static void wait_for(atomic_size_t *count, size_t least)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 30000 && atomic_load(count) < least; i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_true(atomic_load(count) >= least);
}

static void peer_that_does_not_read_holds_nobody_up(void **state)
{
    (void)state;
    char dir[64];
    struct sb_snap_server *server;
    memset(&heard, 0, sizeof heard);
    fixture_init(&f);
    fixture_open(&f);
    (void)snprintf(dir, sizeof dir, "%.31s/snapshots", f.dir);
    const struct sb_snap_server_options options = {
        .chain = f.chain, .dir = dir, .keep = 1, .send = hear, .report = count_report};
    fixture_check(&f, sb_snap_server_new(&server, &options, &f.diag));
    for (uint32_t id = 0; id < SB_SNAP_QUEUE_MAX; id++) {
        ask(server, DEAF, id);
    }
    ask(server, DEAF, 99); /* too many */
    for (uint32_t id = 0; id < SB_SNAP_QUEUE_MAX; id++) {
        ask(server, READER, id);
    }
    fixture_check(&f, sb_snap_server_start(server, &f.diag));
    wait_for(&heard.to_reader, SB_SNAP_QUEUE_MAX);
    /* By turns: at most one try for each answer of the reader. */
    assert_in_range(atomic_load(&heard.refused_meanwhile), 0, SB_SNAP_QUEUE_MAX);
    wait_for(&heard.refused, 3);
    atomic_store(&heard.reads, true);
    wait_for(&heard.to_deaf, SB_SNAP_QUEUE_MAX); /* nothing was lost */
    assert_int_equal(atomic_load(&heard.offences), 1);
    sb_snap_server_free(server);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_keeps_what_newcomers_at_the_oldest_snapshot_ask_for),
        cmocka_unit_test(peer_that_does_not_read_holds_nobody_up),
        cmocka_unit_test(prune_keeps_the_hashes_that_blocks_can_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
