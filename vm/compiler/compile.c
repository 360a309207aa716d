/* compile.c: see compile.h.
 *
 *     AUTO tries i8, then i16, then fx32, and keeps the first whose class agrees with the float model on all but loss_max of the
 *     calibration rows and whose outputs are within 5 % (for models without classes: within loss_max); if none is, the best one.
 *
 * Two graphs are read from the file: one stays as it is, the reference; the other is rewritten and lowered. */
#include "vm/compiler/compile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "vm/compiler/lower.h"
#include "vm/compiler/measure.h"
#include "vm/compiler/onnx.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes.h"

#define CLASSIFIER_ERROR_MAX 0.05

struct compilation {
    struct sb_arena memory;
    struct sb_graph reference;
    struct sb_graph graph;
    struct sb_range *ranges;
    const struct sb_dataset *calibration;
    const struct sb_dataset *test;
    const struct sb_compile_options *options;
    struct sb_diag *diag;
};

struct sb_compile_options sb_compile_options_default(void)
{
    return (struct sb_compile_options){
        .precision = SB_PRECISION_AUTO,
        .calibration = SB_CALIBRATION_MIN_MAX,
        .percentile = 99.99,
        .loss_max = 0.02,
        .batch = 1,
        .rows_max = 256,
        .measure_layers = true,
    };
}

static sb_err check_options(const struct sb_compile_options *o, struct sb_diag *diag)
{
    if (o->batch < 1 || o->batch > 65536 || o->rows_max < 1) {
        return sb_fail(diag, SB_E_ARG, "batch is %u (1 .. 65536), calibration rows %" PRIu64,
                       o->batch, o->rows_max);
    }
    if (!(o->percentile > 50 && o->percentile <= 100) || !(o->loss_max >= 0 && o->loss_max <= 1)) {
        return sb_fail(diag, SB_E_ARG, "percentile is %g (over 50, at most 100), loss %g (0 .. 1)",
                       o->percentile, o->loss_max);
    }
    return SB_OK;
}

static sb_err check_rows(const struct sb_graph *graph, const struct sb_dataset *rows,
                         struct sb_diag *diag)
{
    if (rows == NULL) {
        return SB_OK;
    }
    if (graph->input_count == 0) {
        return sb_fail(diag, SB_E_ARG, "samples for a model without inputs");
    }
    const struct sb_value *v = &graph->values[graph->inputs[0]];
    uint64_t count = sb_graph_input_elements(graph);
    bool batched = graph->input_count == 1 && v->array.shape.rank > 0 &&
                   count == rows->row_elements * v->array.shape.dims[0];
    if (rows->row_count == 0 || (count != rows->row_elements && !batched)) {
        return sb_fail(diag, SB_E_ARG,
                       "a sample has %" PRIu64
                       " numbers, the inputs of the model ('%s'%s) %" PRIu64,
                       rows->row_elements, v->name, graph->input_count > 1 ? ", ..." : "", count);
    }
    return SB_OK;
}

static sb_err load_graphs(struct compilation *c, sb_bytes onnx)
{
    SB_TRY(sb_onnx_load(&c->reference, onnx, &c->memory, c->diag));
    SB_TRY(sb_onnx_load(&c->graph, onnx, &c->memory, c->diag));
    SB_TRY(sb_passes_fix_dims(&c->reference, c->options->dims, c->diag));
    SB_TRY(sb_passes_fix_dims(&c->graph, c->options->dims, c->diag));
    SB_TRY(sb_passes_fix_batch(&c->reference, c->options->batch, c->diag));
    SB_TRY(sb_passes_fix_batch(&c->graph, c->options->batch, c->diag));
    SB_TRY(check_rows(&c->graph, c->calibration, c->diag));
    SB_TRY(check_rows(&c->graph, c->test, c->diag));
    return sb_passes_run(&c->graph, c->diag);
}

