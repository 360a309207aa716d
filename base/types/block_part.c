/* block_part.c: the Merkle tree (merkle.h) over the parts of an encoded block; see consensus.h. Spec: docs/spec/consensus-block.md,
 * section 8. */
#include "base/types/consensus.h"
#include "base/types/merkle.h"
#include "base/util/assert.h"

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
        ret[i] = sb_merkle_leaf(sb_span_slice(block, i * SB_PART_BYTES, SB_PART_BYTES));
    }
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
        width = sb_merkle_fold(level, width);
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
        width = sb_merkle_fold(next, width);
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
    if (proof->count > SB_PARTS_MAX || part.len == 0 || part.len > SB_PART_BYTES ||
        proof->depth > SB_PART_PROOF_DEPTH_MAX) {
        return false;
    }
    sb_hash node = sb_merkle_leaf(part);
    return sb_merkle_climb(&node, &(struct sb_merkle_path){.index = proof->index,
                                                           .count = proof->count,
                                                           .siblings = proof->siblings,
                                                           .depth = proof->depth}) &&
           sb_hash_equal(&node, root);
}
