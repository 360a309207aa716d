/* test_p2p.c: node/p2p/p2p.h: several nodes in one process, over loopback.
 *
 * Each node records what it hears in a struct node under a lock; a test waits for a condition with a limit of time, so it is as fast
 * as the machine and fails only when the condition never comes. */
#include "node/p2p/p2p.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "base/crypto/ed25519.h"
#include "node/files.h"
#include "node/p2p/address_book.h"
#include "tests/support/temp_dir.h"

#define WAIT_MS_MAX 20000
#define UPS_MAX     64

struct node {
    struct sb_p2p *p2p;
    struct sb_p2p_options options;
    char id[2 * SB_P2P_NODE_ID_BYTES + 1];
    char address[SB_P2P_ADDRESS_BYTES]; /* "id@127.0.0.1:port" */

    pthread_mutex_t lock;
    struct sb_p2p_peer_info ups[UPS_MAX];
    size_t up_count;   /* peer_up calls */
    size_t down_count; /* peer_down calls */
    uint64_t received[SB_CHANNEL_COUNT];
    uint64_t received_bytes;
    uint8_t order[256]; /* channels in the order of their messages */
    size_t order_count;
    uint64_t sum;     /* of all bytes */
    bool has_no_room; /* what message answers */
    FILE *log_file;
    char *log_text;
    size_t log_len;
    struct sb_logger log;
};

static void on_up(void *ctx, const struct sb_p2p_peer_info *info)
{
    struct node *node = ctx;
    (void)pthread_mutex_lock(&node->lock);
    if (node->up_count < UPS_MAX) {
        node->ups[node->up_count] = *info;
    }
    node->up_count++;
    (void)pthread_mutex_unlock(&node->lock);
}

static void on_down(void *ctx, sb_peer peer)
{
    struct node *node = ctx;
    (void)peer;
    (void)pthread_mutex_lock(&node->lock);
    node->down_count++;
    (void)pthread_mutex_unlock(&node->lock);
}

static bool on_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct node *node = ctx;
    (void)peer;
    (void)pthread_mutex_lock(&node->lock);
    bool has_room = !node->has_no_room;
    node->received[channel]++;
    node->received_bytes += message.len;
    if (node->order_count < sizeof node->order) {
        node->order[node->order_count++] = (uint8_t)channel;
    }
    for (size_t i = 0; i < message.len; i++) {
        node->sum += message.data[i];
    }
    (void)pthread_mutex_unlock(&node->lock);
    return has_room;
}

/* A node that is not started: its options may still be changed. */
static void node_init(struct node *node, uint8_t seed)
{
    uint8_t bytes[SB_ED25519_SEED_BYTES] = {seed};
    uint8_t public_key[SB_ED25519_PUBLIC_BYTES];
    memset(node, 0, sizeof *node);
    assert_int_equal(pthread_mutex_init(&node->lock, NULL), 0);
    node->options = (struct sb_p2p_options){.domain = {.chain_id = 7, .genesis_hash = {{1}}},
                                            .agent = "test/1",
                                            .listen_host = "127.0.0.1",
                                            .pex = true,
                                            .allow_local = true,
                                            .per_ip_max = 100,
                                            .per_subnet_max = 100,
                                            .accepts_per_s_per_ip = 1000,
                                            .reconnect_ms = 20,
                                            .callbacks = {node, on_up, on_down, on_message},
                                            .log = &node->log};
    sb_ed25519_keypair(public_key, node->options.node_secret, bytes);
    sb_hex_encode(node->id, sb_span(public_key, sizeof public_key));
    node->log_file = open_memstream(&node->log_text, &node->log_len);
    sb_log_init(&node->log, node->log_file, SB_LOG_FORM_LOGFMT, SB_LOG_DEBUG, false, NULL, NULL);
}

