/* link_pair.h: connections (node/p2p/link.h) joined in memory, for tests and the fuzz target: what a socket would do, byte by byte.
 *
 *      struct link_end a, b;  link_pair_open(&a, &b);      both have finished the handshake
 *      link_end_send(&a, SB_CHANNEL_VOTE, bytes);  link_end_drain(&out, &a);  link_end_feed(&b, out, 1, &diag); */
#ifndef SB_TESTS_SUPPORT_LINK_PAIR_H
#define SB_TESTS_SUPPORT_LINK_PAIR_H

#include "node/p2p/link.h"
#include "node/p2p/send_queue.h"

#define LINK_PAIR_BEGIN_US UINT64_C(1000000000)

/* What came out of a link. */
struct link_heard {
    uint64_t ups, messages, waits;
    uint64_t message_bytes;
    enum sb_channel channel; /* of the last message */
    struct sb_buf last;      /* its bytes */
    size_t partial_bytes_max;
};

struct link_end {
    struct sb_link *link;
    struct sb_send_queue queue;
    struct link_heard heard;
    uint64_t now_us;
};

/* link_end_open: a new link. seed makes its keys; chain its domain. expected_id: NULL for any. */
void link_end_open(struct link_end *ret_end, enum sb_noise_role role, uint8_t seed, uint64_t chain,
                   const uint8_t *expected_id);
void link_end_close(struct link_end *end);
/* link_end_id: the node id that a seed gives. */
void link_end_id(uint8_t ret[SB_P2P_NODE_ID_BYTES], uint8_t seed);

/* link_pair_open: an initiator of seed 1 and a responder of seed 2 whose handshake is done. */
void link_pair_open(struct link_end *ret_initiator, struct link_end *ret_responder);
/* link_pair_shake: carry handshake messages both ways, in pieces, until nothing moves. The first error of either side. */
sb_err link_pair_shake(struct link_end *a, struct link_end *b, size_t piece, struct sb_diag *diag);

/* link_end_feed: give bytes in pieces of at most `piece` and take all that comes out; time moves on where the link says WAIT. */
sb_err link_end_feed(struct link_end *end, sb_bytes bytes, size_t piece, struct sb_diag *diag);
/* link_end_send: queue a message; must succeed. */
void link_end_send(struct link_end *end, enum sb_channel channel, sb_bytes message);
/* link_end_drain: append what may be sent now: handshake bytes, then at most `frames` frames. Returns the frames. */
size_t link_end_drain(struct sb_buf *out, struct link_end *end, size_t frames);
/* link_end_seal: append a frame of any plain text, as one who holds the keys may make it. */
void link_end_seal(struct sb_buf *out, struct link_end *end, sb_bytes plain);

#endif
