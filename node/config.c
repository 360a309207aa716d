/* config.c: see config.h. Each setting is a row of k_settings, made from config.def: where it lies, its bounds, its names. */
#include "node/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/codec/json_writer.h"
#include "base/util/assert.h"

enum setting_type { SETTING_TEXT, SETTING_U64, SETTING_BOOL };

struct setting {
    enum setting_type type;
    const char *key;
    const char *flag;
    const char *help;
    size_t offset;      /* in struct sb_config */
    size_t flag_offset; /* in struct sb_config_flags */
    size_t text_bytes;  /* room of a text, its terminator included */
    const char *default_text;
    uint64_t default_value, min, max;
};

#define PLACES(field)                                                                              \
    .offset = offsetof(struct sb_config, field),                                                   \
    .flag_offset = offsetof(struct sb_config_flags, field)

static const struct setting k_settings[SB_CONFIG_COUNT] = {
#define SB_CONFIG_TEXT(field, key_, flag_, default_, help_)                                        \
    {.type = SETTING_TEXT,                                                                         \
     .key = (key_),                                                                                \
     .flag = (flag_),                                                                              \
     .help = help_ " (" default_ ")",                                                              \
     PLACES(field),                                                                                \
     .text_bytes = SB_CONFIG_TEXT_BYTES,                                                           \
     .default_text = (default_)},
#define SB_CONFIG_U64(field, key_, flag_, default_, min_, max_, help_)                             \
    {.type = SETTING_U64,                                                                          \
     .key = (key_),                                                                                \
     .flag = (flag_),                                                                              \
     .help = help_ " (" #default_ ")",                                                             \
     PLACES(field),                                                                                \
     .default_value = (default_),                                                                  \
     .min = (min_),                                                                                \
     .max = (max_)},
#define SB_CONFIG_BOOL(field, key_, flag_, help_)                                                  \
    {.type = SETTING_BOOL, .key = (key_), .flag = (flag_), .help = (help_), PLACES(field)},
#define SB_CONFIG_LIST(field, key_, flag_, help_)                                                  \
    {.type = SETTING_TEXT,                                                                         \
     .key = (key_),                                                                                \
     .flag = (flag_),                                                                              \
     .help = (help_),                                                                              \
     PLACES(field),                                                                                \
     .text_bytes = SB_CONFIG_LIST_BYTES,                                                           \
     .default_text = ""},
#include "node/config.def"
#undef SB_CONFIG_TEXT
#undef SB_CONFIG_U64
#undef SB_CONFIG_BOOL
#undef SB_CONFIG_LIST
};

/* A number whose flag was not given; no setting allows it. */
#define FLAG_ABSENT UINT64_MAX

static void *in_config(struct sb_config *config, const struct setting *setting)
{
    return (uint8_t *)config + setting->offset;
}

static const void *of_config(const struct sb_config *config, const struct setting *setting)
{
    return (const uint8_t *)config + setting->offset;
}

void sb_config_default(struct sb_config *ret_config)
{
    memset(ret_config, 0, sizeof *ret_config);
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        const struct setting *s = &k_settings[i];
        if (s->type == SETTING_TEXT) {
            memcpy(in_config(ret_config, s), s->default_text, strlen(s->default_text));
        } else if (s->type == SETTING_U64) {
            *(uint64_t *)in_config(ret_config, s) = s->default_value;
        }
    }
}

/* ---- values; `name` is the key or the flag, for the message ---- */

static sb_err set_text(struct sb_config *config, const struct setting *s, const char *name,
                       const char *value, struct sb_diag *diag)
{
    size_t len = strlen(value);
    if (len >= s->text_bytes) {
        return sb_fail(diag, SB_E_RANGE, "%s: longer than %zu bytes", name, s->text_bytes - 1);
    }
    char *field = in_config(config, s);
    memset(field, 0, s->text_bytes);
    memcpy(field, value, len);
    return SB_OK;
}

static sb_err set_u64(struct sb_config *config, const struct setting *s, const char *name,
                      uint64_t value, struct sb_diag *diag)
{
    if (value < s->min || value > s->max) {
        return sb_fail(diag, SB_E_RANGE, "%s: %" PRIu64 " is not in %" PRIu64 " to %" PRIu64, name,
                       value, s->min, s->max);
    }
    *(uint64_t *)in_config(config, s) = value;
    return SB_OK;
}

