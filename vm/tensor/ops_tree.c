/* ops_tree.c: TREE_ENSEMBLE: decision trees in integers, for regressors and classifiers. Spec: docs/spec/numerics.md 11.
 *
 *     roots     [T]     0        3           7        first node of each tree; its nodes are the ones up to the next root
 *     feature   [M]     4 -1 -1  0  2 -1 -1 ...       -1 marks a leaf
 *     child     [M][2]  next node if x[feature] <= threshold, if not;  of a leaf: row in `leaf`, 0
 *
 * Children come after their parent and stay in the tree, so each walk ends, and one pass in order finds the depth; the leaves take the
 * rows of `leaf` in order, so that checking is linear in the file. Sums are in i64 and
 * proven not to overflow in any order: each tree adds at most its greatest leaf and at least its smallest. */
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"

#define LEAF           (-1)
#define OWN_BYTES_MAX  ((uint64_t)1 << 20) /* nodes that fit the core's own cache */
#define NEAR_BYTES_MAX ((uint64_t)1 << 22) /* nodes that a shared cache holds */
#define NODE_BYTES     16u
#define LONELY_VISIT   3u /* a visit with no other beside it, in visits */
#define LANES          8u /* walks side by side */
#define STEPS          4u /* before it is looked which of them have ended */

struct trees {
    size_t tree_count;
    size_t node_count;
    size_t leaf_count;
    size_t leaf_width;
    size_t class_count;
    size_t feature_count;
    const int32_t *roots;
    const int32_t *tree_class;
    const int32_t *feature;
    const void *threshold; /* int64_t if wide, else int32_t */
    bool wide;
    const int32_t *child;
    const int64_t *leaf;
    const int64_t *base;
};

static struct trees trees_of(const struct sb_tensor *const *in)
{
    return (struct trees){
        .tree_count = in[SB_IN_TREE_ROOTS]->desc.shape.dims[0],
        .node_count = in[SB_IN_TREE_FEATURE]->desc.shape.dims[0],
        .leaf_count = in[SB_IN_TREE_LEAF]->desc.shape.dims[0],
        .leaf_width = in[SB_IN_TREE_LEAF]->desc.shape.dims[1],
        .class_count = in[SB_IN_TREE_BASE]->desc.shape.dims[0],
        .feature_count = in[SB_IN_TREE_X]->desc.shape.dims[1],
        .roots = in[SB_IN_TREE_ROOTS]->data,
        .tree_class = in[SB_IN_TREE_CLASS]->data,
        .feature = in[SB_IN_TREE_FEATURE]->data,
        .threshold = in[SB_IN_TREE_THRESHOLD]->data,
        .wide = in[SB_IN_TREE_THRESHOLD]->desc.dtype == SB_DTYPE_I64,
        .child = in[SB_IN_TREE_CHILD]->data,
        .leaf = in[SB_IN_TREE_LEAF]->data,
        .base = in[SB_IN_TREE_BASE]->data,
    };
}

static size_t tree_end(const struct trees *t, size_t tree)
{
    return tree + 1 < t->tree_count ? (size_t)t->roots[tree + 1] : t->node_count;
}

static int64_t threshold_of(const struct trees *t, size_t node)
{
    return t->wide ? ((const int64_t *)t->threshold)[node] : ((const int32_t *)t->threshold)[node];
}

