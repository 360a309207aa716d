/* lower_norm.c: LayerNormalization, RMSNormalization, log-sum-exp and masked softmax, all over the last axis. See lower.h. */
#include <float.h>

#include "vm/compiler/lower_impl.h"

#define EPS_HI  0x1p61
#define TERM_HI 0x1p61
#define LN_MAX  0x1p36

static sb_err nomem(struct sb_lowering *l)
{
    return sb_fail(l->diag, SB_E_NOMEM, "out of memory for weights");
}

/* A type of the set that the operators of rows read. */
static sb_err readable(struct sb_lowered *x, struct sb_lowering *l,
                       const struct sb_graph_node *node)
{
    enum sb_dtype t = x->format.dtype;
    if (t == SB_DTYPE_I8 || t == SB_DTYPE_I16 || t == SB_DTYPE_I32) {
        return SB_OK;
    }
    double magnitude = sb_lower_magnitude(&x->format) * x->format.scale;
    bool wide = l->precision == SB_PRECISION_FX32 || t == SB_DTYPE_I64;
    struct sb_format to =
        sb_format_of(wide ? SB_DTYPE_I32 : SB_DTYPE_I16, magnitude / (wide ? 0x1p30 : 32767), 0);
    return sb_lower_convert(x, l, node, node->inputs[0], &to);
}

/* ---- norms ---- */

/* Fraction bits of the normalised value: docs/spec/numerics.md 9.11. */
static int norm_fraction(uint32_t len)
{
    int bits = 0;
    while ((UINT32_C(1) << bits) < len) {
        bits++;
    }
    return 30 - (bits + 1) / 2;
}

/* y = (t * w + b) >> shift with t in Qg: w = scale * 2^shift / (2^g * y scale), as fine as 30 bits allow. */
static sb_err fill_parameters(int32_t *w, int64_t *b, int64_t *ret_shift, struct sb_lowering *l,
                              const struct sb_graph_node *node, uint32_t len, double y_scale)
{
    const struct sb_value *scale = &l->graph->values[node->inputs[1]];
    const struct sb_value *bias = sb_graph_input(l->graph, node, 2);
    double top = 0;
    double top_bias = 0;
    for (uint32_t i = 0; i < len; i++) {
        top = fmax(top, fabs(scale->array.data[i]));
        top_bias = fmax(top_bias, bias != NULL ? fabs(bias->array.data[i]) : 0);
    }
    int shift = 62;
    double unit = y_scale * ldexp(1, norm_fraction(len));
    while (shift > 0 &&
           (ldexp(top / unit, shift) > 0x1p30 || ldexp(top_bias / y_scale, shift) > TERM_HI)) {
        shift--;
    }
    if (ldexp(top / unit, shift) > 0x1p30) {
        return sb_lower_no_factor(l, node);
    }
    for (uint32_t i = 0; i < len; i++) {
        w[i] = (int32_t)nearbyint(ldexp(scale->array.data[i] / unit, shift));
        b[i] = bias != NULL ? (int64_t)nearbyint(ldexp(bias->array.data[i] / y_scale, shift)) : 0;
    }
    *ret_shift = shift;
    return SB_OK;
}

sb_err sb_lower_norm(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered x;
    int64_t attrs[SB_ATTR_NORM_SHIFT + 1] = {0};
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    SB_TRY(readable(&x, l, node));
    uint32_t len = x.shape.dims[x.shape.rank - 1];
    int32_t *w = sb_arena_array(l->memory, len, sizeof *w);
    int64_t *b = sb_arena_array(l->memory, len, sizeof *b);
    if (w == NULL || b == NULL) {
        return nomem(l);
    }
    struct sb_lowered y = x;
    SB_TRY(sb_lower_format(&y.format, l, &target, node, sqrt(len)));
    SB_TRY(fill_parameters(w, b, &attrs[SB_ATTR_NORM_SHIFT], l, node, len, y.format.scale));
    double epsilon =
        sb_graph_attr_float(node, "epsilon", 1e-5) * len * len / (x.format.scale * x.format.scale);
    int64_t shift = 0;
    for (; ldexp(epsilon, (int)-shift) > EPS_HI; shift++) {
    }
    attrs[SB_ATTR_NORM_CENTRE] = node->op->id == SB_ONNX_LAYER_NORMALIZATION;
    attrs[SB_ATTR_NORM_EPS] = (int64_t)nearbyint(ldexp(epsilon, (int)-shift));
    attrs[SB_ATTR_NORM_EPS_SHIFT] = shift;
    struct sb_shape vector = {.rank = 1, .dims = {len}};
    uint32_t in[3] = {x.tensor};
    in[SB_IN_NORM_W] = sb_build_const(l->build, node->name, SB_DTYPE_I32, &vector, NULL, w);
    in[SB_IN_NORM_B] = sb_build_const(l->build, node->name, SB_DTYPE_I64, &vector, NULL, b);
    y.tensor = sb_lower_emit(l, target.value, SB_OP_NORM, in, 3, &y.format, &y.shape, attrs);
    sb_lower_set(l, target.value, &y, SB_OP_NORM);
    return SB_OK;
}

