/* check_depthwise.c: rows of pixels of depthwise convolutions: any number of taps and channels, taps in the padding, x that ends where
 * memory ends. */
#include <stdlib.h>
#include <string.h>

#include "kernelcheck.h"

#include "base/util/assert.h"
#include "vm/tensor/kernels/pack.h"

#define ROUNDS        2000
#define TAPS_MOST     20
#define CHANNELS_MOST 200
#define PIXELS_MOST   9
#define ALIGN_BYTES   64u

struct depthwise_case {
    enum sb_dtype x_dtype;
    struct sb_depthwise a;
    struct kc_buffer x, pad, w, bias, mult, shift;
    const void *taps[TAPS_MOST];
    size_t steps[TAPS_MOST];
    void *memory;
    struct sb_packed packed;
};

static void call(const struct sb_kernels *kernels, const struct depthwise_case *c, void *ret_y)
{
    if (c->x_dtype == SB_DTYPE_I8) {
        kernels->depthwise_i8(ret_y, c->taps, c->steps, &c->a);
    } else if (c->x_dtype == SB_DTYPE_U8) {
        kernels->depthwise_u8(ret_y, c->taps, c->steps, &c->a);
    } else {
        kernels->depthwise_i16(ret_y, c->taps, c->steps, &c->a);
    }
}

static void fill_ends(struct kernelcheck *k, struct depthwise_case *c)
{
    static const enum sb_dtype types[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16, SB_DTYPE_I32};
    struct sb_depthwise *a = &c->a;
    size_t outputs = a->channels * a->multiplier;
    c->w = kc_input(outputs * a->taps);
    c->bias = kc_input(outputs * sizeof(int32_t));
    c->mult = kc_input(outputs * sizeof(int32_t));
    c->shift = kc_input(outputs);
    kc_fill(k, c->w.data, SB_DTYPE_I8, outputs * a->taps, -127, 127,
            (enum kc_style)(kc_random(k) % KC_STYLE_COUNT));
    kc_fill(k, c->bias.data, SB_DTYPE_I32, outputs, -100000, 100000, KC_RANDOM);
    kc_fill(k, c->mult.data, SB_DTYPE_I32, outputs, (int64_t)1 << 30, INT32_MAX, KC_RANDOM);
    kc_fill(k, c->shift.data, SB_DTYPE_U8, outputs, kc_random(k) % 3 == 0 ? 1 : 33, 46, KC_RANDOM);
    a->w = (const int8_t *)c->w.data;
    a->bias = (const int32_t *)(const void *)c->bias.data;
    a->mult = (const int32_t *)(const void *)c->mult.data;
    a->shift = c->shift.data;
    a->y.dtype = types[kc_random(k) % 4];
    a->y.lo = sb_dtype_min(a->y.dtype);
    a->y.hi = sb_dtype_max(a->y.dtype);
}

/* x and its taps: pixels of x anywhere, one after the other by a step, or some in the pad. */
static void fill_x(struct kernelcheck *k, struct depthwise_case *c, bool with_pads)
{
    struct sb_depthwise *a = &c->a;
    int64_t lo = sb_dtype_min(c->x_dtype);
    int64_t hi = sb_dtype_max(c->x_dtype);
    enum kc_style style = (enum kc_style)(kc_random(k) % KC_STYLE_COUNT);
    size_t size = sb_dtype_bytes(c->x_dtype);
    size_t pixel = a->channels * size;
    size_t step = pixel * (size_t)kc_random_in(k, 1, 2);
    size_t pixels = 2 * a->m + 3;
    c->x = kc_input(pixels * pixel);
    c->pad = kc_input(pixel + SB_DEPTHWISE_PAD_BYTES);
    a->x_end = c->x.data + c->x.bytes;
    a->x_zero_point = size == 1 ? (int32_t)kc_random_in(k, lo, hi) : 0;
    kc_fill(k, c->x.data, c->x_dtype, pixels * a->channels, lo, hi, style);
    kc_fill(k, c->pad.data, c->x_dtype, a->channels, a->x_zero_point, a->x_zero_point, KC_LOW);
    for (size_t t = 0; t < a->taps; t++) {
        bool in_pad = with_pads && kc_random(k) % 5 == 0;
        size_t room = pixels - ((a->m - 1) * step / pixel + 1);
        c->taps[t] =
            in_pad ? c->pad.data : c->x.data + pixel * (size_t)kc_random_in(k, 0, (int64_t)room);
        c->steps[t] = in_pad ? 0 : step;
    }
}

