/* test_proposer.c: who proposes, and changes of the set: the known numbers of CometBFT's own tests (types/validator_set_test.go), an
 * independent model in 128-bit integers on random sets, the invariants, and the stored form.
 *
 * Where CometBFT's tests give validators addresses, ours follow from keys: a pool of keys in ascending order of their addresses stands
 * for names in ascending order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/codec/rlp.h"
#include "base/util/checked.h"
#include "consensus/proposer.h"
#include "tests/support/random.h"

#define POOL      600
#define MAX_POWER SB_TOTAL_POWER_MAX

/* ---- keys in the order of their addresses ---- */

static struct sb_validator g_pool[POOL];

static int by_address(const void *a, const void *b)
{
    const struct sb_validator *x = a;
    const struct sb_validator *y = b;
    return memcmp(x->address.b, y->address.b, sizeof x->address.b);
}

static int fill_pool(void **state)
{
    (void)state;
    for (size_t i = 0; i < POOL; i++) {
        uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8)};
        g_pool[i].key = sb_pubkey_ed25519(key);
        g_pool[i].address = sb_pubkey_address(&g_pool[i].key);
    }
    qsort(g_pool, POOL, sizeof g_pool[0], by_address);
    return 0;
}

/* A validator or change by name: its place in the pool. */
struct named {
    size_t name;
    int64_t power;
};

static size_t name_of(const struct sb_rotation *rotation, size_t index)
{
    for (size_t i = 0; i < POOL; i++) {
        if (sb_addr_equal(&g_pool[i].address, &rotation->validators[index].address)) {
            return i;
        }
    }
    fail_msg("a validator that is not of the pool");
    return 0;
}

static void start(struct sb_rotation *ret, const struct named *list, size_t count)
{
    static struct sb_validator validators[SB_VALIDATORS_MAX];
    struct sb_validator_set set;
    for (size_t i = 0; i < count; i++) {
        validators[i] = g_pool[list[i].name];
        validators[i].power = list[i].power;
    }
    assert_int_equal(sb_validator_set_make(&set, validators, count, NULL), SB_OK);
    sb_rotation_init(ret, &set);
}

static sb_err update(struct sb_rotation *rotation, const struct named *list, size_t count)
{
    static struct sb_validator_change changes[3 * SB_VALIDATORS_MAX];
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct sb_validator_change){g_pool[list[i].name].key, list[i].power};
    }
    struct sb_diag diag = {""};
    sb_err err = sb_rotation_update(rotation, changes, count, &diag);
    assert_true((err == SB_OK) == (diag.text[0] == 0));
    return err;
}

static void check_set(const struct sb_rotation *rotation, const struct named *list, size_t count)
{
    assert_int_equal(rotation->set.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(name_of(rotation, i), list[i].name);
        assert_int_equal(rotation->validators[i].power, list[i].power);
    }
}

/* The invariants: total, order, centred; and after an update or a rescaling, within the window. */
static void check_invariants(const struct sb_rotation *rotation, sb_i128 window)
{
    sb_i128 sum = 0;
    sb_i128 total = 0;
    sb_i128 max = rotation->priority[0];
    sb_i128 min = rotation->priority[0];
    assert_ptr_equal(rotation->set.validators, rotation->validators);
    for (size_t i = 0; i < rotation->set.count; i++) {
        const struct sb_validator *v = &rotation->validators[i];
        sum += rotation->priority[i];
        total += v->power;
        max = rotation->priority[i] > max ? rotation->priority[i] : max;
        min = rotation->priority[i] < min ? rotation->priority[i] : min;
        assert_true(i == 0 || v[-1].power > v->power ||
                    (v[-1].power == v->power && by_address(&v[-1], v) < 0));
    }
    assert_true(total == rotation->set.total_power);
    assert_true(sum >= 0 && sum < (sb_i128)rotation->set.count);
    assert_true(max - min <= window);
    assert_true(rotation->proposer < rotation->set.count);
}

static bool same(const struct sb_rotation *a, const struct sb_rotation *b)
{
    return a->set.count == b->set.count && a->set.total_power == b->set.total_power &&
           a->proposer == b->proposer &&
           memcmp(a->priority, b->priority, a->set.count * sizeof a->priority[0]) == 0 &&
           memcmp(a->validators, b->validators, a->set.count * sizeof a->validators[0]) == 0;
}

/* ---- known numbers ---- */

