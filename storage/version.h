/* version.h: committed versions of the state, and reads of it at the head or some blocks before.
 *
 *     commit N-1 --> version N-1      views of block N-1 ... keep their version (a snapshot and the history of 128 blocks)
 *     commit N   --> version N   <--- the store's newest
 *
 * A version is immutable and counted; it dies with its last view. Reading a family at an older block asks the history first
 * (history.h), then the snapshot. */
#ifndef SB_STORAGE_VERSION_H
#define SB_STORAGE_VERSION_H

#include <stdatomic.h>

#include "storage/flat.h"
#include "storage/history.h"
#include "storage/store.h"
#include "storage/trie.h"

struct sb_version {
    atomic_uint refs;
    struct sb_db *db;
    struct sb_db_snapshot *snapshot;
    struct sb_store_head head;
    size_t block_count; /* diffs of blocks head - block_count + 1 .. head, in this order: */
    struct sb_history_block *blocks[]; /* each counted */
};

/* sb_version_new: version at the newest state of db; takes a count on each block. NULL when out of memory. */
struct sb_version *sb_version_new(struct sb_db *db, const struct sb_store_head *head,
                                  struct sb_history_block *const *blocks, size_t block_count);
struct sb_version *sb_version_ref(struct sb_version *version);
void sb_version_unref(struct sb_version *version);

/* The state after block `number` of a version; number from head - block_count to head. */
struct sb_state_at {
    const struct sb_version *version;
    uint64_t number;
};

/* A value of a state family. found false: absent. Free with sb_db_value_free(&value.holder). */
struct sb_state_value {
    bool found;
    sb_bytes bytes;
    struct sb_db_value holder;
};
sb_err sb_state_get(struct sb_state_value *ret_value, const struct sb_state_at *at,
                    enum sb_family family, sb_bytes key) SB_MUST_USE;

/* The only key of ACCOUNT or SLOT that begins with prefix (0 or 32 bytes) and then path. */
struct sb_state_leaf {
    uint8_t key[64]; /* prefix and rest */
    struct sb_state_value value;
};
/* SB_E_CORRUPT when there is none. */
sb_err sb_state_find_leaf(struct sb_state_leaf *ret_leaf, const struct sb_state_at *at,
                          enum sb_family family, sb_bytes prefix,
                          const struct sb_nibbles *path) SB_MUST_USE;

/* Cache of trie records as the head has them; see trie_cache.h. */
struct sb_trie_cache;

/* The account trie, or the storage trie of one account, of a state: context of a struct sb_trie_reader. */
struct sb_state_trie {
    struct sb_state_at at;
    bool is_storage;
    uint8_t account[32];         /* keccak256 of the address, when is_storage */
    struct sb_trie_cache *cache; /* NULL, or the cache when `at` is the head */
    struct sb_state_value held;  /* backs the last answer */
    struct sb_state_leaf leaf;
    uint8_t leaf_value[SB_FLAT_ACCOUNT_BYTES_MAX];
    uint8_t record[SB_TRIE_RECORD_BYTES_MAX];
};
void sb_state_trie_init(struct sb_state_trie *trie, const struct sb_state_at *at,
                        const sb_hash *account, struct sb_trie_cache *cache);
void sb_state_trie_fini(struct sb_state_trie *trie);
struct sb_trie_reader sb_state_trie_reader(struct sb_state_trie *trie);

/* Key of a trie record: [account] and one byte a nibble, so that records sort by path and parents come before children. */
#define SB_TRIE_KEY_BYTES_MAX (32 + SB_NIBBLES_MAX)
size_t sb_trie_key(uint8_t ret[SB_TRIE_KEY_BYTES_MAX], const uint8_t *account,
                   const struct sb_nibbles *path);

#endif
