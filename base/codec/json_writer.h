/* json_writer.h: JSON text written straight into a buffer, for answers and reports.
 *
 * Commas and colons come by themselves; hexadecimal goes into the buffer without a copy. The text has no spaces. Wrong nesting (a value
 * without a key in an object, an end too many) is a bug and asserts. A full buffer is sticky (buf.h): check once at the end.
 *
 *     struct sb_json json;
 *     sb_json_init(&json, buf);
 *     sb_json_object_begin(&json);
 *     sb_json_key(&json, "number");
 *     sb_json_quantity_u64(&json, 26);            {"number":"0x1a"}
 *     sb_json_object_end(&json); */
#ifndef SB_BASE_CODEC_JSON_WRITER_H
#define SB_BASE_CODEC_JSON_WRITER_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/buf.h"

/* Deep enough for a tree of 1,026 calls, two levels each, within an answer. */
#define SB_JSON_DEPTH_MAX   2112
#define SB_JSON_DEPTH_WORDS (SB_JSON_DEPTH_MAX / 64)

struct sb_json {
    struct sb_buf *buf;                      /* borrowed */
    uint64_t is_object[SB_JSON_DEPTH_WORDS]; /* bit d: the container at depth d is an object */
    uint64_t has_item[SB_JSON_DEPTH_WORDS];  /* bit d: it has an item already */
    unsigned depth;                          /* containers open */
    bool after_key;                          /* the next item is the value of a key */
};

/* sb_json_init: write at the end of buf, which the caller owns. */
void sb_json_init(struct sb_json *json, struct sb_buf *buf);
/* sb_json_done: one complete value was written and all containers are closed. */
bool sb_json_done(const struct sb_json *json);

void sb_json_object_begin(struct sb_json *json);
void sb_json_object_end(struct sb_json *json);
void sb_json_array_begin(struct sb_json *json);
void sb_json_array_end(struct sb_json *json);
/* sb_json_key: name of the next value in an object; escaped as a string is. */
void sb_json_key(struct sb_json *json, const char *key);

/* sb_json_string: text of len bytes; quotes, backslashes and control characters are escaped, bytes that are not UTF-8 become U+FFFD. */
void sb_json_string(struct sb_json *json, const char *text, size_t len);
void sb_json_str(struct sb_json *json, const char *text);
/* sb_json_hex: "0x..." of the bytes; hash and addr: of 32 and 20 bytes. */
void sb_json_hex(struct sb_json *json, sb_bytes data);
void sb_json_hash(struct sb_json *json, const sb_hash *hash);
void sb_json_addr(struct sb_json *json, const sb_addr *addr);
/* sb_json_quantity_u64, sb_json_quantity_u256: "0x1a". */
void sb_json_quantity_u64(struct sb_json *json, uint64_t value);
void sb_json_quantity_u256(struct sb_json *json, const sb_u256 *value);
/* sb_json_u64, sb_json_i64: a JSON number in decimal. */
void sb_json_u64(struct sb_json *json, uint64_t value);
void sb_json_i64(struct sb_json *json, int64_t value);
void sb_json_bool(struct sb_json *json, bool value);
void sb_json_null(struct sb_json *json);
/* sb_json_raw: text that is a JSON value already (a request id echoed from its source). */
void sb_json_raw(struct sb_json *json, sb_bytes text);

#endif
