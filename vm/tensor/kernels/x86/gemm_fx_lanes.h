/* gemm_fx_lanes.h: the kernel gemm_fx in lanes of 64 bits. The including file defines vec, LANES (of 32 bits), v_load, v_odd (the upper halves moved
 * down), v_mul (of lower halves), v_add, v_zero and v_sum. Everything here is static.
 *
 * Products of even and of odd elements are formed apart; sums are exact in any order (numerics 4.2). ROWS rows of x share what is
 * loaded of w. */
#ifndef SB_VM_TENSOR_KERNELS_X86_GEMM_FX_LANES_H
#define SB_VM_TENSOR_KERNELS_X86_GEMM_FX_LANES_H

#define ROWS 4u

/* ret[r] = bias + row r of x by w, for `rows` rows (a constant where it is called). */
static inline void dot_rows(int64_t *ret, size_t ret_stride, const int32_t *x, const int32_t *w,
                            int64_t bias, size_t k, size_t rows)
{
    vec even[ROWS];
    vec odd[ROWS];
    size_t i = 0;
    for (size_t r = 0; r < rows; r++) {
        even[r] = v_zero();
        odd[r] = v_zero();
    }
    for (; i + LANES <= k; i += LANES) {
        vec weights = v_load(w + i);
        vec weights_odd = v_odd(weights);
        for (size_t r = 0; r < rows; r++) {
            vec values = v_load(x + r * k + i);
            even[r] = v_add(even[r], v_mul(values, weights));
            odd[r] = v_add(odd[r], v_mul(v_odd(values), weights_odd));
        }
    }
    for (size_t r = 0; r < rows; r++) {
        int64_t sum = bias + v_sum(v_add(even[r], odd[r]));
        for (size_t j = i; j < k; j++) {
            sum += (int64_t)x[r * k + j] * w[j];
        }
        ret[r * ret_stride] = sum;
    }
}

static inline void gemm_fx_lanes(int64_t *ret_acc, const int32_t *x, const int32_t *w,
                                 const int64_t *bias, struct sb_gemm_dims d)
{
    if (d.k < LANES) {
        sb_kernel_gemm_fx_c(ret_acc, x, w, bias, d);
        return;
    }
    size_t m = 0;
    for (; m + ROWS <= d.m; m += ROWS) {
        for (size_t n = 0; n < d.n; n++) {
            dot_rows(ret_acc + m * d.n + n, d.n, x + m * d.k, w + n * d.k, bias[n], d.k, ROWS);
        }
    }
    for (; m < d.m; m++) {
        for (size_t n = 0; n < d.n; n++) {
            dot_rows(ret_acc + m * d.n + n, d.n, x + m * d.k, w + n * d.k, bias[n], d.k, 1);
        }
    }
}

#endif
