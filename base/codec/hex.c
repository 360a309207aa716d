/* hex.c: hexadecimal text; see hex.h. */
#include "base/codec/hex.h"

static const char k_digits[] = "0123456789abcdef";

int sb_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool has_prefix(const char *text, size_t len)
{
    return len >= 2 && text[0] == '0' && text[1] == 'x';
}

static bool all_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (sb_hex_digit(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

void sb_hex_encode(char *ret, sb_bytes data)
{
    for (size_t i = 0; i < data.len; i++) {
        ret[2 * i] = k_digits[data.data[i] >> 4];
        ret[2 * i + 1] = k_digits[data.data[i] & 15];
    }
}

char *sb_hex_format(char *ret, sb_bytes data)
{
    ret[0] = '0';
    ret[1] = 'x';
    sb_hex_encode(ret + 2, data);
    ret[2 + 2 * data.len] = '\0';
    return ret;
}

sb_err sb_hex_decode(uint8_t *ret, size_t len, const char *text, size_t text_len)
{
    if (text_len / 2 != len || text_len % 2 != 0) {
        return SB_E_SHAPE;
    }
    if (!all_digits(text, text_len)) {
        return SB_E_SYNTAX;
    }
    for (size_t i = 0; i < len; i++) {
        ret[i] = (uint8_t)(sb_hex_digit(text[2 * i]) * 16 + sb_hex_digit(text[2 * i + 1]));
    }
    return SB_OK;
}

sb_err sb_hex_parse(uint8_t *ret, size_t len, const char *text, size_t text_len)
{
    if (!has_prefix(text, text_len)) {
        return SB_E_SYNTAX;
    }
    return sb_hex_decode(ret, len, text + 2, text_len - 2);
}

sb_err sb_hex_parse_data(uint8_t *ret, size_t *ret_len, size_t capacity, const char *text,
                         size_t text_len)
{
    if (!has_prefix(text, text_len)) {
        return SB_E_SYNTAX;
    }
    size_t len = (text_len - 2) / 2;
    if (len > capacity) {
        return SB_E_LIMIT;
    }
    SB_TRY(sb_hex_decode(ret, len, text + 2, text_len - 2));
    *ret_len = len;
    return SB_OK;
}

sb_err sb_hex_parse_u256(sb_u256 *ret, const char *text, size_t text_len)
{
    if (!has_prefix(text, text_len) || text_len == 2 || !all_digits(text + 2, text_len - 2)) {
        return SB_E_SYNTAX;
    }
    if (text[2] == '0' && text_len > 3) {
        return SB_E_NON_CANONICAL;
    }
    if (text_len > 2 + 64) {
        return SB_E_RANGE;
    }
    sb_u256 value = sb_u256_zero();
    size_t bit = 0;
    for (size_t i = text_len; i-- > 2; bit += 4) {
        value.w[bit / 64] |= (uint64_t)sb_hex_digit(text[i]) << (bit % 64);
    }
    *ret = value;
    return SB_OK;
}

sb_err sb_hex_parse_u64(uint64_t *ret, const char *text, size_t text_len)
{
    sb_u256 value;
    SB_TRY(sb_hex_parse_u256(&value, text, text_len));
    if (!sb_u256_fits_u64(&value)) {
        return SB_E_RANGE;
    }
    *ret = value.w[0];
    return SB_OK;
}

size_t sb_hex_format_u64(char ret[SB_HEX_U64_BYTES], uint64_t value)
{
    size_t len = 2;
    ret[0] = '0';
    ret[1] = 'x';
    unsigned digit_count = value == 0 ? 1 : (67 - (unsigned)__builtin_clzll(value)) / 4;
    for (unsigned i = digit_count; i-- > 0;) {
        ret[len] = k_digits[value >> (4 * i) & 15];
        len++;
    }
    ret[len] = '\0';
    return len;
}

size_t sb_hex_format_u256(char ret[SB_HEX_U256_BYTES], const sb_u256 *value)
{
    size_t len = 2;
    ret[0] = '0';
    ret[1] = 'x';
    unsigned digit_count = sb_u256_is_zero(value) ? 1 : (sb_u256_bit_len(value) + 3) / 4;
    for (unsigned i = digit_count; i-- > 0;) {
        ret[len] = k_digits[value->w[i / 16] >> (4 * (i % 16)) & 15];
        len++;
    }
    ret[len] = '\0';
    return len;
}
