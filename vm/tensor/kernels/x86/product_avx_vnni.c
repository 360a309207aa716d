/* product_avx_vnni.c: rows of x times packed weights at the level avx_vnni; see product_256.h. */
#include "vm/tensor/kernels/x86/product_256.h"

void sb_kernel_product_i8_avx_vnni(void *ret_y, const void *const *x, const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_i8_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_I8);
}

void sb_kernel_product_u8_avx_vnni(void *ret_y, const void *const *x, const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_u8_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_U8);
}

void sb_kernel_product_i16_avx_vnni(void *ret_y, const void *const *x, const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_i16_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_I16);
}
