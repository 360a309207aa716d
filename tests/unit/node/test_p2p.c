/* test_p2p.c: node/p2p/p2p.h: several nodes in one process, over loopback.
 *
 * Each node records what it hears in a struct node under a lock; a test waits for a condition with a limit of time, so it is as fast
 * as the machine and fails only when the condition never comes. */
#include "node/p2p/p2p.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "base/crypto/ed25519.h"
#include "node/files.h"
#include "node/p2p/address_book.h"
#include "tests/support/port.h"
#include "tests/support/temp_dir.h"

#define WAIT_MS_MAX 60000
#define UPS_MAX     64

struct node {
    struct sb_p2p *p2p;
    struct sb_p2p_options options;
    char id[2 * SB_P2P_NODE_ID_BYTES + 1];
    char address[SB_P2P_ADDRESS_BYTES]; /* "id@127.0.0.1:port" */

    pthread_mutex_t lock;
    struct sb_p2p_peer_info ups[UPS_MAX];
    uint64_t up_count;   /* peer_up calls */
    uint64_t down_count; /* peer_down calls */
    uint64_t received[SB_CHANNEL_COUNT];
    uint64_t received_bytes;
    uint8_t order[256]; /* channels in the order of their messages */
    size_t order_count;
    uint64_t sum;       /* of all bytes */
    uint64_t last_from; /* who sent the last message */
    bool has_no_room;   /* what message answers */
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
    (void)pthread_mutex_lock(&node->lock);
    node->last_from = peer;
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
                                            .handshake_ms_max = WAIT_MS_MAX,
                                            .dial_ms_max = WAIT_MS_MAX,
                                            .dead_ms = WAIT_MS_MAX,
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
    if (node->p2p != NULL) {
        sb_p2p_stop(node->p2p);
    }
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

/* node_dial: open a node that dials one address as a persistent peer. */
static void node_dial(struct node *node, const char *address)
{
    const char *peers[] = {address};
    node->options.persistent_peers = peers;
    node->options.persistent_count = 1;
    node_open(node);
    node->options.persistent_count = 0;
}

/* Two nodes: b dials a as a persistent peer. */
static void pair_open(struct node *a, struct node *b)
{
    node_init(a, 1);
    node_init(b, 2);
    node_open(a);
    node_dial(b, a->address);
}

static bool is_told_of(struct node *node, sb_peer peer)
{
    bool is_told = false;
    (void)pthread_mutex_lock(&node->lock);
    for (uint64_t i = 0; i < node->up_count && i < UPS_MAX; i++) {
        is_told = is_told || node->ups[i].peer == peer;
    }
    (void)pthread_mutex_unlock(&node->lock);
    return is_told;
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

/* only_peer: when there is one; the node has been told of it by then. */
static sb_peer only_peer(struct node *node)
{
    struct sb_p2p_peer_status status;
    WAIT_FOR(sb_p2p_peers(node->p2p, &status, 1) == 1);
    WAIT_FOR(is_told_of(node, status.info.peer));
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
    node_init(&a, 1);
    node_init(&b, 2);
    int held = port_hold(&a.options.listen_port);
    node_open(&a);
    node_dial(&b, a.address);
    (void)only_peer(&b);
    node_close(&a);
    WAIT_FOR(sb_p2p_peer_count(b.p2p) == 0);
    node_open(&a);
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 1);
    (void)only_peer(&b);
    node_fini(&b);
    node_fini(&a);
    (void)close(held);
    assert_int_equal(b.up_count, 2);
    assert_int_equal(b.down_count, 2);
    assert_true(b.ups[0].peer != b.ups[1].peer);
}

/* b, changed by `change`, dials a and is refused; both say why. */
static void expect_refused(void (*change)(struct node *b), const char *text)
{
    static struct node a, b;
    node_init(&a, 1);
    node_init(&b, 2);
    node_open(&a);
    change(&b);
    node_dial(&b, a.address);
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

/* have_one_connection: each side lists one peer, and it is the same connection. */
static bool have_one_connection(struct node *a, struct node *b)
{
    struct sb_p2p_peer_status of_a[4], of_b[4];
    return sb_p2p_peers(a->p2p, of_a, 4) == 1 && sb_p2p_peers(b->p2p, of_b, 4) == 1 &&
           of_a[0].info.is_outbound != of_b[0].info.is_outbound && of_a[0].info.is_persistent &&
           of_b[0].info.is_persistent;
}

static void nodes_that_dial_each_other_keep_one_connection(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        static struct node a, b;
        char to_b[SB_P2P_ADDRESS_BYTES];
        /* b's port is known first, then both begin at once */
        node_init(&a, 1);
        node_init(&b, 2);
        int held = port_hold(&b.options.listen_port);
        (void)snprintf(to_b, sizeof to_b, "%s@127.0.0.1:%u", b.id, b.options.listen_port);
        node_dial(&a, to_b);
        node_dial(&b, a.address);
        int steady_ms = 0; /* a second connection may still be on its way: it must come to rest */
        for (int i = 0; i < WAIT_MS_MAX && steady_ms < 300; i++) {
            (void)usleep(1000);
            steady_ms = have_one_connection(&a, &b) ? steady_ms + 1 : 0;
        }
        assert_int_equal(steady_ms, 300);
        node_fini(&a);
        node_fini(&b);
        (void)close(held);
        assert_int_equal(a.up_count, a.down_count);
        assert_int_equal(b.up_count, b.down_count);
    }
}

static void node_that_reaches_itself_is_refused(void **state)
{
    (void)state;
    static struct node a;
    char address[64];
    node_init(&a, 1);
    int held = port_hold(&a.options.listen_port);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", a.options.listen_port);
    node_dial(&a, address);
    WAIT_FOR(sb_p2p_totals(a.p2p).handshake_failures >= 2);
    assert_int_equal(sb_p2p_peer_count(a.p2p), 0);
    node_fini(&a);
    (void)close(held);
    assert_int_equal(a.up_count, 0);
}

static void second_node_of_the_same_id_is_refused(void **state)
{
    (void)state;
    static struct node a, b, twin;
    pair_open(&a, &b);
    sb_peer first = only_peer(&a);
    node_init(&twin, 2);
    node_dial(&twin, a.address);
    WAIT_FOR(sb_p2p_totals(a.p2p).refused >= 2);
    assert_int_equal(only_peer(&a), first);
    assert_int_equal(sb_p2p_peer_count(twin.p2p), 0);
    node_fini(&twin);
    node_fini(&b);
    node_fini(&a);
}

static void address_with_another_id_is_refused(void **state)
{
    (void)state;
    static struct node a, b;
    node_init(&a, 1);
    node_init(&b, 2);
    node_open(&a);
    char address[SB_P2P_ADDRESS_BYTES];
    memcpy(address, a.address, sizeof address);
    memcpy(address, "00", 2);
    node_dial(&b, address);
    WAIT_FOR(sb_p2p_totals(b.p2p).handshake_failures >= 1);
    assert_int_equal(sb_p2p_peer_count(a.p2p), 0);
    node_close(&b);
    assert_true(log_has(&b, "another node answers"));
    node_fini(&b);
    node_fini(&a);
}

static void peer_that_is_known_by_name_is_found(void **state)
{
    (void)state;
    static struct node a, b;
    char address[SB_P2P_ADDRESS_BYTES];
    node_init(&a, 1);
    node_init(&b, 2);
    node_open(&a);
    (void)snprintf(address, sizeof address, "localhost:%u", sb_p2p_port(a.p2p));
    node_dial(&b, address);
    (void)only_peer(&b);
    node_fini(&b);
    node_fini(&a);
    assert_true(b.ups[0].is_persistent); /* though the setting has no id */
}

/* ---- limits ---- */

static void limits_keep_nodes_out_but_not_unconditional_ones(void **state)
{
    (void)state;
    static struct node a, others[3], friend;
    node_init(&a, 1);
    node_init(&friend, 9);
    const char *ids[] = {friend.id};
    a.options.per_ip_max = 2;
    a.options.allow_local = false;
    a.options.unconditional_ids = ids;
    a.options.unconditional_count = 1;
    node_open(&a);
    for (uint8_t i = 0; i < 3; i++) {
        node_init(&others[i], (uint8_t)(2 + i));
        others[i].options.pex = false;
        node_dial(&others[i], a.address);
    }
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 2 && sb_p2p_totals(a.p2p).refused >= 2);
    friend.options.pex = false;
    node_dial(&friend, a.address);
    WAIT_FOR(sb_p2p_peer_count(friend.p2p) == 1);
    WAIT_FOR(sb_p2p_peer_count(a.p2p) >= 3);
    assert_int_equal(sb_p2p_peer_count(a.p2p), 3);
    size_t connected = 0, told = 0;
    for (size_t i = 0; i < 3; i++) {
        connected += sb_p2p_peer_count(others[i].p2p);
    }
    for (size_t i = 0; i < 3; i++) {
        node_close(&others[i]);
        told += log_has(&others[i], "a node turns us away") ? 1 : 0;
        node_fini(&others[i]);
    }
    assert_int_equal(connected, 2);
    assert_int_equal(told, 1);
    node_fini(&friend);
    node_close(&a);
    assert_true(log_has(&a, "limit=p2pPerIpMax"));
    node_fini(&a);
}

