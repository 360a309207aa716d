/* mutant.c: see mutant.h. Empty without -Dbft_mutants=true. */
#include "consensus/mutant.h"

#include <string.h>

#if SB_BFT_MUTANTS

enum sb_bft_mutant sb_bft_mutant_chosen = SB_MUTANT_none;

static const struct {
    const char *name;
    const char *text;
} mutants[] = {
    {"none", "no fault"},
#define SB_MUTANT(name, text) {#name, text},
#include "consensus/mutants.def"
#undef SB_MUTANT
};

bool sb_bft_mutant_set(const char *name)
{
    if (name == NULL) {
        name = "none";
    }
    for (size_t i = 0; i < SB_MUTANT_COUNT; i++) {
        if (strcmp(mutants[i].name, name) == 0) {
            sb_bft_mutant_chosen = (enum sb_bft_mutant)i;
            return true;
        }
    }
    return false;
}

const char *sb_bft_mutant_name(size_t index)
{
    return index > 0 && index < SB_MUTANT_COUNT ? mutants[index].name : NULL;
}

const char *sb_bft_mutant_text(size_t index)
{
    return index > 0 && index < SB_MUTANT_COUNT ? mutants[index].text : NULL;
}

#endif
