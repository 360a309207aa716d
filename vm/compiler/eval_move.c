/* eval_move.c: the float reference: operators that take, repeat, reorder and scatter elements. See eval.h.
 *
 * All but the scatters are one loop over the result that finds for each element its place in the input, or none (then the fill). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

#define INDEX_FAR 0x1p62 /* beyond every dimension; keeps casts to int64 defined */

/* ---- lists of whole numbers ---- */

int64_t sb_eval_whole(double v)
{
    return (int64_t)fmax(-INDEX_FAR, fmin(INDEX_FAR, v));
}

sb_err sb_eval_ints(int64_t ret[SB_EVAL_INTS_MAX], size_t *ret_count, const struct sb_eval *e,
                    uint32_t input, const char *attr)
{
    size_t count = 0;
    const int64_t *ints = sb_graph_attr_ints(&count, e->node, attr);
    const struct sb_array *in = input < e->node->input_count ? e->in[input] : NULL;
    count = ints == NULL && in != NULL ? (size_t)sb_array_count(in) : count;
    if (count > SB_EVAL_INTS_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "%zu numbers in '%s'", count,
                             attr);
    }
    for (size_t i = 0; i < count; i++) {
        ret[i] = ints != NULL ? ints[i] : in != NULL ? sb_eval_whole(in->data[i]) : 0;
    }
    *ret_count = count;
    return SB_OK;
}

/* ---- places ---- */

/* The place in the input (element number) of an element of the result, or -1. */
typedef int64_t (*place_fn)(const void *ctx, const uint32_t *at);

static sb_err move(struct sb_eval *e, const struct sb_shape *shape, double fill, place_fn place,
                   const void *ctx)
{
    uint32_t at[SB_TENSOR_RANK_MAX] = {0};
    uint64_t count = sb_shape_count(shape);
    uint64_t from_count = sb_array_count(e->in[0]);
    SB_TRY(sb_eval_alloc(e, 0, shape));
    for (uint64_t n = 0; n < count; n++) {
        int64_t from = place(ctx, at);
        SB_ASSERT(from < (int64_t)from_count);
        e->out[0].data[n] = from < 0 ? fill : e->in[0]->data[from];
        for (uint32_t i = shape->rank; i-- > 0;) {
            if (++at[i] < shape->dims[i]) {
                break;
            }
            at[i] = 0;
        }
    }
    return SB_OK;
}

/* Steps along each dimension of x: first + index * step, folded back into x by a mode. */
enum fold { FOLD_NONE, FOLD_MODULO, FOLD_EDGE, FOLD_REFLECT };

struct steps {
    struct sb_shape x;
    enum fold fold;
    int64_t first[SB_TENSOR_RANK_MAX];
    int64_t step[SB_TENSOR_RANK_MAX];
};

static int64_t folded(int64_t i, int64_t size, enum fold fold)
{
    switch (fold) {
    case FOLD_MODULO:
        return ((i % size) + size) % size;
    case FOLD_EDGE:
        return i < 0 ? 0 : i >= size ? size - 1 : i;
    case FOLD_REFLECT: {
        int64_t period = size > 1 ? 2 * (size - 1) : 1;
        i = ((i % period) + period) % period;
        return i < size ? i : period - i;
    }
    case FOLD_NONE:
    default:
        return i;
    }
}

static int64_t place_by_steps(const void *ctx, const uint32_t *at)
{
    const struct steps *s = ctx;
    int64_t place = 0;
    for (uint32_t i = 0; i < s->x.rank; i++) {
        int64_t c = folded(s->first[i] + at[i] * s->step[i], s->x.dims[i], s->fold);
        if (c < 0 || c >= (int64_t)s->x.dims[i]) {
            return -1;
        }
        place = place * s->x.dims[i] + c;
    }
    return place;
}

/* ---- Slice, Split ---- */

