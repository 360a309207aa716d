/* service.h: a whole node in one object: models, chain, pool, consensus, peers, RPC server and its pages; and waiting for the end.
 *
 *     start:  inference cache -> node (chain, pool, consensus, peers) -> backend -> RPC server -> blocks
 *     stop:   the same backwards
 *
 * Threads: sb_service_start blocks SIGINT, SIGTERM, SIGHUP and SIGUSR1 in the calling thread before it makes others, so that
 * sb_service_wait alone receives them; SIGUSR1 is how the node's loop tells it of a failure or a halt. */
#ifndef SB_NODE_SERVICE_H
#define SB_NODE_SERVICE_H

#include "node/datadir.h"

struct sb_service_options {
    const struct sb_datadir *dir;
    const struct sb_config *config;
    const struct sb_genesis *genesis;   /* borrowed for the life of the service */
    const struct sb_validator_key *key; /* copied; means nothing when the settings name a signer */
    const struct sb_logger *log;        /* borrowed */
    bool resync;                        /* as in sb_node_options */
};

struct sb_service;

/* sb_service_start: everything runs when it returns. SB_E_BUSY: the port, or the data directory, is taken. */
sb_err sb_service_start(struct sb_service **ret_service, const struct sb_service_options *options,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_service_wait: until SIGINT, SIGTERM or SIGHUP comes (SB_OK), the node fails (SB_E_INTERNAL with its message), or it halts: after
 * a while in which its peers get the last block, SB_E_CANCELLED when the height to halt at is committed, SB_E_VERSION when this program
 * does not know the rules of the next height, each with the reason. */
sb_err sb_service_wait(struct sb_service *service, struct sb_diag *diag) SB_MUST_USE;
/* sb_service_stop: end the clients' work, finish the block in hand, close everything. NULL is allowed. */
void sb_service_stop(struct sb_service *service);
/* sb_service_end: what the end of waiting means to the user: the exit status, with its line on stderr (stdout for a halt). */
int sb_service_end(sb_err err, const struct sb_diag *diag);
/* sb_service_port: the port in use. */
uint16_t sb_service_port(const struct sb_service *service);

#endif
