/* passes_fuse.c: sb_pass_fuse: patterns that exporters write out, brought back to one operator. See passes_impl.h.
 *
 *     x * 1 / sqrt(mean(x^2) + e) * w                                  RMSNormalization
 *     (x - mean(x)) / sqrt(mean((x - mean(x))^2) + e) * w + b           LayerNormalization
 *     x / 2 * (1 + erf(x / sqrt 2)), its tanh form; x * sigmoid(x)      Gelu, Swish
 *     MatMul(a, Transpose(b)) * c                                      Product
 *     Softmax(scores + mask), Softmax(Where(mask, scores, -inf))       MaskedSoftmax, where the mask leaves out or lets through
 *
 * The last node of a pattern becomes the operator; the others stay for their other readers, or are dropped as dead. A pattern is read from
 * its end, through the writers of values, and what does not match is left as it is. */
#include <math.h>

#include "base/util/span.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

#define LEFT_OUT                                                                                   \
    (-1e4)        /* a mask's term below this leaves an element out: e^-10000 is 0 in any format */
#define NEAR 1e-3 /* of the constants in patterns, relative */

struct fusion {
    struct sb_graph *graph;
    struct sb_diag *diag;
};

/* The node of this operator that writes a value; NULL if another does. */
static const struct sb_graph_node *made_by(const struct fusion *f, uint32_t value,
                                           enum sb_onnx_op_id op)
{
    uint32_t writer = value == SB_NO_VALUE ? SB_NO_VALUE : f->graph->values[value].writer;
    if (writer == SB_NO_VALUE || f->graph->nodes[writer].removed ||
        f->graph->nodes[writer].op->id != op || f->graph->nodes[writer].outputs[0] != value) {
        return NULL;
    }
    return &f->graph->nodes[writer];
}

static const struct sb_value *value_of(const struct fusion *f, uint32_t value)
{
    return &f->graph->values[value];
}

static bool is_scalar(const struct fusion *f, uint32_t value, double *ret)
{
    const struct sb_value *v = value_of(f, value);
    if (!v->is_const || sb_array_count(&v->array) != 1) {
        return false;
    }
    *ret = v->array.data[0];
    return true;
}

static bool is_near(const struct fusion *f, uint32_t value, double want)
{
    double have = 0;
    return is_scalar(f, value, &have) && fabs(have - want) <= NEAR * fabs(want);
}

/* The operand of an Add or Mul that is not the constant scalar; false if there is none. */
static bool beside_scalar(const struct fusion *f, const struct sb_graph_node *n, uint32_t *ret,
                          double *ret_scalar)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (is_scalar(f, n->inputs[i], ret_scalar)) {
            *ret = n->inputs[1 - i];
            return true;
        }
    }
    return false;
}

static sb_err become(struct fusion *f, struct sb_graph_node *n, const char *domain, const char *op,
                     const uint32_t *inputs, uint32_t input_count, const struct sb_attr *attrs,
                     uint32_t attr_count)
{
    n->inputs = (uint32_t *)(void *)sb_arena_dup(f->graph->memory,
                                                 sb_span(inputs, input_count * sizeof *inputs));
    n->input_count = input_count;
    n->op = sb_onnx_op_find(domain, op);
    n->opset = SB_EXPAND_OPSET;
    if (n->inputs == NULL) {
        return sb_pass_nomem(f->diag);
    }
    return sb_pass_set_attrs(f->graph, n, attrs, attr_count, f->diag);
}

/* ---- norms ---- */

