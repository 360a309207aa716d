/* test_choice.c: comparisons, choices, integers, reductions and classic models: small models made here, the integer model against the float
 * reference on random rows, in each precision and layout. */
#include "vm/compiler/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "onnx_maker.h"

#define ROWS 48

/* Random rows of n numbers in [lo, hi]. */
static struct sb_dataset random_rows(uint64_t n, double lo, double hi)
{
    struct sb_dataset d = {.row_count = ROWS, .row_elements = n};
    uint64_t state = 20261123; /* the same rows on every run */
    d.x = malloc(ROWS * n * sizeof *d.x);
    assert_non_null(d.x);
    for (uint64_t i = 0; i < ROWS * n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double unit = (double)(state >> 11) / 9007199254740992.0;
        d.x[i] = (double)(float)(lo + (hi - lo) * unit);
    }
    return d;
}

static void expect_error_below(struct maker *m, const struct sb_dataset *rows,
                               enum sb_precision precision, double limit)
{
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf file;
    struct sb_compile_options options = sb_compile_options_default();
    options.precision = precision;
    sb_buf_init(&file, 1 << 20);
    sb_err err = sb_compile(&file, &report, maker_pack(m), rows, rows, &options, &diag);
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

static void expect_all(struct maker *m, uint64_t elements, double i8, double i16, double fx32)
{
    struct sb_dataset rows = random_rows(elements, -2, 2);
    expect_error_below(m, &rows, SB_PRECISION_I8, i8);
    expect_error_below(m, &rows, SB_PRECISION_I16, i16);
    expect_error_below(m, &rows, SB_PRECISION_FX32, fx32);
    sb_dataset_fini(&rows);
    maker_fini(m);
}

static void reduction(struct maker *m, const char *op, const char *output, size_t axes,
                      const int64_t *list, int64_t keep)
{
    maker_node(m, "", op, "x", output);
    if (axes > 0) {
        maker_attr_ints(m, "axes", axes, list);
    }
    maker_attr_int(m, "keepdims", keep);
    maker_output(m, output);
}

static void sums_over_any_axes_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 11);
    maker_input(&m, "x", 4, (int64_t[]){1, 3, 4, 5});
    reduction(&m, "ReduceMean", "a", 1, (int64_t[]){2}, 1);
    reduction(&m, "ReduceSum", "b", 2, (int64_t[]){1, 3}, 0);
    reduction(&m, "ReduceL1", "c", 1, (int64_t[]){-1}, 0);
    reduction(&m, "ReduceSumSquare", "d", 0, NULL, 1);
    expect_all(&m, 60, 0.02, 0.01, 1e-5);
}

static void extremes_norms_and_products_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    maker_init(&m, 11);
    maker_input(&m, "x", 4, (int64_t[]){1, 3, 4, 5});
    reduction(&m, "ReduceMax", "a", 2, (int64_t[]){0, 2}, 1);
    reduction(&m, "ReduceMin", "b", 1, (int64_t[]){1}, 0);
    reduction(&m, "ReduceL2", "c", 1, (int64_t[]){3}, 1);
    reduction(&m, "ReduceProd", "d", 1, (int64_t[]){1}, 0);
    expect_all(&m, 60, 0.05, 0.02, 1e-4);
}

static void choices_between_values_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    const float other[5] = {-1.5f, -0.5f, 0, 0.75f, 1.25f};
    const float one = 1;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){4, 5});
    maker_floats(&m, "c", 1, (int64_t[]){5}, other);
    maker_floats(&m, "one", 0, NULL, &one);
    maker_node(&m, "", "Max", "x c one", "a");
    maker_node(&m, "", "Neg", "x", "n");
    maker_node(&m, "", "Abs", "n", "h");
    maker_node(&m, "", "Min", "h c", "b");
    maker_node(&m, "", "Greater", "x c", "g");
    maker_node(&m, "", "Where", "g x n", "d");
    maker_node(&m, "", "ReduceMean", "x", "mean");
    maker_attr_int(&m, "keepdims", 0);
    maker_node(&m, "", "Clip", "x mean one", "e");
    maker_output(&m, "a");
    maker_output(&m, "b");
    maker_output(&m, "d");
    maker_output(&m, "e");
    expect_all(&m, 20, 0.05, 0.01, 1e-5);
}

