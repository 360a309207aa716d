/* snap_answer.h: what a node that has a chain and snapshots of it answers to one that wants to begin there (snap_message.h).
 *
 *      question --> sb_snap_answer --> content          from the chain's database and from the snapshots, both read only
 *
 * Any thread. */
#ifndef SB_NODE_SNAP_ANSWER_H
#define SB_NODE_SNAP_ANSWER_H

#include "node/chain.h"
#include "node/snap_message.h"
#include "storage/snapshot.h"

/* Both borrowed. */
struct sb_snap_source {
    struct sb_chain *chain;
    struct sb_snapshots *snapshots;
};

/* sb_snap_answer: append the content of the answer to a question. SB_E_NOT_FOUND: this node has it not (any more); other errors are
 * failures of this node, and out is of no use then. */
sb_err sb_snap_answer(struct sb_buf *out, const struct sb_snap_source *source,
                      const struct sb_snap_message *question) SB_MUST_USE;

#endif
