/* lower_linear.c: Conv and Gemm to CONV2D and GEMM (integers with scales) or to their fixed-point forms.
 *
 * For output channel n, with s_w its weight scale:   M / 2^S = s_x * s_w / s_y,   bias = b / (s_x * s_w).
 * s_w is max|w| / 127, or the scale that a QDQ model gives, and is made coarser until the accumulator provably fits 32 bits:
 * sum |w| * max|x - zp| + |bias| < 2^31. */
#include <inttypes.h>

#include "vm/compiler/lower_impl.h"

#define COARSER_STEPS  400
#define COARSER        1.05
#define ACCUMULATOR_HI 0x7fff0000

/* A linear layer with weights in the engine's order. */
struct layer {
    const struct sb_graph_node *node;
    bool conv;
    uint32_t outputs;
    uint64_t row; /* weights of one output */
    struct sb_shape weight_shape;
    struct sb_shape out_shape;
    double *weights; /* [outputs][row] */
    const double *bias;
    const double *scales; /* given scales: [scale_count], or NULL */
    uint32_t scale_count;
    int64_t attrs[SB_ATTR_CONV_FX_SHIFT + 1];
};

static sb_err nomem(struct sb_lowering *l)
{
    return sb_fail(l->diag, SB_E_NOMEM, "out of memory for weights");
}

/* [O, I, KH, KW] to [O, KH, KW, I]; columns of a Gemm after a flattened image likewise, from C, HW to HW, C. */
static void permute_rows(double *to, const double *from, uint32_t outputs, uint64_t channels,
                         uint64_t taps)
{
    for (uint64_t o = 0; o < outputs; o++) {
        for (uint64_t c = 0; c < channels; c++) {
            for (uint64_t t = 0; t < taps; t++) {
                to[(o * taps + t) * channels + c] = from[(o * channels + c) * taps + t];
            }
        }
    }
}

static sb_err read_conv(struct layer *y, struct sb_lowering *l, const struct sb_lowered *x)
{
    const struct sb_graph *g = l->graph;
    const uint32_t *d = g->values[y->node->inputs[1]].array.shape.dims;
    const struct sb_shape onnx_x = {
        .rank = 4,
        .dims = {x->shape.dims[0], x->shape.dims[3], x->shape.dims[1], x->shape.dims[2]}};
    struct sb_eval_window w;
    SB_TRY(sb_eval_window(&w, y->node, &onnx_x, (int64_t[]){d[2], d[3]}, l->diag));
    y->weight_shape = (struct sb_shape){.rank = 4, .dims = {d[0], d[2], d[3], d[1]}};
    y->out_shape = sb_lower_shape(&g->values[y->node->outputs[0]].array.shape, SB_LAYOUT_NHWC);
    y->attrs[SB_ATTR_CONV_STRIDE_H] = w.stride[1];
    y->attrs[SB_ATTR_CONV_STRIDE_W] = w.stride[2];
    y->attrs[SB_ATTR_CONV_PAD_TOP] = w.pad_before[1];
    y->attrs[SB_ATTR_CONV_PAD_LEFT] = w.pad_before[2];
    y->attrs[SB_ATTR_CONV_PAD_BOTTOM] = w.pad_after[1];
    y->attrs[SB_ATTR_CONV_PAD_RIGHT] = w.pad_after[2];
    y->attrs[SB_ATTR_CONV_DILATION_H] = w.dilation[1];
    y->attrs[SB_ATTR_CONV_DILATION_W] = w.dilation[2];
    y->attrs[SB_ATTR_CONV_GROUPS] = sb_graph_attr_int(y->node, "group", 1);
    return SB_OK;
}

static sb_err read_layer(struct layer *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                         const struct sb_lowered *x)
{
    const struct sb_value *w = &l->graph->values[node->inputs[1]];
    struct layer y = {
        .node = node,
        .conv = node->op->id == SB_ONNX_CONV,
        .outputs = w->array.shape.dims[0],
        .bias = l->graph->values[node->inputs[2]].array.data,
        .scales = w->weight_scales,
        .scale_count = w->weight_scale_count,
        .weight_shape = w->array.shape,
        .out_shape = l->graph->values[node->outputs[0]].array.shape,
    };
    y.row = sb_array_count(&w->array) / y.outputs;
    y.weights = sb_arena_array(l->memory, y.outputs * y.row, sizeof *y.weights);
    if (y.weights == NULL) {
        return nomem(l);
    }
    const uint32_t *d = w->array.shape.dims;
    uint64_t channels = y.conv ? d[1] : x->layout == SB_LAYOUT_FLAT ? x->flat_channels : y.row;
    permute_rows(y.weights, w->array.data, y.outputs, channels, y.row / channels);
    if (y.conv) {
        SB_TRY(read_conv(&y, l, x));
    }
    *ret = y;
    return SB_OK;
}

