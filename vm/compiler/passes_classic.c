/* passes_classic.c: expansions of ai.onnx.ml beyond the linear models: support vector machines, encoders, scalers of rows. See
 * passes_impl.h.
 *
 *     kernel   linear, poly, sigmoid   Gemm with the vectors, then a product of itself or Tanh
 *              rbf                     Exp(-gamma * sum (x - vector)^2), squares of exact differences
 *     score    Gemm(kernel, weights) + rho
 *     class    each score votes, in integers; ArgMax */
#include <math.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/classic.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"
#include "vm/compiler/svm.h"

#define NORM_MIN 1e-6 /* of Normalizer: below it a row counts as zeros */

static sb_err pair(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a, uint32_t b)
{
    return sb_expand_node(output, x, op, (uint32_t[]){a, b}, 2, NULL, 0);
}

static sb_err one(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a)
{
    return sb_expand_node(output, x, op, &a, 1, NULL, 0);
}

static sb_err scalar(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem, double v)
{
    struct sb_shape shape = {.rank = 0};
    return sb_expand_const(ret, x, elem, &shape, &v);
}

static sb_err vector(uint32_t *ret, struct sb_expansion *x, enum sb_elem elem, const double *v,
                     size_t count)
{
    struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)count}};
    return sb_expand_const(ret, x, elem, &shape, v);
}

static sb_err matrix(uint32_t *ret, struct sb_expansion *x, uint64_t rows, uint64_t columns,
                     const double *v)
{
    struct sb_shape shape = {.rank = 2, .dims = {(uint32_t)rows, (uint32_t)columns}};
    return sb_expand_const(ret, x, SB_ELEM_FLOAT, &shape, v);
}

/* a * w^T + bias. */
static sb_err gemm(uint32_t *output, struct sb_expansion *x, uint32_t a, uint32_t w, uint32_t bias)
{
    struct sb_attr trans = sb_attr_int("transB", 1);
    return sb_expand_node(output, x, "Gemm", (uint32_t[]){a, w, bias}, 3, &trans, 1);
}

/* A reduction or another operator with one list of axes as its second input. */
static sb_err along(uint32_t *output, struct sb_expansion *x, const char *op, uint32_t a,
                    int64_t axis, bool keep)
{
    struct sb_attr attr = sb_attr_int("keepdims", keep ? 1 : 0);
    uint32_t axes = 0;
    SB_TRY(sb_expand_ints(&axes, x, &axis, 1));
    return sb_expand_node(output, x, op, (uint32_t[]){a, axes}, 2, &attr,
                          strncmp(op, "Reduce", 6) == 0 ? 1 : 0);
}

static const struct sb_value *input(const struct sb_expansion *x, uint32_t index)
{
    return &x->graph->values[x->origin->inputs[index]];
}

static uint32_t columns_of(const struct sb_value *v)
{
    return v->array.shape.dims[v->array.shape.rank - 1];
}

static bool is_used(const struct sb_graph_node *n, uint32_t output)
{
    return output < n->output_count && n->outputs[output] != SB_NO_VALUE;
}

/* ---- support vector machines ---- */

/* sum over columns of (x - vector)^2, for each vector: [B, vectors]. */
static sb_err square_distances(uint32_t *ret, struct sb_expansion *x, uint32_t rows,
                               const struct sb_svm *s)
{
    uint32_t vectors = 0;
    uint32_t wide = SB_NO_VALUE;
    uint32_t difference = SB_NO_VALUE;
    SB_TRY(matrix(&vectors, x, s->vector_count, s->features, s->vectors));
    SB_TRY(along(&wide, x, "Unsqueeze", rows, 1, false));
    SB_TRY(pair(&difference, x, "Sub", wide, vectors));
    return along(ret, x, "ReduceSumSquare", difference, 2, false);
}