static sb_err infer_shapes(const struct sb_check *c)
{
    const struct sb_tensor *const *in = c->in;
    SB_TRY(sb_check_dtype(c, in[SB_IN_TREE_X], "input x",
                          SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(I32) |
                              SB_DTYPE_BIT(I64)));
    SB_TRY(sb_check_dtype(c, in[SB_IN_TREE_THRESHOLD], "input threshold",
                          SB_DTYPE_BIT(I32) | SB_DTYPE_BIT(I64)));
    SB_TRY(sb_check_rank(c, in[SB_IN_TREE_X], "input x", 2));
    SB_TRY(sb_check_rank(c, in[SB_IN_TREE_ROOTS], "input roots", 1));
    SB_TRY(sb_check_rank(c, in[SB_IN_TREE_FEATURE], "input feature", 1));
    SB_TRY(sb_check_rank(c, in[SB_IN_TREE_BASE], "input base", 1));
    uint32_t trees = in[SB_IN_TREE_ROOTS]->desc.shape.dims[0];
    uint32_t nodes = in[SB_IN_TREE_FEATURE]->desc.shape.dims[0];
    uint32_t classes = in[SB_IN_TREE_BASE]->desc.shape.dims[0];
    SB_TRY(sb_check_vector(c, in[SB_IN_TREE_ROOTS], "input roots", SB_DTYPE_I32, trees));
    SB_TRY(sb_check_vector(c, in[SB_IN_TREE_CLASS], "input tree_class", SB_DTYPE_I32, trees));
    SB_TRY(sb_check_vector(c, in[SB_IN_TREE_FEATURE], "input feature", SB_DTYPE_I32, nodes));
    SB_TRY(sb_check_vector(c, in[SB_IN_TREE_THRESHOLD], "input threshold",
                           in[SB_IN_TREE_THRESHOLD]->desc.dtype, nodes));
    SB_TRY(sb_check_vector(c, in[SB_IN_TREE_BASE], "input base", SB_DTYPE_I64, classes));
    SB_TRY(sb_check_const(c, in[SB_IN_TREE_CHILD], "input child"));
    SB_TRY(sb_check_dtype(c, in[SB_IN_TREE_CHILD], "input child", SB_DTYPE_BIT(I32)));
    SB_TRY(sb_check_shape(c, in[SB_IN_TREE_CHILD], "input child",
                          &(struct sb_shape){.rank = 2, .dims = {nodes, 2}}));
    SB_TRY(sb_check_const(c, in[SB_IN_TREE_LEAF], "input leaf"));
    SB_TRY(sb_check_dtype(c, in[SB_IN_TREE_LEAF], "input leaf", SB_DTYPE_BIT(I64)));
    SB_TRY(sb_check_rank(c, in[SB_IN_TREE_LEAF], "input leaf", 2));
    SB_TRY(sb_check_dtype(c, c->out, "output", SB_DTYPE_BIT(I64)));
    struct sb_shape want = {.rank = 2, .dims = {in[SB_IN_TREE_X]->desc.shape.dims[0], classes}};
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err check_leaf(const struct sb_check *c, const struct trees *t, size_t node, size_t leaf)
{
    if (t->child[2 * node] < 0 || (size_t)t->child[2 * node] != leaf || leaf >= t->leaf_count ||
        t->child[2 * node + 1] != 0 || threshold_of(t, node) != 0) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "tree node %zu is leaf %zu: it must name that row of the %zu, and zeros",
                       node, leaf, t->leaf_count);
    }
    return SB_OK;
}

static sb_err check_branch(const struct sb_check *c, const struct trees *t, size_t node, size_t end)
{
    int32_t feature = t->feature[node];
    int32_t yes = t->child[2 * node];
    int32_t no = t->child[2 * node + 1];
    if (feature < 0 || (size_t)feature >= t->feature_count) {
        return sb_fail(c->diag, SB_E_RANGE, "tree node %zu tests feature %d of %zu", node, feature,
                       t->feature_count);
    }
    if (yes < 0 || (size_t)yes <= node || (size_t)yes >= end || no < 0 || (size_t)no <= node ||
        (size_t)no >= end) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "tree node %zu: children %d and %d are not after it and inside its tree",
                       node, yes, no);
    }
    return SB_OK;
}

