/* state_sync_net.h: a state sync over the peer network, for a node that is not running yet.
 *
 *      the data directory's settings and node key --> p2p --> state_sync.h --> db/ --> the node starts on it */
#ifndef SB_NODE_STATE_SYNC_NET_H
#define SB_NODE_STATE_SYNC_NET_H

#include "node/datadir.h"
#include "node/state_sync.h"

struct sb_state_sync_request {
    const struct sb_datadir *dir;
    const struct sb_config *config;
    const struct sb_genesis *genesis;
    uint64_t trust_height;
    sb_hash trust_hash;
    uint64_t trust_period_ms; /* 0: the default */
    const struct sb_logger *log;
};

/* sb_state_sync_net: SB_OK when the database is there: *ret_done says whether it was made now; one that has blocks is left as it is, one that
 * has only genesis makes room. The errors of sb_state_sync, sb_peer_settings_read and sb_p2p_new. */
sb_err sb_state_sync_net(bool *ret_done, const struct sb_state_sync_request *request,
                         struct sb_diag *diag) SB_MUST_USE;

#endif
