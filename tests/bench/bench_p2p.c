/* bench_p2p.c: how long a vote takes from one node's caller to another's, over loopback, and what large blocks on the same connection
 * do to it.
 *
 *     bench_p2p [--votes N]        prints median, 99th percentile and worst of the round trip divided by two, in microseconds */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto/ed25519.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/p2p.h"

#define VOTES_MAX   100000
#define VOTE_BYTES  200
#define BLOCK_BYTES 4000000

static struct sb_p2p *g_nodes[2];
static atomic_uint_least64_t g_peers[2];
static uint64_t g_took_ns[VOTES_MAX];
static atomic_size_t g_answered;
static atomic_uint_least64_t g_block_bytes;

static uint64_t now_ns(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void on_up(void *ctx, const struct sb_p2p_peer_info *info)
{
    atomic_store((atomic_uint_least64_t *)ctx, info->peer);
}

/* Node 0 asks; node 1 sends votes back as they are. */
static bool on_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    if (channel == SB_CHANNEL_SYNC) {
        atomic_fetch_add(&g_block_bytes, message.len);
    } else if (ctx == &g_peers[1]) {
        (void)sb_p2p_send(g_nodes[1], peer, channel, message);
    } else if (message.len == VOTE_BYTES) {
        size_t at = atomic_load(&g_answered);
        g_took_ns[at] = now_ns() - be_load64(message.data);
        atomic_store(&g_answered, at + 1);
    }
    return true;
}

static void open_node(size_t index, const char *peer)
{
    struct sb_diag diag = {.text = ""};
    const char *peers[] = {peer};
    uint8_t seed[SB_ED25519_SEED_BYTES] = {(uint8_t)(1 + index)};
    uint8_t id[SB_ED25519_PUBLIC_BYTES];
    struct sb_p2p_options options = {
        .listen_host = "127.0.0.1",
        .persistent_peers = peers,
        .persistent_count = peer != NULL ? 1 : 0,
        .callbacks = {.ctx = &g_peers[index], .peer_up = on_up, .message = on_message}};
    sb_ed25519_keypair(id, options.node_secret, seed);
    sb_err err = sb_p2p_new(&g_nodes[index], &options, &diag);
    err = err == SB_OK ? sb_p2p_start(g_nodes[index], &diag) : err;
    if (err != SB_OK) {
        (void)fprintf(stderr, "bench_p2p: %s\n", diag.text);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void measure(const char *name, size_t votes, bool with_blocks)
{
    static uint8_t block[BLOCK_BYTES];
    uint8_t vote[VOTE_BYTES] = {0};
    uint64_t begun = now_ns();
    uint64_t bytes = atomic_load(&g_block_bytes);
    atomic_store(&g_answered, 0);
    for (size_t i = 0; i < votes; i++) {
        struct sb_p2p_peer_status status;
        if (with_blocks && sb_p2p_peers(g_nodes[0], &status, 1) == 1 &&
            status.queued_bytes < BLOCK_BYTES / 2) {
            (void)sb_p2p_send(g_nodes[0], atomic_load(&g_peers[0]), SB_CHANNEL_SYNC,
                              sb_span(block, sizeof block));
        }
        be_store64(vote, now_ns());
        (void)sb_p2p_send(g_nodes[0], atomic_load(&g_peers[0]), SB_CHANNEL_VOTE,
                          sb_span(vote, sizeof vote));
        while (atomic_load(&g_answered) <= i) {
            (void)usleep(100);
        }
        (void)usleep(1000); /* the rate of a channel is not what is measured */
    }
    uint64_t elapsed = now_ns() - begun;
    qsort(g_took_ns, votes, sizeof g_took_ns[0], compare);
    uint64_t rate = (atomic_load(&g_block_bytes) - bytes) * 1000 / (elapsed / 1000000 + 1);
    printf("%-24s one way: median %4llu us, p99 %5llu us, worst %6llu us; blocks %llu MB/s\n", name,
           (unsigned long long)g_took_ns[votes / 2] / 2000,
           (unsigned long long)g_took_ns[votes * 99 / 100] / 2000,
           (unsigned long long)g_took_ns[votes - 1] / 2000, (unsigned long long)rate / 1000000);
}

int main(int argc, char **argv)
{
    char address[64];
    size_t votes = 2000;
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "--votes") == 0) {
        votes = strtoull(argv[2], NULL, 10);
    }
    if (votes == 0 || votes > VOTES_MAX || (argc != 1 && argc != 3)) {
        (void)fprintf(stderr, "usage: bench_p2p [--votes N]\n");
        return 2;
    }
    open_node(1, NULL);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", sb_p2p_port(g_nodes[1]));
    open_node(0, address);
    while (atomic_load(&g_peers[0]) == 0 || atomic_load(&g_peers[1]) == 0) {
        (void)usleep(1000);
    }
    measure("votes alone", votes, false);
    measure("votes beside blocks", votes, true);
    for (size_t i = 0; i < 2; i++) {
        sb_p2p_stop(g_nodes[i]);
        sb_p2p_free(g_nodes[i]);
    }
    return 0;
}
