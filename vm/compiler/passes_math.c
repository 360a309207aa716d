/* passes_math.c: sb_expand_math: powers, inverse functions and the forms of softmax from simpler operators. See passes_impl.h. */
#include <math.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

#define POWER_MAX 16 /* whole exponents up to this are products */

static const struct sb_shape *shape_of(const struct sb_expansion *x, uint32_t value)
{
    return &x->graph->values[value].array.shape;
}

/* ---- axes ---- */

/* The tensor with the axes of `bits` moved behind the others and, if `merge`, made one. ret_perm [rank]: where each axis comes from. */
static sb_err bring_last(uint32_t *ret, uint32_t *ret_perm, struct sb_expansion *x, uint32_t a,
                         uint32_t bits, bool merge)
{
    const struct sb_shape shape = *shape_of(x, a);
    struct sb_shape to = {.rank = 0};
    uint32_t count = 0;
    uint32_t inner = 1;
    bool moved = false;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < shape.rank; i++) {
            if ((bits >> i & 1) == pass) {
                moved = moved || i != count;
                ret_perm[count++] = i;
                inner *= pass == 1 ? shape.dims[i] : 1;
                if (pass == 0) {
                    to.dims[to.rank++] = shape.dims[i];
                }
            }
        }
    }
    *ret = a;
    if (moved) {
        uint32_t turned = SB_NO_VALUE;
        SB_TRY(sb_expand_transpose(&turned, x, a, ret_perm, shape.rank));
        *ret = turned;
    }
    to.dims[to.rank++] = inner;
    if (merge && to.rank != shape.rank) {
        uint32_t merged = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&merged, x, *ret, &to));
        *ret = merged;
    }
    return SB_OK;
}

/* ---- softmax, log softmax, log-sum-exp ---- */

static sb_err over_last(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a)
{
    struct sb_attr axis = sb_attr_int("axis", -1);
    return sb_expand_node(output, x, op, &a, 1, &axis, 1);
}

static sb_err expand_log_softmax(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t sum = SB_NO_VALUE;
    SB_TRY(sb_expand_unary(&sum, x, "LogSumExp", n->inputs[0]));
    return sb_expand_binary(&n->outputs[0], x, "Sub", n->inputs[0], sum);
}

/* Softmax and LogSoftmax over the last axis. Before operator set 13 all axes from the given one on are one row. */
static sb_err expand_softmax(bool *changed, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    bool rows = n->opset < 13;
    bool log = n->op->id == SB_ONNX_LOG_SOFTMAX;
    int64_t given = sb_graph_attr_int(n, "axis", rows ? 1 : -1);
    uint32_t axis = (uint32_t)(given < 0 ? given + shape.rank : given);
    uint32_t perm[SB_TENSOR_RANK_MAX];
    uint32_t back[SB_TENSOR_RANK_MAX];
    uint32_t turned = 0;
    uint32_t y = SB_NO_VALUE;
    if (axis + 1 == shape.rank) {
        *changed = log;
        return log ? expand_log_softmax(x) : SB_OK;
    }
    *changed = true;
    if (rows) {
        struct sb_shape flat = {.rank = 2, .dims = {1, 1}};
        uint32_t merged = SB_NO_VALUE;
        for (uint32_t i = 0; i < shape.rank; i++) {
            flat.dims[i < axis ? 0 : 1] *= shape.dims[i];
        }
        SB_TRY(sb_expand_reshape(&merged, x, n->inputs[0], &flat));
        SB_TRY(over_last(&y, x, n->op->name, merged));
        return sb_expand_reshape(&n->outputs[0], x, y, &shape);
    }
    SB_TRY(bring_last(&turned, perm, x, n->inputs[0], 1u << axis, false));
    SB_TRY(over_last(&y, x, n->op->name, turned));
    for (uint32_t i = 0; i < shape.rank; i++) {
        back[perm[i]] = i;
    }
    return sb_expand_transpose(&n->outputs[0], x, y, back, shape.rank);
}

/* ---- powers ---- */

/* x^k for k >= 2 by squaring; the last product writes *output. */
static sb_err product_power(uint32_t *output, struct sb_expansion *x, uint32_t a, uint32_t k)
{
    uint32_t square = a;
    uint32_t product = SB_NO_VALUE;
    for (; k > 1; k /= 2) {
        uint32_t next = SB_NO_VALUE;
        if (k % 2 != 0 && product != SB_NO_VALUE) {
            SB_TRY(sb_expand_binary(&next, x, "Mul", product, square));
            product = next;
        } else if (k % 2 != 0) {
            product = square;
        }
        next = k < 4 && product == SB_NO_VALUE ? *output : SB_NO_VALUE;
        SB_TRY(sb_expand_binary(&next, x, "Mul", square, square));
        square = next;
    }
    return product == SB_NO_VALUE ? SB_OK : sb_expand_binary(output, x, "Mul", product, square);
}

