/* lower_ops.c: elementwise operators, pools, functions, softmax and argmax. See lower.h. */
#include <inttypes.h>

#include "vm/compiler/lower_impl.h"

#define MULT_ADD_MAX  (INT64_C(1) << 30)
#define TABLE_ENTRIES 256
#define KNOTS         513

sb_err sb_lower_no_factor(struct sb_lowering *l, const struct sb_graph_node *node)
{
    return sb_graph_fail(l->diag, SB_E_RANGE, node,
                         "the scales of its operands are too far apart for integers; use another "
                         "precision");
}

/* ---- Add, Sub, Mul ---- */

/* Both operands in one layout; types that ADD and MUL do not read are rescaled. */
static sb_err operands(struct sb_lowered *a, struct sb_lowered *b, struct sb_lowering *l,
                       const struct sb_graph_node *node)
{
    struct sb_lowered *in[2] = {a, b};
    enum sb_layout layout = SB_LAYOUT_PLAIN;
    for (uint32_t i = 0; i < 2; i++) {
        if (l->lowered[node->inputs[i]].tensor != SB_BUILD_NONE &&
            l->lowered[node->inputs[i]].layout == SB_LAYOUT_NHWC) {
            layout = SB_LAYOUT_NHWC;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(sb_lower_get(in[i], l, node, i, layout));
        if (in[i]->format.dtype == SB_DTYPE_I64) {
            double magnitude = sb_lower_magnitude(&in[i]->format) * in[i]->format.scale;
            struct sb_format to = sb_format_of(SB_DTYPE_I32, magnitude / 0x1p30, 0);
            SB_TRY(sb_lower_convert(in[i], l, node, node->inputs[i], &to));
        }
    }
    return SB_OK;
}

static bool is_whole(double v)
{
    return v == nearbyint(v);
}

/* y = (a * ma + b * mb) >> shift: exact with the smallest shift where the factors allow it, else as fine as fits. */
static bool add_factors(int64_t ret_attrs[3], const struct sb_format *a, const struct sb_format *b,
                        double sign_b, const struct sb_format *y)
{
    double fa = a->scale / y->scale;
    double fb = b->scale / y->scale;
    double reach_a = sb_lower_magnitude(a);
    double reach_b = sb_lower_magnitude(b);
    int best = -1;
    for (int shift = 0; shift <= 30; shift++) {
        double ma = ldexp(fa, shift);
        double mb = ldexp(fb, shift);
        if (fmax(ma, mb) > (double)MULT_ADD_MAX || ma * reach_a + mb * reach_b > 0x1p61) {
            break;
        }
        best = shift;
        if (is_whole(ma) && is_whole(mb)) {
            break;
        }
    }
    if (best < 0) {
        return false;
    }
    ret_attrs[SB_ATTR_ADD_MULT_A] = (int64_t)nearbyint(ldexp(fa, best));
    ret_attrs[SB_ATTR_ADD_MULT_B] = (int64_t)(sign_b * nearbyint(ldexp(fb, best)));
    ret_attrs[SB_ATTR_ADD_SHIFT] = best;
    return true;
}

sb_err sb_lower_binary(struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool mul = node->op->id == SB_ONNX_MUL;
    if (sb_elem_is_exact(l->graph->values[node->outputs[0]].elem)) {
        return sb_lower_combine(l, node);
    }
    double sign_b = node->op->id == SB_ONNX_SUB ? -1 : 1;
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered a;
    struct sb_lowered b;
    SB_TRY(operands(&a, &b, l, node));
    enum sb_layout layout = a.layout == SB_LAYOUT_NHWC ? a.layout : b.layout;
    struct sb_lowered y = {
        .layout = layout,
        .shape = sb_lower_shape(&l->graph->values[node->outputs[0]].array.shape, layout)};
    double reach_a = sb_lower_magnitude(&a.format) * a.format.scale;
    double reach_b = sb_lower_magnitude(&b.format) * b.format.scale;
    SB_TRY(
        sb_lower_format(&y.format, l, &target, node, mul ? reach_a * reach_b : reach_a + reach_b));
    int64_t attrs[3];
    if (mul) {
        struct sb_factor f;
        if (!sb_factor_of(&f, a.format.scale * b.format.scale / y.format.scale,
                          sb_lower_magnitude(&a.format) * sb_lower_magnitude(&b.format), INT32_MAX,
                          62)) {
            return sb_lower_no_factor(l, node);
        }
        attrs[SB_ATTR_MUL_MULT] = f.mult;
        attrs[SB_ATTR_MUL_SHIFT] = f.shift;
    } else if (!add_factors(attrs, &a.format, &b.format, sign_b, &y.format)) {
        return sb_lower_no_factor(l, node);
    }
    uint32_t in[2] = {a.tensor, b.tensor};
    enum sb_op_id op = mul ? SB_OP_MUL : SB_OP_ADD;
    y.tensor = sb_lower_emit(l, target.value, op, in, 2, &y.format, &y.shape, attrs);
    sb_lower_set(l, target.value, &y, op);
    return SB_OK;
}

sb_err sb_lower_clamp(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_lowered x;
    struct sb_target target = {.value = node->outputs[0]};
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    if (!sb_clip_bounds(&target.clip_lo, &target.clip_hi, l->graph, node)) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "bounds that are not constants");
    }
    int64_t lo = x.format.lo;
    int64_t hi = x.format.hi;
    sb_lower_clip(&x.format, &target);
    x.format.lo = x.format.lo < lo ? lo : x.format.lo;
    x.format.hi = x.format.hi > hi ? hi : x.format.hi;
    x.tensor = sb_lower_emit(l, target.value, SB_OP_CLAMP, &x.tensor, 1, &x.format, &x.shape, NULL);
    sb_lower_set(l, target.value, &x, SB_OP_CLAMP);
    return SB_OK;
}

