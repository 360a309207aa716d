/* rpc_client.c: requests over HTTP/1.0, one a connection; see rpc_client.h. HTTP/1.0 so that no server answers in chunks. */
#include "node/rpc_client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/codec/hex.h"

#define READ_BYTES    ((size_t)64 * 1024)
#define HEADERS_MAX   ((size_t)64 * 1024)
#define STATUS_OFFSET 9 /* "HTTP/1.1 200" */

/* ---- address ---- */

sb_err sb_rpc_client_init(struct sb_rpc_client *client, const char *url, struct sb_diag *diag)
{
    static const char k_scheme[] = "http://";
    memset(client, 0, sizeof *client);
    client->timeout_ms = SB_RPC_CLIENT_TIMEOUT_MS;
    if (strncmp(url, k_scheme, sizeof k_scheme - 1) != 0) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.100s\" is not of the form http://HOST:PORT", url);
    }
    const char *host = url + sizeof k_scheme - 1;
    size_t authority = strcspn(host, "/");
    const char *path = host[authority] == '/' ? host + authority : "/";
    const char *bracket = *host == '[' ? memchr(host, ']', authority) : NULL;
    const char *after = bracket != NULL ? bracket + 1 : host;
    const char *colon = memchr(after, ':', authority - (size_t)(after - host));
    size_t host_len = colon != NULL ? (size_t)(colon - host) : authority;
    size_t port_len = colon != NULL ? authority - host_len - 1 : 0;
    const char *port = colon != NULL ? colon + 1 : "80";
    if (bracket != NULL) {
        host++;
        host_len = (size_t)(bracket - host);
    }
    if (host_len == 0 || host_len >= sizeof client->host || port_len >= sizeof client->port ||
        strlen(path) >= sizeof client->path || strpbrk(url, " \r\n\t") != NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.100s\" is not of the form http://HOST:PORT", url);
    }
    memcpy(client->host, host, host_len);
    memcpy(client->port, port, colon != NULL ? port_len : 2);
    memcpy(client->path, path, strlen(path));
    return SB_OK;
}

/* ---- transport ---- */

struct exchange {
    const struct sb_rpc_client *client;
    int fd;
    uint64_t deadline_ms;
    struct sb_diag *diag;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static sb_err fail_io(const struct exchange *x, const char *what)
{
    return sb_fail(x->diag, SB_E_IO, "%s:%s: %s: %s", x->client->host, x->client->port, what,
                   strerror(errno));
}

/* Wait until the socket can be read or written. */
static sb_err wait_for(const struct exchange *x, short events)
{
    for (;;) {
        uint64_t now = now_ms();
        struct pollfd p = {.fd = x->fd, .events = events};
        int left = now < x->deadline_ms ? (int)(x->deadline_ms - now) : 0;
        int n = poll(&p, 1, left);
        if (n > 0) {
            return SB_OK;
        }
        if (n == 0) {
            return sb_fail(x->diag, SB_E_TIMEOUT, "%s:%s: no answer in time", x->client->host,
                           x->client->port);
        }
        if (errno != EINTR) {
            return fail_io(x, "cannot wait");
        }
    }
}

static sb_err connect_to(struct exchange *x, const struct addrinfo *address)
{
    x->fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                   address->ai_protocol);
    if (x->fd < 0) {
        return fail_io(x, "no socket");
    }
    if (connect(x->fd, address->ai_addr, address->ai_addrlen) != 0) {
        int error = 0;
        socklen_t len = sizeof error;
        if (errno != EINPROGRESS) {
            return fail_io(x, "cannot connect");
        }
        SB_TRY(wait_for(x, POLLOUT));
        if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
            errno = error;
            return fail_io(x, "cannot connect");
        }
    }
    return SB_OK;
}

static sb_err open_connection(struct exchange *x)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(x->client->host, x->client->port, &hints, &list);
    if (status != 0) {
        return sb_fail(x->diag, SB_E_IO, "%s:%s: %s", x->client->host, x->client->port,
                       gai_strerror(status));
    }
    sb_err err = SB_E_IO;
    for (const struct addrinfo *at = list; at != NULL && err != SB_OK; at = at->ai_next) {
        err = connect_to(x, at);
        if (err != SB_OK && x->fd >= 0) {
            (void)close(x->fd);
            x->fd = -1;
        }
    }
    freeaddrinfo(list);
    return err;
}

