/* cmd_model_run.c: `samebit model import` and `run`: the compiler and the engine on files of this machine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/cmd_model.h"
#include "node/files.h"
#include "node/real.h"
#include "vm/compiler/compile.h"
#include "vm/tensor/run.h"

#define SCRATCH_ALIGN    16
#define REPORT_BYTES_MAX ((size_t)16 << 20)

static sb_err load_rows(struct sb_dataset *ret_rows, const char *path, bool label_last,
                        struct sb_diag *diag)
{
    const struct sb_dataset_options options = {.label_last = label_last};
    struct sb_buf bytes;
    sb_buf_init(&bytes, SB_DATASET_FILE_BYTES_MAX);
    sb_err err = sb_file_read(&bytes, path, diag);
    if (err == SB_OK) {
        err = sb_dataset_load(ret_rows, sb_buf_bytes(&bytes), &options, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", path);
        }
    }
    sb_buf_fini(&bytes);
    return err;
}

/* ---- import ---- */

static const struct sb_usage k_import_usage = {
    "model import", "MODEL.onnx [--output FILE] [--calibrate ROWS] [options]",
    "Compile an ONNX model (ai.onnx, ai.onnx.ml) to the integer model file that contracts call, "
    "and report its\n"
    "size, gas, error and accuracy. Rows of samples (.npz or .npy of numpy, or comma-separated "
    "text) "
    "let neural\n"
    "networks run in i8 or i16, which is smaller and cheaper; without them auto takes fx32. An "
    "operator that is\n"
    "not supported is an error that names it.",
    "  samebit model import digits_cnn.onnx --calibrate digits_rows.npz --output digits_cnn.sbm\n"
    "  samebit model import gbdt.onnx --test test.csv --labels --output gbdt.sbm --json\n"};

struct import {
    const char *output;
    const char *calibrate;
    const char *test;
    const char *precision;
    const char *dims;
    const char *name;
    bool labels;
    bool as_json;

    struct sb_buf onnx;
    struct sb_buf file;
    struct sb_report report;
    struct sb_dataset calibration_rows;
    struct sb_dataset test_rows;
};

static sb_err compile(struct import *import, const char *path, struct sb_diag *diag)
{
    struct sb_compile_options options = sb_compile_options_default();
    sb_buf_init(&import->onnx, SB_ONNX_FILE_BYTES_MAX);
    sb_buf_init(&import->file, SB_MODEL_FILE_BYTES_MAX);
    options.name = import->name;
    options.dims = import->dims;
    if (import->precision != NULL && !sb_precision_parse(&options.precision, import->precision)) {
        return sb_fail(diag, SB_E_ARG, "--precision: \"%s\" is not auto, i8, i16 or fx32",
                       import->precision);
    }
    SB_TRY(sb_file_read(&import->onnx, path, diag));
    if (import->calibrate != NULL) {
        SB_TRY(load_rows(&import->calibration_rows, import->calibrate, import->labels, diag));
    }
    if (import->test != NULL) {
        SB_TRY(load_rows(&import->test_rows, import->test, import->labels, diag));
    }
    sb_err err = sb_compile(&import->file, &import->report, sb_buf_bytes(&import->onnx),
                            import->calibrate != NULL ? &import->calibration_rows : NULL,
                            import->test != NULL ? &import->test_rows : NULL, &options, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "%s", path);
        return err;
    }
    return sb_file_replace(import->output, sb_buf_bytes(&import->file), 0644, diag);
}

static void print_report(const struct import *import)
{
    struct sb_buf text;
    sb_buf_init(&text, REPORT_BYTES_MAX);
    if (import->as_json) {
        sb_report_json(&text, &import->report);
        sb_buf_add_byte(&text, '\n');
    } else {
        sb_report_text(&text, &import->report);
    }
    (void)printf("%.*s", (int)text.len, (const char *)text.data);
    if (!import->as_json) {
        (void)printf("wrote %s\n", import->output);
    }
    sb_buf_fini(&text);
}

/* "digits_cnn" of "examples/digits_cnn.onnx". */
static void file_stem(char *ret, size_t len, const char *path)
{
    const char *base = strrchr(path, '/');
    base = base != NULL ? base + 1 : path;
    const char *dot = strrchr(base, '.');
    int stem = dot != NULL && dot != base ? (int)(dot - base) : (int)strlen(base);
    (void)snprintf(ret, len, "%.*s", stem, base);
}

