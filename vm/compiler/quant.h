/* quant.h: from real factors to the integers of a model file. */
#ifndef SB_VM_COMPILER_QUANT_H
#define SB_VM_COMPILER_QUANT_H

#include "vm/tensor/tensor.h"

/* A real factor as mult / 2^shift. */
struct sb_factor {
    int64_t mult;
    uint32_t shift;
};

/* How raw elements stand for real numbers: real = (raw - zero_point) * scale; raw in [lo, hi]. */
struct sb_format {
    enum sb_dtype dtype;
    double scale; /* exactly quant.scale_mult / 2^quant.scale_shift */
    struct sb_quant quant;
    int64_t lo;
    int64_t hi;
};

/* sb_format_of: a format with a scale as near to `scale` as 31 bits allow; the range is the type's own. scale in [2^-31, 2^30], else it is
 * brought to the nearer end. */
struct sb_format sb_format_of(enum sb_dtype dtype, double scale, int32_t zero_point);
/* sb_format_fx: Qm.n in 32 bits. */
struct sb_format sb_format_fx(unsigned fraction_bits);
/* sb_format_raw: the element nearest to a real number, brought into [lo, hi]; lo for what is not a number. */
int64_t sb_format_raw(const struct sb_format *format, double real);
double sb_format_real(const struct sb_format *format, int64_t raw);

/* sb_requantise_factor: M in [2^30, 2^31), S in [1, 62] for GEMM and CONV2D; false if the factor is outside [2^-31, 2^30). */
bool sb_requantise_factor(struct sb_factor *ret, double factor);

/* sb_factor_of: mult in [1, mult_max], shift in [0, shift_max], as exact as possible with magnitude * mult at most 2^62; false if the
 * factor cannot be represented within a thousandth. A power of two comes out exactly, with the smallest shift. */
bool sb_factor_of(struct sb_factor *ret, double factor, double magnitude, int64_t mult_max,
                  uint32_t shift_max);

#endif