/* gamma * x . vector + coef0, for each vector. */
static sb_err scaled_products(uint32_t *ret, struct sb_expansion *x, uint32_t rows,
                              const struct sb_svm *s)
{
    uint32_t w = 0;
    uint32_t bias = 0;
    struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)s->vector_count}};
    SB_TRY(matrix(&w, x, s->vector_count, s->features, s->vectors));
    SB_TRY(sb_expand_const(&bias, x, SB_ELEM_FLOAT, &shape, NULL));
    for (uint64_t i = 0; i < s->vector_count * s->features; i++) {
        x->graph->values[w].array.data[i] *= s->gamma;
    }
    for (uint64_t i = 0; i < s->vector_count; i++) {
        x->graph->values[bias].array.data[i] = s->coef0;
    }
    return gemm(ret, x, rows, w, bias);
}

static sb_err kernel_values(uint32_t *ret, struct sb_expansion *x, uint32_t rows,
                            const struct sb_svm *s)
{
    uint32_t z = SB_NO_VALUE;
    if (s->kernel == SB_SVM_RBF) {
        uint32_t factor = 0;
        uint32_t scaled = SB_NO_VALUE;
        SB_TRY(square_distances(&z, x, rows, s));
        SB_TRY(scalar(&factor, x, SB_ELEM_FLOAT, -s->gamma));
        SB_TRY(pair(&scaled, x, "Mul", z, factor));
        return one(ret, x, "Exp", scaled);
    }
    SB_TRY(scaled_products(&z, x, rows, s));
    if (s->kernel == SB_SVM_SIGMOID) {
        return one(ret, x, "Tanh", z);
    }
    uint32_t power = z;
    for (uint32_t i = 1; i < s->degree; i++) {
        uint32_t next = SB_NO_VALUE;
        SB_TRY(pair(&next, x, "Mul", power, z));
        power = next;
    }
    *ret = power;
    return SB_OK;
}

/* All scores [B, score_count]. A linear kernel is folded into the weights. */
static sb_err svm_scores(uint32_t *output, struct sb_expansion *x, uint32_t rows,
                         const struct sb_svm *s)
{
    uint32_t w = 0;
    uint32_t rho = 0;
    SB_TRY(vector(&rho, x, SB_ELEM_FLOAT, s->rho, s->score_count));
    if (s->kernel == SB_SVM_LINEAR) {
        SB_TRY(matrix(&w, x, s->score_count, s->features, NULL));
        double *sum = x->graph->values[w].array.data;
        for (uint64_t i = 0; i < s->score_count * s->vector_count; i++) {
            const double *from = s->vectors + i % s->vector_count * s->features;
            for (uint64_t f = 0; f < s->features; f++) {
                sum[i / s->vector_count * s->features + f] += s->weights[i] * from[f];
            }
        }
        return gemm(output, x, rows, w, rho);
    }
    uint32_t kernel = SB_NO_VALUE;
    SB_TRY(kernel_values(&kernel, x, rows, s));
    SB_TRY(matrix(&w, x, s->score_count, s->vector_count, s->weights));
    return gemm(output, x, kernel, w, rho);
}

/* A 1 in [1, scores, classes] for the class that a positive, or another, score votes for. */
static sb_err vote_table(uint32_t *ret, struct sb_expansion *x, const struct sb_svm *s,
                         bool positive)
{
    struct sb_shape shape = {.rank = 3,
                             .dims = {1, (uint32_t)s->score_count, (uint32_t)s->class_count}};
    SB_TRY(sb_expand_const(ret, x, SB_ELEM_INT32, &shape, NULL));
    for (uint64_t i = 0; i < s->score_count; i++) {
        struct sb_svm_pair p = sb_svm_pair_of(s, i);
        uint64_t to = positive ? p.positive : p.negative;
        x->graph->values[*ret].array.data[i * s->class_count + to] = 1;
    }
    return SB_OK;
}

