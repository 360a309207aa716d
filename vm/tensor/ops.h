/* ops.h: the operator list as seen by those who write or read models: ids, inputs, attributes.
 *
 * Inputs are named by position in SB_IN_x_y, attributes (int64 each, all mandatory) by position in SB_ATTR_x_y. Weights, biases,
 * multipliers, shifts, tables and tree arrays must be constants of the file. [..] is any leading shape.
 * Every operator that computes ends with clamp(value + y.zero_point, y.lo, y.hi): ReLU, ReLU6 and Clip are the [lo, hi] of y.
 * Exact meaning: docs/spec/numerics.md, sections as in ops.def. */
#ifndef SB_VM_TENSOR_OPS_H
#define SB_VM_TENSOR_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/tensor/cost.h"

enum sb_op_id {
#define SB_OP(name, id, ...) SB_OP_##name = id,
#include "vm/tensor/ops.def"
#undef SB_OP
};

/* A line of ops.def. */
struct sb_op_facts {
    uint16_t id;
    uint16_t version;
    const char *name; /* "GEMM" */
    const char *spec; /* section of docs/spec/numerics.md */
    uint32_t inputs_min;
    uint32_t inputs_max;
    uint32_t attr_count;
    enum sb_gas_class gas_class;
};

/* sb_op_count, sb_op_facts: the list, ascending by (id, version); index < sb_op_count(). */
uint32_t sb_op_count(void);
const struct sb_op_facts *sb_op_facts(uint32_t index);
/* sb_op_find: the line of (id, version); NULL if there is none. */
const struct sb_op_facts *sb_op_find(uint16_t id, uint16_t version);

/* GEMM (5.1): y[.., n] = requantise(bias[n] + sum_k (x[.., k] - x.zp) * w[n, k], mult[n], shift[n])
 * x i8|u8|i16 [.., K]; w i8 [N, K] in [-127, 127]; bias i32 [N]; mult i32 [N] in [2^30, 2^31); shift u8 [N] in [1, 62];
 * y i8|u8|i16|i32 [.., N]. No attributes. CONV2D has the same inputs. */
enum { SB_IN_LINEAR_X, SB_IN_LINEAR_W, SB_IN_LINEAR_BIAS, SB_IN_LINEAR_MULT, SB_IN_LINEAR_SHIFT };

/* CONV2D (5.2): x [B, H, W, C]; w i8 [O, KH, KW, C / groups]; bias, mult, shift [O]; y [B, OH, OW, O]. Types as GEMM. Padding counts as
 * x.zp. groups divides C and O; depthwise is groups = C. CONV2D_FX adds SHIFT. */
enum {
    SB_ATTR_CONV_STRIDE_H,
    SB_ATTR_CONV_STRIDE_W,
    SB_ATTR_CONV_PAD_TOP,
    SB_ATTR_CONV_PAD_LEFT,
    SB_ATTR_CONV_PAD_BOTTOM,
    SB_ATTR_CONV_PAD_RIGHT,
    SB_ATTR_CONV_DILATION_H,
    SB_ATTR_CONV_DILATION_W,
    SB_ATTR_CONV_GROUPS,
    SB_ATTR_CONV_FX_SHIFT, /* CONV2D_FX only: 0 .. 62 */
};

/* GEMM_FX (5.3): y = (bias[n] + sum_k x[k] * w[n, k]) shifted right by SHIFT, half up. x i32; w i32 [N, K]; bias i64 [N]; y i32. The bias
 * has the fraction bits of the product: x's plus w's. CONV2D_FX (5.4) has the same inputs. */
enum { SB_IN_FX_X, SB_IN_FX_W, SB_IN_FX_BIAS };
enum { SB_ATTR_GEMM_FX_SHIFT };

/* ADD (6.1): y = ((a - a.zp) * MULT_A + (b - b.zp) * MULT_B) >> SHIFT, half up. a, b: i8|u8|i16|u16|i32, broadcast as in numpy; y
 * i8|u8|i16|i32. MULT in [-2^30, 2^30] (a negative MULT_B subtracts), SHIFT 0 .. 62. Plain fx addition: 1, 1, 0. */
