/* noise.h: Noise_XX_25519_ChaChaPoly_SHA256, the handshake and the ciphers of a peer connection, as a pure state machine.
 *
 *      initiator                                 responder
 *        write -- e, payload -------------------> read          message 1   32 bytes and the payload, in clear
 *        read <-- e, ee, s, es, payload --------- write         message 2   96 bytes and the payload, encrypted
 *        write -- s, se, payload ----------------> read          message 3   64 bytes and the payload, encrypted
 *        split -> two ciphers, one a direction     split
 *
 * Invariants
 *   - no I/O, no clock, no randomness: ephemeral keys come from the caller, who draws them fresh for each handshake;
 *   - a message that could not be written or read is the end: the keys are wiped and the state refuses everything (a call out of turn,
 *     SB_E_ARG, changes nothing);
 *   - a shared secret of zero (a peer's key of small order) is refused;
 *   - a nonce is used once: a cipher stops before 2^64 - 1.
 *
 * Binding an identity: sb_noise_hash is equal on both sides before each message, so a payload of message n may carry a signature over
 * the hash as it stood before message n, together with the signer's static key.
 *
 * Spec: The Noise Protocol Framework, revision 34; primitives from libsodium. Vectors: tests/unit/node/test_noise.c. */
#ifndef SB_NODE_P2P_NOISE_H
#define SB_NODE_P2P_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/buf.h"
#include "base/util/err.h"
#include "base/util/span.h"

#define SB_NOISE_KEY_BYTES         32
#define SB_NOISE_HASH_BYTES        32
#define SB_NOISE_TAG_BYTES         16
#define SB_NOISE_MESSAGE_BYTES_MAX 65535 /* of a handshake or transport message */
#define SB_NOISE_PLAIN_BYTES_MAX   (SB_NOISE_MESSAGE_BYTES_MAX - SB_NOISE_TAG_BYTES)

/* What a handshake message is longer than its payload: messages 1, 2, 3. */
#define SB_NOISE_OVERHEAD_1 32
#define SB_NOISE_OVERHEAD_2 96
#define SB_NOISE_OVERHEAD_3 64

enum sb_noise_role {
    SB_NOISE_INITIATOR,
    SB_NOISE_RESPONDER,
};

/* One direction of a connection: key and counter. Secret; wipe with sb_noise_cipher_wipe. */
struct sb_noise_cipher {
    uint8_t key[SB_NOISE_KEY_BYTES];
    uint64_t nonce; /* of the next message */
    bool has_key;
};

/* A handshake under way. Fields are for noise.c alone. Secret; wipe with sb_noise_wipe. */
struct sb_noise {
    enum sb_noise_role role;
    uint8_t next; /* message to come: 0, 1, 2; 3 = done */
    bool failed;
    uint8_t hash[SB_NOISE_HASH_BYTES];        /* h */
    uint8_t chaining_key[SB_NOISE_KEY_BYTES]; /* ck */
    struct sb_noise_cipher cipher;            /* k, n */
    uint8_t static_secret[SB_NOISE_KEY_BYTES], static_public[SB_NOISE_KEY_BYTES];
    uint8_t ephemeral_secret[SB_NOISE_KEY_BYTES], ephemeral_public[SB_NOISE_KEY_BYTES];
    uint8_t remote_static[SB_NOISE_KEY_BYTES], remote_ephemeral[SB_NOISE_KEY_BYTES];
};

/* sb_noise_public: the X25519 public key of a secret (any 32 bytes). */
void sb_noise_public(uint8_t ret[SB_NOISE_KEY_BYTES], const uint8_t secret[SB_NOISE_KEY_BYTES]);

/* sb_noise_init: a handshake that has not begun. Both sides must give the same prologue. static_secret: X25519, long-lived;
 * ephemeral_secret: 32 bytes from the system's random generator, used for this handshake only. */
void sb_noise_init(struct sb_noise *ret_noise, enum sb_noise_role role, sb_bytes prologue,
                   const uint8_t static_secret[SB_NOISE_KEY_BYTES],
                   const uint8_t ephemeral_secret[SB_NOISE_KEY_BYTES]);

/* sb_noise_must_write: the next message is this side's. false when it is the peer's, or the handshake is over or has failed. */
bool sb_noise_must_write(const struct sb_noise *noise);
/* sb_noise_is_done: all three messages have passed. */
bool sb_noise_is_done(const struct sb_noise *noise);

/* sb_noise_write: append the next message with this payload to out.
 * Returns SB_OK; SB_E_ARG when it is not this side's turn, SB_E_LIMIT when the message would be over SB_NOISE_MESSAGE_BYTES_MAX or out
 * is full, SB_E_REFUSED for a shared secret of zero. */
sb_err sb_noise_write(struct sb_noise *noise, struct sb_buf *out, sb_bytes payload,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_noise_read: take the peer's next message and append its payload to out (only when the whole message is good).
 * Returns SB_OK; SB_E_ARG when it is not the peer's turn, SB_E_TRUNCATED, SB_E_LIMIT (message too long, or out is full), SB_E_REFUSED for
 * a shared secret of zero, SB_E_CHECKSUM for a tag that does not match. */
sb_err sb_noise_read(struct sb_noise *noise, struct sb_buf *out, sb_bytes message,
                     struct sb_diag *diag) SB_MUST_USE;

/* sb_noise_hash: the handshake hash as it stands: before a message the same on both sides; at the end, the name of the session. */
const uint8_t *sb_noise_hash(const struct sb_noise *noise);
/* sb_noise_remote_static: the peer's static key, proven once the handshake is done; NULL before it was read (message 2 or 3). */
const uint8_t *sb_noise_remote_static(const struct sb_noise *noise);

/* sb_noise_split: the two ciphers of a handshake that is done; wipes the handshake's keys, keeps hash and remote static key. Once. */
void sb_noise_split(struct sb_noise *noise, struct sb_noise_cipher *ret_send,
                    struct sb_noise_cipher *ret_receive);
/* sb_noise_wipe: overwrite everything; the state refuses all use afterwards. */
void sb_noise_wipe(struct sb_noise *noise);

/* sb_noise_seal: encrypt plain (at most SB_NOISE_PLAIN_BYTES_MAX) into ret, plain.len + SB_NOISE_TAG_BYTES bytes; ret may be where plain
 * is. SB_E_LIMIT when plain is too long or the nonces are used up. */
sb_err sb_noise_seal(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes plain) SB_MUST_USE;
/* sb_noise_open: decrypt into ret, sealed.len - SB_NOISE_TAG_BYTES bytes; ret may be where sealed is.
 * SB_E_TRUNCATED without room for a tag, SB_E_LIMIT when too long or the nonces are used up, SB_E_CHECKSUM for a tag that does not
 * match: ret is zeroed then, the counter stands, and the connection must be closed. */
sb_err sb_noise_open(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes sealed) SB_MUST_USE;
void sb_noise_cipher_wipe(struct sb_noise_cipher *cipher);

#endif
