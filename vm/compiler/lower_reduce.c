/* lower_reduce.c: reductions, ArgMax and ArgMin, TopK and CumSum. See lower.h.
 *
 *     x [2, 3, 4, 5], axes 1 and 2:   RESHAPE [2, 12, 5]   REDUCE along 1   [2, 5]   RESHAPE [2, 1, 1, 5] with keepdims
 *     axes that are not neighbours:   TRANSPOSE them to the end first */
#include <inttypes.h>

#include "vm/compiler/lower_impl.h"

#define DIVIDED_BITS_MAX 60
#define PRE_MAX          31

/* A tensor on its way, with its dimensions in runs that are reduced or kept together. */
struct runs {
    uint32_t count;
    uint32_t dims[SB_TENSOR_RANK_MAX];
    bool reduced[SB_TENSOR_RANK_MAX];
};

static struct runs runs_of(const struct sb_shape *shape, uint32_t bits)
{
    struct runs r = {.count = 0};
    for (uint32_t i = 0; i < shape->rank; i++) {
        bool reduced = (bits >> i & 1) != 0;
        if (r.count > 0 && r.reduced[r.count - 1] == reduced) {
            r.dims[r.count - 1] *= shape->dims[i];
        } else {
            r.reduced[r.count] = reduced;
            r.dims[r.count++] = shape->dims[i];
        }
    }
    return r;
}

static void reshape(struct sb_lowered *x, struct sb_lowering *l, uint32_t value,
                    const struct sb_shape *shape)
{
    if (!sb_shape_equal(&x->shape, shape)) {
        x->tensor = sb_lower_emit(l, value, SB_OP_RESHAPE, &x->tensor, 1, &x->format, shape, NULL);
        x->shape = *shape;
    }
}

/* Bring x to a shape in which one dimension holds all elements of a result; *ret_axis is that dimension. */
static void join_axes(struct sb_lowered *x, uint32_t *ret_axis, struct sb_lowering *l,
                      uint32_t value, uint32_t bits)
{
    struct runs r = runs_of(&x->shape, bits);
    struct sb_shape shape = {.rank = r.count};
    struct sb_shape moved = {.rank = 0};
    int64_t perm[SB_TENSOR_RANK_MAX] = {0};
    uint32_t reduced = 0;
    uint32_t n = 1;
    for (uint32_t i = 0; i < r.count; i++) {
        shape.dims[i] = r.dims[i];
        reduced += r.reduced[i] ? 1 : 0;
        *ret_axis = r.reduced[i] ? i : *ret_axis;
    }
    reshape(x, l, value, &shape);
    if (reduced <= 1) {
        return;
    }
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < r.count; i++) {
            if (r.reduced[i] == (pass == 1)) {
                perm[moved.rank] = i;
                moved.dims[moved.rank++] = r.dims[i];
                n *= r.reduced[i] ? r.dims[i] : 1;
            }
        }
    }
    x->tensor = sb_lower_emit(l, value, SB_OP_TRANSPOSE, &x->tensor, 1, &x->format, &moved, perm);
    x->shape = moved;
    *ret_axis = r.count - reduced;
    moved.rank = r.count - reduced + 1;
    moved.dims[*ret_axis] = n;
    for (uint32_t i = moved.rank; i < SB_TENSOR_RANK_MAX; i++) {
        moved.dims[i] = 0;
    }
    reshape(x, l, value, &moved);
}