/* Many nodes of one machine, where local addresses count as reachable: none is kept out for the address. */
static void nodes_of_one_machine_are_not_limited_by_their_address(void **state)
{
    (void)state;
    static struct node a, others[4];
    node_init(&a, 1);
    a.options.per_ip_max = 1;
    a.options.per_subnet_max = 1;
    node_open(&a);
    for (uint8_t i = 0; i < 4; i++) {
        node_init(&others[i], (uint8_t)(2 + i));
        others[i].options.pex = false;
        node_dial(&others[i], a.address);
    }
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 4);
    for (size_t i = 0; i < 4; i++) {
        node_fini(&others[i]);
    }
    node_fini(&a);
}

/* All inbound places are taken by nodes that have earned nothing: a newcomer takes the place of one; named nodes keep theirs. */
static void newcomer_takes_the_place_of_one_that_has_not_earned_it(void **state)
{
    (void)state;
    static struct node a, others[6], friend, newcomer;
    node_init(&a, 1);
    node_init(&friend, 20);
    const char *ids[] = {friend.id};
    a.options.inbound_max = 6;
    a.options.unconditional_ids = ids;
    a.options.unconditional_count = 1;
    node_open(&a);
    friend.options.pex = false;
    node_dial(&friend, a.address);
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 1);
    for (uint8_t i = 0; i < 6; i++) {
        node_init(&others[i], (uint8_t)(2 + i));
        others[i].options.pex = false;
        others[i].options.reconnect_ms = 30000; /* who is turned away stays away */
        node_dial(&others[i], a.address);
    }
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 7);
    node_init(&newcomer, 30);
    newcomer.options.pex = false;
    node_dial(&newcomer, a.address);
    WAIT_FOR(get(&newcomer, &newcomer.up_count) == 1);
    WAIT_FOR(get(&a, &a.down_count) == 1 && sb_p2p_peer_count(a.p2p) == 7);
    assert_int_equal(sb_p2p_totals(a.p2p).evicted, 1);
    assert_int_equal(get(&friend, &friend.down_count), 0);
    for (size_t i = 0; i < 6; i++) {
        node_fini(&others[i]);
    }
    node_fini(&newcomer);
    node_fini(&friend);
    node_fini(&a);
}

