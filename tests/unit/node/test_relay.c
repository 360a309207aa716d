/* test_relay.c: the relay keeps bytes and their order, holds them as long as it should, and stops at its bounds. Lower bounds of
 * time are asserted; upper ones only where they are far away: how late a busy machine is says nothing about the relay. */
#include "node/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/random.h"

#define WAIT_MS  60000
#define QUIET_MS 60

/* A relay with one path, a dialler before it and a listener behind it. */
struct wire {
    struct sb_relay *relay;
    size_t path;
    int listener, near, far;
};

static uint64_t now_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct sockaddr_in local(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in addr = local(0);
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static int dial(uint16_t port)
{
    struct sockaddr_in addr = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static bool readable(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, ms) == 1;
}

static int accept_within(int listener)
{
    assert_true(readable(listener, WAIT_MS));
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void send_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        len -= (size_t)sent;
    }
}

static void receive_all(int fd, void *ret, size_t len)
{
    uint8_t *at = ret;
    while (len > 0) {
        assert_true(readable(fd, WAIT_MS));
        ssize_t got = recv(fd, at, len, 0);
        assert_true(got > 0);
        at += got;
        len -= (size_t)got;
    }
}

static void wire_dial(struct wire *wire)
{
    wire->near = dial(sb_relay_port(wire->relay, wire->path));
}

static struct wire wire_open(struct sb_relay_quality quality)
{
    struct wire wire = {.near = -1, .far = -1};
    struct sb_diag diag = {.text = ""};
    uint16_t port;
    wire.listener = listen_somewhere(&port);
    assert_int_equal(sb_relay_new(&wire.relay, 7, &diag), SB_OK);
    assert_int_equal(sb_relay_add(&wire.path, wire.relay, 0, port, &quality, &diag), SB_OK);
    assert_int_equal(sb_relay_start(wire.relay, &diag), SB_OK);
    return wire;
}

static struct wire wire_connected(struct sb_relay_quality quality)
{
    struct wire wire = wire_open(quality);
    wire_dial(&wire);
    wire.far = accept_within(wire.listener);
    return wire;
}

static void wire_close(struct wire *wire)
{
    sb_relay_free(wire->relay);
    (void)close(wire->near);
    (void)close(wire->far);
    (void)close(wire->listener);
}

/* ---- bytes ---- */

#define STREAM_BYTES ((size_t)1 << 20)

struct sender {
    int fd;
    const uint8_t *bytes;
};

static void *sender_main(void *ctx)
{
    const struct sender *sender = ctx;
    for (size_t at = 0; at < STREAM_BYTES; at += STREAM_BYTES / 64) {
        send_all(sender->fd, sender->bytes + at, STREAM_BYTES / 64);
    }
    return NULL;
}

static void bytes_over_a_bad_wire_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("relay");
    uint8_t *sent = malloc(STREAM_BYTES);
    uint8_t *got = malloc(STREAM_BYTES);
    assert_non_null(sent);
    assert_non_null(got);
    for (size_t i = 0; i < STREAM_BYTES; i++) {
        sent[i] = (uint8_t)sb_random_u64(&random);
    }
    struct wire wire = wire_connected((struct sb_relay_quality){
        .delay_us = 1000, .jitter_us = 3000, .loss_ppm = 2000, .bytes_per_s = 8 << 20});
    for (size_t way = 0; way < 2; way++) {
        struct sender sender = {.fd = way == 0 ? wire.near : wire.far, .bytes = sent};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, sender_main, &sender), 0);
        receive_all(way == 0 ? wire.far : wire.near, got, STREAM_BYTES);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_memory_equal(got, sent, STREAM_BYTES);
    }
    struct sb_relay_counters counters = sb_relay_counters(wire.relay);
    for (size_t i = 0; i < WAIT_MS && counters.bytes < 2 * STREAM_BYTES; i++) {
        (void)usleep(
            1000); /* they are counted when the write has ended, which may be after they arrived */
        counters = sb_relay_counters(wire.relay);
    }
    assert_int_equal(counters.bytes, 2 * STREAM_BYTES);
    assert_true(counters.lost_segments > 0);
    wire_close(&wire);
    free(got);
    free(sent);
}

