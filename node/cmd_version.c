/* cmd_version.c: `samebit version`. */
#include <stdio.h>

#include "node/cli.h"
#include "node/commands.h"
#include "node/version.h"

int sb_cmd_version(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "version", "", "Print the name and version of this program.", "  samebit version\n"};
    struct sb_operands operands;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, NULL, 0, 0, 0, argc, argv)) {
        return status;
    }
    (void)printf("samebit %s\n", SB_VERSION);
    return SB_EXIT_OK;
}
