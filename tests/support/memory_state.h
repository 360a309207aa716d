/* memory_state.h: the whole state of a small chain in memory, for tests and runners: a read view, diffs applied, a root.
 *
 *     set_account, set_slot ...  -->  +--------------+  -->  sb_state_view (what execution reads)
 *     apply(diff)                -->  | memory_state |  -->  root (stack trie over every account: independent of storage)
 *                                     +--------------+
 *
 * Accounts and slots are kept in ascending order, in arrays with binary search: right for thousands of entries. It is the tests'
 * own second opinion on storage, so it shares nothing with it. Running out of memory aborts the test. Not thread-safe. */
#ifndef SB_TESTS_SUPPORT_MEMORY_STATE_H
#define SB_TESTS_SUPPORT_MEMORY_STATE_H

#include <stdio.h>

#include "base/types/state.h"

struct sb_memory_state;

/* sb_memory_state_new: empty state, owned by the caller. */
struct sb_memory_state *sb_memory_state_new(void);
void sb_memory_state_free(struct sb_memory_state *s);
/* sb_memory_state_reset: empty again, memory kept. Views and spans handed out before are dead. */
void sb_memory_state_reset(struct sb_memory_state *s);
/* sb_memory_state_copy: make `to` equal to `from`. */
void sb_memory_state_copy(struct sb_memory_state *to, const struct sb_memory_state *from);

/* sb_memory_state_view: reads the present contents; valid until the next change. */
struct sb_state_view sb_memory_state_view(struct sb_memory_state *s);

/* Setters replace; the code is copied. set_slot creates the account; zero removes the slot. */
void sb_memory_state_set_account(struct sb_memory_state *s, const sb_addr *addr, uint64_t nonce,
                                 const sb_u256 *balance, sb_bytes code);
void sb_memory_state_set_slot(struct sb_memory_state *s, const sb_addr *addr, const sb_hash *key,
                              const sb_u256 *value);
void sb_memory_state_remove(struct sb_memory_state *s, const sb_addr *addr);
/* sb_memory_state_set_blob: data is copied. */
void sb_memory_state_set_blob(struct sb_memory_state *s, const sb_hash *id, sb_bytes data);
/* sb_memory_state_set_block_hash: what the view answers for a block number; zero for all others. */
void sb_memory_state_set_block_hash(struct sb_memory_state *s, uint64_t number,
                                    const sb_hash *hash);

/* sb_memory_state_apply: change the state as a block's diff says. */
void sb_memory_state_apply(struct sb_memory_state *s, const struct sb_state_diff *diff);

/* sb_memory_state_root: root of the account trie (Yellow Paper 4.1), computed from scratch. */
sb_hash sb_memory_state_root(const struct sb_memory_state *s);

/* Reading back. An account by place, ascending by address; index < account_count. Its slots likewise. */
size_t sb_memory_state_account_count(const struct sb_memory_state *s);
void sb_memory_state_account_at(const struct sb_memory_state *s, size_t index, sb_addr *ret_addr,
                                struct sb_account *ret_account, sb_bytes *ret_code,
                                size_t *ret_slot_count);
void sb_memory_state_slot_at(const struct sb_memory_state *s, size_t account_index,
                             size_t slot_index, sb_hash *ret_key, sb_u256 *ret_value);

/* sb_memory_state_print_differences: a line for each account field and slot in which `actual` is not as `expected`. */
void sb_memory_state_print_differences(FILE *out, const struct sb_memory_state *expected,
                                       const struct sb_memory_state *actual);

#endif