static void end_of_a_connection_follows_its_bytes(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 5000});
    char got[6];
    send_all(wire.near, "last", 4);
    assert_int_equal(shutdown(wire.near, SHUT_WR), 0);
    receive_all(wire.far, got, 4);
    assert_memory_equal(got, "last", 4);
    assert_true(readable(wire.far, WAIT_MS));
    assert_int_equal(recv(wire.far, got, sizeof got, 0), 0);
    send_all(wire.far, "answer", 6); /* the other way is still open */
    receive_all(wire.near, got, 6);
    assert_memory_equal(got, "answer", 6);
    wire_close(&wire);
}

static void target_that_refuses_ends_the_connection(void **state)
{
    (void)state;
    struct wire wire = wire_open((struct sb_relay_quality){.delay_us = 0});
    assert_int_equal(close(wire.listener), 0);
    wire_dial(&wire);
    char got;
    assert_true(readable(wire.near, WAIT_MS));
    assert_true(recv(wire.near, &got, 1, 0) <= 0);
    wire.listener = -1;
    wire_close(&wire);
}

/* ---- time ---- */

static void delay_holds_every_message_each_way(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 15000});
    for (int i = 0; i < 10; i++) {
        char got;
        uint64_t begun = now_us();
        send_all(wire.near, "?", 1);
        receive_all(wire.far, &got, 1);
        assert_true(now_us() - begun >= 15000);
        send_all(wire.far, "!", 1);
        receive_all(wire.near, &got, 1);
        assert_true(now_us() - begun >= 30000);
    }
    wire_close(&wire);
}

static void delay_of_many_messages_is_not_their_sum(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 500000});
    char got[100];
    uint64_t begun = now_us();
    for (size_t i = 0; i < sizeof got; i++) {
        send_all(wire.near, "x", 1);
    }
    receive_all(wire.far, got, sizeof got);
    assert_true(now_us() - begun >= 500000);
    assert_true(now_us() - begun < 100 * 500000); /* they travel together */
    wire_close(&wire);
}

static void changed_quality_holds_for_what_enters_then(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 0});
    char got;
    send_all(wire.near, "a", 1);
    receive_all(wire.far, &got, 1);
    sb_relay_set_quality(wire.relay, wire.path, &(struct sb_relay_quality){.delay_us = 40000});
    uint64_t begun = now_us();
    send_all(wire.near, "b", 1);
    receive_all(wire.far, &got, 1);
    assert_true(now_us() - begun >= 40000);
    wire_close(&wire);
}

static void bandwidth_spreads_bytes_over_time(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.bytes_per_s = 1000000});
    static uint8_t bytes[200000];
    uint64_t begun = now_us();
    send_all(wire.near, bytes, sizeof bytes);
    receive_all(wire.far, bytes, sizeof bytes);
    assert_true(now_us() - begun >= 199000);
    wire_close(&wire);
}

static void lost_segment_costs_a_retransmission(void **state)
{
    (void)state;
    struct wire wire =
        wire_connected((struct sb_relay_quality){.delay_us = 1000, .loss_ppm = 1000000});
    char got;
    uint64_t begun = now_us();
    send_all(wire.near, "x", 1);
    receive_all(wire.far, &got, 1);
    assert_true(now_us() - begun >= 3000 + SB_RELAY_RETRANSMIT_MIN_US);
    assert_int_equal(sb_relay_counters(wire.relay).lost_segments, 1);
    wire_close(&wire);
}

/* ---- cuts ---- */

static void cut_holds_bytes_until_it_heals(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 0});
    char got[3];
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_BOTH);
    send_all(wire.near, "abc", 3);
    assert_false(readable(wire.far, QUIET_MS));
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_NONE);
    receive_all(wire.far, got, 3);
    assert_memory_equal(got, "abc", 3);
    wire_close(&wire);
}

static void cut_of_one_way_leaves_the_other(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 0});
    char got;
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_FORWARD);
    send_all(wire.near, "a", 1);
    send_all(wire.far, "b", 1);
    receive_all(wire.near, &got, 1);
    assert_int_equal(got, 'b');
    assert_false(readable(wire.far, QUIET_MS));
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_NONE);
    receive_all(wire.far, &got, 1);
    assert_int_equal(got, 'a');
    wire_close(&wire);
}