/* Greatest magnitude that the layer can make of inputs in their range. */
static double bound_of(const struct layer *y, const struct sb_format *x)
{
    double reach = sb_lower_magnitude(x) * x->scale;
    double bound = 0;
    for (uint32_t o = 0; o < y->outputs; o++) {
        double sum = fabs(y->bias[o]);
        for (uint64_t i = 0; i < y->row; i++) {
            sum += fabs(y->weights[o * y->row + i]) * reach;
        }
        bound = fmax(bound, sum);
    }
    return bound > 0 ? bound : 1;
}

/* ---- integers with scales ---- */

/* One output channel in integers. */
struct channel {
    int8_t *weights;
    int32_t bias;
    struct sb_factor factor;
};

static bool quantise_channel(struct channel *c, const struct layer *y, uint32_t o, double scale,
                             const struct sb_format *x, const struct sb_format *out)
{
    double sum = 0;
    double bias = nearbyint(y->bias[o] / (x->scale * scale));
    for (uint64_t i = 0; i < y->row; i++) {
        double q = nearbyint(y->weights[o * y->row + i] / scale);
        c->weights[i] = (int8_t)fmin(127, fmax(-127, q));
        sum += fabs((double)c->weights[i]);
    }
    if (sum * sb_lower_magnitude(x) + fabs(bias) >= ACCUMULATOR_HI) {
        return false;
    }
    c->bias = (int32_t)bias;
    return sb_requantise_factor(&c->factor, x->scale * scale / out->scale);
}

static double first_scale(const struct layer *y, uint32_t o)
{
    double top = 0;
    if (y->scales != NULL) {
        return y->scales[y->scale_count == 1 ? 0 : o];
    }
    for (uint64_t i = 0; i < y->row; i++) {
        top = fmax(top, fabs(y->weights[o * y->row + i]));
    }
    return fmax(top / 127, 1e-12);
}

static sb_err fit_channel(struct channel *c, struct sb_lowering *l, const struct layer *y,
                          uint32_t o, const struct sb_format *x, const struct sb_format *out)
{
    double scale = first_scale(y, o);
    for (int i = 0; i < COARSER_STEPS; i++) {
        if (quantise_channel(c, y, o, scale, x, out)) {
            return SB_OK;
        }
        scale *= COARSER;
    }
    return sb_graph_fail(l->diag, SB_E_RANGE, y->node,
                         "output channel %" PRIu32 " cannot be held in 32 bits; use precision fx32",
                         o);
}

static sb_err emit_quantised(uint32_t *ret, struct sb_lowering *l, const struct layer *y,
                             const struct sb_lowered *x, uint32_t value,
                             const struct sb_format *out)
{
    int8_t *w = sb_arena_array(l->memory, y->outputs * y->row, sizeof *w);
    int32_t *bias = sb_arena_array(l->memory, y->outputs, sizeof *bias);
    int32_t *mult = sb_arena_array(l->memory, y->outputs, sizeof *mult);
    uint8_t *shift = sb_arena_array(l->memory, y->outputs, sizeof *shift);
    if (w == NULL || bias == NULL || mult == NULL || shift == NULL) {
        return nomem(l);
    }
    for (uint32_t o = 0; o < y->outputs; o++) {
        struct channel c = {.weights = w + o * y->row};
        SB_TRY(fit_channel(&c, l, y, o, &x->format, out));
        bias[o] = c.bias;
        mult[o] = (int32_t)c.factor.mult;
        shift[o] = (uint8_t)c.factor.shift;
    }
    const char *name = y->node->name;
    struct sb_shape vector = {.rank = 1, .dims = {y->outputs}};
    uint32_t in[5] = {x->tensor};
    in[SB_IN_LINEAR_W] = sb_build_const(l->build, name, SB_DTYPE_I8, &y->weight_shape, NULL, w);
    in[SB_IN_LINEAR_BIAS] = sb_build_const(l->build, name, SB_DTYPE_I32, &vector, NULL, bias);
    in[SB_IN_LINEAR_MULT] = sb_build_const(l->build, name, SB_DTYPE_I32, &vector, NULL, mult);
    in[SB_IN_LINEAR_SHIFT] = sb_build_const(l->build, name, SB_DTYPE_U8, &vector, NULL, shift);
    *ret = sb_lower_emit(l, value, y->conv ? SB_OP_CONV2D : SB_OP_GEMM, in, 5, out, &y->out_shape,
                         y->attrs);
    return SB_OK;
}

/* ---- fixed point ---- */

static unsigned fraction_of(const struct sb_format *f)
{
    return (unsigned)f->quant.scale_shift;
}

