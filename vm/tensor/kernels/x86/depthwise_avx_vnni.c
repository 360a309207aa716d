/* depthwise_avx_vnni.c: depthwise convolutions of bytes at the level avx_vnni; see depthwise_256.h. */
#include "vm/tensor/kernels/x86/depthwise_256.h"

void sb_kernel_depthwise_i8_avx_vnni(void *ret_y, const void *const *taps, const size_t *steps,
                                     const struct sb_depthwise *a)
{
    if (a->packed == NULL) {
        sb_kernel_depthwise_i8_c(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, KIND_I8);
}

void sb_kernel_depthwise_u8_avx_vnni(void *ret_y, const void *const *taps, const size_t *steps,
                                     const struct sb_depthwise *a)
{
    if (a->packed == NULL) {
        sb_kernel_depthwise_u8_c(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, KIND_U8);
}
