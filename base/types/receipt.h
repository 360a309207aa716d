/* receipt.h: logs, blooms and receipts (Yellow Paper 4.3.1, EIP-658, EIP-2718). */
#ifndef SB_BASE_TYPES_RECEIPT_H
#define SB_BASE_TYPES_RECEIPT_H

#include "base/types/hash.h"
#include "base/types/tx.h"
#include "base/util/arena.h"
#include "base/util/buf.h"

typedef struct sb_bloom {
    uint8_t b[256];
} sb_bloom;

#define SB_LOG_TOPICS_MAX 4

struct sb_log {
    sb_addr addr;
    sb_hash topics[SB_LOG_TOPICS_MAX];
    size_t topic_count;
    sb_bytes data; /* borrowed */
};

struct sb_receipt {
    enum sb_tx_type type;
    bool success;
    uint64_t cumulative_gas;
    sb_bloom bloom;
    const struct sb_log *logs;
    size_t log_count;
};

/* sb_bloom_add: set the three bits of an item (address or topic), Yellow Paper eq. 31. */
void sb_bloom_add(sb_bloom *bloom, sb_bytes item);
/* sb_bloom_add_log: address and topics of one log. */
void sb_bloom_add_log(sb_bloom *bloom, const struct sb_log *log);
/* sb_bloom_may_contain: false only if the item was never added. */
bool sb_bloom_may_contain(const sb_bloom *bloom, sb_bytes item);
void sb_bloom_merge(sb_bloom *into, const sb_bloom *from);

/* sb_receipt_encode: append the consensus form (type byte for types 1 to 4, then rlp([status, gas, bloom, logs])). */
void sb_receipt_encode(struct sb_buf *out, const struct sb_receipt *receipt);
/* sb_receipt_decode: strict inverse; log data borrows from raw, lists live in the arena. */
sb_err sb_receipt_decode(struct sb_receipt *ret_receipt, struct sb_arena *arena,
                         sb_bytes raw) SB_MUST_USE;

/* sb_logs_hash: keccak256(rlp(logs)), the value that state tests check. */
sb_err sb_logs_hash(sb_hash *ret_hash, const struct sb_log *logs, size_t log_count) SB_MUST_USE;

#endif
