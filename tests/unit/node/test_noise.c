/* test_noise.c: the handshake by the public vectors of snow, cacophony and noise-c, byte for byte on both sides, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "node/p2p/noise.h"
#include "tests/support/random.h"
#include "tests/support/vectors.h"

#define BYTES_MAX 4096

static const char protocol[] = "Noise_XX_25519_ChaChaPoly_SHA256";

/* ---- vectors ---- */

struct side {
    struct sb_noise noise;
    struct sb_noise_cipher send, receive;
};

static void start_side(struct side *side, const json_t *vector, enum sb_noise_role role)
{
    bool is_initiator = role == SB_NOISE_INITIATOR;
    uint8_t prologue[BYTES_MAX];
    uint8_t fixed[32];
    uint8_t ephemeral[32];
    size_t len =
        sb_vectors_hex(prologue, sizeof prologue,
                       json_object_get(vector, is_initiator ? "init_prologue" : "resp_prologue"));
    assert_int_equal(
        sb_vectors_hex(fixed, 32,
                       json_object_get(vector, is_initiator ? "init_static" : "resp_static")),
        32);
    assert_int_equal(
        sb_vectors_hex(ephemeral, 32,
                       json_object_get(vector, is_initiator ? "init_ephemeral" : "resp_ephemeral")),
        32);
    sb_noise_init(&side->noise, role, sb_span(prologue, len), fixed, ephemeral);
}

/* handshake_message: writer and reader agree with the vector. */
static void handshake_message(struct side *writer, struct side *reader, sb_bytes payload,
                              sb_bytes expected)
{
    struct sb_buf out;
    sb_buf_init(&out, BYTES_MAX);
    assert_true(sb_noise_must_write(&writer->noise));
    assert_false(sb_noise_must_write(&reader->noise));
    assert_memory_equal(sb_noise_hash(&writer->noise), sb_noise_hash(&reader->noise), 32);
    assert_int_equal(sb_noise_write(&writer->noise, &out, payload, NULL), SB_OK);
    assert_true(sb_span_equal(sb_buf_bytes(&out), expected));
    sb_buf_reset(&out);
    assert_int_equal(sb_noise_read(&reader->noise, &out, expected, NULL), SB_OK);
    assert_true(sb_span_equal(sb_buf_bytes(&out), payload));
    sb_buf_fini(&out);
}

static void transport_message(struct side *writer, struct side *reader, sb_bytes payload,
                              sb_bytes expected)
{
    uint8_t out[BYTES_MAX];
    assert_int_equal(expected.len, payload.len + SB_NOISE_TAG_BYTES);
    assert_int_equal(sb_noise_seal(&writer->send, out, payload), SB_OK);
    assert_memory_equal(out, expected.data, expected.len);
    assert_int_equal(sb_noise_open(&reader->receive, out, expected), SB_OK);
    assert_memory_equal(out, payload.data, payload.len);
}

static void finish_handshake(struct side sides[2], const json_t *vector)
{
    const json_t *hash = json_object_get(vector, "handshake_hash");
    uint8_t expected[32];
    for (size_t i = 0; i < 2; i++) {
        assert_true(sb_noise_is_done(&sides[i].noise));
        if (hash != NULL) {
            assert_int_equal(sb_vectors_hex(expected, sizeof expected, hash), 32);
            assert_memory_equal(sb_noise_hash(&sides[i].noise), expected, 32);
        }
        uint8_t remote[32];
        sb_noise_public(remote, sides[1 - i].noise.static_secret);
        assert_memory_equal(sb_noise_remote_static(&sides[i].noise), remote, 32);
        if (i == 1) {
            sb_noise_split(&sides[0].noise, &sides[0].send, &sides[0].receive);
            sb_noise_split(&sides[1].noise, &sides[1].send, &sides[1].receive);
        }
    }
}

static void run_vector(const json_t *vector)
{
    static struct side sides[2]; /* initiator, responder */
    start_side(&sides[0], vector, SB_NOISE_INITIATOR);
    start_side(&sides[1], vector, SB_NOISE_RESPONDER);
    const json_t *messages = json_object_get(vector, "messages");
    assert_true(json_array_size(messages) > 3);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        uint8_t payload[BYTES_MAX];
        uint8_t ciphertext[BYTES_MAX];
        const json_t *message = json_array_get(messages, i);
        sb_bytes plain = sb_span(
            payload, sb_vectors_hex(payload, sizeof payload, json_object_get(message, "payload")));
        sb_bytes expected =
            sb_span(ciphertext, sb_vectors_hex(ciphertext, sizeof ciphertext,
                                               json_object_get(message, "ciphertext")));
        struct side *writer = &sides[i % 2];
        struct side *reader = &sides[1 - i % 2];
        if (i < 3) {
            handshake_message(writer, reader, plain, expected);
        } else {
            transport_message(writer, reader, plain, expected);
        }
        if (i == 2) {
            finish_handshake(sides, vector);
        }
    }
}

