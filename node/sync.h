/* sync.h: which committed blocks to ask of whom: block sync as a pure state machine.
 *
 *      heights    head+1 ........................................ head+window
 *                 [ ready ][ asked of 2 ][ ready ][ asked of 0 ][ free ] ...
 *                    |
 *                    +--> sb_sync_ready: the next block, for the host to verify and commit; sb_sync_applied, sb_sync_refused
 *
 *      peers      head and oldest as they say; at most so many open requests each, a time limit for their answers, strikes
 *
 * Two modes. `single` (consensus is running): only head + 1 is asked for, of one peer at a time: what a peer says of its height proves
 * nothing, and must not stop a validator from voting. `full` (nothing is voted on): the whole window at once.
 * A claim that is not kept costs the peer a strike: its requests go to others; after SB_SYNC_STRIKES_MAX its claims count no more, so
 * sync always ends; strikes are forgiven slowly, since loss looks the same. A false block costs it everything at once. A peer that lowers
 * its height has lied about one of the two and is dropped (ASA-2025-001).
 *
 * What a peer was asked for and has not answered is remembered, the last SB_SYNC_OWED_MAX of each, also when its time was up: a late
 * answer is taken if the block is still lacking, and is no fault if it is not.
 *
 * No clock and no sending: time is handed in, and requests come out of sb_sync_poll. Memory: SB_SYNC_WINDOW blocks and bytes_max,
 * and one block more. The state to resume is the head. */
#ifndef SB_NODE_SYNC_H
#define SB_NODE_SYNC_H

#include "base/types/consensus.h"
#include "node/p2p/channel.h"

#define SB_SYNC_PEERS       256
#define SB_SYNC_WINDOW      128
#define SB_SYNC_STRIKES_MAX 3
#define SB_SYNC_OWED_MAX    128

struct sb_sync_options {
    uint32_t open_max;  /* requests at a time of one peer; 0 takes 20 */
    size_t bytes_max;   /* of blocks that wait for their turn; 0 takes 64 MiB */
    uint64_t answer_ms; /* time limit for an answer, of which more for long blocks; 0 takes 3000 */
    uint64_t bytes_per_s; /* least rate that long blocks must come at; 0 takes 128 KiB */
};

enum sb_sync_mode { SB_SYNC_SINGLE, SB_SYNC_FULL };

enum sb_sync_action_type {
    SB_SYNC_REQUEST, /* ask this peer for this height */
    SB_SYNC_SLOW,    /* the peer did not deliver in time: report it */
};
struct sb_sync_action {
    enum sb_sync_action_type type;
    sb_peer peer;
    uint64_t height;
};

/* What became of an answer. */
enum sb_sync_answer {
    SB_SYNC_TAKEN,
    SB_SYNC_LATE,    /* this peer was asked for it; it is not needed any more */
    SB_SYNC_UNASKED, /* it was not */
};

struct sb_sync;

/* sb_sync_new: NULL when out of memory. */
struct sb_sync *sb_sync_new(const struct sb_sync_options *options);
void sb_sync_free(struct sb_sync *sync);

void sb_sync_peer_up(struct sb_sync *sync, sb_peer peer);
/* sb_sync_peer_down: what it was asked for is asked of others. */
void sb_sync_peer_down(struct sb_sync *sync, sb_peer peer);
/* sb_sync_peer_status: false: the peer lowered its head; drop it. */
bool sb_sync_peer_status(struct sb_sync *sync, sb_peer peer, uint64_t head, uint64_t oldest);

/* sb_sync_head: height `head` is committed, however that came about. Heights only grow. */
void sb_sync_head(struct sb_sync *sync, uint64_t head);
void sb_sync_mode(struct sb_sync *sync, enum sb_sync_mode mode);
/* sb_sync_target: the highest head that a peer claims which has not forfeited belief; 0: none. */
uint64_t sb_sync_target(const struct sb_sync *sync);
/* sb_sync_forgive: take back what peers have forfeited by slowness, as time passes. To be called now and then whatever the target is: with
 * none that is believed, nothing else would ever ask anybody again. */
void sb_sync_forgive(struct sb_sync *sync, uint64_t now_ms);

/* sb_sync_poll: what to do now; at most max actions, call again while that many come. A request that could not be sent: sb_sync_unsent. */
size_t sb_sync_poll(struct sb_sync *sync, struct sb_sync_action *ret_actions, size_t max,
                    uint64_t now_ms);
void sb_sync_unsent(struct sb_sync *sync, sb_peer peer, uint64_t height);

/* sb_sync_block: a block with its commit came from a peer. Both are copied when they are TAKEN. SB_E_NOMEM: nothing is kept, it is asked
 * for again. sb_sync_no_block: the peer says that it cannot give it. */
sb_err sb_sync_block(enum sb_sync_answer *ret_answer, struct sb_sync *sync, sb_peer peer,
                     sb_bytes encoded, const struct sb_commit *commit) SB_MUST_USE;
enum sb_sync_answer sb_sync_no_block(struct sb_sync *sync, sb_peer peer, uint64_t height,
                                     uint64_t now_ms);

/* The next block to commit; borrowed until the next call. */
struct sb_sync_ready {
    sb_peer peer;
    uint64_t height;
    sb_bytes encoded;
    struct sb_commit commit;
};
/* sb_sync_ready: true when the block of head + 1 is here. */
bool sb_sync_ready(struct sb_sync_ready *ret_ready, const struct sb_sync *sync);
/* sb_sync_refused: it was false: forget it and never believe its sender again. (A block that was right is followed by sb_sync_head.) */
void sb_sync_refused(struct sb_sync *sync);

/* For tests: bytes of blocks held, and open requests. */
size_t sb_sync_held_bytes(const struct sb_sync *sync);
size_t sb_sync_open_requests(const struct sb_sync *sync);

#endif
