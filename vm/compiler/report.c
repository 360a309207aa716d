/* report.c: see report.h. */
#include "vm/compiler/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/json_writer.h"

static const char *const k_precisions[] = {"auto", "i8", "i16", "fx32"};

const char *sb_precision_name(enum sb_precision precision)
{
    return (size_t)precision < sizeof k_precisions / sizeof k_precisions[0]
               ? k_precisions[precision]
               : "?";
}

bool sb_precision_parse(enum sb_precision *ret, const char *text)
{
    for (size_t i = 0; i < sizeof k_precisions / sizeof k_precisions[0]; i++) {
        if (strcmp(text, k_precisions[i]) == 0) {
            *ret = (enum sb_precision)i;
            return true;
        }
    }
    return false;
}

void sb_report_fini(struct sb_report *report)
{
    free(report->layers);
    report->layers = NULL;
    report->layer_count = 0;
}

/* ---- text ---- */

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100 * (double)part / (double)whole;
}

static void text_accuracy(struct sb_buf *buf, const char *what, const struct sb_report_accuracy *a)
{
    if (a->rows == 0) {
        return;
    }
    sb_buf_addf(buf, "%s rows: %" PRIu64 "\n", what, a->rows);
    if (a->is_classifier) {
        sb_buf_addf(buf, "  same class as the float model  %" PRIu64 " (%.2f %%)\n", a->agree,
                    percent(a->agree, a->rows));
    }
    if (a->labelled_rows > 0) {
        sb_buf_addf(buf,
                    "  right                          float %" PRIu64 " (%.2f %%), integer %" PRIu64
                    " (%.2f %%)\n",
                    a->float_right, percent(a->float_right, a->labelled_rows), a->integer_right,
                    percent(a->integer_right, a->labelled_rows));
    }
    if (a->float_mse > 0) {
        sb_buf_addf(buf, "  mean squared error             float %.6g, integer %.6g\n",
                    a->float_mse, a->integer_mse);
    }
    sb_buf_addf(buf,
                "  output error                   max %.3g, rms %.3g (%.3g of the rms output)\n",
                a->output_error_max, a->output_error_rms, a->output_error_relative);
}

void sb_report_text(struct sb_buf *buf, const struct sb_report *report)
{
    sb_buf_addf(buf, "model      %s, precision %s\n", report->name,
                sb_precision_name(report->precision));
    sb_buf_addf(buf,
                "size       %" PRIu64 " bytes (%" PRIu64 " of constants), %" PRIu64
                " bytes of memory to run\n",
                report->file_bytes, report->const_bytes, report->arena_bytes);
    sb_buf_addf(buf,
                "gas        %" PRIu64 " a call, %" PRIu64 " more at first touch in a transaction\n",
                report->gas_warm, report->gas_cold);
    sb_buf_addf(buf, "operators  %" PRIu64 " node%s of ONNX, %" PRIu64 " here:", report->onnx_nodes,
                report->onnx_nodes == 1 ? "" : "s", report->nodes);
    for (uint32_t i = 0; i < report->op_count; i++) {
        sb_buf_addf(buf, " %s %" PRIu32, report->ops[i].name, report->ops[i].count);
    }
    sb_buf_add_str(buf, "\n");
    text_accuracy(buf, "calibration", &report->calibration);
    text_accuracy(buf, "test", &report->test);
    for (uint32_t i = 0; i < report->layer_count; i++) {
        const struct sb_report_layer *l = &report->layers[i];
        if (i == 0) {
            sb_buf_addf(buf, "%-32s %-14s %-5s %9s %11s %11s %9s\n", "layer", "operator", "type",
                        "elements", "max error", "rms error", "relative");
        }
        sb_buf_addf(buf, "%-32.32s %-14s %-5s %9" PRIu64 " %11.3g %11.3g %8.3f%%\n", l->name, l->op,
                    l->dtype, l->elements, l->error_max, l->error_rms, 100 * l->error_relative);
    }
    for (uint32_t i = 0; i < report->note_count; i++) {
        sb_buf_addf(buf, "note: %s\n", report->notes[i]);
    }
}

/* ---- JSON ---- */

static void json_u64(struct sb_json *json, const char *key, uint64_t value)
{
    sb_json_key(json, key);
    sb_json_u64(json, value);
}

static void json_str(struct sb_json *json, const char *key, const char *value)
{
    sb_json_key(json, key);
    sb_json_str(json, value);
}

/* Nine digits: more than any of these figures means. */
static void json_real(struct sb_json *json, const char *key, double value)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%.9g", value);
    sb_json_key(json, key);
    sb_json_raw(json, sb_span(text, (size_t)len));
}

static void json_accuracy(struct sb_json *json, const char *key, const struct sb_report_accuracy *a)
{
    if (a->rows == 0) {
        return;
    }
    sb_json_key(json, key);
    sb_json_object_begin(json);
    json_u64(json, "rows", a->rows);
    if (a->is_classifier) {
        json_u64(json, "agree", a->agree);
    }
    if (a->labelled_rows > 0) {
        json_u64(json, "labelledRows", a->labelled_rows);
        json_u64(json, "floatRight", a->float_right);
        json_u64(json, "integerRight", a->integer_right);
    }
    json_real(json, "outputErrorMax", a->output_error_max);
    json_real(json, "outputErrorRms", a->output_error_rms);
    json_real(json, "outputErrorRelative", a->output_error_relative);
    json_real(json, "floatMse", a->float_mse);
    json_real(json, "integerMse", a->integer_mse);
    sb_json_object_end(json);
}

static void json_layers(struct sb_json *json, const struct sb_report *report)
{
    sb_json_key(json, "layers");
    sb_json_array_begin(json);
    for (uint32_t i = 0; i < report->layer_count; i++) {
        const struct sb_report_layer *l = &report->layers[i];
        sb_json_object_begin(json);
        json_str(json, "name", l->name);
        json_str(json, "op", l->op);
        json_str(json, "type", l->dtype);
        json_u64(json, "elements", l->elements);
        json_real(json, "floatMax", l->float_max);
        json_real(json, "errorMax", l->error_max);
        json_real(json, "errorRms", l->error_rms);
        json_real(json, "errorRelative", l->error_relative);
        sb_json_object_end(json);
    }
    sb_json_array_end(json);
}

void sb_report_json(struct sb_buf *buf, const struct sb_report *report)
{
    struct sb_json json;
    sb_json_init(&json, buf);
    sb_json_object_begin(&json);
    json_str(&json, "name", report->name);
    json_str(&json, "precision", sb_precision_name(report->precision));
    json_u64(&json, "onnxNodes", report->onnx_nodes);
    json_u64(&json, "nodes", report->nodes);
    json_u64(&json, "fileBytes", report->file_bytes);
    json_u64(&json, "constBytes", report->const_bytes);
    json_u64(&json, "arenaBytes", report->arena_bytes);
    json_u64(&json, "gasWarm", report->gas_warm);
    json_u64(&json, "gasCold", report->gas_cold);
    sb_json_key(&json, "operators");
    sb_json_object_begin(&json);
    for (uint32_t i = 0; i < report->op_count; i++) {
        json_u64(&json, report->ops[i].name, report->ops[i].count);
    }
    sb_json_object_end(&json);
    json_accuracy(&json, "calibration", &report->calibration);
    json_accuracy(&json, "test", &report->test);
    json_layers(&json, report);
    sb_json_key(&json, "notes");
    sb_json_array_begin(&json);
    for (uint32_t i = 0; i < report->note_count; i++) {
        sb_json_str(&json, report->notes[i]);
    }
    sb_json_array_end(&json);
    sb_json_object_end(&json);
}
