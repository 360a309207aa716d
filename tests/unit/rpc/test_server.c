/* test_server.c: the HTTP side of the server over real sockets: errors, ids, batches, limits, hostile clients, shutting down. */
#include "rpc/server.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/fake_backend.h"
#include "tests/support/http_client.h"

#define LONG_MS 60000 /* for what comes, however slow the machine is */

struct setup {
    struct fake_backend *fake;
    struct sb_rpc_server *server;
    uint16_t port;
};

static void start(struct setup *s, struct sb_rpc_options options)
{
    struct sb_diag diag = {.text = ""};
    s->fake = fake_backend_new();
    struct sb_rpc_backend backend = fake_backend_table(s->fake);
    assert_int_equal(sb_rpc_server_new(&s->server, &backend, &options, &diag), SB_OK);
    assert_int_equal(sb_rpc_server_start(s->server, &diag), SB_OK);
    s->port = sb_rpc_server_port(s->server);
    assert_int_not_equal(s->port, 0);
}

static void stop(struct setup *s)
{
    sb_rpc_server_free(s->server);
    fake_backend_free(s->fake);
}

static char *post(const struct setup *s, const char *body)
{
    return http_post(s->port, body, strlen(body), NULL);
}

static void assert_alive(const struct setup *s)
{
    char *answer =
        post(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[]}");
    assert_string_equal(answer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x5b00\"}");
    free(answer);
}

/* The code of the error that a body gets; 0 for a result. */
static int code_of(const struct setup *s, const char *body, size_t len)
{
    int status = 0;
    int code = 0;
    char *answer = http_post(s->port, body, len, &status);
    json_t *json = json_loads(answer, 0, NULL);
    assert_int_equal(status, 200);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "jsonrpc")), "2.0");
    code = (int)json_integer_value(json_object_get(json_object_get(json, "error"), "code"));
    json_decref(json);
    free(answer);
    return code;
}

static void malformed_requests_get_their_code_and_leave_the_node_alive(void **state)
{
    static const struct {
        const char *body;
        int code;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"", -32700},
        {"hello", -32700},
        {"", -32700},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", -32700},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"}xx", -32700},
        {"1", -32600},
        {"\"x\"", -32600},
        {"[]", -32600},
        {"{\"jsonrpc\":\"2.0\",\"id\":7}", -32600},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", -32600},
        {"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"eth_chainId\"}", -32600},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_noSuch\"}", -32601},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_chainId\",\"params\":[1]}", -32602},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_chainId\",\"params\":{\"a\":1}}", -32602},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_getBalance\",\"params\":[{\"a\":1,\"a\":2}"
         "]}",
         -32602},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_chainId\",\"params\":{}}", 0},
    };
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = code_of(&s, rows[i].body, strlen(rows[i].body));
        if (code != rows[i].code) {
            fail_msg("%s: got %d, want %d", rows[i].body, code, rows[i].code);
        }
        assert_alive(&s);
    }
    assert_int_equal(code_of(&s, "{}\0", 3), -32700);
    stop(&s);
}

