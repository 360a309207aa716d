/* lower.c: the walk, formats and layouts. See lower.h. */
#include "vm/compiler/lower.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/util/assert.h"
#include "vm/compiler/lower_impl.h"
#include "vm/tensor/kernels.h"

#define HEADROOM_I16   1.5 /* over the calibrated range */
#define FX_BITS        29  /* of the calibrated magnitude: a factor of two to spare */
#define FX_FRACTION    16  /* without samples */
#define FX_FRACTION_HI 24

void sb_lower_note(struct sb_lowering *l, const char *fmt, ...)
{
    if (l->report == NULL || l->report->note_count == SB_REPORT_NOTES_MAX) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(l->report->notes[l->report->note_count++], SB_REPORT_NOTE_BYTES, fmt, args);
    va_end(args);
}

double sb_lower_magnitude(const struct sb_format *format)
{
    double lo = fabs((double)format->lo - format->quant.zero_point);
    double hi = fabs((double)format->hi - format->quant.zero_point);
    return fmax(lo, hi);
}

/* ---- formats ---- */

/* A reader that gains from more than 8 bits: it ends in a result, compares close values, or is one of the cheap steps of a transformer
 * between its products: residual sums, rotations, gates and norms stay in 16 bits, and only what a product reads is rounded to 8. */
static bool wants_wide(const struct sb_lowering *l, const struct sb_graph_node *reader,
                       bool transformer)
{
    uint32_t result = reader->outputs[0];
    switch ((int)reader->op->id) {
    case SB_ONNX_SOFTMAX:
    case SB_ONNX_MASKED_SOFTMAX:
    case SB_ONNX_ARG_MAX:
    case SB_ONNX_LAYER_NORMALIZATION:
    case SB_ONNX_RMS_NORMALIZATION:
        return true;
    case SB_ONNX_SIGMOID:
    case SB_ONNX_TANH:
        return transformer || l->graph->values[result].is_output;
    case SB_ONNX_ADD:
    case SB_ONNX_SUB:
    case SB_ONNX_MUL:
    case SB_ONNX_DIV:
    case SB_ONNX_SWISH:
    case SB_ONNX_GELU:
    case SB_ONNX_CONCAT:
        return transformer;
    case SB_ONNX_SLICE:
    case SB_ONNX_RESHAPE:
    case SB_ONNX_TRANSPOSE:
    case SB_ONNX_SQUEEZE:
    case SB_ONNX_UNSQUEEZE:
        return transformer && result != SB_NO_VALUE && l->wide[result];
    default:
        return false;
    }
}

/* Movements keep the format of what they move, so that one wide reader decides for them all. */
static bool moves(const struct sb_graph_node *node)
{
    enum sb_onnx_op_id op = node->op->id;
    return op == SB_ONNX_SLICE || op == SB_ONNX_RESHAPE || op == SB_ONNX_TRANSPOSE ||
           op == SB_ONNX_SQUEEZE || op == SB_ONNX_UNSQUEEZE;
}

/* Which values are held in 16 bits where others have 8: all readers want it, or one that moves. From the last node to the first. */
static void find_wide(struct sb_lowering *l)
{
    const struct sb_graph *g = l->graph;
    bool transformer = false;
    for (uint32_t n = 0; n < g->node_count; n++) {
        enum sb_onnx_op_id op = g->nodes[n].op->id;
        transformer = transformer || (!g->nodes[n].removed && (op == SB_ONNX_LAYER_NORMALIZATION ||
                                                               op == SB_ONNX_RMS_NORMALIZATION));
    }
    for (uint32_t v = 0; v < g->value_count; v++) {
        l->wide[v] = true; /* until a reader is met that does not want it */
    }
    for (uint32_t n = g->node_count; n-- > 0;) {
        const struct sb_graph_node *node = &g->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] != SB_NO_VALUE) {
                bool wants = wants_wide(l, node, transformer);
                l->wide[node->inputs[i]] = l->wide[node->inputs[i]] && wants;
            }
        }
        for (uint32_t i = 0; !node->removed && moves(node) && i < 1; i++) {
            uint32_t x = node->inputs[0];
            l->wide[x] = l->wide[x] || wants_wide(l, node, transformer);
        }
    }
}

