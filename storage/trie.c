/* trie.c: root updates in memory on the touched part of the trie, and proofs; see trie.h.
 *
 * An update loads the records on its path as work nodes, changes them, and marks the path up to the top as stale. `top` is a
 * pretended branch whose child 0 is the root, so that the root needs no special cases:
 *
 *     top ---0---> node(path "", ext) ---n---> node(path ext+n, ext') ---> leaf
 *
 * A branch never changes its own path (start + ext): splits and merges only move the border between the extension and the parent.
 * So a work node keeps its children for life, and an unread leaf below it is still the leaf of the version read. Hashing runs over
 * all stale leaves first, then over stale nodes from the deepest start path up; each step hands many messages to Keccak at once. */
#include "storage/trie.h"

#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"

#define KEY_BYTES_MAX (SB_NIBBLES_MAX / 2)
/* Messages hashed together: enough for 8-way kernels with some variety in length, small enough for the first-level cache. */
#define HASH_BATCH 32

struct leaf {
    sb_bytes key;
    sb_bytes value;
};

struct work_node {
    struct sb_trie_node n; /* references of stale children have len 0 */
    struct sb_nibbles path;
    struct work_node *parent;
    unsigned slot;               /* which child of parent this is */
    struct work_node *nodes[16]; /* loaded children that are nodes */
    struct leaf *leaves[16];     /* known children that are leaves */
    sb_bytes old_record;         /* at this path in the version read; empty when none */
    struct sb_trie_ref branch_ref;
    struct work_node *next_stale; /* list of all stale nodes, later of one depth */
    bool stale;
    bool dead;
};

/* A record whose path has no node any more, or a node's new record. */
struct change {
    struct sb_nibbles path;
    sb_bytes new_record;
    sb_bytes old_record;
};

struct dead_record {
    struct sb_nibbles path;
    sb_bytes old_record;
    struct dead_record *next;
};

struct job {
    struct sb_arena *arena;
    const struct sb_trie_reader *reader;
    struct work_node top;
    struct work_node *stale;
    size_t stale_count;
    struct dead_record *dead;
    size_t dead_count;
};

/* ---- loading ---- */

static sb_err bytes_keep(sb_bytes *ret, struct job *job, sb_bytes bytes)
{
    uint8_t *copy = sb_arena_dup(job->arena, bytes);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret = sb_span(copy, bytes.len);
    return SB_OK;
}

static struct work_node *node_new(struct job *job, struct work_node *parent, unsigned slot)
{
    struct work_node *node = sb_arena_zalloc(job->arena, sizeof *node);
    if (node != NULL) {
        node->parent = parent;
        node->slot = slot;
    }
    return node;
}

/* child_path: where the child `slot` of a node begins. */
static sb_err child_path(struct sb_nibbles *ret, const struct job *job,
                         const struct work_node *parent, unsigned slot)
{
    struct sb_nibbles path = parent->path;
    if (parent != &job->top) {
        uint8_t nibble = (uint8_t)slot;
        if (!sb_nibbles_add(&path, parent->n.ext.at, parent->n.ext.count) ||
            !sb_nibbles_add(&path, &nibble, 1)) {
            return SB_E_CORRUPT;
        }
    }
    *ret = path;
    return SB_OK;
}

