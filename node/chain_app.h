/* chain_app.h: the chain as consensus sees it: struct sb_application over chain, builder, pool and evidence.
 *
 *      driver, block sync --> sb_application --> prepare: builder + mempool      process: sb_chain_execute
 *                                                commit_take: sb_chain_commit_take       block: stored pieces joined again
 *                                                evidence: the chain's pool
 *
 * One thread: the node's loop. The invalid blocks that peers propose are logged once each, with their proposer and what differs, and
 * counted; to the node they are nothing unusual. */
#ifndef SB_NODE_CHAIN_APP_H
#define SB_NODE_CHAIN_APP_H

#include "node/application.h"
#include "node/builder.h"

struct sb_chain_app;

struct sb_chain_app_options {
    struct sb_chain *chain;            /* borrowed */
    struct sb_mempool *mempool;        /* borrowed */
    struct sb_builder_options builder; /* copied */
    const struct sb_logger *log;       /* borrowed, may be NULL */
};

/* sb_chain_app_new: SB_E_NOMEM. */
sb_err sb_chain_app_new(struct sb_chain_app **ret_app, const struct sb_chain_app_options *options,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_chain_app_free: the blocks that it gave must be gone. */
void sb_chain_app_free(struct sb_chain_app *app);
/* sb_chain_app_table: the functions, valid as long as the app is. */
const struct sb_application *sb_chain_app_table(const struct sb_chain_app *app);

/* Counts since start, for metrics. Any thread. */
struct sb_chain_app_counters {
    uint64_t processed_blocks; /* executed and given a verdict */
    uint64_t invalid_blocks;   /* of them found invalid, each block once */
    uint64_t forged_results; /* of these, those whose outcome is not what their transactions give */
};
struct sb_chain_app_counters sb_chain_app_counters(const struct sb_chain_app *app);

#endif
