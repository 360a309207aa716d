/* state_root.h: leaves of the state tries and the root of a whole state (Yellow Paper 4.1).
 *
 *   state trie:    keccak256(address) -> rlp([nonce, balance, storage root, code hash])
 *   storage trie:  keccak256(slot)    -> rlp(value)                                           zero values are absent
 *
 * The reference for storage's incremental trie: state tests, genesis and `samebit verify` use it. */
#ifndef SB_BASE_TYPES_STATE_ROOT_H
#define SB_BASE_TYPES_STATE_ROOT_H

#include "base/crypto/stack_trie.h"
#include "base/types/state.h"

#define SB_ACCOUNT_LEAF_BYTES_MAX 110
#define SB_SLOT_LEAF_BYTES_MAX    33

/* sb_account_leaf: the value of a leaf of the state trie; returns its length. */
size_t sb_account_leaf(uint8_t ret[SB_ACCOUNT_LEAF_BYTES_MAX], uint64_t nonce,
                       const sb_u256 *balance, const sb_hash *storage_root,
                       const sb_hash *code_hash);
/* sb_slot_leaf: the value of a leaf of a storage trie; value is not zero. Returns its length. */
size_t sb_slot_leaf(uint8_t ret[SB_SLOT_LEAF_BYTES_MAX], const sb_u256 *value);

/* sb_storage_root: root of a storage trie. Slots come in any order, keys distinct; zero values are left out.
 * SB_E_NOMEM; SB_E_ARG for a key given twice. */
sb_err sb_storage_root(sb_hash *ret_root, const struct sb_slot_diff *slots,
                       size_t count) SB_MUST_USE;

struct sb_root_account {
    sb_addr addr;
    uint64_t nonce;
    sb_u256 balance;
    sb_hash code_hash;
    sb_hash storage_root; /* sb_hash_empty_trie without storage */
};

/* sb_state_root: root of the state that consists of these accounts, in any order, addresses distinct. Errors as above. */
sb_err sb_state_root(sb_hash *ret_root, const struct sb_root_account *accounts,
                     size_t count) SB_MUST_USE;

/* sb_state_root_diff: root of the state that a diff makes of the empty state. */
sb_err sb_state_root_diff(sb_hash *ret_root, const struct sb_state_diff *diff) SB_MUST_USE;

#endif