static void params_errors_name_argument_and_reason(void **state)
{
    static const struct {
        const char *method, *params, *message;
    } rows[] = {
        {"eth_getBalance", "[]", "missing value for required argument 0"},
        {"eth_getBalance", "[null]", "missing value for required argument 0"},
        {"eth_getBalance", "[\"0x1234\"]",
         "invalid argument 0: hex string has length 4, want 40 for an address"},
        {"eth_getBalance", "[\"0xzz00000000000000000000000000000000000000\"]",
         "invalid argument 0: invalid hex string"},
        {"eth_getBalance", "[{}]", "invalid argument 0: got an object, want an address"},
        {"eth_getBalance", "[\"0x0000000000000000000000000000000000000000\",\"lates\"]",
         "invalid argument 1: hex string without 0x prefix"},
        {"eth_getBalance",
         "[\"0x0000000000000000000000000000000000000000\",{\"blockNumber\":\"0x1\",\"blockHash\":"
         "\"0x1\"}]",
         "invalid argument 1: specify either blockHash or blockNumber, not both and not none"},
        {"eth_getBlockByNumber", "[\"12\",false]",
         "invalid argument 0: hex string without 0x prefix"},
        {"eth_getBlockByNumber", "[\"0x\",false]", "invalid argument 0: hex string \"0x\""},
        {"eth_getBlockByNumber", "[\"0x01\",false]",
         "invalid argument 0: hex number with leading zero digits"},
        {"eth_getBlockByNumber", "[\"0x100000000000000000\",false]",
         "invalid argument 0: hex number > 64 bits"},
        {"eth_getBlockByNumber", "[\"0x8000000000000000\",false]",
         "invalid argument 0: block number larger than int64"},
        {"eth_getBlockByNumber", "[\"latest\",\"yes\"]",
         "invalid argument 1: got a string, want a boolean"},
        {"eth_getBlockByNumber", "[\"latest\",true,1]", "too many arguments, want at most 2"},
        {"eth_sendRawTransaction", "[\"0x123\"]", "invalid argument 0: hex string has odd length"},
        {"eth_call", "[\"0x1234\"]", "invalid argument 0: want an object: the transaction to run"},
        {"eth_call", "[{\"from\":\"0x12\"}]",
         "invalid argument 0: from: hex string has length 2, want 40 for an address"},
        {"eth_call", "[{\"input\":\"0x12\",\"data\":\"0x13\"}]",
         "invalid argument 0: both \"data\" and \"input\" are set and not equal, use \"input\""},
        {"eth_call", "[{\"gasPrice\":\"0x1\",\"maxFeePerGas\":\"0x1\"}]",
         "invalid argument 0: both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"},
        {"eth_call", "[{},\"latest\",{\"0x12\":{}}]",
         "invalid argument 2: key \"0x12\" is not an address"},
        {"eth_getStorageAt",
         "[\"0x0000000000000000000000000000000000000000\","
         "\"0x00000000000000000000000000000000000000000000000000000000000000000\"]",
         "invalid argument 1: storage key too long (want at most 32 bytes)"},
        {"eth_getLogs", "[{\"topics\":[null,null,null,null,null]}]",
         "invalid argument 0: topics: exceed max topics: 5, a log has at most 4"},
        {"eth_getLogs",
         "[{\"fromBlock\":\"0x1\",\"blockHash\":"
         "\"0x1111111111111111111111111111111111111111111111111111111111111111\"}]",
         "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or "
         "the other"},
        {"eth_feeHistory", "[\"0x1\",\"latest\",[90,10]]",
         "invalid argument 2: invalid reward percentile: #1 is not above #0"},
        {"eth_feeHistory", "[\"0x1\",\"latest\",[101]]",
         "invalid argument 2: invalid reward percentile: #0 is not a number from 0 to 100"},
        {"debug_traceTransaction",
         "[\"0x1111111111111111111111111111111111111111111111111111111111111111\",{\"tracer\":"
         "\"x\"}]",
         "invalid argument 1: tracer: unknown tracer \"x\": callTracer, prestateTracer, or none "
         "for step logs"},
    };
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[1024];
        (void)snprintf(body, sizeof body,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
                       rows[i].method, rows[i].params);
        char *answer = post(&s, body);
        json_t *json = json_loads(answer, 0, NULL);
        json_t *error = json_object_get(json, "error");
        if (error == NULL) {
            fail_msg("%s %s: %s", rows[i].method, rows[i].params, answer);
        }
        assert_string_equal(json_string_value(json_object_get(error, "message")), rows[i].message);
        assert_int_equal(json_integer_value(json_object_get(error, "code")), -32602);
        json_decref(json);
        free(answer);
    }
    stop(&s);
}

static void ids_are_echoed_as_written(void **state)
{
    static const char *const ids[] = {
        "\"s\"",          "-5",  "1.5", "9007199254740991", "1e400", "18446744073709551616",
        "\"\\u00e9\\n\"", "null"};
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char body[256];
        char want[256];
        (void)snprintf(body, sizeof body,
                       "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"eth_blockNumber\"}", ids[i]);
        (void)snprintf(want, sizeof want, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":\"0x2\"}",
                       ids[i]);
        char *answer = post(&s, body);
        assert_string_equal(answer, want);
        free(answer);
    }
    stop(&s);
}

static void notifications_get_no_body(void **state)
{
    struct setup s;
    int status = 0;
    static const char one[] = "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}";
    static const char batch[] = "[{\"jsonrpc\":\"2.0\",\"method\":\"eth_getBalance\"},{\"jsonrpc\":"
                                "\"2.0\",\"method\":\"nope\"}]";
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    char *answer = http_post(s.port, one, sizeof one - 1, &status);
    assert_string_equal(answer, "");
    assert_int_equal(status, 204);
    free(answer);
    answer = http_post(s.port, batch, sizeof batch - 1, &status);
    assert_string_equal(answer, "");
    assert_int_equal(status, 204);
    free(answer);
    stop(&s);
}

