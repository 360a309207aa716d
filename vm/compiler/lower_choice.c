/* lower_choice.c: arithmetic of integers and bools, comparisons, choices, roundings, and the casts between integers and real numbers. See
 * lower.h.
 *
 * Integers and bools are raw elements of scale 1, so that COMBINE, COMPARE and WHERE compute them exactly. Real operands are brought to one
 * format first: to the result's where elements are passed on (Max, Where), to one that holds both exactly where they are compared. */
#include <inttypes.h>

#include "vm/compiler/lower_impl.h"

#define FRACTION_HI 24

static enum sb_elem elem_of(const struct sb_lowering *l, uint32_t value)
{
    return l->graph->values[value].elem;
}

static bool is_exact(const struct sb_lowering *l, uint32_t value)
{
    return sb_elem_is_exact(elem_of(l, value));
}

/* The format of a value that nothing melts into. */
static sb_err format_of(struct sb_format *ret, const struct sb_lowering *l,
                        const struct sb_graph_node *node, uint32_t value, double bound)
{
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    return sb_lower_format(ret, l, &target, node, bound);
}

enum sb_layout sb_lower_common_layout(const struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool any = false;
    bool all = true;
    for (uint32_t i = 0; i < node->input_count; i++) {
        uint32_t v = node->inputs[i];
        if (v == SB_NO_VALUE || l->graph->values[v].is_const) {
            continue;
        }
        any = any || l->lowered[v].layout == SB_LAYOUT_NHWC;
        all = all && l->graph->values[v].array.shape.rank == 4;
    }
    return any && all ? SB_LAYOUT_NHWC : SB_LAYOUT_PLAIN;
}

static void whole_range(struct sb_format *format)
{
    format->lo = sb_dtype_min(format->dtype);
    format->hi = sb_dtype_max(format->dtype);
}

static sb_err emit(struct sb_lowering *l, const struct sb_graph_node *node, enum sb_op_id op,
                   const uint32_t *inputs, uint32_t input_count, const struct sb_format *format,
                   enum sb_layout layout, int64_t kind)
{
    uint32_t value = node->outputs[0];
    struct sb_lowered y = {
        .layout = layout,
        .format = *format,
        .shape = sb_lower_shape(&l->graph->values[value].array.shape, layout),
    };
    int64_t attrs[] = {kind};
    y.tensor = sb_lower_emit(l, value, op, inputs, input_count, &y.format, &y.shape, attrs);
    sb_lower_set(l, value, &y, op);
    return SB_OK;
}

/* ---- COMBINE ---- */

static enum sb_combine_kind combine_kind(const struct sb_graph_node *node)
{
    switch ((int)node->op->id) {
    case SB_ONNX_ADD:
        return SB_COMBINE_ADD;
    case SB_ONNX_SUB:
        return SB_COMBINE_SUB;
    case SB_ONNX_MUL:
        return SB_COMBINE_MUL;
    case SB_ONNX_DIV:
        return SB_COMBINE_DIV;
    case SB_ONNX_MOD:
        return sb_graph_attr_int(node, "fmod", 0) != 0 ? SB_COMBINE_REM : SB_COMBINE_MOD;
    case SB_ONNX_AND:
    case SB_ONNX_BITWISE_AND:
        return SB_COMBINE_AND;
    case SB_ONNX_OR:
    case SB_ONNX_BITWISE_OR:
        return SB_COMBINE_OR;
    case SB_ONNX_MAX:
        return SB_COMBINE_MAX;
    case SB_ONNX_MIN:
        return SB_COMBINE_MIN;
    case SB_ONNX_BIT_SHIFT:
        return sb_graph_attr_string(node, "direction", "")[0] == 'L' ? SB_COMBINE_SHL
                                                                     : SB_COMBINE_SHR;
    default: /* Xor, BitwiseXor; Not and BitwiseNot are Xor with ones */
        return SB_COMBINE_XOR;
    }
}

/* uint16 and uint32 are held in i32: what can leave them does not wrap there. */
static bool wraps_elsewhere(enum sb_elem elem, enum sb_combine_kind kind)
{
    bool held_wide = elem == SB_ELEM_UINT16 || elem == SB_ELEM_UINT32;
    return held_wide && (kind == SB_COMBINE_ADD || kind == SB_COMBINE_SUB ||
                         kind == SB_COMBINE_MUL || kind == SB_COMBINE_SHL);
}

