/* filters.h: the filters that HTTP clients poll (eth_newFilter and its relatives), and the ring of recent pending transactions.
 *
 * A filter keeps only what was asked and how far it was read; changes are computed when it is polled, so an idle filter costs nothing
 * as the chain grows. A filter that nobody polls expires. Ids are 128 random bits: nobody can guess another's. Thread-safe. */
#ifndef SB_RPC_FILTERS_H
#define SB_RPC_FILTERS_H

#include "rpc/logs.h"

/* Pending hashes that are remembered: a filter polled later than that many transactions misses some. */
#define SB_RPC_PENDING_RING 8192

struct sb_rpc_filters;

enum sb_rpc_filter_kind { SB_RPC_FILTER_LOGS, SB_RPC_FILTER_BLOCKS, SB_RPC_FILTER_PENDING };

typedef struct sb_rpc_filter_id {
    uint8_t b[16];
} sb_rpc_filter_id;

sb_err sb_rpc_filters_new(struct sb_rpc_filters **ret_filters, uint32_t count_max,
                          uint32_t expiry_s) SB_MUST_USE;
void sb_rpc_filters_free(struct sb_rpc_filters *filters);

/* sb_rpc_filters_add: head is the last block that the client knows. criteria (LOGS only) is taken over, also on failure.
 * SB_E_LIMIT when there are too many, SB_E_NOMEM, SB_E_IO without random numbers. */
sb_err sb_rpc_filters_add_take(struct sb_rpc_filters *filters, sb_rpc_filter_id *ret_id,
                               enum sb_rpc_filter_kind kind, struct sb_rpc_log_filter *criteria,
                               uint64_t head, uint64_t now_ms) SB_MUST_USE;
/* sb_rpc_filters_remove: false when there is no such filter. */
bool sb_rpc_filters_remove(struct sb_rpc_filters *filters, const sb_rpc_filter_id *id);

/* What a poll has to look at. */
struct sb_rpc_filter_poll {
    enum sb_rpc_filter_kind kind;
    struct sb_rpc_log_filter *criteria; /* a clone for the caller to free; NULL unless LOGS */
    uint64_t first_block;               /* blocks from here on are new */
    uint64_t first_pending;             /* pending transactions from this number on are new */
};

/* sb_rpc_filters_poll: the filter's state; it lives on for another expiry time. SB_E_NOT_FOUND, SB_E_NOMEM. */
sb_err sb_rpc_filters_poll(struct sb_rpc_filters *filters, struct sb_rpc_filter_poll *ret_poll,
                           const sb_rpc_filter_id *id, uint64_t now_ms) SB_MUST_USE;
/* sb_rpc_filters_advance: the caller has shown all before these. Never moves back; harmless for an unknown id. */
void sb_rpc_filters_advance(struct sb_rpc_filters *filters, const sb_rpc_filter_id *id,
                            uint64_t next_block, uint64_t next_pending);
/* sb_rpc_filters_expire: drop the filters that were not polled in time. */
void sb_rpc_filters_expire(struct sb_rpc_filters *filters, uint64_t now_ms);

/* sb_rpc_pending_add: a transaction entered the pool; numbers count from 0. */
void sb_rpc_pending_add(struct sb_rpc_filters *filters, const sb_hash *tx_hash);
/* sb_rpc_pending_read: copy remembered hashes from number `first` on, at most capacity. Returns how many; *ret_next is the number to
 * go on with. */
size_t sb_rpc_pending_read(struct sb_rpc_filters *filters, sb_hash *ret_hashes, uint64_t *ret_next,
                           size_t capacity, uint64_t first);
/* sb_rpc_pending_next: the number that the next transaction will have. */
uint64_t sb_rpc_pending_next(struct sb_rpc_filters *filters);

#endif
