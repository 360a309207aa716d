/* check_element.c: the loops of kernels/element.h: every type, every reach at the ends of what it allows, tables, pools, transposes. */
#include "kernelcheck.h"

#include <string.h>

#include "base/util/checked.h"

#define ROUNDS      3000
#define COUNT_MAX   150
#define BENCH_COUNT 4096

static const enum sb_dtype k_lane_types[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16, SB_DTYPE_U16,
                                             SB_DTYPE_I32};

static enum kc_style random_style(struct kernelcheck *k)
{
    return (enum kc_style)(kc_random(k) % KC_STYLE_COUNT);
}

/* What one call writes, from both tables. */
struct pair {
    struct kc_buffer expected;
    struct kc_buffer y;
    size_t count;
};

static struct pair pair_new(struct kernelcheck *k, size_t count, size_t size)
{
    return (struct pair){
        .expected = kc_output(k, count * size), .y = kc_output(k, count * size), .count = count};
}

static void pair_end(struct kernelcheck *k, struct pair *p, const char *name, int round)
{
    char what[96];
    (void)snprintf(what, sizeof what, "%s, round %d, %zu elements", name, round, p->count);
    kc_compare(k, &p->expected, &p->y, what);
    kc_free(&p->expected);
    kc_free(&p->y);
}

static struct kc_buffer random_input(struct kernelcheck *k, enum sb_dtype dtype, size_t count)
{
    struct kc_buffer x = kc_input(count * sb_dtype_bytes(dtype));
    kc_fill(k, x.data, dtype, count, sb_dtype_min(dtype), sb_dtype_max(dtype), random_style(k));
    return x;
}

static void check_load_store(struct kernelcheck *k, int round)
{
    const struct sb_element_kernels *c = sb_kernels_c.element;
    enum sb_dtype dtype = k_lane_types[kc_random(k) % 5];
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    bool bytes = sb_dtype_bytes(dtype) == 1;
    int32_t zero_point =
        bytes ? (int32_t)kc_random_in(k, sb_dtype_min(dtype), sb_dtype_max(dtype)) : 0;
    struct kc_buffer x = random_input(k, dtype, count);
    struct pair p = pair_new(k, count, sizeof(int32_t));
    c->load[dtype]((int32_t *)(void *)p.expected.data, x.data, count, zero_point);
    k->kernels->element->load[dtype]((int32_t *)(void *)p.y.data, x.data, count, zero_point);
    pair_end(k, &p, "load", round);
    struct kc_buffer lanes = kc_input(count * sizeof(int32_t));
    kc_fill(k, lanes.data, SB_DTYPE_I32, count, sb_dtype_min(dtype), sb_dtype_max(dtype),
            random_style(k));
    p = pair_new(k, count, sb_dtype_bytes(dtype));
    c->store[dtype](p.expected.data, (const int32_t *)(const void *)lanes.data, count);
    k->kernels->element->store[dtype](p.y.data, (const int32_t *)(const void *)lanes.data, count);
    pair_end(k, &p, "store", round);
    kc_free(&x);
    kc_free(&lanes);
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? (uint64_t)-v : (uint64_t)v;
}

/* The narrowest reach that a sum of this magnitude allows; false if it allows none. */
static bool set_reach(struct sb_affine *a, uint64_t sum)
{
    uint64_t half = a->shift == 0 ? 0 : (uint64_t)1 << (a->shift - 1);
    if (sum + half > INT64_MAX) {
        return false;
    }
    a->reach = sum + half <= INT32_MAX                ? SB_REACH_I32
               : (sum + half) >> a->shift < INT32_MAX ? SB_REACH_DOWN
                                                      : SB_REACH_I64;
    return true;
}