/* ---- pools ---- */

sb_err sb_lower_pool(struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool max = node->op->id == SB_ONNX_MAX_POOL || node->op->id == SB_ONNX_GLOBAL_MAX_POOL;
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered x;
    struct sb_eval_window w;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_NHWC));
    SB_TRY(sb_eval_pool_window(&w, node, &l->graph->values[node->inputs[0]].array.shape, l->diag));
    struct sb_lowered y = {
        .layout = SB_LAYOUT_NHWC,
        .format = x.format,
        .shape = sb_lower_shape(&l->graph->values[node->outputs[0]].array.shape, SB_LAYOUT_NHWC)};
    int64_t attrs[SB_ATTR_AVG_POOL_SHIFT + 1] = {w.kernel[1],
                                                 w.kernel[2],
                                                 w.stride[1],
                                                 w.stride[2],
                                                 w.pad_before[1],
                                                 w.pad_before[2],
                                                 w.pad_after[1] + w.beyond[1],
                                                 w.pad_after[2] + w.beyond[2]};
    if (max) {
        sb_lower_clip(&y.format, &target);
    } else {
        double reach = sb_lower_magnitude(&x.format);
        struct sb_factor f;
        SB_TRY(sb_lower_format(&y.format, l, &target, node, reach * x.format.scale));
        if (!sb_factor_of(&f, x.format.scale / y.format.scale,
                          4 * reach * (double)(w.kernel[1] * w.kernel[2]), INT32_MAX, 31)) {
            return sb_lower_no_factor(l, node);
        }
        attrs[SB_ATTR_AVG_POOL_INCLUDE_PAD] = sb_graph_attr_int(node, "count_include_pad", 0) != 0;
        attrs[SB_ATTR_AVG_POOL_MULT] = f.mult;
        attrs[SB_ATTR_AVG_POOL_SHIFT] = f.shift;
    }
    enum sb_op_id op = max ? SB_OP_MAX_POOL : SB_OP_AVG_POOL;
    y.tensor = sb_lower_emit(l, target.value, op, &x.tensor, 1, &y.format, &y.shape, attrs);
    sb_lower_set(l, target.value, &y, op);
    return SB_OK;
}

