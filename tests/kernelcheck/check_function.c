/* check_function.c: exp, sigmoid, tanh and softmax: arguments of every size, those where the divisions are exact, ties of the output. */
#include "kernelcheck.h"

#include <string.h>

#define ROUNDS       3000
#define COUNT_MAX    70
#define BENCH_COUNT  4096
#define SUM_BITS_MAX 51 /* of a row of 2^20 elements */

static struct sb_function random_function(struct kernelcheck *k)
{
    struct sb_function f = {.kind = (enum sb_function_kind)(kc_random(k) % 3),
                            .mult =
                                (uint32_t)kc_random_in(k, 1, INT32_MAX >> kc_random_in(k, 0, 30)),
                            .shift = (unsigned)kc_random_in(k, 0, 62),
                            .out_shift = (unsigned)kc_random_in(k, 0, 31),
                            .lo = INT32_MIN,
                            .hi = INT32_MAX};
    if (kc_random(k) % 2 == 0) { /* arguments that reach Q26 as they are */
        f.mult = 1;
        f.shift = 0;
    }
    if (kc_random(k) % 4 == 0) {
        f.lo = (int32_t)kc_random_in(k, INT32_MIN, INT32_MAX);
        f.hi = (int32_t)kc_random_in(k, f.lo, INT32_MAX);
    }
    return f;
}

static void check_values(struct kernelcheck *k, int round)
{
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    struct sb_function f = random_function(k);
    struct kc_buffer x = kc_input(count * sizeof(int32_t));
    struct kc_buffer expected = kc_output(k, count * sizeof(int32_t));
    struct kc_buffer y = kc_output(k, count * sizeof(int32_t));
    int64_t reach = (int64_t)1 << kc_random_in(k, 0, 31);
    kc_fill(k, x.data, SB_DTYPE_I32, count, -reach, reach - 1,
            (enum kc_style)(kc_random(k) % KC_STYLE_COUNT));
    const int32_t *from = (const int32_t *)(const void *)x.data;
    char what[96];
    (void)snprintf(what, sizeof what, "function %d, round %d, %zu elements", (int)f.kind, round,
                   count);
    sb_kernels_c.function((int32_t *)(void *)expected.data, from, count, &f);
    k->kernels->function((int32_t *)(void *)y.data, from, count, &f);
    kc_compare(k, &expected, &y, what);
    kc_free(&x);
    kc_free(&expected);
    kc_free(&y);
}

static void check_exp_sum(struct kernelcheck *k, int round)
{
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    uint32_t mult = (uint32_t)kc_random_in(k, 1, INT32_MAX >> kc_random_in(k, 0, 30));
    unsigned shift = (unsigned)kc_random_in(k, 0, 62);
    struct kc_buffer x = kc_input(count * sizeof(int32_t));
    struct kc_buffer expected = kc_output(k, (count + 2) * sizeof(uint32_t));
    struct kc_buffer y = kc_output(k, (count + 2) * sizeof(uint32_t));
    int32_t max = (int32_t)kc_random_in(k, INT32_MIN, INT32_MAX);
    kc_fill(k, x.data, SB_DTYPE_I32, count, INT32_MIN, max,
            (enum kc_style)(kc_random(k) % KC_STYLE_COUNT));
    const int32_t *from = (const int32_t *)(const void *)x.data;
    uint64_t sums[2] = {0, 0};
    char what[96];
    (void)snprintf(what, sizeof what, "exp_sum, round %d, %zu elements", round, count);
    sb_kernels_c.exp_sum((uint32_t *)(void *)expected.data, &sums[0], from, count, max, mult,
                         shift);
    k->kernels->exp_sum((uint32_t *)(void *)y.data, &sums[1], from, count, max, mult, shift);
    memcpy(expected.data + count * sizeof(uint32_t), &sums[0], sizeof sums[0]);
    memcpy(y.data + count * sizeof(uint32_t), &sums[1], sizeof sums[1]);
    kc_compare(k, &expected, &y, what);
    kc_free(&x);
    kc_free(&expected);
    kc_free(&y);
}

