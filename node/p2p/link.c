/* link.c: see link.h.
 *
 *      rx:  [ ......consumed...... | frame: len, fragments (opened in place) | more bytes | room ]
 *           0                     begin                                                  end   capacity */
#include "node/p2p/link.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/send_queue.h"

#define FRAME_BYTES_MAX    ((size_t)SB_LINK_FRAME_HEADER_BYTES + SB_NOISE_MESSAGE_BYTES_MAX)
#define RX_HANDSHAKE_BYTES ((size_t)2 * SB_LINK_HANDSHAKE_BYTES_MAX)
#define RX_OPEN_BYTES      (2 * FRAME_BYTES_MAX)
#define PARTIAL_KEEP_BYTES                                                                         \
    ((size_t)64 * 1024) /* a reassembly buffer larger than this is given back */
#define RECEIVE_BURST_SECONDS 2

SB_STATIC_ASSERT(SB_NOISE_OVERHEAD_2 + SB_HELLO_BYTES_MAX <= SB_LINK_HANDSHAKE_BYTES_MAX,
                 "a hello fits a handshake message");

enum link_state {
    LINK_HANDSHAKE,
    LINK_OPEN,
    LINK_FAILED,
};

/* A channel as received. */
struct lane {
    struct sb_buf partial; /* fragments of a message that has not ended */
    bool begun;
    uint64_t begun_us; /* when its first fragment came */
    struct sb_token_bucket messages, bytes;
};

struct sb_link {
    enum link_state state;
    sb_err failure;
    struct sb_diag failure_text;

    struct sb_noise noise;
    enum sb_noise_role role;
    uint8_t awaited; /* message of the handshake that the peer sends next: 0, 1 or 2 */
    uint8_t node_secret[SB_ED25519_SECRET_BYTES];
    uint8_t static_public[SB_NOISE_KEY_BYTES];
    bool has_expected_id;
    uint8_t expected_id[SB_P2P_NODE_ID_BYTES];
    struct sb_hello own, remote;
    bool has_remote;
    uint8_t output[2 * (SB_LINK_FRAME_HEADER_BYTES + SB_LINK_HANDSHAKE_BYTES_MAX)];
    size_t output_len;

    uint8_t *rx;
    size_t rx_capacity, rx_begin, rx_end;
    size_t frame_bytes;         /* of the frame at rx_begin that is being taken apart; 0: none */
    size_t plain_at, plain_end; /* in rx: fragments still to come */
    struct lane *given;         /* whose reassembly buffer the last event lent out */

    bool is_split;
    struct sb_noise_cipher receive, send;
    struct lane lanes[SB_CHANNEL_COUNT];
};

/* ---- life ---- */

static uint32_t share(uint32_t rate, uint32_t times, uint32_t parts)
{
    uint64_t value = (uint64_t)rate * times / parts;
    return value < 1 ? 1 : (uint32_t)value;
}

static void lanes_init(struct sb_link *link, uint64_t now_us)
{
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        const struct sb_channel_spec *spec = &sb_channels[i];
        struct lane *lane = &link->lanes[i];
        sb_buf_init(&lane->partial, spec->message_bytes_max);
        lane->messages = sb_token_bucket_full(share(spec->messages_per_s, 5, 4),
                                              spec->messages_per_s * RECEIVE_BURST_SECONDS, now_us);
        lane->bytes = sb_token_bucket_full(share(spec->bytes_per_s, 5, 4),
                                           spec->bytes_per_s * RECEIVE_BURST_SECONDS, now_us);
    }
}

static void own_hello_init(struct sb_link *link, const struct sb_link_options *options)
{
    link->own = (struct sb_hello){.version = SB_P2P_VERSION, .domain = options->domain};
    memcpy(link->own.node_id, options->node_secret + SB_ED25519_SEED_BYTES,
           sizeof link->own.node_id);
    SB_ASSERT(strlen(options->listen) < sizeof link->own.listen &&
              strlen(options->agent) < sizeof link->own.agent);
    memcpy(link->own.listen, options->listen, strlen(options->listen));
    memcpy(link->own.agent, options->agent, strlen(options->agent));
}

