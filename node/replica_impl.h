/* replica_impl.h: the inside of a replica, for its own files alone.
 *
 *      replica.c         life, the host's calls, status                gossip_peer.c     what a peer has, may cost, and sent too early
 *      replica_sync.c    block sync: asking, giving, committing         gossip_push.c     what goes out: encoded once, sent to many
 *      gossip_take.c     what comes in: votes, proposals, certificates  gossip_parts.c    blocks: assembly, parts, blocks fetched by id
 *      replica_settle.c  what each call ends with; pace                gossip_repair.c   after loss: asking for, and giving, what is lacking
 *                                                                      gossip_spare.c    who need not be sent what others bring it sooner
 *
 * Each call of the host does its one thing and then settles (replica_settle.c): tells peers of a new head, takes again what came early, goes on
 * with sync, begins the next height. Callbacks of the driver only take note and send; they never call the driver.
 *
 * Memory: SB_REPLICA_PEERS_MAX peers of EARLY_PEER_BYTES_MAX each, twice EARLY_BYTES_MAX together; SB_ASSEMBLIES_MAX blocks in assembly, of
 * the size that their signed proposals state; what sync.h says. */
#ifndef SB_NODE_REPLICA_IMPL_H
#define SB_NODE_REPLICA_IMPL_H

#include "base/util/log.h"
#include "node/messages.h"
#include "node/replica.h"
#include "node/sync.h"

#define SB_EARLY_PEER_BYTES_MAX ((size_t)1024 * 1024)
#define SB_EARLY_BYTES_MAX      ((size_t)32 * 1024 * 1024)
/* Room that a peer has whatever the others fill. */
#define SB_EARLY_SHARE_BYTES  (SB_EARLY_BYTES_MAX / SB_REPLICA_PEERS_MAX)
#define SB_ASSEMBLIES_MAX     4
#define SB_SEEN_MAX           4096 /* power of two */
#define SB_EVIDENCE_KNOWN_MAX 64
#define SB_SERVE_QUEUE_MAX    32
#define SB_PEER_VOTE_SETS     12
#define SB_PEER_PROPOSALS     8
#define SB_PEER_PARTS_SETS    4
#define SB_PEER_WANTED        16
/* Blocks whose part trees are kept: as many as are put together at a time. */
#define SB_TREES_MAX SB_ASSEMBLIES_MAX
/* Rounds above the present one in which proposals and parts are looked at; also bounds the cost of finding a proposer. */
#define SB_ROUNDS_AHEAD_MAX 64

/* ---- a peer ---- */

struct known_votes {
    uint64_t height; /* 0: free */
    int32_t round;
    enum sb_vote_type type;
    struct sb_bits bits;
};

struct known_proposal {
    uint64_t height; /* 0: free */
    int32_t round;
};

struct known_parts {
    uint64_t height; /* 0: free */
    sb_hash block_id;
    struct sb_bits bits;
};

/* Work that a peer may cause: refills with time. */
struct sb_budget {
    uint64_t tokens_milli;
    uint64_t filled_ms;
};

/* A message for a height or a proposal that is not begun here yet. */
struct early_message {
    struct early_message *next;
    enum sb_channel channel;
    size_t len;
    uint8_t bytes[];
};

