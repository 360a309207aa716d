/* test_compile.c: small models made here, one for each lowering: the integer model against the float reference on random rows, in each
 * precision; errors of models and options. */
#include "vm/compiler/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "onnx_maker.h"

#define ROWS 64

/* Random rows of n numbers in [lo, hi]. */
static struct sb_dataset random_rows(uint64_t n, double lo, double hi)
{
    struct sb_dataset d = {.row_count = ROWS, .row_elements = n};
    static uint64_t state = 20251122; /* the same rows on every run */
    d.x = malloc(ROWS * n * sizeof *d.x);
    for (uint64_t i = 0; i < ROWS * n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double unit = (double)(state >> 11) / 9007199254740992.0;
        d.x[i] = (double)(float)(lo + (hi - lo) * unit);
    }
    return d;
}

static void fill(float *ret, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ret[i] = (float)((double)(seed >> 40) / 16777216.0 - 0.5);
    }
}

static sb_err compile_as(struct sb_report *report, struct sb_buf *file, struct maker *m,
                         const struct sb_dataset *rows, enum sb_precision precision,
                         struct sb_diag *diag)
{
    struct sb_compile_options options = sb_compile_options_default();
    options.precision = precision;
    return sb_compile(file, report, maker_pack(m), rows, rows, &options, diag);
}

/* Compile and demand that the outputs are within the relative error. */
static void expect_error_below(struct maker *m, const struct sb_dataset *rows,
                               enum sb_precision precision, double limit)
{
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file;
    sb_buf_init(&file, 1 << 20);
    sb_err err = compile_as(&report, &file, m, rows, precision, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s: %s", sb_precision_name(precision), sb_err_name(err), diag.text);
    }
    if (!(report.test.output_error_relative <= limit)) {
        fail_msg("%s: relative error %g, allowed %g", sb_precision_name(precision),
                 report.test.output_error_relative, limit);
    }
    sb_report_fini(&report);
    sb_buf_fini(&file);
}

static void expect_all(struct maker *m, const struct sb_dataset *rows, double i8, double i16,
                       double fx32)
{
    expect_error_below(m, rows, SB_PRECISION_I8, i8);
    expect_error_below(m, rows, SB_PRECISION_I16, i16);
    if (fx32 > 0) {
        expect_error_below(m, rows, SB_PRECISION_FX32, fx32);
    }
}

