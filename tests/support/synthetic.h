/* synthetic.h: a made-up chain for tests of storage: random state changes and blocks that hash as real ones do, all from one seed.
 *
 *     synthetic_next --> diff (applied to the model, too) --> sb_store_root --> synthetic_seal --> sb_store_block
 *
 * Accounts come from a small pool, so that they are created, changed, emptied, removed and created again often; so do slots and
 * blobs. Transactions and receipts are random bytes behind a type byte: storage does not look into them. */
#ifndef SB_TESTS_SUPPORT_SYNTHETIC_H
#define SB_TESTS_SUPPORT_SYNTHETIC_H

#include "storage/store.h"
#include "tests/support/memory_state.h"
#include "tests/support/random.h"

#define SYNTHETIC_ACCOUNTS 48
#define SYNTHETIC_SLOTS    24
#define SYNTHETIC_BLOBS    8

struct synthetic_chain {
    struct sb_random random;
    struct sb_arena arena;         /* what the last diff and block borrow from */
    struct sb_memory_state *model; /* the state after the last diff */
    uint64_t number;               /* of the next block */
    sb_hash parent_hash;
    size_t accounts_a_block; /* most accounts in a diff */
};

void synthetic_init(struct synthetic_chain *chain, uint64_t seed, size_t accounts_a_block);
void synthetic_fini(struct synthetic_chain *chain);
/* synthetic_next: the next block's diff; forgets what the block before borrowed. */
struct sb_state_diff synthetic_next(struct synthetic_chain *chain);
/* synthetic_seal: a block with this state root; the chain moves to the next number. */
struct sb_store_block synthetic_seal(struct synthetic_chain *chain, const sb_hash *state_root);

/* synthetic_addr, synthetic_slot: the pools. */
sb_addr synthetic_addr(size_t index);
sb_hash synthetic_slot(size_t index);
sb_hash synthetic_blob_id(size_t index);

#endif
