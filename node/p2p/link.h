/* link.h: one connection as a state machine: bytes in, handshake, messages out. No socket, no clock, no lock.
 *
 *      socket --> room/received --> next --> UP, MESSAGE, WAIT, WANT or an error
 *                                     |
 *      socket <-- handshake_output <--+        socket <-- seal <-- plain text of a send queue (send_queue.h)
 *
 *      HANDSHAKE --(3 messages, hello checked)--> OPEN --(any fault)--> FAILED
 *
 *   - every length is checked against its limit before its bytes are awaited; any fault is final;
 *   - memory: one buffer of two frames, and what the channels' caps allow to be half received (sb_link_partial_bytes);
 *   - a message is given out only when it is whole, in order, once; replay, reordering and loss end the connection (the cipher's counter);
 *   - the receive half (room, received, next) and the send half (seal) share nothing once the link is open.
 *
 * Spec: docs/spec/p2p.md 1 to 3. */
#ifndef SB_NODE_P2P_LINK_H
#define SB_NODE_P2P_LINK_H

#include "node/p2p/wire.h"

#define SB_LINK_HANDSHAKE_BYTES_MAX 1024
#define SB_LINK_FRAME_HEADER_BYTES  2
/* What sb_link_seal needs around a plain text of n bytes. */
#define SB_LINK_SEALED_BYTES(n) (SB_LINK_FRAME_HEADER_BYTES + (n) + SB_NOISE_TAG_BYTES)

struct sb_link;

struct sb_link_options {
    enum sb_noise_role role;
    const uint8_t *node_secret;      /* [64] ed25519 */
    const uint8_t *static_secret;    /* [32] X25519, of this run of the node */
    const uint8_t *ephemeral_secret; /* [32] X25519, fresh */
    const uint8_t *expected_id;      /* [32] or NULL: whoever answers */
    struct sb_chain_domain domain;
    const char *listen; /* "host:port", or "" */
    const char *agent;
};

enum sb_link_event_kind {
    SB_LINK_WANT,    /* nothing to do without more bytes */
    SB_LINK_UP,      /* the handshake is done: sb_link_hello says who it is */
    SB_LINK_MESSAGE, /* a whole message */
    SB_LINK_WAIT,    /* the peer is over a rate: ask again at wait_until_us */
};

struct sb_link_event {
    enum sb_link_event_kind kind;
    enum sb_channel channel;
    sb_bytes message; /* valid until the next call of next, received or free */
    uint64_t wait_until_us;
};

/* sb_link_new: SB_E_NOMEM. The options are copied. The handshake of the initiator begins at once: see sb_link_handshake_output. */
sb_err sb_link_new(struct sb_link **ret_link, const struct sb_link_options *options,
                   uint64_t now_us, struct sb_diag *diag) SB_MUST_USE;
void sb_link_free(struct sb_link *link);

/* ---- receive half ---- */

/* sb_link_room: where the next bytes from the socket go, and how many fit: never 0 after next has said WANT; 0 when there is no memory.
 * sb_link_received: so many were put there. */
uint8_t *sb_link_room(struct sb_link *link, size_t *ret_len);
void sb_link_received(struct sb_link *link, size_t len);

/* sb_link_next: what the bytes mean; call until it says WANT or WAIT.
 * Errors are final and end the connection: SB_E_CHECKSUM (wrong key, damage, replay), SB_E_RANGE, SB_E_SHAPE and SB_E_LIMIT (lengths),
 * SB_E_TYPE (channel, flags), SB_E_SIGNATURE, SB_E_VERSION, SB_E_ARG (another chain or genesis, this node itself, not the node that
 * was expected), SB_E_NOMEM. After an error there may still be handshake output, which tells the peer who we are. */
sb_err sb_link_next(struct sb_link_event *ret_event, struct sb_link *link, uint64_t now_us,
                    struct sb_diag *diag) SB_MUST_USE;

/* sb_link_partial_bytes: memory of messages that are received in part. sb_link_partial_since_us: when the oldest of them began;
 * UINT64_MAX: there is none. */
size_t sb_link_partial_bytes(const struct sb_link *link);
uint64_t sb_link_partial_since_us(const struct sb_link *link);
/* sb_link_hello: the peer's, once its signature has been checked; NULL before. */
const struct sb_hello *sb_link_hello(const struct sb_link *link);
bool sb_link_is_open(const struct sb_link *link);

/* ---- send half ---- */

/* sb_link_handshake_output: bytes of the handshake to send now, given once; empty most of the time. Valid until the next call of next. */
sb_bytes sb_link_handshake_output(struct sb_link *link);
/* sb_link_seal: make a frame of a plain text in place: it stands at frame + SB_LINK_FRAME_HEADER_BYTES, with room for the tag behind.
 * Only when open; 1 <= plain_len <= SB_NOISE_PLAIN_BYTES_MAX. *ret_len: of the whole frame. SB_E_LIMIT: the nonces are used up. */
sb_err sb_link_seal(struct sb_link *link, size_t *ret_len, uint8_t *frame,
                    size_t plain_len) SB_MUST_USE;

#endif