static void gemm_matmul_and_add_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[64];
    fill(w, 64, 1);
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){0, 8});
    maker_floats(&m, "w", 2, (int64_t[]){8, 4}, w);
    maker_floats(&m, "b", 1, (int64_t[]){4}, w + 32);
    maker_floats(&m, "v", 2, (int64_t[]){3, 4}, w + 40);
    maker_node(&m, "", "MatMul", "x w", "h");
    maker_node(&m, "", "Add", "h b", "a");
    maker_node(&m, "", "Relu", "a", "r");
    maker_node(&m, "", "Gemm", "r v", "y");
    maker_attr_int(&m, "transB", 1);
    maker_attr_float(&m, "alpha", 0.5f);
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(8, -1, 1);
    expect_all(&m, &rows, 0.03, 0.01, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* A grouped, padded, strided convolution over several channels with batch normalisation, ReLU6, pools and a residual. */
static void image_operators_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[200];
    const float one[4] = {1, 0.5f, 2, 1.5f};
    const float bounds[2] = {0, 6};
    fill(w, 200, 2);
    maker_init(&m, 13);
    maker_input(&m, "x", 4, (int64_t[]){1, 2, 6, 5});
    maker_floats(&m, "w", 4, (int64_t[]){4, 1, 3, 3}, w);
    maker_floats(&m, "b", 1, (int64_t[]){4}, w + 40);
    maker_floats(&m, "scale", 1, (int64_t[]){4}, one);
    maker_floats(&m, "mean", 1, (int64_t[]){4}, w + 50);
    maker_floats(&m, "lo", 0, NULL, bounds);
    maker_floats(&m, "hi", 0, NULL, bounds + 1);
    maker_floats(&m, "u", 4, (int64_t[]){4, 4, 1, 1}, w + 60);
    maker_floats(&m, "v", 2, (int64_t[]){12, 3}, w + 80);
    maker_node(&m, "", "Conv", "x w b", "c");
    maker_attr_int(&m, "group", 2);
    maker_attr_ints(&m, "pads", 4, (int64_t[]){1, 1, 1, 0});
    maker_attr_ints(&m, "strides", 2, (int64_t[]){1, 1});
    maker_node(&m, "", "BatchNormalization", "c scale b mean scale", "n");
    maker_node(&m, "", "Clip", "n lo hi", "r");
    maker_node(&m, "", "Conv", "r u", "p");
    maker_node(&m, "", "Add", "p r", "s");
    maker_node(&m, "", "MaxPool", "s", "q");
    maker_attr_ints(&m, "kernel_shape", 2, (int64_t[]){2, 2});
    maker_attr_ints(&m, "strides", 2, (int64_t[]){2, 2});
    maker_node(&m, "", "AveragePool", "q", "k");
    maker_attr_ints(&m, "kernel_shape", 2, (int64_t[]){1, 2});
    maker_node(&m, "", "Flatten", "k", "f");
    maker_node(&m, "", "MatMul", "f v", "y");
    maker_output(&m, "y");
    /* 6 x 5 -> conv 6 x 4 -> pool 3 x 2 -> average 3 x 1: 12 numbers, in the order of channels */
    struct sb_dataset rows = random_rows(60, -1, 1);
    expect_all(&m, &rows, 0.05, 0.02, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* Outputs keep ONNX's layout: an image goes out as [N, C, H, W]. */
static void image_output_keeps_the_order_of_channels(void **state)
{
    (void)state;
    struct maker m;
    float w[12];
    fill(w, 12, 3);
    maker_init(&m, 13);
    maker_input(&m, "x", 4, (int64_t[]){1, 2, 3, 2});
    maker_floats(&m, "w", 4, (int64_t[]){3, 2, 1, 1}, w);
    maker_int64s(&m, "pads", 8, (int64_t[]){0, 0, 1, 0, 0, 1, 0, 2});
    maker_node(&m, "", "Conv", "x w", "c");
    maker_node(&m, "", "Concat", "c x", "k");
    maker_attr_int(&m, "axis", 1);
    maker_node(&m, "", "Pad", "k pads", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(12, -1, 1);
    expect_all(&m, &rows, 0.03, 0.01, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void functions_are_close_to_float(void **state)
{
    (void)state;
    static const char *const ops[] = {"Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Elu", "Exp"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct maker m;
        float w[16];
        fill(w, 16, 4);
        maker_init(&m, 14);
        maker_input(&m, "x", 2, (int64_t[]){1, 4});
        maker_floats(&m, "w", 2, (int64_t[]){4, 4}, w);
        maker_node(&m, "", "MatMul", "x w", "h");
        maker_node(&m, "", ops[i], "h", "a");
        maker_node(&m, "", "MatMul", "a w", "y");
        maker_output(&m, "y");
        struct sb_dataset rows = random_rows(4, -3, 3);
        bool fixed = i < 2 || i == 5;
        expect_all(&m, &rows, 0.04, 0.02, fixed ? 1e-5 : 0);
        sb_dataset_fini(&rows);
        maker_fini(&m);
    }
}

static void softmax_and_sigmoid_outputs_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[12];
    fill(w, 12, 5);
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 4});
    maker_floats(&m, "w", 2, (int64_t[]){4, 3}, w);
    maker_node(&m, "", "MatMul", "x w", "h");
    maker_node(&m, "", "Softmax", "h", "p");
    maker_node(&m, "", "Sigmoid", "h", "q");
    maker_output(&m, "p");
    maker_output(&m, "q");
    struct sb_dataset rows = random_rows(4, -3, 3);
    expect_all(&m, &rows, 0.02, 0.01, 2e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void elementwise_and_shape_operators_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[12];
    fill(w, 12, 6);
    maker_init(&m, 13);
    maker_input(&m, "x", 3, (int64_t[]){1, 3, 4});
    maker_floats(&m, "c", 1, (int64_t[]){4}, w);
    maker_floats(&m, "k", 0, NULL, (float[]){2.5f});
    maker_int64s(&m, "shape", 2, (int64_t[]){0, -1});
    maker_node(&m, "", "Mul", "x c", "a");
    maker_node(&m, "", "Div", "a k", "b");
    maker_node(&m, "", "Sub", "k b", "d");
    maker_node(&m, "", "Mul", "d x", "e");
    maker_node(&m, "", "Transpose", "e", "t");
    maker_attr_ints(&m, "perm", 3, (int64_t[]){0, 2, 1});
    maker_node(&m, "", "Identity", "t", "i");
    maker_node(&m, "", "Reshape", "i shape", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(12, -2, 2);
    expect_all(&m, &rows, 0.03, 0.001, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* ---- classical models ---- */

static void add_trees(struct maker *m, bool classifier)
{
    maker_attr_ints(m, "nodes_treeids", 8, (int64_t[]){0, 0, 0, 0, 0, 1, 1, 1});
    maker_attr_ints(m, "nodes_nodeids", 8, (int64_t[]){0, 1, 2, 3, 4, 0, 1, 2});
    maker_attr_ints(m, "nodes_featureids", 8, (int64_t[]){0, 1, 0, 0, 0, 2, 0, 0});
    maker_attr_floats(m, "nodes_values", 8, (float[]){0.1f, -0.3f, 0, 0, 0, 0.7f, 0, 0});
    maker_attr_strings(m, "nodes_modes", "BRANCH_LEQ BRANCH_GT LEAF LEAF LEAF BRANCH_LT LEAF LEAF");
    maker_attr_ints(m, "nodes_truenodeids", 8, (int64_t[]){1, 3, 0, 0, 0, 1, 0, 0});
    maker_attr_ints(m, "nodes_falsenodeids", 8, (int64_t[]){2, 4, 0, 0, 0, 2, 0, 0});
    const char *prefix[2][4] = {
        {"target_treeids", "target_nodeids", "target_ids", "target_weights"},
        {"class_treeids", "class_nodeids", "class_ids", "class_weights"}};
    const char *const *p = prefix[classifier ? 1 : 0];
    maker_attr_ints(m, p[0], 5, (int64_t[]){0, 0, 0, 1, 1});
    maker_attr_ints(m, p[1], 5, (int64_t[]){2, 3, 4, 1, 2});
    maker_attr_ints(m, p[2], 5, (int64_t[]){0, 0, 0, 0, 0});
    maker_attr_floats(m, p[3], 5, (float[]){-1.5f, 0.25f, 2, 0.5f, -0.75f});
}

static void tree_regressor_is_exact_to_the_leaf(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){0, 3});
    maker_node(&m, "ai.onnx.ml", "TreeEnsembleRegressor", "x", "y");
    add_trees(&m, false);
    maker_attr_int(&m, "n_targets", 1);
    maker_attr_floats(&m, "base_values", 1, (float[]){0.125f});
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(3, -1, 1);
    expect_error_below(&m, &rows, SB_PRECISION_AUTO, 1e-7);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void expect_agreement(struct maker *m, const struct sb_dataset *rows)
{
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file;
    sb_buf_init(&file, 1 << 20);
    sb_err err = compile_as(&report, &file, m, rows, SB_PRECISION_AUTO, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", sb_err_name(err), diag.text);
    }
    assert_true(report.test.is_classifier);
    assert_int_equal(report.test.agree, report.test.rows);
    assert_true(report.test.output_error_max < 1e-3);
    sb_report_fini(&report);
    sb_buf_fini(&file);
}

static void tree_classifier_gives_labels_and_probabilities(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){0, 3});
    maker_node(&m, "ai.onnx.ml", "TreeEnsembleClassifier", "x", "label p");
    add_trees(&m, true);
    maker_attr_ints(&m, "classlabels_int64s", 2, (int64_t[]){5, 9});
    maker_attr_string(&m, "post_transform", "LOGISTIC");
    maker_node(&m, "ai.onnx.ml", "ZipMap", "p", "probabilities");
    maker_node(&m, "", "Cast", "label", "y");
    maker_attr_int(&m, "to", 7);
    maker_output(&m, "y");
    maker_output(&m, "probabilities");
    struct sb_dataset rows = random_rows(3, -1, 1);
    expect_agreement(&m, &rows);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* Three classes, leaves with a weight for each, as a random forest is exported. */
static void forest_of_three_classes_agrees(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){0, 2});
    maker_node(&m, "ai.onnx.ml", "TreeEnsembleClassifier", "x", "label p");
    maker_attr_ints(&m, "nodes_treeids", 6, (int64_t[]){0, 0, 0, 1, 1, 1});
    maker_attr_ints(&m, "nodes_nodeids", 6, (int64_t[]){0, 1, 2, 0, 1, 2});
    maker_attr_ints(&m, "nodes_featureids", 6, (int64_t[]){0, 0, 0, 1, 0, 0});
    maker_attr_floats(&m, "nodes_values", 6, (float[]){0.25f, 0, 0, -0.5f, 0, 0});
    maker_attr_strings(&m, "nodes_modes", "BRANCH_LEQ LEAF LEAF BRANCH_GTE LEAF LEAF");
    maker_attr_ints(&m, "nodes_truenodeids", 6, (int64_t[]){1, 0, 0, 1, 0, 0});
    maker_attr_ints(&m, "nodes_falsenodeids", 6, (int64_t[]){2, 0, 0, 2, 0, 0});
    maker_attr_ints(&m, "class_treeids", 7, (int64_t[]){0, 0, 0, 0, 1, 1, 1});
    maker_attr_ints(&m, "class_nodeids", 7, (int64_t[]){1, 1, 2, 2, 1, 2, 2});
    maker_attr_ints(&m, "class_ids", 7, (int64_t[]){0, 1, 1, 2, 0, 1, 2});
    maker_attr_floats(&m, "class_weights", 7, (float[]){0.3f, 0.2f, 0.1f, 0.4f, 0.5f, 0.1f, 0.4f});
    maker_attr_strings(&m, "classlabels_strings", "low middle high");
    maker_output(&m, "label");
    maker_output(&m, "p");
    struct sb_dataset rows = random_rows(2, -1, 1);
    expect_agreement(&m, &rows);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* A sample of several inputs is the inputs laid end to end. */
static void several_inputs_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){2, 3});
    maker_input(&m, "k", 1, (int64_t[]){3});
    maker_node(&m, "", "Mul", "x k", "p");
    maker_node(&m, "", "Add", "p x", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(9, -1, 1);
    expect_all(&m, &rows, 0.03, 0.01, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* ONNX: where min is above max, every element becomes max. */
static void clip_with_crossed_bounds_gives_max(void **state)
{
    (void)state;
    struct maker m;
    const float bounds[2] = {2, 1};
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_floats(&m, "lo", 0, NULL, bounds);
    maker_floats(&m, "hi", 0, NULL, bounds + 1);
    maker_node(&m, "", "Clip", "x lo hi", "c");
    maker_node(&m, "", "Mul", "c x", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(3, -4, 4);
    expect_error_below(&m, &rows, SB_PRECISION_FX32, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void percentile_and_batch_keep_the_answers(void **state)
{
    (void)state;
    struct maker m;
    struct sb_report report;
    struct sb_report_accuracy again;
    struct sb_diag diag = {0};
    struct sb_buf file;
    struct sb_compile_options options = sb_compile_options_default();
    float w[32];
    fill(w, 32, 9);
    maker_init(&m, 13);
    maker_input(&m, "x", 4, (int64_t[]){0, 2, 3, 3});
    maker_floats(&m, "w", 4, (int64_t[]){4, 2, 2, 2}, w);
    maker_node(&m, "", "Conv", "x w", "c");
    maker_node(&m, "", "Relu", "c", "r");
    maker_node(&m, "", "GlobalAveragePool", "r", "g");
    maker_node(&m, "", "Flatten", "g", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(18, -1, 1);
    rows.row_count = ROWS - 3; /* the last batch is not full */
    options.precision = SB_PRECISION_I16;
    options.calibration = SB_CALIBRATION_PERCENTILE;
    options.percentile = 99.9;
    options.batch = 4;
    sb_buf_init(&file, 1 << 20);
    sb_err err = sb_compile(&file, &report, maker_pack(&m), &rows, &rows, &options, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", sb_err_name(err), diag.text);
    }
    assert_int_equal(report.test.rows, ROWS - 3);
    assert_true(report.test.output_error_relative < 0.02);
    assert_int_equal(sb_compile_measure(&again, sb_buf_bytes(&file), maker_pack(&m), &rows, &diag),
                     SB_OK);
    assert_true(again.output_error_rms == report.test.output_error_rms);
    assert_int_equal(again.agree, report.test.agree);
    sb_report_fini(&report);
    sb_buf_fini(&file);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void scaled_logistic_regression_agrees(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){0, 3});
    maker_node(&m, "ai.onnx.ml", "Scaler", "x", "s");
    maker_attr_floats(&m, "offset", 3, (float[]){500, 1, 0.001f});
    maker_attr_floats(&m, "scale", 3, (float[]){0.01f, 2, 300});
    maker_node(&m, "ai.onnx.ml", "LinearClassifier", "s", "y p");
    maker_attr_floats(&m, "coefficients", 9, (float[]){1, -1, 0.5f, 0.25f, 1, -1, -0.5f, 0, 1});
    maker_attr_floats(&m, "intercepts", 3, (float[]){0.1f, 0, -0.1f});
    maker_attr_ints(&m, "classlabels_ints", 3, (int64_t[]){0, 1, 2});
    maker_attr_string(&m, "post_transform", "SOFTMAX");
    maker_output(&m, "y");
    maker_output(&m, "p");
    struct sb_dataset rows = random_rows(3, 0, 1);
    for (uint64_t r = 0; r < ROWS; r++) {
        rows.x[3 * r] *= 1000;
        rows.x[3 * r + 2] *= 0.01;
    }
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file;
    sb_buf_init(&file, 1 << 20);
    sb_err err = compile_as(&report, &file, &m, &rows, SB_PRECISION_AUTO, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", sb_err_name(err), diag.text);
    }
    assert_int_equal(report.precision, SB_PRECISION_FX32); /* the features' ranges are far apart */
    assert_int_equal(report.test.agree, report.test.rows);
    sb_report_fini(&report);
    sb_buf_fini(&file);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* Movements that are views, lists along an axis and single elements, over an image in whatever layout it is held. */
static void movements_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[40];
    fill(w, 40, 11);
    maker_init(&m, 18);
    maker_input(&m, "x", 4, (int64_t[]){1, 2, 6, 6});
    maker_floats(&m, "w", 4, (int64_t[]){4, 2, 1, 1}, w);
    maker_int64s(&m, "starts", 2, (int64_t[]){5, 1});
    maker_int64s(&m, "ends", 2, (int64_t[]){-7, 6});
    maker_int64s(&m, "axes", 2, (int64_t[]){2, 3});
    maker_int64s(&m, "steps", 2, (int64_t[]){-2, 2});
    maker_int64s(&m, "pads", 8, (int64_t[]){0, 0, 1, 2, 0, 0, 2, 1});
    maker_int64s(&m, "order", 3, (int64_t[]){3, 0, -2});
    maker_int64s(&m, "repeats", 4, (int64_t[]){1, 2, 1, 2});
    maker_node(&m, "", "Conv", "x w", "c");
    maker_node(&m, "", "Slice", "c starts ends axes steps", "s");
    maker_node(&m, "", "Pad", "s pads", "p");
    maker_attr_string(&m, "mode", "reflect");
    maker_node(&m, "", "Gather", "p order", "g");
    maker_attr_int(&m, "axis", 1);
    maker_node(&m, "", "Tile", "g repeats", "t");
    maker_node(&m, "", "SpaceToDepth", "t", "y");
    maker_attr_int(&m, "blocksize", 2);
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(72, -1, 1);
    expect_all(&m, &rows, 0.03, 0.01, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void resized_images_are_close_to_float(void **state)
{
    (void)state;
    const char *const modes[] = {"nearest", "linear", "cubic"};
    const double limits[3][2] = {{0.01, 0.01}, {0.02, 0.01}, {0.03, 0.01}};
    struct sb_dataset rows = random_rows(70, -1, 1);
    for (size_t i = 0; i < 3; i++) {
        struct maker m;
        maker_init(&m, 19);
        maker_input(&m, "x", 4, (int64_t[]){1, 2, 5, 7});
        maker_int64s(&m, "sizes", 4, (int64_t[]){1, 2, 9, 4});
        maker_node(&m, "", "Resize", "x - - sizes", "y");
        maker_attr_string(&m, "mode", modes[i]);
        maker_attr_int(&m, "antialias", i == 0 ? 0 : 1);
        maker_output(&m, "y");
        expect_all(&m, &rows, limits[i][0], limits[i][1], 1e-5);
        maker_fini(&m);
    }
    sb_dataset_fini(&rows);
}

/* Upsampled by a transposed convolution in groups, then pooled with dilation, with rounding up, and over [N, C, L] and volumes. */
static void windows_of_all_forms_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[200];
    fill(w, 200, 21);
    maker_init(&m, 18);
    maker_input(&m, "x", 4, (int64_t[]){1, 4, 4, 5});
    maker_floats(&m, "w", 4, (int64_t[]){4, 3, 3, 2}, w);
    maker_floats(&m, "b", 1, (int64_t[]){6}, w + 100);
    maker_floats(&m, "u", 3, (int64_t[]){4, 6, 3}, w + 110);
    maker_int64s(&m, "line", 3, (int64_t[]){1, 6, -1});
    maker_int64s(&m, "volume", 5, (int64_t[]){1, 2, 2, 5, -1});
    maker_node(&m, "", "ConvTranspose", "x w b", "c");
    maker_attr_ints(&m, "strides", 2, (int64_t[]){2, 3});
    maker_attr_ints(&m, "pads", 4, (int64_t[]){1, 0, 0, 1});
    maker_attr_ints(&m, "output_padding", 2, (int64_t[]){1, 0});
    maker_attr_int(&m, "group", 2);
    maker_node(&m, "", "MaxPool", "c", "d");
    maker_attr_ints(&m, "kernel_shape", 2, (int64_t[]){2, 3});
    maker_attr_ints(&m, "dilations", 2, (int64_t[]){2, 2});
    maker_attr_ints(&m, "pads", 4, (int64_t[]){1, 1, 1, 1});
    maker_node(&m, "", "AveragePool", "d", "a");
    maker_attr_ints(&m, "kernel_shape", 2, (int64_t[]){3, 3});
    maker_attr_ints(&m, "strides", 2, (int64_t[]){2, 2});
    maker_attr_ints(&m, "pads", 4, (int64_t[]){1, 1, 0, 0});
    maker_attr_int(&m, "ceil_mode", 1);
    maker_attr_int(&m, "count_include_pad", 1);
    maker_node(&m, "", "Reshape", "a line", "l");
    maker_node(&m, "", "Conv", "l u", "k");
    maker_attr_ints(&m, "pads", 2, (int64_t[]){3, 4});
    maker_node(&m, "", "Reshape", "k volume", "v");
    maker_node(&m, "", "AveragePool", "v", "y");
    maker_attr_ints(&m, "kernel_shape", 3, (int64_t[]){2, 2, 2});
    maker_attr_ints(&m, "pads", 6, (int64_t[]){1, 0, 1, 0, 1, 0});
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(80, -1, 1);
    expect_all(&m, &rows, 0.06, 0.02, 1e-5);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* Both directions, peepholes, a given state, and a sequence that ends early. */
static void recurrent_cells_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[200];
    fill(w, 200, 31);
    struct sb_dataset rows = random_rows(30, -1, 1);
    maker_init(&m, 18);
    maker_input(&m, "x", 3, (int64_t[]){5, 2, 3});
    maker_floats(&m, "w", 3, (int64_t[]){2, 8, 3}, w);
    maker_floats(&m, "r", 3, (int64_t[]){2, 8, 2}, w + 48);
    maker_floats(&m, "b", 2, (int64_t[]){2, 16}, w + 80);
    maker_int64s(&m, "lens", 2, (int64_t[]){5, 3});
    maker_floats(&m, "h", 3, (int64_t[]){2, 2, 2}, w + 112);
    maker_floats(&m, "p", 2, (int64_t[]){2, 6}, w + 120);
    maker_node(&m, "", "LSTM", "x w r b lens h h p", "y");
    maker_attr_string(&m, "direction", "bidirectional");
    maker_output(&m, "y");
    expect_all(&m, &rows, 0.1, 0.03, 1e-5);
    maker_fini(&m);
    maker_init(&m, 18);
    maker_input(&m, "x", 3, (int64_t[]){5, 2, 3});
    maker_floats(&m, "w", 3, (int64_t[]){1, 6, 3}, w);
    maker_floats(&m, "r", 3, (int64_t[]){1, 6, 2}, w + 48);
    maker_node(&m, "", "GRU", "x w r", "y h");
    maker_attr_string(&m, "direction", "reverse");
    maker_output(&m, "h");
    expect_all(&m, &rows, 0.1, 0.03, 1e-5);
    maker_fini(&m);
    sb_dataset_fini(&rows);
}

/* ---- errors ---- */

/* A block of a transformer encoder: the norm written out as exporters do, attention over two heads with a mask of -1e9, GELU. */
static void transformer_block_is_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float row[8];
    float w[24 * 8];
    const float mask[] = {0, -1e9f, -1e9f, 0, 0, -1e9f, 0, 0, 0};
    const float scale = 2;
    const float epsilon = 1e-5f;
    fill(row, 8, 5);
    fill(w, 24 * 8, 6);
    maker_init(&m, 20);
    maker_input(&m, "x", 3, (int64_t[]){1, 3, 8});
    maker_floats(&m, "row", 1, (int64_t[]){8}, row);
    maker_floats(&m, "w", 2, (int64_t[]){8, 24}, w);
    maker_floats(&m, "mask", 2, (int64_t[]){3, 3}, mask);
    maker_floats(&m, "two", 0, (int64_t[]){0}, &scale);
    maker_floats(&m, "eps", 0, (int64_t[]){0}, &epsilon);
    maker_int64s(&m, "last", 1, (int64_t[]){-1});
    maker_int64s(&m, "third", 3, (int64_t[]){8, 8, 8});
    maker_node(&m, "", "Pow", "x two", "square");
    maker_node(&m, "", "ReduceMean", "square last", "mean");
    maker_node(&m, "", "Add", "mean eps", "above");
    maker_node(&m, "", "Sqrt", "above", "root");
    maker_node(&m, "", "Div", "x root", "unit");
    maker_node(&m, "", "Mul", "unit row", "n");
    maker_node(&m, "", "MatMul", "n w", "qkv");
    maker_node(&m, "", "Split", "qkv third", "q k v");
    maker_attr_int(&m, "axis", -1);
    maker_node(&m, "", "Transpose", "k", "kt");
    maker_attr_ints(&m, "perm", 3, (int64_t[]){0, 2, 1});
    maker_node(&m, "", "MatMul", "q kt", "qk");
    maker_node(&m, "", "Div", "qk two", "scores");
    maker_node(&m, "", "Add", "scores mask", "masked");
    maker_node(&m, "", "Softmax", "masked", "p");
    maker_attr_int(&m, "axis", -1);
    maker_node(&m, "", "MatMul", "p v", "pv");
    maker_node(&m, "", "Gelu", "pv", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(24, -2, 2);
    expect_all(&m, &rows, 0.05, 0.01, 1e-3);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void roots_powers_and_norms_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float scale[6];
    const float half = 0.5f;
    const float exponent = 1.7f;
    fill(scale, 6, 7);
    maker_init(&m, 18);
    maker_input(&m, "x", 2, (int64_t[]){2, 6});
    maker_floats(&m, "scale", 1, (int64_t[]){6}, scale);
    maker_floats(&m, "half", 0, (int64_t[]){0}, &half);
    maker_floats(&m, "k", 0, (int64_t[]){0}, &exponent);
    maker_node(&m, "", "LayerNormalization", "x scale", "n");
    maker_node(&m, "", "Softplus", "n", "positive");
    maker_node(&m, "", "Pow", "positive k", "power");
    maker_node(&m, "", "Sqrt", "power", "root");
    maker_node(&m, "", "Add", "root half", "divisor");
    maker_node(&m, "", "Div", "n divisor", "q");
    maker_node(&m, "", "LogSoftmax", "q", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(12, -3, 3);
    expect_all(&m, &rows, 0.05, 0.02, 1e-3);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void expect_failure(struct maker *m, const struct sb_dataset *rows,
                           enum sb_precision precision, sb_err wanted, const char *part)
{
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file;
    sb_buf_init(&file, 1 << 20);
    sb_err err = compile_as(&report, &file, m, rows, precision, &diag);
    assert_int_equal(err, wanted);
    if (strstr(diag.text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, diag.text);
    }
    assert_int_equal(file.len, 0);
    sb_buf_fini(&file);
}

static void unknown_operator_is_named(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_node(&m, "", "DeformConv", "x", "y");
    maker_output(&m, "y");
    expect_failure(&m, NULL, SB_PRECISION_AUTO, SB_E_UNSUPPORTED,
                   "operator 'DeformConv' of operator set 13 is not supported");
    maker_fini(&m);
}

static void old_operator_set_is_named(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 6);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_node(&m, "", "Add", "x x", "y");
    maker_output(&m, "y");
    expect_failure(&m, NULL, SB_PRECISION_AUTO, SB_E_UNSUPPORTED, "from operator set 7 on");
    maker_fini(&m);
}

static void quantising_without_samples_is_refused(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_node(&m, "", "Relu", "x", "y");
    maker_output(&m, "y");
    expect_failure(&m, NULL, SB_PRECISION_I8, SB_E_ARG, "needs sample rows");
    maker_fini(&m);
}

static void samples_of_another_size_are_refused(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_node(&m, "", "Relu", "x", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(4, 0, 1);
    expect_failure(&m, &rows, SB_PRECISION_I8, SB_E_ARG, "a sample has 4 numbers");
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void missing_input_is_named(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_node(&m, "", "Add", "x nowhere", "y");
    maker_output(&m, "y");
    expect_failure(&m, NULL, SB_PRECISION_AUTO, SB_E_SYNTAX, "input 'nowhere'");
    maker_fini(&m);
}

/* One node over x [1,4] and a weight of no elements. */
static void expect_empty_weight_refused(const char *op, const int64_t dims[2], int64_t trans_b,
                                        enum sb_precision precision)
{
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 4});
    maker_floats(&m, "w", 2, dims, (const float[]){0});
    maker_node(&m, "", op, "x w", "y");
    if (trans_b != 0) {
        maker_attr_int(&m, "transB", trans_b);
    }
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(4, -1, 1);
    expect_failure(&m, &rows, precision, SB_E_SHAPE, "have no elements");
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void weights_of_no_outputs_are_refused(void **state)
{
    (void)state;
    static const enum sb_precision k_precisions[] = {SB_PRECISION_I8, SB_PRECISION_I16,
                                                     SB_PRECISION_FX32};
    for (size_t i = 0; i < sizeof k_precisions / sizeof k_precisions[0]; i++) {
        expect_empty_weight_refused("Gemm", (int64_t[]){0, 4}, 1, k_precisions[i]);
        expect_empty_weight_refused("Gemm", (int64_t[]){4, 0}, 0, k_precisions[i]);
        expect_empty_weight_refused("MatMul", (int64_t[]){4, 0}, 0, k_precisions[i]);
    }
}

static void output_that_nothing_computes_is_a_constant(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 4});
    maker_node(&m, "", "Dropout", "x", "y mask");
    maker_output(&m, "mask");
    struct sb_dataset rows = random_rows(4, -1, 1);
    expect_error_below(&m, &rows, SB_PRECISION_I8, 0);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void shape_from_an_input_is_refused(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){2, 3});
    maker_input(&m, "shape", 1, (int64_t[]){2});
    maker_node(&m, "", "Reshape", "x shape", "y");
    maker_output(&m, "y");
    expect_failure(&m, NULL, SB_PRECISION_FX32, SB_E_UNSUPPORTED, "depends on the input 'shape'");
    maker_fini(&m);
}

static void quantised_output_is_exact(void **state)
{
    (void)state;
    struct maker m;
    const float scale = 0.5f;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 3});
    maker_floats(&m, "s", 0, NULL, &scale);
    maker_node(&m, "", "QuantizeLinear", "x s", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(3, 0, 100);
    expect_error_below(&m, &rows, SB_PRECISION_FX32, 0);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

static void cut_files_are_errors(void **state)
{
    (void)state;
    struct maker m;
    struct sb_report report;
    struct sb_compile_options options = sb_compile_options_default();
    float w[12];
    fill(w, 12, 7);
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 4});
    maker_floats(&m, "w", 2, (int64_t[]){4, 3}, w);
    maker_node(&m, "", "MatMul", "x w", "y");
    maker_output(&m, "y");
    sb_bytes file = maker_pack(&m);
    uint32_t accepted = 0;
    for (size_t len = 0; len < file.len; len++) {
        struct sb_diag diag = {0};
        struct sb_buf out;
        sb_buf_init(&out, 1 << 20);
        sb_err err =
            sb_compile(&out, &report, sb_span(file.data, len), NULL, NULL, &options, &diag);
        accepted += err == SB_OK ? 1 : 0; /* only the list of operator sets is missing then */
        assert_true(err == SB_OK || diag.text[0] != '\0');
        if (err == SB_OK) {
            sb_report_fini(&report);
        }
        sb_buf_fini(&out);
    }
    assert_true(accepted <= 2);
    maker_fini(&m);
}

static void report_is_json_and_text(void **state)
{
    (void)state;
    struct maker m;
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file, out;
    float w[12];
    fill(w, 12, 8);
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){1, 4});
    maker_floats(&m, "w", 2, (int64_t[]){4, 3}, w);
    maker_node(&m, "", "MatMul", "x w", "y");
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(4, 0, 1);
    sb_buf_init(&file, 1 << 20);
    sb_buf_init(&out, 1 << 20);
    assert_int_equal(compile_as(&report, &file, &m, &rows, SB_PRECISION_I8, &diag), SB_OK);
    sb_report_json(&out, &report);
    sb_buf_add_byte(&out, 0);
    assert_non_null(strstr((const char *)out.data, "\"precision\":\"i8\""));
    assert_non_null(strstr((const char *)out.data, "\"agree\":"));
    sb_buf_reset(&out);
    sb_report_text(&out, &report);
    sb_buf_add_byte(&out, 0);
    assert_non_null(strstr((const char *)out.data, "GEMM 1"));
    sb_report_fini(&report);
    sb_buf_fini(&out);
    sb_buf_fini(&file);
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_matmul_and_add_are_close_to_float),
        cmocka_unit_test(image_operators_are_close_to_float),
        cmocka_unit_test(image_output_keeps_the_order_of_channels),
        cmocka_unit_test(functions_are_close_to_float),
        cmocka_unit_test(softmax_and_sigmoid_outputs_are_close_to_float),
        cmocka_unit_test(elementwise_and_shape_operators_are_close_to_float),
        cmocka_unit_test(tree_regressor_is_exact_to_the_leaf),
        cmocka_unit_test(tree_classifier_gives_labels_and_probabilities),
        cmocka_unit_test(forest_of_three_classes_agrees),
        cmocka_unit_test(several_inputs_are_close_to_float),
        cmocka_unit_test(clip_with_crossed_bounds_gives_max),
        cmocka_unit_test(percentile_and_batch_keep_the_answers),
        cmocka_unit_test(scaled_logistic_regression_agrees),
        cmocka_unit_test(movements_are_close_to_float),
        cmocka_unit_test(resized_images_are_close_to_float),
        cmocka_unit_test(windows_of_all_forms_are_close_to_float),
        cmocka_unit_test(recurrent_cells_are_close_to_float),
        cmocka_unit_test(transformer_block_is_close_to_float),
        cmocka_unit_test(roots_powers_and_norms_are_close_to_float),
        cmocka_unit_test(unknown_operator_is_named),
        cmocka_unit_test(old_operator_set_is_named),
        cmocka_unit_test(quantising_without_samples_is_refused),
        cmocka_unit_test(samples_of_another_size_are_refused),
        cmocka_unit_test(missing_input_is_named),
        cmocka_unit_test(weights_of_no_outputs_are_refused),
        cmocka_unit_test(output_that_nothing_computes_is_a_constant),
        cmocka_unit_test(shape_from_an_input_is_refused),
        cmocka_unit_test(quantised_output_is_exact),
        cmocka_unit_test(cut_files_are_errors),
        cmocka_unit_test(report_is_json_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
