/* server.c: life of the server, its loop thread and what other threads tell it; see server.h. */
#include "rpc/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "rpc/server_impl.h"

#define WATCH_PERIOD_MS     25
#define CHORES_PERIOD_MS    5000
#define LOOP_ARENA_BYTES    ((size_t)64 * 1024 * 1024)
#define CONNECTION_MEM_SIZE ((size_t)32 * 1024)
#define LISTEN_BACKLOG      511

/* ---- options ---- */

#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if (o->field == 0) {                                                                       \
            o->field = (value);                                                                    \
        }                                                                                          \
    } while (0)

static void fill_defaults(struct sb_rpc_options *o)
{
    DEFAULT(host, "127.0.0.1");
    DEFAULT(client_version, "Samebit");
    DEFAULT(cors_origin, "*");
    DEFAULT(worker_count, 4);
    DEFAULT(worker_queue_max, 1024);
    DEFAULT(connection_count_max, 2048);
    DEFAULT(connection_per_ip_max, 1024);
    DEFAULT(idle_timeout_s, 30);
    DEFAULT(session_count_max, 512);
    DEFAULT(session_queue_bytes_max, (size_t)32 << 20);
    DEFAULT(session_subscriptions_max, 256);
    DEFAULT(session_in_flight_max, 64);
    DEFAULT(body_bytes_max, (size_t)5 << 20);
    DEFAULT(response_bytes_max, (size_t)25 << 20);
    DEFAULT(held_bytes_max, (size_t)512 << 20);
    DEFAULT(depth_max, 32);
    DEFAULT(batch_count_max, 1000);
    DEFAULT(call_gas_max, 50000000);
    DEFAULT(call_ms_max, 2000);
    DEFAULT(batch_gas_max, 10 * o->call_gas_max);
    DEFAULT(batch_ms_max, 10000);
    DEFAULT(trace_ms_max, 10000);
    DEFAULT(log_blocks_max, 100000);
    DEFAULT(log_count_max, 10000);
    DEFAULT(filter_count_max, 1024);
    DEFAULT(filter_expiry_s, 300);
    o->depth_max = o->depth_max > SB_RPC_JSON_DEPTH_MAX ? SB_RPC_JSON_DEPTH_MAX : o->depth_max;
}

/* Texts of the caller are copied: the server outlives the call. */
static sb_err copy_texts(struct sb_rpc_server *server)
{
    struct sb_rpc_options *o = &server->services.options;
    server->host = strdup(o->host);
    server->client_version = strdup(o->client_version);
    server->cors_origin = strdup(o->cors_origin);
    if (server->host == NULL || server->client_version == NULL || server->cors_origin == NULL) {
        return SB_E_NOMEM;
    }
    o->host = server->host;
    o->client_version = server->client_version;
    o->cors_origin = server->cors_origin;
    return SB_OK;
}

/* What a backend may not leave out; see backend.h. */
static bool has_required(const struct sb_rpc_backend *b)
{
    bool facts = b->chain_id != NULL && b->head_number != NULL && b->next_base_fee != NULL &&
                 b->suggested_tip != NULL && b->peer_count != NULL && b->blob_base_fee != NULL &&
                 b->blob_gas_limit != NULL && b->oldest_state != NULL;
    bool chain = b->block != NULL && b->block_release != NULL && b->block_header != NULL &&
                 b->tx_place != NULL;
    return facts && chain && b->state != NULL && b->state_release != NULL && b->pool_tx != NULL &&
           b->pool_nonce != NULL;
}