static void proposers_of_three_follow_the_known_sequence(void **state)
{
    (void)state;
    enum { BAR, BAZ, FOO };
    static const char letters[] = {[BAR] = 'r', [BAZ] = 'z', [FOO] = 'f'};
    /* TestProposerSelection1: f = foo 1000, r = bar 300, z = baz 330 */
    static const char expected[] = "fzfrffzfrffzffrfzffr"
                                   "ffzfrffzfrffzffrfzffr"
                                   "fzffrfzffrfzfffzrfffz"
                                   "frffzfrffzfrffzfrffzf"
                                   "frfzffrfzffrfzff";
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{FOO, 1000}, {BAR, 300}, {BAZ, 330}}, 3);
    assert_int_equal(sizeof expected - 1, 99);
    for (size_t i = 0; expected[i] != 0; i++) {
        assert_int_equal(letters[name_of(&rotation, rotation.proposer)], expected[i]);
        sb_rotation_advance(&rotation, 1);
    }
}

static void proposers_of_equal_power_go_by_address(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{2, 100}, {0, 100}, {1, 100}}, 3);
    for (size_t i = 0; i < 15; i++) {
        assert_int_equal(name_of(&rotation, rotation.proposer), i % 3);
        sb_rotation_advance(&rotation, 1);
    }
}

static void proposer_with_more_power_repeats_only_above_the_rest(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, 100}, {1, 100}, {2, 400}}, 3);
    assert_int_equal(name_of(&rotation, rotation.proposer), 2);
    sb_rotation_advance(&rotation, 1);
    assert_int_equal(name_of(&rotation, rotation.proposer), 0);

    start(&rotation, (struct named[]){{0, 100}, {1, 100}, {2, 401}}, 3);
    assert_int_equal(name_of(&rotation, rotation.proposer), 2);
    sb_rotation_advance(&rotation, 1);
    assert_int_equal(name_of(&rotation, rotation.proposer), 2);
    sb_rotation_advance(&rotation, 1);
    assert_int_equal(name_of(&rotation, rotation.proposer), 0);
}

static void proposers_over_a_cycle_are_chosen_by_power(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    size_t chosen[3] = {0};
    start(&rotation, (struct named[]){{0, 4}, {1, 5}, {2, 3}}, 3);
    for (size_t i = 0; i < 120; i++) {
        chosen[name_of(&rotation, rotation.proposer)]++;
        sb_rotation_advance(&rotation, 1);
    }
    assert_int_equal(chosen[0], 40);
    assert_int_equal(chosen[1], 50);
    assert_int_equal(chosen[2], 30);
}

static void priorities_after_elections_are_the_known_ones(void **state)
{
    (void)state;
    /* TestAveragingInIncrementProposerPriorityWithVotingPower: powers 10, 1, 1; after k elections from zero */
    static const struct {
        int64_t priority[3];
        size_t proposer;
    } expected[] = {
        {{-2, 1, 1}, 0},  {{-4, 2, 2}, 0},  {{-6, 3, 3}, 0},  {{-8, 4, 4}, 0},
        {{2, -7, 5}, 1},  {{0, -6, 6}, 0},  {{-2, -5, 7}, 0}, {{-4, -4, 8}, 0},
        {{6, -3, -3}, 2}, {{4, -2, -2}, 0}, {{2, -1, -1}, 0},
    };
    static struct sb_rotation first;
    static struct sb_rotation rotation;
    start(&first, (struct named[]){{0, 10}, {1, 1}, {2, 1}}, 3);
    memset(first.priority, 0, sizeof first.priority);
    for (size_t k = 1; k <= sizeof expected / sizeof expected[0]; k++) {
        sb_rotation_copy(&rotation, &first);
        sb_rotation_advance(&rotation, (uint32_t)k);
        assert_memory_equal(rotation.priority, expected[k - 1].priority, 3 * sizeof(int64_t));
        assert_int_equal(rotation.proposer, expected[k - 1].proposer);
    }
}

/* set_priorities, then one election of validators of power 1 each (names 0, 1, 2 by address): what is left of the priorities. */
static void elect_from(int64_t ret[3], const int64_t priority[3])
{
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, MAX_POWER / 3}, {1, MAX_POWER / 3}, {2, MAX_POWER / 3}},
          3);
    memcpy(rotation.priority, priority, 3 * sizeof(int64_t));
    sb_rotation_advance(&rotation, 1);
    for (size_t i = 0; i < 3; i++) {
        ret[i] = rotation.priority[i] - MAX_POWER / 3;
    }
    ret[rotation.proposer] += MAX_POWER / 3 * 3;
}