/* An integer base to constant whole exponents, element by element: the product of x^(2^i) over the bits i of the exponent, each factor
 * written as x^(2^i) * bit + (1 - bit). */
static sb_err integer_power(struct sb_expansion *x, const struct sb_value *exponent)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *base = &x->graph->values[n->inputs[0]];
    const struct sb_array exponents = exponent->array;
    enum sb_elem elem = base->elem;
    uint64_t count = sb_array_count(&exponents);
    double top = 0;
    for (uint64_t i = 0; i < count; i++) {
        double k = exponents.data[i];
        if (k != nearbyint(k) || k < 0 || k > 62) {
            return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                                 "an integer to the power of %g; cast it to float first", k);
        }
        top = fmax(top, k);
    }
    uint32_t square = n->inputs[0];
    uint32_t product = SB_NO_VALUE;
    for (uint32_t bit = 0; bit == 0 || top >= ldexp(1, (int)bit); bit++) {
        uint32_t is_set = 0;
        uint32_t is_clear = 0;
        uint32_t picked = SB_NO_VALUE;
        uint32_t factor = SB_NO_VALUE;
        SB_TRY(sb_expand_const(&is_set, x, elem, &exponents.shape, NULL));
        SB_TRY(sb_expand_const(&is_clear, x, elem, &exponents.shape, NULL));
        for (uint64_t i = 0; i < count; i++) {
            double set = (double)((uint64_t)exponents.data[i] >> bit & 1);
            x->graph->values[is_set].array.data[i] = set;
            x->graph->values[is_clear].array.data[i] = 1 - set;
        }
        if (bit > 0) {
            uint32_t next = SB_NO_VALUE;
            SB_TRY(sb_expand_binary(&next, x, "Mul", square, square));
            square = next;
        }
        bool ends = top < ldexp(1, (int)bit + 1);
        SB_TRY(sb_expand_binary(&picked, x, "Mul", square, is_set));
        SB_TRY(sb_expand_binary(ends && product == SB_NO_VALUE ? &n->outputs[0] : &factor, x, "Add",
                                picked, is_clear));
        if (product != SB_NO_VALUE) {
            uint32_t next = SB_NO_VALUE;
            SB_TRY(sb_expand_binary(ends ? &n->outputs[0] : &next, x, "Mul", product, factor));
            product = next;
        } else {
            product = factor;
        }
    }
    return SB_OK;
}

/* e^(y ln x); both are real. */
static sb_err general_power(struct sb_expansion *x, uint32_t base, uint32_t exponent)
{
    uint32_t log = SB_NO_VALUE;
    uint32_t scaled = SB_NO_VALUE;
    SB_TRY(sb_expand_unary(&log, x, "Log", base));
    SB_TRY(sb_expand_binary(&scaled, x, "Mul", log, exponent));
    return sb_expand_unary(&x->origin->outputs[0], x, "Exp", scaled);
}

static sb_err to_float(uint32_t *ret, struct sb_expansion *x, uint32_t value)
{
    struct sb_attr to = sb_attr_int("to", SB_ELEM_FLOAT);
    *ret = value;
    if (!sb_elem_is_exact(x->graph->values[value].elem)) {
        return SB_OK;
    }
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, x, "Cast", &value, 1, &to, 1);
}

static sb_err expand_pow(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *c = &x->graph->values[n->inputs[1]];
    bool integers = sb_elem_is_integer(x->graph->values[n->inputs[0]].elem);
    uint32_t *y = &n->outputs[0];
    if (integers && c->is_const) {
        return integer_power(x, c);
    }
    if (integers) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                             "an integer to a computed power; cast both to float first");
    }
    uint64_t count = c->is_const ? sb_array_count(&c->array) : 0;
    bool whole = count > 0;
    for (uint64_t i = 0; i < count; i++) {
        whole = whole && c->array.data[i] == nearbyint(c->array.data[i]) && c->array.data[i] >= 0 &&
                c->array.data[i] <= POWER_MAX;
    }
    bool one_shape = sb_shape_equal(shape_of(x, n->inputs[0]), shape_of(x, n->outputs[0]));
    double k = count == 1 ? c->array.data[0] : 0;
    if (count == 1 && one_shape && (k == 0.5 || k == -1 || k == 1)) {
        const char *op = k == 0.5 ? "Sqrt" : k == 1 ? "Identity" : "Reciprocal";
        return sb_expand_unary(y, x, op, n->inputs[0]);
    }
    if (count == 1 && one_shape && k == -0.5) {
        uint32_t root = SB_NO_VALUE;
        SB_TRY(sb_expand_unary(&root, x, "Sqrt", n->inputs[0]));
        return sb_expand_unary(y, x, "Reciprocal", root);
    }
    if (count == 1 && one_shape && whole && k >= 2) {
        return product_power(y, x, n->inputs[0], (uint32_t)k);
    }
    if (whole) {
        return integer_power(x, c);
    }
    uint32_t exponent = 0;
    SB_TRY(to_float(&exponent, x, n->inputs[1]));
    return general_power(x, n->inputs[0], exponent);
}