static void run_file(const char *path)
{
    json_t *file = sb_vectors_load(path, NULL);
    size_t index;
    size_t count = 0;
    const json_t *vector;
    json_array_foreach(json_object_get(file, "vectors"), index, vector)
    {
        const json_t *name = json_object_get(vector, "protocol_name");
        name = name != NULL ? name : json_object_get(vector, "name");
        if (strcmp(json_string_value(name), protocol) == 0) {
            run_vector(vector);
            count++;
        }
    }
    assert_int_equal(count, 1);
    json_decref(file);
}

static void vectors_of_snow_match(void **state)
{
    (void)state;
    run_file("consensus/noise/snow.json");
}

static void vectors_of_cacophony_by_snow_match(void **state)
{
    (void)state;
    run_file("consensus/noise/snow-cacophony.json");
}

static void vectors_of_noise_c_match(void **state)
{
    (void)state;
    run_file("consensus/noise/noise-c-basic.json");
}

static void vectors_of_cacophony_by_noise_c_match(void **state)
{
    (void)state;
    run_file("consensus/noise/noise-c-cacophony.json");
}

/* ---- behaviour ---- */

struct pair {
    struct side initiator, responder;
    struct sb_buf wire, payload;
};

static void pair_init(struct pair *p)
{
    static const uint8_t secrets[4][32] = {{1}, {2}, {3}, {4}};
    sb_noise_init(&p->initiator.noise, SB_NOISE_INITIATOR, sb_span("net", 3), secrets[0],
                  secrets[1]);
    sb_noise_init(&p->responder.noise, SB_NOISE_RESPONDER, sb_span("net", 3), secrets[2],
                  secrets[3]);
    sb_buf_init(&p->wire, 1 << 17);
    sb_buf_init(&p->payload, 1 << 17);
}

static void pair_fini(struct pair *p)
{
    sb_buf_fini(&p->wire);
    sb_buf_fini(&p->payload);
}

/* pass: the next n messages, with a payload each. */
static void pass(struct pair *p, int n)
{
    for (int i = 0; i < n; i++) {
        bool initiators = sb_noise_must_write(&p->initiator.noise);
        struct sb_noise *writer = initiators ? &p->initiator.noise : &p->responder.noise;
        struct sb_noise *reader = initiators ? &p->responder.noise : &p->initiator.noise;
        sb_buf_reset(&p->wire);
        assert_int_equal(sb_noise_write(writer, &p->wire, sb_span("hello", 5), NULL), SB_OK);
        assert_int_equal(sb_noise_read(reader, &p->payload, sb_buf_bytes(&p->wire), NULL), SB_OK);
    }
}

static void assert_dead(struct sb_noise *noise)
{
    static const struct sb_noise dead = {.failed = true};
    struct sb_buf out;
    sb_buf_init(&out, BYTES_MAX);
    assert_memory_equal(noise, &dead, sizeof dead);
    assert_false(sb_noise_is_done(noise));
    assert_false(sb_noise_must_write(noise));
    assert_null(sb_noise_remote_static(noise));
    assert_int_equal(sb_noise_write(noise, &out, sb_span(NULL, 0), NULL), SB_E_ARG);
    assert_int_equal(sb_noise_read(noise, &out, sb_span("x", 1), NULL), SB_E_ARG);
    assert_int_equal(out.len, 0);
    sb_buf_fini(&out);
}

static void handshake_out_of_turn_is_refused_and_goes_on(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct sb_diag diag;
    assert_int_equal(sb_noise_read(&p.initiator.noise, &p.payload, sb_span("x", 1), &diag),
                     SB_E_ARG);
    assert_int_equal(sb_noise_write(&p.responder.noise, &p.wire, sb_span("x", 1), &diag), SB_E_ARG);
    assert_null(sb_noise_remote_static(&p.initiator.noise));
    pass(&p, 2);
    assert_non_null(sb_noise_remote_static(&p.initiator.noise));
    assert_null(sb_noise_remote_static(&p.responder.noise));
    pass(&p, 1);
    assert_true(sb_noise_is_done(&p.initiator.noise));
    assert_true(sb_noise_is_done(&p.responder.noise));
    assert_int_equal(sb_noise_write(&p.initiator.noise, &p.wire, sb_span(NULL, 0), NULL), SB_E_ARG);
    assert_int_equal(p.payload.len, 15);
    pair_fini(&p);
}

