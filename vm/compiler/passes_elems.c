/* passes_elems.c: element types of computed values: float, integer or bool, as ONNX's type constraints have them. See passes.h.
 *
 * Most operators give what their first input is. The others are listed: by a type, by another input, or by an attribute. Operators are
 * named here by their names, so that a rule may stand before the operator is supported. */
#include <string.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes.h"
#include "vm/compiler/passes_impl.h"

struct elem_rule {
    const char *op;
    uint32_t output;
    enum sb_elem elem; /* or NONE: as the input or the attribute says */
    uint32_t input;    /* with elem NONE and no attribute */
    const char *attr;  /* an element type as an integer; FLOAT if absent */
};

static const struct elem_rule k_rules[] = {
    {"Cast", 0, SB_ELEM_NONE, 0, "to"},
    {"CastLike", 0, SB_ELEM_NONE, 1, NULL},
    {"Where", 0, SB_ELEM_NONE, 1, NULL},
    {"OneHot", 0, SB_ELEM_NONE, 2, NULL},
    {"Shape", 0, SB_ELEM_INT64, 0, NULL},
    {"Size", 0, SB_ELEM_INT64, 0, NULL},
    {"NonZero", 0, SB_ELEM_INT64, 0, NULL},
    {"ArgMax", 0, SB_ELEM_INT64, 0, NULL},
    {"ArgMin", 0, SB_ELEM_INT64, 0, NULL},
    {"TopK", 1, SB_ELEM_INT64, 0, NULL},
    {"MaxPool", 1, SB_ELEM_INT64, 0, NULL},
    {"Dropout", 1, SB_ELEM_BOOL, 0, NULL},
    {"Equal", 0, SB_ELEM_BOOL, 0, NULL},
    {"Less", 0, SB_ELEM_BOOL, 0, NULL},
    {"LessOrEqual", 0, SB_ELEM_BOOL, 0, NULL},
    {"Greater", 0, SB_ELEM_BOOL, 0, NULL},
    {"GreaterOrEqual", 0, SB_ELEM_BOOL, 0, NULL},
    {"IsNaN", 0, SB_ELEM_BOOL, 0, NULL},
    {"IsInf", 0, SB_ELEM_BOOL, 0, NULL},
    {"EyeLike", 0, SB_ELEM_NONE, 0, "dtype"},
    {"DequantizeLinear", 0, SB_ELEM_FLOAT, 0, NULL},
    {"DynamicQuantizeLinear", 0, SB_ELEM_UINT8, 0, NULL},
    {"DynamicQuantizeLinear", 1, SB_ELEM_FLOAT, 0, NULL},
    {"DynamicQuantizeLinear", 2, SB_ELEM_UINT8, 0, NULL},
    {"MatMulInteger", 0, SB_ELEM_INT32, 0, NULL},
    {"ConvInteger", 0, SB_ELEM_INT32, 0, NULL},
    {"QLinearConv", 0, SB_ELEM_NONE, 7, NULL},
    {"QLinearMatMul", 0, SB_ELEM_NONE, 7, NULL},
    {"HannWindow", 0, SB_ELEM_FLOAT, 0, NULL},
    {"HammingWindow", 0, SB_ELEM_FLOAT, 0, NULL},
    {"BlackmanWindow", 0, SB_ELEM_FLOAT, 0, NULL},
    {"FeatureVectorizer", 0, SB_ELEM_FLOAT, 0, NULL},
    {"LinearClassifier", 0, SB_ELEM_INT64, 0, NULL},
    {"LinearClassifier", 1, SB_ELEM_FLOAT, 0, NULL},
    {"LinearRegressor", 0, SB_ELEM_FLOAT, 0, NULL},
    {"Normalizer", 0, SB_ELEM_FLOAT, 0, NULL},
    {"OneHotEncoder", 0, SB_ELEM_FLOAT, 0, NULL},
    {"Scaler", 0, SB_ELEM_FLOAT, 0, NULL},
    {"SVMClassifier", 0, SB_ELEM_INT64, 0, NULL},
    {"SVMClassifier", 1, SB_ELEM_FLOAT, 0, NULL},
    {"SVMRegressor", 0, SB_ELEM_FLOAT, 0, NULL},
    {"TreeEnsembleClassifier", 0, SB_ELEM_INT64, 0, NULL},
    {"TreeEnsembleClassifier", 1, SB_ELEM_FLOAT, 0, NULL},
    {"TreeEnsembleRegressor", 0, SB_ELEM_FLOAT, 0, NULL},
};

static enum sb_elem elem_of_constant(const struct sb_graph_node *node, enum sb_elem absent)
{
    for (uint32_t i = 0; i < node->attr_count; i++) {
        const struct sb_attr *a = &node->attrs[i];
        if (a->kind == SB_ATTR_KIND_TENSOR) {
            return a->tensor_elem;
        }
        if (a->kind == SB_ATTR_KIND_INT || a->kind == SB_ATTR_KIND_INTS) {
            return SB_ELEM_INT64;
        }
    }
    return absent;
}

static enum sb_elem elem_of_input(const struct sb_graph *graph, const struct sb_graph_node *node,
                                  uint32_t input)
{
    const struct sb_value *x = sb_graph_input(graph, node, input);
    return x != NULL ? x->elem : SB_ELEM_FLOAT;
}

/* LabelEncoder says by its attributes what it maps to. */
static enum sb_elem elem_of_label(const struct sb_graph_node *node)
{
    bool integer = sb_graph_attr(node, "values_int64s") != NULL;
    bool text = sb_graph_attr(node, "values_strings") != NULL;
    return integer ? SB_ELEM_INT64 : text ? SB_ELEM_STRING : SB_ELEM_FLOAT;
}

static enum sb_elem output_elem(const struct sb_graph *graph, const struct sb_graph_node *node,
                                uint32_t output)
{
    const char *op = node->op->name;
    if (strcmp(op, "Constant") == 0 || strcmp(op, "ConstantOfShape") == 0) {
        return elem_of_constant(node, SB_ELEM_FLOAT);
    }
    if (strcmp(op, "QuantizeLinear") == 0) {
        const struct sb_value *zero_point = sb_graph_input(graph, node, 2);
        int64_t given = sb_graph_attr_int(node, "output_dtype", SB_ELEM_NONE);
        enum sb_elem absent = given != SB_ELEM_NONE ? (enum sb_elem)given : SB_ELEM_UINT8;
        return zero_point != NULL ? zero_point->elem : absent;
    }
    if (strcmp(op, "LabelEncoder") == 0) {
        return elem_of_label(node);
    }
    for (size_t i = 0; i < sizeof k_rules / sizeof k_rules[0]; i++) {
        const struct elem_rule *r = &k_rules[i];
        if (r->output != output || strcmp(r->op, op) != 0) {
            continue;
        }
        if (r->elem != SB_ELEM_NONE) {
            return r->elem;
        }
        return r->attr != NULL ? (enum sb_elem)sb_graph_attr_int(node, r->attr, SB_ELEM_FLOAT)
                               : elem_of_input(graph, node, r->input);
    }
    return elem_of_input(graph, node, 0);
}

void sb_passes_elems(struct sb_graph *graph)
{
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *node = &graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->output_count; i++) {
            if (node->outputs[i] != SB_NO_VALUE && !graph->values[node->outputs[i]].is_const) {
                graph->values[node->outputs[i]].elem = output_elem(graph, node, i);
            }
        }
    }
}
