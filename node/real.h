/* real.h: floating-point numbers of sample files to SD59x18 and back, exactly where that is possible. Only commands use it. */
#ifndef SB_NODE_REAL_H
#define SB_NODE_REAL_H

#include "base/num/u256.h"
#include "base/util/err.h"
#include "node/units.h"

/* A sign more than an amount. */
#define SB_REAL_TEXT_BYTES (SB_UNITS_TEXT_BYTES + 1)

/* sb_real_from_double: x * 10^18, rounded once, half up; two's complement. SB_E_RANGE when x is not finite or does not fit. */
sb_err sb_real_from_double(sb_u256 *ret_real, double x) SB_MUST_USE;
/* sb_real_to_double: the nearest double or its neighbour. */
double sb_real_to_double(const sb_u256 *real);
/* sb_real_format: "-1.25", all decimals, terminated. */
void sb_real_format(char ret[SB_REAL_TEXT_BYTES], const sb_u256 *real);

#endif