static struct sb_format format_i8(const struct sb_range *r)
{
    double min = fmin(0, r->min);
    double max = fmax(0, r->max);
    double scale = max > min ? (max - min) / 255 : 1;
    double zero_point = nearbyint(INT8_MIN - min / scale);
    return sb_format_of(SB_DTYPE_I8, scale, (int32_t)fmin(127, fmax(-128, zero_point)));
}

static struct sb_format format_i16(double magnitude)
{
    return sb_format_of(SB_DTYPE_I16, magnitude > 0 ? magnitude * HEADROOM_I16 / 32767 : 1, 0);
}

static struct sb_format format_fx(const struct sb_range *r)
{
    if (!r->known) {
        return sb_format_fx(FX_FRACTION);
    }
    double magnitude = fmax(fabs(r->min), fabs(r->max));
    int exponent = 0;
    (void)frexp(magnitude, &exponent);
    int bits = FX_BITS - exponent;
    return sb_format_fx((unsigned)(bits < 0 ? 0 : bits > FX_FRACTION_HI ? FX_FRACTION_HI : bits));
}

/* Whole numbers are held exactly, whatever the precision: scale 1, the range of their type, of which 64-bit ones keep 32 bits. */
static bool format_whole(struct sb_format *ret, enum sb_elem elem)
{
    switch ((int)elem) {
    case SB_ELEM_BOOL:
        *ret = sb_format_of(SB_DTYPE_U8, 1, 0);
        ret->hi = 1;
        return true;
    case SB_ELEM_UINT8:
        *ret = sb_format_of(SB_DTYPE_U8, 1, 0);
        return true;
    case SB_ELEM_INT8:
        *ret = sb_format_of(SB_DTYPE_I8, 1, 0);
        return true;
    case SB_ELEM_INT16:
        *ret = sb_format_of(SB_DTYPE_I16, 1, 0);
        return true;
    case SB_ELEM_UINT16:
    case SB_ELEM_UINT32:
    case SB_ELEM_INT32:
    case SB_ELEM_INT64:
        *ret = sb_format_of(SB_DTYPE_I32, 1, 0);
        ret->lo = elem == SB_ELEM_UINT16 || elem == SB_ELEM_UINT32 ? 0 : ret->lo;
        ret->hi = elem == SB_ELEM_UINT16 ? UINT16_MAX : ret->hi;
        return true;
    default:
        return false;
    }
}

sb_err sb_lower_format(struct sb_format *ret, const struct sb_lowering *l,
                       const struct sb_target *target, const struct sb_graph_node *node,
                       double bound)
{
    const struct sb_given_quant *given = &l->graph->values[target->value].given;
    struct sb_range r = l->ranges[target->value];
    if (format_whole(ret, l->graph->values[target->value].elem)) {
        SB_ASSERT(ret->scale == 1);
    } else if (l->precision == SB_PRECISION_FX32) {
        *ret = format_fx(&r);
    } else if (given->present && l->precision == SB_PRECISION_I8) {
        *ret = sb_format_of(given->dtype, given->scale, given->zero_point);
    } else if (r.known && l->precision == SB_PRECISION_I8 && !l->wide[target->value]) {
        *ret = format_i8(&r);
    } else if (r.known) {
        *ret = format_i16(fmax(fabs(r.min), fabs(r.max)));
    } else if (isfinite(bound)) {
        *ret = sb_format_of(SB_DTYPE_I32, bound / 0x1p30, 0);
    } else {
        return sb_graph_fail(l->diag, SB_E_ARG, node,
                             "precision %s needs sample rows for calibration; give some, or "
                             "compile with precision fx32",
                             sb_precision_name(l->precision));
    }
    sb_lower_clip(ret, target);
    return SB_OK;
}