static bool has_trees(const struct sb_graph *graph)
{
    for (uint32_t n = 0; n < graph->node_count; n++) {
        enum sb_onnx_op_id op = graph->nodes[n].op->id;
        if (!graph->nodes[n].removed &&
            (op == SB_ONNX_TREE_CLASSIFIER || op == SB_ONNX_TREE_REGRESSOR)) {
            return true;
        }
    }
    return false;
}

static bool has_given_scales(const struct sb_graph *graph)
{
    for (uint32_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].given.present) {
            return true;
        }
    }
    return false;
}

/* The precisions to try, in order. */
static uint32_t candidates(enum sb_precision ret[3], const struct compilation *c)
{
    if (has_trees(&c->graph)) {
        ret[0] = SB_PRECISION_FX32;
        return 1;
    }
    if (c->options->precision != SB_PRECISION_AUTO) {
        ret[0] = c->options->precision;
        return 1;
    }
    if (c->calibration == NULL) {
        ret[0] = has_given_scales(&c->graph) ? SB_PRECISION_I8 : SB_PRECISION_FX32;
        return 1;
    }
    ret[0] = SB_PRECISION_I8;
    ret[1] = SB_PRECISION_I16;
    ret[2] = SB_PRECISION_FX32;
    return 3;
}

static sb_err lower_with(struct sb_buf *file, struct compilation *c, enum sb_precision precision,
                         struct sb_report *report)
{
    struct sb_arena_mark mark = sb_arena_mark(&c->memory);
    struct sb_lowering l = {
        .graph = &c->graph,
        .ranges = c->ranges,
        .precision = precision,
        .name = c->options->name != NULL ? c->options->name : c->graph.name,
        .report = report,
        .memory = &c->memory,
        .diag = c->diag,
    };
    sb_buf_reset(file);
    sb_err err = sb_lower(file, &l);
    sb_arena_rewind(&c->memory, mark);
    return err;
}

/* Share of calibration rows lost, or relative error of outputs. Classes alone would let a model pass that has lost an input of small range
 * which decides few rows, so that a large error counts for classifiers too. */
static double loss_of(const struct sb_report_accuracy *a)
{
    if (!a->is_classifier) {
        return a->output_error_relative;
    }
    double lost = (double)(a->rows - a->agree) / (double)a->rows;
    bool coarse = a->output_error_relative > CLASSIFIER_ERROR_MAX;
    return coarse ? fmin(1, fmax(lost, a->output_error_relative)) : lost;
}

static sb_err choose(struct sb_buf *best, struct sb_report *report, struct compilation *c)
{
    enum sb_precision list[3];
    uint32_t count = candidates(list, c);
    double best_loss = INFINITY;
    struct sb_buf file;
    struct sb_dataset rows = {0};
    sb_err err = SB_OK;
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    if (c->calibration != NULL) {
        rows = sb_dataset_slice(c->calibration, 0, c->options->rows_max);
    }
    for (uint32_t i = 0; i < count && best_loss > c->options->loss_max; i++) {
        struct sb_report tried = {.precision = list[i]};
        err = lower_with(&file, c, list[i], &tried);
        if (err != SB_OK && best->len > 0) {
            err = SB_OK; /* a later candidate that cannot be built does not spoil an earlier one */
            continue;
        }
        if (err == SB_OK && c->calibration != NULL) {
            err = sb_measure_accuracy(&tried.calibration, sb_buf_bytes(&file), &c->reference, &rows,
                                      c->diag);
        }
        if (err != SB_OK) {
            break;
        }
        double loss = c->calibration != NULL ? loss_of(&tried.calibration) : 0;
        if (loss < best_loss || best->len == 0) {
            best_loss = loss;
            *report = tried;
            sb_buf_reset(best);
            sb_buf_add(best, file.data, file.len);
            err = sb_buf_err(best);
        }
    }
    sb_buf_fini(&file);
    if (err == SB_OK && c->calibration != NULL && best_loss > c->options->loss_max &&
        report->note_count < SB_REPORT_NOTES_MAX) {
        (void)snprintf(report->notes[report->note_count++], SB_REPORT_NOTE_BYTES,
                       "The loss on the calibration rows is %.2f %%, above the aim of %.2f %%.",
                       100 * best_loss, 100 * c->options->loss_max);
    }
    return err;
}

