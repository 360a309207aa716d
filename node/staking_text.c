/* staking_text.c: see staking_text.h. */
#include "node/staking_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/codec/abi.h"
#include "base/codec/hex.h"
#include "base/util/endian.h"
#include "node/abi_text.h"
#include "node/artifact.h"
#include "node/cli.h"
#include "node/units.h"

#define WORDS_MAX      8
#define TOPICS_MAX     4
#define DECIMALS_SHORT 6
#define BPS_IN_PERCENT 100
#define MINUTE         UINT64_C(60)
#define HOUR           (60 * MINUTE)
#define DAY            (24 * HOUR)

struct sentence {
    const char *signature;
    const char *text;
};

static const struct sentence k_errors[] = {
#define SB_STAKING_ERROR(signature, text) {signature, text},
#include "node/staking_errors.def"
#undef SB_STAKING_ERROR
};
static const struct sentence k_events[] = {
#define SB_STAKING_EVENT(signature, text) {signature, text},
#include "node/staking_events.def"
#undef SB_STAKING_EVENT
};
#define ERROR_COUNT (sizeof k_errors / sizeof k_errors[0])
#define EVENT_COUNT (sizeof k_events / sizeof k_events[0])

/* ---- amounts and times ---- */

void sb_text_coins(struct sb_buf *out, const sb_u256 *wei)
{
    char text[SB_UNITS_TEXT_BYTES];
    sb_units_format(text, wei, SB_ETHER_DECIMALS);
    sb_buf_add_str(out, text);
}

void sb_text_coins_short(struct sb_buf *out, const sb_u256 *wei)
{
    char text[SB_UNITS_TEXT_BYTES];
    const sb_u256 unit = sb_u256_from_u64(UINT64_C(1000000000000));
    sb_u256 millionths = sb_u256_div(wei, &unit);
    if (sb_u256_is_zero(&millionths) && !sb_u256_is_zero(wei)) {
        sb_buf_add_str(out, "<0.000001");
        return;
    }
    sb_units_format(text, &millionths, DECIMALS_SHORT);
    sb_buf_add_str(out, text);
}

void sb_text_percent(struct sb_buf *out, uint64_t bps)
{
    const sb_u256 value = sb_u256_from_u64(bps);
    char text[SB_UNITS_TEXT_BYTES];
    sb_units_format(text, &value, 2);
    sb_buf_addf(out, "%s %%", text);
}

sb_err sb_text_percent_parse(uint64_t *ret_bps, const char *text, const char *option,
                             struct sb_diag *diag)
{
    uint64_t ppm;
    if (sb_percent_parse(&ppm, text) != SB_OK || ppm % BPS_IN_PERCENT != 0) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "--%s: \"%.40s\" is not a percentage up to 100 with at most two decimals",
                       option, text);
    }
    if (ppm > 1000000) {
        return sb_fail(diag, SB_E_RANGE, "--%s: %.40s is over 100 percent", option, text);
    }
    *ret_bps = ppm / BPS_IN_PERCENT;
    return SB_OK;
}

void sb_text_duration(struct sb_buf *out, uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } k_units[] = {{DAY, "day"}, {HOUR, "hour"}, {MINUTE, "minute"}, {1, "second"}};
    size_t i = 0;
    /* two of a unit at least, so that little is lost by rounding; exact ones as they are */
    while (i < 3 && seconds < 2 * k_units[i].seconds && seconds != k_units[i].seconds) {
        i++;
    }
    uint64_t unit = k_units[i].seconds;
    uint64_t count = seconds / unit + (seconds % unit >= unit - seconds % unit);
    sb_buf_addf(out, "%" PRIu64 " %s%s", count, k_units[i].name, count == 1 ? "" : "s");
}