/* The label of the class with most votes. */
static sb_err svm_label(struct sb_expansion *x, uint32_t scores, const struct sb_svm *s)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_attr attrs[] = {sb_attr_int("axis", 1), sb_attr_int("keepdims", 0)};
    uint32_t zero = 0;
    uint32_t tables[2] = {0};
    uint32_t positive = SB_NO_VALUE;
    uint32_t wide = SB_NO_VALUE;
    uint32_t votes = SB_NO_VALUE;
    uint32_t sums = SB_NO_VALUE;
    uint32_t best = s->labels == NULL ? n->outputs[0] : SB_NO_VALUE;
    SB_TRY(scalar(&zero, x, SB_ELEM_FLOAT, 0));
    SB_TRY(pair(&positive, x, "Greater", scores, zero));
    SB_TRY(along(&wide, x, "Unsqueeze", positive, 2, false));
    SB_TRY(vote_table(&tables[0], x, s, true));
    SB_TRY(vote_table(&tables[1], x, s, false));
    SB_TRY(
        sb_expand_node(&votes, x, "Where", (uint32_t[]){wide, tables[0], tables[1]}, 3, NULL, 0));
    SB_TRY(along(&sums, x, "ReduceSum", votes, 1, false));
    SB_TRY(sb_expand_node(&best, x, "ArgMax", &sums, 1, attrs, 2));
    if (s->labels == NULL) {
        return SB_OK;
    }
    uint32_t labels = 0;
    uint32_t y = n->outputs[0];
    SB_TRY(sb_expand_ints(&labels, x, s->labels, s->class_count));
    return pair(&y, x, "Gather", labels, best);
}

/* Of two classes: -s and s; with probabilities the sigmoid of -(a s + b) and of a s + b. */
static sb_err svm_both_classes(struct sb_expansion *x, uint32_t score, const struct sb_svm *s)
{
    const double a = s->prob_a != NULL ? s->prob_a[0] : 1;
    const double b = s->prob_a != NULL ? s->prob_b[0] : 0;
    uint32_t y = x->origin->outputs[1];
    uint32_t factor = 0;
    uint32_t term = 0;
    uint32_t scaled = SB_NO_VALUE;
    uint32_t sum = s->prob_a != NULL ? SB_NO_VALUE : y;
    SB_TRY(vector(&factor, x, SB_ELEM_FLOAT, (double[]){-a, a}, 2));
    SB_TRY(vector(&term, x, SB_ELEM_FLOAT, (double[]){-b, b}, 2));
    SB_TRY(pair(&scaled, x, "Mul", score, factor));
    SB_TRY(pair(&sum, x, "Add", scaled, term));
    return s->prob_a != NULL ? one(&y, x, "Sigmoid", sum) : SB_OK;
}

static sb_err expand_svm_classifier(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_svm s;
    SB_TRY(sb_svm_read(&s, n, columns_of(input(x, 0)), x->graph->memory, x->diag));
    bool all = is_used(n, 1) && s.class_count > 2; /* output 1 is the scores themselves */
    uint32_t scores = all ? n->outputs[1] : SB_NO_VALUE;
    SB_TRY(svm_scores(&scores, x, n->inputs[0], &s));
    if (is_used(n, 1) && !all) {
        SB_TRY(svm_both_classes(x, scores, &s));
    }
    return is_used(n, 0) ? svm_label(x, scores, &s) : SB_OK;
}

static sb_err expand_svm_regressor(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_svm s;
    uint32_t y = n->outputs[0];
    SB_TRY(sb_svm_read(&s, n, columns_of(input(x, 0)), x->graph->memory, x->diag));
    if (!s.one_class) {
        return svm_scores(&y, x, n->inputs[0], &s);
    }
    uint32_t score = SB_NO_VALUE;
    uint32_t positive = SB_NO_VALUE;
    uint32_t constants[3] = {0};
    SB_TRY(svm_scores(&score, x, n->inputs[0], &s));
    for (int i = 0; i < 3; i++) {
        SB_TRY(scalar(&constants[i], x, SB_ELEM_FLOAT, i - 1));
    }
    SB_TRY(pair(&positive, x, "Greater", score, constants[1]));
    return sb_expand_node(&y, x, "Where", (uint32_t[]){positive, constants[2], constants[0]}, 3,
                          NULL, 0);
}

/* ---- encoders ---- */

static sb_err cast(uint32_t *output, struct sb_expansion *x, uint32_t a, enum sb_elem elem)
{
    struct sb_attr to = sb_attr_int("to", (int64_t)elem);
    return sb_expand_node(output, x, "Cast", &a, 1, &to, 1);
}

