/* eval_resize.c: Resize and Upsample: places and weights along each axis, and the float reference. See resize.h and eval.h.
 *
 * Definitions: onnx/onnx, docs/Operators.md, Resize: a coordinate of the result goes back to one of the input by the coordinate transformation
 * mode; the nearest elements around it, the border repeated, are weighed by the mode's kernel, stretched when antialiasing. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/resize.h"

#define TAPS_MAX 4096u

/* The attributes of a node. */
struct rules {
    const char *mode;
    const char *nearest;
    const char *coordinates;
    bool antialias;
    bool exclude_outside;
    double cubic_a;
};

/* One axis: sizes and the part of the input that tf_crop_and_resize takes. */
struct extent {
    uint32_t in;
    uint32_t out;
    double scale;
    double roi_start;
    double roi_end;
};

struct extents {
    struct extent axis[SB_TENSOR_RANK_MAX];
};

static struct rules rules_of(const struct sb_graph_node *n)
{
    bool old = n->op->id == SB_ONNX_UPSAMPLE || n->opset < 11;
    return (struct rules){
        .mode = sb_graph_attr_string(n, "mode", "nearest"),
        .nearest = sb_graph_attr_string(n, "nearest_mode", old ? "floor" : "round_prefer_floor"),
        .coordinates = sb_graph_attr_string(n, "coordinate_transformation_mode",
                                            old ? "asymmetric" : "half_pixel"),
        .antialias = sb_graph_attr_int(n, "antialias", 0) != 0,
        .exclude_outside = sb_graph_attr_int(n, "exclude_outside", 0) != 0,
        .cubic_a = sb_graph_attr_float(n, "cubic_coeff_a", -0.75),
    };
}

/* ---- sizes ---- */

static sb_err read_axes(uint32_t ret[SB_TENSOR_RANK_MAX], uint32_t *ret_count, struct sb_eval *e)
{
    uint32_t rank = e->in[0]->shape.rank;
    size_t count = 0;
    const int64_t *axes = sb_graph_attr_ints(&count, e->node, "axes");
    if (count > rank) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "%zu axes", count);
    }
    for (uint32_t i = 0; i < (axes != NULL ? count : rank); i++) {
        SB_TRY(sb_eval_axis(&ret[i], e, axes != NULL ? axes[i] : (int64_t)i, rank));
    }
    *ret_count = axes != NULL ? (uint32_t)count : rank;
    return SB_OK;
}

static const struct sb_array *filled(const struct sb_eval *e, uint32_t input)
{
    const struct sb_array *in = input < e->node->input_count ? e->in[input] : NULL;
    return in != NULL && sb_array_count(in) > 0 ? in : NULL;
}

/* All axes take one scale that fits inside, or around, the wanted sizes. */
static void keep_aspect(struct extent *x, const uint32_t *axes, uint32_t count, bool larger)
{
    double scale = larger ? 0 : INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        double s = x[axes[i]].scale;
        scale = larger ? fmax(scale, s) : fmin(scale, s);
    }
    for (uint32_t i = 0; i < count; i++) {
        x[axes[i]].scale = scale;
        x[axes[i]].out = (uint32_t)floor(scale * x[axes[i]].in + 0.5);
    }
}

static sb_err read_extents(struct extents *ret, struct sb_eval *e)
{
    struct extent *x = ret->axis;
    const struct sb_shape *shape = &e->in[0]->shape;
    bool modern = e->node->op->id == SB_ONNX_RESIZE && e->node->opset >= 11;
    uint32_t axes[SB_TENSOR_RANK_MAX] = {0};
    uint32_t count = 0;
    SB_TRY(read_axes(axes, &count, e));
    const struct sb_array *roi = modern ? filled(e, 1) : NULL;
    const struct sb_array *scales = filled(e, modern ? 2 : 1);
    const struct sb_array *sizes = modern ? filled(e, 3) : NULL;
    size_t attr_count = 0;
    const double *attr = sb_graph_attr_floats(&attr_count, e->node, "scales");
    const char *policy = sb_graph_attr_string(e->node, "keep_aspect_ratio_policy", "stretch");
    for (uint32_t i = 0; i < shape->rank && i < SB_TENSOR_RANK_MAX; i++) {
        x[i] =
            (struct extent){.in = shape->dims[i], .out = shape->dims[i], .scale = 1, .roi_end = 1};
    }
    bool fits = sizes != NULL    ? sb_array_count(sizes) == count
                : scales != NULL ? sb_array_count(scales) == count
                                 : attr_count == count;
    if (!fits || (roi != NULL && sb_array_count(roi) != 2 * (uint64_t)count)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "scales, sizes or roi do not fit %u axes", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct extent *a = &x[axes[i]];
        double scale = scales != NULL ? scales->data[i] : attr != NULL ? attr[i] : 1;
        double out = sizes != NULL ? sizes->data[i] : floor(a->in * scale);
        a->roi_start = roi != NULL ? roi->data[i] : 0;
        a->roi_end = roi != NULL ? roi->data[i + count] : 1;
        if (!(out >= 1 && out <= SB_TENSOR_DIM_MAX) || a->in == 0) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "a dimension of %g", out);
        }
        a->out = (uint32_t)out;
        a->scale = sizes != NULL ? out / a->in : scale;
    }
    if (sizes != NULL && strcmp(policy, "stretch") != 0) {
        keep_aspect(x, axes, count, strcmp(policy, "not_smaller") == 0);
    }
    return SB_OK;
}

