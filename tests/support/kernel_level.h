/* kernel_level.h: the kernels that a test program uses: those of the level that SAMEBIT_CPU_LEVEL names, or of the machine's best. */
#ifndef SB_TESTS_SUPPORT_KERNEL_LEVEL_H
#define SB_TESTS_SUPPORT_KERNEL_LEVEL_H

#include <stdio.h>
#include <stdlib.h>

#include "vm/tensor/kernels/cpu.h"

/* kernels_of_environment: ends the program if the machine has no such level. */
static inline const struct sb_kernels *kernels_of_environment(void)
{
    const char *setting = getenv("SAMEBIT_CPU_LEVEL");
    enum sb_cpu_level level = SB_CPU_LEVEL_C;
    struct sb_diag diag = {.text = ""};
    if (sb_cpu_level_parse(&level, setting != NULL ? setting : "auto", &diag) != SB_OK) {
        (void)fprintf(stderr, "SAMEBIT_CPU_LEVEL: %s\n", diag.text);
        exit(2);
    }
    return sb_kernels_of(level);
}

#endif