sb_err sb_rpc_server_new(struct sb_rpc_server **ret_server, const struct sb_rpc_backend *backend,
                         const struct sb_rpc_options *options, struct sb_diag *diag)
{
    SB_ASSERT(has_required(backend));
    struct sb_rpc_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for the RPC server");
    }
    server->services.backend = *backend;
    server->services.options = *options;
    server->listen_fd = -1;
    fill_defaults(&server->services.options);
    const struct sb_rpc_options *o = &server->services.options;
    if (uv_mutex_init(&server->lock) != 0) {
        free(server);
        return sb_fail(diag, SB_E_NOMEM, "no memory for a lock");
    }
    sb_err err = copy_texts(server);
    if (err == SB_OK) {
        err =
            sb_rpc_filters_new(&server->services.filters, o->filter_count_max, o->filter_expiry_s);
    }
    if (err != SB_OK) {
        sb_rpc_server_free(server);
        return sb_fail(diag, err, "out of memory for the RPC server");
    }
    *ret_server = server;
    return SB_OK;
}

void sb_rpc_server_free(struct sb_rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    sb_rpc_server_stop(server);
    sb_rpc_filters_free(server->services.filters);
    uv_mutex_destroy(&server->lock);
    free(server->host);
    free(server->client_version);
    free(server->cors_origin);
    free(server);
}

/* ---- the loop ---- */

static void on_daemon_timer(uv_timer_t *timer)
{
    sb_rpc_drive(timer->data);
}

void sb_rpc_drive(struct sb_rpc_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    server->connection_ended = false;
    (void)MHD_run(server->daemon);
    if (server->connection_ended) {
        /* A daemon that was full listens again only at the start of its next run. */
        (void)uv_timer_start(&server->daemon_timer, on_daemon_timer, 0, 0);
    } else if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES) {
        (void)uv_timer_start(&server->daemon_timer, on_daemon_timer, timeout_ms, 0);
    } else {
        (void)uv_timer_stop(&server->daemon_timer);
    }
}

static void on_daemon_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    sb_rpc_drive(poll->data);
}

static void on_watch_timer(uv_timer_t *timer)
{
    struct sb_rpc_server *server = timer->data;
    if (!sb_rpc_pool_check(server->pool, uv_hrtime())) {
        (void)uv_timer_stop(timer);
    }
}

static void on_chores_timer(uv_timer_t *timer)
{
    struct sb_rpc_server *server = timer->data;
    uint64_t now_ms = uv_hrtime() / 1000000;
    sb_rpc_filters_expire(server->services.filters, now_ms);
    sb_rpc_sessions_chores(server, now_ms);
}

sb_err sb_rpc_submit_job(struct sb_rpc_server *server, struct sb_rpc_job *job)
{
    if (server->pool == NULL) {
        return SB_E_BUSY; /* the workers have ended, but requests still lie in the sockets */
    }
    sb_err err = sb_rpc_pool_submit(server->pool, job);
    atomic_store(&server->jobs_waiting, sb_rpc_pool_waiting(server->pool));
    if (err == SB_OK && !uv_is_active((uv_handle_t *)&server->watch_timer)) {
        (void)uv_timer_start(&server->watch_timer, on_watch_timer, WATCH_PERIOD_MS,
                             WATCH_PERIOD_MS);
    }
    return err;
}