static void batch_mixes_good_bad_and_notifications(void **state)
{
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    char *answer =
        post(&s, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"},{\"jsonrpc\":\"2.0\","
                 "\"id\":2,\"method\":\"nope\"},5,"
                 "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"},"
                 "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"eth_getTransactionCount\",\"params\":["
                 "\"0x0000000000000000000000000000000000000000\"]}]");
    assert_string_equal(answer, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x5b00\"},"
                                "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,"
                                "\"message\":\"the method nope does not exist/is "
                                "not available\"}},"
                                "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
                                "\"message\":\"invalid request: not an "
                                "object\"}},"
                                "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"0x0\"}]");
    free(answer);
    stop(&s);
}

static void limits_are_kept(void **state)
{
    struct setup s;
    int status = 0;
    size_t len = 300000;
    char *body = malloc(len);
    (void)state;
    assert_non_null(body);
    start(&s, (struct sb_rpc_options){.port = 0,
                                      .body_bytes_max = 200000,
                                      .batch_count_max = 3,
                                      .response_bytes_max = 2000});
    memset(body, ' ', len);
    char *answer = http_post(s.port, body, len, &status);
    assert_int_equal(status, 413);
    free(answer);
    assert_alive(&s);
    memset(body, '[', len);
    assert_int_equal(code_of(&s, body, 100000), -32600);
    assert_int_equal(code_of(&s, "[1,1,1,1]", 9), -32005);
    /* A block of this chain is larger than the answer may be. */
    static const char block[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBlockByNumber\","
                                "\"params\":[\"0x1\",true]}";
    assert_int_equal(code_of(&s, block, sizeof block - 1), -32005);
    assert_alive(&s);
    free(body);
    stop(&s);
}

static void batch_shares_one_gas_budget(void **state)
{
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .call_gas_max = 1000, .batch_gas_max = 1500});
    /* The fake uses all gas it is given: 1000, then the 500 that are left, then none. */
    char *answer = post(
        &s,
        "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[{\"data\":\"0x01\"}]},"
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_call\",\"params\":[{\"data\":\"0x02\"}]},"
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"eth_call\",\"params\":[{\"data\":\"0x03\"}]}]");
    assert_non_null(strstr(answer, "\"id\":1,\"result\":\"0x01\""));
    assert_non_null(strstr(answer, "\"id\":2,\"result\":\"0x02\""));
    assert_non_null(strstr(answer, "\"id\":3,\"error\":{\"code\":-32005"));
    free(answer);
    stop(&s);
}

static void http_methods_types_and_pages(void **state)
{
    static const struct {
        const char *request, *want;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405"},
        {"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405"},
        {"DELETE / HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405"},
        {"GET /nope HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 404"},
        {"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 200"},
        {"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 200"},
        {"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n",
         "{\"ready\":true,\"status\":\"ready\",\"height\":2,\"bestHeight\":2,\"lastBlockAgeMs\":"
         "500,"
         "\"peers\":3,\"validator\":true,\"voting\":true}"},
        {"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n", "\nsamebit_head_number 2\n"},
        {"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n", "\nsamebit_rpc_requests_total 0\n"},
        {"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n", "text/plain; version=0.0.4"},
        {"OPTIONS / HTTP/1.1\r\nHost: t\r\nOrigin: http://x\r\n\r\n",
         "Access-Control-Allow-Origin: *"},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
         "HTTP/1.1 415"},
        {"POST /x HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: "
         "2\r\n\r\n{}",
         "HTTP/1.1 404"},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/json; "
         "charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
         "-32600"},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: "
         "-1\r\n\r\n{}",
         "HTTP/1.1 400"},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
         "HTTP/1.1 400"},
        {"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: "
         "Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
         "HTTP/1.1 400"},
        {"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: "
         "Upgrade\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "HTTP/1.1 426"},
    };
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *answer = http_exchange(s.port, rows[i].request);
        if (strstr(answer, rows[i].want) == NULL) {
            fail_msg("%s\ngot %s", rows[i].request, answer);
        }
        free(answer);
    }
    stop(&s);
}

