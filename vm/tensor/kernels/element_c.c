/* element_c.c: the element kernels of the portable level; see element.h. */
#include "vm/tensor/kernels/element_loops.h"

#define ELEMENT_BEST(name) name
const struct sb_element_kernels sb_element_kernels_c = {ELEMENT_KERNELS_OF_LEVEL};
