/* dot_256.h: the dot product of four bytes in each 32-bit lane, at the levels avx2 and avx_vnni: a file's flags choose.
 *
 * avx2: VPMADDUBSW multiplies unsigned by signed bytes and adds pairs with saturation to int16, so it takes |x| and sign(w, x): pairs
 * reach at most 2 * 128 * 127 = 32512 and never saturate (w is in [-127, 127], so it can be negated). VPMADDWD with ones joins pairs of pairs.
 * It needs x with a sign: u8 has its top bit flipped, which takes off 128.
 * avx_vnni: VPDPBUSD as in product_avx512_vnni.c; i8 has its top bit flipped, which adds 128. (pack.h takes both off again.)
 * i16: VPMADDWD, or VPDPWSSD. All sums are exact modulo 2^32.
 *
 * VPDPBUSD is inline assembly for the reason that product_avx512_vnni.c gives. */
#ifndef SB_VM_TENSOR_KERNELS_X86_DOT_256_H
#define SB_VM_TENSOR_KERNELS_X86_DOT_256_H

#include <immintrin.h>
#include <stdint.h>

#define INLINE       static inline __attribute__((always_inline))
#define LANES        8u
#define FLIP_SIGN_X4 ((int32_t)0x80808080)
#ifdef __AVXVNNI__
#define FLIP_KIND KIND_I8 /* whose top bits are flipped */
#else
#define FLIP_KIND KIND_U8
#endif

enum kind { KIND_I8, KIND_U8, KIND_I16 };

/* i8 or u8 as the level's dot product wants it. */
INLINE __m256i flip(__m256i x, enum kind kind)
{
    return kind == FLIP_KIND ? _mm256_xor_si256(x, _mm256_set1_epi32(FLIP_SIGN_X4)) : x;
}

/* Each lane of sum and four bytes of x times four bytes of w (i16: two times two int16). */
INLINE __m256i dot(__m256i sum, __m256i x, __m256i w, enum kind kind)
{
#ifdef __AVXVNNI__
    if (kind == KIND_I16) {
        __asm__("%{vex%} vpdpwssd %2,%1,%0" : "+x"(sum) : "x"(x), "x"(w));
    } else {
        __asm__("%{vex%} vpdpbusd %2,%1,%0" : "+x"(sum) : "x"(x), "x"(w));
    }
    return sum;
#else
    if (kind == KIND_I16) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
    }
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}

#endif
