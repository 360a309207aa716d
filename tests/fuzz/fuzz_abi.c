/* fuzz_abi.c: any bytes through the ABI readers; every span given back must lie inside the input. */
#include "base/codec/abi.h"

#include <stdlib.h>

static uint8_t sum_of(sb_bytes span)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < span.len; i++) {
        sum = (uint8_t)(sum + span.data[i]);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_bytes input = sb_span(data, size);
    volatile uint8_t sink = 0;
    for (size_t i = 0; i < 4; i++) {
        sb_bytes span, items;
        size_t count;
        sb_addr addr;
        int64_t number;
        if (sb_abi_read_bytes(&span, input, i, SIZE_MAX) == SB_OK) {
            sink = (uint8_t)(sink + sum_of(span));
        }
        if (sb_abi_read_array(&items, &count, input, i, 2, 1000) == SB_OK) {
            sb_hash word;
            if (count > 0 && sb_abi_read_word(&word, items, 2 * count - 1) != SB_OK) {
                abort();
            }
            if (sb_abi_read_bytes(&span, items, 0, SIZE_MAX) == SB_OK) {
                sink = (uint8_t)(sink + sum_of(span));
            }
        }
        (void)!sb_abi_read_addr(&addr, input, i);
        (void)!sb_abi_read_i64(&number, input, i);
    }
    struct sb_abi_revert revert = sb_abi_read_revert(input);
    sink = (uint8_t)(sink + sum_of(revert.message) + sum_of(revert.args));
    return 0;
}