int sb_cmd_model_import(int argc, char **argv)
{
    static struct import import;
    char output[SB_PATH_BYTES];
    char name[SB_REPORT_NAME_BYTES];
    const struct sb_option options[] = {
        {"output", SB_OPTION_TEXT, &import.output, "FILE",
         "where to write the model (MODEL.sbm in this folder)", 0, 0},
        {"calibrate", SB_OPTION_TEXT, &import.calibrate, "ROWS", "sample rows to choose scales by",
         0, 0},
        {"test", SB_OPTION_TEXT, &import.test, "ROWS", "rows to measure accuracy on", 0, 0},
        {"labels", SB_OPTION_FLAG, &import.labels, NULL,
         "the last column of a text file is the label", 0, 0},
        {"precision", SB_OPTION_TEXT, &import.precision, "P", "auto, i8, i16 or fx32 (auto)", 0, 0},
        {"dims", SB_OPTION_TEXT, &import.dims, "NAME=SIZE,...",
         "sizes of free dimensions of inputs, such as past=127", 0, 0},
        {"name", SB_OPTION_TEXT, &import.name, "TEXT", "name of the model (the file's)", 0, 0},
        {"json", SB_OPTION_FLAG, &import.as_json, NULL, "print the report as one JSON object", 0,
         0},
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_import_usage, options,
                         sizeof options / sizeof options[0], 1, 1, argc, argv)) {
        return status;
    }
    file_stem(name, sizeof name, operands.items[0]);
    (void)snprintf(output, sizeof output, "%s.sbm", name);
    import.name = import.name != NULL ? import.name : name;
    import.output = import.output != NULL ? import.output : output;
    sb_err err = compile(&import, operands.items[0], &diag);
    if (err == SB_OK) {
        print_report(&import);
    }
    sb_report_fini(&import.report);
    sb_dataset_fini(&import.calibration_rows);
    sb_dataset_fini(&import.test_rows);
    sb_buf_fini(&import.onnx);
    sb_buf_fini(&import.file);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* ---- run ---- */

static const struct sb_usage k_run_usage = {
    "model run", "MODEL.sbm --input ROWS [--rows A..B] [--real | --hex] [--labels]",
    "Run a model on rows of real numbers, as the chain does: the numbers are rounded to the "
    "model's input type, the\n"
    "integers that come out are printed, or, with --real, the numbers that they stand for. --hex "
    "prints the raw\n"
    "input and output that the precompile's infer(id, input) takes and gives.",
    "  samebit model run digits_cnn.sbm --input digits_rows.npz --rows 0..9\n"
    "  samebit model run gbdt.sbm --input rows.csv --labels --real\n"};

struct run {
    const char *input;
    const char *rows_text;
    bool real;
    bool hex;
    bool labels;

    struct sb_model_file file;
    struct sb_dataset rows;
    uint64_t first, last;
    uint8_t *in;
    uint8_t *out;
    void *scratch;
};

/* "A..B", both counted from 0 and included, or one number; all rows when absent. */
static sb_err read_range(struct run *run, struct sb_diag *diag)
{
    char first[24];
    uint64_t count = run->rows.row_count;
    run->first = 0;
    run->last = count - 1;
    if (count == 0) {
        return sb_fail(diag, SB_E_SHAPE, "%s has no rows", run->input);
    }
    if (run->rows_text == NULL) {
        return SB_OK;
    }
    const char *dots = strstr(run->rows_text, "..");
    size_t len = dots != NULL ? (size_t)(dots - run->rows_text) : strlen(run->rows_text);
    bool ok = len < sizeof first;
    if (ok) {
        memcpy(first, run->rows_text, len);
        first[len] = '\0';
        ok = sb_decimal_parse(&run->first, first) == SB_OK;
        run->last = run->first;
        ok = ok && (dots == NULL || sb_decimal_parse(&run->last, dots + 2) == SB_OK);
    }
    if (!ok || run->first > run->last || run->last >= count) {
        return sb_fail(diag, SB_E_RANGE, "--rows: \"%s\" is not A..B with A <= B <= %" PRIu64,
                       run->rows_text, count - 1);
    }
    return SB_OK;
}

