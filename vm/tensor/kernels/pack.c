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

/* ---- depthwise ---- */

#define LANE   ((size_t)16) /* outputs of one lane of 16 bytes */
#define QUAD   ((size_t)4)  /* taps that are multiplied together */
#define WIDE   ((size_t)4)  /* lanes of AVX-512 */
#define NARROW ((size_t)2)  /* lanes of AVX2 */

struct sb_depthwise_plan sb_depthwise_plan_of(enum sb_cpu_level level, enum sb_dtype x_dtype,
                                              size_t outputs, size_t taps)
{
    if (x_dtype == SB_DTYPE_I16) {
        return (struct sb_depthwise_plan){.block = outputs, .blocks = 1};
    }
    bool wide = level == SB_CPU_LEVEL_AVX512_VNNI && outputs >= WIDE * LANE;
    struct sb_depthwise_plan plan = {.lanes = wide ? WIDE : NARROW,
                                     .quads = (taps + QUAD - 1) / QUAD};
    plan.block = plan.lanes * LANE;
    plan.blocks = (outputs + plan.block - 1) / plan.block;
    return plan;
}

size_t sb_depthwise_first(const struct sb_depthwise_plan *plan, size_t outputs, size_t block)
{
    size_t first = block * plan->block;
    return outputs < plan->block            ? 0
           : first + plan->block <= outputs ? first
                                            : outputs - plan->block;
}

/* Outputs with their padding or overlap. */
static size_t places_of(const struct sb_depthwise_plan *plan)
{
    return plan->lanes == 0 ? align_up(plan->block, LANE) : plan->blocks * plan->block;
}

static size_t depthwise_weight_bytes(const struct sb_depthwise_plan *plan, size_t taps)
{
    return align_up(places_of(plan) * (plan->lanes == 0 ? taps : plan->quads * QUAD), 64);
}

bool sb_pack_depthwise_wanted(enum sb_cpu_level level, size_t multiplier)
{
    return level != SB_CPU_LEVEL_C && multiplier == 1;
}

size_t sb_pack_depthwise_bytes(enum sb_cpu_level level, enum sb_dtype x_dtype, size_t outputs,
                               size_t taps)
{
    struct sb_depthwise_plan plan = sb_depthwise_plan_of(level, x_dtype, outputs, taps);
    return depthwise_weight_bytes(&plan, taps) + places_of(&plan) * (2 * sizeof(int32_t) + 1);
}

/* The output at a place: numbers of padding are beyond the last. */
static size_t output_at(const struct sb_depthwise_plan *plan, size_t outputs, size_t place)
{
    if (plan->lanes == 0) {
        return place;
    }
    size_t i = place % plan->block;
    size_t j = i / (4 * plan->lanes);
    size_t lane = i / 4 % plan->lanes;
    return sb_depthwise_first(plan, outputs, place / plan->block) + LANE * lane + 4 * j + i % 4;
}

/* Where the weight of a tap at a place is. */
static size_t weight_index(const struct sb_depthwise_plan *plan, size_t place, size_t tap)
{
    if (plan->lanes == 0) {
        return tap * places_of(plan) + place;
    }
    size_t block = place / plan->block;
    return ((block * plan->quads + tap / QUAD) * plan->block + place % plan->block) * QUAD +
           tap % QUAD;
}

void sb_pack_depthwise(struct sb_packed *ret, void *memory, const struct sb_depthwise *a,
                       enum sb_dtype x_dtype, enum sb_cpu_level level)
{
    size_t outputs = a->channels;
    struct sb_depthwise_plan plan = sb_depthwise_plan_of(level, x_dtype, outputs, a->taps);
    size_t places = places_of(&plan);
    bool by_avx2 = level == SB_CPU_LEVEL_AVX512_VNNI && plan.lanes == NARROW;
    uint32_t offset =
        (uint32_t)(a->x_zero_point + offset_of(by_avx2 ? SB_CPU_LEVEL_AVX2 : level, x_dtype));
    int8_t *w = memory;
    int32_t *start = (int32_t *)(void *)(w + depthwise_weight_bytes(&plan, a->taps));
    int32_t *mult = start + places;
    uint8_t *shift = (uint8_t *)(mult + places);
    memset(memory, 0, sb_pack_depthwise_bytes(level, x_dtype, outputs, a->taps));
    memset(shift, SHIFT_UNUSED, places);
    for (size_t place = 0; place < places; place++) {
        size_t o = output_at(&plan, outputs, place);
        if (o >= outputs) {
            continue;
        }
        for (size_t t = 0; t < a->taps; t++) {
            w[weight_index(&plan, place, t)] = a->w[o * a->taps + t];
        }
        uint32_t sum = (uint32_t)sum_of(a->w + o * a->taps, a->taps); /* all modulo 2^32 */
        start[place] = (int32_t)((uint32_t)a->bias[o] - offset * sum);
        mult[place] = a->mult[o];
        shift[place] = a->shift[o];
    }
    *ret = (struct sb_packed){.w = w, .start = start, .mult = mult, .shift = shift};
}