static void priorities_before_an_election_lose_the_floor_of_the_average(void **state)
{
    (void)state;
    int64_t got[3];
    elect_from(got, (const int64_t[3]){1, 2, 3});
    assert_memory_equal(got, ((const int64_t[3]){-1, 0, 1}), sizeof got);
    elect_from(got, (const int64_t[3]){10, -10, 1}); /* average 1/3 */
    assert_memory_equal(got, ((const int64_t[3]){10, -10, 1}), sizeof got);
    elect_from(got, (const int64_t[3]){100, -10, 1}); /* 91/3 */
    assert_memory_equal(got, ((const int64_t[3]){70, -40, -29}), sizeof got);
    elect_from(got, (const int64_t[3]){-1, 0, 0}); /* -1/3: the floor is -1 */
    assert_memory_equal(got, ((const int64_t[3]){0, 1, 1}), sizeof got);
}

static void rescaling_divides_by_the_ceiling_and_truncates(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, 1}, {1, 1}, {2, 1}}, 3);
    /* window 6, difference 13: the ratio is 3 (floor would be 2); 7/3 = 2, -6/3 = -2, -1/3 = 0; average 0 */
    memcpy(rotation.priority, (const int64_t[3]){7, -6, -1}, 3 * sizeof(int64_t));
    sb_rotation_advance(&rotation, 1);
    assert_memory_equal(rotation.priority, ((const int64_t[3]){0, -1, 1}), 3 * sizeof(int64_t));
    assert_int_equal(rotation.proposer, 0);
    /* a difference of exactly the window stays */
    memcpy(rotation.priority, (const int64_t[3]){3, -3, 0}, 3 * sizeof(int64_t));
    sb_rotation_advance(&rotation, 1);
    assert_memory_equal(rotation.priority, ((const int64_t[3]){1, -2, 1}), 3 * sizeof(int64_t));
}

