/* element_avx2.c: the element kernels for AVX2: the loops of element_loops.h, compiled for it. See element.h. */
#include "vm/tensor/kernels/element_loops.h"

const struct sb_element_kernels sb_element_kernels_avx2 = {ELEMENT_KERNELS_OF_LOOPS};
