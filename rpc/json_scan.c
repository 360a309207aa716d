/* json_scan.c: a push-down automaton with one bit for each open container; see json_scan.h. */
#include "rpc/json_scan.h"

#include "base/codec/hex.h"
#include "base/util/assert.h"

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* just after '[' */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* just after '{' */
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING, /* the one value is complete */
};

struct scan {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    uint64_t is_object; /* bit d: the container at depth d is an object */
    unsigned depth;
    size_t value_count;
    enum expect expect;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Length of the UTF-8 sequence at p, 0 if it is not valid (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    static const struct {
        uint8_t lo, hi, second_lo, second_hi, len;
    } rows[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (*p < rows[i].lo || *p > rows[i].hi) {
            continue;
        }
        if ((size_t)(end - p) < rows[i].len || p[1] < rows[i].second_lo ||
            p[1] > rows[i].second_hi) {
            return 0;
        }
        for (size_t k = 2; k < rows[i].len; k++) {
            if ((p[k] & 0xC0) != 0x80) {
                return 0;
            }
        }
        return rows[i].len;
    }
    return 0;
}

/* Moves past an escape whose backslash is at s->at. */
static bool skip_escape(struct scan *s)
{
    if (s->end - s->at < 2) {
        return false;
    }
    uint8_t kind = s->at[1];
    if (kind != 'u') {
        s->at += 2;
        return kind != 0 && strchr("\"\\/bfnrt", kind) != NULL;
    }
    if (s->end - s->at < 6) {
        return false;
    }
    for (int i = 2; i < 6; i++) {
        if (sb_hex_digit((char)s->at[i]) < 0) {
            return false;
        }
    }
    s->at += 6;
    return true;
}

static bool skip_string(struct scan *s)
{
    s->at++;
    while (s->at < s->end) {
        uint8_t c = *s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            if (!skip_escape(s)) {
                return false;
            }
        } else if (c < 0x20) {
            return false;
        } else if (c < 0x80) {
            s->at++;
        } else {
            size_t len = utf8_length(s->at, s->end);
            if (len == 0) {
                return false;
            }
            s->at += len;
        }
    }
    return false;
}

static size_t skip_digits(struct scan *s)
{
    const uint8_t *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return (size_t)(s->at - start);
}

static bool skip_number(struct scan *s)
{
    if (*s->at == '-') {
        s->at++;
    }
    if (s->at < s->end && *s->at == '0') {
        s->at++;
    } else if (skip_digits(s) == 0) {
        return false;
    }
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (skip_digits(s) == 0) {
            return false;
        }
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) {
            s->at++;
        }
        return skip_digits(s) != 0;
    }
    return true;
}

static bool skip_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0) {
        return false;
    }
    s->at += len;
    return true;
}

static bool skip_scalar(struct scan *s)
{
    switch (*s->at) {
    case '"':
        return skip_string(s);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        return skip_number(s);
    }
}