/* Input 0 with its dimensions in an order in which those that stay keep ONNX's; bits: those that go, as dimensions of the tensor. */
static sb_err get_ordered(struct sb_lowered *x, uint32_t *bits, struct sb_lowering *l,
                          const struct sb_graph_node *node)
{
    uint32_t onnx = *bits;
    SB_TRY(sb_lower_get(x, l, node, 0, SB_LAYOUT_FLAT));
    bool channels_stay = (onnx >> 1 & 1) == 0;
    bool plane_goes = (onnx >> 2 & 3) == 3;
    if (x->layout == SB_LAYOUT_FLAT ||
        (x->layout == SB_LAYOUT_NHWC && channels_stay && !plane_goes)) {
        SB_TRY(sb_lower_get(x, l, node, 0, SB_LAYOUT_PLAIN));
    }
    *bits = 0;
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        *bits |= (onnx >> i & 1) << sb_lower_axis(x, i);
    }
    return SB_OK;
}

/* ---- REDUCE ---- */

static enum sb_reduce_kind reduce_kind(const struct sb_graph_node *node)
{
    switch ((int)node->op->id) {
    case SB_ONNX_REDUCE_L1:
        return SB_REDUCE_SUM_ABS;
    case SB_ONNX_REDUCE_SUM_SQUARE:
        return SB_REDUCE_SUM_SQUARE;
    case SB_ONNX_REDUCE_MAX:
        return SB_REDUCE_MAX;
    case SB_ONNX_REDUCE_MIN:
        return SB_REDUCE_MIN;
    default:
        return SB_REDUCE_SUM;
    }
}

struct reduction {
    struct sb_lowering *l;
    const struct sb_graph_node *node;
    enum sb_reduce_kind kind;
    uint32_t axis;
    uint32_t n; /* elements of a result */
    uint32_t value;
};

static uint32_t emit_reduce(const struct reduction *r, const struct sb_lowered *x,
                            const struct sb_format *format, struct sb_shape *ret_shape,
                            const struct sb_factor *f, int64_t pre, int64_t divisor)
{
    int64_t attrs[] = {(int64_t)r->kind, r->axis, pre, f->mult, divisor, f->shift};
    *ret_shape = x->shape;
    for (uint32_t i = r->axis; i + 1 < x->shape.rank; i++) {
        ret_shape->dims[i] = x->shape.dims[i + 1];
    }
    ret_shape->dims[--ret_shape->rank] = 0;
    return sb_lower_emit(r->l, r->value, SB_OP_REDUCE, &x->tensor, 1, format, ret_shape, attrs);
}

/* Integers: greatest and smallest as they are; sums exactly in 64 bits, then wrapped to the type. Squares wrap before they are added. */
static sb_err reduce_exact(struct sb_lowered *x, const struct reduction *r)
{
    const struct sb_factor one = {.mult = 1};
    struct sb_format type = sb_format_of(x->format.dtype, 1, 0);
    struct sb_format wide = sb_format_of(SB_DTYPE_I64, 1, 0);
    struct sb_lowering *l = r->l;
    struct sb_shape shape;
    struct reduction sum = *r;
    if (r->node->op->id == SB_ONNX_REDUCE_MEAN ||
        l->graph->values[r->value].elem == SB_ELEM_UINT32) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, r->node,
                             "of integers; cast to float before it");
    }
    if (r->kind == SB_REDUCE_MAX || r->kind == SB_REDUCE_MIN) {
        x->tensor = emit_reduce(r, x, &x->format, &shape, &one, 0, 1);
        x->shape = shape;
        return SB_OK;
    }
    if (r->kind == SB_REDUCE_SUM_SQUARE) {
        int64_t kind = SB_COMBINE_MUL;
        uint32_t in[2] = {x->tensor, x->tensor};
        x->tensor = sb_lower_emit(l, r->value, SB_OP_COMBINE, in, 2, &type, &x->shape, &kind);
        sum.kind = SB_REDUCE_SUM;
    }
    x->tensor = emit_reduce(&sum, x, &wide, &shape, &one, 0, 1);
    x->shape = shape;
    x->tensor = sb_lower_emit(l, r->value, SB_OP_WRAP, &x->tensor, 1, &type, &shape, NULL);
    x->format = type;
    return SB_OK;
}

