/* log.c: lines of logfmt and JSON; see log.h.
 *
 * A line is built in a buffer of its own and written by one fwrite, which stdio makes atomic among threads. A field that would
 * pass the end of the line is left out whole, so JSON stays JSON. */
#include "base/util/log.h"

#include <inttypes.h>
#include <time.h>

#include "base/util/buf.h"
#include "base/util/json_escape.h"

/* Longest text of one message or value, in source bytes; escaped it is at most six times as long. */
#define TEXT_BYTES_MAX ((size_t)512)
/* Kept free for what closes a line. */
#define TAIL_BYTES 4

static const char *const k_level_name[] = {"error", "warn", "info", "debug", "trace"};
static const char *const k_level_label[] = {"ERROR", "WARN ", "INFO ", "DEBUG", "TRACE"};
static const char *const k_level_colour[] = {"\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[36m",
                                             "\x1b[2m"};
#define COLOUR_OFF "\x1b[0m"

void sb_log_init(struct sb_logger *log, FILE *sink, enum sb_log_form form, enum sb_log_level level,
                 bool colour, sb_log_clock_fn clock, void *clock_ctx)
{
    *log = (struct sb_logger){
        .sink = sink,
        .form = form,
        .level = level,
        .colour = colour && form == SB_LOG_FORM_LOGFMT,
        .clock = clock,
        .clock_ctx = clock_ctx,
    };
}

sb_err sb_log_level_parse(enum sb_log_level *ret, const char *name)
{
    for (size_t i = 0; i < sizeof k_level_name / sizeof k_level_name[0]; i++) {
        if (strcmp(name, k_level_name[i]) == 0) {
            *ret = (enum sb_log_level)i;
            return SB_OK;
        }
    }
    return SB_E_ARG;
}

const char *sb_log_level_name(enum sb_log_level level)
{
    return k_level_name[level];
}

/* RFC 3339 in UTC with milliseconds. */
static void add_time(struct sb_buf *line, int64_t unix_ms)
{
    int64_t ms = unix_ms % 1000;
    if (ms < 0) {
        ms += 1000;
    }
    time_t seconds = (time_t)((unix_ms - ms) / 1000);
    struct tm t;
    if (gmtime_r(&seconds, &t) == NULL) {
        memset(&t, 0, sizeof t);
    }
    sb_buf_addf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
                t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)ms);
}

static void add_text(struct sb_buf *line, sb_bytes text)
{
    sb_json_escape(line, sb_span_slice(text, 0, TEXT_BYTES_MAX));
    if (text.len > TEXT_BYTES_MAX) {
        sb_buf_add_str(line, "...");
    }
}

static void add_quoted(struct sb_buf *line, sb_bytes text)
{
    sb_buf_add_byte(line, '"');
    add_text(line, text);
    sb_buf_add_byte(line, '"');
}

static void add_hex(struct sb_buf *line, sb_bytes data)
{
    sb_buf_add_str(line, "0x");
    for (size_t i = 0; i < data.len && i < TEXT_BYTES_MAX; i++) {
        sb_buf_addf(line, "%02x", data.data[i]);
    }
    if (data.len > TEXT_BYTES_MAX) {
        sb_buf_add_str(line, "...");
    }
}

/* A logfmt value may stand bare when nothing in it could be taken for a separator. */
static bool is_bare(sb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return text.len > 0;
}

static void add_value(struct sb_buf *line, const struct sb_log_field *field, bool json)
{
    switch (field->type) {
    case SB_LOG_TYPE_STR:
        if (json || !is_bare(field->value.bytes)) {
            add_quoted(line, field->value.bytes);
        } else {
            add_text(line, field->value.bytes);
        }
        break;
    case SB_LOG_TYPE_U64:
        sb_buf_addf(line, "%" PRIu64, field->value.u64);
        break;
    case SB_LOG_TYPE_I64:
        sb_buf_addf(line, "%" PRId64, field->value.i64);
        break;
    case SB_LOG_TYPE_BOOL:
        sb_buf_add_str(line, field->value.boolean ? "true" : "false");
        break;
    case SB_LOG_TYPE_HEX:
        sb_buf_add_str(line, json ? "\"" : "");
        add_hex(line, field->value.bytes);
        sb_buf_add_str(line, json ? "\"" : "");
        break;
    }
}

static void add_logfmt_head(struct sb_buf *line, const struct sb_logger *log,
                            enum sb_log_level level, const char *area, const char *message)
{
    if (log->clock != NULL) {
        add_time(line, log->clock(log->clock_ctx));
        sb_buf_add_byte(line, ' ');
    }
    sb_buf_add_str(line, log->colour ? k_level_colour[level] : "");
    sb_buf_add_str(line, k_level_label[level]);
    sb_buf_add_str(line, log->colour ? COLOUR_OFF : "");
    sb_buf_add_byte(line, ' ');
    sb_buf_add_str(line, area);
    sb_buf_add_str(line, ": ");
    add_text(line, sb_span_str(message));
}

static void add_json_head(struct sb_buf *line, const struct sb_logger *log, enum sb_log_level level,
                          const char *area, const char *message)
{
    sb_buf_add_byte(line, '{');
    if (log->clock != NULL) {
        sb_buf_add_str(line, "\"ts\":\"");
        add_time(line, log->clock(log->clock_ctx));
        sb_buf_add_str(line, "\",");
    }
    sb_buf_addf(line, "\"level\":\"%s\",\"area\":\"%s\",\"msg\":", k_level_name[level], area);
    add_quoted(line, sb_span_str(message));
}

void sb_log_write(const struct sb_logger *log, enum sb_log_level level, const char *area,
                  const char *message, const struct sb_log_field *fields)
{
    bool json = log->form == SB_LOG_FORM_JSON;
    struct sb_buf line;
    sb_buf_init(&line, SB_LOG_LINE_BYTES_MAX - TAIL_BYTES);
    if (json) {
        add_json_head(&line, log, level, area, message);
    } else {
        add_logfmt_head(&line, log, level, area, message);
    }
    for (const struct sb_log_field *field = fields; field->key != NULL; field++) {
        size_t mark = line.len;
        sb_buf_addf(&line, json ? ",\"%s\":" : " %s=", field->key);
        add_value(&line, field, json);
        if (line.failed) {
            line.len = mark;
            line.failed = false;
            break;
        }
    }
    line.limit_bytes = SB_LOG_LINE_BYTES_MAX;
    sb_buf_add_str(&line, json ? "}\n" : "\n");
    if (!line.failed) {
        (void)fwrite(line.data, 1, line.len, log->sink);
    }
    sb_buf_fini(&line);
}