void sb_lower_clip(struct sb_format *format, const struct sb_target *target)
{
    struct sb_format whole = *format;
    if (isfinite(target->clip_lo)) {
        format->lo = sb_format_raw(&whole, target->clip_lo);
    }
    if (isfinite(target->clip_hi)) {
        format->hi = sb_format_raw(&whole, target->clip_hi);
    }
    format->hi = format->hi < format->lo ? format->lo : format->hi;
}

struct sb_target sb_lower_target(struct sb_lowering *l, const struct sb_graph_node *node,
                                 uint32_t index)
{
    struct sb_target t = {.value = node->outputs[index], .clip_lo = -INFINITY, .clip_hi = INFINITY};
    for (;;) {
        const struct sb_value *v = &l->graph->values[t.value];
        uint32_t reader = SB_NO_VALUE;
        double lo = 0;
        double hi = 0;
        if (v->is_output || v->given.present || sb_graph_readers(&reader, l->graph, t.value) != 1 ||
            reader == SB_NO_VALUE) {
            return t;
        }
        const struct sb_graph_node *next = &l->graph->nodes[reader];
        if (!sb_clip_bounds(&lo, &hi, l->graph, next) || lo > hi) {
            return t;
        }
        t.clip_lo = fmin(hi, fmax(lo, t.clip_lo));
        t.clip_hi = fmax(lo, fmin(hi, t.clip_hi));
        t.value = next->outputs[0];
        l->melted[t.value] = true;
    }
}

/* ---- tensors ---- */

static struct sb_tensor_desc desc_of(const struct sb_format *format, const struct sb_shape *shape)
{
    return (struct sb_tensor_desc){
        .dtype = format->dtype,
        .shape = *shape,
        .quant = format->quant,
        .lo = format->lo,
        .hi = format->hi,
    };
}

uint32_t sb_lower_emit(struct sb_lowering *l, uint32_t value, enum sb_op_id op,
                       const uint32_t *inputs, uint32_t input_count, const struct sb_format *format,
                       const struct sb_shape *shape, const int64_t *attrs)
{
    const struct sb_op_facts *facts = sb_op_find((uint16_t)op, 1);
    struct sb_tensor_desc desc = desc_of(format, shape);
    SB_ASSERT(facts != NULL);
    uint32_t y = sb_build_tensor(l->build, l->graph->values[value].name, &desc);
    sb_build_node(l->build, l->graph->values[value].name, op, 1, inputs, input_count, y, attrs,
                  facts->attr_count);
    return y;
}

void sb_lower_set(struct sb_lowering *l, uint32_t value, const struct sb_lowered *lowered,
                  enum sb_op_id op)
{
    const struct sb_op_facts *facts = sb_op_find((uint16_t)op, 1);
    SB_ASSERT(facts != NULL);
    l->lowered[value] = *lowered;
    l->ops[value] = facts->name;
    l->order[l->order_count++] = value;
}

struct sb_shape sb_lower_shape(const struct sb_shape *onnx, enum sb_layout layout)
{
    const uint32_t *d = onnx->dims;
    if (layout != SB_LAYOUT_NHWC) {
        return *onnx;
    }
    return (struct sb_shape){.rank = 4, .dims = {d[0], d[2], d[3], d[1]}};
}

uint32_t sb_lower_axis(const struct sb_lowered *x, uint32_t axis)
{
    static const uint32_t nhwc[4] = {0, 3, 1, 2};
    return x->layout == SB_LAYOUT_NHWC ? nhwc[axis] : axis;
}

