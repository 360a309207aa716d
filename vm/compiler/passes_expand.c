/* passes_expand.c: sb_pass_expand: operators that are made of simpler ones. See passes_impl.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"
#include "vm/compiler/trees.h"

static sb_err grow(struct sb_expansion *x)
{
    uint32_t capacity = 2 * x->capacity;
    struct sb_graph_node *nodes = sb_arena_array(x->graph->memory, capacity, sizeof *nodes);
    if (nodes == NULL || x->capacity > SB_GRAPH_NODES_MAX) {
        return sb_graph_fail(x->diag, SB_E_LIMIT, x->origin,
                             "written out in simpler operators the graph has more than %u nodes",
                             SB_GRAPH_NODES_MAX);
    }
    memcpy(nodes, x->nodes, x->count * sizeof *nodes);
    x->nodes = nodes;
    x->capacity = capacity;
    return SB_OK;
}

sb_err sb_expand_value(uint32_t *ret, struct sb_expansion *x)
{
    char name[128];
    int len = snprintf(name, sizeof name, "%.100s/%u", x->origin->name, x->graph->value_count);
    char *kept = (char *)sb_arena_dup(x->graph->memory, sb_span(name, (size_t)len + 1));
    uint32_t index = kept == NULL ? SB_NO_VALUE : sb_graph_add_value(x->graph, kept);
    *ret = index;
    return index == SB_NO_VALUE ? sb_pass_nomem(x->diag) : SB_OK;
}

sb_err sb_expand_node(uint32_t *output, struct sb_expansion *x, const char *op,
                      const uint32_t *inputs, uint32_t input_count, const struct sb_attr *attrs,
                      uint32_t attr_count)
{
    struct sb_arena *memory = x->graph->memory;
    const struct sb_onnx_op *found = sb_onnx_op_find("", op);
    if (*output == SB_NO_VALUE) {
        SB_TRY(sb_expand_value(output, x));
    }
    if (x->count == x->capacity) {
        SB_TRY(grow(x));
    }
    struct sb_graph_node *n = &x->nodes[x->count];
    *n = (struct sb_graph_node){
        .name = x->origin->name,
        .op = found != NULL ? found : sb_onnx_op_find("samebit", op),
        .opset = SB_EXPAND_OPSET,
        .input_count = input_count,
        .inputs =
            (uint32_t *)(void *)sb_arena_dup(memory, sb_span(inputs, input_count * sizeof *inputs)),
        .output_count = 1,
        .outputs = (uint32_t *)(void *)sb_arena_dup(memory, sb_span(output, sizeof *output)),
    };
    SB_ASSERT(n->op != NULL);
    if (n->inputs == NULL || n->outputs == NULL) {
        return sb_pass_nomem(x->diag);
    }
    SB_TRY(sb_pass_set_attrs(x->graph, n, attrs, attr_count, x->diag));
    x->count++;
    return SB_OK;
}

sb_err sb_expand_const(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem,
                       const struct sb_shape *shape, const double *data)
{
    SB_TRY(sb_pass_const(ret, x->graph, x->origin->name, shape, x->diag));
    struct sb_value *v = &x->graph->values[*ret];
    v->elem = elem;
    if (data != NULL) {
        memcpy(v->array.data, data, sb_array_count(&v->array) * sizeof *data);
    }
    return SB_OK;
}

sb_err sb_expand_ints(uint32_t *ret, struct sb_expansion *x, const int64_t *ints, size_t count)
{
    struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)count}};
    SB_TRY(sb_expand_const(ret, x, SB_ELEM_INT64, &shape, NULL));
    for (size_t i = 0; i < count; i++) {
        x->graph->values[*ret].array.data[i] = (double)ints[i];
    }
    return SB_OK;
}

sb_err sb_expand_unary(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a)
{
    return sb_expand_node(output, x, op, &a, 1, NULL, 0);
}

sb_err sb_expand_binary(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a,
                        uint32_t b)
{
    return sb_expand_node(output, x, op, (uint32_t[]){a, b}, 2, NULL, 0);
}

sb_err sb_expand_scalar(uint32_t *ret, struct sb_expansion *x, double value)
{
    struct sb_shape shape = {.rank = 0};
    return sb_expand_const(ret, x, SB_ELEM_FLOAT, &shape, &value);
}

sb_err sb_expand_transpose(uint32_t *output, struct sb_expansion *x, uint32_t a,
                           const uint32_t *perm, uint32_t rank)
{
    int64_t *ints = sb_arena_array(x->graph->memory, SB_TENSOR_RANK_MAX, sizeof *ints);
    if (ints == NULL) {
        return sb_pass_nomem(x->diag);
    }
    for (uint32_t i = 0; i < rank; i++) {
        ints[i] = perm[i];
    }
    struct sb_attr attr = sb_attr_ints("perm", ints, rank);
    return sb_expand_node(output, x, "Transpose", &a, 1, &attr, 1);
}

/* Append a node with one or two inputs. */
static sb_err add_node(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a,
                       uint32_t b, const struct sb_attr *attrs, uint32_t attr_count)
{
    return sb_expand_node(output, x, op, (uint32_t[]){a, b}, b == SB_NO_VALUE ? 1 : 2, attrs,
                          attr_count);
}