static sb_err expand_binarizer(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t threshold = 0;
    uint32_t flag = SB_NO_VALUE;
    uint32_t y = n->outputs[0];
    SB_TRY(scalar(&threshold, x, input(x, 0)->elem, sb_graph_attr_float(n, "threshold", 0)));
    SB_TRY(pair(&flag, x, "Greater", n->inputs[0], threshold));
    return cast(&y, x, flag, input(x, 0)->elem);
}

/* What is not a number cannot reach a model of integers: then nothing is missing. */
static sb_err expand_imputer(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    enum sb_elem elem = input(x, 0)->elem;
    struct sb_imputer m;
    uint32_t y = n->outputs[0];
    SB_TRY(sb_imputer_read(&m, n, columns_of(input(x, 0)), x->graph->memory, x->diag));
    if (isnan(m.missing)) {
        return one(&y, x, "Identity", n->inputs[0]);
    }
    uint32_t missing = 0;
    uint32_t values = 0;
    uint32_t flag = SB_NO_VALUE;
    SB_TRY(scalar(&missing, x, elem, m.missing));
    SB_TRY(vector(&values, x, elem, m.values, m.value_count));
    SB_TRY(pair(&flag, x, "Equal", n->inputs[0], missing));
    return sb_expand_node(&y, x, "Where", (uint32_t[]){flag, values, n->inputs[0]}, 3, NULL, 0);
}

/* Equal to each of the keys: [.., keys]. */
static sb_err match(uint32_t *ret, struct sb_expansion *x, const double *keys, size_t count)
{
    uint32_t list = 0;
    uint32_t wide = SB_NO_VALUE;
    SB_TRY(vector(&list, x, input(x, 0)->elem, keys, count));
    SB_TRY(along(&wide, x, "Unsqueeze", x->origin->inputs[0], -1, false));
    return pair(ret, x, "Equal", wide, list);
}

static sb_err expand_one_hot_encoder(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    size_t count = 0;
    const int64_t *cats = sb_graph_attr_ints(&count, n, "cats_int64s");
    double *keys = sb_arena_array(x->graph->memory, count, sizeof *keys);
    uint32_t flag = SB_NO_VALUE;
    uint32_t y = n->outputs[0];
    if (cats == NULL || keys == NULL) {
        return sb_pass_nomem(x->diag); /* categories of text are refused by the reference */
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = (double)cats[i];
    }
    SB_TRY(match(&flag, x, keys, count));
    return cast(&y, x, flag, SB_ELEM_FLOAT);
}

/* absent + sum over the keys that match of value - absent: at most one matches. */
static sb_err expand_label_encoder(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    enum sb_elem elem = x->graph->values[n->outputs[0]].elem;
    struct sb_label_map m;
    uint32_t flag = SB_NO_VALUE;
    uint32_t steps = 0;
    uint32_t zero = 0;
    uint32_t absent = 0;
    uint32_t picked = SB_NO_VALUE;
    uint32_t sum = SB_NO_VALUE;
    uint32_t y = n->outputs[0];
    SB_TRY(sb_label_map_read(&m, n, x->graph->memory, x->diag));
    SB_TRY(match(&flag, x, m.keys, m.count));
    SB_TRY(vector(&steps, x, elem, m.values, m.count));
    for (size_t i = 0; i < m.count; i++) {
        x->graph->values[steps].array.data[i] -= m.absent;
    }
    SB_TRY(scalar(&zero, x, elem, 0));
    SB_TRY(scalar(&absent, x, elem, m.absent));
    SB_TRY(sb_expand_node(&picked, x, "Where", (uint32_t[]){flag, steps, zero}, 3, NULL, 0));
    SB_TRY(along(&sum, x, "ReduceSum", picked, -1, false));
    return pair(&y, x, "Add", sum, absent);
}

/* ---- columns ---- */

