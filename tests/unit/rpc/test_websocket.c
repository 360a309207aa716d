/* test_websocket.c: sessions over real sockets: frames, requests, subscriptions, notifications, limits and ends. */
#include "rpc/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/fake_backend.h"
#include "tests/support/http_client.h"

struct setup {
    struct fake_backend *fake;
    struct sb_rpc_server *server;
    uint16_t port;
};

static void start(struct setup *s, struct sb_rpc_options options)
{
    s->fake = fake_backend_new();
    struct sb_rpc_backend backend = fake_backend_table(s->fake);
    assert_int_equal(sb_rpc_server_new(&s->server, &backend, &options, NULL), SB_OK);
    assert_int_equal(sb_rpc_server_start(s->server, NULL), SB_OK);
    s->port = sb_rpc_server_port(s->server);
}

static void stop(struct setup *s)
{
    sb_rpc_server_free(s->server);
    fake_backend_free(s->fake);
}

static void expect(int fd, const char *request, const char *part)
{
    char *answer = ws_call(fd, request);
    if (strstr(answer, part) == NULL) {
        fail_msg("%s: got %s, want %s", request, answer, part);
    }
    free(answer);
}

/* Subscribes and returns the id with its quotes. */
static char *subscribe(int fd, const char *params)
{
    char request[512];
    (void)snprintf(request, sizeof request,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\",\"params\":[%s]}",
                   params);
    char *answer = ws_call(fd, request);
    char *start_of_id = strstr(answer, "\"result\":");
    assert_non_null(start_of_id);
    char *id = strndup(start_of_id + 9, 36);
    assert_non_null(id);
    free(answer);
    return id;
}

static void expect_notification(int fd, const char *id, const char *part)
{
    uint8_t opcode = 0;
    char *text = ws_receive(fd, &opcode);
    assert_int_equal(opcode, 1);
    assert_non_null(strstr(
        text,
        "{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{\"subscription\":"));
    if (strstr(text, id) == NULL || strstr(text, part) == NULL) {
        fail_msg("got %s, want %s and %s", text, id, part);
    }
    free(text);
}

static void wait_until(bool (*done)(const struct setup *s), const struct setup *s)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 60000 && !done(s); i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_true(done(s));
}

static bool no_sessions(const struct setup *s)
{
    return sb_rpc_server_counters(s->server).sessions == 0;
}

static void requests_are_answered_on_loop_and_by_workers(void **state)
{
    struct setup s;
    uint8_t opcode = 0;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    int fd = ws_open(s.port);
    expect(fd, "{bad", "\"code\":-32700");
    expect(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"zzz\"}",
           "\"id\":\"a\",\"error\":{\"code\":-32601");
    expect(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"}",
           "\"result\":\"0x5b00\"");
    expect(
        fd,
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_call\",\"params\":[{\"data\":\"0xab\"}]}",
        "\"result\":\"0xab\"");
    expect(fd, "[{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_blockNumber\"},3]",
           "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"0x2\"},{");
    /* Notifications get no frame: the next answer is that of the next request. */
    static const char notification[] = "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}";
    ws_send(fd, 1, notification, sizeof notification - 1);
    expect(fd, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_chainId\"}", "\"id\":7");
    ws_send(fd, 9, "hey", 3);
    char *pong = ws_receive(fd, &opcode);
    assert_int_equal(opcode, 10);
    assert_string_equal(pong, "hey");
    free(pong);
    ws_send(fd, 8, "\x03\xe8", 2);
    char *bye = ws_receive(fd, &opcode);
    assert_int_equal(opcode, 8);
    free(bye);
    (void)close(fd);
    wait_until(no_sessions, &s);
    stop(&s);
}

static void subscribers_are_notified(void **state)
{
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    int fd = ws_open(s.port);
    char *heads = subscribe(fd, "\"newHeads\"");
    sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 2));
    expect_notification(fd, heads, "\"number\":\"0x2\"");
    char *logs =
        subscribe(fd, "\"logs\",{\"topics\":["
                      "\"0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]}");
    sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 1));
    sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 2)); /* no such log */
    expect_notification(fd, heads, "\"number\":\"0x1\"");
    expect_notification(fd, logs, "\"logIndex\":\"0x1\",\"removed\":false");
    expect_notification(fd, heads, "\"number\":\"0x2\"");
    expect(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"nope\"]}",
           "no \\\"nope\\\" subscription");
    char request[256];
    (void)snprintf(request, sizeof request,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_unsubscribe\",\"params\":[%s]}",
                   heads);
    expect(fd, request, "\"result\":true");
    expect(fd, request, "\"result\":false");
    char *pending = subscribe(fd, "\"newPendingTransactions\"");
    sb_hash unknown = {.b = {0xab, 0xcd}};
    sb_rpc_notify_pending(s.server, &unknown);
    expect_notification(fd, pending, "\"result\":\"0xabcd00");
    free(heads);
    free(logs);
    free(pending);
    (void)close(fd);
    stop(&s);
}