struct gossip_peer {
    sb_peer id;
    uint32_t index; /* in replica->peers */
    bool has_status;
    struct sb_message_status status; /* the last it sent */
    /* what it has, as far as known: each a ring of the latest */
    struct known_votes votes[SB_PEER_VOTE_SETS];
    struct known_proposal proposals[SB_PEER_PROPOSALS];
    struct known_parts parts[SB_PEER_PARTS_SETS];
    size_t votes_next, proposals_next, parts_next;
    struct sb_message_relay off;   /* what it asked not to be sent */
    struct sb_message_relay spare; /* what it is asked not to send */
    bool spare_changed;
    bool is_stuck; /* its send queue was full: what did not fit is sent at the next tick */
    struct sb_budget checks; /* signature checks that brought nothing new */
    uint64_t checks_window;  /* the same in this window of time, which all peers share */
    uint32_t checks_used;
    struct sb_budget answers; /* to its status that asks */
    struct sb_budget blocks;  /* given for sync and by want */
    struct sb_budget wants;   /* of them whole ones that are not committed yet */
    uint64_t slow_ms;         /* when it was last reported as slow; 0: never */
    /* heights of blocks that it was asked for by id and has not answered; a ring; 0: free */
    uint64_t wanted[SB_PEER_WANTED];
    size_t wanted_next;
    /* messages that came too early, oldest first */
    struct early_message *early_first, *early_last;
    size_t early_bytes;
    bool early_lost; /* some found no room: ask it for them later */
    /* blocks that it has asked for */
    uint64_t serve[SB_SERVE_QUEUE_MAX];
    size_t serve_count;
    uint64_t serve_at_ms,
        serve_pause_ms; /* its queue was full: not before, and how long that was */
};

/* ---- the node ---- */

enum replica_mode {
    MODE_WAITING,   /* started, hears of the heights of its peers */
    MODE_CONSENSUS, /* takes part */
    MODE_SYNC,      /* peers are ahead: their blocks first; no height is begun */
    MODE_HALTED,
};

/* A block that comes in parts. */
struct assembly {
    bool is_used;
    uint32_t proposer; /* index in the set */
    bool is_done;      /* given to the driver: later parts are repetitions */
    uint64_t height;
    int32_t round; /* of the first proposal of it */
    sb_hash block_id, parts_root;
    uint32_t block_bytes;
    struct sb_bits have;
    uint8_t *memory; /* block_bytes long, owned; NULL once done */
};

/* The proofs of a block's parts: made once, though peers that lack different blocks ask in turn. */
struct block_tree {
    sb_hash block_id; /* zero: none */
    struct sb_part_tree tree;
};

/* A block that the driver needs and that parts do not bring: asked whole of one peer after another. */
struct block_fetch {
    bool is_active;
    uint64_t height;
    int32_t round;
    sb_hash block_id;
    uint64_t due_ms; /* ask the next peer then */
    bool is_asked;   /* of: */
    sb_peer asked;
    uint32_t next_index; /* where to look for the next peer */
};

struct evidence_known {
    sb_hash id; /* all zero: free */
    uint64_t height;
    struct sb_bits sent; /* by peer index */
};

struct host_timer {
    uint64_t height;
    int32_t round;
};

struct sb_replica {
    struct sb_replica_options options;
    struct sb_driver *driver;
    struct sb_sync *sync;
    sb_err failed;
    struct sb_diag failure;
    sb_addr own_address;
    enum replica_mode mode;
    bool is_started;
    bool in_call;

    struct gossip_peer *peers[SB_REPLICA_PEERS_MAX]; /* owned; NULL: free */
    uint32_t peer_count, peer_end;                   /* peer_end: above the highest used index */
    size_t early_bytes;                              /* of all peers */
    uint64_t checks_window;                          /* see sb_gossip_may_check */
    uint32_t checks_used;                            /* in it, by all peers */
    uint64_t openers_height;                         /* a height that is not begun, and who */
    struct sb_bits openers;                          /* has sent a valid message of it */

    struct sb_arena arena; /* of the message in hand */
    struct sb_buf out;     /* the message that is written */
    struct block_tree trees[SB_TREES_MAX];
    size_t trees_next; /* the place of the oldest */
    uint8_t seen[SB_SEEN_MAX][16];
    struct assembly assemblies[SB_ASSEMBLIES_MAX];
    struct block_fetch fetch;
    struct evidence_known evidence[SB_EVIDENCE_KNOWN_MAX];
    size_t evidence_next;

