/* http.c: HTTP requests on the loop thread: POST / is JSON-RPC, GET / with Upgrade is WebSocket, GET /healthz, /readyz, /metrics.
 *
 *     headers --> refuse at once (method, type, length) --> collect the body --> serve here, or suspend and let a worker serve
 *
 * One struct exchange lives from the first header to the end of the answer. While a worker has it, libmicrohttpd does not touch the
 * connection (suspended). JSON-RPC errors travel with status 200, limits of HTTP with their own status. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "rpc/operation.h"
#include "rpc/server_impl.h"

#define READY_BYTES_MAX   4096
#define METRICS_BYTES_MAX ((size_t)4 << 20)
#define MEMORY_FULL_TEXT  "server is busy: too many answers wait to be read, try again"

struct exchange {
    struct sb_rpc_job job; /* first: a job is its exchange */
    struct sb_rpc_server *server;
    struct MHD_Connection *connection;
    struct sb_buf body;
    struct sb_buf answer;
    struct sb_rpc_tally tally;
    size_t held; /* bytes counted against held_bytes_max: the body, then the answer */
    bool too_large;
    bool served; /* answer is complete */
};

/* ---- answers ---- */

static void add_cors(const struct sb_rpc_server *server, struct MHD_Response *response)
{
    const char *origin = server->services.options.cors_origin;
    if (origin[0] == '\0') {
        return;
    }
    (void)MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    if (strcmp(origin, "*") != 0) {
        (void)MHD_add_response_header(response, "Vary", "Origin");
    }
}

