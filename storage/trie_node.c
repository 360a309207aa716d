/* trie_node.c: records and RLP of trie nodes; formats in trie_node.h. Pure: bytes in, bytes out. */
#include "storage/trie_node.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define HEX_PREFIX_BYTES_MAX (1 + SB_NIBBLES_MAX / 2)

struct sb_nibbles sb_nibbles_of_key(const uint8_t *key, size_t count)
{
    SB_ASSERT(count <= SB_NIBBLES_MAX);
    struct sb_nibbles path = {.count = (uint8_t)count};
    for (size_t i = 0; i < count; i++) {
        path.at[i] = sb_key_nibble(key, i);
    }
    return path;
}

bool sb_nibbles_add(struct sb_nibbles *to, const uint8_t *nibbles, size_t count)
{
    if (count > (size_t)SB_NIBBLES_MAX - to->count) {
        return false;
    }
    sb_copy(to->at + to->count, nibbles, count);
    to->count = (uint8_t)(to->count + count);
    return true;
}

bool sb_nibbles_prefix_key(const struct sb_nibbles *path, sb_bytes key)
{
    if (path->count > 2 * key.len) {
        return false;
    }
    for (size_t i = 0; i < path->count; i++) {
        if (path->at[i] != sb_key_nibble(key.data, i)) {
            return false;
        }
    }
    return true;
}