/* NCHW to NHWC and back; a plain reshape where one of C and H * W is 1. */
static void change_layout(struct sb_lowered *x, struct sb_lowering *l, uint32_t value,
                          enum sb_layout layout)
{
    const struct sb_shape *onnx = &l->graph->values[value].array.shape;
    struct sb_shape shape = sb_lower_shape(onnx, layout);
    bool same = onnx->dims[1] == 1 || onnx->dims[2] * onnx->dims[3] == 1;
    static const int64_t to_nhwc[SB_TENSOR_RANK_MAX] = {0, 2, 3, 1, 0, 0};
    static const int64_t to_nchw[SB_TENSOR_RANK_MAX] = {0, 3, 1, 2, 0, 0};
    x->tensor = sb_lower_emit(l, value, same ? SB_OP_RESHAPE : SB_OP_TRANSPOSE, &x->tensor, 1,
                              &x->format, &shape,
                              same                       ? NULL
                              : layout == SB_LAYOUT_NHWC ? to_nhwc
                                                         : to_nchw);
    x->layout = layout;
    x->shape = shape;
}

/* A constant operand: in the format given, else 16 bits, or fixed point; whole numbers as they are. */
static sb_err lower_const(struct sb_lowered *ret, struct sb_lowering *l,
                          const struct sb_value *value, enum sb_layout layout,
                          const struct sb_format *format)
{
    uint64_t count = sb_array_count(&value->array);
    struct sb_range r = {.known = true};
    struct sb_lowered x = {.layout = layout, .shape = value->array.shape};
    for (uint64_t i = 0; i < count; i++) {
        if (isfinite(value->array.data[i])) {
            r.min = fmin(r.min, value->array.data[i]);
            r.max = fmax(r.max, value->array.data[i]);
        }
    }
    uint8_t *raw = sb_arena_array(l->memory, count, sizeof(int64_t));
    if (raw == NULL || count == 0) {
        return sb_fail(l->diag, count == 0 ? SB_E_SHAPE : SB_E_NOMEM,
                       "the constant '%s' is empty, or memory ran out", value->name);
    }
    bool whole = format_whole(&x.format, value->elem);
    double magnitude = fmax(-r.min, r.max);
    if (whole && magnitude > (value->elem == SB_ELEM_UINT32 ? UINT32_MAX : INT32_MAX)) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "the constant '%s' holds %g; whole numbers are kept in 32 bits", value->name,
                       magnitude);
    }
    x.format = format != NULL ? *format
               : whole        ? x.format
               : l->precision == SB_PRECISION_FX32
                   ? format_fx(&r)
                   : sb_format_of(SB_DTYPE_I16, magnitude > 0 ? magnitude / 32767 : 1, 0);
    /* Broadcasting aligns the last dimensions, so an operand of an NHWC value is made rank 4 first. */
    struct sb_shape wide = {.rank = 4, .dims = {1, 1, 1, 1}};
    for (uint32_t i = 0; layout == SB_LAYOUT_NHWC && i < x.shape.rank; i++) {
        wide.dims[4 - x.shape.rank + i] = x.shape.dims[i];
    }
    uint64_t plane = layout == SB_LAYOUT_NHWC ? (uint64_t)wide.dims[2] * wide.dims[3] : 1;
    uint64_t channels = layout == SB_LAYOUT_NHWC ? wide.dims[1] : 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t image = i / (plane * channels) * plane * channels;
        uint64_t to = image + i % plane * channels + i / plane % channels;
        int64_t v = sb_format_raw(&x.format, value->array.data[i]);
        sb_narrow(sb_element_at_mut(raw, x.format.dtype, to), x.format.dtype, &v, 1);
    }
    x.shape = layout == SB_LAYOUT_NHWC ? sb_lower_shape(&wide, layout) : x.shape;
    x.tensor =
        sb_build_const(l->build, value->name, x.format.dtype, &x.shape, &x.format.quant, raw);
    *ret = x;
    return SB_OK;
}

sb_err sb_lower_get(struct sb_lowered *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                    uint32_t index, enum sb_layout layout)
{
    uint32_t value = node->inputs[index];
    const struct sb_value *v = &l->graph->values[value];
    if (v->is_const) {
        return lower_const(ret, l, v, layout, NULL);
    }
    struct sb_lowered x = l->lowered[value];
    if (x.layout != layout && layout != SB_LAYOUT_FLAT) {
        if (v->array.shape.rank != 4 || x.layout == SB_LAYOUT_FLAT) {
            return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                                 "input '%s' is not an image [N, C, H, W]", v->name);
        }
        change_layout(&x, l, value, layout);
    }
    *ret = x;
    return SB_OK;
}

