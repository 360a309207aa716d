/* json_escape.c: UTF-8 checking and escaping; see json_escape.h. */
#include "base/util/json_escape.h"

/* Text that needs no escape, kept in one piece: printable ASCII without quote and backslash. */
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

size_t sb_utf8_len(const uint8_t *text, size_t len)
{
    uint8_t first = text[0];
    if (first < 0x80) {
        return 1;
    }
    size_t need = first >= 0xc2 && first <= 0xdf   ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    if (need == 0 || len < need) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* The second byte rules out overlong forms (e0, f0), surrogates (ed) and numbers over U+10FFFF (f4). */
    bool bad = (first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
               (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f);
    return bad ? 0 : need;
}

static void escape_control(struct sb_buf *buf, uint8_t c)
{
    static const char k_digits[] = "0123456789abcdef";
    switch (c) {
    case '"':
        sb_buf_add(buf, "\\\"", 2);
        break;
    case '\\':
        sb_buf_add(buf, "\\\\", 2);
        break;
    case '\n':
        sb_buf_add(buf, "\\n", 2);
        break;
    case '\r':
        sb_buf_add(buf, "\\r", 2);
        break;
    case '\t':
        sb_buf_add(buf, "\\t", 2);
        break;
    default: {
        const char text[6] = {'\\', 'u', '0', '0', k_digits[c >> 4], k_digits[c & 15]};
        sb_buf_add(buf, text, sizeof text);
        break;
    }
    }
}

void sb_json_escape(struct sb_buf *buf, sb_bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t start = at;
        while (at < text.len && is_plain(text.data[at])) {
            at++;
        }
        sb_buf_add(buf, text.data + start, at - start);
        if (at == text.len) {
            break;
        }
        const uint8_t *c = text.data + at;
        size_t len = sb_utf8_len(c, text.len - at);
        if (len == 0) {
            sb_buf_add(buf, "\xef\xbf\xbd", 3);
        } else if (len == 1) {
            escape_control(buf, c[0]);
        } else if (c[0] == 0xc2 && c[1] < 0xa0) {
            escape_control(buf, c[1]); /* U+0080 to U+009F */
        } else {
            sb_buf_add(buf, c, len);
        }
        at += len == 0 ? 1 : len;
    }
}
