/* abi.c: bounded reading and head-and-tail writing of the contract ABI; see abi.h. */
#include "base/codec/abi.h"

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define SELECTOR_ERROR 0x08c379a0u /* Error(string) */
#define SELECTOR_PANIC 0x4e487b71u /* Panic(uint256) */

uint32_t sb_abi_selector(const char *signature)
{
    sb_hash hash = sb_keccak256(sb_span_str(signature));
    return be_load32(hash.b);
}

/* ---- reading ---- */

sb_err sb_abi_read_call(uint32_t *ret_selector, sb_bytes *ret_tuple, sb_bytes call_data)
{
    if (call_data.len < SB_ABI_SELECTOR_BYTES) {
        return SB_E_TRUNCATED;
    }
    *ret_selector = be_load32(call_data.data);
    *ret_tuple =
        sb_span(call_data.data + SB_ABI_SELECTOR_BYTES, call_data.len - SB_ABI_SELECTOR_BYTES);
    return SB_OK;
}

/* The 32 bytes at head word word_index, inside the tuple. */
static sb_err word_at(const uint8_t **ret, sb_bytes tuple, size_t word_index)
{
    if (word_index >= tuple.len / SB_ABI_WORD_BYTES) {
        return SB_E_TRUNCATED;
    }
    *ret = tuple.data + word_index * SB_ABI_WORD_BYTES;
    return SB_OK;
}

sb_err sb_abi_read_word(sb_hash *ret, sb_bytes tuple, size_t word_index)
{
    const uint8_t *word;
    SB_TRY(word_at(&word, tuple, word_index));
    memcpy(ret->b, word, SB_ABI_WORD_BYTES);
    return SB_OK;
}

sb_err sb_abi_read_u256(sb_u256 *ret, sb_bytes tuple, size_t word_index)
{
    const uint8_t *word;
    SB_TRY(word_at(&word, tuple, word_index));
    *ret = sb_u256_load_be(word, SB_ABI_WORD_BYTES);
    return SB_OK;
}

sb_err sb_abi_read_u64(uint64_t *ret, sb_bytes tuple, size_t word_index)
{
    sb_u256 value;
    SB_TRY(sb_abi_read_u256(&value, tuple, word_index));
    if (!sb_u256_fits_u64(&value)) {
        return SB_E_RANGE;
    }
    *ret = value.w[0];
    return SB_OK;
}

sb_err sb_abi_read_i64(int64_t *ret, sb_bytes tuple, size_t word_index)
{
    sb_u256 value;
    SB_TRY(sb_abi_read_u256(&value, tuple, word_index));
    uint64_t sign = (value.w[0] >> 63) != 0 ? UINT64_MAX : 0;
    if (value.w[1] != sign || value.w[2] != sign || value.w[3] != sign) {
        return SB_E_RANGE;
    }
    *ret = (int64_t)value.w[0];
    return SB_OK;
}

sb_err sb_abi_read_addr(sb_addr *ret, sb_bytes tuple, size_t word_index)
{
    static const uint8_t k_zero[12];
    const uint8_t *word;
    SB_TRY(word_at(&word, tuple, word_index));
    if (memcmp(word, k_zero, sizeof k_zero) != 0) {
        return SB_E_RANGE;
    }
    memcpy(ret->b, word + sizeof k_zero, sizeof ret->b);
    return SB_OK;
}

sb_err sb_abi_read_bool(bool *ret, sb_bytes tuple, size_t word_index)
{
    uint64_t value;
    SB_TRY(sb_abi_read_u64(&value, tuple, word_index));
    if (value > 1) {
        return SB_E_RANGE;
    }
    *ret = value == 1;
    return SB_OK;
}

sb_err sb_abi_read_tuple(sb_bytes *ret_inner, sb_bytes tuple, size_t word_index)
{
    sb_u256 offset;
    SB_TRY(sb_abi_read_u256(&offset, tuple, word_index));
    if (!sb_u256_fits_u64(&offset) || offset.w[0] > tuple.len) {
        return SB_E_TRUNCATED;
    }
    *ret_inner = sb_span(tuple.data + offset.w[0], tuple.len - (size_t)offset.w[0]);
    return SB_OK;
}