static void saturating_arithmetic_stops_at_the_edges(void **state)
{
    (void)state;
    assert_true(sat_add_i64(INT64_MAX, 10) == INT64_MAX);
    assert_true(sat_add_i64(INT64_MAX, INT64_MAX) == INT64_MAX);
    assert_true(sat_add_i64(INT64_MIN, -10) == INT64_MIN);
    assert_true(sat_sub_i64(INT64_MIN, 10) == INT64_MIN);
    assert_true(sat_sub_i64(INT64_MIN, INT64_MIN) == 0);
    assert_true(sat_sub_i64(INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_true(sat_sub_i64(INT64_MAX, -10) == INT64_MAX);
    assert_true(sat_add_i64(-5, 3) == -2 && sat_sub_i64(-5, 3) == -8);
}

static void rounds_are_elections_on_a_copy(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    static struct sb_rotation copy;
    start(&rotation, (struct named[]){{0, 7}, {1, 5}, {2, 3}, {3, 3}}, 4);
    sb_rotation_copy(&copy, &rotation);
    assert_int_equal(sb_rotation_proposer(&rotation, 0), rotation.proposer);
    for (int32_t round = 1; round < 50; round++) {
        static struct sb_rotation later;
        sb_rotation_copy(&later, &rotation);
        sb_rotation_advance(&later, (uint32_t)round);
        assert_int_equal(sb_rotation_proposer(&rotation, round), later.proposer);
    }
    assert_true(same(&rotation, &copy));
}

/* ---- updates ---- */

static void update_gives_the_known_sets(void **state)
{
    (void)state;
    /* TestValSetUpdatesBasicTestsExecute, TestValSetUpdatePriorityOrderTests 0-2 */
    static const struct {
        struct named from[4], changes[4], to[5];
        size_t from_count, change_count, to_count;
    } cases[] = {
        {{{1, 10}, {2, 10}}, {{0, 0}}, {{1, 10}, {2, 10}}, 2, 0, 2},
        {{{1, 10}, {2, 10}}, {{2, 22}, {1, 11}}, {{2, 22}, {1, 11}}, 2, 2, 2},
        {{{2, 20}, {1, 10}}, {{4, 40}, {3, 30}}, {{4, 40}, {3, 30}, {2, 20}, {1, 10}}, 2, 2, 4},
        {{{3, 20}, {1, 10}}, {{2, 30}}, {{2, 30}, {3, 20}, {1, 10}}, 2, 1, 3},
        {{{3, 20}, {2, 10}}, {{1, 30}}, {{1, 30}, {3, 20}, {2, 10}}, 2, 1, 3},
        {{{3, 30}, {2, 20}, {1, 10}}, {{2, 0}}, {{3, 30}, {1, 10}}, 3, 1, 2},
        {{{3, 1000}, {1, 1}, {2, 1}}, {{3, 0}}, {{1, 1}, {2, 1}}, 3, 1, 2},
        {{{3, 1000}, {2, 10}, {1, 1}}, {{3, 0}}, {{2, 10}, {1, 1}}, 3, 1, 2},
        {{{3, 1000}, {2, 2}, {1, 1}},
         {{5, 50}, {4, 40}, {2, 1}, {3, 0}},
         {{5, 50}, {4, 40}, {1, 1}, {2, 1}},
         3,
         4,
         4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct sb_rotation rotation;
        start(&rotation, cases[i].from, cases[i].from_count);
        assert_int_equal(update(&rotation, cases[i].changes, cases[i].change_count), SB_OK);
        check_set(&rotation, cases[i].to, cases[i].to_count);
        check_invariants(&rotation, 2 * (sb_i128)rotation.set.total_power);
    }
}

static void update_near_the_maximum_has_no_false_overflow(void **state)
{
    (void)state;
    /* TestValSetUpdateOverflowRelated 1-4 */
    static const struct {
        struct named from[4], changes[5], to[4];
        size_t from_count, change_count, to_count;
    } cases[] = {
        {{{2, MAX_POWER - 1}}, {{1, 1}}, {{2, MAX_POWER - 1}, {1, 1}}, 1, 1, 2},
        {{{2, MAX_POWER - 1}, {1, 1}},
         {{1, MAX_POWER - 1}, {2, 1}},
         {{1, MAX_POWER - 1}, {2, 1}},
         2,
         2,
         2},
        {{{2, MAX_POWER - 1}, {1, 1}},
         {{1, MAX_POWER / 2 - 1}, {2, MAX_POWER / 2}},
         {{2, MAX_POWER / 2}, {1, MAX_POWER / 2 - 1}},
         2,
         2,
         2},
        {{{1, MAX_POWER - 2}, {2, 1}, {3, 1}},
         {{4, MAX_POWER - 2}, {1, 0}},
         {{4, MAX_POWER - 2}, {2, 1}, {3, 1}},
         3,
         2,
         3},
        {{{1, MAX_POWER / 4}, {2, MAX_POWER / 4}, {3, MAX_POWER / 4}, {4, MAX_POWER / 4}},
         {{5, 3}, {1, MAX_POWER / 2 - 2}, {3, MAX_POWER / 2 - 3}, {4, 2}, {2, 0}},
         {{1, MAX_POWER / 2 - 2}, {3, MAX_POWER / 2 - 3}, {5, 3}, {4, 2}},
         4,
         5,
         4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct sb_rotation rotation;
        start(&rotation, cases[i].from, cases[i].from_count);
        assert_int_equal(update(&rotation, cases[i].changes, cases[i].change_count), SB_OK);
        check_set(&rotation, cases[i].to, cases[i].to_count);
        check_invariants(&rotation, 2 * (sb_i128)rotation.set.total_power);
    }
}

static void update_that_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        struct named from[3], changes[9];
        size_t from_count, change_count;
        sb_err err;
    } cases[] = {
        /* TestValSetUpdatesDuplicateEntries */
        {{{1, 10}, {2, 10}}, {{1, 11}, {1, 22}}, 2, 2, SB_E_EXISTS},
        {{{1, 10}, {2, 10}}, {{1, 11}, {2, 22}, {1, 12}}, 2, 3, SB_E_EXISTS},
        {{{1, 10}, {2, 10}}, {{1, 0}, {1, 0}}, 2, 2, SB_E_EXISTS},
        {{{1, 10}, {2, 10}, {3, 10}}, {{1, 0}, {3, 0}, {1, 0}}, 3, 3, SB_E_EXISTS},
        {{{1, 10}, {2, 10}}, {{1, 0}, {2, 20}, {1, 30}}, 2, 3, SB_E_EXISTS},
        {{{1, 10}, {2, 10}}, {{1, 0}, {2, 20}, {2, 30}, {1, 0}}, 2, 4, SB_E_EXISTS},
        /* TestValSetUpdatesOverflows */
        {{{1, 10}, {2, 10}}, {{1, INT64_MAX}}, 2, 1, SB_E_RANGE},
        {{{1, MAX_POWER}}, {{2, INT64_MAX}}, 1, 1, SB_E_RANGE},
        {{{1, MAX_POWER - 1}}, {{2, 5}}, 1, 1, SB_E_RANGE},
        {{{1, MAX_POWER / 3}, {2, MAX_POWER / 3}}, {{3, MAX_POWER / 2}}, 2, 1, SB_E_RANGE},
        {{{1, MAX_POWER}}, {{2, MAX_POWER}}, 1, 1, SB_E_RANGE},
        {{{1, MAX_POWER}}, {{2, 1}}, 1, 1, SB_E_RANGE},
        /* TestValSetUpdateOverflowRelated 5: the sum would wrap around 64 bits */
        {{{1, 1}, {2, 1}, {9, 1}},
         {{1, MAX_POWER},
          {2, MAX_POWER},
          {3, MAX_POWER},
          {4, MAX_POWER},
          {5, MAX_POWER},
          {6, MAX_POWER},
          {7, MAX_POWER},
          {8, MAX_POWER},
          {9, 8}},
         3,
         9,
         SB_E_RANGE},
        /* TestValSetUpdatesOtherErrors */
        {{{1, 10}, {2, 10}}, {{1, -123}}, 2, 1, SB_E_RANGE},
        {{{1, 10}, {2, 10}}, {{3, 0}}, 2, 1, SB_E_NOT_FOUND},
        {{{1, 10}, {2, 20}, {3, 30}}, {{1, 0}, {2, 0}, {3, 0}}, 3, 3, SB_E_SHAPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct sb_rotation rotation;
        static struct sb_rotation before;
        start(&rotation, cases[i].from, cases[i].from_count);
        sb_rotation_copy(&before, &rotation);
        assert_int_equal(update(&rotation, cases[i].changes, cases[i].change_count), cases[i].err);
        assert_true(same(&rotation, &before));
    }
}

static void update_with_an_unknown_key_type_is_refused(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    static struct sb_rotation before;
    start(&rotation, (struct named[]){{1, 10}}, 1);
    sb_rotation_copy(&before, &rotation);
    struct sb_validator_change change = {g_pool[5].key, 3};
    change.key.type = 2;
    assert_int_equal(sb_rotation_update(&rotation, &change, 1, NULL), SB_E_TYPE);
    change.key.type = SB_KEY_ED25519;
    change.key.len = 33;
    assert_int_equal(sb_rotation_update(&rotation, &change, 1, NULL), SB_E_TYPE);
    assert_true(same(&rotation, &before));
}

static void update_fills_and_replaces_the_largest_set(void **state)
{
    (void)state;
    static struct named changes[2 * SB_VALIDATORS_MAX + 1];
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, 1000}}, 1);
    for (size_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        changes[i] = (struct named){i + 1, 10 + (int64_t)i % 7};
    }
    assert_int_equal(update(&rotation, changes, SB_VALIDATORS_MAX), SB_E_SHAPE); /* 257 */
    assert_int_equal(update(&rotation, changes, SB_VALIDATORS_MAX - 1), SB_OK);
    assert_int_equal(rotation.set.count, SB_VALIDATORS_MAX);
    /* every validator replaced in one step: 256 additions and 256 removals */
    for (size_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        changes[i] = (struct named){300 + i, 5};
        changes[SB_VALIDATORS_MAX + i] = (struct named){i, 0};
    }
    assert_int_equal(update(&rotation, changes, 2 * SB_VALIDATORS_MAX), SB_OK);
    assert_int_equal(rotation.set.count, SB_VALIDATORS_MAX);
    assert_int_equal(rotation.set.total_power, 5 * SB_VALIDATORS_MAX);
    check_invariants(&rotation, 2 * (sb_i128)rotation.set.total_power);
    assert_int_equal(update(&rotation, changes, 2 * SB_VALIDATORS_MAX + 1), SB_E_SHAPE);
}