static void readiness_is_503_with_its_reason_while_catching_up_halted_or_failed(void **state)
{
    static const struct {
        enum sb_rpc_condition condition;
        const char *want;
    } rows[] = {
        {SB_RPC_CATCHING_UP, "\"status\":\"catching up\",\"reason\":\"at block 2 of 9\","
                             "\"height\":2,\"bestHeight\":9,"},
        {SB_RPC_ALONE, "\"status\":\"alone\""},
        {SB_RPC_STANDING, "\"status\":\"standing still\""},
        {SB_RPC_NOT_VOTING, "\"status\":\"not voting\""},
        {SB_RPC_HALTED, "\"status\":\"halted\""},
        {SB_RPC_FAILED, "\"status\":\"failed\""},
    };
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_backend_set_condition(s.fake, rows[i].condition);
        char *answer = http_exchange(s.port, "GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_non_null(strstr(answer, "HTTP/1.1 503"));
        assert_non_null(strstr(answer, "application/json"));
        assert_non_null(strstr(answer, "{\"ready\":false,"));
        assert_non_null(strstr(answer, rows[i].want));
        free(answer);
        answer = http_exchange(s.port, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_non_null(strstr(answer, "HTTP/1.1 200")); /* the process lives */
        free(answer);
    }
    stop(&s);
}

static void keep_alive_and_chunked_bodies_are_served(void **state)
{
    static const char parts[2][32] = {"{\"jsonrpc\":\"2.0\",\"id\":1,\"metho",
                                      "d\":\"eth_blockNumber\"}"};
    char chunked[256];
    int len = snprintf(chunked, sizeof chunked,
                       "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: "
                       "application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "%zx\r\n%s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                       strlen(parts[0]), parts[0], strlen(parts[1]), parts[1]);
    struct setup s;
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    int fd = http_connect(s.port);
    for (int i = 0; i < 3; i++) {
        http_send(fd, chunked, (size_t)len);
        char *answer = http_read_answer(fd);
        assert_non_null(strstr(answer, "\"result\":\"0x2\""));
        free(answer);
        static const char get[] = "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";
        http_send(fd, get, sizeof get - 1);
        answer = http_read_answer(fd);
        assert_non_null(strstr(answer, "ok"));
        free(answer);
    }
    (void)close(fd);
    stop(&s);
}

static void half_open_connections_do_not_block_others(void **state)
{
    static const char part[] = "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: "
                               "application/json\r\nContent-Length: 500\r\n\r\n{";
    static const int counts[] = {128, 200};
    struct setup s;
    int fds[200];
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    for (size_t c = 0; c < 2; c++) {
        for (int i = 0; i < counts[c]; i++) {
            fds[i] = http_connect(s.port);
            http_send(fds[i], part, sizeof part - 1);
        }
        assert_alive(&s);
        for (int i = 0; i < counts[c]; i++) {
            (void)close(fds[i]);
        }
        assert_alive(&s);
    }
    stop(&s);
}

static void full_server_accepts_again_when_clients_leave(void **state)
{
    static const char part[] = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 500\r\n\r\n{";
    struct setup s;
    struct timespec pause = {.tv_nsec = 1000000};
    int fds[8];
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .connection_count_max = 8});
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            fds[i] = http_connect(s.port);
            http_send(fds[i], part, sizeof part - 1);
        }
        while (sb_rpc_server_counters(s.server).connections < 8) {
            (void)nanosleep(&pause, NULL);
        }
        assert_int_equal(sb_rpc_server_counters(s.server).connections, 8);
        for (int i = 0; i < 8; i++) {
            (void)close(fds[i]);
        }
        assert_alive(&s);
    }
    stop(&s);
}

