/* fuzz_rlp.c: any bytes through the RLP readers; what sb_rlp_check accepts must come out of the writers unchanged. */
#include "base/codec/rlp.h"

#include <stdlib.h>

/* Copy the items of `in` to buf. Recursive, but only on input that sb_rlp_check found shallow. */
static void rewrite(struct sb_buf *buf, struct sb_rlp *in)
{
    while (!sb_rlp_done(in)) {
        struct sb_rlp_item item;
        if (sb_rlp_read_item(&item, in) != SB_OK) {
            abort();
        }
        if (item.kind == SB_RLP_STRING) {
            sb_rlp_put_bytes(buf, item.payload);
            continue;
        }
        struct sb_rlp items = sb_rlp_open(item.payload);
        size_t list = sb_rlp_list_begin(buf);
        rewrite(buf, &items);
        sb_rlp_list_end(buf, list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_bytes bytes = sb_span(data, size);
    struct sb_rlp in = sb_rlp_open(bytes);
    uint64_t u64;
    sb_u256 u256;
    sb_hash hash;
    size_t count;
    bool flag;
    (void)!sb_rlp_count(&count, &in, 1000);
    (void)!sb_rlp_read_u64(&u64, &in);
    (void)!sb_rlp_read_u256(&u256, &in);
    (void)!sb_rlp_read_bool(&flag, &in);
    (void)!sb_rlp_read_hash(&hash, &in);
    if (sb_rlp_check(bytes) == SB_OK) {
        struct sb_buf buf;
        sb_buf_init(&buf, size + SB_RLP_HEADER_BYTES_MAX);
        in = sb_rlp_open(bytes);
        rewrite(&buf, &in);
        if (!sb_span_equal(sb_buf_bytes(&buf), bytes)) {
            abort();
        }
        sb_buf_fini(&buf);
    }
    return 0;
}
