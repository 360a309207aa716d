/* link_pair.c: see link_pair.h. */
#include "tests/support/link_pair.h"

#include "base/util/assert.h"

#define BYTES_MAX ((size_t)64 << 20)

static void node_secret(uint8_t ret[SB_ED25519_SECRET_BYTES], uint8_t id[SB_P2P_NODE_ID_BYTES],
                        uint8_t seed)
{
    const uint8_t bytes[SB_ED25519_SEED_BYTES] = {seed};
    sb_ed25519_keypair(id, ret, bytes);
}

void link_end_id(uint8_t ret[SB_P2P_NODE_ID_BYTES], uint8_t seed)
{
    uint8_t secret[SB_ED25519_SECRET_BYTES];
    node_secret(secret, ret, seed);
}

void link_end_open(struct link_end *ret_end, enum sb_noise_role role, uint8_t seed, uint64_t chain,
                   const uint8_t *expected_id)
{
    uint8_t secret[SB_ED25519_SECRET_BYTES];
    uint8_t id[SB_P2P_NODE_ID_BYTES];
    const uint8_t static_secret[SB_NOISE_KEY_BYTES] = {seed, 1};
    const uint8_t ephemeral_secret[SB_NOISE_KEY_BYTES] = {seed, 2};
    node_secret(secret, id, seed);
    const struct sb_link_options options = {.role = role,
                                            .node_secret = secret,
                                            .static_secret = static_secret,
                                            .ephemeral_secret = ephemeral_secret,
                                            .expected_id = expected_id,
                                            .domain = {.chain_id = chain},
                                            .listen = "127.0.0.1:1",
                                            .agent = "test/1"};
    *ret_end = (struct link_end){.now_us = LINK_PAIR_BEGIN_US};
    sb_err err = sb_link_new(&ret_end->link, &options, ret_end->now_us, NULL);
    SB_ASSERT(err == SB_OK);
    sb_send_queue_init(&ret_end->queue, BYTES_MAX, ret_end->now_us);
    sb_buf_init(&ret_end->heard.last, BYTES_MAX);
}

void link_end_close(struct link_end *end)
{
    sb_link_free(end->link);
    sb_send_queue_fini(&end->queue);
    sb_buf_fini(&end->heard.last);
}

/* Take what the link has to say until it wants bytes. */
static sb_err hear(struct link_end *end, struct sb_diag *diag)
{
    for (;;) {
        struct sb_link_event event;
        SB_TRY(sb_link_next(&event, end->link, end->now_us, diag));
        size_t partial = sb_link_partial_bytes(end->link);
        struct link_heard *h = &end->heard;
        h->partial_bytes_max = partial > h->partial_bytes_max ? partial : h->partial_bytes_max;
        switch (event.kind) {
        case SB_LINK_WANT:
            return SB_OK;
        case SB_LINK_UP:
            h->ups++;
            break;
        case SB_LINK_MESSAGE:
            h->messages++;
            h->message_bytes += event.message.len;
            h->channel = event.channel;
            sb_buf_reset(&h->last);
            sb_buf_add(&h->last, event.message.data, event.message.len);
            break;
        case SB_LINK_WAIT:
            SB_ASSERT(event.wait_until_us > end->now_us);
            h->waits++;
            end->now_us = event.wait_until_us;
            break;
        }
    }
}

sb_err link_end_feed(struct link_end *end, sb_bytes bytes, size_t piece, struct sb_diag *diag)
{
    size_t at = 0;
    while (at < bytes.len) {
        size_t room = 0;
        uint8_t *to = sb_link_room(end->link, &room);
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        len = len < room ? len : room;
        SB_ASSERT(len > 0);
        memcpy(to, bytes.data + at, len);
        sb_link_received(end->link, len);
        at += len;
        SB_TRY(hear(end, diag));
    }
    return SB_OK;
}

void link_end_send(struct link_end *end, enum sb_channel channel, sb_bytes message)
{
    enum sb_push_result result = sb_send_queue_push(&end->queue, channel, message);
    SB_ASSERT(result == SB_PUSH_QUEUED);
}

void link_end_seal(struct sb_buf *out, struct link_end *end, sb_bytes plain)
{
    size_t len = 0;
    size_t begin = out->len;
    uint8_t *frame = sb_buf_grow(out, SB_LINK_SEALED_BYTES(plain.len));
    SB_ASSERT(frame != NULL);
    sb_copy(frame + SB_LINK_FRAME_HEADER_BYTES, plain.data, plain.len);
    sb_err err = sb_link_seal(end->link, &len, frame, plain.len);
    SB_ASSERT(err == SB_OK && out->len == begin + len);
}

size_t link_end_drain(struct sb_buf *out, struct link_end *end, size_t frames)
{
    static uint8_t plain[SB_FRAME_PLAIN_BYTES_MAX];
    sb_bytes handshake = sb_link_handshake_output(end->link);
    sb_buf_add(out, handshake.data, handshake.len);
    size_t count = 0;
    while (sb_link_is_open(end->link) && count < frames) {
        uint64_t ready_us = 0;
        size_t len = sb_send_queue_take(&end->queue, &ready_us, plain, sizeof plain, end->now_us);
        if (len == 0) {
            break;
        }
        link_end_seal(out, end, sb_span(plain, len));
        count++;
    }
    return count;
}

sb_err link_pair_shake(struct link_end *a, struct link_end *b, size_t piece, struct sb_diag *diag)
{
    struct link_end *ends[] = {a, b};
    sb_err err = SB_OK;
    struct sb_buf bytes;
    sb_buf_init(&bytes, BYTES_MAX);
    for (size_t turn = 0; turn < 6; turn++) {
        sb_buf_reset(&bytes);
        (void)link_end_drain(&bytes, ends[turn % 2], 0);
        sb_err one = link_end_feed(ends[(turn + 1) % 2], sb_buf_bytes(&bytes), piece, diag);
        err = err == SB_OK ? one : err;
    }
    sb_buf_fini(&bytes);
    return err;
}

void link_pair_open(struct link_end *ret_initiator, struct link_end *ret_responder)
{
    link_end_open(ret_initiator, SB_NOISE_INITIATOR, 1, 7, NULL);
    link_end_open(ret_responder, SB_NOISE_RESPONDER, 2, 7, NULL);
    sb_err err = link_pair_shake(ret_initiator, ret_responder, SIZE_MAX, NULL);
    SB_ASSERT(err == SB_OK && sb_link_is_open(ret_initiator->link) &&
              sb_link_is_open(ret_responder->link));
}
