/* test_p2p_link.c: node/p2p/link.h and send_queue.h: two connections joined in memory, and an attacker in every place: on the wire,
 * and at the other end with the keys. */
#include "node/p2p/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util/endian.h"
#include "tests/support/link_pair.h"
#include "tests/support/random.h"

#define OUT_BYTES ((size_t)32 << 20)

/* ---- handshake ---- */

static void handshake_in_pieces_of_any_size_completes(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 700; piece += piece < 16 ? 1 : 61) {
        struct link_end a, b;
        struct sb_diag diag = {.text = ""};
        uint8_t id[SB_P2P_NODE_ID_BYTES];
        link_end_open(&a, SB_NOISE_INITIATOR, 1, 7, NULL);
        link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL);
        assert_null(sb_link_hello(a.link));
        assert_int_equal(link_pair_shake(&a, &b, piece, &diag), SB_OK);
        assert_int_equal(a.heard.ups, 1);
        assert_int_equal(b.heard.ups, 1);
        link_end_id(id, 2);
        assert_memory_equal(sb_link_hello(a.link)->node_id, id, sizeof id);
        link_end_id(id, 1);
        assert_memory_equal(sb_link_hello(b.link)->node_id, id, sizeof id);
        assert_string_equal(sb_link_hello(b.link)->agent, "test/1");
        assert_string_equal(sb_link_hello(b.link)->listen, "127.0.0.1:1");
        link_end_close(&a);
        link_end_close(&b);
    }
}

static void expect_no_handshake(uint8_t seed, uint64_t chain, const uint8_t *expected_id,
                                sb_err expected, const char *text)
{
    struct link_end a, b;
    struct sb_diag diag = {.text = ""};
    link_end_open(&a, SB_NOISE_INITIATOR, 1, 7, expected_id);
    link_end_open(&b, SB_NOISE_RESPONDER, seed, chain, NULL);
    assert_int_equal(link_pair_shake(&a, &b, SIZE_MAX, &diag), expected);
    assert_non_null(strstr(diag.text, text));
    assert_int_equal(a.heard.ups, 0);
    link_end_close(&a);
    link_end_close(&b);
}

static void node_that_does_not_fit_is_refused_with_the_reason(void **state)
{
    (void)state;
    uint8_t id[SB_P2P_NODE_ID_BYTES];
    link_end_id(id, 3);
    expect_no_handshake(2, 8, NULL, SB_E_ARG, "chain");
    expect_no_handshake(1, 7, NULL, SB_E_ARG, "this node itself");
    expect_no_handshake(2, 7, id, SB_E_ARG, "another node answers");
}

/* The three messages of a good handshake, with their lengths in front. */
static void record_handshake(struct sb_buf ret[3])
{
    struct link_end a, b;
    link_end_open(&a, SB_NOISE_INITIATOR, 1, 7, NULL);
    link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL);
    for (size_t i = 0; i < 3; i++) {
        sb_buf_init(&ret[i], OUT_BYTES);
        (void)link_end_drain(&ret[i], i % 2 == 0 ? &a : &b, 0);
        assert_int_equal(link_end_feed(i % 2 == 0 ? &b : &a, sb_buf_bytes(&ret[i]), SIZE_MAX, NULL),
                         SB_OK);
    }
    link_end_close(&a);
    link_end_close(&b);
}

static void damaged_handshake_is_refused_at_every_byte(void **state)
{
    (void)state;
    struct sb_buf messages[3];
    record_handshake(messages);
    for (size_t i = 0; i < messages[0].len + messages[2].len; i++) {
        struct link_end b;
        struct sb_buf first = messages[0], third = messages[2];
        uint8_t *byte = i < first.len ? &first.data[i] : &third.data[i - first.len];
        *byte ^= 0x10;
        link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL);
        sb_err err = link_end_feed(&b, sb_buf_bytes(&first), SIZE_MAX, NULL);
        err = err == SB_OK ? link_end_feed(&b, sb_buf_bytes(&third), SIZE_MAX, NULL) : err;
        assert_int_equal(b.heard.ups, 0);
        /* a longer length within the bounds only waits for more */
        assert_true(err != SB_OK || i == messages[0].len + 1 || i == messages[0].len);
        link_end_close(&b);
        *byte ^= 0x10;
    }
    for (size_t i = 0; i < 3; i++) {
        sb_buf_fini(&messages[i]);
    }
}

