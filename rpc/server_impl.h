/* server_impl.h: the inside of the server, shared by server.c (loop and life), http.c, websocket.c
 * and notify.c. */
#ifndef SB_RPC_SERVER_IMPL_H
#define SB_RPC_SERVER_IMPL_H

#include <microhttpd.h>

#include "rpc/filters.h"
#include "rpc/workers.h"

/* Heads that may wait for the loop; older ones are dropped from the subscriptions (filters do not miss any). */
#define SB_RPC_HEADS_MAX 1024

struct sb_rpc_head {
    uint64_t number;
    sb_hash hash;
};

struct sb_rpc_server {
    struct sb_rpc_services services;
    char *host, *client_version, *cors_origin; /* owned copies behind services.options */
    uint16_t port;

    uv_thread_t thread;
    bool started;
    int listen_fd;
    atomic_bool stopping;

    /* Loop thread only. */
    uv_loop_t loop;
    uv_poll_t daemon_poll;
    uv_timer_t daemon_timer; /* libmicrohttpd's own timeouts */
    uv_timer_t watch_timer;  /* deadlines, while jobs exist */
    uv_timer_t chores_timer; /* pings, expiry */
    struct MHD_Daemon *daemon;
    bool connection_ended; /* since the daemon's last run began */
    struct sb_rpc_pool *pool;
    struct sb_arena arena; /* of requests that run on the loop */
    struct sb_rpc_session *sessions;
    uint64_t pending_seen; /* next pending transaction for the subscriptions */

    /* Any thread, under lock. */
    uv_mutex_t lock;
    uv_async_t wake;
    bool wake_open; /* wake may be sent */
    struct sb_rpc_head heads[SB_RPC_HEADS_MAX];
    size_t head_first, head_count;

    atomic_size_t held_bytes; /* bodies and answers in memory */
    atomic_uint_fast64_t requests, errors, rejected, connections, session_count, sessions_dropped,
        jobs_waiting;
};

/* sb_rpc_drive: let libmicrohttpd work and arm its next timeout. After anything that changes a connection. */
void sb_rpc_drive(struct sb_rpc_server *server);
/* sb_rpc_submit_job: queue a job and arm the deadline timer. SB_E_BUSY when the queue is full or the server ends. */
sb_err sb_rpc_submit_job(struct sb_rpc_server *server, struct sb_rpc_job *job) SB_MUST_USE;
/* sb_rpc_hold: the owner of *held bytes of the clients' memory now has `now` bytes. sb_rpc_memory_full: the sum is over its limit.
 * Callable from any thread. */
void sb_rpc_hold(struct sb_rpc_server *server, size_t *held, size_t now);
bool sb_rpc_memory_full(const struct sb_rpc_server *server);
void sb_rpc_count_tally(struct sb_rpc_server *server, struct sb_rpc_tally tally);

/* http.c */
enum MHD_Result sb_rpc_http_handle(void *ctx, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **state);
void sb_rpc_http_completed(void *ctx, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code);
void sb_rpc_http_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
                            enum MHD_ConnectionNotificationCode code);

/* websocket.c */
/* sb_rpc_session_upgrade: answer a handshake; the response is queued in every case. */
enum MHD_Result sb_rpc_session_upgrade(struct sb_rpc_server *server,
                                       struct MHD_Connection *connection);
/* notify.c: sb_rpc_sessions_head, _pending: notify the subscribers. */
void sb_rpc_sessions_head(struct sb_rpc_server *server, const struct sb_rpc_head *head);
void sb_rpc_sessions_pending(struct sb_rpc_server *server);
/* sb_rpc_sessions_chores: ping the quiet, drop the dead. */
void sb_rpc_sessions_chores(struct sb_rpc_server *server, uint64_t now_ms);
/* sb_rpc_sessions_close: begin to close all; they are gone once the loop has run. */
void sb_rpc_sessions_close(struct sb_rpc_server *server);

#endif
