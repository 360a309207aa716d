/* tensor.h: element types, shapes and limits of the inference engine: what a caller, the compiler and the engine agree on.
 *
 * A tensor is a dense array in row-major order, last dimension fastest; images are NHWC. Its elements are integers ("raw"); the
 * real number that a raw element stands for is
 *
 *     real = (raw - zero_point) * scale_mult / 2^scale_shift            (docs/spec/numerics.md 2)
 *
 * and a fixed-point tensor Qm.n ("fx") is simply scale_mult 1, scale_shift n. The engine computes with raw integers alone; the
 * scale matters only where real numbers (SD59x18) enter or leave. */
#ifndef SB_VM_TENSOR_TENSOR_H
#define SB_VM_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of the format; the chain's parameters may be tighter. Element counts and byte sizes of accepted tensors stay below
 * these, so their products with small constants cannot overflow 64 bits. */
#define SB_MODEL_FILE_BYTES_MAX  ((size_t)256 << 20)
#define SB_MODEL_TENSORS_MAX     32768u
#define SB_MODEL_NODES_MAX       8192u
#define SB_MODEL_INPUTS_MAX      64u
#define SB_MODEL_OUTPUTS_MAX     64u
#define SB_MODEL_ARENA_BYTES_MAX ((uint64_t)1 << 30)
#define SB_MODEL_IO_BYTES_MAX    ((uint64_t)1 << 26) /* all inputs together; all outputs together */
#define SB_MODEL_NAME_BYTES_MAX  255u
#define SB_NODE_INPUTS_MAX       16u
#define SB_NODE_OUTPUTS_MAX      1u
#define SB_NODE_ATTRS_MAX        32u
#define SB_TENSOR_RANK_MAX       6u
#define SB_TENSOR_ELEMENTS_MAX   ((uint64_t)1 << 28)
#define SB_TENSOR_DIM_MAX        ((uint32_t)1 << 24)
#define SB_TENSOR_ENGINE_VERSION 1u /* part of the memo key; changes when any result could */
/* Stored with a registration; changes when what is accepted, or its units, could. */
#define SB_TENSOR_VERIFIER_VERSION 1u

/* Element types; the number is the byte in the model file. bool holds 0 or 1 in a byte. */
enum sb_dtype {
    SB_DTYPE_NONE = 0,
    SB_DTYPE_I8 = 1,
    SB_DTYPE_U8 = 2,
    SB_DTYPE_I16 = 3,
    SB_DTYPE_U16 = 4,
    SB_DTYPE_I32 = 5,
    SB_DTYPE_I64 = 6,
    SB_DTYPE_BOOL = 7,
    SB_DTYPE_COUNT
};

/* sb_dtype_bytes: bytes of one element; 0 for a number that is no type. */
uint32_t sb_dtype_bytes(enum sb_dtype dtype);
/* sb_dtype_name: "i8", "u16", "bool", ...; "?" for a number that is no type. Static. */
const char *sb_dtype_name(enum sb_dtype dtype);
/* sb_dtype_min, sb_dtype_max: the type's own range. */
int64_t sb_dtype_min(enum sb_dtype dtype);
int64_t sb_dtype_max(enum sb_dtype dtype);

/* Where a tensor's elements come from. */
enum sb_tensor_kind {
    SB_TENSOR_COMPUTED = 0, /* written by exactly one node */
    SB_TENSOR_INPUT = 1,    /* given by the caller */
    SB_TENSOR_CONST = 2,    /* in the file */
};

/* How a real number becomes a raw element of an input. */
enum sb_rounding {
    SB_ROUND_NEAREST = 0, /* half up */
    SB_ROUND_FLOOR = 1,   /* tree features: x <= t implies X <= T */
};

struct sb_shape {
    uint32_t rank;                     /* 0 (a scalar) .. SB_TENSOR_RANK_MAX */
    uint32_t dims[SB_TENSOR_RANK_MAX]; /* 1 .. SB_TENSOR_DIM_MAX each; unused ones are 0 */
};

struct sb_quant {
    int32_t zero_point;  /* 0 unless i8 or u8 */
    uint32_t scale_mult; /* 1 .. 2^31 - 1 */
    uint8_t scale_shift; /* 0 .. 62 */
};

/* A tensor as the file describes it. */
struct sb_tensor_desc {
    enum sb_tensor_kind kind;
    enum sb_dtype dtype;
    struct sb_shape shape;
    struct sb_quant quant;
    enum sb_rounding rounding; /* inputs only; NEAREST elsewhere */
    /* Input: the range each element is checked against. Computed: the node that writes it clamps to this range (fused ReLU and
     * Clip), or, if it only moves data, must be proven to stay inside it. Const: smallest and largest element, exactly. */
    int64_t lo;
    int64_t hi;
};

/* sb_shape_count: number of elements (1 for a scalar); the caller has checked the dims against the limits. */
uint64_t sb_shape_count(const struct sb_shape *shape);
bool sb_shape_equal(const struct sb_shape *a, const struct sb_shape *b);

#endif