static void newcomer_starts_last_and_a_changed_one_keeps_its_priority(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, 10}, {1, 10}}, 2); /* priorities -10, 10 */
    assert_int_equal(rotation.priority[0], -10);
    assert_int_equal(rotation.priority[1], 10);
    /* T = 100 + 10 + 8 = 118, the newcomer at -(118 + 14) = -132; sum -132, average -44 */
    assert_int_equal(update(&rotation, (struct named[]){{0, 100}, {2, 8}}, 2), SB_OK);
    check_set(&rotation, (struct named[]){{0, 100}, {1, 10}, {2, 8}}, 3);
    assert_int_equal(rotation.priority[0], -10 + 44);
    assert_int_equal(rotation.priority[1], 10 + 44);
    assert_int_equal(rotation.priority[2], -132 + 44);
}

static void proposer_after_an_update_is_kept_or_the_highest(void **state)
{
    (void)state;
    static struct sb_rotation rotation;
    start(&rotation, (struct named[]){{0, 10}, {1, 9}, {2, 8}}, 3);
    assert_int_equal(name_of(&rotation, rotation.proposer), 0);
    assert_int_equal(update(&rotation, (struct named[]){{0, 1}}, 1), SB_OK);
    assert_int_equal(name_of(&rotation, rotation.proposer), 0);
    assert_int_equal(rotation.proposer, 2);
    assert_int_equal(update(&rotation, (struct named[]){{0, 0}}, 1), SB_OK);
    assert_int_equal(name_of(&rotation, rotation.proposer), 1);
}