static sb_err node_load(struct work_node **ret, struct job *job, struct work_node *parent,
                        unsigned slot)
{
    if (parent->nodes[slot] != NULL) {
        *ret = parent->nodes[slot];
        return SB_OK;
    }
    struct work_node *node = node_new(job, parent, slot);
    if (node == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(child_path(&node->path, job, parent, slot));
    sb_bytes record;
    SB_TRY(job->reader->record(job->reader->ctx, &node->path, &record));
    if (record.len == 0) {
        return SB_E_CORRUPT;
    }
    SB_TRY(sb_trie_node_decode(&node->n, record));
    SB_TRY(bytes_keep(&node->old_record, job, record));
    parent->nodes[slot] = node;
    *ret = node;
    return SB_OK;
}

static sb_err leaf_load(struct leaf **ret, struct job *job, struct work_node *parent, unsigned slot)
{
    if (parent->leaves[slot] != NULL) {
        *ret = parent->leaves[slot];
        return SB_OK;
    }
    struct sb_nibbles path;
    SB_TRY(child_path(&path, job, parent, slot));
    sb_bytes key, value;
    SB_TRY(job->reader->leaf(job->reader->ctx, &path, &key, &value));
    if (key.len > KEY_BYTES_MAX || value.len == 0 || !sb_nibbles_prefix_key(&path, key)) {
        return SB_E_CORRUPT;
    }
    struct leaf *leaf = sb_arena_alloc(job->arena, sizeof *leaf);
    if (leaf == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(bytes_keep(&leaf->key, job, key));
    SB_TRY(bytes_keep(&leaf->value, job, value));
    parent->leaves[slot] = leaf;
    *ret = leaf;
    return SB_OK;
}

/* ---- changing ---- */

static void node_mark_stale(struct job *job, struct work_node *node)
{
    if (!node->stale && node != &job->top) {
        node->stale = true;
        node->next_stale = job->stale;
        job->stale = node;
        job->stale_count++;
    }
}

/* path_mark_stale: child `slot` of node changed, so its reference and all above are to be computed anew. */
static void path_mark_stale(struct job *job, struct work_node *node, unsigned slot)
{
    while (node != NULL) {
        node->n.refs[slot].len = 0;
        node_mark_stale(job, node);
        slot = node->slot;
        node = node->parent;
    }
}

static sb_err record_kill(struct job *job, const struct work_node *node)
{
    if (node->old_record.len == 0) {
        return SB_OK;
    }
    struct dead_record *dead = sb_arena_alloc(job->arena, sizeof *dead);
    if (dead == NULL) {
        return SB_E_NOMEM;
    }
    *dead =
        (struct dead_record){.path = node->path, .old_record = node->old_record, .next = job->dead};
    job->dead = dead;
    job->dead_count++;
    return SB_OK;
}

static void child_set_leaf(struct work_node *node, unsigned slot, struct leaf *leaf)
{
    uint16_t bit = (uint16_t)(1u << slot);
    node->n.child_mask |= bit;
    node->n.leaf_mask |= bit;
    node->n.refs[slot].len = 0;
    node->leaves[slot] = leaf;
    node->nodes[slot] = NULL;
}

static void child_set_node(struct work_node *node, unsigned slot, struct work_node *child)
{
    uint16_t bit = (uint16_t)(1u << slot);
    node->n.child_mask |= bit;
    node->n.leaf_mask &= (uint16_t)~bit;
    node->n.refs[slot].len = 0;
    node->leaves[slot] = NULL;
    node->nodes[slot] = child;
    child->parent = node;
    child->slot = slot;
}

/* node_collapse: a branch with one child left is not a branch: the child takes its place in the parent. */
static sb_err node_collapse(struct job *job, struct work_node *node)
{
    unsigned last = (unsigned)__builtin_ctz(node->n.child_mask);
    struct work_node *parent = node->parent;
    if ((node->n.leaf_mask >> last & 1) != 0) {
        struct leaf *leaf;
        SB_TRY(leaf_load(&leaf, job, node, last));
        SB_TRY(record_kill(job, node));
        child_set_leaf(parent, node->slot, leaf);
    } else {
        struct work_node *child;
        SB_TRY(node_load(&child, job, node, last));
        SB_TRY(record_kill(job, child));
        struct sb_nibbles ext = node->n.ext;
        uint8_t nibble = (uint8_t)last;
        if (!sb_nibbles_add(&ext, &nibble, 1) ||
            !sb_nibbles_add(&ext, child->n.ext.at, child->n.ext.count)) {
            return SB_E_CORRUPT;
        }
        child->n.ext = ext;
        child->path = node->path;
        child->old_record = node->old_record;
        child_set_node(parent, node->slot, child);
        node_mark_stale(job, child);
    }
    node->dead = true;
    path_mark_stale(job, parent, node->slot);
    return SB_OK;
}

static sb_err leaf_remove(struct job *job, struct work_node *parent, unsigned slot)
{
    uint16_t keep = (uint16_t) ~(1u << slot);
    parent->n.child_mask &= keep;
    parent->n.leaf_mask &= keep;
    parent->leaves[slot] = NULL;
    path_mark_stale(job, parent, slot);
    if (parent != &job->top && __builtin_popcount(parent->n.child_mask) == 1) {
        return node_collapse(job, parent);
    }
    return SB_OK;
}

static sb_err leaf_insert(struct job *job, struct work_node *parent, unsigned slot,
                          const struct sb_trie_update *update)
{
    struct leaf *leaf = sb_arena_alloc(job->arena, sizeof *leaf);
    if (leaf == NULL) {
        return SB_E_NOMEM;
    }
    *leaf = (struct leaf){.key = update->key, .value = update->value};
    child_set_leaf(parent, slot, leaf);
    path_mark_stale(job, parent, slot);
    return SB_OK;
}

/* leaf_split: two keys meet where one leaf was: a branch takes its place, with an extension for what both share beyond `depth`. */
static sb_err leaf_split(struct job *job, struct work_node *parent, unsigned slot, size_t depth,
                         const struct sb_trie_update *update)
{
    struct leaf *other = parent->leaves[slot];
    size_t end = 2 * (update->key.len < other->key.len ? update->key.len : other->key.len);
    size_t fork = depth;
    while (fork < end &&
           sb_key_nibble(update->key.data, fork) == sb_key_nibble(other->key.data, fork)) {
        fork++;
    }
    if (fork >= end) {
        return SB_E_ARG;
    }
    struct work_node *node = node_new(job, parent, slot);
    if (node == NULL) {
        return SB_E_NOMEM;
    }
    node->path = sb_nibbles_of_key(update->key.data, depth);
    struct sb_nibbles whole = sb_nibbles_of_key(update->key.data, fork);
    bool fits = sb_nibbles_add(&node->n.ext, whole.at + depth, fork - depth);
    SB_ASSERT(fits);
    child_set_leaf(node, sb_key_nibble(other->key.data, fork), other);
    child_set_node(parent, slot, node);
    return leaf_insert(job, node, sb_key_nibble(update->key.data, fork), update);
}

/* ext_split: the key leaves the extension of `node` after `common` nibbles: a new branch takes its place, the old one moves down. */
static sb_err ext_split(struct job *job, struct work_node *node, size_t depth, size_t common,
                        const struct sb_trie_update *update)
{
    struct work_node *fork = node_new(job, node->parent, node->slot);
    if (fork == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_nibbles ext = node->n.ext;
    fork->path = node->path;
    fork->old_record = node->old_record;
    node->old_record = sb_span(NULL, 0);
    bool fits = sb_nibbles_add(&fork->n.ext, ext.at, common) &&
                sb_nibbles_add(&node->path, ext.at, common + 1);
    if (!fits) {
        return SB_E_CORRUPT;
    }
    node->n.ext.count = 0;
    fits = sb_nibbles_add(&node->n.ext, ext.at + common + 1, ext.count - common - 1);
    SB_ASSERT(fits);
    child_set_node(node->parent, node->slot, fork);
    child_set_node(fork, ext.at[common], node);
    node_mark_stale(job, node);
    return leaf_insert(job, fork, sb_key_nibble(update->key.data, depth + common), update);
}

static sb_err leaf_apply(struct job *job, struct work_node *parent, unsigned slot, size_t depth,
                         const struct sb_trie_update *update)
{
    struct leaf *leaf = parent->leaves[slot];
    /* An unread leaf here is the only key below this path in the version read; if the update's key existed, it is that one. */
    bool same = leaf != NULL ? sb_span_equal(leaf->key, update->key) : update->existed;
    if (same) {
        return update->value.len == 0 ? leaf_remove(job, parent, slot)
                                      : leaf_insert(job, parent, slot, update);
    }
    if (update->existed) {
        return SB_E_CORRUPT;
    }
    if (update->value.len == 0) {
        return SB_OK;
    }
    SB_TRY(leaf_load(&leaf, job, parent, slot));
    if (sb_span_equal(leaf->key, update->key)) {
        return SB_E_CORRUPT;
    }
    return leaf_split(job, parent, slot, depth, update);
}

static sb_err update_apply(struct job *job, const struct sb_trie_update *update)
{
    if (update->key.len == 0 || update->key.len > KEY_BYTES_MAX) {
        return SB_E_ARG;
    }
    size_t key_nibbles = 2 * update->key.len;
    struct work_node *parent = &job->top;
    unsigned slot = 0;
    size_t depth = 0;
    for (;;) { /* ends: depth grows on each turn and is bounded by the key */
        if ((parent->n.child_mask >> slot & 1) == 0) {
            if (update->existed) {
                return SB_E_CORRUPT;
            }
            return update->value.len == 0 ? SB_OK : leaf_insert(job, parent, slot, update);
        }
        if ((parent->n.leaf_mask >> slot & 1) != 0) {
            return leaf_apply(job, parent, slot, depth, update);
        }
        struct work_node *node;
        SB_TRY(node_load(&node, job, parent, slot));
        const struct sb_nibbles *ext = &node->n.ext;
        size_t common = 0;
        while (common < ext->count && depth + common < key_nibbles &&
               ext->at[common] == sb_key_nibble(update->key.data, depth + common)) {
            common++;
        }
        if (depth + common >= key_nibbles) {
            return SB_E_ARG;
        }
        if (common < ext->count) {
            if (update->existed) {
                return SB_E_CORRUPT;
            }
            return update->value.len == 0 ? SB_OK : ext_split(job, node, depth, common, update);
        }
        depth += common;
        parent = node;
        slot = sb_key_nibble(update->key.data, depth);
        depth++;
    }
}

/* ---- hashing ---- */

/* Encoded nodes on their way to Keccak. */
struct batch {
    struct sb_arena *arena;
    struct sb_arena_mark mark;
    size_t count;
    sb_bytes messages[HASH_BATCH];
    struct sb_trie_ref *refs[HASH_BATCH];
};

static void batch_flush(struct batch *batch)
{
    sb_hash hashes[HASH_BATCH];
    sb_keccak256_multi(hashes, batch->messages, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        batch->refs[i]->len = 32;
        memcpy(batch->refs[i]->bytes, hashes[i].b, 32);
    }
    batch->count = 0;
    sb_arena_rewind(batch->arena, batch->mark);
}

/* batch_add: ref becomes the reference of the node with this RLP, now or at the flush. The root is always hashed. */
static void batch_add(struct batch *batch, struct sb_trie_ref *ref, sb_bytes rlp, bool is_root)
{
    if (rlp.len < 32 && !is_root) {
        ref->len = (uint8_t)rlp.len;
        memcpy(ref->bytes, rlp.data, rlp.len);
        return;
    }
    batch->messages[batch->count] = rlp;
    batch->refs[batch->count] = ref;
    batch->count++;
    if (batch->count == HASH_BATCH) {
        batch_flush(batch);
    }
}

static struct batch batch_open(struct job *job)
{
    return (struct batch){.arena = job->arena, .mark = sb_arena_mark(job->arena), .count = 0};
}

static sb_err leaves_hash(struct job *job, struct batch *batch, struct work_node *node)
{
    bool is_top = node == &job->top;
    size_t depth = is_top ? 0 : (size_t)node->path.count + node->n.ext.count + 1;
    for (unsigned i = 0; i < 16; i++) {
        const struct leaf *leaf = node->leaves[i];
        if ((node->n.leaf_mask >> i & 1) == 0 || node->n.refs[i].len != 0) {
            continue;
        }
        SB_ASSERT(leaf != NULL);
        uint8_t *rlp = sb_arena_alloc(job->arena, sb_trie_leaf_rlp_max(leaf->value.len));
        if (rlp == NULL) {
            return SB_E_NOMEM;
        }
        size_t len = sb_trie_leaf_rlp(rlp, leaf->key, depth, leaf->value);
        batch_add(batch, &node->n.refs[i], sb_span(rlp, len), is_top);
    }
    return SB_OK;
}

/* level_hash: references of all stale nodes whose path has one length: branches, then the extensions above them. */
static sb_err level_hash(struct job *job, struct work_node *level)
{
    struct batch batch = batch_open(job);
    for (struct work_node *node = level; node != NULL; node = node->next_stale) {
        uint8_t *rlp = sb_arena_alloc(job->arena, SB_TRIE_BRANCH_RLP_MAX);
        if (rlp == NULL) {
            return SB_E_NOMEM;
        }
        bool has_ext = node->n.ext.count != 0;
        struct sb_trie_ref *ref = has_ext ? &node->branch_ref : &node->parent->n.refs[node->slot];
        batch_add(&batch, ref, sb_span(rlp, sb_trie_branch_rlp(rlp, &node->n)),
                  !has_ext && node->parent == &job->top);
    }
    batch_flush(&batch);
    for (struct work_node *node = level; node != NULL; node = node->next_stale) {
        if (node->n.ext.count == 0) {
            continue;
        }
        uint8_t *rlp = sb_arena_alloc(job->arena, SB_TRIE_EXT_RLP_MAX);
        if (rlp == NULL) {
            return SB_E_NOMEM;
        }
        size_t len = sb_trie_ext_rlp(rlp, &node->n.ext, &node->branch_ref);
        batch_add(&batch, &node->parent->n.refs[node->slot], sb_span(rlp, len),
                  node->parent == &job->top);
    }
    batch_flush(&batch);
    return SB_OK;
}

static sb_err job_hash(struct job *job)
{
    struct work_node *levels[SB_NIBBLES_MAX + 1] = {NULL};
    struct batch batch = batch_open(job);
    SB_TRY(leaves_hash(job, &batch, &job->top));
    for (struct work_node *node = job->stale, *next; node != NULL; node = next) {
        next = node->next_stale;
        if (!node->dead) {
            SB_TRY(leaves_hash(job, &batch, node));
            node->next_stale = levels[node->path.count];
            levels[node->path.count] = node;
        }
    }
    batch_flush(&batch);
    job->stale = NULL;
    for (size_t depth = SB_NIBBLES_MAX + 1; depth-- > 0;) {
        SB_TRY(level_hash(job, levels[depth]));
        /* Back into one list for the writer. */
        while (levels[depth] != NULL) {
            struct work_node *node = levels[depth];
            levels[depth] = node->next_stale;
            node->next_stale = job->stale;
            job->stale = node;
        }
    }
    return SB_OK;
}

/* ---- writing ---- */

static int change_compare(const void *a, const void *b)
{
    const struct change *left = a, *right = b;
    size_t common = left->path.count < right->path.count ? left->path.count : right->path.count;
    int order = memcmp(left->path.at, right->path.at, common);
    return order != 0 ? order : (int)left->path.count - (int)right->path.count;
}

static sb_err changes_collect(struct change *changes, size_t *ret_count, struct job *job)
{
    size_t count = 0;
    for (struct work_node *node = job->stale; node != NULL; node = node->next_stale) {
        uint8_t record[SB_TRIE_RECORD_BYTES_MAX];
        sb_bytes bytes = sb_span(record, sb_trie_node_encode(record, &node->n));
        struct change *change = &changes[count++];
        change->path = node->path;
        change->old_record = node->old_record;
        SB_TRY(bytes_keep(&change->new_record, job, bytes));
    }
    for (const struct dead_record *dead = job->dead; dead != NULL; dead = dead->next) {
        changes[count++] = (struct change){.path = dead->path, .old_record = dead->old_record};
    }
    *ret_count = count;
    return SB_OK;
}

static sb_err job_write(struct job *job, const struct sb_trie_writer *writer)
{
    struct change *changes =
        sb_arena_array(job->arena, job->stale_count + job->dead_count + 1, sizeof *changes);
    if (changes == NULL) {
        return SB_E_NOMEM;
    }
    size_t count;
    SB_TRY(changes_collect(changes, &count, job));
    qsort(changes, count, sizeof *changes, change_compare);
    for (size_t i = 0; i < count; i++) {
        struct change *change = &changes[i];
        /* A path may have lost its record and got a new node in one update: that is one replacement. */
        if (i + 1 < count && change_compare(change, change + 1) == 0) {
            struct change *twin = change + 1;
            if (twin->new_record.len == 0) {
                twin->new_record = change->new_record;
            }
            if (twin->old_record.len == 0) {
                twin->old_record = change->old_record;
            }
            continue;
        }
        if (!sb_span_equal(change->new_record, change->old_record)) {
            SB_TRY(
                writer->record(writer->ctx, &change->path, change->new_record, change->old_record));
        }
    }
    return SB_OK;
}

/* root_open: what the root is, a node, a leaf or nothing. */
static sb_err root_open(struct job *job, const sb_hash *root)
{
    if (sb_hash_equal(root, &sb_hash_empty_trie)) {
        return SB_OK;
    }
    sb_bytes record;
    SB_TRY(job->reader->record(job->reader->ctx, &job->top.path, &record));
    job->top.n.child_mask = 1;
    job->top.n.leaf_mask = record.len == 0 ? 1 : 0;
    job->top.n.refs[0].len = 32;
    memcpy(job->top.n.refs[0].bytes, root->b, 32);
    return SB_OK;
}

sb_err sb_trie_update(sb_hash *ret_root, struct sb_arena *arena,
                      const struct sb_trie_reader *reader, const struct sb_trie_writer *writer,
                      const sb_hash *old_root, const struct sb_trie_update *updates,
                      size_t update_count)
{
    struct job job = {.arena = arena, .reader = reader};
    SB_TRY(root_open(&job, old_root));
    for (size_t i = 0; i < update_count; i++) {
        SB_TRY(update_apply(&job, &updates[i]));
    }
    SB_TRY(job_hash(&job));
    SB_TRY(job_write(&job, writer));
    if (job.top.n.child_mask == 0) {
        *ret_root = sb_hash_empty_trie;
    } else {
        SB_ASSERT(job.top.n.refs[0].len == 32);
        memcpy(ret_root->b, job.top.n.refs[0].bytes, 32);
    }
    return SB_OK;
}

/* ---- proofs ---- */

struct proof {
    struct sb_arena *arena;
    sb_bytes *nodes;
    size_t count;
    struct sb_trie_ref expected; /* reference that leads to the next node */
};

/* Most nodes on a path: an extension and a branch at each depth, and a leaf. */
#define PROOF_NODES_MAX (2 * SB_NIBBLES_MAX + 1)

/* proof_add: the next node downwards; it must be the one that its parent names. */
static sb_err proof_add(struct proof *proof, sb_bytes rlp)
{
    bool is_root = proof->count == 0;
    struct sb_trie_ref ref = sb_trie_ref_of(rlp);
    if (is_root && ref.len < 32) {
        sb_hash hash = sb_keccak256(rlp);
        ref.len = 32;
        memcpy(ref.bytes, hash.b, 32);
    }
    if (ref.len != proof->expected.len || memcmp(ref.bytes, proof->expected.bytes, ref.len) != 0) {
        return SB_E_CORRUPT;
    }
    if (ref.len == 32) {
        uint8_t *copy = sb_arena_dup(proof->arena, rlp);
        if (copy == NULL) {
            return SB_E_NOMEM;
        }
        SB_ASSERT(proof->count < PROOF_NODES_MAX);
        proof->nodes[proof->count++] = sb_span(copy, rlp.len);
    }
    return SB_OK;
}

static sb_err proof_add_leaf(struct proof *proof, const struct sb_trie_reader *reader,
                             const struct sb_nibbles *path)
{
    sb_bytes key, value;
    SB_TRY(reader->leaf(reader->ctx, path, &key, &value));
    if (key.len > KEY_BYTES_MAX || !sb_nibbles_prefix_key(path, key)) {
        return SB_E_CORRUPT;
    }
    uint8_t *rlp = sb_arena_alloc(proof->arena, sb_trie_leaf_rlp_max(value.len));
    if (rlp == NULL) {
        return SB_E_NOMEM;
    }
    return proof_add(proof, sb_span(rlp, sb_trie_leaf_rlp(rlp, key, path->count, value)));
}

/* proof_add_node: extension (if any) and branch of a record. */
static sb_err proof_add_node(struct proof *proof, const struct sb_trie_node *node)
{
    uint8_t branch[SB_TRIE_BRANCH_RLP_MAX];
    sb_bytes branch_rlp = sb_span(branch, sb_trie_branch_rlp(branch, node));
    if (node->ext.count != 0) {
        uint8_t ext[SB_TRIE_EXT_RLP_MAX];
        struct sb_trie_ref branch_ref = sb_trie_ref_of(branch_rlp);
        SB_TRY(proof_add(proof, sb_span(ext, sb_trie_ext_rlp(ext, &node->ext, &branch_ref))));
        proof->expected = branch_ref;
    }
    return proof_add(proof, branch_rlp);
}

static sb_err proof_walk(struct proof *proof, const struct sb_trie_reader *reader, sb_bytes key)
{
    struct sb_nibbles path = {.count = 0};
    size_t key_nibbles = 2 * key.len;
    for (;;) { /* ends: path grows on each turn and is bounded by the key */
        sb_bytes record;
        SB_TRY(reader->record(reader->ctx, &path, &record));
        if (record.len == 0) { /* only at the top: the trie is one leaf */
            return path.count == 0 ? proof_add_leaf(proof, reader, &path) : SB_E_CORRUPT;
        }
        struct sb_trie_node node;
        SB_TRY(sb_trie_node_decode(&node, record));
        /* The extension of a key that leaves inside it proves the absence alone; the branch below is listed all the same only when
         * the path goes on, as eth_getProof has it. */
        size_t depth = path.count, common = 0;
        while (common < node.ext.count && depth + common < key_nibbles &&
               node.ext.at[common] == sb_key_nibble(key.data, depth + common)) {
            common++;
        }
        if (common < node.ext.count) {
            uint8_t branch[SB_TRIE_BRANCH_RLP_MAX], ext[SB_TRIE_EXT_RLP_MAX];
            struct sb_trie_ref ref =
                sb_trie_ref_of(sb_span(branch, sb_trie_branch_rlp(branch, &node)));
            return proof_add(proof, sb_span(ext, sb_trie_ext_rlp(ext, &node.ext, &ref)));
        }
        SB_TRY(proof_add_node(proof, &node));
        if (depth + common >= key_nibbles) {
            return SB_E_ARG;
        }
        uint8_t nibble = sb_key_nibble(key.data, depth + common);
        if ((node.child_mask >> nibble & 1) == 0) {
            return SB_OK;
        }
        proof->expected = node.refs[nibble];
        path = sb_nibbles_of_key(key.data, depth + common + 1);
        if ((node.leaf_mask >> nibble & 1) != 0) {
            return proof_add_leaf(proof, reader, &path);
        }
    }
}

sb_err sb_trie_prove(const sb_bytes **ret_nodes, size_t *ret_count, struct sb_arena *arena,
                     const struct sb_trie_reader *reader, const sb_hash *root, sb_bytes key)
{
    struct proof proof = {.arena = arena, .count = 0};
    proof.nodes = sb_arena_array(arena, PROOF_NODES_MAX, sizeof *proof.nodes);
    if (proof.nodes == NULL) {
        return SB_E_NOMEM;
    }
    if (key.len == 0 || key.len > KEY_BYTES_MAX) {
        return SB_E_ARG;
    }
    if (!sb_hash_equal(root, &sb_hash_empty_trie)) {
        proof.expected.len = 32;
        memcpy(proof.expected.bytes, root->b, 32);
        SB_TRY(proof_walk(&proof, reader, key));
    }
    *ret_nodes = proof.nodes;
    *ret_count = proof.count;
    return SB_OK;
}