/* A node gets its address banned; one behind the same address that a setting names is let in all the same, strangers are not. */
static void banned_address_keeps_no_named_node_out(void **state)
{
    (void)state;
    static struct node a, bad, friend, stranger;
    node_init(&a, 1);
    node_init(&friend, 9);
    const char *ids[] = {friend.id};
    a.options.allow_local = false; /* so that the address counts */
    a.options.unconditional_ids = ids;
    a.options.unconditional_count = 1;
    node_open(&a);
    node_init(&bad, 2);
    bad.options.pex = false;
    node_dial(&bad, a.address);
    sb_p2p_report(a.p2p, only_peer(&a), SB_OFFENCE_FATAL, "test");
    WAIT_FOR(sb_p2p_totals(a.p2p).bans == 1 && sb_p2p_peer_count(a.p2p) == 0);
    node_init(&stranger, 3);
    stranger.options.pex = false;
    node_dial(&stranger, a.address);
    WAIT_FOR(sb_p2p_totals(a.p2p).refused >= 2);
    assert_int_equal(sb_p2p_peer_count(a.p2p), 0);
    friend.options.pex = false;
    node_dial(&friend, a.address);
    (void)only_peer(&a);
    (void)only_peer(&friend);
    assert_int_equal(sb_p2p_peer_count(a.p2p), 1);
    assert_int_equal(sb_p2p_peer_count(stranger.p2p), 0);
    node_fini(&stranger);
    node_fini(&friend);
    node_fini(&bad);
    node_fini(&a);
}

