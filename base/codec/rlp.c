/* rlp.c: one header parser under all readers, one header writer under all writers; see rlp.h. */
#include "base/codec/rlp.h"

#include "base/util/assert.h"
#include "base/util/endian.h"

#define SHORT_PAYLOAD_MAX 55
#define STRING_SHORT      0x80
#define STRING_LONG       0xb7 /* plus the number of length bytes */
#define LIST_SHORT        0xc0
#define LIST_LONG         0xf7

/* ---- reading ---- */

struct sb_rlp sb_rlp_open(sb_bytes bytes)
{
    static const uint8_t k_empty[1];
    const uint8_t *at = bytes.data != NULL ? bytes.data : k_empty;
    return (struct sb_rlp){.at = at, .end = at + bytes.len};
}

sb_err sb_rlp_end(const struct sb_rlp *in)
{
    return sb_rlp_done(in) ? SB_OK : SB_E_TRAILING;
}

/* The payload length of a long form: len_bytes bytes at `at`, of which the input has `left`. */
static sb_err read_long_length(size_t *ret, const uint8_t *at, size_t left, size_t len_bytes)
{
    if (left < len_bytes) {
        return SB_E_TRUNCATED;
    }
    if (at[0] == 0) {
        return SB_E_NON_CANONICAL;
    }
    uint64_t len = 0;
    for (size_t i = 0; i < len_bytes; i++) {
        len = len << 8 | at[i];
    }
    if (len <= SHORT_PAYLOAD_MAX) {
        return SB_E_NON_CANONICAL;
    }
    if (len > left - len_bytes) {
        return SB_E_TRUNCATED;
    }
    *ret = (size_t)len;
    return SB_OK;
}

sb_err sb_rlp_peek(struct sb_rlp_item *ret_item, const struct sb_rlp *in)
{
    size_t left = (size_t)(in->end - in->at);
    if (left == 0) {
        return SB_E_TRUNCATED;
    }
    uint8_t first = in->at[0];
    size_t header_len = 1;
    size_t payload_len = 0;
    if (first < STRING_SHORT) {
        header_len = 0;
        payload_len = 1;
    } else if (first <= STRING_LONG) {
        payload_len = (size_t)(first - STRING_SHORT);
    } else if (first < LIST_SHORT) {
        size_t len_bytes = (size_t)(first - STRING_LONG);
        SB_TRY(read_long_length(&payload_len, in->at + 1, left - 1, len_bytes));
        header_len += len_bytes;
    } else if (first <= LIST_LONG) {
        payload_len = (size_t)(first - LIST_SHORT);
    } else {
        size_t len_bytes = (size_t)(first - LIST_LONG);
        SB_TRY(read_long_length(&payload_len, in->at + 1, left - 1, len_bytes));
        header_len += len_bytes;
    }
    if (payload_len > left - header_len) {
        return SB_E_TRUNCATED;
    }
    if (first == STRING_SHORT + 1 && in->at[1] < STRING_SHORT) {
        return SB_E_NON_CANONICAL; /* a byte that should be its own encoding */
    }
    ret_item->kind = first < LIST_SHORT ? SB_RLP_STRING : SB_RLP_LIST;
    ret_item->payload = sb_span(in->at + header_len, payload_len);
    ret_item->raw = sb_span(in->at, header_len + payload_len);
    return SB_OK;
}

sb_err sb_rlp_read_item(struct sb_rlp_item *ret_item, struct sb_rlp *in)
{
    SB_TRY(sb_rlp_peek(ret_item, in));
    in->at += ret_item->raw.len;
    return SB_OK;
}

/* Peek an item of the wanted kind; the caller moves on by raw.len once it is content. */
static sb_err peek_kind(struct sb_rlp_item *ret_item, const struct sb_rlp *in,
                        enum sb_rlp_kind kind)
{
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_peek(&item, in));
    if (item.kind != kind) {
        return SB_E_TYPE;
    }
    *ret_item = item;
    return SB_OK;
}

sb_err sb_rlp_read_list(struct sb_rlp *ret_items, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    SB_TRY(peek_kind(&item, in, SB_RLP_LIST));
    in->at += item.raw.len;
    *ret_items = sb_rlp_open(item.payload);
    return SB_OK;
}

