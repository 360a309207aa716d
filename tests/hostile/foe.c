/* foe.c: see foe.h. */
#include "tests/hostile/foe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "tests/support/process.h"

#define CONNECT_MS_MAX 20000
#define SEND_MS_MAX    1000
#define SHAKE_MS_MAX   20000

bool foe_connect(struct foe *ret_foe, const struct foe_target *target, struct sb_random *random)
{
    struct sockaddr_storage to;
    socklen_t len = sb_endpoint_socket(&to, &target->endpoint);
    struct foe foe = {.fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    SB_ASSERT(foe.fd >= 0);
    if (to.ss_family == AF_INET && sb_endpoint_is_local(&target->endpoint)) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        uint8_t ip[4] = {127, (uint8_t)(1 + sb_random_below(random, 200))};
        sb_random_fill(random, ip + 2, 2);
        memcpy(&from.sin_addr, ip, sizeof ip);
        (void)bind(foe.fd, (const struct sockaddr *)&from, sizeof from);
    }
    struct pollfd poller = {.fd = foe.fd, .events = POLLOUT};
    int error = 0;
    socklen_t error_len = sizeof error;
    if (connect(foe.fd, (const struct sockaddr *)&to, len) != 0 &&
        (errno != EINPROGRESS || poll(&poller, 1, CONNECT_MS_MAX) != 1 ||
         getsockopt(foe.fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0 || error != 0)) {
        foe.is_closed = true;
    }
    *ret_foe = foe;
    return !foe.is_closed;
}

void foe_close(struct foe *foe)
{
    sb_link_free(foe->link);
    if (foe->fd >= 0) {
        (void)close(foe->fd);
    }
    *foe = (struct foe){.fd = -1, .is_closed = true};
}

void foe_send(struct foe *foe, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0 && !foe->is_closed) {
        ssize_t put = send(foe->fd, at, len, MSG_NOSIGNAL);
        if (put > 0) {
            at += put;
            len -= (size_t)put;
            continue;
        }
        struct pollfd poller = {.fd = foe->fd, .events = POLLOUT};
        if (errno != EAGAIN && errno != EINTR) {
            foe->is_closed = true;
        } else if (poll(&poller, 1, SEND_MS_MAX) != 1) {
            return; /* the victim does not read: that is its right */
        }
    }
}

/* Wait for bytes until a moment; 0: none came. Notes the end of the connection. */
static size_t receive(struct foe *foe, uint8_t *ret, size_t len, uint64_t until_ms)
{
    while (!foe->is_closed) {
        ssize_t got = recv(foe->fd, ret, len, 0);
        if (got > 0) {
            return (size_t)got;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            foe->is_closed = true;
            break;
        }
        uint64_t now = now_ms();
        struct pollfd poller = {.fd = foe->fd, .events = POLLIN};
        if (now >= until_ms || poll(&poller, 1, (int)(until_ms - now)) != 1) {
            break;
        }
    }
    return 0;
}

bool foe_wait_closed(struct foe *foe, uint64_t ms)
{
    static uint8_t bytes[65536];
    uint64_t until = now_ms() + ms;
    while (receive(foe, bytes, sizeof bytes, until) > 0 && now_ms() < until) {
    }
    return foe->is_closed;
}

/* ---- with a handshake ---- */

static void flush(struct foe *foe)
{
    sb_bytes out = sb_link_handshake_output(foe->link);
    foe_send(foe, out.data, out.len);
}

/* Read until the link says this, or the time is over. */
static bool wait_for(struct foe *foe, enum sb_link_event_kind kind, uint64_t ms)
{
    uint64_t until = now_ms() + ms;
    for (;;) {
        struct sb_link_event event;
        if (sb_link_next(&event, foe->link, now_ms() * 1000, NULL) != SB_OK) {
            foe->is_closed = true;
            return false;
        }
        flush(foe);
        foe->messages += event.kind == SB_LINK_MESSAGE ? 1 : 0;
        if (event.kind == kind) {
            return true;
        }
        if (event.kind != SB_LINK_WANT) {
            continue;
        }
        size_t room = 0;
        uint8_t *to = sb_link_room(foe->link, &room);
        size_t got = receive(foe, to, room, until);
        if (got == 0) {
            return false;
        }
        sb_link_received(foe->link, got);
    }
}