static sb_err tree_infer(const struct sb_check *c)
{
    SB_TRY(infer_shapes(c));
    struct trees t = trees_of(c->in);
    size_t leaf = 0;
    if (t.leaf_width > t.class_count || t.roots[0] != 0) {
        return sb_fail(c->diag, SB_E_RANGE,
                       "leaves wider than the classes, or nodes before the first root");
    }
    for (size_t tree = 0; tree < t.tree_count; tree++) {
        size_t end = tree_end(&t, tree);
        int32_t first_class = t.tree_class[tree];
        if (t.roots[tree] < 0 || (size_t)t.roots[tree] >= end || end > t.node_count) {
            return sb_fail(c->diag, SB_E_RANGE,
                           "the root of tree %zu is not before that of the next", tree);
        }
        if (first_class < 0 || (size_t)first_class + t.leaf_width > t.class_count) {
            return sb_fail(c->diag, SB_E_RANGE, "tree %zu adds to classes from %d on, of %zu", tree,
                           first_class, t.class_count);
        }
        for (size_t node = (size_t)t.roots[tree]; node < end; node++) {
            bool is_leaf = t.feature[node] == LEAF;
            SB_TRY(is_leaf ? check_leaf(c, &t, node, leaf) : check_branch(c, &t, node, end));
            leaf += is_leaf ? 1 : 0;
        }
    }
    if (leaf != t.leaf_count) {
        return sb_fail(c->diag, SB_E_RANGE, "the trees have %zu leaves, `leaf` has %zu rows", leaf,
                       t.leaf_count);
    }
    return SB_OK;
}

/* Smallest and largest value of column j over the leaves of a tree, which are rows first .. end - 1. */
static struct sb_interval column_range(const struct trees *t, size_t first, size_t end, size_t j)
{
    struct sb_interval v = {.lo = INT64_MAX, .hi = INT64_MIN};
    for (size_t row = first; row < end; row++) {
        int64_t value = t->leaf[row * t->leaf_width + j];
        v = sb_interval_hull(v, (struct sb_interval){.lo = value, .hi = value});
    }
    return v;
}

static size_t leaves_in(const struct trees *t, size_t tree)
{
    size_t count = 0;
    for (size_t node = (size_t)t->roots[tree]; node < tree_end(t, tree); node++) {
        count += t->feature[node] == LEAF ? 1 : 0;
    }
    return count;
}

/* The range of each class's sum, and of every part of it. */
struct class_range {
    struct sb_interval whole;
    struct sb_interval part;
};

static sb_err tree_prove(const struct sb_check *c)
{
    const struct sb_interval zero = {0, 0};
    struct trees t = trees_of(c->in);
    struct class_range *classes = sb_arena_array(c->scratch, t.class_count, sizeof *classes);
    if (classes == NULL) {
        return sb_fail(c->diag, SB_E_NOMEM, "out of memory for %zu classes", t.class_count);
    }
    for (size_t k = 0; k < t.class_count; k++) {
        classes[k].whole = (struct sb_interval){.lo = t.base[k], .hi = t.base[k]};
        classes[k].part = sb_interval_hull(classes[k].whole, zero);
    }
    size_t leaf = 0;
    for (size_t tree = 0; tree < t.tree_count; tree++) {
        size_t end = leaf + leaves_in(&t, tree);
        for (size_t j = 0; j < t.leaf_width; j++) {
            struct class_range *k = &classes[(size_t)t.tree_class[tree] + j];
            struct sb_interval v = column_range(&t, leaf, end, j);
            k->whole = sb_interval_add(k->whole, v);
            k->part = sb_interval_add(k->part, sb_interval_hull(v, zero));
        }
        leaf = end;
    }
    struct sb_interval all = classes[0].whole;
    for (size_t k = 0; k < t.class_count; k++) {
        SB_TRY(sb_check_fits_i64(c, classes[k].part, "the sum of a class"));
        all = sb_interval_hull(all, classes[k].whole);
    }
    sb_prove_clamped(c, all);
    return SB_OK;
}

/* What a row of x visits at most: nodes of all trees, and of the deepest one. */
struct visits {
    uint64_t all;
    uint64_t deepest;
};

