/* snap_server.h: takes snapshots of a running node, answers those who want to begin there, and prunes old blocks.
 *
 *      node loop  --new head-->  every interval: the checkpoint is cut, at exactly that height; the rest is the worker's
 *      p2p thread --question-->  the peer's queue --> worker: sb_snap_answer --> send        (channel SNAPSHOT)
 *                                          flushes before a checkpoint, adopts it after, prunes
 *
 * All nodes with one interval take the same heights, so that a newcomer can ask several of them for one state. Questions wait in a queue of
 * SB_SNAP_QUEUE_MAX a peer; more is an offence. Peers take turns, one answer each; one that does not read its answers is left out for a
 * while, ever longer, and costs the others nothing. Any thread may call any function, but new, start and free. */
#ifndef SB_NODE_SNAP_SERVER_H
#define SB_NODE_SNAP_SERVER_H

#include "node/chain.h"
#include "node/p2p/channel.h"

#define SB_SNAP_QUEUE_MAX 16

struct sb_snap_server;

struct sb_snap_server_options {
    struct sb_chain *chain; /* borrowed; the server becomes a subscriber of it */
    const char *dir;        /* of the snapshots; copied */
    uint64_t interval;      /* a snapshot each so many blocks; 0: none */
    size_t keep;            /* the newest so many stay */
    uint64_t
        prune_blocks; /* blocks to keep; 0: all. What evidence or a snapshot needs, and the history, is kept in any case */
    uint64_t history_blocks;
    const struct sb_logger *log;
    void *ctx;
    bool (*send)(void *ctx, sb_peer peer, sb_bytes message);
    void (*report)(void *ctx, sb_peer peer, enum sb_offence offence, const char *why);
};

sb_err sb_snap_server_new(struct sb_snap_server **ret_server,
                          const struct sb_snap_server_options *options,
                          struct sb_diag *diag) SB_MUST_USE;
sb_err sb_snap_server_start(struct sb_snap_server *server, struct sb_diag *diag) SB_MUST_USE;
/* sb_snap_server_stop: end the worker. May be called more than once. */
void sb_snap_server_stop(struct sb_snap_server *server);
void sb_snap_server_free(struct sb_snap_server *server);
/* sb_snap_server_receive: a message on SNAPSHOT (copied). */
void sb_snap_server_receive(struct sb_snap_server *server, sb_peer peer, sb_bytes message);
void sb_snap_server_peer_down(struct sb_snap_server *server, sb_peer peer);

#endif
