/* test_models.c: real exports of PyTorch and scikit-learn through the compiler: the integer model beside the float model on test rows.
 *
 * Models and rows come from the folder SAMEBIT_MODELS (default ../shared/models beside the sources); a model that is absent is skipped by
 * name. The examples that stand in the repository are always tested. Calibration takes the first rows of the test set: there is no
 * training data. SAMEBIT_REPORT in the environment prints the whole reports. */
#include "vm/compiler/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define ROWS_MAX   60 /* instrumented code is slow; the plain build counts all */
#define ROWS_SLACK 2  /* so few rows give no fair share */
#else
#define ROWS_MAX   100000
#define ROWS_SLACK 0
#endif

#define CALIBRATION_ROWS 100

struct expectation {
    const char *model;
    const char *rows;
    enum sb_precision precision;
    double agree_min;  /* share of rows with the float model's class */
    double right_loss; /* share of rows that the integer model may lose against the known answers */
};

static bool read_file(struct sb_buf *ret, const char *folder, const char *name)
{
    char path[1024];
    uint8_t block[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t len = 0;
    while ((len = fread(block, 1, sizeof block, file)) > 0) {
        sb_buf_add(ret, block, len);
    }
    (void)fclose(file);
    return sb_buf_err(ret) == SB_OK;
}

static void models_folder(char *ret, size_t size)
{
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    const char *folder = getenv("SAMEBIT_MODELS");
    if (folder != NULL) {
        (void)snprintf(ret, size, "%s", folder);
    } else {
        (void)snprintf(ret, size, "%s/../shared/models", root != NULL ? root : ".");
    }
}

static void print_result(const struct sb_report *r, const char *model)
{
    const struct sb_report_accuracy *a = &r->test;
    print_message("# %-28s %-4s rows %4llu agree %4llu float %4llu integer %4llu rms %.2e gas %llu "
                  "bytes %llu\n",
                  model, sb_precision_name(r->precision), (unsigned long long)a->rows,
                  (unsigned long long)a->agree, (unsigned long long)a->float_right,
                  (unsigned long long)a->integer_right, a->output_error_rms,
                  (unsigned long long)r->gas_warm, (unsigned long long)r->file_bytes);
}

static void check_model(const char *folder, const struct expectation *e)
{
    struct sb_buf onnx, rows_file, file;
    struct sb_diag diag = {0};
    sb_buf_init(&onnx, 64 << 20);
    sb_buf_init(&rows_file, 64 << 20);
    sb_buf_init(&file, 64 << 20);
    if (!read_file(&onnx, folder, e->model) || !read_file(&rows_file, folder, e->rows)) {
        print_message("# %s or %s is absent: skipped\n", e->model, e->rows);
        sb_buf_fini(&onnx);
        sb_buf_fini(&rows_file);
        skip();
    }
    struct sb_dataset rows;
    struct sb_report report;
    struct sb_compile_options options = sb_compile_options_default();
    options.precision = e->precision;
    options.rows_max = CALIBRATION_ROWS;
    sb_err err = sb_dataset_load(&rows, sb_buf_bytes(&rows_file), NULL, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", e->rows, diag.text);
    }
    struct sb_dataset used = sb_dataset_slice(&rows, 0, ROWS_MAX);
    err = sb_compile(&file, &report, sb_buf_bytes(&onnx), &used, &used, &options, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s: %s", e->model, sb_err_name(err), diag.text);
    }
    print_result(&report, e->model);
    if (getenv("SAMEBIT_REPORT") != NULL) {
        struct sb_buf text;
        sb_buf_init(&text, 1 << 20);
        sb_report_text(&text, &report);
        (void)fwrite(text.data, 1, text.len, stderr);
        sb_buf_fini(&text);
    }
    const struct sb_report_accuracy *a = &report.test;
    if (a->is_classifier) {
        assert_true((double)a->agree + ROWS_SLACK >= e->agree_min * (double)a->rows);
        assert_true((double)a->integer_right + ROWS_SLACK + e->right_loss * (double)a->rows >=
                    (double)a->float_right);
    } else {
        assert_true(a->output_error_relative <= 1 - e->agree_min);
    }
    assert_true(report.gas_warm > 0);
    assert_true(report.layer_count > 0);
    sb_report_fini(&report);
    sb_dataset_fini(&rows);
    sb_buf_fini(&onnx);
    sb_buf_fini(&rows_file);
    sb_buf_fini(&file);
}

static void check_shared(const struct expectation *e)
{
    char folder[1024];
    models_folder(folder, sizeof folder);
    check_model(folder, e);
}

static void check_example(const struct expectation *e)
{
    char folder[1024];
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    (void)snprintf(folder, sizeof folder, "%s/examples/models", root != NULL ? root : ".");
    check_model(folder, e);
}

#define MODEL(test, check, model_, rows_, precision_, agree_, loss_)                               \
    static void test(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        static const struct expectation e = {model_, rows_, precision_, agree_, loss_};            \
        check(&e);                                                                                 \
    }

MODEL(example_digits_cnn_agrees, check_example, "digits_cnn.onnx", "digits_cnn_rows.npz",
      SB_PRECISION_AUTO, 0.98, 0.02)
MODEL(example_gbdt_agrees, check_example, "gbdt_breast_cancer.onnx", "gbdt_breast_cancer_rows.npz",
      SB_PRECISION_AUTO, 1, 0)
MODEL(digits_mlp_in_i8_agrees, check_shared, "digits_mlp.onnx", "digits_mlp_test.npz",
      SB_PRECISION_I8, 0.99, 0.002)
MODEL(digits_mlp_in_i16_agrees, check_shared, "digits_mlp.onnx", "digits_mlp_test.npz",
      SB_PRECISION_I16, 0.99, 0.002)
MODEL(digits_mlp_in_fx32_agrees, check_shared, "digits_mlp.onnx", "digits_mlp_test.npz",
      SB_PRECISION_FX32, 0.999, 0)
MODEL(digits_mlp_qdq_agrees, check_shared, "digits_mlp_qdq_u8s8.onnx", "digits_mlp_test.npz",
      SB_PRECISION_AUTO, 0.99, 0.002)
MODEL(digits_cnn_in_i8_agrees, check_shared, "digits_cnn.onnx", "digits_cnn_test.npz",
      SB_PRECISION_I8, 0.98, 0.002)
MODEL(digits_cnn_in_i16_agrees, check_shared, "digits_cnn.onnx", "digits_cnn_test.npz",
      SB_PRECISION_I16, 0.98, 0.002)
MODEL(digits_cnn_in_fx32_agrees, check_shared, "digits_cnn.onnx", "digits_cnn_test.npz",
      SB_PRECISION_FX32, 0.999, 0)
MODEL(digits_cnn_qdq_agrees, check_shared, "digits_cnn_qdq_u8s8.onnx", "digits_cnn_test.npz",
      SB_PRECISION_AUTO, 0.98, 0.002)
MODEL(fashion_lenet5_in_i8_agrees, check_shared, "fashion_lenet5.onnx", "fashion_test1000.npz",
      SB_PRECISION_I8, 0.98, 0.002)
MODEL(fashion_lenet5_qdq_agrees, check_shared, "fashion_lenet5_qdq_u8s8.onnx",
      "fashion_test1000.npz", SB_PRECISION_AUTO, 0.98, 0.002)
MODEL(fashion_mbv2s_in_i8_agrees, check_shared, "fashion_mbv2s.onnx", "fashion_test1000.npz",
      SB_PRECISION_I8, 0.95, 0.01)
MODEL(fashion_mbv2s_in_i16_agrees, check_shared, "fashion_mbv2s.onnx", "fashion_test1000.npz",
      SB_PRECISION_I16, 0.98, 0.002)
MODEL(fashion_mbv2s_qdq_agrees, check_shared, "fashion_mbv2s_qdq_u8s8.onnx", "fashion_test1000.npz",
      SB_PRECISION_AUTO, 0.98, 0.002)
MODEL(gbdt_breast_cancer_agrees, check_shared, "gbdt_breast_cancer.onnx", "breast_cancer_test.npz",
      SB_PRECISION_AUTO, 1, 0)
MODEL(digits_autoencoder_in_i8_agrees, check_shared, "digits_autoencoder.onnx",
      "digits_mlp_test.npz", SB_PRECISION_I8, 0.97, 0)
MODEL(digits_autoencoder_in_i16_agrees, check_shared, "digits_autoencoder.onnx",
      "digits_mlp_test.npz", SB_PRECISION_I16, 0.99, 0)

MODEL(gru_forecast_in_i16_agrees, check_shared, "gru_forecast.onnx", "gru_forecast_test.npz",
      SB_PRECISION_I16, 0.99, 0)
MODEL(gru_forecast_in_fx32_agrees, check_shared, "gru_forecast.onnx", "gru_forecast_test.npz",
      SB_PRECISION_FX32, 0.9999, 0)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_digits_cnn_agrees),
        cmocka_unit_test(example_gbdt_agrees),
        cmocka_unit_test(digits_mlp_in_i8_agrees),
        cmocka_unit_test(digits_mlp_in_i16_agrees),
        cmocka_unit_test(digits_mlp_in_fx32_agrees),
        cmocka_unit_test(digits_mlp_qdq_agrees),
        cmocka_unit_test(digits_cnn_in_i8_agrees),
        cmocka_unit_test(digits_cnn_in_i16_agrees),
        cmocka_unit_test(digits_cnn_in_fx32_agrees),
        cmocka_unit_test(digits_cnn_qdq_agrees),
        cmocka_unit_test(fashion_lenet5_in_i8_agrees),
        cmocka_unit_test(fashion_lenet5_qdq_agrees),
        cmocka_unit_test(fashion_mbv2s_in_i8_agrees),
        cmocka_unit_test(fashion_mbv2s_in_i16_agrees),
        cmocka_unit_test(fashion_mbv2s_qdq_agrees),
        cmocka_unit_test(gbdt_breast_cancer_agrees),
        cmocka_unit_test(digits_autoencoder_in_i8_agrees),
        cmocka_unit_test(digits_autoencoder_in_i16_agrees),
        cmocka_unit_test(gru_forecast_in_i16_agrees),
        cmocka_unit_test(gru_forecast_in_fx32_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
