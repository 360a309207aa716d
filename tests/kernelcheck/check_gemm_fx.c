/* check_gemm_fx.c: products of 32-bit rows into 64 bits, at the ends of what the bounds allow. */
#include "kernelcheck.h"

#define ROUNDS 1500

static void fill(struct kernelcheck *k, struct kc_buffer *b, size_t count, int64_t reach)
{
    *b = kc_input(count * sizeof(int32_t));
    kc_fill(k, b->data, SB_DTYPE_I32, count, -reach, reach - 1,
            (enum kc_style)(kc_random(k) % KC_STYLE_COUNT));
}

void check_gemm_fx(struct kernelcheck *k)
{
    for (int round = 0; round < ROUNDS && !k->failed; round++) {
        struct sb_gemm_dims d = {.m = (size_t)kc_random_in(k, 1, 9),
                                 .n = (size_t)kc_random_in(k, 1, 5),
                                 .k = (size_t)kc_random_in(k, 1, 70)};
        struct kc_buffer x;
        struct kc_buffer w;
        fill(k, &x, d.m * d.k, (int64_t)1 << 31);
        fill(k, &w, d.n * d.k,
             (int64_t)1 << 24); /* 70 products of 2^55 and a bias stay below 2^63 */
        struct kc_buffer bias = kc_input(d.n * sizeof(int64_t));
        kc_fill(k, bias.data, SB_DTYPE_I64, d.n, -((int64_t)1 << 60), (int64_t)1 << 60, KC_RANDOM);
        size_t bytes = d.m * d.n * sizeof(int64_t);
        struct kc_buffer expected = kc_output(k, bytes);
        struct kc_buffer y = kc_output(k, bytes);
        const struct sb_kernels *tables[2] = {&sb_kernels_c, k->kernels};
        for (int i = 0; i < 2; i++) {
            tables[i]->gemm_fx((int64_t *)(void *)(i == 0 ? expected.data : y.data),
                               (const int32_t *)(const void *)x.data,
                               (const int32_t *)(const void *)w.data,
                               (const int64_t *)(const void *)bias.data, d);
        }
        char what[96];
        (void)snprintf(what, sizeof what, "round %d, %zu x %zu x %zu", round, d.m, d.n, d.k);
        kc_compare(k, &expected, &y, what);
        kc_free(&x);
        kc_free(&w);
        kc_free(&bias);
        kc_free(&expected);
        kc_free(&y);
    }
}

struct bench {
    const struct sb_kernels *kernels;
    int32_t x[16 * 256];
    int32_t w[256 * 256];
    int64_t bias[256];
    int64_t acc[16 * 256];
};

static void work(void *ctx)
{
    struct bench *b = ctx;
    b->kernels->gemm_fx(b->acc, b->x, b->w, b->bias, (struct sb_gemm_dims){16, 256, 256});
}

void bench_gemm_fx(struct kernelcheck *k)
{
    static struct bench b;
    b.kernels = k->kernels;
    kc_fill(k, b.x, SB_DTYPE_I32, 16 * 256, -65536, 65536, KC_RANDOM);
    kc_fill(k, b.w, SB_DTYPE_I32, 256 * 256, -65536, 65536, KC_RANDOM);
    kc_report_macs(k, "gemm_fx 16 x 256 x 256", 16.0 * 256 * 256, kc_time(work, &b));
}
