/* memo.h: results of inferences by what determines them, so that a repeat is free in time (never in gas: gas is charged before).
 *
 *     key = keccak256(model id, engine version, function, canonical input)        value = output bytes
 *
 *     bucket[hash(key) ^ seed] -> entry -> entry ...      and one list by time of last use; the oldest leaves when bytes run out
 *
 * Invariants: the sum of the held bytes never passes bytes_max; equality is the full 32-byte key; the process-wide seed only picks
 * buckets. A miss, an eviction or a memo that is off never changes a result. One mutex inside: every function may be called
 * from any thread. The owner (the node) creates it; the engine keeps no globals. */
#ifndef SB_VM_TENSOR_MEMO_H
#define SB_VM_TENSOR_MEMO_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

struct sb_memo;

struct sb_memo_stats {
    uint64_t hit_count;
    uint64_t miss_count;
    uint64_t evict_count;
    uint64_t entry_count; /* held now */
    uint64_t bytes;       /* held now, bookkeeping included */
};

/* sb_memo_new: an empty memo that holds at most bytes_max. seed: random per process. NULL if memory is refused. */
struct sb_memo *sb_memo_new(size_t bytes_max, uint64_t seed);
void sb_memo_free(struct sb_memo *memo);

/* sb_memo_key: model_id is the 32-byte id; function tells apart the ways to call one model (e.g. the ABI selector); input parts
 * are hashed each with its length in front, so that no two different lists of parts share a key. */
sb_hash sb_memo_key(const sb_hash *model_id, uint32_t function, const sb_bytes *parts,
                    size_t part_count);

/* sb_memo_get: copy the value into ret_value. true on a hit of exactly value_len bytes; a NULL memo is always a miss. */
bool sb_memo_get(uint8_t *ret_value, size_t value_len, struct sb_memo *memo, const sb_hash *key);

/* sb_memo_peek: sb_memo_get for somebody whose questions must leave no mark: nothing is counted, and the entry gets no older or younger. */
bool sb_memo_peek(uint8_t *ret_value, size_t value_len, struct sb_memo *memo, const sb_hash *key);

/* sb_memo_put: remember a value; does nothing if it is larger than a quarter of the memo, memory is refused or memo is NULL. */
void sb_memo_put(struct sb_memo *memo, const sb_hash *key, sb_bytes value);

struct sb_memo_stats sb_memo_stats(struct sb_memo *memo);

#endif
