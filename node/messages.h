/* messages.h: what replicas say to one another, as bytes (docs/spec/gossip.md).
 *
 *      STATE      status, votes, parts, want, relay where a node stands, what it has, what it asks for
 *      VOTE       vote, certificate
 *      PROPOSAL   proposal
 *      PART       part
 *      EVIDENCE   evidence
 *      SYNC       request, block, no_block          committed blocks
 *
 * message = rlp([kind, fields...]). Decoding is strict and bounded: one canonical form of each message, encode(decode(b)) = b, and
 * nothing is allocated but the entries of a commit, in the caller's arena. Signatures and proofs are not checked here. */
#ifndef SB_NODE_MESSAGES_H
#define SB_NODE_MESSAGES_H

#include "consensus/bft.h"
#include "node/p2p/channel.h"

/* The wire's numbers; each belongs to one channel (sb_message_channel). */
enum sb_message_kind {
    SB_MESSAGE_STATUS = 1,
    SB_MESSAGE_VOTES = 2,
    SB_MESSAGE_PARTS = 3,
    SB_MESSAGE_WANT = 4,
    SB_MESSAGE_VOTE = 5,
    SB_MESSAGE_CERTIFICATE = 6,
    SB_MESSAGE_PROPOSAL = 7,
    SB_MESSAGE_PART = 8,
    SB_MESSAGE_EVIDENCE = 9,
    SB_MESSAGE_SYNC_REQUEST = 10,
    SB_MESSAGE_SYNC_BLOCK = 11,
    SB_MESSAGE_SYNC_NO_BLOCK = 12,
    SB_MESSAGE_RELAY = 13,
};

/* No status names a higher block, so that arithmetic on heights has room. */
#define SB_MESSAGE_HEIGHT_MAX ((uint64_t)1 << 62)

/* Bits 0 to count - 1, of validators or of parts; those from count on are zero. */
#define SB_BITS_MAX 256
struct sb_bits {
    uint32_t count; /* 0 to SB_BITS_MAX */
    uint64_t words[SB_BITS_MAX / 64];
};

static inline bool sb_bits_get(const struct sb_bits *bits, uint32_t i)
{
    return i < SB_BITS_MAX && ((bits->words[i / 64] >> (i % 64)) & 1) != 0;
}

/* sb_bits_set: i < SB_BITS_MAX. */
static inline void sb_bits_set(struct sb_bits *bits, uint32_t i)
{
    bits->words[i / 64] |= (uint64_t)1 << (i % 64);
}

/* Where a node stands: head is committed, and it works on head + 1. */
struct sb_message_status {
    uint64_t
        sequence; /* grows with each status of a connection, so that an older one is known as such */
    uint64_t head;
    uint64_t oldest; /* lowest block that it can give, 1 to head + 1 (then none) */
    int32_t round;
    uint8_t step; /* 0: head + 1 is not begun; else 1 + enum sb_bft_step_name */
    bool asks;    /* nothing moves here: send what I lack, by what I have told you */
};

/* The votes of a round that a node holds: replaces all that was known of it. */
struct sb_message_votes {
    uint64_t height;
    int32_t round;
    enum sb_vote_type type;
    struct sb_bits bits; /* by validator; 1 to 256 */
};

/* The parts that a node holds of the block proposed in a round. count 0: it does not hold the proposal either. */
struct sb_message_parts {
    uint64_t height;
    int32_t round;
    struct sb_bits bits; /* up to SB_PARTS_MAX */
};

/* A block that a node needs whole: answered with its proposal and sync_block, or with sync_no_block. */
struct sb_message_want {
    uint64_t height;
    int32_t round; /* of its proposal; -1 unknown */
    sb_hash block_id;
};

/* What the sender gets sooner from others: messages of these validators need not be passed on to it. Replaces what it said before. */
struct sb_message_relay {
    struct sb_bits votes;  /* by validator who votes; up to SB_VALIDATORS_MAX */
    struct sb_bits blocks; /* by validator who proposes */
};

struct sb_message_part {
    uint64_t height;
    int32_t round;
    struct sb_part_proof proof; /* its index is the part's */
    sb_bytes bytes;             /* borrowed; 1 to SB_PART_BYTES */
};

struct sb_message_sync_block {
    uint64_t height;
    sb_bytes encoded;        /* borrowed; 1 to SB_CONSENSUS_BLOCK_BYTES_MAX */
    struct sb_commit commit; /* all zero: the block is not yet committed where it comes from */
};

struct sb_message {
    enum sb_message_kind kind;
    union {
        struct sb_message_status status;
        struct sb_message_votes votes;
        struct sb_message_parts parts;
        struct sb_message_want want;
        struct sb_message_relay relay;
        struct sb_vote vote;
        struct sb_bft_certificate certificate; /* entries in the arena */
        struct sb_proposal proposal;
        struct sb_message_part part;
        struct sb_evidence evidence;
        uint64_t sync_height; /* SYNC_REQUEST, SYNC_NO_BLOCK: from 1 on */
        struct sb_message_sync_block sync_block;
    } as;
};

enum sb_channel sb_message_channel(enum sb_message_kind kind);

/* sb_message_encode: append the message. Its values are as sb_message_decode would give them. */
void sb_message_encode(struct sb_buf *out, const struct sb_message *message);
/* sb_message_decode: spans of the result point into raw.
 * The errors of the RLP reader; SB_E_TYPE for a kind that does not belong to the channel, SB_E_RANGE, SB_E_SHAPE (bits and their length
 * disagree), SB_E_NON_CANONICAL, SB_E_NOMEM. */
sb_err sb_message_decode(struct sb_message *ret_message, struct sb_arena *arena,
                         enum sb_channel channel, sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

#endif