/* The part of [0, size) that start, end and step name, as ONNX clamps them; the number of elements. */
static int64_t slice_axis(int64_t *first, int64_t start, int64_t end, int64_t step, int64_t size)
{
    int64_t lo = step > 0 ? 0 : -1;
    int64_t hi = step > 0 ? size : size - 1;
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    start = start < lo ? lo : start > hi ? hi : start;
    start = step < 0 && start < 0 ? -1 : start;
    end = end < lo ? lo : end > hi ? hi : end;
    *first = start;
    int64_t room = step > 0 ? end - start : start - end;
    int64_t width = step > 0 ? step : -step;
    return room <= 0 ? 0 : (room - 1) / width + 1;
}

sb_err sb_eval_slice(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    struct steps s = {.x = shape};
    int64_t starts[SB_EVAL_INTS_MAX];
    int64_t ends[SB_EVAL_INTS_MAX];
    int64_t axes[SB_EVAL_INTS_MAX];
    int64_t steps[SB_EVAL_INTS_MAX];
    size_t count = 0;
    size_t end_count = 0;
    size_t axis_count = 0;
    size_t step_count = 0;
    SB_TRY(sb_eval_ints(starts, &count, e, 1, "starts"));
    SB_TRY(sb_eval_ints(ends, &end_count, e, 2, "ends"));
    SB_TRY(sb_eval_ints(axes, &axis_count, e, 3, "axes"));
    SB_TRY(sb_eval_ints(steps, &step_count, e, 4, "steps"));
    if (count != end_count || count > shape.rank || (axis_count != 0 && axis_count != count) ||
        (step_count != 0 && step_count != count)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "starts, ends, axes and steps differ in length");
    }
    for (uint32_t i = 0; i < shape.rank; i++) {
        s.step[i] = 1;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t axis = 0;
        int64_t step = step_count != 0 ? steps[i] : 1;
        SB_TRY(sb_eval_axis(&axis, e, axis_count != 0 ? axes[i] : (int64_t)i, shape.rank));
        if (step == 0) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a step of 0");
        }
        int64_t size = s.x.dims[axis];
        step = step > size ? size + 1 : step < -size ? -size - 1 : step;
        s.step[axis] = step;
        shape.dims[axis] = (uint32_t)slice_axis(&s.first[axis], starts[i], ends[i], step, size);
    }
    return move(e, &shape, 0, place_by_steps, &s);
}

/* Sizes along the axis: given, or equal ones with a smaller last one. */
sb_err sb_eval_split_sizes(int64_t ret[SB_GRAPH_OPERANDS_MAX], uint32_t *ret_axis,
                           const struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    uint32_t outputs = e->node->output_count;
    int64_t given[SB_EVAL_INTS_MAX];
    size_t count = 0;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", 0), x->rank));
    SB_TRY(sb_eval_ints(given, &count, e, 1, "split"));
    int64_t each = (x->dims[axis] + outputs - 1) / outputs;
    int64_t left = x->dims[axis];
    for (uint32_t i = 0; i < outputs; i++) {
        ret[i] = count != 0 && i < count ? given[i] : each < left ? each : left;
        left -= ret[i] < 0 ? left + 1 : ret[i];
    }
    if ((count != 0 && count != outputs) || left != 0) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "the parts do not add up to a dimension of %u", x->dims[axis]);
    }
    *ret_axis = axis;
    return SB_OK;
}

sb_err sb_eval_split(struct sb_eval *e)
{
    int64_t sizes[SB_GRAPH_OPERANDS_MAX];
    uint32_t axis = 0;
    SB_TRY(sb_eval_split_sizes(sizes, &axis, e));
    const struct sb_shape *x = &e->in[0]->shape;
    uint64_t outer = 1;
    uint64_t inner = 1;
    for (uint32_t i = 0; i < x->rank; i++) {
        outer *= i < axis ? x->dims[i] : 1;
        inner *= i > axis ? x->dims[i] : 1;
    }
    uint64_t first = 0;
    for (uint32_t n = 0; n < e->node->output_count; n++) {
        struct sb_shape shape = *x;
        shape.dims[axis] = (uint32_t)sizes[n];
        uint64_t piece = (uint64_t)sizes[n] * inner;
        SB_TRY(sb_eval_alloc(e, n, &shape));
        for (uint64_t o = 0; o < outer; o++) {
            memcpy(e->out[n].data + o * piece, e->in[0]->data + (o * x->dims[axis] + first) * inner,
                   piece * sizeof(double));
        }
        first += (uint64_t)sizes[n];
    }
    return SB_OK;
}

