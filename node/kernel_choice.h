/* kernel_choice.h: which of the engine's kernels this process uses. All give the same results (docs/kernels.md). */
#ifndef SB_NODE_KERNEL_CHOICE_H
#define SB_NODE_KERNEL_CHOICE_H

#include "base/util/err.h"
#include "vm/tensor/kernels.h"

/* sb_kernels_choose: the table of the level that a setting names; "auto" takes the environment variable SAMEBIT_CPU_LEVEL, or without
 * one the machine's best level. SB_E_RANGE, SB_E_UNSUPPORTED; the message says why. */
sb_err sb_kernels_choose(const struct sb_kernels **ret_kernels, const char *setting,
                         struct sb_diag *diag) SB_MUST_USE;

#endif