enum { SB_ATTR_ADD_MULT_A, SB_ATTR_ADD_MULT_B, SB_ATTR_ADD_SHIFT };

/* MUL (6.2): y = ((a - a.zp) * (b - b.zp) * MULT) >> SHIFT, half up. Types and broadcasting as ADD; MULT in [-(2^31 - 1), 2^31 - 1], SHIFT
 * 0 .. 62. Fx product: MULT 1, SHIFT = fraction bits of a + b - y. */
enum { SB_ATTR_MUL_MULT, SB_ATTR_MUL_SHIFT };

/* MAX_POOL (7.1), AVG_POOL (7.2): x, y [B, H, W, C], i8|u8|i16|i32. MAX_POOL: y has x's type and zero point; padding never wins.
 * AVG_POOL: y = sum (x - x.zp) * MULT / (n * 2^SHIFT), half up, one rounding; n = elements inside the image, or KERNEL_H * KERNEL_W with
 * INCLUDE_PAD 1. MULT 1 .. 2^31 - 1, SHIFT 0 .. 31 (1, 0: plain average). Global: the kernel is the whole image. Each window holds at
 * least one element (padding is below the kernel). */
enum {
    SB_ATTR_POOL_KERNEL_H,
    SB_ATTR_POOL_KERNEL_W,
    SB_ATTR_POOL_STRIDE_H,
    SB_ATTR_POOL_STRIDE_W,
    SB_ATTR_POOL_PAD_TOP,
    SB_ATTR_POOL_PAD_LEFT,
    SB_ATTR_POOL_PAD_BOTTOM,
    SB_ATTR_POOL_PAD_RIGHT,
    SB_ATTR_AVG_POOL_INCLUDE_PAD, /* AVG_POOL only, and the next two */
    SB_ATTR_AVG_POOL_MULT,
    SB_ATTR_AVG_POOL_SHIFT,
};

/* TABLE (8.1): y = table[x - min of x's type]; x i8|u8; table i8|u8|i16|u16|i32 [256]; y has the table's type.
 * INTERPOLATE (8.2): x i16; table i16 [513]; y i16, linear between entries 128 apart, half up. */
enum { SB_IN_TABLE_X, SB_IN_TABLE_TABLE };

/* INTERPOLATE_FX (8.3): x i8|u8|i16|u16|i32 -> y i8|u8|i16|i32, same shape: cubics over pieces of 2^STEP elements, the first one beginning at
 * x - x.zp = FIRST; table i32 [pieces, 4], constant term first, in the scale of y times 2^OUT_SHIFT. Outside the pieces the function goes
 * on from its ends with SLOPE_LO, SLOPE_HI (times 2^-SLOPE_SHIFT, |.| <= 2^29). FIRST i32, STEP 0 .. 31, SLOPE_SHIFT 0 .. 62, OUT_SHIFT
 * 0 .. 31; at most 4,096 pieces. Inputs as TABLE. */
enum {
    SB_ATTR_INTERPOLATE_FX_FIRST,
    SB_ATTR_INTERPOLATE_FX_STEP,
    SB_ATTR_INTERPOLATE_FX_SLOPE_LO,
    SB_ATTR_INTERPOLATE_FX_SLOPE_HI,
    SB_ATTR_INTERPOLATE_FX_SLOPE_SHIFT,
    SB_ATTR_INTERPOLATE_FX_OUT_SHIFT,
};

/* LN (9.6): y = (ln(max(x - x.zp, 1)) * 2^31 * MULT + OFFSET) >> SHIFT, half up. Types as INTERPOLATE_FX. MULT 1 .. 2^31 - 1, |OFFSET| <= 2^62,
 * SHIFT 0 .. 62. OFFSET carries the logarithm of x's scale. */
enum { SB_ATTR_LN_MULT, SB_ATTR_LN_OFFSET, SB_ATTR_LN_SHIFT };

/* SQRT (9.7): y = floor of the square root of ((max(x - x.zp, 0) * MULT) >> SHIFT, half up). Types as INTERPOLATE_FX. MULT 1 .. 2^62, SHIFT
 * 0 .. 62. */
