/* bft.h: the core of consensus: Tendermint (arXiv 1807.04938, lines 11-67) as a pure state machine.
 *
 *                        struct sb_bft_input                          struct sb_bft_effects
 *     host: driver   ---------------------------->  sb_bft_step  ---------------------------->  host: journal, signer,
 *                     start, proposal, vote,             |        journal, sign, broadcast,      timers, builder, executor,
 *                     certificate, timeout, value,  core state    timer, get value, validate,    database, peers
 *                     validity, signed                            decide, evidence, fetch
 *                            ^                                    |
 *                            +---- answers come back as inputs ---+
 *
 * The core has no clock, no socket, no file, no randomness, and allocates nothing after sb_bft_new. The same inputs give the same
 * effects, byte for byte: recovery feeds the journal's inputs again and arrives in the same place. The host
 *   - carries out effects strictly in their order, and hands in one input at a time;
 *   - hands in only proposals, votes and certificates whose signatures it has checked, of the present height;
 *   - answers SIGN with SIGNED before it hands in anything else (an empty signature: the signer refused; the core stays silent there);
 *   - answers GET_VALUE with VALUE and VALIDATE with VALIDITY, late or never.
 *
 * Rules, by their line in the paper: 11-21 (start of a round), 22-27 and 28-33 (prevote), 34-35, 36-43 (lock and precommit), 44-46,
 * 47-48, 49-54 (decide, in any round), 55-56 (skip to a round that more than a third has reached), 57-67 (timeouts). Beyond the paper:
 *   - the proposer sets the propose timeout too, since its GET_VALUE may never be answered;
 *   - line 22 also asks that the block is timely (proposer-based time: docs/spec/consensus-block.md) and names the round's proposer;
 *   - a certificate (a quorum of votes of one type, round and block) counts as the quorum that it is, even where single votes of
 *     equivocating validators were counted otherwise before;
 *   - a quorum of precommits for a block whose proposal is unknown asks the host to FETCH it, and decides once the block is VALID: the
 *     certificate proves what the proposal would have said.
 * A node whose key is not in the set follows: it decides and never signs. After the decision, votes of its height are still recorded,
 * until the next START_HEIGHT: sb_bft_certificate then shows a fuller commit; EVIDENCE is then the only effect.
 *
 * Votes are kept by (type, round, validator): all of the rounds near the present one, and beyond them only each validator's votes of its
 * two highest rounds, which is enough for line 55: whoever came to the highest round of all honest validators did so by a quorum of
 * precommits of the round before it, so f + 1 honest validators show one of these two rounds. The first vote stands; a different second
 * one becomes EVIDENCE and is not counted. Arithmetic on power: quorum is 3w > 2P, skip is 3w > P, in integers.
 * docs/spec/consensus.md is the whole specification.
 *
 * Invariants: at most one SIGN for each (height, round, step) of a core's life; (height, round, step) never goes back; a lock is
 * only replaced by a later polka, never dropped within a height. */
#ifndef SB_CONSENSUS_BFT_H
#define SB_CONSENSUS_BFT_H

#include "base/types/consensus.h"

enum sb_bft_step_name { SB_BFT_PROPOSE, SB_BFT_PREVOTE, SB_BFT_PRECOMMIT, SB_BFT_DECIDED };

enum sb_bft_timeout { SB_BFT_TIMEOUT_PROPOSE, SB_BFT_TIMEOUT_PREVOTE, SB_BFT_TIMEOUT_PRECOMMIT };

/* Duration of a timeout in round r: base + r * delta, saturating. */
struct sb_bft_timeouts {
    uint64_t propose_ms, prevote_ms, precommit_ms;
    uint64_t delta_ms;
};

struct sb_bft_config {
    sb_addr own_address; /* sb_pubkey_address of the key that the host signs with */
    struct sb_bft_timeouts timeouts;
    size_t validators_max; /* room for votes; 0 takes SB_VALIDATORS_MAX */
    /* proposer: index of the proposer of (height, round) in the set of START_HEIGHT; the same answer every time. */
    uint32_t (*proposer)(void *ctx, uint64_t height, int32_t round);
    void *proposer_ctx;
    /* Blocks do not name their proposer, so line 22 does not ask for it: for models whose values are plain words. Never in a node. */
    bool anonymous_blocks;
};

