/* fuzz_account_record.c: an account record that decodes encodes to the same bytes; slot records likewise. */
#include "base/util/assert.h"
#include "storage/flat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_flat_account account;
    uint8_t again[SB_FLAT_ACCOUNT_BYTES_MAX];
    if (sb_flat_account_decode(&account, sb_span(data, size)) == SB_OK) {
        size_t len = sb_flat_account_encode(again, &account);
        SB_ASSERT(sb_span_equal(sb_span(again, len), sb_span(data, size)));
        SB_ASSERT(sb_flat_account_leaf(again, &account) <= sizeof again);
    }
    sb_u256 slot;
    if (sb_flat_slot_decode(&slot, sb_span(data, size)) == SB_OK) {
        size_t len = sb_flat_slot_encode(again, &slot), leaf_len;
        SB_ASSERT(sb_span_equal(sb_span(again, len), sb_span(data, size)));
        SB_ASSERT(sb_flat_slot_leaf(again, &leaf_len, sb_span(data, size)) == SB_OK &&
                  leaf_len <= SB_FLAT_SLOT_BYTES_MAX);
    }
    return 0;
}
