/* block_part.c: the Merkle tree over the parts of an encoded block; see consensus.h. Spec: docs/spec/consensus-block.md, section 8.
 *
 *              root                     RFC 6962: a tree of n leaves splits into the largest power of two below n, and the rest.
 *             /    \                    The same tree level by level: neighbours are joined, a last one without neighbour
 *          01|ab    c                   moves up as it is.
 *          /    \
 *      a=00|p0  b=00|p1   c=00|p2 */
#include "base/crypto/keccak.h"
#include "base/types/consensus.h"
#include "base/util/assert.h"

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

static sb_hash hash_leaf(sb_bytes part)
{
    uint8_t prefix = LEAF_PREFIX;
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(&prefix, 1));
    sb_keccak_update(&k, part);
    return sb_keccak_final(&k);
}

static sb_hash hash_node(const sb_hash *left, const sb_hash *right)
{
    uint8_t message[1 + 2 * sizeof(sb_hash)] = {NODE_PREFIX};
    memcpy(message + 1, left->b, sizeof left->b);
    memcpy(message + 1 + sizeof left->b, right->b, sizeof right->b);
    return sb_keccak256(sb_span(message, sizeof message));
}

uint32_t sb_part_count(size_t block_bytes)
{
    if (block_bytes > SB_CONSENSUS_BLOCK_BYTES_MAX) {
        return 0;
    }
    return (uint32_t)((block_bytes + SB_PART_BYTES - 1) / SB_PART_BYTES);
}

static void hash_leaves(sb_hash ret[SB_PARTS_MAX], sb_bytes block, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ret[i] = hash_leaf(sb_span_slice(block, i * SB_PART_BYTES, SB_PART_BYTES));
    }
}

/* fold: the next level of the tree, in place; returns its width. */
static uint32_t fold(sb_hash *level, uint32_t width)
{
    for (uint32_t i = 0; i + 1 < width; i += 2) {
        level[i / 2] = hash_node(&level[i], &level[i + 1]);
    }
    if (width % 2 == 1) {
        level[width / 2] = level[width - 1];
    }
    return width / 2 + width % 2;
}

sb_err sb_parts_root(sb_hash *ret_root, sb_bytes block)
{
    sb_hash level[SB_PARTS_MAX];
    uint32_t width = sb_part_count(block.len);
    if (width == 0) {
        return SB_E_SHAPE;
    }
    hash_leaves(level, block, width);
    while (width > 1) {
        width = fold(level, width);
    }
    *ret_root = level[0];
    return SB_OK;
}

sb_err sb_part_tree_make(struct sb_part_tree *ret_tree, sb_bytes block)
{
    uint32_t width = sb_part_count(block.len);
    if (width == 0) {
        return SB_E_SHAPE;
    }
    ret_tree->count = width;
    sb_hash *level = ret_tree->nodes;
    hash_leaves(level, block, width);
    while (width > 1) {
        sb_hash *next = level + width;
        memcpy(next, level, width * sizeof *level);
        width = fold(next, width);
        level = next;
    }
    return SB_OK;
}

struct sb_part_proof sb_part_tree_prove(const struct sb_part_tree *tree, uint32_t index)
{
    SB_ASSERT(index < tree->count);
    struct sb_part_proof proof = {.index = index, .count = tree->count};
    const sb_hash *level = tree->nodes;
    for (uint32_t width = tree->count; width > 1; width = width / 2 + width % 2) {
        uint32_t sibling = index ^ 1;
        if (sibling < width) {
            proof.siblings[proof.depth++] = level[sibling];
        }
        level += width;
        index /= 2;
    }
    return proof;
}

sb_err sb_part_prove(struct sb_part_proof *ret_proof, sb_bytes block, uint32_t index)
{
    struct sb_part_tree tree;
    SB_TRY(sb_part_tree_make(&tree, block));
    if (index >= tree.count) {
        return SB_E_RANGE;
    }
    *ret_proof = sb_part_tree_prove(&tree, index);
    return SB_OK;
}

bool sb_part_verify(const struct sb_part_proof *proof, sb_bytes part, const sb_hash *root)
{
    if (proof->count == 0 || proof->count > SB_PARTS_MAX || proof->index >= proof->count ||
        part.len == 0 || part.len > SB_PART_BYTES || proof->depth > SB_PART_PROOF_DEPTH_MAX) {
        return false;
    }
    sb_hash node = hash_leaf(part);
    uint8_t used = 0;
    uint32_t index = proof->index;
    for (uint32_t width = proof->count; width > 1; width = width / 2 + width % 2) {
        if ((index ^ 1) < width) {
            if (used == proof->depth) {
                return false;
            }
            const sb_hash *sibling = &proof->siblings[used++];
            node = index % 2 == 0 ? hash_node(&node, sibling) : hash_node(sibling, &node);
        }
        index /= 2;
    }
    return used == proof->depth && sb_hash_equal(&node, root);
}
