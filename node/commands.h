/* commands.h: the entry point of each command of commands.def. argv[0] is the command's name; the result is the exit status. */
#ifndef SB_NODE_COMMANDS_H
#define SB_NODE_COMMANDS_H

#define SB_COMMAND(name, summary)             int sb_cmd_##name(int argc, char **argv);
#define SB_COMMAND_NAMED(name, text, summary) int sb_cmd_##name(int argc, char **argv);
#include "node/commands.def"
#undef SB_COMMAND
#undef SB_COMMAND_NAMED

#endif
