/* proof.c: walks down a proof node by node; see proof.h. */
#include "tests/support/proof.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"

struct walk {
    const sb_bytes *nodes;
    size_t node_count;
    size_t used;
    sb_bytes key;
    size_t depth;   /* nibbles of the key behind us */
    sb_bytes node;  /* RLP of the node we stand on */
    sb_bytes value; /* of the leaf, when present */
    enum proof_verdict verdict;
};

static uint8_t key_nibble(sb_bytes key, size_t i)
{
    return i % 2 == 0 ? key.data[i / 2] >> 4 : key.data[i / 2] & 15;
}

/* step_to: go to the node that a reference names; false when the proof does not have it. */
static bool step_to(struct walk *walk, const struct sb_rlp_item *ref)
{
    if (ref->kind == SB_RLP_LIST) {
        walk->node = ref->raw;
        return ref->raw.len < 32;
    }
    if (ref->payload.len != 32 || walk->used == walk->node_count) {
        return false;
    }
    sb_bytes next = walk->nodes[walk->used++];
    sb_hash hash = sb_keccak256(next);
    walk->node = next;
    return memcmp(hash.b, ref->payload.data, 32) == 0;
}

/* end_with: the walk is over; *ret_more tells the caller. */
static bool end_with(struct walk *walk, enum proof_verdict verdict, bool *ret_more)
{
    walk->verdict = verdict;
    *ret_more = false;
    return true;
}

static bool step_branch(struct walk *walk, const struct sb_rlp_item *items, bool *ret_more)
{
    if (walk->depth >= 2 * walk->key.len) {
        return false;
    }
    const struct sb_rlp_item *child = &items[key_nibble(walk->key, walk->depth)];
    if (child->kind == SB_RLP_STRING && child->payload.len == 0) {
        return end_with(walk, PROOF_ABSENT, ret_more);
    }
    walk->depth++;
    return step_to(walk, child);
}

static bool step_short(struct walk *walk, const struct sb_rlp_item *items, bool *ret_more)
{
    sb_bytes path = items[0].payload;
    if (items[0].kind != SB_RLP_STRING || path.len == 0 || path.data[0] >> 4 > 3) {
        return false;
    }
    bool leaf = (path.data[0] & 0x20) != 0, odd = (path.data[0] & 0x10) != 0;
    size_t count = 2 * (path.len - 1) + (odd ? 1 : 0), left = 2 * walk->key.len - walk->depth;
    bool same = leaf ? count == left : count <= left;
    for (size_t i = 0; same && i < count; i++) {
        same = key_nibble(path, i + (odd ? 1 : 2)) == key_nibble(walk->key, walk->depth + i);
    }
    if (!same) {
        return end_with(walk, PROOF_ABSENT, ret_more);
    }
    walk->depth += count;
    if (leaf) {
        walk->value = items[1].payload;
        return items[1].kind == SB_RLP_STRING && end_with(walk, PROOF_PRESENT, ret_more);
    }
    return step_to(walk, &items[1]);
}

static bool step(struct walk *walk, bool *ret_more)
{
    struct sb_rlp in = sb_rlp_open(walk->node), list;
    struct sb_rlp_item items[17];
    size_t count = 0;
    if (sb_rlp_read_list(&list, &in) != SB_OK || sb_rlp_end(&in) != SB_OK) {
        return false;
    }
    while (count < 17 && !sb_rlp_done(&list)) {
        if (sb_rlp_read_item(&items[count++], &list) != SB_OK) {
            return false;
        }
    }
    if (!sb_rlp_done(&list) || (count != 17 && count != 2)) {
        return false;
    }
    return count == 17 ? step_branch(walk, items, ret_more) : step_short(walk, items, ret_more);
}

enum proof_verdict proof_verify(sb_bytes *ret_value, const sb_hash *root, sb_bytes key,
                                const sb_bytes *nodes, size_t node_count)
{
    if (node_count == 0) {
        return sb_hash_equal(root, &sb_hash_empty_trie) ? PROOF_ABSENT : PROOF_INVALID;
    }
    struct walk walk = {.nodes = nodes, .node_count = node_count, .key = key};
    const struct sb_rlp_item top = {.kind = SB_RLP_STRING, .payload = sb_span(root->b, 32)};
    if (!step_to(&walk, &top)) {
        return PROOF_INVALID;
    }
    bool more = true;
    while (more) { /* ends: each step consumes a node of the proof or part of the one before */
        if (!step(&walk, &more)) {
            return PROOF_INVALID;
        }
    }
    if (walk.used != node_count) {
        return PROOF_INVALID;
    }
    *ret_value = walk.value;
    return walk.verdict;
}
