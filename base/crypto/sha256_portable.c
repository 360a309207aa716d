/* sha256_portable.c: SHA-256 as FIPS 180-4 writes it; see sha256_portable.h. */
#include "base/crypto/sha256_portable.h"

#include "base/util/endian.h"

static const uint32_t k_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotr(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    for (size_t i = 0; i < 16; i++) {
        w[i] = be_load32(block + 4 * i);
    }
    for (size_t i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (size_t i = 0; i < 64; i++) {
        uint32_t sum1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
        uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + k_round[i] + w[i];
        uint32_t sum0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
        uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const uint32_t sum[8] = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; i++) {
        state[i] += sum[i];
    }
}

void sb_sha256_portable_init(struct sb_sha256_portable *s)
{
    *s = (struct sb_sha256_portable){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                  0x1f83d9ab, 0x5be0cd19},
    };
}

void sb_sha256_portable_update(struct sb_sha256_portable *s, sb_bytes part)
{
    const uint8_t *at = part.data;
    size_t left = part.len;
    while (left > 0) {
        size_t waiting = (size_t)(s->total_bytes % 64);
        size_t step = left < 64 - waiting ? left : 64 - waiting;
        if (step == 64) {
            compress(s->state, at);
        } else {
            memcpy(s->block + waiting, at, step);
            if (waiting + step == 64) {
                compress(s->state, s->block);
            }
        }
        s->total_bytes += step;
        at += step;
        left -= step;
    }
}

sb_hash sb_sha256_portable_final(struct sb_sha256_portable *s)
{
    uint64_t bit_count = s->total_bytes * 8;
    static const uint8_t k_pad[64] = {0x80};
    size_t waiting = (size_t)(s->total_bytes % 64);
    sb_sha256_portable_update(s, sb_span(k_pad, (waiting < 56 ? 56 : 120) - waiting));
    uint8_t bits[8];
    be_store64(bits, bit_count);
    sb_sha256_portable_update(s, sb_span(bits, sizeof bits));
    sb_hash hash;
    for (size_t i = 0; i < 8; i++) {
        be_store32(hash.b + 4 * i, s->state[i]);
    }
    return hash;
}

sb_hash sb_sha256_portable(sb_bytes message)
{
    struct sb_sha256_portable s;
    sb_sha256_portable_init(&s);
    sb_sha256_portable_update(&s, message);
    return sb_sha256_portable_final(&s);
}
