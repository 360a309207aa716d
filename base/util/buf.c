/* buf.c: doubling growth up to the limit; see buf.h. */
#include "base/util/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN ((size_t)256)

void sb_buf_init(struct sb_buf *buf, size_t limit_bytes)
{
    *buf = (struct sb_buf){
        .data = NULL, .len = 0, .capacity = 0, .limit_bytes = limit_bytes, .failed = false};
}

void sb_buf_fini(struct sb_buf *buf)
{
    free(buf->data);
    sb_buf_init(buf, buf->limit_bytes);
}

void sb_buf_reset(struct sb_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

uint8_t *sb_buf_grow(struct sb_buf *buf, size_t len)
{
    if (buf->failed || len > buf->limit_bytes - buf->len) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + len;
    if (need > buf->capacity || buf->data == NULL) {
        size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
        while (capacity < need) {
            capacity = capacity > buf->limit_bytes / 2 ? buf->limit_bytes : capacity * 2;
        }
        uint8_t *data = realloc(buf->data, capacity);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    uint8_t *place = buf->data + buf->len;
    buf->len = need;
    return place;
}

void sb_buf_add(struct sb_buf *buf, const void *data, size_t len)
{
    uint8_t *place = sb_buf_grow(buf, len);
    if (place != NULL) {
        sb_copy(place, data, len);
    }
}

void sb_buf_add_byte(struct sb_buf *buf, uint8_t byte)
{
    sb_buf_add(buf, &byte, 1);
}

void sb_buf_add_str(struct sb_buf *buf, const char *text)
{
    sb_buf_add(buf, text, strlen(text));
}

void sb_buf_addf(struct sb_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        buf->failed = true;
    } else {
        /* vsnprintf writes a terminator, so grow by one more and take it back. */
        uint8_t *place = sb_buf_grow(buf, (size_t)len + 1);
        if (place != NULL) {
            (void)vsnprintf((char *)place, (size_t)len + 1, fmt, again);
            buf->len -= 1;
        }
    }
    va_end(again);
}

sb_err sb_buf_err(const struct sb_buf *buf)
{
    return buf->failed ? SB_E_LIMIT : SB_OK;
}
