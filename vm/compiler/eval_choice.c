/* eval_choice.c: the float reference: arithmetic of integers and bools, comparisons, logic, and choices between values. See eval.h.
 *
 * Integers wrap to their ONNX type, as int64 arithmetic on what the doubles hold; division by 0, which ONNX leaves open, gives 0. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

static uint32_t dim_of(const struct sb_shape *shape, uint32_t rank, uint32_t i)
{
    return i + shape->rank < rank ? 1 : shape->dims[i + shape->rank - rank];
}

/* The shape that all inputs broadcast to. */
static sb_err broadcast(struct sb_shape *ret, const struct sb_eval *e)
{
    struct sb_shape out = {.rank = 0};
    for (uint32_t k = 0; k < e->node->input_count; k++) {
        out.rank = e->in[k]->shape.rank > out.rank ? e->in[k]->shape.rank : out.rank;
    }
    for (uint32_t i = 0; i < out.rank; i++) {
        out.dims[i] = 1;
        for (uint32_t k = 0; k < e->node->input_count; k++) {
            uint32_t dim = dim_of(&e->in[k]->shape, out.rank, i);
            if (dim != 1 && out.dims[i] != 1 && dim != out.dims[i]) {
                return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                                     "dimensions %u and %u do not broadcast", out.dims[i], dim);
            }
            out.dims[i] = dim == 1 ? out.dims[i] : dim;
        }
    }
    *ret = out;
    return SB_OK;
}

/* The element of input k that belongs to element `at` of the broadcast shape. */
static double operand(const struct sb_eval *e, uint32_t k, const struct sb_shape *out, uint64_t at)
{
    const struct sb_shape *shape = &e->in[k]->shape;
    uint64_t index = 0;
    uint64_t stride = 1;
    for (uint32_t i = shape->rank; i-- > 0;) {
        uint32_t o = i + out->rank - shape->rank;
        uint64_t coordinate = at % out->dims[o];
        at /= out->dims[o];
        index += shape->dims[i] == 1 ? 0 : coordinate * stride;
        stride *= shape->dims[i];
    }
    return e->in[k]->data[index];
}

/* ---- integers ---- */

int64_t sb_eval_int(double v)
{
    return v >= 0x1p62 ? (int64_t)1 << 62 : v <= -0x1p62 ? -((int64_t)1 << 62) : (int64_t)v;
}

double sb_eval_wrap(enum sb_elem elem, int64_t v)
{
    switch ((int)elem) {
    case SB_ELEM_UINT8:
        return (uint8_t)v;
    case SB_ELEM_INT8:
        return (int8_t)(uint8_t)v;
    case SB_ELEM_UINT16:
        return (uint16_t)v;
    case SB_ELEM_INT16:
        return (int16_t)(uint16_t)v;
    case SB_ELEM_INT32:
        return (int32_t)(uint32_t)v;
    case SB_ELEM_UINT32:
        return (uint32_t)v;
    default:
        return (double)v;
    }
}

static int64_t cut_quotient(int64_t a, int64_t b)
{
    return b == 0 ? 0 : a / b; /* |a| is at most 2^62 */
}

static int64_t remainder_of(int64_t a, int64_t b, bool sign_of_a)
{
    int64_t r = b == 0 ? 0 : a % b;
    return !sign_of_a && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t shifted(const struct sb_graph_node *node, int64_t a, int64_t b)
{
    bool left = strcmp(sb_graph_attr_string(node, "direction", ""), "LEFT") == 0;
    if (b < 0 || b > 63) {
        return 0;
    }
    return (int64_t)(left ? (uint64_t)a << b : (uint64_t)a >> b);
}

static int64_t on_integers(const struct sb_graph_node *node, int64_t a, int64_t b)
{
    switch ((int)node->op->id) {
    case SB_ONNX_ADD:
    case SB_ONNX_SUM:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case SB_ONNX_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case SB_ONNX_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case SB_ONNX_DIV:
        return cut_quotient(a, b);
    case SB_ONNX_MOD:
        return remainder_of(a, b, sb_graph_attr_int(node, "fmod", 0) != 0);
    case SB_ONNX_MAX:
        return a > b ? a : b;
    case SB_ONNX_MIN:
        return a < b ? a : b;
    case SB_ONNX_AND:
    case SB_ONNX_BITWISE_AND:
        return a & b;
    case SB_ONNX_OR:
    case SB_ONNX_BITWISE_OR:
        return a | b;
    case SB_ONNX_XOR:
    case SB_ONNX_BITWISE_XOR:
        return a ^ b;
    case SB_ONNX_BIT_SHIFT:
        return shifted(node, a, b);
    default:
        SB_UNREACHABLE();
    }
}

/* ---- real numbers, and what gives bools ---- */

static double on_reals(const struct sb_graph_node *node, double a, double b)
{
    switch ((int)node->op->id) {
    case SB_ONNX_SUM:
    case SB_ONNX_MEAN:
        return a + b;
    case SB_ONNX_MOD:
        return b == 0 ? 0 : fmod(a, b);
    case SB_ONNX_MAX:
        return fmax(a, b);
    case SB_ONNX_MIN:
        return fmin(a, b);
    case SB_ONNX_EQUAL:
        return a == b;
    case SB_ONNX_LESS:
        return a < b;
    case SB_ONNX_LESS_OR_EQUAL:
        return a <= b;
    case SB_ONNX_GREATER:
        return a > b;
    case SB_ONNX_GREATER_OR_EQUAL:
        return a >= b;
    default:
        SB_UNREACHABLE();
    }
}

static bool compares(const struct sb_graph_node *node)
{
    enum sb_onnx_op_id op = node->op->id;
    return op == SB_ONNX_EQUAL || op == SB_ONNX_LESS || op == SB_ONNX_LESS_OR_EQUAL ||
           op == SB_ONNX_GREATER || op == SB_ONNX_GREATER_OR_EQUAL;
}

sb_err sb_eval_choose(struct sb_eval *e)
{
    const struct sb_graph_node *node = e->node;
    enum sb_elem elem = e->graph->values[node->inputs[0]].elem;
    bool exact = sb_elem_is_exact(elem) && !compares(node);
    struct sb_shape shape;
    if (node->op->id == SB_ONNX_MOD && !exact && sb_graph_attr_int(node, "fmod", 0) == 0) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, node, "real operands need fmod = 1");
    }
    if (node->op->id == SB_ONNX_MEAN && exact) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, node, "a mean of integers");
    }
    SB_TRY(broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        double y = operand(e, 0, &shape, i);
        for (uint32_t k = 1; k < node->input_count; k++) {
            double b = operand(e, k, &shape, i);
            y = exact ? sb_eval_wrap(elem, on_integers(node, sb_eval_int(y), sb_eval_int(b)))
                      : on_reals(node, y, b);
        }
        e->out[0].data[i] = node->op->id == SB_ONNX_MEAN ? y / node->input_count : y;
    }
    return SB_OK;
}

