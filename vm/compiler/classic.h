/* classic.h: small operators of ai.onnx.ml, read from a node's attributes: what the float reference and the expansions share. */
#ifndef SB_VM_COMPILER_CLASSIC_H
#define SB_VM_COMPILER_CLASSIC_H

#include "vm/compiler/graph.h"

/* Imputer: elements equal to `missing` (not a number: none that an integer model can meet) become values[column]. */
struct sb_imputer {
    double missing;
    size_t value_count; /* 1, or one a column */
    const double *values;
};
sb_err sb_imputer_read(struct sb_imputer *ret, const struct sb_graph_node *node, uint64_t columns,
                       struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

/* LabelEncoder from numbers to numbers: keys[i] becomes values[i], anything else `absent`. */
struct sb_label_map {
    size_t count;
    const double *keys;
    const double *values;
    double absent;
};
sb_err sb_label_map_read(struct sb_label_map *ret, const struct sb_graph_node *node,
                         struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

#endif
