/* passes_norm.c: sb_expand_norm: all normalisations become LayerNormalization or RMSNormalization over one last axis [.., D] with constant
 * scale (and bias) [D], the form that is lowered. See passes_impl.h.
 *
 *     InstanceNormalization [N, C, ..]     -> [N, C, S]      norm with scale 1 -> [N, C, ..] * scale[C] + bias[C]
 *     GroupNormalization                   -> [N, G, C/G*S]  likewise
 *     scale that is computed               -> norm with scale 1, Mul, Add */
#include <math.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

static const struct sb_shape *shape_of(const struct sb_expansion *x, uint32_t value)
{
    return &x->graph->values[value].array.shape;
}

/* The norm itself over the last axis, with a scale and bias of `count` equal elements, or those given. */
static sb_err add_norm(uint32_t *output, struct sb_expansion *x, uint32_t a, bool centre,
                       double epsilon, uint32_t scale, uint32_t bias)
{
    struct sb_attr attrs[] = {
        sb_attr_int("axis", -1),
        {.name = "epsilon", .kind = SB_ATTR_KIND_FLOAT, .f = epsilon},
    };
    uint32_t count = centre && bias != SB_NO_VALUE ? 3 : 2;
    return sb_expand_node(output, x, centre ? "LayerNormalization" : "RMSNormalization",
                          (uint32_t[]){a, scale, bias}, count, attrs, 2);
}

static sb_err add_vector(uint32_t *ret, struct sb_expansion *x, uint32_t count, double value)
{
    struct sb_shape shape = {.rank = 1, .dims = {count}};
    SB_TRY(sb_expand_const(ret, x, SB_ELEM_FLOAT, &shape, NULL));
    for (uint32_t i = 0; i < count; i++) {
        x->graph->values[*ret].array.data[i] = value;
    }
    return SB_OK;
}

/* A constant scale or bias spread over the normalised axes as a vector; SB_NO_VALUE if it is computed or differs by row. */
static sb_err spread(uint32_t *ret, struct sb_expansion *x, uint32_t value,
                     const struct sb_shape *shape, uint32_t axis, uint32_t len)
{
    const struct sb_value *v = &x->graph->values[value];
    *ret = SB_NO_VALUE;
    if (!v->is_const) {
        return SB_OK;
    }
    const struct sb_array from = v->array;
    uint32_t skip =
        shape->rank - from.shape.rank; /* the reference has checked that it broadcasts */
    for (uint32_t i = 0; i < from.shape.rank && skip + i < axis; i++) {
        if (from.shape.dims[i] != 1) {
            return SB_OK;
        }
    }
    SB_TRY(add_vector(ret, x, len, 0));
    for (uint32_t at = 0; at < len; at++) {
        uint32_t rest = at;
        uint64_t index = 0;
        uint64_t stride = 1;
        for (uint32_t d = shape->rank; d-- > axis; rest /= shape->dims[d]) {
            uint32_t dim = d < skip ? 1 : from.shape.dims[d - skip];
            index += dim == 1 ? 0 : rest % shape->dims[d] * stride;
            stride *= dim;
        }
        x->graph->values[*ret].array.data[at] = from.data[index];
    }
    return SB_OK;
}

/* Mean and InvStdDev of rows [R, D], in the shape that the outputs have. */
static sb_err add_moments(struct sb_expansion *x, uint32_t rows, uint32_t len, double epsilon)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_shape column = {.rank = 2, .dims = {len, 1}};
    uint32_t share = 0;
    uint32_t least = 0;
    uint32_t v[6] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    SB_TRY(sb_expand_const(&share, x, SB_ELEM_FLOAT, &column, NULL));
    for (uint32_t i = 0; i < len; i++) {
        x->graph->values[share].array.data[i] = 1.0 / len;
    }
    SB_TRY(sb_expand_scalar(&least, x, epsilon));
    SB_TRY(sb_expand_binary(&v[0], x, "MatMul", rows, share));
    if (n->outputs[1] != SB_NO_VALUE) {
        SB_TRY(sb_expand_reshape(&n->outputs[1], x, v[0], shape_of(x, n->outputs[1])));
    }
    if (n->output_count < 3 || n->outputs[2] == SB_NO_VALUE) {
        return SB_OK;
    }
    SB_TRY(sb_expand_binary(&v[1], x, "Sub", rows, v[0]));
    SB_TRY(sb_expand_binary(&v[2], x, "Mul", v[1], v[1]));
    SB_TRY(sb_expand_binary(&v[3], x, "MatMul", v[2], share));
    SB_TRY(sb_expand_binary(&v[4], x, "Add", v[3], least));
    SB_TRY(sb_expand_unary(&v[5], x, "Sqrt", v[4]));
    uint32_t inverse = SB_NO_VALUE;
    SB_TRY(sb_expand_unary(&inverse, x, "Reciprocal", v[5]));
    return sb_expand_reshape(&n->outputs[2], x, inverse, shape_of(x, n->outputs[2]));
}

