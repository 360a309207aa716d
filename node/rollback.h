/* rollback.h: take a stopped node back by some blocks (samebit rollback).
 *
 *      journal: record "from block F back to block T", synced     first: a crash after it only leaves a note that nothing needs
 *      database: undo block F, F - 1, ... T + 1                   each in one atomic batch
 *
 * What was signed stays signed: the journal keeps every record, so the node cannot sign anything else for those heights. When it starts
 * again it runs them from its journal, as far as that holds them, and gets the rest from its peers. */
#ifndef SB_NODE_ROLLBACK_H
#define SB_NODE_ROLLBACK_H

#include "base/types/genesis.h"
#include "storage/store.h"

struct sb_rollback_options {
    const char *db_dir;
    const char *journal_dir;
    const struct sb_genesis *genesis; /* protocol accounts added */
    uint8_t public_key[32];           /* of the validator: whose journal it is */
    uint64_t blocks;                  /* at least 1 */
};

/* sb_rollback: *ret_head is the block that is the head then. SB_E_RANGE: more blocks than the chain has or the history keeps, nothing was
 * changed; SB_E_BUSY: the node runs; else the errors of store and journal. */
sb_err sb_rollback(struct sb_store_head *ret_head, const struct sb_rollback_options *options,
                   struct sb_diag *diag) SB_MUST_USE;

#endif
