/* check_product.c: rows times weights, requantised: all small sizes, pieces in odd places, and weights and inputs at the ends of what
 * the verifier lets through. */
#include <stdlib.h>
#include <string.h>

#include "kernelcheck.h"

#include "base/util/assert.h"
#include "vm/tensor/kernels/pack.h"

#define ROUNDS      1500
#define SIZE_MAX_   70
#define PIECES_MAX  9
#define ALIGN_BYTES 64u

struct product_case {
    enum sb_dtype x_dtype;
    struct sb_product a;
    struct kc_buffer w, bias, mult, shift;
    struct kc_buffer runs[PIECES_MAX * SB_PRODUCT_ROWS_MAX];
    const void *x[PIECES_MAX * SB_PRODUCT_ROWS_MAX];
    void *memory;
    struct sb_packed packed;
};

static void call(const struct sb_kernels *kernels, const struct product_case *c, void *ret_y)
{
    if (c->x_dtype == SB_DTYPE_I8) {
        kernels->product_i8(ret_y, c->x, &c->a);
    } else if (c->x_dtype == SB_DTYPE_U8) {
        kernels->product_u8(ret_y, c->x, &c->a);
    } else {
        kernels->product_i16(ret_y, c->x, &c->a);
    }
}

static enum kc_style random_style(struct kernelcheck *k)
{
    return (enum kc_style)(kc_random(k) % KC_STYLE_COUNT);
}

/* Inputs at random, or all at the ends of the type; sizes as in a. A quarter of i16 cases is held to sums that fit. */
static void fill(struct kernelcheck *k, struct product_case *c)
{
    static const enum sb_dtype types[] = {SB_DTYPE_I8, SB_DTYPE_U8, SB_DTYPE_I16, SB_DTYPE_I32};
    struct sb_product *a = &c->a;
    size_t columns = a->pieces * a->piece_elements;
    c->w = kc_input(a->n * columns);
    c->bias = kc_input(a->n * sizeof(int32_t));
    c->mult = kc_input(a->n * sizeof(int32_t));
    c->shift = kc_input(a->n);
    kc_fill(k, c->w.data, SB_DTYPE_I8, a->n * columns, -127, 127, random_style(k));
    kc_fill(k, c->bias.data, SB_DTYPE_I32, a->n, -100000, 100000, random_style(k));
    kc_fill(k, c->mult.data, SB_DTYPE_I32, a->n, (int64_t)1 << 30, INT32_MAX, random_style(k));
    kc_fill(k, c->shift.data, SB_DTYPE_U8, a->n, kc_random(k) % 2 == 0 ? 33 : 1, 48, KC_RANDOM);
    enum kc_style style = random_style(k);
    for (size_t i = 0; i < a->pieces * a->m; i++) {
        c->runs[i] = kc_input(a->piece_elements * sb_dtype_bytes(c->x_dtype));
        kc_fill(k, c->runs[i].data, c->x_dtype, a->piece_elements, sb_dtype_min(c->x_dtype),
                sb_dtype_max(c->x_dtype), style);
        c->x[i] = c->runs[i].data;
    }
    a->w = (const int8_t *)c->w.data;
    a->bias = (const int32_t *)(const void *)c->bias.data;
    a->mult = (const int32_t *)(const void *)c->mult.data;
    a->shift = c->shift.data;
    a->y.dtype = types[kc_random(k) % 4];
    a->y.lo = sb_dtype_min(a->y.dtype);
    a->y.hi = sb_dtype_max(a->y.dtype);
    bool has_zero_point = sb_dtype_bytes(c->x_dtype) == 1;
    a->x_zero_point = has_zero_point ? (int32_t)kc_random_in(k, sb_dtype_min(c->x_dtype),
                                                             sb_dtype_max(c->x_dtype))
                                     : 0;
}