/* mean(v^2) over the last axis: v. */
static bool mean_square(const struct fusion *f, uint32_t value, uint32_t *ret)
{
    const struct sb_graph_node *mean = made_by(f, value, SB_ONNX_REDUCE_MEAN);
    uint32_t bits = 0;
    if (mean == NULL) {
        return false;
    }
    const struct sb_shape *x = &value_of(f, mean->inputs[0])->array.shape;
    if (sb_eval_reduced(&bits, f->graph, mean, x, f->diag) != SB_OK || x->rank == 0 ||
        bits != 1u << (x->rank - 1)) {
        return false;
    }
    const struct sb_graph_node *power = made_by(f, mean->inputs[0], SB_ONNX_POW);
    const struct sb_graph_node *product = made_by(f, mean->inputs[0], SB_ONNX_MUL);
    if (power != NULL && is_near(f, power->inputs[1], 2)) {
        *ret = power->inputs[0];
        return true;
    }
    if (product != NULL && product->inputs[0] == product->inputs[1]) {
        *ret = product->inputs[0];
        return true;
    }
    return false;
}

/* sqrt(mean(v^2) + epsilon): v and epsilon. */
static bool deviation(const struct fusion *f, uint32_t value, uint32_t *ret, double *ret_epsilon)
{
    const struct sb_graph_node *root = made_by(f, value, SB_ONNX_SQRT);
    const struct sb_graph_node *sum =
        root == NULL ? NULL : made_by(f, root->inputs[0], SB_ONNX_ADD);
    uint32_t mean = 0;
    return sum != NULL && beside_scalar(f, sum, &mean, ret_epsilon) && mean_square(f, mean, ret);
}

/* v / sqrt(mean(v^2) + epsilon), in any of its writings: v and epsilon. */
static bool normalised(const struct fusion *f, uint32_t value, uint32_t *ret, double *ret_epsilon)
{
    const struct sb_graph_node *div = made_by(f, value, SB_ONNX_DIV);
    const struct sb_graph_node *mul = made_by(f, value, SB_ONNX_MUL);
    if (div != NULL && deviation(f, div->inputs[1], ret, ret_epsilon)) {
        return *ret == div->inputs[0];
    }
    for (uint32_t i = 0; mul != NULL && i < 2; i++) {
        const struct sb_graph_node *one = made_by(f, mul->inputs[i], SB_ONNX_DIV);
        const struct sb_graph_node *inverse = made_by(f, mul->inputs[i], SB_ONNX_RECIPROCAL);
        uint32_t root = inverse != NULL                                ? inverse->inputs[0]
                        : one != NULL && is_near(f, one->inputs[0], 1) ? one->inputs[1]
                                                                       : SB_NO_VALUE;
        if (deviation(f, root, ret, ret_epsilon) && *ret == mul->inputs[1 - i]) {
            return true;
        }
    }
    return false;
}

/* A constant row [D] of the value's last axis. */
static bool is_row(const struct fusion *f, uint32_t constant, uint32_t value)
{
    const struct sb_value *c = value_of(f, constant);
    const struct sb_shape *s = &value_of(f, value)->array.shape;
    return c->is_const && s->rank > 0 && c->array.shape.rank == 1 &&
           c->array.shape.dims[0] == s->dims[s->rank - 1];
}

/* v of x - mean(x): x; SB_NO_VALUE if v is something else. */
static uint32_t centred(const struct fusion *f, uint32_t value)
{
    const struct sb_graph_node *sub = made_by(f, value, SB_ONNX_SUB);
    const struct sb_graph_node *mean =
        sub == NULL ? NULL : made_by(f, sub->inputs[1], SB_ONNX_REDUCE_MEAN);
    uint32_t bits = 0;
    if (mean == NULL || mean->inputs[0] != sub->inputs[0]) {
        return SB_NO_VALUE;
    }
    const struct sb_shape *x = &value_of(f, mean->inputs[0])->array.shape;
    bool last = sb_eval_reduced(&bits, f->graph, mean, x, f->diag) == SB_OK && x->rank > 0 &&
                bits == 1u << (x->rank - 1);
    return last ? sub->inputs[0] : SB_NO_VALUE;
}