/* The reference by its formula: the division itself. */
static void divide(uint16_t *ret_y, const uint32_t *e, size_t count, uint64_t sum, uint16_t lo,
                   uint16_t hi)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t q = (((uint64_t)e[i] << 16) + sum / 2) / sum;
        q = q > hi ? hi : q;
        ret_y[i] = (uint16_t)(q < lo ? lo : q);
    }
}

static void check_softmax(struct kernelcheck *k, int round)
{
    size_t count = (size_t)kc_random_in(k, 1, COUNT_MAX);
    uint64_t sum = (uint64_t)kc_random_in(k, (int64_t)1 << 31,
                                          ((int64_t)1 << kc_random_in(k, 31, SUM_BITS_MAX)) +
                                              (int64_t)(kc_random(k) % 3));
    uint16_t lo = round % 4 == 0 ? (uint16_t)kc_random_in(k, 0, 300) : 0;
    uint16_t hi = round % 4 == 1 ? (uint16_t)kc_random_in(k, lo, UINT16_MAX) : UINT16_MAX;
    struct kc_buffer e = kc_input(count * sizeof(uint32_t));
    struct kc_buffer expected = kc_output(k, count * sizeof(uint16_t));
    struct kc_buffer y = kc_output(k, count * sizeof(uint16_t));
    uint32_t *from = (uint32_t *)(void *)e.data;
    for (size_t i = 0; i < count; i++) {
        uint64_t most = sum < (uint64_t)1 << 31 ? sum : (uint64_t)1 << 31;
        from[i] = (uint32_t)kc_random_in(k, 0, (int64_t)most);
        if (kc_random(k) % 2 == 0) { /* beside a whole quotient and a half */
            uint64_t half_steps = kc_random(k) % 131072;
            uint64_t near = ((half_steps * sum) >> 17) + kc_random(k) % 3;
            from[i] = (uint32_t)(near < most ? near : most);
        }
    }
    char what[96];
    (void)snprintf(what, sizeof what, "softmax, round %d, %zu elements, sum %llu", round, count,
                   (unsigned long long)sum);
    divide((uint16_t *)(void *)expected.data, from, count, sum, lo, hi);
    k->kernels->softmax((uint16_t *)(void *)y.data, from, count, sum, lo, hi);
    kc_compare(k, &expected, &y, what);
    kc_free(&e);
    kc_free(&expected);
    kc_free(&y);
}

void check_function(struct kernelcheck *k)
{
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        check_values(k, round);
        check_exp_sum(k, round);
        check_softmax(k, round);
    }
}

struct bench {
    const struct sb_kernels *kernels;
    struct sb_function f;
    int32_t x[BENCH_COUNT];
    int32_t y[BENCH_COUNT];
    uint16_t p[BENCH_COUNT];
};

static void work_function(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->function(b->y, b->x, BENCH_COUNT, &b->f);
}

static void work_softmax(void *ctx)
{
    struct bench *b = ctx;
    uint64_t sum = 0;
    b->kernels->exp_sum((uint32_t *)b->y, &sum, b->x, BENCH_COUNT, 0, 1, 0);
    b->kernels->softmax(b->p, (uint32_t *)b->y, BENCH_COUNT, sum + ((uint64_t)1 << 31), 0,
                        UINT16_MAX);
}

void bench_function(struct kernelcheck *k)
{
    static const char *const names[] = {"exp", "sigmoid", "tanh"};
    static struct bench b;
    b.kernels = k->kernels;
    b.f = (struct sb_function){.mult = 1, .out_shift = 16, .lo = INT16_MIN, .hi = INT16_MAX};
    kc_fill(k, b.x, SB_DTYPE_I32, BENCH_COUNT, -(1 << 29), 1 << 29, KC_RANDOM);
    for (int kind = 0; kind < 3; kind++) {
        b.f.kind = (enum sb_function_kind)kind;
        kc_report_elements(k, names[kind], BENCH_COUNT, kc_time(work_function, &b));
    }
    kc_fill(k, b.x, SB_DTYPE_I32, BENCH_COUNT, -(1 << 29), 0, KC_RANDOM);
    kc_report_elements(k, "softmax", BENCH_COUNT, kc_time(work_softmax, &b));
}
