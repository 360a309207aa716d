/* test_keccak.c: Keccak-256 against known answers and against a sponge built here on nettle's permutation. */
#include "base/crypto/keccak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nettle/sha3.h>

#include "base/codec/hex.h"
#include "tests/support/random.h"

#define LEN_MAX 600

/* The oracle: nothing shared with the code under test but the specification. */
static sb_hash oracle(const uint8_t *message, size_t len)
{
    struct sha3_state state = {{0}};
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        state.a[at / 8] ^= (uint64_t)message[i] << (8 * (at % 8));
        at++;
        if (at == SB_KECCAK256_RATE_BYTES) {
            sha3_permute(&state);
            at = 0;
        }
    }
    state.a[at / 8] ^= (uint64_t)1 << (8 * (at % 8));
    state.a[16] ^= (uint64_t)1 << 63;
    sha3_permute(&state);
    sb_hash hash;
    for (size_t i = 0; i < 32; i++) {
        hash.b[i] = (uint8_t)(state.a[i / 8] >> (8 * (i % 8)));
    }
    return hash;
}

static void assert_hash_text(const char *message, const char *expected)
{
    sb_hash hash = sb_keccak256(sb_span_str(message));
    char text[SB_HEX_TEXT_BYTES(32)];
    assert_string_equal(sb_hex_format(text, sb_span(hash.b, 32)) + 2, expected);
}

static void keccak_known_messages_give_known_hashes(void **state)
{
    (void)state;
    assert_hash_text("", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_hash_text("abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    assert_hash_text("Transfer(address,address,uint256)",
                     "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
}

static void keccak_all_lengths_equal_the_oracle(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("keccak_all_lengths_equal_the_oracle");
    uint8_t message[LEN_MAX];
    sb_random_fill(&random, message, sizeof message);
    for (size_t len = 0; len <= LEN_MAX; len++) {
        sb_hash expected = oracle(message, len);
        sb_hash one_shot = sb_keccak256(sb_span(message, len));
        assert_memory_equal(one_shot.b, expected.b, 32);
        struct sb_keccak k;
        sb_keccak_init(&k);
        for (size_t at = 0; at < len;) {
            size_t step = 1 + sb_random_below(&random, len - at);
            sb_keccak_update(&k, sb_span(message + at, step));
            at += step;
        }
        sb_hash pieces = sb_keccak_final(&k);
        assert_memory_equal(pieces.b, expected.b, 32);
    }
}

static void keccak_multi_equals_one_by_one(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("keccak_multi_equals_one_by_one");
    uint8_t message[LEN_MAX];
    sb_random_fill(&random, message, sizeof message);
    sb_bytes messages[19];
    sb_hash hashes[19];
    for (size_t count = 0; count <= 19; count++) {
        for (size_t i = 0; i < count; i++) {
            messages[i] = sb_span(message, sb_random_below(&random, LEN_MAX + 1));
        }
        sb_keccak256_multi(hashes, messages, count);
        for (size_t i = 0; i < count; i++) {
            sb_hash expected = oracle(messages[i].data, messages[i].len);
            assert_memory_equal(hashes[i].b, expected.b, 32);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keccak_known_messages_give_known_hashes),
        cmocka_unit_test(keccak_all_lengths_equal_the_oracle),
        cmocka_unit_test(keccak_multi_equals_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
