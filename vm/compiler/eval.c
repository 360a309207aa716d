/* eval.c: the float reference: the driver, elementwise operators and quantisation. See eval.h. */
#include "vm/compiler/eval.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/checked.h"
#include "vm/compiler/eval_math.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

#define WORK_MAX (UINT64_C(1) << 38)

sb_err sb_eval_alloc(struct sb_eval *e, uint32_t index, const struct sb_shape *shape)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++) {
        count *= shape->dims[i];
        if (shape->dims[i] > SB_TENSOR_DIM_MAX || count > SB_TENSOR_ELEMENTS_MAX) {
            return sb_graph_fail(e->diag, SB_E_LIMIT, e->node,
                                 "a result has more than 2^28 elements");
        }
    }
    struct sb_array *out = &e->out[index];
    out->shape = *shape;
    out->data = sb_arena_array(e->memory, count, sizeof *out->data);
    if (out->data == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
    }
    return SB_OK;
}

sb_err sb_eval_work(const struct sb_eval *e, uint64_t count, uint64_t each)
{
    if (sat_mul_u64(count, each) > WORK_MAX) {
        return sb_graph_fail(e->diag, SB_E_LIMIT, e->node, "more than 2^38 multiply-adds");
    }
    return SB_OK;
}

sb_err sb_eval_axis(uint32_t *ret, const struct sb_eval *e, int64_t axis, uint32_t rank)
{
    int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= (int64_t)rank) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node,
                             "axis %" PRId64 " of a tensor with %u dimensions", axis, rank);
    }
    *ret = (uint32_t)at;
    return SB_OK;
}

sb_err sb_eval_node(struct sb_array *arrays, const struct sb_graph *graph, uint32_t node,
                    struct sb_arena *memory, struct sb_diag *diag)
{
    const struct sb_graph_node *n = &graph->nodes[node];
    struct sb_array out[SB_GRAPH_OPERANDS_MAX] = {0};
    struct sb_eval e = {.graph = graph, .node = n, .out = out, .memory = memory, .diag = diag};
    for (uint32_t i = 0; i < n->input_count; i++) {
        if (n->inputs[i] != SB_NO_VALUE) {
            e.in[i] = &arrays[n->inputs[i]];
            if (e.in[i]->data == NULL) {
                return sb_graph_fail(diag, SB_E_SYNTAX, n, "input '%s' has no value",
                                     graph->values[n->inputs[i]].name);
            }
        }
    }
    SB_TRY(n->op->eval(&e));
    for (uint32_t i = 0; i < n->output_count; i++) {
        if (n->outputs[i] != SB_NO_VALUE) {
            arrays[n->outputs[i]] = out[i];
        }
    }
    return SB_OK;
}

void sb_eval_inputs(struct sb_array *arrays, const struct sb_graph *graph, double *x)
{
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const struct sb_shape *shape = &graph->values[graph->inputs[i]].array.shape;
        arrays[graph->inputs[i]] = (struct sb_array){.shape = *shape, .data = x};
        x += sb_shape_count(shape);
    }
}

sb_err sb_eval_graph(struct sb_array *arrays, const struct sb_graph *graph, struct sb_arena *memory,
                     struct sb_diag *diag)
{
    for (uint32_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].is_const) {
            arrays[v] = graph->values[v].array;
        }
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n].removed) {
            SB_TRY(sb_eval_node(arrays, graph, n, memory, diag));
        }
    }
    return SB_OK;
}

/* ---- two operands ---- */

sb_err sb_eval_broadcast(struct sb_shape *ret, struct sb_eval *e)
{
    const struct sb_shape *a = &e->in[0]->shape;
    const struct sb_shape *b = &e->in[1]->shape;
    struct sb_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (uint32_t i = 0; i < out.rank; i++) {
        uint32_t da = i + a->rank < out.rank ? 1 : a->dims[i + a->rank - out.rank];
        uint32_t db = i + b->rank < out.rank ? 1 : b->dims[i + b->rank - out.rank];
        if (da != db && da != 1 && db != 1) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                                 "dimensions %u and %u do not broadcast", da, db);
        }
        out.dims[i] = da == 1 ? db : da;
    }
    *ret = out;
    return SB_OK;
}