static bool is_vector(const struct sb_expansion *x, uint32_t value, uint32_t len)
{
    const struct sb_value *v = &x->graph->values[value];
    return v->is_const && v->array.shape.rank == 1 && v->array.shape.dims[0] == len;
}

static sb_err expand_layer_norm(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    bool centre = n->op->id == SB_ONNX_LAYER_NORMALIZATION;
    double epsilon = sb_graph_attr_float(n, "epsilon", 1e-5);
    int64_t given = sb_graph_attr_int(n, "axis", -1);
    uint32_t axis = (uint32_t)(given < 0 ? given + shape.rank : given);
    uint32_t bias = n->input_count > 2 ? n->inputs[2] : SB_NO_VALUE;
    struct sb_shape flat = {.rank = 2, .dims = {1, 1}};
    bool moments = false;
    for (uint32_t i = 0; i < shape.rank; i++) {
        flat.dims[i < axis ? 0 : 1] *= shape.dims[i];
    }
    uint32_t len = flat.dims[1];
    for (uint32_t i = 1; i < n->output_count; i++) {
        moments = moments || n->outputs[i] != SB_NO_VALUE;
    }
    if (!moments && axis + 1 == shape.rank && is_vector(x, n->inputs[1], len) &&
        (bias == SB_NO_VALUE || is_vector(x, bias, len))) {
        *changed = false;
        return SB_OK;
    }
    uint32_t rows = n->inputs[0];
    uint32_t scale = 0;
    uint32_t offset = SB_NO_VALUE;
    SB_TRY(spread(&scale, x, n->inputs[1], &shape, axis, len));
    if (bias != SB_NO_VALUE) {
        SB_TRY(spread(&offset, x, bias, &shape, axis, len));
    }
    bool fused = scale != SB_NO_VALUE && (bias == SB_NO_VALUE || offset != SB_NO_VALUE);
    if (!fused) {
        SB_TRY(add_vector(&scale, x, len, 1));
        offset = SB_NO_VALUE;
    }
    if (axis + 1 != shape.rank || moments) {
        rows = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&rows, x, n->inputs[0], &flat));
    }
    bool reshaped = rows != n->inputs[0];
    uint32_t y = fused && !reshaped ? n->outputs[0] : SB_NO_VALUE;
    SB_TRY(add_norm(&y, x, rows, centre, epsilon, scale, offset));
    if (reshaped) {
        uint32_t whole = fused ? n->outputs[0] : SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&whole, x, y, &shape));
        y = whole;
    }
    if (!fused) {
        uint32_t scaled = bias == SB_NO_VALUE ? n->outputs[0] : SB_NO_VALUE;
        SB_TRY(sb_expand_binary(&scaled, x, "Mul", y, n->inputs[1]));
        if (bias != SB_NO_VALUE) {
            SB_TRY(sb_expand_binary(&n->outputs[0], x, "Add", scaled, bias));
        }
    }
    return moments ? add_moments(x, rows, len, epsilon) : SB_OK;
}