sb_err sb_lower_get_as(struct sb_lowered *ret, struct sb_lowering *l,
                       const struct sb_graph_node *node, uint32_t index, enum sb_layout layout,
                       const struct sb_format *format)
{
    const struct sb_value *v = &l->graph->values[node->inputs[index]];
    if (v->is_const) {
        return lower_const(ret, l, v, layout, format);
    }
    struct sb_lowered x;
    SB_TRY(sb_lower_get(&x, l, node, index, layout));
    if (x.format.dtype != format->dtype || x.format.scale != format->scale ||
        x.format.quant.zero_point != format->quant.zero_point) {
        SB_TRY(sb_lower_convert(&x, l, node, node->inputs[index], format));
    }
    *ret = x;
    return SB_OK;
}

sb_err sb_lower_convert(struct sb_lowered *x, struct sb_lowering *l,
                        const struct sb_graph_node *node, uint32_t value,
                        const struct sb_format *format)
{
    struct sb_factor f;
    if (!sb_factor_of(&f, x->format.scale / format->scale, sb_lower_magnitude(&x->format),
                      INT32_MAX, 62)) {
        return sb_graph_fail(l->diag, SB_E_RANGE, node, "no factor leads from scale %g to %g",
                             x->format.scale, format->scale);
    }
    int64_t attrs[] = {f.mult, f.shift};
    x->tensor = sb_lower_emit(l, value, SB_OP_RESCALE, &x->tensor, 1, format, &x->shape, attrs);
    x->format = *format;
    return SB_OK;
}

/* ---- the walk ---- */

static bool read_by_trees(const struct sb_lowering *l, uint32_t value)
{
    for (uint32_t n = 0; n < l->graph->node_count; n++) {
        const struct sb_graph_node *node = &l->graph->nodes[n];
        bool trees =
            node->op->id == SB_ONNX_TREE_CLASSIFIER || node->op->id == SB_ONNX_TREE_REGRESSOR;
        if (!node->removed && trees && node->inputs[0] == value) {
            return true;
        }
    }
    return false;
}

static bool keeps_elements(const struct sb_graph_node *node)
{
    enum sb_onnx_op_id op = node->op->id;
    return op == SB_ONNX_RESHAPE || op == SB_ONNX_SQUEEZE || op == SB_ONNX_UNSQUEEZE ||
           op == SB_ONNX_FLATTEN || op == SB_ONNX_TRANSPOSE || op == SB_ONNX_IDENTITY;
}

/* An input that is read as an index has the range of the dimension that it indexes, negative ones counting from the end: samples would
 * show only some of the indices, and what ONNX calls an error is better refused than clamped. */
static sb_err limit_indices(struct sb_format *format, struct sb_lowering *l, uint32_t value)
{
    const struct sb_graph *g = l->graph;
    bool *same = sb_arena_zalloc(l->memory, g->value_count * sizeof *same);
    if (same == NULL) {
        return sb_fail(l->diag, SB_E_NOMEM, "out of memory for lowering");
    }
    same[value] = true;
    for (uint32_t n = 0; n < g->node_count; n++) {
        const struct sb_graph_node *node = &g->nodes[n];
        struct sb_indexed r;
        if (node->removed || node->input_count == 0 || node->inputs[0] == SB_NO_VALUE) {
            continue;
        }
        if (keeps_elements(node) && same[node->inputs[0]]) {
            same[node->outputs[0]] = true;
        }
        if (sb_lower_indexed(&r, g, node) && same[node->inputs[r.input]]) {
            format->lo = format->lo < r.lo ? r.lo : format->lo;
            format->hi = format->hi > r.hi ? r.hi : format->hi;
        }
    }
    return SB_OK;
}

