/* units.h: addresses, keys and amounts as people write them. */
#ifndef SB_NODE_UNITS_H
#define SB_NODE_UNITS_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/err.h"

#define SB_ETHER_DECIMALS 18
/* Digits, a point, a sign and a terminator. */
#define SB_UNITS_TEXT_BYTES (SB_U256_DECIMAL_BYTES + 24)
#define SB_ADDR_TEXT_BYTES  43

/* sb_addr_parse: 0x and 40 digits. With letters of both cases the checksum of EIP-55 must hold. SB_E_SYNTAX, SB_E_CHECKSUM. */
sb_err sb_addr_parse(sb_addr *ret_addr, const char *text, struct sb_diag *diag) SB_MUST_USE;
/* sb_addr_format: with the checksum of EIP-55, terminated. */
void sb_addr_format(char ret[SB_ADDR_TEXT_BYTES], const sb_addr *addr);

/* sb_key_parse: 64 hexadecimal digits, with or without 0x. SB_E_SYNTAX. */
sb_err sb_key_parse(uint8_t ret_secret[32], const char *text, struct sb_diag *diag) SB_MUST_USE;

/* sb_units_parse: "12.5" in units of 10^decimals: 12.5 * 10^decimals. No sign. SB_E_SYNTAX (also for more decimals), SB_E_RANGE. */
sb_err sb_units_parse(sb_u256 *ret, const char *text, unsigned decimals,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_units_format: the reverse, without needless zeros; terminated. */
void sb_units_format(char ret[SB_UNITS_TEXT_BYTES], const sb_u256 *value, unsigned decimals);

/* sb_alloc_parse: "0xADDRESS=AMOUNT", the amount in ether. */
sb_err sb_alloc_parse(sb_addr *ret_addr, sb_u256 *ret_wei, const char *text,
                      struct sb_diag *diag) SB_MUST_USE;

#endif
