/* p2p.h: the peer network: authenticated, encrypted, bounded connections to other nodes of the same chain (docs/spec/p2p.md).
 *
 *      node loop, workers                       p2p thread (libuv)
 *      sb_p2p_send  ----> queue by channel ---> frames ---> Noise ---> TCP
 *      on_message   <---- reassembled     <---- frames <--- Noise <--- TCP
 *
 *   - handshake Noise_XX_25519_ChaChaPoly_SHA256 binds node id (ed25519), chain id, genesis hash and protocol version;
 *   - channels (channels.def) with priorities, caps and token buckets; 4 MiB of unsent bytes a peer, then the lowest channel is dropped,
 *     then the peer;
 *   - peers: inbound, outbound, persistent (always dialled again), private (never told to others), unconditional (no limit counts
 *     them); at most so many an address and a /24;
 *   - address book of 256 new and 64 tried buckets, keyed; peer exchange; anchors; feelers; scores with decay, bans.
 *
 * Any bytes in any state, at any speed, cost a bounded amount of memory and work. Callbacks run on the p2p thread and must not block. */
#ifndef SB_NODE_P2P_P2P_H
#define SB_NODE_P2P_P2P_H

#include "base/types/consensus.h"
#include "base/util/log.h"
#include "node/p2p/channel.h"

#define SB_P2P_VERSION        1
#define SB_P2P_NODE_ID_BYTES  32  /* ed25519 public key */
#define SB_P2P_ADDRESS_BYTES  320 /* "hex64@host:port" as text, with the closing zero */
#define SB_P2P_PEERS_LIST_MAX 256

struct sb_p2p;

/* What a peer was the first to bring. */
enum sb_use {
    SB_USE_CONSENSUS, /* a vote, proposal, part or block */
    SB_USE_TX,
    SB_USE_COUNT
};

/* Who a peer is; constant for the life of the connection. */
struct sb_p2p_peer_info {
    sb_peer peer;
    uint8_t node_id[SB_P2P_NODE_ID_BYTES];
    bool is_outbound;
    bool is_persistent;
    bool is_private;
    char remote[64];                   /* "ip:port" of the socket */
    char listen[SB_P2P_ADDRESS_BYTES]; /* what it says of itself; may be empty */
    char agent[64];                    /* "samebit/0.1.0", printable ASCII */
};

struct sb_p2p_callbacks {
    void *ctx;
    void (*peer_up)(void *ctx, const struct sb_p2p_peer_info *info);
    void (*peer_down)(void *ctx, sb_peer peer);
    /* message: bytes are valid during the call. false: the receiver has no room; the message is lost for it and the transport reads
     * nothing more from this peer until sb_p2p_resume. */
    bool (*message)(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message);
};

/* Every limit is a setting; zero takes the default beside it. */
struct sb_p2p_options {
    uint8_t node_secret[64]; /* ed25519 of the node (not the validator's) */
    struct sb_chain_domain domain;
    const char *agent;
    const char *listen_host;             /* NULL: do not listen */
    uint16_t listen_port;                /* 0: the system chooses */
    const char *external_address;        /* what others are told, "host:port"; NULL: unknown */
    const char *const *persistent_peers; /* "hex64@host:port" or "host:port" */
    size_t persistent_count;
    const char *const *seeds; /* the same; asked for addresses when the book is empty */
    size_t seed_count;
    const char *const *private_ids; /* hex64 */
    size_t private_count;
    const char *const *unconditional_ids; /* hex64 */
    size_t unconditional_count;
    bool pex;                 /* ask for and give addresses */
    bool allow_local;         /* loopback and private addresses count as reachable in the book */
    const char *address_book; /* file; NULL: keep none */
    uint32_t inbound_max;     /* 50 */
    uint32_t outbound_max;    /* 10 */
    uint32_t per_ip_max;      /* 2; neither counts local addresses under allow_local */
    uint32_t per_subnet_max;  /* 8, /24 and /48 */
    uint32_t half_open_max;   /* 64 */
    uint32_t accepts_per_s_per_ip; /* 10 */
    uint32_t handshake_ms_max;     /* 5000 */
    uint32_t ping_ms;              /* 10000 */
    uint32_t dead_ms;              /* 30000 */
    uint32_t dial_ms_max;          /* 3000 */
    uint32_t
        reconnect_ms; /* 500: first pause before a persistent peer is dialled again; doubles up to 30 s */
    uint32_t ban_s;         /* 3600; doubles with each ban of the same node */
    size_t queue_bytes_max; /* 4 MiB and one message */
    struct sb_p2p_callbacks callbacks;
    const struct sb_logger *log;
};

/* sb_p2p_new: check the options, bind the socket. SB_E_ARG, SB_E_IO with what to do. Nothing runs yet. */
sb_err sb_p2p_new(struct sb_p2p **ret_p2p, const struct sb_p2p_options *options,
                  struct sb_diag *diag) SB_MUST_USE;
sb_err sb_p2p_start(struct sb_p2p *p2p, struct sb_diag *diag) SB_MUST_USE;
/* sb_p2p_stop: say goodbye, close everything, save the address book, end the thread. May be called more than once. */
void sb_p2p_stop(struct sb_p2p *p2p);
void sb_p2p_free(struct sb_p2p *p2p);
uint16_t sb_p2p_port(const struct sb_p2p *p2p);
const uint8_t *sb_p2p_node_id(const struct sb_p2p *p2p);

/* ---- any thread ---- */

/* sb_p2p_send: queue a message (copied). false: no such peer, or its queue is full and the message was dropped. */
bool sb_p2p_send(struct sb_p2p *p2p, sb_peer peer, enum sb_channel channel, sb_bytes message);
/* sb_p2p_report: count an offence; the peer is disconnected and banned when its score runs out. why goes to the log. */
void sb_p2p_report(struct sb_p2p *p2p, sb_peer peer, enum sb_offence offence, const char *why);
/* sb_p2p_useful: the peer brought something that was news and right: it keeps its place when others need one. */
void sb_p2p_useful(struct sb_p2p *p2p, sb_peer peer, enum sb_use use);
/* sb_p2p_resume: the receiver has room again for messages of this peer. */
void sb_p2p_resume(struct sb_p2p *p2p, sb_peer peer);
size_t sb_p2p_peer_count(struct sb_p2p *p2p);

struct sb_p2p_peer_status {
    struct sb_p2p_peer_info info;
    uint64_t sent_bytes, received_bytes;
    uint64_t channel_sent_bytes[SB_CHANNEL_COUNT], channel_received_bytes[SB_CHANNEL_COUNT];
    uint64_t queued_bytes;
    int32_t score;
    uint32_t rtt_ms; /* of the last ping */
};
/* sb_p2p_peers: a snapshot; returns how many were written. */
size_t sb_p2p_peers(struct sb_p2p *p2p, struct sb_p2p_peer_status *ret_peers, size_t max);

struct sb_p2p_totals {
    uint64_t accepted, refused, dialled, dial_failures, handshake_failures, bans, dropped_messages;
    uint64_t evicted;                    /* inbound peers that made room for a newcomer */
    uint64_t overloaded;                 /* peers that made room for messages half received */
    uint64_t sent_bytes, received_bytes; /* of all peers since start */
    uint64_t known_addresses;
};
struct sb_p2p_totals sb_p2p_totals(struct sb_p2p *p2p);

#endif