/* ---- functions of one element ---- */

sb_err sb_lower_function_of(struct sb_lowering *l, const struct sb_graph_node *node,
                            const struct sb_target *target, const struct sb_lowered *x,
                            enum sb_op_id op)
{
    struct sb_lowered y = *x;
    struct sb_factor f;
    unsigned fraction = 15;
    y.format = sb_format_of(SB_DTYPE_I16, ldexp(1, -15), 0);
    if (l->precision == SB_PRECISION_FX32 || op == SB_OP_EXP) {
        const struct sb_range *r = &l->ranges[target->value];
        int exponent = 1;
        (void)frexp(r->known && op == SB_OP_EXP ? r->max : 1, &exponent);
        int bits = op == SB_OP_EXP && !r->known ? 16 : 29 - exponent;
        fraction = (unsigned)(bits < 0 ? 0 : bits > 24 ? 24 : bits);
        y.format = sb_format_fx(fraction);
    }
    sb_lower_clip(&y.format, target);
    if (!sb_factor_of(&f, x->format.scale * 0x1p26, 1, INT32_MAX, 61)) {
        return sb_lower_no_factor(l, node);
    }
    int64_t attrs[] = {f.mult, f.shift, 31 - (int64_t)fraction};
    y.tensor = sb_lower_emit(l, target->value, op, &x->tensor, 1, &y.format, &y.shape, attrs);
    sb_lower_set(l, target->value, &y, op);
    return SB_OK;
}

/* A table over all values of an 8-bit tensor. */
static sb_err emit_table(struct sb_lowering *l, const struct sb_graph_node *node,
                         const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    SB_TRY(sb_lower_format(&y.format, l, target, node, INFINITY));
    int16_t wide[TABLE_ENTRIES];
    int8_t narrow[TABLE_ENTRIES];
    for (int i = 0; i < TABLE_ENTRIES; i++) {
        double real = sb_format_real(&x->format, sb_dtype_min(x->format.dtype) + i);
        double value = 0;
        (void)sb_eval_unary_of(&value, node, real);
        int64_t raw = sb_format_raw(&y.format, value);
        wide[i] = (int16_t)raw;
        narrow[i] = (int8_t)(uint8_t)raw; /* the bits of i8 and of u8 */
    }
    bool is_wide = y.format.dtype == SB_DTYPE_I16;
    struct sb_shape shape = {.rank = 1, .dims = {TABLE_ENTRIES}};
    uint32_t in[2] = {x->tensor};
    in[SB_IN_TABLE_TABLE] = sb_build_const(l->build, node->name, y.format.dtype, &shape, NULL,
                                           is_wide ? (const void *)wide : (const void *)narrow);
    y.tensor = sb_lower_emit(l, target->value, SB_OP_TABLE, in, 2, &y.format, &y.shape, NULL);
    sb_lower_set(l, target->value, &y, SB_OP_TABLE);
    return SB_OK;
}

/* Knots 128 apart over a 16-bit tensor, linear between them. */
static sb_err emit_interpolate(struct sb_lowering *l, const struct sb_graph_node *node,
                               const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    int16_t knots[KNOTS];
    SB_TRY(sb_lower_format(&y.format, l, target, node, INFINITY));
    if (y.format.dtype != SB_DTYPE_I16) {
        y.format = sb_format_of(SB_DTYPE_I16, y.format.scale, 0);
    }
    for (int i = 0; i < KNOTS; i++) {
        double value = 0;
        (void)sb_eval_unary_of(&value, node,
                               sb_format_real(&x->format, (int64_t)i * 128 + INT16_MIN));
        knots[i] = (int16_t)sb_format_raw(&y.format, value);
    }
    struct sb_shape shape = {.rank = 1, .dims = {KNOTS}};
    uint32_t in[2] = {x->tensor};
    in[SB_IN_TABLE_TABLE] = sb_build_const(l->build, node->name, SB_DTYPE_I16, &shape, NULL, knots);
    y.tensor = sb_lower_emit(l, target->value, SB_OP_INTERPOLATE, in, 2, &y.format, &y.shape, NULL);
    sb_lower_set(l, target->value, &y, SB_OP_INTERPOLATE);
    return SB_OK;
}

