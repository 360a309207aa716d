/* keccak.c: Keccak-f[1600] on one state and the sponge around it; see keccak.h.
 *
 * Lane (x, y) of the state is state[x + 5 * y]. A round reads 25 lanes and writes 25 others, so two rounds bring the lanes back to
 * where they were. On x86 the permutation is compiled twice, without and with BMI (andn and rorx save a third of the work), and the
 * CPU is asked each time: a test of one word. Spec: FIPS 202, section 3, with padding 0x01. */
#include "base/crypto/keccak.h"

#include "base/util/endian.h"

#define RATE_LANE_COUNT (SB_KECCAK256_RATE_BYTES / 8)

static const uint64_t k_round_constant[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

#define ROTL(v, n) ((v) << (n) | (v) >> ((64 - (n)) & 63))

/* Row y of the output: lanes s0..s4 of the input (pi), each with its theta term d, rotated by r0..r4 (rho), then chi. The theta term
 * of lane s is d[s % 5]. */
#define ROW(y, s0, r0, s1, r1, s2, r2, s3, r3, s4, r4)                                             \
    do {                                                                                           \
        uint64_t b0 = ROTL(in[s0] ^ d[(s0) % 5], r0);                                              \
        uint64_t b1 = ROTL(in[s1] ^ d[(s1) % 5], r1);                                              \
        uint64_t b2 = ROTL(in[s2] ^ d[(s2) % 5], r2);                                              \
        uint64_t b3 = ROTL(in[s3] ^ d[(s3) % 5], r3);                                              \
        uint64_t b4 = ROTL(in[s4] ^ d[(s4) % 5], r4);                                              \
        out[5 * (y) + 0] = b0 ^ (~b1 & b2);                                                        \
        out[5 * (y) + 1] = b1 ^ (~b2 & b3);                                                        \
        out[5 * (y) + 2] = b2 ^ (~b3 & b4);                                                        \
        out[5 * (y) + 3] = b3 ^ (~b4 & b0);                                                        \
        out[5 * (y) + 4] = b4 ^ (~b0 & b1);                                                        \
    } while (0)

static inline __attribute__((always_inline)) void
keccak_round(uint64_t out[25], const uint64_t in[25], uint64_t constant)
{
    uint64_t c0 = in[0] ^ in[5] ^ in[10] ^ in[15] ^ in[20];
    uint64_t c1 = in[1] ^ in[6] ^ in[11] ^ in[16] ^ in[21];
    uint64_t c2 = in[2] ^ in[7] ^ in[12] ^ in[17] ^ in[22];
    uint64_t c3 = in[3] ^ in[8] ^ in[13] ^ in[18] ^ in[23];
    uint64_t c4 = in[4] ^ in[9] ^ in[14] ^ in[19] ^ in[24];
    const uint64_t d[5] = {c4 ^ ROTL(c1, 1), c0 ^ ROTL(c2, 1), c1 ^ ROTL(c3, 1), c2 ^ ROTL(c4, 1),
                           c3 ^ ROTL(c0, 1)};
    ROW(0, 0, 0, 6, 44, 12, 43, 18, 21, 24, 14);
    ROW(1, 3, 28, 9, 20, 10, 3, 16, 45, 22, 61);
    ROW(2, 1, 1, 7, 6, 13, 25, 19, 8, 20, 18);
    ROW(3, 4, 27, 5, 36, 11, 10, 17, 15, 23, 56);
    ROW(4, 2, 62, 8, 55, 14, 39, 15, 41, 21, 2);
    out[0] ^= constant;
}

static inline __attribute__((always_inline)) void permute_body(uint64_t state[25])
{
    uint64_t a[25], e[25];
    memcpy(a, state, sizeof a);
    for (size_t i = 0; i < 24; i += 2) {
        keccak_round(e, a, k_round_constant[i]);
        keccak_round(a, e, k_round_constant[i + 1]);
    }
    memcpy(state, a, sizeof a);
}

static void permute_c(uint64_t state[25])
{
    permute_body(state);
}

#if defined(__x86_64__)
__attribute__((target("bmi,bmi2"))) static void permute_bmi(uint64_t state[25])
{
    permute_body(state);
}

static void permute(uint64_t state[25])
{
    if (__builtin_cpu_supports("bmi2")) {
        permute_bmi(state);
    } else {
        permute_c(state);
    }
}
#else
static void permute(uint64_t state[25])
{
    permute_c(state);
}
#endif

static void absorb_block(uint64_t state[25], const uint8_t *block)
{
    for (size_t i = 0; i < RATE_LANE_COUNT; i++) {
        state[i] ^= le_load64(block + 8 * i);
    }
    permute(state);
}

/* The last, incomplete block: len < rate bytes, then 0x01, zeros, and 0x80 in the last byte of the rate. */
static sb_hash absorb_last(uint64_t state[25], const uint8_t *rest, size_t len)
{
    uint8_t block[SB_KECCAK256_RATE_BYTES] = {0};
    sb_copy(block, rest, len);
    block[len] = 0x01;
    block[SB_KECCAK256_RATE_BYTES - 1] |= 0x80;
    absorb_block(state, block);
    sb_hash hash;
    for (size_t i = 0; i < 4; i++) {
        le_store64(hash.b + 8 * i, state[i]);
    }
    return hash;
}

sb_hash sb_keccak256(sb_bytes message)
{
    uint64_t state[25] = {0};
    const uint8_t *at = message.data;
    size_t left = message.len;
    for (; left >= SB_KECCAK256_RATE_BYTES; left -= SB_KECCAK256_RATE_BYTES) {
        absorb_block(state, at);
        at += SB_KECCAK256_RATE_BYTES;
    }
    return absorb_last(state, at, left);
}

void sb_keccak256_multi(sb_hash *ret, const sb_bytes *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret[i] = sb_keccak256(messages[i]);
    }
}

void sb_keccak_init(struct sb_keccak *k)
{
    memset(k, 0, sizeof *k);
}

/* The incomplete block lives in the state itself: its bytes are already mixed in, `absorbed` says how many. */
static void absorb_byte(struct sb_keccak *k, uint8_t byte)
{
    k->state[k->absorbed / 8] ^= (uint64_t)byte << (8 * (k->absorbed % 8));
    k->absorbed += 1;
    if (k->absorbed == SB_KECCAK256_RATE_BYTES) {
        permute(k->state);
        k->absorbed = 0;
    }
}

void sb_keccak_update(struct sb_keccak *k, sb_bytes part)
{
    const uint8_t *at = part.data;
    size_t left = part.len;
    while (left > 0 && k->absorbed != 0) {
        absorb_byte(k, *at);
        at++;
        left--;
    }
    for (; left >= SB_KECCAK256_RATE_BYTES; left -= SB_KECCAK256_RATE_BYTES) {
        absorb_block(k->state, at);
        at += SB_KECCAK256_RATE_BYTES;
    }
    for (; left > 0; left--) {
        absorb_byte(k, *at);
        at++;
    }
}

sb_hash sb_keccak_final(struct sb_keccak *k)
{
    k->state[k->absorbed / 8] ^= (uint64_t)0x01 << (8 * (k->absorbed % 8));
    k->state[RATE_LANE_COUNT - 1] ^= (uint64_t)0x80 << 56;
    permute(k->state);
    sb_hash hash;
    for (size_t i = 0; i < 4; i++) {
        le_store64(hash.b + 8 * i, k->state[i]);
    }
    return hash;
}