/* A setting without an id: the address stands for whoever answers there now, not for ever for who did first. */
static void address_without_an_id_follows_who_answers(void **state)
{
    (void)state;
    static struct node a, first, second;
    char address[64];
    uint16_t port;
    int held = port_hold(&port);
    node_init(&first, 2);
    first.options.listen_port = port;
    node_open(&first);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    node_init(&a, 1);
    node_dial(&a, address);
    sb_peer of_first = only_peer(&a);
    node_fini(&first);
    node_init(&second, 3);
    second.options.listen_port = port;
    node_open(&second);
    WAIT_FOR(sb_p2p_peer_count(second.p2p) == 1);
    assert_true(only_peer(&a) != of_first);
    node_close(&a);
    assert_true(a.ups[1].is_persistent);
    assert_true(log_has(&a, "another node answers than before"));
    node_fini(&a);
    node_fini(&second);
    (void)close(held);
}

static void new_connections_of_one_address_have_a_rate(void **state)
{
    (void)state;
    enum { KNOCKS = 20, RATE = 3 };
    static struct node a;
    int fds[KNOCKS];
    node_init(&a, 1);
    a.options.accepts_per_s_per_ip = RATE;
    a.options.allow_local = false;
    node_open(&a);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(sb_p2p_port(a.p2p))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < KNOCKS; i++) { /* faster than any node dials again */
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(connect(fds[i], (const struct sockaddr *)&address, sizeof address), 0);
    }
    WAIT_FOR(sb_p2p_totals(a.p2p).accepted + sb_p2p_totals(a.p2p).refused == KNOCKS);
    assert_in_range(sb_p2p_totals(a.p2p).accepted, RATE, KNOCKS - 1);
    for (size_t i = 0; i < KNOCKS; i++) {
        (void)close(fds[i]);
    }
    node_fini(&a);
}

static void peer_that_misbehaves_is_banned_for_a_while(void **state)
{
    (void)state;
    static struct node a, b;
    node_init(&a, 1);
    a.options.ban_s = 3; /* long enough for a slow machine to dial in it */
    node_open(&a);
    node_init(&b, 2);
    node_dial(&b, a.address);
    sb_peer peer = only_peer(&a);
    sb_p2p_report(a.p2p, peer, SB_OFFENCE_INVALID, "a false vote");
    struct sb_p2p_peer_status status;
    WAIT_FOR(sb_p2p_peers(a.p2p, &status, 1) == 1 && status.score != 100);
    assert_int_equal(status.score, 50);
    sb_p2p_report(a.p2p, peer, SB_OFFENCE_INVALID, "another false vote");
    WAIT_FOR(sb_p2p_totals(a.p2p).bans == 1 && sb_p2p_peer_count(a.p2p) == 0);
    WAIT_FOR(sb_p2p_totals(a.p2p).refused >= 1);
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 1); /* when the ban is over */
    assert_true(only_peer(&a) != peer);
    node_fini(&b);
    node_fini(&a);
    assert_int_equal(a.down_count, 2);
}