static void recorded_handshake_is_refused_when_played_again(void **state)
{
    (void)state;
    struct sb_buf messages[3];
    struct link_end b;
    record_handshake(messages);
    link_end_open(&b, SB_NOISE_RESPONDER, 4, 7, NULL);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&messages[0]), SIZE_MAX, NULL), SB_OK);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&messages[2]), SIZE_MAX, NULL), SB_E_CHECKSUM);
    assert_false(sb_link_is_open(b.link));
    link_end_close(&b);
    for (size_t i = 0; i < 3; i++) {
        sb_buf_fini(&messages[i]);
    }
}

/* Messages 1 and 3 in one piece, as one who does not wait for message 2 may send them. */
static void messages_that_come_at_once_are_all_taken(void **state)
{
    (void)state;
    struct sb_buf messages[3];
    struct link_end b;
    record_handshake(messages);
    sb_buf_add(&messages[0], messages[2].data, messages[2].len);
    link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL); /* the keys of the recording: it fits */
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&messages[0]), SIZE_MAX, NULL), SB_OK);
    assert_int_equal(b.heard.ups, 1);
    link_end_close(&b);
    for (size_t i = 0; i < 3; i++) {
        sb_buf_fini(&messages[i]);
    }
}

static void foreign_protocol_is_refused_at_its_first_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n", "\x16\x03\x01\x02", "SSH-2.0-x\r\n", "\xff\xff", "\0\0", "\0\x21"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct link_end b;
        link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL);
        sb_err err = link_end_feed(&b, sb_span(texts[i], i < 3 ? strlen(texts[i]) : 2), 1, NULL);
        assert_int_equal(err, SB_E_RANGE);
        /* final: the same answer for ever */
        struct sb_link_event event;
        assert_int_equal(sb_link_next(&event, b.link, b.now_us, NULL), SB_E_RANGE);
        link_end_close(&b);
    }
}

/* An initiator that speaks Noise well but claims the node id of seed 3, whose key it does not have. */
static void node_id_without_its_key_is_refused(void **state)
{
    (void)state;
    struct link_end b;
    struct sb_noise noise;
    struct sb_buf out, payload;
    const uint8_t static_secret[32] = {9}, ephemeral[32] = {8};
    uint8_t own_public[32], own_secret[64], text[SB_HELLO_SIGNED_BYTES_MAX], static_public[32];
    struct sb_hello hello = {.version = SB_P2P_VERSION, .domain = {.chain_id = 7}};
    link_end_open(&b, SB_NOISE_RESPONDER, 2, 7, NULL);
    sb_buf_init(&out, OUT_BYTES);
    sb_buf_init(&payload, OUT_BYTES);
    sb_noise_init(&noise, SB_NOISE_INITIATOR, sb_span_str("samebit-p2p"), static_secret, ephemeral);
    uint8_t header[2] = {0, 32};
    sb_buf_add(&out, header, 2);
    assert_int_equal(sb_noise_write(&noise, &out, sb_span(NULL, 0), NULL), SB_OK);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_OK);
    sb_bytes answer = sb_link_handshake_output(b.link);
    assert_int_equal(
        sb_noise_read(&noise, &payload, sb_span(answer.data + 2, answer.len - 2), NULL), SB_OK);
    sb_ed25519_keypair(own_public, own_secret, static_secret);
    sb_noise_public(static_public, static_secret);
    size_t len =
        sb_hello_signed_text(text, SB_NOISE_INITIATOR, sb_noise_hash(&noise), static_public);
    sb_ed25519_sign(hello.signature, own_secret, sb_span(text, len));
    link_end_id(hello.node_id, 3);
    sb_buf_reset(&payload);
    sb_hello_encode(&payload, &hello);
    sb_buf_reset(&out);
    be_store16(header, (uint16_t)(SB_NOISE_OVERHEAD_3 + payload.len));
    sb_buf_add(&out, header, 2);
    assert_int_equal(sb_noise_write(&noise, &out, sb_buf_bytes(&payload), NULL), SB_OK);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_E_SIGNATURE);
    assert_null(sb_link_hello(b.link));
    sb_buf_fini(&out);
    sb_buf_fini(&payload);
    link_end_close(&b);
}

/* ---- messages ---- */

