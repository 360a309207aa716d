/* main.c: the program `samebit`: finds the command and runs it.
 *
 *     samebit dev --port 8545   -->   commands.def   -->   sb_cmd_dev(argc, argv) in cmd_dev.c */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "node/cli.h"
#include "node/commands.h"

static const struct sb_command k_commands[] = {
#define SB_COMMAND(name, summary)             {#name, summary, sb_cmd_##name},
#define SB_COMMAND_NAMED(name, text, summary) {text, summary, sb_cmd_##name},
#include "node/commands.def"
#undef SB_COMMAND
#undef SB_COMMAND_NAMED
};
#define COMMAND_COUNT (sizeof k_commands / sizeof k_commands[0])

int sb_cmd_help(int argc, char **argv)
{
    char help[] = "--help";
    if (argc < 2) {
        (void)printf("samebit: a blockchain whose contracts run machine-learning models\n\n");
        char *args[] = {argv[0], help, NULL};
        return sb_command_run("", k_commands, COMMAND_COUNT, 2, args);
    }
    char *args[] = {argv[0], argv[1], argc > 2 ? argv[2] : help, help, NULL};
    return sb_command_run("", k_commands, COMMAND_COUNT, argc > 2 ? 4 : 3, args);
}

int main(int argc, char **argv)
{
    /* A client that hangs up must not end the node. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) {
        return sb_cli_failf("this machine gives no random numbers");
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        return sb_cmd_version(1, argv);
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return sb_cmd_help(1, argv);
    }
    return sb_command_run("", k_commands, COMMAND_COUNT, argc, argv);
}
