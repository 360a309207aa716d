/* solo_driver.h: the driver of a set of one, until the node runs on replica.h: carries out what the consensus core wants: journal, signatures, timers, blocks, execution, commit.
 *
 *      host (loop or test)        driver                              core
 *      sb_solo_propose  ---->   START_HEIGHT  ------------------->  sb_bft_step
 *      sb_solo_timeout  ---->   TIMEOUT       ------------------->
 *                                 journal, guard + ed25519, builder,
 *      set_timer, cancel  <----   execute, commit                <--  effects, in order
 *
 * Order of durability: every input that changes the core is appended to the journal before its effects; the bytes of a block enter the
 * journal before the first signature on it; a signature is made only after the guard allowed it and leaves only after its record is
 * synced; the block is committed in one synced batch after the decision. So a crash at any place leaves two cases (notes, section 7):
 * the journal is ahead of the database (the height is run again from the journal, with the same signatures), or they are equal.
 *
 * The driver has no clock and no loop of its own: time and timers are the host's, so tests and the simulator run it in virtual time.
 * One thread. Every failure is final: the same failure answers each later
 * call, and the host stops. */
#ifndef SB_NODE_SOLO_DRIVER_H
#define SB_NODE_SOLO_DRIVER_H

#include "consensus/bft.h"
#include "node/builder.h"
#include "node/chain.h"
#include "node/mempool.h"
#include "storage/journal.h"

struct sb_solo;

/* What the driver needs of its surroundings. */
struct sb_solo_host {
    void *ctx;
    uint64_t (*now_ms)(void *ctx); /* Unix time, milliseconds */
    /* set_timer: call sb_solo_timeout with these values after delay_ms. Timers of each kind replace one another. */
    void (*set_timer)(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                      uint64_t delay_ms);
    void (*cancel_timers)(void *ctx);
};

struct sb_solo_options {
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    const char *journal_dir;
    bool new_key;       /* the key is new, so that its journal may be created */
    uint8_t secret[64]; /* ed25519 secret of the validator (seed || public key), copied */
    struct sb_bft_timeouts timeouts;
    uint64_t (*monotonic_ms)(void *ctx); /* for the builder's time limit; may be NULL */
    void *monotonic_ctx;
    struct sb_solo_host host;
    const struct sb_logger *log;
};

/* sb_solo_new: open the journal and recover: a height that the journal has begun and the database does not hold is run to its end
 * (or to where an answer from outside is awaited).
 * SB_E_UNSUPPORTED: the validator set of the chain is not this one key. SB_E_CORRUPT: the journal is ahead by more than one height, or
 * what it holds cannot be executed. Else the errors of journal and chain. */
sb_err sb_solo_new(struct sb_solo **ret_driver, const struct sb_solo_options *options,
                   struct sb_diag *diag) SB_MUST_USE;
void sb_solo_free(struct sb_solo *driver);

/* sb_solo_is_idle: the last height is committed and the next has no block yet: sb_solo_propose may be called. */
bool sb_solo_is_idle(const struct sb_solo *driver);

/* sb_solo_propose: begin the next height, when idle. With one validator the block is built, voted and committed before it returns.
 * The block's time is max(now, last + 1 ms). allow_empty false: nothing happens when no transaction can go into the block. */
sb_err sb_solo_propose(struct sb_solo *driver, bool allow_empty, struct sb_diag *diag) SB_MUST_USE;

/* sb_solo_timeout: a timer has run out. */
sb_err sb_solo_timeout(struct sb_solo *driver, enum sb_bft_timeout kind, uint64_t height,
                       int32_t round, struct sb_diag *diag) SB_MUST_USE;

struct sb_bft_status sb_solo_status(const struct sb_solo *driver);

#endif
