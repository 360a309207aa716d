/* lower.h: from a rewritten graph and its ranges to a model file.
 *
 * One walk in the order of execution. Each ONNX value becomes a tensor of the model with a format (type, scale, zero point, range) and a
 * layout. Images are computed NHWC; inputs and outputs keep ONNX's layout. Relu and Clip melt into the [lo, hi] of the tensor that
 * they read when nobody else reads it.
 *
 *     precision   activations                     weights            scales
 *     i8          i8 with zero point; i16 where   i8 per channel     from the calibrated range
 *                 a result or softmax is near
 *     i16         i16                             i8 per channel     from the calibrated range
 *     fx32        i32 Qm.n                        i32 Qm.n           powers of two
 * A QDQ model's own scales win. Trees compute in fixed point whatever the precision. */
#ifndef SB_VM_COMPILER_LOWER_H
#define SB_VM_COMPILER_LOWER_H

#include "base/util/buf.h"
#include "vm/compiler/quant.h"
#include "vm/compiler/ranges.h"
#include "vm/compiler/report.h"
#include "vm/tensor/build.h"

/* How a tensor of the model holds an ONNX value. */
enum sb_layout {
    SB_LAYOUT_PLAIN = 0, /* the same order of elements */
    SB_LAYOUT_NHWC,      /* rank 4, channels last */
    SB_LAYOUT_FLAT,      /* [B, H * W * C] where ONNX has [B, C * H * W] */
};

struct sb_lowered {
    uint32_t tensor; /* SB_BUILD_NONE: not lowered */
    struct sb_format format;
    enum sb_layout layout;
    struct sb_shape shape;  /* of the tensor in the model */
    uint32_t flat_channels; /* FLAT only */
};

struct sb_lowering {
    const struct sb_graph *graph;
    const struct sb_range *ranges; /* [value_count] */
    enum sb_precision precision;
    const char *name;
    /* Extra outputs, to look inside: values probe_first .. of those lowered, in order. */
    uint32_t probe_first;
    uint32_t probe_count;
    /* Filled: */
    struct sb_lowered *lowered; /* [value_count] */
    uint32_t *order;            /* [value_count]: values in the order in which they were lowered */
    uint32_t order_count;
    uint32_t *probed; /* [probe_count]: values behind the extra outputs */
    uint32_t probed_count;
    const char **ops; /* [value_count]: engine operator that made the value */
    bool *melted;     /* [value_count]: made by a Relu or Clip that is part of the node before it */
    bool *wide;       /* [value_count]: 16 bits where precision i8 has 8 */
    struct sb_report *report; /* receives notes; may be NULL */
    struct sb_arena *memory;
    struct sb_build *build;
    struct sb_diag *diag;
};

/* sb_lower: append the model file. Results live in lowering->memory. */
sb_err sb_lower(struct sb_buf *ret_file, struct sb_lowering *lowering) SB_MUST_USE;

#endif
