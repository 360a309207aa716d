/* svm.c: see svm.h. */
#include "vm/compiler/svm.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/util/checked.h"
#include "vm/compiler/onnx_ops.h"

#define CLASSES_MAX 256
#define DEGREE_MAX  16

static sb_err read_kernel(struct sb_svm *s, const struct sb_graph_node *node, struct sb_diag *diag)
{
    static const char *const k_names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const char *name = sb_graph_attr_string(node, "kernel_type", "LINEAR");
    size_t count = 0;
    const double *params = sb_graph_attr_floats(&count, node, "kernel_params");
    size_t i = 0;
    while (i < 4 && strcmp(name, k_names[i]) != 0) {
        i++;
    }
    if (i == 4 || (i != SB_SVM_LINEAR && count < 3)) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "kernel '%s' with %zu parameters; LINEAR, POLY, RBF and SIGMOID take "
                             "gamma, coef0 and degree",
                             name, count);
    }
    s->kernel = (enum sb_svm_kernel)i;
    s->gamma = count >= 3 ? params[0] : 0;
    s->coef0 = count >= 3 ? params[1] : 0;
    s->degree = count >= 3 && params[2] >= 1 && params[2] <= DEGREE_MAX ? (uint32_t)params[2] : 0;
    if (s->kernel == SB_SVM_POLY && (s->degree == 0 || (double)s->degree != params[2])) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "a polynomial of degree %g; 1 to %d are supported", params[2],
                             DEGREE_MAX);
    }
    return SB_OK;
}

struct sb_svm_pair sb_svm_pair_of(const struct sb_svm *svm, uint64_t score)
{
    struct sb_svm_pair p = {.positive = 0, .negative = 1};
    for (uint64_t i = 0; i < score; i++) {
        p.negative++;
        if (p.negative == svm->class_count) {
            p.positive++;
            p.negative = p.positive + 1;
        }
    }
    return p;
}

/* coefficients [class_count - 1][vector_count]: row j - 1 of the vectors of class i < j, row i of those of j. */
static sb_err spread_weights(struct sb_svm *s, const struct sb_graph_node *node,
                             const double *coefficients, size_t count, struct sb_arena *memory,
                             struct sb_diag *diag)
{
    size_t classes = 0;
    const int64_t *per_class = sb_graph_attr_ints(&classes, node, "vectors_per_class");
    uint64_t first[CLASSES_MAX + 1] = {0};
    if (classes != s->class_count || classes > CLASSES_MAX) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "%zu classes with support vectors of %" PRIu64 " (at most %d)",
                             classes, s->class_count, CLASSES_MAX);
    }
    for (size_t i = 0; i < classes; i++) {
        if (per_class[i] < 0 || (uint64_t)per_class[i] > s->vector_count) {
            return sb_graph_fail(diag, SB_E_SHAPE, node, "a class has %" PRId64 " vectors",
                                 per_class[i]);
        }
        first[i + 1] = first[i] + (uint64_t)per_class[i];
    }
    if (first[classes] != s->vector_count || count != (classes - 1) * s->vector_count) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "%zu coefficients for %" PRIu64 " vectors",
                             count, s->vector_count);
    }
    s->weights = sb_arena_zalloc(memory, s->score_count * s->vector_count * sizeof *s->weights);
    if (s->weights == NULL) {
        return sb_graph_fail(diag, SB_E_NOMEM, node, "out of memory for the coefficients");
    }
    for (uint64_t score = 0; score < s->score_count; score++) {
        struct sb_svm_pair p = sb_svm_pair_of(s, score);
        double *row = s->weights + score * s->vector_count;
        for (uint64_t v = first[p.positive]; v < first[p.positive + 1]; v++) {
            row[v] = coefficients[(p.negative - 1) * s->vector_count + v];
        }
        for (uint64_t v = first[p.negative]; v < first[p.negative + 1]; v++) {
            row[v] = coefficients[p.positive * s->vector_count + v];
        }
    }
    return SB_OK;
}