/* All ones, or 1 for a bool: what Not and BitwiseNot are exclusive or with. */
static uint32_t ones(struct sb_lowering *l, const struct sb_graph_node *node,
                     const struct sb_format *format)
{
    struct sb_shape scalar = {.rank = 0};
    uint64_t raw = node->op->id == SB_ONNX_NOT ? 1 : UINT64_MAX;
    uint8_t one = (uint8_t)raw;
    bool byte = sb_dtype_bytes(format->dtype) == 1;
    return sb_build_const(l->build, node->name, format->dtype, &scalar, NULL,
                          byte ? (const void *)&one : (const void *)&raw);
}

static sb_err combine_exact(struct sb_lowering *l, const struct sb_graph_node *node)
{
    enum sb_elem elem = elem_of(l, node->outputs[0]);
    enum sb_combine_kind kind = combine_kind(node);
    enum sb_layout layout = sb_lower_common_layout(l, node);
    struct sb_format format;
    struct sb_lowered x;
    uint32_t in[2];
    if (wraps_elsewhere(elem, kind)) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                             "arithmetic of uint16 and uint32; cast to int32 before it");
    }
    SB_TRY(format_of(&format, l, node, node->outputs[0], INFINITY));
    for (uint32_t i = 0; i < node->input_count; i++) {
        SB_TRY(sb_lower_get_as(&x, l, node, i, layout, &format));
        in[i] = x.tensor;
    }
    if (node->input_count == 1) {
        in[1] = ones(l, node, &format);
    }
    if (elem != SB_ELEM_BOOL) {
        whole_range(&format);
    }
    return emit(l, node, SB_OP_COMBINE, in, 2, &format, layout, (int64_t)kind);
}

/* A format that holds both operands, at the coarser scale. */
static struct sb_format coarse_format(const struct sb_format *a, const struct sb_format *b)
{
    double reach = fmax(sb_lower_magnitude(a) * a->scale, sb_lower_magnitude(b) * b->scale);
    double scale = fmax(a->scale, b->scale);
    return sb_format_of(SB_DTYPE_I32, reach / scale < 0x1p31 ? scale : reach / 0x1p30, 0);
}

/* Real numbers: Max and Min in the format of the result; a remainder in one that cuts neither operand. */
static sb_err combine_real(struct sb_lowering *l, const struct sb_graph_node *node)
{
    enum sb_layout layout = sb_lower_common_layout(l, node);
    enum sb_combine_kind kind = combine_kind(node);
    struct sb_format format;
    struct sb_lowered in[2];
    double reach = 0;
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(sb_lower_get(&in[i], l, node, i, layout));
        reach = fmax(reach, sb_lower_magnitude(&in[i].format) * in[i].format.scale);
    }
    if (kind == SB_COMBINE_REM) {
        format = coarse_format(&in[0].format, &in[1].format);
    } else {
        SB_TRY(format_of(&format, l, node, node->outputs[0], reach));
    }
    whole_range(&format);
    uint32_t tensors[2];
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(sb_lower_get_as(&in[i], l, node, i, layout, &format));
        tensors[i] = in[i].tensor;
    }
    return emit(l, node, SB_OP_COMBINE, tensors, 2, &format, layout, (int64_t)kind);
}

sb_err sb_lower_combine(struct sb_lowering *l, const struct sb_graph_node *node)
{
    return is_exact(l, node->outputs[0]) ? combine_exact(l, node) : combine_real(l, node);
}

/* ---- COMPARE ---- */

static bool same_format(const struct sb_format *a, const struct sb_format *b)
{
    return a->dtype == b->dtype && a->scale == b->scale &&
           a->quant.zero_point == b->quant.zero_point;
}

/* A format in which both operands keep their order: the finer scale, in 64 bits if need be; between scales that are no powers of two,
 * 31 bits of the greater one. */
static struct sb_format fine_format(const struct sb_format *a, const struct sb_format *b)
{
    double reach = fmax(sb_lower_magnitude(a) * a->scale, sb_lower_magnitude(b) * b->scale);
    double scale = fmin(a->scale, b->scale);
    int exponent = 0;
    bool powers = frexp(a->scale, &exponent) == 0.5 && frexp(b->scale, &exponent) == 0.5;
    if (powers && reach / scale < 0x1p61) {
        return sb_format_of(reach / scale < 0x1p31 ? SB_DTYPE_I32 : SB_DTYPE_I64, scale, 0);
    }
    return sb_format_of(SB_DTYPE_I32, reach / 0x1p30, 0);
}

