/* subtree.h: pieces of a state that travel from a node that has it to one that has only its root: requests, answers, and their check.
 *
 *      request   which trie (accounts, or the storage of one account), and a path in it; or a code, or a blob, by its hash
 *      answer    NODE    the extension and branch at the path, when much lies below          --> up to 16 requests more
 *                LEAVES  all keys below the path with their flat records, when little does   --> the records below are built from them
 *                CONTENT the bytes of a code or a blob
 *
 * What stands at a path is named by its parent (at last: by the state root of a verified header), so every answer is checked on
 * arrival, alone, against that reference: whoever sent a wrong one is known at once. A NODE carries no word about which of its children
 * are leaves, since its hash would not cover it; the answers for the children tell.
 *
 *      request = [kind, hash, path]              hash: of the account, the code or the blob; empty for ACCOUNTS; path: one byte a nibble
 *      answer  = [1, trie record, leaf mask 0]   (trie_node.h)
 *              | [2, [[key, record], ...]]       keys whole (32 bytes), ascending; records as in flat.h
 *              | [3, content]
 *
 * Pure. Decoding is strict and bounded by SB_SUBTREE_ANSWER_BYTES_MAX. Spec: docs/spec/state-sync.md, sections 2 and 3. */
#ifndef SB_STORAGE_SUBTREE_H
#define SB_STORAGE_SUBTREE_H

#include "base/util/arena.h"
#include "base/util/buf.h"
#include "storage/trie_node.h"

/* Longest encoded answer, and longest request. */
#define SB_SUBTREE_ANSWER_BYTES_MAX  ((size_t)1 << 20)
#define SB_SUBTREE_REQUEST_BYTES_MAX 128
/* What a server puts into one answer of leaves, before it answers with the node instead. */
#define SB_SUBTREE_LEAVES_BYTES ((size_t)96 << 10)

enum sb_subtree_kind {
    SB_SUBTREE_ACCOUNTS = 1,
    SB_SUBTREE_STORAGE = 2,
    SB_SUBTREE_CODE = 3,
    SB_SUBTREE_BLOB = 4,
};

struct sb_subtree_request {
    enum sb_subtree_kind kind;
    sb_hash
        hash; /* STORAGE: keccak256 of the address; CODE: keccak256; BLOB: sha2-256; else zero */
    struct sb_nibbles path; /* of tries; else empty */
};

void sb_subtree_request_encode(struct sb_buf *out, const struct sb_subtree_request *request);
/* sb_subtree_request_decode: strict: encode gives these very bytes. The errors of the RLP reader; SB_E_RANGE, SB_E_SHAPE. */
sb_err sb_subtree_request_decode(struct sb_subtree_request *ret_request, sb_bytes raw) SB_MUST_USE;
bool sb_subtree_request_equal(const struct sb_subtree_request *a,
                              const struct sb_subtree_request *b);

/* One key of the flat state: borrowed from the answer. */
struct sb_subtree_leaf {
    sb_bytes key;    /* 32 bytes */
    sb_bytes record; /* of an account or a slot */
};

void sb_subtree_answer_node(struct sb_buf *out, const struct sb_trie_node *node);
void sb_subtree_answer_leaves(struct sb_buf *out, const struct sb_subtree_leaf *leaves,
                              size_t count);
void sb_subtree_answer_content(struct sb_buf *out, sb_bytes content);

/* A trie record that follows from leaves. */
struct sb_subtree_record {
    struct sb_nibbles path;
    sb_bytes bytes;
};

/* An answer that is what the reference names. */
struct sb_subtree {
    bool is_node;
    struct sb_trie_node node; /* is_node; its leaf mask is 0 */
    const struct sb_subtree_leaf *leaves;
    size_t leaf_count; /* 1: the path leads to a leaf, and there is no record */
    const struct sb_subtree_record
        *records; /* ascending by path; the first is at the request's path */
    size_t record_count;
    sb_bytes content;
};

/* sb_subtree_check: decode an answer and compare it with the reference by which the requested place is named (at the empty path: the
 * root, len 32; of CODE and BLOB it is not looked at: the request's hash names them). Spans borrow from the answer and the arena.
 * SB_E_REFUSED: it is not what was asked for, diag says why; SB_E_NOMEM. */
sb_err sb_subtree_check(struct sb_subtree *ret_subtree, struct sb_arena *arena,
                        const struct sb_subtree_request *request,
                        const struct sb_trie_ref *expected, sb_bytes answer,
                        struct sb_diag *diag) SB_MUST_USE;

#endif