/* ---- Expand, Tile, Upsample by whole factors ---- */

sb_err sb_eval_expand(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    int64_t want[SB_EVAL_INTS_MAX];
    size_t count = 0;
    SB_TRY(sb_eval_ints(want, &count, e, 1, "shape"));
    if (count > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "%zu dimensions", count);
    }
    struct sb_shape shape = {.rank = x->rank > count ? x->rank : (uint32_t)count};
    struct steps s = {.x = {.rank = shape.rank}};
    for (uint32_t i = 0; i < shape.rank; i++) {
        int64_t a = i + x->rank < shape.rank ? 1 : x->dims[i + x->rank - shape.rank];
        int64_t b = i + count < shape.rank ? 1 : want[i + count - shape.rank];
        if ((a != b && a != 1 && b != 1) || b < 0 || b > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                                 "a dimension of %" PRId64 " does not expand to %" PRId64, a, b);
        }
        s.x.dims[i] = (uint32_t)a;
        s.step[i] = a == 1 ? 0 : 1;
        shape.dims[i] = (uint32_t)(a == 1 ? b : a);
    }
    return move(e, &shape, 0, place_by_steps, &s);
}

sb_err sb_eval_tile(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    struct steps s = {.x = shape, .fold = FOLD_MODULO};
    int64_t repeats[SB_EVAL_INTS_MAX];
    size_t count = 0;
    SB_TRY(sb_eval_ints(repeats, &count, e, 1, "repeats"));
    if (count != shape.rank) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "%zu repeats for %u dimensions", count,
                             shape.rank);
    }
    for (uint32_t i = 0; i < shape.rank; i++) {
        if (repeats[i] < 0 || repeats[i] * shape.dims[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "%" PRId64 " repeats", repeats[i]);
        }
        s.step[i] = 1;
        shape.dims[i] *= (uint32_t)repeats[i];
    }
    return move(e, &shape, 0, place_by_steps, &s);
}

/* ---- Pad, CenterCropPad ---- */

/* pads [before.., after..] for each dimension, from the attribute or the inputs pads and axes. Negative ones cut off. */
sb_err sb_eval_pads(int64_t ret[2 * SB_TENSOR_RANK_MAX], const struct sb_eval *e, uint32_t rank)
{
    int64_t pads[SB_EVAL_INTS_MAX];
    int64_t axes[SB_EVAL_INTS_MAX];
    size_t count = 0;
    size_t axis_count = 0;
    SB_TRY(sb_eval_ints(pads, &count, e, 1, "pads"));
    SB_TRY(sb_eval_ints(axes, &axis_count, e, 3, "axes"));
    bool all = axis_count == 0;
    axis_count = all ? rank : axis_count;
    memset(ret, 0, 2 * SB_TENSOR_RANK_MAX * sizeof *ret);
    if (count != 2 * axis_count) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "%zu pads for %zu axes", count,
                             axis_count);
    }
    for (size_t i = 0; i < axis_count; i++) {
        uint32_t axis = 0;
        SB_TRY(sb_eval_axis(&axis, e, all ? (int64_t)i : axes[i], rank));
        ret[axis] = pads[i];
        ret[axis + rank] = pads[i + axis_count];
    }
    return SB_OK;
}

static bool pad_mode(enum fold *ret, const struct sb_graph_node *node)
{
    static const struct {
        const char *name;
        enum fold fold;
    } k[] = {{"constant", FOLD_NONE},
             {"edge", FOLD_EDGE},
             {"reflect", FOLD_REFLECT},
             {"wrap", FOLD_MODULO}};
    const char *mode = sb_graph_attr_string(node, "mode", "constant");
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        if (strcmp(mode, k[i].name) == 0) {
            *ret = k[i].fold;
            return true;
        }
    }
    return false;
}