void sb_text_time(struct sb_buf *out, uint64_t seconds, uint64_t now)
{
    char text[32];
    struct tm utc;
    time_t time = (time_t)seconds;
    if (seconds == UINT64_MAX) {
        sb_buf_add_str(out, "never");
        return;
    }
    if (seconds > INT64_MAX || gmtime_r(&time, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0) {
        sb_buf_addf(out, "second %" PRIu64, seconds);
        return;
    }
    sb_buf_addf(out, "%s (%s", text, seconds > now ? "in " : "");
    sb_text_duration(out, seconds > now ? seconds - now : now - seconds);
    sb_buf_add_str(out, seconds > now ? ")" : " ago)");
}

/* ---- sentences ---- */

/* Words of an error or an event. */
struct words {
    sb_hash at[WORDS_MAX];
    size_t count;
};

static void add_word(struct sb_buf *out, char kind, const sb_hash *word, uint64_t now)
{
    sb_u256 value = sb_u256_load_be(word->b, sizeof word->b);
    char decimal[SB_U256_DECIMAL_BYTES], addr_text[SB_ADDR_TEXT_BYTES];
    char hex[SB_HEX_TEXT_BYTES(32)];
    sb_addr addr;
    switch (kind) {
    case 'c':
        sb_text_coins(out, &value);
        return;
    case 'b':
        sb_text_percent(out, sb_u256_sat_u64(&value));
        return;
    case 't':
        sb_text_time(out, sb_u256_sat_u64(&value), now);
        return;
    case 'a':
        memcpy(addr.b, word->b + 12, sizeof addr.b);
        sb_addr_format(addr_text, &addr);
        sb_buf_add_str(out, addr_text);
        return;
    case 'h':
        sb_buf_add_str(out, sb_hex_format(hex, sb_span(word->b, sizeof word->b)));
        return;
    case 'y':
        sb_buf_add_str(out, sb_u256_is_zero(&value) ? "no" : "yes");
        return;
    default:
        sb_u256_format_decimal(decimal, &value);
        sb_buf_add_str(out, decimal);
    }
}

/* fill: the text with its {i:k} replaced; a word that is not there is left as it is written. */
static void fill(struct sb_buf *out, const char *text, const struct words *words, uint64_t now)
{
    while (*text != '\0') {
        size_t index = (size_t)(text[1] - '0');
        if (text[0] == '{' && index < words->count && text[2] == ':' && text[4] == '}') {
            add_word(out, text[3], &words->at[index], now);
            text += 5;
        } else {
            sb_buf_add_byte(out, (uint8_t)*text++);
        }
    }
}

static bool read_words(struct words *words, sb_bytes tuple)
{
    for (size_t i = 0; (i + 1) * SB_ABI_WORD_BYTES <= tuple.len; i++) {
        if (words->count == WORDS_MAX ||
            sb_abi_read_word(&words->at[words->count], tuple, i) != SB_OK) {
            return false;
        }
        words->count++;
    }
    return true;
}

bool sb_text_staking_revert(struct sb_buf *out, sb_bytes data, uint64_t now)
{
    struct sb_abi_revert revert = sb_abi_read_revert(data);
    struct words words = {.count = 0};
    if (revert.kind != SB_ABI_REVERT_CUSTOM || !read_words(&words, revert.args)) {
        return false;
    }
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        const char *signature = k_errors[i].signature;
        if (sb_abi_selector(signature) == revert.selector) {
            sb_buf_addf(out, "%.*s: ", (int)strcspn(signature, "("), signature);
            fill(out, k_errors[i].text, &words, now);
            return true;
        }
    }
    return false;
}

/* read_log: the event of a log and its words; NULL for another contract's. */
static const struct sentence *read_log(struct words *words, const json_t *log)
{
    const json_t *topics = json_object_get(log, "topics");
    size_t count = json_array_size(topics);
    uint8_t memory[WORDS_MAX * SB_ABI_WORD_BYTES];
    struct sb_buf data = sb_buf_over(memory, sizeof memory);
    sb_hash topic = {{0}};
    words->count = 0;
    if (count == 0 || count > TOPICS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *text = json_array_get(topics, i);
        sb_hash *hash = i == 0 ? &topic : &words->at[words->count++];
        if (!json_is_string(text) || sb_hex_parse(hash->b, sizeof hash->b, json_string_value(text),
                                                  json_string_length(text)) != SB_OK) {
            return NULL;
        }
    }
    if (sb_json_read_data(&data, json_object_get(log, "data")) != SB_OK ||
        !read_words(words, sb_buf_bytes(&data))) {
        return NULL;
    }
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        struct sb_abi_item item;
        if (sb_abi_selector(k_events[i].signature) == be_load32(topic.b) &&
            sb_abi_item_parse(&item, k_events[i].signature, NULL) == SB_OK &&
            item.input_count == words->count) {
            return &k_events[i];
        }
    }
    return NULL;
}

bool sb_text_staking_log(struct sb_buf *out, const json_t *log, uint64_t now)
{
    struct words words;
    const struct sentence *event = read_log(&words, log);
    if (event != NULL) {
        fill(out, event->text, &words, now);
    }
    return event != NULL;
}

json_t *sb_staking_log_json(const json_t *log)
{
    struct words words;
    struct sb_abi_item item;
    uint8_t memory[SB_DIAG_TEXT_BYTES];
    const struct sentence *event = read_log(&words, log);
    if (event == NULL || sb_abi_item_parse(&item, event->signature, NULL) != SB_OK) {
        return NULL;
    }
    json_t *args = json_array();
    for (size_t i = 0; i < words.count; i++) {
        struct sb_buf text = sb_buf_over(memory, sizeof memory);
        if (sb_abi_format(&text, &item.inputs[i].type, sb_span(words.at[i].b, SB_ABI_WORD_BYTES),
                          0) == SB_OK) {
            (void)json_array_append_new(args, json_stringn((const char *)text.data, text.len));
        }
    }
    return json_pack("{s:s, s:o}", "event", item.name, "args", args);
}

sb_err sb_staking_explain(const struct sb_rpc_client *client, sb_err err, uint64_t now,
                          struct sb_diag *diag)
{
    uint8_t memory[SB_DIAG_TEXT_BYTES];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    struct sb_buf data;
    if (err != SB_E_ARG || client->error_data[0] == '\0') {
        return err;
    }
    sb_buf_init(&data, SB_RPC_REVERT_TEXT_BYTES);
    json_t *hex = json_string(client->error_data);
    bool known = sb_json_read_data(&data, hex) == SB_OK &&
                 sb_text_staking_revert(&text, sb_buf_bytes(&data), now);
    json_decref(hex);
    sb_buf_fini(&data);
    return known ? sb_fail(diag, err, "%.*s", (int)text.len, (const char *)text.data)
                 : sb_artifact_explain(client, NULL, err, diag);
}