static sb_err read_classifier(struct sb_svm *s, const struct sb_graph_node *node,
                              struct sb_arena *memory, struct sb_diag *diag)
{
    size_t count = 0;
    size_t labels = 0;
    size_t a = 0;
    size_t b = 0;
    const double *coefficients = sb_graph_attr_floats(&count, node, "coefficients");
    const struct sb_attr *strings = sb_graph_attr(node, "classlabels_strings");
    s->labels = sb_graph_attr_ints(&labels, node, "classlabels_ints");
    s->class_count = s->labels != NULL ? labels : strings != NULL ? strings->count : 0;
    if (s->class_count < 2 || s->class_count > CLASSES_MAX) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "%" PRIu64 " classes", s->class_count);
    }
    s->score_count = s->class_count * (s->class_count - 1) / 2;
    s->prob_a = sb_graph_attr_floats(&a, node, "prob_a");
    s->prob_b = sb_graph_attr_floats(&b, node, "prob_b");
    if ((a != 0 || b != 0) && (a != s->score_count || b != s->score_count)) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "prob_a and prob_b do not fit the pairs");
    }
    return spread_weights(s, node, coefficients, count, memory, diag);
}

sb_err sb_svm_read(struct sb_svm *ret, const struct sb_graph_node *node, uint64_t features,
                   struct sb_arena *memory, struct sb_diag *diag)
{
    struct sb_svm s = {.features = features};
    size_t vectors = 0;
    size_t coefficients = 0;
    size_t rhos = 0;
    const double *given = sb_graph_attr_floats(&coefficients, node, "coefficients");
    bool classifies = node->op->id == SB_ONNX_SVM_CLASSIFIER;
    s.vectors = sb_graph_attr_floats(&vectors, node, "support_vectors");
    s.rho = sb_graph_attr_floats(&rhos, node, "rho");
    SB_TRY(read_kernel(&s, node, diag));
    if (strcmp(sb_graph_attr_string(node, "post_transform", "NONE"), "NONE") != 0) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node, "post_transform other than NONE");
    }
    const double one = 1;
    if (vectors == 0 && !classifies) { /* linear: the coefficients are the one vector */
        s.kernel = SB_SVM_LINEAR;
        s.vectors = given;
        vectors = coefficients;
        given = &one;
        coefficients = 1;
    }
    if (vectors == 0 || features == 0 || vectors % features != 0) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "%zu elements of support vectors for %" PRIu64 " features", vectors,
                             features);
    }
    s.vector_count = vectors / features;
    if (classifies) {
        SB_TRY(read_classifier(&s, node, memory, diag));
    } else {
        s.score_count = 1;
        s.one_class = sb_graph_attr_int(node, "one_class", 0) != 0;
        if (coefficients != s.vector_count) {
            return sb_graph_fail(diag, SB_E_SHAPE, node, "%zu coefficients for %" PRIu64 " vectors",
                                 coefficients, s.vector_count);
        }
        s.weights =
            (double *)(void *)sb_arena_dup(memory, sb_span(given, coefficients * sizeof *given));
    }
    if (rhos != s.score_count || s.weights == NULL) {
        return sb_graph_fail(diag, rhos != s.score_count ? SB_E_SHAPE : SB_E_NOMEM, node,
                             "%zu values of rho for %" PRIu64 " scores", rhos, s.score_count);
    }
    *ret = s;
    return SB_OK;
}

static double kernel_of(const struct sb_svm *s, const double *x, const double *vector)
{
    double dot = 0;
    double distance = 0;
    for (uint64_t f = 0; f < s->features; f++) {
        dot += x[f] * vector[f];
        distance += (x[f] - vector[f]) * (x[f] - vector[f]);
    }
    switch (s->kernel) {
    case SB_SVM_POLY:
        return pow(s->gamma * dot + s->coef0, s->degree);
    case SB_SVM_RBF:
        return exp(-s->gamma * distance);
    case SB_SVM_SIGMOID:
        return tanh(s->gamma * dot + s->coef0);
    case SB_SVM_LINEAR:
    default:
        return dot;
    }
}

void sb_svm_scores(double *ret_scores, const struct sb_svm *svm, const double *x)
{
    for (uint64_t i = 0; i < svm->score_count; i++) {
        ret_scores[i] = svm->rho[i];
    }
    for (uint64_t v = 0; v < svm->vector_count; v++) {
        double k = kernel_of(svm, x, svm->vectors + v * svm->features);
        for (uint64_t i = 0; i < svm->score_count; i++) {
            ret_scores[i] += svm->weights[i * svm->vector_count + v] * k;
        }
    }
}

uint64_t sb_svm_class(const struct sb_svm *svm, const double *scores)
{
    uint64_t votes[CLASSES_MAX] = {0};
    uint64_t best = 0;
    for (uint64_t i = 0; i < svm->score_count; i++) {
        struct sb_svm_pair p = sb_svm_pair_of(svm, i);
        votes[scores[i] > 0 ? p.positive : p.negative]++;
    }
    for (uint64_t c = 1; c < svm->class_count; c++) {
        best = votes[c] > votes[best] ? c : best;
    }
    return best;
}
