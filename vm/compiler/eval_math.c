/* eval_math.c: the float reference: functions of one number, powers, log-sum-exp. See eval.h. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_math.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

#define SELU_ALPHA 1.67326319217681884765625
#define SELU_GAMMA 1.05070102214813232421875

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double gelu(const struct sb_graph_node *node, double x)
{
    if (strcmp(sb_graph_attr_string(node, "approximate", "none"), "tanh") == 0) {
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    }
    return 0.5 * x * erfc(-x / M_SQRT2);
}

static double shrink(const struct sb_graph_node *node, double x)
{
    double lambda = sb_graph_attr_float(node, "lambd", 0.5);
    double bias = sb_graph_attr_float(node, "bias", 0);
    return x < -lambda ? x + bias : x > lambda ? x - bias : 0;
}

static double exponential_unit(double x, double alpha, double width)
{
    return x >= 0 ? x : alpha * expm1(x / width);
}

/* Linear and exponential units; false if the operator is none. */
static bool unit_of(double *ret, const struct sb_graph_node *node, double x)
{
    double alpha = sb_graph_attr_float(node, "alpha", 1);
    switch ((int)node->op->id) {
    case SB_ONNX_CELU:
        *ret = exponential_unit(x, alpha, alpha);
        return true;
    case SB_ONNX_SELU:
        *ret = sb_graph_attr_float(node, "gamma", SELU_GAMMA) *
               exponential_unit(x, sb_graph_attr_float(node, "alpha", SELU_ALPHA), 1);
        return true;
    case SB_ONNX_GELU:
        *ret = gelu(node, x);
        return true;
    case SB_ONNX_MISH:
        *ret = x * tanh(softplus(x));
        return true;
    case SB_ONNX_SHRINK:
        *ret = shrink(node, x);
        return true;
    case SB_ONNX_SOFTPLUS:
        *ret = softplus(x);
        return true;
    case SB_ONNX_SOFTSIGN:
        *ret = x / (1 + fabs(x));
        return true;
    case SB_ONNX_SWISH:
        *ret = x * sigmoid(alpha * x);
        return true;
    case SB_ONNX_THRESHOLDED_RELU:
        *ret = x > alpha ? x : 0;
        return true;
    default:
        return false;
    }
}

bool sb_eval_math_of(double *ret, const struct sb_graph_node *node, double x)
{
    static const struct {
        enum sb_onnx_op_id op;
        double (*function)(double);
    } k[] = {
        {SB_ONNX_ACOS, acos}, {SB_ONNX_ACOSH, acosh}, {SB_ONNX_ASIN, asin}, {SB_ONNX_ASINH, asinh},
        {SB_ONNX_ATAN, atan}, {SB_ONNX_ATANH, atanh}, {SB_ONNX_COS, cos},   {SB_ONNX_COSH, cosh},
        {SB_ONNX_ERF, erf},   {SB_ONNX_LOG, log},     {SB_ONNX_SIN, sin},   {SB_ONNX_SINH, sinh},
        {SB_ONNX_SQRT, sqrt}, {SB_ONNX_TAN, tan},
    };
    if (node->op->id == SB_ONNX_RECIPROCAL) {
        *ret = 1 / x;
        return true;
    }
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        if (k[i].op == node->op->id) {
            *ret = k[i].function(x);
            return true;
        }
    }
    return unit_of(ret, node, x);
}

struct sb_eval_domain sb_eval_math_domain(const struct sb_graph_node *node)
{
    double alpha = fabs(sb_graph_attr_float(node, "alpha", 1));
    double end = 32; /* e^-32 is 1e-14 */
    switch ((int)node->op->id) {
    case SB_ONNX_CELU:
        end = 32 * fmax(1, alpha);
        break;
    case SB_ONNX_SWISH:
        end = alpha > 0 ? 32 / fmin(1, alpha) : (double)INFINITY;
        break;
    case SB_ONNX_ELU:
    case SB_ONNX_ERF:
    case SB_ONNX_GELU:
    case SB_ONNX_MISH:
    case SB_ONNX_SELU:
    case SB_ONNX_SIGMOID:
    case SB_ONNX_SOFTPLUS:
    case SB_ONNX_TANH:
        break;
    case SB_ONNX_LEAKY_RELU:
    case SB_ONNX_HARD_SWISH:
        end = 4;
        break;
    default:
        end = INFINITY;
        break;
    }
    return (struct sb_eval_domain){
        .lo = -end,
        .hi = end,
        .jump =
            node->op->id == SB_ONNX_THRESHOLDED_RELU ? sb_graph_attr_float(node, "alpha", 1) : 0,
        .jumps = node->op->id == SB_ONNX_THRESHOLDED_RELU,
    };
}

/* An integer to a power is an integer. */
sb_err sb_eval_pow(struct sb_eval *e)
{
    struct sb_shape shape;
    bool integers = sb_elem_is_integer(e->graph->values[e->node->inputs[0]].elem);
    SB_TRY(sb_eval_broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        double y = pow(sb_eval_operand(e, 0, &shape, i), sb_eval_operand(e, 1, &shape, i));
        e->out[0].data[i] = integers ? trunc(y) : y;
    }
    return SB_OK;
}

sb_err sb_eval_swiglu(struct sb_eval *e)
{
    struct sb_shape shape;
    double alpha = sb_graph_attr_float(e->node, "alpha", 1);
    SB_TRY(sb_eval_broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        double a = sb_eval_operand(e, 0, &shape, i);
        e->out[0].data[i] = a * sigmoid(alpha * a) * sb_eval_operand(e, 1, &shape, i);
    }
    return SB_OK;
}