static void full_pending_transactions_are_shown_whole(void **state)
{
    struct setup s;
    struct sb_rpc_pool_tx tx;
    struct sb_arena arena;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    struct sb_rpc_backend backend = fake_backend_table(s.fake);
    const struct sb_rpc_pool_tx *txs = NULL;
    size_t count = 0;
    sb_arena_init(&arena, 1 << 20);
    assert_int_equal(backend.pool_content(backend.ctx, &arena, NULL, &txs, &count), SB_OK);
    tx = txs[0];
    int fd = ws_open(s.port);
    char *id = subscribe(fd, "\"newPendingTransactions\",true");
    sb_rpc_notify_pending(s.server, &tx.hash);
    expect_notification(fd, id, "\"nonce\":\"0x3\",\"gas\":\"0x186a0\"");
    free(id);
    sb_arena_fini(&arena);
    (void)close(fd);
    stop(&s);
}

static void limits_of_a_session_are_kept(void **state)
{
    struct setup s;
    uint8_t opcode = 0;
    static const char endless[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\","
                                  "\"params\":[{\"data\":\"0x5b600056\"}]}";
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0,
                                      .session_count_max = 2,
                                      .session_subscriptions_max = 2,
                                      .session_in_flight_max = 1,
                                      .body_bytes_max = 10000,
                                      .call_ms_max = 200});
    int fd = ws_open(s.port);
    free(subscribe(fd, "\"newHeads\""));
    free(subscribe(fd, "\"newHeads\""));
    expect(fd,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newHeads\"]}",
           "-32005");
    ws_send_twice(fd, 1, endless, sizeof endless - 1); /* read in one turn: the first still runs */
    char *answer = ws_receive(fd, &opcode);
    assert_non_null(strstr(answer, "too many requests of this connection"));
    free(answer);
    answer = ws_receive(fd, &opcode);
    assert_non_null(strstr(answer, "execution aborted"));
    free(answer);
    int second = ws_open(s.port);
    answer = http_exchange(
        s.port, "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 503"));
    free(answer);
    char *large = calloc(1, 20000);
    assert_non_null(large);
    ws_send(second, 1, large, 20000);
    answer = ws_receive(second, &opcode);
    assert_int_equal(opcode, 8);
    free(answer);
    free(large);
    (void)close(second);
    (void)close(fd);
    wait_until(no_sessions, &s);
    stop(&s);
}

static bool one_dropped(const struct setup *s)
{
    return sb_rpc_server_counters(s->server).sessions_dropped == 1;
}

static void slow_reader_is_dropped(void **state)
{
    struct setup s;
    int small = 4096;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .session_queue_bytes_max = 100000});
    int fd = ws_open(s.port);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    free(subscribe(fd, "\"newHeads\""));
    for (int i = 0; i < 2000000 && !one_dropped(&s); i++) {
        sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 2));
        if (i % 200 == 0) { /* let the loop take them before the ring is full */
            struct timespec pause = {.tv_nsec = 1000000};
            (void)nanosleep(&pause, NULL);
        }
    }
    wait_until(one_dropped, &s);
    wait_until(no_sessions, &s);
    (void)close(fd);
    stop(&s);
}

/* The bound holds while one head is told to many subscriptions, not only afterwards. */
static void logs_of_one_head_do_not_pass_the_bound_in_memory(void **state)
{
    enum { SUBSCRIPTIONS = 20000, GROWTH_KIB_MAX = 8 * 1024 };
    struct setup s;
    struct rusage before;
    struct rusage after;
    int small = 4096;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0,
                                      .session_queue_bytes_max = 100000,
                                      .session_subscriptions_max = SUBSCRIPTIONS});
    int fd = ws_open(s.port);
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        free(subscribe(fd, "\"logs\",{}"));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 1)); /* two logs for each */
    wait_until(one_dropped, &s);
    wait_until(no_sessions, &s);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    bool frees_late = false; /* sanitizers keep freed memory for a while */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    frees_late = true;
#endif
    assert_true(frees_late || after.ru_maxrss - before.ru_maxrss < GROWTH_KIB_MAX);
    (void)close(fd);
    stop(&s);
}

/* A body as large as asked for around one eth_call. */
static char *padded_call(size_t bytes, const char *data)
{
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    memset(text, ' ', bytes);
    text[bytes] = '\0';
    int len = snprintf(text, bytes,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\","
                       "\"params\":[{\"data\":\"%s\"}]}",
                       data);
    text[len] = ' ';
    return text;
}

static void waiting_requests_count_in_the_memory_of_all(void **state)
{
    enum { BODY = 1000000, REQUESTS = 10, REFUSED_MIN = 6 };
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){
                  .port = 0, .worker_count = 2, .call_ms_max = 60000, .held_bytes_max = 3 * BODY});
    int fd = ws_open(s.port);
    char *large = padded_call(BODY, "0x5b600056");
    for (int i = 0; i < REQUESTS; i++) {
        ws_send(fd, 1, large, BODY);
    }
    for (int i = 0; i < REFUSED_MIN; i++) { /* the others run, or wait */
        uint8_t opcode = 0;
        char *answer = ws_receive(fd, &opcode);
        assert_non_null(strstr(answer, "server is busy"));
        free(answer);
    }
    free(large);
    (void)close(fd);
    wait_until(no_sessions, &s);
    stop(&s);
}