static void order_of_changes_does_not_matter(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("order_of_changes_does_not_matter");
    struct named changes[] = {{1, 0}, {3, 0}, {2, 22}, {5, 50}, {4, 44}};
    static struct sb_rotation first;
    static struct sb_rotation expected;
    start(&first, (struct named[]){{4, 40}, {3, 30}, {2, 20}, {1, 10}}, 4);
    sb_rotation_copy(&expected, &first);
    assert_int_equal(update(&expected, changes, 5), SB_OK);
    for (int i = 0; i < 20; i++) {
        for (size_t j = 4; j > 0; j--) {
            size_t k = sb_random_below(&random, j + 1);
            struct named swap = changes[j];
            changes[j] = changes[k];
            changes[k] = swap;
        }
        static struct sb_rotation rotation;
        sb_rotation_copy(&rotation, &first);
        assert_int_equal(update(&rotation, changes, 5), SB_OK);
        assert_true(same(&rotation, &expected));
    }
}

/* ---- an independent model ---- */

/* One entry a pool place; power 0 = not in the set. Everything in 128 bits, nothing saturates. */
struct model {
    int64_t power[POOL];
    sb_i128 priority[POOL];
    size_t proposer;
};

static sb_i128 model_total(const struct model *m)
{
    sb_i128 total = 0;
    for (size_t i = 0; i < POOL; i++) {
        total += m->power[i];
    }
    return total;
}

static void model_normalise(struct model *m)
{
    sb_i128 window = 2 * model_total(m);
    sb_i128 sum = 0;
    sb_i128 n = 0;
    sb_i128 widest = 0;
    for (size_t i = 0; i < POOL; i++) {
        for (size_t j = 0; j < POOL && m->power[i] > 0; j++) {
            if (m->power[j] > 0 && m->priority[i] - m->priority[j] > widest) {
                widest = m->priority[i] - m->priority[j];
            }
        }
    }
    /* the smallest divisor that brings the difference into the window */
    sb_i128 ratio = widest / window + (widest % window != 0 ? 1 : 0);
    for (size_t i = 0; i < POOL; i++) {
        if (m->power[i] > 0) {
            if (widest > window) {
                m->priority[i] /= ratio;
            }
            sum += m->priority[i];
            n++;
        }
    }
    while (sum % n != 0) { /* down to a multiple: the floor */
        sum--;
    }
    for (size_t i = 0; i < POOL; i++) {
        m->priority[i] -= sum / n;
    }
}

static void model_advance(struct model *m, uint32_t k)
{
    model_normalise(m);
    while (k-- > 0) {
        size_t best = POOL;
        for (size_t i = POOL; i-- > 0;) { /* from the highest address: ties end at the smallest */
            m->priority[i] += m->power[i];
            if (m->power[i] > 0 && (best == POOL || m->priority[i] >= m->priority[best])) {
                best = i;
            }
        }
        m->priority[best] -= model_total(m);
        m->proposer = best;
    }
}

/* false: refused, nothing changed. */
static bool model_update(struct model *m, const struct named *changes, size_t count)
{
    static struct model next;
    next = *m;
    sb_i128 before_removals = model_total(m);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].power == 0 && m->power[changes[i].name] == 0) {
            return false;
        }
        next.power[changes[i].name] = changes[i].power;
        before_removals += changes[i].power == 0 ? 0 : changes[i].power - m->power[changes[i].name];
    }
    size_t n = 0;
    for (size_t i = 0; i < POOL; i++) {
        n += next.power[i] > 0 ? 1 : 0;
        if (next.power[i] > 0 && m->power[i] == 0) {
            next.priority[i] = -(before_removals + before_removals / 8);
        }
    }
    if (n == 0 || n > SB_VALIDATORS_MAX || model_total(&next) > MAX_POWER) {
        return false;
    }
    model_normalise(&next);
    *m = next;
    return true;
}