static void handshake_with_another_prologue_fails_at_message_2(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    static const uint8_t secrets[2][32] = {{3}, {4}};
    sb_noise_init(&p.responder.noise, SB_NOISE_RESPONDER, sb_span("other", 5), secrets[0],
                  secrets[1]);
    pass(&p, 1);
    sb_buf_reset(&p.wire);
    assert_int_equal(sb_noise_write(&p.responder.noise, &p.wire, sb_span(NULL, 0), NULL), SB_OK);
    assert_int_equal(sb_noise_read(&p.initiator.noise, &p.payload, sb_buf_bytes(&p.wire), NULL),
                     SB_E_CHECKSUM);
    assert_dead(&p.initiator.noise);
    pair_fini(&p);
}

/* Any one bit flipped, and any cut, of messages 2 and 3 is noticed. Message 1 is in clear: it is message 2 that shows the change. */
static void handshake_message_changed_anywhere_is_refused(void **state)
{
    (void)state;
    for (int message = 1; message < 3; message++) {
        size_t len = message == 1 ? 96 + 5 : 64 + 5;
        for (size_t i = 0; i < len; i++) {
            struct pair p;
            pair_init(&p);
            pass(&p, message);
            struct sb_noise *writer = message == 1 ? &p.responder.noise : &p.initiator.noise;
            struct sb_noise *reader = message == 1 ? &p.initiator.noise : &p.responder.noise;
            size_t before = p.payload.len;
            sb_buf_reset(&p.wire);
            assert_int_equal(sb_noise_write(writer, &p.wire, sb_span("hello", 5), NULL), SB_OK);
            assert_int_equal(p.wire.len, len);
            struct sb_noise again = *reader;
            p.wire.data[i] ^= (uint8_t)(1u << (i % 8));
            assert_int_equal(sb_noise_read(reader, &p.payload, sb_buf_bytes(&p.wire), NULL),
                             SB_E_CHECKSUM);
            assert_dead(reader);
            p.wire.data[i] ^= (uint8_t)(1u << (i % 8));
            *reader = again;
            assert_int_equal(sb_noise_read(reader, &p.payload, sb_span(p.wire.data, i), NULL),
                             i < len - 5 ? SB_E_TRUNCATED : SB_E_CHECKSUM);
            assert_dead(reader);
            assert_int_equal(p.payload.len, before);
            pair_fini(&p);
        }
    }
}

static void handshake_with_a_key_of_small_order_is_refused(void **state)
{
    (void)state;
    /* the seven points that libsodium lists, and their non-canonical forms begin with these */
    static const uint8_t points[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    };
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct pair p;
        pair_init(&p);
        assert_int_equal(
            sb_noise_read(&p.responder.noise, &p.payload, sb_span(points[i], 32), NULL), SB_OK);
        assert_int_equal(sb_noise_write(&p.responder.noise, &p.wire, sb_span(NULL, 0), NULL),
                         SB_E_REFUSED);
        assert_int_equal(p.wire.len, 0);
        assert_dead(&p.responder.noise);

        uint8_t message[96] = {0};
        memcpy(message, points[i], 32);
        assert_int_equal(sb_noise_write(&p.initiator.noise, &p.wire, sb_span(NULL, 0), NULL),
                         SB_OK);
        assert_int_equal(
            sb_noise_read(&p.initiator.noise, &p.payload, sb_span(message, sizeof message), NULL),
            SB_E_REFUSED);
        assert_dead(&p.initiator.noise);
        pair_fini(&p);
    }
}

static void handshake_messages_have_the_stated_size_limits(void **state)
{
    (void)state;
    static uint8_t big[SB_NOISE_MESSAGE_BYTES_MAX + 1];
    struct pair p;
    pair_init(&p);
    assert_int_equal(sb_noise_write(&p.initiator.noise, &p.wire,
                                    sb_span(big, SB_NOISE_MESSAGE_BYTES_MAX - 32), NULL),
                     SB_OK);
    assert_int_equal(p.wire.len, SB_NOISE_MESSAGE_BYTES_MAX);
    assert_int_equal(sb_noise_read(&p.responder.noise, &p.payload, sb_buf_bytes(&p.wire), NULL),
                     SB_OK);
    assert_int_equal(sb_noise_write(&p.responder.noise, &p.wire,
                                    sb_span(big, SB_NOISE_MESSAGE_BYTES_MAX - 95), NULL),
                     SB_E_LIMIT);
    assert_dead(&p.responder.noise);
    assert_int_equal(sb_noise_read(&p.initiator.noise, &p.payload, sb_span(big, sizeof big), NULL),
                     SB_E_LIMIT);
    assert_dead(&p.initiator.noise);
    pair_fini(&p);
}

