/* err.c: texts of the error codes and formatting of diagnostics; see err.h. */
#include "base/util/err.h"

#include <stdio.h>
#include <string.h>

static const char *const k_text[SB_ERR_ORDINAL_COUNT] = {
    "ok",
#define SB_ERR(name, text) text,
#include "base/util/err.def"
#undef SB_ERR
};

static const char *const k_name[SB_ERR_ORDINAL_COUNT] = {
    "OK",
#define SB_ERR(name, text) #name,
#include "base/util/err.def"
#undef SB_ERR
};

static size_t ordinal_of(sb_err err)
{
    int ordinal = -(int)err;
    return ordinal >= 0 && ordinal < SB_ERR_ORDINAL_COUNT ? (size_t)ordinal : SB_ERR_ORDINAL_COUNT;
}

const char *sb_err_text(sb_err err)
{
    size_t i = ordinal_of(err);
    return i < SB_ERR_ORDINAL_COUNT ? k_text[i] : "unknown error";
}

const char *sb_err_name(sb_err err)
{
    size_t i = ordinal_of(err);
    return i < SB_ERR_ORDINAL_COUNT ? k_name[i] : "UNKNOWN";
}

void sb_diag_set(struct sb_diag *diag, const char *fmt, ...)
{
    if (diag != NULL) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(diag->text, sizeof diag->text, fmt, args);
        va_end(args);
    }
}

void sb_diag_prefix(struct sb_diag *diag, const char *fmt, ...)
{
    if (diag == NULL) {
        return;
    }
    char joined[SB_DIAG_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    int prefix_len = vsnprintf(joined, sizeof joined, fmt, args);
    va_end(args);
    if (prefix_len < 0 || (size_t)prefix_len >= sizeof joined - 3) {
        return;
    }
    (void)snprintf(joined + prefix_len, sizeof joined - (size_t)prefix_len, ": %.*s",
                   (int)(sizeof joined - (size_t)prefix_len - 3), diag->text);
    memcpy(diag->text, joined, sizeof joined);
}
