/* replica_net.h: whole replicas joined in memory: virtual time, links with delay, loss, repetition and reordering, crashes, and peers
 * that are played by the test.
 *
 *      node 0 .. count-1      replica | stub application | journal on a memory disk
 *      actor count ..         a connection with nothing behind it but the test: it sends any bytes, and sees what it is sent
 *
 * One thread, one seed: the same options and calls give the same run. Signatures are ed25519. */
#ifndef SB_TESTS_SUPPORT_REPLICA_NET_H
#define SB_TESTS_SUPPORT_REPLICA_NET_H

#include "node/messages.h"
#include "node/replica.h"
#include "node/verify_cache.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random.h"
#include "tests/support/stub_application.h"

#define REPLICA_NET_NODES_MAX   8
#define REPLICA_NET_HEIGHTS_MAX 4096

struct replica_net_options {
    size_t nodes;      /* 1 to 7 */
    size_t validators; /* of them; 0: all. Nodes beyond follow. */
    uint64_t seed;
    uint64_t delay_ms; /* one way, all links */
    uint64_t interval_ms;
    uint64_t sync_wait_ms; /* 0 takes 100 */
    size_t padding_bytes;
    uint64_t halt_height;
    uint64_t unknown_version_from; /* 0: none */
    enum sb_pace pace;
    bool log; /* to standard error */
};

struct replica_net_link {
    bool is_up, is_cut; /* cut: messages are lost, nobody is told */
    uint64_t delay_ms, jitter_ms;
    uint32_t loss_permille, repeat_permille;
    bool reorders;
    uint64_t last_at_ms;
    sb_peer peer; /* what the receiver calls the sender */
};

struct replica_net;

struct replica_net_node {
    struct replica_net *net;
    size_t index;
    bool is_actor, is_running;
    struct sb_pubkey key;
    uint8_t secret[64];
    struct stub_application *app;
    struct sb_application table;
    struct memory_disk disk;
    struct sb_journal *journal;
    struct sb_local_signer local;
    struct sb_verify_cache *cache;
    struct sb_replica *replica;
    bool timer_set[SB_REPLICA_TIMER_COUNT];
    uint64_t timer_at[SB_REPLICA_TIMER_COUNT];
    uint32_t offences[REPLICA_NET_NODES_MAX]; /* weight, by peer; at 100 the connection ends */
    bool drops[REPLICA_NET_NODES_MAX];
    bool is_halted;
    uint64_t sent_count, sent_bytes, send_refusals;
    size_t queue_limit; /* sends in flight to one peer beyond which they fail; 0: none */
    size_t in_flight[REPLICA_NET_NODES_MAX];
    /* actor: what it is sent */
    void (*on_message)(void *ctx, struct replica_net_node *actor, size_t from,
                       enum sb_channel channel, sb_bytes message);
    void *on_message_ctx;
};

struct replica_net_event;

struct replica_net {
    struct replica_net_options options;
    struct replica_net_node nodes[REPLICA_NET_NODES_MAX];
    size_t count; /* nodes and actors */
    struct replica_net_link links[REPLICA_NET_NODES_MAX][REPLICA_NET_NODES_MAX]; /* from, to */
    uint64_t now_ms;
    struct replica_net_event *events; /* heap */
    size_t event_count, event_room;
    uint64_t sequence;
    sb_peer next_peer;
    struct sb_random random;
    struct sb_validator validators[REPLICA_NET_NODES_MAX];
};

/* replica_net_new: all nodes made, none running. Every failure aborts the program. */
struct replica_net *replica_net_new(const struct replica_net_options *options);
void replica_net_free(struct replica_net *net);
/* replica_net_start: a life of a node, joined to all that run. replica_net_start_all: of all. */
void replica_net_start(struct replica_net *net, size_t node);
void replica_net_start_all(struct replica_net *net);
/* replica_net_crash: the process dies; what the journal has not synced is lost in part. */
void replica_net_crash(struct replica_net *net, size_t node);
/* replica_net_actor: a peer of all that run; returns its index. */
size_t replica_net_actor(struct replica_net *net);
/* replica_net_connect, _disconnect: two that run. */
void replica_net_connect(struct replica_net *net, size_t a, size_t b);
void replica_net_disconnect(struct replica_net *net, size_t a, size_t b);
/* replica_net_send: bytes of an actor (or in the name of a node) to a node. */
void replica_net_send(struct replica_net *net, size_t from, size_t to, enum sb_channel channel,
                      sb_bytes message);
void replica_net_send_message(struct replica_net *net, size_t from, size_t to,
                              const struct sb_message *message);
/* replica_net_all_links: set what all links do. replica_net_cut: both ways. */
void replica_net_all_links(struct replica_net *net, uint64_t jitter_ms, uint32_t loss_permille,
                           uint32_t repeat_permille, bool reorders);
void replica_net_cut(struct replica_net *net, size_t a, size_t b, bool is_cut);

/* replica_net_run: this much virtual time. replica_net_run_to: until all running nodes have this height; false: not within max_ms. */
void replica_net_run(struct replica_net *net, uint64_t ms);
bool replica_net_run_to(struct replica_net *net, uint64_t height, uint64_t max_ms);
uint64_t replica_net_height(const struct replica_net *net, size_t node);
/* replica_net_check_agreement: all nodes have the same blocks as far as they go. */
void replica_net_check_agreement(const struct replica_net *net);
/* replica_net_sign_vote: a vote by a node's key. */
struct sb_vote replica_net_sign_vote(const struct replica_net *net, size_t node,
                                     enum sb_vote_type type, uint64_t height, int32_t round,
                                     const sb_hash *block_id);
/* replica_net_sign_proposal: fill in the signature by a node's key. replica_net_proposer: the node that proposes in a round. */
void replica_net_sign_proposal(const struct replica_net *net, size_t node,
                               struct sb_proposal *proposal);
size_t replica_net_proposer(const struct replica_net *net, uint64_t height, int32_t round);

#endif
