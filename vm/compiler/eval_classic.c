/* eval_classic.c: the float reference: support vector machines, encoders and other small operators of ai.onnx.ml. See eval.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/classic.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/svm.h"

static sb_err rows_of(uint64_t *ret_rows, uint64_t *ret_columns, const struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    if (x->rank < 1 || x->rank > 2 || sb_array_count(e->in[0]) == 0) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the input is not a table of rows");
    }
    *ret_rows = x->rank == 2 ? x->dims[0] : 1;
    *ret_columns = x->dims[x->rank - 1];
    return SB_OK;
}

static struct sb_shape table(uint64_t rows, uint64_t columns)
{
    return (struct sb_shape){.rank = 2, .dims = {(uint32_t)rows, (uint32_t)columns}};
}

/* ---- support vector machines ---- */

sb_err sb_eval_svm_regressor(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct sb_svm svm;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(sb_svm_read(&svm, e->node, columns, e->memory, e->diag));
    struct sb_shape shape = table(rows, 1);
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t r = 0; r < rows; r++) {
        double *y = &e->out[0].data[r];
        sb_svm_scores(y, &svm, e->in[0]->data + r * columns);
        *y = !svm.one_class ? *y : *y > 0 ? 1 : -1;
    }
    return SB_OK;
}

/* Scores of pairs; of two classes, -s and s, or their probabilities. */
sb_err sb_eval_svm_classifier(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct sb_svm svm;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(sb_svm_read(&svm, e->node, columns, e->memory, e->diag));
    bool binary = svm.class_count == 2;
    if (svm.prob_a != NULL && !binary && e->node->output_count > 1 &&
        e->node->outputs[1] != SB_NO_VALUE) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "probabilities of more than two classes; export without them "
                             "(probability=False), or only the label");
    }
    struct sb_shape labels = {.rank = 1, .dims = {(uint32_t)rows}};
    struct sb_shape shape = table(rows, binary ? 2 : svm.score_count);
    double *scores = sb_arena_array(e->memory, svm.score_count, sizeof *scores);
    SB_TRY(sb_eval_alloc(e, 0, &labels));
    SB_TRY(sb_eval_alloc(e, 1, &shape));
    if (scores == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for scores");
    }
    for (uint64_t r = 0; r < rows; r++) {
        double *y = e->out[1].data + r * shape.dims[1];
        sb_svm_scores(scores, &svm, e->in[0]->data + r * columns);
        uint64_t best = sb_svm_class(&svm, scores);
        e->out[0].data[r] = svm.labels != NULL ? (double)svm.labels[best] : (double)best;
        if (!binary) {
            memcpy(y, scores, svm.score_count * sizeof *scores);
            continue;
        }
        double p = svm.prob_a == NULL ? scores[0] : svm.prob_a[0] * scores[0] + svm.prob_b[0];
        y[0] = svm.prob_a == NULL ? -p : 1 / (1 + exp(p));
        y[1] = svm.prob_a == NULL ? p : 1 / (1 + exp(-p));
    }
    return SB_OK;
}

/* ---- encoders ---- */

sb_err sb_eval_binarizer(struct sb_eval *e)
{
    double threshold = sb_graph_attr_float(e->node, "threshold", 0);
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    for (uint64_t i = 0; i < sb_array_count(e->in[0]); i++) {
        e->out[0].data[i] = e->in[0]->data[i] > threshold ? 1 : 0;
    }
    return SB_OK;
}

sb_err sb_eval_imputer(struct sb_eval *e)
{
    struct sb_imputer m;
    uint64_t rows = 0;
    uint64_t columns = 0;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(sb_imputer_read(&m, e->node, columns, e->memory, e->diag));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    for (uint64_t i = 0; i < rows * columns; i++) {
        double x = e->in[0]->data[i];
        double value = m.values[m.value_count == 1 ? 0 : i % columns];
        e->out[0].data[i] = x == m.missing || (isnan(x) && isnan(m.missing)) ? value : x;
    }
    return SB_OK;
}

sb_err sb_eval_one_hot_encoder(struct sb_eval *e)
{
    size_t count = 0;
    const int64_t *cats = sb_graph_attr_ints(&count, e->node, "cats_int64s");
    const struct sb_shape *x = &e->in[0]->shape;
    if (cats == NULL || x->rank == SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "categories that are not integers; encode them before the model");
    }
    struct sb_shape shape = *x;
    shape.dims[shape.rank++] = (uint32_t)count;
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t i = 0; i < sb_array_count(e->in[0]) * count; i++) {
        e->out[0].data[i] = e->in[0]->data[i / count] == (double)cats[i % count] ? 1 : 0;
    }
    return SB_OK;
}

