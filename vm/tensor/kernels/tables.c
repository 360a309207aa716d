/* tables.c: the constant table of each CPU level, from kernels.def. */
#include "base/util/assert.h"
#include "vm/tensor/kernels/cpu.h"
#include "vm/tensor/kernels/functions.h"

#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni) .name = sb_kernel_##name##_c,
const struct sb_kernels sb_kernels_c = {
    .level = SB_CPU_LEVEL_C,
    .element = &sb_element_kernels_c,
#include "vm/tensor/kernels.def"
};
#undef SB_KERNEL

#if defined(__x86_64__)
#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni) .name = sb_kernel_##name##_##avx2,
static const struct sb_kernels kernels_avx2 = {
    .level = SB_CPU_LEVEL_AVX2,
    .element = &sb_element_kernels_avx2,
#include "vm/tensor/kernels.def"
};
#undef SB_KERNEL

#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni)                                   \
    .name = sb_kernel_##name##_##avx_vnni,
static const struct sb_kernels kernels_avx_vnni = {
    .level = SB_CPU_LEVEL_AVX_VNNI,
    .element = &sb_element_kernels_avx2,
#include "vm/tensor/kernels.def"
};
#undef SB_KERNEL

#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni)                                   \
    .name = sb_kernel_##name##_##avx512_vnni,
static const struct sb_kernels kernels_avx512_vnni = {
    .level = SB_CPU_LEVEL_AVX512_VNNI,
    .element = &sb_element_kernels_avx512_vnni,
#include "vm/tensor/kernels.def"
};
#undef SB_KERNEL
#endif

const struct sb_kernels *sb_kernels_of(enum sb_cpu_level level)
{
    switch (level) {
    case SB_CPU_LEVEL_C:
        return &sb_kernels_c;
#if defined(__x86_64__)
    case SB_CPU_LEVEL_AVX2:
        return &kernels_avx2;
    case SB_CPU_LEVEL_AVX_VNNI:
        return &kernels_avx_vnni;
    case SB_CPU_LEVEL_AVX512_VNNI:
        return &kernels_avx512_vnni;
#else
    case SB_CPU_LEVEL_AVX2:
    case SB_CPU_LEVEL_AVX_VNNI:
    case SB_CPU_LEVEL_AVX512_VNNI:
#endif
    case SB_CPU_LEVEL_COUNT:
        break;
    }
    SB_UNREACHABLE();
}