static void connection_during_a_cut_is_made_when_it_heals(void **state)
{
    (void)state;
    struct wire wire = wire_open((struct sb_relay_quality){.delay_us = 0});
    char got;
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_BACK);
    wire_dial(&wire);
    send_all(wire.near, "a", 1);
    assert_false(readable(wire.listener, QUIET_MS));
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_NONE);
    wire.far = accept_within(wire.listener);
    receive_all(wire.far, &got, 1);
    assert_int_equal(got, 'a');
    wire_close(&wire);
}

/* ---- bounds ---- */

/* send_until_full: what fits until the relay's queue is full and nothing more goes for a while. */
static size_t send_until_full(const struct wire *wire)
{
    static uint8_t bytes[65536];
    size_t sum = 0;
    uint64_t begun = now_us();
    assert_int_equal(fcntl(wire->near, F_SETFL, O_NONBLOCK), 0);
    struct pollfd poll_fd = {.fd = wire->near, .events = POLLOUT};
    bool is_full = false;
    while (!is_full) {
        assert_true(now_us() - begun < (uint64_t)WAIT_MS * 1000);
        if (poll(&poll_fd, 1, 300) == 1) {
            ssize_t sent = send(wire->near, bytes, sizeof bytes, MSG_NOSIGNAL);
            assert_true(sent > 0 || errno == EAGAIN);
            sum += sent > 0 ? (size_t)sent : 0;
        } else { /* or the relay had no turn */
            is_full = sb_relay_counters(wire->relay).queued_bytes_max >= SB_RELAY_QUEUE_BYTES_MAX;
        }
    }
    return sum;
}

static void receiver_that_does_not_read_stops_the_sender(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 0});
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_FORWARD);
    size_t sent = send_until_full(&wire);
    assert_true(sent >= SB_RELAY_QUEUE_BYTES_MAX);
    size_t queued = sb_relay_counters(wire.relay).queued_bytes_max;
    assert_true(queued >= SB_RELAY_QUEUE_BYTES_MAX);
    assert_true(queued <= SB_RELAY_QUEUE_BYTES_MAX + 65536);
    sb_relay_set_cut(wire.relay, wire.path, SB_RELAY_CUT_NONE);
    uint8_t *got = malloc(sent);
    assert_non_null(got);
    receive_all(wire.far, got, sent);
    free(got);
    wire_close(&wire);
}

static void taken_port_is_refused(void **state)
{
    (void)state;
    struct wire wire = wire_open((struct sb_relay_quality){.delay_us = 0});
    struct sb_relay *other;
    struct sb_diag diag = {.text = ""};
    size_t path;
    const struct sb_relay_quality quality = {.delay_us = 0};
    assert_int_equal(sb_relay_new(&other, 1, &diag), SB_OK);
    assert_int_equal(
        sb_relay_add(&path, other, sb_relay_port(wire.relay, wire.path), 1, &quality, &diag),
        SB_E_BUSY);
    sb_relay_free(other);
    wire_close(&wire);
}

static void free_with_bytes_on_the_way_loses_only_them(void **state)
{
    (void)state;
    struct wire wire = wire_connected((struct sb_relay_quality){.delay_us = 10000000});
    static uint8_t bytes[300000];
    send_all(wire.near, bytes, sizeof bytes);
    for (size_t i = 0; i < WAIT_MS && sb_relay_counters(wire.relay).queued_bytes_max < sizeof bytes;
         i++) {
        (void)usleep(1000);
    }
    assert_true(sb_relay_counters(wire.relay).queued_bytes_max >= sizeof bytes);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_over_a_bad_wire_arrive_whole_and_in_order),
        cmocka_unit_test(end_of_a_connection_follows_its_bytes),
        cmocka_unit_test(target_that_refuses_ends_the_connection),
        cmocka_unit_test(delay_holds_every_message_each_way),
        cmocka_unit_test(delay_of_many_messages_is_not_their_sum),
        cmocka_unit_test(changed_quality_holds_for_what_enters_then),
        cmocka_unit_test(bandwidth_spreads_bytes_over_time),
        cmocka_unit_test(lost_segment_costs_a_retransmission),
        cmocka_unit_test(cut_holds_bytes_until_it_heals),
        cmocka_unit_test(cut_of_one_way_leaves_the_other),
        cmocka_unit_test(connection_during_a_cut_is_made_when_it_heals),
        cmocka_unit_test(receiver_that_does_not_read_stops_the_sender),
        cmocka_unit_test(taken_port_is_refused),
        cmocka_unit_test(free_with_bytes_on_the_way_loses_only_them),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
