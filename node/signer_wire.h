/* signer_wire.h: the messages between a node and its signer (docs/spec/signer.md).
 *
 *      frame = length (4, big-endian, at most 1,024) | rlp([kind, fields...])
 *
 *      1 hello     node -> signer   version, chain id, genesis hash
 *      2 welcome   signer -> node   version, public key
 *      3 sign      node -> signer   number, known: the last place of this height for which the node holds a signature (0: none),
 *                                   what: 1 prevote, 2 precommit, 3 proposal; then its fields
 *      4 signed    signer -> node   number, signature
 *      5 refused   signer -> node   number (0: to a hello), reason
 *      6 prove     node -> signer   number, height, mixHash of the height before
 *      7 proved    signer -> node   number, proof
 *
 * The signer is told fields, never bytes to sign: it makes those itself, and so knows the height, round and step that it signs for, and
 * that it proves randomness of its own chain and nothing else. */
#ifndef SB_NODE_SIGNER_WIRE_H
#define SB_NODE_SIGNER_WIRE_H

#include "consensus/bft.h"
#include "storage/journal.h"

#define SB_SIGNER_VERSION          3
#define SB_SIGNER_FRAME_BYTES_MAX  1024
#define SB_SIGNER_REASON_BYTES_MAX 256

enum sb_signer_kind {
    SB_SIGNER_HELLO = 1,
    SB_SIGNER_WELCOME = 2,
    SB_SIGNER_SIGN = 3,
    SB_SIGNER_SIGNED = 4,
    SB_SIGNER_REFUSED = 5,
    SB_SIGNER_PROVE = 6,
    SB_SIGNER_PROVED = 7,
};

struct sb_signer_message {
    enum sb_signer_kind kind;
    union {
        struct {
            uint64_t version;
            struct sb_chain_domain domain;
        } hello;
        struct {
            uint64_t version;
            struct sb_pubkey key; /* ed25519 */
        } welcome;
        struct {
            uint64_t number;
            uint64_t known; /* 0, or sb_signer_place_code of a place of the same height */
            /* without signature; a vote's validator index and address are not sent, since they are not signed */
            struct sb_bft_message what;
        } sign;
        struct {
            uint64_t number;
            struct sb_signature signature; /* 64 bytes */
        } answer;
        struct {
            uint64_t number;
            char reason[SB_SIGNER_REASON_BYTES_MAX]; /* printable ASCII, terminated */
        } refused;
        struct {
            uint64_t number;
            struct sb_randomness_input what;
        } prove;
        struct {
            uint64_t number;
            uint8_t proof[SB_RANDOMNESS_PROOF_BYTES];
        } proved;
    } as;
};

/* sb_signer_place_code: a place within its height as a number above 0, in the order of places: 4 * round + step. */
static inline uint64_t sb_signer_place_code(const struct sb_journal_place *place)
{
    return 4 * (uint64_t)place->round + (uint64_t)place->step;
}

/* sb_signer_message_encode: append a whole frame, at most 4 + SB_SIGNER_FRAME_BYTES_MAX bytes. What cannot be printed in a reason
 * becomes '?'. */
void sb_signer_message_encode(struct sb_buf *out, const struct sb_signer_message *message);
/* sb_signer_message_decode: the content of a frame, strict: the errors of the RLP reader, SB_E_TYPE, SB_E_RANGE. */
sb_err sb_signer_message_decode(struct sb_signer_message *ret_message, sb_bytes raw,
                                struct sb_diag *diag) SB_MUST_USE;

/* sb_signer_frame_take: the first frame in `bytes`. false and *ret_err SB_OK: it is not whole yet; SB_E_LIMIT: it is too long.
 * *ret_used: how many bytes it took. */
bool sb_signer_frame_take(sb_bytes *ret_frame, size_t *ret_used, sb_err *ret_err, sb_bytes bytes);

#endif