/* What an offset at word_index points to when that begins with a count word: the count, and the span behind it. */
static sb_err read_counted(sb_u256 *ret_count, sb_bytes *ret_rest, sb_bytes tuple,
                           size_t word_index)
{
    sb_bytes inner;
    SB_TRY(sb_abi_read_tuple(&inner, tuple, word_index));
    SB_TRY(sb_abi_read_u256(ret_count, inner, 0));
    *ret_rest = sb_span(inner.data + SB_ABI_WORD_BYTES, inner.len - SB_ABI_WORD_BYTES);
    return SB_OK;
}

sb_err sb_abi_read_bytes(sb_bytes *ret, sb_bytes tuple, size_t word_index, size_t len_max)
{
    sb_u256 len;
    sb_bytes rest;
    SB_TRY(read_counted(&len, &rest, tuple, word_index));
    if (!sb_u256_fits_u64(&len) || len.w[0] > rest.len) {
        return SB_E_TRUNCATED;
    }
    if (len.w[0] > len_max) {
        return SB_E_LIMIT;
    }
    *ret = sb_span(rest.data, (size_t)len.w[0]);
    return SB_OK;
}

sb_err sb_abi_read_array(sb_bytes *ret_items, size_t *ret_count, sb_bytes tuple, size_t word_index,
                         size_t words_each, size_t count_max)
{
    SB_ASSERT(words_each > 0);
    sb_u256 count;
    sb_bytes rest;
    SB_TRY(read_counted(&count, &rest, tuple, word_index));
    if (!sb_u256_fits_u64(&count) || count.w[0] > rest.len / SB_ABI_WORD_BYTES / words_each) {
        return SB_E_TRUNCATED;
    }
    if (count.w[0] > count_max) {
        return SB_E_LIMIT;
    }
    *ret_items = rest;
    *ret_count = (size_t)count.w[0];
    return SB_OK;
}

/* ---- writing ---- */

static void store_word_u64(uint8_t ret[SB_ABI_WORD_BYTES], uint64_t value)
{
    memset(ret, 0, 24);
    be_store64(ret + 24, value);
}

void sb_abi_put_selector(struct sb_buf *buf, uint32_t selector)
{
    uint8_t bytes[SB_ABI_SELECTOR_BYTES];
    be_store32(bytes, selector);
    sb_buf_add(buf, bytes, sizeof bytes);
}

void sb_abi_begin(struct sb_abi_writer *ret, struct sb_buf *buf, size_t head_words)
{
    size_t start = buf->len;
    size_t head_bytes = 0;
    uint8_t *head = NULL;
    if (ck_mul_size(&head_bytes, head_words, SB_ABI_WORD_BYTES)) {
        head = sb_buf_grow(buf, head_bytes);
    } else {
        buf->failed = true;
    }
    if (head != NULL) {
        memset(head, 0, head_bytes);
    }
    *ret = (struct sb_abi_writer){
        .buf = buf, .head_start = start, .head_next = start, .head_end = start + head_bytes};
}

void sb_abi_end(struct sb_abi_writer *w)
{
    SB_ASSERT(w->head_next == w->head_end);
}

void sb_abi_put_word(struct sb_abi_writer *w, const uint8_t word[32])
{
    SB_ASSERT(w->head_next < w->head_end);
    if (!w->buf->failed) {
        memcpy(w->buf->data + w->head_next, word, SB_ABI_WORD_BYTES);
    }
    w->head_next += SB_ABI_WORD_BYTES;
}

void sb_abi_put_hash(struct sb_abi_writer *w, const sb_hash *hash)
{
    sb_abi_put_word(w, hash->b);
}

void sb_abi_put_u256(struct sb_abi_writer *w, const sb_u256 *value)
{
    uint8_t word[SB_ABI_WORD_BYTES];
    sb_u256_store_be(word, value);
    sb_abi_put_word(w, word);
}

void sb_abi_put_u64(struct sb_abi_writer *w, uint64_t value)
{
    uint8_t word[SB_ABI_WORD_BYTES];
    store_word_u64(word, value);
    sb_abi_put_word(w, word);
}

void sb_abi_put_i64(struct sb_abi_writer *w, int64_t value)
{
    uint8_t word[SB_ABI_WORD_BYTES];
    memset(word, value < 0 ? 0xff : 0, 24);
    be_store64(word + 24, (uint64_t)value);
    sb_abi_put_word(w, word);
}

void sb_abi_put_addr(struct sb_abi_writer *w, const sb_addr *addr)
{
    uint8_t word[SB_ABI_WORD_BYTES] = {0};
    memcpy(word + 12, addr->b, sizeof addr->b);
    sb_abi_put_word(w, word);
}