static sb_err add_vector(uint32_t *ret, struct sb_expansion *x, const double *elements,
                         size_t count, size_t given)
{
    struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)count}};
    SB_TRY(sb_pass_const(ret, x->graph, x->origin->name, &shape, x->diag));
    for (size_t i = 0; i < count && given > 0; i++) {
        x->graph->values[*ret].array.data[i] = elements[given == 1 ? 0 : i];
    }
    return SB_OK;
}

/* (x - offset) * scale */
static sb_err expand_scaler(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    size_t columns = shape->dims[shape->rank - 1];
    size_t offsets = 0;
    size_t scales = 0;
    const double *offset = sb_graph_attr_floats(&offsets, n, "offset");
    const double *scale = sb_graph_attr_floats(&scales, n, "scale");
    uint32_t minus_offset = 0;
    uint32_t factor = 0;
    uint32_t shifted = SB_NO_VALUE;
    SB_TRY(add_vector(&minus_offset, x, offset, columns, offsets));
    SB_TRY(add_vector(&factor, x, scale, columns, scales));
    for (size_t i = 0; i < columns; i++) {
        x->graph->values[minus_offset].array.data[i] *= -1;
    }
    SB_TRY(add_node(&shifted, x, "Add", n->inputs[0], minus_offset, NULL, 0));
    return add_node(&n->outputs[0], x, "Mul", shifted, factor, NULL, 0);
}

/* Gemm with the coefficients; ret_raw is its result. */
static sb_err expand_coefficients(uint32_t *raw, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    size_t columns = shape->dims[shape->rank - 1];
    size_t count = 0;
    size_t intercepts = 0;
    const double *coefficients = sb_graph_attr_floats(&count, n, "coefficients");
    const double *intercept = sb_graph_attr_floats(&intercepts, n, "intercepts");
    struct sb_shape weights = {.rank = 2, .dims = {(uint32_t)(count / columns), (uint32_t)columns}};
    uint32_t w = 0;
    uint32_t b = 0;
    SB_TRY(sb_pass_const(&w, x->graph, n->name, &weights, x->diag));
    memcpy(x->graph->values[w].array.data, coefficients, count * sizeof *coefficients);
    SB_TRY(add_vector(&b, x, intercept, count / columns, intercepts));
    struct sb_attr trans = {.name = "transB", .kind = SB_ATTR_KIND_INT, .i = 1};
    uint32_t product = SB_NO_VALUE;
    SB_TRY(add_node(&product, x, "Gemm", n->inputs[0], w, &trans, 1));
    return add_node(raw, x, "Add", product, b, NULL, 0);
}

static sb_err expand_post(uint32_t output, struct sb_expansion *x, uint32_t raw,
                          enum sb_post_transform post)
{
    struct sb_attr axis = {.name = "axis", .kind = SB_ATTR_KIND_INT, .i = -1};
    const char *op = post == SB_POST_NONE      ? "Identity"
                     : post == SB_POST_SOFTMAX ? "Softmax"
                                               : "Sigmoid";
    return add_node(&output, x, op, raw, SB_NO_VALUE, &axis, post == SB_POST_SOFTMAX ? 1 : 0);
}

static sb_err expand_regressor(struct sb_expansion *x)
{
    enum sb_post_transform post;
    uint32_t raw = SB_NO_VALUE;
    SB_TRY(sb_post_transform_of(&post, x->origin, x->diag));
    if (post == SB_POST_NONE) {
        return expand_coefficients(&x->origin->outputs[0], x);
    }
    SB_TRY(expand_coefficients(&raw, x));
    return expand_post(x->origin->outputs[0], x, raw, post);
}

/* Output 0 is the label, output 1 the scores; either may be unused. */
static sb_err expand_classifier(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    enum sb_post_transform post;
    uint32_t scores = n->output_count > 1 ? n->outputs[1] : SB_NO_VALUE;
    SB_TRY(sb_post_transform_of(&post, n, x->diag));
    uint32_t raw = post == SB_POST_NONE ? scores : SB_NO_VALUE;
    SB_TRY(expand_coefficients(&raw, x));
    if (scores != SB_NO_VALUE && post != SB_POST_NONE) {
        SB_TRY(expand_post(scores, x, raw, post));
    }
    if (n->outputs[0] == SB_NO_VALUE) {
        return SB_OK;
    }
    struct sb_attr attrs[] = {
        {.name = "axis", .kind = SB_ATTR_KIND_INT, .i = -1},
        {.name = "keepdims", .kind = SB_ATTR_KIND_INT, .i = 0},
    };
    size_t labels = 0;
    const int64_t *ints = sb_graph_attr_ints(&labels, n, "classlabels_ints");
    if (ints == NULL) {
        return add_node(&n->outputs[0], x, "ArgMax", raw, SB_NO_VALUE, attrs, 2);
    }
    uint32_t index = SB_NO_VALUE;
    uint32_t table = 0;
    SB_TRY(add_node(&index, x, "ArgMax", raw, SB_NO_VALUE, attrs, 2));
    SB_TRY(add_vector(&table, x, NULL, labels, 0));
    x->graph->values[table].elem = SB_ELEM_INT64;
    for (size_t i = 0; i < labels; i++) {
        x->graph->values[table].array.data[i] = (double)ints[i];
    }
    return add_node(&n->outputs[0], x, "Gather", table, index, NULL, 0);
}