/* A normalised value times a row. */
static sb_err fuse_norm(struct fusion *f, struct sb_graph_node *n)
{
    for (uint32_t j = 0; j < 2; j++) {
        uint32_t v = 0;
        double epsilon = 0;
        uint32_t scale = n->inputs[j];
        if (!normalised(f, n->inputs[1 - j], &v, &epsilon) || !is_row(f, scale, v)) {
            continue;
        }
        uint32_t x = centred(f, v);
        bool layer = x != SB_NO_VALUE;
        struct sb_attr attrs[] = {
            sb_attr_int("axis", -1),
            {.name = "epsilon", .kind = SB_ATTR_KIND_FLOAT, .f = epsilon},
        };
        return become(f, n, "", layer ? "LayerNormalization" : "RMSNormalization",
                      (uint32_t[]){layer ? x : v, scale}, 2, attrs, 2);
    }
    return SB_OK;
}

/* A row added to a LayerNormalization that has none. */
static sb_err fuse_bias(struct fusion *f, struct sb_graph_node *n)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct sb_graph_node *norm = made_by(f, n->inputs[i], SB_ONNX_LAYER_NORMALIZATION);
        uint32_t reader = 0;
        if (norm != NULL && norm->input_count == 2 && norm->output_count == 1 &&
            is_row(f, n->inputs[1 - i], n->inputs[i]) &&
            sb_graph_readers(&reader, f->graph, n->inputs[i]) == 1) {
            uint32_t inputs[3] = {norm->inputs[0], norm->inputs[1], n->inputs[1 - i]};
            return become(f, n, "", "LayerNormalization", inputs, 3, norm->attrs, norm->attr_count);
        }
    }
    return SB_OK;
}

/* ---- activations ---- */

static sb_err fuse_swish(struct fusion *f, struct sb_graph_node *n)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct sb_graph_node *gate = made_by(f, n->inputs[i], SB_ONNX_SIGMOID);
        if (gate != NULL && gate->inputs[0] == n->inputs[1 - i]) {
            return become(f, n, "", "Swish", &n->inputs[1 - i], 1, NULL, 0);
        }
    }
    return SB_OK;
}

/* 1 + erf(x / sqrt 2): x. */
static bool erf_part(const struct fusion *f, uint32_t value, uint32_t *ret)
{
    const struct sb_graph_node *sum = made_by(f, value, SB_ONNX_ADD);
    double one = 0;
    uint32_t part = 0;
    if (sum == NULL || !beside_scalar(f, sum, &part, &one) || fabs(one - 1) > NEAR) {
        return false;
    }
    const struct sb_graph_node *erf = made_by(f, part, SB_ONNX_ERF);
    const struct sb_graph_node *div = erf == NULL ? NULL : made_by(f, erf->inputs[0], SB_ONNX_DIV);
    const struct sb_graph_node *mul = erf == NULL ? NULL : made_by(f, erf->inputs[0], SB_ONNX_MUL);
    double factor = 0;
    if (div != NULL && is_near(f, div->inputs[1], M_SQRT2)) {
        *ret = div->inputs[0];
        return true;
    }
    return mul != NULL && beside_scalar(f, mul, ret, &factor) && fabs(factor - M_SQRT1_2) <= NEAR;
}

/* The three factors x, 1/2 and 1 + erf in any order and grouping. */
static sb_err fuse_gelu(struct fusion *f, struct sb_graph_node *n)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct sb_graph_node *inner = made_by(f, n->inputs[i], SB_ONNX_MUL);
        if (inner == NULL) {
            continue;
        }
        uint32_t factors[3] = {n->inputs[1 - i], inner->inputs[0], inner->inputs[1]};
        uint32_t x = SB_NO_VALUE;
        uint32_t matched = 0;
        for (uint32_t k = 0; k < 3; k++) {
            matched |= erf_part(f, factors[k], &x) ? 1u << k : 0;
        }
        for (uint32_t k = 0; k < 3; k++) {
            matched |= is_near(f, factors[k], 0.5) ? 1u << k : 0;
            matched |= factors[k] == x ? 1u << k : 0;
        }
        if (x != SB_NO_VALUE && matched == 7) {
            return become(f, n, "", "Gelu", &x, 1, NULL, 0);
        }
    }
    return SB_OK;
}

