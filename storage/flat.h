/* flat.h: the account and slot records of the flat state, and the values that stand for them in the tries.
 *
 *     account record  rlp([nonce, balance, storage root, code hash]); the empty trie and keccak256("") as the empty string ("slim")
 *     account leaf    the same list with both hashes written out (Yellow Paper 4.1)
 *     slot record     the integer, big-endian, without leading zeros, 1 to 32 bytes; a zero slot has no record
 *     slot leaf       rlp of that string */
#ifndef SB_STORAGE_FLAT_H
#define SB_STORAGE_FLAT_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

struct sb_flat_account {
    uint64_t nonce;
    sb_u256 balance;
    sb_hash storage_root;
    sb_hash code_hash;
};

/* list header (2), nonce (9), balance (33), two hashes (66) = SB_ACCOUNT_LEAF_BYTES_MAX */
#define SB_FLAT_ACCOUNT_BYTES_MAX 110
#define SB_FLAT_SLOT_BYTES_MAX    33

/* Each encode returns the length. */
size_t sb_flat_account_encode(uint8_t ret[SB_FLAT_ACCOUNT_BYTES_MAX],
                              const struct sb_flat_account *account);
size_t sb_flat_account_leaf(uint8_t ret[SB_FLAT_ACCOUNT_BYTES_MAX],
                            const struct sb_flat_account *account);
/* sb_flat_account_decode: strict inverse of encode; SB_E_CORRUPT. */
sb_err sb_flat_account_decode(struct sb_flat_account *ret_account, sb_bytes record) SB_MUST_USE;

size_t sb_flat_slot_encode(uint8_t ret[SB_FLAT_SLOT_BYTES_MAX], const sb_u256 *value);
/* sb_flat_slot_leaf: of a record; SB_E_CORRUPT when the record is not one. */
sb_err sb_flat_slot_leaf(uint8_t ret[SB_FLAT_SLOT_BYTES_MAX], size_t *ret_len,
                         sb_bytes record) SB_MUST_USE;
sb_err sb_flat_slot_decode(sb_u256 *ret_value, sb_bytes record) SB_MUST_USE;

#endif
