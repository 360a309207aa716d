/* foe.h: one hostile connection: a plain socket from an address of its own (127.x.y.z), with or without a good handshake.
 *
 * Everything is best effort: what the victim does to the connection is only noted (is_closed). Sockets do not block. */
#ifndef SB_TESTS_HOSTILE_FOE_H
#define SB_TESTS_HOSTILE_FOE_H

#include "node/p2p/link.h"
#include "node/p2p/send_queue.h"
#include "tests/support/random.h"

struct foe_target {
    struct sb_endpoint endpoint;
    struct sb_chain_domain domain;
};

struct foe {
    int fd;
    bool is_closed; /* by the victim */
    struct sb_link *link;
    uint64_t messages; /* heard */
};

/* foe_connect: TCP from a random address. false: refused at once (then is_closed). */
bool foe_connect(struct foe *ret_foe, const struct foe_target *target, struct sb_random *random);
void foe_close(struct foe *foe);
/* foe_send: raw bytes; waits at most a second for the victim to read. */
void foe_send(struct foe *foe, const void *bytes, size_t len);
/* foe_wait_closed: read and forget until the victim closes; whether it did within ms. */
bool foe_wait_closed(struct foe *foe, uint64_t ms);

/* foe_shake: a good handshake with a new identity; true when the victim said WELCOME and was answered. */
bool foe_shake(struct foe *foe, const struct foe_target *target, struct sb_random *random);
/* foe_shake_quietly: the same, but nothing is said after the handshake. */
bool foe_shake_quietly(struct foe *foe, const struct foe_target *target, struct sb_random *random);
/* foe_seal: a frame of any plain text. foe_say: a whole message of a channel in one frame. */
void foe_seal(struct foe *foe, sb_bytes plain);
void foe_say(struct foe *foe, uint8_t channel, uint8_t flags, sb_bytes bytes);
/* foe_initiator_bytes: what an initiator would send as message 1. */
size_t foe_first_message(uint8_t ret[64], const struct foe_target *target,
                         struct sb_random *random);

#endif