sb_err sb_eval_pad(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    struct steps s = {.x = shape};
    int64_t pads[2 * SB_TENSOR_RANK_MAX];
    SB_TRY(sb_eval_pads(pads, e, shape.rank));
    if (!pad_mode(&s.fold, e->node)) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "mode is none of constant, edge, reflect, wrap");
    }
    double value = e->in[2] != NULL && sb_array_count(e->in[2]) == 1
                       ? e->in[2]->data[0]
                       : sb_graph_attr_float(e->node, "value", 0);
    for (uint32_t i = 0; i < shape.rank; i++) {
        int64_t dim = shape.dims[i] + pads[i] + pads[i + shape.rank];
        if (dim < 0 || dim > SB_TENSOR_DIM_MAX || pads[i] < -(int64_t)SB_TENSOR_DIM_MAX ||
            pads[i] > (int64_t)SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a dimension of %" PRId64, dim);
        }
        s.first[i] = -pads[i];
        s.step[i] = 1;
        shape.dims[i] = (uint32_t)dim;
    }
    return move(e, &shape, value, place_by_steps, &s);
}

sb_err sb_eval_center_crop_pad(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    struct steps s = {.x = shape};
    int64_t want[SB_EVAL_INTS_MAX];
    int64_t axes[SB_EVAL_INTS_MAX];
    size_t count = 0;
    size_t axis_count = 0;
    SB_TRY(sb_eval_ints(want, &count, e, 1, "shape"));
    SB_TRY(sb_eval_ints(axes, &axis_count, e, UINT32_MAX, "axes"));
    if (count != (axis_count != 0 ? axis_count : shape.rank)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "%zu sizes", count);
    }
    for (uint32_t i = 0; i < shape.rank; i++) {
        s.step[i] = 1;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t axis = 0;
        SB_TRY(sb_eval_axis(&axis, e, axis_count != 0 ? axes[i] : (int64_t)i, shape.rank));
        if (want[i] < 0 || want[i] > SB_TENSOR_DIM_MAX) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a size of %" PRId64, want[i]);
        }
        int64_t more = want[i] - (int64_t)s.x.dims[axis];
        s.first[axis] = more >= 0 ? -(more / 2) : -more / 2;
        shape.dims[axis] = (uint32_t)want[i];
    }
    return move(e, &shape, 0, place_by_steps, &s);
}

/* ---- DepthToSpace, SpaceToDepth ---- */

struct blocks {
    struct sb_shape x;
    uint32_t size;
    uint32_t channels; /* of the deep side, over size * size */
    bool to_space;
    bool depth_first; /* channel = block * channels + c (DCR), else c * blocks + block (CRD) */
};

static int64_t place_in_block(const void *ctx, const uint32_t *at)
{
    const struct blocks *b = ctx;
    uint32_t s = b->size;
    uint32_t n = at[0];
    uint32_t c = at[1];
    uint32_t y = at[2];
    uint32_t x = at[3];
    if (b->to_space) {
        uint32_t block = y % s * s + x % s;
        c = b->depth_first ? block * b->channels + c : c * s * s + block;
        y /= s;
        x /= s;
    } else {
        uint32_t block = c / b->channels;
        y = y * s + block / s;
        x = x * s + block % s;
        c %= b->channels;
    }
    const uint32_t *d = b->x.dims;
    return (((int64_t)n * d[1] + c) * d[2] + y) * d[3] + x;
}

sb_err sb_eval_depth_space(struct sb_eval *e)
{
    struct sb_shape shape = e->in[0]->shape;
    int64_t size = sb_graph_attr_int(e->node, "blocksize", 0);
    bool to_space = e->node->op->id == SB_ONNX_DEPTH_TO_SPACE;
    uint32_t *d = shape.dims;
    if (shape.rank != 4 || size < 1 || size > SB_TENSOR_DIM_MAX ||
        (to_space ? d[1] % (size * size) : d[2] % size + d[3] % size) != 0) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "blocks of %" PRId64 " do not divide the input", size);
    }
    struct blocks b = {
        .x = shape,
        .size = (uint32_t)size,
        .channels = to_space ? d[1] / (uint32_t)(size * size) : d[1],
        .to_space = to_space,
        .depth_first = strcmp(sb_graph_attr_string(e->node, "mode", "DCR"), "CRD") != 0,
    };
    uint32_t k = (uint32_t)size;
    shape.dims[1] = to_space ? b.channels : d[1] * k * k;
    shape.dims[2] = to_space ? d[2] * k : d[2] / k;
    shape.dims[3] = to_space ? d[3] * k : d[3] / k;
    return move(e, &shape, 0, place_in_block, &b);
}

