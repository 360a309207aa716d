/* quant.c: see quant.h. */
#include "vm/compiler/quant.h"

#include <math.h>

#define FACTOR_ERROR 1e-3 /* a fifth of a step of 8 bits */

struct sb_format sb_format_of(enum sb_dtype dtype, double scale, int32_t zero_point)
{
    int exponent = 0;
    scale = fmin(0x1p30, fmax(0x1p-31, scale));
    double fraction = frexp(scale, &exponent); /* in [0.5, 1) */
    double mult = nearbyint(ldexp(fraction, 31));
    if (mult >= 0x1p31) {
        mult /= 2;
        exponent++;
    }
    int shift = 31 - exponent;
    while (shift > 0 && fmod(mult, 2) == 0) {
        mult /= 2;
        shift--;
    }
    return (struct sb_format){
        .dtype = dtype,
        .scale = ldexp(mult, -shift),
        .quant = {.zero_point = zero_point,
                  .scale_mult = (uint32_t)mult,
                  .scale_shift = (uint8_t)shift},
        .lo = sb_dtype_min(dtype),
        .hi = sb_dtype_max(dtype),
    };
}

struct sb_format sb_format_fx(unsigned fraction_bits)
{
    return sb_format_of(SB_DTYPE_I32, ldexp(1, -(int)fraction_bits), 0);
}

int64_t sb_format_raw(const struct sb_format *format, double real)
{
    double raw = floor(real / format->scale + 0.5) + format->quant.zero_point;
    if (raw <= (double)format->lo || isnan(raw)) {
        return format->lo;
    }
    return raw >= (double)format->hi ? format->hi : (int64_t)raw;
}

double sb_format_real(const struct sb_format *format, int64_t raw)
{
    return (double)(raw - format->quant.zero_point) * format->scale;
}

bool sb_requantise_factor(struct sb_factor *ret, double factor)
{
    int exponent = 0;
    double fraction = frexp(factor, &exponent);
    double mult = nearbyint(ldexp(fraction, 31));
    if (mult >= 0x1p31) {
        mult /= 2;
        exponent++;
    }
    int shift = 31 - exponent;
    if (!(factor > 0) || shift < 1 || shift > 62) {
        return false;
    }
    *ret = (struct sb_factor){.mult = (int64_t)mult, .shift = (uint32_t)shift};
    return true;
}

bool sb_factor_of(struct sb_factor *ret, double factor, double magnitude, int64_t mult_max,
                  uint32_t shift_max)
{
    double limit = fmin((double)mult_max, 0x1p62 / fmax(1, magnitude));
    for (int shift = (int)shift_max; factor > 0 && shift >= 0; shift--) {
        double mult = nearbyint(ldexp(factor, shift));
        if (shift > 61 || mult > limit) {
            continue;
        }
        if (fabs(ldexp(mult, -shift) - factor) > factor * FACTOR_ERROR) {
            return false;
        }
        while (shift > 0 && fmod(mult, 2) == 0) {
            mult /= 2;
            shift--;
        }
        *ret = (struct sb_factor){.mult = (int64_t)mult, .shift = (uint32_t)shift};
        return true;
    }
    return false;
}
