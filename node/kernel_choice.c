/* kernel_choice.c: see kernel_choice.h. */
#include "node/kernel_choice.h"

#include <stdlib.h>
#include <string.h>

#include "vm/tensor/kernels/cpu.h"

sb_err sb_kernels_choose(const struct sb_kernels **ret_kernels, const char *setting,
                         struct sb_diag *diag)
{
    enum sb_cpu_level level = SB_CPU_LEVEL_C;
    const char *from_environment = getenv("SAMEBIT_CPU_LEVEL");
    if (strcmp(setting, "auto") == 0 && from_environment != NULL) {
        setting = from_environment;
    }
    SB_TRY(sb_cpu_level_parse(&level, setting, diag));
    *ret_kernels = sb_kernels_of(level);
    return SB_OK;
}
