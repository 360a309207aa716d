/* report.h: what a compilation gave: size, gas, error of each layer, accuracy against the float model and against known answers. */
#ifndef SB_VM_COMPILER_REPORT_H
#define SB_VM_COMPILER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/buf.h"

#define SB_REPORT_NAME_BYTES 64
#define SB_REPORT_NOTES_MAX  16
#define SB_REPORT_OPS_MAX    64
#define SB_REPORT_LAYERS_MAX 8192
#define SB_REPORT_NOTE_BYTES 200

/* How the model computes; SB_PRECISION_AUTO is for options only. */
enum sb_precision {
    SB_PRECISION_AUTO = 0,
    SB_PRECISION_I8,   /* i8 activations and weights */
    SB_PRECISION_I16,  /* i16 activations, i8 weights */
    SB_PRECISION_FX32, /* i32 fixed point */
};

/* sb_precision_name: "auto", "i8", "i16", "fx32". Static. sb_precision_parse: false for any other text. */
const char *sb_precision_name(enum sb_precision precision);
bool sb_precision_parse(enum sb_precision *ret, const char *text);

/* Error of one tensor of the model over the measured rows, in real numbers, against the float model. */
struct sb_report_layer {
    char name[SB_REPORT_NAME_BYTES]; /* of the ONNX value */
    char op[16];                     /* engine operator that writes it */
    char dtype[8];
    uint64_t elements;
    double float_max; /* greatest magnitude of the float value */
    double error_max;
    double error_rms;
    double error_relative; /* error_rms / rms of the float value */
};

/* How well a model does on a set of rows. */
struct sb_report_accuracy {
    uint64_t rows;           /* 0: not measured */
    uint64_t labelled_rows;  /* rows whose class is known */
    uint64_t float_right;    /* rows where the float model gives the known class */
    uint64_t integer_right;  /* rows where the integer model does */
    bool is_classifier;      /* else class figures are 0 */
    uint64_t agree;          /* rows where both give the same class */
    double output_error_max; /* integer against float, over all outputs */
    double output_error_rms;
    double output_error_relative; /* rms of the error by rms of the float output */
    double float_mse;             /* against targets, or for a regressor; 0 if unknown */
    double integer_mse;
};

struct sb_report_op {
    char name[24];
    uint16_t version;
    uint32_t count;
};

struct sb_report {
    char name[SB_REPORT_NAME_BYTES];
    enum sb_precision precision; /* that was chosen */
    uint64_t onnx_nodes;
    uint64_t nodes;
    uint64_t file_bytes;
    uint64_t const_bytes;
    uint64_t arena_bytes;
    uint64_t gas_warm;
    uint64_t gas_cold; /* what a first touch in a transaction adds */
    uint32_t op_count;
    struct sb_report_op ops[SB_REPORT_OPS_MAX];
    uint32_t layer_count;
    struct sb_report_layer *layers;        /* owned; in order of execution; empty without samples */
    struct sb_report_accuracy calibration; /* on the calibration rows */
    struct sb_report_accuracy test;        /* on the test rows */
    uint32_t note_count;
    char notes[SB_REPORT_NOTES_MAX]
              [SB_REPORT_NOTE_BYTES]; /* what a user should know, a sentence each */
};

/* sb_report_fini: free what a report owns. A zeroed one is allowed. */
void sb_report_fini(struct sb_report *report);
/* sb_report_text, sb_report_json: append the report for a person, or as one JSON object. Check the buffer afterwards. */
void sb_report_text(struct sb_buf *buf, const struct sb_report *report);
void sb_report_json(struct sb_buf *buf, const struct sb_report *report);

#endif
