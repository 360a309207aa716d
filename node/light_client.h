/* light_client.h: follows the chain from outside, from one block that a person chose to trust (docs/spec/light-client.md, section 6).
 *
 *      providers: encoded light blocks by height             trace: the blocks that were verified, oldest first
 *      primary ----+                                              | kept in a file
 *      witness     |--> reach(height): skip if the trusted power  v
 *      witness ----+    allows it, else try a height between   inference proofs, checked at their block
 *                       |
 *                       +--> every witness has the same block there, or it is a divergence: struct sb_light_divergence
 *
 * The primary is believed nothing: it can only hold back or be caught. Witnesses guard against the case in which more than a third of a
 * set that was trusted once signs another history: then light-client verification alone would follow it.
 *
 * No clock: the time now is the caller's. One thread. Bounds: SB_LIGHT_TRACE_MAX blocks of trace, SB_LIGHT_BACKWARDS_MAX headers back. */
#ifndef SB_NODE_LIGHT_CLIENT_H
#define SB_NODE_LIGHT_CLIENT_H

#include "consensus/inference_proof.h"

#define SB_LIGHT_WITNESSES_MAX 16
#define SB_LIGHT_TRACE_MAX     64
#define SB_LIGHT_BACKWARDS_MAX 10000

/* Where light blocks come from. */
struct sb_light_provider {
    void *ctx;
    const char *name; /* for messages */
    /* light_block: append the encoded light block of a height, or of the newest for 0, to out (limit SB_LIGHT_BLOCK_BYTES_MAX).
     * SB_E_NOT_FOUND: it has none. Other errors: it does not answer as it should; diag says how. */
    sb_err (*light_block)(void *ctx, struct sb_buf *out, uint64_t height, struct sb_diag *diag);
};

/* Two providers have blocks that no history has both, properly signed on top of one block that both providers have: different ones of one
 * height, or a higher one that is not later. */
struct sb_light_divergence {
    const char *witness; /* name of the provider that has the other block */
    uint64_t common_height;
    uint64_t height, witness_height; /* of the two blocks */
    sb_hash primary_id, witness_id;
    struct sb_buf primary_block, witness_block; /* encoded light blocks */
    bool
        is_lunatic; /* the headers disagree in what history alone decides: sets, parameters, version, or the order of times */
    bool is_equivocation;  /* committed in one round: those who signed both have voted twice */
    size_t double_signers; /* validators who did */
    int64_t double_power, total_power;
};

struct sb_light_client_options {
    struct sb_chain_domain domain;
    struct sb_light_options trust; /* milliseconds */
    struct sb_light_provider primary;
    struct sb_light_provider witnesses[SB_LIGHT_WITNESSES_MAX];
    size_t witness_count;
    /* note: what happened, in a sentence, for people. May be NULL. */
    void (*note)(void *ctx, const char *text);
    void *note_ctx;
};

/* The newest block that is trusted. */
struct sb_light_head {
    uint64_t height, time_ms;
    sb_hash id;
    size_t validator_count;
};

struct sb_light_client;

/* sb_light_client_new: nothing is trusted yet. SB_E_RANGE for options that sb_light_options_check refuses, SB_E_NOMEM. */
sb_err sb_light_client_new(struct sb_light_client **ret_client,
                           const struct sb_light_client_options *options,
                           struct sb_diag *diag) SB_MUST_USE;
void sb_light_client_free(struct sb_light_client *client);

/* sb_light_client_begin: trust the block of this height and id, as the primary has it: its sets and its commit must fit, so that a wrong
 * genesis hash is found here. SB_E_REFUSED when they do not or the id is another one. */
sb_err sb_light_client_begin(struct sb_light_client *client, uint64_t height, const sb_hash *id,
                             struct sb_diag *diag) SB_MUST_USE;

/* sb_light_client_encode, _restore: the trace as a file holds it. Restore checks form, chain and that the blocks' sets and commits fit
 * their headers, so that damage is found; that they were verified once is believed. SB_E_CORRUPT, SB_E_ARG (another chain). */
sb_err sb_light_client_encode(struct sb_buf *out, const struct sb_light_client *client) SB_MUST_USE;
sb_err sb_light_client_restore(struct sb_light_client *client, sb_bytes raw,
                               struct sb_diag *diag) SB_MUST_USE;

/* sb_light_client_reach: make the block of a height (0: the primary's newest) trusted, forwards by skipping or backwards by hashes, and
 * compare it with the witnesses when it is above all that was trusted.
 * SB_E_REFUSED: what the primary gave does not verify, or the trust has expired; SB_E_NOT_FOUND: it has no such block; SB_E_CONFLICT: a
 * witness has another one, and *ret_divergence, to be freed with sb_light_divergence_fini, tells of it: nothing above the common height
 * is trusted any more. A witness that does not answer, or whose block does not verify, is only noted. */
sb_err sb_light_client_reach(struct sb_light_client *client, uint64_t height, uint64_t now_ms,
                             struct sb_light_divergence *ret_divergence,
                             struct sb_diag *diag) SB_MUST_USE;
void sb_light_divergence_fini(struct sb_light_divergence *divergence);

/* sb_light_client_head: false while nothing is trusted. sb_light_client_count: blocks in the trace. */
bool sb_light_client_head(struct sb_light_head *ret_head, const struct sb_light_client *client);
size_t sb_light_client_count(const struct sb_light_client *client);

/* sb_light_client_verify: judge a proof at its block: one of the trace, or one that follows from the newest of the trace below it.
 * *ret_verdict may say SB_LIGHT_TRUST (too far above) or SB_LIGHT_TIME (below all that is trusted): reach the height and ask again. */
sb_err sb_light_client_verify(struct sb_inference_verdict *ret_verdict,
                              const struct sb_light_client *client, sb_bytes proof, uint64_t now_ms,
                              struct sb_diag *diag) SB_MUST_USE;

/* sb_light_divergence_judge: fill in kind and double signers of two encoded light blocks of one height. SB_E_REFUSED unless both are
 * light blocks of the domain's chain that contradict each other. */
sb_err sb_light_divergence_judge(struct sb_light_divergence *io_divergence,
                                 const struct sb_light_chain *chain,
                                 struct sb_diag *diag) SB_MUST_USE;

#endif