static sb_err count_visits(struct visits *ret, const struct sb_check *c, const struct trees *t)
{
    uint32_t *depth = sb_arena_zalloc(c->scratch, t->node_count * sizeof *depth);
    struct visits v = {0, 0};
    if (depth == NULL) {
        return sb_fail(c->diag, SB_E_NOMEM, "out of memory for %zu tree nodes", t->node_count);
    }
    for (size_t tree = 0; tree < t->tree_count; tree++) {
        uint32_t deepest = 0;
        for (size_t node = (size_t)t->roots[tree]; node < tree_end(t, tree); node++) {
            deepest = depth[node] > deepest ? depth[node] : deepest;
            for (size_t side = 0; t->feature[node] != LEAF && side < 2; side++) {
                uint32_t *below = &depth[t->child[2 * node + side]];
                *below = *below > depth[node] + 1 ? *below : depth[node] + 1;
            }
        }
        v.all += (uint64_t)deepest + 1;
        v.deepest = v.deepest > (uint64_t)deepest + 1 ? v.deepest : (uint64_t)deepest + 1;
    }
    *ret = v;
    return SB_OK;
}

/* What a visit brings from memory, by the size of the forest: nothing from the core's own cache, part of a line's price from the
 * next, one and a half lines (and an entry of the page tables) from beyond. */
static uint64_t fetched_bytes(uint64_t node_count)
{
    uint64_t bytes = node_count * NODE_BYTES;
    return bytes > NEAR_BYTES_MAX ? 96 : bytes > OWN_BYTES_MAX ? 16 : 0;
}

/* Walks go on side by side, so a visit costs little while there are enough of them; alone it waits for memory at each step. */
static sb_err tree_cost(const struct sb_check *c)
{
    struct trees t = trees_of(c->in);
    struct visits v;
    SB_TRY(count_visits(&v, c, &t));
    uint64_t rows = c->in[SB_IN_TREE_X]->desc.shape.dims[0];
    uint64_t alone = LONELY_VISIT * v.deepest;
    struct sb_units *units = &c->node->units;
    sb_units_add(units, SB_GAS_CLASS_TREE_VISIT, sat_mul_u64(rows, v.all > alone ? v.all : alone));
    sb_units_add(units, SB_GAS_CLASS_ROW, sat_mul_u64(rows, t.tree_count + 1));
    sb_units_add(units, SB_GAS_CLASS_WEIGHT_BYTE,
                 sat_mul_u64(rows, v.all * fetched_bytes(t.node_count) +
                                       t.tree_count * t.leaf_width * sizeof(int64_t)));
    sb_units_add(units, SB_GAS_CLASS_ELEMENTWISE,
                 sat_mul_u64(rows, sat_mul_u64(t.tree_count, t.leaf_width) + t.class_count +
                                       t.feature_count));
    c->node->workspace_bytes = t.feature_count * sizeof(int64_t);
    return SB_OK;
}

/* The leaf that a row of features reaches. */
static size_t walk(const struct trees *t, size_t root, const int64_t *features)
{
    size_t node = root;
    while (t->feature[node] != LEAF) { /* ends: node grows */
        bool yes = features[t->feature[node]] <= threshold_of(t, node);
        node = (size_t)t->child[2 * node + (yes ? 0 : 1)];
    }
    return (size_t)t->child[2 * node];
}

static void add_leaf(const struct trees *t, int64_t *y, size_t tree, size_t row)
{
    const int64_t *leaf = t->leaf + row * t->leaf_width;
    int64_t *sum = y + t->tree_class[tree];
    for (size_t j = 0; j < t->leaf_width; j++) {
        sum[j] += leaf[j];
    }
}

static void walk_one_by_one(const struct trees *t, int64_t *y, const int64_t *features)
{
    for (size_t tree = 0; tree < t->tree_count; tree++) {
        add_leaf(t, y, tree, walk(t, (size_t)t->roots[tree], features));
    }
}

