/* units.c: see units.h. */
#include "node/units.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"

#define ADDR_DIGITS 40

/* Letters of an address are upper case where the digit of keccak256(lower-case address) at their place is 8 or more. */
void sb_addr_format(char ret[SB_ADDR_TEXT_BYTES], const sb_addr *addr)
{
    (void)sb_hex_format(ret, sb_span(addr->b, sizeof addr->b));
    sb_hash hash = sb_keccak256(sb_span(ret + 2, ADDR_DIGITS));
    for (size_t i = 0; i < ADDR_DIGITS; i++) {
        unsigned nibble = i % 2 == 0 ? hash.b[i / 2] >> 4 : hash.b[i / 2] & 15U;
        if (ret[2 + i] >= 'a' && nibble >= 8) {
            ret[2 + i] = (char)(ret[2 + i] - 'a' + 'A');
        }
    }
}

sb_err sb_addr_parse(sb_addr *ret_addr, const char *text, struct sb_diag *diag)
{
    sb_addr addr;
    char expected[SB_ADDR_TEXT_BYTES];
    if (sb_hex_parse(addr.b, sizeof addr.b, text, strlen(text)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "\"%.80s\" is not an address: 0x and 40 hexadecimal digits", text);
    }
    bool lower = strpbrk(text + 2, "abcdef") != NULL;
    bool upper = strpbrk(text + 2, "ABCDEF") != NULL;
    sb_addr_format(expected, &addr);
    if (lower && upper && strcmp(expected, text) != 0) {
        return sb_fail(diag, SB_E_CHECKSUM, "%s: the checksum of the address is wrong; meant %s?",
                       text, expected);
    }
    *ret_addr = addr;
    return SB_OK;
}

sb_err sb_key_parse(uint8_t ret_secret[32], const char *text, struct sb_diag *diag)
{
    if (strncmp(text, "0x", 2) == 0) {
        text += 2;
    }
    if (sb_hex_decode(ret_secret, 32, text, strlen(text)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "a private key is 0x and 64 hexadecimal digits");
    }
    return SB_OK;
}

sb_err sb_units_parse(sb_u256 *ret, const char *text, unsigned decimals, struct sb_diag *diag)
{
    char digits[SB_U256_DECIMAL_BYTES + 1];
    size_t count = 0;
    size_t whole = strcspn(text, ".");
    const char *fraction = text[whole] == '.' ? text + whole + 1 : "";
    size_t fraction_len = strlen(fraction);
    bool has_point = text[whole] == '.';
    if (whole == 0 || (has_point && fraction_len == 0) || fraction_len > decimals) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "\"%.80s\" is not an amount: digits, and at most %u behind a point", text,
                       decimals);
    }
    if (whole + decimals >= sizeof digits) {
        return sb_fail(diag, SB_E_RANGE, "%.80s is too large", text);
    }
    memcpy(digits, text, whole);
    count = whole;
    memcpy(digits + count, fraction, fraction_len);
    count += fraction_len;
    memset(digits + count, '0', decimals - fraction_len);
    count += decimals - fraction_len;
    digits[count] = '\0';
    if (strspn(digits, "0123456789") != count) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.80s\" is not an amount", text);
    }
    if (!sb_u256_parse_decimal(ret, digits, count)) {
        return sb_fail(diag, SB_E_RANGE, "%.80s is too large", text);
    }
    return SB_OK;
}

void sb_units_format(char ret[SB_UNITS_TEXT_BYTES], const sb_u256 *value, unsigned decimals)
{
    char digits[SB_U256_DECIMAL_BYTES];
    sb_u256_format_decimal(digits, value);
    size_t len = strlen(digits);
    size_t whole = len > decimals ? len - decimals : 0;
    size_t zeros = len > decimals ? 0 : decimals - len;
    size_t kept = len; /* digits up to the last that is not zero */
    while (kept > whole && digits[kept - 1] == '0') {
        kept--;
    }
    if (kept == whole) {
        (void)snprintf(ret, SB_UNITS_TEXT_BYTES, "%.*s", (int)(whole > 0 ? whole : 1),
                       whole > 0 ? digits : "0");
        return;
    }
    (void)snprintf(ret, SB_UNITS_TEXT_BYTES, "%.*s.%.*s%.*s", (int)(whole > 0 ? whole : 1),
                   whole > 0 ? digits : "0", (int)zeros, "000000000000000000000000000000000000",
                   (int)(kept - whole), digits + whole);
}

sb_err sb_alloc_parse(sb_addr *ret_addr, sb_u256 *ret_wei, const char *text, struct sb_diag *diag)
{
    char addr[SB_ADDR_TEXT_BYTES];
    size_t len = strcspn(text, "=");
    if (text[len] != '=' || len >= sizeof addr) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.80s\" is not of the form 0xADDRESS=AMOUNT", text);
    }
    memcpy(addr, text, len);
    addr[len] = '\0';
    SB_TRY(sb_addr_parse(ret_addr, addr, diag));
    return sb_units_parse(ret_wei, text + len + 1, SB_ETHER_DECIMALS, diag);
}