/* post_endless: a call that does not end by itself, on each of these connections. */
static void post_endless(const struct setup *s, int *ret_fds, size_t count)
{
    static const char endless[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":"
        "[{\"data\":\"0x5b600056\",\"gas\":\"0xffffffffffff\"},\"latest\"]}";
    for (size_t i = 0; i < count; i++) {
        ret_fds[i] = http_connect(s->port);
        http_send_post(ret_fds[i], endless, sizeof endless - 1);
    }
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void endless_calls_leave_a_worker_to_reads(void **state)
{
    static const char read[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBalance\",\"params\":"
        "[\"0x0000000000000000000000000000000000000000\"]}";
    struct timespec pause = {.tv_nsec = 1000000};
    struct setup s;
    int fds[8];
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .call_ms_max = LONG_MS, .worker_count = 3});
    post_endless(&s, fds, 8);
    for (int i = 0; i < LONG_MS && fake_backend_calls_running(s.fake) < 2; i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(code_of(&s, read, sizeof read - 1), 0);
    assert_int_equal(fake_backend_calls_running(s.fake), 2);
    stop(&s);
    close_all(fds, 8);
}

static void endless_call_ends_at_its_time_limit(void **state)
{
    struct setup s;
    int fds[8];
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .call_ms_max = 300, .worker_count = 3});
    post_endless(&s, fds, 8);
    for (size_t i = 0; i < 8; i++) {
        char *answer = http_read_answer(fds[i]);
        assert_non_null(
            strstr(answer, "\"code\":-32000,\"message\":\"execution aborted (timeout = 0.3s)"));
        free(answer);
        (void)close(fds[i]);
    }
    stop(&s);
}

