/* backfill.h: gets what a running node lacks of the heights below its blocks (docs/spec/state-sync.md, section 5).
 *
 *      p2p thread --peers, answers--> [ worker: ask one peer, check (past.h), write one batch ] --questions--> peers (channel SNAPSHOT)
 *
 * A node that began at a snapshot is at the head long before it knows all headers that evidence can be about. It follows, votes and proposes
 * meanwhile; a block with evidence of a height that is not here yet waits (sb_chain_verdict.is_undecided). The worker goes down from the
 * lowest known height until sb_chain_past_is_whole, which it looks at again from time to time, since parameters may grow. Nothing of its
 * progress is kept but the records themselves.
 *
 * Any thread may call any function, but new, start and free. */
#ifndef SB_NODE_BACKFILL_H
#define SB_NODE_BACKFILL_H

#include "node/chain.h"
#include "node/p2p/channel.h"
#include "node/snap_message.h"

#define SB_BACKFILL_PEERS_MAX 64

struct sb_backfill;

struct sb_backfill_options {
    struct sb_chain *chain;      /* borrowed */
    const struct sb_logger *log; /* borrowed, may be NULL */
    void *ctx;
    bool (*send)(void *ctx, sb_peer peer, sb_bytes message);
    void (*report)(void *ctx, sb_peer peer, enum sb_offence offence, const char *why);
    /* all 0: the defaults */
    uint64_t answer_ms; /* time for an answer: 20000 */
    uint64_t
        rest_ms; /* a peer that has nothing, or does not answer, is not asked for so long: 30000 */
    uint64_t
        look_ms; /* how often it is looked whether something is missing, or a peer may be asked: 1000 */
};

sb_err sb_backfill_new(struct sb_backfill **ret_backfill, const struct sb_backfill_options *options,
                       struct sb_diag *diag) SB_MUST_USE;
sb_err sb_backfill_start(struct sb_backfill *backfill, struct sb_diag *diag) SB_MUST_USE;
/* sb_backfill_stop: end the worker. May be called more than once. */
void sb_backfill_stop(struct sb_backfill *backfill);
void sb_backfill_free(struct sb_backfill *backfill);

void sb_backfill_peer_up(struct sb_backfill *backfill, sb_peer peer);
void sb_backfill_peer_down(struct sb_backfill *backfill, sb_peer peer);
/* sb_backfill_answer: a decoded answer on SNAPSHOT; its bytes are copied. */
void sb_backfill_answer(struct sb_backfill *backfill, sb_peer peer,
                        const struct sb_snap_message *answer);

#endif
