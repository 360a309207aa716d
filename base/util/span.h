/* span.h: borrowed byte ranges.
 *
 * An sb_bytes points into memory that somebody else owns; it is never freed. Each function that returns one says how long it is
 * valid. An empty span may have data == NULL; functions here accept that, memcpy and memcmp do not, hence the helpers. */
#ifndef SB_BASE_UTIL_SPAN_H
#define SB_BASE_UTIL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sb_bytes {
    const uint8_t *data;
    size_t len;
} sb_bytes;

/* sb_span: the span of len bytes at data. */
static inline sb_bytes sb_span(const void *data, size_t len)
{
    return (sb_bytes){.data = (const uint8_t *)data, .len = len};
}

/* sb_span_str: the bytes of a C string without its terminator. */
static inline sb_bytes sb_span_str(const char *text)
{
    return sb_span(text, strlen(text));
}

/* sb_span_equal: same length and same bytes. Not constant time: never for secrets. */
static inline bool sb_span_equal(sb_bytes a, sb_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* sb_span_slice: bytes [offset, offset + len) of s, cut to what s has; never out of its bounds. */
static inline sb_bytes sb_span_slice(sb_bytes s, size_t offset, size_t len)
{
    if (offset >= s.len) {
        return (sb_bytes){.data = NULL, .len = 0};
    }
    size_t rest = s.len - offset;
    return sb_span(s.data + offset, len < rest ? len : rest);
}

/* sb_copy: memcpy that allows len 0 with NULL pointers. The ranges do not overlap. */
static inline void sb_copy(void *dst, const void *src, size_t len)
{
    if (len != 0) {
        memcpy(dst, src, len);
    }
}

#endif