static void criteria_of_a_session_are_bounded(void **state)
{
    enum { ADDRS = 1000, SUBSCRIPTIONS = 100, REQUEST_BYTES = ADDRS * 45 + 200 };
    struct setup s;
    int taken = 0;
    char first[64] = "";
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    int fd = ws_open(s.port);
    char *request = malloc(REQUEST_BYTES);
    assert_non_null(request);
    size_t len = (size_t)snprintf(request, REQUEST_BYTES,
                                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\","
                                  "\"params\":[\"logs\",{\"address\":[");
    for (int i = 0; i < ADDRS; i++) {
        len += (size_t)snprintf(request + len, REQUEST_BYTES - len, "%s\"0x%040x\"",
                                i == 0 ? "" : ",", (unsigned)i);
    }
    (void)snprintf(request + len, REQUEST_BYTES - len, "]}]}");
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        char *answer = ws_call(fd, request);
        const char *id = strstr(answer, "\"result\":");
        if (id != NULL && i == 0) {
            (void)snprintf(first, sizeof first, "%.36s", id + 9);
        }
        taken += id != NULL ? 1 : 0;
        assert_true(id != NULL || strstr(answer, "-32005") != NULL);
        free(answer);
    }
    assert_true(taken > 10 && taken < SUBSCRIPTIONS);
    char end[256];
    (void)snprintf(end, sizeof end,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_unsubscribe\",\"params\":[%s]}",
                   first);
    expect(fd, end, "\"result\":true");
    expect(fd, request, "\"result\":\"0x");
    free(request);
    (void)close(fd);
    stop(&s);
}

static bool no_calls(const struct setup *s)
{
    return fake_backend_calls_running(s->fake) == 0;
}

static bool some_calls(const struct setup *s)
{
    return fake_backend_calls_running(s->fake) != 0;
}

static void abrupt_close_stops_calls_and_frees_everything(void **state)
{
    static const char endless[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\","
                                  "\"params\":[{\"data\":\"0x5b600056\"}]}";
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .call_ms_max = 60000});
    for (int round = 0; round < 5; round++) {
        int fd = ws_open(s.port);
        for (int i = 0; i < 50; i++) {
            free(subscribe(fd, "\"newHeads\""));
        }
        for (int i = 0; i < 5; i++) {
            ws_send(fd, 1, endless, sizeof endless - 1);
        }
        wait_until(some_calls, &s);
        struct linger hard = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        (void)close(fd);
        sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 2));
        wait_until(no_calls, &s);
        wait_until(no_sessions, &s);
    }
    stop(&s);
}

static void stop_closes_open_sessions(void **state)
{
    struct setup s;
    uint8_t opcode = 0;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = ws_open(s.port);
        free(subscribe(fds[i], "\"newHeads\""));
    }
    sb_rpc_notify_head(s.server, fake_backend_block(s.fake, 2));
    stop(&s);
    for (int i = 0; i < 3; i++) {
        char *text = ws_receive(fds[i], &opcode);
        free(text);
        if (opcode == 1) { /* the notification was quicker */
            free(ws_receive(fds[i], &opcode));
        }
        assert_int_equal(opcode, 8);
        (void)close(fds[i]);
    }
}

static void foreign_origin_is_refused_when_one_is_set(void **state)
{
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .cors_origin = "http://good.example"});
    static const char form[] =
        "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: %s\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const char *const rows[][2] = {{"http://bad.example", "HTTP/1.1 403"},
                                          {"http://good.example", "HTTP/1.1 101"}};
    for (size_t i = 0; i < 2; i++) {
        char request[512];
        (void)snprintf(request, sizeof request, form, rows[i][0]);
        char *answer = http_exchange(s.port, request);
        assert_non_null(strstr(answer, rows[i][1]));
        free(answer);
    }
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_on_loop_and_by_workers),
        cmocka_unit_test(subscribers_are_notified),
        cmocka_unit_test(full_pending_transactions_are_shown_whole),
        cmocka_unit_test(limits_of_a_session_are_kept),
        cmocka_unit_test(slow_reader_is_dropped),
        cmocka_unit_test(logs_of_one_head_do_not_pass_the_bound_in_memory),
        cmocka_unit_test(waiting_requests_count_in_the_memory_of_all),
        cmocka_unit_test(criteria_of_a_session_are_bounded),
        cmocka_unit_test(abrupt_close_stops_calls_and_frees_everything),
        cmocka_unit_test(stop_closes_open_sessions),
        cmocka_unit_test(foreign_origin_is_refused_when_one_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