static sb_err allocate(struct run *run, const struct sb_model_info *info, struct sb_diag *diag)
{
    size_t scratch = (info->arena_bytes + SCRATCH_ALIGN) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    run->in = calloc(1, info->input_bytes);
    run->out = calloc(1, info->output_bytes);
    run->scratch = aligned_alloc(SCRATCH_ALIGN, scratch);
    if (run->in == NULL || run->out == NULL || run->scratch == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    return SB_OK;
}

static sb_err fill_input(struct run *run, const struct sb_model_info *info, uint64_t row,
                         struct sb_diag *diag)
{
    const double *x = run->rows.x + row * run->rows.row_elements;
    uint8_t *at = run->in;
    for (uint32_t i = 0; i < info->input_count; i++) {
        const struct sb_model_io *input = &info->inputs[i];
        for (uint64_t k = 0; k < input->element_count; k++) {
            sb_u256 real;
            if (sb_real_from_double(&real, *x++) != SB_OK) {
                return sb_fail(diag, SB_E_RANGE, "row %" PRIu64 " has a number out of range", row);
            }
            sb_raw_store(at, input->desc.dtype, k, sb_input_from_real(&input->desc, &real));
        }
        at += input->bytes;
    }
    return SB_OK;
}

static void print_hex(const char *what, const uint8_t *data, uint64_t len)
{
    (void)printf(" %s 0x", what);
    for (uint64_t i = 0; i < len; i++) {
        (void)printf("%02x", data[i]);
    }
}

static void print_output(const struct run *run, const struct sb_model_io *output,
                         const uint8_t *raw)
{
    char text[SB_REAL_TEXT_BYTES];
    uint64_t best = 0;
    (void)printf(" %s [", output->name);
    for (uint64_t k = 0; k < output->element_count; k++) {
        int64_t value = sb_raw_load(raw, output->desc.dtype, k);
        best = value > sb_raw_load(raw, output->desc.dtype, best) ? k : best;
        if (run->real) {
            sb_u256 real = sb_output_to_real(&output->desc, value);
            sb_real_format(text, &real);
        } else {
            (void)snprintf(text, sizeof text, "%" PRId64, value);
        }
        (void)printf("%s%s", k > 0 ? "," : "", text);
    }
    (void)printf("]");
    if (output->element_count > 1) {
        (void)printf(" class %" PRIu64, best);
    }
}

static void print_row(const struct run *run, const struct sb_model_info *info, uint64_t row)
{
    const uint8_t *raw = run->out;
    (void)printf("row %" PRIu64 ":", row);
    if (run->hex) {
        print_hex("input", run->in, info->input_bytes);
        print_hex("output", run->out, info->output_bytes);
    }
    for (uint32_t i = 0; i < info->output_count && !run->hex; i++) {
        print_output(run, &info->outputs[i], raw);
        raw += info->outputs[i].bytes;
    }
    if (run->rows.y_is_class) {
        (void)printf(" label %.0f", run->rows.y[row]);
    }
    (void)printf("\n");
}

static sb_err run_row(struct run *run, const struct sb_model_info *info, uint64_t row,
                      struct sb_diag *diag)
{
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    const uint8_t *in = run->in;
    uint8_t *out = run->out;
    SB_TRY(fill_input(run, info, row, diag));
    for (uint32_t i = 0; i < info->input_count; i++) {
        inputs[i] = sb_span(in, info->inputs[i].bytes);
        in += info->inputs[i].bytes;
    }
    for (uint32_t i = 0; i < info->output_count; i++) {
        outputs[i] = out;
        out += info->outputs[i].bytes;
    }
    const struct sb_run call = {.model = run->file.model,
                                .inputs = inputs,
                                .ret_outputs = outputs,
                                .scratch = run->scratch,
                                .scratch_bytes = info->arena_bytes};
    sb_err err = sb_model_run(NULL, &call);
    if (err != SB_OK) {
        return sb_fail(diag, err, "row %" PRIu64 ": %s", row, sb_err_text(err));
    }
    print_row(run, info, row);
    return SB_OK;
}

static sb_err run_rows(struct run *run, const char *path, struct sb_diag *diag)
{
    uint64_t elements = 0;
    SB_TRY(sb_model_file_load(&run->file, path, diag));
    const struct sb_model_info *info = sb_model_info(run->file.model);
    SB_TRY(load_rows(&run->rows, run->input, run->labels, diag));
    SB_TRY(read_range(run, diag));
    for (uint32_t i = 0; i < info->input_count; i++) {
        elements += info->inputs[i].element_count;
    }
    if (elements != run->rows.row_elements) {
        return sb_fail(diag, SB_E_SHAPE,
                       "a row of %s has %" PRIu64 " numbers, the model takes %" PRIu64
                       " (is the last column a label? then give --labels)",
                       run->input, run->rows.row_elements, elements);
    }
    SB_TRY(allocate(run, info, diag));
    for (uint64_t row = run->first; row <= run->last; row++) {
        SB_TRY(run_row(run, info, row, diag));
    }
    return SB_OK;
}

int sb_cmd_model_run(int argc, char **argv)
{
    struct run run = {.input = NULL};
    const struct sb_option options[] = {
        {"input", SB_OPTION_TEXT, &run.input, "ROWS", "sample rows: .npz, .npy or text", 0, 0},
        {"rows", SB_OPTION_TEXT, &run.rows_text, "A..B", "only these rows, counted from 0", 0, 0},
        {"real", SB_OPTION_FLAG, &run.real, NULL, "print real numbers", 0, 0},
        {"hex", SB_OPTION_FLAG, &run.hex, NULL, "print raw input and output bytes", 0, 0},
        {"labels", SB_OPTION_FLAG, &run.labels, NULL, "the last column of a text file is the label",
         0, 0},
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_run_usage, options,
                         sizeof options / sizeof options[0], 1, 1, argc, argv)) {
        return status;
    }
    if (run.input == NULL) {
        return sb_cli_usage(k_run_usage.command, "--input is missing");
    }
    sb_err err = run_rows(&run, operands.items[0], &diag);
    free(run.in);
    free(run.out);
    free(run.scratch);
    sb_dataset_fini(&run.rows);
    sb_model_file_fini(&run.file);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
