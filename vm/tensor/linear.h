/* linear.h: what GEMM and CONV2D share: checks of their constants, the overflow proof, and the finishing of sums. Private, but
 * that Tensor (0x5b02) prices its product by sb_linear_units. */
#ifndef SB_VM_TENSOR_LINEAR_H
#define SB_VM_TENSOR_LINEAR_H

#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

/* Rows of weights: out_count rows of row_elements each; a convolution reads a window of x for each. */
struct sb_linear {
    uint64_t out_count;
    uint64_t row_elements;
};

/* sb_linear_infer: types of x, w, bias, mult, shift and y, ranges of the constants; shapes of the vectors. */
sb_err sb_linear_infer(const struct sb_check *c, uint64_t out_count) SB_MUST_USE;
sb_err sb_linear_fx_infer(const struct sb_check *c, uint64_t out_count,
                          uint32_t shift_attr) SB_MUST_USE;

/* sb_linear_prove: every sum of a row's products, in any order and with or without its bias, fits the accumulator; sets the
 * output's range. Exact: uses each weight. */
sb_err sb_linear_prove(const struct sb_check *c, struct sb_linear l) SB_MUST_USE;
sb_err sb_linear_fx_prove(const struct sb_check *c, struct sb_linear l,
                          uint32_t shift_attr) SB_MUST_USE;

/* sb_linear_units: units of `groups` products of these dimensions; wide: x is i16. Dimensions count as padded to the reference tile
 * (m to 4, n to 16, k to 4). sb_linear_cost: the same for a node, and of finishing the sums. */
void sb_linear_units(struct sb_units *units, struct sb_gemm_dims d, uint64_t groups, bool wide);
void sb_linear_cost(const struct sb_check *c, struct sb_gemm_dims d, uint64_t groups);
void sb_linear_fx_cost(const struct sb_check *c, struct sb_gemm_dims d, uint64_t groups);

/* sb_linear_product: the constants of an operator's product for the outputs of one group: n rows of k weights, the type and range of y;
 * not m, the pieces or the strides. in, out: its tensors. */
struct sb_product sb_linear_product(const struct sb_tensor *const *in, const struct sb_tensor *out,
                                    size_t group, size_t n, size_t k);

/* sb_linear_alloc: memory for arranged weights, 64-aligned; NULL: there is no more. */
void *sb_linear_alloc(struct sb_arena *memory, size_t bytes);

/* sb_linear_prepare: arranged weights of `groups` products of n outputs and k elements each: an array of a struct sb_packed a group, or
 * NULL. sb_linear_run: the product with the kernel for x's type; group as in prepare; y_index: element of the output where its row 0
 * begins. */
const struct sb_packed *sb_linear_prepare(const struct sb_prepare *p, size_t groups, size_t n,
                                          size_t k);
void sb_linear_run(const struct sb_exec *e, struct sb_product *a, size_t group,
                   const void *const *x, size_t y_index);

/* sb_linear_fx_rows: y rows (y_stride elements apart) of d.m x d.n results from x [m][k] and weights that start at row first_out. */
struct sb_linear_fx_rows {
    const struct sb_exec *exec;
    struct sb_gemm_dims d;
    size_t first_out;
    size_t y_stride;
    unsigned shift;
};
#define SB_LINEAR_FX_ROWS_MAX 16u /* most rows (m) in one call */
/* x: d.m rows of d.k elements of the input's type; y_index: element of the output where row 0, column first_out of this call goes;
 * acc: room for SB_LINEAR_FX_ROWS_MAX * d.n sums. */
void sb_linear_fx_run(const struct sb_linear_fx_rows *r, const int32_t *x, size_t y_index,
                      int64_t *acc);

#endif