static void pack(struct kernelcheck *k, struct product_case *c)
{
    size_t columns = c->a.pieces * c->a.piece_elements;
    size_t weight_bytes = sb_pack_weight_bytes(c->a.n, columns, c->x_dtype);
    size_t bytes = weight_bytes + sb_pack_end_bytes(c->a.n);
    c->memory = aligned_alloc(ALIGN_BYTES, (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES);
    SB_ASSERT(c->memory != NULL);
    int8_t *w = c->memory;
    sb_pack_weights(w, &c->a, c->x_dtype);
    sb_pack_ends(&c->packed, w + weight_bytes, w, &c->a, c->x_dtype, k->kernels->level);
    c->a.packed = sb_pack_wanted(k->kernels->level, c->a.n) ? &c->packed : NULL;
}

static void fini(struct product_case *c)
{
    free(c->memory);
    for (size_t i = 0; i < c->a.pieces * c->a.m; i++) {
        kc_free(&c->runs[i]);
    }
    kc_free(&c->w);
    kc_free(&c->bias);
    kc_free(&c->mult);
    kc_free(&c->shift);
}

static void check_once(struct kernelcheck *k, struct product_case *c, int round)
{
    struct sb_product *a = &c->a;
    a->y_stride = a->n + (size_t)kc_random_in(k, 0, 9);
    fill(k, c);
    pack(k, c);
    size_t bytes = ((a->m - 1) * a->y_stride + a->n) * sb_dtype_bytes(a->y.dtype);
    struct kc_buffer expected = kc_output(k, bytes);
    struct kc_buffer y = kc_output(k, bytes);
    char what[128];
    (void)snprintf(what, sizeof what, "round %d, %zu x (%zu of %zu) x %zu, %s to %s", round, a->m,
                   a->pieces, a->piece_elements, a->n, sb_dtype_name(c->x_dtype),
                   sb_dtype_name(a->y.dtype));
    call(&sb_kernels_c, c, expected.data);
    call(k->kernels, c, y.data);
    kc_compare(k, &expected, &y, what);
    kc_free(&expected);
    kc_free(&y);
    fini(c);
}

void check_product(struct kernelcheck *k)
{
    static struct product_case c;
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        bool wide = kc_random(k) % 3 == 0;
        bool split = kc_random(k) % 4 == 0;
        c = (struct product_case){
            .x_dtype = wide                    ? SB_DTYPE_I16
                       : kc_random(k) % 2 == 0 ? SB_DTYPE_I8
                                               : SB_DTYPE_U8,
            .a = {.m = (size_t)kc_random_in(k, 1, kc_random(k) % 8 == 0 ? SB_PRODUCT_ROWS_MAX : 9),
                  .n = (size_t)kc_random_in(k, 1, SIZE_MAX_),
                  .pieces = 1,
                  .piece_elements = (size_t)kc_random_in(k, 1, SIZE_MAX_)}};
        if (split) {
            c.a.pieces = (size_t)kc_random_in(k, 2, PIECES_MAX);
            c.a.piece_elements = sb_pack_step(c.x_dtype) * (size_t)kc_random_in(k, 1, 12);
        }
        check_once(k, &c, round);
    }
}

/* ---- bench ---- */

struct bench {
    const struct sb_kernels *kernels;
    const int8_t *x;
    struct product_case *c;
    size_t rows;
    uint8_t *y;
};

/* All rows, in blocks of what one call takes. */
static void work(void *ctx)
{
    struct bench *b = ctx;
    struct sb_product *a = &b->c->a;
    size_t row_bytes = a->piece_elements * sb_dtype_bytes(b->c->x_dtype);
    for (size_t first = 0; first < b->rows; first += SB_PRODUCT_ROWS_MAX) {
        a->m = b->rows - first < SB_PRODUCT_ROWS_MAX ? b->rows - first : SB_PRODUCT_ROWS_MAX;
        for (size_t i = 0; i < a->m; i++) {
            b->c->x[i] = b->x + (first + i) * row_bytes;
        }
        call(b->kernels, b->c, b->y + first * a->y_stride);
    }
}

static void bench_shape(struct kernelcheck *k, enum sb_dtype x_dtype, size_t m, size_t n,
                        size_t columns)
{
    static struct product_case c;
    c = (struct product_case){
        .x_dtype = x_dtype,
        .a = {.m = 0, .n = n, .pieces = 1, .piece_elements = columns, .y_stride = n}};
    fill(k, &c);
    kc_fill(k, c.shift.data, SB_DTYPE_U8, n, 40, 48, KC_RANDOM);
    kc_fill(k, c.w.data, SB_DTYPE_I8, n * columns, -127, 127, KC_RANDOM);
    c.a.y = (struct sb_requantise_params){.dtype = SB_DTYPE_I8, .lo = INT8_MIN, .hi = INT8_MAX};
    pack(k, &c);
    struct kc_buffer x = kc_input(m * columns * sb_dtype_bytes(x_dtype));
    struct kc_buffer y = kc_output(k, m * n);
    kc_fill(k, x.data, SB_DTYPE_I8, x.bytes, INT8_MIN, INT8_MAX, KC_RANDOM);
    struct bench b = {
        .kernels = k->kernels, .x = (const int8_t *)x.data, .c = &c, .rows = m, .y = y.data};
    char what[64];
    (void)snprintf(what, sizeof what, "product %s %zu x %zu x %zu", sb_dtype_name(x_dtype), m, n,
                   columns);
    kc_report_macs(k, what, (double)m * (double)n * (double)columns, kc_time(work, &b));
    c.a.m = 0;
    fini(&c);
    kc_free(&x);
    kc_free(&y);
}

void bench_product(struct kernelcheck *k)
{
    static const struct {
        size_t m, n, k;
    } shapes[] = {{512, 512, 512}, {1024, 1024, 1024}, {128, 1536, 384}, {3136, 24, 144},
                  {3136, 144, 24}, {784, 192, 32},     {196, 96, 576},   {49, 960, 160},
                  {12544, 16, 32}, {1, 1024, 1024},    {1, 256, 256},    {4, 1024, 1024},
                  {16, 4, 27}};
    kc_report_limit(k);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        bench_shape(k, SB_DTYPE_I8, shapes[i].m, shapes[i].n, shapes[i].k);
    }
    bench_shape(k, SB_DTYPE_U8, 512, 512, 512);
    bench_shape(k, SB_DTYPE_I16, 512, 512, 512);
    bench_shape(k, SB_DTYPE_I16, 1, 512, 512);
}
