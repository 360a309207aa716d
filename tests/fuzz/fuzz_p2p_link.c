/* fuzz_p2p_link.c: a peer connection: any bytes in any state end in an error or in messages within their caps.
 *
 *      byte 0: what to do with the rest
 *        0, 1  raw bytes to a responder, to an initiator, in the middle of a handshake
 *        2, 3  the same with byte 1 as the size of the pieces, after a good first message
 *        4     plain texts of frames, sealed by one who holds the keys: { length u8, bytes } ...
 *        5     a good session, its bytes changed on the way: { place u16, value u8 } ...
 *        6     the transport's own messages: hello, control, addresses
 *        7     an address book's file */
#include <stdlib.h>

#include "base/crypto/hash.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/address_book.h"
#include "tests/support/link_pair.h"

#define OUT_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_heard(const struct link_end *end)
{
    const struct link_heard *h = &end->heard;
    SB_ASSERT(h->messages == 0 || h->last.len <= sb_channels[h->channel].message_bytes_max);
    SB_ASSERT(h->ups <= 1 && (h->messages == 0 || h->ups == 1));
}

/* After an error the link must go on saying the same. */
static void check_final(struct link_end *end, sb_err err)
{
    struct sb_link_event event;
    if (err != SB_OK) {
        SB_ASSERT(sb_link_next(&event, end->link, end->now_us, NULL) == err);
        SB_ASSERT(!sb_link_is_open(end->link));
    }
    check_heard(end);
}

static void fuzz_handshake(enum sb_noise_role role, bool begun, sb_bytes bytes)
{
    struct link_end end, other;
    size_t piece = SIZE_MAX;
    link_end_open(&end, role, 2, 7, NULL);
    link_end_open(&other, SB_NOISE_INITIATOR, 1, 7, NULL);
    if (begun && bytes.len > 0) {
        struct sb_buf first;
        sb_buf_init(&first, OUT_BYTES);
        piece = 1 + bytes.data[0];
        bytes = sb_span(bytes.data + 1, bytes.len - 1);
        (void)link_end_drain(&first, &other, 0);
        if (role == SB_NOISE_RESPONDER) {
            SB_ASSERT(link_end_feed(&end, sb_buf_bytes(&first), SIZE_MAX, NULL) == SB_OK);
        }
        sb_buf_fini(&first);
    }
    check_final(&end, link_end_feed(&end, bytes, piece, NULL));
    SB_ASSERT(end.heard.ups == 0);
    link_end_close(&other);
    link_end_close(&end);
}

static void fuzz_with_keys(sb_bytes bytes)
{
    struct link_end a, b;
    struct sb_buf out;
    sb_err err = SB_OK;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    for (size_t at = 0; at < bytes.len && err == SB_OK;) {
        size_t len = bytes.data[at++];
        len = len < bytes.len - at ? len : bytes.len - at;
        if (len == 0) {
            continue;
        }
        sb_buf_reset(&out);
        link_end_seal(&out, &a, sb_span(bytes.data + at, len));
        err = link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL);
        at += len;
    }
    check_final(&b, err);
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

static void fuzz_on_the_wire(sb_bytes bytes)
{
    static const uint8_t k_message[600];
    struct link_end a, b;
    struct sb_buf out;
    bool changed = false;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    for (size_t i = 0; i < 4; i++) {
        link_end_send(&a, SB_CHANNEL_VOTE, sb_span(k_message, 100 * i));
        (void)link_end_drain(&out, &a, SIZE_MAX);
    }
    for (size_t at = 0; at + 3 <= bytes.len; at += 3) {
        uint8_t *byte = &out.data[be_load16(bytes.data + at) % out.len];
        changed = changed || *byte != bytes.data[at + 2];
        *byte = bytes.data[at + 2];
    }
    sb_err err = link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL);
    check_final(&b, err);
    SB_ASSERT(changed ? b.heard.messages <= 4 : b.heard.messages == 4);
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

static void fuzz_own_messages(sb_bytes bytes)
{
    static struct sb_pex pex;
    struct sb_hello hello;
    struct sb_control control;
    struct sb_buf out;
    sb_buf_init(&out, OUT_BYTES);
    if (sb_hello_decode(&hello, bytes, NULL) == SB_OK) {
        sb_hello_encode(&out, &hello);
        SB_ASSERT(sb_span_equal(sb_buf_bytes(&out), bytes));
    }
    if (sb_control_decode(&control, bytes) == SB_OK) {
        uint8_t back[SB_CONTROL_BYTES_MAX];
        size_t len = sb_control_encode(back, &control);
        SB_ASSERT(sb_span_equal(sb_span(back, len), bytes));
    }
    sb_buf_reset(&out);
    if (sb_pex_decode(&pex, bytes) == SB_OK) {
        sb_pex_encode(&out, &pex);
        SB_ASSERT(sb_span_equal(sb_buf_bytes(&out), bytes));
    }
    sb_buf_fini(&out);
}

/* Loading it as it is, and with the checksum put right, so that what is behind it is reached. */
static void fuzz_book(sb_bytes bytes)
{
    static const uint8_t k_key[SB_BOOK_KEY_BYTES];
    struct sb_book *book = NULL;
    struct sb_buf file, back;
    SB_ASSERT(sb_book_new(&book, k_key, true) == SB_OK);
    sb_buf_init(&file, OUT_BYTES);
    sb_buf_init(&back, OUT_BYTES);
    sb_err err = sb_book_load(book, bytes, NULL);
    SB_ASSERT(err == SB_OK || sb_book_count(book) == 0);
    sb_buf_add(&file, bytes.data, bytes.len);
    sb_hash sum = sb_sha256(bytes);
    sb_buf_add(&file, sum.b, sizeof sum.b);
    if (sb_book_load(book, sb_buf_bytes(&file), NULL) == SB_OK) {
        sb_book_emit(&back, book);
        SB_ASSERT(back.len <= file.len);
    } else {
        SB_ASSERT(sb_book_count(book) == 0);
    }
    sb_buf_fini(&file);
    sb_buf_fini(&back);
    sb_book_free(book);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sb_bytes rest = sb_span(data + 1, size - 1);
    switch (data[0] % 8) {
    case 0:
    case 2:
        fuzz_handshake(SB_NOISE_RESPONDER, data[0] % 8 == 2, rest);
        break;
    case 1:
    case 3:
        fuzz_handshake(SB_NOISE_INITIATOR, data[0] % 8 == 3, rest);
        break;
    case 4:
        fuzz_with_keys(rest);
        break;
    case 5:
        fuzz_on_the_wire(rest);
        break;
    case 6:
        fuzz_own_messages(rest);
        break;
    default:
        fuzz_book(rest);
        break;
    }
    return 0;
}