static sb_err compile(struct sb_buf *best, struct sb_report *report, struct compilation *c,
                      sb_bytes onnx)
{
    SB_TRY(check_options(c->options, c->diag));
    SB_TRY(load_graphs(c, onnx));
    c->ranges = sb_arena_zalloc(&c->memory, c->graph.value_capacity * sizeof *c->ranges);
    if (c->ranges == NULL) {
        return sb_fail(c->diag, SB_E_NOMEM, "out of memory for calibration");
    }
    if (c->calibration != NULL) {
        SB_TRY(sb_ranges_measure(c->ranges, &c->graph, c->calibration, c->options, c->diag));
    }
    SB_TRY(choose(best, report, c));
    SB_TRY(sb_measure_model(report, sb_buf_bytes(best), c->diag));
    report->onnx_nodes = c->reference.node_count;
    const struct sb_dataset *rows = c->test != NULL ? c->test : c->calibration;
    if (c->options->measure_layers && rows != NULL) {
        struct sb_lowering l = {
            .graph = &c->graph,
            .ranges = c->ranges,
            .precision = report->precision,
            .name = "probe",
            .memory = &c->memory,
            .diag = c->diag,
        };
        struct sb_dataset few = sb_dataset_slice(rows, 0, SB_MEASURE_LAYER_ROWS);
        SB_TRY(sb_measure_layers(report, &l, &few));
    }
    if (c->test != NULL) {
        SB_TRY(sb_measure_accuracy(&report->test, sb_buf_bytes(best), &c->reference, c->test,
                                   c->diag));
    }
    return SB_OK;
}

sb_err sb_compile(struct sb_buf *ret_file, struct sb_report *ret_report, sb_bytes onnx,
                  const struct sb_dataset *calibration, const struct sb_dataset *test,
                  const struct sb_compile_options *options, struct sb_diag *diag)
{
    struct compilation c = {
        .calibration = calibration, .test = test, .options = options, .diag = diag};
    struct sb_report report = {0};
    struct sb_buf best;
    sb_arena_init(&c.memory, SB_GRAPH_BYTES_MAX);
    sb_buf_init(&best, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = compile(&best, &report, &c, onnx);
    if (err == SB_OK) {
        sb_buf_add(ret_file, best.data, best.len);
        err = sb_buf_err(ret_file) == SB_OK
                  ? SB_OK
                  : sb_fail(diag, SB_E_LIMIT,
                            "the model file has %zu bytes, more than its buffer "
                            "takes",
                            best.len);
    }
    sb_buf_fini(&best);
    sb_arena_fini(&c.memory);
    if (err != SB_OK) {
        sb_report_fini(&report);
        return err;
    }
    *ret_report = report;
    return SB_OK;
}

sb_err sb_compile_measure(struct sb_report_accuracy *ret, sb_bytes model_file, sb_bytes onnx,
                          const struct sb_dataset *rows, struct sb_diag *diag)
{
    struct sb_graph reference;
    struct sb_arena memory;
    sb_arena_init(&memory, SB_GRAPH_BYTES_MAX);
    sb_err err = sb_onnx_load(&reference, onnx, &memory, diag);
    if (err == SB_OK) {
        uint32_t batch = 1;
        err = sb_measure_batch(&batch, model_file, diag);
        err = err == SB_OK ? sb_passes_fix_batch(&reference, batch, diag) : err;
    }
    if (err == SB_OK && reference.input_count == 0) {
        err = sb_fail(diag, SB_E_UNSUPPORTED, "the model has no inputs");
    }
    err = err == SB_OK ? check_rows(&reference, rows, diag) : err;
    err = err == SB_OK ? sb_measure_accuracy(ret, model_file, &reference, rows, diag) : err;
    sb_arena_fini(&memory);
    return err;
}