/* put_output: write the next handshake message, with its length in front. */
static sb_err put_output(struct sb_link *link, sb_bytes payload, struct sb_diag *diag)
{
    uint8_t *at = link->output + link->output_len;
    struct sb_buf out = sb_buf_over(at + SB_LINK_FRAME_HEADER_BYTES, SB_LINK_HANDSHAKE_BYTES_MAX);
    SB_ASSERT(link->output_len + SB_LINK_FRAME_HEADER_BYTES + SB_LINK_HANDSHAKE_BYTES_MAX <=
              sizeof link->output);
    SB_TRY(sb_noise_write(&link->noise, &out, payload, diag));
    be_store16(at, (uint16_t)out.len);
    link->output_len += SB_LINK_FRAME_HEADER_BYTES + out.len;
    return SB_OK;
}

sb_err sb_link_new(struct sb_link **ret_link, const struct sb_link_options *options,
                   uint64_t now_us, struct sb_diag *diag)
{
    struct sb_link *link = calloc(1, sizeof *link);
    uint8_t *rx = malloc(RX_HANDSHAKE_BYTES);
    if (link == NULL || rx == NULL) {
        free(link);
        free(rx);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    link->rx = rx;
    link->rx_capacity = RX_HANDSHAKE_BYTES;
    link->role = options->role;
    link->awaited = options->role == SB_NOISE_INITIATOR ? 1 : 0;
    memcpy(link->node_secret, options->node_secret, sizeof link->node_secret);
    sb_noise_public(link->static_public, options->static_secret);
    if (options->expected_id != NULL) {
        link->has_expected_id = true;
        memcpy(link->expected_id, options->expected_id, sizeof link->expected_id);
    }
    own_hello_init(link, options);
    lanes_init(link, now_us);
    sb_noise_init(&link->noise, options->role, sb_span_str("samebit-p2p"), options->static_secret,
                  options->ephemeral_secret);
    if (options->role == SB_NOISE_INITIATOR) {
        sb_err err = put_output(link, sb_span(NULL, 0), diag);
        if (err != SB_OK) {
            sb_link_free(link);
            return err;
        }
    }
    *ret_link = link;
    return SB_OK;
}

void sb_link_free(struct sb_link *link)
{
    if (link == NULL) {
        return;
    }
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        sb_buf_fini(&link->lanes[i].partial);
    }
    sb_noise_wipe(&link->noise);
    sb_noise_cipher_wipe(&link->send);
    sb_noise_cipher_wipe(&link->receive);
    sodium_memzero(link->node_secret, sizeof link->node_secret);
    free(link->rx);
    free(link);
}

/* ---- bytes in ---- */

uint8_t *sb_link_room(struct sb_link *link, size_t *ret_len)
{
    size_t room = link->rx_capacity - link->rx_end;
    bool is_late = link->rx_begin > link->rx_capacity / 2 || room < link->rx_capacity / 4;
    if (link->frame_bytes == 0 && link->rx_begin > 0 &&
        (is_late || link->rx_begin == link->rx_end)) {
        memmove(link->rx, link->rx + link->rx_begin, link->rx_end - link->rx_begin);
        link->rx_end -= link->rx_begin;
        link->rx_begin = 0;
    }
    *ret_len = link->rx_capacity - link->rx_end;
    return link->rx + link->rx_end;
}

void sb_link_received(struct sb_link *link, size_t len)
{
    SB_ASSERT(len <= link->rx_capacity - link->rx_end);
    link->rx_end += len;
}

static sb_err fail(struct sb_link *link, sb_err err, struct sb_diag *diag)
{
    link->state = LINK_FAILED;
    link->failure = err;
    if (diag != NULL) {
        link->failure_text = *diag;
    }
    return err;
}

/* ---- handshake ---- */