/* A node as prepared: one piece of memory; a leaf leads to itself, so steps need no test, and its threshold is its row of `leaf`. Thresholds
 * of 64 bits are not prepared. */
struct packed_node {
    uint32_t feature;
    int32_t threshold;
    uint32_t child[2];
};

static const void *tree_prepare(const struct sb_prepare *p)
{
    struct trees t = trees_of((const struct sb_tensor *const *)p->in);
    struct packed_node *nodes = NULL;
    if (!t.wide) {
        nodes = sb_arena_array(p->memory, t.node_count, sizeof *nodes);
    }
    for (size_t i = 0; nodes != NULL && i < t.node_count; i++) {
        bool is_leaf = t.feature[i] == LEAF;
        nodes[i] = (struct packed_node){
            .feature = is_leaf ? 0 : (uint32_t)t.feature[i],
            .threshold = is_leaf ? t.child[2 * i] : (int32_t)threshold_of(&t, i),
            .child = {is_leaf ? (uint32_t)i : (uint32_t)t.child[2 * i],
                      is_leaf ? (uint32_t)i : (uint32_t)t.child[2 * i + 1]}};
    }
    return nodes;
}

static inline uint32_t step(const struct packed_node *nodes, uint32_t at, const int64_t *features)
{
    const struct packed_node *n = &nodes[at];
    return n->child[features[n->feature] > n->threshold ? 1 : 0];
}

/* LANES walks at a time; one that has ended makes room for the next tree. */
static void walk_side_by_side(const struct trees *t, const struct packed_node *nodes, int64_t *y,
                              const int64_t *features)
{
    uint32_t at[LANES];
    size_t tree[LANES];
    size_t active = 0;
    size_t next = 0;
    while (true) {
        for (; active < LANES && next < t->tree_count; active++) {
            at[active] = (uint32_t)t->roots[next];
            tree[active] = next++;
        }
        for (size_t s = 0; s < STEPS && active == LANES; s++) {
            for (size_t j = 0; j < LANES; j++) {
                at[j] = step(nodes, at[j], features);
            }
        }
        for (size_t s = 0; s < STEPS && active < LANES; s++) {
            for (size_t j = 0; j < active; j++) {
                at[j] = step(nodes, at[j], features);
            }
        }
        for (size_t j = active; j-- > 0;) {
            if (nodes[at[j]].child[0] == at[j]) {
                add_leaf(t, y, tree[j], (size_t)nodes[at[j]].threshold);
                active--;
                at[j] = at[active];
                tree[j] = tree[active];
            }
        }
        if (active == 0 && next == t->tree_count) {
            return;
        }
    }
}

static void tree_run(const struct sb_exec *x)
{
    struct trees t = trees_of(x->in_tensor);
    const struct sb_tensor_desc *xd = &x->in_tensor[SB_IN_TREE_X]->desc;
    const struct sb_tensor_desc *yd = &x->out_tensor->desc;
    int64_t *features = x->workspace;
    int64_t *y = x->out;
    for (size_t row = 0; row < xd->shape.dims[0]; row++, y += t.class_count) {
        sb_widen(features, sb_element_at(x->in[SB_IN_TREE_X], xd->dtype, row * t.feature_count),
                 xd->dtype, t.feature_count);
        memcpy(y, t.base, t.class_count * sizeof *y);
        if (x->prepared != NULL) {
            walk_side_by_side(&t, x->prepared, y, features);
        } else {
            walk_one_by_one(&t, y, features);
        }
        for (size_t k = 0; k < t.class_count; k++) {
            y[k] = sb_clamp_i64(y[k], yd->lo, yd->hi);
        }
    }
}

const struct sb_op_code sb_op_tree_ensemble = {.infer = tree_infer,
                                               .prove = tree_prove,
                                               .cost = tree_cost,
                                               .run = tree_run,
                                               .prepare = tree_prepare,
                                               .reads_few = true};