static void points_are_kept_when_a_peer_comes_again(void **state)
{
    (void)state;
    static struct node a, b;
    pair_open(&a, &b);
    sb_p2p_report(a.p2p, only_peer(&a), SB_OFFENCE_INVALID, "a false vote");
    struct sb_p2p_peer_status status;
    WAIT_FOR(sb_p2p_peers(a.p2p, &status, 1) == 1 && status.score == 50);
    b.options.listen_port = 0;
    node_close(&b);
    WAIT_FOR(sb_p2p_peer_count(a.p2p) == 0);
    node_dial(&b, a.address);
    WAIT_FOR(sb_p2p_peers(a.p2p, &status, 1) == 1);
    assert_in_range(status.score, 50, 60); /* a point is forgiven every ten seconds */
    node_fini(&b);
    node_fini(&a);
}

static void persistent_peer_that_misbehaves_is_only_disconnected(void **state)
{
    (void)state;
    static struct node a, b;
    pair_open(&a, &b);
    sb_p2p_report(b.p2p, only_peer(&b), SB_OFFENCE_FATAL, "everything");
    WAIT_FOR(get(&b, &b.up_count) == 2);
    assert_int_equal(sb_p2p_totals(b.p2p).bans, 0);
    node_fini(&b);
    node_fini(&a);
}

static void receiver_without_room_stops_the_sender_and_loses_nothing_more(void **state)
{
    (void)state;
    static struct node a, b;
    static uint8_t part[60000];
    pair_open(&a, &b);
    sb_peer of_a = only_peer(&a);
    sb_peer of_b = only_peer(&b);
    (void)pthread_mutex_lock(&a.lock);
    a.has_no_room = true;
    (void)pthread_mutex_unlock(&a.lock);
    uint64_t sent = 0;
    while (sb_p2p_send(b.p2p, of_b, SB_CHANNEL_PART, sb_span(part, sizeof part))) {
        sent++;
        assert_true(sent < 2000); /* 120 MB: more than the queue and the sockets can hold */
        (void)usleep(200);
    }
    struct sb_p2p_peer_status status;
    assert_int_equal(sb_p2p_peers(b.p2p, &status, 1), 1);
    assert_true(status.queued_bytes < ((size_t)4 << 20) + sizeof part + 64);
    assert_true(sb_p2p_totals(b.p2p).dropped_messages >= 1);
    WAIT_FOR(get(&a, &a.received[SB_CHANNEL_PART]) >= 1); /* the sockets may be full before */
    assert_int_equal(get(&a, &a.received[SB_CHANNEL_PART]), 1);
    (void)pthread_mutex_lock(&a.lock);
    a.has_no_room = false;
    (void)pthread_mutex_unlock(&a.lock);
    sb_p2p_resume(a.p2p, of_a);
    WAIT_FOR(get(&a, &a.received[SB_CHANNEL_PART]) == sent);
    node_fini(&b);
    node_fini(&a);
}

/* A receiver that never has room again: the connection, which nobody reads any more, does not stay for ever. */
static void receiver_that_never_has_room_again_costs_the_connection(void **state)
{
    (void)state;
    static struct node a, b;
    node_init(&a, 1);
    node_init(&b, 2);
    a.options.dead_ms = 1000;
    a.options.ping_ms = 200;
    a.has_no_room = true;
    node_open(&a);
    node_dial(&b, a.address);
    for (int i = 0; i < WAIT_MS_MAX / 100 && get(&a, &a.last_from) == 0; i++) {
        /* on a slow machine a connection may die of silence before: then through the next */
        (void)sb_p2p_send(b.p2p, only_peer(&b), SB_CHANNEL_VOTE, sb_span_str("vote"));
        (void)usleep(100000);
    }
    sb_peer blocked = get(&a, &a.last_from);
    assert_true(blocked != 0);
    WAIT_FOR(only_peer(&a) != blocked); /* it ended, and another began */
    assert_true(get(&a, &a.down_count) >= 1);
    node_fini(&b);
    node_fini(&a);
}

