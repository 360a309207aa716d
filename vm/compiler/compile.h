/* compile.h: ONNX to model file: the door of the compiler for the command line and for tests.
 *
 *     onnx bytes --load--> graph --fold, fuse--> graph --calibrate, choose formats--> --lower--> .sbm, verified by the engine
 *                                     `--float reference on the same rows--> report
 *
 * This is the only folder with floating point; nothing here is on the validating path. No function does I/O: callers load the files.
 * An operator, attribute or shape that is not supported is an error that names node, operator and operator set and says what to do;
 * the meaning of a model is never changed silently. */
#ifndef SB_VM_COMPILER_COMPILE_H
#define SB_VM_COMPILER_COMPILE_H

#include "base/util/buf.h"
#include "base/util/err.h"
#include "base/util/span.h"
#include "vm/compiler/dataset.h"
#include "vm/compiler/report.h"

#define SB_ONNX_FILE_BYTES_MAX ((size_t)256 << 20)

/* How the range of an activation is taken from the calibration rows. */
enum sb_calibration {
    SB_CALIBRATION_MIN_MAX = 0,
    SB_CALIBRATION_PERCENTILE, /* the rarest values on each side are clamped */
};

struct sb_compile_options {
    const char *name; /* of the model; NULL: the graph's */
    enum sb_precision precision;
    enum sb_calibration calibration;
    double percentile; /* for SB_CALIBRATION_PERCENTILE: 50 < p <= 100 */
    /* AUTO: greatest share of calibration rows whose class may differ from the float model's (for other models: greatest relative error
     * of the outputs). Scores of a classifier must also be within 5 %. */
    double loss_max;
    const char
        *dims; /* sizes of free dimensions other than the batch: "past=127,length=16"; NULL: none */
    uint32_t batch;      /* rows in one call; replaces a free first dimension */
    uint64_t rows_max;   /* calibration rows that are used, at most */
    bool measure_layers; /* fill report.layers */
};

/* sb_compile_options_default: AUTO, min-max, loss 2 %, batch 1, 256 rows, layers measured. */
struct sb_compile_options sb_compile_options_default(void);

/* sb_compile: make a model file from an ONNX file.
 * calibration: rows in the layout of the ONNX input (NCHW for images; several inputs laid end to end, in their order), NULL if there are none; quantised precisions of a float model
 * need them. Without them AUTO takes the scales of a QDQ model, or fx32; tree ensembles need none.
 * test: rows to measure accuracy on, NULL for none. Both are borrowed.
 * The model file is appended to ret_file; it has been accepted by sb_model_load. Its inputs and outputs keep ONNX names, shapes and layout
 * (labels and probabilities of classifiers as tensors). ret_report is filled on success and owned by the caller.
 * Returns 0; SB_E_SYNTAX, SB_E_TRUNCATED, SB_E_TYPE, SB_E_SHAPE, SB_E_RANGE (malformed model), SB_E_UNSUPPORTED (named node, operator,
 * operator set), SB_E_ARG (options, or samples that do not fit), SB_E_LIMIT, SB_E_NOMEM, with a message in diag. */
sb_err sb_compile(struct sb_buf *ret_file, struct sb_report *ret_report, sb_bytes onnx,
                  const struct sb_dataset *calibration, const struct sb_dataset *test,
                  const struct sb_compile_options *options, struct sb_diag *diag) SB_MUST_USE;

/* sb_compile_measure: run a model file and its ONNX original side by side on rows. */
sb_err sb_compile_measure(struct sb_report_accuracy *ret, sb_bytes model_file, sb_bytes onnx,
                          const struct sb_dataset *rows, struct sb_diag *diag) SB_MUST_USE;

#endif