/* Gather along the last axis, the indices as one list. */
static sb_err expand_array_feature_extractor(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_value *y = &x->graph->values[n->outputs[0]];
    struct sb_attr axis = sb_attr_int("axis", -1);
    uint32_t list = SB_NO_VALUE;
    uint32_t picked = SB_NO_VALUE;
    uint32_t out = n->outputs[0];
    struct sb_shape flat = {.rank = 1, .dims = {(uint32_t)sb_array_count(&input(x, 1)->array)}};
    SB_TRY(sb_expand_reshape(&list, x, n->inputs[1], &flat));
    SB_TRY(sb_expand_node(&picked, x, "Gather", (uint32_t[]){n->inputs[0], list}, 2, &axis, 1));
    return sb_expand_reshape(&out, x, picked, &y->array.shape);
}

static sb_err expand_feature_vectorizer(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct sb_attr axis = sb_attr_int("axis", 1);
    uint32_t y = n->outputs[0];
    uint32_t in[SB_GRAPH_OPERANDS_MAX];
    for (uint32_t i = 0; i < n->input_count; i++) {
        in[i] = n->inputs[i];
        if (sb_elem_is_exact(input(x, i)->elem)) {
            in[i] = SB_NO_VALUE;
            SB_TRY(cast(&in[i], x, n->inputs[i], SB_ELEM_FLOAT));
        }
    }
    return sb_expand_node(&y, x, "Concat", in, n->input_count, &axis, 1);
}

/* x / max(norm, tiny). */
static sb_err expand_normalizer(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const char *norm = sb_graph_attr_string(n, "norm", "MAX");
    bool max = norm[0] == 'M';
    uint32_t elements = n->inputs[0];
    uint32_t length = SB_NO_VALUE;
    uint32_t least = 0;
    uint32_t divisor = SB_NO_VALUE;
    uint32_t y = n->outputs[0];
    if (max) {
        elements = SB_NO_VALUE;
        SB_TRY(one(&elements, x, "Abs", n->inputs[0]));
    }
    SB_TRY(along(&length, x,
                 max              ? "ReduceMax"
                 : norm[1] == '2' ? "ReduceL2"
                                  : "ReduceL1",
                 elements, -1, true));
    SB_TRY(scalar(&least, x, SB_ELEM_FLOAT, NORM_MIN));
    SB_TRY(pair(&divisor, x, "Max", length, least));
    return pair(&y, x, "Div", n->inputs[0], divisor);
}

/* Distances of each row to each point: differences [points, rows, columns], summed over the columns. */
static sb_err expand_scan(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    bool squares = strcmp(sb_graph_attr_string(n, "body", ""), "sqeuclidean") == 0;
    uint32_t wide = SB_NO_VALUE;
    uint32_t difference = SB_NO_VALUE;
    uint32_t state = n->outputs[0];
    uint32_t y = n->outputs[1];
    if (is_used(n, 0)) {
        SB_TRY(one(&state, x, "Identity", n->inputs[0]));
    }
    SB_TRY(along(&wide, x, "Unsqueeze", n->inputs[1], 1, false));
    SB_TRY(pair(&difference, x, "Sub", n->inputs[0], wide));
    return along(&y, x, squares ? "ReduceSumSquare" : "ReduceL1", difference, 2, false);
}

sb_err sb_expand_classic(bool *ret_done, struct sb_expansion *x)
{
    *ret_done = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_ARRAY_FEATURE_EXTRACTOR:
        return expand_array_feature_extractor(x);
    case SB_ONNX_BINARIZER:
        return expand_binarizer(x);
    case SB_ONNX_FEATURE_VECTORIZER:
        return expand_feature_vectorizer(x);
    case SB_ONNX_IMPUTER:
        return expand_imputer(x);
    case SB_ONNX_LABEL_ENCODER:
        return expand_label_encoder(x);
    case SB_ONNX_NORMALIZER:
        return expand_normalizer(x);
    case SB_ONNX_ONE_HOT_ENCODER:
        return expand_one_hot_encoder(x);
    case SB_ONNX_SCAN:
        return expand_scan(x);
    case SB_ONNX_SVM_CLASSIFIER:
        return expand_svm_classifier(x);
    case SB_ONNX_SVM_REGRESSOR:
        return expand_svm_regressor(x);
    default:
        *ret_done = false;
        return SB_OK;
    }
}