    /* taken note of by the driver's callbacks and by what comes in; worked off when settling */
    bool has_committed;
    bool early_due;    /* a height or a proposal began: look at what came early */
    bool sync_due;     /* heights or blocks of peers came */
    bool evidence_due; /* there may be new evidence */
    bool work_due;     /* the pool may have something (SB_PACE_INSTANT) */
    bool ask_due;      /* votes of the next height may have been missed: ask when it has begun */
    bool starts_spent; /* a height was begun in this call */

    struct host_timer driver_timers[SB_BFT_TIMEOUT_PRECOMMIT + 1];
    uint64_t wait_until_ms; /* MODE_WAITING */
    uint64_t due_ms;        /* the next height begins */
    bool pace_armed;
    uint64_t pace_at_ms;
    bool tick_armed;
    uint64_t tick_at_ms;
    bool tick_soon;    /* there is a new reason to tick: find out anew when */
    bool is_unsettled; /* turns were left: tick at once */

    /* who brings the messages of a validator: index of the peer + 1; 0: not settled yet (gossip_spare.c) */
    uint16_t vote_source[SB_VALIDATORS_MAX], block_source[SB_VALIDATORS_MAX];
    sb_addr source_addresses[SB_VALIDATORS_MAX]; /* of the set that these indices belong to */
    size_t source_count;
    uint64_t spare_after_ms; /* nothing is settled before */
    uint32_t spare_stalls;   /* how often that ended in a stall */

    /* what peers were told of us */
    uint64_t sequence;
    uint64_t told_head;
    int32_t told_round;
    int32_t settled_round; /* when what came early was last looked at for it */
    uint64_t told_ms;
    /* for noticing that nothing moves */
    struct sb_bft_status moved_status;
    uint64_t moved_head, moved_ms, asked_ms;
    uint64_t owed_ms; /* when a signer was last asked again */
    uint32_t asked_next;

    /* giving blocks */
    uint32_t serve_next;            /* whose turn it is */
    uint64_t given_bytes, given_ms; /* not yet paid for by time, since */

    /* sync */
    bool is_syncing_block;                /* one is being committed */
    bool synced_last;                     /* the last block came from a peer: there may be more */
    uint64_t lag_since_ms;                /* peers say that they are ahead, since; 0: they do not */
    uint64_t sync_age_ms, sync_age_at_ms; /* least age of the head in this sync, and since when */
    bool at_tip;                          /* it ended because that shrank no more */
    uint64_t sync_begun_at, sync_begun_ms, sync_logged_ms, sync_logged_head;

    struct sb_replica_status status; /* counters and times */
    uint64_t proposal_ms[4];         /* when the proposal of round r % 4 was taken or made */
    uint64_t commit_ms;
};

/* ---- replica.c ---- */

uint64_t sb_replica_now(const struct sb_replica *replica); /* monotonic */
uint64_t sb_replica_head(const struct sb_replica *replica);
/* sb_replica_round: of the height that is begun; 0 when none is. */
int32_t sb_replica_round(const struct sb_replica *replica);
/* sb_replica_is_begun: the height after the head is started; its core may be asked. */
bool sb_replica_is_begun(const struct sb_replica *replica);
void sb_replica_report(struct sb_replica *replica, const struct gossip_peer *peer,
                       enum sb_offence offence, const char *why);
