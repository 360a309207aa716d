/* p2p_impl.h: what the parts of the peer network share; for node/p2p/ alone.
 *
 *      p2p.c     any thread: send, report, resume, status; life of the thread
 *      switch.c  who is connected: listen, admission, limits, the tick
 *      dial.c    which nodes are dialled, and when
 *      offence.c points and bans
 *      evict.c   who makes room for a newcomer
 *      peer.c    one connection: socket -> link -> receiver, CONTROL messages, timeouts, its end
 *      peer_send.c   its other half: queue -> link -> socket
 *      pex.c     addresses: asking, answering, the book
 *
 * Threads: everything belongs to the p2p thread, but what is marked "lock": that is guarded by sb_p2p.lock and touched by others. */
#ifndef SB_NODE_P2P_P2P_IMPL_H
#define SB_NODE_P2P_P2P_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "node/p2p/address_book.h"
#include "node/p2p/evict.h"
#include "node/p2p/link.h"
#include "node/p2p/p2p.h"
#include "node/p2p/score.h"
#include "node/p2p/send_queue.h"

#define SB_P2P_SLOT_BITS         11
#define SB_P2P_SLOTS             (1u << SB_P2P_SLOT_BITS)
#define SB_P2P_PARTIAL_BYTES_MAX ((size_t)128 << 20) /* half-received messages of all peers */
#define SB_P2P_TICK_MS           100
#define SB_P2P_WHY_BYTES         96
#define SB_FEELER_US             UINT64_C(120000000)

enum sb_conn_state {
    SB_CONN_CONNECTING, /* dialled, TCP not there yet */
    SB_CONN_HANDSHAKE,
    SB_CONN_GREETING, /* admitted by us: WELCOME sent, the peer's awaited */
    SB_CONN_UP,
    SB_CONN_CLOSING,
};

/* Why a connection was dialled. */
enum sb_conn_purpose {
    SB_PURPOSE_INBOUND, /* it was not */
    SB_PURPOSE_PERSISTENT,
    SB_PURPOSE_SEED,
    SB_PURPOSE_OUTBOUND,
    SB_PURPOSE_FEELER,
};

struct sb_target;

struct sb_conn {
    struct sb_p2p *p2p;
    sb_peer number; /* low SB_P2P_SLOT_BITS: the slot */
    enum sb_conn_state state;
    enum sb_conn_purpose purpose;
    struct sb_target *target;    /* PERSISTENT, SEED: what was dialled; else NULL */
    struct sb_endpoint endpoint; /* of the other side's socket */
    uint64_t begun_us, heard_us, up_us;

    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    bool writing; /* a write is under way: out[out_at, out_len) */
    uint64_t writing_since_us;
    size_t out_at, out_len;
    uint8_t out[SB_LINK_SEALED_BYTES(SB_FRAME_PLAIN_BYTES_MAX)];

    struct sb_link *link;
    size_t partial_bytes; /* as counted in sb_p2p.partial_bytes */
    bool reading;
    bool resting;      /* it had its turn; others first */
    size_t turn_bytes; /* read since its last rest */
    bool blocked;      /* the receiver has no room */
    uint64_t blocked_since_us;
    uint64_t throttled_until_us; /* the peer is over a rate; 0: it is not */
    uint64_t waste_counted_us;   /* when that was last an offence */
    uint64_t send_ready_us; /* our own rates: when the queue may go on; UINT64_MAX: nothing waits */
    bool is_free_of_limits; /* persistent or unconditional */
    bool in_list;           /* peer_up was called */
    bool is_told;           /* the log says that it came */

    uint64_t ping_nonce; /* 0: none is open */
    uint64_t pinged_us;
    uint64_t pong_by_us; /* an answer is due; 0: no hurry */
    uint64_t pex_asked_us;
    uint64_t pex_window_us; /* when the count of requests began */
    bool pex_open;          /* an answer is awaited */
    uint32_t pex_requests;