enum { SB_ATTR_SQRT_MULT, SB_ATTR_SQRT_SHIFT };

/* DIV (9.8): y = (a - a.zp) * MULT / (d * 2^SHIFT) with d = b - b.zp, of which |d| is at least MIN (0 counts as positive); rounded as ROUNDING
 * says. Types as INTERPOLATE_FX, broadcast as ADD. MULT 1 .. 2^62, SHIFT 0 .. 62, MIN 0 .. 2^31 - 1; with MIN 0, b must be proven not to
 * hold 0. */
enum { SB_ATTR_DIV_MULT, SB_ATTR_DIV_SHIFT, SB_ATTR_DIV_MIN, SB_ATTR_DIV_ROUNDING };
enum { SB_DIV_HALF_UP, SB_DIV_TRUNCATE, SB_DIV_FLOOR };

/* LOG_SUM_EXP (9.9) over the last axis: x i8|i16|i32 -> y i16|i32, x's shape without its last axis. With m the greatest element,
 *     y = ((m - x.zp) * MULT_MAX + ln(sum of e^-q26(m - x)) * 2^31 * MULT_LN) >> OUT_SHIFT, half up
 * MULT, SHIFT as in SOFTMAX; MULT_MAX and MULT_LN 1 .. 2^31 - 1, OUT_SHIFT 0 .. 62. */
enum {
    SB_ATTR_LOG_SUM_EXP_MULT,
    SB_ATTR_LOG_SUM_EXP_SHIFT,
    SB_ATTR_LOG_SUM_EXP_MULT_MAX,
    SB_ATTR_LOG_SUM_EXP_MULT_LN,
    SB_ATTR_LOG_SUM_EXP_OUT_SHIFT,
};

/* MASKED_SOFTMAX (9.10): SOFTMAX over the elements that are let through. mask, u8 or bool, computed or constant, broadcasts to x's shape: 0
 * leaves an element out. CAUSAL 1 leaves out column j of row i (the two last axes) if j > i + OFFSET. Elements left out give 0, as do
 * all of a row of which none is let through. MULT, SHIFT as in SOFTMAX; CAUSAL 0 or 1; OFFSET -2^24 .. 2^24. The mask may be absent. */
enum { SB_IN_MASKED_SOFTMAX_X, SB_IN_MASKED_SOFTMAX_MASK };
enum {
    SB_ATTR_MASKED_SOFTMAX_MULT,
    SB_ATTR_MASKED_SOFTMAX_SHIFT,
    SB_ATTR_MASKED_SOFTMAX_CAUSAL,
    SB_ATTR_MASKED_SOFTMAX_OFFSET,
};

/* NORM (9.11) over the last axis, D elements: y = (t * w + b) >> SHIFT, half up, with t = (x - mean) / deviation in Q(30 - ceil(log2(D) / 2)).
 * x i8|u8|i16|i32, w i32 [D], b i64 [D], y i8|u8|i16|i32. CENTRE 1: mean and deviation (layer norm); 0: root mean square. EPS, EPS_SHIFT:
 * EPS * 2^EPS_SHIFT is added to D^2 times the variance of the raw elements; EPS 0 .. 2^62, EPS_SHIFT 0 .. 40. SHIFT 0 .. 62. D <= 2^20. */
enum { SB_IN_NORM_X, SB_IN_NORM_W, SB_IN_NORM_B };
enum { SB_ATTR_NORM_CENTRE, SB_ATTR_NORM_EPS, SB_ATTR_NORM_EPS_SHIFT, SB_ATTR_NORM_SHIFT };

/* BATCH_MATMUL (5.5): y[.., m, n] = (S >> PRE_SHIFT) * MULT >> SHIFT, both half up, S = sum_k (a[.., m, k] - a.zp) * (b[.., k, n] - b.zp);
 * TRANSPOSE_B 1: b is [.., N, K]. a, b: computed or constant, i8|u8|i16|u16|i32, rank 2 to 6; leading axes broadcast. y i8|u8|i16|i32.
 * PRE_SHIFT 0 .. 62, MULT 1 .. 2^31 - 1, SHIFT 0 .. 62. */
