/* fuzz_hex.c: any text through the hex readers; what is accepted must format to the same value. */
#include "base/codec/hex.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    uint8_t bytes[64], back[64];
    size_t len, back_len;
    if (sb_hex_parse_data(bytes, &len, sizeof bytes, text, size) == SB_OK) {
        char again[SB_HEX_TEXT_BYTES(sizeof bytes)];
        sb_hex_format(again, sb_span(bytes, len));
        if (sb_hex_parse_data(back, &back_len, sizeof back, again, size) != SB_OK ||
            !sb_span_equal(sb_span(bytes, len), sb_span(back, back_len))) {
            abort();
        }
    }
    sb_u256 value, value_back;
    if (sb_hex_parse_u256(&value, text, size) == SB_OK) {
        char again[SB_HEX_U256_BYTES];
        size_t again_len = sb_hex_format_u256(again, &value);
        if (again_len != size || sb_hex_parse_u256(&value_back, again, again_len) != SB_OK ||
            !sb_u256_equal(&value, &value_back)) {
            abort();
        }
    }
    return 0;
}