static struct sb_affine random_affine(struct kernelcheck *k)
{
    int64_t lo = kc_random_in(k, -((int64_t)1 << kc_random_in(k, 0, 31)), 0);
    int64_t hi = kc_random_in(k, 0, ((int64_t)1 << kc_random_in(k, 0, 31)) - 1);
    struct sb_affine a = {
        .mult_a = (int32_t)kc_random_in(k, -(INT32_MAX >> kc_random_in(k, 0, 31)), 1 << 30),
        .mult_b = (int32_t)kc_random_in(k, -(INT32_MAX >> kc_random_in(k, 0, 31)), 1 << 30),
        .shift = (unsigned)kc_random_in(k, 0, 62),
        .lo = (int32_t)lo,
        .hi = (int32_t)hi};
    if (lo >= INT16_MIN && hi <= INT16_MAX) {
        a.zero_point = (int32_t)kc_random_in(k, INT8_MIN, UINT8_MAX);
    }
    return a;
}

static void check_affine(struct kernelcheck *k, int round)
{
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    struct sb_affine f = random_affine(k);
    int64_t a_max = ((int64_t)1 << kc_random_in(k, 0, 31)) - 1;
    int64_t b_max = ((int64_t)1 << kc_random_in(k, 0, 31)) - 1;
    struct kc_buffer a = kc_input(count * sizeof(int32_t));
    struct kc_buffer b = kc_input(count * sizeof(int32_t));
    kc_fill(k, a.data, SB_DTYPE_I32, count, -a_max, a_max, random_style(k));
    kc_fill(k, b.data, SB_DTYPE_I32, count, -b_max, b_max, random_style(k));
    const int32_t *pa = (const int32_t *)(const void *)a.data;
    const int32_t *pb = (const int32_t *)(const void *)b.data;
    const struct sb_element_kernels *kernels[2] = {sb_kernels_c.element, k->kernels->element};
    uint64_t ma = (uint64_t)a_max * magnitude(f.mult_a);
    uint64_t mb = (uint64_t)b_max * magnitude(f.mult_b);
    if (set_reach(&f, ma + mb)) {
        struct pair p = pair_new(k, count, sizeof(int32_t));
        kernels[0]->add((int32_t *)(void *)p.expected.data, pa, pb, count, &f);
        kernels[1]->add((int32_t *)(void *)p.y.data, pa, pb, count, &f);
        pair_end(k, &p, "add", round);
    }
    if (set_reach(&f, ma)) {
        struct pair p = pair_new(k, count, sizeof(int32_t));
        kernels[0]->rescale((int32_t *)(void *)p.expected.data, pa, count, &f);
        kernels[1]->rescale((int32_t *)(void *)p.y.data, pa, count, &f);
        pair_end(k, &p, "rescale", round);
    }
    f.mult_a = round % 3 == 0 ? 1 : f.mult_a;
    uint64_t product = (uint64_t)a_max * (uint64_t)b_max;
    sb_u128 scaled = (sb_u128)product * magnitude(f.mult_a);
    f.product_fits = product <= INT32_MAX;
    if (scaled <= INT64_MAX && set_reach(&f, (uint64_t)scaled)) {
        struct pair p = pair_new(k, count, sizeof(int32_t));
        kernels[0]->mul((int32_t *)(void *)p.expected.data, pa, pb, count, &f);
        kernels[1]->mul((int32_t *)(void *)p.y.data, pa, pb, count, &f);
        pair_end(k, &p, "mul", round);
    }
    kc_free(&a);
    kc_free(&b);
}

