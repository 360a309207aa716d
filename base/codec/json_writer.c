/* json_writer.c: commas by a bit for each level, everything straight into the buffer; see json_writer.h. */
#include "base/codec/json_writer.h"

#include <inttypes.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "base/util/json_escape.h"

void sb_json_init(struct sb_json *json, struct sb_buf *buf)
{
    *json = (struct sb_json){.buf = buf};
}

bool sb_json_done(const struct sb_json *json)
{
    return json->depth == 0 && (json->has_item[0] & 1) != 0;
}

static uint64_t level_bit(const struct sb_json *json)
{
    return UINT64_C(1) << (json->depth % 64);
}

static bool in_object(const struct sb_json *json)
{
    return json->depth > 0 && (json->is_object[json->depth / 64] & level_bit(json)) != 0;
}

static void separate(struct sb_json *json)
{
    uint64_t *has_item = &json->has_item[json->depth / 64];
    if ((*has_item & level_bit(json)) != 0) {
        sb_buf_add_byte(json->buf, ',');
    }
    *has_item |= level_bit(json);
}

/* Called before each value: checks that one may stand here and writes the comma of an array. */
static void before_value(struct sb_json *json)
{
    if (in_object(json)) {
        SB_ASSERT(json->after_key);
        json->after_key = false;
        return;
    }
    SB_ASSERT(json->depth > 0 || (json->has_item[0] & 1) == 0);
    separate(json);
}

static void container_begin(struct sb_json *json, bool is_object)
{
    before_value(json);
    SB_ASSERT(json->depth + 1 < SB_JSON_DEPTH_MAX);
    json->depth += 1;
    uint64_t *is_object_word = &json->is_object[json->depth / 64];
    json->has_item[json->depth / 64] &= ~level_bit(json);
    *is_object_word &= ~level_bit(json);
    *is_object_word |= is_object ? level_bit(json) : 0;
    sb_buf_add_byte(json->buf, is_object ? '{' : '[');
}

static void container_end(struct sb_json *json, bool is_object)
{
    SB_ASSERT(json->depth > 0 && in_object(json) == is_object && !json->after_key);
    json->depth -= 1;
    sb_buf_add_byte(json->buf, is_object ? '}' : ']');
}

void sb_json_object_begin(struct sb_json *json)
{
    container_begin(json, true);
}

void sb_json_object_end(struct sb_json *json)
{
    container_end(json, true);
}

void sb_json_array_begin(struct sb_json *json)
{
    container_begin(json, false);
}

void sb_json_array_end(struct sb_json *json)
{
    container_end(json, false);
}

static void put_quoted(struct sb_json *json, sb_bytes text)
{
    sb_buf_add_byte(json->buf, '"');
    sb_json_escape(json->buf, text);
    sb_buf_add_byte(json->buf, '"');
}

void sb_json_key(struct sb_json *json, const char *key)
{
    SB_ASSERT(in_object(json) && !json->after_key);
    separate(json);
    put_quoted(json, sb_span_str(key));
    sb_buf_add_byte(json->buf, ':');
    json->after_key = true;
}

void sb_json_string(struct sb_json *json, const char *text, size_t len)
{
    before_value(json);
    put_quoted(json, sb_span(text, len));
}

void sb_json_str(struct sb_json *json, const char *text)
{
    sb_json_string(json, text, strlen(text));
}

void sb_json_hex(struct sb_json *json, sb_bytes data)
{
    before_value(json);
    if (data.len > (SIZE_MAX - 4) / 2) {
        json->buf->failed = true;
        return;
    }
    char *place = (char *)sb_buf_grow(json->buf, 2 * data.len + 4);
    if (place != NULL) {
        memcpy(place, "\"0x", 3);
        sb_hex_encode(place + 3, data);
        place[3 + 2 * data.len] = '"';
    }
}

void sb_json_hash(struct sb_json *json, const sb_hash *hash)
{
    sb_json_hex(json, sb_span(hash->b, sizeof hash->b));
}

void sb_json_addr(struct sb_json *json, const sb_addr *addr)
{
    sb_json_hex(json, sb_span(addr->b, sizeof addr->b));
}

void sb_json_quantity_u64(struct sb_json *json, uint64_t value)
{
    char text[SB_HEX_U64_BYTES + 2] = "\"";
    size_t len = sb_hex_format_u64(text + 1, value);
    text[1 + len] = '"';
    sb_json_raw(json, sb_span(text, len + 2));
}

void sb_json_quantity_u256(struct sb_json *json, const sb_u256 *value)
{
    char text[SB_HEX_U256_BYTES + 2] = "\"";
    size_t len = sb_hex_format_u256(text + 1, value);
    text[1 + len] = '"';
    sb_json_raw(json, sb_span(text, len + 2));
}

void sb_json_u64(struct sb_json *json, uint64_t value)
{
    before_value(json);
    sb_buf_addf(json->buf, "%" PRIu64, value);
}

void sb_json_i64(struct sb_json *json, int64_t value)
{
    before_value(json);
    sb_buf_addf(json->buf, "%" PRId64, value);
}

void sb_json_bool(struct sb_json *json, bool value)
{
    sb_json_raw(json, sb_span_str(value ? "true" : "false"));
}

void sb_json_null(struct sb_json *json)
{
    sb_json_raw(json, sb_span_str("null"));
}

void sb_json_raw(struct sb_json *json, sb_bytes text)
{
    before_value(json);
    sb_buf_add(json->buf, text.data, text.len);
}
