/* trie.h: the Merkle Patricia Trie of the state: root updates and proofs over records, without a database.
 *
 *     sorted updates          records on the touched paths                        changed records
 *     (key -> value)  ----->  loaded, changed in memory, hashed level by level ---> writer, and the new root
 *                                   ^                  ^
 *                              reader.record      reader.leaf (only where a leaf must move)
 *
 * The trie is kept as records by path (trie_node.h); leaves are the flat state of the caller. Keys are whole bytes, at most 32, and
 * prefix-free (the state's are all 32 bytes long: keccak256 of an address or slot). Values are what stands in the leaf: RLP of the
 * account or of the slot's integer.
 *
 * Invariants: the root depends only on the set of (key, value); a record exists exactly where the trie has a branch (reached
 * directly or through an extension), so equal states have equal records. Pure: no I/O but through the tables. Loops are bounded by
 * the 64 nibbles of a key. */
#ifndef SB_STORAGE_TRIE_H
#define SB_STORAGE_TRIE_H

#include "base/util/arena.h"
#include "storage/trie_node.h"

/* One version of a trie to read. Spans need to stay valid only until the next call. */
struct sb_trie_reader {
    void *ctx;
    /* record: the record at path; *ret_record empty when there is none. */
    sb_err (*record)(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_record);
    /* leaf: the one key below path that this version has, and its value. SB_E_CORRUPT when there is none. */
    sb_err (*leaf)(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_key,
                   sb_bytes *ret_value);
};

struct sb_trie_writer {
    void *ctx;
    /* record: the record at path becomes new_record (empty: removed); before it was old_record (empty: absent). Called in ascending
     * order of path, once for a path. */
    sb_err (*record)(void *ctx, const struct sb_nibbles *path, sb_bytes new_record,
                     sb_bytes old_record);
};

struct sb_trie_update {
    sb_bytes key;
    sb_bytes value; /* empty: the key is removed */
    bool existed;   /* the version read has the key */
};

/* sb_trie_update: apply updates (one for a key, any order; ascending is fastest) to the trie with root old_root.
 * Scratch comes from the arena; the caller may rewind it afterwards.
 * SB_E_CORRUPT when records, leaves and `existed` contradict each other; SB_E_ARG for keys that are not prefix-free or over 32 bytes. */
sb_err sb_trie_update(sb_hash *ret_root, struct sb_arena *arena,
                      const struct sb_trie_reader *reader, const struct sb_trie_writer *writer,
                      const sb_hash *old_root, const struct sb_trie_update *updates,
                      size_t update_count) SB_MUST_USE;

/* sb_trie_prove: the RLP of the nodes from the root towards key, in the arena. Presence ends in the key's leaf; absence in an empty
 * child, another leaf or another extension. Nodes embedded in their parent are not listed apart. Each node is checked against the
 * reference that leads to it: SB_E_CORRUPT. An empty trie has no nodes. */
sb_err sb_trie_prove(const sb_bytes **ret_nodes, size_t *ret_count, struct sb_arena *arena,
                     const struct sb_trie_reader *reader, const sb_hash *root,
                     sb_bytes key) SB_MUST_USE;

#endif