/* x - c and x / c by a constant; c - x stays for lowering. */
static sb_err expand_inverse(struct sb_expansion *x, const char *op, const struct sb_value *c)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t inverse = 0;
    SB_TRY(sb_pass_const(&inverse, x->graph, n->name, &c->array.shape, x->diag));
    for (uint64_t i = 0; i < sb_array_count(&c->array); i++) {
        double v = c->array.data[i];
        x->graph->values[inverse].array.data[i] = op[0] == 'A' ? -v : 1 / v;
    }
    x->graph->values[inverse].elem = c->elem;
    return add_node(&n->outputs[0], x, op, n->inputs[0], inverse, NULL, 0);
}

/* y = x * (gamma / sqrt(variance + epsilon)) + (beta - mean * that), for each channel. */
static sb_err expand_batch_normalization(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *in[5];
    for (uint32_t i = 0; i < 5; i++) {
        in[i] = sb_graph_input(x->graph, n, i);
        if (i > 0 && !in[i]->is_const) {
            return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n, "parameters that are not constants");
        }
    }
    uint32_t rank = in[0]->array.shape.rank;
    struct sb_shape shape = {.rank = rank - 1, .dims = {in[0]->array.shape.dims[1], 1, 1, 1, 1}};
    for (uint32_t i = shape.rank; i < SB_TENSOR_RANK_MAX; i++) {
        shape.dims[i] = 0;
    }
    uint32_t factor = 0;
    uint32_t term = 0;
    uint32_t scaled = SB_NO_VALUE;
    SB_TRY(sb_pass_const(&factor, x->graph, n->name, &shape, x->diag));
    SB_TRY(sb_pass_const(&term, x->graph, n->name, &shape, x->diag));
    double epsilon = sb_graph_attr_float(n, "epsilon", 1e-5);
    for (uint32_t c = 0; c < shape.dims[0]; c++) {
        double k = in[1]->array.data[c] / sqrt(in[4]->array.data[c] + epsilon);
        x->graph->values[factor].array.data[c] = k;
        x->graph->values[term].array.data[c] = in[2]->array.data[c] - in[3]->array.data[c] * k;
    }
    SB_TRY(add_node(&scaled, x, "Mul", n->inputs[0], factor, NULL, 0));
    return add_node(&n->outputs[0], x, "Add", scaled, term, NULL, 0);
}

/* A node as it is, or what it is made of. */
static sb_err expand_node(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *second = sb_graph_input(x->graph, n, 1);
    *changed = true;
    switch ((int)n->op->id) {
    case SB_ONNX_SCALER:
        return expand_scaler(x);
    case SB_ONNX_LINEAR_REGRESSOR:
        return expand_regressor(x);
    case SB_ONNX_LINEAR_CLASSIFIER:
        return expand_classifier(x);
    case SB_ONNX_BATCH_NORMALIZATION:
        return expand_batch_normalization(x);
    case SB_ONNX_SUB:
        if (second->is_const && !sb_elem_is_exact(second->elem)) {
            return expand_inverse(x, "Add", second);
        }
        break;
    case SB_ONNX_DIV:
        if (second->is_const && !sb_elem_is_exact(second->elem)) {
            return expand_inverse(x, "Mul", second);
        }
        break;
    default:
        break;
    }
    *changed = false;
    static sb_err (*const k_files[])(bool *, struct sb_expansion *) = {
        sb_expand_move,    sb_expand_window, sb_expand_rnn,  sb_expand_quant,  sb_expand_choice,
        sb_expand_classic, sb_expand_math,   sb_expand_norm, sb_expand_matmul, sb_expand_attention};
    for (size_t i = 0; i < sizeof k_files / sizeof k_files[0] && !*changed; i++) {
        SB_TRY(k_files[i](changed, x));
    }
    if (*changed) {
        return SB_OK;
    }
    if (x->count == x->capacity) {
        SB_TRY(grow(x));
    }
    x->nodes[x->count++] = *n;
    return SB_OK;
}

sb_err sb_pass_expand(bool *ret_changed, struct sb_graph *graph, struct sb_diag *diag)
{
    struct sb_expansion x = {
        .graph = graph, .capacity = graph->node_count + 1, .origin = graph->nodes, .diag = diag};
    bool any = false;
    x.nodes = sb_arena_array(graph->memory, x.capacity, sizeof *x.nodes);
    if (x.nodes == NULL) {
        return sb_pass_nomem(diag);
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        bool changed = false;
        x.origin = &graph->nodes[n];
        if (!x.origin->removed) {
            SB_TRY(expand_node(&changed, &x));
        }
        any = any || changed;
    }
    graph->nodes = x.nodes;
    graph->node_count = x.count;
    *ret_changed = any;
    return SB_OK;
}