sb_err sb_eval_where(struct sb_eval *e)
{
    struct sb_shape shape;
    SB_TRY(broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        e->out[0].data[i] = operand(e, operand(e, 0, &shape, i) != 0 ? 1 : 2, &shape, i);
    }
    return SB_OK;
}

/* ---- one operand ---- */

sb_err sb_eval_map(struct sb_eval *e)
{
    enum sb_elem elem = e->graph->values[e->node->inputs[0]].elem;
    enum sb_onnx_op_id op = e->node->op->id;
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        double x = e->in[0]->data[i];
        double y = op == SB_ONNX_ABS           ? fabs(x)
                   : op == SB_ONNX_NEG         ? -x
                   : op == SB_ONNX_SIGN        ? (x > 0) - (x < 0)
                   : op == SB_ONNX_FLOOR       ? floor(x)
                   : op == SB_ONNX_CEIL        ? ceil(x)
                   : op == SB_ONNX_ROUND       ? nearbyint(x) /* half to even */
                   : op == SB_ONNX_NOT         ? x == 0
                   : op == SB_ONNX_BITWISE_NOT ? -x - 1
                                               : 0; /* IsNaN, IsInf of what is finite */
        bool wraps = sb_elem_is_integer(elem) && op != SB_ONNX_NOT;
        e->out[0].data[i] = wraps ? sb_eval_wrap(elem, sb_eval_int(y)) : y;
    }
    return SB_OK;
}

/* ---- one-hot ---- */

sb_err sb_eval_one_hot(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", -1), x->rank + 1));
    if (sb_array_count(e->in[1]) != 1 || sb_array_count(e->in[2]) != 2 ||
        x->rank == SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "a depth that is not one number, values that are not two, or more "
                             "than %u dimensions",
                             SB_TENSOR_RANK_MAX);
    }
    double depth = e->in[1]->data[0];
    if (!(depth >= 1 && depth <= SB_TENSOR_DIM_MAX)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "a depth of %g", depth);
    }
    struct sb_shape shape = {.rank = x->rank + 1};
    uint64_t inner = 1;
    for (uint32_t i = 0; i < shape.rank; i++) {
        shape.dims[i] = i < axis ? x->dims[i] : i == axis ? (uint32_t)depth : x->dims[i - 1];
        inner *= i > axis ? shape.dims[i] : 1;
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hot = i / inner % (uint64_t)depth;
        double at = trunc(e->in[0]->data[i / inner / (uint64_t)depth * inner + i % inner]);
        e->out[0].data[i] = e->in[2]->data[(at < 0 ? at + depth : at) == (double)hot ? 1 : 0];
    }
    return SB_OK;
}

sb_err sb_eval_hardmax(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    bool flat = e->node->opset < 13; /* then from the axis on, all is one row */
    uint32_t axis = 0;
    uint64_t inner = 1;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", flat ? 1 : -1), x->rank));
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        inner *= x->dims[i];
    }
    uint64_t n = flat ? inner * x->dims[axis] : x->dims[axis];
    inner = flat ? 1 : inner;
    SB_TRY(sb_eval_alloc(e, 0, x));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; n != 0 && i < count / n; i++) {
        uint64_t start = i / inner * inner * n + i % inner;
        uint64_t best = start;
        for (uint64_t k = 0; k < n; k++) {
            uint64_t at = start + k * inner;
            e->out[0].data[at] = 0;
            best = e->in[0]->data[at] > e->in[0]->data[best] ? at : best;
        }
        e->out[0].data[best] = 1;
    }
    return SB_OK;
}
