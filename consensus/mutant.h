/* mutant.h: faults on purpose, to test the tests (mutants.def; docs/spec/consensus.md, section "Mutants").
 *
 * In a usual build SB_BFT_MUTANT is the constant false: the compiler drops what hangs on it, and no name of a mutant is in the program.
 * With -Dbft_mutants=true one mutant at a time can be chosen at run time, for the whole process; a test does so before it makes its
 * first core. */
#ifndef SB_CONSENSUS_MUTANT_H
#define SB_CONSENSUS_MUTANT_H

#include <stdbool.h>
#include <stddef.h>

#ifndef SB_BFT_MUTANTS
#define SB_BFT_MUTANTS 0
#endif

#if SB_BFT_MUTANTS

enum sb_bft_mutant {
    SB_MUTANT_none,
#define SB_MUTANT(name, text) SB_MUTANT_##name,
#include "consensus/mutants.def"
#undef SB_MUTANT
    SB_MUTANT_COUNT
};

extern enum sb_bft_mutant sb_bft_mutant_chosen;

/* SB_BFT_MUTANT: the fault of this name is in force. */
#define SB_BFT_MUTANT(name) (sb_bft_mutant_chosen == SB_MUTANT_##name)

/* sb_bft_mutant_set: choose by name; "none" or NULL for none. false: no such name. */
bool sb_bft_mutant_set(const char *name);
/* sb_bft_mutant_name, sb_bft_mutant_text: of number index, from 1; NULL past the last. */
const char *sb_bft_mutant_name(size_t index);
const char *sb_bft_mutant_text(size_t index);

#else

#define SB_BFT_MUTANT(name) false

#endif

#endif