static void check_model(const struct sb_rotation *rotation, const struct model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < POOL; i++) {
        count += m->power[i] > 0 ? 1 : 0;
    }
    assert_int_equal(rotation->set.count, count);
    for (size_t i = 0; i < count; i++) {
        size_t name = name_of(rotation, i);
        assert_true(rotation->validators[i].power == m->power[name]);
        assert_true(rotation->priority[i] == m->priority[name]);
    }
}

/* Powers of many sizes, at most max. */
static int64_t draw_power(struct sb_random *random, int64_t max)
{
    uint64_t bits = 1 + sb_random_below(random, 60);
    int64_t power = 1 + (int64_t)(sb_random_u64(random) >> (64 - bits));
    return power > max ? 1 + (int64_t)sb_random_below(random, (uint64_t)max) : power;
}

static size_t draw_changes(struct sb_random *random, struct named *ret, const struct model *m,
                           size_t names)
{
    size_t count = 1 + sb_random_below(random, 8);
    for (size_t i = 0; i < count; i++) {
        bool is_new = true;
        do {
            ret[i].name = sb_random_below(random, names);
            is_new = true;
            for (size_t j = 0; j < i; j++) {
                is_new = is_new && ret[j].name != ret[i].name;
            }
        } while (!is_new);
        bool removes = m->power[ret[i].name] > 0 ? sb_random_below(random, 3) == 0
                                                 : sb_random_below(random, 40) == 0;
        ret[i].power = removes ? 0 : draw_power(random, MAX_POWER / 4);
    }
    return count;
}

static void random_histories_agree_with_the_model(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("random_histories_agree_with_the_model");
    static struct model m;
    size_t refused = 0;
    for (int run = 0; run < 60; run++) {
        size_t names = 9 + sb_random_below(&random, 12);
        struct named first = {sb_random_below(&random, names), draw_power(&random, MAX_POWER)};
        static struct sb_rotation rotation;
        start(&rotation, &first, 1);
        memset(&m, 0, sizeof m);
        m.power[first.name] = first.power;
        model_advance(&m, 1);
        for (int step = 0; step < 40; step++) {
            struct named changes[8];
            size_t count = draw_changes(&random, changes, &m, names);
            bool is_accepted = update(&rotation, changes, count) == SB_OK;
            assert_true(is_accepted == model_update(&m, changes, count));
            refused += is_accepted ? 0 : 1;
            check_model(&rotation, &m);
            uint32_t k = 1 + (uint32_t)sb_random_below(&random, 6);
            assert_int_equal(rotation.set.count > 0, 1);
            int32_t round = (int32_t)sb_random_below(&random, 20);
            sb_rotation_advance(&rotation, k);
            model_advance(&m, k);
            check_model(&rotation, &m);
            check_invariants(&rotation, 3 * (sb_i128)rotation.set.total_power);
            assert_int_equal(name_of(&rotation, rotation.proposer), m.proposer);
            if (round > 0) {
                static struct model ahead;
                ahead = m;
                model_advance(&ahead, (uint32_t)round);
                assert_int_equal(name_of(&rotation, sb_rotation_proposer(&rotation, round)),
                                 ahead.proposer);
            }
        }
    }
    assert_true(refused > 20);
}

static void random_sets_give_each_its_share(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("random_sets_give_each_its_share");
    for (int run = 0; run < 30; run++) {
        struct named list[12];
        size_t count = 1 + sb_random_below(&random, 12);
        for (size_t i = 0; i < count; i++) {
            list[i] = (struct named){i, 1 + (int64_t)sb_random_below(&random, 50)};
        }
        static struct sb_rotation rotation;
        start(&rotation, list, count);
        /* any P elections in a row, once the priorities have come round */
        sb_rotation_advance(&rotation, 1 + (uint32_t)sb_random_below(&random, 1000));
        int64_t chosen[12] = {0};
        for (int64_t i = 0; i < rotation.set.total_power; i++) {
            sb_rotation_advance(&rotation, 1);
            chosen[rotation.proposer]++;
        }
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(chosen[i], rotation.validators[i].power);
        }
    }
}

/* ---- stored form ---- */

