/* eval_ml.c: the float reference: classical models of ai.onnx.ml. Labels are numbers: those of classlabels_int64s, or the index of a string
 * label. See eval.h. */
#include <inttypes.h>
#include <math.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/trees.h"

static sb_err rows_of(uint64_t *ret_rows, uint64_t *ret_columns, struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    if (x->rank < 1 || x->rank > 2 || sb_array_count(e->in[0]) == 0) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the input is not a table of rows");
    }
    *ret_rows = x->rank == 2 ? x->dims[0] : 1;
    *ret_columns = x->dims[x->rank - 1];
    return SB_OK;
}

static void post_transform(double *scores, uint64_t count, enum sb_post_transform post)
{
    double top = scores[0];
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        top = fmax(top, scores[i]);
    }
    for (uint64_t i = 0; i < count; i++) {
        scores[i] = post == SB_POST_LOGISTIC  ? 1 / (1 + exp(-scores[i]))
                    : post == SB_POST_SOFTMAX ? exp(scores[i] - top)
                                              : scores[i];
        sum += scores[i];
    }
    for (uint64_t i = 0; post == SB_POST_SOFTMAX && i < count; i++) {
        scores[i] /= sum;
    }
}

/* The label of the greatest score; the lowest index on a tie. */
static double label_of(const struct sb_graph_node *node, const double *scores, uint64_t count)
{
    size_t labels = 0;
    const int64_t *ints = sb_graph_attr_ints(&labels, node, "classlabels_int64s");
    ints = ints == NULL ? sb_graph_attr_ints(&labels, node, "classlabels_ints") : ints;
    uint64_t best = 0;
    for (uint64_t i = 1; i < count; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best < labels ? (double)ints[best] : (double)best;
}

static sb_err alloc_classifier(struct sb_eval *e, uint64_t rows, uint64_t classes)
{
    SB_TRY(sb_eval_alloc(e, 0, &(struct sb_shape){.rank = 1, .dims = {(uint32_t)rows}}));
    return sb_eval_alloc(
        e, 1, &(struct sb_shape){.rank = 2, .dims = {(uint32_t)rows, (uint32_t)classes}});
}

static sb_err read_trees(struct sb_trees *ret, struct sb_eval *e, uint64_t columns)
{
    SB_TRY(sb_trees_read(ret, e->node, e->memory, e->diag));
    if (ret->feature_max >= (int64_t)columns) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "a test of feature %" PRId64 " of a row of %" PRIu64, ret->feature_max,
                             columns);
    }
    return SB_OK;
}

sb_err sb_eval_tree_regressor(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct sb_trees trees;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(read_trees(&trees, e, columns));
    struct sb_shape shape = {.rank = 2, .dims = {(uint32_t)rows, trees.class_count}};
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t r = 0; r < rows; r++) {
        double *y = e->out[0].data + r * trees.class_count;
        sb_trees_sums(y, &trees, e->in[0]->data + r * columns);
        post_transform(y, trees.class_count, trees.post);
    }
    return SB_OK;
}

sb_err sb_eval_tree_classifier(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct sb_trees trees;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(read_trees(&trees, e, columns));
    SB_TRY(alloc_classifier(e, rows, trees.class_count));
    for (uint64_t r = 0; r < rows; r++) {
        double *y = e->out[1].data + r * trees.class_count;
        sb_trees_sums(y, &trees, e->in[0]->data + r * columns);
        e->out[0].data[r] = label_of(e->node, y, trees.class_count);
        post_transform(y, trees.class_count, trees.post);
    }
    return SB_OK;
}

/* y[c] = intercept[c] + sum_f coefficient[c][f] * x[f]. */
struct linear {
    const double *coefficients;
    const double *intercepts; /* NULL: 0 */
    uint64_t outputs;
};

static sb_err read_linear(struct linear *ret, struct sb_eval *e, uint64_t columns)
{
    size_t count = 0;
    size_t intercepts = 0;
    struct linear l = {
        .coefficients = sb_graph_attr_floats(&count, e->node, "coefficients"),
        .intercepts = sb_graph_attr_floats(&intercepts, e->node, "intercepts"),
    };
    l.outputs = count / columns;
    if (count == 0 || count % columns != 0 || (intercepts != 0 && intercepts != l.outputs)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "%zu coefficients and %zu intercepts do not fit %" PRIu64 " features",
                             count, intercepts, columns);
    }
    *ret = l;
    return SB_OK;
}

static void apply_linear(double *y, const struct linear *l, const double *x, uint64_t columns)
{
    for (uint64_t c = 0; c < l->outputs; c++) {
        y[c] = l->intercepts != NULL ? l->intercepts[c] : 0;
        for (uint64_t f = 0; f < columns; f++) {
            y[c] += l->coefficients[c * columns + f] * x[f];
        }
    }
}

sb_err sb_eval_linear_regressor(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct linear l;
    enum sb_post_transform post;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(read_linear(&l, e, columns));
    SB_TRY(sb_post_transform_of(&post, e->node, e->diag));
    struct sb_shape shape = {.rank = 2, .dims = {(uint32_t)rows, (uint32_t)l.outputs}};
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t r = 0; r < rows; r++) {
        apply_linear(e->out[0].data + r * l.outputs, &l, e->in[0]->data + r * columns, columns);
        post_transform(e->out[0].data + r * l.outputs, l.outputs, post);
    }
    return SB_OK;
}

sb_err sb_eval_linear_classifier(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    struct linear l;
    enum sb_post_transform post;
    SB_TRY(rows_of(&rows, &columns, e));
    SB_TRY(read_linear(&l, e, columns));
    SB_TRY(sb_post_transform_of(&post, e->node, e->diag));
    if (l.outputs < 2) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "one row of coefficients for two classes; export one row a class");
    }
    SB_TRY(alloc_classifier(e, rows, l.outputs));
    for (uint64_t r = 0; r < rows; r++) {
        double *y = e->out[1].data + r * l.outputs;
        apply_linear(y, &l, e->in[0]->data + r * columns, columns);
        e->out[0].data[r] = label_of(e->node, y, l.outputs);
        post_transform(y, l.outputs, post);
    }
    return SB_OK;
}

sb_err sb_eval_scaler(struct sb_eval *e)
{
    uint64_t rows = 0;
    uint64_t columns = 0;
    size_t offsets = 0;
    size_t scales = 0;
    const double *offset = sb_graph_attr_floats(&offsets, e->node, "offset");
    const double *scale = sb_graph_attr_floats(&scales, e->node, "scale");
    SB_TRY(rows_of(&rows, &columns, e));
    if ((offsets != 1 && offsets != columns) || (scales != 1 && scales != columns)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "%zu offsets and %zu scales for %" PRIu64 " features", offsets, scales,
                             columns);
    }
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    for (uint64_t i = 0; i < rows * columns; i++) {
        double o = offset[offsets == 1 ? 0 : i % columns];
        double s = scale[scales == 1 ? 0 : i % columns];
        e->out[0].data[i] = (e->in[0]->data[i] - o) * s;
    }
    return SB_OK;
}
