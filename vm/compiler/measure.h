/* measure.h: the integer model beside the float model, row by row. */
#ifndef SB_VM_COMPILER_MEASURE_H
#define SB_VM_COMPILER_MEASURE_H

#include "vm/compiler/dataset.h"
#include "vm/compiler/lower.h"
#include "vm/compiler/report.h"

#define SB_MEASURE_LAYER_ROWS 32 /* rows for the error of layers */

/* sb_measure_model: size, gas and operators of a model file. */
sb_err sb_measure_model(struct sb_report *report, sb_bytes file, struct sb_diag *diag) SB_MUST_USE;

/* sb_measure_batch: the first dimension of the model's first input. */
sb_err sb_measure_batch(uint32_t *ret, sb_bytes file, struct sb_diag *diag) SB_MUST_USE;

/* sb_measure_accuracy: run the model file and the reference graph on all rows. The class of a row is: a whole-number output itself; of one
 * score, whether it is above 0 (of a probability, 0.5); else the index of the greatest of the scores. */
sb_err sb_measure_accuracy(struct sb_report_accuracy *ret, sb_bytes file,
                           const struct sb_graph *reference, const struct sb_dataset *rows,
                           struct sb_diag *diag) SB_MUST_USE;

/* sb_measure_layers: fill report.layers: lowers again with the tensors inside as outputs, some at a time. */
sb_err sb_measure_layers(struct sb_report *report, struct sb_lowering *lowering,
                         const struct sb_dataset *rows) SB_MUST_USE;

#endif