static void check_by_type(struct kernelcheck *k, int round)
{
    static const enum sb_dtype pooled[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16, SB_DTYPE_I32};
    const struct sb_element_kernels *kernels[2] = {sb_kernels_c.element, k->kernels->element};
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    enum sb_dtype dtype = (enum sb_dtype)kc_random_in(k, SB_DTYPE_I8, SB_DTYPE_BOOL);
    int64_t lo = kc_random_in(k, sb_dtype_min(dtype), sb_dtype_max(dtype));
    int64_t hi = kc_random_in(k, lo, sb_dtype_max(dtype));
    struct kc_buffer x = random_input(k, dtype, count);
    struct pair p = pair_new(k, count, sb_dtype_bytes(dtype));
    kernels[0]->clamp[dtype](p.expected.data, x.data, count, lo, hi);
    kernels[1]->clamp[dtype](p.y.data, x.data, count, lo, hi);
    pair_end(k, &p, "clamp", round);
    kc_free(&x);
    dtype = pooled[kc_random(k) % 4];
    x = random_input(k, dtype, count);
    p = pair_new(k, count, sb_dtype_bytes(dtype));
    kc_fill(k, p.y.data, dtype, count, sb_dtype_min(dtype), sb_dtype_max(dtype), KC_RANDOM);
    memcpy(p.expected.data, p.y.data, p.y.bytes);
    kernels[0]->pool_max[dtype](p.expected.data, x.data, count);
    kernels[1]->pool_max[dtype](p.y.data, x.data, count);
    pair_end(k, &p, "pool_max", round);
    kc_free(&x);
    dtype = pooled[kc_random(k) % 3];
    x = random_input(k, dtype, count);
    p = pair_new(k, count, sizeof(int32_t));
    kc_fill(k, p.y.data, SB_DTYPE_I32, count, -(1 << 30), 1 << 30, KC_RANDOM);
    memcpy(p.expected.data, p.y.data, p.y.bytes);
    kernels[0]->pool_sum[dtype]((int32_t *)(void *)p.expected.data, x.data, count);
    kernels[1]->pool_sum[dtype]((int32_t *)(void *)p.y.data, x.data, count);
    pair_end(k, &p, "pool_sum", round);
    kc_free(&x);
}

static void check_tables(struct kernelcheck *k, int round)
{
    const struct sb_element_kernels *kernels[2] = {sb_kernels_c.element, k->kernels->element};
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    uint8_t flip = round % 2 == 0 ? 0x80 : 0;
    struct kc_buffer x = random_input(k, SB_DTYPE_U8, count);
    struct kc_buffer table = random_input(k, SB_DTYPE_I32, 256);
    struct pair p = pair_new(k, count, sizeof(uint32_t));
    for (int i = 0; i < 2; i++) {
        uint8_t *y = i == 0 ? p.expected.data : p.y.data;
        kernels[i]->lookup32((uint32_t *)(void *)y, x.data,
                             (const uint32_t *)(const void *)table.data, count, flip);
    }
    pair_end(k, &p, "lookup32", round);
    kc_free(&table);
    table = random_input(k, SB_DTYPE_U16, 256);
    p = pair_new(k, count, sizeof(uint16_t));
    for (int i = 0; i < 2; i++) {
        uint8_t *y = i == 0 ? p.expected.data : p.y.data;
        kernels[i]->lookup16((uint16_t *)(void *)y, x.data,
                             (const uint16_t *)(const void *)table.data, count, flip);
    }
    pair_end(k, &p, "lookup16", round);
    kc_free(&table);
    table = random_input(k, SB_DTYPE_U8, 256);
    p = pair_new(k, count, 1);
    kernels[0]->lookup8(p.expected.data, x.data, table.data, count, flip);
    kernels[1]->lookup8(p.y.data, x.data, table.data, count, flip);
    pair_end(k, &p, "lookup8", round);
    kc_free(&table);
    kc_free(&x);
    x = random_input(k, SB_DTYPE_I16, count);
    table = random_input(k, SB_DTYPE_I16, 513);
    int16_t lo = (int16_t)kc_random_in(k, INT16_MIN, INT16_MAX);
    int16_t hi = (int16_t)kc_random_in(k, lo, INT16_MAX);
    p = pair_new(k, count, sizeof(int16_t));
    for (int i = 0; i < 2; i++) {
        uint8_t *y = i == 0 ? p.expected.data : p.y.data;
        kernels[i]->interpolate((int16_t *)(void *)y, (const int16_t *)(const void *)x.data,
                                (const int16_t *)(const void *)table.data, count, lo, hi);
    }
    pair_end(k, &p, "interpolate", round);
    kc_free(&table);
    kc_free(&x);
}

