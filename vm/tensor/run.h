/* run.h: one inference, and the conversion of real numbers (SD59x18) to raw elements and back.
 *
 *     SD59x18 --sb_input_from_real--> raw inputs --sb_model_run--> raw outputs --sb_output_to_real--> SD59x18
 *
 * Raw tensors are little-endian element arrays, row-major. Equal inputs give equal bytes on every machine. Nothing here allocates,
 * keeps state or fails on an accepted model but for the errors named. Spec: docs/spec/numerics.md 2 and 3. */
#ifndef SB_VM_TENSOR_RUN_H
#define SB_VM_TENSOR_RUN_H

#include "base/num/u256.h"
#include "vm/tensor/model.h"

/* Which element of which input was refused: BadInput(tensor, element). */
struct sb_bad_input {
    uint32_t tensor;  /* input number */
    uint64_t element; /* element number; UINT64_MAX when the input's length is wrong */
};

struct sb_kernels; /* kernels.h: implementations of the inner loops; all give the same bits */

struct sb_run {
    const struct sb_model *model;
    const sb_bytes *inputs; /* [input_count], each exactly inputs[i].bytes long, any alignment */
    uint8_t *const *
        ret_outputs; /* [output_count], room for outputs[i].bytes each, any alignment; must not overlap the scratch */
    void *scratch;        /* 16-aligned; contents do not matter and are destroyed */
    size_t scratch_bytes; /* at least arena_bytes of the model */
    const struct sb_kernels *
        kernels; /* NULL: those that the model was prepared for. Others, for tests, find no arranged weights. */
};

/* sb_model_run: check the inputs, compute, write the outputs.
 * Returns 0; SB_E_SHAPE (length) or SB_E_RANGE (element outside [lo, hi]) with ret_bad filled (may be NULL), outputs untouched;
 * SB_E_LIMIT if scratch_bytes is too small; SB_E_CANCELLED from sb_model_run_until. */
sb_err sb_model_run(struct sb_bad_input *ret_bad, const struct sb_run *run) SB_MUST_USE;

/* sb_model_run_until: as sb_model_run; before each node asks cancelled(ctx) and stops if it says true. For speculative work only:
 * consensus code uses sb_model_run. */
sb_err sb_model_run_until(struct sb_bad_input *ret_bad, const struct sb_run *run,
                          bool (*cancelled)(void *ctx), void *ctx) SB_MUST_USE;

/* sb_model_check_input: the check of sb_model_run alone, for one input. Returns 0, SB_E_SHAPE or SB_E_RANGE. */
sb_err sb_model_check_input(struct sb_bad_input *ret_bad, const struct sb_model *model,
                            uint32_t input, sb_bytes raw) SB_MUST_USE;

/* sb_input_from_real: the raw element nearest to a real number: the SD59x18 word (two's complement, 18 decimals) is clamped to the
 * input's range, then rounded once (half up, or floor for tree features), exactly. Always inside [lo, hi]; never fails. */
int64_t sb_input_from_real(const struct sb_tensor_desc *input, const sb_u256 *real);

/* sb_output_to_real: the real number of a raw element as SD59x18, rounded once, half up. Fits for every accepted tensor. */
sb_u256 sb_output_to_real(const struct sb_tensor_desc *output, int64_t raw);

/* sb_raw_store, sb_raw_load: element number i of a little-endian array of the type. The value fits the type (asserted). */
void sb_raw_store(uint8_t *ret_raw, enum sb_dtype dtype, uint64_t i, int64_t value);
int64_t sb_raw_load(const uint8_t *raw, enum sb_dtype dtype, uint64_t i);

#endif