/* ---- peer exchange ---- */

static void third_node_is_found_by_peer_exchange_and_kept_in_the_book(void **state)
{
    (void)state;
    static struct node a, b, c;
    char dir[TEMP_DIR_PATH_BYTES], book[TEMP_DIR_PATH_BYTES + 16];
    temp_dir_make(dir);
    (void)snprintf(book, sizeof book, "%s/addresses", dir);
    pair_open(&a, &b);
    (void)only_peer(&a);
    node_init(&c, 3);
    c.options.address_book = book;
    const char *seeds[] = {a.address};
    c.options.seeds = seeds;
    c.options.seed_count = 1;
    node_open(&c);
    WAIT_FOR(sb_p2p_peer_count(c.p2p) == 2 && sb_p2p_peer_count(b.p2p) == 2);
    node_close(&c);
    assert_true(sb_file_exists(book));
    WAIT_FOR(sb_p2p_peer_count(b.p2p) == 1);
    /* without a seed: the book remembers */
    c.options.seed_count = 0;
    node_open(&c);
    WAIT_FOR(sb_p2p_peer_count(c.p2p) == 2);
    node_fini(&c);
    node_fini(&b);
    node_fini(&a);
    temp_dir_remove(dir);
}

static void private_node_is_never_told_of(void **state)
{
    (void)state;
    static struct node a, b, c;
    node_init(&a, 1);
    node_init(&b, 2);
    const char *ids[] = {b.id};
    a.options.private_ids = ids;
    a.options.private_count = 1;
    node_open(&a);
    b.options.pex = false;
    node_dial(&b, a.address);
    assert_true(sb_p2p_peer_count(a.p2p) <= 1);
    (void)only_peer(&a);
    assert_true(a.ups[0].is_private);
    node_init(&c, 3);
    node_dial(&c, a.address);
    struct sb_p2p_peer_status status;
    WAIT_FOR(sb_p2p_peers(c.p2p, &status, 1) == 1 &&
             status.channel_received_bytes[SB_CHANNEL_PEX] >= 2);
    assert_int_equal(status.channel_received_bytes[SB_CHANNEL_PEX], 2); /* no address in it */
    assert_int_equal(sb_p2p_totals(c.p2p).known_addresses, 1);          /* a's own */
    node_fini(&c);
    node_fini(&b);
    node_fini(&a);
}

/* ---- life ---- */

struct sender {
    struct node *node;
    sb_peer peer;
    bool stop;
};

static void *send_for_ever(void *ctx)
{
    struct sender *sender = ctx;
    uint8_t bytes[300] = {0};
    for (
        ;
        ;) { /* transactions: what finds no room is dropped, where votes would end the connection */
        (void)pthread_mutex_lock(&sender->node->lock);
        bool stop = sender->stop;
        (void)pthread_mutex_unlock(&sender->node->lock);
        if (stop) {
            return NULL;
        }
        (void)sb_p2p_send(sender->node->p2p, sender->peer, SB_CHANNEL_TX,
                          sb_span(bytes, sizeof bytes));
        sb_p2p_resume(sender->node->p2p, sender->peer);
        (void)sb_p2p_totals(sender->node->p2p);
        struct sb_p2p_peer_status status[2];
        (void)sb_p2p_peers(sender->node->p2p, status, 2);
    }
}