static bool next_head(struct sb_rpc_server *server, struct sb_rpc_head *ret_head)
{
    uv_mutex_lock(&server->lock);
    bool some = server->head_count != 0;
    if (some) {
        *ret_head = server->heads[server->head_first];
        server->head_first = (server->head_first + 1) % SB_RPC_HEADS_MAX;
        server->head_count--;
    }
    uv_mutex_unlock(&server->lock);
    return some;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* Ends everything in the one order that libmicrohttpd allows: no suspended and no upgraded connection may be left. */
static void shut_down(struct sb_rpc_server *server)
{
    sb_rpc_pool_free(server->pool);
    server->pool = NULL;
    (void)uv_timer_stop(&server->watch_timer);
    sb_rpc_drive(server);
    sb_rpc_sessions_close(server);
    while (server->sessions != NULL) {
        (void)uv_run(&server->loop, UV_RUN_ONCE);
    }
    sb_rpc_drive(server);
    uv_mutex_lock(&server->lock);
    server->wake_open = false;
    uv_mutex_unlock(&server->lock);
    (void)uv_poll_stop(&server->daemon_poll);
    uv_walk(&server->loop, close_handle, NULL);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

static void on_wake(uv_async_t *wake)
{
    struct sb_rpc_server *server = wake->data;
    if (server->daemon == NULL) {
        return;
    }
    if (server->pool != NULL) {
        sb_rpc_pool_collect(server->pool);
    }
    for (struct sb_rpc_head head; next_head(server, &head);) {
        sb_rpc_sessions_head(server, &head);
    }
    sb_rpc_sessions_pending(server);
    sb_rpc_drive(server);
    if (atomic_load(&server->stopping)) {
        uv_stop(&server->loop);
    }
}

static void send_wake(void *ctx)
{
    struct sb_rpc_server *server = ctx;
    uv_mutex_lock(&server->lock);
    if (server->wake_open) {
        (void)uv_async_send(&server->wake);
    }
    uv_mutex_unlock(&server->lock);
}

static void run_loop(void *arg)
{
    struct sb_rpc_server *server = arg;
    sb_rpc_drive(server);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    shut_down(server);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
}

/* ---- start and stop ---- */

static sb_err bind_listener(struct sb_rpc_server *server, struct sb_diag *diag)
{
    const struct sb_rpc_options *o = &server->services.options;
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    if (uv_ip4_addr(o->host, o->port, (struct sockaddr_in *)&addr) != 0 &&
        uv_ip6_addr(o->host, o->port, (struct sockaddr_in6 *)&addr) != 0) {
        return sb_fail(diag, SB_E_ARG, "rpc host \"%s\" is not a numeric IP address", o->host);
    }
    socklen_t len =
        addr.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0) {
        return sb_fail(diag, SB_E_IO, "socket: %s", strerror(errno));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        sb_err err = errno == EADDRINUSE ? SB_E_BUSY : SB_E_IO;
        (void)sb_fail(diag, err, "cannot listen on %s port %u: %s", o->host, o->port,
                      strerror(errno));
        (void)close(fd);
        return err;
    }
    uint16_t port_be = addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port
                                                 : ((struct sockaddr_in6 *)&addr)->sin6_port;
    server->port = ntohs(port_be);
    server->listen_fd = fd;
    return SB_OK;
}

static struct MHD_Daemon *start_daemon(struct sb_rpc_server *server)
{
    const struct sb_rpc_options *o = &server->services.options;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0, NULL, NULL,
        sb_rpc_http_handle, server, MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, o->connection_count_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        o->connection_per_ip_max, MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEM_SIZE, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_COMPLETED, sb_rpc_http_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        sb_rpc_http_connection, server, MHD_OPTION_END);
}

static bool open_handles(struct sb_rpc_server *server, int epoll_fd)
{
    bool ok = uv_poll_init(&server->loop, &server->daemon_poll, epoll_fd) == 0 &&
              uv_timer_init(&server->loop, &server->daemon_timer) == 0 &&
              uv_timer_init(&server->loop, &server->watch_timer) == 0 &&
              uv_timer_init(&server->loop, &server->chores_timer) == 0 &&
              uv_async_init(&server->loop, &server->wake, on_wake) == 0;
    server->daemon_poll.data = server->daemon_timer.data = server->watch_timer.data = server;
    server->chores_timer.data = server->wake.data = server;
    return ok && uv_poll_start(&server->daemon_poll, UV_READABLE, on_daemon_ready) == 0 &&
           uv_timer_start(&server->chores_timer, on_chores_timer, CHORES_PERIOD_MS,
                          CHORES_PERIOD_MS) == 0;
}

/* Undoes a start that failed, before the thread exists. */
static void abandon_start(struct sb_rpc_server *server)
{
    sb_rpc_pool_free(server->pool);
    server->pool = NULL;
    uv_walk(&server->loop, close_handle, NULL);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);
        server->daemon = NULL;
    } else {
        (void)close(server->listen_fd);
    }
    server->listen_fd = -1;
    (void)uv_loop_close(&server->loop);
    sb_arena_fini(&server->arena);
}