static void messages_of_all_sizes_arrive_whole_in_any_pieces(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("messages_of_all_sizes_arrive_whole_in_any_pieces");
    static const size_t lens[] = {0, 1, 3, 4, 100, 16364, 16380, 16384, 40000, 3000000};
    static uint8_t bytes[3000000];
    static const size_t pieces[] = {1, 7, 4096, SIZE_MAX};
    struct link_end a, b;
    struct sb_buf out;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    sb_random_fill(&random, bytes, sizeof bytes);
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        for (int c = 0; c < SB_CHANNEL_COUNT; c++) {
            if (lens[i] > sb_channels[c].message_bytes_max) {
                continue;
            }
            sb_bytes message = sb_span(bytes, lens[i]);
            link_end_send(&a, (enum sb_channel)c, message);
            while (!sb_send_queue_is_empty(&a.queue)) {
                sb_buf_reset(&out);
                (void)link_end_drain(&out, &a, SIZE_MAX);
                assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), pieces[i % 4], NULL), SB_OK);
                a.now_us += 100000;
            }
            count++;
            assert_int_equal(b.heard.messages, count);
            assert_int_equal(b.heard.channel, c);
            assert_true(sb_span_equal(sb_buf_bytes(&b.heard.last), message));
        }
    }
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

static void vote_overtakes_a_block_that_is_under_way(void **state)
{
    (void)state;
    static uint8_t block[1000000];
    struct link_end a, b;
    struct sb_buf out;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    link_end_send(&a, SB_CHANNEL_SYNC, sb_span(block, sizeof block));
    assert_int_equal(link_end_drain(&out, &a, 1), 1);
    link_end_send(&a, SB_CHANNEL_VOTE, sb_span(block, 100));
    assert_int_equal(link_end_drain(&out, &a, 1), 1);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_OK);
    assert_int_equal(b.heard.messages, 1);
    assert_int_equal(b.heard.channel, SB_CHANNEL_VOTE);
    sb_buf_reset(&out);
    (void)link_end_drain(&out, &a, SIZE_MAX);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_OK);
    assert_int_equal(b.heard.channel, SB_CHANNEL_SYNC);
    assert_int_equal(b.heard.last.len, sizeof block);
    assert_true(sb_link_partial_bytes(b.link) < 100000); /* a large buffer is given back */
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

/* Three frames of one vote each; `order` says which are delivered. */
static void expect_order_refused(const char *order)
{
    struct link_end a, b;
    struct sb_buf frames[3];
    sb_err err = SB_OK;
    link_pair_open(&a, &b);
    for (size_t i = 0; i < 3; i++) {
        sb_buf_init(&frames[i], OUT_BYTES);
        link_end_send(&a, SB_CHANNEL_VOTE, sb_span("vote", 4));
        assert_int_equal(link_end_drain(&frames[i], &a, 1), 1);
    }
    size_t good = 0;
    for (const char *at = order; *at != '\0' && err == SB_OK; at++) {
        good = b.heard.messages;
        err = link_end_feed(&b, sb_buf_bytes(&frames[*at - '0']), SIZE_MAX, NULL);
    }
    assert_int_equal(err, SB_E_CHECKSUM);
    assert_int_equal(b.heard.messages, good);
    for (size_t i = 0; i < 3; i++) {
        sb_buf_fini(&frames[i]);
    }
    link_end_close(&a);
    link_end_close(&b);
}

static void frame_that_is_replayed_lost_or_swapped_ends_the_link(void **state)
{
    (void)state;
    expect_order_refused("00");
    expect_order_refused("010");
    expect_order_refused("1");
    expect_order_refused("02");
}

static void damaged_frame_is_refused_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        struct link_end a, b;
        struct sb_buf out;
        link_pair_open(&a, &b);
        sb_buf_init(&out, OUT_BYTES);
        link_end_send(&a, SB_CHANNEL_VOTE, sb_span("a vote of some bytes", 20));
        (void)link_end_drain(&out, &a, 1);
        link_end_send(&a, SB_CHANNEL_VOTE, sb_span("more, so that a longer length has bytes", 39));
        (void)link_end_drain(&out, &a, 1);
        bool done = i == 42;
        if (!done) {
            out.data[i] ^= 1;
            sb_err err = link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL);
            assert_int_equal(b.heard.messages, 0);
            /* a length beyond what was sent waits; the next frame could not save it */
            assert_true(err != SB_OK || i == 0);
        }
        sb_buf_fini(&out);
        link_end_close(&a);
        link_end_close(&b);
        if (done) {
            break;
        }
    }
}