static void roundings_and_integers_are_exact(void **state)
{
    (void)state;
    struct maker m;
    const int64_t three = 3;
    const float ten = 10;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){2, 6});
    maker_floats(&m, "ten", 0, NULL, &ten);
    maker_int64s(&m, "three", 1, &three);
    maker_node(&m, "", "Mul", "x ten", "t");
    maker_node(&m, "", "Cast", "t", "i"); /* -20 .. 20, cut off */
    maker_attr_int(&m, "to", 7);
    maker_node(&m, "", "Mod", "i three", "r");
    maker_node(&m, "", "Mul", "i three", "p");
    maker_node(&m, "", "Add", "r p", "s");
    maker_node(&m, "", "Cast", "s", "y");
    maker_attr_int(&m, "to", 1);
    maker_output(&m, "y");
    struct sb_dataset rows = random_rows(12, -2, 2);
    expect_error_below(&m, &rows, SB_PRECISION_FX32,
                       1e-2); /* x * 10 may fall on either side of a whole number */
    sb_dataset_fini(&rows);
    maker_fini(&m);
}

/* After a convolution values are held channels last. */
static void reductions_of_images_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    float w[16];
    for (int i = 0; i < 16; i++) {
        w[i] = (float)((i * 7) % 11 - 5) / 5;
    }
    maker_init(&m, 11);
    maker_input(&m, "x", 4, (int64_t[]){1, 2, 4, 3});
    maker_floats(&m, "w", 4, (int64_t[]){4, 2, 1, 1}, w);
    maker_floats(&m, "c", 3, (int64_t[]){4, 1, 1}, w + 8);
    maker_node(&m, "", "Conv", "x w", "h");
    maker_node(&m, "", "Max", "h c", "k");
    maker_node(&m, "", "ReduceMean", "k", "a");
    maker_attr_ints(&m, "axes", 2, (int64_t[]){2, 3});
    maker_node(&m, "", "ReduceSum", "k", "b");
    maker_attr_ints(&m, "axes", 1, (int64_t[]){1});
    maker_node(&m, "", "ReduceMax", "k", "d");
    maker_attr_ints(&m, "axes", 1, (int64_t[]){3});
    maker_attr_int(&m, "keepdims", 0);
    maker_output(&m, "a");
    maker_output(&m, "b");
    maker_output(&m, "d");
    expect_all(&m, 24, 0.05, 0.02, 1e-5);
}

static void support_vectors_are_close_to_float(void **state)
{
    (void)state;
    struct maker m;
    const float vectors[12] = {0.5f, -1, 0.25f, 1, 1.5f, -0.75f, -0.5f, 0.5f, 1, -1.25f, 0.75f, 0};
    const float weights[4] = {0.75f, -1, 0.5f, 0.25f};
    const float params[3] = {0.5f, 0, 0};
    const float rho = -0.25f;
    maker_init(&m, 13);
    maker_input(&m, "x", 2, (int64_t[]){2, 3});
    maker_node(&m, "ai.onnx.ml", "SVMRegressor", "x", "y");
    maker_attr_string(&m, "kernel_type", "RBF");
    maker_attr_floats(&m, "kernel_params", 3, params);
    maker_attr_floats(&m, "support_vectors", 12, vectors);
    maker_attr_floats(&m, "coefficients", 4, weights);
    maker_attr_floats(&m, "rho", 1, &rho);
    maker_attr_int(&m, "n_supports", 4);
    maker_output(&m, "y");
    expect_all(&m, 6, 0.2, 0.02, 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_any_axes_are_close_to_float),
        cmocka_unit_test(extremes_norms_and_products_are_close_to_float),
        cmocka_unit_test(choices_between_values_are_close_to_float),
        cmocka_unit_test(roundings_and_integers_are_exact),
        cmocka_unit_test(reductions_of_images_are_close_to_float),
        cmocka_unit_test(support_vectors_are_close_to_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