static void pack(struct kernelcheck *k, struct depthwise_case *c)
{
    enum sb_cpu_level level = k->kernels->level;
    struct sb_depthwise *a = &c->a;
    if (!sb_pack_depthwise_wanted(level, a->multiplier)) {
        return;
    }
    size_t bytes = sb_pack_depthwise_bytes(level, c->x_dtype, a->channels, a->taps);
    c->memory = aligned_alloc(ALIGN_BYTES, (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES);
    SB_ASSERT(c->memory != NULL);
    sb_pack_depthwise(&c->packed, c->memory, a, c->x_dtype, level);
    a->packed = &c->packed;
}

static void fini(struct depthwise_case *c)
{
    struct kc_buffer *buffers[] = {&c->x, &c->pad, &c->w, &c->bias, &c->mult, &c->shift};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        kc_free(buffers[i]);
    }
    free(c->memory);
}

static void check_once(struct kernelcheck *k, struct depthwise_case *c, int round)
{
    struct sb_depthwise *a = &c->a;
    size_t outputs = a->channels * a->multiplier;
    a->y_stride = outputs + (size_t)kc_random_in(k, 0, 3);
    fill_ends(k, c);
    fill_x(k, c, kc_random(k) % 2 == 0);
    pack(k, c);
    size_t bytes = ((a->m - 1) * a->y_stride + outputs) * sb_dtype_bytes(a->y.dtype);
    struct kc_buffer expected = kc_output(k, bytes);
    struct kc_buffer y = kc_output(k, bytes);
    char what[128];
    (void)snprintf(what, sizeof what,
                   "round %d, %zu pixels, %zu taps, %zu x %zu channels, %s to %s", round, a->m,
                   a->taps, a->channels, a->multiplier, sb_dtype_name(c->x_dtype),
                   sb_dtype_name(a->y.dtype));
    call(&sb_kernels_c, c, expected.data);
    call(k->kernels, c, y.data);
    kc_compare(k, &expected, &y, what);
    kc_free(&expected);
    kc_free(&y);
    fini(c);
}

void check_depthwise(struct kernelcheck *k)
{
    static const enum sb_dtype types[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16};
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        bool many = kc_random(k) % 3 == 0;
        struct depthwise_case c = {
            .x_dtype = types[kc_random(k) % 3],
            .a = {.m = (size_t)kc_random_in(k, 1, PIXELS_MOST),
                  .taps = (size_t)kc_random_in(k, 1, TAPS_MOST),
                  .channels = (size_t)kc_random_in(k, 1, many ? CHANNELS_MOST : 70),
                  .multiplier = kc_random(k) % 8 == 0 ? (size_t)kc_random_in(k, 2, 5) : 1}};
        check_once(k, &c, round);
    }
}

/* ---- bench ---- */

struct bench {
    const struct sb_kernels *kernels;
    struct depthwise_case c;
    uint8_t *y;
};

static void work(void *ctx)
{
    struct bench *b = ctx;
    call(b->kernels, &b->c, b->y);
}

static void bench_shape(struct kernelcheck *k, enum sb_dtype x_dtype, size_t m, size_t channels,
                        size_t multiplier)
{
    struct bench b = {.kernels = k->kernels,
                      .c = {.x_dtype = x_dtype,
                            .a = {.m = m,
                                  .taps = 9,
                                  .channels = channels,
                                  .multiplier = multiplier,
                                  .y_stride = channels * multiplier}}};
    size_t outputs = channels * multiplier;
    fill_ends(k, &b.c);
    kc_fill(k, b.c.shift.data, SB_DTYPE_U8, outputs, 40, 46, KC_RANDOM);
    fill_x(k, &b.c, false);
    b.c.a.y = (struct sb_requantise_params){.dtype = SB_DTYPE_I8, .lo = INT8_MIN, .hi = INT8_MAX};
    pack(k, &b.c);
    struct kc_buffer y = kc_output(k, m * outputs);
    b.y = y.data;
    char what[64];
    (void)snprintf(what, sizeof what, "depthwise %s 3x3, %zu pixels, %zu x %zu channels",
                   sb_dtype_name(x_dtype), m, channels, multiplier);
    kc_report_macs(k, what, 9.0 * (double)m * (double)outputs, kc_time(work, &b));
    kc_free(&y);
    fini(&b.c);
}

void bench_depthwise(struct kernelcheck *k)
{
    static const struct {
        size_t m, channels;
    } shapes[] = {{110, 32}, {54, 144}, {26, 192}, {12, 384}, {5, 960}, {1, 960}, {26, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        bench_shape(k, SB_DTYPE_U8, shapes[i].m, shapes[i].channels, 1);
    }
    bench_shape(k, SB_DTYPE_I8, 26, 192, 1);
    bench_shape(k, SB_DTYPE_I16, 26, 192, 1);
    bench_shape(k, SB_DTYPE_I8, 26, 192, 2);
}