    /* lock */
    bool is_listed; /* others may find it */
    bool is_dirty;  /* in sb_p2p.dirty */
    bool overflow, resume;
    uint32_t reported;
    char why[SB_P2P_WHY_BYTES];
    struct sb_send_queue queue;

    struct sb_p2p_peer_info info; /* constant once listed */
    atomic_uint_least64_t sent_bytes, received_bytes;
    atomic_uint_least64_t channel_sent[SB_CHANNEL_COUNT], channel_received[SB_CHANNEL_COUNT];
    atomic_int score_left;
    atomic_uint rtt_ms;
    uint32_t rtt_us_min;                         /* UINT32_MAX: not measured */
    atomic_uint_least64_t used_us[SB_USE_COUNT]; /* when it last brought such news; 0: never */
};

/* A node that is dialled by name: a persistent peer or a seed. */
struct sb_target {
    struct sb_p2p *p2p;
    struct sb_node_address address;
    bool is_id_given; /* by the setting; else address.id is that of who answered last */
    bool is_seed;
    bool is_resolving;
    uv_getaddrinfo_t request;
    struct sb_conn *conn; /* while there is one */
    uint64_t next_us;     /* when to dial again */
    uint64_t pause_us;
    size_t resolved;      /* names: so often; the answer that is tried next */
    bool was_told;        /* that it cannot be reached: the log says it once */
    bool was_turned_away; /* the same of its refusal */
};

/* New connections of one address. */
struct sb_accept_rate {
    uint64_t host;
    struct sb_token_bucket bucket;
};
#define SB_ACCEPT_RATES 1024

struct sb_node_id {
    uint8_t b[SB_P2P_NODE_ID_BYTES];
};

struct sb_p2p {
    struct sb_p2p_options options; /* texts are not kept: see the copies below */
    uint8_t node_id[SB_P2P_NODE_ID_BYTES];
    uint8_t static_secret[SB_NOISE_KEY_BYTES];
    uint64_t salt; /* of orders and tables that strangers must not foresee; no part of any key */
    char agent[SB_HELLO_AGENT_BYTES];
    char listen[SB_HELLO_TEXT_BYTES_MAX + 1]; /* what others are told */
    char *book_path;
    struct sb_target *targets;
    size_t target_count;
    struct sb_node_id *private_ids, *unconditional_ids;

    bool has_loop, is_listening;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick;
    uv_tcp_t listener;
    uint16_t port;

    bool has_thread;
    uv_thread_t thread;

    uint64_t now_us; /* monotonic, of this turn of the loop */
    uint64_t generation;
    size_t half_open; /* inbound connections before UP */
    size_t partial_bytes;
    uint64_t pick_us, feeler_us, save_us, pex_us; /* when to do it next */
    bool closing;
    bool saving;
    uv_work_t save_request;
    struct sb_buf save_bytes;
    struct sb_token_bucket log_rate; /* lines about strangers */
    struct sb_accept_rate accept_rates[SB_ACCEPT_RATES];
    struct sb_bans bans;
    struct sb_scores scores; /* by node id and by address */
    struct sb_book *book;
    struct sb_pex pex;                        /* scratch */
    struct sb_evict_peer evict[SB_P2P_SLOTS]; /* scratch */
    struct sb_evict_holder holders[SB_P2P_SLOTS];
    struct sb_endpoint anchors[SB_BOOK_ANCHORS_MAX];
    size_t anchor_count; /* still to dial */

    pthread_mutex_t lock;
    struct sb_conn *slots[SB_P2P_SLOTS]; /* lock for changes and for others' reading */
    uint32_t dirty[SB_P2P_SLOTS];        /* lock: connections with something to do */
    size_t dirty_count;                  /* lock */
    bool running, stop;                  /* lock */
    size_t listed_count;                 /* lock */

    struct {
        atomic_uint_least64_t accepted, refused, dialled, dial_failures, handshake_failures, bans;
        atomic_uint_least64_t evicted, overloaded, dropped, sent_bytes, received_bytes,
            known_addresses;
    } totals;
};

/* ---- switch.c ---- */