/* sb_replica_useful: the peer brought something that was news. */
void sb_replica_useful(struct sb_replica *replica, const struct gossip_peer *peer);
/* sb_replica_begin_height: unless halted; sets mode MODE_CONSENSUS. */
sb_err sb_replica_begin_height(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;
/* sb_replica_may_go_on: false, and halted, when head + 1 is not for this program. */
bool sb_replica_may_go_on(struct sb_replica *replica);
/* sb_replica_dispatch: a message of a peer, also one that waited. */
sb_err sb_replica_dispatch(struct sb_replica *replica, struct gossip_peer *peer,
                           enum sb_channel channel, sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;
uint64_t sb_replica_resend_ms(const struct sb_replica *replica);

/* ---- replica_settle.c ---- */

/* sb_replica_settle: at the end of each call: do what is due. */
sb_err sb_replica_settle(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;
/* sb_replica_set_due: the next height begins an interval after the time of the last block, as its proposer stated it, but not before now
 * and not later than an interval from now, whatever that time is. */
void sb_replica_set_due(struct sb_replica *replica);
/* sb_replica_is_sole: the next height is this validator's alone. */
bool sb_replica_is_sole(const struct sb_replica *replica);

/* ---- gossip_peer.c ---- */

struct gossip_peer *sb_gossip_find(const struct sb_replica *replica, sb_peer id);
/* sb_gossip_add: NULL when there is no room. */
struct gossip_peer *sb_gossip_add(struct sb_replica *replica, sb_peer id);
void sb_gossip_remove(struct sb_replica *replica, struct gossip_peer *peer);

bool sb_gossip_has_vote(const struct gossip_peer *peer, const struct sb_vote *vote);
void sb_gossip_mark_vote(struct gossip_peer *peer, const struct sb_vote *vote);
/* sb_gossip_set_votes: replaces what was known. */
void sb_gossip_set_votes(struct gossip_peer *peer, const struct sb_message_votes *votes);
bool sb_gossip_has_proposal(const struct gossip_peer *peer, uint64_t height, int32_t round);
void sb_gossip_mark_proposal(struct gossip_peer *peer, uint64_t height, int32_t round, bool has);
bool sb_gossip_has_part(const struct gossip_peer *peer, const sb_hash *block_id, uint32_t index);
void sb_gossip_mark_part(struct gossip_peer *peer, uint64_t height, const sb_hash *block_id,
                         uint32_t index);
void sb_gossip_set_parts(struct gossip_peer *peer, uint64_t height, const sb_hash *block_id,
                         const struct sb_bits *bits);

/* sb_budget_take: count tokens, if there are that many, with a refill of per_s up to burst. sb_budget_give: back. */
struct sb_budget_rule {
    uint32_t burst, per_s;
};
extern const struct sb_budget_rule sb_budget_checks, sb_budget_answers, sb_budget_blocks,
    sb_budget_wants;
bool sb_budget_take(struct sb_budget *budget, struct sb_budget_rule rule, uint32_t count,
                    uint64_t now_ms);
void sb_budget_give(struct sb_budget *budget, struct sb_budget_rule rule, uint32_t count);

/* sb_gossip_may_check: whether a peer may cause so many signature checks now: by its own budget, and when they are likely vain also by
 * what all peers share, of which each has its part. CHECK_HOPEFUL is for what would fill an empty place of the present height: there are
 * only so many, and a false signature is an offence. sb_gossip_was_news: they brought something: they are not counted. */
enum check_hope { CHECK_HOPEFUL, CHECK_LIKELY_VAIN };
bool sb_gossip_may_check(struct sb_replica *replica, struct gossip_peer *peer, uint32_t count,
                         enum check_hope hope);
void sb_gossip_was_news(struct sb_replica *replica, struct gossip_peer *peer, uint32_t count);

/* sb_early_keep: keep a message for later, if there is room. sb_early_take: all of a peer's, oldest first, now the caller's. */
void sb_early_keep(struct sb_replica *replica, struct gossip_peer *peer, enum sb_channel channel,
                   sb_bytes raw);
struct early_message *sb_early_take(struct sb_replica *replica, struct gossip_peer *peer);
void sb_early_free(struct early_message *list);

/* sb_seen: a valid message with these bytes came before. sb_seen_add: from now on. */
bool sb_seen(const struct sb_replica *replica, sb_bytes raw);
void sb_seen_add(struct sb_replica *replica, sb_bytes raw);

/* ---- gossip_push.c ---- */

/* sb_gossip_write: the message in replica->out; empty when memory ran out. */
sb_bytes sb_gossip_write(struct sb_replica *replica, const struct sb_message *message);
bool sb_gossip_send(struct sb_replica *replica, struct gossip_peer *peer, enum sb_channel channel,
                    sb_bytes raw);
bool sb_gossip_send_message(struct sb_replica *replica, struct gossip_peer *peer,
                            const struct sb_message *message);
/* The pushes: to every peer that can use it and is not known to have it. raw: the encoded message; empty: it is our own. Our own go to
 * all; what is passed on is spared those who asked for it. proposer: index of the validator, -1: we are. */
void sb_gossip_push_vote(struct sb_replica *replica, const struct sb_vote *vote, sb_bytes raw);
void sb_gossip_push_proposal(struct sb_replica *replica, const struct sb_proposal *proposal,
                             int proposer, sb_bytes raw);
void sb_gossip_push_part(struct sb_replica *replica, const struct sb_message_part *part,
                         const sb_hash *block_id, int proposer, sb_bytes raw);
void sb_gossip_push_block(struct sb_replica *replica, const struct sb_proposal *proposal,
                          sb_bytes block);
/* sb_gossip_send_vote, _proposal, _block: to one peer, if it lacks it; false when its queue is full. */
bool sb_gossip_send_vote(struct sb_replica *replica, struct gossip_peer *peer,
                         const struct sb_vote *vote);
bool sb_gossip_send_proposal(struct sb_replica *replica, struct gossip_peer *peer,
                             const struct sb_proposal *proposal);
bool sb_gossip_send_block(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_proposal *proposal, sb_bytes block);
/* sb_gossip_tell: our status to one peer, or to all of them (NULL). */
void sb_gossip_tell(struct sb_replica *replica, struct gossip_peer *peer, bool asks);
/* sb_gossip_push_evidence: evidence of the pool that peers have not been sent. */
sb_err sb_gossip_push_evidence(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;
/* sb_gossip_note_evidence: the entry of a piece of evidence; *ret_is_new when it was made now. */
struct evidence_known *sb_gossip_note_evidence(struct sb_replica *replica,
                                               const struct sb_evidence *evidence,
                                               bool *ret_is_new);

/* ---- gossip_take.c ---- */

sb_err sb_gossip_take_vote(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_vote *vote, sb_bytes raw,
                           struct sb_diag *diag) SB_MUST_USE;
sb_err sb_gossip_take_proposal(struct sb_replica *replica, struct gossip_peer *peer,
                               const struct sb_proposal *proposal, sb_bytes raw,
                               struct sb_diag *diag) SB_MUST_USE;
sb_err sb_gossip_take_certificate(struct sb_replica *replica, struct gossip_peer *peer,
                                  const struct sb_bft_certificate *certificate,
                                  struct sb_diag *diag) SB_MUST_USE;
sb_err sb_gossip_take_evidence(struct sb_replica *replica, struct gossip_peer *peer,
                               const struct sb_evidence *evidence,
                               struct sb_diag *diag) SB_MUST_USE;
/* sb_gossip_take_early: look again at what came too early. */
sb_err sb_gossip_take_early(struct sb_replica *replica, struct sb_diag *diag) SB_MUST_USE;

/* ---- gossip_parts.c ---- */

sb_err sb_gossip_take_part(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_message_part *part, sb_bytes raw,
                           struct sb_diag *diag) SB_MUST_USE;
/* sb_assembly_begin: the driver has taken this proposal; its block is expected. */
void sb_assembly_begin(struct sb_replica *replica, const struct sb_proposal *proposal,
                       uint32_t proposer);
/* sb_assembly_have: which parts are here, of the block that a proposal names. */
struct sb_bits sb_assembly_have(const struct sb_replica *replica,
                                const struct sb_proposal *proposal);
void sb_assembly_clear(struct sb_replica *replica);
/* sb_replica_tree: the tree of a block, valid until SB_TREES_MAX others were asked for; NULL when it has none, and
 * when the block is empty: its bytes are not here any more, though its tree may be. */
const struct sb_part_tree *sb_replica_tree(struct sb_replica *replica, const sb_hash *block_id,
                                           sb_bytes block);
/* Fetching a block whole. */
void sb_fetch_begin(struct sb_replica *replica, uint64_t height, int32_t round,
                    const sb_hash *block_id);
void sb_fetch_tick(struct sb_replica *replica);
/* sb_fetch_answer: *ret_is_ours when the message answers what the peer was asked for, now or some time ago. */
sb_err sb_fetch_answer(bool *ret_is_ours, struct sb_replica *replica, struct gossip_peer *peer,
                       const struct sb_message_sync_block *block, struct sb_diag *diag) SB_MUST_USE;
/* sb_fetch_refused: the peer has not got it: ask another; true when it was asked. sb_fetch_lost: it is gone. */
bool sb_fetch_refused(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height);
void sb_fetch_lost(struct sb_replica *replica, const struct gossip_peer *peer);
void sb_gossip_take_want(struct sb_replica *replica, struct gossip_peer *peer,
                         const struct sb_message_want *want);

/* ---- gossip_spare.c ---- */

/* sb_spare_new, _repeated: a vote or part of this validator came from this peer: as the first, or when it was here already. */
void sb_spare_new(struct sb_replica *replica, uint16_t sources[SB_VALIDATORS_MAX],
                  uint32_t validator, const struct gossip_peer *peer);
void sb_spare_repeated_vote(struct sb_replica *replica, uint32_t validator,
                            struct gossip_peer *peer);
void sb_spare_repeated_part(struct sb_replica *replica, uint32_t validator,
                            struct gossip_peer *peer);
/* sb_spare_stalled: nothing moves: have everybody send everything again, and settle nothing for a while. */
void sb_spare_stalled(struct sb_replica *replica);
void sb_spare_peer_down(struct sb_replica *replica, const struct gossip_peer *peer);
/* sb_spare_committed: a height is over: tell peers what has changed. */
void sb_spare_committed(struct sb_replica *replica);

/* ---- gossip_repair.c ---- */

void sb_gossip_take_status(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_message_status *status);
void sb_gossip_take_votes(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_message_votes *votes);
void sb_gossip_take_parts(struct sb_replica *replica, struct gossip_peer *peer,
                          const struct sb_message_parts *parts);
/* sb_gossip_ask: tell a peer what we have, and ask for the rest. */
void sb_gossip_ask(struct sb_replica *replica, struct gossip_peer *peer);
/* sb_gossip_ask_some: some of the peers, in turn. */
void sb_gossip_ask_some(struct sb_replica *replica);
/* sb_gossip_repair_tick: when nothing has moved for a while, ask; go on with what did not fit. */
void sb_gossip_repair_tick(struct sb_replica *replica);

/* ---- replica_sync.c ---- */

/* sb_replica_sync_mode: enter and leave sync as peers' heights say. */
void sb_replica_sync_mode(struct sb_replica *replica);
/* sb_replica_sync_step: send requests, commit one block that is ready; *ret_moved when one was committed. */
sb_err sb_replica_sync_step(bool *ret_moved, struct sb_replica *replica,
                            struct sb_diag *diag) SB_MUST_USE;
void sb_replica_sync_committed(struct sb_replica *replica);
void sb_replica_sync_tick(struct sb_replica *replica);
sb_err sb_replica_take_sync_block(struct sb_replica *replica, struct gossip_peer *peer,
                                  const struct sb_message_sync_block *block,
                                  struct sb_diag *diag) SB_MUST_USE;
void sb_replica_take_no_block(struct sb_replica *replica, struct gossip_peer *peer,
                              uint64_t height);
void sb_replica_take_request(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height);
/* sb_replica_serve: give all peers, in turn, the blocks that they have asked for, as far as they go. */
void sb_replica_serve(struct sb_replica *replica);
/* sb_replica_may_give: blocks given to all peers together may cost this node more now. sb_replica_given: so many bytes were read. */
bool sb_replica_may_give(struct sb_replica *replica);
void sb_replica_given(struct sb_replica *replica, size_t bytes);

#endif