static void link_open(struct foe *foe, const struct foe_target *target, struct sb_random *random)
{
    uint8_t seed[SB_ED25519_SEED_BYTES], id[SB_P2P_NODE_ID_BYTES], secret[SB_ED25519_SECRET_BYTES];
    uint8_t static_secret[SB_NOISE_KEY_BYTES], ephemeral[SB_NOISE_KEY_BYTES];
    sb_random_fill(random, seed, sizeof seed);
    sb_random_fill(random, static_secret, sizeof static_secret);
    sb_random_fill(random, ephemeral, sizeof ephemeral);
    sb_ed25519_keypair(id, secret, seed);
    const struct sb_link_options options = {.role = SB_NOISE_INITIATOR,
                                            .node_secret = secret,
                                            .static_secret = static_secret,
                                            .ephemeral_secret = ephemeral,
                                            .domain = target->domain,
                                            .listen = "",
                                            .agent = "hostile"};
    sb_err err = sb_link_new(&foe->link, &options, now_ms() * 1000, NULL);
    SB_ASSERT(err == SB_OK);
}

size_t foe_first_message(uint8_t ret[64], const struct foe_target *target, struct sb_random *random)
{
    struct foe foe = {.fd = -1};
    link_open(&foe, target, random);
    sb_bytes out = sb_link_handshake_output(foe.link);
    SB_ASSERT(out.len <= 64);
    memcpy(ret, out.data, out.len);
    sb_link_free(foe.link);
    return out.len;
}

bool foe_shake_quietly(struct foe *foe, const struct foe_target *target, struct sb_random *random)
{
    link_open(foe, target, random);
    flush(foe);
    return wait_for(foe, SB_LINK_UP, SHAKE_MS_MAX);
}

bool foe_shake(struct foe *foe, const struct foe_target *target, struct sb_random *random)
{
    const uint8_t welcome = SB_CONTROL_WELCOME;
    if (!foe_shake_quietly(foe, target, random) || !wait_for(foe, SB_LINK_MESSAGE, SHAKE_MS_MAX)) {
        return false;
    }
    foe_say(foe, SB_CHANNEL_CONTROL, SB_FRAGMENT_FINAL, sb_span(&welcome, 1));
    return !foe->is_closed;
}

void foe_seal(struct foe *foe, sb_bytes plain)
{
    static uint8_t frame[SB_LINK_SEALED_BYTES(SB_NOISE_PLAIN_BYTES_MAX)];
    size_t len = 0;
    if (foe->is_closed || plain.len == 0) {
        return;
    }
    memcpy(frame + SB_LINK_FRAME_HEADER_BYTES, plain.data, plain.len);
    sb_err err = sb_link_seal(foe->link, &len, frame, plain.len);
    SB_ASSERT(err == SB_OK);
    foe_send(foe, frame, len);
}

void foe_say(struct foe *foe, uint8_t channel, uint8_t flags, sb_bytes bytes)
{
    static uint8_t plain[SB_NOISE_PLAIN_BYTES_MAX];
    SB_ASSERT(bytes.len <= sizeof plain - SB_FRAGMENT_HEADER_BYTES);
    plain[0] = channel;
    plain[1] = flags;
    be_store16(plain + 2, (uint16_t)bytes.len);
    sb_copy(plain + SB_FRAGMENT_HEADER_BYTES, bytes.data, bytes.len);
    foe_seal(foe, sb_span(plain, SB_FRAGMENT_HEADER_BYTES + bytes.len));
}