enum {
    SB_ATTR_BATCH_MATMUL_TRANSPOSE_B,
    SB_ATTR_BATCH_MATMUL_PRE_SHIFT,
    SB_ATTR_BATCH_MATMUL_MULT,
    SB_ATTR_BATCH_MATMUL_SHIFT,
};

/* CLAMP (6.3): y = clamp(x, y.lo, y.hi); same type and zero point. No attributes. */

/* RESCALE (6.4): y = ((x - x.zp) * MULT) >> SHIFT, half up. x any type but bool (i64 too, where the proven range allows); y
 * i8|u8|i16|u16|i32|i64. MULT 1 .. 2^31 - 1, SHIFT 0 .. 62. Quantise, dequantise to fx, change of scale, narrowing of tree sums. */
enum { SB_ATTR_RESCALE_MULT, SB_ATTR_RESCALE_SHIFT };

/* SOFTMAX (9.4) over the last axis: x i8|i16|i32 -> y u16 (probability * 2^16, at most 65535). MULT 1 .. 2^31 - 1 and SHIFT 0 .. 62 bring a
 * difference of raw elements to Q26: ((m - x) * MULT) >> SHIFT, half up. From Qn fx: n <= 26: MULT 2^(26-n), SHIFT 0; else 1, n-26. */
enum { SB_ATTR_SOFTMAX_MULT, SB_ATTR_SOFTMAX_SHIFT };

/* ARG_MAX (9.5) along AXIS: x any type -> y i32, x's shape without the axis. SELECT_LAST 0: the lowest index of the greatest element; 1: the
 * highest. SMALLEST 1: of the smallest element. */
enum { SB_ATTR_ARG_MAX_AXIS, SB_ATTR_ARG_MAX_SELECT_LAST, SB_ATTR_ARG_MAX_SMALLEST };

/* SIGMOID (9.2), TANH (9.3), EXP (9.1): x i8|i16|i32 -> y i16|i32, same shape. MULT, SHIFT as in SOFTMAX, on |x - x.zp|. The result in Q31
 * is shifted right by OUT_SHIFT (0 .. 31, half up): y is Q(31 - OUT_SHIFT). EXP of large x ends at y.hi. */
enum { SB_ATTR_FUNCTION_MULT, SB_ATTR_FUNCTION_SHIFT, SB_ATTR_FUNCTION_OUT_SHIFT };

/* RESHAPE (10.1): same elements, other shape (flatten, squeeze, unsqueeze). Same type. No attributes. */

/* TRANSPOSE (10.2): dim i of y is dim PERM[i] of x. Attributes beyond the rank are 0. */
enum { SB_ATTR_TRANSPOSE_PERM };

/* CONCAT (10.3): inputs laid end to end along AXIS (0 .. rank - 1). Same type and zero point. */
enum { SB_ATTR_CONCAT_AXIS };

/* PAD (10.4): BEFORE[i] and AFTER[i] elements of VALUE (raw) around axis i. Attributes beyond the rank are 0. */
enum { SB_ATTR_PAD_BEFORE = 0, SB_ATTR_PAD_AFTER = 6, SB_ATTR_PAD_VALUE = 12 };

/* GATHER (10.5): y[i.., d..] = table[x[i..], d..]: rows of a constant of any type by index; x i32|u16|u8, proven inside [0, rows). */
enum { SB_IN_GATHER_X, SB_IN_GATHER_TABLE };

/* TREE_ENSEMBLE (11): y i64 [B, C] from x i8|i16|i32|i64 [B, F]:
 *     y[b, c] = base[c] + sum over trees t and j with tree_class[t] + j = c of leaf[row reached in t, j]
 * roots i32 [T]: first node of each tree, ascending, roots[0] = 0; tree t owns nodes [roots[t], roots[t + 1]).
 * tree_class i32 [T]: first class that the tree adds to. feature i32 [M]: the feature tested, or -1 for a leaf. threshold i32|i64 [M].
 * child i32 [M, 2]: next node if x[feature] <= threshold, and if not; both after the node and inside the tree. Of a leaf: its row in
 * `leaf`, and 0; its threshold is 0; the leaves, in the order of the nodes, take the rows 0 .. L - 1.
 * leaf i64 [L, W]: W values for classes tree_class[t] .. + W - 1. base i64 [C]. */
