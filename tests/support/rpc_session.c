/* rpc_session.c: see rpc_session.h. */
#include "tests/support/rpc_session.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/util/assert.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define READ_BYTES       65536
#define TIMEOUT_S        60
#define HEAD_BYTES       256

static void session_break(struct rpc_session *session)
{
    if (session->fd >= 0) {
        (void)close(session->fd);
        session->fd = -1;
    }
}

bool rpc_open(struct rpc_session *session, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = TIMEOUT_S};
    int on = 1;
    *session = (struct rpc_session){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    (void)inet_pton(AF_INET, "127.0.0.1", &addr.sin_addr);
    (void)setsockopt(session->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(session->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        session_break(session);
    }
    return session->fd >= 0;
}

void rpc_close(struct rpc_session *session)
{
    session_break(session);
    free(session->buffer);
    session->buffer = NULL;
}

static bool send_all(struct rpc_session *session, const char *data, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(session->fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* answer_bytes: length of the whole answer when its head is there, else 0. *ret_body is where the body begins. */
static size_t answer_bytes(const char *text, size_t *ret_body)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "content-length:");
    if (end == NULL || length == NULL || length > end) {
        return 0;
    }
    *ret_body = (size_t)(end - text) + 4;
    return *ret_body + strtoul(length + strlen("content-length:"), NULL, 10);
}

/* exchange: post a body; the body of the answer within session->buffer, NULL when the connection broke. */
static const char *exchange(struct rpc_session *session, const char *body)
{
    char head[HEAD_BYTES];
    int head_len =
        snprintf(head, sizeof head,
                 "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 strlen(body));
    if (!send_all(session, head, (size_t)head_len) || !send_all(session, body, strlen(body))) {
        return NULL;
    }
    size_t len = 0, body_at = 0, whole = 0;
    while (whole == 0 || len < whole) {
        if (session->capacity - len < READ_BYTES + 1) {
            session->capacity = 2 * session->capacity + 2 * READ_BYTES;
            SB_ASSERT(session->capacity <= ANSWER_BYTES_MAX);
            session->buffer = realloc(session->buffer, session->capacity);
            SB_ASSERT(session->buffer != NULL);
        }
        ssize_t got = recv(session->fd, session->buffer + len, READ_BYTES, 0);
        if (got <= 0) {
            return NULL;
        }
        len += (size_t)got;
        session->buffer[len] = '\0';
        whole = whole != 0 ? whole : answer_bytes(session->buffer, &body_at);
    }
    return session->buffer + body_at;
}

void rpc_batch_add(struct rpc_session *session, json_t *batch, const char *method,
                   json_t *params_take)
{
    json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", session->next_id++,
                                "method", method, "params", params_take);
    SB_ASSERT(request != NULL && json_array_append_new(batch, request) == 0);
}

static json_t *request_send(struct rpc_session *session, json_t *request_take)
{
    char *text = json_dumps(request_take, JSON_COMPACT);
    SB_ASSERT(text != NULL);
    const char *answer = session->fd >= 0 ? exchange(session, text) : NULL;
    json_t *parsed = answer != NULL ? json_loads(answer, 0, NULL) : NULL;
    if (answer == NULL) {
        session_break(session);
    }
    free(text);
    json_decref(request_take);
    return parsed;
}

json_t *rpc_batch(struct rpc_session *session, json_t *batch_take)
{
    size_t count = json_array_size(batch_take);
    json_int_t first = json_integer_value(json_object_get(json_array_get(batch_take, 0), "id"));
    json_t *answers = request_send(session, batch_take);
    json_t *sorted = json_array();
    SB_ASSERT(sorted != NULL);
    for (size_t i = 0; i < count; i++) {
        SB_ASSERT(json_array_append_new(sorted, json_null()) == 0);
    }
    size_t filled = 0;
    for (size_t i = 0; i < json_array_size(answers); i++) {
        json_t *answer = json_array_get(answers, i);
        json_int_t index = json_integer_value(json_object_get(answer, "id")) - first;
        if (index >= 0 && (size_t)index < count) {
            (void)json_array_set(sorted, (size_t)index, answer);
            filled++;
        }
    }
    json_decref(answers);
    if (filled != count) {
        json_decref(sorted);
        return NULL;
    }
    return sorted;
}

json_t *rpc_call(struct rpc_session *session, const char *method, json_t *params_take,
                 char ret_error[RPC_ERROR_BYTES])
{
    json_t *batch = json_array();
    rpc_batch_add(session, batch, method, params_take);
    json_t *answer = request_send(session, json_incref(json_array_get(batch, 0)));
    json_decref(batch);
    json_t *result = json_incref(json_object_get(answer, "result"));
    if (result == NULL && ret_error != NULL) {
        char *text =
            answer != NULL ? json_dumps(json_object_get(answer, "error"), JSON_COMPACT) : NULL;
        (void)snprintf(ret_error, RPC_ERROR_BYTES, "%s: %s", method,
                       text != NULL ? text : "no answer");
        free(text);
    }
    json_decref(answer);
    return result;
}
