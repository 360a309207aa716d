/* lower_resize.c: Resize and Upsample to one TAKE (nearest) or RESAMPLE for each axis that changes. See lower.h. */
#include "vm/compiler/lower_impl.h"
#include "vm/compiler/resize.h"

#define WEIGHT_BITS 24 /* weights are whole numbers that add up to 2^24 exactly */

static sb_err nomem(struct sb_lowering *l)
{
    return sb_fail(l->diag, SB_E_NOMEM, "out of memory for weights");
}

/* Each row's weights as whole numbers; what rounding leaves goes to the greatest one. */
static void round_weights(int32_t *ret, const struct sb_resize_axis *a)
{
    for (uint32_t n = 0; n < a->out; n++, ret += a->taps) {
        const double *w = a->weight + (size_t)n * a->taps;
        uint32_t top = 0;
        int32_t left = a->outside[n] ? 0 : INT32_C(1) << WEIGHT_BITS;
        for (uint32_t t = 0; t < a->taps; t++) {
            ret[t] = (int32_t)nearbyint(ldexp(w[t], WEIGHT_BITS));
            left -= ret[t];
            top = ret[t] > ret[top] ? t : top;
        }
        ret[top] += left;
    }
}

/* The one element of each row, where there is just one. */
static bool picked(int32_t *ret, const struct sb_resize_axis *a)
{
    for (uint32_t n = 0; n < a->out; n++) {
        bool found = false;
        for (uint32_t t = 0; t < a->taps; t++) {
            if (a->weight[(size_t)n * a->taps + t] == 1) {
                ret[n] = a->index[(size_t)n * a->taps + t];
                found = true;
            }
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static sb_err resize_axis(struct sb_lowered *x, struct sb_lowering *l,
                          const struct sb_graph_node *node, uint32_t axis,
                          const struct sb_resize_axis *a)
{
    uint32_t value = node->outputs[0];
    int64_t at = sb_lower_axis(x, axis);
    int64_t attrs[] = {at, WEIGHT_BITS};
    struct sb_shape rows = {.rank = 2, .dims = {a->out, a->taps}};
    struct sb_shape list = {.rank = 1, .dims = {a->out}};
    int32_t *index = sb_arena_array(l->memory, (size_t)a->out * a->taps, sizeof *index);
    int32_t *weight = sb_arena_array(l->memory, (size_t)a->out * a->taps, sizeof *weight);
    if (index == NULL || weight == NULL) {
        return nomem(l);
    }
    x->shape.dims[at] = a->out;
    uint32_t in[3] = {x->tensor};
    if (picked(index, a)) {
        in[SB_IN_TAKE_INDEX] =
            sb_build_const(l->build, node->name, SB_DTYPE_I32, &list, NULL, index);
        x->tensor = sb_lower_emit(l, value, SB_OP_TAKE, in, 2, &x->format, &x->shape, &at);
        return SB_OK;
    }
    round_weights(weight, a);
    in[SB_IN_RESAMPLE_INDEX] =
        sb_build_const(l->build, node->name, SB_DTYPE_I32, &rows, NULL, a->index);
    in[SB_IN_RESAMPLE_WEIGHT] =
        sb_build_const(l->build, node->name, SB_DTYPE_I32, &rows, NULL, weight);
    x->format.lo = sb_dtype_min(x->format.dtype); /* cubic weights reach beyond the elements */
    x->format.hi = sb_dtype_max(x->format.dtype);
    x->tensor = sb_lower_emit(l, value, SB_OP_RESAMPLE, in, 3, &x->format, &x->shape, attrs);
    return SB_OK;
}

/* The extrapolation value where an axis is outside, as a term. */
static sb_err add_outside(struct sb_lowered *y, struct sb_lowering *l,
                          const struct sb_graph_node *node, const struct sb_resize *r)
{
    uint64_t count = sb_shape_count(&r->shape);
    int64_t *attrs = (int64_t[]){1, 1, 0};
    int32_t raw =
        (int32_t)(sb_format_raw(&y->format, r->extrapolation) - y->format.quant.zero_point);
    int32_t *term = sb_arena_zalloc(l->memory, count * sizeof *term);
    if (term == NULL) {
        return nomem(l);
    }
    bool nhwc = y->layout == SB_LAYOUT_NHWC;
    const uint32_t *d = r->shape.dims;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t rest = i;
        bool outside = false;
        for (uint32_t k = r->shape.rank; k-- > 0;) {
            const struct sb_resize_axis *a = &r->axis[k];
            outside = outside || (a->changes && a->outside[rest % d[k]]);
            rest /= d[k];
        }
        uint64_t plane = nhwc ? (uint64_t)d[2] * d[3] : 1;
        uint64_t channels = nhwc ? d[1] : 1;
        uint64_t at = i % (plane * channels);
        term[i - at + at % plane * channels + at / plane] = outside ? raw : 0;
    }
    uint32_t in[2] = {y->tensor,
                      sb_build_const(l->build, node->name, SB_DTYPE_I32, &y->shape, NULL, term)};
    y->tensor = sb_lower_emit(l, node->outputs[0], SB_OP_ADD, in, 2, &y->format, &y->shape, attrs);
    return SB_OK;
}

sb_err sb_lower_resize(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    struct sb_lowered x;
    struct sb_resize r;
    struct sb_format y;
    struct sb_eval e = sb_lower_eval(l, node);
    SB_TRY(sb_resize_of(&r, &e));
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    if (x.layout == SB_LAYOUT_FLAT || (x.format.dtype == SB_DTYPE_I64 && !r.picks)) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                             "resizing a flattened image, or 64-bit integers");
    }
    double reach = sb_lower_magnitude(&x.format) * x.format.scale;
    SB_TRY(sb_lower_format(&y, l, &target, node, fmax(reach, fabs(r.extrapolation))));
    bool moves = r.picks && !r.any_outside;
    if (!moves && (x.format.dtype != y.dtype || x.format.scale != y.scale ||
                   x.format.quant.zero_point != y.quant.zero_point)) {
        SB_TRY(sb_lower_convert(&x, l, node, node->inputs[0], &y));
    }
    for (uint32_t i = 0; i < r.shape.rank; i++) {
        if (r.axis[i].changes) {
            SB_TRY(resize_axis(&x, l, node, i, &r.axis[i]));
        }
    }
    if (r.any_outside && r.extrapolation != 0) {
        SB_TRY(add_outside(&x, l, node, &r));
    }
    if (x.tensor == l->lowered[node->inputs[0]].tensor) { /* nothing changes */
        x.tensor = sb_lower_emit(l, value, SB_OP_RESHAPE, &x.tensor, 1, &x.format, &x.shape, NULL);
    }
    sb_lower_set(l, value, &x, moves ? SB_OP_TAKE : SB_OP_RESAMPLE);
    return SB_OK;
}