/* ---- products and attention ---- */

/* A MatMul of computed values; transposed: the second operand before its Transpose, or SB_NO_VALUE. */
static bool is_product(const struct fusion *f, const struct sb_graph_node *n, uint32_t *ret_b)
{
    const struct sb_value *a = value_of(f, n->inputs[0]);
    const struct sb_value *b = value_of(f, n->inputs[1]);
    const struct sb_graph_node *turn = made_by(f, n->inputs[1], SB_ONNX_TRANSPOSE);
    size_t rank = 0;
    *ret_b = SB_NO_VALUE;
    if (n->op->id != SB_ONNX_MAT_MUL || a->is_const || b->is_const || a->array.shape.rank < 2 ||
        b->array.shape.rank < 2 || sb_elem_is_exact(a->elem)) {
        return false;
    }
    const int64_t *perm = turn == NULL ? NULL : sb_graph_attr_ints(&rank, turn, "perm");
    bool swaps =
        perm != NULL && perm[rank - 1] == (int64_t)rank - 2 && perm[rank - 2] == (int64_t)rank - 1;
    for (size_t i = 0; swaps && i + 2 < rank; i++) {
        swaps = perm[i] == (int64_t)i;
    }
    *ret_b = swaps ? turn->inputs[0] : SB_NO_VALUE;
    return true;
}

static sb_err fuse_product(struct fusion *f, struct sb_graph_node *n)
{
    const struct sb_graph_node *product = n;
    uint32_t in = n->op->id == SB_ONNX_MAT_MUL ? SB_NO_VALUE : n->inputs[0];
    uint32_t b = SB_NO_VALUE;
    double scale = 1;
    if (n->op->id == SB_ONNX_MUL && !beside_scalar(f, n, &in, &scale)) {
        return SB_OK;
    }
    if (n->op->id == SB_ONNX_DIV && !is_scalar(f, n->inputs[1], &scale)) {
        return SB_OK;
    }
    if (in != SB_NO_VALUE) {
        uint32_t reader = 0;
        product = made_by(f, in, SB_ONNX_PRODUCT); /* its MatMul came before */
        if (product == NULL || sb_graph_readers(&reader, f->graph, in) != 1 || !(scale > 0)) {
            return SB_OK;
        }
        scale = n->op->id == SB_ONNX_DIV ? 1 / scale : scale;
    } else if (!is_product(f, n, &b)) {
        return SB_OK;
    }
    struct sb_attr attrs[] = {
        sb_attr_int("transB",
                    in != SB_NO_VALUE ? sb_graph_attr_int(product, "transB", 0) : b != SB_NO_VALUE),
        {.name = "alpha",
         .kind = SB_ATTR_KIND_FLOAT,
         .f = scale * (in != SB_NO_VALUE ? sb_graph_attr_float(product, "alpha", 1) : 1)},
    };
    uint32_t inputs[2] = {product->inputs[0], b != SB_NO_VALUE ? b : product->inputs[1]};
    return become(f, n, "samebit", "Product", inputs, 2, attrs, 2);
}

/* A constant of the shape of another, with elements of its own. */
static sb_err like(uint32_t *ret, struct fusion *f, uint32_t value, enum sb_elem elem)
{
    const struct sb_shape shape = value_of(f, value)->array.shape;
    SB_TRY(sb_pass_const(ret, f->graph, value_of(f, value)->name, &shape, f->diag));
    f->graph->values[*ret].elem = elem;
    return SB_OK;
}

