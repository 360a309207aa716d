/* trie_node.h: one node of the Merkle Patricia Trie, as a record of the database and as the RLP that is hashed.
 *
 * A record stands for what a path leads to when that is not a leaf: an optional extension and the branch below it. It holds the
 * references of all 16 children, so that a root update and a proof read records only; leaves live in the flat state.
 *
 *     path (key of the record)
 *       |  ext: the nibbles of the extension, usually none
 *       v
 *     +---+---+---+-- ... --+---+     children: none, leaf (content in the flat state) or node (record at path + ext + nibble)
 *     | 0 | 1 | 2 |         | f |
 *     +---+---+---+-- ... --+---+
 *
 *     record = ext_count (1) | ext nibbles, two a byte, high first, last one padded with 0 | child mask (2) | leaf mask (2) |
 *              embedded mask (2) | for each child, ascending: hash (32), or when embedded: length (1), node's RLP (1..31)
 *
 * Masks are big-endian, bit n for nibble n. One record has exactly one encoding. Spec: Yellow Paper, appendix D (nodes, hex-prefix
 * encoding, n(I, i): a node of fewer than 32 bytes stands inside its parent instead of its hash). */
#ifndef SB_STORAGE_TRIE_NODE_H
#define SB_STORAGE_TRIE_NODE_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

#define SB_NIBBLES_MAX 64

/* A path or a part of one: one nibble a byte. */
struct sb_nibbles {
    uint8_t count;
    uint8_t at[SB_NIBBLES_MAX];
};

/* How a parent names a child: keccak256 of its RLP (len 32), or the RLP itself (len 1..31). len 0: not known yet. */
struct sb_trie_ref {
    uint8_t len;
    uint8_t bytes[32];
};

struct sb_trie_node {
    struct sb_nibbles ext;
    uint16_t child_mask; /* at least two bits in a stored node */
    uint16_t leaf_mask;  /* subset of child_mask */
    struct sb_trie_ref refs[16];
};

#define SB_TRIE_RECORD_BYTES_MAX (1 + SB_NIBBLES_MAX / 2 + 6 + 16 * 32)
/* list header (3), 16 hashes with headers, empty value */
#define SB_TRIE_BRANCH_RLP_MAX (3 + 16 * 33 + 1)
/* list header (2), hex-prefix of 64 nibbles with header (34), hash with header */
#define SB_TRIE_EXT_RLP_MAX (2 + 34 + 33)

/* sb_key_nibble: nibble i of a key, the high half of byte 0 first; i < 2 * key length. */
static inline uint8_t sb_key_nibble(const uint8_t *key, size_t i)
{
    return (i & 1) == 0 ? key[i / 2] >> 4 : key[i / 2] & 15;
}

/* sb_nibbles_of_key: the first count nibbles of a key; count <= SB_NIBBLES_MAX. */
struct sb_nibbles sb_nibbles_of_key(const uint8_t *key, size_t count);
/* sb_nibbles_add: append; false, and nothing appended, when the sum is over SB_NIBBLES_MAX. */
bool sb_nibbles_add(struct sb_nibbles *to, const uint8_t *nibbles, size_t count);
/* sb_nibbles_prefix_key: the path is a prefix of the key. */
bool sb_nibbles_prefix_key(const struct sb_nibbles *path, sb_bytes key);

/* sb_trie_node_decode: strict: SB_E_CORRUPT unless encode would give these very bytes. */
sb_err sb_trie_node_decode(struct sb_trie_node *ret_node, sb_bytes record) SB_MUST_USE;
/* sb_trie_node_encode: all references known; returns the length. */
size_t sb_trie_node_encode(uint8_t ret[SB_TRIE_RECORD_BYTES_MAX], const struct sb_trie_node *node);

/* RLP of the nodes; each returns the length. branch: without the extension. ext: over a branch named by ref. */
size_t sb_trie_branch_rlp(uint8_t ret[SB_TRIE_BRANCH_RLP_MAX], const struct sb_trie_node *node);
size_t sb_trie_ext_rlp(uint8_t ret[SB_TRIE_EXT_RLP_MAX], const struct sb_nibbles *ext,
                       const struct sb_trie_ref *ref);
/* sb_trie_leaf_rlp: leaf of the key's nibbles from `depth` on. ret has room for sb_trie_leaf_rlp_max(value.len). */
size_t sb_trie_leaf_rlp(uint8_t *ret, sb_bytes key, size_t depth, sb_bytes value);
static inline size_t sb_trie_leaf_rlp_max(size_t value_len)
{
    return 9 + 34 + 9 + value_len;
}

/* sb_trie_ref_of: how a parent names a node with this RLP. */
struct sb_trie_ref sb_trie_ref_of(sb_bytes rlp);
/* sb_trie_node_ref: how a parent names a node with its extension; the root (at the empty path) is always hashed. */
struct sb_trie_ref sb_trie_node_ref(const struct sb_trie_node *node, bool is_root);

#endif