/* When a proposal counts as timely (proposer-based time): received_ms in
 * [time_ms - precision_ms, time_ms + message_delay_ms * 1.1^round + precision_ms], with d * 11 / 10 a round, saturating. */
struct sb_bft_timeliness {
    uint64_t precision_ms;
    uint64_t message_delay_ms;
};

/* A quorum of votes of one type for one block in one round. For precommits it is the commit itself; for prevotes (a polka) it has
 * the same form. Entries of flag SB_COMMIT_NIL do not count. */
struct sb_bft_certificate {
    enum sb_vote_type type;
    struct sb_commit commit;
};

/* sb_bft_timeouts_default: 3 s, 1 s, 1 s, each 500 ms longer with every round. */
struct sb_bft_timeouts sb_bft_timeouts_default(void);

/* A message of our own, to be signed, signed, or sent. In SIGN its signature is empty. */
struct sb_bft_message {
    bool is_proposal;
    union {
        struct sb_proposal proposal;
        struct sb_vote vote;
    } as;
};

/* What a proposer proposes: identifies an encoded consensus block, which the host keeps. */
struct sb_bft_value {
    sb_hash block_id;
    sb_hash parts_root;
    uint32_t block_bytes;
};

enum sb_bft_input_type {
    SB_BFT_IN_START_HEIGHT =
        1,                  /* begin a height: the last one is committed, and it is time to go on */
    SB_BFT_IN_PROPOSAL = 2, /* a proposal of another validator, signature checked */
    SB_BFT_IN_VOTE = 3,     /* a vote of another validator, signature checked */
    SB_BFT_IN_TIMEOUT = 4,
    SB_BFT_IN_VALUE = 5,    /* answer to GET_VALUE */
    SB_BFT_IN_VALIDITY = 6, /* answer to VALIDATE */
    SB_BFT_IN_SIGNED =
        7, /* answer to SIGN: the same message with its signature, or with none: refused */
    SB_BFT_IN_CERTIFICATE = 8, /* a quorum of votes, signatures checked */
};

struct sb_bft_input {
    enum sb_bft_input_type type;
    union {
        struct {
            uint64_t height;
            const struct sb_validator_set
                *set; /* borrowed; must live until the next START_HEIGHT */
            struct sb_bft_timeliness timeliness;
        } start;
        struct {
            struct sb_proposal message;
            uint64_t received_ms; /* by the host's wall clock */
        } proposal;
        struct sb_vote vote;
        struct {
            enum sb_bft_timeout kind;
            uint64_t height;
            int32_t round;
        } timeout;
        struct {
            uint64_t height;
            int32_t round;
            struct sb_bft_value value;
        } value;
        struct {
            uint64_t height;
            sb_hash block_id;
            bool valid;
            uint64_t time_ms; /* of the block's header, when valid */
            sb_addr proposer; /* the same */
        } validity;
        struct sb_bft_message signed_message;
        struct sb_bft_certificate certificate; /* entries borrowed for the step */
    } as;
};

enum sb_bft_effect_type {
    SB_BFT_JOURNAL, /* append the input of this step to the journal, before the effects after it */
    SB_BFT_SIGN, /* sign through the double-sign guard; the journal up to here becomes durable first */
    SB_BFT_BROADCAST,     /* send our signed message to the others */
    SB_BFT_SET_TIMER,     /* hand in TIMEOUT after delay_ms */
    SB_BFT_CANCEL_TIMERS, /* timers that are set are of no use any more */
    SB_BFT_GET_VALUE,     /* we propose: make a block */
    SB_BFT_VALIDATE,      /* execute this block and say whether it is valid */
    SB_BFT_DECIDE,        /* the block is final: commit it */
    SB_BFT_EVIDENCE,      /* a validator voted twice */
    SB_BFT_FETCH, /* this block has a quorum of precommits, but no proposal has come: ask the others for it */
};

