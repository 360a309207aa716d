/* server.h: the JSON-RPC server: HTTP and WebSocket on one port, in a thread of its own.
 *
 *      clients --TCP--> libmicrohttpd (epoll) --> loop thread (libuv): parse, fast methods, write
 *                                                   |  jobs (bounded queue)        ^ answers, notifications
 *                                                   v                              |
 *                                                 worker pool: everything that executes code or reads the database
 *
 * Invariants: only the loop thread touches sockets; a connection that waits for a worker is suspended and costs no thread; every
 * queue, body, answer, batch, filter and subscription has a bound in struct sb_rpc_options; a WebSocket client that goes away stops its
 * work, work for any client ends at its time limit.
 * libmicrohttpd runs in external epoll mode, because its own epoll thread stalls when exactly 128 sockets are ready at once.
 * Spec: JSON-RPC 2.0, RFC 6455, execution-apis; errors as geth words them. */
#ifndef SB_RPC_SERVER_H
#define SB_RPC_SERVER_H

#include "rpc/backend.h"

struct sb_rpc_server;

/* All limits of the server. Zero or NULL in a field means the default named beside it. */
struct sb_rpc_options {
    const char *host;           /* numeric address to listen on; "127.0.0.1" */
    uint16_t port;              /* 0: the system picks one, see sb_rpc_server_port */
    const char *client_version; /* web3_clientVersion; "Samebit" */
    const char *
        cors_origin; /* "*" any origin, "" none, otherwise exactly this one, also for WebSocket; "*" */

    uint32_t worker_count;          /* threads that read and execute, at least 2; 4 */
    uint32_t worker_queue_max;      /* jobs that may wait for a worker; 1024 */
    uint32_t connection_count_max;  /* open connections; 2048 */
    uint32_t connection_per_ip_max; /* of one address; 1024 */
    uint32_t idle_timeout_s;        /* of a connection without traffic; 30 */
    uint32_t session_count_max;     /* WebSocket sessions; 512 */
    size_t
        session_queue_bytes_max; /* unsent bytes of one WebSocket client before it is dropped; 32 MiB */
    uint32_t session_subscriptions_max; /* of one WebSocket client; 256 */
    uint32_t session_in_flight_max; /* requests of one WebSocket client that wait for workers; 64 */

    size_t body_bytes_max;     /* HTTP body or WebSocket message; 5 MiB */
    size_t response_bytes_max; /* one answer, batches included; 25 MiB */
    size_t held_bytes_max;     /* bodies and unsent answers of all clients together; 512 MiB */
    uint32_t depth_max;        /* nesting of a request; 32 */
    uint32_t batch_count_max;  /* entries of a batch; 1,000 */

    uint64_t call_gas_max;     /* gas of eth_call and its relatives; 50,000,000 */
    uint32_t call_ms_max;      /* time of one request; 2,000 */
    uint64_t batch_gas_max;    /* gas of all executions of one batch; ten times call_gas_max */
    uint32_t batch_ms_max;     /* time of one batch; 10,000 */
    uint32_t trace_ms_max;     /* time of one debug_trace*, eth_simulateV1; 10,000 */
    uint64_t log_blocks_max;   /* block range of eth_getLogs; 100,000 */
    uint32_t log_count_max;    /* logs of one answer; 10,000 */
    uint32_t filter_count_max; /* of all clients; 1,024 */
    uint32_t filter_expiry_s;  /* a filter nobody polls; 300 */
};

/* What the server counted since it started, for the node's metrics. */
struct sb_rpc_counters {
    uint64_t requests, errors, rejected; /* rejected: full queue, too large, over a limit */
    uint64_t connections, sessions;      /* open now */
    uint64_t sessions_dropped;           /* WebSocket clients that were too slow */
    uint64_t jobs_waiting;
};

/* sb_rpc_server_new: a server that is not listening yet. Both structs are copied; the backend's functions are called until
 * sb_rpc_server_stop returns. Free with sb_rpc_server_free. SB_E_NOMEM, SB_E_ARG (with a message). */
sb_err sb_rpc_server_new(struct sb_rpc_server **ret_server, const struct sb_rpc_backend *backend,
                         const struct sb_rpc_options *options, struct sb_diag *diag) SB_MUST_USE;
/* sb_rpc_server_start: listen and start the threads. SB_E_BUSY if the port is taken, SB_E_ARG for a bad host, SB_E_IO. */
sb_err sb_rpc_server_start(struct sb_rpc_server *server, struct sb_diag *diag) SB_MUST_USE;
/* sb_rpc_server_stop: close all connections, stop running calls, join the threads. Harmless when not started. */
void sb_rpc_server_stop(struct sb_rpc_server *server);
/* sb_rpc_server_free: stop and free; NULL is allowed. */
void sb_rpc_server_free(struct sb_rpc_server *server);
/* sb_rpc_server_port: the port in use after start. */
uint16_t sb_rpc_server_port(const struct sb_rpc_server *server);
/* sb_rpc_server_counters: a snapshot; callable from any thread. */
struct sb_rpc_counters sb_rpc_server_counters(const struct sb_rpc_server *server);

/* sb_rpc_notify_head: a block was decided and can be read through the backend. Only its hash and number are taken; nothing is kept
 * of it. Callable from any thread, never blocks for long. */
void sb_rpc_notify_head(struct sb_rpc_server *server, const struct sb_rpc_block *block);
/* sb_rpc_notify_pending: a transaction entered the pool. Callable from any thread. */
void sb_rpc_notify_pending(struct sb_rpc_server *server, const sb_hash *tx_hash);

#endif
