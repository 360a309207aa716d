/* test_snap_server.c: what a node that takes snapshots and prunes still has. */
#include "node/snap_server.h"

#include <time.h>

#include "node/chain_impl.h"
#include "tests/unit/node/chain_fixture.h"

#define AGE_BLOCKS 260
#define INTERVAL   100
#define BLOCKS     520
#define HISTORY    128 /* the chain's default */
#define HASHES     256 /* what BLOCKHASH can name */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_keeps_what_newcomers_at_the_oldest_snapshot_ask_for),
        cmocka_unit_test(prune_keeps_the_hashes_that_blocks_can_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