static void cipher_counts_messages_and_stops_at_the_last_nonce(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pass(&p, 3);
    sb_noise_split(&p.initiator.noise, &p.initiator.send, &p.initiator.receive);
    sb_noise_split(&p.responder.noise, &p.responder.send, &p.responder.receive);
    static const uint8_t zero[32];
    assert_memory_equal(p.initiator.noise.static_secret, zero, 32);
    assert_memory_equal(p.initiator.noise.ephemeral_secret, zero, 32);
    assert_memory_equal(p.initiator.noise.chaining_key, zero, 32);
    assert_memory_not_equal(p.initiator.send.key, p.initiator.receive.key, 32);

    uint8_t one[21];
    uint8_t two[21];
    assert_int_equal(sb_noise_seal(&p.initiator.send, one, sb_span("hello", 5)), SB_OK);
    assert_int_equal(sb_noise_seal(&p.initiator.send, two, sb_span("hello", 5)), SB_OK);
    assert_memory_not_equal(one, two, sizeof one);
    uint8_t plain[21];
    /* out of order, replayed, cut: refused, and the counter stands */
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(two, 21)), SB_E_CHECKSUM);
    assert_memory_equal(plain, zero, 5);
    assert_int_equal(sb_noise_open(&p.responder.receive, one, sb_span(one, 21)), SB_OK);
    assert_memory_equal(one, "hello", 5);
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(two, 15)), SB_E_TRUNCATED);
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(two, 20)), SB_E_CHECKSUM);
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(two, 21)), SB_OK);

    p.initiator.send.nonce = p.responder.receive.nonce = UINT64_MAX - 1;
    assert_int_equal(sb_noise_seal(&p.initiator.send, one, sb_span("hello", 5)), SB_OK);
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(one, 21)), SB_OK);
    assert_int_equal(sb_noise_seal(&p.initiator.send, one, sb_span("hello", 5)), SB_E_LIMIT);
    assert_int_equal(sb_noise_open(&p.responder.receive, plain, sb_span(one, 21)), SB_E_LIMIT);
    pair_fini(&p);
}

static void cipher_takes_the_largest_message_in_place(void **state)
{
    (void)state;
    static uint8_t buffer[SB_NOISE_MESSAGE_BYTES_MAX + 1];
    static uint8_t copy[SB_NOISE_PLAIN_BYTES_MAX];
    struct sb_random random = sb_random_init("cipher_takes_the_largest_message_in_place");
    struct sb_noise_cipher a = {.key = {9}, .has_key = true};
    struct sb_noise_cipher b = a;
    for (size_t len = 0; len <= sizeof copy; len = len * 3 + 1) {
        size_t n = len * 3 + 1 > sizeof copy ? sizeof copy : len;
        sb_random_fill(&random, copy, n);
        memcpy(buffer, copy, n);
        assert_int_equal(sb_noise_seal(&a, buffer, sb_span(buffer, n)), SB_OK);
        assert_int_equal(sb_noise_open(&b, buffer, sb_span(buffer, n + SB_NOISE_TAG_BYTES)), SB_OK);
        assert_memory_equal(buffer, copy, n);
    }
    assert_int_equal(sb_noise_seal(&a, buffer, sb_span(buffer, sizeof copy + 1)), SB_E_LIMIT);
    assert_int_equal(sb_noise_open(&b, buffer, sb_span(buffer, sizeof buffer)), SB_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_snow_match),
        cmocka_unit_test(vectors_of_cacophony_by_snow_match),
        cmocka_unit_test(vectors_of_noise_c_match),
        cmocka_unit_test(vectors_of_cacophony_by_noise_c_match),
        cmocka_unit_test(handshake_out_of_turn_is_refused_and_goes_on),
        cmocka_unit_test(handshake_with_another_prologue_fails_at_message_2),
        cmocka_unit_test(handshake_message_changed_anywhere_is_refused),
        cmocka_unit_test(handshake_with_a_key_of_small_order_is_refused),
        cmocka_unit_test(handshake_messages_have_the_stated_size_limits),
        cmocka_unit_test(cipher_counts_messages_and_stops_at_the_last_nonce),
        cmocka_unit_test(cipher_takes_the_largest_message_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
