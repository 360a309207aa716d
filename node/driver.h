/* driver.h: carries out what the consensus core wants: journal, signatures, timers, blocks, execution, commit.
 *
 *      host (replica or test)     driver                              core
 *      start_height      ---->    START_HEIGHT  ------------------->  sb_bft_step
 *      proposal, vote, certificate, timeout ----------------------->
 *      block (assembled) ---->    kept until VALIDATE asks for it
 *                                 journal, guard + ed25519, application (prepare, process, commit)
 *      send, fetch, set_timer <-- effects, in order                <--
 *
 * Order of durability: every input that changes the core is appended to the journal before its effects; the bytes of a block enter the
 * journal before the first own signature on it; a signature is made only after the guard allowed it and leaves only after its record is
 * synced; the block is committed in one synced batch after the decision. So a crash at any place leaves two cases (docs/adr/0008):
 * the journal is ahead of the database (the height is run again from the journal, with the same signatures), or they are equal.
 *
 * Sync and consensus exclude each other: a block from sync is committed only while no height is started, except that the started height
 * itself may be decided by a certificate with its block. So the node never votes at a height that sync may still commit.
 *
 * The driver has no clock and no loop of its own: time and timers are the host's, so tests and the simulator run it in virtual time.
 * One thread. A failure of the node itself is final: the same failure answers each later call, and the host stops. What a peer sent
 * wrongly is never a failure: it is an answer of sb_driver_taken. */
#ifndef SB_NODE_DRIVER_H
#define SB_NODE_DRIVER_H

#include "consensus/bft.h"
#include "node/application.h"
#include "node/signer.h"
#include "storage/journal.h"

struct sb_driver;

/* What became of a peer's message. */
enum sb_driver_taken {
    SB_TAKEN_NEW,   /* it was valid and news: pass it on */
    SB_TAKEN_KNOWN, /* the same is held already */
    SB_TAKEN_LATE, /* of a committed height; a precommit of the last two heights may still be kept as late (then NEW) */
    SB_TAKEN_EARLY,    /* of a height or round that is not yet held here: ask again later */
    SB_TAKEN_CONFLICT, /* validly signed, and a second vote of its validator: evidence, pass it on */
    SB_TAKEN_INVALID,  /* signature, form or sender are wrong: the peer that sent it is at fault */
    /* A block of sync that the application cannot judge yet, or whose commit is one of two in its round and not the one held here, which
     * a third of dishonest power can bring about: its sender is not at fault; hand it in again later. */
    SB_TAKEN_UNDECIDED,
};

/* What the driver needs of its surroundings. None of these may call into the driver, but for its status. */
struct sb_driver_host {
    void *ctx;
    uint64_t (*now_ms)(void *ctx); /* wall clock, Unix time, milliseconds */
    /* set_timer: call sb_driver_timeout with these values after delay_ms. Timers of each kind replace one another. */
    void (*set_timer)(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                      uint64_t delay_ms);
    void (*cancel_timers)(void *ctx);
    /* send: our own signed message; a proposal comes with the bytes of its block (valid during the call). */
    void (*send)(void *ctx, const struct sb_bft_message *message, sb_bytes block);
    /* fetch: a block was decided or has a polka, but its bytes or proposal are not here: ask the peers. */
    void (*fetch)(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id);
    /* committed: a height is durable, by consensus or by sync. */
    void (*committed)(void *ctx, const struct sb_commit *commit);
};

struct sb_driver_options {
    const struct sb_application *app; /* borrowed */
    struct sb_journal *journal;       /* borrowed, open */
    struct sb_signer signer;
    struct sb_pubkey own_key;
    struct sb_bft_timeouts timeouts;
    bool
        may_resync; /* a database that lost blocks which the journal saw committed gets them again */
    struct sb_verifier
        verifier; /* the chain's rule behind a cache (verify_cache.h); the simulator's stub */
    struct sb_driver_host host;
    const struct sb_logger *log;
};

/* Counts since start, for metrics and tests. */
struct sb_driver_counters {
    uint64_t rounds; /* entered after round 0 */
    uint64_t
        invalid_blocks; /* proposals that got our prevote for nil because execution or form refused them */
    uint64_t untimely_blocks; /* the same because of their time */
    uint64_t conflicting_votes;
    uint64_t refused_signatures;
    uint64_t refused_proofs; /* of randomness: rounds of ours without a proposal */
    uint64_t late_votes;     /* precommits that came after their height was committed */
    uint64_t syncs;          /* of the journal */
};