static void sign_hello(struct sb_link *link, enum sb_noise_role role)
{
    uint8_t text[SB_HELLO_SIGNED_BYTES_MAX];
    size_t len = sb_hello_signed_text(text, role, sb_noise_hash(&link->noise), link->static_public);
    sb_ed25519_sign(link->own.signature, link->node_secret, sb_span(text, len));
}

static sb_err write_hello(struct sb_link *link, struct sb_diag *diag)
{
    uint8_t memory[SB_HELLO_BYTES_MAX];
    struct sb_buf payload = sb_buf_over(memory, sizeof memory);
    sign_hello(link, link->role);
    sb_hello_encode(&payload, &link->own);
    SB_ASSERT(!payload.failed);
    return put_output(link, sb_buf_bytes(&payload), diag);
}

/* Whether the peer's hello fits: this protocol, this chain, another node, the expected one. */
static sb_err judge_hello(const struct sb_link *link, struct sb_diag *diag)
{
    const struct sb_hello *h = &link->remote;
    if (h->version != SB_P2P_VERSION) {
        return sb_fail(diag, SB_E_VERSION,
                       "it speaks version %u of the peer protocol, this node %d",
                       (unsigned)h->version, SB_P2P_VERSION);
    }
    if (h->domain.chain_id != link->own.domain.chain_id) {
        return sb_fail(diag, SB_E_ARG, "it is of chain %llu, this node of chain %llu",
                       (unsigned long long)h->domain.chain_id,
                       (unsigned long long)link->own.domain.chain_id);
    }
    if (!sb_hash_equal(&h->domain.genesis_hash, &link->own.domain.genesis_hash)) {
        return sb_fail(diag, SB_E_ARG, "it has another genesis block: compare genesis.json");
    }
    if (memcmp(h->node_id, link->own.node_id, sizeof h->node_id) == 0) {
        return sb_fail(diag, SB_E_ARG, "it is this node itself");
    }
    if (link->has_expected_id && memcmp(h->node_id, link->expected_id, sizeof h->node_id) != 0) {
        return sb_fail(diag, SB_E_ARG, "another node answers at this address than the id names");
    }
    return SB_OK;
}

/* read_hello: a handshake message with a hello: decrypt it and check who signed it. */
static sb_err read_hello(struct sb_link *link, sb_bytes message, struct sb_diag *diag)
{
    uint8_t memory[SB_LINK_HANDSHAKE_BYTES_MAX];
    uint8_t hash[SB_NOISE_HASH_BYTES];
    uint8_t text[SB_HELLO_SIGNED_BYTES_MAX];
    struct sb_buf payload = sb_buf_over(memory, sizeof memory);
    struct sb_hello hello;
    memcpy(hash, sb_noise_hash(&link->noise), sizeof hash);
    SB_TRY(sb_noise_read(&link->noise, &payload, message, diag));
    SB_TRY(sb_hello_decode(&hello, sb_buf_bytes(&payload), diag));
    enum sb_noise_role remote_role =
        link->role == SB_NOISE_INITIATOR ? SB_NOISE_RESPONDER : SB_NOISE_INITIATOR;
    size_t len =
        sb_hello_signed_text(text, remote_role, hash, sb_noise_remote_static(&link->noise));
    if (!sb_ed25519_verify(hello.signature, sb_span(text, len), hello.node_id)) {
        return sb_fail(diag, SB_E_SIGNATURE, "hello: the signature of the node id is wrong");
    }
    link->remote = hello;
    link->has_remote = true;
    return SB_OK;
}

