/* websocket.c: WebSocket sessions on upgraded connections: framing by wslay, requests as over HTTP.
 *
 *     libmicrohttpd --upgrade--> socket --uv_poll--> wslay --message--> serve here or by a worker --> queue --> socket
 *                                                      ^ notify.c: heads, logs, pending transactions
 *
 * A session ends in steps: close_session (no more I/O, jobs cancelled), the poll handle closes, the socket goes back to libmicrohttpd,
 * and the memory goes when no job holds it. A client that reads too slowly is dropped when its queue is full. Spec: RFC 6455. */
#include <errno.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "rpc/session_impl.h"

#define PING_AFTER_MS ((uint64_t)30000)
#define DEAD_AFTER_MS ((uint64_t)90000)
/* A session with more unsent bytes than this is dropped when the memory of all is full. */
#define GREEDY_BYTES ((size_t)1 << 20)
#define MEMORY_FULL_TEXT                                                                           \
    "server is busy: too many requests and answers wait in its memory, try again"

struct session_job {
    struct sb_rpc_job job; /* first */
    struct session_job *prev, *next;
    struct sb_rpc_server *server; /* may outlive the session */
    struct sb_rpc_session *session;
    struct sb_buf body, answer;
    size_t held; /* bytes counted against held_bytes_max: the body, then the answer */
    struct sb_rpc_tally tally;
};

/* ---- the end of a session ---- */