static void encoding_round_trips(void **state)
{
    (void)state;
    static struct named list[SB_VALIDATORS_MAX];
    for (size_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        list[i] = (struct named){i, MAX_POWER / SB_VALIDATORS_MAX - (int64_t)(i / 3)};
    }
    for (size_t count = 1; count <= SB_VALIDATORS_MAX; count = count * 5 + 1) {
        static struct sb_rotation rotation;
        static struct sb_rotation back;
        struct sb_buf out;
        start(&rotation, list, count);
        sb_rotation_advance(&rotation, 3);
        sb_buf_init(&out, 1 << 20);
        sb_rotation_encode(&out, &rotation);
        assert_int_equal(sb_buf_err(&out), SB_OK);
        assert_int_equal(sb_rotation_decode(&back, sb_buf_bytes(&out), NULL), SB_OK);
        assert_true(same(&rotation, &back));
        check_invariants(&back, 3 * (sb_i128)back.set.total_power);
        for (size_t len = 0; len < out.len; len += 1 + len / 8) {
            assert_int_not_equal(sb_rotation_decode(&back, sb_span(out.data, len), NULL), SB_OK);
        }
        sb_buf_fini(&out);
    }
}

/* encode_with: a rotation of two with these raw zig-zag priorities. */
static sb_err decode_with(uint64_t a, uint64_t b, uint64_t proposer)
{
    static struct sb_rotation rotation;
    struct sb_buf out;
    start(&rotation, (struct named[]){{0, 10}, {1, 9}}, 2);
    sb_buf_init(&out, 1 << 16);
    size_t list = sb_rlp_list_begin(&out);
    sb_validator_set_encode(&out, &rotation.set);
    size_t priorities = sb_rlp_list_begin(&out);
    sb_rlp_put_u64(&out, a);
    sb_rlp_put_u64(&out, b);
    sb_rlp_list_end(&out, priorities);
    sb_rlp_put_u64(&out, proposer);
    sb_rlp_list_end(&out, list);
    sb_err err = sb_rotation_decode(&rotation, sb_buf_bytes(&out), NULL);
    sb_buf_fini(&out);
    return err;
}

static void decoding_refuses_what_no_computation_gives(void **state)
{
    (void)state;
    assert_int_equal(decode_with(5, 6, 1), SB_OK);       /* -3, 3 */
    assert_int_equal(decode_with(5, 8, 1), SB_OK);       /* -3, 4: sum 1 < 2 */
    assert_int_equal(decode_with(5, 10, 1), SB_E_RANGE); /* -3, 5: sum 2 */
    assert_int_equal(decode_with(5, 4, 1), SB_E_RANGE);  /* -3, 2: sum -1 */
    assert_int_equal(decode_with(5, 6, 2), SB_E_RANGE);  /* no such proposer */
    assert_int_equal(decode_with(UINT64_MAX, UINT64_MAX - 1, 0), SB_E_RANGE);
    uint64_t edge = 2 * (uint64_t)(3 * MAX_POWER);
    assert_int_equal(decode_with(edge - 1, edge, 0), SB_OK);
    assert_int_equal(decode_with(edge + 1, edge + 2, 0), SB_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proposers_of_three_follow_the_known_sequence),
        cmocka_unit_test(proposers_of_equal_power_go_by_address),
        cmocka_unit_test(proposer_with_more_power_repeats_only_above_the_rest),
        cmocka_unit_test(proposers_over_a_cycle_are_chosen_by_power),
        cmocka_unit_test(priorities_after_elections_are_the_known_ones),
        cmocka_unit_test(priorities_before_an_election_lose_the_floor_of_the_average),
        cmocka_unit_test(rescaling_divides_by_the_ceiling_and_truncates),
        cmocka_unit_test(saturating_arithmetic_stops_at_the_edges),
        cmocka_unit_test(rounds_are_elections_on_a_copy),
        cmocka_unit_test(update_gives_the_known_sets),
        cmocka_unit_test(update_near_the_maximum_has_no_false_overflow),
        cmocka_unit_test(update_that_is_wrong_changes_nothing),
        cmocka_unit_test(update_with_an_unknown_key_type_is_refused),
        cmocka_unit_test(update_fills_and_replaces_the_largest_set),
        cmocka_unit_test(newcomer_starts_last_and_a_changed_one_keeps_its_priority),
        cmocka_unit_test(proposer_after_an_update_is_kept_or_the_highest),
        cmocka_unit_test(order_of_changes_does_not_matter),
        cmocka_unit_test(random_histories_agree_with_the_model),
        cmocka_unit_test(random_sets_give_each_its_share),
        cmocka_unit_test(encoding_round_trips),
        cmocka_unit_test(decoding_refuses_what_no_computation_gives),
    };
    return cmocka_run_group_tests(tests, fill_pool, NULL);
}