sb_err sb_eval_label_encoder(struct sb_eval *e)
{
    struct sb_label_map m;
    SB_TRY(sb_label_map_read(&m, e->node, e->memory, e->diag));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    for (uint64_t i = 0; i < sb_array_count(e->in[0]); i++) {
        double y = m.absent;
        for (size_t k = m.count; k-- > 0;) {
            y = e->in[0]->data[i] == m.keys[k] ? m.values[k] : y;
        }
        e->out[0].data[i] = y;
    }
    return SB_OK;
}

/* ---- columns ---- */

sb_err sb_eval_array_feature_extractor(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    uint64_t count = sb_array_count(e->in[1]);
    struct sb_shape shape = *x;
    if (x->rank == 0 || count == 0) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "no columns");
    }
    uint64_t columns = x->dims[x->rank - 1];
    shape.dims[x->rank - 1] = (uint32_t)count;
    if (x->rank == 1) {
        shape = table(1, count);
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t i = 0; i < sb_shape_count(&shape); i++) {
        double column = e->in[1]->data[i % count];
        if (!(column >= 0 && column < (double)columns)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "column %g of %" PRIu64, column,
                                 columns);
        }
        e->out[0].data[i] = e->in[0]->data[i / count * columns + (uint64_t)column];
    }
    return SB_OK;
}

sb_err sb_eval_feature_vectorizer(struct sb_eval *e)
{
    size_t given = 0;
    const int64_t *widths = sb_graph_attr_ints(&given, e->node, "inputdimensions");
    uint64_t rows = 0;
    uint64_t first = 0;
    uint64_t total = 0;
    SB_TRY(rows_of(&rows, &first, e));
    for (uint32_t k = 0; k < e->node->input_count; k++) {
        const struct sb_shape *x = &e->in[k]->shape;
        if (x->rank != 2 || x->dims[0] != rows ||
            (widths != NULL && (k >= given || widths[k] != x->dims[1]))) {
            return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                                 "inputs that are not [B, inputdimensions]");
        }
        total += x->dims[1];
    }
    struct sb_shape shape = table(rows, total);
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    double *y = e->out[0].data;
    for (uint64_t r = 0; r < rows; r++) {
        for (uint32_t k = 0; k < e->node->input_count; k++) {
            uint64_t width = e->in[k]->shape.dims[1];
            memcpy(y, e->in[k]->data + r * width, width * sizeof *y);
            y += width;
        }
    }
    return SB_OK;
}

sb_err sb_eval_normalizer(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    const char *norm = sb_graph_attr_string(e->node, "norm", "MAX");
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = e->in[0]->data + r * columns;
        double n = 0;
        for (uint64_t i = 0; i < columns; i++) {
            n = norm[0] == 'M' ? fmax(n, fabs(x[i]))
                               : n + (norm[1] == '2' ? x[i] * x[i] : fabs(x[i]));
        }
        n = norm[0] != 'M' && norm[1] == '2' ? sqrt(n) : n;
        for (uint64_t i = 0; i < columns; i++) {
            e->out[0].data[r * columns + i] = n != 0 ? x[i] / n : x[i];
        }
    }
    return SB_OK;
}

/* ---- distances ---- */

/* Scan with the body of a distance: output 0 is the table x as it is, output 1 [points, rows] its distances to the points. */
sb_err sb_eval_scan(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *points = &e->in[1]->shape;
    bool squares = strcmp(sb_graph_attr_string(e->node, "body", ""), "sqeuclidean") == 0;
    if (x->rank != 2 || points->rank != 2 || x->dims[1] != points->dims[1] ||
        e->node->output_count != 2) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "a loop that is not over two tables of the same columns");
    }
    struct sb_shape shape = table(points->dims[0], x->dims[0]);
    SB_TRY(sb_eval_alloc(e, 0, x));
    SB_TRY(sb_eval_alloc(e, 1, &shape));
    memcpy(e->out[0].data, e->in[0]->data, sb_array_count(e->in[0]) * sizeof(double));
    for (uint64_t i = 0; i < sb_shape_count(&shape); i++) {
        const double *point = e->in[1]->data + i / x->dims[0] * x->dims[1];
        const double *row = e->in[0]->data + i % x->dims[0] * x->dims[1];
        double sum = 0;
        for (uint32_t f = 0; f < x->dims[1]; f++) {
            double d = row[f] - point[f];
            sum += squares ? d * d : fabs(d);
        }
        e->out[1].data[i] = sum;
    }
    return SB_OK;
}
