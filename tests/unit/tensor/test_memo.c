/* test_memo.c: the memo of inference results: bounds, order of eviction, keys, threads. */
#include "vm/tensor/memo.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util/endian.h"

static sb_hash key_of(uint32_t n)
{
    const sb_hash id = {{7}};
    uint8_t raw[4];
    le_store32(raw, n);
    sb_bytes part = sb_span(raw, sizeof raw);
    return sb_memo_key(&id, 1, &part, 1);
}

static void memo_put_then_get_gives_the_value(void **state)
{
    (void)state;
    struct sb_memo *memo = sb_memo_new(1 << 16, 42);
    const uint8_t value[] = {1, 2, 3};
    uint8_t got[4] = {0};
    sb_hash key = key_of(1);
    assert_false(sb_memo_get(got, 3, memo, &key));
    sb_memo_put(memo, &key, sb_span(value, 3));
    assert_false(sb_memo_get(got, 4, memo, &key)); /* another length is no hit */
    assert_true(sb_memo_get(got, 3, memo, &key));
    assert_memory_equal(got, value, 3);
    struct sb_memo_stats stats = sb_memo_stats(memo);
    assert_int_equal(stats.hit_count, 1);
    assert_int_equal(stats.miss_count, 2);
    assert_int_equal(stats.entry_count, 1);
    sb_memo_free(memo);
}

static void memo_when_full_drops_the_longest_unused(void **state)
{
    (void)state;
    struct sb_memo *memo = sb_memo_new(4096, 1);
    uint8_t value[200] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        sb_hash key = key_of(i);
        sb_hash first = key_of(0);
        sb_memo_put(memo, &key, sb_span(value, sizeof value));
        assert_true(sb_memo_get(value, sizeof value, memo, &first)); /* kept young by use */
        assert_true(sb_memo_stats(memo).bytes <= 4096);
    }
    struct sb_memo_stats stats = sb_memo_stats(memo);
    assert_true(stats.entry_count > 5);
    assert_int_equal(stats.entry_count + stats.evict_count, 1000);
    sb_hash last = key_of(999);
    sb_hash old = key_of(1);
    assert_true(sb_memo_get(value, sizeof value, memo, &last));
    assert_false(sb_memo_get(value, sizeof value, memo, &old));
    sb_memo_free(memo);
}

static void memo_on_oversized_value_or_null_does_nothing(void **state)
{
    (void)state;
    struct sb_memo *memo = sb_memo_new(1024, 1);
    uint8_t value[1024] = {0};
    sb_hash key = key_of(1);
    sb_memo_put(memo, &key, sb_span(value, 257));
    assert_int_equal(sb_memo_stats(memo).entry_count, 0);
    sb_memo_put(NULL, &key, sb_span(value, 1));
    assert_false(sb_memo_get(value, 1, NULL, &key));
    sb_memo_free(memo);
    sb_memo_free(NULL);
}

static void memo_key_tells_every_part_apart(void **state)
{
    (void)state;
    const sb_hash id = {{1}};
    const sb_hash other_id = {{2}};
    sb_bytes joined[] = {sb_span_str("ab"), sb_span_str("c")};
    sb_bytes split[] = {sb_span_str("a"), sb_span_str("bc")};
    sb_hash keys[] = {sb_memo_key(&id, 1, joined, 2), sb_memo_key(&id, 1, split, 2),
                      sb_memo_key(&id, 1, joined, 1), sb_memo_key(&id, 2, joined, 2),
                      sb_memo_key(&other_id, 1, joined, 2)};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(sb_hash_equal(&keys[i], &keys[j]));
        }
    }
    sb_hash again = sb_memo_key(&id, 1, joined, 2);
    assert_true(sb_hash_equal(&keys[0], &again));
}

#define THREADS 4

static void *hammer(void *arg)
{
    struct sb_memo *memo = arg;
    size_t wrong = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        sb_hash key = key_of(i % 97);
        uint8_t value[4];
        uint8_t want[4];
        le_store32(want, i % 97);
        if (sb_memo_get(value, sizeof value, memo, &key)) {
            wrong += memcmp(value, want, sizeof want) != 0 ? 1 : 0;
        } else {
            sb_memo_put(memo, &key, sb_span(want, sizeof want));
        }
    }
    return (void *)wrong;
}

static void memo_under_threads_gives_right_values(void **state)
{
    (void)state;
    struct sb_memo *memo = sb_memo_new(4096, 3);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, memo), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_true(sb_memo_stats(memo).hit_count > 0);
    sb_memo_free(memo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memo_put_then_get_gives_the_value),
        cmocka_unit_test(memo_when_full_drops_the_longest_unused),
        cmocka_unit_test(memo_on_oversized_value_or_null_does_nothing),
        cmocka_unit_test(memo_key_tells_every_part_apart),
        cmocka_unit_test(memo_under_threads_gives_right_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
