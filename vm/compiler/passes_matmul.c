/* passes_matmul.c: sb_expand_matmul: the forms of products. What is left are Gemm with constant weights and a bias by column, and MatMul of
 * tensors of rank 2 and more. See passes_impl.h. */
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

static const struct sb_shape *shape_of(const struct sb_expansion *x, uint32_t value)
{
    return &x->graph->values[value].array.shape;
}

/* A vector is a matrix of one row (first operand) or column. */
static sb_err expand_vectors(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t in[2] = {n->inputs[0], n->inputs[1]};
    uint32_t y = SB_NO_VALUE;
    *changed = false;
    for (uint32_t i = 0; i < 2; i++) {
        const struct sb_shape shape = *shape_of(x, in[i]);
        struct sb_shape matrix = {.rank = 2, .dims = {1, 1}};
        if (shape.rank == 1) {
            *changed = true;
            matrix.dims[i == 0 ? 1 : 0] = shape.dims[0];
            in[i] = SB_NO_VALUE;
            SB_TRY(sb_expand_reshape(&in[i], x, n->inputs[i], &matrix));
        }
    }
    if (!*changed) {
        return SB_OK;
    }
    SB_TRY(sb_expand_binary(&y, x, n->op->name, in[0], in[1]));
    return sb_expand_reshape(&n->outputs[0], x, y, shape_of(x, n->outputs[0]));
}

static sb_err transposed(uint32_t *ret, struct sb_expansion *x, uint32_t value)
{
    *ret = SB_NO_VALUE;
    return sb_expand_transpose(ret, x, value, (uint32_t[]){1, 0}, 2);
}

/* y * factor, if that is not 1. */
static sb_err scaled(uint32_t *value, struct sb_expansion *x, double factor)
{
    uint32_t c = 0;
    uint32_t y = SB_NO_VALUE;
    if (factor == 1) {
        return SB_OK;
    }
    SB_TRY(sb_expand_scalar(&c, x, factor));
    SB_TRY(sb_expand_binary(&y, x, "Mul", *value, c));
    *value = y;
    return SB_OK;
}

/* alpha * A * B + beta * C by MatMul, Mul and Add where the weights are computed, A is transposed, or C is no row of constants. */
static sb_err expand_gemm(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *c = sb_graph_input(x->graph, n, 2);
    bool ta = sb_graph_attr_int(n, "transA", 0) != 0;
    bool tb = sb_graph_attr_int(n, "transB", 0) != 0;
    uint32_t columns = shape_of(x, n->outputs[0])->dims[1];
    uint64_t have = c != NULL ? sb_array_count(&c->array) : 1;
    bool row =
        c == NULL ||
        (c->is_const && (have == 1 || (have == columns &&
                                       c->array.shape.dims[c->array.shape.rank - 1] == columns)));
    *changed = ta || !x->graph->values[n->inputs[1]].is_const || !row;
    if (!*changed) {
        return SB_OK;
    }
    uint32_t a = n->inputs[0];
    uint32_t b = n->inputs[1];
    if (ta) {
        SB_TRY(transposed(&a, x, n->inputs[0]));
    }
    if (tb) {
        SB_TRY(transposed(&b, x, n->inputs[1]));
    }
    uint32_t product =
        c == NULL && sb_graph_attr_float(n, "alpha", 1) == 1 ? n->outputs[0] : SB_NO_VALUE;
    SB_TRY(sb_expand_binary(&product, x, "MatMul", a, b));
    if (c == NULL && product == n->outputs[0]) {
        return SB_OK;
    }
    if (c == NULL) {
        uint32_t alpha = 0;
        SB_TRY(sb_expand_scalar(&alpha, x, sb_graph_attr_float(n, "alpha", 1)));
        return sb_expand_binary(&n->outputs[0], x, "Mul", product, alpha);
    }
    uint32_t bias = n->inputs[2];
    SB_TRY(scaled(&product, x, sb_graph_attr_float(n, "alpha", 1)));
    SB_TRY(scaled(&bias, x, sb_graph_attr_float(n, "beta", 1)));
    return sb_expand_binary(&n->outputs[0], x, "Add", product, bias);
}

/* value - zero point as int16, which holds any difference of 8-bit integers; the zero point may be absent, or differ by row of the first operand or column of the second. */
static sb_err centred(uint32_t *ret, struct sb_expansion *x, uint32_t value, uint32_t zero_point,
                      bool by_row)
{
    struct sb_attr to = sb_attr_int("to", SB_ELEM_INT16);
    uint32_t zero = SB_NO_VALUE;
    uint32_t wide = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&wide, x, "Cast", &value, 1, &to, 1));
    *ret = wide;
    if (zero_point == SB_NO_VALUE) {
        return SB_OK;
    }
    SB_TRY(sb_expand_node(&zero, x, "Cast", &zero_point, 1, &to, 1));
    const struct sb_shape *shape = shape_of(x, zero_point);
    if (by_row && shape->rank == 1 && shape->dims[0] > 1) {
        struct sb_shape column = {.rank = 2, .dims = {shape->dims[0], 1}};
        uint32_t turned = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&turned, x, zero, &column));
        zero = turned;
    }
    *ret = SB_NO_VALUE;
    return sb_expand_binary(ret, x, "Sub", wide, zero);
}

/* What is left has two inputs of 16 bits and an exact product of 32. */
static sb_err expand_integer(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t a = 0;
    uint32_t b = 0;
    SB_TRY(expand_vectors(changed, x));
    if (*changed || x->graph->values[n->inputs[0]].elem == SB_ELEM_INT16) {
        return SB_OK;
    }
    *changed = true;
    SB_TRY(centred(&a, x, n->inputs[0], n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE, true));
    SB_TRY(centred(&b, x, n->inputs[1], n->input_count > 3 ? n->inputs[3] : SB_NO_VALUE, false));
    return sb_expand_binary(&n->outputs[0], x, "MatMulInteger", a, b);
}

/* The exact product, scaled and quantised. */
static sb_err expand_q_linear(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_attr to = sb_attr_int("to", SB_ELEM_FLOAT);
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t product = SB_NO_VALUE;
    uint32_t real = SB_NO_VALUE;
    uint32_t factor = SB_NO_VALUE;
    uint32_t value = SB_NO_VALUE;
    SB_TRY(centred(&a, x, n->inputs[0], n->inputs[2], true));
    SB_TRY(centred(&b, x, n->inputs[3], n->inputs[5], false));
    SB_TRY(sb_expand_binary(&product, x, "MatMulInteger", a, b));
    SB_TRY(sb_expand_node(&real, x, "Cast", &product, 1, &to, 1));
    SB_TRY(sb_expand_binary(&factor, x, "Mul", n->inputs[1], n->inputs[4]));
    SB_TRY(sb_expand_binary(&value, x, "Mul", real, factor));
    return sb_expand_node(&n->outputs[0], x, "QuantizeLinear",
                          (uint32_t[]){value, n->inputs[6], n->inputs[7]}, 3, NULL, 0);
}

sb_err sb_expand_matmul(bool *changed, struct sb_expansion *x)
{
    *changed = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_MAT_MUL:
        return expand_vectors(changed, x);
    case SB_ONNX_GEMM:
        return expand_gemm(changed, x);
    case SB_ONNX_MAT_MUL_INTEGER:
        return expand_integer(changed, x);
    case SB_ONNX_Q_LINEAR_MAT_MUL:
        return expand_q_linear(x);
    default:
        *changed = false;
        return SB_OK;
    }
}
