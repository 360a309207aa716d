/* window.c: see window.h. */
#include "vm/tensor/window.h"

const struct sb_window_attrs sb_window_attrs_conv = {
    .kernel_h = -1,
    .kernel_w = -1,
    .stride_h = SB_ATTR_CONV_STRIDE_H,
    .stride_w = SB_ATTR_CONV_STRIDE_W,
    .pad_top = SB_ATTR_CONV_PAD_TOP,
    .pad_left = SB_ATTR_CONV_PAD_LEFT,
    .pad_bottom = SB_ATTR_CONV_PAD_BOTTOM,
    .pad_right = SB_ATTR_CONV_PAD_RIGHT,
    .dilation_h = SB_ATTR_CONV_DILATION_H,
    .dilation_w = SB_ATTR_CONV_DILATION_W,
};

const struct sb_window_attrs sb_window_attrs_pool = {
    .kernel_h = SB_ATTR_POOL_KERNEL_H,
    .kernel_w = SB_ATTR_POOL_KERNEL_W,
    .stride_h = SB_ATTR_POOL_STRIDE_H,
    .stride_w = SB_ATTR_POOL_STRIDE_W,
    .pad_top = SB_ATTR_POOL_PAD_TOP,
    .pad_left = SB_ATTR_POOL_PAD_LEFT,
    .pad_bottom = SB_ATTR_POOL_PAD_BOTTOM,
    .pad_right = SB_ATTR_POOL_PAD_RIGHT,
    .dilation_h = -1,
    .dilation_w = -1,
};

static int64_t extent(const struct sb_window_axis *a)
{
    return (a->kernel - 1) * a->dilation + 1;
}

static void set_out(struct sb_window_axis *a)
{
    int64_t room = a->in + a->pad_before + a->pad_after - extent(a);
    a->out = room < 0 ? 0 : room / a->stride + 1;
}

struct sb_window sb_window_of(const int64_t *attrs, const struct sb_window_attrs *at,
                              const struct sb_shape *x, const struct sb_shape *w)
{
    struct sb_window win = {
        .batch = x->dims[0],
        .channels = x->dims[3],
        .h = {.in = x->dims[1],
              .kernel = w != NULL ? w->dims[1] : attrs[at->kernel_h],
              .stride = attrs[at->stride_h],
              .dilation = at->dilation_h < 0 ? 1 : attrs[at->dilation_h],
              .pad_before = attrs[at->pad_top],
              .pad_after = attrs[at->pad_bottom]},
        .w = {.in = x->dims[2],
              .kernel = w != NULL ? w->dims[2] : attrs[at->kernel_w],
              .stride = attrs[at->stride_w],
              .dilation = at->dilation_w < 0 ? 1 : attrs[at->dilation_w],
              .pad_before = attrs[at->pad_left],
              .pad_after = attrs[at->pad_right]},
    };
    set_out(&win.h);
    set_out(&win.w);
    return win;
}

static sb_err check_axis(const struct sb_check *c, const struct sb_window_axis *a, const char *name)
{
    if (a->pad_before >= extent(a) || a->pad_after >= extent(a)) {
        return sb_fail(c->diag, SB_E_RANGE, "padding of the %s reaches the size of the window",
                       name);
    }
    if (a->out < 1) {
        return sb_fail(c->diag, SB_E_SHAPE, "the window is larger than the padded %s of x '%s'",
                       name, c->in[0]->name);
    }
    return SB_OK;
}

sb_err sb_window_infer(struct sb_window *ret, const struct sb_check *c,
                       const struct sb_window_attrs *at, const struct sb_shape *w)
{
    const int places[] = {at->kernel_h, at->kernel_w,   at->stride_h,
                          at->stride_w, at->dilation_h, at->dilation_w};
    const char *names[] = {"KERNEL_H", "KERNEL_W",   "STRIDE_H",
                           "STRIDE_W", "DILATION_H", "DILATION_W"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] >= 0) {
            SB_TRY(sb_check_attr(c, (uint32_t)places[i], names[i], 1, SB_TENSOR_DIM_MAX));
        }
    }
    SB_TRY(sb_check_attr(c, (uint32_t)at->pad_top, "PAD_TOP", 0, SB_TENSOR_DIM_MAX));
    SB_TRY(sb_check_attr(c, (uint32_t)at->pad_left, "PAD_LEFT", 0, SB_TENSOR_DIM_MAX));
    SB_TRY(sb_check_attr(c, (uint32_t)at->pad_bottom, "PAD_BOTTOM", 0, SB_TENSOR_DIM_MAX));
    SB_TRY(sb_check_attr(c, (uint32_t)at->pad_right, "PAD_RIGHT", 0, SB_TENSOR_DIM_MAX));
    SB_TRY(sb_check_rank(c, c->in[0], "input x", 4));
    struct sb_window win = sb_window_of(c->attrs, at, &c->in[0]->desc.shape, w);
    SB_TRY(check_axis(c, &win.h, "height"));
    SB_TRY(check_axis(c, &win.w, "width"));
    *ret = win;
    return SB_OK;
}