static unsigned bit_count(uint16_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* A cursor over a record that never passes its end. */
struct record_reader {
    const uint8_t *at;
    size_t left;
};

static const uint8_t *record_take(struct record_reader *in, size_t len)
{
    if (len > in->left) {
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += len;
    in->left -= len;
    return taken;
}

static bool ext_decode(struct sb_nibbles *ret, struct record_reader *in)
{
    const uint8_t *count = record_take(in, 1);
    if (count == NULL || *count >= SB_NIBBLES_MAX) {
        return false;
    }
    const uint8_t *packed = record_take(in, (*count + 1u) / 2);
    if (packed == NULL || ((*count & 1) != 0 && (packed[*count / 2] & 15) != 0)) {
        return false;
    }
    *ret = sb_nibbles_of_key(packed, *count);
    return true;
}

sb_err sb_trie_node_decode(struct sb_trie_node *ret_node, sb_bytes record)
{
    struct record_reader in = {.at = record.data, .left = record.len};
    struct sb_trie_node node = {.child_mask = 0};
    if (!ext_decode(&node.ext, &in)) {
        return SB_E_CORRUPT;
    }
    const uint8_t *masks = record_take(&in, 6);
    if (masks == NULL) {
        return SB_E_CORRUPT;
    }
    node.child_mask = be_load16(masks);
    node.leaf_mask = be_load16(masks + 2);
    uint16_t embedded_mask = be_load16(masks + 4);
    if (bit_count(node.child_mask) < 2 ||
        ((node.leaf_mask | embedded_mask) & ~node.child_mask) != 0) {
        return SB_E_CORRUPT;
    }
    for (unsigned i = 0; i < 16; i++) {
        if ((node.child_mask >> i & 1) == 0) {
            continue;
        }
        size_t len = 32;
        if ((embedded_mask >> i & 1) != 0) {
            const uint8_t *stored_len = record_take(&in, 1);
            if (stored_len == NULL || *stored_len == 0 || *stored_len > 31) {
                return SB_E_CORRUPT;
            }
            len = *stored_len;
        }
        const uint8_t *bytes = record_take(&in, len);
        if (bytes == NULL) {
            return SB_E_CORRUPT;
        }
        node.refs[i].len = (uint8_t)len;
        memcpy(node.refs[i].bytes, bytes, len);
    }
    if (in.left != 0) {
        return SB_E_CORRUPT;
    }
    *ret_node = node;
    return SB_OK;
}

/* pack: nibbles two a byte, high first, the last one padded with 0; returns the bytes. */
static size_t nibbles_pack(uint8_t *ret, const uint8_t *nibbles, size_t count)
{
    for (size_t i = 0; i < count; i += 2) {
        uint8_t low = i + 1 < count ? nibbles[i + 1] : 0;
        ret[i / 2] = (uint8_t)(nibbles[i] << 4 | low);
    }
    return (count + 1) / 2;
}

size_t sb_trie_node_encode(uint8_t ret[SB_TRIE_RECORD_BYTES_MAX], const struct sb_trie_node *node)
{
    SB_ASSERT(node->ext.count < SB_NIBBLES_MAX && bit_count(node->child_mask) >= 2);
    uint8_t *at = ret;
    *at++ = node->ext.count;
    at += nibbles_pack(at, node->ext.at, node->ext.count);
    uint8_t *masks = at;
    at += 6;
    uint16_t embedded_mask = 0;
    for (unsigned i = 0; i < 16; i++) {
        if ((node->child_mask >> i & 1) == 0) {
            continue;
        }
        const struct sb_trie_ref *ref = &node->refs[i];
        SB_ASSERT(ref->len >= 1 && ref->len <= 32);
        if (ref->len < 32) {
            embedded_mask = (uint16_t)(embedded_mask | 1u << i);
            *at++ = ref->len;
        }
        memcpy(at, ref->bytes, ref->len);
        at += ref->len;
    }
    be_store16(masks, node->child_mask);
    be_store16(masks + 2, node->leaf_mask);
    be_store16(masks + 4, embedded_mask);
    return (size_t)(at - ret);
}

static uint8_t *put_ref(uint8_t *at, const struct sb_trie_ref *ref)
{
    SB_ASSERT(ref->len >= 1 && ref->len <= 32);
    if (ref->len == 32) {
        *at++ = 0xa0;
    }
    memcpy(at, ref->bytes, ref->len);
    return at + ref->len;
}

/* list_close: put the list header in front of a payload that was written at ret + room; returns the whole length. */
static size_t list_close(uint8_t *ret, size_t room, size_t payload_len)
{
    uint8_t header[SB_RLP_HEADER_BYTES_MAX];
    size_t header_len = sb_rlp_header(header, SB_RLP_LIST, payload_len);
    memmove(ret + header_len, ret + room, payload_len);
    memcpy(ret, header, header_len);
    return header_len + payload_len;
}

size_t sb_trie_branch_rlp(uint8_t ret[SB_TRIE_BRANCH_RLP_MAX], const struct sb_trie_node *node)
{
    uint8_t *payload = ret + 3, *at = payload;
    for (unsigned i = 0; i < 16; i++) {
        if ((node->child_mask >> i & 1) == 0) {
            *at++ = 0x80;
        } else {
            at = put_ref(at, &node->refs[i]);
        }
    }
    *at++ = 0x80; /* no key ends at a branch: keys are prefix-free */
    return list_close(ret, 3, (size_t)(at - payload));
}

static size_t string_rlp(uint8_t *ret, sb_bytes bytes)
{
    if (bytes.len == 1 && bytes.data[0] < 0x80) {
        ret[0] = bytes.data[0];
        return 1;
    }
    size_t header_len = sb_rlp_header(ret, SB_RLP_STRING, bytes.len);
    sb_copy(ret + header_len, bytes.data, bytes.len);
    return header_len + bytes.len;
}

/* hex_prefix: HP(nibbles, leaf), Yellow Paper appendix C. */
static size_t hex_prefix(uint8_t ret[HEX_PREFIX_BYTES_MAX], const uint8_t *nibbles, size_t count,
                         bool leaf)
{
    uint8_t flag = leaf ? 0x20 : 0;
    size_t odd = count & 1;
    ret[0] = odd != 0 ? (uint8_t)(flag | 0x10 | nibbles[0]) : flag;
    return 1 + nibbles_pack(ret + 1, nibbles + odd, count - odd);
}

size_t sb_trie_ext_rlp(uint8_t ret[SB_TRIE_EXT_RLP_MAX], const struct sb_nibbles *ext,
                       const struct sb_trie_ref *ref)
{
    uint8_t path[HEX_PREFIX_BYTES_MAX];
    size_t path_len = hex_prefix(path, ext->at, ext->count, false);
    uint8_t *payload = ret + 2;
    uint8_t *at = payload + string_rlp(payload, sb_span(path, path_len));
    at = put_ref(at, ref);
    return list_close(ret, 2, (size_t)(at - payload));
}

size_t sb_trie_leaf_rlp(uint8_t *ret, sb_bytes key, size_t depth, sb_bytes value)
{
    struct sb_nibbles nibbles = sb_nibbles_of_key(key.data, 2 * key.len);
    SB_ASSERT(depth <= nibbles.count);
    uint8_t path[HEX_PREFIX_BYTES_MAX];
    size_t path_len = hex_prefix(path, nibbles.at + depth, nibbles.count - depth, true);
    uint8_t *payload = ret + SB_RLP_HEADER_BYTES_MAX, *at = payload;
    at += string_rlp(at, sb_span(path, path_len));
    at += string_rlp(at, value);
    return list_close(ret, SB_RLP_HEADER_BYTES_MAX, (size_t)(at - payload));
}

struct sb_trie_ref sb_trie_ref_of(sb_bytes rlp)
{
    struct sb_trie_ref ref;
    if (rlp.len < 32) {
        ref.len = (uint8_t)rlp.len;
        memcpy(ref.bytes, rlp.data, rlp.len);
    } else {
        sb_hash hash = sb_keccak256(rlp);
        ref.len = 32;
        memcpy(ref.bytes, hash.b, 32);
    }
    return ref;
}

struct sb_trie_ref sb_trie_node_ref(const struct sb_trie_node *node, bool is_root)
{
    uint8_t branch[SB_TRIE_BRANCH_RLP_MAX], ext[SB_TRIE_EXT_RLP_MAX];
    sb_bytes rlp = sb_span(branch, sb_trie_branch_rlp(branch, node));
    if (node->ext.count != 0) {
        struct sb_trie_ref below = sb_trie_ref_of(rlp);
        rlp = sb_span(ext, sb_trie_ext_rlp(ext, &node->ext, &below));
    }
    struct sb_trie_ref ref = sb_trie_ref_of(rlp);
    if (is_root && ref.len < 32) {
        sb_hash hash = sb_keccak256(rlp);
        ref.len = 32;
        memcpy(ref.bytes, hash.b, 32);
    }
    return ref;
}