sb_err sb_rlp_read_bytes(sb_bytes *ret, struct sb_rlp *in, size_t len_max)
{
    struct sb_rlp_item item;
    SB_TRY(peek_kind(&item, in, SB_RLP_STRING));
    if (item.payload.len > len_max) {
        return SB_E_LIMIT;
    }
    in->at += item.raw.len;
    *ret = item.payload;
    return SB_OK;
}

sb_err sb_rlp_read_fixed(uint8_t *ret, struct sb_rlp *in, size_t len)
{
    struct sb_rlp_item item;
    SB_TRY(peek_kind(&item, in, SB_RLP_STRING));
    if (item.payload.len != len) {
        return SB_E_SHAPE;
    }
    in->at += item.raw.len;
    sb_copy(ret, item.payload.data, len);
    return SB_OK;
}

sb_err sb_rlp_read_hash(sb_hash *ret, struct sb_rlp *in)
{
    return sb_rlp_read_fixed(ret->b, in, sizeof ret->b);
}

sb_err sb_rlp_read_addr(sb_addr *ret, struct sb_rlp *in)
{
    return sb_rlp_read_fixed(ret->b, in, sizeof ret->b);
}

/* The bytes of an integer of at most len_max bytes, without leading zeros. */
static sb_err peek_integer(struct sb_rlp_item *ret_item, const struct sb_rlp *in, size_t len_max)
{
    struct sb_rlp_item item;
    SB_TRY(peek_kind(&item, in, SB_RLP_STRING));
    if (item.payload.len > 0 && item.payload.data[0] == 0) {
        return SB_E_NON_CANONICAL;
    }
    if (item.payload.len > len_max) {
        return SB_E_RANGE;
    }
    *ret_item = item;
    return SB_OK;
}

sb_err sb_rlp_read_u64(uint64_t *ret, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    SB_TRY(peek_integer(&item, in, sizeof *ret));
    uint64_t value = 0;
    for (size_t i = 0; i < item.payload.len; i++) {
        value = value << 8 | item.payload.data[i];
    }
    in->at += item.raw.len;
    *ret = value;
    return SB_OK;
}

sb_err sb_rlp_read_u256(sb_u256 *ret, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    SB_TRY(peek_integer(&item, in, 32));
    in->at += item.raw.len;
    *ret = sb_u256_load_be(item.payload.data, item.payload.len);
    return SB_OK;
}

sb_err sb_rlp_read_bool(bool *ret, struct sb_rlp *in)
{
    struct sb_rlp next = *in;
    uint64_t value;
    SB_TRY(sb_rlp_read_u64(&value, &next));
    if (value > 1) {
        return SB_E_RANGE;
    }
    *in = next;
    *ret = value == 1;
    return SB_OK;
}

sb_err sb_rlp_count(size_t *ret_count, const struct sb_rlp *in, size_t count_max)
{
    struct sb_rlp at = *in;
    size_t count = 0;
    while (!sb_rlp_done(&at)) {
        struct sb_rlp_item item;
        SB_TRY(sb_rlp_read_item(&item, &at));
        if (count == count_max) {
            return SB_E_LIMIT;
        }
        count++;
    }
    *ret_count = count;
    return SB_OK;
}

sb_err sb_rlp_check(sb_bytes bytes)
{
    /* ends[d]: where the list open at depth d ends; the item is checked in one walk from left to right. */
    const uint8_t *ends[SB_RLP_DEPTH_MAX + 1];
    struct sb_rlp in = sb_rlp_open(bytes);
    const uint8_t *input_end = in.end;
    size_t depth = 0;
    struct sb_rlp_item item;
    do {
        SB_TRY(sb_rlp_peek(&item, &in));
        if (item.kind == SB_RLP_STRING) {
            in.at += item.raw.len;
        } else if (depth == SB_RLP_DEPTH_MAX) {
            return SB_E_LIMIT;
        } else {
            ends[depth] = in.end;
            depth++;
            in = sb_rlp_open(item.payload);
        }
        while (depth > 0 && sb_rlp_done(&in)) {
            depth--;
            in.end = ends[depth];
        }
    } while (depth > 0);
    return in.at == input_end ? SB_OK : SB_E_TRAILING;
}

