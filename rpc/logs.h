/* logs.h: log filters: what matches, and searching a range of blocks by bloom, then by receipts. */
#ifndef SB_RPC_LOGS_H
#define SB_RPC_LOGS_H

#include "rpc/backend.h"

struct sb_rpc_ctx;

/* Any of `options` (count 0: anything) at one topic position. */
struct sb_rpc_topic_options {
    const sb_hash *options;
    size_t count;
};

struct sb_rpc_log_filter {
    bool has_block_hash;
    sb_hash block_hash;
    bool has_from, has_to;
    struct sb_rpc_block_ref from, to; /* by tag or number */
    const sb_addr *addrs;             /* any of these; none: any address */
    size_t addr_count;
    struct sb_rpc_topic_options topics[SB_LOG_TOPICS_MAX];
    size_t topic_count; /* a log with fewer topics does not match */
};

/* sb_rpc_log_matches: address and topics fit. */
bool sb_rpc_log_matches(const struct sb_rpc_log_filter *filter, const struct sb_log *log);
/* sb_rpc_bloom_matches: false only if no log below this bloom can match. */
bool sb_rpc_bloom_matches(const struct sb_rpc_log_filter *filter, const sb_bloom *bloom);

/* sb_rpc_write_block_logs: append the matching logs of one block to the open array. *count grows by each; stops at count_max.
 * Returns the number of logs written. block->receipts is not NULL. */
size_t sb_rpc_write_block_logs(struct sb_json *out, const struct sb_rpc_log_filter *filter,
                               const struct sb_rpc_block *block, size_t count_max);

/* sb_rpc_write_logs: the array of all matching logs of blocks first..last (first > last: empty). Fails with -32005 over the limits of
 * blocks and logs, and when the time is up. */
sb_err sb_rpc_write_logs(struct sb_rpc_ctx *ctx, const struct sb_rpc_log_filter *filter,
                         uint64_t first, uint64_t last) SB_MUST_USE;

/* sb_rpc_log_filter_bytes: the memory of its addresses and topics. */
size_t sb_rpc_log_filter_bytes(const struct sb_rpc_log_filter *filter);
/* sb_rpc_log_filter_clone: a copy in one allocation of its own, freed with free(). NULL: no memory. */
struct sb_rpc_log_filter *
sb_rpc_log_filter_clone(const struct sb_rpc_log_filter *filter) SB_MUST_USE;

#endif
