/* trees.h: a tree ensemble of ai.onnx.ml, read from a node's attributes and put in order.
 *
 * The attributes are parallel lists keyed by (tree, node). Here the nodes of each tree stand together, parents before children, and every
 * test is "feature <= threshold" or "feature < threshold" (the other two are these with the children exchanged). */
#ifndef SB_VM_COMPILER_TREES_H
#define SB_VM_COMPILER_TREES_H

#include "vm/compiler/graph.h"

enum sb_post_transform {
    SB_POST_NONE,
    SB_POST_SOFTMAX,
    SB_POST_LOGISTIC,
};

/* sb_post_transform_of: the attribute post_transform. SB_E_UNSUPPORTED for SOFTMAX_ZERO and PROBIT. */
sb_err sb_post_transform_of(enum sb_post_transform *ret, const struct sb_graph_node *node,
                            struct sb_diag *diag) SB_MUST_USE;

struct sb_tree_node {
    int64_t feature; /* -1: leaf */
    double threshold;
    bool strict;  /* "<" instead of "<=" */
    uint32_t yes; /* next node; of a leaf: its row in `leaf` */
    uint32_t no;
};

struct sb_trees {
    uint32_t tree_count;
    uint32_t node_count;
    uint32_t leaf_count;
    uint32_t class_count; /* sums that the ensemble makes: targets or classes */
    int64_t feature_max;  /* highest feature tested, -1 if none */
    uint32_t *roots;      /* [tree_count] */
    struct sb_tree_node
        *nodes;   /* tree after tree, parents before children, leaves numbered in order */
    double *leaf; /* [leaf_count][class_count] */
    double *base; /* [class_count] */
    enum sb_post_transform post;
};

/* sb_trees_read: from a TreeEnsembleRegressor or TreeEnsembleClassifier. A classifier of two classes whose leaves carry one weight becomes a
 * pair of sums: (-s, s), or (1 - s, s) when no weight is negative, so that the class is always the index of the greatest sum.
 * Total: returns 0, SB_E_SYNTAX, SB_E_SHAPE, SB_E_RANGE, SB_E_UNSUPPORTED or SB_E_NOMEM. Memory is the arena's. */
sb_err sb_trees_read(struct sb_trees *ret, const struct sb_graph_node *node,
                     struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

/* sb_trees_sums: raw sums of one row. features has at least feature_max + 1 elements; ret_sums [class_count]. */
void sb_trees_sums(double *ret_sums, const struct sb_trees *trees, const double *features);

#endif