/* ---- writing ---- */

size_t sb_rlp_header(uint8_t ret[SB_RLP_HEADER_BYTES_MAX], enum sb_rlp_kind kind,
                     size_t payload_len)
{
    if (payload_len <= SHORT_PAYLOAD_MAX) {
        ret[0] = (uint8_t)((kind == SB_RLP_LIST ? LIST_SHORT : STRING_SHORT) + payload_len);
        return 1;
    }
    uint8_t len_be[8];
    be_store64(len_be, payload_len);
    size_t len_bytes = 8 - (size_t)__builtin_clzll(payload_len) / 8;
    ret[0] = (uint8_t)((kind == SB_RLP_LIST ? LIST_LONG : STRING_LONG) + len_bytes);
    memcpy(ret + 1, len_be + 8 - len_bytes, len_bytes);
    return 1 + len_bytes;
}

size_t sb_rlp_list_size(size_t payload_len)
{
    uint8_t header[SB_RLP_HEADER_BYTES_MAX];
    return sb_rlp_header(header, SB_RLP_LIST, payload_len) + payload_len;
}

size_t sb_rlp_size(sb_bytes bytes)
{
    bool is_own_encoding = bytes.len == 1 && bytes.data[0] < STRING_SHORT;
    return is_own_encoding ? 1 : sb_rlp_list_size(bytes.len);
}

void sb_rlp_put_bytes(struct sb_buf *buf, sb_bytes bytes)
{
    if (bytes.len == 1 && bytes.data[0] < STRING_SHORT) {
        sb_buf_add_byte(buf, bytes.data[0]);
        return;
    }
    uint8_t header[SB_RLP_HEADER_BYTES_MAX];
    sb_buf_add(buf, header, sb_rlp_header(header, SB_RLP_STRING, bytes.len));
    sb_buf_add(buf, bytes.data, bytes.len);
}

void sb_rlp_put_u64(struct sb_buf *buf, uint64_t value)
{
    uint8_t be[8];
    be_store64(be, value);
    size_t zeros = value == 0 ? 8 : (size_t)__builtin_clzll(value) / 8;
    sb_rlp_put_bytes(buf, sb_span(be + zeros, 8 - zeros));
}

void sb_rlp_put_u256(struct sb_buf *buf, const sb_u256 *value)
{
    uint8_t be[32];
    size_t len = sb_u256_store_be_trim(be, value);
    sb_rlp_put_bytes(buf, sb_span(be, len));
}

void sb_rlp_put_hash(struct sb_buf *buf, const sb_hash *hash)
{
    sb_rlp_put_bytes(buf, sb_span(hash->b, sizeof hash->b));
}

void sb_rlp_put_addr(struct sb_buf *buf, const sb_addr *addr)
{
    sb_rlp_put_bytes(buf, sb_span(addr->b, sizeof addr->b));
}

void sb_rlp_put_bool(struct sb_buf *buf, bool value)
{
    sb_rlp_put_u64(buf, value ? 1 : 0);
}

void sb_rlp_put_raw(struct sb_buf *buf, sb_bytes items)
{
    sb_buf_add(buf, items.data, items.len);
}

size_t sb_rlp_list_begin(struct sb_buf *buf)
{
    /* Room for the shortest header; list_end moves the payload when it needs a longer one. */
    size_t mark = buf->len;
    sb_buf_add_byte(buf, LIST_SHORT);
    return mark;
}

void sb_rlp_list_end(struct sb_buf *buf, size_t mark)
{
    if (buf->failed) {
        return;
    }
    SB_ASSERT(mark < buf->len);
    uint8_t header[SB_RLP_HEADER_BYTES_MAX];
    size_t payload_len = buf->len - mark - 1;
    size_t header_len = sb_rlp_header(header, SB_RLP_LIST, payload_len);
    if (header_len > 1 && sb_buf_grow(buf, header_len - 1) == NULL) {
        return;
    }
    uint8_t *start = buf->data + mark;
    memmove(start + header_len, start + 1, payload_len);
    memcpy(start, header, header_len);
}