static void stop_while_other_threads_send_is_clean(void **state)
{
    (void)state;
    static struct node a, b;
    pair_open(&a, &b);
    struct sender sender = {.node = &b, .peer = only_peer(&b)};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_for_ever, &sender), 0);
    }
    WAIT_FOR(get(&a, &a.received[SB_CHANNEL_TX]) > 100);
    sb_p2p_stop(b.p2p);
    sb_p2p_stop(b.p2p);
    (void)pthread_mutex_lock(&b.lock);
    sender.stop = true;
    (void)pthread_mutex_unlock(&b.lock);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    node_fini(&b);
    node_fini(&a);
}

static void wrong_options_are_refused_with_their_key(void **state)
{
    (void)state;
    static struct node a, b;
    struct sb_diag diag = {.text = ""};
    const char *bad[] = {"0123@127.0.0.1:1"};
    node_init(&a, 1);
    a.options.persistent_peers = bad;
    a.options.persistent_count = 1;
    assert_int_equal(sb_p2p_new(&a.p2p, &a.options, &diag), SB_E_SYNTAX);
    assert_non_null(strstr(diag.text, "persistentPeers"));
    a.options.persistent_count = 0;
    a.options.private_ids = bad;
    a.options.private_count = 1;
    assert_int_equal(sb_p2p_new(&a.p2p, &a.options, &diag), SB_E_SYNTAX);
    assert_non_null(strstr(diag.text, "privatePeerIds"));
    a.options.private_count = 0;
    a.options.external_address = "nowhere";
    assert_int_equal(sb_p2p_new(&a.p2p, &a.options, &diag), SB_E_SYNTAX);
    assert_non_null(strstr(diag.text, "p2pExternalAddress"));
    a.options.external_address = NULL;
    node_open(&a);
    node_init(&b, 2);
    b.options.listen_port = sb_p2p_port(a.p2p);
    assert_int_equal(sb_p2p_new(&b.p2p, &b.options, &diag), SB_E_IO);
    assert_non_null(strstr(diag.text, "--p2p-port"));
    b.options.listen_host = NULL;
    node_open(&b);
    node_fini(&b);
    node_fini(&a);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_exchange_messages_on_all_channels),
        cmocka_unit_test(node_of_another_chain_is_refused_with_the_reason),
        cmocka_unit_test(node_with_another_genesis_is_refused_with_the_reason),
        cmocka_unit_test(nodes_that_dial_each_other_keep_one_connection),
        cmocka_unit_test(node_that_reaches_itself_is_refused),
        cmocka_unit_test(second_node_of_the_same_id_is_refused),
        cmocka_unit_test(address_with_another_id_is_refused),
        cmocka_unit_test(peer_that_is_known_by_name_is_found),
        cmocka_unit_test(points_are_kept_when_a_peer_comes_again),
        cmocka_unit_test(limits_keep_nodes_out_but_not_unconditional_ones),
        cmocka_unit_test(nodes_of_one_machine_are_not_limited_by_their_address),
        cmocka_unit_test(newcomer_takes_the_place_of_one_that_has_not_earned_it),
        cmocka_unit_test(banned_address_keeps_no_named_node_out),
        cmocka_unit_test(address_without_an_id_follows_who_answers),
        cmocka_unit_test(new_connections_of_one_address_have_a_rate),
        cmocka_unit_test(peer_that_misbehaves_is_banned_for_a_while),
        cmocka_unit_test(persistent_peer_that_misbehaves_is_only_disconnected),
        cmocka_unit_test(receiver_without_room_stops_the_sender_and_loses_nothing_more),
        cmocka_unit_test(receiver_that_never_has_room_again_costs_the_connection),
        cmocka_unit_test(third_node_is_found_by_peer_exchange_and_kept_in_the_book),
        cmocka_unit_test(private_node_is_never_told_of),
        cmocka_unit_test(stop_while_other_threads_send_is_clean),
        cmocka_unit_test(wrong_options_are_refused_with_their_key),
        cmocka_unit_test(persistent_peer_that_comes_back_is_dialled_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
