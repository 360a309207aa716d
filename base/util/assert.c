/* assert.c: the one place where the program ends itself; see assert.h. */
#include "base/util/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void sb_assert_fail(const char *condition, const char *file, int line,
                              const char *function)
{
    (void)fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, condition);
    (void)fflush(stderr);
    abort();
}
