/* stack_trie.c: Merkle Patricia Trie of ascending keys, one pass; see stack_trie.h. Spec: Yellow Paper, appendices C and D.
 *
 *      depth 0   [branch 0]                    branches[0].depth = 0       Branches lie open along the path of the newest key.
 *                  | ...6                                                  Its leaf is `pending`: where it starts is known only
 *      depth 3   [branch 1]                    branches[1].depth = 3       when the next key shows how long the two agree.
 *                  | ...a                                                  Whatever leaves the path is encoded at once and
 *                pending leaf                                              becomes a reference in its parent.
 *
 * depth is the number of nibbles above a branch. Between two branches of the path lies an extension when their depths differ by
 * more than one; it is made when the lower one is closed.
 *
 * A reference is what stands in the parent for a child: the child's encoding when shorter than 32 bytes, else the RLP string of
 * its hash (33 bytes). */
#include "base/crypto/stack_trie.h"

#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"

#define KEY_BYTES_MAX   64
#define PATH_MAX_NIBBLE (2 * KEY_BYTES_MAX)
#define VALUE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define CHILD_COUNT     16
#define REF_BYTES_MAX   33
/* Flag, and 128 nibbles two to a byte. */
#define COMPACT_BYTES_MAX (1 + PATH_MAX_NIBBLE / 2)

struct ref {
    uint8_t len; /* 0: no child */
    uint8_t bytes[REF_BYTES_MAX];
};

struct branch {
    unsigned depth;
    struct ref children[CHILD_COUNT];
    uint8_t *value; /* owned; NULL unless a key ends here */
    size_t value_len;
};

struct sb_stack_trie {
    uint8_t path[PATH_MAX_NIBBLE]; /* nibbles of the newest key */
    unsigned path_len;
    bool has_pending;
    struct sb_buf pending; /* value of the newest key */
    unsigned branch_count;
    struct branch branches[PATH_MAX_NIBBLE + 1]; /* depths ascending, all <= path_len */
};

/* A node's encoding, given piecewise, ends as a reference (or, for the root, as a hash). */
struct node_out {
    bool is_root;
    struct ref ref;
    sb_hash root;
};

struct sb_stack_trie *sb_stack_trie_new(void)
{
    struct sb_stack_trie *trie = calloc(1, sizeof *trie);
    if (trie != NULL) {
        sb_buf_init(&trie->pending, VALUE_BYTES_MAX);
    }
    return trie;
}

static void clear(struct sb_stack_trie *trie)
{
    for (unsigned i = 0; i < trie->branch_count; i++) {
        free(trie->branches[i].value);
    }
    trie->branch_count = 0;
    trie->has_pending = false;
    trie->path_len = 0;
    sb_buf_reset(&trie->pending);
}

void sb_stack_trie_free(struct sb_stack_trie *trie)
{
    if (trie != NULL) {
        clear(trie);
        sb_buf_fini(&trie->pending);
        free(trie);
    }
}

/* emit: the node whose encoding is head || tail. */
static void emit(struct node_out *out, sb_bytes head, sb_bytes tail)
{
    if (!out->is_root && head.len + tail.len < sizeof(sb_hash)) {
        out->ref.len = (uint8_t)(head.len + tail.len);
        sb_copy(out->ref.bytes, head.data, head.len);
        sb_copy(out->ref.bytes + head.len, tail.data, tail.len);
        return;
    }
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, head);
    sb_keccak_update(&k, tail);
    out->root = sb_keccak_final(&k);
    out->ref.len = REF_BYTES_MAX;
    out->ref.bytes[0] = 0x80 + sizeof(sb_hash);
    memcpy(out->ref.bytes + 1, out->root.b, sizeof(sb_hash));
}

/* compact: hex-prefix encoding of nibbles (Yellow Paper, appendix C); returns its length. */
static size_t compact(uint8_t ret[COMPACT_BYTES_MAX], const uint8_t *nibbles, unsigned count,
                      bool is_leaf)
{
    unsigned odd = count & 1;
    ret[0] = (uint8_t)((is_leaf ? 0x20 : 0) | (odd ? 0x10 | nibbles[0] : 0));
    for (unsigned i = odd; i < count; i += 2) {
        ret[1 + i / 2] = (uint8_t)(nibbles[i] << 4 | nibbles[i + 1]);
    }
    return 1 + count / 2;
}

