/* config.h: the settings of a node: defaults, then config.json, then flags. The list is config.def.
 *
 * Reading is strict: unknown keys, wrong types and values out of range are errors that name the key. */
#ifndef SB_NODE_CONFIG_H
#define SB_NODE_CONFIG_H

#include "base/util/buf.h"
#include "base/util/log.h"
#include "node/cli.h"

#define SB_CONFIG_TEXT_BYTES     256
#define SB_CONFIG_LIST_BYTES     16384
#define SB_CONFIG_LIST_ITEMS_MAX 256
#define SB_CONFIG_FILE_BYTES_MAX ((size_t)128 * 1024)

/* Too large for a stack that other large things share: keep one static or on the heap. */
struct sb_config {
#define SB_CONFIG_TEXT(field, key, flag, default_value, text)          char field[SB_CONFIG_TEXT_BYTES];
#define SB_CONFIG_U64(field, key, flag, default_value, min, max, text) uint64_t field;
#define SB_CONFIG_BOOL(field, key, flag, text)                         bool field;
#define SB_CONFIG_LIST(field, key, flag, text)                         char field[SB_CONFIG_LIST_BYTES];
#include "node/config.def"
#undef SB_CONFIG_TEXT
#undef SB_CONFIG_U64
#undef SB_CONFIG_BOOL
#undef SB_CONFIG_LIST
};

enum {
#define SB_CONFIG_TEXT(field, key, flag, default_value, text)          SB_CONFIG_INDEX_##field,
#define SB_CONFIG_U64(field, key, flag, default_value, min, max, text) SB_CONFIG_INDEX_##field,
#define SB_CONFIG_BOOL(field, key, flag, text)                         SB_CONFIG_INDEX_##field,
#define SB_CONFIG_LIST(field, key, flag, text)                         SB_CONFIG_INDEX_##field,
#include "node/config.def"
#undef SB_CONFIG_TEXT
#undef SB_CONFIG_U64
#undef SB_CONFIG_BOOL
#undef SB_CONFIG_LIST
    SB_CONFIG_COUNT
};

/* What the command line said about the settings: filled by sb_options_parse, laid over a configuration by sb_config_apply. */
struct sb_config_flags {
#define SB_CONFIG_TEXT(field, key, flag, default_value, text)          const char *field;
#define SB_CONFIG_U64(field, key, flag, default_value, min, max, text) uint64_t field;
#define SB_CONFIG_BOOL(field, key, flag, text)                         bool field;
#define SB_CONFIG_LIST(field, key, flag, text)                         const char *field;
#include "node/config.def"
#undef SB_CONFIG_TEXT
#undef SB_CONFIG_U64
#undef SB_CONFIG_BOOL
#undef SB_CONFIG_LIST
};

void sb_config_default(struct sb_config *ret_config);

/* sb_config_parse: a config.json laid over *config, which stays as it was on failure. SB_E_SYNTAX, SB_E_TYPE, SB_E_RANGE,
 * SB_E_UNSUPPORTED (unknown key); the message names the key. */
sb_err sb_config_parse(struct sb_config *config, sb_bytes text, struct sb_diag *diag) SB_MUST_USE;

/* sb_config_emit: all settings as JSON, indented; parsing it gives the same configuration. */
void sb_config_emit(struct sb_buf *out, const struct sb_config *config);

/* sb_config_flags_init: no flag given. sb_config_options: an option for each setting, into room for SB_CONFIG_COUNT; they fill flags. */
void sb_config_flags_init(struct sb_config_flags *flags);
void sb_config_options(struct sb_option *ret_options, struct sb_config_flags *flags);
/* sb_config_apply: lay the flags that were given over *config, and check the result. Errors name the flag. */
sb_err sb_config_apply(struct sb_config *config, const struct sb_config_flags *flags,
                       struct sb_diag *diag) SB_MUST_USE;

/* The items of a list setting, each a string of its own. */
struct sb_config_items {
    const char *items[SB_CONFIG_LIST_ITEMS_MAX];
    size_t count;
    char text[SB_CONFIG_LIST_BYTES]; /* what items point into */
};

/* sb_config_list_split: the items of a list, without the spaces around them; items point into *ret_items. SB_E_RANGE for an empty item
 * or too many; name is the key, for the message. */
sb_err sb_config_list_split(struct sb_config_items *ret_items, const char *list, const char *name,
                            struct sb_diag *diag) SB_MUST_USE;

/* sb_config_logger: the logger that the settings ask for, on stderr. The settings have been checked. */
struct sb_logger sb_config_logger(const struct sb_config *config);

#endif