static void full_queue_refuses_clearly(void **state)
{
    struct setup s;
    int fds[8];
    struct pollfd waiting[8];
    int busy = 0;
    (void)state;
    start(&s,
          (struct sb_rpc_options){
              .port = 0, .call_ms_max = 10 * LONG_MS, .worker_count = 2, .worker_queue_max = 2});
    post_endless(&s, fds, 8);
    for (size_t i = 0; i < 8; i++) {
        waiting[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    while (busy < 5) { /* one runs; two wait, or one that the worker has not taken yet more */
        assert_true(poll(waiting, 8, LONG_MS) > 0);
        for (size_t i = 0; i < 8; i++) {
            if (waiting[i].revents != 0) {
                char *answer = http_read_answer(fds[i]);
                assert_non_null(strstr(answer, "-32005"));
                assert_non_null(strstr(answer, "server is busy"));
                free(answer);
                waiting[i].fd = -1;
                busy++;
            }
        }
    }
    assert_in_range(busy, 5, 6);
    assert_true(sb_rpc_server_counters(s.server).rejected >= 5);
    stop(&s);
    close_all(fds, 8);
}

static void unread_answers_are_bounded_together(void **state)
{
    static const char half[] = "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: "
                               "application/json\r\nContent-Length: 4000000\r\n\r\n";
    struct setup s;
    int fds[8];
    char *piece = calloc(1, 1000000);
    int refused = 0;
    (void)state;
    assert_non_null(piece);
    start(&s, (struct sb_rpc_options){.port = 0, .held_bytes_max = 3000000});
    for (size_t i = 0; i < 8; i++) {
        fds[i] = http_connect(s.port);
        http_send(fds[i], half, sizeof half - 1);
        http_send(fds[i], piece, 1000000);
    }
    struct pollfd waiting[8];
    for (size_t i = 0; i < 8; i++) {
        waiting[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    while (refused < 4) {
        assert_true(poll(waiting, 8, LONG_MS) > 0);
        for (size_t i = 0; i < 8; i++) {
            char byte = 0;
            if (waiting[i].revents != 0) {
                ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT);
                refused += got == 0 || (got < 0 && errno == ECONNRESET) ? 1 : 0;
                waiting[i].fd = -1;
            }
        }
    }
    close_all(fds, 8);
    assert_alive(&s);
    free(piece);
    stop(&s);
}

static void stop_ends_running_calls_and_can_start_again(void **state)
{
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\","
                                  "\"params\":[{\"data\":\"0x5b600056\"},\"latest\"]}";
    struct setup s;
    struct sb_diag diag = {.text = ""};
    struct timespec pause = {.tv_nsec = 1000000};
    int fds[4];
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0, .call_ms_max = 60000});
    for (size_t i = 0; i < 4; i++) {
        fds[i] = http_connect(s.port);
        http_send_post(fds[i], request, sizeof request - 1);
    }
    while (fake_backend_calls_running(s.fake) == 0) {
        (void)nanosleep(&pause, NULL);
    }
    sb_rpc_server_stop(s.server);
    assert_int_equal(fake_backend_calls_running(s.fake), 0);
    for (size_t i = 0; i < 4; i++) {
        (void)close(fds[i]);
    }
    assert_int_equal(sb_rpc_server_start(s.server, &diag), SB_OK);
    s.port = sb_rpc_server_port(s.server);
    assert_alive(&s);
    stop(&s);
}

/* Requests lie ready in the sockets when the stop comes, so some are read after the workers have ended; calls run, so that the watch
 * over them ticks; sessions take turns of the loop to close. */
static void stop_while_requests_keep_coming_ends_in_order(void **state)
{
    enum { CONNECTIONS = 8, REQUESTS = 400, SESSIONS = 100, ROUNDS = 10 };
    static const char read[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBalance\","
                               "\"params\":[\"0x0000000000000000000000000000000000000001\"]}";
    static const char endless[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\","
                                  "\"params\":[{\"data\":\"0x5b600056\"}]}";
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct setup s;
        int fds[CONNECTIONS];
        int sessions[SESSIONS];
        start(&s, (struct sb_rpc_options){.port = 0, .call_ms_max = 60000});
        for (int i = 0; i < SESSIONS; i++) {
            sessions[i] = ws_open(s.port);
            ws_send(sessions[i], 1, endless, sizeof endless - 1);
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            fds[i] = http_connect(s.port);
            for (int k = 0; k < REQUESTS; k++) {
                http_send_post(fds[i], read, sizeof read - 1);
            }
        }
        stop(&s);
        for (int i = 0; i < CONNECTIONS; i++) {
            (void)close(fds[i]);
        }
        for (int i = 0; i < SESSIONS; i++) {
            (void)close(sessions[i]);
        }
    }
}

static void methods_without_their_backend_function_do_not_exist(void **state)
{
    static const char call[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[{}]}";
    struct setup s = {.fake = fake_backend_new()};
    struct sb_rpc_options options = {.port = 0};
    struct sb_rpc_backend backend = fake_backend_table(s.fake);
    (void)state;
    backend.call = NULL;
    assert_int_equal(sb_rpc_server_new(&s.server, &backend, &options, NULL), SB_OK);
    assert_int_equal(sb_rpc_server_start(s.server, NULL), SB_OK);
    s.port = sb_rpc_server_port(s.server);
    assert_int_equal(code_of(&s, call, sizeof call - 1), -32601);
    assert_alive(&s);
    stop(&s);
}

static void start_names_a_taken_port_and_a_bad_host(void **state)
{
    struct setup s;
    struct sb_rpc_server *second = NULL;
    struct sb_diag diag = {.text = ""};
    (void)state;
    start(&s, (struct sb_rpc_options){.port = 0});
    struct sb_rpc_backend backend = fake_backend_table(s.fake);
    struct sb_rpc_options options = {.port = s.port};
    assert_int_equal(sb_rpc_server_new(&second, &backend, &options, &diag), SB_OK);
    assert_int_equal(sb_rpc_server_start(second, &diag), SB_E_BUSY);
    assert_non_null(strstr(diag.text, "Address already in use"));
    sb_rpc_server_free(second);
    options.host = "example.org";
    assert_int_equal(sb_rpc_server_new(&second, &backend, &options, &diag), SB_OK);
    assert_int_equal(sb_rpc_server_start(second, &diag), SB_E_ARG);
    sb_rpc_server_free(second);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_get_their_code_and_leave_the_node_alive),
        cmocka_unit_test(params_errors_name_argument_and_reason),
        cmocka_unit_test(ids_are_echoed_as_written),
        cmocka_unit_test(notifications_get_no_body),
        cmocka_unit_test(batch_mixes_good_bad_and_notifications),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(batch_shares_one_gas_budget),
        cmocka_unit_test(http_methods_types_and_pages),
        cmocka_unit_test(readiness_is_503_with_its_reason_while_catching_up_halted_or_failed),
        cmocka_unit_test(keep_alive_and_chunked_bodies_are_served),
        cmocka_unit_test(half_open_connections_do_not_block_others),
        cmocka_unit_test(full_server_accepts_again_when_clients_leave),
        cmocka_unit_test(endless_calls_leave_a_worker_to_reads),
        cmocka_unit_test(endless_call_ends_at_its_time_limit),
        cmocka_unit_test(full_queue_refuses_clearly),
        cmocka_unit_test(unread_answers_are_bounded_together),
        cmocka_unit_test(stop_ends_running_calls_and_can_start_again),
        cmocka_unit_test(stop_while_requests_keep_coming_ends_in_order),
        cmocka_unit_test(methods_without_their_backend_function_do_not_exist),
        cmocka_unit_test(start_names_a_taken_port_and_a_bad_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