static sb_err lower_input(struct sb_lowering *l, uint32_t value)
{
    const struct sb_value *v = &l->graph->values[value];
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    struct sb_lowered x = {.shape = v->array.shape};
    uint32_t reader = SB_NO_VALUE;
    (void)sb_graph_readers(&reader, l->graph, value);
    const struct sb_graph_node *node = &l->graph->nodes[reader == SB_NO_VALUE ? 0 : reader];
    bool trees = read_by_trees(l, value);
    if (trees) {
        x.format = sb_lower_tree_input(l, value);
    } else {
        SB_TRY(sb_lower_format(&x.format, l, &target, node, INFINITY));
        if (sb_elem_is_integer(v->elem)) {
            SB_TRY(limit_indices(&x.format, l, value));
        }
    }
    struct sb_tensor_desc desc = desc_of(&x.format, &x.shape);
    desc.rounding = trees ? SB_ROUND_FLOOR : SB_ROUND_NEAREST;
    x.tensor = sb_build_input(l->build, v->name, &desc);
    l->lowered[value] = x;
    return SB_OK;
}

static sb_err lower_node(struct sb_lowering *l, const struct sb_graph_node *node)
{
    switch ((int)node->op->id) {
    case SB_ONNX_CONV:
    case SB_ONNX_GEMM:
        return sb_lower_linear(l, node);
    case SB_ONNX_TREE_CLASSIFIER:
    case SB_ONNX_TREE_REGRESSOR:
        return sb_lower_trees(l, node);
    case SB_ONNX_ADD:
    case SB_ONNX_SUB:
    case SB_ONNX_MUL:
        return sb_lower_binary(l, node);
    case SB_ONNX_RELU:
    case SB_ONNX_CLIP:
        return sb_lower_clamp(l, node);
    case SB_ONNX_MAX_POOL:
    case SB_ONNX_AVERAGE_POOL:
    case SB_ONNX_GLOBAL_AVERAGE_POOL:
    case SB_ONNX_GLOBAL_MAX_POOL:
        return sb_lower_pool(l, node);
    case SB_ONNX_SIGMOID:
    case SB_ONNX_TANH:
    case SB_ONNX_EXP:
    case SB_ONNX_ELU:
    case SB_ONNX_LEAKY_RELU:
    case SB_ONNX_HARD_SIGMOID:
    case SB_ONNX_HARD_SWISH:
    case SB_ONNX_ASINH:
    case SB_ONNX_ATAN:
    case SB_ONNX_CELU:
    case SB_ONNX_COS:
    case SB_ONNX_COSH:
    case SB_ONNX_ERF:
    case SB_ONNX_GELU:
    case SB_ONNX_LOG:
    case SB_ONNX_MISH:
    case SB_ONNX_RECIPROCAL:
    case SB_ONNX_SELU:
    case SB_ONNX_SIN:
    case SB_ONNX_SINH:
    case SB_ONNX_SOFTPLUS:
    case SB_ONNX_SOFTSIGN:
    case SB_ONNX_SQRT:
    case SB_ONNX_SWISH:
    case SB_ONNX_TAN:
    case SB_ONNX_THRESHOLDED_RELU:
        return sb_lower_unary(l, node);
    case SB_ONNX_DIV:
        return sb_lower_div(l, node);
    case SB_ONNX_QUANTIZE_LINEAR:
        return sb_lower_quantize(l, node);
    case SB_ONNX_MAT_MUL:
    case SB_ONNX_MAT_MUL_INTEGER:
    case SB_ONNX_PRODUCT:
        return sb_lower_matmul(l, node);
    case SB_ONNX_LAYER_NORMALIZATION:
    case SB_ONNX_RMS_NORMALIZATION:
        return sb_lower_norm(l, node);
    case SB_ONNX_LOG_SUM_EXP:
        return sb_lower_log_sum_exp(l, node);
    case SB_ONNX_MASKED_SOFTMAX:
        return sb_lower_masked_softmax(l, node);
    case SB_ONNX_SOFTMAX:
        return sb_lower_softmax(l, node);
    case SB_ONNX_ARG_MAX:
    case SB_ONNX_ARG_MIN:
        return sb_lower_arg_max(l, node);
    case SB_ONNX_GATHER:
    case SB_ONNX_GATHER_ELEMENTS:
    case SB_ONNX_GATHER_ND:
        return sb_lower_gather(l, node);
    case SB_ONNX_SCATTER:
    case SB_ONNX_SCATTER_ELEMENTS:
    case SB_ONNX_SCATTER_ND:
        return sb_lower_scatter(l, node);
    case SB_ONNX_RESIZE:
    case SB_ONNX_UPSAMPLE:
        return sb_lower_resize(l, node);
    case SB_ONNX_TENSOR_SCATTER:
        return sb_lower_tensor_scatter(l, node);
    case SB_ONNX_COMPRESS:
    case SB_ONNX_DEPTH_TO_SPACE:
    case SB_ONNX_EXPAND:
    case SB_ONNX_REVERSE_SEQUENCE:
    case SB_ONNX_SLICE:
    case SB_ONNX_SPACE_TO_DEPTH:
    case SB_ONNX_TILE:
        return sb_lower_move(l, node);
    case SB_ONNX_FLATTEN:
    case SB_ONNX_RESHAPE:
    case SB_ONNX_SQUEEZE:
    case SB_ONNX_UNSQUEEZE:
    case SB_ONNX_IDENTITY:
        return sb_lower_reshape(l, node);
    case SB_ONNX_TRANSPOSE:
        return sb_lower_transpose(l, node);
    case SB_ONNX_CONCAT:
        return sb_lower_concat(l, node);
    case SB_ONNX_PAD:
        return sb_lower_pad(l, node);
    case SB_ONNX_CAST:
        return sb_lower_cast(l, node);
    case SB_ONNX_ABS:
    case SB_ONNX_CEIL:
    case SB_ONNX_FLOOR:
    case SB_ONNX_NEG:
    case SB_ONNX_ROUND:
    case SB_ONNX_SIGN:
        return sb_lower_map(l, node);
    case SB_ONNX_AND:
    case SB_ONNX_BIT_SHIFT:
    case SB_ONNX_BITWISE_AND:
    case SB_ONNX_BITWISE_NOT:
    case SB_ONNX_BITWISE_OR:
    case SB_ONNX_BITWISE_XOR:
    case SB_ONNX_MAX:
    case SB_ONNX_MIN:
    case SB_ONNX_MOD:
    case SB_ONNX_NOT:
    case SB_ONNX_OR:
    case SB_ONNX_XOR:
        return sb_lower_combine(l, node);
    case SB_ONNX_EQUAL:
    case SB_ONNX_GREATER:
    case SB_ONNX_GREATER_OR_EQUAL:
    case SB_ONNX_IS_INF:
    case SB_ONNX_IS_NAN:
    case SB_ONNX_LESS:
    case SB_ONNX_LESS_OR_EQUAL:
        return sb_lower_compare(l, node);
    case SB_ONNX_WHERE:
        return sb_lower_where(l, node);
    case SB_ONNX_CUM_SUM:
        return sb_lower_cum_sum(l, node);
    case SB_ONNX_REDUCE_L1:
    case SB_ONNX_REDUCE_MAX:
    case SB_ONNX_REDUCE_MEAN:
    case SB_ONNX_REDUCE_MIN:
    case SB_ONNX_REDUCE_SUM:
    case SB_ONNX_REDUCE_SUM_SQUARE:
        return sb_lower_reduce(l, node);
    case SB_ONNX_TOP_K:
        return sb_lower_top_k(l, node);
    default:
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                             "this use cannot be computed in integers yet; %s",
                             node->op->id == SB_ONNX_NORMALIZER
                                 ? "leave out the normalised output (the classes do not need it)"
                                 : "only constant operands are supported here");
    }
}

