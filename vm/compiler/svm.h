/* svm.h: a support vector machine of ai.onnx.ml, read from a node's attributes.
 *
 *     classifier   a score for each pair of classes i < j: rho + sum of coefficients over the vectors of i and j; each is a vote
 *     regressor    one score over all vectors; linear without vectors */
#ifndef SB_VM_COMPILER_SVM_H
#define SB_VM_COMPILER_SVM_H

#include "vm/compiler/graph.h"

enum sb_svm_kernel {
    SB_SVM_LINEAR,
    SB_SVM_POLY,
    SB_SVM_RBF,
    SB_SVM_SIGMOID,
};

struct sb_svm {
    enum sb_svm_kernel kernel;
    double gamma;
    double coef0;
    uint32_t degree;
    uint64_t features;
    uint64_t vector_count;
    const double *vectors; /* [vector_count][features] */
    uint64_t class_count;  /* classifiers: at least 2; regressors: 0 */
    uint64_t score_count;  /* classifiers: pairs of classes; regressors: 1 */
    double *weights;       /* [score_count][vector_count] */
    const double *rho;     /* [score_count] */
    const double *prob_a;  /* [score_count], or NULL: no probabilities */
    const double *prob_b;
    const int64_t *labels; /* [class_count], or NULL: the index */
    bool one_class;        /* regressors: the result is the sign, -1 or 1 */
};

/* sb_svm_read: from an SVMClassifier or SVMRegressor over rows of this many features. Memory is the arena's.
 * Returns 0, SB_E_SHAPE, SB_E_UNSUPPORTED or SB_E_NOMEM. */
sb_err sb_svm_read(struct sb_svm *ret, const struct sb_graph_node *node, uint64_t features,
                   struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

/* sb_svm_scores: ret_scores [score_count] of one row. */
void sb_svm_scores(double *ret_scores, const struct sb_svm *svm, const double *x);

/* sb_svm_class: the class with most votes, the lowest on a tie; below class_count. */
uint64_t sb_svm_class(const struct sb_svm *svm, const double *scores);

/* sb_svm_pair: the classes that score number `score` decides between. */
struct sb_svm_pair {
    uint64_t positive;
    uint64_t negative;
};
struct sb_svm_pair sb_svm_pair_of(const struct sb_svm *svm, uint64_t score);

#endif