/* Channel parameters [C] as [C, 1, ..] beside [N, C, ..]; those of groups are repeated for each channel of theirs. */
static sb_err by_channel(uint32_t *ret, struct sb_expansion *x, uint32_t value, uint32_t channels,
                         uint32_t rank)
{
    const struct sb_value *v = &x->graph->values[value];
    struct sb_shape shape = {.rank = rank - 1, .dims = {channels, 1, 1, 1, 1}};
    uint32_t have = (uint32_t)sb_array_count(&v->array);
    for (uint32_t i = shape.rank; i < SB_TENSOR_RANK_MAX; i++) {
        shape.dims[i] = 0;
    }
    if (v->is_const) {
        const double *from = v->array.data;
        SB_TRY(sb_expand_const(ret, x, SB_ELEM_FLOAT, &shape, NULL));
        for (uint32_t i = 0; i < channels; i++) {
            x->graph->values[*ret].array.data[i] = from[i / (channels / have)];
        }
        return SB_OK;
    }
    if (have != channels) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, x->origin,
                             "computed parameters by group; make them constants");
    }
    *ret = SB_NO_VALUE;
    return sb_expand_reshape(ret, x, value, &shape);
}

static sb_err expand_instance_norm(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    uint32_t groups = n->op->id == SB_ONNX_GROUP_NORMALIZATION
                          ? (uint32_t)sb_graph_attr_int(n, "num_groups", 1)
                          : shape.dims[1];
    uint64_t count = sb_shape_count(&shape);
    struct sb_shape flat = {.rank = 3, .dims = {shape.dims[0], groups, 1}};
    flat.dims[2] = (uint32_t)(count / shape.dims[0] / groups);
    uint32_t rows = SB_NO_VALUE;
    uint32_t normed = SB_NO_VALUE;
    uint32_t whole = SB_NO_VALUE;
    uint32_t scaled = SB_NO_VALUE;
    uint32_t ones = 0;
    uint32_t scale = 0;
    uint32_t bias = 0;
    SB_TRY(add_vector(&ones, x, flat.dims[2], 1));
    SB_TRY(by_channel(&scale, x, n->inputs[1], shape.dims[1], shape.rank));
    SB_TRY(by_channel(&bias, x, n->inputs[2], shape.dims[1], shape.rank));
    SB_TRY(sb_expand_reshape(&rows, x, n->inputs[0], &flat));
    SB_TRY(add_norm(&normed, x, rows, true, sb_graph_attr_float(n, "epsilon", 1e-5), ones,
                    SB_NO_VALUE));
    SB_TRY(sb_expand_reshape(&whole, x, normed, &shape));
    SB_TRY(sb_expand_binary(&scaled, x, "Mul", whole, scale));
    return sb_expand_binary(&n->outputs[0], x, "Add", scaled, bias);
}

/* The axes of `bits` moved to the end and made one, normalised, and moved back. factor: of the result. */
static sb_err norm_over(struct sb_expansion *x, uint32_t bits, bool centre, double epsilon,
                        bool root_mean)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    uint32_t perm[SB_TENSOR_RANK_MAX];
    uint32_t back[SB_TENSOR_RANK_MAX];
    struct sb_shape turned_shape = {.rank = shape.rank};
    struct sb_shape flat = {.rank = 2, .dims = {1, 1}};
    uint32_t count = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < shape.rank; i++) {
            if ((bits >> i & 1) == pass) {
                back[i] = count;
                turned_shape.dims[count] = shape.dims[i];
                flat.dims[pass] *= shape.dims[i];
                perm[count++] = i;
            }
        }
    }
    uint32_t turned = SB_NO_VALUE;
    uint32_t rows = SB_NO_VALUE;
    uint32_t normed = SB_NO_VALUE;
    uint32_t whole = SB_NO_VALUE;
    uint32_t scale = 0;
    SB_TRY(add_vector(&scale, x, flat.dims[1], root_mean ? 1 : 1 / sqrt(flat.dims[1])));
    SB_TRY(sb_expand_transpose(&turned, x, n->inputs[0], perm, shape.rank));
    SB_TRY(sb_expand_reshape(&rows, x, turned, &flat));
    SB_TRY(add_norm(&normed, x, rows, centre, epsilon, scale, SB_NO_VALUE));
    SB_TRY(sb_expand_reshape(&whole, x, normed, &turned_shape));
    return sb_expand_transpose(&n->outputs[0], x, whole, back, shape.rank);
}

static sb_err expand_mean_variance(struct sb_expansion *x)
{
    static const int64_t k_image[] = {0, 2, 3};
    const struct sb_graph_node *n = x->origin;
    uint32_t rank = shape_of(x, n->inputs[0])->rank;
    size_t given = 0;
    const int64_t *axes = sb_graph_attr_ints(&given, n, "axes");
    uint32_t bits = 0;
    for (size_t i = 0; i < (axes != NULL ? given : 3); i++) {
        int64_t axis = axes != NULL ? axes[i] : k_image[i];
        bits |= 1u << (axis < 0 ? axis + rank : axis);
    }
    return norm_over(x, bits, true, 0, true);
}

