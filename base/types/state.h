/* state.h: the seam between execution (vm) and storage: a read view and a diff.
 *
 *      storage, a test, an overlay          vm/exec                            storage
 *      +-----------------+   reads    +---------------+   struct sb_state_diff   +--------+
 *      | sb_state_view   | ---------> | overlay + evm | ------------------------> | commit |
 *      +-----------------+            +---------------+                          +--------+
 *
 * A view is one immutable version of the state; it answers the same for as long as it lives. vm never learns roots and storage
 * never learns opcodes. The state is a pure function of the chain, so a view fails only when the environment does (I/O, damage). */
#ifndef SB_BASE_TYPES_STATE_H
#define SB_BASE_TYPES_STATE_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

/* An account as execution sees it. An absent account reads as all zero with code_hash = keccak256(""). */
struct sb_account {
    uint64_t nonce;
    sb_u256 balance;   /* wei */
    sb_hash code_hash; /* keccak256 of the code */
    bool has_storage;  /* some slot is non-zero (EIP-7610: a create address must have none) */
};

/* Read view. Every function returns SB_OK or a failure of the environment (SB_E_IO, SB_E_CORRUPT, SB_E_NOMEM); absence is not a
 * failure. Functions of one view are called from one thread at a time. */
struct sb_state_view {
    void *ctx;

    /* account: *ret_exists says whether the account is in the state; *ret_account is filled in both cases. */
    sb_err (*account)(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                      bool *ret_exists);

    /* storage: value of a slot (key big-endian as in the EVM); zero when absent. */
    sb_err (*storage)(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value);

    /* code: bytes whose keccak256 is code_hash; empty for keccak256(""). Valid as long as the view. Unknown hash: SB_E_CORRUPT. */
    sb_err (*code)(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code);

    /* blob: content-addressed bytes (model chunks) by sha2-256 digest. Valid as long as the view. Absent: data == NULL, len 0. */
    sb_err (*blob)(void *ctx, const sb_hash *id, sb_bytes *ret_data);

    /* block_hash: hash of block `number`, zero when it is not one of the 256 before the block being executed. */
    sb_err (*block_hash)(void *ctx, uint64_t number, sb_hash *ret_hash);
};

struct sb_slot_diff {
    sb_hash key;   /* big-endian slot number */
    sb_u256 value; /* new value; zero removes the slot */
};

struct sb_account_diff {
    sb_addr addr;
    bool exists; /* false: the account and all of its storage are gone; the fields below are zero */
    bool
        storage_cleared; /* drop all older storage before `slots` apply (re-created within the block) */
    bool code_changed; /* `code` holds the new code */
    uint64_t nonce;
    sb_u256 balance;
    sb_hash code_hash;
    sb_bytes code;
    const struct sb_slot_diff *slots; /* slot_count entries, ascending by key, only changed ones */
    size_t slot_count;
};

struct sb_blob_diff {
    sb_hash id;    /* sha2-256 of data */
    bool exists;   /* false: the blob is released */
    sb_bytes data; /* content when exists */
};

/* What a block (or a transaction) changed. Borrowed memory: valid as long as the arena that it was built in. */
struct sb_state_diff {
    const struct sb_account_diff
        *accounts; /* ascending by address, only accounts that differ from the view */
    size_t account_count;
    const struct sb_blob_diff *blobs; /* ascending by id */
    size_t blob_count;
};

#endif