/* Squares are taken of elements shifted right so far that n of them, doubled twice for the rounding, stay below 2^62. */
static sb_err reduce_real(struct sb_lowered *x, const struct reduction *r,
                          const struct sb_target *target)
{
    struct sb_lowering *l = r->l;
    bool squares = r->kind == SB_REDUCE_SUM_SQUARE;
    bool mean = r->node->op->id == SB_ONNX_REDUCE_MEAN;
    double reach = sb_lower_magnitude(&x->format);
    double unit = x->format.scale;
    int pre = 0;
    while (squares && pre < PRE_MAX && 4 * r->n * pow(ldexp(reach, -pre) + 1, 2) > 0x1p62) {
        pre++;
    }
    double term = squares ? pow(ldexp(reach, -pre) + 1, 2) : reach;
    unit = squares ? pow(ldexp(unit, pre), 2) : unit;
    struct sb_format y;
    struct sb_factor f;
    SB_TRY(sb_lower_format(&y, l, target, r->node, (mean ? 1 : r->n) * term * unit));
    int divided_bits = 0;
    (void)frexp(mean ? r->n : 1, &divided_bits);
    if (!sb_factor_of(&f, unit / y.scale, 4 * r->n * term, INT32_MAX,
                      (uint32_t)(DIVIDED_BITS_MAX - divided_bits))) {
        return sb_lower_no_factor(l, r->node);
    }
    struct sb_shape shape;
    x->tensor = emit_reduce(r, x, &y, &shape, &f, pre, mean ? r->n : 1);
    x->shape = shape;
    x->format = y;
    return SB_OK;
}

static sb_err reduce(struct sb_lowered *x, struct reduction *r, const struct sb_target *target)
{
    bool exact = sb_elem_is_exact(r->l->graph->values[r->value].elem);
    if (exact) {
        return reduce_exact(x, r);
    }
    if (r->kind == SB_REDUCE_MAX || r->kind == SB_REDUCE_MIN) {
        const struct sb_factor one = {.mult = 1};
        struct sb_shape shape;
        sb_lower_clip(&x->format, target);
        x->tensor = emit_reduce(r, x, &x->format, &shape, &one, 0, 1);
        x->shape = shape;
        return SB_OK;
    }
    if (x->format.dtype == SB_DTYPE_I64 || x->format.dtype == SB_DTYPE_BOOL) {
        double magnitude = sb_lower_magnitude(&x->format) * x->format.scale;
        struct sb_format to = sb_format_of(SB_DTYPE_I32, magnitude / 0x1p30, 0);
        SB_TRY(sb_lower_convert(x, r->l, r->node, r->value, &to));
    }
    return reduce_real(x, r, target);
}

sb_err sb_lower_reduce(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_target target = sb_lower_target(l, node, 0);
    struct reduction r = {.l = l, .node = node, .kind = reduce_kind(node), .value = target.value};
    const struct sb_shape *shape = &l->graph->values[node->inputs[0]].array.shape;
    struct sb_lowered x;
    uint32_t bits = 0;
    SB_TRY(sb_eval_reduced(&bits, l->graph, node, shape, l->diag));
    SB_TRY(get_ordered(&x, &bits, l, node));
    if (bits == 0) { /* each element is a result: reduce a dimension of 1 */
        struct sb_shape longer = x.shape;
        if (x.shape.rank == SB_TENSOR_RANK_MAX) {
            return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "no axes at %u dimensions",
                                 SB_TENSOR_RANK_MAX);
        }
        longer.dims[longer.rank++] = 1;
        bits = 1u << x.shape.rank;
        reshape(&x, l, target.value, &longer);
    }
    join_axes(&x, &r.axis, l, target.value, bits);
    r.n = x.shape.dims[r.axis];
    SB_TRY(reduce(&x, &r, &target));
    x.layout = SB_LAYOUT_PLAIN;
    reshape(&x, l, target.value, &l->graph->values[node->outputs[0]].array.shape);
    sb_lower_set(l, target.value, &x, SB_OP_REDUCE);
    return SB_OK;
}

