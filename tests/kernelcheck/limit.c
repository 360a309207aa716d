/* limit.c: what registers alone allow: the dot product of bytes of each level, on twelve sums that depend on nothing else, without a load
 * or a store. A kernel cannot be faster on this machine, at this moment. */
#include "kernelcheck.h"

#define ROUNDS 100000u
#define SUMS   12.0

#if defined(__x86_64__)
#define TWELVE(m)                                                                                  \
    m("0") m("1") m("2") m("3") m("4") m("5") m("6") m("7") m("8") m("9") m("10") m("11")
#define LOOP(body)                                                                                 \
    uint64_t rounds = ROUNDS;                                                                      \
    __asm__ volatile("1:\n" body "dec %0\n\tjnz 1b\n\tvzeroupper"                                  \
                     : "+r"(rounds)                                                                \
                     :                                                                             \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",       \
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

#define DOT_512(n) "vpdpbusd %%zmm12,%%zmm13,%%zmm" n "\n\t"
#define DOT_256(n) "%{vex%} vpdpbusd %%ymm12,%%ymm13,%%ymm" n "\n\t"
#define DOT_AVX2(n)                                                                                \
    "vpsignb %%ymm12,%%ymm13,%%ymm14\n\t"                                                          \
    "vpmaddubsw %%ymm14,%%ymm13,%%ymm15\n\t"                                                       \
    "vpmaddwd %%ymm12,%%ymm15,%%ymm15\n\t"                                                         \
    "vpaddd %%ymm15,%%ymm" n ",%%ymm" n "\n\t"

static void work_512(void *ctx)
{
    (void)ctx;
    LOOP(TWELVE(DOT_512));
}

static void work_256(void *ctx)
{
    (void)ctx;
    LOOP(TWELVE(DOT_256));
}

static void work_avx2(void *ctx)
{
    (void)ctx;
    LOOP(TWELVE(DOT_AVX2));
}

void kc_report_limit(const struct kernelcheck *k)
{
    enum sb_cpu_level level = k->kernels->level;
    if (level == SB_CPU_LEVEL_AVX512_VNNI) {
        kc_report_macs(k, "limit: registers alone", SUMS * 64 * ROUNDS, kc_time(work_512, NULL));
    } else if (level == SB_CPU_LEVEL_AVX_VNNI) {
        kc_report_macs(k, "limit: registers alone", SUMS * 32 * ROUNDS, kc_time(work_256, NULL));
    } else if (level == SB_CPU_LEVEL_AVX2) {
        kc_report_macs(k, "limit: registers alone", SUMS * 32 * ROUNDS, kc_time(work_avx2, NULL));
    }
}
#else
void kc_report_limit(const struct kernelcheck *k)
{
    (void)k;
}
#endif
