/* subtree.c: forms and check of the pieces of a state; see subtree.h.
 *
 * Leaves are put into an empty trie by the code that commits use (trie.h). That trie begins at the root, so its top record stands at the
 * empty path with all that the keys share as its extension; cut at the request's path it is the record of that place:
 *
 *      request path  a 7            trie of the leaves alone:  "" --ext a 7 3 c--> branch
 *      keys          a 7 3 c ...    cut:                       a 7 --ext 3 c--> branch          all records below stay what they are */
#include "storage/subtree.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/sha256_portable.h"
#include "base/util/assert.h"
#include "storage/flat.h"
#include "storage/trie.h"

#define ANSWER_NODE    1
#define ANSWER_LEAVES  2
#define ANSWER_CONTENT 3
#define KEY_BYTES      32

/* ---- requests ---- */

static bool has_path(enum sb_subtree_kind kind)
{
    return kind == SB_SUBTREE_ACCOUNTS || kind == SB_SUBTREE_STORAGE;
}

void sb_subtree_request_encode(struct sb_buf *out, const struct sb_subtree_request *request)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, (uint64_t)request->kind);
    sb_rlp_put_bytes(out, sb_span(request->hash.b, request->kind == SB_SUBTREE_ACCOUNTS ? 0 : 32));
    sb_rlp_put_bytes(out, sb_span(request->path.at, request->path.count));
    sb_rlp_list_end(out, mark);
}

sb_err sb_subtree_request_decode(struct sb_subtree_request *ret_request, sb_bytes raw)
{
    struct sb_subtree_request request = {.path.count = 0};
    struct sb_rlp in = sb_rlp_open(raw), fields;
    uint64_t kind;
    sb_bytes hash, path;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_end(&in));
    SB_TRY(sb_rlp_read_u64(&kind, &fields));
    SB_TRY(sb_rlp_read_bytes(&hash, &fields, 32));
    SB_TRY(sb_rlp_read_bytes(&path, &fields, SB_NIBBLES_MAX));
    SB_TRY(sb_rlp_end(&fields));
    if (kind < SB_SUBTREE_ACCOUNTS || kind > SB_SUBTREE_BLOB) {
        return SB_E_RANGE;
    }
    request.kind = (enum sb_subtree_kind)kind;
    if (hash.len != (request.kind == SB_SUBTREE_ACCOUNTS ? 0 : 32) ||
        (path.len != 0 && !has_path(request.kind))) {
        return SB_E_SHAPE;
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] > 15) {
            return SB_E_RANGE;
        }
    }
    sb_copy(request.hash.b, hash.data, hash.len);
    bool fits = sb_nibbles_add(&request.path, path.data, path.len);
    SB_ASSERT(fits);
    *ret_request = request;
    return SB_OK;
}

bool sb_subtree_request_equal(const struct sb_subtree_request *a,
                              const struct sb_subtree_request *b)
{
    return a->kind == b->kind && sb_hash_equal(&a->hash, &b->hash) &&
           sb_span_equal(sb_span(a->path.at, a->path.count), sb_span(b->path.at, b->path.count));
}

/* ---- answers ---- */

void sb_subtree_answer_node(struct sb_buf *out, const struct sb_trie_node *node)
{
    uint8_t record[SB_TRIE_RECORD_BYTES_MAX];
    struct sb_trie_node plain = *node;
    plain.leaf_mask = 0;
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, ANSWER_NODE);
    sb_rlp_put_bytes(out, sb_span(record, sb_trie_node_encode(record, &plain)));
    sb_rlp_list_end(out, mark);
}

void sb_subtree_answer_leaves(struct sb_buf *out, const struct sb_subtree_leaf *leaves,
                              size_t count)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, ANSWER_LEAVES);
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        size_t pair = sb_rlp_list_begin(out);
        sb_rlp_put_bytes(out, leaves[i].key);
        sb_rlp_put_bytes(out, leaves[i].record);
        sb_rlp_list_end(out, pair);
    }
    sb_rlp_list_end(out, list);
    sb_rlp_list_end(out, mark);
}

void sb_subtree_answer_content(struct sb_buf *out, sb_bytes content)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, ANSWER_CONTENT);
    sb_rlp_put_bytes(out, content);
    sb_rlp_list_end(out, mark);
}

/* ---- check ---- */

struct check {
    struct sb_subtree subtree;
    struct sb_arena *arena;
    const struct sb_subtree_request *request;
    struct sb_diag *diag;
    struct sb_trie_ref ref; /* of what the answer holds */
};

static sb_err refused(const struct check *check, const char *why)
{
    return sb_fail(check->diag, SB_E_REFUSED, "%s", why);
}

/* ref_of: how the parent names a node; what stands at the empty path is always hashed. */
static struct sb_trie_ref ref_of(const struct check *check, sb_bytes rlp)
{
    struct sb_trie_ref ref = sb_trie_ref_of(rlp);
    if (check->request->path.count == 0 && ref.len < 32) {
        sb_hash hash = sb_keccak256(rlp);
        ref.len = 32;
        memcpy(ref.bytes, hash.b, 32);
    }
    return ref;
}