static enum MHD_Result send_response(const struct sb_rpc_server *server,
                                     struct MHD_Connection *connection, unsigned status,
                                     const char *type, struct MHD_Response *response)
{
    if (response == NULL) {
        return MHD_NO;
    }
    add_cors(server, response);
    if (type != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", type);
        (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* A response of constant text; libmicrohttpd only reads it. */
static struct MHD_Response *constant_response(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                           MHD_RESPMEM_PERSISTENT);
}

/* Sends a constant text. */
static enum MHD_Result send_text(const struct sb_rpc_server *server,
                                 struct MHD_Connection *connection, unsigned status,
                                 const char *text)
{
    return send_response(server, connection, status,
                         text[0] != '\0' ? "text/plain; charset=utf-8" : NULL,
                         constant_response(text));
}

/* Sends the buffer and takes its memory. */
static enum MHD_Result send_buf_take(const struct sb_rpc_server *server,
                                     struct MHD_Connection *connection, unsigned status,
                                     const char *type, struct sb_buf *buf)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(buf->len, buf->data, MHD_RESPMEM_MUST_FREE);
    if (response != NULL) {
        buf->data = NULL;
    }
    sb_buf_fini(buf);
    return send_response(server, connection, status, type, response);
}

static enum MHD_Result send_not_allowed(const struct sb_rpc_server *server,
                                        struct MHD_Connection *connection, const char *allow)
{
    static const char text[] = "JSON-RPC 2.0: send a POST request with Content-Type: "
                               "application/json, or open a WebSocket\n";
    struct MHD_Response *response = constant_response(text);
    if (response != NULL) {
        (void)MHD_add_response_header(response, "Allow", allow);
    }
    return send_response(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                         "text/plain; charset=utf-8", response);
}

static enum MHD_Result send_preflight(const struct sb_rpc_server *server,
                                      struct MHD_Connection *connection)
{
    struct MHD_Response *response = constant_response("");
    if (response != NULL) {
        (void)MHD_add_response_header(response, "Access-Control-Allow-Methods",
                                      "POST, GET, OPTIONS");
        (void)MHD_add_response_header(response, "Access-Control-Allow-Headers", "Content-Type");
        (void)MHD_add_response_header(response, "Access-Control-Max-Age", "600");
        (void)MHD_add_response_header(response, "Allow", "POST, GET, OPTIONS");
    }
    return send_response(server, connection, MHD_HTTP_NO_CONTENT, NULL, response);
}

/* ---- pages ---- */

static enum MHD_Result send_ready(const struct sb_rpc_server *server,
                                  struct MHD_Connection *connection)
{
    struct sb_buf page;
    sb_buf_init(&page, READY_BYTES_MAX);
    bool ready = sb_rpc_page_ready(&server->services, &page);
    return send_buf_take(server, connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                         "application/json", &page);
}

static enum MHD_Result send_metrics(struct sb_rpc_server *server, struct MHD_Connection *connection)
{
    struct sb_buf page;
    struct sb_rpc_counters counters = sb_rpc_server_counters(server);
    sb_buf_init(&page, METRICS_BYTES_MAX);
    bool exists = sb_rpc_page_metrics(&server->services, &server->arena, &counters, &page);
    sb_arena_reset(&server->arena);
    if (!exists) {
        sb_buf_fini(&page);
        return send_text(server, connection, MHD_HTTP_NOT_FOUND, "no metrics\n");
    }
    return send_buf_take(server, connection, MHD_HTTP_OK,
                         "text/plain; version=0.0.4; charset=utf-8", &page);
}

static bool wants_websocket(struct MHD_Connection *connection)
{
    const char *upgrade = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Upgrade");
    return upgrade != NULL && strcasecmp(upgrade, "websocket") == 0;
}

static enum MHD_Result handle_get(struct sb_rpc_server *server, struct MHD_Connection *connection,
                                  const char *url, bool head_only)
{
    if (strcmp(url, "/healthz") == 0) {
        return send_text(server, connection, MHD_HTTP_OK, "ok\n");
    }
    if (strcmp(url, "/readyz") == 0) {
        return send_ready(server, connection);
    }
    if (strcmp(url, "/metrics") == 0) {
        return send_metrics(server, connection);
    }
    if (strcmp(url, "/") != 0) {
        return send_text(server, connection, MHD_HTTP_NOT_FOUND, "not found\n");
    }
    if (!head_only && wants_websocket(connection)) {
        return sb_rpc_session_upgrade(server, connection);
    }
    return send_not_allowed(server, connection, "POST, OPTIONS");
}

/* ---- JSON-RPC by POST ---- */

static struct exchange *exchange_new(struct sb_rpc_server *server,
                                     struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    if (sb_rpc_watch_init(&x->job.watch) != SB_OK) {
        free(x);
        return NULL;
    }
    x->server = server;
    x->connection = connection;
    sb_buf_init(&x->body, server->services.options.body_bytes_max);
    sb_buf_init(&x->answer, sb_rpc_answer_limit(&server->services.options));
    return x;
}

static void exchange_free(struct exchange *x)
{
    sb_rpc_hold(x->server, &x->held, 0);
    sb_rpc_watch_fini(&x->job.watch);
    sb_buf_fini(&x->body);
    sb_buf_fini(&x->answer);
    free(x);
}

/* Serves on whatever thread it is called. */
static void serve(struct exchange *x, struct sb_rpc_watch *watch, struct sb_arena *arena)
{
    if (sb_rpc_memory_full(x->server)) {
        x->tally = (struct sb_rpc_tally){.requests = 1, .errors = 1};
        sb_rpc_write_plain_error(&x->answer, SB_RPC_LIMIT, MEMORY_FULL_TEXT);
        return;
    }
    x->tally =
        sb_rpc_serve(&x->server->services, NULL, watch, arena, sb_buf_bytes(&x->body), &x->answer);
    sb_buf_fini(&x->body);
    if (x->answer.failed) {
        sb_buf_reset(&x->answer);
        sb_rpc_write_plain_error(&x->answer, SB_RPC_INTERNAL, "out of memory for the answer");
    }
    sb_rpc_hold(x->server, &x->held, x->answer.len);
}

static void run_job(struct sb_rpc_job *job, struct sb_arena *arena)
{
    serve((struct exchange *)job, &job->watch, arena);
}

static void job_done(struct sb_rpc_job *job)
{
    struct exchange *x = (struct exchange *)job;
    x->served = true;
    if (x->tally.requests == 0) {
        sb_rpc_write_plain_error(&x->answer, SB_RPC_LIMIT, "the node is shutting down");
    }
    sb_rpc_count_tally(x->server, x->tally);
    MHD_resume_connection(x->connection);
}

static enum MHD_Result send_answer(struct exchange *x)
{
    struct sb_rpc_server *server = x->server;
    if (x->answer.len == 0) {
        return send_text(server, x->connection, MHD_HTTP_NO_CONTENT, "");
    }
    return send_buf_take(server, x->connection, MHD_HTTP_OK, "application/json", &x->answer);
}

/* The body is complete. */
static enum MHD_Result handle_body(struct exchange *x)
{
    struct sb_rpc_server *server = x->server;
    if (x->too_large || x->body.failed) {
        atomic_fetch_add(&server->rejected, 1);
        return send_text(server, x->connection, MHD_HTTP_CONTENT_TOO_LARGE,
                         "request body too large\n");
    }
    enum sb_rpc_where where = sb_rpc_plan(&server->services, sb_buf_bytes(&x->body));
    if (where == SB_RPC_LOOP) {
        serve(x, NULL, &server->arena);
        sb_arena_reset(&server->arena);
        sb_rpc_count_tally(server, x->tally);
        x->served = true;
        return send_answer(x);
    }
    x->job.slow = where != SB_RPC_READ;
    x->job.run = run_job;
    x->job.done = job_done;
    if (sb_rpc_submit_job(server, &x->job) != SB_OK) {
        atomic_fetch_add(&server->rejected, 1);
        sb_rpc_write_plain_error(&x->answer, SB_RPC_LIMIT,
                                 "server is busy: too many requests wait already, try again");
        return send_answer(x);
    }
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

static enum MHD_Result count_length(void *ctx, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    (void)kind;
    (void)value;
    *(int *)ctx += strcasecmp(key, "Content-Length") == 0 ? 1 : 0;
    return MHD_YES;
}

/* What can be refused by the headers alone; 0 when the body may come. */
static unsigned refuse_headers(struct sb_rpc_server *server, struct MHD_Connection *connection)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    static const char json[] = "application/json";
    if (type != NULL && (strncasecmp(type, json, sizeof json - 1) != 0 ||
                         strchr("; \t", type[sizeof json - 1]) == NULL)) {
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    }
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    if (length != NULL) {
        char *end = NULL;
        unsigned long long bytes = strtoull(length, &end, 10);
        int count = 0;
        (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_length, &count);
        if (count != 1 || length[0] < '0' || length[0] > '9' || *end != '\0') {
            return MHD_HTTP_BAD_REQUEST;
        }
        if (bytes > server->services.options.body_bytes_max) {
            return MHD_HTTP_CONTENT_TOO_LARGE;
        }
    }
    return 0;
}

static enum MHD_Result begin_post(struct sb_rpc_server *server, struct MHD_Connection *connection,
                                  const char *url, void **state)
{
    if (strcmp(url, "/") != 0) {
        return send_text(server, connection, MHD_HTTP_NOT_FOUND,
                         "not found: JSON-RPC is served at /\n");
    }
    unsigned status = refuse_headers(server, connection);
    if (status != 0) {
        atomic_fetch_add(&server->rejected, 1);
        return send_text(server, connection, status,
                         status == MHD_HTTP_CONTENT_TOO_LARGE ? "request body too large\n"
                         : status == MHD_HTTP_UNSUPPORTED_MEDIA_TYPE
                             ? "invalid content type, only application/json is supported\n"
                             : "bad Content-Length\n");
    }
    *state = exchange_new(server, connection);
    return *state != NULL ? MHD_YES : MHD_NO;
}

enum MHD_Result sb_rpc_http_handle(void *ctx, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **state)
{
    struct sb_rpc_server *server = ctx;
    struct exchange *x = *state; /* or the server itself: a GET whose headers were seen */
    (void)version;
    bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (x == NULL && is_get) {
        /* An answer at the first call would end the connection: wait for the second. */
        *state = server;
        return MHD_YES;
    }
    if (x == NULL && strcmp(method, "POST") == 0) {
        return begin_post(server, connection, url, state);
    }
    if (x == NULL) {
        return strcmp(method, "OPTIONS") == 0
                   ? send_preflight(server, connection)
                   : send_not_allowed(server, connection, "POST, GET, OPTIONS");
    }
    if (*state == server && *upload_data_size != 0) {
        *upload_data_size = 0; /* a body of a GET means nothing */
        return MHD_YES;
    }
    if (*state == server) {
        return handle_get(server, connection, url, method[0] == 'H');
    }
    if (x->served) {
        return send_answer(x);
    }
    if (*upload_data_size == 0) {
        return handle_body(x);
    }
    if (!x->too_large) {
        sb_buf_add(&x->body, upload_data, *upload_data_size);
        if (x->body.failed) {
            x->too_large = true;
            sb_buf_fini(&x->body);
        }
        sb_rpc_hold(server, &x->held, x->body.capacity);
        if (sb_rpc_memory_full(server)) {
            return MHD_NO; /* ends the connection: there is no room for what it sends */
        }
    }
    *upload_data_size = 0;
    return MHD_YES;
}

void sb_rpc_http_completed(void *ctx, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    if (*state != NULL && *state != ctx) {
        exchange_free(*state);
    }
    *state = NULL;
}

void sb_rpc_http_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
                            enum MHD_ConnectionNotificationCode code)
{
    struct sb_rpc_server *server = ctx;
    (void)connection;
    (void)socket_ctx;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&server->connections, 1);
    } else {
        atomic_fetch_sub(&server->connections, 1);
        server->connection_ended = true;
    }
}