/* Softmax(scores + constant): elements with a great negative term are left out. The Add is left without that term, or not at all. */
static sb_err fuse_mask(struct fusion *f, struct sb_graph_node *n, struct sb_graph_node *add)
{
    uint32_t reader = 0;
    uint32_t c = value_of(f, add->inputs[0])->is_const ? 0 : 1;
    const struct sb_value *mask = value_of(f, add->inputs[c]);
    const struct sb_shape *scores = &value_of(f, add->inputs[1 - c])->array.shape;
    bool leaves_out = false;
    bool adds = false;
    if (!mask->is_const || sb_graph_readers(&reader, f->graph, add->outputs[0]) != 1 ||
        !sb_shape_equal(scores, &value_of(f, add->outputs[0])->array.shape)) {
        return SB_OK;
    }
    for (uint64_t i = 0; i < sb_array_count(&mask->array); i++) {
        double v = mask->array.data[i];
        leaves_out = leaves_out || v <= LEFT_OUT;
        adds = adds || (v > LEFT_OUT && v != 0);
    }
    if (!leaves_out) {
        return SB_OK;
    }
    uint32_t allowed = 0;
    uint32_t terms = 0;
    uint32_t from = add->inputs[c];
    SB_TRY(like(&allowed, f, from, SB_ELEM_BOOL));
    SB_TRY(like(&terms, f, from, SB_ELEM_FLOAT));
    for (uint64_t i = 0; i < sb_array_count(&value_of(f, from)->array); i++) {
        double v = value_of(f, from)->array.data[i];
        f->graph->values[allowed].array.data[i] = v > LEFT_OUT ? 1 : 0;
        f->graph->values[terms].array.data[i] = v > LEFT_OUT ? v : 0;
    }
    uint32_t x = adds ? add->outputs[0] : add->inputs[1 - c];
    add->inputs[c] = terms;
    return become(f, n, "samebit", "MaskedSoftmax", (uint32_t[]){x, allowed}, 2, NULL, 0);
}

static sb_err fuse_softmax(struct fusion *f, struct sb_graph_node *n)
{
    const struct sb_shape *x = &value_of(f, n->inputs[0])->array.shape;
    int64_t axis = sb_graph_attr_int(n, "axis", n->opset < 13 ? 1 : -1);
    uint32_t writer = value_of(f, n->inputs[0])->writer;
    if ((axis != -1 && axis + 1 != (int64_t)x->rank) || writer == SB_NO_VALUE) {
        return SB_OK;
    }
    struct sb_graph_node *made = &f->graph->nodes[writer];
    double fill = 0;
    if (made->op->id == SB_ONNX_ADD && !made->removed) {
        return fuse_mask(f, n, made);
    }
    if (made->op->id == SB_ONNX_WHERE && !made->removed && is_scalar(f, made->inputs[2], &fill) &&
        fill <= LEFT_OUT && sb_shape_equal(&value_of(f, made->inputs[1])->array.shape, x)) {
        return become(f, n, "samebit", "MaskedSoftmax",
                      (uint32_t[]){made->inputs[1], made->inputs[0]}, 2, NULL, 0);
    }
    return SB_OK;
}

sb_err sb_pass_fuse(struct sb_graph *graph, struct sb_diag *diag)
{
    static sb_err (*const k_mul[])(struct fusion *, struct sb_graph_node *) = {
        fuse_swish, fuse_gelu, fuse_norm, fuse_product};
    struct fusion f = {.graph = graph, .diag = diag};
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct sb_graph_node *n = &graph->nodes[i];
        if (n->removed) {
            continue;
        }
        switch ((int)n->op->id) {
        case SB_ONNX_MUL:
            for (size_t k = 0; k < sizeof k_mul / sizeof k_mul[0]; k++) {
                if (n->op->id == SB_ONNX_MUL) {
                    SB_TRY(k_mul[k](&f, n));
                }
            }
            break;
        case SB_ONNX_ADD:
            SB_TRY(fuse_bias(&f, n));
            break;
        case SB_ONNX_MAT_MUL:
        case SB_ONNX_DIV:
            SB_TRY(fuse_product(&f, n));
            break;
        case SB_ONNX_SOFTMAX:
            SB_TRY(fuse_softmax(&f, n));
            break;
        default:
            break;
        }
    }
    return SB_OK;
}