static sb_err check_node(struct check *check, struct sb_rlp *fields)
{
    sb_bytes record;
    struct sb_trie_node node;
    if (sb_rlp_read_bytes(&record, fields, SB_TRIE_RECORD_BYTES_MAX) != SB_OK ||
        sb_trie_node_decode(&node, record) != SB_OK || node.leaf_mask != 0) {
        return refused(check, "the node does not decode");
    }
    if (check->request->path.count + node.ext.count >= SB_NIBBLES_MAX) {
        return refused(check, "the node lies deeper than keys are long");
    }
    check->ref = sb_trie_node_ref(&node, check->request->path.count == 0);
    check->subtree.is_node = true;
    check->subtree.node = node;
    return SB_OK;
}

/* leaf_value: what stands in the trie for a flat record. */
static sb_err leaf_value(sb_bytes *ret_value, struct check *check, sb_bytes record)
{
    uint8_t leaf[SB_FLAT_ACCOUNT_BYTES_MAX];
    size_t len;
    if (check->request->kind == SB_SUBTREE_STORAGE) {
        if (sb_flat_slot_leaf(leaf, &len, record) != SB_OK) {
            return refused(check, "a slot record does not decode");
        }
    } else {
        struct sb_flat_account account;
        if (sb_flat_account_decode(&account, record) != SB_OK) {
            return refused(check, "an account record does not decode");
        }
        len = sb_flat_account_leaf(leaf, &account);
    }
    const uint8_t *copy = sb_arena_dup(check->arena, sb_span(leaf, len));
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret_value = sb_span(copy, len);
    return SB_OK;
}

static sb_err leaf_read(struct sb_subtree_leaf *ret_leaf, struct sb_trie_update *ret_update,
                        struct check *check, struct sb_rlp *list, sb_bytes before)
{
    struct sb_rlp pair;
    sb_bytes key, record;
    if (sb_rlp_read_list(&pair, list) != SB_OK ||
        sb_rlp_read_bytes(&key, &pair, KEY_BYTES) != SB_OK || key.len != KEY_BYTES ||
        sb_rlp_read_bytes(&record, &pair, SB_FLAT_ACCOUNT_BYTES_MAX) != SB_OK ||
        sb_rlp_end(&pair) != SB_OK) {
        return refused(check, "a leaf does not decode");
    }
    if (!sb_nibbles_prefix_key(&check->request->path, key)) {
        return refused(check, "a key lies at another place");
    }
    if (before.len != 0 && memcmp(key.data, before.data, KEY_BYTES) <= 0) {
        return refused(check, "the keys are not in order");
    }
    *ret_leaf = (struct sb_subtree_leaf){.key = key, .record = record};
    *ret_update = (struct sb_trie_update){.key = key, .existed = false};
    return leaf_value(&ret_update->value, check, record);
}

/* The trie of the leaves is read from nowhere. */
static sb_err no_record(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_record)
{
    (void)ctx;
    (void)path;
    (void)ret_record;
    return SB_E_CORRUPT;
}

static sb_err no_leaf(void *ctx, const struct sb_nibbles *path, sb_bytes *ret_key,
                      sb_bytes *ret_value)
{
    (void)ret_key;
    return no_record(ctx, path, ret_value);
}

struct collector {
    struct check *check;
    struct sb_subtree_record *records;
    size_t count;
};

static sb_err collect(void *ctx, const struct sb_nibbles *path, sb_bytes new_record,
                      sb_bytes old_record)
{
    (void)old_record;
    struct collector *collector = ctx;
    const uint8_t *copy = sb_arena_dup(collector->check->arena, new_record);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    collector->records[collector->count++] =
        (struct sb_subtree_record){.path = *path, .bytes = sb_span(copy, new_record.len)};
    return SB_OK;
}

/* top_cut: the top record moves from the empty path to the request's. */
static sb_err top_cut(struct check *check, struct sb_subtree_record *top)
{
    const struct sb_nibbles *path = &check->request->path;
    struct sb_trie_node node;
    sb_err err = sb_trie_node_decode(&node, top->bytes);
    SB_ASSERT(err == SB_OK && top->path.count == 0 && node.ext.count >= path->count);
    struct sb_nibbles ext = {.count = 0};
    bool fits = sb_nibbles_add(&ext, node.ext.at + path->count, node.ext.count - path->count);
    SB_ASSERT(fits);
    node.ext = ext;
    uint8_t *bytes = sb_arena_alloc(check->arena, SB_TRIE_RECORD_BYTES_MAX);
    if (bytes == NULL) {
        return SB_E_NOMEM;
    }
    *top = (struct sb_subtree_record){.path = *path,
                                      .bytes = sb_span(bytes, sb_trie_node_encode(bytes, &node))};
    check->ref = sb_trie_node_ref(&node, path->count == 0);
    return SB_OK;
}

