/* err.h: error codes and the message that goes with one.
 *
 * Three kinds of failure are never mixed (docs/adr/0004-error-kinds.md): a bug aborts (assert.h); bad input or a failed environment is an sb_err;
 * the outcome of an execution (revert, out of gas) is data. An sb_err says what kind of failure it is; where a person will read
 * it, the function also fills a struct sb_diag, which says which value was wrong and what to do. */
#ifndef SB_BASE_UTIL_ERR_H
#define SB_BASE_UTIL_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define SB_MUST_USE                      __attribute__((warn_unused_result))
#define SB_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

/* SB_E_x is minus the line's place in err.def, counted from 1; SB_OK is 0. */
enum sb_err_ordinal {
    SB_ERR_ORDINAL_NONE = 0,
#define SB_ERR(name, text) SB_ERR_ORDINAL_##name,
#include "base/util/err.def"
#undef SB_ERR
    SB_ERR_ORDINAL_COUNT
};

typedef enum sb_err {
    SB_OK = 0,
#define SB_ERR(name, text) SB_E_##name = -SB_ERR_ORDINAL_##name,
#include "base/util/err.def"
#undef SB_ERR
} sb_err;

/* sb_err_text: the sentence of err.def for a code; "ok" for SB_OK, "unknown error" for a number outside the list. Static. */
const char *sb_err_text(sb_err err);

/* sb_err_name: the code's name as written in err.def, for logs and tests ("TRUNCATED"). Static. */
const char *sb_err_name(sb_err err);

/* A message for a person. text is always terminated; it is cut, never overrun. Empty until the first failure. */
#define SB_DIAG_TEXT_BYTES 512
struct sb_diag {
    char text[SB_DIAG_TEXT_BYTES];
};

/* sb_diag_set: store the message in diag (may be NULL). */
void sb_diag_set(struct sb_diag *diag, const char *fmt, ...) SB_PRINTF(2, 3);

/* sb_fail: store the message in diag (may be NULL) and give err, so that a failing line reads
 *     return sb_fail(diag, SB_E_RANGE, "gasLimit %s is over 2^63-1", text);
 * The message is a clause without a full stop, lower case, naming the value and, where it helps, the remedy.
 * A macro, so that the compiler and the analyser see at the call that the result is err: not SB_OK, outputs unwritten. */
#define sb_fail(diag, err, ...) (sb_diag_set(diag, __VA_ARGS__), (err))

/* sb_diag_prefix: put "prefix: " in front of the message, as an error travels up ("genesis.json: alloc: ..."). */
void sb_diag_prefix(struct sb_diag *diag, const char *fmt, ...) SB_PRINTF(2, 3);

/* SB_TRY: return from the calling function with the code of expr unless it is SB_OK. */
#define SB_TRY(expr)                                                                               \
    do {                                                                                           \
        sb_err sb_try_err_ = (expr);                                                               \
        if (sb_try_err_ != SB_OK) {                                                                \
            return sb_try_err_;                                                                    \
        }                                                                                          \
    } while (0)

#endif
