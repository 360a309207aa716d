/* buf.h: a growing byte buffer with a maximum, for everything that is written piece by piece (RLP, JSON, wire bytes).
 *
 * A failed append (limit or memory) is sticky: the buffer keeps what it had, `failed` is set and later appends do nothing, so a
 * writer checks once, at the end. */
#ifndef SB_BASE_UTIL_BUF_H
#define SB_BASE_UTIL_BUF_H

#include "base/util/err.h"
#include "base/util/span.h"

struct sb_buf {
    uint8_t *data; /* owned; NULL while empty */
    size_t len;
    size_t capacity;
    size_t limit_bytes; /* len never passes this */
    bool failed;
};

/* sb_buf_init: empty buffer that will hold at most limit_bytes. Takes no memory yet. */
void sb_buf_init(struct sb_buf *buf, size_t limit_bytes);
/* sb_buf_over: an empty buffer in the caller's memory: it holds at most capacity bytes and never allocates. Not for sb_buf_fini. */
static inline struct sb_buf sb_buf_over(uint8_t *memory, size_t capacity)
{
    return (struct sb_buf){.data = memory, .capacity = capacity, .limit_bytes = capacity};
}
/* sb_buf_fini: free the memory. */
void sb_buf_fini(struct sb_buf *buf);
/* sb_buf_reset: empty, not failed, memory kept. */
void sb_buf_reset(struct sb_buf *buf);
/* sb_buf_add: append len bytes. */
void sb_buf_add(struct sb_buf *buf, const void *data, size_t len);
void sb_buf_add_byte(struct sb_buf *buf, uint8_t byte);
void sb_buf_add_str(struct sb_buf *buf, const char *text);
/* sb_buf_addf: append formatted text (no terminator is kept). */
void sb_buf_addf(struct sb_buf *buf, const char *fmt, ...) SB_PRINTF(2, 3);
/* sb_buf_grow: append len uninitialised bytes and return where they start; NULL if refused. Valid until the next append. */
uint8_t *sb_buf_grow(struct sb_buf *buf, size_t len);
/* sb_buf_err: SB_OK, or SB_E_LIMIT after a refused append. */
sb_err sb_buf_err(const struct sb_buf *buf) SB_MUST_USE;
/* sb_buf_bytes: what was written; valid until the next append. */
static inline sb_bytes sb_buf_bytes(const struct sb_buf *buf)
{
    return sb_span(buf->data, buf->len);
}

#endif
