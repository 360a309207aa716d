/* random.h: the simulator's randomness: xoshiro256** seeded by splitmix64, in integers only, so that a seed means the same on every
 * machine.
 *
 * Each part of a run draws from a stream of its own (sim_random_stream), so that a change of one part does not move the others. */
#ifndef SB_TESTS_SIM_RANDOM_H
#define SB_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t s[4];
};

/* sim_mix: splitmix64's output function: one step of a hash over 64-bit words. */
static inline uint64_t sim_mix(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* sim_random_stream: stream number `stream` of a seed. */
static inline struct sim_random sim_random_stream(uint64_t seed, uint64_t stream)
{
    struct sim_random random;
    uint64_t state = sim_mix(seed) ^ sim_mix(~stream);
    for (int i = 0; i < 4; i++) {
        state = sim_mix(state);
        random.s[i] = state;
    }
    return random;
}

static inline uint64_t sim_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t sim_random_u64(struct sim_random *random)
{
    uint64_t *s = random->s;
    uint64_t result = sim_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = sim_rotl(s[3], 45);
    return result;
}

/* sim_below: a number in [0, bound); 0 for bound 0. */
static inline uint64_t sim_below(struct sim_random *random, uint64_t bound)
{
    return bound == 0 ? 0 : sim_random_u64(random) % bound;
}

/* sim_between: a number in [low, high]. */
static inline uint64_t sim_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_below(random, high - low + 1);
}

/* sim_chance: true in `per_mille` of 1000 cases. */
static inline bool sim_chance(struct sim_random *random, uint32_t per_mille)
{
    return sim_below(random, 1000) < per_mille;
}

/* sim_exponential: exponentially distributed with this mean, at most 16 times it: -ln(u) in 16 fractional bits, from the position of
 * u's highest bit and a line between powers of two (error of the mean below 1 %). */
static inline uint64_t sim_exponential(struct sim_random *random, uint64_t mean)
{
    uint64_t u = sim_random_u64(random) | 1;
    int zeros = __builtin_clzll(u);
    uint64_t fraction = zeros == 63 ? 0 : (u << (zeros + 1)) >> 48; /* mantissa, 16 bits */
    uint64_t log2_q16 = ((uint64_t)(zeros + 1) << 16) - fraction;   /* -log2(u / 2^64) */
    uint64_t ln_q16 = (log2_q16 * 45426) >> 16;                     /* times ln 2 */
    ln_q16 = ln_q16 > (UINT64_C(16) << 16) ? UINT64_C(16) << 16 : ln_q16;
    return (mean * ln_q16) >> 16;
}

#endif
