/* endian.h: fixed-width integers to and from bytes, on any machine and at any alignment.
 *
 * Everything hashed, stored or sent goes through these; no struct image ever leaves memory. be_ is big-endian (RLP, keys, EVM
 * words), le_ little-endian (model files, journal). */
#ifndef SB_BASE_UTIL_ENDIAN_H
#define SB_BASE_UTIL_ENDIAN_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SB_BE(bits, x) __builtin_bswap##bits(x)
#define SB_LE(bits, x) (x)
#else
#define SB_BE(bits, x) (x)
#define SB_LE(bits, x) __builtin_bswap##bits(x)
#endif

#define SB_ENDIAN_PAIR(bits, type)                                                                 \
    static inline type be_load##bits(const void *p)                                                \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return SB_BE(bits, v);                                                                     \
    }                                                                                              \
    static inline void be_store##bits(void *p, type v)                                             \
    {                                                                                              \
        v = SB_BE(bits, v);                                                                        \
        memcpy(p, &v, sizeof v);                                                                   \
    }                                                                                              \
    static inline type le_load##bits(const void *p)                                                \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return SB_LE(bits, v);                                                                     \
    }                                                                                              \
    static inline void le_store##bits(void *p, type v)                                             \
    {                                                                                              \
        v = SB_LE(bits, v);                                                                        \
        memcpy(p, &v, sizeof v);                                                                   \
    }

SB_ENDIAN_PAIR(16, uint16_t)
SB_ENDIAN_PAIR(32, uint32_t)
SB_ENDIAN_PAIR(64, uint64_t)
#undef SB_ENDIAN_PAIR

#endif