/* Element of an operand that belongs to element `at` of the broadcast shape. */
static uint64_t operand_at(const struct sb_shape *operand, const struct sb_shape *out, uint64_t at)
{
    uint64_t index = 0;
    uint64_t stride = 1;
    SB_ASSERT(operand->rank <= out->rank);
    for (uint32_t i = operand->rank; i-- > 0;) {
        uint32_t o = i + out->rank - operand->rank;
        uint64_t coordinate = at % out->dims[o];
        at /= out->dims[o];
        index += operand->dims[i] == 1 ? 0 : coordinate * stride;
        stride *= operand->dims[i];
    }
    return index;
}

double sb_eval_operand(const struct sb_eval *e, uint32_t index, const struct sb_shape *shape,
                       uint64_t at)
{
    return e->in[index]->data[operand_at(&e->in[index]->shape, shape, at)];
}

/* What is not a finite number is left to the calibration, which knows the values that samples reach. */
sb_err sb_eval_binary(struct sb_eval *e)
{
    struct sb_shape shape;
    if (sb_elem_is_exact(e->graph->values[e->node->inputs[0]].elem)) {
        return sb_eval_choose(e);
    }
    SB_TRY(sb_eval_broadcast(&shape, e));
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    uint64_t count = sb_shape_count(&shape);
    for (uint64_t i = 0; i < count; i++) {
        double a = e->in[0]->data[operand_at(&e->in[0]->shape, &shape, i)];
        double b = e->in[1]->data[operand_at(&e->in[1]->shape, &shape, i)];
        double y = 0;
        switch ((int)e->node->op->id) {
        case SB_ONNX_ADD:
            y = a + b;
            break;
        case SB_ONNX_SUB:
            y = a - b;
            break;
        case SB_ONNX_MUL:
            y = a * b;
            break;
        default:
            y = a / b;
            break;
        }
        e->out[0].data[i] = y;
    }
    return SB_OK;
}

/* ---- one operand ---- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

bool sb_eval_unary_of(double *ret, const struct sb_graph_node *node, double x)
{
    double y = 0;
    switch ((int)node->op->id) {
    case SB_ONNX_SIGMOID:
        y = sigmoid(x);
        break;
    case SB_ONNX_TANH:
        y = tanh(x);
        break;
    case SB_ONNX_EXP:
        y = exp(x);
        break;
    case SB_ONNX_ELU:
        y = x >= 0 ? x : sb_graph_attr_float(node, "alpha", 1) * (exp(x) - 1);
        break;
    case SB_ONNX_LEAKY_RELU:
        y = x >= 0 ? x : sb_graph_attr_float(node, "alpha", 0.01) * x;
        break;
    case SB_ONNX_HARD_SIGMOID:
        y = sb_graph_attr_float(node, "alpha", 0.2) * x + sb_graph_attr_float(node, "beta", 0.5);
        y = fmax(0, fmin(1, y));
        break;
    case SB_ONNX_HARD_SWISH:
        y = x * fmax(0, fmin(1, x / 6 + 0.5));
        break;
    default:
        return sb_eval_math_of(ret, node, x);
    }
    *ret = y;
    return true;
}

sb_err sb_eval_unary(struct sb_eval *e)
{
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        (void)sb_eval_unary_of(&e->out[0].data[i], e->node, e->in[0]->data[i]);
    }
    return SB_OK;
}

bool sb_clip_bounds(double *ret_lo, double *ret_hi, const struct sb_graph *graph,
                    const struct sb_graph_node *node)
{
    double bounds[2] = {-INFINITY, INFINITY};
    if (node->op->id == SB_ONNX_RELU) {
        bounds[0] = 0;
    } else if (node->op->id != SB_ONNX_CLIP) {
        return false;
    } else if (node->opset < 11) {
        bounds[0] = sb_graph_attr_float(node, "min", -INFINITY);
        bounds[1] = sb_graph_attr_float(node, "max", INFINITY);
    } else {
        for (uint32_t i = 0; i < 2; i++) {
            const struct sb_value *bound = sb_graph_input(graph, node, 1 + i);
            if (bound != NULL && (!bound->is_const || sb_array_count(&bound->array) != 1)) {
                return false;
            }
            bounds[i] = bound != NULL ? bound->array.data[0] : bounds[i];
        }
    }
    *ret_lo = fmin(bounds[0], bounds[1]); /* ONNX: where they cross, max wins */
    *ret_hi = bounds[1];
    return true;
}