static sb_err lower_outputs(struct sb_lowering *l)
{
    for (uint32_t i = 0; i < l->graph->output_count; i++) {
        uint32_t value = l->graph->outputs[i];
        const struct sb_value *v = &l->graph->values[value];
        struct sb_lowered *x = &l->lowered[value];
        if (sb_array_count(&v->array) == 0) {
            return sb_fail(l->diag, SB_E_UNSUPPORTED, "the output '%s' has no elements", v->name);
        }
        if (v->is_const) {
            SB_TRY(lower_const(x, l, v, SB_LAYOUT_PLAIN, NULL));
        }
        if (x->tensor == SB_BUILD_NONE) {
            return sb_fail(l->diag, SB_E_UNSUPPORTED,
                           "the output '%s' is a second result of its operator", v->name);
        }
        if (v->is_input || v->is_const) { /* outputs are computed */
            x->tensor =
                sb_lower_emit(l, value, SB_OP_CLAMP, &x->tensor, 1, &x->format, &x->shape, NULL);
        }
        if (x->layout == SB_LAYOUT_NHWC) {
            change_layout(x, l, value, SB_LAYOUT_PLAIN);
        }
        sb_build_output(l->build, x->tensor);
    }
    return SB_OK;
}

static void add_probes(struct sb_lowering *l)
{
    for (uint32_t i = 0; i < l->probe_count && l->probe_first + i < l->order_count; i++) {
        uint32_t value = l->order[l->probe_first + i];
        if (!l->graph->values[value].is_output) {
            sb_build_output(l->build, l->lowered[value].tensor);
            l->probed[l->probed_count++] = value;
        }
    }
}