static sb_err send_all(const struct exchange *x, sb_bytes bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        ssize_t n = send(x->fd, bytes.data + at, bytes.len - at, MSG_NOSIGNAL);
        if (n > 0) {
            at += (size_t)n;
        } else if (errno == EAGAIN) {
            SB_TRY(wait_for(x, POLLOUT));
        } else if (errno != EINTR) {
            return fail_io(x, "cannot send");
        }
    }
    return SB_OK;
}

static sb_err receive_all(const struct exchange *x, struct sb_buf *answer)
{
    for (;;) {
        uint8_t *room = sb_buf_grow(answer, READ_BYTES);
        if (room == NULL) {
            return sb_fail(x->diag, SB_E_LIMIT, "the answer is larger than %zu bytes",
                           answer->limit_bytes);
        }
        answer->len -= READ_BYTES;
        ssize_t n = recv(x->fd, room, READ_BYTES, 0);
        if (n > 0) {
            answer->len += (size_t)n;
        } else if (n == 0) {
            return SB_OK;
        } else if (errno == EAGAIN) {
            SB_TRY(wait_for(x, POLLIN));
        } else if (errno != EINTR) {
            return fail_io(x, "cannot receive");
        }
    }
}

/* exchange_bytes: send head and body, take all that comes until the other side closes. */
static sb_err exchange_bytes(struct sb_buf *answer, const struct sb_rpc_client *client,
                             const struct sb_buf *head, sb_bytes body, struct sb_diag *diag)
{
    struct exchange x = {
        .client = client, .fd = -1, .deadline_ms = now_ms() + client->timeout_ms, .diag = diag};
    sb_err err = sb_buf_err(head);
    err = err == SB_OK ? open_connection(&x) : err;
    err = err == SB_OK ? send_all(&x, sb_buf_bytes(head)) : err;
    err = err == SB_OK ? send_all(&x, body) : err;
    err = err == SB_OK ? receive_all(&x, answer) : err;
    if (x.fd >= 0) {
        (void)close(x.fd);
    }
    return err;
}

static sb_err exchange_texts(struct sb_buf *answer, const struct sb_rpc_client *client,
                             const char *body, struct sb_diag *diag)
{
    struct sb_buf head;
    sb_buf_init(&head, HEADERS_MAX);
    sb_buf_addf(&head,
                "POST %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
                "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                client->path, client->host, client->port, strlen(body));
    sb_err err = exchange_bytes(answer, client, &head, sb_span_str(body), diag);
    sb_buf_fini(&head);
    return err;
}

/* find_body: what follows the headers; data is NULL when the answer is not HTTP. */
static sb_bytes find_body(sb_bytes answer)
{
    const uint8_t *end = memmem(answer.data, answer.len, "\r\n\r\n", 4);
    if (end == NULL || answer.len < STATUS_OFFSET + 3 || memcmp(answer.data, "HTTP/1.", 7) != 0) {
        return sb_span(NULL, 0);
    }
    size_t at = (size_t)(end - answer.data) + 4;
    return sb_span(answer.data + at, answer.len - at);
}

sb_err sb_rpc_client_get(struct sb_buf *out, const struct sb_rpc_client *client, const char *path,
                         struct sb_diag *diag)
{
    struct sb_buf head, answer;
    sb_buf_init(&head, HEADERS_MAX);
    sb_buf_init(&answer, SB_RPC_ANSWER_BYTES_MAX);
    sb_buf_addf(&head, "GET %s HTTP/1.0\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", path,
                client->host, client->port);
    sb_err err = exchange_bytes(&answer, client, &head, sb_span_str(""), diag);
    sb_bytes body = err == SB_OK ? find_body(sb_buf_bytes(&answer)) : sb_span(NULL, 0);
    if (err == SB_OK && (body.data == NULL || memcmp(answer.data + STATUS_OFFSET, "200", 3) != 0)) {
        err = sb_fail(diag, SB_E_SYNTAX, "%s:%s%s does not answer with a page", client->host,
                      client->port, path);
    }
    if (err == SB_OK) {
        sb_buf_add(out, body.data, body.len);
        err = sb_buf_err(out);
    }
    sb_buf_fini(&answer);
    sb_buf_fini(&head);
    return err;
}

/* ---- JSON-RPC ---- */

static sb_err read_error(struct sb_rpc_client *client, const json_t *error, const char *method,
                         struct sb_diag *diag)
{
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *data = json_string_value(json_object_get(error, "data"));
    client->error_code = (int)json_integer_value(json_object_get(error, "code"));
    if (data != NULL) {
        (void)snprintf(client->error_data, sizeof client->error_data, "%s", data);
    }
    return sb_fail(diag, SB_E_ARG, "%s: %s", method, message != NULL ? message : "unknown error");
}

static sb_err read_answer(json_t **ret_result, struct sb_rpc_client *client, const char *method,
                          sb_bytes answer, struct sb_diag *diag)
{
    sb_bytes body = find_body(answer);
    if (body.data == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "%s:%s does not answer as an HTTP server", client->host,
                       client->port);
    }
    json_t *root = json_loadb(body.len != 0 ? (const char *)body.data : "", body.len,
                              JSON_REJECT_DUPLICATES, NULL);
    json_t *result = json_object_get(root, "result");
    const json_t *error = json_object_get(root, "error");
    sb_err err = SB_OK;
    if (json_is_object(error)) {
        err = read_error(client, error, method, diag);
    } else if (result == NULL) {
        err = sb_fail(diag, SB_E_SYNTAX, "%s:%s does not answer as a JSON-RPC server (HTTP %.3s)",
                      client->host, client->port, (const char *)answer.data + STATUS_OFFSET);
    } else {
        *ret_result = json_incref(result);
    }
    json_decref(root);
    return err;
}

