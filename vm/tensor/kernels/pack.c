/* pack.c: see pack.h. */
#include "vm/tensor/kernels/pack.h"

#include <string.h>

#include "base/util/checked.h"

#define FOUR_BYTES   4u
#define ROWS_LEAST   4u /* fewer rows of weights are left to the reference */
#define FLIPPED_SIGN 128
#define SHIFT_UNUSED 62 /* where there is no row: a shift that is allowed */

static size_t align_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

size_t sb_pack_step(enum sb_dtype x_dtype)
{
    return FOUR_BYTES / sb_dtype_bytes(x_dtype);
}

size_t sb_pack_columns(size_t k, enum sb_dtype x_dtype)
{
    return align_up(k, sb_pack_step(x_dtype));
}

bool sb_pack_wanted(enum sb_cpu_level level, size_t n)
{
    return level != SB_CPU_LEVEL_C && n >= ROWS_LEAST;
}

size_t sb_pack_weight_bytes(size_t n, size_t k, enum sb_dtype x_dtype)
{
    return align_up(n, SB_PACK_ROWS) * sb_pack_columns(k, x_dtype);
}

size_t sb_pack_end_bytes(size_t n)
{
    return align_up(n, SB_PACK_ROWS) * (2 * sizeof(int32_t) + 1);
}

/* What the level adds to each element of x before it multiplies: VPDPBUSD takes x without a sign, VPMADDUBSW of |x| and sign(w, x) with one. */
static int32_t offset_of(enum sb_cpu_level level, enum sb_dtype x_dtype)
{
    if (x_dtype == SB_DTYPE_I16) {
        return 0;
    }
    if (level == SB_CPU_LEVEL_AVX2) {
        return x_dtype == SB_DTYPE_U8 ? -FLIPPED_SIGN : 0;
    }
    return x_dtype == SB_DTYPE_I8 ? FLIPPED_SIGN : 0;
}

static void pack_rows(int8_t *ret_panel, const int8_t *w, size_t rows, size_t k, size_t step)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < k; i++) {
            ret_panel[(i / step * SB_PACK_ROWS + r) * step + i % step] = w[r * k + i];
        }
    }
}

void sb_pack_weights(int8_t *ret_w, const struct sb_product *a, enum sb_dtype x_dtype)
{
    size_t k = a->pieces * a->piece_elements;
    size_t columns = sb_pack_columns(k, x_dtype);
    memset(ret_w, 0, sb_pack_weight_bytes(a->n, k, x_dtype));
    for (size_t n = 0; n < a->n; n += SB_PACK_ROWS) {
        size_t count = a->n - n < SB_PACK_ROWS ? a->n - n : SB_PACK_ROWS;
        pack_rows(ret_w + n * columns, a->w + n * k, count, k, sb_pack_step(x_dtype));
    }
}

static int64_t sum_of(const int8_t *w, size_t k)
{
    int64_t sum = 0;
    for (size_t i = 0; i < k; i++) {
        sum += w[i];
    }
    return sum;
}

void sb_pack_ends(struct sb_packed *ret, void *memory, const int8_t *packed_w,
                  const struct sb_product *a, enum sb_dtype x_dtype, enum sb_cpu_level level)
{
    size_t k = a->pieces * a->piece_elements;
    size_t rows = align_up(a->n, SB_PACK_ROWS);
    uint32_t offset = (uint32_t)(a->x_zero_point + offset_of(level, x_dtype));
    int32_t *start = memory;
    int32_t *mult = start + rows;
    uint8_t *shift = (uint8_t *)(mult + rows);
    memset(memory, 0, sb_pack_end_bytes(a->n));
    for (size_t n = 0; n < a->n; n++) {
        uint32_t sum = (uint32_t)sum_of(a->w + n * k, k); /* all modulo 2^32 */
        start[n] = (int32_t)((uint32_t)a->bias[n] - offset * sum);
    }
    memcpy(mult, a->mult, a->n * sizeof *mult);
    memset(shift, SHIFT_UNUSED, rows);
    memcpy(shift, a->shift, a->n);
    *ret = (struct sb_packed){.w = packed_w, .start = start, .mult = mult, .shift = shift};
}