static sb_err open_link(struct sb_link *link, struct sb_diag *diag)
{
    SB_TRY(judge_hello(link, diag));
    uint8_t *rx = realloc(link->rx, RX_OPEN_BYTES);
    if (rx == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    link->rx = rx;
    link->rx_capacity = RX_OPEN_BYTES;
    sb_noise_split(&link->noise, &link->send, &link->receive);
    link->is_split = true;
    link->state = LINK_OPEN;
    return SB_OK;
}

/* handshake_message: a whole message of the peer has come. */
static sb_err handshake_message(struct sb_link *link, sb_bytes message, struct sb_diag *diag)
{
    if (link->awaited == 0) {
        uint8_t nothing[1]; /* the length leaves no room for a payload */
        struct sb_buf payload = sb_buf_over(nothing, sizeof nothing);
        SB_TRY(sb_noise_read(&link->noise, &payload, message, diag));
        link->awaited = 2;
        return write_hello(link, diag);
    }
    SB_TRY(read_hello(link, message, diag));
    if (!sb_noise_is_done(&link->noise)) {
        /* before judging, so that the peer can say what did not fit, too */
        SB_TRY(write_hello(link, diag));
    }
    return open_link(link, diag);
}

/* The lengths that the next handshake message may have. */
static bool handshake_length_is_good(const struct sb_link *link, size_t len)
{
    static const size_t k_overheads[] = {SB_NOISE_OVERHEAD_1, SB_NOISE_OVERHEAD_2,
                                         SB_NOISE_OVERHEAD_3};
    if (link->awaited == 0) {
        return len == SB_NOISE_OVERHEAD_1;
    }
    size_t overhead = k_overheads[link->awaited];
    return len >= overhead + SB_HELLO_BYTES_MIN && len <= overhead + SB_HELLO_BYTES_MAX;
}

/* take_handshake_message: the next message, if it is whole. */
static sb_err take_handshake_message(bool *ret_taken, struct sb_link *link, struct sb_diag *diag)
{
    size_t held = link->rx_end - link->rx_begin;
    *ret_taken = false;
    if (held < SB_LINK_FRAME_HEADER_BYTES) {
        return SB_OK;
    }
    const uint8_t *at = link->rx + link->rx_begin;
    size_t len = be_load16(at);
    if (!handshake_length_is_good(link, len)) {
        return sb_fail(diag, SB_E_RANGE,
                       "a handshake message of %zu bytes: this is not the peer protocol", len);
    }
    if (held < SB_LINK_FRAME_HEADER_BYTES + len) {
        return SB_OK;
    }
    link->rx_begin += SB_LINK_FRAME_HEADER_BYTES + len;
    *ret_taken = true;
    return handshake_message(link, sb_span(at + SB_LINK_FRAME_HEADER_BYTES, len), diag);
}

static sb_err next_handshake(struct sb_link_event *ret_event, struct sb_link *link,
                             struct sb_diag *diag)
{
    bool taken = true;
    while (taken && link->state == LINK_HANDSHAKE) {
        SB_TRY(take_handshake_message(&taken, link, diag));
    }
    ret_event->kind = link->state == LINK_OPEN ? SB_LINK_UP : SB_LINK_WANT;
    return SB_OK;
}

/* ---- frames ---- */

/* open_frame: decrypt the frame at rx_begin, if it is whole. */
static sb_err open_frame(bool *ret_opened, struct sb_link *link, struct sb_diag *diag)
{
    size_t held = link->rx_end - link->rx_begin;
    *ret_opened = false;
    if (held < SB_LINK_FRAME_HEADER_BYTES) {
        return SB_OK;
    }
    uint8_t *at = link->rx + link->rx_begin;
    size_t len = be_load16(at);
    if (len <= SB_NOISE_TAG_BYTES + SB_FRAGMENT_HEADER_BYTES - 1) {
        return sb_fail(diag, SB_E_RANGE, "a frame of %zu bytes", len);
    }
    if (held < SB_LINK_FRAME_HEADER_BYTES + len) {
        return SB_OK;
    }
    at += SB_LINK_FRAME_HEADER_BYTES;
    sb_err err = sb_noise_open(&link->receive, at, sb_span(at, len));
    if (err != SB_OK) {
        return sb_fail(diag, err, "a frame was not made by the peer's key, or is out of order");
    }
    link->frame_bytes = SB_LINK_FRAME_HEADER_BYTES + len;
    link->plain_at = link->rx_begin + SB_LINK_FRAME_HEADER_BYTES;
    link->plain_end = link->plain_at + len - SB_NOISE_TAG_BYTES;
    *ret_opened = true;
    return SB_OK;
}

static void close_frame(struct sb_link *link)
{
    link->rx_begin += link->frame_bytes;
    link->frame_bytes = 0;
}

struct fragment {
    enum sb_channel channel;
    bool is_final;
    sb_bytes bytes;
};

/* read_fragment: the next fragment of the open frame, checked against the channel's cap; nothing is consumed. */
static sb_err read_fragment(struct fragment *ret, const struct sb_link *link, struct sb_diag *diag)
{
    const uint8_t *at = link->rx + link->plain_at;
    size_t rest = link->plain_end - link->plain_at;
    if (rest < SB_FRAGMENT_HEADER_BYTES) {
        return sb_fail(diag, SB_E_SHAPE, "a frame ends within a fragment's header");
    }
    size_t len = be_load16(at + 2);
    if (at[0] >= SB_CHANNEL_COUNT || (at[1] & ~SB_FRAGMENT_FINAL) != 0) {
        return sb_fail(diag, SB_E_TYPE, "a fragment of channel %u with flags %u", (unsigned)at[0],
                       (unsigned)at[1]);
    }
    if (len > rest - SB_FRAGMENT_HEADER_BYTES) {
        return sb_fail(diag, SB_E_SHAPE, "a frame ends within a fragment");
    }
    *ret = (struct fragment){.channel = (enum sb_channel)at[0],
                             .is_final = at[1] == SB_FRAGMENT_FINAL,
                             .bytes = sb_span(at + SB_FRAGMENT_HEADER_BYTES, len)};
    if (!ret->is_final && len == 0) {
        return sb_fail(diag, SB_E_SHAPE, "an empty fragment that ends nothing");
    }
    const struct sb_channel_spec *spec = &sb_channels[ret->channel];
    if (len > spec->message_bytes_max - link->lanes[ret->channel].partial.len) {
        return sb_fail(diag, SB_E_LIMIT, "a message of channel %s has more than %u bytes",
                       spec->name, (unsigned)spec->message_bytes_max);
    }
    return SB_OK;
}

/* may_take: whether the channel's rates allow a fragment now; else *ret_wait_us is when. */
static bool may_take(uint64_t *ret_wait_us, struct lane *lane, uint64_t now_us)
{
    bool messages = sb_token_bucket_ready(&lane->messages, now_us);
    bool bytes = sb_token_bucket_ready(&lane->bytes, now_us);
    if (messages && bytes) {
        return true;
    }
    uint64_t a = sb_token_bucket_ready_at(&lane->messages);
    uint64_t b = sb_token_bucket_ready_at(&lane->bytes);
    *ret_wait_us = a > b ? a : b;
    return false;
}

/* take_fragment: consume it; true when it ends a message, which *ret_event then holds. */
static sb_err take_fragment(struct sb_link_event *ret_event, bool *ret_whole, struct sb_link *link,
                            const struct fragment *fragment, uint64_t now_us, struct sb_diag *diag)
{
    struct lane *lane = &link->lanes[fragment->channel];
    size_t len = fragment->bytes.len;
    link->plain_at += SB_FRAGMENT_HEADER_BYTES + len;
    sb_token_bucket_take(&lane->bytes, (uint32_t)(SB_FRAGMENT_HEADER_BYTES + len));
    *ret_whole = fragment->is_final;
    sb_bytes message = fragment->bytes;
    if (!fragment->is_final || lane->begun) {
        sb_buf_add(&lane->partial, fragment->bytes.data, len);
        if (sb_buf_err(&lane->partial) != SB_OK) {
            return sb_fail(diag, SB_E_NOMEM, "out of memory for a message");
        }
        lane->begun_us = lane->begun ? lane->begun_us : now_us;
        lane->begun = true;
        message = sb_buf_bytes(&lane->partial);
    }
    if (fragment->is_final) {
        sb_token_bucket_take(&lane->messages, 1);
        link->given = lane->begun ? lane : NULL;
        *ret_event = (struct sb_link_event){
            .kind = SB_LINK_MESSAGE, .channel = fragment->channel, .message = message};
    }
    return SB_OK;
}

/* Take back the memory that the last event lent out. */
static void take_back(struct sb_link *link)
{
    struct lane *lane = link->given;
    if (lane == NULL) {
        return;
    }
    link->given = NULL;
    lane->begun = false;
    if (lane->partial.capacity > PARTIAL_KEEP_BYTES) {
        size_t limit = lane->partial.limit_bytes;
        sb_buf_fini(&lane->partial);
        sb_buf_init(&lane->partial, limit);
    } else {
        sb_buf_reset(&lane->partial);
    }
}

static sb_err next_message(struct sb_link_event *ret_event, struct sb_link *link, uint64_t now_us,
                           struct sb_diag *diag)
{
    for (;;) {
        if (link->frame_bytes == 0) {
            bool opened = false;
            SB_TRY(open_frame(&opened, link, diag));
            if (!opened) {
                *ret_event = (struct sb_link_event){.kind = SB_LINK_WANT};
                return SB_OK;
            }
        }
        while (link->plain_at < link->plain_end) {
            struct fragment fragment;
            uint64_t wait_us = 0;
            bool whole = false;
            SB_TRY(read_fragment(&fragment, link, diag));
            if (!may_take(&wait_us, &link->lanes[fragment.channel], now_us)) {
                *ret_event = (struct sb_link_event){.kind = SB_LINK_WAIT, .wait_until_us = wait_us};
                return SB_OK;
            }
            SB_TRY(take_fragment(ret_event, &whole, link, &fragment, now_us, diag));
            if (whole) {
                return SB_OK;
            }
        }
        close_frame(link);
    }
}

sb_err sb_link_next(struct sb_link_event *ret_event, struct sb_link *link, uint64_t now_us,
                    struct sb_diag *diag)
{
    struct sb_diag own = {.text = ""};
    struct sb_diag *text = diag != NULL ? diag : &own;
    sb_err err = SB_OK;
    struct sb_link_event event = {.kind = SB_LINK_WANT};
    take_back(link);
    switch (link->state) {
    case LINK_FAILED:
        *text = link->failure_text;
        return link->failure;
    case LINK_HANDSHAKE:
        err = next_handshake(&event, link, text);
        break;
    case LINK_OPEN:
        err = next_message(&event, link, now_us, text);
        break;
    }
    if (err != SB_OK) {
        return fail(link, err, text);
    }
    *ret_event = event;
    return SB_OK;
}

size_t sb_link_partial_bytes(const struct sb_link *link)
{
    size_t bytes = 0;
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        bytes += link->lanes[i].partial.capacity;
    }
    return bytes;
}

