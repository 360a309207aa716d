/* cli_options.c: options of a command line, their help, and the nearest match; see cli.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util/checked.h"
#include "node/cli.h"

#define WORD_BYTES_MAX    40
#define CANDIDATES_MAX    128
#define HELP_COLUMN       28
#define FRACTION_DIGITS   3
#define MS_PER_SECOND     1000
#define NEAR_SHORT_LETTER 4
#define PREFIX_MIN        3

/* ---- words ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to change, add, drop or swap with their neighbour to make b of a (Levenshtein with swaps); both shorter than
 * WORD_BYTES_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_BYTES_MAX + 1]; /* of the last two letters of a and of this one, in turn */
    size_t b_len = strlen(b);
    size_t a_len = strlen(a);
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        const size_t *older = rows[(i + 1) % 3];
        const size_t *above = rows[(i + 2) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], older[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

const char *sb_nearest(const char *text, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(text);
    size_t best_distance = SIZE_MAX;
    size_t allowed = len <= NEAR_SHORT_LETTER ? 1 : 2;
    if (len >= WORD_BYTES_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t d = strlen(names[i]) < WORD_BYTES_MAX ? distance(text, names[i]) : SIZE_MAX;
        if (d <= allowed && (best == NULL || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    for (size_t i = 0; best == NULL && len >= PREFIX_MIN && i < count; i++) {
        best = strncmp(text, names[i], len) == 0 ? names[i] : NULL;
    }
    return best;
}

/* ---- numbers ---- */

sb_err sb_decimal_parse(uint64_t *ret, const char *text)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return SB_E_SYNTAX;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return SB_E_SYNTAX;
        }
        if (!ck_mul_u64(&value, value, 10) || !ck_add_u64(&value, value, (uint64_t)(*at - '0'))) {
            return SB_E_RANGE;
        }
    }
    *ret = value;
    return SB_OK;
}

/* parse_fixed: a number with up to `digits` decimals, as a multiple of the last one. `len` characters of text. */
static sb_err parse_fixed(uint64_t *ret, const char *text, size_t len, size_t digits)
{
    char whole[WORD_BYTES_MAX], fraction[WORD_BYTES_MAX];
    size_t point = strcspn(text, ".");
    point = least(point, len);
    if (len >= sizeof whole) {
        return SB_E_RANGE;
    }
    memcpy(whole, text, point);
    whole[point] = '\0';
    uint64_t value = 0;
    SB_TRY(sb_decimal_parse(&value, whole));
    size_t given = point < len ? len - point - 1 : 0;
    uint64_t part = 0;
    if (point < len) {
        memcpy(fraction, text + point + 1, given);
        fraction[given] = '\0';
        if (given > digits) {
            return SB_E_SYNTAX;
        }
        SB_TRY(sb_decimal_parse(&part, fraction));
    }
    for (size_t i = 0; i < digits; i++) {
        if (!ck_mul_u64(&value, value, 10)) {
            return SB_E_RANGE;
        }
        part = i >= given ? part * 10 : part;
    }
    return ck_add_u64(ret, value, part) ? SB_OK : SB_E_RANGE;
}

sb_err sb_milliseconds_parse(uint64_t *ret_ms, const char *text)
{
    return parse_fixed(ret_ms, text, strlen(text), FRACTION_DIGITS);
}

sb_err sb_microseconds_parse(uint64_t *ret_us, const char *text)
{
    static const struct {
        const char *unit;
        uint64_t per_s;
    } k_units[] = {{"us", 1000000}, {"ms", 1000}, {"s", 1}};
    size_t len = strspn(text, "0123456789.");
    for (size_t i = 0; i < sizeof k_units / sizeof k_units[0]; i++) {
        uint64_t thousandths = 0; /* of the unit */
        uint64_t thousandths_us = 0;
        if (strcmp(text + len, k_units[i].unit) != 0) {
            continue;
        }
        SB_TRY(parse_fixed(&thousandths, text, len, FRACTION_DIGITS));
        if (!ck_mul_u64(&thousandths_us, thousandths, 1000000 / k_units[i].per_s)) {
            return SB_E_RANGE;
        }
        *ret_us = thousandths_us / 1000;
        return SB_OK;
    }
    return SB_E_SYNTAX;
}

sb_err sb_percent_parse(uint64_t *ret_ppm, const char *text)
{
    size_t len = strlen(text);
    return parse_fixed(ret_ppm, text, len > 0 && text[len - 1] == '%' ? len - 1 : len, 4);
}

/* ---- parsing ---- */

static const struct sb_option *find_option(const struct sb_option *options, size_t count,
                                           const char *name, size_t name_len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == name_len && memcmp(options[i].name, name, name_len) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static sb_err unknown_option(const struct sb_option *options, size_t count, const char *name,
                             size_t name_len, struct sb_diag *diag)
{
    char text[WORD_BYTES_MAX];
    const char *names[CANDIDATES_MAX];
    size_t n = least(count, CANDIDATES_MAX - 1);
    (void)snprintf(text, sizeof text, "%.*s", (int)least(name_len, sizeof text), name);
    for (size_t i = 0; i < n; i++) {
        names[i] = options[i].name;
    }
    names[n++] = "help";
    const char *meant = sb_nearest(text, names, n);
    if (meant != NULL) {
        return sb_fail(diag, SB_E_ARG, "unknown option --%s; did you mean --%s?", text, meant);
    }
    return sb_fail(diag, SB_E_ARG, "unknown option --%s", text);
}

static sb_err set_number(const struct sb_option *option, const char *value, struct sb_diag *diag)
{
    uint64_t number = 0;
    bool seconds = option->kind == SB_OPTION_SECONDS;
    sb_err err = seconds ? sb_milliseconds_parse(&number, value) : sb_decimal_parse(&number, value);
    if (err == SB_E_SYNTAX) {
        return sb_fail(diag, SB_E_ARG, "--%s: \"%s\" is not %s", option->name, value,
                       seconds ? "a number of seconds (such as 2 or 0.5)" : "a whole number");
    }
    if (err != SB_OK || number < option->min || number > option->max) {
        uint64_t unit = seconds ? MS_PER_SECOND : 1;
        return sb_fail(diag, SB_E_ARG, "--%s: %s is not in %" PRIu64 " to %" PRIu64, option->name,
                       value, option->min / unit, option->max / unit);
    }
    *(uint64_t *)option->ret = number;
    return SB_OK;
}

static sb_err set_option(const struct sb_option *option, const char *value, struct sb_diag *diag)
{
    switch (option->kind) {
    case SB_OPTION_FLAG:
        *(bool *)option->ret = true;
        return SB_OK;
    case SB_OPTION_TEXT:
        *(const char **)option->ret = value;
        return SB_OK;
    case SB_OPTION_U64:
    case SB_OPTION_SECONDS:
        return set_number(option, value, diag);
    case SB_OPTION_TEXTS:
        break;
    }
    struct sb_texts *texts = option->ret;
    if (texts->count == SB_TEXTS_MAX) {
        return sb_fail(diag, SB_E_ARG, "--%s: given more than %d times", option->name,
                       SB_TEXTS_MAX);
    }
    texts->items[texts->count++] = value;
    return SB_OK;
}

/* One option, without its dashes; *at moves over the value that it takes. */
static sb_err parse_option(const struct sb_option *options, size_t count, const char *name, int *at,
                           int argc, char **argv, struct sb_diag *diag)
{
    size_t name_len = strcspn(name, "=");
    const char *value = name[name_len] == '=' ? name + name_len + 1 : NULL;
    const struct sb_option *option = find_option(options, count, name, name_len);
    if (option == NULL) {
        return unknown_option(options, count, name, name_len, diag);
    }
    if (option->kind == SB_OPTION_FLAG && value != NULL) {
        return sb_fail(diag, SB_E_ARG, "--%s takes no value", option->name);
    }
    if (option->kind != SB_OPTION_FLAG && value == NULL) {
        if (*at + 1 >= argc) {
            return sb_fail(diag, SB_E_ARG, "--%s needs a value: --%s %s", option->name,
                           option->name, option->value);
        }
        value = argv[++*at];
    }
    return set_option(option, value, diag);
}

sb_err sb_options_parse(struct sb_operands *ret_operands, const struct sb_option *options,
                        size_t option_count, int argc, char **argv, struct sb_diag *diag)
{
    bool options_ended = false;
    ret_operands->count = 0;
    for (int at = 1; at < argc; at++) {
        const char *text = argv[at];
        if (!options_ended && strcmp(text, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            return SB_E_CANCELLED;
        } else if (!options_ended && strncmp(text, "--", 2) == 0) {
            SB_TRY(parse_option(options, option_count, text + 2, &at, argc, argv, diag));
        } else if (!options_ended && strcmp(text, "-o") == 0) {
            SB_TRY(parse_option(options, option_count, "output", &at, argc, argv, diag));
        } else if (ret_operands->count < SB_TEXTS_MAX) {
            ret_operands->items[ret_operands->count++] = text;
        } else {
            return sb_fail(diag, SB_E_ARG, "more than %d operands", SB_TEXTS_MAX);
        }
    }
    return SB_OK;
}

bool sb_options_read(struct sb_operands *ret_operands, int *ret_status,
                     const struct sb_usage *usage, const struct sb_option *options,
                     size_t option_count, size_t operands_min, size_t operands_max, int argc,
                     char **argv)
{
    struct sb_diag diag = {.text = ""};
    sb_err err = sb_options_parse(ret_operands, options, option_count, argc, argv, &diag);
    if (err == SB_E_CANCELLED) {
        sb_usage_print(usage, options, option_count);
        *ret_status = SB_EXIT_OK;
        return false;
    }
    if (err == SB_OK && ret_operands->count > operands_max) {
        err = sb_fail(&diag, SB_E_ARG, "unexpected operand \"%s\"",
                      ret_operands->items[operands_max]);
    }
    if (err == SB_OK && ret_operands->count < operands_min) {
        err = sb_fail(&diag, SB_E_ARG, "an operand is missing: samebit %s %s", usage->command,
                      usage->synopsis);
    }
    if (err != SB_OK) {
        *ret_status = sb_cli_usage(usage->command, "%s", diag.text);
        return false;
    }
    return true;
}

/* ---- help ---- */

static void print_option(const char *name, const char *value, const char *help)
{
    char left[WORD_BYTES_MAX * 2];
    (void)snprintf(left, sizeof left, "--%s%s%s", name, value != NULL ? " " : "",
                   value != NULL ? value : "");
    if (strlen(left) >= HELP_COLUMN) {
        (void)printf("  %s\n  %*s %s\n", left, HELP_COLUMN, "", help);
    } else {
        (void)printf("  %-*s %s\n", HELP_COLUMN, left, help);
    }
}

void sb_usage_print(const struct sb_usage *usage, const struct sb_option *options,
                    size_t option_count)
{
    (void)printf("usage: samebit %s %s\n\n%s\n\noptions:\n", usage->command, usage->synopsis,
                 usage->about);
    for (size_t i = 0; i < option_count; i++) {
        print_option(options[i].name, options[i].value, options[i].help);
    }
    print_option("help", NULL, "show this and exit");
    (void)printf("\nexamples:\n%s", usage->examples);
}