static void check_transpose(struct kernelcheck *k, int round)
{
    unsigned log2_size = (unsigned)(kc_random(k) % 4);
    size_t size = (size_t)1 << log2_size;
    struct sb_block_dims d = {.rows = (size_t)kc_random_in(k, 1, 70),
                              .columns = (size_t)kc_random_in(k, 1, 70)};
    d.x_stride = d.columns + (size_t)kc_random_in(k, 0, 3);
    d.y_stride = d.rows + (size_t)kc_random_in(k, 0, 3);
    size_t x_count = (d.rows - 1) * d.x_stride + d.columns;
    size_t y_count = (d.columns - 1) * d.y_stride + d.rows;
    struct kc_buffer x = kc_input(x_count * size);
    kc_fill(k, x.data, SB_DTYPE_U8, x_count * size, 0, UINT8_MAX, KC_RANDOM);
    struct pair p = pair_new(k, y_count, size);
    sb_kernels_c.element->transpose[log2_size](p.expected.data, x.data, d);
    k->kernels->element->transpose[log2_size](p.y.data, x.data, d);
    pair_end(k, &p, "transpose", round);
    kc_free(&x);
}

void check_element(struct kernelcheck *k)
{
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        check_load_store(k, round);
        check_affine(k, round);
        check_by_type(k, round);
        check_tables(k, round);
        check_transpose(k, round);
    }
}

/* ---- bench ---- */

struct bench {
    const struct sb_element_kernels *kernels;
    struct sb_affine f;
    int32_t a[BENCH_COUNT];
    int32_t b[BENCH_COUNT];
    int32_t y[BENCH_COUNT];
    int16_t table[513];
};

static void work_add(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->add(b->y, b->a, b->b, BENCH_COUNT, &b->f);
}

static void work_mul(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->mul(b->y, b->a, b->b, BENCH_COUNT, &b->f);
}

static void work_rescale(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->rescale(b->y, b->a, BENCH_COUNT, &b->f);
}

static void work_lookup(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->lookup8((uint8_t *)b->y, (const uint8_t *)b->a, (const uint8_t *)b->b, BENCH_COUNT,
                        0x80);
}

static void work_interpolate(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->interpolate((int16_t *)b->y, (const int16_t *)b->a, b->table, BENCH_COUNT,
                            INT16_MIN, INT16_MAX);
}

static void work_transpose(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->transpose[0](b->y, b->a, (struct sb_block_dims){64, 64, 64, 64});
}

void bench_element(struct kernelcheck *k)
{
    static const struct {
        const char *name;
        void (*work)(void *ctx);
    } works[] = {{"add", work_add},
                 {"mul", work_mul},
                 {"rescale", work_rescale},
                 {"lookup8", work_lookup},
                 {"interpolate", work_interpolate},
                 {"transpose bytes", work_transpose}};
    static struct bench b;
    b.kernels = k->kernels->element;
    kc_fill(k, b.a, SB_DTYPE_I32, BENCH_COUNT, -128, 127, KC_RANDOM);
    kc_fill(k, b.b, SB_DTYPE_I32, BENCH_COUNT, -128, 127, KC_RANDOM);
    b.f = (struct sb_affine){.mult_a = 1073741823,
                             .mult_b = -1073741823,
                             .shift = 31,
                             .reach = SB_REACH_DOWN,
                             .product_fits = true,
                             .lo = INT8_MIN,
                             .hi = INT8_MAX};
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        kc_report_elements(k, works[i].name, BENCH_COUNT, kc_time(works[i].work, &b));
    }
}
