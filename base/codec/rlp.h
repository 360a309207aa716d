/* rlp.h: Recursive Length Prefix, the encoding of Ethereum (Yellow Paper, appendix B): strict reader and streaming writer.
 *
 *     00..7f         a byte that is its own encoding        c0..f7 items      list, payload of 0..55 bytes
 *     80..b7 bytes   string of 0..55 bytes                  f8..ff len items  list, payload length in 1..8 bytes
 *     b8..bf len bytes   string, length in 1..8 bytes
 *
 * Reading is a cursor over borrowed bytes: each reader takes the next item or fails and leaves the cursor where it was. Only the one
 * canonical form of a value is accepted: shortest headers, integers without leading zeros. Readers allocate nothing and do not
 * recurse; a list is opened as a cursor of its own, and sb_rlp_end must close each. A list that is skipped as an item is not
 * looked into (sb_rlp_check does that). Spans returned point into the input.
 *
 *     struct sb_rlp in = sb_rlp_open(bytes), tx;
 *     SB_TRY(sb_rlp_read_list(&tx, &in));
 *     SB_TRY(sb_rlp_read_u64(&nonce, &tx));
 *     SB_TRY(sb_rlp_end(&tx));
 *     SB_TRY(sb_rlp_end(&in));
 *
 * Writing appends to a struct sb_buf, whose failure is sticky: check sb_buf_err once at the end.
 *
 *     size_t list = sb_rlp_list_begin(buf);
 *     sb_rlp_put_u64(buf, nonce);
 *     sb_rlp_list_end(buf, list); */
#ifndef SB_BASE_CODEC_RLP_H
#define SB_BASE_CODEC_RLP_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/buf.h"

/* Deepest nesting that sb_rlp_check follows. */
#define SB_RLP_DEPTH_MAX 64
/* Longest header: one byte and a length of eight. */
#define SB_RLP_HEADER_BYTES_MAX 9

enum sb_rlp_kind {
    SB_RLP_STRING,
    SB_RLP_LIST,
};

struct sb_rlp {
    const uint8_t *at;
    const uint8_t *end;
};

struct sb_rlp_item {
    enum sb_rlp_kind kind;
    sb_bytes payload; /* without header */
    sb_bytes raw;     /* header and payload: what a hash is taken of */
};

/* sb_rlp_open: cursor over a concatenation of items. */
struct sb_rlp sb_rlp_open(sb_bytes bytes);

/* sb_rlp_done: no item is left. */
static inline bool sb_rlp_done(const struct sb_rlp *in)
{
    return in->at == in->end;
}

/* sb_rlp_end: SB_E_TRAILING unless all items were read. */
sb_err sb_rlp_end(const struct sb_rlp *in) SB_MUST_USE;

/* sb_rlp_peek, sb_rlp_read_item: the next item, without and with moving past it. SB_E_TRUNCATED when the input ends before the item does
 * (or nothing is left), SB_E_NON_CANONICAL for a header longer than needed. */
sb_err sb_rlp_peek(struct sb_rlp_item *ret_item, const struct sb_rlp *in) SB_MUST_USE;
sb_err sb_rlp_read_item(struct sb_rlp_item *ret_item, struct sb_rlp *in) SB_MUST_USE;

/* Typed readers. Besides the errors of sb_rlp_read_item: SB_E_TYPE for a string instead of a list or the reverse. */
/* sb_rlp_read_list: cursor over the items of a list. */
sb_err sb_rlp_read_list(struct sb_rlp *ret_items, struct sb_rlp *in) SB_MUST_USE;
/* sb_rlp_read_bytes: a string of at most len_max bytes; SB_E_LIMIT if longer. */
sb_err sb_rlp_read_bytes(sb_bytes *ret, struct sb_rlp *in, size_t len_max) SB_MUST_USE;
/* sb_rlp_read_fixed: a string of exactly len bytes; SB_E_SHAPE otherwise. hash and addr: 32 and 20 bytes. */
sb_err sb_rlp_read_fixed(uint8_t *ret, struct sb_rlp *in, size_t len) SB_MUST_USE;
sb_err sb_rlp_read_hash(sb_hash *ret, struct sb_rlp *in) SB_MUST_USE;
sb_err sb_rlp_read_addr(sb_addr *ret, struct sb_rlp *in) SB_MUST_USE;
/* Integers: big-endian without leading zeros, zero is the empty string. SB_E_NON_CANONICAL for a leading zero, SB_E_RANGE when too big. */
sb_err sb_rlp_read_u64(uint64_t *ret, struct sb_rlp *in) SB_MUST_USE;
sb_err sb_rlp_read_u256(sb_u256 *ret, struct sb_rlp *in) SB_MUST_USE;
/* sb_rlp_read_bool: the integers 0 and 1; SB_E_RANGE for others. */
sb_err sb_rlp_read_bool(bool *ret, struct sb_rlp *in) SB_MUST_USE;

/* sb_rlp_count: how many items are left, headers checked; SB_E_LIMIT when more than count_max. Does not move. */
sb_err sb_rlp_count(size_t *ret_count, const struct sb_rlp *in, size_t count_max) SB_MUST_USE;

/* sb_rlp_check: bytes are exactly one item, canonical at all depths. SB_E_LIMIT below SB_RLP_DEPTH_MAX lists in lists, SB_E_TRAILING
 * for bytes after it. */
sb_err sb_rlp_check(sb_bytes bytes) SB_MUST_USE;

/* sb_rlp_header: the header of a payload of payload_len bytes; returns its length. Never used for a string of one byte below 0x80,
 * which has no header. */
size_t sb_rlp_header(uint8_t ret[SB_RLP_HEADER_BYTES_MAX], enum sb_rlp_kind kind,
                     size_t payload_len);
/* sb_rlp_size: encoded size of a string of these bytes; sb_rlp_list_size: of a list with so many bytes of items. */
size_t sb_rlp_size(sb_bytes bytes);
size_t sb_rlp_list_size(size_t payload_len);

void sb_rlp_put_bytes(struct sb_buf *buf, sb_bytes bytes);
void sb_rlp_put_u64(struct sb_buf *buf, uint64_t value);
void sb_rlp_put_u256(struct sb_buf *buf, const sb_u256 *value);
void sb_rlp_put_hash(struct sb_buf *buf, const sb_hash *hash);
void sb_rlp_put_addr(struct sb_buf *buf, const sb_addr *addr);
void sb_rlp_put_bool(struct sb_buf *buf, bool value);
/* sb_rlp_put_raw: bytes that are encoded items already. */
void sb_rlp_put_raw(struct sb_buf *buf, sb_bytes items);
/* sb_rlp_list_begin, sb_rlp_list_end: what is appended between the two is the list; end writes its header. begin returns the mark
 * that end takes. Lists nest, last opened first closed. */
size_t sb_rlp_list_begin(struct sb_buf *buf);
void sb_rlp_list_end(struct sb_buf *buf, size_t mark);

#endif
