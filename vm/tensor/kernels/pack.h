/* pack.h: weights in the order in which the kernels read them.
 *
 *     row-major w[n][k]                        packed, t = 4 (x of i8, u8) or 2 (i16)
 *     n | k ->                                 for each 16 rows of w:
 *       | ...                                      for each t columns:   w[n][k..k+t) w[n+1][k..k+t) ... w[n+15][k..k+t)
 *
 * A kernel takes four bytes of a row of x, repeats them over a register and multiplies them with 16 rows at once. Where the dot product of
 * the level wants x of the other signedness, it adds an offset to every element (by flipping the top bit), so a sum begins with
 *
 *     start[n] = bias[n] - (x_zero_point + offset) * (sum_k w[n][k])         modulo 2^32
 *
 * and ends at the exact sum, which fits int32. Padding is zero weights. Never part of a file, an id or a result. docs/kernels.md */
#ifndef SB_VM_TENSOR_KERNELS_PACK_H
#define SB_VM_TENSOR_KERNELS_PACK_H

#include <stdbool.h>

#include "vm/tensor/kernels.h"

#define SB_PACK_ROWS ((size_t)16)

/* sb_pack_step: elements of x in four bytes: 4 for i8 and u8, 2 for i16. sb_pack_columns: k padded to whole steps. */
size_t sb_pack_step(enum sb_dtype x_dtype);
size_t sb_pack_columns(size_t k, enum sb_dtype x_dtype);

/* sb_pack_wanted: the level has kernels for packed weights, and n is not so small that padding would be most of them. */
bool sb_pack_wanted(enum sb_cpu_level level, size_t n);

/* sb_pack_weight_bytes, sb_pack_end_bytes: memory for the weights, and for start, mult and shift, of n rows of k. They fit for every
 * accepted tensor. */
size_t sb_pack_weight_bytes(size_t n, size_t k, enum sb_dtype x_dtype);
size_t sb_pack_end_bytes(size_t n);

/* sb_pack_weights: w of a (n rows of pieces * piece_elements) into ret_w, which all products with these weights and this type share.
 * sb_pack_ends: the rest for one product: *ret points into memory (4-aligned) and at w. */
void sb_pack_weights(int8_t *ret_w, const struct sb_product *a, enum sb_dtype x_dtype);
void sb_pack_ends(struct sb_packed *ret, void *memory, const int8_t *packed_w,
                  const struct sb_product *a, enum sb_dtype x_dtype, enum sb_cpu_level level);

/* ---- depthwise ---- */

/* How a level arranges the weights of a depthwise convolution of this many outputs.
 *
 *     lanes 0:      w[tap][output], rounded up to 16 outputs, in natural order: i16
 *     lanes 2, 4:   blocks of 16 * lanes outputs, the last one ending with the last output:
 *                       for each four taps, for j in 0..3, for each lane:   four taps of each of the outputs 16 * lane + 4 * j + 0..3
 *
 * The second is what comes of interleaving the bytes of four pixels by unpack instructions, which work in lanes of 16 bytes; start,
 * mult and shift are in the same order. */
struct sb_depthwise_plan {
    size_t lanes;
    size_t block; /* outputs of a block */
    size_t
        blocks; /* overlapping if block does not divide the outputs; 1 if they are fewer than a block */
    size_t quads; /* fours of taps */
};
struct sb_depthwise_plan sb_depthwise_plan_of(enum sb_cpu_level level, enum sb_dtype x_dtype,
                                              size_t outputs, size_t taps);
/* sb_depthwise_first: the output with which a block begins. */
size_t sb_depthwise_first(const struct sb_depthwise_plan *plan, size_t outputs, size_t block);

/* sb_pack_depthwise_wanted: the level has kernels for it. sb_pack_depthwise_bytes: memory for it. sb_pack_depthwise: *ret points into
 * memory (64-aligned). */
bool sb_pack_depthwise_wanted(enum sb_cpu_level level, size_t multiplier);
size_t sb_pack_depthwise_bytes(enum sb_cpu_level level, enum sb_dtype x_dtype, size_t outputs,
                               size_t taps);
void sb_pack_depthwise(struct sb_packed *ret, void *memory, const struct sb_depthwise *a,
                       enum sb_dtype x_dtype, enum sb_cpu_level level);

#endif
