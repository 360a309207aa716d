/* fuzz_noise.c: any bytes as the peer's part of a handshake: [role, [length u16 big-endian, message]...]. Whatever comes, reading ends in
 * a whole handshake or in a state that is dead and wiped; what follows a handshake is opened as transport messages.
 *
 * Keys are fixed, so the corpus holds honest handshakes, which reach the end. */
#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/noise.h"

#define OUT_BYTES_MAX ((size_t)1 << 17)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* next_message: the next length-prefixed message, cut where the input ends. */
static sb_bytes next_message(sb_bytes *rest)
{
    if (rest->len < 2) {
        *rest = sb_span(NULL, 0);
        return *rest;
    }
    size_t len = be_load16(rest->data);
    len = len > rest->len - 2 ? rest->len - 2 : len;
    sb_bytes message = sb_span(rest->data + 2, len);
    *rest = sb_span(message.data + len, rest->len - 2 - len);
    return message;
}

static void check_dead(const struct sb_noise *noise)
{
    static const struct sb_noise dead = {.failed = true};
    SB_ASSERT(memcmp(noise, &dead, sizeof dead) == 0);
    SB_ASSERT(!sb_noise_is_done(noise) && !sb_noise_must_write(noise));
}

static void open_messages(struct sb_noise *noise, sb_bytes rest)
{
    static uint8_t plain[SB_NOISE_MESSAGE_BYTES_MAX];
    struct sb_noise_cipher send;
    struct sb_noise_cipher receive;
    sb_noise_split(noise, &send, &receive);
    while (rest.len > 0) {
        if (sb_noise_open(&receive, plain, next_message(&rest)) != SB_OK) {
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secrets[4][32] = {{1}, {2}, {3}, {4}};
    if (size == 0) {
        return 0;
    }
    bool is_initiator = (data[0] & 1) != 0;
    sb_bytes rest = sb_span(data + 1, size - 1);
    struct sb_noise noise;
    struct sb_buf out;
    sb_noise_init(&noise, is_initiator ? SB_NOISE_INITIATOR : SB_NOISE_RESPONDER, sb_span("net", 3),
                  secrets[is_initiator ? 0 : 2], secrets[is_initiator ? 1 : 3]);
    sb_buf_init(&out, OUT_BYTES_MAX);
    sb_err err = SB_OK;
    while (err == SB_OK && !sb_noise_is_done(&noise)) {
        sb_buf_reset(&out);
        err = sb_noise_must_write(&noise) ? sb_noise_write(&noise, &out, sb_span("hello", 5), NULL)
                                          : sb_noise_read(&noise, &out, next_message(&rest), NULL);
    }
    if (err != SB_OK) {
        SB_ASSERT(err != SB_E_ARG && out.len == 0);
        check_dead(&noise);
    } else {
        open_messages(&noise, rest);
    }
    sb_buf_fini(&out);
    return 0;
}