sb_err sb_eval_clip(struct sb_eval *e)
{
    double lo = -INFINITY;
    double hi = INFINITY;
    if (!sb_clip_bounds(&lo, &hi, e->graph, e->node)) {
        for (uint32_t i = 1; i < 3; i++) {
            if (e->in[i] != NULL && sb_array_count(e->in[i]) != 1) {
                return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                                     "bounds that are not one number");
            }
        }
        lo = e->in[1] != NULL ? e->in[1]->data[0] : lo;
        hi = e->in[2] != NULL ? e->in[2]->data[0] : hi;
    }
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        e->out[0].data[i] = fmin(hi, fmax(lo, e->in[0]->data[i]));
    }
    return SB_OK;
}

sb_err sb_eval_identity(struct sb_eval *e)
{
    const struct sb_value *ratio = sb_graph_input(e->graph, e->node, 1);
    const struct sb_value *training = sb_graph_input(e->graph, e->node, 2);
    bool keeps_all = ratio != NULL && ratio->is_const && sb_array_count(&ratio->array) == 1 &&
                     ratio->array.data[0] == 0;
    if (!keeps_all && training != NULL &&
        (!training->is_const || sb_array_count(&training->array) != 1 ||
         training->array.data[0] != 0)) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "training mode; export the model for inference");
    }
    uint64_t count = sb_array_count(e->in[0]);
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    memcpy(e->out[0].data, e->in[0]->data, count * sizeof(double));
    if (e->node->output_count > 1) { /* the mask of a Dropout */
        SB_TRY(sb_eval_alloc(e, 1, &e->in[0]->shape));
        for (uint64_t i = 0; i < count; i++) {
            e->out[1].data[i] = 1;
        }
    }
    return SB_OK;
}

static bool integer_range(double *ret_lo, double *ret_hi, int64_t elem)
{
    static const struct {
        enum sb_elem elem;
        double lo, hi;
    } k[] = {
        {SB_ELEM_UINT8, 0, UINT8_MAX},         {SB_ELEM_INT8, INT8_MIN, INT8_MAX},
        {SB_ELEM_UINT16, 0, UINT16_MAX},       {SB_ELEM_INT16, INT16_MIN, INT16_MAX},
        {SB_ELEM_INT32, INT32_MIN, INT32_MAX}, {SB_ELEM_UINT32, 0, UINT32_MAX},
        {SB_ELEM_INT64, -0x1p63, 0x1p63},
    };
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        if ((int64_t)k[i].elem == elem) {
            *ret_lo = k[i].lo;
            *ret_hi = k[i].hi;
            return true;
        }
    }
    return false;
}