/* ---- one axis ---- */

static sb_err axis_of(uint32_t *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                      int64_t axis)
{
    uint32_t rank = l->graph->values[node->inputs[0]].array.shape.rank;
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis >= (int64_t)rank) {
        return sb_graph_fail(l->diag, SB_E_RANGE, node, "axis %" PRId64 " of %u dimensions", axis,
                             rank);
    }
    *ret = (uint32_t)axis;
    return SB_OK;
}

sb_err sb_lower_arg_max(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    uint32_t axis = 0;
    struct sb_lowered x;
    SB_TRY(axis_of(&axis, l, node, sb_graph_attr_int(node, "axis", 0)));
    uint32_t bits = 1u << axis;
    SB_TRY(get_ordered(&x, &bits, l, node));
    axis = 0;
    join_axes(&x, &axis, l, value, bits);
    int64_t attrs[3] = {axis, sb_graph_attr_int(node, "select_last_index", 0) != 0,
                        node->op->id == SB_ONNX_ARG_MIN};
    struct sb_lowered y = {
        .layout = SB_LAYOUT_PLAIN, .format = sb_format_of(SB_DTYPE_I32, 1, 0), .shape = x.shape};
    y.format.lo = 0;
    y.format.hi = (int64_t)x.shape.dims[axis] - 1;
    for (uint32_t i = axis; i + 1 < x.shape.rank; i++) {
        y.shape.dims[i] = x.shape.dims[i + 1];
    }
    y.shape.dims[--y.shape.rank] = 0;
    y.tensor = sb_lower_emit(l, value, SB_OP_ARG_MAX, &x.tensor, 1, &y.format, &y.shape, attrs);
    reshape(&y, l, value, &l->graph->values[value].array.shape);
    sb_lower_set(l, value, &y, SB_OP_ARG_MAX);
    return SB_OK;
}

/* Input 0, PLAIN, as [outer, n, inner] around the axis. */
static sb_err get_around(struct sb_lowered *x, struct sb_lowering *l,
                         const struct sb_graph_node *node, uint32_t axis, uint32_t value)
{
    struct sb_shape shape = {.rank = 3, .dims = {1, 1, 1}};
    SB_TRY(sb_lower_get(x, l, node, 0, SB_LAYOUT_PLAIN));
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        shape.dims[i < axis ? 0 : i == axis ? 1 : 2] *= x->shape.dims[i];
    }
    reshape(x, l, value, &shape);
    return SB_OK;
}

/* Sums in the format of the result; of integers in 64 bits, wrapped. */
sb_err sb_lower_cum_sum(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    const struct sb_value *given = sb_graph_input(l->graph, node, 1);
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    struct sb_lowered x;
    struct sb_format y;
    uint32_t axis = 0;
    if (!given->is_const || sb_array_count(&given->array) != 1) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "an axis that is not a constant");
    }
    SB_TRY(axis_of(&axis, l, node, sb_eval_int(given->array.data[0])));
    SB_TRY(get_around(&x, l, node, axis, value));
    int64_t attrs[] = {1, sb_graph_attr_int(node, "exclusive", 0) != 0,
                       sb_graph_attr_int(node, "reverse", 0) != 0};
    double bound = sb_lower_magnitude(&x.format) * x.format.scale * x.shape.dims[1];
    SB_TRY(sb_lower_format(&y, l, &target, node, bound));
    bool exact = sb_elem_is_exact(l->graph->values[value].elem);
    if (!exact &&
        y.dtype != SB_DTYPE_I32) { /* parts of sums need more room than the result's type */
        y = sb_format_of(SB_DTYPE_I32, y.scale / 0x1p8, 0);
    }
    if (!exact) {
        SB_TRY(sb_lower_convert(&x, l, node, value, &y));
    }
    x.format = exact ? sb_format_of(SB_DTYPE_I64, 1, 0) : y;
    x.tensor = sb_lower_emit(l, value, SB_OP_CUM_SUM, &x.tensor, 1, &x.format, &x.shape, attrs);
    if (exact) {
        y.lo = sb_dtype_min(y.dtype);
        y.hi = sb_dtype_max(y.dtype);
        x.tensor = sb_lower_emit(l, value, SB_OP_WRAP, &x.tensor, 1, &y, &x.shape, NULL);
        x.format = y;
    }
    reshape(&x, l, value, &l->graph->values[value].array.shape);
    sb_lower_set(l, value, &x, SB_OP_CUM_SUM);
    return SB_OK;
}

