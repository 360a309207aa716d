/* past.h: heights below a known one, backwards by hash, as far as evidence can reach (docs/spec/state-sync.md, section 5).
 *
 *      known header --last block id--> the one below --> ... --> L         evidence of L has expired at the limit, by blocks and by time
 *                      | evidence hash --> list --> offences that were punished already
 *                      | validators hash --> set, where it changes
 *                      | payload hash --> Ethereum header, where it is wanted
 *
 * Answers to SB_SNAP_PAST (snap_message.h) are checked as they come: nobody who gives them need be trusted. What was checked becomes records
 * (sb_chain_past_put): one list for an answer, to be written in one batch, so that a node that knows a height knows all of what it needs of
 * it. Pure but for memory. */
#ifndef SB_NODE_PAST_H
#define SB_NODE_PAST_H

#include "base/types/consensus.h"
#include "base/types/params.h"
#include "node/record_list.h"

/* Where it may end. */
struct sb_past_limit {
    uint64_t height, time_ms; /* of the block at which evidence has expired */
    struct sb_params params;  /* in force there */
};

struct sb_past {
    struct sb_arena arena; /* of one answer */
    struct sb_arena set_arena;
    struct sb_record_list records; /* of the last answer */
    struct sb_past_limit limit;
    uint64_t height;  /* the next one to take */
    sb_hash id;       /* of it */
    sb_hash set_hash; /* of the height above */
    struct sb_validator_set set;
    bool is_done; /* nothing below is needed */
    /* Heights from this one on must bring the Ethereum header, which this takes; NULL: none. */
    uint64_t ethereum_from;
    sb_err (*ethereum)(void *ctx, uint64_t height, sb_bytes header, struct sb_diag *diag);
    void *ctx;
};

/* sb_past_begin: below this header, whose set is copied. The memory is all zero, or was begun before. SB_E_NOMEM. */
sb_err sb_past_begin(struct sb_past *past, const struct sb_consensus_header *above,
                     const struct sb_validator_set *set,
                     const struct sb_past_limit *limit) SB_MUST_USE;
void sb_past_end(struct sb_past *past);
/* sb_past_wants_ethereum: the question about the next height asks for Ethereum headers. */
bool sb_past_wants_ethereum(const struct sb_past *past);
/* sb_past_take: an answer about past->height. On SB_OK past->records is what to write, and past->height the next to ask for. SB_E_NOMEM,
 * SB_E_IO (of the hook); else whoever gave it is at fault, and the past has to be begun again. */
sb_err sb_past_take(struct sb_past *past, sb_bytes content, struct sb_diag *why) SB_MUST_USE;

/* sb_past_set_put: the record that a set holds from a height on. */
sb_err sb_past_set_put(struct sb_record_list *records, uint64_t height,
                       const struct sb_validator_set *set) SB_MUST_USE;

#endif