sb_err sb_rpc_client_call(json_t **ret_result, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag)
{
    client->error_code = 0;
    client->error_data[0] = '\0';
    json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method,
                                "params", params != NULL ? params : json_array());
    char *body = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (body == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_buf answer;
    sb_buf_init(&answer, SB_RPC_ANSWER_BYTES_MAX);
    sb_err err = exchange_texts(&answer, client, body, diag);
    err = err == SB_OK ? read_answer(ret_result, client, method, sb_buf_bytes(&answer), diag) : err;
    sb_buf_fini(&answer);
    free(body);
    return err;
}

/* ---- values ---- */

json_t *sb_json_data(sb_bytes data)
{
    char *text = malloc(SB_HEX_TEXT_BYTES(data.len));
    if (text == NULL) {
        return NULL;
    }
    json_t *json = json_string(sb_hex_format(text, data));
    free(text);
    return json;
}

sb_err sb_json_read_data(struct sb_buf *out, const json_t *text)
{
    size_t len = 0;
    if (!json_is_string(text)) {
        return SB_E_TYPE;
    }
    size_t room = json_string_length(text) / 2;
    uint8_t *bytes = sb_buf_grow(out, room);
    if (bytes == NULL) {
        return SB_E_LIMIT;
    }
    sb_err err =
        sb_hex_parse_data(bytes, &len, room, json_string_value(text), json_string_length(text));
    out->len -= room - (err == SB_OK ? len : 0);
    return err;
}

sb_err sb_json_read_u64(uint64_t *ret, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return SB_E_TYPE;
    }
    return sb_hex_parse_u64(ret, json_string_value(value), json_string_length(value));
}

sb_err sb_rpc_client_u256(sb_u256 *ret, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag)
{
    json_t *result = NULL;
    SB_TRY(sb_rpc_client_call(&result, client, method, params, diag));
    sb_err err = json_is_string(result)
                     ? sb_hex_parse_u256(ret, json_string_value(result), json_string_length(result))
                     : SB_E_TYPE;
    json_decref(result);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "%s: the answer is no quantity", method);
}

sb_err sb_rpc_client_u64(uint64_t *ret, struct sb_rpc_client *client, const char *method,
                         json_t *params, struct sb_diag *diag)
{
    sb_u256 value;
    SB_TRY(sb_rpc_client_u256(&value, client, method, params, diag));
    if (!sb_u256_fits_u64(&value)) {
        return sb_fail(diag, SB_E_RANGE, "%s: the answer is over 2^64", method);
    }
    *ret = value.w[0];
    return SB_OK;
}

sb_err sb_rpc_client_data(struct sb_buf *out, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag)
{
    json_t *result = NULL;
    SB_TRY(sb_rpc_client_call(&result, client, method, params, diag));
    sb_err err = sb_json_read_data(out, result);
    json_decref(result);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "%s: the answer is no data", method);
}
