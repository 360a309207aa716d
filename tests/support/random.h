/* random.h: seeded random numbers for tests (splitmix64), with the seed printed so that a failure can be run again.
 *
 *     SAMEBIT_SEED=123 build/tests/unit/test_base_u256
 *
 * Without the variable the seed is 1: the suite is the same on each run. */
#ifndef SB_TESTS_SUPPORT_RANDOM_H
#define SB_TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct sb_random {
    uint64_t state;
};

/* sb_random_init: seed from SAMEBIT_SEED or 1; prints it with the test's name. */
static inline struct sb_random sb_random_init(const char *test_name)
{
    const char *text = getenv("SAMEBIT_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 1;
    printf("# %s: SAMEBIT_SEED=%llu\n", test_name, (unsigned long long)seed);
    return (struct sb_random){.state = seed};
}

static inline uint64_t sb_random_u64(struct sb_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* sb_random_below: a number in [0, bound), bound > 0. */
static inline uint64_t sb_random_below(struct sb_random *random, uint64_t bound)
{
    return sb_random_u64(random) % bound;
}

static inline void sb_random_fill(struct sb_random *random, void *ret, size_t len)
{
    uint8_t *bytes = ret;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)sb_random_u64(random);
    }
}

#endif