void sb_abi_put_bool(struct sb_abi_writer *w, bool value)
{
    sb_abi_put_u64(w, value ? 1 : 0);
}

/* The next head word becomes the offset of the tail that starts at the end of the buffer, and the tail its count word. */
static void begin_tail(struct sb_abi_writer *w, const size_t *count)
{
    sb_abi_put_u64(w, w->buf->len - w->head_start);
    if (count != NULL) {
        uint8_t word[SB_ABI_WORD_BYTES];
        store_word_u64(word, *count);
        sb_buf_add(w->buf, word, sizeof word);
    }
}

void sb_abi_put_bytes(struct sb_abi_writer *w, sb_bytes bytes)
{
    static const uint8_t k_zero[SB_ABI_WORD_BYTES];
    begin_tail(w, &bytes.len);
    sb_buf_add(w->buf, bytes.data, bytes.len);
    sb_buf_add(w->buf, k_zero,
               (SB_ABI_WORD_BYTES - bytes.len % SB_ABI_WORD_BYTES) % SB_ABI_WORD_BYTES);
}

void sb_abi_put_tuple(struct sb_abi_writer *ret_inner, struct sb_abi_writer *w, size_t head_words)
{
    begin_tail(w, NULL);
    sb_abi_begin(ret_inner, w->buf, head_words);
}

void sb_abi_put_array(struct sb_abi_writer *ret_inner, struct sb_abi_writer *w, size_t count,
                      size_t words_each)
{
    begin_tail(w, &count);
    size_t head_words = 0;
    bool fits = ck_mul_size(&head_words, count, words_each);
    SB_ASSERT(fits);
    sb_abi_begin(ret_inner, w->buf, head_words);
}

/* ---- revert data ---- */

void sb_abi_put_error(struct sb_buf *buf, uint32_t selector, const sb_u256 *args, size_t arg_count)
{
    struct sb_abi_writer w;
    sb_abi_put_selector(buf, selector);
    sb_abi_begin(&w, buf, arg_count);
    for (size_t i = 0; i < arg_count; i++) {
        sb_abi_put_u256(&w, &args[i]);
    }
    sb_abi_end(&w);
}

void sb_abi_put_error_string(struct sb_buf *buf, const char *message)
{
    struct sb_abi_writer w;
    sb_abi_put_selector(buf, SELECTOR_ERROR);
    sb_abi_begin(&w, buf, 1);
    sb_abi_put_bytes(&w, sb_span_str(message));
    sb_abi_end(&w);
}

struct sb_abi_revert sb_abi_read_revert(sb_bytes data)
{
    struct sb_abi_revert revert = {.kind = SB_ABI_REVERT_OPAQUE};
    sb_bytes tuple;
    uint32_t selector;
    if (sb_abi_read_call(&selector, &tuple, data) != SB_OK) {
        return revert;
    }
    if (selector == SELECTOR_ERROR) {
        if (sb_abi_read_bytes(&revert.message, tuple, 0, SIZE_MAX) == SB_OK) {
            revert.kind = SB_ABI_REVERT_ERROR;
        }
    } else if (selector == SELECTOR_PANIC) {
        if (tuple.len == SB_ABI_WORD_BYTES) {
            revert.kind = SB_ABI_REVERT_PANIC;
            revert.panic_code = sb_u256_load_be(tuple.data, SB_ABI_WORD_BYTES);
        }
    } else if (tuple.len % SB_ABI_WORD_BYTES == 0) {
        revert.kind = SB_ABI_REVERT_CUSTOM;
        revert.args = tuple;
    }
    revert.selector = revert.kind == SB_ABI_REVERT_OPAQUE ? 0 : selector;
    return revert;
}

const char *sb_abi_panic_text(const sb_u256 *code)
{
    switch (sb_u256_sat_u64(code)) {
    case 0x00:
        return "generic panic";
    case 0x01:
        return "assert(false)";
    case 0x11:
        return "arithmetic underflow or overflow";
    case 0x12:
        return "division or modulo by zero";
    case 0x21:
        return "enum overflow";
    case 0x22:
        return "invalid encoded storage byte array accessed";
    case 0x31:
        return "out-of-bounds array access; popping on an empty array";
    case 0x32:
        return "out-of-bounds access of an array or bytesN";
    case 0x41:
        return "out of memory";
    case 0x51:
        return "uninitialized function";
    default:
        return "unknown panic code";
    }
}