/* To an integer type a cast cuts toward zero; what does not fit is undefined in ONNX and refused here. */
sb_err sb_eval_cast(struct sb_eval *e)
{
    int64_t to = sb_graph_attr_int(e->node, "to", 0);
    double lo = 0;
    double hi = 0;
    bool integer = integer_range(&lo, &hi, to);
    if (!integer && to != SB_ELEM_FLOAT && to != SB_ELEM_DOUBLE && to != SB_ELEM_BOOL) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "cast to element type %" PRId64,
                             to);
    }
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        double x = e->in[0]->data[i];
        if (integer && (trunc(x) < lo || trunc(x) > hi)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "%g does not fit the type", x);
        }
        e->out[0].data[i] = integer ? trunc(x) : to == SB_ELEM_BOOL ? (x != 0 ? 1 : 0) : x;
    }
    return SB_OK;
}

/* ---- quantisation ---- */

/* Scale and zero point of element `at` of x: one for all, or one for each index along the axis. */
struct quant_params {
    const struct sb_array *scale;
    const struct sb_array *zero_point; /* NULL: 0 */
    uint64_t stride;                   /* elements of x below the axis */
    uint32_t dim;                      /* 1 for per-tensor */
    uint64_t block; /* neighbours along the axis that share one; 0: all of an index do */
    uint64_t blocks;
};

static uint64_t param_of(const struct quant_params *p, uint64_t i)
{
    uint64_t at = i / p->stride % p->dim;
    return p->block == 0
               ? at
               : (i / p->stride / p->dim * p->blocks + at / p->block) * p->stride + i % p->stride;
}

static sb_err quant_params_of(struct quant_params *ret, struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    struct quant_params p = {.scale = e->in[1], .zero_point = e->in[2], .stride = 1, .dim = 1};
    uint64_t count = sb_array_count(p.scale);
    int64_t block = sb_graph_attr_int(e->node, "block_size", 0);
    uint64_t want = 1;
    if (count > 1 || block > 0) {
        uint32_t axis = 0;
        SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 1), x->rank));
        p.dim = x->dims[axis];
        for (uint32_t i = axis + 1; i < x->rank; i++) {
            p.stride *= x->dims[i];
        }
        p.block = block > 0 ? (uint64_t)block : 0;
        p.blocks = p.block != 0 ? (p.dim + p.block - 1) / p.block : 0;
        want = p.dim == 0 ? 0 : p.block != 0 ? sb_array_count(e->in[0]) / p.dim * p.blocks : p.dim;
    }
    if (count != want || (p.zero_point != NULL && sb_array_count(p.zero_point) != count)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "scale and zero point do not have one element for each index of the "
                             "axis");
    }
    bool given =
        e->graph->values[e->node->inputs[1]].is_const; /* a computed one may be 0 for zeros */
    for (uint64_t i = 0; given && i < count; i++) {
        if (!(p.scale->data[i] > 0)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a scale is not positive");
        }
    }
    *ret = p;
    return SB_OK;
}

sb_err sb_eval_quantize(struct sb_eval *e)
{
    const struct sb_value *zero_point = sb_graph_input(e->graph, e->node, 2);
    double lo = 0;
    double hi = UINT8_MAX;
    struct quant_params p;
    SB_TRY(quant_params_of(&p, e));
    if (zero_point != NULL && !integer_range(&lo, &hi, (int64_t)zero_point->elem)) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "zero point of element type %d",
                             (int)zero_point->elem);
    }
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t c = param_of(&p, i);
        double q = nearbyint(e->in[0]->data[i] / p.scale->data[c]); /* half to even, as ONNX says */
        q += p.zero_point != NULL ? p.zero_point->data[c] : 0;
        e->out[0].data[i] = fmin(hi, fmax(lo, q));
    }
    return SB_OK;
}

sb_err sb_eval_dequantize(struct sb_eval *e)
{
    struct quant_params p;
    SB_TRY(quant_params_of(&p, e));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint64_t count = sb_array_count(e->in[0]);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t c = param_of(&p, i);
        double zero_point = p.zero_point != NULL ? p.zero_point->data[c] : 0;
        e->out[0].data[i] = (e->in[0]->data[i] - zero_point) * p.scale->data[c];
    }
    return SB_OK;
}