uint64_t sb_link_partial_since_us(const struct sb_link *link)
{
    uint64_t since = UINT64_MAX;
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        const struct lane *lane = &link->lanes[i];
        since = lane->begun && lane->begun_us < since ? lane->begun_us : since;
    }
    return since;
}

const struct sb_hello *sb_link_hello(const struct sb_link *link)
{
    return link->has_remote ? &link->remote : NULL;
}

bool sb_link_is_open(const struct sb_link *link)
{
    return link->state == LINK_OPEN;
}

/* ---- bytes out ---- */

sb_bytes sb_link_handshake_output(struct sb_link *link)
{
    size_t len = link->output_len;
    link->output_len = 0;
    return sb_span(link->output, len);
}

sb_err sb_link_seal(struct sb_link *link, size_t *ret_len, uint8_t *frame, size_t plain_len)
{
    SB_ASSERT(link->is_split);
    SB_ASSERT(plain_len >= 1 && plain_len <= SB_NOISE_PLAIN_BYTES_MAX);
    uint8_t *plain = frame + SB_LINK_FRAME_HEADER_BYTES;
    SB_TRY(sb_noise_seal(&link->send, plain, sb_span(plain, plain_len)));
    be_store16(frame, (uint16_t)(plain_len + SB_NOISE_TAG_BYTES));
    *ret_len = SB_LINK_SEALED_BYTES(plain_len);
    return SB_OK;
}
