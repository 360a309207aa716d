/* lower_shape.c: operators that only move elements. See lower.h. */
#include <inttypes.h>
#include <string.h>

#include "vm/compiler/lower_impl.h"

/* All readers, through operators of one element each, are Gemms: their weights can take the order of an NHWC image. */
static bool only_feeds_gemm(const struct sb_lowering *l, uint32_t value)
{
    for (;;) {
        const struct sb_graph *g = l->graph;
        uint32_t reader = SB_NO_VALUE;
        uint32_t readers = sb_graph_readers(&reader, g, value);
        uint32_t gemms = 0;
        for (uint32_t n = 0; n < g->node_count; n++) {
            const struct sb_graph_node *node = &g->nodes[n];
            if (!node->removed && node->op->id == SB_ONNX_GEMM && node->inputs[0] == value) {
                gemms++;
            }
        }
        if (gemms == readers) {
            return gemms > 0;
        }
        double ignored = 0;
        if (readers != 1 || reader == SB_NO_VALUE ||
            (!sb_clip_bounds(&ignored, &ignored, g, &g->nodes[reader]) &&
             !sb_eval_unary_of(&ignored, &g->nodes[reader], 0))) {
            return false;
        }
        value = g->nodes[reader].outputs[0];
    }
}

static sb_err emit_reshape(struct sb_lowering *l, uint32_t value, struct sb_lowered *x)
{
    x->shape = l->graph->values[value].array.shape;
    x->tensor = sb_lower_emit(l, value, SB_OP_RESHAPE, &x->tensor, 1, &x->format, &x->shape, NULL);
    sb_lower_set(l, value, x, SB_OP_RESHAPE);
    return SB_OK;
}

sb_err sb_lower_reshape(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    const struct sb_shape *to = &l->graph->values[value].array.shape;
    struct sb_lowered x;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    bool image = x.layout == SB_LAYOUT_NHWC;
    const uint32_t *d = x.shape.dims;
    if (image && (d[3] == 1 || d[1] * d[2] == 1)) {
        x.layout = SB_LAYOUT_PLAIN; /* the order is the same */
    } else if (image && to->rank == 2 && to->dims[0] == d[0] && only_feeds_gemm(l, value)) {
        x.layout = SB_LAYOUT_FLAT;
        x.flat_channels = d[3];
    } else if (image) {
        SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    } else if (x.layout == SB_LAYOUT_FLAT) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "reshaping a flattened image");
    }
    return emit_reshape(l, value, &x);
}

sb_err sb_lower_transpose(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    struct sb_lowered x;
    size_t count = 0;
    const int64_t *perm = sb_graph_attr_ints(&count, node, "perm");
    int64_t attrs[SB_TENSOR_RANK_MAX] = {0};
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    uint32_t rank = x.shape.rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t from = perm == NULL ? rank - 1 - i : (uint32_t)perm[i];
        attrs[i] = sb_lower_axis(&x, from);
    }
    x.layout = SB_LAYOUT_PLAIN;
    x.shape = l->graph->values[value].array.shape;
    x.tensor = sb_lower_emit(l, value, SB_OP_TRANSPOSE, &x.tensor, 1, &x.format, &x.shape, attrs);
    sb_lower_set(l, value, &x, SB_OP_TRANSPOSE);
    return SB_OK;
}

sb_err sb_lower_concat(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    const struct sb_shape *shape = &l->graph->values[value].array.shape;
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    struct sb_lowered y = {.layout = SB_LAYOUT_PLAIN};
    uint32_t in[SB_NODE_INPUTS_MAX];
    uint32_t in_count = 0;
    int64_t axis = sb_graph_attr_int(node, "axis", 0);
    axis = axis < 0 ? axis + shape->rank : axis;
    double bound = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct sb_lowered *x = &l->lowered[node->inputs[i]];
        if (x->tensor != SB_BUILD_NONE) {
            y.layout = x->layout == SB_LAYOUT_NHWC ? SB_LAYOUT_NHWC : y.layout;
            bound = fmax(bound, sb_lower_magnitude(&x->format) * x->format.scale);
        }
    }
    SB_TRY(sb_lower_format(&y.format, l, &target, node, bound > 0 ? bound : (double)INFINITY));
    int64_t at = sb_lower_axis(&y, (uint32_t)axis);
    y.format.lo = sb_dtype_min(y.format.dtype);
    y.format.hi = sb_dtype_max(y.format.dtype);
    y.shape = sb_lower_shape(shape, y.layout);
    struct sb_shape so_far = y.shape;
    so_far.dims[at] = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        struct sb_lowered x;
        if (sb_array_count(&l->graph->values[node->inputs[i]].array) == 0) {
            continue;
        }
        SB_TRY(sb_lower_get(&x, l, node, i, y.layout));
        if (x.format.dtype != y.format.dtype || x.format.scale != y.format.scale ||
            x.format.quant.zero_point != y.format.quant.zero_point) {
            SB_TRY(sb_lower_convert(&x, l, node, value, &y.format));
        }
        if (in_count ==
            SB_NODE_INPUTS_MAX) { /* one operator takes no more: go on with what is there */
            in[0] = sb_lower_emit(l, value, SB_OP_CONCAT, in, in_count, &y.format, &so_far, &at);
            in_count = 1;
        }
        in[in_count++] = x.tensor;
        so_far.dims[at] += x.shape.dims[at];
    }
    y.tensor = sb_lower_emit(l, value, SB_OP_CONCAT, in, in_count, &y.format, &y.shape, &at);
    sb_lower_set(l, value, &y, SB_OP_CONCAT);
    return SB_OK;
}

/* A border of one value; other modes are movements. */
sb_err sb_lower_pad(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    const struct sb_value *fill = sb_graph_input(l->graph, node, 2);
    int64_t pads[2 * SB_TENSOR_RANK_MAX];
    int64_t attrs[SB_ATTR_PAD_VALUE + 1] = {0};
    struct sb_lowered x;
    if (strcmp(sb_graph_attr_string(node, "mode", "constant"), "constant") != 0) {
        return sb_lower_move(l, node);
    }
    if (fill != NULL && !fill->is_const) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "a value that is not constant");
    }
    struct sb_eval e = sb_lower_eval(l, node);
    uint32_t rank = e.in[0]->shape.rank;
    SB_TRY(sb_eval_pads(pads, &e, rank));
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    if (x.layout == SB_LAYOUT_FLAT) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "padding a flattened image");
    }
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t at = sb_lower_axis(&x, i);
        attrs[SB_ATTR_PAD_BEFORE + at] = pads[i];
        attrs[SB_ATTR_PAD_AFTER + at] = pads[i + rank];
    }
    double real = fill != NULL ? fill->array.data[0] : sb_graph_attr_float(node, "value", 0);
    struct sb_format whole =
        sb_format_of(x.format.dtype, x.format.scale, x.format.quant.zero_point);
    attrs[SB_ATTR_PAD_VALUE] = sb_format_raw(&whole, real);
    x.format.lo = whole.lo;
    x.format.hi = whole.hi;
    x.shape = sb_lower_shape(&l->graph->values[value].array.shape, x.layout);
    x.tensor = sb_lower_emit(l, value, SB_OP_PAD, &x.tensor, 1, &x.format, &x.shape, attrs);
    sb_lower_set(l, value, &x, SB_OP_PAD);
    return SB_OK;
}