/* ---- ReverseSequence ---- */

struct reversal {
    struct sb_shape x;
    uint32_t time;
    uint32_t batch;
    const double *lengths;
};

static int64_t place_reversed(const void *ctx, const uint32_t *at)
{
    const struct reversal *r = ctx;
    int64_t place = 0;
    for (uint32_t i = 0; i < r->x.rank; i++) {
        int64_t c = at[i];
        int64_t len = sb_eval_whole(r->lengths[at[r->batch]]);
        c = i == r->time && c < len ? len - 1 - c : c;
        place = place * r->x.dims[i] + c;
    }
    return place;
}

sb_err sb_eval_reverse_sequence(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    struct reversal r = {.x = *x, .lengths = e->in[1]->data};
    SB_TRY(sb_eval_axis(&r.time, e, sb_graph_attr_int(e->node, "time_axis", 0), x->rank));
    SB_TRY(sb_eval_axis(&r.batch, e, sb_graph_attr_int(e->node, "batch_axis", 1), x->rank));
    if (sb_array_count(e->in[1]) != x->dims[r.batch]) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "not one length for each sequence");
    }
    for (uint32_t i = 0; i < x->dims[r.batch]; i++) {
        if (!(r.lengths[i] >= 0 && r.lengths[i] <= x->dims[r.time])) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a length of %g", r.lengths[i]);
        }
    }
    return move(e, x, 0, place_reversed, &r);
}

/* ---- Trilu ---- */

struct triangle {
    struct sb_shape x;
    int64_t k;
    bool upper;
};

static int64_t place_in_triangle(const void *ctx, const uint32_t *at)
{
    const struct triangle *t = ctx;
    int64_t place = 0;
    for (uint32_t i = 0; i < t->x.rank; i++) {
        place = place * t->x.dims[i] + at[i];
    }
    int64_t off = (int64_t)at[t->x.rank - 1] - at[t->x.rank - 2];
    return (t->upper ? off >= t->k : off <= t->k) ? place : -1;
}

sb_err sb_eval_trilu(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    struct triangle t = {.x = *x, .upper = sb_graph_attr_int(e->node, "upper", 1) != 0};
    if (x->rank < 2) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the input is no matrix");
    }
    t.k = e->in[1] != NULL && sb_array_count(e->in[1]) == 1 ? sb_eval_whole(e->in[1]->data[0]) : 0;
    return move(e, x, 0, place_in_triangle, &t);
}

/* ---- Gather by lists ---- */

/* An index of [-size, size - 1] as one of [0, size - 1]. */
static sb_err resolve(int64_t *ret, const struct sb_eval *e, double index, uint32_t size)
{
    double at = index < 0 ? index + size : index;
    if (!(at >= 0 && at < size)) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "index %g of %u", index, size);
    }
    *ret = (int64_t)at;
    return SB_OK;
}

/* Element of x that belongs to element n of the index, with the coordinate along the axis replaced by the index. */
static sb_err along(int64_t *ret, const struct sb_eval *e, uint32_t axis, uint64_t n)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *index = &e->in[1]->shape;
    int64_t place = 0;
    int64_t stride = 1;
    int64_t at = 0;
    SB_TRY(resolve(&at, e, e->in[1]->data[n], x->dims[axis]));
    for (uint32_t i = x->rank; i-- > 0;) {
        place += (i == axis ? at : (int64_t)(n % index->dims[i])) * stride;
        stride *= x->dims[i];
        n /= index->dims[i];
    }
    *ret = place;
    return SB_OK;
}

static sb_err check_along(uint32_t *ret_axis, const struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *index = &e->in[1]->shape;
    SB_TRY(sb_eval_axis(ret_axis, e, sb_graph_attr_int(e->node, "axis", 0), x->rank));
    bool fits = index->rank == x->rank;
    for (uint32_t i = 0; fits && i < x->rank; i++) {
        fits = i == *ret_axis || index->dims[i] <= x->dims[i];
    }
    return fits ? SB_OK
                : sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the indices do not fit the data");
}