/* A frame that the holder of the keys makes of these bytes. */
static void expect_plain_refused(sb_bytes plain, sb_err expected)
{
    struct link_end a, b;
    struct sb_buf out;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    link_end_seal(&out, &a, plain);
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), expected);
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

static void malformed_fragments_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t len;
        sb_err err;
    } k_cases[] = {
        {{SB_CHANNEL_COUNT, 1, 0, 0}, 4, SB_E_TYPE},
        {{255, 1, 0, 0}, 4, SB_E_TYPE},
        {{SB_CHANNEL_VOTE, 2, 0, 0}, 4, SB_E_TYPE},
        {{SB_CHANNEL_VOTE, 0x81, 0, 0}, 4, SB_E_TYPE},
        {{SB_CHANNEL_VOTE, 1, 0, 1}, 4, SB_E_SHAPE},
        {{SB_CHANNEL_VOTE, 1, 255, 255}, 4, SB_E_SHAPE},
        {{SB_CHANNEL_VOTE, 0, 0, 0}, 4, SB_E_SHAPE},
        {{SB_CHANNEL_VOTE, 1, 0, 0, 2}, 5, SB_E_SHAPE},
        {{SB_CHANNEL_VOTE, 1, 0, 0, 2, 1, 0}, 7, SB_E_SHAPE},
        {{SB_CHANNEL_VOTE}, 1, SB_E_RANGE},
        {{SB_CHANNEL_VOTE, 1, 0}, 3, SB_E_RANGE},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        expect_plain_refused(sb_span(k_cases[i].bytes, k_cases[i].len), k_cases[i].err);
    }
}

static void message_over_its_cap_is_refused_before_it_is_held(void **state)
{
    (void)state;
    for (int c = 0; c < SB_CHANNEL_COUNT; c++) {
        struct link_end a, b;
        struct sb_buf out;
        static uint8_t plain[60000];
        size_t max = sb_channels[c].message_bytes_max;
        sb_err err = SB_OK;
        size_t sent = 0;
        link_pair_open(&a, &b);
        sb_buf_init(&out, OUT_BYTES);
        while (err == SB_OK && sent <= 2 * max + sizeof plain) {
            size_t len = max / 3 + 1 < sizeof plain - 4 ? max / 3 + 1 : sizeof plain - 4;
            plain[0] = (uint8_t)c;
            plain[1] = 0;
            be_store16(plain + 2, (uint16_t)len);
            sb_buf_reset(&out);
            link_end_seal(&out, &a, sb_span(plain, len + 4));
            err = link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL);
            sent += err == SB_OK ? len : 0;
        }
        assert_int_equal(err, SB_E_LIMIT);
        assert_true(sent <= max);
        assert_int_equal(b.heard.messages, 0);
        assert_true(b.heard.partial_bytes_max <= 2 * max + 4096);
        sb_buf_fini(&out);
        link_end_close(&a);
        link_end_close(&b);
    }
}

static void flood_is_held_back_and_nothing_is_lost(void **state)
{
    (void)state;
    struct link_end a, b;
    struct sb_buf out;
    const uint64_t count = 10 * sb_channels[SB_CHANNEL_CONTROL].messages_per_s;
    const uint8_t plain[5] = {SB_CHANNEL_CONTROL, SB_FRAGMENT_FINAL, 0, 1, 0};
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    for (uint64_t i = 0; i < count; i++) {
        link_end_seal(&out, &a, sb_span(plain, sizeof plain));
    }
    assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_OK);
    assert_int_equal(b.heard.messages, count);
    assert_true(b.heard.waits > 0);
    /* two seconds' burst, then five quarters of the rate: 8 of 10 seconds' messages take 6.4 s */
    assert_in_range(b.now_us - LINK_PAIR_BEGIN_US, 6000000, 7000000);
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

