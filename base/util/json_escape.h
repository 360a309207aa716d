/* json_escape.h: untrusted text made safe for JSON, for log lines and for terminals.
 *
 * Quotes, backslashes and control characters (C0, DEL and the C1 that start terminal sequences) become escapes; bytes that are not
 * UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF) become U+FFFD each. The result is always valid UTF-8. */
#ifndef SB_BASE_UTIL_JSON_ESCAPE_H
#define SB_BASE_UTIL_JSON_ESCAPE_H

#include "base/util/buf.h"

/* sb_utf8_len: bytes of the character that text (len > 0 bytes) starts with: 1 to 4, or 0 when it starts with none. */
size_t sb_utf8_len(const uint8_t *text, size_t len);

/* sb_json_escape: append the escaped text, without quotes around it. */
void sb_json_escape(struct sb_buf *buf, sb_bytes text);

#endif