static sb_err lower_graph(struct sb_lowering *l)
{
    for (uint32_t i = 0; i < l->graph->input_count; i++) {
        SB_TRY(lower_input(l, l->graph->inputs[i]));
    }
    for (uint32_t n = 0; n < l->graph->node_count; n++) {
        const struct sb_graph_node *node = &l->graph->nodes[n];
        uint32_t first = node->output_count > 0 ? node->outputs[0] : SB_NO_VALUE;
        bool melted = first != SB_NO_VALUE && l->melted[first];
        bool empty = first != SB_NO_VALUE && sb_array_count(&l->graph->values[first].array) == 0;
        if (!node->removed && !melted && !empty) {
            SB_TRY(lower_node(l, node));
        }
    }
    SB_TRY(lower_outputs(l));
    add_probes(l);
    return SB_OK;
}

static sb_err make_tables(struct sb_lowering *l)
{
    uint32_t count = l->graph->value_count;
    l->lowered = sb_arena_zalloc(l->memory, count * sizeof *l->lowered);
    l->order = sb_arena_zalloc(l->memory, count * sizeof *l->order);
    l->probed = sb_arena_zalloc(l->memory, count * sizeof *l->probed);
    l->ops = sb_arena_zalloc(l->memory, count * sizeof *l->ops);
    l->melted = sb_arena_zalloc(l->memory, count * sizeof *l->melted);
    l->wide = sb_arena_zalloc(l->memory, count * sizeof *l->wide);
    l->order_count = 0;
    l->probed_count = 0;
    if (l->lowered == NULL || l->order == NULL || l->probed == NULL || l->ops == NULL ||
        l->melted == NULL || l->wide == NULL) {
        return sb_fail(l->diag, SB_E_NOMEM, "out of memory for lowering");
    }
    find_wide(l);
    for (uint32_t v = 0; v < count; v++) {
        l->lowered[v].tensor = SB_BUILD_NONE;
    }
    return SB_OK;
}

sb_err sb_lower(struct sb_buf *ret_file, struct sb_lowering *lowering)
{
    SB_TRY(make_tables(lowering));
    lowering->build = sb_build_new(lowering->name);
    if (lowering->build == NULL) {
        return sb_fail(lowering->diag, SB_E_NOMEM, "out of memory for the model file");
    }
    sb_err err = lower_graph(lowering);
    if (err == SB_OK) {
        err = sb_build_finish(ret_file, lowering->build, lowering->diag);
    }
    sb_build_free(lowering->build);
    lowering->build = NULL;
    return err;
}
