/* fuzz_snap_message.c: messages of a state sync: what decodes encodes to the same bytes; lists and pasts are read within bounds. */
#include "base/util/assert.h"
#include "node/snap_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(sb_bytes raw)
{
    struct sb_snap_message decoded;
    if (sb_snap_message_decode(&decoded, raw) == SB_OK) {
        struct sb_buf out;
        sb_buf_init(&out, 2 * SB_SNAP_CONTENT_BYTES_MAX);
        sb_snap_message_encode(&out, &decoded);
        SB_ASSERT(sb_buf_err(&out) == SB_OK && sb_span_equal(sb_buf_bytes(&out), raw));
        sb_buf_fini(&out);
    }
}

static void list(sb_bytes raw)
{
    struct sb_snap_list decoded;
    if (sb_snap_list_decode(&decoded, raw) == SB_OK) {
        struct sb_buf out;
        sb_buf_init(&out, 4096);
        sb_snap_list_encode(&out, &decoded);
        SB_ASSERT(sb_span_equal(sb_buf_bytes(&out), raw));
        sb_buf_fini(&out);
    }
}

static void past(sb_bytes raw)
{
    struct sb_rlp in = sb_rlp_open(raw), items;
    struct sb_snap_past item;
    if (sb_rlp_read_list(&items, &in) != SB_OK) {
        return;
    }
    while (!sb_rlp_done(&items) && sb_snap_past_read(&item, &items) == SB_OK) {
        SB_ASSERT(item.header.len > 0 && item.evidence.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_bytes raw = sb_span(data, size);
    message(raw);
    list(raw);
    past(raw);
    return 0;
}