static sb_err records_build(struct check *check, const struct sb_trie_update *updates, size_t count)
{
    static const struct sb_trie_reader nothing = {.record = no_record, .leaf = no_leaf};
    /* n leaves have at most n - 1 branches above them */
    struct collector collector = {
        .check = check, .records = sb_arena_array(check->arena, count, sizeof *collector.records)};
    if (collector.records == NULL) {
        return SB_E_NOMEM;
    }
    const struct sb_trie_writer writer = {.ctx = &collector, .record = collect};
    sb_hash unused;
    SB_TRY(sb_trie_update(&unused, check->arena, &nothing, &writer, &sb_hash_empty_trie, updates,
                          count));
    check->subtree.records = collector.records;
    check->subtree.record_count = collector.count;
    return top_cut(check, &collector.records[0]);
}

static sb_err check_leaves(struct check *check, struct sb_rlp *fields)
{
    struct sb_rlp list;
    size_t count;
    if (sb_rlp_read_list(&list, fields) != SB_OK ||
        sb_rlp_count(&count, &list, SB_SUBTREE_ANSWER_BYTES_MAX / KEY_BYTES) != SB_OK) {
        return refused(check, "the leaves do not decode");
    }
    if (count == 0) {
        return refused(check, "no leaves");
    }
    struct sb_subtree_leaf *leaves = sb_arena_array(check->arena, count, sizeof *leaves);
    struct sb_trie_update *updates = sb_arena_array(check->arena, count, sizeof *updates);
    if (leaves == NULL || updates == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        sb_bytes before = i != 0 ? leaves[i - 1].key : sb_span(NULL, 0);
        SB_TRY(leaf_read(&leaves[i], &updates[i], check, &list, before));
    }
    check->subtree.leaves = leaves;
    check->subtree.leaf_count = count;
    if (count > 1) {
        return records_build(check, updates, count);
    }
    uint8_t rlp[16 + 2 * KEY_BYTES + SB_FLAT_ACCOUNT_BYTES_MAX];
    SB_ASSERT(sb_trie_leaf_rlp_max(updates[0].value.len) <= sizeof rlp);
    size_t len =
        sb_trie_leaf_rlp(rlp, updates[0].key, check->request->path.count, updates[0].value);
    check->ref = ref_of(check, sb_span(rlp, len));
    return SB_OK;
}

static sb_err check_content(struct check *check, struct sb_rlp *fields)
{
    sb_bytes content;
    if (sb_rlp_read_bytes(&content, fields, SB_SUBTREE_ANSWER_BYTES_MAX) != SB_OK) {
        return refused(check, "the content does not decode");
    }
    sb_hash hash = check->request->kind == SB_SUBTREE_CODE ? sb_keccak256(content)
                                                           : sb_sha256_portable(content);
    if (!sb_hash_equal(&hash, &check->request->hash)) {
        return refused(check, "the content has another hash");
    }
    check->subtree.content = content;
    return SB_OK;
}

static sb_err check_trie(struct check *check, struct sb_rlp *fields, uint64_t form,
                         const struct sb_trie_ref *expected)
{
    if (form != ANSWER_NODE && form != ANSWER_LEAVES) {
        return refused(check, "an answer of another form than was asked for");
    }
    SB_TRY(form == ANSWER_NODE ? check_node(check, fields) : check_leaves(check, fields));
    if (check->ref.len != expected->len ||
        memcmp(check->ref.bytes, expected->bytes, expected->len) != 0) {
        return refused(check, "the answer does not hash to what its parent names");
    }
    return SB_OK;
}

sb_err sb_subtree_check(struct sb_subtree *ret_subtree, struct sb_arena *arena,
                        const struct sb_subtree_request *request,
                        const struct sb_trie_ref *expected, sb_bytes answer, struct sb_diag *diag)
{
    struct check check = {.arena = arena, .request = request, .diag = diag};
    struct sb_rlp in = sb_rlp_open(answer), fields;
    uint64_t form;
    if (answer.len > SB_SUBTREE_ANSWER_BYTES_MAX || sb_rlp_read_list(&fields, &in) != SB_OK ||
        sb_rlp_end(&in) != SB_OK || sb_rlp_read_u64(&form, &fields) != SB_OK) {
        return refused(&check, "the answer does not decode");
    }
    if (has_path(request->kind)) {
        SB_TRY(check_trie(&check, &fields, form, expected));
    } else if (form == ANSWER_CONTENT) {
        SB_TRY(check_content(&check, &fields));
    } else {
        return refused(&check, "an answer of another form than was asked for");
    }
    if (sb_rlp_end(&fields) != SB_OK) {
        return refused(&check, "the answer does not decode");
    }
    *ret_subtree = check.subtree;
    return SB_OK;
}