/* put_string: RLP of a short string; returns its length. */
static size_t put_string(uint8_t *ret, sb_bytes string)
{
    size_t header_len = 0;
    if (string.len != 1 || string.data[0] >= 0x80) {
        header_len = sb_rlp_header(ret, SB_RLP_STRING, string.len);
    }
    sb_copy(ret + header_len, string.data, string.len);
    return header_len + string.len;
}

/* emit_pair: the node [compact(path), tail item]. tail_header is what of the item is not in `tail` itself (a string's header). */
static void emit_pair(struct node_out *out, const uint8_t *path, unsigned path_len, bool is_leaf,
                      sb_bytes tail_header, sb_bytes tail)
{
    uint8_t key[COMPACT_BYTES_MAX];
    uint8_t key_item[COMPACT_BYTES_MAX + SB_RLP_HEADER_BYTES_MAX];
    uint8_t head[SB_RLP_HEADER_BYTES_MAX + sizeof key_item + SB_RLP_HEADER_BYTES_MAX];
    size_t key_item_len = put_string(key_item, sb_span(key, compact(key, path, path_len, is_leaf)));
    size_t head_len = sb_rlp_header(head, SB_RLP_LIST, key_item_len + tail_header.len + tail.len);
    memcpy(head + head_len, key_item, key_item_len);
    head_len += key_item_len;
    sb_copy(head + head_len, tail_header.data, tail_header.len);
    emit(out, sb_span(head, head_len + tail_header.len), tail);
}

static void emit_leaf(struct node_out *out, const uint8_t *path, unsigned path_len, sb_bytes value)
{
    uint8_t value_header[SB_RLP_HEADER_BYTES_MAX];
    size_t value_header_len = 0;
    if (value.len != 1 || value.data[0] >= 0x80) {
        value_header_len = sb_rlp_header(value_header, SB_RLP_STRING, value.len);
    }
    emit_pair(out, path, path_len, true, sb_span(value_header, value_header_len), value);
}

static void emit_branch(struct node_out *out, const struct branch *b)
{
    uint8_t items[CHILD_COUNT * REF_BYTES_MAX + SB_RLP_HEADER_BYTES_MAX];
    uint8_t head[SB_RLP_HEADER_BYTES_MAX + sizeof items];
    size_t len = 0;
    for (unsigned i = 0; i < CHILD_COUNT; i++) {
        if (b->children[i].len == 0) {
            items[len++] = 0x80;
        } else {
            memcpy(items + len, b->children[i].bytes, b->children[i].len);
            len += b->children[i].len;
        }
    }
    if (b->value == NULL) {
        items[len++] = 0x80;
    } else if (b->value_len != 1 || b->value[0] >= 0x80) {
        len += sb_rlp_header(items + len, SB_RLP_STRING, b->value_len);
    }
    size_t head_len = sb_rlp_header(head, SB_RLP_LIST, len + b->value_len);
    memcpy(head + head_len, items, len);
    emit(out, sb_span(head, head_len + len), sb_span(b->value, b->value_len));
}

/* take_branch: encode the lowest open branch, with an extension above it when it does not sit directly at path index `from`. */
static void take_branch(struct node_out *out, struct sb_stack_trie *trie, unsigned from)
{
    struct branch *b = &trie->branches[--trie->branch_count];
    unsigned extension_len = b->depth - from;
    struct node_out below = {.is_root = out->is_root && extension_len == 0};
    emit_branch(&below, b);
    free(b->value);
    b->value = NULL;
    if (extension_len == 0) {
        out->ref = below.ref;
        out->root = below.root;
        return;
    }
    emit_pair(out, trie->path + from, extension_len, false, sb_span(NULL, 0),
              sb_span(below.ref.bytes, below.ref.len));
}

