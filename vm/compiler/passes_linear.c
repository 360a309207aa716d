/* passes_linear.c: sb_pass_linear: one form for linear layers, and what folds into them. See passes_impl.h.
 *
 *     MatMul(x, w [K, N])          -> Gemm(x, w [N, K], bias [N]) with transB 1
 *     Gemm -> Add by constant      -> bias          Gemm -> Mul by constant -> rows of w, bias
 *     Conv -> Add / Mul [C, 1, 1]  -> the same (batch normalisation has become these two) */
#include <inttypes.h>
#include <string.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

static sb_err set_inputs(struct sb_graph *graph, struct sb_graph_node *node, uint32_t w,
                         uint32_t bias, struct sb_diag *diag)
{
    uint32_t inputs[3] = {node->inputs[0], w, bias};
    node->inputs = (uint32_t *)(void *)sb_arena_dup(graph->memory, sb_span(inputs, sizeof inputs));
    node->input_count = 3;
    return node->inputs != NULL ? SB_OK : sb_pass_nomem(diag);
}

/* A bias [count] from none, a scalar, or a row of a constant. */
static sb_err make_bias(uint32_t *ret, struct sb_graph *graph, const struct sb_graph_node *node,
                        const struct sb_value *from, uint32_t count, double factor,
                        struct sb_diag *diag)
{
    struct sb_shape shape = {.rank = 1, .dims = {count}};
    uint64_t have = from == NULL ? 0 : sb_array_count(&from->array);
    if (from != NULL && (!from->is_const || (have != 1 && have != count))) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "a bias that is no constant with one element for each output");
    }
    const double *elements = from == NULL ? NULL : from->array.data;
    SB_TRY(sb_pass_const(ret, graph, node->name, &shape, diag));
    for (uint32_t i = 0; i < count && have > 0; i++) {
        graph->values[*ret].array.data[i] = factor * elements[have == 1 ? 0 : i];
    }
    return SB_OK;
}

static sb_err const_weights(const struct sb_graph *graph, const struct sb_graph_node *node,
                            struct sb_diag *diag)
{
    const struct sb_value *w = &graph->values[node->inputs[1]];
    if (!w->is_const) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "weights that are computed; only constant weights are supported");
    }
    if (sb_array_count(&w->array) == 0) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "the weights '%s' have no elements", w->name);
    }
    return SB_OK;
}

static sb_err normalise_gemm(struct sb_graph *graph, struct sb_graph_node *node,
                             struct sb_diag *diag)
{
    bool matmul = node->op->id == SB_ONNX_MAT_MUL;
    bool transposed = !matmul && sb_graph_attr_int(node, "transB", 0) != 0;
    double alpha = matmul ? 1 : sb_graph_attr_float(node, "alpha", 1);
    double beta = matmul ? 1 : sb_graph_attr_float(node, "beta", 1);
    SB_TRY(const_weights(graph, node, diag));
    if (!matmul && sb_graph_attr_int(node, "transA", 0) != 0) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "transA; transpose the input instead");
    }
    const struct sb_value old = graph->values[node->inputs[1]];
    const uint32_t *d = old.array.shape.dims;
    uint32_t n = transposed ? d[0] : d[1];
    uint32_t k = transposed ? d[1] : d[0];
    uint32_t w = 0;
    uint32_t bias = 0;
    SB_TRY(
        sb_pass_const(&w, graph, node->name, &(struct sb_shape){.rank = 2, .dims = {n, k}}, diag));
    struct sb_value *fresh = &graph->values[w];
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < k; j++) {
            uint64_t at = transposed ? (uint64_t)i * k + j : (uint64_t)j * n + i;
            fresh->array.data[(uint64_t)i * k + j] = alpha * old.array.data[at];
        }
    }
    bool scales_fit =
        alpha == 1 && (old.weight_scale_count == 1 || old.weight_axis == (transposed ? 0u : 1u));
    fresh->weight_scales = scales_fit ? old.weight_scales : NULL;
    fresh->weight_scale_count = scales_fit ? old.weight_scale_count : 0;
    SB_TRY(make_bias(&bias, graph, node, sb_graph_input(graph, node, 2), n, beta, diag));
    node->op = sb_onnx_op_find("", "Gemm");
    struct sb_attr trans = {.name = "transB", .kind = SB_ATTR_KIND_INT, .i = 1};
    SB_TRY(sb_pass_set_attrs(graph, node, &trans, 1, diag));
    return set_inputs(graph, node, w, bias, diag);
}

