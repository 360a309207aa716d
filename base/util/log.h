/* log.h: one line an event, for people (logfmt) or machines (JSON), with typed fields.
 *
 *     2026-01-31T12:00:00.123Z INFO  rpc: server is up port=8545 host="127.0.0.1"
 *     {"ts":"2026-01-31T12:00:00.123Z","level":"info","area":"rpc","msg":"server is up","port":8545,"host":"127.0.0.1"}
 *
 *     sb_log(log, SB_LOG_INFO, "rpc", "server is up", SB_LOG_U64("port", port), SB_LOG_STR("host", host), SB_LOG_END);
 *
 * The sink and the clock are the caller's: base opens no file and reads no clock. Each line is one fwrite, so threads may share a
 * logger and lines never mix. A line is at most SB_LOG_LINE_BYTES_MAX bytes: longer values are cut. Untrusted text cannot forge a
 * line or drive a terminal: control characters and bytes that are not UTF-8 are escaped. */
#ifndef SB_BASE_UTIL_LOG_H
#define SB_BASE_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/util/err.h"
#include "base/util/span.h"

#define SB_LOG_LINE_BYTES_MAX 4096

enum sb_log_level {
    SB_LOG_ERROR,
    SB_LOG_WARN,
    SB_LOG_INFO,
    SB_LOG_DEBUG,
    SB_LOG_TRACE,
};

enum sb_log_form {
    SB_LOG_FORM_LOGFMT,
    SB_LOG_FORM_JSON,
};

enum sb_log_type {
    SB_LOG_TYPE_STR,
    SB_LOG_TYPE_U64,
    SB_LOG_TYPE_I64,
    SB_LOG_TYPE_BOOL,
    SB_LOG_TYPE_HEX,
};

struct sb_log_field {
    const char *key; /* lower_snake; NULL ends the list */
    enum sb_log_type type;
    union {
        uint64_t u64;
        int64_t i64;
        bool boolean;
        sb_bytes bytes; /* STR and HEX */
    } value;
};

/* Milliseconds since 1970-01-01T00:00Z. */
typedef int64_t (*sb_log_clock_fn)(void *ctx);

struct sb_logger {
    FILE *sink; /* borrowed */
    enum sb_log_form form;
    enum sb_log_level level; /* least important level that is written */
    bool colour;             /* level names in colour: only for a terminal, only logfmt */
    sb_log_clock_fn clock;   /* NULL: lines carry no time */
    void *clock_ctx;
};

/* sb_log_init: logger to a sink that stays open as long as it is used. colour: whether the sink is a terminal that wants it. */
void sb_log_init(struct sb_logger *log, FILE *sink, enum sb_log_form form, enum sb_log_level level,
                 bool colour, sb_log_clock_fn clock, void *clock_ctx);

/* sb_log_enabled: a line of this level would be written. A NULL logger writes nothing. */
static inline bool sb_log_enabled(const struct sb_logger *log, enum sb_log_level level)
{
    return log != NULL && level <= log->level;
}

/* sb_log_write: the function behind sb_log; fields end with one whose key is NULL. */
void sb_log_write(const struct sb_logger *log, enum sb_log_level level, const char *area,
                  const char *message, const struct sb_log_field *fields);

/* sb_log(log, level, area, message, fields..., SB_LOG_END): write a line; the fields are not evaluated when the level is off. */
#define sb_log(log, level, area, message, ...)                                                     \
    (sb_log_enabled(log, level)                                                                    \
         ? sb_log_write(log, level, area, message, (const struct sb_log_field[]){__VA_ARGS__})     \
         : (void)0)

#define SB_LOG_STR(k, text)                                                                        \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_STR, .value.bytes = sb_span_str(text)                      \
    }
#define SB_LOG_BYTES(k, span)                                                                      \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_STR, .value.bytes = (span)                                 \
    }
#define SB_LOG_U64(k, v)                                                                           \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_U64, .value.u64 = (v)                                      \
    }
#define SB_LOG_I64(k, v)                                                                           \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_I64, .value.i64 = (v)                                      \
    }
#define SB_LOG_BOOL(k, v)                                                                          \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_BOOL, .value.boolean = (v)                                 \
    }
#define SB_LOG_HEX(k, data, len)                                                                   \
    {                                                                                              \
        .key = (k), .type = SB_LOG_TYPE_HEX, .value.bytes = sb_span(data, len)                     \
    }
#define SB_LOG_ERR(k, err) SB_LOG_STR(k, sb_err_text(err))
#define SB_LOG_END                                                                                 \
    {                                                                                              \
        .key = NULL                                                                                \
    }

/* sb_log_level_parse: "error", "warn", "info", "debug", "trace"; SB_E_ARG otherwise. sb_log_level_name: the reverse. */
sb_err sb_log_level_parse(enum sb_log_level *ret, const char *name) SB_MUST_USE;
const char *sb_log_level_name(enum sb_log_level level);

#endif