static void fill(uint8_t *ret, size_t bytes, const void *element, size_t elem_bytes)
{
    if (elem_bytes == 1) {
        memset(ret, *(const uint8_t *)element, bytes);
        return;
    }
    if (elem_bytes == 2) {
        uint16_t value;
        memcpy(&value, element, sizeof value);
        for (size_t i = 0; i < bytes; i += sizeof value) {
            memcpy(ret + i, &value, sizeof value);
        }
        return;
    }
    uint32_t value; /* what slides has at most 4 bytes */
    memcpy(&value, element, sizeof value);
    for (size_t i = 0; i < bytes; i += sizeof value) {
        memcpy(ret + i, &value, sizeof value);
    }
}

/* memcpy of what is mostly short: two overlapping copies of a fixed size instead of a call. */
static inline void copy_run(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (bytes > 32) {
        memcpy(to, from, bytes);
    } else if (bytes >= 16) {
        memcpy(to, from, 16);
        memcpy(to + bytes - 16, from + bytes - 16, 16);
    } else if (bytes >= 8) {
        memcpy(to, from, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
    } else if (bytes >= 4) {
        memcpy(to, from, 4);
        memcpy(to + bytes - 4, from + bytes - 4, 4);
    } else {
        for (size_t i = 0; i < bytes; i++) {
            to[i] = from[i];
        }
    }
}

/* A row of the window, whole pixels side by side: those inside the image are one run of it. `row` is where the image's row begins. */
static void gather_row(uint8_t *ret_patch, const struct sb_window_axis *w, const uint8_t *row,
                       size_t ox, const struct sb_window_piece *piece)
{
    int64_t first = sb_window_tap(w, ox, 0);
    int64_t end = first + w->kernel;
    int64_t inside = first > 0 ? first : 0;
    int64_t inside_end = end < w->in ? end : w->in;
    size_t left = (size_t)(inside - first) * piece->pixel_bytes;
    size_t bytes = (size_t)(inside_end - inside) * piece->pixel_bytes;
    if (left > 0) {
        fill(ret_patch, left, piece->pad, piece->elem_bytes);
    }
    copy_run(ret_patch + left, row + (size_t)inside * piece->pixel_bytes, bytes);
    if (end > inside_end) {
        fill(ret_patch + left + bytes, (size_t)(end - inside_end) * piece->pixel_bytes, piece->pad,
             piece->elem_bytes);
    }
}

static void gather_taps(uint8_t *ret_patch, const struct sb_window_axis *w, const uint8_t *row,
                        size_t ox, const struct sb_window_piece *piece)
{
    for (size_t kx = 0; kx < (size_t)w->kernel; kx++, ret_patch += piece->piece_bytes) {
        int64_t column = sb_window_tap(w, ox, kx);
        if (column < 0 || column >= w->in) {
            fill(ret_patch, piece->piece_bytes, piece->pad, piece->elem_bytes);
            continue;
        }
        const uint8_t *pixel = row + (size_t)column * piece->pixel_bytes;
        copy_run(ret_patch, pixel + piece->piece_offset, piece->piece_bytes);
    }
}

void sb_window_gather(void *ret_patch, const struct sb_window *w, const void *x, size_t b,
                      size_t oy, size_t ox, const struct sb_window_piece *piece)
{
    size_t row_bytes = (size_t)w->w.kernel * piece->piece_bytes;
    bool whole = w->w.dilation == 1 && piece->piece_bytes == piece->pixel_bytes;
    uint8_t *patch = ret_patch;
    for (size_t ky = 0; ky < (size_t)w->h.kernel; ky++, patch += row_bytes) {
        int64_t y = sb_window_tap(&w->h, oy, ky);
        if (y < 0 || y >= w->h.in) {
            fill(patch, row_bytes, piece->pad, piece->elem_bytes);
            continue;
        }
        const uint8_t *row = (const uint8_t *)x + (b * (size_t)w->h.in + (size_t)y) *
                                                      (size_t)w->w.in * piece->pixel_bytes;
        /* padding is below the window's extent on each side, but an image may be narrower than that */
        if (whole && sb_window_tap(&w->w, ox, 0) < w->w.in &&
            sb_window_tap(&w->w, ox, 0) + w->w.kernel > 0) {
            gather_row(patch, &w->w, row, ox, piece);
        } else {
            gather_taps(patch, &w->w, row, ox, piece);
        }
    }
}