static enum expect after_value(const struct scan *s)
{
    return s->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static bool in_object(const struct scan *s)
{
    return s->depth != 0 && (s->is_object >> (s->depth - 1) & 1) != 0;
}

static sb_err open_container(struct scan *s, const struct sb_rpc_json_limits *limits)
{
    if (s->depth >= limits->depth_max) {
        return SB_E_LIMIT;
    }
    bool object = *s->at == '{';
    uint64_t bit = (uint64_t)1 << s->depth;
    s->is_object = object ? s->is_object | bit : s->is_object & ~bit;
    s->depth++;
    s->at++;
    s->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return SB_OK;
}

static void close_container(struct scan *s)
{
    s->depth--;
    s->at++;
    s->expect = after_value(s);
}

/* One token; s->at is at a character that is not white space. */
static sb_err step(struct scan *s, const struct sb_rpc_json_limits *limits)
{
    uint8_t c = *s->at;
    bool may_close = s->expect == EXPECT_COMMA_OR_END || s->expect == EXPECT_KEY_OR_END ||
                     s->expect == EXPECT_VALUE_OR_END;
    if (may_close && c == (in_object(s) ? '}' : ']')) {
        close_container(s);
        return SB_OK;
    }
    switch (s->expect) {
    case EXPECT_VALUE:
    case EXPECT_VALUE_OR_END:
        if (++s->value_count > limits->value_count_max) {
            return SB_E_LIMIT;
        }
        if (c == '{' || c == '[') {
            return open_container(s, limits);
        }
        if (!skip_scalar(s)) {
            return SB_E_SYNTAX;
        }
        s->expect = after_value(s);
        return SB_OK;
    case EXPECT_KEY:
    case EXPECT_KEY_OR_END:
        s->value_count++;
        if (c != '"' || !skip_string(s)) {
            return SB_E_SYNTAX;
        }
        s->expect = EXPECT_COLON;
        return SB_OK;
    case EXPECT_COLON:
        s->at++;
        s->expect = EXPECT_VALUE;
        return c == ':' ? SB_OK : SB_E_SYNTAX;
    case EXPECT_COMMA_OR_END:
        s->at++;
        s->expect = in_object(s) ? EXPECT_KEY : EXPECT_VALUE;
        return c == ',' ? SB_OK : SB_E_SYNTAX;
    case EXPECT_NOTHING:
        break;
    }
    return SB_E_SYNTAX;
}

sb_err sb_rpc_json_check(sb_bytes text, const struct sb_rpc_json_limits *limits,
                         struct sb_diag *diag)
{
    SB_ASSERT(limits->depth_max <= SB_RPC_JSON_DEPTH_MAX);
    if (text.len == 0) {
        return sb_fail(diag, SB_E_SYNTAX, "empty request");
    }
    struct scan s = {
        .start = text.data, .at = text.data, .end = text.data + text.len, .expect = EXPECT_VALUE};
    for (;;) {
        while (s.at < s.end && is_space(*s.at)) {
            s.at++;
        }
        if (s.at == s.end) {
            break;
        }
        sb_err err = step(&s, limits);
        if (err == SB_E_LIMIT && s.depth >= limits->depth_max) {
            return sb_fail(diag, err, "request is nested deeper than %u levels", limits->depth_max);
        }
        if (err == SB_E_LIMIT) {
            return sb_fail(diag, err, "request holds more than %zu values",
                           limits->value_count_max);
        }
        if (err != SB_OK) {
            return sb_fail(diag, err, "invalid JSON near byte %zu", (size_t)(s.at - s.start));
        }
    }
    if (s.expect != EXPECT_NOTHING) {
        return sb_fail(diag, SB_E_SYNTAX, "unexpected end of JSON input");
    }
    return SB_OK;
}

sb_bytes sb_rpc_json_trim(sb_bytes text)
{
    while (text.len != 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len != 0 && is_space(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct sb_rpc_json_items sb_rpc_json_open(sb_bytes container)
{
    SB_ASSERT(container.len >= 2);
    return (struct sb_rpc_json_items){.at = container.data + 1,
                                      .end = container.data + container.len - 1,
                                      .is_object = container.data[0] == '{'};
}

/* The end of the string that starts at p, in checked text. */
static const uint8_t *string_end(const uint8_t *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            p++;
        }
    }
    return p + 1;
}

/* The end of the value that starts at p, in checked text. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end)
{
    unsigned depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = string_end(p);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (depth == 0) {
            while (p < end && *p != ',' && !is_space(*p)) {
                p++;
            }
        } else {
            p++;
            continue;
        }
        if (depth == 0) {
            break;
        }
    }
    return p;
}

static void skip_between(struct sb_rpc_json_items *items)
{
    while (items->at < items->end &&
           (is_space(*items->at) || *items->at == ',' || *items->at == ':')) {
        items->at++;
    }
}

bool sb_rpc_json_next(struct sb_rpc_json_items *items, sb_bytes *ret_key, sb_bytes *ret_value)
{
    skip_between(items);
    if (items->at == items->end) {
        return false;
    }
    *ret_key = (sb_bytes){.data = NULL, .len = 0};
    if (items->is_object) {
        const uint8_t *after = string_end(items->at);
        *ret_key = sb_span(items->at + 1, (size_t)(after - items->at) - 2);
        items->at = after;
        skip_between(items);
    }
    const uint8_t *after = value_end(items->at, items->end);
    *ret_value = sb_span(items->at, (size_t)(after - items->at));
    items->at = after;
    return true;
}
