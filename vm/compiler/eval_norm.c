/* eval_norm.c: the float reference: normalisations. See eval.h. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

#define VARIANCE_FLOOR 1e-9 /* of MeanVarianceNormalization */

/* (x - mean) / sqrt(variance + epsilon) of `count` elements `step` apart; without `centre`, x / sqrt(mean square + epsilon). */
struct moments {
    double mean;
    double inverse;
};

static struct moments normalise(double *y, const double *x, uint64_t count, uint64_t step,
                                bool centre, double epsilon)
{
    struct moments m = {0, 0};
    double square = 0;
    for (uint64_t i = 0; i < count; i++) {
        m.mean += centre ? x[i * step] / (double)count : 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        double d = x[i * step] - m.mean;
        square += d * d / (double)count;
    }
    m.inverse = 1 / sqrt(square + epsilon);
    for (uint64_t i = 0; i < count; i++) {
        y[i * step] = (x[i * step] - m.mean) * m.inverse;
    }
    return m;
}

/* LayerNormalization and RMSNormalization: from the axis on; the second and third output hold the moments. */
sb_err sb_eval_layer_normalization(struct sb_eval *e)
{
    const struct sb_shape x = e->in[0]->shape;
    bool centre = e->node->op->id == SB_ONNX_LAYER_NORMALIZATION;
    double epsilon = sb_graph_attr_float(e->node, "epsilon", 1e-5);
    uint32_t axis = 0;
    struct sb_shape moments = x;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", -1), x.rank));
    uint64_t len = 1;
    for (uint32_t i = axis; i < x.rank; i++) {
        len *= x.dims[i];
        moments.dims[i] = 1;
    }
    for (uint32_t i = 1; i < 3; i++) {
        const struct sb_shape *s = e->in[i] != NULL ? &e->in[i]->shape : &moments;
        for (uint32_t d = 0; d < s->rank; d++) {
            if (s->rank > x.rank ||
                (s->dims[d] != 1 && s->dims[d] != x.dims[x.rank - s->rank + d])) {
                return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "input %u does not fit x", i);
            }
        }
    }
    SB_TRY(sb_eval_alloc(e, 0, &x));
    for (uint32_t i = 1; i < e->node->output_count; i++) {
        SB_TRY(sb_eval_alloc(e, i, &moments));
    }
    uint64_t count = sb_shape_count(&x);
    for (uint64_t row = 0; len != 0 && row < count / len; row++) {
        struct moments m = normalise(e->out[0].data + row * len, e->in[0]->data + row * len, len, 1,
                                     centre, epsilon);
        for (uint32_t i = 1; i < e->node->output_count; i++) {
            e->out[i].data[row] = i == 1 ? m.mean : m.inverse;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        double *y = &e->out[0].data[i];
        *y *= sb_eval_operand(e, 1, &x, i);
        *y += e->in[2] != NULL ? sb_eval_operand(e, 2, &x, i) : 0;
    }
    return SB_OK;
}

/* InstanceNormalization and GroupNormalization: all elements of a sample's channel or group. */
sb_err sb_eval_instance_normalization(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    double epsilon = sb_graph_attr_float(e->node, "epsilon", 1e-5);
    if (x->rank < 2) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "an input without channels");
    }
    uint64_t channels = x->dims[1];
    uint64_t groups = e->node->op->id == SB_ONNX_GROUP_NORMALIZATION
                          ? (uint64_t)sb_graph_attr_int(e->node, "num_groups", 1)
                          : channels;
    uint64_t parameters = sb_array_count(e->in[1]);
    if (groups == 0 || groups > channels || channels % groups != 0 ||
        (parameters != channels && parameters != groups) ||
        sb_array_count(e->in[2]) != parameters) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "groups, scale and bias do not fit %u channels", x->dims[1]);
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t count = sb_array_count(e->in[0]);
    uint64_t len = count == 0 ? 1 : count / x->dims[0] / groups;
    for (uint64_t at = 0; at < count; at += len) {
        (void)normalise(e->out[0].data + at, e->in[0]->data + at, len, 1, true, epsilon);
    }
    uint64_t inner = count == 0 ? 1 : count / x->dims[0] / parameters;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t p = i / inner % parameters;
        e->out[0].data[i] = e->out[0].data[i] * e->in[1]->data[p] + e->in[2]->data[p];
    }
    return SB_OK;
}

