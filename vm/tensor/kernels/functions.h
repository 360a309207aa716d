/* functions.h: the prototypes of every function that a kernel table may name: sb_kernel_<name>_<level>, from kernels.def. Private. */
#ifndef SB_VM_TENSOR_KERNELS_FUNCTIONS_H
#define SB_VM_TENSOR_KERNELS_FUNCTIONS_H

#include "vm/tensor/kernels.h"

#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni)                                   \
    void sb_kernel_##name##_c parameters;                                                          \
    void sb_kernel_##name##_avx2 parameters;                                                       \
    void sb_kernel_##name##_avx_vnni parameters;                                                   \
    void sb_kernel_##name##_avx512_vnni parameters;
#include "vm/tensor/kernels.def"
#undef SB_KERNEL

#endif
