/* passes_quant.c: sb_expand_quant: quantisation that is computed, not a scale for the activations. See passes_impl.h.
 *
 *     DequantizeLinear        (x - zero point) * scale
 *     QuantizeLinear          clip(round(x / scale) + zero point), where scales differ along an axis or in blocks
 *
 * Scales must be constants: which way a half falls under one that is computed depends on how float32 rounds it. */
#include <string.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

static const struct sb_shape k_scalar = {.rank = 0};

static sb_err unary(uint32_t *ret, struct sb_expansion *x, const char *op, uint32_t a)
{
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, x, op, &a, 1, NULL, 0);
}

static sb_err binary(uint32_t *ret, struct sb_expansion *x, const char *op, uint32_t a, uint32_t b)
{
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, x, op, (uint32_t[]){a, b}, 2, NULL, 0);
}

static sb_err cast(uint32_t *ret, struct sb_expansion *x, uint32_t a, enum sb_elem elem)
{
    struct sb_attr to = sb_attr_int("to", elem);
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, x, "Cast", &a, 1, &to, 1);
}

static sb_err real(uint32_t *ret, struct sb_expansion *x, double v)
{
    return sb_expand_const(ret, x, SB_ELEM_FLOAT, &k_scalar, &v);
}

/* Scales or zero points as they broadcast to x: one, one for each index of the axis, or each repeated over its block. */
static sb_err spread(uint32_t *ret, struct sb_expansion *x, uint32_t param)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    int64_t block = sb_graph_attr_int(n, "block_size", 0);
    int64_t axis = sb_graph_attr_int(n, "axis", 1);
    axis += axis < 0 ? shape->rank : 0;
    *ret = param;
    if (block > 0) {
        uint32_t dim = shape->dims[axis];
        uint32_t in[2] = {param};
        struct sb_attr along = sb_attr_int("axis", axis);
        SB_TRY(sb_expand_const(&in[1], x, SB_ELEM_INT64,
                               &(struct sb_shape){.rank = 1, .dims = {dim}}, NULL));
        for (uint32_t i = 0; i < dim; i++) {
            x->graph->values[in[1]].array.data[i] = (double)(i / block);
        }
        *ret = SB_NO_VALUE;
        return sb_expand_node(ret, x, "Gather", in, 2, &along, 1);
    }
    if (sb_array_count(&x->graph->values[param].array) == 1) {
        return SB_OK;
    }
    struct sb_shape column = {.rank = shape->rank - (uint32_t)axis, .dims = {shape->dims[axis]}};
    for (uint32_t i = 1; i < column.rank; i++) {
        column.dims[i] = 1;
    }
    *ret = SB_NO_VALUE;
    return sb_expand_reshape(ret, x, param, &column);
}

static sb_err expand_dequantize(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t whole = 0;
    uint32_t number = 0;
    uint32_t scale = 0;
    SB_TRY(cast(&whole, x, n->inputs[0], SB_ELEM_INT32));
    if (sb_graph_input(x->graph, n, 2) != NULL) {
        uint32_t zero_point = 0;
        uint32_t wide = 0;
        uint32_t centred = 0;
        SB_TRY(spread(&zero_point, x, n->inputs[2]));
        SB_TRY(cast(&wide, x, zero_point, SB_ELEM_INT32));
        SB_TRY(binary(&centred, x, "Sub", whole, wide));
        whole = centred;
    }
    SB_TRY(cast(&number, x, whole, SB_ELEM_FLOAT));
    SB_TRY(spread(&scale, x, n->inputs[1]));
    return sb_expand_node(&n->outputs[0], x, "Mul", (uint32_t[]){number, scale}, 2, NULL, 0);
}

/* clip(round(x / scale) + zero point) as integers of a type of 8 bits; zero_point is real, or SB_NO_VALUE. */
static sb_err quantise(uint32_t output, struct sb_expansion *x, uint32_t scale, uint32_t zero_point,
                       enum sb_elem elem)
{
    bool is_signed = elem == SB_ELEM_INT8;
    uint32_t steps = 0;
    uint32_t q = 0;
    uint32_t in[3];
    uint32_t clipped = SB_NO_VALUE;
    SB_TRY(binary(&steps, x, "Div", x->origin->inputs[0], scale));
    SB_TRY(unary(&q, x, "Round", steps));
    if (zero_point != SB_NO_VALUE) {
        uint32_t moved = 0;
        SB_TRY(binary(&moved, x, "Add", q, zero_point));
        q = moved;
    }
    in[0] = q;
    SB_TRY(real(&in[1], x, is_signed ? INT8_MIN : 0));
    SB_TRY(real(&in[2], x, is_signed ? INT8_MAX : UINT8_MAX));
    SB_TRY(sb_expand_node(&clipped, x, "Clip", in, 3, NULL, 0));
    struct sb_attr to = sb_attr_int("to", elem);
    return sb_expand_node(&output, x, "Cast", &clipped, 1, &to, 1);
}

static bool is_single(const struct sb_value *v)
{
    return v == NULL || sb_array_count(&v->array) == 1;
}

static sb_err expand_quantize(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *zero = sb_graph_input(x->graph, n, 2);
    enum sb_elem elem = x->graph->values[n->outputs[0]].elem;
    uint32_t scale = 0;
    uint32_t zero_point = SB_NO_VALUE;
    bool constant = x->graph->values[n->inputs[1]].is_const && (zero == NULL || zero->is_const);
    *ret_done = constant && (!is_single(&x->graph->values[n->inputs[1]]) || !is_single(zero) ||
                             sb_graph_attr_int(n, "block_size", 0) > 0);
    if (!*ret_done) {
        return SB_OK; /* lowered as it is, or refused */
    }
    if (elem != SB_ELEM_INT8 && elem != SB_ELEM_UINT8) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n, "quantised to other than 8 bits");
    }
    SB_TRY(spread(&scale, x, n->inputs[1]));
    if (zero != NULL) {
        uint32_t spread_out = 0;
        SB_TRY(spread(&spread_out, x, n->inputs[2]));
        SB_TRY(cast(&zero_point, x, spread_out, SB_ELEM_FLOAT));
    }
    return quantise(n->outputs[0], x, scale, zero_point, elem);
}

sb_err sb_expand_quant(bool *ret_done, struct sb_expansion *x)
{
    *ret_done = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_DEQUANTIZE_LINEAR:
        return expand_dequantize(x);
    case SB_ONNX_QUANTIZE_LINEAR:
        return expand_quantize(ret_done, x);
    default:
        *ret_done = false;
        return SB_OK;
    }
}