sb_err sb_eval_gather_elements(struct sb_eval *e)
{
    uint32_t axis = 0;
    SB_TRY(check_along(&axis, e));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[1]->shape));
    uint64_t count = sb_array_count(e->in[1]);
    for (uint64_t n = 0; n < count; n++) {
        int64_t place = 0;
        SB_TRY(along(&place, e, axis, n));
        e->out[0].data[n] = e->in[0]->data[place];
    }
    return SB_OK;
}

/* Lists of indices: the last dimension of input 1, after batch dimensions. */
struct lists {
    uint32_t batch;
    uint32_t depth;
    uint64_t count;     /* lists */
    uint64_t per_batch; /* lists in a batch */
    uint64_t batch_rows;
    uint64_t inner;
};

static sb_err lists_of(struct lists *ret, const struct sb_eval *e, int64_t batch)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *index = &e->in[1]->shape;
    uint32_t depth = index->rank == 0 ? 0 : index->dims[index->rank - 1];
    struct lists k = {.batch = (uint32_t)batch, .depth = depth, .count = 1, .per_batch = 1};
    if (depth == 0 || batch < 0 || batch >= index->rank || batch + depth > x->rank) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node,
                             "lists of %u indices do not fit %u dimensions", depth, x->rank);
    }
    k.batch_rows = 1;
    k.inner = 1;
    for (uint32_t i = 0; i + 1 < index->rank; i++) {
        k.count *= index->dims[i];
        k.per_batch *= i < batch ? 1 : index->dims[i];
    }
    for (uint32_t i = k.batch; i < x->rank; i++) {
        k.batch_rows *= i < k.batch + depth ? x->dims[i] : 1;
        k.inner *= i < k.batch + depth ? 1 : x->dims[i];
    }
    *ret = k;
    return SB_OK;
}

/* First element of the row that list n names. */
static sb_err list_row(uint64_t *ret, const struct sb_eval *e, const struct lists *k, uint64_t n)
{
    uint64_t row = 0;
    for (uint32_t i = 0; i < k->depth; i++) {
        uint32_t dim = e->in[0]->shape.dims[k->batch + i];
        int64_t at = 0;
        SB_TRY(resolve(&at, e, e->in[1]->data[n * k->depth + i], dim));
        row = row * dim + (uint64_t)at;
    }
    *ret = (n / k->per_batch * k->batch_rows + row) * k->inner;
    return SB_OK;
}

sb_err sb_eval_gather_nd(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    struct lists k;
    SB_TRY(lists_of(&k, e, sb_graph_attr_int(e->node, "batch_dims", 0)));
    struct sb_shape shape = e->in[1]->shape;
    shape.rank--;
    if (shape.rank + x->rank - k.batch - k.depth > SB_TENSOR_RANK_MAX) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "too many dimensions");
    }
    shape.dims[shape.rank] = 0;
    for (uint32_t i = k.batch + k.depth; i < x->rank; i++) {
        shape.dims[shape.rank++] = x->dims[i];
    }
    SB_TRY(sb_eval_alloc(e, 0, &shape));
    for (uint64_t n = 0; n < k.count; n++) {
        uint64_t from = 0;
        SB_TRY(list_row(&from, e, &k, n));
        memcpy(e->out[0].data + n * k.inner, e->in[0]->data + from, k.inner * sizeof(double));
    }
    return SB_OK;
}

/* ---- scatters ---- */

bool sb_eval_scatter_mode(enum sb_scatter_mode *ret, const struct sb_graph_node *node)
{
    static const char *const k[] = {"none", "add", "mul", "max", "min"};
    const char *name = sb_graph_attr_string(node, "reduction", "none");
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        if (strcmp(name, k[i]) == 0) {
            *ret = (enum sb_scatter_mode)i;
            return true;
        }
    }
    return false;
}