static struct branch *open_branch(struct sb_stack_trie *trie, unsigned depth)
{
    SB_ASSERT(trie->branch_count <= PATH_MAX_NIBBLE);
    struct branch *b = &trie->branches[trie->branch_count++];
    *b = (struct branch){.depth = depth};
    return b;
}

/* hang: make ref the child of the branch at depth `parent`, in the direction of the path; the branch is opened if need be. */
static void hang(struct sb_stack_trie *trie, unsigned parent, const struct ref *ref)
{
    if (trie->branch_count == 0 || trie->branches[trie->branch_count - 1].depth < parent) {
        open_branch(trie, parent);
    }
    trie->branches[trie->branch_count - 1].children[trie->path[parent]] = *ref;
}

/* parent_depth: where a node hangs that has `above` open branches above it: in the lowest of them, but not above floor. */
static unsigned parent_depth(const struct sb_stack_trie *trie, unsigned above, unsigned floor)
{
    return above > 0 && trie->branches[above - 1].depth > floor ? trie->branches[above - 1].depth
                                                                : floor;
}

/* settle: close the pending leaf and every branch below depth `floor`, so that a branch at `floor` is the lowest open one. */
static sb_err settle(struct sb_stack_trie *trie, unsigned floor)
{
    if (trie->path_len ==
        floor) { /* the newest key ends where the next one goes on: it becomes the branch's value */
        uint8_t *value = malloc(trie->pending.len);
        if (value == NULL) {
            return SB_E_NOMEM;
        }
        memcpy(value, trie->pending.data, trie->pending.len);
        struct branch *b = open_branch(trie, floor);
        b->value = value;
        b->value_len = trie->pending.len;
        return SB_OK;
    }
    struct node_out out = {.is_root = false};
    unsigned parent = parent_depth(trie, trie->branch_count, floor);
    emit_leaf(&out, trie->path + parent + 1, trie->path_len - parent - 1,
              sb_buf_bytes(&trie->pending));
    hang(trie, parent, &out.ref);
    while (trie->branches[trie->branch_count - 1].depth > floor) {
        parent = parent_depth(trie, trie->branch_count - 1, floor);
        take_branch(&out, trie, parent + 1);
        hang(trie, parent, &out.ref);
    }
    return SB_OK;
}

sb_err sb_stack_trie_add(struct sb_stack_trie *trie, sb_bytes key, sb_bytes value)
{
    if (key.len > KEY_BYTES_MAX || value.len > VALUE_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    if (value.len == 0) {
        return SB_E_ARG;
    }
    uint8_t path[PATH_MAX_NIBBLE];
    unsigned path_len = (unsigned)(2 * key.len);
    for (unsigned i = 0; i < path_len; i += 2) {
        path[i] = key.data[i / 2] >> 4;
        path[i + 1] = key.data[i / 2] & 15;
    }
    if (trie->has_pending) {
        unsigned shared = 0;
        while (shared < trie->path_len && shared < path_len && path[shared] == trie->path[shared]) {
            shared++;
        }
        bool ascends =
            shared < path_len && (shared == trie->path_len || path[shared] > trie->path[shared]);
        if (!ascends) {
            return SB_E_ARG;
        }
        SB_TRY(settle(trie, shared));
    }
    memcpy(trie->path, path, path_len);
    trie->path_len = path_len;
    trie->has_pending = true;
    sb_buf_reset(&trie->pending);
    sb_buf_add(&trie->pending, value.data, value.len);
    return trie->pending.failed ? SB_E_NOMEM : SB_OK;
}

sb_err sb_stack_trie_root(sb_hash *ret_root, struct sb_stack_trie *trie)
{
    if (!trie->has_pending) {
        *ret_root = sb_hash_empty_trie;
        return SB_OK;
    }
    struct node_out out = {.is_root = true};
    if (trie->branch_count == 0) {
        emit_leaf(&out, trie->path, trie->path_len, sb_buf_bytes(&trie->pending));
    } else {
        SB_TRY(settle(trie, trie->branches[0].depth));
        take_branch(&out, trie, 0);
    }
    clear(trie);
    *ret_root = out.root;
    return SB_OK;
}
