/* hex.h: hexadecimal text, bare or with 0x, and the quantities of JSON-RPC.
 *
 *     data      "0x" then two digits a byte: "0x", "0x00ff"     (digits of either case are read, lower case is written)
 *     quantity  "0x" then digits without leading zeros: "0x0", "0x1a"
 *
 * Decoding is strict: no spaces, no missing or upper-case prefix, no odd length. Texts are (pointer, length), not terminated.
 * Spec: execution-apis, "hex value encoding". */
#ifndef SB_BASE_CODEC_HEX_H
#define SB_BASE_CODEC_HEX_H

#include "base/num/u256.h"
#include "base/util/err.h"
#include "base/util/span.h"

/* Room for "0x", the digits and a terminator. */
#define SB_HEX_TEXT_BYTES(byte_count) (2 * (byte_count) + 3)
#define SB_HEX_U64_BYTES              SB_HEX_TEXT_BYTES(8)
#define SB_HEX_U256_BYTES             SB_HEX_TEXT_BYTES(32)

/* sb_hex_digit: value of a digit 0-9, a-f, A-F; -1 for any other character. */
int sb_hex_digit(char c);

/* sb_hex_encode: 2 * data.len digits, no prefix, no terminator. */
void sb_hex_encode(char *ret, sb_bytes data);

/* sb_hex_format: "0x", digits, terminator into SB_HEX_TEXT_BYTES(data.len) characters. Returns ret. */
char *sb_hex_format(char *ret, sb_bytes data);

/* sb_hex_decode: bare digits to exactly len bytes. SB_E_SHAPE for another length, SB_E_SYNTAX for a character that is no digit. */
sb_err sb_hex_decode(uint8_t *ret, size_t len, const char *text, size_t text_len) SB_MUST_USE;

/* sb_hex_parse: "0x" and digits to exactly len bytes (an address, a hash). Errors as sb_hex_decode; SB_E_SYNTAX without "0x". */
sb_err sb_hex_parse(uint8_t *ret, size_t len, const char *text, size_t text_len) SB_MUST_USE;

/* sb_hex_parse_data: "0x" and an even number of digits, at most capacity bytes. SB_E_LIMIT when there are more.
 * Out: ret [capacity], *ret_len bytes of it written. */
sb_err sb_hex_parse_data(uint8_t *ret, size_t *ret_len, size_t capacity, const char *text,
                         size_t text_len) SB_MUST_USE;

/* sb_hex_parse_u64, sb_hex_parse_u256: a quantity. SB_E_SYNTAX without "0x", without digits or with a wrong character;
 * SB_E_NON_CANONICAL for a leading zero; SB_E_RANGE when it does not fit. */
sb_err sb_hex_parse_u64(uint64_t *ret, const char *text, size_t text_len) SB_MUST_USE;
sb_err sb_hex_parse_u256(sb_u256 *ret, const char *text, size_t text_len) SB_MUST_USE;

/* sb_hex_format_u64, sb_hex_format_u256: a quantity with terminator; returns its length without the terminator. */
size_t sb_hex_format_u64(char ret[SB_HEX_U64_BYTES], uint64_t value);
size_t sb_hex_format_u256(char ret[SB_HEX_U256_BYTES], const sb_u256 *value);

#endif