static double combined(enum sb_scatter_mode mode, double old, double update)
{
    switch (mode) {
    case SB_SCATTER_ADD:
        return old + update;
    case SB_SCATTER_MUL:
        return old * update;
    case SB_SCATTER_MAX:
        return fmax(old, update);
    case SB_SCATTER_MIN:
        return fmin(old, update);
    case SB_SCATTER_SET:
    default:
        return update;
    }
}

static sb_err begin_scatter(enum sb_scatter_mode *ret_mode, struct sb_eval *e)
{
    if (!sb_eval_scatter_mode(ret_mode, e->node)) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                             "reduction is none of none, add, mul, max, min");
    }
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    memcpy(e->out[0].data, e->in[0]->data, sb_array_count(e->in[0]) * sizeof(double));
    return SB_OK;
}

sb_err sb_eval_scatter_elements(struct sb_eval *e)
{
    enum sb_scatter_mode mode;
    uint32_t axis = 0;
    SB_TRY(begin_scatter(&mode, e));
    SB_TRY(check_along(&axis, e));
    uint64_t count = sb_array_count(e->in[1]);
    if (sb_array_count(e->in[2]) != count) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "not one update for each index");
    }
    for (uint64_t n = 0; n < count; n++) {
        int64_t place = 0;
        SB_TRY(along(&place, e, axis, n));
        double *y = &e->out[0].data[place];
        *y = combined(mode, *y, e->in[2]->data[n]);
    }
    return SB_OK;
}

sb_err sb_eval_scatter_nd(struct sb_eval *e)
{
    enum sb_scatter_mode mode;
    struct lists k;
    SB_TRY(begin_scatter(&mode, e));
    SB_TRY(lists_of(&k, e, 0));
    if (sb_array_count(e->in[2]) != k.count * k.inner) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "not one update for each index");
    }
    for (uint64_t n = 0; n < k.count; n++) {
        uint64_t to = 0;
        SB_TRY(list_row(&to, e, &k, n));
        for (uint64_t i = 0; i < k.inner; i++) {
            double *y = &e->out[0].data[to + i];
            *y = combined(mode, *y, e->in[2]->data[n * k.inner + i]);
        }
    }
    return SB_OK;
}

/* Rows written into a cache, for each batch from its own row on. */
sb_err sb_eval_tensor_scatter(struct sb_eval *e)
{
    const struct sb_shape *x = &e->in[0]->shape;
    const struct sb_shape *u = &e->in[1]->shape;
    bool circular = strcmp(sb_graph_attr_string(e->node, "mode", "linear"), "circular") == 0;
    uint32_t axis = 0;
    SB_TRY(sb_eval_axis(&axis, e, sb_graph_attr_int(e->node, "axis", -2), x->rank));
    uint64_t outer = 1;
    uint64_t inner = 1;
    bool fits = u->rank == x->rank && axis > 0 && u->dims[axis] <= x->dims[axis] &&
                (e->in[2] == NULL || sb_array_count(e->in[2]) == x->dims[0]);
    for (uint32_t i = 0; i < x->rank; i++) {
        fits = fits && (i == axis || u->dims[i] == x->dims[i]);
        outer *= i < axis ? x->dims[i] : 1;
        inner *= i > axis ? x->dims[i] : 1;
    }
    if (!fits) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the update does not fit the cache");
    }
    SB_TRY(sb_eval_alloc(e, 0, x));
    memcpy(e->out[0].data, e->in[0]->data, sb_array_count(e->in[0]) * sizeof(double));
    uint64_t rows = u->dims[axis];
    for (uint64_t o = 0; o < outer; o++) {
        double first = e->in[2] != NULL ? e->in[2]->data[o / (outer / x->dims[0])] : 0;
        for (uint64_t r = 0; r < rows; r++) {
            double at = first + (double)r;
            at = circular ? fmod(at, x->dims[axis]) : at;
            if (!(at >= 0 && at < x->dims[axis])) {
                return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "row %g of %u", at,
                                     x->dims[axis]);
            }
            memcpy(e->out[0].data + (o * x->dims[axis] + (uint64_t)at) * inner,
                   e->in[1]->data + (o * rows + r) * inner, inner * sizeof(double));
        }
    }
    return SB_OK;
}