/* ---- places and weights ---- */

/* The coordinate in the input of element n of the result; false if it is outside of what is taken. */
static bool original(double *ret, const struct rules *r, const struct extent *a, uint32_t n)
{
    double width = a->scale * a->in;
    double x = (n + 0.5) / a->scale - 0.5; /* half_pixel */
    if (strcmp(r->coordinates, "align_corners") == 0) {
        x = width == 1 ? 0 : n * (a->in - 1.0) / (width - 1);
    } else if (strcmp(r->coordinates, "asymmetric") == 0) {
        x = n / a->scale;
    } else if (strcmp(r->coordinates, "pytorch_half_pixel") == 0) {
        x = width == 1 ? -0.5 : x;
    } else if (strcmp(r->coordinates, "half_pixel_symmetric") == 0) {
        x += a->in / 2.0 * (1 - a->out / width);
    } else if (strcmp(r->coordinates, "tf_crop_and_resize") == 0) {
        double part = (a->roi_end - a->roi_start) * (a->in - 1.0);
        x = a->roi_start * (a->in - 1.0) + (width == 1 ? part / 2 : n * part / (width - 1));
        if (x < 0 || x > a->in - 1.0) {
            return false;
        }
    }
    *ret = x;
    return true;
}

static double cubic(double a, double x)
{
    x = fabs(x);
    return x <= 1  ? ((a + 2) * x - (a + 3)) * x * x + 1
           : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
                   : 0;
}

/* Weights of elements first .. around a place `ratio` (0, 1] after element 0. */
static double weight_at(const struct rules *r, double stretch, double ratio, int32_t i)
{
    double x = (i - ratio) * stretch;
    if (strcmp(r->mode, "cubic") == 0) {
        return cubic(r->cubic_a, x);
    }
    if (strcmp(r->mode, "nearest") != 0) {
        return fmax(0, 1 - fabs(x));
    }
    bool upper = ratio == 1 || strcmp(r->nearest, "ceil") == 0 ||
                 (strcmp(r->nearest, "round_prefer_ceil") == 0 && ratio >= 0.5) ||
                 (strcmp(r->nearest, "round_prefer_floor") == 0 && ratio > 0.5);
    return i == (upper ? 1 : 0) ? 1 : 0;
}

static bool is_cubic(const struct rules *r)
{
    return strcmp(r->mode, "cubic") == 0;
}

/* Elements below the place (itself not counted) that may have a weight, as a negative number. */
static int32_t first_tap(const struct rules *r, double stretch)
{
    return (int32_t)floor(-(is_cubic(r) ? 2 : 1) / stretch) + 1;
}

static void fill_row(struct sb_resize_axis *y, uint32_t n, const struct rules *r,
                     const struct extent *a, double stretch)
{
    int32_t *index = y->index + (size_t)n * y->taps;
    double *weight = y->weight + (size_t)n * y->taps;
    double x = 0;
    double sum = 0;
    y->outside[n] = !original(&x, r, a, n);
    double whole = floor(x);
    double ratio =
        x == whole ? 1 : x - whole; /* of two elements at the same distance the left one */
    double base = x == whole ? whole - 1 : whole;
    int32_t first = first_tap(r, stretch);
    for (uint32_t t = 0; t < y->taps; t++) {
        int32_t i = first + (int32_t)t;
        double at = base + i;
        bool inside = at >= 0 && at < a->in;
        index[t] = (int32_t)fmax(0, fmin(a->in - 1.0, at));
        weight[t] = r->exclude_outside && !inside ? 0 : weight_at(r, stretch, ratio, i);
        sum += weight[t];
    }
    for (uint32_t t = 0; t < y->taps; t++) {
        weight[t] = y->outside[n] || sum == 0 ? 0 : weight[t] / sum;
    }
}