enum {
    SB_IN_TREE_X,
    SB_IN_TREE_ROOTS,
    SB_IN_TREE_CLASS,
    SB_IN_TREE_FEATURE,
    SB_IN_TREE_THRESHOLD,
    SB_IN_TREE_CHILD,
    SB_IN_TREE_LEAF,
    SB_IN_TREE_BASE,
};

/* VIEW (10.6): y[i] = x.flat[OFFSET + sum_d i_d * STRIDE_d], every place inside x: slices with steps of either sign, broadcasting and tiling
 * (stride 0), diagonals. x's rank is free; strides beyond the rank of y are 0. */
enum { SB_ATTR_VIEW_OFFSET, SB_ATTR_VIEW_STRIDE };

/* TAKE (10.7): y[o.., i.., d..] = x[o.., index[i..], d..] along AXIS; index i32, proven inside [-size, size - 1], negative from the end.
 * TAKE_ALONG (10.8): index has x's rank; y[.., i, ..] = x[.., index[.., i, ..], ..] along AXIS; other dimensions no longer than x's.
 * GATHER_ND (10.9): index [b.., i.., k]; y[b.., i.., d..] = x[b.., index[b.., i.., 0], .., index[b.., i.., k - 1], d..]; b.. are BATCH
 * dimensions. */
enum { SB_IN_TAKE_X, SB_IN_TAKE_INDEX };
enum { SB_ATTR_TAKE_AXIS };
enum { SB_ATTR_GATHER_ND_BATCH };

/* SCATTER (10.10): y = x, but y[.., index[.., i, ..], ..] = updates[.., i, ..] along AXIS, in the order of index; or combined with what is
 * there by MODE. SCATTER_ND (10.11): index [i.., k], updates [i.., d..]: rows of y. SHIFT of the product (half up), else 0. x, updates
 * and y have the same type and zero point. */
enum { SB_IN_SCATTER_X, SB_IN_SCATTER_INDEX, SB_IN_SCATTER_UPDATES };
enum { SB_ATTR_SCATTER_AXIS, SB_ATTR_SCATTER_MODE, SB_ATTR_SCATTER_SHIFT };
enum { SB_ATTR_SCATTER_ND_MODE, SB_ATTR_SCATTER_ND_SHIFT };
enum sb_scatter_mode {
    SB_SCATTER_SET,
    SB_SCATTER_ADD,
    SB_SCATTER_MUL,
    SB_SCATTER_MAX,
    SB_SCATTER_MIN,
};

/* ROW_UPDATE (10.12): y = x, but rows index[b] .. of batch b along AXIS (not 0) are those of updates; CIRCULAR 1: going on at row 0 after
 * the last. Inputs as SCATTER; index i32 [batch], proven to keep the rows inside x. */
enum { SB_ATTR_ROW_UPDATE_AXIS, SB_ATTR_ROW_UPDATE_CIRCULAR };

/* RESAMPLE (7.3): y[o, n, i] = (sum_t weight[n, t] * (x[o, index[n, t], i] - x.zp)) >> SHIFT, half up, along AXIS. index, weight: i32
 * constants [N, T]; x, y i8|u8|i16|i32. */
enum { SB_IN_RESAMPLE_X, SB_IN_RESAMPLE_INDEX, SB_IN_RESAMPLE_WEIGHT };
enum { SB_ATTR_RESAMPLE_AXIS, SB_ATTR_RESAMPLE_SHIFT };
/* COMBINE (13.1): y = KIND(a, b) on raw elements, broadcast; a, b and y have one type but bool, and zero point 0, but that MAX and MIN take any zero
 * point that all three share. What leaves the type wraps. DIV cuts toward zero, MOD has the sign of b, REM the sign of a; by 0: 0.
 * Shifts take elements as unsigned; by the type's bits or more: 0. */