/* ---- TopK ---- */

/* One output of TopK from x [outer, inner, n]: elements or indices, brought back to ONNX's order. */
static void emit_top_k(struct sb_lowering *l, uint32_t value, const struct sb_lowered *x,
                       const int64_t attrs[3], bool swapped)
{
    struct sb_lowered y = *x;
    uint32_t n = x->shape.dims[2];
    if (attrs[SB_ATTR_TOP_K_INDICES] != 0) {
        y.format = sb_format_of(SB_DTYPE_I32, 1, 0);
        y.format.lo = 0;
        y.format.hi = (int64_t)n - 1;
    }
    y.shape.dims[2] = (uint32_t)attrs[SB_ATTR_TOP_K_K];
    y.tensor = sb_lower_emit(l, value, SB_OP_TOP_K, &x->tensor, 1, &y.format, &y.shape, attrs);
    if (swapped) {
        static const int64_t perm[SB_TENSOR_RANK_MAX] = {0, 2, 1};
        struct sb_shape shape = {.rank = 3,
                                 .dims = {y.shape.dims[0], y.shape.dims[2], y.shape.dims[1]}};
        y.tensor = sb_lower_emit(l, value, SB_OP_TRANSPOSE, &y.tensor, 1, &y.format, &shape, perm);
        y.shape = shape;
    }
    reshape(&y, l, value, &l->graph->values[value].array.shape);
    sb_lower_set(l, value, &y, SB_OP_TOP_K);
}

sb_err sb_lower_top_k(struct sb_lowering *l, const struct sb_graph_node *node)
{
    static const int64_t perm[SB_TENSOR_RANK_MAX] = {0, 2, 1};
    const struct sb_value *k = sb_graph_input(l->graph, node, 1);
    struct sb_lowered x;
    uint32_t axis = 0;
    if (k != NULL && !k->is_const) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "a K that is not a constant");
    }
    uint32_t any = node->outputs[0] != SB_NO_VALUE ? node->outputs[0] : node->outputs[1];
    SB_TRY(axis_of(&axis, l, node, sb_graph_attr_int(node, "axis", -1)));
    SB_TRY(get_around(&x, l, node, axis, any));
    bool swapped = x.shape.dims[2] != 1;
    struct sb_shape shape = {.rank = 3,
                             .dims = {x.shape.dims[0], x.shape.dims[2], x.shape.dims[1]}};
    if (swapped) {
        x.tensor = sb_lower_emit(l, any, SB_OP_TRANSPOSE, &x.tensor, 1, &x.format, &shape, perm);
        x.shape = shape;
    } else {
        reshape(&x, l, any, &shape);
    }
    int64_t attrs[3] = {k != NULL ? sb_eval_int(k->array.data[0]) : sb_graph_attr_int(node, "k", 0),
                        sb_graph_attr_int(node, "largest", 1) == 0, 0};
    for (uint32_t i = 0; i < node->output_count; i++) {
        attrs[SB_ATTR_TOP_K_INDICES] = i;
        if (node->outputs[i] != SB_NO_VALUE) {
            emit_top_k(l, node->outputs[i], &x, attrs, swapped);
        }
    }
    return SB_OK;
}