static sb_err make_axis(struct sb_resize_axis *ret, struct sb_eval *e, const struct rules *r,
                        const struct extent *a)
{
    struct sb_resize_axis y = {.out = a->out};
    y.changes = a->out != a->in || a->scale != 1 ||
                (strcmp(r->coordinates, "tf_crop_and_resize") == 0 &&
                 (a->roi_start != 0 || a->roi_end != 1));
    if (y.changes) {
        bool stretched = r->antialias && a->scale < 1 && strcmp(r->mode, "nearest") != 0;
        double stretch = stretched ? a->scale : 1;
        int64_t taps = 2 - 2 * (int64_t)first_tap(r, stretch);
        if (taps > TAPS_MAX) {
            return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                                 "antialiasing over more than %u elements", TAPS_MAX);
        }
        y.taps = (uint32_t)taps;
        y.index = sb_arena_array(e->memory, (size_t)y.out * y.taps, sizeof *y.index);
        y.weight = sb_arena_array(e->memory, (size_t)y.out * y.taps, sizeof *y.weight);
        y.outside = sb_arena_array(e->memory, y.out, sizeof *y.outside);
        if (y.index == NULL || y.weight == NULL || y.outside == NULL) {
            return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for weights");
        }
        for (uint32_t n = 0; n < y.out; n++) {
            fill_row(&y, n, r, a, stretch);
        }
    }
    *ret = y;
    return SB_OK;
}

sb_err sb_resize_of(struct sb_resize *ret, struct sb_eval *e)
{
    struct rules r = rules_of(e->node);
    struct sb_resize y = {.shape = e->in[0]->shape};
    struct extents x;
    SB_TRY(read_extents(&x, e));
    y.picks = strcmp(r.mode, "nearest") == 0;
    y.extrapolation = sb_graph_attr_float(e->node, "extrapolation_value", 0);
    for (uint32_t i = 0; i < y.shape.rank; i++) {
        SB_TRY(make_axis(&y.axis[i], e, &r, &x.axis[i]));
        y.shape.dims[i] = y.axis[i].out;
        for (uint32_t n = 0; y.axis[i].changes && n < y.axis[i].out; n++) {
            y.any_outside = y.any_outside || y.axis[i].outside[n];
        }
    }
    *ret = y;
    return SB_OK;
}

/* ---- reference ---- */

static sb_err resize_axis(struct sb_array *x, struct sb_eval *e, uint32_t axis,
                          const struct sb_resize_axis *a)
{
    uint64_t outer = 1;
    uint64_t inner = 1;
    uint64_t size = x->shape.dims[axis];
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        outer *= i < axis ? x->shape.dims[i] : 1;
        inner *= i > axis ? x->shape.dims[i] : 1;
    }
    uint64_t count = outer * a->out * inner;
    double *y =
        count <= SB_TENSOR_ELEMENTS_MAX ? sb_arena_array(e->memory, count, sizeof *y) : NULL;
    if (y == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
    }
    SB_TRY(sb_eval_work(e, count, a->taps));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = i / inner % a->out;
        const double *from = x->data + i / inner / a->out * size * inner + i % inner;
        double sum = 0;
        for (uint32_t t = 0; t < a->taps; t++) {
            sum += a->weight[n * a->taps + t] * from[(uint64_t)a->index[n * a->taps + t] * inner];
        }
        y[i] = sum;
    }
    x->shape.dims[axis] = a->out;
    x->data = y;
    return SB_OK;
}

sb_err sb_eval_resize(struct sb_eval *e)
{
    struct sb_resize r;
    struct sb_array y = *e->in[0];
    SB_TRY(sb_resize_of(&r, e));
    for (uint32_t i = 0; i < r.shape.rank; i++) {
        if (r.axis[i].changes) {
            SB_TRY(resize_axis(&y, e, i, &r.axis[i]));
        }
    }
    SB_TRY(sb_eval_alloc(e, 0, &r.shape));
    uint64_t count = sb_shape_count(&r.shape);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t rest = i;
        bool outside = false;
        for (uint32_t d = r.shape.rank; r.any_outside && d-- > 0;) {
            const struct sb_resize_axis *a = &r.axis[d];
            outside = outside || (a->changes && a->outside[rest % r.shape.dims[d]]);
            rest /= r.shape.dims[d];
        }
        e->out[0].data[i] = outside ? r.extrapolation : y.data[i];
    }
    return SB_OK;
}