/* ---- inverse functions ---- */

/* asin x = 2 atan(x / (1 + sqrt(1 - x^2))), acos x = pi/2 - asin x. */
static sb_err expand_asin(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    bool cosine = n->op->id == SB_ONNX_ACOS;
    uint32_t one = 0;
    uint32_t v[6] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    uint32_t factor = 0;
    SB_TRY(sb_expand_scalar(&one, x, 1));
    SB_TRY(sb_expand_scalar(&factor, x, cosine ? -2 : 2));
    SB_TRY(sb_expand_binary(&v[0], x, "Mul", n->inputs[0], n->inputs[0]));
    SB_TRY(sb_expand_binary(&v[1], x, "Sub", one, v[0]));
    SB_TRY(sb_expand_unary(&v[2], x, "Sqrt", v[1]));
    SB_TRY(sb_expand_binary(&v[3], x, "Add", v[2], one));
    SB_TRY(sb_expand_binary(&v[4], x, "Div", n->inputs[0], v[3]));
    SB_TRY(sb_expand_unary(&v[5], x, "Atan", v[4]));
    if (!cosine) {
        return sb_expand_binary(&n->outputs[0], x, "Mul", v[5], factor);
    }
    uint32_t scaled = SB_NO_VALUE;
    uint32_t quarter = 0;
    SB_TRY(sb_expand_scalar(&quarter, x, M_PI / 2));
    SB_TRY(sb_expand_binary(&scaled, x, "Mul", v[5], factor));
    return sb_expand_binary(&n->outputs[0], x, "Add", scaled, quarter);
}

/* acosh x = ln(x + sqrt(x^2 - 1)); atanh x = (ln(1 + x) - ln(1 - x)) / 2. */
static sb_err expand_acosh(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t one = 0;
    uint32_t v[4] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    SB_TRY(sb_expand_scalar(&one, x, 1));
    SB_TRY(sb_expand_binary(&v[0], x, "Mul", n->inputs[0], n->inputs[0]));
    SB_TRY(sb_expand_binary(&v[1], x, "Sub", v[0], one));
    SB_TRY(sb_expand_unary(&v[2], x, "Sqrt", v[1]));
    SB_TRY(sb_expand_binary(&v[3], x, "Add", n->inputs[0], v[2]));
    return sb_expand_unary(&n->outputs[0], x, "Log", v[3]);
}

static sb_err expand_atanh(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t one = 0;
    uint32_t half = 0;
    uint32_t v[5] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    SB_TRY(sb_expand_scalar(&one, x, 1));
    SB_TRY(sb_expand_scalar(&half, x, 0.5));
    SB_TRY(sb_expand_binary(&v[0], x, "Add", n->inputs[0], one));
    SB_TRY(sb_expand_binary(&v[1], x, "Sub", one, n->inputs[0]));
    SB_TRY(sb_expand_unary(&v[2], x, "Log", v[0]));
    SB_TRY(sb_expand_unary(&v[3], x, "Log", v[1]));
    SB_TRY(sb_expand_binary(&v[4], x, "Sub", v[2], v[3]));
    return sb_expand_binary(&n->outputs[0], x, "Mul", v[4], half);
}

static sb_err expand_swiglu(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_attr *attr = sb_arena_array(x->graph->memory, 1, sizeof *attr);
    uint32_t gate = SB_NO_VALUE;
    if (attr == NULL) {
        return sb_pass_nomem(x->diag);
    }
    *attr = (struct sb_attr){
        .name = "alpha", .kind = SB_ATTR_KIND_FLOAT, .f = sb_graph_attr_float(n, "alpha", 1)};
    SB_TRY(sb_expand_node(&gate, x, "Swish", &n->inputs[0], 1, attr, 1));
    return sb_expand_binary(&n->outputs[0], x, "Mul", gate, n->inputs[1]);
}

sb_err sb_expand_math(bool *changed, struct sb_expansion *x)
{
    *changed = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_SOFTMAX:
    case SB_ONNX_LOG_SOFTMAX:
        return expand_softmax(changed, x);
    case SB_ONNX_POW:
        return expand_pow(x);
    case SB_ONNX_ASIN:
    case SB_ONNX_ACOS:
        return expand_asin(x);
    case SB_ONNX_ACOSH:
        return expand_acosh(x);
    case SB_ONNX_ATANH:
        return expand_atanh(x);
    case SB_ONNX_SWIGLU:
        return expand_swiglu(x);
    default:
        *changed = false;
        return SB_OK;
    }
}
