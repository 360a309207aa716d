/* resize.h: what Resize and Upsample do along one axis: which elements are added up with which weights. Shared by reference and lowering.
 *
 *     y[n] = sum over t < taps of weight[n][t] * x[index[n][t]]          or the extrapolation value where outside[n] */
#ifndef SB_VM_COMPILER_RESIZE_H
#define SB_VM_COMPILER_RESIZE_H

#include "vm/compiler/eval.h"

struct sb_resize_axis {
    bool changes; /* else y[n] = x[n], and the rest is not set */
    uint32_t out;
    uint32_t taps;
    int32_t *index; /* [out][taps], inside the axis */
    double *weight; /* [out][taps]; adding up to 1, or all 0 outside */
    bool *outside;  /* [out] */
};

struct sb_resize {
    struct sb_shape shape; /* of the result */
    struct sb_resize_axis axis[SB_TENSOR_RANK_MAX];
    bool picks; /* nearest: one weight of 1 in each row */
    bool any_outside;
    double extrapolation;
};

/* sb_resize_of: the node's e->in[0] needs its shape only; scales, sizes and roi their values. Tables live in e->memory. */
sb_err sb_resize_of(struct sb_resize *ret, struct sb_eval *e) SB_MUST_USE;

#endif
