/* cpu.c: see cpu.h. x86: CPUID leaves 1 and 7 say what the processor has, XGETBV what the operating system saves (Intel SDM volume 1,
 * 13.3 and 14.3). An instruction set counts only if both agree. */
#include "vm/tensor/kernels/cpu.h"

#include <string.h>

#include "base/util/assert.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define BIT(n)          (1u << (n))
#define OSXSAVE_ECX1    BIT(27)
#define XCR0_AVX        0x06u /* xmm and ymm state */
#define XCR0_AVX512     0xe6u /* and opmasks, upper halves of zmm0-15, zmm16-31 */
#define AVX2_EBX7       BIT(5)
#define AVX512_EBX7     (BIT(16) | BIT(17) | BIT(30) | BIT(31)) /* F, DQ, BW, VL */
#define AVX512VNNI_ECX7 BIT(11)
#define AVXVNNI_EAX7_1  BIT(4)

static uint32_t read_xcr0(void)
{
    uint32_t eax = 0;
    uint32_t edx = 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

/* Bit n: level n is usable. */
static uint32_t usable_levels(void)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t levels = BIT(SB_CPU_LEVEL_C);
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & OSXSAVE_ECX1) == 0) {
        return levels;
    }
    uint32_t saved = read_xcr0();
    if ((saved & XCR0_AVX) != XCR0_AVX || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        (b & AVX2_EBX7) == 0) {
        return levels;
    }
    levels |= BIT(SB_CPU_LEVEL_AVX2);
    if ((saved & XCR0_AVX512) == XCR0_AVX512 && (b & AVX512_EBX7) == AVX512_EBX7 &&
        (c & AVX512VNNI_ECX7) != 0) {
        levels |= BIT(SB_CPU_LEVEL_AVX512_VNNI);
    }
    uint32_t subleaf_max = a;
    if (subleaf_max >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVXVNNI_EAX7_1) != 0) {
        levels |= BIT(SB_CPU_LEVEL_AVX_VNNI);
    }
    return levels;
}
#else
static uint32_t usable_levels(void)
{
    return 1u << SB_CPU_LEVEL_C;
}
#endif

static const char *const k_names[SB_CPU_LEVEL_COUNT] = {
#define SB_CPU_LEVEL(name, symbol, needs) [SB_CPU_LEVEL_##name] = #symbol,
#include "vm/tensor/kernels/levels.def"
#undef SB_CPU_LEVEL
};

static const char *const k_needs[SB_CPU_LEVEL_COUNT] = {
#define SB_CPU_LEVEL(name, symbol, needs) [SB_CPU_LEVEL_##name] = (needs),
#include "vm/tensor/kernels/levels.def"
#undef SB_CPU_LEVEL
};

static const char k_list[] = ""
#define SB_CPU_LEVEL(name, symbol, needs) ", " #symbol
#include "vm/tensor/kernels/levels.def"
#undef SB_CPU_LEVEL
    ;

const char *sb_cpu_level_name(enum sb_cpu_level level)
{
    SB_ASSERT((unsigned)level < SB_CPU_LEVEL_COUNT);
    return k_names[level];
}

const char *sb_cpu_level_needs(enum sb_cpu_level level)
{
    SB_ASSERT((unsigned)level < SB_CPU_LEVEL_COUNT);
    return k_needs[level];
}

bool sb_cpu_level_usable(enum sb_cpu_level level)
{
    SB_ASSERT((unsigned)level < SB_CPU_LEVEL_COUNT);
    return (usable_levels() >> level & 1) != 0;
}

enum sb_cpu_level sb_cpu_level_best(void)
{
    uint32_t levels = usable_levels();
    int best = SB_CPU_LEVEL_COUNT - 1;
    while ((levels >> best & 1) == 0) {
        best--;
    }
    return (enum sb_cpu_level)best;
}

sb_err sb_cpu_level_parse(enum sb_cpu_level *ret_level, const char *name, struct sb_diag *diag)
{
    if (strcmp(name, "auto") == 0) {
        *ret_level = sb_cpu_level_best();
        return SB_OK;
    }
    for (int i = 0; i < SB_CPU_LEVEL_COUNT; i++) {
        if (strcmp(name, k_names[i]) == 0) {
            if (!sb_cpu_level_usable((enum sb_cpu_level)i)) {
                return sb_fail(diag, SB_E_UNSUPPORTED, "CPU level %s needs %s", name, k_needs[i]);
            }
            *ret_level = (enum sb_cpu_level)i;
            return SB_OK;
        }
    }
    return sb_fail(diag, SB_E_RANGE, "CPU level \"%s\" is none of auto%s", name, k_list);
}
