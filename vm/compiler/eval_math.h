/* eval_math.h: functions of one number beyond those of eval.c, and where they bend. Private. */
#ifndef SB_VM_COMPILER_EVAL_MATH_H
#define SB_VM_COMPILER_EVAL_MATH_H

#include "vm/compiler/eval.h"

/* sb_eval_math_of: the function of an elementwise operator, as sb_eval_unary_of; not finite outside the function's domain. */
bool sb_eval_math_of(double *ret, const struct sb_graph_node *node, double x);

/* Outside [lo, hi] (infinite: nowhere) the function is a line to within 1e-12; at `jump` it has a step, its value there being that of the left. */
struct sb_eval_domain {
    double lo;
    double hi;
    double jump;
    bool jumps;
};
struct sb_eval_domain sb_eval_math_domain(const struct sb_graph_node *node);

#endif