sb_err sb_rpc_server_start(struct sb_rpc_server *server, struct sb_diag *diag)
{
    const struct sb_rpc_options *o = &server->services.options;
    SB_TRY(bind_listener(server, diag));
    if (uv_loop_init(&server->loop) != 0) {
        (void)close(server->listen_fd);
        return sb_fail(diag, SB_E_NOMEM, "cannot make an event loop");
    }
    sb_arena_init(&server->arena, LOOP_ARENA_BYTES);
    atomic_store(&server->stopping, false);
    server->pending_seen = sb_rpc_pending_next(server->services.filters);
    server->daemon = start_daemon(server);
    const union MHD_DaemonInfo *info =
        server->daemon != NULL ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)
                               : NULL;
    if (info == NULL || !open_handles(server, info->epoll_fd)) {
        abandon_start(server);
        return sb_fail(diag, SB_E_IO, "cannot start the HTTP server");
    }
    server->wake_open = true;
    if (sb_rpc_pool_new(&server->pool, o->worker_count, o->worker_queue_max, send_wake, server) !=
            SB_OK ||
        uv_thread_create(&server->thread, run_loop, server) != 0) {
        server->wake_open = false;
        abandon_start(server);
        return sb_fail(diag, SB_E_NOMEM, "cannot start %u RPC threads", o->worker_count + 1);
    }
    server->started = true;
    return SB_OK;
}

void sb_rpc_server_stop(struct sb_rpc_server *server)
{
    if (!server->started) {
        return;
    }
    atomic_store(&server->stopping, true);
    send_wake(server);
    (void)uv_thread_join(&server->thread);
    (void)uv_loop_close(&server->loop);
    sb_arena_fini(&server->arena);
    server->listen_fd = -1;
    server->started = false;
}

/* ---- from other threads ---- */

uint16_t sb_rpc_server_port(const struct sb_rpc_server *server)
{
    return server->port;
}

void sb_rpc_notify_head(struct sb_rpc_server *server, const struct sb_rpc_block *block)
{
    uv_mutex_lock(&server->lock);
    if (server->wake_open) {
        if (server->head_count == SB_RPC_HEADS_MAX) {
            server->head_first = (server->head_first + 1) % SB_RPC_HEADS_MAX;
            server->head_count--;
        }
        size_t place = (server->head_first + server->head_count++) % SB_RPC_HEADS_MAX;
        server->heads[place] =
            (struct sb_rpc_head){.number = block->block.header.number, .hash = block->hash};
        (void)uv_async_send(&server->wake);
    }
    uv_mutex_unlock(&server->lock);
}

void sb_rpc_notify_pending(struct sb_rpc_server *server, const sb_hash *tx_hash)
{
    sb_rpc_pending_add(server->services.filters, tx_hash);
    send_wake(server);
}

bool sb_rpc_memory_full(const struct sb_rpc_server *server)
{
    return atomic_load(&server->held_bytes) > server->services.options.held_bytes_max;
}

void sb_rpc_hold(struct sb_rpc_server *server, size_t *held, size_t now)
{
    atomic_fetch_add(&server->held_bytes, now);
    atomic_fetch_sub(&server->held_bytes, *held);
    *held = now;
}

void sb_rpc_count_tally(struct sb_rpc_server *server, struct sb_rpc_tally tally)
{
    atomic_fetch_add(&server->requests, tally.requests);
    atomic_fetch_add(&server->errors, tally.errors);
}

struct sb_rpc_counters sb_rpc_server_counters(const struct sb_rpc_server *server)
{
    return (struct sb_rpc_counters){
        .requests = atomic_load(&server->requests),
        .errors = atomic_load(&server->errors),
        .rejected = atomic_load(&server->rejected),
        .connections = atomic_load(&server->connections),
        .sessions = atomic_load(&server->session_count),
        .sessions_dropped = atomic_load(&server->sessions_dropped),
        .jobs_waiting = atomic_load(&server->jobs_waiting),
    };
}