static void honest_sender_at_full_speed_is_never_held_back(void **state)
{
    (void)state;
    static uint8_t bytes[60000];
    struct link_end a, b;
    struct sb_buf out;
    link_pair_open(&a, &b);
    sb_buf_init(&out, OUT_BYTES);
    for (size_t step = 0; step < 400; step++) {
        while (a.queue.bytes < 1000000) {
            link_end_send(&a, SB_CHANNEL_TX, sb_span(bytes, step % 2 == 0 ? 100 : 60000));
        }
        sb_buf_reset(&out);
        (void)link_end_drain(&out, &a, SIZE_MAX);
        b.now_us = a.now_us;
        assert_int_equal(link_end_feed(&b, sb_buf_bytes(&out), SIZE_MAX, NULL), SB_OK);
        a.now_us += 10000;
    }
    assert_int_equal(b.heard.waits, 0);
    assert_true(b.heard.messages > 100);
    sb_buf_fini(&out);
    link_end_close(&a);
    link_end_close(&b);
}

/* ---- the queue ---- */

static size_t frame_take(struct sb_send_queue *queue, uint8_t ret[SB_FRAME_PLAIN_BYTES_MAX],
                         uint64_t now_us)
{
    uint64_t ready_us = 0;
    return sb_send_queue_take(queue, &ready_us, ret, SB_FRAME_PLAIN_BYTES_MAX, now_us);
}

static void full_queue_drops_what_is_less_urgent(void **state)
{
    (void)state;
    static uint8_t bytes[60000], frame[SB_FRAME_PLAIN_BYTES_MAX];
    struct sb_send_queue q;
    sb_send_queue_init(&q, 200000, 1);
    /* a transaction that has begun stays */
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_TX, sb_span(bytes, 60000)), SB_PUSH_QUEUED);
    assert_int_equal(frame_take(&q, frame, 1), SB_FRAME_PLAIN_BYTES_MAX);
    while (q.bytes < q.bytes_max) {
        assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_TX, sb_span(bytes, 60000)),
                         SB_PUSH_QUEUED);
    }
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_TX, sb_span(bytes, 1)), SB_PUSH_DROPPED);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_PART, sb_span(bytes, 60000)),
                         SB_PUSH_QUEUED);
    }
    while (q.bytes < q.bytes_max) {
        assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_VOTE, sb_span(bytes, 30000)),
                         SB_PUSH_QUEUED);
    }
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_TX, sb_span(bytes, 1)), SB_PUSH_DROPPED);
    size_t votes = 0;
    while (sb_send_queue_push(&q, SB_CHANNEL_VOTE, sb_span(bytes, 30000)) == SB_PUSH_QUEUED) {
        votes++;
        assert_true(votes < 100);
    }
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_VOTE, sb_span(bytes, 1)), SB_PUSH_OVERFLOW);
    assert_non_null(q.lanes[SB_CHANNEL_TX].first);
    assert_ptr_equal(q.lanes[SB_CHANNEL_TX].first, q.lanes[SB_CHANNEL_TX].last);
    assert_null(q.lanes[SB_CHANNEL_PART].first);
    /* one vote over the limit, and the rest of the transaction */
    assert_true(q.bytes < q.bytes_max + 30000 + 60000 + 2 * SB_QUEUE_ITEM_COST);
    sb_send_queue_fini(&q);
    assert_true(sb_send_queue_is_empty(&q));
}

/* A block longer than the queue is on its way to a slow peer: that is no reason to give the peer up. */
static void long_block_that_has_begun_leaves_room_for_votes(void **state)
{
    (void)state;
    static uint8_t block[1000000], frame[SB_FRAME_PLAIN_BYTES_MAX];
    struct sb_send_queue q;
    sb_send_queue_init(&q, 200000, 1);
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_SYNC, sb_span(block, sizeof block)),
                     SB_PUSH_QUEUED);
    assert_int_equal(frame_take(&q, frame, 1), SB_FRAME_PLAIN_BYTES_MAX);
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_STATE, sb_span(block, 20)), SB_PUSH_QUEUED);
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_VOTE, sb_span(block, 300)), SB_PUSH_QUEUED);
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_PART, sb_span(block, 60000)),
                     SB_PUSH_QUEUED);
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_SYNC, sb_span(block, 1)), SB_PUSH_DROPPED);
    size_t votes = 0;
    while (sb_send_queue_push(&q, SB_CHANNEL_VOTE, sb_span(block, 30000)) == SB_PUSH_QUEUED) {
        votes++;
        assert_true(votes < 10); /* but only so many */
    }
    assert_true(frame_take(&q, frame, 1) > 0);
    assert_int_equal(frame[0], SB_CHANNEL_STATE);
    sb_send_queue_fini(&q);
}