/* sb_switch_open: bind and listen. sb_switch_tick: everything that is due. sb_switch_close: end all connections and handles. */
sb_err sb_switch_open(struct sb_p2p *p2p, struct sb_diag *diag) SB_MUST_USE;
void sb_switch_begin(struct sb_p2p *p2p);
void sb_switch_tick(struct sb_p2p *p2p);
void sb_switch_close(struct sb_p2p *p2p);
/* sb_switch_admit: the handshake of a connection is done: say WELCOME, or end it. */
void sb_switch_admit(struct sb_conn *conn);
/* sb_switch_gone: a connection has ended; it is freed after the call. */
void sb_switch_gone(struct sb_conn *conn);
bool sb_switch_is_private(const struct sb_p2p *p2p, const uint8_t id[SB_P2P_NODE_ID_BYTES]);
struct sb_conn *sb_switch_find(const struct sb_p2p *p2p, const uint8_t id[SB_P2P_NODE_ID_BYTES],
                               const struct sb_conn *but);

/* ---- offence.c ---- */

/* sb_offence_count: count points against the node (once it is known) and its address; ban and disconnect it when they run out, so the
 * connection may be closing afterwards. */
void sb_offence_count(struct sb_conn *conn, uint32_t points, const char *why);
/* sb_offence_spares: an address of this machine or of a private network, where those count as reachable: many nodes may share it, so it
 * is neither banned nor limited. */
bool sb_offence_spares(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint);
bool sb_offence_bans_address(const struct sb_p2p *p2p, const struct sb_endpoint *endpoint);

/* ---- dial.c ---- */

/* sb_dial_tick: dial what is due. sb_dial_wait: a target's connection has ended or failed: when to dial it again. */
void sb_dial_tick(struct sb_p2p *p2p);
void sb_dial_wait(struct sb_target *target);

/* ---- peer.c ---- */

/* sb_conn_new: a connection in a free slot, its socket made; NULL when there is no room. */
struct sb_conn *sb_conn_new(struct sb_p2p *p2p, enum sb_conn_purpose purpose);
/* sb_conn_begin: TCP is there: begin the handshake. */
void sb_conn_begin(struct sb_conn *conn, const uint8_t *expected_id);
/* sb_conn_service: what other threads asked of it, and what its queue holds. */
void sb_conn_service(struct sb_conn *conn);
/* sb_conn_tick: its timeouts. */
void sb_conn_tick(struct sb_conn *conn);
/* sb_conn_ping: ask for a sign of life within ms. */
void sb_conn_ping(struct sb_conn *conn, uint64_t within_ms);
/* sb_conn_close: without a goodbye. */
void sb_conn_close(struct sb_conn *conn);

/* ---- peer_send.c ---- */

/* sb_conn_flush: send what waits, as far as the socket takes it. sb_conn_mark: there is more to do for it in the next turn of the loop. */
void sb_conn_flush(struct sb_conn *conn);
void sb_conn_mark(struct sb_conn *conn);
/* sb_conn_control: send a CONTROL message. */
void sb_conn_control(struct sb_conn *conn, const struct sb_control *control);
/* sb_conn_send: send on any channel, from the p2p thread. */
void sb_conn_send(struct sb_conn *conn, enum sb_channel channel, sb_bytes message);
/* sb_conn_end: say goodbye where that is possible, and close. */
void sb_conn_end(struct sb_conn *conn, enum sb_goodbye reason);

/* ---- pex.c ---- */

void sb_pex_open_book(struct sb_p2p *p2p);
void sb_pex_message(struct sb_conn *conn, sb_bytes message);
void sb_pex_up(struct sb_conn *conn);
void sb_pex_tick(struct sb_p2p *p2p);
void sb_pex_save_now(struct sb_p2p *p2p);
/* sb_pex_learn: what the hello of an admitted peer says about where it listens. */
void sb_pex_learn(struct sb_conn *conn);

/* ---- p2p.c ---- */

uint64_t sb_p2p_wall_s(void);
/* sb_p2p_may_log: whether one more line about strangers may be written now. */
bool sb_p2p_may_log(struct sb_p2p *p2p);

#endif