static sb_err expand_lp_norm(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t rank = shape_of(x, n->inputs[0])->rank;
    int64_t axis = sb_graph_attr_int(n, "axis", -1);
    axis = axis < 0 ? axis + rank : axis;
    if (sb_graph_attr_int(n, "p", 2) == 2) {
        return norm_over(x, 1u << axis, false, 0, false);
    }
    struct sb_attr keep = sb_attr_int("keepdims", 1);
    uint32_t axes = 0;
    uint32_t sum = SB_NO_VALUE;
    SB_TRY(sb_expand_ints(&axes, x, &axis, 1));
    SB_TRY(sb_expand_node(&sum, x, "ReduceL1", (uint32_t[]){n->inputs[0], axes}, 2, &keep, 1));
    return sb_expand_binary(&n->outputs[0], x, "Div", n->inputs[0], sum);
}

/* The window over channels is a pool over [N, 1, C, S] of the squares. */
static sb_err expand_lrn(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    int64_t size = sb_graph_attr_int(n, "size", 1);
    struct sb_shape plane = {.rank = 4, .dims = {shape.dims[0], 1, shape.dims[1], 1}};
    plane.dims[3] = (uint32_t)(sb_shape_count(&shape) / shape.dims[0] / shape.dims[1]);
    int64_t *ints = sb_arena_array(x->graph->memory, 6, sizeof *ints);
    if (ints == NULL) {
        return sb_pass_nomem(x->diag);
    }
    const int64_t window[6] = {size, 1, (size - 1) / 2, 0, size / 2, 0};
    for (size_t i = 0; i < 6; i++) {
        ints[i] = window[i];
    }
    struct sb_attr attrs[] = {sb_attr_ints("kernel_shape", ints, 2),
                              sb_attr_ints("pads", ints + 2, 4),
                              sb_attr_int("count_include_pad", 1)};
    uint32_t constants[3];
    uint32_t v[7];
    for (size_t i = 0; i < 7; i++) {
        v[i] = SB_NO_VALUE;
    }
    SB_TRY(sb_expand_scalar(&constants[0], x, sb_graph_attr_float(n, "alpha", 1e-4)));
    SB_TRY(sb_expand_scalar(&constants[1], x, sb_graph_attr_float(n, "bias", 1)));
    SB_TRY(sb_expand_scalar(&constants[2], x, -sb_graph_attr_float(n, "beta", 0.75)));
    SB_TRY(sb_expand_binary(&v[0], x, "Mul", n->inputs[0], n->inputs[0]));
    SB_TRY(sb_expand_reshape(&v[1], x, v[0], &plane));
    SB_TRY(sb_expand_node(&v[2], x, "AveragePool", &v[1], 1, attrs, 3));
    SB_TRY(sb_expand_reshape(&v[3], x, v[2], &shape));
    SB_TRY(sb_expand_binary(&v[4], x, "Mul", v[3], constants[0]));
    SB_TRY(sb_expand_binary(&v[5], x, "Add", v[4], constants[1]));
    SB_TRY(sb_expand_binary(&v[6], x, "Pow", v[5], constants[2]));
    return sb_expand_binary(&n->outputs[0], x, "Mul", n->inputs[0], v[6]);
}

sb_err sb_expand_norm(bool *changed, struct sb_expansion *x)
{
    *changed = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_LAYER_NORMALIZATION:
    case SB_ONNX_RMS_NORMALIZATION:
        return expand_layer_norm(changed, x);
    case SB_ONNX_INSTANCE_NORMALIZATION:
    case SB_ONNX_GROUP_NORMALIZATION:
        return expand_instance_norm(x);
    case SB_ONNX_MEAN_VARIANCE_NORMALIZATION:
        return expand_mean_variance(x);
    case SB_ONNX_LP_NORMALIZATION:
        return expand_lp_norm(x);
    case SB_ONNX_LRN:
        return expand_lrn(x);
    default:
        *changed = false;
        return SB_OK;
    }
}
