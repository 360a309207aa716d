/* session.h: one WebSocket client: its subscriptions, as the eth_subscribe handler sees them.
 *
 * Subscriptions live in the session under its lock and end with it. Notifications are made on the loop thread. Thread-safe. */
#ifndef SB_RPC_SESSION_H
#define SB_RPC_SESSION_H

#include "rpc/filters.h"

struct sb_rpc_session;

enum sb_rpc_subscription_kind {
    SB_RPC_SUB_HEADS,
    SB_RPC_SUB_LOGS,
    SB_RPC_SUB_PENDING,
    SB_RPC_SUB_PENDING_FULL
};

/* sb_rpc_session_subscribe: criteria (LOGS only) is taken over, also on failure. SB_E_LIMIT, SB_E_NOMEM, SB_E_IO. */
sb_err sb_rpc_session_subscribe_take(struct sb_rpc_session *session, sb_rpc_filter_id *ret_id,
                                     enum sb_rpc_subscription_kind kind,
                                     struct sb_rpc_log_filter *criteria) SB_MUST_USE;
/* sb_rpc_session_unsubscribe: false when this session has no such subscription. */
bool sb_rpc_session_unsubscribe(struct sb_rpc_session *session, const sb_rpc_filter_id *id);

#endif
