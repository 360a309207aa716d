/* window.h: the geometry of a window sliding over an NHWC image, shared by convolutions and pools. Private.
 *
 *     output pixel (oy, ox), tap (ky, kx)  ->  input pixel (oy * stride_h + ky * dilation_h - pad_top, ox * stride_w + ...)
 *     out_h = floor((H + pad_top + pad_bottom - (kernel_h - 1) * dilation_h - 1) / stride_h) + 1          docs/spec/numerics.md 5.2 */
#ifndef SB_VM_TENSOR_WINDOW_H
#define SB_VM_TENSOR_WINDOW_H

#include "vm/tensor/op.h"

/* One axis: height or width. */
struct sb_window_axis {
    int64_t in;
    int64_t out;
    int64_t kernel;
    int64_t stride;
    int64_t dilation;
    int64_t pad_before;
    int64_t pad_after;
};

struct sb_window {
    size_t batch;
    size_t channels; /* of x */
    struct sb_window_axis h;
    struct sb_window_axis w;
};

/* Positions of the attributes, or -1 for dilation where there is none. */
struct sb_window_attrs {
    int kernel_h; /* -1: the kernel's size comes from the weights */
    int kernel_w;
    int stride_h;
    int stride_w;
    int pad_top;
    int pad_left;
    int pad_bottom;
    int pad_right;
    int dilation_h;
    int dilation_w;
};
extern const struct sb_window_attrs sb_window_attrs_conv;
extern const struct sb_window_attrs sb_window_attrs_pool;

/* sb_window_of: the geometry from a verified node's attributes, the shape of x (rank 4) and, for convolutions, of w (else NULL). */
struct sb_window sb_window_of(const int64_t *attrs, const struct sb_window_attrs *at,
                              const struct sb_shape *x, const struct sb_shape *w);

/* sb_window_infer: check the attributes and that x is an image; *ret as sb_window_of. Padding is below the kernel's extent on each side, so
 * every window of a pool without dilation holds a pixel. */
sb_err sb_window_infer(struct sb_window *ret, const struct sb_check *c,
                       const struct sb_window_attrs *at, const struct sb_shape *w) SB_MUST_USE;

/* sb_window_tap: input coordinate of a tap on one axis; outside [0, in) in the padding. */
static inline int64_t sb_window_tap(const struct sb_window_axis *a, size_t out, size_t tap)
{
    return (int64_t)out * a->stride + (int64_t)tap * a->dilation - a->pad_before;
}

/* sb_window_gather: the pixels under the window at (b, oy, ox), laid end to end: kernel_h * kernel_w pieces of piece_bytes each, from byte
 * piece_offset of each pixel of pixel_bytes; pieces in the padding are filled with repetitions of the element `pad` of elem_bytes. */
struct sb_window_piece {
    size_t pixel_bytes;
    size_t piece_offset;
    size_t piece_bytes;
    const void *pad;
    size_t elem_bytes;
};
void sb_window_gather(void *ret_patch, const struct sb_window *w, const void *x, size_t b,
                      size_t oy, size_t ox, const struct sb_window_piece *piece);

#endif