sb_err sb_lower_unary(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered x;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    enum sb_dtype t = x.format.dtype;
    if (t == SB_DTYPE_I8 || t == SB_DTYPE_U8) {
        return emit_table(l, node, &target, &x);
    }
    enum sb_onnx_op_id id = node->op->id;
    if (id == SB_ONNX_LOG) {
        return sb_lower_log(l, node, &target, &x);
    }
    if (id == SB_ONNX_SQRT) {
        return sb_lower_sqrt(l, node, &target, &x);
    }
    if (id == SB_ONNX_RECIPROCAL) {
        return sb_lower_reciprocal(l, node, &target, &x);
    }
    if (id == SB_ONNX_SIGMOID || id == SB_ONNX_TANH || id == SB_ONNX_EXP) {
        return sb_lower_function_of(l, node, &target, &x,
                                    id == SB_ONNX_SIGMOID ? SB_OP_SIGMOID
                                    : id == SB_ONNX_TANH  ? SB_OP_TANH
                                                          : SB_OP_EXP);
    }
    if (t == SB_DTYPE_I16) {
        return emit_interpolate(l, node, &target, &x);
    }
    return sb_lower_cubics(l, node, &target, &x);
}

/* ---- softmax, argmax ---- */

sb_err sb_lower_softmax_of(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    struct sb_factor f;
    y.format = sb_format_of(SB_DTYPE_U16, 0x1p-16, 0);
    if (!sb_factor_of(&f, x->format.scale * 0x1p26, 1, INT32_MAX, 61)) {
        return sb_lower_no_factor(l, node);
    }
    int64_t attrs[] = {f.mult, f.shift};
    y.tensor =
        sb_lower_emit(l, target->value, SB_OP_SOFTMAX, &x->tensor, 1, &y.format, &y.shape, attrs);
    sb_lower_set(l, target->value, &y, SB_OP_SOFTMAX);
    return SB_OK;
}

/* The operator works along the last dimension of the tensor. */
static sb_err last_axis(uint32_t *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                        const struct sb_lowered *x, int64_t axis)
{
    uint32_t rank = x->shape.rank;
    axis = axis < 0 ? axis + rank : axis;
    uint32_t at = axis >= 0 && axis < (int64_t)rank ? sb_lower_axis(x, (uint32_t)axis) : rank;
    for (uint32_t i = at + 1; i < rank; i++) {
        at = x->shape.dims[i] == 1 ? at : rank;
    }
    if (at >= rank || (at + 1 != rank && x->shape.dims[rank - 1] != 1)) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                             "axis %" PRId64 "; only the last axis (of images, the channels) is "
                             "supported: put a Transpose before it",
                             axis);
    }
    *ret = at;
    return SB_OK;
}

sb_err sb_lower_softmax(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_lowered x;
    uint32_t axis = 0;
    struct sb_target target = {
        .value = node->outputs[0], .clip_lo = -INFINITY, .clip_hi = INFINITY};
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    SB_TRY(
        last_axis(&axis, l, node, &x, sb_graph_attr_int(node, "axis", node->opset < 13 ? 1 : -1)));
    if (axis + 1 != x.shape.rank) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "softmax before an axis of size 1");
    }
    enum sb_dtype t = x.format.dtype;
    if (t != SB_DTYPE_I8 && t != SB_DTYPE_I16 && t != SB_DTYPE_I32) {
        double magnitude = sb_lower_magnitude(&x.format) * x.format.scale;
        struct sb_format to = sb_format_of(SB_DTYPE_I16, magnitude / 32767, 0);
        SB_TRY(sb_lower_convert(&x, l, node, node->inputs[0], &to));
    }
    return sb_lower_softmax_of(l, node, &target, &x);
}
