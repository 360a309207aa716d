/* cli.c: tables of commands, messages and progress; see cli.h. */
#include "node/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/util/assert.h"

#define COMMANDS_MAX    64
#define LINE_BYTES      160
#define TERMINAL_EVERY  200
#define ELSEWHERE_EVERY 10000
#define QUIET_MS        400 /* shorter work shows nothing */

/* ---- messages ---- */

int sb_cli_fail(const struct sb_diag *diag)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "error: %s\n", diag->text);
    return SB_EXIT_FAILED;
}

int sb_cli_failf(const char *fmt, ...)
{
    char text[SB_DIAG_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fflush(stdout);
    (void)fprintf(stderr, "error: %s\n", text);
    return SB_EXIT_FAILED;
}

int sb_cli_usage(const char *command, const char *fmt, ...)
{
    char text[SB_DIAG_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fflush(stdout);
    (void)fprintf(stderr, "error: %s\nsee: samebit %s%s--help\n", text, command,
                  *command != '\0' ? " " : "");
    return SB_EXIT_USAGE;
}

/* ---- commands ---- */

static void print_commands(const char *group, const struct sb_command *commands, size_t count)
{
    const char *space = *group != '\0' ? " " : "";
    (void)printf("usage: samebit %s%sCOMMAND [options]\n\ncommands:\n", group, space);
    for (size_t i = 0; i < count; i++) {
        (void)printf("  %-13s %s\n", commands[i].name, commands[i].summary);
    }
    (void)printf("\n'samebit %s%sCOMMAND --help' tells all about one.\n", group, space);
}

static int unknown_command(const char *group, const struct sb_command *commands, size_t count,
                           const char *name)
{
    const char *names[COMMANDS_MAX];
    SB_ASSERT(count <= COMMANDS_MAX);
    for (size_t i = 0; i < count; i++) {
        names[i] = commands[i].name;
    }
    const char *space = *group != '\0' ? " " : "";
    const char *meant = sb_nearest(name, names, count);
    if (meant != NULL) {
        return sb_cli_usage(group, "unknown command \"%s%s%s\"; did you mean \"%s%s%s\"?", group,
                            space, name, group, space, meant);
    }
    return sb_cli_usage(group, "unknown command \"%s%s%s\"", group, space, name);
}

int sb_command_run(const char *group, const struct sb_command *commands, size_t count, int argc,
                   char **argv)
{
    if (argc < 2) {
        print_commands(group, commands, count);
        return SB_EXIT_USAGE;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_commands(group, commands, count);
        return SB_EXIT_OK;
    }
    return unknown_command(group, commands, count, argv[1]);
}

/* ---- progress ---- */

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

void sb_progress_begin(struct sb_progress *progress, const char *what, const char *unit,
                       uint64_t total, bool silent)
{
    uint64_t now = now_ms();
    *progress = (struct sb_progress){.what = what,
                                     .unit = unit,
                                     .total = total,
                                     .begun_ms = now,
                                     .shown_ms = now,
                                     .terminal = isatty(STDERR_FILENO) == 1,
                                     .silent = silent};
}

void sb_progress_step(struct sb_progress *progress, uint64_t done)
{
    uint64_t now = now_ms();
    uint64_t spent = now - progress->begun_ms;
    uint64_t every = progress->terminal ? TERMINAL_EVERY : ELSEWHERE_EVERY;
    if (progress->silent || spent < QUIET_MS || now - progress->shown_ms < every) {
        return;
    }
    progress->shown_ms = now;
    char line[LINE_BYTES];
    uint64_t rate = done * 1000 / spent;
    if (progress->total > 0 && done > 0) {
        uint64_t left = done < progress->total ? progress->total - done : 0;
        (void)snprintf(line, sizeof line,
                       "%s: %" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " a second, %" PRIu64
                       " s left",
                       progress->what, done, progress->total, progress->unit, rate,
                       (left * spent / done + 999) / 1000);
    } else {
        (void)snprintf(line, sizeof line, "%s: %" PRIu64 " %s, %" PRIu64 " a second",
                       progress->what, done, progress->unit, rate);
    }
    (void)fprintf(stderr, progress->terminal ? "\r%-78s" : "%s\n", line);
    progress->drawn = progress->terminal;
}

void sb_progress_end(struct sb_progress *progress)
{
    if (progress->drawn) {
        (void)fprintf(stderr, "\r%-78s\r", "");
    }
}
