/* check_requantise.c: sums to elements: every shift, ties, and sums at the ends of int32. */
#include <string.h>

#include "kernelcheck.h"

#include "base/util/assert.h"

#define ROUNDS 3000

struct requantise_case {
    size_t m, n, y_stride;
    struct sb_requantise_params p;
    struct kc_buffer acc, mult, shift, y;
};

static void call(const struct sb_kernels *kernels, const struct requantise_case *c, void *ret_y)
{
    kernels->requantise(ret_y, (const int32_t *)(const void *)c->acc.data,
                        (const int32_t *)(const void *)c->mult.data, c->shift.data, c->m, c->n,
                        c->y_stride, &c->p);
}

static struct sb_requantise_params random_params(struct kernelcheck *k)
{
    static const enum sb_dtype types[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16, SB_DTYPE_I32};
    struct sb_requantise_params p = {.dtype = types[kc_random(k) % 4]};
    int64_t min = sb_dtype_min(p.dtype);
    int64_t max = sb_dtype_max(p.dtype);
    if (sb_dtype_bytes(p.dtype) == 1) {
        p.zero_point = (int32_t)kc_random_in(k, min, max);
    }
    p.lo = kc_random(k) % 2 == 0 ? min : kc_random_in(k, min, max);
    p.hi = kc_random(k) % 2 == 0 ? max : kc_random_in(k, p.lo, max);
    return p;
}

static struct requantise_case make(struct kernelcheck *k, size_t m, size_t n, int64_t shift_lo)
{
    struct requantise_case c = {.m = m, .n = n, .p = random_params(k)};
    c.y_stride = n + (size_t)kc_random_in(k, 0, 5);
    c.acc = kc_input(m * n * sizeof(int32_t));
    c.mult = kc_input(n * sizeof(int32_t));
    c.shift = kc_input(n);
    int64_t reach = (int64_t)1 << kc_random_in(k, 0, 31);
    enum kc_style style = (enum kc_style)(kc_random(k) % KC_STYLE_COUNT);
    kc_fill(k, c.acc.data, SB_DTYPE_I32, m * n, -reach,
            reach == (int64_t)1 << 31 ? reach - 1 : reach, style);
    kc_fill(k, c.mult.data, SB_DTYPE_I32, n, (int64_t)1 << 30, INT32_MAX,
            (enum kc_style)(kc_random(k) % KC_STYLE_COUNT));
    kc_fill(k, c.shift.data, SB_DTYPE_U8, n, shift_lo, 62, KC_RANDOM);
    return c;
}

static void fini(struct requantise_case *c)
{
    kc_free(&c->acc);
    kc_free(&c->mult);
    kc_free(&c->shift);
}

void check_requantise(struct kernelcheck *k)
{
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        size_t m = (size_t)kc_random_in(k, 1, 5);
        size_t n = (size_t)kc_random_in(k, 1, 70);
        struct requantise_case c = make(k, m, n, round % 2 == 0 ? 1 : 33);
        size_t bytes = ((m - 1) * c.y_stride + n) * sb_dtype_bytes(c.p.dtype);
        struct kc_buffer expected = kc_output(k, bytes);
        struct kc_buffer y = kc_output(k, bytes);
        char what[96];
        (void)snprintf(what, sizeof what, "round %d, %zu x %zu to %s", round, m, n,
                       sb_dtype_name(c.p.dtype));
        call(&sb_kernels_c, &c, expected.data);
        call(k->kernels, &c, y.data);
        kc_compare(k, &expected, &y, what);
        kc_free(&expected);
        kc_free(&y);
        fini(&c);
    }
}

struct bench {
    const struct sb_kernels *kernels;
    struct requantise_case c;
    void *y;
};

static void work(void *ctx)
{
    struct bench *b = ctx;
    call(b->kernels, &b->c, b->y);
}

void bench_requantise(struct kernelcheck *k)
{
    for (int64_t shift = 1; shift <= 33; shift += 32) {
        struct bench b = {.kernels = k->kernels, .c = make(k, 16, 256, shift)};
        b.c.p.dtype = SB_DTYPE_I8;
        b.c.p.lo = INT8_MIN;
        b.c.p.hi = INT8_MAX;
        struct kc_buffer y = kc_output(k, 16 * b.c.y_stride);
        b.y = y.data;
        kc_report_elements(k, shift == 1 ? "requantise, all shifts" : "requantise, shifts over 32",
                           16 * 256, kc_time(work, &b));
        kc_free(&y);
        fini(&b.c);
    }
}
