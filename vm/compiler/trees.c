/* trees.c: see trees.h. */
#include "vm/compiler/trees.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/onnx_ops.h"

#define CLASSES_MAX 4096
#define NO_PARENT   UINT32_MAX

sb_err sb_post_transform_of(enum sb_post_transform *ret, const struct sb_graph_node *node,
                            struct sb_diag *diag)
{
    const char *name = sb_graph_attr_string(node, "post_transform", "NONE");
    if (strcmp(name, "NONE") == 0) {
        *ret = SB_POST_NONE;
    } else if (strcmp(name, "SOFTMAX") == 0) {
        *ret = SB_POST_SOFTMAX;
    } else if (strcmp(name, "LOGISTIC") == 0) {
        *ret = SB_POST_LOGISTIC;
    } else {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "post_transform '%s'; use NONE, SOFTMAX or LOGISTIC", name);
    }
    return SB_OK;
}

/* The attributes as lists, and an index of the nodes sorted by (tree, node). */
struct key {
    int64_t tree;
    int64_t node;
    uint32_t place; /* in the attribute lists */
};

struct source {
    const struct sb_graph_node *node;
    struct sb_arena *memory;
    struct sb_diag *diag;
    size_t count;
    const int64_t *tree_ids, *node_ids, *features, *yes, *no;
    const double *values;
    const char *const *modes;
    struct key *keys;    /* [count], sorted */
    uint32_t *parent;    /* [count] by place */
    uint32_t *new_index; /* [count] by place; NO_PARENT: not numbered yet */
    size_t weight_count;
    const int64_t *weight_trees, *weight_nodes, *weight_ids;
    const double *weights;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a;
    const struct key *y = b;
    if (x->tree != y->tree) {
        return x->tree < y->tree ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node ? 1 : 0;
}

static const struct key *find_key(const struct source *s, int64_t tree, int64_t node)
{
    struct key wanted = {.tree = tree, .node = node};
    return bsearch(&wanted, s->keys, s->count, sizeof *s->keys, compare_keys);
}

/* A list of floats, or the tensor attribute of doubles that newer files use instead. */
static const double *read_floats(size_t *ret_count, const struct sb_graph_node *node,
                                 const char *name)
{
    char as_tensor[64];
    const double *floats = sb_graph_attr_floats(ret_count, node, name);
    if (floats == NULL) {
        (void)snprintf(as_tensor, sizeof as_tensor, "%s_as_tensor", name);
        const struct sb_attr *attr = sb_graph_attr(node, as_tensor);
        if (attr != NULL && attr->kind == SB_ATTR_KIND_TENSOR) {
            *ret_count = (size_t)sb_array_count(&attr->tensor);
            floats = attr->tensor.data;
        }
    }
    return floats;
}

static sb_err read_lists(struct source *s, bool classifier)
{
    const struct sb_graph_node *n = s->node;
    size_t c[10] = {0};
    const struct sb_attr *modes = sb_graph_attr(n, "nodes_modes");
    s->tree_ids = sb_graph_attr_ints(&c[0], n, "nodes_treeids");
    s->node_ids = sb_graph_attr_ints(&c[1], n, "nodes_nodeids");
    s->features = sb_graph_attr_ints(&c[2], n, "nodes_featureids");
    s->yes = sb_graph_attr_ints(&c[3], n, "nodes_truenodeids");
    s->no = sb_graph_attr_ints(&c[4], n, "nodes_falsenodeids");
    s->values = read_floats(&c[5], n, "nodes_values");
    s->modes = modes != NULL && modes->kind == SB_ATTR_KIND_STRINGS ? modes->strings : NULL;
    c[6] = s->modes != NULL ? modes->count : 0;
    s->count = c[0];
    for (size_t i = 0; i < 7; i++) {
        if (s->count == 0 || c[i] != s->count || s->count > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(s->diag, SB_E_SHAPE, n,
                                 "the lists of tree nodes are missing or differ in length");
        }
    }
    s->weight_trees = sb_graph_attr_ints(&c[6], n, classifier ? "class_treeids" : "target_treeids");
    s->weight_nodes = sb_graph_attr_ints(&c[7], n, classifier ? "class_nodeids" : "target_nodeids");
    s->weight_ids = sb_graph_attr_ints(&c[8], n, classifier ? "class_ids" : "target_ids");
    s->weights = read_floats(&c[9], n, classifier ? "class_weights" : "target_weights");
    s->weight_count = c[6];
    if (c[6] == 0 || c[7] != c[6] || c[8] != c[6] || c[9] != c[6]) {
        return sb_graph_fail(s->diag, SB_E_SHAPE, n,
                             "the lists of leaf weights are missing or differ in length");
    }
    return SB_OK;
}

static bool is_leaf(const struct source *s, size_t place)
{
    return strcmp(s->modes[place], "LEAF") == 0;
}

static sb_err build_index(struct source *s)
{
    s->keys = sb_arena_array(s->memory, s->count, sizeof *s->keys);
    s->parent = sb_arena_array(s->memory, s->count, sizeof *s->parent);
    s->new_index = sb_arena_array(s->memory, s->count, sizeof *s->new_index);
    if (s->keys == NULL || s->parent == NULL || s->new_index == NULL) {
        return sb_graph_fail(s->diag, SB_E_NOMEM, s->node, "out of memory for the trees");
    }
    for (size_t i = 0; i < s->count; i++) {
        s->keys[i] = (struct key){s->tree_ids[i], s->node_ids[i], (uint32_t)i};
        s->parent[i] = NO_PARENT;
        s->new_index[i] = NO_PARENT;
    }
    qsort(s->keys, s->count, sizeof *s->keys, compare_keys);
    for (size_t i = 1; i < s->count; i++) {
        if (compare_keys(&s->keys[i - 1], &s->keys[i]) == 0) {
            return sb_graph_fail(s->diag, SB_E_SYNTAX, s->node,
                                 "tree %" PRId64 " has two nodes %" PRId64, s->keys[i].tree,
                                 s->keys[i].node);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        for (size_t side = 0; !is_leaf(s, i) && side < 2; side++) {
            int64_t child = side == 0 ? s->yes[i] : s->no[i];
            const struct key *k = find_key(s, s->tree_ids[i], child);
            if (k == NULL || s->parent[k->place] != NO_PARENT) {
                return sb_graph_fail(s->diag, SB_E_SYNTAX, s->node,
                                     "tree %" PRId64 ": node %" PRId64
                                     " does not exist or is the child of two nodes",
                                     s->tree_ids[i], child);
            }
            s->parent[k->place] = (uint32_t)i;
        }
    }
    return SB_OK;
}

/* The test of a branch; exchanges the children for ">" and ">=". */
static sb_err read_branch(struct sb_tree_node *ret, const struct source *s, size_t place)
{
    const char *mode = s->modes[place];
    bool leq = strcmp(mode, "BRANCH_LEQ") == 0;
    bool lt = strcmp(mode, "BRANCH_LT") == 0;
    bool gt = strcmp(mode, "BRANCH_GT") == 0;
    bool gte = strcmp(mode, "BRANCH_GTE") == 0;
    if (!leq && !lt && !gt && !gte) {
        return sb_graph_fail(s->diag, SB_E_UNSUPPORTED, s->node,
                             "tree test '%s'; use BRANCH_LEQ, _LT, _GT or _GTE", mode);
    }
    if (s->features[place] < 0 || s->features[place] > SB_TENSOR_DIM_MAX) {
        return sb_graph_fail(s->diag, SB_E_RANGE, s->node, "a test of feature %" PRId64,
                             s->features[place]);
    }
    int64_t first = leq || lt ? s->yes[place] : s->no[place];
    int64_t second = leq || lt ? s->no[place] : s->yes[place];
    const struct key *yes = find_key(s, s->tree_ids[place], first);
    const struct key *no = find_key(s, s->tree_ids[place], second);
    SB_ASSERT(yes != NULL && no != NULL); /* build_index has found both */
    *ret = (struct sb_tree_node){
        .feature = s->features[place],
        .threshold = s->values[place],
        .strict = lt || gte,
        .yes = yes->place,
        .no = no->place,
    };
    return SB_OK;
}

/* Number the nodes of one tree from its root, parents first; places of children become new indices afterwards. */
static sb_err order_tree(struct sb_trees *t, struct source *s, uint32_t root, uint32_t *stack)
{
    uint32_t depth = 0;
    uint32_t first = t->node_count;
    stack[depth++] = root;
    while (depth > 0) {
        uint32_t place = stack[--depth];
        struct sb_tree_node *n = &t->nodes[t->node_count];
        s->new_index[place] = t->node_count++;
        if (is_leaf(s, place)) {
            *n = (struct sb_tree_node){.feature = -1, .yes = t->leaf_count++};
            continue;
        }
        SB_TRY(read_branch(n, s, place));
        t->feature_max = n->feature > t->feature_max ? n->feature : t->feature_max;
        stack[depth++] = n->no; /* each node is pushed once: the stack never passes the count */
        stack[depth++] = n->yes;
    }
    for (uint32_t i = first; i < t->node_count; i++) {
        struct sb_tree_node *n = &t->nodes[i];
        if (n->feature >= 0) {
            n->yes = s->new_index[n->yes];
            n->no = s->new_index[n->no];
        }
    }
    return SB_OK;
}

static sb_err order_trees(struct sb_trees *t, struct source *s)
{
    uint32_t *stack = sb_arena_array(s->memory, s->count, sizeof *stack);
    t->nodes = sb_arena_array(s->memory, s->count, sizeof *t->nodes);
    t->roots = sb_arena_array(s->memory, s->count, sizeof *t->roots);
    int64_t last_tree = 0;
    if (stack == NULL || t->nodes == NULL || t->roots == NULL) {
        return sb_graph_fail(s->diag, SB_E_NOMEM, s->node, "out of memory for the trees");
    }
    for (size_t i = 0; i < s->count; i++) {
        uint32_t place = s->keys[i].place;
        if (s->parent[place] != NO_PARENT) {
            continue;
        }
        if (t->tree_count > 0 && s->tree_ids[place] == last_tree) {
            return sb_graph_fail(s->diag, SB_E_SYNTAX, s->node, "tree %" PRId64 " has two roots",
                                 last_tree);
        }
        last_tree = s->tree_ids[place];
        t->roots[t->tree_count++] = t->node_count;
        SB_TRY(order_tree(t, s, place, stack));
    }
    if (t->node_count != s->count) {
        return sb_graph_fail(s->diag, SB_E_SYNTAX, s->node,
                             "%zu tree nodes are reached from no root", s->count - t->node_count);
    }
    return SB_OK;
}

/* ---- weights ---- */

static sb_err count_classes(struct sb_trees *t, struct source *s, bool classifier)
{
    int64_t count = sb_graph_attr_int(s->node, "n_targets", 1);
    if (classifier) {
        const struct sb_attr *names = sb_graph_attr(s->node, "classlabels_strings");
        const struct sb_attr *ints = sb_graph_attr(s->node, "classlabels_int64s");
        ints = ints == NULL ? sb_graph_attr(s->node, "classlabels_ints") : ints;
        count = names != NULL && names->count > 0 ? (int64_t)names->count
                : ints != NULL                    ? (int64_t)ints->count
                                                  : 0;
    }
    if (count < 1 || count > CLASSES_MAX) {
        return sb_graph_fail(s->diag, SB_E_LIMIT, s->node,
                             "%" PRId64 " classes or targets, allowed are 1 .. %d", count,
                             CLASSES_MAX);
    }
    t->class_count = (uint32_t)count;
    return SB_OK;
}

static sb_err read_weights(struct sb_trees *t, struct source *s, double scale, bool pair)
{
    t->leaf = sb_arena_zalloc(s->memory, (size_t)t->leaf_count * t->class_count * sizeof *t->leaf);
    if (t->leaf == NULL) {
        return sb_graph_fail(s->diag, SB_E_NOMEM, s->node, "out of memory for the leaves");
    }
    for (size_t i = 0; i < s->weight_count; i++) {
        const struct key *k = find_key(s, s->weight_trees[i], s->weight_nodes[i]);
        if (k == NULL || !is_leaf(s, k->place) || s->weight_ids[i] < 0 ||
            s->weight_ids[i] >= t->class_count) {
            return sb_graph_fail(s->diag, SB_E_SYNTAX, s->node,
                                 "leaf weight %zu belongs to no leaf or class", i);
        }
        double *row = t->leaf + (size_t)t->nodes[s->new_index[k->place]].yes * t->class_count;
        if (pair) {
            row[0] -= s->weights[i] * scale;
            row[1] += s->weights[i] * scale;
        } else {
            row[s->weight_ids[i]] += s->weights[i] * scale;
        }
    }
    return SB_OK;
}

static sb_err read_base(struct sb_trees *t, struct source *s, bool pair, bool all_positive)
{
    size_t count = 0;
    const double *base = read_floats(&count, s->node, "base_values");
    size_t wanted = pair ? 1 : t->class_count;
    t->base = sb_arena_zalloc(s->memory, t->class_count * sizeof *t->base);
    if (t->base == NULL) {
        return sb_graph_fail(s->diag, SB_E_NOMEM, s->node, "out of memory for the base values");
    }
    if (count != 0 && count != wanted) {
        return sb_graph_fail(s->diag, SB_E_UNSUPPORTED, s->node, "%zu base values for %zu sums",
                             count, wanted);
    }
    for (size_t i = 0; i < t->class_count; i++) {
        double b = count == 0 ? 0 : base[pair ? 0 : i];
        t->base[i] = pair && i == 0 ? (all_positive ? 1 : 0) - b : b;
    }
    return SB_OK;
}

sb_err sb_trees_read(struct sb_trees *ret, const struct sb_graph_node *node,
                     struct sb_arena *memory, struct sb_diag *diag)
{
    bool classifier = node->op->id == SB_ONNX_TREE_CLASSIFIER;
    struct source s = {.node = node, .memory = memory, .diag = diag};
    struct sb_trees t = {.feature_max = -1};
    const char *aggregate = sb_graph_attr_string(node, "aggregate_function", "SUM");
    bool average = strcmp(aggregate, "AVERAGE") == 0;
    if (!average && strcmp(aggregate, "SUM") != 0) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "aggregate_function '%s'", aggregate);
    }
    SB_TRY(sb_post_transform_of(&t.post, node, diag));
    SB_TRY(read_lists(&s, classifier));
    SB_TRY(count_classes(&t, &s, classifier));
    SB_TRY(build_index(&s));
    SB_TRY(order_trees(&t, &s));
    bool one_id = true;
    bool all_positive = true;
    for (size_t i = 0; i < s.weight_count; i++) {
        one_id = one_id && s.weight_ids[i] == s.weight_ids[0];
        all_positive = all_positive && s.weights[i] >= 0;
    }
    bool pair = classifier && t.class_count == 2 && one_id;
    if (pair && all_positive && t.post != SB_POST_NONE) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "two classes with positive weights and a post_transform; export raw "
                             "scores");
    }
    SB_TRY(read_weights(&t, &s, average ? 1.0 / t.tree_count : 1, pair));
    SB_TRY(read_base(&t, &s, pair, all_positive));
    *ret = t;
    return SB_OK;
}

void sb_trees_sums(double *ret_sums, const struct sb_trees *trees, const double *features)
{
    memcpy(ret_sums, trees->base, trees->class_count * sizeof *ret_sums);
    for (uint32_t i = 0; i < trees->tree_count; i++) {
        const struct sb_tree_node *n = &trees->nodes[trees->roots[i]];
        while (n->feature >= 0) { /* ends: children come after their parents */
            double x = features[n->feature];
            bool yes = n->strict ? x < n->threshold : x <= n->threshold;
            n = &trees->nodes[yes ? n->yes : n->no];
        }
        const double *leaf = trees->leaf + (size_t)n->yes * trees->class_count;
        for (uint32_t c = 0; c < trees->class_count; c++) {
            ret_sums[c] += leaf[c];
        }
    }
}
