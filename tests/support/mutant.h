/* mutant.h: a test program under a fault of the consensus core: SAMEBIT_BFT_MUTANT names it (consensus/mutant.h, scripts/mutants). */
#ifndef SB_TESTS_SUPPORT_MUTANT_H
#define SB_TESTS_SUPPORT_MUTANT_H

#include <stdio.h>
#include <stdlib.h>

#include "consensus/mutant.h"

/* mutant_from_environment: put the fault in force; ends the program when the build has none of that name. */
static inline void mutant_from_environment(void)
{
    const char *name = getenv("SAMEBIT_BFT_MUTANT");
#if SB_BFT_MUTANTS
    bool is_known = sb_bft_mutant_set(name);
#else
    bool is_known = name == NULL;
#endif
    if (!is_known) {
        fprintf(stderr, "no mutant '%s' in this build\n", name);
        exit(2);
    }
}

#endif
