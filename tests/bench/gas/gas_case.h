/* gas_case.h: a case of the gas bench: one operator at one shape, as a model.
 *
 *     ADD | i8[1024], i8[1024] -> i8[1024] | 3 5 1        operator | tensors | attributes
 *
 * A tensor is `[const] TYPE[dims]{lo..hi}@zero_point`; the range (the type's own if left out) is that of an input, of a constant's
 * random elements, or the clamp of the output. The model holds `copies` of the node, each with its own output, and a marker node at
 * the end that tells when they are done. */
#ifndef SB_TESTS_BENCH_GAS_CASE_H
#define SB_TESTS_BENCH_GAS_CASE_H

#include "base/util/buf.h"
#include "vm/tensor/ops.h"

struct gas_case {
    enum sb_op_id op;
    const char *name; /* of the operator */
    const char *
        tensors; /* of TREE_ENSEMBLE: `trees T depth D features F rows R`, then `chain` for trees that are one long branch */
    const char *attrs;
};

/* gas_cases: the list of gas_cases.def. */
extern const struct gas_case gas_cases[];
extern const size_t gas_case_count;

/* gas_case_build: append the model file to ret_file. Ends the program, naming the case, if the case is wrong. */
void gas_case_build(struct sb_buf *ret_file, const struct gas_case *c, uint32_t copies);

/* gas_case_copies: how many copies make a run long enough to be timed. */
uint32_t gas_case_copies(const struct gas_case *c);

#endif
