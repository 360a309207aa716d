/* replica.h: one node of the network without its sockets, files and clocks: driver, gossip and block sync together.
 *
 *      runtime (libuv, p2p)  or  simulator (virtual time, virtual network)
 *          peer_up, peer_down, receive, timer, wake             |  send, report, set_timer, now
 *                                                               v
 *      +------------------------------------- struct sb_replica -------------------------------------+
 *      | pace     when the next height starts: the chain's least interval, a first message of it, work |
 *      | gossip   proposals, parts, votes, certificates: pushed on at once, sent again after loss     |
 *      | sync     committed blocks from peers that are ahead; no voting meanwhile                      |
 *      | driver   core, journal, signer, application                                                 |
 *      +-----------------------------------------------------------------------------------------------+
 *
 * Everything that a peer may send is decoded here, bounded, and checked before it costs work: a seen-cache before signatures, signature
 * checks on a budget for each peer. Memory does not grow with what peers do: so many bytes a peer, so many a height.
 *
 * One thread. The same calls with the same answers give the same calls out, byte for byte. A result other than SB_OK means that this
 * node has failed and must stop; peers cannot cause one. */
#ifndef SB_NODE_REPLICA_H
#define SB_NODE_REPLICA_H

#include "node/driver.h"
#include "node/p2p/channel.h"

#define SB_REPLICA_PEERS_MAX 256

struct sb_replica;

enum sb_pace {
    SB_PACE_STEADY, /* a block each interval, empty or not */
    SB_PACE_INSTANT, /* as soon as there is a transaction, and none without; only while the set is this one validator */
};

enum sb_replica_timer {
    SB_REPLICA_TIMER_PROPOSE,   /* = SB_BFT_TIMEOUT_PROPOSE */
    SB_REPLICA_TIMER_PREVOTE,   /* = SB_BFT_TIMEOUT_PREVOTE */
    SB_REPLICA_TIMER_PRECOMMIT, /* = SB_BFT_TIMEOUT_PRECOMMIT */
    SB_REPLICA_TIMER_PACE,      /* time for the next height */
    SB_REPLICA_TIMER_GOSSIP, /* time to send again what peers seem to lack, and to look at requests that were not answered */
    SB_REPLICA_TIMER_COUNT
};

/* None of these may call the replica. */
struct sb_replica_host {
    void *ctx;
    uint64_t (*wall_ms)(void *ctx);      /* Unix time */
    uint64_t (*monotonic_ms)(void *ctx); /* never goes back */
    /* set_timer: call sb_replica_timer with this id after delay_ms; replaces a pending one of the same id. With 0, what has arrived by
     * now comes first: a sole validator would hear of nothing else. cancel_timer: it is not needed. */
    void (*set_timer)(void *ctx, enum sb_replica_timer timer, uint64_t delay_ms);
    void (*cancel_timer)(void *ctx, enum sb_replica_timer timer);
    /* send: false when the peer's queue is full or it is gone; the message is then lost. */
    bool (*send)(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message);
    void (*report)(void *ctx, sb_peer peer, enum sb_offence offence, const char *why);
    /* useful: the peer brought something of consensus that was news and right. May be NULL. */
    void (*useful)(void *ctx, sb_peer peer);
    /* halted: halt_height is committed, or the next height needs a version that this program does not know: the replica takes no part
     * any more. reason is a sentence. */
    void (*halted)(void *ctx, const char *reason);
};

struct sb_replica_options {
    const struct sb_application *app; /* borrowed */
    struct sb_journal *journal;       /* borrowed */
    struct sb_signer signer;
    struct sb_pubkey own_key;
    struct sb_verifier verifier;
    struct sb_bft_timeouts timeouts;
    bool may_resync; /* as in sb_driver_options */
    enum sb_pace pace;
    uint64_t interval_ms; /* least time between blocks, if longer than the chain's */
    uint64_t halt_height; /* stop after this height; 0: never */
    uint64_t
        sync_wait_ms; /* how long a starting node with peers waits to hear of their heights; 0 takes 1000 */
    uint64_t resend_ms; /* 0 takes 1000: how long without progress until votes are sent again */
    uint64_t seed;      /* decides between equal peers; not consensus-critical */
    struct sb_replica_host host;
    const struct sb_logger *log;
};

/* sb_replica_new: recover from the journal. Errors of sb_driver_new. */
sb_err sb_replica_new(struct sb_replica **ret_replica, const struct sb_replica_options *options,
                      struct sb_diag *diag) SB_MUST_USE;
void sb_replica_free(struct sb_replica *replica);
/* sb_replica_start: begin to take part; once, when timers and sends work. */
sb_err sb_replica_start(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;

/* ---- what happens outside ---- */

sb_err sb_replica_peer_up(struct sb_replica *replica, sb_peer peer,
                          struct sb_diag *diag) SB_MUST_USE;
sb_err sb_replica_peer_down(struct sb_replica *replica, sb_peer peer,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_replica_receive: a message on STATE, VOTE, PROPOSAL, PART, EVIDENCE or SYNC. */
sb_err sb_replica_receive(struct sb_replica *replica, sb_peer peer, enum sb_channel channel,
                          sb_bytes message, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_replica_timer(struct sb_replica *replica, enum sb_replica_timer timer,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_replica_evidence: evidence that came another way than from a peer. SB_E_REFUSED: it proves nothing. */
sb_err sb_replica_evidence(struct sb_replica *replica, const struct sb_evidence *evidence,
                           struct sb_diag *diag) SB_MUST_USE;
/* sb_replica_wake: the pool has something to give (matters to SB_PACE_INSTANT). */
sb_err sb_replica_wake(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;

/* ---- status ---- */

struct sb_replica_status {
    struct sb_bft_status bft;
    uint64_t head;
    bool is_validator; /* our key is in the set of the next height */
    bool is_waiting;   /* to hear how far its peers are, before it takes part */
    bool is_syncing;
    uint64_t best_height;   /* highest that a peer announced and may be true */
    uint64_t sync_begun_at; /* height at which the present sync began */
    bool is_halted;
    size_t peer_count;
    struct sb_driver_counters driver;
    /* of gossip */
    uint64_t duplicate_votes, duplicate_parts, resent_messages;
    /* timing of the last decided height, monotonic milliseconds; 0 unknown */
    uint64_t last_block_ms, last_interval_ms, last_proposal_to_decision_ms;
    int32_t last_round;
};
struct sb_replica_status sb_replica_status(const struct sb_replica *replica);
/* sb_replica_core: votes and proposals of the started or last decided height, to be looked at between two calls. */
const struct sb_bft *sb_replica_core(const struct sb_replica *replica);

#endif