sb_err sb_lower_compare(struct sb_lowering *l, const struct sb_graph_node *node)
{
    enum sb_onnx_op_id op = node->op->id;
    enum sb_layout layout = sb_lower_common_layout(l, node);
    struct sb_format flag;
    struct sb_lowered in[2];
    bool test = op == SB_ONNX_IS_NAN || op == SB_ONNX_IS_INF; /* never: x is not itself */
    bool swap = op == SB_ONNX_GREATER || op == SB_ONNX_GREATER_OR_EQUAL;
    int64_t kind = test                    ? SB_COMPARE_NOT_EQUAL
                   : op == SB_ONNX_EQUAL   ? SB_COMPARE_EQUAL
                   : op == SB_ONNX_LESS    ? SB_COMPARE_LESS
                   : op == SB_ONNX_GREATER ? SB_COMPARE_LESS
                                           : SB_COMPARE_LESS_OR_EQUAL;
    SB_TRY(format_of(&flag, l, node, node->outputs[0], INFINITY));
    SB_TRY(sb_lower_get(&in[0], l, node, 0, layout));
    in[1] = in[0];
    if (!test) {
        SB_TRY(sb_lower_get(&in[1], l, node, 1, layout));
    }
    if (!same_format(&in[0].format, &in[1].format)) {
        struct sb_format format = fine_format(&in[0].format, &in[1].format);
        for (uint32_t i = 0; i < 2; i++) {
            SB_TRY(sb_lower_get_as(&in[i], l, node, i, layout, &format));
        }
    }
    uint32_t tensors[2] = {in[swap ? 1 : 0].tensor, in[swap ? 0 : 1].tensor};
    return emit(l, node, SB_OP_COMPARE, tensors, 2, &flag, layout, kind);
}

/* ---- WHERE ---- */

sb_err sb_lower_where(struct sb_lowering *l, const struct sb_graph_node *node)
{
    enum sb_layout layout = sb_lower_common_layout(l, node);
    struct sb_format format = sb_format_of(SB_DTYPE_U8, 1, 0);
    struct sb_lowered x;
    uint32_t in[3];
    double reach = 0;
    SB_TRY(sb_lower_get_as(&x, l, node, 0, layout, &format));
    in[SB_IN_WHERE_FLAG] = x.tensor;
    for (uint32_t i = 1; i < 3; i++) {
        SB_TRY(sb_lower_get(&x, l, node, i, layout));
        reach = fmax(reach, sb_lower_magnitude(&x.format) * x.format.scale);
    }
    SB_TRY(format_of(&format, l, node, node->outputs[0], reach));
    for (uint32_t i = 1; i < 3; i++) {
        SB_TRY(sb_lower_get_as(&x, l, node, i, layout, &format));
        in[i] = x.tensor;
    }
    return emit(l, node, SB_OP_WHERE, in, 3, &format, layout, 0);
}

/* ---- MAP ---- */

/* The fraction bits of fixed point; negative if the format is none. */
static int fraction_bits(const struct sb_format *format)
{
    int exponent = 0;
    bool power = frexp(format->scale, &exponent) == 0.5;
    return power && format->quant.zero_point == 0 && exponent <= 1 ? 1 - exponent : -1;
}

/* Fixed point with as many fraction bits as the reach allows. */
static sb_err to_fixed(struct sb_lowered *x, struct sb_lowering *l,
                       const struct sb_graph_node *node)
{
    int exponent = 0;
    (void)frexp(sb_lower_magnitude(&x->format) * x->format.scale, &exponent);
    int bits = 30 - exponent;
    struct sb_format fx = sb_format_fx((unsigned)(bits < 0             ? 0
                                                  : bits > FRACTION_HI ? FRACTION_HI
                                                                       : bits));
    return fraction_bits(&x->format) >= 0 && x->format.dtype != SB_DTYPE_U16
               ? SB_OK
               : sb_lower_convert(x, l, node, node->inputs[0], &fx);
}

/* |x| and -x keep scale and type; the zero point moves so that the range stays inside the type. */
static struct sb_format turned_format(const struct sb_format *x, bool negative)
{
    int32_t zero_point = x->quant.zero_point;
    struct sb_format y = sb_format_of(x->dtype, x->scale, 0);
    if (x->dtype == SB_DTYPE_I8) {
        y = sb_format_of(x->dtype, x->scale, negative ? -1 - zero_point : INT8_MIN);
    } else if (x->dtype == SB_DTYPE_U8) {
        y = sb_format_of(x->dtype, x->scale, negative ? UINT8_MAX - zero_point : 0);
    }
    return y;
}

