/* merkle.h: the tree of RFC 6962 with Keccak-256, which commits to a list: parts of a block, inferences of a block.
 *
 *              root                     A tree of n leaves splits into the largest power of two below n, and the rest.
 *             /    \                    The same tree level by level: neighbours are joined, a last one without neighbour
 *          01|ab    c                   moves up as it is.
 *          /    \
 *      a=00|x0  b=00|x1   c=00|x2
 *
 * Spec: docs/spec/consensus-block.md, section 8. Pure; nothing here allocates. */
#ifndef SB_BASE_TYPES_MERKLE_H
#define SB_BASE_TYPES_MERKLE_H

#include "base/types/hash.h"
#include "base/util/span.h"

/* sb_merkle_leaf: keccak256(0x00 || item). */
sb_hash sb_merkle_leaf(sb_bytes item);

/* sb_merkle_fold: the next level of the tree from `width` > 0 nodes, in place; returns its width. The root is what is left when the
 * width is 1. */
uint32_t sb_merkle_fold(sb_hash *level, uint32_t width);

/* A leaf's way to the root: the siblings from the leaf upwards; a level without sibling has no entry. */
struct sb_merkle_path {
    uint32_t index, count;   /* of the leaf; leaves in all */
    const sb_hash *siblings; /* borrowed */
    uint32_t depth;          /* siblings */
};

/* sb_merkle_climb: from a leaf to the root that the path gives it, in place; false (the node is then of no use) when the path has
 * another number of siblings than index and count ask for. Any path is safe to ask about. A root of its own does not bind count: some
 * paths fit trees of several sizes, so whoever relies on the count must know it otherwise. */
bool sb_merkle_climb(sb_hash *io_node, const struct sb_merkle_path *path);

#endif
