/* passes_move.c: sb_expand_move: movements that are made of simpler ones. See passes_impl.h. */
#include <string.h>

#include "vm/compiler/eval.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

/* The node being expanded as its reference sees it; inputs that are not constants have a shape, but no data. */
static struct sb_eval eval_of(const struct sb_expansion *x)
{
    struct sb_eval e = {.graph = x->graph, .node = x->origin, .diag = x->diag};
    for (uint32_t i = 0; i < x->origin->input_count; i++) {
        const struct sb_value *v = sb_graph_input(x->graph, x->origin, i);
        e.in[i] = v != NULL ? &v->array : NULL;
    }
    return e;
}

sb_err sb_expand_slice(uint32_t *output, struct sb_expansion *x, uint32_t from,
                       const int64_t *starts, const int64_t *ends, const int64_t *axes,
                       size_t count)
{
    uint32_t in[4] = {from};
    SB_TRY(sb_expand_ints(&in[1], x, starts, count));
    SB_TRY(sb_expand_ints(&in[2], x, ends, count));
    SB_TRY(sb_expand_ints(&in[3], x, axes, count));
    return sb_expand_node(output, x, "Slice", in, 4, NULL, 0);
}

sb_err sb_expand_reshape(uint32_t *output, struct sb_expansion *x, uint32_t from,
                         const struct sb_shape *shape)
{
    int64_t dims[SB_TENSOR_RANK_MAX];
    uint32_t in[2] = {from};
    for (uint32_t i = 0; i < shape->rank; i++) {
        dims[i] = shape->dims[i];
    }
    SB_TRY(sb_expand_ints(&in[1], x, dims, shape->rank));
    return sb_expand_node(output, x, "Reshape", in, 2, NULL, 0);
}

static sb_err expand_split(struct sb_expansion *x)
{
    int64_t sizes[SB_GRAPH_OPERANDS_MAX];
    uint32_t axis = 0;
    struct sb_eval e = eval_of(x);
    SB_TRY(sb_eval_split_sizes(sizes, &axis, &e));
    int64_t first = 0;
    for (uint32_t i = 0; i < x->origin->output_count; i++) {
        int64_t end = first + sizes[i];
        if (x->origin->outputs[i] != SB_NO_VALUE) {
            SB_TRY(sb_expand_slice(&x->origin->outputs[i], x, x->origin->inputs[0], &first, &end,
                                   &(int64_t){axis}, 1));
        }
        first = end;
    }
    return SB_OK;
}

/* What pads cut off goes first, by a Slice. */
static sb_err expand_pads(struct sb_expansion *x, const int64_t *pads, const char *mode,
                          uint32_t value)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *shape = &x->graph->values[n->inputs[0]].array.shape;
    uint32_t rank = shape->rank;
    int64_t starts[SB_TENSOR_RANK_MAX];
    int64_t ends[SB_TENSOR_RANK_MAX];
    int64_t axes[SB_TENSOR_RANK_MAX];
    int64_t left[2 * SB_TENSOR_RANK_MAX];
    bool pads_any = false;
    for (uint32_t i = 0; i < rank; i++) {
        const int64_t *after = &pads[i + rank];
        axes[i] = i;
        starts[i] = pads[i] < 0 ? -pads[i] : 0;
        ends[i] = shape->dims[i] + (*after < 0 ? *after : 0);
        left[i] = pads[i] < 0 ? 0 : pads[i];
        left[i + rank] = *after < 0 ? 0 : *after;
        pads_any = pads_any || left[i] > 0 || left[i + rank] > 0;
    }
    uint32_t cut = pads_any ? SB_NO_VALUE : n->outputs[0];
    SB_TRY(sb_expand_slice(&cut, x, n->inputs[0], starts, ends, axes, rank));
    if (!pads_any) {
        return SB_OK;
    }
    uint32_t in[3] = {cut, 0, value};
    struct sb_attr attr = sb_attr_string("mode", mode);
    SB_TRY(sb_expand_ints(&in[1], x, left, (size_t)2 * rank));
    return sb_expand_node(&n->outputs[0], x, "Pad", in, value == SB_NO_VALUE ? 2 : 3, &attr, 1);
}

/* Pads with a constant that cut elements off; other modes are places, whatever the signs. */
static sb_err expand_pad(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const char *mode = sb_graph_attr_string(n, "mode", "constant");
    uint32_t rank = x->graph->values[n->inputs[0]].array.shape.rank;
    int64_t pads[2 * SB_TENSOR_RANK_MAX];
    struct sb_eval e = eval_of(x);
    bool cuts = false;
    SB_TRY(sb_eval_pads(pads, &e, rank));
    for (uint32_t i = 0; i < 2 * rank; i++) {
        cuts = cuts || pads[i] < 0;
    }
    *ret_done = cuts && strcmp(mode, "constant") == 0;
    if (!*ret_done) {
        return SB_OK;
    }
    uint32_t value = n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE;
    if (value == SB_NO_VALUE) {
        double fill = sb_graph_attr_float(n, "value", 0);
        struct sb_shape scalar = {.rank = 0};
        enum sb_elem elem = x->graph->values[n->inputs[0]].elem;
        SB_TRY(sb_expand_const(&value, x, elem, &scalar, &fill));
    }
    return expand_pads(x, pads, mode, value);
}

static sb_err expand_center_crop_pad(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape *from = &x->graph->values[n->inputs[0]].array.shape;
    const struct sb_shape *to = &x->graph->values[n->outputs[0]].array.shape;
    int64_t pads[2 * SB_TENSOR_RANK_MAX];
    for (uint32_t i = 0; i < from->rank; i++) {
        int64_t more = (int64_t)to->dims[i] - (int64_t)from->dims[i];
        int64_t before = more >= 0 ? more / 2 : -(-more / 2);
        pads[i] = before;
        pads[i + from->rank] = more - before;
    }
    return expand_pads(x, pads, "constant", SB_NO_VALUE);
}

/* x times a mask of 0 and 1. */
static sb_err expand_trilu(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *from = &x->graph->values[n->inputs[0]];
    const struct sb_shape *s = &from->array.shape;
    const struct sb_value *shift = sb_graph_input(x->graph, n, 1);
    int64_t k = shift != NULL ? sb_eval_whole(shift->array.data[0]) : 0;
    bool upper = sb_graph_attr_int(n, "upper", 1) != 0;
    struct sb_shape shape = {.rank = 2, .dims = {s->dims[s->rank - 2], s->dims[s->rank - 1]}};
    uint32_t in[2] = {n->inputs[0]};
    SB_TRY(sb_expand_const(&in[1], x, from->elem, &shape, NULL));
    double *mask = x->graph->values[in[1]].array.data;
    for (uint32_t i = 0; i < shape.dims[0]; i++) {
        for (uint32_t j = 0; j < shape.dims[1]; j++) {
            int64_t off = (int64_t)j - i;
            *mask++ = (upper ? off >= k : off <= k) ? 1 : 0;
        }
    }
    return sb_expand_node(&n->outputs[0], x, "Mul", in, 2, NULL, 0);
}

sb_err sb_expand_move(bool *ret_done, struct sb_expansion *x)
{
    *ret_done = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_SPLIT:
        return expand_split(x);
    case SB_ONNX_PAD:
        return expand_pad(ret_done, x);
    case SB_ONNX_CENTER_CROP_PAD:
        return expand_center_crop_pad(x);
    case SB_ONNX_TRILU:
        return expand_trilu(x);
    default:
        *ret_done = false;
        return SB_OK;
    }
}