/* Fraction bits of the weights: as many as keep each weight in 30 bits and the sum below 2^61. */
static int weight_bits(const struct layer *y, const struct sb_format *x)
{
    double top = 0;
    double sum_top = 0;
    for (uint32_t o = 0; o < y->outputs; o++) {
        double sum = 0;
        for (uint64_t i = 0; i < y->row; i++) {
            double w = fabs(y->weights[o * y->row + i]);
            top = fmax(top, w);
            sum += w;
        }
        sum_top = fmax(sum_top, sum * sb_lower_magnitude(x) + fabs(y->bias[o]) / x->scale);
    }
    int w_bits = 0;
    int sum_bits = 0;
    (void)frexp(top, &w_bits);
    (void)frexp(sum_top, &sum_bits);
    int bits = 30 - w_bits < 60 - sum_bits ? 30 - w_bits : 60 - sum_bits;
    return bits > 30 ? 30 : bits;
}

static sb_err emit_fixed(uint32_t *ret, struct sb_lowering *l, struct layer *y,
                         const struct sb_lowered *x, uint32_t value, struct sb_format *out)
{
    int w_bits = weight_bits(y, &x->format);
    int shift = (int)fraction_of(&x->format) + w_bits - (int)fraction_of(out);
    int32_t *w = sb_arena_array(l->memory, y->outputs * y->row, sizeof *w);
    int64_t *bias = sb_arena_array(l->memory, y->outputs, sizeof *bias);
    if (w == NULL || bias == NULL) {
        return nomem(l);
    }
    if (w_bits < 0 || shift < 0 || shift > 62) {
        return sb_graph_fail(l->diag, SB_E_RANGE, y->node,
                             "the range of its values leaves no room for fixed point; use "
                             "precision i16");
    }
    for (uint64_t i = 0; i < y->outputs * y->row; i++) {
        w[i] = (int32_t)nearbyint(ldexp(y->weights[i], w_bits));
    }
    for (uint32_t o = 0; o < y->outputs; o++) {
        bias[o] = (int64_t)nearbyint(ldexp(y->bias[o], (int)fraction_of(&x->format) + w_bits));
    }
    struct sb_shape vector = {.rank = 1, .dims = {y->outputs}};
    uint32_t in[3] = {x->tensor};
    in[SB_IN_FX_W] =
        sb_build_const(l->build, y->node->name, SB_DTYPE_I32, &y->weight_shape, NULL, w);
    in[SB_IN_FX_BIAS] = sb_build_const(l->build, y->node->name, SB_DTYPE_I64, &vector, NULL, bias);
    y->attrs[y->conv ? SB_ATTR_CONV_FX_SHIFT : SB_ATTR_GEMM_FX_SHIFT] = shift;
    *ret = sb_lower_emit(l, value, y->conv ? SB_OP_CONV2D_FX : SB_OP_GEMM_FX, in, 3, out,
                         &y->out_shape, y->attrs);
    return SB_OK;
}

/* A type that the layer can read; others (probabilities, wide sums) are rescaled first. */
static sb_err readable_input(struct sb_lowered *x, struct sb_lowering *l,
                             const struct sb_graph_node *node, bool fx)
{
    enum sb_dtype t = x->format.dtype;
    double magnitude = sb_lower_magnitude(&x->format) * x->format.scale;
    if (fx ? t == SB_DTYPE_I32 : t == SB_DTYPE_I8 || t == SB_DTYPE_U8 || t == SB_DTYPE_I16) {
        return SB_OK;
    }
    int exponent = 0;
    (void)frexp(magnitude, &exponent);
    int bits = 30 - exponent;
    struct sb_format to = fx ? sb_format_fx((unsigned)(bits < 0    ? 0
                                                       : bits > 24 ? 24
                                                                   : bits))
                             : sb_format_of(SB_DTYPE_I16, magnitude / 32767, 0);
    return sb_lower_convert(x, l, node, node->inputs[0], &to);
}

sb_err sb_lower_linear(struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool fx = l->precision == SB_PRECISION_FX32;
    bool conv = node->op->id == SB_ONNX_CONV;
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered x;
    struct layer y;
    SB_TRY(sb_lower_get(&x, l, node, 0, conv ? SB_LAYOUT_NHWC : SB_LAYOUT_FLAT));
    SB_TRY(readable_input(&x, l, node, fx));
    SB_TRY(read_layer(&y, l, node, &x));
    struct sb_lowered out = {.layout = conv ? SB_LAYOUT_NHWC : SB_LAYOUT_PLAIN,
                             .shape = y.out_shape};
    SB_TRY(sb_lower_format(&out.format, l, &target, node, bound_of(&y, &x.format)));
    if (fx) {
        SB_TRY(emit_fixed(&out.tensor, l, &y, &x, target.value, &out.format));
    } else {
        SB_TRY(emit_quantised(&out.tensor, l, &y, &x, target.value, &out.format));
    }
    enum sb_op_id op =
        conv ? (fx ? SB_OP_CONV2D_FX : SB_OP_CONV2D) : (fx ? SB_OP_GEMM_FX : SB_OP_GEMM);
    sb_lower_set(l, target.value, &out, op);
    return SB_OK;
}