static sb_err normalise_conv(struct sb_graph *graph, struct sb_graph_node *node,
                             struct sb_diag *diag)
{
    SB_TRY(const_weights(graph, node, diag));
    struct sb_value *old = &graph->values[node->inputs[1]];
    uint32_t w = 0;
    uint32_t bias = 0;
    SB_TRY(sb_pass_const(&w, graph, node->name, &old->array.shape, diag));
    struct sb_value *fresh = &graph->values[w];
    memcpy(fresh->array.data, old->array.data, sb_array_count(&old->array) * sizeof(double));
    bool scales_fit = old->weight_scale_count == 1 || old->weight_axis == 0;
    fresh->weight_scales = scales_fit ? old->weight_scales : NULL;
    fresh->weight_scale_count = scales_fit ? old->weight_scale_count : 0;
    SB_TRY(make_bias(&bias, graph, node, sb_graph_input(graph, node, 2), old->array.shape.dims[0],
                     1, diag));
    return set_inputs(graph, node, w, bias, diag);
}

/* The constant as one factor or term for each output of a linear layer; false if it is not of that form. */
static bool channel_element(double *ret, const struct sb_value *c, const struct sb_shape *y,
                            uint32_t channel)
{
    const struct sb_shape *s = &c->array.shape;
    uint32_t channel_axis = y->rank == 4 ? 1 : y->rank - 1;
    uint64_t count = sb_array_count(&c->array);
    for (uint32_t i = 0; i < s->rank; i++) {
        uint32_t axis = i + y->rank - s->rank; /* broadcasting aligns the last dimensions */
        if (s->rank > y->rank || (s->dims[i] != 1 && axis != channel_axis)) {
            return false;
        }
    }
    if (count != 1 && count != y->dims[channel_axis]) {
        return false;
    }
    *ret = c->array.data[count == 1 ? 0 : channel];
    return true;
}

/* Fold the Add or Mul that alone reads a linear layer into it. */
static void fold_reader(struct sb_graph *graph, struct sb_graph_node *node)
{
    struct sb_value *w = &graph->values[node->inputs[1]];
    struct sb_value *bias = &graph->values[node->inputs[2]];
    const struct sb_shape y = graph->values[node->outputs[0]].array.shape;
    uint32_t outputs = w->array.shape.dims[0];
    uint64_t row = sb_array_count(&w->array) / outputs;
    for (;;) {
        uint32_t reader = SB_NO_VALUE;
        if (sb_graph_readers(&reader, graph, node->outputs[0]) != 1 || reader == SB_NO_VALUE ||
            graph->values[node->outputs[0]].given.present) {
            return;
        }
        struct sb_graph_node *next = &graph->nodes[reader];
        bool add = next->op->id == SB_ONNX_ADD;
        if (!add && next->op->id != SB_ONNX_MUL) {
            return;
        }
        uint32_t other = next->inputs[0] == node->outputs[0] ? 1 : 0;
        const struct sb_value *c = &graph->values[next->inputs[other]];
        double element = 0;
        if (!c->is_const || !channel_element(&element, c, &y, 0)) {
            return;
        }
        for (uint32_t o = 0; o < outputs; o++) {
            (void)channel_element(&element, c, &y, o);
            bias->array.data[o] =
                add ? bias->array.data[o] + element : bias->array.data[o] * element;
            for (uint64_t i = 0; !add && i < row; i++) {
                w->array.data[o * row + i] *= element;
            }
        }
        w->weight_scales = add ? w->weight_scales : NULL;
        node->outputs[0] = next->outputs[0];
        next->removed = true;
    }
}

/* A MatMul of real rows with one constant matrix is a linear layer; others multiply computed tensors, or integers exactly. */
static bool is_layer(const struct sb_graph *graph, const struct sb_graph_node *node)
{
    const struct sb_value *w = &graph->values[node->inputs[1]];
    return w->is_const && w->array.shape.rank == 2 && !sb_elem_is_exact(w->elem);
}

sb_err sb_pass_linear(struct sb_graph *graph, struct sb_diag *diag)
{
    for (uint32_t n = 0; n < graph->node_count; n++) {
        struct sb_graph_node *node = &graph->nodes[n];
        bool gemm = node->op->id == SB_ONNX_GEMM || node->op->id == SB_ONNX_MAT_MUL;
        if (node->removed || (!gemm && node->op->id != SB_ONNX_CONV) ||
            (node->op->id == SB_ONNX_MAT_MUL && !is_layer(graph, node))) {
            continue;
        }
        SB_TRY(gemm ? normalise_gemm(graph, node, diag) : normalise_conv(graph, node, diag));
        fold_reader(graph, node);
    }
    return SB_OK;
}
