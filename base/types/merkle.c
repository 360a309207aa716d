/* merkle.c: leaves, levels and paths of the RFC 6962 tree; see merkle.h. */
#include "base/types/merkle.h"

#include "base/crypto/keccak.h"

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

sb_hash sb_merkle_leaf(sb_bytes item)
{
    uint8_t prefix = LEAF_PREFIX;
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(&prefix, 1));
    sb_keccak_update(&k, item);
    return sb_keccak_final(&k);
}

static sb_hash hash_node(const sb_hash *left, const sb_hash *right)
{
    uint8_t message[1 + 2 * sizeof(sb_hash)] = {NODE_PREFIX};
    memcpy(message + 1, left->b, sizeof left->b);
    memcpy(message + 1 + sizeof left->b, right->b, sizeof right->b);
    return sb_keccak256(sb_span(message, sizeof message));
}

uint32_t sb_merkle_fold(sb_hash *level, uint32_t width)
{
    for (uint32_t i = 0; i + 1 < width; i += 2) {
        level[i / 2] = hash_node(&level[i], &level[i + 1]);
    }
    if (width % 2 == 1) {
        level[width / 2] = level[width - 1];
    }
    return width / 2 + width % 2;
}

bool sb_merkle_climb(sb_hash *io_node, const struct sb_merkle_path *path)
{
    if (path->index >= path->count) {
        return false;
    }
    uint32_t used = 0;
    uint32_t index = path->index;
    for (uint32_t width = path->count; width > 1; width = width / 2 + width % 2) {
        if ((index ^ 1) < width) {
            if (used == path->depth) {
                return false;
            }
            const sb_hash *sibling = &path->siblings[used++];
            *io_node = index % 2 == 0 ? hash_node(io_node, sibling) : hash_node(sibling, io_node);
        }
        index /= 2;
    }
    return used == path->depth;
}
