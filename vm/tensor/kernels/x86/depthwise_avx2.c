/* depthwise_avx2.c: depthwise convolutions of bytes at the level avx2; see depthwise_256.h. */
#include "vm/tensor/kernels/x86/depthwise_256.h"

void sb_kernel_depthwise_i8_avx2(void *ret_y, const void *const *taps, const size_t *steps,
                                 const struct sb_depthwise *a)
{
    if (a->packed == NULL) {
        sb_kernel_depthwise_i8_c(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, KIND_I8);
}

void sb_kernel_depthwise_u8_avx2(void *ret_y, const void *const *taps, const size_t *steps,
                                 const struct sb_depthwise *a)
{
    if (a->packed == NULL) {
        sb_kernel_depthwise_u8_c(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, KIND_U8);
}