static void queue_keeps_to_the_rates_and_says_when_to_go_on(void **state)
{
    (void)state;
    static uint8_t frame[SB_FRAME_PLAIN_BYTES_MAX];
    struct sb_send_queue q;
    uint64_t ready_us = 0, now_us = 1;
    const uint32_t rate = sb_channels[SB_CHANNEL_PEX].messages_per_s;
    sb_send_queue_init(&q, 1 << 20, now_us);
    assert_int_equal(sb_send_queue_take(&q, &ready_us, frame, sizeof frame, now_us), 0);
    assert_true(ready_us == UINT64_MAX);
    for (size_t i = 0; i < 2 * rate; i++) {
        assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_PEX, sb_span("x", 1)), SB_PUSH_QUEUED);
    }
    assert_int_equal(sb_send_queue_take(&q, &ready_us, frame, sizeof frame, now_us), rate * 5);
    assert_in_range(ready_us, now_us + 1, now_us + 1000000 / rate + 1);
    /* another channel is not held up */
    assert_int_equal(sb_send_queue_push(&q, SB_CHANNEL_TX, sb_span("t", 1)), SB_PUSH_QUEUED);
    assert_int_equal(frame_take(&q, frame, now_us), 5);
    assert_int_equal(frame[0], SB_CHANNEL_TX);
    assert_int_equal(frame_take(&q, frame, ready_us), 5);
    assert_int_equal(frame[0], SB_CHANNEL_PEX);
    sb_send_queue_fini(&q);
}

static void queue_sends_the_most_urgent_first(void **state)
{
    (void)state;
    static uint8_t frame[SB_FRAME_PLAIN_BYTES_MAX];
    static const uint8_t k_order[] = {SB_CHANNEL_CONTROL,  SB_CHANNEL_STATE, SB_CHANNEL_VOTE,
                                      SB_CHANNEL_PROPOSAL, SB_CHANNEL_PART,  SB_CHANNEL_EVIDENCE,
                                      SB_CHANNEL_SYNC,     SB_CHANNEL_TX,    SB_CHANNEL_PEX,
                                      SB_CHANNEL_SNAPSHOT};
    struct sb_send_queue q;
    sb_send_queue_init(&q, 1 << 20, 1);
    for (int c = SB_CHANNEL_COUNT - 1; c >= 0; c--) {
        assert_int_equal(sb_send_queue_push(&q, (enum sb_channel)c, sb_span("m", 1)),
                         SB_PUSH_QUEUED);
    }
    assert_int_equal(frame_take(&q, frame, 1), 5 * SB_CHANNEL_COUNT);
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        assert_int_equal(frame[5 * i], k_order[i]);
    }
    assert_true(sb_send_queue_is_empty(&q));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_in_pieces_of_any_size_completes),
        cmocka_unit_test(node_that_does_not_fit_is_refused_with_the_reason),
        cmocka_unit_test(damaged_handshake_is_refused_at_every_byte),
        cmocka_unit_test(recorded_handshake_is_refused_when_played_again),
        cmocka_unit_test(messages_that_come_at_once_are_all_taken),
        cmocka_unit_test(foreign_protocol_is_refused_at_its_first_bytes),
        cmocka_unit_test(node_id_without_its_key_is_refused),
        cmocka_unit_test(messages_of_all_sizes_arrive_whole_in_any_pieces),
        cmocka_unit_test(vote_overtakes_a_block_that_is_under_way),
        cmocka_unit_test(frame_that_is_replayed_lost_or_swapped_ends_the_link),
        cmocka_unit_test(damaged_frame_is_refused_at_every_byte),
        cmocka_unit_test(malformed_fragments_are_refused),
        cmocka_unit_test(message_over_its_cap_is_refused_before_it_is_held),
        cmocka_unit_test(flood_is_held_back_and_nothing_is_lost),
        cmocka_unit_test(honest_sender_at_full_speed_is_never_held_back),
        cmocka_unit_test(full_queue_drops_what_is_less_urgent),
        cmocka_unit_test(long_block_that_has_begun_leaves_room_for_votes),
        cmocka_unit_test(queue_keeps_to_the_rates_and_says_when_to_go_on),
        cmocka_unit_test(queue_sends_the_most_urgent_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
