/* ranges.h: calibration: the range of each value of a graph over sample rows. */
#ifndef SB_VM_COMPILER_RANGES_H
#define SB_VM_COMPILER_RANGES_H

#include "vm/compiler/compile.h"
#include "vm/compiler/graph.h"

struct sb_range {
    bool known;
    double min;
    double max;
};

/* sb_feed: copy rows first .. first + batch - 1 of a data set into an input array of that batch; the last row is repeated if there are fewer. */
void sb_feed(double *ret_input, const struct sb_dataset *rows, uint64_t first, uint64_t batch);

/* sb_ranges_measure: evaluate the graph on the first rows_max rows and fill ranges [value_count]. With SB_CALIBRATION_PERCENTILE the part of
 * values outside the percentile on each side is cut off. */
sb_err sb_ranges_measure(struct sb_range *ranges, const struct sb_graph *graph,
                         const struct sb_dataset *rows, const struct sb_compile_options *options,
                         struct sb_diag *diag) SB_MUST_USE;

#endif
