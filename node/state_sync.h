/* state_sync.h: a node that begins at a snapshot of others instead of at genesis (docs/spec/state-sync.md).
 *
 *      look      peers come up and tell which snapshots they have
 *      headers   from the trusted height and hash to a snapshot's header, by light-client verification, peer against peer
 *      state     pieces of the snapshot from all peers that have it, each checked on arrival (storage/restore.h)
 *      blobs     the ids that the state speaks of, completely; their contents
 *      past      headers and evidence lists below the snapshot, as far back as evidence can reach, or the first of them (past_later)
 *      finish    the snapshot's block with its rotations becomes the head, in one synced batch
 *
 * Nothing of what a peer says is believed that a verified header does not cover. A peer that answers wrongly is reported, named in the log and
 * not asked again. What is here when the process ends is here at the next start, if a peer still has that snapshot.
 *
 * The transport is a table, so that sockets, files and tests drive the same code. One thread. */
#ifndef SB_NODE_STATE_SYNC_H
#define SB_NODE_STATE_SYNC_H

#include <stdatomic.h>

#include "base/types/genesis.h"
#include "base/util/log.h"
#include "node/p2p/channel.h"

#define SB_STATE_SYNC_PEERS_MAX 64
#define SB_STATE_SYNC_NAME_MAX  80

enum sb_state_sync_event_kind {
    SB_STATE_SYNC_NOTHING, /* the time is up */
    SB_STATE_SYNC_UP,
    SB_STATE_SYNC_DOWN,
    SB_STATE_SYNC_MESSAGE,
};
struct sb_state_sync_event {
    enum sb_state_sync_event_kind kind;
    sb_peer peer;
    sb_bytes message;                  /* valid until the next wait */
    char name[SB_STATE_SYNC_NAME_MAX]; /* of UP: who it is, for the log */
};

/* Messages are those of snap_message.h. */
struct sb_state_sync_wire {
    void *ctx;
    bool (*send)(void *ctx, sb_peer peer, sb_bytes message);
    void (*wait)(void *ctx, struct sb_state_sync_event *ret_event, uint64_t timeout_ms);
    void (*report)(void *ctx, sb_peer peer, enum sb_offence offence, const char *why);
    uint64_t (*monotonic_ms)(void *ctx);
    uint64_t (*wall_ms)(void *ctx);
};

struct sb_state_sync_options {
    const char *db_dir;               /* empty, or with an unfinished state sync */
    const struct sb_genesis *genesis; /* borrowed */
    struct sb_state_sync_wire wire;
    uint64_t trust_height;    /* at least 1: a block that the operator knows to be of the chain, */
    sb_hash trust_hash;       /* by its id */
    uint64_t trust_period_ms; /* 0 takes 168 hours */
    uint64_t look_ms;         /* how long peers are looked for before choosing; 0 takes 3000 */
    uint64_t answer_ms;       /* time for an answer; 0 takes 10000 */
    uint64_t give_up_ms;      /* so long without anything new, and it fails; 0 takes 120000 */
    /* The headers below those that BLOCKHASH can name are left to the node that will run (backfill.h), so that it is at the head soon. */
    bool past_later;
    const atomic_bool *stop; /* may be NULL: set, and it ends with SB_E_CANCELLED */
    const struct sb_logger *log;
};

struct sb_state_sync_report {
    uint64_t height; /* of the snapshot: the head now */
    uint64_t account_count, slot_count, code_count, blob_count, bytes, past_count;
    uint64_t ms;
    uint32_t dropped_count; /* peers that lied */
};

/* sb_state_sync: SB_E_EXISTS: there is a database; SB_E_NOT_FOUND: no peer has a snapshot that can be used; SB_E_REFUSED: two headers of one
 * height, both signed by enough of the power that is trusted: somebody attacks, or the trusted hash is wrong; SB_E_CANCELLED; SB_E_ARG; the
 * errors of the store. */
sb_err sb_state_sync(struct sb_state_sync_report *ret_report,
                     const struct sb_state_sync_options *options, struct sb_diag *diag) SB_MUST_USE;

#endif
