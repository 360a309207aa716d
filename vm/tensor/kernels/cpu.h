/* cpu.h: which kernels this machine can run.
 *
 * A level is a set of instructions; levels.def lists them in order of preference. All levels give the same bits (docs/kernels.md), so
 * the choice is the node's alone and never part of a result. Functions here are pure: they ask the processor and keep nothing. */
#ifndef SB_VM_TENSOR_KERNELS_CPU_H
#define SB_VM_TENSOR_KERNELS_CPU_H

#include "base/util/err.h"
#include "vm/tensor/kernels.h"

/* sb_cpu_level_name: "c", "avx2", "avx_vnni", "avx512_vnni". sb_cpu_level_needs: what a machine must have, for messages. Static. */
const char *sb_cpu_level_name(enum sb_cpu_level level);
const char *sb_cpu_level_needs(enum sb_cpu_level level);

/* sb_cpu_level_usable: this build has the level's kernels and this machine can run them: processor and operating system (which
 * must save the wide registers). sb_cpu_level_best: the last usable one. */
bool sb_cpu_level_usable(enum sb_cpu_level level);
enum sb_cpu_level sb_cpu_level_best(void);

/* sb_cpu_level_parse: the level that a setting names; "auto" is the best. SB_E_RANGE for an unknown name, SB_E_UNSUPPORTED if this
 * machine cannot run it; the message says which there are. */
sb_err sb_cpu_level_parse(enum sb_cpu_level *ret_level, const char *name,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_kernels_of: the table of a usable level. Static. */
const struct sb_kernels *sb_kernels_of(enum sb_cpu_level level);

#endif
