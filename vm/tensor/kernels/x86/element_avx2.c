/* element_avx2.c: the element kernels for AVX2: the loops of element_loops.h, compiled for it, and what is written for AVX2. See
 * element.h. */
#include "vm/tensor/kernels/element_loops.h"
#include "vm/tensor/kernels/x86/element_avx2.h"

#define ELEMENT_BEST(name) name##_avx2
const struct sb_element_kernels sb_element_kernels_avx2 = {ELEMENT_KERNELS_OF_LEVEL};