enum sb_combine_kind {
    SB_COMBINE_ADD,
    SB_COMBINE_SUB,
    SB_COMBINE_MUL,
    SB_COMBINE_DIV,
    SB_COMBINE_MOD,
    SB_COMBINE_REM,
    SB_COMBINE_AND,
    SB_COMBINE_OR,
    SB_COMBINE_XOR,
    SB_COMBINE_SHL,
    SB_COMBINE_SHR,
    SB_COMBINE_MAX,
    SB_COMBINE_MIN,
    SB_COMBINE_COUNT
};
enum { SB_ATTR_COMBINE_KIND };

/* COMPARE (13.2): y = 1 if a KIND b, else 0, broadcast; a and b any type, the same, with the same zero point; y u8|bool. */
enum sb_compare_kind {
    SB_COMPARE_EQUAL,
    SB_COMPARE_NOT_EQUAL,
    SB_COMPARE_LESS,
    SB_COMPARE_LESS_OR_EQUAL,
    SB_COMPARE_COUNT
};
enum { SB_ATTR_COMPARE_KIND };

/* WHERE (13.3): y = flag != 0 ? a : b, broadcast; flag u8|bool; a, b and y any type, the same, with the same zero point. */
enum { SB_IN_WHERE_FLAG, SB_IN_WHERE_A, SB_IN_WHERE_B };

/* MAP (13.4): y = KIND(x - x.zp), same type and shape. FLOOR, CEIL, ROUND (half to even) and TRUNC of v / 2^SHIFT are whole numbers, so that y
 * has scale 1 where x has SHIFT fraction bits; SIGN is -1, 0 or 1; ABS and NEG ignore SHIFT. SHIFT 0 .. 62. */
enum sb_map_kind {
    SB_MAP_ABS,
    SB_MAP_NEG,
    SB_MAP_SIGN,
    SB_MAP_FLOOR,
    SB_MAP_CEIL,
    SB_MAP_ROUND,
    SB_MAP_TRUNC,
    SB_MAP_COUNT
};
enum { SB_ATTR_MAP_KIND, SB_ATTR_MAP_SHIFT };

/* WRAP (13.5): y = x modulo 2^bits, in y's type; zero points 0. No attributes. */

/* REDUCE (14.1) along AXIS: y = KIND over x - x.zp, x's shape without the axis. Sums: y = sum * MULT / (DIVISOR * 2^SHIFT), half up; SUM_SQUARE
 * takes elements shifted right by PRE, half up. x any number type (SUM_SQUARE: not i64); MULT 1 .. 2^31 - 1, DIVISOR 1 .. 2^24, SHIFT 0 .. 60,
 * DIVISOR * 2^SHIFT at most 2^60. MAX and MIN: type and zero point of x; PRE 0, MULT 1, DIVISOR 1, SHIFT 0. */
enum sb_reduce_kind {
    SB_REDUCE_SUM,
    SB_REDUCE_SUM_ABS,
    SB_REDUCE_SUM_SQUARE,
    SB_REDUCE_MAX,
    SB_REDUCE_MIN,
    SB_REDUCE_COUNT
};
enum {
    SB_ATTR_REDUCE_KIND,
    SB_ATTR_REDUCE_AXIS,
    SB_ATTR_REDUCE_PRE,
    SB_ATTR_REDUCE_MULT,
    SB_ATTR_REDUCE_DIVISOR,
    SB_ATTR_REDUCE_SHIFT,
};

/* CUM_SUM (14.2) along AXIS: y = sum of x - x.zp up to and with each element (EXCLUSIVE 1: without it), from the end if REVERSE is 1. */
enum { SB_ATTR_CUM_SUM_AXIS, SB_ATTR_CUM_SUM_EXCLUSIVE, SB_ATTR_CUM_SUM_REVERSE };

/* TOP_K (14.3) along the last axis: the K greatest (SMALLEST 1: smallest) elements in order, equal ones by index; INDICES 1: their indices,
 * y i32; 0: themselves, y with x's type and zero point. */
enum { SB_ATTR_TOP_K_K, SB_ATTR_TOP_K_SMALLEST, SB_ATTR_TOP_K_INDICES };

#endif
