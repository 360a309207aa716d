/* stack_trie.h: root of a Merkle Patricia Trie from keys in ascending order, in memory proportional to the depth.
 *
 * The reference for every root in the project: transactions, receipts, the state rebuilt by `samebit verify`, state tests. Only the
 * right-most path of the trie is open at a time; whatever lies left of the newest key is final and is hashed at once
 * (Yellow Paper, appendix D). Keys are whole bytes, strictly ascending (a key may be a prefix of a later one); values not empty. */
#ifndef SB_BASE_CRYPTO_STACK_TRIE_H
#define SB_BASE_CRYPTO_STACK_TRIE_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

struct sb_stack_trie;

/* sb_stack_trie_new: an empty builder, owned by the caller; NULL when out of memory. */
struct sb_stack_trie *sb_stack_trie_new(void);
void sb_stack_trie_free(struct sb_stack_trie *trie);
/* sb_stack_trie_add: next key. SB_E_ARG if it is not above the last one or the value is empty; SB_E_LIMIT for keys over 64 bytes or
 * values over 64 MiB; SB_E_NOMEM, after which the builder is only good for freeing. */
sb_err sb_stack_trie_add(struct sb_stack_trie *trie, sb_bytes key, sb_bytes value) SB_MUST_USE;
/* sb_stack_trie_root: finish and return the root; the builder is empty again afterwards. */
sb_err sb_stack_trie_root(sb_hash *ret_root, struct sb_stack_trie *trie) SB_MUST_USE;

#endif