struct sb_bft_effect {
    enum sb_bft_effect_type type;
    union {
        struct sb_bft_message message; /* SIGN, BROADCAST */
        struct {
            enum sb_bft_timeout kind;
            uint64_t height;
            int32_t round;
            uint64_t delay_ms;
        } timer;
        struct {
            uint64_t height;
            int32_t round;
        } get_value;
        struct {
            uint64_t height;
            int32_t round; /* of the proposal; -1 when only a certificate names the block */
            sb_hash block_id;
        } validate;
        struct sb_commit
            decide; /* sigs: borrowed from the core, valid until the next START_HEIGHT */
        struct sb_evidence evidence;
        struct {
            uint64_t height;
            int32_t round;
            sb_hash block_id;
        } fetch;
    } as;
};

/* More than any one step can cause (asserted). */
#define SB_BFT_EFFECTS_MAX 24

struct sb_bft_effects {
    struct sb_bft_effect list[SB_BFT_EFFECTS_MAX];
    size_t count;
};

/* Where the core stands, for status, logs and tests. */
struct sb_bft_status {
    uint64_t height; /* 0 before the first START_HEIGHT */
    int32_t round;
    enum sb_bft_step_name step;
    int32_t locked_round; /* -1: no lock */
    int32_t valid_round;  /* -1: none */
    sb_hash locked_block; /* zero without a lock */
    sb_hash valid_block;  /* zero without one */
};

struct sb_bft;

/* sb_bft_new: a core before its first height; owned by the caller. NULL when out of memory. */
struct sb_bft *sb_bft_new(const struct sb_bft_config *config);
void sb_bft_free(struct sb_bft *core);

/* sb_bft_step: apply one input.
 * Out: *ret_effects is always filled; its count is 0 for an input that changes nothing (stale, repeated, too far ahead), which is not
 * journaled.
 * Returns SB_OK; SB_E_ARG for a height that does not follow (heights only grow, and one begins after the last is decided), for a set
 * over validators_max and for a signature that was not asked for; SB_E_BUSY for anything but SIGNED while a signature is awaited. A
 * refused input changes nothing. A VALUE or VALIDITY that nobody awaits (any more) is stale, not an error. */
sb_err sb_bft_step(struct sb_bft *core, const struct sb_bft_input *input,
                   struct sb_bft_effects *ret_effects, struct sb_diag *diag) SB_MUST_USE;

struct sb_bft_status sb_bft_status(const struct sb_bft *core);

/* ---- what the core holds of the present height, for peers that lack it; pointers are valid until the next step ---- */

/* sb_bft_vote: the vote of a validator that counts in this round, with its signature (own ones too); NULL when none is held. */
const struct sb_vote *sb_bft_vote(const struct sb_bft *core, enum sb_vote_type type, int32_t round,
                                  uint32_t validator_index);
/* sb_bft_proposal: the proposal of a round; NULL when none is held. */
const struct sb_proposal *sb_bft_proposal(const struct sb_bft *core, int32_t round);
/* sb_bft_certificate: a quorum for one block in this round, if there is one: from votes or as it came. false: none. */
bool sb_bft_certificate(struct sb_bft_certificate *ret_certificate, const struct sb_bft *core,
                        enum sb_vote_type type, int32_t round);

/* ---- the journal's form of an input ---- */

/* sb_bft_input_encode: rlp([type, fields...]). Validator sets are not written: the host knows the set of each height. */
void sb_bft_input_encode(struct sb_buf *out, const struct sb_bft_input *input);
/* sb_bft_input_decode: strict inverse; start.set is NULL, the entries of a certificate live in the arena. The errors of the RLP reader,
 * SB_E_TYPE for an unknown type, SB_E_RANGE, SB_E_NOMEM. */
sb_err sb_bft_input_decode(struct sb_bft_input *ret_input, struct sb_arena *arena, sb_bytes raw,
                           struct sb_diag *diag) SB_MUST_USE;

#endif
