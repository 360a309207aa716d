/* test_arena.c: limits, alignment and stack discipline of base/util/arena.h. */
#include "base/util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void arena_alloc_is_aligned_and_distinct(void **state)
{
    (void)state;
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 20);
    uint8_t *a = sb_arena_alloc(&arena, 1);
    uint8_t *b = sb_arena_alloc(&arena, 17);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)a % 16, 0);
    assert_int_equal((uintptr_t)b % 16, 0);
    assert_true(b >= a + 16 || a >= b + 17);
    sb_arena_fini(&arena);
}

static void arena_limit_refuses_and_stays_usable(void **state)
{
    (void)state;
    struct sb_arena arena;
    sb_arena_init(&arena, 100000);
    assert_null(sb_arena_alloc(&arena, 100001));
    assert_null(sb_arena_array(&arena, SIZE_MAX / 2, 4));
    assert_non_null(sb_arena_alloc(&arena, 90000));
    assert_null(sb_arena_alloc(&arena, 90000));
    assert_true(arena.total_bytes <= arena.limit_bytes);
    sb_arena_fini(&arena);
}

static void arena_rewind_returns_to_the_mark(void **state)
{
    (void)state;
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 24);
    uint8_t *first = sb_arena_zalloc(&arena, 64);
    struct sb_arena_mark mark = sb_arena_mark(&arena);
    for (int i = 0; i < 100; i++) {
        assert_non_null(sb_arena_alloc(&arena, 50000));
    }
    sb_arena_rewind(&arena, mark);
    uint8_t *next = sb_arena_alloc(&arena, 1);
    assert_ptr_equal(next, first + 64);
    sb_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_alloc_is_aligned_and_distinct),
        cmocka_unit_test(arena_limit_refuses_and_stays_usable),
        cmocka_unit_test(arena_rewind_returns_to_the_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