sb_err sb_eval_mean_variance_normalization(struct sb_eval *e)
{
    static const int64_t k_image[] = {0, 2, 3};
    const struct sb_shape *x = &e->in[0]->shape;
    size_t given = 0;
    const int64_t *axes = sb_graph_attr_ints(&given, e->node, "axes");
    uint64_t count = sb_array_count(e->in[0]);
    uint32_t bits = 0;
    uint64_t kept = 1;
    axes = axes != NULL ? axes : k_image;
    given = axes == k_image ? 3 : given;
    for (size_t i = 0; i < given; i++) {
        uint32_t axis = 0;
        SB_TRY(sb_eval_axis(&axis, e, axes[i], x->rank));
        bits |= 1u << axis;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        kept *= (bits >> i & 1) != 0 ? 1 : x->dims[i];
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    double *sums = sb_arena_zalloc(e->memory, (2 * kept + 1) * sizeof *sums);
    if (sums == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
    }
    for (int walk = 0; walk < 3; walk++) {
        for (uint64_t i = 0; i < count; i++) {
            uint64_t rest = i;
            uint64_t at = 0;
            uint64_t stride = 1;
            for (uint32_t d = x->rank; d-- > 0; rest /= x->dims[d]) {
                at += (bits >> d & 1) != 0 ? 0 : rest % x->dims[d] * stride;
                stride *= (bits >> d & 1) != 0 ? 1 : x->dims[d];
            }
            double share = (double)kept / (double)count;
            double centred = e->in[0]->data[i] - sums[at];
            if (walk == 0) {
                sums[at] += e->in[0]->data[i] * share;
            } else if (walk == 1) {
                sums[kept + at] += centred * centred * share;
            } else {
                e->out[0].data[i] = centred / (sqrt(sums[kept + at]) + VARIANCE_FLOOR);
            }
        }
    }
    return SB_OK;
}

sb_err sb_eval_lp_normalization(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t p = sb_graph_attr_int(e->node, "p", 2);
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", -1), x->rank));
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t step = 1;
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        step *= x->dims[i];
    }
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        const double *row =
            e->in[0]->data + i / (step * x->dims[axis]) * step * x->dims[axis] + i % step;
        double norm = 0;
        for (uint64_t j = 0; j < x->dims[axis]; j++) {
            double v = row[j * step];
            norm += p == 1 ? fabs(v) : v * v;
        }
        norm = p == 1 ? norm : sqrt(norm);
        e->out[0].data[i] = norm == 0 ? 0 : e->in[0]->data[i] / norm;
    }
    return SB_OK;
}

/* x / (bias + alpha / size * sum of squares over a window of channels)^beta */
sb_err sb_eval_lrn(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t size = sb_graph_attr_int(e->node, "size", 0);
    double alpha = sb_graph_attr_float(e->node, "alpha", 1e-4);
    double beta = sb_graph_attr_float(e->node, "beta", 0.75);
    double bias = sb_graph_attr_float(e->node, "bias", 1);
    if (x->rank < 2 || size < 1) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "no channels, or a size below 1");
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t count = sb_array_count(e->in[0]);
    int64_t channels = x->dims[1];
    uint64_t inner = count == 0 ? 1 : count / x->dims[0] / x->dims[1];
    for (uint64_t i = 0; i < count; i++) {
        int64_t c = (int64_t)(i / inner % x->dims[1]);
        double square = 0;
        for (int64_t k = c - (size - 1) / 2; k <= c + size / 2; k++) {
            if (k >= 0 && k < channels) {
                double v = e->in[0]->data[(int64_t)i + (k - c) * (int64_t)inner];
                square += v * v;
            }
        }
        e->out[0].data[i] = e->in[0]->data[i] / pow(bias + alpha / (double)size * square, beta);
    }
    return SB_OK;
}
