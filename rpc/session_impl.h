/* session_impl.h: the inside of a WebSocket session, shared by websocket.c (socket, frames, requests) and notify.c (subscriptions). */
#ifndef SB_RPC_SESSION_IMPL_H
#define SB_RPC_SESSION_IMPL_H

#include <wslay/wslay.h>

#include "rpc/server_impl.h"
#include "rpc/session.h"

struct subscription {
    sb_rpc_filter_id id;
    enum sb_rpc_subscription_kind kind;
    struct sb_rpc_log_filter *criteria; /* owned; LOGS only */
};

struct session_job;

struct sb_rpc_session {
    struct sb_rpc_session *prev, *next; /* of the server's list */
    struct sb_rpc_server *server;
    struct MHD_UpgradeResponseHandle *upgrade;
    int fd;
    uv_poll_t poll;
    wslay_event_context_ptr frames;
    uint8_t *early; /* bytes that came with the handshake; owned */
    size_t early_len, early_taken;
    struct session_job *jobs;
    uint32_t job_count;
    size_t held;            /* unsent bytes counted against held_bytes_max */
    bool closing, detached; /* detached: the socket is given back */
    uint64_t heard_ms, pinged_ms;

    uv_mutex_t lock;       /* below */
    size_t criteria_bytes; /* of all subscriptions */
    size_t subscription_count;
    struct subscription *subscriptions; /* [session_subscriptions_max] */
};

/* sb_rpc_session_queue: queue a text frame; nothing for an empty text or a closing session. */
void sb_rpc_session_queue(struct sb_rpc_session *session, sb_bytes text);
/* sb_rpc_session_flush: send what the socket takes, drop the session if too much is left, wait for more. */
void sb_rpc_session_flush(struct sb_rpc_session *session);

#endif
