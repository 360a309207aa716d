/* op.h: what an operator is to the engine: four functions, and a fifth for those with weights. Private to vm/tensor.
 *
 *     infer   types, shapes and attributes of a node are right            (once, at load)
 *     prove   no intermediate value overflows; range of the output        (once, at load)
 *     cost    units of work, workspace                                    (once, at load)
 *     run     compute                                                     (each call; cannot fail)
 *     prepare arrange weights for the kernels in use                      (at sb_model_prepare; changes no result)
 *
 * To add an operator: a line in ops.def, its inputs and attributes in ops.h, a struct sb_op_code in an ops_*.c file, its section in
 * docs/spec/numerics.md, its model in tests/tools/tensor_model.py. A new version of an operator is a new struct. */
#ifndef SB_VM_TENSOR_OP_H
#define SB_VM_TENSOR_OP_H

#include "base/util/checked.h"
#include "vm/tensor/graph.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/ops.h"

/* A node under verification; the messages of its functions are prefixed by the caller with the node's name and operator. */
struct sb_check {
    struct sb_node *node; /* cost fills units and workspace_bytes */
    const int64_t *attrs;
    uint32_t input_count;
    const struct sb_tensor *in[SB_NODE_INPUTS_MAX];
    struct sb_tensor *out; /* prove fills lo and hi */
    struct sb_diag *diag;
    struct sb_arena *scratch; /* memory until the end of the node's verification */
};

/* A node being run; pointers are 64-aligned, elements in host byte order. */
struct sb_exec {
    const int64_t *attrs;
    uint32_t input_count;
    const struct sb_tensor *in_tensor[SB_NODE_INPUTS_MAX];
    const struct sb_tensor *out_tensor;
    const void *in[SB_NODE_INPUTS_MAX];
    void *out;
    void *workspace; /* workspace_bytes of the node */
    const struct sb_kernels *kernels;
    const void *prepared; /* for these kernels; or NULL */
};

/* A node being prepared for the kernels of a CPU level. */
struct sb_prepare {
    const int64_t *attrs;
    struct sb_tensor *in[SB_NODE_INPUTS_MAX];
    const struct sb_tensor *out;
    enum sb_cpu_level level;
    struct sb_arena *memory; /* of the result; it refuses what is beyond the model's share */
};

struct sb_op_code {
    sb_err (*infer)(const struct sb_check *c);
    sb_err (*prove)(const struct sb_check *c);
    sb_err (*cost)(const struct sb_check *c);
    void (*run)(const struct sb_exec *x);
    const void *(*prepare)(
        const struct sb_prepare
            *p); /* arrange constants for run's x->prepared, or NULL; may be absent */
    bool
        reads_few; /* constants are read here and there, not streamed: cost charges the bytes that a run reads */
};

/* A line of ops.def and the functions behind it. */
struct sb_op {
    struct sb_op_facts facts;
    const struct sb_op_code *code;
};

#define SB_OP(name, id, version, in_min, in_max, attrs, gas, spec, symbol)                         \
    extern const struct sb_op_code sb_op_##symbol;
#include "vm/tensor/ops.def"
#undef SB_OP

/* sb_op_lookup: the operator of (id, version); NULL if there is none. */
const struct sb_op *sb_op_lookup(uint16_t id, uint16_t version);

/* An interval of exact integers; wide enough that one product of two 64-bit values cannot overflow. */
struct sb_interval {
    sb_i128 lo;
    sb_i128 hi;
};

/* ---- checks shared by the operators (check.c) ---- */

#define SB_DTYPE_BIT(name) (1u << SB_DTYPE_##name)

/* sb_check_dtype: the tensor's type is in the set of SB_DTYPE_BITs; what names it in the message ("input x"). */
sb_err sb_check_dtype(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                      uint32_t dtype_bits) SB_MUST_USE;
/* sb_check_const: the input is a constant. */
sb_err sb_check_const(const struct sb_check *c, const struct sb_tensor *t,
                      const char *what) SB_MUST_USE;
/* sb_check_rank: exactly this rank. */
sb_err sb_check_rank(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                     uint32_t rank) SB_MUST_USE;
/* sb_check_shape: exactly this shape. */
sb_err sb_check_shape(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                      const struct sb_shape *want) SB_MUST_USE;
/* sb_check_vector: a constant of this type with shape [count]. */
sb_err sb_check_vector(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                       enum sb_dtype dtype, uint64_t count) SB_MUST_USE;
/* sb_check_const_range: all elements of a constant are in [lo, hi]. */
sb_err sb_check_const_range(const struct sb_check *c, const struct sb_tensor *t, const char *what,
                            int64_t lo, int64_t hi) SB_MUST_USE;
/* sb_check_attr: attribute number index, called name, is in [lo, hi]. */
sb_err sb_check_attr(const struct sb_check *c, uint32_t index, const char *name, int64_t lo,
                     int64_t hi) SB_MUST_USE;
/* sb_check_same_quant: input and output have the same type and zero point (data movement). */
sb_err sb_check_same_quant(const struct sb_check *c, const struct sb_tensor *t,
                           const char *what) SB_MUST_USE;
/* sb_check_fits_i32, _i64: the interval lies in the accumulator; what names the value in the message. */
sb_err sb_check_fits_i32(const struct sb_check *c, struct sb_interval v,
                         const char *what) SB_MUST_USE;
sb_err sb_check_fits_i64(const struct sb_check *c, struct sb_interval v,
                         const char *what) SB_MUST_USE;

/* sb_prove_clamped: the output is clamp(value + zero point, desc.lo, desc.hi) with value in the interval. */
void sb_prove_clamped(const struct sb_check *c, struct sb_interval value);
/* sb_prove_moved: the output's elements are those of the interval, unclamped: it must lie inside [desc.lo, desc.hi]. */
sb_err sb_prove_moved(const struct sb_check *c, struct sb_interval value) SB_MUST_USE;

/* sb_interval_of: the elements of a tensor without its zero point. sb_interval_add, _mul, _scale, _hull: exact. */
struct sb_interval sb_interval_of(const struct sb_tensor *t);
struct sb_interval sb_interval_add(struct sb_interval a, struct sb_interval b);
struct sb_interval sb_interval_mul(struct sb_interval a, struct sb_interval b);
struct sb_interval sb_interval_scale(struct sb_interval a, int64_t factor);
struct sb_interval sb_interval_hull(struct sb_interval a, struct sb_interval b);
/* sb_interval_round_shr: every value shifted right, half up. */
struct sb_interval sb_interval_round_shr(struct sb_interval a, unsigned shift);
/* sb_interval_with_half: the interval that (v + rounding half) stays in, v included. */
struct sb_interval sb_interval_with_half(struct sb_interval a, unsigned shift);

#endif