/* ---- exponentials of rows ---- */

sb_err sb_lower_log_sum_exp(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered x;
    struct sb_factor f;
    struct sb_factor of_max;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    SB_TRY(readable(&x, l, node));
    double magnitude = sb_lower_magnitude(&x.format);
    struct sb_lowered y = x;
    SB_TRY(sb_lower_format(&y.format, l, &target, node, magnitude * x.format.scale + 16));
    if (y.format.dtype != SB_DTYPE_I32) {
        y.format = sb_format_of(SB_DTYPE_I16, y.format.scale, 0);
    }
    /* One shift for both terms: the coarser of the two that each would take alone. */
    int shift = 62;
    double max_unit = x.format.scale / y.format.scale;
    double ln_unit = 0x1p-31 / y.format.scale;
    while (shift > 0 &&
           (ldexp(max_unit, shift) > INT32_MAX || ldexp(ln_unit, shift) > INT32_MAX ||
            ldexp(max_unit, shift) * magnitude + ldexp(ln_unit, shift) * LN_MAX > 0x1p61)) {
        shift--;
    }
    of_max.mult = (int64_t)nearbyint(ldexp(max_unit, shift));
    int64_t of_ln = (int64_t)nearbyint(ldexp(ln_unit, shift));
    if (!sb_factor_of(&f, x.format.scale * 0x1p26, 1, INT32_MAX, 61) || of_max.mult < 1 ||
        of_ln < 1) {
        return sb_lower_no_factor(l, node);
    }
    int64_t attrs[] = {f.mult, f.shift, of_max.mult, of_ln, shift};
    y.shape.dims[--y.shape.rank] = 0;
    y.tensor =
        sb_lower_emit(l, target.value, SB_OP_LOG_SUM_EXP, &x.tensor, 1, &y.format, &y.shape, attrs);
    y.shape = l->graph->values[node->outputs[0]].array.shape;
    y.tensor =
        sb_lower_emit(l, target.value, SB_OP_RESHAPE, &y.tensor, 1, &y.format, &y.shape, NULL);
    sb_lower_set(l, target.value, &y, SB_OP_LOG_SUM_EXP);
    return SB_OK;
}

/* A mask as bytes. */
static sb_err mask_of(uint32_t *ret_tensor, struct sb_lowering *l, const struct sb_graph_node *node)
{
    const struct sb_value *v = &l->graph->values[node->inputs[1]];
    struct sb_lowered mask;
    if (!v->is_const) {
        SB_TRY(sb_lower_get(&mask, l, node, 1, SB_LAYOUT_PLAIN));
        *ret_tensor = mask.tensor;
        return SB_OK;
    }
    uint64_t count = sb_array_count(&v->array);
    uint8_t *bytes = sb_arena_array(l->memory, count, sizeof *bytes);
    if (bytes == NULL) {
        return nomem(l);
    }
    for (uint64_t i = 0; i < count; i++) {
        bytes[i] = v->array.data[i] != 0 ? 1 : 0;
    }
    *ret_tensor = sb_build_const(l->build, v->name, SB_DTYPE_U8, &v->array.shape, NULL, bytes);
    return SB_OK;
}

sb_err sb_lower_masked_softmax(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    struct sb_lowered x;
    struct sb_factor f;
    uint32_t in[2] = {SB_BUILD_NONE, SB_BUILD_NONE};
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    SB_TRY(readable(&x, l, node));
    if (node->input_count > 1) {
        SB_TRY(mask_of(&in[1], l, node));
    }
    if (!sb_factor_of(&f, x.format.scale * 0x1p26, 1, INT32_MAX, 61)) {
        return sb_lower_no_factor(l, node);
    }
    struct sb_lowered y = x;
    y.format = sb_format_of(SB_DTYPE_U16, 0x1p-16, 0);
    int64_t attrs[] = {f.mult, f.shift, sb_graph_attr_int(node, "causal", 0),
                       sb_graph_attr_int(node, "offset", 0)};
    in[0] = x.tensor;
    y.tensor = sb_lower_emit(l, value, SB_OP_MASKED_SOFTMAX, in, node->input_count, &y.format,
                             &y.shape, attrs);
    sb_lower_set(l, value, &y, SB_OP_MASKED_SOFTMAX);
    return SB_OK;
}