/* What no single value can say. level_name and format_name are the key or the flag. */
static sb_err check(const struct sb_config *config, const char *level_name, const char *format_name,
                    struct sb_diag *diag)
{
    enum sb_log_level level;
    if (sb_log_level_parse(&level, config->log_level) != SB_OK) {
        return sb_fail(diag, SB_E_RANGE, "%s: \"%s\" is not one of error, warn, info, debug, trace",
                       level_name, config->log_level);
    }
    if (strcmp(config->log_format, "logfmt") != 0 && strcmp(config->log_format, "json") != 0) {
        return sb_fail(diag, SB_E_RANGE, "%s: \"%s\" is not logfmt or json", format_name,
                       config->log_format);
    }
    return SB_OK;
}

/* ---- config.json ---- */

static sb_err read_member(struct sb_config *config, const char *key, const json_t *value,
                          struct sb_diag *diag)
{
    const char *keys[SB_CONFIG_COUNT];
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        const struct setting *s = &k_settings[i];
        keys[i] = s->key;
        if (strcmp(s->key, key) != 0) {
            continue;
        }
        if (s->type == SETTING_TEXT && json_is_string(value)) {
            return set_text(config, s, key, json_string_value(value), diag);
        }
        if (s->type == SETTING_U64 && json_is_integer(value) && json_integer_value(value) >= 0) {
            return set_u64(config, s, key, (uint64_t)json_integer_value(value), diag);
        }
        if (s->type == SETTING_BOOL && json_is_boolean(value)) {
            *(bool *)in_config(config, s) = json_is_true(value);
            return SB_OK;
        }
        return sb_fail(diag, SB_E_TYPE, "%s: must be %s", key,
                       s->type == SETTING_TEXT  ? "a string"
                       : s->type == SETTING_U64 ? "a whole number that is not negative"
                                                : "true or false");
    }
    const char *meant = sb_nearest(key, keys, SB_CONFIG_COUNT);
    return meant != NULL ? sb_fail(diag, SB_E_UNSUPPORTED,
                                   "%.64s: no such setting; did you mean %s?", key, meant)
                         : sb_fail(diag, SB_E_UNSUPPORTED, "%.64s: no such setting", key);
}

static sb_err read_members(struct sb_config *config, json_t *root, struct sb_diag *diag)
{
    const char *key;
    json_t *value;
    if (!json_is_object(root)) {
        return sb_fail(diag, SB_E_TYPE, "the settings must be a JSON object");
    }
    json_object_foreach(root, key, value)
    {
        SB_TRY(read_member(config, key, value, diag));
    }
    return check(config, "logLevel", "logFormat", diag);
}

sb_err sb_config_parse(struct sb_config *config, sb_bytes text, struct sb_diag *diag)
{
    json_error_t error;
    if (text.len > SB_CONFIG_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "more than %zu bytes of settings",
                       SB_CONFIG_FILE_BYTES_MAX);
    }
    json_t *root = json_loadb(text.len != 0 ? (const char *)text.data : "", text.len,
                              JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "line %d: %s", error.line, error.text);
    }
    struct sb_config *read = malloc(sizeof *read);
    if (read == NULL) {
        json_decref(root);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    *read = *config;
    sb_err err = read_members(read, root, diag);
    json_decref(root);
    if (err == SB_OK) {
        *config = *read;
    }
    free(read);
    return err;
}

void sb_config_emit(struct sb_buf *out, const struct sb_config *config)
{
    sb_buf_add_str(out, "{\n");
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        const struct setting *s = &k_settings[i];
        const void *field = of_config(config, s);
        struct sb_json json;
        sb_buf_addf(out, "  \"%s\": ", s->key);
        sb_json_init(&json, out);
        if (s->type == SETTING_TEXT) {
            sb_json_str(&json, field);
        } else if (s->type == SETTING_U64) {
            sb_json_u64(&json, *(const uint64_t *)field);
        } else {
            sb_json_bool(&json, *(const bool *)field);
        }
        sb_buf_add_str(out, i + 1 < SB_CONFIG_COUNT ? ",\n" : "\n");
    }
    sb_buf_add_str(out, "}\n");
}

