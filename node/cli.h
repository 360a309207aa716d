/* cli.h: what all commands share: options, tables of commands, errors for people, progress.
 *
 *     samebit COMMAND [SUBCOMMAND] [operands] [--option VALUE] [--flag]
 *
 * A command describes its options as a table of struct sb_option; reading, checking, --help and the nearest match for a mistyped name
 * come from that table. "--name VALUE" and "--name=VALUE" are the same, "-o" is "--output"; "--" ends the options. Exit status: 0
 * done, 1 failed, 2 the command line is wrong. Errors go to stderr as "error: ...", and say what to do. */
#ifndef SB_NODE_CLI_H
#define SB_NODE_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/err.h"
#include "base/util/span.h"

#define SB_EXIT_OK     0
#define SB_EXIT_FAILED 1
#define SB_EXIT_USAGE  2

/* ---- commands ---- */

struct sb_command {
    const char *name;
    const char *summary;
    /* argv[0] is the command's own name, as in main. Returns the exit status. */
    int (*run)(int argc, char **argv);
};

/* sb_command_run: the command of a table that argv[1] names; without one, or for help, prints the table. group is "" for the program
 * itself, else for example "model". */
int sb_command_run(const char *group, const struct sb_command *commands, size_t count, int argc,
                   char **argv);

/* ---- options ---- */

enum sb_option_kind {
    SB_OPTION_FLAG,    /* bool: present or not */
    SB_OPTION_TEXT,    /* const char *: borrowed from argv */
    SB_OPTION_U64,     /* uint64_t, decimal, in [min, max] */
    SB_OPTION_SECONDS, /* uint64_t milliseconds, written as seconds with up to three decimals; min and max in milliseconds */
    SB_OPTION_TEXTS,   /* struct sb_texts: may be given more than once */
};

#define SB_TEXTS_MAX 256
struct sb_texts {
    const char *items[SB_TEXTS_MAX];
    size_t count;
};

struct sb_option {
    const char *name; /* without the dashes */
    enum sb_option_kind kind;
    void *ret;         /* of the kind's type; keeps its value when the option is absent */
    const char *value; /* name of the value in the help; NULL for flags */
    const char *help;
    uint64_t min, max; /* numbers */
};

struct sb_usage {
    const char *command;  /* "model import" */
    const char *synopsis; /* "MODEL.onnx -o FILE [options]" */
    const char *about;    /* a paragraph */
    const char *examples; /* one a line */
};

/* What is not an option, in order; borrowed from argv. */
struct sb_operands {
    const char *items[SB_TEXTS_MAX];
    size_t count;
};

/* sb_options_parse: fill the options and *ret_operands from argv[1..]. SB_E_ARG names the culprit; SB_E_CANCELLED: help was asked for. */
sb_err sb_options_parse(struct sb_operands *ret_operands, const struct sb_option *options,
                        size_t option_count, int argc, char **argv,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_options_read: sb_options_parse for a command: prints help or the error. operands_min..max bounds the operands. false: return
 * *ret_status. */
bool sb_options_read(struct sb_operands *ret_operands, int *ret_status,
                     const struct sb_usage *usage, const struct sb_option *options,
                     size_t option_count, size_t operands_min, size_t operands_max, int argc,
                     char **argv);
void sb_usage_print(const struct sb_usage *usage, const struct sb_option *options,
                    size_t option_count);

/* sb_nearest: the name that is meant by a mistyped one: at most two letters differ (one in short words; two swapped ones count as
 * one), or it begins like that; NULL when none is near. */
const char *sb_nearest(const char *text, const char *const *names, size_t count);

/* sb_milliseconds_parse: "2", "0.5", "1.25" seconds. SB_E_SYNTAX, SB_E_RANGE. */
sb_err sb_milliseconds_parse(uint64_t *ret_ms, const char *text) SB_MUST_USE;
/* sb_microseconds_parse: "25ms", "0.5s", "300us": a number with up to three decimals and its unit. SB_E_SYNTAX, SB_E_RANGE. */
sb_err sb_microseconds_parse(uint64_t *ret_us, const char *text) SB_MUST_USE;
/* sb_percent_parse: "1", "0.25", "0.1%" as millionths; up to four decimals. SB_E_SYNTAX, SB_E_RANGE. */
sb_err sb_percent_parse(uint64_t *ret_ppm, const char *text) SB_MUST_USE;
/* sb_decimal_parse: a whole number. SB_E_SYNTAX, SB_E_RANGE. */
sb_err sb_decimal_parse(uint64_t *ret, const char *text) SB_MUST_USE;

/* ---- messages ---- */

/* sb_cli_fail: "error: MESSAGE" on stderr; returns SB_EXIT_FAILED. */
int sb_cli_fail(const struct sb_diag *diag);
/* sb_cli_failf: the same with a message of its own. */
int sb_cli_failf(const char *fmt, ...) SB_PRINTF(1, 2);
/* sb_cli_usage: an error of the command line, with a pointer to the help of a command; returns SB_EXIT_USAGE. */
int sb_cli_usage(const char *command, const char *fmt, ...) SB_PRINTF(2, 3);

/* ---- progress ---- */

/* Progress of long work on stderr: a line that is drawn over on a terminal, a line every ten seconds elsewhere. */
struct sb_progress {
    const char *what;
    const char *unit;
    uint64_t total; /* 0: not known, no ETA */
    uint64_t begun_ms;
    uint64_t shown_ms;
    bool terminal;
    bool drawn;
    bool silent;
};

/* sb_progress_begin: silent shows nothing. sb_progress_step: `done` of the total; shows rate and ETA, at most five times a second.
 * sb_progress_end: clear the line. */
void sb_progress_begin(struct sb_progress *progress, const char *what, const char *unit,
                       uint64_t total, bool silent);
void sb_progress_step(struct sb_progress *progress, uint64_t done);
void sb_progress_end(struct sb_progress *progress);

#endif