static void free_session(struct sb_rpc_session *session)
{
    struct sb_rpc_server *server = session->server;
    if (session->prev != NULL) {
        session->prev->next = session->next;
    } else {
        server->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->prev = session->prev;
    }
    for (size_t i = 0; i < session->subscription_count; i++) {
        free(session->subscriptions[i].criteria);
    }
    sb_rpc_hold(server, &session->held, 0);
    wslay_event_context_free(session->frames);
    uv_mutex_destroy(&session->lock);
    free(session->subscriptions);
    free(session->early);
    free(session);
    atomic_fetch_sub(&server->session_count, 1);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct sb_rpc_session *session = handle->data;
    (void)MHD_upgrade_action(session->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    sb_rpc_drive(session->server);
    session->detached = true;
    if (session->job_count == 0) {
        free_session(session);
    }
}

static void close_session(struct sb_rpc_session *session)
{
    if (session->closing) {
        return;
    }
    session->closing = true;
    for (struct session_job *job = session->jobs; job != NULL; job = job->next) {
        sb_rpc_watch_cancel(&job->job.watch);
    }
    (void)uv_poll_stop(&session->poll);
    uv_close((uv_handle_t *)&session->poll, on_poll_closed);
}

/* ---- socket and frames ---- */

static void on_socket(uv_poll_t *poll, int status, int events);

/* Sends what the socket takes, then waits for what is wanted; ends the session when nothing is left to do. */
void sb_rpc_session_flush(struct sb_rpc_session *session)
{
    if (session->closing) {
        return;
    }
    if (wslay_event_want_write(session->frames) && wslay_event_send(session->frames) != 0) {
        close_session(session);
        return;
    }
    sb_rpc_hold(session->server, &session->held,
                wslay_event_get_queued_msg_length(session->frames));
    bool greedy = session->held > GREEDY_BYTES && sb_rpc_memory_full(session->server);
    if (greedy || session->held > session->server->services.options.session_queue_bytes_max) {
        atomic_fetch_add(&session->server->sessions_dropped, 1);
        close_session(session);
        return;
    }
    int want = (wslay_event_want_read(session->frames) ? UV_READABLE : 0) |
               (wslay_event_want_write(session->frames) ? UV_WRITABLE : 0);
    if (want == 0 || uv_poll_start(&session->poll, want, on_socket) != 0) {
        close_session(session);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct sb_rpc_session *session = poll->data;
    if (status < 0) {
        close_session(session);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        session->heard_ms = uv_hrtime() / 1000000;
        if (wslay_event_recv(session->frames) != 0) {
            close_session(session);
            return;
        }
    }
    sb_rpc_session_flush(session);
}

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *buf, size_t len, int flags,
                       void *arg)
{
    struct sb_rpc_session *session = arg;
    (void)flags;
    size_t early = session->early_len - session->early_taken;
    if (early != 0) {
        size_t part = early < len ? early : len;
        memcpy(buf, session->early + session->early_taken, part);
        session->early_taken += part;
        return (ssize_t)part;
    }
    ssize_t got;
    do {
        got = recv(session->fd, buf, len, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        return got;
    }
    bool later = got < 0 && errno == EAGAIN;
    wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    struct sb_rpc_session *session = arg;
    ssize_t sent;
    do {
        sent = send(session->fd, data, len,
                    MSG_NOSIGNAL | ((flags & WSLAY_MSG_MORE) != 0 ? MSG_MORE : 0));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        bool later = errno == EAGAIN;
        wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    }
    return sent;
}

void sb_rpc_session_queue(struct sb_rpc_session *session, sb_bytes text)
{
    struct wslay_event_msg msg = {
        .opcode = WSLAY_TEXT_FRAME, .msg = text.data, .msg_length = text.len};
    if (session->closing || text.len == 0) {
        return;
    }
    if (wslay_event_queue_msg(session->frames, &msg) == WSLAY_ERR_NOMEM) {
        close_session(session);
        return;
    }
    size_t queued = wslay_event_get_queued_msg_length(session->frames);
    if (queued > session->server->services.options.session_queue_bytes_max) {
        sb_rpc_session_flush(
            session); /* one block can have more logs for one session than memory */
    }
}

/* ---- requests ---- */

static void refuse(struct sb_rpc_session *session, const char *message)
{
    struct sb_buf text;
    sb_buf_init(&text, 4096);
    atomic_fetch_add(&session->server->rejected, 1);
    sb_rpc_write_plain_error(&text, SB_RPC_LIMIT, message);
    sb_rpc_session_queue(session, sb_buf_bytes(&text));
    sb_buf_fini(&text);
}

static void run_job(struct sb_rpc_job *base, struct sb_arena *arena)
{
    struct session_job *job = (struct session_job *)base;
    if (sb_rpc_memory_full(job->session->server)) {
        sb_rpc_write_plain_error(&job->answer, SB_RPC_LIMIT, MEMORY_FULL_TEXT);
        return;
    }
    job->tally = sb_rpc_serve(&job->session->server->services, job->session, &base->watch, arena,
                              sb_buf_bytes(&job->body), &job->answer);
    sb_buf_fini(&job->body);
    sb_rpc_hold(job->server, &job->held, job->answer.len);
}

static void free_job(struct session_job *job)
{
    sb_rpc_hold(job->server, &job->held, 0);
    sb_rpc_watch_fini(&job->job.watch);
    sb_buf_fini(&job->body);
    sb_buf_fini(&job->answer);
    free(job);
}

static void job_done(struct sb_rpc_job *base)
{
    struct session_job *job = (struct session_job *)base;
    struct sb_rpc_session *session = job->session;
    sb_rpc_count_tally(session->server, job->tally);
    if (job->prev != NULL) {
        job->prev->next = job->next;
    } else {
        session->jobs = job->next;
    }
    if (job->next != NULL) {
        job->next->prev = job->prev;
    }
    session->job_count--;
    if (session->detached && session->job_count == 0) {
        free_session(session);
    } else if (!session->closing && !job->answer.failed) {
        sb_rpc_session_queue(session, sb_buf_bytes(&job->answer));
        sb_rpc_session_flush(session);
    } else {
        close_session(session);
    }
    free_job(job);
}

static struct session_job *new_job(struct sb_rpc_session *session, sb_bytes text)
{
    const struct sb_rpc_options *o = &session->server->services.options;
    struct session_job *job = calloc(1, sizeof *job);
    if (job == NULL || sb_rpc_watch_init(&job->job.watch) != SB_OK) {
        free(job);
        return NULL;
    }
    job->server = session->server;
    job->session = session;
    job->job.run = run_job;
    job->job.done = job_done;
    sb_buf_init(&job->body, o->body_bytes_max);
    sb_buf_init(&job->answer, sb_rpc_answer_limit(o));
    sb_buf_add(&job->body, text.data, text.len);
    if (job->body.failed) {
        free_job(job);
        return NULL;
    }
    sb_rpc_hold(job->server, &job->held, job->body.capacity);
    return job;
}

static void serve_by_worker(struct sb_rpc_session *session, sb_bytes text, enum sb_rpc_where where)
{
    if (session->job_count >= session->server->services.options.session_in_flight_max) {
        refuse(session, "too many requests of this connection wait already, try again");
        return;
    }
    if (sb_rpc_memory_full(session->server)) {
        refuse(session, MEMORY_FULL_TEXT);
        return;
    }
    struct session_job *job = new_job(session, text);
    if (job == NULL) {
        close_session(session);
        return;
    }
    job->job.slow = where != SB_RPC_READ;
    if (sb_rpc_submit_job(session->server, &job->job) != SB_OK) {
        free_job(job);
        refuse(session, "server is busy: too many requests wait already, try again");
        return;
    }
    job->next = session->jobs;
    if (session->jobs != NULL) {
        session->jobs->prev = job;
    }
    session->jobs = job;
    session->job_count++;
}

static void serve_here(struct sb_rpc_session *session, sb_bytes text)
{
    struct sb_rpc_server *server = session->server;
    struct sb_buf answer;
    sb_buf_init(&answer, sb_rpc_answer_limit(&server->services.options));
    sb_rpc_count_tally(
        server, sb_rpc_serve(&server->services, session, NULL, &server->arena, text, &answer));
    sb_arena_reset(&server->arena);
    if (answer.failed) {
        close_session(session);
    } else {
        sb_rpc_session_queue(session, sb_buf_bytes(&answer));
    }
    sb_buf_fini(&answer);
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *msg, void *arg)
{
    struct sb_rpc_session *session = arg;
    (void)frames;
    if (wslay_is_ctrl_frame(msg->opcode) || session->closing) {
        return;
    }
    sb_bytes text = sb_span(msg->msg, msg->msg_length);
    enum sb_rpc_where where = sb_rpc_plan(&session->server->services, text);
    if (where == SB_RPC_LOOP) {
        serve_here(session, text);
    } else {
        serve_by_worker(session, text, where);
    }
}

/* ---- handshake ---- */

/* Gives a connection back that cannot become a session. */
static void give_back(struct MHD_UpgradeResponseHandle *upgrade)
{
    (void)MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
}

static struct sb_rpc_session *new_session(struct sb_rpc_server *server, const char *early,
                                          size_t early_len)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    const struct sb_rpc_options *o = &server->services.options;
    struct sb_rpc_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->subscriptions = calloc(o->session_subscriptions_max, sizeof *session->subscriptions);
    session->early = early_len != 0 ? malloc(early_len) : NULL;
    bool ok = session->subscriptions != NULL && (early_len == 0 || session->early != NULL) &&
              uv_mutex_init(&session->lock) == 0;
    if (ok && wslay_event_context_server_init(&session->frames, &callbacks, session) != 0) {
        uv_mutex_destroy(&session->lock);
        ok = false;
    }
    if (!ok) {
        free(session->subscriptions);
        free(session->early);
        free(session);
        return NULL;
    }
    sb_copy(session->early, early, early_len);
    session->early_len = early_len;
    session->server = server;
    wslay_event_config_set_max_recv_msg_length(session->frames, o->body_bytes_max);
    return session;
}

static void on_upgraded(void *ctx, struct MHD_Connection *connection, void *state,
                        const char *early, size_t early_len, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *upgrade)
{
    struct sb_rpc_server *server = ctx;
    (void)connection;
    (void)state;
    if (atomic_load(&server->stopping)) {
        give_back(upgrade);
        return;
    }
    struct sb_rpc_session *session = new_session(server, early, early_len);
    if (session == NULL) {
        give_back(upgrade);
        return;
    }
    session->upgrade = upgrade;
    session->fd = fd;
    session->heard_ms = uv_hrtime() / 1000000;
    session->poll.data = session;
    session->next = server->sessions;
    if (server->sessions != NULL) {
        server->sessions->prev = session;
    }
    server->sessions = session;
    atomic_fetch_add(&server->session_count, 1);
    if (uv_poll_init(&server->loop, &session->poll, fd) != 0) {
        give_back(upgrade);
        free_session(session);
        return;
    }
    session->poll.data = session;
    if (early_len != 0 && wslay_event_recv(session->frames) != 0) {
        close_session(session);
        return;
    }
    sb_rpc_session_flush(session);
}

/* Sec-WebSocket-Accept: base64(sha1(key + GUID)), RFC 6455 4.2.2. */
static void accept_text(char ret[32], const char *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct sha1_ctx sha;
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_init(&sha);
    sha1_update(&sha, strlen(key), (const uint8_t *)key);
    sha1_update(&sha, sizeof guid - 1, (const uint8_t *)guid);
    sha1_digest(&sha, sizeof digest, digest);
    base64_encode_raw(ret, sizeof digest, digest);
    ret[BASE64_ENCODE_RAW_LENGTH(sizeof digest)] = '\0';
}

/* A page of another site may not open a socket unless it was allowed. */
static bool origin_allowed(const struct sb_rpc_server *server, struct MHD_Connection *connection)
{
    const char *allowed = server->services.options.cors_origin;
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    return origin == NULL || strcmp(allowed, "*") == 0 || strcasecmp(origin, allowed) == 0;
}

static unsigned judge_handshake(const struct sb_rpc_server *server,
                                struct MHD_Connection *connection, const char *key)
{
    const char *version =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Sec-WebSocket-Version");
    if (key == NULL || strlen(key) != 24) {
        return MHD_HTTP_BAD_REQUEST;
    }
    if (version == NULL || strcmp(version, "13") != 0) {
        return MHD_HTTP_UPGRADE_REQUIRED;
    }
    if (!origin_allowed(server, connection)) {
        return MHD_HTTP_FORBIDDEN;
    }
    return atomic_load(&server->session_count) >= server->services.options.session_count_max
               ? MHD_HTTP_SERVICE_UNAVAILABLE
               : 0;
}

enum MHD_Result sb_rpc_session_upgrade(struct sb_rpc_server *server,
                                       struct MHD_Connection *connection)
{
    const char *key = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Sec-WebSocket-Key");
    unsigned status = judge_handshake(server, connection, key);
    struct MHD_Response *response = NULL;
    if (status != 0) {
        static char text[] = "WebSocket handshake refused\n";
        response = MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
        if (response != NULL) {
            (void)MHD_add_response_header(response, "Sec-WebSocket-Version", "13");
        }
    } else {
        char accept[32];
        accept_text(accept, key);
        status = MHD_HTTP_SWITCHING_PROTOCOLS;
        response = MHD_create_response_for_upgrade(on_upgraded, server);
        if (response != NULL) {
            (void)MHD_add_response_header(response, "Upgrade", "websocket");
            (void)MHD_add_response_header(response, "Sec-WebSocket-Accept", accept);
        }
    }
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- chores ---- */

void sb_rpc_sessions_chores(struct sb_rpc_server *server, uint64_t now_ms)
{
    for (struct sb_rpc_session *session = server->sessions, *next; session != NULL;
         session = next) {
        next = session->next;
        uint64_t quiet_ms = now_ms > session->heard_ms ? now_ms - session->heard_ms : 0;
        if (quiet_ms > DEAD_AFTER_MS) {
            close_session(session);
        } else if (quiet_ms > PING_AFTER_MS && now_ms - session->pinged_ms > PING_AFTER_MS &&
                   !session->closing) {
            struct wslay_event_msg ping = {.opcode = WSLAY_PING, .msg = NULL, .msg_length = 0};
            session->pinged_ms = now_ms;
            (void)wslay_event_queue_msg(session->frames, &ping);
            sb_rpc_session_flush(session);
        }
    }
}

void sb_rpc_sessions_close(struct sb_rpc_server *server)
{
    for (struct sb_rpc_session *session = server->sessions, *next; session != NULL;
         session = next) {
        next = session->next;
        close_session(session);
    }
}