/* ---- flags ---- */

void sb_config_flags_init(struct sb_config_flags *flags)
{
    memset(flags, 0, sizeof *flags);
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        if (k_settings[i].type == SETTING_U64) {
            *(uint64_t *)(void *)((uint8_t *)flags + k_settings[i].flag_offset) = FLAG_ABSENT;
        }
    }
}

void sb_config_options(struct sb_option *ret_options, struct sb_config_flags *flags)
{
    static const enum sb_option_kind k_kinds[] = {[SETTING_TEXT] = SB_OPTION_TEXT,
                                                  [SETTING_U64] = SB_OPTION_U64,
                                                  [SETTING_BOOL] = SB_OPTION_FLAG};
    static const char *const k_values[] = {
        [SETTING_TEXT] = "TEXT", [SETTING_U64] = "N", [SETTING_BOOL] = NULL};
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        const struct setting *s = &k_settings[i];
        ret_options[i] = (struct sb_option){.name = s->flag,
                                            .kind = k_kinds[s->type],
                                            .ret = (uint8_t *)flags + s->flag_offset,
                                            .value = k_values[s->type],
                                            .help = s->help,
                                            .min = s->min,
                                            .max = s->max};
    }
}

static sb_err apply_flag(struct sb_config *config, const struct sb_config_flags *flags,
                         const struct setting *s, struct sb_diag *diag)
{
    const void *given = (const uint8_t *)flags + s->flag_offset;
    if (s->type == SETTING_TEXT) {
        const char *text = *(const char *const *)given;
        return text != NULL ? set_text(config, s, s->flag, text, diag) : SB_OK;
    }
    if (s->type == SETTING_U64) {
        uint64_t value = *(const uint64_t *)given;
        return value != FLAG_ABSENT ? set_u64(config, s, s->flag, value, diag) : SB_OK;
    }
    if (*(const bool *)given) {
        *(bool *)in_config(config, s) = true;
    }
    return SB_OK;
}

sb_err sb_config_apply(struct sb_config *config, const struct sb_config_flags *flags,
                       struct sb_diag *diag)
{
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        SB_TRY(apply_flag(config, flags, &k_settings[i], diag));
    }
    return check(config, "--log-level", "--log-format", diag);
}

/* ---- lists ---- */

sb_err sb_config_list_split(struct sb_config_items *ret_items, const char *list, const char *name,
                            struct sb_diag *diag)
{
    size_t used = 0;
    ret_items->count = 0;
    if (list[strspn(list, " ")] == '\0') {
        return SB_OK;
    }
    for (const char *at = list;; at++) {
        at += strspn(at, " ");
        size_t width = strcspn(at, ",");
        size_t len = width;
        while (len > 0 && at[len - 1] == ' ') {
            len--;
        }
        if (len == 0) {
            return sb_fail(diag, SB_E_RANGE, "%s: an item is empty", name);
        }
        if (ret_items->count == SB_CONFIG_LIST_ITEMS_MAX || len >= sizeof ret_items->text - used) {
            return sb_fail(diag, SB_E_RANGE, "%s: more than %d items", name,
                           SB_CONFIG_LIST_ITEMS_MAX);
        }
        char *item = ret_items->text + used;
        memcpy(item, at, len);
        item[len] = '\0';
        used += len + 1;
        ret_items->items[ret_items->count++] = item;
        at += width;
        if (*at == '\0') {
            return SB_OK;
        }
    }
}

/* ---- logger ---- */

static int64_t log_clock(void *ctx)
{
    (void)ctx;
    uv_timeval64_t now;
    SB_ASSERT(uv_gettimeofday(&now) == 0);
    return now.tv_sec * 1000 + now.tv_usec / 1000;
}

struct sb_logger sb_config_logger(const struct sb_config *config)
{
    struct sb_logger log;
    enum sb_log_level level = SB_LOG_INFO;
    bool known = sb_log_level_parse(&level, config->log_level) == SB_OK;
    SB_ASSERT(known);
    bool json = strcmp(config->log_format, "json") == 0;
    sb_log_init(&log, stderr, json ? SB_LOG_FORM_JSON : SB_LOG_FORM_LOGFMT, level,
                isatty(STDERR_FILENO) == 1, log_clock, NULL);
    return log;
}