static enum sb_map_kind map_kind(const struct sb_graph_node *node)
{
    switch ((int)node->op->id) {
    case SB_ONNX_ABS:
        return SB_MAP_ABS;
    case SB_ONNX_NEG:
        return SB_MAP_NEG;
    case SB_ONNX_SIGN:
        return SB_MAP_SIGN;
    case SB_ONNX_FLOOR:
        return SB_MAP_FLOOR;
    case SB_ONNX_CEIL:
        return SB_MAP_CEIL;
    default:
        return SB_MAP_ROUND;
    }
}

static sb_err emit_map(struct sb_lowered *x, struct sb_lowering *l, uint32_t value,
                       enum sb_map_kind kind, const struct sb_format *format)
{
    int64_t attrs[2] = {(int64_t)kind, 0};
    if (kind != SB_MAP_ABS && kind != SB_MAP_NEG && kind != SB_MAP_SIGN) {
        attrs[SB_ATTR_MAP_SHIFT] = fraction_bits(&x->format);
    }
    x->tensor = sb_lower_emit(l, value, SB_OP_MAP, &x->tensor, 1, format, &x->shape, attrs);
    x->format = *format;
    return SB_OK;
}

sb_err sb_lower_map(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    enum sb_map_kind kind = map_kind(node);
    struct sb_lowered x;
    struct sb_format y;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    bool turns = kind == SB_MAP_ABS || kind == SB_MAP_NEG;
    if (x.format.dtype == SB_DTYPE_U16 || x.format.dtype == SB_DTYPE_I64 ||
        (!turns && kind != SB_MAP_SIGN)) {
        SB_TRY(to_fixed(&x, l, node));
    }
    if (is_exact(l, value)) {
        y = sb_format_of(x.format.dtype, 1, 0);
    } else if (turns) {
        y = turned_format(&x.format, kind == SB_MAP_NEG);
    } else {
        y = sb_format_of(x.format.dtype, 1, x.format.dtype == SB_DTYPE_U8 ? 1 : 0);
    }
    SB_TRY(emit_map(&x, l, value, kind, &y));
    sb_lower_set(l, value, &x, SB_OP_MAP);
    return SB_OK;
}

/* ---- Cast ---- */

/* x is not 0, where 0 is the raw zero point. */
static sb_err cast_to_bool(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_lowered *x, const struct sb_format *y)
{
    struct sb_shape scalar = {.rank = 0};
    int64_t zero = x->format.quant.zero_point;
    uint8_t low = (uint8_t)zero;
    bool byte = sb_dtype_bytes(x->format.dtype) == 1;
    uint32_t in[2] = {x->tensor};
    in[1] = sb_build_const(l->build, node->name, x->format.dtype, &scalar, &x->format.quant,
                           byte ? (const void *)&low : (const void *)&zero);
    uint32_t value = node->outputs[0];
    struct sb_lowered out = *x;
    int64_t kind = SB_COMPARE_NOT_EQUAL;
    out.format = *y;
    out.tensor = sb_lower_emit(l, value, SB_OP_COMPARE, in, 2, y, &x->shape, &kind);
    sb_lower_set(l, value, &out, SB_OP_COMPARE);
    return SB_OK;
}

sb_err sb_lower_cast(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    enum sb_op_id op = SB_OP_RESCALE;
    struct sb_lowered x;
    struct sb_format y;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    SB_TRY(format_of(&y, l, node, value, sb_lower_magnitude(&x.format) * x.format.scale));
    if (elem_of(l, value) == SB_ELEM_BOOL) {
        return cast_to_bool(l, node, &x, &y);
    }
    if (is_exact(l, value) && !is_exact(l, node->inputs[0])) {
        SB_TRY(to_fixed(&x, l, node));
        struct sb_format whole = sb_format_of(x.format.dtype, 1, 0);
        whole.lo = (int64_t)floor((double)x.format.lo * x.format.scale);
        whole.hi = (int64_t)ceil((double)x.format.hi * x.format.scale);
        SB_TRY(emit_map(&x, l, value, SB_MAP_TRUNC, &whole));
        op = SB_OP_MAP;
    }
    bool fits = y.lo <= x.format.lo && y.hi >= x.format.hi;
    if (is_exact(l, value) && is_exact(l, node->inputs[0]) && !fits) {
        whole_range(&y);
        x.tensor = sb_lower_emit(l, value, SB_OP_WRAP, &x.tensor, 1, &y, &x.shape, NULL);
        x.format = y;
        op = SB_OP_WRAP;
    } else if (!same_format(&x.format, &y)) {
        SB_TRY(sb_lower_convert(&x, l, node, value, &y));
        op = SB_OP_RESCALE;
    }
    sb_lower_set(l, value, &x, op);
    return SB_OK;
}
