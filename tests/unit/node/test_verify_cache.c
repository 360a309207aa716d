/* test_verify_cache.c: the cache of accepted signatures: the same answers as the rule inside, and no second check of the same triple. */
#include "node/verify_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static size_t asked;

/* rule: a signature is valid when it opens with the message's first byte. */
static bool rule(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    (void)key;
    asked++;
    return message.len != 0 && signature.len != 0 && message.data[0] == signature.data[0];
}

/* randomness_rule: the same of alpha and proof; the hash is full of the proof's first byte. */
static bool randomness_rule(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                            const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof)
{
    if (!rule(ctx, key, alpha, proof)) {
        return false;
    }
    memset(ret_beta, proof.data[0], SB_RANDOMNESS_HASH_BYTES);
    return true;
}

static struct sb_verifier inner = {.verify = rule, .verify_randomness = randomness_rule};

static bool check(struct sb_verify_cache *cache, uint8_t key, sb_bytes message, uint8_t signature)
{
    uint8_t bytes[32] = {key}, made[64] = {signature};
    struct sb_pubkey pubkey = sb_pubkey_ed25519(bytes);
    struct sb_verifier verifier = sb_verify_cache_verifier(cache);
    return verifier.verify(verifier.ctx, &pubkey, message, sb_span(made, sizeof made));
}

static void cache_remembers_what_was_valid_and_nothing_else(void **state)
{
    (void)state;
    struct sb_verify_cache *cache = sb_verify_cache_new(&inner, 16);
    assert_non_null(cache);
    asked = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(check(cache, 1, sb_span_str("abc"), 'a'));
    }
    assert_int_equal(asked, 1);
    assert_false(check(cache, 1, sb_span_str("abc"), 'b'));
    assert_false(check(cache, 1, sb_span_str("abc"), 'b'));
    assert_int_equal(asked, 3); /* refusals are asked again */
    assert_true(check(cache, 2, sb_span_str("abc"), 'a'));
    assert_true(check(cache, 1, sb_span_str("abd"), 'a'));
    assert_true(check(cache, 1, sb_span_str("ab"), 'a'));
    assert_int_equal(asked, 6); /* another key, another message, a shorter one */
    struct sb_verify_cache_counters counters = sb_verify_cache_counters(cache);
    assert_int_equal(counters.hits, 2);
    assert_int_equal(counters.misses, 6);
    sb_verify_cache_free(cache);
}

static void cache_stays_small_and_right_under_many_signatures(void **state)
{
    (void)state;
    struct sb_verify_cache *cache = sb_verify_cache_new(&inner, 8);
    assert_non_null(cache);
    asked = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t message[4] = {'a', (uint8_t)i, (uint8_t)(i >> 8), 0};
        assert_true(check(cache, 1, sb_span(message, sizeof message), 'a'));
        assert_true(check(cache, 1, sb_span(message, sizeof message), 'a'));
        assert_false(check(cache, 1, sb_span(message, sizeof message), 'c'));
    }
    assert_int_equal(asked, 2000);
    sb_verify_cache_free(cache);
}

static void message_over_the_bound_goes_to_the_rule(void **state)
{
    (void)state;
    static uint8_t message[SB_SIGN_BYTES_MAX + 1];
    struct sb_verify_cache *cache = sb_verify_cache_new(&inner, 4);
    assert_non_null(cache);
    asked = 0;
    message[0] = 'a';
    assert_true(check(cache, 1, sb_span(message, sizeof message), 'a'));
    assert_true(check(cache, 1, sb_span(message, sizeof message), 'a'));
    assert_int_equal(asked, 2);
    sb_verify_cache_free(cache);
}

static bool check_proof(struct sb_verify_cache *cache, uint8_t key, sb_bytes alpha, uint8_t proof)
{
    uint8_t bytes[32] = {key}, made[SB_RANDOMNESS_PROOF_BYTES] = {proof}, beta[64] = {0};
    struct sb_pubkey pubkey = sb_pubkey_ed25519(bytes);
    struct sb_verifier verifier = sb_verify_cache_verifier(cache);
    bool is_valid =
        verifier.verify_randomness(verifier.ctx, beta, &pubkey, alpha, sb_span(made, sizeof made));
    for (size_t i = 0; i < sizeof beta; i++) {
        assert_int_equal(beta[i], is_valid ? proof : 0);
    }
    return is_valid;
}

static void proof_of_randomness_is_verified_once(void **state)
{
    (void)state;
    struct sb_verify_cache *cache = sb_verify_cache_new(&inner, 4);
    assert_non_null(cache);
    asked = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(check_proof(cache, 1, sb_span_str("abc"), 'a'));
    }
    assert_int_equal(asked, 1);
    assert_false(check_proof(cache, 1, sb_span_str("abc"), 'b'));
    assert_false(check_proof(cache, 1, sb_span_str("abc"), 'b'));
    assert_int_equal(asked, 3);
    assert_true(check_proof(cache, 2, sb_span_str("abc"), 'a'));
    assert_true(check_proof(cache, 1, sb_span_str("abd"), 'a'));
    assert_int_equal(asked, 5);
    for (uint8_t i = 0; i < 100; i++) { /* the ring turns over and stays right */
        assert_true(check_proof(cache, i, sb_span_str("xyz"), 'x'));
    }
    assert_true(check_proof(cache, 1, sb_span_str("abc"), 'a'));
    assert_int_equal(asked, 106);
    struct sb_verify_cache_counters counters = sb_verify_cache_counters(cache);
    assert_int_equal(counters.randomness_hits, 2);
    assert_int_equal(counters.randomness_misses, 106);
    sb_verify_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_remembers_what_was_valid_and_nothing_else),
        cmocka_unit_test(cache_stays_small_and_right_under_many_signatures),
        cmocka_unit_test(message_over_the_bound_goes_to_the_rule),
        cmocka_unit_test(proof_of_randomness_is_verified_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