static void node_open(struct node *node)
{
    struct sb_diag diag = {.text = ""};
    if (sb_p2p_new(&node->p2p, &node->options, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    (void)snprintf(node->address, sizeof node->address, "%s@127.0.0.1:%u", node->id,
                   sb_p2p_port(node->p2p));
    assert_int_equal(sb_p2p_start(node->p2p, &diag), SB_OK);
}

static void node_close(struct node *node)
{
    sb_p2p_stop(node->p2p);
    sb_p2p_free(node->p2p);
    node->p2p = NULL;
}

static void node_fini(struct node *node)
{
    node_close(node);
    (void)fclose(node->log_file);
    free(node->log_text);
    (void)pthread_mutex_destroy(&node->lock);
}

/* Two nodes: b dials a as a persistent peer. */
static void pair_open(struct node *a, struct node *b)
{
    node_init(a, 1);
    node_init(b, 2);
    node_open(a);
    const char *peers[] = {a->address};
    b->options.persistent_peers = peers;
    b->options.persistent_count = 1;
    node_open(b);
    b->options.persistent_count = 0;
}

static uint64_t get(struct node *node, const uint64_t *value)
{
    (void)pthread_mutex_lock(&node->lock);
    uint64_t now = *value;
    (void)pthread_mutex_unlock(&node->lock);
    return now;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        for (int waited_ = 0; !(condition); waited_++) {                                           \
            if (waited_ == WAIT_MS_MAX) {                                                          \
                fail_msg("never came: %s", #condition);                                            \
            }                                                                                      \
            (void)usleep(1000);                                                                    \
        }                                                                                          \
    } while (0)

static sb_peer only_peer(struct node *node)
{
    struct sb_p2p_peer_status status;
    WAIT_FOR(sb_p2p_peers(node->p2p, &status, 1) == 1);
    return status.info.peer;
}

static bool log_has(struct node *node, const char *text)
{
    (void)fflush(node->log_file);
    return strstr(node->log_text, text) != NULL;
}

/* ---- cases ---- */

static void two_nodes_exchange_messages_on_all_channels(void **state)
{
    (void)state;
    static struct node a, b;
    static uint8_t bytes[1 << 20];
    pair_open(&a, &b);
    sb_peer of_a = only_peer(&a);
    sb_peer of_b = only_peer(&b);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 >> 3);
    }
    uint64_t sum = 0, total = 0;
    for (int c = SB_CHANNEL_STATE; c <= SB_CHANNEL_TX; c++) {
        size_t max = sb_channels[c].message_bytes_max;
        size_t len = max < sizeof bytes ? max : sizeof bytes;
        assert_true(sb_p2p_send(b.p2p, of_b, (enum sb_channel)c, sb_span(bytes, len)));
        assert_true(sb_p2p_send(a.p2p, of_a, (enum sb_channel)c, sb_span(bytes, 0)));
        for (size_t i = 0; i < len; i++) {
            sum += bytes[i];
        }
        total += len;
    }
    WAIT_FOR(get(&a, &a.received_bytes) == total);
    for (int c = SB_CHANNEL_STATE; c <= SB_CHANNEL_TX; c++) {
        assert_int_equal(a.received[c], 1);
        WAIT_FOR(get(&b, &b.received[c]) == 1);
    }
    assert_int_equal(a.sum, sum);
    assert_string_equal(a.ups[0].agent, "test/1");
    assert_false(a.ups[0].is_outbound);
    assert_true(b.ups[0].is_outbound);
    assert_true(b.ups[0].is_persistent);
    assert_false(sb_p2p_send(b.p2p, of_b + 1, SB_CHANNEL_VOTE, sb_span(bytes, 1)));
    assert_false(sb_p2p_send(b.p2p, of_b, SB_CHANNEL_VOTE,
                             sb_span(bytes, sb_channels[SB_CHANNEL_VOTE].message_bytes_max + 1)));
    node_fini(&b);
    node_fini(&a);
    assert_int_equal(a.up_count, 1);
    assert_int_equal(a.down_count, 1);
}

static void persistent_peer_that_comes_back_is_dialled_again(void **state)
{
    (void)state;
    static struct node a, b;
    pair_open(&a, &b);
    (void)only_peer(&b);
    a.options.listen_port = sb_p2p_port(a.p2p);
    node_close(&a);
    WAIT_FOR(sb_p2p_peer_count(b.p2p) == 0);
    node_open(&a);
    WAIT_FOR(sb_p2p_peer_count(b.p2p) == 1 && sb_p2p_peer_count(a.p2p) == 1);
    assert_int_equal(b.up_count, 2);
    assert_int_equal(b.down_count, 1);
    assert_true(b.ups[0].peer != b.ups[1].peer);
    node_fini(&b);
    node_fini(&a);
}

/* b, changed by `change`, dials a and is refused; both say why. */
static void expect_refused(void (*change)(struct node *b), const char *text)
{
    static struct node a, b;
    node_init(&a, 1);
    node_init(&b, 2);
    node_open(&a);
    change(&b);
    const char *peers[] = {a.address};
    b.options.persistent_peers = peers;
    b.options.persistent_count = 1;
    node_open(&b);
    WAIT_FOR(sb_p2p_totals(b.p2p).handshake_failures >= 2 &&
             sb_p2p_totals(a.p2p).handshake_failures >= 2);
    node_fini(&b);
    assert_int_equal(a.up_count, 0);
    assert_int_equal(b.up_count, 0);
    node_close(&a);
    assert_true(log_has(&a, text));
    (void)fclose(a.log_file);
    free(a.log_text);
}

static void other_chain(struct node *b)
{
    b->options.domain.chain_id = 8;
}

static void other_genesis(struct node *b)
{
    b->options.domain.genesis_hash.b[31] = 1;
}

static void node_of_another_chain_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused(other_chain, "it is of chain 8, this node of chain 7");
}

static void node_with_another_genesis_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused(other_genesis, "another genesis block");
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_exchange_messages_on_all_channels),
        cmocka_unit_test(node_of_another_chain_is_refused_with_the_reason),
        cmocka_unit_test(node_with_another_genesis_is_refused_with_the_reason),
        cmocka_unit_test(persistent_peer_that_comes_back_is_dialled_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