/* sb_driver_new: recover from the journal: a height that it has begun and the application does not hold is run again to where an answer
 * from outside is awaited. Questions that were open are asked when sb_driver_resume is called.
 * SB_E_CORRUPT: the journal saw blocks committed that the database does not hold (more than the one that it runs again by itself) and
 * may_resync is false, what it holds cannot be executed, or a commit of the last heights holds our signature at a place after the
 * journal's last. Else the errors of journal and application. With may_resync, nothing new is signed up to the last of the lost blocks,
 * in this life or a later one; the host has to bring them (sb_driver_sync_block). */
sb_err sb_driver_new(struct sb_driver **ret_driver, const struct sb_driver_options *options,
                     struct sb_diag *diag) SB_MUST_USE;
void sb_driver_free(struct sb_driver *driver);
/* sb_driver_resume: ask what recovery left open; once, after new. */
sb_err sb_driver_resume(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;

/* sb_driver_is_idle: no height is started: the last one is committed. */
bool sb_driver_is_idle(const struct sb_driver *driver);
/* sb_driver_start_height: begin height head + 1, when idle. If we propose, the signer is asked for the proof of randomness and the block
 * is built within; its time is max(now, last + 1 ms). SB_E_VERSION when the height needs a version that this program does not know. */
sb_err sb_driver_start_height(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_start_if_work: for a set of one: begin a height only if its block would hold a transaction, or if the signer gives no proof
 * of randomness without which nobody knows. */
sb_err sb_driver_start_if_work(bool *ret_started, struct sb_driver *driver,
                               struct sb_diag *diag) SB_MUST_USE;

/* ---- from peers: signatures are checked here; results other than SB_OK are failures of the node ---- */

sb_err sb_driver_proposal(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                          const struct sb_proposal *proposal, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_vote(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                      const struct sb_vote *vote, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_certificate(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                             const struct sb_bft_certificate *certificate,
                             struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_block: the bytes of a block of the started height, assembled and checked against the parts root of a proposal that the
 * driver took, or, with a certificate of precommits, against the block id. At most a few blocks a height are kept: those of the
 * present round, the lock, the valid value and the decision. INVALID: the bytes are not the block that their proposal signed: the
 * proposer is at fault, not the peer. */
sb_err sb_driver_block(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                       const sb_hash *block_id, sb_bytes encoded, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_sync_block: a block of height head + 1 with the commit that decided it. Verifies, executes, commits.
 * *ret_taken INVALID: the block or its commit is wrong, nothing changed, drop its sender. A block that a valid commit decided and that
 * does not execute here is SB_E_CORRUPT: this node differs from more than two thirds, and must stop. UNDECIDED: nothing changed. */
sb_err sb_driver_sync_block(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                            sb_bytes encoded, const struct sb_commit *commit,
                            struct sb_diag *diag) SB_MUST_USE;

/* sb_driver_evidence: evidence that was verified goes to the application; it is an error worth a line when it is of this very
 * validator, whose key is then in use elsewhere. */
sb_err sb_driver_evidence(struct sb_driver *driver, const struct sb_evidence *evidence,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_driver_timeout: a timer has run out. */
sb_err sb_driver_timeout(struct sb_driver *driver, enum sb_bft_timeout kind, uint64_t height,
                         int32_t round, struct sb_diag *diag) SB_MUST_USE;

/* sb_driver_look_again: judge the blocks once more that the application could not judge when they came (verdict.undecided), and go on with
 * what follows. Does nothing when there are none. */
sb_err sb_driver_look_again(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;

/* sb_driver_owes_vote: the last vote of the height in work has no signature, because a signer of its own journal refused it or was away.
 * sb_driver_sign_owed: ask it again, and send the vote when it comes: as if it had been long under way. Without that, a height that needs
 * every validator who is left would wait for this vote for ever. */
bool sb_driver_owes_vote(const struct sb_driver *driver);
sb_err sb_driver_sign_owed(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;

/* ---- for status and gossip ---- */

/* sb_driver_core: votes, proposals and certificates of the started or last decided height. */
const struct sb_bft *sb_driver_core(const struct sb_driver *driver);
/* sb_driver_block_bytes: a block of the started or last decided height that is held; empty when it is not. Valid until the next call. */
sb_bytes sb_driver_block_bytes(const struct sb_driver *driver, const sb_hash *block_id);
struct sb_driver_counters sb_driver_counters(const struct sb_driver *driver);

#endif
